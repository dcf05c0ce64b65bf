"""Searches through the C ABI: what a template matches, and that the result is fixed at the start (section 5.7)."""

from __future__ import annotations

from typing import Any

from abi import NULL, Module, ffi, good

from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}


def handles(m: Module, s: int, most: int) -> list[int]:
    found, count = ffi.new("CK_OBJECT_HANDLE[]", max(most, 1)), ffi.new("CK_ULONG*", 77)
    good(m.C_FindObjects(s, found if most else NULL, most, count))
    return [int(found[i]) for i in range(count[0])]


def test_a_search_is_fixed_when_it_starts_and_told_piece_by_piece(user: tuple[Module, int]) -> None:
    m, s = user
    made = [m.make(s, {**DATA, ck.CKA_LABEL: b"%d" % i}) for i in range(5)][::-1]  # the newest first
    good(m.C_FindObjectsInit(s, *m.template(DATA)))
    assert handles(m, s, 0) == []
    assert handles(m, s, 1) == made[:1]
    late = m.make(s, DATA)
    good(m.C_DestroyObject(s, made[1]))
    assert handles(m, s, 2) == made[2:4]
    assert handles(m, s, 64) == made[4:]
    assert handles(m, s, 64) == []
    good(m.C_FindObjectsFinal(s))
    assert late in m.find(s, DATA)


def test_an_empty_template_finds_everything_that_may_be_seen(user: tuple[Module, int], adyton_token: Any) -> None:
    m, s = user
    public = m.make(s, {**DATA, ck.CKA_TOKEN: True})
    private = m.make(s, {**DATA, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: True})
    assert m.find(s, {}) == [private, public]
    good(m.C_Logout(s))
    assert m.find(s, {}) == [public]
    assert m.find(s, {ck.CKA_PRIVATE: True}) == []


def test_unknown_classes_and_attributes_match_nothing_and_are_no_error(user: tuple[Module, int]) -> None:
    m, s = user
    m.make(s, DATA)
    for rows in ({ck.CKA_CLASS: 0xCE534353}, {0xCE534353: b"x"}, {ck.CKA_MODULUS: b"x"}, {ck.CKA_CLASS: b"\2"},
                 {ck.CKA_WRAP_TEMPLATE: {0x7FFFFF: b"x"}}):
        assert m.find(s, rows) == []


def test_a_search_by_an_empty_value_finds_those_that_have_it_empty(user: tuple[Module, int]) -> None:
    m, s = user
    empty, named = m.aes(s), m.aes(s, id=b"x")
    assert m.find(s, {ck.CKA_ID: b""}) == m.find(s, {ck.CKA_ID: None}) == [empty]
    assert m.find(s, {ck.CKA_ID: b"x"}) == [named]
