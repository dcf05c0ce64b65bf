"""Message digests: SHA-1, SHA-2 and SHA-3, by hashlib; and the table of hashes that every family builds on."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes

from hsm.mechanisms.entry import Mechanism, Saveable
from pkcs11_shim import constants as ck


class Hash(NamedTuple):
    """One hash: hashlib's name, cryptography's object, and the numbers of its digest and its HMAC. Whatever else is
    built on it names it by the digest's number, in its own family's file."""

    name: str
    algorithm: hashes.HashAlgorithm
    digest: int
    hmac: int
    hmac_general: int
    key_type: int
    key_gen: int = 0  # 0: the standard has none

    @property
    def length(self) -> int:
        """Bytes of the digest."""
        return self.algorithm.digest_size


HASHES = (
    Hash(
        "sha1", hashes.SHA1(), ck.CKM_SHA_1, ck.CKM_SHA_1_HMAC, ck.CKM_SHA_1_HMAC_GENERAL,
        ck.CKK_SHA_1_HMAC, ck.CKM_SHA_1_KEY_GEN,
    ),
    Hash(
        "sha224", hashes.SHA224(), ck.CKM_SHA224, ck.CKM_SHA224_HMAC, ck.CKM_SHA224_HMAC_GENERAL,
        ck.CKK_SHA224_HMAC, ck.CKM_SHA224_KEY_GEN,
    ),
    Hash(
        "sha256", hashes.SHA256(), ck.CKM_SHA256, ck.CKM_SHA256_HMAC, ck.CKM_SHA256_HMAC_GENERAL,
        ck.CKK_SHA256_HMAC, ck.CKM_SHA256_KEY_GEN,
    ),
    Hash(
        "sha384", hashes.SHA384(), ck.CKM_SHA384, ck.CKM_SHA384_HMAC, ck.CKM_SHA384_HMAC_GENERAL,
        ck.CKK_SHA384_HMAC, ck.CKM_SHA384_KEY_GEN,
    ),
    Hash(
        "sha512", hashes.SHA512(), ck.CKM_SHA512, ck.CKM_SHA512_HMAC, ck.CKM_SHA512_HMAC_GENERAL,
        ck.CKK_SHA512_HMAC, ck.CKM_SHA512_KEY_GEN,
    ),
    Hash(
        "sha512_224", hashes.SHA512_224(), ck.CKM_SHA512_224, ck.CKM_SHA512_224_HMAC, ck.CKM_SHA512_224_HMAC_GENERAL,
        ck.CKK_SHA512_224_HMAC, ck.CKM_SHA512_224_KEY_GEN,
    ),
    Hash(
        "sha512_256", hashes.SHA512_256(), ck.CKM_SHA512_256, ck.CKM_SHA512_256_HMAC, ck.CKM_SHA512_256_HMAC_GENERAL,
        ck.CKK_SHA512_256_HMAC, ck.CKM_SHA512_256_KEY_GEN,
    ),
    Hash(
        "sha3_224", hashes.SHA3_224(), ck.CKM_SHA3_224, ck.CKM_SHA3_224_HMAC, ck.CKM_SHA3_224_HMAC_GENERAL,
        ck.CKK_SHA3_224_HMAC, ck.CKM_SHA3_224_KEY_GEN,
    ),
    Hash(
        "sha3_256", hashes.SHA3_256(), ck.CKM_SHA3_256, ck.CKM_SHA3_256_HMAC, ck.CKM_SHA3_256_HMAC_GENERAL,
        ck.CKK_SHA3_256_HMAC, ck.CKM_SHA3_256_KEY_GEN,
    ),
    Hash(
        "sha3_384", hashes.SHA3_384(), ck.CKM_SHA3_384, ck.CKM_SHA3_384_HMAC, ck.CKM_SHA3_384_HMAC_GENERAL,
        ck.CKK_SHA3_384_HMAC, ck.CKM_SHA3_384_KEY_GEN,
    ),
    Hash(
        "sha3_512", hashes.SHA3_512(), ck.CKM_SHA3_512, ck.CKM_SHA3_512_HMAC, ck.CKM_SHA3_512_HMAC_GENERAL,
        ck.CKK_SHA3_512_HMAC, ck.CKM_SHA3_512_KEY_GEN,
    ),
)
BY_NUMBER = {row.digest: row for row in HASHES}


class Digest(Saveable):
    """A digest in progress; ``length`` bytes come out."""

    __slots__ = ("_state", "length")
    moving = "_state"

    def __init__(self, name: str) -> None:
        self._state = hashlib.new(name)
        self.length = self._state.digest_size

    def update(self, data: bytes) -> None:
        self._state.update(data)

    def finish(self) -> bytes:
        return self._state.digest()


def row(hashed: Hash) -> Mechanism:
    return Mechanism(hashed.digest, digest=lambda parameter: Digest(hashed.name))


MECHANISMS = [row(hashed) for hashed in HASHES]
