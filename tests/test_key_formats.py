"""Keys on their way in and out: PKCS#8, filling, lengths and domain parameters, against keys that others made."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from abi import Rows, good, name
from cryptography.hazmat.primitives import keywrap, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyasn1.codec.der import decoder, encoder
from vectors import VECTORS, Bench, bench_of_its_own
from vectors_agreement import X448, X25519, agreement
from vectors_ec import CURVES, ED448, ED25519, SECRET, octet_string
from vectors_openssl import openssl
from vectors_symmetric import gcm_parameter

from pkcs11_shim import constants as ck

EC, PKCS8 = VECTORS / "asymmetric/EC", VECTORS / "asymmetric/PKCS8"
VALUE = b"the wrapping key, of 32 bytes !!"
IV, NONCE = b"0123456789abcdef", b"0123456789ab"
PRIVATE: Rows = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
INVALID = "CKR_WRAPPED_KEY_INVALID"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


def der(key: Any) -> bytes:
    made: bytes = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made


def armoured(path: Path) -> bytes:
    """What is inside a PEM file, whatever it is."""
    lines = iter(path.read_text().splitlines())
    next(line for line in lines if line.startswith("-----BEGIN"))
    return base64.b64decode("".join(takewhile(lambda line: not line.startswith("-----END"), lines)))


def _cbc(data: bytes) -> bytes:
    pad = padding.PKCS7(128).padder()
    seal = Cipher(algorithms.AES(VALUE), modes.CBC(IV)).encryptor()
    return seal.update(pad.update(data) + pad.finalize()) + seal.finalize()


def _uncbc(data: bytes) -> bytes:
    pad, opened = padding.PKCS7(128).unpadder(), Cipher(algorithms.AES(VALUE), modes.CBC(IV)).decryptor()
    return pad.update(opened.update(data) + opened.finalize()) + pad.finalize()


# Name: mechanism, its parameter, and the same wrapping and unwrapping by the cryptography package.
WRAPPINGS: dict[str, tuple[int, Any, Any, Any]] = {
    "KWP": (
        ck.CKM_AES_KEY_WRAP_KWP, None, lambda data: keywrap.aes_key_wrap_with_padding(VALUE, data),
        lambda data: keywrap.aes_key_unwrap_with_padding(VALUE, data),
    ),
    "KW": (
        ck.CKM_AES_KEY_WRAP, None, lambda data: keywrap.aes_key_wrap(VALUE, data + bytes(-len(data) % 8)),
        lambda data: keywrap.aes_key_unwrap(VALUE, data),
    ),
    "CBC_PAD": (ck.CKM_AES_CBC_PAD, IV, _cbc, _uncbc),
    "GCM": (
        ck.CKM_AES_GCM, gcm_parameter(NONCE, b"aad", 128), lambda data: AESGCM(VALUE).encrypt(NONCE, data, b"aad"),
        lambda data: AESGCM(VALUE).decrypt(NONCE, data, b"aad"),
    ),
}
MAKERS: dict[str, tuple[int, Any]] = {
    "RSA": (ck.CKK_RSA, lambda: rsa.generate_private_key(65537, 2048)),
    **{curve: (ck.CKK_EC, lambda row=row: ec.generate_private_key(row[0])) for curve, row in CURVES.items()},
    "Ed25519": (ck.CKK_EC_EDWARDS, ed25519.Ed25519PrivateKey.generate),
    "Ed448": (ck.CKK_EC_EDWARDS, ed448.Ed448PrivateKey.generate),
    "X25519": (ck.CKK_EC_MONTGOMERY, x25519.X25519PrivateKey.generate),
    "X448": (ck.CKK_EC_MONTGOMERY, x448.X448PrivateKey.generate),
}


def mechanism(bench: Bench, how: str) -> Any:
    number, parameter, *_ = WRAPPINGS[how]
    bench.mechanism(number)
    return bench.m.mechanism(number, parameter(bench) if callable(parameter) else parameter)


def unwrapped(bench: Bench, how: str, data: bytes, rows: Rows) -> tuple[str, int]:
    wrapped = WRAPPINGS[how][2](data)
    key = bench.secret(VALUE)
    return bench.unwrap(mechanism(bench, how), key, wrapped, rows)


@pytest.mark.parametrize("how", WRAPPINGS)
@pytest.mark.parametrize("kind", MAKERS)
def test_private_keys_in_and_out(bench: Bench, how: str, kind: str) -> None:
    key_type, make = MAKERS[kind]
    key = make()
    rv, made = unwrapped(bench, how, der(key), {**PRIVATE, ck.CKA_KEY_TYPE: key_type})
    assert rv == "CKR_OK"
    info = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert bench.m.read(bench.s, made, ck.CKA_PUBLIC_KEY_INFO) == info
    rv_code, wrapped = bench.m.wrap(bench.s, mechanism(bench, how), bench.secret(VALUE), made)
    good(rv_code)
    ours = WRAPPINGS[how][3](wrapped)
    if how == "KW":
        assert not any(ours[len(der(key)) :])
        ours = ours[: len(der(key))]
    assert der(serialization.load_der_private_key(ours, None)) == der(key)


@pytest.mark.parametrize("how", WRAPPINGS)
def test_what_is_no_private_key(bench: Bench, how: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    rows = {**PRIVATE, ck.CKA_KEY_TYPE: ck.CKK_EC}
    for data in (os.urandom(48), b"\x30\x82\xff\xff" + bytes(44), der(key) + b"\x01", der(key)[:-1], b"\x30" * 48):
        assert unwrapped(bench, how, data, rows)[0] == INVALID
    assert unwrapped(bench, how, der(key), {**rows, ck.CKA_KEY_TYPE: ck.CKK_RSA})[0] == INVALID
    small = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP224r1", "-outform", "DER")
    assert unwrapped(bench, how, small, rows)[0] == "CKR_CURVE_NOT_SUPPORTED"
    assert unwrapped(bench, how, small, {**rows, ck.CKA_KEY_TYPE: ck.CKK_RSA})[0] == INVALID
    assert unwrapped(bench, how, der(key), {**rows, ck.CKA_VALUE: b"x"})[0] == "CKR_ATTRIBUTE_READ_ONLY"


@pytest.mark.parametrize(("file", "key_type", "wanted"), [
    ("ec_private_key", ck.CKK_EC, "CKR_OK"), ("ec-consistent-curve", ck.CKK_EC, "CKR_OK"),
    ("ec-inconsistent-curve", ck.CKK_EC, INVALID), ("ec-inconsistent-curve2", ck.CKK_EC, INVALID),
    ("ec-invalid-private-scalar", ck.CKK_EC, INVALID), ("ec-invalid-version", ck.CKK_EC, INVALID),
    ("ec_private_key_encrypted", ck.CKK_EC, INVALID), ("unenc-dsa-pkcs8", ck.CKK_EC, INVALID),
    ("unenc-rsa-pkcs8", ck.CKK_RSA, "CKR_OK"), ("unenc-rsa-pkcs8", ck.CKK_EC, INVALID),
    ("rsa_pss_2048", ck.CKK_RSA, "CKR_OK"), ("bad-oid-dsa-key", ck.CKK_RSA, INVALID),
])
def test_pkcs8_files_of_pyca(bench: Bench, file: str, key_type: int, wanted: str) -> None:
    data = armoured(PKCS8 / f"{file}.pem")
    assert unwrapped(bench, "KWP", data, {**PRIVATE, ck.CKA_KEY_TYPE: key_type})[0] == wanted


EXPLICIT = ("secp256r1-explicit-no-seed", "secp256r1-explicit-seed", "secp256k1-explicit-no-seed",
            "secp384r1-explicit-seed", "secp521r1-explicit-no-seed")


@pytest.mark.parametrize("file", EXPLICIT)
def test_explicit_parameters(bench: Bench, file: str) -> None:
    """Accepted in PKCS#8, and in CKA_EC_PARAMS, where they are kept as given; altered, they are no known curve."""
    m, s = bench.m, bench.s
    data = armoured(EC / f"{file}.pem")
    rv, made = unwrapped(bench, "KWP", data, {**PRIVATE, ck.CKA_KEY_TYPE: ck.CKK_EC})
    assert rv == "CKR_OK"
    named = openssl("ec", "-in", "key", "-inform", "DER", "-param_enc", "named_curve", "-outform", "DER", key=data)
    judge: Any = serialization.load_der_private_key(named, None)
    raw = judge.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert m.read(s, made, ck.CKA_EC_POINT) == octet_string(raw)
    parameters = encoder.encode(decoder.decode(data)[0][1][1])
    rv_code, public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: parameters}, {})
    good(rv_code)
    assert m.read(s, public, ck.CKA_EC_PARAMS) == m.read(s, private, ck.CKA_EC_PARAMS) == parameters
    assert len(bench.sign(bench.mechanism(ck.CKM_ECDSA), private, b"digest")) == 2 * CURVES_BY_SIZE[judge.key_size]
    other = parameters[:-1] + bytes([parameters[-1] ^ 2])  # the cofactor
    assert name(m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: other}, {})[0]) == "CKR_CURVE_NOT_SUPPORTED"
    other = parameters[:-4] + bytes([parameters[-4] ^ 2]) + parameters[-3:]  # the order
    assert name(m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: other}, {})[0]) == "CKR_CURVE_NOT_SUPPORTED"


CURVES_BY_SIZE = {256: 32, 384: 48, 521: 66}


@pytest.mark.parametrize(("parameters", "wanted"), [
    (b"\x06\x05\x2b\x81\x04\x00\x01", "CKR_CURVE_NOT_SUPPORTED"),  # sect163k1
    (ED25519, "CKR_CURVE_NOT_SUPPORTED"), (ED448, "CKR_CURVE_NOT_SUPPORTED"),
    (b"\x13\x04none", "CKR_CURVE_NOT_SUPPORTED"), (b"\x13\x09secp256r1", "CKR_OK"), (b"\x13\x0aprime256v1", "CKR_OK"),
    (b"\x13\x08secp256r1", "CKR_DOMAIN_PARAMS_INVALID"), (b"\x05\x00", "CKR_DOMAIN_PARAMS_INVALID"),
    (b"noise", "CKR_DOMAIN_PARAMS_INVALID"), (b"\x30\x00", "CKR_DOMAIN_PARAMS_INVALID"),
    (b"\x30\x82\x05\x00" + b"\x30\x80" * 640, "CKR_DOMAIN_PARAMS_INVALID"),
    (b"\x30\x82\xff\xff" + bytes(65535), "CKR_DOMAIN_PARAMS_INVALID"), (b"", "CKR_TEMPLATE_INCOMPLETE"),
])
def test_domain_parameters(bench: Bench, parameters: bytes, wanted: str) -> None:
    rv = bench.m.pair(bench.s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: parameters}, {})[0]
    assert name(rv) == wanted
    edwards = bench.m.pair(bench.s, ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: parameters}, {})[0]
    assert name(edwards) in ("CKR_CURVE_NOT_SUPPORTED", "CKR_OK", "CKR_TEMPLATE_INCOMPLETE")
    assert (name(edwards) == "CKR_OK") == (parameters in (ED25519, ED448))
    montgomery = bench.m.pair(bench.s, ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: parameters}, {})[0]
    assert name(montgomery) in ("CKR_CURVE_NOT_SUPPORTED", "CKR_TEMPLATE_INCOMPLETE")


P = 2**255 - 19
P448 = 2**448 - 2**224 - 1
EIGHTH = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
SMALL = [
    *[(ED25519, y.to_bytes(32, "little")) for y in (0, 1, P - 1, P, P + 1)],
    *[(ED25519, (y | 1 << 255).to_bytes(32, "little")) for y in (0, 1, P - 1, P)],
    (ED25519, EIGHTH), (ED25519, (P - int.from_bytes(EIGHTH, "little")).to_bytes(32, "little")),
    *[(ED448, y.to_bytes(57, "little")) for y in (0, 1, P448 - 1, P448, P448 + 1)],
    (ED25519, (2).to_bytes(32, "little")), (ED25519, bytes(31)), (ED448, b"\x02" + bytes(55) + b"\x01"),
]


@pytest.mark.parametrize(("parameters", "point"), SMALL)
def test_edwards_points_that_are_no_public_key(bench: Bench, parameters: bytes, point: bytes) -> None:
    """Small order (anything verifies under some), not canonical, no point at all."""
    rows = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC_EDWARDS, ck.CKA_EC_PARAMS: parameters}
    for written in (point, octet_string(point)):
        rv, _ = bench.m.create(bench.s, {**rows, ck.CKA_EC_POINT: written})
        assert name(rv) == "CKR_ATTRIBUTE_VALUE_INVALID"


SMALL_U = [  # cr.yp.to/ecdh.html, "How do I validate Curve25519 public keys?", and RFC 7748, section 6.2
    *[(X25519, u.to_bytes(32, "little")) for u in (
        0, 1, 325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823, P - 1, P, P + 1,
    )],
    *[(X448, u.to_bytes(56, "little")) for u in (0, 1, P448 - 1, P448, P448 + 1)],
]


@pytest.mark.parametrize(("parameters", "point"), SMALL_U)
def test_montgomery_points_of_small_order(bench: Bench, parameters: bytes, point: bytes) -> None:
    """With them everybody agrees on zeros: none comes in, none is agreed with."""
    rows = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC_MONTGOMERY, ck.CKA_EC_PARAMS: parameters}
    key = bench.private(ck.CKK_EC_MONTGOMERY, ec_params=parameters, value=os.urandom(len(point)))
    for written in (point, octet_string(point)):
        assert name(bench.m.create(bench.s, {**rows, ck.CKA_EC_POINT: written})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
        rv, _ = bench.m.derive(bench.s, agreement(bench, written), key, SECRET)
        assert name(rv) == "CKR_PUBLIC_KEY_INVALID"


@pytest.mark.parametrize(("generation", "parameters", "oid"), [
    (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, b"\x13\x0acurve25519", X25519),
    (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, b"\x13\x0bcurve25519", X25519),  # pkcs11-tool 0.23
    (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, b"\x13\x06X25519", X25519),
    (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, bytes.fromhex("060a2b060104019755010501"), X25519),
    (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, b"\x13\x08curve448", X448),
    (ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, b"\x13\x04X448", X448),
    (ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, bytes.fromhex("06092b06010401da470f01"), ED25519),
    (ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, b"\x13\x05Ed448", ED448),
    (ck.CKM_EC_KEY_PAIR_GEN, b"\x13\x0fbrainpoolP384r1", CURVES["brainpoolP384r1"][2]),
])
def test_curves_by_name(bench: Bench, generation: int, parameters: bytes, oid: bytes) -> None:
    """CKA_EC_PARAMS stays as the client wrote it, if it is DER; CKA_PUBLIC_KEY_INFO says the same as by OID."""
    rv, public, private = bench.m.pair(bench.s, generation, {ck.CKA_EC_PARAMS: parameters}, {})
    good(rv)
    for half in (public, private):
        written = bench.m.read(bench.s, half, ck.CKA_EC_PARAMS)
        assert written == parameters.replace(b"\x0bcurve25519", b"\x0acurve25519")
    assert oid in bench.m.read(bench.s, public, ck.CKA_PUBLIC_KEY_INFO)


# -- secret keys: filling and lengths


@pytest.mark.parametrize("length", [1, 8, 14, 16, 20, 24, 31, 32, 100])
def test_key_wrap_of_any_length(bench: Bench, length: int) -> None:
    """CKM_AES_KEY_WRAP fills with zeros, and takes off no more than it fills (section 6.16.3)."""
    m, s, value = bench.m, bench.s, os.urandom(length)
    key = bench.secret(VALUE)
    rv, wrapped = m.wrap(s, mechanism(bench, "KW"), key, bench.secret(value, ck.CKK_GENERIC_SECRET))
    good(rv)
    filled = keywrap.aes_key_unwrap(VALUE, wrapped)
    assert filled == value + bytes(max(-length % 8, 16 - length))
    named, made = bench.unwrap(mechanism(bench, "KW"), key, wrapped, {**SECRET, ck.CKA_VALUE_LEN: length})
    assert named == "CKR_OK"
    assert m.read(s, made, ck.CKA_VALUE) == value
    for wrong in (len(filled) + 1, len(filled) - 8 if len(filled) > 16 else 0):
        named, _ = bench.unwrap(mechanism(bench, "KW"), key, wrapped, {**SECRET, ck.CKA_VALUE_LEN: wrong})
        assert named == "CKR_WRAPPED_KEY_LEN_RANGE"


@pytest.mark.parametrize("how", ["KWP", "CBC_PAD", "GCM"])
def test_lengths_that_contradict(bench: Bench, how: str) -> None:
    for data, rows, wanted in (
        (bytes(20), {}, "CKR_OK"), (bytes(20), {ck.CKA_VALUE_LEN: 20}, "CKR_OK"),
        (bytes(20), {ck.CKA_VALUE_LEN: 16}, "CKR_WRAPPED_KEY_LEN_RANGE"),
        (bytes(20), {ck.CKA_VALUE_LEN: 24}, "CKR_WRAPPED_KEY_LEN_RANGE"),
        (bytes(20), {ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_WRAPPED_KEY_LEN_RANGE"),
        (bytes(24), {ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_OK"),
        (bytes(24), {ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 16}, "CKR_WRAPPED_KEY_LEN_RANGE"),
    ):
        assert unwrapped(bench, how, data, {**SECRET, **rows})[0] == wanted, (len(data), rows)


@pytest.mark.parametrize(("number", "parameter"), [(ck.CKM_AES_ECB, None), (ck.CKM_AES_CBC, IV)])
def test_block_modes_fill_secret_keys_and_wrap_no_others(bench: Bench, number: int, parameter: Any) -> None:
    m, s, value = bench.m, bench.s, os.urandom(24)
    key, target = bench.secret(VALUE), bench.secret(value)
    given = bench.m.mechanism(number, parameter)
    rv, wrapped = m.wrap(s, given, key, target)
    good(rv)
    assert len(wrapped) == 32
    rows = {**SECRET, ck.CKA_KEY_TYPE: ck.CKK_AES}
    named, made = bench.unwrap(given, key, wrapped, {**rows, ck.CKA_VALUE_LEN: 24})
    assert named == "CKR_OK"
    assert m.read(s, made, ck.CKA_VALUE) == value
    assert bench.unwrap(given, key, wrapped, {**rows, ck.CKA_VALUE_LEN: 33})[0] == "CKR_WRAPPED_KEY_LEN_RANGE"
    assert bench.unwrap(given, key, wrapped[:-1], rows)[0] == "CKR_WRAPPED_KEY_LEN_RANGE"
    private = bench.private(ck.CKK_EC, ec_params=CURVES["P-256"][2], value=b"\x11" * 32)
    assert name(m.wrap(s, given, key, private)[0]) == "CKR_KEY_NOT_WRAPPABLE"
    assert bench.unwrap(given, key, wrapped, {**PRIVATE, ck.CKA_KEY_TYPE: ck.CKK_EC})[0] == "CKR_TEMPLATE_INCONSISTENT"
