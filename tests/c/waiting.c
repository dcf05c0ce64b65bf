/* Threads are cancelled while they wait for a slot event, more of them than an application may have connections:
 * waiting LIBRARY. Sessions live on, and the event that comes then is told to another thread; a line on stdin says that
 * it has come. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pkcs11.h"

static CK_FUNCTION_LIST *library;
static _Atomic pid_t waiting;

static void *waits(void *nothing)
{
    CK_SLOT_ID slot;
    waiting = gettid();
    (void)library->C_WaitForSlotEvent(0, &slot, NULL);
    return nothing;
}

/* Until the thread sleeps in recvfrom(2). */
static void until_it_receives(void)
{
    char path[64], number[32], call[32];
    (void)snprintf(number, sizeof number, "%d ", (int)SYS_recvfrom);
    do {
        (void)snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)waiting);
        int fd = open(path, O_RDONLY);
        ssize_t got = fd < 0 ? 0 : read(fd, call, sizeof call - 1);
        call[got < 0 ? 0 : got] = '\0';
        (void)close(fd);
    } while (strncmp(call, number, strlen(number)) != 0);
}

int main(int argc, char **argv)
{
    void *found = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    CK_RV (*get)(CK_FUNCTION_LIST **);
    if (found == NULL)
        return 2;
    *(void **)&get = dlsym(found, "C_GetFunctionList");
    if (get(&library) != CKR_OK || library->C_Initialize(NULL) != CKR_OK)
        return 3;
    (void)alarm(50);
    CK_SLOT_ID slot = 0;
    CK_SESSION_HANDLE session;
    if (library->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK)
        return 9;
    for (int round = 0; round < 100; round++) {
        pthread_t thread;
        void *ended;
        waiting = 0;
        if (pthread_create(&thread, NULL, waits, NULL) != 0)
            return 4;
        until_it_receives();
        (void)pthread_cancel(thread);
        (void)pthread_join(thread, &ended);
        if (ended != PTHREAD_CANCELED)
            return 5;
        CK_SESSION_INFO info;
        if (library->C_GetSessionInfo(session, &info) != CKR_OK)
            return 6;
    }
    (void)puts("cancelled");
    (void)fflush(stdout);
    (void)getchar();
    if (library->C_WaitForSlotEvent(0, &slot, NULL) != CKR_OK)
        return 7;
    printf("%lu\n", slot);
    return library->C_Finalize(NULL) == CKR_OK ? 0 : 8;
}
