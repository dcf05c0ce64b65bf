"""Slots, tokens and sessions: sections 5.5 and 5.6 of PKCS#11 3.2."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from hsm import __version__, clock
from hsm.access import policy
from hsm.access.credentials import LONGEST_PIN, SHORTEST_PIN
from hsm.access.roles import OFFICERS_WRITE
from hsm.application import Application, Session
from hsm.audit import calls
from hsm.errors import TokenError
from hsm.mechanisms import registry
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.mechanisms.entry import Mechanism
    from hsm.partitions import Partition
    from hsm.pool import Pool

MANUFACTURER = "Adyton"
_CANCELLED = (
    (ck.CKF_FIND_OBJECTS, "find"), (ck.CKF_DIGEST, "digest"), (ck.CKF_SIGN, "sign"), (ck.CKF_VERIFY, "verify"),
    (ck.CKF_SIGN_RECOVER, "sign_recover"), (ck.CKF_VERIFY_RECOVER, "verify_recover"), (ck.CKF_ENCRYPT, "encrypt"),
    (ck.CKF_DECRYPT, "decrypt"), (ck.CKF_MESSAGE_ENCRYPT, "message_encrypt"),
    (ck.CKF_MESSAGE_DECRYPT, "message_decrypt"),
)
_USER_TYPES = {ck.CKU_SO: "CKU_SO", ck.CKU_USER: "CKU_USER", ck.CKU_CONTEXT_SPECIFIC: "CKU_CONTEXT_SPECIFIC"}
_VERSION = bytes(int(part) for part in __version__.split(".")[:2])


def padded(text: str | bytes, size: int) -> bytes:
    """Blank-padded, never NUL-ended, cut at a whole UTF-8 character (section 3)."""
    raw = text.encode() if isinstance(text, str) else text
    raw = raw[:size].decode("utf-8", "ignore").encode()
    return raw.ljust(size, b" ")


def C_GetSlotList(app: Application, present: int, capacity: int | None) -> tuple[int, int, list[int] | None]:
    slots = app.pool.slots()
    if capacity is None:
        return ck.CKR_OK, len(slots), None
    if capacity < len(slots):
        return ck.CKR_BUFFER_TOO_SMALL, len(slots), None
    return ck.CKR_OK, len(slots), slots


def C_GetSlotInfo(app: Application, slot: int) -> tuple[int, bytes]:
    return ck.CKR_OK, _slot_info(app.pool.partition(slot))


def _slot_info(partition: Partition) -> bytes:
    text = padded(f"Adyton partition {partition.slot}", 64) + padded(MANUFACTURER, 32)
    return text + struct.pack("<Q", ck.CKF_TOKEN_PRESENT) + _VERSION + _VERSION + bytes(4)


def _model(partition: Partition) -> str:
    """Whose clock can be moved is seen to be no token to rely on."""
    return "Adyton testclock" if clock.is_test() else f"Adyton {partition.kind.name}"


def C_GetTokenInfo(app: Application, slot: int) -> tuple[int, bytes]:
    partition = app.pool.partition(slot)
    unavailable = ck.CK_UNAVAILABLE_INFORMATION
    opened, rw = app.counted(partition)
    text = padded(partition.label, 32) + padded(MANUFACTURER, 32) + padded(_model(partition), 16)
    numbers = struct.pack(
        "<11Q", partition.token_flags(app.uid), app.pool.max_sessions, opened, app.pool.max_rw_sessions, rw,
        LONGEST_PIN, SHORTEST_PIN, unavailable, unavailable, unavailable, unavailable,
    )
    return ck.CKR_OK, text + padded(partition.serial, 16) + numbers + _VERSION + _VERSION + b" " * 16 + bytes(4)


def C_GetMechanismList(app: Application, slot: int, capacity: int | None) -> tuple[int, int, list[int] | None]:
    numbers = registry.offered(app.pool.partition(slot).legacy)
    if capacity is None:
        return ck.CKR_OK, len(numbers), None
    if capacity < len(numbers):
        return ck.CKR_BUFFER_TOO_SMALL, len(numbers), None
    return ck.CKR_OK, len(numbers), numbers


def C_GetMechanismInfo(app: Application, slot: int, number: int) -> tuple[int, bytes]:
    return ck.CKR_OK, _mechanism_info(registry.entry_of(number, app.pool.partition(slot).legacy))


def _mechanism_info(entry: Mechanism) -> bytes:
    return struct.pack("<3Q", entry.min_size, entry.max_size, entry.info_flags)


def catalog(pool: Pool) -> bytes:
    """What the library answers by itself, as c_src/catalog.c reads it: the counts of slots and of lists; a row a slot,
    in rising order, with its list and its CK_SLOT_INFO; where each list begins and how long it is; the lists' rows, in
    rising order, each a mechanism and its CK_MECHANISM_INFO."""
    partitions = [pool.by_slot[slot] for slot in pool.slots()]
    lists: dict[bool, int] = {}  # one for each state of the switch for legacy mechanisms
    slots = [
        struct.pack("<2Q", partition.slot, lists.setdefault(partition.legacy, len(lists)))
        + _slot_info(partition) for partition in partitions
    ]
    head = struct.pack("<2Q", len(slots), len(lists)) + b"".join(slots)
    at, places, rows = len(head) + 16 * len(lists), b"", b""
    for legacy in lists:
        numbers = registry.offered(legacy)
        places += struct.pack("<2Q", at + len(rows), len(numbers))
        rows += b"".join(struct.pack("<Q", n) + _mechanism_info(registry.MECHANISMS[n]) for n in numbers)
    return head + places + rows


def C_WaitForSlotEvent(app: Application, told: int) -> tuple[int, int]:
    """``told``: CKF_DONT_BLOCK and, above it, since when events are new to this application (section 5.5.4). What is
    answered counts as seen."""
    slot = app.pool.slot_events.next(app, since=told >> 1, blocks=not told & ck.CKF_DONT_BLOCK)
    if slot is None:  # not refused: who polls would push every refusal out of what ``adyton explain`` tells
        return ck.CKR_NO_EVENT, 0
    return ck.CKR_OK, slot


def _given(pin: bytes | None) -> bytes:
    """A NULL PIN asks for a protected authentication path (section 5.5.7), by which nobody sets a PIN here; an empty
    one is a PIN like others."""
    if pin is None:
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "no protected authentication path sets a PIN: it must be given")
    return pin


def _settable(pin: bytes | None) -> bytes:
    """A PIN is UTF-8 (section 5.5.8)."""
    given = _given(pin)
    try:
        given.decode()
    except UnicodeDecodeError:
        raise TokenError(ck.CKR_PIN_INVALID, "a PIN must be valid UTF-8") from None
    return given


def C_InitToken(app: Application, slot: int, pin: bytes | None, label: bytes) -> tuple[int]:
    app.pool.partition(slot).initialise(app, _settable(pin), label)
    return (ck.CKR_OK,)


def C_InitPIN(app: Application, handle: int, pin: bytes | None) -> tuple[int]:
    session = app.session(handle)
    login = session.login
    if login is None or not session.is_so:
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "C_InitPIN needs the SO logged in")
    if not policy.permitted(session, OFFICERS_WRITE):
        raise policy.denied(session, OFFICERS_WRITE, "", ck.CKR_USER_NOT_LOGGED_IN)
    session.partition.init_pin(app, login.officer, _settable(pin))
    return (ck.CKR_OK,)


def C_SetPIN(app: Application, handle: int, old: bytes | None, new: bytes | None) -> tuple[int]:
    session = app.session(handle)
    if not session.read_write:
        raise TokenError(ck.CKR_SESSION_READ_ONLY, "C_SetPIN needs a read/write session")
    session.partition.set_pin(app, session.login, _given(old), _settable(new))
    return (ck.CKR_OK,)


def C_OpenSession(app: Application, slot: int, flags: int) -> tuple[int, int]:
    partition = app.pool.partition(slot)
    if not flags & ck.CKF_SERIAL_SESSION:
        raise TokenError(ck.CKR_SESSION_PARALLEL_NOT_SUPPORTED, "CKF_SERIAL_SESSION must be set")
    if flags & ck.CKF_ASYNC_SESSION:
        raise TokenError(ck.CKR_SESSION_ASYNC_NOT_SUPPORTED, "asynchronous sessions are not offered")
    return ck.CKR_OK, app.open_session(partition, bool(flags & ck.CKF_RW_SESSION)).handle


def C_CloseSession(app: Application, handle: int) -> tuple[int]:
    app.close_session(handle)
    return (ck.CKR_OK,)


def C_CloseAllSessions(app: Application, slot: int) -> tuple[int]:
    app.close_all(app.pool.partition(slot))
    return (ck.CKR_OK,)


def C_GetSessionInfo(app: Application, handle: int) -> tuple[int, bytes]:
    session = app.session(handle)
    flags = ck.CKF_SERIAL_SESSION | (ck.CKF_RW_SESSION if session.read_write else 0)
    return ck.CKR_OK, struct.pack("<4Q", session.partition.slot, session.state, flags, 0)


def _login(app: Application, handle: int, user_type: int, name: bytes, pin: bytes | None) -> tuple[int]:
    session = app.session(handle)
    calls.detail(user_type=_USER_TYPES.get(user_type, str(user_type)))
    if user_type == ck.CKU_CONTEXT_SPECIFIC:
        return _login_again(app, session, name, pin)
    if user_type not in (ck.CKU_SO, ck.CKU_USER):
        raise TokenError(ck.CKR_USER_TYPE_INVALID, f"user type {user_type} is not known")
    app.may_log_in(session.partition, user_type)
    came = session.partition.authenticate(app, user_type, name, pin)
    app.start_login(session, came.officer, user_type, came.must_change)
    calls.done(session)
    calls.note().officer = came.officer  # whoever is there by now
    calls.note().undo = lambda: app.end_login(session.partition)
    return (ck.CKR_OK,)


def _login_again(app: Application, session: Session, name: bytes, pin: bytes | None) -> tuple[int]:
    """CKU_CONTEXT_SPECIFIC: good for one operation with a CKA_ALWAYS_AUTHENTICATE key, the last begun of those that
    wait for it (section 4.10). A wrong PIN counts, and leaves the operation as it was; one that locks the PIN logs out
    as well."""
    with session.lock:
        login = session.login
        waiting = [
            active for active in session.active.values()
            if getattr(active, "unauthenticated", False) and not active.is_over(session)
        ]
        if login is None or not waiting:
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "no operation asks for a context-specific login")
        officers = session.partition.officers
        try:
            officers.prove_again(login.officer, name.decode("utf-8", "replace"), pin, app.uid)
        except TokenError:
            if officers.credentials.flags(login.officer)[2]:
                app.end_login(session.partition)
                raise TokenError(ck.CKR_PIN_LOCKED, "the PIN is locked, and its officer logged out") from None
            raise
        waiting[-1].unauthenticated = False
        calls.done(session)
    return (ck.CKR_OK,)


def C_Login(app: Application, handle: int, user_type: int, pin: bytes | None) -> tuple[int]:
    return _login(app, handle, user_type, b"", pin)


def C_LoginUser(app: Application, handle: int, user_type: int, pin: bytes | None, name: bytes | None) -> tuple[int]:
    return _login(app, handle, user_type, name or b"", pin)


def C_Logout(app: Application, handle: int) -> tuple[int]:
    session = app.session(handle)
    ended = app.end_login(session.partition)
    if ended is None:
        raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "nobody is logged in")
    calls.left(session, ended)
    return (ck.CKR_OK,)


def C_SessionCancel(app: Application, handle: int, flags: int) -> tuple[int]:
    """Cancels the operations named by ``flags``; those not active are no error (section 5.6.5)."""
    session = app.session(handle)
    with session.lock:
        for bit, kind in _CANCELLED:
            if flags & bit:
                session.active.pop(kind, None)
    return (ck.CKR_OK,)


def C_GetSessionValidationFlags(app: Application, handle: int, kind: int) -> tuple[int, int]:
    app.session(handle)
    return ck.CKR_OK, 0


def not_parallel(app: Application, handle: int) -> tuple[Any, ...]:
    """C_GetFunctionStatus and C_CancelFunction are legacy and always answer this (section 5.21)."""
    app.session(handle)
    raise TokenError(ck.CKR_FUNCTION_NOT_PARALLEL, "functions don't run in parallel with the application")


C_GetFunctionStatus = not_parallel
C_CancelFunction = not_parallel
