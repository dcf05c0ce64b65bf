"""The profiles of a partition: ``strict``, which partitions have, and ``compatible``, which an Administrator chooses.

``compatible`` takes back rules that follow from no standard and that programs in use run against. Each is a row: what
it lets, for whom, and the attacks of tests/attacks that succeed by it, which are all that do. The rules are asked at
each use, so that a partition that goes back to strict is strict at once; what was done before stays done.
"""

from __future__ import annotations

from typing import NamedTuple


class Let(NamedTuple):
    """What strict refuses, and who needs it."""

    name: str
    lets: str
    needed_by: str
    opens: tuple[str, ...]


IMPORTED_KEYS_WRAP = Let(
    "imported-keys-wrap",
    "a wrapping key that was imported wraps sensitive keys, without CKA_TRUSTED: a secret one by AES_KEY_WRAP and KWP, "
    "somebody's public key by OAEP, PKCS#1 and RSA_AES_KEY_WRAP",
    "moving keys to another HSM or a cloud: `pkcs11-tool --write-object` of the other side's key, then `--wrap`",
    (
        "trojan-imported", "trojan-imported-sensitive", "trojan-public-key-pkcs", "trojan-public-key-oaep",
        "launder-weaker-twin",
    ),
)
GCM_NONCES_REPEAT = Let(
    "gcm-nonces-repeat",
    "a token key encrypts two messages under one IV by AES-GCM",
    "test suites with a fixed IV, and programs that encrypt the same message again and want the same bytes",
    ("gcm-repeats-a-nonce", "gcm-repeats-a-nonce-by-a-copy", "gcm-repeats-a-nonce-in-parallel"),
)
# What each profile lets.
PROFILES: dict[str, tuple[Let, ...]] = {
    "strict": (),
    "compatible": (IMPORTED_KEYS_WRAP, GCM_NONCES_REPEAT),
}
