"""Ciphers that need the whole of their input before anything can be said of it: parts are gathered, the end answers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hsm.mechanisms.block import out_of_range
from hsm.objects.key import Key


class Gathered(ABC):
    """``data`` is what has come so far, ``most`` bytes of it at most."""

    __slots__ = ("_most", "data", "encrypting", "key")

    def __init__(self, key: Key, encrypting: bool, most: int) -> None:
        self.key = key
        self.encrypting = encrypting
        self._most = most
        self.data = bytearray()

    @property
    def held(self) -> int:
        return len(self.data)

    def part_bound(self, length: int) -> int:
        return 0

    def update(self, data: bytes) -> bytes:
        if len(self.data) + len(data) > self._most:
            raise out_of_range(self.encrypting, f"this operation takes {self._most} bytes at most")
        self.data += data
        return b""

    @abstractmethod
    def bound(self, length: int) -> int:
        """What ``length`` more bytes and the end give."""

    @abstractmethod
    def finish(self) -> bytes:
        """The cipher of all that has come."""

    def one_shot(self, data: bytes) -> bytes:
        self.update(data)
        return self.finish()
