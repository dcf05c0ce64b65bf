"""AES with ciphertext stealing: CTS of CBC, and XTS with its key type (PKCS#11 3.2, sections 6.12 and 6.15).

The standard refers to NIST's three variants of CBC with ciphertext stealing and picks none; this is CBC-CS1, as in NSS
and by default in SunPKCS11 and OpenSSL. CS2 and CS3 are the same bytes in another order, which needs no key: their last
whole block stands before the stolen-from one, in CS2 only where that one is cut short.
"""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, modes

from hsm.mechanisms.aes import BLOCK, PLAIN, SIZES, algorithm, iv
from hsm.mechanisms.block import out_of_range
from hsm.mechanisms.entry import Mechanism
from hsm.mechanisms.gathered import Gathered
from hsm.mechanisms.secret_forms import XTS_LENGTHS, halves_differ, length_to_make
from hsm.mechanisms.wrapping import both_ways
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

LONGEST_UNIT = BLOCK << 20  # NIST SP 800-38E: a data unit has 2^20 blocks at most


class Stealing:
    """CBC-CS1 (addendum to NIST SP 800-38A). The last block and the one before wait for the end."""

    __slots__ = ("_context", "_encrypting", "_held", "_key")

    def __init__(self, key: Key, first: bytes, encrypting: bool) -> None:
        cipher = Cipher(key.native(algorithm), modes.CBC(first))
        self._context: Any = cipher.encryptor() if encrypting else cipher.decryptor()
        self._encrypting = encrypting
        self._held = b""
        self._key = key

    def _ready(self, total: int) -> int:
        """How much of so much input can be worked on now: whole blocks, of which 17 to 32 bytes stay back."""
        return max((total - 1) // BLOCK - 1, 0) * BLOCK

    def bound(self, length: int) -> int:
        return len(self._held) + length

    def part_bound(self, length: int) -> int:
        return self._ready(len(self._held) + length)

    def update(self, data: bytes) -> bytes:
        data = self._held + data
        ready = self._ready(len(data))
        self._held = data[ready:]
        made: bytes = self._context.update(data[:ready])
        return made

    def finish(self) -> bytes:
        held, cut = self._held, len(self._held) - BLOCK
        if cut < 0:
            raise out_of_range(self._encrypting, "ciphertext stealing takes 16 bytes or more")
        if cut in (0, BLOCK):
            made: bytes = self._context.update(held)
        elif self._encrypting:
            both_blocks = self._context.update(held + bytes(BLOCK - cut))
            made = both_blocks[:cut] + both_blocks[BLOCK:]
        else:
            # The last block gives back what was stolen from the one before (addendum, section 3).
            single = Cipher(self._key.native(algorithm), modes.ECB()).decryptor()
            stolen = single.update(held[cut:])[cut:]
            made = self._context.update(held[:cut] + stolen + held[cut:])[: len(held)]
        return made + bytes(self._context.finalize())

    def one_shot(self, data: bytes) -> bytes:
        return self.update(data) + self.finish()


class Xts(Gathered):
    """One data unit, under a tweak that is its number (IEEE 1619). libcrypto takes a unit whole."""

    __slots__ = ("_tweak",)

    def __init__(self, key: Key, tweak: bytes, encrypting: bool) -> None:
        super().__init__(key, encrypting, LONGEST_UNIT)
        self._tweak = tweak

    def bound(self, length: int) -> int:
        return len(self.data) + length

    def finish(self) -> bytes:
        if len(self.data) < BLOCK:
            raise out_of_range(self.encrypting, "XTS takes 16 bytes or more")
        cipher = Cipher(self.key.native(algorithm), modes.XTS(self._tweak))
        context = cipher.encryptor() if self.encrypting else cipher.decryptor()
        return context.update(bytes(self.data)) + context.finalize()


def _generate(parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
    length = length_to_make(template, XTS_LENGTHS)
    value = os.urandom(length)
    while not halves_differ(value):
        value = os.urandom(length)
    return {ck.CKA_KEY_TYPE: ck.CKK_AES_XTS.to_bytes(8, "little"), ck.CKA_VALUE: value}


_XTS = (ck.CKK_AES_XTS,), *XTS_LENGTHS
MECHANISMS = [
    Mechanism(ck.CKM_AES_CTS, *SIZES, parameter=iv, oracle=PLAIN, **both_ways(Stealing, secret_only=True)),
    Mechanism(ck.CKM_AES_XTS_KEY_GEN, *_XTS, generate=_generate),
    Mechanism(ck.CKM_AES_XTS, *_XTS, parameter=iv, **both_ways(Xts, secret_only=True)),
]
