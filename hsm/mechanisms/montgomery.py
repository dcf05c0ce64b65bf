"""X25519 and X448: key pairs for key agreement (PKCS#11 3.2, section 6.3, Montgomery keys; RFC 7748)."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hsm.errors import TokenError
from hsm.mechanisms import der
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

PrivateKey = X25519PrivateKey | X448PrivateKey
PublicKey = X25519PublicKey | X448PublicKey


class Curve(NamedTuple):
    """One Montgomery curve. Clients write it by OID (RFC 8410's, or the one that was there before) or by name."""

    octets: int
    oid: bytes
    others: tuple[bytes, ...]
    private: Any
    public: Any


X25519 = Curve(
    32, bytes.fromhex("06032b656e"),
    (b"\x13\x0acurve25519", b"\x13\x06X25519", bytes.fromhex("060a2b060104019755010501")), X25519PrivateKey,
    X25519PublicKey,
)
X448 = Curve(56, bytes.fromhex("06032b656f"), (b"\x13\x08curve448", b"\x13\x04X448"), X448PrivateKey, X448PublicKey)
_BY_PARAMETERS = {name: curve for curve in (X25519, X448) for name in (curve.oid, *curve.others)}
# What pkcs11-tool of OpenSC 0.23 calls curve25519: a string of ten letters that says it has eleven.
_MISSPELT = {b"\x13\x0bcurve25519": b"\x13\x0acurve25519"}
BITS = (255, 448)
FLAGS = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_CURVENAME | ck.CKF_EC_COMPRESS  # RFC 7748 has no other form
_ANY = b"\x40" * 56  # a scalar to try points with


def find(parameters: bytes | None) -> Curve:
    """The curve that CKA_EC_PARAMS names."""
    if not parameters:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS must be given", "CKA_EC_PARAMS")
    curve = _BY_PARAMETERS.get(parameters)
    if curve is None:
        words = "the Montgomery curves of this token are X25519 and X448"
        raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, words, "CKA_EC_PARAMS")
    return curve


def load_public(parameters: bytes | None, point: bytes) -> PublicKey:
    """Raises ValueError for what has not the curve's length, raw or as the OCTET STRING that PKCS#11 3.0 had."""
    curve = find(parameters)
    raw = point[2:] if len(point) == curve.octets + 2 and point[:2] == bytes([4, curve.octets]) else point
    public: PublicKey = curve.public.from_public_bytes(raw)
    return public


def check_public(parameters: bytes | None, point: bytes) -> PublicKey:
    """A public key from outside: none of the few of small order, with which all agree on nothing (RFC 7748, 6.1)."""
    curve, public = find(parameters), load_public(parameters, point)
    curve.private.from_private_bytes(_ANY[: curve.octets]).exchange(public)  # ValueError where zeros come out
    return public


def load_private(parameters: bytes | None, value: bytes) -> PrivateKey:
    made: PrivateKey = find(parameters).private.from_private_bytes(value)
    return made


def private(key: Key) -> PrivateKey:
    return load_private(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_VALUE) or b"")


def public_attributes(public: PublicKey) -> dict[int, bytes]:
    """CKA_EC_POINT is the u-coordinate's bytes as they are: PKCS#11 has no OCTET STRING around them since 3.1."""
    return {
        ck.CKA_KEY_TYPE: ck.CKK_EC_MONTGOMERY.to_bytes(8, "little"), ck.CKA_EC_POINT: public.public_bytes_raw(),
        ck.CKA_PUBLIC_KEY_INFO: der.public_info(public),
    }


def private_attributes(made: PrivateKey, parameters: bytes | None = None) -> dict[int, bytes]:
    """``parameters``: CKA_EC_PARAMS as the client wrote it, else the OID."""
    oid = X25519.oid if isinstance(made, X25519PrivateKey) else X448.oid
    value = {ck.CKA_EC_PARAMS: parameters or oid, ck.CKA_VALUE: made.private_bytes_raw()}
    return {**public_attributes(made.public_key()), **value}


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    given = public.get(ck.CKA_EC_PARAMS, b"")
    parameters = _MISSPELT.get(given, given)
    made = find(parameters).private.generate()
    private_half = private_attributes(made, parameters)
    return {**public_attributes(made.public_key()), ck.CKA_EC_PARAMS: parameters}, private_half


MECHANISMS = [
    Mechanism(
        ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, (ck.CKK_EC_MONTGOMERY,), *BITS, FLAGS, generate_pair=_generate_pair
    ),
]
