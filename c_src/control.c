/* The control connection to the engine, which is the application there: hello, and the connections that carry calls,
 * which the engine passes over it (SCM_RIGHTS), so that a host that has since changed its user or root directory goes
 * on as the application it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkcs11.h"
#include "catalog.h"
#include "control.h"
#include "grant.h"
#include "link.h"
#include "state.h"
#include "wait.h"

enum { HELLO = 0xFFFF, LINK = 0xFFFE, CONTROL_FRAME = 512, CONNECT_ATTEMPTS = 3 };
enum { PROTOCOL_MAJOR = 1, PROTOCOL_MINOR = 0 };

atomic_int adyton_passing[ADYTON_PASSING_COUNT] = {-1, -1, -1};

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

bool adyton_still_ours(const struct adyton_socket *socket)
{
    struct stat status;
    return socket->fd >= 0 && fstat(socket->fd, &status) == 0 && status.st_dev == socket->device &&
           status.st_ino == socket->inode;
}

void adyton_close_socket(struct adyton_socket *socket)
{
    if (adyton_still_ours(socket))
        (void)close(socket->fd);
    socket->fd = -1;
}

void adyton_drop_engine(void)
{
    adyton_grants_forget();
    adyton_catalog_forget();
    adyton_state.lost_engine |= adyton_state.control.fd >= 0;
    adyton_close_socket(&adyton_state.control);
    for (int i = 0; i < ADYTON_PLACES; i++) {
        struct adyton_link *link = &adyton_state.links[i];
        if (!link->busy) {
            adyton_close_socket(&link->socket);
        } else if (!link->stale) {
            link->stale = true;
            if (adyton_still_ours(&link->socket))
                (void)shutdown(link->socket.fd, SHUT_RDWR); /* wakes the call, which closes it */
        }
    }
    (void)pthread_cond_broadcast(&adyton_state.link_free);
    (void)pthread_cond_broadcast(&adyton_state.waiting_free);
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
    adyton_close_socket(&adyton_state.control);
    for (int i = 0; i < ADYTON_PLACES; i++) {
        adyton_close_socket(&adyton_state.links[i].socket);
        adyton_state.links[i].busy = false;
        adyton_state.links[i].stale = false;
    }
    adyton_wait_reset();
    adyton_grants_forget_parent();
    adyton_catalog_forget();
    (void)pthread_mutex_init(&adyton_state.lock, NULL);
    (void)pthread_cond_init(&adyton_state.link_free, NULL);
    (void)pthread_cond_init(&adyton_state.waiting_free, NULL);
}

bool adyton_send_pieces(int fd, struct iovec *pieces, size_t count)
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
    adyton_put_number(frame, length - 4, 4);
    *passed = -1;
    struct iovec whole_request = {frame, length};
    if (!adyton_send_pieces(fd, &whole_request, 1))
        return -1;
    size_t have = 0;
    size_t whole = ADYTON_ANSWER_HEADER;
    while (have < whole) {
        ssize_t received = receive_within(fd, frame + have, CONTROL_FRAME - have, deadline, passed);
        if (received <= 0)
            return -1;
        have += (size_t)received;
        if (have >= 4)
            whole = 4 + (size_t)adyton_get_number(frame, 4);
        if (whole < ADYTON_ANSWER_HEADER || whole > CONTROL_FRAME || have > whole)
            return -1;
    }
    return (ssize_t)(whole - ADYTON_ANSWER_HEADER);
}

enum greeting { GREETED, REFUSED, GONE };

static enum greeting greet(int fd)
{
    static const unsigned char magic[8] = {'A', 'D', 'Y', 'T', 'O', 'N', 0, 1};
    unsigned char frame[CONTROL_FRAME];
    unsigned char *at = frame + ADYTON_HEADER;
    adyton_put_number(frame + 4, HELLO, 4);
    memcpy(at, magic, 8);
    adyton_put_number(at + 8, PROTOCOL_MAJOR, 2);
    adyton_put_number(at + 10, PROTOCOL_MINOR, 2);
    adyton_put_number(at + 12, sizeof(CK_ULONG), 8);
    memcpy(at + 20, adyton_declarations_hash, 32);
    adyton_put_number(at + 52, (uint64_t)getpid(), 8);
    adyton_put_number(at + 60, sizeof ADYTON_VERSION - 1, 8);
    memcpy(at + 68, ADYTON_VERSION, sizeof ADYTON_VERSION - 1);
    int passed;
    ssize_t length = ask(fd, frame, ADYTON_HEADER + 68 + sizeof ADYTON_VERSION - 1, &passed);
    if (passed >= 0) {
        adyton_grants_page(passed);
        adyton_catalog_page(passed);
        (void)close(passed);
    }
    /* DEVICE_REMOVED: an idle engine of an older version leaves, and makes room for one of ours. */
    if (length < 0 || adyton_get_number(frame + 4, 8) == CKR_DEVICE_REMOVED)
        return GONE;
    if (adyton_get_number(frame + 4, 8) != CKR_OK || length < 4 || adyton_get_number(frame + ADYTON_ANSWER_HEADER, 2) != PROTOCOL_MAJOR)
        return REFUSED;
    return GREETED;
}

CK_RV adyton_connect_engine(void)
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

CK_RV adyton_open_link(struct adyton_link *link)
{
    unsigned char frame[CONTROL_FRAME];
    int fd;
    adyton_put_number(frame + 4, LINK, 4);
    if (!adyton_still_ours(&adyton_state.control)) {
        adyton_drop_engine();
        return CKR_DEVICE_REMOVED;
    }
    ssize_t length = ask(adyton_state.control.fd, frame, ADYTON_HEADER, &fd);
    if (length < 0) {
        if (fd >= 0)
            (void)close(fd);
        adyton_drop_engine();
        return CKR_DEVICE_REMOVED;
    }
    if (fd < 0) /* refused, or this process has no descriptor left to take it */
        return CKR_HOST_MEMORY;
    if (adyton_get_number(frame + 4, 8) != CKR_OK || !remember(&link->socket, fd)) {
        (void)close(fd);
        return CKR_HOST_MEMORY;
    }
    link->stale = false;
    return CKR_OK;
}
