"""Unattended unsealing: a file that opens a partition for who has no PIN to open it by.

An officer whose PIN opens the partition turns it on. The partition keeps a copy of its key, sealed under the file's
bytes; whoever has both the store and the file has the keys, so the file belongs where backups of the store don't go: a
systemd credential, or another disk. Only the engine reads it, at a login of an officer bound to a user of the machine.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from hsm import clock
from hsm.audit import calls
from hsm.errors import TokenError
from hsm.store import sealing
from hsm.store.records import Unattended
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.store.sqlite import Store

SHORTEST, LONGEST = 32, 4096
# systemd hands credentials out read-only to their service, by an access list that shows as the group's right.
_CREDENTIALS = "/run/credentials/"


class Unsealing:
    """Whether a key file opens a partition, and which. Its partition's lock is held over a change."""

    def __init__(self, store: Store, slot: int, serial: bytes) -> None:
        self._store = store
        self._slot = slot
        self._serial = serial
        self.load()

    def load(self) -> None:
        """From the store: at the start, and when the token was initialised anew. A damaged record opens nothing."""
        self._record = self._store.records(self._slot, Unattended).get("unattended")

    @property
    def is_on(self) -> bool:
        return self._record is not None

    def files(self) -> list[str]:
        return [self._record.path] if self._record is not None else []

    def key(self, officer: str) -> bytes:
        """The partition key, for an officer who has no PIN to open the partition by."""
        if self._record is None:
            words = (
                f"the partition is sealed, and {officer} has no PIN that opens it: let another log in first, or "
                f"turn unattended unsealing on: adyton partition unattended {self._slot} --key-file FILE"
            )
            raise TokenError(ck.CKR_FUNCTION_FAILED, words, officer)
        key = unseal(self._record, self._serial)
        calls.detail(unsealed="unattended")
        return key

    def turn(self, path: str, key: bytes, record: dict[str, str]) -> None:
        """On, with a file that opens this partition key; off, where there is no path."""
        before, made = self._record, seal(path, self._store.home, self._serial, key) if path else None
        with self._store.transaction() as tx:
            if before is not None:
                tx.drop_record(self._slot, before)
            if made is not None:
                tx.put_record(self._slot, made)
            tx.audit(record)
        self._record = made


def seal(path: str, home: str | None, serial: bytes, partition_key: bytes) -> Unattended:
    """The record of a copy that the file at ``path`` opens; the file is made where there is none. ``home``: the pool's
    folder, every copy of which would open itself if the file lay there."""
    if not os.path.isabs(path):
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "the key file's path must be absolute", path)
    if home is not None and os.path.realpath(path).startswith(os.path.join(os.path.realpath(home), "")):
        raise _unfit(path, "it lies in the pool's own folder, so that every copy of that would open itself")
    secret = _made(path) or _read(path)
    copy = sealing.seal(_key(secret, serial), partition_key, path.encode())
    return Unattended("unattended", path, copy, clock.microseconds())


def unseal(record: Unattended, serial: bytes) -> bytes:
    """The partition key."""
    try:
        return sealing.unseal(_key(_read(record.path), serial), record.copy, record.path.encode())
    except sealing.Damaged:
        why = "unattended unsealing was turned on with another one. Put that back, or turn it on anew"
        raise _unfit(record.path, why) from None


def _key(secret: bytes, serial: bytes) -> bytes:
    return sealing.derive(hashlib.sha256(secret).digest(), b"unattended", serial)


def _made(path: str) -> bytes:
    """A new key file's bytes, on the disk; nothing where there is a file already."""
    secret = os.urandom(SHORTEST)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return b""
    except (OSError, ValueError) as fault:
        remedy = f"Make it yourself, as the engine's user: umask 077; head -c {SHORTEST} /dev/urandom >{path}"
        raise _unfit(path, f"the engine can't make it: {_words(fault)}. {remedy}") from None
    try:
        with open(handle, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as fault:
        os.unlink(path)
        raise _unfit(path, f"the engine can't write it: {_words(fault)}") from None
    return secret


def _read(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise _unfit(path, "it is no file")
            others = 0o037 if status.st_uid == 0 and path.startswith(_CREDENTIALS) else 0o077
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & others:
                raise _unfit(path, "others than the engine's user may read or change it. Mend it: chmod 600")
            secret = file.read(LONGEST + 1)
    except (OSError, ValueError) as fault:
        raise _unfit(path, f"the engine can't read it: {_words(fault)}") from None
    if not SHORTEST <= len(secret) <= LONGEST:
        raise _unfit(path, f"it has {len(secret)} bytes, not {SHORTEST} to {LONGEST}")
    return secret


def _words(fault: OSError | ValueError) -> str:
    return (fault.strerror if isinstance(fault, OSError) else None) or "that is no path"


def _unfit(path: str, why: str) -> TokenError:
    return TokenError(ck.CKR_FUNCTION_FAILED, f"{path} can't be the partition's key file: {why}", path)
