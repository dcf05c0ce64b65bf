"""The one clock of the engine. Everything that asks for the time asks here, so that a test can move it."""

from __future__ import annotations

import time

_moved: int | None = None  # microseconds; None: the clock is the machine's, and stays it


def move_to(microseconds: int | None) -> None:
    """By how much it is ahead of the machine's: of a pool that was made with a test clock, and of no other."""
    global _moved
    _moved = microseconds


def is_test() -> bool:
    """Whether this is a test clock, which may be moved: all that tells of times says so."""
    return _moved is not None


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time() if _moved is None else time.time() + _moved / 1e6


def microseconds() -> int:
    """The same, as records keep it."""
    return int(now() * 1e6)


def passed() -> int:
    """Microseconds since the machine started, sleep counted in: what no setting of the clock changes."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 + (_moved or 0)


def moment(at: int) -> str:
    """Microseconds since the epoch in words: RFC 3339, UTC."""
    from datetime import UTC, datetime  # which the engine's start can do without

    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
