"""What can be had of a damaged pool, and a whole one made of it. The damaged files are read, never written.

Rows are read from both ends of each table, and those of objects one by one between, so that a page which can't be read
costs what lies on it. The first page, which has the tables' places and is alike in pools of one version, is taken from
a new one where it is gone. The heads are written anew from the rows that are there: what was removed or put back behind
the engine's back is thereby taken as it is, which is why a repair is recorded in the log with what it found.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from hsm.audit.chain import Chain
from hsm.confinement.arena import Secret
from hsm.store import folder, schema, sealing
from hsm.store.folder import Unusable
from hsm.store.heads import PartitionHead, PoolHead, Weigher

PAGE = 4096
OBJECTS = ("objects", "deleted_objects")
_KEYS = {
    "pool": 1, "partitions": 2, "objects": 2, "deleted_objects": 2, "key_values": 2, "partition_keys": 1, "records": 3,
    "audit": 1,
    "audit_key": 1, "audit_checkpoints": 1,
}
Row = tuple[Any, ...]


class Salvaged(NamedTuple):
    """Rows by table, and what is lost, in sentences."""

    rows: dict[str, list[Row]]
    lost: list[str]


# -- reading


def read(home: str) -> Salvaged:
    """All rows that can be read."""
    lost: list[str] = []
    with _copied(home, lost) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version != len(schema.UPGRADES):
            words = f"its store has version {version}, and this adyton repairs version {len(schema.UPGRADES)} only"
            raise Unusable(f"{home}: {words}: put the backup of the whole folder back")
        return Salvaged({table: _rows(database, table, lost) for table in _KEYS}, lost)


@contextmanager
def _copied(home: str, lost: list[str]) -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory(prefix="adyton-") as scratch:
        path = os.path.join(scratch, "pool.db")
        for name in ("pool.db", "pool.db-wal"):
            if os.path.exists(os.path.join(home, name)):
                shutil.copyfile(os.path.join(home, name), os.path.join(scratch, name))
        if not os.path.exists(path) or os.path.getsize(path) < 2 * PAGE:
            raise Unusable(f"{home}/pool.db is missing or has next to nothing left: put the backup of the folder back")
        if not _opens(path):
            lost.append("the first page of pool.db, for which a new pool's was taken")
            _with_first_page(path, scratch)
        database = sqlite3.connect(path, isolation_level=None)
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            yield database
        except sqlite3.DatabaseError:
            raise Unusable(f"{home}/pool.db can't be read at all: put the backup of the folder back") from None
        finally:
            database.close()


def _opens(path: str) -> bool:
    database = sqlite3.connect(path)
    try:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_schema")}
        return _KEYS.keys() <= tables
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False
    finally:
        database.close()


def _with_first_page(path: str, scratch: str) -> None:
    """Of a pool that is made for the purpose. A log beside the database had been written for the page that is gone."""
    from hsm.store.sqlite import Store

    like = os.path.join(scratch, "like")
    os.mkdir(like, 0o700)
    Store(like).close()
    with open(os.path.join(like, "pool.db"), "rb") as source:
        first = bytearray(source.read(PAGE))
    first[28:32] = (os.path.getsize(path) // PAGE).to_bytes(4, "big")  # how many pages there are
    first[32:40] = bytes(8)  # and none that are free (sqlite.org/fileformat2.html, section 1.3)
    with open(path, "r+b") as damaged:
        damaged.write(first)


def _rows(database: sqlite3.Connection, table: str, lost: list[str]) -> list[Row]:
    width = _KEYS[table]
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")][:width]
    found: dict[Row, Row] = {}
    for order in ("ASC", "DESC"):
        try:
            for row in database.execute(f"SELECT * FROM {table} ORDER BY {', '.join(f'{c} {order}' for c in columns)}"):
                if row[:width] in found:
                    break
                found[row[:width]] = row
            if order == "ASC":
                return list(found.values())
        except (sqlite3.DatabaseError, OverflowError):
            continue
    if table in OBJECTS:
        _between(database, table, found)
    lost.append(f"a part of the table {table}: {len(found)} of its rows could be read")
    return [found[key] for key in sorted(found, key=str)]


def _between(database: sqlite3.Connection, table: str, found: dict[Row, Row]) -> None:
    """Each object by its number: those on pages that can be read are there."""
    last: dict[int, int] = {}
    for slot, number in found:
        if not (isinstance(slot, int) and isinstance(number, int)):  # a cell may hold anything by now
            continue
        last[slot] = max(last.get(slot, 0), number)
    for slot, most in last.items():
        for number in range(1, most):
            if (slot, number) not in found:
                try:
                    asked = f"SELECT * FROM {table} WHERE slot = ? AND object_id = ?"
                    row = database.execute(asked, (slot, number)).fetchone()
                except sqlite3.DatabaseError:
                    continue
                if row is not None:
                    found[slot, number] = row


# -- making


def made(salvaged: Salvaged, device_key: Secret) -> Salvaged:
    """What of the rows goes into the new pool, its heads anew, and what is lost besides. The rows of officers, rules
    and lost uses stay, damaged or not: where one can't be read, the engine is on the safe side, as it was."""
    rows, lost = {table: list(told) for table, told in salvaged.rows.items()}, list(salvaged.lost)
    heads = _partition_heads(rows["partitions"], device_key)
    gone = {row[0] for table in schema.OF_A_PARTITION for row in rows[table]} - heads.keys()
    lost += [f"partition {slot}, whose head is gone, with all that is in it" for slot in sorted(gone, key=str)]
    for table in schema.OF_A_PARTITION:
        rows[table] = [row for row in rows[table] if row[0] in heads]
    for table in OBJECTS:
        rows[table] = [row for row in rows[table] if _readable(heads[row[0]], row, device_key, lost)]
    weigher = Weigher(device_key)
    for slot, head in heads.items():
        weights = [
            weigher.weigh(head.serial, table, row)
            for table in schema.OF_A_PARTITION for row in rows[table] if row[0] == slot
        ]
        head.rows, head.total = len(weights), sum(weights) % (1 << 256)
        head.next_id = max([head.next_id, *(row[1] + 1 for table in OBJECTS for row in rows[table] if row[0] == slot)])
        head.generation += 1
    pool = _pool_head(rows, heads, device_key, lost)
    rows["partitions"] = [(slot, copy, head.seal(device_key)) for slot, head in heads.items() for copy in (0, 1)]
    rows["pool"] = [(copy, pool.seal(device_key)) for copy in (0, 1)]
    if not _audit_key_opens(rows["audit_key"], device_key):
        lost.append("the key that signs the audit log: a new one is made, which no checkpoint of before was signed by")
        rows["audit_key"] = [schema.new_audit_key(device_key)]
    return Salvaged(rows, lost)


def _partition_heads(rows: list[Row], device_key: Secret) -> dict[int, PartitionHead]:
    heads: dict[int, PartitionHead] = {}
    for slot, _, sealed in rows:
        try:
            head = PartitionHead.unseal(device_key, slot, sealed)
        except (sealing.Damaged, OverflowError, TypeError):
            continue
        if slot not in heads or heads[slot].generation < head.generation:
            heads[slot] = head
    return heads


def _readable(head: PartitionHead, row: Row, device_key: Secret, lost: list[str]) -> bool:
    slot, number, generation, _, public, secret = row
    try:
        key = sealing.derive(device_key, b"public", head.serial, number, generation)
        sealing.unpack(sealing.unseal_public(key, public, secret is not None)[0])
    except (sealing.Damaged, OverflowError, TypeError):
        lost.append(f"partition {slot}: object {number}")
        return False
    return True


def _pool_head(
    rows: dict[str, list[Row]], heads: dict[int, PartitionHead], device_key: Secret, lost: list[str]
) -> PoolHead:
    """The later copy, with the partitions as they are. The log goes on from where it was left, also where its last
    records are gone: that they are missing shows."""
    best: PoolHead | None = None
    for _, sealed in rows["pool"]:
        try:
            told = PoolHead.unseal(device_key, sealed)
        except (sealing.Damaged, TypeError):
            continue
        best = told if best is None or told.generation > best.generation else best
    if best is None:
        blocks = sorted(row for row in rows["audit"] if isinstance(row[0], int))
        end = Chain(blocks[-1][0], blocks[-1][2], sum(len(row[1]) for row in blocks)) if blocks else Chain()
        best = PoolHead(end)
        lost.append("the pool's head: whether the last records of the log are there can't be told")
    best.slots = {slot: head.generation for slot, head in heads.items()}
    best.next_slot = max([best.next_slot, *(slot + 1 for slot in heads)])
    best.generation += 1
    return best


def _audit_key_opens(rows: list[Row], device_key: Secret) -> bool:
    for public, private in rows:
        try:
            sealing.unseal(sealing.derive(device_key, b"audit"), private, public)
            return True
        except (sealing.Damaged, TypeError):
            continue
    return False


# -- putting it in its place


def write(home: str, whole: Salvaged) -> str:
    """The new database in the place of the damaged one. Returns the folder in which the damaged files are kept. Raises
    Unusable where it can't be written, and nothing is put in the other's place then."""
    draft = os.path.join(home, "pool.db.repaired")
    if os.path.exists(draft):
        os.unlink(draft)
    database = sqlite3.connect(draft, isolation_level=None)
    try:
        os.chmod(draft, 0o600)
        database.execute("PRAGMA synchronous = EXTRA")
        database.execute("BEGIN")
        schema.make_tables(database)
        for table, rows in whole.rows.items():
            for row in rows:
                database.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        database.execute("COMMIT")
    except sqlite3.Error as fault:
        os.unlink(draft)
        raise Unusable(f"{draft} can't be written: {fault}. Make room on the disk") from None
    finally:
        database.close()
    kept = _keep(home)
    for log in ("pool.db-wal", "pool.db-journal"):  # of the database that goes: a new one would be taken apart by it
        if os.path.exists(os.path.join(home, log)):
            os.unlink(os.path.join(home, log))
    os.rename(draft, os.path.join(home, "pool.db"))
    folder.sync(home)
    return kept


def _keep(home: str) -> str:
    """Copies of the files as they are, in a folder of their own, on the disk before anything is put in their place."""
    number = 1
    while os.path.exists(os.path.join(home, f"damaged-{number}")):
        number += 1
    kept = os.path.join(home, f"damaged-{number}")
    os.mkdir(kept, 0o700)
    for name in (*folder.FILES, "pool.db-wal", "pool.db-journal"):
        source = os.path.join(home, name)
        if os.path.exists(source):
            target = os.path.join(kept, name)
            shutil.copyfile(source, target)
            os.chmod(target, 0o600)
            handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    folder.sync(kept)
    folder.sync(home)
    return kept
