"""The pool's folder: one engine at a time, made whole or not at all, readable where the disk is read-only.

A pool is whole once ``device.key`` has its name. Until then the key is ``device.key.new``: a crash while a pool is made
leaves something that the next engine finishes, and a store that is lost later is never mistaken for a new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
import time

from hsm.confinement.arena import ARENA
from hsm.store.points import reach

KEY_BYTES = 32
FILES = ("pool.db", "device.key", "counters")
# How long an engine that is just leaving may keep its claim: the last one's threads may still be in fsync.
_PATIENCE, _PAUSE = 5.0, 0.01
_LOOKS = 50  # at a database that changes while it is copied


class Unusable(Exception):
    """No engine can serve this folder: what is wrong and what to do, in words."""


def claim(home: str) -> int:
    """Makes this process the folder's one engine, for as long as the descriptor returned stays open (flock(2))."""
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(handle)
                words = f"{home} is in use by another engine, and has one at a time. See: adyton status"
                raise Unusable(words) from None
            time.sleep(_PAUSE)


def is_read_only(home: str) -> bool:
    """Whether nothing can be changed there: by the disk, the folder's mode or a file's."""
    paths = [home, *(path for path in (os.path.join(home, name) for name in FILES) if os.path.exists(path))]
    return not all(os.access(path, os.W_OK) for path in paths)


def disk_is_read_only(home: str) -> bool:
    return bool(os.statvfs(home).f_flag & os.ST_RDONLY)


def is_full(home: str) -> bool:
    """Whether the disk, or what its user may have of it, has no room for another block."""
    try:
        handle = os.open(home, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        return fault.errno in (errno.ENOSPC, errno.EDQUOT)
    try:
        return os.write(handle, bytes(4096)) < 4096
    except OSError as fault:
        return fault.errno in (errno.ENOSPC, errno.EDQUOT)
    finally:
        os.close(handle)


def is_whole(home: str) -> bool:
    return os.path.lexists(os.path.join(home, "device.key"))


def sync(home: str) -> None:
    """New names in the folder are on the disk when this returns."""
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- what an engine may lose when it is killed

_MARK = "audit.open"


def mark(home: str) -> bool:
    """Says that an engine's records of use may not be written yet. True where one before it has left its mark."""
    try:
        os.close(os.open(os.path.join(home, _MARK), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        reach("use-marked")
    except FileExistsError:
        return True
    except OSError:  # no room for it, or a read-only folder: the log can't be written either, and says so
        pass
    return False


def unmark(home: str) -> None:
    try:
        os.unlink(os.path.join(home, _MARK))
    except OSError:
        pass


# -- the device key


def device_key(home: str, *, store_exists: bool) -> memoryview:
    """The device key of a whole pool, or the one that a pool in the making has or now gets."""
    path = os.path.join(home, "device.key")
    if is_whole(home):
        key = _read_key(path)
        if key is None:
            raise Unusable(f"{path} is damaged: put its backup back; without it the pool is lost")
        return key
    draft = path + ".new"
    key = _read_key(draft) if os.path.lexists(draft) else None
    if key is not None:
        return key
    if store_exists:
        raise Unusable(f"{path} is missing: put its backup back; without it the pool is lost")
    return _draft_key(home, draft)


def _draft_key(home: str, draft: str) -> memoryview:
    key = ARENA.random()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, key)
        reach("key-drafted")
        os.fsync(handle)
    finally:
        os.close(handle)
    sync(home)
    reach("key-synced")
    return key


def finish(home: str) -> None:
    """The store is committed: the pool is whole from now on."""
    reach("store-made")
    os.rename(os.path.join(home, "device.key.new"), os.path.join(home, "device.key"))
    reach("key-named")
    sync(home)


def _read_key(path: str) -> memoryview | None:
    """None: it has another length."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as fault:
        raise Unusable(f"{path} can't be read: {fault.strerror}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise Unusable(f"{path} must be a file of the engine's user with mode 0600. Mend it: chmod 600 {path}")
        key = ARENA.take()
        return key if status.st_size == KEY_BYTES and os.readv(handle, [key]) == KEY_BYTES else None
    finally:
        os.close(handle)


# -- the database


def open_database(home: str | None, *, read_only: bool, looking: bool = False) -> sqlite3.Connection:
    """The store's database: of this folder, or an empty one in memory."""
    if home is None:
        return _connect(":memory:")
    path = os.path.join(home, "pool.db")
    if is_whole(home) and not (os.path.exists(path) and os.path.getsize(path)):
        raise Unusable(f"{path} is missing or empty, and the pool is not new: put its backup back")
    if looking:
        return look(home)
    if read_only:
        return _read(path)
    database = _connect(path)
    # Nobody else opens it, so SQLite needs no shared memory file, for which a full disk has no room.
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")
    database.execute("PRAGMA temp_store = MEMORY")  # an engine that is shut in opens no file outside its folder
    return database


def look(home: str) -> sqlite3.Connection:
    """All of the database as it is now, in memory, whether an engine writes it or not. Nothing is changed by it."""
    import shutil
    import tempfile

    names = ("pool.db", "pool.db-wal")
    for _ in range(_LOOKS):
        before = _stamps(home, names)
        with tempfile.TemporaryDirectory(prefix="adyton-") as scratch:
            for name in names:
                if before[name] is not None:
                    shutil.copyfile(os.path.join(home, name), os.path.join(scratch, name))
            if _stamps(home, names) != before:
                continue
            database, source = _connect(":memory:"), _connect(os.path.join(scratch, "pool.db"))
            try:
                source.backup(database)
            finally:
                source.close()
            return database
    raise Unusable(f"{home}/pool.db is being written all the time: look again when less is done there")


def _stamps(home: str, names: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
    """Size and time of the last change of each file; None of one that is not there."""
    found: dict[str, tuple[int, int] | None] = {}
    for name in names:
        try:
            status = os.stat(os.path.join(home, name))
            found[name] = status.st_size, status.st_mtime_ns
        except FileNotFoundError:
            found[name] = None
    return found


def _connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, uri=uri)


def _read(path: str) -> sqlite3.Connection:
    """SQLite can't replay its log on a read-only disk: what a killed engine left there is replayed in a copy."""
    import shutil
    import tempfile
    from urllib.parse import quote

    log = path + "-wal"
    if not (os.path.exists(log) and os.path.getsize(log)):
        return _connect(f"file:{quote(path)}?immutable=1", uri=True)
    database = _connect(":memory:")
    with tempfile.TemporaryDirectory(prefix="adyton-") as folder:
        copy = os.path.join(folder, "pool.db")
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy + "-wal")
        source = _connect(copy)
        source.backup(database)
        source.close()
    return database
