"""Pools that earlier versions made (tests/pools/make.py) lose nothing when this version opens them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import ffi, good, initialised, name
from engine_room import CHEAP, ECB, NO, ROOT, SO, USER, DiskPool, Room, cheap_pins, crashes_at, refused

from hsm.access import key_use
from hsm.access.credentials import TRIES, place_of
from hsm.audit.verify import verify
from hsm.cryptoki import general
from hsm.store import folder, schema, sealing
from hsm.store.folder import Unusable
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

POOLS = ROOT / "tests/pools"
VERSIONS = ("0.1.0", "0.2.0")
NEW = b"user-pin-2"


@pytest.fixture(scope="module", autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


def copied(version: str, home: Path) -> Path:
    """As that version left it: what is kept of a file here does not keep its mode."""
    home.mkdir(mode=0o700)
    for file in folder.FILES:
        shutil.copyfile(POOLS / version / file, home / file)
        (home / file).chmod(0o600)
    return home


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(version: str, tmp_path: Path) -> Path:
    return copied(version, tmp_path / "pool")


@pytest.fixture
def truth(version: str) -> dict[str, Any]:
    return dict(json.loads((POOLS / version / "truth.json").read_text()))


def schema_of(home: Path) -> int:
    database = sqlite3.connect(home / "pool.db")
    try:
        return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()


def edit(home: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(home / "pool.db", isolation_level=None)
    try:
        assert database.execute(statement, values).rowcount == 1
    finally:
        database.close()


def move_to(room: Room, slot: int) -> None:
    room.partition, room._session = room.pool.by_slot[slot], None


def held(room: Room, slot: int) -> dict[str, Any]:
    """What this version reads of a partition, in the form of truth.json."""
    store, partition = room.pool.store, room.pool.by_slot[slot]
    officer = partition.directory.officers["so"]
    key = sealing.unwrap_under_pin(SO, officer.wrapped, place_of(store.heads[slot].serial, "so"))  # no try is counted
    found = {**dict(store.load_objects(slot, None)), **dict(store.load_objects(slot, key))}
    return {
        "serial": store.heads[slot].serial.decode(), "legacy": partition.legacy,
        "objects": {str(number): {str(n): v.hex() for n, v in told.items()} for number, told in found.items()},
        "names": {str(number): list(store.about(slot, number).named) for number, told in found.items()
                  if ck.CKA_KEY_TYPE in told},
        "values": sorted([fingerprint.hex(), bits] for fingerprint, bits in store.values(slot, key)),
    }


def assert_whole(home: Path, truth: dict[str, Any]) -> None:
    with Room(home) as room:
        assert room.pool.store.damage == {}
        failures = {(slot, officer): room.pool.by_slot[slot].officers.credentials.failures(officer)
                    for slot in (0, 1) for officer in ("so", "user")}
        assert failures == {(0, "so"): 1, (0, "user"): 3, (1, "so"): 0, (1, "user"): TRIES}
        assert {str(slot): held(room, slot) for slot in (0, 1)} == {slot: truth[slot] for slot in "01"}
    assert schema_of(home) == len(schema.UPGRADES)


# -- in rooms


def test_the_pool_is_what_that_version_says_it_is(home: Path, truth: dict[str, Any]) -> None:
    assert schema_of(home) == 1
    assert [len(truth[slot]["objects"]) for slot in "01"] == [8, 1]
    assert truth["0"]["legacy"] and any(bits for _, bits in truth["0"]["values"]) and len(truth["audit"]) > 10


def test_objects_names_values_and_counters_are_as_they_were(home: Path, truth: dict[str, Any]) -> None:
    assert_whole(home, truth)
    assert_whole(home, truth)  # and as this version reads what it has written


def test_keys_keep_the_names_they_have_for_life(home: Path, truth: dict[str, Any]) -> None:
    with Room(home) as room:
        room.login()
        named = {str(number): list(item.key_name()) for number, item in room.partition.objects.items()
                 if item.key_name() != ("", "")}
        assert named == truth["0"]["names"]


def test_pins_go_on_where_they_were(home: Path) -> None:
    with Room(home) as room:
        assert room.partition.token_flags(-1) & (ck.CKF_USER_PIN_COUNT_LOW | ck.CKF_SO_PIN_COUNT_LOW)
        for _ in range(TRIES - 3):
            with refused(ck.CKR_PIN_INCORRECT):
                room.login(b"wrong-pin")
        with refused(ck.CKR_PIN_LOCKED):
            room.login()
        room.login(SO, ck.CKU_SO)
        general.C_InitPIN(room.app, room.handle, NEW)
        room.logout()
        room.login(NEW)
        assert b"secret key" in room.labels()


def test_a_locked_pin_stays_locked_until_the_so_sets_another(home: Path) -> None:
    with Room(home) as room:
        move_to(room, 1)
        assert room.partition.token_flags(-1) & ck.CKF_USER_PIN_LOCKED
        with refused(ck.CKR_PIN_LOCKED):
            room.login()
        room.login(SO, ck.CKU_SO)
        general.C_InitPIN(room.app, room.handle, NEW)
        room.logout()
        room.login(NEW)
        assert room.labels() == [b"locked away"]
        move_to(room, 0)
        assert room.partition.officers.credentials.failures("user") == 3


def test_a_counters_file_from_before_the_last_guesses_is_not_believed(home: Path) -> None:
    with Room(home) as room:
        with refused(ck.CKR_PIN_INCORRECT):
            room.login(b"wrong-pin")
        room.data(b"public", private=NO)
    shutil.copyfile(POOLS / "0.2.0/counters", home / "counters")
    with Room(home) as room, refused(ck.CKR_PIN_LOCKED):
        room.login()


def test_a_use_lost_by_a_first_wrap_stays_lost(home: Path) -> None:
    with Room(home) as room:
        room.login()
        item = room.session.object(room.find(b"wrapping key")[0])
        assert item.flag(ck.CKA_WRAP) and not item.flag(ck.CKA_DECRYPT)
        with refused(ck.CKR_KEY_FUNCTION_NOT_PERMITTED):
            key_use.check(room.session, item, "decrypt", ECB)


def test_officers_may_what_those_of_a_new_token_may(home: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with Room(tmp_path / "new") as new, Room(home) as room:
        new.with_user()
        for slot in (0, 1):
            directory = room.pool.by_slot[slot].directory
            assert directory.officers.keys() == {"so", "user"}
            assert len({officer.object_id for officer in directory.officers.values()} - {""}) == 2
            for officer in ("so", "user"):
                assert directory.held(officer).everywhere == new.partition.directory.held(officer).everywhere
                assert not directory.held(officer).by_name


def test_a_partition_without_a_token_is_made_one(home: Path) -> None:
    with Room(home) as room:
        move_to(room, 2)
        assert not room.partition.initialised
        general.C_InitToken(room.app, 2, SO, b"third".ljust(32))
        room.login(SO, ck.CKU_SO)
        general.C_InitPIN(room.app, room.handle, NEW)
        counters = [officer.counter for partition in room.pool.by_slot.values()
                    for officer in partition.directory.officers.values()]
        assert len(counters) == len(set(counters)) == 6
    with Room(home) as room:
        assert room.pool.store.damage == {}
        move_to(room, 2)
        room.login(NEW)
        assert room.pool.by_slot[0].officers.credentials.failures("user") == 3


def test_a_new_officer_gets_a_counter_that_nobody_has(home: Path) -> None:
    with Room(home) as room:
        room.login(SO, ck.CKU_SO)
        officers = room.partition.officers
        officers.create("alice", NEW, officers.credentials.check("so", SO), True, {"act": "officer-create"}, roles=())
        counters = [officer.counter for slot in room.pool.by_slot
                    for officer in room.pool.by_slot[slot].directory.officers.values()]
        assert len(counters) == len(set(counters)) == 5
        assert room.pool.by_slot[0].officers.credentials.failures("user") == 3


def test_the_audit_chain_goes_on_from_what_was_there(home: Path, truth: dict[str, Any]) -> None:
    lines: list[bytes] = []
    with Room(home) as room:
        room.login()
        room.aes(b"made since")
        room.pool.audit.flush()
        room.pool.audit.export(lines.append)
        key = room.pool.audit.public_key()
    verdict = verify([line.decode() for line in lines], key)
    before = len(truth["audit"])
    assert verdict.findings == [] and verdict.first == 1 and verdict.last > before and verdict.signed == verdict.last
    blocks = [read for read in map(json.loads, lines) if "last" in read]
    assert [[b["last"], b["body"].encode().hex(), b["hash"]] for b in blocks[:before]] == truth["audit"]


def test_a_read_only_pool_of_before_is_refused_with_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    monkeypatch.setattr(folder, "is_read_only", lambda home: True)
    with pytest.raises(Unusable, match="read-only, and holds no pool of this version"):
        Room(home)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


# -- crashes and damage


def test_a_crash_at_any_step_leaves_the_old_pool_or_the_new(
    tmp_path: Path, version: str, truth: dict[str, Any]
) -> None:
    kept, ended, step = set(), False, 0
    while not ended:
        step += 1
        home = copied(version, tmp_path / f"pool-{step}")

        def work(acknowledge: Any, home: Path = home) -> None:
            Room(home).close()
            acknowledge()

        acknowledged, ended = crashes_at(step, work)
        kept.add(schema_of(home))
        assert not acknowledged or schema_of(home) == len(schema.UPGRADES)
        assert_whole(home, truth)
        shutil.rmtree(home)
    assert kept == {1, len(schema.UPGRADES)} and step > 20


DAMAGED = {
    "other bytes": "UPDATE officers SET wrapped = randomblob(99) WHERE slot = 0 AND officer = 'user'",
    "empty": "UPDATE officers SET wrapped = x'' WHERE slot = 0 AND officer = 'user'",
    "a text": "UPDATE officers SET wrapped = 'no bytes' WHERE slot = 0 AND officer = 'user'",
    "a number": "UPDATE officers SET wrapped = 7 WHERE slot = 0 AND officer = 'user'",
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_officer_costs_that_officer_only(home: Path, truth: dict[str, Any], how: str) -> None:
    edit(home, DAMAGED[how])
    for _ in range(2):
        with Room(home) as room:
            assert room.pool.store.damage[0] and 1 not in room.pool.store.damage
            assert {str(slot): held(room, slot) for slot in (0, 1)} == {slot: truth[slot] for slot in "01"}
            with refused(ck.CKR_DEVICE_ERROR):
                room.login()
            assert room.pool.by_slot[1].officers.credentials.failures("user") == TRIES
    with Room(home) as room:
        room.login(SO, ck.CKU_SO)
        general.C_InitPIN(room.app, room.handle, NEW)
        room.logout()
        room.login(NEW)
        assert b"secret key" in room.labels()
    with Room(home) as room:
        room.login(NEW)
        assert room.session.object(room.find(b"secret key")[0])


ODD = {
    "an officer's name of bytes": "UPDATE officers SET officer = x'ff00' WHERE slot = 0 AND officer = 'user'",
    "another officer's name": "UPDATE officers SET officer = 'usar' WHERE slot = 0 AND officer = 'user'",
    "a role of bytes": "UPDATE role_assignments SET role_definition = x'ff' "
                       "WHERE slot = 0 AND role_definition LIKE '21dbd100%'",
    "a scope of bytes": "UPDATE role_assignments SET scope = x'ff' WHERE slot = 0 AND role_definition LIKE '21dbd100%'",
    "an assignment made up": "INSERT INTO role_assignments "
                             "VALUES (0, 'user', 'a290e904-7015-4bba-90c8-60543313cdb4', '/')",
    "an assignee of bytes": "UPDATE role_assignments SET officer = x'ff' "
                            "WHERE slot = 0 AND role_definition LIKE '21dbd100%'",
}


@pytest.mark.parametrize("how", ODD)
def test_damage_to_names_and_roles_gives_nobody_more_and_costs_no_key(
    home: Path, truth: dict[str, Any], how: str
) -> None:
    with Room(copied("0.2.0", home.parent / "sound")) as sound:
        may = {name: sound.partition.directory.held(name).everywhere for name in ("so", "user")}
    edit(home, ODD[how])
    with Room(home) as room:
        assert room.pool.store.damage[0] and 1 not in room.pool.store.damage
        assert {str(slot): held(room, slot) for slot in (0, 1)} == {slot: truth[slot] for slot in "01"}
        for officer in room.partition.directory.officers:
            assert room.partition.directory.held(officer).everywhere <= may.get(officer, frozenset())


# -- a real engine, through the library


def test_a_client_of_before_finds_all_of_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DiskPool(home, CHEAP)
    monkeypatch.setenv("ADYTON_HOME", str(home))
    with initialised(ThrowAway().module) as m:
        assert m.token(0).flags & ck.CKF_USER_PIN_COUNT_LOW and m.token(1).flags & ck.CKF_USER_PIN_LOCKED
        assert name(m.login(m.session(1), USER.decode())) == "CKR_PIN_LOCKED"
        s = m.session()
        assert name(m.login(s, "wrong-pin")) == "CKR_PIN_INCORRECT"
        good(m.login(s, USER.decode()))
        labels = (b"secret key", b"pair", b"private data", b"public data", b"certificate", b"wrapping key",
                  b"leaving key", b"destroyed")
        assert [len(m.find(s, {ck.CKA_LABEL: label})) for label in labels] == [1, 2, 1, 1, 1, 1, 1, 0]
        key = m.find(s, {ck.CKA_LABEL: b"pair", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})[0]
        public = m.find(s, {ck.CKA_LABEL: b"pair", ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})[0]
        digest, signature, size = bytes(range(32)), ffi.new("CK_BYTE[64]"), ffi.new("CK_ULONG*", 64)
        good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA), key))
        good(m.C_Sign(s, digest, 32, signature, size))
        good(m.C_VerifyInit(s, m.mechanism(ck.CKM_ECDSA), public))
        good(m.C_Verify(s, digest, 32, signature, size[0]))
        wrapping = m.find(s, {ck.CKA_LABEL: b"wrapping key"})[0]
        assert name(m.C_DecryptInit(s, m.mechanism(ck.CKM_AES_ECB), wrapping)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        assert not m.token(0).flags & ck.CKF_USER_PIN_COUNT_LOW
    pool.stop()
    assert "damaged" not in pool.log() and schema_of(home) == len(schema.UPGRADES)
