"""PIN failure counters in a small file of their own, updated in place.

SQLite's log needs room for every write; these bytes are there already, so a try is counted, and a login works, on a
full disk. Each counter has two places, written in turn: a crash in between leaves the other one. A place names the
credential whose failures it counts, so a new PIN starts at nothing in the very commit that makes it. Each carries a
generation and a MAC; what is not well sealed is never in the guesser's favour.

Where the file can't be written, because the disk is read-only, tries are counted in memory until the engine ends: who
could end it could also copy the pool and guess on the copy.
"""

from __future__ import annotations

import errno
import hmac
import os
import struct
import threading
from typing import NamedTuple

from hsm.confinement.arena import ARENA, Secret
from hsm.errors import TokenError
from hsm.log import say
from hsm.store.points import reach
from pkcs11_shim import constants as ck

LOCKED = 1 << 30
_PLACE = struct.Struct("<QQ16s32s")  # generation, failures, credential, MAC: 64 bytes never straddle a sector
_BLANK = bytes(_PLACE.size)
_BYTES = 2 * _PLACE.size


class Count(NamedTuple):
    generation: int
    failures: int
    credential: bytes


_NONE = Count(0, 0, bytes(16))


class Counters:
    """One counter for each officer, by number; in memory where ``path`` is None."""

    def __init__(self, path: str | None, device_key: Secret, *, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        self._key = ARENA.keep(hmac.digest(device_key, b"adyton counters", "sha256"))
        self._counts: dict[int, Count] = {}
        self._last_half: dict[int, int] = {}
        self._damaged: dict[int, int] = {}
        self._file = -1
        self._writes = path is not None and not read_only
        if path is not None and (self._writes or os.path.exists(path)):
            flags = (os.O_RDWR | os.O_CREAT) if self._writes else os.O_RDONLY
            self._file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def reserve(self, counters: int) -> None:
        """Room for that many counters, on the disk when this returns: written zeros, since a sparse file has no room
        on a full disk."""
        if self._writes:
            size = os.fstat(self._file).st_size
            missing = counters * _BYTES - size
            if missing > 0:
                try:
                    os.pwrite(self._file, bytes(missing), size)
                    os.fsync(self._file)
                    reach("room-made")
                except OSError as fault:
                    raise _failed("there is no room for another officer's PIN counter", fault) from None

    def _mac(self, number: int, count: Count) -> bytes:
        told = struct.pack("<QQQ", number, count.generation, count.failures) + count.credential
        return hmac.digest(self._key, told, "sha256")

    def _count(self, number: int) -> Count:
        """The counter as it stands: the file is read once, then this process knows."""
        known = self._counts.get(number)
        if known is None:
            known = self._counts[number] = self._read(number) if self._file >= 0 else _NONE
        return known

    def _read(self, number: int) -> Count:
        """The later of two places."""
        good = []
        for half in (0, 1):
            raw = os.pread(self._file, _PLACE.size, (2 * number + half) * _PLACE.size).ljust(_PLACE.size, b"\0")
            count = Count(*_PLACE.unpack(raw)[:3])
            if raw == _BLANK:
                good.append((0, half, _NONE))
            elif hmac.compare_digest(raw[-32:], self._mac(number, count)):
                good.append((count.generation, half, count))
        if len(good) < 2:
            self._damaged[number] = 2 - len(good)
            say(f"PIN counter {number} is damaged: tries are counted against the guesser")
        _, self._last_half[number], latest = max(good, default=(0, 1, _NONE))
        return latest

    def failures(self, number: int, credential: bytes, at_least: int) -> int:
        """Failed tries since the last good one. ``at_least``: the generation the store knows the counter had."""
        with self._lock:
            count = self._count(number)
            lost = self._damaged.get(number, 0)  # the place that does not check may have counted one more
            if lost == 2 or count.generation + lost < at_least:
                return LOCKED
            return lost + (count.failures if count.credential == credential else 0)

    def is_damaged(self, number: int) -> bool:
        with self._lock:
            self._count(number)
            return number in self._damaged

    def generation(self, number: int) -> int:
        with self._lock:
            return self._count(number).generation

    def write(self, number: int, credential: bytes, failures: int, at_least: int = 0) -> None:
        """On the disk before this returns."""
        with self._lock:
            # After damage both places are written, or damaging the later one again would give tries back.
            for _ in range(2 if number in self._damaged else 1):
                count = Count(max(self._count(number).generation, at_least) + 1, failures, credential)
                half = 1 - self._last_half.get(number, 1)
                if self._writes:
                    self._put(number, half, count)
                self._counts[number] = count
                self._last_half[number] = half
            self._damaged.pop(number, None)

    def _put(self, number: int, half: int, count: Count) -> None:
        place = _PLACE.pack(*count, self._mac(number, count))
        reach("try-begun")
        try:
            os.pwrite(self._file, place, (2 * number + half) * _PLACE.size)
            reach("try-written")
            os.fdatasync(self._file)
            reach("try-counted")
        except OSError as fault:
            if fault.errno == errno.EROFS:
                self._writes = False
                return
            raise _failed("a PIN try can't be counted, so none is made", fault) from None


def _failed(words: str, fault: OSError) -> TokenError:
    full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
    why = os.strerror(fault.errno or errno.EIO)
    return TokenError(ck.CKR_DEVICE_MEMORY if full else ck.CKR_DEVICE_ERROR, f"{words}: {why}")
