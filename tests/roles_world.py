"""A partition of each kind with an officer for every role at every scope, and keys of the name "this" for them.

Each role has three officers: with the role at /, at the name of the keys that are asked for, and at another's.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from role_expectations import GUIDS, ROLES, SCOPES

from hsm.client import Client, Refused
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

KINDS = ("token", "managed-hsm")
P256 = bytes.fromhex("06082a8648ce3d030107")
THIS, OTHER = b"this", b"other"
KWP, CBC, CMAC = ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_CBC, ck.CKM_AES_CMAC
TEXT, IV = b"sixteen bytes ok", bytes(16)
SECRET = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
MAKER = "maker"
NOT_INITIALIZED = "CKR_OPERATION_NOT_INITIALIZED"
_SO_ONLY = ("AD", "PA")
_NUMBERS = itertools.count()


def pin_of(officer: str) -> str:
    return f"pin-of-{officer}"


class Desk:
    """The command line's door, as one officer at a time."""

    def __init__(self, home: str, slot: int, so_pin: str) -> None:
        self.home, self.slot, self._so_pin = home, slot, so_pin

    def ask(self, act: str, officer: str = "so", **fields: Any) -> dict[str, Any]:
        """Without an officer where its name is empty."""
        if officer:
            fields |= {"as": officer, "pin": self._so_pin if officer == "so" else pin_of(officer)}
        with Client(self.home) as client:
            return client.ask(act, slot=self.slot, **fields)

    def try_it(self, act: str, officer: str, **fields: Any) -> int:
        try:
            self.ask(act, officer, **fields)
        except Refused as refused:
            return refused.rv
        return int(ck.CKR_OK)

    def officer(self, name: str, *roles: tuple[str, str]) -> str:
        """A new one, with roles (by their letters or names) at scopes."""
        self.ask("officer-create", name=name, new_pin=pin_of(name))
        for role, scope in roles:
            self.assign(name, role, scope)
        return name

    def assign(self, name: str, role: str, scope: str) -> str:
        role = GUIDS[role][1] if role in GUIDS else role
        made = self.ask("role-assignment-create", assignee=name, role=role, scope=scope)
        return str(made["assignment"]["name"])

    def with_each_role(self) -> None:
        for role, scope in itertools.product(ROLES, SCOPES):
            self.officer(name_at(role, scope), (role, scope))

    def another(self, kind: str) -> Desk:
        """That of another partition of the pool."""
        with Client(self.home) as client:
            pins = {"so_pin": self._so_pin, "pin": "the-user-pin"}
            # Rows destroy what others of the same name are for.
            made = client.ask("partition-create", kind=kind, label=kind, retention_days=0, **pins)
        return Desk(self.home, made["partition"]["slot"], self._so_pin)

    def clear(self) -> None:
        """Nobody is left but the SO, the user and the maker, and no custom role."""
        for officer in self.ask("officer-list")["officers"]:
            if officer["name"] not in ("so", "user", MAKER):
                self.ask("officer-delete", name=officer["name"])
        for definition in self.ask("role-definition-list", custom_role_only=True)["definitions"]:
            self.ask("role-definition-delete", role=definition["name"])

    def remove(self, assignment: str) -> None:
        self.ask("role-assignment-delete", name=assignment)


class Seat:
    """One R/W session on a partition, in which one officer after the other sits."""

    def __init__(self, m: Module, desk: Desk, kind: str) -> None:
        self.m, self.desk, self.kind, self.slot = m, desk, kind, desk.slot
        self.s = m.session(desk.slot)
        self.stale: dict[bytes, int] = {}

    def new(self, word: str = "new") -> str:
        return f"{word}-{next(_NUMBERS)}"

    def logout(self) -> None:
        assert self.m.C_Logout(self.s) in (ck.CKR_OK, ck.CKR_USER_NOT_LOGGED_IN)

    def login_user(self, officer: str, user: int = ck.CKU_USER) -> int:
        name, pin = officer.encode(), pin_of(officer).encode()
        return int(self.m.C_LoginUser(self.s, user, pin, len(pin), name, len(name)))

    def sit(self, officer: str, user: int = ck.CKU_USER) -> None:
        self.logout()
        good(self.login_user(officer, user))

    # -- what keys are called by, and where they are

    def handle(self, which: bytes) -> int:
        """The object with this CKA_ID; where no search finds it, what its handle was for its maker."""
        found = self.m.find(self.s, {ck.CKA_ID: which})
        return found[0] if found else self.stale[which]

    def wrapping(self, which: bytes = b"wrapping") -> int:
        """The same for a wrapping key, which an Administrator seeks by its label."""
        found = self.m.find(self.s, {ck.CKA_ID: which}) or self.m.find(self.s, {ck.CKA_LABEL: THIS})
        found = [h for h in found if self._class(h) == ck.CKO_SECRET_KEY]
        return found[0] if found else self.stale[which]

    def _class(self, handle: int) -> int:
        query, size = self.m.template({ck.CKA_CLASS: 0})
        rv = self.m.C_GetAttributeValue(self.s, handle, query, size)
        return int.from_bytes(ffi.buffer(query[0].pValue, 8), "little") if rv == ck.CKR_OK else -1

    def key(self, which: bytes, label: bytes = THIS, **more: Any) -> bytes:
        """A token key made by whoever sits here; no wrapping key unless that is said."""
        more = {"wrap": False, "unwrap": False, **more}
        self.stale[which] = self.m.aes(self.s, token=True, label=label, id=which, **more)
        return which

    def cipher(self, which: bytes, label: bytes = THIS) -> bytes:
        return self.key(which, label, sign=False, verify=False)

    def wrapper(self, which: bytes, label: bytes = THIS) -> bytes:
        return self.key(which, label, wrap=True, unwrap=True, encrypt=False, decrypt=False, sign=False, verify=False)

    def pair(self, which: bytes, number: int, public: Any, label: bytes = THIS, **private: Any) -> None:
        common = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label}
        private = {getattr(ck, f"CKA_{n.upper()}"): v for n, v in private.items()}
        rv, one, two = self.m.pair(
            self.s, number, {**common, **public, ck.CKA_ID: b"public " + which},
            {**common, **private, ck.CKA_ID: which})
        good(rv)
        self.stale[b"public " + which], self.stale[which] = one, two

    def blob(self, **more: Any) -> bytes:
        """A session key that has never been on the token, wrapped under the wrapping key of this name."""
        target = self.m.aes(self.s, extractable=True, **more)
        rv, blob = self.m.wrap(self.s, self.m.mechanism(KWP), self.handle(b"wrapping"), target)
        good(rv)
        return blob

    def peer_point(self) -> bytes:
        rv, one, _ = self.m.pair(self.s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {})
        good(rv)
        return self.m.read(self.s, one, ck.CKA_EC_POINT)

    def data(self, label: bytes, *, private: bool) -> tuple[int, int]:
        return self.m.create(self.s, {
            ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: private, ck.CKA_LABEL: label,
            ck.CKA_VALUE: os.urandom(8)})

    def make_keys(self) -> None:
        """By the maker, once."""
        self.sit(MAKER)
        self.cipher(b"cipher")
        self.cipher(b"another", OTHER)
        self.key(b"mac", encrypt=False, decrypt=False)
        self.wrapper(b"wrapping")
        if self.kind == "token":
            self.key(b"open", sensitive=False, extractable=True)
            self.key(b"target", extractable=True)
        self.pair(b"ec", ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256})
        self.pair(b"rsa", ck.CKM_RSA_PKCS_KEY_PAIR_GEN,
                  {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}, unwrap=False)


def name_at(role: str, scope: str) -> str:
    return f"{role}-{scope.rpartition('/')[2] or 'everywhere'}"


def user_type_of(role: str, scope: str) -> int:
    return int(ck.CKU_SO if scope == "/" and role in _SO_ONLY else ck.CKU_USER)


@contextmanager
def desks() -> Iterator[tuple[Module, dict[str, Desk]]]:
    """The library on a throw-away pool with a partition of each kind."""
    with ThrowAway() as token, pytest.MonkeyPatch.context() as environment:
        for name, value in token.environment.items():
            environment.setenv(name, value)
        found = {"token": Desk(token.home, 0, token.so_pin)}
        found["managed-hsm"] = found["token"].another("managed-hsm")
        with initialised(token.module) as m:
            m.C_GetSlotList(0, NULL, ffi.new("CK_ULONG*"))
            yield m, found


@contextmanager
def seats() -> Iterator[dict[str, Seat]]:
    """A seat at a partition of each kind, with an officer for each role at each scope."""
    with desks() as (m, found):
        made = {}
        for kind, desk in found.items():
            desk.officer(MAKER, ("CU", "/"))
            desk.with_each_role()
            made[kind] = Seat(m, desk, kind)
            made[kind].make_keys()
        yield made


Pool = tuple[Module, dict[str, Desk]]


@contextmanager
def pool_with_maker() -> Iterator[Pool]:
    """Partitions whose only officer, beside the standard's, makes keys for others."""
    with desks() as made:
        for desk in made[1].values():
            desk.officer(MAKER, ("CU", "/"))
        yield made


@contextmanager
def fresh_seat(pool: Pool, kind: str) -> Iterator[Seat]:
    """The maker sits there, with a fresh key "this" and one to wrap it with, "kek"; what was made meanwhile, keys,
    officers and roles, is gone afterwards."""
    m, found = pool
    seat = Seat(m, found[kind], kind)
    try:
        seat.sit(MAKER)
        seat.key(b"mac", encrypt=False, decrypt=False)
        seat.wrapper(b"kek", b"kek")
        yield seat
    finally:
        seat.sit(MAKER)
        for handle in m.find(seat.s, {ck.CKA_TOKEN: True}):
            good(m.C_DestroyObject(seat.s, handle))
        good(m.C_CloseSession(seat.s))
        seat.desk.clear()


def officer(seat: Seat, *roles: tuple[str, str]) -> str:
    """A new one, who sits down."""
    made = seat.desk.officer(seat.new("officer"), *roles)
    seat.sit(made)
    return made


def sign(seat: Seat, key: int) -> str:
    return name(seat.m.use("Sign", seat.s, seat.m.mechanism(CMAC), key, TEXT)[0])


def begun(seat: Seat, kind: str) -> None:
    """An operation in parts with the key "this", its first part done."""
    which = b"mac" if kind in ("Sign", "Verify") else b"cipher"
    mechanism = seat.m.mechanism(CMAC) if which == b"mac" else seat.m.mechanism(CBC, IV)
    good(getattr(seat.m, f"C_{kind}Init")(seat.s, mechanism, seat.handle(which)))
    assert part(seat, kind) == "CKR_OK"


def part(seat: Seat, kind: str) -> str:
    data = seat.m.bytes(bytes(32)), 32
    if kind in ("Sign", "Verify"):
        return name(getattr(seat.m, f"C_{kind}Update")(seat.s, *data))
    return name(seat.m.output(getattr(seat.m, f"C_{kind}Update"), seat.s, *data)[0])


def end(seat: Seat, kind: str) -> str:
    if kind == "Verify":
        return name(seat.m.C_VerifyFinal(seat.s, bytes(16), 16))
    return name(seat.m.output(getattr(seat.m, f"C_{kind}Final"), seat.s)[0])
