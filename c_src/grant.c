/* One trip for an Init and its operation. Most programs sign in one loop: the same C_SignInit with the same key, then
 * C_Sign. Once the engine has said yes to an Init, a *grant* stands: while the engine's epoch is unchanged and no
 * operation of that kind is active in the session, the same Init is answered here, kept, and goes ahead of the
 * session's next call in that call's own frame. The engine checks all of it again; where it says no then, something
 * has happened since Init, and the operation is over (CKR_OPERATION_NOT_INITIALIZED), as after any such event.
 *
 * The epoch is a number in a page that the engine alone can write. It moves before anything is answered that an Init's
 * verdict depends on: logins, logouts, changed or destroyed keys. What this process does itself is watched here.
 */
#define _GNU_SOURCE
#include "grant.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkcs11.h"
#include "state.h"

enum { GRANTS = 64, PAGE = 4096, NO_PARAMETER = 1 };

struct grant {
    uint64_t session, key, epoch;
    unsigned function;
    bool standing; /* said yes to, and no such operation is active */
    bool pending;  /* answered here, not yet told to the engine */
    size_t length;
    unsigned char payload[ADYTON_GRANT_MOST];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct grant grants[GRANTS];
static const _Atomic uint64_t *page;
static atomic_int pending;

static uint64_t number(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Called with the lock held. */
static void forget(void)
{
    if (page != NULL)
        (void)munmap((void *)page, PAGE);
    page = NULL;
    memset(grants, 0, sizeof grants);
    atomic_store(&pending, 0);
}

void adyton_grants_forget(void)
{
    (void)pthread_mutex_lock(&lock);
    forget();
    (void)pthread_mutex_unlock(&lock);
}

void adyton_grants_forget_parent(void)
{
    (void)pthread_mutex_init(&lock, NULL);
    forget();
}

/* A page that could shrink would end the host by SIGBUS: without its seal it is not mapped. */
void adyton_grants_page(int fd)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    void *mapped = MAP_FAILED;
    if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &status) == 0 && status.st_size >= PAGE)
        mapped = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    (void)pthread_mutex_lock(&lock);
    forget();
    page = mapped == MAP_FAILED ? NULL : mapped;
    (void)pthread_mutex_unlock(&lock);
}

static struct grant *grant_of(uint64_t session, unsigned function)
{
    return &grants[(session * 8 + function) % GRANTS];
}

static void drop(struct grant *grant)
{
    if (!grant->pending)
        grant->standing = false;
}

/* Whether the engine's verdict on this Init can stand: a mechanism is given, and no parameter that must be fresh. */
static bool may_be_granted(unsigned function, const unsigned char *payload, size_t length)
{
    if (page == NULL || length < 17 || length > ADYTON_GRANT_MOST || payload[8] == 0)
        return false;
    bool fresh = (adyton_functions[function].kinds & (ADYTON_ENCRYPT | ADYTON_DECRYPT)) != 0 ||
                 number(payload + 9) == CKM_AES_GMAC;
    return payload[8] == NO_PARAMETER || !fresh;
}

static bool is(const struct grant *grant, uint64_t session, unsigned function)
{
    return grant->session == session && grant->function == function;
}

/* What is pending in this session goes ahead of this call. */
static void take_pending(uint64_t session, struct adyton_ahead *ahead)
{
    for (int i = 0; i < GRANTS && atomic_load_explicit(&pending, memory_order_relaxed) > 0; i++) {
        struct grant *grant = &grants[i];
        if (!grant->pending || grant->session != session || ahead->length + 4 + grant->length > sizeof ahead->data)
            continue;
        unsigned char *at = ahead->data + ahead->length;
        at[0] = (unsigned char)grant->length;
        at[1] = (unsigned char)(grant->length >> 8);
        at[2] = (unsigned char)grant->function;
        at[3] = (unsigned char)(grant->function >> 8);
        memcpy(at + 4, grant->payload, grant->length);
        ahead->length += 4 + grant->length;
        grant->pending = false;
        (void)atomic_fetch_sub(&pending, 1);
    }
}

static bool begin(unsigned function, const unsigned char *payload, size_t length, struct adyton_ahead *ahead)
{
    uint64_t session = number(payload);
    struct grant *grant = grant_of(session, function);
    if (!may_be_granted(function, payload, length))
        return false;
    uint64_t epoch = atomic_load_explicit(page, memory_order_acquire);
    if (is(grant, session, function) && grant->standing && grant->epoch == epoch && grant->length == length &&
        memcmp(grant->payload, payload, length) == 0) {
        grant->standing = false;
        grant->pending = true;
        (void)atomic_fetch_add(&pending, 1);
        return true;
    }
    ahead->epoch = epoch;
    ahead->init_length = length;
    memcpy(ahead->init, payload, length);
    return false;
}

/* What this call ends or makes doubtful. */
static void watch(unsigned function, const unsigned char *payload, size_t length)
{
    const struct adyton_function *row = &adyton_functions[function];
    if (row->part == ADYTON_WHOLE || (row->kinds == 0 && row->part != ADYTON_DESTROYS))
        return;
    for (int i = 0; i < GRANTS; i++) {
        struct grant *grant = &grants[i];
        bool same = row->of_session && grant->session == number(payload);
        bool touched = !row->of_session || (same && (adyton_functions[grant->function].kinds & row->kinds) != 0);
        bool destroyed = row->part == ADYTON_DESTROYS && length >= 16 && grant->key == number(payload + 8);
        if (touched || destroyed)
            drop(grant);
    }
}

bool adyton_grants_before(unsigned function, const unsigned char *payload, size_t length, struct adyton_ahead *ahead)
{
    ahead->length = ahead->init_length = 0;
    if (function >= ADYTON_FUNCTIONS || length < 8)
        return false;
    const struct adyton_function *row = &adyton_functions[function];
    (void)pthread_mutex_lock(&lock);
    bool answered = row->part == ADYTON_BEGINS && begin(function, payload, length, ahead);
    if (!answered) {
        if (row->of_session && atomic_load_explicit(&pending, memory_order_relaxed) > 0)
            take_pending(number(payload), ahead);
        watch(function, payload, length);
        ahead->session = number(payload);
    }
    (void)pthread_mutex_unlock(&lock);
    return answered;
}

static void earn(unsigned function, const struct adyton_ahead *ahead)
{
    struct grant *grant = grant_of(ahead->session, function);
    if (grant->pending || page == NULL)
        return;
    size_t keyed = adyton_functions[function].kinds == ADYTON_DIGEST ? 0 : 8;
    grant->session = ahead->session;
    grant->key = keyed != 0 ? number(ahead->init + ahead->init_length - keyed) : 0;
    grant->epoch = ahead->epoch;
    grant->function = function;
    grant->standing = false; /* an operation is active: it stands from that one's end */
    grant->length = ahead->init_length;
    memcpy(grant->payload, ahead->init, ahead->init_length);
}

void adyton_grants_after(unsigned function, const struct adyton_ahead *ahead, bool ended)
{
    const struct adyton_function *row = function < ADYTON_FUNCTIONS ? &adyton_functions[function] : NULL;
    bool earned = row != NULL && row->part == ADYTON_BEGINS && ended && ahead->init_length > 0;
    if (row == NULL || !(earned || row->part == ADYTON_WHOLE))
        return;
    (void)pthread_mutex_lock(&lock);
    if (earned) {
        earn(function, ahead);
    } else {
        struct grant *grant = grant_of(ahead->session, row->begun_by);
        if (is(grant, ahead->session, row->begun_by) && !grant->pending)
            grant->standing = ended;
    }
    (void)pthread_mutex_unlock(&lock);
}
