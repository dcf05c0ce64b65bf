"""What the value of a secret key must be like, by its type: how long, and well formed where that says more.

Types that are not here take any length but none, up to a bound (generic secrets, keys for HMAC).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hsm.errors import TokenError
from pkcs11_shim import constants as ck

LONGEST = 1 << 20  # bytes
AES_LENGTHS, XTS_LENGTHS, DES3_LENGTHS = (16, 24, 32), (32, 64), (24,)


def odd(value: bytes) -> bytes:
    """Each byte with its lowest bit set so that the number of its bits is odd: DES's parity (FIPS PUB 46-3)."""
    return bytes(byte & 0xFE | 1 ^ (byte >> 1).bit_count() & 1 for byte in value)


def _has_parity(value: bytes) -> bool:
    return odd(value) == value


def halves_differ(value: bytes) -> bool:
    """XTS with one key twice gives its tweaks away (implementation guidance of FIPS 140-2, A.9)."""
    return value[: len(value) // 2] != value[len(value) // 2 :]


class Form(NamedTuple):
    """``good`` of a value of a right length; ``derived`` makes one of bytes that another key gave."""

    lengths: tuple[int, ...]
    good: Callable[[bytes], bool] = bool
    derived: Callable[[bytes], bytes] = bytes


FORMS = {
    ck.CKK_AES: Form(AES_LENGTHS), ck.CKK_AES_XTS: Form(XTS_LENGTHS, halves_differ),
    # Section 6.18.3; what is derived gets its parity set (section 6.21, of SHA key derivation).
    ck.CKK_DES3: Form(DES3_LENGTHS, _has_parity, odd),
}


def has_length(key_type: int, length: int) -> bool:
    form = FORMS.get(key_type)
    return length in form.lengths if form else 0 < length <= LONGEST


def is_good(key_type: int, value: bytes) -> bool:
    """Of a value of a right length: whether it may be a key of this type."""
    form = FORMS.get(key_type)
    return form is None or form.good(value)


def derived(key_type: int, value: bytes) -> bytes:
    form = FORMS.get(key_type)
    return form.derived(value) if form else value


def fixed_length(key_type: int) -> int | None:
    """The one length that keys of this type have, if it is one."""
    form = FORMS.get(key_type)
    return form.lengths[0] if form and len(form.lengths) == 1 else None


def length_to_make(template: dict[int, bytes], lengths: Sequence[int]) -> int:
    """CKA_VALUE_LEN of a key to be generated, in bytes: one of ``lengths``."""
    if ck.CKA_VALUE_LEN not in template:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN must be given", "CKA_VALUE_LEN")
    length = int.from_bytes(template[ck.CKA_VALUE_LEN], "little")
    if length not in lengths:
        said = f"{lengths[0]} to {lengths[-1]}" if isinstance(lengths, range) else " or ".join(map(str, lengths))
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, f"such a key has {said} bytes", "CKA_VALUE_LEN")
    return length


def wanted_length(template: dict[int, bytes]) -> int | None:
    """How long a derived key is to be: CKA_VALUE_LEN, or what its type fixes; None where neither is said, which is for
    types of any length only."""
    said = int.from_bytes(template.get(ck.CKA_VALUE_LEN, b""), "little")
    key_type = int.from_bytes(template.get(ck.CKA_KEY_TYPE, b""), "little")
    wanted = said or fixed_length(key_type)
    if not wanted and key_type in FORMS:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN says how long this key is to be", "CKA_VALUE_LEN")
    return wanted
