"""Object management: section 5.7 of PKCS#11 3.2."""

from __future__ import annotations

from typing import Any

from hsm.access import lifetime, policy
from hsm.application import Application, Session
from hsm.audit import calls
from hsm.errors import TokenError
from hsm.mechanisms import formats
from hsm.objects import attributes as table
from hsm.objects import templates
from hsm.objects.templates import Template
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck


def C_CreateObject(app: Application, handle: int, template: Template) -> tuple[int, int]:
    session = app.session(handle)
    calls.begun(session)
    attributes = templates.for_create(templates.parse(template), session.trusts)
    session.partition.may_add(session, attributes, "create")
    attributes = templates.finish(attributes, formats.check_and_complete(attributes), "create", known_outside=True)
    made = session.partition.add(session, attributes, "create")
    calls.done(session)
    return ck.CKR_OK, made


def C_CopyObject(app: Application, handle: int, source: int, template: Template) -> tuple[int, int]:
    session = app.session(handle)
    calls.begun(session)
    item = session.object(source)
    calls.about((item,))
    if item.key_class in table.GUARDED_CLASSES and not item.about().enabled:
        raise TokenError(ck.CKR_ACTION_PROHIBITED, f"key {item.name()} is disabled", "enabled")
    attributes = templates.for_copy(item, templates.parse(template), session.trusts)
    made = session.partition.add(session, attributes, "copy", item)
    calls.done(session)
    return ck.CKR_OK, made


def _writable(session: Session, item: TokenObject) -> None:
    if item.is_token and not session.read_write:
        raise TokenError(ck.CKR_SESSION_READ_ONLY, "token objects change in read/write sessions only")


def C_DestroyObject(app: Application, handle: int, target: int) -> tuple[int]:
    session = app.session(handle)
    calls.begun(session)
    item = session.object(target)
    calls.about((item,))
    _writable(session, item)
    if item.get(ck.CKA_DESTROYABLE) == table.FALSE:
        raise TokenError(ck.CKR_ACTION_PROHIBITED, "CKA_DESTROYABLE is FALSE", "CKA_DESTROYABLE")
    session.partition.destroy(session, item)
    calls.done(session)
    return (ck.CKR_OK,)


def C_GetObjectSize(app: Application, handle: int, target: int) -> tuple[int, int]:
    return ck.CKR_OK, templates.size(app.session(handle).object(target))


def C_GetAttributeValue(app: Application, handle: int, target: int, query: Template) -> tuple[int, list[Any]]:
    """Every entry is looked at; the bad ones say CK_UNAVAILABLE_INFORMATION, the rest are filled (section 5.7.5)."""
    session = app.session(handle)
    trustee = session.trustee(target)
    item = trustee or session.object(target)
    worst = ck.CKR_OK
    answers: list[Any] = []
    shown: list[str] = []
    for attribute, capacity in query:
        try:
            if trustee and attribute not in table.TRUSTING:
                words = "of private wrapping keys the SO sees label and CKA_TRUSTED only"
                raise TokenError(ck.CKR_ATTRIBUTE_SENSITIVE, words)
            value = templates.read(item, attribute)
            if templates.is_secret(item, attribute):
                policy.check_leaves(session, item, ck.CKR_ATTRIBUTE_SENSITIVE)
                lifetime.check(item, "export", ck.CKR_ATTRIBUTE_SENSITIVE)
                if capacity is not None and capacity >= len(value):
                    shown.append(table.name_of(attribute))
        except TokenError as refusal:
            worst = refusal.rv
            answers.append((ck.CK_UNAVAILABLE_INFORMATION, None))
            continue
        if templates.is_template(attribute):
            rv, answer = _nested(value, capacity)
        else:
            rv, answer = _filled(value, capacity)
        worst = worst or rv
        answers.append(answer)
    if shown and (item.is_token or item.names):  # no attribute like others: a token key has left the token
        calls.about((item,))
        calls.done(session, attributes=" ".join(shown))
    return worst, answers


def _filled(value: bytes, capacity: Any) -> tuple[int, tuple[int, Any]]:
    if capacity is None:
        return ck.CKR_OK, (len(value), None)
    if capacity < len(value):
        return ck.CKR_BUFFER_TOO_SMALL, (ck.CK_UNAVAILABLE_INFORMATION, None)
    return ck.CKR_OK, (len(value), value)


def _nested(packed: bytes, capacity: Any) -> tuple[int, tuple[int, Any]]:
    """An attribute array: its size in the caller's terms, then all its rows. Whether the room of each row's value is
    enough is known where the caller's array is, in the library."""
    rows = _array(packed)
    size = len(rows) * templates.SIZE_OF_CK_ATTRIBUTE
    if capacity is None:
        return ck.CKR_OK, (size, None)
    if capacity < size:
        return ck.CKR_BUFFER_TOO_SMALL, (ck.CK_UNAVAILABLE_INFORMATION, None)
    return ck.CKR_OK, (size, rows)


def _array(packed: bytes) -> list[Any]:
    rows = templates.unpack(packed).items()
    return [(number, _array(value) if templates.is_template(number) else value) for number, value in rows]


def C_SetAttributeValue(app: Application, handle: int, target: int, template: Template) -> tuple[int]:
    session = app.session(handle)
    calls.begun(session)
    trustee = session.trustee(target)
    item = trustee or session.object(target)
    calls.about((item,))
    _writable(session, item)
    changes = templates.for_set(item, templates.parse(template), session.trusts)
    if trustee and set(changes) - {ck.CKA_TRUSTED}:
        raise TokenError(ck.CKR_ACTION_PROHIBITED, "of private keys the SO changes CKA_TRUSTED only", "CKA_TRUSTED")
    trusting = session.trusts and changes.keys() <= {ck.CKA_TRUSTED}
    session.partition.change(session, item, changes, trusting=trusting)
    calls.done(session, attributes=" ".join(map(table.name_of, changes)))
    return (ck.CKR_OK,)


_LOOKS = 20  # more, while a search takes place


class Search:
    """A search: its result is fixed when it starts (section 5.7.7)."""

    __slots__ = ("found",)

    def __init__(self, found: list[TokenObject]) -> None:
        self.found = found

    def ask_again(self, session: Session, use: str) -> None:
        """Each object is asked for as it is given out."""


def _found(session: Session, template: Template) -> list[TokenObject]:
    """By the rights of one login: where another thread logs out or in meanwhile, what is found may be of both, and is
    looked for again."""
    for left in range(_LOOKS, -1, -1):
        calls.begun(session)
        found = session.partition.find(session, template)
        try:
            calls.asked_of(session)
            break
        except TokenError:
            if not left:
                raise
    return found


def C_FindObjectsInit(app: Application, handle: int, template: Template) -> tuple[int]:
    session = app.session(handle)
    with session.lock:
        if "find" in session.active:
            calls.begun(session)
            raise TokenError(ck.CKR_OPERATION_ACTIVE, "a search is active already")
        found = _found(session, template)
        session.active["find"] = Search(found[::-1])
    calls.done(session, attributes=" ".join([table.name_of(number) for number, _ in template]), found=str(len(found)))
    calls.note().undo = lambda: session.active.pop("find", None)
    return (ck.CKR_OK,)


def C_FindObjects(app: Application, handle: int, most: int) -> tuple[int, list[int]]:
    session = app.session(handle)
    with session.lock:
        search = session.active.get("find")
        if search is None:
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "no search is active")
        handles: list[int] = []
        while search.found and len(handles) < most:
            item = search.found.pop()
            if item.alive and (policy.sees(session, item) or policy.may_trust(session, item)):
                handles.append(app.handle_of(item))
    return ck.CKR_OK, handles


def C_FindObjectsFinal(app: Application, handle: int) -> tuple[int]:
    session = app.session(handle)
    with session.lock:
        if session.active.pop("find", None) is None:
            raise TokenError(ck.CKR_OPERATION_NOT_INITIALIZED, "no search is active")
    return (ck.CKR_OK,)
