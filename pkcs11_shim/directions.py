"""What a C type can't say: which arguments of a function go in, come out, or carry their size beside them.

One row a function, in the order of the function lists; each kind names how many C arguments it takes. The
generator fails where a row and the declared types disagree. Functions answered inside the library have the row
``LOCAL``; those that no version of the engine serves yet carry their session alone, and the engine says so.
"""

from __future__ import annotations

# kind -> the C types it takes, «*» standing for any pointer to the named type.
KINDS: dict[str, tuple[str, ...]] = {
    "u64": ("integer",),
    "bytes": ("byte *", "integer"),
    "label": ("byte *",),
    "out": ("byte *", "integer *"),
    "fixedout": ("byte *", "integer"),
    "ulongs": ("integer *", "integer *"),
    "found": ("integer *", "integer", "integer *"),
    "ulong_out": ("integer *",),
    "struct_out": ("structure *",),
    "template": ("CK_ATTRIBUTE *", "integer"),
    "query": ("CK_ATTRIBUTE *", "integer"),
    "mechanism": ("CK_MECHANISM *",),
    "message_mechanism": ("CK_MECHANISM *",),
    "message": ("void *", "integer"),
    "message_read": ("void *", "integer"),
    "ignored": ("any",),
    "reserved": ("void *",),
    "waits": ("integer",),
    "rest": (),
}

LOCAL = ("local",)
_DATA_OUT = ("u64", "bytes", "out")
_INIT = ("u64", "mechanism", "u64")
_MESSAGES = ("u64", "message_mechanism", "u64")
_SESSION_ONLY = ("u64", "rest")

ROWS: dict[str, tuple[str, ...]] = {
    "C_Initialize": LOCAL,
    "C_Finalize": LOCAL,
    "C_GetInfo": LOCAL,
    "C_GetFunctionList": LOCAL,
    "C_GetSlotList": ("u64", "ulongs"),
    "C_GetSlotInfo": ("u64", "struct_out"),
    "C_GetTokenInfo": ("u64", "struct_out"),
    "C_GetMechanismList": ("u64", "ulongs"),
    "C_GetMechanismInfo": ("u64", "u64", "struct_out"),
    "C_InitToken": ("u64", "bytes", "label"),
    "C_InitPIN": ("u64", "bytes"),
    "C_SetPIN": ("u64", "bytes", "bytes"),
    "C_OpenSession": ("u64", "u64", "ignored", "ignored", "ulong_out"),
    "C_CloseSession": ("u64",),
    "C_CloseAllSessions": ("u64",),
    "C_GetSessionInfo": ("u64", "struct_out"),
    "C_GetOperationState": ("u64", "out"),
    "C_SetOperationState": ("u64", "bytes", "u64", "u64"),
    "C_Login": ("u64", "u64", "bytes"),
    "C_Logout": ("u64",),
    "C_CreateObject": ("u64", "template", "ulong_out"),
    "C_CopyObject": ("u64", "u64", "template", "ulong_out"),
    "C_DestroyObject": ("u64", "u64"),
    "C_GetObjectSize": ("u64", "u64", "ulong_out"),
    "C_GetAttributeValue": ("u64", "u64", "query"),
    "C_SetAttributeValue": ("u64", "u64", "template"),
    "C_FindObjectsInit": ("u64", "template"),
    "C_FindObjects": ("u64", "found"),
    "C_FindObjectsFinal": ("u64",),
    "C_EncryptInit": _INIT,
    "C_Encrypt": _DATA_OUT,
    "C_EncryptUpdate": _DATA_OUT,
    "C_EncryptFinal": ("u64", "out"),
    "C_DecryptInit": _INIT,
    "C_Decrypt": _DATA_OUT,
    "C_DecryptUpdate": _DATA_OUT,
    "C_DecryptFinal": ("u64", "out"),
    "C_DigestInit": ("u64", "mechanism"),
    "C_Digest": _DATA_OUT,
    "C_DigestUpdate": ("u64", "bytes"),
    "C_DigestKey": ("u64", "u64"),
    "C_DigestFinal": ("u64", "out"),
    "C_SignInit": _INIT,
    "C_Sign": _DATA_OUT,
    "C_SignUpdate": ("u64", "bytes"),
    "C_SignFinal": ("u64", "out"),
    "C_SignRecoverInit": _INIT,
    "C_SignRecover": _DATA_OUT,
    "C_VerifyInit": _INIT,
    "C_Verify": ("u64", "bytes", "bytes"),
    "C_VerifyUpdate": ("u64", "bytes"),
    "C_VerifyFinal": ("u64", "bytes"),
    "C_VerifyRecoverInit": _INIT,
    "C_VerifyRecover": _DATA_OUT,
    "C_DigestEncryptUpdate": _DATA_OUT,
    "C_DecryptDigestUpdate": _DATA_OUT,
    "C_SignEncryptUpdate": _DATA_OUT,
    "C_DecryptVerifyUpdate": _DATA_OUT,
    "C_GenerateKey": ("u64", "mechanism", "template", "ulong_out"),
    "C_GenerateKeyPair": ("u64", "mechanism", "template", "template", "ulong_out", "ulong_out"),
    "C_WrapKey": ("u64", "mechanism", "u64", "u64", "out"),
    "C_UnwrapKey": ("u64", "mechanism", "u64", "bytes", "template", "ulong_out"),
    "C_DeriveKey": ("u64", "mechanism", "u64", "template", "ulong_out"),
    "C_SeedRandom": ("u64", "bytes"),
    "C_GenerateRandom": ("u64", "fixedout"),
    "C_GetFunctionStatus": ("u64",),
    "C_CancelFunction": ("u64",),
    "C_WaitForSlotEvent": ("waits", "ulong_out", "reserved"),
    "C_GetInterfaceList": LOCAL,
    "C_GetInterface": LOCAL,
    "C_LoginUser": ("u64", "u64", "bytes", "bytes"),
    "C_SessionCancel": ("u64", "u64"),
    "C_GetSessionValidationFlags": ("u64", "u64", "ulong_out"),
    "C_MessageEncryptInit": _MESSAGES,
    "C_EncryptMessage": ("u64", "message", "bytes", "bytes", "out"),
    "C_EncryptMessageBegin": ("u64", "message", "bytes"),
    "C_EncryptMessageNext": ("u64", "message", "bytes", "out", "u64"),
    "C_MessageEncryptFinal": ("u64",),
    "C_MessageDecryptInit": _MESSAGES,
    "C_DecryptMessage": ("u64", "message_read", "bytes", "bytes", "out"),
    "C_DecryptMessageBegin": ("u64", "message_read", "bytes"),
    "C_DecryptMessageNext": ("u64", "message_read", "bytes", "out", "u64"),
    "C_MessageDecryptFinal": ("u64",),
}

# Functions that end their session's operation whatever they answer, save a size query or too small a buffer (section
# 5.2): a call that the library refuses by itself has the engine end it too.
ENDS: dict[str, tuple[str, ...]] = {
    **{f"C_Encrypt{step}": ("CKF_ENCRYPT",) for step in ("", "Update", "Final")},
    **{f"C_Decrypt{step}": ("CKF_DECRYPT",) for step in ("", "Update", "Final")},
    **{f"C_Digest{step}": ("CKF_DIGEST",) for step in ("", "Update", "Final")},
    **{f"C_Sign{step}": ("CKF_SIGN",) for step in ("", "Update", "Final")},
    **{f"C_Verify{step}": ("CKF_VERIFY",) for step in ("", "Update", "Final")},
    "C_SignRecover": ("CKF_SIGN_RECOVER",),
    "C_VerifyRecover": ("CKF_VERIFY_RECOVER",),
    "C_DigestEncryptUpdate": ("CKF_DIGEST", "CKF_ENCRYPT"),
    "C_DecryptDigestUpdate": ("CKF_DECRYPT", "CKF_DIGEST"),
    "C_SignEncryptUpdate": ("CKF_SIGN", "CKF_ENCRYPT"),
    "C_DecryptVerifyUpdate": ("CKF_DECRYPT", "CKF_VERIFY"),
}

# What data longer than one message carries is answered with, by the list of return values of each function.
_PLAIN = ("C_Encrypt", "C_EncryptUpdate", "C_Sign", "C_SignUpdate", "C_Verify", "C_VerifyUpdate", "C_SignRecover",
          "C_DigestEncryptUpdate", "C_SignEncryptUpdate", "C_EncryptMessage", "C_EncryptMessageNext")
_CIPHER = ("C_Decrypt", "C_DecryptUpdate", "C_DecryptDigestUpdate", "C_DecryptVerifyUpdate", "C_DecryptMessage",
           "C_DecryptMessageNext")
TOO_LONG: dict[str, str] = {
    **dict.fromkeys(_PLAIN, "CKR_DATA_LEN_RANGE"),
    **dict.fromkeys(_CIPHER, "CKR_ENCRYPTED_DATA_LEN_RANGE"),
    "C_EncryptMessageBegin": "CKR_MECHANISM_PARAM_INVALID",
    "C_DecryptMessageBegin": "CKR_MECHANISM_PARAM_INVALID",
    "C_InitPIN": "CKR_PIN_LEN_RANGE",
    "C_SetPIN": "CKR_PIN_LEN_RANGE",
    "C_UnwrapKey": "CKR_WRAPPED_KEY_LEN_RANGE",
    "C_VerifyFinal": "CKR_SIGNATURE_LEN_RANGE",
    "C_VerifyRecover": "CKR_SIGNATURE_LEN_RANGE",
    "C_SetOperationState": "CKR_SAVED_STATE_INVALID",
}


def row(name: str) -> tuple[str, ...]:
    """The kinds of a function's arguments; those not served carry their session."""
    return ROWS.get(name, _SESSION_ONLY)


# What functions have to do with the operations of a session: an Init begins one, the call named in the middle is the
# whole of one, every other changes it or ends it in parts. The library and the engine keep an Init that is answered in
# the library by these rows.
BEGUN_BY = {
    "C_Encrypt": "C_EncryptInit", "C_Decrypt": "C_DecryptInit", "C_Digest": "C_DigestInit", "C_Sign": "C_SignInit",
    "C_Verify": "C_VerifyInit",
}
OPERATIONS = {"encrypt": 1, "decrypt": 2, "digest": 4, "sign": 8, "verify": 16}
_EVERY = tuple(OPERATIONS)
WITHIN: dict[str, tuple[str, ...]] = {
    **{f"C_{kind.title()}{part}": (kind,) for kind in OPERATIONS for part in ("Update", "Final")},
    "C_DigestKey": ("digest",),
    "C_DigestEncryptUpdate": ("digest", "encrypt"),
    "C_DecryptDigestUpdate": ("decrypt", "digest"),
    "C_SignEncryptUpdate": ("sign", "encrypt"),
    "C_DecryptVerifyUpdate": ("decrypt", "verify"),
    "C_SetOperationState": _EVERY,
    "C_SessionCancel": _EVERY,
    "C_CloseSession": _EVERY,
    "C_CloseAllSessions": _EVERY,
}
# Their first argument is a slot or flags.
NOT_OF_A_SESSION = frozenset(
    {
        "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken",
        "C_OpenSession", "C_CloseAllSessions", "C_WaitForSlotEvent",
    }
)


def operations(name: str) -> tuple[int, str]:
    """The bits of the operations that a function has to do with, and its part in them."""
    begins = {init: whole for whole, init in BEGUN_BY.items()}
    if name in BEGUN_BY or name in begins:
        kind = begins.get(name, name).removeprefix("C_").lower()
        return OPERATIONS[kind], "WHOLE" if name in BEGUN_BY else "BEGINS"
    if name == "C_DestroyObject":
        return 0, "DESTROYS"
    bits = sum(OPERATIONS[kind] for kind in WITHIN.get(name, ()))
    return bits, "WITHIN" if bits else "ELSEWHERE"
