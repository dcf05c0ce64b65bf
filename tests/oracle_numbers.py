"""Public-key mechanisms by Python's integers alone: RSA (RFC 8017), elliptic curves (SEC 1, RFC 8032, RFC 7748).

The engine has all of it from libcrypto. Curves come from what the openssl program prints of them, or their RFC. Slow,
and not for secrets.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

from oracle_blocks import xor
from oracle_hashes import digest, length, mgf1
from pyasn1.codec.der import decoder
from vectors_openssl import openssl

DIGEST_INFO = {  # RFC 8017, section 9.2, note 1; SHA-3: NIST's arcs of the same shape
    "MD5": "3020300c06082a864886f70d020505000410", "SHA_1": "3021300906052b0e03021a05000414",
    "SHA224": "302d300d06096086480165030402040500041c", "SHA256": "3031300d060960864801650304020105000420",
    "SHA384": "3041300d060960864801650304020205000430", "SHA512": "3051300d060960864801650304020305000440",
    "SHA3_224": "302d300d06096086480165030402070500041c", "SHA3_256": "3031300d060960864801650304020805000420",
    "SHA3_384": "3041300d060960864801650304020905000430", "SHA3_512": "3051300d060960864801650304020a05000440",
}


_power = lru_cache(maxsize=4096)(pow)  # the same messages come again and again


class Rsa(NamedTuple):
    """One key, and RFC 8017 around it. ``e`` or ``d`` is all that each half needs."""

    n: int
    e: int
    d: int

    @property
    def octets(self) -> int:
        return (self.n.bit_length() + 7) // 8

    def public(self, data: bytes) -> bytes:
        return _power(int.from_bytes(data, "big"), self.e, self.n).to_bytes(self.octets, "big")

    def private(self, data: bytes) -> bytes:
        return _power(int.from_bytes(data, "big"), self.d, self.n).to_bytes(self.octets, "big")

    def pkcs1(self, info: bytes) -> bytes:
        """EMSA-PKCS1-v1_5 (section 9.2) around a DigestInfo, or around what took its place."""
        return b"\0\1" + b"\xff" * (self.octets - 3 - len(info)) + b"\0" + info

    def recovered(self, signature: bytes) -> bytes | None:
        """What the padding of section 9.2 holds."""
        opened = self.public(signature)
        filled, zero, data = opened[2:].partition(b"\0")
        return data if opened[:2] == b"\0\1" and zero and len(filled) >= 8 and not filled.strip(b"\xff") else None

    def pkcs1_encrypt(self, data: bytes) -> bytes:
        """RSAES-PKCS1-v1_5 (section 7.2.1); the padding may be any that has no zero."""
        return self.public(b"\0\2" + b"\x5a" * (self.octets - 3 - len(data)) + b"\0" + data)

    def pkcs1_decrypt(self, sealed: bytes) -> bytes | None:
        opened = self.private(sealed)
        end = opened.find(b"\0", 2)
        return opened[end + 1 :] if opened[:2] == b"\0\2" and end >= 10 else None

    def pss_encoded(self, known: str, mgf: str, hashed: bytes, salt: bytes) -> bytes:
        """EMSA-PSS (section 9.1.1)."""
        bits = self.n.bit_length() - 1
        size = (bits + 7) // 8
        inner = digest(known, bytes(8) + hashed + salt)
        text = bytes(size - len(salt) - len(inner) - 2) + b"\1" + salt
        masked = bytearray(xor(text, mgf1(mgf, inner, len(text))))
        masked[0] &= 0xFF >> 8 * size - bits
        return bytes(masked) + inner + b"\xbc"

    def pss_good(self, known: str, mgf: str, hashed: bytes, signature: bytes, salt: int) -> bool:
        """Section 9.1.2, by encoding again with the salt that was found."""
        bits = self.n.bit_length() - 1
        encoded = self.public(signature)[-((bits + 7) // 8) :]
        inner, masked = encoded[-1 - length(known) : -1], encoded[: -1 - length(known)]
        found = xor(masked, mgf1(mgf, inner, len(masked)))[len(masked) - salt :] if salt else b""
        again = self.pss_encoded(known, mgf, hashed, found)
        return len(signature) == self.octets and again == encoded

    def oaep_encrypt(self, known: str, mgf: str, label: bytes, data: bytes) -> bytes:
        """RSAES-OAEP (section 7.1.1)."""
        size, seed = length(known), bytes(range(length(known)))
        text = digest(known, label).ljust(self.octets - size - 2 - len(data), b"\0") + b"\1" + data
        masked = xor(text, mgf1(mgf, seed, len(text)))
        return self.public(b"\0" + xor(seed, mgf1(mgf, masked, size)) + masked)

    def oaep_decrypt(self, known: str, mgf: str, label: bytes, sealed: bytes) -> bytes | None:
        size, opened = length(known), self.private(sealed)
        masked_seed, masked = opened[1 : 1 + size], opened[1 + size :]
        text = xor(masked, mgf1(mgf, xor(masked_seed, mgf1(mgf, masked, size)), len(masked)))
        filled, one, data = text[size:].partition(b"\1")
        return data if text[:size] == digest(known, label) and one and not any(filled) and not opened[0] else None


Point = tuple[int, int] | None  # None: infinity


@lru_cache(maxsize=4096)
def _multiple(curve: Any, total: Any, scalar: int, point: Any) -> Any:
    """Double and add, from the neutral point."""
    while scalar:
        total = curve.plus(total, point) if scalar & 1 else total
        point = curve.plus(point, point)
        scalar >>= 1
    return total


class Weierstrass(NamedTuple):
    """y² = x³ + ax + b modulo p, a base point and its order (SEC 1, section 2.2.1)."""

    p: int
    a: int
    b: int
    base: tuple[int, int]
    order: int

    @property
    def octets(self) -> int:
        return (self.p.bit_length() + 7) // 8

    def plus(self, one: Point, two: Point) -> Point:
        if one is None or two is None:
            return one or two
        if one[0] == two[0] and (one[1] + two[1]) % self.p == 0:
            return None
        if one == two:
            slope = (3 * one[0] ** 2 + self.a) * pow(2 * one[1], -1, self.p)
        else:
            slope = (two[1] - one[1]) * pow(two[0] - one[0], -1, self.p)
        x = (slope * slope - one[0] - two[0]) % self.p
        return x, (slope * (one[0] - x) - one[1]) % self.p

    def times(self, scalar: int, point: Point) -> Point:
        return _multiple(self, None, scalar, point)

    def encoded(self, point: tuple[int, int]) -> bytes:
        return b"\4" + b"".join(value.to_bytes(self.octets, "big") for value in point)

    def decoded(self, raw: bytes) -> tuple[int, int]:
        return int.from_bytes(raw[1 : 1 + self.octets], "big"), int.from_bytes(raw[1 + self.octets :], "big")

    def _leftmost(self, hashed: bytes) -> int:
        """SEC 1, section 4.1.3, step 5: as many bits of the digest as the order has."""
        excess = 8 * len(hashed) - self.order.bit_length()
        return int.from_bytes(hashed, "big") >> max(excess, 0)

    def sign(self, d: int, hashed: bytes, nonce: int = 0x1234567890ABCDEF) -> bytes:
        """Never to be done with a key that matters: the nonce is known."""
        met = self.times(nonce, self.base)
        assert met is not None
        r = met[0] % self.order
        s = pow(nonce, -1, self.order) * (self._leftmost(hashed) + r * d) % self.order
        half = (self.order.bit_length() + 7) // 8
        return r.to_bytes(half, "big") + s.to_bytes(half, "big")

    def verifies(self, q: Point, hashed: bytes, signature: bytes) -> bool:
        half = (self.order.bit_length() + 7) // 8
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        if len(signature) != 2 * half or not (0 < r < self.order and 0 < s < self.order):
            return False
        inverse = pow(s, -1, self.order)
        one, two = self._leftmost(hashed) * inverse % self.order, r * inverse % self.order
        met = self.plus(self.times(one, self.base), self.times(two, q))
        return met is not None and met[0] % self.order == r


@cache
def weierstrass(name: str) -> Weierstrass:
    """What the openssl program prints of a curve of this name (ECParameters, RFC 3279, section 2.3.5)."""
    said = openssl("ecparam", "-name", name, "-param_enc", "explicit", "-outform", "DER")
    whole = decoder.decode(said)[0]
    p, base = int(whole[1][1]), whole[3].asOctets()
    a, b = (int.from_bytes(whole[2][at].asOctets(), "big") for at in (0, 1))
    half = (len(base) - 1) // 2
    x, y = int.from_bytes(base[1 : 1 + half], "big"), int.from_bytes(base[1 + half :], "big")
    return Weierstrass(p, a, b, (x, y), int(whole[4]))


class Edwards(NamedTuple):
    """ax² + y² = 1 + dx²y² modulo p (RFC 8032)."""

    name: str
    p: int
    a: int
    d: int
    base: tuple[int, int]
    order: int
    octets: int
    cofactor_bits: int

    def plus(self, one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
        product = self.d * one[0] * two[0] * one[1] * two[1]
        x = (one[0] * two[1] + one[1] * two[0]) * pow(1 + product, -1, self.p)
        y = (one[1] * two[1] - self.a * one[0] * two[0]) * pow(1 - product, -1, self.p)
        return x % self.p, y % self.p

    def times(self, scalar: int, point: tuple[int, int]) -> tuple[int, int]:
        found: tuple[int, int] = _multiple(self, (0, 1), scalar, point)
        return found

    def encoded(self, point: tuple[int, int]) -> bytes:
        return (point[1] | (point[0] & 1) << 8 * self.octets - 1).to_bytes(self.octets, "little")

    def _hashed(self, data: bytes, context: bytes | None = None, prehash: int = 0) -> bytes:
        import hashlib  # SHAKE of any length; no digest that the engine's EdDSA uses

        if self.name == "Ed25519":
            before = b"" if context is None else b"SigEd25519 no Ed25519 collisions" + bytes([prehash, len(context)])
            return hashlib.sha512(before + (context or b"") + data).digest()
        before = b"SigEd448" + bytes([prehash, len(context or b"")]) + (context or b"")
        return hashlib.shake_256(before + data).digest(114)

    def _secret(self, seed: bytes) -> tuple[int, bytes]:
        import hashlib

        long = hashlib.sha512(seed).digest() if self.name == "Ed25519" else hashlib.shake_256(seed).digest(114)
        value = int.from_bytes(long[: self.octets], "little")
        top = 254 if self.name == "Ed25519" else 447
        return (value % 2**top | 1 << top) >> self.cofactor_bits << self.cofactor_bits, long[self.octets :]

    def public(self, seed: bytes) -> bytes:
        return self.encoded(self.times(self._secret(seed)[0], self.base))

    def sign(self, seed: bytes, data: bytes, context: bytes | None = None, prehash: int = 0) -> bytes:
        scalar, prefix = self._secret(seed)
        r = int.from_bytes(self._hashed(prefix + data, context, prehash), "little") % self.order
        met = self.encoded(self.times(r, self.base))
        k = int.from_bytes(self._hashed(met + self.public(seed) + data, context, prehash), "little")
        return met + ((r + k * scalar) % self.order).to_bytes(self.octets, "little")


_P25519, _P448 = 2**255 - 19, 2**448 - 2**224 - 1
ED25519 = Edwards(
    "Ed25519", _P25519, -1, -121665 * pow(121666, -1, _P25519) % _P25519,
    (15112221349535400772501151409588531511454012693041857206046113283949847762202,
     46316835694926478169428394003475163141307993866256225615783033603165251855960),
    2**252 + 27742317777372353535851937790883648493, 32, 3,
)
ED448 = Edwards(
    "Ed448", _P448, 1, -39081,
    (int("2245800402959243001876043340998960362467896416325641342461254616"
         "86950415467406032909029192869357953282578032075146446173674602635247710"),
     int("2988192100784814926760179304439306734375440401540802420959282413"
         "72331506189835876003536878655418784733982303233503462500531545062832660")),
    2**446 - 13818066809895115352007386748515426880336692474882178609894547503885, 57, 2,
)


class Montgomery(NamedTuple):
    """The ladder of RFC 7748, section 5."""

    p: int
    a24: int
    bits: int
    octets: int
    cofactor_bits: int

    def times(self, scalar: bytes, point: bytes) -> bytes:
        value = int.from_bytes(scalar, "little") % 2 ** (self.bits - 1) | 1 << self.bits - 1
        k = value >> self.cofactor_bits << self.cofactor_bits
        u = int.from_bytes(point, "little") % 2 ** (8 * self.octets - (self.octets == 32)) % self.p
        x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
        for at in reversed(range(self.bits)):
            bit = k >> at & 1
            if swapped ^ bit:
                x2, x3, z2, z3 = x3, x2, z3, z2
            swapped = bit
            a, b = (x2 + z2) % self.p, (x2 - z2) % self.p
            da, cb = (x3 - z3) * a % self.p, (x3 + z3) * b % self.p
            aa, bb = a * a % self.p, b * b % self.p
            x3, z3 = (da + cb) ** 2 % self.p, u * (da - cb) ** 2 % self.p
            e = aa - bb
            x2, z2 = aa * bb % self.p, e * (aa + self.a24 * e) % self.p
        if swapped:
            x2, z2 = x3, z3
        return (x2 * pow(z2, -1, self.p) % self.p).to_bytes(self.octets, "little")


X25519 = Montgomery(_P25519, 121665, 255, 32, 3)
X448 = Montgomery(_P448, 39081, 448, 56, 2)
