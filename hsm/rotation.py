"""Rotation: a new version of a key, like the newest one, made on demand or when its policy says so.

A policy is Azure's: so long after the newest version was created, or before it expires, and how long a new version is
good for. The engine rotates on its clock whether the partition is open or sealed: what a new version must be like is
known without the partition's key (hsm/objects/about.py), and its secret is sealed so that the next login brings it in
(hsm/store/transaction.py).
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hsm import clock
from hsm.errors import TokenError
from hsm.log import say
from hsm.mechanisms.registry import MECHANISMS
from hsm.objects import about, templates
from hsm.objects import attributes as table
from hsm.objects.about import About
from hsm.store.records import RotationPolicy
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.mechanisms.entry import Function, Mechanism
    from hsm.partitions import Partition
    from hsm.store.key_names import Version

_DURATION = re.compile(r"P(?=.)(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?")
LONGEST = 36525 * 86400  # seconds of a policy's durations: a hundred years
_TRUE = {ck.CKA_TOKEN: table.TRUE}


def after(moment: int, duration: str, sign: int = 1) -> int:
    """Seconds since the epoch, a duration of ISO 8601 later (years, months, weeks, days), or earlier with ``sign`` -1.
    ValueError for what is no such duration."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(duration)
    years, months, weeks, days = (int(part or 0) for part in found.groups())
    start = datetime.fromtimestamp(moment, UTC)
    month = start.year * 12 + start.month - 1 + sign * (12 * years + months)
    if not 12 <= month < 12 * 9999:
        raise ValueError(duration)
    first = start.replace(year=month // 12, month=month % 12 + 1, day=1)
    try:
        return int((first + timedelta(days=start.day - 1 + sign * (7 * weeks + days))).timestamp())
    except OverflowError:
        raise ValueError(duration) from None


class Rotations:
    """The rotation policies of one partition's keys. Callers hold the partition's lock, but for ``rotate``."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._store = partition.pool.store
        self.policies: dict[str, RotationPolicy] = {}
        self.load()

    def load(self) -> None:
        found = self._store.records(self._partition.slot, RotationPolicy)
        self.policies = {name: policy for name, policy in found.items() if policy is not None}

    def newest(self, name: str) -> Version | None:
        """The newest version that has a secret."""
        with self._store.lock:
            versions = self._store.key_names(self._partition.slot).versions(name)
        return next((version for version in versions if version.has_secret), None)

    def set(self, policy: RotationPolicy, record: dict[str, str]) -> None:
        with self._store.transaction() as tx:
            tx.put_record(self._partition.slot, policy)
            tx.audit(record)
        self.policies[policy.name] = policy
        self._partition.pool.upkeep.wake()

    def due_at(self, policy: RotationPolicy) -> int:
        """When the key is to be rotated, in seconds since the epoch; 0: never, or it is not there."""
        version = self.newest(policy.name)
        if version is None:
            return 0
        if policy.after_create:
            return after(version.about.created, policy.after_create)
        expires = version.about.expires
        return after(expires, policy.before_expiry, -1) if policy.before_expiry and expires else 0

    def next_in(self) -> int | None:
        """Microseconds until one is due; None where none will be."""
        due = [at for at in map(self.due_at, self.policies.values()) if at]
        return int((min(due) - clock.now()) * 1e6) if due else None

    def due(self) -> list[tuple[str, int]]:
        """The names to be rotated now, and when each was due."""
        now = clock.now()
        found = [(policy.key, self.due_at(policy)) for policy in self.policies.values()]
        return [(name, at) for name, at in found if at and at <= now]

    def rotate_due(self) -> None:
        with self._partition.lock:
            due = self.due()
        for name, at in due:
            record = {"act": "key-rotate", "slot": str(self._partition.slot), "pid": str(os.getpid())}
            try:
                self.rotate(name, {**record, "uid": str(os.geteuid()), "due": str(at)})
            except TokenError as refusal:  # which keeps no other key from being rotated
                say(f"partition {self._partition.slot}: key {name} was to be rotated: {refusal.reason}")

    def rotate(self, name: str, record: dict[str, str]) -> str:
        """Makes the new version, and returns it. The key is generated with no lock held."""
        partition = self._partition
        version = self.newest(name)
        if version is None:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"there is no key {name} with a secret of its own to rotate", name)
        rows = _made(version)
        policy = self.policies.get(name.lower())
        expires = after(int(clock.now()), policy.expiry_time) if policy is not None and policy.expiry_time else 0
        said = {about.NAME: version.name.encode(), about.VERSION: os.urandom(16).hex().encode()}
        said |= {about.EXPIRES: expires.to_bytes(8, "little")} if expires else {}
        said |= {about.TAGS: version.about.said[about.TAGS]} if about.TAGS in version.about.said else {}
        with partition.lock:
            if self.newest(name) is None:
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"key {name} was deleted meanwhile", name)
            partition.put_version(rows, About(said), record)
        partition.pool.upkeep.wake()
        return said[about.VERSION].decode()


def _maker(key_type: int, *, pair: bool) -> tuple[Mechanism, Function]:
    """The mechanism that makes keys of this type, and how."""
    for entry in MECHANISMS.values():
        make = entry.generate_pair if pair else entry.generate
        if make is not None and key_type in entry.key_types and not entry.told:
            return entry, make
    raise TokenError(ck.CKR_MECHANISM_INVALID, "keys of this type are not made here, so there is nothing to rotate to")


def _made(version: Version) -> list[dict[int, bytes]]:
    """The complete objects of another version like this one."""
    whole = {about.key_class: about.said for about in version.objects.values()}
    secret = ck.CKO_SECRET_KEY in whole
    key_class = ck.CKO_SECRET_KEY if secret else ck.CKO_PRIVATE_KEY
    like = {number: value for number, value in whole[key_class].items() if number in about.FORM}
    entry, make = _maker(version.about.number(ck.CKA_KEY_TYPE), pair=not secret)
    common = _TRUE | {ck.CKA_LABEL: version.name.encode(), ck.CKA_ID: os.urandom(16)}
    bits = version.about.number(about.BITS)
    if secret:
        length = {ck.CKA_VALUE_LEN: (bits // 8).to_bytes(8, "little")}
        wanted = templates.for_generate({**like, **common, **length}, key_class, entry, True)
        rows, made = [wanted], [make(None, wanted)]
    else:
        public = whole.get(ck.CKO_PUBLIC_KEY, {})
        half = {number: value for number, value in public.items() if number in (*about.FORM, ck.CKA_PUBLIC_EXPONENT)}
        params = whole[key_class].get(ck.CKA_EC_PARAMS)
        size = {ck.CKA_MODULUS_BITS: bits.to_bytes(8, "little")} if params is None else {ck.CKA_EC_PARAMS: params}
        theirs = templates.for_generate({**half, **common, **size}, ck.CKO_PUBLIC_KEY, entry, True)
        ours = templates.for_generate({**like, **common}, key_class, entry, True)
        rows, made = [theirs, ours], list(make(None, theirs, ours))
    return [
        templates.finish(row, material, "generate", known_outside=False, mechanism=entry.number)
        for row, material in zip(rows, made, strict=True)
    ]
