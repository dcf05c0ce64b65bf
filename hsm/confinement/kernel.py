"""System calls that Python has no names for (prctl(2), seccomp(2), landlock(7), memfd_secret(2)), by their numbers.

Nothing but the C library's ``syscall`` is needed, so there is no package to trust for it.
"""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
PRCTL = {"x86_64": 157, "aarch64": 167}
SECCOMP = {"x86_64": 317, "aarch64": 277}
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF, MEMFD_SECRET = 444, 445, 446, 447  # everywhere
MACHINE = os.uname().machine


def call(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """What the kernel answers. Raises OSError where that is a failure."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    ctypes.set_errno(0)
    answer = int(_LIBC.syscall(ctypes.c_long(number), *words))
    if answer == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def prctl(option: int, *arguments: int) -> int:
    """The C library's own, which knows its number on every machine."""
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    answer = int(_LIBC.prctl(option, *words))
    if answer == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def random_into(view: memoryview) -> None:
    """getrandom(2) straight into place, so that there is no other copy."""
    place = (ctypes.c_char * len(view)).from_buffer(view)
    if _LIBC.getrandom(place, ctypes.c_size_t(len(view)), 0) != len(view):  # 256 bytes or less always come whole
        raise OSError(ctypes.get_errno(), "getrandom")


def mlock(address: int, size: int) -> None:
    if _LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(size)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
