"""Officers of chance do things of chance with two keys: whatever they find, one never uses a value whose names are all
out of its scope, nor carries one there. The model is small: which names a value has had by somebody's right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roles_world import CMAC, KWP, SECRET, TEXT, Pool, Seat, fresh_seat, pool_with_maker

from pkcs11_shim import constants as ck

NAMES = ("a", "b")
# Roles, and what of reading, signing, backing up and making they give.
GIVES = {
    "AU": {"read"}, "SE": {"read"}, "BK": {"backup"}, "CU": {"read", "sign", "backup", "make"},
    "maker of keys": {"make"},
}
MAKES = ["keys/create", "keys/import/action"]
EVERYBODY = "*"  # the name of what is not private
roles = st.lists(st.tuples(st.sampled_from(sorted(GIVES)), st.sampled_from(NAMES)), min_size=1, max_size=3, unique=True)
number = st.integers(0, 7)
step = st.one_of(
    st.tuples(st.just("sit"), number),
    st.tuples(st.just("copy"), number, st.booleans(), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("unwrap"), number, st.booleans(), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("wrap"), number),
    st.tuples(st.just("relabel"), number, st.sampled_from(NAMES)),
    st.tuples(st.just("destroy"), number),
    st.tuples(st.just("sign"), number),
)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with pool_with_maker() as made:
        yield made


class Model:
    def __init__(self, seat: Seat, officers: list[list[tuple[str, str]]]) -> None:
        self.seat, self.m = seat, seat.m
        self.names: list[set[str]] = []  # of each value
        self.objects: list[tuple[int, int, bytes, bool]] = []  # value, handle when made, CKA_ID, private
        self.blobs: list[tuple[int, bytes]] = []
        made = {"roleName": "maker of keys", "permissions": [
            {"dataActions": [f"Microsoft.KeyVault/managedHsm/{action}" for action in MAKES]}]}
        seat.desk.ask("role-definition-create", definition=made)
        for name in NAMES:
            which = seat.key(name.encode(), name.encode(), extractable=True, encrypt=False, decrypt=False)
            self.names.append({name})
            self.objects.append((len(self.names) - 1, seat.stale[which], which, True))
            self.wrap(len(self.objects) - 1, by_maker=True)
        self.officers = [
            (seat.desk.officer(seat.new("officer"), ("SE", "/keys/kek"), *((r, f"/keys/{n}") for r, n in held)), held)
            for held in officers
        ]
        self.sit(0)

    def may(self, what: str, value: int) -> bool:
        """Whether who sits here has that on any name of the value."""
        return any(what in GIVES[role] for role, name in self.held if name in self.names[value])

    def sit(self, at: int) -> None:
        who, self.held = self.officers[at % len(self.officers)]
        self.seat.sit(who)

    def handle(self, at: int) -> tuple[int, int]:
        value, handle, which, private = self.objects[at % len(self.objects)]
        found = self.m.find(self.seat.s, {ck.CKA_ID: which})
        if self.m.find(self.seat.s, {ck.CKA_ID: which, ck.CKA_TOKEN: True}) and private:
            assert self.may("read", value), "found, and not to be read"
        return value, found[0] if found else handle

    def came(self, rv: int, value: int, handle: int, which: bytes, private: bool, kept: str) -> None:
        """A new object of the value; ``kept``: the name it has on the token from now on."""
        if rv != ck.CKR_OK:
            return
        kept = kept if private or not kept else EVERYBODY
        if kept and kept not in self.names[value]:
            assert self.may("backup", value), f"carried to {kept}, which takes a right to back up"
            self.names[value].add(kept)
        self.objects.append((value, handle, which, private))

    def copy(self, at: int, token: bool, label: str, _: Any) -> None:
        value, handle = self.handle(at)
        which = self.seat.new("copy").encode()
        rows = {ck.CKA_TOKEN: token, ck.CKA_LABEL: label.encode(), ck.CKA_ID: which}
        rv, made = self.m.copy(self.seat.s, handle, rows)
        private = self.objects[at % len(self.objects)][3]
        self.came(rv, value, made, which, private, label if token else "")

    def unwrap(self, at: int, token: bool, label: str, private: bool) -> None:
        value, blob = self.blobs[at % len(self.blobs)]
        which = self.seat.new("opened").encode()
        rows = {**SECRET, ck.CKA_TOKEN: token, ck.CKA_LABEL: label.encode(), ck.CKA_PRIVATE: private, ck.CKA_ID: which,
                ck.CKA_ENCRYPT: False, ck.CKA_DECRYPT: False}
        kek = self.m.find(self.seat.s, {ck.CKA_ID: b"kek"})[0]
        rv, made = self.m.unwrap(self.seat.s, self.m.mechanism(KWP), kek, blob, rows)
        self.came(rv, value, made, which, private, label if token else "")

    def wrap(self, at: int, by_maker: bool = False) -> None:
        value, handle = self.handle(at) if not by_maker else self.objects[at][:2]
        kek = self.m.find(self.seat.s, {ck.CKA_ID: b"kek"})[0]
        rv, blob = self.m.wrap(self.seat.s, self.m.mechanism(KWP), kek, handle)
        if rv == ck.CKR_OK:
            assert by_maker or self.may("backup", value) or EVERYBODY in self.names[value], "wrapped, and not to be"
            self.blobs.append((value, blob))

    def relabel(self, at: int, label: str) -> None:
        self.m.change(self.seat.s, self.handle(at)[1], {ck.CKA_LABEL: label.encode()})

    def destroy(self, at: int) -> None:
        self.m.C_DestroyObject(self.seat.s, self.handle(at)[1])

    def sign(self, at: int) -> None:
        value, handle = self.handle(at)
        rv, _ = self.m.use("Sign", self.seat.s, self.m.mechanism(CMAC), handle, TEXT)
        if rv == ck.CKR_OK:
            assert self.may("sign", value) or EVERYBODY in self.names[value], "signed, and not to be"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(officers=st.lists(roles, min_size=2, max_size=3), steps=st.lists(step, min_size=5, max_size=30))
def test_no_walk_ends_outside_its_scope(
    pool: Pool, officers: list[list[tuple[str, str]]], steps: list[tuple[Any, ...]]
) -> None:
    with fresh_seat(pool, "token") as seat:
        model = Model(seat, officers)
        for what, *arguments in steps:
            getattr(model, what)(*arguments)
            for value, handle, _, _ in model.objects:
                rv, _ = seat.m.use("Sign", seat.s, seat.m.mechanism(CMAC), handle, TEXT)
                if rv == ck.CKR_OK:
                    assert model.may("sign", value) or EVERYBODY in model.names[value], (what, arguments)
