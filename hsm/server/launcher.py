"""The engine's door: started by the library, by ``adyton serve`` or by systemd, with the listening socket as fd 3.

Run as ``python -I launcher.py --home FOLDER``; it adds the one site folder it lies in to the path, hardens the
process, opens the pool and serves. Imports little before that: a cold start is a feature.
"""

from __future__ import annotations

import os
import sys


def _harden() -> None:
    """No core dumps, no reading of this process's memory by others of the same uid (prctl(2), PR_SET_DUMPABLE)."""
    import ctypes
    import resource

    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pr_set_dumpable, pr_set_no_new_privs = 4, 38
    libc = ctypes.CDLL(None)
    libc.prctl(pr_set_dumpable, 0, 0, 0, 0)
    libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0)


def _die_with(parent: int) -> None:
    """Ends this engine when the process that started it ends (prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes
    import signal

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("adyton engine: who started it is gone already")


def _arguments(argv: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("--home", "--idle", "--parent", "--listen") and rest:
            found[word[2:]] = rest.pop(0)
        elif word in ("--memory", "--cheap-pin", "--any-user"):
            found[word[2:]] = "yes"
        else:
            raise SystemExit(f"adyton engine: unknown argument {word}; see adyton serve --help")
    if "home" not in found:
        raise SystemExit("adyton engine: --home FOLDER is missing; see adyton serve --help")
    return found


def main(argv: list[str]) -> int:
    options = _arguments(argv)
    _harden()
    import signal
    import socket

    sys.setswitchinterval(0.0005)
    from hsm import config
    from hsm.pool import Pool
    from hsm.server.listener import Listener
    from hsm.store.folder import Unusable

    home = options["home"]
    settings = config.engine_settings(home)
    if "parent" in options:
        _die_with(int(options["parent"]))
    listening = socket.socket(fileno=int(options.get("listen", "3")))
    listening.set_inheritable(False)
    try:
        pool = Pool(home, in_memory="memory" in options, cheap_pin="cheap-pin" in options)
    except Unusable as fault:
        raise SystemExit(f"adyton: {fault}") from None
    except OSError as fault:
        raise SystemExit(f"adyton: {fault.filename or home}: {fault.strerror}") from None
    idle = float(options.get("idle", settings.idle_timeout))
    listener = Listener(pool, listening, idle, None if "any-user" in options else settings.uids)

    def leave(*_: object) -> None:
        listener.stop()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    print(f"adyton: engine {os.getpid()} serves {home}", file=sys.stderr, flush=True)
    listener.serve()
    pool.close()
    print(f"adyton: engine {os.getpid()} leaves", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    raise SystemExit(main(sys.argv[1:]))
