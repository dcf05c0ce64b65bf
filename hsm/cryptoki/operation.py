"""The active operation of a session: the rules that every Init, Update and Final share (PKCS#11 3.2, section 5.2).

A size query or a buffer too small consumes no input and computes no second answer: where the length is known
beforehand nothing is computed, else the result is kept until the caller has fetched it. Any other error ends the
operation, a fault of the engine included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hsm.access import key_use, lifetime
from hsm.access.values import GIVEN_IVS
from hsm.application import Application, Login, Session
from hsm.audit import calls
from hsm.errors import TokenError
from hsm.mechanisms import registry
from hsm.mechanisms.entry import Mechanism
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck

Sized = tuple[int, int, bytes | None]
# Kinds whose output has a length that only their input tells, and what input is that a kept result is not of.
_KEPT = {"decrypt": ck.CKR_ENCRYPTED_DATA_INVALID, "verify_recover": ck.CKR_SIGNATURE_INVALID}


# What the processes of many messages use their key for.
USES = {"message_encrypt": "encrypt", "message_decrypt": "decrypt"}


class Messages:
    """The state of a process of many messages: the one that goes on in parts, if one does."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun: Any = None

    @property
    def held(self) -> int:
        return self.begun.state.held if self.begun is not None else 0


class Operation:
    """One active operation: the mechanism's state, the key it uses, and a result not yet fetched with its input."""

    __slots__ = (
        "asked", "barred", "entry", "given", "in_parts", "key", "login", "nonce", "result", "state", "told",
        "unauthenticated",
    )

    def __init__(
        self, entry: Mechanism, state: Any, key: TokenObject | None, login: Login | None, nonce: bytes | None = None
    ) -> None:
        self.entry = entry
        self.state = state
        self.key = key
        self.login = login
        self.asked = login  # whose rights the step that goes on asks for
        self.nonce = nonce
        self.unauthenticated = key is not None and key.flag(ck.CKA_ALWAYS_AUTHENTICATE)
        self.given: bytes | None = None
        self.result: bytes | None = None
        self.in_parts = False
        self.barred = False  # a right that it needs was taken away, though it may have been given again since
        self.told = False  # its first output is in the audit log

    def copy(self) -> Operation:
        """Another one that goes on from here by itself. A login that its key asks for at each use was for this one."""
        if not hasattr(self.state, "copy"):
            raise TokenError(ck.CKR_STATE_UNSAVEABLE, "the state of this mechanism can't be copied")
        other = Operation(self.entry, self.state.copy(), self.key, self.login, self.nonce)
        other.given, other.result, other.in_parts = self.given, self.result, self.in_parts
        return other

    @property
    def held(self) -> int:
        """Bytes of input and output that are kept here."""
        return int(getattr(self.state, "held", 0)) + len(self.given or b"") + len(self.result or b"")

    def is_over(self, session: Session) -> bool:
        """Its key is gone, or is a private one and the login it was started under has ended, or has lost the right; or
        its mechanism is a legacy one, which the partition does not offer any more."""
        if self.barred or (self.entry.legacy and not session.partition.legacy):
            return True
        key = self.key
        return key is not None and (not key.alive or (key.private and session.login is not self.login))

    def ask_again(self, session: Session, use: str) -> None:
        """After a change of rights. No lock is taken, which a long step may hold: that step ends as it began."""
        try:
            if self.key is not None:
                key_use.check_right(session, self.key, USES.get(use, use), self.entry)
        except TokenError:
            self.barred = True


def start(app: Application, handle: int, kind: str, mech: Any, key_handle: int | None) -> tuple[int]:
    """Every ...Init: checks in the standard's order, or cancels when the mechanism is NULL (section 5.8.1)."""
    session = app.session(handle)
    with session.lock:
        active: Operation | None = session.active.get(kind)
        if active is not None and active.is_over(session):
            del session.active[kind]
            active = None
        if mech is None:
            if active is None:
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"no mechanism, and no {kind} operation to cancel")
            del session.active[kind]
            return (ck.CKR_OK,)
        if active is not None:
            raise TokenError(ck.CKR_OPERATION_ACTIVE, f"a {kind} operation is active already")
        key = None
        try:
            login = session.login
            entry = registry.find(mech.number, kind, session.partition.legacy)
            nonce: bytes | None = None
            use = USES.get(kind, kind)
            if key_handle is None:
                state = getattr(entry, kind)(entry.parameter(mech.parameter))
            else:
                key = session.key(key_handle)
                key_use.check(session, key, use, entry)
                if lifetime.asked(key):  # the library grants no further Init by this one: time takes it away unasked
                    app.pool.epoch.bump()
                parameter = None if kind in USES else entry.parameter(mech.parameter)
                state = Messages() if kind in USES else getattr(entry, kind)(key, parameter)
                if entry.nonce is not None and kind in ("encrypt", "sign"):
                    nonce = entry.nonce(parameter)
                    key_use.check_nonce(key, entry, nonce)
        except TokenError:
            calls.about(() if key is None else (key,), mech.number)
            calls.note().asked = login, 0
            raise
        session.active[kind] = Operation(entry, state, key, login, nonce)
        return (ck.CKR_OK,)


@contextmanager
def going_on(session: Session, kind: str) -> Iterator[Operation]:
    """The active operation for one step of it, its key and right asked again; whatever goes wrong ends it."""
    with session.lock:
        active: Operation | None = session.active.get(kind)
        if active is None:
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, f"no {kind} operation is active")
        try:
            active.asked = session.login
            if active.is_over(session):
                words = "the key of the operation, the login it was started under or its mechanism is gone"
                raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, words)
            if active.key is not None:
                key_use.check_right(session, active.key, USES.get(kind, kind), active.entry)
                _still_asked(session, active, active.key)
            if active.unauthenticated:
                raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "the key asks for a context-specific login first")
            yield active
        except BaseException:
            session.active.pop(kind, None)
            if active.key is not None:
                calls.about((active.key,), active.entry.number)
                calls.note().asked = active.asked, 0
            raise


def _still_asked(session: Session, active: Operation, key: TokenObject) -> None:
    """Whose right was asked is who is recorded, whoever else another thread has logged in meanwhile."""
    if (key.private or key.names) and (active.asked is None or session.login is not active.asked):
        raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "another thread has logged out or in meanwhile")


@contextmanager
def going_on_together(session: Session, one: str, other: str) -> Iterator[tuple[Operation, Operation]]:
    """Both operations of a dual-function call (section 5.17): both must be active, and what goes wrong ends both."""
    with session.lock:
        try:
            with going_on(session, one) as first, going_on(session, other) as second:
                yield first, second
        except BaseException:
            session.active.pop(one, None)
            session.active.pop(other, None)
            raise


def may_go_on(active: Operation) -> None:
    """Before an Update."""
    several(active)
    if active.result is not None:
        raise TokenError(ck.CKR_OPERATION_ACTIVE, "the operation is finished, only its result is still to be fetched")


def in_parts(active: Operation) -> None:
    """Before input is taken up by an Update."""
    may_go_on(active)
    active.in_parts = True


def several(active: Operation) -> None:
    """Some mechanisms take their input in one part: for them there is no operation that goes on in parts."""
    if not getattr(active.state, "multipart", True):
        raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "this mechanism takes its input in one part")


def in_one(active: Operation) -> None:
    """Before a one-shot call."""
    if active.in_parts:
        raise TokenError(ck.CKR_OPERATION_ACTIVE, "the operation went on in parts and can't be finished in one")


def too_small(bound: int, capacity: int | None) -> Sized | None:
    """The answer where there is no room for output of a length known beforehand."""
    if capacity is None:
        return ck.CKR_OK, bound, None
    return (ck.CKR_BUFFER_TOO_SMALL, bound, None) if capacity < bound else None


def finish(
    app: Application, handle: int, kind: str, capacity: int | None, given: bytes | None, bound: Callable[[Any], int],
    work: Callable[[Any], bytes],
) -> Sized:
    """Every call that ends an operation with output: size query, too small a buffer, or the bytes. ``given`` is the
    input of a one-shot call; ``bound`` is exact, but for the kinds of ``_KEPT``."""
    session = app.session(handle)
    with going_on(session, kind) as active:
        if given is None:
            several(active)
        else:
            in_one(active)
        if active.result is None and (capacity is None or kind not in _KEPT):
            short = too_small(bound(active.state), capacity)
            if short is not None:
                return short
        if active.result is None:
            if active.key is not None and kind in active.entry.oracle and getattr(active.state, "pads", False):
                # Whether there will be output tells of the blocks: wrong padding 255 times is as good as right once.
                key_use.used(session, active.key, kind, active.entry)
            active.result, active.given = work(active.state), given
            active.in_parts = given is None
        elif active.given != given:
            raise TokenError(_KEPT[kind], "not the input that the kept result belongs to")
        short = too_small(len(active.result), capacity)
        if short is not None:
            return short
        if active.key is not None:
            # The first output of a key fixes its uses, committed before the answer.
            key_use.used(session, active.key, kind, active.entry, ivs=0 if active.nonce is None else GIVEN_IVS)
            if active.nonce is not None:
                _spend(active.key, active.entry, active.nonce)
        session.active.pop(kind, None)
        calls.used(session, active.key, active.entry.number, active.asked)
        return ck.CKR_OK, len(active.result), active.result


def _spend(key: TokenObject, entry: Mechanism, nonce: bytes) -> None:
    """What ends an encryption or a signature has no code for a parameter."""
    try:
        key_use.spend_nonce(key, entry, nonce)
    except TokenError as refusal:
        raise TokenError(ck.CKR_FUNCTION_FAILED, refusal.reason, refusal.subject) from None


def update(app: Application, handle: int, kind: str, data: bytes | None, capacity: int | None) -> Sized:
    """Every Update with output: its exact length decides before any input is consumed."""
    session = app.session(handle)
    given = data or b""
    with going_on(session, kind) as active:
        may_go_on(active)
        short = _no_room(active, given, capacity)
        if short is not None:
            return short
        app.may_gather(len(given))
        return _part(session, kind, active, given)


def _no_room(active: Operation, given: bytes, capacity: int | None) -> Sized | None:
    """The answer to a size query or too small a buffer, which take nothing up."""
    bound = active.state.part_bound(len(given))
    if capacity is None:
        # Room for one byte, where none comes out: a client that keeps bytes in vectors (PyKCS11) hands NULL over
        # again for a length of 0, and takes the part that was only measured for consumed.
        return ck.CKR_OK, max(bound, min(len(given), 1)), None
    return too_small(bound, capacity)


def _part(session: Session, kind: str, active: Operation, given: bytes) -> Sized:
    active.in_parts = True
    part = bytes(active.state.update(given))
    if part and active.key is not None:
        key_use.used(session, active.key, kind, active.entry)
        if not active.told:  # who never ends the operation has had this all the same
            active.told = True
            calls.used(session, active.key, active.entry.number, active.asked)
            calls.note().undo = lambda: session.active.pop(kind, None)
    return ck.CKR_OK, len(part), part


def update_both(
    app: Application, handle: int, cipher: str, other: str, data: bytes | None, capacity: int | None
) -> Sized:
    """The dual-function updates: the plaintext goes to both operations, before encryption or after decryption. What
    decryption still holds back, padding or an unchecked tag behind it, the other operation gets no more than the
    caller does (section 5.17.2)."""
    session = app.session(handle)
    given = data or b""
    with going_on_together(session, cipher, other) as (ciphering, second):
        may_go_on(ciphering)
        may_go_on(second)
        short = _no_room(ciphering, given, capacity)
        if short is not None:
            return short
        app.may_gather(2 * len(given))
        rv, length, part = _part(session, cipher, ciphering, given)
        second.in_parts = True
        second.state.update(given if cipher == "encrypt" else part)
        return rv, length, part


def feed(app: Application, handle: int, kind: str, data: bytes | None) -> tuple[int]:
    """Every Update without output."""
    session = app.session(handle)
    with going_on(session, kind) as active:
        in_parts(active)
        app.may_gather(len(data or b""))
        active.state.update(data or b"")
        return (ck.CKR_OK,)


def verify(app: Application, handle: int, one_shot: bool, work: Callable[[Any], Any]) -> tuple[int]:
    """C_Verify and C_VerifyFinal, which end the operation whatever they find (section 5.15.2)."""
    session = app.session(handle)
    with going_on(session, "verify") as active:
        if one_shot:
            in_one(active)
        else:
            several(active)
        if active.key is not None:
            key_use.used(session, active.key, "verify", active.entry)  # yes or no, the answer tells of the MAC
        work(active.state)
        session.active.pop("verify", None)
        calls.used(session, active.key, active.entry.number, active.asked)
        return (ck.CKR_OK,)
