"""A backup in the making: of one moment, while clients go on working, and chunk by chunk.

The moment is a copy of the store's pages (hsm/backup/place.py), made between other people's commits, which wait for
none of it longer than a few hundred pages take. Chunks are made of that copy when they are asked for, always the same
ones: so a backup that was interrupted goes on with the next, also in another engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm import clock
from hsm.access.credentials import TRIES
from hsm.backup import form, place, rows
from hsm.backup.form import Cells, Chunk, Manifest
from hsm.backup.wrapping import Wrapping
from hsm.errors import TokenError
from hsm.store import schema, sealing
from hsm.store.heads import PartitionHead, PoolHead
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.partitions import Partition
    from hsm.pool import Pool
    from hsm.store.sqlite import Store

_TABLES = """
CREATE TABLE making (told TEXT NOT NULL);
CREATE TABLE made (number INTEGER PRIMARY KEY, part INTEGER NOT NULL, row INTEGER NOT NULL, told TEXT NOT NULL)
"""


class Moment(NamedTuple):
    """What is known from the start. ``failures``: wrong PINs in a row, of each partition's officers."""

    backup: str
    time: int
    seen: int
    generation: int
    slots: list[int]
    failures: dict[str, dict[str, int]]
    rows: int


class Made(NamedTuple):
    """One chunk: where the next one begins, and what is in it."""

    bytes: int
    sha256: str
    last: bool
    rows: int
    counted: dict[str, int]
    damaged: list[str]


class Making:
    """One backup, of the partitions of these slots."""

    def __init__(self, store: Store, database: sqlite3.Connection) -> None:
        self._store = store
        self._database = database
        self.lock = threading.Lock()
        self.moment = Moment(**json.loads(database.execute("SELECT told FROM making").fetchone()[0]))
        self._parts = [(slot, name) for slot in self.moment.slots for name in ("", *schema.OF_A_PARTITION)]
        self._heads = {slot: self._head(slot) for slot in self.moment.slots}

    def _head(self, slot: int) -> PartitionHead:
        select = "SELECT head FROM partitions WHERE slot = ? ORDER BY copy"
        for (sealed,) in self._database.execute(select, (slot,)):
            try:
                return PartitionHead.unseal(self._store.device_key, slot, sealed)
            except sealing.Damaged:
                continue
        raise TokenError(ck.CKR_DEVICE_ERROR, f"the head of partition {slot} is damaged: see adyton check")

    @classmethod
    def begin(cls, pool: Pool, partitions: list[Partition]) -> Making:
        store = pool.store
        place.drop(store.home, place.MAKING)
        draft = place.path(store.home, place.MAKING + place.DRAFT)
        database = place.open_at(draft)
        try:
            store.copy_into(database)
            failures = {
                str(partition.slot): {
                    name: min(partition.officers.credentials.failures(name), TRIES)
                    for name in list(partition.directory.officers)
                } for partition in partitions
            }
            for setting in ("journal_mode = DELETE", "synchronous = NORMAL"):  # the copy's header says WAL
                database.execute(f"PRAGMA {setting}").fetchall()
            generation = _generation(database, store)
            for statement in _TABLES.split(";"):
                database.execute(statement)
            slots = [partition.slot for partition in partitions]
            moment = Moment(os.urandom(16).hex(), int(clock.now()), store.time.now(), generation, slots, failures,
                            _count(database, slots))
            database.execute("INSERT INTO making VALUES (?)", (json.dumps(moment._asdict()),))
            if store.home is not None:
                database.close()
                os.rename(draft, place.path(store.home, place.MAKING))
                database = place.open_at(place.path(store.home, place.MAKING))
            return cls(store, database)
        except sqlite3.Error:
            database.close()
            place.drop(store.home, place.MAKING)
            raise place.no_room() from None
        except BaseException:
            database.close()
            place.drop(store.home, place.MAKING)
            raise

    @classmethod
    def found(cls, store: Store) -> Making | None:
        """The one that an engine before this one had begun."""
        if not place.is_there(store.home, place.MAKING):
            return None
        database = place.open_at(place.path(store.home, place.MAKING))
        try:
            return cls(store, database)
        except (sqlite3.Error, ValueError, TypeError, TokenError):
            database.close()
            place.drop(store.home, place.MAKING)
            return None

    def end(self) -> None:
        with self.lock:
            self._database.close()
            place.drop(self._store.home, place.MAKING)

    def close(self) -> None:
        """The engine ends; the next one may go on."""
        with self.lock:
            self._database.close()

    # -- chunks

    def made(self) -> list[Made]:
        """The chunks that have been made, in their order."""
        return [Made(**json.loads(told)) for (told,) in self._database.execute("SELECT told FROM made ORDER BY number")]

    def chunk(self, wrapping: Wrapping, number: int) -> tuple[bytes, Made]:
        """One that has been made before is made again, and is another one, since its nonce is."""
        with self.lock:
            before = self._database.execute("SELECT part, row FROM made WHERE number = ?", (number - 1,)).fetchone()
            if number and before is None:
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"chunk {number - 1} comes before chunk {number}")
            packed: list[bytes] = []
            size, counted, damaged = 0, Counter[str](), list[str]()
            last, at = True, before or (0, 0)
            for slot, cells, wrong, following in self._rows(*at):
                row = b"" if cells is None else form.pack_row(cells)
                if packed and size + len(row) > form.CHUNK:
                    last = False
                    break
                at = following
                damaged += [wrong] if wrong else []
                if cells is not None:
                    packed.append(row)
                    size += len(row)
                    counted.update(rows.counts(slot, cells))
            chunk = form.seal_chunk(wrapping, bytes.fromhex(self.moment.backup), number, last, b"".join(packed))
            told = Made(len(chunk), hashlib.sha256(chunk).hexdigest(), last, len(packed), dict(counted), damaged)
            self._database.execute(
                "INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?)", (number, *at, json.dumps(told._asdict())))
            return chunk, told

    def _rows(self, part: int, row: int) -> Iterator[tuple[int, Cells | None, str, tuple[int, int]]]:
        """From there on: the slot, a row, what is damaged of it, and where the next one is."""
        for number in range(part, len(self._parts)):
            slot, name = self._parts[number]
            first = row if number == part else 0
            head = self._heads[slot]
            if not name:
                yield slot, (rows.PARTITION, *rows.head_cells(head)), "", (number + 1, 0)
                continue
            where = rows.Place(self._store.device_key, head.serial)
            order = ", ".join(("slot", *schema.COLUMNS[name]))
            select = f"SELECT * FROM {name} WHERE slot = ? ORDER BY {order} LIMIT -1 OFFSET ?"
            for at, (_, *row_of) in enumerate(self._database.execute(select, (slot, first)), first + 1):
                try:
                    cells, wrong = rows.bare(where, name, tuple(row_of)), ""
                except (sealing.Damaged, OverflowError, TypeError, ValueError):
                    cells, wrong = None, f"partition {slot}: a row of {name}, {_which(name, row_of)}"
                if cells is not None and name == "records" and cells[0] == rows.OFFICER:
                    cells = (*cells, self.moment.failures.get(str(slot), {}).get(str(cells[1]), TRIES))
                yield slot, None if cells is None else (name, *cells), wrong, (number, at)

    # -- the end

    def manifest(self, wrapping: Wrapping) -> Manifest:
        chunks = self.made()
        if not chunks or not chunks[-1].last:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, "the backup's last chunk has not been made yet")
        counted = Counter[str]()
        for chunk in chunks:
            counted.update(chunk.counted)
        partitions: list[dict[str, Any]] = [
            {"slot": slot, "serial": head.serial.decode(),
             **{name: counted[f"{slot}/{name}"] for name in rows.COUNTED}} for slot, head in self._heads.items()
        ]
        return Manifest(
            self.moment.backup, wrapping.domain, self._store.id, self.moment.time, self.moment.seen,
            self.moment.generation, partitions,
            sum(told["keys"] for told in partitions), sum(told["rows"] for told in partitions),
            [wrong for chunk in chunks for wrong in chunk.damaged], [Chunk(c.bytes, c.sha256) for c in chunks],
        )


def _generation(database: sqlite3.Connection, store: Store) -> int:
    found = []
    for (sealed,) in database.execute("SELECT head FROM pool"):
        try:
            found.append(PoolHead.unseal(store.device_key, sealed).generation)
        except sealing.Damaged:
            continue
    return max(found, default=0)


def _count(database: sqlite3.Connection, slots: list[int]) -> int:
    return sum(
        int(database.execute(f"SELECT COUNT(*) FROM {name} WHERE slot = ?", (slot,)).fetchone()[0])
        for slot in slots for name in schema.OF_A_PARTITION
    )


def _which(name: str, row: list[Any]) -> str:
    return f"number {row[0]}" if name in rows.OBJECTS else f"{row[0]} {row[1]}" if name == "records" else "one"

