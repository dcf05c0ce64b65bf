"""A partition's profile, and its setting for weak token keys: who turns them, what they let, and that it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import Module, good, logged_in, name
from apart import PINS, adyton
from cryptography.hazmat.primitives import keywrap

from hsm.client import Client, Refused
from hsm.store import sealing
from hsm.store.heads import PartitionHead, Switches
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

KNOWN = bytes(range(32))
KEK = {
    ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_TOKEN: True, ck.CKA_VALUE: KNOWN,
    ck.CKA_WRAP: True,
}
EXPONENT = b"\1\0\1"
P192 = bytes.fromhex("06082a8648ce3d030101")


class Token:
    """A throw-away token whose settings are at hand."""

    def __init__(self, token: ThrowAway, module: Module, session: int) -> None:
        self.token, self.m, self.s = token, module, session

    def ask(self, **fields: Any) -> dict[str, Any]:
        with Client(self.token.home) as client:
            asked = {"as": "so", "pin": self.token.so_pin, **fields}
            made: dict[str, Any] = client.ask("partition-set", slot=0, **asked)["partition"]
        return made

    def key(self, **more: Any) -> int:
        rows = {ck.CKA_VALUE_LEN: 32, **{getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}}
        rv, made = self.m.generate(self.s, ck.CKM_AES_KEY_GEN, rows)
        good(rv)
        return made

    def rsa(self, bits: int) -> str:
        rows = {ck.CKA_MODULUS_BITS: bits, ck.CKA_PUBLIC_EXPONENT: EXPONENT}
        return name(self.m.pair(self.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rows, {ck.CKA_TOKEN: True})[0])


@pytest.fixture
def opened(adyton_token: Any) -> Iterator[Token]:
    with logged_in(adyton_token) as (module, session):
        yield Token(adyton_token, module, session)


def test_imported_keys_wrap_where_the_profile_lets_them(opened: Token) -> None:
    """One who moves keys to another HSM; its own library opens what was wrapped."""
    m, s, kw = opened.m, opened.s, opened.m.mechanism(ck.CKM_AES_KEY_WRAP)
    kek, key = m.make(s, KEK), opened.key(sensitive=True, extractable=True)
    assert name(m.wrap(s, kw, kek, key)[0]) == "CKR_KEY_NOT_WRAPPABLE"
    assert opened.ask(profile="compatible")["profile"] == "compatible"
    rv, blob = m.wrap(s, kw, kek, key)
    good(rv)
    value = keywrap.aes_key_unwrap(KNOWN, blob)
    told = m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[1]
    twin = m.make(s, {**KEK, ck.CKA_TOKEN: False, ck.CKA_VALUE: value})
    assert m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), twin, bytes(16))[1] == told
    assert opened.ask(profile="strict")["profile"] == "strict"
    assert name(m.wrap(s, kw, kek, key)[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_only_what_was_imported_wraps_then(opened: Token) -> None:
    """Not a key that once showed its value, nor one unwrapped from outside: nobody brought those to wrap with."""
    m, s, kw = opened.m, opened.s, opened.m.mechanism(ck.CKM_AES_KEY_WRAP)
    opened.ask(profile="compatible")
    key = opened.key(sensitive=True, extractable=True)
    shown = opened.key(sensitive=False, extractable=True, wrap=True)
    assert name(m.wrap(s, kw, shown, key)[0]) == "CKR_KEY_NOT_WRAPPABLE"
    by = m.make(s, {**KEK, ck.CKA_WRAP: False, ck.CKA_UNWRAP: True})
    rows = {row: KEK[row] for row in (ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_WRAP)}
    rv, unwrapped = m.unwrap(s, kw, by, keywrap.aes_key_wrap(KNOWN, KNOWN[::-1]), {**rows, ck.CKA_SENSITIVE: True})
    good(rv)
    assert name(m.wrap(s, kw, unwrapped, key)[0]) == "CKR_KEY_NOT_WRAPPABLE"


def test_an_iv_repeats_where_the_profile_lets_it(opened: Token) -> None:
    m, s, key = opened.m, opened.s, opened.key(token=True, encrypt=True)
    iv = bytes(12)

    def encrypt() -> str:
        form = m.structure("CK_GCM_PARAMS", pIv=iv, ulIvLen=12, ulIvBits=96, ulTagBits=128)
        return name(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_GCM, form), key, b"message")[0])

    assert [encrypt(), encrypt()] == ["CKR_OK", "CKR_MECHANISM_PARAM_INVALID"]
    opened.ask(profile="compatible")
    assert [encrypt(), encrypt()] == ["CKR_OK", "CKR_OK"]
    opened.ask(profile="strict")
    assert encrypt() == "CKR_MECHANISM_PARAM_INVALID"


def test_weak_token_keys(opened: Token) -> None:
    m, s = opened.m, opened.s
    assert opened.rsa(1024) == "CKR_TEMPLATE_INCONSISTENT"
    assert opened.ask(weak_token_keys=True)["weak_token_keys"] is True
    assert opened.rsa(1024) == "CKR_OK"
    rows = {ck.CKA_EC_PARAMS: P192}
    rv, _, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, rows, {ck.CKA_TOKEN: True, ck.CKA_SIGN: True})
    good(rv)
    opened.ask(weak_token_keys=False)
    assert opened.rsa(1024) == "CKR_TEMPLATE_INCONSISTENT"
    mechanism = m.mechanism(ck.CKM_ECDSA_SHA256)
    rv, signature = m.use("Sign", s, mechanism, private, b"message")
    good(rv)
    assert len(signature) == 48


def test_only_the_administrator_turns_them(opened: Token) -> None:
    for fields in ({"as": "so", "pin": "not the SO's"}, {"as": "user", "pin": opened.token.pin}):
        for asked in ({"profile": "compatible"}, {"weak_token_keys": True}):
            with pytest.raises(Refused, match="PIN"):
                opened.ask(**fields, **asked)
    for wrong, why in (
        ({"profile": "lax"}, "there is no profile 'lax'"), ({"profile": True}, "not well formed"),
        ({"weak_token_keys": "on"}, "not well formed"),
    ):
        with pytest.raises(Refused, match=why):
            opened.ask(**wrong)
    with Client(opened.token.home) as client:
        told = client.ask("partition-list")["partitions"][0]
    assert (told["profile"], told["weak_token_keys"], told["legacy"]) == ("strict", False, False)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set, shown in text and JSON, kept over an engine's end, and in the log."""
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    try:
        words = ["partition", "create", "--label", "moving", "--profile", "compatible", "--json"]
        made = json.loads(adyton(*words, **PINS))
        assert (made["profile"], made["weak_token_keys"]) == ("compatible", False)
        said = adyton("partition", "set", "0", "--weak-token-keys", "on", "--profile", "strict", **PINS)
        assert said == "partition 0: the profile is strict\npartition 0: weak keys may be token keys\n"
        adyton("partition", "set", "0", "--profile", "compatible", **PINS)
        adyton("stop")
        shown = json.loads(adyton("partition", "show", "0", "--json"))
        assert (shown["profile"], shown["weak_token_keys"], shown["legacy"]) == ("compatible", True, False)
        assert "profile         compatible" in adyton("partition", "show", "0")
        assert "compatible" in adyton("partition", "list") and "profile" in adyton("partition", "set", "--help")
        records = adyton("audit", "query", "--operation", "partition-set", "--json")
        assert '"compatible"' in records and "weak_token_keys" in records
        guarded = ["partition", "create", "--label", "azure", "--kind", "managed-hsm", "--profile", "compatible"]
        assert "is strict" in adyton(*guarded, status=1, **PINS)
    finally:
        adyton("stop")


def test_heads_of_before_say_strict() -> None:
    key, head = bytes(32), PartitionHead(3, b"0123456789ABCDEF")
    place = sealing.derive(key, b"partition", 3)
    fields = sealing.unpack(sealing.unseal(place, head.seal(key), b""))
    assert fields.pop(11) == b"\0" and fields.pop(12) == b"strict"
    old = sealing.seal(place, sealing.pack(fields), b"")
    assert PartitionHead.unseal(key, 3, old).switches == Switches(False, False, "strict")
    head.switches = Switches(True, True, "compatible")
    assert PartitionHead.unseal(key, 3, head.copy().seal(key)).switches == head.switches
