"""Officers come, log in, change their PINs and go: what C_InitToken, C_InitPIN, C_SetPIN and C_Login do to them, and
what the command line does with names of its own.

In a partition without Administrator recovery nobody gets to keys whom an officer with a copy of the partition key has
not let in: an officer, a user's binding or an assignment of key actions that anybody else makes is *pending*.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from hsm import clock
from hsm.access.credentials import Cost, Credentials, may_be, with_pin
from hsm.access.directory import Change, Directory
from hsm.access.roles import (
    ADMINISTRATOR,
    ASSIGNMENTS_WRITE,
    CRYPTO_OFFICER,
    CRYPTO_USER,
    OF_KEYS,
    PARTITION_DELETE,
    denial,
)
from hsm.audit import calls
from hsm.confinement.arena import ARENA, Secret
from hsm.errors import TokenError
from hsm.store import sealing
from hsm.store.records import Officer, RoleAssignment
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.store.sqlite import Store
    from hsm.store.transaction import Transaction

# The officers that the standard knows, and their roles.
STANDARD = {"so": (ADMINISTRATOR,), "user": (CRYPTO_OFFICER, CRYPTO_USER)}
LAST_UID = (1 << 32) - 2  # the number after it means nobody (chown(2))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
Record = dict[str, str]


class Came(NamedTuple):
    """Who was found to be there: the officer, and the partition key where the credential opens it."""

    officer: str
    key: Secret | None
    must_change: bool


class Officers:
    """The officers of one partition. ``changed`` is called after every change of what one may do."""

    def __init__(self, store: Store, slot: int, cost: Cost, changed: Callable[[], None]) -> None:
        self._store = store
        self._slot = slot
        self._cost = cost
        self.directory = Directory(store, slot, changed)
        self.credentials = Credentials(store, slot, self.directory)

    def exists(self, name: str) -> bool:
        return name in self.directory.officers

    def get(self, name: str) -> Officer:
        found = self.directory.officers.get(name)
        if found is None:
            there_are = ", ".join(sorted(self.directory.officers)) or "none"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"there is no officer {name}; there are: {there_are}", name)
        return found

    @property
    def _serial(self) -> bytes:
        return self._store.heads[self._slot].serial

    # -- what PKCS#11 has functions for

    def initialise(self, label: bytes, pin: bytes, record: Record) -> Secret:
        """C_InitToken: a new partition key under the SO's PIN; everything the partition held is gone."""
        may_be(pin)
        with self._store.transaction() as tx:
            key, (officer,) = put_first(tx, self._slot, label, {"so": pin}, self._cost)
            tx.audit(record)
        self.directory.load()
        self.credentials.believe(officer, pin, key)
        return key

    def init_pin(self, pin: bytes, key: Secret | None, holds: bool, record: Record) -> None:
        """C_InitPIN: ``user``, made with its roles where there is none, gets this PIN, which works at once. ``holds``:
        whether who asks has a copy of the partition key to give."""
        if self.exists("user"):
            self.reset_pin("user", pin, key, holds, record)
        else:
            self.create("user", pin, key, holds, record, roles=STANDARD["user"])

    def reset_pin(
        self, name: str, pin: bytes, key: Secret | None, holds: bool, record: Record, *, must_change: bool = False
    ) -> None:
        """Another one's PIN, which opens what who sets it can give away."""
        may_be(pin, self.directory.officers)
        officer = self.get(name)
        if not holds and officer.holds_key:
            words = "the Administrator keeps no copy of this partition's key, so a new PIN could open nothing"
            then = "and make it anew (adyton officer create); an officer whose PIN opens the keys approves it"
            raise TokenError(ck.CKR_FUNCTION_FAILED, f"{words}. Delete {name} {then}", "--no-admin-recovery")
        self._replace_pin(officer, pin, key if holds else None, record, must_change=must_change, waits=not holds)

    def set_pin(self, name: str, old: bytes, new: bytes, record: Record) -> None:
        """C_SetPIN, by the officer, whose PIN opens afterwards what it opened before."""
        may_be(new, self.directory.officers)
        officer = self.get(name)  # as it was before the check, which takes its time: see _replace_pin
        key = self.credentials.check(name, old)
        if officer.must_change and new == old:
            raise TokenError(ck.CKR_PIN_INVALID, "the PIN must be changed, and this is the one it was", name)
        # The old PIN is none any more where another request has replaced it meanwhile.
        self._replace_pin(officer, new, key, record, stale=ck.CKR_PIN_INCORRECT)

    def _replace_pin(
        self, officer: Officer, pin: bytes, key: Secret | None, record: Record, *, must_change: bool = False,
        waits: bool = False, stale: int = ck.CKR_FUNCTION_FAILED,
    ) -> None:
        """The same commit forgets wrong tries, which were another credential's. ``waits``: the officer has been let to
        keys, but not whoever knows this PIN. ``stale``: the code where the credential is another one by now; C_InitPIN
        has no nearer one in its list."""
        made = with_pin(officer, pin, key, self._serial, self._cost, copies=bool(officer.public))
        with self.directory.change() as change:
            # Argon2id took its time: who was disabled, deleted or lost its copy meanwhile gets nothing of it back.
            there = self.directory.officers.get(officer.name)
            if there is None or _credential(there) != _credential(officer):
                words = f"the credential of {officer.name} was changed by another request: nothing is changed by this"
                raise TokenError(stale, words, officer.name)
            made = there._replace(
                wrapped=made.wrapped, public=made.public, copy=made.copy, uid=-1, must_change=must_change,
                pending=there.pending or (waits and self.directory.was_given(there, OF_KEYS)),
                damaged=False, object_id=there.object_id or str(uuid.uuid4()),
            )
            if not there.wrapped:
                made = made._replace(counter=change.tx.free_counter())
            change.write(made)
            change.tx.audit(record)
        self.credentials.believe(made, pin, key)

    # -- logging in

    def spelling(self, officer: str, pin: bytes) -> tuple[str, bytes]:
        """``name:pin`` where an officer of that name exists, and then as nothing else."""
        name, colon, rest = pin.partition(b":")
        known = name.decode("ascii", "replace")
        return (known, rest) if colon and self.exists(known) else (officer, pin)

    def authenticate(self, user_type: int, name: str, pin: bytes | None, uid: int) -> Came:
        """C_Login's and C_LoginUser's question. ``pin`` None: the user of the machine that ``uid`` is."""
        standard = "so" if user_type == ck.CKU_SO else "user"
        if pin is None:
            name = self._bound(name, uid)
        elif not name:
            name, pin = self.spelling(standard, pin)
        self._may_come(name, user_type, standard)
        return self.prove(name, pin, uid)

    def prove(self, name: str, pin: bytes | None, uid: int) -> Came:
        """That whoever asks is this officer, by its credential."""
        if self.exists(name):
            calls.note().claimed = name
        why = self.directory.why_not(name)
        if why:
            raise TokenError(ck.CKR_PIN_LOCKED if self.exists(name) else ck.CKR_PIN_INCORRECT, why, name)
        officer = self.get(name)
        if pin is None:
            self._bound(name, uid)
            return Came(name, None, False)
        return Came(name, self.credentials.check(name, pin), officer.must_change)

    def may_initialise(self, pin: bytes, uid: int) -> str:
        """C_InitToken of a token that is initialised: by the SO's PIN, or that of an officer who may delete the
        partition, by name."""
        name, given = self.spelling("so", pin)
        self.prove(name, given, uid)
        if not self.directory.holds(name, PARTITION_DELETE):
            raise denial(name, PARTITION_DELETE, "", ck.CKR_PIN_INCORRECT)
        return name

    def prove_again(self, officer: str, name: str, pin: bytes | None, uid: int) -> None:
        """A context-specific login: by who is logged in, and by nobody else."""
        if pin is not None and not name:
            name, pin = self.spelling(officer, pin)
        if name and name != officer:
            raise TokenError(ck.CKR_PIN_INCORRECT, f"officer {officer} is logged in, and nobody else", officer)
        self.prove(officer, pin, uid)

    def _bound(self, name: str, uid: int) -> str:
        officer = self.directory.bound(uid)
        if officer is None or (name and officer.name != name):
            words = f"no PIN was given, and user {uid} of this machine is bound to no officer here"
            if officer is not None:
                words = f"no PIN was given for officer {name}: user {uid} of this machine is officer {officer.name}"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, words)
        return officer.name

    def _may_come(self, name: str, user_type: int, standard: str) -> None:
        if not self.exists(name):
            if name == standard:
                words = f"officer {name} has no PIN yet: the SO sets it by C_InitPIN. Other officers' PINs are name:pin"
                raise TokenError(ck.CKR_USER_PIN_NOT_INITIALIZED, words, name)
            # Not that name: it may be a PIN that was typed in the wrong place, and reasons go into the audit log.
            raise TokenError(ck.CKR_PIN_INCORRECT, "there is no officer of that name")
        if not self.directory.why_not(name) and not self.comes_as(name, user_type):
            refused, lacks, instead = "CKU_USER", "data actions on keys", "CKU_SO"
            if user_type == ck.CKU_SO:
                refused, lacks, instead = "CKU_SO", "role management", "CKU_USER"
            words = f"officer {name} does not log in as {refused}: its roles have no {lacks}. It does as {instead}"
            raise TokenError(ck.CKR_PIN_INCORRECT, words, name)

    def comes_as(self, name: str, user_type: int) -> bool:
        """CKU_SO is for role management. CKU_USER is for everybody else, and for who has data actions on keys too."""
        manages = self.directory.holds(name, ASSIGNMENTS_WRITE)
        if user_type == ck.CKU_SO:
            return manages or self.directory.officers[name].damaged
        return not manages or self.directory.held(name).any_of(OF_KEYS)

    def any_user(self) -> bool:
        """Whether anybody may log in as CKU_USER."""
        return any(
            not self.directory.why_not(name) and self.comes_as(name, ck.CKU_USER)
            for name, officer in list(self.directory.officers.items()) if not officer.damaged
        ) or self.directory.officers.get("user", Officer("")).damaged

    # -- by name

    def create(
        self, name: str, pin: bytes | None, key: Secret | None, holds: bool, record: Record, *,
        uid: int = -1, roles: Iterable[str] = (), expires: int = 0, must_change: bool = False,
    ) -> Officer:
        """A new officer, with a PIN or as a user of the machine. ``key`` and ``holds`` as for init_pin."""
        if not _NAME.fullmatch(name):
            words = "an officer's name has 1 to 64 letters, digits and any of . _ @ + -, and no sign at its beginning"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, words, name)
        if self.exists(name):
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"there is an officer {name} already", name)
        if uid > LAST_UID:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"a user number is {LAST_UID} at most", name)
        if pin is not None:
            may_be(pin, {*self.directory.officers, name})
        pending = not holds
        made = clock.microseconds()
        officer = Officer(name, str(uuid.uuid4()), created=made, expires=expires, pending=pending, uid=uid)
        if pin is not None:
            given = key if holds else None
            officer = with_pin(officer, pin, given, self._serial, self._cost)._replace(must_change=must_change)
        with self.directory.change() as change:
            if uid >= 0 and (other := self.directory.bound(uid)):
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"user {uid} is officer {other.name} already", name)
            if self.exists(name):  # another's request came in between
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"there is an officer {name} already", name)
            if pin is not None:
                officer = officer._replace(counter=change.tx.free_counter())
            change.write(officer)
            for role in roles:
                change.write(RoleAssignment(
                    str(uuid.uuid4()), officer.object_id, role, "/", made, record.get("officer", ""), pending
                ))
            self._drop_recovery(change, officer)
            change.tx.audit(record)
        if pin is not None:
            self.credentials.believe(officer, pin, key)
        return officer

    def _drop_recovery(self, change: Change, first: Officer) -> None:
        """Without Administrator recovery, the Administrator's copy goes when another officer has one."""
        so = self.directory.officers.get("so")
        if so is not None and so.copy and first.holds_key and not self._store.heads[self._slot].recovery:
            change.write(so._replace(copy=b""))

    def give_copy(self, officer: Officer, key: Secret) -> Officer:
        """The officer, let in by one who holds the key."""
        copy = officer.copy
        if officer.public:
            copy = sealing.seal_copy(officer.public, key, self._serial + b"/" + officer.name.encode())
        return officer._replace(pending=False, copy=copy)


def _credential(officer: Officer) -> tuple[object, ...]:
    return officer.object_id, officer.wrapped, officer.public, officer.copy, officer.uid


def put_first(
    tx: Transaction, slot: int, label: bytes, pins: dict[str, bytes], cost: Cost
) -> tuple[Secret, list[Officer]]:
    """Initialises a token together with its first officers, as part of a larger commit: the partition key, and they."""
    for pin in pins.values():
        may_be(pin)
    key = ARENA.random()
    tx.initialise(slot, label, key)
    recovery = tx.heads[slot].recovery
    made = []
    for name, pin in pins.items():
        officer = Officer(name, str(uuid.uuid4()), created=clock.microseconds(), counter=tx.free_counter())
        keeps = key if name != "so" or recovery or len(pins) == 1 else None
        officer = with_pin(officer, pin, keeps, tx.heads[slot].serial, cost, copies=name == "so" and not recovery)
        tx.put_record(slot, officer)
        for role in STANDARD[name]:
            tx.put_record(slot, RoleAssignment(str(uuid.uuid4()), officer.object_id, role, "/", clock.microseconds()))
        made.append(officer)
    return key, made
