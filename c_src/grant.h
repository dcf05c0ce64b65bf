/* Inits that are answered in the library: see grant.c. */
#ifndef ADYTON_GRANT_H
#define ADYTON_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADYTON_GRANT_HIDDEN __attribute__((visibility("hidden")))

enum { ADYTON_FUNCTIONS = 104, ADYTON_GRANT_MOST = 128 };
enum { ADYTON_ENCRYPT = 1, ADYTON_DECRYPT = 2, ADYTON_DIGEST = 4, ADYTON_SIGN = 8, ADYTON_VERIFY = 16 };
enum adyton_part { ADYTON_ELSEWHERE, ADYTON_BEGINS, ADYTON_WHOLE, ADYTON_WITHIN, ADYTON_DESTROYS };

/* What a function has to do with a session's operations: generated/tables.c, from directions.py. */
struct adyton_function {
    unsigned char kinds;    /* bits of the operations that it begins, ends or changes */
    unsigned char part;
    unsigned char of_session; /* its first argument is a session */
    unsigned char begun_by; /* for a whole operation: the function that begins it */
};
ADYTON_GRANT_HIDDEN extern const struct adyton_function adyton_functions[ADYTON_FUNCTIONS];

/* What goes ahead of a call in its frame, and what the call's own answer may grant. */
struct adyton_ahead {
    uint64_t session, epoch;
    size_t length, init_length;
    unsigned char data[5 * (4 + ADYTON_GRANT_MOST)];
    unsigned char init[ADYTON_GRANT_MOST];
};

/* True: this Init is answered here with CKR_OK. Otherwise `ahead` says what goes ahead of the call. */
ADYTON_GRANT_HIDDEN bool adyton_grants_before(unsigned function, const unsigned char *payload, size_t length,
                                              struct adyton_ahead *ahead);
/* `ended`: an Init was answered CKR_OK, or a whole operation has given all its output. */
ADYTON_GRANT_HIDDEN void adyton_grants_after(unsigned function, const struct adyton_ahead *ahead, bool ended);
/* A new engine's page of the epoch; the caller closes `fd`. */
ADYTON_GRANT_HIDDEN void adyton_grants_page(int fd);
/* The engine is gone. */
ADYTON_GRANT_HIDDEN void adyton_grants_forget(void);
/* In a new child, which has one thread. */
ADYTON_GRANT_HIDDEN void adyton_grants_forget_parent(void);

#endif
