/* Threads are cancelled while they are inside calls: cancelled LIBRARY. The library's locks and connections must be
 * as usable as before. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "pkcs11.h"

enum { ROUNDS = 15, THREADS = 20 };

static CK_FUNCTION_LIST *library;
static atomic_int running;

static void *calls(void *nothing)
{
    CK_SLOT_INFO info;
    atomic_fetch_add(&running, 1);
    for (;;) {
        (void)library->C_GetSlotInfo(0, &info);
        pthread_testcancel();
    }
    return nothing;
}

static void *ends(void *nothing)
{
    for (;;) {
        (void)library->C_Finalize(NULL);
        (void)library->C_Initialize(NULL);
        pthread_testcancel();
    }
    return nothing;
}

int main(int argc, char **argv)
{
    void *found = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    CK_RV (*get)(CK_FUNCTION_LIST **);
    CK_SLOT_INFO info;
    CK_ULONG count = 0;
    if (found == NULL)
        return 2;
    *(void **)&get = dlsym(found, "C_GetFunctionList");
    if (get(&library) != CKR_OK || library->C_Initialize(NULL) != CKR_OK)
        return 3;
    (void)alarm(50); /* a lock that is held for ever */
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        atomic_store(&running, 0);
        for (int i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], NULL, i == 0 ? ends : calls, NULL) != 0)
                return 4;
        while (atomic_load(&running) < THREADS - 1)
            (void)sched_yield();
        for (int i = 0; i < THREADS; i++)
            (void)pthread_cancel(threads[i]);
        for (int i = 0; i < THREADS; i++)
            (void)pthread_join(threads[i], NULL);
    }
    (void)library->C_Finalize(NULL);
    if (library->C_Initialize(NULL) != CKR_OK || library->C_GetSlotList(0, NULL, &count) != CKR_OK || count != 1)
        return 5;
    return library->C_GetSlotInfo(0, &info) == CKR_OK && library->C_Finalize(NULL) == CKR_OK ? 0 : 6;
}
