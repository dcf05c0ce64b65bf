"""Ed25519 and Ed448: key pairs and EdDSA (PKCS#11 3.2, section 6.3, Edwards keys; RFC 8032)."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hsm.errors import TokenError
from hsm.mechanisms import der
from hsm.mechanisms.ec import octet_string
from hsm.mechanisms.entry import InParts, Mechanism, Saveable
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

PrivateKey = Ed25519PrivateKey | Ed448PrivateKey
PublicKey = Ed25519PublicKey | Ed448PublicKey


class Curve(NamedTuple):
    """One Edwards curve. Clients write it by OID (RFC 8410's, or the one that was there before) or by name."""

    octets: int
    signature: int
    oid: bytes
    others: tuple[bytes, ...]
    private: Any
    public: Any
    # x² = (y² - 1) / (d y² + c) modulo the prime; ``eighths``: there are points of order 8.
    prime: int
    d: int
    c: int
    eighths: bool


ED25519 = Curve(
    32, 64, bytes.fromhex("06032b6570"),
    (b"\x13\x0cedwards25519", b"\x13\x07Ed25519", bytes.fromhex("06092b06010401da470f01")), Ed25519PrivateKey,
    Ed25519PublicKey, 2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19), 1, True,
)
ED448 = Curve(
    57, 114, bytes.fromhex("06032b6571"), (b"\x13\x0aedwards448", b"\x13\x05Ed448"), Ed448PrivateKey, Ed448PublicKey,
    2**448 - 2**224 - 1, -39081, -1, False,
)
_BY_PARAMETERS = {name: curve for curve in (ED25519, ED448) for name in (curve.oid, *curve.others)}
BITS = (255, 448)
FLAGS = ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_CURVENAME | ck.CKF_EC_COMPRESS  # RFC 8032 has no other form
_LONGEST_MESSAGE = 64 << 20


def find(parameters: bytes | None) -> Curve:
    """The curve that CKA_EC_PARAMS names."""
    if not parameters:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS must be given", "CKA_EC_PARAMS")
    curve = _BY_PARAMETERS.get(parameters)
    if curve is None:
        words = "the Edwards curves of this token are Ed25519 and Ed448"
        raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, words, "CKA_EC_PARAMS")
    return curve


def load_public(parameters: bytes | None, point: bytes) -> PublicKey:
    """Raises ValueError for what is no point of the curve's length, raw or as an OCTET STRING."""
    curve = find(parameters)
    raw = point[2:] if len(point) == curve.octets + 2 and point[:2] == bytes([4, curve.octets]) else point
    public: PublicKey = curve.public.from_public_bytes(raw)
    return public


def check_public(parameters: bytes | None, point: bytes) -> PublicKey:
    """A public key from outside: a point of the curve, and not one of the few under which everything verifies.

    cryptography and libcrypto look at a key only when they verify. All values here are public.
    """
    curve, public = find(parameters), load_public(parameters, point)
    prime = curve.prime
    sign = 1 << (8 * curve.octets - 1)
    y = int.from_bytes(public.public_bytes_raw(), "little") & ~sign
    squared = y * y % prime
    # RFC 8032, sections 5.1.3 and 5.2.3: x² must be a square (Euler's criterion on its fraction's two halves).
    on_curve = y < prime and pow((squared - 1) * (curve.d * squared + curve.c), (prime - 1) // 2, prime) in (0, 1)
    small = y in (0, 1, prime - 1) or (curve.eighths and (curve.d * squared * squared + 2 * squared - 1) % prime == 0)
    if not on_curve or small:
        raise ValueError("no point of the curve's large group")
    return public


def load_private(parameters: bytes | None, value: bytes) -> PrivateKey:
    made: PrivateKey = find(parameters).private.from_private_bytes(value)
    return made


def _public(key: Key) -> PublicKey:
    return load_public(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_EC_POINT) or b"")


def private(key: Key) -> PrivateKey:
    return load_private(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_VALUE) or b"")


def public_attributes(public: PublicKey) -> dict[int, bytes]:
    return {
        ck.CKA_KEY_TYPE: ck.CKK_EC_EDWARDS.to_bytes(8, "little"),
        ck.CKA_EC_POINT: octet_string(public.public_bytes_raw()),
        ck.CKA_PUBLIC_KEY_INFO: der.public_info(public),
    }


def private_attributes(made: PrivateKey, parameters: bytes | None = None) -> dict[int, bytes]:
    """``parameters``: CKA_EC_PARAMS as the client wrote it, else the OID."""
    oid = ED25519.oid if isinstance(made, Ed25519PrivateKey) else ED448.oid
    value = {ck.CKA_EC_PARAMS: parameters or oid, ck.CKA_VALUE: made.private_bytes_raw()}
    return {**public_attributes(made.public_key()), **value}


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    parameters = public.get(ck.CKA_EC_PARAMS)
    made = find(parameters).private.generate()
    return public_attributes(made.public_key()), private_attributes(made, parameters)


class Signature(Saveable, InParts):
    """Pure EdDSA hashes the message twice, so parts are gathered until the end."""

    __slots__ = ("_data", "_key", "length")
    moving = "_data"

    def __init__(self, key: Key) -> None:
        self._key = key
        self.length = find(key.get(ck.CKA_EC_PARAMS)).signature
        self._data = bytearray()

    def update(self, data: bytes) -> None:
        if len(self._data) + len(data) > _LONGEST_MESSAGE:
            raise TokenError(ck.CKR_DATA_LEN_RANGE, "messages of up to 64 MiB can be signed")
        self._data += data

    def finish(self, signature: bytes | None = None) -> bytes:
        if signature is None:
            return self._key.native(private).sign(bytes(self._data))
        if len(signature) != self.length:
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {self.length} bytes")
        try:
            self._key.native(_public).verify(signature, bytes(self._data))
        except InvalidSignature:
            raise TokenError(ck.CKR_SIGNATURE_INVALID, "the signature does not verify") from None
        return b""


def _pure(parameter: Any) -> None:
    """No parameter, or a CK_EDDSA_PARAMS without prehash and without context."""
    if parameter and (getattr(parameter, "phFlag", 1) or getattr(parameter, "pContextData", b"x")):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "pure EdDSA only: no prehash, no context")


MECHANISMS = [
    Mechanism(
        ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, (ck.CKK_EC_EDWARDS,), *BITS, FLAGS, generate_pair=_generate_pair
    ),
    Mechanism(
        ck.CKM_EDDSA, (ck.CKK_EC_EDWARDS,), *BITS, FLAGS, _pure,
        sign=lambda key, parameter: Signature(key), verify=lambda key, parameter: Signature(key),
    ),
]
