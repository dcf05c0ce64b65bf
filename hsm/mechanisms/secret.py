"""Generic secret keys (PKCS#11 3.2, section 6.6) and keys for HMAC."""

from __future__ import annotations

import os

from hsm.errors import TokenError
from hsm.mechanisms.digest import HASHES
from hsm.mechanisms.entry import Mechanism
from pkcs11_shim import constants as ck

SHORTEST, LONGEST = 1, 4096


def generate(parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
    if ck.CKA_VALUE_LEN not in template:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_VALUE_LEN must be given", "CKA_VALUE_LEN")
    length = int.from_bytes(template[ck.CKA_VALUE_LEN], "little")
    if not SHORTEST <= length <= LONGEST:
        raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, f"a secret has {SHORTEST} to {LONGEST} bytes", "CKA_VALUE_LEN")
    return {ck.CKA_VALUE: os.urandom(length)}


# Sizes of generic secrets are in bits (section 6.8.3), those of HMAC keys in bytes (section 6.22.4).
MECHANISMS = [
    Mechanism(
        ck.CKM_GENERIC_SECRET_KEY_GEN, (ck.CKK_GENERIC_SECRET,), 8 * SHORTEST, 8 * LONGEST, generate=generate
    ),
    *(Mechanism(row.key_gen, (row.key_type,), SHORTEST, LONGEST, generate=generate) for row in HASHES),
]
