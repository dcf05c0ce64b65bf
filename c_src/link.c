/* The connections to the engine: a control connection that is the application, and up to ADYTON_LINKS connections
 * that each carry one call at a time. The engine passes every further connection over the first (SCM_RIGHTS), so
 * that a host that has since changed its user or root directory goes on as the application it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pkcs11.h"
#include "grant.h"
#include "link.h"
#include "state.h"
#include "wait.h"

enum { HELLO = 0xFFFF, LINK = 0xFFFE, HEADER = 8, ANSWER_HEADER = 12, CONTROL_FRAME = 512, CONNECT_ATTEMPTS = 3 };
enum { PROTOCOL_MAJOR = 1, PROTOCOL_MINOR = 0 };
enum { GET_SLOT_LIST = 4, GET_SLOT_INFO = 5 };

atomic_int adyton_passing[ADYTON_PASSING_COUNT] = {-1, -1, -1};

static void put_number(unsigned char *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_number(const unsigned char *at, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

/* ---- sockets ---- */

/* A host that has closed its standard descriptors would have a socket of ours there, and print into it. */
static int above_standard(int fd)
{
    if (fd > STDERR_FILENO)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved >= 0)
        (void)close(fd);
    return moved >= 0 ? moved : fd;
}

/* On success `fd` is the socket's, and may have got another number. */
static bool remember(struct adyton_socket *socket, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    *socket = (struct adyton_socket){above_standard(fd), status.st_dev, status.st_ino};
    return true;
}

/* Daemons close every descriptor they don't know; the number may be another file by now, which gets no PIN. */
static bool still_ours(const struct adyton_socket *socket)
{
    struct stat status;
    return socket->fd >= 0 && fstat(socket->fd, &status) == 0 && status.st_dev == socket->device &&
           status.st_ino == socket->inode;
}

static void close_socket(struct adyton_socket *socket)
{
    if (still_ours(socket))
        (void)close(socket->fd);
    socket->fd = -1;
}

void adyton_drop_engine(void)
{
    adyton_grants_forget();
    close_socket(&adyton_state.control);
    for (int i = 0; i < ADYTON_LINKS; i++) {
        struct adyton_link *link = &adyton_state.links[i];
        if (!link->busy) {
            close_socket(&link->socket);
        } else if (!link->stale) {
            link->stale = true;
            if (still_ours(&link->socket))
                (void)shutdown(link->socket.fd, SHUT_RDWR); /* wakes the call, which closes it */
        }
    }
    (void)pthread_cond_broadcast(&adyton_state.link_free);
}

void adyton_forget_parent(void)
{
    atomic_store(&adyton_state.initialised, false);
    adyton_state.pid = 0;
    for (int i = 0; i < ADYTON_PASSING_COUNT; i++) {
        int fd = atomic_exchange(&adyton_passing[i], -1);
        if (fd >= 0)
            (void)close(fd);
    }
    close_socket(&adyton_state.control);
    for (int i = 0; i < ADYTON_LINKS; i++) {
        close_socket(&adyton_state.links[i].socket);
        adyton_state.links[i].busy = false;
        adyton_state.links[i].stale = false;
    }
    adyton_wait_reset();
    adyton_grants_forget_parent();
    (void)pthread_mutex_init(&adyton_state.lock, NULL);
    (void)pthread_cond_init(&adyton_state.link_free, NULL);
}

static bool send_pieces(int fd, struct iovec *pieces, size_t count)
{
    while (count > 0) {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        size_t left = (size_t)sent;
        while (count > 0 && left >= pieces->iov_len) {
            left -= pieces->iov_len;
            pieces++;
            count--;
        }
        if (count > 0) {
            pieces->iov_base = (unsigned char *)pieces->iov_base + left;
            pieces->iov_len -= left;
        }
    }
    return true;
}

static bool send_all(int fd, unsigned char *data, size_t length)
{
    struct iovec piece = {data, length};
    return send_pieces(fd, &piece, 1);
}

/* ---- the control connection: hello, and links ---- */

/* Keeps the first descriptor that ever came, in *passed; closes all others. */
static void take_descriptors(struct msghdr *message, int *passed)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL; item = CMSG_NXTHDR(message, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= item->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
            if (*passed < 0)
                *passed = fd;
            else
                (void)close(fd);
        }
    }
}

/* One message with a time limit; *passed takes the descriptor that came with it (-1 for none). */
static ssize_t receive_within(int fd, unsigned char *data, size_t room, int64_t deadline, int *passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    for (;;) {
        int64_t left = deadline - adyton_now_ms();
        struct pollfd waiting = {fd, POLLIN, 0};
        int ready = left <= 0 ? 0 : poll(&waiting, 1, (int)left);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return -1;
        struct iovec piece = {data, room};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof control};
        ssize_t received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (received < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (received >= 0)
            take_descriptors(&message, passed);
        return received;
    }
}

/* Sends a control request and receives its whole answer. Gives the length of the answer's payload, or -1. */
static ssize_t ask(int fd, unsigned char *frame, size_t length, int *passed)
{
    int64_t deadline = adyton_now_ms() + ADYTON_DEADLINE_MS;
    put_number(frame, length - 4, 4);
    *passed = -1;
    if (!send_all(fd, frame, length))
        return -1;
    size_t have = 0;
    size_t whole = ANSWER_HEADER;
    while (have < whole) {
        ssize_t received = receive_within(fd, frame + have, CONTROL_FRAME - have, deadline, passed);
        if (received <= 0)
            return -1;
        have += (size_t)received;
        if (have >= 4)
            whole = 4 + (size_t)get_number(frame, 4);
        if (whole < ANSWER_HEADER || whole > CONTROL_FRAME || have > whole)
            return -1;
    }
    return (ssize_t)(whole - ANSWER_HEADER);
}

enum greeting { GREETED, REFUSED, GONE };

static enum greeting greet(int fd)
{
    static const unsigned char magic[8] = {'A', 'D', 'Y', 'T', 'O', 'N', 0, 1};
    unsigned char frame[CONTROL_FRAME];
    unsigned char *at = frame + HEADER;
    put_number(frame + 4, HELLO, 4);
    memcpy(at, magic, 8);
    put_number(at + 8, PROTOCOL_MAJOR, 2);
    put_number(at + 10, PROTOCOL_MINOR, 2);
    put_number(at + 12, sizeof(CK_ULONG), 8);
    memcpy(at + 20, adyton_declarations_hash, 32);
    put_number(at + 52, (uint64_t)getpid(), 8);
    put_number(at + 60, sizeof ADYTON_VERSION - 1, 8);
    memcpy(at + 68, ADYTON_VERSION, sizeof ADYTON_VERSION - 1);
    int passed;
    ssize_t length = ask(fd, frame, HEADER + 68 + sizeof ADYTON_VERSION - 1, &passed);
    if (passed >= 0) {
        adyton_grants_page(passed);
        (void)close(passed);
    }
    /* DEVICE_REMOVED: an idle engine of an older version leaves, and makes room for one of ours. */
    if (length < 0 || get_number(frame + 4, 8) == CKR_DEVICE_REMOVED)
        return GONE;
    if (get_number(frame + 4, 8) != CKR_OK || length < 4 || get_number(frame + ANSWER_HEADER, 2) != PROTOCOL_MAJOR)
        return REFUSED;
    return GREETED;
}

/* With the lock held. An engine that leaves when idle may go between our connect and our hello: hence the attempts. */
static CK_RV connect_engine(void)
{
    int64_t now = adyton_now_ms();
    bool may_spawn = adyton_state.spawn_failed_at == 0 || now - adyton_state.spawn_failed_at > 1000;
    for (int attempt = 0; attempt < CONNECT_ATTEMPTS; attempt++) {
        bool spawned = false;
        int fd = adyton_connect_pool(may_spawn, &spawned);
        if (fd < 0)
            return CKR_DEVICE_REMOVED;
        enum greeting greeting = greet(fd);
        if (greeting == GREETED && remember(&adyton_state.control, fd)) {
            atomic_store(&adyton_passing[ADYTON_PASSING_SOCKET], -1);
            adyton_state.spawn_failed_at = 0;
            return CKR_OK;
        }
        atomic_store(&adyton_passing[ADYTON_PASSING_SOCKET], -1);
        (void)close(fd);
        if (greeting == REFUSED)
            return CKR_DEVICE_REMOVED;
        if (spawned) {
            adyton_state.spawn_failed_at = adyton_now_ms();
            return CKR_DEVICE_REMOVED;
        }
    }
    return CKR_DEVICE_REMOVED;
}

/* With the lock held: one more connection, into a free place. */
static CK_RV open_link(struct adyton_link *link)
{
    unsigned char frame[CONTROL_FRAME];
    int fd;
    put_number(frame + 4, LINK, 4);
    if (!still_ours(&adyton_state.control)) {
        adyton_drop_engine();
        return CKR_DEVICE_REMOVED;
    }
    ssize_t length = ask(adyton_state.control.fd, frame, HEADER, &fd);
    if (length < 0) {
        if (fd >= 0)
            (void)close(fd);
        adyton_drop_engine();
        return CKR_DEVICE_REMOVED;
    }
    if (fd < 0) /* refused, or this process has no descriptor left to take it */
        return CKR_HOST_MEMORY;
    if (get_number(frame + 4, 8) != CKR_OK || !remember(&link->socket, fd)) {
        (void)close(fd);
        return CKR_HOST_MEMORY;
    }
    link->stale = false;
    return CKR_OK;
}

/* ---- calls ---- */

static CK_RV take_idle_or_new(int *taken)
{
    int free_place = -1;
    int busy = 0;
    for (int i = 0; i < ADYTON_LINKS; i++) {
        struct adyton_link *link = &adyton_state.links[i];
        busy += link->busy;
        if (!link->busy && link->socket.fd >= 0) {
            if (!still_ours(&link->socket)) {
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
    CK_RV rv = open_link(&adyton_state.links[free_place]);
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
        else if (adyton_state.control.fd < 0 && (rv = connect_engine()) != CKR_OK)
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
        close_socket(&link->socket);
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
    size_t whole = ANSWER_HEADER;
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
            whole = 4 + (size_t)get_number(call->data, 4);
            if (whole < ANSWER_HEADER || whole > ADYTON_MOST_ANSWER || have > whole)
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
    put_number(call->data, call->length - 4 + ahead->length, 4);
    put_number(call->data + 6, ahead->length, 2);
    struct iovec pieces[] = {
        {call->data, HEADER}, {ahead->data, ahead->length}, {call->data + HEADER, call->length - HEADER}};
    return ahead->length > 0 ? send_pieces(fd, pieces, 3) : send_all(fd, call->data, call->length);
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
    call->length = HEADER;
    call->failed = CKR_OK;
    put_number(call->data + 4, function, 4);
    return atomic_load(&adyton_state.initialised);
}

CK_RV adyton_exchange(struct adyton_call *call, unsigned char const **answer, size_t *length)
{
    if (call->failed != CKR_OK)
        return call->failed;
    unsigned function = (unsigned)get_number(call->data + 4, 2);
    *answer = call->data + ANSWER_HEADER;
    *length = 0;
    struct adyton_ahead ahead;
    if (adyton_grants_before(function, call->data + HEADER, call->length - HEADER, &ahead))
        return CKR_OK;
    size_t whole = 0;
    int cancellation; /* a thread cancelled within would keep its link for ever */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    bool unknown;
    CK_RV rv = exchange(call, function, &ahead, &whole, &unknown);
    (void)pthread_setcancelstate(cancellation, NULL);
    *answer = call->data + ANSWER_HEADER;
    if (rv == CKR_OK) {
        *length = whole - ANSWER_HEADER;
        rv = (CK_RV)get_number(call->data + 4, 8);
        /* A sized answer without its bytes is a length only, and the operation goes on. */
        adyton_grants_after(function, &ahead, rv == CKR_OK && (*length < 9 || call->data[ANSWER_HEADER + 8] != 0));
        return rv;
    }
    if (rv == CKR_DEVICE_REMOVED && function == GET_SLOT_LIST && unknown) {
        /* No engine to be had: a library without slots, not a broken one. Programs go on with their other modules. */
        memset(call->data + ANSWER_HEADER, 0, 9); /* a count of none, and no array */
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
