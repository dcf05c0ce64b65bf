"""The page that this engine alone can write and every application maps to read: the epoch, and the catalog of slots.

The epoch is a number. It moves after anything has changed that the verdict on an ...Init depends on, and before that
change is answered: logins, logouts, changed or destroyed keys, lost uses. While it stands, a library may answer an Init
that was granted before by itself (c_src/grant.c).

The catalog is what the library answers about slots and mechanisms without a trip (c_src/catalog.c): written anew after
any change of it, and before that change is answered.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading

_F_SEAL_FUTURE_WRITE = 0x0010  # fcntl(2), Linux 5.1; Python 3.11 does not name it
_NUMBER = struct.Struct("<Q")
_SEQUENCE, _LENGTH, _CATALOG = 8, 16, 64  # where they begin; the epoch is first
SIZE = 256 << 10  # what nobody has written takes no memory


class Epoch:
    """``handle`` is what applications get: sealed, so that nobody else can map it to write nor make it shorter."""

    def __init__(self) -> None:
        self.handle = os.memfd_create("adyton-epoch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.handle, SIZE)
        self._page = mmap.mmap(self.handle, SIZE)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self.handle, fcntl.F_ADD_SEALS, seals)
        self._lock = threading.Lock()
        self._now = int.from_bytes(os.urandom(4), "little")
        self._sequence = 0
        self.bump()

    def bump(self) -> None:
        with self._lock:
            self._now += 1
            _NUMBER.pack_into(self._page, 0, self._now)

    def publish(self, catalog: bytes) -> None:
        """Who reads meanwhile sees an odd sequence, or another one than before, and asks. A catalog that is longer than
        the page has room is empty: then all are asked for."""
        catalog = catalog if len(catalog) <= SIZE - _CATALOG else b""
        with self._lock:
            _NUMBER.pack_into(self._page, _SEQUENCE, self._sequence + 1)
            _NUMBER.pack_into(self._page, _LENGTH, len(catalog))
            self._page[_CATALOG : _CATALOG + len(catalog)] = catalog
            self._sequence += 2
            _NUMBER.pack_into(self._page, _SEQUENCE, self._sequence)

    def close(self) -> None:
        self._page.close()
        os.close(self.handle)
