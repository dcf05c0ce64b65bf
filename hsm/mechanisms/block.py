"""A block cipher in its modes: streams of blocks with and without padding, and CMAC. AES and DES3 share them.

``load`` makes the cipher of a key, once; its block size decides everything else.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.cmac import CMAC

from hsm.errors import TokenError
from hsm.mechanisms.entry import Saveable
from hsm.mechanisms.mac import Mac, may_cut
from hsm.mechanisms.wrapping import Fill, both_ways
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

Load = Callable[[Key], BlockCipherAlgorithm]


def out_of_range(encrypting: bool, words: str) -> TokenError:
    """The refusal of input that is too long or too short for a cipher."""
    return TokenError(ck.CKR_DATA_LEN_RANGE if encrypting else ck.CKR_ENCRYPTED_DATA_LEN_RANGE, words)


class Stream:
    """A cipher that works in parts. ``pads``: PKCS#7 is put on or taken off; ``whole``: full blocks only."""

    __slots__ = ("_block", "_context", "_held", "_in", "encrypting", "pads", "whole")

    def __init__(
        self, algorithm: BlockCipherAlgorithm, mode: modes.Mode, encrypting: bool, *, pads: bool = False,
        whole: bool = False,
    ) -> None:
        cipher: Cipher[Any] = Cipher(algorithm, mode)
        self._block = algorithm.block_size // 8
        self._context = cipher.encryptor() if encrypting else cipher.decryptor()
        self._held = b""
        self._in = 0
        self.encrypting = encrypting
        self.pads = pads
        self.whole = whole

    def bound(self, length: int) -> int:
        """What ``length`` more bytes and the end give: exactly, but that padding which is taken off is unknown yet."""
        if self.pads and self.encrypting:
            return self.part_bound(length) + self._block
        return len(self._held) + length if self.pads else self.part_bound(length)

    def part_bound(self, length: int) -> int:
        """What an update with ``length`` bytes gives: whole blocks, or everything for a counter mode. Exact, as clients
        whose buffer is as long as their parts leave no room for more."""
        if not (self.pads or self.whole):
            return length
        total = self._in % self._block + len(self._held) + length
        held_back = self.pads and not self.encrypting and total > 0
        return (total - held_back) // self._block * self._block

    def update(self, data: bytes) -> bytes:
        if self.pads and not self.encrypting:
            # The last block stays here: only the end says whether it carries the padding.
            data = self._held + data
            keep = (len(data) - 1) % self._block + 1 if data else 0
            self._held = data[len(data) - keep :]
            data = data[: len(data) - keep]
        self._in += len(data)
        return self._context.update(data)

    def finish(self) -> bytes:
        if not self.pads:
            if self.whole and self._in % self._block:
                raise self._range()
            return self._context.finalize()
        if self.encrypting:
            pad = self._block - self._in % self._block
            return self._context.update(bytes((pad,)) * pad) + self._context.finalize()
        if len(self._held) != self._block:
            raise self._range()
        last = self._context.update(self._held) + self._context.finalize()
        pad = last[-1]
        wrong = not 1 <= pad <= self._block or not hmac.compare_digest(last[-pad:], bytes((pad,)) * pad)
        if wrong:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "the ciphertext does not decrypt under this key")
        return last[:-pad]

    def _range(self) -> TokenError:
        return out_of_range(self.encrypting, f"the length is no multiple of {self._block} bytes")

    def one_shot(self, data: bytes) -> bytes:
        return self.update(data) + self.finish()


class Cmac(Saveable, Mac):
    """CMAC (NIST SP 800-38B) of ``length`` bytes, for signing and for verifying."""

    __slots__ = ("_state",)
    moving = "_state"

    def __init__(self, key: Key, load: Load, length: int) -> None:
        may_cut(key, length)
        super().__init__(length)
        self._state = CMAC(key.native(load))

    def update(self, data: bytes) -> None:
        self._state.update(data)

    def whole(self) -> bytes:
        return self._state.finalize()


def iv_of(size: int) -> Callable[[Any], bytes]:
    """The check of a parameter that is an IV of ``size`` bytes."""

    def check(parameter: Any) -> bytes:
        if not isinstance(parameter, bytes) or len(parameter) != size:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"the parameter is an IV of {size} bytes")
        return parameter

    return check


def streaming(load: Load, make: Callable[[Any], modes.Mode], *, block: int = 0, pads: bool = False) -> dict[str, Any]:
    """The functions of a row for a mode that works in parts. ``block``: whole blocks of this size only, filled up with
    zeros for wrapping, which is for secret keys; PKCS#7 padding carries private keys too (section 6.10.5)."""
    whole = block > 0

    def start(key: Key, given: Any, encrypting: bool) -> Stream:
        return Stream(key.native(load), make(given), encrypting, pads=pads, whole=whole)

    return both_ways(start, fill=Fill(block=block) if whole else None, secret_only=not pads)


def macs(load: Load, size: int, length: Callable[[Any], int] | None = None) -> dict[str, Any]:
    """The functions of a row for CMAC, whole or as long as its parameter says."""

    def start(key: Key, parameter: Any) -> Cmac:
        return Cmac(key, load, parameter if length else size)

    return {"sign": start, "verify": start, **({"parameter": length} if length else {})}
