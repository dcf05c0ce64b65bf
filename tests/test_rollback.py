"""A rollback guard: a pool that was put back as a whole is found out, and refused or said; its owner may take it."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from abi import NULL, ffi, good, initialised, name
from apart import adyton
from engine_room import CHEAP, USER, DiskPool, Room, cheap_pins

from hsm.client import MODULE
from hsm.confinement.arena import ARENA
from hsm.errors import TokenError
from hsm.store.guard import BLOCK, Place, Witness
from hsm.store.sqlite import Store
from hsm.store.transaction import Transaction
from pkcs11_shim import constants as ck


class Guarded:
    def __init__(self, folder: Path, mode: str) -> None:
        self.home, self.witness, self.kept = folder / "pool", folder / "elsewhere", folder / "kept"
        self.witness.mkdir(mode=0o700)
        self.pool = DiskPool(self.home, CHEAP)
        with cheap_pins(), Room(self.home) as room:
            room.with_user()
        with open(self.home / "adyton.conf", "a") as settings:
            settings.write(f"rollback-guard = {self.witness}\nrollback = {mode}\n")

    def change(self, times: int = 1, *, kill: bool = False) -> None:
        with initialised(str(MODULE)) as m:
            s = m.session()
            good(m.login(s, USER.decode()))
            for _ in range(times):
                m.aes(s, token=True)
            if kill:
                self.pool.kill()
        if not kill:
            self.pool.stop()

    def keep(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.home, self.kept, ignore=shutil.ignore_patterns("socket", "*.log"))

    def put_back(self) -> None:
        for kept in self.kept.iterdir():
            shutil.copy2(kept, self.home / kept.name)
        for log in ("pool.db-wal", "pool.db-journal"):
            if not (self.kept / log).exists():
                (self.home / log).unlink(missing_ok=True)


@pytest.fixture(params=["strict", "warn"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    made = Guarded(tmp_path, request.param)
    monkeypatch.setenv("ADYTON_HOME", str(made.home))
    yield made
    made.pool.stop()


def strict(guarded: Guarded) -> bool:
    return "rollback = strict" in (guarded.home / "adyton.conf").read_text()


def found_out(guarded: Guarded, words: str) -> None:
    """Strict: no slot, a reason, and a way out. Warn: it goes on, and says so wherever people look."""
    assert words in adyton("check", status=1)
    told = adyton("status", status=None)
    if strict(guarded):
        assert "engine   not running" in told or words in told
        with initialised(str(MODULE)) as m:
            slots = ffi.new("CK_ULONG*")
            assert m.C_GetSlotList(1, NULL, slots) != ck.CKR_OK or slots[0] == 0
        assert words in (guarded.home / "engine.log").read_text()
        assert "accept-rollback" in adyton("status", status=None)
        assert "is taken as it is" in adyton("accept-rollback")
        guarded.change()
    else:
        guarded.change()
        assert words in (guarded.home / "engine.log").read_text()
    operation = "rollback-accept" if strict(guarded) else "rollback-noticed"
    assert words in adyton("audit", "query", "--operation", operation, "--json")
    adyton("stop")
    assert json.loads(adyton("check", "--json"))["findings"] == []


def test_a_pool_that_was_put_back_after_its_engine_had_ended(guarded: Guarded) -> None:
    guarded.change()
    guarded.keep()
    guarded.change()
    guarded.put_back()
    found_out(guarded, "put back from an earlier day")


def test_a_pool_that_was_put_back_after_its_engine_was_killed(guarded: Guarded) -> None:
    """It had come a block further: the witness is written in blocks."""
    guarded.change()
    guarded.keep()
    guarded.change(2 * BLOCK, kill=True)
    guarded.put_back()
    found_out(guarded, "put back from an earlier day")


@pytest.mark.parametrize("how", ["gone", "flipped", "another's"])
def test_a_witness_that_is_none(guarded: Guarded, how: str) -> None:
    guarded.change()
    (file,) = guarded.witness.glob("*.guard")
    if how == "gone":
        file.unlink()
    elif how == "flipped":
        file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    else:
        raw = file.read_bytes()
        file.write_bytes(raw[:8] + bytes(8) + raw[16:])
    found_out(guarded, "rollback guard")


def test_what_is_as_it_was_left_is_served(guarded: Guarded) -> None:
    """Whatever ends the engine, and however often: nothing is found where nothing was put back."""
    for number in range(6):
        guarded.change(1 + number * 5, kill=number % 2 == 0)
        assert json.loads(adyton("check", "--json"))["findings"] == []
    told = json.loads(adyton("check", "--json"))["looked_at"]
    assert told["objects"] == sum(1 + number * 5 for number in range(6))
    assert "put back" not in (guarded.home / "engine.log").read_text()


def test_a_folder_that_cannot_be_written(guarded: Guarded) -> None:
    """A change that the witness can't follow is not made; use goes on."""
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        key = m.aes(s, token=True)
        good(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[0])
        (file,) = guarded.witness.glob("*.guard")
        (guarded.witness / f"{file.name}.new").mkdir()
        told = {name(m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_TOKEN: True, ck.CKA_VALUE_LEN: 16})[0])
                for _ in range(2 * BLOCK)}
        assert told == {"CKR_OK", "CKR_DEVICE_ERROR"}
        good(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[0])
        (guarded.witness / f"{file.name}.new").rmdir()
        m.aes(s, token=True)


@pytest.mark.parametrize(("why", "rv"), [("ENOSPC", ck.CKR_DEVICE_MEMORY), ("EIO", ck.CKR_DEVICE_ERROR)])
def test_a_folder_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, rv: int) -> None:
    """A full disk has the same code there as the pool's own."""

    def fails(_: int) -> None:
        raise OSError(getattr(errno, why), why)

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(TokenError) as refused:
        Witness(Place(str(tmp_path), strict=False), ARENA.random()).settle(1)
    assert refused.value.rv == rv


def test_a_pool_of_before_it_had_a_guard(guarded: Guarded) -> None:
    """Whose head knows of none: that one is there tells enough."""
    guarded.keep()
    guarded.change()
    guarded.put_back()
    found_out(guarded, "put back from an earlier day")


def test_what_is_found_out_is_recorded_before_the_witness_takes_it(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends an engine between the two finds the next one no wiser."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    guarded.change()
    guarded.keep()
    guarded.change()
    guarded.put_back()
    place = Place(str(guarded.witness), strict=False)
    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "write_heads", killed)
        with pytest.raises(KeyboardInterrupt):
            Store(str(guarded.home), guard=place)
    found_out(guarded, "put back from an earlier day")


def test_nothing_is_accepted_where_nothing_was_put_back(guarded: Guarded) -> None:
    guarded.change()
    assert "nothing to accept" in adyton("accept-rollback", status=1)
    assert "holds no pool" in adyton("accept-rollback", str(guarded.witness), status=1)
    assert json.loads(adyton("audit", "query", "--operation", "rollback-accept", "--json")) == []
    adyton("stop")
    (file,) = guarded.witness.glob("*.guard")
    file.unlink()
    (guarded.witness / f"{file.name}.new").mkdir()
    assert "can't be written" in adyton("accept-rollback", status=1)
    shutil.rmtree(guarded.witness)
    for command in ("accept-rollback", "repair"):
        assert "Mend that line" in adyton(command, status=1)


def test_a_rollback_is_not_repaired(guarded: Guarded) -> None:
    """It is taken, or not; pool.db is whole."""
    guarded.change()
    guarded.keep()
    guarded.change()
    guarded.put_back()
    told = adyton("repair", "--yes")
    assert "leaves as it is" in told and "nothing was done" in told and not list(guarded.home.glob("damaged-*"))
    found_out(guarded, "put back from an earlier day")
