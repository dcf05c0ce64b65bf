"""Times of expiry as people write them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from hsm.cli.command import Failure

_UNITS = {"d": 86400, "h": 3600, "m": 60}
_FORMS = "a date (2026-12-31: its beginning, UTC), a time (2026-12-31T18:00, UTC, or with +02:00), 90d, 12h or never"


def seconds(text: str | None) -> float | None:
    """Since the epoch; None for never, and where nothing was said."""
    if text is None or text.lower() == "never":
        return None
    span = re.fullmatch(r"([0-9]{1,6})([dhm])", text.lower())
    if span:
        return time.time() + int(span[1]) * _UNITS[span[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"{text!r} is no time of expiry: give {_FORMS}") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
