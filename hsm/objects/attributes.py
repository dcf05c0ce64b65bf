"""Every attribute of every object: one row each, with the standard's own footnotes as its rules.

``notes`` are the numbers of PKCS#11 3.2, table "Common footnotes for object attribute tables" (section 4.1.1):
1 must be given to C_CreateObject, 2 must not; 3 must be given to C_GenerateKey(Pair), 4 must not; 5 must be given to
C_UnwrapKey, 6 must not; 7 not revealed while CKA_SENSITIVE is TRUE or CKA_EXTRACTABLE is FALSE; 8 may be modified;
10 TRUE only by the SO; 11 not changed once TRUE; 12 not changed once FALSE. Behaviour reads these rows and adds none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pkcs11_shim import constants as ck

BOOL, ULONG, BYTES, BIG, TEXT, DATE, TEMPLATE, ULONGS = range(8)
TRUE, FALSE, EMPTY = b"\x01", b"\x00", b""

# What the engine itself keeps on an object; never given, read, found or copied by a client.
INTERNAL = ck.CKA_VENDOR_DEFINED | 0xAD0000
KNOWN_OUTSIDE = INTERNAL | 1  # TRUE: the key's value has been, or may be, known outside the token
IMPORTED = INTERNAL | 5  # TRUE: C_CreateObject made it, or what it is a copy of
NO_MACS = INTERNAL | 4  # TRUE: MACs under it are keys that others were given
STRENGTH = INTERNAL | 3  # bits of security of what a key was derived from, where it looks stronger than that
HELD = INTERNAL | 2  # TRUE: it may be the key of the moment that a sensitive key was wrapped under


class Attribute(NamedTuple):
    """One attribute of one kind of object. ``default`` None: absent where nothing gives it."""

    number: int
    kind: int
    notes: tuple[int, ...] = ()
    default: bytes | None = None


def _ulong(value: int) -> bytes:
    return value.to_bytes(8, "little")


STORAGE = (
    Attribute(ck.CKA_CLASS, ULONG, (1,)),
    Attribute(ck.CKA_UNIQUE_ID, TEXT, (2, 4, 6)),
    Attribute(ck.CKA_TOKEN, BOOL, (), FALSE),
    Attribute(ck.CKA_PRIVATE, BOOL, ()),
    Attribute(ck.CKA_MODIFIABLE, BOOL, (), TRUE),
    Attribute(ck.CKA_LABEL, TEXT, (8,), EMPTY),
    Attribute(ck.CKA_COPYABLE, BOOL, (12,), TRUE),
    Attribute(ck.CKA_DESTROYABLE, BOOL, (), TRUE),
)
DATA = (
    Attribute(ck.CKA_APPLICATION, TEXT, (8,), EMPTY),
    Attribute(ck.CKA_OBJECT_ID, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_VALUE, BYTES, (8,), EMPTY),
)
CERTIFICATE = (
    Attribute(ck.CKA_CERTIFICATE_TYPE, ULONG, (1,)),
    Attribute(ck.CKA_TRUSTED, BOOL, (8, 10), FALSE),
    Attribute(ck.CKA_CERTIFICATE_CATEGORY, ULONG, (), _ulong(ck.CK_CERTIFICATE_CATEGORY_UNSPECIFIED)),
    Attribute(ck.CKA_CHECK_VALUE, BYTES),
    Attribute(ck.CKA_START_DATE, DATE, (), EMPTY),
    Attribute(ck.CKA_END_DATE, DATE, (), EMPTY),
    Attribute(ck.CKA_PUBLIC_KEY_INFO, BYTES, (), EMPTY),
    Attribute(ck.CKA_SUBJECT, BYTES, (1,)),
    Attribute(ck.CKA_ID, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_ISSUER, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_SERIAL_NUMBER, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_VALUE, BYTES, (), EMPTY),
    Attribute(ck.CKA_URL, TEXT, (), EMPTY),
    Attribute(ck.CKA_HASH_OF_SUBJECT_PUBLIC_KEY, BYTES, (), EMPTY),
    Attribute(ck.CKA_HASH_OF_ISSUER_PUBLIC_KEY, BYTES, (), EMPTY),
    Attribute(ck.CKA_JAVA_MIDP_SECURITY_DOMAIN, ULONG, (), _ulong(ck.CK_SECURITY_DOMAIN_UNSPECIFIED)),
    Attribute(ck.CKA_NAME_HASH_ALGORITHM, ULONG, (), _ulong(ck.CKM_SHA_1)),
)
KEY = (
    Attribute(ck.CKA_KEY_TYPE, ULONG, (1, 5)),
    Attribute(ck.CKA_ID, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_START_DATE, DATE, (8,), EMPTY),
    Attribute(ck.CKA_END_DATE, DATE, (8,), EMPTY),
    Attribute(ck.CKA_DERIVE, BOOL, (8,)),
    Attribute(ck.CKA_LOCAL, BOOL, (2, 4, 6)),
    Attribute(ck.CKA_KEY_GEN_MECHANISM, ULONG, (2, 4, 6)),
    Attribute(ck.CKA_ALLOWED_MECHANISMS, ULONGS),
)
GUARDED = (
    Attribute(ck.CKA_SENSITIVE, BOOL, (8, 11), TRUE),
    Attribute(ck.CKA_EXTRACTABLE, BOOL, (8, 12), FALSE),
    Attribute(ck.CKA_ALWAYS_SENSITIVE, BOOL, (2, 4, 6)),
    Attribute(ck.CKA_NEVER_EXTRACTABLE, BOOL, (2, 4, 6)),
    Attribute(ck.CKA_WRAP_WITH_TRUSTED, BOOL, (8, 11), FALSE),
    Attribute(ck.CKA_UNWRAP_TEMPLATE, TEMPLATE),
    Attribute(ck.CKA_DERIVE_TEMPLATE, TEMPLATE),
)
PUBLIC = (
    Attribute(ck.CKA_SUBJECT, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_ENCRYPT, BOOL, (8,)),
    Attribute(ck.CKA_VERIFY, BOOL, (8,)),
    Attribute(ck.CKA_VERIFY_RECOVER, BOOL, (8,)),
    Attribute(ck.CKA_WRAP, BOOL, (8,)),
    Attribute(ck.CKA_TRUSTED, BOOL, (8, 10), FALSE),
    Attribute(ck.CKA_WRAP_TEMPLATE, TEMPLATE),
    Attribute(ck.CKA_PUBLIC_KEY_INFO, BYTES),
)
PRIVATE = (
    *GUARDED,
    Attribute(ck.CKA_SUBJECT, BYTES, (8,), EMPTY),
    Attribute(ck.CKA_DECRYPT, BOOL, (8,)),
    Attribute(ck.CKA_SIGN, BOOL, (8,)),
    Attribute(ck.CKA_SIGN_RECOVER, BOOL, (8,)),
    Attribute(ck.CKA_UNWRAP, BOOL, (8,)),
    Attribute(ck.CKA_ALWAYS_AUTHENTICATE, BOOL, (), FALSE),
    Attribute(ck.CKA_PUBLIC_KEY_INFO, BYTES, (8,)),
)
SECRET = (
    *GUARDED,
    Attribute(ck.CKA_ENCRYPT, BOOL, (8,)),
    Attribute(ck.CKA_DECRYPT, BOOL, (8,)),
    Attribute(ck.CKA_SIGN, BOOL, (8,)),
    Attribute(ck.CKA_VERIFY, BOOL, (8,)),
    Attribute(ck.CKA_WRAP, BOOL, (8,)),
    Attribute(ck.CKA_UNWRAP, BOOL, (8,)),
    Attribute(ck.CKA_TRUSTED, BOOL, (8, 10), FALSE),
    Attribute(ck.CKA_WRAP_TEMPLATE, TEMPLATE),
    Attribute(ck.CKA_VALUE, BYTES, (1, 4, 6, 7)),
    Attribute(ck.CKA_VALUE_LEN, ULONG, (2,)),
)
_RSA_SECRET = (
    ck.CKA_PRIME_1, ck.CKA_PRIME_2, ck.CKA_EXPONENT_1, ck.CKA_EXPONENT_2, ck.CKA_COEFFICIENT,
)
_RSA_PUBLIC = (
    Attribute(ck.CKA_MODULUS, BIG, (1, 4)),
    Attribute(ck.CKA_MODULUS_BITS, ULONG, (2, 3)),
    Attribute(ck.CKA_PUBLIC_EXPONENT, BIG, (1,)),
)
_RSA_PRIVATE = (
    Attribute(ck.CKA_MODULUS, BIG, (1, 4, 6)),
    Attribute(ck.CKA_PUBLIC_EXPONENT, BIG, (4, 6)),
    Attribute(ck.CKA_PRIVATE_EXPONENT, BIG, (1, 4, 6, 7)),
    *(Attribute(number, BIG, (4, 6, 7)) for number in _RSA_SECRET),
)
_EC_PUBLIC = (
    Attribute(ck.CKA_EC_PARAMS, BYTES, (1, 3)),
    Attribute(ck.CKA_EC_POINT, BYTES, (1, 4)),
)
_EC_PRIVATE = (
    Attribute(ck.CKA_EC_PARAMS, BYTES, (1, 4, 6)),
    Attribute(ck.CKA_EC_POINT, BYTES, (4, 6)),  # the standard has it on public keys only; clients look for it here
    Attribute(ck.CKA_VALUE, BYTES, (1, 4, 6, 7)),
)


class KeyType(NamedTuple):
    """What a key type adds to its class, and the usage flags that are TRUE where a template says nothing."""

    public: tuple[Attribute, ...] = ()
    private: tuple[Attribute, ...] = ()
    uses: tuple[int, ...] = ()
    legacy: bool = False  # made where the partition's switch for what is no longer safe is on
    halves: bool = False  # its value is two keys, one behind the other


_SIGNING = (ck.CKA_SIGN, ck.CKA_VERIFY)
_CIPHER = (ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_WRAP, ck.CKA_UNWRAP)
_KEYED = (*_SIGNING, ck.CKA_DERIVE)
_HMAC = KeyType(uses=_KEYED)
KEY_TYPES: dict[int, KeyType] = {
    ck.CKK_RSA: KeyType(
        _RSA_PUBLIC, _RSA_PRIVATE, (*_SIGNING, ck.CKA_SIGN_RECOVER, ck.CKA_VERIFY_RECOVER, *_CIPHER)
    ),
    ck.CKK_EC: KeyType(_EC_PUBLIC, _EC_PRIVATE, (*_SIGNING, ck.CKA_DERIVE)),
    ck.CKK_EC_EDWARDS: KeyType(_EC_PUBLIC, _EC_PRIVATE, _SIGNING),
    ck.CKK_EC_MONTGOMERY: KeyType(_EC_PUBLIC, _EC_PRIVATE, (ck.CKA_DERIVE,)),
    ck.CKK_AES: KeyType(uses=(*_SIGNING, *_CIPHER, ck.CKA_DERIVE)),
    ck.CKK_AES_XTS: KeyType(uses=_CIPHER, halves=True),
    ck.CKK_DES3: KeyType(uses=(*_SIGNING, *_CIPHER), legacy=True),
    ck.CKK_MD5_HMAC: KeyType(uses=_KEYED, legacy=True),
    ck.CKK_GENERIC_SECRET: _HMAC,
    ck.CKK_HKDF: KeyType(uses=(ck.CKA_DERIVE,)),
    **dict.fromkeys(
        (
            ck.CKK_SHA_1_HMAC, ck.CKK_SHA224_HMAC, ck.CKK_SHA256_HMAC, ck.CKK_SHA384_HMAC, ck.CKK_SHA512_HMAC,
            ck.CKK_SHA512_224_HMAC, ck.CKK_SHA512_256_HMAC,
            ck.CKK_SHA3_224_HMAC, ck.CKK_SHA3_256_HMAC, ck.CKK_SHA3_384_HMAC, ck.CKK_SHA3_512_HMAC,
        ),
        _HMAC,
    ),
}
PAIR_TYPES = frozenset(number for number, row in KEY_TYPES.items() if row.public)
CLASSES: dict[int, tuple[Attribute, ...]] = {
    ck.CKO_DATA: (*STORAGE, *DATA),
    ck.CKO_CERTIFICATE: (*STORAGE, *CERTIFICATE),
    ck.CKO_PUBLIC_KEY: (*STORAGE, *KEY, *PUBLIC),
    ck.CKO_PRIVATE_KEY: (*STORAGE, *KEY, *PRIVATE),
    ck.CKO_SECRET_KEY: (*STORAGE, *KEY, *SECRET),
}
# What a private or secret key is made of: footnote 7 of the tables, not to be revealed.
SECRETS = frozenset(
    row.number
    for rows in (*CLASSES.values(), *(kt.private for kt in KEY_TYPES.values()))
    for row in rows
    if 7 in row.notes
)
KEY_CLASSES = (ck.CKO_PUBLIC_KEY, ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY)
GUARDED_CLASSES = (ck.CKO_PRIVATE_KEY, ck.CKO_SECRET_KEY)
USES = (
    ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_SIGN_RECOVER, ck.CKA_VERIFY, ck.CKA_VERIFY_RECOVER,
    ck.CKA_WRAP, ck.CKA_UNWRAP, ck.CKA_DERIVE,
)
# What an SO session reads of the private wrapping keys that it may trust.
TRUSTING = (ck.CKA_CLASS, ck.CKA_TOKEN, ck.CKA_PRIVATE, ck.CKA_LABEL, ck.CKA_TRUSTED)
# Every attribute the standard names: one that is known but not in the object's rows is CKR_TEMPLATE_INCONSISTENT, any
# other is CKR_ATTRIBUTE_TYPE_INVALID (section 4.1.1).
NAMED = frozenset(value for name, value in vars(ck).items() if name.startswith("CKA_")) - {ck.CKA_VENDOR_DEFINED}
_ROWS: dict[tuple[int, int], dict[int, Attribute]] = {}


def rows_of(object_class: int, key_type: int) -> dict[int, Attribute]:
    """The rows of one kind of object, by number. Key type counts for keys only."""
    found = _ROWS.get((object_class, key_type))
    if found is None:
        rows = CLASSES[object_class]
        if object_class == ck.CKO_PUBLIC_KEY:
            rows += KEY_TYPES[key_type].public
        elif object_class == ck.CKO_PRIVATE_KEY:
            rows += KEY_TYPES[key_type].private
        found = _ROWS[object_class, key_type] = {row.number: row for row in rows}
    return found


def known(object_class: int, key_type: int) -> bool:
    """Whether objects of this class, and keys of this type, can be made at all."""
    if object_class not in KEY_CLASSES:
        return object_class in CLASSES
    return key_type in KEY_TYPES and (key_type in PAIR_TYPES) == (object_class != ck.CKO_SECRET_KEY)


def type_of(attributes: Mapping[int, bytes]) -> KeyType | None:
    """The row of this key's type; None for other objects."""
    key_type = attributes.get(ck.CKA_KEY_TYPE)
    return None if key_type is None else KEY_TYPES.get(int.from_bytes(key_type, "little"))


def is_legacy(attributes: dict[int, bytes]) -> bool:
    """Whether this is a key of a type that the partition's switch for legacy mechanisms is about."""
    row = type_of(attributes)
    return row is not None and row.legacy


def name_of(number: int) -> str:
    """CKA_... as the standard spells it, for sentences."""
    return next((n for n, v in vars(ck).items() if v == number and n.startswith("CKA_")), f"attribute {number:#x}")
