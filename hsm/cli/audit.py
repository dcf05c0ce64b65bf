"""``adyton audit``: read the log, take it out, have it signed, and verify what was taken out, with no engine there.

The pool's owner reads all of it; with ``--as`` an officer who is a Crypto Auditor or Administrator reads its
partition's part.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsm.cli import acting, times
from hsm.cli.command import Arguments, Failure, cell, new_file, show, table
from hsm.client import Client, connect

COLUMNS = ("number", "time (UTC)", "who", "operation", "keys", "result")
# Of a record's detail. "as": who a login that failed was to be.
_ABOUT = ("subject", "as", "role", "scope", "action", "proposal")
_WINDOW = 1000


# -- what is asked for


def _wanted(given: Arguments) -> dict[str, Any]:
    fields = {"by": given.by, "operation": given.operation, "key": given.key, "result": given.result}
    told: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    result = told.get("result", "ok")
    if result not in ("ok", "refused") and not re.fullmatch("(?i)CKR_[A-Z0-9_]+", result):
        raise Failure(f"--result {result!r} is none: give ok, refused, or a code such as CKR_PIN_INCORRECT")
    return {**told, **times.bound(given.since, "since"), **times.bound(given.until, "until")}


def _row(record: dict[str, Any]) -> dict[str, Any]:
    detail = record["detail"]
    who = record["officer"] or "-"
    if record["pid"] >= 0:
        who += f" (uid {record['uid']}, pid {record['pid']})"
    said = [record["result"]] + [f"x{record['count']}"] * (record["count"] > 1)
    about = [key.partition("/")[0] if "/" in key else key for key in record["keys"]]
    about += [f"{name}={detail[name]}" for name in _ABOUT if name in detail]
    what = record["operation"] + (f" {record['mechanism']}" if record["mechanism"] else "")
    when = record["time"][:19].replace("T", " ")
    return {
        "number": record["sequence"], "time (UTC)": when, "who": who, "operation": what,
        "keys": " ".join(about) or "-", "result": " ".join(said),
    }


def _print(given: Arguments, records: list[dict[str, Any]], *, head: bool) -> None:
    """A line a record; as JSON too, so that a log that goes on can be read as it comes."""
    if given.json:
        import json

        for record in records:
            print(json.dumps(record))
    elif records or head:
        lines = table([_row(record) for record in records], COLUMNS).splitlines()
        print("\n".join(lines if head else lines[1:]))
    sys.stdout.flush()


# -- reading


def tail(given: Arguments) -> int:
    if given.lines < 1:
        raise Failure(f"--lines {given.lines}: give 1 or more")
    with connect(start=True) as client:
        who, wanted = acting.owner_or_officer(given, client), _wanted(given)
        found, after = _last(client, {**who, **wanted}, given.lines)
        _print(given, found, head=True)
        while given.follow:
            told = client.ask("audit-records", **who, **wanted, after=after, wait=10)
            _print(given, told["records"], head=False)
            after = told["next"]
    return 0


def _last(client: Client, fields: dict[str, Any], lines: int) -> tuple[list[dict[str, Any]], int]:
    """The last records that fit, looked for in longer and longer pieces of the log's end; and where it ends."""
    last = client.ask("audit-records", **fields, after=(1 << 62), most=1)["last"]
    window = max(_WINDOW, lines)
    while True:
        found = [record for record in _records(client, fields, max(last - window, 0)) if record["sequence"] <= last]
        if len(found) >= lines or window >= last:
            return found[len(found) - min(lines, len(found)):], last
        window *= 8


def _records(client: Client, fields: dict[str, Any], after: int) -> Iterator[dict[str, Any]]:
    while True:
        told = client.ask("audit-records", **fields, after=after)
        yield from told["records"]
        if told["next"] == after or told["next"] >= told["last"]:
            return
        after = told["next"]


def query(given: Arguments) -> int:
    with connect(start=True) as client:
        fields = {**acting.owner_or_officer(given, client), **_wanted(given)}
        found = list(_records(client, fields, 0))
    return show(given, found, table([_row(record) for record in found], COLUMNS) if found else "no record fits")


# -- taking it out


def _console() -> Any:
    """None where rich is not installed, which only the extras bring."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(stderr=True)


@contextmanager
def _progress(path: str) -> Iterator[None]:
    """On a terminal: how much has been written, since the engine writes it."""
    console = _console() if sys.stderr.isatty() else None
    if console is None:
        yield
        return
    ended = threading.Event()
    with console.status("exporting the audit log") as shown:

        def watch() -> None:
            while not ended.wait(0.2):
                shown.update(f"exporting the audit log: {os.stat(path).st_size / (1 << 20):.1f} MiB")

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            ended.set()
            watching.join()


def export(given: Arguments) -> int:
    path, wanted = Path(given.out), _wanted(given)
    named = [*wanted, "partition"] if given.partition and not given.officer else list(wanted)
    if given.format == "chain" and named:
        options = " and ".join(f"--{name}" for name in named)
        words = f"a chain is exported whole, or it couldn't be verified: leave out {options}, or give --format azure"
        raise Failure(words)
    with connect(start=True) as client:
        # The chain is the owner's, whoever is logged in here.
        owner = given.format == "chain" and not given.officer
        who = {} if owner else acting.owner_or_officer(given, client)
        file = new_file(path)
        try:
            with _progress(str(path)):
                told = client.ask_into(file, "audit-export", **who, **wanted, format=given.format)
            os.fsync(file)
        except BaseException:
            path.unlink()
            raise
        finally:
            os.close(file)
    words = f"{told['records']} records are in {path}"
    if given.format == "chain":
        words += f"\npublic key {told['publicKey']}: keep it elsewhere (adyton audit key), and verify:\n"
        words += f"  adyton audit verify {path} --public-key {told['publicKey']}"
    return show(given, {"file": str(path), **told}, words)


def checkpoint(given: Arguments) -> int:
    """One line: to be kept where the pool's owner can't write."""
    with connect(start=True) as client:
        line = client.ask("audit-checkpoint", **acting.owner_or_officer(given, client))["checkpoint"]
    return show(given, {"checkpoint": line}, line)


def key(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("audit-key", **acting.owner_or_officer(given, client))
    return show(given, told, told["publicKey"])


# -- verifying


def verify(given: Arguments) -> int:
    """Offline, where a file is given; else what the engine exports now."""
    kept = kept_lines(given.checkpoint)
    public_key = _public_key(given.public_key)
    if given.file is not None:
        return _verify(given, Path(given.file), public_key, kept)
    with tempfile.TemporaryDirectory() as folder, connect(start=True) as client:
        path = Path(folder) / "log"
        file = new_file(path)
        try:
            told = client.ask_into(file, "audit-export", format="chain")
        finally:
            os.close(file)
        return _verify(given, path, public_key or bytes.fromhex(told["publicKey"]), kept)


def kept_lines(texts: list[str] | None) -> list[str]:
    """Checkpoints that were kept elsewhere, each given as a line or as a file of them."""
    return [line for text in texts or [] for line in _text_or_file(text)]


def _text_or_file(text: str) -> list[str]:
    if text.startswith("adyton-checkpoint-"):
        return [text]
    try:
        return Path(text).read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise Failure(f"{text} is no file of checkpoints") from None


def _public_key(text: str | None) -> bytes | None:
    """As hexadecimal digits, or a file of them."""
    if text is None:
        return None
    digits = "64 hexadecimal digits, as adyton audit key prints them"
    try:
        told = text if re.fullmatch(r"[0-9a-fA-F]{64}", text) else Path(text).read_text(errors="replace").strip()
    except FileNotFoundError:
        words = f"--public-key {text} is no public key ({digits}), and no file with one: No such file or directory"
        raise Failure(words) from None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", told):
        raise Failure(f"{text} holds no public key: {digits}")
    return bytes.fromhex(told)


def _records_in_words(first: int, last: int) -> str:
    """Before record 1 there is the head of an export."""
    if last < 1:
        return "head"
    return f"record {first}" if first == last else f"records {first} to {last}"


def _verify(given: Arguments, path: Path, public_key: bytes | None, kept: list[str]) -> int:
    from hsm.audit.verify import verify as judged

    with open(path, encoding="utf-8", errors="replace") as lines:
        verdict = judged(lines, public_key, kept)
    findings = [{"first": f.first, "last": f.last, "what": f.words} for f in verdict.findings]
    told = {
        "log": verdict.log, "first": verdict.first, "last": verdict.last, "signed": verdict.signed,
        "whole": not findings, "findings": findings,
    }
    lines_ = [f"{_records_in_words(f.first, f.last)}: {cell(f.words)}" for f in verdict.findings]
    if not findings:
        lines_ = [f"whole: records {verdict.first} to {verdict.last}, signed up to {verdict.signed}"]
    if public_key is None:
        lines_.append("by the file's own public key, which proves little: give --public-key as it was kept elsewhere")
    if not kept:
        lines_.append("whether its end was cut off is told by a checkpoint that was kept elsewhere: --checkpoint")
    show(given, told, "\n".join(lines_))
    return 1 if findings else 0

