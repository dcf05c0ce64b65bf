/* Written by tools/generate from pkcs11.h and the tables of pkcs11_shim; not by hand. */
#include <stddef.h>

#include "flatten.h"

_Static_assert(sizeof(CK_GCM_PARAMS) == 48, "CK_GCM_PARAMS");
_Static_assert(offsetof(CK_GCM_PARAMS, pIv) == 0, "CK_GCM_PARAMS.pIv");
_Static_assert(offsetof(CK_GCM_PARAMS, ulIvLen) == 8, "CK_GCM_PARAMS.ulIvLen");
_Static_assert(offsetof(CK_GCM_PARAMS, ulIvBits) == 16, "CK_GCM_PARAMS.ulIvBits");
_Static_assert(offsetof(CK_GCM_PARAMS, pAAD) == 24, "CK_GCM_PARAMS.pAAD");
_Static_assert(offsetof(CK_GCM_PARAMS, ulAADLen) == 32, "CK_GCM_PARAMS.ulAADLen");
_Static_assert(offsetof(CK_GCM_PARAMS, ulTagBits) == 40, "CK_GCM_PARAMS.ulTagBits");

static void put_CK_GCM_PARAMS(struct adyton_call *call, const CK_GCM_PARAMS *p)
{
    adyton_put_bytes(call, p->pIv, p->ulIvLen);
    adyton_put_u64(call, p->ulIvBits);
    adyton_put_bytes(call, p->pAAD, p->ulAADLen);
    adyton_put_u64(call, p->ulTagBits);
}

_Static_assert(sizeof(CK_AES_CTR_PARAMS) == 24, "CK_AES_CTR_PARAMS");
_Static_assert(offsetof(CK_AES_CTR_PARAMS, ulCounterBits) == 0, "CK_AES_CTR_PARAMS.ulCounterBits");
_Static_assert(offsetof(CK_AES_CTR_PARAMS, cb) == 8, "CK_AES_CTR_PARAMS.cb");

static void put_CK_AES_CTR_PARAMS(struct adyton_call *call, const CK_AES_CTR_PARAMS *p)
{
    adyton_put_u64(call, p->ulCounterBits);
    adyton_put_bytes(call, p->cb, sizeof p->cb);
}

_Static_assert(sizeof(CK_RSA_PKCS_OAEP_PARAMS) == 40, "CK_RSA_PKCS_OAEP_PARAMS");
_Static_assert(offsetof(CK_RSA_PKCS_OAEP_PARAMS, hashAlg) == 0, "CK_RSA_PKCS_OAEP_PARAMS.hashAlg");
_Static_assert(offsetof(CK_RSA_PKCS_OAEP_PARAMS, mgf) == 8, "CK_RSA_PKCS_OAEP_PARAMS.mgf");
_Static_assert(offsetof(CK_RSA_PKCS_OAEP_PARAMS, source) == 16, "CK_RSA_PKCS_OAEP_PARAMS.source");
_Static_assert(offsetof(CK_RSA_PKCS_OAEP_PARAMS, pSourceData) == 24, "CK_RSA_PKCS_OAEP_PARAMS.pSourceData");
_Static_assert(offsetof(CK_RSA_PKCS_OAEP_PARAMS, ulSourceDataLen) == 32, "CK_RSA_PKCS_OAEP_PARAMS.ulSourceDataLen");

static void put_CK_RSA_PKCS_OAEP_PARAMS(struct adyton_call *call, const CK_RSA_PKCS_OAEP_PARAMS *p)
{
    adyton_put_u64(call, p->hashAlg);
    adyton_put_u64(call, p->mgf);
    adyton_put_u64(call, p->source);
    adyton_put_bytes(call, p->pSourceData, p->ulSourceDataLen);
}

_Static_assert(sizeof(CK_RSA_PKCS_PSS_PARAMS) == 24, "CK_RSA_PKCS_PSS_PARAMS");
_Static_assert(offsetof(CK_RSA_PKCS_PSS_PARAMS, hashAlg) == 0, "CK_RSA_PKCS_PSS_PARAMS.hashAlg");
_Static_assert(offsetof(CK_RSA_PKCS_PSS_PARAMS, mgf) == 8, "CK_RSA_PKCS_PSS_PARAMS.mgf");
_Static_assert(offsetof(CK_RSA_PKCS_PSS_PARAMS, sLen) == 16, "CK_RSA_PKCS_PSS_PARAMS.sLen");

static void put_CK_RSA_PKCS_PSS_PARAMS(struct adyton_call *call, const CK_RSA_PKCS_PSS_PARAMS *p)
{
    adyton_put_u64(call, p->hashAlg);
    adyton_put_u64(call, p->mgf);
    adyton_put_u64(call, p->sLen);
}

_Static_assert(sizeof(CK_ECDH1_DERIVE_PARAMS) == 40, "CK_ECDH1_DERIVE_PARAMS");
_Static_assert(offsetof(CK_ECDH1_DERIVE_PARAMS, kdf) == 0, "CK_ECDH1_DERIVE_PARAMS.kdf");
_Static_assert(offsetof(CK_ECDH1_DERIVE_PARAMS, ulSharedDataLen) == 8, "CK_ECDH1_DERIVE_PARAMS.ulSharedDataLen");
_Static_assert(offsetof(CK_ECDH1_DERIVE_PARAMS, pSharedData) == 16, "CK_ECDH1_DERIVE_PARAMS.pSharedData");
_Static_assert(offsetof(CK_ECDH1_DERIVE_PARAMS, ulPublicDataLen) == 24, "CK_ECDH1_DERIVE_PARAMS.ulPublicDataLen");
_Static_assert(offsetof(CK_ECDH1_DERIVE_PARAMS, pPublicData) == 32, "CK_ECDH1_DERIVE_PARAMS.pPublicData");

static void put_CK_ECDH1_DERIVE_PARAMS(struct adyton_call *call, const CK_ECDH1_DERIVE_PARAMS *p)
{
    adyton_put_u64(call, p->kdf);
    adyton_put_bytes(call, p->pSharedData, p->ulSharedDataLen);
    adyton_put_bytes(call, p->pPublicData, p->ulPublicDataLen);
}

_Static_assert(sizeof(CK_EDDSA_PARAMS) == 24, "CK_EDDSA_PARAMS");
_Static_assert(offsetof(CK_EDDSA_PARAMS, phFlag) == 0, "CK_EDDSA_PARAMS.phFlag");
_Static_assert(offsetof(CK_EDDSA_PARAMS, ulContextDataLen) == 8, "CK_EDDSA_PARAMS.ulContextDataLen");
_Static_assert(offsetof(CK_EDDSA_PARAMS, pContextData) == 16, "CK_EDDSA_PARAMS.pContextData");

static void put_CK_EDDSA_PARAMS(struct adyton_call *call, const CK_EDDSA_PARAMS *p)
{
    adyton_put_u64(call, p->phFlag);
    adyton_put_bytes(call, p->pContextData, p->ulContextDataLen);
}

_Static_assert(sizeof(CK_RSA_AES_KEY_WRAP_PARAMS) == 16, "CK_RSA_AES_KEY_WRAP_PARAMS");
_Static_assert(offsetof(CK_RSA_AES_KEY_WRAP_PARAMS, ulAESKeyBits) == 0, "CK_RSA_AES_KEY_WRAP_PARAMS.ulAESKeyBits");
_Static_assert(offsetof(CK_RSA_AES_KEY_WRAP_PARAMS, pOAEPParams) == 8, "CK_RSA_AES_KEY_WRAP_PARAMS.pOAEPParams");

static void put_CK_RSA_AES_KEY_WRAP_PARAMS(struct adyton_call *call, const CK_RSA_AES_KEY_WRAP_PARAMS *p)
{
    adyton_put_u64(call, p->ulAESKeyBits);
    if (p->pOAEPParams == NULL) {
        if (!call->failed)
            call->failed = (int)CKR_MECHANISM_PARAM_INVALID;
        return;
    }
    put_CK_RSA_PKCS_OAEP_PARAMS(call, p->pOAEPParams);
}

bool adyton_put_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism)
{
    switch (mechanism->mechanism) {
    case CKM_AES_GCM:
        if (mechanism->ulParameterLen != sizeof(CK_GCM_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_GCM_PARAMS(call, mechanism->pParameter);
        return true;
    case CKM_AES_CTR:
        if (mechanism->ulParameterLen != sizeof(CK_AES_CTR_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_AES_CTR_PARAMS(call, mechanism->pParameter);
        return true;
    case CKM_RSA_PKCS_OAEP:
        if (mechanism->ulParameterLen != sizeof(CK_RSA_PKCS_OAEP_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_RSA_PKCS_OAEP_PARAMS(call, mechanism->pParameter);
        return true;
    case CKM_RSA_PKCS_PSS:
    case CKM_SHA1_RSA_PKCS_PSS:
    case CKM_SHA224_RSA_PKCS_PSS:
    case CKM_SHA256_RSA_PKCS_PSS:
    case CKM_SHA384_RSA_PKCS_PSS:
    case CKM_SHA512_RSA_PKCS_PSS:
    case CKM_SHA3_224_RSA_PKCS_PSS:
    case CKM_SHA3_256_RSA_PKCS_PSS:
    case CKM_SHA3_384_RSA_PKCS_PSS:
    case CKM_SHA3_512_RSA_PKCS_PSS:
        if (mechanism->ulParameterLen != sizeof(CK_RSA_PKCS_PSS_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_RSA_PKCS_PSS_PARAMS(call, mechanism->pParameter);
        return true;
    case CKM_ECDH1_DERIVE:
    case CKM_ECDH1_COFACTOR_DERIVE:
        if (mechanism->ulParameterLen != sizeof(CK_ECDH1_DERIVE_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_ECDH1_DERIVE_PARAMS(call, mechanism->pParameter);
        return true;
    case CKM_EDDSA:
        if (mechanism->ulParameterLen != sizeof(CK_EDDSA_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_EDDSA_PARAMS(call, mechanism->pParameter);
        return true;
    case CKM_RSA_AES_KEY_WRAP:
        if (mechanism->ulParameterLen != sizeof(CK_RSA_AES_KEY_WRAP_PARAMS))
            return false;
        adyton_put_u8(call, 3);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_RSA_AES_KEY_WRAP_PARAMS(call, mechanism->pParameter);
        return true;
    default:
        return false;
    }
}
