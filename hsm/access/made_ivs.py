"""IVs that the token makes for GCM: each once for a partition, whatever key it is for (NIST SP 800-38D, section 8.2.1).

The last eight bytes count, for all keys of the partition together, so that copies and twins of a value need no counter
of their own. Numbers are reserved on the disk in blocks before any of them is used: an engine that was killed passes
over what was left of its block. What is before them, and was not fixed by the caller, is random: in a pool that was put
back from an earlier day, or run twice, the same number comes with other bytes before it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hsm.errors import TokenError
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.partitions import Partition

LENGTH = 12  # bytes of an IV
COUNTER = 8
BLOCK = 1 << 16  # numbers reserved by one commit
MOST_FIXED_BITS = 8 * (LENGTH - COUNTER)


class Ivs:
    """The IVs of one partition."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._next = self._end = 0

    def make(self, fixed: bytes) -> bytes:
        """A new IV that begins with ``fixed``, of up to MOST_FIXED_BITS."""
        partition = self._partition
        with partition.lock:
            if self._next == self._end:
                self._next = self._reserve()
                self._end = self._next + BLOCK
            number = self._next
            self._next += 1
        return fixed + os.urandom(LENGTH - COUNTER - len(fixed)) + number.to_bytes(COUNTER, "big")

    def _reserve(self) -> int:
        store = self._partition.pool.store
        if store.write_protected:
            words = "IVs that may never come again are counted on the disk, and this one can't be written"
            raise TokenError(ck.CKR_DEVICE_ERROR, words)
        with store.transaction() as tx:
            return tx.reserve_ivs(self._partition.slot, BLOCK)
