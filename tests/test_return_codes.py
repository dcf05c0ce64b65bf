"""Every code that a function lists and that can be brought about, brought about through the C ABI.

``ROWS`` is the table: function, situation, code, and the calls that lead there. What a list has and the table has not
is named in ``NOT_PROVOKED`` and ``NOT_BY`` with the reason, and a test sees that nothing is left over.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from abi import NULL, Module, ffi, good, name, ulong

from hsm.client import Client
from hsm.cryptoki import return_codes
from hsm.server import codec
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck
from pkcs11_shim import directions

AES = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
DATA = {ck.CKA_CLASS: ck.CKO_DATA}
P256 = bytes.fromhex("06082a8648ce3d030107")
NO_CURVE = bytes.fromhex("06052b8104007f")
ECDSA, ECB, CBC, PAD = ck.CKM_ECDSA, ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD
KWP, GCM, SHA256 = ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_GCM, ck.CKM_SHA256


class World:
    """One application: a read/write session with the user logged in, fresh for each row."""

    def __init__(self, token: ThrowAway, module: Module, blank: int) -> None:
        self.token, self.m, self.blank = token, module, blank
        self.out = ffi.new("CK_BYTE[4096]")
        self.h, self.h2 = ffi.new("CK_OBJECT_HANDLE*"), ffi.new("CK_OBJECT_HANDLE*")
        self.s = 0

    def fresh(self) -> World:
        good(self.m.C_CloseAllSessions(0))
        self.s = self.m.session()
        good(self.login())
        return self

    def login(self, session: int = 0, pin: str = "", user: int = ck.CKU_USER) -> int:
        return self.m.login(session or self.s, pin or self.token.pin, user)

    def public(self) -> World:
        good(self.m.C_Logout(self.s))
        return self

    def read_only(self) -> int:
        return self.m.session(read_write=False)

    def so(self) -> World:
        self.public()
        good(self.login(pin=self.token.so_pin, user=ck.CKU_SO))
        return self

    def n(self, size: int = 4096) -> Any:
        return self.m.keep(ffi.new("CK_ULONG*", size))

    def mech(self, number: int, parameter: Any = None) -> Any:
        return self.m.mechanism(number, parameter)

    def t(self, rows: Any) -> tuple[Any, int]:
        return self.m.template(rows)

    def b(self, data: bytes) -> tuple[Any, int]:
        return self.m.bytes(data), len(data)

    def aes(self, **more: Any) -> int:
        return self.m.aes(self.s, **more)

    def data(self, **more: Any) -> int:
        return self.m.make(self.s, {**DATA, **{getattr(ck, f"CKA_{k.upper()}"): v for k, v in more.items()}})

    def ec(self, private: Any = None) -> tuple[int, int]:
        rv, one, two = self.m.pair(self.s, ck.CKM_EC_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: P256}, private or {})
        good(rv)
        return one, two

    def begin(self, kind: str, number: int, key: int | None = None, parameter: Any = None) -> World:
        keys = () if key is None else (key,)
        good(getattr(self.m, f"C_{kind}Init")(self.s, self.mech(number, parameter), *keys))
        return self

    def wrong_logins(self, user: int, times: int) -> World:
        for _ in range(times):
            assert name(self.login(pin="not the PIN", user=user)) == "CKR_PIN_INCORRECT"
        return self


Call = Callable[[World, int], int]
# A call of each function that the engine serves, well formed as far as nothing else is said.
SLOT: dict[str, Call] = {
    "C_GetSlotInfo": lambda w, x: w.m.C_GetSlotInfo(x, ffi.new("CK_SLOT_INFO*")),
    "C_GetTokenInfo": lambda w, x: w.m.C_GetTokenInfo(x, ffi.new("CK_TOKEN_INFO*")),
    "C_GetMechanismList": lambda w, x: w.m.C_GetMechanismList(x, NULL, w.n()),
    "C_GetMechanismInfo": lambda w, x: w.m.C_GetMechanismInfo(x, ECDSA, ffi.new("CK_MECHANISM_INFO*")),
    "C_InitToken": lambda w, x: w.m.C_InitToken(x, *w.b(b"12345678"), w.m.bytes(b" " * 32)),
    "C_OpenSession": lambda w, x: w.m.C_OpenSession(x, ck.CKF_SERIAL_SESSION, NULL, NULL, w.h),
    "C_CloseAllSessions": lambda w, x: w.m.C_CloseAllSessions(x),
}
SESSION: dict[str, Call] = {
    "C_InitPIN": lambda w, x: w.m.C_InitPIN(x, *w.b(b"12345678")),
    "C_SetPIN": lambda w, x: w.m.C_SetPIN(x, *w.b(b"12345678"), *w.b(b"12345678")),
    "C_CloseSession": lambda w, x: w.m.C_CloseSession(x),
    "C_GetSessionInfo": lambda w, x: w.m.C_GetSessionInfo(x, ffi.new("CK_SESSION_INFO*")),
    "C_Login": lambda w, x: w.m.C_Login(x, ck.CKU_USER, *w.b(b"12345678")),
    "C_LoginUser": lambda w, x: w.m.C_LoginUser(x, ck.CKU_USER, *w.b(b"12345678"), *w.b(b"user")),
    "C_Logout": lambda w, x: w.m.C_Logout(x),
    "C_SessionCancel": lambda w, x: w.m.C_SessionCancel(x, ck.CKF_SIGN),
    "C_GetSessionValidationFlags": lambda w, x: w.m.C_GetSessionValidationFlags(x, 1, w.n()),
    "C_CreateObject": lambda w, x: w.m.C_CreateObject(x, *w.t(DATA), w.h),
    "C_CopyObject": lambda w, x: w.m.C_CopyObject(x, 1, *w.t({}), w.h),
    "C_DestroyObject": lambda w, x: w.m.C_DestroyObject(x, 1),
    "C_GetObjectSize": lambda w, x: w.m.C_GetObjectSize(x, 1, w.n()),
    "C_GetAttributeValue": lambda w, x: w.m.C_GetAttributeValue(x, 1, *w.t({ck.CKA_LABEL: None})),
    "C_SetAttributeValue": lambda w, x: w.m.C_SetAttributeValue(x, 1, *w.t({ck.CKA_LABEL: b"x"})),
    "C_FindObjectsInit": lambda w, x: w.m.C_FindObjectsInit(x, NULL, 0),
    "C_FindObjects": lambda w, x: w.m.C_FindObjects(x, w.h, 1, w.n()),
    "C_FindObjectsFinal": lambda w, x: w.m.C_FindObjectsFinal(x),
    "C_DigestInit": lambda w, x: w.m.C_DigestInit(x, w.mech(SHA256)),
    "C_DigestKey": lambda w, x: w.m.C_DigestKey(x, 1),
    "C_GenerateKey": lambda w, x: w.m.C_GenerateKey(x, w.mech(ck.CKM_AES_KEY_GEN), *w.t({ck.CKA_VALUE_LEN: 16}), w.h),
    "C_GenerateKeyPair": lambda w, x: w.m.C_GenerateKeyPair(
        x, w.mech(ck.CKM_EC_KEY_PAIR_GEN), *w.t({ck.CKA_EC_PARAMS: P256}), *w.t({}), w.h, w.h2),
    "C_WrapKey": lambda w, x: w.m.C_WrapKey(x, w.mech(KWP), 1, 1, w.out, w.n()),
    "C_UnwrapKey": lambda w, x: w.m.C_UnwrapKey(x, w.mech(KWP), 1, *w.b(bytes(24)), *w.t(AES), w.h),
    "C_DeriveKey": lambda w, x: w.m.C_DeriveKey(x, w.mech(ck.CKM_ECDH1_DERIVE), 1, *w.t({}), w.h),
    "C_SeedRandom": lambda w, x: w.m.C_SeedRandom(x, *w.b(b"seed")),
    "C_GenerateRandom": lambda w, x: w.m.C_GenerateRandom(x, w.out, 8),
    "C_GetFunctionStatus": lambda w, x: w.m.C_GetFunctionStatus(x),
    "C_CancelFunction": lambda w, x: w.m.C_CancelFunction(x),
}


def _operation_calls(kind: str) -> dict[str, Call]:
    """Init, one-shot, Update and Final of one kind; digests, MACs and ciphers differ in what they give back."""
    def with_data(function: str) -> Call:
        return lambda w, x: getattr(w.m, function)(x, *w.b(b"data"), w.out, w.n())

    gives = kind in ("Encrypt", "Decrypt")
    calls: dict[str, Call] = {f"C_{kind}": with_data(f"C_{kind}")}
    if kind != "Digest":
        calls[f"C_{kind}Init"] = lambda w, x: getattr(w.m, f"C_{kind}Init")(x, w.mech(ECB), 1)
    if gives:
        calls[f"C_{kind}Update"] = with_data(f"C_{kind}Update")
    else:
        calls[f"C_{kind}Update"] = lambda w, x: getattr(w.m, f"C_{kind}Update")(x, *w.b(b"data"))
    calls[f"C_{kind}Final"] = lambda w, x: getattr(w.m, f"C_{kind}Final")(x, w.out, w.n())
    if kind == "Verify":
        calls["C_Verify"] = lambda w, x: w.m.C_Verify(x, *w.b(b"data"), *w.b(b"signature"))
        calls["C_VerifyFinal"] = lambda w, x: w.m.C_VerifyFinal(x, *w.b(b"signature"))
    return calls


KINDS = ("Encrypt", "Decrypt", "Digest", "Sign", "Verify")
for _kind in KINDS:
    SESSION.update(_operation_calls(_kind))
CALLS: dict[str, Call] = {"C_GetSlotList": lambda w, x: w.m.C_GetSlotList(0, NULL, w.n()), **SLOT, **SESSION}


class Row(NamedTuple):
    function: str
    situation: str
    code: str
    act: Callable[[World], int]


def _generic() -> list[Row]:
    rows = [
        Row(f, "no session of this application has the handle", "SESSION_HANDLE_INVALID", lambda w, c=c: c(w, 0x7777))
        for f, c in SESSION.items()
    ]
    rows += [Row(f, "there is no such slot", "SLOT_ID_INVALID", lambda w, c=c: c(w, 99)) for f, c in SLOT.items()]
    kinds = tuple(f"C_{kind}" for kind in KINDS)
    going_on = [f for f in SESSION if f.startswith(kinds) and not f.endswith("Init")]
    rows += [
        Row(f, "nothing was begun", "OPERATION_NOT_INITIALIZED", lambda w, c=SESSION[f]: c(w, w.s))
        for f in (*going_on, "C_FindObjects", "C_FindObjectsFinal")
    ]
    rows += [
        Row(f, "legacy, always", "FUNCTION_NOT_PARALLEL", lambda w, c=SESSION[f]: c(w, w.s))
        for f in ("C_GetFunctionStatus", "C_CancelFunction")
    ]
    return rows


def _nulls() -> list[Row]:
    """A NULL pointer where the function needs one."""
    calls: dict[str, Callable[[World], int]] = {
        "C_GetSlotList": lambda w: w.m.C_GetSlotList(0, NULL, NULL),
        "C_GetSlotInfo": lambda w: w.m.C_GetSlotInfo(0, NULL),
        "C_GetTokenInfo": lambda w: w.m.C_GetTokenInfo(0, NULL),
        "C_GetMechanismList": lambda w: w.m.C_GetMechanismList(0, NULL, NULL),
        "C_GetMechanismInfo": lambda w: w.m.C_GetMechanismInfo(0, ECDSA, NULL),
        "C_InitToken": lambda w: w.m.C_InitToken(w.blank, NULL, 0, w.m.bytes(b" " * 32)),
        "C_InitPIN": lambda w: w.so().m.C_InitPIN(w.s, NULL, 0),
        "C_SetPIN": lambda w: w.m.C_SetPIN(w.s, NULL, 0, *w.b(b"12345678")),
        "C_OpenSession": lambda w: w.m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, NULL, NULL, NULL),
        "C_GetSessionInfo": lambda w: w.m.C_GetSessionInfo(w.s, NULL),
        "C_Login": lambda w: w.public().m.C_Login(w.s, ck.CKU_USER, NULL, 0),
        "C_LoginUser": lambda w: w.public().m.C_LoginUser(w.s, ck.CKU_USER, NULL, 0, NULL, 0),
        "C_GetSessionValidationFlags": lambda w: w.m.C_GetSessionValidationFlags(w.s, 1, NULL),
        "C_CreateObject": lambda w: w.m.C_CreateObject(w.s, *w.t(DATA), NULL),
        "C_CopyObject": lambda w: w.m.C_CopyObject(w.s, w.data(), *w.t({}), NULL),
        "C_GetObjectSize": lambda w: w.m.C_GetObjectSize(w.s, w.data(), NULL),
        "C_GetAttributeValue": lambda w: w.m.C_GetAttributeValue(w.s, w.data(), NULL, 1),
        "C_SetAttributeValue": lambda w: w.m.C_SetAttributeValue(w.s, w.data(), NULL, 1),
        "C_FindObjectsInit": lambda w: w.m.C_FindObjectsInit(w.s, NULL, 1),
        "C_FindObjects": lambda w: w.m.C_FindObjects(w.s, NULL, 1, w.n()),
        "C_GenerateKey": lambda w: w.m.C_GenerateKey(w.s, NULL, NULL, 0, w.h),
        "C_GenerateKeyPair": lambda w: w.m.C_GenerateKeyPair(w.s, NULL, NULL, 0, NULL, 0, w.h, w.h2),
        "C_WrapKey": lambda w: w.m.C_WrapKey(w.s, NULL, w.aes(), w.aes(extractable=True), w.out, w.n()),
        "C_UnwrapKey": lambda w: w.m.C_UnwrapKey(w.s, NULL, w.aes(), *w.b(bytes(24)), *w.t(AES), w.h),
        "C_DeriveKey": lambda w: w.m.C_DeriveKey(w.s, NULL, w.ec()[1], *w.t({}), w.h),
        "C_SeedRandom": lambda w: w.m.C_SeedRandom(w.s, NULL, 4),
        "C_GenerateRandom": lambda w: w.m.C_GenerateRandom(w.s, NULL, 4),
        "C_DigestInit": lambda w: w.m.C_DigestInit(w.s, NULL),
        "C_Digest": lambda w: w.begin("Digest", SHA256).m.C_Digest(w.s, *w.b(b"x"), w.out, NULL),
        "C_DigestUpdate": lambda w: w.begin("Digest", SHA256).m.C_DigestUpdate(w.s, NULL, 4),
        "C_DigestFinal": lambda w: w.begin("Digest", SHA256).m.C_DigestFinal(w.s, w.out, NULL),
        "C_Verify": lambda w: w.begin("Verify", ECDSA, w.ec()[0]).m.C_Verify(w.s, *w.b(b"x"), NULL, 64),
        "C_VerifyUpdate": lambda w: w.begin("Verify", SHA256_HMAC, hmac_key(w)).m.C_VerifyUpdate(w.s, NULL, 4),
        "C_VerifyFinal": lambda w: w.begin("Verify", SHA256_HMAC, hmac_key(w)).m.C_VerifyFinal(w.s, NULL, 4),
        "C_Sign": lambda w: w.begin("Sign", SHA256_HMAC, hmac_key(w)).m.C_Sign(w.s, *w.b(b"x"), w.out, NULL),
        "C_SignUpdate": lambda w: w.begin("Sign", SHA256_HMAC, hmac_key(w)).m.C_SignUpdate(w.s, NULL, 4),
        "C_SignFinal": lambda w: w.begin("Sign", SHA256_HMAC, hmac_key(w)).m.C_SignFinal(w.s, w.out, NULL),
    }
    for kind in ("Encrypt", "Decrypt"):
        calls[f"C_{kind}"] = lambda w, k=kind: getattr(w.begin(k, ECB, w.aes()).m, f"C_{k}")(
            w.s, NULL, 16, w.out, w.n())
        calls[f"C_{kind}Update"] = lambda w, k=kind: getattr(w.begin(k, ECB, w.aes()).m, f"C_{k}Update")(
            w.s, *w.b(bytes(16)), w.out, NULL)
        calls[f"C_{kind}Final"] = lambda w, k=kind: getattr(w.begin(k, ECB, w.aes()).m, f"C_{k}Final")(w.s, w.out, NULL)
    for kind in ("Encrypt", "Decrypt", "Sign", "Verify"):
        calls[f"C_{kind}Init"] = lambda w, k=kind: getattr(w.m, f"C_{k}Init")(w.s, NULL, 1)
    return [Row(f, "a NULL pointer", "ARGUMENTS_BAD", act) for f, act in calls.items()]


SHA256_HMAC = ck.CKM_SHA256_HMAC


def hmac_key(w: World) -> int:
    rv, key = w.m.generate(w.s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: 32})
    good(rv)
    return key


def _slots_and_tokens() -> list[Row]:
    short = [("C_GetSlotList", lambda w: w.m.C_GetSlotList(0, w.h, w.n(1))),
             ("C_GetMechanismList", lambda w: w.m.C_GetMechanismList(0, w.h, w.n(1)))]
    label = b" " * 32
    return [
        *(Row(f, "an array with too few places", "BUFFER_TOO_SMALL", act) for f, act in short),
        Row("C_GetMechanismInfo", "a mechanism of no token", "MECHANISM_INVALID",
            lambda w: w.m.C_GetMechanismInfo(0, 0x7FFF0000, ffi.new("CK_MECHANISM_INFO*"))),
        Row("C_InitToken", "a session is open", "SESSION_EXISTS",
            lambda w: w.m.C_InitToken(0, *w.b(w.token.so_pin.encode()), w.m.bytes(label))),
        Row("C_InitToken", "a fresh token, a PIN too short to be one", "PIN_INCORRECT",
            lambda w: w.m.C_InitToken(w.blank, *w.b(b"123"), w.m.bytes(label))),
        Row("C_InitToken", "a fresh token, an empty PIN", "PIN_INCORRECT",
            lambda w: w.m.C_InitToken(w.blank, w.m.bytes(b""), 0, w.m.bytes(label))),
        Row("C_InitToken", "a fresh token, a PIN that is no UTF-8", "PIN_INCORRECT",
            lambda w: w.m.C_InitToken(w.blank, *w.b(b"\xff\xfe\xfd\xfc"), w.m.bytes(label))),
        Row("C_OpenSession", "the token was never initialised", "TOKEN_NOT_INITIALIZED",
            lambda w: w.m.C_OpenSession(w.blank, ck.CKF_SERIAL_SESSION, NULL, NULL, w.h)),
        Row("C_OpenSession", "without CKF_SERIAL_SESSION", "SESSION_PARALLEL_NOT_SUPPORTED",
            lambda w: w.m.C_OpenSession(0, ck.CKF_RW_SESSION, NULL, NULL, w.h)),
        Row("C_OpenSession", "asynchronous", "SESSION_ASYNC_NOT_SUPPORTED",
            lambda w: w.m.C_OpenSession(0, ck.CKF_SERIAL_SESSION | ck.CKF_ASYNC_SESSION, NULL, NULL, w.h)),
        Row("C_OpenSession", "read-only while the SO is logged in", "SESSION_READ_WRITE_SO_EXISTS",
            lambda w: w.so().m.C_OpenSession(0, ck.CKF_SERIAL_SESSION, NULL, NULL, w.h)),
    ]


def _pins_and_logins() -> list[Row]:
    rows = [
        Row("C_InitPIN", "the user is logged in, not the SO", "USER_NOT_LOGGED_IN",
            lambda w: w.m.C_InitPIN(w.s, *w.b(b"12345678"))),
        Row("C_InitPIN", "nobody is logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.C_InitPIN(w.s, *w.b(b"12345678"))),
        Row("C_InitPIN", "a short PIN", "PIN_LEN_RANGE", lambda w: w.so().m.C_InitPIN(w.s, *w.b(b"123"))),
        Row("C_InitPIN", "a long PIN", "PIN_LEN_RANGE", lambda w: w.so().m.C_InitPIN(w.s, *w.b(b"1" * 256))),
        Row("C_InitPIN", "not UTF-8", "PIN_INVALID", lambda w: w.so().m.C_InitPIN(w.s, *w.b(b"\xff\xff\xff\xff"))),
        Row("C_InitPIN", "it would be read as name and PIN", "PIN_INVALID",
            lambda w: w.so().m.C_InitPIN(w.s, *w.b(b"so:12345"))),
        Row("C_SetPIN", "a wrong old PIN", "PIN_INCORRECT",
            lambda w: w.m.C_SetPIN(w.s, *w.b(b"not the PIN"), *w.b(b"12345678"))),
        Row("C_SetPIN", "a short new PIN", "PIN_LEN_RANGE",
            lambda w: w.m.C_SetPIN(w.s, *w.b(w.token.pin.encode()), *w.b(b"123"))),
        Row("C_SetPIN", "a new PIN that is no UTF-8", "PIN_INVALID",
            lambda w: w.m.C_SetPIN(w.s, *w.b(w.token.pin.encode()), *w.b(b"\xff\xff\xff\xff"))),
        Row("C_SetPIN", "a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.C_SetPIN(w.read_only(), *w.b(b"12345678"), *w.b(b"12345678"))),
        Row("C_Logout", "nobody is logged in", "USER_NOT_LOGGED_IN", lambda w: w.public().m.C_Logout(w.s)),
    ]

    def user(w: World, kind: int, pin: bytes, named: bool) -> int:
        if named:
            return int(w.m.C_LoginUser(w.s, kind, *w.b(pin), *w.b(b"so" if kind == ck.CKU_SO else b"user")))
        return int(w.m.C_Login(w.s, kind, *w.b(pin)))

    def with_read_only(w: World, named: bool) -> int:
        w.public().read_only()
        return user(w, ck.CKU_SO, w.token.so_pin.encode(), named)

    for f, named in (("C_Login", False), ("C_LoginUser", True)):
        rows += [
            Row(f, "logged in already", "USER_ALREADY_LOGGED_IN",
                lambda w, n=named: user(w, ck.CKU_USER, w.token.pin.encode(), n)),
            Row(f, "the other user is logged in", "USER_ANOTHER_ALREADY_LOGGED_IN",
                lambda w, n=named: user(w, ck.CKU_SO, w.token.so_pin.encode(), n)),
            Row(f, "no such user type", "USER_TYPE_INVALID", lambda w, n=named: user(w.public(), 77, b"12345678", n)),
            Row(f, "a wrong PIN", "PIN_INCORRECT", lambda w, n=named: user(w.public(), ck.CKU_USER, b"not it", n)),
            Row(f, "an empty PIN", "PIN_INCORRECT", lambda w, n=named: user(w.public(), ck.CKU_USER, b"", n)),
            Row(f, "the SO beside a read-only session", "SESSION_READ_ONLY_EXISTS",
                lambda w, n=named: with_read_only(w, n)),
            Row(f, "context-specific with nothing to authenticate for", "OPERATION_NOT_INITIALIZED",
                lambda w, n=named: user(w, ck.CKU_CONTEXT_SPECIFIC, w.token.pin.encode(), n)),
        ]
    rows.append(Row("C_LoginUser", "nobody of that name", "PIN_INCORRECT", lambda w: int(
        w.public().m.C_LoginUser(w.s, ck.CKU_USER, *w.b(w.token.pin.encode()), *w.b(b"nobody")))))
    return rows


def _objects() -> list[Row]:
    def create(rows: Any) -> Callable[[World], int]:
        return lambda w: w.m.create(w.s, rows)[0]

    def copy(rows: Any, **source: Any) -> Callable[[World], int]:
        return lambda w: int(w.m.C_CopyObject(w.s, w.data(**source), *w.t(rows), w.h))

    def change(rows: Any, **source: Any) -> Callable[[World], int]:
        return lambda w: int(w.m.C_SetAttributeValue(w.s, w.data(**source), *w.t(rows)))

    def in_read_only(call: Callable[[World, int, int], int]) -> Callable[[World], int]:
        def act(w: World) -> int:
            item = w.data(token=True)
            try:
                return call(w, w.read_only(), item)
            finally:
                good(w.m.C_DestroyObject(w.s, item))

        return act

    token, label = {ck.CKA_TOKEN: True}, {ck.CKA_LABEL: b"x"}
    public = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC}
    twice = [*DATA.items(), (ck.CKA_LABEL, b"one"), (ck.CKA_LABEL, b"two")]
    return [
        Row("C_CreateObject", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", create({**DATA, 0x7FFFFF: b""})),
        Row("C_CreateObject", "a class of nobody", "ATTRIBUTE_VALUE_INVALID", create({ck.CKA_CLASS: 0x77})),
        Row("C_CreateObject", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID",
            create({**DATA, ck.CKA_TOKEN: b"\1\1"})),
        Row("C_CreateObject", "the token's own attribute", "ATTRIBUTE_READ_ONLY",
            create({**DATA, ck.CKA_UNIQUE_ID: b"mine"})),
        Row("C_CreateObject", "no class", "TEMPLATE_INCOMPLETE", create({ck.CKA_LABEL: b"x"})),
        Row("C_CreateObject", "an attribute of another class", "TEMPLATE_INCONSISTENT",
            create({**DATA, ck.CKA_MODULUS: b"x"})),
        Row("C_CreateObject", "an attribute twice", "TEMPLATE_INCONSISTENT", create(twice)),
        Row("C_CreateObject", "a curve of nobody", "CURVE_NOT_SUPPORTED",
            create({**public, ck.CKA_EC_PARAMS: NO_CURVE, ck.CKA_EC_POINT: bytes(65)})),
        Row("C_CreateObject", "a token object in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.create(w.read_only(), {**DATA, **token})[0]),
        Row("C_CreateObject", "a private object, nobody logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.create(w.s, {**DATA, ck.CKA_PRIVATE: True})[0]),
        Row("C_CreateObject", "a private object, the SO logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.so().m.create(w.s, {**DATA, ck.CKA_PRIVATE: True})[0]),
        Row("C_CopyObject", "no such object", "OBJECT_HANDLE_INVALID",
            lambda w: w.m.C_CopyObject(w.s, 0, *w.t({}), w.h)),
        Row("C_CopyObject", "CKA_COPYABLE is FALSE", "ACTION_PROHIBITED", copy({}, copyable=False)),
        Row("C_CopyObject", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", copy({0x7FFFFF: b""})),
        Row("C_CopyObject", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID", copy({ck.CKA_TOKEN: b"\1\1"})),
        Row("C_CopyObject", "an attribute that no copy changes", "ATTRIBUTE_READ_ONLY",
            copy({ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})),
        Row("C_CopyObject", "a private object made public", "TEMPLATE_INCONSISTENT",
            copy({ck.CKA_PRIVATE: False}, private=True)),
        Row("C_CopyObject", "a token object in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.C_CopyObject(w.read_only(), w.data(), *w.t(token), w.h)),
        Row("C_CopyObject", "a private copy, nobody logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.C_CopyObject(w.s, w.data(), *w.t({ck.CKA_PRIVATE: True}), w.h)),
        Row("C_DestroyObject", "no such object", "OBJECT_HANDLE_INVALID", lambda w: w.m.C_DestroyObject(w.s, 0)),
        Row("C_DestroyObject", "CKA_DESTROYABLE is FALSE", "ACTION_PROHIBITED",
            lambda w: w.m.C_DestroyObject(w.s, w.data(destroyable=False))),
        Row("C_DestroyObject", "a token object in a read-only session", "SESSION_READ_ONLY",
            in_read_only(lambda w, s, item: int(w.m.C_DestroyObject(s, item)))),
        Row("C_GetObjectSize", "no such object", "OBJECT_HANDLE_INVALID", lambda w: w.m.C_GetObjectSize(w.s, 0, w.n())),
        Row("C_GetAttributeValue", "no such object", "OBJECT_HANDLE_INVALID",
            lambda w: w.m.C_GetAttributeValue(w.s, 0, *w.t({ck.CKA_LABEL: None}))),
        Row("C_GetAttributeValue", "a sensitive value", "ATTRIBUTE_SENSITIVE",
            lambda w: w.m.C_GetAttributeValue(w.s, w.aes(), *w.t({ck.CKA_VALUE: None}))),
        Row("C_GetAttributeValue", "an attribute that the object lacks", "ATTRIBUTE_TYPE_INVALID",
            lambda w: w.m.C_GetAttributeValue(w.s, w.data(), *w.t({ck.CKA_MODULUS: None}))),
        Row("C_GetAttributeValue", "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.m.C_GetAttributeValue(w.s, w.data(label=b"long"), *w.t({ck.CKA_LABEL: b"1"}))),
        Row("C_SetAttributeValue", "no such object", "OBJECT_HANDLE_INVALID",
            lambda w: w.m.C_SetAttributeValue(w.s, 0, *w.t(label))),
        Row("C_SetAttributeValue", "CKA_MODIFIABLE is FALSE", "ACTION_PROHIBITED", change(label, modifiable=False)),
        Row("C_SetAttributeValue", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", change({0x7FFFFF: b""})),
        Row("C_SetAttributeValue", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID",
            change({ck.CKA_COPYABLE: b"\1\1"})),
        Row("C_SetAttributeValue", "an attribute that never changes", "ATTRIBUTE_READ_ONLY", change(token)),
        Row("C_SetAttributeValue", "an attribute of another class", "TEMPLATE_INCONSISTENT",
            change({ck.CKA_MODULUS: b"x"})),
        Row("C_SetAttributeValue", "a token object in a read-only session", "SESSION_READ_ONLY",
            in_read_only(lambda w, s, item: int(w.m.C_SetAttributeValue(s, item, *w.t(label))))),
        Row("C_FindObjectsInit", "a search is active", "OPERATION_ACTIVE",
            lambda w: good(w.m.C_FindObjectsInit(w.s, NULL, 0)) or w.m.C_FindObjectsInit(w.s, NULL, 0)),
    ]


def _inits() -> list[Row]:
    def init(kind: str, number: int, key: Callable[[World], int], parameter: Any = None) -> Callable[[World], int]:
        return lambda w: int(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(number, parameter), key(w)))

    def twice(kind: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            number, key = right[kind][0], right[kind][1](w)
            return int(getattr(w.begin(kind, number, key).m, f"C_{kind}Init")(w.s, w.mech(number), key))

        return act

    right: dict[str, tuple[int, Callable[[World], int]]] = {
        "Encrypt": (ECB, lambda w: w.aes()), "Decrypt": (ECB, lambda w: w.aes()),
        "Sign": (ECDSA, lambda w: w.ec()[1]), "Verify": (ECDSA, lambda w: w.ec()[0]),
    }
    rows = []
    for kind, (number, key) in right.items():
        f = f"C_{kind}Init"
        other = hmac_key if kind in ("Encrypt", "Decrypt") else lambda w: w.aes()
        rows += [
            Row(f, "no such key", "KEY_HANDLE_INVALID", init(kind, number, lambda w: 0)),
            Row(f, "an object that is no key", "KEY_HANDLE_INVALID", init(kind, number, lambda w: w.data())),
            Row(f, "a key of another type", "KEY_TYPE_INCONSISTENT", init(kind, number, other)),
            Row(f, "the key's flag for it is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
                init(kind, ck.CKM_AES_CMAC if kind in ("Sign", "Verify") else ECB,
                     lambda w, k=kind: w.aes(**{k.lower(): False}))),
            Row(f, "a mechanism of nobody", "MECHANISM_INVALID", init(kind, 0x7FFF0000, key)),
            Row(f, "a mechanism for something else", "MECHANISM_INVALID", init(kind, SHA256, key)),
            Row(f, "a parameter where there is none", "MECHANISM_PARAM_INVALID", init(kind, number, key, b"parameter")),
            Row(f, "an operation of the kind is active", "OPERATION_ACTIVE", twice(kind)),
        ]
    return [
        *rows,
        Row("C_EncryptInit", "an IV of the wrong length", "MECHANISM_PARAM_INVALID",
            init("Encrypt", CBC, lambda w: w.aes(), bytes(15))),
        Row("C_DigestInit", "a mechanism for something else", "MECHANISM_INVALID",
            lambda w: w.m.C_DigestInit(w.s, w.mech(ECB))),
        Row("C_DigestInit", "a parameter where there is none", "MECHANISM_PARAM_INVALID",
            lambda w: w.m.C_DigestInit(w.s, w.mech(SHA256, b"x"))),
        Row("C_DigestInit", "a digest is active", "OPERATION_ACTIVE",
            lambda w: w.begin("Digest", SHA256).m.C_DigestInit(w.s, w.mech(SHA256))),
    ]


def _ciphers() -> list[Row]:
    def after_update(kind: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin(kind, ECB, w.aes())
            good(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(bytes(16)), w.out, w.n()))
            return int(getattr(w.m, f"C_{kind}")(w.s, *w.b(bytes(16)), w.out, w.n()))

        return act

    def one(kind: str, number: int, data: bytes, room: int = 4096, parameter: Any = None) -> Callable[[World], int]:
        return lambda w: int(getattr(w.begin(kind, number, w.aes(), parameter).m, f"C_{kind}")(
            w.s, *w.b(data), w.out, w.n(room)))

    def part(kind: str, number: int, data: bytes, room: int, parameter: Any = None) -> Callable[[World], int]:
        return lambda w: int(getattr(w.begin(kind, number, w.aes(), parameter).m, f"C_{kind}Update")(
            w.s, *w.b(data), w.out, w.n(room)))

    def final(kind: str, number: int, data: bytes, room: int, parameter: Any = None) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin(kind, number, w.aes(), parameter)
            good(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(data), w.out, w.n()))
            return int(getattr(w.m, f"C_{kind}Final")(w.s, w.out, w.n(room)))

        return act

    def padded(size: int, room: int, in_parts: bool) -> Callable[[World], int]:
        """Decrypts what was encrypted with padding, into too little room."""
        def act(w: World) -> int:
            key, iv = w.aes(), bytes(16)
            rv, sealed = w.m.use("Encrypt", w.s, w.mech(PAD, iv), key, bytes(size))
            good(rv)
            w.begin("Decrypt", PAD, key, iv)
            if not in_parts:
                return int(w.m.C_Decrypt(w.s, *w.b(sealed), w.out, w.n(room)))
            good(w.m.C_DecryptUpdate(w.s, *w.b(sealed), w.out, w.n()))
            return int(w.m.C_DecryptFinal(w.s, w.out, w.n(room)))

        return act

    def counter(kind: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            ctr = w.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=1, cb=bytes(16))
            good(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(ck.CKM_AES_CTR, ctr), w.aes()))
            return int(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(bytes(33)), w.out, w.n()))

        return act

    def lost_login(f: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin("Decrypt", ck.CKM_RSA_PKCS, always_authenticated(w))
            return SESSION[f](w, w.s)

        return act

    return [
        Row("C_Encrypt", "after an update", "OPERATION_ACTIVE", after_update("Encrypt")),
        Row("C_Decrypt", "after an update", "OPERATION_ACTIVE", after_update("Decrypt")),
        Row("C_Encrypt", "no whole blocks", "DATA_LEN_RANGE", one("Encrypt", ECB, bytes(15))),
        Row("C_Encrypt", "too little room", "BUFFER_TOO_SMALL", one("Encrypt", ECB, bytes(16), 15)),
        Row("C_EncryptUpdate", "too little room", "BUFFER_TOO_SMALL", part("Encrypt", ECB, bytes(16), 15)),
        Row("C_EncryptUpdate", "beyond the counter", "DATA_LEN_RANGE", counter("Encrypt")),
        Row("C_EncryptFinal", "no whole blocks", "DATA_LEN_RANGE", final("Encrypt", ECB, bytes(15), 64)),
        Row("C_EncryptFinal", "too little room", "BUFFER_TOO_SMALL", final("Encrypt", PAD, bytes(15), 15, bytes(16))),
        Row("C_EncryptUpdate", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            part("Encrypt", KWP, bytes(16), 64)),
        Row("C_Decrypt", "no whole blocks", "ENCRYPTED_DATA_LEN_RANGE", one("Decrypt", ECB, bytes(15))),
        Row("C_Decrypt", "altered", "ENCRYPTED_DATA_INVALID", one("Decrypt", KWP, bytes(24))),
        Row("C_Decrypt", "too little room", "BUFFER_TOO_SMALL", padded(40, 39, False)),
        Row("C_DecryptUpdate", "too little room", "BUFFER_TOO_SMALL", part("Decrypt", ECB, bytes(16), 15)),
        Row("C_DecryptUpdate", "beyond the counter", "ENCRYPTED_DATA_LEN_RANGE", counter("Decrypt")),
        Row("C_DecryptFinal", "no whole blocks", "ENCRYPTED_DATA_LEN_RANGE", final("Decrypt", ECB, bytes(15), 64)),
        Row("C_DecryptFinal", "wrong padding", "ENCRYPTED_DATA_INVALID", lambda w: wrong_padding(w)),
        Row("C_DecryptFinal", "too little room", "BUFFER_TOO_SMALL", padded(40, 7, True)),
        *(Row(f, "the key asks for a login at each use", "USER_NOT_LOGGED_IN", lost_login(f))
          for f in ("C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal")),
    ]


def wrong_padding(w: World) -> int:
    """The last byte of the last block decrypts to zero: no padding ends so."""
    key = w.aes(sensitive=False, extractable=True)
    rv, block = w.m.use("Encrypt", w.s, w.mech(ECB), key, bytes(16))
    good(rv)
    w.begin("Decrypt", PAD, key, bytes(16))
    good(w.m.C_DecryptUpdate(w.s, *w.b(block), w.out, w.n()))
    return int(w.m.C_DecryptFinal(w.s, w.out, w.n()))


def _signatures_and_digests() -> list[Row]:
    def mac(kind: str, call: Callable[[World], int]) -> Callable[[World], int]:
        return lambda w: call(w.begin(kind, SHA256_HMAC, hmac_key(w)))

    def after_update(kind: str, call: Callable[[World], int]) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin(kind, SHA256, None) if kind == "Digest" else w.begin(kind, SHA256_HMAC, hmac_key(w))
            good(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(b"x")))
            return call(w)

        return act

    def unauthenticated(f: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            _, key = w.ec({ck.CKA_ALWAYS_AUTHENTICATE: True})
            w.begin("Sign", ck.CKM_ECDSA_SHA256, key)
            return SESSION[f](w, w.s)

        return act

    def ecdsa_verify(signature: bytes) -> Callable[[World], int]:
        return lambda w: int(w.begin("Verify", ECDSA, w.ec()[0]).m.C_Verify(w.s, *w.b(bytes(32)), *w.b(signature)))

    wrong = bytes(31) + b"\1" + bytes(31) + b"\1"
    sign, verify, digest = SESSION["C_Sign"], SESSION["C_Verify"], SESSION["C_Digest"]
    return [
        Row("C_Sign", "after an update", "OPERATION_ACTIVE", after_update("Sign", lambda w: sign(w, w.s))),
        Row("C_Verify", "after an update", "OPERATION_ACTIVE", after_update("Verify", lambda w: verify(w, w.s))),
        Row("C_Digest", "after an update", "OPERATION_ACTIVE", after_update("Digest", lambda w: digest(w, w.s))),
        Row("C_Sign", "too little room", "BUFFER_TOO_SMALL",
            mac("Sign", lambda w: w.m.C_Sign(w.s, *w.b(b"x"), w.out, w.n(31)))),
        Row("C_SignFinal", "too little room", "BUFFER_TOO_SMALL",
            mac("Sign", lambda w: w.m.C_SignFinal(w.s, w.out, w.n(31)))),
        Row("C_Sign", "nothing to sign", "DATA_LEN_RANGE",
            lambda w: w.begin("Sign", ECDSA, w.ec()[1]).m.C_Sign(w.s, NULL, 0, w.out, w.n())),
        Row("C_SignUpdate", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            lambda w: w.begin("Sign", ECDSA, w.ec()[1]).m.C_SignUpdate(w.s, *w.b(b"x"))),
        Row("C_SignFinal", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            lambda w: w.begin("Sign", ECDSA, w.ec()[1]).m.C_SignFinal(w.s, w.out, w.n())),
        *(Row(f, "the key asks for a login at each use", "USER_NOT_LOGGED_IN", unauthenticated(f))
          for f in ("C_Sign", "C_SignUpdate", "C_SignFinal")),
        Row("C_Verify", "another's signature", "SIGNATURE_INVALID", ecdsa_verify(wrong)),
        Row("C_Verify", "a signature of odd length", "SIGNATURE_LEN_RANGE", ecdsa_verify(bytes(63))),
        Row("C_Verify", "nothing to verify", "DATA_LEN_RANGE",
            lambda w: w.begin("Verify", ECDSA, w.ec()[0]).m.C_Verify(w.s, NULL, 0, *w.b(wrong))),
        Row("C_VerifyUpdate", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            lambda w: w.begin("Verify", ECDSA, w.ec()[0]).m.C_VerifyUpdate(w.s, *w.b(b"x"))),
        Row("C_VerifyFinal", "another MAC", "SIGNATURE_INVALID",
            mac("Verify", lambda w: w.m.C_VerifyFinal(w.s, *w.b(bytes(32))))),
        Row("C_VerifyFinal", "a MAC too short", "SIGNATURE_LEN_RANGE",
            mac("Verify", lambda w: w.m.C_VerifyFinal(w.s, *w.b(bytes(31))))),
        Row("C_Digest", "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.begin("Digest", SHA256).m.C_Digest(w.s, *w.b(b"x"), w.out, w.n(31))),
        Row("C_DigestFinal", "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.begin("Digest", SHA256).m.C_DigestFinal(w.s, w.out, w.n(31))),
        Row("C_DigestKey", "no such key", "KEY_HANDLE_INVALID",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, 0)),
        Row("C_DigestKey", "an object that is no key", "KEY_HANDLE_INVALID",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, w.data())),
        Row("C_DigestKey", "a sensitive key", "KEY_INDIGESTIBLE",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, w.aes())),
        Row("C_DigestKey", "a public key", "KEY_INDIGESTIBLE",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, w.ec()[0])),
    ]


def _keys() -> list[Row]:
    def aes_gen(rows: Any) -> Callable[[World], int]:
        return lambda w: w.m.generate(w.s, ck.CKM_AES_KEY_GEN, rows)[0]

    def ec_gen(public: Any, private: Any) -> Callable[[World], int]:
        return lambda w: w.m.pair(w.s, ck.CKM_EC_KEY_PAIR_GEN, public, private)[0]

    size, curve = {ck.CKA_VALUE_LEN: 16}, {ck.CKA_EC_PARAMS: P256}
    both: list[tuple[str, Callable[[Any], Callable[[World], int]]]] = [
        ("C_GenerateKey", lambda more: aes_gen({**size, **more})),
        ("C_GenerateKeyPair", lambda more: ec_gen(curve, more)),
    ]
    rows = []
    for f, gen in both:
        rows += [
            Row(f, "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", gen({0x7FFFFF: b""})),
            Row(f, "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID", gen({ck.CKA_TOKEN: b"\1\1"})),
            Row(f, "the value in the template", "ATTRIBUTE_READ_ONLY", gen({ck.CKA_VALUE: bytes(16)})),
            Row(f, "TRUSTED by the user", "TEMPLATE_INCONSISTENT" if "Pair" in f else "ATTRIBUTE_READ_ONLY",
                gen({ck.CKA_TRUSTED: True})),
            Row(f, "another class", "TEMPLATE_INCONSISTENT", gen({ck.CKA_CLASS: ck.CKO_DATA})),
        ]
    rows += [
        Row("C_GenerateKey", "no length", "TEMPLATE_INCOMPLETE", aes_gen({})),
        Row("C_GenerateKey", "a length that no AES key has", "ATTRIBUTE_VALUE_INVALID",
            aes_gen({ck.CKA_VALUE_LEN: 17})),
        Row("C_GenerateKey", "a mechanism for pairs", "MECHANISM_INVALID",
            lambda w: w.m.generate(w.s, ck.CKM_EC_KEY_PAIR_GEN, {})[0]),
        Row("C_GenerateKey", "a parameter where there is none", "MECHANISM_PARAM_INVALID",
            lambda w: w.m.generate(w.s, ck.CKM_AES_KEY_GEN, size, b"x")[0]),
        Row("C_GenerateKey", "a token key in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.generate(w.read_only(), ck.CKM_AES_KEY_GEN, {**size, ck.CKA_TOKEN: True})[0]),
        Row("C_GenerateKey", "a private key, nobody logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.generate(w.s, ck.CKM_AES_KEY_GEN, size)[0]),
        Row("C_GenerateKeyPair", "no curve", "TEMPLATE_INCOMPLETE", ec_gen({}, {})),
        Row("C_GenerateKeyPair", "a curve of nobody", "CURVE_NOT_SUPPORTED", ec_gen({ck.CKA_EC_PARAMS: NO_CURVE}, {})),
        Row("C_GenerateKeyPair", "a size that no RSA key has", "ATTRIBUTE_VALUE_INVALID", lambda w: w.m.pair(
            w.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {ck.CKA_MODULUS_BITS: 1001, ck.CKA_PUBLIC_EXPONENT: b"\3"}, {})[0]),
        Row("C_GenerateKeyPair", "a mechanism for secret keys", "MECHANISM_INVALID",
            lambda w: w.m.pair(w.s, ck.CKM_AES_KEY_GEN, {}, {})[0]),
        Row("C_GenerateKeyPair", "a parameter where there is none", "MECHANISM_PARAM_INVALID",
            lambda w: w.m.C_GenerateKeyPair(
                w.s, w.mech(ck.CKM_EC_KEY_PAIR_GEN, b"x"), *w.t(curve), *w.t({}), w.h, w.h2)),
        Row("C_GenerateKeyPair", "a token key in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.pair(w.read_only(), ck.CKM_EC_KEY_PAIR_GEN, curve, {ck.CKA_TOKEN: True})[0]),
        Row("C_GenerateKeyPair", "a private key, nobody logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.pair(w.s, ck.CKM_EC_KEY_PAIR_GEN, curve, {})[0]),
    ]
    return rows


def _wrapping() -> list[Row]:
    def wrap(
        key: Callable[[World], int], target: Callable[[World], int], number: int = KWP, parameter: Any = None,
        room: int = 4096,
    ) -> Callable[[World], int]:
        return lambda w: int(w.m.C_WrapKey(w.s, w.mech(number, parameter), key(w), target(w), w.out, w.n(room)))

    def aes(**more: Any) -> Callable[[World], int]:
        return lambda w: w.aes(**more)

    def made(rows: Any) -> Callable[[World], int]:
        return lambda w: w.m.make(w.s, {**AES, **rows})

    def private_by_kw(w: World) -> int:
        return w.ec({ck.CKA_EXTRACTABLE: True})[1]

    out = aes(extractable=True)
    return [
        Row("C_WrapKey", "no such wrapping key", "WRAPPING_KEY_HANDLE_INVALID", wrap(lambda w: 0, out)),
        Row("C_WrapKey", "a wrapping key that is no key", "WRAPPING_KEY_HANDLE_INVALID", wrap(lambda w: w.data(), out)),
        Row("C_WrapKey", "a wrapping key of another type", "WRAPPING_KEY_TYPE_INCONSISTENT", wrap(hmac_key, out)),
        Row("C_WrapKey", "a weaker wrapping key", "WRAPPING_KEY_SIZE_RANGE",
            wrap(lambda w: w.m.aes(w.s, value_len=16), out)),
        Row("C_WrapKey", "no such key", "KEY_HANDLE_INVALID", wrap(aes(), lambda w: 0)),
        Row("C_WrapKey", "an object that is no key", "KEY_HANDLE_INVALID", wrap(aes(), lambda w: w.data())),
        Row("C_WrapKey", "not of the wrapping key's CKA_WRAP_TEMPLATE", "KEY_HANDLE_INVALID",
            wrap(aes(wrap_template={ck.CKA_LABEL: b"these"}), out)),
        Row("C_WrapKey", "CKA_WRAP is FALSE", "KEY_FUNCTION_NOT_PERMITTED", wrap(aes(wrap=False), out)),
        Row("C_WrapKey", "not extractable", "KEY_UNEXTRACTABLE", wrap(aes(), aes())),
        Row("C_WrapKey", "a public key", "KEY_NOT_WRAPPABLE", wrap(aes(), lambda w: w.ec()[0])),
        Row("C_WrapKey", "by a mechanism that protects no sensitive key", "KEY_NOT_WRAPPABLE", wrap(aes(), out, ECB)),
        Row("C_WrapKey", "a key too long for RSA", "KEY_SIZE_RANGE", lambda w: wrap_long_by_rsa(w)),
        Row("C_WrapKey", "too little room", "BUFFER_TOO_SMALL", wrap(aes(), out, room=39)),
        Row("C_WrapKey", "a mechanism for something else", "MECHANISM_INVALID", wrap(aes(), out, SHA256)),
        Row("C_WrapKey", "a parameter of the wrong form", "MECHANISM_PARAM_INVALID", wrap(aes(), out, CBC, b"short")),
        Row("C_WrapKey", "the key's owner logged out", "WRAPPING_KEY_HANDLE_INVALID",
            lambda w: (k := w.aes()) and w.public().m.C_WrapKey(w.s, w.mech(KWP), k, k, w.out, w.n())),
    ]


def wrap_long_by_rsa(w: World) -> int:
    public = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, key, _ = w.m.pair(w.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, public, {})
    good(rv)
    rv, long = w.m.generate(w.s, ck.CKM_GENERIC_SECRET_KEY_GEN, {
        ck.CKA_VALUE_LEN: 300, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True})
    good(rv)
    return int(w.m.C_WrapKey(w.s, w.mech(ck.CKM_RSA_PKCS), key, long, w.out, w.n()))


def _unwrapping_and_deriving() -> list[Row]:
    def unwrap(
        key: Callable[[World], int], rows: Any = None, blob: bytes = bytes(24), number: int = KWP, parameter: Any = None
    ) -> Callable[[World], int]:
        return lambda w: w.m.unwrap(w.s, w.mech(number, parameter), key(w), blob, AES if rows is None else rows)[0]

    def aes(**more: Any) -> Callable[[World], int]:
        return lambda w: w.aes(**more)

    def good_blob(rows: Any) -> Callable[[World], int]:
        """A well wrapped AES key of 32 bytes, unwrapped into ``rows``."""
        def act(w: World) -> int:
            key = w.aes()
            rv, blob = w.m.wrap(w.s, w.mech(KWP), key, w.aes(extractable=True))
            good(rv)
            return w.m.unwrap(w.s, w.mech(KWP), key, blob, rows)[0]

        return act

    def derive(
        rows: Any, key: Callable[[World], int] | None = None, peer: bytes | None = None,
        number: int = ck.CKM_ECDH1_DERIVE,
    ) -> Callable[[World], int]:
        def act(w: World) -> int:
            public, private = w.ec()
            point = w.m.read(w.s, public, ck.CKA_EC_POINT) if peer is None else peer
            parameter = w.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point,
                                      ulPublicDataLen=len(point))
            return w.m.derive(w.s, w.mech(number, parameter), private if key is None else key(w), rows)[0]

        return act

    generic = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
    rows = [
        Row("C_UnwrapKey", "no such key", "UNWRAPPING_KEY_HANDLE_INVALID", unwrap(lambda w: 0)),
        Row("C_UnwrapKey", "an object that is no key", "UNWRAPPING_KEY_HANDLE_INVALID", unwrap(lambda w: w.data())),
        Row("C_UnwrapKey", "a key of another type", "UNWRAPPING_KEY_TYPE_INCONSISTENT", unwrap(hmac_key)),
        Row("C_UnwrapKey", "CKA_UNWRAP is FALSE", "KEY_FUNCTION_NOT_PERMITTED", unwrap(aes(unwrap=False))),
        Row("C_UnwrapKey", "altered", "WRAPPED_KEY_INVALID", unwrap(aes())),
        Row("C_UnwrapKey", "no wrapped key is so long", "WRAPPED_KEY_LEN_RANGE", unwrap(aes(), blob=bytes(23))),
        Row("C_UnwrapKey", "another length than the template says", "WRAPPED_KEY_LEN_RANGE",
            good_blob({**AES, ck.CKA_VALUE_LEN: 16})),
        Row("C_UnwrapKey", "no class", "TEMPLATE_INCOMPLETE", unwrap(aes(), {ck.CKA_KEY_TYPE: ck.CKK_AES})),
        Row("C_UnwrapKey", "no length, and zeros may follow the key", "TEMPLATE_INCOMPLETE",
            unwrap(aes(), {**generic, ck.CKA_SENSITIVE: False}, bytes(32), ECB)),
        Row("C_UnwrapKey", "a public key", "TEMPLATE_INCONSISTENT",
            unwrap(aes(), {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA})),
        Row("C_UnwrapKey", "against the key's CKA_UNWRAP_TEMPLATE", "TEMPLATE_INCONSISTENT",
            unwrap(aes(unwrap_template={ck.CKA_LABEL: b"these"}), {**AES, ck.CKA_LABEL: b"others"})),
        Row("C_UnwrapKey", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", unwrap(aes(), {**AES, 0x7FFFFF: b""})),
        Row("C_UnwrapKey", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID",
            unwrap(aes(), {**AES, ck.CKA_TOKEN: b"\1\1"})),
        Row("C_UnwrapKey", "the value in the template", "ATTRIBUTE_READ_ONLY",
            unwrap(aes(), {**AES, ck.CKA_VALUE: bytes(16)})),
        Row("C_UnwrapKey", "a mechanism for something else", "MECHANISM_INVALID", unwrap(aes(), number=SHA256)),
        Row("C_UnwrapKey", "a parameter of the wrong form", "MECHANISM_PARAM_INVALID",
            unwrap(aes(), number=CBC, parameter=b"short")),
        Row("C_UnwrapKey", "a token key in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.unwrap(w.read_only(), w.mech(KWP), w.aes(), bytes(24), {**AES, ck.CKA_TOKEN: True})[0]),
        Row("C_UnwrapKey", "a key that asks for a login at each use", "USER_NOT_LOGGED_IN", lambda w: w.m.unwrap(
            w.s, w.mech(ck.CKM_RSA_PKCS), always_authenticated(w), bytes(128), AES)[0]),
        Row("C_DeriveKey", "no such key", "KEY_HANDLE_INVALID", derive({}, lambda w: 0)),
        Row("C_DeriveKey", "an object that is no key", "KEY_HANDLE_INVALID", derive({}, lambda w: w.data())),
        Row("C_DeriveKey", "a key of another type", "KEY_TYPE_INCONSISTENT", derive({}, hmac_key)),
        Row("C_DeriveKey", "CKA_DERIVE is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
            derive({}, lambda w: w.ec({ck.CKA_DERIVE: False})[1])),
        Row("C_DeriveKey", "another party's key that is none", "PUBLIC_KEY_INVALID",
            derive({}, peer=b"\4" + bytes(64))),
        Row("C_DeriveKey", "no other party's key", "MECHANISM_PARAM_INVALID", derive({}, peer=b"")),
        Row("C_DeriveKey", "a mechanism for something else", "MECHANISM_INVALID",
            lambda w: w.m.derive(w.s, w.mech(SHA256), w.ec()[1], {})[0]),
        Row("C_DeriveKey", "a longer key than was agreed", "KEY_SIZE_RANGE", derive({ck.CKA_VALUE_LEN: 33})),
        Row("C_DeriveKey", "no length of an AES key", "TEMPLATE_INCOMPLETE", derive({ck.CKA_KEY_TYPE: ck.CKK_AES})),
        Row("C_DeriveKey", "a public key", "TEMPLATE_INCONSISTENT", derive({ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})),
        Row("C_DeriveKey", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", derive({0x7FFFFF: b""})),
        Row("C_DeriveKey", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID", derive({ck.CKA_TOKEN: b"\1\1"})),
        Row("C_DeriveKey", "the value in the template", "ATTRIBUTE_READ_ONLY", derive({ck.CKA_VALUE: bytes(16)})),
        Row("C_DeriveKey", "a token key in a read-only session", "SESSION_READ_ONLY", lambda w: derive_in(
            w, w.read_only(), {ck.CKA_TOKEN: True})),
        Row("C_DeriveKey", "a key that asks for a login at each use", "USER_NOT_LOGGED_IN",
            derive({}, lambda w: w.ec({ck.CKA_ALWAYS_AUTHENTICATE: True})[1])),
    ]
    return rows


def derive_in(w: World, session: int, rows: Any) -> int:
    public, private = w.ec()
    point = w.m.read(w.s, public, ck.CKA_EC_POINT)
    parameter = w.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point, ulPublicDataLen=len(point))
    return w.m.derive(session, w.mech(ck.CKM_ECDH1_DERIVE, parameter), private, rows)[0]


def always_authenticated(w: World) -> int:
    public = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, _, key = w.m.pair(w.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, public, {ck.CKA_ALWAYS_AUTHENTICATE: True})
    good(rv)
    return int(key)


ROWS = [
    *_generic(), *_nulls(), *_slots_and_tokens(), *_pins_and_logins(), *_objects(), *_inits(), *_ciphers(),
    *_signatures_and_digests(), *_keys(), *_wrapping(), *_unwrapping_and_deriving(),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ThrowAway() as token, pytest.MonkeyPatch.context() as patch:
        for variable, value in token.environment.items():
            patch.setenv(variable, value)
        client = Client(token.home)
        blank = client.ask("partition-create")["partition"]["slot"]
        client.close()
        module = Module(token.module)
        good(module.C_Initialize(NULL))
        try:
            yield World(token, module, blank)
        finally:
            module.C_Finalize(NULL)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.function}: {row.situation}".replace("[", "("))
def test_code(world: World, row: Row) -> None:
    w = world.fresh()
    assert name(row.act(w)) == f"CKR_{row.code}"
    assert getattr(ck, f"CKR_{row.code}") in return_codes.ALLOWED[row.function]
    if row.code in ("PIN_INCORRECT", "ARGUMENTS_BAD"):  # no row locks a PIN for the next ones
        w.fresh().so()


# Codes that a list has and nothing here brings about, with the reason.
NOT_PROVOKED = {
    "OK": "the other tests", "CRYPTOKI_NOT_INITIALIZED": "a test of its own", "DEVICE_REMOVED": "a test of its own",
    "GENERAL_ERROR": "never answered", "FUNCTION_FAILED": "only where no better code is listed",
    "OPERATION_NOT_VALIDATED": "there is no validation policy", "HOST_MEMORY": "needs a host without memory",
    "DEVICE_MEMORY": "needs a full disk", "DEVICE_ERROR": "needs a damaged store",
    "TOKEN_WRITE_PROTECTED": "needs a read-only store", "TOKEN_NOT_PRESENT": "tokens stay in their slots",
    "TOKEN_NOT_RECOGNIZED": "every token is known", "SESSION_CLOSED": "needs a race of two threads",
    "PENDING": "nothing is asynchronous", "FUNCTION_CANCELED": "nothing calls back",
    "OPERATION_CANCEL_FAILED": "every operation can be cancelled", "SESSION_COUNT": "there is no limit",
    "PIN_EXPIRED": "no PIN expires", "USER_TOO_MANY_TYPES": "any number of applications may log in",
    "TOKEN_RESOURCE_EXCEEDED": "no key has a limited number of uses", "FUNCTION_REJECTED": "nobody is asked",
    "INFORMATION_SENSITIVE": "sizes are told", "DOMAIN_PARAMS_INVALID": "there are no domain parameters",
    "PARAMETER_SET_NOT_SUPPORTED": "no mechanism has them", "RANDOM_NO_RNG": "there is one",
    "RANDOM_SEED_NOT_SUPPORTED": "it takes seeds", "SEED_RANDOM_REQUIRED": "it needs none",
    "PIN_LOCKED": "tests of its own: it stays locked", "USER_PIN_NOT_INITIALIZED": "a test of its own",
    "DATA_INVALID": "CKR_DATA_LEN_RANGE is the better one wherever either would do",
}
NOT_BY = {
    "TOKEN_NOT_INITIALIZED": "without a session on the token only C_OpenSession needs it initialised",
    "OPERATION_ACTIVE": "an operation hinders only another of its kind",
    "USER_NOT_LOGGED_IN": "allowed to everybody, or the key is not seen and its handle invalid",
    "SESSION_READ_ONLY": "the SO has read/write sessions only",
    "ATTRIBUTE_TYPE_INVALID": "an unknown attribute matches nothing", "ATTRIBUTE_VALUE_INVALID": "it matches nothing",
    "KEY_SIZE_RANGE": "every key that can be made fits", "UNWRAPPING_KEY_SIZE_RANGE": "every key fits",
    "CURVE_NOT_SUPPORTED": "not of secret keys, and a wrapped key of another curve needs one that wraps it",
    "SESSION_HANDLE_INVALID": "its argument is a slot", "BUFFER_TOO_SMALL": "C_UnwrapKey gives no bytes",
    "ENCRYPTED_DATA_INVALID": "known at the end only", "DATA_LEN_RANGE": "no mechanism has such a limit in parts",
}


def test_every_code_of_every_list_is_brought_about_or_said_why_not() -> None:
    provoked = {(row.function, row.code) for row in ROWS}
    by_number = {value: n.removeprefix("CKR_") for n, value in vars(ck).items() if n.startswith("CKR_")}
    for function, codes in return_codes.ALLOWED.items():
        for code in sorted(by_number[rv] for rv in codes):
            assert (function, code) in provoked or code in NOT_PROVOKED or code in NOT_BY, (function, code)


def test_each_function_that_is_served_has_a_list() -> None:
    from hsm.server import dispatch

    served = {n for n, handler in zip(codec.NAMES, dispatch.HANDLERS, strict=True) if handler is not None}
    assert served == set(return_codes.ALLOWED) == set(CALLS)


@pytest.mark.parametrize("function", CALLS)
def test_before_initialize(world: World, function: str) -> None:
    good(world.m.C_Finalize(NULL))
    try:
        assert name(CALLS[function](world, 0)) == "CKR_CRYPTOKI_NOT_INITIALIZED"
    finally:
        good(world.m.C_Initialize(NULL))


def test_a_code_of_no_list_becomes_the_nearest_of_the_functions_own() -> None:
    for function, rv, nearest in (
        ("C_InitToken", "PIN_LEN_RANGE", "PIN_INCORRECT"),
        ("C_GenerateKey", "KEY_SIZE_RANGE", "ATTRIBUTE_VALUE_INVALID"),
        ("C_SignUpdate", "FUNCTION_NOT_SUPPORTED", "OPERATION_NOT_INITIALIZED"),
        ("C_SetPIN", "USER_PIN_NOT_INITIALIZED", "PIN_INCORRECT"), ("C_Digest", "SLOT_ID_INVALID", "FUNCTION_FAILED"),
        ("C_DestroyObject", "USER_NOT_LOGGED_IN", "ACTION_PROHIBITED"), ("C_Sign", "PIN_LOCKED", "FUNCTION_FAILED"),
        ("C_Decrypt", "TOKEN_WRITE_PROTECTED", "DEVICE_ERROR"), ("C_GetSlotList", "DEVICE_MEMORY", "HOST_MEMORY"),
    ):
        found = return_codes.answerable(function, getattr(ck, f"CKR_{rv}"))
        assert name(found) == f"CKR_{nearest}", (function, rv)


UNSERVED = [n for n in codec.NAMES if n not in return_codes.ALLOWED and directions.row(n) != directions.LOCAL]


@pytest.mark.parametrize("function", UNSERVED)
def test_a_function_of_a_later_version_says_so_through_every_table_that_has_it(world: World, function: str) -> None:
    """Never a NULL pointer: programs call what a table has."""
    w = world.fresh()
    tables = ffi.new("CK_FUNCTION_LIST**")
    good(w.m.C_GetFunctionList(tables))
    found = [(tables[0], "CK_FUNCTION_LIST")]
    for minor, kind in ((0, "CK_FUNCTION_LIST_3_0"), (2, "CK_FUNCTION_LIST_3_2")):
        version, interface = ffi.new("CK_VERSION*", (3, minor)), ffi.new("CK_INTERFACE**")
        good(w.m.C_GetInterface(w.m.bytes(b"PKCS 11\0"), version, interface, 0))
        found.append((ffi.cast(f"{kind}*", interface[0].pFunctionList), kind))
    seen = 0
    for table, kind in found:
        if function not in dict(ffi.typeof(kind).fields):
            continue
        pointer = getattr(table, function)
        assert pointer != NULL
        arguments = [_argument(w, i, kind) for i, kind in enumerate(ffi.typeof(pointer).args)]
        assert name(pointer(*arguments)) == "CKR_FUNCTION_NOT_SUPPORTED"
        seen += 1
    assert seen >= 1


def _argument(w: World, position: int, kind: Any) -> Any:
    if kind.kind != "pointer":
        return w.s if position == 0 else 0
    if "VOID" in str(kind) or "void" in str(kind) or kind.item.kind == "function":
        return NULL
    return w.m.keep(ffi.new(kind)) if kind.item.kind != "void" else NULL


class Vanishing:
    """An engine that greets, gives a link, and is gone at the first call: for each function, the token was removed."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(home / "socket"))
        self._listening.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                control, _ = self._listening.accept()
            except OSError:
                return
            with control:
                self._take(control)
                control.sendall(struct.pack("<IQHHQ5sQ", 33, 0, 1, 0, 5, b"0.0.0", os.getpid()))
                self._take(control)
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    socket.send_fds(control, [struct.pack("<IQ", 8, 0)], [theirs.fileno()])
                    self._take(ours)

    @staticmethod
    def _take(connection: socket.socket) -> None:
        (length,) = struct.unpack("<I", connection.recv(4, socket.MSG_WAITALL))
        connection.recv(length, socket.MSG_WAITALL)


# Their lists have no CKR_DEVICE_REMOVED: no slots; a slot that can't be asked.
GONE = {"C_GetSlotList": "CKR_OK", "C_GetSlotInfo": "CKR_DEVICE_ERROR"}


@pytest.mark.parametrize("function", CALLS)
def test_the_engine_goes_in_the_middle_of_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World, function: str
) -> None:
    vanishing = Vanishing(tmp_path / "pool")
    good(world.m.C_Finalize(NULL))
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    try:
        good(world.m.C_Initialize(NULL))
        assert name(CALLS[function](world, 0)) == GONE.get(function, "CKR_DEVICE_REMOVED")
        good(world.m.C_Finalize(NULL))
    finally:
        vanishing.close()
        monkeypatch.undo()
        good(world.m.C_Initialize(NULL))


def test_ulong_is_eight_bytes_here() -> None:
    assert len(ulong(1)) == ffi.sizeof("CK_ULONG") == 8
