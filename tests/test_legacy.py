"""The legacy switch of a partition: who sets it, what it opens, how soon it closes, and that it lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, logged_in, name
from apart import PINS, adyton
from engine_room import SO, USER, Room, cheap_pins

from hsm.client import MODULE, Client, Refused
from hsm.mechanisms import registry
from hsm.store import sealing
from hsm.store.heads import PartitionHead, Switches
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

LEGACY = sorted(number for number, entry in registry.MECHANISMS.items() if entry.legacy)
DES3 = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_DES3}
VALUE = bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123")
GENERIC = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
GONE, INVALID = "CKR_OPERATION_NOT_INITIALIZED", "CKR_MECHANISM_INVALID"


class Token:
    """A throw-away token whose switch is at hand."""

    def __init__(self, token: ThrowAway, module: Module, session: int) -> None:
        self.token, self.m, self.s = token, module, session

    def switch(self, on: bool) -> None:
        with Client(self.token.home) as client:
            made = client.ask("partition-set", slot=0, legacy=on, **{"as": "so", "pin": self.token.so_pin})["partition"]
        assert made["legacy"] is on

    def listed(self) -> list[int]:
        count = ffi.new("CK_ULONG*")
        good(self.m.C_GetMechanismList(0, NULL, count))
        numbers = ffi.new("CK_MECHANISM_TYPE[]", count[0])
        good(self.m.C_GetMechanismList(0, numbers, count))
        return [int(number) for number in numbers]


@pytest.fixture
def opened(adyton_token: Any) -> Iterator[Token]:
    with logged_in(adyton_token) as (module, session):
        yield Token(adyton_token, module, session)


def test_nothing_of_it_is_there_by_default(opened: Token) -> None:
    m, s, info = opened.m, opened.s, ffi.new("CK_MECHANISM_INFO*")
    assert LEGACY and not set(LEGACY) & set(opened.listed())
    for number in LEGACY:
        assert name(m.C_GetMechanismInfo(0, number, info)) == INVALID
    aes = m.aes(s)
    assert name(m.C_DigestInit(s, m.mechanism(ck.CKM_MD5))) == INVALID
    assert name(m.C_SignInit(s, m.mechanism(ck.CKM_DES3_CMAC), aes)) == INVALID
    assert name(m.C_EncryptInit(s, m.mechanism(ck.CKM_DES3_ECB), aes)) == INVALID
    assert name(m.wrap(s, m.mechanism(ck.CKM_DES3_ECB), aes, aes)[0]) == INVALID
    assert name(m.unwrap(s, m.mechanism(ck.CKM_DES3_ECB), aes, bytes(24), DES3)[0]) == INVALID
    assert name(m.generate(s, ck.CKM_DES3_KEY_GEN, {})[0]) == INVALID
    for key_type in (ck.CKK_DES3, ck.CKK_MD5_HMAC):
        rows = {**DES3, ck.CKA_KEY_TYPE: key_type}
        assert name(m.create(s, {**rows, ck.CKA_VALUE: VALUE})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
        blob = m.unwrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), aes, bytes(40), rows)[0]
        assert name(blob) == "CKR_ATTRIBUTE_VALUE_INVALID"


def test_the_switch_opens_it_at_once(opened: Token) -> None:
    m, s, info = opened.m, opened.s, ffi.new("CK_MECHANISM_INFO*")
    before = opened.listed()
    opened.switch(True)
    assert opened.listed() == sorted([*before, *LEGACY])
    for number in LEGACY:
        good(m.C_GetMechanismInfo(0, number, info))
        assert info.flags == registry.MECHANISMS[number].info_flags
    rv, key = m.generate(s, ck.CKM_DES3_KEY_GEN, {})
    good(rv)
    good(m.use("Encrypt", s, m.mechanism(ck.CKM_DES3_ECB), key, bytes(16))[0])
    opened.switch(False)
    assert opened.listed() == before


def test_it_closes_at_once_too(opened: Token) -> None:
    """Running operations are over at their next step, and no library answers an Init by itself any more."""
    m, s = opened.m, opened.s
    opened.switch(True)
    rv, key = m.generate(s, ck.CKM_DES3_KEY_GEN, {ck.CKA_EXTRACTABLE: True})
    good(rv)
    cmac = m.mechanism(ck.CKM_DES3_CMAC)
    for _ in range(3):
        good(m.use("Sign", s, cmac, key, b"data")[0])
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_MD5)))
    good(m.C_DigestUpdate(s, b"data", 4))
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_DES3_ECB), key))
    opened.switch(False)
    assert name(m.C_SignInit(s, cmac, key)) == INVALID
    assert name(m.output(m.C_DigestFinal, s)[0]) == GONE
    assert name(m.output(m.C_Encrypt, s, bytes(8), 8)[0]) == GONE
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))  # what is over stands in nobody's way


def test_keys_that_are_there_stay(opened: Token) -> None:
    """They are found, go out wrapped and can be destroyed; they are used, copied and made no more."""
    m, s = opened.m, opened.s
    opened.switch(True)
    rv, key = m.generate(s, ck.CKM_DES3_KEY_GEN, {ck.CKA_EXTRACTABLE: True, ck.CKA_LABEL: b"old"})
    good(rv)
    opened.switch(False)
    assert m.find(s, {ck.CKA_LABEL: b"old"}) == [key]
    assert name(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), key)) == "CKR_KEY_TYPE_INCONSISTENT"
    assert name(m.copy(s, key, {})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
    good(m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), m.aes(s), key)[0])
    good(m.C_DestroyObject(s, key))


def test_parity(opened: Token) -> None:
    """Section 6.18.3: wrong parity is an error, whether created or unwrapped; what is made or derived has it right."""
    m, s = opened.m, opened.s
    opened.switch(True)
    wrong = VALUE[:-1] + bytes([VALUE[-1] ^ 1])
    shown = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
    good(m.create(s, {**DES3, **shown, ck.CKA_VALUE: VALUE})[0])
    for value in (wrong, VALUE[:16], VALUE + VALUE[:8], b""):
        assert name(m.create(s, {**DES3, ck.CKA_VALUE: value})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
    kwp, ecb, wrapping = m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), m.mechanism(ck.CKM_AES_ECB), m.aes(s)
    for value, whole, filled in ((wrong, "CKR_WRAPPED_KEY_INVALID", "CKR_WRAPPED_KEY_INVALID"),
                                 (VALUE[:16], "CKR_WRAPPED_KEY_LEN_RANGE", "CKR_WRAPPED_KEY_LEN_RANGE"),
                                 (VALUE, "CKR_OK", "CKR_OK")):
        target = m.make(s, {**GENERIC, **shown, ck.CKA_VALUE: value})
        for mechanism, wanted in ((kwp, whole), (ecb, filled)):
            rv, blob = m.wrap(s, mechanism, wrapping, target)
            good(rv)
            assert name(m.unwrap(s, mechanism, wrapping, blob, {**DES3, **shown})[0]) == wanted
    data = bytes(range(32))
    base = m.make(s, {**GENERIC, **shown, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: bytes(16)})
    parameter = m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=data, ulLen=len(data))
    rv, made = m.derive(s, m.mechanism(ck.CKM_AES_ECB_ENCRYPT_DATA, parameter), base, {**DES3, **shown})
    good(rv)
    derived = m.read(s, made, ck.CKA_VALUE)
    assert len(derived) == 24 and all(byte.bit_count() % 2 for byte in derived)
    plain = m.use("Encrypt", s, ecb, base, data)[1][:24]
    assert bytes(byte & 0xFE for byte in plain) == bytes(byte & 0xFE for byte in derived)


@pytest.mark.parametrize(("number", "wanted"), [(16, "CKR_TEMPLATE_INCONSISTENT"), (24, "CKR_OK")])
def test_a_triple_des_key_has_24_bytes(opened: Token, number: int, wanted: str) -> None:
    opened.switch(True)
    assert name(opened.m.generate(opened.s, ck.CKM_DES3_KEY_GEN, {ck.CKA_VALUE_LEN: number})[0]) == wanted


def test_only_the_so_sets_it(opened: Token) -> None:
    with Client(opened.token.home) as client:
        user = {"as": "user", "pin": opened.token.pin}
        so = ({"as": "so", "pin": "not the SO's"}, {"as": "so", "pin": opened.token.pin}, {"as": "so"})
        for fields in (*so, user, {}):
            with pytest.raises(Refused, match="PIN"):
                client.ask("partition-set", slot=0, legacy=True, **fields)
        for wrong, why in (({"legacy": "on"}, "not well formed"), ({"legacy": 1}, "not well formed"), ({}, "nothing")):
            with pytest.raises(Refused, match=why):
                client.ask("partition-set", slot=0, **{"as": "so", "pin": opened.token.so_pin}, **wrong)
    assert not set(LEGACY) & set(opened.listed())


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made with it, set and taken back, told in text and JSON; kept over an engine's end."""
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    try:
        made = json.loads(adyton("partition", "create", "--label", "old", "--legacy", "--json", **PINS))
        assert made["legacy"] is True
        adyton("stop")
        assert json.loads(adyton("partition", "show", "0", "--json"))["legacy"] is True
        assert "legacy          yes" in adyton("partition", "show", "0") and "legacy" in adyton("partition", "list")
        said = adyton("partition", "set", "0", "--legacy", "off", **PINS)
        assert said == "partition 0: DES3 and MD5 are not offered\n"
        assert "CKR_PIN_INCORRECT" in adyton("partition", "set", "0", "--legacy", "on", status=1, ADYTON_SO_PIN="wrong")
        assert "there is no partition 7" in adyton("partition", "set", "7", "--legacy", "on", status=1)
        assert "--legacy" in adyton("partition", "set", "0", status=1, **PINS)
        adyton("stop")
        assert json.loads(adyton("partition", "list", "--json"))[0]["legacy"] is False
        assert json.loads(adyton("partition", "set", "0", "--legacy", "on", "--json", **PINS))["legacy"] is True
        with initialised(str(MODULE)) as m:
            good(m.C_GetMechanismInfo(0, ck.CKM_MD5, ffi.new("CK_MECHANISM_INFO*")))
        other = json.loads(adyton("partition", "create", "--blank", "--json"))
        assert other["legacy"] is False
        adyton("partition", "set", str(other["slot"]), "--legacy", "on")  # nobody is there to ask yet
    finally:
        adyton("stop", status=None)


def test_it_is_recorded_and_outlives_the_token_s_initialisation(tmp_path: Path) -> None:
    with cheap_pins(), Room(tmp_path) as room:
        room.init_token()
        room.with_user(USER)
        act = room.partition.act(room.app, "partition-set", "so")
        room.pool.set(0, Switches(legacy=True), None, {**act, "legacy": "on"})
        *_, told = room.pool.audit.records()
        assert (told.operation, told.slot, told.officer, told.detail) == ("partition-set", 0, "so", {"legacy": "on"})
        room.app.close_all()
        room._session = None
        room.init_token(SO)
        assert room.pool.partition(0).legacy


def test_heads_of_the_first_release_read_as_off() -> None:
    """They have no such field; sealed again, they have."""
    key, head = bytes(32), PartitionHead(3, b"0123456789ABCDEF")
    head.switches = Switches(legacy=True)
    assert PartitionHead.unseal(key, 3, head.seal(key)).switches.legacy
    place = sealing.derive(key, b"partition", 3)
    fields = sealing.unpack(sealing.unseal(place, head.seal(key), b""))
    del fields[7]
    old = PartitionHead.unseal(key, 3, sealing.seal(place, sealing.pack(fields), b""))
    assert old.switches == Switches() and old.serial == head.serial
    assert PartitionHead.unseal(key, 3, old.copy().seal(key)).switches == Switches()
