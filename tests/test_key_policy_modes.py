"""The textbook attacks on PKCS#11 by way of AES's further modes: each tried through the C ABI, and refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from abi import Module, ffi, good, name, ulong
from test_key_policy import AES, GENERIC, OPEN, kwp
from vectors import Bench, bench_of_its_own

from pkcs11_shim import constants as ck

KWP, PKCS7 = ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_KEY_WRAP_PKCS7
TROJAN = b"a trojan of thirty-two bytes...."
WRAPS = {**AES, ck.CKA_WRAP: True}
NEVER, PARAM = "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_MECHANISM_PARAM_INVALID"
# Plain ciphers, by a parameter under which 16 bytes of ones give the IV encrypted, or the bytes themselves.
BY_KEYSTREAM = (ck.CKM_AES_OFB, ck.CKM_AES_CFB128, ck.CKM_AES_CTR)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own(legacy=True) as opened:
        yield opened


@pytest.fixture
def user(bench: Bench) -> tuple[Module, int]:
    return bench.m, bench.s


def gcm(m: Module, number: int, iv: bytes, tag: int = 128) -> Any:
    return m.mechanism(number, m.structure("CK_GCM_PARAMS", pIv=iv, ulIvLen=len(iv), ulTagBits=tag))


def ccm(m: Module, nonce: bytes, length: int = 0, tag: int = 16) -> Any:
    fields = {"ulDataLen": length, "pNonce": nonce, "ulNonceLen": len(nonce), "ulMACLen": tag}
    return m.mechanism(ck.CKM_AES_CCM, m.structure("CK_CCM_PARAMS", **fields))


def keystream(m: Module, number: int, block: bytes) -> Any:
    counter = m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=block)
    return m.mechanism(number, counter if number == ck.CKM_AES_CTR else block)


def encrypt_data(m: Module, data: bytes) -> Any:
    return m.mechanism(
        ck.CKM_AES_ECB_ENCRYPT_DATA, m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=data, ulLen=len(data))
    )


def is_no_secret(m: Module, s: int, key: int) -> bool:
    """Whether it wraps no sensitive key, as its value may be known."""
    return name(m.wrap(s, m.mechanism(KWP), key, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"


def every_plain_cipher(m: Module) -> list[tuple[Any, int]]:
    """Each mechanism that enciphers without making a wrapped key, with the length of the key that it takes."""
    rows: list[tuple[Any, int]] = [(m.mechanism(number, bytes(16)), 32) for number in (
        ck.CKM_AES_OFB, ck.CKM_AES_CFB8, ck.CKM_AES_CFB128, ck.CKM_AES_CTS,
    )]
    return [*rows, (ccm(m, bytes(12)), 32), (m.mechanism(ck.CKM_AES_XTS, bytes(16)), 64)]


def wrapping_key(m: Module, s: int, length: int) -> int:
    if length == 32:
        return m.aes(s)
    rv, key = m.generate(s, ck.CKM_AES_XTS_KEY_GEN, {ck.CKA_VALUE_LEN: length})
    good(rv)
    return key


def test_no_plain_cipher_wraps_or_unwraps_a_sensitive_key(user: tuple[Module, int]) -> None:
    m, s = user
    for mechanism, length in every_plain_cipher(m):
        key, target = wrapping_key(m, s, length), m.aes(s, extractable=True)
        assert name(m.wrap(s, mechanism, key, target)[0]) == "CKR_KEY_NOT_WRAPPABLE"
        if mechanism.mechanism != ck.CKM_AES_CCM:
            assert name(m.unwrap(s, mechanism, key, bytes(32), AES)[0]) == "CKR_TEMPLATE_INCONSISTENT"


@pytest.mark.parametrize("number", [ck.CKM_DES3_ECB, ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD])
def test_triple_des_wraps_no_sensitive_key(user: tuple[Module, int], number: int) -> None:
    m, s = user
    rv, key = m.generate(s, ck.CKM_DES3_KEY_GEN, {})
    good(rv)
    mechanism = m.mechanism(number, None if number == ck.CKM_DES3_ECB else bytes(8))
    assert name(m.wrap(s, mechanism, key, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"
    assert name(m.unwrap(s, mechanism, key, bytes(32), AES)[0]) == "CKR_TEMPLATE_INCONSISTENT"


def test_a_wrapped_key_is_opened_by_no_other_mode(user: tuple[Module, int]) -> None:
    """A KWP blob, decrypted or unwrapped block by block under the key that wrapped it."""
    m, s = user
    wrapping = m.aes(s)
    rv, blob = m.wrap(s, m.mechanism(KWP), wrapping, m.aes(s, extractable=True))
    good(rv)
    for mechanism, length in every_plain_cipher(m):
        if length == 32:
            assert name(m.C_DecryptInit(s, mechanism, wrapping)) == NEVER
            rows = {**OPEN, ck.CKA_VALUE_LEN: 16}
            assert name(m.unwrap(s, mechanism, wrapping, blob[:16], rows)[0]) in (
                "CKR_TEMPLATE_INCONSISTENT", "CKR_WRAPPED_KEY_INVALID", "CKR_WRAPPED_KEY_LEN_RANGE",
            )
    for number in (ck.CKM_AES_KEY_WRAP_PAD, PKCS7, ck.CKM_AES_KEY_WRAP):
        assert name(m.C_DecryptInit(s, m.mechanism(number), wrapping)) == NEVER
        assert name(m.unwrap(s, m.mechanism(number), wrapping, blob, OPEN)[0]) in (
            "CKR_TEMPLATE_INCONSISTENT", "CKR_WRAPPED_KEY_INVALID",
        )


def test_what_ccm_wrapped_is_opened_by_no_keystream(user: tuple[Module, int]) -> None:
    """CCM wraps keys in the clear only, as CTR, OFB and CFB encrypt its counter blocks; a key with a secret never."""
    m, s = user
    key, shown = m.aes(s), m.aes(s, sensitive=False, extractable=True)
    assert name(m.wrap(s, ccm(m, bytes(12)), key, m.aes(s, extractable=True))[0]) == "CKR_KEY_NOT_WRAPPABLE"
    rv, blob = m.wrap(s, ccm(m, bytes(12)), key, shown)
    good(rv)
    rv, back = m.unwrap(s, ccm(m, bytes(12)), key, blob, WRAPS)
    good(rv)
    assert is_no_secret(m, s, back)


@pytest.mark.parametrize("number", BY_KEYSTREAM)
@pytest.mark.parametrize("by", ["decrypt", "unwrap"])
def test_a_key_made_up_by_decrypting_is_no_secret(user: tuple[Module, int], number: int, by: str) -> None:
    """Under a keystream decryption is encryption, by C_Decrypt or of a key unwrapped in the clear: either puts a KWP
    of a trojan wrapping key together."""
    m, s = user
    key = m.aes(s, decrypt=True, unwrap=True, encrypt=False)

    def encrypt(block: bytes) -> bytes:
        mechanism = keystream(m, number, block)
        if by == "decrypt":
            rv, made = m.use("Decrypt", s, mechanism, key, bytes(16))
            good(rv)
            return made
        rv, shown = m.unwrap(s, mechanism, key, bytes(16), OPEN)
        good(rv)
        return m.read(s, shown, ck.CKA_VALUE)

    rv, trojan = m.unwrap(s, m.mechanism(KWP), key, kwp(encrypt, TROJAN), WRAPS)
    good(rv)
    assert is_no_secret(m, s, trojan)


@pytest.mark.parametrize("number", [ck.CKM_AES_OFB, ck.CKM_AES_CFB128, ck.CKM_AES_CTS])
def test_a_key_made_up_by_wrapping_chosen_blocks_is_no_secret(user: tuple[Module, int], number: int) -> None:
    m, s = user
    wrapping = m.aes(s)

    def encrypt(block: bytes) -> bytes:
        given, iv = (block, bytes(16)) if number == ck.CKM_AES_CTS else (bytes([1]) * 16, block)
        rv, blob = m.wrap(s, m.mechanism(number, iv), wrapping, m.make(s, {**OPEN, ck.CKA_VALUE: given}))
        good(rv)
        return blob if number == ck.CKM_AES_CTS else bytes(a ^ 1 for a in blob)

    rv, trojan = m.unwrap(s, m.mechanism(KWP), wrapping, kwp(encrypt, TROJAN), WRAPS)
    good(rv)
    assert is_no_secret(m, s, trojan)


def test_gmac_is_encryption(user: tuple[Module, int]) -> None:
    """Over no data its tag is a block encrypted, and with tags under one IV any block can be had (Joux, 2006)."""
    m, s = user
    value, iv = bytes(range(32)), b"twelve bytes"
    shown = m.make(s, {**AES, ck.CKA_VALUE: value, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True})
    rv, tag = m.use("Sign", s, gcm(m, ck.CKM_AES_GMAC, iv), shown, b"")
    good(rv)
    assert tag == m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), shown, iv + bytes(3) + b"\1")[1]
    key = m.aes(s)
    good(m.use("Sign", s, gcm(m, ck.CKM_AES_GMAC, iv), key, b"data")[0])
    assert m.read(s, key, ck.CKA_UNWRAP) == b"\0"
    assert name(m.unwrap(s, m.mechanism(KWP), key, bytes(40), AES)[0]) == NEVER


@pytest.mark.parametrize("use", ["gmac", "derive"])
def test_a_key_that_has_unwrapped_encrypts_under_no_other_name(user: tuple[Module, int], use: str) -> None:
    m, s = user
    outer, key, inner = m.aes(s), m.aes(s, extractable=True), m.aes(s, extractable=True)
    rv, blob = m.wrap(s, m.mechanism(KWP), key, inner)
    good(rv)
    good(m.wrap(s, m.mechanism(KWP), outer, key)[0])
    good(m.unwrap(s, m.mechanism(KWP), key, blob, AES)[0])
    if use == "gmac":
        assert name(m.C_SignInit(s, gcm(m, ck.CKM_AES_GMAC, bytes(12)), key)) == NEVER
        good(m.C_SignInit(s, m.mechanism(ck.CKM_AES_CMAC), key))
        good(m.C_SignInit(s, ffi.NULL, 0))
    else:
        assert name(m.derive(s, encrypt_data(m, bytes(32)), key, GENERIC)[0]) == NEVER


def test_deriving_by_encryption_is_encryption(user: tuple[Module, int]) -> None:
    """The result is as sensitive as its base, and yet nobody's secret; a wrapping key unwraps no more."""
    m, s = user
    key, target = m.aes(s), m.aes(s, extractable=True)
    for weaker in ({ck.CKA_SENSITIVE: False}, {ck.CKA_EXTRACTABLE: True}):
        rv, _ = m.derive(s, encrypt_data(m, bytes(32)), key, {**GENERIC, **weaker})
        assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
    assert name(m.derive(s, encrypt_data(m, bytes(16)), key, {**GENERIC, ck.CKA_VALUE_LEN: 13})[0]) == (
        "CKR_KEY_SIZE_RANGE"
    )
    assert m.read(s, key, ck.CKA_UNWRAP) == b"\1"  # what gave nothing costs nothing
    rv, blob = m.wrap(s, m.mechanism(KWP), key, target)
    good(rv)
    rv, made = m.derive(s, encrypt_data(m, blob[:32]), key, {**WRAPS, ck.CKA_VALUE_LEN: 32})
    good(rv)
    assert is_no_secret(m, s, made)
    assert m.read(s, key, ck.CKA_UNWRAP) == b"\0"
    assert name(m.unwrap(s, m.mechanism(KWP), key, blob, AES)[0]) == NEVER


@pytest.mark.parametrize(("out", "back"), [(PKCS7, ck.CKM_AES_KEY_WRAP), (ck.CKM_AES_KEY_WRAP, PKCS7)])
def test_a_key_comes_back_without_padding_put_on_or_taken_off(user: tuple[Module, int], out: int, back: int) -> None:
    """Wrapped by one and unwrapped by the other it would be longer or shorter by bytes that everybody knows, and
    extractable though its owner has taken that back."""
    m, s = user
    wrapping, value = m.aes(s), os.urandom(24) + (b"" if out == PKCS7 else bytes([8]) * 8)
    key = m.make(s, {**GENERIC, ck.CKA_VALUE: value, ck.CKA_EXTRACTABLE: True})
    rv, blob = m.wrap(s, m.mechanism(out), wrapping, key)
    good(rv)
    good(m.change(s, key, {ck.CKA_EXTRACTABLE: False}))
    for rows in (AES, GENERIC, {**GENERIC, ck.CKA_EXTRACTABLE: True}):
        assert name(m.unwrap(s, m.mechanism(back), wrapping, blob, rows)[0]) == "CKR_WRAPPED_KEY_LEN_RANGE"
    good(m.unwrap(s, m.mechanism(out), wrapping, blob, GENERIC)[0])


def test_macs_cut_short_do_not_tell_the_whole(user: tuple[Module, int]) -> None:
    """256 guesses a byte would find any MAC of a key that may only verify, were each length to be had."""
    m, s = user
    keys = {
        ck.CKM_AES_CMAC_GENERAL: m.aes(s, sign=False),
        ck.CKM_SHA256_HMAC_GENERAL: m.make(s, {**GENERIC, ck.CKA_VALUE: bytes(32), ck.CKA_SIGN: False}),
    }
    for number, key in keys.items():
        for length in (1, 7):
            assert name(m.C_VerifyInit(s, m.mechanism(number, ulong(length)), key)) == PARAM
        good(m.C_VerifyInit(s, m.mechanism(number, ulong(8)), key))
        good(m.C_VerifyInit(s, ffi.NULL, 0))


@pytest.mark.parametrize(("iv", "tag"), [(bytes(11), 128), (bytes(12), 88), (bytes(12), 32)])
def test_gmac_with_a_sensitive_key_is_not_weak(user: tuple[Module, int], iv: bytes, tag: int) -> None:
    m, s = user
    assert name(m.C_SignInit(s, gcm(m, ck.CKM_AES_GMAC, iv, tag), m.aes(s))) == PARAM
    assert name(m.C_VerifyInit(s, gcm(m, ck.CKM_AES_GMAC, iv, tag), m.aes(s))) == PARAM


@pytest.mark.parametrize(("nonce", "tag"), [(bytes(11), 16), (bytes(7), 16), (bytes(12), 10), (bytes(13), 4)])
def test_ccm_with_a_sensitive_key_is_not_weak(user: tuple[Module, int], nonce: bytes, tag: int) -> None:
    m, s = user
    assert name(m.C_EncryptInit(s, ccm(m, nonce, 1, tag), m.aes(s))) == PARAM
    assert name(m.C_DecryptInit(s, ccm(m, nonce, 1, tag), m.aes(s))) == PARAM


def test_one_nonce_serves_a_secret_token_key_once(user: tuple[Module, int]) -> None:
    """For GCM or GMAC, whose blocks are the same; for CCM; whatever the library grants by itself."""
    m, s = user
    key, iv = m.aes(s, token=True), b"twelve bytes"
    good(m.use("Sign", s, gcm(m, ck.CKM_AES_GMAC, iv), key, b"data")[0])
    for _ in range(3):
        assert name(m.C_SignInit(s, gcm(m, ck.CKM_AES_GMAC, iv), key)) == PARAM
    assert name(m.C_EncryptInit(s, gcm(m, ck.CKM_AES_GCM, iv), key)) == PARAM
    good(m.C_VerifyInit(s, gcm(m, ck.CKM_AES_GMAC, iv), key))
    good(m.C_VerifyInit(s, ffi.NULL, 0))
    good(m.use("Encrypt", s, ccm(m, iv, 4), key, b"data")[0])
    assert name(m.C_EncryptInit(s, ccm(m, iv, 4), key)) == PARAM
    good(m.use("Encrypt", s, ccm(m, iv + b"!", 4), key, b"data")[0])
    good(m.C_DestroyObject(s, key))


def test_two_signatures_begun_under_one_nonce(user: tuple[Module, int]) -> None:
    m, s = user
    key, other = m.aes(s, token=True), m.session()
    for session in (s, other):
        good(m.C_SignInit(session, gcm(m, ck.CKM_AES_GMAC, bytes(12)), key))
    good(m.output(m.C_Sign, s, b"data", 4)[0])
    assert name(m.output(m.C_Sign, other, b"data", 4)[0]) == "CKR_FUNCTION_FAILED"
    good(m.C_DestroyObject(s, key))
    good(m.C_CloseSession(other))


@pytest.mark.parametrize("by", ["decrypt", "unwrap"])
def test_a_key_made_up_by_macs_is_no_secret(user: tuple[Module, int], by: str) -> None:
    """A CMAC of one block is that block and a mask, encrypted; the mask shows by decrypting one such MAC, or by
    unwrapping it in the clear. From then on MACs are encryption at will, and a KWP can be put together."""
    m, s = user
    key, ecb, cmac = m.aes(s), m.mechanism(ck.CKM_AES_ECB), m.mechanism(ck.CKM_AES_CMAC)

    def sign(block: bytes) -> bytes:
        rv, mac = m.use("Sign", s, cmac, key, block)
        good(rv)
        return mac

    mac = sign(bytes(16))
    if by == "decrypt":
        rv, mask = m.use("Decrypt", s, ecb, key, mac)
    else:
        rv, shown = m.unwrap(s, ecb, key, mac, {**OPEN, ck.CKA_VALUE_LEN: 16})
        mask = m.read(s, shown, ck.CKA_VALUE)
    good(rv)

    def encrypt(block: bytes) -> bytes:
        return sign(bytes(a ^ b for a, b in zip(block, mask, strict=True)))

    rv, trojan = m.unwrap(s, m.mechanism(KWP), key, kwp(encrypt, TROJAN), WRAPS)
    good(rv)
    assert is_no_secret(m, s, trojan)


@pytest.mark.parametrize("by", ["decrypt", "unwrap"])
def test_refusals_cost_what_answers_do(user: tuple[Module, int], by: str) -> None:
    """Of 256 last bytes 255 give wrong padding: who is refused so often knows a block without a single answer."""
    m, s = user
    key, private = m.aes(s), {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC}
    pad = m.mechanism(ck.CKM_AES_CBC_PAD, bytes(16))
    if by == "decrypt":
        assert name(m.use("Decrypt", s, pad, key, bytes(32))[0]) == "CKR_ENCRYPTED_DATA_INVALID"
    else:
        assert name(m.unwrap(s, pad, key, bytes(32), private)[0]) == "CKR_WRAPPED_KEY_INVALID"
    lost = {"decrypt": ck.CKA_WRAP, "unwrap": ck.CKA_ENCRYPT}[by]
    assert m.read(s, key, lost) == b"\0"
    assert name(m.change(s, key, {lost: True})) == "CKR_ATTRIBUTE_READ_ONLY"
