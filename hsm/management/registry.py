"""All acts by name, and the one way to do one."""

from __future__ import annotations

from hsm.access.roles import scope_of
from hsm.errors import TokenError
from hsm.management import audit, backup, domain, key_import, keys, officers, partitions, proposals, roles, terminal
from hsm.management.acts import ANYBODY, OFFICER, OWNER, Act, Caller, Request, must_own
from pkcs11_shim import constants as ck

ROOMS = (partitions, officers, roles, proposals, terminal, audit, keys, key_import, backup, domain)
ACTS: dict[str, Act] = {act.name: act for room in ROOMS for act in room.ACTS}


def perform(act: Act, caller: Caller, request: Request) -> dict[str, object]:
    """Whether this caller may, and then what the act answers."""
    if act.owners:
        must_own(caller.app)
    if act.asks not in (ANYBODY, OWNER) and not (act.or_owner and caller.owns and not caller.officer):
        if not caller.officer:
            words = "this needs an officer: give --as NAME and the PIN, or log in first: adyton login --as NAME"
            scope = "" if act.asks == OFFICER else scope_of(act.scope(request))
            raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, words, act.asks, scope=scope)
        if act.asks != OFFICER:
            caller.must_hold(act.asks, act.scope(request))
    approved = proposals.ask(act, caller, request)
    if approved is None:
        return act.run(caller, request)
    with caller.partition.quorum.carried_out(approved):
        return act.run(caller, request)


def prove(act: Act, caller: Caller, name: str, pin: str | None) -> Caller:
    """The caller, who has proved to be this officer."""
    partition = caller.partition
    if not partition.officers.exists(name):
        words = f"there is no officer {name!r} in partition {partition.slot}. Their names: adyton officer list --as so"
        raise TokenError(ck.CKR_PIN_INCORRECT, words)
    who = partition.came(partition.officers.prove(name, None if pin is None else pin.encode(), caller.app.uid))
    return _come(act, caller, name, who.must_change)


def prove_known(act: Act, caller: Caller, name: str) -> Caller:
    """The caller, who has proved before to be this officer, which may have been forbidden everything since."""
    why = caller.partition.directory.why_not(name)
    if why:
        raise TokenError(ck.CKR_PIN_LOCKED, why, name)
    return _come(act, caller, name, caller.partition.officers.get(name).must_change)


def _come(act: Act, caller: Caller, name: str, must_change: bool) -> Caller:
    if must_change and act.name != "officer-set-pin":
        words = f"officer {name} must set a new PIN first: adyton officer set-pin {name} --as {name}"
        raise TokenError(ck.CKR_PIN_EXPIRED, words, name)
    return caller._replace(officer=name)
