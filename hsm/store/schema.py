"""The store's tables, and the steps from each version of them to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from hsm.store.folder import Unusable

Step = Callable[[sqlite3.Connection, bytes], None]

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
# The tables whose rows belong to a partition and count in its head, with the columns that name a row besides slot.
OF_A_PARTITION = {
    "objects": ("object_id",), "key_values": ("fingerprint",), "partition_keys": (), "officers": ("officer",),
    "role_assignments": ("officer", "role_definition", "scope"),
}


def _first(database: sqlite3.Connection, device_key: bytes) -> None:
    for statement in _FIRST.split(";"):
        database.execute(statement)


# UPGRADES[n] brings version n to n + 1; a step may unseal and seal again. Never edit one that was released: add one.
UPGRADES: list[Step] = [_first]


def version(database: sqlite3.Connection) -> int:
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found > len(UPGRADES):
        words = f"the store has version {found}, this engine knows up to {len(UPGRADES)}: upgrade adyton"
        raise Unusable(words)
    return found


def upgrade(database: sqlite3.Connection, device_key: bytes) -> None:
    """Brings the tables to this version, within the caller's transaction."""
    for step in UPGRADES[version(database):]:
        step(database, device_key)
    database.execute(f"PRAGMA user_version = {len(UPGRADES)}")
