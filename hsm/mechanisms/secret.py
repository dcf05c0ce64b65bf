"""Generic secret keys (PKCS#11 3.2, section 6.6) and keys for HMAC."""

from __future__ import annotations

import os

from hsm.mechanisms.digest import HASHES
from hsm.mechanisms.entry import Mechanism
from hsm.mechanisms.secret_forms import length_to_make
from pkcs11_shim import constants as ck

SHORTEST, LONGEST = 1, 4096


def generate(parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
    return {ck.CKA_VALUE: os.urandom(length_to_make(template, range(SHORTEST, LONGEST + 1)))}


# Sizes of generic secrets are in bits (section 6.8.3), those of HMAC keys in bytes (section 6.22.4).
MECHANISMS = [
    Mechanism(
        ck.CKM_GENERIC_SECRET_KEY_GEN, (ck.CKK_GENERIC_SECRET,), 8 * SHORTEST, 8 * LONGEST, generate=generate
    ),
    *(Mechanism(row.key_gen, (row.key_type,), SHORTEST, LONGEST, generate=generate) for row in HASHES),
]
