"""Many messages under one key, each with an IV of its own: sections 5.9 and 5.11 of PKCS#11 3.2.

A message's parameter has its IV, given or made here, and its tag beside the data. A refusal ends the message that goes
on in parts, and the process only where its key or right is gone. Parts are gathered, as C_EncryptUpdate's are for these
mechanisms (hsm/mechanisms/aead.py): their output comes with the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from hsm.access import key_use
from hsm.access.made_ivs import LENGTH, MOST_FIXED_BITS
from hsm.access.values import GIVEN_IVS, MADE_IVS
from hsm.application import Application, Session
from hsm.audit import calls
from hsm.cryptoki import operation
from hsm.cryptoki.operation import Operation, too_small
from hsm.errors import TokenError
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck

# Code, IV and tag for the parameter, the length of the data, and the data.
Answer = tuple[int, bytes, bytes, int, bytes | None]
_REFUSED = ck.CKR_MECHANISM_PARAM_INVALID


def C_MessageEncryptInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "message_encrypt", mechanism, key)


def C_MessageDecryptInit(app: Application, session: int, mechanism: Any, key: int) -> tuple[int]:
    return operation.start(app, session, "message_decrypt", mechanism, key)


@contextmanager
def _step(session: Session, kind: str) -> Iterator[tuple[Operation, TokenObject]]:
    """One step of a process. What is refused of it, once its key and right were asked, ends a message in parts."""
    refused: TokenError | None = None
    with operation.going_on(session, kind) as active:
        assert active.key is not None
        try:
            yield active, active.key
        except TokenError as why:
            if why.rv != ck.CKR_OPERATION_ACTIVE:
                active.state.begun = None
            calls.about((active.key,), active.entry.number)
            calls.note().asked = active.asked, 0
            refused = why
    if refused is not None:
        raise refused


class Begun(NamedTuple):
    """One message: the mechanism's state, the IV, which way that came, and the length of the tag."""

    state: Any
    iv: bytes
    way: int
    tag_bits: int


def _begin(active: Operation, key: TokenObject, kind: str, message: Any, aad: bytes | None) -> Begun:
    if active.state.begun is not None:
        raise TokenError(ck.CKR_OPERATION_ACTIVE, "a message goes on in parts: C_...MessageNext ends it")
    if message is None:
        raise TokenError(_REFUSED, "a message's parameter is CK_GCM_MESSAGE_PARAMS, of a possible length", "pParameter")
    way = 0
    if kind == "message_encrypt":
        message, way = _with_iv(key, active, message)
    return Begun(getattr(active.entry, kind)(key, message, aad), message.iv, way, message.tag_bits)


def _with_iv(key: TokenObject, active: Operation, message: Any) -> tuple[Any, int]:
    """The message with the IV that is asked for. CKG_GENERATE is what every module has (section 6.13.3); the other
    generators begin at zero each time, or are random, which says nothing of repeats."""
    if message.generator == ck.CKG_NO_GENERATE:
        key_use.check_nonce(key, active.entry, message.iv or b"")
        return message, GIVEN_IVS
    if message.generator != ck.CKG_GENERATE:
        raise TokenError(_REFUSED, "the token makes IVs by CKG_GENERATE only", "ivGenerator")
    if len(message.iv or b"") != LENGTH or message.fixed_bits % 8 or message.fixed_bits > MOST_FIXED_BITS:
        words = f"an IV that the token makes has {LENGTH} bytes, the first {MOST_FIXED_BITS // 8} at most fixed"
        raise TokenError(_REFUSED, words, "ulIvFixedBits")
    key_use.check_ivs(key, MADE_IVS)
    return message._replace(iv=key.partition.ivs.make(message.iv[: message.fixed_bits // 8])), MADE_IVS


def _tag_of(message: Any, tag_bits: int) -> bytes:
    """Of a message that is decrypted; of one that is encrypted nothing, though there must be room for it."""
    if message is None or message.tag is None or message.tag_bits != tag_bits:
        raise TokenError(_REFUSED, "pTag and ulTagBits say where the tag is, as long as it was to be", "pTag")
    return bytes(message.tag)


def _end(session: Session, active: Operation, key: TokenObject, begun: Begun, tag: bytes, data: bytes) -> Answer:
    """The last of a message, or all of it."""
    if begun.way:
        made = bytes(begun.state.one_shot(data))
        key_use.used(session, key, "encrypt", active.entry, ivs=begun.way)
        if begun.way == GIVEN_IVS:
            key_use.spend_nonce(key, active.entry, begun.iv)
        out, tag = made[: -begun.tag_bits // 8], made[-begun.tag_bits // 8 :]
    else:
        out, tag = _opened(begun.state, data + tag), b""
        key_use.used(session, key, "decrypt", active.entry)
    active.state.begun = None
    calls.used(session, key, active.entry.number, active.asked)
    return ck.CKR_OK, b"", tag, len(out), out


def _opened(state: Any, data: bytes) -> bytes:
    try:
        return bytes(state.one_shot(data))
    except TokenError as refusal:
        if refusal.rv == ck.CKR_ENCRYPTED_DATA_INVALID:
            raise TokenError(ck.CKR_AEAD_DECRYPT_FAILED, refusal.reason) from None
        raise


def _whole(
    app: Application, handle: int, kind: str, message: Any, aad: bytes | None, data: bytes | None, capacity: int | None
) -> Answer:
    session, given = app.session(handle), data or b""
    with _step(session, kind) as (active, key):
        if active.state.begun is None:
            short = too_small(len(given), capacity)
            if short is not None:
                return short[0], b"", b"", short[1], None
        begun = _begin(active, key, kind, message, aad)
        rv, _, tag, length, out = _end(session, active, key, begun, _tag_of(message, begun.tag_bits), given)
        return rv, begun.iv if begun.way == MADE_IVS else b"", tag, length, out
    raise AssertionError  # a step that is refused raises


def _next(
    app: Application, handle: int, kind: str, message: Any, part: bytes | None, capacity: int | None, flags: int
) -> Answer:
    session, given = app.session(handle), part or b""
    with _step(session, kind) as (active, key):
        begun: Begun | None = active.state.begun
        if begun is None:
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "no message was begun that could go on")
        if flags & ~ck.CKF_END_OF_MESSAGE:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, "there is no other flag than CKF_END_OF_MESSAGE", "flags")
        last = bool(flags)
        # As operation.update has it of a length that is asked for: room for one byte where none comes out.
        length = begun.state.held + len(given) if last else min(len(given), capacity is None)
        short = too_small(length, capacity) if last or capacity is None else None
        if short is not None:
            return short[0], b"", b"", short[1], None
        if last:
            return _end(session, active, key, begun, _tag_of(message, begun.tag_bits), given)
        app.may_gather(len(given))
        begun.state.update(given)
        return ck.CKR_OK, b"", b"", 0, b""
    raise AssertionError


def _final(app: Application, handle: int, kind: str) -> tuple[int]:
    session = app.session(handle)
    with session.lock:
        active: Operation | None = session.active.get(kind)
        if active is None or active.is_over(session):
            session.active.pop(kind, None)
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "no process of messages is active")
        if active.state.begun is not None:
            raise TokenError(ck.CKR_OPERATION_ACTIVE, "a message goes on in parts: C_...MessageNext ends it")
        del session.active[kind]
    return (ck.CKR_OK,)


def C_EncryptMessage(
    app: Application, session: int, message: Any, aad: bytes | None, data: bytes | None, capacity: int | None
) -> Answer:
    return _whole(app, session, "message_encrypt", message, aad, data, capacity)


def C_DecryptMessage(
    app: Application, session: int, message: Any, aad: bytes | None, data: bytes | None, capacity: int | None
) -> tuple[int, int, bytes | None]:
    rv, _, _, length, out = _whole(app, session, "message_decrypt", message, aad, data, capacity)
    return rv, length, out


def C_EncryptMessageBegin(app: Application, handle: int, message: Any, aad: bytes | None) -> tuple[int, bytes, bytes]:
    with _step(app.session(handle), "message_encrypt") as (active, key):
        begun = active.state.begun = _begin(active, key, "message_encrypt", message, aad)
        return ck.CKR_OK, begun.iv if begun.way == MADE_IVS else b"", b""
    raise AssertionError


def C_DecryptMessageBegin(app: Application, handle: int, message: Any, aad: bytes | None) -> tuple[int]:
    with _step(app.session(handle), "message_decrypt") as (active, key):
        active.state.begun = _begin(active, key, "message_decrypt", message, aad)
    return (ck.CKR_OK,)


def C_EncryptMessageNext(
    app: Application, session: int, message: Any, part: bytes | None, capacity: int | None, flags: int
) -> Answer:
    return _next(app, session, "message_encrypt", message, part, capacity, flags)


def C_DecryptMessageNext(
    app: Application, session: int, message: Any, part: bytes | None, capacity: int | None, flags: int
) -> tuple[int, int, bytes | None]:
    rv, _, _, length, out = _next(app, session, "message_decrypt", message, part, capacity, flags)
    return rv, length, out


def C_MessageEncryptFinal(app: Application, session: int) -> tuple[int]:
    return _final(app, session, "message_encrypt")


def C_MessageDecryptFinal(app: Application, session: int) -> tuple[int]:
    return _final(app, session, "message_decrypt")
