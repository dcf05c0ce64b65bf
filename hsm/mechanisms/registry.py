"""The mechanisms: one entry each, and a look-up that refuses by default.

The mechanism list, C_GetMechanismInfo and every usage check derive from the entries. A family's file ends in its
table; adding a mechanism is one more row there.
"""

from __future__ import annotations

from hsm.errors import TokenError, mechanism_name
from hsm.mechanisms import (
    aead,
    aes,
    agreement,
    derivation,
    digest,
    ec,
    eddsa,
    encrypt_data,
    hkdf,
    hmac,
    keywrap,
    legacy,
    montgomery,
    pbkdf2,
    rsa,
    rsa_raw,
    secret,
    sp800_108,
    stealing,
)
from hsm.mechanisms.entry import Mechanism
from pkcs11_shim import constants as ck

FAMILIES = (
    digest, hmac, secret, aes, aead, stealing, encrypt_data, rsa, rsa_raw, ec, eddsa, montgomery, agreement,
    derivation, hkdf, sp800_108, pbkdf2, keywrap, legacy,
)


def _collect() -> dict[int, Mechanism]:
    found: dict[int, Mechanism] = {}
    for family in FAMILIES:
        for entry in family.MECHANISMS:
            if entry.number in found:
                raise ValueError(f"two entries for mechanism {entry.number:#x}")
            found[entry.number] = entry
    return found


def offered(legacy: bool) -> list[int]:
    """The numbers that a partition lists, by its switch for legacy mechanisms."""
    return sorted(number for number, entry in MECHANISMS.items() if legacy or not entry.legacy)


def entry_of(number: int, legacy: bool) -> Mechanism:
    """The entry of a mechanism that the partition offers; CKR_MECHANISM_INVALID otherwise."""
    entry = MECHANISMS.get(number)
    if entry is None:
        raise TokenError(ck.CKR_MECHANISM_INVALID, f"{mechanism_name(number)} is not offered")
    if entry.legacy and not legacy:
        words = f"{mechanism_name(number)} is a legacy mechanism, and the partition's switch for these is off"
        raise TokenError(ck.CKR_MECHANISM_INVALID, f"{words}: adyton partition set SLOT --legacy on", "legacy")
    return entry


def find(number: int, use: str, legacy: bool) -> Mechanism:
    """The entry of a mechanism that the partition offers for ``use``; CKR_MECHANISM_INVALID otherwise."""
    entry = entry_of(number, legacy)
    if getattr(entry, use) is None:
        raise TokenError(ck.CKR_MECHANISM_INVALID, f"{mechanism_name(number)} is not offered for {use}")
    return entry


MECHANISMS = _collect()
