"""AES: key generation, the modes that work in parts, and CMAC (PKCS#11 3.2, sections 6.10, 6.11 and 6.14)."""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from hsm.errors import TokenError
from hsm.mechanisms import block, mac
from hsm.mechanisms.block import Stream, out_of_range
from hsm.mechanisms.entry import Mechanism
from hsm.mechanisms.secret_forms import AES_LENGTHS, length_to_make
from hsm.mechanisms.wrapping import both_ways
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

BLOCK = 16
SIZES = (ck.CKK_AES,), AES_LENGTHS[0], AES_LENGTHS[-1]


def algorithm(key: Key) -> algorithms.AES:
    return algorithms.AES(key.get(ck.CKA_VALUE) or b"")


iv = block.iv_of(BLOCK)
# Under a keystream decryption is encryption; and a block decrypted shows CMAC's mask, which then encrypts any block.
PLAIN = ("decrypt", "unwrap")


class Counter(Stream):
    """CTR: as long as its counter has room (section 6.11.2)."""

    __slots__ = ("_room",)

    def __init__(self, key: Key, parameter: tuple[bytes, int], encrypting: bool) -> None:
        super().__init__(key.native(algorithm), modes.CTR(parameter[0]), encrypting)
        self._room = parameter[1]

    def update(self, data: bytes) -> bytes:
        if self._in + len(data) > self._room * BLOCK:
            raise out_of_range(self.encrypting, "the counter bits have no room for so many blocks")
        return super().update(data)


def _counter(parameter: Any) -> tuple[bytes, int]:
    """CK_AES_CTR_PARAMS: the first counter block, and how many blocks there are before its counter bits wrap."""
    bits = getattr(parameter, "ulCounterBits", 0)
    if not 1 <= bits <= 8 * BLOCK:
        words = "the parameter is a CK_AES_CTR_PARAMS of 1 to 128 counter bits"
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words)
    first = iv(parameter.cb)
    # libcrypto counts through the whole block; all 128 bits may wrap, fewer would carry into the nonce.
    room = 1 << bits
    return first, room if bits == 8 * BLOCK else room - int.from_bytes(first, "big") % room


def _generate(parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
    value = os.urandom(length_to_make(template, AES_LENGTHS))
    return {ck.CKA_KEY_TYPE: ck.CKK_AES.to_bytes(8, "little"), ck.CKA_VALUE: value}


def _feedback(number: int, mode: type[OFB] | type[CFB] | type[CFB8]) -> Mechanism:
    return Mechanism(number, *SIZES, parameter=iv, oracle=PLAIN, **block.streaming(algorithm, mode))


MECHANISMS = [
    Mechanism(ck.CKM_AES_KEY_GEN, *SIZES, generate=_generate),
    Mechanism(
        ck.CKM_AES_ECB, *SIZES, oracle=PLAIN, **block.streaming(algorithm, lambda parameter: modes.ECB(), block=BLOCK)
    ),
    Mechanism(ck.CKM_AES_CBC, *SIZES, parameter=iv, oracle=PLAIN, **block.streaming(algorithm, modes.CBC, block=BLOCK)),
    Mechanism(
        ck.CKM_AES_CBC_PAD, *SIZES, parameter=iv, oracle=PLAIN, **block.streaming(algorithm, modes.CBC, pads=True)
    ),
    Mechanism(ck.CKM_AES_CTR, *SIZES, parameter=_counter, oracle=PLAIN, **both_ways(Counter)),
    _feedback(ck.CKM_AES_OFB, OFB),
    _feedback(ck.CKM_AES_CFB8, CFB8),
    _feedback(ck.CKM_AES_CFB128, CFB),
    Mechanism(ck.CKM_AES_CMAC, *SIZES, **block.macs(algorithm, BLOCK)),
    Mechanism(ck.CKM_AES_CMAC_GENERAL, *SIZES, **block.macs(algorithm, BLOCK, mac.length_up_to(BLOCK))),
]
