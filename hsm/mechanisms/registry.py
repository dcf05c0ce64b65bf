"""The mechanisms: one entry each, and a look-up that refuses by default.

The mechanism list, C_GetMechanismInfo and every usage check derive from the entries. A family's file ends in its
table; adding a mechanism is one more row there.
"""

from __future__ import annotations

from hsm.errors import TokenError
from hsm.mechanisms import aes, digest, ec, eddsa, hmac, keywrap, rsa, secret
from hsm.mechanisms.entry import Mechanism
from pkcs11_shim import constants as ck

FAMILIES = (digest, hmac, secret, aes, rsa, ec, eddsa, keywrap)


def _collect() -> dict[int, Mechanism]:
    found: dict[int, Mechanism] = {}
    for family in FAMILIES:
        for entry in family.MECHANISMS:
            if entry.number in found:
                raise ValueError(f"two entries for mechanism {entry.number:#x}")
            found[entry.number] = entry
    return found


def find(number: int, use: str) -> Mechanism:
    """The entry of a mechanism that serves ``use``; CKR_MECHANISM_INVALID otherwise."""
    entry = MECHANISMS.get(number)
    if entry is None or getattr(entry, use) is None:
        raise TokenError(ck.CKR_MECHANISM_INVALID, f"mechanism {number:#x} is not offered for {use}")
    return entry


MECHANISMS = _collect()
