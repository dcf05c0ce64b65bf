"""Secrets of keys that nobody uses just now: sealed in the engine's memory too, under a key of the moment.

A partition that is open has its objects in memory, so that searches are fast. What its keys are made of is not needed
for that: it is folded when the partition opens and again at the last logout, and unfolded by a key's first use.
"""

from __future__ import annotations

from hsm.confinement.arena import ARENA
from hsm.confinement.wiping import overwrite
from hsm.store import sealing


class Folds:
    """The key of the moment is one opening's: a partition that is sealed and opened again has another."""

    def __init__(self) -> None:
        self._key = ARENA.random()

    def fold(self, secrets: dict[int, bytes]) -> bytes:
        packed = [sealing.pack(secrets)]
        folded = sealing.seal(self._key, packed[0], b"")
        overwrite(packed)
        return folded

    def unfold(self, folded: bytes) -> dict[int, bytes]:
        packed = [sealing.unseal(self._key, folded, b"")]
        secrets = sealing.unpack(packed[0])
        overwrite(packed)
        return secrets
