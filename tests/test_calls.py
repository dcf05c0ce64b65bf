"""The table of calls, row by row: who holds all data actions but the row's is refused with just its code, and who holds
these and no others passes. And each function that the engine serves stands in the table once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from access_page import PAGE, page

from hsm.access.calls import AS_BEGUN, CALLS, FREE
from hsm.access.roles import ACTIONS, ASSIGNMENTS_WRITE, KEY_READ
from hsm.client import Client
from hsm.cryptoki.return_codes import ALLOWED
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

PIN = "probe-pin-1"
TOKEN: dict[int, Any] = {ck.CKA_TOKEN: True}
SECRET = {**TOKEN, ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}


class Role:
    """An officer of a partition, whose only role is one of the partition's own, changed while he is logged in."""

    def __init__(self, slot: int, so_pin: str) -> None:
        self.slot, self.so_pin = slot, so_pin
        self.ask("officer-create", name="probe", new_pin=PIN)
        made = self.ask("role-definition-create", definition={"roleName": "Probe", "dataActions": list(ACTIONS)})
        self.name = made["definition"]["name"]
        self.ask("role-assignment-create", assignee="probe", role="Probe", scope="/")

    def ask(self, act: str, **fields: Any) -> dict[str, Any]:
        with Client(os.environ["ADYTON_HOME"]) as client:
            return client.ask(act, slot=self.slot, **{"as": "so", "pin": self.so_pin}, **fields)

    def may(self, actions: Iterable[str]) -> None:
        definition = {"name": self.name, "roleName": "Probe", "dataActions": sorted(actions)}
        self.ask("role-definition-update", definition=definition)


class Probe:
    """The officer logged in, with keys."""

    def __init__(self, m: Module, role: Role) -> None:
        self.m, self.role = m, role
        self.s = m.session()
        good(m.login(self.s, f"probe:{PIN}"))
        self.aes = m.aes(self.s, token=True, label=b"aes")
        self.over = m.aes(self.s, token=True, label=b"over")
        self.loose = m.aes(self.s, token=True, label=b"loose", sensitive=False, extractable=True)
        private = {ck.CKA_PRIVATE: True, ck.CKA_TOKEN: True}
        rv, self.public, self.private = m.pair(
            self.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN,
            {**private, ck.CKA_VERIFY_RECOVER: True, ck.CKA_MODULUS_BITS: 2048},
            {**private, ck.CKA_SIGN_RECOVER: True},
        )
        good(rv)

    # -- one call of each row: what it answers

    def begun(self, init: str, mechanism: Any, key: int) -> int:
        rv = int(getattr(self.m, init)(self.s, mechanism, key))
        if rv == ck.CKR_OK:
            good(getattr(self.m, init)(self.s, NULL, 0))
        return rv

    def digested(self) -> int:
        good(self.m.C_DigestInit(self.s, self.m.mechanism(ck.CKM_SHA256)))
        rv = int(self.m.C_DigestKey(self.s, self.loose))
        good(self.m.C_DigestInit(self.s, NULL)) if rv == ck.CKR_OK else None
        return rv

    def found(self) -> int:
        """What may not be read is no error of a search: it is not there."""
        return ck.CKR_OK if self.m.find(self.s, {ck.CKA_LABEL: b"aes"}) else ck.CKR_OBJECT_HANDLE_INVALID

    def read(self) -> int:
        return int(self.m.C_GetAttributeValue(self.s, self.aes, *self.m.template({ck.CKA_LABEL: None})))

    def sized(self) -> int:
        return int(self.m.C_GetObjectSize(self.s, self.aes, ffi.new("CK_ULONG*")))

    def destroyed(self) -> int:
        return int(self.m.C_DestroyObject(self.s, self.m.find(self.s, {ck.CKA_LABEL: b"short-lived"})[0]))

    def paired(self) -> int:
        public = {**TOKEN, ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        return self.m.pair(self.s, ck.CKM_EC_KEY_PAIR_GEN, public, dict(TOKEN))[0]

    def generated(self) -> int:
        return self.m.generate(self.s, ck.CKM_AES_KEY_GEN, {**TOKEN, ck.CKA_VALUE_LEN: 32})[0]

    def wrapped(self) -> int:
        return self.m.wrap(self.s, self.m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), self.over, self.loose)[0]

    def unwrapped(self) -> int:
        """A session object's value, which is no token key's."""
        kwp = self.m.mechanism(ck.CKM_AES_KEY_WRAP_KWP)
        return self.m.unwrap(self.s, kwp, self.over, self.blob, {**SECRET, ck.CKA_LABEL: b"unwrapped"})[0]

    def derived(self) -> int:
        return self.m.derive(self.s, self.m.mechanism(ck.CKM_SHA256_KEY_DERIVATION), self.loose,
                             {**SECRET, ck.CKA_VALUE_LEN: 32, ck.CKA_SENSITIVE: True})[0]


def _init(use: str, number: int, key: str, parameter: bytes | None = None) -> Callable[[Probe], int]:
    return lambda p: p.begun(f"C_{use}Init", p.m.mechanism(number, parameter), getattr(p, key))


AS_USER: dict[str, Callable[[Probe], int]] = {
    "C_FindObjects": Probe.found,
    "C_GetAttributeValue": Probe.read,
    "C_GetObjectSize": Probe.sized,
    "C_DigestKey": Probe.digested,
    "C_SetAttributeValue": lambda p: p.m.change(p.s, p.aes, {ck.CKA_ID: b"1"}),
    "C_DestroyObject": Probe.destroyed,
    "C_CreateObject": lambda p: p.m.create(p.s, {**SECRET, ck.CKA_VALUE: os.urandom(32)})[0],
    "C_CopyObject": lambda p: p.m.copy(p.s, p.aes, {**TOKEN, ck.CKA_LABEL: b"another"})[0],
    "C_GenerateKey": Probe.generated,
    "C_GenerateKeyPair": Probe.paired,
    "C_SignInit": _init("Sign", ck.CKM_AES_CMAC, "aes"),
    "C_VerifyInit": _init("Verify", ck.CKM_AES_CMAC, "aes"),
    "C_SignRecoverInit": _init("SignRecover", ck.CKM_RSA_PKCS, "private"),
    "C_VerifyRecoverInit": _init("VerifyRecover", ck.CKM_RSA_PKCS, "public"),
    "C_EncryptInit": _init("Encrypt", ck.CKM_AES_CBC, "aes", bytes(16)),
    "C_DecryptInit": _init("Decrypt", ck.CKM_AES_CBC, "aes", bytes(16)),
    "C_MessageEncryptInit": _init("MessageEncrypt", ck.CKM_AES_GCM, "aes"),
    "C_MessageDecryptInit": _init("MessageDecrypt", ck.CKM_AES_GCM, "aes"),
    "C_WrapKey": Probe.wrapped,
    "C_UnwrapKey": Probe.unwrapped,
    "C_DeriveKey": Probe.derived,
}
# What begins the operations of a step: function, mechanism, its parameter, key.
BEGUN: dict[str, tuple[str, int, bytes | None, str]] = {
    "Digest": ("C_DigestInit", ck.CKM_SHA256, None, ""),
    "Sign": ("C_SignInit", ck.CKM_AES_CMAC, None, "aes"),
    "Verify": ("C_VerifyInit", ck.CKM_AES_CMAC, None, "aes"),
    "SignRecover": ("C_SignRecoverInit", ck.CKM_RSA_PKCS, None, "private"),
    "VerifyRecover": ("C_VerifyRecoverInit", ck.CKM_RSA_PKCS, None, "public"),
    "Encrypt": ("C_EncryptInit", ck.CKM_AES_CBC, bytes(16), "aes"),
    "Decrypt": ("C_DecryptInit", ck.CKM_AES_CBC, bytes(16), "aes"),
    "EncryptMessage": ("C_MessageEncryptInit", ck.CKM_AES_GCM, None, "aes"),
    "DecryptMessage": ("C_MessageDecryptInit", ck.CKM_AES_GCM, None, "aes"),
}
DUAL = {
    "C_DigestEncryptUpdate": ("Digest", "Encrypt"), "C_DecryptDigestUpdate": ("Digest", "Decrypt"),
    "C_SignEncryptUpdate": ("Sign", "Encrypt"), "C_DecryptVerifyUpdate": ("Verify", "Decrypt"),
    **{f"C_{kind}{part}": (kind,) for kind in ("EncryptMessage", "DecryptMessage") for part in ("", "Begin", "Next")},
}
LOGGED_IN_OTHERWISE = {"C_InitPIN", "C_InitToken"}


@pytest.fixture(scope="module")
def token() -> Iterator[ThrowAway]:
    with ThrowAway() as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADYTON_HOME", made.home)
        yield made


@pytest.fixture(scope="module")
def probe(token: ThrowAway) -> Iterator[Probe]:
    with initialised(token.module) as m:
        yield Probe(m, Role(0, token.so_pin))


@pytest.fixture
def ready(probe: Probe) -> Probe:
    """What some calls need, made while everything is allowed."""
    probe.role.may(ACTIONS)
    probe.m.aes(probe.s, token=True, label=b"short-lived")
    given = probe.m.aes(probe.s, extractable=True)
    rv, probe.blob = probe.m.wrap(probe.s, probe.m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), probe.over, given)
    good(rv)
    return probe


def test_each_function_stands_in_the_table_once() -> None:
    listed = [*CALLS, *AS_BEGUN, *(name for names in FREE.values() for name in names)]
    assert sorted(listed) == sorted(ALLOWED)
    assert set(AS_USER) | LOGGED_IN_OTHERWISE == set(CALLS)


@pytest.mark.parametrize(("function", "action"), [
    pytest.param(function, action, id=f"{function}-{action.split('/')[-2]}")
    for function in AS_USER for action in CALLS[function].actions
])
def test_all_but_the_one_are_not_enough(ready: Probe, function: str, action: str) -> None:
    """Without keys/read a handle is none."""
    ready.role.may(ACTIONS.keys() - {action})
    expected = CALLS[function].rv or ck.CKR_OBJECT_HANDLE_INVALID
    assert name(AS_USER[function](ready)) == name(expected)


@pytest.mark.parametrize("function", AS_USER)
def test_these_are_enough(ready: Probe, function: str) -> None:
    """A handle takes keys/read, whatever is done with it."""
    ready.role.may({*CALLS[function].actions, KEY_READ})
    assert name(AS_USER[function](ready)) == "CKR_OK"


def step(p: Probe, function: str) -> str:
    """16 bytes go in, of data or of a MAC, or a signature's 256; what comes out has room."""
    data, room = (p.m.bytes(bytes(16)), 16), (ffi.new("CK_BYTE[]", 256), ffi.new("CK_ULONG*", 256))
    message, whole = p.m.gcm_message(), (NULL, 0, *data, *room)
    given = {
        "C_SignUpdate": data, "C_VerifyUpdate": data, "C_Verify": (*data, *data), "C_VerifyFinal": data,
        "C_SignFinal": room, "C_EncryptFinal": room, "C_DecryptFinal": room,
        "C_VerifyRecover": (p.m.bytes(bytes(256)), 256, *room),
        "C_EncryptMessage": (*message, *whole), "C_DecryptMessage": (*message, *whole),
        "C_EncryptMessageBegin": (*message, NULL, 0), "C_DecryptMessageBegin": (*message, NULL, 0),
        "C_EncryptMessageNext": (*message, *data, *room, 0), "C_DecryptMessageNext": (*message, *data, *room, 0),
    }
    return name(getattr(p.m, function)(p.s, *given.get(function, (*data, *room))))


@pytest.mark.parametrize("function", AS_BEGUN)
@pytest.mark.parametrize("taken", [True, False])
def test_a_step_asks_for_what_began_it(ready: Probe, function: str, taken: bool) -> None:
    """Without the action the operation is over; with it, the step is answered by what the bytes are."""
    asked: set[str] = set()
    for kind in DUAL.get(function, (function.removeprefix("C_").removesuffix("Update").removesuffix("Final"),)):
        init, number, parameter, key = BEGUN[kind]
        keys = [getattr(ready, key)] if key else []
        good(getattr(ready.m, init)(ready.s, ready.m.mechanism(number, parameter), *keys))
        asked |= set(CALLS[init].actions) if init in CALLS else set()
    if function.endswith("Final"):
        assert step(ready, function.replace("Final", "Update")) == "CKR_OK"
    if function.endswith("Next"):
        assert step(ready, function.replace("Next", "Begin")) == "CKR_OK"
    if taken:
        ready.role.may(ACTIONS.keys() - asked)
    assert (step(ready, function) == "CKR_OPERATION_NOT_INITIALIZED") == taken
    good(ready.m.C_SessionCancel(ready.s, 0xFFFFFFFF))


def test_an_administrators_session_sets_pins_by_its_data_action(probe: Probe) -> None:
    (action,), rv = CALLS["C_InitPIN"].actions, CALLS["C_InitPIN"].rv
    good(probe.m.C_Logout(probe.s))
    try:
        for held, expected in ((ACTIONS.keys() - {action}, rv), ({action, ASSIGNMENTS_WRITE}, ck.CKR_OK)):
            probe.role.may(held)
            good(probe.m.login(probe.s, f"probe:{PIN}", ck.CKU_SO))
            assert name(probe.m.C_InitPIN(probe.s, b"user-pin-2", 10)) == name(expected)
            good(probe.m.C_Logout(probe.s))
    finally:
        probe.role.may(ACTIONS)
        good(probe.m.login(probe.s, f"probe:{PIN}"))


def test_a_token_is_initialised_again_by_its_data_action(probe: Probe) -> None:
    """Another token of the pool, in which nobody has a session."""
    (action,), rv = CALLS["C_InitToken"].actions, CALLS["C_InitToken"].rv
    with Client(os.environ["ADYTON_HOME"]) as client:
        made = client.ask("partition-create", label="other", so_pin="other-so-pin", pin="other-pin")["partition"]
    slot = made["slot"]
    role = Role(slot, "other-so-pin")
    pin, label = f"probe:{PIN}".encode(), b"anew".ljust(32)
    for held, expected in ((ACTIONS.keys() - {action}, rv), ({action}, ck.CKR_OK)):
        role.may(held)
        assert name(probe.m.C_InitToken(slot, pin, len(pin), label)) == name(expected)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run tools/generate"
