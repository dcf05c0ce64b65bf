"""Mechanisms made for wrapping: AES key wrap (RFC 3394, RFC 5649) and RSA with AES (PKCS#11 3.2, 6.13 and 6.1)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import keywrap

from hsm.errors import TokenError
from hsm.mechanisms import formats, rsa, rsa_keys
from hsm.mechanisms.aes import SIZES
from hsm.mechanisms.entry import Mechanism, OnePart
from hsm.mechanisms.wrapping import Fill, both_ways, named_for_unwrapping, named_for_wrapping
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

HALF = 8  # bytes of the algorithm's half blocks
DEFAULT_IV, DEFAULT_IV_PADDED = bytes.fromhex("a6" * 8), bytes.fromhex("a65959a6")
AES_BITS = (128, 192, 256)
LONGEST = 1 << 20  # bytes; it is for keys, and nobody else is served while it runs: seconds, for what a frame holds


class AesKeyWrap(OnePart):
    """One message in, one out: the algorithm needs the whole of it. ``padded``: as RFC 5649 has it."""

    __slots__ = ("_encrypting", "_key", "_padded")

    def __init__(self, key: Key, parameter: None, encrypting: bool, *, padded: bool = False) -> None:
        self._key = key.get(ck.CKA_VALUE) or b""
        self._encrypting = encrypting
        self._padded = padded

    def bound(self, length: int) -> int:
        return (length + HALF - 1) // HALF * HALF + HALF if self._encrypting else max(length - HALF, 0)

    def one_shot(self, data: bytes) -> bytes:
        if self._encrypting:
            if not data or (not self._padded and (len(data) % 8 or len(data) < 16)):
                raise TokenError(ck.CKR_DATA_LEN_RANGE, "AES key wrap takes 16 bytes or more, in multiples of 8")
            if len(data) > LONGEST:
                raise TokenError(ck.CKR_DATA_LEN_RANGE, f"AES key wrap takes {LONGEST} bytes at most")
            wrap = keywrap.aes_key_wrap_with_padding if self._padded else keywrap.aes_key_wrap
            return wrap(self._key, data)
        if len(data) % 8 or not (16 if self._padded else 24) <= len(data) <= LONGEST + HALF:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_LEN_RANGE, "no wrapped key is so long")
        unwrap = keywrap.aes_key_unwrap_with_padding if self._padded else keywrap.aes_key_unwrap
        try:
            return unwrap(self._key, data)
        except keywrap.InvalidUnwrap:
            words = "the wrapped key was altered, or wrapped under another"
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, words) from None


class AesKeyWrapPkcs7(AesKeyWrap):
    """PKCS#7 padding up to half blocks, and then AES key wrap, whose check tells about the padding to nobody without
    the key (section 6.16.3)."""

    __slots__ = ()

    def bound(self, length: int) -> int:
        return length // HALF * HALF + 2 * HALF if self._encrypting else super().bound(length)

    def one_shot(self, data: bytes) -> bytes:
        if self._encrypting:
            pad = HALF - len(data) % HALF
            if len(data) + pad < 2 * HALF:
                raise TokenError(ck.CKR_DATA_LEN_RANGE, "AES key wrap takes 8 bytes or more, with the padding 16")
            return super().one_shot(data + bytes((pad,)) * pad)
        padded = super().one_shot(data)
        pad = padded[-1]
        if not 1 <= pad <= HALF or padded[-pad:] != bytes((pad,)) * pad:
            raise TokenError(ck.CKR_ENCRYPTED_DATA_INVALID, "what was wrapped has no padding of PKCS#7 behind it")
        return padded[:-pad]


def _default(iv: bytes) -> Callable[[Any], None]:
    def check(parameter: Any) -> None:
        if parameter and parameter != iv:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"the IV is none, or {iv.hex()}")

    return check


def _aes(number: int, iv: bytes, padded: bool) -> Mechanism:
    fill = Fill() if padded else Fill(block=8, least=16, all_of_it=True)
    functions = both_ways(partial(AesKeyWrap, padded=padded), fill=fill)
    return Mechanism(number, *SIZES, parameter=_default(iv), authenticated=True, **functions)


def _rsa_aes_parameter(parameter: Any) -> tuple[int, Any]:
    """CK_RSA_AES_KEY_WRAP_PARAMS: bits of the AES key made for the occasion, and how OAEP carries it."""
    bits = getattr(parameter, "ulAESKeyBits", None)
    if bits not in AES_BITS or parameter.pOAEPParams is None:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "an AES key of 128, 192 or 256 bits, and OAEP parameters")
    return bits, rsa.oaep_parameter(parameter.pOAEPParams)


def _rsa_aes_wrap(key: Key, parameter: tuple[int, Any], target: Key) -> bytes:
    """Section 6.1.20: the AES key under RSA-OAEP, then the target under the AES key with padding."""
    bits, oaep = parameter
    once = os.urandom(bits // 8)
    carrier = rsa.Encryption(key, oaep, True)
    if len(once) > carrier.room:
        raise TokenError(ck.CKR_WRAPPING_KEY_SIZE_RANGE, "the AES key does not fit the wrapping key with this hash")
    carried = carrier.one_shot(once)
    return carried + keywrap.aes_key_wrap_with_padding(once, formats.to_bytes(target))


def _rsa_aes_unwrap(
    key: Key, parameter: tuple[int, Any], wrapped: bytes, template: dict[int, bytes]
) -> dict[int, bytes]:
    bits, oaep = parameter
    size = rsa_keys.octets(key)
    if not size + 16 <= len(wrapped) <= size + LONGEST + HALF or (len(wrapped) - size) % 8:
        raise TokenError(ck.CKR_WRAPPED_KEY_LEN_RANGE, "no key wrapped under this one is so long")
    carrier = rsa.Encryption(key, oaep, False)
    try:
        once = carrier.one_shot(wrapped[:size])
        data = keywrap.aes_key_unwrap_with_padding(once, wrapped[size:]) if len(once) == bits // 8 else None
    except (TokenError, keywrap.InvalidUnwrap):
        data = None
    if data is None:
        raise TokenError(ck.CKR_WRAPPED_KEY_INVALID, "the wrapped key was altered, or wrapped under another")
    return formats.from_bytes(data, template)


MECHANISMS = [
    _aes(ck.CKM_AES_KEY_WRAP, DEFAULT_IV, False),
    _aes(ck.CKM_AES_KEY_WRAP_KWP, DEFAULT_IV_PADDED, True),
    # Section 6.16.3 deprecates this name and says no more what it does. Tokens in the field, SoftHSM2 and nShield among
    # them, and Azure's algorithm of the same name do what KWP does; the padding of 2.40's text has its own name below.
    _aes(ck.CKM_AES_KEY_WRAP_PAD, DEFAULT_IV_PADDED, True),
    Mechanism(
        ck.CKM_AES_KEY_WRAP_PKCS7, *SIZES, parameter=_default(DEFAULT_IV), authenticated=True,
        **both_ways(AesKeyWrapPkcs7),
    ),
    Mechanism(
        ck.CKM_RSA_AES_KEY_WRAP, (ck.CKK_RSA,), rsa_keys.SMALLEST, rsa_keys.LARGEST, parameter=_rsa_aes_parameter,
        halves=True,
        wrap=named_for_wrapping(_rsa_aes_wrap), unwrap=named_for_unwrapping(_rsa_aes_unwrap),
    ),
]
