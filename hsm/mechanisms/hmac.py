"""HMAC over every hash of digest.py, whole and truncated (CKM_..._HMAC and ..._HMAC_GENERAL)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from hsm.mechanisms.digest import HASHES, Hash
from hsm.mechanisms.entry import Mechanism, Saveable
from hsm.mechanisms.mac import Mac, length_up_to, may_cut
from hsm.mechanisms.secret_forms import LONGEST
from hsm.objects.key import Key
from pkcs11_shim import constants as ck


class Hmac(Saveable, Mac):
    """An HMAC in progress."""

    __slots__ = ("_state",)
    moving = "_state"

    def __init__(self, name: str, key: Key, length: int) -> None:
        may_cut(key, length)
        super().__init__(length)
        started: Any = key.native(_starter(name))
        self._state = started.copy()

    def update(self, data: bytes) -> None:
        self._state.update(data)

    def whole(self) -> bytes:
        return bytes(self._state.digest())


_STARTERS: dict[str, Callable[[Key], Any]] = {}


def _starter(name: str) -> Callable[[Key], Any]:
    """One loader a hash, so that a key keeps its keyed state and a call only copies it."""
    return _STARTERS.setdefault(name, lambda key: hmac.new(key.get(ck.CKA_VALUE) or b"", digestmod=name))


def _whole(row: Hash) -> Callable[[Key, None], Hmac]:
    return lambda key, parameter: Hmac(row.name, key, row.length)


def _truncated(row: Hash) -> Callable[[Key, int], Hmac]:
    return lambda key, length: Hmac(row.name, key, length)


def _types(row: Hash) -> tuple[int, int]:
    return ck.CKK_GENERIC_SECRET, row.key_type


def rows(row: Hash) -> tuple[Mechanism, Mechanism]:
    """HMAC over one hash, whole and as long as CK_MAC_GENERAL_PARAMS says."""
    sizes = _types(row), 1, LONGEST
    return (
        Mechanism(row.hmac, *sizes, sign=_whole(row), verify=_whole(row)),
        Mechanism(
            row.hmac_general, *sizes, parameter=length_up_to(row.length), sign=_truncated(row), verify=_truncated(row)
        ),
    )


MECHANISMS = [entry for row in HASHES for entry in rows(row)]
