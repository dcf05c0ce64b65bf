"""The store's fault points: where an engine that dies, or a machine without power, leaves something between two states.

Each is named where the work comes by it, and the table says what the next engine finds. ``reach`` does nothing: tests
start engines of their own in which ``watcher`` is a function, that kills. No setting, program or client gets there.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS: dict[str, str] = {
    # A pool is made (hsm/store/folder.py).
    "key-drafted": "a draft of the device key, perhaps by half: a new one is made",
    "key-synced": "the draft, and no store: it is used",
    "store-made": "the store, and the draft: the pool is finished",
    "key-named": "a whole pool",
    # A change (hsm/store/sqlite.py).
    "begun": "nothing of the change",
    "rows-written": "nothing of it: its rows were not committed",
    "heads-written": "nothing of it",
    "committed": "all of it, though nobody was told",
    "remembered": "all of it",
    "forgetting": "all of it; what was destroyed lies in SQLite's log, which the next engine folds in",
    "forgotten": "all of it, and nothing of what was destroyed",
    # A PIN is tried (hsm/store/counters.py).
    "try-begun": "the try as if it had not been made: nor was the PIN looked at",
    "try-written": "it, or not: nobody was answered",
    "try-counted": "the try, counted",
    "room-made": "room for an officer's counter, and no officer",
    # Uses (hsm/audit): their records are written some time after the answer.
    "use-marked": "a mark that uses may have no record: the next engine says so in the log",
}
watcher: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """The work has come to ``point``."""
    if watcher is not None:
        watcher(point)
