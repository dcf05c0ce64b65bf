/* One call to the engine: begin, put the arguments, exchange, read the answer, end. */
#ifndef ADYTON_LINK_H
#define ADYTON_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11.h"

/* The most that a request may be: what goes ahead of it shares the engine's 64 MiB. An answer may be a little more. */
enum { ADYTON_MOST_REQUEST = (64 << 20) - 4096, ADYTON_MOST_ANSWER = (64 << 20) + 4096 };

struct adyton_call {
    unsigned char *data;
    size_t length, capacity;
    CK_RV failed; /* why the call can't be made, once an argument could not be put */
    unsigned char inline_buffer[4096];
};

/* Of the declarations this library was built from, for the hello: generated/tables.c. */
__attribute__((visibility("hidden"))) extern const unsigned char adyton_declarations_hash[32];

/* False where C_Initialize has not been called; else the call has its header. */
__attribute__((visibility("hidden"))) bool adyton_begin(struct adyton_call *call, unsigned function);
/* Sends, receives; the engine's return code, or why the call failed. `answer` is what follows it, valid until
 * adyton_end. */
__attribute__((visibility("hidden"))) CK_RV adyton_exchange(struct adyton_call *call, unsigned char const **answer,
                                                            size_t *length);
/* The one number of a C_WaitForSlotEvent's request. */
__attribute__((visibility("hidden"))) uint64_t adyton_events_since(CK_FLAGS flags);
/* Wipes and frees what the call carried. */
__attribute__((visibility("hidden"))) void adyton_end(struct adyton_call *call);

#endif
