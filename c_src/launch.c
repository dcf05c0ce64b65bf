/* Starts the engine from any host program, and leaves nothing of the host in it.
 *
 * Everything that allocates or may block is done before the fork; between fork and exec only async-signal-safe calls,
 * since the host may have threads. Two forks and a session of its own: the engine is nobody's child, gets no terminal
 * signals, and the host has nothing to wait for but a process that ends at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state.h"

enum { LISTENER_FD = 3, REPORT_FD = 4, FIRST_UNUSED_FD = 5, MOST_FDS = 65536 };

struct plan {
    char python[PATH_MAX], site[PATH_MAX], launcher[PATH_MAX + 32], home[PATH_MAX];
    int listener, report, null, log;
};

static bool runs(const char *path)
{
    return access(path, X_OK) == 0;
}

/* PREFIX/lib/pythonX.Y/site-packages (or dist-packages): the interpreter this package was installed for. */
static bool beside_site(struct plan *plan)
{
    char prefix[PATH_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s", plan->site);
    char *packages = strrchr(prefix, '/');
    if (packages == NULL || (strcmp(packages, "/site-packages") != 0 && strcmp(packages, "/dist-packages") != 0))
        return false;
    bool debian = strcmp(packages, "/dist-packages") == 0; /* its own interpreter's, wherever the folder */
    *packages = '\0';
    char *version = strrchr(prefix, '/');
    if (version == NULL || strncmp(version, "/python", 7) != 0)
        return false;
    char name[64];
    if ((size_t)snprintf(name, sizeof name, "%s", version + 1) >= sizeof name)
        return false;
    *version = '\0';
    char *lib = strrchr(prefix, '/');
    if (!debian && lib != NULL && (strcmp(lib, "/lib") == 0 || strcmp(lib, "/lib64") == 0)) {
        *lib = '\0';
        int length = snprintf(plan->python, sizeof plan->python, "%s/bin/%s", prefix, name);
        if (length > 0 && (size_t)length < sizeof plan->python && runs(plan->python))
            return true;
    }
    const char *folders[] = {"/usr/local/bin", "/usr/bin"};
    for (size_t i = debian ? 1 : 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(plan->python, sizeof plan->python, "%s/%s", folders[i], name);
        if (runs(plan->python))
            return true;
    }
    return false;
}

static bool find_python(int folder, struct plan *plan)
{
    if (adyton_setting(folder, "adyton.conf", "python", plan->python, sizeof plan->python) ||
        adyton_setting(AT_FDCWD, "/etc/adyton/adyton.conf", "python", plan->python, sizeof plan->python))
        return runs(plan->python);
    if (beside_site(plan))
        return true;
    /* A source checkout with its own virtual environment. */
    int length = snprintf(plan->python, sizeof plan->python, "%s/.venv/bin/python", plan->site);
    if (length > 0 && (size_t)length < sizeof plan->python && runs(plan->python))
        return true;
    const char *last[] = {"/usr/local/bin/python3", "/usr/bin/python3"};
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        (void)snprintf(plan->python, sizeof plan->python, "%s", last[i]);
        if (runs(plan->python))
            return true;
    }
    return false;
}

/* The site folder is where pkcs11_shim, and this library in it, really lies: the library may be linked elsewhere. */
static bool find_site(struct plan *plan)
{
    Dl_info where;
    char *real;
    if (dladdr((void *)adyton_launch, &where) == 0 || (real = realpath(where.dli_fname, NULL)) == NULL)
        return false;
    bool fits = strlen(real) < sizeof plan->site;
    if (fits)
        memcpy(plan->site, real, strlen(real) + 1);
    free(real);
    for (int up = 0; fits && up < 2; up++) {
        char *slash = strrchr(plan->site, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    if (!fits)
        return false;
    (void)snprintf(plan->launcher, sizeof plan->launcher, "%s/hsm/server/launcher.py", plan->site);
    return access(plan->launcher, R_OK) == 0;
}

static void close_from(int first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
#endif
    for (int fd = first; fd < MOST_FDS; fd++)
        (void)close(fd);
}

/* Puts a descriptor under a fixed number, without close-on-exec. */
static bool place(int from, int to)
{
    return from == to ? fcntl(to, F_SETFD, 0) == 0 : dup2(from, to) == to;
}

static void reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the engine's process to be: never returns. */
static void become_engine(struct plan *plan, char *const arguments[], char *const environment[])
{
    reset_signals();
    (void)umask(0077);
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    int failure = chdir("/") == 0 ? 0 : errno;
    /* All four were moved above the numbers that they go to, so none overwrites another. */
    if (failure == 0 && place(plan->null, 0) && place(plan->null, 1) && place(plan->log, 2) &&
        place(plan->listener, LISTENER_FD) && dup3(plan->report, REPORT_FD, O_CLOEXEC) == REPORT_FD) {
        close_from(FIRST_UNUSED_FD);
        (void)execve(plan->python, arguments, environment);
        failure = errno;
        (void)!write(REPORT_FD, &failure, sizeof failure);
    } else {
        failure = failure != 0 ? failure : EBADF;
        (void)!write(plan->report, &failure, sizeof failure);
    }
    _exit(127);
}

static int raised(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_UNUSED_FD + 5);
}

static int open_log(int place)
{
    return openat(place, "engine.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Opens what the engine starts with. Each is a duplicate above the fixed numbers, and ours to close. */
static bool open_files(struct plan *plan, int place, int listener, int report)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open_log(place);
    plan->null = raised(null);
    plan->log = raised(log >= 0 ? log : null);
    plan->listener = raised(listener);
    plan->report = raised(report);
    if (null >= 0)
        (void)close(null);
    if (log >= 0)
        (void)close(log);
    return plan->null >= 0 && plan->log >= 0 && plan->listener >= 0 && plan->report >= 0;
}

static void close_files(struct plan *plan)
{
    int *all[] = {&plan->null, &plan->log, &plan->listener, &plan->report};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (*all[i] >= 0)
            (void)close(*all[i]);
}

/* 0 once the interpreter runs, else the errno of the step that failed. Signals are blocked: the host's handlers must
 * not run in a child that shares its descriptors. */
static int fork_twice(struct plan *plan)
{
    char *arguments[] = {plan->python, "-I", plan->launcher, "--home", plan->home, NULL};
    /* The last: freed memory is kept where the engine's sweeper reaches it (hsm/confinement/sweeping.py). */
    char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "LISTEN_FDS=1",
                           "GLIBC_TUNABLES=glibc.malloc.tcache_count=0", NULL};
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* as fork, without anybody's fork handlers */
    if (child == 0) {
        (void)setsid();
        pid_t engine = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (engine == 0)
            become_engine(plan, arguments, environment);
        _exit(engine < 0 ? 1 : 0);
    }
    int failure = child < 0 ? errno : 0;
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

/* What kept the engine from starting, for adyton status. */
static void tell(int place, const char *home, const char *what, const char *about, int failure)
{
    int log = open_log(place);
    if (log < 0)
        return;
    errno = failure; /* for %m */
    (void)dprintf(log, failure != 0 ? "adyton: no engine for %s: %s%s: %m\n" : "adyton: no engine for %s: %s%s\n", home,
                  about, what);
    (void)close(log);
}

static int start(struct plan *plan, int place, int listener)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    int failure = open_files(plan, place, listener, report[1]) ? fork_twice(plan) : EMFILE;
    close_files(plan);
    (void)close(report[1]);
    int told = 0;
    ssize_t got = 0;
    while (failure == 0 && (got = read(report[0], &told, sizeof told)) < 0 && errno == EINTR) {
    }
    (void)close(report[0]);
    return failure != 0 ? failure : (got == sizeof told ? told : 0);
}

int adyton_launch(const char *home, int folder, int place, int listener)
{
    static struct plan plan; /* callers hold the library's lock */
    plan.null = plan.log = plan.listener = plan.report = -1;
    if (strlen(home) >= sizeof plan.home)
        return ENAMETOOLONG;
    memcpy(plan.home, home, strlen(home) + 1);
    if (!find_site(&plan)) {
        tell(place, home, " can't be read: install adyton again", plan.launcher, 0);
        return ENOENT;
    }
    if (!find_python(folder, &plan)) {
        tell(place, home, " can't be run: set python= in adyton.conf to an interpreter that has adyton", plan.python, 0);
        return ENOENT;
    }
    int failure = start(&plan, place, listener);
    if (failure != 0)
        tell(place, home, " can't be started", plan.python, failure);
    return failure;
}
