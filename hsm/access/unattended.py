"""Unattended unsealing: a file that opens a partition for who has no PIN to open it by.

An officer whose PIN opens the partition turns it on. The partition keeps a copy of its key, sealed under the file's
bytes; whoever has both the store and the file has the keys, so the file belongs where backups of the store don't go: a
systemd credential, or another disk. Who turns it on opens the file, or makes it, and hands it to the engine, which may
open the files of its own folder only and, from its next start on, this one: it reads it at a login of an officer bound
to a user of the machine.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from hsm import clock
from hsm.audit import calls
from hsm.confinement.arena import Secret
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
        self._held = -1  # the file as it was handed over, in the engine that unsealing was turned on in
        self.load()

    def load(self) -> None:
        """From the store: at the start, and when the token was initialised anew. A damaged record opens nothing."""
        self._record = self._store.records(self._slot, Unattended).get("unattended")

    @property
    def is_on(self) -> bool:
        return self._record is not None

    def files(self) -> list[str]:
        return [self._record.path] if self._record is not None else []

    def key(self, officer: str) -> Secret:
        """The partition key, for an officer who has no PIN to open the partition by."""
        if self._record is None:
            words = (
                f"the partition is sealed, and {officer} has no PIN that opens it: let another log in first, or "
                f"turn unattended unsealing on: adyton partition unattended {self._slot} --key-file FILE"
            )
            raise TokenError(ck.CKR_FUNCTION_FAILED, words, officer)
        key = unseal(self._record, self._serial, self._held)
        calls.detail(unsealed="unattended")
        return key

    def turn(self, path: str, descriptor: int, key: Secret, record: dict[str, str]) -> None:
        """On, with a file that opens this partition key, and which came open with the request; off, where there is no
        path."""
        before = self._record
        made = seal(path, descriptor, self._store.home, self._serial, key) if path else None
        with self._store.transaction() as tx:
            if before is not None:
                tx.drop_record(self._slot, before)
            if made is not None:
                tx.put_record(self._slot, made)
            tx.audit(record)
        self._record = made
        self._hold(os.dup(descriptor) if made is not None else -1)

    def _hold(self, descriptor: int) -> None:
        before, self._held = self._held, descriptor
        if before >= 0:
            os.close(before)


def seal(path: str, descriptor: int, home: str | None, serial: bytes, partition_key: Secret) -> Unattended:
    """The record of a copy that the file at ``path``, open as ``descriptor``, opens. ``home``: the pool's folder, every
    copy of which would open itself if the file lay there."""
    if not os.path.isabs(path):
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "the key file's path must be absolute", path)
    if home is not None and os.path.realpath(path).startswith(os.path.join(os.path.realpath(home), "")):
        raise _unfit(path, "it lies in the pool's own folder, so that every copy of that would open itself")
    if not os.path.samestat(_seen(path), os.fstat(descriptor)):
        raise _unfit(path, "the engine sees another file there than you do")
    if not os.access(path, os.R_OK):
        raise _unfit(path, "the engine's user may not read it")
    secret = _fit(path, descriptor)
    copy = sealing.seal(_key(secret, serial), partition_key, path.encode())
    return Unattended("unattended", path, copy, clock.microseconds())


def unseal(record: Unattended, serial: bytes, held: int = -1) -> memoryview:
    """The partition key. ``held``: the file's descriptor, where this engine was given one."""
    try:
        return sealing.unseal_key(_key(_read(record.path, held), serial), record.copy, record.path.encode())
    except sealing.Damaged:
        why = "unattended unsealing was turned on with another one. Put that back, or turn it on anew"
        raise _unfit(record.path, why) from None


def _key(secret: bytes, serial: bytes) -> memoryview:
    return sealing.derive_held(hashlib.sha256(secret).digest(), b"unattended", serial)


def _seen(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except (OSError, ValueError) as fault:
        raise _unfit(path, f"the engine can't see it: {_words(fault)}") from None


def _read(path: str, held: int) -> bytes:
    status = _seen(path)
    if stat.S_ISLNK(status.st_mode):
        raise _unfit(path, "it is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise _unfit(path, "it is no file")
    if held >= 0 and os.path.samestat(status, os.fstat(held)):
        return _fit(path, held)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as fault:
        words = f"the engine can't read it: {_words(fault)}"
        if fault.errno == errno.EACCES:
            words += ". A file that was not there when the engine started is opened by the next one: adyton stop"
        raise _unfit(path, words) from None
    try:
        return _fit(path, handle)
    finally:
        os.close(handle)


def _fit(path: str, handle: int) -> bytes:
    """The bytes of a file that may be a key file."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise _unfit(path, "it is no file")
    others = 0o037 if status.st_uid == 0 and path.startswith(_CREDENTIALS) else 0o077
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & others:
        raise _unfit(path, "others than the engine's user may read or change it. Mend it: chmod 600")
    try:
        secret = os.pread(handle, LONGEST + 1, 0)
    except OSError as fault:
        raise _unfit(path, f"the engine can't read it: {_words(fault)}") from None
    if not SHORTEST <= len(secret) <= LONGEST:
        raise _unfit(path, f"it has {len(secret)} bytes, not {SHORTEST} to {LONGEST}")
    return secret


def _words(fault: OSError | ValueError) -> str:
    return (fault.strerror if isinstance(fault, OSError) else None) or "that is no path"


def _unfit(path: str, why: str) -> TokenError:
    return TokenError(ck.CKR_FUNCTION_FAILED, f"{path} can't be the partition's key file: {why}", path)
