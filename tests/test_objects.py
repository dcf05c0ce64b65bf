"""Objects and their attributes through the C ABI: what may be given, what follows, what is told, and what stays."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest
from abi import NULL, TRUE, Module, ffi, good, name, ulong
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}
SECRET = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: bytes(32)}
CERTIFICATE = {
    ck.CKA_CLASS: ck.CKO_CERTIFICATE, ck.CKA_CERTIFICATE_TYPE: ck.CKC_X_509, ck.CKA_SUBJECT: b"subject",
    ck.CKA_VALUE: b"a certificate",
}
P256 = bytes.fromhex("06082a8648ce3d030107")
KWP = ck.CKM_AES_KEY_WRAP_KWP
UNAVAILABLE = ck.CK_UNAVAILABLE_INFORMATION
SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo


def told(m: Module, s: int, handle: int, attribute: int) -> str:
    """The code of a size query of one attribute."""
    return name(m.C_GetAttributeValue(s, handle, *m.template({attribute: None})))


# -- reading


def test_get_attribute_value_looks_at_every_entry(user: tuple[Module, int]) -> None:
    """The bad ones say that they are not to be had; the good ones are there, whatever the code."""
    m, s = user
    key = m.aes(s, label=b"label", id=b"id")
    label, short = ffi.new("CK_BYTE[8]"), ffi.new("CK_BYTE[1]")
    rows = ffi.new("CK_ATTRIBUTE[]", [
        (ck.CKA_VALUE, NULL, 0), (ck.CKA_MODULUS, NULL, 0), (ck.CKA_LABEL, label, 8), (ck.CKA_ID, short, 1),
        (ck.CKA_ID, NULL, 0), (0x7FFFFF, NULL, 0),
    ])
    rv = name(m.C_GetAttributeValue(s, key, rows, 6))
    assert rv in ("CKR_ATTRIBUTE_SENSITIVE", "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_BUFFER_TOO_SMALL")
    assert [row.ulValueLen for row in rows] == [UNAVAILABLE, UNAVAILABLE, 5, UNAVAILABLE, 2, UNAVAILABLE]
    assert bytes(ffi.buffer(label, 5)) == b"label"


@pytest.mark.parametrize("attribute", ["CKA_WRAP_TEMPLATE", "CKA_UNWRAP_TEMPLATE", "CKA_DERIVE_TEMPLATE"])
def test_a_template_in_an_attribute_reads_back_as_an_array_with_its_types(
    user: tuple[Module, int], attribute: str
) -> None:
    """First the size of the array, then the lengths within it, then the values; types are set, not read."""
    m, s = user
    number = getattr(ck, attribute)
    inner = {ck.CKA_LABEL: b"only these", ck.CKA_EXTRACTABLE: True, ck.CKA_KEY_TYPE: ck.CKK_AES}
    key = m.make(s, {**SECRET, number: inner})
    query = ffi.new("CK_ATTRIBUTE*", (number, NULL, 0))
    good(m.C_GetAttributeValue(s, key, query, 1))
    assert query.ulValueLen == 3 * ffi.sizeof("CK_ATTRIBUTE")
    rows = ffi.new("CK_ATTRIBUTE[3]")
    for row in rows:
        row.type = ck.CKA_WRAP_TEMPLATE  # to be ignored
    query.pValue = rows
    good(m.C_GetAttributeValue(s, key, query, 1))
    assert [(row.type, row.ulValueLen) for row in rows] == [
        (ck.CKA_LABEL, 10), (ck.CKA_EXTRACTABLE, 1), (ck.CKA_KEY_TYPE, 8),
    ]
    values = [ffi.new("CK_BYTE[]", int(row.ulValueLen)) for row in rows]
    for row, value in zip(rows, values, strict=True):
        row.pValue = value
    good(m.C_GetAttributeValue(s, key, query, 1))
    assert [bytes(ffi.buffer(v)) for v in values] == [b"only these", TRUE, ulong(ck.CKK_AES)]
    rows[0].ulValueLen = 9
    assert name(m.C_GetAttributeValue(s, key, query, 1)) == "CKR_BUFFER_TOO_SMALL"
    assert rows[0].ulValueLen == UNAVAILABLE and rows[1].ulValueLen == 1
    query.ulValueLen = 2 * ffi.sizeof("CK_ATTRIBUTE")
    assert name(m.C_GetAttributeValue(s, key, query, 1)) == "CKR_BUFFER_TOO_SMALL"
    assert query.ulValueLen == UNAVAILABLE


def test_templates_nest_only_so_deep(user: tuple[Module, int]) -> None:
    m, s = user
    deep: Any = {ck.CKA_LABEL: b"x"}
    for level in range(12):
        deep = {ck.CKA_UNWRAP_TEMPLATE: deep}
        rv, _ = m.create(s, {**SECRET, **deep})
        assert name(rv) == "CKR_OK" if level < 2 else name(rv) in ("CKR_ARGUMENTS_BAD", "CKR_ATTRIBUTE_VALUE_INVALID")
    good(m.C_GetSessionInfo(s, ffi.new("CK_SESSION_INFO*")))


def test_an_unwrap_template_joins_the_new_key_and_a_wrap_template_chooses(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s, unwrap_template={ck.CKA_LABEL: b"by template", ck.CKA_DERIVE: False},
                wrap_template={ck.CKA_LABEL: b"wrap me"})
    assert name(m.wrap(s, m.mechanism(KWP), key, m.aes(s, extractable=True))[0]) == "CKR_KEY_HANDLE_INVALID"
    rv, blob = m.wrap(s, m.mechanism(KWP), key, m.aes(s, extractable=True, label=b"wrap me"))
    good(rv)
    aes = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
    rv, new = m.unwrap(s, m.mechanism(KWP), key, blob, aes)
    good(rv)
    assert (m.read(s, new, ck.CKA_LABEL), m.read(s, new, ck.CKA_DERIVE)) == (b"by template", b"\0")


def test_allowed_mechanisms_read_back_and_are_obeyed(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s, allowed_mechanisms=ulong(ck.CKM_AES_CBC) + ulong(ck.CKM_AES_ECB))
    assert m.read(s, key, ck.CKA_ALLOWED_MECHANISMS) == ulong(ck.CKM_AES_CBC) + ulong(ck.CKM_AES_ECB)
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), key))
    good(m.C_EncryptInit(s, NULL, key))
    assert name(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_CBC_PAD, bytes(16)), key)) == "CKR_MECHANISM_INVALID"
    assert told(m, s, m.aes(s), ck.CKA_ALLOWED_MECHANISMS) == "CKR_ATTRIBUTE_TYPE_INVALID"


def test_every_object_has_an_identity_of_its_own_that_nobody_gives_or_changes(user: tuple[Module, int]) -> None:
    m, s = user
    public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})[1:]
    rv, copy = m.copy(s, private, {})
    good(rv)
    made = [m.make(s, DATA), m.make(s, CERTIFICATE), m.aes(s), public, private, copy]
    identities = {m.read(s, item, ck.CKA_UNIQUE_ID) for item in made}
    assert len(identities) == len(made) and all(uuid.UUID(i.decode()) for i in identities)
    assert m.find(s, {ck.CKA_UNIQUE_ID: m.read(s, copy, ck.CKA_UNIQUE_ID)}) == [copy]
    for rv in (m.create(s, {**DATA, ck.CKA_UNIQUE_ID: b"mine"})[0], m.copy(s, made[0], {ck.CKA_UNIQUE_ID: b"x"})[0],
               m.change(s, made[0], {ck.CKA_UNIQUE_ID: b"mine"})):
        assert name(rv) == "CKR_ATTRIBUTE_READ_ONLY"


def test_labels_and_ids_may_be_empty_repeat_and_be_long(user: tuple[Module, int]) -> None:
    m, s = user
    for _ in range(2):
        m.make(s, {**SECRET, ck.CKA_ID: b"", ck.CKA_LABEL: b""})
        m.make(s, {**SECRET, ck.CKA_ID: b"same", ck.CKA_LABEL: b"same", ck.CKA_TOKEN: True})
    assert len(m.find(s, {ck.CKA_LABEL: b"", ck.CKA_ID: b""})) == 2
    assert len(m.find(s, {ck.CKA_LABEL: b"same", ck.CKA_ID: b"same"})) == 2
    key = m.make(s, {**SECRET, ck.CKA_ID: b"i" * 5000, ck.CKA_LABEL: b"l" * 5000})
    assert m.read(s, key, ck.CKA_ID) == b"i" * 5000


def test_dates(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s, start_date=b"20260101", end_date=b"20271231")
    assert (m.read(s, key, ck.CKA_START_DATE), m.read(s, key, ck.CKA_END_DATE)) == (b"20260101", b"20271231")
    assert m.read(s, m.aes(s), ck.CKA_START_DATE) == b""
    good(m.change(s, key, {ck.CKA_END_DATE: b""}))
    for wrong in (b"2026010", b"20261301", b"20260230", b"today...", b"\0" * 8):
        assert name(m.change(s, key, {ck.CKA_END_DATE: wrong})) == "CKR_ATTRIBUTE_VALUE_INVALID"


# -- making


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ({**DATA, 0x7FFFFF: b"x"}, "CKR_ATTRIBUTE_TYPE_INVALID"),
        ({**DATA, ck.CKA_VENDOR_DEFINED | 5: b"x"}, "CKR_ATTRIBUTE_TYPE_INVALID"),
        ({ck.CKA_LABEL: b"x"}, "CKR_TEMPLATE_INCOMPLETE"),
        ({ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_TEMPLATE_INCOMPLETE"),
        ({ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_VALUE: bytes(16)}, "CKR_TEMPLATE_INCOMPLETE"),
        ({**SECRET, ck.CKA_MODULUS: b"x"}, "CKR_TEMPLATE_INCONSISTENT"),
        ({**SECRET, ck.CKA_KEY_TYPE: ck.CKK_RSA}, "CKR_TEMPLATE_INCONSISTENT"),
        ({**SECRET, ck.CKA_VALUE: bytes(17)}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**SECRET, ck.CKA_VALUE: b""}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**SECRET, ck.CKA_KEY_TYPE: 0x7777}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**SECRET, ck.CKA_CLASS: b"\4"}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**SECRET, ck.CKA_SENSITIVE: b"\2"}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**SECRET, ck.CKA_ALLOWED_MECHANISMS: b"\1\2\3"}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**SECRET, ck.CKA_LOCAL: True}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**SECRET, ck.CKA_ALWAYS_SENSITIVE: True}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**SECRET, ck.CKA_NEVER_EXTRACTABLE: True}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**SECRET, ck.CKA_KEY_GEN_MECHANISM: ck.CKM_AES_KEY_GEN}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**SECRET, ck.CKA_VALUE_LEN: 32}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**SECRET, ck.CKA_TRUSTED: True}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**CERTIFICATE, ck.CKA_TRUSTED: True}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({**CERTIFICATE, ck.CKA_VALUE: b""}, "CKR_TEMPLATE_INCOMPLETE"),
        ({**CERTIFICATE, ck.CKA_URL: b"https://example.org/ca"}, "CKR_TEMPLATE_INCOMPLETE"),
        ({**CERTIFICATE, ck.CKA_CERTIFICATE_TYPE: ck.CKC_WTLS}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({**CERTIFICATE, ck.CKA_CHECK_VALUE: b"abc"}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({k: v for k, v in CERTIFICATE.items() if k != ck.CKA_SUBJECT}, "CKR_TEMPLATE_INCOMPLETE"),
    ],
)
def test_templates_that_make_no_object(user: tuple[Module, int], rows: Any, code: str) -> None:
    m, s = user
    assert name(m.create(s, rows)[0]) == code
    assert m.find(s, {}) == []


def test_an_attribute_given_twice(user: tuple[Module, int]) -> None:
    m, s = user
    rows = [*DATA.items(), (ck.CKA_LABEL, b"one"), (ck.CKA_LABEL, b"two")]
    assert name(m.create(s, rows)[0]) == "CKR_TEMPLATE_INCONSISTENT"
    nested = m.make(s, SECRET)
    twice = [(ck.CKA_LABEL, b"one"), (ck.CKA_LABEL, b"two")]
    assert name(m.C_SetAttributeValue(s, nested, *m.template(twice))) == "CKR_TEMPLATE_INCONSISTENT"
    assert m.read(s, nested, ck.CKA_LABEL) == b""


def test_of_several_changes_all_are_made_or_none(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s, label=b"before")
    assert name(m.change(s, key, {ck.CKA_LABEL: b"after", ck.CKA_LOCAL: True})) == "CKR_ATTRIBUTE_READ_ONLY"
    assert m.read(s, key, ck.CKA_LABEL) == b"before"


def test_a_pair_is_made_whole_or_not_at_all(user: tuple[Module, int]) -> None:
    m, s = user
    public = {ck.CKA_EC_PARAMS: P256, ck.CKA_TOKEN: True}
    rv, *_ = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, public, {ck.CKA_TOKEN: True, ck.CKA_EC_PARAMS: P256})
    assert name(rv) == "CKR_ATTRIBUTE_READ_ONLY"
    assert m.find(s, {}) == []


def test_value_len_in_generate_unwrap_and_create(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s)
    assert m.read(s, key, ck.CKA_VALUE_LEN) == ulong(32)
    assert name(m.generate(s, ck.CKM_AES_KEY_GEN, {})[0]) == "CKR_TEMPLATE_INCOMPLETE"
    assert name(m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 17})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
    assert m.read(s, m.make(s, SECRET), ck.CKA_VALUE_LEN) == ulong(32)
    rv, blob = m.wrap(s, m.mechanism(KWP), key, m.aes(s, extractable=True))
    good(rv)
    aes = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
    short = {**aes, ck.CKA_VALUE_LEN: 16}
    assert name(m.unwrap(s, m.mechanism(KWP), key, blob, short)[0]) == "CKR_WRAPPED_KEY_LEN_RANGE"
    good(m.unwrap(s, m.mechanism(KWP), key, blob, {**aes, ck.CKA_VALUE_LEN: 32})[0])


def test_a_check_value_is_ignored_on_secret_keys_and_computed_on_certificates(user: tuple[Module, int]) -> None:
    """Three bytes of a sensitive key's encryption would tell guesses right from wrong."""
    m, s = user
    key = m.make(s, {**SECRET, ck.CKA_CHECK_VALUE: b"abc"})
    assert told(m, s, key, ck.CKA_CHECK_VALUE) == "CKR_ATTRIBUTE_TYPE_INVALID"
    good(m.change(s, key, {ck.CKA_CHECK_VALUE: b""}))
    check = hashlib.sha1(b"a certificate").digest()[:3]
    assert m.read(s, m.make(s, CERTIFICATE), ck.CKA_CHECK_VALUE) == check
    assert m.read(s, m.make(s, {**CERTIFICATE, ck.CKA_CHECK_VALUE: check}), ck.CKA_CHECK_VALUE) == check
    assert m.read(s, m.make(s, {**CERTIFICATE, ck.CKA_CHECK_VALUE: b""}), ck.CKA_CHECK_VALUE) == b""


def test_what_follows_from_how_a_key_came_to_be(user: tuple[Module, int]) -> None:
    m, s = user
    born, given = m.aes(s, extractable=True), m.make(s, SECRET)
    rows = [
        (born, b"\1", b"\1", b"\0", ulong(ck.CKM_AES_KEY_GEN)), (given, b"\0", b"\0", b"\0", ulong(UNAVAILABLE)),
        (m.copy(s, born, {ck.CKA_EXTRACTABLE: False})[1], b"\1", b"\1", b"\0", ulong(ck.CKM_AES_KEY_GEN)),
    ]
    for key, local, always, never, mechanism in rows:
        assert m.read(s, key, ck.CKA_LOCAL) == local
        assert m.read(s, key, ck.CKA_ALWAYS_SENSITIVE) == always
        assert m.read(s, key, ck.CKA_NEVER_EXTRACTABLE) == never
        assert m.read(s, key, ck.CKA_KEY_GEN_MECHANISM) == mechanism


# -- keys of their own kinds


def test_an_rsa_public_key_given_in_clear(user: tuple[Module, int]) -> None:
    m, s = user
    public = rsa.generate_private_key(65537, 2048).public_key()
    numbers = public.public_numbers()
    rows = {
        ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_MODULUS: numbers.n.to_bytes(256, "big"),
        ck.CKA_PUBLIC_EXPONENT: b"\0\1\0\1",
    }
    assert name(m.create(s, {**rows, ck.CKA_MODULUS_BITS: 2048})[0]) == "CKR_ATTRIBUTE_READ_ONLY"
    assert name(m.create(s, {**rows, ck.CKA_PUBLIC_KEY_INFO: b"another"})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
    key = m.make(s, rows)
    assert m.read(s, key, ck.CKA_MODULUS_BITS) == ulong(2048)
    assert m.read(s, key, ck.CKA_PUBLIC_EXPONENT) == b"\1\0\1"
    assert m.read(s, key, ck.CKA_PUBLIC_KEY_INFO) == public.public_bytes(*SPKI)
    assert m.read(s, key, ck.CKA_PRIVATE) == b"\0"


def test_an_rsa_private_key_by_its_least_parts(user: tuple[Module, int]) -> None:
    m, s = user
    private = rsa.generate_private_key(65537, 2048).private_numbers()
    key = m.make(s, {
        ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_SENSITIVE: False,
        ck.CKA_EXTRACTABLE: True, ck.CKA_MODULUS: private.public_numbers.n.to_bytes(256, "big"),
        ck.CKA_PUBLIC_EXPONENT: b"\1\0\1", ck.CKA_PRIVATE_EXPONENT: private.d.to_bytes(256, "big"),
    })
    primes = {int.from_bytes(m.read(s, key, n), "big") for n in (ck.CKA_PRIME_1, ck.CKA_PRIME_2)}
    assert primes == {private.p, private.q}


@pytest.mark.parametrize("form", ["octet string", "raw", "compressed"])
def test_an_ec_point_comes_in_any_form_and_goes_out_as_an_octet_string(user: tuple[Module, int], form: str) -> None:
    m, s = user
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    short = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    point = {"octet string": bytes([4, 65]) + raw, "raw": raw, "compressed": short}[form]
    rows = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: P256, ck.CKA_EC_POINT: point}
    key = m.make(s, rows)
    assert m.read(s, key, ck.CKA_EC_POINT) == bytes([4, 65]) + raw
    assert m.read(s, key, ck.CKA_PUBLIC_KEY_INFO) == public.public_bytes(*SPKI)
    wrong = bytes([raw[0]]) + bytes(64)
    assert name(m.create(s, {**rows, ck.CKA_EC_POINT: wrong})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"


@pytest.mark.parametrize("parameters", [P256, b"\x13\x09secp256r1", b"\x13\x05P-256"], ids=["OID", "name", "NIST"])
def test_a_curve_by_oid_and_by_name_is_kept_as_it_was_given(user: tuple[Module, int], parameters: bytes) -> None:
    m, s = user
    rv, public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: parameters}, {})
    good(rv)
    assert m.read(s, public, ck.CKA_EC_PARAMS) == m.read(s, private, ck.CKA_EC_PARAMS) == parameters
    assert m.read(s, private, ck.CKA_EC_POINT) == m.read(s, public, ck.CKA_EC_POINT)
    assert m.read(s, private, ck.CKA_PUBLIC_KEY_INFO) == m.read(s, public, ck.CKA_PUBLIC_KEY_INFO)


def test_an_ec_private_key_without_its_public_point(user: tuple[Module, int]) -> None:
    m, s = user
    private = ec.generate_private_key(ec.SECP256R1())
    rows = {
        ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: P256,
        ck.CKA_VALUE: private.private_numbers().private_value.to_bytes(32, "big"),
    }
    key = m.make(s, rows)
    assert m.read(s, key, ck.CKA_PUBLIC_KEY_INFO) == private.public_key().public_bytes(*SPKI)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = other.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert name(m.create(s, {**rows, ck.CKA_EC_POINT: point})[0]) == "CKR_TEMPLATE_INCONSISTENT"
    info = other.public_bytes(*SPKI)
    assert name(m.create(s, {**rows, ck.CKA_PUBLIC_KEY_INFO: info})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
    assert name(m.create(s, {**rows, ck.CKA_VALUE: bytes(32)})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"


@pytest.mark.parametrize("parameters", [bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519"], ids=["OID", "name"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["raw", "octet string"])
def test_an_edwards_key_by_oid_and_by_name(user: tuple[Module, int], parameters: bytes, wrapped: bool) -> None:
    m, s = user
    private = ed25519.Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    key = m.make(s, {
        ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC_EDWARDS, ck.CKA_EC_PARAMS: parameters,
        ck.CKA_EC_POINT: b"\4\x20" + raw if wrapped else raw,
    })
    good(m.verify(s, m.mechanism(ck.CKM_EDDSA), key, b"message", private.sign(b"message")))
