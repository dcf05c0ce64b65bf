"""Acts on proposals, and how any act becomes one: the two-person rule (hsm/access/quorum.py) at the doors."""

from __future__ import annotations

import json
from typing import Any

from hsm.access.quorum import Asked
from hsm.access.roles import AUDIT_READ, OFFICERS_READ, scope_of
from hsm.management import roles
from hsm.management.acts import OFFICER, OWNER, Act, Caller, Request, given, wrong
from hsm.partitions import Partition
from hsm.store.records import Proposal

# What is the door's, and what nobody else gets to see: of a new PIN they see that there is one.
_OF_THE_DOOR = ("act", "slot", "as", "pin", "so_pin", "descriptor")
_LONGEST = 256 << 10  # of a request that is kept; a role definition is the longest there is


def ask(act: Act, caller: Caller, request: Request) -> Proposal | None:
    """The approved proposal by which this act may be done; None where it takes one officer only. Else it is proposed:
    that is raised."""
    second = act.second(caller, request)
    if second is None or not caller.partition.quorum.covers(second.kind):
        return None
    partition, key = caller.partition, act.scope(request)
    if act.asks == OWNER and caller.officer:
        caller.must_hold(second.action, key)
    told = {name: value for name, value in request.items() if name not in _OF_THE_DOOR}
    if told.get("new_pin") is not None:
        told["new_pin"] = "a new PIN"
    if len(json.dumps(told)) > _LONGEST:
        raise wrong("the request is longer than what a proposal keeps")
    asked = Asked(second.kind, act.name, second.action, key, told, _as_they_are(caller, told))
    return partition.quorum.ask(asked, caller.officer, caller.record("proposal-create"))


def _as_they_are(caller: Caller, told: Request) -> bytes:
    """Officers, roles and assignments that the request names, as they are now; of an officer, what others decide."""
    directory, things = caller.partition.directory, list[object]()
    for text in (value for value in told.values() if isinstance(value, str)):
        officer = directory.officers.get(text) or directory.principal(text.lower())
        if officer is not None:
            things.append([officer.object_id, officer.enabled, officer.pending, officer.expires, officer.uid])
        things.append(roles.role_of(directory, text))
        things.append(roles.assignment_of(directory, text))
    return json.dumps(things).encode()


def describe(partition: Partition, proposal: Proposal) -> dict[str, Any]:
    """Times are seconds since the epoch."""
    quorum = partition.quorum
    needed = quorum.rule.officers - 1
    return {
        "id": proposal.name, "act": proposal.act, "kind": proposal.kind, "request": json.loads(proposal.told),
        "proposedBy": quorum.name_of(proposal.proposer), "dataAction": proposal.action,
        "scope": scope_of(proposal.key), "created": proposal.created / 1e6,
        "expires": proposal.expires / 1e6, "approvedBy": list(map(quorum.name_of, proposal.approvals)),
        "needed": needed, "approved": len(proposal.approvals) >= needed,
    }


def _concerns(caller: Caller, proposal: Proposal) -> bool:
    """Who may see it: who proposed it, who may approve it, and who may see the officers or the log."""
    own = caller.partition.quorum.name_of(proposal.proposer) == caller.officer
    return own or any(
        caller.holds(action, key)
        for action, key in ((proposal.action, proposal.key), (OFFICERS_READ, ""), (AUDIT_READ, ""))
    )


def _found(caller: Caller, request: Request) -> Proposal:
    """By its id, or by the beginning of it, if no other begins so. What does not concern the caller is not there."""
    name, quorum = given(request, "name", str).lower(), caller.partition.quorum
    begins = [p for p in quorum.live() if len(name) >= 4 and p.name.startswith(name) and _concerns(caller, p)]
    if len(begins) != 1:
        words = f"{len(begins)} proposals begin so: give more of the id"
        if not begins:
            words = f"no proposal begins with {name}"
        if len(name) < 4:
            words = "of a proposal's id it takes the first four characters, or more"
        raise wrong(f"{words}; see adyton proposal list", name)
    return begins[0]


def _list(caller: Caller, request: Request) -> dict[str, Any]:
    live = sorted(caller.partition.quorum.live(), key=lambda proposal: (proposal.created, proposal.name))
    return {"proposals": [describe(caller.partition, p) for p in live if _concerns(caller, p)]}


def _show(caller: Caller, request: Request) -> dict[str, Any]:
    return {"proposal": describe(caller.partition, _found(caller, request))}


def _approve(caller: Caller, request: Request) -> dict[str, Any]:
    found = _found(caller, request)
    caller.must_hold(found.action, found.key)
    approved = caller.partition.quorum.approve(found.name, caller.officer, caller.record("proposal-approve"))
    return {"proposal": describe(caller.partition, approved)}


def _reject(caller: Caller, request: Request) -> dict[str, Any]:
    """By who may approve it; who proposed it takes it back."""
    found, quorum = _found(caller, request), caller.partition.quorum
    if quorum.name_of(found.proposer) != caller.officer:
        caller.must_hold(found.action, found.key)
    rejected = quorum.reject(found.name, caller.record("proposal-reject"))
    return {"proposal": describe(caller.partition, rejected)}


ACTS = (
    Act("proposal-list", OFFICER, _list),
    Act("proposal-show", OFFICER, _show),
    Act("proposal-approve", OFFICER, _approve),
    Act("proposal-reject", OFFICER, _reject),
)
