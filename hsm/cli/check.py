"""``adyton check``: what of a pool is damaged, found by reading all of it. Nothing is written, and no engine is needed.

What lies under the device key is opened and compared with what the heads say; the audit log's chain is followed from
its beginning, and checkpoints that were kept elsewhere are held against it. Keys and private objects are sealed under
their partition's key: they are opened where an officer's PIN is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from hsm import clock, config
from hsm.access.credentials import Cost
from hsm.access.officers import Officers
from hsm.audit import checkpoint, export
from hsm.audit.verify import verify
from hsm.cli.acting import pin_of
from hsm.cli.audit import kept_lines
from hsm.cli.command import Arguments, Failure, cell, show
from hsm.client import home
from hsm.errors import TokenError
from hsm.store import records
from hsm.store.folder import Unusable
from hsm.store.guard import Place
from hsm.store.sqlite import Store

WHAT_TO_DO = (
    "What is named is left out or counts against whoever asks; everything else is served. Put back the backup of the "
    "pool's whole folder, with its engine stopped (adyton stop), if it is newer than what you would lose; adyton "
    "repair --dry-run says what can be saved without one."
)


LOG = "the audit log"


class Finding(NamedTuple):
    """``where``: the file, the pool, or the partition. ``repairable``: by adyton repair, which makes pool.db anew."""

    where: str
    what: str
    repairable: bool = True


class Looked(NamedTuple):
    """How much of each has been read."""

    partitions: int
    objects: int
    secrets: int
    records: int
    audit_records: int


def check(given: Arguments) -> int:
    path = os.path.abspath(given.folder) if given.folder else home().path
    kept = kept_lines(given.checkpoint)
    looked = Looked(0, 0, 0, 0, 0)
    findings: list[Finding]
    try:
        with _looking_at(path) as store:
            key = _key(given, store)
            findings, looked = _all(store, key, kept)
    except Unusable as fault:
        findings = [Finding(path, str(fault))]
    findings = [*_files(path), *findings]
    data = {
        "pool": path, "looked_at": looked._asdict(), "sealed": looked.objects - looked.secrets,
        "findings": [finding._asdict() for finding in findings],
    }
    return show(given, data, _in_words(path, looked, findings)) or (1 if findings else 0)


def findings_of(path: str) -> list[Finding]:
    """All that is found without a PIN."""
    try:
        with _looking_at(path) as store:
            return _all(store, None, [])[0]
    except Unusable as fault:
        return [Finding(path, str(fault))]


@contextmanager
def _looking_at(path: str) -> Iterator[Store]:
    if not os.path.isdir(path):
        raise Failure(f"{path} is no folder, so there is no pool. Which one? adyton check FOLDER")
    if not os.access(path, os.R_OK | os.X_OK):
        raise Failure(f"{path} is not for you to read. Ask as root, or as the user whom the pool belongs to")
    store = Store(path, looking=True, guard=_guard(path))
    try:
        yield store
    finally:
        store.close()


def _guard(path: str) -> Place | None:
    try:
        return config.engine_settings(path).guard
    except config.Wrong:  # which is a finding of its own
        return None


def _files(path: str) -> list[Finding]:
    try:
        config.engine_settings(path)
    except config.Wrong as fault:
        return [Finding("the settings", f"{fault}. {fault.remedy}", repairable=False)]
    return []


def _key(given: Arguments, store: Store) -> tuple[int, Any] | None:
    """The partition that is opened by the PIN of --as, and its key."""
    if given.officer is None:
        return None
    slots = [slot for slot, head in store.heads.items() if head.initialised]
    if given.partition is not None:
        slots = [slot for slot in slots if given.partition in (str(slot), store.heads[slot].label.decode())]
    if len(slots) != 1:
        raise Failure("which partition is to be opened? Give --partition SLOT")
    (slot,) = slots
    credentials = Officers(store, slot, Cost(), lambda: None).credentials
    try:
        key = credentials.check(given.officer, pin_of(given, given.officer).read().encode())
    except TokenError as refusal:
        raise Failure(f"{refusal.reason}. Nothing was checked") from None
    if key is None:
        raise Failure(f"the PIN of officer {cell(given.officer)} opens no keys: give that of one who has a copy")
    return slot, key


def _all(store: Store, key: tuple[int, Any] | None, kept: list[str]) -> tuple[list[Finding], Looked]:
    """Reads everything once. What the store notes as it is read is what was found."""
    objects = secrets = read = 0
    findings: list[Finding] = []
    for slot, head in store.heads.items():
        if not head.initialised:
            continue
        for name in ("objects", "deleted_objects"):
            with _as_far_as_it_goes(findings, f"partition {slot}"):
                objects += len(store.object_ids(slot, name))
                secrets += len(list(store.load_objects(slot, None, name=name)))
            with _as_far_as_it_goes(findings, f"partition {slot}"):
                if key is not None and key[0] == slot:
                    secrets += len(list(store.load_objects(slot, key[1], name=name)))
        with _as_far_as_it_goes(findings, f"partition {slot}"):
            if key is not None and key[0] == slot:
                store.values(slot, key[1])
            store.key_names(slot)
            store.deleted(slot)
        for form in records.FORMS:
            with _as_far_as_it_goes(findings, f"partition {slot}"):
                found = store.records(slot, form)
                read += len(found)
                told = _counters(store, list(found.values()), head.tries)
                findings += [Finding(f"partition {slot}", words, repairable=False) for words in told]
    with _as_far_as_it_goes(findings, LOG):
        findings += _log(store, kept)
    for where, notes in store.damage.items():
        place = "the pool" if where is None else f"partition {where}"
        findings += [Finding(place, words, words != store.put_back) for words in dict.fromkeys(notes)]
    findings = list(dict.fromkeys(findings))
    return findings, Looked(len(store.heads), objects, secrets, read, store.pool_head.chain.sequence)


@contextmanager
def _as_far_as_it_goes(findings: list[Finding], where: str) -> Iterator[None]:
    """A page that SQLite can't read ends what is being read, and nothing else."""
    try:
        yield
    except TokenError:
        findings.append(Finding(where, "a part of it can't be read: pages of pool.db are damaged"))


def _counters(store: Store, found: list[Any], tries: dict[int, int]) -> list[str]:
    told = []
    for officer in found:
        if isinstance(officer, records.Officer) and officer.wrapped:
            if store.counters.is_damaged(officer.counter):
                told.append(f"the PIN counter of {officer.name} is damaged: tries are counted against who guesses")
            elif store.counters.generation(officer.counter) < tries.get(officer.counter, 0):
                told.append(f"the PIN counter of {officer.name} is older than the store: the PIN counts as locked")
    return told


def _log(store: Store, kept: list[str]) -> list[Finding]:
    told = store.pool_head.chain
    try:
        private, public = store.audit_key()
    except TokenError as fault:
        return [Finding(LOG, fault.reason)]
    end = checkpoint.sign(private, public, told.sequence, told.hash, clock.microseconds())
    lines: list[bytes] = []
    export.write(store, told, public, end, lines.append)
    verdict = verify((line.decode() for line in lines), public, kept)
    return [
        Finding(LOG, f"records {found.first} to {found.last}: {found.words}", repairable=False)
        for found in verdict.findings
    ]


def _in_words(path: str, looked: Looked, findings: list[Finding]) -> str:
    read = (f"{path}: partitions {looked.partitions}, objects {looked.objects}, records of officers, roles and rules "
            f"{looked.records}, audit records {looked.audit_records}")
    sealed = looked.objects - looked.secrets
    if sealed:
        read += f"\nsealed under their partition's key, and not opened without --as OFFICER: objects {sealed}"
    if not findings:
        return f"{read}\nnothing is damaged"
    lines = [f"{cell(finding.where)}: {cell(finding.what)}" for finding in findings]
    return "\n".join([read, *lines, WHAT_TO_DO])
