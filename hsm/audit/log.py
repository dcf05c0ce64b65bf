"""The pool's audit log: what is queued, who writes it, how it is kept and read.

A record of use is one ``append`` to a queue; a thread of the log's own writes what is queued within a second, as one
block (hsm/audit/chain.py), and is not there before there is something to write. A change's record goes into the
change's own transaction, together with all that was queued before it, so that there is one order.

``audit = normal``: where nothing can be written (a full or a read-only disk), use goes on, and records are kept in
memory up to a bound; what is lost beyond it is counted, and told in a record as soon as one can be written again. An
engine that was killed has lost up to a second of records of use: the next one's first record says so, and since when.

``audit = strict``: each answer waits until its record is on the disk, and nothing is given out where it can't be. Many
at a time share one commit.

How much is kept: hsm/audit/keeping.py.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm import __version__, clock
from hsm.audit import chain
from hsm.audit.chain import Entry, Said
from hsm.audit.keeping import ROW, Keeping, Settings, time_of
from hsm.errors import TokenError
from hsm.log import report, say
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.audit.record import Record
    from hsm.store.sqlite import Store
    from hsm.store.transaction import Transaction

GATHER = 0.5  # seconds between the first queued record and the commit
RETRY = 2.0  # after one that failed
MOST_KEPT = 50_000  # records in memory while none can be written
SIGN_AFTER = 1000  # records
DAMAGED = "audit-damaged"
_ENDED, _BROKEN_OFF, _EARLIER = "ended", "broken off", "of an earlier release"


class Written(NamedTuple):
    """What one transaction takes from the queue, to be put back where it fails."""

    queued: tuple[Entry, ...] = ()
    lost: int = 0
    opened: bool = False


class Log:
    """One for each store. Whatever is queued is written before a reader gets an answer."""

    def __init__(self, store: Store, *, held: bool = False) -> None:
        self._store = store
        self.keeping = Keeping(store)
        self.strict = False
        self._queue: deque[Entry] = deque()
        self._since = clock.now()
        self._asleep = True  # nobody is about to write what is queued, or it can't be written
        self._opened = False  # this engine's first record is there
        self._ended = False
        self._held = held  # until `release` there is no thread: an engine that shuts itself in has one only
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._closing = threading.Event()
        self._news = threading.Condition()
        self._lost: list[float] = [0, 0.0, 0.0]  # how many, since when, until when
        self._failing = ""

    def configure(self, settings: Settings) -> None:
        self.keeping.settings = settings
        self.strict = settings.strict

    # -- telling

    def tell(self, entry: Entry) -> None:
        """On the way of each answer. Raises TokenError where the log is strict and can't be written."""
        if self.strict:
            self._commit(entry)
            return
        self._queue.append(entry)
        if self._asleep:
            self._stir()

    def tell_anyway(self, entry: Entry) -> None:
        """What gives nothing out, as a refusal or a logout, is answered whether it can be written or not."""
        try:
            self.tell(entry)
        except TokenError:
            self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._stir()

    def _stir(self) -> None:
        """Something is there to be written or signed and nobody sees to it, or much is."""
        if len(self._queue) > MOST_KEPT:
            self._lose()
        if self._thread is None and not self._held:
            with self._lock:
                if self._thread is None and not self._closing.is_set():
                    self._store.mark_use()
                    try:
                        self._thread = threading.Thread(target=self._write_on, daemon=True)
                        self._thread.start()
                    except RuntimeError as fault:  # no thread left: the next change, or the end, writes it
                        self._thread = None
                        report(fault)
        self._bell.set()

    def release(self) -> None:
        self._held = False
        if self._bell.is_set():  # somebody wanted it meanwhile
            self._stir()

    def _lose(self) -> None:
        with self._lock:
            try:
                gone = self._queue.pop()
            except IndexError:
                return
            count, since, _ = self._lost
            self._lost = [count + 1, since or gone[0], gone[0]]

    def _commit(self, entry: Entry) -> None:
        """Whoever gets the store first writes for all that wait for it."""
        self._queue.append(entry)
        self._store.mark_use()
        with self._store.lock:
            if entry not in self._queue:
                return
            try:
                self.flush()
            except TokenError:
                self._queue.remove(entry)
                raise

    # -- writing

    def flush(self) -> None:
        """What is queued is on the disk when this returns. Raises TokenError where it can't be."""
        if self._queue or self._lost[0]:
            with self._store.transaction():
                pass

    def _write_on(self) -> None:
        self._store.keep_mark()
        while not self._closing.is_set():
            self._asleep = True
            due = None if self._failing else self._until_checkpoint(self._store.pool_head.chain)
            if not self._queue and not self._bell.wait(due if due is None else max(0.05, due)):
                self._sign_alone()
                continue
            self._asleep = False
            self._bell.clear()
            if not self._queue:
                continue
            self._closing.wait(GATHER)
            try:
                self.flush()
            except TokenError as refusal:
                self._wait_for_better(refusal)
            except Exception as fault:  # a fault of ours must not end the log
                report(fault)
                self._wait_for_better(TokenError(ck.CKR_DEVICE_ERROR, "a fault of the engine"))

    def _wait_for_better(self, refusal: TokenError) -> None:
        """Who tells meanwhile sees to it that there is not too much in memory."""
        self._failed(refusal)
        self._asleep = True
        self._closing.wait(RETRY)

    def _failed(self, refusal: TokenError) -> None:
        if not self._failing:
            say(f"the audit log can't be written ({refusal.reason}); its records are kept in memory")
        self._failing = refusal.reason

    def write(self, tx: Transaction, changes: list[Entry]) -> Written:
        """Before a commit: what is queued, then the transaction's own records, as blocks behind the last."""
        if self._ended:
            raise TokenError(ck.CKR_DEVICE_REMOVED, "the engine is leaving")
        queued = tuple(self._queue.popleft() for _ in range(len(self._queue)))
        lost = int(self._lost[0])
        taken = Written(queued, lost, bool(queued or changes or lost))
        try:
            self._write(tx, taken, changes)
        except BaseException:
            self.put_back(taken)
            raise
        return taken

    def _write(self, tx: Transaction, taken: Written, changes: list[Entry]) -> None:
        entries = [*taken.queued]
        if taken.lost:
            _, since, until = self._lost
            times = [clock.moment(int(seconds * 1e6)) for seconds in (since, until)]
            detail = (("count", str(taken.lost)), ("since", times[0]), ("until", times[1]))
            entries.append(self._own("audit-lost", detail))
        dropped = self.keeping.drop(tx, self._sign_at) if taken.opened else None
        if dropped:
            entries.append(self._own("audit-drop", dropped))
        jump = self._store.time.jump() if taken.opened else 0
        if jump:
            entries.append(self._own("clock-set", (("seconds", f"{jump / 1e6:+.0f}"),)))
        entries += changes  # last, since an engine's last word is that it ends
        if entries and not self._opened:
            self._store.mark_use()
            start = self._own("engine-start", self._before(tx))
            entries.insert(0, (self._since, *start[1:]))
        for at in range(0, len(entries), chain.LARGEST):
            self._put(tx, entries[at : at + chain.LARGEST])
        told = tx.pool_head.chain
        unsigned = told.sequence - told.signed
        due = self._until_checkpoint(told)
        if unsigned >= SIGN_AFTER or (unsigned and (self._closing.is_set() or (due is not None and due <= 0))):
            self._sign(tx)

    def _put(self, tx: Transaction, entries: list[Entry]) -> None:
        import zlib

        told = tx.pool_head.chain
        body, count = chain.pack(told.sequence + 1, entries)
        last = told.sequence + count
        block, chained = zlib.compress(body, 1), chain.chained(last, told.hash, body)
        tx.put_block(last, block, chained)
        tx.pool_head.chain = told._replace(sequence=last, hash=chained, size=told.size + len(block) + ROW)

    def put_back(self, taken: Written) -> None:
        """The transaction has failed: what it took is queued again, in its order."""
        self._queue.extendleft(reversed(taken.queued))

    def written(self, taken: Written) -> None:
        """The transaction is committed."""
        if not taken.opened:
            return
        self._opened = True
        self._store.time.told()
        if taken.lost:
            with self._lock:
                self._lost[0] -= taken.lost
                if not self._lost[0]:
                    self._lost = [0, 0.0, 0.0]
        if self._failing:
            self._failing = ""
            say("the audit log is written again")
        self.keeping.look()
        if self._asleep and not self._closing.is_set():
            self._stir()
        with self._news:
            self._news.notify_all()

    def _own(self, operation: str, detail: Said) -> Entry:
        import os

        return clock.now(), 0, (operation, 0, "", os.geteuid(), os.getpid(), -1, (), None, detail)

    def _before(self, tx: Transaction) -> Said:
        """How the engine before this one ended, and since when records of use may be missing."""
        version = ("version", __version__)
        row = tx.last_block()
        if row is None:
            return (version,)
        if chain.is_old(row[1]):
            return version, ("previous", _EARLIER)
        try:
            last = chain.unpack(row[0], chain.body_of(row[1]))[-1]
        except chain.Broken:
            return version, ("previous", _BROKEN_OFF)
        if last.operation == "engine-stop" and not self._store.was_marked:
            return version, ("previous", _ENDED)
        return version, ("previous", _BROKEN_OFF), ("missing_since", clock.moment(last.time_us))

    # -- checkpoints

    def _until_checkpoint(self, told: chain.Chain) -> float | None:
        """Seconds until the next one is due by time; None where none will be."""
        if told.signed >= told.sequence or not self.keeping.settings.checkpoint:
            return None
        return told.signed_us / 1e6 + self.keeping.settings.checkpoint - clock.now()

    def _sign_alone(self) -> None:
        try:
            with self._store.transaction() as tx:
                self._sign(tx)
        except TokenError as refusal:
            self._wait_for_better(refusal)

    def _sign(self, tx: Transaction) -> None:
        told = tx.pool_head.chain
        if told.sequence > told.signed:
            self._sign_at(tx, told.sequence, told.hash)
            now = clock.microseconds()
            tx.pool_head.chain = tx.pool_head.chain._replace(signed=told.sequence, signed_us=now)

    def _sign_at(self, tx: Transaction, sequence: int, chained: bytes) -> None:
        added = tx.put_checkpoint(sequence, self._line(sequence, chained))
        tx.pool_head.chain = tx.pool_head.chain._replace(size=tx.pool_head.chain.size + added)

    def _line(self, sequence: int, chained: bytes) -> str:
        from hsm.audit import checkpoint

        private, public = self._store.audit_key()
        return checkpoint.sign(private, public, sequence, chained, clock.microseconds())

    # -- what it says of itself

    def problems(self) -> list[str]:
        """Sentences for ``adyton status``."""
        found = []
        if self._failing:
            found.append(
                f"the audit log can't be written ({self._failing}): {len(self._queue)} records are in memory only"
                + (f", {int(self._lost[0])} more are lost" if self._lost[0] else "")
            )
        return found + list(filter(None, [self.keeping.problem()]))

    def status(self) -> dict[str, Any]:
        from hsm.audit import checkpoint

        told = self._store.pool_head.chain
        row = self._store.last_block()
        return {
            "mode": "strict" if self.strict else "normal", "first": told.dropped + 1, "last": told.sequence,
            "written": time_of(*row) if row else None, "pending": len(self._queue), "lost": int(self._lost[0]),
            "size": told.size, "cap": self.keeping.cap, "signed": told.signed,
            "key": checkpoint.log_id(self._store.audit_key()[1]),
        }

    # -- reading

    @property
    def last(self) -> int:
        """The last record's sequence number; 0 where there is none."""
        return self._store.pool_head.chain.sequence

    def records(self, after: int = 0) -> Iterator[Record]:
        """Those with a higher number than ``after``, in their order; the first there is may be higher than 1, where
        older ones were dropped. A block that is damaged is one record that says so, under its last one's number."""
        self._up_to_date()
        time_us = clock.microseconds()
        for sequence, block, _ in self._store.blocks(after):
            try:
                held = chain.unpack(sequence, chain.body_of(block))
            except chain.Broken as fault:
                from hsm.audit.record import Record

                told = {"reason": f"the records up to this one are damaged: {fault}"}
                held = [Record(sequence, time_us, DAMAGED, ck.CKR_DEVICE_ERROR, "", -1, -1, -1, (), None, 0, 1, told)]
            time_us = held[-1].time_us
            yield from (record for record in held if record.sequence > after)

    def wait(self, after: int, seconds: float) -> bool:
        """Until there is a record with a higher number than ``after``; False where the time ran out first."""
        with self._news:
            return self._news.wait_for(lambda: self.last > after, seconds)

    def _up_to_date(self) -> None:
        """As far as it can be: a log that can't be written can still be read."""
        try:
            self.flush()
        except TokenError as refusal:
            self._failed(refusal)

    def public_key(self) -> bytes:
        """Of the checkpoints' signatures: 32 bytes, Ed25519."""
        return self._store.audit_key()[1]

    def checkpoint(self) -> str:
        """One line that says how far the log has come and what it is, signed (hsm/audit/checkpoint.py)."""
        self._up_to_date()
        with self._store.lock:
            told = self._store.pool_head.chain
            if told.signed < told.sequence:
                try:
                    with self._store.transaction() as tx:
                        self._sign(tx)
                except TokenError as refusal:  # what is signed is signed, on a read-only disk too
                    self._failed(refusal)
            return self._line(told.sequence, told.hash)

    def export(self, write: Callable[[bytes], object]) -> None:
        """The whole chain, line by line, as hsm/audit/verify.py reads it, up to what was there when this began.
        ``strict`` may drop that from then on."""
        from hsm.audit import export

        with self._store.lock:
            end = self.checkpoint()
            told = self._store.pool_head.chain
        export.write(self._store, told, self.public_key(), end, write)
        if self._store.pool_head.chain.dropped > told.dropped:
            words = "the oldest records were dropped while the log was exported: export it again"
            raise TokenError(ck.CKR_DEVICE_ERROR, words)
        try:
            with self._store.transaction() as tx:
                exported = max(told.sequence, tx.pool_head.chain.exported)
                tx.pool_head.chain = tx.pool_head.chain._replace(exported=exported)
        except TokenError as refusal:
            self._failed(refusal)

    # -- the end

    def close(self) -> None:
        """A clean end: all is written and signed, and the last record says so."""
        self.strict = True  # what is answered from here on has its record, or is not answered
        self._closing.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join(5.0)
        if not (self._opened or self._queue):
            return
        try:
            with self._store.transaction() as tx:
                tx.tell(self._own("engine-stop", ()))
            self._ended = True
            self._store.unmark_use()
        except TokenError as refusal:
            say(f"the audit log can't be ended ({refusal.reason}): {len(self._queue)} records are lost")
