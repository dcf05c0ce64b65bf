"""Keys derived by encrypting data with AES (PKCS#11 3.2, section 6.17).

It is an encryption, and costs its key what encryption does: the entries say so by ``oracle``. Whoever may encrypt with
the key elsewhere knows the result, which therefore counts as known outside.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, modes

from hsm.errors import TokenError
from hsm.mechanisms import secret_forms
from hsm.mechanisms.aes import BLOCK, SIZES, algorithm, iv
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

Given = tuple[modes.ECB | modes.CBC, bytes]


def _data(parameter: Any) -> bytes:
    if not hasattr(parameter, "pData"):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the parameter holds the data to encrypt")
    data: bytes = parameter.pData or b""
    if len(data) % BLOCK:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the data are whole blocks of 16 bytes", "pData")
    return data


def _ecb(parameter: Any) -> Given:
    """CK_KEY_DERIVATION_STRING_DATA."""
    return modes.ECB(), _data(parameter)


def _cbc(parameter: Any) -> Given:
    """CK_AES_CBC_ENCRYPT_DATA_PARAMS."""
    data = _data(parameter)
    return modes.CBC(iv(parameter.iv)), data


def _derive(key: Key, given: Given, template: dict[int, bytes]) -> dict[int, bytes]:
    """Section 6.17.4: of what is too long, the end is left out."""
    mode, data = given
    wanted = secret_forms.wanted_length(template) or len(data)
    if not 0 < wanted <= len(data):
        raise TokenError(ck.CKR_DATA_LEN_RANGE, "the data are shorter than the key asked for", "CKA_VALUE_LEN")
    context = Cipher(key.native(algorithm), mode).encryptor()
    return {ck.CKA_VALUE: (context.update(data) + context.finalize())[:wanted]}


MECHANISMS = [
    Mechanism(ck.CKM_AES_ECB_ENCRYPT_DATA, *SIZES, parameter=_ecb, oracle=("derive",), derive=_derive),
    Mechanism(ck.CKM_AES_CBC_ENCRYPT_DATA, *SIZES, parameter=_cbc, oracle=("derive",), derive=_derive),
]
