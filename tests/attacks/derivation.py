"""Derived keys: what a derivation gives away of the key that went in, or makes weaker than it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from attacks.attack import GENERIC, SECRET, Token, attack
from cryptography.hazmat.primitives import keywrap

from pkcs11_shim import constants as ck

CHAPTER = "derivation"
CLULOW = "Clulow 2003, section 4"
OURS = "of our own"
OPEN = {"sensitive": False, "extractable": True}
STRING = "CK_KEY_DERIVATION_STRING_DATA"


def base_key(t: Token, size: int = 32) -> int:
    """A generic secret born inside, sensitive and unextractable, that derives."""
    return t.key(ck.CKM_GENERIC_SECRET_KEY_GEN, size, derive=True, sensitive=True, extractable=False, sign=True)


def string(t: Token, data: bytes) -> Any:
    return t.m.structure(STRING, pData=data, ulLen=len(data))


def shows(t: Token, base: int, derived: int, value: Callable[[bytes], bytes | None], check: bytes) -> str | None:
    """``value`` makes the base key's bytes of what was read; they are held against a MAC that it made before."""
    found = value(t.read(derived, ck.CKA_VALUE))
    if found is None or hmac.digest(found, b"which key is it", "sha256") != check:
        return None
    return "the value of a sensitive key"


def mac(t: Token, base: int) -> bytes:
    return t.sign(ck.CKM_SHA256_HMAC, base, b"which key is it")


def derives(
    mechanism: int, parameter: Callable[[Token, int], Any], value: Callable[[bytes], bytes], **more: Any
) -> Any:
    def run(t: Token) -> str | None:
        """What is derived holds the base key's own bytes, and shows them."""
        base = base_key(t)
        twin = t.copy(base)
        check = mac(t, twin)
        return shows(t, base, t.derive((mechanism, parameter(t, base)), base, **{**OPEN, **more}), value, check)

    return run


for _name, _mechanism, _parameter, _value, _more in (
    (
        "concatenate-base-and-data",
        ck.CKM_CONCATENATE_BASE_AND_DATA,
        lambda t, b: string(t, b"tail"),
        lambda v: v[:32],
        {},
    ),
    (
        "concatenate-data-and-base",
        ck.CKM_CONCATENATE_DATA_AND_BASE,
        lambda t, b: string(t, b"head"),
        lambda v: v[4:],
        {},
    ),
    (
        "concatenate-base-and-key",
        ck.CKM_CONCATENATE_BASE_AND_KEY,
        lambda t, b: t.m.bytes(t.imported(b"tail" * 4, ck.CKK_GENERIC_SECRET, derive=True).to_bytes(8, "little")),
        lambda v: v[:32],
        {},
    ),
    ("xor-base-and-data", ck.CKM_XOR_BASE_AND_DATA, lambda t, b: string(t, bytes(32)), lambda v: v, {}),
):
    attack(CHAPTER, _name, CLULOW)(derives(_mechanism, _parameter, _value, **_more))


@attack(CHAPTER, "extract-key-from-key", CLULOW)
def _(t: Token) -> str | None:
    """EXTRACT_KEY_FROM_KEY takes the base key out piece by piece, each short enough to be found by trying."""
    base, whole = base_key(t), b""
    check = mac(t, t.copy(base))
    for start in range(0, 32, 4):
        piece = t.derive(
            (ck.CKM_EXTRACT_KEY_FROM_KEY, (8 * start).to_bytes(8, "little")), base, GENERIC, value_len=4, **OPEN
        )
        whole += t.read(piece, ck.CKA_VALUE)
    return "the value of a sensitive key" if hmac.digest(whole, b"which key is it", "sha256") == check else None


@attack(CHAPTER, "xor-truncated", CLULOW)
def _(t: Token) -> str | None:
    """XOR_BASE_AND_DATA with fewer bytes gives a key of the base's first byte alone, which two hundred and fifty-six
    MACs find."""
    base = base_key(t)
    short = t.derive(
        (ck.CKM_XOR_BASE_AND_DATA, string(t, b"\0")), base, GENERIC, sensitive=True, sign=True, value_len=1
    )
    made = t.sign(ck.CKM_SHA256_HMAC, short, b"x")
    if any(hmac.digest(bytes([guess]), b"x", "sha256") == made for guess in range(256)):
        return "the first byte of a sensitive key"
    return None


def shortened(mechanism: int, parameter: Callable[[Token], Any], key_type: int = ck.CKK_GENERIC_SECRET) -> Any:
    def run(t: Token) -> str | None:
        """A derived key of one byte: two hundred and fifty-six tries find what should be a secret."""
        cipher = mechanism in (ck.CKM_AES_ECB_ENCRYPT_DATA, ck.CKM_AES_CBC_ENCRYPT_DATA)
        base = t.key(derive=True, sensitive=True) if cipher else base_key(t)
        short = t.derive((mechanism, parameter(t)), base, GENERIC, value_len=1, sensitive=True, sign=True)
        made = t.sign(ck.CKM_SHA256_HMAC, short, b"x")
        found = [g for g in range(256) if hmac.digest(bytes([g]), b"x", "sha256") == made]
        return "a derived key, found by trying" if found else None

    return run


def _hkdf(t: Token, info: bytes = b"info") -> Any:
    return t.m.structure(
        "CK_HKDF_PARAMS",
        bExtract=1,
        bExpand=1,
        prfHashMechanism=ck.CKM_SHA256,
        ulSaltType=ck.CKF_HKDF_SALT_NULL,
        pInfo=info,
        ulInfoLen=len(info),
    )


attack(CHAPTER, "short-key-by-sha256", CLULOW)(shortened(ck.CKM_SHA256_KEY_DERIVATION, lambda t: None))
attack(CHAPTER, "short-key-by-hkdf", CLULOW)(shortened(ck.CKM_HKDF_DERIVE, _hkdf))
attack(CHAPTER, "short-key-by-ecb-encrypt-data", CLULOW)(
    shortened(ck.CKM_AES_ECB_ENCRYPT_DATA, lambda t: string(t, bytes(16)))
)


@attack(CHAPTER, "short-key-by-ecdh", CLULOW)
def _(t: Token) -> str | None:
    """The same of a key agreement, whose secret then stands open to trying, byte by byte."""
    public, private = t.ec(derive=True)
    point = t.read(public, ck.CKA_EC_POINT)
    form = t.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point, ulPublicDataLen=len(point))
    short = t.derive((ck.CKM_ECDH1_DERIVE, form), private, GENERIC, value_len=1, sensitive=True, sign=True)
    made = t.sign(ck.CKM_SHA256_HMAC, short, b"x")
    found = [g for g in range(256) if hmac.digest(bytes([g]), b"x", "sha256") == made]
    return "one byte of an agreed secret, found by trying" if found else None


def open_from_sensitive(mechanism: int, parameter: Callable[[Token], Any], key: Callable[[Token], int]) -> Any:
    def run(t: Token) -> str | None:
        """What comes of a sensitive key shows its value: whoever may derive takes the derived secrets out."""
        made = t.derive((mechanism, parameter(t)), key(t), {**GENERIC, ck.CKA_VALUE_LEN: 32}, **OPEN)
        return "the value of a key derived from a sensitive one" if t.read(made, ck.CKA_VALUE) else None

    return run


def _aes(t: Token) -> int:
    return t.key(derive=True, sensitive=True, extractable=False)


for _name, _mechanism, _parameter, _key in (
    ("open-by-sha256", ck.CKM_SHA256_KEY_DERIVATION, lambda t: None, base_key),
    ("open-by-hkdf", ck.CKM_HKDF_DERIVE, _hkdf, base_key),
    ("open-by-ecb-encrypt-data", ck.CKM_AES_ECB_ENCRYPT_DATA, lambda t: string(t, bytes(32)), _aes),
    (
        "open-by-cbc-encrypt-data",
        ck.CKM_AES_CBC_ENCRYPT_DATA,
        lambda t: t.m.structure("CK_AES_CBC_ENCRYPT_DATA_PARAMS", iv=bytes(16), pData=bytes(32), length=32),
        _aes,
    ),
):
    attack(CHAPTER, _name, CLULOW)(open_from_sensitive(_mechanism, _parameter, _key))


@attack(CHAPTER, "hkdf-as-data", OURS)
def _(t: Token) -> str | None:
    """HKDF_DATA makes a data object, which shows its value, of a sensitive key."""
    made = t.derive((ck.CKM_HKDF_DATA, _hkdf(t)), base_key(t), {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE_LEN: 32})
    return "bytes derived from a sensitive key, in clear" if t.read(made, ck.CKA_VALUE) else None


@attack(CHAPTER, "hmac-is-hkdf", OURS)
def _(t: Token) -> str | None:
    """What HKDF-Expand derives is an HMAC under the base: who may sign with it has the derived key in clear."""
    base = base_key(t)
    form = t.m.structure(
        "CK_HKDF_PARAMS",
        bExtract=0,
        bExpand=1,
        prfHashMechanism=ck.CKM_SHA256,
        ulSaltType=ck.CKF_HKDF_SALT_NULL,
        pInfo=b"info",
        ulInfoLen=4,
    )
    derived = t.derive((ck.CKM_HKDF_DERIVE, form), base, {**GENERIC, ck.CKA_VALUE_LEN: 32}, sensitive=True, sign=True)
    claimed = t.sign(ck.CKM_SHA256_HMAC, base, b"info\1")
    made = t.sign(ck.CKM_SHA256_HMAC, derived, b"which key is it")
    return (
        "the value of a derived sensitive key" if hmac.digest(claimed, b"which key is it", "sha256") == made else None
    )


@attack(CHAPTER, "hmac-is-hkdf-by-copy", OURS)
def _(t: Token) -> str | None:
    """The same; the HMAC is made by a copy, after the base has derived."""
    base = base_key(t)
    form = t.m.structure(
        "CK_HKDF_PARAMS",
        bExtract=0,
        bExpand=1,
        prfHashMechanism=ck.CKM_SHA256,
        ulSaltType=ck.CKF_HKDF_SALT_NULL,
        pInfo=b"info",
        ulInfoLen=4,
    )
    twin = t.copy(base)
    derived = t.derive((ck.CKM_HKDF_DERIVE, form), base, {**GENERIC, ck.CKA_VALUE_LEN: 32}, sensitive=True, sign=True)
    claimed = t.sign(ck.CKM_SHA256_HMAC, twin, b"info\1")
    made = t.sign(ck.CKM_SHA256_HMAC, derived, b"which key is it")
    return (
        "the value of a derived sensitive key" if hmac.digest(claimed, b"which key is it", "sha256") == made else None
    )


@attack(CHAPTER, "derived-wraps-and-its-base-decrypts", OURS)
def _(t: Token) -> str | None:
    """ENCRYPT_DATA makes a wrapping key of an encryption that the base makes in clear too."""
    base = t.key(derive=True, sensitive=True, encrypt=True)
    data = bytes(range(32))
    kek = t.derive(
        (ck.CKM_AES_ECB_ENCRYPT_DATA, string(t, data)),
        base,
        {**SECRET, ck.CKA_VALUE_LEN: 32},
        wrap=True,
        sensitive=True,
    )
    victim = t.victim()
    blob = t.wrap(ck.CKM_AES_KEY_WRAP, kek, victim)
    return t.fell(victim, keywrap.aes_key_unwrap(t.encrypt(ck.CKM_AES_ECB, base, data), blob))


@attack(CHAPTER, "halves-of-an-xts-key", OURS)
def _(t: Token) -> str | None:
    """An AES-XTS key is two AES keys in a row: the same derivation gives the first of them as an AES key, whose
    wrapping the other's decryption undoes."""
    form = _hkdf(t)
    base = base_key(t)
    xts = t.derive(
        (ck.CKM_HKDF_DERIVE, form),
        base,
        {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES_XTS, ck.CKA_VALUE_LEN: 64, ck.CKA_TOKEN: False},
        decrypt=True,
        sensitive=True,
    )
    half = t.derive((ck.CKM_HKDF_DERIVE, form), base, {**SECRET, ck.CKA_VALUE_LEN: 32}, wrap=True, sensitive=True)
    t.wrap(ck.CKM_AES_KEY_WRAP, half, t.victim())
    t.decrypt((ck.CKM_AES_XTS, bytes(16)), xts, bytes(16))
    return "a wrapping key whose value decrypts as half of another"


@attack(CHAPTER, "weak-base-looks-strong", OURS)
def _(t: Token) -> str | None:
    """A key of 112 bits is stretched to 256 by a hash, and wraps a key of 256 bits."""
    base = base_key(t, 14)
    kek = t.derive(ck.CKM_SHA256_KEY_DERIVATION, base, {**SECRET, ck.CKA_VALUE_LEN: 32}, wrap=True, sensitive=True)
    t.wrap(ck.CKM_AES_KEY_WRAP, kek, t.victim(size=32))
    return "a 256-bit key under one of 112 bits"


@attack(CHAPTER, "derived-loses-wrap-with-trusted", OURS)
def _(t: Token) -> str | None:
    """A key that only trusted keys may wrap derives one that any key may."""
    base = t.key(ck.CKM_GENERIC_SECRET_KEY_GEN, derive=True, sensitive=True, extractable=True, wrap_with_trusted=True)
    made = t.derive(
        ck.CKM_SHA256_KEY_DERIVATION,
        base,
        {**SECRET, ck.CKA_VALUE_LEN: 32},
        wrap_with_trusted=False,
        sensitive=True,
        extractable=True,
    )
    t.wrap(ck.CKM_AES_KEY_WRAP, t.key(wrap=True, sensitive=True), made)
    return "what comes of a key for trusted keys alone, wrapped by another"


@attack(CHAPTER, "derive-without-the-right", "PKCS#11 3.2, section 5.18.5")
def _(t: Token) -> str | None:
    """A key whose CKA_DERIVE is FALSE derives."""
    base = t.key(ck.CKM_GENERIC_SECRET_KEY_GEN, derive=False, sensitive=True)
    t.derive(ck.CKM_SHA256_KEY_DERIVATION, base, {**GENERIC, ck.CKA_VALUE_LEN: 32})
    return "a key derived from one that may not derive"


@attack(CHAPTER, "derived-digest-of-a-digest", OURS)
def _(t: Token) -> str | None:
    """SHA-256 derivation is a digest of the key: C_DigestKey gives the derived key's value in clear."""
    base = base_key(t)
    derived = t.derive(ck.CKM_SHA256_KEY_DERIVATION, base, {**GENERIC, ck.CKA_VALUE_LEN: 32}, sensitive=True, sign=True)
    t.ok(t.m.C_DigestInit(t.s, t.mech(ck.CKM_SHA256)), "C_DigestInit")
    t.ok(t.m.C_DigestKey(t.s, base), "C_DigestKey")
    rv, claimed = t.m.output(t.m.C_DigestFinal, t.s)
    t.ok(rv, "C_DigestFinal")
    made = t.sign(ck.CKM_SHA256_HMAC, derived, b"which key is it")
    return (
        "the value of a derived sensitive key" if hmac.digest(claimed, b"which key is it", "sha256") == made else None
    )


@attack(CHAPTER, "derived-by-a-short-hash-wraps-a-long-key", OURS)
def _(t: Token) -> str | None:
    """HKDF by SHA-1 makes a key that looks 256 bits strong out of 160, which wraps one that is."""
    form = t.m.structure(
        "CK_HKDF_PARAMS", bExtract=1, bExpand=1, prfHashMechanism=ck.CKM_SHA_1, ulSaltType=ck.CKF_HKDF_SALT_NULL
    )
    rows = {**SECRET, ck.CKA_VALUE_LEN: 32}
    kek = t.derive((ck.CKM_HKDF_DERIVE, form), base_key(t), rows, sensitive=True, wrap=True)
    t.wrap(ck.CKM_AES_KEY_WRAP, kek, t.victim())
    return "a key of 256 bits under one of 160"
