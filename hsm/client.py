"""The command line's side of the engine's door: which pool, is its engine there, and one request at a time.

The engine is started by the library, as any program would start it: this module has no way of its own.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from hsm import __version__
from hsm.config import MACHINE_SETTINGS

MODULE = Path(__file__).resolve().parent.parent / "pkcs11_shim" / "adyton-pkcs11.so"
SYSTEM_FOLDER = "/run/adyton"
_HELLO, _ADMIN = 0xFFFF, 0xFFFD
_FULL = 0x31  # CKR_DEVICE_MEMORY: this user has as many programs here as it may
_LEAVES = 0x32  # CKR_DEVICE_REMOVED: an idle older engine makes room for ours
_HASH = bytes(32)


class Absent(Exception):
    """No engine runs for this pool."""


class Refused(Exception):
    """The engine said no: its words, the CKR code, and what else it told."""

    def __init__(self, words: str, rv: int, told: dict[str, Any]) -> None:
        super().__init__(words)
        self.rv = rv
        self.told = told


class Unusable(Exception):
    """Something answers there that this version can't work with, or won't: why, and what to do."""


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
        return self.system or self.source == MACHINE_SETTINGS


def home() -> Home:
    """The pool that programs of this user and environment get: the same order as in c_src/spawn.c."""
    named = os.environ.get("ADYTON_HOME", "")
    if named:
        if not named.startswith("/"):
            raise Unusable(f"ADYTON_HOME is {named}, which is another folder everywhere. Give a whole path, from / on")
        return Home(named, "ADYTON_HOME")
    said = _machine_home()
    if said.startswith("/"):
        return Home(said, MACHINE_SETTINGS)
    if os.access(f"{SYSTEM_FOLDER}/socket", os.W_OK, effective_ids=True):
        return Home(SYSTEM_FOLDER, "the system pool's socket")
    data = os.environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):
        return Home(f"{data}/adyton", "XDG_DATA_HOME")
    own = os.environ.get("HOME", "")
    if not own.startswith("/"):
        import pwd

        try:
            own = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            words = f"HOME is not set, and user {os.geteuid()} has no home. Set ADYTON_HOME to a folder for the pool"
            raise Unusable(words) from None
    return Home(f"{own}/.local/share/adyton", "the user's data folder")


def _machine_home() -> str:
    try:
        with open(MACHINE_SETTINGS, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, equals, value = (part.strip() for part in line.split("#", 1)[0].partition("="))
                if equals and name == "home" and value:
                    return value
    except OSError:
        pass
    return ""


def places(folder: str) -> Iterator[str]:
    """Where the pool's socket may be: in its folder, or, its disk being read-only, in one of the user's runtime
    directory (c_src/spawn.c, runtime_folder)."""
    yield folder
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        try:
            status = os.stat(folder)
        except OSError:
            return
        yield f"{runtime}/adyton-{status.st_dev:x}-{status.st_ino:x}"


def _connected(folder: str, by_root: bool) -> socket.socket:
    """Raises Absent, or Unusable where a PIN must not go: others could have put their own socket there (as in
    c_src/spawn.c)."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise Absent from None
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(30)
    try:
        status = os.fstat(handle)
        if status.st_mode & 0o022:
            raise Unusable(f"{folder} may be written by others, who could read PINs there. Mend it: chmod 700 {folder}")
        if not by_root and os.geteuid() not in (0, status.st_uid):
            raise Unusable(f"{folder} belongs to another user. Set ADYTON_HOME to a folder of your own")
        made.connect(f"/proc/self/fd/{handle}/socket")
    except PermissionError:
        made.close()
        raise Unusable(f"{folder}/socket lets this user not in. See who may: adyton config show") from None
    except OSError:
        made.close()
        raise Absent from None
    except Unusable:
        made.close()
        raise
    finally:
        os.close(handle)
    return made


class Client:
    """A control connection to the engine of one pool. ``by_root``: the folder may be another user's."""

    def __init__(self, folder: str, *, by_root: bool = False) -> None:
        self.folder = ""
        self._by_root = by_root
        try:
            rv, told = self._hello(folder)
        except (ConnectionError, EOFError):
            # It was just leaving, or wants nothing of us: the second time tells.
            try:
                rv, told = self._hello(folder)
            except (ConnectionError, EOFError):
                words = "the engine does not let this user in: its settings uids and gids say who may connect"
                raise Unusable(words) from None
        if rv == _LEAVES:
            raise Absent
        if rv == _FULL:
            words = "this user has as many programs connected as the engine's setting max-programs allows"
            raise Unusable(f"{words}: end one of them, or raise it (adyton config show)")
        if rv:
            length = int.from_bytes(told[4:12], "little")
            theirs, pid = told[12 : 12 + length].decode(), int.from_bytes(told[12 + length :], "little")
            raise Unusable(
                f"engine {pid} of version {theirs} speaks another protocol than this adyton, {__version__}.\n"
                f"Upgrade the older of the two; then let that engine leave: kill {pid}"
            )

    def _hello(self, folder: str) -> tuple[int, bytes]:
        for place in places(folder):
            try:
                self._socket = _connected(place, self._by_root)
            except Absent:
                continue
            self.folder = place
            break
        else:
            raise Absent
        version = __version__.encode()
        hello = struct.pack("<8sHHQ32sQQ", b"ADYTON\0\1", 1, 0, 8, _HASH, os.getpid(), len(version)) + version
        try:
            return self._exchange(_HELLO, hello)
        except TimeoutError:
            self.close()
            words = f"the engine at {self.folder}/socket does not answer. See its log: {self.folder}/engine.log"
            raise Unusable(words) from None
        except (ConnectionError, EOFError):
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, function: int, payload: bytes, file: int | None = None) -> tuple[int, bytes]:
        frame = struct.pack("<IHH", len(payload) + 4, function, 0) + payload
        if file is None:
            self._socket.sendall(frame)
        else:
            self._socket.settimeout(None)
            sent = socket.send_fds(self._socket, [frame], [file])
            self._socket.sendall(frame[sent:])
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, act: str, **fields: Any) -> dict[str, Any]:
        return self.ask_into(None, act, **fields)

    def ask_into(self, file: int | None, act: str, **fields: Any) -> dict[str, Any]:
        """``file``: the descriptor of a file that the engine writes to, for as long as that takes."""
        try:
            rv, body = self._exchange(_ADMIN, json.dumps({"act": act, **fields}).encode(), file)
        except (OSError, EOFError):
            raise Unusable("the engine went away before it answered. See: adyton status") from None
        answer: dict[str, Any] = json.loads(body or b"{}")
        if rv:
            raise Refused(str(answer.get("error", f"the engine answered {rv:#x}")), rv, answer)
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

    try:
        library = ctypes.CDLL(str(MODULE))
    except OSError as fault:
        raise Unusable(f"the library can't be loaded: {fault}.\nInstall adyton again") from None
    count = ctypes.c_ulong()
    library.C_Initialize(None)
    library.C_GetSlotList(0, None, ctypes.byref(count))
    try:
        return Client(where.path, by_root=where.by_root)
    finally:
        library.C_Finalize(None)


def bind(folder: str, mode: int) -> socket.socket:
    """A listening socket in a folder, whose path may be longer than a socket's name."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~mode)
    try:
        listening.bind(f"/proc/self/fd/{handle}/socket")
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(before)
        os.close(handle)
    return listening
