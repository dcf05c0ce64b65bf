"""A key as mechanisms see it: its attributes, and the library's key object made from them at first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hsm.objects.attributes import TRUE
from pkcs11_shim import constants as ck

T = TypeVar("T")


class Key:
    """Attributes in PKCS#11's native bytes; ``native`` keeps what was loaded from them. Class and type never change,
    and every use of a key asks for them several times."""

    __slots__ = ("_native", "attributes", "key_class", "key_type")

    def __init__(self, attributes: dict[int, bytes]) -> None:
        self.attributes = attributes
        self._native: dict[Any, Any] = {}
        self.key_class = self.ulong(ck.CKA_CLASS, ck.CK_UNAVAILABLE_INFORMATION)
        self.key_type = self.ulong(ck.CKA_KEY_TYPE, ck.CK_UNAVAILABLE_INFORMATION)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} class {self.key_class} type {self.key_type}>"

    def get(self, attribute: int) -> bytes | None:
        return self.attributes.get(attribute)

    def time_of(self, field: int) -> int:
        """One of the times of a token key (hsm/objects/about.py), in seconds since the epoch; 0: it has none."""
        return 0

    def ulong(self, attribute: int, missing: int = 0) -> int:
        value = self.get(attribute)
        return missing if value is None else int.from_bytes(value, "little")

    def flag(self, attribute: int) -> bool:
        return self.get(attribute) == TRUE

    def native(self, load: Callable[[Key], T]) -> T:
        """What ``load`` makes of this key, made once."""
        natives = self._native  # another thread's fold puts a new one in its place, and takes this one along
        made: T | None = natives.get(load)
        if made is None:
            made = natives[load] = load(self)
        return made
