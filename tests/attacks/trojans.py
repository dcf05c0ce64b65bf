"""Wrapping keys that the attacker knows, however they came to be, and keys that he says are to be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from attacks.attack import SECRET, Token, attack
from attacks.wrapping import CLULOW, DKS, ECB, KW, TOOKAN, oaep
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1

from pkcs11_shim import constants as ck

CHAPTER = "trojan wrapping keys"


def wraps_under(make: Callable[[Token], tuple[int, bytes]], mechanism: int = KW) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """A key whose value the attacker knows wraps a sensitive key, which is unwrapped outside."""
        trojan, known = make(t)
        victim = t.victim()
        blob = t.wrap(mechanism, trojan, victim)
        return t.fell(victim, keywrap.aes_key_unwrap(known, blob))

    return run


KNOWN = hashlib.sha256(b"what the attacker knows").digest()


def _imported(t: Token) -> tuple[int, bytes]:
    return t.imported(KNOWN, wrap=True), KNOWN


def _imported_sensitive(t: Token) -> tuple[int, bytes]:
    return t.imported(KNOWN, wrap=True, sensitive=True, extractable=False, private=True), KNOWN


def _readable(t: Token) -> tuple[int, bytes]:
    made = t.key(wrap=True, sensitive=False, extractable=True)
    return made, t.read(made, ck.CKA_VALUE)


def _once_readable(t: Token) -> tuple[int, bytes]:
    made = t.key(wrap=True, sensitive=False, extractable=True)
    value = t.read(made, ck.CKA_VALUE)
    t.change(made, sensitive=True)
    t.change(made, extractable=False)
    return made, value


def _copied_when_readable(t: Token) -> tuple[int, bytes]:
    made = t.key(wrap=True, sensitive=False, extractable=True)
    return t.copy(made, sensitive=True, extractable=False), t.read(made, ck.CKA_VALUE)


def _agreed(t: Token) -> tuple[int, bytes]:
    """Both sides of the agreement are pairs of the attacker's: what comes of it is read from a second object."""
    (public, private), point = t.ec(derive=True), b""
    point = t.read(public, ck.CKA_EC_POINT)
    form = t.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point, ulPublicDataLen=len(point))
    rows = {**SECRET, ck.CKA_VALUE_LEN: 32}
    open_one = t.derive((ck.CKM_ECDH1_DERIVE, form), private, rows, sensitive=False, extractable=True)
    return t.derive((ck.CKM_ECDH1_DERIVE, form), private, rows, wrap=True, sensitive=True), t.read(
        open_one, ck.CKA_VALUE
    )


def _derived_by_encryption(t: Token) -> tuple[int, bytes]:
    base = t.key(derive=True, encrypt=True)
    data = bytes(range(32))
    form = t.m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=data, ulLen=len(data))
    known = t.encrypt(ECB, base, data)
    return t.derive((ck.CKM_AES_ECB_ENCRYPT_DATA, form), base, {**SECRET, ck.CKA_VALUE_LEN: 32}, wrap=True), known


def _from_a_password(t: Token) -> tuple[int, bytes]:
    password, salt = b"a password of the attacker's", b"salt"
    form = t.m.structure(
        "CK_PKCS5_PBKD2_PARAMS2",
        saltSource=ck.CKZ_SALT_SPECIFIED,
        pSaltSourceData=salt,
        ulSaltSourceDataLen=len(salt),
        iterations=1000,
        prf=ck.CKP_PKCS5_PBKD2_HMAC_SHA256,
        pPassword=password,
        ulPasswordLen=len(password),
    )
    rv, handle = t.m.generate(t.s, ck.CKM_PKCS5_PBKD2, {**SECRET, ck.CKA_VALUE_LEN: 32, ck.CKA_WRAP: True}, form)
    t.ok(rv, "C_GenerateKey")
    return handle, hashlib.pbkdf2_hmac("sha256", password, salt, 1000, 32)


def _unwrapped_from_outside(t: Token) -> tuple[int, bytes]:
    public, private = t.rsa(public={ck.CKA_ENCRYPT: True}, unwrap=True)
    n = int.from_bytes(t.read(public, ck.CKA_MODULUS), "big")
    key = rsa.RSAPublicNumbers(65537, n).public_key()
    mask: padding.AsymmetricPadding = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)
    return t.unwrap(oaep(t), private, key.encrypt(KNOWN, mask), wrap=True, sensitive=True), KNOWN


def _under_a_known_key(t: Token) -> tuple[int, bytes]:
    above = t.imported(bytes(range(32)), unwrap=True, sensitive=True)
    return t.unwrap(KW, above, keywrap.aes_key_wrap(bytes(range(32)), KNOWN), wrap=True, sensitive=True), KNOWN


def _under_a_chain(t: Token) -> tuple[int, bytes]:
    first = t.imported(bytes(range(32)), unwrap=True, sensitive=True)
    between = t.unwrap(KW, first, keywrap.aes_key_wrap(bytes(range(32)), bytes(32)), unwrap=True, sensitive=True)
    return t.unwrap(KW, between, keywrap.aes_key_wrap(bytes(32), KNOWN), wrap=True, sensitive=True), KNOWN


def _round_trip(t: Token) -> tuple[int, bytes]:
    above = t.key(wrap=True, unwrap=True, sensitive=True)
    known = t.imported(KNOWN, extractable=True)
    return t.unwrap(KW, above, t.wrap(KW, above, known), wrap=True, sensitive=True), KNOWN


def _derived_from_known(t: Token) -> tuple[int, bytes]:
    base = t.imported(KNOWN, ck.CKK_GENERIC_SECRET, derive=True, sensitive=True)
    made = t.derive(ck.CKM_SHA256_KEY_DERIVATION, base, {**SECRET, ck.CKA_VALUE_LEN: 32}, wrap=True, sensitive=True)
    return made, hashlib.sha256(KNOWN).digest()


for _name, _make, _source in (
    ("trojan-imported", _imported, CLULOW),
    ("trojan-imported-sensitive", _imported_sensitive, CLULOW),
    ("trojan-readable", _readable, TOOKAN),
    ("trojan-once-readable", _once_readable, TOOKAN),
    ("trojan-copied-when-readable", _copied_when_readable, TOOKAN),
    ("trojan-agreed", _agreed, "of our own"),
    ("trojan-derived-by-encryption", _derived_by_encryption, "PKCS#11 2.40, section 2.43"),
    ("trojan-from-a-password", _from_a_password, "of our own"),
    ("trojan-unwrapped-from-rsa", _unwrapped_from_outside, CLULOW),
    ("trojan-under-a-known-key", _under_a_known_key, DKS),
    ("trojan-under-a-chain", _under_a_chain, DKS),
    ("trojan-by-round-trip", _round_trip, DKS),
    ("trojan-derived-from-a-known-key", _derived_from_known, "Clulow 2003, section 4"),
):
    attack(CHAPTER, _name, _source)(wraps_under(_make))


def wraps_under_public(bits: int, target: str) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """The attacker's own public key is imported and wraps; the private half was never on the token."""
        pair = rsa.generate_private_key(65537, bits)
        public = t.make(
            {
                ck.CKA_CLASS: ck.CKO_PUBLIC_KEY,
                ck.CKA_KEY_TYPE: ck.CKK_RSA,
                ck.CKA_WRAP: True,
                ck.CKA_MODULUS: pair.public_key().public_numbers().n.to_bytes(bits // 8, "big"),
                ck.CKA_PUBLIC_EXPONENT: b"\1\0\1",
            }
        )
        victim = t.victim()
        if target == "pkcs":
            return t.fell(victim, pair.decrypt(t.wrap(ck.CKM_RSA_PKCS, public, victim), padding.PKCS1v15()))
        mask: padding.AsymmetricPadding = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)
        return t.fell(victim, pair.decrypt(t.wrap(oaep(t), public, victim), mask))

    return run


attack(CHAPTER, "trojan-public-key-pkcs", CLULOW)(wraps_under_public(2048, "pkcs"))
attack(CHAPTER, "trojan-public-key-oaep", CLULOW)(wraps_under_public(2048, "oaep"))


@attack(CHAPTER, "trojan-trusted-by-create", "PKCS#11 3.2, section 4.7.2")
def _(t: Token) -> str | None:
    """The user says himself that his wrapping key is to be trusted, as he makes it."""
    trojan, victim = t.imported(KNOWN, wrap=True, trusted=True), t.victim(wrap_with_trusted=True)
    return t.fell(victim, keywrap.aes_key_unwrap(KNOWN, t.wrap(KW, trojan, victim)))


@attack(CHAPTER, "trojan-trusted-by-set", "PKCS#11 3.2, section 4.7.2")
def _(t: Token) -> str | None:
    """The same, by C_SetAttributeValue."""
    trojan, victim = t.imported(KNOWN, wrap=True), t.victim(wrap_with_trusted=True)
    t.change(trojan, trusted=True)
    return t.fell(victim, keywrap.aes_key_unwrap(KNOWN, t.wrap(KW, trojan, victim)))


@attack(CHAPTER, "trojan-trusted-by-copy", "PKCS#11 3.2, section 4.7.2")
def _(t: Token) -> str | None:
    """The same, by C_CopyObject."""
    trojan, victim = t.imported(KNOWN, wrap=True), t.victim(wrap_with_trusted=True)
    return t.fell(victim, keywrap.aes_key_unwrap(KNOWN, t.wrap(KW, t.copy(trojan, trusted=True), victim)))


@attack(CHAPTER, "wrap-with-trusted-is-dropped-by-copy", "PKCS#11 3.2, section 4.9")
def _(t: Token) -> str | None:
    """A key that only trusted keys may wrap is copied without that, and the copy is wrapped."""
    kek, victim = t.key(wrap=True, sensitive=True), t.victim(wrap_with_trusted=True)
    t.wrap(KW, kek, t.copy(victim, wrap_with_trusted=False))
    return "a key that only trusted keys may wrap, wrapped by one that is not"


@attack(CHAPTER, "wrap-with-trusted-is-dropped-by-set", "PKCS#11 3.2, section 4.9")
def _(t: Token) -> str | None:
    """The same, by C_SetAttributeValue."""
    kek, victim = t.key(wrap=True, sensitive=True), t.victim(wrap_with_trusted=True)
    t.change(victim, wrap_with_trusted=False)
    t.wrap(KW, kek, victim)
    return "a key that only trusted keys may wrap, wrapped by one that is not"


@attack(CHAPTER, "wrap-unextractable", "PKCS#11 3.2, section 5.18.3")
def _(t: Token) -> str | None:
    """An unextractable key is wrapped all the same."""
    kek = t.key(wrap=True, sensitive=True)
    t.wrap(KW, kek, t.victim(extractable=False))
    return "an unextractable key, wrapped"
