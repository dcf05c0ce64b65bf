/* Arguments to bytes and bytes to arguments, every length checked on both ways: see flatten.c. */
#ifndef ADYTON_FLATTEN_H
#define ADYTON_FLATTEN_H

#include <stdbool.h>

#include "link.h"

#define ADYTON_INTERNAL __attribute__((visibility("hidden")))
#define ADYTON_NULL UINT64_MAX

/* What is left of an answer. */
struct adyton_answer {
    const unsigned char *at;
    size_t left;
};

ADYTON_INTERNAL void adyton_put_u8(struct adyton_call *call, unsigned char value);
ADYTON_INTERNAL void adyton_put_u64(struct adyton_call *call, uint64_t value);
ADYTON_INTERNAL void adyton_put_raw(struct adyton_call *call, const void *bytes, CK_ULONG length);
ADYTON_INTERNAL void adyton_put_bytes(struct adyton_call *call, const void *bytes, CK_ULONG length);
ADYTON_INTERNAL void adyton_put_template(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth);
ADYTON_INTERNAL void adyton_put_query(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count, int depth);
ADYTON_INTERNAL void adyton_put_mechanism(struct adyton_call *call, const CK_MECHANISM *mechanism);
/* generated/params.c: true if the mechanism's parameter was put as a structure. */
ADYTON_INTERNAL bool adyton_put_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism);
/* Cancels the operation of this CKF_ kind in the session. */
ADYTON_INTERNAL void adyton_operation_over(CK_SESSION_HANDLE session, CK_FLAGS kind);

ADYTON_INTERNAL bool adyton_get_u8(struct adyton_answer *answer, unsigned char *value);
ADYTON_INTERNAL bool adyton_get_u64(struct adyton_answer *answer, uint64_t *value);
ADYTON_INTERNAL bool adyton_get_out(struct adyton_answer *answer, CK_BYTE *out, CK_ULONG *length);
ADYTON_INTERNAL bool adyton_get_exact(struct adyton_answer *answer, void *out, CK_ULONG length);
ADYTON_INTERNAL bool adyton_get_ulongs(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG *count);
ADYTON_INTERNAL bool adyton_get_found(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG most, CK_ULONG *count);
ADYTON_INTERNAL bool adyton_get_query(struct adyton_answer *answer, CK_ATTRIBUTE *rows, CK_ULONG count, int depth);

#endif
