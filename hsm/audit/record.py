"""One record of the audit log, as everybody reads it, and what a log answers to who reads it.

On the disk many records are one block (hsm/audit/block.py); a reader never sees how they lie there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """Who did what, with which keys, and what was answered. Never a value, a PIN, or a digest of either.

    ``operation``: the PKCS#11 function (``C_Sign``), or an act of another door or of the engine itself
    (``role-assignment-create``, ``engine-start``). ``rv``: what the client got; 0 is CKR_OK. ``officer``: "" where
    nobody was logged in. ``slot``: -1 for the pool. ``keys``: each ``name/version``, and ``object:CKA_UNIQUE_ID`` for
    what has no name. ``count``: of identical refusals that are told together. ``detail``: reason, subject, attributes,
    action, scope, and what else an act says of itself.
    """

    sequence: int
    time_us: int
    operation: str
    rv: int
    officer: str
    uid: int
    pid: int
    slot: int
    keys: tuple[str, ...]
    mechanism: int | None
    duration_us: int
    count: int  # type: ignore[assignment]  # of a tuple nobody counts here
    detail: dict[str, str]


class Reading(Protocol):
    """How ``hsm.audit.log.Log`` (``pool.audit``) is read. Whatever is queued is written before an answer."""

    @property
    def last(self) -> int:
        """The last record's sequence number; 0 where there is none."""

    def records(self, after: int = 0) -> Iterator[Record]:
        """Those with a higher number than ``after``, in their order; the first there is may be higher than 1, where
        older ones were dropped."""

    def wait(self, after: int, seconds: float) -> bool:
        """Until there is a record with a higher number than ``after``; False where the time ran out first."""

    def public_key(self) -> bytes:
        """Of the checkpoints' signatures: 32 bytes, Ed25519."""

    def checkpoint(self) -> str:
        """One line that says how far the log reached and what it was, signed (hsm/audit/checkpoint.py)."""

    def export(self, write: Callable[[bytes], object]) -> None:
        """The whole chain, line by line, as hsm/audit/verify.py reads it, a checkpoint of its end as its last line."""
