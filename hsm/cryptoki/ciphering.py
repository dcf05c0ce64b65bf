"""Encrypting and decrypting: sections 5.8 and 5.10 of PKCS#11 3.2."""

from __future__ import annotations

from typing import Any

from hsm.application import Application
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Sized


def C_EncryptInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "encrypt", mechanism, key)


def C_DecryptInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "decrypt", mechanism, key)


def _one_shot(app: Application, session: int, kind: str, data: bytes | None, capacity: int | None) -> Sized:
    given = data or b""
    return operation.finish(
        app, session, kind, capacity, given, lambda s: int(s.bound(len(given))), lambda s: bytes(s.one_shot(given))
    )


def _final(app: Application, session: int, kind: str, capacity: int | None) -> Sized:
    return operation.finish(
        app, session, kind, capacity, None, lambda s: int(s.bound(0)), lambda s: bytes(s.finish())
    )


def C_Encrypt(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return _one_shot(app, session, "encrypt", data, capacity)


def C_Decrypt(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return _one_shot(app, session, "decrypt", data, capacity)


def C_EncryptUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.update(app, session, "encrypt", data, capacity)


def C_DecryptUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.update(app, session, "decrypt", data, capacity)


def C_EncryptFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return _final(app, session, "encrypt", capacity)


def C_DecryptFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return _final(app, session, "decrypt", capacity)
