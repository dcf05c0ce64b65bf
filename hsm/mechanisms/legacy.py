"""What is no longer safe, for data that are still about: triple DES and MD5 (PKCS#11 3.2, sections 6.18 and 6.19, and
the Historical Mechanisms). A partition offers them once its switch is on.
"""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import modes

from hsm.errors import TokenError
from hsm.mechanisms import block, digest, hmac, mac, rsa, rsa_keys, secret_forms
from hsm.mechanisms.digest import Hash
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

BLOCK, LENGTH, THIRD = 8, 24, 8
MD5 = Hash("md5", hashes.MD5(), ck.CKM_MD5, ck.CKM_MD5_HMAC, ck.CKM_MD5_HMAC_GENERAL, ck.CKK_MD5_HMAC)


def _cipher(key: Key) -> TripleDES:
    return TripleDES(key.get(ck.CKA_VALUE) or b"")


def _generate(parameter: None, template: dict[int, bytes]) -> dict[int, bytes]:
    """Three keys that differ, or it would be single DES (NIST SP 800-67, section 3.2)."""
    thirds: set[bytes] = set()
    while len(thirds) < LENGTH // THIRD:
        thirds.add(secret_forms.odd(os.urandom(THIRD)))
    return {
        ck.CKA_KEY_TYPE: ck.CKK_DES3.to_bytes(8, "little"), ck.CKA_VALUE: b"".join(thirds),
        ck.CKA_VALUE_LEN: LENGTH.to_bytes(8, "little"),
    }


def _md5_rsa(key: Key, parameter: None) -> Any:
    if rsa_keys.octets(key) < rsa.PKCS1_OVERHEAD + rsa.DIGEST_INFO + MD5.length:
        raise TokenError(ck.CKR_KEY_SIZE_RANGE, "the key is too short for this padding and hash")
    return rsa.Signature(key, padding.PKCS1v15(), MD5.algorithm)


_DES3 = ((ck.CKK_DES3,),)  # sizes are not used (section 6.18)
_iv = block.iv_of(BLOCK)
_ROWS = (
    Mechanism(ck.CKM_DES3_KEY_GEN, *_DES3, generate=_generate),
    Mechanism(ck.CKM_DES3_ECB, *_DES3, **block.streaming(_cipher, lambda parameter: modes.ECB(), block=BLOCK)),
    Mechanism(ck.CKM_DES3_CBC, *_DES3, parameter=_iv, **block.streaming(_cipher, modes.CBC, block=BLOCK)),
    Mechanism(ck.CKM_DES3_CBC_PAD, *_DES3, parameter=_iv, **block.streaming(_cipher, modes.CBC, pads=True)),
    Mechanism(ck.CKM_DES3_CMAC, *_DES3, **block.macs(_cipher, BLOCK)),
    Mechanism(ck.CKM_DES3_CMAC_GENERAL, *_DES3, **block.macs(_cipher, BLOCK, mac.length_up_to(BLOCK))),
    digest.row(MD5),
    *hmac.rows(MD5),
    Mechanism(
        ck.CKM_MD5_RSA_PKCS, (ck.CKK_RSA,), rsa_keys.SMALLEST, rsa_keys.LARGEST, sign=_md5_rsa, verify=_md5_rsa
    ),
)
MECHANISMS = [row._replace(legacy=True) for row in _ROWS]
