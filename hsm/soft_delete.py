"""Keys of a partition that were deleted and can be recovered, as Azure's: by name, all versions at once.

Where a partition has a retention, destroying a private or secret token key deletes its name: every version of it is
gone from every client, and the name can't be used until it is recovered, purged, or its time has come. Public halves
stay as they are until they are destroyed themselves, and come back with their key. What is deleted lies in a table of
its own, sealed as it was (hsm/store/schema.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hsm import clock
from hsm.access import policy
from hsm.errors import TokenError
from hsm.objects import attributes as table
from hsm.store.heads import Deletion
from hsm.store.key_names import Version
from hsm.store.records import DeletedKey, RotationPolicy
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.objects.about import About
    from hsm.objects.token_object import TokenObject
    from hsm.partitions import Partition
    from hsm.store.transaction import Transaction

DAY = 86_400_000_000  # microseconds
SHORTEST, LONGEST = 7, 90  # days, as Azure has them


class SoftDelete:
    """Callers hold the partition's lock."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._store = partition.pool.store
        self._slot = partition.slot
        self.keys: dict[str, DeletedKey] = {}
        self.load()

    def load(self) -> None:
        found = self._store.records(self._slot, DeletedKey)
        # The name of a damaged one stays blocked: its versions are there.
        self.keys = {name: told or DeletedKey(name, name) for name, told in found.items()}

    @property
    def retention(self) -> int:
        """Days; 0 where what is deleted is gone."""
        return self._store.heads[self._slot].retention

    @property
    def protected(self) -> bool:
        return self._store.heads[self._slot].switches.purge_protection

    def may_be_made(self, attributes: dict[int, bytes]) -> None:
        """A name that a deleted key has is not free, as in Azure."""
        if not self.keys or attributes.get(ck.CKA_TOKEN) != table.TRUE:
            return
        deleted = self.keys.get(policy.name_for(attributes).lower())
        if deleted is not None:
            words = f"the name {deleted.key} is that of a deleted key, gone for good at {_purged_at(deleted)}"
            remedy = f"adyton key recover {deleted.key}, or adyton key purge {deleted.key}"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, f"{words}: {remedy}", deleted.key)

    # -- deleting

    def of_all(self) -> Deletion | None:
        """The partition's own; None where it can't be taken back, or there is nothing to come back for."""
        at = self._store.time.now()
        initialised = self._store.heads[self._slot].initialised
        return Deletion(at, at + self.retention * DAY) if self.retention and initialised else None

    def of(self, item: TokenObject) -> tuple[str, list[int]] | None:
        """What destroying this object deletes that can be recovered: the name, unless it is a public half's, and the
        objects' ids. None: nothing, it is destroyed for good."""
        if not self.retention or not item.is_token or item.key_class not in table.KEY_CLASSES:
            return None
        name = item.name()
        if item.key_class in table.GUARDED_CLASSES:
            return (name, self.guarded(name)) if name else None
        with self._store.lock:
            versions = self._store.key_names(self._slot).versions(name)
        kept = any(version.has_secret for version in versions) or name.lower() in self.keys
        return ("", [item.object_id]) if kept else None

    def guarded(self, name: str) -> list[int]:
        """The objects of all versions of this name, but for public halves."""
        with self._store.lock:
            versions = self._store.key_names(self._slot).versions(name)
        found = {n: about for version in versions for n, about in version.objects.items() if not about.is_public}
        if any(self._stays(number, about) for number, about in found.items()):
            words = f"CKA_DESTROYABLE of a version of key {name} is FALSE"
            raise TokenError(ck.CKR_ACTION_PROHIBITED, words, "CKA_DESTROYABLE")
        return list(found)

    def _stays(self, number: int, about: About) -> bool:
        """Whether it is not to be destroyed, which its record says where its partition is sealed; one of an earlier
        version does not."""
        there = self._partition.objects.get(number)
        said = about.said.get(ck.CKA_DESTROYABLE) if there is None else there.get(ck.CKA_DESTROYABLE)
        return said == table.FALSE

    def bury(self, tx: Transaction, name: str, objects: list[int], by: str) -> DeletedKey | None:
        """Within the caller's commit, which ``buried`` follows. ``name`` is empty where a public half goes alone."""
        for number in objects:
            tx.bury(self._slot, number)
        if not name:
            return None
        at = self._store.time.now()
        deleted = DeletedKey(name.lower(), name, at, at + self.retention * DAY, clock.microseconds(), by)
        tx.put_record(self._slot, deleted)
        return deleted

    def buried(self, deleted: DeletedKey | None) -> None:
        if deleted is not None:
            self.keys[deleted.name] = deleted
            self._partition.pool.upkeep.wake()

    # -- and what follows

    def versions(self, name: str) -> list[Version]:
        return self._store.deleted(self._slot).versions(name)

    def find(self, name: str) -> DeletedKey:
        deleted = self.keys.get(name.lower())
        if deleted is None:
            raise TokenError(ck.CKR_ARGUMENTS_BAD, f"no deleted key is named {name}: adyton key list-deleted", name)
        return deleted

    def recover(self, name: str, record: dict[str, str]) -> list[int]:
        """Returns the ids of the objects that are back."""
        deleted = self.find(name)
        versions = self.versions(name)
        with self._store.transaction() as tx:
            for version in versions:
                for number, about in version.objects.items():
                    tx.unearth(self._slot, number, about)
            tx.drop_record(self._slot, deleted)
            tx.audit(record, _named(versions))
        del self.keys[deleted.name]
        return [number for version in versions for number in version.objects]

    def purge(self, name: str, record: dict[str, str], *, due: bool = False) -> None:
        """Gone for good: out of the store's pages and its log. ``due``: its time has come."""
        deleted = self.find(name)
        if self.protected and not due:
            words = f"purge protection is on: key {deleted.key} goes at {_purged_at(deleted)}, and not before"
            raise TokenError(ck.CKR_ACTION_PROHIBITED, words, deleted.key)
        versions = self.versions(name)
        with self._store.transaction() as tx:
            for version in versions:
                for number in version.objects:
                    tx.purge(self._slot, number)
            tx.drop_record(self._slot, deleted)
            tx.drop_record(self._slot, RotationPolicy(deleted.name))
            tx.audit(record, _named(versions))
        del self.keys[deleted.name]

    def purge_due(self) -> None:
        """What has been deleted for as long as the retention is, by the time that the pool's engines have seen pass."""
        now = self._store.time.now()
        for deleted in [deleted for deleted in self.keys.values() if deleted.purge and deleted.purge <= now]:
            record = {"act": "key-purge", "slot": str(self._slot), "pid": str(os.getpid()), "uid": str(os.geteuid())}
            self.purge(deleted.key, {**record, "due": str(deleted.purge // 1_000_000)}, due=True)

    def next_due(self) -> int:
        """When that will be next, in the same time; 0: never."""
        return min((deleted.purge for deleted in self.keys.values() if deleted.purge), default=0)


def purged_at(deleted: DeletedKey) -> int:
    """When it goes for good, in microseconds of the clock, if an engine sees all the time until then pass."""
    return deleted.date + deleted.purge - deleted.at


def _purged_at(deleted: DeletedKey) -> str:
    return clock.moment(purged_at(deleted))[:19] + "Z"


def _named(versions: list[Version]) -> tuple[tuple[str, str], ...]:
    return tuple((version.name, version.version) for version in versions)
