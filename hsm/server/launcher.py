"""The engine's door: started by the library, by ``adyton serve`` or by systemd, with the listening socket as fd 3.

Run as ``python -I launcher.py --home FOLDER``; it adds the one site folder it lies in to the path, closes the process
to others, opens the pool, shuts itself in and serves. What keeps it from that is said in its log. Imports little
before: a cold start is a feature.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsm.audit.sinks import Sinks, Spec
    from hsm.config import EngineSettings
    from hsm.pool import Pool
    from hsm.server.listener import Listener

SITE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LARGEST_LOG = 1 << 20


def _parent(pid: int) -> int:
    """A descriptor of the process that started a throw-away engine."""
    watched = os.pidfd_open(pid)
    if os.getppid() != pid:
        raise SystemExit("adyton: who started this engine is gone already")
    return watched


def _leave_with(watched: int, home: str) -> None:
    """A throw-away engine ends with the process that started it, however that ends, and takes its folder along."""
    import select
    import shutil
    import threading

    def watch() -> None:
        select.select([watched], [], [])
        shutil.rmtree(home, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _arguments(argv: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("--home", "--idle", "--parent", "--listen") and rest:
            found[word[2:]] = rest.pop(0)
        elif word in ("--memory", "--cheap-pin", "--any-user", "--test-clock"):
            found[word[2:]] = "yes"
        else:
            raise SystemExit(f"adyton engine: unknown argument {word}; see adyton serve --help")
    if "home" not in found:
        raise SystemExit("adyton engine: --home FOLDER is missing; see adyton serve --help")
    return found


def _shorten_log() -> None:
    import stat

    status = os.fstat(2)
    if stat.S_ISREG(status.st_mode) and status.st_size > LARGEST_LOG:
        os.ftruncate(2, 0)


def _why(fault: Exception, home: str) -> str:
    """In words, what kept the engine from starting, and what to do."""
    import errno

    if isinstance(fault, ImportError):
        if (fault.name or "").partition(".")[0] in ("hsm", "pkcs11_shim"):
            return f"the installation in {SITE} is not whole ({fault}): install adyton again"
        return f"a package it needs is not there for {sys.executable} ({fault}): {sys.executable} -m pip install adyton"
    code = fault.errno if isinstance(fault, OSError) else None
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {home} is full: make room; nothing stored was lost"
    if isinstance(fault, OSError):
        return f"{fault.filename or home}: {fault.strerror}"
    from hsm import config, errors, log
    from hsm.store.folder import Unusable

    if isinstance(fault, config.Wrong | errors.TokenError | Unusable):
        return str(fault)
    log.report(fault)
    return f"a fault of its own, {type(fault).__name__}, which the line above places: please report it"


def _open(options: dict[str, str]) -> Listener:
    """Everything is opened, imported and forked in here; when it returns, the engine is shut in."""
    import socket

    from hsm import config
    from hsm.audit.keeping import Settings
    from hsm.confinement import measures
    from hsm.confinement.sweeping import SWEEPER
    from hsm.limits import Limits
    from hsm.log import say
    from hsm.mechanisms import rsa_check
    from hsm.pool import Pool
    from hsm.server.listener import Listener, Peers

    home = options["home"]
    settings = config.engine_settings(home)
    watched = _parent(int(options["parent"])) if "parent" in options else -1
    listening = socket.socket(fileno=int(options.get("listen", "3")))
    listening.set_inheritable(False)
    rsa_check.WORKER.start()  # before there is anything to inherit
    pool = Pool(
        home, in_memory="memory" in options, cheap_pin="cheap-pin" in options, max_sessions=settings.max_sessions,
        max_rw_sessions=settings.max_rw_sessions,
        audit=Settings(settings.audit, settings.audit_retention, settings.audit_cap, settings.audit_checkpoint),
        held=True, limits=Limits(settings.max_programs, settings.program_memory, settings.user_memory),
        guard=settings.guard, test_clock="test-clock" in options,
    )
    if any(os.path.exists(f"{home}/{name}") for name in ("backup.db", "backup.db.new", "restore.db")):
        from hsm.backup import place

        place.drop_old(home)
    idle = float(options.get("idle", settings.idle_timeout))
    anybody = "any-user" in options and not (settings.uids or settings.gids)
    peers = None if anybody else Peers(settings.uids | {0, os.geteuid()}, settings.gids)
    made = Listener(pool, listening, idle, peers)
    _shut_in(pool, settings, watched >= 0)
    SWEEPER.start()
    for words in measures.problems(measures.look()):
        say(words)
    pool.audit.release()
    pool.upkeep.begin()
    if watched >= 0:
        _leave_with(watched, home)
    if settings.seal_after:
        _seal_after(pool, settings.seal_after)
    if settings.audit_sinks:
        made.sinks = _sinks(pool, settings.audit_sinks)
    return made


def _shut_in(pool: Pool, settings: EngineSettings, removes_home: bool) -> None:
    """Before there is a second thread, and before anybody is heard."""
    from hsm.confinement import process
    from hsm.confinement.landlock import MAKE_DIR, READ_FILE, REMOVE_DIR, WRITE, Rule
    from hsm.server import preloaded

    preloaded.load()
    rules = [Rule(pool.home, WRITE)]
    rules += [Rule(spec.place, WRITE | MAKE_DIR) for spec in settings.audit_sinks if spec.made()]
    rules += [Rule(settings.rollback_guard, WRITE)] if settings.rollback_guard else []
    rules += [Rule(path, READ_FILE) for path in pool.key_files()]
    rules += [Rule(os.path.dirname(pool.home), REMOVE_DIR)] if removes_home else []
    process.shut_in(rules)


def _seal_after(pool: Pool, seconds: float) -> None:
    import threading
    import time

    from hsm.log import report
    from hsm.management.partitions import seal_quiet
    from hsm.partitions import Partition

    def watch() -> None:
        since: dict[Partition, float] = {}
        while True:
            time.sleep(min(max(seconds / 4, 0.05), 5.0))
            try:
                seal_quiet(pool, seconds, since, time.clock_gettime(time.CLOCK_BOOTTIME))
            except Exception as fault:  # the next look comes in any case
                report(fault)

    threading.Thread(target=watch, daemon=True).start()


def _sinks(pool: Pool, specs: tuple[Spec, ...]) -> Sinks:
    from hsm.audit import azure, sinks
    from hsm.management import audit

    place = audit.place(pool)
    home = None if pool.in_memory else pool.home
    return sinks.Sinks(pool.audit, specs, lambda record: azure.record(record, place), home)


def main(argv: list[str]) -> int:
    options = _arguments(argv)
    import gc
    import signal
    import threading

    from hsm.confinement import process

    process.close()
    gc.disable()  # what is imported stays: looking through it for garbage takes a tenth of a start

    sys.setswitchinterval(0.0001)
    try:
        from hsm.log import report, say

        _shorten_log()
        listener = _open(options)
        gc.freeze()
        gc.enable()
        threading.excepthook = lambda fault: report(fault.exc_value) if fault.exc_value else None
    except Exception as fault:
        words = f"adyton: no engine for {options['home']}: {_why(fault, options['home'])}"
        try:
            print(words, file=sys.stderr, flush=True)
        except OSError:
            pass
        return 1

    def leave(*_: object) -> None:
        listener.stop()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    say(f"engine {os.getpid()} serves {options['home']}")
    try:
        listener.serve()
        if listener.sinks is not None:
            listener.sinks.stop()
        listener.pool.close()
    except Exception as fault:
        report(fault)
        return 1
    say(f"engine {os.getpid()} leaves")
    return 0


def _see_site() -> None:
    """Behind the standard library, which nothing in a site folder may shadow, and before other site folders."""
    packages = (n for n, path in enumerate(sys.path) if path.endswith("-packages"))
    sys.path.insert(next(packages, len(sys.path)), SITE)


if __name__ == "__main__":
    _see_site()
    raise SystemExit(main(sys.argv[1:]))
