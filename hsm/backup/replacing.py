"""A whole backup is put in: partitions that are there are replaced, as C_InitToken would, others come new. One commit.

A partition is known by its serial number, which it keeps wherever it is restored. Nothing comes back by a restore that
was lost meanwhile: what key values have lost here stays lost; an officer's wrong PINs are those of the backup or those
that are counted here, whichever are more, so that no restore gives tries back; purge protection stays, and what was
deleted under it is not lost; IVs that the token makes go on somewhere else entirely, since those of the time between
may have been used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from hsm.access.credentials import TRIES
from hsm.backup import rows
from hsm.backup.taking import Taking
from hsm.errors import TokenError
from hsm.objects.about import About
from hsm.soft_delete import DAY
from hsm.store import records, schema
from hsm.store.heads import PartitionHead
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application
    from hsm.partitions import Partition
    from hsm.pool import Pool
    from hsm.store.transaction import Transaction

_PATIENCE = 20  # times that sessions are ended before who opens new ones wins
_DELETED = records.kind_of(records.DeletedKey)


class Coming(NamedTuple):
    """One partition of a backup: its head, the slot that it had, and the partition that it replaces here."""

    head: PartitionHead
    slot: int
    replaces: Partition | None


def coming(pool: Pool, taking: Taking, only: bytes = b"") -> list[Coming]:
    """``only``: the serial number of the one partition that is wanted."""
    found = []
    for told in taking.manifest.partitions:
        head = taking.head(told["slot"])
        if only and head.serial != only:
            continue
        there = next((partition for partition in list(pool.by_slot.values())
                      if partition.serial.encode() == head.serial), None)
        if there is None and any(other.serial == head.serial for other in pool.deleted().values()):
            words = f"partition {head.serial.decode()} was deleted here: recover it first (adyton partition recover)"
            raise TokenError(ck.CKR_ACTION_PROHIBITED, words)
        found.append(Coming(head, told["slot"], there))
    if not found:
        raise TokenError(ck.CKR_ARGUMENTS_BAD, "the backup has no such partition")
    return found


def may_replace(taking: Taking, one: Coming) -> None:
    """What purge protection is for: a key goes when its retention is over, and not by being overwritten before."""
    there = one.replaces
    if there is None or not there.switches.purge_protection:
        return
    brought = {_version(about) for table in rows.OBJECTS for _, about in taking.abouts(one.slot, table)}
    with there.pool.store.lock:
        kept = [there.pool.store.key_names(there.slot), there.pool.store.deleted(there.slot)]
        lost = sorted(
            version.name for names in kept for name in names.names() for version in names.versions(name)
            if version.has_secret and _version(version.about) not in brought
        )
    if lost:
        words = f"purge protection is on in partition {there.slot}, and the backup lacks keys that are there: "
        words += ", ".join(dict.fromkeys(lost)) if len(lost) < 10 else f"{len(lost)} versions, {lost[0]} among them"
        raise TokenError(ck.CKR_ACTION_PROHIBITED, words)


def _version(about: About) -> tuple[str, str, int]:
    return about.name.lower(), about.version, about.key_class


def put_in(pool: Pool, app: Application, taking: Taking, wanted: list[Coming], record: dict[str, str]) -> list[int]:
    """All of ``wanted``, or nothing; returns their slots."""
    replaced = [one.replaces for one in wanted if one.replaces is not None]
    with ExitStack() as held:
        held.enter_context(pool.lock)
        _alone(pool, replaced, held)
        for one in wanted:
            may_replace(taking, one)
        slots = []
        with pool.store.transaction() as tx:
            for one in wanted:
                slots.append(_put(pool, tx, taking, one))
            tx.audit({**record, "slots": " ".join(map(str, slots))})
        for one in wanted:
            if one.replaces is not None:
                one.replaces.load_anew()
        pool.came(app, slots)
    return slots


def _alone(pool: Pool, partitions: list[Partition], held: ExitStack) -> None:
    """Nobody has a session there, nor is a PIN looked at, until ``held`` is over."""
    for _ in range(_PATIENCE):
        for partition in partitions:
            for app in list(pool.applications):
                app.close_all(partition)
        with ExitStack() as locks:
            for partition in partitions:
                locks.enter_context(partition.lock)
                locks.enter_context(partition.officers.credentials.nobody())
            if not any(partition.sessions for partition in partitions):
                held.push(locks.pop_all())
                return
    raise TokenError(ck.CKR_SESSION_EXISTS, "programs open sessions there as fast as they are ended: stop them first")


def _put(pool: Pool, tx: Transaction, taking: Taking, one: Coming) -> int:
    head, there = one.head, one.replaces
    slot = head.slot = there.slot if there is not None else _free_slot(tx, one.slot)
    before = tx.heads.get(slot) if there is not None else None
    failed = taking.failures(one.slot)
    if before is not None and there is not None:
        head.generation = before.generation
        head.next_id = max(head.next_id, before.next_id)
        protected = head.switches.purge_protection or before.switches.purge_protection
        head.switches = head.switches._replace(purge_protection=protected)
        head.retention = before.retention or head.retention
        for name in there.directory.officers:
            failed[name] = max(failed.get(name, 0), there.officers.credentials.failures(name))
    known = _known_values(tx, taking, one) if there is not None else {}
    tx.replace(head)
    tx.scatter_ivs(slot)
    for table in schema.OF_A_PARTITION:
        if table not in ("records", "key_values"):
            tx.put_rows(slot, table, taking.rows(one.slot, table))
    tx.put_rows(slot, "key_values", _values(taking, one, known))
    for kind, name, told in taking.records(one.slot):
        if kind == rows.OFFICER:
            _put_officer(pool, tx, slot, records.unpack(records.Officer, name, told), min(failed.get(name, 0), TRIES))
            continue
        if kind == _DELETED:
            told = records.pack(_due(pool, taking, one, records.unpack(records.DeletedKey, name, told), head.retention))
        place = rows.Place(tx.device_key, head.serial)
        tx.put_rows(slot, "records", [rows.sealed(place, "records", (kind, name, told))])
    return slot


def _known_values(tx: Transaction, taking: Taking, one: Coming) -> dict[bytes, bytes]:
    """What is known here of the values of keys, still sealed, where the backup's lie under the same partition key."""
    assert one.replaces is not None
    slot = one.replaces.slot
    (pair,) = taking.rows(one.slot, "partition_keys")
    if tx.database.execute("SELECT public, private FROM partition_keys WHERE slot = ?", (slot,)).fetchone() != pair:
        return {}
    return dict(tx.database.execute("SELECT fingerprint, sealed FROM key_values WHERE slot = ?", (slot,)))


def _values(taking: Taking, one: Coming, known: dict[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Those of the backup, each with what is known here behind it: only who opens the partition can add them up, and
    until then none counts for less. What only is known here stays known."""
    for fingerprint, sealed in taking.rows(one.slot, "key_values"):
        here = known.pop(fingerprint, b"")
        yield fingerprint, sealed if here == sealed else sealed + here
    yield from known.items()


def _free_slot(tx: Transaction, wanted: int) -> int:
    """The number that it had, where it is free; an empty pool's blank slot 0 is taken, so that no spare one stays."""
    blank = tx.heads.keys() == {0} and not tx.heads[0].initialised
    if wanted >= tx.pool_head.next_slot or (blank and wanted == 0):
        return wanted
    return 0 if blank else tx.pool_head.next_slot


def _put_officer(pool: Pool, tx: Transaction, slot: int, officer: records.Officer, failures: int) -> None:
    if officer.wrapped:
        officer = officer._replace(counter=_free_counter(pool, tx))
        # Before the commit, on a counter that nobody has: what is not committed has changed nothing.
        pool.store.counters.reserve(officer.counter + 1)
        pool.store.counters.write(officer.counter, hashlib.sha256(officer.wrapped).digest()[:16], failures)
    tx.put_record(slot, officer)


def _due(
    pool: Pool, taking: Taking, one: Coming, deleted: records.DeletedKey, retention: int
) -> records.DeletedKey:
    """When a deleted key goes for good: not before it would have gone without the restore. Where it comes new, the time
    for which the backup lay somewhere is none that has passed."""
    now = pool.store.time.now()
    if one.replaces is None:
        later = now - taking.manifest.seen
        return deleted._replace(at=deleted.at + later, purge=deleted.purge + later)
    kept = one.replaces.deleted.keys.get(deleted.name)
    least = kept.purge if kept is not None else now + retention * DAY
    return deleted._replace(purge=max(deleted.purge, least))


def _free_counter(pool: Pool, tx: Transaction) -> int:
    """One that no officer has, nor had before this commit, which may yet fail."""
    used = {number for heads in (pool.store.heads, tx.heads) for head in heads.values() for number in head.tries}
    return next(number for number in _numbers() if number not in used)


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
