"""Roles that end while something goes on: by an assignment, an officer or a role that is gone, or by the clock.

What runs is over at its next step, whether it runs in parts, was granted before, was saved, or waits to be fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from abi import ffi, good, name
from roles_world import (
    CBC,
    CMAC,
    IV,
    KINDS,
    NOT_INITIALIZED,
    TEXT,
    THIS,
    Pool,
    Seat,
    begun,
    end,
    fresh_seat,
    officer,
    part,
    pool_with_maker,
    sign,
)

from pkcs11_shim import constants as ck


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with pool_with_maker() as made:
        yield made


@pytest.fixture(params=KINDS)
def seat(pool: Pool, request: pytest.FixtureRequest) -> Iterator[Seat]:
    with fresh_seat(pool, request.param) as made:
        yield made


def taken(seat: Seat, how: str, who: str, assignment: str) -> None:
    """The ways in which an officer's role ends."""
    if how == "assignment":
        seat.desk.remove(assignment)
    elif how == "disabled":
        seat.desk.ask("officer-update", name=who, enabled=False)
    elif how == "deleted":
        seat.desk.ask("officer-delete", name=who)
    elif how == "definition":
        seat.desk.ask("role-definition-delete", role=f"users of {who}")
    else:
        definition = {"roleName": f"users of {who}", "permissions": [{"dataActions": ["*/keys/read/action"]}]}
        seat.desk.ask("role-definition-update", definition=definition)


WAYS = ("assignment", "disabled", "deleted", "definition", "definition changed")


def with_custom_role(seat: Seat) -> tuple[str, str]:
    """An officer who sits here with a custom role on "this": that of a Crypto User; and the assignment."""
    who = seat.desk.officer(seat.new("officer"))
    definition = {"roleName": f"users of {who}", "permissions": [{"dataActions": ["*/keys/*"]}]}
    seat.desk.ask("role-definition-create", definition=definition)
    assignment = seat.desk.assign(who, f"users of {who}", "/keys/this")
    seat.sit(who)
    return who, assignment


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", ["Sign", "Verify", "Encrypt", "Decrypt"])
def test_what_runs_is_over_when_the_role_is(seat: Seat, kind: str, how: str) -> None:
    seat.cipher(b"cipher")
    who, assignment = with_custom_role(seat)
    begun(seat, kind)
    taken(seat, how, who, assignment)
    assert part(seat, kind) == NOT_INITIALIZED
    assert end(seat, kind) == NOT_INITIALIZED
    begin = getattr(seat.m, f"C_{kind}Init")
    which = b"mac" if kind in ("Sign", "Verify") else b"cipher"
    mechanism = seat.m.mechanism(CMAC) if which == b"mac" else seat.m.mechanism(CBC, IV)
    wanted = "CKR_KEY_FUNCTION_NOT_PERMITTED" if how == "definition changed" else "CKR_KEY_HANDLE_INVALID"
    assert name(begin(seat.s, mechanism, seat.handle(which))) == wanted


@pytest.mark.parametrize("how", WAYS)
def test_an_init_that_was_granted_is_worth_nothing_when_the_role_is_gone(seat: Seat, how: str) -> None:
    """After the second the library answers it without a trip."""
    who, assignment = with_custom_role(seat)
    key, mechanism = seat.handle(b"mac"), seat.m.mechanism(CMAC)
    for _ in range(3):
        assert sign(seat, key) == "CKR_OK"
    good(seat.m.C_SignInit(seat.s, mechanism, key))
    taken(seat, how, who, assignment)
    assert name(seat.m.output(seat.m.C_Sign, seat.s, seat.m.bytes(TEXT), 16)[0]) == NOT_INITIALIZED
    assert sign(seat, key) in ("CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_KEY_HANDLE_INVALID")


def test_a_search_gives_no_more_of_what_may_not_be_read_now(seat: Seat) -> None:
    for number in range(3):
        seat.key(b"more-%d" % number)
    _, assignment = with_custom_role(seat)
    good(seat.m.C_FindObjectsInit(seat.s, *seat.m.template({ck.CKA_LABEL: THIS})))
    found, count = ffi.new("CK_OBJECT_HANDLE[8]"), ffi.new("CK_ULONG*")
    good(seat.m.C_FindObjects(seat.s, found, 1, count))
    assert count[0] == 1
    seat.desk.remove(assignment)
    good(seat.m.C_FindObjects(seat.s, found, 8, count))
    assert count[0] == 0
    good(seat.m.C_FindObjectsFinal(seat.s))


def test_a_result_that_was_not_fetched_stays_here(seat: Seat) -> None:
    """C_Decrypt has computed it, the buffer was too small, and the role ends before the second call."""
    seat.cipher(b"cipher")
    rv, secret = seat.m.use("Encrypt", seat.s, seat.m.mechanism(ck.CKM_AES_CBC_PAD, IV), seat.handle(b"cipher"), TEXT)
    good(rv)
    _, assignment = with_custom_role(seat)
    good(seat.m.C_DecryptInit(seat.s, seat.m.mechanism(ck.CKM_AES_CBC_PAD, IV), seat.handle(b"cipher")))
    data = seat.m.bytes(secret), len(secret)
    assert name(seat.m.output(seat.m.C_Decrypt, seat.s, *data, size=3)[0]) == "CKR_BUFFER_TOO_SMALL"
    seat.desk.remove(assignment)
    assert name(seat.m.output(seat.m.C_Decrypt, seat.s, *data)[0]) == NOT_INITIALIZED


def test_a_saved_state_is_its_officers_and_lasts_as_long_as_the_role(seat: Seat) -> None:
    who, assignment = with_custom_role(seat)
    begun(seat, "Sign")
    rv, state = seat.m.output(seat.m.C_GetOperationState, seat.s)
    good(rv)
    good(seat.m.C_SessionCancel(seat.s, ck.CKF_SIGN))

    def restored() -> str:
        return name(seat.m.C_SetOperationState(seat.s, state, len(state), 0, 0))

    assert restored() == "CKR_OK" and end(seat, "Sign") == "CKR_OK"
    officer(seat, ("CU", "/"))
    assert restored() == "CKR_SAVED_STATE_INVALID"
    seat.sit(who)
    assert restored() == "CKR_SAVED_STATE_INVALID"
    begun(seat, "Sign")
    rv, state = seat.m.output(seat.m.C_GetOperationState, seat.s)
    good(rv)
    seat.desk.remove(assignment)
    good(seat.m.C_SessionCancel(seat.s, ck.CKF_SIGN))
    assert restored() in ("CKR_OK", "CKR_SAVED_STATE_INVALID")
    assert end(seat, "Sign") == NOT_INITIALIZED


def test_a_new_officer_of_an_old_name_is_another_one(seat: Seat) -> None:
    """Who was logged in by the old one is not by the new."""
    who, _ = with_custom_role(seat)
    begun(seat, "Sign")
    seat.desk.ask("officer-delete", name=who)
    seat.desk.officer(who, ("CU", "/"))
    assert end(seat, "Sign") == NOT_INITIALIZED
    assert seat.m.find(seat.s, {ck.CKA_TOKEN: True}) == []
    assert seat.m.state(seat.s) == ck.CKS_RW_PUBLIC_SESSION


def test_no_thread_uses_a_key_after_the_removal_was_answered(seat: Seat) -> None:
    _, assignment = with_custom_role(seat)
    sessions = [seat.m.session(seat.slot) for _ in range(2)]
    key = seat.handle(b"mac")
    removed, started, late = threading.Event(), threading.Barrier(3), []

    def work(session: int) -> None:
        mechanism, data = seat.m.mechanism(CMAC), seat.m.bytes(TEXT)
        for turn in range(100_000):
            after = removed.is_set()
            rv = int(seat.m.C_SignInit(session, mechanism, key))
            rv = rv or seat.m.output(seat.m.C_Sign, session, data, 16)[0]
            if turn == 3:
                started.wait(30)
            if after:
                late.append(name(rv))
                return

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    started.wait(30)
    seat.desk.remove(assignment)
    removed.set()
    for thread in threads:
        thread.join(60)
    assert len(late) == 2 and "CKR_OK" not in late
    for session in sessions:
        good(seat.m.C_CloseSession(session))
