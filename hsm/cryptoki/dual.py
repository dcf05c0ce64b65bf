"""Dual-function operations: section 5.17 of PKCS#11 3.2."""

from __future__ import annotations

from hsm.application import Application
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Sized


def C_DigestEncryptUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.update_both(app, session, "encrypt", "digest", data, capacity)


def C_DecryptDigestUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.update_both(app, session, "decrypt", "digest", data, capacity)


def C_SignEncryptUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.update_both(app, session, "encrypt", "sign", data, capacity)


def C_DecryptVerifyUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return operation.update_both(app, session, "decrypt", "verify", data, capacity)
