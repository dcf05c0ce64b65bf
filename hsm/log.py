"""The engine's log: lines on standard error, which is engine.log in the pool's folder where the library started it.

A log that can't be written (a full disk) must not stop the engine. Lines say what happened, never a value.
"""

from __future__ import annotations

import sys
import traceback


def say(words: str) -> None:
    try:
        print(f"adyton: {words}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


def report(fault: BaseException) -> None:
    """Where a fault of the engine happened, by file and line: never its text, which may carry values."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)[-4:]]
    say(f"fault {type(fault).__name__} at {' <- '.join(reversed(places))}")
