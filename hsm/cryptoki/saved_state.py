"""The state of a session's operations, saved and restored: C_GetOperationState and C_SetOperationState (section 5.6).

What the caller gets is a ticket, the state stays in the engine: no key and no input leaves it, and nothing made up
comes in. A key is kept with its operation (CKF_RESTORE_KEY_NOT_NEEDED), so none is ever needed for a restoration.
"""

from __future__ import annotations

from hsm.application import Application, SavedState, SavedStates, Session
from hsm.cryptoki.operation import Operation, Sized, too_small
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

_CIPHERS, _AUTHENTICATORS = ("encrypt", "decrypt"), ("sign", "verify")
_SAVED = (*_CIPHERS, *_AUTHENTICATORS, "digest")


def C_GetOperationState(app: Application, handle: int, capacity: int | None) -> Sized:
    session = app.session(handle)
    with session.lock:
        active: dict[str, Operation] = {
            kind: operation for kind, operation in session.active.items()
            if isinstance(operation, Operation) and not operation.is_over(session)
        }
        if not any(kind in _SAVED for kind in active):
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "no operation is active that could be saved")
        if any(kind not in _SAVED for kind in active):
            raise TokenError(ck.CKR_STATE_UNSAVEABLE, "an operation with message recovery can't be saved")
        held = sum(operation.held for operation in active.values())
        if held > SavedStates.MOST_HELD:
            raise TokenError(ck.CKR_STATE_UNSAVEABLE, "the operation holds more input than is kept for a saved state")
        copies = {kind: operation.copy() for kind, operation in active.items()}
        short = too_small(SavedStates.LENGTH, capacity)
        if short is not None:
            return short
        ticket = app.saved.put(SavedState(session.partition, session.state, copies, held))
    return ck.CKR_OK, len(ticket), ticket


def C_SetOperationState(
    app: Application, handle: int, state: bytes | None, encryption_key: int, authentication_key: int
) -> tuple[int]:
    """All or nothing: what was active goes on where this is refused, and is cancelled where it succeeds."""
    session = app.session(handle)
    saved = app.saved.get(state or b"")
    with session.lock:
        if saved.partition is not session.partition or saved.session_state != session.state:
            words = "this state is of another token, or of a session in another state"
            raise TokenError(ck.CKR_SAVED_STATE_INVALID, words)
        if any(operation.is_over(session) for operation in saved.operations.values()):
            words = "a key of this state is gone, or the login it was saved under has ended"
            raise TokenError(ck.CKR_SAVED_STATE_INVALID, words)
        _compare(session, saved, encryption_key, _CIPHERS)
        _compare(session, saved, authentication_key, _AUTHENTICATORS)
        copies = {kind: operation.copy() for kind, operation in saved.operations.items()}
        session.active.clear()
        session.active.update(copies)
    return (ck.CKR_OK,)


def _compare(session: Session, saved: SavedState, key: int, kinds: tuple[str, ...]) -> None:
    """A key that is named although none is needed must be the one that the state has."""
    if not key:
        return
    used = [operation.key for kind, operation in saved.operations.items() if kind in kinds]
    if not used:
        raise TokenError(ck.CKR_KEY_NOT_NEEDED, f"the state has no operation to {' or '.join(kinds)}")
    if session.key(key, ck.CKR_KEY_CHANGED) not in used:
        raise TokenError(ck.CKR_KEY_CHANGED, "the operation was begun with another key")
