"""A secret token key encrypts under one IV once: whatever object carries its value, in whichever session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from abi import Module, ffi, good, name
from vectors import Bench, bench_of_its_own

from hsm.access.values import Nonces
from pkcs11_shim import constants as ck

IV, OTHER = b"caller's IV 1", b"caller's IV 2"
REPEATED = "CKR_MECHANISM_PARAM_INVALID"
KWP = ck.CKM_AES_KEY_WRAP_KWP


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


def gcm(m: Module, iv: bytes) -> Any:
    parameter = m.structure("CK_GCM_PARAMS", pIv=iv, ulIvLen=len(iv), ulTagBits=128)
    return m.mechanism(ck.CKM_AES_GCM, parameter)


def encrypted(bench: Bench, key: int, iv: bytes, session: int = 0) -> tuple[str, bytes]:
    rv, made = bench.m.use("Encrypt", session or bench.s, gcm(bench.m, iv), key, b"message")
    return name(rv), made


def test_a_second_message_under_one_iv(bench: Bench) -> None:
    m, s = bench.m, bench.s
    key = m.aes(s, token=True)
    assert encrypted(bench, key, IV)[0] == "CKR_OK"
    assert encrypted(bench, key, IV)[0] == REPEATED
    good(m.C_EncryptInit(s, gcm(m, OTHER), key))  # refused at Init: nothing was left active
    good(m.C_EncryptUpdate(s, b"mess", 4, ffi.new("CK_BYTE[16]"), ffi.new("CK_ULONG*", 16)))
    assert name(m.output(m.C_EncryptFinal, s)[0]) == "CKR_OK"
    assert encrypted(bench, key, OTHER)[0] == REPEATED
    assert encrypted(bench, key, IV + b"!")[0] == "CKR_OK"


def test_decryption_is_not_concerned(bench: Bench) -> None:
    m, s = bench.m, bench.s
    key = m.aes(s, token=True)
    rv, sealed = encrypted(bench, key, IV)
    assert rv == "CKR_OK"
    for _ in range(2):
        rv_code, plain = m.use("Decrypt", s, gcm(m, IV), key, sealed)
        assert (name(rv_code), plain) == ("CKR_OK", b"message")


def test_what_gave_no_output_spends_nothing(bench: Bench) -> None:
    """An Init, a size query, a buffer too small, an operation cancelled: the IV is still fresh."""
    m, s = bench.m, bench.s
    key, length = m.aes(s, token=True), ffi.new("CK_ULONG*", 3)
    good(m.C_EncryptInit(s, gcm(m, IV), key))
    good(m.C_Encrypt(s, b"message", 7, ffi.NULL, length))
    length[0] = 3
    assert name(m.C_Encrypt(s, b"message", 7, ffi.new("CK_BYTE[3]"), length)) == "CKR_BUFFER_TOO_SMALL"
    good(m.C_SessionCancel(s, ck.CKF_ENCRYPT))
    assert encrypted(bench, key, IV)[0] == "CKR_OK"


def test_two_operations_begun_under_one_iv(bench: Bench) -> None:
    m, s = bench.m, bench.s
    key, other = m.aes(s, token=True), m.session()
    good(m.C_EncryptInit(s, gcm(m, IV), key))
    good(m.C_EncryptInit(other, gcm(m, IV), key))
    assert name(m.output(m.C_Encrypt, s, b"message", 7)[0]) == "CKR_OK"
    assert name(m.output(m.C_Encrypt, other, b"message", 7)[0]) == "CKR_FUNCTION_FAILED"
    assert name(m.output(m.C_Encrypt, other, b"message", 7)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_CloseSession(other))


def test_the_memory_is_the_value_s(bench: Bench) -> None:
    """A copy, a twin that went out and came back, and the value after its first object is gone."""
    m, s = bench.m, bench.s
    key, wrapping = m.aes(s, token=True, extractable=True), m.aes(s)
    copy = m.keep(ffi.new("CK_OBJECT_HANDLE*"))
    good(m.C_CopyObject(s, key, *m.template({ck.CKA_TOKEN: False}), copy))
    assert encrypted(bench, copy[0], IV)[0] == "CKR_OK"
    assert encrypted(bench, key, IV)[0] == REPEATED
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, key)
    good(rv)
    good(m.C_DestroyObject(s, copy[0]))
    good(m.C_DestroyObject(s, key))
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_EXTRACTABLE: True, ck.CKA_TOKEN: True}
    rv_name, twin = bench.unwrap(m.mechanism(KWP), wrapping, blob, rows)
    assert rv_name == "CKR_OK"
    assert encrypted(bench, twin, IV)[0] == REPEATED
    assert encrypted(bench, twin, OTHER)[0] == "CKR_OK"


def test_wrapping_spends_too(bench: Bench) -> None:
    m, s = bench.m, bench.s
    wrapping, target = m.aes(s, token=True), m.aes(s, sensitive=False, extractable=True)
    length = m.keep(ffi.new("CK_ULONG*"))
    good(m.C_WrapKey(s, gcm(m, IV), wrapping, target, ffi.NULL, length))
    good(m.wrap(s, gcm(m, IV), wrapping, target)[0])
    assert name(m.wrap(s, gcm(m, IV), wrapping, target)[0]) == REPEATED
    assert encrypted(bench, wrapping, IV)[0] == REPEATED


@pytest.mark.parametrize("rows", [
    {}, {"token": True, "sensitive": False}, {"token": True, "value": b"known key, known key, known key!"},
])
def test_other_keys_are_their_owner_s_care(bench: Bench, rows: dict[str, Any]) -> None:
    """Session keys, keys that may be read, keys that came in clear."""
    m, s = bench.m, bench.s
    if "value" in rows:
        kind = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
        key = m.make(s, {**kind, ck.CKA_TOKEN: True, ck.CKA_VALUE: rows["value"]})
    else:
        key = m.aes(s, **rows)
    assert [encrypted(bench, key, IV)[0] for _ in range(2)] == ["CKR_OK", "CKR_OK"]


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    nonces = Nonces(most=100)
    for count in range(1000):
        nonces.add(count.to_bytes(12, "big"))
        kept = [seen for seen in range(count + 1) if seen.to_bytes(12, "big") in nonces]
        assert len(kept) <= 100
        assert kept == list(range(count + 1))[-len(kept) :]
        assert len(kept) >= min(count + 1, 50)
