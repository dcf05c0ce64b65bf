/* Waiting for the engine's answer. A round trip is mostly wake-up: 57 us when both sides sleep, 9 us when both poll
 * before they sleep. So a call polls first: for 60 us at most, or 600 us (an RSA-2048 signature takes 250 to 450) while
 * no other call of this process is under way and this function's last answer took about that long; only while a core is
 * to spare for the engine, and only for functions whose answers have been coming within that time. Where the cores are
 * busy with others', an answer comes the later for our polling: a few calls in a row that polled in vain end it for all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#include "wait.h"

enum { SPIN_NS = 60 * 1000, SPIN_ALONE_NS = 600 * 1000, FUNCTIONS = 128, SCORE_MOST = 8, RETRY_EVERY = 32 };
enum { BUSY = 4, BUSY_RETRY = 8 };

static atomic_int spinning;
static atomic_int under_way;
static atomic_int spare_cores = -1;
static atomic_uchar lost[2 * FUNCTIONS]; /* answers that came too late, less those in time */
static atomic_uchar skipped[2 * FUNCTIONS];
static atomic_uchar patient[2 * FUNCTIONS]; /* the last answer took more than SPIN_NS, and not more than SPIN_ALONE_NS */
static atomic_uint in_vain; /* calls of any function that polled in vain, since one that did not */
static atomic_uint busy;    /* calls that did not poll for that */

int64_t adyton_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t adyton_now_ms(void)
{
    return adyton_now_ns() / 1000000;
}

void adyton_wait_reset(void)
{
    atomic_store(&spinning, 0);
    atomic_store(&under_way, 0);
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
    if (atomic_load_explicit(&in_vain, memory_order_relaxed) >= BUSY &&
        atomic_fetch_add_explicit(&busy, 1, memory_order_relaxed) % BUSY_RETRY != BUSY_RETRY - 1)
        return false;
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
    unsigned vain = atomic_load_explicit(&in_vain, memory_order_relaxed);
    atomic_store_explicit(&in_vain, paid_off ? 0 : vain + (vain < BUSY), memory_order_relaxed);
}

ssize_t adyton_receive_asleep(int fd, void *data, size_t room)
{
    ssize_t received;
    do
        received = recv(fd, data, room, 0);
    while (received < 0 && errno == EINTR);
    return received;
}

/* Polls until an answer comes or it is time to sleep: -1 with EAGAIN then. */
static ssize_t poll_for(int fd, void *data, size_t room, int64_t start, bool long_enough)
{
    for (;;) {
        ssize_t received = recv(fd, data, room, MSG_DONTWAIT);
        if (received >= 0 || (errno != EAGAIN && errno != EINTR))
            return received;
        bool alone = atomic_load_explicit(&under_way, memory_order_relaxed) <= 1;
        if (adyton_now_ns() - start > (alone && long_enough ? SPIN_ALONE_NS : SPIN_NS)) {
            errno = EAGAIN;
            return -1;
        }
    }
}

static ssize_t spin_then_sleep(int fd, void *data, size_t room, unsigned function)
{
    ssize_t received = -1;
    int failure = EAGAIN;
    int64_t start = adyton_now_ns();
    if (atomic_fetch_add(&spinning, 1) < cores()) {
        received = poll_for(fd, data, room, start, atomic_load_explicit(&patient[function], memory_order_relaxed));
        failure = errno;
        learn(function, received > 0);
    }
    (void)atomic_fetch_sub(&spinning, 1);
    if (received >= 0 || failure != EAGAIN)
        return received;
    received = adyton_receive_asleep(fd, data, room);
    atomic_store_explicit(&patient[function], adyton_now_ns() - start <= SPIN_ALONE_NS, memory_order_relaxed);
    return received;
}

ssize_t adyton_receive(int fd, void *data, size_t room, unsigned function)
{
    function %= FUNCTIONS;
    /* What pays off for a call that is alone is another matter than for one among several: each learns for itself. */
    if (atomic_fetch_add_explicit(&under_way, 1, memory_order_relaxed) > 0)
        function += FUNCTIONS;
    ssize_t received = worth_it(function) ? spin_then_sleep(fd, data, room, function)
                                          : adyton_receive_asleep(fd, data, room);
    (void)atomic_fetch_sub_explicit(&under_way, 1, memory_order_relaxed);
    return received;
}
