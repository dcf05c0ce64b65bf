"""The cells of key management: wrapping, unwrapping, deriving, and making keys and pairs (section 5.18)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from abi import NULL, Rows, ffi, good, name
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from matrix import Generation, PairGeneration, Row, a_session, answer, message, uses_of
from matrix_cells import SMALL
from matrix_cells_of_states import PARAM, keys_refused, parameters_refused
from matrix_keys import FOREIGN, P256, SCALAR
from vectors import Bench, flipped
from vectors_openssl import openssl

from pkcs11_shim import constants as ck

Cell = Callable[[Bench, Any, str, int], None]
SECRET: Rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
OPEN: Rows = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
READ_ONLY = "CKR_SESSION_READ_ONLY"
VALUES = (14, 16, 24, 40)  # lengths of secrets that every mechanism can wrap


def a_secret(length: int, **more: Any) -> Rows:
    more_rows = {getattr(ck, f"CKA_{field.upper()}"): value for field, value in more.items()}
    return {**SECRET, ck.CKA_VALUE: message(length), **OPEN, **more_rows}


def made(bench: Bench, handle: int, wanted: Rows) -> None:
    """A new key's attributes."""
    for attribute, value in wanted.items():
        raw = value if isinstance(value, bytes) else int(value).to_bytes(1 if isinstance(value, bool) else 8, "little")
        found = bench.m.read(bench.s, handle, attribute)
        assert found == raw, f"attribute {attribute:#x}: {found.hex()}, not {raw.hex()}"


# -- wrapping


def wrapped(bench: Bench, row: Row, use: str, s: int) -> None:
    """What the oracle unwraps is the value (section 5.18.3)."""
    key, mechanism = row.key(bench, use), row.mechanism(bench)
    undo = row.oracle.undo
    assert undo is not None
    for length in (size for size in VALUES if size >= row.least):
        rv, blob = bench.m.wrap(s, mechanism, key, bench.key(a_secret(length)))
        assert name(rv) == "CKR_OK", f"{length} bytes: {name(rv)}"
        assert undo(blob) == row.fill(message(length)), f"{length} bytes"


PRIVATE: Rows = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, **OPEN}


def private_wrapped(bench: Bench, row: Row, use: str, s: int) -> None:
    """A private key travels as PKCS#8, which openssl reads; some mechanisms wrap secret keys only."""
    rv, blob = bench.m.wrap(s, row.mechanism(bench), row.key(bench, use), bench.key(P256.closed))
    assert name(rv) == ("CKR_OK" if row.private else "CKR_KEY_NOT_WRAPPABLE")
    if row.private:
        assert row.oracle.undo is not None
        found = row.oracle.undo(blob) or b""
        end = 3 + found[2]
        assert found[:2] == b"\x30\x81" and not any(found[end:]), "one DER value, and zeros"
        said = openssl("pkey", "-inform", "DER", "-in", "key", "-noout", "-text", key=found[:end]).decode()
        assert f"{SCALAR:064x}" in "".join(said.split()).replace(":", "")


def private_unwrapped(bench: Bench, row: Row, use: str, s: int) -> None:
    ours = ec.derive_private_key(SCALAR, ec.SECP256R1())
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    der = ours.private_bytes(serialization.Encoding.DER, form, none)
    blob = row.oracle.make(row.fill(der if row.private else message(32)))
    rv, handle = bench.m.unwrap(s, row.mechanism(bench), row.key(bench, use), blob, PRIVATE)
    assert name(rv) == ("CKR_OK" if row.private else "CKR_TEMPLATE_INCONSISTENT")
    if row.private:
        made(bench, handle, {ck.CKA_VALUE: P256.closed[ck.CKA_VALUE], ck.CKA_EC_POINT: P256.open[ck.CKA_EC_POINT]})
        good(bench.m.C_DestroyObject(s, handle))


def wrapping_size_query(bench: Bench, row: Row, use: str, s: int) -> None:
    """Costs nothing, and a buffer too small tells the length."""
    key, target = row.key(bench, use), bench.key(a_secret(24))
    call = bench.m.C_WrapKey
    given = (s, row.mechanism(bench), key, target)
    told = {answer(call, *given, room=None)[:2] for _ in range(3)}
    assert len(told) == 1
    rv, room = told.pop()
    whole = answer(call, *given, room=room)
    assert (rv, whole.rv, whole.told, len(whole.output)) == ("CKR_OK", "CKR_OK", room, room)
    for less in (room - 1, 0):
        assert answer(call, *given, room=less)[:2] == (SMALL, room)
    assert row.oracle.undo is not None and row.oracle.undo(whole.output) == row.fill(message(24))


def wrong_targets(bench: Bench, row: Row, use: str, s: int) -> None:
    key = row.key(bench, use)
    for words, target, wanted in (
        ("no handle", 0, "CKR_KEY_HANDLE_INVALID"),
        ("an object that is no key", bench.key(FOREIGN["a data object"]), "CKR_KEY_HANDLE_INVALID"),
        ("a public key", bench.key(P256.open), "CKR_KEY_NOT_WRAPPABLE"),
        ("a key that stays", bench.key(a_secret(17, extractable=False)), "CKR_KEY_UNEXTRACTABLE"),
        ("a key for trusted ones", bench.key(a_secret(18, wrap_with_trusted=True)), "CKR_KEY_NOT_WRAPPABLE"),
        ("a sensitive key, under one that is known", bench.key(a_secret(19, sensitive=True)), "CKR_KEY_NOT_WRAPPABLE"),
    ):
        rv, _ = bench.m.wrap(s, row.mechanism(bench), key, target)
        assert name(rv) == wanted, f"{words}: {name(rv)}"


def unwrapped(bench: Bench, row: Row, use: str, s: int) -> None:
    key, mechanism = row.key(bench, use), row.mechanism(bench)
    for length in (size for size in VALUES if size >= row.least):
        blob = row.oracle.make(row.fill(message(length)))
        rv, handle = bench.m.unwrap(s, mechanism, key, blob, {**SECRET, ck.CKA_VALUE_LEN: length, **OPEN})
        assert name(rv) == "CKR_OK", f"{length} bytes: {name(rv)}"
        made(bench, handle, {
            **SECRET, ck.CKA_VALUE: message(length), ck.CKA_VALUE_LEN: length, ck.CKA_LOCAL: False,
            ck.CKA_ALWAYS_SENSITIVE: False, ck.CKA_NEVER_EXTRACTABLE: False,
        })
        good(bench.m.C_DestroyObject(s, handle))
    aes: Rows = {**SECRET, ck.CKA_KEY_TYPE: ck.CKK_AES, **OPEN}
    rv, handle = bench.m.unwrap(s, mechanism, key, row.oracle.make(message(16)), aes)
    assert name(rv) == "CKR_OK", f"an AES key: {name(rv)}"
    made(bench, handle, {ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: message(16)})
    good(bench.m.C_DestroyObject(s, handle))


def not_unwrapped(bench: Bench, row: Row, use: str, s: int) -> None:
    """A wrapped key that was altered, of a length that none has, and templates that are not enough or too much."""
    key, mechanism = row.key(bench, use), row.mechanism(bench)
    template = {**SECRET, ck.CKA_VALUE_LEN: 24, **OPEN}
    blob = row.oracle.make(row.fill(message(24)))
    before = len(bench.m.find(s, SECRET))
    cases: list[tuple[str, bytes, Rows, str]] = [
        *(("altered", flipped(blob), template, "CKR_WRAPPED_KEY_INVALID") for _ in range(bool(row.altered))),
        *((f"{length} bytes", message(length), template, code) for length, code in row.refused.get(use, {}).items()),
        ("no class", blob, {n: v for n, v in template.items() if n != ck.CKA_CLASS}, "CKR_TEMPLATE_INCOMPLETE"),
        ("no type", blob, {n: v for n, v in template.items() if n != ck.CKA_KEY_TYPE}, "CKR_TEMPLATE_INCOMPLETE"),
        ("a value", blob, {**template, ck.CKA_VALUE: b"x" * 24}, "CKR_ATTRIBUTE_READ_ONLY"),
        ("a public key", blob, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA},
         "CKR_TEMPLATE_INCONSISTENT"),
        ("longer", blob, {**template, ck.CKA_VALUE_LEN: 600}, "CKR_WRAPPED_KEY_LEN_RANGE"),
        # By PKCS#1 v1.5 a length that is not right may not be told: tests/test_rsa.py has what comes then.
        *(("cut", blob, {**template, ck.CKA_VALUE_LEN: 14}, "CKR_WRAPPED_KEY_LEN_RANGE")
          for _ in range(row.number != ck.CKM_RSA_PKCS)),
    ]
    for words, given, rows, wanted in cases:
        rv, _ = bench.m.unwrap(s, mechanism, key, given, rows)
        assert name(rv) == wanted, f"{words}: {name(rv)}, not {wanted}"
    assert len(bench.m.find(s, SECRET)) == before, "a key was made all the same"


# -- deriving


def derived_as(row: Row, length: int) -> Rows:
    """The template for what a row makes; data have no more than a class, and a length (section 6.62.5)."""
    if row.makes == ck.CKO_DATA:
        return {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE_LEN: length}
    return {**SECRET, ck.CKA_VALUE_LEN: length, **OPEN}


def derived(bench: Bench, row: Row, use: str, s: int) -> None:
    key, mechanism = row.key(bench, use), row.mechanism(bench)
    for length in row.lengths:
        rv, handle = bench.m.derive(s, mechanism, key, derived_as(row, length))
        assert name(rv) == "CKR_OK", f"{length} bytes: {name(rv)}"
        made(bench, handle, {ck.CKA_CLASS: row.makes, ck.CKA_VALUE: row.oracle.make(length)})
        if row.makes == ck.CKO_SECRET_KEY:
            made(bench, handle, {
                **SECRET, ck.CKA_VALUE_LEN: length, ck.CKA_LOCAL: False, ck.CKA_ALWAYS_SENSITIVE: False,
                ck.CKA_NEVER_EXTRACTABLE: False,
            })
        good(bench.m.C_DestroyObject(s, handle))


def not_derived(bench: Bench, row: Row, use: str, s: int) -> None:
    key, mechanism = row.key(bench, use), row.mechanism(bench)
    length = row.lengths[0]
    template = derived_as(row, length)
    before, refused = len(bench.m.find(s, {ck.CKA_CLASS: row.makes})), row.refused.get(use, {})
    data = row.makes == ck.CKO_DATA
    cases: list[tuple[str, Rows, str]] = [
        *((f"{wrong} bytes", {**template, ck.CKA_VALUE_LEN: wrong}, code) for wrong, code in refused.items()),
        ("a value", {**template, ck.CKA_VALUE: b"x" * length},
         "CKR_TEMPLATE_INCONSISTENT" if data else "CKR_ATTRIBUTE_READ_ONLY"),
        ("a public key", {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA}, "CKR_TEMPLATE_INCONSISTENT"),
    ]
    if not data:
        aes = {**template, ck.CKA_KEY_TYPE: ck.CKK_AES}
        if 15 not in refused:
            cases.append(("an AES key of 15 bytes", {**aes, ck.CKA_VALUE_LEN: 15}, "CKR_ATTRIBUTE_VALUE_INVALID"))
        del aes[ck.CKA_VALUE_LEN]
        if row.needs_length:
            cases.append(("an AES key of no length", aes, "CKR_TEMPLATE_INCOMPLETE"))
    for words, rows, wanted in cases:
        rv, _ = bench.m.derive(s, mechanism, key, rows)
        assert name(rv) == wanted, f"{words}: {name(rv)}, not {wanted}"
    assert len(bench.m.find(s, {ck.CKA_CLASS: row.makes})) == before, "an object was made all the same"


# -- what wrapping, unwrapping and deriving share: one call, no Init


def _attempt(bench: Bench, row: Row, use: str, s: int, mechanism: Any, key: int, more: Rows | None = None) -> str:
    rows = derived_as(row, row.lengths[0]) if use == "derive" else {**SECRET, ck.CKA_VALUE_LEN: 24, **OPEN}
    rows |= more or {}
    if use == "wrap":
        return name(bench.m.wrap(s, mechanism, key, bench.key(a_secret(24)))[0])
    if use == "unwrap":
        blob = row.oracle.make(row.fill(message(24))) if use in row.uses else message(24)
        return name(bench.m.unwrap(s, mechanism, key, blob, rows)[0])
    return name(bench.m.derive(s, mechanism, key, rows)[0])


TYPE = {
    "wrap": "CKR_WRAPPING_KEY_TYPE_INCONSISTENT", "unwrap": "CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT",
    "derive": "CKR_KEY_TYPE_INCONSISTENT",
}
HANDLE = {
    "wrap": "CKR_WRAPPING_KEY_HANDLE_INVALID", "unwrap": "CKR_UNWRAPPING_KEY_HANDLE_INVALID",
    "derive": "CKR_KEY_HANDLE_INVALID",
}


def wrong_keys(bench: Bench, row: Row, use: str, s: int) -> None:
    """Each function has its own codes for its key (sections 5.18.3 to 5.18.5)."""
    mechanism = row.mechanism(bench)

    def refused(key: int, wanted: str, words: str) -> None:
        rv = _attempt(bench, row, use, s, mechanism, key)
        assert rv == wanted, f"{words}: {rv}, not {wanted}"

    assert row.keys is not None
    for words, rows in FOREIGN.items():
        fits = rows.get(ck.CKA_KEY_TYPE) in (row.keys.type, *row.key_types)
        if not fits or rows[ck.CKA_CLASS] != row.template(use)[ck.CKA_CLASS]:
            refused(bench.key(rows), TYPE[use] if ck.CKA_KEY_TYPE in rows else HANDLE[use], words)
    keys_refused(bench, row, use, refused, HANDLE[use])


def wrong_parameters(bench: Bench, row: Row, use: str, s: int) -> None:
    for words, wrong in parameters_refused(bench, row):
        rv = _attempt(bench, row, use, s, wrong, row.key(bench, use))
        assert rv == PARAM, f"{words}: {rv}"


def other_uses(bench: Bench, row: Row, use: str, s: int) -> None:
    """What the mechanism doesn't serve."""
    for other in set(TYPE) - uses_of(row.number):
        rv = _attempt(bench, row, other, s, row.mechanism(bench), row.key(bench, use))
        assert rv == "CKR_MECHANISM_INVALID", f"to {other}: {rv}"


def wrong_states(bench: Bench, row: Row, use: str, s: int) -> None:
    """No operation is needed and none is in the way; a read-only session makes no token object."""
    mechanism, key = row.mechanism(bench), row.key(bench, use)
    good(bench.m.C_DigestInit(s, bench.m.mechanism(ck.CKM_SHA256)))
    assert _attempt(bench, row, use, s, mechanism, key) == "CKR_OK"
    assert _attempt(bench, row, use, s, NULL, key) == "CKR_ARGUMENTS_BAD"
    assert _attempt(bench, row, use, 0x7777, mechanism, key) == "CKR_SESSION_HANDLE_INVALID"
    if use != "wrap":
        reading = bench.m.session(read_write=False)
        assert _attempt(bench, row, use, reading, mechanism, key) == "CKR_OK", "a session object needs no more"
        assert _attempt(bench, row, use, reading, mechanism, key, {ck.CKA_TOKEN: True}) == READ_ONLY
        good(bench.m.C_CloseSession(reading))


# -- making keys


def generated(bench: Bench, row: Generation, use: str, s: int) -> None:
    values = set()
    for length in row.lengths:
        for _ in range(2):
            rv, handle = bench.m.generate(s, row.number, {**row.rows(length), **OPEN}, parameter_of(bench, row))
            assert name(rv) == "CKR_OK", f"{length} bytes: {name(rv)}"
            made(bench, handle, {
                ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: row.key_type, ck.CKA_VALUE_LEN: length,
                ck.CKA_LOCAL: True, ck.CKA_KEY_GEN_MECHANISM: row.number, ck.CKA_ALWAYS_SENSITIVE: False,
                ck.CKA_NEVER_EXTRACTABLE: False,
            })
            value = bench.m.read(s, handle, ck.CKA_VALUE)
            assert len(value) == length
            if row.oracle is not None:
                assert value == row.oracle.make(length), f"{length} bytes"
            else:
                assert length == 1 or value not in values, "the same key twice"
            values.add(value)
            good(bench.m.C_DestroyObject(s, handle))
    rv, handle = bench.m.generate(s, row.number, row.rows(row.lengths[-1]), parameter_of(bench, row))
    good(rv)
    made(bench, handle, {ck.CKA_SENSITIVE: True, ck.CKA_PRIVATE: True})
    query = ffi.new("CK_ATTRIBUTE*", {"type": ck.CKA_VALUE})
    assert name(bench.m.C_GetAttributeValue(s, handle, query, 1)) == "CKR_ATTRIBUTE_SENSITIVE"


def parameter_of(bench: Bench, row: Generation) -> Any:
    return row.parameter(bench) if callable(row.parameter) else row.parameter


def not_generated(bench: Bench, row: Generation, use: str, s: int) -> None:
    m, length = bench.m, row.lengths[0]
    template: Rows = {**row.rows(length), **OPEN}
    before = len(m.find(s, {ck.CKA_KEY_TYPE: row.key_type}))
    cases: list[tuple[str, Rows, str]] = [
        *((f"{wrong} bytes", {**template, ck.CKA_VALUE_LEN: wrong}, code) for wrong, code in row.refused.items()),
        ("a value", {**template, ck.CKA_VALUE: b"x" * length}, "CKR_ATTRIBUTE_READ_ONLY"),
        ("another class", {**template, ck.CKA_CLASS: ck.CKO_PUBLIC_KEY}, "CKR_TEMPLATE_INCONSISTENT"),
        ("another type", {**template, ck.CKA_KEY_TYPE: ck.CKK_RSA}, "CKR_TEMPLATE_INCONSISTENT"),
    ]
    if not row.fixed:
        cases.append(("no length", {**row.template, **OPEN}, "CKR_TEMPLATE_INCOMPLETE"))
    for words, rows, wanted in cases:
        rv, _ = m.generate(s, row.number, rows, parameter_of(bench, row))
        assert name(rv) == wanted, f"{words}: {name(rv)}, not {wanted}"
    handle = ffi.new("CK_OBJECT_HANDLE*")
    for words, mechanism in parameters_refused(bench, row):
        rv = m.C_GenerateKey(s, mechanism, *m.template(template), handle)
        assert name(rv) == PARAM, f"{words}: {name(rv)}"
    assert name(m.C_GenerateKey(s, NULL, *m.template(template), handle)) == "CKR_ARGUMENTS_BAD"
    reading = m.session(read_write=False)
    with_token = {**template, ck.CKA_TOKEN: True}
    assert name(m.generate(reading, row.number, with_token, parameter_of(bench, row))[0]) == READ_ONLY
    good(m.C_CloseSession(reading))
    assert len(m.find(s, {ck.CKA_KEY_TYPE: row.key_type})) == before, "a key was made all the same"


def _reader(bench: Bench, handle: int) -> Callable[[int], bytes]:
    return lambda attribute: bench.m.read(bench.s, handle, attribute)


def pair_generated(bench: Bench, row: PairGeneration, use: str, s: int) -> None:
    rv, public, private = bench.m.pair(s, row.number, row.public, OPEN)
    assert name(rv) == "CKR_OK", name(rv)
    both = {ck.CKA_KEY_TYPE: row.key_type, ck.CKA_LOCAL: True, ck.CKA_KEY_GEN_MECHANISM: row.number}
    made(bench, public, {**both, ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, **row.public, ck.CKA_PRIVATE: False})
    made(bench, private, {**both, ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_PRIVATE: True})
    assert row.fits(_reader(bench, public), _reader(bench, private)), "the halves don't fit"


def pair_not_generated(bench: Bench, row: PairGeneration, use: str, s: int) -> None:
    m = bench.m
    before = len(m.find(s, {ck.CKA_KEY_TYPE: row.key_type}))
    for rows, wanted in row.wrong:
        rv = name(m.pair(s, row.number, rows, {})[0])
        assert rv == wanted, f"{rows}: {rv}, not {wanted}"
    other = ck.CKK_RSA if row.key_type != ck.CKK_RSA else ck.CKK_EC
    for public, private in (
        ({ck.CKA_KEY_TYPE: other}, {}), ({}, {ck.CKA_KEY_TYPE: other}), ({ck.CKA_CLASS: ck.CKO_PRIVATE_KEY}, {}),
        ({}, {ck.CKA_CLASS: ck.CKO_SECRET_KEY}), ({ck.CKA_SENSITIVE: True}, {}),
    ):
        rv = name(m.pair(s, row.number, {**row.public, **public}, private)[0])
        assert rv == "CKR_TEMPLATE_INCONSISTENT", f"{public} and {private}: {rv}"
    one, two = ffi.new("CK_OBJECT_HANDLE*"), ffi.new("CK_OBJECT_HANDLE*")
    templates = (*m.template(row.public), *m.template({}))
    assert name(m.C_GenerateKeyPair(s, m.mechanism(row.number, b"x"), *templates, one, two)) == PARAM
    assert name(m.C_GenerateKeyPair(s, NULL, *templates, one, two)) == "CKR_ARGUMENTS_BAD"
    with a_session(bench):
        reading = m.session(read_write=False)
        for public, private in (({ck.CKA_TOKEN: True}, {}), ({}, {ck.CKA_TOKEN: True})):
            assert name(m.pair(reading, row.number, {**row.public, **public}, private)[0]) == READ_ONLY
        good(m.C_CloseSession(reading))
    assert len(m.find(s, {ck.CKA_KEY_TYPE: row.key_type})) == before, "a key was made all the same"


JUDGED: dict[str, tuple[Cell, ...]] = {
    "wrap": (wrapped, wrapping_size_query, wrong_parameters), "unwrap": (unwrapped, not_unwrapped, wrong_parameters),
    "derive": (derived, not_derived, wrong_parameters), "generate": (generated, not_generated),
    "generate_pair": (pair_generated, pair_not_generated),
}
ONCE: dict[str, tuple[Cell, ...]] = {
    "wrap": (private_wrapped, wrong_targets, wrong_keys, other_uses, wrong_states),
    "unwrap": (private_unwrapped, wrong_keys, other_uses, wrong_states),
    "derive": (wrong_keys, other_uses, wrong_states),
}


def cells(row: Any, use: str) -> Iterator[Cell]:
    """Those that a row's use has; further rows of a mechanism only judge other keys and parameters."""
    yield from JUDGED[use]
    yield from () if row.variant else ONCE.get(use, ())
