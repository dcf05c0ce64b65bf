"""Two operations in one call, through the C ABI: what goes to which, what takes nothing up, and what ends both."""

from __future__ import annotations

import hashlib
import hmac
from itertools import pairwise
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, name
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pkcs11_shim import constants as ck

VALUE, IV = bytes(range(32)), bytes(range(16))
P256 = bytes.fromhex("06082a8648ce3d030107")
HMAC, ECB, CBC, PAD, CTR, GCM = (
    ck.CKM_SHA256_HMAC, ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR, ck.CKM_AES_GCM,
)
# cipher -> the other operation -> the function
ENCRYPTING = {"Digest": "C_DigestEncryptUpdate", "Sign": "C_SignEncryptUpdate"}
DECRYPTING = {"Digest": "C_DecryptDigestUpdate", "Verify": "C_DecryptVerifyUpdate"}
DUAL = [("Encrypt", other, f) for other, f in ENCRYPTING.items()] + [
    ("Decrypt", other, f) for other, f in DECRYPTING.items()
]
each_function = pytest.mark.parametrize(("cipher", "other", "function"), DUAL, ids=[f for *_, f in DUAL])


def test_the_token_says_that_it_has_them(user: tuple[Module, int]) -> None:
    """CK_TOKEN_INFO (section 3.1): whether a single session can perform dual cryptographic operations."""
    assert user[0].token().flags & ck.CKF_DUAL_CRYPTO_OPERATIONS


def known(m: Module, s: int, kind: int = ck.CKK_AES) -> int:
    return m.make(s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: kind, ck.CKA_VALUE: VALUE})


def mechanism(m: Module, mode: str) -> Any:
    if mode == "CTR":
        return m.mechanism(CTR, m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=IV))
    if mode == "GCM":
        return m.mechanism(GCM, m.structure("CK_GCM_PARAMS", pIv=IV[:12], ulIvLen=12, ulIvBits=96, ulTagBits=128))
    return m.mechanism({"ECB": ECB, "CBC": CBC, "CBC_PAD": PAD}[mode], None if mode == "ECB" else IV)


def reference(mode: str, data: bytes) -> bytes:
    if mode == "GCM":
        return AESGCM(VALUE).encrypt(IV[:12], data, None)
    if mode == "CBC_PAD":
        padder = padding.PKCS7(128).padder()
        data = padder.update(data) + padder.finalize()
    modes_of: dict[str, Any] = {"ECB": modes.ECB(), "CTR": modes.CTR(IV)}
    return Cipher(algorithms.AES(VALUE), modes_of.get(mode, modes.CBC(IV))).encryptor().update(data)


def begin(m: Module, s: int, cipher: str, mode: str, other: str) -> None:
    good(getattr(m, f"C_{cipher}Init")(s, mechanism(m, mode), known(m, s)))
    if other == "Digest":
        good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    else:
        good(getattr(m, f"C_{other}Init")(s, m.mechanism(HMAC), known(m, s, ck.CKK_GENERIC_SECRET)))


def over(m: Module, s: int, kind: str) -> bool:
    """Whether no operation of the kind is active; one that is, goes on undisturbed."""
    update = getattr(m, f"C_{kind}Update")
    rv = update(s, NULL, 0) if kind in ("Digest", "Sign", "Verify") else m.output(update, s, NULL, 0)[0]
    assert name(rv) in ("CKR_OK", "CKR_OPERATION_NOT_INITIALIZED")
    return name(rv) != "CKR_OK"


def sized(m: Module, call: Any, *before: Any) -> tuple[str, int]:
    length = ffi.new("CK_ULONG*", 7)
    return name(call(*before, NULL, length)), int(length[0])


def result(m: Module, s: int, other: str, seen: bytes) -> None:
    """The other operation has seen exactly these bytes."""
    if other == "Digest":
        assert m.output(m.C_DigestFinal, s) == (ck.CKR_OK, hashlib.sha256(seen).digest())
    elif other == "Sign":
        assert m.output(m.C_SignFinal, s) == (ck.CKR_OK, hmac.digest(VALUE, seen, "sha256"))
    else:
        good(m.C_VerifyFinal(s, hmac.digest(VALUE, seen, "sha256"), 32))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    function=st.sampled_from(DUAL), mode=st.sampled_from(["ECB", "CBC", "CBC_PAD", "CTR", "GCM"]),
    data=st.binary(max_size=80), cuts=st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=6),
)
def test_both_get_the_plaintext_and_no_more_of_it_than_the_caller(
    user: tuple[Module, int], function: tuple[str, str, str], mode: str, data: bytes, cuts: list[tuple[int, bool]]
) -> None:
    """Cut anywhere, mixed with updates of the cipher alone, each part asked for its size and tried with too little
    room first: the output is that of the cipher alone, and the other operation has seen what went in (encrypting), or
    what came out (decrypting) of the dual calls: what the cipher holds back for the end, it has not."""
    m, s = user
    cipher, other, dual = function
    if mode in ("ECB", "CBC"):
        data = data[: len(data) // 16 * 16]
    sealed = reference(mode, data)
    source = data if cipher == "Encrypt" else sealed
    begin(m, s, cipher, mode, other)
    edges = [(0, True), *sorted((min(cut, len(source)), both) for cut, both in cuts), (len(source), True)]
    out = seen = b""
    for (start, _), (end, both) in pairwise(edges):
        part = source[start:end]
        update = getattr(m, dual if both else f"C_{cipher}Update")
        rv, room = sized(m, update, s, part or NULL, len(part))
        assert rv == "CKR_OK"
        if room > 1:
            short = ffi.new("CK_ULONG*", room - 1)
            assert name(update(s, part, len(part), ffi.new("CK_BYTE[200]"), short)) == "CKR_BUFFER_TOO_SMALL"
            assert short[0] == room
        rv, given = m.output(update, s, part or NULL, len(part), size=room)
        good(rv)
        out += given
        seen += (part if cipher == "Encrypt" else given) if both else b""
    rv, last = m.output(getattr(m, f"C_{cipher}Final"), s)
    good(rv)
    assert out + last == (sealed if cipher == "Encrypt" else data)
    result(m, s, other, seen)


@each_function
def test_a_size_query_and_too_small_a_buffer_take_nothing_up_in_either(
    user: tuple[Module, int], cipher: str, other: str, function: str
) -> None:
    m, s = user
    begin(m, s, cipher, "ECB", other)
    call = getattr(m, function)
    assert sized(m, call, s, bytes(32), 32) == ("CKR_OK", 32)
    assert name(m.output(call, s, bytes(32), 32, size=31)[0]) == "CKR_BUFFER_TOO_SMALL"
    rv, last = m.output(getattr(m, f"C_{cipher}Final"), s)
    assert (name(rv), last) == ("CKR_OK", b"")
    result(m, s, other, b"")


def test_a_size_query_does_not_make_parts_of_an_operation(user: tuple[Module, int]) -> None:
    """What was only measured may still be done in one."""
    m, s = user
    begin(m, s, "Encrypt", "ECB", "Digest")
    assert sized(m, m.C_DigestEncryptUpdate, s, bytes(16), 16) == ("CKR_OK", 16)
    assert sized(m, m.C_EncryptUpdate, s, bytes(16), 16) == ("CKR_OK", 16)
    assert m.output(m.C_Encrypt, s, bytes(16), 16) == (ck.CKR_OK, reference("ECB", bytes(16)))
    assert m.output(m.C_Digest, s, b"x", 1) == (ck.CKR_OK, hashlib.sha256(b"x").digest())


@each_function
@pytest.mark.parametrize("missing", ["cipher", "other"])
def test_both_operations_must_be_active_and_the_call_ends_the_one_that_was(
    user: tuple[Module, int], cipher: str, other: str, function: str, missing: str
) -> None:
    m, s = user
    begin(m, s, cipher, "ECB", other)
    good(m.C_SessionCancel(s, getattr(ck, f"CKF_{(cipher if missing == 'cipher' else other).upper()}")))
    assert name(m.output(getattr(m, function), s, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    assert over(m, s, cipher) and over(m, s, other)


@each_function
def test_an_error_ends_both_operations_and_no_third_one(
    user: tuple[Module, int], cipher: str, other: str, function: str
) -> None:
    m, s = user
    third = "Decrypt" if cipher == "Encrypt" else "Encrypt"
    for wrong in ("NULL length", "NULL data", "beyond the counter"):
        begin(m, s, cipher, "ECB", other)
        if wrong == "beyond the counter":
            good(m.C_SessionCancel(s, getattr(ck, f"CKF_{cipher.upper()}")))
            counter = m.structure("CK_AES_CTR_PARAMS", ulCounterBits=1, cb=bytes(16))
            good(getattr(m, f"C_{cipher}Init")(s, m.mechanism(CTR, counter), known(m, s)))
        good(getattr(m, f"C_{third}Init")(s, m.mechanism(ECB), known(m, s)))
        room, length = ffi.new("CK_BYTE[64]"), ffi.new("CK_ULONG*", 64)
        data = NULL if wrong == "NULL data" else bytes(33)
        rv = getattr(m, function)(s, data, 33, room, NULL if wrong == "NULL length" else length)
        beyond = "CKR_DATA_LEN_RANGE" if cipher == "Encrypt" else "CKR_ENCRYPTED_DATA_LEN_RANGE"
        assert name(rv) == (beyond if wrong == "beyond the counter" else "CKR_ARGUMENTS_BAD")
        assert over(m, s, cipher) and over(m, s, other), wrong
        assert not over(m, s, third)
        good(m.C_SessionCancel(s, getattr(ck, f"CKF_{third.upper()}")))


@each_function
def test_a_mechanism_for_one_part_takes_no_part_in_it(
    user: tuple[Module, int], cipher: str, other: str, function: str
) -> None:
    m, s = user
    begin(m, s, cipher, "ECB", other)
    good(m.C_SessionCancel(s, getattr(ck, f"CKF_{cipher.upper()}")))
    good(getattr(m, f"C_{cipher}Init")(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), known(m, s)))
    assert name(m.output(getattr(m, function), s, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    assert over(m, s, other)


@each_function
@pytest.mark.parametrize("lost", ["cipher", "other"])
def test_the_keys_of_both_are_asked_for_again_at_each_part(
    user: tuple[Module, int], cipher: str, other: str, function: str, lost: str
) -> None:
    """A flag that is taken away meanwhile ends it, whichever of the two keys loses it."""
    m, s = user
    key, keyed = known(m, s), known(m, s, ck.CKK_GENERIC_SECRET)
    good(getattr(m, f"C_{cipher}Init")(s, m.mechanism(ECB), key))
    if other == "Digest":
        good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
        keyed = key
    else:
        good(getattr(m, f"C_{other}Init")(s, m.mechanism(HMAC), keyed))
    good(m.output(getattr(m, function), s, bytes(16), 16)[0])
    of_cipher = lost == "cipher" or other == "Digest"
    flag = getattr(ck, f"CKA_{(cipher if of_cipher else other).upper()}")
    good(m.change(s, key if of_cipher else keyed, {flag: False}))
    assert name(m.output(getattr(m, function), s, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    assert over(m, s, cipher) and over(m, s, other)


def test_both_get_on_only_with_the_login_that_the_signing_key_asks_for(
    user: tuple[Module, int], adyton_token: Any
) -> None:
    m, s = user
    rsa = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, public, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rsa, {ck.CKA_ALWAYS_AUTHENTICATE: True})
    good(rv)
    signing = m.mechanism(ck.CKM_SHA256_RSA_PKCS)
    for logged_in_again in (False, True):
        good(m.C_EncryptInit(s, m.mechanism(ECB), known(m, s)))
        good(m.C_SignInit(s, signing, private))
        if not logged_in_again:
            assert name(m.output(m.C_SignEncryptUpdate, s, bytes(16), 16)[0]) == "CKR_USER_NOT_LOGGED_IN"
            assert over(m, s, "Encrypt") and over(m, s, "Sign")
            continue
        good(m.login(s, adyton_token.pin, ck.CKU_CONTEXT_SPECIFIC))
        for _ in range(2):
            good(m.output(m.C_SignEncryptUpdate, s, bytes(16), 16)[0])
        rv, signature = m.output(m.C_SignFinal, s)
        good(rv)
        good(m.verify(s, signing, public, bytes(32), signature))


def test_a_dual_call_between_parts_and_a_digested_key(user: tuple[Module, int]) -> None:
    """Section 5.17.1: interspersed with C_DigestUpdate, C_DigestKey and C_EncryptUpdate."""
    m, s = user
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: VALUE}
    clear = m.make(s, {**rows, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True})
    begin(m, s, "Encrypt", "CBC", "Digest")
    good(m.C_DigestUpdate(s, b"one", 3))
    rv, first = m.output(m.C_DigestEncryptUpdate, s, b"t" * 24, 24)
    good(rv)
    good(m.C_DigestKey(s, clear))
    rv, second = m.output(m.C_EncryptUpdate, s, b"u" * 8, 8)
    good(rv)
    assert first + second == reference("CBC", b"t" * 24 + b"u" * 8)
    result(m, s, "Digest", b"one" + b"t" * 24 + VALUE)


def test_signing_by_a_key_pair_while_encrypting_and_verifying_while_decrypting(user: tuple[Module, int]) -> None:
    m, s = user
    rv, public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})
    good(rv)
    signing, key, text = m.mechanism(ck.CKM_ECDSA_SHA256), known(m, s), b"a message of three parts"
    good(m.C_EncryptInit(s, mechanism(m, "CTR"), key))
    good(m.C_SignInit(s, signing, private))
    sealed = b""
    for at in range(0, 24, 8):
        rv, part = m.output(m.C_SignEncryptUpdate, s, text[at : at + 8], 8)
        good(rv)
        sealed += part
    rv, signature = m.output(m.C_SignFinal, s)
    good(rv)
    good(m.output(m.C_EncryptFinal, s)[0])
    good(m.C_DecryptInit(s, mechanism(m, "CTR"), key))
    good(m.C_VerifyInit(s, signing, public))
    for at in range(0, 24, 8):
        assert m.output(m.C_DecryptVerifyUpdate, s, sealed[at : at + 8], 8) == (ck.CKR_OK, text[at : at + 8])
    good(m.C_VerifyFinal(s, signature, len(signature)))
