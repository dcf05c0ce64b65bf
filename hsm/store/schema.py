"""The store's tables, and the steps from each version of them to the next."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from hsm.confinement.arena import Secret
from hsm.store import records, sealing
from hsm.store.folder import Unusable

if TYPE_CHECKING:
    from hsm.store.transaction import Transaction

Step = Callable[["Transaction"], None]

# ``pool`` and ``partitions`` hold each head twice (hsm/store/heads.py). Objects carry name and version, in ``about``,
# from the first day. No table keeps anything in clear but numbers, officers' names, roles and the audit records.
_FIRST = """
CREATE TABLE pool (copy INTEGER PRIMARY KEY, head BLOB NOT NULL);
CREATE TABLE partitions (
    slot INTEGER NOT NULL, copy INTEGER NOT NULL, head BLOB NOT NULL, PRIMARY KEY (slot, copy)) WITHOUT ROWID;
CREATE TABLE objects (
    slot INTEGER NOT NULL, object_id INTEGER NOT NULL, generation INTEGER NOT NULL,
    about BLOB, public BLOB NOT NULL, secret BLOB, PRIMARY KEY (slot, object_id)) WITHOUT ROWID;
CREATE TABLE key_values (
    slot INTEGER NOT NULL, fingerprint BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (slot, fingerprint)) WITHOUT ROWID;
CREATE TABLE partition_keys (slot INTEGER PRIMARY KEY, public BLOB NOT NULL, private BLOB NOT NULL);
CREATE TABLE officers (
    slot INTEGER NOT NULL, officer TEXT NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (slot, officer)) WITHOUT ROWID;
CREATE TABLE role_assignments (
    slot INTEGER NOT NULL, officer TEXT NOT NULL, role_definition TEXT NOT NULL, scope TEXT NOT NULL,
    PRIMARY KEY (slot, officer, role_definition, scope)) WITHOUT ROWID;
CREATE TABLE audit (sequence INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL)
"""
# Officers, role definitions and role assignments, each sealed under the device key (hsm/store/records.py).
_RECORDS = """
CREATE TABLE records (
    slot INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (slot, kind, name)) WITHOUT ROWID
"""
# The key that signs the audit log, its private half sealed under the device key, and what it has signed.
_AUDIT = """
CREATE TABLE audit_key (public BLOB NOT NULL, private BLOB NOT NULL);
CREATE TABLE audit_checkpoints (sequence INTEGER PRIMARY KEY, line TEXT NOT NULL)
"""
# Private and secret keys, and their public halves, that were deleted where that can be taken back: the rows are as
# they were among ``objects``.
_DELETED = """
CREATE TABLE deleted_objects (
    slot INTEGER NOT NULL, object_id INTEGER NOT NULL, generation INTEGER NOT NULL,
    about BLOB, public BLOB NOT NULL, secret BLOB, PRIMARY KEY (slot, object_id)) WITHOUT ROWID
"""
# The columns, besides slot, that name a row of each table whose rows belong to a partition and count in its head.
COLUMNS = {
    "objects": ("object_id",), "deleted_objects": ("object_id",), "key_values": ("fingerprint",), "partition_keys": (),
    "records": ("kind", "name"),
    "officers": ("officer",), "role_assignments": ("officer", "role_definition", "scope"),
}
# The tables that a version has, from the one on that brought a change.
_TABLES = {
    1: ("objects", "key_values", "partition_keys", "officers", "role_assignments"),
    2: ("objects", "key_values", "partition_keys", "records"),
    3: ("objects", "deleted_objects", "key_values", "partition_keys", "records"),
}
# What the first release had: eight PIN counters a partition, and two officers with these roles, whose counters were the
# first two.
_OF_A_SLOT = 8
_FIRST_ROLES = {
    "so": ("a290e904-7015-4bba-90c8-60543313cdb4",),
    "user": ("21dbd100-6940-42c2-9190-5d6cb909625b", "515eb02d-2335-4d2d-92f2-b1cbdf9c3778"),
}
_OPENS_NOTHING = b"\0"  # no form of a wrapped key: it is damaged for every PIN, and a new PIN takes its place


def _first(tx: Transaction) -> None:
    for statement in _FIRST.split(";"):
        tx.database.execute(statement)


def _second(tx: Transaction) -> None:
    tx.database.execute(_RECORDS)
    _move_officers(tx)
    _audit(tx)


def _third(tx: Transaction) -> None:
    tx.database.execute(_DELETED)


def _move_officers(tx: Transaction) -> None:
    """The first release's officers, ``so`` and ``user``, and their roles become records. Their rows were not sealed
    each: whatever else stands there, nobody comes out of this with more than that release gave."""
    ids: dict[tuple[int, str], str] = {}
    for slot, name, sealed in tx.database.execute("SELECT slot, officer, wrapped FROM officers").fetchall():
        if slot not in tx.heads:
            continue
        tx.take("officers", slot, name)
        if name not in _FIRST_ROLES:
            continue
        ids[slot, name] = str(uuid.uuid4())
        key = sealing.derive(tx.device_key, b"officer", tx.heads[slot].serial, name.encode())
        try:
            wrapped = sealing.unseal(key, sealed, b"")
        except (sealing.Damaged, TypeError):
            tx.note(slot, f"the credential of {name} is damaged")
            wrapped = _OPENS_NOTHING
        counter = _OF_A_SLOT * slot + list(_FIRST_ROLES).index(name)
        tx.put_record(slot, records.Officer(name, ids[slot, name], counter=counter, wrapped=wrapped))
    rows = tx.database.execute("SELECT slot, officer, role_definition, scope FROM role_assignments").fetchall()
    for slot, name, role, scope in rows:
        if slot not in tx.heads:
            continue
        tx.take("role_assignments", slot, name, role, scope)
        if (slot, name) in ids and role in _FIRST_ROLES[name] and scope == "/":
            tx.put_record(slot, records.RoleAssignment(str(uuid.uuid4()), ids[slot, name], role, scope))
    tx.database.execute("DROP TABLE officers")
    tx.database.execute("DROP TABLE role_assignments")


def _audit(tx: Transaction) -> None:
    """The log's own key, and its checkpoints. Records of before stay as they are: the chain goes on from them."""
    for statement in _AUDIT.split(";"):
        tx.database.execute(statement)
    tx.database.execute("INSERT INTO audit_key VALUES (?, ?)", new_audit_key(tx.device_key))


def new_audit_key(device_key: Secret) -> tuple[bytes, bytes]:
    """A row of audit_key."""
    from hsm.audit import checkpoint  # an engine that makes or upgrades no pool starts without it

    private, public = checkpoint.new_key()
    return public, sealing.seal(sealing.derive(device_key, b"audit"), private, public)


# UPGRADES[n] brings version n to n + 1; a step may unseal and seal again. Never edit one that was released: add one.
UPGRADES: list[Step] = [_first, _second, _third]
OF_A_PARTITION = _TABLES[len(UPGRADES)]


def make_tables(database: sqlite3.Connection) -> None:
    """Those of the newest version, empty."""
    for statement in (*_FIRST.split(";"), _RECORDS, *_AUDIT.split(";"), _DELETED):
        database.execute(statement)
    for table in ("officers", "role_assignments"):
        database.execute(f"DROP TABLE {table}")
    database.execute(f"PRAGMA user_version = {len(UPGRADES)}")


def tables_of(version: int) -> tuple[str, ...]:
    """The tables whose rows count in the heads that this version wrote."""
    return _TABLES[max(known for known in _TABLES if known <= version)]


def version(database: sqlite3.Connection) -> int:
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found > len(UPGRADES):
        words = f"the store has version {found}, this engine knows up to {len(UPGRADES)}: upgrade adyton"
        raise Unusable(words)
    return found


def upgrade(tx: Transaction) -> None:
    """Brings the tables to this version, within the caller's transaction."""
    for step in UPGRADES[version(tx.database):]:
        step(tx)
    tx.database.execute(f"PRAGMA user_version = {len(UPGRADES)}")
