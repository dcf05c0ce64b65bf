"""The whole chain as a file: what hsm/audit/verify.py reads, offline.

JSON lines: a head with the public key and where the chain begins, each block with its body as its hash covers it, and
the checkpoints at their places, the last of them at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from hsm.audit import chain, checkpoint
from hsm.audit.verify import FORMAT

if TYPE_CHECKING:
    from hsm.store.sqlite import Store


def write(store: Store, told: chain.Chain, public_key: bytes, end: str, out: Callable[[bytes], object]) -> None:
    """Up to where ``told`` had come; ``end``: a checkpoint of that."""

    def line(**fields: object) -> None:
        out(json.dumps(fields, separators=(",", ":")).encode() + b"\n")

    line(
        format=FORMAT, log=checkpoint.log_id(public_key), public_key=public_key.hex(), after=told.dropped,
        hash=told.dropped_hash.hex(),
    )
    signed = {**dict(store.checkpoints()), told.sequence: end}
    if told.dropped in signed:
        line(checkpoint=signed[told.dropped])
    for sequence, block, chained in store.blocks(told.dropped):
        if sequence > told.sequence:
            break
        try:
            body = chain.body_of(block).decode()
        except (chain.Broken, UnicodeDecodeError):  # which verify finds
            body = ""
        line(last=sequence, hash=chained.hex(), body=body)
        if sequence in signed:
            line(checkpoint=signed[sequence])
