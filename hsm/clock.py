"""The one clock of the engine. Everything that asks for the time asks here, so that a test can move it."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()


def microseconds() -> int:
    """The same, as records keep it."""
    return int(now() * 1e6)


def passed() -> int:
    """Microseconds since the machine started, sleep counted in: what no setting of the clock changes."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def moment(at: int) -> str:
    """Microseconds since the epoch in words: RFC 3339, UTC."""
    from datetime import UTC, datetime  # which the engine's start can do without

    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
