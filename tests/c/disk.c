/* A layer between a program and its disk, preloaded: what the program writes below a folder is recorded, or fails.
 *
 * DISK_FOLDER names the folder. DISK_RECORD: every write, truncation, sync, and change of names there goes into that file, in
 * order, with what is written to standard output between them, which are the program's acknowledgements. DISK_FAULT: a file of
 * four 32-bit numbers that a test maps too: which calls fail, how many of them are let through before that, with which
 * errno, and how many have failed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAIL_WRITE = 1, FAIL_SYNC = 2, FAIL_READ = 4, FAIL_OPEN = 8, MOST_FILES = 1024 };

struct fault {
    _Atomic uint32_t kinds, left, code, failed;
};

static int record = -1;
static char folder[PATH_MAX];
static struct fault *fault;
static char *names[MOST_FILES]; /* of open files below the folder, by descriptor */

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void)
{
    real_write = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    real_pread = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread64");
    real_read = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
    real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    real_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
    real_rename = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    real_unlink = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    const char *where = getenv("DISK_FOLDER"), *to = getenv("DISK_RECORD"), *from = getenv("DISK_FAULT");
    snprintf(folder, sizeof folder, "%s", where == NULL ? "" : where);
    if (to != NULL)
        record = real_open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (from != NULL) {
        int handle = real_open(from, O_RDWR | O_CLOEXEC);
        void *at = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
        fault = at == MAP_FAILED ? NULL : at;
        real_close(handle);
    }
}

static const char *below(const char *path)
{
    size_t length = strlen(folder);
    return length != 0 && path != NULL && strncmp(path, folder, length) == 0 ? path + length : NULL;
}

static const char *name_of(int handle)
{
    return handle >= 0 && handle < MOST_FILES ? names[handle] : NULL;
}

/* One event: its letter, the file's name, two numbers, and bytes. */
static void tell(char what, const char *name, uint64_t at, const void *bytes, uint64_t length)
{
    if (record < 0)
        return;
    int saved = errno;
    uint64_t head[3] = {strlen(name), at, length};
    char buffer[4096];
    size_t used = 0;
    buffer[used++] = what;
    memcpy(buffer + used, head, sizeof head);
    used += sizeof head;
    memcpy(buffer + used, name, head[0] < 1024 ? head[0] : 1024);
    used += head[0];
    (void)!real_write(record, buffer, used);
    if (bytes != NULL && length != 0)
        (void)!real_write(record, bytes, length);
    errno = saved;
}

static bool fails(uint32_t kind)
{
    if (fault == NULL || (atomic_load(&fault->kinds) & kind) == 0)
        return false;
    if (atomic_load(&fault->left) > 0) {
        atomic_fetch_sub(&fault->left, 1);
        return false;
    }
    atomic_fetch_add(&fault->failed, 1);
    errno = (int)atomic_load(&fault->code);
    return true;
}

static int opened(const char *path, int flags, mode_t mode)
{
    const char *name = below(path);
    bool there = name == NULL || access(path, F_OK) == 0;
    if (name != NULL && fails(FAIL_OPEN))
        return -1;
    int handle = real_open(path, flags, mode);
    if (handle < 0 || name == NULL || handle >= MOST_FILES)
        return handle;
    free(names[handle]);
    names[handle] = strdup(*name == '\0' ? "/" : name);
    if (!there)
        tell('c', name, 0, NULL, 0);
    else if ((flags & O_TRUNC) != 0)
        tell('t', name, 0, NULL, 0);
    return handle;
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return opened(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return opened(path, flags, mode);
}

int close(int handle)
{
    if (name_of(handle) != NULL) {
        free(names[handle]);
        names[handle] = NULL;
    }
    return real_close(handle);
}

ssize_t write(int handle, const void *bytes, size_t length)
{
    const char *name = name_of(handle);
    if (name != NULL && fails(FAIL_WRITE))
        return -1;
    off_t at = name == NULL ? 0 : lseek(handle, 0, SEEK_CUR);
    ssize_t done = real_write(handle, bytes, length);
    if (done > 0 && (name != NULL || handle == STDOUT_FILENO))
        tell(name == NULL ? 'a' : 'w', name == NULL ? "" : name, (uint64_t)at, bytes, (uint64_t)done);
    return done;
}

ssize_t pwrite64(int handle, const void *bytes, size_t length, off_t at)
{
    const char *name = name_of(handle);
    if (name != NULL && fails(FAIL_WRITE))
        return -1;
    ssize_t done = real_pwrite(handle, bytes, length, at);
    if (done > 0 && name != NULL)
        tell('w', name, (uint64_t)at, bytes, (uint64_t)done);
    return done;
}

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t at)
{
    return pwrite64(handle, bytes, length, at);
}

ssize_t pread64(int handle, void *bytes, size_t length, off_t at)
{
    return name_of(handle) != NULL && fails(FAIL_READ) ? -1 : real_pread(handle, bytes, length, at);
}

ssize_t pread(int handle, void *bytes, size_t length, off_t at)
{
    return pread64(handle, bytes, length, at);
}

ssize_t read(int handle, void *bytes, size_t length)
{
    return name_of(handle) != NULL && fails(FAIL_READ) ? -1 : real_read(handle, bytes, length);
}

static int synced(int handle, int (*sync)(int))
{
    const char *name = name_of(handle);
    if (name != NULL && fails(FAIL_SYNC))
        return -1;
    int done = sync(handle);
    if (done == 0 && name != NULL)
        tell('s', name, 0, NULL, 0);
    return done;
}

int fsync(int handle)
{
    return synced(handle, real_fsync);
}

int fdatasync(int handle)
{
    return synced(handle, real_fdatasync);
}

int ftruncate64(int handle, off_t length)
{
    const char *name = name_of(handle);
    if (name != NULL && fails(FAIL_WRITE))
        return -1;
    int done = real_ftruncate(handle, length);
    if (done == 0 && name != NULL)
        tell('t', name, (uint64_t)length, NULL, 0);
    return done;
}

int ftruncate(int handle, off_t length)
{
    return ftruncate64(handle, length);
}

int rename(const char *from, const char *to)
{
    int done = real_rename(from, to);
    const char *old = below(from), *new = below(to);
    if (done == 0 && old != NULL && new != NULL)
        tell('r', old, 0, new, strlen(new));
    return done;
}

int unlink(const char *path)
{
    int done = real_unlink(path);
    const char *name = below(path);
    if (done == 0 && name != NULL)
        tell('u', name, 0, NULL, 0);
    return done;
}
