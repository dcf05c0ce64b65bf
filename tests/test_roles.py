"""Every role and nobody, by every group of PKCS#11's functions, by three scopes; and the table of data actions.

What is expected was typed by hand (role_expectations.py); here is how each row is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import role_expectations as expected
from abi import ffi, good, name
from role_expectations import CODES, GUIDS, ROLES, SCOPES
from roles_world import (
    CBC,
    CMAC,
    KINDS,
    KWP,
    MAKER,
    P256,
    SECRET,
    THIS,
    Seat,
    name_at,
    pin_of,
    seats,
    user_type_of,
)

from hsm.access.roles import ACTIONS, BUILT_IN
from pkcs11_shim import constants as ck

TEXT, IV = b"sixteen bytes ok", bytes(16)
GONE = {ck.CKR_OBJECT_HANDLE_INVALID, ck.CKR_KEY_HANDLE_INVALID}


@pytest.fixture(scope="module")
def world() -> Iterator[dict[str, Seat]]:
    with seats() as made:
        yield made


# -- how a row is done: what the maker lays ready, and the call


class Way(NamedTuple):
    act: Callable[[Seat, Any], int]
    prepare: Callable[[Seat], Any] = lambda seat: None
    gone: str = "CKR_OBJECT_HANDLE_INVALID"


def _found(seat: Seat, rows: dict[int, Any]) -> int:
    return int(ck.CKR_OK if seat.m.find(seat.s, rows) else ck.CKR_OBJECT_HANDLE_INVALID)


def _read(seat: Seat, handle: int, attribute: int = ck.CKA_LABEL) -> int:
    return int(seat.m.C_GetAttributeValue(seat.s, handle, *seat.m.template({attribute: None})))


def _public(which: bytes) -> dict[int, Any]:
    return {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_ID: b"public " + which}


def _use(what: str, number: int, which: bytes, parameter: Any = None, text: bytes = TEXT) -> Way:
    def act(seat: Seat, ready: Any) -> int:
        return seat.m.use(what, seat.s, seat.m.mechanism(number, parameter), seat.handle(which), text)[0]

    return Way(act, gone="CKR_KEY_HANDLE_INVALID")


def _verify(which: bytes, number: int, signing: bytes) -> Way:
    def prepare(seat: Seat) -> bytes:
        rv, signature = seat.m.use("Sign", seat.s, seat.m.mechanism(number), seat.handle(signing), TEXT)
        good(rv)
        return signature

    def act(seat: Seat, signature: bytes) -> int:
        return seat.m.verify(seat.s, seat.m.mechanism(number), seat.handle(which), TEXT, signature)

    return Way(act, prepare, "CKR_KEY_HANDLE_INVALID")


def _recover(seat: Seat, signature: bytes) -> int:
    rv = int(seat.m.C_VerifyRecoverInit(seat.s, seat.m.mechanism(ck.CKM_RSA_PKCS), seat.handle(b"public rsa")))
    return rv or seat.m.output(seat.m.C_VerifyRecover, seat.s, seat.m.bytes(signature), len(signature))[0]


def _recoverable(seat: Seat) -> bytes:
    rv, signature = seat.m.use("SignRecover", seat.s, seat.m.mechanism(ck.CKM_RSA_PKCS), seat.handle(b"rsa"), TEXT)
    good(rv)
    return signature


def _wrap_session_key(seat: Seat, ready: Any) -> int:
    target = seat.m.aes(seat.s, private=False, extractable=True)
    return seat.m.wrap(seat.s, seat.m.mechanism(KWP), seat.handle(b"wrapping"), target)[0]


def _wrap_token_key(seat: Seat, ready: Any) -> int:
    return seat.m.wrap(seat.s, seat.m.mechanism(KWP), seat.handle(b"wrapping"), seat.handle(b"target"))[0]


def _unwrap(where: Callable[[Seat], dict[int, Any]]) -> Way:
    def act(seat: Seat, blob: bytes) -> int:
        rows = {**SECRET, **where(seat)}
        return seat.m.unwrap(seat.s, seat.m.mechanism(KWP), seat.handle(b"wrapping"), blob, rows)[0]

    return Way(act, Seat.blob, "CKR_UNWRAPPING_KEY_HANDLE_INVALID")


def _derive(where: Callable[[Seat], dict[int, Any]]) -> Way:
    def act(seat: Seat, point: bytes) -> int:
        parameter = seat.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point,
                                     ulPublicDataLen=len(point))
        mechanism = seat.m.mechanism(ck.CKM_ECDH1_DERIVE, parameter)
        return seat.m.derive(seat.s, mechanism, seat.handle(b"ec"), {**SECRET, ck.CKA_VALUE_LEN: 32, **where(seat)})[0]

    return Way(act, Seat.peer_point, "CKR_KEY_HANDLE_INVALID")


def _session(seat: Seat) -> dict[int, Any]:
    return {ck.CKA_TOKEN: False}


def _this(seat: Seat) -> dict[int, Any]:
    return {ck.CKA_TOKEN: True, ck.CKA_LABEL: THIS}


def _new(seat: Seat) -> dict[int, Any]:
    return {ck.CKA_TOKEN: True, ck.CKA_LABEL: seat.new().encode()}


def _nameless(seat: Seat) -> dict[int, Any]:
    return {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"no name: it has blanks"}


def _generate(where: Callable[[Seat], dict[int, Any]]) -> Way:
    def act(seat: Seat, ready: Any) -> int:
        return seat.m.generate(seat.s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 32, **where(seat)})[0]

    return Way(act)


def _generate_pair(where: Callable[[Seat], dict[int, Any]]) -> Way:
    def act(seat: Seat, ready: Any) -> int:
        both = where(seat)
        return seat.m.pair(seat.s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256, **both}, both)[0]

    return Way(act)


def _import(where: Callable[[Seat], dict[int, Any]]) -> Way:
    def act(seat: Seat, ready: Any) -> int:
        return seat.m.create(seat.s, {**SECRET, ck.CKA_VALUE: os.urandom(32), **where(seat)})[0]

    return Way(act)


def _import_public(seat: Seat, point: bytes) -> int:
    return seat.m.create(seat.s, {
        ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: P256, ck.CKA_EC_POINT: point,
        **_this(seat)})[0]


def _copy(where: Callable[[Seat], dict[int, Any]]) -> Way:
    return Way(lambda seat, ready: seat.m.copy(seat.s, seat.handle(b"cipher"), where(seat))[0])


def _fresh_cipher(seat: Seat) -> bytes:
    return seat.cipher(seat.new("cipher").encode())


def _fresh_wrapper(seat: Seat) -> bytes:
    return seat.wrapper(seat.new("wrapper").encode())


def _public_data(seat: Seat) -> bytes:
    label = seat.new("data").encode()
    good(seat.data(label, private=False)[0])
    return label


def _labelled(seat: Seat, label: bytes) -> int:
    return seat.m.find(seat.s, {ck.CKA_LABEL: label})[0]


def _session_key(seat: Seat, ready: Any) -> int:
    key = seat.m.aes(seat.s, private=False)
    rv = seat.m.use("Encrypt", seat.s, seat.m.mechanism(CBC, IV), key, TEXT)[0]
    return int(seat.m.C_DestroyObject(seat.s, key) or rv)


def _digest(seat: Seat, ready: Any) -> int:
    rv = int(seat.m.C_DigestInit(seat.s, seat.m.mechanism(ck.CKM_SHA256)))
    return rv or seat.m.output(seat.m.C_Digest, seat.s, seat.m.bytes(TEXT), len(TEXT))[0]


def _digest_key(seat: Seat, ready: Any) -> int:
    good(seat.m.C_DigestInit(seat.s, seat.m.mechanism(ck.CKM_SHA256)))
    rv = int(seat.m.C_DigestKey(seat.s, seat.handle(b"open" if seat.kind == "token" else b"mac")))
    good(seat.m.C_SessionCancel(seat.s, ck.CKF_DIGEST))
    return rv


def _set_own_pin(seat: Seat, officer: str) -> int:
    old = f"{officer}:{pin_of(officer)}".encode()
    new = pin_of(officer).encode()
    return int(seat.m.C_SetPIN(seat.s, old, len(old), new, len(new)))


def _init_pin(seat: Seat, ready: Any) -> int:
    return int(seat.m.C_InitPIN(seat.s, b"the-user-pin", 12))


def _changes(attribute: int, value: Any, handle: Callable[[Seat, Any], int]) -> Callable[[Seat, Any], int]:
    return lambda seat, which: seat.m.change(seat.s, handle(seat, which), {attribute: value})


def _destroys(handle: Callable[[Seat, Any], int]) -> Callable[[Seat, Any], int]:
    return lambda seat, which: int(seat.m.C_DestroyObject(seat.s, handle(seat, which)))


WAYS: dict[str, Way] = {
    "find a key": Way(lambda seat, _: _found(seat, {ck.CKA_ID: b"cipher"})),
    "read a key's label": Way(lambda seat, _: _read(seat, seat.handle(b"cipher"))),
    "a key's size": Way(lambda seat, _: int(
        seat.m.C_GetObjectSize(seat.s, seat.handle(b"cipher"), ffi.new("CK_ULONG*")))),
    "find a public key": Way(lambda seat, _: _found(seat, _public(b"ec"))),
    "read a public key": Way(lambda seat, _: _read(seat, seat.handle(b"public ec"), ck.CKA_EC_POINT)),
    # By what an Administrator may seek by: the other keys of this name wrap nothing.
    "find a wrapping key": Way(lambda seat, _: int(
        ck.CKR_OBJECT_HANDLE_INVALID if seat.wrapping() == seat.stale[b"wrapping"] else ck.CKR_OK)),
    "read a wrapping key's label": Way(lambda seat, _: _read(seat, seat.wrapping())),
    "read a wrapping key's id": Way(lambda seat, _: _read(seat, seat.wrapping(), ck.CKA_ID)),
    "set a wrapping key's label": Way(_changes(ck.CKA_LABEL, b"renamed", Seat.wrapping), _fresh_wrapper),
    "set a wrapping key's CKA_TRUSTED": Way(_changes(ck.CKA_TRUSTED, True, Seat.wrapping), _fresh_wrapper),
    "destroy a wrapping key": Way(_destroys(Seat.wrapping), _fresh_wrapper),
    "set a key's label": Way(_changes(ck.CKA_LABEL, b"renamed", Seat.handle), _fresh_cipher),
    "destroy a key": Way(_destroys(Seat.handle), _fresh_cipher),
    "copy a key for the session": _copy(_session),
    "copy a key": _copy(_this),
    "copy a key under a new name": _copy(_new),
    "sign": _use("Sign", CMAC, b"mac"),
    "sign by a pair": _use("Sign", ck.CKM_ECDSA_SHA256, b"ec"),
    "sign with recovery": _use("SignRecover", ck.CKM_RSA_PKCS, b"rsa"),
    "verify": _verify(b"mac", CMAC, b"mac"),
    "verify by a public key": _verify(b"public ec", ck.CKM_ECDSA_SHA256, b"ec"),
    "recover by a public key": Way(_recover, _recoverable),
    "encrypt": _use("Encrypt", CBC, b"cipher", IV),
    "encrypt by a public key": _use("Encrypt", ck.CKM_RSA_PKCS, b"public rsa"),
    "decrypt": _use("Decrypt", CBC, b"cipher", IV),
    "wrap a session key": Way(_wrap_session_key, gone="CKR_WRAPPING_KEY_HANDLE_INVALID"),
    "wrap a token key": Way(_wrap_token_key, gone="CKR_WRAPPING_KEY_HANDLE_INVALID"),
    "unwrap for the session": _unwrap(_session),
    "unwrap into a token key": _unwrap(_this),
    "unwrap into a new name": _unwrap(_new),
    "derive for the session": _derive(_session),
    "derive into a token key": _derive(_this),
    "derive into a new name": _derive(_new),
    "digest a key": Way(_digest_key, gone="CKR_KEY_HANDLE_INVALID"),
    "generate a key": _generate(_this),
    "generate a key of a new name": _generate(_new),
    "generate a key without a name": _generate(_nameless),
    "generate a pair": _generate_pair(_this),
    "generate a pair of a new name": _generate_pair(_new),
    "import a key": _import(_this),
    "import a key of a new name": _import(_new),
    "import a public key": Way(_import_public, Seat.peer_point),
    "make private data": Way(lambda seat, _: seat.data(THIS, private=True)[0]),
    "make public data": Way(lambda seat, _: seat.data(THIS, private=False)[0]),
    "change public data": Way(_changes(ck.CKA_VALUE, b"changed", _labelled), _public_data),
    "destroy public data": Way(_destroys(_labelled), _public_data),
    "make, use and destroy a session key": Way(_session_key),
    "make a private session key": Way(lambda seat, _: seat.m.generate(
        seat.s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 32, ck.CKA_PRIVATE: True})[0]),
    "digest": Way(_digest),
    "random bytes": Way(lambda seat, _: int(seat.m.C_GenerateRandom(seat.s, ffi.new("CK_BYTE[8]"), 8))),
    "set the user's PIN": Way(_init_pin),
}
_LOGINS = {"log in as CKU_SO": ck.CKU_SO, "log in as CKU_USER": ck.CKU_USER}
_OWN_PIN = "set one's own PIN"
CALLS = expected.rows(expected.CALLS, last=1)
CELLS = [
    pytest.param(kind, row, role, id=f"{kind}: {row.name}: {role}")
    for kind in KINDS for row in CALLS if row.kind in ("", kind) for role in (*ROLES, "nobody")
]


def _done(seat: Seat, row: expected.Row, officer: str, user: int) -> str:
    """The code that this officer gets, logged in as ``user``; nobody is, where there is no name."""
    seat.logout()
    if row.name in _LOGINS:
        return name(seat.login_user(officer or "nobody", _LOGINS[row.name]))
    way = Way(_set_own_pin) if row.name == _OWN_PIN else WAYS[row.name]
    good(seat.login_user(MAKER))
    ready = way.prepare(seat) if row.name != _OWN_PIN else officer or MAKER
    seat.logout()
    if officer:
        good(seat.login_user(officer, user))
    return name(way.act(seat, ready))


def _code(row: expected.Row, letter: str) -> str:
    return CODES[letter] if letter != "." else WAYS[row.name].gone


@pytest.mark.parametrize(("kind", "row", "role"), CELLS)
def test_what_each_role_gets(world: dict[str, Seat], kind: str, row: expected.Row, role: str) -> None:
    seat = world[kind]
    if role == "nobody":
        assert _done(seat, row, "", 0) == _code(row, row.nobody)
        return
    wanted = {scope: _code(row, row.letters[scope][ROLES.index(role)]) for scope in SCOPES}
    assert {scope: _done(seat, row, name_at(role, scope), user_type_of(role, scope)) for scope in SCOPES} == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_a_crypto_officer_in_an_so_session_is_what_a_policy_administrator_is(
    world: dict[str, Seat], kind: str
) -> None:
    """It has data actions on keys, which do not count there."""
    rows = [row for row in CALLS if row.kind in ("", kind) and row.name not in _LOGINS]
    wanted = {row.name: _code(row, row.letters["/"][ROLES.index("PA")]) for row in rows}
    assert {row.name: _done(world[kind], row, name_at("CO", "/"), ck.CKU_SO) for row in rows} == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["AD", "CU", "SE", "AU"])
def test_the_scope_keys_is_the_whole_partition(world: dict[str, Seat], kind: str, role: str) -> None:
    seat = world[kind]
    officer = seat.desk.officer(seat.new("officer"), (role, "/keys"))
    rows = [row for row in CALLS if row.kind in ("", kind)]
    wanted = {row.name: _code(row, row.letters["/"][ROLES.index(role)]) for row in rows}
    assert {row.name: _done(seat, row, officer, user_type_of(role, "/")) for row in rows} == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_a_role_here_and_another_there_give_no_third(world: dict[str, Seat], kind: str) -> None:
    """An Auditor or a Backup of everything, Crypto User of another key, gets with this one what the first gives."""
    seat = world[kind]
    rows = [row for row in CALLS if row.kind in ("", kind) and row.name not in _LOGINS]
    for role in ("AU", "BK"):
        officer = seat.desk.officer(seat.new("officer"), (role, "/"), ("CU", "/keys/elsewhere"))
        wanted = {row.name: _code(row, row.letters["/"][ROLES.index(role)]) for row in rows}
        assert {row.name: _done(seat, row, officer, ck.CKU_USER) for row in rows} == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_who_must_change_the_pin_is_nobody_until_then(world: dict[str, Seat], kind: str) -> None:
    """What has CKR_PIN_EXPIRED in its list answers that; the rest is as for nobody logged in."""
    seat = world[kind]
    officer = seat.desk.officer(seat.new("officer"), ("CU", "/"))
    rows = [row for row in CALLS if row.kind in ("", kind) and row.name not in (*_LOGINS, _OWN_PIN)]
    allowed = {row.name: {"CKR_PIN_EXPIRED", _code(row, row.nobody)} for row in rows}
    got = {}
    for row in rows:
        seat.desk.ask("officer-set-pin", name=officer, new_pin=pin_of(officer), must_change=True)
        try:
            got[row.name] = _done(seat, row, officer, ck.CKU_USER)
        except AssertionError as refused:  # what the way begins with
            got[row.name] = str(refused).partition("\n")[0]
    assert {name: code for name, code in got.items() if code not in allowed[name]} == {}
    assert got["sign"] == got["find a key"] == got["generate a key"] == "CKR_PIN_EXPIRED"
    seat.sit(officer)
    assert name(_set_own_pin(seat, officer)) == "CKR_PIN_INVALID"  # which is the one it was
    old, new = pin_of(officer).encode(), b"one of my own"
    good(seat.m.C_SetPIN(seat.s, old, len(old), new, len(new)))
    assert name(WAYS["sign"].act(seat, None)) == "CKR_OK"


def test_every_row_of_the_table_has_its_way() -> None:
    assert {row.name for row in CALLS} == set(WAYS) | set(_LOGINS) | {_OWN_PIN}


# -- the tables of data actions


def test_the_data_actions_and_who_has_them_are_those_of_microsofts_page() -> None:
    assert ACTIONS == expected.actions()


def test_the_built_in_roles_are_those_of_microsofts_page() -> None:
    held = expected.actions()
    assert len(BUILT_IN) == 9
    for role, (role_name, guid) in GUIDS.items():
        found = BUILT_IN[guid]
        assert (found.role_name, found.built_in, found.not_data_actions) == (role_name, True, ())
        assert set(found.data_actions) == found.permits == {action for action, roles in held.items() if role in roles}


# -- the one that destroys everything


@pytest.mark.parametrize("kind", KINDS)
def test_only_an_administrator_of_the_whole_partition_initialises_it_anew(world: dict[str, Seat], kind: str) -> None:
    m, desk = world["token"].m, world["token"].desk.another(kind)
    desk.with_each_role()
    label = m.bytes(b"again".ljust(32))

    def initialise(officer: str) -> str:
        pin = f"{officer}:{pin_of(officer)}".encode()
        return name(m.C_InitToken(desk.slot, pin, len(pin), label))

    refused = [name_at(role, scope) for scope in SCOPES for role in ROLES if (role, scope) != ("AD", "/")]
    assert {officer: initialise(officer) for officer in refused} == dict.fromkeys(refused, "CKR_PIN_INCORRECT")
    assert initialise(name_at("AD", "/")) == "CKR_OK"
