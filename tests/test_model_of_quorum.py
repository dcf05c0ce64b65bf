"""The two-person rule against a model of it: whatever officers do in whatever order, a key goes only by two of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from engine_room import SO, USER, Room, cheap_pins
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hsm import clock
from hsm.access.quorum import Proposed
from hsm.application import Application
from hsm.cryptoki import general, objects
from hsm.errors import TokenError
from hsm.management import registry
from hsm.management.acts import Caller
from pkcs11_shim import constants as ck

PIN = b"officer-pin-1"
OFFICERS = {"user": USER, "carol": PIN, "dave": PIN}
KEYS, LABELS = (b"one", b"two"), (b"this", b"that")
HOURS = 2
MOSTLY_NOT = st.sampled_from([False] * 5 + [True])
_now = clock.now


class Asked(NamedTuple):
    """What an approval is for."""

    officer: str
    key: bytes
    label: bytes


class Waiting(NamedTuple):
    name: str
    expires: float
    approvals: frozenset[str] = frozenset()


class TwoPersons(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.cheap = cheap_pins()
        self.cheap.__enter__()
        self.passed = 0.0
        clock.now = lambda: _now() + self.passed
        self.room = Room(Path(self.folder.name))
        self.room.with_user()
        for officer, role in (("boss", "Administrator"), ("carol", "Crypto User"), ("dave", "Crypto User")):
            self.act("so", "officer-create", name=officer, new_pin=PIN.decode())
            self.act("so", "role-assignment-create", assignee=officer, role=role, scope="/")
        self.handles = {key: self.room.aes(key) for key in KEYS}
        self.ids = {key: self.unique(self.handles[key]) for key in KEYS}
        self.act("so", "partition-set", quorum=2, quorum_acts=["destroy"], quorum_expiry=HOURS)
        self.labels = {key: key for key in KEYS}
        self.enabled = dict.fromkeys(OFFICERS, True)
        self.waiting: dict[Asked, Waiting] = {}

    def act(self, officer: str, name: str, /, **fields: object) -> None:
        caller = Caller(self.room.pool, self.room.app, self.room.partition, officer)
        registry.perform(registry.ACTS[name], caller, fields)

    def unique(self, handle: int) -> bytes:
        return self.room.app.handles[handle].attributes[ck.CKA_UNIQUE_ID]

    def live(self) -> dict[Asked, Waiting]:
        return {asked: waits for asked, waits in self.waiting.items() if waits.expires > clock.now()}

    def does(self, officer: str, key: bytes, label: bytes | None) -> int:
        """As a program of this officer: destroys the key, or gives it the label; the code."""
        app = Application(self.room.pool, os.getpid(), os.geteuid())
        try:
            session = app.open_session(self.room.partition, True)
            general.C_LoginUser(app, session.handle, ck.CKU_USER, OFFICERS[officer], officer.encode())
            found = self.room.partition.find(session, [(ck.CKA_UNIQUE_ID, self.ids[key])])
            if not found:
                return ck.CKR_OBJECT_HANDLE_INVALID
            handle = app.handle_of(found[0])
            if label is not None:
                return int(objects.C_SetAttributeValue(app, session.handle, handle, [(ck.CKA_LABEL, label)])[0])
            return int(objects.C_DestroyObject(app, session.handle, handle)[0])
        except Proposed as refusal:
            asked = Asked(officer, key, self.labels[key])
            self.waiting.setdefault(asked, Waiting(refusal.proposal.name, clock.now() + HOURS * 3600))
            assert self.waiting[asked].name == refusal.proposal.name
            return refusal.rv
        except TokenError as refusal:
            return refusal.rv
        finally:
            app.end()

    @rule(officer=st.sampled_from(sorted(OFFICERS)), key=st.sampled_from(KEYS))
    def destroy(self, officer: str, key: bytes) -> None:
        self.waiting = self.live()
        asked = Asked(officer, key, self.labels.get(key, b""))
        waits = self.waiting.get(asked)
        code = self.does(officer, key, None)
        if not self.enabled[officer]:
            assert code == ck.CKR_PIN_LOCKED
        elif key not in self.labels:
            assert code == ck.CKR_OBJECT_HANDLE_INVALID
        elif waits is not None and waits.approvals:
            assert code == ck.CKR_OK
            del self.labels[key], self.waiting[asked]
        else:
            assert code == ck.CKR_ACTION_PROHIBITED

    @rule(at=st.integers(0, 5))
    def ask_again(self, at: int) -> None:
        """Whoever has proposed something tries whether it goes now."""
        self.waiting = self.live()
        if self.waiting:
            asked = sorted(self.waiting)[at % len(self.waiting)]
            self.destroy(asked.officer, asked.key)

    @rule(officer=st.sampled_from(sorted(OFFICERS)), at=st.integers(0, 5), rejects=MOSTLY_NOT)
    def decide(self, officer: str, at: int, rejects: bool) -> None:
        self.waiting = self.live()
        if not self.waiting or not self.enabled[officer]:
            return
        asked, waits = sorted(self.waiting.items())[at % len(self.waiting)]
        may = rejects or (asked.officer != officer and officer not in waits.approvals)
        try:
            self.act(officer, "proposal-reject" if rejects else "proposal-approve", name=waits.name)
        except TokenError:
            assert not may
            return
        assert may
        if rejects:
            del self.waiting[asked]
        else:
            self.waiting[asked] = waits._replace(approvals=waits.approvals | {officer})

    @rule(officer=st.sampled_from(sorted(OFFICERS)), key=st.sampled_from(KEYS), label=st.sampled_from(LABELS))
    def relabel(self, officer: str, key: bytes, label: bytes) -> None:
        if self.does(officer, key, label) == ck.CKR_OK:
            assert self.enabled[officer]
            self.labels[key] = label

    @rule(officer=st.sampled_from(sorted(OFFICERS)), on=st.booleans())
    def enable(self, officer: str, on: bool) -> None:
        self.act("so", "officer-update", name=officer, enabled=on)
        self.enabled[officer] = on
        if not on:
            self.waiting = {
                asked: waits for asked, waits in self.live().items()
                if officer != asked.officer and officer not in waits.approvals
            }

    @rule(hours=st.sampled_from([0.1, 0.1, 0.5, 1.5]))
    def time_passes(self, hours: float) -> None:
        self.passed += hours * 3600

    @rule()
    def restart(self) -> None:
        self.room.close()
        self.room = Room(Path(self.folder.name))
        self.room.login(SO, ck.CKU_SO)

    @invariant()
    def the_same_waits(self) -> None:
        quorum = self.room.partition.quorum
        assert {proposal.name for proposal in quorum.live()} == {waits.name for waits in self.live().values()}
        assert len(self.room.partition.objects) == len(self.labels) and self.room.pool.store.damage == {}

    def teardown(self) -> None:
        clock.now = _now
        if hasattr(self, "room"):
            self.room.close()
            self.cheap.__exit__(None, None, None)
            self.folder.cleanup()


TestTwoPersons = TwoPersons.TestCase
TestTwoPersons.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
