"""Who an officer is, what a role assignment says, what is proposed, as the store keeps it: one row a field, by number.

A record that an older version wrote lacks the fields that came later, which then have their defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from hsm.store import sealing


class Officer(NamedTuple):
    """A person or a program of one partition, with one credential: a PIN, or ``uid``, a user of the machine (-1: none).

    ``wrapped`` lies under the PIN: the partition key, or, where ``public`` is there, the private half of a key pair
    of the officer's own, to which ``copy`` is sealed; without it the officer opens nothing. ``counter`` is the number
    of the PIN's failure counter. Times are microseconds since the epoch, 0 for never. ``damaged``: the record does not
    open; only the name is known.
    """

    name: str
    object_id: str = ""
    enabled: bool = True
    pending: bool = False
    created: int = 0
    expires: int = 0
    must_change: bool = False
    counter: int = 0
    wrapped: bytes = b""
    public: bytes = b""
    copy: bytes = b""
    uid: int = -1
    damaged: bool = False

    @property
    def holds_key(self) -> bool:
        """Whether its PIN opens the partition."""
        return bool(self.wrapped) and (not self.public or bool(self.copy))


class RoleAssignment(NamedTuple):
    """``name`` is its GUID; ``principal`` the officer's object id, so that a later officer of the same name inherits
    nothing; ``role`` the GUID of the definition."""

    name: str
    principal: str = ""
    role: str = ""
    scope: str = "/"
    created: int = 0
    created_by: str = ""
    pending: bool = False


class CustomRole(NamedTuple):
    """A role definition of the partition's own; ``name`` is its GUID."""

    name: str
    role_name: str = ""
    description: str = ""
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    created: int = 0


class Proposal(NamedTuple):
    """An act that takes more than one officer, as one has asked for it (hsm/access/quorum.py). ``name`` is its GUID;
    ``digest`` tells the very act, its subject as that was, and who asked. ``key``: the name that ``action`` is needed
    on; none where it is the whole partition. ``told``: the act in words, as JSON. ``proposer`` and ``approvals`` are
    object ids."""

    name: str
    digest: bytes = b""
    act: str = ""
    kind: str = ""
    action: str = ""
    key: str = ""
    told: str = "{}"
    proposer: str = ""
    created: int = 0
    expires: int = 0
    approvals: tuple[str, ...] = ()


class Unattended(NamedTuple):
    """A copy of the partition key that a file opens (hsm/access/unattended.py)."""

    name: str
    path: str = ""
    copy: bytes = b""
    created: int = 0


class DeletedKey(NamedTuple):
    """A key that was deleted and can be recovered; ``name`` is its own in lower case, ``key`` as it was written. Times
    are microseconds as the pool has seen time pass, but for ``date``, which the clock said."""

    name: str
    key: str = ""
    at: int = 0
    purge: int = 0
    date: int = 0
    by: str = ""


class RotationPolicy(NamedTuple):
    """When a key is rotated, in Azure's words: ISO 8601 durations, none where empty. ``name`` and ``key`` as above;
    ``made``: microseconds since the epoch."""

    name: str
    key: str = ""
    after_create: str = ""
    before_expiry: str = ""
    expiry_time: str = ""
    made: int = 0
    updated: int = 0


class Form(NamedTuple):
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


def _texts(values: tuple[str, ...]) -> bytes:
    return sealing.pack({at: value.encode() for at, value in enumerate(values)})


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


TEXT = Form(str.encode, bytes.decode)
BYTES = Form(bytes, bytes)
FLAG = Form(lambda value: bytes([value]), lambda raw: raw == b"\x01")
NUMBER = Form(_number, lambda raw: int.from_bytes(raw, "little", signed=True))
TEXTS = Form(_texts, lambda raw: tuple(value.decode() for value in sealing.unpack(raw).values()))
_FIELDS: dict[type, tuple[str, tuple[tuple[int, str, Form], ...]]] = {
    Officer: ("officer", (
        (1, "object_id", TEXT), (2, "enabled", FLAG), (3, "pending", FLAG), (4, "created", NUMBER),
        (5, "expires", NUMBER), (6, "must_change", FLAG), (7, "counter", NUMBER), (8, "wrapped", BYTES),
        (9, "public", BYTES), (10, "copy", BYTES), (11, "uid", NUMBER),
    )),
    RoleAssignment: ("assignment", (
        (1, "principal", TEXT), (2, "role", TEXT), (3, "scope", TEXT), (4, "created", NUMBER),
        (5, "created_by", TEXT), (6, "pending", FLAG),
    )),
    CustomRole: ("definition", (
        (1, "role_name", TEXT), (2, "description", TEXT), (3, "data_actions", TEXTS),
        (4, "not_data_actions", TEXTS), (5, "created", NUMBER),
    )),
    Proposal: ("proposal", (
        (1, "digest", BYTES), (2, "act", TEXT), (3, "kind", TEXT), (4, "action", TEXT), (5, "key", TEXT),
        (6, "told", TEXT), (7, "proposer", TEXT), (8, "created", NUMBER), (9, "expires", NUMBER),
        (10, "approvals", TEXTS),
    )),
    Unattended: ("unattended", ((1, "path", TEXT), (2, "copy", BYTES), (3, "created", NUMBER))),
    DeletedKey: ("deleted-key", (
        (1, "key", TEXT), (2, "at", NUMBER), (3, "purge", NUMBER), (4, "date", NUMBER), (5, "by", TEXT),
    )),
    RotationPolicy: ("rotation-policy", (
        (1, "key", TEXT), (2, "after_create", TEXT), (3, "before_expiry", TEXT), (4, "expiry_time", TEXT),
        (5, "made", NUMBER), (6, "updated", NUMBER),
    )),
}
FORMS = tuple(_FIELDS)
R = TypeVar("R", Officer, RoleAssignment, CustomRole, Proposal, Unattended, DeletedKey, RotationPolicy)
Record = Officer | RoleAssignment | CustomRole | Proposal | Unattended | DeletedKey | RotationPolicy


def kind_of(form: type) -> str:
    """The word for these records in the store's table."""
    return _FIELDS[form][0]


def pack(record: Record) -> bytes:
    return sealing.pack({number: form.pack(getattr(record, name)) for number, name, form in _FIELDS[type(record)][1]})


def unpack(form: type[R], name: str, raw: bytes) -> R:
    """Raises sealing.Damaged where the bytes are no such record."""
    found = sealing.unpack(raw)
    try:
        told = {field: f.unpack(found[number]) for number, field, f in _FIELDS[form][1] if number in found}
        return form(name, **told)
    except (UnicodeDecodeError, TypeError):
        raise sealing.Damaged from None
