"""Keys and mechanisms that both modules of test_peer.py have: pairs and secrets that are imported, what is done with
them, and which parameters are tried, right ones and wrong ones."""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pkcs11_shim import constants as ck

Template = list[tuple[int, Any]]
Parameter = bytes | tuple[str, dict[str, Any]] | None
BLOCK, HALF = bytes(range(16)), bytes(range(8))
P256 = bytes.fromhex("06082a8648ce3d030107")
EDWARDS = b"\x13\x0cedwards25519"  # SoftHSM2 knows the curve by this name only
USES = (ck.CKA_ENCRYPT, ck.CKA_DECRYPT, ck.CKA_SIGN, ck.CKA_VERIFY, ck.CKA_WRAP, ck.CKA_UNWRAP)


def _big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _rsa() -> tuple[Template, Template]:
    made = rsa.generate_private_key(65537, 2048).private_numbers()
    both = [(ck.CKA_KEY_TYPE, ck.CKK_RSA), (ck.CKA_MODULUS, _big(made.public_numbers.n)),
            (ck.CKA_PUBLIC_EXPONENT, b"\x01\x00\x01")]
    parts = {
        ck.CKA_PRIVATE_EXPONENT: made.d, ck.CKA_PRIME_1: made.p, ck.CKA_PRIME_2: made.q, ck.CKA_EXPONENT_1: made.dmp1,
        ck.CKA_EXPONENT_2: made.dmq1, ck.CKA_COEFFICIENT: made.iqmp,
    }
    return both, [*both, *((number, _big(part)) for number, part in parts.items())]


def _ec() -> tuple[Template, Template]:
    made = ec.generate_private_key(ec.SECP256R1())
    point = made.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    both = [(ck.CKA_KEY_TYPE, ck.CKK_EC), (ck.CKA_EC_PARAMS, P256)]
    value = made.private_numbers().private_value.to_bytes(32, "big")
    return [*both, (ck.CKA_EC_POINT, b"\x04\x41" + point)], [*both, (ck.CKA_VALUE, value)]


def _edwards() -> tuple[Template, Template]:
    made = Ed25519PrivateKey.generate()
    both = [(ck.CKA_KEY_TYPE, ck.CKK_EC_EDWARDS), (ck.CKA_EC_PARAMS, EDWARDS)]
    point = b"\x04\x20" + made.public_key().public_bytes_raw()
    return [*both, (ck.CKA_EC_POINT, point)], [*both, (ck.CKA_VALUE, made.private_bytes_raw())]


KINDS_OF_PAIRS = {"RSA": _rsa, "EC": _ec, "Edwards": _edwards}
PAIRS_OF_A_KIND = 2


@cache
def pair(kind: str, number: int) -> tuple[Template, Template]:
    """The attributes that say which pair it is: the same for the whole run, as costly ones are."""
    return KINDS_OF_PAIRS[kind]()


def imported(kind: str, number: int, flags: list[bool]) -> tuple[Template, Template]:
    """Templates of both halves, session objects with all their flags said. What a sensitive value has done binds its
    twins here, which the other module knows nothing of: these are not sensitive."""
    private, encrypt, decrypt, sign, verify = flags
    is_rsa = kind == "RSA"
    public = [(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), (ck.CKA_PRIVATE, False), (ck.CKA_TOKEN, False),
              (ck.CKA_ENCRYPT, encrypt and is_rsa), (ck.CKA_VERIFY, verify), (ck.CKA_WRAP, False)]
    secret = [(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), (ck.CKA_PRIVATE, private), (ck.CKA_TOKEN, False),
              (ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True), (ck.CKA_DECRYPT, decrypt and is_rsa),
              (ck.CKA_SIGN, sign), (ck.CKA_UNWRAP, False), (ck.CKA_DERIVE, kind == "EC")]
    one, two = pair(kind, number)
    return [*public, *one], [*secret, *two]


def _structure(kind: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return kind, fields


def counter(bits: int) -> Parameter:
    return _structure("CK_AES_CTR_PARAMS", ulCounterBits=bits, cb=BLOCK)


def gcm(iv: bytes = BLOCK[:12], tag: int = 128, aad: bytes = b"") -> Parameter:
    return _structure(
        "CK_GCM_PARAMS", pIv=iv, ulIvLen=len(iv), ulIvBits=8 * len(iv), pAAD=aad, ulAADLen=len(aad), ulTagBits=tag
    )


def oaep(hashed: int = ck.CKM_SHA_1, mgf: int = ck.CKG_MGF1_SHA1, label: bytes = b"") -> Parameter:
    return _structure(
        "CK_RSA_PKCS_OAEP_PARAMS", hashAlg=hashed, mgf=mgf, source=ck.CKZ_DATA_SPECIFIED, pSourceData=label,
        ulSourceDataLen=len(label),
    )


def pss(hashed: int, mgf: int, salt: int) -> Parameter:
    return _structure("CK_RSA_PKCS_PSS_PARAMS", hashAlg=hashed, mgf=mgf, sLen=salt)


def agreement(public: bytes, kdf: int = ck.CKD_NULL) -> Parameter:
    return _structure(
        "CK_ECDH1_DERIVE_PARAMS", kdf=kdf, ulSharedDataLen=0, pSharedData=b"", ulPublicDataLen=len(public),
        pPublicData=public,
    )


def data_to_encrypt(data: bytes) -> Parameter:
    return _structure("CK_KEY_DERIVATION_STRING_DATA", pData=data, ulLen=len(data))


def data_to_chain(data: bytes) -> Parameter:
    return _structure("CK_AES_CBC_ENCRYPT_DATA_PARAMS", iv=BLOCK, pData=data, length=len(data))


SHA256_PSS = pss(ck.CKM_SHA256, ck.CKG_MGF1_SHA256, 32)
SIGNING: list[tuple[int, Parameter]] = [
    (ck.CKM_SHA256_HMAC, None), (ck.CKM_AES_CMAC, None), (ck.CKM_AES_CMAC, None), (ck.CKM_SHA256, None),
    (ck.CKM_MD5_HMAC, None), (ck.CKM_DES3_CMAC, None), (ck.CKM_RSA_PKCS, None), (ck.CKM_SHA256_RSA_PKCS, None),
    (ck.CKM_MD5_RSA_PKCS, None), (ck.CKM_ECDSA, None), (ck.CKM_EDDSA, None), (ck.CKM_RSA_X_509, None),
    (ck.CKM_SHA256_RSA_PKCS_PSS, SHA256_PSS), (ck.CKM_SHA256_RSA_PKCS_PSS, None), (ck.CKM_RSA_PKCS_PSS, SHA256_PSS),
    (ck.CKM_SHA256_RSA_PKCS_PSS, pss(ck.CKM_SHA_1, ck.CKG_MGF1_SHA1, 20)),
]
CIPHERS: list[tuple[int, Parameter]] = [
    (ck.CKM_AES_ECB, None), (ck.CKM_AES_CBC, BLOCK), (ck.CKM_AES_CBC_PAD, BLOCK), (ck.CKM_AES_CBC, b"short"),
    (ck.CKM_AES_CBC_PAD, None), (ck.CKM_SHA256, None), (ck.CKM_AES_CTR, counter(128)), (ck.CKM_AES_CTR, counter(0)),
    (ck.CKM_AES_CTR, None), (ck.CKM_AES_GCM, gcm()), (ck.CKM_AES_GCM, gcm(tag=96, aad=b"more")),
    (ck.CKM_AES_GCM, gcm(tag=129)), (ck.CKM_AES_GCM, None), (ck.CKM_DES3_ECB, None), (ck.CKM_DES3_CBC, HALF),
    (ck.CKM_DES3_CBC_PAD, HALF), (ck.CKM_DES3_CBC, BLOCK), (ck.CKM_RSA_PKCS, None), (ck.CKM_RSA_PKCS_OAEP, oaep()),
    (ck.CKM_RSA_PKCS_OAEP, None), (ck.CKM_RSA_PKCS_OAEP, oaep(ck.CKM_SHA256_HMAC)), (ck.CKM_RSA_X_509, None),
]
DIGESTS: list[tuple[int, Parameter]] = [
    (ck.CKM_SHA256, None), (ck.CKM_SHA_1, None), (ck.CKM_SHA512, None), (ck.CKM_AES_ECB, None), (ck.CKM_MD5, None),
]
# What both answer with bytes of their own: only how many they are can be the same.
RANDOM = {
    ("Sign", ck.CKM_ECDSA), ("Sign", ck.CKM_SHA256_RSA_PKCS_PSS), ("Sign", ck.CKM_RSA_PKCS_PSS),
    ("Encrypt", ck.CKM_RSA_PKCS), ("Encrypt", ck.CKM_RSA_PKCS_OAEP),
}
# The keys that a mechanism takes: what type, for how many kinds of operations.
_SECRET = (ck.CKO_SECRET_KEY, ck.CKO_SECRET_KEY)
_PAIR = (ck.CKO_PRIVATE_KEY, ck.CKO_PUBLIC_KEY)  # which signs or decrypts, and which verifies or encrypts
TYPES: dict[int, tuple[tuple[int, int], tuple[int, ...]]] = {
    **dict.fromkeys((ck.CKM_SHA256_HMAC, ck.CKM_MD5_HMAC), (_SECRET, (ck.CKK_GENERIC_SECRET,))),
    **dict.fromkeys(
        (ck.CKM_AES_CMAC, ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR, ck.CKM_AES_GCM,
         ck.CKM_AES_ECB_ENCRYPT_DATA, ck.CKM_AES_CBC_ENCRYPT_DATA), (_SECRET, (ck.CKK_AES,))),
    **dict.fromkeys(
        (ck.CKM_DES3_CMAC, ck.CKM_DES3_ECB, ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD), (_SECRET, (ck.CKK_DES3,))),
    **dict.fromkeys(
        (ck.CKM_RSA_PKCS, ck.CKM_RSA_X_509, ck.CKM_SHA256_RSA_PKCS, ck.CKM_MD5_RSA_PKCS, ck.CKM_RSA_PKCS_PSS,
         ck.CKM_SHA256_RSA_PKCS_PSS, ck.CKM_RSA_PKCS_OAEP), (_PAIR, (ck.CKK_RSA,))),
    **dict.fromkeys((ck.CKM_ECDSA, ck.CKM_ECDH1_DERIVE), (_PAIR, (ck.CKK_EC,))),
    ck.CKM_EDDSA: (_PAIR, (ck.CKK_EC_EDWARDS,)),
}
_MACS = {ck.CKM_SHA256_HMAC, ck.CKM_MD5_HMAC, ck.CKM_AES_CMAC, ck.CKM_DES3_CMAC}
_SIGNATURES = {
    ck.CKM_RSA_PKCS, ck.CKM_RSA_X_509, ck.CKM_SHA256_RSA_PKCS, ck.CKM_MD5_RSA_PKCS, ck.CKM_RSA_PKCS_PSS,
    ck.CKM_SHA256_RSA_PKCS_PSS, ck.CKM_ECDSA, ck.CKM_EDDSA,
}
_CIPHERS = {
    ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR, ck.CKM_AES_GCM, ck.CKM_DES3_ECB,
    ck.CKM_DES3_CBC, ck.CKM_DES3_CBC_PAD, ck.CKM_RSA_PKCS, ck.CKM_RSA_X_509, ck.CKM_RSA_PKCS_OAEP,
}
OFFERED = {
    "Digest": {ck.CKM_SHA256, ck.CKM_SHA_1, ck.CKM_SHA512, ck.CKM_MD5},
    "Sign": _MACS | _SIGNATURES, "Verify": _MACS | _SIGNATURES, "Encrypt": _CIPHERS, "Decrypt": _CIPHERS,
    "Derive": {ck.CKM_ECDH1_DERIVE, ck.CKM_AES_ECB_ENCRYPT_DATA, ck.CKM_AES_CBC_ENCRYPT_DATA},
}
