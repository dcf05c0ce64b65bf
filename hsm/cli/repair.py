"""``adyton repair``: a whole pool of what can be read of a damaged one.

It is for who owns the folder, with no engine at work there. It says what will be lost before anything is written; the
damaged files stay, in a folder of their own; and the log has a record of what was done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hsm import config
from hsm.cli import check, salvage
from hsm.cli.command import Arguments, Failure, cell, show
from hsm.cli.salvage import Salvaged
from hsm.client import home
from hsm.store import folder
from hsm.store.folder import Unusable
from hsm.store.sqlite import Store

_MOST_TOLD = 20  # of what is lost, in the log's record


def repair(given: Arguments) -> int:
    path = os.path.abspath(given.folder) if given.folder else home().path
    _may_be_repaired(path)
    with _alone(path):
        findings = [finding for finding in check.findings_of(path) if finding.where != check.LOG]
        if not findings:
            data: dict[str, Any] = {"pool": path, "findings": [], "lost": [], "repaired": False, "kept": None}
            return show(given, data, f"{path}: nothing is damaged that could be repaired, and nothing was done")
        try:
            device_key = folder.device_key(path, store_exists=True)
            whole = salvage.made(salvage.read(path), device_key)
        except Unusable as fault:
            raise Failure(f"{fault}. Nothing was done") from None
        if given.dry_run or not given.yes:
            return _say(given, path, findings, whole, None)
        kept = salvage.write(path, whole)
        _record(path, whole, kept)
    return _say(given, path, findings, whole, kept)


def _may_be_repaired(path: str) -> None:
    if not os.path.isdir(path):
        raise Failure(f"{path} is no folder, so there is no pool. Which one? adyton repair FOLDER")
    owner = os.stat(path).st_uid
    if owner != os.geteuid():
        raise Failure(f"{path} belongs to user {owner}. As that user: sudo -u '#{owner}' adyton repair {path}")
    if folder.is_read_only(path):
        raise Failure(f"{path} can't be written, so nothing can be put in its place: copy the folder elsewhere first")


@contextmanager
def _alone(path: str) -> Iterator[None]:
    try:
        claim = folder.claim(path)
    except Unusable as fault:
        raise Failure(f"{fault}. End it first: adyton stop") from None
    try:
        yield
    finally:
        os.close(claim)


def accept_rollback(given: Arguments) -> int:
    """The pool is taken as it is, by who owns it; its guard and its log know of it."""
    path = os.path.abspath(given.folder) if given.folder else home().path
    _may_be_repaired(path)
    settings = config.engine_settings(path)
    if settings.guard is None:
        raise Failure(f"{path} has no rollback guard, so there is nothing to accept: see adyton config show")
    with _alone(path):
        Store(path, guard=settings.guard, accepts=True).close()
    words = f"{path} is taken as it is; the audit log says so. What was done after that day is lost to it"
    return show(given, {"pool": path, "accepted": True}, words)


def _record(path: str, whole: Salvaged, kept: str) -> None:
    more = len(whole.lost) - _MOST_TOLD
    lost = "; ".join(whole.lost[:_MOST_TOLD] + ([f"and {more} more"] if more > 0 else [])) or "nothing"
    store = Store(path, guard=config.engine_settings(path).guard, accepts=True)
    try:
        with store.transaction() as tx:
            tx.audit({
                "act": "pool-repair", "pid": str(os.getpid()), "uid": str(os.geteuid()), "lost": lost,
                "kept": os.path.basename(kept),
            })
    finally:
        store.close()


def _say(given: Arguments, path: str, findings: list[check.Finding], whole: Salvaged, kept: str | None) -> int:
    data = {
        "pool": path, "findings": [finding._asdict() for finding in findings], "lost": whole.lost,
        "saved": {table: len(rows) for table, rows in whole.rows.items()}, "repaired": kept is not None, "kept": kept,
    }
    lines = [f"{cell(finding.where)}: {cell(finding.what)}" for finding in findings]
    lines += [f"lost: {cell(words)}" for words in whole.lost] or ["lost: nothing more"]
    saved = {name: len(whole.rows[name]) for name in ("objects", "records", "audit")}
    lines.append(f"saved: {saved['objects']} objects, {saved['records']} records of officers, roles and rules, "
                 f"{saved['audit']} blocks of the audit log")
    if kept is None:
        lines.append("nothing was done yet: add --yes. What was removed or put back behind the engine's back is then "
                     "taken as it is; a backup of the whole folder is better, if there is one")
        return show(given, data, "\n".join(lines)) or (0 if given.dry_run else 1)
    lines.append(f"repaired; the damaged files are in {cell(kept)}: delete them when you need them no more")
    return show(given, data, "\n".join(lines))
