"""Ed25519: key pairs and EdDSA (PKCS#11 3.2, section 6.3, Edwards keys; RFC 8032)."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hsm.errors import TokenError
from hsm.mechanisms.ec import octet_string
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

BITS = 255
OCTETS = 32
SIGNATURE = 64
OID = bytes.fromhex("06032b6570")
# Clients write the curve by OID (RFC 8410) or, as PKCS#11 3.0 had it, by name.
NAMES = (OID, b"\x13\x0cedwards25519", b"\x13\x07Ed25519")
FLAGS = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_CURVENAME
_LONGEST_MESSAGE = 64 << 20


def known_curve(parameters: bytes | None) -> bytes:
    """CKA_EC_PARAMS as given, if it names Ed25519."""
    if not parameters:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS must be given", "CKA_EC_PARAMS")
    if parameters not in NAMES:
        raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, "the Edwards curve of this token is Ed25519", "CKA_EC_PARAMS")
    return parameters


def load_public(parameters: bytes | None, point: bytes) -> Ed25519PublicKey:
    """Raises ValueError for what is no point of 32 bytes, raw or as an OCTET STRING."""
    known_curve(parameters)
    raw = point[2:] if len(point) == OCTETS + 2 and point[:2] == bytes([4, OCTETS]) else point
    return Ed25519PublicKey.from_public_bytes(raw)


def load_private(parameters: bytes | None, value: bytes) -> Ed25519PrivateKey:
    known_curve(parameters)
    return Ed25519PrivateKey.from_private_bytes(value)


def _public(key: Key) -> Ed25519PublicKey:
    return load_public(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_EC_POINT) or b"")


def private(key: Key) -> Ed25519PrivateKey:
    return load_private(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_VALUE) or b"")


def public_attributes(public: Ed25519PublicKey) -> dict[int, bytes]:
    info = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        ck.CKA_KEY_TYPE: ck.CKK_EC_EDWARDS.to_bytes(8, "little"),
        ck.CKA_EC_POINT: octet_string(public.public_bytes_raw()),
        ck.CKA_PUBLIC_KEY_INFO: info,
    }


def private_attributes(private: Ed25519PrivateKey, parameters: bytes) -> dict[int, bytes]:
    value = {ck.CKA_EC_PARAMS: parameters, ck.CKA_VALUE: private.private_bytes_raw()}
    return {**public_attributes(private.public_key()), **value}


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    parameters = known_curve(public.get(ck.CKA_EC_PARAMS))
    made = Ed25519PrivateKey.generate()
    return public_attributes(made.public_key()), private_attributes(made, parameters)


class Signature:
    """Pure EdDSA hashes the message twice, so parts are gathered until the end."""

    __slots__ = ("_data", "_key")
    length = SIGNATURE
    multipart = True

    def __init__(self, key: Key) -> None:
        self._key = key
        self._data = bytearray()

    def update(self, data: bytes) -> None:
        if len(self._data) + len(data) > _LONGEST_MESSAGE:
            raise TokenError(ck.CKR_DATA_LEN_RANGE, "messages of up to 64 MiB can be signed")
        self._data += data

    def finish(self, signature: bytes | None = None) -> bytes:
        if signature is None:
            return self._key.native(private).sign(bytes(self._data))
        if len(signature) != SIGNATURE:
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {SIGNATURE} bytes")
        try:
            self._key.native(_public).verify(signature, bytes(self._data))
        except InvalidSignature:
            raise TokenError(ck.CKR_SIGNATURE_INVALID, "the signature does not verify") from None
        return b""

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        self.update(data)
        return self.finish(signature)


def _pure(parameter: Any) -> None:
    """No parameter, or a CK_EDDSA_PARAMS without prehash and without context."""
    if parameter and (getattr(parameter, "phFlag", 1) or getattr(parameter, "pContextData", b"x")):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "pure Ed25519 only: no prehash, no context")


MECHANISMS = [
    Mechanism(
        ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, (ck.CKK_EC_EDWARDS,), BITS, BITS, FLAGS, generate_pair=_generate_pair
    ),
    Mechanism(
        ck.CKM_EDDSA, (ck.CKK_EC_EDWARDS,), BITS, BITS, FLAGS, _pure,
        sign=lambda key, parameter: Signature(key), verify=lambda key, parameter: Signature(key),
    ),
]
