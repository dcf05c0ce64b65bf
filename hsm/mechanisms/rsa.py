"""RSA: key pair generation, PKCS#1 v1.5, PSS and OAEP (PKCS#11 3.2, section 6.1).

Decryption by PKCS#1 v1.5 relies on libcrypto's implicit rejection: a wrong padding gives random bytes, never an error
to learn from. Unwrapping goes on from there: what can't be the key that is asked for becomes one that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hsm.errors import TokenError
from hsm.mechanisms import formats, rsa_keys, secret_forms
from hsm.mechanisms.digest import BY_NUMBER
from hsm.mechanisms.entry import InParts, Mechanism, OnePart, Saveable, no_parameter
from hsm.mechanisms.wrapping import both_ways, named_for_unwrapping
from hsm.objects.key import Key
from hsm.unhurried import unhurried
from pkcs11_shim import constants as ck

LARGEST_MADE = 8192
EXPONENTS = (3, 65537)
PKCS1_OVERHEAD = 11
DIGEST_INFO = 19  # bytes before the digest (RFC 8017, section 9.2, note 1); SHA-1 has fewer

MGFS = {
    ck.CKG_MGF1_SHA1: ck.CKM_SHA_1, ck.CKG_MGF1_SHA224: ck.CKM_SHA224, ck.CKG_MGF1_SHA256: ck.CKM_SHA256,
    ck.CKG_MGF1_SHA384: ck.CKM_SHA384, ck.CKG_MGF1_SHA512: ck.CKM_SHA512, ck.CKG_MGF1_SHA3_224: ck.CKM_SHA3_224,
    ck.CKG_MGF1_SHA3_256: ck.CKM_SHA3_256, ck.CKG_MGF1_SHA3_384: ck.CKM_SHA3_384,
    ck.CKG_MGF1_SHA3_512: ck.CKM_SHA3_512,
}
OAEP_HASHES = (ck.CKM_SHA_1, ck.CKM_SHA224, ck.CKM_SHA256, ck.CKM_SHA384, ck.CKM_SHA512)


class Signature(Saveable, InParts):
    """Hashes what comes, whole or in parts, and signs; verifies where a signature is given."""

    __slots__ = ("_algorithm", "_hash", "_key", "_padding", "length")
    moving = "_hash"

    def __init__(self, key: Key, pad: Any, hashed: hashes.HashAlgorithm) -> None:
        self._key = key
        self._padding = pad
        self._algorithm = utils.Prehashed(hashed)
        self._hash = hashes.Hash(hashed)
        self.length = rsa_keys.octets(key)

    def update(self, data: bytes) -> None:
        self._hash.update(data)

    def finish(self, signature: bytes | None = None) -> bytes:
        return _end(self._key, self._padding, self._algorithm, self._hash.finalize(), signature)


class RawSignature(OnePart):
    """Signs what the caller has hashed: a DigestInfo, or for PSS a digest of the one right length."""

    __slots__ = ("_algorithm", "_key", "_lengths", "_padding", "length")

    def __init__(self, key: Key, pad: Any, algorithm: Any, lengths: range) -> None:
        self._key = key
        self._padding = pad
        self._algorithm = algorithm
        self._lengths = lengths
        self.length = rsa_keys.octets(key)

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        if len(data) not in self._lengths:
            words = f"with this key and parameter {self._lengths[0]} to {self._lengths[-1]} bytes can be signed"
            raise TokenError(ck.CKR_DATA_LEN_RANGE, words)
        return _end(self._key, self._padding, self._algorithm, data, signature)


def _end(key: Key, pad: Any, algorithm: Any, digest: bytes, signature: bytes | None) -> bytes:
    if signature is None:
        return key.native(rsa_keys.private).sign(digest, pad, algorithm)
    if len(signature) != rsa_keys.octets(key):
        raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"a signature by this key has {rsa_keys.octets(key)} bytes")
    public = key.native(rsa_keys.public)
    try:
        if digest:
            public.verify(signature, digest, pad, algorithm)
        elif public.recover_data_from_signature(signature, pad, None):  # libcrypto verifies no empty message
            raise InvalidSignature
    except InvalidSignature:
        raise TokenError(ck.CKR_SIGNATURE_INVALID, "the signature does not verify") from None
    return b""


class Recovery(OnePart):
    """Gives back what was signed, where the padding is right (section 5.15.6)."""

    __slots__ = ("_key", "_padding", "room")

    def __init__(self, key: Key, pad: Any, overhead: int) -> None:
        self._key = key
        self._padding = pad
        self.room = _room(key, overhead, rsa_keys.octets(key))

    def bound(self, length: int) -> int:
        return self.room

    def one_shot(self, signature: bytes) -> bytes:
        if len(signature) != rsa_keys.octets(self._key):
            words = f"a signature by this key has {rsa_keys.octets(self._key)} bytes"
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, words)
        try:
            return self._key.native(rsa_keys.public).recover_data_from_signature(signature, self._padding, None)
        except InvalidSignature:
            raise TokenError(ck.CKR_SIGNATURE_INVALID, "the signature holds no data under this key") from None


def _room(key: Key, needed: int, octets: int) -> int:
    """What is left of ``octets``; CKR_KEY_SIZE_RANGE at Init where the key is too short for any message at all."""
    if octets < needed:
        raise TokenError(ck.CKR_KEY_SIZE_RANGE, "the key is too short for this padding and hash")
    return octets - needed


def _pkcs1(number: int | None) -> Callable[[Key, Any], Any]:
    def start(key: Key, parameter: Any) -> Any:
        octets = rsa_keys.octets(key)
        if number is None:
            lengths = range(_room(key, PKCS1_OVERHEAD, octets) + 1)
            return RawSignature(key, padding.PKCS1v15(), utils.NoDigestInfo(), lengths)
        made = BY_NUMBER[number]
        _room(key, PKCS1_OVERHEAD + DIGEST_INFO + made.length, octets)
        return Signature(key, padding.PKCS1v15(), made.algorithm)

    return start


def _mgf1(mgf: int) -> padding.MGF1:
    return padding.MGF1(BY_NUMBER[MGFS[mgf]].algorithm)


def _pss_parameter(number: int | None) -> Callable[[Any], tuple[int, int, int]]:
    def check(parameter: Any) -> tuple[int, int, int]:
        """CK_RSA_PKCS_PSS_PARAMS: the hash must be the mechanism's own, where it has one."""
        named = getattr(parameter, "hashAlg", -1)
        if named not in MGFS.values() or parameter.mgf not in MGFS or number not in (None, named):
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "hash and MGF must be known and fit the mechanism")
        return named, parameter.mgf, parameter.sLen

    return check


def _pss(number: int | None) -> Callable[[Key, Any], Any]:
    def start(key: Key, parameter: tuple[int, int, int]) -> Any:
        named, mgf, salt = parameter
        made = BY_NUMBER[named].algorithm
        # RFC 8017, section 9.1.1: the encoded message has a bit less than the modulus.
        if salt > _room(key, made.digest_size + 2, (rsa_keys.bits(key) + 6) // 8):
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the salt is too long for this key")
        pad = padding.PSS(_mgf1(mgf), salt)
        if number is None:
            return RawSignature(key, pad, utils.Prehashed(made), range(made.digest_size, made.digest_size + 1))
        return Signature(key, pad, made)

    return start


class Encryption(OnePart):
    """One message in, one out; RSA encrypts nothing in parts. ``room``: bytes of the longest message."""

    __slots__ = ("_encrypting", "_key", "_padding", "room")

    def __init__(self, key: Key, padded: tuple[Any, int], encrypting: bool) -> None:
        """``padded``: the padding, and how many bytes it takes."""
        self._key = key
        self._padding, overhead = padded
        self._encrypting = encrypting
        self.room = _room(key, overhead, rsa_keys.octets(key))

    def bound(self, length: int) -> int:
        return rsa_keys.octets(self._key) if self._encrypting else self.room

    def one_shot(self, data: bytes) -> bytes:
        if self._encrypting:
            if len(data) > self.room:
                raise TokenError(ck.CKR_DATA_LEN_RANGE, f"up to {self.room} bytes fit this key")
            return self._key.native(rsa_keys.public).encrypt(data, self._padding)
        if len(data) != rsa_keys.octets(self._key):
            raise TokenError(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, "the ciphertext is as long as the modulus")
        try:
            return self._key.native(rsa_keys.private).decrypt(data, self._padding)
        except ValueError:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "the ciphertext does not decrypt under this key") from None


def _unwrap_pkcs1(key: Key, parameter: None, wrapped: bytes, template: dict[int, bytes]) -> dict[int, bytes]:
    """The key; or, where the padding, the length or the value is not right, always the same one for this blob, of the
    length that is asked for (draft-irtf-cfrg-rsa-guidance). A refusal would be Bleichenbacher's oracle."""
    if template[ck.CKA_CLASS] != ck.CKO_SECRET_KEY.to_bytes(8, "little"):
        raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "this mechanism unwraps secret keys only", "CKA_CLASS")
    key_type = int.from_bytes(template[ck.CKA_KEY_TYPE], "little")
    cipher = Encryption(key, (padding.PKCS1v15(), PKCS1_OVERHEAD), False)
    said = int.from_bytes(template.get(ck.CKA_VALUE_LEN, b""), "little")
    if said and not (secret_forms.has_length(key_type, said) and said <= cipher.room):
        words = "keys of this type don't have the length of CKA_VALUE_LEN, or this key has no room for it"
        raise TokenError(ck.CKR_WRAPPED_KEY_LEN_RANGE, words, "CKA_VALUE_LEN")
    value = bytes(cipher.one_shot(wrapped))
    lengths = secret_forms.FORMS[key_type].lengths if key_type in secret_forms.FORMS else (32,)
    secret = key.get(ck.CKA_PRIVATE_EXPONENT)
    if not secret:  # without it anybody could make the key that is to be nobody's
        raise TokenError(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, "the key is gone: somebody destroyed it")
    nobodys = HKDF(hashes.SHA256(), said or lengths[-1], None, b"PKCS#1 v1.5" + wrapped).derive(secret)
    right = len(value) == said if said else secret_forms.has_length(key_type, len(value))
    if not (right and secret_forms.is_good(key_type, value)):
        value = secret_forms.derived(key_type, nobodys)
    return formats.from_bytes(value, template)


def oaep_parameter(parameter: Any) -> tuple[Any, int]:
    """CK_RSA_PKCS_OAEP_PARAMS: hash and MGF may differ; the label is the source data."""
    named = getattr(parameter, "hashAlg", -1)
    label = getattr(parameter, "pSourceData", None)
    known = named in OAEP_HASHES and MGFS.get(parameter.mgf) in OAEP_HASHES
    if not known or parameter.source not in (0, ck.CKZ_DATA_SPECIFIED):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "hash, MGF or source is not offered for OAEP")
    if parameter.source == 0 and label:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "a label needs CKZ_DATA_SPECIFIED")
    made = BY_NUMBER[named].algorithm
    return padding.OAEP(_mgf1(parameter.mgf), made, label or None), 2 * made.digest_size + 2


def _generate_pair(
    parameter: None, public: dict[int, bytes], private: dict[int, bytes]
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    bits = int.from_bytes(public.get(ck.CKA_MODULUS_BITS, b""), "little")
    exponent = int.from_bytes(public.get(ck.CKA_PUBLIC_EXPONENT, b"\x01\x00\x01"), "big")
    if not rsa_keys.SMALLEST <= bits <= LARGEST_MADE or bits % 8:
        words = f"{rsa_keys.SMALLEST} to {LARGEST_MADE} bits can be made, in whole bytes"
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, words, "CKA_MODULUS_BITS")
    if exponent not in EXPONENTS:
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, "the exponent must be 3 or 65537", "CKA_PUBLIC_EXPONENT")
    return rsa_keys.attributes_of(unhurried(lambda: rsa.generate_private_key(exponent, bits)))


def _signer(number: int, start: Any, parameter: Any = no_parameter, **more: Any) -> Mechanism:
    sizes = rsa_keys.SMALLEST, rsa_keys.LARGEST
    return Mechanism(number, (ck.CKK_RSA,), *sizes, parameter=parameter, sign=start, verify=start, **more)


_HASHED = {
    ck.CKM_SHA1_RSA_PKCS: ck.CKM_SHA_1, ck.CKM_SHA224_RSA_PKCS: ck.CKM_SHA224, ck.CKM_SHA256_RSA_PKCS: ck.CKM_SHA256,
    ck.CKM_SHA384_RSA_PKCS: ck.CKM_SHA384, ck.CKM_SHA512_RSA_PKCS: ck.CKM_SHA512,
    ck.CKM_SHA3_224_RSA_PKCS: ck.CKM_SHA3_224, ck.CKM_SHA3_256_RSA_PKCS: ck.CKM_SHA3_256,
    ck.CKM_SHA3_384_RSA_PKCS: ck.CKM_SHA3_384, ck.CKM_SHA3_512_RSA_PKCS: ck.CKM_SHA3_512,
}
_HASHED_PSS = {
    ck.CKM_SHA1_RSA_PKCS_PSS: ck.CKM_SHA_1, ck.CKM_SHA224_RSA_PKCS_PSS: ck.CKM_SHA224,
    ck.CKM_SHA256_RSA_PKCS_PSS: ck.CKM_SHA256, ck.CKM_SHA384_RSA_PKCS_PSS: ck.CKM_SHA384,
    ck.CKM_SHA512_RSA_PKCS_PSS: ck.CKM_SHA512, ck.CKM_SHA3_224_RSA_PKCS_PSS: ck.CKM_SHA3_224,
    ck.CKM_SHA3_256_RSA_PKCS_PSS: ck.CKM_SHA3_256, ck.CKM_SHA3_384_RSA_PKCS_PSS: ck.CKM_SHA3_384,
    ck.CKM_SHA3_512_RSA_PKCS_PSS: ck.CKM_SHA3_512,
}

MECHANISMS = [
    Mechanism(
        ck.CKM_RSA_PKCS_KEY_PAIR_GEN, (ck.CKK_RSA,), rsa_keys.SMALLEST, LARGEST_MADE, generate_pair=_generate_pair
    ),
    _signer(
        ck.CKM_RSA_PKCS, _pkcs1(None), sign_recover=_pkcs1(None),
        verify_recover=lambda key, parameter: Recovery(key, padding.PKCS1v15(), PKCS1_OVERHEAD),
        **{**both_ways(
            lambda key, parameter, encrypting: Encryption(key, (padding.PKCS1v15(), PKCS1_OVERHEAD), encrypting),
            secret_only=True,
        ), "unwrap": named_for_unwrapping(_unwrap_pkcs1)},
    ),
    *[_signer(number, _pkcs1(made)) for number, made in _HASHED.items()],
    _signer(ck.CKM_RSA_PKCS_PSS, _pss(None), _pss_parameter(None)),
    *[_signer(number, _pss(made), _pss_parameter(made)) for number, made in _HASHED_PSS.items()],
    Mechanism(
        ck.CKM_RSA_PKCS_OAEP, (ck.CKK_RSA,), rsa_keys.SMALLEST, rsa_keys.LARGEST, parameter=oaep_parameter,
        **both_ways(Encryption, secret_only=True),
    ),
]
