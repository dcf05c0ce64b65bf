"""Ways out of one's scope, tried by officers who have a role on one key: each ends where the role ends.

The key that is not theirs is "this", made by another; theirs is "mine".
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from abi import Module, ffi, good, name
from roles_world import CBC, CMAC, KINDS, KWP, MAKER, SECRET, THIS, Desk, Seat, desks

from pkcs11_shim import constants as ck

MINE = b"mine"
TEXT, IV = b"sixteen bytes ok", bytes(16)
NOT_INITIALIZED = "CKR_OPERATION_NOT_INITIALIZED"


@pytest.fixture(scope="module")
def pool() -> Iterator[tuple[Module, dict[str, Desk]]]:
    with desks() as made:
        for desk in made[1].values():
            desk.officer(MAKER, ("CU", "/"))
        yield made


@pytest.fixture(params=KINDS)
def seat(pool: tuple[Module, dict[str, Desk]], request: pytest.FixtureRequest) -> Iterator[Seat]:
    """Fresh keys "this" and a key to wrap it with, "kek"; whoever sat here is logged out."""
    m, found = pool
    made = Seat(m, found[request.param], request.param)
    made.sit(MAKER)
    made.key(b"mac", encrypt=False, decrypt=False)
    made.wrapper(b"kek", b"kek")
    yield made
    made.logout()
    made.sit(MAKER)
    for handle in made.m.find(made.s, {ck.CKA_TOKEN: True}):
        good(made.m.C_DestroyObject(made.s, handle))
    good(made.m.C_CloseSession(made.s))
    made.desk.clear()


def officer(seat: Seat, *roles: tuple[str, str]) -> str:
    """A new one, who sits down."""
    made = seat.desk.officer(seat.new("officer"), *roles)
    seat.sit(made)
    return made


def sign(seat: Seat, key: int) -> str:
    return name(seat.m.use("Sign", seat.s, seat.m.mechanism(CMAC), key, TEXT)[0])


def backed_up(seat: Seat) -> bytes:
    """The maker's: a key "this" that may be wrapped, and it wrapped. A managed HSM's token keys leave it in no way but
    by having been session keys first."""
    rows: dict[str, Any] = {"label": THIS, "id": b"saved", "encrypt": False, "decrypt": False}
    kwp, kek = seat.m.mechanism(KWP), seat.handle(b"kek")
    target = seat.m.aes(seat.s, extractable=True, token=seat.kind == "token", **rows)
    rv, blob = seat.m.wrap(seat.s, kwp, kek, target)
    good(rv)
    if seat.kind == "managed-hsm":
        given = {getattr(ck, f"CKA_{n.upper()}"): v for n, v in rows.items()}
        good(seat.m.unwrap(seat.s, kwp, kek, blob, {**SECRET, **given, ck.CKA_TOKEN: True})[0])
    return blob


def unwrap(seat: Seat, blob: bytes, **more: Any) -> tuple[str, int]:
    rows = {**SECRET, ck.CKA_ENCRYPT: False, ck.CKA_DECRYPT: False}
    rows |= {getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}
    rv, handle = seat.m.unwrap(seat.s, seat.m.mechanism(KWP), seat.handle(b"kek"), blob, rows)
    return name(rv), handle


# -- finding and guessing


def test_no_handle_that_is_guessed_is_another_keys(seat: Seat) -> None:
    officer(seat, ("CU", "/keys/mine"))
    mine = seat.m.aes(seat.s, token=True, label=MINE)
    found = [
        handle for handle in range(max(mine - 300, 1), mine + 300)
        if seat.m.C_GetAttributeValue(seat.s, handle, *seat.m.template({ck.CKA_CLASS: None})) == ck.CKR_OK
    ]
    assert found == [mine]
    assert sign(seat, seat.stale[b"mac"]) == "CKR_KEY_HANDLE_INVALID"


def test_no_search_finds_another_key(seat: Seat) -> None:
    unique = seat.m.read(seat.s, seat.handle(b"mac"), ck.CKA_UNIQUE_ID)
    assert seat.m.find(seat.s, {ck.CKA_UNIQUE_ID: unique})
    officer(seat, ("CU", "/keys/mine"))
    mine = seat.m.aes(seat.s, token=True, label=MINE)
    assert seat.m.find(seat.s, {ck.CKA_UNIQUE_ID: unique}) == []
    assert seat.m.find(seat.s, {ck.CKA_LABEL: THIS}) == []
    assert seat.m.find(seat.s, {}) == [mine]


def test_a_role_is_on_all_versions_of_a_name_and_on_later_ones(seat: Seat) -> None:
    one = officer(seat, ("CU", "/keys/This"))  # names make no difference between T and t
    assert sign(seat, seat.handle(b"mac")) == "CKR_OK"
    seat.sit(MAKER)
    good(seat.m.C_DestroyObject(seat.s, seat.handle(b"mac")))
    for which in (b"second", b"third"):
        seat.key(which, encrypt=False, decrypt=False)
    seat.key(b"longer", b"this-one")
    seat.key(b"shorter", b"thi")
    seat.sit(one)
    assert [sign(seat, seat.handle(which)) for which in (b"second", b"third")] == ["CKR_OK"] * 2
    assert seat.m.find(seat.s, {ck.CKA_ID: b"longer"}) == seat.m.find(seat.s, {ck.CKA_ID: b"shorter"}) == []


def test_data_has_no_name_although_it_has_that_label(seat: Seat) -> None:
    good(seat.data(THIS, private=True)[0])
    officer(seat, ("CU", "/keys/this"))
    assert seat.m.find(seat.s, {ck.CKA_CLASS: ck.CKO_DATA}) == []
    officer(seat, ("CU", "/keys"))
    assert len(seat.m.find(seat.s, {ck.CKA_CLASS: ck.CKO_DATA})) == 1


# -- names


def test_a_new_label_moves_nobodys_scope(seat: Seat) -> None:
    theirs = officer(seat, ("CU", "/keys/this"))
    good(seat.m.change(seat.s, seat.handle(b"mac"), {ck.CKA_LABEL: MINE}))
    assert sign(seat, seat.handle(b"mac")) == "CKR_OK"
    mine = officer(seat, ("CU", "/keys/mine"))
    assert seat.m.find(seat.s, {ck.CKA_LABEL: MINE}) == []
    own = seat.m.aes(seat.s, token=True, label=MINE, id=b"own")
    good(seat.m.change(seat.s, own, {ck.CKA_LABEL: THIS}))
    # What is copied gets its name by the label, and "this" is not mine to make.
    assert name(seat.m.copy(seat.s, own, {ck.CKA_ID: b"copy"})[0]) == "CKR_ACTION_PROHIBITED"
    good(seat.m.copy(seat.s, own, {ck.CKA_LABEL: b"MINE"})[0])
    seat.sit(theirs)
    assert seat.m.find(seat.s, {ck.CKA_ID: b"own"}) == []
    seat.sit(mine)
    assert len(seat.m.find(seat.s, {ck.CKA_ID: b"own"})) == 2


def test_each_half_of_a_pair_is_made_by_its_own_name(seat: Seat) -> None:
    officer(seat, ("CU", "/keys/mine"))
    curve = {ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"), ck.CKA_TOKEN: True}
    for public, private in ((MINE, THIS), (THIS, MINE)):
        rv, _, handle = seat.m.pair(seat.s, ck.CKM_EC_KEY_PAIR_GEN, {**curve, ck.CKA_LABEL: public},
                                    {ck.CKA_TOKEN: True, ck.CKA_LABEL: private})
        if (seat.kind, private) == ("token", MINE):  # anybody makes public keys there
            good(rv)
            assert seat.m.read(seat.s, handle, ck.CKA_LABEL) == MINE
        else:
            assert name(rv) == "CKR_USER_NOT_LOGGED_IN"


def test_a_template_in_the_unwrapping_key_gives_no_name(seat: Seat) -> None:
    officer(seat, ("CU", "/keys/mine"))
    rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_TOKEN: True, ck.CKA_LABEL: MINE, ck.CKA_ENCRYPT: False, ck.CKA_DECRYPT: False,
            ck.CKA_UNWRAP_TEMPLATE: {ck.CKA_TOKEN: True, ck.CKA_LABEL: THIS}}
    rv, own = seat.m.generate(seat.s, ck.CKM_AES_KEY_GEN, rows)
    good(rv)
    kwp = seat.m.mechanism(KWP)
    rv, blob = seat.m.wrap(seat.s, kwp, own, seat.m.aes(seat.s, extractable=True))
    good(rv)
    assert name(seat.m.unwrap(seat.s, kwp, own, blob, SECRET)[0]) == "CKR_USER_NOT_LOGGED_IN"


# -- the value under another name


def test_who_reads_a_key_uses_no_copy_of_it_either(seat: Seat) -> None:
    officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"))
    rv, copy = seat.m.copy(seat.s, seat.handle(b"mac"), {ck.CKA_TOKEN: False, ck.CKA_LABEL: MINE})
    good(rv)
    rv, second = seat.m.copy(seat.s, copy, {})
    good(rv)
    for handle in (seat.handle(b"mac"), copy, second):
        assert sign(seat, handle) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: MINE}
        assert name(seat.m.copy(seat.s, handle, rows)[0]) == "CKR_ACTION_PROHIBITED"


def test_a_session_copy_outlives_its_key_and_not_its_scope(seat: Seat) -> None:
    """The key is destroyed by another application meanwhile."""
    officer(seat, ("AU", "/keys/this"), ("CU", "/keys/mine"), ("CU", "/keys/gone"))
    seat.desk.assign(seat.desk.officer(seat.new("destroyer")), "CU", "/keys/this")
    rv, copy = seat.m.copy(seat.s, seat.handle(b"mac"), {ck.CKA_TOKEN: False, ck.CKA_LABEL: MINE})
    good(rv)
    destroyed_elsewhere(seat, b"mac")
    assert seat.m.find(seat.s, {ck.CKA_TOKEN: True, ck.CKA_ID: b"mac"}) == []
    assert sign(seat, copy) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: MINE}
    assert name(seat.m.copy(seat.s, copy, rows)[0]) == "CKR_ACTION_PROHIBITED"


def destroyed_elsewhere(seat: Seat, which: bytes) -> None:
    """By the maker, in a process of its own."""
    import subprocess
    import sys

    program = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from abi import good, initialised
from roles_world import MAKER, Desk, Seat
with initialised({seat_module()!r}) as m:
    seat = Seat(m, Desk("", {seat.slot}, ""), "")
    good(seat.login_user(MAKER))
    (key,) = m.find(seat.s, {{{ck.CKA_ID}: {which!r}, {ck.CKA_TOKEN}: True}})
    good(m.C_DestroyObject(seat.s, key))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def seat_module() -> str:
    return os.environ["ADYTON_MODULE"]


def test_a_blob_of_another_key_opens_under_no_name_of_ones_own(seat: Seat) -> None:
    blob = backed_up(seat)
    officer(seat, ("SE", "/keys/kek"), ("CU", "/keys/mine"))
    no = "CKR_USER_NOT_LOGGED_IN"
    assert unwrap(seat, blob)[0] == no
    assert unwrap(seat, blob, private=False)[0] == no
    assert unwrap(seat, blob, token=True, label=MINE)[0] == no
    assert unwrap(seat, blob, token=True, label=THIS)[0] == no
    assert unwrap(seat, blob, token=True, label=b"")[0] == no
    assert seat.m.find(seat.s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_LABEL: MINE}) == []


def test_a_blob_of_a_key_that_one_may_only_read_gives_no_use_of_it(seat: Seat) -> None:
    """As a session object it is asked for like the key; no public token object of the value is made either."""
    blob = backed_up(seat)
    officer(seat, ("SE", "/"), ("CU", "/keys/mine"))
    for private in (True, False):
        code, opened = unwrap(seat, blob, private=private)
        assert code == "CKR_OK"
        assert sign(seat, opened) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        for label in (MINE, THIS):
            rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label}
            assert name(seat.m.copy(seat.s, opened, rows)[0]) in ("CKR_ACTION_PROHIBITED", "CKR_TEMPLATE_INCONSISTENT")
    for label in (MINE, THIS):
        for private in (True, False):
            code, _ = unwrap(seat, blob, token=True, label=label, private=private)
            # A managed HSM has no public ones at all.
            public = seat.kind == "managed-hsm" and not private
            assert code == ("CKR_TEMPLATE_INCONSISTENT" if public else "CKR_USER_NOT_LOGGED_IN"), (label, private)


def test_a_session_object_of_the_value_is_no_use_to_whoever_comes_next(seat: Seat) -> None:
    """It is public, so it stays when its maker logs out."""
    blob = backed_up(seat)
    code, opened = unwrap(seat, blob, private=False)
    assert (code, sign(seat, opened)) == ("CKR_OK", "CKR_OK")
    seat.logout()
    assert sign(seat, opened) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    officer(seat, ("AU", "/"), ("CU", "/keys/mine"))
    assert sign(seat, opened) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
    officer(seat, ("CU", "/keys/this"))
    assert sign(seat, opened) == "CKR_OK"


def test_a_value_that_is_known_comes_in_under_no_second_name(seat: Seat) -> None:
    value = os.urandom(32)
    rows = {**SECRET, ck.CKA_VALUE: value, ck.CKA_TOKEN: True}
    good(seat.m.create(seat.s, {**rows, ck.CKA_LABEL: THIS})[0])
    officer(seat, ("CU", "/keys/mine"))
    assert name(seat.m.create(seat.s, {**rows, ck.CKA_LABEL: MINE})[0]) == "CKR_USER_NOT_LOGGED_IN"
    assert name(seat.m.create(seat.s, {**rows, ck.CKA_TOKEN: False})[0]) == "CKR_USER_NOT_LOGGED_IN"
    officer(seat, ("CU", "/keys/mine"), ("BK", "/keys/this"))
    good(seat.m.create(seat.s, {**rows, ck.CKA_LABEL: MINE})[0])


# -- roles that end while something goes on


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
