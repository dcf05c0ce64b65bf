"""The names of one partition's keys, their versions and what is known of each, while the partition is sealed too.

Read from the store when first asked for, and kept up to date by its commits. Names are told apart without regard to
case, as Azure's are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hsm.objects.about import About


class Version(NamedTuple):
    """One version of a key: its objects, which are the halves of a pair or one secret key."""

    name: str
    version: str
    objects: dict[int, About]

    @property
    def about(self) -> About:
        """The record of the half that has the secret, where there is one."""
        return min(self.objects.values(), key=lambda about: about.is_public)

    @property
    def has_secret(self) -> bool:
        return not self.about.is_public


class KeyNames:
    """What each object says of itself, by its id and by its name. Callers hold the store's lock."""

    def __init__(self, found: Iterable[tuple[int, About]]) -> None:
        self._by_id: dict[int, About] = {}
        self._by_name: dict[str, dict[int, About]] = {}
        for object_id, about in found:
            self.put(object_id, about)

    def put(self, object_id: int, about: About | None) -> None:
        """``about`` is None where the object is gone."""
        before = self._by_id.pop(object_id, None)
        if before is not None:
            of_name = self._by_name[before.name.lower()]
            del of_name[object_id]
            if not of_name:
                del self._by_name[before.name.lower()]
        if about is not None:
            self._by_id[object_id] = about
            self._by_name.setdefault(about.name.lower(), {})[object_id] = about

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._by_name

    def names(self) -> list[str]:
        """In the order of the alphabet, as Azure lists keys; each as its newest version has it."""
        return [self.versions(name)[0].name for name in sorted(self._by_name)]

    def versions(self, name: str) -> list[Version]:
        """All versions of this name, the newest first."""
        found: dict[str, Version] = {}
        for object_id, about in self._by_name.get(name.lower(), {}).items():
            found.setdefault(about.version, Version(about.name, about.version, {})).objects[object_id] = about
        return sorted(found.values(), key=_age, reverse=True)

    def about(self, object_id: int) -> About | None:
        return self._by_id.get(object_id)


def _age(version: Version) -> tuple[int, int]:
    """To order by, the youngest last: two may be made in one microsecond."""
    return max((about.made, object_id) for object_id, about in version.objects.items())
