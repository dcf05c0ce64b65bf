"""What answers tell: padding, values guessed, nonces used twice, points that are on no curve."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import gcd
from typing import Any

from abi import NULL, ffi
from attacks.attack import IV, P256, SECRET, Token, attack, ulong
from attacks.wrapping import KW, gcm, oaep
from cryptography.hazmat.primitives.asymmetric import rsa

from pkcs11_shim import constants as ck

PADDING = "padding oracles"
VALUES = "guesses at values"
NONCES = "nonces, tags and curves"
VAUDENAY = "Vaudenay 2002; Bardou et al. 2012"
BLEICHENBACHER = "Bleichenbacher 1998; Bardou et al. 2012"
NONSENSE = hashlib.sha512(b"nonsense").digest() * 4


def codes(t: Token, call: Callable[[bytes], int], blobs: list[bytes]) -> set[int]:
    return {call(blob) for blob in blobs}


def _decrypts(t: Token, mechanism: Any, key: int) -> Callable[[bytes], int]:
    return lambda blob: t.m.use("Decrypt", t.s, t.mech(mechanism), key, blob)[0]


def _unwraps(t: Token, mechanism: Any, key: int, rows: dict[int, Any]) -> Callable[[bytes], int]:
    return lambda blob: t.m.unwrap(t.s, t.mech(mechanism), key, blob, rows)[0]


def _pkcs1_blobs(n: int) -> list[bytes]:
    """Ciphertexts whose plaintexts are padded well, have no zero, begin otherwise, and hold too much or nothing."""
    plains = (
        b"\0\2" + b"\xaa" * 221 + b"\0" + bytes(range(32)),
        b"\0\2" + b"\xaa" * 254,
        b"\0\1" + b"\xaa" * 254,
        b"\1\2" + b"\xaa" * 254,
        b"\0\2" + b"\xaa" * 4 + b"\0" + b"\xaa" * 249,
        b"\0\2" + b"\xaa" * 253 + b"\0",
    )
    return [pow(int.from_bytes(plain, "big") % n, 65537, n).to_bytes(256, "big") for plain in plains]


def _modulus(t: Token, public: int) -> int:
    return int.from_bytes(t.read(public, ck.CKA_MODULUS), "big")


@attack(PADDING, "bleichenbacher-decrypt-by-code", BLEICHENBACHER)
def _(t: Token) -> str | None:
    """C_Decrypt by PKCS#1 v1.5 answers right and wrong paddings with different codes."""
    public, private = t.rsa(decrypt=True)
    told = codes(t, _decrypts(t, ck.CKM_RSA_PKCS, private), _pkcs1_blobs(_modulus(t, public)))
    return "paddings are told apart by the code" if len(told) > 1 else None


@attack(PADDING, "bleichenbacher-decrypt-by-length", BLEICHENBACHER)
def _(t: Token) -> str | None:
    """The length that a wrong padding decrypts to changes from call to call, or is always the same odd one."""
    public, private = t.rsa(decrypt=True)
    blobs = _pkcs1_blobs(_modulus(t, public))
    lengths = [len(t.m.use("Decrypt", t.s, t.mech(ck.CKM_RSA_PKCS), private, blob)[1]) for blob in blobs for _ in "ab"]
    if any(one != two for one, two in zip(lengths[::2], lengths[1::2], strict=True)):
        return "one ciphertext decrypts to two lengths: its padding is wrong"
    return "all wrong paddings give nothing" if len(set(lengths[2:8])) == 1 and 0 in lengths[2:8] else None


@attack(PADDING, "bleichenbacher-unwrap-by-code", BLEICHENBACHER)
def _(t: Token) -> str | None:
    """C_UnwrapKey by PKCS#1 v1.5, for a key whose length the template gives."""
    public, private = t.rsa(unwrap=True)
    rows = {
        ck.CKA_CLASS: ck.CKO_SECRET_KEY,
        ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET,
        ck.CKA_VALUE_LEN: 32,
        ck.CKA_TOKEN: False,
    }
    told = codes(t, _unwraps(t, ck.CKM_RSA_PKCS, private, rows), _pkcs1_blobs(_modulus(t, public)))
    if len(told) > 1:
        return "paddings are told apart by the code"
    return None


@attack(PADDING, "bleichenbacher-unwrap-aes-by-code", BLEICHENBACHER)
def _(t: Token) -> str | None:
    """The same for an AES key, whose length is one of three."""
    public, private = t.rsa(unwrap=True)
    told = codes(
        t, _unwraps(t, ck.CKM_RSA_PKCS, private, {**SECRET, ck.CKA_VALUE_LEN: 32}), _pkcs1_blobs(_modulus(t, public))
    )
    return "paddings are told apart by the code" if len(told) > 1 else None


def manger(unwrap: bool) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """OAEP: a first byte that is not zero is told apart from everything else that can be wrong."""
        public, private = t.rsa(decrypt=not unwrap, unwrap=unwrap)
        n = _modulus(t, public)
        call = _unwraps(t, oaep(t), private, SECRET) if unwrap else _decrypts(t, oaep(t), private)
        plains = (b"\0" + NONSENSE[:255], b"\1" + NONSENSE[:255], b"\0" * 256)
        told = codes(t, call, [pow(int.from_bytes(p, "big") % n, 65537, n).to_bytes(256, "big") for p in plains])
        return "OAEP's faults are told apart by the code" if len(told) > 1 else None

    return run


attack(PADDING, "manger-decrypt-by-code", "Manger 2001")(manger(False))
attack(PADDING, "manger-unwrap-by-code", "Manger 2001")(manger(True))


@attack(PADDING, "vaudenay-unwrap-cbc-pad", VAUDENAY)
def _(t: Token) -> str | None:
    """C_UnwrapKey by CBC_PAD tells right from wrong paddings of a wrapped sensitive key, byte by byte."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim()
    blob = t.wrap((ck.CKM_AES_CBC_PAD, IV), kek, victim)
    forged = [blob[:-17] + bytes([blob[-17] ^ d]) + blob[-16:] for d in (0, 1, 2, 16, 128)]
    told = codes(t, _unwraps(t, (ck.CKM_AES_CBC_PAD, IV), kek, SECRET), forged)
    return "paddings of a wrapped key are told apart" if len(told) > 1 else None


@attack(PADDING, "vaudenay-unwrap-cbc-pad-of-a-wrapping-key", VAUDENAY)
def _(t: Token) -> str | None:
    """A key has wrapped a sensitive key by AES_KEY_WRAP: the blocks of that blob are unwrapped by CBC_PAD, whose
    answers tell about them."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim()
    blob = t.wrap(KW, kek, victim)
    told = codes(
        t, _unwraps(t, (ck.CKM_AES_CBC_PAD, IV), kek, SECRET), [bytes([d]) * 16 + blob[:16] for d in range(64)]
    )
    return "blocks of a wrapped key are told apart by their padding" if len(told) > 1 else None


def wrong_blobs_by_code(mechanism: int) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """An authenticated unwrapping tells where in the blob it went wrong."""
        kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim()
        blob = t.wrap(mechanism, kek, victim)
        forged = [blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1 :] for i in range(len(blob))]
        told = codes(t, _unwraps(t, mechanism, kek, SECRET), forged)
        return "faults are told apart by the code" if len(told) > 1 else None

    return run


attack(PADDING, "key-wrap-faults-by-code", "Bardou et al. 2012")(wrong_blobs_by_code(KW))
attack(PADDING, "kwp-faults-by-code", "Bardou et al. 2012")(wrong_blobs_by_code(ck.CKM_AES_KEY_WRAP_PAD))


# -- guesses

LOW = b"\x07".rjust(16, b"\0")  # a key of little entropy


def low(t: Token, **more: Any) -> int:
    return t.imported(LOW, **{"sensitive": True, "extractable": False, **more})


@attack(VALUES, "search-by-value", "Bortolozzo et al. 2010")
def _(t: Token) -> str | None:
    """A search by CKA_VALUE finds a sensitive key exactly where the guess is right."""
    low(t)
    return "a guess at a sensitive value, proved by a search" if t.m.find(t.s, {ck.CKA_VALUE: LOW}) else None


@attack(VALUES, "search-by-prime", "Bortolozzo et al. 2010")
def _(t: Token) -> str | None:
    """A search by CKA_PRIME_1 finds a private key."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    parts = {
        ck.CKA_MODULUS: numbers.public_numbers.n,
        ck.CKA_PRIVATE_EXPONENT: numbers.d,
        ck.CKA_PRIME_1: numbers.p,
        ck.CKA_PRIME_2: numbers.q,
        ck.CKA_EXPONENT_1: numbers.dmp1,
        ck.CKA_EXPONENT_2: numbers.dmq1,
        ck.CKA_COEFFICIENT: numbers.iqmp,
    }
    rows = {number: value.to_bytes((value.bit_length() + 7) // 8, "big") for number, value in parts.items()}
    t.make(
        {
            ck.CKA_CLASS: ck.CKO_PRIVATE_KEY,
            ck.CKA_KEY_TYPE: ck.CKK_RSA,
            ck.CKA_PUBLIC_EXPONENT: b"\1\0\1",
            ck.CKA_SENSITIVE: True,
            ck.CKA_EXTRACTABLE: False,
            **rows,
        }
    )
    return "a prime, proved by a search" if t.m.find(t.s, {ck.CKA_PRIME_1: rows[ck.CKA_PRIME_1]}) else None


@attack(VALUES, "digest-key", "Clulow 2003, section 4")
def _(t: Token) -> str | None:
    """C_DigestKey gives a digest of a sensitive key, against which guesses are held at leisure."""
    t.ok(t.m.C_DigestInit(t.s, t.mech(ck.CKM_SHA256)), "C_DigestInit")
    t.ok(t.m.C_DigestKey(t.s, low(t)), "C_DigestKey")
    rv, told = t.m.output(t.m.C_DigestFinal, t.s)
    t.ok(rv, "C_DigestFinal")
    return "a sensitive key, by its digest" if told == hashlib.sha256(LOW).digest() else None


@attack(VALUES, "digest-key-extends", "of our own")
def _(t: Token) -> str | None:
    """The key's bytes one after the other: a digest begun with what is known of it."""
    t.ok(t.m.C_DigestInit(t.s, t.mech(ck.CKM_MD5)), "C_DigestInit")
    t.ok(t.m.C_DigestKey(t.s, t.victim()), "C_DigestKey")
    return "a digest of a sensitive key"


@attack(VALUES, "check-value-of-a-short-key", "of our own")
def _(t: Token) -> str | None:
    """The check value of a key of two bytes: 65,536 tries."""
    made = t.imported(b"\x12\x34", ck.CKK_GENERIC_SECRET, sensitive=True, extractable=False)
    told = t.read(made, ck.CKA_CHECK_VALUE)
    return "a short key, by its check value" if told == hashlib.sha1(b"\x12\x34").digest()[:3] else None


@attack(VALUES, "read-value", "Bortolozzo et al. 2010")
def _(t: Token) -> str | None:
    """C_GetAttributeValue of a sensitive key's CKA_VALUE, alone and among others, whatever the code is."""
    victim = t.victim()
    rows, count = t.m.template([(ck.CKA_LABEL, bytes(64)), (ck.CKA_VALUE, bytes(64)), (ck.CKA_ID, bytes(64))])
    t.m.C_GetAttributeValue(t.s, victim, rows, count)

    return t.fell(victim, bytes(ffi.buffer(rows[1].pValue, 32)))


@attack(VALUES, "read-unextractable", "PKCS#11 3.2, section 4.9")
def _(t: Token) -> str | None:
    """An unextractable key that is not sensitive shows its value."""
    victim = t.victim(sensitive=False, extractable=False)
    return t.fell(victim, t.read(victim, ck.CKA_VALUE))


@attack(VALUES, "object-size", "of our own")
def _(t: Token) -> str | None:
    """The size that C_GetObjectSize tells of a private key depends on its secret's leading zeros."""

    sizes = set()
    for _ in range(40):
        told = ffi.new("CK_ULONG*")
        t.ok(t.m.C_GetObjectSize(t.s, t.ec()[1], told), "C_GetObjectSize")
        sizes.add(int(told[0]))
    return f"sizes {sorted(sizes)} tell of secrets" if len(sizes) > 1 else None


@attack(VALUES, "mac-byte-by-byte", "of our own")
def _(t: Token) -> str | None:
    """A MAC is verified at one byte's length: 256 tries a byte forge one."""
    key = t.key(ck.CKM_GENERIC_SECRET_KEY_GEN, sign=True, verify=True, sensitive=True)
    short = (ck.CKM_SHA256_HMAC_GENERAL, ulong(1))
    for guess in range(256):
        if t.m.verify(t.s, t.mech(short), key, b"forged", bytes([guess])) == ck.CKR_OK:
            return "a MAC, forged by trying"
    return None


# -- nonces, tags, curves


@attack(NONCES, "gcm-repeats-a-nonce", "Joux 2006; NIST SP 800-38D, appendix A")
def _(t: Token) -> str | None:
    """A key that was born inside encrypts two messages under one IV: their difference, and the authentication key."""
    key, one, two = t.key(token=True, encrypt=True), bytes(32), b"\xff" * 32
    first, second = t.encrypt(gcm(t), key, one), t.encrypt(gcm(t), key, two)
    same = bytes(a ^ b for a, b in zip(first[:32], second[:32], strict=True)) == b"\xff" * 32
    return "the difference of two plaintexts" if same else None


@attack(NONCES, "gcm-repeats-a-nonce-by-a-copy", "Joux 2006")
def _(t: Token) -> str | None:
    """The same; the second message is encrypted by a copy of the key."""
    key = t.key(token=True, encrypt=True)
    t.encrypt(gcm(t), key, bytes(32))
    t.encrypt(gcm(t), t.copy(key), bytes(32))
    return "one nonce, twice"


@attack(NONCES, "gcm-repeats-a-nonce-in-parallel", "Joux 2006")
def _(t: Token) -> str | None:
    """Two encryptions are begun under one IV before either gives anything out."""
    key, other = t.key(token=True, encrypt=True), t.session()
    for session in (t.s, other):
        t.ok(t.m.C_EncryptInit(session, t.mech(gcm(t)), key), "C_EncryptInit")
    for session in (t.s, other):
        t.ok(t.m.output(t.m.C_Encrypt, session, bytes(32), 32)[0], "C_Encrypt")
    return "one nonce, twice"


@attack(NONCES, "gcm-nonce-by-gmac", "Handschuh, Preneel 2008")
def _(t: Token) -> str | None:
    """GMAC and GCM under one IV: the MAC's tag is GCM's mask."""
    key = t.key(token=True, encrypt=True, sign=True)
    t.sign((ck.CKM_AES_GMAC, IV[:12]), key, b"data")
    t.encrypt(gcm(t), key, bytes(32))
    return "one nonce for GMAC and GCM"


def short_tag(bits: int) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A tag that is short is forged by trying, and each success tells of the authentication key."""
        t.encrypt(gcm(t, bits), t.key(encrypt=True, sensitive=True), bytes(32))
        return f"a tag of {bits} bits for a sensitive key"

    return run


for _bits in (8, 32, 64):
    attack(NONCES, f"gcm-tag-of-{_bits}-bits", "Ferguson 2005")(short_tag(_bits))


def short_iv(length: int) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A short IV repeats soon."""
        t.encrypt(gcm(t, iv=bytes(length)), t.key(encrypt=True, sensitive=True), bytes(32))
        return f"an IV of {length} bytes for a sensitive key"

    return run


for _length in (1, 4, 8):
    attack(NONCES, f"gcm-iv-of-{_length}-bytes", "NIST SP 800-38D, section 8.2")(short_iv(_length))


@attack(NONCES, "gcm-releases-unverified", "Bellare, Namprempre 2000")
def _(t: Token) -> str | None:
    """C_DecryptUpdate gives plaintext out before the tag was verified."""

    key = t.key(encrypt=True, decrypt=True)
    blob = t.encrypt(gcm(t), key, b"secret plaintext" * 4)
    forged = bytes([blob[0] ^ 1]) + blob[1:]
    t.ok(t.m.C_DecryptInit(t.s, t.mech(gcm(t)), key), "C_DecryptInit")
    rv, out = t.m.output(t.m.C_DecryptUpdate, t.s, forged, len(forged))
    t.ok(rv, "C_DecryptUpdate")
    t.m.C_DecryptFinal(t.s, NULL, ffi.new("CK_ULONG*"))
    return "a forged message's plaintext" if out[16:32] == b"secret plaintext" else None


@attack(NONCES, "ccm-repeats-a-nonce", "NIST SP 800-38C, section 5.3")
def _(t: Token) -> str | None:
    """CCM under one nonce twice."""
    key = t.key(token=True, encrypt=True)
    form = t.m.structure("CK_CCM_PARAMS", ulDataLen=32, pNonce=bytes(12), ulNonceLen=12, ulMACLen=16)
    first = t.encrypt((ck.CKM_AES_CCM, form), key, bytes(32))
    second = t.encrypt((ck.CKM_AES_CCM, form), key, b"\xff" * 32)
    same = bytes(a ^ b for a, b in zip(first[:32], second[:32], strict=True)) == b"\xff" * 32
    return "the difference of two plaintexts" if same else None


def bad_point(point: bytes, params: bytes = P256) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A peer's point that is not on the curve, or of small order, gives the private value away piece by piece."""
        _, private = t.ec(params=params, derive=True)
        form = t.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point, ulPublicDataLen=len(point))
        t.derive((ck.CKM_ECDH1_DERIVE, form), private, {**SECRET, ck.CKA_VALUE_LEN: 32})
        return "an agreement with a point that is on no curve, or of small order"

    return run


X25519, X448 = bytes.fromhex("06032b656e"), bytes.fromhex("06032b656f")
BIGGS = "Biehl, Meyer, Mueller 2000"
for _name, _point, _params in (
    ("off-the-curve", b"\4" + bytes(31) + b"\1" + bytes(31) + b"\1", P256),
    ("off-the-curve-der", b"\4\x41\4" + bytes(31) + b"\1" + bytes(31) + b"\1", P256),
    ("infinity", b"\0", P256),
    ("infinity-der", b"\4\1\0", P256),
    ("coordinates-too-large", b"\4" + b"\xff" * 64, P256),
    (
        "another-curves",
        b"\4"
        + bytes.fromhex(  # P-384's generator
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"
        ),
        P256,
    ),
    ("x25519-zero", bytes(32), X25519),
    ("x25519-one", b"\1" + bytes(31), X25519),
    ("x25519-order-8", bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), X25519),
    ("x448-zero", bytes(56), X448),
    ("x448-one", b"\1" + bytes(55), X448),
):
    attack(NONCES, f"ecdh-{_name}", BIGGS if "x" != _name[0] else "RFC 7748, section 6")(bad_point(_point, _params))


@attack(NONCES, "faulty-crt-import", "Boneh, DeMillo, Lipton 1997; Lenstra 1996")
def _(t: Token) -> str | None:
    """An RSA key with one wrong CRT exponent is imported: one signature of it, and the modulus is factored."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    n = numbers.public_numbers.n
    parts = {
        ck.CKA_MODULUS: n,
        ck.CKA_PRIVATE_EXPONENT: numbers.d,
        ck.CKA_PRIME_1: numbers.p,
        ck.CKA_PRIME_2: numbers.q,
        ck.CKA_EXPONENT_1: numbers.dmp1 ^ 2,
        ck.CKA_EXPONENT_2: numbers.dmq1,
        ck.CKA_COEFFICIENT: numbers.iqmp,
    }
    rows = {number: value.to_bytes((value.bit_length() + 7) // 8, "big") for number, value in parts.items()}
    key = t.make(
        {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1", **rows}
    )
    signature = int.from_bytes(t.sign(ck.CKM_RSA_PKCS, key, b"signed"), "big")
    padded = int.from_bytes(b"\0\1" + b"\xff" * 247 + b"\0signed", "big")

    return "a factor of the modulus" if 1 < gcd(pow(signature, 65537, n) - padded, n) < n else None


def odd_scalar(value: bytes) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A private value that is none, on import: zero, or the order of the curve or more."""
        t.make(
            {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: P256, ck.CKA_VALUE: value}
        )
        return "a private key whose value is none"

    return run


ORDER = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
for _name, _value in (("zero", bytes(32)), ("order", ORDER), ("too-large", b"\xff" * 32)):
    attack(NONCES, f"ec-private-value-{_name}", "SEC 1, section 3.2.1")(odd_scalar(_value))


@attack(NONCES, "ecdsa-nonce-repeats", "the PlayStation 3's key, 2010")
def _(t: Token) -> str | None:
    """Two signatures with one r: one nonce for two messages, and the private value is solved for."""
    _, private = t.ec(sign=True)
    seen = set()
    for n in range(200):
        r = t.sign(ck.CKM_ECDSA, private, n.to_bytes(32, "big"))[:32]
        if r in seen:
            return "one nonce for two messages"
        seen.add(r)
    return None


@attack(NONCES, "seeded-random-repeats", "of our own")
def _(t: Token) -> str | None:
    """A random generator that the caller seeds gives what he knows (C_SeedRandom)."""
    made = []
    for _ in "ab":
        t.m.C_SeedRandom(t.s, bytes(32), 32)
        room = ffi.new("CK_BYTE[32]")
        t.ok(t.m.C_GenerateRandom(t.s, room, 32), "C_GenerateRandom")
        made.append(bytes(ffi.buffer(room)))
    one, two = made
    return "random bytes that repeat" if one and one == two else None
