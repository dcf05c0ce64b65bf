"""The two-person rule, through the library and the command line's door: proposed by one, approved by another, carried
out once, for what was approved and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from officer_room import Officers

from hsm.client import Client, Refused
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

DENIED, NOT_OUT = "CKR_ACTION_PROHIBITED", "CKR_USER_NOT_LOGGED_IN"


@pytest.fixture
def officers(adyton_token: ThrowAway) -> Officers:
    """Under a rule for everything."""
    made = Officers(adyton_token)
    made.rule()
    return made


@pytest.fixture
def world(adyton_token: ThrowAway, officers: Officers) -> Iterator[World]:
    with initialised(adyton_token.module) as m:
        yield World(m, officers)


class World:
    """``user`` logged in, with a key that can be wrapped and one that wraps."""

    def __init__(self, m: Module, officers: Officers) -> None:
        self.m, self.officers = m, officers
        self.s = m.session()
        good(m.login(self.s, officers.pins["user"]))
        self.key = m.aes(self.s, token=True, label=b"key", extractable=True)
        self.over = m.aes(self.s, token=True, label=b"over")
        self.kwp = m.mechanism(ck.CKM_AES_KEY_WRAP_KWP)

    def destroy(self, key: int = 0) -> str:
        return name(self.m.C_DestroyObject(self.s, key or self.key))

    def wrap(self, key: int = 0, over: int = 0, mechanism: Any = None) -> tuple[str, bytes]:
        rv, blob = self.m.wrap(self.s, mechanism or self.kwp, over or self.over, key or self.key)
        return name(rv), blob

    def newest(self) -> str:
        """The id of the proposal that came last."""
        return str(max(self.officers.proposals("user"), key=lambda proposal: proposal["created"])["id"])

    def approved(self, act: Callable[[], object], approver: str = "carol") -> None:
        """The act is asked for, and what it became is approved."""
        act()
        self.officers.approve(approver, self.newest())

    def is_there(self, label: bytes = b"key") -> bool:
        return bool(self.m.find(self.s, {ck.CKA_LABEL: label}))


# -- keys


def test_a_key_is_destroyed_by_two(world: World) -> None:
    assert world.destroy() == DENIED and world.is_there()
    [told] = world.officers.proposals("carol")
    assert (told["act"], told["proposedBy"], told["approved"]) == ("C_DestroyObject", "user", False)
    assert told["scope"] == "/keys/key" and told["dataAction"].endswith("/keys/delete")
    assert told["request"]["key"]["label"] == "key"
    why = world.officers.refusals()[-1]
    assert (why["function"], why["rv"]) == ("C_DestroyObject", ck.CKR_ACTION_PROHIBITED)
    assert told["id"] in why["reason"] and "adyton proposal approve" in why["reason"]
    # Not by oneself, nor by who may not do it: an Administrator destroys no key.
    for officer in ("user", "eve", "so", "boss"):
        with pytest.raises(Refused) as refused:
            world.officers.approve(officer, told["id"])
        assert refused.value.rv == ck.CKR_ACTION_PROHIBITED, officer
    assert world.destroy() == DENIED and world.is_there()
    world.officers.approve("carol", told["id"])
    assert world.destroy() == "CKR_OK" and not world.is_there()
    assert world.officers.proposals("carol") == []


def test_an_approval_is_good_for_once(world: World) -> None:
    world.approved(world.wrap)
    code, blob = world.wrap()
    assert code == "CKR_OK" and len(blob) == 40
    assert world.wrap() == (NOT_OUT, b"")


def test_what_gives_nothing_out_uses_no_approval_up(world: World) -> None:
    world.approved(world.wrap)
    length = ffi.new("CK_ULONG*")
    good(world.m.C_WrapKey(world.s, world.kwp, world.over, world.key, NULL, length))
    assert length[0] == 40
    length[0] = 39
    assert name(world.m.C_WrapKey(world.s, world.kwp, world.over, world.key, world.m.bytes(bytes(39)), length)) == (
        "CKR_BUFFER_TOO_SMALL")
    assert world.wrap()[0] == "CKR_OK"


def test_asking_again_proposes_nothing_new(world: World) -> None:
    for _ in range(5):
        assert world.destroy() == DENIED
    assert len(world.officers.proposals("carol")) == 1


def test_session_keys_are_the_applications_own(world: World) -> None:
    m, s = world.m, world.s
    own = m.aes(s, extractable=True)
    assert world.wrap(own)[0] == "CKR_OK" and world.destroy(own) == "CKR_OK"
    public, _ = m.pair(
        s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_TOKEN: True, ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")},
        {ck.CKA_TOKEN: True})[1:]
    assert world.destroy(public) == "CKR_OK", "a public key is none of those that are destroyed by two"


@pytest.mark.parametrize("private", [True, False])
def test_a_copy_that_is_no_token_key_leaves_by_two_as_well(world: World, private: bool) -> None:
    """The value is the token key's, whatever carries it, and whether the key is private or not."""
    key = world.m.aes(world.s, token=True, label=b"copied", extractable=True, private=private)
    rv, copy = world.m.copy(world.s, key, {ck.CKA_TOKEN: False})
    good(rv)
    assert world.wrap(copy)[0] == NOT_OUT
    world.officers.approve("carol", world.newest())
    assert world.wrap(copy)[0] == "CKR_OK"


def test_a_copy_of_a_public_key_that_is_gone_leaves_by_two_as_well(adyton_token: ThrowAway) -> None:
    """Under a rule for leaving alone: its officer may destroy the key, and has its value all the same."""
    officers = Officers(adyton_token)
    officers.rule("export")
    with initialised(adyton_token.module) as m:
        world = World(m, officers)
        key = m.aes(world.s, token=True, label=b"open", private=False, extractable=True)
        rv, copy = m.copy(world.s, key, {ck.CKA_TOKEN: False})
        good(rv)
        rv, second = m.copy(world.s, copy, {})
        good(rv)
        good(m.C_DestroyObject(world.s, key))
        assert world.wrap(copy)[0] == world.wrap(second)[0] == NOT_OUT
        good(m.wrap(world.s, world.kwp, world.over, m.aes(world.s, extractable=True))[0])


def test_nobody_without_a_name_proposes(world: World) -> None:
    """A key that is not private is destroyed and wrapped by anybody, but for the rule."""
    key = world.m.aes(world.s, token=True, label=b"open", extractable=True, private=False)
    over = world.m.aes(world.s, label=b"over", private=False)
    good(world.m.C_Logout(world.s))
    assert world.destroy(key) == DENIED and world.wrap(key, over)[0] == NOT_OUT
    assert world.officers.proposals("carol") == []


# -- what an approval is for


def test_an_approval_is_for_the_key_as_it_was(world: World) -> None:
    m, s = world.m, world.s
    world.approved(world.destroy)
    good(m.change(s, world.key, {ck.CKA_LABEL: b"another"}))
    assert world.destroy() == DENIED, "relabelled"
    good(m.change(s, world.key, {ck.CKA_LABEL: b"key"}))
    assert world.destroy() == "CKR_OK", "as it was once more"
    again = m.aes(s, token=True, label=b"key")
    assert world.destroy(again) == DENIED, "another key of that name"


def test_a_first_use_makes_no_other_key(world: World) -> None:
    world.approved(lambda: world.destroy(world.over))
    good(world.m.use("Encrypt", world.s, world.m.mechanism(ck.CKM_AES_ECB), world.over, bytes(16))[0])
    assert world.destroy(world.over) == "CKR_OK"


def test_an_approval_is_for_this_wrapping_and_no_other(world: World) -> None:
    m, s = world.m, world.s
    other = m.aes(s, token=True, label=b"key2", extractable=True)
    elsewhere = m.aes(s, token=True, label=b"over2")
    world.approved(world.wrap)
    assert world.wrap(other)[0] == NOT_OUT
    assert world.wrap(over=elsewhere)[0] == NOT_OUT
    assert world.wrap(mechanism=m.mechanism(ck.CKM_AES_KEY_WRAP))[0] == NOT_OUT
    assert world.destroy() == DENIED, "an approved export destroys nothing"
    assert world.wrap()[0] == "CKR_OK"


def test_an_approval_is_for_who_proposed_it(world: World) -> None:
    """Not for who approved it, in the same session or another; and a logout in between takes nothing from it."""
    m, s = world.m, world.s
    world.approved(world.destroy)
    good(m.C_Logout(s))
    good(m.C_LoginUser(s, ck.CKU_USER, b"carol-pin-1", 11, b"carol", 5))
    [key] = m.find(s, {ck.CKA_LABEL: b"key"})
    assert world.destroy(key) == DENIED
    good(m.C_Logout(s))
    good(m.login(s, world.officers.pins["user"]))
    [key] = m.find(s, {ck.CKA_LABEL: b"key"})
    assert world.destroy(key) == "CKR_OK"


def test_two_who_propose_the_same_approve_each_others(world: World) -> None:
    """Each a proposal of its own, of which one comes to nothing."""
    world.destroy()
    mine = world.newest()
    m, s = world.m, world.s
    good(m.C_Logout(s))
    good(m.C_LoginUser(s, ck.CKU_USER, b"carol-pin-1", 11, b"carol", 5))
    [key] = m.find(s, {ck.CKA_LABEL: b"key"})
    assert world.destroy(key) == DENIED
    world.officers.approve("user", world.newest())
    assert world.destroy(key) == "CKR_OK"
    assert [proposal["id"] for proposal in world.officers.proposals("carol")] == [mine]


# -- who may not act any more


def _disable(officers: Officers, officer: str, *, on: bool = False) -> None:
    _by_two(officers, "officer-update", name=officer, enabled=on)


def _by_two(officers: Officers, act: str, **fields: Any) -> dict[str, Any]:
    officers.approve("boss", officers.proposed("so", act, **fields))
    return officers.ask("so", act, **fields)


def test_who_approved_is_disabled_and_the_approval_void_for_ever(world: World) -> None:
    world.approved(world.destroy)
    void = world.newest()
    _disable(world.officers, "carol")
    assert world.destroy() == DENIED
    _disable(world.officers, "carol", on=True)
    assert world.destroy() == DENIED and world.newest() != void
    with pytest.raises(Refused, match="no proposal begins"):
        world.officers.approve("carol", void)


def test_who_approved_loses_the_role(world: World) -> None:
    world.approved(world.destroy)
    _by_two(world.officers, "role-assignment-delete", assignee="carol", role="Crypto User", scope="/")
    assert world.destroy() == DENIED


def test_who_proposed_is_disabled_or_another_officer_of_that_name(world: World) -> None:
    officers = world.officers
    proposal = officers.proposed("boss", "officer-create", name="dan", new_pin="dan-pin-1")
    officers.approve("so", proposal)
    officers.pins["third"] = "third-pin-1"
    _by_two(officers, "officer-create", name="third", new_pin="third-pin-1")
    _by_two(officers, "role-assignment-create", assignee="third", role="Administrator", scope="/")
    _by_two(officers, "officer-delete", name="boss")
    for act in (
        {"act": "officer-create", "name": "boss", "new_pin": "boss-pin-1"},
        {"act": "role-assignment-create", "assignee": "boss", "role": "Administrator", "scope": "/"},
    ):
        officers.approve("third", officers.proposed("so", **act))
        officers.ask("so", **act)
    assert officers.proposed("boss", "officer-create", name="dan", new_pin="dan-pin-1") != proposal


def test_a_subject_that_became_another_is_not_what_was_approved(officers: Officers) -> None:
    officers.approve("boss", officers.proposed("so", "officer-delete", name="eve"))
    disabled = {"act": "officer-update", "name": "eve", "enabled": False}
    officers.approve("so", officers.proposed("boss", **disabled))
    officers.ask("boss", **disabled)
    officers.proposed("so", "officer-delete", name="eve")
    role = {"roleName": "Signer", "permissions": [{"dataActions": ["Microsoft.KeyVault/managedHsm/keys/sign/action"]}]}
    _by_two(officers, "role-definition-create", definition=role)
    assign = {"assignee": "eve", "role": "Signer", "scope": "/keys/k"}
    officers.approve("boss", officers.proposed("so", "role-assignment-create", **assign))
    role["permissions"] = [{"dataActions": ["Microsoft.KeyVault/managedHsm/keys/*"]}]
    _by_two(officers, "role-definition-update", definition=role)
    officers.proposed("so", "role-assignment-create", **assign)


# -- policy

_POLICY: list[dict[str, Any]] = [
    {"act": "officer-create", "name": "dan", "new_pin": "dan-pin-1"},
    {"act": "officer-create", "name": "daemon", "uid": 4242},
    {"act": "officer-update", "name": "eve", "enabled": False},
    {"act": "officer-delete", "name": "eve"},
    {"act": "officer-set-pin", "name": "carol", "new_pin": "another-pin"},
    {"act": "officer-unlock", "name": "carol"},
    {"act": "role-assignment-create", "assignee": "eve", "role": "Crypto User", "scope": "/keys/one"},
    {"act": "role-assignment-delete", "assignee": "carol", "role": "Crypto User", "scope": "/"},
    {"act": "role-definition-create", "definition": {"roleName": "R", "dataActions": ["Microsoft.KeyVault/*"]}},
    {"act": "partition-set", "legacy": True},
    {"act": "partition-set", "quorum": 0},
    {"act": "partition-set", "quorum_expiry": 1},
    {"act": "partition-unattended", "key_file": "/nowhere/at/all"},
    {"act": "partition-delete"},
]


@pytest.mark.parametrize("act", _POLICY, ids=lambda act: " ".join(act))
def test_policy_is_changed_by_two(officers: Officers, act: dict[str, Any]) -> None:
    before = _state(officers)
    proposal = officers.proposed("so", **act)
    assert officers.proposed("so", **act) == proposal
    with pytest.raises(Refused, match="his own proposal"):
        officers.approve("so", proposal)
    for officer in ("user", "carol", "eve"):  # who approves must hold what it asks for
        if not act["act"].startswith("role-") or officer != "user":
            with pytest.raises(Refused):
                officers.approve(officer, proposal)
    assert _state(officers) == before
    told = officers.ask("boss", "proposal-show", name=proposal[:8])["proposal"]
    assert told["act"] == act["act"] and "pin-1" not in str(told) and "another-pin" not in str(told)
    officers.approve("boss", proposal)
    if act.get("key_file"):
        with pytest.raises(Refused, match="key file"):
            officers.ask("so", **act)
        assert officers.proposals()[0]["approved"], "an act that failed has used no approval up"
        return
    officers.ask("so", **act)
    if act["act"] != "partition-delete":
        assert officers.proposals() == []


def _state(officers: Officers) -> Any:
    with Client(os.environ["ADYTON_HOME"]) as client:
        told = client.ask("status")["partitions"]
    told[0]["quorum"].pop("proposals")
    return told, *(officers.ask("so", act) for act in ("officer-list", "role-assignment-list", "role-definition-list"))


def test_ones_own_pin_is_ones_own_matter(officers: Officers) -> None:
    officers.ask("eve", "officer-set-pin", name="eve", new_pin="eves-new-pin")
    officers.pins["eve"] = "eves-new-pin"
    assert officers.proposals("eve") == []


def test_the_so_takes_nobodys_place_by_a_new_pin(world: World) -> None:
    m, s = world.m, world.s
    good(m.C_Logout(s))
    good(m.login(s, world.officers.pins["so"], ck.CKU_SO))
    assert name(m.C_InitPIN(s, b"mine-now-1", 10)) == "CKR_FUNCTION_FAILED"
    [told] = world.officers.proposals()
    assert (told["act"], told["request"]["name"]) == ("C_InitPIN", "user")
    world.officers.approve("boss", told["id"])
    good(m.C_InitPIN(s, b"mine-now-1", 10))
    assert name(m.C_InitPIN(s, b"mine-now-2", 10)) == "CKR_FUNCTION_FAILED"


def test_who_owns_the_pool_is_not_left_alone_with_it_by_locking_the_others_out(officers: Officers) -> None:
    for officer in ("so", "boss"):
        right, officers.pins[officer] = officers.pins[officer], "wrong-pin-1"
        for _ in range(10):
            with pytest.raises(Refused):
                officers.ask(officer, "officer-list")
        officers.pins[officer] = right
    for act in ({"act": "partition-set", "quorum": 0}, {"act": "partition-delete"}):
        with pytest.raises(Refused, match="takes 2 officers"):
            officers.ask("", **act)
        with pytest.raises(Refused):
            officers.ask("carol", **act)


def test_two_administrators_stay(officers: Officers) -> None:
    for act in (
        {"act": "officer-delete", "name": "boss"}, {"act": "officer-update", "name": "boss", "enabled": False},
        {"act": "role-assignment-delete", "assignee": "boss", "role": "Administrator", "scope": "/"},
    ):
        officers.approve("boss", officers.proposed("so", **act))
        with pytest.raises(Refused, match="takes 2 officers, and that would leave 1"):
            officers.ask("so", **act)


# -- the rule


def test_a_rule_sleeps_until_there_are_two_and_never_again(adyton_token: ThrowAway) -> None:
    with Client(adyton_token.home) as client:
        so = {"slot": 0, "as": "so", "pin": adyton_token.so_pin}
        told = client.ask("partition-set", **so, quorum=2)["partition"]["quorum"]
        assert told == {
            "officers": 2, "acts": ["destroy", "export", "policy"], "expiryHours": 24, "awake": False, "proposals": 0}
    officers = Officers.__new__(Officers)
    officers.pins, officers.slot = {"so": adyton_token.so_pin, "boss": "boss-pin-1"}, 0
    officers.ask("so", "officer-create", name="boss", new_pin="boss-pin-1")
    officers.ask("so", "role-assignment-create", assignee="boss", role="Administrator", scope="/")
    # Whoever made a second one has a second one: neither gets rid of the other, nor of the rule, alone.
    for act in ({"act": "officer-delete", "name": "boss"}, {"act": "partition-set", "quorum": 0}):
        officers.proposed("so", **act)


def test_a_partition_is_made_under_a_rule(adyton_token: ThrowAway) -> None:
    with Client(adyton_token.home) as client:
        made = client.ask(
            "partition-create", label="two", so_pin="so-pin-1", pin="user-pin-1", quorum=2, quorum_acts=["destroy"],
            quorum_expiry=1,
        )["partition"]
        assert made["quorum"] == {
            "officers": 2, "acts": ["destroy"], "expiryHours": 1, "awake": False, "proposals": 0}


@pytest.mark.parametrize("fields", [
    {"quorum": 1}, {"quorum": -2}, {"quorum": 9}, {"quorum": 2, "quorum_acts": []}, {"quorum": True},
    {"quorum": 2, "quorum_acts": ["all"]}, {"quorum": 2, "quorum_expiry": 0}, {"quorum": 2, "quorum_expiry": 8761},
    {"quorum_acts": ["destroy"]}, {},
], ids=str)
def test_what_is_no_rule(adyton_token: ThrowAway, fields: dict[str, Any]) -> None:
    with Client(adyton_token.home) as client, pytest.raises(Refused) as refused:
        client.ask("partition-set", slot=0, **{"as": "so", "pin": adyton_token.so_pin}, **fields)
    assert refused.value.rv == ck.CKR_ARGUMENTS_BAD


def test_a_rule_is_for_what_it_says(adyton_token: ThrowAway) -> None:
    officers = Officers(adyton_token)
    officers.rule("export")
    with initialised(adyton_token.module) as m:
        world = World(m, officers)
        assert world.wrap()[0] == NOT_OUT and world.destroy() == "CKR_OK"
    officers.ask("so", "officer-unlock", name="eve")
    # The rule itself is under any rule, and with it goes what was proposed under it.
    officers.approve("boss", officers.proposed("so", "partition-set", quorum=0))
    assert officers.ask("so", "partition-set", quorum=0)["partition"]["quorum"] is None
    officers.rule("export")
    assert officers.proposals("carol") == []


def test_more_than_two(adyton_token: ThrowAway) -> None:
    officers = Officers(adyton_token)
    officers.ask("so", "role-assignment-create", assignee="carol", role="Administrator", scope="/")
    officers.ask("so", "partition-set", quorum=3)
    proposal = officers.proposed("so", "officer-delete", name="eve")
    officers.approve("boss", proposal)
    with pytest.raises(Refused, match="already"):
        officers.approve("boss", proposal)
    assert officers.proposed("so", "officer-delete", name="eve") == proposal
    officers.approve("carol", proposal)
    officers.ask("so", "officer-delete", name="eve")


def test_a_rule_of_more_than_there_are_is_no_rule(officers: Officers) -> None:
    officers.approve("boss", officers.proposed("so", "partition-set", quorum=3))
    with pytest.raises(Refused, match="there are 2 Administrators"):
        officers.ask("so", "partition-set", quorum=3)


# -- the token


def test_a_token_is_initialised_by_two(world: World) -> None:
    m, pin, label = world.m, world.officers.pins["so"].encode(), b"fresh".ljust(32)
    good(m.C_CloseAllSessions(0))
    assert name(m.C_InitToken(0, pin, len(pin), label)) == "CKR_FUNCTION_FAILED"
    [told] = world.officers.proposals()
    assert told["request"] == {"label": "fresh"}
    world.officers.approve("boss", told["id"])
    other = b"other".ljust(32)
    assert name(m.C_InitToken(0, pin, len(pin), other)) == "CKR_FUNCTION_FAILED", "another label"
    good(m.C_InitToken(0, pin, len(pin), label))
    # The rule stays and sleeps; nothing that was proposed or approved before is there any more.
    assert world.officers.proposals() == []
    with Client(os.environ["ADYTON_HOME"]) as client:
        assert client.ask("status")["partitions"][0]["quorum"]["awake"] is False
    good(m.C_InitToken(0, pin, len(pin), label))


# -- looking at proposals


def test_who_sees_proposals_and_who_rejects_them(world: World) -> None:
    officers = world.officers
    world.destroy()
    proposal = world.newest()
    officers.ask("so", "officer-list")
    seen = {officer for officer in officers.pins if officers.proposals(officer)}
    assert seen == {"so", "boss", "user", "carol", "eve"}
    for officer in ("so", "eve"):
        with pytest.raises(Refused, match="no role assignment"):
            officers.ask(officer, "proposal-reject", name=proposal)
    assert officers.ask("carol", "proposal-reject", name=proposal)["proposal"]["id"] == proposal
    assert world.destroy() == DENIED and world.newest() != proposal
    officers.ask("user", "proposal-reject", name=world.newest())
    assert officers.proposals("user") == []
    with pytest.raises(Refused, match="no proposal begins with"):
        officers.ask("so", "proposal-show", name=proposal)


def test_an_officer_of_one_key_sees_and_approves_what_is_asked_of_that(world: World) -> None:
    officers = world.officers
    officers.pins["dan"] = "dan-pin-1"
    _by_two(officers, "officer-create", name="dan", new_pin="dan-pin-1")
    _by_two(officers, "role-assignment-create", assignee="dan", role="Crypto User", scope="/keys/key")
    world.destroy()
    mine = world.newest()
    world.destroy(world.over)
    assert [proposal["id"] for proposal in officers.proposals("dan")] == [mine]
    with pytest.raises(Refused, match="no proposal begins with"):
        officers.approve("dan", world.newest())
    officers.approve("dan", mine)
    assert world.destroy() == "CKR_OK"


# -- races


def test_of_many_who_repeat_an_approved_call_one_gets_it(world: World, adyton_token: ThrowAway) -> None:
    m = world.m
    sessions = [m.session() for _ in range(8)]
    start, found = threading.Barrier(len(sessions)), list[str]()

    def ask(session: int) -> None:
        kwp = m.mechanism(ck.CKM_AES_KEY_WRAP_KWP)
        start.wait()
        found.append(name(m.wrap(session, kwp, world.over, world.key)[0]))

    for _ in range(5):
        world.approved(world.wrap)
        found.clear()
        threads = [threading.Thread(target=ask, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == ["CKR_OK"] + [NOT_OUT] * (len(sessions) - 1)
        late = world.officers.proposals("carol")  # what the others have made, if any came so late: the same one
        assert len(late) <= 1
        for proposal in late:
            world.officers.ask("carol", "proposal-reject", name=proposal["id"])


def test_of_many_who_repeat_an_approved_act_one_gets_it(officers: Officers) -> None:
    start, found = threading.Barrier(6), list[str]()

    def ask() -> None:
        start.wait()
        try:
            officers.ask("so", "officer-unlock", name="eve")
            found.append("done")
        except Refused as refusal:
            found.append(name(refusal.rv))

    for _ in range(5):
        officers.approve("boss", officers.proposed("so", "officer-unlock", name="eve"))
        found.clear()
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [DENIED] * 5 + ["done"]
        for proposal in officers.proposals():
            officers.ask("so", "proposal-reject", name=proposal["id"])
