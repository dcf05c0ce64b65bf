"""A partition's rows without the device key, and under another one: what makes a backup open in another pool.

What lies under the partition key (secrets, private objects, what key values have lost) goes along as it is: neither who
backs up nor who restores can open it, only an officer's PIN, here as there. What lies under the device key is opened
and sealed anew. Of records go along all but proposals, which are about that very moment, and the copies that a file of
that machine opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from hsm.backup.form import Cell, Cells
from hsm.confinement.arena import Secret
from hsm.objects.about import About
from hsm.store import records, sealing
from hsm.store.heads import PartitionHead

OBJECTS = ("objects", "deleted_objects")
LEFT_OUT = frozenset(map(records.kind_of, (records.Proposal, records.Unattended)))
OFFICER = records.kind_of(records.Officer)
PARTITION = "partition"  # a row of this table begins one
COUNTED = ("rows", "keys", "objects", "deleted", "officers")


class Place(NamedTuple):
    """Where rows lie: which pool's device key, and which partition."""

    device_key: Secret
    serial: bytes

    def about(self, number: Any) -> bytes:
        return sealing.derive(self.device_key, b"about", self.serial, number)

    def public(self, number: Any, generation: Any) -> bytes:
        return sealing.derive(self.device_key, b"public", self.serial, number, generation)

    def record(self, kind: Any, name: Any) -> bytes:
        return sealing.derive(self.device_key, str(kind).encode(), self.serial, str(name).encode())


def bare(place: Place, table: str, row: tuple[Any, ...]) -> Cells | None:
    """A row as it goes into a backup, less its slot; None where it stays. Raises sealing.Damaged."""
    if table in OBJECTS:
        number, generation, about, public, secret = row
        said = None if about is None else sealing.unseal(place.about(number), about, b"")
        told, kind = sealing.unseal_public(place.public(number, generation), public, secret is not None)
        return number, generation, said, told, kind, secret
    if table == "records":
        kind, name, sealed = row
        if kind in LEFT_OUT:
            return None
        return kind, name, sealing.unseal(place.record(kind, name), sealed, b"")
    return row


def sealed(place: Place, table: str, cells: Cells) -> tuple[Any, ...]:
    """The row that these cells are in another pool. Officers' records are made there by themselves."""
    if table in OBJECTS:
        number, generation, said, told, kind, secret = cells
        about = None if said is None else sealing.seal(place.about(number), raw(said), b"")
        public = sealing.seal(place.public(number, generation), raw(told), raw(kind))
        return number, generation, about, public, secret
    if table == "records":
        kind, name, told = cells
        return kind, name, sealing.seal(place.record(kind, name), raw(told), b"")
    return cells


def raw(cell: Cell) -> bytes:
    if not isinstance(cell, bytes):
        raise sealing.Damaged
    return cell


def number(cell: Cell) -> int:
    if not isinstance(cell, int):
        raise sealing.Damaged
    return cell


def head_cells(head: PartitionHead) -> Cells:
    return head.slot, sealing.pack(head.fields())


def head_of(cells: Cells) -> PartitionHead:
    slot, fields = cells
    return PartitionHead.of(number(slot), sealing.unpack(raw(fields)))


def counts(slot: int, cells: Cells) -> Iterator[str]:
    """What a row of a backup, its table before it, adds to what the manifest counts."""
    table = cells[0]
    yield f"{slot}/rows"
    if table in OBJECTS:
        yield f"{slot}/objects" if table == "objects" else f"{slot}/deleted"
        said = cells[3]
        if isinstance(said, bytes) and not About(sealing.unpack(said)).is_public:
            yield f"{slot}/keys"
    elif table == "records" and cells[1] == OFFICER:
        yield f"{slot}/officers"
