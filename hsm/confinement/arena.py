"""Where the engine's own keys lie: one piece of memory that is never swapped, dumped or inherited.

Taken from memfd_secret(2) where the kernel has it, whose pages are nobody's but this process's: the kernel itself does
not map them, so that not even root reads them through /proc/PID/mem. Else it is locked memory (mlock(2)); else, where
the limit on that is too low, plain memory, which is said. A key is a memoryview of a cell; once nobody holds it any
more, the cell is overwritten. What `cryptography` and Python copy from it for the time of a call lies elsewhere.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from typing import Final

from hsm.confinement import kernel

Secret = bytes | bytearray | memoryview
CELL: Final = 32
_SEGMENT = 16 << 10
_CLOEXEC = 0o2000000
_MADV_DONTFORK, _MADV_DONTDUMP, _MADV_WIPEONFORK = 10, 16, 18


class Arena:
    """``kind``: what the kernel gave, in words; "" before the first key."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a cell may be given back by a collection of garbage in the midst of a take
        self._free: list[memoryview] = []
        self.kind = ""
        os.register_at_fork(after_in_child=self._anew)
        self.locked = False
        self.failed = ""
        self.bytes = 0
        self.held = 0

    def _anew(self) -> None:
        """In a child, which has inherited no key and gets memory of its own."""
        self._lock, self._free, self.bytes, self.held = threading.RLock(), [], 0, 0

    def take(self) -> memoryview:
        """32 bytes, zeros, for as long as somebody holds the view. Parts of a view don't hold it."""
        with self._lock:
            if not self._free:
                self._grow()
            cell = self._free.pop()
            self.held += 1
        view = cell[:]
        weakref.finalize(view, self._give_back, cell, os.getpid()).atexit = False
        return view

    def keep(self, key: Secret) -> memoryview:
        """A copy of a key."""
        view = self.take()
        view[:] = key
        return view

    def random(self) -> memoryview:
        """A new key, which is nowhere else."""
        view = self.take()
        kernel.random_into(view)
        return view

    def _give_back(self, cell: memoryview, process: int) -> None:
        if process != os.getpid():  # a forked child's, to whom it does not belong
            return
        cell[:] = bytes(CELL)
        with self._lock:
            self.held -= 1
            self._free.append(cell)

    def _grow(self) -> None:
        memory = self._secret() or self._anonymous()
        self.bytes += _SEGMENT
        whole = memoryview(memory)
        self._free += [whole[at : at + CELL] for at in range(0, _SEGMENT, CELL)]

    def _secret(self) -> mmap.mmap | None:
        try:
            handle = kernel.call(kernel.MEMFD_SECRET, _CLOEXEC)
        except OSError:
            return None
        try:
            os.ftruncate(handle, _SEGMENT)
            memory = mmap.mmap(handle, _SEGMENT)
            memory.madvise(_MADV_DONTFORK)
            memory[0] = 0  # the page is there, or can't be had
        except (OSError, ValueError):
            return None
        finally:
            os.close(handle)
        self.kind, self.locked = "memory that only this process can read (memfd_secret)", True
        return memory

    def _anonymous(self) -> mmap.mmap:
        memory = mmap.mmap(-1, _SEGMENT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for advice in (_MADV_DONTDUMP, _MADV_WIPEONFORK):
            try:
                memory.madvise(advice)
            except OSError as fault:
                self.failed = f"it could not be kept out of dumps and children: {fault.strerror}"
        try:
            kernel.mlock(address, _SEGMENT)
            self.kind, self.locked = "locked memory (mlock)", not self.failed
        except OSError as fault:
            self.kind, self.locked = "plain memory", False
            self.failed = f"it may be swapped, since it can't be locked: {fault.strerror}"
        return memory


ARENA = Arena()
