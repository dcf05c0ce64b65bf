"""Signing and verifying: sections 5.13 and 5.15 of PKCS#11 3.2."""

from __future__ import annotations

from typing import Any

from hsm.application import Application
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Sized
from pkcs11_shim import constants as ck


def C_SignInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "sign", mechanism, key)


def C_Sign(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.finish(
        app, session, "sign", capacity, False, lambda s: bytes(s.one_shot(data or b"")), lambda s: int(s.length)
    )


def C_SignUpdate(app: Application, session: int, data: bytes | None) -> tuple[int]:
    return operation.feed(app, session, "sign", data)


def C_SignFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return operation.finish(
        app, session, "sign", capacity, True, lambda s: bytes(s.finish()), lambda s: int(s.length)
    )


def C_VerifyInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "verify", mechanism, key)


def _verify(app: Application, handle: int, in_parts: bool, work: Any) -> tuple[int]:
    session = app.session(handle)
    with session.lock:
        active = operation.current(session, "verify", in_parts=None if in_parts else False)
        session.active.pop("verify", None)
        work(active.state)
        return (ck.CKR_OK,)


def C_Verify(app: Application, session: int, data: bytes | None, signature: bytes | None) -> tuple[int]:
    return _verify(app, session, False, lambda s: s.one_shot(data or b"", signature or b""))


def C_VerifyUpdate(app: Application, session: int, data: bytes | None) -> tuple[int]:
    return operation.feed(app, session, "verify", data)


def C_VerifyFinal(app: Application, session: int, signature: bytes | None) -> tuple[int]:
    return _verify(app, session, True, lambda s: s.finish(signature or b""))


def C_SessionCancel(app: Application, session: int, flags: int) -> tuple[int]:
    """Cancels the operations named by ``flags``; those not active are no error (section 5.6.9)."""
    opened = app.session(session)
    rows = (
        (ck.CKF_FIND_OBJECTS, "find"), (ck.CKF_DIGEST, "digest"), (ck.CKF_SIGN, "sign"), (ck.CKF_VERIFY, "verify"),
        (ck.CKF_ENCRYPT, "encrypt"), (ck.CKF_DECRYPT, "decrypt"),
    )
    with opened.lock:
        for bit, kind in rows:
            if flags & bit:
                opened.active.pop(kind, None)
    return (ck.CKR_OK,)


