"""Which structure a mechanism's parameter is, and how each structure is flattened for the wire.

A field is a scalar («u64»), a pointer with its length field («bytes»), bytes inside the structure («inline») or a
pointer to another structure of this table («nested»).
"""

from __future__ import annotations

STRUCTURES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "CK_GCM_PARAMS": (
        ("bytes", "pIv", "ulIvLen"), ("u64", "ulIvBits", ""), ("bytes", "pAAD", "ulAADLen"), ("u64", "ulTagBits", ""),
    ),
    "CK_AES_CTR_PARAMS": (("u64", "ulCounterBits", ""), ("inline", "cb", "")),
    "CK_RSA_PKCS_OAEP_PARAMS": (
        ("u64", "hashAlg", ""), ("u64", "mgf", ""), ("u64", "source", ""),
        ("bytes", "pSourceData", "ulSourceDataLen"),
    ),
    "CK_RSA_PKCS_PSS_PARAMS": (("u64", "hashAlg", ""), ("u64", "mgf", ""), ("u64", "sLen", "")),
    "CK_ECDH1_DERIVE_PARAMS": (
        ("u64", "kdf", ""), ("bytes", "pSharedData", "ulSharedDataLen"), ("bytes", "pPublicData", "ulPublicDataLen"),
    ),
    "CK_EDDSA_PARAMS": (("u64", "phFlag", ""), ("bytes", "pContextData", "ulContextDataLen")),
    "CK_RSA_AES_KEY_WRAP_PARAMS": (("u64", "ulAESKeyBits", ""), ("nested", "pOAEPParams", "CK_RSA_PKCS_OAEP_PARAMS")),
}

_PSS = ("", "SHA1_", "SHA224_", "SHA256_", "SHA384_", "SHA512_", "SHA3_224_", "SHA3_256_", "SHA3_384_", "SHA3_512_")
MECHANISMS: dict[str, str] = {
    "CKM_AES_GCM": "CK_GCM_PARAMS",
    "CKM_AES_CTR": "CK_AES_CTR_PARAMS",
    "CKM_RSA_PKCS_OAEP": "CK_RSA_PKCS_OAEP_PARAMS",
    "CKM_ECDH1_DERIVE": "CK_ECDH1_DERIVE_PARAMS",
    "CKM_ECDH1_COFACTOR_DERIVE": "CK_ECDH1_DERIVE_PARAMS",
    "CKM_EDDSA": "CK_EDDSA_PARAMS",
    "CKM_RSA_AES_KEY_WRAP": "CK_RSA_AES_KEY_WRAP_PARAMS",
    **{f"CKM_{digest}RSA_PKCS_PSS": "CK_RSA_PKCS_PSS_PARAMS" for digest in _PSS},
}
