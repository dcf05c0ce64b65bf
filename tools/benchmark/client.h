/* What the parts of the benchmark's client share: one module, loaded by path, one slot, and the checks of its codes. */
#ifndef ADYTON_BENCHMARK_CLIENT_H
#define ADYTON_BENCHMARK_CLIENT_H

#include <stdbool.h>
#include <time.h>

#include "pkcs11.h"

extern CK_FUNCTION_LIST *p11;
extern CK_SLOT_ID slot;

/* One thread's share of a measure: what it works with, and what its operation keeps from call to call. */
struct work {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_OBJECT_HANDLE other;
    CK_BYTE *data; /* ``size`` bytes to work on, also a count of objects where that is what grows */
    CK_ULONG size;
    CK_BYTE *output; /* ``room`` bytes */
    CK_ULONG room;
    CK_ULONG length; /* of what lies in ``kept`` */
    CK_BYTE kept[1024];
    unsigned long calls;
    unsigned seed;
};

/* One row of the table in operations.c. ``key``, ``other``: labels of token keys, or NULL. */
struct operation {
    const char *name;
    CK_MECHANISM_TYPE mechanism; /* that the module must list; CK_UNAVAILABLE_INFORMATION: none */
    const char *key;
    CK_ULONG key_class;
    const char *other;
    CK_ULONG other_class;
    void (*set_up)(const struct operation *operation, struct work *work);
    void (*once)(const struct operation *operation, struct work *work);
};

extern const struct operation operations[];
const struct operation *operation_named(const char *name);

void check(const char *call, CK_RV rv);
double since(const struct timespec *start);
CK_SESSION_HANDLE open_session(void);
void login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin);
CK_ULONG find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *found);
CK_OBJECT_HANDLE key_named(CK_SESSION_HANDLE session, CK_ULONG class, const char *label);
void make_keys(CK_SESSION_HANDLE session);

/* Runs one operation in ``threads`` threads of each of ``processes`` processes, and prints its line. */
struct run {
    const char *module;
    const char *label;
    const char *pin;
    const struct operation *operation;
    CK_ULONG size;
    double seconds;
    int threads;
    int processes;
    int sessions;
};
void load(const char *path);
void choose_slot(const char *label);
int measure(const struct run *run);

#endif
