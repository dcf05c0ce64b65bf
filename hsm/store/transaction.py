"""The writes of one commit: rows go in and out, and the heads that add them up are written last."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hsm import clock
from hsm.audit import calls
from hsm.audit.log import Written
from hsm.confinement.arena import Secret
from hsm.errors import TokenError
from hsm.objects import about
from hsm.objects import attributes as table
from hsm.objects.about import About
from hsm.store import records, schema, sealing
from hsm.store.domain_head import DomainHead
from hsm.store.heads import Deletion, PartitionHead, Rule, Switches
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.audit.chain import Entry, Said
    from hsm.store.sqlite import Store

_SECRET_CLASSES = tuple(number.to_bytes(8, "little") for number in table.GUARDED_CLASSES)


class Transaction:
    """``heads`` and ``pool_head`` are what the store knows once this is committed."""

    def __init__(self, store: Store, database: sqlite3.Connection) -> None:
        self._store = store
        self.database = database
        self.device_key = store.device_key
        self._touched: set[int] = set()
        self._names: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._made: dict[str, tuple[str, str]] = {}  # new keys' names and versions, by CKA_UNIQUE_ID
        self.abouts: dict[tuple[int, int], About | None] = {}  # what the records of keys say after it; None: gone
        self.emptied: set[int] = set()
        self.heads = dict(store.heads)
        self.pool_head = store.pool_head.copy()
        self.destroyed = False
        self.taken = Written()
        self._said: list[Entry] = []

    # -- rows and heads

    def _head(self, slot: int) -> PartitionHead:
        head = self.heads.get(slot)
        if head is None:
            raise TokenError(ck.CKR_DEVICE_ERROR, f"the head of partition {slot} is damaged or gone")
        if slot not in self._touched:
            self._touched.add(slot)
            head = self.heads[slot] = head.copy()
        return head

    def take(self, name: str, slot: int, *key: object) -> tuple[object, ...] | None:
        """Removes a row, and returns what it was."""
        where = " AND ".join(f"{column} = ?" for column in ("slot", *schema.COLUMNS[name]))
        row: tuple[object, ...] | None = self.database.execute(
            f"SELECT * FROM {name} WHERE {where}", (slot, *key)
        ).fetchone()
        if row is not None:
            self.database.execute(f"DELETE FROM {name} WHERE {where}", (slot, *key))
            head = self._head(slot)
            head.count(-self._store.weigher.weigh(head.serial, name, row))
        return row

    def _put(self, name: str, slot: int, *values: object) -> None:
        row = (slot, *values)
        self.take(name, slot, *values[: len(schema.COLUMNS[name])])
        self.database.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        head = self._head(slot)
        head.count(self._store.weigher.weigh(head.serial, name, row))

    def write_heads(self) -> None:
        """The last writes before the commit: what the audit log has to write comes with it."""
        self.taken = self._store.audit.write(self, self._said)
        device = self.device_key
        for slot in self._touched & self.heads.keys():
            head = self.heads[slot]
            head.generation += 1
            head.tries = {number: self._store.counters.generation(number) for number in head.tries}
            self.pool_head.slots[slot] = head.generation
            for copy in (0, 1):
                self.database.execute(
                    "INSERT OR REPLACE INTO partitions VALUES (?, ?, ?)", (slot, copy, head.seal(device))
                )
        self.pool_head.generation += 1
        self.pool_head.wall, self.pool_head.seen = clock.microseconds(), self._store.time.now()
        for copy in (0, 1):
            self.database.execute("INSERT OR REPLACE INTO pool VALUES (?, ?)", (copy, self.pool_head.seal(device)))

    def note(self, slot: int, words: str) -> None:
        self._store.note(slot, words)

    # -- partitions

    def create_partition(self, record: dict[str, str]) -> int:
        slot = self.pool_head.next_slot
        self.pool_head.next_slot += 1
        self.heads[slot] = PartitionHead(slot, os.urandom(8).hex().upper().encode())
        self._touched.add(slot)
        self.audit({**record, "slot": str(slot)})
        return slot

    def delete_partition(self, slot: int) -> None:
        """Its number is not used again."""
        self._empty(slot)
        self.database.execute("DELETE FROM partitions WHERE slot = ?", (slot,))
        self.heads.pop(slot)
        self.pool_head.slots.pop(slot, None)

    def _empty(self, slot: int) -> None:
        head = self._head(slot)
        for name in schema.OF_A_PARTITION:
            self.database.execute(f"DELETE FROM {name} WHERE slot = ?", (slot,))
        head.rows = head.total = 0
        head.covered = b""
        head.tries = {}
        self.destroyed = True
        self.emptied.add(slot)

    def initialise(self, slot: int, label: bytes, partition_key: Secret) -> None:
        """Everything of the partition goes; slot and serial stay. A key pair for sealing to it comes in."""
        self._empty(slot)
        head = self._head(slot)
        head.label, head.initialised = label, True
        head.rule = head.rule._replace(awake=False)  # until there are as many officers as it takes
        private, public = sealing.new_pair()
        self._put("partition_keys", slot, public, sealing.seal(sealing.derive(partition_key, b"pair"), private, public))

    def replace(self, head: PartitionHead) -> None:
        """A whole partition comes in, under this head, in the place of the one of this slot, if there is one; its rows
        follow by ``put_rows``."""
        slot = head.slot
        if slot in self.heads:
            self._empty(slot)
        self.pool_head.next_slot = max(self.pool_head.next_slot, slot + 1)
        self._touched.add(slot)
        self.heads[slot] = head
        head.rows = head.total = 0
        head.tries = {}

    def put_rows(self, slot: int, name: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Many that are not there yet, each sealed as it lies in the table; without the slot."""
        head, weigher = self._head(slot), self._store.weigher
        for values in rows:
            row = (slot, *values)
            self.database.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
            head.count(weigher.weigh(head.serial, name, row))

    def set_form(self, slot: int, kind: bytes, switches: Switches, recovery: bool, retention: int) -> None:
        """What a partition is made with."""
        head = self._head(slot)
        head.kind, head.switches, head.recovery, head.retention = kind, switches, recovery, retention

    def set_domain(self, domain: DomainHead) -> None:
        self.pool_head.domain = domain

    def cover(self, slot: int, partition_key: Secret) -> None:
        """The partition's key, for the custodians of the security domain."""
        domain, head = self.pool_head.domain, self._head(slot)
        copy = sealing.seal_copy(domain.public, partition_key, sealing.covering(head.serial))
        head.covered = domain.generation.to_bytes(4, "little") + copy

    def set_deleted(self, slot: int, deleted: Deletion | None) -> None:
        self._head(slot).deleted = deleted

    def switch(self, slot: int, switches: Switches) -> None:
        self._head(slot).switches = switches

    def reserve_ivs(self, slot: int, count: int) -> int:
        """The number of the first of so many IVs, which nobody else gets, whatever becomes of the engine."""
        head = self._head(slot)
        first, head.ivs = head.ivs, head.ivs + count
        return first

    def scatter_ivs(self, slot: int) -> None:
        """The next IV is of a number that is nowhere near those of any other time or partition: a key has come that
        made IVs there."""
        self._head(slot).ivs = int.from_bytes(os.urandom(5), "little") << 16

    def set_rule(self, slot: int, rule: Rule) -> None:
        self._head(slot).rule = rule

    # -- officers, role definitions, role assignments, proposals, unattended unsealing

    def put_record(self, slot: int, record: records.Record) -> None:
        """In clear it is nothing to guess on, nor to learn from: the database alone tells names."""
        kind, key = self._place(slot, record)
        self._put("records", slot, kind, record.name, sealing.seal(key, records.pack(record), b""))
        if isinstance(record, records.Officer) and record.wrapped:
            self._store.counters.reserve(record.counter + 1)
            self._head(slot).tries.setdefault(record.counter, 0)

    def drop_record(self, slot: int, record: records.Record) -> None:
        kind, _ = self._place(slot, record)
        self.take("records", slot, kind, record.name)
        if isinstance(record, records.Officer) and record.wrapped:
            self._head(slot).tries.pop(record.counter, None)

    def free_counter(self) -> int:
        """The first PIN counter that no officer of the pool has; it goes on from the generation it has reached."""
        used = {number for head in self.heads.values() for number in head.tries}
        return next(number for number in range(len(used) + 1) if number not in used)

    def _place(self, slot: int, record: records.Record) -> tuple[str, bytes]:
        kind = records.kind_of(type(record))
        return kind, sealing.derive(self.device_key, kind.encode(), self._head(slot).serial, record.name.encode())

    # -- objects

    def put_object(
        self, slot: int, object_id: int, attributes: dict[int, bytes], partition_key: Secret | None,
        known: About | None = None, *, incoming: bool = False,
    ) -> int:
        """Writes an object, under a new id where ``object_id`` is 0; returns its id. ``known``: what a new one has of
        another, its name and version, or its times. ``incoming``: it may come in while the partition is sealed."""
        private = attributes.get(ck.CKA_PRIVATE) == table.TRUE
        is_key = attributes.get(ck.CKA_CLASS) in _SECRET_CLASSES
        hidden = {n: v for n, v in attributes.items() if private or (is_key and n in table.SECRETS)}
        public = sealing.pack({n: v for n, v in attributes.items() if n not in hidden})
        if hidden and partition_key is None and not incoming:
            raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "the partition is sealed: log in first")
        head, device = self._head(slot), self.device_key
        generation = head.next_id
        head.next_id += 1
        before = self._leave(slot, object_id) if object_id else None
        object_id = object_id or generation
        said = before
        if ck.CKA_KEY_TYPE in attributes:
            said = self._say(slot, object_id, self._about(slot, object_id, attributes, before, known))
        place = (head.serial, object_id, generation)
        secret, kind = None, sealing.NO_SECRET
        if hidden and partition_key is not None:
            key = sealing.derive(partition_key, b"secret", *place)
            secret, kind = sealing.seal(key, sealing.pack(hidden), public), sealing.SECRET
        elif hidden:
            secret, kind = sealing.seal_to(self._pair(slot), sealing.pack(hidden), public), sealing.INCOMING
        sealed = sealing.seal(sealing.derive(device, b"public", *place), public, kind)
        self._put("objects", slot, object_id, generation, said, sealed, secret)
        return object_id

    def _pair(self, slot: int) -> bytes:
        """The public half of the partition's own pair."""
        row = self.database.execute("SELECT public FROM partition_keys WHERE slot = ?", (slot,)).fetchone()
        if row is None:
            raise TokenError(ck.CKR_DEVICE_ERROR, "the partition's own pair of keys is gone")
        return bytes(row[0])

    def _say(self, slot: int, object_id: int, said: dict[int, bytes]) -> bytes:
        """A key's record for when its partition is sealed (hsm/objects/about.py), to be written."""
        self.abouts[slot, object_id] = About(said)
        key = sealing.derive(self.device_key, b"about", self._head(slot).serial, object_id)
        return sealing.seal(key, sealing.pack(said), b"")

    def _said_of(self, slot: int, object_id: int, sealed: object) -> dict[int, bytes] | None:
        key = sealing.derive(self.device_key, b"about", self._head(slot).serial, object_id)
        try:
            return sealing.unpack(sealing.unseal(key, sealed, b"")) if isinstance(sealed, bytes) else None
        except sealing.Damaged:
            raise TokenError(ck.CKR_DEVICE_ERROR, "the record of the key's name and version is damaged") from None

    def _about(
        self, slot: int, object_id: int, attributes: dict[int, bytes], sealed: object, known: About | None
    ) -> dict[int, bytes]:
        """Brought up to date, or made."""
        before = self._said_of(slot, object_id, sealed)
        if before:
            return about.of(attributes, before, b"", b"")
        kept = {} if known is None else known.said
        name, version = kept.get(about.NAME, b""), kept.get(about.VERSION, b"")
        if not name:
            name, version = self._named(attributes)
        unique = attributes.get(ck.CKA_UNIQUE_ID, b"").decode()
        self._made[unique] = name.decode(), version.decode()
        times = {number: kept[number] for number in about.KEPT if number in kept}
        return {**about.of(attributes, None, name, version), **times}

    def _named(self, attributes: dict[int, bytes]) -> tuple[bytes, bytes]:
        """The key's name for life and its version; the halves of a pair, made in one commit, share both."""
        label = attributes.get(ck.CKA_LABEL, b"")
        same = (label, attributes.get(ck.CKA_PUBLIC_KEY_INFO, b""))
        known = self._names.get(same) if same[1] else None
        if known is None:
            name = label if about.is_name(label) else b"p11-" + os.urandom(16).hex().encode()
            known = self._names[same] = (name, os.urandom(16).hex().encode())
        return known

    def change_about(self, slot: int, object_id: int, changes: dict[int, bytes | None]) -> None:
        """What is known of a key, its attributes being as they are: its partition may be sealed."""
        row = self.take("objects", slot, object_id)
        said = self._said_of(slot, object_id, row[3]) if row is not None else None
        if row is None or said is None:
            raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "the key is gone")
        self._put("objects", slot, *row[1:3], self._say(slot, object_id, about.changed(said, changes)), *row[4:])

    def put_about(self, slot: int, object_id: int, said: dict[int, bytes]) -> None:
        """All that is known of a key, as it was where it comes from."""
        row = self.take("objects", slot, object_id)
        if row is None:
            raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "the key is gone")
        self._put("objects", slot, *row[1:3], self._say(slot, object_id, said), *row[4:])

    def _leave(self, slot: int, object_id: int) -> object:
        row = self.take("objects", slot, object_id)
        if row is None:
            raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "the object is gone")
        return row[3]

    def delete_object(self, slot: int, object_id: int) -> None:
        self._leave(slot, object_id)
        self.abouts[slot, object_id] = None
        self.destroyed = True

    # -- keys that were deleted, and can be recovered

    def bury(self, slot: int, object_id: int) -> None:
        """The object is gone from the partition, as it is."""
        self._move("objects", "deleted_objects", slot, object_id)
        self.abouts[slot, object_id] = None

    def unearth(self, slot: int, object_id: int, known: About) -> None:
        self._move("deleted_objects", "objects", slot, object_id)
        self.abouts[slot, object_id] = known

    def _move(self, source: str, target: str, slot: int, object_id: int) -> None:
        row = self.take(source, slot, object_id)
        if row is None:
            raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "the object is gone")
        self._put(target, slot, *row[1:])

    def purge(self, slot: int, object_id: int) -> None:
        self.take("deleted_objects", slot, object_id)
        self.destroyed = True

    def put_value(self, slot: int, fingerprint: bytes, bits: int, partition_key: Secret) -> None:
        sealed = sealing.seal(sealing.derive(partition_key, b"values"), bits.to_bytes(4, "little"), fingerprint)
        self._put("key_values", slot, fingerprint, sealed)

    # -- the audit log

    def audit(self, record: dict[str, str], objects: Said = ()) -> None:
        """A change's record, committed with it. ``objects``: those it is about, by name and version."""
        self._said.append(calls.change(record, objects))

    def named(self, attributes: dict[int, bytes]) -> tuple[str, str]:
        """What a record calls an object that this commit makes."""
        unique = attributes.get(ck.CKA_UNIQUE_ID, b"").decode()
        return self._made.get(unique, ("", unique))

    def tell(self, entry: Entry) -> None:
        self._said.append(entry)

    def put_block(self, last: int, block: bytes, chained: bytes) -> None:
        self.database.execute("INSERT INTO audit VALUES (?, ?, ?)", (last, block, chained))

    def last_block(self) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = self.database.execute(
            "SELECT sequence, record FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
        return found

    def blocks(self, after: int) -> Iterator[tuple[int, bytes, bytes]]:
        yield from self.database.execute(
            "SELECT sequence, record, hash FROM audit WHERE sequence > ? ORDER BY sequence", (after,))

    def drop_blocks(self, through: int) -> int:
        """Drops the checkpoints too, but that of where the log now begins; returns their bytes."""
        self.database.execute("DELETE FROM audit WHERE sequence <= ?", (through,))
        which = "FROM audit_checkpoints WHERE sequence < ?"
        freed = self.database.execute(f"SELECT TOTAL(LENGTH(line)) {which}", (through,)).fetchone()[0]
        self.database.execute(f"DELETE {which}", (through,))
        return int(freed)

    def put_checkpoint(self, sequence: int, line: str) -> int:
        """Returns the bytes that it takes beyond those of one that was there."""
        there = self.database.execute("SELECT line FROM audit_checkpoints WHERE sequence = ?", (sequence,)).fetchone()
        self.database.execute("INSERT OR REPLACE INTO audit_checkpoints VALUES (?, ?)", (sequence, line))
        return len(line) - (len(there[0]) if there else 0)
