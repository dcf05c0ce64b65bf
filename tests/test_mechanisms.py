"""What mechanisms answer to parameters, data and keys that are wrong: each code as the standard has it for the call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from abi import NULL, ffi, good, name, ulong
from vectors import Bench, bench_of_its_own, number
from vectors_agreement import agreement
from vectors_ec import CURVES, ED25519, SECRET, octet_string, point
from vectors_openssl import rsa_key
from vectors_rsa import oaep, pss
from vectors_symmetric import counter, gcm_parameter

from hsm.mechanisms import registry
from pkcs11_shim import constants as ck

PARAM = "CKR_MECHANISM_PARAM_INVALID"
VALUE = "CKR_ATTRIBUTE_VALUE_INVALID"
Make = Callable[[Bench], Any]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own(legacy=True) as opened:
        yield opened


def aes(bench: Bench) -> int:
    return bench.secret(b"0123456789abcdef")


def hmac_key(bench: Bench) -> int:
    return bench.secret(b"0123456789abcdef", ck.CKK_GENERIC_SECRET)


def rsa_public(bench: Bench) -> int:
    numbers = rsa_key().public_key().public_numbers()
    return bench.public(ck.CKK_RSA, modulus=number(f"{numbers.n:x}"), public_exponent=number(f"{numbers.e:x}"))


def rsa_private(bench: Bench) -> int:
    known = rsa_key().private_numbers()
    values = {"modulus": known.public_numbers.n, "public_exponent": known.public_numbers.e, "private_exponent": known.d}
    return bench.private(ck.CKK_RSA, **{field: number(f"{value:x}") for field, value in values.items()})


def ec_private(bench: Bench) -> int:
    return bench.private(ck.CKK_EC, ec_params=CURVES["P-256"][2], value=b"\x11" * 32)


def ed_private(bench: Bench) -> int:
    return bench.private(ck.CKK_EC_EDWARDS, ec_params=ED25519, value=b"\x22" * 32)


def structure(kind: str, **fields: Any) -> Make:
    return lambda bench: bench.m.structure(kind, **fields)


def mechanism(bench: Bench, number_: int, parameter: Any) -> Any:
    bench.mechanism(number_)
    return bench.m.mechanism(number_, parameter(bench) if callable(parameter) else parameter)


OAEP = {"hashAlg": ck.CKM_SHA256, "mgf": ck.CKG_MGF1_SHA256, "source": ck.CKZ_DATA_SPECIFIED}
IV = bytes(12)
WRONG_PARAMETERS: list[tuple[str, int, Callable[[Bench], int], Any]] = [
    ("Encrypt", ck.CKM_AES_ECB, aes, b"x"),
    *[("Encrypt", number_, aes, wrong) for number_ in (ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD)
      for wrong in (None, bytes(15), bytes(17))],
    *[("Encrypt", ck.CKM_AES_CTR, aes, counter(bits, bytes(16))) for bits in (0, 129, 2**63)],
    ("Encrypt", ck.CKM_AES_CTR, aes, None), ("Encrypt", ck.CKM_AES_CTR, aes, bytes(16)),
    *[("Encrypt", ck.CKM_AES_GCM, aes, gcm_parameter(iv, b"", 128)) for iv in (b"", bytes(7), bytes(129))],
    *[("Encrypt", ck.CKM_AES_GCM, aes, gcm_parameter(IV, b"", bits)) for bits in (0, 24, 100, 136, 2**63)],
    ("Encrypt", ck.CKM_AES_GCM, aes, None), ("Encrypt", ck.CKM_AES_GCM, aes, IV),
    ("Encrypt", ck.CKM_AES_KEY_WRAP, aes, bytes(8)), ("Encrypt", ck.CKM_AES_KEY_WRAP, aes, b"\xa6" * 7),
    ("Encrypt", ck.CKM_AES_KEY_WRAP_KWP, aes, bytes(4)),
    ("Sign", ck.CKM_AES_CMAC, aes, b"x"), ("Sign", ck.CKM_SHA256_HMAC, hmac_key, b"x"),
    *[("Sign", ck.CKM_SHA256_HMAC_GENERAL, hmac_key, wrong)
      for wrong in (None, b"\x10", ulong(0), ulong(33), ulong(2**63), bytes(9))],
    ("Sign", ck.CKM_RSA_PKCS, rsa_private, b"x"), ("Sign", ck.CKM_SHA256_RSA_PKCS, rsa_private, b"x"),
    ("Encrypt", ck.CKM_RSA_PKCS, rsa_public, b"x"),
    *[("Sign", number_, rsa_private, wrong)
      for number_ in (ck.CKM_RSA_PKCS_PSS, ck.CKM_SHA256_RSA_PKCS_PSS)
      for wrong in (None, bytes(23), structure("CK_RSA_PKCS_PSS_PARAMS", hashAlg=ck.CKM_MD5, mgf=1, sLen=20),
                    structure("CK_RSA_PKCS_PSS_PARAMS", hashAlg=ck.CKM_SHA256, mgf=0, sLen=20),
                    pss("SHA256", 223), pss("SHA256", 2**63))],
    ("Sign", ck.CKM_SHA256_RSA_PKCS_PSS, rsa_private, pss("SHA1", 20)),
    *[("Encrypt", ck.CKM_RSA_PKCS_OAEP, rsa_public, structure("CK_RSA_PKCS_OAEP_PARAMS", **{**OAEP, **wrong}))
      for wrong in ({"hashAlg": ck.CKM_MD5}, {"mgf": 0}, {"mgf": 99}, {"source": 2},
                    {"source": 0, "pSourceData": b"label", "ulSourceDataLen": 5})],
    ("Encrypt", ck.CKM_RSA_PKCS_OAEP, rsa_public, None), ("Encrypt", ck.CKM_RSA_PKCS_OAEP, rsa_public, bytes(39)),
    ("Sign", ck.CKM_ECDSA, ec_private, b"x"), ("Sign", ck.CKM_ECDSA_SHA256, ec_private, b"x"),
    ("Sign", ck.CKM_EDDSA, ed_private, structure("CK_EDDSA_PARAMS", phFlag=1)),
    ("Sign", ck.CKM_EDDSA, ed_private, structure("CK_EDDSA_PARAMS", pContextData=b"c", ulContextDataLen=1)),
    ("Sign", ck.CKM_EDDSA, ed_private, bytes(3)),
]


@pytest.mark.parametrize(("what", "number_", "key", "parameter"), WRONG_PARAMETERS)
def test_wrong_parameters(bench: Bench, what: str, number_: int, key: Any, parameter: Any) -> None:
    start = getattr(bench.m, f"C_{what}Init")
    handle = key(bench)
    assert name(start(bench.s, mechanism(bench, number_, parameter), handle)) == PARAM
    finish = getattr(bench.m, f"C_{what}Final")
    assert name(finish(bench.s, NULL, ffi.new("CK_ULONG*"))) == "CKR_OPERATION_NOT_INITIALIZED"


@pytest.mark.parametrize("fields", [
    {"ulAESKeyBits": 100}, {"ulAESKeyBits": 0}, {"ulAESKeyBits": 2**63}, {"pOAEPParams": NULL}, {"hashAlg": ck.CKM_MD5},
])
def test_wrong_parameters_of_rsa_aes_key_wrap(bench: Bench, fields: dict[str, Any]) -> None:
    m, s = bench.m, bench.s
    keys = rsa_public(bench), rsa_private(bench), aes(bench)
    bench.mechanism(ck.CKM_RSA_AES_KEY_WRAP)
    inner = m.structure("CK_RSA_PKCS_OAEP_PARAMS", **{**OAEP, **{f: v for f, v in fields.items() if f == "hashAlg"}})
    outer = {"ulAESKeyBits": 256, "pOAEPParams": inner, **{f: v for f, v in fields.items() if f != "hashAlg"}}
    given = m.mechanism(ck.CKM_RSA_AES_KEY_WRAP, m.structure("CK_RSA_AES_KEY_WRAP_PARAMS", **outer))
    assert name(m.wrap(s, given, keys[0], keys[2])[0]) == PARAM
    assert bench.unwrap(given, keys[1], bytes(300), SECRET)[0] == PARAM


@pytest.mark.parametrize("number_", [n for n, row in registry.MECHANISMS.items() if row.digest or row.generate])
def test_digests_and_key_generation_take_no_parameter(bench: Bench, number_: int) -> None:
    given = mechanism(bench, number_, b"x")
    if registry.MECHANISMS[number_].digest:
        assert name(bench.m.C_DigestInit(bench.s, given)) == PARAM
    else:
        assert name(bench.m.generate(bench.s, number_, {ck.CKA_VALUE_LEN: 16}, b"x")[0]) == PARAM


SINGLE_PART = [
    ("Sign", ck.CKM_RSA_PKCS, rsa_private, None), ("Sign", ck.CKM_RSA_PKCS_PSS, rsa_private, pss("SHA256", 32)),
    ("Sign", ck.CKM_ECDSA, ec_private, None), ("Encrypt", ck.CKM_RSA_PKCS, rsa_public, None),
    ("Encrypt", ck.CKM_RSA_PKCS_OAEP, rsa_public, oaep("SHA256", "SHA256")),
    ("Encrypt", ck.CKM_AES_KEY_WRAP, aes, None), ("Encrypt", ck.CKM_AES_KEY_WRAP_KWP, aes, None),
    ("Decrypt", ck.CKM_AES_KEY_WRAP, aes, None),
    ("Decrypt", ck.CKM_RSA_PKCS, rsa_private, None),
]


@pytest.mark.parametrize(("what", "number_", "key", "parameter"), SINGLE_PART)
@pytest.mark.parametrize("room", [None, 0, 4096])
def test_mechanisms_of_one_part(bench: Bench, what: str, number_: int, key: Any, parameter: Any, room: Any) -> None:
    """Update finds no operation to go on with, and ends it; so does Final."""
    m, s, over = bench.m, bench.s, "CKR_OPERATION_NOT_INITIALIZED"
    handle = key(bench)
    given = mechanism(bench, number_, parameter)
    space = NULL if room is None else ffi.new("CK_BYTE[]", max(room, 1))
    length = ffi.new("CK_ULONG*", room or 0)
    good(getattr(m, f"C_{what}Init")(s, given, handle))
    output = () if what == "Sign" else (space, length)
    assert name(getattr(m, f"C_{what}Update")(s, b"16 bytes of data", 16, *output)) == over
    assert name(m.output(getattr(m, f"C_{what}"), s, b"x", 1)[0]) == over
    good(getattr(m, f"C_{what}Init")(s, given, handle))
    if what != "Sign" or room is not None:
        assert name(getattr(m, f"C_{what}Final")(s, space, length)) == over
        assert name(m.output(getattr(m, f"C_{what}"), s, b"x", 1)[0]) == over
    else:
        good(m.C_SignInit(s, NULL, 0))


WRONG_DATA = [
    ("Encrypt", ck.CKM_AES_ECB, aes, None, 15, "CKR_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_ECB, aes, None, 17, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Encrypt", ck.CKM_AES_CBC, aes, bytes(16), 17, "CKR_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_CBC, aes, bytes(16), 15, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_CBC_PAD, aes, bytes(16), 0, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_CBC_PAD, aes, bytes(16), 15, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_CBC_PAD, aes, bytes(16), 32, "CKR_ENCRYPTED_DATA_INVALID"),
    ("Encrypt", ck.CKM_AES_CTR, aes, counter(8, b"\xfe" * 16), 33, "CKR_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_CTR, aes, counter(8, b"\xfe" * 16), 33, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_GCM, aes, gcm_parameter(IV, b"", 128), 15, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_GCM, aes, gcm_parameter(IV, b"", 128), 16, "CKR_ENCRYPTED_DATA_INVALID"),
    ("Encrypt", ck.CKM_AES_KEY_WRAP, aes, None, 8, "CKR_DATA_LEN_RANGE"),
    ("Encrypt", ck.CKM_AES_KEY_WRAP, aes, None, 20, "CKR_DATA_LEN_RANGE"),
    ("Encrypt", ck.CKM_AES_KEY_WRAP_KWP, aes, None, 0, "CKR_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_KEY_WRAP, aes, None, 16, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_AES_KEY_WRAP_KWP, aes, None, 20, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Encrypt", ck.CKM_RSA_PKCS, rsa_public, None, 246, "CKR_DATA_LEN_RANGE"),
    ("Encrypt", ck.CKM_RSA_PKCS_OAEP, rsa_public, oaep("SHA256", "SHA256"), 191, "CKR_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_RSA_PKCS, rsa_private, None, 255, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_RSA_PKCS_OAEP, rsa_private, oaep("SHA1", "SHA1"), 257, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    ("Decrypt", ck.CKM_RSA_PKCS_OAEP, rsa_private, oaep("SHA1", "SHA1"), 256, "CKR_ENCRYPTED_DATA_INVALID"),
    ("Sign", ck.CKM_RSA_PKCS, rsa_private, None, 246, "CKR_DATA_LEN_RANGE"),
    ("Sign", ck.CKM_RSA_PKCS_PSS, rsa_private, pss("SHA256", 32), 31, "CKR_DATA_LEN_RANGE"),
    ("Sign", ck.CKM_ECDSA, ec_private, None, 0, "CKR_DATA_LEN_RANGE"),
]


@pytest.mark.parametrize(("what", "number_", "key", "parameter", "length", "wanted"), WRONG_DATA)
def test_wrong_data(bench: Bench, what: str, number_: int, key: Any, parameter: Any, length: int, wanted: str) -> None:
    handle = key(bench)
    bench.refused(what, mechanism(bench, number_, parameter), handle, bytes(length), wanted)


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


@pytest.mark.parametrize(("number_", "length"), [
    (ck.CKM_AES_KEY_GEN, 15), (ck.CKM_AES_KEY_GEN, 0), (ck.CKM_AES_KEY_GEN, 2**63),
    (ck.CKM_GENERIC_SECRET_KEY_GEN, 0), (ck.CKM_GENERIC_SECRET_KEY_GEN, 4097), (ck.CKM_SHA256_KEY_GEN, 0),
])
def test_secret_keys_of_sizes_not_offered(bench: Bench, number_: int, length: int) -> None:
    assert name(bench.m.generate(bench.s, number_, {ck.CKA_VALUE_LEN: length})[0]) == VALUE
    assert name(bench.m.generate(bench.s, number_, {})[0]) == "CKR_TEMPLATE_INCOMPLETE"


@pytest.mark.parametrize(("rows", "wanted"), [
    ({ck.CKA_MODULUS_BITS: 1016}, VALUE), ({ck.CKA_MODULUS_BITS: 16384}, VALUE), ({ck.CKA_MODULUS_BITS: 2049}, VALUE),
    ({ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\x05"}, VALUE), ({}, "CKR_TEMPLATE_INCOMPLETE"),
])
def test_rsa_pairs_not_offered(bench: Bench, rows: Any, wanted: str) -> None:
    assert name(bench.m.pair(bench.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rows, {})[0]) == wanted


@pytest.mark.parametrize(("rows", "wanted"), [
    ({}, "CKR_MECHANISM_PARAM_INVALID"), ({"kdf": ck.CKD_SHA1_KDF_SP800}, "CKR_MECHANISM_PARAM_INVALID"),
    ({"kdf": ck.CKD_NULL, "pSharedData": b"x", "ulSharedDataLen": 1}, "CKR_MECHANISM_PARAM_INVALID"),
])
def test_wrong_agreement_parameters(bench: Bench, rows: Any, wanted: str) -> None:
    peer = {} if not rows else {"pPublicData": point("P-256", "1", "1"), "ulPublicDataLen": 65}
    parameter = structure("CK_ECDH1_DERIVE_PARAMS", **{"kdf": ck.CKD_NULL, **rows, **peer})
    given = mechanism(bench, ck.CKM_ECDH1_DERIVE, parameter)
    assert name(bench.m.derive(bench.s, given, ec_private(bench), SECRET)[0]) == wanted


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


@pytest.mark.parametrize(("rows", "wanted"), [
    ({ck.CKA_VALUE_LEN: 33}, "CKR_KEY_SIZE_RANGE"), ({ck.CKA_VALUE_LEN: 13}, "CKR_KEY_SIZE_RANGE"),
    ({ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_TEMPLATE_INCOMPLETE"),
    ({ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 15}, VALUE),
    ({ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 24}, "CKR_OK"), ({}, "CKR_OK"),
])
def test_lengths_of_agreed_keys(bench: Bench, rows: Any, wanted: str) -> None:
    key = ec_private(bench)
    own = bench.m.read(bench.s, key, ck.CKA_EC_POINT)
    assert name(bench.m.derive(bench.s, agreement(bench, own), key, {**SECRET, **rows})[0]) == wanted


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
        (ck.CKM_AES_KEY_GEN, 16, 32, ck.CKF_GENERATE), (ck.CKM_AES_GCM, 16, 32, cipher),
        (ck.CKM_AES_CMAC, 16, 32, signing), (ck.CKM_AES_KEY_WRAP_KWP, 16, 32, cipher),
        (ck.CKM_GENERIC_SECRET_KEY_GEN, 8, 32768, ck.CKF_GENERATE), (ck.CKM_SHA256_KEY_GEN, 1, 4096, ck.CKF_GENERATE),
        (ck.CKM_SHA3_512, 0, 0, ck.CKF_DIGEST),
    ):
        good(bench.m.C_GetMechanismInfo(0, number_, info))
        assert (info.ulMinKeySize, info.ulMaxKeySize, info.flags) == (smallest, largest, flags), hex(number_)
