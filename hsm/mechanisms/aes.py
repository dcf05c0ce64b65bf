"""AES: key generation, ECB, CBC, CBC_PAD, CTR, GCM and CMAC (PKCS#11 3.2, section 6.10 and on)."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC

from hsm.errors import TokenError
from hsm.mechanisms.entry import Mechanism, no_parameter
from hsm.mechanisms.wrapping import Fill, both
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

BLOCK = 16
KEY_LENGTHS = (16, 24, 32)
SHORTEST_IV, LONGEST_IV = 8, 128
TAGS = range(4, 17)
# With a key that is a secret: shorter ones give the tag or the IV's uniqueness away (NIST SP 800-38D, 5.2.1).
SAFE_IV, SAFE_TAG = 12, 12
LONGEST_GCM = 64 << 20


def _algorithm(key: Key) -> algorithms.AES:
    return algorithms.AES(key.get(ck.CKA_VALUE) or b"")


class Stream:
    """A cipher that works in parts. ``pads``: PKCS#7 is put on or taken off; ``whole``: full blocks only."""

    __slots__ = ("_context", "_held", "_in", "encrypting", "pads", "whole")

    def __init__(self, key: Key, mode: modes.Mode, encrypting: bool, pads: bool, whole: bool) -> None:
        cipher: Cipher[Any] = Cipher(key.native(_algorithm), mode)
        self._context = cipher.encryptor() if encrypting else cipher.decryptor()
        self._held = b""
        self._in = 0
        self.encrypting = encrypting
        self.pads = pads
        self.whole = whole

    def bound(self, length: int) -> int:
        """What ``length`` more bytes and the end give: exactly, but that padding which is taken off is unknown yet."""
        if self.pads and self.encrypting:
            return self.part_bound(length) + BLOCK
        return len(self._held) + length if self.pads else self.part_bound(length)

    def part_bound(self, length: int) -> int:
        """What an update with ``length`` bytes gives: whole blocks, or everything for a counter mode. Exact, as clients
        whose buffer is as long as their parts leave no room for more."""
        if not (self.pads or self.whole):
            return length
        total = self._in % BLOCK + len(self._held) + length
        held_back = self.pads and not self.encrypting and total > 0
        return (total - held_back) // BLOCK * BLOCK

    def update(self, data: bytes) -> bytes:
        if self.pads and not self.encrypting:
            # The last block stays here: only the end says whether it carries the padding.
            data = self._held + data
            keep = (len(data) - 1) % BLOCK + 1 if data else 0
            self._held = data[len(data) - keep :]
            data = data[: len(data) - keep]
        self._in += len(data)
        return self._context.update(data)

    def finish(self) -> bytes:
        if not self.pads:
            if self.whole and self._in % BLOCK:
                raise self._range()
            return self._context.finalize()
        if self.encrypting:
            pad = BLOCK - self._in % BLOCK
            return self._context.update(bytes((pad,)) * pad) + self._context.finalize()
        if len(self._held) != BLOCK:
            raise self._range()
        last = self._context.update(self._held) + self._context.finalize()
        pad = last[-1]
        wrong = not 1 <= pad <= BLOCK or not hmac.compare_digest(last[-pad:], bytes((pad,)) * pad)
        if wrong:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "the ciphertext does not decrypt under this key")
        return last[:-pad]

    def _range(self) -> TokenError:
        rv = ck.CKR_DATA_LEN_RANGE if self.encrypting else ck.CKR_ENCRYPTED_DATA_LEN_RANGE
        return TokenError(rv, "the length is no multiple of 16 bytes")

    def one_shot(self, data: bytes) -> bytes:
        return self.update(data) + self.finish()


class Counter(Stream):
    """CTR: as long as its counter has room (section 6.11.2)."""

    __slots__ = ("_room",)

    def __init__(self, key: Key, parameter: tuple[bytes, int], encrypting: bool) -> None:
        super().__init__(key, modes.CTR(parameter[0]), encrypting, pads=False, whole=False)
        self._room = parameter[1]

    def update(self, data: bytes) -> bytes:
        if self._in + len(data) > self._room * BLOCK:
            rv = ck.CKR_DATA_LEN_RANGE if self.encrypting else ck.CKR_ENCRYPTED_DATA_LEN_RANGE
            raise TokenError(rv, "the counter bits have no room for so many blocks")
        return super().update(data)


class Gcm:
    """GCM. Input is gathered: no plaintext leaves before the tag is known to be good."""

    __slots__ = ("_aad", "_data", "_encrypting", "_iv", "_key", "_tag")

    def __init__(self, key: Key, parameter: tuple[bytes, bytes, int], encrypting: bool) -> None:
        self._key = key
        self._iv, self._aad, self._tag = parameter
        self._encrypting = encrypting
        self._data = bytearray()
        if key.flag(ck.CKA_SENSITIVE) and (len(self._iv) < SAFE_IV or self._tag < SAFE_TAG):
            words = "with a sensitive key the IV has 12 bytes or more and the tag 96 bits or more"
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words)

    def bound(self, length: int) -> int:
        total = len(self._data) + length
        return total + self._tag if self._encrypting else max(total - self._tag, 0)

    def part_bound(self, length: int) -> int:
        return 0

    def update(self, data: bytes) -> bytes:
        if len(self._data) + len(data) > LONGEST_GCM:
            rv = ck.CKR_DATA_LEN_RANGE if self._encrypting else ck.CKR_ENCRYPTED_DATA_LEN_RANGE
            raise TokenError(rv, "GCM takes messages of up to 64 MiB")
        self._data += data
        return b""

    def finish(self) -> bytes:
        if self._encrypting and self._tag == BLOCK:
            return self._key.native(_gcm).encrypt(self._iv, bytes(self._data), self._aad)
        if self._encrypting:
            sealed = self._key.native(_gcm).encrypt(self._iv, bytes(self._data), self._aad)
            return sealed[: len(sealed) - BLOCK + self._tag]
        if len(self._data) < self._tag:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, "shorter than the tag")
        text, tag = bytes(self._data[: -self._tag]), bytes(self._data[-self._tag :])
        mode = modes.GCM(self._iv, tag, min_tag_length=self._tag)
        opened = Cipher(self._key.native(_algorithm), mode).decryptor()
        opened.authenticate_additional_data(self._aad)
        try:
            return opened.update(text) + opened.finalize()
        except InvalidTag:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "the tag does not match") from None

    def one_shot(self, data: bytes) -> bytes:
        self.update(data)
        return self.finish()


def _gcm(key: Key) -> AESGCM:
    return AESGCM(key.get(ck.CKA_VALUE) or b"")


class Cmac:
    """AES-CMAC of ``length`` bytes, for signing and for verifying."""

    __slots__ = ("_state", "length")

    def __init__(self, key: Key) -> None:
        self._state = CMAC(key.native(_algorithm))
        self.length = BLOCK

    def update(self, data: bytes) -> None:
        self._state.update(data)

    def finish(self, signature: bytes | None = None) -> bytes:
        mac = self._state.finalize()
        if signature is not None:
            if len(signature) != self.length:
                raise TokenError(ck.CKR_SIGNATURE_LEN_RANGE, f"this MAC has {self.length} bytes")
            if not hmac.compare_digest(mac, signature):
                raise TokenError(ck.CKR_SIGNATURE_INVALID, "the MAC differs")
        return mac

    def one_shot(self, data: bytes, signature: bytes | None = None) -> bytes:
        self.update(data)
        return self.finish(signature)


def _iv(parameter: Any) -> bytes:
    if not isinstance(parameter, bytes) or len(parameter) != BLOCK:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the parameter is an IV of 16 bytes")
    return parameter


def _counter(parameter: Any) -> tuple[bytes, int]:
    """CK_AES_CTR_PARAMS: the first counter block, and how many blocks there are before its counter bits wrap."""
    bits = getattr(parameter, "ulCounterBits", 0)
    if not 1 <= bits <= 8 * BLOCK:
        words = "the parameter is a CK_AES_CTR_PARAMS of 1 to 128 counter bits"
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words)
    block = _iv(parameter.cb)
    # libcrypto counts through the whole block; all 128 bits may wrap, fewer would carry into the nonce.
    room = 1 << bits
    return block, room if bits == 8 * BLOCK else room - int.from_bytes(block, "big") % room


def _gcm_parameter(parameter: Any) -> tuple[bytes, bytes, int]:
    """CK_GCM_PARAMS: IV, additional data and the tag's length in bytes."""
    iv = getattr(parameter, "pIv", None)
    if not iv or not SHORTEST_IV <= len(iv) <= LONGEST_IV:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"the IV has {SHORTEST_IV} to {LONGEST_IV} bytes")
    tag = parameter.ulTagBits
    if tag % 8 or tag // 8 not in TAGS:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the tag has 32 to 128 bits, in whole bytes")
    return iv, parameter.pAAD or b"", tag // 8


def _mode(make: Callable[[Any], modes.Mode], encrypting: bool, *, pads: bool = False, whole: bool = False) -> Any:
    return lambda key, parameter: Stream(key, make(parameter), encrypting, pads, whole)


def _generate(parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
    if ck.CKA_VALUE_LEN not in template:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN must be given", "CKA_VALUE_LEN")
    length = int.from_bytes(template[ck.CKA_VALUE_LEN], "little")
    if length not in KEY_LENGTHS:
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, "an AES key has 16, 24 or 32 bytes", "CKA_VALUE_LEN")
    return {ck.CKA_KEY_TYPE: ck.CKK_AES.to_bytes(8, "little"), ck.CKA_VALUE: os.urandom(length)}


def _row(number: int, parameter: Any, make: Callable[[Any], modes.Mode], **how: bool) -> Mechanism:
    whole = how.get("whole", False)
    fill = Fill(block=BLOCK) if whole else None
    functions = both(_mode(make, True, **how), _mode(make, False, **how), fill=fill, secret_only=whole)
    return Mechanism(number, (ck.CKK_AES,), 16, 32, parameter=parameter, **functions)


MECHANISMS = [
    Mechanism(ck.CKM_AES_KEY_GEN, (ck.CKK_AES,), 16, 32, generate=_generate),
    _row(ck.CKM_AES_ECB, no_parameter, lambda parameter: modes.ECB(), whole=True),
    _row(ck.CKM_AES_CBC, _iv, modes.CBC, whole=True),
    _row(ck.CKM_AES_CBC_PAD, _iv, modes.CBC, pads=True),
    Mechanism(
        ck.CKM_AES_CTR, (ck.CKK_AES,), 16, 32, parameter=_counter,
        **both(lambda key, block: Counter(key, block, True), lambda key, block: Counter(key, block, False)),
    ),
    Mechanism(
        ck.CKM_AES_GCM, (ck.CKK_AES,), 16, 32, parameter=_gcm_parameter, authenticated=True, keystream=True,
        nonce=lambda parameter: bytes(parameter[0]),
        **both(lambda key, parameter: Gcm(key, parameter, True), lambda key, parameter: Gcm(key, parameter, False)),
    ),
    Mechanism(
        ck.CKM_AES_CMAC, (ck.CKK_AES,), 16, 32, sign=lambda key, parameter: Cmac(key),
        verify=lambda key, parameter: Cmac(key),
    ),
]
