"""Diffie-Hellman on elliptic curves: CKM_ECDH1_DERIVE, and with the cofactor (PKCS#11 3.2, section 6.3).

The cofactor of every curve over a prime field here is 1, so that both mechanisms agree on the same secret there.
Montgomery curves clear theirs in the scalar (RFC 7748, section 5).
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDH

from hsm.errors import TokenError
from hsm.mechanisms import ec, montgomery
from hsm.mechanisms.derivation import length_of, may_go_in
from hsm.mechanisms.digest import BY_NUMBER
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

KDFS = {
    ck.CKD_SHA1_KDF: ck.CKM_SHA_1, ck.CKD_SHA224_KDF: ck.CKM_SHA224, ck.CKD_SHA256_KDF: ck.CKM_SHA256,
    ck.CKD_SHA384_KDF: ck.CKM_SHA384, ck.CKD_SHA512_KDF: ck.CKM_SHA512,
    ck.CKD_SHA3_224_KDF: ck.CKM_SHA3_224, ck.CKD_SHA3_256_KDF: ck.CKM_SHA3_256,
    ck.CKD_SHA3_384_KDF: ck.CKM_SHA3_384, ck.CKD_SHA3_512_KDF: ck.CKM_SHA3_512,
}
LONGEST_SECRET = 512


def _parameter(parameter: Any) -> Any:
    """CK_ECDH1_DERIVE_PARAMS."""
    kdf = getattr(parameter, "kdf", None)
    if kdf != ck.CKD_NULL and kdf not in KDFS:
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the KDF is CKD_NULL or one of X9.63 by SHA-1, SHA-2, SHA-3")
    if not parameter.pPublicData or (kdf == ck.CKD_NULL and parameter.pSharedData):
        raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "the other public key is missing, or CKD_NULL has shared data")
    may_go_in(len(parameter.pSharedData or b""), "pSharedData")
    return parameter


def _shared(key: Key, point: bytes) -> bytes:
    """What both know. A point that is none, and one of small order, under which there is no secret, are refused."""
    curve = key.get(ck.CKA_EC_PARAMS)
    try:
        if key.key_type == ck.CKK_EC_MONTGOMERY:
            peer = montgomery.CURVES.load_public(curve, point)
            agreed: bytes = key.native(montgomery.CURVES.private).exchange(peer)
            return agreed
        return key.native(ec.private).exchange(ECDH(), ec.load_public(curve, point))
    except ValueError:
        raise TokenError(ck.CKR_PUBLIC_KEY_INVALID, "the other public key is no point of this curve") from None


def _derive(key: Key, parameter: Any, template: dict[int, bytes]) -> dict[int, bytes]:
    shared = _shared(key, parameter.pPublicData)
    longest = len(shared) if parameter.kdf == ck.CKD_NULL else LONGEST_SECRET
    wanted = length_of(template, longest, len(shared))
    if parameter.kdf == ck.CKD_NULL:
        # Section 6.3.18: the truncation removes bytes from the leading end.
        return {ck.CKA_VALUE: shared[-wanted:]}
    from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

    kdf = X963KDF(BY_NUMBER[KDFS[parameter.kdf]].algorithm, wanted, parameter.pSharedData or None)
    return {ck.CKA_VALUE: kdf.derive(shared)}


def _agreement(number: int, *key_types: int) -> Mechanism:
    return Mechanism(number, key_types, *ec.BITS, ec.FLAGS, _parameter, derive=_derive, agreement=True)


MECHANISMS = [
    _agreement(ck.CKM_ECDH1_DERIVE, ck.CKK_EC, ck.CKK_EC_MONTGOMERY),
    _agreement(ck.CKM_ECDH1_COFACTOR_DERIVE, ck.CKK_EC),
]
