/* Written by tools/generate from pkcs11.h and the tables of pkcs11_shim; not by hand. */
#include "flatten.h"

CK_RV C_GetSlotList(unsigned char a0, unsigned long * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 4);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_ulongs(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetSlotInfo(unsigned long a0, CK_SLOT_INFO * a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 5);
    if (rv != CKR_OK)
        return rv;
    if (a1 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_exact(&answer, a1, sizeof *a1)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetTokenInfo(unsigned long a0, CK_TOKEN_INFO * a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 6);
    if (rv != CKR_OK)
        return rv;
    if (a1 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_exact(&answer, a1, sizeof *a1)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetMechanismList(unsigned long a0, unsigned long * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 7);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_ulongs(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetMechanismInfo(unsigned long a0, unsigned long a1, CK_MECHANISM_INFO * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 8);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_exact(&answer, a2, sizeof *a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_InitToken(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 9);
    if (rv != CKR_OK)
        return rv;
    if (a3 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_raw(&call, a3, 32);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_InitPIN(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 10);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_SetPIN(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 11);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    adyton_put_bytes(&call, a3, a4);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_OpenSession(unsigned long a0, unsigned long a1, void * a2, CK_NOTIFY a3, unsigned long * a4)
{
    (void)a2;
    (void)a3;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 12);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_CloseSession(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 13);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_CloseAllSessions(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 14);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_GetSessionInfo(unsigned long a0, CK_SESSION_INFO * a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 15);
    if (rv != CKR_OK)
        return rv;
    if (a1 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_exact(&answer, a1, sizeof *a1)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetOperationState(unsigned long a0, unsigned char * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 16);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SetOperationState(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned long a3, unsigned long a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 17);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    adyton_put_u64(&call, a3);
    adyton_put_u64(&call, a4);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Login(unsigned long a0, unsigned long a1, unsigned char * a2, unsigned long a3)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 18);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    adyton_put_bytes(&call, a2, a3);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Logout(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 19);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_CreateObject(unsigned long a0, CK_ATTRIBUTE * a1, unsigned long a2, unsigned long * a3)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 20);
    if (rv != CKR_OK)
        return rv;
    if (a3 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_template(&call, a1, a2, 0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a3)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_CopyObject(unsigned long a0, unsigned long a1, CK_ATTRIBUTE * a2, unsigned long a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 21);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1);
        adyton_put_template(&call, a2, a3, 0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DestroyObject(unsigned long a0, unsigned long a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 22);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_GetObjectSize(unsigned long a0, unsigned long a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 23);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetAttributeValue(unsigned long a0, unsigned long a1, CK_ATTRIBUTE * a2, unsigned long a3)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 24);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    adyton_put_query(&call, a2, a3, 0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID) && answer.at != NULL && !(adyton_get_query(&answer, a2, a3, 0)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SetAttributeValue(unsigned long a0, unsigned long a1, CK_ATTRIBUTE * a2, unsigned long a3)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 25);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    adyton_put_template(&call, a2, a3, 0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_FindObjectsInit(unsigned long a0, CK_ATTRIBUTE * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 26);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_template(&call, a1, a2, 0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_FindObjects(unsigned long a0, unsigned long * a1, unsigned long a2, unsigned long * a3)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 27);
    if (rv != CKR_OK)
        return rv;
    if (a3 == NULL || (a1 == NULL && a2 != 0))
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_found(&answer, a1, a2, a3)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_FindObjectsFinal(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 28);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_EncryptInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 29);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    adyton_put_u64(&call, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Encrypt(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 30);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_ENCRYPT);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_EncryptUpdate(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 31);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_ENCRYPT);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_EncryptFinal(unsigned long a0, unsigned char * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 32);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_ENCRYPT);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 33);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    adyton_put_u64(&call, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Decrypt(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 34);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DECRYPT);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptUpdate(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 35);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DECRYPT);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptFinal(unsigned long a0, unsigned char * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 36);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DECRYPT);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DigestInit(unsigned long a0, CK_MECHANISM * a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 37);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Digest(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 38);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DIGEST);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DigestUpdate(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 39);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DIGEST);
    adyton_end(&call);
    return rv;
}

CK_RV C_DigestKey(unsigned long a0, unsigned long a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 40);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DIGEST);
    adyton_end(&call);
    return rv;
}

CK_RV C_DigestFinal(unsigned long a0, unsigned char * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 41);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_DIGEST);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SignInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 42);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    adyton_put_u64(&call, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Sign(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 43);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_SIGN);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SignUpdate(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 44);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_SIGN);
    adyton_end(&call);
    return rv;
}

CK_RV C_SignFinal(unsigned long a0, unsigned char * a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 45);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1 == NULL ? ADYTON_NULL : *a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_SIGN);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SignRecoverInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 46);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    adyton_put_u64(&call, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_SignRecover(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 47);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 48);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    adyton_put_u64(&call, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_Verify(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 49);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    adyton_put_bytes(&call, a3, a4);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_VERIFY);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyUpdate(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 50);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_VERIFY);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyFinal(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 51);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if (call.failed)
        adyton_operation_over(a0, CKF_VERIFY);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyRecoverInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 52);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_mechanism(&call, a1);
    adyton_put_u64(&call, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyRecover(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 53);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DigestEncryptUpdate(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 54);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptDigestUpdate(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 55);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SignEncryptUpdate(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 56);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptVerifyUpdate(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 57);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_bytes(&call, a1, a2);
        adyton_put_u64(&call, a3 == NULL ? ADYTON_NULL : *a4);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a3, a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GenerateKey(unsigned long a0, CK_MECHANISM * a1, CK_ATTRIBUTE * a2, unsigned long a3, unsigned long * a4)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 58);
    if (rv != CKR_OK)
        return rv;
    if (a4 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_mechanism(&call, a1);
        adyton_put_template(&call, a2, a3, 0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a4)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GenerateKeyPair(unsigned long a0, CK_MECHANISM * a1, CK_ATTRIBUTE * a2, unsigned long a3, CK_ATTRIBUTE * a4, unsigned long a5, unsigned long * a6, unsigned long * a7)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 59);
    if (rv != CKR_OK)
        return rv;
    if (a6 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (a7 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_mechanism(&call, a1);
        adyton_put_template(&call, a2, a3, 0);
        adyton_put_template(&call, a4, a5, 0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a6) &&
          adyton_get_u64(&answer, (uint64_t *)a7)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_WrapKey(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, unsigned long a3, unsigned char * a4, unsigned long * a5)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 60);
    if (rv != CKR_OK)
        return rv;
    if (a5 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_mechanism(&call, a1);
        adyton_put_u64(&call, a2);
        adyton_put_u64(&call, a3);
        adyton_put_u64(&call, a4 == NULL ? ADYTON_NULL : *a5);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && answer.at != NULL && !(adyton_get_out(&answer, a4, a5)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_UnwrapKey(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, unsigned char * a3, unsigned long a4, CK_ATTRIBUTE * a5, unsigned long a6, unsigned long * a7)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 61);
    if (rv != CKR_OK)
        return rv;
    if (a7 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_mechanism(&call, a1);
        adyton_put_u64(&call, a2);
        adyton_put_bytes(&call, a3, a4);
        adyton_put_template(&call, a5, a6, 0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a7)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_DeriveKey(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, CK_ATTRIBUTE * a3, unsigned long a4, unsigned long * a5)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 62);
    if (rv != CKR_OK)
        return rv;
    if (a5 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_mechanism(&call, a1);
        adyton_put_u64(&call, a2);
        adyton_put_template(&call, a3, a4, 0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a5)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_SeedRandom(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 63);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_bytes(&call, a1, a2);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_GenerateRandom(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 64);
    if (rv != CKR_OK)
        return rv;
    if ((a1 == NULL && a2 != 0))
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a2);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_exact(&answer, a1, a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_GetFunctionStatus(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 65);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_CancelFunction(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 66);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_WaitForSlotEvent(unsigned long a0, unsigned long * a1, void * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 67);
    if (rv != CKR_OK)
        return rv;
    if (a1 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (a2 != NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a1)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_LoginUser(unsigned long a0, unsigned long a1, unsigned char * a2, unsigned long a3, unsigned char * a4, unsigned long a5)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 70);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    adyton_put_bytes(&call, a2, a3);
    adyton_put_bytes(&call, a4, a5);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_SessionCancel(unsigned long a0, unsigned long a1)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 71);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    adyton_put_u64(&call, a1);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageEncryptInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 72);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_EncryptMessage(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long a6, unsigned char * a7, unsigned long * a8)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    (void)a8;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 73);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_EncryptMessageBegin(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 74);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_EncryptMessageNext(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long * a6, unsigned long a7)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 75);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageEncryptFinal(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 76);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageDecryptInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 77);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptMessage(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long a6, unsigned char * a7, unsigned long * a8)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    (void)a8;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 78);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptMessageBegin(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 79);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_DecryptMessageNext(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long * a6, unsigned long a7)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 80);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageDecryptFinal(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 81);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageSignInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 82);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_SignMessage(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long * a6)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 83);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_SignMessageBegin(unsigned long a0, void * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 84);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_SignMessageNext(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long * a6)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 85);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageSignFinal(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 86);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageVerifyInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 87);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyMessage(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long a6)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 88);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyMessageBegin(unsigned long a0, void * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 89);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifyMessageNext(unsigned long a0, void * a1, unsigned long a2, unsigned char * a3, unsigned long a4, unsigned char * a5, unsigned long a6)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 90);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_MessageVerifyFinal(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 91);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_EncapsulateKey(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, CK_ATTRIBUTE * a3, unsigned long a4, unsigned char * a5, unsigned long * a6, unsigned long * a7)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 92);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_DecapsulateKey(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, CK_ATTRIBUTE * a3, unsigned long a4, unsigned char * a5, unsigned long a6, unsigned long * a7)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 93);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifySignatureInit(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, unsigned char * a3, unsigned long a4)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 94);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifySignature(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 95);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifySignatureUpdate(unsigned long a0, unsigned char * a1, unsigned long a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 96);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_VerifySignatureFinal(unsigned long a0)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 97);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_GetSessionValidationFlags(unsigned long a0, unsigned long a1, unsigned long * a2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 98);
    if (rv != CKR_OK)
        return rv;
    if (a2 == NULL)
        call.failed = (int)CKR_ARGUMENTS_BAD;
    if (!call.failed) {
        adyton_put_u64(&call, a0);
        adyton_put_u64(&call, a1);
    }
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    if ((rv == CKR_OK) && answer.at != NULL && !(adyton_get_u64(&answer, (uint64_t *)a2)))
        rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return rv;
}

CK_RV C_AsyncComplete(unsigned long a0, unsigned char * a1, CK_ASYNC_DATA * a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 99);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_AsyncGetID(unsigned long a0, unsigned char * a1, unsigned long * a2)
{
    (void)a1;
    (void)a2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 100);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_AsyncJoin(unsigned long a0, unsigned char * a1, unsigned long a2, unsigned char * a3, unsigned long a4)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 101);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_WrapKeyAuthenticated(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, unsigned long a3, unsigned char * a4, unsigned long a5, unsigned char * a6, unsigned long * a7)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 102);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

CK_RV C_UnwrapKeyAuthenticated(unsigned long a0, CK_MECHANISM * a1, unsigned long a2, unsigned char * a3, unsigned long a4, CK_ATTRIBUTE * a5, unsigned long a6, unsigned char * a7, unsigned long a8, unsigned long * a9)
{
    (void)a1;
    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    (void)a6;
    (void)a7;
    (void)a8;
    (void)a9;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0};
    CK_RV rv = adyton_begin(&call, 103);
    if (rv != CKR_OK)
        return rv;
    adyton_put_u64(&call, a0);
    rv = call.failed ? (CK_RV)call.failed : adyton_exchange(&call, &answer.at, &answer.left);
    adyton_end(&call);
    return rv;
}

