"""Keys that ask for a login at each use, through the C ABI: what the login is good for, and what goes without it."""

from __future__ import annotations

from typing import Any

import pytest
from abi import NULL, Module, ffi, good, name

from pkcs11_shim import constants as ck

P256 = bytes.fromhex("06082a8648ce3d030107")
ALWAYS = ck.CKA_ALWAYS_AUTHENTICATE
FLAGS = (ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED)
HASHED = ck.CKM_ECDSA_SHA256


@pytest.fixture
def s(m: Module, adyton_token: Any) -> int:
    session = m.session()
    good(m.login(session, adyton_token.pin))
    return session


@pytest.fixture
def pin(adyton_token: Any) -> str:
    return str(adyton_token.pin)


def ec(m: Module, s: int, private: Any = None) -> int:
    rv, _, key = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, {ALWAYS: True, **(private or {})})
    good(rv)
    return int(key)


def rsa(m: Module, s: int) -> tuple[int, int]:
    size = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, public, private = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, size, {ALWAYS: True})
    good(rv)
    return public, private


def again(m: Module, s: int, pin: str) -> str:
    return name(m.login(s, pin, ck.CKU_CONTEXT_SPECIFIC))


def sign(m: Module, s: int, data: bytes = b"data") -> str:
    return name(m.output(m.C_Sign, s, data, len(data))[0])


def told(m: Module) -> tuple[bool, ...]:
    flags = m.token().flags
    return tuple(bool(flags & bit) for bit in FLAGS)


# -- when it may be made


def test_it_needs_an_operation_that_asks(m: Module, s: int, pin: str) -> None:
    key = ec(m, s)
    assert again(m, s, pin) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s, {ALWAYS: False})))
    good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
    good(m.C_FindObjectsInit(s, NULL, 0))
    assert again(m, s, pin) == again(m, s, "not the PIN") == "CKR_OPERATION_NOT_INITIALIZED"
    assert sign(m, s) == "CKR_OK", "the operation was not touched"
    assert told(m) == (False, False, False), "and no try was spent"
    good(m.C_SignInit(s, m.mechanism(HASHED), key))
    assert again(m, m.session(), pin) == "CKR_OPERATION_NOT_INITIALIZED", "not for another session's operation"
    assert again(m, s, pin) == "CKR_OK"
    assert again(m, s, pin) == "CKR_OPERATION_NOT_INITIALIZED", "nothing waits for a second one"
    assert sign(m, s) == "CKR_OK"


def test_before_any_login_there_is_nothing_to_log_in_for(m: Module, pin: str) -> None:
    assert again(m, m.session(), pin) == "CKR_OPERATION_NOT_INITIALIZED"


def test_it_is_not_for_what_is_over(m: Module, s: int, pin: str) -> None:
    key = ec(m, s)
    good(m.C_SignInit(s, m.mechanism(HASHED), key))
    good(m.C_DestroyObject(s, key))
    assert again(m, s, pin) == "CKR_OPERATION_NOT_INITIALIZED"
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    good(m.C_Logout(s))
    good(m.login(s, pin))
    assert again(m, s, pin) == "CKR_OPERATION_NOT_INITIALIZED"


def test_an_ordinary_login_is_none(m: Module, s: int, pin: str) -> None:
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    assert name(m.login(s, pin)) == "CKR_USER_ALREADY_LOGGED_IN"
    assert sign(m, s) == "CKR_USER_NOT_LOGGED_IN"


# -- what it is good for


def test_it_is_good_for_one_operation_in_all_its_parts(m: Module, s: int, pin: str) -> None:
    key, mechanism = ec(m, s), m.mechanism(HASHED)
    good(m.C_SignInit(s, mechanism, key))
    assert again(m, s, pin) == "CKR_OK"
    for _ in range(2):
        good(m.C_SignUpdate(s, b"part", 4))
    good(m.output(m.C_SignFinal, s)[0])
    good(m.C_SignInit(s, mechanism, key))
    assert sign(m, s) == "CKR_USER_NOT_LOGGED_IN"
    assert sign(m, s) == "CKR_OPERATION_NOT_INITIALIZED"


def test_a_size_query_and_a_buffer_too_small_do_not_use_it_up(m: Module, s: int, pin: str) -> None:
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    assert again(m, s, pin) == "CKR_OK"
    good(m.C_Sign(s, b"data", 4, NULL, ffi.new("CK_ULONG*")))
    assert name(m.output(m.C_Sign, s, b"data", 4, size=63)[0]) == "CKR_BUFFER_TOO_SMALL"
    assert sign(m, s) == "CKR_OK"


@pytest.mark.parametrize("kind", ["Sign", "SignRecover", "Decrypt"])
def test_each_use_of_a_private_key_asks_for_one(m: Module, s: int, pin: str, kind: str) -> None:
    public, private = rsa(m, s)
    mechanism, data = m.mechanism(ck.CKM_RSA_PKCS), b"data"
    if kind == "Decrypt":
        rv, data = m.use("Encrypt", s, mechanism, public, data)
        good(rv)
    for right in (False, True, False):
        good(getattr(m, f"C_{kind}Init")(s, mechanism, private))
        if right:
            assert again(m, s, pin) == "CKR_OK"
        rv, _ = m.output(getattr(m, f"C_{kind}"), s, data, len(data))
        assert name(rv) == ("CKR_OK" if right else "CKR_USER_NOT_LOGGED_IN")


def test_of_two_operations_that_wait_it_is_for_the_last_one_begun(m: Module, s: int, pin: str) -> None:
    """Each use costs a PIN of its own: one login opens one of them."""
    public, private = rsa(m, s)
    mechanism = m.mechanism(ck.CKM_RSA_PKCS)
    rv, sealed = m.use("Encrypt", s, mechanism, public, b"data")
    good(rv)
    good(m.C_SignInit(s, mechanism, private))
    good(m.C_DecryptInit(s, mechanism, private))
    assert again(m, s, pin) == "CKR_OK"
    assert m.output(m.C_Decrypt, s, sealed, len(sealed)) == (ck.CKR_OK, b"data")
    assert again(m, s, pin) == "CKR_OK"
    assert sign(m, s) == "CKR_OK"
    good(m.C_SignInit(s, mechanism, private))
    good(m.C_DecryptInit(s, mechanism, private))
    assert again(m, s, pin) == "CKR_OK"
    assert sign(m, s) == "CKR_USER_NOT_LOGGED_IN"
    assert m.output(m.C_Decrypt, s, sealed, len(sealed)) == (ck.CKR_OK, b"data")


def test_every_round_of_a_loop_asks_though_the_library_answers_its_inits(m: Module, s: int, pin: str) -> None:
    key, mechanism = ec(m, s), m.mechanism(HASHED)
    for _ in range(4):
        good(m.C_SignInit(s, mechanism, key))
        assert again(m, s, pin) == "CKR_OK"
        assert sign(m, s) == "CKR_OK"
        good(m.C_SignInit(s, mechanism, key))
        assert sign(m, s) == "CKR_USER_NOT_LOGGED_IN"


def test_cancelling_needs_none(m: Module, s: int) -> None:
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    good(m.C_SignInit(s, NULL, 0))
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    good(m.C_SessionCancel(s, ck.CKF_SIGN))
    assert sign(m, s) == "CKR_OPERATION_NOT_INITIALIZED"


# -- PINs


def test_a_wrong_pin_counts_and_leaves_the_operation_unauthenticated(m: Module, s: int, pin: str) -> None:
    key = ec(m, s)
    for good_at_last in (True, False):
        good(m.C_SignInit(s, m.mechanism(HASHED), key))
        assert again(m, s, "not the PIN") == "CKR_PIN_INCORRECT"
        assert told(m) == (True, False, False)
        assert m.state(s) == ck.CKS_RW_USER_FUNCTIONS
        if good_at_last:
            assert again(m, s, f"user:{pin}") == "CKR_OK"
            assert told(m) == (False, False, False)
        assert sign(m, s) == ("CKR_OK" if good_at_last else "CKR_USER_NOT_LOGGED_IN")


def test_an_empty_pin_is_wrong_and_costs_no_try(m: Module, s: int) -> None:
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    assert again(m, s, "") == "CKR_PIN_INCORRECT"
    assert told(m) == (False, False, False)
    assert name(m.C_Login(s, ck.CKU_CONTEXT_SPECIFIC, NULL, 0)) == "CKR_ARGUMENTS_BAD"


def test_wrong_pins_lock_the_pin_and_log_out(m: Module, s: int) -> None:
    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    assert {again(m, s, "not the PIN") for _ in range(9)} == {"CKR_PIN_INCORRECT"}
    assert again(m, s, "not the PIN") == "CKR_PIN_LOCKED"
    assert m.state(s) == ck.CKS_RW_PUBLIC_SESSION
    assert sign(m, s) == "CKR_OPERATION_NOT_INITIALIZED"


def test_by_name_it_is_the_officers_who_is_logged_in(m: Module, s: int, pin: str, adyton_token: Any) -> None:
    def by_name(officer: bytes, given: str) -> str:
        raw = given.encode()
        return name(m.C_LoginUser(s, ck.CKU_CONTEXT_SPECIFIC, raw, len(raw), officer, len(officer)))

    good(m.C_SignInit(s, m.mechanism(HASHED), ec(m, s)))
    assert by_name(b"so", adyton_token.so_pin) == "CKR_PIN_INCORRECT"
    assert by_name(b"nobody", pin) == "CKR_PIN_INCORRECT"
    assert by_name(b"user", "not the PIN") == "CKR_PIN_INCORRECT"
    assert by_name(b"user", pin) == "CKR_OK"
    assert by_name(b"user", pin) == "CKR_OPERATION_NOT_INITIALIZED"
    assert sign(m, s) == "CKR_OK"


def test_the_session_says_the_same_of_itself_before_and_after(m: Module, s: int, pin: str) -> None:
    read_only = m.session(read_write=False)
    key = ec(m, s)
    for session, state in ((s, ck.CKS_RW_USER_FUNCTIONS), (read_only, ck.CKS_RO_USER_FUNCTIONS)):
        assert m.state(session) == state
        good(m.C_SignInit(session, m.mechanism(HASHED), key))
        assert m.state(session) == state
        assert again(m, session, pin) == "CKR_OK"
        assert m.state(session) == state
        assert sign(m, session) == "CKR_OK"
        assert m.state(session) == state


# -- the attribute


def test_such_a_key_must_be_private_however_it_is_made(m: Module, s: int) -> None:
    both = {ALWAYS: True, ck.CKA_PRIVATE: False}
    rv, *_ = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, both)
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
    kind = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC}
    value = {ck.CKA_EC_PARAMS: P256, ck.CKA_VALUE: b"\1" * 32}
    assert name(m.create(s, {**kind, **value, **both})[0]) == "CKR_TEMPLATE_INCONSISTENT"
    wrapping = m.aes(s)
    rv, wrapped = m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), wrapping, ec(m, s, {ck.CKA_EXTRACTABLE: True}))
    good(rv)
    rv, _ = m.unwrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), wrapping, wrapped, {**kind, **both})
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"


def test_secret_and_public_keys_have_no_such_attribute(m: Module, s: int) -> None:
    rv, _ = m.generate(s, ck.CKM_AES_KEY_GEN, {ck.CKA_VALUE_LEN: 16, ALWAYS: True})
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"
    rv, *_ = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256, ALWAYS: True}, {})
    assert name(rv) == "CKR_TEMPLATE_INCONSISTENT"


def test_a_copy_asks_as_its_source_does(m: Module, s: int) -> None:
    key = ec(m, s)
    assert name(m.change(s, key, {ALWAYS: False})) == "CKR_ATTRIBUTE_READ_ONLY"
    assert name(m.copy(s, key, {ALWAYS: False})[0]) == "CKR_ATTRIBUTE_READ_ONLY"
    assert name(m.copy(s, key, {ck.CKA_PRIVATE: False})[0]) == "CKR_TEMPLATE_INCONSISTENT"
    rv, copy = m.copy(s, key, {ck.CKA_LABEL: b"copy"})
    good(rv)
    assert m.read(s, copy, ALWAYS) == b"\1"
    good(m.C_SignInit(s, m.mechanism(HASHED), copy))
    assert sign(m, s) == "CKR_USER_NOT_LOGGED_IN"


def test_what_uses_a_key_in_one_call_has_no_room_for_a_login(m: Module, s: int) -> None:
    """Unwrapping and deriving have no Init after which it could come. To be wrapped, or copied, is no use of a key."""
    public, private = rsa(m, s)
    secret = m.aes(s, extractable=True)
    rv, wrapped = m.wrap(s, m.mechanism(ck.CKM_RSA_PKCS_OAEP, oaep(m)), public, m.aes(
        s, extractable=True, sensitive=False))
    good(rv)
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
    rv, _ = m.unwrap(s, m.mechanism(ck.CKM_RSA_PKCS_OAEP, oaep(m)), private, wrapped, rows)
    assert name(rv) == "CKR_USER_NOT_LOGGED_IN"
    key = ec(m, s, {ck.CKA_EXTRACTABLE: True})
    point = m.read(s, key, ck.CKA_EC_POINT)
    parameter = m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point, ulPublicDataLen=len(point))
    assert name(m.derive(s, m.mechanism(ck.CKM_ECDH1_DERIVE, parameter), key, {})[0]) == "CKR_USER_NOT_LOGGED_IN"
    good(m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), secret, key)[0])


def oaep(m: Module) -> Any:
    return m.structure("CK_RSA_PKCS_OAEP_PARAMS", hashAlg=ck.CKM_SHA_1, mgf=ck.CKG_MGF1_SHA1, source=0)
