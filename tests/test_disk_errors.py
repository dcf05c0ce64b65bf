"""A disk that fails under a running engine, and a machine without memory: precise codes, keys go on, and it recovers.

What was refused is not there after a kill, and what was acknowledged is: also where the kernel took the bytes and then
said that they never came to the disk (fsync(2)).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from disk_layer import FAIL_OPEN, FAIL_READ, FAIL_SYNC, FAIL_WRITE, Faults, built
from engine_room import CHEAP, USER, DiskPool, Room, cheap_pins

from hsm.client import MODULE
from pkcs11_shim import constants as ck

MOST = 40  # calls to the disk that one change makes, and more


class Failing:
    """A pool whose engine's disk fails on demand, and a session in it with a key that has been used."""

    def __init__(self, home: Path, faults: Faults, pool: DiskPool, m: Module) -> None:
        self.home, self.faults, self.pool, self.m = home, faults, pool, m
        self.s = m.session()
        good(m.login(self.s, USER.decode()))
        self.key = m.aes(self.s, token=True, label=b"kept")
        self.use()
        self.acknowledged = {b"kept"}
        self.refused: set[bytes] = set()

    def use(self) -> None:
        """What does not change anything goes on: use of a key, searches, session objects, digests."""
        m, s = self.m, self.s
        good(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), self.key, bytes(16))[0])
        assert self.key in m.find(s, {ck.CKA_LABEL: b"kept"})
        good(m.C_DestroyObject(s, m.make(s, {ck.CKA_CLASS: ck.CKO_DATA})))

    def make(self, label: str) -> str:
        rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label.encode(), ck.CKA_VALUE_LEN: 16}
        rv = self.m.generate(self.s, ck.CKM_AES_KEY_GEN, rows)[0]
        (self.acknowledged if rv == ck.CKR_OK else self.refused).add(label.encode())
        return name(rv)

    def after_a_kill(self) -> None:
        self.pool.kill()
        with cheap_pins(), Room(self.home) as room:
            assert room.pool.store.damage == {}
            room.login()
            found = {item.attributes[ck.CKA_LABEL] for item in room.partition.objects.values()}
        assert found == self.acknowledged and not found & self.refused


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("layer"))


@pytest.fixture
def failing(tmp_path: Path, layer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    home, control = tmp_path / "pool", tmp_path / "fault"
    faults = Faults(control)
    pool = DiskPool(home, CHEAP, f"LD_PRELOAD={layer} DISK_FOLDER={home} DISK_FAULT={control}")
    with cheap_pins(), Room(home) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(home))
    with initialised(str(MODULE)) as m:
        yield Failing(home, faults, pool, m)


@pytest.mark.parametrize(("kinds", "code", "told"), [
    (FAIL_WRITE, errno.EIO, "CKR_DEVICE_ERROR"), (FAIL_SYNC, errno.EIO, "CKR_DEVICE_ERROR"),
    (FAIL_WRITE, errno.ENOSPC, "CKR_DEVICE_MEMORY"), (FAIL_WRITE, errno.EDQUOT, "CKR_DEVICE_MEMORY"),
    (FAIL_WRITE | FAIL_SYNC, errno.EROFS, "CKR_DEVICE_ERROR"), (FAIL_SYNC, errno.ENOSPC, "CKR_DEVICE_ERROR"),
], ids=["write-EIO", "sync-EIO", "write-ENOSPC", "write-EDQUOT", "EROFS", "sync-ENOSPC"])
def test_a_change_whose_nth_call_fails(failing: Failing, kinds: int, code: int, told: str) -> None:
    """From the n-th call on nothing is written, until the disk is whole again: the next change is made."""
    seen = set()
    for after in range(MOST):
        failing.faults.fail(kinds, code, after)
        outcome = failing.make(f"failing-{after}")
        failing.use()
        met = failing.faults.heal()
        assert outcome == "CKR_OK" or (met and outcome == told), (after, outcome)
        seen.add(outcome)
        assert failing.make(f"whole-{after}") == "CKR_OK"
        if not met:
            break
    assert seen == {told, "CKR_OK"}
    failing.after_a_kill()


def test_destroying_and_changing_while_the_disk_fails(failing: Failing) -> None:
    m, s = failing.m, failing.s
    for after in range(MOST):
        assert failing.make(f"gone-{after}") == "CKR_OK"
        (handle,) = m.find(s, {ck.CKA_LABEL: f"gone-{after}".encode()})
        failing.faults.fail(FAIL_SYNC, errno.EIO, after)
        changed = name(m.change(s, failing.key, {ck.CKA_ID: str(after).encode()}))
        destroyed = name(m.C_DestroyObject(s, handle))
        met = failing.faults.heal()
        assert {changed, destroyed} <= {"CKR_OK", "CKR_DEVICE_ERROR"}
        there = m.find(s, {ck.CKA_LABEL: f"gone-{after}".encode()})
        assert there == ([] if destroyed == "CKR_OK" else [handle])
        assert (m.read(s, failing.key, ck.CKA_ID) == str(after).encode()) == (changed == "CKR_OK")
        if destroyed == "CKR_OK":
            failing.acknowledged.discard(f"gone-{after}".encode())
        if not met:
            break
    failing.after_a_kill()


def test_a_pin_that_cannot_be_counted_is_not_tried(failing: Failing) -> None:
    m, s = failing.m, failing.s
    failing.faults.fail(FAIL_SYNC | FAIL_WRITE, errno.EIO)
    pin = USER, len(USER)
    for _ in range(12):  # no try is made, so none is lost
        assert name(m.C_SetPIN(s, b"wrong-pin", 9, *pin)) == "CKR_DEVICE_ERROR"
        assert name(m.C_SetPIN(s, *pin, *pin)) == "CKR_DEVICE_ERROR"
    failing.use()
    assert failing.faults.heal() > 12
    good(m.C_SetPIN(s, *pin, *pin))
    failing.after_a_kill()


def test_a_disk_that_cannot_be_read_or_opened(failing: Failing) -> None:
    """What is in memory is served; after the fault so is everything."""
    for kinds in (FAIL_READ, FAIL_OPEN):
        failing.faults.fail(kinds, errno.EIO if kinds == FAIL_READ else errno.EMFILE)
        for attempt in range(3):
            assert failing.make(f"{kinds}-{attempt}") in ("CKR_OK", "CKR_DEVICE_ERROR", "CKR_DEVICE_MEMORY")
            failing.use()
        failing.faults.heal()
        assert failing.make(f"{kinds}-whole") == "CKR_OK"
    failing.after_a_kill()


# -- no memory

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))"


def test_an_engine_that_gets_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client fills it up with session objects: that ends in CKR_DEVICE_MEMORY, others are served, and it recovers."""
    home = tmp_path / "pool"
    pool = DiskPool(home, f"{CHEAP}\n{LIMIT.format(bytes=600 << 20)}")
    with cheap_pins(), Room(home) as room:
        room.with_user()
    with open(home / "adyton.conf", "a") as settings:
        settings.write("program-memory = 0\nuser-memory = 0\n")  # which would come first
    monkeypatch.setenv("ADYTON_HOME", str(home))
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        key = m.aes(s, token=True)
        value, made, rv = bytes(8 << 20), [], ck.CKR_OK
        rows: dict[int, Any] = {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: value}
        for _ in range(200):
            rv, handle = m.create(s, rows)
            m._kept.clear()
            if rv != ck.CKR_OK:
                break
            made.append(handle)
        assert name(rv) == "CKR_DEVICE_MEMORY" and made
        for _ in range(5):
            good(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[0])
        room_for = ffi.new("CK_BYTE[]", 64), ffi.new("CK_ULONG*", 64)
        good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
        assert name(m.C_Digest(s, value, len(value), *room_for)) in ("CKR_OK", "CKR_DEVICE_MEMORY")
        for handle in made:
            good(m.C_DestroyObject(s, handle))
        good(m.create(s, rows)[0])
        good(m.C_CloseAllSessions(0))
        assert name(m.C_Finalize(NULL)) == "CKR_OK"
        good(m.C_Initialize(NULL))
    assert len(pool.engines()) == 1, "it lived through it"
    assert "Traceback" not in pool.log()
