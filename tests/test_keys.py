"""Keys by name: versions, times, deletion and rotation, through the command line's door and PKCS#11 at once.

A real engine with a clock that the tests move; Azure's words and rules as its documentation has them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import Module, ffi, good, initialised, name
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from engine_room import Room, cheap_pins

from hsm.client import Client, Refused
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

DAY = 86400


class Hsm:
    """A token with a test clock, a partition of the kind asked for, and PKCS#11 beside the door."""

    def __init__(self, token: ThrowAway, kind: str, **form: Any) -> None:
        self.token = token
        self.slot = 0
        if kind != "throw-away":
            fields = {"label": "life", "so_pin": token.so_pin, "pin": token.pin, "kind": kind, **form}
            self.slot = self.pool("partition-create", **fields)["partition"]["slot"]

    def pool(self, act: str, **fields: Any) -> dict[str, Any]:
        with Client(self.token.home) as client:
            return client.ask(act, **fields)

    def ask(self, act: str, _as: str = "user", **fields: Any) -> dict[str, Any]:
        pin = self.token.so_pin if _as == "so" else self.token.pin
        return self.pool(act, slot=self.slot, **{"as": _as, "pin": pin}, **fields)

    def key(self, act: str, key_name: str, **fields: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(f"key-{act}", name=key_name, **fields)["key"]
        return found

    def refused(self, act: str, **fields: Any) -> str:
        with pytest.raises(Refused) as refusal:
            self.ask(act, **fields)
        return f"{name(refusal.value.rv)}: {refusal.value}"

    def now(self) -> int:
        from datetime import datetime

        return int(datetime.fromisoformat(self.pool("clock-show")["now"]).timestamp())

    def session(self, m: Module, user: int = ck.CKU_USER) -> int:
        session = m.session(self.slot)
        pin = (self.token.pin if user == ck.CKU_USER else self.token.so_pin).encode()
        good(m.C_Login(session, user, pin, len(pin)))
        return session


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hsm]]:
    with ThrowAway(test_clock=True) as token:
        for variable, value in token.environment.items():
            monkeypatch.setenv(variable, value)
        yield lambda kind="throw-away", **form: Hsm(token, kind, **form)


@pytest.fixture
def m(made: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    with initialised(os.environ["ADYTON_MODULE"]) as module:
        yield module


PRIVATE = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY}


def slots(m: Module) -> int:
    count = ffi.new("CK_ULONG*")
    good(m.C_GetSlotList(1, ffi.NULL, count))
    return int(count[0])


def version(told: dict[str, Any]) -> str:
    return str(told["key"]["kid"].rpartition("/")[2])


def sign(m: Module, s: int, key: int) -> tuple[str, bytes]:
    """ECDSA of a digest; the code that it was refused with by name."""
    rv = m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA), key)
    if rv:
        return name(rv), b""
    signature, length = ffi.new("CK_BYTE[]", 200), ffi.new("CK_ULONG*", 200)
    rv = m.C_Sign(s, b"d" * 32, 32, signature, length)
    return name(rv), bytes(ffi.buffer(signature, length[0])) if not rv else b""


# -- versions


def test_a_key_made_under_a_used_name_is_a_new_version(made: Any, m: Module) -> None:
    hsm = made()
    first = hsm.key("create", "pay", kty="EC", crv="P-256", tags={"team": "pay"})
    second = hsm.key("create", "pay", kty="EC", crv="P-384")
    assert len(version(first)) == 32 and version(first) != version(second)
    assert first["key"]["kty"] == "EC-HSM" and first["key"]["crv"] == "P-256" and second["key"]["crv"] == "P-384"
    listed = hsm.ask("key-list-versions", name="pay")["keys"]
    assert [row["version"] for row in listed] == [version(second), version(first)]
    assert [row["version"] for row in hsm.ask("key-list")["keys"]] == [version(second)]
    assert hsm.key("show", "PAY") == second  # names are the same in any case
    assert hsm.key("show", "pay", version=version(first)) == first and first["tags"] == {"team": "pay"}

    s = hsm.session(m)
    found = m.find(s, {**PRIVATE, ck.CKA_LABEL: b"pay"})
    newest, oldest = [sign(m, s, key) for key in found]
    assert len(newest[1]) == 96 and len(oldest[1]) == 64  # the newest first, and the old one fully usable


def test_what_pkcs11_makes_under_a_label_is_a_version_too(made: Any, m: Module) -> None:
    hsm = made()
    first = hsm.key("create", "wrap", kty="oct", key_size=128)
    s = hsm.session(m)
    made_here = m.aes(s, label=b"wrap", token=True)
    rows = hsm.ask("key-list-versions", name="wrap")["keys"]
    assert [row["version"] for row in rows][1] == version(first) and len(rows) == 2
    assert m.find(s, {ck.CKA_LABEL: b"wrap"})[0] == made_here
    unnamed = m.aes(s, label=b"no name: it has a space", token=True)
    assert unnamed and any(row["name"].startswith("p11-") for row in hsm.ask("key-list")["keys"])


def test_the_halves_of_a_pair_are_one_version_also_when_they_come_one_by_one(made: Any, m: Module) -> None:
    hsm = made()
    s = hsm.session(m)
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    p256 = bytes.fromhex("06082a8648ce3d030107")
    common = {ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"pair", ck.CKA_EC_PARAMS: p256}
    m.make(s, {**common, ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_EC_POINT: b"\x04\x41" + point})
    m.make(s, {**common, **PRIVATE, ck.CKA_VALUE: key.private_numbers().private_value.to_bytes(32, "big")})
    (row,) = hsm.ask("key-list-versions", name="pair")["keys"]
    assert row["kty"] == "EC-HSM"
    m.make(s, {**common, **PRIVATE, ck.CKA_VALUE: key.private_numbers().private_value.to_bytes(32, "big")})
    assert len(hsm.ask("key-list-versions", name="pair")["keys"]) == 2


def test_azure_s_limits_where_they_are_asked_for(made: Any, m: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    hsm = made()
    hsm.ask("partition-set", _as="so", limits="azure")
    s = hsm.session(m)
    for _ in range(100):
        m.aes(s, label=b"many", token=True)
    template = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"many"}
    out = ffi.new("CK_OBJECT_HANDLE*")
    assert name(m.C_GenerateKey(s, m.mechanism(ck.CKM_AES_KEY_GEN), *m.template(template), out)) == "CKR_DEVICE_MEMORY"
    assert "100 versions" in hsm.refused("key-create", name="many", kty="oct")
    hsm.key("create", "others", kty="oct")
    hsm.ask("partition-set", _as="so", limits="none")
    assert len(hsm.ask("key-list-versions", name="many")["keys"]) == 100
    m.aes(s, label=b"many", token=True)


# -- times


def test_a_disabled_key_does_nothing_and_comes_back(made: Any, m: Module) -> None:
    hsm = made()
    hsm.key("create", "pay", kty="EC")
    s = hsm.session(m)
    (key,) = m.find(s, PRIVATE)
    copy = ffi.new("CK_OBJECT_HANDLE*")
    good(m.C_CopyObject(s, key, *m.template({ck.CKA_TOKEN: False}), copy))
    assert sign(m, s, key)[0] == sign(m, s, copy[0])[0] == "CKR_OK"
    good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA), key))
    told = hsm.key("set-attributes", "pay", enabled=False)
    assert told["attributes"]["enabled"] is False
    out, length = ffi.new("CK_BYTE[]", 64), ffi.new("CK_ULONG*", 64)
    assert name(m.C_Sign(s, b"d" * 32, 32, out, length)) == "CKR_OPERATION_NOT_INITIALIZED"  # what ran is over
    assert sign(m, s, key)[0] == sign(m, s, copy[0])[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    assert name(m.C_CopyObject(s, key, *m.template({}), copy)) == "CKR_ACTION_PROHIBITED"
    (public,) = m.find(s, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})
    assert name(m.C_VerifyInit(s, m.mechanism(ck.CKM_ECDSA), public)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    hsm.key("set-attributes", "pay", enabled=True)
    assert sign(m, s, key)[0] == "CKR_OK"


def test_outside_its_time_a_key_only_decrypts_unwraps_and_verifies(made: Any, m: Module) -> None:
    hsm = made()
    now = hsm.now()
    hsm.key("create", "wrap", kty="oct", nbf=now + 10 * DAY, exp=now + 20 * DAY)
    s = hsm.session(m)
    (key,) = m.find(s, {ck.CKA_LABEL: b"wrap"})
    uses = {
        "encrypt": m.C_EncryptInit, "decrypt": m.C_DecryptInit, "sign": m.C_SignInit, "verify": m.C_VerifyInit,
    }

    def permitted() -> set[str]:
        found = set()
        for use, begin in uses.items():
            number = ck.CKM_AES_ECB if use in ("encrypt", "decrypt") else ck.CKM_AES_CMAC
            rv = begin(s, m.mechanism(number), key)
            assert name(rv) in ("CKR_OK", "CKR_KEY_FUNCTION_NOT_PERMITTED")
            if not rv:
                found.add(use)
                begin(s, ffi.NULL, 0)
        return found

    assert permitted() == {"decrypt", "verify"}
    hsm.pool("clock-advance", seconds=10 * DAY + 60)
    assert permitted() == set(uses)
    dates = m.read(s, key, ck.CKA_START_DATE), m.read(s, key, ck.CKA_END_DATE)
    assert all(len(date) == 8 and date.isdigit() for date in dates) and dates[0] < dates[1]
    hsm.pool("clock-advance", seconds=10 * DAY)
    assert permitted() == {"decrypt", "verify"}
    hsm.key("set-attributes", "wrap", exp=0, nbf=0)
    assert permitted() == set(uses)
    assert m.read(s, key, ck.CKA_END_DATE) == b""
    assert "expire (exp) before" in hsm.refused("key-set-attributes", name="wrap", nbf=now + 9, exp=now + 5)


def test_a_granted_init_does_not_outlive_the_key_s_time(made: Any, m: Module) -> None:
    """The library answers an Init like the last one by itself: not for a key that expires."""
    hsm = made()
    hsm.key("create", "pay", kty="EC", exp=hsm.now() + 5 * DAY)
    s = hsm.session(m)
    (key,) = m.find(s, PRIVATE)
    for _ in range(5):
        assert sign(m, s, key)[0] == "CKR_OK"
    hsm.pool("clock-advance", seconds=5 * DAY)
    assert sign(m, s, key)[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED"


def test_the_dates_of_pkcs11_restrict_nothing(made: Any, m: Module) -> None:
    """Section 4.7.2: they are for reference only."""
    hsm = made()
    s = hsm.session(m)
    key = m.aes(s, label=b"old", token=True, end_date=b"20010101")
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), key))
    good(m.C_EncryptInit(s, ffi.NULL, 0))
    hsm.key("set-attributes", "old", exp=hsm.now() + DAY)
    assert m.read(s, key, ck.CKA_END_DATE) != b"20010101"
    changed = m.C_SetAttributeValue(s, key, *m.template({ck.CKA_END_DATE: b"20990101"}))
    assert name(changed) == "CKR_ATTRIBUTE_READ_ONLY"


def test_key_ops_are_the_usage_attributes(made: Any, m: Module) -> None:
    hsm = made()
    told = hsm.key("create", "few", kty="RSA", key_ops=["sign", "verify"])
    assert told["key"]["key_ops"] == ["sign", "verify"]
    s = hsm.session(m)
    (key,) = m.find(s, PRIVATE)
    assert m.read(s, key, ck.CKA_DECRYPT) == b"\0" and m.read(s, key, ck.CKA_SIGN) == b"\1"
    told = hsm.key("set-attributes", "few", key_ops=["decrypt", "encrypt"])
    assert told["key"]["key_ops"] == ["encrypt", "decrypt"]
    assert m.read(s, key, ck.CKA_DECRYPT) == b"\1" and m.read(s, key, ck.CKA_SIGN) == b"\0"
    assert "there are: encrypt" in hsm.refused("key-create", name="x", key_ops=["mine"])


# -- deletion


def test_soft_delete(made: Any, m: Module) -> None:
    hsm = made("token", retention_days=7)
    hsm.key("create", "pay", kty="EC")
    hsm.key("create", "pay", kty="EC")
    s = hsm.session(m)
    private, public = m.find(s, PRIVATE), m.find(s, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})
    before = hsm.ask("key-list-versions", name="pay")["keys"]
    good(m.C_DestroyObject(s, private[1]))  # of one version: the name goes, with all of them
    assert m.find(s, PRIVATE) == [] and sign(m, s, private[0])[0] == "CKR_KEY_HANDLE_INVALID"
    assert m.find(s, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY}) == public  # these stay, until they are destroyed
    good(m.C_DestroyObject(s, public[0]))
    (deleted,) = hsm.ask("key-list-deleted")["keys"]
    assert deleted["recoveryId"] == "/deletedkeys/pay" and deleted["versions"] == 2 and deleted["deletedBy"] == "user"
    assert deleted["scheduledPurgeDate"] - deleted["deletedDate"] == 7 * DAY
    assert deleted["attributes"]["recoveryLevel"] == "CustomizedRecoverable+Purgeable"

    template = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"Pay"}
    out = ffi.new("CK_OBJECT_HANDLE*")
    rv = m.C_GenerateKey(s, m.mechanism(ck.CKM_AES_KEY_GEN), *m.template(template), out)
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
    (refusal,) = [row for row in hsm.pool("explain")["refusals"] if row["function"] == "C_GenerateKey"]
    assert "adyton key recover pay" in refusal["reason"]

    hsm.key("recover", "pay")
    after = hsm.ask("key-list-versions", name="pay")["keys"]
    assert [row["version"] for row in after] == [row["version"] for row in before]
    assert len(m.find(s, PRIVATE)) == 2 and len(m.find(s, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})) == 2
    assert all(sign(m, s, key)[0] == "CKR_OK" for key in m.find(s, PRIVATE))
    assert hsm.ask("key-list-deleted")["keys"] == []


def test_purge_by_hand_and_by_time(made: Any, m: Module) -> None:
    hsm = made("token", retention_days=7)
    for key in ("one", "two"):
        hsm.key("create", key, kty="EC")
        hsm.key("delete", key)
    assert "no deleted key is named three" in hsm.refused("key-purge", name="three")
    hsm.ask("key-purge", name="one")
    assert "no deleted key is named one" in hsm.refused("key-recover", name="one")
    hsm.key("create", "one", kty="EC")  # the name is free again
    hsm.pool("clock-advance", seconds=7 * DAY - 60)
    assert [row["recoveryId"] for row in hsm.ask("key-list-deleted")["keys"]] == ["/deletedkeys/two"]
    hsm.pool("clock-advance", seconds=120)
    assert hsm.ask("key-list-deleted")["keys"] == []
    assert hsm.key("show", "one")["attributes"]["recoverableDays"] == 7


def test_purge_protection_can_t_be_got_around(made: Any, m: Module) -> None:
    hsm = made("token", retention_days=30, purge_protection=True)
    hsm.key("create", "pay", kty="EC")
    assert hsm.key("show", "pay")["attributes"]["recoveryLevel"] == "CustomizedRecoverable"
    hsm.key("delete", "pay")
    assert "purge protection is on" in hsm.refused("key-purge", name="pay")
    off = hsm.refused("partition-set", _as="so", purge_protection=False)
    assert "can't be turned off" in off
    label, pin = b"again".ljust(32), hsm.token.so_pin.encode()
    assert name(m.C_InitToken(hsm.slot, pin, len(pin), label)) == "CKR_TOKEN_WRITE_PROTECTED"
    hsm.ask("partition-delete", _as="so")
    with pytest.raises(Refused, match="purge protection"):
        hsm.pool("partition-purge", only=hsm.slot)
    hsm.pool("clock-advance", seconds=29 * DAY)
    (row,) = hsm.pool("partition-list-deleted")["partitions"]
    assert row["slot"] == hsm.slot and row["purge_protection"]
    hsm.pool("partition-recover", only=hsm.slot)
    hsm.key("recover", "pay")
    s = hsm.session(m)
    assert sign(m, s, m.find(s, PRIVATE)[0])[0] == "CKR_OK"


def test_a_deleted_partition_goes_when_its_time_has_come(made: Any, m: Module) -> None:
    hsm = made("managed-hsm")
    before = slots(m)
    hsm.ask("partition-delete", _as="so")
    assert slots(m) == before - 1
    (row,) = hsm.pool("partition-list-deleted")["partitions"]
    assert row["recoverableDays"] == 90
    hsm.pool("clock-advance", seconds=91 * DAY)
    assert hsm.pool("partition-list-deleted")["partitions"] == []
    with pytest.raises(Refused, match="no deleted partition"):
        hsm.pool("partition-recover", only=hsm.slot)


def test_without_a_retention_what_is_destroyed_is_gone(made: Any, m: Module) -> None:
    hsm = made()
    hsm.key("create", "pay", kty="EC")
    assert hsm.ask("key-delete", name="pay")["recoverable"] is False
    assert hsm.ask("key-list-deleted")["keys"] == [] and hsm.ask("key-list")["keys"] == []
    assert "there is no key pay" in hsm.refused("key-show", name="pay")


# -- rotation


def test_rotation_on_demand_makes_one_like_the_newest(made: Any, m: Module) -> None:
    hsm = made()
    first = hsm.key("create", "pay", kty="EC", crv="P-384", key_ops=["sign"], tags={"a": "b"})
    second = hsm.key("rotate", "pay")
    assert version(first) != version(second) and second["key"]["x"] != first["key"]["x"]
    same = ("kty", "crv", "key_ops")
    assert {field: first["key"][field] for field in same} == {field: second["key"][field] for field in same}
    assert second["tags"] == {"a": "b"}
    s = hsm.session(m)
    new, old = m.find(s, {**PRIVATE, ck.CKA_LABEL: b"pay"})
    assert m.read(s, new, ck.CKA_ID) != m.read(s, old, ck.CKA_ID)
    assert sign(m, s, new)[0] == sign(m, s, old)[0] == "CKR_OK"
    for flag in (ck.CKA_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE, ck.CKA_LOCAL):
        assert m.read(s, new, flag) == b"\1"


def test_rotation_by_policy_whether_the_partition_is_open_or_sealed(made: Any, m: Module) -> None:
    hsm = made()
    hsm.key("create", "pay", kty="EC")
    hsm.key("create", "box", kty="oct", key_size=192)
    for key in ("pay", "box"):
        policy = hsm.ask("key-rotation-policy-update", name=key, time_after_create="P30D", expiry_time="P40D")["policy"]
        assert policy["lifetimeActions"][0]["trigger"] == {"timeAfterCreate": "P30D"}
    hsm.pool("clock-advance", seconds=30 * DAY)
    rows = hsm.ask("key-list-versions", name="pay")["keys"]
    assert len(rows) == 2 and rows[0]["attributes"]["exp"] - rows[0]["attributes"]["created"] == 40 * DAY

    hsm.pool("partition-seal", slot=hsm.slot)
    hsm.pool("clock-advance", seconds=30 * DAY)
    s = hsm.session(m)  # opens it
    assert len(hsm.ask("key-list-versions", name="pay")["keys"]) == 3
    keys = m.find(s, {**PRIVATE, ck.CKA_LABEL: b"pay"})
    assert len(keys) == 3 and sign(m, s, keys[0])[0] == "CKR_OK"
    newest, *_ = m.find(s, {ck.CKA_LABEL: b"box"})
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), newest))
    out, length = ffi.new("CK_BYTE[]", 16), ffi.new("CK_ULONG*", 16)
    good(m.C_Encrypt(s, b"p" * 16, 16, out, length))
    assert m.read(s, newest, ck.CKA_VALUE_LEN) == (24).to_bytes(8, "little")
    hsm.pool("partition-seal", slot=hsm.slot)
    s = hsm.session(m)
    assert len(m.find(s, {ck.CKA_LABEL: b"box"})) == 3


def test_a_managed_hsm_s_rules_for_rotation(made: Any) -> None:
    hsm = made("managed-hsm")
    hsm.key("create", "pay", kty="EC")
    assert "rotation policy" in hsm.refused("key-rotate", name="pay")
    assert "28 days" in hsm.refused("key-rotation-policy-update", name="pay", time_after_create="P27D")
    assert "is no duration" in hsm.refused("key-rotation-policy-update", name="pay", time_after_create="30 days")
    assert "expiry_time too" in hsm.refused("key-rotation-policy-update", name="pay", time_before_expiry="P5D")
    hsm.ask("key-rotation-policy-update", name="pay", time_before_expiry="P5D", expiry_time="P1M")
    first = hsm.key("rotate", "pay")
    assert first["attributes"]["exp"] > hsm.now() + 27 * DAY
    hsm.pool("clock-advance", seconds=27 * DAY)
    assert len(hsm.ask("key-list-versions", name="pay")["keys"]) == 3


# -- import


def brought_in(hsm: Hsm, path: Path, data: bytes, key_name: str, **fields: Any) -> dict[str, Any]:
    path.write_bytes(data)
    with path.open("rb") as file, Client(hsm.token.home) as client:
        who = {"as": "user", "pin": hsm.token.pin}
        found: dict[str, Any] = client.ask_into(
            file.fileno(), "key-import", slot=hsm.slot, name=key_name, **who, **fields)["key"]
    return found


def pkcs8(key: Any, passphrase: bytes = b"") -> bytes:
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))


def test_keys_come_in_from_files(made: Any, m: Module, tmp_path: Path) -> None:
    hsm = made()
    file = tmp_path / "key"
    curve, big = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    told = brought_in(hsm, file, pkcs8(curve), "pay", format="pem", exp=hsm.now() + DAY)
    assert told["key"]["crv"] == "P-256" and told["attributes"]["exp"]
    again = brought_in(hsm, file, pkcs8(big, b"secret"), "pay", format="pem", passphrase="secret")
    assert again["key"]["kty"] == "RSA-HSM" and len(hsm.ask("key-list-versions", name="pay")["keys"]) == 2
    for wrong, words in (("", "has a passphrase"), ("other", "passphrase is another")):
        said = {"passphrase": wrong} if wrong else {}
        with pytest.raises(Refused, match=words):
            brought_in(hsm, file, pkcs8(big, b"secret"), "pay", format="pem", **said)
    brought_in(hsm, file, bytes(32), "box", format="raw")
    for data, how in ((b"no key", "pem"), (bytes(31), "raw"), (b"", "pem"), (bytes(70000), "pem")):
        with pytest.raises(Refused):
            brought_in(hsm, file, data, "bad", format=how)
    s = hsm.session(m)
    signature = sign(m, s, m.find(s, {**PRIVATE, ck.CKA_KEY_TYPE: ck.CKK_EC})[0])[1]
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

    r, sig = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    curve.public_key().verify(encode_dss_signature(r, sig), b"d" * 32, ec.ECDSA(Prehashed(hashes.SHA256())))
    (aes,) = m.find(s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY})
    assert m.read(s, aes, ck.CKA_LOCAL) == b"\0" and m.read(s, aes, ck.CKA_NEVER_EXTRACTABLE) == b"\0"


@pytest.mark.parametrize("kty", ["RSA", "EC", "oct"])
def test_azure_s_key_transfer_file(made: Any, m: Module, tmp_path: Path, kty: str) -> None:
    """Made by hand as Azure's BYOK specification has it: OAEP with SHA-1 of an AES key, then AES-KWP of the target."""
    import base64
    import json

    hsm = made()
    kek = hsm.key("create", "kek", kty="RSA", key_size=2048, key_ops=["import"])
    assert kek["key"]["key_ops"] == ["import"]

    def number(text: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")

    public = rsa.RSAPublicNumbers(number(kek["key"]["e"]), number(kek["key"]["n"])).public_key()
    once = os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    key: Any = {
        "RSA": lambda: rsa.generate_private_key(65537, 2048), "EC": lambda: ec.generate_private_key(ec.SECP384R1()),
        "oct": lambda: os.urandom(32),
    }[kty]()
    target = key if kty == "oct" else key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    wrapped = public.encrypt(once, oaep) + aes_key_wrap_with_padding(once, target)
    file = {
        "schema_version": "1.0.0",
        "header": {"kid": "https://pool.managedhsm.azure.net" + kek["key"]["kid"], "alg": "dir",
                   "enc": "CKM_RSA_AES_KEY_WRAP"},
        "ciphertext": base64.urlsafe_b64encode(wrapped).decode().rstrip("="), "generator": "a test",
    }
    told = brought_in(hsm, tmp_path / "byok", json.dumps(file).encode(), "pay", format="byok", kty=kty)
    assert told["key"]["kty"] == f"{kty}-HSM"
    if kty == "RSA":
        assert number(told["key"]["n"]) == key.public_key().public_numbers().n
    if kty == "EC":
        assert number(told["key"]["x"]) == key.public_key().public_numbers().x
    assert len(hsm.ask("key-list-versions", name="pay")["keys"]) == 1
    file["ciphertext"] = base64.urlsafe_b64encode(wrapped[:-1] + bytes([wrapped[-1] ^ 1])).decode()
    with pytest.raises(Refused, match="altered"):
        brought_in(hsm, tmp_path / "byok", json.dumps(file).encode(), "bad", format="byok", kty=kty)
    with pytest.raises(Refused, match="no key transfer file"):
        brought_in(hsm, tmp_path / "byok", b"{}", "bad", format="byok", kty=kty)
    hsm.key("create", "other", kty="RSA")
    file["header"]["kid"] = "/keys/other"  # type: ignore[index]
    with pytest.raises(Refused, match="not one for imports"):
        brought_in(hsm, tmp_path / "byok", json.dumps(file).encode(), "bad", format="byok", kty=kty)


# -- who sees what


def test_lists_tell_what_an_officer_may_read(made: Any) -> None:
    hsm = made("token", retention_days=7)
    for key in ("pay", "box"):
        hsm.key("create", key, kty="EC")
    hsm.ask("officer-create", _as="so", name="alice", new_pin="alice-pin")
    for role, scope in (("Crypto User", "/keys/PAY"), ("Crypto Officer", "/keys/box")):
        hsm.ask("role-assignment-create", _as="so", assignee="alice", role=role, scope=scope)

    def listed(act: str) -> list[str]:
        with Client(hsm.token.home) as client:
            told = client.ask(act, slot=hsm.slot, **{"as": "alice", "pin": "alice-pin"})["keys"]
        return [row.get("name") or row["recoveryId"].removeprefix("/deletedkeys/") for row in told]

    assert listed("key-list") == ["pay"] and listed("key-list-deleted") == []
    for key in ("pay", "box"):
        hsm.key("delete", key)
    assert listed("key-list") == [] and listed("key-list-deleted") == ["box"]


def test_a_key_has_its_time_from_the_first_moment(made: Any, m: Module) -> None:
    """One commit: no engine's end, and no program, comes between the key and when it may be used."""
    hsm = made("token", retention_days=7)
    hsm.key("create", "later", kty="EC", nbf=hsm.now() + 5 * DAY, enabled=True)
    with Client(hsm.token.home) as client:
        who = {"as": "so", "pin": hsm.token.so_pin}
        records = client.ask("audit-records", slot=hsm.slot, most=50, **who)["records"]
    assert not any(record["operation"] == "key-set-attributes" for record in records)
    s = hsm.session(m)
    assert sign(m, s, m.find(s, PRIVATE)[0])[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED"


# -- what is done by itself


def test_who_deletes_waits_for_nobody_s_lock(tmp_path: Path) -> None:
    """Upkeep is told with the partition's lock held, and others hold the pool's while they want that one."""
    with cheap_pins(), Room(tmp_path) as room:
        room.pool.upkeep.begin()
        held, told = threading.Event(), threading.Event()

        def keep() -> None:
            with room.pool.lock:
                held.set()
                told.wait(20)

        other = threading.Thread(target=keep)
        other.start()
        assert held.wait(20)
        waking = threading.Thread(target=lambda: (room.pool.upkeep.wake(), told.set()), daemon=True)
        with room.partition.lock:
            waking.start()
            assert told.wait(10), "it waits for the pool's lock, whose holder may wait for the partition's"
        other.join()


def test_what_can_t_be_rotated_keeps_no_other_key_from_it_and_is_tried_now_and_then(made: Any, m: Module) -> None:
    hsm = made()
    hsm.key("create", "full", kty="oct", key_size=128)
    hsm.key("create", "next", kty="oct", key_size=128)
    for key in ("full", "next"):
        hsm.ask("key-rotation-policy-update", name=key, time_after_create="P30D")
    s = hsm.session(m)
    for _ in range(99):
        m.aes(s, label=b"full", token=True)
    hsm.ask("partition-set", _as="so", limits="azure")
    hsm.pool("clock-advance", seconds=31 * DAY)
    assert len(hsm.ask("key-list-versions", name="full")["keys"]) == 100
    assert len(hsm.ask("key-list-versions", name="next")["keys"]) == 2
    log = Path(hsm.token.home, "engine.log").read_text()
    assert 0 < log.count("key full was to be rotated") < 3  # and not ten times a second


def test_a_copy_s_granted_init_does_not_outlive_its_key_s_time(made: Any, m: Module) -> None:
    hsm = made()
    hsm.key("create", "pay", kty="EC", exp=hsm.now() + 5 * DAY)
    s = hsm.session(m)
    rv, copy = m.copy(s, m.find(s, PRIVATE)[0], {ck.CKA_TOKEN: False})
    good(rv)
    for _ in range(5):
        assert sign(m, s, copy)[0] == "CKR_OK"
    hsm.pool("clock-advance", seconds=5 * DAY)
    assert sign(m, s, copy)[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED"


def test_a_key_that_stays_is_not_deleted_by_its_name(made: Any, m: Module) -> None:
    hsm = made("token", retention_days=7)
    s = hsm.session(m)
    m.aes(s, label=b"stays", token=True, destroyable=False)
    m.aes(s, label=b"stays", token=True)
    assert "CKA_DESTROYABLE" in hsm.refused("key-delete", name="stays")
    assert len(hsm.ask("key-list-versions", name="stays")["keys"]) == 2


def test_a_pipe_holds_no_thread(made: Any) -> None:
    hsm = made()
    reading, writing = os.pipe()
    with Client(hsm.token.home) as client, pytest.raises(Refused, match="regular file"):
        who = {"as": "user", "pin": hsm.token.pin}
        client.ask_into(reading, "key-import", slot=hsm.slot, name="pay", format="pem", **who)
    os.close(reading)
    os.close(writing)
