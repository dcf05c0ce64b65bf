"""Which form a mechanism's parameter has, and how each structure is flattened for the wire.

A mechanism that is not here sends no byte of its parameter, only that it had one: what is not known may hold
addresses. Structures that the token writes into (TLS key material, PBE's IV, additional derived keys) are not here.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field of a structure. ``kind``: «u64» a scalar; «bytes» a pointer, its length in ``length``;
    «password» the same, where ``length`` may be a pointer to the length; «inline» bytes
    inside the structure; «nested» a pointer to another structure of this table; «embedded» such a structure itself;
    «rows» a pointer to an array of them, the count in ``length``; «absent» such a pointer whose count must be 0."""

    kind: str
    name: str
    length: str = ""
    structure: str = ""


def _u64(*names: str) -> tuple[Field, ...]:
    return tuple(Field("u64", name) for name in names)


def _bytes(name: str, length: str) -> Field:
    return Field("bytes", name, length)


_CONTEXT = (*_u64("hedgeVariant"), _bytes("pContext", "ulContextLen"))
_KDF_ROWS = Field("rows", "pDataParams", "ulNumberOfDataParams", "CK_PRF_DATA_PARAM")
_KDF_KEYS = Field("absent", "pAdditionalDerivedKeys", "ulAdditionalDerivedKeys")
_AAD = _bytes("pAAD", "ulAADLen")
_SHARED = _bytes("pSharedData", "ulSharedDataLen")
_PUBLIC = _bytes("pPublicData", "ulPublicDataLen")

# A structure comes after those that it holds.
STRUCTURES: dict[str, tuple[Field, ...]] = {
    "CK_GCM_PARAMS": (_bytes("pIv", "ulIvLen"), *_u64("ulIvBits"), _AAD, *_u64("ulTagBits")),
    "CK_CCM_PARAMS": (*_u64("ulDataLen"), _bytes("pNonce", "ulNonceLen"), _AAD, *_u64("ulMACLen")),
    "CK_SALSA20_CHACHA20_POLY1305_PARAMS": (_bytes("pNonce", "ulNonceLen"), _AAD),
    "CK_AES_CTR_PARAMS": (*_u64("ulCounterBits"), Field("inline", "cb")),
    "CK_AES_CBC_ENCRYPT_DATA_PARAMS": (Field("inline", "iv"), _bytes("pData", "length")),
    "CK_KEY_DERIVATION_STRING_DATA": (_bytes("pData", "ulLen"),),
    "CK_RSA_PKCS_OAEP_PARAMS": (*_u64("hashAlg", "mgf", "source"), _bytes("pSourceData", "ulSourceDataLen")),
    "CK_RSA_PKCS_PSS_PARAMS": _u64("hashAlg", "mgf", "sLen"),
    "CK_RSA_AES_KEY_WRAP_PARAMS": (
        *_u64("ulAESKeyBits"), Field("nested", "pOAEPParams", structure="CK_RSA_PKCS_OAEP_PARAMS"),
    ),
    "CK_ECDH1_DERIVE_PARAMS": (*_u64("kdf"), _SHARED, _PUBLIC),
    "CK_ECDH_AES_KEY_WRAP_PARAMS": (*_u64("ulAESKeyBits", "kdf"), _SHARED),
    "CK_ECMQV_DERIVE_PARAMS": (
        *_u64("kdf"), _SHARED, _PUBLIC, *_u64("ulPrivateDataLen", "hPrivateData"),
        _bytes("pPublicData2", "ulPublicDataLen2"), *_u64("publicKey"),
    ),
    "CK_X9_42_DH1_DERIVE_PARAMS": (*_u64("kdf"), _bytes("pOtherInfo", "ulOtherInfoLen"), _PUBLIC),
    "CK_EDDSA_PARAMS": (*_u64("phFlag"), _bytes("pContextData", "ulContextDataLen")),
    "CK_SIGN_ADDITIONAL_CONTEXT": _CONTEXT,
    "CK_HASH_SIGN_ADDITIONAL_CONTEXT": (*_CONTEXT, *_u64("hash")),
    "CK_PKCS5_PBKD2_PARAMS2": (
        *_u64("saltSource"), _bytes("pSaltSourceData", "ulSaltSourceDataLen"), *_u64("iterations", "prf"),
        _bytes("pPrfData", "ulPrfDataLen"), Field("password", "pPassword", "ulPasswordLen"),
    ),
    "CK_HKDF_PARAMS": (
        *_u64("bExtract", "bExpand", "prfHashMechanism", "ulSaltType"), _bytes("pSalt", "ulSaltLen"),
        *_u64("hSaltKey"), _bytes("pInfo", "ulInfoLen"),
    ),
    "CK_PRF_DATA_PARAM": (*_u64("type"), _bytes("pValue", "ulValueLen")),
    "CK_SP800_108_KDF_PARAMS": (*_u64("prfType"), _KDF_ROWS, _KDF_KEYS),
    "CK_SP800_108_FEEDBACK_KDF_PARAMS": (*_u64("prfType"), _KDF_ROWS, _bytes("pIV", "ulIVLen"), _KDF_KEYS),
    "CK_SSL3_RANDOM_DATA": (
        _bytes("pClientRandom", "ulClientRandomLen"), _bytes("pServerRandom", "ulServerRandomLen"),
    ),
    "CK_TLS_KDF_PARAMS": (
        *_u64("prfMechanism"), _bytes("pLabel", "ulLabelLength"),
        Field("embedded", "RandomInfo", structure="CK_SSL3_RANDOM_DATA"),
        _bytes("pContextData", "ulContextDataLength"),
    ),
    "CK_TLS_MAC_PARAMS": _u64("prfHashMechanism", "ulMacLength", "ulServerOrClient"),
}

# Mechanisms that take bytes too, of just this length, as an earlier version of the standard had it.
ONCE_RAW = {"CKM_AES_GMAC": 12}

# Bytes without a pointer among them: IVs, numbers, public values. They travel as they are.
RAW = ""

_SHA = ("SHA_1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512_224", "SHA512_256", "SHA512_T",
        "SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512")
_PSS = ("", "SHA1_", "SHA224_", "SHA256_", "SHA384_", "SHA512_", "SHA3_224_", "SHA3_256_", "SHA3_384_", "SHA3_512_")
_PREHASH = ("SHA224", "SHA256", "SHA384", "SHA512", "SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512", "SHAKE128",
            "SHAKE256")
_IV = ("AES_CBC", "AES_CBC_PAD", "AES_CTS", "AES_OFB", "AES_CFB1", "AES_CFB8", "AES_CFB64", "AES_CFB128", "AES_XTS",
       "AES_KEY_WRAP", "AES_KEY_WRAP_PAD", "AES_KEY_WRAP_KWP", "AES_KEY_WRAP_PKCS7", "DES3_CBC", "DES3_CBC_PAD")
_NUMBER = ("AES_MAC_GENERAL", "AES_CMAC_GENERAL", "DES3_CMAC_GENERAL", "CONCATENATE_BASE_AND_KEY",
           "EXTRACT_KEY_FROM_KEY", "SHA512_T", "SHA512_T_HMAC")
_STRING = ("CONCATENATE_BASE_AND_DATA", "CONCATENATE_DATA_AND_BASE", "XOR_BASE_AND_DATA", "AES_ECB_ENCRYPT_DATA")

MECHANISMS: dict[str, str] = {
    **{f"CKM_{name}": RAW for name in (*_IV, *_NUMBER, "DH_PKCS_DERIVE")},
    **{f"CKM_{digest}_HMAC_GENERAL": RAW for digest in (*_SHA, "MD5")},
    "CKM_AES_GCM": "CK_GCM_PARAMS",
    "CKM_AES_GMAC": "CK_GCM_PARAMS",
    "CKM_AES_CCM": "CK_CCM_PARAMS",
    "CKM_CHACHA20_POLY1305": "CK_SALSA20_CHACHA20_POLY1305_PARAMS",
    "CKM_SALSA20_POLY1305": "CK_SALSA20_CHACHA20_POLY1305_PARAMS",
    "CKM_AES_CTR": "CK_AES_CTR_PARAMS",
    "CKM_AES_CBC_ENCRYPT_DATA": "CK_AES_CBC_ENCRYPT_DATA_PARAMS",
    **{f"CKM_{name}": "CK_KEY_DERIVATION_STRING_DATA" for name in _STRING},
    "CKM_RSA_PKCS_OAEP": "CK_RSA_PKCS_OAEP_PARAMS",
    **{f"CKM_{digest}RSA_PKCS_PSS": "CK_RSA_PKCS_PSS_PARAMS" for digest in _PSS},
    "CKM_RSA_AES_KEY_WRAP": "CK_RSA_AES_KEY_WRAP_PARAMS",
    "CKM_ECDH1_DERIVE": "CK_ECDH1_DERIVE_PARAMS",
    "CKM_ECDH1_COFACTOR_DERIVE": "CK_ECDH1_DERIVE_PARAMS",
    "CKM_ECDH_AES_KEY_WRAP": "CK_ECDH_AES_KEY_WRAP_PARAMS",
    "CKM_ECMQV_DERIVE": "CK_ECMQV_DERIVE_PARAMS",
    "CKM_X9_42_DH_DERIVE": "CK_X9_42_DH1_DERIVE_PARAMS",
    "CKM_EDDSA": "CK_EDDSA_PARAMS",
    "CKM_ML_DSA": "CK_SIGN_ADDITIONAL_CONTEXT",
    "CKM_SLH_DSA": "CK_SIGN_ADDITIONAL_CONTEXT",
    "CKM_HASH_ML_DSA": "CK_HASH_SIGN_ADDITIONAL_CONTEXT",
    "CKM_HASH_SLH_DSA": "CK_HASH_SIGN_ADDITIONAL_CONTEXT",
    **{f"CKM_HASH_{kind}_DSA_{digest}": "CK_SIGN_ADDITIONAL_CONTEXT" for kind in ("ML", "SLH") for digest in _PREHASH},
    "CKM_PKCS5_PBKD2": "CK_PKCS5_PBKD2_PARAMS2",
    "CKM_HKDF_DERIVE": "CK_HKDF_PARAMS",
    "CKM_HKDF_DATA": "CK_HKDF_PARAMS",
    "CKM_SP800_108_COUNTER_KDF": "CK_SP800_108_KDF_PARAMS",
    "CKM_SP800_108_DOUBLE_PIPELINE_KDF": "CK_SP800_108_KDF_PARAMS",
    "CKM_SP800_108_FEEDBACK_KDF": "CK_SP800_108_FEEDBACK_KDF_PARAMS",
    "CKM_TLS_KDF": "CK_TLS_KDF_PARAMS",
    "CKM_TLS12_KDF": "CK_TLS_KDF_PARAMS",
    "CKM_TLS_MAC": "CK_TLS_MAC_PARAMS",
    "CKM_TLS12_MAC": "CK_TLS_MAC_PARAMS",
}
