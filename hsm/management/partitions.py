"""Acts on the pool's partitions: make, list, set, delete."""

from __future__ import annotations

import os
from typing import Any

from hsm import clock
from hsm.access.credentials import TRIES
from hsm.access.kinds import KEY_LIMITS, KINDS
from hsm.access.profile import PROFILES
from hsm.access.quorum import DESTROY, KINDS_OF_ACTS, LONGEST_HOURS, MOST_OFFICERS, POLICY, RULE
from hsm.access.roles import PARTITION_DELETE, PARTITION_WRITE
from hsm.audit import calls
from hsm.errors import TokenError
from hsm.management.acts import ANYBODY, OFFICER, OWNER, Act, Caller, Request, given, given_or, under, wrong
from hsm.management.terminal import TERMINALS
from hsm.partitions import Partition
from hsm.pool import Form, Pool
from hsm.soft_delete import LONGEST, SHORTEST
from hsm.store.heads import Deletion, PartitionHead, Rule, Switches
from pkcs11_shim import constants as ck

_FURTHEST = 36525 * 86400  # seconds that a test clock moves at a time


def describe(partition: Partition) -> dict[str, Any]:
    return {
        "slot": partition.slot,
        "serial": partition.serial,
        "label": partition.label.rstrip(),
        "kind": partition.kind.name,
        "legacy": partition.legacy,
        "weak_token_keys": partition.switches.weak_token_keys,
        "profile": partition.switches.profile,
        "admin_recovery": partition.recovery,
        "retention_days": partition.deleted.retention,
        "purge_protection": partition.deleted.protected,
        "limits": partition.switches.limits,
        "initialised": partition.initialised,
        "user_pin": partition.has_user,
        "officers": len(partition.directory.officers),
        "quorum": _describe_rule(partition),
        "unattended": partition.unattended.is_on,
        "open": partition.is_open,
        "sessions": partition.sessions,
        "objects": len(partition.objects),
        "deleted_keys": len(partition.deleted.keys),
        "damaged": len(partition.damaged),
    }


def _describe_rule(partition: Partition) -> dict[str, Any] | None:
    """The two-person rule; ``awake``: whether there are, or ever were, as many Administrators as it takes."""
    rule = partition.quorum.rule
    if not rule.officers:
        return None
    return {
        "officers": rule.officers, "acts": list(rule.acts), "expiryHours": rule.hours,
        "awake": partition.quorum.covers(RULE), "proposals": len(partition.quorum.live()),
    }


def describe_all(pool: Pool) -> list[dict[str, Any]]:
    with pool.lock:
        return [describe(pool.by_slot[slot]) for slot in pool.slots()]


def _list(caller: Caller, request: Request) -> dict[str, Any]:
    return {"partitions": describe_all(caller.pool)}


def _create(caller: Caller, request: Request) -> dict[str, Any]:
    kind = given_or(request, "kind", str, "token")
    if kind not in KINDS:
        raise wrong(f"there is no kind {kind!r}; there are: {', '.join(KINDS)}", "kind")
    form = Form(
        kind, _switches(request, Switches(), kind), given_or(request, "admin_recovery", bool, True),
        _rule(request, Rule()) or Rule(), _retention(request, kind, caller.pool.in_memory),
    )
    if form.switches.purge_protection and not form.retention:
        raise wrong("purge protection is of what can be recovered: give retention_days too", "purge_protection")
    if "label" not in request:
        return {"partition": describe(caller.pool.create_partition(caller.app, form))}
    label, pins = _label(request), {"so": given(request, "so_pin", str).encode()}
    if request.get("pin") is not None:
        pins["user"] = given(request, "pin", str).encode()
    elif not KINDS[kind].guarded:
        raise KeyError("pin")
    return {"partition": describe(caller.pool.create_token(caller.app, form, label, pins))}


def _retention(request: Request, kind: str, in_memory: bool) -> int:
    """A managed HSM always has one, but for a throw-away one, whose names tests use again and again."""
    days: int = given_or(request, "retention_days", int, KINDS[kind].retention)
    may_have_none = in_memory or not KINDS[kind].guarded
    if not (SHORTEST <= days <= LONGEST or (days == 0 and may_have_none)):
        none = ", or 0 for none" if may_have_none else ""
        raise wrong(f"what is deleted can be recovered for {SHORTEST} to {LONGEST} days{none}", "retention_days")
    return days


def _label(request: Request) -> bytes:
    label: bytes = given(request, "label", str).encode()
    if len(label) > 32:
        raise wrong(f"a label has 32 bytes at most, this one {len(label)}")
    return label


def _switches(request: Request, before: Switches, kind: str) -> Switches:
    """What is asked for; what is not said stays as it was."""
    asked = Switches(
        given_or(request, "legacy", bool, before.legacy),
        given_or(request, "weak_token_keys", bool, before.weak_token_keys),
        given_or(request, "profile", str, before.profile),
        given_or(request, "purge_protection", bool, before.purge_protection),
        given_or(request, "limits", str, before.limits),
    )
    if before.purge_protection and not asked.purge_protection:
        raise wrong("purge protection is on, and can't be turned off", "purge_protection")
    if asked.limits not in KEY_LIMITS:
        raise wrong(f"there are no limits {asked.limits!r}; there are: {', '.join(KEY_LIMITS)}", "limits")
    if asked.profile not in PROFILES:
        raise wrong(f"there is no profile {asked.profile!r}; there are: {', '.join(PROFILES)}", "profile")
    if KINDS[kind].guarded and (asked.weak_token_keys or asked.profile != Switches().profile):
        raise wrong(f"a partition of the kind {kind} is strict, and has no weak keys", "profile")
    return asked


def _set(caller: Caller, request: Request) -> dict[str, Any]:
    """Allowing what is weaker is up to the partition's Administrator, like what destroys keys."""
    _by_administrator(caller, PARTITION_WRITE)
    partition, quorum = caller.partition, caller.partition.quorum
    said = [name for name in Switches._fields if request.get(name) is not None]
    switches = _switches(request, partition.switches, partition.kind.name) if said else None
    if switches is not None and switches.purge_protection and not partition.deleted.retention:
        words = "the partition has no retention: what is deleted there is gone, and there is nothing to protect"
        raise wrong(words, "purge_protection")
    rule = _rule(request, quorum.rule)
    if switches is None and rule is None:
        raise wrong("nothing is to be set: give a switch, limits or a rule")
    if rule is not None and quorum.rule.awake and not quorum.can_be(rule.officers):
        words = f"there are {len(quorum.governors())} Administrators, fewer than that rule takes: make others first"
        raise wrong(words, "quorum")
    told = {name: _in_words(getattr(switches, name)) for name in said}
    if rule is not None:
        told |= {"quorum": str(rule.officers), "acts": " ".join(rule.acts), "hours": str(rule.hours)}
    caller.pool.set(partition.slot, switches, rule, caller.record("partition-set", **told))
    return {"partition": describe(partition)}


def _in_words(switch: bool | str) -> str:
    return switch if isinstance(switch, str) else "on" if switch else "off"


def _rule(request: Request, before: Rule) -> Rule | None:
    """The rule that is asked for; what is not said stays as it was, or is for everything. None where nothing is."""
    if all(request.get(field) is None for field in ("quorum", "quorum_acts", "quorum_expiry")):
        return None
    officers = given_or(request, "quorum", int, before.officers)
    acts = given_or(request, "quorum_acts", list, list(before.acts or KINDS_OF_ACTS))
    hours = given_or(request, "quorum_expiry", int, before.hours)
    if officers == 0 and request.get("quorum") is not None:
        return Rule()
    if not 2 <= officers <= MOST_OFFICERS:
        raise wrong(f"a quorum is of 2 to {MOST_OFFICERS} officers, or 0 for none", "quorum")
    if not acts or any(act not in KINDS_OF_ACTS for act in acts):
        raise wrong(f"a quorum is for acts of these kinds: {', '.join(KINDS_OF_ACTS)}", "quorum_acts")
    if not 1 <= hours <= LONGEST_HOURS:
        raise wrong(f"a proposal stands for 1 to {LONGEST_HOURS} hours", "quorum_expiry")
    return Rule(officers, tuple(kind for kind in KINDS_OF_ACTS if kind in acts), hours)


def _delete(caller: Caller, request: Request) -> dict[str, Any]:
    """Deleting destroys keys: its Administrator has to agree, if there is one who still can."""
    _by_administrator(caller, PARTITION_DELETE)
    caller.pool.delete_partition(caller.app, caller.partition.slot, caller.record("partition-delete"))
    return {}


def _describe_deleted(head: PartitionHead, deleted: Deletion, now: int) -> dict[str, Any]:
    return {
        "slot": head.slot, "serial": head.serial.decode(), "label": head.label.decode("utf-8", "replace").rstrip(),
        "kind": head.kind.decode(), "purge_protection": head.switches.purge_protection,
        "recoverableDays": head.retention, "scheduledPurgeDate": int(clock.now()) + (deleted.purge - now) // 1_000_000,
    }


def _list_deleted(caller: Caller, request: Request) -> dict[str, Any]:
    now, heads = caller.pool.store.time.now(), caller.pool.deleted().values()
    return {"partitions": [_describe_deleted(head, head.deleted, now) for head in heads if head.deleted is not None]}


def _recover(caller: Caller, request: Request) -> dict[str, Any]:
    slot = given(request, "only", int)
    record = {**_of_nobody(caller, "partition-recover"), "slot": str(slot)}
    return {"partition": describe(caller.pool.recover_partition(caller.app, slot, record))}


def _purge(caller: Caller, request: Request) -> dict[str, Any]:
    """By the pool's owner: its Administrators had to agree when it was deleted."""
    slot = given(request, "only", int)
    caller.pool.purge_partition(slot, {**_of_nobody(caller, "partition-purge"), "slot": str(slot)})
    return {}


def _of_nobody(caller: Caller, what: str) -> dict[str, str]:
    return {"act": what, "officer": "", "pid": str(caller.app.pid), "uid": str(caller.app.uid)}


def _clock_show(caller: Caller, request: Request) -> dict[str, Any]:
    return {"now": clock.moment(clock.microseconds()), "test_clock": clock.is_test()}


def _clock_advance(caller: Caller, request: Request) -> dict[str, Any]:
    """What falls due by it is done before this is answered."""
    seconds = given(request, "seconds", int)
    if not 0 < seconds <= _FURTHEST:
        raise wrong(f"a test clock moves forward, by {_FURTHEST // 86400} days at most", "seconds")
    caller.pool.store.move_clock(seconds * 1_000_000, {**_of_nobody(caller, "clock-advance"), "seconds": str(seconds)})
    caller.pool.epoch.bump()
    caller.pool.upkeep.look()
    return _clock_show(caller, request)


def _by_administrator(caller: Caller, action: str) -> None:
    """A token that nobody has initialised has none; and where all are locked out, the pool's owner is left."""
    partition = caller.partition
    if not partition.initialised or caller.holds(action):
        return
    credentials = partition.officers.credentials
    left = [
        name for name, officer in partition.directory.officers.items()
        if partition.directory.holds(name, action) and not officer.damaged and credentials.failures(name) < TRIES
    ]
    if left:
        words = f"this needs an officer with {action}: give --as and the PIN of {' or '.join(sorted(left))}"
        raise TokenError(ck.CKR_ACTION_PROHIBITED, words, action, scope="/", officer=caller.officer)


def _unattended(caller: Caller, request: Request) -> dict[str, Any]:
    """By an officer with a copy of the partition key: whoever reads the key file has one too, in effect. Off by any
    Administrator as well."""
    partition, path = caller.partition, given_or(request, "key_file", str, "")
    if path or not caller.holds(PARTITION_WRITE):
        caller.must_have_copy()
    if not path and not partition.unattended.is_on:
        raise wrong("unattended unsealing is off already")
    descriptor = given_or(request, "descriptor", int, -1)
    if path and descriptor < 0:
        raise wrong("a key file comes open with the request, as adyton partition unattended sends it", "descriptor")
    record = caller.record("partition-unattended", state="on" if path else "off", **({"keyFile": path} if path else {}))
    partition.unattend(path, descriptor, record)
    return {"partition": describe(partition), "key_file": path or None}


def seal(partition: Partition) -> bool:
    """Nobody is logged in any more, in programs or terminals, and the engine has no key of the partition."""
    TERMINALS.end(partition)
    return partition.seal()


def _seal(caller: Caller, request: Request) -> dict[str, Any]:
    """By the pool's owner, who can end the engine too."""
    if not caller.partition.initialised:
        raise wrong("the token is not initialised: there is nothing to seal")
    was_open = seal(caller.partition)
    return {"partition": describe(caller.partition), "was_open": was_open}


def seal_quiet(pool: Pool, seconds: float, since: dict[Partition, float], now: float) -> None:
    """Seals the partitions that are open and where nobody has been logged in for so long. ``since`` when each is quiet,
    kept from one look to the next."""
    with pool.lock:
        there = list(pool.by_slot.values())
    quiet = {partition: since.get(partition, now) for partition in there if partition.is_open and partition.is_quiet}
    since.clear()
    since.update(quiet)
    for partition, began in quiet.items():
        if now - began >= seconds and seal(partition):
            record = {"act": "partition-seal", "officer": "", "slot": str(partition.slot), "why": "seal-after"}
            pool.audit.tell_anyway(calls.change({**record, "pid": str(os.getpid()), "uid": str(os.geteuid())}, ()))


def _init(caller: Caller, request: Request) -> dict[str, Any]:
    """Initialises a token and its user PIN in one act (what adyton run needs)."""
    partition = caller.partition
    so_pin, pin = given(request, "so_pin", str).encode(), given(request, "pin", str).encode()
    partition.initialise(caller.app, so_pin, _label(request))
    partition.init_pin(caller.app, "so", pin)
    return {"partition": describe(partition)}


ACTS = (
    Act("partition-create", OWNER, _create, owners=True),
    Act("partition-list", ANYBODY, _list),
    Act("partition-set", OWNER, _set, owners=True, second=under(RULE, PARTITION_WRITE)),
    Act("partition-delete", OWNER, _delete, owners=True, second=under(DESTROY, PARTITION_DELETE)),
    Act("partition-list-deleted", OWNER, _list_deleted, owners=True),
    Act("partition-recover", OWNER, _recover, owners=True),
    Act("partition-purge", OWNER, _purge, owners=True),
    Act("clock-show", ANYBODY, _clock_show),
    Act("clock-advance", OWNER, _clock_advance, owners=True),
    Act("partition-unattended", OFFICER, _unattended, owners=True, second=under(POLICY, PARTITION_WRITE)),
    Act("partition-seal", OWNER, _seal, owners=True),
    Act("init", OWNER, _init, owners=True),
)
