/* Answers about slots and mechanisms without a trip: see catalog.c. */
#ifndef ADYTON_CATALOG_H
#define ADYTON_CATALOG_H

#include "pkcs11.h"
#include "state.h"

/* The answer to a call that needs none of the engine's, from what its request carries: as the engine would answer, at
 * most `most` bytes to `out`. 0: the engine must be asked. `out` may not lie over `given`. */
ADYTON_HIDDEN size_t adyton_catalog_answers(unsigned function, const unsigned char *given, size_t length,
                                            unsigned char *out, size_t most, CK_RV *rv);
/* A new engine's page; the caller closes `fd`. With the state's lock held, as the next. */
ADYTON_HIDDEN void adyton_catalog_page(int fd);
/* The engine is gone, or this is a new child. */
ADYTON_HIDDEN void adyton_catalog_forget(void);

#endif
