"""Signatures that give back what was signed, through the C ABI: against cryptography, and by every call's rules."""

from __future__ import annotations

import hashlib

import pytest
from abi import NULL, Module, ffi, good, name
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from hsm.mechanisms import registry
from pkcs11_shim import constants as ck

RSA = ck.CKM_RSA_PKCS
ROOM = 256 - 11  # of PKCS #1 v1.5 in a modulus of 256 bytes
LONGEST = bytes(range(ROOM))


@pytest.fixture(scope="module")
def outside() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def imported(m: Module, s: int, key: rsa.RSAPrivateKey, **flags: bool) -> tuple[int, int]:
    """Both halves of a pair from outside; ``flags``: of the private one."""
    numbers = key.private_numbers()
    big = {
        ck.CKA_MODULUS: numbers.public_numbers.n, ck.CKA_PUBLIC_EXPONENT: numbers.public_numbers.e,
        ck.CKA_PRIVATE_EXPONENT: numbers.d, ck.CKA_PRIME_1: numbers.p, ck.CKA_PRIME_2: numbers.q,
        ck.CKA_EXPONENT_1: numbers.dmp1, ck.CKA_EXPONENT_2: numbers.dmq1, ck.CKA_COEFFICIENT: numbers.iqmp,
    }
    values = {number: value.to_bytes((value.bit_length() + 7) // 8, "big") for number, value in big.items()}
    public = {n: values[n] for n in (ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT)}
    kind = {ck.CKA_KEY_TYPE: ck.CKK_RSA}
    given = {getattr(ck, f"CKA_{n.upper()}"): v for n, v in flags.items()}
    return (
        m.make(s, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, **kind, **public}),
        m.make(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, **kind, **values, **given}),
    )


def recovered(m: Module, s: int, key: int, signature: bytes, size: int = 4096) -> tuple[str, bytes]:
    good(m.C_VerifyRecoverInit(s, m.mechanism(RSA), key))
    rv, data = m.output(m.C_VerifyRecover, s, signature, len(signature), size=size)
    return name(rv), data


@pytest.mark.parametrize("data", [b"", b"x", LONGEST], ids=["nothing", "one byte", "as much as fits"])
def test_a_recoverable_signature_is_pkcs1s_and_gives_its_data_back(
    user: tuple[Module, int], outside: rsa.RSAPrivateKey, data: bytes
) -> None:
    m, s = user
    public, private = imported(m, s, outside)
    rv, signature = m.use("SignRecover", s, m.mechanism(RSA), private, data)
    good(rv)
    assert signature == outside.sign(data, padding.PKCS1v15(), utils.NoDigestInfo())
    assert recovered(m, s, public, signature) == ("CKR_OK", data)
    good(m.verify(s, m.mechanism(RSA), public, data, signature))


@pytest.mark.parametrize("number", sorted({ck.CKM_RSA_X_509} & set(registry.MECHANISMS)))
def test_raw_rsa_gives_back_a_number_as_long_as_the_modulus(
    user: tuple[Module, int], outside: rsa.RSAPrivateKey, number: int
) -> None:
    """Where it is offered: the padding is the caller's, and zeros go before what is shorter."""
    m, s = user
    public, private = imported(m, s, outside)
    padded = b"\0\1" + b"\xff" * 249 + b"\0data"
    for data in (b"data", padded):
        rv, signature = m.use("SignRecover", s, m.mechanism(number), private, data)
        good(rv)
        good(m.C_VerifyRecoverInit(s, m.mechanism(number), public))
        assert m.output(m.C_VerifyRecover, s, signature, 256) == (ck.CKR_OK, data.rjust(256, b"\0"))
    assert signature == outside.sign(b"data", padding.PKCS1v15(), utils.NoDigestInfo())
    for wrong, code in ((b"\xff" * 256, "CKR_SIGNATURE_INVALID"), (bytes(255), "CKR_SIGNATURE_LEN_RANGE")):
        good(m.C_VerifyRecoverInit(s, m.mechanism(number), public))
        assert name(m.output(m.C_VerifyRecover, s, wrong, len(wrong), size=1)[0]) == code


def test_what_is_recovered_of_a_signature_with_appendix_is_its_digest_info(
    user: tuple[Module, int], outside: rsa.RSAPrivateKey
) -> None:
    """RFC 8017, section 9.2: the DER of SHA-256's DigestInfo, and the digest."""
    m, s = user
    public, _ = imported(m, s, outside)
    signature = outside.sign(b"a message", padding.PKCS1v15(), hashes.SHA256())
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(b"a message").digest()
    assert recovered(m, s, public, signature) == ("CKR_OK", info)


def test_what_is_no_signature_is_told_before_a_buffer_too_small(
    user: tuple[Module, int], outside: rsa.RSAPrivateKey
) -> None:
    m, s = user
    public, private = imported(m, s, outside)
    rv, signature = m.use("SignRecover", s, m.mechanism(RSA), private, b"data")
    good(rv)
    altered = signature[:-1] + bytes([signature[-1] ^ 1])
    encrypted = outside.public_key().encrypt(b"data", padding.PKCS1v15())
    for wrong in (altered, bytes(256), b"\xff" * 256, encrypted):
        assert recovered(m, s, public, wrong, size=1)[0] == "CKR_SIGNATURE_INVALID"
        assert name(m.output(m.C_VerifyRecover, s, signature, 256)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    for length in (0, 1, 255):
        assert recovered(m, s, public, signature[:length], size=1)[0] == "CKR_SIGNATURE_LEN_RANGE"
    assert recovered(m, s, public, signature + b"\0", size=1)[0] == "CKR_SIGNATURE_LEN_RANGE"


def test_what_was_recovered_waits_for_enough_room(user: tuple[Module, int], outside: rsa.RSAPrivateKey) -> None:
    m, s = user
    public, private = imported(m, s, outside)
    good(m.C_SignRecoverInit(s, m.mechanism(RSA), private))
    length = ffi.new("CK_ULONG*", 7)
    good(m.C_SignRecover(s, b"data", 4, NULL, length))
    assert length[0] == 256
    assert name(m.output(m.C_SignRecover, s, b"data", 4, size=255)[0]) == "CKR_BUFFER_TOO_SMALL"
    rv, signature = m.output(m.C_SignRecover, s, b"data", 4)
    good(rv)
    assert name(m.output(m.C_SignRecover, s, b"data", 4)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_VerifyRecoverInit(s, m.mechanism(RSA), public))
    good(m.C_VerifyRecover(s, signature, 256, NULL, length))
    assert length[0] == ROOM
    length[0] = 3
    assert name(m.C_VerifyRecover(s, signature, 256, ffi.new("CK_BYTE[3]"), length)) == "CKR_BUFFER_TOO_SMALL"
    assert length[0] == 4
    assert name(m.output(m.C_VerifyRecover, s, bytes(256), 256)[0]) == "CKR_SIGNATURE_INVALID"
    good(m.C_VerifyRecoverInit(s, m.mechanism(RSA), public))
    assert m.output(m.C_VerifyRecover, s, signature, 256, size=4) == (ck.CKR_OK, b"data")


def test_recovery_has_flags_of_its_own_which_are_true_on_rsa_keys_unless_said(
    user: tuple[Module, int], outside: rsa.RSAPrivateKey
) -> None:
    m, s = user
    public, private = imported(m, s, outside)
    assert m.read(s, public, ck.CKA_VERIFY_RECOVER) == m.read(s, private, ck.CKA_SIGN_RECOVER) == b"\1"
    good(m.change(s, public, {ck.CKA_VERIFY_RECOVER: False}))
    assert name(m.C_VerifyRecoverInit(s, m.mechanism(RSA), public)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    good(m.C_VerifyInit(s, m.mechanism(RSA), public))
    _, only = imported(m, s, outside, sign=False)
    assert name(m.C_SignInit(s, m.mechanism(RSA), only)) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    good(m.use("SignRecover", s, m.mechanism(RSA), only, b"data")[0])
    rv, one, two = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}, {})
    good(rv)
    assert m.read(s, one, ck.CKA_VERIFY_RECOVER) == m.read(s, two, ck.CKA_SIGN_RECOVER) == b"\0"


def test_a_signature_and_one_with_recovery_are_two_operations(
    user: tuple[Module, int], outside: rsa.RSAPrivateKey
) -> None:
    m, s = user
    public, private = imported(m, s, outside)
    good(m.C_SignInit(s, m.mechanism(RSA), private))
    good(m.C_SignRecoverInit(s, m.mechanism(RSA), private))
    good(m.C_VerifyInit(s, m.mechanism(RSA), public))
    good(m.C_VerifyRecoverInit(s, m.mechanism(RSA), public))
    good(m.C_SessionCancel(s, ck.CKF_SIGN_RECOVER | ck.CKF_VERIFY_RECOVER))
    assert name(m.output(m.C_SignRecover, s, b"x", 1)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(m.output(m.C_VerifyRecover, s, bytes(256), 256)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    rv, signature = m.output(m.C_Sign, s, b"x", 1)
    good(rv)
    good(m.C_Verify(s, b"x", 1, signature, 256))


def test_a_recovery_without_a_mechanism_is_cancelled(user: tuple[Module, int], outside: rsa.RSAPrivateKey) -> None:
    m, s = user
    public, private = imported(m, s, outside)
    for init, key in ((m.C_SignRecoverInit, private), (m.C_VerifyRecoverInit, public)):
        assert name(init(s, NULL, key)) == "CKR_ARGUMENTS_BAD"
        for _ in range(2):
            good(init(s, m.mechanism(RSA), key))
            good(init(s, NULL, key))
