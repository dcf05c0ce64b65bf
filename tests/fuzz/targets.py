"""What of the engine is given any bytes at all, each as a function of them: it answers, or refuses as it should.

One target a decoder or reader; each raises where something comes out that its callers do not expect. ``tools/fuzz``
runs them under Atheris, guided by coverage; tests/test_fuzz.py replays the corpus and changes it a little.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hsm import config, log
from hsm.access import credentials
from hsm.application import Application
from hsm.audit import chain
from hsm.audit.verify import verify
from hsm.backup import blob, form, wrapping
from hsm.cli import salvage
from hsm.cryptoki import return_codes
from hsm.errors import TokenError
from hsm.mechanisms import formats
from hsm.objects import attributes as table
from hsm.pool import Pool
from hsm.server import admin, codec, dispatch
from hsm.store import records, sealing
from hsm.store.folder import Unusable
from pkcs11_shim import constants as ck

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}
# Calls that would end what the target stands on, wait, or take the machine's time.
_LEFT_OUT = {
    "C_InitToken", "C_WaitForSlotEvent", "C_GenerateKeyPair", "C_CloseAllSessions", "C_CloseSession", "C_Logout",
    "C_Login", "C_LoginUser", "C_SetPIN", "C_InitPIN",
}


def target(work: Target) -> Target:
    TARGETS[work.__name__] = work
    return work


class Fault(AssertionError):
    """Something that no caller expects."""


@target
def frames(data: bytes) -> None:
    """Any payload of any function: its arguments, or Malformed."""
    if not data:
        return
    try:
        codec.DECODE[data[0] % len(codec.DECODE)](memoryview(data)[1:])
    except codec.Malformed:
        pass


class _World:
    """A pool in memory, with a user logged in."""

    def __init__(self) -> None:
        log.report = dispatch.report = admin.report = _faulty  # type: ignore[assignment]
        credentials.Cost.__new__.__defaults__ = (64, 1, 1)
        self.home = tempfile.mkdtemp(prefix="adyton-fuzz-")
        self.pool = Pool(self.home, in_memory=True, cheap_pin=True)
        self.app = Application(self.pool, os.getpid(), os.geteuid())
        partition = self.pool.by_slot[0]
        partition.initialise(self.app, b"so-officer-pin", b"fuzzed")
        partition.init_pin(self.app, "so", b"user-pin-1")
        self.session = self.app.open_session(partition, True)
        self.app.sessions[1] = self.session  # by a handle that inputs can have
        self.call("C_Login", ck.CKU_USER.to_bytes(8, "little") + (10).to_bytes(8, "little") + b"user-pin-1")
        for kind in (ck.CKK_AES, ck.CKK_GENERIC_SECRET):
            self._key(kind)
        for handle, item in enumerate([*self.app.handles.values()], 2):
            self.app.handles[handle] = item

    def call(self, name: str, rest: bytes) -> int:
        payload = (1).to_bytes(8, "little") + rest
        return int.from_bytes(dispatch.answer(self.app, codec.NAMES.index(name), memoryview(payload))[:8], "little")

    def _key(self, kind: int) -> None:
        number = ck.CKM_AES_KEY_GEN if kind == ck.CKK_AES else ck.CKM_GENERIC_SECRET_KEY_GEN
        length = (32).to_bytes(8, "little")
        row = ck.CKA_VALUE_LEN.to_bytes(8, "little") + b"\1" + (8).to_bytes(8, "little") + length
        rv = self.call("C_GenerateKey", b"\1" + number.to_bytes(8, "little") + (1).to_bytes(8, "little") + row)
        assert rv == ck.CKR_OK, hex(rv)


def _faulty(fault: BaseException) -> None:
    raise Fault("a fault of the engine") from fault


_world: _World | None = None


def world() -> _World:
    global _world
    _world = _world or _World()
    return _world


@target
def calls(data: bytes) -> None:
    """Any payload of any function, carried out: a code of the function's list, and never a fault."""
    if not data:
        return
    number = data[0] % len(codec.NAMES)
    name = codec.NAMES[number]
    if name in _LEFT_OUT or dispatch.HANDLERS[number] is None:
        return
    here = world()
    if len(here.pool.by_slot[0].session_objects) > 500:
        for item in [*here.pool.by_slot[0].session_objects][:400]:
            here.pool.by_slot[0]._drop(item)
    try:
        told = dispatch.answer(here.app, number, memoryview(data)[1:])
    except codec.Malformed:
        return
    rv = int.from_bytes(told[:8], "little")
    if rv not in return_codes.ALLOWED[name] or rv in (ck.CKR_GENERAL_ERROR, ck.CKR_DEVICE_ERROR):
        raise Fault(f"{name} answered {rv:#x}")


@target
def acts(data: bytes) -> None:
    """Any request of the command line."""
    if any(word in data for word in (b"stop", b"delete", b'"init"', b"create", b"unattended", b"audit")):
        return
    here = world()
    answered = admin.answer(_Listener(here.pool), here.app, data)  # type: ignore[arg-type]
    json.loads(answered[8:])


class _Listener:
    """What acts on the engine look at."""

    clients, leaving, sinks, peers = 1, False, None, None

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


_KEYS = [(key_class, key_type) for key_class in table.KEY_CLASSES for key_type in table.KEY_TYPES]


def _attributes(data: bytes) -> dict[int, bytes]:
    """Class and type by the first byte; then attributes, each with its number and length."""
    key_class, key_type = _KEYS[data[0] % len(_KEYS)]
    found = {ck.CKA_CLASS: key_class.to_bytes(8, "little"), ck.CKA_KEY_TYPE: key_type.to_bytes(8, "little")}
    numbers = (ck.CKA_VALUE, ck.CKA_EC_PARAMS, ck.CKA_EC_POINT, ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT,
               ck.CKA_PRIVATE_EXPONENT, ck.CKA_PRIME_1, ck.CKA_PRIME_2, ck.CKA_VALUE_LEN, ck.CKA_PUBLIC_KEY_INFO)
    at = 1
    while at + 2 <= len(data) and len(found) < 9:
        number, length = numbers[data[at] % len(numbers)], data[at + 1]
        found[number] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return found


@target
def keys(data: bytes) -> None:
    """A key's own values, as C_CreateObject gives them. Wide numbers are another process' work (rsa_check)."""
    if not data:
        return
    given = _attributes(data)
    if given[ck.CKA_KEY_TYPE] == ck.CKK_RSA.to_bytes(8, "little"):
        given.pop(ck.CKA_PRIVATE_EXPONENT, None)
    try:
        formats.check_and_complete(given)
    except TokenError:
        pass


_WRAPPED = [*formats.FORMS, ck.CKK_AES, ck.CKK_GENERIC_SECRET, ck.CKK_DES3]


@target
def wrapped_keys(data: bytes) -> None:
    """What came out of a wrapped key: PKCS#8, RSAPrivateKey, or bytes."""
    if not data:
        return
    key_type = _WRAPPED[data[0] % len(_WRAPPED)]
    key_class = ck.CKO_PRIVATE_KEY if key_type in formats.FORMS else ck.CKO_SECRET_KEY
    template = {
        ck.CKA_CLASS: key_class.to_bytes(8, "little"), ck.CKA_KEY_TYPE: key_type.to_bytes(8, "little"),
        ck.CKA_SENSITIVE: b"\1", ck.CKA_EXTRACTABLE: b"\0",
    }
    try:
        formats.from_bytes(data[1:], template)
    except TokenError:
        pass


_READS = (sealing.Damaged, OverflowError, TypeError)  # what whoever unseals a record expects (hsm/store/sqlite.py)


@target
def sealed_records(data: bytes) -> None:
    """What lies under a seal, once it has been opened: an older engine may have written it, or nobody."""
    try:
        sealing.unpack(data)
    except _READS:
        pass
    for kind in records.FORMS:
        try:
            records.unpack(kind, "name", data)
        except _READS:
            pass


@target
def audit_blocks(data: bytes) -> None:
    """A row of the log."""
    try:
        chain.unpack(int.from_bytes(data[:4], "little"), chain.body_of(data[4:]))
    except chain.Broken:
        pass
    try:
        chain.unpack(1, data)
    except chain.Broken:
        pass


@target
def audit_exports(data: bytes) -> None:
    """A log that somebody hands over to be verified."""
    verify(data.decode("utf-8", "replace").splitlines(), None, [data[:200].decode("utf-8", "replace")])


@target
def backups(data: bytes) -> None:
    """What somebody hands over to be restored: a manifest, a chunk's rows and a key's blob, also once it has been
    opened, by who has the domain's key and is of another version."""
    ours = wrapping.Wrapping("a domain", bytes(32))
    for read in (form.read_manifest, partial(form.open_manifest, ours), partial(blob.unseal, ours)):
        try:
            read(data)
        except form.Unfit:
            pass
    try:
        for cells in form.unpack_rows(data):
            form.pack_row(cells)
    except form.Unfit:
        pass
    head = blob.seal(ours, [])[: blob.HEAD]
    opened = sealing.seal(sealing.derive(ours.key, b"key backup", head), data, head)
    try:
        blob.unseal(ours, head + opened)
    except form.Unfit:
        pass


@target
def settings(data: bytes) -> None:
    """A pool's adyton.conf."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "adyton.conf").write_bytes(data)
        try:
            config.engine_settings(folder)
        except config.Wrong:
            pass


@target
def damaged_pools(data: bytes) -> None:
    """A pool.db with pages of the input's in it, to be repaired."""
    kept = _a_pool()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("pool.db", "device.key"):
            shutil.copyfile(kept / name, Path(folder, name))
        with open(Path(folder, "pool.db"), "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            for at in range(0, len(data) - 3, 3 + 16):
                file.seek(int.from_bytes(data[at : at + 3], "little") % size)
                file.write(data[at + 3 : at + 19])
        try:
            salvage.made(salvage.read(folder), (kept / "device.key").read_bytes())
        except Unusable:
            pass


_pool: list[Path] = []


def _a_pool() -> Path:
    if not _pool:
        from engine_room import Room

        credentials.Cost.__new__.__defaults__ = (64, 1, 1)
        home = Path(tempfile.mkdtemp(prefix="adyton-fuzz-"))
        with Room(home) as room:
            room.with_user()
            for number in range(40):
                room.data(f"data {number}".encode(), value=bytes(100))
        _pool.append(home)
    return _pool[0]


def runs(name: str, data: bytes) -> Any:
    """One input; what is raised is a finding."""
    return TARGETS[name](data)
