"""``adyton repair``: a whole pool of what can be read of a damaged one.

It is for who owns the folder, with no engine at work there. It says what will be lost before anything is written; the
damaged files stay, in a folder of their own; and the log has a record of what was done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hsm import config
from hsm.cli import check, salvage
from hsm.cli.command import Arguments, Failure, cell, show
from hsm.cli.salvage import Salvaged
from hsm.client import home
from hsm.errors import TokenError
from hsm.store import folder
from hsm.store.folder import Unusable
from hsm.store.guard import Place
from hsm.store.sqlite import Store

_MOST_TOLD = 20  # of what is lost, in the log's record


def repair(given: Arguments) -> int:
    path = _pool(given, "repair")
    guard = _guard(path)
    with _alone(path):
        findings = check.findings_of(path)
        if not any(finding.repairable for finding in findings):
            return _nothing(given, path, findings)
        try:
            device_key = folder.device_key(path, store_exists=True)
            whole = salvage.made(salvage.read(path), device_key)
            kept = salvage.write(path, whole) if given.yes and not given.dry_run else None
        except Unusable as fault:
            raise Failure(f"{fault}. Nothing was done") from None
        if kept is not None:
            _record(path, whole, kept, guard)
    return _say(given, path, findings, whole, kept)


def _nothing(given: Arguments, path: str, findings: list[check.Finding]) -> int:
    data = {
        "pool": path, "findings": [finding._asdict() for finding in findings], "lost": [], "repaired": False,
        "kept": None,
    }
    words = f"{path}: nothing is damaged that could be repaired, and nothing was done"
    return show(given, data, "\n".join([*map(_in_words, findings), words]))


def _pool(given: Arguments, command: str) -> str:
    """The folder that is meant, where its owner asks and it can be written."""
    path = os.path.abspath(given.folder) if given.folder else home().path
    if not os.path.isdir(path):
        raise Failure(f"{path} is no folder, so there is no pool. Which one? adyton {command} FOLDER")
    if not any(os.path.exists(os.path.join(path, name)) for name in folder.FILES):
        raise Failure(f"{path} holds no pool. Which one? adyton {command} FOLDER")
    owner = os.stat(path).st_uid
    if owner != os.geteuid():
        raise Failure(f"{path} belongs to user {owner}. As that user: sudo -u '#{owner}' adyton {command} {path}")
    if folder.is_read_only(path):
        raise Failure(f"{path} can't be written, so nothing can be put in its place: copy the folder elsewhere first")
    return path


def _guard(path: str) -> Place | None:
    try:
        return config.engine_settings(path).guard
    except config.Wrong as fault:
        raise Failure(f"{fault}. {fault.remedy}. Nothing was done") from None


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
    path = _pool(given, "accept-rollback")
    guard = _guard(path)
    if guard is None:
        raise Failure(f"{path} has no rollback guard, so there is nothing to accept: see adyton config show")
    with _alone(path):
        try:
            store = Store(path, guard=guard, accepts=True)
        except (Unusable, TokenError) as fault:
            raise Failure(f"{fault}. Nothing was accepted") from None
        store.close()
    if not store.put_back:
        raise Failure(f"{path} is not behind its rollback guard in {guard.folder}: there is nothing to accept")
    words = f"{path} is taken as it is; the audit log says so. What was done after that day is lost to it"
    return show(given, {"pool": path, "accepted": True}, words)


def _record(path: str, whole: Salvaged, kept: str, guard: Place | None) -> None:
    more = len(whole.lost) - _MOST_TOLD
    lost = "; ".join(whole.lost[:_MOST_TOLD] + ([f"and {more} more"] if more > 0 else [])) or "nothing"
    try:
        store = Store(path, guard=guard, accepts=True)
    except (Unusable, TokenError) as fault:
        words = f"it is repaired, and the damaged files are in {kept}; but the log has no record of it: {fault}"
        raise Failure(words) from None
    try:
        with store.transaction() as tx:
            tx.audit({
                "act": "pool-repair", "pid": str(os.getpid()), "uid": str(os.geteuid()), "lost": lost,
                "kept": os.path.basename(kept),
            })
    finally:
        store.close()


def _in_words(finding: check.Finding) -> str:
    words = f"{cell(finding.where)}: {cell(finding.what)}"
    return words if finding.repairable else f"{words} (which a repair leaves as it is)"


def _say(given: Arguments, path: str, findings: list[check.Finding], whole: Salvaged, kept: str | None) -> int:
    data = {
        "pool": path, "findings": [finding._asdict() for finding in findings], "lost": whole.lost,
        "saved": {table: len(rows) for table, rows in whole.rows.items()}, "repaired": kept is not None, "kept": kept,
    }
    lines = [_in_words(finding) for finding in findings]
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
