"""The command line's door, spoken to by somebody who is not our command line."""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from abi import good, initialised
from engine_room import CHEAP, DiskPool

from hsm.client import Client, Refused, connect
from hsm.management.acts import FIELDS
from hsm.store.sqlite import Store
from pkcs11_shim import constants as ck

ROOT = Path(__file__).resolve().parent.parent
ADMIN = 0xFFFD
NOT_WELL_FORMED = [
    b"", b"null", b"[]", b"{}", b"\xff", b'{"act": []}', b'{"act": {}}', b'{"act": null}',
    b'{"act": "partition-delete"}', b'{"act": "partition-delete", "slot": 1e400, "as": "so", "pin": ""}',
    b'{"act": "partition-delete", "slot": true, "as": "so", "pin": ""}', b'{"act": "partition-delete", "slot": "0"}',
    b'{"act": "partition-delete", "slot": 0, "as": "so", "pin": null}', b"[" * 200_000,
]


@pytest.mark.parametrize("payload", NOT_WELL_FORMED, ids=lambda payload: payload[:50].decode("latin-1"))
def test_a_request_that_is_not_well_formed_is_refused_and_harms_nothing(adyton_token: Any, payload: bytes) -> None:
    with Client(os.environ["ADYTON_HOME"]) as client:
        assert client._exchange(ADMIN, payload)[0] == ck.CKR_ARGUMENTS_BAD
        assert client.ask("status")["partitions"][0]["label"] == adyton_token.label


def test_pins_guessed_here_are_counted_as_everywhere(adyton_token: Any) -> None:
    for wanted in [ck.CKR_PIN_INCORRECT] * 10 + [ck.CKR_PIN_LOCKED]:
        with Client(os.environ["ADYTON_HOME"]) as client, pytest.raises(Refused) as refused:
            client.ask("partition-delete", slot=0, **{"as": "so", "pin": "not the SO PIN"})
        assert refused.value.rv == wanted
    with initialised(adyton_token.module) as m:
        assert m.login(m.session(), adyton_token.so_pin, ck.CKU_SO) == ck.CKR_PIN_LOCKED
        good(m.login(m.session(), adyton_token.pin))


def test_frames_that_are_none_end_their_own_connection(adyton_token: Any) -> None:
    for length, function in ((3, ADMIN), (1 << 31, ADMIN), (4, 7)):
        with Client(os.environ["ADYTON_HOME"]) as client:
            client._socket.sendall(struct.pack("<IHH", length, function, 0))
            assert client._socket.recv(1) == b""
    with Client(os.environ["ADYTON_HOME"]) as client:
        assert client.ask("status")["partitions"]


def _sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskPool:
    """A pool with one token, whose engine has just started: the partition is sealed."""
    pool = DiskPool(tmp_path / "pool", CHEAP)
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    with connect(start=True) as client:
        client.ask("partition-create", kind="token", label="one", so_pin="the-so-pin", pin="the-user-pin")
    pool.stop()
    return pool


def _is_open(client: Client) -> bool:
    return bool(client.ask("status")["partitions"][0]["open"])


@pytest.mark.parametrize(("act", "rv"), [("officer-show", ck.CKR_ARGUMENTS_BAD), ("audit-key", ck.CKR_OK)])
def test_whoever_opens_a_partition_by_a_pin_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, rv: int
) -> None:
    """Also by a request that ends as one that is not well formed, and by an act that is in no record itself."""
    pool = _sealed(tmp_path, monkeypatch)
    with connect(start=True) as client:
        asked = json.dumps({"act": act, "slot": 0, "as": "so", "pin": "the-so-pin"}).encode()
        assert client._exchange(ADMIN, asked)[0] == rv
        assert _is_open(client)
    pool.stop()
    store = Store(str(pool.home))
    told = [(record.operation, record.rv, record.officer) for record in store.audit.records()]
    store.close()
    assert told.count((act, rv, "so")) == 1


def test_what_anybody_may_ask_looks_at_no_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = _sealed(tmp_path, monkeypatch)
    with connect(start=True) as client:
        for act in ("partition-list", "whoami"):
            client.ask(act, slot=0, **{"as": "so", "pin": "the-so-pin"})
        assert not _is_open(client)
    pool.stop()


def test_who_is_nobody_fills_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long requests would push out by their refusals what others have done before."""
    pool = _sealed(tmp_path, monkeypatch)
    with connect(start=True) as client:
        before = client.ask("status")["audit"]["size"]
        for size in (200_000, 2_000_000):
            with pytest.raises(Refused):
                client.ask("role-assignment-create", slot=0, scope=os.urandom(size).hex())
        client.ask("audit-records")  # has written what was queued
        assert client.ask("status")["audit"]["size"] - before < 5000
    pool.stop()


def test_a_word_that_no_act_knows_is_refused(adyton_token: Any) -> None:
    """A slip, or what a newer command line means: passed over, something else would be done than was asked."""
    with Client(adyton_token.home) as client:
        for fields in ({"profle": "compatible"}, {"profile": "compatible", "retention": 90}):
            with pytest.raises(Refused, match=r"does not know '(profle|retention)'.* an older version"):
                client.ask("partition-set", slot=0, **{"as": "so", "pin": adyton_token.so_pin}, **fields)
        assert client.ask("partition-list")["partitions"][0]["profile"] == "strict"


def test_each_field_that_acts_read_is_one_of_the_table() -> None:
    rooms = [*(ROOT / "hsm/management").glob("*.py"), ROOT / "hsm/server/admin.py"]
    form = re.compile(r'(?:(?:given(?:_or)?|_microseconds)\(request, |request\.get\()"(\w+)"')
    read = {name for room in rooms for name in form.findall(room.read_text())}
    assert read <= FIELDS, read - FIELDS
