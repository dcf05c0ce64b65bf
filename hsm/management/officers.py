"""Acts on officers: make, show, change, approve, delete, PINs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hsm import clock
from hsm.access.credentials import TRIES
from hsm.access.directory import WHOLE
from hsm.access.quorum import POLICY
from hsm.access.roles import ADMINISTRATOR, OFFICERS_DELETE, OFFICERS_READ, OFFICERS_WRITE
from hsm.errors import TokenError
from hsm.management.acts import OFFICER, Act, Caller, Request, Second, given, given_or, under, wrong
from hsm.management.terminal import TERMINALS
from hsm.partitions import Partition
from hsm.store.records import Officer, RoleAssignment
from pkcs11_shim import constants as ck


def describe(partition: Partition, officer: Officer) -> dict[str, Any]:
    """Times are seconds since the epoch."""
    directory, credentials = partition.directory, partition.officers.credentials
    roles = [
        {"roleName": definition.role_name, "scope": assignment.scope, "pending": assignment.pending}
        for assignment in directory.assignments_of(officer)
        if (definition := directory.definition(assignment.role))
    ]
    return {
        "name": officer.name, "objectId": officer.object_id, "enabled": officer.enabled, "pending": officer.pending,
        "credential": "damaged" if officer.damaged else "uid" if officer.uid >= 0 else "pin",
        "uid": officer.uid if officer.uid >= 0 else None,
        "opens": officer.holds_key, "failures": credentials.failures(officer.name),
        "locked": credentials.failures(officer.name) >= TRIES, "mustChange": officer.must_change,
        "expires": officer.expires / 1e6 if officer.expires else None,
        "created": officer.created / 1e6 if officer.created else None, "roles": roles,
    }


def _told(caller: Caller, name: str) -> dict[str, Any]:
    return {"officer": describe(caller.partition, caller.partition.officers.get(name))}


def _create(caller: Caller, request: Request) -> dict[str, Any]:
    name, uid = given(request, "name", str), given_or(request, "uid", int, -1)
    pin = given_or(request, "new_pin", str, None)
    if (pin is None) == (uid < 0):
        raise wrong("an officer has a PIN, or is a user of the machine: give one of the two")
    partition = caller.partition
    if pin is not None:
        _may_give(partition)
    partition.officers.create(
        name, None if pin is None else pin.encode(), partition.key, caller.gives_keys,
        caller.record("officer-create", subject=name), uid=uid, expires=_expiry(request),
        must_change=given_or(request, "must_change", bool, False),
    )
    return _told(caller, name)


def _may_give(partition: Partition) -> None:
    """Who gives a PIN gives a copy of the partition key with it, unless that is for another officer to approve."""
    if partition.recovery and not partition.is_open:
        raise wrong("the partition is sealed: a new PIN could open nothing. Let an officer log in by a PIN first")


def _expiry(request: Request) -> int:
    """Microseconds since the epoch; 0 is never."""
    if request.get("expires_in") is not None:
        span = int(given(request, "expires_in", int))
        if not 0 < span < 1e11:
            raise wrong("that time has passed already, or is too far away")
        return clock.microseconds() + span * 1_000_000
    seconds = request.get("expires")
    if seconds is None:
        return 0
    if type(seconds) not in (int, float) or not 0 <= seconds < 1e11:
        raise wrong("a time of expiry is seconds since the epoch, or null; expires_in is seconds from now")
    if seconds * 1e6 <= clock.microseconds():
        raise wrong("that time has passed already")
    return int(seconds * 1e6)


def _list(caller: Caller, request: Request) -> dict[str, Any]:
    partition = caller.partition
    officers = sorted(partition.directory.officers.values(), key=lambda officer: (officer.created, officer.name))
    return {"officers": [describe(partition, officer) for officer in officers]}


def _show(caller: Caller, request: Request) -> dict[str, Any]:
    return _told(caller, given(request, "name", str))


def _update(caller: Caller, request: Request) -> dict[str, Any]:
    partition, name = caller.partition, given(request, "name", str)
    with partition.directory.change() as change:
        officer = partition.officers.get(name)
        enabled = given_or(request, "enabled", bool, officer.enabled)
        expires = _expiry(request) if {"expires", "expires_in"} & request.keys() else officer.expires
        if not enabled or expires:
            administrator_must_stay(partition, without=officer)
        change.write(officer._replace(enabled=enabled, expires=expires))
        told = "enabled" if enabled else "disabled"
        change.tx.audit(caller.record("officer-update", subject=name, state=told, expires=str(expires // 1_000_000)))
    if not enabled:
        _log_out(partition, name)
    return _told(caller, name)


def administrator_must_stay(
    partition: Partition, *, without: Officer | None = None, without_assignment: RoleAssignment | None = None
) -> None:
    """Azure has a directory's administrators to come back by; a partition without an Administrator has nobody. Where
    it takes several officers to change anything, it takes them all."""
    directory, rule = partition.directory, partition.quorum.rule
    there = {
        (officer.name, assignment.name)
        for officer in directory.officers.values()
        if not (officer.expires or directory.why_not(officer.name) or officer.damaged)
        for assignment in directory.assignments_of(officer)
        if assignment.role == ADMINISTRATOR and assignment.scope in WHOLE and not assignment.pending
    }
    gone = {without.name if without else "", without_assignment.name if without_assignment else ""}
    stay = {(officer, assignment) for officer, assignment in there if officer not in gone and assignment not in gone}
    needed, left = rule.officers if rule.awake else 1, len({officer for officer, _ in stay})
    if stay == there or left >= needed:
        return
    words = "that would leave the partition without an Administrator who stays one: assign that role to another first"
    if left:
        words = f"the partition's rule takes {needed} officers, and that would leave {left} who stays Administrator: " \
            "assign that role to another first"
    raise TokenError(ck.CKR_ACTION_PROHIBITED, words, "Managed HSM Administrator")


def _waits(caller: Caller, name: str) -> tuple[Officer, list[RoleAssignment], dict[str, Any]]:
    """The officer that waits and its assignments that do, and what an approver gets to see of them: ``seen`` tells
    officer, credential, scopes and what the roles permit, so that nobody approves what came after he looked."""
    directory = caller.partition.directory
    caller.must_have_copy()
    if caller.officer == name:
        raise TokenError(ck.CKR_ACTION_PROHIBITED, "nobody approves what is given to oneself", name)
    officer = caller.partition.officers.get(name)
    waiting = [assignment for assignment in directory.assignments_of(officer) if assignment.pending]
    if not officer.pending and not waiting:
        raise wrong(f"nothing of officer {name} waits for approval", name)
    given_to = [(a, role) for a in directory.assignments_of(officer) if (role := directory.definition(a.role))]
    told = [[a.name, a.scope, a.pending, role.role_name, sorted(role.permits)] for a, role in given_to]
    credential = [officer.object_id, officer.pending, officer.uid, hashlib.sha256(officer.wrapped).hexdigest()]
    seen = hashlib.sha256(json.dumps([credential, sorted(told)]).encode()).hexdigest()
    return officer, waiting, {"officer": describe(caller.partition, officer), "seen": seen}


def _waiting(caller: Caller, request: Request) -> dict[str, Any]:
    return _waits(caller, given(request, "name", str))[2]


def _approve(caller: Caller, request: Request) -> dict[str, Any]:
    """By an officer with a copy of the partition key, for an officer and its assignments that wait: as they were
    ``seen``, what officer-waiting told."""
    partition, name, seen = caller.partition, given(request, "name", str), given(request, "seen", str)
    with partition.directory.change() as change:
        officer, waiting, told = _waits(caller, name)
        if told["seen"] != seen:
            raise wrong(f"what waits of officer {name} is not what you have seen any more: look at it again", name)
        change.write(partition.officers.give_copy(officer, partition.opened()))
        for assignment in waiting:
            change.write(assignment._replace(pending=False))
        change.tx.audit(caller.record("officer-approve", subject=name, assignments=str(len(waiting))))
    return _told(caller, name)


def _delete(caller: Caller, request: Request) -> dict[str, Any]:
    partition, name = caller.partition, given(request, "name", str)
    if name == "so":
        raise wrong("so is the token's own security officer: disable it, once another is Administrator", name)
    with partition.directory.change() as change:
        officer = partition.officers.get(name)
        administrator_must_stay(partition, without=officer)
        if not any(other.holds_key for other in partition.directory.officers.values() if other.name != name):
            words = f"no other PIN than that of {name} opens the partition: its keys would be lost"
            raise TokenError(ck.CKR_ACTION_PROHIBITED, words, name)
        for assignment in partition.directory.assignments_of(officer):
            change.drop(assignment)
        change.drop(officer)
        change.tx.audit(caller.record("officer-delete", subject=name))
    _log_out(partition, name)
    return {"deleted": name}


def _log_out(partition: Partition, name: str) -> None:
    partition.end_logins(name)
    TERMINALS.end(partition, name)


def _set_pin(caller: Caller, request: Request) -> dict[str, Any]:
    """One's own by the PIN that proved who asks; anybody else's as an Administrator."""
    partition, name = caller.partition, given(request, "name", str)
    pin = given(request, "new_pin", str).encode()
    if name == caller.officer and partition.officers.get(name).wrapped:
        if request.get("pin") is None:
            raise wrong("a PIN of one's own is changed by the one it was: give that too", name)
        old = given(request, "pin", str).encode()
        partition.officers.set_pin(name, old, pin, caller.record("officer-set-pin", subject=name))
        caller.app.pin_changed(partition, name)
        return _told(caller, name)
    caller.must_hold(OFFICERS_WRITE)
    _may_give(partition)
    partition.officers.reset_pin(
        name, pin, partition.key, caller.gives_keys, caller.record("officer-set-pin", subject=name),
        must_change=given_or(request, "must_change", bool, False),
    )
    return _told(caller, name)


def _unlock(caller: Caller, request: Request) -> dict[str, Any]:
    partition, name = caller.partition, given(request, "name", str)
    officer = partition.officers.get(name)
    with partition.directory.change() as change:
        change.tx.audit(caller.record("officer-unlock", subject=name))
    partition.officers.credentials.forgive(officer)
    return _told(caller, name)


def _second_for_pin(caller: Caller, request: Request) -> Second | None:
    """One's own PIN is one's own matter; by a PIN that is set for another, one acts in that one's name."""
    own = request.get("name") == caller.officer
    return None if own or not caller.holds(OFFICERS_WRITE) else Second(POLICY, OFFICERS_WRITE)


ACTS = (
    Act("officer-create", OFFICERS_WRITE, _create, second=under(POLICY, OFFICERS_WRITE)),
    Act("officer-list", OFFICERS_READ, _list),
    Act("officer-show", OFFICERS_READ, _show),
    Act("officer-update", OFFICERS_WRITE, _update, second=under(POLICY, OFFICERS_WRITE)),
    Act("officer-waiting", OFFICER, _waiting),
    Act("officer-approve", OFFICER, _approve),
    Act("officer-delete", OFFICERS_DELETE, _delete, second=under(POLICY, OFFICERS_DELETE)),
    Act("officer-set-pin", OFFICER, _set_pin, second=_second_for_pin),
    Act("officer-unlock", OFFICERS_WRITE, _unlock, second=under(POLICY, OFFICERS_WRITE)),
)
