"""Keys from keys: how long a derived key is, and derivation by hashing (PKCS#11 3.2, sections 5.18.5 and 6.21)."""

from __future__ import annotations

from hsm.errors import TokenError
from pkcs11_shim import constants as ck

_GENERIC = ck.CKK_GENERIC_SECRET.to_bytes(8, "little")


def length_of(template: dict[int, bytes], longest: int, whole: int = 0) -> int:
    """Bytes of the key asked for. ``whole``: what a generic secret has where CKA_VALUE_LEN is not given; 0: it must."""
    wanted = int.from_bytes(template.get(ck.CKA_VALUE_LEN, b""), "little")
    if not wanted and (not whole or template.get(ck.CKA_KEY_TYPE) != _GENERIC):
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN says how long this key is to be", "CKA_VALUE_LEN")
    wanted = wanted or whole
    if wanted > longest:
        words = f"{longest} bytes can be derived: the key asked for is longer"
        raise TokenError(ck.CKR_KEY_SIZE_RANGE, words, "CKA_VALUE_LEN")
    return wanted
