"""Frames: a length, what is asked, its payload, over a stream socket; no length is believed before its bytes come."""

from __future__ import annotations

import array
import socket
import struct
from typing import TYPE_CHECKING

from hsm.errors import TokenError
from hsm.server import codec

if TYPE_CHECKING:
    from hsm.application import Application

LARGEST_FRAME = 64 << 20
FIRST_ROOM = 64 << 10
_HEAD = struct.Struct("<IHH")
_LENGTH = struct.Struct("<I")


def with_files(connection: socket.socket) -> tuple[bytes, list[int]]:
    """A request's first bytes, and the open files that came with them: what is written outside the pool's folder, its
    caller has opened."""
    data, files, _, _ = socket.recv_fds(connection, 65536, 1, socket.MSG_CMSG_CLOEXEC)
    return data, files


class NoRoom(Exception):
    """A request for which the engine has no memory. It has been passed over, and the next one is served."""

    def __init__(self, function: int) -> None:
        super().__init__(function)
        self.function = function


def receive(
    connection: socket.socket, data: bytes | None = None, app: Application | None = None
) -> tuple[int, int, memoryview]:
    """One request: its function, how many bytes of the payload go ahead of it, and the payload, of which ``data`` may
    have come already. A long one is in a bytearray that ``app`` has room for, or NoRoom is raised. EOFError at the end,
    codec.Malformed on a wrong length."""
    data = connection.recv(65536) if data is None else data
    while 0 < len(data) < 8:
        more = connection.recv(65536)
        if not more:
            break
        data += more
    if len(data) < 8:
        raise EOFError
    length, function, ahead = _HEAD.unpack_from(data)
    if length < 4 or length > LARGEST_FRAME:
        raise codec.Malformed("frame length")
    missing = length + 4 - len(data)
    if missing < 0:
        raise codec.Malformed("bytes behind the frame")
    if missing:
        try:
            return function, ahead, _whole(connection, data, length + 4, app)[8:]
        except (MemoryError, TokenError):
            raise NoRoom(function) from None
    return function, ahead, memoryview(data)[8:]


def _whole(connection: socket.socket, data: bytes, size: int, app: Application | None) -> memoryview:
    """A long frame. Its room grows with what has come of it: a length that is only claimed costs nothing."""
    whole, have, taken = bytearray(), 0, 0
    try:
        while have < size:
            if have == len(whole):
                more = min(size - have, max(have, FIRST_ROOM))
                if app is not None:
                    app.take(more)
                    taken += more
                whole.extend(bytes(more))
            if have < len(data):
                whole[: len(data)] = data
                have = len(data)
                continue
            with memoryview(whole) as view, view[have:] as rest:
                got = connection.recv_into(rest)
            if not got:
                raise EOFError
            have += got
    except BaseException as fault:
        if app is not None:
            app.give(taken)
        if isinstance(fault, (MemoryError, TokenError)):
            whole.clear()
            _pass_over(connection, size - max(have, len(data)))
        raise
    return memoryview(whole)


def _pass_over(connection: socket.socket, left: int) -> None:
    while left:
        passed = len(connection.recv(min(left, 65536)))
        if not passed:
            raise EOFError
        left -= passed


def send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(body)) + body)


def send_with(connection: socket.socket, body: bytes, handle: int) -> None:
    """An answer that brings a descriptor."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))
    connection.sendmsg([_LENGTH.pack(len(body)) + body], [rights])


def shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
