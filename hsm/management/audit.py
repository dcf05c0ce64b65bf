"""Acts on the audit log: read it, take it out, have it signed.

The pool's owner, who has its files anyway, reads all of it; an officer who holds audit/read, its own partition's part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from hsm.access.roles import AUDIT_READ
from hsm.audit import azure, checkpoint, query
from hsm.audit.record import Record
from hsm.errors import TokenError
from hsm.management import files
from hsm.management.acts import Act, Caller, Request, given_or, wrong
from hsm.pool import Pool
from pkcs11_shim import constants as ck

_MOST = 1000  # records in one answer
_LONGEST_WAIT = 20.0
_LOOKED_AT = 100_000  # records in one go, whether they fit or not


def place(pool: Pool) -> azure.Place:
    def label(slot: int) -> str:
        partition = pool.by_slot.get(slot)
        return partition.label if partition is not None else ""

    def object_id(slot: int, officer: str) -> str:
        partition = pool.by_slot.get(slot)
        record = partition.directory.officers.get(officer) if partition is not None else None
        return record.object_id if record is not None else ""

    return azure.Place(checkpoint.log_id(pool.audit.public_key()), label, object_id)


def _filter(caller: Caller, request: Request) -> query.Filter:
    """What was asked for, of what this caller may see."""
    fields = {
        name: given_or(request, field, str, None)
        for name, field in (("officer", "by"), ("operation", "operation"), ("key", "key"), ("result", "result"))
    }
    slot = caller.partition.slot if caller.officer else given_or(request, "only", int, None)
    since, until = _microseconds(request, "since", 0), _microseconds(request, "until", 1 << 62)
    return query.Filter(slot, **fields, since=since, until=until)


def _microseconds(request: Request, name: str, otherwise: int) -> int:
    seconds = request.get(name)
    if seconds is None:
        return otherwise
    if type(seconds) not in (int, float) or not 0 <= seconds < 1e11:
        raise wrong(f"{name} is a time in seconds since the epoch", name)
    return int(seconds * 1e6)


def _records(caller: Caller, request: Request) -> dict[str, Any]:
    """Those with a higher number than ``after`` that fit; ``next``: where to go on. ``wait``: so many seconds for a
    first one, where there is none."""
    wanted, log = _filter(caller, request), caller.pool.audit
    after, most = given_or(request, "after", int, 0), min(given_or(request, "most", int, _MOST), _MOST)
    wait = min(float(given_or(request, "wait", int, 0)), _LONGEST_WAIT)
    if wait > 0 and log.last <= after:
        log.wait(after, wait)
    found: list[Record] = []
    reached = after
    for record in islice(log.records(after), _LOOKED_AT):
        reached = record.sequence
        if wanted.fits(record):
            found.append(record)
            if len(found) >= most:
                break
    return {"records": [query.row(record) for record in found], "next": reached, "last": log.last}


def _export(caller: Caller, request: Request) -> dict[str, Any]:
    """Into a file that the caller has opened: the chain, all of it, or the records in Azure's form, one a line."""
    descriptor = files.descriptor(request)
    form = given_or(request, "format", str, "azure")
    try:
        # The descriptor is the door's to close. What is buffered when something fails is written or fails here too.
        with open(descriptor, "wb", closefd=False) as out:
            if form == "azure":
                written = _in_azures_form(caller, request, out)
            elif form == "chain":
                written = _chain(caller, out)
            else:
                raise wrong(f"there is no format {form!r}; there are: azure, chain", "format")
    except OSError as fault:
        raise files.unwritten(fault) from None
    return {"format": form, "records": written, "publicKey": caller.pool.audit.public_key().hex()}


def _chain(caller: Caller, out: Any) -> int:
    if caller.officer:
        words = "the chain tells of all partitions: the pool's owner exports it, without --as"
        raise TokenError(ck.CKR_ACTION_PROHIBITED, words, AUDIT_READ)
    caller.pool.audit.export(out.write)
    return caller.pool.audit.last


def _in_azures_form(caller: Caller, request: Request, out: Any) -> int:
    """A JSON array, as Azure's Managed HSM writes it, a record a line."""
    count, where = 0, place(caller.pool)
    for record in _all(caller, _filter(caller, request)):
        line = json.dumps(azure.record(record, where), separators=(",", ":"))
        out.write(f"{',' if count else '['}\n{line}".encode())
        count += 1
    out.write(b"\n]\n" if count else b"[]\n")
    return count


def _all(caller: Caller, wanted: query.Filter) -> Iterator[Record]:
    last = 0
    for record in caller.pool.audit.records():
        last = last or caller.pool.audit.last  # now that what was queued is written
        if record.sequence > last:
            return
        if wanted.fits(record):
            yield record


def _checkpoint(caller: Caller, request: Request) -> dict[str, Any]:
    return {"checkpoint": caller.pool.audit.checkpoint()}


def _key(caller: Caller, request: Request) -> dict[str, Any]:
    key = caller.pool.audit.public_key()
    return {"publicKey": key.hex(), "log": checkpoint.log_id(key)}


ACTS = (
    Act("audit-records", AUDIT_READ, _records, or_owner=True, told=False),
    Act("audit-export", AUDIT_READ, _export, or_owner=True),
    Act("audit-checkpoint", AUDIT_READ, _checkpoint, or_owner=True),
    Act("audit-key", AUDIT_READ, _key, or_owner=True, told=False),
)
