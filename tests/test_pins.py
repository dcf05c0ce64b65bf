"""PINs and the token through the C ABI: what wrong PINs cost, who sets whose, what C_InitToken leaves, what is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name

from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}
USER_BITS = (ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED)
SO_BITS = (ck.CKF_SO_PIN_COUNT_LOW, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_LOCKED)
LABEL = b"again".ljust(32)


def login(m: Module, s: int, token: Any, user: int = ck.CKU_USER) -> None:
    good(m.login(s, token.pin if user == ck.CKU_USER else token.so_pin, user))


def wrong(m: Module, s: int, times: int, user: int = ck.CKU_USER) -> None:
    for _ in range(times):
        assert name(m.login(s, "not the PIN", user)) == "CKR_PIN_INCORRECT"


def told(m: Module, bits: tuple[int, int, int]) -> tuple[bool, bool, bool]:
    flags = m.token().flags
    return bool(flags & bits[0]), bool(flags & bits[1]), bool(flags & bits[2])


def set_pin(m: Module, s: int, old: str, new: str) -> str:
    return name(m.C_SetPIN(s, old.encode(), len(old), new.encode(), len(new)))


# -- PINs


def test_a_null_pin_is_for_a_protected_path_which_there_is_none(m: Module, adyton_token: Any) -> None:
    """An empty PIN is one like others, and wrong."""
    assert not m.token().flags & ck.CKF_PROTECTED_AUTHENTICATION_PATH
    s = m.session()
    for user in (ck.CKU_USER, ck.CKU_SO):
        assert name(m.C_Login(s, user, NULL, 0)) == "CKR_ARGUMENTS_BAD"
        assert name(m.C_Login(s, user, b"", 0)) == "CKR_PIN_INCORRECT"
    assert name(m.C_SetPIN(s, NULL, 0, b"12345678", 8)) == "CKR_ARGUMENTS_BAD"
    old = adyton_token.pin.encode()
    assert name(m.C_SetPIN(s, old, len(old), NULL, 0)) == "CKR_ARGUMENTS_BAD"
    assert set_pin(m, s, adyton_token.pin, "") == "CKR_PIN_LEN_RANGE"
    assert told(m, USER_BITS) == told(m, SO_BITS) == (False, False, False)
    login(m, s, adyton_token)


@pytest.mark.parametrize(("user", "bits"), [(ck.CKU_USER, USER_BITS), (ck.CKU_SO, SO_BITS)], ids=["user", "so"])
def test_pin_flags_tell_the_truth_at_every_moment(
    m: Module, adyton_token: Any, user: int, bits: tuple[int, int, int]
) -> None:
    s = m.session()
    assert told(m, bits) == (False, False, False)
    wrong(m, s, 1, user)
    assert told(m, bits) == (True, False, False)
    login(m, s, adyton_token, user)
    assert told(m, bits) == (False, False, False)
    good(m.C_Logout(s))
    wrong(m, s, 8, user)
    assert told(m, bits) == (True, False, False)
    wrong(m, s, 1, user)
    assert told(m, bits) == (True, True, False)
    wrong(m, s, 1, user)
    assert told(m, bits) == (True, False, True)
    right = adyton_token.pin if user == ck.CKU_USER else adyton_token.so_pin
    assert name(m.login(s, right, user)) == "CKR_PIN_LOCKED"
    assert name(m.C_LoginUser(s, user, right.encode(), len(right), NULL, 0)) == "CKR_PIN_LOCKED"


def test_the_so_frees_a_locked_user_pin_and_no_key_is_lost(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    m.aes(s, token=True, label=b"kept")
    good(m.C_Logout(s))
    wrong(m, s, 10)
    login(m, s, adyton_token, ck.CKU_SO)
    good(m.C_InitPIN(s, b"24682468", 8))
    assert told(m, USER_BITS) == (False, False, False)
    good(m.C_Logout(s))
    good(m.login(s, "24682468"))
    assert len(m.find(s, {ck.CKA_LABEL: b"kept"})) == 1


def test_a_pin_that_can_be_nobodys_is_wrong_and_costs_no_try(m: Module, adyton_token: Any) -> None:
    s = m.session()
    for pin in ("", "1", "1" * 256):
        assert name(m.login(s, pin)) == "CKR_PIN_INCORRECT"
    assert told(m, USER_BITS) == (False, False, False)


def test_ten_wrong_pins_lock_for_good_also_through_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    stop = [sys.executable, "-m", "hsm.cli.main", "stop"]
    with initialised(ThrowAway().module) as m:
        good(m.C_InitToken(0, b"12345678", 8, LABEL))
        s = m.session()
        wrong(m, s, 10, ck.CKU_SO)
        subprocess.run(stop, check=True, env={**os.environ, "ADYTON_HOME": str(tmp_path / "pool")}, capture_output=True)
        m.C_CloseSession(s)
        assert told(m, SO_BITS) == (True, False, True)
        assert name(m.login(m.session(), "12345678", ck.CKU_SO)) == "CKR_PIN_LOCKED"
        good(m.C_CloseAllSessions(0))
        assert name(m.C_InitToken(0, b"12345678", 8, LABEL)) == "CKR_PIN_LOCKED"
    subprocess.run(stop, check=True, capture_output=True)


def test_set_pin_in_every_state_of_a_session(m: Module, adyton_token: Any) -> None:
    """Nobody logged in: the user's; logged in: one's own; never in a read-only session."""
    s, read_only = m.session(), m.session(read_write=False)
    assert set_pin(m, s, adyton_token.pin, "11112222") == "CKR_OK"
    assert set_pin(m, read_only, "11112222", "33334444") == "CKR_SESSION_READ_ONLY"
    good(m.login(s, "11112222"))
    assert set_pin(m, read_only, "11112222", "33334444") == "CKR_SESSION_READ_ONLY"
    assert set_pin(m, s, "11112222", "33334444") == "CKR_OK"
    good(m.C_CloseSession(read_only))
    good(m.C_Logout(s))
    login(m, s, adyton_token, ck.CKU_SO)
    assert set_pin(m, s, adyton_token.so_pin, "55556666") == "CKR_OK"
    good(m.C_Logout(s))
    good(m.login(s, "55556666", ck.CKU_SO))
    good(m.C_Logout(s))
    good(m.login(s, "33334444"))


def test_init_pin_in_every_state_of_a_session(m: Module, adyton_token: Any) -> None:
    """Section 5.5.8: in an SO session only, whatever else is said otherwise; and then as often as one likes."""
    s = m.session()
    for read_write in (True, False):
        session = m.session(read_write=read_write)
        assert name(m.C_InitPIN(session, b"24682468", 8)) == "CKR_USER_NOT_LOGGED_IN"
    login(m, s, adyton_token)
    for read_write in (True, False):
        session = m.session(read_write=read_write)
        assert name(m.C_InitPIN(session, b"24682468", 8)) == "CKR_USER_NOT_LOGGED_IN"
    good(m.C_CloseAllSessions(0))
    s = m.session()
    login(m, s, adyton_token, ck.CKU_SO)
    for pin in (b"24682468", b"13571357"):
        good(m.C_InitPIN(s, pin, 8))
    good(m.C_Logout(s))
    assert name(m.login(s, "24682468")) == "CKR_PIN_INCORRECT"
    good(m.login(s, "13571357"))


def test_a_wrong_old_pin_counts_as_one_at_login_does(m: Module, adyton_token: Any) -> None:
    s = m.session()
    assert set_pin(m, s, "not the PIN", "11112222") == "CKR_PIN_INCORRECT"
    assert told(m, USER_BITS) == (True, False, False)
    for _ in range(9):
        set_pin(m, s, "not the PIN", "11112222")
    assert set_pin(m, s, adyton_token.pin, "11112222") == "CKR_PIN_LOCKED"


def test_a_user_without_a_pin(m: Module, adyton_token: Any) -> None:
    pin = adyton_token.so_pin.encode()
    good(m.C_InitToken(0, pin, len(pin), LABEL))
    assert not m.token().flags & ck.CKF_USER_PIN_INITIALIZED
    s = m.session()
    assert name(m.login(s, "12345678")) == "CKR_USER_PIN_NOT_INITIALIZED"
    assert name(m.C_LoginUser(s, ck.CKU_USER, b"12345678", 8, b"user", 4)) == "CKR_USER_PIN_NOT_INITIALIZED"
    assert set_pin(m, s, "12345678", "11112222") == "CKR_PIN_INCORRECT"
    login(m, s, adyton_token, ck.CKU_SO)
    good(m.C_InitPIN(s, b"12345678", 8))
    assert m.token().flags & ck.CKF_USER_PIN_INITIALIZED


# -- the token


def slots(m: Module, present: bool) -> list[int]:
    count, found = ffi.new("CK_ULONG*", 8), ffi.new("CK_SLOT_ID[8]")
    good(m.C_GetSlotList(present, found, count))
    return [int(found[i]) for i in range(count[0])]


def test_slot_numbers_are_small_and_stay_and_no_spare_slot_shows(m: Module, adyton_token: Any) -> None:
    """Programs keep them in 32 bits, signed, and look a token up again by its slot after C_InitToken."""
    before = slots(m, True)
    assert before == slots(m, False) == [0]
    pin = adyton_token.so_pin.encode()
    good(m.C_InitToken(0, pin, len(pin), LABEL))
    assert slots(m, True) == slots(m, False) == before


def test_initialising_again_checks_the_so_pin_and_destroys_everything_but_slot_and_serial(
    m: Module, adyton_token: Any
) -> None:
    s = m.session()
    login(m, s, adyton_token)
    m.aes(s, token=True)
    m.make(s, {**DATA, ck.CKA_TOKEN: True})
    serial = bytes(ffi.buffer(m.token().serialNumber))
    pin = adyton_token.so_pin.encode()
    assert name(m.C_InitToken(0, pin, len(pin), LABEL)) == "CKR_SESSION_EXISTS"
    good(m.C_CloseAllSessions(0))
    assert name(m.C_InitToken(0, b"not the PIN", 11, LABEL)) == "CKR_PIN_INCORRECT"
    assert told(m, SO_BITS) == (True, False, False)
    good(m.C_InitToken(0, pin, len(pin), LABEL))
    assert told(m, SO_BITS) == (False, False, False)
    assert bytes(ffi.buffer(m.token().serialNumber)) == serial
    assert bytes(ffi.buffer(m.token().label)) == LABEL
    s = m.session()
    login(m, s, adyton_token, ck.CKU_SO)
    good(m.C_InitPIN(s, adyton_token.pin.encode(), len(adyton_token.pin)))
    good(m.C_Logout(s))
    login(m, s, adyton_token)
    assert m.find(s, {}) == []


def test_another_applications_session_keeps_the_token_from_being_initialised(m: Module, adyton_token: Any) -> None:
    code = """
import sys
from abi import *
m = Module(sys.argv[1]); good(m.C_Initialize(NULL)); m.session(); print(flush=True); sys.stdin.read()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    other = subprocess.Popen(
        [sys.executable, "-c", code, adyton_token.module], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    pin = adyton_token.so_pin.encode()
    assert m.token().ulSessionCount == 0
    assert name(m.C_InitToken(0, pin, len(pin), LABEL)) == "CKR_SESSION_EXISTS"
    other.communicate(b"")


def test_texts_are_padded_with_blanks_and_ended_by_nothing(m: Module, adyton_token: Any) -> None:
    slot, token = ffi.new("CK_SLOT_INFO*"), m.token()
    good(m.C_GetSlotInfo(0, slot))
    texts = [token.label, token.manufacturerID, token.model, token.serialNumber]
    for text in (*texts, slot.slotDescription, slot.manufacturerID):
        raw = bytes(ffi.buffer(text))
        assert b"\0" not in raw and raw.decode().strip(" ")
    assert bytes(ffi.buffer(token.label)).rstrip(b" ") == adyton_token.label.encode()
    assert not token.flags & ck.CKF_CLOCK_ON_TOKEN
    assert bytes(ffi.buffer(token.utcTime)) == b" " * 16
    assert slot.flags == ck.CKF_TOKEN_PRESENT


def test_slot_and_token_answer_before_any_list_and_the_counts_are_this_applications(adyton_token: Any) -> None:
    with initialised(adyton_token.module) as m:
        good(m.C_GetSlotInfo(0, ffi.new("CK_SLOT_INFO*")))
        assert (m.token().ulSessionCount, m.token().ulRwSessionCount) == (0, 0)
        m.session()
        m.session(read_write=False)
        assert (m.token().ulSessionCount, m.token().ulRwSessionCount) == (2, 1)
        assert m.token().ulMaxSessionCount == m.token().ulMaxRwSessionCount == ck.CK_EFFECTIVELY_INFINITE
        good(m.C_CloseAllSessions(0))
        assert (m.token().ulSessionCount, m.token().ulRwSessionCount) == (0, 0)


def test_every_mechanism_that_is_listed_has_its_information(m: Module) -> None:
    count = ffi.new("CK_ULONG*")
    good(m.C_GetMechanismList(0, NULL, count))
    numbers = ffi.new("CK_MECHANISM_TYPE[]", count[0])
    good(m.C_GetMechanismList(0, numbers, count))
    assert len(set(numbers)) == count[0] > 60
    for number in numbers:
        info = ffi.new("CK_MECHANISM_INFO*")
        good(m.C_GetMechanismInfo(0, number, info))
        assert info.flags and info.ulMinKeySize <= info.ulMaxKeySize
