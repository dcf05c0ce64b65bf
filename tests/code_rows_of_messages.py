"""The table of return codes: the message calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abi import NULL, good
from code_rows_of_operations import TOO_LONG
from code_world import ECB, GCM, SESSION, Row, World, hmac_key

from pkcs11_shim import constants as ck


def started(w: World, kind: str, *, in_parts: bool = False) -> World:
    good(getattr(w.m, f"C_Message{kind}Init")(w.s, w.mech(GCM), w.aes()))
    if in_parts:
        good(SESSION[f"C_{kind}MessageBegin"](w, w.s))
    return w


def _of(kind: str) -> list[Row]:
    init, whole, begin, following, final = (
        f"C_Message{kind}Init", f"C_{kind}Message", f"C_{kind}MessageBegin", f"C_{kind}MessageNext",
        f"C_Message{kind}Final",
    )
    too_long = "DATA_LEN_RANGE" if kind == "Encrypt" else "ENCRYPTED_DATA_LEN_RANGE"

    def key(make: Callable[[World], int], number: int = GCM) -> Callable[[World], int]:
        return lambda w: int(getattr(w.m, init)(w.s, w.mech(number), make(w)))

    def again(function: str, *, in_parts: bool = True) -> Callable[[World], int]:
        return lambda w: SESSION[function](started(w, kind, in_parts=in_parts), w.s)

    def call(function: str, *arguments: Any, in_parts: bool = False, room: int = 4096) -> Callable[[World], int]:
        def act(w: World) -> int:
            w = started(w, kind, in_parts=in_parts)
            given = [w.m.gcm_message() if part is Ellipsis else part for part in arguments]
            flat = [item for part in given for item in (part if isinstance(part, tuple) else (part,))]
            out = () if function == begin else (w.out, w.n(room))
            flags = (ck.CKF_END_OF_MESSAGE,) if function == following else ()
            return int(getattr(w.m, function)(w.s, *flat, *out, *flags))

        return act

    nothing, data = (NULL, 0), (b"0123456789abcdef", 16)
    return [
        Row(init, "no mechanism, and nothing to cancel", "ARGUMENTS_BAD", lambda w: getattr(w.m, init)(w.s, NULL, 1)),
        Row(init, "no such key", "KEY_HANDLE_INVALID", key(lambda w: 0)),
        Row(init, "a key of another type", "KEY_TYPE_INCONSISTENT", key(hmac_key)),
        Row(init, "the key's flag for it is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
            key(lambda w: w.aes(**{kind.lower(): False}))),
        Row(init, "a mechanism without messages", "MECHANISM_INVALID", key(lambda w: w.aes(), ECB)),
        Row(init, "a process is active", "OPERATION_ACTIVE", key(lambda w: started(w, kind).aes())),
        Row(whole, "a message goes on in parts", "OPERATION_ACTIVE", again(whole)),
        Row(begin, "a message goes on in parts", "OPERATION_ACTIVE", again(begin)),
        Row(final, "a message goes on in parts", "OPERATION_ACTIVE", again(final)),
        Row(final, "nothing was begun", "OPERATION_NOT_INITIALIZED", lambda w: SESSION[final](w, w.s)),
        Row(following, "no message was begun", "OPERATION_NOT_INITIALIZED", again(following, in_parts=False)),
        Row(whole, "NULL for data", "ARGUMENTS_BAD", call(whole, ..., nothing, (NULL, 16))),
        Row(begin, "NULL for associated data", "ARGUMENTS_BAD", call(begin, ..., (NULL, 16))),
        Row(following, "NULL for data", "ARGUMENTS_BAD", call(following, ..., (NULL, 16), in_parts=True)),
        Row(whole, "no parameter", "MECHANISM_PARAM_INVALID", call(whole, nothing, nothing, data)),
        Row(begin, "no parameter", "MECHANISM_PARAM_INVALID", call(begin, nothing, nothing)),
        Row(following, "no parameter", "MECHANISM_PARAM_INVALID", call(following, nothing, data, in_parts=True)),
        Row(whole, "too little room", "BUFFER_TOO_SMALL", call(whole, ..., nothing, data, room=15)),
        Row(following, "too little room", "BUFFER_TOO_SMALL", call(following, ..., data, in_parts=True, room=15)),
        Row(whole, "too long", too_long, call(whole, ..., nothing, (b"x", TOO_LONG))),
        Row(following, "too long", too_long, call(following, ..., (b"x", TOO_LONG), in_parts=True)),
    ]


ROWS = [
    *_of("Encrypt"), *_of("Decrypt"),
    Row("C_DecryptMessage", "a tag of another message", "AEAD_DECRYPT_FAILED",
        lambda w: SESSION["C_DecryptMessage"](started(w, "Decrypt"), w.s)),
    Row("C_DecryptMessageNext", "a tag of another message", "AEAD_DECRYPT_FAILED",
        lambda w: SESSION["C_DecryptMessageNext"](started(w, "Decrypt", in_parts=True), w.s)),
]
