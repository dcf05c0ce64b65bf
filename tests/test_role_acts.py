"""Every role, and nobody, by every act of the command line, by three scopes: each is done or refused.

What is expected was typed by hand (role_expectations.py); here is how each row is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from abi import name
from role_expectations import ACTS, GUIDS, PROPOSALS, ROLES, Row, rows
from roles_world import KINDS, MAKER, Desk, Seat, name_at, pin_of, seats

from hsm.access.roles import AZURE
from hsm.management.registry import ACTS as ACTS_THERE_ARE
from pkcs11_shim import constants as ck


@pytest.fixture(scope="module")
def world() -> Iterator[dict[str, Seat]]:
    with seats() as made:
        yield made


# The act, and what it asks for; "@" is what was made ready for it.
CUSTOM = {"roleName": "@", "description": "", "permissions": [{"dataActions": [f"{AZURE}/keys/verify/action"]}]}
DOINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "officer create": ("officer-create", {"name": "@", "new_pin": "some-pin"}),
    "officer list": ("officer-list", {}),
    "officer show": ("officer-show", {"name": MAKER}),
    "officer update": ("officer-update", {"name": MAKER, "enabled": True}),
    "officer delete": ("officer-delete", {"name": "@officer"}),
    "officer unlock": ("officer-unlock", {"name": MAKER}),
    "officer set-pin, another's": ("officer-set-pin", {"name": MAKER, "new_pin": pin_of(MAKER)}),
    "officer set-pin, one's own": ("officer-set-pin", {"name": "@self", "new_pin": "@pin"}),
    "role definition list": ("role-definition-list", {}),
    "role definition show": ("role-definition-show", {"role": "Managed HSM Backup"}),
    "role definition create": ("role-definition-create", {"definition": CUSTOM}),
    "role definition update": ("role-definition-update", {"role": "@definition", "definition": CUSTOM}),
    "role definition delete": ("role-definition-delete", {"role": "@definition"}),
    "role assignment list": ("role-assignment-list", {}),
    "role assignment list at this key": ("role-assignment-list", {"scope": "/keys/this"}),
    "role assignment create": ("role-assignment-create", {"scope": "/", "role": "@definition", "assignee": MAKER}),
    "role assignment create at this key": (
        "role-assignment-create", {"scope": "/keys/this", "role": "@definition", "assignee": MAKER}),
    "role assignment delete": ("role-assignment-delete", {"name": "@/"}),
    "role assignment delete at this key": ("role-assignment-delete", {"name": "@/keys/this", "scope": "/keys/this"}),
    "partition set": ("partition-set", {"legacy": False}),
    "partition delete": ("partition-delete", {}),
    "backup start": ("backup-start", {}),
    "key backup at this key": ("key-backup", {"name": "this"}),
    "key create at this key": ("key-create", {"name": "this", "kty": "none"}),
    "key import at this key": ("key-import", {"name": "this", "format": "pem"}),
    "key show at this key": ("key-show", {"name": "this"}),
    "key list-versions at this key": ("key-list-versions", {"name": "this"}),
    "key set-attributes at this key": ("key-set-attributes", {"name": "this", "tags": {"seen": "yes"}}),
    "key rotate at this key": ("key-rotate", {"name": "this", "version": 0}),
    "key rotation-policy show at this key": ("key-rotation-policy-show", {"name": "this"}),
    "key rotation-policy update at this key": (
        "key-rotation-policy-update", {"name": "this", "expiry_time": "never"}),
    "key delete at this key": ("key-delete", {"name": "this", "version": "all"}),
    "key show-deleted at this key": ("key-show-deleted", {"name": "this"}),
    "key recover at this key": ("key-recover", {"name": "this"}),
    "key purge at this key": ("key-purge", {"name": "this"}),
    "audit records": ("audit-records", {}),
    "audit export": ("audit-export", {}),
    "audit checkpoint": ("audit-checkpoint", {}),
    "audit key": ("audit-key", {}),
}
# That a session is open is looked at after who asks: so the pool outlives its deletion.
# No file comes with the export, which is looked at after that too, and there is no security domain to back up under.
YES = {
    "partition delete": "CKR_SESSION_EXISTS", "audit export": "CKR_ARGUMENTS_BAD",
    "backup start": "CKR_FUNCTION_REJECTED", "key backup at this key": "CKR_FUNCTION_REJECTED",
    # What is asked for is wrong, which is looked at after who asks: so the key stays as it is.
    **{f"key {act} at this key": "CKR_ARGUMENTS_BAD" for act in (
        "create", "import", "rotate", "rotation-policy update", "delete", "show-deleted", "recover", "purge")},
}
ROWS = rows(ACTS, last=0)


class Ready:
    """What an act is about, made for it by the SO and gone again afterwards."""

    def __init__(self, seat: Seat, officer: str) -> None:
        self.desk, self.officer, self.new = seat.desk, officer, seat.new("made")
        self._undo: list[tuple[str, dict[str, Any]]] = []

    def fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {field: self.fill(inner) for field, inner in value.items()}
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        return {"@": lambda: self.new, "@self": lambda: self.officer, "@pin": lambda: pin_of(self.officer)}.get(
            value, lambda: self._make(value[1:]))()

    def _make(self, what: str) -> str:
        if what == "officer":
            self._undo.append(("officer-delete", {"name": self.new}))
            return self.desk.officer(self.new)
        if what == "definition":
            definition = {**CUSTOM, "roleName": self.new}
            made = self.desk.ask("role-definition-create", definition=definition)["definition"]["name"]
            self._undo.append(("role-definition-delete", {"role": made}))
            return str(made)
        made = self.desk.assign(MAKER, "RS", what)
        self._undo.append(("role-assignment-delete", {"name": made}))
        return made

    def clear(self) -> None:
        for assignment in self.desk.ask("role-assignment-list", assignee=MAKER)["assignments"]:
            if assignment["roleName"] != GUIDS["CU"][0]:
                self.desk.remove(assignment["name"])
        for act, fields in reversed(self._undo):
            self.desk.try_it(act, "so", **fields)
        for definition in self.desk.ask("role-definition-list", custom_role_only=True)["definitions"]:
            self.desk.ask("role-definition-delete", role=definition["name"])


def _acted(seat: Seat, row: Row, officer: str) -> str:
    act, fields = DOINGS[row.name]
    ready = Ready(seat, officer)
    rv = seat.desk.try_it(act, officer, **ready.fill(fields))
    ready.clear()
    return name(rv)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_which_acts_of_the_command_line_each_role_does(world: dict[str, Seat], kind: str, row: Row) -> None:
    seat, yes = world[kind], YES.get(row.name, "CKR_OK")
    seat.sit(MAKER)
    wanted = {
        (role, scope): yes if letter == "X" else "CKR_ACTION_PROHIBITED"
        for scope, letters in row.letters.items() for role, letter in zip(ROLES, letters, strict=True)
    }
    assert {cell: _acted(seat, row, name_at(*cell)) for cell in wanted} == wanted
    # The pool's owner may ask for what is its own, which an Administrator has to agree to.
    nobodys = {"partition": "CKR_ACTION_PROHIBITED", "audit": yes}.get(row.name.split()[0], "CKR_USER_NOT_LOGGED_IN")
    assert _acted(seat, row, "") == nobodys


# -- proposals under a two-person rule

OF_A_PROPOSAL = {"X": "CKR_OK", "a": "CKR_ACTION_PROHIBITED", ".": "CKR_ARGUMENTS_BAD"}


@pytest.fixture(scope="module", params=KINDS)
def ruled(world: dict[str, Seat], request: pytest.FixtureRequest) -> Desk:
    """A partition with all officers, where what is done to roles takes two."""
    desk = world["token"].desk.another(request.param)
    desk.officer(MAKER)
    desk.with_each_role()
    desk.ask("partition-set", quorum=2, quorum_acts=["policy"])
    return desk


@pytest.mark.parametrize("row", rows(PROPOSALS, last=0), ids=lambda row: row.name)
def test_who_sees_and_approves_what_another_has_proposed(ruled: Desk, row: Row) -> None:
    act, at, _ = row.name.partition(" at this key")
    fields = {"assignee": MAKER, "role": "Managed HSM Backup", "scope": "/keys/this" if at else "/"}
    got, wanted = {}, {}
    for scope, letters in row.letters.items():
        for role, letter in zip(ROLES, letters, strict=True):
            assert ruled.try_it("role-assignment-create", "so", **fields) != ck.CKR_OK, "done by one officer"
            (proposed,) = ruled.ask("proposal-list")["proposals"]
            officer = name_at(role, scope)
            got[officer] = name(ruled.try_it(act.replace(" ", "-"), officer, name=proposed["id"]))
            wanted[officer] = OF_A_PROPOSAL[letter]
            ruled.try_it("proposal-reject", "so", name=proposed["id"])
    assert got == wanted
    assert ruled.ask("role-assignment-list", assignee=MAKER)["assignments"] == []


# Acts that ask for no role at first: the pool's owner's, anybody's, and any officer's with a copy of the partition key
# or a session at a terminal. The rest have rows.
ASK_NO_ROLE = {
    "partition-create", "partition-list", "init", "whoami", "login", "logout", "officer-waiting", "officer-approve",
    "partition-unattended", "partition-seal", "proposal-list", "partition-list-deleted", "partition-recover",
    "partition-purge", "clock-show", "clock-advance",
    # They ask every partition that there is (test_security_domain.py).
    "domain-show", "domain-download", "domain-transfer-key", "domain-upload", "domain-close", "officer-recover",
    # They tell what the officer may read, key by key (test_keys.py).
    "key-list", "key-list-deleted",
    # What backup-start has begun goes on without it; restoring asks what it replaces (test_backup.py).
    "backup-resume", "backup-chunk", "backup-finish", "backup-end", "restore-start", "restore-chunk", "restore-finish",
    "key-restore",
}


def test_every_act_has_a_row_and_every_row_is_done() -> None:
    assert {row.name for row in ROWS} == set(DOINGS)
    proposals = {row.name.partition(" at ")[0].replace(" ", "-") for row in rows(PROPOSALS, last=0)}
    assert set(ACTS_THERE_ARE) == {act for act, _ in DOINGS.values()} | proposals | ASK_NO_ROLE


@pytest.mark.parametrize("kind", KINDS)
def test_who_assigns_roles_at_one_key_assigns_none_beyond_it(world: dict[str, Seat], kind: str) -> None:
    """Neither to itself nor by another assignment's name, whatever scope the request pretends to be about."""
    desk, who = world[kind].desk, name_at("PA", "/keys/this")
    beyond = desk.assign(MAKER, "RS", "/")
    for scope in ("/", "/keys", "/keys/other", "/keys/thi", "/keys/this2"):
        fields = {"assignee": who, "role": "Managed HSM Crypto User", "scope": scope}
        assert name(desk.try_it("role-assignment-create", who, **fields)) == "CKR_ACTION_PROHIBITED", scope
        assert name(desk.try_it("role-assignment-list", who, scope=scope)) == "CKR_ACTION_PROHIBITED", scope
    for scope in ("/keys/this/", "/keys/this/0123456789abcdef0123456789abcdef", "/keys//this", "/keys/", "keys/this",
                  "/keys/this, /", "/secrets/this", "//", ""):
        fields = {"assignee": who, "role": "Managed HSM Crypto User", "scope": scope}
        assert name(desk.try_it("role-assignment-create", who, **fields)) == "CKR_ARGUMENTS_BAD", scope
    for more in ({}, {"scope": "/keys/this"}, {"scope": "/"}):
        assert desk.try_it("role-assignment-delete", who, name=beyond, **more) != ck.CKR_OK
    assert beyond in {assignment["name"] for assignment in desk.ask("role-assignment-list")["assignments"]}
    desk.remove(beyond)


@pytest.mark.parametrize("kind", KINDS)
def test_a_scope_is_the_same_in_capital_letters(world: dict[str, Seat], kind: str) -> None:
    """As keys' names are: there is no second assignment of the same, and it is found by either spelling."""
    desk, who = world[kind].desk, name_at("PA", "/keys/this")
    fields = {"assignee": who, "role": "Managed HSM Crypto User"}
    made = desk.ask("role-assignment-create", who, **fields, scope="/keys/this")["assignment"]["name"]
    assert name(desk.try_it("role-assignment-create", who, **fields, scope="/keys/THIS")) == "CKR_ARGUMENTS_BAD"
    listed = desk.ask("role-assignment-list", who, scope="/keys/THIS")["assignments"]
    assert made in {assignment["name"] for assignment in listed}
    assert {assignment["scope"] for assignment in listed} == {"/keys/this"}
    desk.ask("role-assignment-delete", who, name=made, scope="/keys/this")
