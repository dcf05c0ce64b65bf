"""HMAC over every hash of digest.py, whole and truncated (CKM_..._HMAC and ..._HMAC_GENERAL)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from hsm.errors import TokenError
from hsm.mechanisms.digest import HASHES, Hash
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

LARGEST_KEY = 1 << 20


class Mac:
    """An HMAC in progress, for signing and for verifying; ``length`` bytes of it count."""

    __slots__ = ("_state", "length")

    def __init__(self, name: str, key: Key, length: int) -> None:
        started: Any = key.native(_starter(name))
        self._state = started.copy()
        self.length = length

    def update(self, data: bytes) -> None:
        self._state.update(data)

    def finish(self, signature: bytes | None = None) -> bytes:
        """The MAC; where a signature is given, compared with it in constant time."""
        mac = bytes(self._state.digest()[: self.length])
        if signature is not None:
            if len(signature) != self.length:
                raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"this MAC has {self.length} bytes")
            if not hmac.compare_digest(mac, signature):
                raise TokenError(ck.CKR_SIGNATURE_INVALID, "the MAC differs")
        return mac

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        self.update(data)
        return self.finish(signature)


_STARTERS: dict[str, Callable[[Key], Any]] = {}


def _starter(name: str) -> Callable[[Key], Any]:
    """One loader a hash, so that a key keeps its keyed state and a call only copies it."""
    return _STARTERS.setdefault(name, lambda key: hmac.new(key.get(ck.CKA_VALUE) or b"", digestmod=name))


def _whole(row: Hash) -> Callable[[Key, None], Mac]:
    return lambda key, parameter: Mac(row.name, key, row.length)


def _truncated(row: Hash) -> Callable[[Key, int], Mac]:
    return lambda key, length: Mac(row.name, key, length)


def _length(row: Hash) -> Callable[[Any], int]:
    def check(parameter: Any) -> int:
        """CK_MAC_GENERAL_PARAMS: how many bytes of the MAC count."""
        if not isinstance(parameter, bytes) or len(parameter) != 8:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the parameter is a CK_MAC_GENERAL_PARAMS")
        wanted = int.from_bytes(parameter, "little")
        if not 0 < wanted <= row.length:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"a MAC of 1 to {row.length} bytes can be had")
        return wanted

    return check


def _types(row: Hash) -> tuple[int, int]:
    return ck.CKK_GENERIC_SECRET, row.key_type


MECHANISMS = [
    Mechanism(row.hmac, _types(row), 1, LARGEST_KEY, sign=_whole(row), verify=_whole(row)) for row in HASHES
] + [
    Mechanism(
        row.hmac_general, _types(row), 1, LARGEST_KEY, parameter=_length(row), sign=_truncated(row),
        verify=_truncated(row),
    )
    for row in HASHES
]
