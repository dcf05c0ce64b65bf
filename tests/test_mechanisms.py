"""What only some mechanisms have: points that are none, keys too short for a padding, the units of sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from abi import NULL, ffi, good, name
from vectors import Bench, bench_of_its_own, number
from vectors_agreement import agreement
from vectors_ec import CURVES, SECRET, octet_string, point
from vectors_rsa import oaep, pss

from pkcs11_shim import constants as ck

VALUE = "CKR_ATTRIBUTE_VALUE_INVALID"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own(legacy=True) as opened:
        yield opened


def aes(bench: Bench) -> int:
    return bench.secret(b"0123456789abcdef")


def ec_private(bench: Bench) -> int:
    return bench.private(ck.CKK_EC, ec_params=CURVES["P-256"][2], value=b"\x11" * 32)


def mechanism(bench: Bench, number_: int, parameter: Any) -> Any:
    bench.mechanism(number_)
    return bench.m.mechanism(number_, parameter(bench) if callable(parameter) else parameter)


@pytest.mark.parametrize("length", [1, 20, 33, 64, 65, 200, 5000])
def test_raw_ecdsa_takes_digests_of_any_length(bench: Bench, length: int) -> None:
    """The leftmost bits count: cut to them, the digest has the same signatures."""
    data, key = (bytes(range(1, 251)) * 20)[:length], ec_private(bench)
    public = bench.public(
        ck.CKK_EC, ec_params=CURVES["P-256"][2], ec_point=bench.m.read(bench.s, key, ck.CKA_EC_POINT)
    )
    plain = mechanism(bench, ck.CKM_ECDSA, None)
    signature = bench.sign(plain, key, data)
    bench.verify(plain, public, data, signature)
    if len(data) > 32:
        bench.verify(plain, public, data[:32], signature)
    bench.verify(plain, public, bytes([data[0] ^ 1]) + data[1:], signature, "CKR_SIGNATURE_INVALID")


def test_keys_too_short_for_a_padding(bench: Bench) -> None:
    """At Init, or under the code of the wrapping key."""
    m, s = bench.m, bench.s
    rv, public, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {ck.CKA_MODULUS_BITS: 1024}, {})
    good(rv)
    long = mechanism(bench, ck.CKM_RSA_PKCS_OAEP, oaep("SHA512", "SHA512"))
    assert name(m.C_EncryptInit(s, long, public)) == "CKR_KEY_SIZE_RANGE"
    assert name(m.C_DecryptInit(s, long, private)) == "CKR_KEY_SIZE_RANGE"
    assert name(m.wrap(s, long, public, aes(bench))[0]) == "CKR_WRAPPING_KEY_SIZE_RANGE"
    assert bench.unwrap(long, private, bytes(128), SECRET)[0] == "CKR_UNWRAPPING_KEY_SIZE_RANGE"
    small = {"modulus": number("c" + "5" * 127), "public_exponent": number("10001")}
    old = bench.public(ck.CKK_RSA, **small)
    good(m.C_VerifyInit(s, mechanism(bench, ck.CKM_SHA256_RSA_PKCS, None), old))
    good(m.C_VerifyInit(s, NULL, 0))
    for number_, parameter in ((ck.CKM_SHA512_RSA_PKCS, None), (ck.CKM_SHA512_RSA_PKCS_PSS, pss("SHA512", 0))):
        assert name(m.C_VerifyInit(s, mechanism(bench, number_, parameter), old)) == "CKR_KEY_SIZE_RANGE"


NONE = point("P-256", "100", "1")  # off the curve


@pytest.mark.parametrize("peer", [
    b"\x00", b"\x04" + bytes(64), b"\x04\x41\x00", NONE, NONE[:-1], NONE + b"\0", octet_string(NONE)[:-1],
    b"\x02" + b"\xff" * 32, bytes(65), b"\x05" + bytes(32),
])
def test_points_that_are_none(bench: Bench, peer: bytes) -> None:
    """Infinity, out of range, off the curve, cut short, of an unknown form: none of them is ever multiplied."""
    key = ec_private(bench)
    assert name(bench.m.derive(bench.s, agreement(bench, peer), key, SECRET)[0]) == "CKR_PUBLIC_KEY_INVALID"
    rows = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: CURVES["P-256"][2]}
    assert name(bench.m.create(bench.s, {**rows, ck.CKA_EC_POINT: peer})[0]) == VALUE


@pytest.mark.parametrize(("rows", "length"), [({}, 32), ({ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 24}, 24)])
def test_lengths_of_agreed_keys(bench: Bench, rows: Any, length: int) -> None:
    key = ec_private(bench)
    own = bench.m.read(bench.s, key, ck.CKA_EC_POINT)
    rv, made = bench.m.derive(bench.s, agreement(bench, own), key, {**SECRET, **rows})
    good(rv)
    assert len(bench.m.read(bench.s, made, ck.CKA_VALUE)) == length


def test_mechanism_info_is_in_the_units_of_each_family(bench: Bench) -> None:
    info = ffi.new("CK_MECHANISM_INFO*")
    ec = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_CURVENAME | ck.CKF_EC_ECPARAMETERS
    ec |= ck.CKF_EC_UNCOMPRESS | ck.CKF_EC_COMPRESS
    edwards = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_CURVENAME | ck.CKF_EC_COMPRESS
    signing, cipher = ck.CKF_SIGN | ck.CKF_VERIFY, ck.CKF_ENCRYPT | ck.CKF_DECRYPT | ck.CKF_WRAP | ck.CKF_UNWRAP
    recovery = ck.CKF_SIGN_RECOVER | ck.CKF_VERIFY_RECOVER
    for number_, smallest, largest, flags in (
        (ck.CKM_RSA_PKCS_KEY_PAIR_GEN, 1024, 8192, ck.CKF_GENERATE_KEY_PAIR),
        (ck.CKM_RSA_PKCS, 1024, 16384, signing | recovery | cipher), (ck.CKM_SHA256_RSA_PKCS_PSS, 1024, 16384, signing),
        (ck.CKM_RSA_PKCS_OAEP, 1024, 16384, cipher),
        (ck.CKM_RSA_AES_KEY_WRAP, 1024, 16384, ck.CKF_WRAP | ck.CKF_UNWRAP),
        (ck.CKM_EC_KEY_PAIR_GEN, 192, 521, ck.CKF_GENERATE_KEY_PAIR | ec), (ck.CKM_ECDSA, 192, 521, signing | ec),
        (ck.CKM_ECDH1_DERIVE, 192, 521, ck.CKF_DERIVE | ec),
        (ck.CKM_ECDH1_COFACTOR_DERIVE, 192, 521, ck.CKF_DERIVE | ec),
        (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, 255, 448, ck.CKF_GENERATE_KEY_PAIR | edwards),
        (ck.CKM_EDDSA, 255, 448, signing | edwards),
        (ck.CKM_AES_KEY_GEN, 16, 32, ck.CKF_GENERATE),
        (ck.CKM_AES_GCM, 16, 32, cipher | ck.CKF_MESSAGE_ENCRYPT | ck.CKF_MESSAGE_DECRYPT),
        (ck.CKM_AES_CMAC, 16, 32, signing), (ck.CKM_AES_KEY_WRAP_KWP, 16, 32, cipher),
        (ck.CKM_GENERIC_SECRET_KEY_GEN, 8, 32768, ck.CKF_GENERATE), (ck.CKM_SHA256_KEY_GEN, 1, 4096, ck.CKF_GENERATE),
        (ck.CKM_SHA3_512, 0, 0, ck.CKF_DIGEST),
    ):
        good(bench.m.C_GetMechanismInfo(0, number_, info))
        assert (info.ulMinKeySize, info.ulMaxKeySize, info.flags) == (smallest, largest, flags), hex(number_)
