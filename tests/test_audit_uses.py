"""What the audit log tells of the library's calls: who asked for what, with which keys, and what was answered."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from engine_room import CHEAP, P256, SO, USER, DiskPool, Room

from hsm.audit import calls
from hsm.audit.record import Record
from hsm.client import MODULE, Client, Refused
from hsm.errors import code_name
from hsm.server import codec, dispatch
from hsm.store.sqlite import Store
from pkcs11_shim import constants as ck

IV = bytes(16)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskPool]:
    """A token with a user, and an engine of its own for the library."""
    made = DiskPool(tmp_path / "pool", CHEAP)
    with Room(made.home) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(made.home))
    yield made
    made.stop()


def told(pool: DiskPool) -> list[Record]:
    """The whole log, once its engine has ended."""
    pool.stop()
    store = Store(str(pool.home))
    try:
        return list(store.audit.records())
    finally:
        store.close()


class Caller:
    """One logged-in session, and what each call that is recorded is expected to leave, typed in as it is made."""

    def __init__(self, m: Module) -> None:
        self.m = m
        self.expected: list[tuple[str, str]] = []
        self.s = m.session()
        self.does("C_Login", m.login(self.s, USER.decode()))

    def does(self, function: str, rv: int, code: str = "CKR_OK") -> None:
        assert name(rv) == code, (function, name(rv))
        self.expected.append((function, code))

    def aes(self, **more: Any) -> int:
        handle = self.m.aes(self.s, **more)
        self.expected.append(("C_GenerateKey", "CKR_OK"))
        return handle

    def pair(self) -> tuple[int, int]:
        common = {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"pair"}
        rv, public, private = self.m.pair(
            self.s, ck.CKM_EC_KEY_PAIR_GEN, {**common, ck.CKA_EC_PARAMS: P256}, {**common, ck.CKA_DERIVE: False})
        self.does("C_GenerateKeyPair", rv)
        return public, private


def test_each_finished_operation_is_one_record(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        c = Caller(m)
        s, data = c.s, m.bytes(b"sixteen bytes ok")
        key = c.aes(token=True, label=b"key")
        wrapping = c.aes(token=True, label=b"wrapping", decrypt=False, encrypt=False)
        wrapped = c.aes(extractable=True)
        _, private = c.pair()
        cbc, ecdsa = m.mechanism(ck.CKM_AES_CBC_PAD, IV), m.mechanism(ck.CKM_ECDSA_SHA256)
        # A size query, too small a buffer and an Init are not in it; the whole operation is, once.
        good(m.C_SignInit(s, ecdsa, private))
        length = ffi.new("CK_ULONG*", 0)
        good(m.C_Sign(s, data, 16, NULL, length))
        length[0] = 3
        assert name(m.C_Sign(s, data, 16, m.bytes(bytes(3)), length)) == "CKR_BUFFER_TOO_SMALL"
        c.does("C_Sign", m.output(m.C_Sign, s, data, 16)[0])
        rv, secret = m.use("Encrypt", s, cbc, key, b"plain")
        c.does("C_Encrypt", rv)
        c.does("C_Decrypt", m.use("Decrypt", s, cbc, key, secret)[0])
        # In parts: the first that gives something out, and the end.
        good(m.C_EncryptInit(s, cbc, key))
        c.does("C_EncryptUpdate", m.output(m.C_EncryptUpdate, s, m.bytes(bytes(64)), 64)[0])
        good(m.output(m.C_EncryptUpdate, s, m.bytes(bytes(64)), 64)[0])
        c.does("C_EncryptFinal", m.output(m.C_EncryptFinal, s)[0])
        # What was given out is told, though the operation never ends.
        good(m.C_DecryptInit(s, cbc, key))
        c.does("C_DecryptUpdate", m.output(m.C_DecryptUpdate, s, m.bytes(bytes(64)), 64)[0])
        good(m.C_SessionCancel(s, ck.CKF_DECRYPT))
        # Attributes and digests are not in it, a search is.
        m.read(s, key, ck.CKA_LABEL)
        good(m.C_DigestInit(s, m.mechanism(ck.CKM_SHA256)))
        good(m.output(m.C_Digest, s, data, 16)[0])
        m.find(s, {ck.CKA_LABEL: b"key", ck.CKA_TOKEN: True})
        c.does("C_FindObjectsInit", 0)
        kwp = m.mechanism(ck.CKM_AES_KEY_WRAP_KWP)
        rv, blob = m.wrap(s, kwp, wrapping, wrapped)
        c.does("C_WrapKey", rv)
        rv, opened = m.unwrap(s, kwp, wrapping, blob, {
            ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_TOKEN: False})
        c.does("C_UnwrapKey", rv)
        # The value of a token key that shows it is no attribute like others.
        shows = c.aes(token=True, sensitive=False, extractable=True)
        assert len(m.read(s, shows, ck.CKA_VALUE)) == 32
        c.does("C_GetAttributeValue", 0)
        c.does("C_SetAttributeValue", m.change(s, key, {ck.CKA_ID: b"1"}))
        c.does("C_CopyObject", m.copy(s, opened, {ck.CKA_LABEL: b"copy"})[0])
        c.does("C_DestroyObject", m.C_DestroyObject(s, key))
        c.does("C_Logout", m.C_Logout(s))
    rows = told(pool)
    calls = [row for row in rows if row.operation.startswith("C_")][2:]
    assert [(row.operation, code_name(row.rv)) for row in calls] == c.expected
    assert {(row.pid, row.uid, row.slot) for row in calls} == {(os.getpid(), os.geteuid(), 0)}
    assert {row.officer for row in calls} == {"user"}
    by_function = {row.operation: row for row in calls}
    assert by_function["C_Sign"].mechanism == ck.CKM_ECDSA_SHA256
    assert by_function["C_GenerateKeyPair"].mechanism == ck.CKM_EC_KEY_PAIR_GEN
    assert by_function["C_FindObjectsInit"].detail == {"attributes": "CKA_LABEL CKA_TOKEN", "found": "1"}
    assert by_function["C_SetAttributeValue"].detail["attributes"] == "CKA_ID"
    assert by_function["C_GetAttributeValue"].detail == {"attributes": "CKA_VALUE"}
    assert by_function["C_GetAttributeValue"].keys == by_function["C_GenerateKey"].keys
    one, three = by_function["C_GenerateKeyPair"].keys, by_function["C_WrapKey"].keys
    assert by_function["C_Sign"].keys == one and one[0].startswith("pair/"), "both halves are one version of one key"
    wrapping_key, session_key = calls[2].keys[0], calls[3].keys[0]
    assert three == (wrapping_key, session_key)
    assert wrapping_key.startswith("wrapping/") and session_key.startswith("object:")
    assert by_function["C_UnwrapKey"].keys[0] == wrapping_key and len(by_function["C_UnwrapKey"].keys) == 2
    assert by_function["C_CopyObject"].keys[0] == by_function["C_UnwrapKey"].keys[1]
    # By the name it had, also once it is destroyed.
    assert by_function["C_DestroyObject"].keys == calls[1].keys == by_function["C_DecryptUpdate"].keys
    assert all(0 <= row.duration_us < 60_000_000 and row.count == 1 for row in calls)
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    assert [row.time_us for row in rows] == sorted(row.time_us for row in rows)


def test_each_refusal_is_a_record_with_the_code_that_was_answered(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        s = m.session()
        refused = [
            ("C_Login", m.login(s, "wrong-pin"), "CKR_PIN_INCORRECT"),
            ("C_Logout", m.C_Logout(s), "CKR_USER_NOT_LOGGED_IN"),
        ]
        c = Caller(m)
        s = c.s
        key = c.aes(token=True, sign=False)
        public, private = c.pair()
        again = [
            ("C_Login", m.login(s, USER.decode()), "CKR_USER_ALREADY_LOGGED_IN"),
            ("C_SignInit", m.C_SignInit(s, m.mechanism(ck.CKM_AES_CMAC), key), "CKR_KEY_FUNCTION_NOT_PERMITTED"),
            ("C_SignInit", m.C_SignInit(s, m.mechanism(ck.CKM_ECDSA), key + 99), "CKR_KEY_HANDLE_INVALID"),
            ("C_EncryptInit", m.C_EncryptInit(s, m.mechanism(0x7FFFFFF0), key), "CKR_MECHANISM_INVALID"),
            ("C_Sign", m.output(m.C_Sign, s, m.bytes(b"x"), 1)[0], "CKR_OPERATION_NOT_INITIALIZED"),
            ("C_Verify", m.verify(s, m.mechanism(ck.CKM_ECDSA_SHA256), public, b"x", bytes(64)),
             "CKR_SIGNATURE_INVALID"),
            ("C_SetAttributeValue", m.change(s, key, {ck.CKA_EXTRACTABLE: True}), "CKR_ATTRIBUTE_READ_ONLY"),
            ("C_WrapKey", m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), key, private)[0], "CKR_KEY_UNEXTRACTABLE"),
            ("C_CreateObject", m.create(s, {ck.CKA_CLASS: ck.CKO_SECRET_KEY})[0], "CKR_TEMPLATE_INCOMPLETE"),
            ("C_InitPIN", m.C_InitPIN(s, b"1234-new", 8), "CKR_USER_NOT_LOGGED_IN"),
            ("C_SetPIN", m.C_SetPIN(s, b"wrong-pin", 9, b"1234-new", 8), "CKR_PIN_INCORRECT"),
            ("C_DestroyObject", m.C_DestroyObject(s, key + 99), "CKR_OBJECT_HANDLE_INVALID"),
        ]
        # None of these are.
        query = m.template({ck.CKA_VALUE: None})
        assert name(m.C_GetAttributeValue(s, key, *query)) == "CKR_ATTRIBUTE_SENSITIVE"
        assert name(m.C_CloseSession(s + 99)) == "CKR_SESSION_HANDLE_INVALID"
    assert [code for _, rv, code in refused + again if name(rv) != code] == []
    calls = [row for row in told(pool) if row.operation.startswith("C_")][2:]
    wanted = [(function, code) for function, _, code in refused] + c.expected + [(f, code) for f, _, code in again]
    seen = [(row.operation, code_name(row.rv)) for row in calls]
    # The engine begins a search or a use by itself at no time, but PKCS#11's own order stands.
    assert seen == wanted
    refusals = [row for row in calls if row.rv]
    assert all(row.detail["reason"] and row.slot == 0 for row in refusals)
    assert [row.officer for row in refusals] == [""] * 2 + ["user"] * len(again)
    assert refusals[0].detail["as"] == "user" and "as" not in refusals[1].detail
    assert refusals[3].mechanism == ck.CKM_AES_CMAC and refusals[3].keys == calls[3].keys
    assert refusals[9].keys[0] == calls[3].keys[0], "the wrapping key, and the one that was not to be wrapped"


def test_who_has_no_role_is_told_with_action_and_scope_through_each_door(pool: DiskPool) -> None:
    so = {"as": "so", "pin": SO.decode(), "slot": 0}
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        key = m.aes(s, token=True, label=b"payroll")
        good(m.C_Logout(s))
        with Client(str(pool.home)) as client:
            client.ask("officer-create", name="alice", new_pin="alice-pin", **so)
            role = {"assignee": "alice", "role": "Managed HSM Crypto Service Encryption User", "scope": "/keys/payroll"}
            client.ask("role-assignment-create", **role, **so)
            alice = {"as": "alice", "pin": "alice-pin", "slot": 0}
            with pytest.raises(Refused):
                client.ask("role-assignment-create", **{**role, "scope": "/"}, **alice)
            with pytest.raises(Refused):
                client.ask("officer-list", **{**alice, "pin": "not-the-pin"})
            with pytest.raises(Refused):
                client.ask("officer-list", **{**alice, "as": "typed-in-the-wrong-field"})
            client.ask("officer-list", **so)
        good(m.login(s, "alice:alice-pin"))
        key = m.find(s, {ck.CKA_LABEL: b"payroll"})[0]
        refused = int(m.C_EncryptInit(s, m.mechanism(ck.CKM_AES_CBC_PAD, IV), key))
        assert name(refused) == "CKR_KEY_FUNCTION_NOT_PERMITTED"
        blob = m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), key, m.aes(s, extractable=True))
        good(blob[0])
    rows = told(pool)
    acts = [(row.operation, code_name(row.rv), row.officer) for row in rows if "-" in row.operation]
    assert [act for act in acts if not act[0].startswith(("engine", "pool", "first"))] == [
        ("officer-create", "CKR_OK", "so"), ("role-assignment-create", "CKR_OK", "so"),
        ("role-assignment-create", "CKR_ACTION_PROHIBITED", "alice"), ("officer-list", "CKR_PIN_INCORRECT", ""),
        ("officer-list", "CKR_PIN_INCORRECT", ""), ("officer-list", "CKR_OK", "so")]
    refusal = next(row for row in rows if row.operation == "C_EncryptInit")
    assert (refusal.officer, refusal.rv) == ("alice", refused) and refusal.keys[0].startswith("payroll/")
    assert refusal.detail["action"] == "Microsoft.KeyVault/managedHsm/keys/encrypt/action"
    assert refusal.detail["scope"] == "/keys/payroll" and "no role assignment" in refusal.detail["reason"]
    assert [row.detail.get("scope") for row in rows if row.rv == ck.CKR_ACTION_PROHIBITED] == ["/"]
    assert [row.detail.get("as") for row in rows if row.rv == ck.CKR_PIN_INCORRECT] == ["alice", None]
    assert "typed-in-the-wrong-field" not in str(rows) and "alice-pin" not in str(rows)
    assert [row.officer for row in rows if row.operation == "C_WrapKey"] == ["alice"]


def test_the_same_refusal_many_times_is_one_record_with_its_number(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        s = m.session()
        for _ in range(700):
            assert name(m.output(m.C_Sign, s, m.bytes(b"x"), 1)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    rows = [row for row in told(pool) if row.operation == "C_Sign"]
    assert sum(row.count for row in rows) == 700
    assert len(rows) < 70, "one for each commit, of which there are two a second"


def test_secrets_are_in_no_record(pool: DiskPool) -> None:
    """Neither PINs, right, wrong or mistaken for a name, nor what was signed, encrypted or sought; nor their hashes."""
    secrets = [USER, SO, b"a-wrong-pin-0", b"typed-in-the-wrong-field", b"text to encrypt", b"a-label-to-look-for",
               b"some-object-value", b"new-user-pin"]
    with initialised(str(MODULE)) as m:
        s = m.session()
        m.login(s, "a-wrong-pin-0")
        wrong = b"typed-in-the-wrong-field"
        m.C_LoginUser(s, ck.CKU_USER, b"1234", 4, wrong, len(wrong))
        m.login(s, "a-wrong-pin-0:typed-in-the-wrong-field")
        good(m.login(s, USER.decode()))
        key = m.aes(s, token=True)
        rv, secret = m.use("Encrypt", s, m.mechanism(ck.CKM_AES_CBC_PAD, IV), key, b"text to encrypt")
        good(rv)
        secrets.append(secret)
        m.find(s, {ck.CKA_LABEL: b"a-label-to-look-for"})
        m.make(s, {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_VALUE: b"some-object-value"})
        good(m.C_SetPIN(s, USER, len(USER), b"new-user-pin", 12))
    text = json.dumps([list(row) for row in told(pool)])
    for value in secrets:
        assert value.decode("latin-1") not in text and value.hex() not in text.lower()
        assert hashlib.sha256(value).hexdigest() not in text


def test_records_are_written_within_a_second_and_status_tells(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        s = m.session()
        client = Client(str(pool.home))
        before = client.ask("status")["audit"]
        good(m.login(s, USER.decode()))
        m.find(s, {})
        status = before
        while status["last"] < before["last"] + 3:  # engine-start, C_Login, C_FindObjectsInit
            status = client.ask("status")["audit"]
        assert status["last"] == before["last"] + 3 and not status["pending"]
        assert time.time() - status["written"] < 1.5
        assert status["mode"] == "normal" and status["written"] > before["written"]
        client.close()
    rows = told(pool)
    assert [row.operation for row in rows[before["last"]:]] == [
        "engine-start", "C_Login", "C_FindObjectsInit", "engine-stop"]


def test_a_killed_engine_is_told_by_the_next(pool: DiskPool) -> None:
    """Once before its first record could be written, once after."""
    with initialised(str(MODULE)) as m:
        good(m.login(m.session(), USER.decode()))
        pool.kill()
        assert name(m.C_CloseAllSessions(0)) == "CKR_DEVICE_REMOVED"
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        good(m.aes(s, token=True) and 0)
        pool.kill()
    with initialised(str(MODULE)) as m:
        good(m.login(m.session(), USER.decode()))
    rows = told(pool)
    starts = [row for row in rows if row.operation == "engine-start"]
    assert [row.detail.get("previous") for row in starts] == [None, "broken off", "broken off"]
    assert all(row.detail["missing_since"] for row in starts[1:])
    with initialised(str(MODULE)) as m:
        good(m.login(m.session(), USER.decode()))
    last = [row for row in told(pool) if row.operation == "engine-start"][-1]
    assert last.detail["previous"] == "ended"


def test_what_an_engine_answers_while_it_leaves_has_its_record(pool: DiskPool) -> None:
    answered = 0
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        cmac = m.mechanism(ck.CKM_AES_CMAC)
        key = m.aes(s, token=True, encrypt=False, decrypt=False, wrap=False, unwrap=False)
        leaving = threading.Thread(target=pool.stop)
        while m.use("Sign", s, cmac, key, b"data")[0] == ck.CKR_OK:
            answered += 1
            if answered == 200:
                leaving.start()
        leaving.join()
    rows = told(pool)
    assert answered <= [row.operation for row in rows].count("C_Sign") <= answered + 1
    assert rows[-1].operation == "engine-stop"


CHANGES = f"""
from abi import *
from pkcs11_shim import constants as ck
with initialised({str(MODULE)!r}) as m:
    s = m.session()
    good(m.login(s, {USER.decode()!r}))
    good(m.change(s, m.find(s, {{ck.CKA_LABEL: b"key"}})[0], {{ck.CKA_SIGN: False}}))
"""


def test_an_init_that_the_library_had_granted_and_the_engine_refuses_says_so(pool: DiskPool) -> None:
    with initialised(str(MODULE)) as m:
        s = m.session()
        good(m.login(s, USER.decode()))
        key, cmac = m.aes(s, token=True, label=b"key"), m.mechanism(ck.CKM_AES_CMAC)
        for _ in range(3):
            good(m.use("Sign", s, cmac, key, b"data")[0])
        good(m.C_SignInit(s, cmac, key))
        subprocess.run([sys.executable, "-c", CHANGES], check=True, cwd=Path(__file__).parent)
        assert name(m.output(m.C_Sign, s, m.bytes(b"x"), 1)[0]) == "CKR_OPERATION_NOT_INITIALIZED"
    rows = [row for row in told(pool) if row.rv]
    assert [(row.operation, code_name(row.rv), "ahead" in row.detail) for row in rows] == [
        ("C_SignInit", "CKR_KEY_FUNCTION_NOT_PERMITTED", True), ("C_Sign", "CKR_OPERATION_NOT_INITIALIZED", False)]


def test_what_is_recorded_when_it_is_refused_is_served() -> None:
    served = {name for name, handler in zip(codec.NAMES, dispatch.HANDLERS, strict=True) if handler is not None}
    assert calls.RECORDED <= served
    # And what is served and recorded by nobody is this: it uses no key, changes nothing and seeks nothing.
    assert {name.removeprefix("C_") for name in served - calls.RECORDED} == set("""
        GetSlotList GetSlotInfo GetTokenInfo GetMechanismList GetMechanismInfo WaitForSlotEvent OpenSession CloseSession
        CloseAllSessions GetSessionInfo SessionCancel GetSessionValidationFlags GetFunctionStatus CancelFunction
        GetOperationState SetOperationState GetObjectSize GetAttributeValue FindObjects FindObjectsFinal DigestInit
        Digest DigestUpdate DigestFinal SeedRandom GenerateRandom MessageEncryptFinal MessageDecryptFinal
    """.split())
