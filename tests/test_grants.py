"""An Init that the library answers by itself is the engine's own answer still: every event between shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, logged_in, name
from test_life_cycle import succeeds

from pkcs11_shim import constants as ck

P256 = {ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"), ck.CKA_TOKEN: True}
DIGEST = bytes(range(32))


class Signer:
    """A token key in a session, used once, so that the next C_SignInit may be answered without a trip."""

    def __init__(self, m: Module, session: int) -> None:
        self.m, self.session = m, session
        rv, self.public, self.private = m.pair(
            session, ck.CKM_EC_KEY_PAIR_GEN, P256, {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"signer"}
        )
        good(rv)
        self.mechanism = m.mechanism(ck.CKM_ECDSA)
        for _ in range(2):
            good(self.init())
            good(self.sign())

    def init(self) -> int:
        return int(self.m.C_SignInit(self.session, self.mechanism, self.private))

    def sign(self) -> int:
        rv, signature = self.m.output(self.m.C_Sign, self.session, self.m.bytes(DIGEST), len(DIGEST))
        if rv == ck.CKR_OK:
            good(self.m.C_VerifyInit(self.session, self.mechanism, self.public))
            good(self.m.C_Verify(self.session, self.m.bytes(DIGEST), len(DIGEST), self.m.bytes(signature), 64))
        return int(rv)


@pytest.fixture
def signer(adyton_token: Any) -> Iterator[Signer]:
    with logged_in(adyton_token) as (m, session):
        yield Signer(m, session)


def test_the_second_init_makes_no_trip(signer: Signer) -> None:
    """The engine is stopped meanwhile: only the library can have answered."""
    import signal

    from hsm.client import connect

    engine = int(connect(start=False).ask("status")["pid"])
    os.kill(engine, signal.SIGSTOP)
    try:
        good(signer.init())
    finally:
        os.kill(engine, signal.SIGCONT)
    good(signer.sign())


def test_init_twice_is_an_active_operation(signer: Signer) -> None:
    good(signer.init())
    assert name(signer.init()) == "CKR_OPERATION_ACTIVE"
    good(signer.sign())


def test_a_length_asked_for_leaves_the_operation_active(signer: Signer) -> None:
    good(signer.init())
    length = ffi.new("CK_ULONG*")
    good(signer.m.C_Sign(signer.session, signer.m.bytes(DIGEST), 32, NULL, length))
    assert name(signer.init()) == "CKR_OPERATION_ACTIVE"
    good(signer.sign())
    good(signer.init())


def test_cancelled(signer: Signer) -> None:
    good(signer.init())
    good(signer.m.C_SessionCancel(signer.session, ck.CKF_SIGN))
    assert name(signer.sign()) == "CKR_OPERATION_NOT_INITIALIZED"
    good(signer.init())
    good(signer.m.C_SignInit(signer.session, NULL, 0))
    assert name(signer.sign()) == "CKR_OPERATION_NOT_INITIALIZED"


def test_parts_after_a_granted_init(signer: Signer) -> None:
    """C_SignUpdate of a mechanism without parts ends the operation that the kept Init has begun."""
    good(signer.init())
    assert signer.m.C_SignUpdate(signer.session, signer.m.bytes(DIGEST), 32) != ck.CKR_OK
    assert name(signer.sign()) == "CKR_OPERATION_NOT_INITIALIZED"


@pytest.mark.parametrize("between", [False, True], ids=["before Init", "between Init and Sign"])
def test_logout(signer: Signer, between: bool) -> None:
    if between:
        good(signer.init())
    good(signer.m.C_Logout(signer.session))
    if between:
        assert name(signer.sign()) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(signer.init()) == "CKR_KEY_HANDLE_INVALID"


@pytest.mark.parametrize("between", [False, True], ids=["before Init", "between Init and Sign"])
def test_destroyed_here(signer: Signer, between: bool) -> None:
    if between:
        good(signer.init())
    good(signer.m.C_DestroyObject(signer.session, signer.private))
    if between:
        assert name(signer.sign()) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(signer.init()) == "CKR_KEY_HANDLE_INVALID"


ELSEWHERE = """
    good(m.C_Initialize(NULL)); t = m.session(); good(m.login(t, os.environ["ADYTON_PIN"]))
    key = m.find(t, {ck.CKA_LABEL: b"signer", ck.CKA_CLASS: ck.CKO_PRIVATE_KEY})[0]
"""


@pytest.mark.parametrize("between", [False, True], ids=["before Init", "between Init and Sign"])
def test_destroyed_by_another_process(signer: Signer, between: bool) -> None:
    if between:
        good(signer.init())
    succeeds(ELSEWHERE + "    good(m.C_DestroyObject(t, key))\n")
    if between:
        assert name(signer.sign()) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(signer.init()) == "CKR_KEY_HANDLE_INVALID"


def test_a_use_forbidden_by_another_process(signer: Signer) -> None:
    succeeds(ELSEWHERE + "    good(m.C_SetAttributeValue(t, key, *m.template({ck.CKA_SIGN: False})))\n")
    assert name(signer.init()) == "CKR_KEY_FUNCTION_NOT_PERMITTED"


def test_a_closed_session(signer: Signer) -> None:
    other = signer.m.session()
    good(signer.init())
    good(signer.m.C_CloseSession(signer.session))
    assert name(signer.init()) == "CKR_SESSION_HANDLE_INVALID"
    good(signer.m.C_SignInit(other, signer.mechanism, signer.private))


def test_two_kinds_kept_at_once(signer: Signer) -> None:
    m, session = signer.m, signer.session
    sha = m.mechanism(ck.CKM_SHA256)
    for _ in range(3):
        good(m.C_DigestInit(session, sha))
        good(signer.init())
        rv, digest = m.output(m.C_Digest, session, m.bytes(b"abc"), 3)
        good(rv)
        assert digest.hex().startswith("ba7816bf8f01cfea")
        good(signer.sign())
