"""PBKDF2: keys from passwords (PKCS#11 3.2, section 6.37; RFC 8018). Whoever called knows the password, so the key too.

Both structures come as CK_PKCS5_PBKD2_PARAMS2: where CK_PKCS5_PBKD2_PARAMS has a pointer for the password's length, the
library has read it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from hsm.errors import TokenError
from hsm.mechanisms.derivation import HMAC_TYPES, length_of, may_go_in
from hsm.mechanisms.digest import BY_NUMBER
from hsm.mechanisms.entry import Mechanism
from hsm.mechanisms.formats import check_and_complete
from pkcs11_shim import constants as ck

PRFS = {
    ck.CKP_PKCS5_PBKD2_HMAC_SHA1: ck.CKM_SHA_1, ck.CKP_PKCS5_PBKD2_HMAC_SHA224: ck.CKM_SHA224,
    ck.CKP_PKCS5_PBKD2_HMAC_SHA256: ck.CKM_SHA256, ck.CKP_PKCS5_PBKD2_HMAC_SHA384: ck.CKM_SHA384,
    ck.CKP_PKCS5_PBKD2_HMAC_SHA512: ck.CKM_SHA512, ck.CKP_PKCS5_PBKD2_HMAC_SHA512_224: ck.CKM_SHA512_224,
    ck.CKP_PKCS5_PBKD2_HMAC_SHA512_256: ck.CKM_SHA512_256,
}
LONGEST = 4096
MOST_ROUNDS = 10_000_000  # of one call, over all its blocks: some ten seconds of one core


def _parameter(parameter: Any) -> Any:
    """CK_PKCS5_PBKD2_PARAMS2."""
    if getattr(parameter, "prf", None) not in PRFS or parameter.pPrfData:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the PRF is HMAC by SHA-1 or SHA-2, and takes no data")
    if parameter.saltSource != ck.CKZ_SALT_SPECIFIED:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the salt is given: CKZ_SALT_SPECIFIED")
    if not 0 < parameter.iterations <= MOST_ROUNDS:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, f"1 to {MOST_ROUNDS} iterations can be had")
    may_go_in(len(parameter.pSaltSourceData or b""), "pSaltSourceData")
    return parameter


def _generate(parameter: Any, template: dict[int, bytes]) -> dict[int, bytes]:
    hashed = BY_NUMBER[PRFS[parameter.prf]]
    wanted = length_of(template, LONGEST)
    if -(-wanted // hashed.length) * parameter.iterations > MOST_ROUNDS:
        words = f"a key so long takes more than {MOST_ROUNDS} iterations in all"
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words, "iterations")
    password, salt = parameter.pPassword or b"", parameter.pSaltSourceData or b""
    made = hashlib.pbkdf2_hmac(hashed.name, password, salt, parameter.iterations, wanted)
    return check_and_complete({**template, ck.CKA_VALUE: made})


MECHANISMS = [
    Mechanism(ck.CKM_PKCS5_PBKD2, (*HMAC_TYPES, ck.CKK_AES), parameter=_parameter, generate=_generate, told=True),
]
