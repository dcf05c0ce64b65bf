"""What HMAC, CMAC and GMAC have in common: how much of a MAC counts, how short it may be, and how two are compared."""

from __future__ import annotations

import hmac
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from hsm.errors import TokenError
from hsm.mechanisms.entry import InParts
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

SAFE_MAC = 8  # bytes of a MAC by a sensitive key (NIST SP 800-38B, A.2)


class Mac(InParts):
    """A MAC in progress, for signing and for verifying; ``length`` bytes of it count."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    @abstractmethod
    def whole(self) -> bytes:
        """The MAC of all that has come, before it is cut."""

    def finish(self, signature: bytes | None = None) -> bytes:
        """The MAC; where a signature is given, compared with it in constant time."""
        mac = self.whole()[: self.length]
        if signature is None:
            return mac
        if len(signature) != len(mac):
            raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"this MAC has {len(mac)} bytes")
        if not hmac.compare_digest(mac, signature):
            raise TokenError(ck.CKR_SIGNATURE_INVALID, "the MAC differs")
        return mac


def may_cut(key: Key, length: int) -> None:
    """MACs of one byte, then two, and so on, each found by trying: who may only verify would make up any MAC."""
    if length < SAFE_MAC and key.flag(ck.CKA_SENSITIVE):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "with a sensitive key a MAC has 64 bits or more")


def length_up_to(most: int) -> Callable[[Any], int]:
    """The check of CK_MAC_GENERAL_PARAMS: how many bytes of the MAC count."""

    def check(parameter: Any) -> int:
        if not isinstance(parameter, bytes) or len(parameter) != 8:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the parameter is a CK_MAC_GENERAL_PARAMS")
        wanted = int.from_bytes(parameter, "little")
        if not 0 < wanted <= most:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"a MAC of 1 to {most} bytes can be had")
        return wanted

    return check
