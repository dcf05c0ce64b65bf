"""From a frame to a handler and back: one table of the functions that the engine serves.

A function that is not served answers CKR_FUNCTION_NOT_SUPPORTED; a frame that is not well formed ends the
connection; a refusal becomes a code that the standard lists for the function, and its reason is kept for
``adyton explain``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from hsm import clock
from hsm.application import Application
from hsm.audit import calls
from hsm.confinement.wiping import overwrite
from hsm.cryptoki import (
    ciphering,
    digesting,
    dual,
    general,
    keys,
    messages,
    objects,
    return_codes,
    saved_state,
    signing,
)
from hsm.errors import TokenError
from hsm.log import report
from hsm.server import codec
from pkcs11_shim import constants as ck

_RV = struct.Struct("<Q")
LONGEST_ANSWER = (64 << 20) - 4  # ADYTON_MAX_FRAME, less the length before it
_AHEAD = struct.Struct("<HH")


def _served() -> list[Callable[..., Any] | None]:
    rooms = (general, objects, keys, signing, ciphering, digesting, dual, messages, saved_state)
    return [next((getattr(room, name) for room in rooms if hasattr(room, name)), None) for name in codec.NAMES]


HANDLERS = _served()
# Calls whose frames have PINs or keys in clear, and are overwritten once they are answered.
_CREATES = codec.NAMES.index("C_CreateObject")
SECRET = frozenset({_CREATES, *map(codec.NAMES.index, (
    "C_Login", "C_LoginUser", "C_InitPIN", "C_SetPIN", "C_InitToken",
))}) & {number for number, handler in enumerate(HANDLERS) if handler is not None}
# What answers CKR_PIN_EXPIRED while the login waits for a new PIN: every function whose list has that code.
_EXPIRES = frozenset(
    number for number, name in enumerate(codec.NAMES)
    if ck.CKR_PIN_EXPIRED in return_codes.ALLOWED.get(name, frozenset())
)


def answer(app: Application, function: int, payload: memoryview) -> bytes:
    """The response to one call, from its return code on. Raises codec.Malformed on a frame that is not well formed."""
    if function >= len(HANDLERS):
        raise codec.Malformed("no such function")
    try:
        arguments = codec.DECODE[function](payload)
    except MemoryError:
        return no_room(app, function)
    handler = HANDLERS[function]
    if handler is None:
        words = "this function is not served by this version"
        return _refused(app, function, TokenError(ck.CKR_FUNCTION_NOT_SUPPORTED, words), None)
    call = calls.CURRENT.call
    call.function = codec.NAMES[function]
    call.began = perf_counter_ns()
    call.use = None
    where = arguments[0] if arguments else None
    try:
        if app.must_change and function in _EXPIRES:
            app.session(arguments[0]).pin_must_not_have_expired()
        rv, *outs = handler(app, *arguments)
        whole = _RV.pack(rv) + bytes(codec.ENCODE[function](*outs))
        if len(whole) > LONGEST_ANSWER:
            raise TokenError(ck.CKR_DEVICE_MEMORY, "the answer is longer than one message can be")
        if call.use is not None:
            app.pool.audit.tell(call.entry_of_use(app, call.use))
        elif call.done and not call.written:
            app.pool.audit.tell(call.entry(app, ck.CKR_OK))
        return whole
    except TokenError as refusal:
        return _refused(app, function, refusal, where)
    except MemoryError:
        return _refused(app, function, TokenError(ck.CKR_DEVICE_MEMORY, "the engine is out of memory"), where)
    except Exception as fault:  # a fault of ours must not take the engine down, nor print a value
        report(fault)
        words = "a fault of the engine: its log says where"
        return _refused(app, function, TokenError(ck.CKR_DEVICE_ERROR, words), where)
    finally:
        call.function = ""
        if call.noted:
            call.clear()
        if function in SECRET:
            given = [*arguments[-1]] if function == _CREATES else [*arguments]
            arguments = ()
            overwrite(_loose(given))


def no_room(app: Application, function: int) -> bytes:
    """The response to a call that could not be taken in."""
    if function >= len(HANDLERS):
        raise codec.Malformed("no such function")
    return _refused(app, function, TokenError(ck.CKR_DEVICE_MEMORY, "the engine is out of memory"), None)


def _loose(given: list[Any]) -> list[bytes]:
    """PINs and values of a call that is answered, out of whatever they came in."""
    values: list[bytes] = []
    while given:
        part = given.pop()
        values += [part] if type(part) is bytes else [part[1]] if type(part) is tuple and type(part[1]) is bytes else []
    return values


def go_ahead(app: Application, size: int, payload: memoryview) -> memoryview:
    """Serves the Inits that the library has answered by itself, ``size`` bytes before this call; returns the rest.

    One that is refused now was granted under an earlier epoch: the operation is over, which the call finds out.
    """
    if size > len(payload):
        raise codec.Malformed("length beyond the frame")
    at = 0
    while at < size:
        if at + 4 > size:
            raise codec.Malformed("short")
        length, function = _AHEAD.unpack_from(payload, at)
        at += 4
        if function not in codec.BEGINS or length > size - at:
            raise codec.Malformed("not a call that goes ahead")
        calls.CURRENT.call.ahead = True
        try:
            answer(app, function, payload[at : at + length])
        finally:
            calls.CURRENT.call.ahead = False
        at += length
    return payload[size:]


def _refused(app: Application, function: int, refusal: TokenError, where: object) -> bytes:
    """``where``: the call's first argument. A refused call leaves nothing behind that it would have done."""
    name = codec.NAMES[function]
    rv = return_codes.answerable(name, refusal.rv)
    if name in calls.RECORDED:
        call = calls.CURRENT.call
        if call.undo is not None:
            call.undo()
        app.pool.audit.tell_anyway(call.refused(app, where, rv, refusal))
    app.refusals.append({
        "time": clock.now(), "function": name, "rv": rv, "reason": refusal.reason, "subject": refusal.subject,
        "scope": refusal.scope, "officer": refusal.officer, "slot": calls.CURRENT.call.slot,
    })
    return _RV.pack(rv)
