"""A process closes itself before it has anything to hide, and shuts itself in before it hears from anybody.

``close`` is the first thing that the engine and its workers do; ``shut_in`` the last before the first frame is read,
when all that a pool may need is imported, opened or forked, and there is one thread. What the machine can't do is said
in the log and kept in ``FAILED`` for ``adyton status``: the engine serves all the same, and never silently.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import site
import sys
from collections.abc import Iterable

from hsm.confinement import kernel, landlock, seccomp
from hsm.confinement.landlock import DEVICE, READ, Rule

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
# What the interpreter and its libraries may still want: code, the time zone, processes' names of terminal sessions.
_SYSTEM = (
    Rule("/usr", READ), Rule("/lib", READ), Rule("/lib64", READ), Rule("/proc", READ),
    Rule("/etc/ld.so.cache", READ), Rule("/etc/localtime", READ), Rule("/etc/ssl/openssl.cnf", READ),
    Rule("/etc/passwd", READ), Rule("/etc/group", READ), Rule("/etc/nsswitch.conf", READ),
    Rule("/dev/urandom", DEVICE), Rule("/dev/null", DEVICE),
)
FAILED: dict[str, str] = {}  # what could not be put in force: the measure, and why
RULES: list[Rule] = []  # those of landlock that are in force


def close() -> None:
    """No core dumps, no reading of this process's memory, descriptors or environment by others of the same user, no
    rights that a file could bring (prctl(2))."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kernel.prctl(_PR_SET_DUMPABLE, 0)
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def end_with(parent: int) -> None:
    """This process is killed when the thread that forked it ends, however that comes about."""
    kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def interpreter() -> list[Rule]:
    """What Python reads: its own folders, and those of its packages."""
    folders = {*filter(os.path.isdir, sys.path), sys.prefix, sys.base_prefix, *site.PREFIXES}
    narrow = [folder for folder in folders if folder not in ("/", "")]
    return [*_SYSTEM, *(Rule(folder, READ) for folder in sorted(narrow))]


def shut_in(rules: Iterable[Rule], *, spared: frozenset[str] = frozenset()) -> dict[str, str]:
    """Files by landlock, system calls by seccomp. Returns what failed, and why, in words."""
    RULES[:] = [*interpreter(), *rules]
    FAILED.clear()
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if threads > 1:
        FAILED["landlock"] = f"{threads - 1} threads were there already, whom it doesn't bind"
    try:
        landlock.restrict(RULES)
    except OSError as fault:
        FAILED["landlock"] = _landlock_words(fault)
        RULES.clear()
    try:
        words = seccomp.why_not()
        if words:
            FAILED["seccomp"] = words
        else:
            seccomp.install(spared)
    except OSError as fault:
        FAILED["seccomp"] = f"the kernel refuses it: {fault.strerror}"
    return FAILED


def _landlock_words(fault: OSError) -> str:
    if fault.errno == errno.ENOSYS:
        return "this kernel has none (Linux 5.13 and later have, where built with it)"
    if fault.errno == errno.EOPNOTSUPP:
        return "this kernel has it switched off: add landlock to lsm= in its command line"
    return f"the kernel refuses it: {fault.strerror}"


