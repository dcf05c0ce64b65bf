/* Written by tools/generate from pkcs11.h and the tables of pkcs11_shim; not by hand. */
#include "flatten.h"

CK_RV C_GetSlotList(CK_BBOOL flag, CK_SLOT_ID *slots, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 4))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, flag);
        adyton_put_room(&call, slots, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_ulongs(&answer, slots, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 5))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (info == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, slot);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_exact(&answer, info, sizeof *info) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 6))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (info == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, slot);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_exact(&answer, info, sizeof *info) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *types, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 7))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, slot);
        adyton_put_room(&call, types, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_ulongs(&answer, types, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 8))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (info == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, slot);
        adyton_put_u64(&call, type);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_exact(&answer, info, sizeof *info) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR *text, CK_ULONG length, CK_UTF8CHAR *label)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 9))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (label == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, slot);
        adyton_put_bytes(&call, text, length, CKR_ARGUMENTS_BAD);
        adyton_put_raw(&call, label, 32);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_InitPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *text, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 10))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, text, length, CKR_PIN_LEN_RANGE);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SetPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *text, CK_ULONG length, CK_UTF8CHAR *text2, CK_ULONG length2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 11))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, text, length, CKR_PIN_LEN_RANGE);
    adyton_put_bytes(&call, text2, length2, CKR_PIN_LEN_RANGE);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *pointer, CK_NOTIFY notify, CK_SESSION_HANDLE *opened)
{
    (void)pointer;
    (void)notify;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 12))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (opened == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, slot);
        adyton_put_u64(&call, flags);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, opened) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_CloseSession(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 13))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slot)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 14))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, slot);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 15))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (info == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_exact(&answer, info, sizeof *info) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetOperationState(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 16))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SetOperationState(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_OBJECT_HANDLE object, CK_OBJECT_HANDLE object2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 17))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_SAVED_STATE_INVALID);
    adyton_put_u64(&call, object);
    adyton_put_u64(&call, object2);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *text, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 18))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, user);
    adyton_put_bytes(&call, text, length, CKR_ARGUMENTS_BAD);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Logout(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 19))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *objects)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 20))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (objects == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_template(&call, rows, count);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, objects) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *objects)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 21))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (objects == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_u64(&call, object);
        adyton_put_template(&call, rows, count);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, objects) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 22))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG *size)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 23))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (size == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_u64(&call, object);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, size) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG count)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 24))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, object);
    adyton_put_query(&call, rows, count);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL || answer.rv == CKR_ATTRIBUTE_SENSITIVE || answer.rv == CKR_ATTRIBUTE_TYPE_INVALID) &&
        !(adyton_get_query(&answer, rows, count) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG count)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 25))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, object);
    adyton_put_template(&call, rows, count);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 26))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_template(&call, rows, count);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG most, CK_ULONG *count)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 27))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (count == NULL || (objects == NULL && most != 0)) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_u64(&call, most);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_found(&answer, objects, most, count) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 28))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 29))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Encrypt(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 30))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_ENCRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 31))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_ENCRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 32))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_ENCRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 33))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Decrypt(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 34))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DECRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 35))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DECRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 36))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DECRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DigestInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 37))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Digest(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 38))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_ARGUMENTS_BAD);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DIGEST);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 39))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_ARGUMENTS_BAD);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DIGEST);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DigestKey(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 40))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 41))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DIGEST);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 42))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Sign(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 43))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_SIGN);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 44))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_SIGN);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 45))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_SIGN);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignRecoverInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 46))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignRecover(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 47))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_SIGN_RECOVER);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 48))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_Verify(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *bytes2, CK_ULONG length2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 49))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
    adyton_put_bytes(&call, bytes2, length2, CKR_DATA_LEN_RANGE);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_VERIFY);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 50))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_VERIFY);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 51))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_SIGNATURE_LEN_RANGE);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_VERIFY);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyRecoverInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 52))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyRecover(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 53))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_SIGNATURE_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_VERIFY_RECOVER);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DigestEncryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 54))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DIGEST | CKF_ENCRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptDigestUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 55))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DECRYPT | CKF_DIGEST);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignEncryptUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 56))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_SIGN | CKF_ENCRYPT);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptVerifyUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 57))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_bytes(&call, bytes, length, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    if (call.failed != CKR_OK)
        (void)C_SessionCancel(session, CKF_DECRYPT | CKF_VERIFY);
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *objects)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 58))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (objects == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_mechanism(&call, mechanism);
        adyton_put_template(&call, rows, count);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, objects) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *rows, CK_ULONG count, CK_ATTRIBUTE *rows2, CK_ULONG count2, CK_OBJECT_HANDLE *objects, CK_OBJECT_HANDLE *objects2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 59))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (objects == NULL || objects2 == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_mechanism(&call, mechanism);
        adyton_put_template(&call, rows, count);
        adyton_put_template(&call, rows2, count2);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, objects) && adyton_get_u64(&answer, objects2) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_WrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_OBJECT_HANDLE object2, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 60))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_mechanism(&call, mechanism);
        adyton_put_u64(&call, object);
        adyton_put_u64(&call, object2);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_BYTE *bytes, CK_ULONG length, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *objects)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 61))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (objects == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_mechanism(&call, mechanism);
        adyton_put_u64(&call, object);
        adyton_put_bytes(&call, bytes, length, CKR_WRAPPED_KEY_LEN_RANGE);
        adyton_put_template(&call, rows, count);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, objects) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *objects)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 62))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (objects == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_mechanism(&call, mechanism);
        adyton_put_u64(&call, object);
        adyton_put_template(&call, rows, count);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, objects) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SeedRandom(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 63))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_bytes(&call, bytes, length, CKR_ARGUMENTS_BAD);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG length)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 64))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if ((out == NULL && length != 0)) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_u64(&call, length);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_exact(&answer, out, length) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 65))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 66))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *slots, void *pointer)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 67))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if ((flags & ~CKF_DONT_BLOCK) != 0 || slots == NULL || pointer != NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, adyton_events_since(flags));
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, slots) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *text, CK_ULONG length, CK_UTF8CHAR *text2, CK_ULONG length2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 70))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, user);
    adyton_put_bytes(&call, text, length, CKR_ARGUMENTS_BAD);
    adyton_put_bytes(&call, text2, length2, CKR_ARGUMENTS_BAD);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 71))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_u64(&call, flags);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageEncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 72))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_message_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncryptMessage(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG length3, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 73))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_message(&call, pointer, length, false);
        adyton_put_bytes(&call, bytes, length2, CKR_DATA_LEN_RANGE);
        adyton_put_bytes(&call, bytes2, length3, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_message(&answer, pointer, length) && adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncryptMessageBegin(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 74))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_message(&call, pointer, length, false);
    adyton_put_bytes(&call, bytes, length2, CKR_MECHANISM_PARAM_INVALID);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_message(&answer, pointer, length) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncryptMessageNext(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *out, CK_ULONG *room, CK_FLAGS flags)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 75))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_message(&call, pointer, length, false);
        adyton_put_bytes(&call, bytes, length2, CKR_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
        adyton_put_u64(&call, flags);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_message(&answer, pointer, length) && adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageEncryptFinal(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 76))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageDecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 77))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_message_mechanism(&call, mechanism);
    adyton_put_u64(&call, object);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptMessage(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG length3, CK_BYTE *out, CK_ULONG *room)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 78))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_message(&call, pointer, length, true);
        adyton_put_bytes(&call, bytes, length2, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_bytes(&call, bytes2, length3, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptMessageBegin(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 79))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    adyton_put_message(&call, pointer, length, true);
    adyton_put_bytes(&call, bytes, length2, CKR_MECHANISM_PARAM_INVALID);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecryptMessageNext(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *out, CK_ULONG *room, CK_FLAGS flags)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 80))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (room == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_message(&call, pointer, length, true);
        adyton_put_bytes(&call, bytes, length2, CKR_ENCRYPTED_DATA_LEN_RANGE);
        adyton_put_room(&call, out, room);
        adyton_put_u64(&call, flags);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK || answer.rv == CKR_BUFFER_TOO_SMALL) &&
        !(adyton_get_out(&answer, out, room) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageDecryptFinal(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 81))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK && answer.left != 0)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageSignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    (void)mechanism;
    (void)object;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 82))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignMessage(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG *size)
{
    (void)pointer;
    (void)length;
    (void)bytes;
    (void)length2;
    (void)bytes2;
    (void)size;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 83))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignMessageBegin(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length)
{
    (void)pointer;
    (void)length;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 84))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_SignMessageNext(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG *size)
{
    (void)pointer;
    (void)length;
    (void)bytes;
    (void)length2;
    (void)bytes2;
    (void)size;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 85))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageSignFinal(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 86))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageVerifyInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object)
{
    (void)mechanism;
    (void)object;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 87))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyMessage(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG length3)
{
    (void)pointer;
    (void)length;
    (void)bytes;
    (void)length2;
    (void)bytes2;
    (void)length3;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 88))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyMessageBegin(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length)
{
    (void)pointer;
    (void)length;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 89))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifyMessageNext(CK_SESSION_HANDLE session, void *pointer, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG length3)
{
    (void)pointer;
    (void)length;
    (void)bytes;
    (void)length2;
    (void)bytes2;
    (void)length3;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 90))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_MessageVerifyFinal(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 91))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_EncapsulateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG length, CK_BYTE *bytes, CK_ULONG *size, CK_OBJECT_HANDLE *objects)
{
    (void)mechanism;
    (void)object;
    (void)rows;
    (void)length;
    (void)bytes;
    (void)size;
    (void)objects;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 92))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_DecapsulateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2, CK_OBJECT_HANDLE *objects)
{
    (void)mechanism;
    (void)object;
    (void)rows;
    (void)length;
    (void)bytes;
    (void)length2;
    (void)objects;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 93))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifySignatureInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_BYTE *bytes, CK_ULONG length)
{
    (void)mechanism;
    (void)object;
    (void)bytes;
    (void)length;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 94))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifySignature(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    (void)bytes;
    (void)length;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 95))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifySignatureUpdate(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG length)
{
    (void)bytes;
    (void)length;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 96))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_VerifySignatureFinal(CK_SESSION_HANDLE session)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 97))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_GetSessionValidationFlags(CK_SESSION_HANDLE session, CK_SESSION_VALIDATION_FLAGS_TYPE value, CK_FLAGS *value2)
{
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 98))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (value2 == NULL) {
        adyton_refuse(&call, CKR_ARGUMENTS_BAD);
    } else {
        adyton_put_u64(&call, session);
        adyton_put_u64(&call, value);
    }
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if ((answer.rv == CKR_OK) &&
        !(adyton_get_u64(&answer, value2) && answer.left == 0))
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_AsyncComplete(CK_SESSION_HANDLE session, CK_UTF8CHAR *text, CK_ASYNC_DATA *value)
{
    (void)text;
    (void)value;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 99))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_AsyncGetID(CK_SESSION_HANDLE session, CK_UTF8CHAR *text, CK_ULONG *size)
{
    (void)text;
    (void)size;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 100))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_AsyncJoin(CK_SESSION_HANDLE session, CK_UTF8CHAR *text, CK_ULONG length, CK_BYTE *bytes, CK_ULONG length2)
{
    (void)text;
    (void)length;
    (void)bytes;
    (void)length2;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 101))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_WrapKeyAuthenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_OBJECT_HANDLE object2, CK_BYTE *bytes, CK_ULONG length, CK_BYTE *bytes2, CK_ULONG *size)
{
    (void)mechanism;
    (void)object;
    (void)object2;
    (void)bytes;
    (void)length;
    (void)bytes2;
    (void)size;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 102))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

CK_RV C_UnwrapKeyAuthenticated(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE object, CK_BYTE *bytes, CK_ULONG length, CK_ATTRIBUTE *rows, CK_ULONG length2, CK_BYTE *bytes2, CK_ULONG length3, CK_OBJECT_HANDLE *objects)
{
    (void)mechanism;
    (void)object;
    (void)bytes;
    (void)length;
    (void)rows;
    (void)length2;
    (void)bytes2;
    (void)length3;
    (void)objects;
    struct adyton_call call;
    struct adyton_answer answer = {NULL, 0, CKR_OK};
    if (!adyton_begin(&call, 103))
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    adyton_put_u64(&call, session);
    answer.rv = adyton_exchange(&call, &answer.at, &answer.left);
    if (answer.rv == CKR_OK)
        answer.rv = CKR_DEVICE_ERROR;
    adyton_end(&call);
    return answer.rv;
}

