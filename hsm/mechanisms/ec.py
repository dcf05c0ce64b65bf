"""Elliptic curves over prime fields: key pairs and ECDSA (PKCS#11 3.2, section 6.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature

from hsm.errors import TokenError
from hsm.mechanisms import curves, der
from hsm.mechanisms.digest import BY_NUMBER
from hsm.mechanisms.entry import InParts, Mechanism, OnePart, Saveable, no_parameter
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

OCTET_STRING = 0x04
BITS = (min(row.bits for row in curves.CURVES), max(row.bits for row in curves.CURVES))
FLAGS = (
    ck.CKF_EC_F_P | ck.CKF_EC_OID | ck.CKF_EC_ECPARAMETERS | ck.CKF_EC_CURVENAME | ck.CKF_EC_UNCOMPRESS
    | ck.CKF_EC_COMPRESS
)
HASHED = {
    ck.CKM_ECDSA_SHA1: ck.CKM_SHA_1, ck.CKM_ECDSA_SHA224: ck.CKM_SHA224, ck.CKM_ECDSA_SHA256: ck.CKM_SHA256,
    ck.CKM_ECDSA_SHA384: ck.CKM_SHA384, ck.CKM_ECDSA_SHA512: ck.CKM_SHA512,
    ck.CKM_ECDSA_SHA3_224: ck.CKM_SHA3_224, ck.CKM_ECDSA_SHA3_256: ck.CKM_SHA3_256,
    ck.CKM_ECDSA_SHA3_384: ck.CKM_SHA3_384, ck.CKM_ECDSA_SHA3_512: ck.CKM_SHA3_512,
}


class _Given(hashes.HashAlgorithm):
    """A digest of whatever length the caller hands in: ECDSA takes the leftmost bits (FIPS 186-5, section 6.4)."""

    name = "given"
    block_size = None

    def __init__(self, size: int) -> None:
        self._size = size

    @property
    def digest_size(self) -> int:
        return self._size


def raw_point(value: bytes, octets: int) -> bytes:
    """A point as clients write it, raw or as a DER OCTET STRING, as raw bytes."""
    if value[:1] == bytes([OCTET_STRING]) and len(value) not in (1 + 2 * octets, 1 + octets):
        short = len(value) >= 2 and value[1] < 0x80 and len(value) == 2 + value[1]
        long = len(value) >= 3 and value[1] == 0x81 and len(value) == 3 + value[2]
        if short or long:
            return value[2 if short else 3 :]
    return value


def octet_string(raw: bytes) -> bytes:
    """The DER OCTET STRING that CKA_EC_POINT is."""
    size = bytes([len(raw)]) if len(raw) < 0x80 else bytes([0x81, len(raw)])
    return bytes([OCTET_STRING]) + size + raw


def load_public(parameters: bytes | None, point: bytes) -> ec.EllipticCurvePublicKey:
    """Raises ValueError for what is no point of the curve."""
    row = curves.find(parameters)
    return ec.EllipticCurvePublicKey.from_encoded_point(row.make(), raw_point(point, row.octets))


def load_private(parameters: bytes | None, value: bytes) -> ec.EllipticCurvePrivateKey:
    """Raises ValueError for a scalar out of range."""
    return ec.derive_private_key(int.from_bytes(value, "big"), curves.find(parameters).make())


def _public(key: Key) -> ec.EllipticCurvePublicKey:
    return load_public(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_EC_POINT) or b"")


def private(key: Key) -> ec.EllipticCurvePrivateKey:
    return load_private(key.get(ck.CKA_EC_PARAMS), key.get(ck.CKA_VALUE) or b"")


def _find(key: Key) -> curves.Curve:
    return curves.find(key.get(ck.CKA_EC_PARAMS))


def _curve(key: Key) -> curves.Curve:
    return key.native(_find)


def public_attributes(public: ec.EllipticCurvePublicKey) -> dict[int, bytes]:
    """What both halves of a pair say of the public one."""
    return {
        ck.CKA_KEY_TYPE: ck.CKK_EC.to_bytes(8, "little"), ck.CKA_EC_POINT: octet_string(der.uncompressed(public)),
        ck.CKA_PUBLIC_KEY_INFO: der.public_info(public),
    }


def private_attributes(private: ec.EllipticCurvePrivateKey, parameters: bytes) -> dict[int, bytes]:
    """The private half; ``parameters`` is CKA_EC_PARAMS as the client wrote it."""
    octets = curves.find(parameters).octets
    value = private.private_numbers().private_value.to_bytes(octets, "big")
    return {**public_attributes(private.public_key()), ck.CKA_EC_PARAMS: parameters, ck.CKA_VALUE: value}


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    parameters = public.get(ck.CKA_EC_PARAMS, b"")
    made = ec.generate_private_key(curves.find(parameters).make())
    return public_attributes(made.public_key()), private_attributes(made, parameters)


class Signature(Saveable, InParts):
    """ECDSA of what comes, hashed, whole or in parts."""

    __slots__ = ("_hash", "_hashed", "_key", "length")
    moving = "_hash"

    def __init__(self, key: Key, hashed: hashes.HashAlgorithm) -> None:
        self._key = key
        self._hashed = hashed
        self._hash = hashes.Hash(hashed)
        self.length = 2 * _curve(key).octets

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def finish(self, signature: bytes | None = None) -> bytes:
        return _end(self._key, ec.ECDSA(Prehashed(self._hashed)), self._hash.finalize(), signature)


class RawSignature(OnePart):
    """ECDSA of a digest that the caller made, of any length; its leftmost bits count (section 6.3.12)."""

    __slots__ = ("_key", "length")

    def __init__(self, key: Key) -> None:
        self._key = key
        self.length = 2 * _curve(key).octets

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        if not data:
            raise TokenError(ck.CKR_DATA_LEN_RANGE, "there is no digest to sign")
        return _end(self._key, _given(len(data)), data, signature)


@lru_cache(maxsize=64)
def _given(length: int) -> ec.ECDSA:
    return ec.ECDSA(Prehashed(_Given(length)))


def _end(key: Key, algorithm: ec.ECDSA, digest: bytes, signature: bytes | None) -> bytes:
    """r and s, each as long as the order, one after the other (section 6.3.1)."""
    half = _curve(key).octets
    if signature is None:
        r, s = decode_dss_signature(key.native(private).sign(digest, algorithm))
        return r.to_bytes(half, "big") + s.to_bytes(half, "big")
    # Java writes both halves as short as the longer of them: any even length counts, left-padded.
    if not signature or len(signature) % 2 or len(signature) > 2 * half:
        raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {2 * half} bytes")
    middle = len(signature) // 2
    r, s = int.from_bytes(signature[:middle], "big"), int.from_bytes(signature[middle:], "big")
    try:
        key.native(_public).verify(encode_dss_signature(r, s), digest, algorithm)
    except InvalidSignature:
        raise TokenError(ck.CKR_SIGNATURE_INVALID, "the signature does not verify") from None
    return b""


def _ecdsa(number: int, hashed: int | None) -> Mechanism:
    def start(key: Key, parameter: None) -> Any:
        return RawSignature(key) if hashed is None else Signature(key, BY_NUMBER[hashed].algorithm)

    return Mechanism(number, (ck.CKK_EC,), *BITS, FLAGS, no_parameter, sign=start, verify=start)


MECHANISMS = [
    Mechanism(ck.CKM_EC_KEY_PAIR_GEN, (ck.CKK_EC,), *BITS, FLAGS, generate_pair=_generate_pair),
    _ecdsa(ck.CKM_ECDSA, None),
    *(_ecdsa(number, hashed) for number, hashed in HASHED.items()),
]
