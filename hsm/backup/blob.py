"""One key in a file: all its versions, sealed for the pools of one security domain.

A key's secrets lie under the key of the partition that it is in, which no other partition has. So the engine opens
them, while that partition is open, and seals them again under a key that it derives from the data-wrapping key for this
one blob: in clear they are nowhere else than where keys are used. What the value has lost comes along, and is lost
wherever the key is restored.
"""

from __future__ import annotations

import hashlib
import os
import struct

from hsm.backup.form import Unfit
from hsm.backup.wrapping import Wrapping
from hsm.confinement.wiping import overwrite
from hsm.objects.about import About
from hsm.partitions import Carried
from hsm.store import sealing

VERSION = 1
LONGEST = 64 << 20
_MAGIC = b"ADYTONKY"
_HEAD = struct.Struct("<8sH6x16s16s")  # what it is, version, domain, the blob's own number
HEAD = _HEAD.size
_ATTRIBUTES, _ABOUT, _BITS = range(3)


def _domain(wrapping: Wrapping) -> bytes:
    return hashlib.sha256(wrapping.domain.encode()).digest()[:16]


def seal(wrapping: Wrapping, rows: list[Carried]) -> bytes:
    head = _HEAD.pack(_MAGIC, VERSION, _domain(wrapping), os.urandom(16))
    packed = [sealing.pack({number: _pack(row) for number, row in enumerate(rows)})]
    blob = head + sealing.seal(sealing.derive(wrapping.key, b"key backup", head), packed[0], head)
    overwrite(packed)
    return blob


def _pack(row: Carried) -> bytes:
    return sealing.pack({
        _ATTRIBUTES: sealing.pack(row.attributes), _ABOUT: sealing.pack(dict(row.known.said)),
        _BITS: row.bits.to_bytes(8, "little"),
    })


def unseal(wrapping: Wrapping, blob: bytes) -> tuple[str, list[Carried]]:
    """The key's name, and its objects."""
    if len(blob) < _HEAD.size or blob[:8] != _MAGIC:
        raise Unfit("the file is no backup of a key, as adyton key backup makes one")
    head = blob[: _HEAD.size]
    _, version, domain, _ = _HEAD.unpack(head)
    if version != VERSION:
        raise Unfit(f"the file has version {version} of the format, this engine knows {VERSION}")
    if domain != _domain(wrapping):
        raise Unfit("the key was backed up in another security domain: only pools of that one can take it")
    try:
        packed = [sealing.unseal(sealing.derive(wrapping.key, b"key backup", head), blob[_HEAD.size :], head)]
        rows = [_unpack(raw) for raw in sealing.unpack(packed[0]).values()]
        overwrite(packed)
        if len({row.known.name.lower() for row in rows}) != 1:
            raise sealing.Damaged
    except (sealing.Damaged, KeyError, ValueError):
        raise Unfit("the file is damaged, or was altered") from None
    return rows[0].known.name, rows


def _unpack(raw: bytes) -> Carried:
    found = sealing.unpack(raw)
    known = About(sealing.unpack(found[_ABOUT]))
    return Carried(sealing.unpack(found[_ATTRIBUTES]), known, int.from_bytes(found[_BITS], "little"))
