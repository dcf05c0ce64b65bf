"""Acts on the pool's partitions: make, list, set, delete."""

from __future__ import annotations

from typing import Any

from hsm.access.credentials import TRIES
from hsm.access.kinds import KINDS
from hsm.access.roles import PARTITION_DELETE, PARTITION_WRITE
from hsm.errors import TokenError
from hsm.management.acts import ANYBODY, OWNER, Act, Caller, Request, given, given_or, wrong
from hsm.partitions import Partition
from hsm.pool import Form, Pool
from pkcs11_shim import constants as ck


def describe(partition: Partition) -> dict[str, Any]:
    return {
        "slot": partition.slot,
        "serial": partition.serial,
        "label": partition.label.rstrip(),
        "kind": partition.kind.name,
        "legacy": partition.legacy,
        "admin_recovery": partition.recovery,
        "initialised": partition.initialised,
        "user_pin": partition.has_user,
        "officers": len(partition.directory.officers),
        "open": partition.is_open,
        "sessions": partition.sessions,
        "objects": len(partition.objects),
        "damaged": len(partition.damaged),
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
    form = Form(kind, given_or(request, "legacy", bool, False), given_or(request, "admin_recovery", bool, True))
    if "label" not in request:
        return {"partition": describe(caller.pool.create_partition(caller.app, form))}
    label, pins = _label(request), {"so": given(request, "so_pin", str).encode()}
    if request.get("pin") is not None:
        pins["user"] = given(request, "pin", str).encode()
    elif not KINDS[kind].guarded:
        raise KeyError("pin")
    return {"partition": describe(caller.pool.create_token(caller.app, form, label, pins))}


def _label(request: Request) -> bytes:
    label: bytes = given(request, "label", str).encode()
    if len(label) > 32:
        raise wrong(f"a label has 32 bytes at most, this one {len(label)}")
    return label


def _set(caller: Caller, request: Request) -> dict[str, Any]:
    """Allowing what is weaker is up to the partition's Administrator, like what destroys keys."""
    _by_administrator(caller, PARTITION_WRITE)
    on = given(request, "legacy", bool)
    caller.pool.switch_legacy(caller.record("partition-set", legacy="on" if on else "off"), caller.partition.slot, on)
    return {"partition": describe(caller.partition)}


def _delete(caller: Caller, request: Request) -> dict[str, Any]:
    """Deleting destroys keys: its Administrator has to agree, if there is one who still can."""
    _by_administrator(caller, PARTITION_DELETE)
    caller.pool.delete_partition(caller.app, caller.partition.slot, caller.record("partition-delete"))
    return {}


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
    Act("partition-set", OWNER, _set, owners=True),
    Act("partition-delete", OWNER, _delete, owners=True),
    Act("init", OWNER, _init, owners=True),
)
