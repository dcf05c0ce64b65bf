/* C_Initialize, C_Finalize and C_GetInfo: the calls that need no engine, and what happens to the library at a fork.
 *
 * C_Initialize neither starts nor reaches for the engine: p11-kit loads and initialises every module in every
 * program, most of which never ask for a slot.
 */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "pkcs11.h"
#include "state.h"

struct adyton_state adyton_state = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .link_free = PTHREAD_COND_INITIALIZER,
    .waiting_free = PTHREAD_COND_INITIALIZER,
    .control = {.fd = -1},
    .links = {[0 ... ADYTON_PLACES - 1] = {.socket = {.fd = -1}}},
};

static pthread_once_t fork_handler_once = PTHREAD_ONCE_INIT;

/* A child inherits no session and no login (the standard's "fork" note in section 5.4): it starts afresh, and must
 * not touch the sockets its parent is still using. Runs in a child of a threaded host: async-signal-safe calls only,
 * besides the renewal of a lock that another thread may have held. */
static void after_fork_in_child(void)
{
    adyton_forget_parent();
}

static void register_fork_handler(void)
{
    (void)pthread_atfork(NULL, NULL, after_fork_in_child);
}

/* Section 5.4: the four callbacks come all together or not at all; pReserved must be NULL. */
static CK_RV check_arguments(const CK_C_INITIALIZE_ARGS *arguments)
{
    if (arguments == NULL)
        return CKR_OK;
    if (arguments->pReserved != NULL)
        return CKR_ARGUMENTS_BAD;
    int given = (arguments->CreateMutex != NULL) + (arguments->DestroyMutex != NULL) +
                (arguments->LockMutex != NULL) + (arguments->UnlockMutex != NULL);
    return given == 0 || given == 4 ? CKR_OK : CKR_ARGUMENTS_BAD;
}

CK_RV C_Initialize(void *pInitArgs)
{
    CK_RV rv = check_arguments(pInitArgs);
    if (rv != CKR_OK)
        return rv;
    (void)pthread_once(&fork_handler_once, register_fork_handler);
    /* A child made by a bare clone() ran no fork handler. */
    if (adyton_state.pid != 0 && adyton_state.pid != getpid())
        adyton_forget_parent();
    (void)pthread_mutex_lock(&adyton_state.lock);
    if (atomic_load(&adyton_state.initialised)) {
        rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
    } else {
        adyton_state.spawn_failed_at = 0;
        adyton_state.pid = getpid();
        adyton_state.began = adyton_now_ns();
        adyton_state.lost_engine = false;
        atomic_store(&adyton_state.initialised, true);
    }
    (void)pthread_mutex_unlock(&adyton_state.lock);
    return rv;
}

CK_RV C_Finalize(void *pReserved)
{
    if (pReserved != NULL)
        return CKR_ARGUMENTS_BAD;
    if (!atomic_load(&adyton_state.initialised))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    int cancellation; /* a thread cancelled at a close() would keep the lock for ever */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    (void)pthread_mutex_lock(&adyton_state.lock);
    CK_RV rv = CKR_CRYPTOKI_NOT_INITIALIZED;
    if (atomic_exchange(&adyton_state.initialised, false)) {
        (void)atomic_fetch_add(&adyton_state.life, 1);
        /* The end of the control connection ends the application at the engine, with sessions and logins. */
        adyton_drop_engine();
        rv = CKR_OK;
    }
    (void)pthread_mutex_unlock(&adyton_state.lock);
    (void)pthread_setcancelstate(cancellation, NULL);
    return rv;
}

/* Fixed-width text of the standard: blank-padded, no terminator (section 3.1, CK_INFO). */
static void pad(CK_UTF8CHAR *field, size_t size, const char *text)
{
    memset(field, ' ', size);
    memcpy(field, text, strlen(text));
}

CK_RV C_GetInfo(CK_INFO *pInfo)
{
    if (!atomic_load(&adyton_state.initialised))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (pInfo == NULL)
        return CKR_ARGUMENTS_BAD;
    memset(pInfo, 0, sizeof *pInfo);
    pInfo->cryptokiVersion = (CK_VERSION){3, 2};
    pInfo->libraryVersion = (CK_VERSION){ADYTON_VERSION_MAJOR, ADYTON_VERSION_MINOR};
    pad(pInfo->manufacturerID, sizeof pInfo->manufacturerID, "Adyton");
    pad(pInfo->libraryDescription, sizeof pInfo->libraryDescription, "Adyton PKCS#11");
    return CKR_OK;
}
