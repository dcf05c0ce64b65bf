"""The sealed store on SQLite: one writer, one transaction a call, acknowledged after commit.

Nothing here decides; it keeps. The whole of a private object and the secret part of any key lie under the partition
key, everything else under the device key. An accumulator over (id, generation, hash) in each partition's sealed header
notices a record that was deleted, put back or swapped; damage to one record costs that one object.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hsm.audit import log
from hsm.errors import TokenError
from hsm.objects import attributes as table
from hsm.store import schema, sealing
from hsm.store.counters import Counters
from pkcs11_shim import constants as ck

_AZURE_NAME = re.compile(rb"[0-9a-zA-Z-]{1,127}")
_SECRET = frozenset(
    row.number
    for rows in (*table.CLASSES.values(), *(kt.private for kt in table.KEY_TYPES.values()))
    for row in rows
    if 7 in row.notes
)
_HEADER = struct.Struct("<QQ32s")  # next generation, number of objects, accumulator
_FAILURES = {
    sqlite3.SQLITE_FULL: (ck.CKR_DEVICE_MEMORY, "the disk is full: nothing was changed"),
    sqlite3.SQLITE_READONLY: (ck.CKR_TOKEN_WRITE_PROTECTED, "the store is read-only: nothing was changed"),
    sqlite3.SQLITE_NOMEM: (ck.CKR_DEVICE_MEMORY, "the engine is out of memory: nothing was changed"),
}
_FAILED = (ck.CKR_DEVICE_ERROR, "the store can't be read or written: nothing was changed")


class PartitionRow(NamedTuple):
    slot: int
    serial: str
    kind: str
    label: str
    initialised: bool


class Store:
    """All partitions of one pool: in ``home``, or in memory where that is None."""

    def __init__(self, home: str | None) -> None:
        self.lock = threading.RLock()
        path = ":memory:" if home is None else os.path.join(home, "pool.db")
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        if home is not None:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA secure_delete = ON")
        fresh = schema.upgrade(self._database)
        self.device_key = (
            secrets.token_bytes(32) if home is None
            else sealing.device_key(os.path.join(home, "device.key"), new=fresh)
        )
        self.counters = Counters(None if home is None else os.path.join(home, "counters"), self.device_key)
        self._keys: dict[int, bytes] = {}
        if fresh:
            with self.transaction() as tx:
                tx.create_partition(0)

    def close(self) -> None:
        with self.lock:
            self._database.close()

    # -- partitions

    def partitions(self) -> list[PartitionRow]:
        with self.lock:
            rows = self._database.execute("SELECT slot, serial, kind, label, initialised FROM partitions").fetchall()
        return [PartitionRow(r[0], r[1], r[2], r[3].decode("utf-8", "replace"), bool(r[4])) for r in rows]

    def partition(self, slot: int) -> PartitionRow:
        return next(row for row in self.partitions() if row.slot == slot)

    def create_partition(self) -> PartitionRow:
        with self.transaction() as tx:
            slot = tx.create_partition(None)
        return self.partition(slot)

    def delete_partition(self, slot: int, record: dict[str, str]) -> None:
        with self.transaction() as tx:
            tx.empty_partition(slot)
            tx.execute("DELETE FROM partitions WHERE slot = ?", slot)
            tx.audit(record)

    # -- reading

    def load_objects(
        self, slot: int, partition_key: bytes | None, damaged: list[int]
    ) -> Iterator[tuple[int, dict[int, bytes]]]:
        """Every object that opens with what is there; the ids of those that don't go to ``damaged``."""
        with self.lock:
            serial = self.partition(slot).serial.encode()
            rows = self._database.execute(
                "SELECT object_id, generation, public, secret FROM objects WHERE slot = ? ORDER BY object_id", (slot,)
            ).fetchall()
            header = self._header(slot, serial)
        if header is None or self._sum(serial, rows) != header[1:]:
            print(f"adyton: partition {slot}: objects were removed, put back or swapped behind the engine's back",
                  file=sys.stderr, flush=True)
            damaged.append(0)
        for object_id, generation, public, secret in rows:
            try:
                place = (serial, object_id, generation)
                attributes = sealing.unpack(
                    sealing.unseal(sealing.derive(self.device_key, b"public", *place), public, b"")
                )
                if secret is not None and partition_key is not None:
                    key = sealing.derive(partition_key, b"secret", *place)
                    attributes.update(sealing.unpack(sealing.unseal(key, secret, sealing.pack(attributes))))
            except sealing.Damaged:
                damaged.append(object_id)
                continue
            if attributes:
                yield object_id, attributes

    def values(self, slot: int, partition_key: bytes) -> list[tuple[bytes, int]]:
        """What the partition remembers of key values: (fingerprint, bits)."""
        found = []
        with self.lock:
            select = "SELECT fingerprint, sealed FROM key_values WHERE slot = ?"
            rows = self._database.execute(select, (slot,)).fetchall()
        key = sealing.derive(partition_key, b"values")
        for fingerprint, sealed in rows:
            try:
                found.append((fingerprint, sealing.unseal(key, sealed, fingerprint)[0]))
            except sealing.Damaged:
                # Forgetting what a value lost would give it back: all uses are lost instead.
                found.append((fingerprint, 0xFF))
        return found

    def wrapped(self, slot: int, officer: str) -> bytes | None:
        with self.lock:
            row = self._database.execute(
                "SELECT wrapped FROM officers WHERE slot = ? AND officer = ?", (slot, officer)
            ).fetchone()
        return row[0] if row else None

    # -- writing

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One commit: all of it or nothing, on the disk before this returns."""
        with self.lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    tx = Transaction(self, self._database)
                    yield tx
                    tx.write_headers()
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as fault:
                code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
                raise TokenError(*_FAILURES.get(code, _FAILED)) from None

    def _header(self, slot: int, serial: bytes) -> tuple[int, int, bytes] | None:
        row = self._database.execute("SELECT header FROM partitions WHERE slot = ?", (slot,)).fetchone()
        try:
            return _HEADER.unpack(sealing.unseal(sealing.derive(self.device_key, b"header"), row[0], serial))
        except sealing.Damaged:
            return None

    def _sum(self, serial: bytes, rows: list[tuple[int, int, bytes, bytes | None]]) -> tuple[int, bytes]:
        total = sum(self.weight(serial, *row) for row in rows) % (1 << 256)
        return len(rows), total.to_bytes(32, "little")

    def weight(self, serial: bytes, object_id: int, generation: int, public: bytes, secret: bytes | None) -> int:
        """What one record adds to its partition's accumulator."""
        told = struct.pack("<QQ", object_id, generation) + hashlib.sha256(public).digest() + (secret or b"")
        return int.from_bytes(hashlib.blake2b(serial + told, key=self.device_key, digest_size=32).digest(), "little")


class Transaction:
    """The writes of one commit."""

    def __init__(self, store: Store, database: sqlite3.Connection) -> None:
        self._store = store
        self._database = database
        self._headers: dict[int, list[int]] = {}
        self._names: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    def create_partition(self, slot: int | None) -> int:
        serial = secrets.token_hex(8).upper()
        cursor = self.execute(
            "INSERT INTO partitions (slot, serial, kind, label, initialised, header) VALUES (?, ?, 'token', ?, 0, ?)",
            slot, serial, b"", self._seal_header(serial.encode(), 1, 0, 0),
        )
        return int(cursor.lastrowid or 0)

    def empty_partition(self, slot: int) -> None:
        for name in schema.OF_A_PARTITION:
            self.execute(f"DELETE FROM {name} WHERE slot = ?", slot)
        self._headers[slot] = [self._header(slot)[0], 0, 0]

    def _header(self, slot: int) -> list[int]:
        known = self._headers.get(slot)
        if known is None:
            found = self._store._header(slot, self._serial(slot))
            if found is None:
                raise TokenError(ck.CKR_DEVICE_ERROR, f"the header of partition {slot} is damaged")
            known = self._headers[slot] = [found[0], found[1], int.from_bytes(found[2], "little")]
        return known

    def _serial(self, slot: int) -> bytes:
        return str(self.execute("SELECT serial FROM partitions WHERE slot = ?", slot).fetchone()[0]).encode()

    def _seal_header(self, serial: bytes, generation: int, count: int, total: int) -> bytes:
        data = _HEADER.pack(generation, count, (total % (1 << 256)).to_bytes(32, "little"))
        return sealing.seal(sealing.derive(self._store.device_key, b"header"), data, serial)

    def write_headers(self) -> None:
        for slot, (generation, count, total) in self._headers.items():
            sealed = self._seal_header(self._serial(slot), generation, count, total)
            self.execute("UPDATE partitions SET header = ? WHERE slot = ?", sealed, slot)

    def put_object(self, slot: int, object_id: int, attributes: dict[int, bytes], partition_key: bytes | None) -> int:
        """Writes an object, under a new id where ``object_id`` is 0; returns its id."""
        private = attributes.get(ck.CKA_PRIVATE) == table.TRUE
        is_key = attributes.get(ck.CKA_CLASS) in _SECRET_CLASSES
        hidden = {n: v for n, v in attributes.items() if private or (is_key and n in _SECRET)}
        public = {n: v for n, v in attributes.items() if n not in hidden}
        if hidden and partition_key is None:
            raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "the partition is sealed: log in first")
        header, serial = self._header(slot), self._serial(slot)
        generation = header[0]
        header[0] += 1
        about = self._leave(slot, object_id, serial) if object_id else None
        object_id = object_id or generation
        place = (serial, object_id, generation)
        device = self._store.device_key
        secret = None
        if hidden and partition_key is not None:
            key = sealing.derive(partition_key, b"secret", *place)
            secret = sealing.seal(key, sealing.pack(hidden), sealing.pack(public))
        sealed = sealing.seal(sealing.derive(device, b"public", *place), sealing.pack(public), b"")
        if about is None and ck.CKA_KEY_TYPE in attributes:
            about = sealing.seal(sealing.derive(device, b"about", serial, object_id), self._named(attributes), b"")
        row = (slot, object_id, generation, about, sealed, secret)
        self.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", *row)
        header[1] += 1
        header[2] += self._store.weight(serial, object_id, generation, sealed, secret)
        return object_id

    def _named(self, attributes: dict[int, bytes]) -> bytes:
        """The key's name for life and its version; the halves of a pair, made in one commit, share both."""
        label = attributes.get(ck.CKA_LABEL, b"")
        same = (label, attributes.get(ck.CKA_PUBLIC_KEY_INFO, b""))
        known = self._names.get(same) if same[1] else None
        if known is None:
            name = label if _AZURE_NAME.fullmatch(label) else b"p11-" + secrets.token_hex(16).encode()
            known = self._names[same] = (name, secrets.token_hex(16).encode())
        return b"/".join(known)

    def _leave(self, slot: int, object_id: int, serial: bytes) -> bytes | None:
        row = self.execute(
            "SELECT generation, public, secret, about FROM objects WHERE slot = ? AND object_id = ?", slot, object_id
        ).fetchone()
        if row is None:
            raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "the object is gone")
        header = self._header(slot)
        self.execute("DELETE FROM objects WHERE slot = ? AND object_id = ?", slot, object_id)
        header[1] -= 1
        header[2] -= self._store.weight(serial, object_id, row[0], row[1], row[2])
        about: bytes | None = row[3]
        return about

    def delete_object(self, slot: int, object_id: int) -> None:
        self._leave(slot, object_id, self._serial(slot))

    def put_value(self, slot: int, fingerprint: bytes, bits: int, partition_key: bytes) -> None:
        sealed = sealing.seal(sealing.derive(partition_key, b"values"), bytes([bits]), fingerprint)
        self.execute("INSERT OR REPLACE INTO key_values VALUES (?, ?, ?)", slot, fingerprint, sealed)

    def put_officer(self, slot: int, officer: str, wrapped: bytes, roles: tuple[str, ...]) -> None:
        self.execute("INSERT OR REPLACE INTO officers VALUES (?, ?, ?)", slot, officer, wrapped)
        for role in roles:
            self.execute("INSERT OR IGNORE INTO role_assignments VALUES (?, ?, ?, '/')", slot, officer, role)

    def initialise(self, slot: int, label: bytes, partition_key: bytes) -> None:
        """Everything of the partition goes; slot and serial stay. A key pair for sealing to it comes in."""
        self.empty_partition(slot)
        private, public = sealing.new_pair()
        sealed = sealing.seal(sealing.derive(partition_key, b"pair"), private, public)
        self.execute("INSERT INTO partition_keys VALUES (?, ?, ?)", slot, public, sealed)
        self.execute("UPDATE partitions SET label = ?, initialised = 1 WHERE slot = ?", label, slot)

    def audit(self, record: dict[str, str]) -> None:
        last = self.execute("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
        sequence, previous = (last[0] + 1, last[1]) if last else (1, log.BEGIN)
        self.execute("INSERT INTO audit VALUES (?, ?, ?)", sequence, *log.entry(sequence, previous, record))


_SECRET_CLASSES = tuple(number.to_bytes(8, "little") for number in table.GUARDED_CLASSES)
