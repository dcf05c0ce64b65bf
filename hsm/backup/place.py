"""Where a backup or a restore lies while it is made: a database of its own in the pool's folder, until it is done.

It is sealed as the pool itself is, and outlives its engine, so that what was interrupted can go on. There is one of
each kind at most: the next one takes the place of one that nobody goes on with. What is done with is overwritten, as
what is destroyed in the pool is.
"""

from __future__ import annotations

import os
import sqlite3

from hsm import clock
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

MAKING, TAKING = "backup.db", "restore.db"
DRAFT = ".new"  # of a name that is not whole yet
KEPT = 86_400  # seconds for which what was interrupted can go on
_BLOCK = 1 << 20


def path(home: str | None, name: str) -> str:
    return ":memory:" if home is None else os.path.join(home, name)


def is_there(home: str | None, name: str) -> bool:
    return home is not None and os.path.exists(path(home, name))


def open_at(where: str) -> sqlite3.Connection:
    try:
        if where != ":memory:":
            os.close(os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        database = sqlite3.connect(where, isolation_level=None, check_same_thread=False)
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = DELETE", "temp_store = MEMORY"):
            database.execute(f"PRAGMA {setting}").fetchall()
    except (OSError, sqlite3.Error):
        raise no_room() from None
    return database


def no_room() -> TokenError:
    words = "backups and restores need room in the pool's folder, about as much as pool.db takes, and there is none"
    return TokenError(ck.CKR_DEVICE_MEMORY, f"{words}, or nothing can be written there: see adyton status")


def drop(home: str | None, *names: str) -> None:
    """Overwritten and gone, with its draft and what SQLite kept beside it."""
    for name in names if home is not None else ():
        for ending in ("", "-journal", "-wal", "-shm"):
            _wipe(path(home, name) + ending)
            _wipe(path(home, name + DRAFT) + ending)


def drop_old(home: str) -> None:
    """What was interrupted so long ago that nobody comes back for it, and drafts, with which nobody can go on."""
    for name in (MAKING, TAKING, MAKING + DRAFT):
        try:
            old = clock.now() - os.stat(path(home, name)).st_mtime > KEPT
        except FileNotFoundError:
            continue
        if old or name.endswith(DRAFT):
            drop(home, name)


def _wipe(file: str) -> None:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        left = os.fstat(handle).st_size
        while left > 0:
            left -= os.write(handle, bytes(min(left, _BLOCK)))
        os.fdatasync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
        os.unlink(file)
