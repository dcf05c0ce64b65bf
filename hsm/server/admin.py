"""The command line's door: acts on the pool, as JSON over an application's control connection.

Pool acts need the OS user that owns the pool (or root); the listener has checked the peer's uid already, and the
answers carry nothing that a caller may not know.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hsm import __version__
from hsm.application import Application
from hsm.errors import TokenError, code_name
from hsm.log import report
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.partitions import Partition
    from hsm.server.listener import Listener


def _given(request: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """A field of the request, of just this type: a PIN is text, never what JSON's null would be written as."""
    value = request[name]
    if type(value) is not kind:
        raise TypeError(name)
    return value


def _describe(partition: Partition) -> dict[str, Any]:
    return {
        "slot": partition.slot,
        "serial": partition.serial,
        "label": partition.label.rstrip(),
        "kind": partition.kind,
        "legacy": partition.legacy,
        "initialised": partition.initialised,
        "user_pin": partition.has_user,
        "open": partition.is_open,
        "sessions": partition.sessions,
        "objects": len(partition.objects),
        "damaged": len(partition.damaged),
    }


def _status(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    pool = listener.pool
    with pool.lock:
        partitions = [_describe(pool.by_slot[slot]) for slot in pool.slots()]
    damage = [
        f"{'the pool' if slot is None else f'partition {slot}'}: {words}"
        for slot, sentences in list(pool.store.damage.items()) for words in sentences
    ]
    return {
        "home": pool.home, "pid": os.getpid(), "version": __version__, "in_memory": pool.in_memory,
        "applications": listener.clients - 1, "write_protected": pool.store.write_protected,
        "partitions": partitions, "damage": damage,
    }


def _list(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    return {"partitions": _status(listener, app, request)["partitions"]}


def _create(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    legacy = _given(request, "legacy", bool) if "legacy" in request else False
    if "label" not in request:
        return {"partition": _describe(listener.pool.create_partition(app, legacy))}
    return {"partition": _describe(listener.pool.create_token(app, *_credentials(request), legacy))}


def _credentials(request: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """Label, SO PIN, user PIN."""
    label = _given(request, "label", str).encode()
    if len(label) > 32:
        raise TokenError(ck.CKR_ARGUMENTS_BAD, f"a label has 32 bytes at most, this one {len(label)}")
    return label, _given(request, "so_pin", str).encode(), _given(request, "pin", str).encode()


def _set(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    """Allowing what is weaker is up to the partition's Administrator, like what destroys keys."""
    partition = listener.pool.partition(_given(request, "slot", int))
    on = _given(request, "legacy", bool)
    if partition.initialised:
        partition.credentials.check("so", _given(request, "so_pin", str).encode())
    listener.pool.switch_legacy(app, partition.slot, on)
    return {"partition": _describe(partition)}


def _delete(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    """Deleting destroys keys: its Administrator has to agree."""
    partition = listener.pool.partition(_given(request, "slot", int))
    if partition.initialised:
        partition.credentials.check("so", _given(request, "so_pin", str).encode())
    listener.pool.delete_partition(app, partition.slot)
    return {}


def _init(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    """Initialises a token and its user PIN in one act (what adyton run needs)."""
    partition = listener.pool.partition(_given(request, "slot", int))
    label, so_pin, pin = _credentials(request)
    partition.initialise(app, so_pin, label)
    partition.init_pin(app, pin)
    return {"partition": _describe(partition)}


def _explain(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    """The caller's own applications' last refusals: same uid only."""
    pool = listener.pool
    with pool.lock:
        own = [a for a in pool.applications if a.uid == app.uid and a is not app] + [*pool.departed]
    rows = [{**row, "pid": a.pid} for a in own if a.uid == app.uid for row in list(a.refusals)]
    for row in rows:
        row["code"] = code_name(row["rv"])
    return {"refusals": sorted(rows, key=lambda row: float(row["time"]))[-32:]}


def _stop(listener: Listener, app: Application, request: dict[str, Any]) -> dict[str, Any]:
    listener.leaving = True
    return {"pid": os.getpid()}


# Acts on the pool itself: for its owner and root. The others tell a caller what it may know anyway.
OF_THE_OWNER = ("partition-create", "partition-set", "partition-delete", "init", "stop")
ACTS: dict[str, Callable[[Listener, Application, dict[str, Any]], dict[str, Any]]] = {
    "status": _status, "partition-list": _list, "partition-create": _create, "partition-set": _set,
    "partition-delete": _delete, "init": _init, "explain": _explain, "stop": _stop,
}


def answer(listener: Listener, app: Application, payload: bytes) -> bytes:
    """The response body to one admin request: rv, then JSON."""
    rv, result = int(ck.CKR_OK), {}
    try:
        request = json.loads(payload)
        act = ACTS.get(request.get("act", "")) if isinstance(request, dict) else None
        if act is None:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, "this engine does not know that act; is it an older version?")
        if request["act"] in OF_THE_OWNER and app.uid not in (0, os.geteuid()):
            raise TokenError(ck.CKR_FUNCTION_REJECTED, "only the user who owns the pool, or root, may do this")
        result = act(listener, app, request)
    except TokenError as refusal:
        rv, result = refusal.rv, {"error": refusal.reason, "rv": refusal.rv}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as fault:
        words = f"the request is not well formed: {type(fault).__name__}"
        rv, result = ck.CKR_ARGUMENTS_BAD, {"error": words, "rv": ck.CKR_ARGUMENTS_BAD}
    except Exception as fault:  # as in dispatch: a fault of ours is answered, and prints no value
        report(fault)
        rv, result = ck.CKR_DEVICE_ERROR, {"error": "a fault of the engine: its log says where"}
    return struct.pack("<Q", rv) + json.dumps(result).encode()
