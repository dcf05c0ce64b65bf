"""The table of return codes: two operations in one call, signatures that give their data back, and states saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abi import NULL, good
from code_world import DUAL, ECB, KWP, SESSION, SHA256, Row, World, always_authenticated, begin_both, hmac_key, rsa

from pkcs11_shim import constants as ck


def _two_in_one() -> list[Row]:
    def short(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        return lambda w: int(getattr(begin_both(w, *kinds).m, f)(w.s, *w.b(bytes(16)), w.out, w.n(15)))

    def beyond(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        def act(w: World) -> int:
            counter = w.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=1, cb=bytes(16))
            begin_both(w, *kinds, mode=ck.CKM_AES_CTR, parameter=counter)
            return int(getattr(w.m, f)(w.s, *w.b(bytes(33)), w.out, w.n()))

        return act

    def one_part(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        return lambda w: SESSION[f](begin_both(w, *kinds, mode=KWP), w.s)

    def alone(f: str, kinds: tuple[str, str], active: int) -> Callable[[World], int]:
        def act(w: World) -> int:
            good(begin_both(w, *kinds).m.C_SessionCancel(w.s, getattr(ck, f"CKF_{kinds[1 - active].upper()}")))
            return SESSION[f](w, w.s)

        return act

    def finished(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        """The plaintext of the whole is there already, and waits for enough room."""
        def act(w: World) -> int:
            begin_both(w, *kinds)
            assert w.m.C_Decrypt(w.s, *w.b(bytes(16)), w.out, w.n(15)) == ck.CKR_BUFFER_TOO_SMALL
            return SESSION[f](w, w.s)

        return act

    def unauthenticated(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        def act(w: World) -> int:
            if kinds[1] == "Sign":
                w.begin("Encrypt", ECB, w.aes()).begin("Sign", ck.CKM_SHA256_RSA_PKCS, always_authenticated(w))
            else:
                w.begin("Decrypt", ck.CKM_RSA_PKCS, always_authenticated(w))
                other = (SHA256,) if kinds[1] == "Digest" else (ck.CKM_SHA256_HMAC, hmac_key(w))
                w.begin(kinds[1], *other)
            return SESSION[f](w, w.s)

        return act

    rows = []
    for f, kinds in DUAL.items():
        long = "DATA_LEN_RANGE" if kinds[0] == "Encrypt" else "ENCRYPTED_DATA_LEN_RANGE"
        rows += [
            Row(f, "too little room", "BUFFER_TOO_SMALL", short(f, kinds)),
            Row(f, "beyond the counter", long, beyond(f, kinds)),
            Row(f, "a mechanism for one part", "OPERATION_NOT_INITIALIZED", one_part(f, kinds)),
            Row(f, "only the cipher was begun", "OPERATION_NOT_INITIALIZED", alone(f, kinds, 0)),
            Row(f, "only the other one was begun", "OPERATION_NOT_INITIALIZED", alone(f, kinds, 1)),
        ]
        if kinds[0] == "Decrypt":
            rows.append(Row(f, "its result waits to be fetched", "OPERATION_ACTIVE", finished(f, kinds)))
        if f != "C_DigestEncryptUpdate":
            rows.append(Row(f, "a key asks for a login at each use", "USER_NOT_LOGGED_IN", unauthenticated(f, kinds)))
    return rows


def _recovery() -> list[Row]:
    def init(kind: str, key: Callable[[World], int], number: int = ck.CKM_RSA_PKCS, parameter: Any = None) -> Any:
        return lambda w: int(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(number, parameter), key(w)))

    def twice(kind: str, half: int) -> Callable[[World], int]:
        def act(w: World) -> int:
            key = rsa(w)[half]
            return int(getattr(w.begin(kind, ck.CKM_RSA_PKCS, key).m, f"C_{kind}Init")(
                w.s, w.mech(ck.CKM_RSA_PKCS), key))

        return act

    def recover(signature: bytes, room: int = 4096) -> Callable[[World], int]:
        return lambda w: int(w.begin("VerifyRecover", ck.CKM_RSA_PKCS, rsa(w)[0]).m.C_VerifyRecover(
            w.s, *w.b(signature), w.out, w.n(room)))

    def right(w: World) -> int:
        """A good signature, and too little room for what it gives back."""
        public, private = rsa(w)
        w.begin("SignRecover", ck.CKM_RSA_PKCS, private)
        rv, signature = w.m.output(w.m.C_SignRecover, w.s, *w.b(b"data"))
        good(rv)
        return int(w.begin("VerifyRecover", ck.CKM_RSA_PKCS, public).m.C_VerifyRecover(
            w.s, *w.b(signature), w.out, w.n(3)))

    def sign(data: bytes, room: int = 4096) -> Callable[[World], int]:
        return lambda w: int(w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]).m.C_SignRecover(
            w.s, *w.b(data), w.out, w.n(room)))

    rows = []
    for half, kind in enumerate(("VerifyRecover", "SignRecover")):
        f, flag = f"C_{kind}Init", getattr(ck, "CKA_SIGN_RECOVER" if half else "CKA_VERIFY_RECOVER")
        rows += [
            Row(f, "no such key", "KEY_HANDLE_INVALID", init(kind, lambda w: 0)),
            Row(f, "an object that is no key", "KEY_HANDLE_INVALID", init(kind, lambda w: w.data())),
            Row(f, "the other half of the pair", "KEY_TYPE_INCONSISTENT", init(kind, lambda w, h=half: rsa(w)[1 - h])),
            Row(f, "a key of another type", "KEY_TYPE_INCONSISTENT", init(kind, lambda w, h=half: w.ec()[h])),
            Row(f, "the key's flag for it is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
                init(kind, lambda w, h=half, n=flag: rsa(w, *({n: False} if h == i else {} for i in (0, 1)))[h])),
            Row(f, "a mechanism of nobody", "MECHANISM_INVALID", init(kind, lambda w, h=half: rsa(w)[h], 0x7FFF0000)),
            Row(f, "a mechanism that signs with an appendix only", "MECHANISM_INVALID",
                init(kind, lambda w, h=half: rsa(w)[h], ck.CKM_SHA256_RSA_PKCS)),
            Row(f, "a parameter where there is none", "MECHANISM_PARAM_INVALID",
                init(kind, lambda w, h=half: rsa(w)[h], parameter=b"parameter")),
            Row(f, "an operation of the kind is active", "OPERATION_ACTIVE", twice(kind, half)),
        ]
    return [
        *rows,
        Row("C_SignRecover", "too little room", "BUFFER_TOO_SMALL", sign(b"x", 127)),
        Row("C_SignRecover", "more than fits the key", "DATA_LEN_RANGE", sign(bytes(118))),
        Row("C_SignRecover", "the key asks for a login at each use", "USER_NOT_LOGGED_IN",
            lambda w: SESSION["C_SignRecover"](w.begin("SignRecover", ck.CKM_RSA_PKCS, always_authenticated(w)), w.s)),
        Row("C_VerifyRecover", "no signature", "SIGNATURE_INVALID", recover(bytes(128))),
        Row("C_VerifyRecover", "no signature, and too little room", "SIGNATURE_INVALID", recover(bytes(128), 1)),
        Row("C_VerifyRecover", "no signature is so long", "SIGNATURE_LEN_RANGE", recover(bytes(127), 1)),
        Row("C_VerifyRecover", "too little room", "BUFFER_TOO_SMALL", right),
    ]


def _saved_states() -> list[Row]:
    def saved(w: World) -> tuple[Any, int]:
        rv, state = w.m.output(w.m.C_GetOperationState, w.s)
        good(rv)
        return w.b(state)

    def mac(w: World, encryption: Callable[[World], int], authentication: Callable[[World], int]) -> int:
        w.begin("Sign", ck.CKM_SHA256_HMAC, hmac_key(w))
        return int(w.m.C_SetOperationState(w.s, *saved(w), encryption(w), authentication(w)))

    def nothing(w: World) -> int:
        return 0

    def digest(w: World, encryption: int, authentication: int) -> int:
        w.begin("Digest", SHA256)
        return int(w.m.C_SetOperationState(w.s, *saved(w), encryption, authentication))

    def made_up(state: bytes) -> Callable[[World], int]:
        return lambda w: int(w.m.C_SetOperationState(w.s, *w.b(state), 0, 0))

    def elsewhere(w: World) -> int:
        w.begin("Digest", SHA256)
        return int(w.m.C_SetOperationState(w.read_only(), *saved(w), 0, 0))

    get, put = "C_GetOperationState", "C_SetOperationState"
    return [
        Row(get, "only a search is active", "OPERATION_NOT_INITIALIZED",
            lambda w: good(w.m.C_FindObjectsInit(w.s, NULL, 0)) or SESSION[get](w, w.s)),
        Row(get, "only a signature with recovery is active", "OPERATION_NOT_INITIALIZED",
            lambda w: SESSION[get](w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]), w.s)),
        Row(get, "a signature with recovery beside a digest", "STATE_UNSAVEABLE",
            lambda w: SESSION[get](w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]).begin("Digest", SHA256), w.s)),
        Row(get, "a cipher in parts", "STATE_UNSAVEABLE",
            lambda w: SESSION[get](w.begin("Encrypt", ECB, w.aes()), w.s)),
        Row(get, "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.begin("Digest", SHA256).m.C_GetOperationState(w.s, w.out, w.n(8))),
        Row(put, "nothing", "SAVED_STATE_INVALID", made_up(b"")),
        Row(put, "bytes that nobody gave out", "SAVED_STATE_INVALID", made_up(bytes(32))),
        Row(put, "a session in another state", "SAVED_STATE_INVALID", elsewhere),
        Row(put, "a key for a digest", "KEY_NOT_NEEDED", lambda w: digest(w, 0, hmac_key(w))),
        Row(put, "another key for a digest", "KEY_NOT_NEEDED", lambda w: digest(w, w.aes(), 0)),
        Row(put, "a cipher's key for a MAC", "KEY_NOT_NEEDED", lambda w: mac(w, hmac_key, nothing)),
        Row(put, "another key than the MAC's", "KEY_CHANGED", lambda w: mac(w, nothing, hmac_key)),
        Row(put, "an object that is no key", "KEY_CHANGED", lambda w: mac(w, nothing, lambda w: w.data())),
    ]


ROWS = [*_two_in_one(), *_recovery(), *_saved_states()]
