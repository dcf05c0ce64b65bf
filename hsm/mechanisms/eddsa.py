"""Ed25519 and Ed448: key pairs and EdDSA (PKCS#11 3.2, section 6.3, Edwards keys; RFC 8032)."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hsm.errors import TokenError
from hsm.mechanisms.ec import octet_string
from hsm.mechanisms.entry import InParts, Mechanism, Saveable
from hsm.mechanisms.raw_curves import BITS, FLAGS, RawCurve, RawCurves
from hsm.objects.key import Key
from pkcs11_shim import constants as ck


class Equation(NamedTuple):
    """x² = (y² - 1) / (d y² + c) modulo the prime; ``eighths``: there are points of order 8."""

    prime: int
    d: int
    c: int
    eighths: bool


ED25519 = RawCurve(
    32, bytes.fromhex("06032b6570"),
    (b"\x13\x0cedwards25519", b"\x13\x07Ed25519", bytes.fromhex("06092b06010401da470f01")), Ed25519PrivateKey,
    Ed25519PublicKey,
)
ED448 = RawCurve(
    57, bytes.fromhex("06032b6571"), (b"\x13\x0aedwards448", b"\x13\x05Ed448"), Ed448PrivateKey, Ed448PublicKey
)
CURVES = RawCurves(ck.CKK_EC_EDWARDS, "Ed25519 and Ed448", (ED25519, ED448), octet_string)
EQUATIONS = {
    ED25519: Equation(2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19), 1, True),
    ED448: Equation(2**448 - 2**224 - 1, -39081, -1, False),
}
_LONGEST_MESSAGE = 64 << 20


def check_public(parameters: bytes | None, point: bytes) -> Any:
    """A public key from outside: a point of the curve, and not one of the few under which everything verifies.

    cryptography and libcrypto look at a key only when they verify. All values here are public.
    """
    curve, public = CURVES.find(parameters), CURVES.load_public(parameters, point)
    prime, d, c, eighths = EQUATIONS[curve]
    sign = 1 << (8 * curve.octets - 1)
    y = int.from_bytes(public.public_bytes_raw(), "little") & ~sign
    squared = y * y % prime
    # RFC 8032, sections 5.1.3 and 5.2.3: x² must be a square (Euler's criterion on its fraction's two halves).
    on_curve = y < prime and pow((squared - 1) * (d * squared + c), (prime - 1) // 2, prime) in (0, 1)
    small = y in (0, 1, prime - 1) or (eighths and (d * squared * squared + 2 * squared - 1) % prime == 0)
    if not on_curve or small:
        raise ValueError("no point of the curve's large group")
    return public


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    return CURVES.generate_pair(public.get(ck.CKA_EC_PARAMS))


class Signature(Saveable, InParts):
    """Pure EdDSA hashes the message twice, so parts are gathered until the end."""

    __slots__ = ("_data", "_key", "length")
    moving = "_data"

    def __init__(self, key: Key) -> None:
        self._key = key
        self.length = 2 * CURVES.find(key.get(ck.CKA_EC_PARAMS)).octets
        self._data = bytearray()

    def update(self, data: bytes) -> None:
        if len(self._data) + len(data) > _LONGEST_MESSAGE:
            raise TokenError(ck.CKR_DATA_LEN_RANGE, "messages of up to 64 MiB can be signed")
        self._data += data

    def finish(self, signature: bytes | None = None) -> bytes:
        if signature is None:
            made: bytes = self._key.native(CURVES.private).sign(bytes(self._data))
            return made
        if len(signature) != self.length:
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {self.length} bytes")
        try:
            self._key.native(CURVES.public).verify(signature, bytes(self._data))
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
