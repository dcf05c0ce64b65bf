"""Times as people write and read them: moments, and spans of time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from hsm.cli.command import Failure

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_MOMENTS = "a date (2026-12-31: its beginning, UTC), a time (2026-12-31T18:00, UTC, or with +02:00)"


def _span(text: str) -> int | None:
    """Seconds; None where it is no span of time."""
    found = re.fullmatch(r"([0-9]{1,9})([dhms])", text.lower())
    return int(found[1]) * _UNITS[found[2]] if found else None


def span(text: str) -> int:
    """Seconds of a span that a person wrote."""
    found = _span(text)
    if found is None:
        raise Failure(f"{text!r} is no span of time: give 90d, 12h, 15m or 30s")
    return found


def _moment(text: str, wrong: str) -> float:
    """Seconds since the epoch."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(wrong) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def expiry(text: str | None) -> dict[str, float | None]:
    """As a request says it. A span of time stays one, so that an act that is asked for again is the same act."""
    if text is None:
        return {}
    if text.lower() == "never":
        return {"expires": None}
    span = _span(text)
    if span is not None:
        return {"expires_in": span}
    return {"expires": _moment(text, f"{text!r} is no time of expiry: give {_MOMENTS}, 90d, 12h or never")}


def from_now(span: int) -> int:
    """Seconds since the epoch."""
    return int(time.time()) + span


def bound(text: str | None, name: str) -> dict[str, float]:
    """One end of a search, as a request says it: a moment, or a span back from now. ``name``: the option's."""
    if text is None:
        return {}
    span = _span(text)
    if span is not None:
        return {name: max(time.time() - span, 0)}
    wrong = f"--{name} {text!r} is no time: give {_MOMENTS}, or back from now: 90d, 12h, 15m, 30s"
    return {name: _moment(text, wrong)}


def in_words(at: float | None, none: str = "never") -> str:
    return none if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
