/* Which pool this process uses, and a connected socket to its engine, started here where none runs.
 *
 * ADYTON_HOME, then home= in /etc/adyton/adyton.conf, then the system pool if its socket lets us in, then the user's
 * data folder. Who listens there will be told PINs, so the folder must be one that nobody else could have put a socket
 * into: our own, or one that root named. One engine a pool: the lock file is held while the socket is bound and the
 * engine spawned, so that of any number of clients that start together one spawns and the others connect. Socket, lock
 * and log lie in the pool's folder; where its disk is read-only, in a folder of the user's runtime directory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "state.h"

#define SYSTEM_FOLDER "/run/adyton"
#define SYSTEM_SETTINGS "/etc/adyton/adyton.conf"

enum { BACKLOG = 128, LOCK_TRIES = 200, LOCK_PAUSE_US = 10 * 1000 };

static void passing(enum adyton_passing what, int fd)
{
    atomic_store(&adyton_passing[what], fd);
}

/* A socket name may have 107 bytes, a folder's path more: the folder's descriptor makes any path short. */
static void address_of(int folder, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    (void)snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/socket", folder);
}

static int connect_in(int folder)
{
    struct sockaddr_un address;
    address_of(folder, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    passing(ADYTON_PASSING_SOCKET, fd);
    int rc;
    do
        rc = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return fd;
    passing(ADYTON_PASSING_SOCKET, -1);
    (void)close(fd);
    return -1;
}

static int open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool make_folders(const char *path)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return false;
    for (size_t i = 1; path[i - 1] != '\0'; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

struct pool {
    char path[PATH_MAX];
    bool by_root; /* root said so: it may be another user's */
    bool served;  /* by the machine, never started from here */
};

enum ownership { OURS, NAMED_BY_ROOT, NOT_SAFE };

static enum ownership ownership_of(int folder, const struct pool *pool)
{
    struct stat status;
    if (fstat(folder, &status) != 0 || (status.st_mode & 0022) != 0)
        return NOT_SAFE;
    if (status.st_uid == geteuid())
        return OURS;
    return pool->by_root || geteuid() == 0 ? NAMED_BY_ROOT : NOT_SAFE;
}

static bool home_folder(char *path, size_t size)
{
    const char *data = secure_getenv("XDG_DATA_HOME");
    if (data != NULL && data[0] == '/')
        return (size_t)snprintf(path, size, "%s/adyton", data) < size;
    const char *home = secure_getenv("HOME");
    struct passwd entry;
    struct passwd *found = NULL;
    char text[4096];
    if (home == NULL || home[0] != '/') {
        if (getpwuid_r(geteuid(), &entry, text, sizeof text, &found) != 0 || found == NULL)
            return false;
        home = found->pw_dir;
    }
    return (size_t)snprintf(path, size, "%s/.local/share/adyton", home) < size;
}

static bool which_pool(struct pool *pool)
{
    const char *named = secure_getenv("ADYTON_HOME");
    bool found = true;
    pool->by_root = false;
    if (named != NULL && named[0] != '\0') { /* a relative one would be another pool in every folder: none, then */
        found = named[0] == '/' && (size_t)snprintf(pool->path, sizeof pool->path, "%s", named) < sizeof pool->path;
    } else if (adyton_setting(AT_FDCWD, SYSTEM_SETTINGS, "home", pool->path, sizeof pool->path) &&
               pool->path[0] == '/') {
        pool->by_root = true;
    } else if (faccessat(AT_FDCWD, SYSTEM_FOLDER "/socket", W_OK, AT_EACCESS) == 0) {
        (void)snprintf(pool->path, sizeof pool->path, "%s", SYSTEM_FOLDER);
    } else {
        found = home_folder(pool->path, sizeof pool->path);
    }
    pool->served = found && strcmp(pool->path, SYSTEM_FOLDER) == 0;
    pool->by_root = pool->by_root || pool->served; /* only root makes folders in /run */
    return found;
}

static bool on_read_only_disk(int folder)
{
    struct statvfs disk;
    return fstatvfs(folder, &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0;
}

/* The place of the socket while the pool's disk is read-only; `make` it where it is not there. -1: none. */
static int runtime_folder(int folder, bool make)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];
    struct stat status;
    if (runtime == NULL || runtime[0] != '/' || fstat(folder, &status) != 0 ||
        (size_t)snprintf(path, sizeof path, "%s/adyton-%jx-%jx", runtime, (uintmax_t)status.st_dev,
                         (uintmax_t)status.st_ino) >= sizeof path)
        return -1;
    if (make)
        (void)mkdir(path, 0700);
    int opened = open_folder(path);
    if (opened >= 0 && (fstat(opened, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 0022) != 0)) {
        (void)close(opened);
        opened = -1;
    }
    return opened;
}

/* Waits for the others who are just starting the engine, but never for ever. */
static int take_lock(int folder)
{
    int lock = openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return -1;
    passing(ADYTON_PASSING_LOCK, lock);
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(lock, LOCK_EX | LOCK_NB) == 0)
            return lock;
        (void)usleep(LOCK_PAUSE_US);
    }
    passing(ADYTON_PASSING_LOCK, -1);
    (void)close(lock);
    return -1;
}

static int listen_in(int folder)
{
    struct sockaddr_un address;
    address_of(folder, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    passing(ADYTON_PASSING_LISTENER, fd);
    (void)unlinkat(folder, "socket", 0);
    /* The folder is 0700, so nobody gets in between bind and chmod. */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && fchmodat(folder, "socket", 0600, 0) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    passing(ADYTON_PASSING_LISTENER, -1);
    (void)close(fd);
    return -1;
}

static int spawn_in(const char *home, int folder, int place, bool *spawned)
{
    int lock = take_lock(place);
    if (lock < 0)
        return -1;
    int fd = connect_in(place); /* somebody was faster */
    int listener = fd < 0 ? listen_in(place) : -1;
    if (listener >= 0) {
        if (adyton_launch(home, folder, place, listener) == 0) {
            *spawned = true;
            fd = connect_in(place); /* queued until the engine accepts */
        }
        passing(ADYTON_PASSING_LISTENER, -1);
        (void)close(listener);
    }
    passing(ADYTON_PASSING_LOCK, -1);
    (void)close(lock);
    return fd;
}

/* Beside the pool's own socket: an engine of the time when the disk was read-only, or a new one. */
static int connect_or_spawn(const char *home, int folder, bool may_spawn, bool *spawned)
{
    bool elsewhere = on_read_only_disk(folder);
    int runtime = runtime_folder(folder, elsewhere && may_spawn);
    int fd = runtime >= 0 ? connect_in(runtime) : -1;
    if (fd < 0 && may_spawn && !(elsewhere && runtime < 0))
        fd = spawn_in(home, folder, elsewhere ? runtime : folder, spawned);
    if (runtime >= 0)
        (void)close(runtime);
    return fd;
}

int adyton_connect_pool(bool may_spawn, bool *spawned)
{
    static struct pool pool; /* callers hold the library's lock */
    *spawned = false;
    if (!which_pool(&pool))
        return -1;
    int folder = open_folder(pool.path);
    may_spawn = may_spawn && getauxval(AT_SECURE) == 0 && !pool.served;
    if (folder < 0 && may_spawn && make_folders(pool.path))
        folder = open_folder(pool.path);
    if (folder < 0)
        return -1;
    enum ownership ownership = ownership_of(folder, &pool);
    int fd = ownership != NOT_SAFE ? connect_in(folder) : -1;
    if (fd < 0 && ownership == OURS)
        fd = connect_or_spawn(pool.path, folder, may_spawn, spawned);
    (void)close(folder);
    return fd;
}
