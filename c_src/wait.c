/* Waiting for the engine's answer. A round trip is mostly wake-up: 57 us when both sides sleep, 9 us when both poll
 * before they sleep. So a call polls first, for 60 us at most, only while a core is to spare for the engine, and only
 * for functions whose answers have been coming within that time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#include "wait.h"

enum { SPIN_NS = 60 * 1000, FUNCTIONS = 128, SCORE_MOST = 8, RETRY_EVERY = 32 };

static atomic_int spinning;
static atomic_int spare_cores = -1;
static atomic_uchar lost[FUNCTIONS]; /* answers that came too late, less those in time */
static atomic_uchar skipped[FUNCTIONS];

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t adyton_now_ms(void)
{
    return now_ns() / 1000000;
}

void adyton_wait_reset(void)
{
    atomic_store(&spinning, 0);
    atomic_store(&spare_cores, -1);
}

/* Half of the cores this process may use: for each that polls here, the engine polls on another. */
static int cores(void)
{
    int known = atomic_load_explicit(&spare_cores, memory_order_relaxed);
    if (known >= 0)
        return known;
    cpu_set_t allowed;
    known = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) / 2 : 0;
    atomic_store_explicit(&spare_cores, known, memory_order_relaxed);
    return known;
}

static bool worth_it(unsigned function)
{
    if (atomic_load_explicit(&lost[function], memory_order_relaxed) < SCORE_MOST)
        return true;
    return atomic_fetch_add_explicit(&skipped[function], 1, memory_order_relaxed) % RETRY_EVERY == 0;
}

static void learn(unsigned function, bool paid_off)
{
    unsigned char so_far = atomic_load_explicit(&lost[function], memory_order_relaxed);
    if (paid_off)
        so_far = so_far < 2 ? 0 : (unsigned char)(so_far - 2);
    else if (so_far < SCORE_MOST)
        so_far++;
    atomic_store_explicit(&lost[function], so_far, memory_order_relaxed);
}

static ssize_t receive_asleep(int fd, void *data, size_t room)
{
    ssize_t received;
    do
        received = recv(fd, data, room, 0);
    while (received < 0 && errno == EINTR);
    return received;
}

ssize_t adyton_receive(int fd, void *data, size_t room, unsigned function, bool may_spin)
{
    function %= FUNCTIONS;
    if (!may_spin || !worth_it(function))
        return receive_asleep(fd, data, room);
    ssize_t received = -1;
    errno = EAGAIN;
    if (atomic_fetch_add(&spinning, 1) < cores()) {
        int64_t until = now_ns() + SPIN_NS;
        do
            received = recv(fd, data, room, MSG_DONTWAIT);
        while (received < 0 && (errno == EAGAIN || errno == EINTR) && now_ns() < until);
        learn(function, received > 0);
    }
    int failure = errno;
    (void)atomic_fetch_sub(&spinning, 1);
    if (received >= 0 || (failure != EAGAIN && failure != EINTR))
        return received;
    return receive_asleep(fd, data, room);
}
