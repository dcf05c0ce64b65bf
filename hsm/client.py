"""The command line's side of the engine's door: which pool, is its engine there, and one request at a time.

The engine is started by the library, as any program would start it: this module has no way of its own.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, NamedTuple

from hsm import __version__

MODULE = Path(__file__).resolve().parent.parent / "pkcs11_shim" / "adyton-pkcs11.so"
SYSTEM_FOLDER = "/run/adyton"
SYSTEM_SETTINGS = "/etc/adyton/adyton.conf"
_HELLO, _ADMIN = 0xFFFF, 0xFFFD
_HASH = bytes(32)


class Absent(Exception):
    """No engine runs for this pool."""


class Refused(Exception):
    """The engine said no: its words, and the CKR code."""

    def __init__(self, words: str, rv: int) -> None:
        super().__init__(words)
        self.rv = rv


class Home(NamedTuple):
    """The pool's folder, and where that was said."""

    path: str
    source: str

    @property
    def system(self) -> bool:
        """Whether it is the system pool, whose engine is the machine's to start."""
        return self.path == SYSTEM_FOLDER

    @property
    def by_root(self) -> bool:
        """Whether root said so: the folder may be another user's then."""
        return self.system or self.source == SYSTEM_SETTINGS


def home() -> Home:
    """The pool that programs of this user and environment get: the same order as in c_src/spawn.c."""
    named = os.environ.get("ADYTON_HOME", "")
    if named.startswith("/"):
        return Home(named, "ADYTON_HOME")
    try:
        with open(SYSTEM_SETTINGS, encoding="utf-8") as lines:
            for line in lines:
                name, equals, value = (part.strip() for part in line.split("#", 1)[0].partition("="))
                if equals and name == "home" and value.startswith("/"):
                    return Home(value, SYSTEM_SETTINGS)
    except OSError:
        pass
    if os.access(f"{SYSTEM_FOLDER}/socket", os.W_OK, effective_ids=True):
        return Home(SYSTEM_FOLDER, "the system pool's socket")
    data = os.environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):
        return Home(f"{data}/adyton", "XDG_DATA_HOME")
    return Home(f"{Path.home()}/.local/share/adyton", "the user's data folder")


class Client:
    """A control connection to the engine of one pool. ``by_root``: the folder may be another user's."""

    def __init__(self, folder: str, *, by_root: bool = False) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise Absent from None
        try:
            status = os.fstat(handle)
            # As in c_src/spawn.c: who listens there is told PINs.
            ours = by_root or os.geteuid() in (0, status.st_uid)
            if status.st_mode & 0o022 or not ours:
                raise Absent
            self._socket.connect(f"/proc/self/fd/{handle}/socket")
        except OSError:
            raise Absent from None
        finally:
            os.close(handle)
        version = __version__.encode()
        hello = struct.pack("<8sHHQ32sQQ", b"ADYTON\0\1", 1, 0, 8, _HASH, os.getpid(), len(version)) + version
        try:
            rv, _ = self._exchange(_HELLO, hello)
        except (OSError, EOFError):
            raise Refused("the engine does not let this user in: see its setting uids", 0xE0) from None
        if rv:
            raise Refused("the engine speaks another protocol: upgrade adyton on both sides", rv)

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, function: int, payload: bytes) -> tuple[int, bytes]:
        self._socket.sendall(struct.pack("<IHH", len(payload) + 4, function, 0) + payload)
        (length,) = struct.unpack("<I", self._take(4))
        body = self._take(length)
        return int.from_bytes(body[:8], "little"), body[8:]

    def _take(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self._socket.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def ask(self, act: str, **fields: Any) -> dict[str, Any]:
        try:
            rv, body = self._exchange(_ADMIN, json.dumps({"act": act, **fields}).encode())
        except (OSError, EOFError):
            raise Refused("the engine left before it answered. Try again", 0x32) from None
        answer: dict[str, Any] = json.loads(body or b"{}")
        if rv:
            raise Refused(str(answer.get("error", f"the engine answered {rv:#x}")), rv)
        return answer


def connect(*, start: bool) -> Client:
    """The pool's engine; ``start``: through the library, if it does not run yet. Raises Absent."""
    where = home()
    try:
        return Client(where.path, by_root=where.by_root)
    except Absent:
        if not start:
            raise
    import ctypes

    library = ctypes.CDLL(str(MODULE))
    count = ctypes.c_ulong()
    library.C_Initialize(None)
    library.C_GetSlotList(0, None, ctypes.byref(count))
    try:
        return Client(where.path, by_root=where.by_root)
    finally:
        library.C_Finalize(None)
