"""The store's tables, and the steps from each version of them to the next."""

from __future__ import annotations

import sqlite3

# Slots are AUTOINCREMENT's: a deleted one is never used again. Objects carry name and version from the first day.
_FIRST = """
CREATE TABLE partitions (
    slot INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    label BLOB NOT NULL, initialised INTEGER NOT NULL, header BLOB NOT NULL);
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
CREATE TABLE audit (sequence INTEGER PRIMARY KEY, record BLOB NOT NULL, hash BLOB NOT NULL);
"""
# UPGRADES[n] brings version n to n + 1. Never edit one that was released: add the next.
UPGRADES = (_FIRST,)
VERSION = len(UPGRADES)
OF_A_PARTITION = ("objects", "key_values", "partition_keys", "officers", "role_assignments")


class TooNew(Exception):
    """The store was written by a later version of the engine."""


def upgrade(database: sqlite3.Connection) -> bool:
    """Brings the tables to this version, all steps or none; True where the store was empty before."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise TooNew(f"the store has version {version}, this engine knows up to {VERSION}: upgrade adyton")
    if version < VERSION:
        script = "".join(UPGRADES[version:])
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {VERSION}; COMMIT;")
    return version == 0
