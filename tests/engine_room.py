"""The engine's own rooms driven in this process, and pools on disk that the library starts engines for.

For tests of what the store keeps: cheap PINs, and a child that kills itself at the n-th step of its work with the disk.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hsm.access import credentials
from hsm.application import Application, Session
from hsm.cryptoki import general, keys, objects
from hsm.errors import TokenError
from hsm.mechanisms import registry
from hsm.pool import Pool
from hsm.store import folder
from pkcs11_shim import constants as ck

SO, USER = b"so-officer-pin", b"user-pin-1"
ROOT = Path(__file__).resolve().parent.parent
YES, NO = b"\x01", b"\x00"
P256 = bytes.fromhex("06082a8648ce3d030107")
ECB, KWP = registry.MECHANISMS[ck.CKM_AES_ECB], registry.MECHANISMS[ck.CKM_AES_KEY_WRAP_KWP]


def ulong(value: int) -> bytes:
    return value.to_bytes(8, "little")


class Mech(NamedTuple):
    number: int
    parameter: Any = None


@contextmanager
def cheap_pins() -> Iterator[None]:
    """64 KiB x 1 instead of 64 MiB x 5."""
    usual = credentials.Cost.__new__.__defaults__
    credentials.Cost.__new__.__defaults__ = (64, 1, 1)
    try:
        yield
    finally:
        credentials.Cost.__new__.__defaults__ = usual


class Room:
    """One pool opened in this process, one application, one R/W session on slot 0."""

    def __init__(self, home: Path) -> None:
        self.pool = Pool(str(home))
        self.app = Application(self.pool, os.getpid(), os.geteuid())
        self.partition = self.pool.by_slot[0]
        self._session: Session | None = None
        self._closed = False

    def init_token(self, pin: bytes = SO, label: bytes = b"room") -> None:
        general.C_InitToken(self.app, 0, pin, label.ljust(32))

    @property
    def session(self) -> Session:
        if self._session is None:
            self._session = self.app.open_session(self.partition, True)
        return self._session

    @property
    def handle(self) -> int:
        return self.session.handle

    def login(self, pin: bytes = USER, user: int = ck.CKU_USER) -> None:
        general.C_Login(self.app, self.handle, user, pin)

    def logout(self) -> None:
        general.C_Logout(self.app, self.handle)

    def with_user(self, pin: bytes = USER) -> None:
        """A fresh token, its user PIN set, the user logged in."""
        self.init_token()
        self.login(SO, ck.CKU_SO)
        general.C_InitPIN(self.app, self.handle, pin)
        self.logout()
        self.login(pin)

    def data(self, label: bytes, **more: bytes) -> int:
        rows = {ck.CKA_CLASS: ulong(ck.CKO_DATA), ck.CKA_TOKEN: YES, ck.CKA_LABEL: label}
        rows |= {getattr(ck, f"CKA_{name.upper()}"): value for name, value in more.items()}
        return int(objects.C_CreateObject(self.app, self.handle, list(rows.items()))[1])

    def aes(self, label: bytes, **more: bytes) -> int:
        rows = {ck.CKA_TOKEN: YES, ck.CKA_LABEL: label, ck.CKA_VALUE_LEN: ulong(32)}
        rows |= {getattr(ck, f"CKA_{name.upper()}"): value for name, value in more.items()}
        return int(keys.C_GenerateKey(self.app, self.handle, Mech(ck.CKM_AES_KEY_GEN), list(rows.items()))[1])

    def pair(self, label: bytes) -> tuple[int, int]:
        common = [(ck.CKA_TOKEN, YES), (ck.CKA_LABEL, label)]
        made = keys.C_GenerateKeyPair(
            self.app, self.handle, Mech(ck.CKM_EC_KEY_PAIR_GEN), [*common, (ck.CKA_EC_PARAMS, P256)], common
        )
        return made[1], made[2]

    def find(self, label: bytes) -> list[int]:
        found = self.partition.find(self.session, [(ck.CKA_LABEL, label)])
        return [self.app.handle_of(item) for item in found]

    def destroy(self, handle: int) -> None:
        objects.C_DestroyObject(self.app, self.handle, handle)

    def relabel(self, handle: int, label: bytes) -> None:
        objects.C_SetAttributeValue(self.app, self.handle, handle, [(ck.CKA_LABEL, label)])

    def labels(self) -> list[bytes]:
        return sorted(item.attributes[ck.CKA_LABEL] for item in self.partition.objects.values())

    def close(self) -> None:
        self.app.end()
        if not self._closed:
            self._closed = True
            self.pool.close()

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def refused(rv: int) -> Iterator[None]:
    """As pytest.raises, for one return code."""
    try:
        yield
    except TokenError as refusal:
        assert refusal.rv == rv, (hex(refusal.rv), refusal.reason)
        return
    raise AssertionError(f"not refused with {rv:#x}")


# -- a crash at each step


class _Steps(sqlite3.Connection):
    """Counts what the engine does to the disk and kills the process before the step given."""

    left = 1 << 30

    @classmethod
    def step(cls) -> None:
        cls.left -= 1
        if cls.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        _Steps.step()
        return super().execute(*arguments)

    def close(self) -> None:
        _Steps.step()
        super().close()


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        _Steps.step()
        return function(*arguments, **more)

    return call


def crashes_at(step: int, work: Callable[[Callable[[], None]], None]) -> tuple[bool, bool]:
    """Runs ``work(acknowledge)`` in a child that dies by SIGKILL before its ``step``-th step; (acknowledged, ended)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            acknowledge = os.write
            connect = sqlite3.connect
            folder.sqlite3.connect = lambda *a, **more: connect(*a, factory=_Steps, **more)  # type: ignore[misc]
            for name in ("open", "write", "pwrite", "fsync", "fdatasync", "rename"):
                setattr(os, name, _counted(getattr(os, name)))
            _Steps.left = step
            work(lambda: acknowledge(writing, b"!") and None)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    acknowledged = os.read(reading, 1) == b"!"
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return acknowledged, status == 0


# -- a pool on disk with engines of its own, started by the library


class DiskPool:
    """``before``: Python that runs in each engine first; ``environment``: what the shell sets for it."""

    def __init__(self, home: Path, before: str = "", environment: str = "") -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        home.chmod(0o700)
        self.home = home
        if before:
            script, wrapper = home / "engine.py", home / "python"
            script.write_text(
                f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{before}\n"
                "from hsm.server import launcher\nraise SystemExit(launcher.main(sys.argv[3:]))\n"
            )
            wrapper.write_text(f'#!/bin/sh\n{environment} exec {sys.executable} -I {script} "$@"\n')
            wrapper.chmod(0o700)
            (home / "adyton.conf").write_text(f"python = {wrapper}\n")

    def engines(self) -> list[int]:
        """All engines that were started here, by their own words."""
        try:
            lines = (self.home / "engine.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [int(line.split()[2]) for line in lines if line.startswith("adyton: engine ") and "serves" in line]

    def log(self) -> str:
        return (self.home / "engine.log").read_text()

    def kill(self) -> None:
        """The engine that serves now, by SIGKILL; returns when it is gone."""
        engines = self.engines()
        if engines:
            end(engines[-1], signal.SIGKILL)

    def stop(self) -> None:
        engines = self.engines()
        if engines:
            end(engines[-1], signal.SIGTERM)


def end(pid: int, number: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            if b"--home" not in command.read():
                return
        signal.pidfd_send_signal(handle, number)
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        assert ended.poll(20_000), "the engine does not end"
    except (ProcessLookupError, FileNotFoundError):
        pass
    finally:
        os.close(handle)


CHEAP = "from hsm.access import credentials\ncredentials.Cost.__new__.__defaults__ = (64, 1, 1)"


def serve(home: Path, *more: str) -> subprocess.Popen[str]:
    """An engine started by hand on a socket of its own, as ``adyton serve`` and systemd start one."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home / f"socket-{time.monotonic_ns()}"))
    listening.listen(8)
    with listening:
        return subprocess.Popen(
            [sys.executable, "-I", str(ROOT / "hsm/server/launcher.py"), "--home", str(home), "--idle", "0",
             "--listen", str(listening.fileno()), *more],
            pass_fds=[listening.fileno()], stderr=subprocess.PIPE, text=True,
        )
