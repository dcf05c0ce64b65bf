"""How much of the log is kept: what is older than ``audit-retention``, or more than ``audit-cap`` holds, is dropped
from the beginning, which is told before it happens.

A checkpoint is signed for what goes, and a record names it, so that what is left still verifies. A pool set to
``audit = strict`` drops only what has been exported: at the cap it refuses use instead, until somebody has exported the
log or raised the cap.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hsm.audit import chain
from hsm.audit.chain import Said
from hsm.errors import TokenError
from hsm.log import say
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.store.sqlite import Store
    from hsm.store.transaction import Transaction

ROW = 64  # bytes that a block takes beside its body
IN_MEMORY = 16 << 20  # bytes of log that a pool in memory keeps at most
WARN_AT = 0.8
_DAY = 86400.0
_LOOK_AGAIN = 60.0  # seconds between looks for what is too old


class Settings(NamedTuple):
    """``retention`` in days, ``cap`` in MiB, 0 is none; ``checkpoint`` in seconds, 0: by the number of records only."""

    strict: bool = False
    retention: int = 0
    cap: int = 512
    checkpoint: float = 60.0


class Keeping:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.settings = Settings()
        self._warned = False
        self._looked = 0.0

    @property
    def cap(self) -> int:
        """Bytes; 0 is no cap."""
        given = self.settings.cap << 20
        return min(given or IN_MEMORY, IN_MEMORY) if self._store.home is None else given

    def drop(self, tx: Transaction, sign: Callable[[Transaction, int, bytes], None]) -> Said:
        """Drops what is too old or too much, once ``sign`` has made a checkpoint of its end; says what, or nothing
        where there was none."""
        told = tx.pool_head.chain
        too_much = self.cap and told.size > self.cap
        aim = int(self.cap * 0.9) if too_much else told.size
        # By the time that the pool has seen: a clock set ahead must not make what is there old.
        seen = self._store.time.now() / 1e6
        oldest = seen - self.settings.retention * _DAY if self.settings.retention else 0.0
        if not too_much and not (oldest and time.monotonic() - self._looked > _LOOK_AGAIN):
            return ()
        self._looked = time.monotonic()
        size, through, chained = told.size, told.dropped, told.dropped_hash
        for sequence, block, block_hash in tx.blocks(told.dropped):
            if size <= aim and not (oldest and time_of(sequence, block) < oldest):
                break
            if sequence == told.sequence or (self.settings.strict and sequence > told.exported):
                break
            size, through, chained = size - len(block) - ROW, sequence, block_hash
        if self.settings.strict and self.cap and size > self.cap:
            words = "the audit log is at its cap, and strict drops nothing that was not exported: export it, or raise"
            raise TokenError(ck.CKR_DEVICE_MEMORY, f"{words} the setting audit-cap", "audit-cap")
        if through == told.dropped:
            return ()
        size -= tx.drop_blocks(through)
        tx.pool_head.chain = told._replace(size=max(0, size), dropped=through, dropped_hash=chained)
        sign(tx, through, chained)
        return (
            ("first", str(told.dropped + 1)), ("through", str(through)), ("hash", chained.hex()),
            ("reason", "audit-cap" if too_much else "audit-retention"),
        )

    def look(self) -> None:
        """After a commit: says once that the cap is near."""
        near = bool(self.cap) and self._store.pool_head.chain.size >= WARN_AT * self.cap
        if near and not self._warned:
            say(self._nearly_full())
        self._warned = near

    def problem(self) -> str:
        """A sentence for ``adyton status``; none where there is room."""
        return self._nearly_full() if self._warned else ""

    def _nearly_full(self) -> str:
        held, cap = self._store.pool_head.chain.size, self.cap
        then = "use is refused" if self.settings.strict else "the oldest records are dropped"
        return (
            f"the audit log holds {held / (1 << 20):.1f} of the {cap >> 20} MiB that audit-cap allows; at the cap "
            f"{then}: export it, or raise audit-cap"
        )


def time_of(sequence: int, block: bytes) -> float:
    """When a block's last record was made; of one that is damaged, long ago."""
    try:
        return chain.unpack(sequence, chain.body_of(block))[-1].time_us / 1e6
    except chain.Broken:
        return 0.0
