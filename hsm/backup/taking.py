"""A backup that is being read: chunk by chunk into tables of its own, sealed as this pool's are, until it is whole.

Nothing of the pool is changed by that. What has been read stays when the engine ends, so that a restore that was
interrupted goes on.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hsm.backup import form, place, rows
from hsm.backup.form import Cells, Manifest, Unfit
from hsm.backup.wrapping import Wrapping
from hsm.errors import TokenError
from hsm.objects.about import About
from hsm.store import schema, sealing
from hsm.store.heads import PartitionHead
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.store.sqlite import Store

_TABLES = """
CREATE TABLE taking (manifest BLOB NOT NULL);
CREATE TABLE taken (number INTEGER PRIMARY KEY, slot INTEGER NOT NULL);
CREATE TABLE failures (slot INTEGER NOT NULL, officer TEXT NOT NULL, failures INTEGER NOT NULL)
"""


class Taking:
    """Slots are those that the partitions had where they were backed up."""

    def __init__(self, store: Store, database: sqlite3.Connection, manifest: Manifest) -> None:
        self._store = store
        self._database = database
        self.manifest = manifest
        self.lock = threading.RLock()
        self._serials = {told["slot"]: str(told["serial"]).encode() for told in manifest.partitions}

    @classmethod
    def begin(cls, store: Store, wrapping: Wrapping, raw: bytes) -> Taking:
        """Goes on with what is there of the same backup."""
        manifest = form.open_manifest(wrapping, raw)
        found = cls._found(store, raw, manifest)
        if found is not None:
            return found
        place.drop(store.home, place.TAKING)
        database = place.open_at(place.path(store.home, place.TAKING))
        database.execute("BEGIN")
        schema.make_tables(database)
        for statement in _TABLES.split(";"):
            database.execute(statement)
        database.execute("INSERT INTO taking VALUES (?)", (raw,))
        database.execute("COMMIT")
        return cls(store, database, manifest)

    @classmethod
    def _found(cls, store: Store, raw: bytes, manifest: Manifest) -> Taking | None:
        if not place.is_there(store.home, place.TAKING):
            return None
        database = place.open_at(place.path(store.home, place.TAKING))
        try:
            if schema.version(database) == len(schema.UPGRADES) and database.execute(
                    "SELECT manifest FROM taking").fetchone() == (raw,):
                return cls(store, database, manifest)
        except sqlite3.Error:
            pass
        database.close()
        return None

    def end(self) -> None:
        with self.lock:
            self._database.close()
            place.drop(self._store.home, place.TAKING)

    def close(self) -> None:
        with self.lock:
            self._database.close()

    # -- reading

    def have(self) -> int:
        """How many chunks have been read: the next one is of this number."""
        with self.lock:
            return int(self._database.execute("SELECT COUNT(*) FROM taken").fetchone()[0])

    def take(self, wrapping: Wrapping, number: int, chunk: bytes) -> None:
        with self.lock:
            if number != self.have() or number >= len(self.manifest.chunks):
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"chunk {self.have()} comes next, and not chunk {number}")
            said = self.manifest.chunks[number]
            if len(chunk) != said.bytes or hashlib.sha256(chunk).hexdigest() != said.sha256:
                raise Unfit(self._why_not(wrapping, number, chunk))
            told = self._open(wrapping, number, chunk)
            before = self._database.execute("SELECT slot FROM taken WHERE number = ?", (number - 1,)).fetchone()
            slot = before[0] if before else -1
            self._database.execute("BEGIN")
            try:
                for cells in form.unpack_rows(told):
                    slot = self._put(slot, cells)
                self._database.execute("INSERT INTO taken VALUES (?, ?)", (number, slot))
                self._database.execute("COMMIT")
            except BaseException as fault:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if isinstance(fault, (ValueError, TypeError, KeyError, IndexError, sealing.Damaged)):
                    raise Unfit(f"{form.name_of(number)} holds what this engine does not understand") from None
                if isinstance(fault, sqlite3.Error):
                    raise place.no_room() from None
                raise

    def _open(self, wrapping: Wrapping, number: int, chunk: bytes) -> bytes:
        last = number == len(self.manifest.chunks) - 1
        return form.open_chunk(wrapping, bytes.fromhex(self.manifest.backup), number, last, chunk)

    def _why_not(self, wrapping: Wrapping, number: int, chunk: bytes) -> str:
        """Of a chunk that is not the manifest's: another one's, if it says so, or damaged."""
        try:
            self._open(wrapping, number, chunk)
        except Unfit as fault:
            return str(fault)
        return f"{form.name_of(number)} is not as long as it was, or not the one that the manifest is about"

    def _put(self, slot: int, cells: Cells) -> int:
        """A row; returns the slot of its partition, which those that follow are of too."""
        table, *rest = cells
        device = self._store.device_key
        if table == rows.PARTITION:
            head = rows.head_of(tuple(rest))
            if self._serials.get(head.slot) != head.serial:
                raise sealing.Damaged
            self._database.execute("INSERT INTO partitions VALUES (?, 0, ?)", (head.slot, head.seal(device)))
            return head.slot
        if table not in schema.OF_A_PARTITION or slot not in self._serials:
            raise Unfit(f"the backup has a table {table!r}, which this version does not know: upgrade adyton")
        if table == "records" and rest[0] == rows.OFFICER:
            self._database.execute("INSERT INTO failures VALUES (?, ?, ?)", (slot, rest[1], rest.pop()))
        row = (slot, *rows.sealed(rows.Place(device, self._serials[slot]), str(table), tuple(rest)))
        self._database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        return slot

    # -- what was read, once it is whole

    def must_be_whole(self) -> None:
        if self.have() != len(self.manifest.chunks):
            words = f"{self.have()} of {len(self.manifest.chunks)} chunks have been read"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"{words}: the backup is not whole yet")
        for told in self.manifest.partitions:
            slot, counted = told["slot"], Counter[str]()
            counted["rows"] = 1 + sum(self._count(name, slot) for name in schema.OF_A_PARTITION)
            counted["objects"], counted["deleted"] = (self._count(name, slot) for name in rows.OBJECTS)
            wanted = {name: told[name] for name in ("rows", "objects", "deleted")}
            if dict(counted) != wanted:
                raise Unfit(f"partition {slot} of the backup has other rows than its manifest counts")

    def _count(self, name: str, slot: int) -> int:
        found = self._database.execute(f"SELECT COUNT(*) FROM {name} WHERE slot = ?", (slot,)).fetchone()
        return int(found[0])

    def head(self, slot: int) -> PartitionHead:
        with self.lock:
            sealed = self._database.execute("SELECT head FROM partitions WHERE slot = ?", (slot,)).fetchone()[0]
            return PartitionHead.unseal(self._store.device_key, slot, sealed)

    def failures(self, slot: int) -> dict[str, int]:
        with self.lock:
            return dict(self._database.execute("SELECT officer, failures FROM failures WHERE slot = ?", (slot,)))

    def rows(self, slot: int, table: str) -> Iterator[tuple[Any, ...]]:
        """Less the slot, sealed as in this pool."""
        for row in self._database.execute(f"SELECT * FROM {table} WHERE slot = ?", (slot,)):
            yield row[1:]

    def records(self, slot: int) -> Iterator[tuple[str, str, bytes]]:
        """Kind, name, and what the record says."""
        where = rows.Place(self._store.device_key, self._serials[slot])
        for row in self.rows(slot, "records"):
            cells = rows.bare(where, "records", row)
            if cells is not None and isinstance(cells[2], bytes):
                yield str(cells[0]), str(cells[1]), cells[2]

    def abouts(self, slot: int, table: str) -> Iterator[tuple[tuple[Any, ...], About]]:
        """The keys: each with its row."""
        where = rows.Place(self._store.device_key, self._serials[slot])
        for row in self.rows(slot, table):
            if row[2] is not None:
                yield row, About(sealing.unpack(sealing.unseal(where.about(row[0]), row[2], b"")))
