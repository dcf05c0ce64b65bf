"""A key is wrapped, and comes back as something else: readable, shorter, of another type, less protected."""

from __future__ import annotations

from collections.abc import Callable

from attacks.attack import GENERIC, IV, SECRET, Token, attack
from attacks.trojans import KNOWN
from attacks.wrapping import CBC, CLULOW, DKS, ECB, KW, KWP, PAD, TOOKAN, oaep, opened
from cryptography.hazmat.primitives import keywrap

from pkcs11_shim import constants as ck

CHAPTER = "laundering by wrap and unwrap"
OURS = "of our own"


def comes_back(rows: dict[int, object], mechanism: object = KWP, target: str = "aes") -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A sensitive key is wrapped, and comes back as something that shows its value."""
        kek = t.key(wrap=True, unwrap=True, sensitive=True)
        victim = t.victim()
        blob = t.wrap(mechanism, kek, victim)
        twin = t.unwrap(mechanism, kek, blob, dict(rows))
        return t.fell(victim, t.read(twin, ck.CKA_VALUE))

    return run


_OPEN = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
for _name, _rows, _mechanism in (
    ("launder-not-sensitive-kw", {**SECRET, **_OPEN}, KW),
    ("launder-not-sensitive-kwp", {**SECRET, **_OPEN}, KWP),
    ("launder-not-sensitive-ecb", {**SECRET, **_OPEN}, ECB),
    ("launder-not-sensitive-cbc", {**SECRET, **_OPEN}, (CBC, IV)),
    ("launder-not-sensitive-cbc-pad", {**SECRET, **_OPEN}, (PAD, IV)),
    ("launder-as-generic-secret", {**GENERIC, **_OPEN}, KWP),
    ("launder-as-hmac-key", {**SECRET, ck.CKA_KEY_TYPE: ck.CKK_SHA256_HMAC, **_OPEN}, KWP),
    ("launder-as-data", {ck.CKA_CLASS: ck.CKO_DATA}, KWP),
):
    attack(CHAPTER, _name, TOOKAN if "not-sensitive" in _name else CLULOW)(comes_back(_rows, _mechanism))


@attack(CHAPTER, "launder-shortened", CLULOW)
def _(t: Token) -> str | None:
    """It comes back as its own first sixteen bytes, and a key of half the length is found by trying."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim(size=32)
    blob = t.wrap(KW, kek, victim)
    t.unwrap(KW, kek, blob, SECRET, value_len=16, sensitive=True, encrypt=True)
    return "the first half of a key, as a key of its own"


@attack(CHAPTER, "launder-blocks-of-ecb", CLULOW)
def _(t: Token) -> str | None:
    """A key wrapped by ECB is unwrapped block by block: each half is a key of its own, and shows its value."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim(size=32)
    blob = t.wrap(ECB, kek, victim)
    halves = [t.unwrap(ECB, kek, blob[i : i + 16], SECRET, sensitive=False, extractable=True) for i in (0, 16)]
    return t.fell(victim, b"".join(t.read(half, ck.CKA_VALUE) for half in halves))


@attack(CHAPTER, "launder-weaker-twin", DKS)
def _(t: Token) -> str | None:
    """It comes back extractable and without CKA_WRAP_WITH_TRUSTED, and is wrapped under a key that is known."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim()
    twin = t.unwrap(KW, kek, t.wrap(KW, kek, victim), SECRET, extractable=True, wrap_with_trusted=False)
    return t.fell(victim, keywrap.aes_key_unwrap(KNOWN, t.wrap(KW, t.imported(KNOWN, wrap=True), twin)))


@attack(CHAPTER, "launder-for-everybody", OURS)
def _(t: Token) -> str | None:
    """A private key's twin comes back as one that nobody needs to log in for, which C_CopyObject refuses: it works
    when whoever made it has lost his right."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim(private=True, token=True)
    twin = t.unwrap(KW, kek, t.wrap(KW, kek, victim), SECRET, sensitive=True, private=False, token=True)
    t.logout()
    return "a private key, used by nobody" if t.encrypt(ck.CKM_AES_ECB, twin, bytes(16)) else None


@attack(CHAPTER, "launder-extractable", TOOKAN)
def _(t: Token) -> str | None:
    """An unextractable key's wrapped twin, made while another object of it could be wrapped, comes back extractable."""
    kek, first = t.key(wrap=True, unwrap=True, sensitive=True), t.victim()
    blob = t.wrap(KW, kek, first)
    t.change(first, extractable=False)
    twin = t.unwrap(KW, kek, blob, SECRET, sensitive=True, extractable=True)
    return "an unextractable key's value, extractable again" if t.flag(twin, ck.CKA_EXTRACTABLE) else None


@attack(CHAPTER, "launder-private-as-secret", CLULOW)
def _(t: Token) -> str | None:
    """A wrapped private key's PKCS#8 bytes come back as a generic secret that shows its value."""
    kek = t.key(wrap=True, unwrap=True, sensitive=True)
    public, private = t.rsa(sensitive=True, extractable=True)
    blob = t.wrap(KWP, kek, private)
    twin = t.unwrap(KWP, kek, blob, GENERIC, sensitive=False, extractable=True)
    value, n = t.read(twin, ck.CKA_VALUE), int.from_bytes(t.read(public, ck.CKA_MODULUS), "big")
    primes = (int.from_bytes(value[at : at + 128], "big") for at in range(len(value) - 127))
    return "a prime of a sensitive key" if any(1 < p < n and n % p == 0 for p in primes) else None


@attack(CHAPTER, "launder-private-not-sensitive", TOOKAN)
def _(t: Token) -> str | None:
    """A wrapped private key comes back as one that shows its exponent."""
    kek = t.key(wrap=True, unwrap=True, sensitive=True)
    public, private = t.rsa(sensitive=True, extractable=True)
    blob = t.wrap(KWP, kek, private)
    rows = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_TOKEN: False}
    twin = t.unwrap(KWP, kek, blob, rows, sensitive=False, extractable=True)
    exponent = int.from_bytes(t.read(twin, ck.CKA_PRIVATE_EXPONENT), "big")
    n = int.from_bytes(t.read(public, ck.CKA_MODULUS), "big")
    return "a private exponent" if pow(pow(2, 65537, n), exponent, n) == 2 else None


@attack(CHAPTER, "weaker-key-wraps-stronger", CLULOW)
def _(t: Token) -> str | None:
    """A 128-bit key wraps one of 256 bits, which is then no stronger."""
    t.wrap(KW, t.key(size=16, wrap=True, sensitive=True), t.victim(size=32))
    return "a 256-bit key under one of 128 bits"


@attack(CHAPTER, "rsa-1024-wraps-aes-256", CLULOW)
def _(t: Token) -> str | None:
    """RSA of 1024 bits wraps an AES key of 256."""
    public, _ = t.rsa(1024, public={ck.CKA_WRAP: True})
    t.wrap(oaep(t), public, t.victim(size=32))
    return "a 256-bit key under 80 bits"


@attack(CHAPTER, "triple-des-wraps-aes", CLULOW)
def _(t: Token) -> str | None:
    """Triple DES, which has 112 bits and small blocks, wraps an AES key of 256."""
    kek = t.key(ck.CKM_DES3_KEY_GEN, 0, wrap=True, sensitive=True)
    t.wrap((ck.CKM_DES3_CBC_PAD, bytes(8)), kek, t.victim(size=32))
    return "a 256-bit key under 112 bits"


@attack(CHAPTER, "key-conjuring", "Cohen 2006; Delaune, Kremer, Steel 2008")
def _(t: Token) -> str | None:
    """Random bytes are unwrapped: without integrity they become sensitive keys that count as born inside, related as
    the attacker wants, which serve as wrapping keys."""
    kek = t.key(unwrap=True, sensitive=True)
    first = t.unwrap(ECB, kek, bytes(32), SECRET, wrap=True, sensitive=True)
    t.wrap(KW, first, t.victim())
    return "a key out of nothing wraps a sensitive key"


@attack(CHAPTER, "related-keys-by-cbc", "Clulow 2003, section 3")
def _(t: Token) -> str | None:
    """A changed IV changes the first block of an unwrapped key as the attacker chooses: the difference of two keys."""
    kek, victim = t.key(wrap=True, unwrap=True, sensitive=True), t.victim()
    blob = t.wrap((CBC, IV), kek, victim)
    t.unwrap((CBC, bytes([IV[0] ^ 1]) + IV[1:]), kek, blob, SECRET, sensitive=True)
    return "a key that differs from a sensitive one in one chosen bit"


@attack(CHAPTER, "wrapped-by-rsa-aes-in-halves", "of our own")
def _(t: Token) -> str | None:
    """What RSA_AES_KEY_WRAP gives is a key under RSA and a key under that: the first half is unwrapped by OAEP as a key
    that decrypts, and opens the second. The wrapping key is one that the SO trusts."""
    public, private = t.rsa(
        public={ck.CKA_WRAP: True, ck.CKA_PRIVATE: False, ck.CKA_TOKEN: True, ck.CKA_ID: b"pair"},
        token=True,
        id=b"pair",
        unwrap=True,
        decrypt=True,
    )
    t.as_so()
    t.change(public, trusted=True)
    t.logout()
    t.login()
    private = t.m.find(t.s, {ck.CKA_ID: b"pair", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})[0]
    victim = t.victim()
    form = t.m.structure("CK_RSA_AES_KEY_WRAP_PARAMS", ulAESKeyBits=256, pOAEPParams=oaep(t)[1])
    blob = t.wrap((ck.CKM_RSA_AES_KEY_WRAP, form), public, victim)
    between = t.unwrap(oaep(t), private, blob[:256], SECRET, decrypt=True, sensitive=True)
    return t.fell(victim, opened(lambda block: t.decrypt(ECB, between, block), blob[256:])[:32])
