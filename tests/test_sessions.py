"""Sessions and logins through the C ABI: who is logged in where, what a logout ends, what threads do to each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, name

from pkcs11_shim import constants as ck

DATA = {ck.CKA_CLASS: ck.CKO_DATA}
P256 = bytes.fromhex("06082a8648ce3d030107")
LABEL = b"again".ljust(32)


def login(m: Module, s: int, token: Any, user: int = ck.CKU_USER) -> None:
    good(m.login(s, token.pin if user == ck.CKU_USER else token.so_pin, user))


# -- who is logged in


def test_login_is_of_the_application_and_new_sessions_inherit_it(m: Module, adyton_token: Any) -> None:
    one, read_only = m.session(), m.session(read_write=False)
    assert (m.state(one), m.state(read_only)) == (ck.CKS_RW_PUBLIC_SESSION, ck.CKS_RO_PUBLIC_SESSION)
    login(m, read_only, adyton_token)
    assert (m.state(one), m.state(read_only)) == (ck.CKS_RW_USER_FUNCTIONS, ck.CKS_RO_USER_FUNCTIONS)
    assert m.state(m.session()) == ck.CKS_RW_USER_FUNCTIONS
    good(m.C_Logout(one))
    assert (m.state(one), m.state(read_only)) == (ck.CKS_RW_PUBLIC_SESSION, ck.CKS_RO_PUBLIC_SESSION)


def test_the_last_session_closed_logs_out(m: Module, adyton_token: Any) -> None:
    one, two = m.session(), m.session()
    login(m, one, adyton_token)
    good(m.C_CloseSession(one))
    assert m.state(two) == ck.CKS_RW_USER_FUNCTIONS
    good(m.C_CloseSession(two))
    assert m.state(m.session()) == ck.CKS_RW_PUBLIC_SESSION


def test_closing_all_sessions_logs_out(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    good(m.C_CloseAllSessions(0))
    assert name(m.C_GetSessionInfo(s, ffi.new("CK_SESSION_INFO*"))) == "CKR_SESSION_HANDLE_INVALID"
    assert m.state(m.session()) == ck.CKS_RW_PUBLIC_SESSION


def test_the_so_works_in_read_write_sessions_only(m: Module, adyton_token: Any) -> None:
    s, read_only = m.session(), m.session(read_write=False)
    assert name(m.login(s, adyton_token.so_pin, ck.CKU_SO)) == "CKR_SESSION_READ_ONLY_EXISTS"
    good(m.C_CloseSession(read_only))
    login(m, s, adyton_token, ck.CKU_SO)
    assert m.state(s) == ck.CKS_RW_SO_FUNCTIONS
    made = ffi.new("CK_SESSION_HANDLE*")
    rv = m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, NULL, NULL, made)
    assert name(rv) == "CKR_SESSION_READ_WRITE_SO_EXISTS"
    good(m.C_Logout(s))
    good(m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, NULL, NULL, made))


def test_the_so_sees_no_private_object(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    key = m.make(s, {**DATA, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: True})
    good(m.C_Logout(s))
    login(m, s, adyton_token, ck.CKU_SO)
    assert m.find(s, {}) == []
    assert name(m.C_DestroyObject(s, key)) == "CKR_OBJECT_HANDLE_INVALID"


def test_two_threads_log_in_together_and_one_is_told_so(m: Module, adyton_token: Any) -> None:
    for _ in range(10):
        sessions = [m.session(), m.session()]
        answers: list[str] = []
        both(*(lambda s=s, a=answers: a.append(name(m.login(s, adyton_token.pin))) for s in sessions))
        assert sorted(answers) == ["CKR_OK", "CKR_USER_ALREADY_LOGGED_IN"]
        good(m.C_CloseAllSessions(0))


def both(*work: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=w) for w in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_login_user_by_name(m: Module, adyton_token: Any) -> None:
    s, pin = m.session(), adyton_token.pin.encode()
    good(m.C_LoginUser(s, ck.CKU_USER, pin, len(pin), b"user", 4))
    good(m.C_Logout(s))
    assert name(m.C_LoginUser(s, ck.CKU_USER, pin, len(pin), b"so", 2)) == "CKR_PIN_INCORRECT"
    good(m.C_LoginUser(s, ck.CKU_USER, pin, len(pin), NULL, 0))


def test_login_by_name_and_pin_in_one(m: Module, adyton_token: Any) -> None:
    s = m.session()
    good(m.login(s, f"user:{adyton_token.pin}"))
    good(m.C_Logout(s))
    assert name(m.login(s, f"so:{adyton_token.so_pin}")) == "CKR_PIN_INCORRECT"
    good(m.login(s, f"so:{adyton_token.so_pin}", ck.CKU_SO))


# -- what a logout ends


def test_a_logout_without_a_login_is_told_and_harms_nothing(m: Module, adyton_token: Any) -> None:
    s = m.session()
    assert name(m.C_Logout(s)) == "CKR_USER_NOT_LOGGED_IN"
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    assert name(m.C_Logout(s)) == "CKR_USER_NOT_LOGGED_IN"
    good(m.output(m.C_Digest, s, b"x", 1)[0])
    login(m, s, adyton_token)
    good(m.C_Logout(s))
    assert name(m.C_Logout(s)) == "CKR_USER_NOT_LOGGED_IN"


def test_logout_voids_private_handles_for_ever_and_keeps_public_ones(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    private = m.make(s, {**DATA, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: True, ck.CKA_LABEL: b"p"})
    public = m.make(s, {**DATA, ck.CKA_LABEL: b"q"})
    good(m.C_Logout(s))
    login(m, s, adyton_token)
    size = ffi.new("CK_ULONG*")
    assert name(m.C_GetObjectSize(s, private, size)) == "CKR_OBJECT_HANDLE_INVALID"
    good(m.C_GetObjectSize(s, public, size))
    assert len(m.find(s, {ck.CKA_LABEL: b"p"})) == 1


def test_logout_destroys_private_session_objects(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    m.aes(s, label=b"private")
    m.make(s, {**DATA, ck.CKA_LABEL: b"public"})
    good(m.C_Logout(s))
    login(m, s, adyton_token)
    assert m.find(s, {ck.CKA_LABEL: b"private"}) == []
    assert len(m.find(s, {ck.CKA_LABEL: b"public"})) == 1


def test_an_operation_with_a_private_key_does_not_go_on_under_a_later_login(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    rv, _, key = m.pair(
        s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256, ck.CKA_TOKEN: True}, {ck.CKA_TOKEN: True}
    )
    good(rv)
    good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA_SHA256), key))
    good(m.C_SignUpdate(s, b"part", 4))
    good(m.C_Logout(s))
    login(m, s, adyton_token)
    assert name(m.C_SignUpdate(s, b"part", 4)) == "CKR_OPERATION_NOT_INITIALIZED"
    key = m.find(s, {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})[0]
    good(m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA_SHA256), key))


def test_a_new_init_after_a_logout_finds_nothing_active(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), m.aes(s)))
    good(m.C_Logout(s))
    login(m, s, adyton_token)
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), m.aes(s)))


def test_a_digest_outlives_a_logout(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_Logout(s))
    good(m.C_DigestUpdate(s, b"x", 1))


def test_session_objects_are_the_applications_and_die_with_their_session(m: Module) -> None:
    one, two = m.session(), m.session()
    item = m.make(one, {**DATA, ck.CKA_LABEL: b"mine"})
    assert m.read(two, item, ck.CKA_LABEL) == b"mine"
    good(m.C_CloseSession(one))
    assert name(m.C_DestroyObject(two, item)) == "CKR_OBJECT_HANDLE_INVALID"
    assert m.find(two, {ck.CKA_LABEL: b"mine"}) == []


def test_a_key_destroyed_in_the_middle_ends_the_operation(m: Module, adyton_token: Any) -> None:
    one, two = m.session(), m.session()
    login(m, one, adyton_token)
    key = m.aes(two)
    good(m.C_EncryptInit(one, m.mechanism(ck.CKM_AES_ECB), key))
    good(m.C_DestroyObject(two, key))
    assert name(m.output(m.C_Encrypt, one, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"


# -- cancelling


def test_session_cancel_ends_what_is_named_and_nothing_else(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    key = m.aes(s)
    good(m.C_FindObjectsInit(s, NULL, 0))
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_ECB), key))
    good(m.C_SessionCancel(s, 0))
    good(m.C_SessionCancel(s, ck.CKF_SIGN | ck.CKF_MESSAGE_ENCRYPT | ck.CKF_ENCRYPT | ck.CKF_FIND_OBJECTS))
    assert name(m.C_FindObjectsFinal(s)) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(m.output(m.C_Encrypt, s, bytes(16), 16)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.output(m.C_DigestFinal, s)[0])


@pytest.mark.parametrize("kind", ["Encrypt", "Decrypt", "Sign", "Verify", "Digest"])
def test_init_without_a_mechanism_cancels_what_is_active_and_is_an_error_otherwise(
    m: Module, adyton_token: Any, kind: str
) -> None:
    s = m.session()
    login(m, s, adyton_token)
    number = {"Digest": ck.CKM_SHA256, "Sign": ck.CKM_AES_CMAC, "Verify": ck.CKM_AES_CMAC}.get(kind, ck.CKM_AES_ECB)
    keys = () if kind == "Digest" else (m.aes(s),)
    init = getattr(m, f"C_{kind}Init")
    assert name(init(s, NULL, *keys)) == "CKR_ARGUMENTS_BAD"
    good(init(s, m.mechanism(number), *keys))
    good(init(s, NULL, *keys))
    out = (bytes(16), 16) if kind == "Verify" else (ffi.new("CK_BYTE[64]"), ffi.new("CK_ULONG*", 64))
    assert name(getattr(m, f"C_{kind}Final")(s, *out)) == "CKR_OPERATION_NOT_INITIALIZED"
    good(init(s, m.mechanism(number), *keys))


# -- several threads


def test_a_login_that_comes_too_late_logs_nobody_in(m: Module, adyton_token: Any) -> None:
    """One thread logs in while another closes all sessions: the next session is a public one, or the login was its."""
    for _ in range(30):
        s = m.session()
        answers: list[str] = []
        both(
            lambda s=s, a=answers: a.append(name(m.login(s, adyton_token.pin))), lambda: good(m.C_CloseAllSessions(0))
        )
        assert answers[0] in ("CKR_OK", "CKR_SESSION_CLOSED", "CKR_SESSION_HANDLE_INVALID")
        assert m.state(m.session()) == ck.CKS_RW_PUBLIC_SESSION
        good(m.C_CloseAllSessions(0))


def test_what_threads_leave_behind_keeps_no_token_busy(m: Module, adyton_token: Any) -> None:
    """Sessions opened, closed and used by several threads at once are counted right, and leave no object behind."""
    keep = m.session()
    login(m, keep, adyton_token)
    answers: set[str] = set()

    def work() -> None:
        for _ in range(40):
            s = m.session()
            other = threading.Thread(target=lambda s=s: m.C_CloseSession(s))
            other.start()
            made = ffi.new("CK_OBJECT_HANDLE*")
            answers.add(name(m.C_CreateObject(s, *m.template({**DATA, ck.CKA_PRIVATE: True}), made)))
            other.join()

    both(*[work] * 4)
    assert answers <= {"CKR_OK", "CKR_SESSION_CLOSED", "CKR_SESSION_HANDLE_INVALID"}
    assert m.find(keep, {}) == []
    good(m.C_CloseAllSessions(0))
    pin = adyton_token.so_pin.encode()
    good(m.C_InitToken(0, pin, len(pin), LABEL))


def test_logins_and_logouts_amid_searches_and_uses(m: Module, adyton_token: Any) -> None:
    """Private objects are made, found and used while another thread logs out and in: precise codes, no fault."""
    keep = m.session()
    login(m, keep, adyton_token)
    stop = threading.Event()
    answers: set[str] = set()
    searches: set[str] = set()  # which find something or nothing, and never fail for somebody's login

    def use() -> None:
        s = m.session()
        while not stop.is_set():
            rv, key = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16})
            answers.add(name(rv))
            answers.add(name(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[0]))
            searches.add(name(m.C_FindObjectsInit(s, *m.template({ck.CKA_CLASS: ck.CKO_SECRET_KEY}))))
            searches.add(name(m.C_FindObjectsFinal(s)))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        good(m.C_Logout(keep))
        login(m, keep, adyton_token)
    stop.set()
    for thread in threads:
        thread.join()
    assert answers <= {
        "CKR_OK", "CKR_USER_NOT_LOGGED_IN", "CKR_KEY_HANDLE_INVALID", "CKR_OPERATION_NOT_INITIALIZED",
        "CKR_KEY_FUNCTION_NOT_PERMITTED",
    }
    assert searches == {"CKR_OK"}
    good(m.C_Logout(keep))
    login(m, keep, adyton_token)
    assert m.find(keep, {}) == []


def test_two_threads_in_one_session(m: Module, adyton_token: Any) -> None:
    s = m.session()
    login(m, s, adyton_token)
    key = m.aes(s)
    answers: set[str] = set()

    def work() -> None:
        for _ in range(100):
            answers.add(name(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_ECB), key, bytes(16))[0]))

    both(work, work)
    assert answers <= {"CKR_OK", "CKR_OPERATION_ACTIVE", "CKR_OPERATION_NOT_INITIALIZED"}
