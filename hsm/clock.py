"""The one clock of the engine. Everything that asks for the time asks here, so that a test can move it."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()
