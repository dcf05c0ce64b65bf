/* Written by tools/generate from pkcs11.h and the tables of pkcs11_shim; not by hand. */
#include <stddef.h>

#include "flatten.h"

enum { STRUCTURE = 3 };

_Static_assert(sizeof(CK_GCM_PARAMS) == 48, "CK_GCM_PARAMS");
_Static_assert(offsetof(CK_GCM_PARAMS, pIv) == 0, "CK_GCM_PARAMS.pIv");
_Static_assert(offsetof(CK_GCM_PARAMS, ulIvLen) == 8, "CK_GCM_PARAMS.ulIvLen");
_Static_assert(offsetof(CK_GCM_PARAMS, ulIvBits) == 16, "CK_GCM_PARAMS.ulIvBits");
_Static_assert(offsetof(CK_GCM_PARAMS, pAAD) == 24, "CK_GCM_PARAMS.pAAD");
_Static_assert(offsetof(CK_GCM_PARAMS, ulAADLen) == 32, "CK_GCM_PARAMS.ulAADLen");
_Static_assert(offsetof(CK_GCM_PARAMS, ulTagBits) == 40, "CK_GCM_PARAMS.ulTagBits");

static void put_CK_GCM_PARAMS(struct adyton_call *call, const CK_GCM_PARAMS *p)
{
    adyton_put_bytes(call, p->pIv, p->ulIvLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->ulIvBits);
    adyton_put_bytes(call, p->pAAD, p->ulAADLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->ulTagBits);
}

_Static_assert(sizeof(CK_CCM_PARAMS) == 48, "CK_CCM_PARAMS");
_Static_assert(offsetof(CK_CCM_PARAMS, ulDataLen) == 0, "CK_CCM_PARAMS.ulDataLen");
_Static_assert(offsetof(CK_CCM_PARAMS, pNonce) == 8, "CK_CCM_PARAMS.pNonce");
_Static_assert(offsetof(CK_CCM_PARAMS, ulNonceLen) == 16, "CK_CCM_PARAMS.ulNonceLen");
_Static_assert(offsetof(CK_CCM_PARAMS, pAAD) == 24, "CK_CCM_PARAMS.pAAD");
_Static_assert(offsetof(CK_CCM_PARAMS, ulAADLen) == 32, "CK_CCM_PARAMS.ulAADLen");
_Static_assert(offsetof(CK_CCM_PARAMS, ulMACLen) == 40, "CK_CCM_PARAMS.ulMACLen");

static void put_CK_CCM_PARAMS(struct adyton_call *call, const CK_CCM_PARAMS *p)
{
    adyton_put_u64(call, p->ulDataLen);
    adyton_put_bytes(call, p->pNonce, p->ulNonceLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pAAD, p->ulAADLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->ulMACLen);
}

_Static_assert(sizeof(CK_SALSA20_CHACHA20_POLY1305_PARAMS) == 32, "CK_SALSA20_CHACHA20_POLY1305_PARAMS");
_Static_assert(offsetof(CK_SALSA20_CHACHA20_POLY1305_PARAMS, pNonce) == 0, "CK_SALSA20_CHACHA20_POLY1305_PARAMS.pNonce");
_Static_assert(offsetof(CK_SALSA20_CHACHA20_POLY1305_PARAMS, ulNonceLen) == 8, "CK_SALSA20_CHACHA20_POLY1305_PARAMS.ulNonceLen");
_Static_assert(offsetof(CK_SALSA20_CHACHA20_POLY1305_PARAMS, pAAD) == 16, "CK_SALSA20_CHACHA20_POLY1305_PARAMS.pAAD");
_Static_assert(offsetof(CK_SALSA20_CHACHA20_POLY1305_PARAMS, ulAADLen) == 24, "CK_SALSA20_CHACHA20_POLY1305_PARAMS.ulAADLen");

static void put_CK_SALSA20_CHACHA20_POLY1305_PARAMS(struct adyton_call *call, const CK_SALSA20_CHACHA20_POLY1305_PARAMS *p)
{
    adyton_put_bytes(call, p->pNonce, p->ulNonceLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pAAD, p->ulAADLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_AES_CTR_PARAMS) == 24, "CK_AES_CTR_PARAMS");
_Static_assert(offsetof(CK_AES_CTR_PARAMS, ulCounterBits) == 0, "CK_AES_CTR_PARAMS.ulCounterBits");
_Static_assert(offsetof(CK_AES_CTR_PARAMS, cb) == 8, "CK_AES_CTR_PARAMS.cb");

static void put_CK_AES_CTR_PARAMS(struct adyton_call *call, const CK_AES_CTR_PARAMS *p)
{
    adyton_put_u64(call, p->ulCounterBits);
    adyton_put_bytes(call, p->cb, sizeof p->cb, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_AES_CBC_ENCRYPT_DATA_PARAMS) == 32, "CK_AES_CBC_ENCRYPT_DATA_PARAMS");
_Static_assert(offsetof(CK_AES_CBC_ENCRYPT_DATA_PARAMS, iv) == 0, "CK_AES_CBC_ENCRYPT_DATA_PARAMS.iv");
_Static_assert(offsetof(CK_AES_CBC_ENCRYPT_DATA_PARAMS, pData) == 16, "CK_AES_CBC_ENCRYPT_DATA_PARAMS.pData");
_Static_assert(offsetof(CK_AES_CBC_ENCRYPT_DATA_PARAMS, length) == 24, "CK_AES_CBC_ENCRYPT_DATA_PARAMS.length");

static void put_CK_AES_CBC_ENCRYPT_DATA_PARAMS(struct adyton_call *call, const CK_AES_CBC_ENCRYPT_DATA_PARAMS *p)
{
    adyton_put_bytes(call, p->iv, sizeof p->iv, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pData, p->length, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_KEY_DERIVATION_STRING_DATA) == 16, "CK_KEY_DERIVATION_STRING_DATA");
_Static_assert(offsetof(CK_KEY_DERIVATION_STRING_DATA, pData) == 0, "CK_KEY_DERIVATION_STRING_DATA.pData");
_Static_assert(offsetof(CK_KEY_DERIVATION_STRING_DATA, ulLen) == 8, "CK_KEY_DERIVATION_STRING_DATA.ulLen");

static void put_CK_KEY_DERIVATION_STRING_DATA(struct adyton_call *call, const CK_KEY_DERIVATION_STRING_DATA *p)
{
    adyton_put_bytes(call, p->pData, p->ulLen, CKR_MECHANISM_PARAM_INVALID);
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
    adyton_put_bytes(call, p->pSourceData, p->ulSourceDataLen, CKR_MECHANISM_PARAM_INVALID);
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

_Static_assert(sizeof(CK_RSA_AES_KEY_WRAP_PARAMS) == 16, "CK_RSA_AES_KEY_WRAP_PARAMS");
_Static_assert(offsetof(CK_RSA_AES_KEY_WRAP_PARAMS, ulAESKeyBits) == 0, "CK_RSA_AES_KEY_WRAP_PARAMS.ulAESKeyBits");
_Static_assert(offsetof(CK_RSA_AES_KEY_WRAP_PARAMS, pOAEPParams) == 8, "CK_RSA_AES_KEY_WRAP_PARAMS.pOAEPParams");

static void put_CK_RSA_AES_KEY_WRAP_PARAMS(struct adyton_call *call, const CK_RSA_AES_KEY_WRAP_PARAMS *p)
{
    adyton_put_u64(call, p->ulAESKeyBits);
    if (p->pOAEPParams == NULL)
        adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
    else
        put_CK_RSA_PKCS_OAEP_PARAMS(call, p->pOAEPParams);
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
    adyton_put_bytes(call, p->pSharedData, p->ulSharedDataLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pPublicData, p->ulPublicDataLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_ECDH_AES_KEY_WRAP_PARAMS) == 32, "CK_ECDH_AES_KEY_WRAP_PARAMS");
_Static_assert(offsetof(CK_ECDH_AES_KEY_WRAP_PARAMS, ulAESKeyBits) == 0, "CK_ECDH_AES_KEY_WRAP_PARAMS.ulAESKeyBits");
_Static_assert(offsetof(CK_ECDH_AES_KEY_WRAP_PARAMS, kdf) == 8, "CK_ECDH_AES_KEY_WRAP_PARAMS.kdf");
_Static_assert(offsetof(CK_ECDH_AES_KEY_WRAP_PARAMS, ulSharedDataLen) == 16, "CK_ECDH_AES_KEY_WRAP_PARAMS.ulSharedDataLen");
_Static_assert(offsetof(CK_ECDH_AES_KEY_WRAP_PARAMS, pSharedData) == 24, "CK_ECDH_AES_KEY_WRAP_PARAMS.pSharedData");

static void put_CK_ECDH_AES_KEY_WRAP_PARAMS(struct adyton_call *call, const CK_ECDH_AES_KEY_WRAP_PARAMS *p)
{
    adyton_put_u64(call, p->ulAESKeyBits);
    adyton_put_u64(call, p->kdf);
    adyton_put_bytes(call, p->pSharedData, p->ulSharedDataLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_ECMQV_DERIVE_PARAMS) == 80, "CK_ECMQV_DERIVE_PARAMS");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, kdf) == 0, "CK_ECMQV_DERIVE_PARAMS.kdf");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, ulSharedDataLen) == 8, "CK_ECMQV_DERIVE_PARAMS.ulSharedDataLen");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, pSharedData) == 16, "CK_ECMQV_DERIVE_PARAMS.pSharedData");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, ulPublicDataLen) == 24, "CK_ECMQV_DERIVE_PARAMS.ulPublicDataLen");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, pPublicData) == 32, "CK_ECMQV_DERIVE_PARAMS.pPublicData");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, ulPrivateDataLen) == 40, "CK_ECMQV_DERIVE_PARAMS.ulPrivateDataLen");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, hPrivateData) == 48, "CK_ECMQV_DERIVE_PARAMS.hPrivateData");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, ulPublicDataLen2) == 56, "CK_ECMQV_DERIVE_PARAMS.ulPublicDataLen2");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, pPublicData2) == 64, "CK_ECMQV_DERIVE_PARAMS.pPublicData2");
_Static_assert(offsetof(CK_ECMQV_DERIVE_PARAMS, publicKey) == 72, "CK_ECMQV_DERIVE_PARAMS.publicKey");

static void put_CK_ECMQV_DERIVE_PARAMS(struct adyton_call *call, const CK_ECMQV_DERIVE_PARAMS *p)
{
    adyton_put_u64(call, p->kdf);
    adyton_put_bytes(call, p->pSharedData, p->ulSharedDataLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pPublicData, p->ulPublicDataLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->ulPrivateDataLen);
    adyton_put_u64(call, p->hPrivateData);
    adyton_put_bytes(call, p->pPublicData2, p->ulPublicDataLen2, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->publicKey);
}

_Static_assert(sizeof(CK_X9_42_DH1_DERIVE_PARAMS) == 40, "CK_X9_42_DH1_DERIVE_PARAMS");
_Static_assert(offsetof(CK_X9_42_DH1_DERIVE_PARAMS, kdf) == 0, "CK_X9_42_DH1_DERIVE_PARAMS.kdf");
_Static_assert(offsetof(CK_X9_42_DH1_DERIVE_PARAMS, ulOtherInfoLen) == 8, "CK_X9_42_DH1_DERIVE_PARAMS.ulOtherInfoLen");
_Static_assert(offsetof(CK_X9_42_DH1_DERIVE_PARAMS, pOtherInfo) == 16, "CK_X9_42_DH1_DERIVE_PARAMS.pOtherInfo");
_Static_assert(offsetof(CK_X9_42_DH1_DERIVE_PARAMS, ulPublicDataLen) == 24, "CK_X9_42_DH1_DERIVE_PARAMS.ulPublicDataLen");
_Static_assert(offsetof(CK_X9_42_DH1_DERIVE_PARAMS, pPublicData) == 32, "CK_X9_42_DH1_DERIVE_PARAMS.pPublicData");

static void put_CK_X9_42_DH1_DERIVE_PARAMS(struct adyton_call *call, const CK_X9_42_DH1_DERIVE_PARAMS *p)
{
    adyton_put_u64(call, p->kdf);
    adyton_put_bytes(call, p->pOtherInfo, p->ulOtherInfoLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pPublicData, p->ulPublicDataLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_EDDSA_PARAMS) == 24, "CK_EDDSA_PARAMS");
_Static_assert(offsetof(CK_EDDSA_PARAMS, phFlag) == 0, "CK_EDDSA_PARAMS.phFlag");
_Static_assert(offsetof(CK_EDDSA_PARAMS, ulContextDataLen) == 8, "CK_EDDSA_PARAMS.ulContextDataLen");
_Static_assert(offsetof(CK_EDDSA_PARAMS, pContextData) == 16, "CK_EDDSA_PARAMS.pContextData");

static void put_CK_EDDSA_PARAMS(struct adyton_call *call, const CK_EDDSA_PARAMS *p)
{
    adyton_put_u64(call, p->phFlag);
    adyton_put_bytes(call, p->pContextData, p->ulContextDataLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_SIGN_ADDITIONAL_CONTEXT) == 24, "CK_SIGN_ADDITIONAL_CONTEXT");
_Static_assert(offsetof(CK_SIGN_ADDITIONAL_CONTEXT, hedgeVariant) == 0, "CK_SIGN_ADDITIONAL_CONTEXT.hedgeVariant");
_Static_assert(offsetof(CK_SIGN_ADDITIONAL_CONTEXT, pContext) == 8, "CK_SIGN_ADDITIONAL_CONTEXT.pContext");
_Static_assert(offsetof(CK_SIGN_ADDITIONAL_CONTEXT, ulContextLen) == 16, "CK_SIGN_ADDITIONAL_CONTEXT.ulContextLen");

static void put_CK_SIGN_ADDITIONAL_CONTEXT(struct adyton_call *call, const CK_SIGN_ADDITIONAL_CONTEXT *p)
{
    adyton_put_u64(call, p->hedgeVariant);
    adyton_put_bytes(call, p->pContext, p->ulContextLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_HASH_SIGN_ADDITIONAL_CONTEXT) == 32, "CK_HASH_SIGN_ADDITIONAL_CONTEXT");
_Static_assert(offsetof(CK_HASH_SIGN_ADDITIONAL_CONTEXT, hedgeVariant) == 0, "CK_HASH_SIGN_ADDITIONAL_CONTEXT.hedgeVariant");
_Static_assert(offsetof(CK_HASH_SIGN_ADDITIONAL_CONTEXT, pContext) == 8, "CK_HASH_SIGN_ADDITIONAL_CONTEXT.pContext");
_Static_assert(offsetof(CK_HASH_SIGN_ADDITIONAL_CONTEXT, ulContextLen) == 16, "CK_HASH_SIGN_ADDITIONAL_CONTEXT.ulContextLen");
_Static_assert(offsetof(CK_HASH_SIGN_ADDITIONAL_CONTEXT, hash) == 24, "CK_HASH_SIGN_ADDITIONAL_CONTEXT.hash");

static void put_CK_HASH_SIGN_ADDITIONAL_CONTEXT(struct adyton_call *call, const CK_HASH_SIGN_ADDITIONAL_CONTEXT *p)
{
    adyton_put_u64(call, p->hedgeVariant);
    adyton_put_bytes(call, p->pContext, p->ulContextLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->hash);
}

_Static_assert(sizeof(CK_PKCS5_PBKD2_PARAMS2) == 72, "CK_PKCS5_PBKD2_PARAMS2");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, saltSource) == 0, "CK_PKCS5_PBKD2_PARAMS2.saltSource");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, pSaltSourceData) == 8, "CK_PKCS5_PBKD2_PARAMS2.pSaltSourceData");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, ulSaltSourceDataLen) == 16, "CK_PKCS5_PBKD2_PARAMS2.ulSaltSourceDataLen");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, iterations) == 24, "CK_PKCS5_PBKD2_PARAMS2.iterations");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, prf) == 32, "CK_PKCS5_PBKD2_PARAMS2.prf");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, pPrfData) == 40, "CK_PKCS5_PBKD2_PARAMS2.pPrfData");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, ulPrfDataLen) == 48, "CK_PKCS5_PBKD2_PARAMS2.ulPrfDataLen");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, pPassword) == 56, "CK_PKCS5_PBKD2_PARAMS2.pPassword");
_Static_assert(offsetof(CK_PKCS5_PBKD2_PARAMS2, ulPasswordLen) == 64, "CK_PKCS5_PBKD2_PARAMS2.ulPasswordLen");

static void put_CK_PKCS5_PBKD2_PARAMS2(struct adyton_call *call, const CK_PKCS5_PBKD2_PARAMS2 *p)
{
    adyton_put_u64(call, p->saltSource);
    adyton_put_bytes(call, p->pSaltSourceData, p->ulSaltSourceDataLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->iterations);
    adyton_put_u64(call, p->prf);
    adyton_put_bytes(call, p->pPrfData, p->ulPrfDataLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_password(call, p->pPassword, p->ulPasswordLen);
}

_Static_assert(sizeof(CK_HKDF_PARAMS) == 64, "CK_HKDF_PARAMS");
_Static_assert(offsetof(CK_HKDF_PARAMS, bExtract) == 0, "CK_HKDF_PARAMS.bExtract");
_Static_assert(offsetof(CK_HKDF_PARAMS, bExpand) == 1, "CK_HKDF_PARAMS.bExpand");
_Static_assert(offsetof(CK_HKDF_PARAMS, prfHashMechanism) == 8, "CK_HKDF_PARAMS.prfHashMechanism");
_Static_assert(offsetof(CK_HKDF_PARAMS, ulSaltType) == 16, "CK_HKDF_PARAMS.ulSaltType");
_Static_assert(offsetof(CK_HKDF_PARAMS, pSalt) == 24, "CK_HKDF_PARAMS.pSalt");
_Static_assert(offsetof(CK_HKDF_PARAMS, ulSaltLen) == 32, "CK_HKDF_PARAMS.ulSaltLen");
_Static_assert(offsetof(CK_HKDF_PARAMS, hSaltKey) == 40, "CK_HKDF_PARAMS.hSaltKey");
_Static_assert(offsetof(CK_HKDF_PARAMS, pInfo) == 48, "CK_HKDF_PARAMS.pInfo");
_Static_assert(offsetof(CK_HKDF_PARAMS, ulInfoLen) == 56, "CK_HKDF_PARAMS.ulInfoLen");

static void put_CK_HKDF_PARAMS(struct adyton_call *call, const CK_HKDF_PARAMS *p)
{
    adyton_put_u64(call, p->bExtract);
    adyton_put_u64(call, p->bExpand);
    adyton_put_u64(call, p->prfHashMechanism);
    adyton_put_u64(call, p->ulSaltType);
    adyton_put_bytes(call, p->pSalt, p->ulSaltLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_u64(call, p->hSaltKey);
    adyton_put_bytes(call, p->pInfo, p->ulInfoLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_PRF_DATA_PARAM) == 24, "CK_PRF_DATA_PARAM");
_Static_assert(offsetof(CK_PRF_DATA_PARAM, type) == 0, "CK_PRF_DATA_PARAM.type");
_Static_assert(offsetof(CK_PRF_DATA_PARAM, pValue) == 8, "CK_PRF_DATA_PARAM.pValue");
_Static_assert(offsetof(CK_PRF_DATA_PARAM, ulValueLen) == 16, "CK_PRF_DATA_PARAM.ulValueLen");

static void put_CK_PRF_DATA_PARAM(struct adyton_call *call, const CK_PRF_DATA_PARAM *p)
{
    adyton_put_u64(call, p->type);
    adyton_put_bytes(call, p->pValue, p->ulValueLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_SP800_108_KDF_PARAMS) == 40, "CK_SP800_108_KDF_PARAMS");
_Static_assert(offsetof(CK_SP800_108_KDF_PARAMS, prfType) == 0, "CK_SP800_108_KDF_PARAMS.prfType");
_Static_assert(offsetof(CK_SP800_108_KDF_PARAMS, ulNumberOfDataParams) == 8, "CK_SP800_108_KDF_PARAMS.ulNumberOfDataParams");
_Static_assert(offsetof(CK_SP800_108_KDF_PARAMS, pDataParams) == 16, "CK_SP800_108_KDF_PARAMS.pDataParams");
_Static_assert(offsetof(CK_SP800_108_KDF_PARAMS, ulAdditionalDerivedKeys) == 24, "CK_SP800_108_KDF_PARAMS.ulAdditionalDerivedKeys");
_Static_assert(offsetof(CK_SP800_108_KDF_PARAMS, pAdditionalDerivedKeys) == 32, "CK_SP800_108_KDF_PARAMS.pAdditionalDerivedKeys");

static void put_CK_SP800_108_KDF_PARAMS(struct adyton_call *call, const CK_SP800_108_KDF_PARAMS *p)
{
    adyton_put_u64(call, p->prfType);
    if (adyton_put_count(call, p->pDataParams, p->ulNumberOfDataParams))
        for (CK_ULONG i = 0; i < p->ulNumberOfDataParams && call->failed == CKR_OK; i++)
            put_CK_PRF_DATA_PARAM(call, &p->pDataParams[i]);
    if (p->ulAdditionalDerivedKeys != 0)
        adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_SP800_108_FEEDBACK_KDF_PARAMS) == 56, "CK_SP800_108_FEEDBACK_KDF_PARAMS");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, prfType) == 0, "CK_SP800_108_FEEDBACK_KDF_PARAMS.prfType");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, ulNumberOfDataParams) == 8, "CK_SP800_108_FEEDBACK_KDF_PARAMS.ulNumberOfDataParams");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, pDataParams) == 16, "CK_SP800_108_FEEDBACK_KDF_PARAMS.pDataParams");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, ulIVLen) == 24, "CK_SP800_108_FEEDBACK_KDF_PARAMS.ulIVLen");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, pIV) == 32, "CK_SP800_108_FEEDBACK_KDF_PARAMS.pIV");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, ulAdditionalDerivedKeys) == 40, "CK_SP800_108_FEEDBACK_KDF_PARAMS.ulAdditionalDerivedKeys");
_Static_assert(offsetof(CK_SP800_108_FEEDBACK_KDF_PARAMS, pAdditionalDerivedKeys) == 48, "CK_SP800_108_FEEDBACK_KDF_PARAMS.pAdditionalDerivedKeys");

static void put_CK_SP800_108_FEEDBACK_KDF_PARAMS(struct adyton_call *call, const CK_SP800_108_FEEDBACK_KDF_PARAMS *p)
{
    adyton_put_u64(call, p->prfType);
    if (adyton_put_count(call, p->pDataParams, p->ulNumberOfDataParams))
        for (CK_ULONG i = 0; i < p->ulNumberOfDataParams && call->failed == CKR_OK; i++)
            put_CK_PRF_DATA_PARAM(call, &p->pDataParams[i]);
    adyton_put_bytes(call, p->pIV, p->ulIVLen, CKR_MECHANISM_PARAM_INVALID);
    if (p->ulAdditionalDerivedKeys != 0)
        adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_SSL3_RANDOM_DATA) == 32, "CK_SSL3_RANDOM_DATA");
_Static_assert(offsetof(CK_SSL3_RANDOM_DATA, pClientRandom) == 0, "CK_SSL3_RANDOM_DATA.pClientRandom");
_Static_assert(offsetof(CK_SSL3_RANDOM_DATA, ulClientRandomLen) == 8, "CK_SSL3_RANDOM_DATA.ulClientRandomLen");
_Static_assert(offsetof(CK_SSL3_RANDOM_DATA, pServerRandom) == 16, "CK_SSL3_RANDOM_DATA.pServerRandom");
_Static_assert(offsetof(CK_SSL3_RANDOM_DATA, ulServerRandomLen) == 24, "CK_SSL3_RANDOM_DATA.ulServerRandomLen");

static void put_CK_SSL3_RANDOM_DATA(struct adyton_call *call, const CK_SSL3_RANDOM_DATA *p)
{
    adyton_put_bytes(call, p->pClientRandom, p->ulClientRandomLen, CKR_MECHANISM_PARAM_INVALID);
    adyton_put_bytes(call, p->pServerRandom, p->ulServerRandomLen, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_TLS_KDF_PARAMS) == 72, "CK_TLS_KDF_PARAMS");
_Static_assert(offsetof(CK_TLS_KDF_PARAMS, prfMechanism) == 0, "CK_TLS_KDF_PARAMS.prfMechanism");
_Static_assert(offsetof(CK_TLS_KDF_PARAMS, pLabel) == 8, "CK_TLS_KDF_PARAMS.pLabel");
_Static_assert(offsetof(CK_TLS_KDF_PARAMS, ulLabelLength) == 16, "CK_TLS_KDF_PARAMS.ulLabelLength");
_Static_assert(offsetof(CK_TLS_KDF_PARAMS, RandomInfo) == 24, "CK_TLS_KDF_PARAMS.RandomInfo");
_Static_assert(offsetof(CK_TLS_KDF_PARAMS, pContextData) == 56, "CK_TLS_KDF_PARAMS.pContextData");
_Static_assert(offsetof(CK_TLS_KDF_PARAMS, ulContextDataLength) == 64, "CK_TLS_KDF_PARAMS.ulContextDataLength");

static void put_CK_TLS_KDF_PARAMS(struct adyton_call *call, const CK_TLS_KDF_PARAMS *p)
{
    adyton_put_u64(call, p->prfMechanism);
    adyton_put_bytes(call, p->pLabel, p->ulLabelLength, CKR_MECHANISM_PARAM_INVALID);
    put_CK_SSL3_RANDOM_DATA(call, &p->RandomInfo);
    adyton_put_bytes(call, p->pContextData, p->ulContextDataLength, CKR_MECHANISM_PARAM_INVALID);
}

_Static_assert(sizeof(CK_TLS_MAC_PARAMS) == 24, "CK_TLS_MAC_PARAMS");
_Static_assert(offsetof(CK_TLS_MAC_PARAMS, prfHashMechanism) == 0, "CK_TLS_MAC_PARAMS.prfHashMechanism");
_Static_assert(offsetof(CK_TLS_MAC_PARAMS, ulMacLength) == 8, "CK_TLS_MAC_PARAMS.ulMacLength");
_Static_assert(offsetof(CK_TLS_MAC_PARAMS, ulServerOrClient) == 16, "CK_TLS_MAC_PARAMS.ulServerOrClient");

static void put_CK_TLS_MAC_PARAMS(struct adyton_call *call, const CK_TLS_MAC_PARAMS *p)
{
    adyton_put_u64(call, p->prfHashMechanism);
    adyton_put_u64(call, p->ulMacLength);
    adyton_put_u64(call, p->ulServerOrClient);
}

void adyton_put_parameter(struct adyton_call *call, const CK_MECHANISM *mechanism)
{
    const void *parameter = mechanism->pParameter;
    switch (mechanism->mechanism) {
    case CKM_AES_CBC:
    case CKM_AES_CBC_PAD:
    case CKM_AES_CTS:
    case CKM_AES_OFB:
    case CKM_AES_CFB1:
    case CKM_AES_CFB8:
    case CKM_AES_CFB64:
    case CKM_AES_CFB128:
    case CKM_AES_XTS:
    case CKM_AES_KEY_WRAP:
    case CKM_AES_KEY_WRAP_PAD:
    case CKM_AES_KEY_WRAP_KWP:
    case CKM_AES_KEY_WRAP_PKCS7:
    case CKM_DES3_CBC:
    case CKM_DES3_CBC_PAD:
    case CKM_AES_MAC_GENERAL:
    case CKM_AES_CMAC_GENERAL:
    case CKM_DES3_CMAC_GENERAL:
    case CKM_CONCATENATE_BASE_AND_KEY:
    case CKM_EXTRACT_KEY_FROM_KEY:
    case CKM_SHA512_T:
    case CKM_SHA512_T_HMAC:
    case CKM_DH_PKCS_DERIVE:
    case CKM_SHA_1_HMAC_GENERAL:
    case CKM_SHA224_HMAC_GENERAL:
    case CKM_SHA256_HMAC_GENERAL:
    case CKM_SHA384_HMAC_GENERAL:
    case CKM_SHA512_HMAC_GENERAL:
    case CKM_SHA512_224_HMAC_GENERAL:
    case CKM_SHA512_256_HMAC_GENERAL:
    case CKM_SHA512_T_HMAC_GENERAL:
    case CKM_SHA3_224_HMAC_GENERAL:
    case CKM_SHA3_256_HMAC_GENERAL:
    case CKM_SHA3_384_HMAC_GENERAL:
    case CKM_SHA3_512_HMAC_GENERAL:
    case CKM_MD5_HMAC_GENERAL:
        adyton_put_raw_parameter(call, mechanism, mechanism->ulParameterLen);
        return;
    case CKM_AES_GMAC:
        if (mechanism->ulParameterLen == 12) {
            adyton_put_raw_parameter(call, mechanism, 12);
            return;
        }
        __attribute__((fallthrough));
    case CKM_AES_GCM:
        if (mechanism->ulParameterLen != sizeof(CK_GCM_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_GCM_PARAMS(call, parameter);
        return;
    case CKM_AES_CCM:
        if (mechanism->ulParameterLen != sizeof(CK_CCM_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_CCM_PARAMS(call, parameter);
        return;
    case CKM_CHACHA20_POLY1305:
    case CKM_SALSA20_POLY1305:
        if (mechanism->ulParameterLen != sizeof(CK_SALSA20_CHACHA20_POLY1305_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_SALSA20_CHACHA20_POLY1305_PARAMS(call, parameter);
        return;
    case CKM_AES_CTR:
        if (mechanism->ulParameterLen != sizeof(CK_AES_CTR_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_AES_CTR_PARAMS(call, parameter);
        return;
    case CKM_AES_CBC_ENCRYPT_DATA:
        if (mechanism->ulParameterLen != sizeof(CK_AES_CBC_ENCRYPT_DATA_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_AES_CBC_ENCRYPT_DATA_PARAMS(call, parameter);
        return;
    case CKM_CONCATENATE_BASE_AND_DATA:
    case CKM_CONCATENATE_DATA_AND_BASE:
    case CKM_XOR_BASE_AND_DATA:
    case CKM_AES_ECB_ENCRYPT_DATA:
        if (mechanism->ulParameterLen != sizeof(CK_KEY_DERIVATION_STRING_DATA)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_KEY_DERIVATION_STRING_DATA(call, parameter);
        return;
    case CKM_RSA_PKCS_OAEP:
        if (mechanism->ulParameterLen != sizeof(CK_RSA_PKCS_OAEP_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_RSA_PKCS_OAEP_PARAMS(call, parameter);
        return;
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
        if (mechanism->ulParameterLen != sizeof(CK_RSA_PKCS_PSS_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_RSA_PKCS_PSS_PARAMS(call, parameter);
        return;
    case CKM_RSA_AES_KEY_WRAP:
        if (mechanism->ulParameterLen != sizeof(CK_RSA_AES_KEY_WRAP_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_RSA_AES_KEY_WRAP_PARAMS(call, parameter);
        return;
    case CKM_ECDH1_DERIVE:
    case CKM_ECDH1_COFACTOR_DERIVE:
        if (mechanism->ulParameterLen != sizeof(CK_ECDH1_DERIVE_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_ECDH1_DERIVE_PARAMS(call, parameter);
        return;
    case CKM_ECDH_AES_KEY_WRAP:
        if (mechanism->ulParameterLen != sizeof(CK_ECDH_AES_KEY_WRAP_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_ECDH_AES_KEY_WRAP_PARAMS(call, parameter);
        return;
    case CKM_ECMQV_DERIVE:
        if (mechanism->ulParameterLen != sizeof(CK_ECMQV_DERIVE_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_ECMQV_DERIVE_PARAMS(call, parameter);
        return;
    case CKM_X9_42_DH_DERIVE:
        if (mechanism->ulParameterLen != sizeof(CK_X9_42_DH1_DERIVE_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_X9_42_DH1_DERIVE_PARAMS(call, parameter);
        return;
    case CKM_EDDSA:
        if (mechanism->ulParameterLen != sizeof(CK_EDDSA_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_EDDSA_PARAMS(call, parameter);
        return;
    case CKM_ML_DSA:
    case CKM_SLH_DSA:
    case CKM_HASH_ML_DSA_SHA224:
    case CKM_HASH_ML_DSA_SHA256:
    case CKM_HASH_ML_DSA_SHA384:
    case CKM_HASH_ML_DSA_SHA512:
    case CKM_HASH_ML_DSA_SHA3_224:
    case CKM_HASH_ML_DSA_SHA3_256:
    case CKM_HASH_ML_DSA_SHA3_384:
    case CKM_HASH_ML_DSA_SHA3_512:
    case CKM_HASH_ML_DSA_SHAKE128:
    case CKM_HASH_ML_DSA_SHAKE256:
    case CKM_HASH_SLH_DSA_SHA224:
    case CKM_HASH_SLH_DSA_SHA256:
    case CKM_HASH_SLH_DSA_SHA384:
    case CKM_HASH_SLH_DSA_SHA512:
    case CKM_HASH_SLH_DSA_SHA3_224:
    case CKM_HASH_SLH_DSA_SHA3_256:
    case CKM_HASH_SLH_DSA_SHA3_384:
    case CKM_HASH_SLH_DSA_SHA3_512:
    case CKM_HASH_SLH_DSA_SHAKE128:
    case CKM_HASH_SLH_DSA_SHAKE256:
        if (mechanism->ulParameterLen != sizeof(CK_SIGN_ADDITIONAL_CONTEXT)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_SIGN_ADDITIONAL_CONTEXT(call, parameter);
        return;
    case CKM_HASH_ML_DSA:
    case CKM_HASH_SLH_DSA:
        if (mechanism->ulParameterLen != sizeof(CK_HASH_SIGN_ADDITIONAL_CONTEXT)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_HASH_SIGN_ADDITIONAL_CONTEXT(call, parameter);
        return;
    case CKM_PKCS5_PBKD2:
        if (mechanism->ulParameterLen != sizeof(CK_PKCS5_PBKD2_PARAMS2)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_PKCS5_PBKD2_PARAMS2(call, parameter);
        return;
    case CKM_HKDF_DERIVE:
    case CKM_HKDF_DATA:
        if (mechanism->ulParameterLen != sizeof(CK_HKDF_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_HKDF_PARAMS(call, parameter);
        return;
    case CKM_SP800_108_COUNTER_KDF:
    case CKM_SP800_108_DOUBLE_PIPELINE_KDF:
        if (mechanism->ulParameterLen != sizeof(CK_SP800_108_KDF_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_SP800_108_KDF_PARAMS(call, parameter);
        return;
    case CKM_SP800_108_FEEDBACK_KDF:
        if (mechanism->ulParameterLen != sizeof(CK_SP800_108_FEEDBACK_KDF_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_SP800_108_FEEDBACK_KDF_PARAMS(call, parameter);
        return;
    case CKM_TLS_KDF:
    case CKM_TLS12_KDF:
        if (mechanism->ulParameterLen != sizeof(CK_TLS_KDF_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_TLS_KDF_PARAMS(call, parameter);
        return;
    case CKM_TLS_MAC:
    case CKM_TLS12_MAC:
        if (mechanism->ulParameterLen != sizeof(CK_TLS_MAC_PARAMS)) {
            adyton_refuse(call, CKR_MECHANISM_PARAM_INVALID);
            return;
        }
        adyton_put_u8(call, STRUCTURE);
        adyton_put_u64(call, mechanism->mechanism);
        put_CK_TLS_MAC_PARAMS(call, parameter);
        return;
    default:
        adyton_put_raw_parameter(call, mechanism, 0);
    }
}
