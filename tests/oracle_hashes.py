"""What is built on hashes, written out as its own document has it: HMAC and the key derivations of the standards.

The engine takes its digests and HMACs from hashlib, which is the system's libcrypto; here single digests come from the
cryptography package, which brings one of its own, and everything above is a few lines.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cryptography.hazmat.primitives import hashes
from oracle_blocks import xor

Prf = Callable[[bytes, bytes], bytes]
ALGORITHMS: dict[str, type[hashes.HashAlgorithm]] = {
    "MD5": hashes.MD5, "SHA_1": hashes.SHA1, "SHA224": hashes.SHA224, "SHA256": hashes.SHA256, "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512, "SHA512_224": hashes.SHA512_224, "SHA512_256": hashes.SHA512_256,
    "SHA3_224": hashes.SHA3_224, "SHA3_256": hashes.SHA3_256, "SHA3_384": hashes.SHA3_384, "SHA3_512": hashes.SHA3_512,
}
# FIPS 202, table 3: bytes of a block of SHA-3; the others' are FIPS 180-4's.
BLOCKS = {
    "MD5": 64, "SHA_1": 64, "SHA224": 64, "SHA256": 64, "SHA384": 128, "SHA512": 128, "SHA512_224": 128,
    "SHA512_256": 128, "SHA3_224": 144, "SHA3_256": 136, "SHA3_384": 104, "SHA3_512": 72,
}


def digest(known: str, data: bytes) -> bytes:
    state = hashes.Hash(ALGORITHMS[known]())
    state.update(data)
    return state.finalize()


def length(known: str) -> int:
    return ALGORITHMS[known]().digest_size


def hmac(known: str, key: bytes, data: bytes) -> bytes:
    """RFC 2104."""
    block = BLOCKS[known]
    key = (digest(known, key) if len(key) > block else key).ljust(block, b"\0")
    inner = digest(known, xor(key, b"\x36" * block) + data)
    return digest(known, xor(key, b"\x5c" * block) + inner)


def hkdf_extract(known: str, salt: bytes, secret: bytes) -> bytes:
    """RFC 5869, section 2.2."""
    return hmac(known, salt or bytes(length(known)), secret)


def hkdf_expand(known: str, key: bytes, info: bytes, wanted: int) -> bytes:
    """RFC 5869, section 2.3."""
    out, last, at = b"", b"", 0
    while len(out) < wanted:
        at += 1
        last = hmac(known, key, last + info + bytes([at]))
        out += last
    return out[:wanted]


def x963(known: str, secret: bytes, shared: bytes, wanted: int) -> bytes:
    """SEC 1, section 3.6.1."""
    out, at = b"", 0
    while len(out) < wanted:
        at += 1
        out += digest(known, secret + at.to_bytes(4, "big") + shared)
    return out[:wanted]


def pbkdf2(known: str, password: bytes, salt: bytes, rounds: int, wanted: int) -> bytes:
    """RFC 8018, section 5.2."""
    out, at = b"", 0
    while len(out) < wanted:
        at += 1
        block = last = hmac(known, password, salt + at.to_bytes(4, "big"))
        for _ in range(rounds - 1):
            last = hmac(known, password, last)
            block = xor(block, last)
        out += block
    return out[:wanted]


def hmac_prf(known: str) -> Prf:
    return partial(hmac, known)


def counter_kdf(prf: Prf, key: bytes, message: Callable[[int], bytes], wanted: int) -> bytes:
    """SP 800-108, section 4.1: ``message`` puts the counter among the fixed data."""
    out, at = b"", 0
    while len(out) < wanted:
        at += 1
        out += prf(key, message(at))
    return out[:wanted]


def mgf1(known: str, seed: bytes, wanted: int) -> bytes:
    """RFC 8017, section B.2.1."""
    out, at = b"", 0
    while len(out) < wanted:
        out += digest(known, seed + at.to_bytes(4, "big"))
        at += 1
    return out[:wanted]
