"""Acts that back up and restore: partitions by a folder of chunks, keys by a file. Files come open with the request.

Who backs up or restores partitions owns the pool, and, in each partition that has officers here, is one whose role
gives it: by the request's PIN in one partition, by ``adyton login`` in each of several. One backup and one restore are
under way at a time.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hsm.access.quorum import EXPORT, RULE, Asked
from hsm.access.roles import BACKUP_START, KEY_BACKUP, KEY_RESTORE, RESTORE_START
from hsm.audit import calls
from hsm.backup import blob, form, one_key, replacing, wrapping
from hsm.backup.form import Unfit
from hsm.backup.making import Making
from hsm.backup.replacing import Coming
from hsm.backup.taking import Taking
from hsm.errors import TokenError
from hsm.management import files, terminal
from hsm.management.acts import OFFICER, OWNER, Act, Caller, Request, given, given_or, under, wrong
from hsm.partitions import Carried
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.pool import Pool


class UnderWay:
    """What a pool's engine has begun and not ended."""

    def __init__(self) -> None:
        self.making: Making | None = None
        self.taking: Taking | None = None
        self.lock = threading.Lock()


_UNDER_WAY: WeakKeyDictionary[Pool, UnderWay] = WeakKeyDictionary()
_LOCK = threading.Lock()


def _under_way(pool: Pool) -> UnderWay:
    with _LOCK:
        return _UNDER_WAY.setdefault(pool, UnderWay())


def _record(caller: Caller, act: str, officer: str, **more: str) -> dict[str, str]:
    slot = str(caller.on.slot) if caller.on is not None else "-1"
    ours = {"act": act, "officer": officer, "slot": slot, "pid": str(caller.app.pid), "uid": str(caller.app.uid)}
    return {**ours, **more}


# -- backup


def _start_backup(caller: Caller, request: Request) -> dict[str, Any]:
    """Of the partition that the request is about; of all, where it is about none."""
    pool = caller.pool
    with pool.lock:
        there = [partition for _, partition in sorted(pool.by_slot.items()) if partition.initialised]
    wanted = [partition for partition in there if caller.on in (None, partition)]
    if not wanted:
        raise wrong("there is no initialised partition to back up: adyton partition list")
    for partition in wanted:
        terminal.must_hold(caller, partition, BACKUP_START)
    wrapping.of(pool)
    ours = _under_way(pool)
    with ours.lock:
        before = ours.making or Making.found(pool.store)
        if before is not None:
            before.end()
        ours.making = None
        made = ours.making = Making.begin(pool, wanted)
    calls.detail(backup=made.moment.backup)
    return {**_told(made), "slots": made.moment.slots}


def _told(made: Making) -> dict[str, Any]:
    chunks = made.made()
    return {
        "backup": made.moment.backup, "time": made.moment.time, "rows": made.moment.rows,
        "chunks": [{"bytes": chunk.bytes, "sha256": chunk.sha256, "rows": chunk.rows, "last": chunk.last}
                   for chunk in chunks],
    }


def _making(caller: Caller, request: Request) -> Making:
    ours, wanted = _under_way(caller.pool), given(request, "backup", str)
    with ours.lock:
        if ours.making is None:
            ours.making = Making.found(caller.pool.store)
        if ours.making is None or ours.making.moment.backup != wanted:
            words = f"this engine makes no backup {wanted}: it was done, or another was begun since, or it is too old"
            raise TokenError(ck.CKR_FUNCTION_FAILED, f"{words}. Begin a new one, in another folder", "backup")
        return ours.making


def _resume_backup(caller: Caller, request: Request) -> dict[str, Any]:
    return _told(_making(caller, request))


def _make_chunk(caller: Caller, request: Request) -> dict[str, Any]:
    made, number = _making(caller, request), given(request, "number", int)
    chunk, told = made.chunk(wrapping.of(caller.pool), number)
    files.write(request, chunk)
    return {"bytes": told.bytes, "sha256": told.sha256, "rows": told.rows, "last": told.last}


def _finish_backup(caller: Caller, request: Request) -> dict[str, Any]:
    made, key = _making(caller, request), wrapping.of(caller.pool)
    manifest = made.manifest(key)
    files.write(request, manifest.write(key))
    return {"keys": manifest.keys, "damaged": manifest.damaged, "partitions": manifest.partitions}


def _end_backup(caller: Caller, request: Request) -> dict[str, Any]:
    """Who has it all lets the engine forget what it was made of."""
    made, ours = _making(caller, request), _under_way(caller.pool)
    with ours.lock:
        made.end()
        ours.making = None
    return {}


# -- restore


def _start_restore(caller: Caller, request: Request) -> dict[str, Any]:
    """Reads nothing but the manifest yet. What is there of the same backup is not read again."""
    ours, raw = _under_way(caller.pool), files.read(request, form.LONGEST_MANIFEST)
    try:
        with ours.lock:
            if ours.taking is not None:
                ours.taking.close()
                ours.taking = None
            taking = ours.taking = Taking.begin(caller.pool.store, wrapping.of(caller.pool), raw)
    except Unfit as fault:
        raise wrong(str(fault)) from None
    there = {partition.serial: partition.slot for partition in list(caller.pool.by_slot.values())}
    said = taking.manifest
    return {
        "backup": said.backup, "time": said.time, "keys": said.keys, "have": taking.have(),
        "chunks": len(said.chunks),
        "partitions": [{**told, "replaces": there.get(told["serial"])} for told in said.partitions],
    }


def _taking(caller: Caller, request: Request) -> Taking:
    ours, wanted = _under_way(caller.pool), given(request, "backup", str)
    with ours.lock:
        if ours.taking is None or ours.taking.manifest.backup != wanted:
            words = f"this engine is not restoring backup {wanted}"
            words += ": give the command again, it goes on where it was"
            raise TokenError(ck.CKR_FUNCTION_FAILED, words, "backup")
        return ours.taking


def _take_chunk(caller: Caller, request: Request) -> dict[str, Any]:
    taking = _taking(caller, request)
    try:
        taking.take(wrapping.of(caller.pool), given(request, "number", int), files.read(request, form.LONGEST))
    except Unfit as fault:
        raise wrong(str(fault)) from None
    return {"have": taking.have()}


def _finish_restore(caller: Caller, request: Request) -> dict[str, Any]:
    pool, taking = caller.pool, _taking(caller, request)
    with taking.lock:
        wanted = _whole(caller, taking, request)
        officers = [terminal.must_hold(caller, one.replaces, RESTORE_START)
                    for one in wanted if one.replaces is not None and one.replaces.initialised]
        officer = caller.officer or (officers[0] if officers else "")
        record = _record(caller, "restore-finish", officer, backup=taking.manifest.backup)
        behind = _older(caller, taking, wanted, request)
        record |= {"rollback": behind} if behind else {}
        with _by_two(caller, taking, wanted, officer):
            slots = replacing.put_in(pool, caller.app, taking, wanted, record)
        for one in wanted:
            if one.replaces is not None:
                terminal.TERMINALS.end(one.replaces)
    _end_taking(pool, taking)
    return {"slots": slots, "partitions": [
        {"slot": slot, "serial": one.head.serial.decode(), "label": one.head.label.decode("utf-8", "replace").rstrip(),
         "replaced": one.replaces is not None} for slot, one in zip(slots, wanted, strict=True)
    ]}


def _whole(caller: Caller, taking: Taking, request: Request) -> list[Coming]:
    try:
        taking.must_be_whole()
    except Unfit as fault:
        raise wrong(str(fault)) from None
    wanted = replacing.coming(caller.pool, taking, given_or(request, "serial", str, "").encode())
    for one in wanted:
        replacing.may_replace(taking, one)
    return wanted


def _older(caller: Caller, taking: Taking, wanted: list[Coming], request: Request) -> str:
    """Of a pool with a rollback guard: that its partitions are put back to an earlier day, which strict ones want to be
    told to."""
    manifest, store = taking.manifest, caller.pool.store
    if manifest.pool != store.id or not any(one.replaces for one in wanted):
        return ""
    words, strict = store.behind_guard(manifest.generation)
    if words and strict and not given_or(request, "accept_rollback", bool, False):
        words = f"the backup is older than the pool's rollback guard allows: {words}"
        raise TokenError(ck.CKR_FUNCTION_REJECTED, f"{words}. To go back to it all the same: --accept-rollback")
    return words


def _by_two(caller: Caller, taking: Taking, wanted: list[Coming], officer: str) -> Any:
    """The two-person rule of a partition that is replaced, the rule among it, whatever else it is for."""
    ruled = [one.replaces for one in wanted if one.replaces is not None and one.replaces.quorum.covers(RULE)]
    if not ruled:
        return nullcontext()
    partition = ruled[0]
    if len(wanted) > 1:
        words = f"partition {partition.slot} has a two-person rule: restore it alone, --partition {partition.slot}"
        raise TokenError(ck.CKR_ACTION_PROHIBITED, words)
    asked = Asked(RULE, "restore-finish", RESTORE_START, "", {"backup": taking.manifest.backup})
    approved = partition.quorum.ask(asked, officer, partition.act(caller.app, "proposal-create", officer))
    return partition.quorum.carried_out(approved)


def _end_taking(pool: Pool, taking: Taking) -> None:
    ours = _under_way(pool)
    with ours.lock:
        taking.end()
        if ours.taking is taking:
            ours.taking = None


# -- one key


def _name(request: Request) -> str:
    return str(given(request, "name", str))


def _backup_key(caller: Caller, request: Request) -> dict[str, Any]:
    name, key = _name(request), wrapping.of(caller.pool)
    rows = caller.partition.whole_key(name)
    if name.lower() in caller.partition.deleted.keys:
        raise wrong(f"key {name} is deleted: adyton key recover {name}, and then back it up", name)
    if not rows:
        raise wrong(f"there is no key {name} in partition {caller.partition.slot}: adyton key list", name)
    files.write(request, blob.seal(key, rows))
    calls.detail(key=rows[0].known.name)
    return {"name": rows[0].known.name, "versions": _versions(rows)}


def _versions(rows: list[Carried]) -> list[str]:
    return sorted({row.known.version for row in rows})


def _restore_key(caller: Caller, request: Request) -> dict[str, Any]:
    """From a blob, or, where ``backup`` says so, from a backup that has been read."""
    try:
        if "backup" in request:
            taking, name = _taking(caller, request), _name(request)
            caller.must_hold(KEY_RESTORE, name)
            with taking.lock:
                taking.must_be_whole()
                rows = one_key.find(caller.partition, taking, name)
            name = rows[0].known.name
        else:
            name, rows = blob.unseal(wrapping.of(caller.pool), files.read(request, blob.LONGEST))
    except Unfit as fault:
        raise wrong(str(fault)) from None
    caller.must_hold(KEY_RESTORE, name)
    caller.partition.put_back(name, rows, caller.record("key-restore"))
    if "backup" in request:
        _end_taking(caller.pool, taking)
    return {"name": name, "versions": _versions(rows)}


ACTS = (
    Act("backup-start", OWNER, _start_backup, owners=True),
    Act("backup-resume", OWNER, _resume_backup, owners=True, told=False),
    Act("backup-chunk", OWNER, _make_chunk, owners=True, told=False),
    Act("backup-finish", OWNER, _finish_backup, owners=True),
    Act("backup-end", OWNER, _end_backup, owners=True, told=False),
    Act("restore-start", OWNER, _start_restore, owners=True),
    Act("restore-chunk", OWNER, _take_chunk, owners=True, told=False),
    Act("restore-finish", OWNER, _finish_restore, owners=True),
    Act("key-backup", KEY_BACKUP, _backup_key, scope=_name, second=under(EXPORT, KEY_BACKUP)),
    Act("key-restore", OFFICER, _restore_key),
)
