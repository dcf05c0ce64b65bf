"""Keys from keys: how long a derived key is, and derivation by hashing (PKCS#11 3.2, sections 5.18.5 and 6.21).

Not offered, though the standard has them: CKM_CONCATENATE_BASE_AND_KEY, _BASE_AND_DATA and _DATA_AND_BASE,
CKM_XOR_BASE_AND_DATA and CKM_EXTRACT_KEY_FROM_KEY (section 6.43). Their results are parts of the base, or hold it in
the open beside bytes that the caller chose, so that a key is found piece by piece (Clulow 2003).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from hsm.errors import TokenError
from hsm.mechanisms import secret_forms
from hsm.mechanisms.digest import BY_NUMBER, HASHES
from hsm.mechanisms.entry import Mechanism
from hsm.objects import attributes as table
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

LONGEST_INPUT = 1 << 20  # bytes that go in beside the base: some derivations hash them once for each block they give
_GENERIC = ck.CKK_GENERIC_SECRET.to_bytes(8, "little")
# Of a key that HKDF extracted, or may have: a MAC under it is what its expansion gives to others.
NO_MACS = {table.NO_MACS: table.TRUE, ck.CKA_SIGN: table.FALSE, ck.CKA_VERIFY: table.FALSE}
HMAC_TYPES = (ck.CKK_GENERIC_SECRET, ck.CKK_HKDF, *(row.key_type for row in HASHES))
HASHED = {
    ck.CKM_SHA1_KEY_DERIVATION: ck.CKM_SHA_1, ck.CKM_SHA224_KEY_DERIVATION: ck.CKM_SHA224,
    ck.CKM_SHA256_KEY_DERIVATION: ck.CKM_SHA256, ck.CKM_SHA384_KEY_DERIVATION: ck.CKM_SHA384,
    ck.CKM_SHA512_KEY_DERIVATION: ck.CKM_SHA512, ck.CKM_SHA512_224_KEY_DERIVATION: ck.CKM_SHA512_224,
    ck.CKM_SHA512_256_KEY_DERIVATION: ck.CKM_SHA512_256, ck.CKM_SHA3_224_KEY_DERIVATION: ck.CKM_SHA3_224,
    ck.CKM_SHA3_256_KEY_DERIVATION: ck.CKM_SHA3_256, ck.CKM_SHA3_384_KEY_DERIVATION: ck.CKM_SHA3_384,
    ck.CKM_SHA3_512_KEY_DERIVATION: ck.CKM_SHA3_512,
}


def may_go_in(length: int, what: str) -> None:
    if length > LONGEST_INPUT:
        words = f"up to {LONGEST_INPUT} bytes go into a derivation beside its base"
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words, what)


def length_of(template: dict[int, bytes], longest: int, whole: int = 0) -> int:
    """Bytes of the key asked for. ``whole``: what a generic secret has where CKA_VALUE_LEN is not given; 0: it must."""
    wanted = secret_forms.wanted_length(template)
    if wanted is None and (not whole or template.get(ck.CKA_KEY_TYPE) != _GENERIC):
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN says how long this key is to be", "CKA_VALUE_LEN")
    wanted = wanted or whole
    if wanted > longest:
        words = f"{longest} bytes can be derived: the key asked for is longer"
        raise TokenError(ck.CKR_KEY_SIZE_RANGE, words, "CKA_VALUE_LEN")
    return wanted


def _hashed(name: str) -> Callable[[Key, None, dict[int, bytes]], dict[int, bytes]]:
    def derive(key: Key, parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
        """The first bytes of the hash of the base's value. HMAC puts that in the place of a key longer than a block, so
        that the two would be one key for MACs, of which one signs and the other derives."""
        state = hashlib.new(name, key.get(ck.CKA_VALUE) or b"")
        if len(key.get(ck.CKA_VALUE) or b"") > state.block_size:
            words = f"a base of up to {state.block_size} bytes, a block of this hash, can be hashed"
            raise TokenError(ck.CKR_KEY_SIZE_RANGE, words)
        digest = state.digest()
        return {ck.CKA_VALUE: digest[: length_of(template, len(digest), len(digest))]}

    return derive


MECHANISMS = [
    Mechanism(number, (*HMAC_TYPES, ck.CKK_AES), derive=_hashed(BY_NUMBER[made].name))
    for number, made in HASHED.items()
]
