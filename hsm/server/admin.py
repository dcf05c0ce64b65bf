"""The command line's door: acts on the pool and its partitions, as JSON over an application's control connection.

Who asks is found out here, by the connection's user of the machine and by an officer's credential; what it may do, and
the doing, are the acts' own (hsm/management). Acts on the engine itself stand here.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from hsm import __version__, clock
from hsm.access import roles
from hsm.access.quorum import Proposed
from hsm.application import Application
from hsm.audit import calls
from hsm.confinement import measures
from hsm.confinement.sweeping import SWEEPER
from hsm.errors import TokenError, code_name
from hsm.log import report
from hsm.management import domain, partitions, registry, terminal
from hsm.management.acts import ANYBODY, Act, Caller, Request, given, given_or, known, must_own
from hsm.mechanisms.rsa_check import WORKER
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.pool import Pool
    from hsm.server.listener import Listener


_WITH_PINS = frozenset({"pin", "new_pin", "so_pin"})  # of requests that leave something to be swept
LONGEST = 1 << 20  # bytes of a request: more than the longest role takes
_NOT_WELL_FORMED = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


def _status(listener: Listener, app: Application, request: Request) -> dict[str, Any]:
    pool = listener.pool
    damage = [
        f"{'the pool' if slot is None else f'partition {slot}'}: {words}"
        for slot, sentences in list(pool.store.damage.items()) for words in sentences
    ]
    guarded = _security(listener)
    return {
        "home": pool.home, "pid": os.getpid(), "uid": os.geteuid(), "version": __version__, "in_memory": pool.in_memory,
        "test_clock": clock.moment(clock.microseconds()) if clock.is_test() else None,
        "applications": listener.clients - 1, "write_protected": pool.store.write_protected,
        "security_domain": domain.describe(pool),
        "partitions": partitions.describe_all(pool), "damage": damage, "users": pool.users.status(app.uid),
        "limits": pool.users.limits._asdict(),
        "security": {"in_force": sum(row["in_force"] == measures.YES for row in guarded), "wanted": len(guarded)},
        "problems": measures.problems(guarded) + pool.audit.problems()
        + (listener.sinks.problems() if listener.sinks else []),
        "audit": {**pool.audit.status(), "sinks": listener.sinks.status() if listener.sinks else []},
    }


def _security(listener: Listener) -> list[dict[str, Any]]:
    """What keeps the engine to itself, the warden of key checks and the door among it."""
    warden, peers = WORKER.pid, listener.peers
    who = "whoever the socket's mode lets in" if peers is None else f"users {_listed(peers.uids)}"
    who += f" and groups {_listed(peers.gids)}" if peers is not None and peers.gids else ""
    return [
        *measures.look(),
        {"measure": "key checks", "wanted": "RSA keys from outside are checked in a process for each",
         "in_force": measures.YES if warden else measures.NO, "found": f"process {warden}" if warden else "it is gone",
         "known_by": "waitpid", "remedy": "" if warden else "adyton stop: the next engine has one", "ours": True},
        {"measure": "who may connect", "wanted": "users and groups that were named, known by their credentials",
         "in_force": measures.YES, "found": who, "known_by": "SO_PEERCRED; settings uids and gids", "remedy": "",
         "ours": True},
    ]


def _listed(numbers: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _tell_security(listener: Listener, app: Application, request: Request) -> dict[str, Any]:
    return {"measures": _security(listener)}


def _explain(listener: Listener, app: Application, request: Request) -> dict[str, Any]:
    """The caller's own applications' last refusals: same uid only."""
    pool = listener.pool
    with pool.lock:
        own = [a for a in pool.applications if a.uid == app.uid and a is not app] + [*pool.departed]
    rows = [{**row, "pid": a.pid} for a in own if a.uid == app.uid for row in list(a.refusals)]
    for row in rows:
        row["code"] = code_name(row["rv"])
        row.update(_denial(pool, row["subject"], row.pop("scope"), row.pop("officer"), row.pop("slot")))
    return {"refusals": sorted(rows, key=lambda row: float(row["time"]))[-32:]}


def _denial(pool: Pool, action: str, scope: str, officer: str, slot: int) -> dict[str, Any]:
    """What an officer has no role for, where, and the command that would give it one."""
    if not scope:
        return {}
    role = roles.least(action)
    told: dict[str, Any] = {"action": action, "scope": scope, "officer": officer or None, "remedy": None}
    if officer and role:
        several = len([there for there in list(pool.by_slot.values()) if there.initialised]) > 1
        where = f" --partition {slot}" if several and slot >= 0 else ""
        command = f"adyton role assignment create{where}"
        told["remedy"] = f'{command} --role "{role.role_name}" --assignee {officer} --scope {scope}'
    return told


def _stop(listener: Listener, app: Application, request: Request) -> dict[str, Any]:
    must_own(app)
    listener.leaving = True
    return {"pid": os.getpid()}


ON_THE_ENGINE: dict[str, Callable[[Listener, Application, Request], dict[str, Any]]] = {
    "status": _status, "security": _tell_security, "explain": _explain, "stop": _stop,
}


def _on_a_partition(listener: Listener, app: Application, request: Request) -> dict[str, Any]:
    """One of the acts' table, by the officer that the request names, whose credential is looked at first."""
    act = registry.ACTS.get(request.get("act", ""))
    if act is None:
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "this engine does not know that act; is it an older version?")
    pool = listener.pool
    partition = pool.partition(given(request, "slot", int)) if "slot" in request else None
    caller = Caller(pool, app, partition)
    name = given_or(request, "as", str, "")
    call = calls.CURRENT.call
    call.function, call.began, call.use, call.noted = act.name, perf_counter_ns(), None, True
    call.slot = partition.slot if partition is not None else -1
    opens = partition is not None and not partition.is_open
    try:
        if partition is not None and partition.initialised and act.asks != ANYBODY:
            caller = _authenticated(act, caller, name, request)
            call.officer = caller.officer
        answered = registry.perform(act, caller, request)
        opens = opens and partition is not None and partition.is_open
        # A change's own transaction has recorded that.
        if (opens or act.told) and act.asks != ANYBODY and not call.written:
            pool.audit.tell(call.entry(app, ck.CKR_OK))
        return answered
    except TokenError as refusal:
        told = refusal
        if name and partition is not None and not partition.officers.exists(name):
            # Not that name: it may be a PIN that was typed in the wrong place.
            told = TokenError(refusal.rv, "there is no officer of that name")
        pool.audit.tell_anyway(call.refused(app, None, refusal.rv, told))
        raise
    except Exception as fault:  # somebody's PIN may have been right before it
        pool.audit.tell_anyway(call.refused(app, None, *_fault(fault)))
        raise
    finally:
        call.function = ""
        call.clear()


def _authenticated(act: Act, caller: Caller, name: str, request: Request) -> Caller:
    """The caller with its officer: by a PIN; without one, by a login in its terminal session or as the user of the
    machine that it is. ``name`` overrides both of these; where nothing says who it is, nobody."""
    pin = given_or(request, "pin", str, None) if name else None
    if pin is None:
        known = terminal.logged_in(caller.app, caller.partition)
        if known and name in ("", known):
            return registry.prove_known(act, caller, known)
        bound = caller.partition.directory.bound(caller.app.uid)
        name = name or (bound.name if bound is not None else "")
    return registry.prove(act, caller, name, pin) if name else caller


def _fault(fault: Exception) -> tuple[int, TokenError]:
    """What is not well formed, or a fault of ours, as the refusal that it is."""
    rv, words = int(ck.CKR_DEVICE_ERROR), "a fault of the engine: its log says where"
    if isinstance(fault, _NOT_WELL_FORMED):
        rv, words = ck.CKR_ARGUMENTS_BAD, f"the request is not well formed: {type(fault).__name__}"
    return rv, TokenError(rv, words)


def answer(listener: Listener, app: Application, payload: bytes, descriptor: int | None = None) -> bytes:
    """The response body to one admin request: rv, then JSON. ``descriptor``: an open file that came with it."""
    rv, result = int(ck.CKR_OK), dict[str, Any]()
    request: Request = {}
    try:
        if len(payload) > LONGEST:
            raise ValueError("length")
        asked = json.loads(payload)
        if not isinstance(asked, dict):
            raise TypeError("request")
        request = asked
        known(request)
        request.pop("descriptor", None)  # a number of the caller's own would be a file of the engine's
        if descriptor is not None:
            request["descriptor"] = descriptor
        result = ON_THE_ENGINE.get(request.get("act", ""), _on_a_partition)(listener, app, request)
    except TokenError as refusal:
        rv, result = refusal.rv, {"error": refusal.reason, "rv": refusal.rv}
        slot = request.get("slot", -1)  # a number, or nothing would have been asked of a role
        result.update(_denial(listener.pool, refusal.subject, refusal.scope, refusal.officer, slot))
        if isinstance(refusal, Proposed):
            result["proposed"] = refusal.proposal.name
    except Exception as fault:  # as in dispatch: a fault of ours is answered, and prints no value
        if not isinstance(fault, _NOT_WELL_FORMED):
            report(fault)
        rv, told = _fault(fault)
        result = {"error": told.reason, "rv": rv}
    if not _WITH_PINS.isdisjoint(request):
        SWEEPER.ring()
    return struct.pack("<Q", rv) + json.dumps(result).encode()
