"""What is kept of the two-person rule: proposals through restarts, crashes, a moved clock and harm, in the engine's
rooms."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import good, initialised, name
from engine_room import CHEAP, KWP, SO, USER, YES, DiskPool, Mech, Room, cheap_pins, crashes_at, refused

from hsm import clock
from hsm.access import quorum
from hsm.client import MODULE, connect
from hsm.cryptoki import general, keys
from hsm.errors import TokenError
from hsm.management import registry
from hsm.management.acts import Caller
from hsm.store.sqlite import Store
from pkcs11_shim import constants as ck

PIN = "officer-pin-1"


@pytest.fixture(autouse=True)
def cheap() -> Iterator[None]:
    with cheap_pins():
        yield


def act(room: Room, officer: str, what: str, /, **fields: Any) -> dict[str, Any]:
    return dict(registry.perform(registry.ACTS[what], Caller(room.pool, room.app, room.partition, officer), fields))


def governed(room: Room) -> int:
    """``user`` logged in, two Administrators and another who uses keys, and a rule for everything; returns a key."""
    room.with_user()
    for officer, role in (("boss", "Administrator"), ("carol", "Crypto User")):
        act(room, "so", "officer-create", name=officer, new_pin=PIN)
        act(room, "so", "role-assignment-create", assignee=officer, role=role, scope="/")
    act(room, "so", "partition-set", quorum=2, quorum_expiry=2)
    return room.aes(b"key", extractable=YES)


def propose(room: Room, key: int) -> str:
    with refused(ck.CKR_ACTION_PROHIBITED):
        room.destroy(key)
    return next(reversed(room.partition.quorum.proposals))


def test_proposals_and_approvals_outlive_the_engine(tmp_path: Path) -> None:
    with Room(tmp_path) as room:
        proposal = propose(room, governed(room))
    with Room(tmp_path) as room:
        room.login()
        room.app.end_login(room.partition)
        act(room, "carol", "proposal-approve", name=proposal)
    with Room(tmp_path) as room:
        assert room.pool.store.damage == {} and room.partition.quorum.rule.awake
        room.login()
        [key] = room.find(b"key")
        room.destroy(key)
        assert room.find(b"key") == []
    with Room(tmp_path) as room:
        assert room.partition.quorum.proposals == {} and room.pool.store.damage == {}


def test_engines_are_killed_between_proposing_approving_and_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real ones, each started by the library; and all that was done is in the log."""
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with Room(pool.home) as room:
        governed(room)
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))

    def destroy() -> str:
        with initialised(str(MODULE)) as m:
            session = m.session()
            good(m.login(session, USER.decode()))
            [key] = m.find(session, {ck.CKA_LABEL: b"key"})
            return name(m.C_DestroyObject(session, key))

    assert destroy() == "CKR_ACTION_PROHIBITED"
    pool.kill()
    with connect(start=True) as client:
        carol = {"slot": 0, "as": "carol", "pin": PIN}
        [proposal] = [told["id"] for told in client.ask("proposal-list", **carol)["proposals"]]
        client.ask("proposal-approve", name=proposal, **carol)
        pool.kill()
    assert destroy() == "CKR_OK"
    pool.kill()
    store = Store(str(pool.home))
    told = [
        (record.operation, record.officer, record.keys) for record in store.audit.records()
        if proposal in (record.detail.get("subject"), record.detail.get("proposal")) and not record.rv
    ]
    assert [(operation, officer) for operation, officer, _ in told] == [
        ("proposal-create", "user"), ("proposal-approve", "carol"), ("C_DestroyObject", "user")]
    assert told[0][2] == told[2][2] and told[0][2][0].startswith("key/")
    [done] = [record for record in store.audit.records() if record.detail.get("proposal") == proposal]
    assert done.detail["approvedBy"] == "carol"
    store.close()


def test_a_wrapped_key_is_one_record_in_the_commit_that_takes_the_approval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with Room(pool.home) as room:
        governed(room)
        room.aes(b"over")
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    with initialised(str(MODULE)) as m:
        session = m.session()
        good(m.login(session, USER.decode()))
        [key], [over] = (m.find(session, {ck.CKA_LABEL: label}) for label in (b"key", b"over"))
        assert name(m.wrap(session, m.mechanism(KWP.number), over, key)[0]) == "CKR_USER_NOT_LOGGED_IN"
        with connect(start=False) as client:
            carol = {"slot": 0, "as": "carol", "pin": PIN}
            [proposal] = [told["id"] for told in client.ask("proposal-list", **carol)["proposals"]]
            client.ask("proposal-approve", name=proposal, **carol)
        good(m.wrap(session, m.mechanism(KWP.number), over, key)[0])
        pool.kill()  # a record of use alone would be a second late
    store = Store(str(pool.home))
    [wrapped] = [record for record in store.audit.records() if record.operation == "C_WrapKey" and not record.rv]
    assert wrapped.detail == {"proposal": proposal, "approvedBy": "carol"} and wrapped.mechanism == KWP.number
    assert [key.partition("/")[0] for key in wrapped.keys] == ["over", "key"]
    store.close()


def test_a_proposal_expires_by_the_engines_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Room(tmp_path) as room:
        key = governed(room)
        proposal = propose(room, key)
        act(room, "carol", "proposal-approve", name=proposal)
        began = clock.now()
        monkeypatch.setattr(clock, "now", lambda: began + 2 * 3600 + 1)
        assert act(room, "carol", "proposal-list") == {"proposals": []}
        with pytest.raises(TokenError, match="no proposal begins"):
            act(room, "carol", "proposal-show", name=proposal)
        assert propose(room, key) != proposal
        assert list(room.partition.quorum.proposals) != [proposal], "what has expired went with the next commit"
        monkeypatch.setattr(clock, "now", lambda: began)
        with pytest.raises(TokenError, match="no proposal begins"):  # nor does it come back with the clock
            act(room, "carol", "proposal-show", name=proposal)
    store = Store(str(tmp_path))
    [expired] = [record for record in store.audit.records() if record.operation == "proposal-expire"]
    assert expired.detail["subject"] == proposal
    store.close()


def test_a_crash_leaves_the_key_and_its_approval_or_neither(tmp_path: Path) -> None:
    """At every step of the disk: an approval without its key would be no harm, a key gone without its approval would be
    one that could be used again."""
    made = tmp_path / "made"
    made.mkdir()
    with Room(made) as room:
        key = governed(room)
        act(room, "carol", "proposal-approve", name=propose(room, key))
    ended = False
    seen = set()
    for step in range(1, 200):
        home = tmp_path / str(step)
        shutil.copytree(made, home, ignore=shutil.ignore_patterns("socket*"))

        def work(acknowledge: Any, home: Path = home) -> None:
            with Room(home) as room:
                room.login()
                room.destroy(room.find(b"key")[0])
                acknowledge()

        acknowledged, ended = crashes_at(step, work)
        with Room(home) as room:
            room.login()
            there, approved = bool(room.find(b"key")), bool(room.partition.quorum.proposals)
            assert there == approved and not (there and acknowledged), step
            assert room.pool.store.damage == {}, step
        seen.add(there)
        shutil.rmtree(home)
        if ended:
            break
    assert ended and seen == {True, False}


def test_an_act_that_fails_uses_no_approval_up(tmp_path: Path) -> None:
    with Room(tmp_path) as room:
        governed(room)
        room.session.application.close_all()
        with refused(ck.CKR_FUNCTION_FAILED):
            general.C_InitToken(room.app, 0, SO, b"new".ljust(32))
        [proposal] = room.partition.quorum.proposals
        act(room, "boss", "proposal-approve", name=proposal)
        opened = room.app.open_session(room.partition, True)
        with refused(ck.CKR_SESSION_EXISTS):
            general.C_InitToken(room.app, 0, SO, b"new".ljust(32))
        assert list(room.partition.quorum.proposals) == [proposal]
        room.app.close_session(opened.handle)
        general.C_InitToken(room.app, 0, SO, b"new".ljust(32))


def test_there_is_an_end_to_proposals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "MOST", 5)
    monkeypatch.setattr(quorum, "MOST_OF_ONE", 3)
    with Room(tmp_path) as room:
        governed(room)
        made = [propose(room, room.aes(b"key-%d" % at)) for at in range(3)]
        with pytest.raises(TokenError, match="as many proposals wait"):
            room.destroy(room.aes(b"one-more"))
        assert list(room.partition.quorum.proposals) == made
        for officer in ("so", "boss"):
            with pytest.raises(TokenError, match="proposed as"):
                act(room, officer, "officer-unlock", name="carol")
        with pytest.raises(TokenError, match="as many proposals wait"):
            act(room, "so", "officer-unlock", name="user")
        act(room, "user", "proposal-reject", name=next(iter(room.partition.quorum.proposals)))
        propose(room, room.aes(b"one-more"))


def test_a_proposal_that_is_put_back_or_taken_away_is_noticed(tmp_path: Path) -> None:
    with Room(tmp_path) as room:
        propose(room, governed(room))
    with sqlite3.connect(tmp_path / "pool.db") as database:
        assert database.execute("DELETE FROM records WHERE kind = 'proposal'").rowcount == 1
    database.close()
    with Room(tmp_path) as room:
        assert "records were removed, put back or swapped" in str(room.pool.store.damage)


def test_a_damaged_proposal_approves_nothing(tmp_path: Path) -> None:
    with Room(tmp_path) as room:
        act(room, "carol", "proposal-approve", name=propose(room, governed(room)))
    with sqlite3.connect(tmp_path / "pool.db") as database:
        database.execute("UPDATE records SET sealed = zeroblob(60) WHERE kind = 'proposal'")
    database.close()
    with Room(tmp_path) as room:
        room.login()
        propose(room, room.find(b"key")[0])


def test_without_a_rule_nothing_is_asked_and_nothing_more_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, commits = list[str](), list[int]()
    covers, transaction = quorum.Quorum.covers, Store.transaction
    with Room(tmp_path) as room:
        room.with_user()
        key = room.aes(b"key", extractable=YES)
        monkeypatch.setattr(quorum.Quorum, "covers", lambda self, kind: bool(asked.append(kind)) or covers(self, kind))
        monkeypatch.setattr(Store, "transaction", lambda self: commits.append(1) or transaction(self))
        over = room.aes(b"over")
        for _ in range(3):
            keys.C_WrapKey(room.app, room.handle, Mech(KWP.number), over, key, 4096)
        assert asked == ["export"] * 3
        commits.clear()
        room.destroy(key)
        assert asked[3:] == ["destroy"] and len(commits) == 1
