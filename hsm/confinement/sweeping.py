"""What lies in freed memory is overwritten, soon after the last logout: copies that Python made on the way.

Small objects come from pools that the interpreter keeps for itself, with what was in them: the sweeper takes as much of
each size as is free, in zeros, and gives it back. So it does with the C library's heap, of which whole free pages go
back to the kernel (malloc_trim(3)); that all threads share one, and keep nothing aside, is set where the engine starts
(``ENVIRONMENT``) and here. A thread of its own does it, so that no call waits.
"""

from __future__ import annotations

import ctypes
import threading
from itertools import pairwise

ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}  # what an engine is started with
PAUSE = 0.25  # seconds: who logs in and out many times in a row has it done once
_LARGEST, _STEP, _HEAD = 512, 16, bytes.__basicsize__  # of the interpreter's pools; what a bytes object takes itself
_ROOM = 1 << 20  # of each size, at a time
_MOST = 8
_FRAMES = (66 << 10, 33 << 10, 16 << 10, 8 << 10, 4 << 10, 2 << 10, 1 << 10, 768, 640)  # of the C library's heap
_M_ARENA_MAX = -8


class Sweeper:
    """``ring`` asks for a sweep; before ``start`` nobody hears."""

    def __init__(self) -> None:
        self._bell = threading.Event()
        self.running = False
        self.swept = 0

    def start(self) -> None:
        """Before there are other threads: they get no heap of their own, which the sweeper would not reach."""
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
        threading.Thread(target=self._run, daemon=True).start()
        self.running = True

    def ring(self) -> None:
        self._bell.set()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._bell.wait()
            pause.wait(PAUSE)
            self._bell.clear()
            sweep()
            self.swept += 1


def sweep() -> None:
    for size in range(_LARGEST, 2 * _STEP + _HEAD, -_STEP):
        _fill(size)
    for size in _FRAMES:
        [bytes(size) for _ in range(_ROOM // 4 // size)]
    ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))


def _fill(size: int) -> None:
    """All that is free of one size, as far as its blocks lie scattered: a fresh pool's follow one another."""
    length = size - _HEAD
    held: list[bytes] = []
    for _ in range(_MOST):
        before = len(held)
        held += [bytes(length) for _ in range(_ROOM // _MOST // size)]
        places = [id(value) for value in held[before:]]
        apart = sum(after - first != size for first, after in pairwise(places))
        if apart < len(places) // 64:
            break


SWEEPER = Sweeper()
