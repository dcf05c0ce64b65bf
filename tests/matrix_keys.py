"""The keys of the matrix: known ones for the rows, and one of each type for those that must not work with it."""

from __future__ import annotations

from abi import Rows
from matrix import FUNCTIONS, Keys, pair, secret
from oracle_numbers import ED448, ED25519, X448, X25519, Rsa, weierstrass
from vectors_openssl import rsa_key

from pkcs11_shim import constants as ck

XTS = bytes(range(150, 214))
DES3 = bytes.fromhex("0123456789abcdef23456789abcdef01456789abcdef0123")  # of odd parity
AES_128, AES_192, AES_256 = bytes(range(16)), bytes(range(100, 124)), bytes(range(32))
HMAC = bytes(range(40))
SCALAR = 0x112233445566778899001122334455667788990011  # less than any order
_KNOWN = rsa_key().private_numbers()
RSA = Rsa(_KNOWN.public_numbers.n, _KNOWN.public_numbers.e, _KNOWN.d)
_OIDS = {  # RFC 5480, SEC 2, RFC 5639, RFC 8410
    "prime192v1": "06082a8648ce3d030101", "secp224r1": "06052b81040021", "prime256v1": "06082a8648ce3d030107",
    "secp384r1": "06052b81040022", "secp521r1": "06052b81040023", "secp256k1": "06052b8104000a",
    "brainpoolP256r1": "06092b2403030208010107", "brainpoolP384r1": "06092b240303020801010b",
    "brainpoolP512r1": "06092b240303020801010d",
    "Ed25519": "06032b6570", "Ed448": "06032b6571", "X25519": "06032b656e", "X448": "06032b656f",
}
OIDS = {name: bytes.fromhex(oid) for name, oid in _OIDS.items()}
SEED, LONG_SEED, LADDER = b"\x42" * 32, b"\x43" * 57, b"\x44" * 56


def octets(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def octet_string(raw: bytes) -> bytes:
    return b"\x04" + (bytes([len(raw)]) if len(raw) < 128 else bytes([0x81, len(raw)])) + raw


def aes(value: bytes = AES_256) -> Keys:
    return secret(ck.CKK_AES, value)


def _rsa() -> Keys:
    public = {ck.CKA_MODULUS: octets(RSA.n), ck.CKA_PUBLIC_EXPONENT: octets(RSA.e)}
    parts = {
        ck.CKA_PRIVATE_EXPONENT: _KNOWN.d, ck.CKA_PRIME_1: _KNOWN.p, ck.CKA_PRIME_2: _KNOWN.q,
        ck.CKA_EXPONENT_1: _KNOWN.dmp1, ck.CKA_EXPONENT_2: _KNOWN.dmq1, ck.CKA_COEFFICIENT: _KNOWN.iqmp,
    }
    return pair(ck.CKK_RSA, {**public, **{number: octets(value) for number, value in parts.items()}}, public)


def ec(curve: str) -> Keys:
    params, found = OIDS[curve], weierstrass(curve)
    point = found.times(SCALAR, found.base)
    assert point is not None
    public = {ck.CKA_EC_PARAMS: params, ck.CKA_EC_POINT: octet_string(found.encoded(point))}
    return pair(ck.CKK_EC, {ck.CKA_EC_PARAMS: params, ck.CKA_VALUE: SCALAR.to_bytes(found.octets, "big")}, public)


def edwards(curve: str) -> Keys:
    found, seed = (ED25519, SEED) if curve == "Ed25519" else (ED448, LONG_SEED)
    public = {ck.CKA_EC_PARAMS: OIDS[curve], ck.CKA_EC_POINT: octet_string(found.public(seed))}
    return pair(ck.CKK_EC_EDWARDS, {ck.CKA_EC_PARAMS: OIDS[curve], ck.CKA_VALUE: seed}, public)


def montgomery(curve: str) -> Keys:
    found = X25519 if curve == "X25519" else X448
    value, base = LADDER[: found.octets], bytes([9 if found is X25519 else 5]).ljust(found.octets, b"\0")
    public = {ck.CKA_EC_PARAMS: OIDS[curve], ck.CKA_EC_POINT: found.times(value, base)}
    return pair(ck.CKK_EC_MONTGOMERY, {ck.CKA_EC_PARAMS: OIDS[curve], ck.CKA_VALUE: value}, public)


RSA_KEYS = _rsa()
GENERIC = secret(ck.CKK_GENERIC_SECRET, HMAC)
P256 = ec("prime256v1")

# One of each type, and objects that are no keys: those that a mechanism doesn't work with are refused.
FOREIGN: dict[str, Rows] = {
    "a data object": {ck.CKA_CLASS: ck.CKO_DATA},
    "a certificate": {
        ck.CKA_CLASS: ck.CKO_CERTIFICATE, ck.CKA_CERTIFICATE_TYPE: ck.CKC_X_509, ck.CKA_SUBJECT: b"0\0",
        ck.CKA_VALUE: b"0\0",
    },
    "AES": aes().closed, "a generic secret": GENERIC.closed,
    "HMAC of SHA-384": secret(ck.CKK_SHA384_HMAC, HMAC).closed, "RSA, public": RSA_KEYS.open,
    "RSA, private": RSA_KEYS.closed, "EC, public": P256.open, "EC, private": P256.closed,
    "AES-XTS": secret(ck.CKK_AES_XTS, XTS).closed, "HKDF": secret(ck.CKK_HKDF, HMAC).closed,
    "DES3": secret(ck.CKK_DES3, DES3).closed, "Montgomery, public": montgomery("X25519").open,
    "Montgomery, private": montgomery("X25519").closed, "Edwards, public": edwards("Ed25519").open,
    "Edwards, private": edwards("Ed25519").closed,
}
_SUITED = {"sign": RSA_KEYS.closed, "verify": RSA_KEYS.open, "sign_recover": RSA_KEYS.closed,
           "verify_recover": RSA_KEYS.open}
OTHER_KEYS: dict[str, Rows] = {use: _SUITED.get(use, aes().closed) for use in FUNCTIONS}
