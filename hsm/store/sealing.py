"""Keys over keys: what is at rest is sealed, and says so when somebody has touched it.

The device key (a 0600 file made with the pool) seals what must work with nobody logged in; it protects from nobody who
holds both disk and file. A partition key, made at C_InitToken and kept only wrapped under officers' PINs, seals every
secret. Each record has a key of its own by HKDF, from its place and generation, so no nonce is ever used twice; the
record's whole public part is the AAD, so a flipped flag is a record that does not open.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hsm.confinement.arena import ARENA, Secret

KEY_BYTES = 32
VALUE = 32  # bytes of the sealed record of what a key value has lost; a restore may put several behind each other
# What stands beside an object's public part, which says so by its AAD, so that none can be taken away: nothing, what
# the partition's key opens, or what came in while the partition was sealed and its own pair opens.
NO_SECRET, SECRET, INCOMING = b"", b"secret", b"incoming"


class Damaged(Exception):
    """A sealed record does not open: altered, swapped, or sealed under another key."""


def derive(key: Secret, *place: bytes | int) -> bytes:
    """HKDF-Expand (RFC 5869) from a uniform key; ``place`` parts are length-prefixed, so none runs into the next."""
    return HKDFExpand(SHA256(), KEY_BYTES, b"".join(map(_part, place))).derive(key)


def derive_held(key: Secret, *place: bytes | int) -> memoryview:
    """The same, straight into locked memory: for keys that stay, or open other keys."""
    view = ARENA.take()
    HKDFExpand(SHA256(), KEY_BYTES, b"".join(map(_part, place))).derive_into(key, view)
    return view


def _part(part: bytes | int) -> bytes:
    raw = part.to_bytes(8, "little") if isinstance(part, int) else part
    return len(raw).to_bytes(4, "little") + raw


def seal(key: Secret, data: Secret, aad: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, data, aad)


def unseal(key: Secret, sealed: bytes, aad: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    except (InvalidTag, ValueError, TypeError):  # a hand in the database may put anything into a column
        raise Damaged from None


def unseal_public(key: Secret, sealed: bytes, has_secret: bool) -> tuple[bytes, bytes]:
    """An object's public part, and what it says of the secret one."""
    if not has_secret:
        return unseal(key, sealed, NO_SECRET), NO_SECRET
    try:
        return unseal(key, sealed, SECRET), SECRET
    except Damaged:
        return unseal(key, sealed, INCOMING), INCOMING


def unseal_key(key: Secret, sealed: bytes, aad: bytes) -> memoryview:
    """A key that is sealed under another, straight into locked memory."""
    view = ARENA.take()
    try:
        AESGCM(key).decrypt_into(sealed[:12], sealed[12:], aad, view)
    except (InvalidTag, ValueError, TypeError):
        raise Damaged from None
    return view


_ATTRIBUTE = struct.Struct("<QI")


def pack(attributes: dict[int, bytes]) -> bytes:
    """The canonical encoding of attributes: ascending by number."""
    return b"".join([_ATTRIBUTE.pack(n, len(attributes[n])) + attributes[n] for n in sorted(attributes)])


def unpack(data: bytes) -> dict[int, bytes]:
    """Raises Damaged where that is no such encoding: what a seal was opened of may be of another version."""
    found = {}
    at, size = 0, len(data)
    try:
        while at < size:
            number, length = _ATTRIBUTE.unpack_from(data, at)
            end = at + 12 + length
            found[number] = data[at + 12 : end]
            at = end
    except struct.error:
        raise Damaged from None
    if at != size:
        raise Damaged
    return found


# -- a PIN over the partition key

_WRAPPED = struct.Struct("<BIII16s")  # format, KiB of memory, passes, lanes, salt


def wrap_under_pin(pin: bytes, partition_key: Secret, cost: tuple[int, int, int], place: bytes) -> bytes:
    """The partition key under Argon2id(PIN). The parameters are authenticated, and a commitment to the key stands
    beside it: AES-GCM alone would let one ciphertext open under many PINs (a partitioning oracle)."""
    head = _WRAPPED.pack(1, *cost, os.urandom(16))
    kek, commitment = _stretch(pin, head)
    return head + commitment + seal(kek, partition_key, head + commitment + place)


def unwrap_under_pin(pin: bytes, wrapped: bytes, place: bytes) -> memoryview | None:
    """The partition key, or None where the PIN is wrong. Raises Damaged where the record is."""
    head, commitment = wrapped[: _WRAPPED.size], wrapped[_WRAPPED.size : _WRAPPED.size + 32]
    if len(commitment) != 32 or wrapped[0] != 1:
        raise Damaged
    kek, expected = _stretch(pin, head)
    if not hmac.compare_digest(commitment, expected):
        return None
    return unseal_key(kek, wrapped[_WRAPPED.size + 32 :], head + commitment + place)


def _stretch(pin: bytes, head: bytes) -> tuple[memoryview, bytes]:
    _, memory, passes, lanes, salt = _WRAPPED.unpack(head)
    if not (8 * lanes <= memory <= 1 << 22 and 0 < passes <= 64 and 0 < lanes <= 64):
        raise Damaged
    stretched = ARENA.take()
    Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive_into(pin, stretched)
    return derive_held(stretched, b"kek", head), derive(stretched, b"commitment", head)


# -- what lets the engine put keys in while a partition is sealed


def new_pair() -> tuple[bytes, bytes]:
    """An X25519 pair (private, public), raw: to the public half new keys can be sealed with nobody logged in."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def public_of(private: Secret) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def covering(serial: bytes) -> bytes:
    """What a partition's copy for the security domain is bound to."""
    return b"security-domain/" + serial


def seal_copy(public: bytes, partition_key: Secret, place: bytes) -> bytes:
    """The partition key for who has the private half of an officer's pair (HPKE, RFC 9180)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    return bytes(_suite().encrypt(partition_key, X25519PublicKey.from_public_bytes(public), place))


def open_copy(private: Secret, copy: bytes, place: bytes) -> memoryview | None:
    """None where there is no copy. Raises Damaged where it does not open."""
    if not copy:
        return None
    try:
        return ARENA.keep(_suite().decrypt(copy, X25519PrivateKey.from_private_bytes(private), place))
    except (InvalidTag, ValueError):
        raise Damaged from None


def seal_to(public: bytes, data: Secret, aad: bytes) -> bytes:
    """For who has the private half of the partition's own pair, under a key of the moment."""
    once = os.urandom(KEY_BYTES)
    copy = seal_copy(public, once, b"incoming")
    return len(copy).to_bytes(4, "little") + copy + seal(once, data, aad)


def open_incoming(private: Secret, sealed: bytes, aad: bytes) -> bytes:
    end = 4 + int.from_bytes(sealed[:4], "little")
    once = open_copy(private, sealed[4:end], b"incoming")
    if once is None:
        raise Damaged
    return unseal(once, sealed[end:], aad)


def _suite() -> Any:
    from cryptography.hazmat.primitives import hpke  # few officers need it, and it takes 17 ms

    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
