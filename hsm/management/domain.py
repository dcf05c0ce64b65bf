"""Acts on the pool's security domain, in the words of ``az keyvault security-domain``.

They are the pool owner's; a download, which lets custodians into each partition, takes an officer with the data action
in every partition that there is, and so does the opening of the pool's own domain.
"""

from __future__ import annotations

from typing import Any

from hsm import clock
from hsm.access.roles import DOMAIN_DOWNLOAD, DOMAIN_UPLOAD
from hsm.confinement.arena import Secret
from hsm.confinement.sweeping import SWEEPER
from hsm.domain import form
from hsm.domain.jwe import Unfit
from hsm.management import terminal
from hsm.management.acts import ANYBODY, OWNER, Act, Caller, Request, given, given_or, wrong
from hsm.partitions import Partition
from hsm.pool import Pool


def describe(pool: Pool) -> dict[str, Any]:
    """``activated``: whether it was ever downloaded, or uploaded from another pool."""
    head = pool.custody.head
    with pool.lock:
        there = [partition for partition in pool.by_slot.values() if partition.initialised]
    until = pool.custody.open_until
    return {
        "activated": head.is_there, "domain": head.domain or None, "generation": head.generation,
        "custodians": list(head.custodians), "required": head.required,
        "downloaded": head.at // 1_000_000 or None, "uploadAwaited": bool(head.exchange),
        "openUntil": int(until) or None,
        "covered": [partition.slot for partition in there if partition.is_covered],
        "missing": [partition.slot for partition in there if not partition.is_covered],
    }


def _show(caller: Caller, request: Request) -> dict[str, Any]:
    return {"securityDomain": describe(caller.pool)}


def _must_hold_everywhere(caller: Caller, action: str) -> list[Partition]:
    """An officer of each partition has to agree: who gives the command, or who is logged in at this terminal."""
    with caller.pool.lock:
        there = [partition for partition in caller.pool.by_slot.values() if partition.initialised]
    for partition in there:
        terminal.must_hold(caller, partition, action)
    return there


def _download(caller: Caller, request: Request) -> dict[str, Any]:
    texts, required = given(request, "certificates", list), given(request, "required", int)
    if not form.FEWEST <= len(texts) <= form.MOST:
        raise wrong(f"a security domain has {form.FEWEST} to {form.MOST} custodians, and these are {len(texts)}")
    if not form.LEAST_REQUIRED <= required <= len(texts):
        raise wrong(f"the quorum is of {form.LEAST_REQUIRED} to {len(texts)} of these custodians", "required")
    found = []
    for number, text in enumerate(texts, 1):
        try:
            found.append(form.certificate(str(text).encode()))
        except Unfit as fault:
            raise wrong(f"certificate {number}: {fault}", "certificates") from None
    if len(set(map(form.thumbprint, found))) != len(found):
        raise wrong("two of the certificates are the same: each custodian has one", "certificates")
    with caller.pool.lock:
        there = _must_hold_everywhere(caller, DOMAIN_DOWNLOAD)
        opened: dict[int, Secret] = {partition.slot: partition.opened() for partition in there if partition.is_open}
        told = {"custodians": str(len(found)), "required": str(required)}
        text = caller.pool.custody.download(found, required, opened, _record(caller, "domain-download", **told))
    SWEEPER.ring()  # the private half has left, and lies nowhere here
    return {"value": text, "securityDomain": describe(caller.pool)}


def _record(caller: Caller, what: str, **more: str) -> dict[str, str]:
    slot = {"slot": str(caller.on.slot)} if caller.on is not None else {}
    return {
        "act": what, "officer": caller.officer, **slot, "pid": str(caller.app.pid), "uid": str(caller.app.uid), **more,
    }


def _init_recovery(caller: Caller, request: Request) -> dict[str, Any]:
    return {"certificate": caller.pool.custody.exchange(_record(caller, "domain-transfer-key")).decode()}


def _upload(caller: Caller, request: Request) -> dict[str, Any]:
    text = given(request, "value", str).encode()
    with caller.pool.lock:
        _must_hold_everywhere(caller, DOMAIN_UPLOAD)
        new = caller.pool.custody.upload(text, _record(caller, "domain-upload"))
    SWEEPER.ring()
    return {"taken": new, "securityDomain": describe(caller.pool)}


def _close(caller: Caller, request: Request) -> dict[str, Any]:
    with caller.pool.lock:
        was_open = caller.pool.custody.is_open
        caller.pool.custody.close()
    return {"was_open": was_open, "securityDomain": describe(caller.pool)}


def _recover_officer(caller: Caller, request: Request) -> dict[str, Any]:
    """The quorum of custodians as the way back: a new PIN, which opens the partition whoever kept a copy of its key. No
    rule for two officers is asked, who may all be without one."""
    partition, name = caller.partition, given(request, "name", str)
    pin = given(request, "new_pin", str).encode()
    if not partition.officers.exists(name):
        there_are = ", ".join(sorted(partition.directory.officers))
        raise wrong(f"there is no officer {name} in partition {partition.slot}; there are: {there_are}", name)
    with caller.pool.lock:
        key = caller.pool.custody.partition_key(partition.slot)
    partition.may_write()
    must_change = given_or(request, "must_change", bool, False)
    partition.officers.reset_pin(
        name, pin, key, True, caller.record("officer-recover", subject=name), must_change=must_change
    )
    return {"officer": name, "at": clock.moment(clock.microseconds())}


ACTS = (
    Act("domain-show", ANYBODY, _show),
    Act("domain-download", OWNER, _download, owners=True),
    Act("domain-transfer-key", OWNER, _init_recovery, owners=True),
    Act("domain-upload", OWNER, _upload, owners=True),
    Act("domain-close", OWNER, _close, owners=True),
    Act("officer-recover", OWNER, _recover_officer, owners=True),
)
