/* Calls, each on a connection of its own for as long as it takes: a free one is taken, opened where there is none, and
 * given back or closed after the answer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11.h"
#include "catalog.h"
#include "control.h"
#include "grant.h"
#include "link.h"
#include "state.h"
#include "wait.h"

enum { GET_SLOT_LIST = 4, GET_SLOT_INFO = 5, WAIT_FOR_SLOT_EVENT = 67 };

/* A call on its way. */
struct trip {
    unsigned function, life;
    bool blocks;  /* C_WaitForSlotEvent without CKF_DONT_BLOCK: it may take for ever, on a connection of its own */
    bool unknown; /* this process had no engine before, and found none */
    int place;    /* the link that is taken, -1 none yet */
    int cancellation; /* the caller's own state of it */
};

static CK_RV take_idle_or_new(struct trip *trip)
{
    int free_place = -1;
    int busy = 0;
    int end = trip->blocks ? ADYTON_PLACES : ADYTON_LINKS;
    for (int i = trip->blocks ? ADYTON_WAITING : 0; i < end; i++) {
        struct adyton_link *link = &adyton_state.links[i];
        busy += link->busy;
        if (!link->busy && link->socket.fd >= 0) {
            if (!adyton_still_ours(&link->socket)) {
                adyton_drop_engine();
                return CKR_DEVICE_REMOVED;
            }
            trip->place = i;
            return CKR_OK;
        }
        if (!link->busy && free_place < 0)
            free_place = i;
    }
    if (free_place < 0)
        return CKR_OK; /* all busy */
    CK_RV rv = adyton_open_link(&adyton_state.links[free_place]);
    if (rv == CKR_OK)
        trip->place = free_place;
    return rv == CKR_HOST_MEMORY && busy > 0 ? CKR_OK : rv; /* wait for one of those we have */
}

static CK_RV take_link(struct trip *trip)
{
    CK_RV rv = CKR_OK;
    (void)pthread_mutex_lock(&adyton_state.lock);
    trip->life = atomic_load(&adyton_state.life);
    while (rv == CKR_OK && trip->place < 0) {
        if (!atomic_load(&adyton_state.initialised) || atomic_load(&adyton_state.life) != trip->life)
            rv = CKR_CRYPTOKI_NOT_INITIALIZED;
        else if (adyton_state.control.fd < 0 && (rv = adyton_connect_engine()) != CKR_OK)
            trip->unknown = true;
        if (rv == CKR_OK)
            rv = take_idle_or_new(trip);
        if (rv == CKR_OK && trip->place < 0)
            (void)pthread_cond_wait(trip->blocks ? &adyton_state.waiting_free : &adyton_state.link_free,
                                    &adyton_state.lock);
    }
    if (trip->place >= 0)
        adyton_state.links[trip->place].busy = true;
    (void)pthread_mutex_unlock(&adyton_state.lock);
    return rv;
}

enum outcome { ANSWERED, LOST, MALFORMED, NO_ROOM, CANCELLED };

static void give_back(int index, enum outcome outcome)
{
    (void)pthread_mutex_lock(&adyton_state.lock);
    struct adyton_link *link = &adyton_state.links[index];
    bool current = !link->stale;
    link->busy = false;
    link->stale = false;
    if (outcome != ANSWERED || !current)
        adyton_close_socket(&link->socket);
    if (current && (outcome == LOST || outcome == MALFORMED))
        adyton_drop_engine(); /* of this link's own epoch: its successor's links are not stale */
    (void)pthread_cond_signal(index == ADYTON_WAITING ? &adyton_state.waiting_free : &adyton_state.link_free);
    (void)pthread_mutex_unlock(&adyton_state.lock);
}

/* Room for an answer of `whole` bytes of which `have` are here. The request in the old buffer is wiped. */
static bool make_room(struct adyton_call *call, size_t whole, size_t have)
{
    if (whole <= call->capacity)
        return true;
    unsigned char *bigger = malloc(whole);
    if (bigger == NULL)
        return false;
    memcpy(bigger, call->data, have);
    explicit_bzero(call->data, call->length > have ? call->length : have);
    if (call->data != call->inline_buffer)
        free(call->data);
    call->data = bigger;
    call->capacity = whole;
    call->length = whole;
    return true;
}

static void cancelled(void *place)
{
    give_back(*(int *)place, CANCELLED);
}

/* The first bytes of an answer. A call that may block for ever is a cancellation point, as sleeping is. */
static ssize_t receive_first(struct adyton_call *call, int fd, struct trip *trip)
{
    ssize_t received;
    if (!trip->blocks)
        return adyton_receive(fd, call->data, call->capacity, trip->function);
    pthread_cleanup_push(cancelled, &trip->place);
    (void)pthread_setcancelstate(trip->cancellation, NULL);
    received = adyton_receive_asleep(fd, call->data, call->capacity);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
    return received;
}

static enum outcome receive_answer(struct adyton_call *call, int fd, struct trip *trip, size_t *length)
{
    size_t have = 0;
    size_t whole = ADYTON_ANSWER_HEADER;
    bool sized = false;
    while (have < whole) {
        ssize_t received = have == 0 ? receive_first(call, fd, trip)
                                     : adyton_receive_asleep(fd, call->data + have, call->capacity - have);
        if (received <= 0)
            return LOST;
        have += (size_t)received;
        if (have > call->length)
            call->length = have; /* what adyton_end wipes */
        if (!sized && have >= 4) {
            sized = true;
            whole = 4 + (size_t)adyton_get_number(call->data, 4);
            if (whole < ADYTON_ANSWER_HEADER || whole > ADYTON_MOST_ANSWER || have > whole)
                return MALFORMED;
            if (!make_room(call, whole, have))
                return NO_ROOM;
        } else if (have > whole) {
            return MALFORMED;
        }
    }
    *length = whole;
    return ANSWERED;
}

static bool send_call(struct adyton_call *call, int fd, struct adyton_ahead *ahead)
{
    adyton_put_number(call->data, call->length - 4 + ahead->length, 4);
    adyton_put_number(call->data + 6, ahead->length, 2);
    struct iovec whole = {call->data, call->length};
    struct iovec pieces[] = {{call->data, ADYTON_HEADER},
                             {ahead->data, ahead->length},
                             {call->data + ADYTON_HEADER, call->length - ADYTON_HEADER}};
    return ahead->length > 0 ? adyton_send_pieces(fd, pieces, 3) : adyton_send_pieces(fd, &whole, 1);
}

static CK_RV exchange(struct adyton_call *call, struct trip *trip, struct adyton_ahead *ahead, size_t *length)
{
    CK_RV rv = take_link(trip);
    if (rv != CKR_OK)
        return rv;
    /* Nobody else touches a busy link's descriptor but to shut it down. */
    int fd = adyton_state.links[trip->place].socket.fd;
    enum outcome outcome = send_call(call, fd, ahead) ? receive_answer(call, fd, trip, length) : LOST;
    give_back(trip->place, outcome);
    switch (outcome) {
    case ANSWERED:
        return CKR_OK;
    case LOST:
        return atomic_load(&adyton_state.life) == trip->life ? CKR_DEVICE_REMOVED : CKR_CRYPTOKI_NOT_INITIALIZED;
    case NO_ROOM:
        return CKR_HOST_MEMORY;
    default:
        return CKR_DEVICE_ERROR;
    }
}

/* C_Finalize ends a C_WaitForSlotEvent that another thread is inside (section 5.5.4), and a host that unloads the library
 * next has the code taken away that thread returns through. From the first such wait on, the library stays loaded. */
static void stay_loaded(void)
{
    static atomic_bool stays;
    Dl_info here;
    if (!atomic_exchange(&stays, true) && dladdr(&adyton_state, &here) != 0)
        (void)dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

bool adyton_begin(struct adyton_call *call, unsigned function)
{
    call->data = call->inline_buffer;
    call->capacity = sizeof call->inline_buffer;
    call->length = ADYTON_HEADER;
    call->failed = CKR_OK;
    adyton_put_number(call->data + 4, function, 4);
    return atomic_load(&adyton_state.initialised);
}

/* What a call answers that found no engine, or lost it. Sections 5.5.1, 5.5.2 and 5.5.4 list no CKR_DEVICE_REMOVED. */
static CK_RV without_engine(struct adyton_call *call, const struct trip *trip, size_t *length)
{
    switch (trip->function) {
    case GET_SLOT_LIST:
        if (!trip->unknown)
            return CKR_FUNCTION_FAILED;
        /* No engine to be had: a library without slots, not a broken one. Programs go on with their other modules. */
        memset(call->data + ADYTON_ANSWER_HEADER, 0, 9); /* a count of none, and no array */
        *length = 9;
        return CKR_OK;
    case GET_SLOT_INFO:
        return CKR_DEVICE_ERROR;
    case WAIT_FOR_SLOT_EVENT:
        return trip->unknown && !trip->blocks ? CKR_NO_EVENT : CKR_FUNCTION_FAILED;
    default:
        return CKR_DEVICE_REMOVED;
    }
}

/* What the engine is told of a C_WaitForSlotEvent: CKF_DONT_BLOCK, and above it since when events are new to this
 * application. With an engine that followed another everything is: what is behind its slots went and came back. */
uint64_t adyton_events_since(CK_FLAGS flags)
{
    (void)pthread_mutex_lock(&adyton_state.lock);
    uint64_t since = adyton_state.lost_engine ? 0 : (uint64_t)adyton_state.began;
    (void)pthread_mutex_unlock(&adyton_state.lock);
    return since << 1 | (flags & CKF_DONT_BLOCK);
}

CK_RV adyton_exchange(struct adyton_call *call, unsigned char const **answer, size_t *length)
{
    if (call->failed != CKR_OK)
        return call->failed;
    unsigned function = (unsigned)adyton_get_number(call->data + 4, 2);
    *answer = call->data + ADYTON_ANSWER_HEADER;
    *length = 0;
    CK_RV told;
    size_t begin = call->length; /* behind the request */
    size_t known = adyton_catalog_answers(function, call->data + ADYTON_HEADER, begin - ADYTON_HEADER,
                                          call->data + begin, call->capacity - begin, &told);
    if (known > 0) {
        *answer = call->data + begin;
        *length = known;
        return told;
    }
    struct adyton_ahead ahead;
    if (adyton_grants_before(function, call->data + ADYTON_HEADER, call->length - ADYTON_HEADER, &ahead))
        return CKR_OK;
    size_t whole = 0;
    struct trip trip = {.function = function, .place = -1};
    trip.blocks = function == WAIT_FOR_SLOT_EVENT && (call->data[ADYTON_HEADER] & CKF_DONT_BLOCK) == 0;
    /* A thread cancelled within would keep its link for ever. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &trip.cancellation);
    if (trip.blocks)
        stay_loaded();
    CK_RV rv = exchange(call, &trip, &ahead, &whole);
    (void)pthread_setcancelstate(trip.cancellation, NULL);
    *answer = call->data + ADYTON_ANSWER_HEADER;
    if (rv == CKR_OK) {
        *length = whole - ADYTON_ANSWER_HEADER;
        rv = (CK_RV)adyton_get_number(call->data + 4, 8);
        /* A sized answer without its bytes is a length only, and the operation goes on. */
        adyton_grants_after(function, &ahead, rv == CKR_OK && (*length < 9 || call->data[ADYTON_ANSWER_HEADER + 8] != 0));
        return rv;
    }
    return rv == CKR_DEVICE_REMOVED ? without_engine(call, &trip, length) : rv;
}

void adyton_end(struct adyton_call *call)
{
    if (call->data != call->inline_buffer) {
        explicit_bzero(call->data, call->length < call->capacity ? call->length : call->capacity);
        free(call->data);
        call->data = call->inline_buffer;
        call->length = sizeof call->inline_buffer;
    }
    explicit_bzero(call->inline_buffer,
                   call->length < sizeof call->inline_buffer ? call->length : sizeof call->inline_buffer);
}
