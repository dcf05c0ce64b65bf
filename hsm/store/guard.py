"""A witness of how far a pool has come, in a folder of its own: that the whole pool was put back is found by it.

What is written there is a number that the pool's generation does not pass before: it is raised in blocks, on the disk
before the commit that needs it, and set to the very generation when an engine ends. So a pool that was put back is
noticed if it had come a block further, and after an engine that has ended in any case. Put both back, and nobody can
tell: keep the folder on another disk, in another's hands, or where its backups are not put back with the pool's.
"""

from __future__ import annotations

import errno
import hmac
import os
import struct
from typing import NamedTuple

from hsm.confinement.arena import Secret
from hsm.errors import TokenError
from hsm.store.folder import sync
from pkcs11_shim import constants as ck

BLOCK = 16  # commits
_MADE = struct.Struct("<8sQQ32s")  # what it is, the generation reached at least, the one reserved, MAC
_MAGIC = b"adyton-g"


class Place(NamedTuple):
    """The settings: ``folder``, where the witness is, and whether a pool that is behind it is refused."""

    folder: str
    strict: bool


class Witness:
    """One pool's. ``reached`` and ``reserved``: what it says; None where there is none, or it is damaged."""

    def __init__(self, place: Place, device_key: Secret) -> None:
        self.place = place
        self._key = hmac.digest(device_key, b"adyton rollback guard", "sha256")
        name = hmac.digest(device_key, b"adyton pool id", "sha256").hex()[:32]
        self.path = os.path.join(place.folder, f"{name}.guard")
        self.reached: int | None = None
        self.reserved = 0
        self._read()

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                raw = file.read(_MADE.size + 1)
        except OSError:
            return
        if len(raw) == _MADE.size:
            magic, reached, reserved, mac = _MADE.unpack(raw)
            if magic == _MAGIC and hmac.compare_digest(mac, self._mac(raw[:-32])):
                self.reached, self.reserved = reached, reserved

    def _mac(self, told: bytes) -> bytes:
        return hmac.digest(self._key, told, "sha256")

    def behind(self, generation: int) -> str:
        """Why a pool of this generation is not the one that was last written, in words; "" where it may be."""
        if self.reached is None:
            there = "is damaged, or of another pool" if os.path.exists(self.path) else "is gone"
            return f"its rollback guard {self.path} {there}, so that nobody can tell whether the pool was put back"
        if generation < self.reached:
            had = f"it had come to change {self.reached} at least, by its rollback guard {self.path}"
            return f"it was put back from an earlier day: {had}, and is at change {generation}"
        return ""

    def reach(self, generation: int) -> None:
        """Before a commit: on the disk when this returns, where the block is used up."""
        if self.reached is None or generation > self.reserved:
            self._write(generation - 1, generation - 1 + BLOCK)

    def settle(self, generation: int) -> None:
        """An engine ends, or the owner takes the pool as it is: the witness says just that."""
        self._write(generation, generation)

    def _write(self, reached: int, reserved: int) -> None:
        told = _MADE.pack(_MAGIC, reached, reserved, bytes(32))[:-32]
        draft = self.path + ".new"
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(handle, told + self._mac(told))
                os.fsync(handle)
            finally:
                os.close(handle)
            os.rename(draft, self.path)
            sync(self.place.folder)
        except OSError as fault:
            words = f"the rollback guard {self.path} can't be written: {fault.strerror}"
            full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
            raise TokenError(ck.CKR_DEVICE_MEMORY if full else ck.CKR_DEVICE_ERROR, words, "rollback-guard") from None
        self.reached, self.reserved = reached, reserved
