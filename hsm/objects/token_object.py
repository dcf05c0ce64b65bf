"""An object of a partition as the engine holds it: attributes, where it lives, who knows it by which handle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from hsm.confinement.wiping import overwrite
from hsm.objects import attributes as table
from hsm.objects.about import NOTHING, About
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application, Session
    from hsm.partitions import Partition


_SHARED_KINDS = frozenset(
    row.number for rows in (*table.CLASSES.values(), *(kt.public for kt in table.KEY_TYPES.values())) for row in rows
    if row.kind == table.ULONG
) | {ck.CKA_EC_PARAMS, ck.CKA_PUBLIC_EXPONENT}
_NUMBERS: dict[int, int] = {}
_VALUES: dict[bytes, bytes] = {}
_FOLDING = threading.Lock()


def compact(attributes: dict[int, bytes]) -> dict[int, bytes]:
    """The same attributes, sharing numbers and the values that all objects have: half of what 10,000 would take."""
    return {
        _NUMBERS.setdefault(n, n): _VALUES.setdefault(v, v) if n in _SHARED_KINDS else v for n, v in attributes.items()
    }


class TokenObject(Key):
    """A token object (``owner`` is None) or a session object of ``owner``. ``names`` are those of the token keys whose
    value a session object has, which is asked for under any of them; ``of_token``: whether it had a token key's value
    when it was made, also a public one's, under whose name nothing is asked; ``lenders``: those token keys, whose times
    are its own."""

    __slots__ = (
        "_about", "_folded", "_held", "alive", "handles", "lenders", "names", "object_id", "of_token", "owner",
        "partition", "size",
    )

    def __init__(
        self, partition: Partition, attributes: dict[int, bytes], owner: Session | None, object_id: int = 0
    ) -> None:
        self._folded: bytes | None = None
        super().__init__(compact(attributes))
        self.partition = partition
        self.owner = owner
        self.object_id = object_id
        self.handles: dict[Application, int] = {}
        self.names: tuple[str, ...] = ()
        self.of_token = False
        self.size = 0  # bytes that its application's account has for it, of a session object
        self.alive = True
        self.lenders: tuple[TokenObject, ...] = ()
        self._about: About | None = None

    def change(self, changes: dict[int, bytes]) -> None:
        """The attributes as they are now, in one step for whoever reads them meanwhile."""
        self.attributes = compact({**self.attributes, **changes})

    # -- what the key is made of, which is folded while nobody uses it

    @property
    def attributes(self) -> dict[int, bytes]:
        """All of them: who asks for these unfolds the secrets. Another thread may fold them again at any moment, so
        what is returned is what was whole when it was looked at."""
        held = self._held
        if self._folded is None and self._held is held:
            return held
        return self._unfold()

    @attributes.setter
    def attributes(self, attributes: dict[int, bytes]) -> None:
        self._held = attributes

    @property
    def shown(self) -> dict[int, bytes]:
        """Those that are there: without the secrets while they are folded."""
        return self._held

    def get(self, attribute: int) -> bytes | None:
        return (self.attributes if attribute in table.SECRETS else self._held).get(attribute)

    def _unfold(self) -> dict[int, bytes]:
        with _FOLDING:
            if self._folded is not None:
                secrets = self.partition.unfolded(self, self._folded)
                self._held, self._folded = {**self._held, **secrets}, None
            return self._held

    def fold(self, how: Callable[[dict[int, bytes]], bytes]) -> None:
        """Whoever reads the attributes just now keeps those that it reads: here, they are others from now on."""
        if self.key_class not in table.GUARDED_CLASSES:
            return
        with _FOLDING:
            secrets = {number: value for number, value in self._held.items() if number in table.SECRETS}
            if self._folded is not None or not secrets:
                return
            self._folded = how(secrets)
            self._held = {number: value for number, value in self._held.items() if number not in secrets}
            self._native = {}
            gone = list(secrets.values())
            del secrets
        overwrite(gone)

    def die(self) -> None:
        """The object is gone, and what it was made of with it: nobody unfolds it any more."""
        self.alive = False
        self.fold(lambda _: b"")
        self._folded, self._native = b"", {}

    @property
    def sealed_at_rest(self) -> bool:
        """Whether it is under the partition's key in the store, in whole or in part."""
        secret = self._folded is not None or not table.SECRETS.isdisjoint(self._held)
        return self.private or (self.key_class in table.GUARDED_CLASSES and secret)

    @property
    def private(self) -> bool:
        return self._held.get(ck.CKA_PRIVATE) == table.TRUE

    @property
    def is_token(self) -> bool:
        return self.owner is None

    def about(self) -> About:
        """What is known of a token key beside its attributes, read when first asked for; nothing of other objects."""
        known = self._about
        if known is None:
            store = self.partition.pool.store
            with store.lock:  # or what was read before a change could be put here after it
                known = store.about(self.partition.slot, self.object_id) if self.is_token else NOTHING
                self._about = known
        return known

    def time_of(self, field: int) -> int:
        return self.about().number(field) if self.is_token else 0

    def about_changed(self) -> None:
        """It is read anew when next asked for."""
        self._about = None

    def key_name(self) -> tuple[str, str]:
        """A token key's name for life and its version; nothing for other objects, but that a session object with a
        token key's value has its name."""
        if not self.is_token:
            return (self.names[0] if self.names else "", "")
        return self.about().named

    def name(self) -> str:
        return self.key_name()[0]
