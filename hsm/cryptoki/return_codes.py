"""Which codes each function may answer: the lists «Return values» of PKCS#11 3.2, section 5, one row a function.

``answerable`` turns a refusal whose code a function's list does not have into the nearest one that it has, so that no
function answers a code the standard keeps for others. A function without a row is not served by this version.
"""

from __future__ import annotations

from pkcs11_shim import constants as ck

# Sections 5.1.1 to 5.1.3: what any function, any with a session and any that uses a token may answer. A function with
# a session never answers CKR_TOKEN_NOT_PRESENT (section 5.1.7).
_ANY = "OK GENERAL_ERROR HOST_MEMORY FUNCTION_FAILED OPERATION_NOT_VALIDATED CRYPTOKI_NOT_INITIALIZED"
_TOKEN = f"{_ANY} DEVICE_MEMORY DEVICE_ERROR DEVICE_REMOVED TOKEN_NOT_INITIALIZED"
_SLOT = f"{_TOKEN} TOKEN_NOT_PRESENT SLOT_ID_INVALID"
_SESSION = f"{_TOKEN} SESSION_HANDLE_INVALID SESSION_CLOSED OPERATION_ACTIVE PENDING"
_LEGACY = f"{_ANY} SESSION_HANDLE_INVALID SESSION_CLOSED DEVICE_REMOVED FUNCTION_NOT_PARALLEL"

_LOGIN = """
    ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_NOT_INITIALIZED PIN_INCORRECT PIN_LOCKED SESSION_READ_ONLY_EXISTS
    USER_ALREADY_LOGGED_IN USER_ANOTHER_ALREADY_LOGGED_IN USER_PIN_NOT_INITIALIZED USER_TOO_MANY_TYPES
    USER_TYPE_INVALID"""
_TEMPLATE = "ARGUMENTS_BAD ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID TEMPLATE_INCONSISTENT"
_CHANGE = f"{_TEMPLATE} SESSION_READ_ONLY TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN"
_MAKE = f"{_CHANGE} CURVE_NOT_SUPPORTED PIN_EXPIRED TEMPLATE_INCOMPLETE"
_MECHANISM = "FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID PIN_EXPIRED USER_NOT_LOGGED_IN"
_INIT = f"""
    {_MECHANISM} KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT
    OPERATION_CANCEL_FAILED"""
_GO_ON = "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_NOT_INITIALIZED"
_SIGNED = f"{_GO_ON} USER_NOT_LOGGED_IN TOKEN_RESOURCE_EXCEEDED DATA_LEN_RANGE"
_DECRYPTED = f"{_GO_ON} BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE USER_NOT_LOGGED_IN"
_BEGINS = "FUNCTION_CANCELED MECHANISM_PARAM_INVALID OPERATION_NOT_INITIALIZED PIN_EXPIRED USER_NOT_LOGGED_IN"
_AEAD = "AEAD_DECRYPT_FAILED MECHANISM_PARAM_INVALID"
_VERIFIED = f"{_GO_ON} DATA_LEN_RANGE TOKEN_RESOURCE_EXCEEDED"

_ROWS: dict[str, str] = {
    "C_GetSlotList": f"{_ANY} ARGUMENTS_BAD BUFFER_TOO_SMALL",
    "C_GetSlotInfo": f"{_ANY} ARGUMENTS_BAD DEVICE_ERROR SLOT_ID_INVALID",
    "C_GetTokenInfo": f"{_SLOT} ARGUMENTS_BAD TOKEN_NOT_RECOGNIZED",
    "C_GetMechanismList": f"{_SLOT} ARGUMENTS_BAD BUFFER_TOO_SMALL TOKEN_NOT_RECOGNIZED",
    "C_GetMechanismInfo": f"{_SLOT} ARGUMENTS_BAD MECHANISM_INVALID TOKEN_NOT_RECOGNIZED",
    "C_InitToken": f"""
        {_SLOT} ARGUMENTS_BAD FUNCTION_CANCELED PIN_INCORRECT PIN_LOCKED SESSION_EXISTS TOKEN_NOT_RECOGNIZED
        TOKEN_WRITE_PROTECTED""",
    "C_InitPIN": f"""
        {_SESSION} ARGUMENTS_BAD FUNCTION_CANCELED PIN_INVALID PIN_LEN_RANGE SESSION_READ_ONLY TOKEN_WRITE_PROTECTED
        USER_NOT_LOGGED_IN""",
    "C_SetPIN": f"""
        {_SESSION} ARGUMENTS_BAD FUNCTION_CANCELED PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE PIN_LOCKED
        SESSION_READ_ONLY TOKEN_WRITE_PROTECTED""",
    "C_OpenSession": f"""
        {_SLOT} ARGUMENTS_BAD SESSION_ASYNC_NOT_SUPPORTED SESSION_COUNT SESSION_PARALLEL_NOT_SUPPORTED
        SESSION_READ_WRITE_SO_EXISTS TOKEN_NOT_RECOGNIZED TOKEN_WRITE_PROTECTED""",
    "C_CloseSession": _SESSION,
    "C_CloseAllSessions": _SLOT,
    "C_GetSessionInfo": f"{_SESSION} ARGUMENTS_BAD",
    "C_GetOperationState": f"""
        {_SESSION} ARGUMENTS_BAD BUFFER_TOO_SMALL OPERATION_NOT_INITIALIZED STATE_UNSAVEABLE""",
    "C_SetOperationState": f"{_SESSION} ARGUMENTS_BAD KEY_CHANGED KEY_NEEDED KEY_NOT_NEEDED SAVED_STATE_INVALID",
    "C_Login": f"{_SESSION} {_LOGIN}",
    "C_LoginUser": f"{_SESSION} {_LOGIN}",
    "C_Logout": f"{_SESSION} USER_NOT_LOGGED_IN",
    "C_SessionCancel": f"{_SESSION} OPERATION_CANCEL_FAILED",
    "C_GetSessionValidationFlags": _SESSION,
    "C_CreateObject": f"{_SESSION} {_MAKE} DOMAIN_PARAMS_INVALID PARAMETER_SET_NOT_SUPPORTED",
    "C_CopyObject": f"{_SESSION} {_CHANGE} ACTION_PROHIBITED OBJECT_HANDLE_INVALID PIN_EXPIRED",
    "C_DestroyObject": f"""
        {_SESSION} ACTION_PROHIBITED OBJECT_HANDLE_INVALID PIN_EXPIRED SESSION_READ_ONLY TOKEN_WRITE_PROTECTED""",
    "C_GetObjectSize": f"{_SESSION} ARGUMENTS_BAD INFORMATION_SENSITIVE OBJECT_HANDLE_INVALID",
    "C_GetAttributeValue": f"""
        {_SESSION} ARGUMENTS_BAD ATTRIBUTE_SENSITIVE ATTRIBUTE_TYPE_INVALID BUFFER_TOO_SMALL OBJECT_HANDLE_INVALID""",
    "C_SetAttributeValue": f"{_SESSION} {_CHANGE} ACTION_PROHIBITED OBJECT_HANDLE_INVALID",
    "C_FindObjectsInit": f"""
        {_SESSION} ARGUMENTS_BAD ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID PIN_EXPIRED""",
    "C_FindObjects": f"{_SESSION} ARGUMENTS_BAD OPERATION_NOT_INITIALIZED",
    "C_FindObjectsFinal": f"{_SESSION} OPERATION_NOT_INITIALIZED",
    "C_EncryptInit": f"{_SESSION} {_INIT}",
    "C_Encrypt": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE",
    "C_EncryptUpdate": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_LEN_RANGE",
    "C_EncryptFinal": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_LEN_RANGE",
    "C_DecryptInit": f"{_SESSION} {_INIT} ARGUMENTS_BAD",
    "C_Decrypt": f"{_SESSION} {_DECRYPTED}",
    "C_DecryptUpdate": f"{_SESSION} {_DECRYPTED}",
    "C_DecryptFinal": f"{_SESSION} {_DECRYPTED}",
    "C_MessageEncryptInit": f"{_SESSION} {_INIT}",
    "C_EncryptMessage": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE MECHANISM_PARAM_INVALID",
    "C_EncryptMessageBegin": f"{_SESSION} {_BEGINS}",
    "C_EncryptMessageNext": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_LEN_RANGE MECHANISM_PARAM_INVALID",
    "C_MessageEncryptFinal": f"{_SESSION} {_GO_ON}",
    "C_MessageDecryptInit": f"{_SESSION} {_INIT} ARGUMENTS_BAD",
    "C_DecryptMessage": f"{_SESSION} {_DECRYPTED} {_AEAD} OPERATION_CANCEL_FAILED",
    "C_DecryptMessageBegin": f"{_SESSION} {_BEGINS} ARGUMENTS_BAD",
    "C_DecryptMessageNext": f"{_SESSION} {_DECRYPTED} {_AEAD}",
    "C_MessageDecryptFinal": f"{_SESSION} {_GO_ON} USER_NOT_LOGGED_IN",
    "C_DigestInit": f"{_SESSION} {_MECHANISM} ARGUMENTS_BAD OPERATION_CANCEL_FAILED",
    "C_Digest": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL",
    "C_DigestUpdate": f"{_SESSION} {_GO_ON}",
    "C_DigestKey": f"""
        {_SESSION} FUNCTION_CANCELED KEY_HANDLE_INVALID KEY_INDIGESTIBLE KEY_SIZE_RANGE OPERATION_NOT_INITIALIZED""",
    "C_DigestFinal": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL",
    "C_SignInit": f"{_SESSION} {_INIT} ARGUMENTS_BAD",
    "C_Sign": f"{_SESSION} {_SIGNED} BUFFER_TOO_SMALL DATA_INVALID FUNCTION_REJECTED",
    "C_SignUpdate": f"{_SESSION} {_SIGNED}",
    "C_SignFinal": f"{_SESSION} {_SIGNED} BUFFER_TOO_SMALL FUNCTION_REJECTED",
    "C_VerifyInit": f"{_SESSION} {_INIT} ARGUMENTS_BAD",
    "C_Verify": f"{_SESSION} {_VERIFIED} DATA_INVALID SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
    "C_VerifyUpdate": f"{_SESSION} {_VERIFIED}",
    "C_VerifyFinal": f"{_SESSION} {_VERIFIED} SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
    "C_SignRecoverInit": f"{_SESSION} {_INIT} ARGUMENTS_BAD",
    "C_SignRecover": f"{_SESSION} {_SIGNED} BUFFER_TOO_SMALL DATA_INVALID",
    "C_VerifyRecoverInit": f"{_SESSION} {_INIT} ARGUMENTS_BAD",
    "C_VerifyRecover": f"{_SESSION} {_VERIFIED} BUFFER_TOO_SMALL DATA_INVALID SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
    "C_DigestEncryptUpdate": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_LEN_RANGE",
    "C_DecryptDigestUpdate": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
    "C_SignEncryptUpdate": f"{_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_LEN_RANGE USER_NOT_LOGGED_IN",
    "C_DecryptVerifyUpdate": f"""
        {_SESSION} {_GO_ON} BUFFER_TOO_SMALL DATA_LEN_RANGE ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE""",
    "C_GenerateKey": f"{_SESSION} {_MAKE} {_MECHANISM}",
    "C_GenerateKeyPair": f"{_SESSION} {_MAKE} {_MECHANISM} DOMAIN_PARAMS_INVALID PARAMETER_SET_NOT_SUPPORTED",
    "C_WrapKey": f"""
        {_SESSION} {_MECHANISM} ARGUMENTS_BAD BUFFER_TOO_SMALL KEY_HANDLE_INVALID KEY_NOT_WRAPPABLE
        KEY_SIZE_RANGE KEY_UNEXTRACTABLE WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_SIZE_RANGE
        WRAPPING_KEY_TYPE_INCONSISTENT""",
    "C_UnwrapKey": f"""
        {_SESSION} {_MAKE} {_MECHANISM} BUFFER_TOO_SMALL DOMAIN_PARAMS_INVALID PARAMETER_SET_NOT_SUPPORTED
        UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_SIZE_RANGE UNWRAPPING_KEY_TYPE_INCONSISTENT
        WRAPPED_KEY_INVALID WRAPPED_KEY_LEN_RANGE""",
    "C_DeriveKey": f"""
        {_SESSION} {_MAKE} {_MECHANISM} DOMAIN_PARAMS_INVALID KEY_HANDLE_INVALID KEY_SIZE_RANGE
        KEY_TYPE_INCONSISTENT""",
    "C_SeedRandom": f"""
        {_SESSION} ARGUMENTS_BAD FUNCTION_CANCELED RANDOM_SEED_NOT_SUPPORTED RANDOM_NO_RNG USER_NOT_LOGGED_IN""",
    "C_GenerateRandom": f"""
        {_SESSION} ARGUMENTS_BAD FUNCTION_CANCELED RANDOM_NO_RNG SEED_RANDOM_REQUIRED USER_NOT_LOGGED_IN""",
    "C_WaitForSlotEvent": f"{_ANY} ARGUMENTS_BAD NO_EVENT",
    "C_GetFunctionStatus": _LEGACY,
    "C_CancelFunction": _LEGACY,
}
# Answered although the function's own list omits it.
DELIBERATE: dict[str, tuple[str, ...]] = {
    # A usage flag that is FALSE has one code everywhere: its definition (section 5.1.6) fits these three as well.
    "KEY_FUNCTION_NOT_PERMITTED": ("C_WrapKey", "C_UnwrapKey", "C_DeriveKey"),
    # Section 5.1.6 names it as the better code for another party's key that is none.
    "PUBLIC_KEY_INVALID": ("C_DeriveKey",),
    # Section 6.17.4, of data too short for the key to be derived from them.
    "DATA_LEN_RANGE": ("C_DeriveKey",),
    # Section 4.10: what every call answers that uses a key which still waits for its context-specific login.
    "USER_NOT_LOGGED_IN": ("C_DecryptDigestUpdate", "C_DecryptVerifyUpdate"),
    # A NULL pointer has no other name, and every other ...Init has it in its list.
    "ARGUMENTS_BAD": ("C_EncryptInit", "C_MessageEncryptInit", "C_EncryptMessageBegin", "C_GetSessionValidationFlags"),
}
# The nearest codes to one that a function's list does not have, best first; CKR_FUNCTION_FAILED where none is listed.
NEAREST: dict[str, tuple[str, ...]] = {
    # C_InitToken: a PIN that can be nobody's is a wrong one.
    "PIN_LEN_RANGE": ("PIN_INCORRECT",),
    "PIN_INVALID": ("PIN_INCORRECT",),
    # Kept for C_Login: to C_SetPIN, the old PIN of an officer who has none is wrong.
    "USER_PIN_NOT_INITIALIZED": ("PIN_INCORRECT",),
    # The size asked for stands in the template, where it is a wrong value.
    "KEY_SIZE_RANGE": ("ATTRIBUTE_VALUE_INVALID", "KEY_TYPE_INCONSISTENT"),
    "CURVE_NOT_SUPPORTED": ("TEMPLATE_INCONSISTENT", "KEY_TYPE_INCONSISTENT"),
    "TEMPLATE_INCOMPLETE": ("TEMPLATE_INCONSISTENT",),
    # A mechanism for one part only: there is no operation that could go on in parts.
    "FUNCTION_NOT_SUPPORTED": ("OPERATION_NOT_INITIALIZED",),
    # Login, flag or role went away under a running operation: the operation is over.
    "USER_NOT_LOGGED_IN": ("ACTION_PROHIBITED", "OPERATION_NOT_INITIALIZED"),
    "KEY_FUNCTION_NOT_PERMITTED": ("OPERATION_NOT_INITIALIZED",),
    "DATA_LEN_RANGE": ("ENCRYPTED_DATA_LEN_RANGE", "ARGUMENTS_BAD"),
    "DATA_INVALID": ("DATA_LEN_RANGE", "ENCRYPTED_DATA_INVALID"),
    # A key that is gone by now; if its operation had begun, that is over.
    "OBJECT_HANDLE_INVALID": ("KEY_HANDLE_INVALID", "OPERATION_NOT_INITIALIZED"),
    "PUBLIC_KEY_INVALID": ("MECHANISM_PARAM_INVALID", "ATTRIBUTE_VALUE_INVALID"),
    # A use that has to be written down first, on a store that takes no writing.
    "TOKEN_WRITE_PROTECTED": ("DEVICE_ERROR",),
    "DEVICE_MEMORY": ("HOST_MEMORY",),
}


def _number(name: str) -> int:
    return int(getattr(ck, f"CKR_{name}"))


def _allowed() -> dict[str, frozenset[int]]:
    rows = {function: {_number(name) for name in names.split()} for function, names in _ROWS.items()}
    for name, functions in DELIBERATE.items():
        for function in functions:
            rows[function].add(_number(name))
    return {function: frozenset(codes) for function, codes in rows.items()}


ALLOWED = _allowed()
_NEAREST = {_number(name): tuple(_number(near) for near in nearest) for name, nearest in NEAREST.items()}


def answerable(function: str, rv: int) -> int:
    """``rv``, or the nearest code that the function may answer."""
    allowed = ALLOWED.get(function)
    if allowed is None or rv in allowed:
        return rv
    return next((near for near in _NEAREST.get(rv, ()) if near in allowed), ck.CKR_FUNCTION_FAILED)
