"""Keys that go into digests, seeds and random numbers through the C ABI (sections 5.12 and 5.20)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, logged_in, name

from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}
AES = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
P256 = bytes.fromhex("06082a8648ce3d030107")
VALUE = bytes(range(32))


def known(m: Module, s: int, kind: int = ck.CKK_AES, **more: Any) -> int:
    """A secret key whose value the test knows."""
    rows = {**AES, ck.CKA_KEY_TYPE: kind, ck.CKA_VALUE: VALUE}
    return m.make(s, {**rows, **{getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}})


def test_a_key_that_may_be_read_can_be_digested_amid_data(user: tuple[Module, int]) -> None:
    m, s = user
    key = known(m, s, sensitive=False, extractable=True)
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_DigestUpdate(s, b"before", 6))
    good(m.C_DigestKey(s, key))
    good(m.C_DigestUpdate(s, b"after", 5))
    assert m.output(m.C_DigestFinal, s) == (ck.CKR_OK, hashlib.sha256(b"before" + VALUE + b"after").digest())


@pytest.mark.parametrize("what", ["sensitive", "unextractable", "private", "public", "data", "of a former login"])
def test_a_key_that_may_not_be_read_is_not_digested_and_ends_the_digest(
    user: tuple[Module, int], adyton_token: Any, what: str
) -> None:
    """Its digest would tell guesses at its value right from wrong."""
    m, s = user
    pair = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})[1:]
    clear = known(m, s, sensitive=False, extractable=True)
    made = {
        "sensitive": m.aes(s, extractable=True), "unextractable": m.aes(s, sensitive=False), "private": pair[1],
        "public": pair[0], "data": m.make(s, DATA), "of a former login": clear,
    }
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_DigestUpdate(s, b"before", 6))
    if what == "of a former login":
        good(m.C_Logout(s))
        good(m.login(s, adyton_token.pin))
    unseen = what in ("data", "of a former login")
    assert name(m.C_DigestKey(s, made[what])) == ("CKR_KEY_HANDLE_INVALID" if unseen else "CKR_KEY_INDIGESTIBLE")
    assert name(m.output(m.C_DigestFinal, s)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_public_key_value_is_digested_in_a_public_read_only_session(adyton_token: Any) -> None:
    with logged_in(adyton_token) as (m, s):
        good(m.C_Logout(s))
        key = known(m, s, private=False, sensitive=False, extractable=True)
        read_only = m.session(read_write=False)
        good(m.C_DigestInit(read_only, m.mechanism(ck.CKM_SHA256)))
        good(m.C_DigestKey(read_only, key))
        assert m.output(m.C_DigestFinal, read_only) == (ck.CKR_OK, hashlib.sha256(VALUE).digest())


def test_seeds_and_random_numbers_in_every_state_of_a_session(user: tuple[Module, int], adyton_token: Any) -> None:
    m, s = user
    out, states = ffi.new("CK_BYTE[16]"), set()
    sessions = [s, m.session(read_write=False)]

    def asked() -> None:
        for session in sessions:
            good(m.C_SeedRandom(session, b"seed", 4))
            good(m.C_GenerateRandom(session, out, 16))
            states.add(m.state(session))

    asked()
    good(m.C_Logout(s))
    asked()
    good(m.C_CloseSession(sessions.pop()))
    good(m.login(s, adyton_token.so_pin, ck.CKU_SO))
    asked()
    assert len(states) == 5


def test_random_numbers(user: tuple[Module, int]) -> None:
    m, s = user
    good(m.C_SeedRandom(s, b"s" * 5000, 5000))
    good(m.C_SeedRandom(s, NULL, 0))
    good(m.C_GenerateRandom(s, NULL, 0))
    one, two = ffi.new("CK_BYTE[64]"), ffi.new("CK_BYTE[64]")
    good(m.C_GenerateRandom(s, one, 64))
    good(m.C_GenerateRandom(s, two, 64))
    assert bytes(ffi.buffer(one)) != bytes(ffi.buffer(two)) != bytes(64)
