"""One application in a known state, and a well formed call of each function that the engine serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from abi import NULL, Module, ffi, good, name

from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

AES = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES}
DATA = {ck.CKA_CLASS: ck.CKO_DATA}
P256 = bytes.fromhex("06082a8648ce3d030107")
NO_CURVE = bytes.fromhex("06052b8104007f")
ECDSA, ECB, CBC, PAD = ck.CKM_ECDSA, ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD
KWP, GCM, SHA256 = ck.CKM_AES_KEY_WRAP_KWP, ck.CKM_AES_GCM, ck.CKM_SHA256
SHA256_HMAC = ck.CKM_SHA256_HMAC


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


def _combined_calls() -> dict[str, Call]:
    """Two operations in one call, signatures with recovery, and states saved."""
    def with_data(function: str) -> Call:
        return lambda w, x: getattr(w.m, function)(x, *w.b(b"data"), w.out, w.n())

    def init(function: str) -> Call:
        return lambda w, x: getattr(w.m, function)(x, w.mech(ck.CKM_RSA_PKCS), 1)

    return {
        "C_GetOperationState": lambda w, x: w.m.C_GetOperationState(x, w.out, w.n()),
        "C_SetOperationState": lambda w, x: w.m.C_SetOperationState(x, *w.b(b"state"), 0, 0),
        **{f: with_data(f) for f in (*DUAL, "C_SignRecover", "C_VerifyRecover")},
        **{f: init(f) for f in ("C_SignRecoverInit", "C_VerifyRecoverInit")},
    }


def _message_calls(kind: str) -> dict[str, Call]:
    def whole(w: World, x: int) -> int:
        call = getattr(w.m, f"C_{kind}Message")
        return int(call(x, *w.m.gcm_message(), NULL, 0, *w.b(bytes(16)), w.out, w.n()))

    def following(w: World, x: int) -> int:
        call = getattr(w.m, f"C_{kind}MessageNext")
        return int(call(x, *w.m.gcm_message(), *w.b(bytes(16)), w.out, w.n(), ck.CKF_END_OF_MESSAGE))

    return {
        f"C_Message{kind}Init": lambda w, x: getattr(w.m, f"C_Message{kind}Init")(x, w.mech(GCM), 1),
        f"C_{kind}Message": whole,
        f"C_{kind}MessageBegin": lambda w, x: getattr(w.m, f"C_{kind}MessageBegin")(x, *w.m.gcm_message(), NULL, 0),
        f"C_{kind}MessageNext": following,
        f"C_Message{kind}Final": lambda w, x: getattr(w.m, f"C_Message{kind}Final")(x),
    }


# A dual function, and the kinds of its two operations, the cipher first.
DUAL = {
    "C_DigestEncryptUpdate": ("Encrypt", "Digest"), "C_DecryptDigestUpdate": ("Decrypt", "Digest"),
    "C_SignEncryptUpdate": ("Encrypt", "Sign"), "C_DecryptVerifyUpdate": ("Decrypt", "Verify"),
}
KINDS = ("Encrypt", "Decrypt", "Digest", "Sign", "Verify")
for _kind in KINDS:
    SESSION.update(_operation_calls(_kind))
SESSION.update(_combined_calls())
for _kind in ("Encrypt", "Decrypt"):
    SESSION.update(_message_calls(_kind))
CALLS: dict[str, Call] = {
    "C_GetSlotList": lambda w, x: w.m.C_GetSlotList(0, NULL, w.n()),
    "C_WaitForSlotEvent": lambda w, x: w.m.C_WaitForSlotEvent(ck.CKF_DONT_BLOCK, w.n(), NULL),
    **SLOT, **SESSION,
}


class Row(NamedTuple):
    function: str
    situation: str
    code: str
    act: Callable[[World], int]


def hmac_key(w: World) -> int:
    rv, key = w.m.generate(w.s, ck.CKM_GENERIC_SECRET_KEY_GEN, {ck.CKA_VALUE_LEN: 32})
    good(rv)
    return key


def rsa(w: World, public: Any = None, private: Any = None) -> tuple[int, int]:
    size = {ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, one, two = w.m.pair(w.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {**size, **(public or {})}, private or {})
    good(rv)
    return int(one), int(two)


def always_authenticated(w: World) -> int:
    return rsa(w, private={ck.CKA_ALWAYS_AUTHENTICATE: True})[1]


def begin_both(w: World, cipher: str, other: str, mode: int = ECB, parameter: Any = None) -> World:
    """Both operations of a dual function, by AES and by SHA-256 or its HMAC."""
    w.begin(cipher, mode, w.aes(), parameter)
    return w.begin(other, SHA256) if other == "Digest" else w.begin(other, SHA256_HMAC, hmac_key(w))
