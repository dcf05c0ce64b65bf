/* Written by tools/generate from pkcs11.h and the tables of pkcs11_shim; not by hand. */
#pragma GCC visibility push(hidden)
#include "grant.h"
#include "link.h"

extern CK_FUNCTION_LIST adyton_functions_2_40;
CK_FUNCTION_LIST adyton_functions_2_40 = {
    .version = {2, 40},
    .C_Initialize = C_Initialize,
    .C_Finalize = C_Finalize,
    .C_GetInfo = C_GetInfo,
    .C_GetFunctionList = C_GetFunctionList,
    .C_GetSlotList = C_GetSlotList,
    .C_GetSlotInfo = C_GetSlotInfo,
    .C_GetTokenInfo = C_GetTokenInfo,
    .C_GetMechanismList = C_GetMechanismList,
    .C_GetMechanismInfo = C_GetMechanismInfo,
    .C_InitToken = C_InitToken,
    .C_InitPIN = C_InitPIN,
    .C_SetPIN = C_SetPIN,
    .C_OpenSession = C_OpenSession,
    .C_CloseSession = C_CloseSession,
    .C_CloseAllSessions = C_CloseAllSessions,
    .C_GetSessionInfo = C_GetSessionInfo,
    .C_GetOperationState = C_GetOperationState,
    .C_SetOperationState = C_SetOperationState,
    .C_Login = C_Login,
    .C_Logout = C_Logout,
    .C_CreateObject = C_CreateObject,
    .C_CopyObject = C_CopyObject,
    .C_DestroyObject = C_DestroyObject,
    .C_GetObjectSize = C_GetObjectSize,
    .C_GetAttributeValue = C_GetAttributeValue,
    .C_SetAttributeValue = C_SetAttributeValue,
    .C_FindObjectsInit = C_FindObjectsInit,
    .C_FindObjects = C_FindObjects,
    .C_FindObjectsFinal = C_FindObjectsFinal,
    .C_EncryptInit = C_EncryptInit,
    .C_Encrypt = C_Encrypt,
    .C_EncryptUpdate = C_EncryptUpdate,
    .C_EncryptFinal = C_EncryptFinal,
    .C_DecryptInit = C_DecryptInit,
    .C_Decrypt = C_Decrypt,
    .C_DecryptUpdate = C_DecryptUpdate,
    .C_DecryptFinal = C_DecryptFinal,
    .C_DigestInit = C_DigestInit,
    .C_Digest = C_Digest,
    .C_DigestUpdate = C_DigestUpdate,
    .C_DigestKey = C_DigestKey,
    .C_DigestFinal = C_DigestFinal,
    .C_SignInit = C_SignInit,
    .C_Sign = C_Sign,
    .C_SignUpdate = C_SignUpdate,
    .C_SignFinal = C_SignFinal,
    .C_SignRecoverInit = C_SignRecoverInit,
    .C_SignRecover = C_SignRecover,
    .C_VerifyInit = C_VerifyInit,
    .C_Verify = C_Verify,
    .C_VerifyUpdate = C_VerifyUpdate,
    .C_VerifyFinal = C_VerifyFinal,
    .C_VerifyRecoverInit = C_VerifyRecoverInit,
    .C_VerifyRecover = C_VerifyRecover,
    .C_DigestEncryptUpdate = C_DigestEncryptUpdate,
    .C_DecryptDigestUpdate = C_DecryptDigestUpdate,
    .C_SignEncryptUpdate = C_SignEncryptUpdate,
    .C_DecryptVerifyUpdate = C_DecryptVerifyUpdate,
    .C_GenerateKey = C_GenerateKey,
    .C_GenerateKeyPair = C_GenerateKeyPair,
    .C_WrapKey = C_WrapKey,
    .C_UnwrapKey = C_UnwrapKey,
    .C_DeriveKey = C_DeriveKey,
    .C_SeedRandom = C_SeedRandom,
    .C_GenerateRandom = C_GenerateRandom,
    .C_GetFunctionStatus = C_GetFunctionStatus,
    .C_CancelFunction = C_CancelFunction,
    .C_WaitForSlotEvent = C_WaitForSlotEvent,
};

extern CK_FUNCTION_LIST_3_0 adyton_functions_3_0;
CK_FUNCTION_LIST_3_0 adyton_functions_3_0 = {
    .version = {3, 0},
    .C_Initialize = C_Initialize,
    .C_Finalize = C_Finalize,
    .C_GetInfo = C_GetInfo,
    .C_GetFunctionList = C_GetFunctionList,
    .C_GetSlotList = C_GetSlotList,
    .C_GetSlotInfo = C_GetSlotInfo,
    .C_GetTokenInfo = C_GetTokenInfo,
    .C_GetMechanismList = C_GetMechanismList,
    .C_GetMechanismInfo = C_GetMechanismInfo,
    .C_InitToken = C_InitToken,
    .C_InitPIN = C_InitPIN,
    .C_SetPIN = C_SetPIN,
    .C_OpenSession = C_OpenSession,
    .C_CloseSession = C_CloseSession,
    .C_CloseAllSessions = C_CloseAllSessions,
    .C_GetSessionInfo = C_GetSessionInfo,
    .C_GetOperationState = C_GetOperationState,
    .C_SetOperationState = C_SetOperationState,
    .C_Login = C_Login,
    .C_Logout = C_Logout,
    .C_CreateObject = C_CreateObject,
    .C_CopyObject = C_CopyObject,
    .C_DestroyObject = C_DestroyObject,
    .C_GetObjectSize = C_GetObjectSize,
    .C_GetAttributeValue = C_GetAttributeValue,
    .C_SetAttributeValue = C_SetAttributeValue,
    .C_FindObjectsInit = C_FindObjectsInit,
    .C_FindObjects = C_FindObjects,
    .C_FindObjectsFinal = C_FindObjectsFinal,
    .C_EncryptInit = C_EncryptInit,
    .C_Encrypt = C_Encrypt,
    .C_EncryptUpdate = C_EncryptUpdate,
    .C_EncryptFinal = C_EncryptFinal,
    .C_DecryptInit = C_DecryptInit,
    .C_Decrypt = C_Decrypt,
    .C_DecryptUpdate = C_DecryptUpdate,
    .C_DecryptFinal = C_DecryptFinal,
    .C_DigestInit = C_DigestInit,
    .C_Digest = C_Digest,
    .C_DigestUpdate = C_DigestUpdate,
    .C_DigestKey = C_DigestKey,
    .C_DigestFinal = C_DigestFinal,
    .C_SignInit = C_SignInit,
    .C_Sign = C_Sign,
    .C_SignUpdate = C_SignUpdate,
    .C_SignFinal = C_SignFinal,
    .C_SignRecoverInit = C_SignRecoverInit,
    .C_SignRecover = C_SignRecover,
    .C_VerifyInit = C_VerifyInit,
    .C_Verify = C_Verify,
    .C_VerifyUpdate = C_VerifyUpdate,
    .C_VerifyFinal = C_VerifyFinal,
    .C_VerifyRecoverInit = C_VerifyRecoverInit,
    .C_VerifyRecover = C_VerifyRecover,
    .C_DigestEncryptUpdate = C_DigestEncryptUpdate,
    .C_DecryptDigestUpdate = C_DecryptDigestUpdate,
    .C_SignEncryptUpdate = C_SignEncryptUpdate,
    .C_DecryptVerifyUpdate = C_DecryptVerifyUpdate,
    .C_GenerateKey = C_GenerateKey,
    .C_GenerateKeyPair = C_GenerateKeyPair,
    .C_WrapKey = C_WrapKey,
    .C_UnwrapKey = C_UnwrapKey,
    .C_DeriveKey = C_DeriveKey,
    .C_SeedRandom = C_SeedRandom,
    .C_GenerateRandom = C_GenerateRandom,
    .C_GetFunctionStatus = C_GetFunctionStatus,
    .C_CancelFunction = C_CancelFunction,
    .C_WaitForSlotEvent = C_WaitForSlotEvent,
    .C_GetInterfaceList = C_GetInterfaceList,
    .C_GetInterface = C_GetInterface,
    .C_LoginUser = C_LoginUser,
    .C_SessionCancel = C_SessionCancel,
    .C_MessageEncryptInit = C_MessageEncryptInit,
    .C_EncryptMessage = C_EncryptMessage,
    .C_EncryptMessageBegin = C_EncryptMessageBegin,
    .C_EncryptMessageNext = C_EncryptMessageNext,
    .C_MessageEncryptFinal = C_MessageEncryptFinal,
    .C_MessageDecryptInit = C_MessageDecryptInit,
    .C_DecryptMessage = C_DecryptMessage,
    .C_DecryptMessageBegin = C_DecryptMessageBegin,
    .C_DecryptMessageNext = C_DecryptMessageNext,
    .C_MessageDecryptFinal = C_MessageDecryptFinal,
    .C_MessageSignInit = C_MessageSignInit,
    .C_SignMessage = C_SignMessage,
    .C_SignMessageBegin = C_SignMessageBegin,
    .C_SignMessageNext = C_SignMessageNext,
    .C_MessageSignFinal = C_MessageSignFinal,
    .C_MessageVerifyInit = C_MessageVerifyInit,
    .C_VerifyMessage = C_VerifyMessage,
    .C_VerifyMessageBegin = C_VerifyMessageBegin,
    .C_VerifyMessageNext = C_VerifyMessageNext,
    .C_MessageVerifyFinal = C_MessageVerifyFinal,
};

extern CK_FUNCTION_LIST_3_2 adyton_functions_3_2;
CK_FUNCTION_LIST_3_2 adyton_functions_3_2 = {
    .version = {3, 2},
    .C_Initialize = C_Initialize,
    .C_Finalize = C_Finalize,
    .C_GetInfo = C_GetInfo,
    .C_GetFunctionList = C_GetFunctionList,
    .C_GetSlotList = C_GetSlotList,
    .C_GetSlotInfo = C_GetSlotInfo,
    .C_GetTokenInfo = C_GetTokenInfo,
    .C_GetMechanismList = C_GetMechanismList,
    .C_GetMechanismInfo = C_GetMechanismInfo,
    .C_InitToken = C_InitToken,
    .C_InitPIN = C_InitPIN,
    .C_SetPIN = C_SetPIN,
    .C_OpenSession = C_OpenSession,
    .C_CloseSession = C_CloseSession,
    .C_CloseAllSessions = C_CloseAllSessions,
    .C_GetSessionInfo = C_GetSessionInfo,
    .C_GetOperationState = C_GetOperationState,
    .C_SetOperationState = C_SetOperationState,
    .C_Login = C_Login,
    .C_Logout = C_Logout,
    .C_CreateObject = C_CreateObject,
    .C_CopyObject = C_CopyObject,
    .C_DestroyObject = C_DestroyObject,
    .C_GetObjectSize = C_GetObjectSize,
    .C_GetAttributeValue = C_GetAttributeValue,
    .C_SetAttributeValue = C_SetAttributeValue,
    .C_FindObjectsInit = C_FindObjectsInit,
    .C_FindObjects = C_FindObjects,
    .C_FindObjectsFinal = C_FindObjectsFinal,
    .C_EncryptInit = C_EncryptInit,
    .C_Encrypt = C_Encrypt,
    .C_EncryptUpdate = C_EncryptUpdate,
    .C_EncryptFinal = C_EncryptFinal,
    .C_DecryptInit = C_DecryptInit,
    .C_Decrypt = C_Decrypt,
    .C_DecryptUpdate = C_DecryptUpdate,
    .C_DecryptFinal = C_DecryptFinal,
    .C_DigestInit = C_DigestInit,
    .C_Digest = C_Digest,
    .C_DigestUpdate = C_DigestUpdate,
    .C_DigestKey = C_DigestKey,
    .C_DigestFinal = C_DigestFinal,
    .C_SignInit = C_SignInit,
    .C_Sign = C_Sign,
    .C_SignUpdate = C_SignUpdate,
    .C_SignFinal = C_SignFinal,
    .C_SignRecoverInit = C_SignRecoverInit,
    .C_SignRecover = C_SignRecover,
    .C_VerifyInit = C_VerifyInit,
    .C_Verify = C_Verify,
    .C_VerifyUpdate = C_VerifyUpdate,
    .C_VerifyFinal = C_VerifyFinal,
    .C_VerifyRecoverInit = C_VerifyRecoverInit,
    .C_VerifyRecover = C_VerifyRecover,
    .C_DigestEncryptUpdate = C_DigestEncryptUpdate,
    .C_DecryptDigestUpdate = C_DecryptDigestUpdate,
    .C_SignEncryptUpdate = C_SignEncryptUpdate,
    .C_DecryptVerifyUpdate = C_DecryptVerifyUpdate,
    .C_GenerateKey = C_GenerateKey,
    .C_GenerateKeyPair = C_GenerateKeyPair,
    .C_WrapKey = C_WrapKey,
    .C_UnwrapKey = C_UnwrapKey,
    .C_DeriveKey = C_DeriveKey,
    .C_SeedRandom = C_SeedRandom,
    .C_GenerateRandom = C_GenerateRandom,
    .C_GetFunctionStatus = C_GetFunctionStatus,
    .C_CancelFunction = C_CancelFunction,
    .C_WaitForSlotEvent = C_WaitForSlotEvent,
    .C_GetInterfaceList = C_GetInterfaceList,
    .C_GetInterface = C_GetInterface,
    .C_LoginUser = C_LoginUser,
    .C_SessionCancel = C_SessionCancel,
    .C_MessageEncryptInit = C_MessageEncryptInit,
    .C_EncryptMessage = C_EncryptMessage,
    .C_EncryptMessageBegin = C_EncryptMessageBegin,
    .C_EncryptMessageNext = C_EncryptMessageNext,
    .C_MessageEncryptFinal = C_MessageEncryptFinal,
    .C_MessageDecryptInit = C_MessageDecryptInit,
    .C_DecryptMessage = C_DecryptMessage,
    .C_DecryptMessageBegin = C_DecryptMessageBegin,
    .C_DecryptMessageNext = C_DecryptMessageNext,
    .C_MessageDecryptFinal = C_MessageDecryptFinal,
    .C_MessageSignInit = C_MessageSignInit,
    .C_SignMessage = C_SignMessage,
    .C_SignMessageBegin = C_SignMessageBegin,
    .C_SignMessageNext = C_SignMessageNext,
    .C_MessageSignFinal = C_MessageSignFinal,
    .C_MessageVerifyInit = C_MessageVerifyInit,
    .C_VerifyMessage = C_VerifyMessage,
    .C_VerifyMessageBegin = C_VerifyMessageBegin,
    .C_VerifyMessageNext = C_VerifyMessageNext,
    .C_MessageVerifyFinal = C_MessageVerifyFinal,
    .C_EncapsulateKey = C_EncapsulateKey,
    .C_DecapsulateKey = C_DecapsulateKey,
    .C_VerifySignatureInit = C_VerifySignatureInit,
    .C_VerifySignature = C_VerifySignature,
    .C_VerifySignatureUpdate = C_VerifySignatureUpdate,
    .C_VerifySignatureFinal = C_VerifySignatureFinal,
    .C_GetSessionValidationFlags = C_GetSessionValidationFlags,
    .C_AsyncComplete = C_AsyncComplete,
    .C_AsyncGetID = C_AsyncGetID,
    .C_AsyncJoin = C_AsyncJoin,
    .C_WrapKeyAuthenticated = C_WrapKeyAuthenticated,
    .C_UnwrapKeyAuthenticated = C_UnwrapKeyAuthenticated,
};

const unsigned char adyton_declarations_hash[32] = {0x4f, 0x54, 0x24, 0xc1, 0x3f, 0xbe, 0xb6, 0x7f, 0x15, 0x2c, 0xbd, 0xe3, 0x4a, 0x25, 0x33, 0xc7, 0xa2, 0x1f, 0x69, 0xbb, 0x84, 0xcf, 0x30, 0x67, 0x5a, 0x5f, 0xaa, 0x38, 0x46, 0xf4, 0x6d, 0xcf};

const struct adyton_function adyton_functions[ADYTON_FUNCTIONS] = {
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_Initialize */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_Finalize */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetInfo */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetFunctionList */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetSlotList */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetSlotInfo */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetTokenInfo */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetMechanismList */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetMechanismInfo */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_InitToken */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_InitPIN */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SetPIN */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_OpenSession */
    {31, ADYTON_WITHIN, 1, 0}, /* C_CloseSession */
    {31, ADYTON_WITHIN, 0, 0}, /* C_CloseAllSessions */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GetSessionInfo */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GetOperationState */
    {31, ADYTON_WITHIN, 1, 0}, /* C_SetOperationState */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_Login */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_Logout */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_CreateObject */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_CopyObject */
    {0, ADYTON_DESTROYS, 1, 0}, /* C_DestroyObject */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GetObjectSize */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GetAttributeValue */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SetAttributeValue */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_FindObjectsInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_FindObjects */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_FindObjectsFinal */
    {1, ADYTON_BEGINS, 1, 0}, /* C_EncryptInit */
    {1, ADYTON_WHOLE, 1, 29}, /* C_Encrypt */
    {1, ADYTON_WITHIN, 1, 0}, /* C_EncryptUpdate */
    {1, ADYTON_WITHIN, 1, 0}, /* C_EncryptFinal */
    {2, ADYTON_BEGINS, 1, 0}, /* C_DecryptInit */
    {2, ADYTON_WHOLE, 1, 33}, /* C_Decrypt */
    {2, ADYTON_WITHIN, 1, 0}, /* C_DecryptUpdate */
    {2, ADYTON_WITHIN, 1, 0}, /* C_DecryptFinal */
    {4, ADYTON_BEGINS, 1, 0}, /* C_DigestInit */
    {4, ADYTON_WHOLE, 1, 37}, /* C_Digest */
    {4, ADYTON_WITHIN, 1, 0}, /* C_DigestUpdate */
    {4, ADYTON_WITHIN, 1, 0}, /* C_DigestKey */
    {4, ADYTON_WITHIN, 1, 0}, /* C_DigestFinal */
    {8, ADYTON_BEGINS, 1, 0}, /* C_SignInit */
    {8, ADYTON_WHOLE, 1, 42}, /* C_Sign */
    {8, ADYTON_WITHIN, 1, 0}, /* C_SignUpdate */
    {8, ADYTON_WITHIN, 1, 0}, /* C_SignFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SignRecoverInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SignRecover */
    {16, ADYTON_BEGINS, 1, 0}, /* C_VerifyInit */
    {16, ADYTON_WHOLE, 1, 48}, /* C_Verify */
    {16, ADYTON_WITHIN, 1, 0}, /* C_VerifyUpdate */
    {16, ADYTON_WITHIN, 1, 0}, /* C_VerifyFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifyRecoverInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifyRecover */
    {5, ADYTON_WITHIN, 1, 0}, /* C_DigestEncryptUpdate */
    {6, ADYTON_WITHIN, 1, 0}, /* C_DecryptDigestUpdate */
    {9, ADYTON_WITHIN, 1, 0}, /* C_SignEncryptUpdate */
    {18, ADYTON_WITHIN, 1, 0}, /* C_DecryptVerifyUpdate */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GenerateKey */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GenerateKeyPair */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_WrapKey */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_UnwrapKey */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_DeriveKey */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SeedRandom */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GenerateRandom */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GetFunctionStatus */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_CancelFunction */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_WaitForSlotEvent */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetInterfaceList */
    {0, ADYTON_ELSEWHERE, 0, 0}, /* C_GetInterface */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_LoginUser */
    {31, ADYTON_WITHIN, 1, 0}, /* C_SessionCancel */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageEncryptInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_EncryptMessage */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_EncryptMessageBegin */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_EncryptMessageNext */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageEncryptFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageDecryptInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_DecryptMessage */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_DecryptMessageBegin */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_DecryptMessageNext */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageDecryptFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageSignInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SignMessage */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SignMessageBegin */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_SignMessageNext */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageSignFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageVerifyInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifyMessage */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifyMessageBegin */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifyMessageNext */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_MessageVerifyFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_EncapsulateKey */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_DecapsulateKey */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifySignatureInit */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifySignature */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifySignatureUpdate */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_VerifySignatureFinal */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_GetSessionValidationFlags */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_AsyncComplete */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_AsyncGetID */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_AsyncJoin */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_WrapKeyAuthenticated */
    {0, ADYTON_ELSEWHERE, 1, 0}, /* C_UnwrapKeyAuthenticated */
};
