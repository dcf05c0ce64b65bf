"""The table of return codes: slots, tokens, PINs, logins and objects, and what is the same for all functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abi import NULL, ffi, good
from code_world import (
    AES,
    DATA,
    DUAL,
    ECB,
    ECDSA,
    KINDS,
    NO_CURVE,
    SESSION,
    SHA256,
    SHA256_HMAC,
    SLOT,
    Row,
    World,
    begin_both,
    hmac_key,
    rsa,
)

from pkcs11_shim import constants as ck


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
        for f in (*going_on, "C_FindObjects", "C_FindObjectsFinal", "C_GetOperationState")
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
        "C_WaitForSlotEvent": lambda w: w.m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, NULL, NULL),
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
    for dual, kinds in DUAL.items():
        calls[dual] = lambda w, f=dual, k=kinds: getattr(begin_both(w, *k).m, f)(w.s, *w.b(bytes(16)), w.out, NULL)
    calls["C_GetOperationState"] = lambda w: w.begin("Digest", SHA256).m.C_GetOperationState(w.s, w.out, NULL)
    calls["C_SetOperationState"] = lambda w: w.m.C_SetOperationState(w.s, NULL, 32, 0, 0)
    calls["C_SignRecover"] = lambda w: w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]).m.C_SignRecover(
        w.s, *w.b(b"x"), w.out, NULL)
    calls["C_VerifyRecover"] = lambda w: w.begin("VerifyRecover", ck.CKM_RSA_PKCS, rsa(w)[0]).m.C_VerifyRecover(
        w.s, NULL, 128, w.out, w.n())
    for kind in ("Encrypt", "Decrypt", "Sign", "Verify", "SignRecover", "VerifyRecover"):
        calls[f"C_{kind}Init"] = lambda w, k=kind: getattr(w.m, f"C_{k}Init")(w.s, NULL, 1)
    return [Row(f, "a NULL pointer", "ARGUMENTS_BAD", act) for f, act in calls.items()]


def _slots_and_tokens() -> list[Row]:
    short = [("C_GetSlotList", lambda w: w.m.C_GetSlotList(0, w.h, w.n(1))),
             ("C_GetMechanismList", lambda w: w.m.C_GetMechanismList(0, w.h, w.n(1)))]
    label = b" " * 32
    return [
        *(Row(f, "an array with too few places", "BUFFER_TOO_SMALL", act) for f, act in short),
        Row("C_WaitForSlotEvent", "nothing has happened", "NO_EVENT",
            lambda w: w.m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, w.n(), NULL)),
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
        Row("C_CreateObject", "no curve parameters", "DOMAIN_PARAMS_INVALID",
            create({**public, ck.CKA_EC_PARAMS: b"noise", ck.CKA_EC_POINT: bytes(65)})),
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
        Row("C_CopyObject", "an attribute of another class", "TEMPLATE_INCONSISTENT", copy({ck.CKA_MODULUS: b"x"})),
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


ROWS = [*_generic(), *_nulls(), *_slots_and_tokens(), *_pins_and_logins(), *_objects()]
