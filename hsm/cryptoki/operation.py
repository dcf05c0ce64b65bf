"""The active operation of a session: the rules that every Init, Update and Final share (PKCS#11 3.2, section 5.2).

A result is computed once and kept until the caller has fetched it, so a size query or a buffer too small never
consumes input nor computes another answer. Any other error ends the operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hsm.application import Application, Session
from hsm.errors import TokenError
from hsm.mechanisms import registry
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck

Sized = tuple[int, int, bytes | None]


class Operation:
    """One active operation: the mechanism's state, the key it uses and a result not yet fetched."""

    __slots__ = ("in_parts", "key", "mechanism", "private", "result", "state", "unauthenticated", "use")

    def __init__(self, use: str, mechanism: Any, state: Any, key: TokenObject | None) -> None:
        self.use = use
        self.mechanism = mechanism
        self.state = state
        self.key = key
        self.private = key is not None and key.private
        self.unauthenticated = key is not None and key.flag(ck.CKA_ALWAYS_AUTHENTICATE)
        self.result: bytes | None = None
        self.in_parts = False


def start(app: Application, handle: int, kind: str, mech: Any, key_handle: int | None) -> tuple[int]:
    """Every ...Init: checks in the standard's order, or cancels when the mechanism is NULL (section 5.8.1)."""
    session = app.session(handle)
    with session.lock:
        if mech is None:
            if session.active.pop(kind, None) is None:
                raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, f"no {kind} operation to cancel")
            return (ck.CKR_OK,)
        if kind in session.active:
            raise TokenError(ck.CKR_OPERATION_ACTIVE, f"a {kind} operation is active already")
        entry = registry.find(mech.number, kind)
        key: TokenObject | None = None
        if key_handle is None:
            state = getattr(entry, kind)(entry.parameter(mech.parameter))
        else:
            key = session.object(key_handle, ck.CKR_KEY_HANDLE_INVALID)
            session.partition.check_use(session, key, kind, entry)
            state = getattr(entry, kind)(key, entry.parameter(mech.parameter))
        session.active[kind] = Operation(kind, entry, state, key)
        return (ck.CKR_OK,)


def current(session: Session, kind: str, *, in_parts: bool | None) -> Operation:
    """The active operation, its key and right asked again at each use; one-shot after parts ends it."""
    operation: Operation | None = session.active.get(kind)
    if operation is None:
        raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, f"no {kind} operation is active")
    if operation.key is not None:
        if not operation.key.alive or not session.sees(operation.key):
            del session.active[kind]
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "the key of the operation is gone")
        try:
            session.partition.check_right(session, operation.key, kind)
        except TokenError:
            del session.active[kind]
            raise
    if operation.unauthenticated:
        del session.active[kind]
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "the key asks for a context-specific login first")
    if in_parts is False and operation.in_parts:
        del session.active[kind]
        raise TokenError(ck.CKR_OPERATION_ACTIVE, "the operation went on in parts and can't be finished in one")
    if in_parts:
        operation.in_parts = True
    return operation


def deliver(session: Session, kind: str, operation: Operation, capacity: int | None) -> Sized:
    """Hands out the kept result, or its length; the operation ends only when the bytes are on their way."""
    result = operation.result
    assert result is not None
    if capacity is None:
        return ck.CKR_OK, len(result), None
    if capacity < len(result):
        return ck.CKR_BUFFER_TOO_SMALL, len(result), None
    session.active.pop(kind, None)
    return ck.CKR_OK, len(result), result


def compute(session: Session, kind: str, operation: Operation, work: Callable[[], bytes]) -> None:
    """Runs the last step once; the first output of a key fixes its uses, committed before the answer."""
    if operation.result is not None:
        return
    try:
        result = work()
        if operation.key is not None:
            session.partition.used(session, operation.key, kind)
    except TokenError:
        session.active.pop(kind, None)
        raise
    operation.result = result


def finish(
    app: Application, handle: int, kind: str, capacity: int | None, in_parts: bool, work: Callable[[Any], bytes],
    bound: Callable[[Any], int] | None = None,
) -> Sized:
    """Every call that ends an operation with output: size query, too small a buffer, or the bytes."""
    session = app.session(handle)
    with session.lock:
        operation = current(session, kind, in_parts=None if in_parts else False)
        if capacity is None and bound is not None and operation.result is None:
            return ck.CKR_OK, bound(operation.state), None
        compute(session, kind, operation, lambda: work(operation.state))
        return deliver(session, kind, operation, capacity)


def feed(app: Application, handle: int, kind: str, data: bytes | None) -> tuple[int]:
    """Every Update without output."""
    session = app.session(handle)
    with session.lock:
        operation = current(session, kind, in_parts=True)
        try:
            operation.state.update(data or b"")
        except TokenError:
            session.active.pop(kind, None)
            raise
        return (ck.CKR_OK,)
