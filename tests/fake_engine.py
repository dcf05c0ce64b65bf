"""An engine that isn't: it greets as the real one does, and answers what a test tells it to.

``garbled`` makes answers that no engine gives: cut, long, of wrong types, with counts from nowhere.
"""

from __future__ import annotations

import array
import fcntl
import os
import random
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsm import __version__
from hsm.server import codec, frames, listener
from pkcs11_shim import constants as ck
from pkcs11_shim import directions, generate

Answer = Callable[[int, bytes], "tuple[bytes, bool]"]  # what is sent to a call, and whether the link lives on
ABSURD = (2**64 - 1, 2**64 - 2, 2**63, 2**61, 2**60, 2**32, 2**32 - 1, 2**31, 2**26 + 1)


def framed(rv: int, payload: bytes = b"") -> bytes:
    return struct.pack("<IQ", 8 + len(payload), rv) + payload


HELLO = framed(
    ck.CKR_OK, struct.pack("<HHQ", listener.MAJOR, listener.MINOR, len(__version__)) + __version__.encode() + bytes(8)
)


def _pass(connection: socket.socket, frame: bytes, descriptors: list[int]) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    connection.sendmsg([frame], [rights] if descriptors else [])


def page(size: int = 4096, seals: int = fcntl.F_SEAL_SHRINK, content: bytes = b"") -> int:
    """As the page of the engine's epoch: with it the library answers Inits that were granted, and about slots."""
    made = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(made, size)
    os.pwrite(made, content[:size], 0)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals)
    return made


class FakeEngine:
    """Serves in threads until closed. ``greet`` and ``link`` say how the control connection answers."""

    def __init__(
        self, home: Path, answer: Answer, greet: Callable[[], tuple[bytes, list[int]]] = lambda: (HELLO, []),
        link: Callable[[], tuple[bytes, int]] = lambda: (framed(ck.CKR_OK), 1),
    ) -> None:
        self.answer, self.greet, self.link = answer, greet, link
        self.connections: list[socket.socket] = []
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(home / "socket"))
        self.listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for connection in [self.listening, *self.connections]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                self.listening.close()
                return
            self._serve(connection, self._control)

    def _serve(self, connection: socket.socket, work: Callable[[socket.socket], None]) -> None:
        self.connections.append(connection)
        threading.Thread(target=self._run, args=(connection, work), daemon=True).start()

    def _run(self, connection: socket.socket, work: Callable[[socket.socket], None]) -> None:
        try:
            work(connection)
        except (OSError, EOFError, codec.Malformed):
            pass
        finally:
            self.connections.remove(connection)
            connection.close()

    def _control(self, connection: socket.socket) -> None:
        function, *_ = frames.receive(connection)
        assert function == listener.HELLO
        frame, pages = self.greet()
        _pass(connection, frame, pages)
        for page in pages:
            os.close(page)
        while True:
            frames.receive(connection)
            frame, passed = self.link()
            pairs = [socket.socketpair() for _ in range(passed)]
            _pass(connection, frame, [theirs.fileno() for _, theirs in pairs])
            for ours, theirs in pairs:
                theirs.close()
                self._serve(ours, self._calls)

    def _calls(self, connection: socket.socket) -> None:
        alive = True
        while alive:
            function, ahead, payload = frames.receive(connection)
            frame, alive = self.answer(function, bytes(payload[ahead:]))
            connection.sendall(frame)


FFI, _ = generate.declarations()
FUNCTIONS = generate.functions(FFI)


def _count(rng: random.Random) -> int:
    return rng.choice(ABSURD) if rng.random() < 0.2 else rng.randrange(20)


def _some_rows(rng: random.Random, depth: int, count: int) -> bytes:
    parts = []
    for _ in range(count):
        attribute = rng.choice((ck.CKA_ID, ck.CKA_WRAP_TEMPLATE, rng.getrandbits(64)))
        number = b"" if depth == 0 else struct.pack("<Q", attribute)
        kind = rng.choice((0, 1, 1, 2, 2, 3))
        size = _count(rng)
        if kind == 2 and depth < 4:
            inner = rng.randrange(4)
            parts.append(number + struct.pack("<QB", 24 * inner, 2) + _some_rows(rng, depth + 1, inner))
        else:
            parts.append(number + struct.pack("<QB", size, kind) + rng.randbytes(min(size, 64) if kind else 0))
    return b"".join(parts)


def _piece(rng: random.Random, kind: str, structure: int) -> bytes:
    """What a function of this row answers, or near it."""
    size = _count(rng)
    come = min(size, 200) if rng.random() < 0.7 else 0
    some = rng.randbytes(come)
    if kind in ("out", "ulongs"):
        width = 8 if kind == "ulongs" else 1
        return struct.pack("<QB", size, rng.choice((0, 1, 1, 1, 2))) + rng.randbytes(come * width)
    if kind == "found":
        return struct.pack("<Q", size) + rng.randbytes(come * 8)
    if kind == "fixedout":
        return struct.pack("<Q", size) + some
    if kind == "struct_out":
        exact = rng.choice((structure, structure, structure - 1, structure + 1, 0))
        return struct.pack("<Q", exact) + rng.randbytes(exact)
    if kind == "ulong_out":
        return rng.randbytes(rng.choice((8, 8, 8, 7, 0)))
    if kind == "query":
        count = rng.randrange(9)
        return struct.pack("<Q", count) + _some_rows(rng, 0, count)
    return b""


def garbled(rng: random.Random, function: int) -> tuple[bytes, bool]:
    """One answer, and whether the link lives on."""
    name = codec.NAMES[function] if function < len(codec.NAMES) else "C_Logout"
    structure = 0
    for argument in FUNCTIONS[name].args:
        if argument.kind == "pointer" and argument.item.kind == "struct":
            structure = FFI.sizeof(argument.item)
    payload = b"".join(_piece(rng, kind, structure) for kind in directions.row(name))
    if rng.random() < 0.1:
        at = rng.randrange(len(payload) + 1)
        payload = payload[:at] + rng.randbytes(rng.randrange(9)) + payload[at + rng.randrange(9) :]
    telling = (ck.CKR_OK, ck.CKR_OK, ck.CKR_OK, ck.CKR_BUFFER_TOO_SMALL, ck.CKR_ATTRIBUTE_SENSITIVE)
    frame = framed(rng.choice((*telling, ck.CKR_FUNCTION_FAILED)), payload)
    shape = rng.randrange(40)
    if shape == 0:
        return frame[: rng.randrange(len(frame))], False
    if shape == 1:
        return struct.pack("<I", rng.choice((0, 7, 2**32 - 1, 2**31, 2**26 + 2**13))) + frame[4:], False
    if shape == 2:
        return frame + rng.randbytes(rng.randrange(1, 5000)), False
    if shape == 3:
        return b"", False
    if shape == 4:  # as long as it says, and far more than was asked for
        return framed(ck.CKR_OK, rng.randbytes(rng.randrange(1, 300_000))), True
    return frame, True


def catalog(rng: random.Random) -> bytes:
    """An epoch, and slots and mechanisms behind it, with counts and places that are right, or near it."""
    def number(right: int) -> int:
        return right if rng.random() < 0.9 else rng.choice((*ABSURD, right + 1, right + 8, right - 1, 0)) % 2**64

    count, length = rng.randrange(1, 5), rng.randrange(1, 20)
    rows = b"".join(struct.pack("<2Q", number(i), number(0)) + rng.randbytes(112) for i in range(count))
    lists = struct.pack("<2Q", number(32 + len(rows)), number(length))
    rows += lists + b"".join(struct.pack("<Q", number(0x1000 + i)) + rng.randbytes(24) for i in range(length))
    head = struct.pack("<3Q", rng.getrandbits(32), number(2), number(16 + len(rows)))
    return head.ljust(64, b"\0") + struct.pack("<2Q", number(count), number(1)) + rows


class Garbling:
    """A fake engine that garbles by one seed until it is asked for slot 424242: then ``replace`` is called."""

    def __init__(self, home: Path, seed: int, replace: Callable[[], None]) -> None:
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.replace = replace
        self.answers = 0
        self.engine = FakeEngine(home, self.answer, self.greet, self.link)

    def answer(self, function: int, payload: bytes) -> tuple[bytes, bool]:
        with self.lock:
            if codec.NAMES[function] == "C_GetSlotInfo" and payload == struct.pack("<Q", 424242):
                self.replace()
                self.engine.close()
                return b"", False
            self.answers += 1
            return garbled(self.rng, function)

    def greet(self) -> tuple[bytes, list[int]]:
        with self.lock:
            good, small, open_ = (4096, fcntl.F_SEAL_SHRINK), (4095, fcntl.F_SEAL_SHRINK), (4096, 0)
            sorts = self.rng.choice(((good,), (good,), (small,), (open_,), (good, small), ()))
            pages = [page(*sort, catalog(self.rng)) for sort in sorts]
            if self.rng.random() < 0.9:
                return HELLO, pages
            frames = (
                HELLO[: self.rng.randrange(4, len(HELLO))] + bytes(2000), framed(ck.CKR_DEVICE_ERROR), framed(0),
                struct.pack("<I", 2**32 - 1) + HELLO[4:], self.rng.randbytes(600), framed(0, struct.pack("<HH", 9, 9)),
            )
            return self.rng.choice(frames), pages

    def link(self) -> tuple[bytes, int]:
        with self.lock:
            if self.rng.random() < 0.8:
                return framed(ck.CKR_OK), 1
            frame = self.rng.choice((framed(ck.CKR_OK), framed(ck.CKR_DEVICE_MEMORY), framed(0, bytes(900)), bytes(8)))
            return frame, self.rng.choice((0, 1, 2, 5))


def put_aside(home: Path) -> Callable[[], None]:
    """Takes the real engine's socket away; what is returned puts it back."""
    os.rename(home / "socket", home / "real")

    def back() -> None:
        os.rename(home / "real", home / "socket")

    return back


def recorder(home: Path) -> tuple[FakeEngine, list[tuple[Any, ...]]]:
    """An engine that decodes every call and refuses it; the calls, in order."""
    calls: list[tuple[Any, ...]] = []

    def answer(function: int, payload: bytes) -> tuple[bytes, bool]:
        calls.append((codec.NAMES[function], *codec.DECODE[function](memoryview(payload))))
        return framed(ck.CKR_FUNCTION_FAILED), True

    return FakeEngine(home, answer), calls
