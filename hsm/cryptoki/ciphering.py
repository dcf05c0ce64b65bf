"""Encrypting and decrypting: sections 5.8 and 5.10 of PKCS#11 3.2."""

from __future__ import annotations

from typing import Any

from hsm.application import Application
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Sized
from hsm.errors import TokenError
from pkcs11_shim import constants as ck


def C_EncryptInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "encrypt", mechanism, key)


def C_DecryptInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "decrypt", mechanism, key)


def _one_shot(app: Application, session: int, kind: str, data: bytes | None, capacity: int | None) -> Sized:
    given = data or b""
    return operation.finish(
        app, session, kind, capacity, False, lambda s: bytes(s.one_shot(given)), lambda s: int(s.bound(len(given)))
    )


def C_Encrypt(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return _one_shot(app, session, "encrypt", data, capacity)


def C_Decrypt(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return _one_shot(app, session, "decrypt", data, capacity)


def _update(app: Application, handle: int, kind: str, data: bytes | None, capacity: int | None) -> Sized:
    """A part: the bound decides on size before any input is consumed (section 5.2)."""
    session = app.session(handle)
    given = data or b""
    with session.lock:
        active = operation.current(session, kind, in_parts=True)
        try:
            bound = active.state.part_bound(len(given))
            if capacity is None:
                # Room for one byte, where none comes out: a client that keeps bytes in vectors (PyKCS11) hands NULL
                # over again for a length of 0, and takes the part that was only measured for consumed.
                return ck.CKR_OK, max(bound, min(len(given), 1)), None
            if capacity < bound:
                return ck.CKR_BUFFER_TOO_SMALL, bound, None
            part = bytes(active.state.update(given))
            if part and active.key is not None:
                session.partition.used(session, active.key, kind)
        except TokenError:
            session.active.pop(kind, None)
            raise
        return ck.CKR_OK, len(part), part


def C_EncryptUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return _update(app, session, "encrypt", data, capacity)


def C_DecryptUpdate(app: Application, session: int, data: bytes | None, capacity: int | None) -> Sized:
    return _update(app, session, "decrypt", data, capacity)


def C_EncryptFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return operation.finish(app, session, "encrypt", capacity, True, lambda s: bytes(s.finish()))


def C_DecryptFinal(app: Application, session: int, capacity: int | None) -> Sized:
    return operation.finish(app, session, "decrypt", capacity, True, lambda s: bytes(s.finish()))
