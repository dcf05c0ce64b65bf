/* Arguments to bytes and bytes to arguments, every length checked on both ways: see flatten.c. */
#ifndef ADYTON_FLATTEN_H
#define ADYTON_FLATTEN_H

#include <stdbool.h>

#include "link.h"

#define ADYTON_INTERNAL __attribute__((visibility("hidden")))
#define ADYTON_NULL UINT64_MAX

/* The code of an answer, and what is left of its bytes. */
struct adyton_answer {
    const unsigned char *at;
    size_t left;
    CK_RV rv;
};

/* The call will not be made, and answers the first reason given. */
ADYTON_INTERNAL void adyton_refuse(struct adyton_call *call, CK_RV why);

ADYTON_INTERNAL void adyton_put_u8(struct adyton_call *call, unsigned char value);
ADYTON_INTERNAL void adyton_put_u64(struct adyton_call *call, uint64_t value);
ADYTON_INTERNAL void adyton_put_raw(struct adyton_call *call, const void *bytes, size_t length);
/* The room for an answer, or that none is given and its length is asked for. */
ADYTON_INTERNAL void adyton_put_room(struct adyton_call *call, const void *out, const CK_ULONG *room);
/* `too_long` is answered to more than one message carries. */
ADYTON_INTERNAL void adyton_put_bytes(struct adyton_call *call, const void *bytes, CK_ULONG length, CK_RV too_long);
/* A password whose length is there, or where `length` points to. */
ADYTON_INTERNAL void adyton_put_password(struct adyton_call *call, const void *password, CK_ULONG length);
/* The count of an array; false if it may not be read. */
ADYTON_INTERNAL bool adyton_put_count(struct adyton_call *call, const void *rows, CK_ULONG count);
ADYTON_INTERNAL void adyton_put_template(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count);
ADYTON_INTERNAL void adyton_put_query(struct adyton_call *call, const CK_ATTRIBUTE *rows, CK_ULONG count);
ADYTON_INTERNAL void adyton_put_mechanism(struct adyton_call *call, const CK_MECHANISM *mechanism);
/* Without its parameter: each message brings one. */
ADYTON_INTERNAL void adyton_put_message_mechanism(struct adyton_call *call, const CK_MECHANISM *mechanism);
/* The parameter of a message, told by its length. Its tag is read where the message is to be decrypted. */
ADYTON_INTERNAL void adyton_put_message(struct adyton_call *call, const void *parameter, CK_ULONG length, bool has_tag);
/* The first `length` bytes of the parameter as they are. */
ADYTON_INTERNAL void adyton_put_raw_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism, CK_ULONG length);
/* generated/params.c: the parameter of a mechanism that has one, by the table of parameters. */
ADYTON_INTERNAL void adyton_put_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism);

ADYTON_INTERNAL bool adyton_get_u64(struct adyton_answer *answer, CK_ULONG *value);
ADYTON_INTERNAL bool adyton_get_out(struct adyton_answer *answer, CK_BYTE *out, CK_ULONG *length);
ADYTON_INTERNAL bool adyton_get_exact(struct adyton_answer *answer, void *out, CK_ULONG length);
/* IV and tag of an encrypted message into its parameter, those that the engine made. */
ADYTON_INTERNAL bool adyton_get_message(struct adyton_answer *answer, const void *parameter, CK_ULONG length);
ADYTON_INTERNAL bool adyton_get_ulongs(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG *count);
ADYTON_INTERNAL bool adyton_get_found(struct adyton_answer *answer, CK_ULONG *out, CK_ULONG most, CK_ULONG *count);
/* Makes the answer CKR_BUFFER_TOO_SMALL where a value inside an attribute array has not enough room. */
ADYTON_INTERNAL bool adyton_get_query(struct adyton_answer *answer, CK_ATTRIBUTE *rows, CK_ULONG count);

#endif
