"""How much time a pool's engines have seen pass, for what may go once it is old: the clock can be set, this can't.

While an engine runs it is the machine's own count. What passed while none ran is what the clock says, a day at most and
never less than nothing: a clock that is set ten years ahead makes nothing old, and what is late is done later.
"""

from __future__ import annotations

from hsm import clock

AWAY_AT_MOST = 86_400_000_000  # microseconds
JUMP = 300_000_000  # by which clock and machine may differ between two commits: adjtime, leap seconds, a slow disk


class TimeSeen:
    """Microseconds since the epoch, as this pool has seen them. ``wall``, ``seen``: clock and count at the last
    commit; 0 in a new pool, or one of a version that kept none."""

    def __init__(self, wall: int = 0, seen: int = 0) -> None:
        now = clock.microseconds()
        away = min(max(now - wall, 0), AWAY_AT_MOST) if wall else 0
        self._begun = (seen or now) + away
        self._at = clock.passed()
        self._told = self._asked = now, self._at

    def now(self) -> int:
        return self._begun + clock.passed() - self._at

    def jump(self) -> int:
        """By how much the clock was set, against the machine's count, since the log last said so; 0: it was not."""
        self._asked = clock.microseconds(), clock.passed()
        moved = (self._asked[0] - self._told[0]) - (self._asked[1] - self._told[1])
        return moved if abs(moved) > JUMP else 0

    def told(self) -> None:
        """What was asked last is in the log, committed."""
        self._told = self._asked
