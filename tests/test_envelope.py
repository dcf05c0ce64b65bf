"""Envelope encryption as a storage service does it: its officer is a Crypto Service Encryption User with one key in
scope, which wraps and unwraps data keys that live in sessions, and does nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from abi import Module, good, name
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from roles_world import CBC, CMAC, KINDS, KWP, MAKER, P256, SECRET, Desk, Seat, desks

from pkcs11_shim import constants as ck

SERVICE, NONCE, TEXT = "storage-service", bytes(range(12)), b"a block of somebody's disk"
NO_LOGIN, NO_USE, NO_ACTION = "CKR_USER_NOT_LOGGED_IN", "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_ACTION_PROHIBITED"


@pytest.fixture(scope="module")
def pool() -> Iterator[tuple[Module, dict[str, Desk]]]:
    with desks() as made:
        for desk in made[1].values():
            desk.officer(MAKER, ("CU", "/"))
            desk.officer(SERVICE, ("SE", "/keys/kek"))
        yield made


@pytest.fixture(params=KINDS)
def seat(pool: tuple[Module, dict[str, Desk]], request: pytest.FixtureRequest) -> Iterator[Seat]:
    """The maker has made the service's key "kek" and others; the service sits here."""
    m, found = pool
    made = Seat(m, found[request.param], request.param)
    made.sit(MAKER)
    made.wrapper(b"kek", b"kek")
    made.wrapper(b"kek 2", b"kek-2")
    made.key(b"another", b"another", encrypt=False, decrypt=False)
    made.sit(SERVICE)
    yield made
    made.sit(MAKER)
    for handle in made.m.find(made.s, {ck.CKA_TOKEN: True}):
        good(made.m.C_DestroyObject(made.s, handle))
    good(made.m.C_CloseSession(made.s))


def gcm(seat: Seat) -> Any:
    parameter = seat.m.structure(
        "CK_GCM_PARAMS", pIv=NONCE, ulIvLen=len(NONCE), ulIvBits=8 * len(NONCE), ulTagBits=128)
    return seat.m.mechanism(ck.CKM_AES_GCM, parameter)


def data_key(seat: Seat, **more: Any) -> int:
    return seat.m.aes(seat.s, extractable=True, wrap=False, unwrap=False, **more)


def wrap(seat: Seat, target: int, which: bytes = b"kek") -> tuple[str, bytes]:
    rv, blob = seat.m.wrap(seat.s, seat.m.mechanism(KWP), seat.handle(which), target)
    return name(rv), blob


def unwrap(seat: Seat, blob: bytes, which: bytes = b"kek", **more: Any) -> tuple[str, int]:
    rows = {**SECRET, ck.CKA_WRAP: False, ck.CKA_UNWRAP: False}
    rows |= {getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}
    rv, handle = seat.m.unwrap(seat.s, seat.m.mechanism(KWP), seat.handle(which), blob, rows)
    return name(rv), handle


@pytest.mark.parametrize("sensitive", [True, False], ids=["sensitive", "readable"])
def test_a_data_key_is_made_wrapped_unwrapped_and_used(seat: Seat, sensitive: bool) -> None:
    key = data_key(seat, sensitive=sensitive)
    rv, stored = seat.m.use("Encrypt", seat.s, gcm(seat), key, TEXT)
    good(rv)
    code, blob = wrap(seat, key)
    assert code == "CKR_OK"
    if not sensitive:  # then the service may as well encrypt by itself
        assert AESGCM(seat.m.read(seat.s, key, ck.CKA_VALUE)).decrypt(NONCE, stored, None) == TEXT
    good(seat.m.C_DestroyObject(seat.s, key))
    # Another day: a new login, the blob from beside the data.
    seat.sit(SERVICE)
    code, key = unwrap(seat, blob, sensitive=sensitive)
    assert code == "CKR_OK"
    assert seat.m.use("Decrypt", seat.s, gcm(seat), key, stored) == (ck.CKR_OK, TEXT)


def test_the_key_in_scope_does_nothing_but_wrap_and_unwrap(seat: Seat) -> None:
    kek, m, s = seat.handle(b"kek"), seat.m, seat.s
    assert m.read(s, kek, ck.CKA_LABEL) == b"kek"
    assert m.find(s, {ck.CKA_TOKEN: True}) == [kek]
    assert name(m.change(s, kek, {ck.CKA_LABEL: b"mine"})) == NO_ACTION
    assert name(m.change(s, kek, {ck.CKA_ENCRYPT: False})) == NO_ACTION
    assert name(m.C_DestroyObject(s, kek)) == NO_ACTION
    assert name(m.copy(s, kek, {ck.CKA_TOKEN: True})[0]) == NO_ACTION
    assert wrap(seat, kek)[0] in (NO_LOGIN, "CKR_WRAPPING_KEY_HANDLE_INVALID")
    # A copy for the session wraps and unwraps, as the key does.
    rv, copy = m.copy(s, kek, {ck.CKA_TOKEN: False})
    good(rv)
    rv, blob = m.wrap(s, m.mechanism(KWP), copy, data_key(seat))
    good(rv)
    assert unwrap(seat, blob)[0] == "CKR_OK"
    assert name(m.copy(s, copy, {ck.CKA_TOKEN: True})[0]) == NO_ACTION


def test_nothing_of_the_service_stays_on_the_token(seat: Seat) -> None:
    code, blob = wrap(seat, data_key(seat))
    assert code == "CKR_OK"
    for label in (b"kek", b"mine", b""):
        assert unwrap(seat, blob, token=True, label=label)[0] == NO_LOGIN
        rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: label}
        assert name(seat.m.generate(seat.s, ck.CKM_AES_KEY_GEN, rows)[0]) == NO_LOGIN
        assert name(seat.m.create(seat.s, {**SECRET, ck.CKA_VALUE: bytes(32), ck.CKA_TOKEN: True})[0]) == NO_LOGIN
        rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label, ck.CKA_EXTRACTABLE: False}
        assert name(seat.m.copy(seat.s, data_key(seat), rows)[0]) == NO_ACTION
        assert name(seat.m.pair(seat.s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256},
                                {ck.CKA_TOKEN: True, ck.CKA_LABEL: label})[0]) == NO_LOGIN
    assert name(seat.data(b"kek", private=True)[0]) == NO_LOGIN
    assert seat.m.find(seat.s, {ck.CKA_TOKEN: True}) == [seat.handle(b"kek")]


def test_other_keys_are_not_there(seat: Seat) -> None:
    assert seat.m.find(seat.s, {ck.CKA_LABEL: b"kek-2"}) == seat.m.find(seat.s, {ck.CKA_LABEL: b"another"}) == []
    key = data_key(seat)
    _, blob = wrap(seat, key)
    assert wrap(seat, key, b"kek 2")[0] == "CKR_WRAPPING_KEY_HANDLE_INVALID"
    assert unwrap(seat, blob, b"kek 2")[0] == "CKR_UNWRAPPING_KEY_HANDLE_INVALID"
    assert wrap(seat, seat.stale[b"another"])[0] == "CKR_KEY_HANDLE_INVALID"
    rv = seat.m.use("Sign", seat.s, seat.m.mechanism(CMAC), seat.stale[b"another"], TEXT)[0]
    assert name(rv) == "CKR_KEY_HANDLE_INVALID"


def test_the_blob_of_a_token_key_outside_the_scope_is_refused(seat: Seat) -> None:
    """Wrapped under the service's key by one who may back it up; the same bytes would be a data key."""
    seat.sit(MAKER)
    saved = data_key(seat, label=b"saved", token=seat.kind == "token", sign=False, verify=False)
    code, blob = wrap(seat, saved)
    assert code == "CKR_OK"
    if seat.kind == "managed-hsm":
        assert unwrap(seat, blob, label=b"saved", token=True)[0] == "CKR_OK"
    seat.sit(SERVICE)
    for more in ({}, {"private": False}, {"label": b"kek"}, {"token": True, "label": b"kek"}):
        assert unwrap(seat, blob, **more)[0] == NO_LOGIN, more
    for kind in (ck.CKK_GENERIC_SECRET, ck.CKK_SHA256_HMAC):
        assert unwrap(seat, blob, key_type=kind)[0] == NO_LOGIN
    # With the right to read that key, what is unwrapped is a session object that is asked for like it.
    both = seat.desk.officer(seat.new("reader"), ("SE", "/keys/kek"), ("AU", "/keys/saved"))
    seat.sit(both)
    code, opened = unwrap(seat, blob)
    assert code == "CKR_OK"
    assert name(seat.m.use("Encrypt", seat.s, seat.m.mechanism(CBC, bytes(16)), opened, bytes(16))[0]) == NO_USE
    assert wrap(seat, opened)[0] in (NO_LOGIN, "CKR_KEY_UNEXTRACTABLE")
    seat.desk.ask("officer-delete", name=both)


def test_the_service_is_stopped_between_two_data_keys(seat: Seat) -> None:
    """Its assignment is taken away: data keys that it has stay its own, the key that wraps is gone."""
    own = data_key(seat)
    _, blob = wrap(seat, own)
    handle = seat.handle(b"kek")
    (found,) = seat.desk.ask("role-assignment-list", assignee=SERVICE)["assignments"]
    seat.desk.remove(found["name"])
    assert name(seat.m.wrap(seat.s, seat.m.mechanism(KWP), handle, own)[0]) == "CKR_WRAPPING_KEY_HANDLE_INVALID"
    seat.stale[b"kek"] = handle
    assert unwrap(seat, blob)[0] == "CKR_UNWRAPPING_KEY_HANDLE_INVALID"
    good(seat.m.use("Encrypt", seat.s, gcm(seat), own, TEXT)[0])
    seat.desk.assign(SERVICE, "SE", "/keys/kek")
    assert unwrap(seat, blob)[0] == "CKR_OK"
