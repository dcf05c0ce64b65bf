"""HKDF: derivation of keys and of data, and its own keys (PKCS#11 3.2, section 6.62; RFC 5869)."""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hsm.errors import TokenError
from hsm.mechanisms import secret
from hsm.mechanisms.derivation import NO_MACS, length_of, may_go_in
from hsm.mechanisms.digest import BY_NUMBER
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

KEY_TYPES = (ck.CKK_HKDF, ck.CKK_GENERIC_SECRET)
SALTS = (ck.CKF_HKDF_SALT_NULL, ck.CKF_HKDF_SALT_DATA, ck.CKF_HKDF_SALT_KEY)
MOST_BLOCKS = 255  # RFC 5869, section 2.3


def _parameter(parameter: Any) -> Any:
    """CK_HKDF_PARAMS. The salt counts with bExtract only, the info with bExpand only."""
    if getattr(parameter, "prfHashMechanism", None) not in BY_NUMBER:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the hash of HKDF is one of SHA-1, SHA-2 and SHA-3")
    if not {parameter.bExtract, parameter.bExpand} <= {0, 1} or not (parameter.bExtract or parameter.bExpand):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "HKDF extracts, expands or does both")
    wrong = parameter.ulSaltType not in SALTS or (parameter.ulSaltType == ck.CKF_HKDF_SALT_NULL and parameter.pSalt)
    if parameter.bExtract and wrong:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the salt is none, data or a key, as ulSaltType says")
    may_go_in(len(parameter.pInfo or b""), "pInfo")
    return parameter


def _salt_key(parameter: Any) -> tuple[int, ...]:
    salted = parameter.bExtract and parameter.ulSaltType == ck.CKF_HKDF_SALT_KEY
    return (parameter.hSaltKey,) if salted else ()


def _most_bits(parameter: Any) -> int:
    """All that is derived comes of a key as long as the hash, however long base and result are."""
    return 8 * BY_NUMBER[parameter.prfHashMechanism].length


def _derive(key: Key, parameter: Any, template: dict[int, bytes], *salts: Key) -> dict[int, bytes]:
    hashed = BY_NUMBER[parameter.prfHashMechanism]
    value = key.get(ck.CKA_VALUE) or b""
    if parameter.bExtract:
        salt = (salts[0].get(ck.CKA_VALUE) if salts else parameter.pSalt) or bytes(hashed.length)
        value = hmac.digest(salt, value, hashed.name)
    elif len(value) < hashed.length:
        words = f"what is only expanded has as many bytes as the hash or more, {hashed.length}"
        raise TokenError(ck.CKR_KEY_SIZE_RANGE, words)
    if not parameter.bExpand:
        if length_of({ck.CKA_VALUE_LEN: len(value).to_bytes(8, "little"), **template}, len(value)) != len(value):
            words = f"what is only extracted has as many bytes as the hash, {len(value)}"
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, words, "CKA_VALUE_LEN")
        return {ck.CKA_VALUE: value, **(NO_MACS if ck.CKA_KEY_TYPE in template else {})}
    wanted = length_of(template, MOST_BLOCKS * hashed.length)
    return {ck.CKA_VALUE: HKDFExpand(hashed.algorithm, wanted, parameter.pInfo or b"").derive(value)}


def _hkdf(number: int, makes: int) -> Mechanism:
    return Mechanism(
        number, KEY_TYPES, secret.SHORTEST, secret.LONGEST, parameter=_parameter, derive=_derive, makes=makes,
        other_keys=_salt_key, most_bits=_most_bits,
    )


MECHANISMS = [
    _hkdf(ck.CKM_HKDF_DERIVE, ck.CKO_SECRET_KEY),
    _hkdf(ck.CKM_HKDF_DATA, ck.CKO_DATA),
    Mechanism(
        ck.CKM_HKDF_KEY_GEN, (ck.CKK_HKDF,), secret.SHORTEST, secret.LONGEST, generate=secret.generate
    ),
]
