"""The chain: each block's hash covers the one before it, so none can be altered, left out or moved unseen.

A block is one row of the store: many records of use that were written together, and the record of the change, if any,
in whose transaction that was. Its body is JSON: what records have in common once, and of each its times. The first two
releases' blocks hold one record each, in a form of their own, and go on as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm import clock

if TYPE_CHECKING:
    from hsm.audit.record import Record

BEGIN = bytes(32)
FORM = 2
LARGEST = 4096  # records of one block

# What is queued: when it ended (seconds), how long it took (nanoseconds), and what it has in common with others:
# operation, rv, officer, uid, pid, slot, keys as (name, version), mechanism, detail as (name, value).
Said = tuple[tuple[str, str], ...]
Context = tuple[str, int, str, int, int, int, Said, int | None, Said]
Entry = tuple[float, int, Context]


class Chain(NamedTuple):
    """How far the log has come, as the pool's head keeps it: the last record and hash; bytes kept; what has been
    dropped, up to which record and hash; what has been exported; what the last checkpoint was and when."""

    sequence: int = 0
    hash: bytes = BEGIN
    size: int = 0
    dropped: int = 0
    dropped_hash: bytes = BEGIN
    exported: int = 0
    signed: int = 0
    signed_us: int = 0


class Broken(ValueError):
    """A body that is none of ours."""


def chained(last: int, previous: bytes, body: bytes) -> bytes:
    """SHA-256 of the block's last sequence number, the hash before it and its body."""
    return hashlib.sha256(last.to_bytes(8, "little") + previous + body).digest()


def pack(first: int, entries: Iterable[Entry]) -> tuple[bytes, int]:
    """(body, number of records). Refusals that are the same are told once, with their number, where the first was."""
    import json  # an engine that has nothing to write never needs it

    contexts: dict[Context, int] = {}
    which: list[int] = []
    times: list[int] = []
    durations: list[int] = []
    counts: dict[int, int] = {}
    refused: dict[int, int] = {}
    before = 0
    for ended, duration, context in entries:
        number = contexts.setdefault(context, len(contexts))
        if context[1]:
            row = refused.setdefault(number, len(which))
            if row < len(which):
                counts[row] = counts.get(row, 1) + 1
                continue
        now = int(ended * 1e6)
        which.append(number)
        times.append(now - before)
        durations.append(duration // 1000)
        before = now
    besides = {"clock": "test"} if clock.is_test() else {}
    told = [
        (*context[:6], list(map(key_text, context[6])), context[7], dict(context[8]) | besides) for context in contexts
    ]
    body = [FORM, first, told, which, times, durations, list(counts.items())]
    return json.dumps(body, separators=(",", ":")).encode(), len(which)


def key_text(named: tuple[str, str]) -> str:
    """``name/version``; an object that has no name goes by its CKA_UNIQUE_ID."""
    name, version = named
    return f"{name}/{version}" if name else f"object:{version}"


def is_old(block: bytes) -> bool:
    """Whether this is one record of the first two releases, which told of changes only."""
    return block[:1] == b"{"


def body_of(block: bytes) -> bytes:
    """A block as it lies in the store, as its hash covers it."""
    import zlib

    if is_old(block):
        return block
    try:
        return zlib.decompress(block)
    except zlib.error:
        raise Broken("a block that can't be unpacked") from None


def unpack(last: int, body: bytes) -> list[Record]:
    """The records of a block. Raises Broken for what no engine has written."""
    import json

    try:
        read = json.loads(body)
        found = [_of_old(last, read)] if isinstance(read, dict) else list(_of_block(*read))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError):
        raise Broken(f"the block that ends with record {last} can't be read") from None
    if not found or found[-1].sequence != last:
        raise Broken(f"the block that ends with record {last} says otherwise")
    return found


def _of_block(
    form: int, first: int, contexts: list[list[Any]], which: list[int], times: list[int], durations: list[int],
    counts: list[list[int]],
) -> Iterable[Record]:
    from hsm.audit.record import Record  # an engine that reads nothing back starts without it

    if form != FORM or not len(which) == len(times) == len(durations):
        raise Broken("a form of another version")
    repeated = {row: count for row, count in counts}
    now = 0
    for row, (number, passed, duration) in enumerate(zip(which, times, durations, strict=True)):
        now += passed
        operation, rv, officer, uid, pid, slot, keys, mechanism, detail = contexts[number]
        yield Record(
            first + row, now, operation, rv, officer, uid, pid, slot, tuple(keys), mechanism, duration,
            repeated.get(row, 1), dict(detail),
        )


def _of_old(last: int, read: dict[str, str]) -> Record:
    """A change, as the first two releases told it."""
    from hsm.audit.record import Record

    rest = dict(read)
    now = int(float(rest.pop("time")) * 1e6)
    officer, uid, pid, slot = (rest.pop(name, other) for name, other in _OLD)
    keys = tuple(f"object:{unique}" for unique in rest.pop("objects", "").split())
    return Record(
        last, now, rest.pop("act"), 0, officer, int(uid), int(pid), int(slot), keys, None, 0, 1, rest
    )


_OLD = (("officer", ""), ("uid", "-1"), ("pid", "-1"), ("slot", "-1"))
