/* What one process keeps of its use of the library: whether it is initialised, and its connections to the engine.
 *
 * Everything here is guarded by `lock`, apart from the atomics. The lock is always taken, whatever the arguments of
 * C_Initialize say: they promise less than they cost (PKCS#11 3.2, section 5.4, C_Initialize).
 */
#ifndef ADYTON_STATE_H
#define ADYTON_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ADYTON_HIDDEN __attribute__((visibility("hidden")))

#ifndef ADYTON_VERSION
#define ADYTON_VERSION "0.2.0" /* the build gives the package's own */
#define ADYTON_VERSION_MAJOR 0
#define ADYTON_VERSION_MINOR 1
#endif

enum {
    ADYTON_LINKS = 16,                 /* connections that carry calls, per process */
    ADYTON_WAITING = ADYTON_LINKS,     /* the place after them: of a C_WaitForSlotEvent that blocks, which takes none */
    ADYTON_PLACES = ADYTON_LINKS + 1,
    ADYTON_DEADLINE_MS = 30 * 1000,    /* for hello and link answers; calls themselves may take as long as they like */
};

/* A socket, and what tells it from another file that the host may have put under the same number. */
struct adyton_socket {
    int fd;
    dev_t device;
    ino_t inode;
};

struct adyton_link {
    struct adyton_socket socket; /* fd -1: this place is free */
    bool busy;                   /* a call is on it, which gives it back or closes it */
    bool stale;                  /* its engine is gone or the library was finalised: close it when it comes back */
};

struct adyton_state {
    pthread_mutex_t lock;
    pthread_cond_t link_free, waiting_free;
    atomic_bool initialised;
    atomic_uint life;       /* moves at C_Finalize: who was inside a call must not go on in the next life */
    pid_t pid;              /* who called C_Initialize */
    int64_t began;          /* when, in monotonic nanoseconds */
    bool lost_engine;       /* whether this life had an engine that went */
    struct adyton_socket control;
    struct adyton_link links[ADYTON_PLACES];
    int64_t spawn_failed_at; /* monotonic milliseconds, 0 never: an engine that can't start isn't tried at every call */
};

extern ADYTON_HIDDEN struct adyton_state adyton_state;

/* Descriptors that are open for a moment during connecting; a forked child must close its copies. */
enum adyton_passing { ADYTON_PASSING_SOCKET, ADYTON_PASSING_LISTENER, ADYTON_PASSING_LOCK, ADYTON_PASSING_COUNT };
extern ADYTON_HIDDEN atomic_int adyton_passing[ADYTON_PASSING_COUNT];

/* control.c; both with the lock held, save adyton_forget_parent, which is for a new child that has one thread. */
ADYTON_HIDDEN void adyton_drop_engine(void);
ADYTON_HIDDEN void adyton_forget_parent(void);

/* spawn.c: a connected socket to the engine of this process' pool, or -1. *spawned tells whether it was started for us. */
ADYTON_HIDDEN int adyton_connect_pool(bool may_spawn, bool *spawned);

/* launch.c: starts the engine of the pool in `home`, whose folder is open, on `listener`; its log goes to `place`.
 * 0 or an errno, and words in the log. */
ADYTON_HIDDEN int adyton_launch(const char *home, int folder, int place, int listener);

/* settings.c: the value of `name` in a file of "name=value" lines, in `value`; false if there is none. */
ADYTON_HIDDEN bool adyton_setting(int folder, const char *file, const char *name, char *value, size_t size);

ADYTON_HIDDEN int64_t adyton_now_ns(void);
ADYTON_HIDDEN int64_t adyton_now_ms(void);

#endif
