"""Officers beyond their role, and Administrators on their way to keys. SoftHSM2 has neither."""

from __future__ import annotations

import os
from collections.abc import Callable

from abi import NULL
from attacks.attack import SO_PIN, Held, Token, attack
from roles_world import Desk, pin_of

from hsm.client import Client, Refused
from pkcs11_shim import constants as ck

CHAPTER = "officers and Administrators"
AZURE = "Azure Managed HSM's roles"
CMAC, KWP = ck.CKM_AES_CMAC, ck.CKM_AES_KEY_WRAP_KWP
DESIGN = "Azure's own design, audited; --no-admin-recovery closes it"


class Place:
    """A partition with a key named "mine" and one named "theirs"; ``who`` is logged in where it says so."""

    def __init__(self, t: Token, **form: object) -> None:
        if "ADYTON_HOME" not in os.environ:
            raise Held("no officers here")
        home = os.environ["ADYTON_HOME"]
        with Client(home) as client:
            made = client.ask("partition-create", label="officers", so_pin=SO_PIN, pin="user-of-it", **form)
        self.t, self.m = t, t.m
        self.desk = Desk(home, made["partition"]["slot"], SO_PIN)
        self.s = t.m.session(self.desk.slot)
        t.ok(t.m.login(self.s, "user-of-it"), "C_Login")
        for label in (b"mine", b"theirs"):
            self.m.aes(self.s, token=True, label=label, id=label, sign=True, wrap=False, unwrap=False, extractable=True)
        self.m.C_Logout(self.s)

    def asks(self, act: str, officer: str = "so", **fields: object) -> dict[str, object]:
        try:
            return self.desk.ask(act, officer, **fields)
        except Refused as refused:
            raise Held(f"{act}: {refused.rv:#x}") from None

    def officer(self, name: str, role: str, scope: str = "/") -> str:
        return self.desk.officer(name, (role, scope))

    def sits(self, name: str, pin: str = "") -> None:
        pin = pin or pin_of(name)
        rv = self.m.C_LoginUser(self.s, ck.CKU_USER, pin.encode(), len(pin), name.encode(), len(name))
        self.t.ok(rv, "C_LoginUser")

    def signs(self, label: bytes) -> str | None:
        self.t.ok(self.m.C_FindObjectsInit(self.s, NULL, 0), "C_FindObjectsInit")
        self.t.ok(self.m.C_FindObjectsFinal(self.s), "C_FindObjectsFinal")
        found = self.m.find(self.s, {ck.CKA_LABEL: label})
        if not found:
            raise Held("the key is not found")
        self.t.ok(self.m.use("Sign", self.s, self.t.mech(CMAC), found[0], bytes(16))[0], "C_Sign")
        return f"a signature by the key {label.decode()}"


def administrator(form: dict[str, object], step: Callable[[Place], None], name: str) -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """The Administrator, who has no use of keys, takes one step, and uses a key."""
        place = Place(t, **form)
        step(place)
        place.sits(name, "taken-pin")
        return place.signs(b"theirs")

    return run


def _resets(place: Place) -> None:
    place.asks("officer-set-pin", name="user", new_pin="taken-pin")


def _assigns(place: Place) -> None:
    place.asks("officer-create", name="mole", new_pin="taken-pin")
    place.asks("role-assignment-create", assignee="mole", role="Managed HSM Crypto User", scope="/")


def _defines(place: Place) -> None:
    place.asks("officer-create", name="mole", new_pin="taken-pin")
    actions = [f"Microsoft.KeyVault/managedHsm/keys/{action}/action" for action in ("read", "sign")]
    definition = {"roleName": "helper", "permissions": [{"dataActions": actions}]}
    place.asks("role-definition-create", definition=definition)
    place.asks("role-assignment-create", assignee="mole", role="helper", scope="/")


def _widens(place: Place) -> None:
    """An officer who waits for nobody has a harmless role, which gets more later."""
    definition = {
        "roleName": "helper",
        "permissions": [{"dataActions": ["Microsoft.KeyVault/managedHsm/roleDefinitions/read/action"]}],
    }
    place.asks("role-definition-create", definition=definition)
    place.asks("officer-create", name="mole", new_pin="taken-pin")
    place.asks("role-assignment-create", assignee="mole", role="helper", scope="/")
    actions = [f"Microsoft.KeyVault/managedHsm/keys/{action}/action" for action in ("read", "sign")]
    wider = {**definition, "permissions": [{"dataActions": actions}]}
    place.asks("role-definition-update", definition=wider)


def _binds(place: Place) -> None:
    """An officer that is the Administrator's own user of the machine, and logs in without a PIN."""
    place.asks("officer-create", name="mole", uid=os.getuid())
    place.asks("role-assignment-create", assignee="mole", role="Managed HSM Crypto User", scope="/")
    rv = place.m.C_Login(place.s, ck.CKU_USER, NULL, 0)
    if rv != ck.CKR_OK:
        raise Held(f"C_Login: {rv:#x}")
    assert place.signs(b"theirs")
    place.m.C_Logout(place.s)
    place.asks("officer-set-pin", name="user", new_pin="taken-pin")


for _step, _name, _who in (
    (_resets, "resets-a-pin", "user"),
    (_assigns, "assigns-a-role", "mole"),
    (_defines, "defines-a-role", "mole"),
    (_widens, "widens-a-role", "mole"),
    (_binds, "binds-a-user", "user"),
):
    attack(CHAPTER, f"administrator-{_name}", DESIGN)(administrator({}, _step, _who))
    attack(CHAPTER, f"administrator-{_name}-without-recovery", AZURE)(
        administrator({"admin_recovery": False}, _step, _who)
    )


def beyond(role: str, act: Callable[[Place], str | None], scope: str = "/keys/mine") -> Callable[[Token], str | None]:
    def run(t: Token) -> str | None:
        """An officer does what its role, at its scope, does not give."""
        place = Place(t)
        place.officer("officer", role, scope)
        place.sits("officer")
        return act(place)

    return run


def _relabels(place: Place) -> str | None:
    item = place.m.find(place.s, {ck.CKA_LABEL: b"theirs"})
    if not item:
        raise Held("the key is not found")
    place.t.ok(place.m.change(place.s, item[0], {ck.CKA_LABEL: b"mine"}), "C_SetAttributeValue")
    return place.signs(b"mine")


def _carries_off(place: Place) -> str | None:
    """Into another key's name, by a copy on the token."""
    item = place.m.find(place.s, {ck.CKA_LABEL: b"mine"})
    rv, _ = place.m.copy(place.s, item[0], {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"other"})
    place.t.ok(rv, "C_CopyObject")
    return "a key in a name that the officer has no right to"


def _wraps_out(place: Place) -> str | None:
    item = place.m.find(place.s, {ck.CKA_LABEL: b"mine"})[0]
    kek = place.m.aes(place.s, wrap=True)
    place.t.ok(place.m.wrap(place.s, place.t.mech(KWP), kek, item)[0], "C_WrapKey")
    return "a token key, wrapped by an officer that may not back it up"


def _destroys(place: Place) -> str | None:
    item = place.m.find(place.s, {ck.CKA_LABEL: b"mine"})[0]
    place.t.ok(place.m.C_DestroyObject(place.s, item), "C_DestroyObject")
    return "a key, destroyed by an officer that may not"


def _trusts(place: Place) -> str | None:
    item = place.m.find(place.s, {ck.CKA_LABEL: b"mine"})[0]
    place.t.ok(place.m.change(place.s, item, {ck.CKA_TRUSTED: True}), "C_SetAttributeValue")
    return "a trusted key, without an Administrator"


def _assigns_itself(place: Place) -> str | None:
    place.asks("role-assignment-create", "officer", assignee="officer", role="Managed HSM Crypto User", scope="/")
    return "a role that an officer gave itself"


for _name, _role, _act, _scope in (
    ("auditor-signs", "AU", lambda place: place.signs(b"mine"), "/"),
    ("encryption-user-signs", "SE", lambda place: place.signs(b"mine"), "/keys/mine"),
    ("another-key-is-used", "CU", lambda place: place.signs(b"theirs"), "/keys/mine"),
    ("another-key-is-relabelled", "CU", _relabels, "/keys/mine"),
    ("a-key-is-carried-off", "SE", _carries_off, "/keys/mine"),
    ("a-key-is-wrapped-out", "SE", _wraps_out, "/keys/mine"),
    ("encryption-user-destroys", "SE", _destroys, "/keys/mine"),
    ("crypto-user-trusts", "CU", _trusts, "/"),
    ("crypto-user-assigns", "CU", _assigns_itself, "/"),
    ("backup-assigns", "BK", _assigns_itself, "/"),
):
    attack(CHAPTER, _name, AZURE)(beyond(_role, _act, _scope))


@attack(CHAPTER, "role-taken-away-in-the-midst", "DESIGN: a removed assignment ends what runs")
def _(t: Token) -> str | None:
    """A signature is begun under a role that is then taken away."""
    place = Place(t)
    place.desk.officer("officer")
    assignment = place.desk.assign("officer", "CU", "/keys/mine")
    place.sits("officer")
    key = place.m.find(place.s, {ck.CKA_LABEL: b"mine"})[0]
    t.ok(t.m.C_SignInit(place.s, t.mech(CMAC), key), "C_SignInit")
    place.desk.remove(assignment)
    t.ok(t.m.output(t.m.C_Sign, place.s, bytes(16), 16)[0], "C_Sign")
    return "a signature by a role that is gone"


@attack(CHAPTER, "disabled-officer-goes-on", AZURE)
def _(t: Token) -> str | None:
    """An officer is disabled while it is logged in, and goes on."""
    place = Place(t)
    place.officer("officer", "CU")
    place.sits("officer")
    place.asks("officer-update", name="officer", enabled=False)
    return place.signs(b"mine")


@attack(CHAPTER, "disabled-officer-logs-in", AZURE)
def _(t: Token) -> str | None:
    """A disabled officer logs in with its right PIN."""
    place = Place(t)
    place.officer("officer", "CU")
    place.asks("officer-update", name="officer", enabled=False)
    place.sits("officer")
    return "a login of a disabled officer"


@attack(CHAPTER, "deleted-officers-name-is-taken", AZURE)
def _(t: Token) -> str | None:
    """An officer is deleted, and another made with its name: it has the roles of the first."""
    place = Place(t)
    place.officer("officer", "CU")
    place.asks("officer-delete", name="officer")
    place.asks("officer-create", name="officer", new_pin=pin_of("officer"))
    place.sits("officer")
    return place.signs(b"mine")


@attack(CHAPTER, "must-change-is-passed-by", "PKCS#11 3.2, section 5.6.6")
def _(t: Token) -> str | None:
    """An officer that must set a new PIN uses a key with the old one."""
    place = Place(t)
    place.officer("officer", "CU")
    place.asks("officer-set-pin", name="officer", new_pin=pin_of("officer"), must_change=True)
    place.sits("officer")
    return place.signs(b"mine")


@attack(CHAPTER, "user-binding-of-another", "unix(7), SO_PEERCRED")
def _(t: Token) -> str | None:
    """A NULL PIN from a program whose user is bound to no officer."""
    place = Place(t)
    place.asks("officer-create", name="bound", uid=os.getuid() + 1)
    place.desk.assign("bound", "CU", "/")
    t.ok(t.m.C_Login(place.s, ck.CKU_USER, NULL, 0), "C_Login")
    return place.signs(b"mine")


@attack(CHAPTER, "approves-its-own-proposal", "two-person rule")
def _(t: Token) -> str | None:
    """Where two officers are needed, one does it all: proposes, and approves."""
    place = Place(t)
    place.officer("officer", "CU")
    place.officer("second", "AD")
    place.asks("partition-set", quorum=2, quorum_acts=["destroy"])
    place.sits("officer")
    key = place.m.find(place.s, {ck.CKA_LABEL: b"mine"})[0]
    t.m.C_DestroyObject(place.s, key)
    for proposal in place.asks("proposal-list", "officer")["proposals"]:  # type: ignore[attr-defined]
        place.asks("proposal-approve", "officer", name=proposal["id"])
    t.ok(t.m.C_DestroyObject(place.s, key), "C_DestroyObject")
    return "a key, destroyed by one officer where two are needed"
