"""Random walks of two applications under officers who change, on the real module, against a simple model of the
standard (two_applications.py): sessions, logins, lockout, objects, searches, handles, operations, roles.

A walk that fails is shrunk by hypothesis to the few steps that it takes, and printed as a script: each step one call
with small numbers. ``at`` counts in the list of sessions, or of objects in the order they were made.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
from pathlib import Path

import pytest
from abi import NULL, Module, ffi, good, name
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from roles_world import Desk, pin_of
from two_applications import ALPHA, BETA, KEY, OPEN, SAM, SO, TRIES, USER, Application, Object, Session, Signing, Token

from hsm.client import Client
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

apps = st.sampled_from(["one", "two"])
at = st.sampled_from([0, 0, 0, 0, 1, 2])
objects = st.sampled_from([0, 0, 1, 1, 2, 3, 4, 5, 6])
often = st.sampled_from([True, True, True, False])
labels = st.sampled_from([ALPHA, BETA])
STATES = {n: v for n, v in vars(ck).items() if n.startswith("CKS_")}
CLASSES = {OPEN: ck.CKO_DATA, KEY: ck.CKO_SECRET_KEY}


class TwoApplications(RuleBasedStateMachine):
    throw_away: ThrowAway
    modules: dict[str, Module]
    made = 0

    @initialize(
        one=st.sampled_from([USER, USER, SAM, SO, ""]), two=st.sampled_from([SAM, SAM, USER, ""]), may=st.booleans(),
    )
    def start(self, one: str, two: str, may: bool) -> None:
        """Each has a session, most somebody in it, and there are objects of each sort."""
        for module in self.modules.values():
            good(module.C_Initialize(NULL))
        self.desk = Desk(self.throw_away.home, 0, self.throw_away.so_pin).another("token")
        self.desk.officer(SAM, ("SE", "/keys/alpha"))
        self.assignment = ""
        self.token = Token({USER: "the-user-pin", SAM: pin_of(SAM), SO: self.throw_away.so_pin})
        self.apps = {name: Application(name) for name in self.modules}
        for app, who in (("one", USER), ("two", two)):
            self.open(app, True)
            if who:
                self.login(app, 0, who, True, True)
        for kind, private, label in ((KEY, True, ALPHA), (KEY, True, BETA), (OPEN, True, BETA), (OPEN, False, ALPHA)):
            self.create("one", 0, kind, True, private, label)
        if one != USER:
            self.logout("one", 0)
        if one not in (USER, ""):
            self.login("one", 0, one, True, False)
        if may:
            self.role_comes_or_goes()

    def teardown(self) -> None:
        """The partition goes, also where nobody is let in any more, by whom the pool belongs to."""
        for module in self.modules.values():
            module.C_Finalize(NULL)
            module._kept.clear()
        if hasattr(self, "token"):
            locked = self.token.wrong[SO] >= TRIES
            pin = {} if locked else {"pin": self.token.pins[SO]}
            self.desk.ask("partition-delete", officer="", **{"as": SO} if pin else {}, **pin)

    # -- where a step happens

    def place(self, app: str, at: int) -> tuple[Module, Application, Session | None]:
        here = self.apps[app]
        return self.modules[app], here, here.sessions[at % len(here.sessions)] if here.sessions else None

    def settle(self) -> None:
        self.token.settle(list(self.apps.values()))

    def item(self, at: int) -> Object | None:
        return self.token.objects[at % len(self.token.objects)] if self.token.objects else None

    def handle(self, app: str, session: Session, item: Object) -> int:
        """By a search, as a program has it; 1 where it finds nothing, which is nobody's handle."""
        which = ck.CKA_ID if item.kind == KEY else ck.CKA_OBJECT_ID
        found = self.modules[app].find(session.handle, {which: item.ident})
        assert len(found) == self.token.reads(self.apps[app], item)
        for handle in found:
            self.apps[app].handles[handle] = item
        return found[0] if found else 1

    # -- sessions and logins

    @rule(app=apps, read_write=often)
    def open(self, app: str, read_write: bool) -> None:
        m, here, _ = self.place(app, 0)
        if len(here.sessions) == 4:
            return
        made = ffi.new("CK_SESSION_HANDLE*")
        flags = ck.CKF_SERIAL_SESSION | (ck.CKF_RW_SESSION if read_write else 0)
        rv = name(m.C_OpenSession(self.desk.slot, flags, NULL, NULL, made))
        refused = here.who == SO and not read_write
        assert rv == ("CKR_SESSION_READ_WRITE_SO_EXISTS" if refused else "CKR_OK")
        if not refused:
            here.sessions.append(Session(int(made[0]), read_write))

    @rule(app=apps, at=at)
    def close(self, app: str, at: int) -> None:
        m, here, session = self.place(app, at)
        if session:
            good(m.C_CloseSession(session.handle))
            self.token.closed(here, session)
            self.settle()
            assert name(m.C_CloseSession(session.handle)) == "CKR_SESSION_HANDLE_INVALID"

    @rule(app=apps, all_sessions=st.booleans())
    def end(self, app: str, all_sessions: bool) -> None:
        """C_CloseAllSessions, or C_Finalize and C_Initialize."""
        m, here, _ = self.place(app, 0)
        if all_sessions:
            good(m.C_CloseAllSessions(self.desk.slot))
        else:
            good(m.C_Finalize(NULL))
            good(m.C_Initialize(NULL))
        for session in list(here.sessions):
            self.token.closed(here, session)
        self.settle()
        if not all_sessions:
            here.void += here.handles
            here.handles.clear()

    @rule(app=apps, at=at, officer=st.sampled_from([USER, USER, SAM, SO]), right=often, by_name=st.booleans())
    def login(self, app: str, at: int, officer: str, right: bool, by_name: bool) -> None:
        m, here, session = self.place(app, at)
        if not session:
            return
        kind = ck.CKU_SO if officer == SO else ck.CKU_USER
        pin = (self.token.pins[officer] if right else "not the PIN").encode()
        if by_name:
            rv = m.C_LoginUser(session.handle, kind, pin, len(pin), officer.encode(), len(officer))
        else:
            pin = b"sam:" + pin if officer == SAM else pin
            rv = m.C_Login(session.handle, kind, pin, len(pin))
        assert name(rv) in self.token.login(here, officer, right)

    @rule(app=apps, at=at)
    def logout(self, app: str, at: int) -> None:
        m, here, session = self.place(app, at)
        if session:
            assert name(m.C_Logout(session.handle)) == ("CKR_OK" if here.who else "CKR_USER_NOT_LOGGED_IN")
            self.token.logged_out(here)
            self.settle()

    @rule(app=apps, at=at, right=often, new=st.sampled_from(["1234-new", "5678-new"]))
    def set_pin(self, app: str, at: int, right: bool, new: str) -> None:
        m, here, session = self.place(app, at)
        if not session:
            return
        officer = here.who or USER
        old = self.token.pins[officer] if right else "not the PIN"
        rv = name(m.C_SetPIN(session.handle, old.encode(), len(old), new.encode(), len(new)))
        if not session.read_write:
            assert rv == "CKR_SESSION_READ_ONLY"
        else:
            assert {rv} == self.token.proves(officer, right)
            if rv == "CKR_OK":
                self.token.pins[officer] = new

    @rule(app=apps, at=at)
    def init_pin(self, app: str, at: int) -> None:
        m, here, session = self.place(app, at)
        if session:
            rv = name(m.C_InitPIN(session.handle, b"1234-reset", 10))
            assert rv == ("CKR_OK" if here.who == SO else "CKR_USER_NOT_LOGGED_IN")
            if here.who == SO:
                self.token.pins[USER], self.token.wrong[USER] = "1234-reset", 0

    @rule()
    def role_comes_or_goes(self) -> None:
        """Crypto User at /keys/alpha, for sam."""
        if self.token.wrong[SO] >= TRIES:
            return
        self.desk = Desk(self.desk.home, self.desk.slot, self.token.pins[SO])
        if self.assignment:
            self.desk.remove(self.assignment)
            self.assignment = ""
        else:
            self.assignment = self.desk.assign(SAM, "CU", "/keys/alpha")
        self.token.wrong[SO] = 0
        self.token.may_use = bool(self.assignment)
        self.settle()

    # -- objects

    @rule(app=apps, at=at, kind=st.sampled_from([OPEN, KEY, KEY]), token=often, private=often, label=labels)
    def create(self, app: str, at: int, kind: str, token: bool, private: bool, label: bytes) -> None:
        m, here, session = self.place(app, at)
        if not session:
            return
        TwoApplications.made += 1
        ident, private = b"%d" % TwoApplications.made, private or kind == KEY
        value = hashlib.sha256(ident).digest()
        rows = {ck.CKA_CLASS: CLASSES[kind], ck.CKA_TOKEN: token, ck.CKA_PRIVATE: private, ck.CKA_LABEL: label,
                ck.CKA_VALUE: value, ck.CKA_ID if kind == KEY else ck.CKA_OBJECT_ID: ident}
        if kind == KEY:
            rows |= {ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_WRAP: False, ck.CKA_UNWRAP: False}
        rv, handle = m.create(session.handle, rows)
        refused = set()
        if token and not session.read_write:
            refused.add("CKR_SESSION_READ_ONLY")
        if not self.token.may_make(here, kind, token, private, label):
            refused.add("CKR_USER_NOT_LOGGED_IN")
        assert name(rv) in (refused or {"CKR_OK"})
        if not refused:
            item = Object(ident, kind, token, private, label, label, (app, session.handle), value)
            self.token.objects.append(item)
            here.handles[handle] = item

    @rule(app=apps, at=at, which=objects)
    def destroy(self, app: str, at: int, which: int) -> None:
        m, here, session = self.place(app, at)
        item = self.item(which)
        if session and item:
            rv = name(m.C_DestroyObject(session.handle, self.handle(app, session, item)))
            refused = self.refusals(here, session, item)
            assert rv in (refused or {"CKR_OK"})
            item.alive = bool(refused)
            self.settle()

    @rule(app=apps, at=at, which=objects, label=labels)
    def relabel(self, app: str, at: int, which: int, label: bytes) -> None:
        m, here, session = self.place(app, at)
        item = self.item(which)
        if session and item:
            rv = name(m.change(session.handle, self.handle(app, session, item), {ck.CKA_LABEL: label}))
            refused = self.refusals(here, session, item)
            assert rv in (refused or {"CKR_OK"})
            if not refused:
                item.label = label

    def refusals(self, here: Application, session: Session, item: Object) -> set[str]:
        """Of a change to an object."""
        if not self.token.reads(here, item):
            return {"CKR_OBJECT_HANDLE_INVALID"}
        refused = set()
        if item.token and not session.read_write:
            refused.add("CKR_SESSION_READ_ONLY")
        if not self.token.holds(here, item):
            refused.add("CKR_ACTION_PROHIBITED")
        return refused

    @rule(app=apps, at=at, which=objects)
    def use_a_void_handle(self, app: str, at: int, which: int) -> None:
        m, here, session = self.place(app, at)
        if session and here.void:
            handle = here.void[which % len(here.void)]
            rv = m.C_GetObjectSize(session.handle, handle, ffi.new("CK_ULONG*"))
            assert name(rv) == "CKR_OBJECT_HANDLE_INVALID"

    @rule(app=apps, at=at, which=objects)
    def use_the_others_handles(self, app: str, at: int, which: int) -> None:
        m, _, session = self.place(app, at)
        _, other, theirs = self.place("two" if app == "one" else "one", which)
        if theirs:
            assert name(m.C_GetSessionInfo(theirs.handle, ffi.new("CK_SESSION_INFO*"))) == "CKR_SESSION_HANDLE_INVALID"
        if session and other.handles:
            handle = sorted(other.handles)[which % len(other.handles)]
            rv = m.C_GetObjectSize(session.handle, handle, ffi.new("CK_ULONG*"))
            assert name(rv) == "CKR_OBJECT_HANDLE_INVALID"

    # -- operations

    @rule(app=apps, at=at, which=objects)
    def sign_init(self, app: str, at: int, which: int) -> None:
        m, here, session = self.place(app, at)
        item = self.item(which)
        if not session or not item:
            return
        rv = name(m.C_SignInit(session.handle, m.mechanism(ck.CKM_SHA256_HMAC), self.handle(app, session, item)))
        refused = {"CKR_OPERATION_ACTIVE"} if session.signing else set()
        if not self.token.reads(here, item) or item.kind != KEY:
            refused.add("CKR_KEY_HANDLE_INVALID")
        elif not self.token.holds(here, item):
            refused.add("CKR_KEY_FUNCTION_NOT_PERMITTED")
        assert rv in (refused or {"CKR_OK"})
        if not refused:
            session.signing = Signing(item, here.who)

    @rule(app=apps, at=at, data=st.binary(max_size=8))
    def sign_update(self, app: str, at: int, data: bytes) -> None:
        m, _, session = self.place(app, at)
        if session:
            rv = name(m.C_SignUpdate(session.handle, data, len(data)))
            assert rv == ("CKR_OK" if session.signing else "CKR_OPERATION_NOT_INITIALIZED")
            if session.signing:
                session.signing.data += data
                session.signing.in_parts = True

    @rule(app=apps, at=at, once=st.booleans())
    def sign(self, app: str, at: int, once: bool) -> None:
        """C_Sign of a few bytes, or C_SignFinal."""
        m, _, session = self.place(app, at)
        if not session:
            return
        going, session.signing = session.signing, None
        if once:
            rv, mac = m.output(m.C_Sign, session.handle, b"few", 3)
        else:
            rv, mac = m.output(m.C_SignFinal, session.handle)
        if not going:
            assert name(rv) == "CKR_OPERATION_NOT_INITIALIZED"
        elif once and going.in_parts:
            assert name(rv) == "CKR_OPERATION_ACTIVE"
        else:
            good(rv)
            assert mac == hmac.digest(going.key.value, going.data + (b"few" if once else b""), "sha256")

    @rule(app=apps, at=at, data=st.binary(max_size=8))
    def digest(self, app: str, at: int, data: bytes) -> None:
        """Begun by one step and ended by the next, whatever happens to logins between."""
        m, _, session = self.place(app, at)
        if not session:
            return
        if not session.digest:
            good(m.C_DigestInit(session.handle, m.mechanism(ck.CKM_SHA256)))
        else:
            rv, made = m.output(m.C_Digest, session.handle, data, len(data))
            assert (rv, made) == (ck.CKR_OK, hashlib.sha256(data).digest())
        session.digest = not session.digest

    # -- what holds after every step

    @invariant()
    def each_sees_what_it_may(self) -> None:
        for app, here in getattr(self, "apps", {}).items():
            m = self.modules[app]
            for session in here.sessions:
                assert m.state(session.handle) == STATES[self.token.state(here, session)]
            if here.sessions:
                self.search(m, here)

    def search(self, m: Module, here: Application) -> None:
        s, seen = here.sessions[-1].handle, [item for item in self.token.objects if self.token.reads(here, item)]
        for label in (ALPHA, BETA):
            found = m.find(s, {ck.CKA_LABEL: label})
            assert len(found) == sum(item.label == label for item in seen), label
            assert set(found).isdisjoint(here.void)
        for handle in m.find(s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY}):
            assert m.read(s, handle, ck.CKA_ID) in {item.ident for item in seen}
        for handle, item in here.handles.items():
            assert m.read(s, handle, ck.CKA_LABEL) == item.label

    @invariant()
    def the_flags_tell_the_truth(self) -> None:
        if hasattr(self, "token"):
            for m in self.modules.values():
                flags = m.token(self.desk.slot).flags
                for flag, wanted in self.token.flags().items():
                    assert bool(flags & getattr(ck, flag)) == wanted, flag


def walk(folder: Path, walks: int) -> None:
    with ThrowAway() as throw_away, pytest.MonkeyPatch.context() as environment:
        for variable, value in throw_away.environment.items():
            environment.setenv(variable, value)
        with Client(throw_away.home) as client:
            client.ask("status")  # an engine is up, so a library that lies elsewhere needs to start none
        shutil.copy(throw_away.module, folder / "another.so")
        modules = {"one": Module(throw_away.module), "two": Module(str(folder / "another.so"))}
        TwoApplications.throw_away, TwoApplications.modules = throw_away, modules
        run_state_machine_as_test(TwoApplications, settings=settings(
            max_examples=walks, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck),
        ))


def test_a_few_walks(tmp_path: Path) -> None:
    walk(tmp_path, 120)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_many_walks(tmp_path: Path) -> None:
    walk(tmp_path, 1500)
