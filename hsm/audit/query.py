"""Which records somebody wants to see."""

from __future__ import annotations

from typing import Any, NamedTuple

from hsm import clock
from hsm.audit.azure import name_of
from hsm.audit.record import Record
from hsm.errors import code_name, mechanism_name
from pkcs11_shim import constants as ck


class Filter(NamedTuple):
    """All of what is given must fit. ``operation``: as recorded, or Azure's operationName; ``key``: a name, all of its
    versions, or name/version; ``result``: ok, refused, or a code; times are microseconds since the epoch."""

    slot: int | None = None
    officer: str | None = None
    operation: str | None = None
    key: str | None = None
    result: str | None = None
    since: int = 0
    until: int = 1 << 62

    def fits(self, record: Record) -> bool:
        if not self.since <= record.time_us < self.until:
            return False
        if self.slot is not None and record.slot != self.slot:
            return False
        if self.officer is not None and record.officer != self.officer:
            return False
        if self.operation is not None and self.operation.lower() not in (
            record.operation.lower(), name_of(record.operation).lower(),
        ):
            return False
        if self.key is not None and not any(
            key.lower() == self.key.lower() or key.partition("/")[0].lower() == self.key.lower() for key in record.keys
        ):
            return False
        return self.result is None or self._came_out(record)

    def _came_out(self, record: Record) -> bool:
        if self.result in ("ok", "refused"):
            return (record.rv == ck.CKR_OK) == (self.result == "ok")
        return code_name(record.rv).lower() == str(self.result).lower()


def row(record: Record) -> dict[str, Any]:
    """A record as the command line and JSON tell it."""
    return {
        "sequence": record.sequence, "time": clock.moment(record.time_us), "operation": record.operation,
        "operationName": name_of(record.operation), "result": code_name(record.rv),
        "officer": record.officer or None, "uid": record.uid, "pid": record.pid,
        "partition": record.slot if record.slot >= 0 else None, "keys": list(record.keys),
        "mechanism": None if record.mechanism is None else mechanism_name(record.mechanism),
        "durationMs": round(record.duration_us / 1000, 3), "count": record.count, "detail": dict(record.detail),
    }
