"""What falls due by itself: keys that are rotated, deleted ones and deleted partitions that go for good.

One thread, begun when there is anything to wait for. What fell due while no engine ran is done when the next one
starts, with the time it was due in its record.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hsm.errors import TokenError
from hsm.log import report, say

if TYPE_CHECKING:
    from hsm.pool import Pool

LONGEST = 3600.0  # seconds between two looks: the clock may be set
AGAIN = 60.0  # until what could not be done is tried once more


class Upkeep:
    """Of one pool. ``begin`` lets it have a thread; without one, ``look`` is for the caller."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._may_run = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        pool = self._pool
        self._may_run = True
        if pool.deleted() or any(one.deleted.keys or one.rotations.policies for one in pool.by_slot.values()):
            self.wake()

    def wake(self) -> None:
        """There is something to wait for that was not there before. Who says so may hold any lock: none is asked for
        here but one that nobody keeps."""
        self._changed.set()
        with self._lock:
            if self._may_run and self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._changed.clear()
            self.look()
            self._changed.wait(self.pause())

    def pause(self) -> float:
        """Seconds until the next look. What is still due after one could not be done."""
        wait = self._wait()
        if wait is None:
            return LONGEST
        return min(wait, LONGEST) if wait > 0 else AGAIN

    def _wait(self) -> float | None:
        """Seconds until something is due; None where there is nothing to wait for."""
        pool, now = self._pool, self._pool.store.time.now()
        with pool.lock:
            there = list(pool.by_slot.values())
            due = [head.deleted.purge - now for head in pool.deleted().values() if head.deleted is not None]
        for partition in there:
            with partition.lock:
                purge, rotation = partition.deleted.next_due(), partition.rotations.next_in()
            due += [purge - now] if purge else []
            due += [rotation] if rotation is not None else []
        return min(due) / 1e6 if due else None

    def look(self) -> None:
        """Does what is due, and does it once, whoever looks."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        pool, now = self._pool, self._pool.store.time.now()
        for slot, head in pool.deleted().items():
            if head.deleted is not None and head.deleted.purge <= now:
                record = {"act": "partition-purge", "slot": str(slot), "due": str(head.deleted.purge // 1_000_000)}
                record |= {"pid": str(os.getpid()), "uid": str(os.geteuid())}
                self._try(partial(pool.purge_partition, slot, record, due=True))
        with pool.lock:
            there = list(pool.by_slot.values())
        for partition in there:
            self._try(partition.upkeep)

    @staticmethod
    def _try(work: Callable[[], None]) -> None:
        """What can't be done now, on a full disk say, is done at the next look."""
        try:
            work()
        except TokenError as refusal:
            say(f"upkeep: {refusal.reason}")
        except Exception as fault:  # the next look comes in any case
            report(fault)
