/* Waiting for an answer: see wait.c. */
#ifndef ADYTON_WAIT_H
#define ADYTON_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "state.h"

/* recv() that keeps polling for a moment before it sleeps, where that has paid off for this function so far. */
ADYTON_HIDDEN ssize_t adyton_receive(int fd, void *data, size_t room, unsigned function);

/* recv() that only sleeps: for the rest of an answer, and for one that may take for ever. Nobody polls less for it. */
ADYTON_HIDDEN ssize_t adyton_receive_asleep(int fd, void *data, size_t room);

/* In a new child, where no thread spins. */
ADYTON_HIDDEN void adyton_wait_reset(void);

#endif
