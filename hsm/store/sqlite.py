"""The sealed store on SQLite: one writer, one transaction a call, acknowledged after commit.

Nothing here decides; it keeps. The whole of a private object and the secret part of any key lie under the partition
key, everything else under the device key. Damage to one record costs that one object; what is missing, put back or
swapped is noticed by the heads (hsm/store/heads.py) and said in the log.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from hsm import clock
from hsm.audit.chain import Chain
from hsm.audit.log import Log
from hsm.confinement.arena import ARENA, Secret
from hsm.errors import TokenError
from hsm.log import say
from hsm.objects.about import DAMAGED, NOTHING, About
from hsm.store import folder, records, schema, sealing
from hsm.store.counters import Counters
from hsm.store.folder import Unusable
from hsm.store.guard import Place, Witness
from hsm.store.heads import Deletion, PartitionHead, PoolHead, Weigher
from hsm.store.key_names import KeyNames
from hsm.store.points import reach
from hsm.store.records import R
from hsm.store.time_seen import TimeSeen
from hsm.store.transaction import Transaction
from pkcs11_shim import constants as ck

_FAILURES = {
    sqlite3.SQLITE_FULL: (ck.CKR_DEVICE_MEMORY, "the disk is full: nothing was changed"),
    sqlite3.SQLITE_READONLY: (ck.CKR_TOKEN_WRITE_PROTECTED, "the store is read-only: nothing was changed"),
    sqlite3.SQLITE_NOMEM: (ck.CKR_DEVICE_MEMORY, "the engine is out of memory: nothing was changed"),
}
_FAILED = (ck.CKR_DEVICE_ERROR, "the store can't be read or written: nothing was changed")
_AT_A_TIME = 256
_PAGES = 256  # copied at a time, while nobody writes
Head = TypeVar("Head", PoolHead, PartitionHead)


class Rider(Protocol):
    """What goes along with a commit that somebody else makes."""

    def write(self, tx: Transaction) -> None: ...

    def committed(self) -> None: ...


class _Riding(threading.local):
    """Each thread's, for its next commit."""

    rider: Rider | None = None


class Store:
    """All partitions of one pool: in ``home``, or in memory where that is None. ``damage`` are sentences by slot, those
    about the pool itself under None. ``looking``: only to be read, as it is now, beside an engine too; what is found is
    said nowhere else."""

    def __init__(
        self, home: str | None, *, held: bool = False, looking: bool = False, guard: Place | None = None,
        accepts: bool = False, test_clock: bool = False,
    ) -> None:
        """``test_clock``: a pool that is made by this has a clock that can be moved, for good. ``guard``: where the
        witness of how far the pool has come is kept. ``accepts``: the pool is taken as it is,
        whatever that says."""
        self.lock = threading.RLock()
        self._riding = _Riding()
        self.home = home
        self.damage: dict[int | None, list[str]] = {}
        self._key_names: dict[int, KeyNames] = {}
        self._incoming: dict[int, list[int]] = {}
        self._looking = looking
        self._guard: Witness | None = None
        self.put_back = ""  # that the whole pool was, by its rollback guard, in words
        self._read_only = looking or (home is not None and folder.is_read_only(home))
        self.audit = Log(self, held=held)
        self.was_marked = self._marked = False
        try:
            self._database = folder.open_database(home, read_only=self._read_only, looking=looking)
            try:
                self._open(home, test_clock)
                if guard is not None and home is not None:
                    self._compare(guard, accepts)
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as fault:
            words = f"{home}/pool.db can't be read: {fault}. Put its backup back, or make room on the disk; what can be"
            words += " saved without a backup says adyton repair --dry-run"
            raise Unusable(words) from None
        except UnicodeDecodeError:
            # SQLite quotes a damaged schema in its complaint, which then is no text.
            words = f"{home}/pool.db is damaged: put its backup back, or see adyton repair --dry-run"
            raise Unusable(words) from None

    def _open(self, home: str | None, test_clock: bool) -> None:
        version = schema.version(self._database)
        if home is None:
            self.device_key = ARENA.random()
        else:
            if self._looking and version < len(schema.UPGRADES):
                raise Unusable(f"{home} holds no pool, or one of an earlier version that no engine has opened since")
            if self._read_only and version < len(schema.UPGRADES):
                raise Unusable(f"{home} is read-only, and holds no pool of this version: none can be made there")
            self.device_key = folder.device_key(home, store_exists=version > 0)
        path = None if home is None else os.path.join(home, "counters")
        self.counters = Counters(path, self.device_key, read_only=self._read_only)
        self.weigher = Weigher(self.device_key)
        self.pool_head = PoolHead(Chain())
        self.heads: dict[int, PartitionHead] = {}
        if version > 0:
            self._read_heads(version)
        elif test_clock:
            self.pool_head.test_clock = 0
        clock.move_to(self.pool_head.test_clock)
        self.time = TimeSeen(self.pool_head.wall, self.pool_head.seen)
        if version < len(schema.UPGRADES):
            with self.transaction() as tx:
                schema.upgrade(tx)
                if not version:
                    tx.create_partition({"act": "pool-create", "pid": str(os.getpid()), "uid": str(os.geteuid())})
        if home is not None and not folder.is_whole(home):
            folder.finish(home)

    def _compare(self, place: Place, accepts: bool) -> None:
        """With what the rollback guard says. A pool that is guarded for the first time has none yet; where one is
        there, the pool is an earlier day's."""
        witness, new = Witness(place, self.device_key), not self.pool_head.guarded
        words = "" if new and not os.path.exists(witness.path) else witness.behind(self.pool_head.generation)
        self.put_back = words
        if words and not accepts:
            if place.strict and not self._looking:
                raise Unusable(f"{words}. Put the newer pool back; or take it as it is: adyton accept-rollback")
            self.note(None, words)
        if self._read_only:
            return
        if new and not words:
            witness.settle(self.pool_head.generation)
        if new or words:
            with self.transaction() as tx:
                tx.pool_head.guarded = True
                if words:
                    act = "rollback-accept" if accepts else "rollback-noticed"
                    tx.audit({"act": act, "pid": str(os.getpid()), "uid": str(os.geteuid()), "why": words})
        if words:  # only now: who is killed before the record is written finds it out once more
            witness.settle(self.pool_head.generation)
        self._guard = witness

    @property
    def write_protected(self) -> bool:
        """Nothing can be changed: since the store was opened, or since its disk was made read-only."""
        return self._read_only or (self.home is not None and folder.disk_is_read_only(self.home))

    @property
    def outdated(self) -> bool:
        """Opened for reading only, from a folder that can be written by now."""
        return self._read_only and self.home is not None and not folder.is_read_only(self.home)

    def close(self) -> None:
        """The log is folded into the database by SQLite at the last close."""
        self.audit.close()
        with self.lock:
            if self._guard is not None:
                try:
                    self._guard.settle(self.pool_head.generation)
                except TokenError as fault:
                    say(fault.reason)
            self._database.close()
            self.counters.close()

    def note(self, slot: int | None, words: str) -> None:
        """Something is not as it was left: said once in the log, and kept for ``adyton status``."""
        where = "the pool" if slot is None else f"partition {slot}"
        self.damage.setdefault(slot, []).append(words)
        if not self._looking:
            say(f"{where}: {words}")

    # -- reading

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self.lock:
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error:
                raise TokenError(ck.CKR_DEVICE_ERROR, "the store can't be read") from None

    def _read_heads(self, version: int) -> None:
        pools: dict[int, PoolHead] = {}
        for copy, sealed in self._database.execute("SELECT copy, head FROM pool ORDER BY copy"):
            try:
                pools[copy] = PoolHead.unseal(self.device_key, sealed)
            except sealing.Damaged:
                self.note(None, f"copy {copy} of the pool's head is damaged")
        if not pools:
            raise Unusable(f"{self.home}: pool.db is damaged or does not go with device.key: put their backup back")
        self.pool_head = self._later(None, pools)
        copies: dict[int, dict[int, PartitionHead]] = {slot: {} for slot in self.pool_head.slots}
        for slot, copy, sealed in self._database.execute("SELECT slot, copy, head FROM partitions ORDER BY slot, copy"):
            try:
                copies.setdefault(slot, {})[copy] = PartitionHead.unseal(self.device_key, slot, sealed)
            except (sealing.Damaged, OverflowError, TypeError):  # a slot that is no number any more
                self.note(slot, f"copy {copy} of its head is damaged")
        for slot, heads in copies.items():
            if heads:
                self.heads[slot] = self._later(slot, heads)
            else:
                self.note(slot, "its head is gone: put the backup of pool.db back")
        self._verify(schema.tables_of(version))

    def _later(self, slot: int | None, copies: dict[int, Head]) -> Head:
        """Both copies are written together: anything else is damage, and the later one counts."""
        if copies.keys() != {0, 1} or copies[0].generation != copies[1].generation:
            self.note(slot, "the two copies of its head differ, or one is missing")
        return max(copies.values(), key=lambda head: head.generation)

    def _verify(self, tables: tuple[str, ...]) -> None:
        """What the heads say against what is there."""
        last = self._database.execute("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
        if last != self.pool_head.chain[:2]:
            self.note(None, "the audit log does not end where it was left")
        for slot, head in self.heads.items():
            if self.pool_head.slots.get(slot) != head.generation:
                self.note(slot, "it was put back from an older copy, or was deleted")
            total = rows = 0
            for name in tables:
                for row in self._database.execute(f"SELECT * FROM {name} WHERE slot = ?", (slot,)):
                    total += self.weigher.weigh(head.serial, name, row)
                    rows += 1
            if (rows, total % (1 << 256)) != (head.rows, head.total):
                self.note(slot, "records were removed, put back or swapped behind the engine's back")

    def load_objects(
        self, slot: int, partition_key: Secret | None, only: list[int] | None = None, name: str = "objects"
    ) -> Iterator[tuple[int, dict[int, bytes]]]:
        """The objects that lie wholly under the device key, or with the partition's key the others, in the order they
        were made; of all, or ``only`` of these. One that does not open is said and left out. ``name``: the table,
        which may be that of deleted ones."""
        serial = self.heads[slot].serial
        private: Secret | None = None
        for object_id, generation, public, secret in self._objects(slot, name, sealed=partition_key is not None):
            if only is not None and object_id not in only:
                continue
            try:
                place = (serial, object_id, generation)
                told, kind = self._unseal_public(place, public, secret is not None)
                attributes = sealing.unpack(told)
                if partition_key is not None and kind == sealing.INCOMING:
                    private = private or self._private_half(slot, partition_key)
                    attributes.update(sealing.unpack(sealing.open_incoming(private, secret, told)))
                    self._incoming.setdefault(slot, []).append(object_id)
                elif partition_key is not None:
                    key = sealing.derive(partition_key, b"secret", *place)
                    attributes.update(sealing.unpack(sealing.unseal(key, secret, told)))
            except (sealing.Damaged, OverflowError, TypeError):
                self.note(slot, f"object {object_id} is damaged and left out")
                continue
            yield object_id, attributes

    def incoming(self, slot: int) -> list[int]:
        """Those of the objects loaded so far that came in while the partition was sealed, and are to be written again
        under its key. Told once."""
        return self._incoming.pop(slot, [])

    def _private_half(self, slot: int, partition_key: Secret) -> bytes:
        for public, private in self._rows("SELECT public, private FROM partition_keys WHERE slot = ?", slot):
            return sealing.unseal(sealing.derive(partition_key, b"pair"), private, public)
        raise sealing.Damaged

    def is_key_of(self, slot: int, partition_key: Secret) -> bool:
        """Whether the partition's own pair opens by this key."""
        try:
            return bool(self._private_half(slot, partition_key))
        except sealing.Damaged:
            return False

    def object_ids(self, slot: int, name: str = "objects") -> list[int]:
        return [row[0] for row in self._rows(f"SELECT object_id FROM {name} WHERE slot = ? ORDER BY object_id", slot)]

    def _objects(self, slot: int, name: str, *, sealed: bool) -> Iterator[tuple[Any, ...]]:
        """Their rows, some at a time: neither is the store held while they are unsealed, nor are all here twice."""
        select = f"""SELECT object_id, generation, public, secret FROM {name} WHERE slot = ? AND object_id > ?
                     AND secret IS {'NOT' if sealed else ''} NULL ORDER BY object_id LIMIT {_AT_A_TIME}"""
        last: object = -1
        while rows := self._rows(select, slot, last):
            yield from rows
            last = rows[-1][0]

    def _unseal_public(self, place: tuple[bytes, int, int], public: bytes, has_secret: bool) -> tuple[bytes, bytes]:
        """The public part, and what it says of the secret one."""
        key = sealing.derive(self.device_key, b"public", *place)
        return sealing.unseal_public(key, public, has_secret)

    def values(self, slot: int, partition_key: Secret) -> list[tuple[bytes, int]]:
        """What the partition remembers of key values: (fingerprint, bits)."""
        found = []
        key = sealing.derive(partition_key, b"values")
        for fingerprint, sealed in self._rows("SELECT fingerprint, sealed FROM key_values WHERE slot = ?", slot):
            try:
                bits = 0
                for at in range(0, max(len(sealed), 1), sealing.VALUE):
                    told = sealing.unseal(key, sealed[at : at + sealing.VALUE], fingerprint)
                    bits |= int.from_bytes(told, "little")
                found.append((fingerprint, bits))
            except (sealing.Damaged, TypeError):
                # Forgetting what a value lost would give it back: all uses are lost instead.
                self.note(slot, "what a key value had lost is damaged: it counts as having lost all its uses")
                found.append((fingerprint, 0xFFFF))
        return found

    def joined_values(self, slot: int) -> set[bytes]:
        """Those of which a restore has put together what was known before it and what came by it."""
        select = "SELECT fingerprint FROM key_values WHERE slot = ? AND LENGTH(sealed) > ?"
        return {bytes(row[0]) for row in self._rows(select, slot, sealing.VALUE)}

    def records(self, slot: int, form: type[R]) -> dict[str, R | None]:
        """The partition's records of one form by name; None where one is damaged."""
        found: dict[str, R | None] = {}
        kind = records.kind_of(form)
        for name, sealed in self._rows("SELECT name, sealed FROM records WHERE slot = ? AND kind = ?", slot, kind):
            try:
                key = sealing.derive(self.device_key, kind.encode(), self.heads[slot].serial, str(name).encode())
                found[str(name)] = records.unpack(form, str(name), sealing.unseal(key, sealed, b""))
            except (sealing.Damaged, TypeError):
                self.note(slot, f"the record of {kind} {name} is damaged")
                found[str(name)] = None
        return found

    def about(self, slot: int, object_id: int) -> About:
        """What is known of a token key, its name for life and its version among it."""
        with self.lock:
            names = self._key_names.get(slot)
            if names is not None:
                return names.about(object_id) or NOTHING
        rows = self._rows("SELECT about FROM objects WHERE slot = ? AND object_id = ?", slot, object_id)
        return self._told(slot, object_id, rows[0][0] if rows else None)

    def _told(self, slot: int, object_id: int, sealed: object) -> About:
        if not isinstance(sealed, bytes):
            return NOTHING
        try:
            key = sealing.derive(self.device_key, b"about", self.heads[slot].serial, object_id)
            return About(sealing.unpack(sealing.unseal(key, sealed, b"")))
        except (sealing.Damaged, OverflowError, TypeError):
            self.note(slot, f"the record of object {object_id}'s name and version is damaged")
            return DAMAGED

    def key_names(self, slot: int) -> KeyNames:
        """Callers hold this store's lock while they look into it."""
        with self.lock:
            found = self._key_names.get(slot)
            if found is None:
                found = self._key_names[slot] = KeyNames(self._abouts("objects", slot))
            return found

    def deleted(self, slot: int) -> KeyNames:
        """The same of the objects that can be recovered."""
        return KeyNames(self._abouts("deleted_objects", slot))

    def _abouts(self, name: str, slot: int) -> Iterator[tuple[int, About]]:
        select = f"SELECT object_id, about FROM {name} WHERE slot = ? AND about IS NOT NULL ORDER BY object_id"
        for object_id, sealed in self._rows(select, slot):
            found = self._told(slot, object_id, sealed)
            if found is not DAMAGED:
                yield object_id, found

    # -- for a backup

    def copy_into(self, database: sqlite3.Connection) -> None:
        """All of it as it is at one moment, the last of this call: others write meanwhile, between two of its steps,
        and what they change comes along (https://sqlite.org/c3ref/backup_finish.html)."""
        try:
            self._database.backup(database, pages=_PAGES, sleep=0.002)
        except sqlite3.Error as fault:
            raise TokenError(*self._failure(fault)) from None

    @property
    def id(self) -> str:
        """The pool's, which tells it from others and nothing of its key."""
        return hmac.digest(self.device_key, b"adyton pool id", "sha256").hex()[:32]

    def behind_guard(self, generation: int) -> tuple[str, bool]:
        """Whether this pool, as it was at that change, is one that its rollback guard would find to be put back: why,
        and whether it would be refused."""
        if self._guard is None:
            return "", False
        return self._guard.behind(generation), self._guard.place.strict

    # -- the audit log

    def blocks(self, after: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(last sequence number, block, hash) of what has records after ``after``, some at a time."""
        select = f"SELECT sequence, record, hash FROM audit WHERE sequence > ? ORDER BY sequence LIMIT {_AT_A_TIME}"
        while rows := self._rows(select, after):
            yield from rows
            after = rows[-1][0]

    def last_block(self) -> tuple[int, bytes] | None:
        rows = self._rows("SELECT sequence, record FROM audit ORDER BY sequence DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else None

    def checkpoints(self) -> list[tuple[int, str]]:
        return [(at, line) for at, line in self._rows("SELECT sequence, line FROM audit_checkpoints ORDER BY sequence")]

    def audit_key(self) -> tuple[bytes, bytes]:
        """(private, public) of the log's signatures."""
        for public, private in self._rows("SELECT public, private FROM audit_key"):
            try:
                return sealing.unseal(sealing.derive(self.device_key, b"audit"), private, public), public
            except (sealing.Damaged, TypeError):
                break
        raise TokenError(ck.CKR_DEVICE_ERROR, "the audit log's key is damaged: put the backup of pool.db back")

    def mark_use(self) -> None:
        """From here on this engine has something to lose until its first record is written."""
        if self.home is not None and not self._marked:
            self._marked = True
            self.was_marked = folder.mark(self.home)

    def keep_mark(self) -> None:
        if self.home is not None:
            try:
                folder.sync(self.home)
            except OSError:
                pass

    def unmark_use(self) -> None:
        if self.home is not None:
            folder.unmark(self.home)

    # -- writing

    def move_clock(self, microseconds: int, record: dict[str, str]) -> None:
        """Forward, of a pool that was made with a test clock."""
        moved = self.pool_head.test_clock
        if moved is None:
            words = "this pool's clock is the machine's, and can't be moved"
            raise TokenError(ck.CKR_FUNCTION_REJECTED, f"{words}; one that can: adyton pool create --test-clock")
        with self.transaction() as tx:
            tx.pool_head.test_clock = moved + microseconds
            tx.audit(record)
        clock.move_to(moved + microseconds)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One commit: all of it or nothing, on the disk before this returns."""
        with self.lock:
            if self.write_protected:
                raise TokenError(*_FAILURES[sqlite3.SQLITE_READONLY])
            rider, self._riding.rider = self._riding.rider, None
            try:
                tx = Transaction(self, self._database)
                self._database.execute("BEGIN IMMEDIATE")
                reach("begun")
                try:
                    yield tx
                    if rider is not None:
                        rider.write(tx)
                    reach("rows-written")
                    tx.write_heads()
                    reach("heads-written")
                    if self._guard is not None:
                        self._guard.reach(tx.pool_head.generation)
                    self._database.execute("COMMIT")
                    reach("committed")
                except BaseException:
                    self.audit.put_back(tx.taken)
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as fault:
                raise TokenError(*self._failure(fault)) from None
            self.heads, self.pool_head = tx.heads, tx.pool_head
            if rider is not None:
                rider.committed()
            for slot in tx.emptied:
                self._key_names.pop(slot, None)
            for (slot, object_id), known in tx.abouts.items():
                if slot in self._key_names:
                    self._key_names[slot].put(object_id, known)
            self.audit.written(tx.taken)
            reach("remembered")
            if tx.destroyed:
                self._forget()

    @contextmanager
    def along(self, rider: Rider) -> Iterator[None]:
        """What ``rider`` writes is in the first commit that this thread makes meanwhile; in one of its own if it makes
        none."""
        self._riding.rider = rider
        try:
            yield
            if self._riding.rider is rider:
                with self.transaction():
                    pass
        finally:
            self._riding.rider = None

    def _failure(self, fault: sqlite3.Error) -> tuple[int, str]:
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_IOERR and self.write_protected:
            code = sqlite3.SQLITE_READONLY
        elif code == sqlite3.SQLITE_IOERR and self.home is not None and folder.is_full(self.home):
            code = sqlite3.SQLITE_FULL  # SQLite knows ENOSPC for that, and not EDQUOT
        return _FAILURES.get(code, _FAILED)

    def _forget(self) -> None:
        """What was destroyed leaves SQLite's log too. Where that can't be now, the next time or the close does it."""
        reach("forgetting")
        try:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            reach("forgotten")
        except sqlite3.Error:
            pass

    def delete_partition(self, slot: int, record: dict[str, str], deleted: Deletion | None = None) -> None:
        """``deleted``: it can be recovered until then."""
        with self.transaction() as tx:
            if deleted is None:
                tx.delete_partition(slot)
            else:
                tx.set_deleted(slot, deleted)
            tx.audit(record)
