"""Ciphers that need the whole of their input before anything can be said of it: parts are gathered, the end answers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hsm.errors import TokenError
from hsm.objects.key import Key
from pkcs11_shim import constants as ck


class Gathered(ABC):
    """``data`` is what has come so far, ``most`` bytes of it at most."""

    __slots__ = ("_most", "data", "encrypting", "key")

    def __init__(self, key: Key, encrypting: bool, most: int) -> None:
        self.key = key
        self.encrypting = encrypting
        self._most = most
        self.data = bytearray()

    def part_bound(self, length: int) -> int:
        return 0

    def range(self, words: str) -> TokenError:
        """The refusal of input that is too long or too short."""
        rv = ck.CKR_DATA_LEN_RANGE if self.encrypting else ck.CKR_ENCRYPTED_DATA_LEN_RANGE
        return TokenError(rv, words)

    def update(self, data: bytes) -> bytes:
        if len(self.data) + len(data) > self._most:
            raise self.range(f"this operation takes {self._most} bytes at most")
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
