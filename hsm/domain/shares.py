"""A secret in N shares, of which M give it back and fewer tell nothing: Shamir's scheme over GF(257), as Azure's files
have it.

Each byte of the secret has a polynomial of degree M - 1 of its own, whose constant term it is. A share has of each byte
one little-endian 16-bit word: the share's number in the upper seven bits, the polynomial's value there, 0 to 256, in
the lower nine.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence

from hsm.domain.jwe import Unfit

PRIME, MOST = 257, 126


def split(secret: bytes, shares: int, required: int) -> list[bytes]:
    if not 1 < required <= shares <= MOST:
        raise ValueError("required")
    found: list[list[int]] = [[] for _ in range(shares)]
    for byte in secret:
        polynomial = [byte, *(secrets.randbelow(PRIME) for _ in range(required - 1))]
        for x in range(1, shares + 1):
            value = 0
            for coefficient in reversed(polynomial):
                value = (value * x + coefficient) % PRIME
            found[x - 1].append(x << 9 | value)
    return [struct.pack(f"<{len(words)}H", *words) for words in found]


def number_of(share: bytes) -> int:
    """A share's number, which all of its words have. Raises Unfit for what is no share."""
    if not share or len(share) % 2:
        raise Unfit("it is no share of a secret")
    words: tuple[int, ...] = struct.unpack(f"<{len(share) // 2}H", share)
    numbers = {word >> 9 for word in words}
    if len(numbers) != 1 or not 0 < min(numbers) <= MOST or max(word & 0x1FF for word in words) >= PRIME:
        raise Unfit("it is no share of a secret")
    return numbers.pop()


def joined(shares: Sequence[bytes]) -> bytes:
    """The secret that these shares give, by Lagrange's formula at 0; noise where they are fewer than it takes."""
    numbers = [number_of(share) for share in shares]
    if len(set(numbers)) != len(numbers) or len({len(share) for share in shares}) != 1:
        raise Unfit("the shares are not of one secret, or one is there twice")
    weights = []
    for x in numbers:
        above = below = 1
        for other in numbers:
            if other != x:
                above, below = above * other % PRIME, below * (other - x) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    columns = zip(*(struct.unpack(f"<{len(share) // 2}H", share) for share in shares), strict=True)
    found = [sum((word & 0x1FF) * weight for word, weight in zip(column, weights, strict=True)) % PRIME
             for column in columns]
    if max(found, default=0) > 255:
        raise Unfit("these shares give no secret: one is wrong, or they are too few")
    return bytes(found)
