"""The audit log's chain: each record's hash covers the one before it, so none can be altered or left out unseen.

The record of a change is written in the change's own transaction. A record is JSON with sorted keys; it names who,
what, where and when, never a value of a key nor a PIN.
"""

from __future__ import annotations

import hashlib

from hsm import clock

BEGIN = bytes(32)


def entry(sequence: int, previous: bytes, record: dict[str, str]) -> tuple[bytes, bytes]:
    """(record, hash) as they are stored: SHA-256 of the sequence number, the previous hash and the record."""
    import json  # an engine that only signs never needs it

    body = json.dumps({"time": f"{clock.now():.6f}", **record}, sort_keys=True, separators=(",", ":")).encode()
    return body, chained(sequence, previous, body)


def chained(sequence: int, previous: bytes, body: bytes) -> bytes:
    return hashlib.sha256(sequence.to_bytes(8, "little") + previous + body).digest()
