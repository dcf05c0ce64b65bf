"""X25519 and X448: key pairs for key agreement (PKCS#11 3.2, section 6.3, Montgomery keys; RFC 7748)."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hsm.mechanisms.entry import Mechanism
from hsm.mechanisms.raw_curves import BITS, FLAGS, RawCurve, RawCurves
from pkcs11_shim import constants as ck

X25519 = RawCurve(
    32, bytes.fromhex("06032b656e"),
    (b"\x13\x0acurve25519", b"\x13\x06X25519", bytes.fromhex("060a2b060104019755010501")), X25519PrivateKey,
    X25519PublicKey,
)
X448 = RawCurve(56, bytes.fromhex("06032b656f"), (b"\x13\x08curve448", b"\x13\x04X448"), X448PrivateKey, X448PublicKey)
# CKA_EC_POINT is the u-coordinate's bytes as they are: PKCS#11 has no OCTET STRING around them since 3.1.
CURVES = RawCurves(ck.CKK_EC_MONTGOMERY, "X25519 and X448", (X25519, X448), bytes)
# What pkcs11-tool of OpenSC 0.23 calls curve25519: a string of ten letters that says it has eleven.
_MISSPELT = {b"\x13\x0bcurve25519": b"\x13\x0acurve25519"}
_ANY = b"\x40" * 56  # a scalar to try points with


def check_public(parameters: bytes | None, point: bytes) -> Any:
    """A public key from outside: none of the few of small order, with which all agree on nothing (RFC 7748, 6.1)."""
    curve, public = CURVES.find(parameters), CURVES.load_public(parameters, point)
    curve.private.from_private_bytes(_ANY[: curve.octets]).exchange(public)  # ValueError where zeros come out
    return public


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    given = public.get(ck.CKA_EC_PARAMS, b"")
    parameters = _MISSPELT.get(given, given)
    made_public, made_private = CURVES.generate_pair(parameters)
    return {**made_public, ck.CKA_EC_PARAMS: parameters}, made_private


MECHANISMS = [
    Mechanism(
        ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, (ck.CKK_EC_MONTGOMERY,), *BITS, FLAGS, generate_pair=_generate_pair
    ),
]
