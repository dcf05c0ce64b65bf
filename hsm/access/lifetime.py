"""When a key may be used: Azure's attributes ``enabled``, ``nbf`` and ``exp`` of a version, asked at every use.

A disabled key does nothing. Before its ``nbf`` and from its ``exp`` on, what it has protected can still be read: it
decrypts, unwraps and verifies, and does nothing else. These are not PKCS#11's CKA_START_DATE and CKA_END_DATE, which
restrict nothing (PKCS#11 3.2, section 4.7.2), but they are shown as these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsm import clock
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.objects.about import About
    from hsm.objects.token_object import TokenObject

AT_ANY_TIME = frozenset({"decrypt", "unwrap", "verify", "verify_recover"})


def why_not(about: About, use: str) -> str:
    """Why a key is not used so now, in words; nothing where it may be."""
    if not about.limited:
        return ""
    if not about.enabled:
        return "is disabled"
    if use in AT_ANY_TIME:
        return ""
    now = clock.now()
    if now < about.not_before:
        return f"is not to be used before {clock.moment(about.not_before * 1_000_000)} (nbf)"
    if about.expires and now >= about.expires:
        return f"has expired at {clock.moment(about.expires * 1_000_000)} (exp)"
    return ""


def check(key: TokenObject, use: str, rv: int = ck.CKR_KEY_FUNCTION_NOT_PERMITTED) -> None:
    """Refuses, with ``rv``, what the key is not to be used for now. A session object with token keys' value may do what
    one of those may that are still there."""
    about = key.about()
    if key.is_token:
        if about.limited:
            _refuse([about], use, rv)
    elif key.lenders:
        there = [lender.about() for lender in key.lenders if lender.alive]
        if there:
            _refuse(there, use, rv)


def _refuse(abouts: list[About], use: str, rv: int) -> None:
    reasons = [why_not(about, use) for about in abouts]
    if all(reasons):
        about = abouts[0]
        version = f"version {about.version} of key {about.name}" if about.name else "the key"
        raise TokenError(rv, f"{version} {reasons[0]}: see adyton key show", "enabled" if not about.enabled else "exp")
