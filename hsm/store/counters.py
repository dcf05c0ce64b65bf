"""PIN failure counters in a small file of their own, updated in place.

SQLite's log needs room for every write; these bytes are there already, so a try is counted, and a login works, on a
full disk. Each counter has two places, written in turn: a crash in between leaves the other one. Each place carries
a generation and a MAC; what is neither blank nor well sealed counts as locked.
"""

from __future__ import annotations

import hmac
import os
import struct
import threading

COUNTERS = 1024
_PLACE = struct.Struct("<QQ16s")  # generation, failures, MAC
_BLANK = bytes(_PLACE.size)
UNREADABLE = 1 << 30


class Counters:
    """One counter for each name, by number of place; in memory where ``path`` is None."""

    def __init__(self, path: str | None, device_key: bytes) -> None:
        self._lock = threading.Lock()
        self._key = hmac.digest(device_key, b"adyton counters", "sha256")
        self._memory: dict[int, int] = {}
        self._file = -1
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            whole = COUNTERS * 2 * _PLACE.size
            if os.fstat(self._file).st_size < whole:
                # Written, not truncated to size: a sparse file has no room on a full disk.
                os.pwrite(self._file, bytes(whole - os.fstat(self._file).st_size), os.fstat(self._file).st_size)
                os.fsync(self._file)

    def _places(self, number: int) -> list[tuple[int, int]]:
        """(generation, failures) of both places of a counter."""
        found = []
        for half in (0, 1):
            raw = os.pread(self._file, _PLACE.size, (2 * number + half) * _PLACE.size)
            if raw == _BLANK:
                found.append((0, 0))
                continue
            generation, failures, mac = _PLACE.unpack(raw.ljust(_PLACE.size, b"\0"))
            good = hmac.compare_digest(mac, self._mac(number, generation, failures))
            found.append((generation, failures) if good else (0, UNREADABLE))
        return found

    def _mac(self, number: int, generation: int, failures: int) -> bytes:
        return hmac.digest(self._key, struct.pack("<QQQ", number, generation, failures), "sha256")[:16]

    def read(self, number: int) -> int:
        with self._lock:
            return self._read(number)

    def _read(self, number: int) -> int:
        if self._file < 0:
            return self._memory.get(number, 0)
        places = self._places(number)
        return max(places)[1]

    def write(self, number: int, failures: int) -> None:
        """On the disk before this returns."""
        with self._lock:
            if self._file < 0:
                self._memory[number] = failures
                return
            places = self._places(number)
            generation = max(places)[0] + 1
            half = 0 if places[0] <= places[1] else 1
            record = _PLACE.pack(generation, failures, self._mac(number, generation, failures))
            os.pwrite(self._file, record, (2 * number + half) * _PLACE.size)
            os.fdatasync(self._file)
