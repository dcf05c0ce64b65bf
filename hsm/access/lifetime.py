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


def why_not(about: About, use: str) -> tuple[str, str]:
    """Why a key is not used so now: the attribute, and words; nothing where it may be."""
    if not about.enabled:
        return "enabled", "is disabled"
    now = clock.now()
    if use in AT_ANY_TIME or not about.limited:
        return "", ""
    if now < about.not_before:
        return "nbf", f"is not to be used before {clock.moment(about.not_before * 1_000_000)}"
    if about.expires and now >= about.expires:
        return "exp", f"has expired at {clock.moment(about.expires * 1_000_000)}"
    return "", ""


def asked(key: TokenObject) -> list[About]:
    """The records whose times are this key's: its own, or those of the token keys that are there and whose value a
    session object has; none where there are no times, as mostly."""
    if key.is_token:
        about = key.about()
        return [about] if about.limited else []
    there = [lender.about() for lender in key.lenders if lender.alive]
    return there if all(about.limited for about in there) else []


def check(key: TokenObject, use: str, rv: int = ck.CKR_KEY_FUNCTION_NOT_PERMITTED) -> None:
    """Refuses, with ``rv``, what the key is not to be used for now. A session object with token keys' value may do what
    one of those may that are still there."""
    abouts = asked(key)
    reasons = [why_not(about, use) for about in abouts]
    if reasons and all(words for _, words in reasons):
        (attribute, words), about = reasons[0], abouts[0]
        version = f"version {about.version} of key {about.name}" if about.name else "the key"
        raise TokenError(rv, f"{version} {words} ({attribute}): see adyton key show", attribute)
