"""What a token key's record says of it while the partition is sealed: name, version, type, size, times and uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_room import NO, P256, YES, Room, cheap_pins, ulong

from hsm import clock
from hsm.cryptoki import objects
from hsm.objects import about
from hsm.store import sealing
from pkcs11_shim import constants as ck


@pytest.fixture(autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


def records(home: Path) -> list[dict[int, bytes]]:
    """Read as a later release will, with the device key alone: nobody logs in."""
    with Room(home) as room:
        store, serial = room.pool.store, room.partition.serial.encode()
        found = store._database.execute("SELECT object_id, about FROM objects ORDER BY object_id").fetchall()
        keys = [sealing.derive(store.device_key, b"about", serial, number) for number, _ in found]
        return [sealing.unpack(sealing.unseal(k, row[1], b"")) for k, row in zip(keys, found, strict=True) if row[1]]


def test_what_a_sealed_partition_says_of_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: 1_800_000_000.5)
    with Room(tmp_path) as room:
        room.with_user()
        room.aes(b"payments")
        room.pair(b"not an Azure name")
        room.data(b"no key")
    secret, one, two = records(tmp_path)
    assert secret[about.NAME] == b"payments" and secret[about.BITS] == ulong(256)
    assert secret[ck.CKA_CLASS] == ulong(ck.CKO_SECRET_KEY) and secret[ck.CKA_KEY_TYPE] == ulong(ck.CKK_AES)
    assert secret[about.CREATED] == ulong(1_800_000_000_500_000) and secret[about.ENABLED] == YES
    assert ck.CKA_VALUE not in secret and ck.CKA_LABEL not in secret
    assert one[about.NAME].startswith(b"p11-") and len(one[about.NAME]) == 36
    assert one[about.NAME] == two[about.NAME] and one[about.VERSION] == two[about.VERSION] != secret[about.VERSION]
    assert one[ck.CKA_EC_PARAMS] == two[ck.CKA_EC_PARAMS] == P256


def test_a_change_moves_neither_name_nor_version(tmp_path: Path) -> None:
    with Room(tmp_path) as room:
        room.with_user()
        room.aes(b"first")
    (before,) = records(tmp_path)
    with Room(tmp_path) as room:
        room.login()
        changes = [(ck.CKA_LABEL, b"second"), (ck.CKA_SIGN, NO)]
        objects.C_SetAttributeValue(room.app, room.handle, room.find(b"first")[0], changes)
    assert records(tmp_path) == [{**before, ck.CKA_SIGN: NO}] and before[ck.CKA_SIGN] == YES
