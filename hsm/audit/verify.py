"""Whether an exported log is whole and unaltered, offline: what it takes is the file and the log's public key.

The file is JSON lines: a head, then blocks in their order, each with the hash that the chain had reached, and the
checkpoints at their places. Hashes alone anyone can compute anew, so what counts is what a checkpoint's signature
covers; and a file that ends early is found by a checkpoint that was kept elsewhere. Each finding says which records it
is about: those of one block, or, where hashes were computed anew, those between two checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hsm.audit import chain, checkpoint
from hsm.audit.record import Record

FORMAT = "adyton-audit-1"
DROPPED = "audit-drop"


class Finding(NamedTuple):
    """``first`` and ``last``: the records in question."""

    first: int
    last: int
    words: str


class Verdict(NamedTuple):
    """``findings``: none, where all is well. ``signed``: up to which record a checkpoint vouches for all of it."""

    log: str
    first: int
    last: int
    signed: int
    findings: list[Finding]


def verify(lines: Iterable[str], public_key: bytes | None = None, kept: Iterable[str] = ()) -> Verdict:
    """``public_key``: as the operator got it; where it is None, the file's own counts, which proves little. ``kept``:
    checkpoint lines from elsewhere."""
    reading = _Reading(public_key)
    for number, line in enumerate(lines, 1):
        if line.strip():
            reading.line(number, line)
            if not reading.begun:  # nothing after it says anything without it
                break
    for line in kept:
        if line.strip():
            reading.checkpoint(line, kept=True)
    return reading.verdict()


class _Reading:
    def __init__(self, public_key: bytes | None) -> None:
        self.key = public_key
        self.log = ""
        self.begun = False
        self.after, self.previous = 0, chain.BEGIN
        self.last, self.signed = 0, 0
        self.boundaries: dict[int, bytes] = {}
        self.vouched: set[int] = set()
        self.drops: set[tuple[str, str]] = set()
        self.findings: list[Finding] = []

    def found(self, first: int, last: int, words: str) -> None:
        self.findings.append(Finding(first, last, words))

    def line(self, number: int, line: str) -> None:
        import json

        try:
            read = json.loads(line)
            if not isinstance(read, dict):
                raise ValueError
            if not self.begun:
                self._head(read)
            elif "checkpoint" in read:
                self.checkpoint(str(read["checkpoint"]), kept=False)
            else:
                self._block(int(read["last"]), bytes.fromhex(read["hash"]), read["body"].encode())
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            if self.begun:
                words = f"line {number} can't be read: altered, or no line of an export"
                self.found(self.last + 1, self.last + 1, words)

    def _head(self, read: dict[str, Any]) -> None:
        if read.get("format") != FORMAT:
            raise ValueError
        key, previous, after = bytes.fromhex(read["public_key"]), bytes.fromhex(read["hash"]), int(read["after"])
        if self.key is not None and self.key != key:
            self.found(0, 0, f"the log of another key, {checkpoint.log_id(key)}")
        self.key = self.key or key
        self.log = checkpoint.log_id(self.key)
        self.after = self.last = self.signed = after
        self.previous = self.boundaries[after] = previous
        self.begun = True

    def _block(self, last: int, told: bytes, body: bytes) -> None:
        first = self.last + 1
        records: list[Record] = []
        try:
            records = chain.unpack(last, body)
        except chain.Broken as fault:
            self.found(first, max(first, last), str(fault))
        if records:
            self._in_order(first, records)
            first = records[0].sequence
            self.drops |= {(r.detail.get("through", ""), r.detail.get("hash", "")) for r in records
                           if r.operation == DROPPED}
        if chain.chained(last, self.previous, body) != told:
            self.found(first, max(first, last), "altered, or what is before them was: their hash does not follow")
        self.previous = told
        self.last = max(self.last, last)
        self.boundaries[last] = told

    def _in_order(self, expected: int, records: list[Record]) -> None:
        first, last = records[0].sequence, records[-1].sequence
        if last - first + 1 != len(records):
            self.found(first, last, "their numbers do not follow each other")
        if first > expected:
            self.found(expected, first - 1, "missing")
        elif first < expected:
            self.found(first, last, "in the wrong place, or there twice")

    def checkpoint(self, line: str, *, kept: bool) -> None:
        whose = "the checkpoint that was kept" if kept else "a checkpoint"
        if self.key is None:
            return
        try:
            said = checkpoint.check(line, self.key)
        except checkpoint.Invalid as fault:
            self.found(self.last, self.last, f"{whose}: {fault}")
            return
        at = said.sequence
        if at > self.last:
            words = f"cut off: {whose} tells of {at} records, and here are {self.last}"
            self.found(self.last + 1, at, words)
        elif at < self.after:
            if kept:
                self.found(at, at, f"{whose} is older than what is here: keep the export from before the drop too")
        elif self.boundaries.get(at) != said.hash:
            self.found(self.signed + 1, at, f"not what {whose} at record {at} has signed")
        else:
            self.vouched.add(at)
            self.signed = max(self.signed, at)

    def verdict(self) -> Verdict:
        if not self.begun:
            words = "no exported chain, or its first line is altered: adyton audit export --format chain writes one"
            self.found(0, 0, words)
        if self.after:
            if self.after not in self.vouched:
                self.found(self.after, self.after, "the log begins here, and no checkpoint vouches for it")
            if (str(self.after), self.boundaries[self.after].hex()) not in self.drops:
                self.found(1, self.after, "missing, and no record says that they were dropped")
        if self.signed < self.last:
            self.found(self.signed + 1, self.last, "no checkpoint vouches for them")
        return Verdict(self.log, self.after + 1, self.last, self.signed, sorted(self.findings))
