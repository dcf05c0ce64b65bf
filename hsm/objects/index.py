"""Search: the objects of one partition, indexed by what clients search by, the newest first.

So who searches by a key's name and takes the first has its newest version.

An attribute that no object of this token has, or whose value this object does not reveal, matches nothing and is no
error: NSS asks for classes of its own, and a search must not answer guesses at a secret.
"""

from __future__ import annotations

from typing import Any

from hsm.errors import TokenError
from hsm.objects import attributes as table
from hsm.objects import templates
from hsm.objects.token_object import TokenObject
from pkcs11_shim import constants as ck

INDEXED = (ck.CKA_ID, ck.CKA_LABEL, ck.CKA_UNIQUE_ID, ck.CKA_SUBJECT, ck.CKA_MODULUS, ck.CKA_EC_POINT, ck.CKA_CLASS)


class ObjectIndex:
    """The objects by each indexed attribute's value. Callers hold the partition's lock."""

    def __init__(self) -> None:
        self._age: dict[TokenObject, int] = {}  # to order by, the youngest last
        self._added = self._newest = 0
        self._by: dict[int, dict[bytes, dict[TokenObject, None]]] = {number: {} for number in INDEXED}

    def add(self, item: TokenObject) -> None:
        # Token objects come to light in another order than they were made in; session objects in no other.
        self._added += 1
        self._newest = max(self._newest, item.object_id)
        self._age[item] = (item.object_id or self._newest) << 32 | self._added
        for number, values in self._by.items():
            value = item.get(number)
            if value:
                values.setdefault(value, {})[item] = None

    def remove(self, item: TokenObject) -> None:
        self._age.pop(item, None)
        for number, values in self._by.items():
            self._leave(values, item.get(number), item)

    @staticmethod
    def _leave(values: dict[bytes, dict[TokenObject, None]], value: bytes | None, item: TokenObject) -> None:
        if value and item in values.get(value, ()):
            del values[value][item]
            if not values[value]:
                del values[value]

    def changed(self, item: TokenObject, before: dict[int, bytes]) -> None:
        """Re-enters an object whose attributes were ``before``."""
        for number, values in self._by.items():
            was, value = before.get(number), item.get(number)
            if was == value:
                continue
            self._leave(values, was, item)
            if value:
                values.setdefault(value, {})[item] = None

    def near(self, template: templates.Template) -> tuple[list[tuple[int, bytes]], list[TokenObject]]:
        """What a template asks for, and the objects that may have it: few where it asks for what is indexed. All that
        needs the partition's lock: ``having`` goes through them without."""
        wanted = []
        candidates: dict[TokenObject, Any] = self._age
        for number, value in template:
            if number in templates.KINDS and isinstance(value, list):
                try:
                    value = templates.pack(templates.parse(value))
                except TokenError:
                    return [], []
            if not isinstance(value, bytes | None):
                return [], []
            wanted.append((number, value or b""))
            if value and number in self._by:
                narrower = self._by[number].get(value)
                if narrower is None:
                    return [], []
                if len(narrower) < len(candidates):
                    candidates = narrower
        return wanted, sorted(candidates, key=self._age.__getitem__, reverse=True)


def having(wanted: list[tuple[int, bytes]], candidates: list[TokenObject]) -> list[TokenObject]:
    """The objects that have all of it, whoever may see them; each as it is before or after a change, never between."""
    if not wanted:
        return candidates
    secret = not table.SECRETS.isdisjoint(number for number, _ in wanted)
    return [item for item in candidates if _has(item, _looked_at(item, secret), wanted)]


def _looked_at(item: TokenObject, secret: bool) -> dict[int, bytes]:
    """Secrets are unfolded only for who asks for them; what was sealed meanwhile has nothing."""
    try:
        return item.attributes if secret else item.shown
    except TokenError:
        return {}


def _has(item: TokenObject, attributes: dict[int, bytes], wanted: list[tuple[int, bytes]]) -> bool:
    for number, value in wanted:
        if attributes.get(number) != value or number & table.INTERNAL == table.INTERNAL:
            return False
        try:
            templates.read(item, number)
        except TokenError:
            return False
    return True
