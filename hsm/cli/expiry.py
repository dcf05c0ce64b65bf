"""Times of expiry as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hsm.cli.command import Failure

_UNITS = {"d": 86400, "h": 3600, "m": 60}
_FORMS = "a date (2026-12-31: its beginning, UTC), a time (2026-12-31T18:00, UTC, or with +02:00), 90d, 12h or never"


def fields(text: str | None) -> dict[str, float | None]:
    """As a request says it. A span of time stays one, so that an act that is asked for again is the same act."""
    if text is None:
        return {}
    if text.lower() == "never":
        return {"expires": None}
    span = re.fullmatch(r"([0-9]{1,6})([dhm])", text.lower())
    if span:
        return {"expires_in": int(span[1]) * _UNITS[span[2]]}
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"{text!r} is no time of expiry: give {_FORMS}") from None
    return {"expires": (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()}
