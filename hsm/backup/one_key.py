"""One key out of a backup of everything, back into the partition that it was in.

Its secrets lie in the backup as they lay in the store, under that partition's key: so it is the partition itself, here
or restored in another pool, that can take it, while it is open.
"""

from __future__ import annotations

from collections.abc import Iterator

from hsm.backup import rows
from hsm.backup.form import Unfit
from hsm.backup.taking import Taking
from hsm.errors import TokenError
from hsm.objects.about import About
from hsm.partitions import Carried, Partition
from hsm.store import sealing
from pkcs11_shim import constants as ck


def find(partition: Partition, taking: Taking, name: str) -> list[Carried]:
    """All versions, the newest state of each."""
    for told in taking.manifest.partitions:
        private = _private_half(partition, taking, told["slot"])
        if private is None:
            continue
        found = list(_objects(partition, taking, told["slot"], name, private))
        if found:
            return found
        raise TokenError(ck.CKR_ARGUMENTS_BAD, f"the backup has no key {name} of this partition", name)
    words = f"the backup has nothing that lies under the key of partition {partition.slot}: a key can be taken out of a"
    then = "Restore the backup into a pool of its own, and carry the key over by adyton key backup"
    raise TokenError(ck.CKR_ACTION_PROHIBITED, f"{words} backup by the partition that it was in. {then}", name)


def _private_half(partition: Partition, taking: Taking, slot: int) -> bytes | None:
    """That of the partition's own pair, where the partition's key is the one that it had then."""
    for public, private in taking.rows(slot, "partition_keys"):
        try:
            return sealing.unseal(sealing.derive(partition.opened(), b"pair"), private, public)
        except sealing.Damaged:
            return None
    return None


def _objects(partition: Partition, taking: Taking, slot: int, name: str, private: bytes) -> Iterator[Carried]:
    key, head = partition.opened(), taking.head(slot)
    place = rows.Place(partition.pool.store.device_key, head.serial)
    lost = dict(taking.rows(slot, "key_values"))
    for table in rows.OBJECTS:
        for row, about in taking.abouts(slot, table):
            if about.name.lower() != name.lower():
                continue
            try:
                cells = rows.bare(place, table, row)
                assert cells is not None  # of objects none stay
                number, generation, _, told, kind, secret = cells
                attributes = sealing.unpack(rows.raw(told))
                if kind == sealing.INCOMING:
                    attributes |= sealing.unpack(sealing.open_incoming(private, rows.raw(secret), rows.raw(told)))
                elif kind == sealing.SECRET:
                    secrets = sealing.derive(key, b"secret", head.serial, rows.number(number), rows.number(generation))
                    attributes |= sealing.unpack(sealing.unseal(secrets, rows.raw(secret), rows.raw(told)))
                yield Carried(attributes, About(dict(about.said)), _bits(partition, attributes, lost))
            except sealing.Damaged:
                raise Unfit(f"a version of key {name} is damaged in the backup") from None


def _bits(partition: Partition, attributes: dict[int, bytes], lost: dict[bytes, bytes]) -> int:
    """What the value had lost then; all of it where that does not open."""
    fingerprint = partition.values.fingerprint(attributes)
    sealed = lost.get(fingerprint) if fingerprint is not None else None
    if fingerprint is None or sealed is None:
        return 0
    try:
        told = sealing.unseal(sealing.derive(partition.opened(), b"values"), sealed, fingerprint)
    except sealing.Damaged:
        return 0xFFFF
    return int.from_bytes(told, "little")
