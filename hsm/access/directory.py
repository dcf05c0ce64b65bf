"""The officers of one partition, their roles, and what these come to: the one verdict that every door asks for.

Held in memory over the store's records; each change is one commit, and the verdicts are made anew before it is
answered. An assignment counts where its scope covers the key's name: ``/`` and ``/keys`` are the whole partition,
``/keys/{name}`` all versions of one key; Azure's names make no difference between A and a, so neither do scopes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hsm import clock
from hsm.access.roles import BUILT_IN, RoleDefinition
from hsm.store.records import CustomRole, Officer, R, Record, RoleAssignment

if TYPE_CHECKING:
    from hsm.store.sqlite import Store
    from hsm.store.transaction import Transaction

WHOLE = ("/", "/keys")
_NOTHING: frozenset[str] = frozenset()


class Held:
    """What one officer may do: everywhere, under a key's name (in small letters), and until when (0: for ever). A login
    keeps it, and so knows at once what has changed; once the officer is gone it stays empty."""

    __slots__ = ("by_name", "everywhere", "until")

    def __init__(self) -> None:
        self.everywhere: frozenset[str] = _NOTHING
        self.by_name: dict[str, frozenset[str]] = {}
        self.until = 0

    def empty(self) -> None:
        self.everywhere, self.by_name = _NOTHING, {}

    def allows(self, action: str, name: Callable[[], str] | str = "") -> bool:
        """On the key of that name, or, without one, on the partition. The name may be a function, which is asked only
        where the answer hangs on it."""
        if self.until and self.until <= clock.microseconds():
            return False
        if action in self.everywhere:
            return True
        if not self.by_name:
            return False
        known = name if isinstance(name, str) else name()
        return action in self.by_name.get(known.lower(), _NOTHING)

    def any_of(self, actions: Iterable[str]) -> bool:
        """Whether any of ``actions`` is allowed, on whatever key."""
        if self.until and self.until <= clock.microseconds():
            return False
        return any(not held.isdisjoint(actions) for held in (self.everywhere, *self.by_name.values()))


class Directory:
    """``changed`` is called after every change, and before it is answered."""

    def __init__(self, store: Store, slot: int, changed: Callable[[], None]) -> None:
        self._store = store
        self._slot = slot
        self._changed = changed
        self.lock = threading.RLock()
        self.officers: dict[str, Officer] = {}
        self.assignments: dict[str, RoleAssignment] = {}
        self.custom: dict[str, CustomRole] = {}
        self._held: dict[str, Held] = {}
        self.load()

    def load(self) -> None:
        """From the store: at the start, and when the token was initialised anew."""
        with self.lock:
            found = self._store.records(self._slot, Officer)
            self.officers = {name: record or Officer(name, damaged=True) for name, record in found.items()}
            self.assignments = {
                name: record for name, record in self._store.records(self._slot, RoleAssignment).items() if record
            }
            definitions = self._store.records(self._slot, CustomRole)
            self.custom = {name: record for name, record in definitions.items() if record}
            self._weigh()

    # -- asking

    def held(self, officer: str) -> Held:
        return self._held.get(officer) or Held()

    def holds(self, officer: str, action: str, name: str = "") -> bool:
        """Whether ``officer`` may do ``action`` now: on the key of that name, or, without one, on the partition."""
        return self.held(officer).allows(action, name)

    def why_not(self, officer: str) -> str:
        """Why this officer may do nothing at all now; nothing where it may."""
        record = self.officers.get(officer)
        if record is None:
            return f"there is no officer {officer}"
        if record.pending:
            words = f"officer {officer} waits for approval by an officer whose PIN opens the partition"
            return f"{words}: adyton officer approve {officer}"
        if not record.enabled:
            words = f"officer {officer} is disabled. An Administrator enables it: adyton officer"
            return f"{words} update {officer} --enable"
        if record.expires and record.expires <= clock.microseconds():
            words = f"the credential of officer {officer} has expired. An Administrator gives it more time"
            return f"{words}: adyton officer update {officer} --expires 90d"
        return ""

    def definition(self, role: str) -> RoleDefinition | None:
        """The built-in or custom role with this GUID."""
        custom = self.custom.get(role)
        return BUILT_IN.get(role) if custom is None else as_definition(custom)

    def definitions(self) -> list[RoleDefinition]:
        return [*BUILT_IN.values(), *filter(None, map(self.definition, self.custom))]

    def assignments_of(self, officer: Officer) -> list[RoleAssignment]:
        return [assignment for assignment in self.assignments.values() if assignment.principal == officer.object_id]

    def was_given(self, officer: Officer, actions: frozenset[str]) -> bool:
        """Whether a role of the officer has any of ``actions``, also while it is disabled or has expired."""
        roles = [self.definition(given.role) for given in self.assignments_of(officer) if not given.pending]
        return any(role is not None and not role.permits.isdisjoint(actions) for role in roles)

    def principal(self, object_id: str) -> Officer | None:
        return next((officer for officer in self.officers.values() if officer.object_id == object_id), None)

    def bound(self, uid: int) -> Officer | None:
        """The officer that this user of the machine is."""
        return next((officer for officer in self.officers.values() if officer.uid == uid), None)

    # -- changing

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One commit of records; what is in memory follows it."""
        with self.lock:
            with self._store.transaction() as tx:
                change = Change(tx, self._slot)
                yield change
            # New tables, so that nobody who goes through one meanwhile trips.
            self.officers = _after(self.officers, change, Officer)
            self.assignments = _after(self.assignments, change, RoleAssignment)
            self.custom = _after(self.custom, change, CustomRole)
            self._weigh()
            self._changed()

    def _weigh(self) -> None:
        for gone in self._held.keys() - self.officers.keys():
            self._held.pop(gone).empty()
        given: dict[str, list[RoleAssignment]] = {}
        for assignment in self.assignments.values():
            given.setdefault(assignment.principal, []).append(assignment)
        for name, officer in self.officers.items():
            self._weigh_one(self._held.setdefault(name, Held()), officer, given.get(officer.object_id, []))

    def _weigh_one(self, held: Held, officer: Officer, given: list[RoleAssignment]) -> None:
        everywhere: set[str] = set()
        by_name: dict[str, set[str]] = {}
        comes = not (officer.damaged or officer.pending) and officer.enabled
        for assignment in given if comes else ():
            definition = self.definition(assignment.role)
            if assignment.pending or definition is None:  # a deleted role's assignments are without effect
                continue
            if assignment.scope in WHOLE:
                everywhere |= definition.permits
            else:
                by_name.setdefault(assignment.scope.removeprefix("/keys/").lower(), set()).update(definition.permits)
        held.until = officer.expires
        held.by_name = {name: frozenset(actions) for name, actions in by_name.items()}
        held.everywhere = frozenset(everywhere)


def as_definition(role: CustomRole) -> RoleDefinition:
    return RoleDefinition(role.name, role.role_name, role.description, role.data_actions, role.not_data_actions)


class Change:
    """The records of one commit; ``tx`` takes what else belongs to it, its audit record above all."""

    def __init__(self, tx: Transaction, slot: int) -> None:
        self.tx = tx
        self._slot = slot
        self.put: list[Record] = []
        self.dropped: list[Record] = []

    def write(self, record: Record) -> None:
        self.tx.put_record(self._slot, record)
        self.put.append(record)

    def drop(self, record: Record) -> None:
        self.tx.drop_record(self._slot, record)
        self.dropped.append(record)


def _after(before: dict[str, R], change: Change, form: type[R]) -> dict[str, R]:
    """The table of one form of records after a change."""
    after = dict(before)
    for record in change.dropped:
        if isinstance(record, form):
            after.pop(record.name, None)
    for record in change.put:
        if isinstance(record, form):
            after[record.name] = record
    return after
