"""Random sequences of calls against a simple model of what the standard says: sessions, logins, objects, operations."""

from __future__ import annotations

from typing import Any

import pytest
from abi import NULL, Module, ffi, good, name
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}
KINDS = {"Digest": ck.CKM_SHA256, "Encrypt": ck.CKM_AES_ECB, "Sign": ck.CKM_AES_CMAC}


class Application(RuleBasedStateMachine):
    """The model: sessions with their kind and active operations, who is logged in, objects with what they are."""

    token: ThrowAway
    m: Module

    @initialize()
    def start(self) -> None:
        self.m.C_CloseAllSessions(0)
        cleaner = self.m.session()
        good(self.m.login(cleaner, self.token.pin))
        for item in self.m.find(cleaner, {}):
            good(self.m.C_DestroyObject(cleaner, item))
        good(self.m.C_CloseSession(cleaner))
        self.sessions: dict[int, bool] = {}
        self.active: dict[tuple[int, str], bool] = {}
        self.who: int | None = None
        self.objects: dict[int, tuple[bool, bool, int]] = {}  # token, private, session that made it
        self.void: list[int] = []
        self.kept = 0  # private token objects, which come back by new handles after a login

    def _any(self, data: Any) -> int:
        return int(data.draw(st.sampled_from(sorted(self.sessions))))

    def _end(self, handles: list[int]) -> None:
        for handle in handles:
            self.void.append(handle)
            del self.objects[handle]

    def _logged_out(self) -> None:
        """Private session objects are gone and private handles void; digests go on."""
        self.who = None
        self._end([h for h, (_, private, _) in self.objects.items() if private])

    @precondition(lambda self: len(self.sessions) < 4)
    @rule(read_write=st.booleans())
    def open(self, read_write: bool) -> None:
        made = ffi.new("CK_SESSION_HANDLE*")
        flags = ck.CKF_SERIAL_SESSION | (ck.CKF_RW_SESSION if read_write else 0)
        rv = name(self.m.C_OpenSession(0, flags, NULL, NULL, made))
        if self.who == ck.CKU_SO and not read_write:
            assert rv == "CKR_SESSION_READ_WRITE_SO_EXISTS"
        else:
            assert rv == "CKR_OK"
            self.sessions[int(made[0])] = read_write

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        s = self._any(data)
        good(self.m.C_CloseSession(s))
        del self.sessions[s]
        self._end([h for h, (token, _, owner) in self.objects.items() if not token and owner == s])
        self.active = {key: True for key in self.active if key[0] != s}
        if not self.sessions:
            self._logged_out()

    @precondition(lambda self: self.sessions)
    @rule(
        data=st.data(), user=st.sampled_from([ck.CKU_USER, ck.CKU_USER, ck.CKU_SO]),
        right=st.sampled_from([True, True, True, False]),
    )
    def login(self, data: Any, user: int, right: bool) -> None:
        pin = (self.token.pin if user == ck.CKU_USER else self.token.so_pin) if right else "x"
        rv = name(self.m.login(self._any(data), pin, user))
        if self.who is not None:
            assert rv == f"CKR_USER_{'' if self.who == user else 'ANOTHER_'}ALREADY_LOGGED_IN"
        elif user == ck.CKU_SO and not all(self.sessions.values()):
            assert rv == "CKR_SESSION_READ_ONLY_EXISTS"
        else:
            assert rv == ("CKR_OK" if right else "CKR_PIN_INCORRECT")
            self.who = user if right else None

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), again=st.booleans())
    def logout(self, data: Any, again: bool) -> None:
        s = self._any(data)
        rv = name(self.m.C_Logout(s))
        assert rv == ("CKR_USER_NOT_LOGGED_IN" if self.who is None else "CKR_OK")
        self._logged_out()
        if again:
            good(self.m.login(s, self.token.pin))
            self.who = ck.CKU_USER

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), token=st.booleans(), private=st.booleans())
    def create(self, data: Any, token: bool, private: bool) -> None:
        s = self._any(data)
        rv, handle = self.m.create(s, {**DATA, ck.CKA_TOKEN: token, ck.CKA_PRIVATE: private})
        refused = set()
        if token and not self.sessions[s]:
            refused.add("CKR_SESSION_READ_ONLY")
        if private and self.who != ck.CKU_USER:
            refused.add("CKR_USER_NOT_LOGGED_IN")
        assert name(rv) in (refused or {"CKR_OK"})
        if not refused:
            self.objects[handle] = (token, private, s)
            self.kept += token and private

    @precondition(lambda self: self.sessions and self.objects)
    @rule(data=st.data())
    def destroy(self, data: Any) -> None:
        s, handle = self._any(data), data.draw(st.sampled_from(sorted(self.objects)))
        rv = name(self.m.C_DestroyObject(s, handle))
        if self.objects[handle][0] and not self.sessions[s]:
            assert rv == "CKR_SESSION_READ_ONLY"
        else:
            assert rv == "CKR_OK"
            token, private, _ = self.objects[handle]
            self.kept -= token and private
            self._end([handle])

    @precondition(lambda self: self.sessions and self.void)
    @rule(data=st.data())
    def use_a_void_handle(self, data: Any) -> None:
        handle = data.draw(st.sampled_from(self.void))
        rv = self.m.C_GetObjectSize(self._any(data), handle, ffi.new("CK_ULONG*"))
        assert name(rv) == "CKR_OBJECT_HANDLE_INVALID"

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), kind=st.sampled_from(sorted(KINDS)), private=st.booleans())
    def begin(self, data: Any, kind: str, private: bool) -> None:
        s, keys = self._any(data), ()
        if kind != "Digest":
            rv, key = self.m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, ck.CKA_PRIVATE: private})
            if private and self.who != ck.CKU_USER:
                assert name(rv) == "CKR_USER_NOT_LOGGED_IN"
                return
            good(rv)
            self.objects[key] = (False, private, s)
            keys = (key,)
        rv = getattr(self.m, f"C_{kind}Init")(s, self.m.mechanism(KINDS[kind]), *keys)
        if (s, kind) in self.active:
            assert name(rv) == "CKR_OPERATION_ACTIVE"
            return
        good(rv)
        if kind == "Digest":
            self.active[s, kind] = True
        else:  # cancelled: an operation with a key ends with the key as well
            good(getattr(self.m, f"C_{kind}Init")(s, NULL, *keys))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def digest(self, data: Any) -> None:
        s = self._any(data)
        rv = name(self.m.output(self.m.C_Digest, s, b"x", 1)[0])
        assert rv == ("CKR_OK" if self.active.pop((s, "Digest"), None) is not None else "CKR_OPERATION_NOT_INITIALIZED")

    @invariant()
    def states_and_searches_agree(self) -> None:
        for s, read_write in getattr(self, "sessions", {}).items():
            expected = {
                (None, True): ck.CKS_RW_PUBLIC_SESSION, (None, False): ck.CKS_RO_PUBLIC_SESSION,
                (ck.CKU_USER, True): ck.CKS_RW_USER_FUNCTIONS, (ck.CKU_USER, False): ck.CKS_RO_USER_FUNCTIONS,
                (ck.CKU_SO, True): ck.CKS_RW_SO_FUNCTIONS,
            }[self.who, read_write]
            assert self.m.state(s) == expected
            found = set(self.m.find(s, {}))
            public = {h for h, (_, private, _) in self.objects.items() if not private}
            assert public <= found
            if self.who != ck.CKU_USER:
                assert found == public
            else:
                of_sessions = sum(private and not token for token, private, _ in self.objects.values())
                assert len(found - public) == self.kept + of_sessions
                for handle in found - set(self.objects):
                    self.objects[handle] = (True, True, 0)


def test_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThrowAway() as token:
        for variable, value in token.environment.items():
            monkeypatch.setenv(variable, value)
        module = Module(token.module)
        good(module.C_Initialize(NULL))
        Application.token, Application.m = token, module
        try:
            run_state_machine_as_test(Application, settings=settings(
                max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck),
            ))
        finally:
            module.C_Finalize(NULL)
