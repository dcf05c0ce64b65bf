"""Signing and verifying: sections 5.13 and 5.15 of PKCS#11 3.2."""

from __future__ import annotations

from typing import Any

from hsm.application import Application
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Sized


def _length(state: Any) -> int:
    return int(state.length)


def C_SignInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "sign", mechanism, key)


def C_Sign(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    given = data or b""
    return operation.finish(app, session, "sign", capacity, given, _length, lambda s: bytes(s.one_shot(given)))


def C_SignUpdate(app: Application, session: int, data: bytes | None) -> tuple[int]:
    return operation.feed(app, session, "sign", data)


def C_SignFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return operation.finish(app, session, "sign", capacity, None, _length, lambda s: bytes(s.finish()))


def C_SignRecoverInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "sign_recover", mechanism, key)


def C_SignRecover(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    given = data or b""
    return operation.finish(app, session, "sign_recover", capacity, given, _length, lambda s: bytes(s.one_shot(given)))


def C_VerifyInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "verify", mechanism, key)


def C_Verify(app: Application, session: int, data: bytes | None, signature: bytes | None) -> tuple[int]:
    return operation.verify(app, session, True, lambda s: s.one_shot(data or b"", signature or b""))


def C_VerifyUpdate(app: Application, session: int, data: bytes | None) -> tuple[int]:
    return operation.feed(app, session, "verify", data)


def C_VerifyFinal(app: Application, session: int, signature: bytes | None) -> tuple[int]:
    return operation.verify(app, session, False, lambda s: s.finish(signature or b""))


def C_VerifyRecoverInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "verify_recover", mechanism, key)


def C_VerifyRecover(app: Application, session: int, signature: bytes | None, capacity: int | None) -> Sized:
    """A wrong signature is told before a buffer too small (section 5.15.6)."""
    given = signature or b""
    return operation.finish(
        app, session, "verify_recover", capacity, given, lambda s: int(s.bound(len(given))),
        lambda s: bytes(s.one_shot(given)),
    )
