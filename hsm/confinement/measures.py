"""Each measure that keeps the engine to itself: what is wanted, what is in force, how that is known, and what to do.

Read from the kernel when somebody asks, not remembered from the start; one row a measure.
"""

from __future__ import annotations

import os
import resource
import stat
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from hsm.confinement import kernel, landlock, process
from hsm.confinement.arena import ARENA
from hsm.confinement.sweeping import ENVIRONMENT, SWEEPER

YES, PARTLY, NO = "yes", "partly", "no"
_PR_GET_DUMPABLE = 3
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class Found(NamedTuple):
    state: str
    words: str
    remedy: str = ""


class Measure(NamedTuple):
    """``ours``: whether the engine itself puts it in force, so that its absence is a problem and not advice."""

    name: str
    wanted: str
    known_by: str
    look: Callable[[], Found]
    ours: bool = True


def _status(field: str) -> str:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:")), "")
    except OSError:
        return ""


def _unreadable() -> Found:
    dumpable = kernel.prctl(_PR_GET_DUMPABLE)
    words = "readable by programs of this user" if dumpable == 1 else "closed to other programs of this user"
    return Found(NO if dumpable == 1 else YES, words, "adyton stop; if a new engine says so too, please report it")


def _no_core() -> Found:
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    words = f"limit {limits[0]}, which may be raised to {limits[1]}"
    return Found(YES if limits == (0, 0) else NO, words, "adyton stop")


def _no_new_rights() -> Found:
    told = _status("NoNewPrivs")
    return Found(YES if told == "1" else NO, f"NoNewPrivs {told or 'not told'}", "adyton stop")


def _system_calls() -> Found:
    told = _status("Seccomp")
    if told == "2":
        return Found(YES, f"filtered; {_status('Seccomp_filters') or 'some'} filters")
    why = process.FAILED.get("seccomp", f"Seccomp {told or 'not told'}")
    return Found(NO, why, "run it on a kernel with seccomp, on x86-64 or AArch64")


def _files() -> Found:
    if not process.RULES or "landlock" in process.FAILED:
        why = process.FAILED.get("landlock", "this engine was started without")
        return Found(NO, why, "run it on Linux 5.13 or later, with landlock among the lsm= of its command line")
    version = landlock.abi()
    writable = [rule.path for rule in process.RULES if rule.rights & landlock.WRITE & ~landlock.DEVICE & ~landlock.READ]
    others = len(process.RULES) - len(writable)
    words = f"ABI {version}; writes beneath {', '.join(writable)}; reads {others} other places"
    lacking = landlock.missing(version)
    if lacking:
        return Found(PARTLY, f"{words}; not ruled: {'; '.join(lacking)}", "a later kernel rules these too (Linux 6.12)")
    return Found(YES, words)


def _key_memory() -> Found:
    if not ARENA.kind:
        return Found(YES, "there is no key yet")
    locked = _status("VmLck") or "not told"
    words = f"{ARENA.kind}: {ARENA.held} keys in {ARENA.bytes >> 10} KiB; locked in all: {locked}"
    if ARENA.locked:
        return Found(YES, words)
    return Found(NO, f"{words}; {ARENA.failed}", "raise the limit of locked memory: ulimit -l, LimitMEMLOCK= of a unit")


def _freed() -> Found:
    if not SWEEPER.running:
        return Found(NO, "nobody sweeps it", "adyton stop: the next engine does")
    words = f"overwritten within a second of the last logout; {SWEEPER.swept} times so far"
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        setting = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
        return Found(PARTLY, f"{words}; but not what threads keep aside", f"start the engine with {setting}")
    return Found(YES, words)


def _isolated() -> Found:
    if not sys.flags.isolated:
        return Found(NO, "PYTHON* variables and the working folder count", "let the library or adyton serve start it")
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for place in (package, os.path.dirname(package), os.path.realpath(sys.executable)):
        status = os.stat(place)
        if status.st_mode & stat.S_IWOTH or status.st_uid not in (0, os.geteuid()):
            return Found(NO, f"other users may write to {place}", "chmod o-w, and let root or yourself own it")
        if status.st_mode & stat.S_IWGRP:
            return Found(PARTLY, f"the members of group {status.st_gid} may write to {place}", "chmod g-w")
    return Found(YES, f"{sys.executable} -I; only its owner and root may change what runs")


def _tracing() -> Found:
    try:
        with open(_YAMA, encoding="ascii") as file:
            scope = file.read().strip()
    except OSError:
        return Found(NO, "the kernel has no Yama", "programs that hold PINs can be read by others of their user")
    remedy = "sysctl kernel.yama.ptrace_scope=1 keeps programs that hold PINs from others of their user"
    return Found(YES if scope != "0" else NO, f"ptrace_scope {scope}", remedy)


def _own_user() -> Found:
    if os.geteuid():
        return Found(YES, f"user {os.geteuid()}")
    return Found(NO, "root: who takes over the engine has the machine", "adyton serve --system has a user of its own")


MEASURES = (
    Measure("memory closed", "no program of the same user reads or traces the engine", "prctl(PR_GET_DUMPABLE)",
            _unreadable),
    Measure("no core dumps", "a crash writes no memory to a disk", "getrlimit(RLIMIT_CORE)", _no_core),
    Measure("no new rights", "no file run from here brings any", "/proc/self/status, NoNewPrivs", _no_new_rights),
    Measure("system calls", "no programs, processes, signals to others, tracing, sockets but unix ones",
            "/proc/self/status, Seccomp", _system_calls),
    Measure("files", "only the pool's, the sinks' and, to read, the interpreter's", "landlock's ABI and rules", _files),
    Measure("key memory", "the engine's own keys are never swapped, dumped or inherited", "the arena; VmLck",
            _key_memory),
    Measure("freed memory", "what calls leave behind of keys and PINs is gone a second after the last logout",
            "the sweeper; the environment", _freed),
    Measure("what runs", "isolated from the environment, and not for others to change", "sys.flags; modes and owners",
            _isolated),
    Measure("own user", "an engine is nobody with rights to lose", "geteuid", _own_user, ours=False),
    Measure("tracing", "programs of one user don't trace each other", _YAMA, _tracing, ours=False),
)


def look() -> list[dict[str, Any]]:
    rows = []
    for measure in MEASURES:
        found = measure.look()
        rows.append({
            "measure": measure.name, "wanted": measure.wanted, "in_force": found.state, "found": found.words,
            "known_by": measure.known_by, "remedy": "" if found.state == YES else found.remedy, "ours": measure.ours,
        })
    return rows


def problems(rows: list[dict[str, Any]]) -> list[str]:
    """What the engine should have put in force, and could not."""
    return [
        f"not in force: {row['measure']}: {row['found']}. Mend it: {row['remedy']}"
        for row in rows if row["ours"] and row["in_force"] == NO
    ]
