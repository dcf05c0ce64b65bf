"""Which data action each function of PKCS#11 asks for: one row a function, the page of calls is written from it.

What a row says of uses and of making is the policy's own table (hsm/access/policy.py); a test asks the engine about
each row. ``AS_BEGUN`` are the steps of operations, which ask again what began them; ``FREE`` are the functions that ask
for nothing, and why. Every function that the engine serves is in one of the three.
"""

from __future__ import annotations

from typing import NamedTuple

from hsm.access import policy, roles
from pkcs11_shim import constants as ck


class Call(NamedTuple):
    """``asks`` for ``actions`` on ``on``; without them a login that holds them: ``rv``."""

    actions: tuple[str, ...]
    on: str
    rv: int


_KEY, _NEW = "the key", "the name that the new token key gets"
_USES = {
    "Sign": "sign", "SignRecover": "sign_recover", "Verify": "verify", "VerifyRecover": "verify_recover",
    "Encrypt": "encrypt", "Decrypt": "decrypt", "MessageEncrypt": "encrypt", "MessageDecrypt": "decrypt",
}


def _of_uses() -> dict[str, Call]:
    return {
        f"C_{name}Init": Call((policy.ACTION_OF_USE[use],), _KEY, ck.CKR_KEY_FUNCTION_NOT_PERMITTED)
        for name, use in _USES.items()
    }


def _made(how: str, *more: str, on: str = _NEW) -> Call:
    making = policy.MAKING[how]
    return Call((making.action, *more), on, making.rv)


def _in_one(use: str, on: str, *more: str) -> Call:
    return Call((policy.ACTION_OF_USE[use], *more), on, ck.CKR_USER_NOT_LOGGED_IN)


CALLS: dict[str, Call] = {
    "C_FindObjects": Call((roles.KEY_READ,), "each private object", ck.CKR_OK),
    "C_GetAttributeValue": Call((roles.KEY_READ,), "the object", ck.CKR_OBJECT_HANDLE_INVALID),
    "C_GetObjectSize": Call((roles.KEY_READ,), "the object", ck.CKR_OBJECT_HANDLE_INVALID),
    "C_DigestKey": Call((roles.KEY_BACKUP,), _KEY, ck.CKR_KEY_INDIGESTIBLE),
    "C_SetAttributeValue": Call((roles.KEY_WRITE,), "the object", ck.CKR_ACTION_PROHIBITED),
    "C_DestroyObject": Call((roles.KEY_DELETE,), "the object", ck.CKR_ACTION_PROHIBITED),
    "C_CreateObject": _made("create"),
    "C_CopyObject": _made("copy", roles.KEY_BACKUP, on=f"{_NEW}; the second on the source, if that has another name"),
    "C_GenerateKey": _made("generate"),
    "C_GenerateKeyPair": _made("generate"),
    **_of_uses(),
    "C_WrapKey": _in_one("wrap", "the wrapping key; the second on a token key that is wrapped", roles.KEY_BACKUP),
    "C_UnwrapKey": _in_one("unwrap", f"the unwrapping key; the second on {_NEW}", roles.KEY_IMPORT),
    "C_DeriveKey": _in_one("derive", f"every key that goes in; the second on {_NEW}", roles.KEY_CREATE),
    "C_InitPIN": Call((roles.OFFICERS_WRITE,), "the partition, as CKU_SO", ck.CKR_USER_NOT_LOGGED_IN),
    "C_InitToken": Call((roles.PARTITION_DELETE,), "a partition that is initialised", ck.CKR_PIN_INCORRECT),
}

# Each step asks for what its Init asked, so that a role that is taken away ends what runs: the answer is
# CKR_OPERATION_NOT_INITIALIZED.
AS_BEGUN = tuple(
    f"C_{step}" for step in (
        "Sign", "SignUpdate", "SignFinal", "SignRecover", "Verify", "VerifyUpdate", "VerifyFinal", "VerifyRecover",
        "Encrypt", "EncryptUpdate", "EncryptFinal", "Decrypt", "DecryptUpdate", "DecryptFinal", "DigestEncryptUpdate",
        "DecryptDigestUpdate", "SignEncryptUpdate", "DecryptVerifyUpdate", "EncryptMessage", "EncryptMessageBegin",
        "EncryptMessageNext", "DecryptMessage", "DecryptMessageBegin", "DecryptMessageNext",
    )
)
FREE: dict[str, tuple[str, ...]] = {
    "slots, tokens and mechanisms: what is told of them is told to everybody": (
        "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetMechanismList", "C_GetMechanismInfo",
        "C_WaitForSlotEvent",
    ),
    "sessions and their operations: the application's own": (
        "C_OpenSession", "C_CloseSession", "C_CloseAllSessions", "C_GetSessionInfo", "C_SessionCancel",
        "C_GetSessionValidationFlags", "C_FindObjectsInit", "C_FindObjectsFinal", "C_GetFunctionStatus",
        "C_CancelFunction", "C_MessageEncryptFinal", "C_MessageDecryptFinal",
    ),
    "logging in, and one's own PIN: the credential decides": ("C_Login", "C_LoginUser", "C_Logout", "C_SetPIN"),
    "digests and random numbers: no key of the token is in them": (
        "C_DigestInit", "C_Digest", "C_DigestUpdate", "C_DigestFinal", "C_SeedRandom", "C_GenerateRandom",
    ),
    "saved states: tickets to an operation that the application has begun, which asks at its next step": (
        "C_GetOperationState", "C_SetOperationState",
    ),
}
