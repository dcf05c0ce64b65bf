"""Checkpoints: one signed line says how far the log had come and what its hash was then.

Who keeps such a line elsewhere can tell later, from an exported log and the public key alone, that nothing up to there
was altered or cut off. The line is ASCII; the signature (Ed25519) covers all of it that stands before `` signature=``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from hsm import clock

_LINE = re.compile(
    r"adyton-checkpoint-1 log=([0-9a-f]{32}) sequence=([0-9]{1,18}) hash=([0-9a-f]{64}) "
    r"time=([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z) signature=([A-Za-z0-9+/]{86}==)"
)


class Checkpoint(NamedTuple):
    log: str
    sequence: int
    hash: bytes
    time: str


class Invalid(ValueError):
    """No checkpoint of that log: why, in words."""


def new_key() -> tuple[bytes, bytes]:
    """(private, public) for a new pool's log."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def log_id(public_key: bytes) -> str:
    """The log's name is its key's fingerprint."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def sign(private_key: bytes, public_key: bytes, sequence: int, chain_hash: bytes, now: int) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    told = f"adyton-checkpoint-1 log={log_id(public_key)} sequence={sequence} hash={chain_hash.hex()}"
    told += f" time={clock.moment(now)}"
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(told.encode())
    return f"{told} signature={base64.b64encode(signature).decode()}"


def check(line: str, public_key: bytes) -> Checkpoint:
    """What a line says, if it is that log's. Raises Invalid."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise Invalid("not a checkpoint line, or one that was cut or wrapped")
    log, sequence, chain_hash, when, signature = found.groups()
    if log != log_id(public_key):
        raise Invalid(f"a checkpoint of another log: {log}, where this key's is {log_id(public_key)}")
    told = line.strip().rpartition(" signature=")[0].encode()
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(base64.b64decode(signature, validate=True), told)
    except (InvalidSignature, binascii.Error):
        raise Invalid(f"the signature of the checkpoint at record {sequence} is wrong") from None
    return Checkpoint(log, int(sequence), bytes.fromhex(chain_hash), when)
