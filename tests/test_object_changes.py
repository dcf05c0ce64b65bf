"""Changing, copying and destroying objects through the C ABI: what goes one way only, and who may in which session."""

from __future__ import annotations

from typing import Any

import pytest
from abi import Module, ffi, good, name
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}
SECRET = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: bytes(32)}
CERTIFICATE = {
    ck.CKA_CLASS: ck.CKO_CERTIFICATE, ck.CKA_CERTIFICATE_TYPE: ck.CKC_X_509, ck.CKA_SUBJECT: b"subject",
    ck.CKA_VALUE: b"a certificate",
}
P256 = bytes.fromhex("06082a8648ce3d030107")
SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo


def so(m: Module, s: int, token: Any) -> None:
    good(m.C_Logout(s))
    good(m.login(s, token.so_pin, ck.CKU_SO))


def back(m: Module, s: int, token: Any) -> None:
    good(m.C_Logout(s))
    good(m.login(s, token.pin))


def test_protection_goes_one_way_in_changes_and_in_copies(user: tuple[Module, int]) -> None:
    m, s = user
    key = m.aes(s, sensitive=False, extractable=True)
    good(m.change(s, key, {ck.CKA_SENSITIVE: True}))
    good(m.change(s, key, {ck.CKA_EXTRACTABLE: False}))
    for rows in ({ck.CKA_SENSITIVE: False}, {ck.CKA_EXTRACTABLE: True}):
        assert name(m.change(s, key, rows)) == "CKR_ATTRIBUTE_READ_ONLY"
        assert name(m.copy(s, key, rows)[0]) == "CKR_ATTRIBUTE_READ_ONLY"
    assert m.read(s, key, ck.CKA_ALWAYS_SENSITIVE) == m.read(s, key, ck.CKA_NEVER_EXTRACTABLE) == b"\0"
    trusting = m.aes(s)
    good(m.change(s, trusting, {ck.CKA_WRAP_WITH_TRUSTED: True}))
    assert name(m.change(s, trusting, {ck.CKA_WRAP_WITH_TRUSTED: False})) == "CKR_ATTRIBUTE_READ_ONLY"


def test_the_public_half_of_a_private_key_may_be_said_again_and_not_otherwise(user: tuple[Module, int]) -> None:
    """Section 4.10: the token holds CKA_PUBLIC_KEY_INFO against the private key's value."""
    m, s = user
    public, private = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})[1:]
    info = m.read(s, private, ck.CKA_PUBLIC_KEY_INFO)
    good(m.change(s, private, {ck.CKA_PUBLIC_KEY_INFO: info}))
    good(m.copy(s, private, {ck.CKA_PUBLIC_KEY_INFO: info})[0])
    for other in (ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*SPKI), b"", b"no key"):
        assert name(m.change(s, private, {ck.CKA_PUBLIC_KEY_INFO: other})) == "CKR_ATTRIBUTE_VALUE_INVALID"
        assert name(m.copy(s, private, {ck.CKA_PUBLIC_KEY_INFO: other})[0]) == "CKR_ATTRIBUTE_VALUE_INVALID"
    assert name(m.change(s, public, {ck.CKA_PUBLIC_KEY_INFO: info})) == "CKR_ATTRIBUTE_READ_ONLY"


def test_a_copy_of_a_key_that_was_readable_remembers_it(user: tuple[Module, int]) -> None:
    """Section 5.7.2: made sensitive or unextractable by the copy, it has not always been so."""
    m, s = user
    key = m.aes(s, sensitive=False, extractable=True)
    rv, copy = m.copy(s, key, {ck.CKA_SENSITIVE: True, ck.CKA_EXTRACTABLE: False, ck.CKA_TOKEN: True})
    good(rv)
    told_of = (ck.CKA_SENSITIVE, ck.CKA_EXTRACTABLE, ck.CKA_ALWAYS_SENSITIVE, ck.CKA_NEVER_EXTRACTABLE, ck.CKA_LOCAL)
    assert [m.read(s, copy, number) for number in told_of] == [b"\1", b"\0", b"\0", b"\0", b"\1"]
    assert m.read(s, key, ck.CKA_SENSITIVE) == b"\0", "the source is as it was"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ({ck.CKA_MODULUS: b"x"}, "CKR_TEMPLATE_INCONSISTENT"), ({0x7FFFFF: b"x"}, "CKR_ATTRIBUTE_TYPE_INVALID"),
        ({ck.CKA_TOKEN: b"\1\1"}, "CKR_ATTRIBUTE_VALUE_INVALID"),
        ({ck.CKA_VALUE: bytes(32)}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_ATTRIBUTE_READ_ONLY"), ({ck.CKA_LOCAL: False}, "CKR_ATTRIBUTE_READ_ONLY"),
        ({ck.CKA_TRUSTED: True}, "CKR_ATTRIBUTE_READ_ONLY"), ({ck.CKA_PRIVATE: False}, "CKR_TEMPLATE_INCONSISTENT"),
    ],
)
def test_a_copy_that_cannot_be_made_as_asked_is_not_made(user: tuple[Module, int], rows: Any, code: str) -> None:
    m, s = user
    key = m.aes(s)
    assert name(m.copy(s, key, {ck.CKA_LABEL: b"copy", **rows})[0]) == code
    assert m.find(s, {}) == [key]


def test_in_which_sessions_which_copies_are_made(user: tuple[Module, int], adyton_token: Any) -> None:
    """Session objects in read-only sessions, public ones without the user: of a public object, and into which kind."""
    m, s = user
    source = m.make(s, {**DATA, ck.CKA_TOKEN: True})
    token, private = {ck.CKA_TOKEN: True}, {ck.CKA_PRIVATE: True}
    no_user, read_only = "CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY"

    def asked(session: int) -> list[str]:
        wanted = ({ck.CKA_TOKEN: False}, token, {ck.CKA_TOKEN: False, **private}, {**token, **private})
        return [name(m.copy(session, source, rows)[0]) for rows in wanted]

    other = m.session(read_write=False)
    assert asked(s) == ["CKR_OK"] * 4
    assert asked(other) == ["CKR_OK", read_only, "CKR_OK", read_only]
    good(m.C_Logout(s))
    assert asked(s) == ["CKR_OK", "CKR_OK", no_user, no_user]
    assert asked(other) in (["CKR_OK", read_only, no_user, no_user], ["CKR_OK", read_only, no_user, read_only])
    good(m.C_CloseSession(other))
    good(m.login(s, adyton_token.so_pin, ck.CKU_SO))
    assert asked(s) == ["CKR_OK", "CKR_OK", no_user, no_user]


def test_in_which_sessions_which_objects_are_changed(user: tuple[Module, int], adyton_token: Any) -> None:
    m, s = user
    label = {ck.CKA_LABEL: b"x"}
    rows = [{**DATA, ck.CKA_TOKEN: token, ck.CKA_PRIVATE: private} for token in (False, True) for private in (0, 1)]
    made = [m.make(s, {**row, ck.CKA_PRIVATE: bool(row[ck.CKA_PRIVATE])}) for row in rows]
    other = m.session(read_write=False)

    def asked(session: int) -> list[str]:
        return [name(m.change(session, item, label)).removeprefix("CKR_") for item in made]

    assert asked(s) == ["OK"] * 4
    assert asked(other) == ["OK", "OK", "SESSION_READ_ONLY", "SESSION_READ_ONLY"]
    good(m.C_Logout(s))
    assert asked(s) == ["OK", "OBJECT_HANDLE_INVALID", "OK", "OBJECT_HANDLE_INVALID"]
    assert asked(other) == ["OK", "OBJECT_HANDLE_INVALID", "SESSION_READ_ONLY", "OBJECT_HANDLE_INVALID"]
    good(m.C_CloseSession(other))
    good(m.login(s, adyton_token.so_pin, ck.CKU_SO))
    assert asked(s) == ["OK", "OBJECT_HANDLE_INVALID", "OK", "OBJECT_HANDLE_INVALID"]


def test_modifiable_copyable_destroyable(user: tuple[Module, int]) -> None:
    m, s = user
    fixed = m.make(s, {**DATA, ck.CKA_MODIFIABLE: False})
    assert name(m.change(s, fixed, {ck.CKA_LABEL: b"x"})) == "CKR_ACTION_PROHIBITED"
    rv, copy = m.copy(s, fixed, {ck.CKA_MODIFIABLE: True})
    good(rv)
    good(m.change(s, copy, {ck.CKA_LABEL: b"x"}))
    good(m.change(s, copy, {ck.CKA_COPYABLE: False}))
    assert name(m.change(s, copy, {ck.CKA_COPYABLE: True})) == "CKR_ATTRIBUTE_READ_ONLY"
    assert name(m.copy(s, copy, {})[0]) == "CKR_ACTION_PROHIBITED"
    lasting = m.make(s, {**DATA, ck.CKA_DESTROYABLE: False})
    assert name(m.C_DestroyObject(s, lasting)) == "CKR_ACTION_PROHIBITED"
    assert name(m.change(s, lasting, {ck.CKA_DESTROYABLE: True})) == "CKR_ATTRIBUTE_READ_ONLY"


def test_a_copy_is_as_private_as_its_source_or_more(user: tuple[Module, int]) -> None:
    m, s = user
    public, private = m.make(s, DATA), m.make(s, {**DATA, ck.CKA_PRIVATE: True})
    assert name(m.copy(s, private, {ck.CKA_PRIVATE: False})[0]) == "CKR_TEMPLATE_INCONSISTENT"
    for source, rows, kept in ((public, {ck.CKA_PRIVATE: True}, b"\1"), (private, {}, b"\1"), (public, {}, b"\0")):
        rv, copy = m.copy(s, source, rows)
        good(rv)
        assert m.read(s, copy, ck.CKA_PRIVATE) == kept


def test_a_session_object_becomes_a_token_object_by_copying(user: tuple[Module, int]) -> None:
    m, s = user
    rv, copy = m.copy(s, m.aes(s), {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"kept"})
    good(rv)
    good(m.C_CloseSession(s))
    assert m.C_DestroyObject(s, copy) == ck.CKR_SESSION_HANDLE_INVALID


def test_session_objects_are_made_changed_and_destroyed_in_a_read_only_session(user: tuple[Module, int]) -> None:
    m, _ = user
    s = m.session(read_write=False)
    item = m.make(s, {**DATA, ck.CKA_PRIVATE: True})
    good(m.change(s, item, {ck.CKA_LABEL: b"x"}))
    rv, copy = m.copy(s, item, {})
    good(rv)
    good(m.C_DestroyObject(s, item))
    good(m.C_DestroyObject(s, copy))
    assert name(m.create(s, {**DATA, ck.CKA_TOKEN: True})[0]) == "CKR_SESSION_READ_ONLY"


def test_only_the_so_makes_anything_trusted(user: tuple[Module, int], adyton_token: Any) -> None:
    m, s = user
    key = m.make(s, {**SECRET, ck.CKA_PRIVATE: False, ck.CKA_TOKEN: True})
    assert name(m.change(s, key, {ck.CKA_TRUSTED: True})) == "CKR_ATTRIBUTE_READ_ONLY"
    good(m.change(s, key, {ck.CKA_TRUSTED: False}))
    so(m, s, adyton_token)
    good(m.change(s, key, {ck.CKA_TRUSTED: True}))
    certificate = m.make(s, {**CERTIFICATE, ck.CKA_TOKEN: True, ck.CKA_TRUSTED: True})
    back(m, s, adyton_token)
    assert m.read(s, key, ck.CKA_TRUSTED) == m.read(s, certificate, ck.CKA_TRUSTED) == b"\1"
    assert name(m.change(s, certificate, {ck.CKA_ID: b"x"})) == "CKR_ACTION_PROHIBITED"
    for source in (key, certificate):
        rv, copy = m.copy(s, source, {ck.CKA_LABEL: b"copy"})
        good(rv)
        assert m.read(s, copy, ck.CKA_TRUSTED) == b"\0"
        assert name(m.copy(s, source, {ck.CKA_TRUSTED: True})[0]) == "CKR_ATTRIBUTE_READ_ONLY"


def test_the_so_trusts_a_private_wrapping_key_and_can_do_nothing_else_with_it(
    user: tuple[Module, int], adyton_token: Any
) -> None:
    m, s = user
    wrapping = m.make(s, {**SECRET, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"transport", ck.CKA_ID: b"7", ck.CKA_WRAP: True})
    m.make(s, {**SECRET, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"other", ck.CKA_WRAP: False})
    target = {ck.CKA_EXTRACTABLE: True, ck.CKA_TOKEN: True, ck.CKA_LABEL: b"target", ck.CKA_WRAP: False}
    rv, _ = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, **target})
    good(rv)
    kwp = m.mechanism(ck.CKM_AES_KEY_WRAP_KWP)
    find = {ck.CKA_LABEL: b"target"}
    assert name(m.wrap(s, kwp, wrapping, m.find(s, find)[0])[0]) == "CKR_KEY_NOT_WRAPPABLE"
    so(m, s, adyton_token)
    assert m.find(s, {ck.CKA_LABEL: b"other"}) == m.find(s, {ck.CKA_ID: b"7"}) == m.find(s, find) == []
    (seen,) = m.find(s, {ck.CKA_LABEL: b"transport", ck.CKA_CLASS: ck.CKO_SECRET_KEY})
    assert m.read(s, seen, ck.CKA_LABEL) == b"transport" and m.read(s, seen, ck.CKA_TRUSTED) == b"\0"
    query = ffi.new("CK_ATTRIBUTE*", {"type": ck.CKA_VALUE_LEN})
    assert name(m.C_GetAttributeValue(s, seen, query, 1)) == "CKR_ATTRIBUTE_SENSITIVE"
    assert name(m.change(s, seen, {ck.CKA_TRUSTED: True, ck.CKA_LABEL: b"mine"})) == "CKR_ACTION_PROHIBITED"
    assert name(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), seen)) == "CKR_KEY_HANDLE_INVALID"
    assert name(m.C_DestroyObject(s, seen)) == name(m.copy(s, seen, {})[0]) == "CKR_OBJECT_HANDLE_INVALID"
    good(m.change(s, seen, {ck.CKA_TRUSTED: True}))
    back(m, s, adyton_token)
    (wrapping,) = m.find(s, {ck.CKA_LABEL: b"transport"})
    good(m.wrap(s, kwp, wrapping, m.find(s, find)[0])[0])


def test_nobody_logged_in_uses_public_things(user: tuple[Module, int]) -> None:
    """Found, read and used: what is not private; made: session objects and public token objects."""
    m, s = user
    public, private = m.pair(
        s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256, ck.CKA_TOKEN: True}, {ck.CKA_TOKEN: True}
    )[1:]
    rv, signature = m.use("Sign", s, m.mechanism(ck.CKM_ECDSA_SHA256), private, b"data")
    good(rv)
    good(m.C_Logout(s))
    assert m.find(s, {}) == [public]
    good(m.verify(s, m.mechanism(ck.CKM_ECDSA_SHA256), public, b"data", signature))
    assert name(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA_SHA256), private)) == "CKR_KEY_HANDLE_INVALID"
    item = m.make(s, {**DATA, ck.CKA_TOKEN: True})
    good(m.change(s, item, {ck.CKA_LABEL: b"x"}))
    good(m.C_DestroyObject(s, item))
    own = m.aes(s, private=False, sensitive=False, extractable=True)
    good(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), own, bytes(16))[0])
    assert name(m.create(s, SECRET)[0]) == "CKR_USER_NOT_LOGGED_IN"


def test_the_size_of_an_object_grows_with_it(user: tuple[Module, int]) -> None:
    m, s = user
    sizes = []
    for label in (b"", b"x" * 1000):
        size = ffi.new("CK_ULONG*")
        good(m.C_GetObjectSize(s, m.make(s, {**DATA, ck.CKA_LABEL: label}), size))
        sizes.append(int(size[0]))
    assert sizes[1] - sizes[0] == 1000


def test_the_size_of_an_object_is_told_to_who_may_see_it(user: tuple[Module, int]) -> None:
    m, s = user
    size, other = ffi.new("CK_ULONG*"), m.session(read_write=False)
    private, public = m.aes(s, token=True), m.make(s, DATA)
    for session in (s, other):
        good(m.C_GetObjectSize(session, private, size))
        assert size[0] > 32
    good(m.C_Logout(s))
    assert name(m.C_GetObjectSize(s, private, size)) == "CKR_OBJECT_HANDLE_INVALID"
    good(m.C_GetObjectSize(other, public, size))


def test_a_destroyed_object_is_gone_for_every_session_and_its_handle_for_ever(user: tuple[Module, int]) -> None:
    m, s = user
    item = m.make(s, {**DATA, ck.CKA_TOKEN: True})
    other = m.session()
    good(m.C_DestroyObject(s, item))
    assert name(m.C_DestroyObject(other, item)) == "CKR_OBJECT_HANDLE_INVALID"
    assert m.find(other, {}) == []
    assert m.make(s, {**DATA, ck.CKA_TOKEN: True}) != item
