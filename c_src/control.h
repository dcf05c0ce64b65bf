/* The connections to the engine, and what their frames begin with: see control.c. */
#ifndef ADYTON_CONTROL_H
#define ADYTON_CONTROL_H

#include <sys/uio.h>

#include "pkcs11.h"
#include "state.h"

/* A request: length, function, how much goes ahead. An answer: length, return code. */
enum { ADYTON_HEADER = 8, ADYTON_ANSWER_HEADER = 12 };

static inline void adyton_put_number(unsigned char *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static inline uint64_t adyton_get_number(const unsigned char *at, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

/* Daemons close every descriptor they don't know; the number may be another file by now, which gets no PIN. */
ADYTON_HIDDEN bool adyton_still_ours(const struct adyton_socket *socket);
ADYTON_HIDDEN void adyton_close_socket(struct adyton_socket *socket);

/* The pieces, whole and in one message where the socket takes it; they are used up. */
ADYTON_HIDDEN bool adyton_send_pieces(int fd, struct iovec *pieces, size_t count);

/* With the lock held. An engine that leaves when idle may go between our connect and our hello: hence the attempts. */
ADYTON_HIDDEN CK_RV adyton_connect_engine(void);
/* With the lock held: one more connection, into a free place. */
ADYTON_HIDDEN CK_RV adyton_open_link(struct adyton_link *link);

#endif
