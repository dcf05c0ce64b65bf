/* One call to the engine: begin, put the arguments, exchange, read the answer, end. */
#ifndef ADYTON_LINK_H
#define ADYTON_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "pkcs11.h"

struct adyton_call {
    unsigned char *data;
    size_t length, capacity;
    int link;
    int failed; /* a CKR code once an argument could not be put */
    unsigned char inline_buffer[4096];
};

/* Of the declarations this library was built from, for the hello: generated/tables.c. */
__attribute__((visibility("hidden"))) extern const unsigned char adyton_declarations_hash[32];

/* CKR_OK, or why no call can be made; writes the room of the header. */
__attribute__((visibility("hidden"))) CK_RV adyton_begin(struct adyton_call *call, unsigned function);
/* Sends, receives; the engine's return code. `answer` is what follows it, valid until adyton_end. */
__attribute__((visibility("hidden"))) CK_RV adyton_exchange(struct adyton_call *call, unsigned char const **answer,
                                                            size_t *length);
/* Wipes and frees what the call carried. */
__attribute__((visibility("hidden"))) void adyton_end(struct adyton_call *call);

#endif
