"""One record of the audit log, as everybody reads it.

On the disk many records are one block (hsm/audit/chain.py); a reader never sees how they lie there.
"""

from __future__ import annotations

from typing import NamedTuple


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
