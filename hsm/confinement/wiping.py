"""Bytes that held a secret are overwritten before they are freed, where nobody else has them.

Python's bytes can't be changed, and nothing of theirs is wiped when they go. Those that are about to go can be: what
only the list in hand knows is nobody's to read. Whoever else still holds one keeps it as it is.
"""

from __future__ import annotations

import ctypes
import sys

_HEAD = bytes.__basicsize__ - 1  # of a bytes object, before its content
SHORTEST = 16  # shorter ones may be the interpreter's own, shared ones, and are no key


def _alone() -> int:
    """What the interpreter counts for an object that one local variable holds: versions differ."""
    values = [bytes(bytearray(SHORTEST))]
    value = values.pop()
    return sys.getrefcount(value)


_ALONE = _alone()
_CAN = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


def overwrite_frame(frame: memoryview) -> None:
    """What came over a socket, and of which all that is kept was copied: whole, whatever part of it the view is."""
    buffer = frame.obj
    if isinstance(buffer, bytearray):
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(buffer)), 0, len(buffer))
    elif _CAN and isinstance(buffer, bytes) and len(buffer) >= SHORTEST:
        ctypes.memset(id(buffer) + _HEAD, 0, len(buffer))


def overwrite(values: list[bytes]) -> None:
    """Empties the list, and overwrites what nobody else holds."""
    while values:
        value = values.pop()
        if _CAN and len(value) >= SHORTEST and type(value) is bytes and sys.getrefcount(value) == _ALONE:
            ctypes.memset(id(value) + _HEAD, 0, len(value))
