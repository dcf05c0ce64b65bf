"""Heads: what a pool, and each of its partitions, knows of itself, sealed under the device key and kept twice.

A partition's head adds up all its rows (an incremental accumulator over keyed hashes), so one that was deleted, put
back or swapped is noticed; the pool's head knows its partitions, how far each was written, and where the audit log
ends. Each copy is written in the transaction that it tells of: of two that open, the later one counts.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from hsm.audit.chain import Chain
from hsm.confinement.arena import Secret
from hsm.store import sealing
from hsm.store.domain_head import DomainHead

_NUMBERS = struct.Struct("<QQQ32s")  # generation, next object id, rows, accumulator
_SERIAL, _KIND, _LABEL, _INITIALISED, _COUNTS, _FIRST_TRIES, _LEGACY, _TRIES, _RECOVERY, _RULE = range(1, 11)
_WEAK, _PROFILE, _IVS, _RETENTION, _DELETED, _PROTECTED, _KEY_LIMITS, _COPY = range(11, 19)
_WRITTEN, _NEXT_SLOT, _SLOTS, _SEQUENCE, _HASH, _CHAIN, _TIME, _GUARDED, _TEST_CLOCK, _DOMAIN = range(1, 11)
_LOG = struct.Struct("<2Q32s3Q")  # hsm.audit.chain.Chain, but for its first two fields
_SEEN = struct.Struct("<2Q")
_DELETION = struct.Struct("<2Q")
_RULE_NUMBERS = struct.Struct("<BI?")
_MODULUS = 1 << 256


def _packed(numbers: dict[int, int]) -> bytes:
    return struct.pack(f"<{2 * len(numbers)}Q", *(number for pair in numbers.items() for number in pair))


def _pairs(raw: bytes) -> dict[int, int]:
    flat = struct.unpack(f"<{len(raw) // 8}Q", raw)
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Rule(NamedTuple):
    """The two-person rule (hsm/access/quorum.py): how many officers it takes for an act of these kinds (0: there is no
    rule), and for how many hours a proposal stands. It sleeps until there are so many Administrators, and from then on
    is ``awake``, whatever becomes of them."""

    officers: int = 0
    acts: tuple[str, ...] = ()
    hours: int = 24
    awake: bool = False

    def pack(self) -> bytes:
        return _RULE_NUMBERS.pack(self.officers, self.hours, self.awake) + " ".join(self.acts).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> Rule:
        officers, hours, awake = _RULE_NUMBERS.unpack_from(raw)
        return cls(officers, tuple(raw[_RULE_NUMBERS.size :].decode().split()), hours, awake)


class Switches(NamedTuple):
    """What a partition's Administrator may turn. ``legacy``: mechanisms and key types that are no longer safe are
    offered. ``weak_token_keys``: too short keys may be token keys. ``profile``: one of hsm/access/profile.py.
    ``purge_protection``: what was deleted stays until its time has come; on for ever. ``limits``: on keys and versions,
    one of hsm/access/kinds.py."""

    legacy: bool = False
    weak_token_keys: bool = False
    profile: str = "strict"
    purge_protection: bool = False
    limits: str = "none"


class Deletion(NamedTuple):
    """When a partition was deleted, and when it goes for good: microseconds, as the pool has seen time pass."""

    at: int
    purge: int


class PartitionHead:
    """``tries`` are the generations that the officers' PIN counters had reached, by the counters' numbers: an older
    counters file is not believed. ``recovery``: the Administrator keeps a copy of the partition key when there are
    other officers. ``ivs``: how many IVs the token has made, or may have: the next is of this number. ``retention``:
    days for which deleting can be taken back, 0 for none. ``deleted``: the partition itself was. ``covered``: which
    security domain's download covers it, and its key sealed to that."""

    __slots__ = (
        "covered", "deleted", "generation", "initialised", "ivs", "kind", "label", "next_id", "recovery", "retention",
        "rows", "rule", "serial", "slot", "switches", "total", "tries",
    )

    def __init__(self, slot: int, serial: bytes, kind: bytes = b"token") -> None:
        self.slot = slot
        self.serial = serial
        self.kind = kind
        self.label = b""
        self.initialised = False
        self.switches = Switches()
        self.ivs = 0
        self.recovery = True
        self.retention = 0
        self.deleted: Deletion | None = None
        self.covered = b""
        self.rule = Rule()
        self.generation = 0
        self.next_id = 1
        self.rows = 0
        self.total = 0
        self.tries: dict[int, int] = {}

    def copy(self) -> PartitionHead:
        made = PartitionHead(self.slot, self.serial, self.kind)
        for name in (
            "label", "initialised", "switches", "ivs", "recovery", "retention", "deleted", "covered", "rule",
            "generation", "next_id", "rows", "total",
        ):
            setattr(made, name, getattr(self, name))
        made.tries = dict(self.tries)
        return made

    def count(self, weight: int) -> None:
        """A row came in; a negative weight: it went."""
        self.rows += 1 if weight > 0 else -1
        self.total = (self.total + weight) % _MODULUS

    def fields(self) -> dict[int, bytes]:
        """All that the head says, by number; not its slot, under which it is sealed."""
        numbers = _NUMBERS.pack(self.generation, self.next_id, self.rows, self.total.to_bytes(32, "little"))
        fields = {
            _SERIAL: self.serial, _KIND: self.kind, _LABEL: self.label, _INITIALISED: bytes([self.initialised]),
            _COUNTS: numbers, _TRIES: _packed(self.tries), _LEGACY: bytes([self.switches.legacy]),
            _RECOVERY: bytes([self.recovery]), _RULE: self.rule.pack(),
            _WEAK: bytes([self.switches.weak_token_keys]), _PROFILE: self.switches.profile.encode(),
            _IVS: self.ivs.to_bytes(8, "little"), _RETENTION: self.retention.to_bytes(2, "little"),
            _PROTECTED: bytes([self.switches.purge_protection]), _KEY_LIMITS: self.switches.limits.encode(),
        }
        if self.covered:
            fields[_COPY] = self.covered
        if self.deleted is not None:
            fields[_DELETED] = _DELETION.pack(*self.deleted)
        return fields

    def seal(self, device_key: Secret) -> bytes:
        return sealing.seal(sealing.derive(device_key, b"partition", self.slot), sealing.pack(self.fields()), b"")

    @classmethod
    def unseal(cls, device_key: Secret, slot: int, sealed: bytes) -> PartitionHead:
        return cls.of(slot, sealing.unpack(sealing.unseal(sealing.derive(device_key, b"partition", slot), sealed, b"")))

    @classmethod
    def of(cls, slot: int, fields: dict[int, bytes]) -> PartitionHead:
        made = cls(slot, fields[_SERIAL], fields[_KIND])
        made.label, made.initialised = fields[_LABEL], fields[_INITIALISED] == b"\x01"
        # Heads of earlier releases say nothing of some of them.
        legacy, weak, protected = (fields.get(field) == b"\x01" for field in (_LEGACY, _WEAK, _PROTECTED))
        profile, limits = fields.get(_PROFILE, b"strict").decode(), fields.get(_KEY_LIMITS, b"none").decode()
        made.switches = Switches(legacy, weak, profile, protected, limits)
        made.retention = int.from_bytes(fields.get(_RETENTION, b""), "little")
        made.covered = fields.get(_COPY, b"")
        made.deleted = Deletion(*_DELETION.unpack(fields[_DELETED])) if _DELETED in fields else None
        made.ivs = int.from_bytes(fields.get(_IVS, b""), "little")
        made.generation, made.next_id, made.rows, total = _NUMBERS.unpack(fields[_COUNTS])
        made.total = int.from_bytes(total, "little")
        made.recovery = fields.get(_RECOVERY) != b"\x00"
        made.rule = Rule.unpack(fields[_RULE]) if _RULE in fields else Rule()
        if _TRIES in fields:
            made.tries = _pairs(fields[_TRIES])
        else:  # a head of the first release, whose partitions had eight counters each, and two officers
            first = fields[_FIRST_TRIES][:16]
            made.tries = dict(enumerate(struct.unpack(f"<{len(first) // 8}Q", first), 8 * slot))
        return made


class PoolHead:
    """``slots``: each partition and the generation its head has reached. ``chain``: how far the audit log has come.
    ``wall`` and ``seen``: the clock, and the time that the pool had seen, when this was written (time_seen.py).
    ``guarded``: whether there is a rollback guard (guard.py), whose absence means something. ``test_clock``: by how
    many microseconds the clock of a pool that was made for tests has been moved; None in any other."""

    __slots__ = ("chain", "domain", "generation", "guarded", "next_slot", "seen", "slots", "test_clock", "wall")

    def __init__(self, chain: Chain) -> None:
        self.generation = 0
        self.next_slot = 0
        self.slots: dict[int, int] = {}
        self.chain = chain
        self.wall = self.seen = 0
        self.guarded = False
        self.test_clock: int | None = None
        self.domain = DomainHead()

    def copy(self) -> PoolHead:
        made = PoolHead(self.chain)
        made.generation, made.next_slot = self.generation, self.next_slot
        made.wall, made.seen, made.guarded = self.wall, self.seen, self.guarded
        made.test_clock, made.domain = self.test_clock, self.domain
        made.slots = dict(self.slots)
        return made

    def seal(self, device_key: Secret) -> bytes:
        fields = {
            _WRITTEN: struct.pack("<Q", self.generation), _NEXT_SLOT: struct.pack("<Q", self.next_slot),
            _SLOTS: _packed(self.slots), _SEQUENCE: struct.pack("<Q", self.chain.sequence),
            _HASH: self.chain.hash, _CHAIN: _LOG.pack(*self.chain[2:]), _TIME: _SEEN.pack(self.wall, self.seen),
            _GUARDED: bytes([self.guarded]),
        }
        if self.domain != DomainHead():
            fields[_DOMAIN] = self.domain.pack()
        if self.test_clock is not None:
            fields[_TEST_CLOCK] = struct.pack("<Q", self.test_clock)
        return sealing.seal(sealing.derive(device_key, b"pool"), sealing.pack(fields), b"")

    @classmethod
    def unseal(cls, device_key: Secret, sealed: bytes) -> PoolHead:
        fields = sealing.unpack(sealing.unseal(sealing.derive(device_key, b"pool"), sealed, b""))
        reached = int.from_bytes(fields[_SEQUENCE], "little"), fields[_HASH]
        # Heads of the first two releases say no more.
        made = cls(Chain(*reached, *_LOG.unpack(fields[_CHAIN])) if _CHAIN in fields else Chain(*reached))
        made.generation = int.from_bytes(fields[_WRITTEN], "little")
        made.next_slot = int.from_bytes(fields[_NEXT_SLOT], "little")
        made.slots = _pairs(fields[_SLOTS])
        made.wall, made.seen = _SEEN.unpack(fields[_TIME]) if _TIME in fields else (0, 0)
        made.guarded = fields.get(_GUARDED) == b"\x01"
        if _DOMAIN in fields:
            made.domain = DomainHead.unpack(fields[_DOMAIN])
        if _TEST_CLOCK in fields:
            made.test_clock = int.from_bytes(fields[_TEST_CLOCK], "little")
        return made


class Weigher:
    """What one row adds to its partition's accumulator: a hash under a key of the pool's own."""

    def __init__(self, device_key: Secret) -> None:
        self._key = sealing.derive_held(device_key, b"accumulator")

    def weigh(self, serial: bytes, table: str, row: tuple[object, ...]) -> int:
        told = b"".join([serial, table.encode(), *map(_told, row)])
        return int.from_bytes(hashlib.blake2b(told, key=self._key, digest_size=32).digest(), "little") | 1


def _told(value: object) -> bytes:
    """A cell, so that no two rows run into each other: its kind, its length, itself."""
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if value is None:
        return b"n"
    raw = str(value).encode()
    return b"%b%d:%b" % (type(value).__name__.encode(), len(raw), raw)
