/* Calls, each on a connection of its own for as long as it takes: a free one is taken, opened where there is none, and
 * given back or closed after the answer.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "pkcs11.h"
#include "control.h"
#include "grant.h"
#include "link.h"
#include "state.h"
#include "wait.h"

enum { GET_SLOT_LIST = 4, GET_SLOT_INFO = 5 };

static CK_RV take_idle_or_new(int *taken)
{
    int free_place = -1;
    int busy = 0;
    for (int i = 0; i < ADYTON_LINKS; i++) {
        struct adyton_link *link = &adyton_state.links[i];
        busy += link->busy;
        if (!link->busy && link->socket.fd >= 0) {
            if (!adyton_still_ours(&link->socket)) {
                adyton_drop_engine();
                return CKR_DEVICE_REMOVED;
            }
            *taken = i;
            return CKR_OK;
        }
        if (!link->busy && free_place < 0)
            free_place = i;
    }
    if (free_place < 0)
        return CKR_OK; /* all busy */
    CK_RV rv = adyton_open_link(&adyton_state.links[free_place]);
    if (rv == CKR_OK)
        *taken = free_place;
    return rv == CKR_HOST_MEMORY && busy > 0 ? CKR_OK : rv; /* wait for one of those we have */
}

/* *unknown: this process had no engine before, and found none. */
static CK_RV take_link(int *taken, bool *unknown)
{
    CK_RV rv = CKR_OK;
    *taken = -1;
    *unknown = false;
    (void)pthread_mutex_lock(&adyton_state.lock);
    while (rv == CKR_OK && *taken < 0) {
        if (!atomic_load(&adyton_state.initialised))
            rv = CKR_CRYPTOKI_NOT_INITIALIZED;
        else if (adyton_state.control.fd < 0 && (rv = adyton_connect_engine()) != CKR_OK)
            *unknown = true;
        if (rv == CKR_OK)
            rv = take_idle_or_new(taken);
        if (rv == CKR_OK && *taken < 0)
            (void)pthread_cond_wait(&adyton_state.link_free, &adyton_state.lock);
    }
    if (*taken >= 0)
        adyton_state.links[*taken].busy = true;
    (void)pthread_mutex_unlock(&adyton_state.lock);
    return rv;
}

enum outcome { ANSWERED, LOST, MALFORMED, NO_ROOM };

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
    (void)pthread_cond_signal(&adyton_state.link_free);
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

static enum outcome receive_answer(struct adyton_call *call, int fd, unsigned function, size_t *length)
{
    size_t have = 0;
    size_t whole = ADYTON_ANSWER_HEADER;
    bool sized = false;
    while (have < whole) {
        ssize_t received = adyton_receive(fd, call->data + have, call->capacity - have, function, have == 0);
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

static CK_RV exchange(struct adyton_call *call, unsigned function, struct adyton_ahead *ahead, size_t *length,
                      bool *unknown)
{
    int index;
    CK_RV rv = take_link(&index, unknown);
    if (rv != CKR_OK)
        return rv;
    /* Nobody else touches a busy link's descriptor but to shut it down. */
    int fd = adyton_state.links[index].socket.fd;
    enum outcome outcome =
        send_call(call, fd, ahead) ? receive_answer(call, fd, function, length) : LOST;
    give_back(index, outcome);
    switch (outcome) {
    case ANSWERED:
        return CKR_OK;
    case LOST:
        return atomic_load(&adyton_state.initialised) ? CKR_DEVICE_REMOVED : CKR_CRYPTOKI_NOT_INITIALIZED;
    case NO_ROOM:
        return CKR_HOST_MEMORY;
    default:
        return CKR_DEVICE_ERROR;
    }
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

CK_RV adyton_exchange(struct adyton_call *call, unsigned char const **answer, size_t *length)
{
    if (call->failed != CKR_OK)
        return call->failed;
    unsigned function = (unsigned)adyton_get_number(call->data + 4, 2);
    *answer = call->data + ADYTON_ANSWER_HEADER;
    *length = 0;
    struct adyton_ahead ahead;
    if (adyton_grants_before(function, call->data + ADYTON_HEADER, call->length - ADYTON_HEADER, &ahead))
        return CKR_OK;
    size_t whole = 0;
    int cancellation; /* a thread cancelled within would keep its link for ever */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    bool unknown;
    CK_RV rv = exchange(call, function, &ahead, &whole, &unknown);
    (void)pthread_setcancelstate(cancellation, NULL);
    *answer = call->data + ADYTON_ANSWER_HEADER;
    if (rv == CKR_OK) {
        *length = whole - ADYTON_ANSWER_HEADER;
        rv = (CK_RV)adyton_get_number(call->data + 4, 8);
        /* A sized answer without its bytes is a length only, and the operation goes on. */
        adyton_grants_after(function, &ahead, rv == CKR_OK && (*length < 9 || call->data[ADYTON_ANSWER_HEADER + 8] != 0));
        return rv;
    }
    if (rv == CKR_DEVICE_REMOVED && function == GET_SLOT_LIST && unknown) {
        /* No engine to be had: a library without slots, not a broken one. Programs go on with their other modules. */
        memset(call->data + ADYTON_ANSWER_HEADER, 0, 9); /* a count of none, and no array */
        *length = 9;
        return CKR_OK;
    }
    /* Two functions that may not answer CKR_DEVICE_REMOVED (sections 5.5.1 and 5.5.2). */
    if (rv == CKR_DEVICE_REMOVED && function == GET_SLOT_LIST)
        return CKR_FUNCTION_FAILED;
    if (rv == CKR_DEVICE_REMOVED && function == GET_SLOT_INFO)
        return CKR_DEVICE_ERROR;
    return rv;
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
