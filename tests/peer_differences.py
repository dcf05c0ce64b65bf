"""Where SoftHSM2 2.6.1 and this module answer the same call differently, and what decides.

Each row is exact: it holds only where the code that we gave is shown by the call itself, or by what went before, to
apply. What no row names is a difference that fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pkcs11_shim import constants as ck


class Step(NamedTuple):
    """One call and both answers, the return codes first."""

    what: str
    arguments: tuple[Any, ...]
    ours: tuple[Any, ...]
    theirs: tuple[Any, ...]


class Difference(NamedTuple):
    """One row: in which call, what is answered, the section of PKCS#11 3.2 that decides, whether a step is such a
    one, knowing the steps up to it."""

    call: str
    here: str
    there: str
    section: str
    when: Callable[[Step, list[Step]], bool]


OFFERED = {
    "Digest": {ck.CKM_SHA256, ck.CKM_SHA_1, ck.CKM_SHA512},
    "Sign": {ck.CKM_SHA256_HMAC, ck.CKM_AES_CMAC}, "Verify": {ck.CKM_SHA256_HMAC, ck.CKM_AES_CMAC},
    "Encrypt": {ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD},
    "Decrypt": {ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD},
}
VENDOR = 0x8000_1234
MAKING = ("create", "copy", "generate", "unwrap")


def _codes(step: Step, here: str, *there: str) -> bool:
    return step.ours[0] == here and step.theirs[0] in there


def _template(step: Step) -> list[tuple[int, Any]]:
    return next((argument for argument in step.arguments if isinstance(argument, list)), [])


def _has(step: Step, *numbers: int) -> bool:
    return any(number in numbers for number, _ in _template(step))


def _no_key(item: int, history: list[Step]) -> bool:
    """A handle that nothing has, or a data object's, by the step that made it."""
    made = next((step for step in history if step.what in MAKING and step.arguments[0] == item), None)
    if made is None or "CKR_OK" not in made.ours[0]:
        return True
    if made.what == "copy":
        return _no_key(made.arguments[2], history)
    return (ck.CKA_CLASS, ck.CKO_DATA) in _template(made)


def _sensitive(item: int, history: list[Step]) -> bool:
    """By the template that made it, or a change since."""
    return any(
        (ck.CKA_SENSITIVE, True) in _template(step) for step in history
        if step.what in (*MAKING, "change") and step.ours[0] == "CKR_OK" and item in step.arguments[:2]
    ) or any(
        _sensitive(step.arguments[2], history) for step in history if step.what == "copy" and step.arguments[0] == item
    )


def _ended(item: int, history: list[Step]) -> bool:
    """Destroyed; or its session was closed, or the login that it needs has ended: then its handle is void."""
    return any(
        step.ours[0] == "CKR_OK"
        and (step.what in ("close", "close_all", "logout") or (step.what == "destroy" and step.arguments[1] == item))
        for step in history
    )


def _not_offered(step: Step) -> bool:
    return step.what == "begin_operation" and step.arguments[2] not in OFFERED[step.arguments[1]]


def _void_key(step: Step, history: list[Step]) -> bool:
    if step.what == "begin_operation":
        return _codes(step, "CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID", *_LATER) and (
            _no_key(step.arguments[4], history) or _ended(step.arguments[4], history)
        )
    return False


# What SoftHSM2 finds out before, or instead of, what we say first.
_LATER = ("CKR_OPERATION_ACTIVE", "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_MECHANISM_INVALID")
_TEMPLATE_CODES = ("CKR_TEMPLATE_INCONSISTENT", "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_ATTRIBUTE_READ_ONLY",
                   "CKR_ATTRIBUTE_VALUE_INVALID", "CKR_TEMPLATE_INCOMPLETE")
_STATE_CODES = ("CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY")


def _one_operation(step: Step, history: list[Step]) -> bool:
    return step.what in ("begin_operation", "find") and _codes(step, step.ours[0], "CKR_OPERATION_ACTIVE")


def _two_faults(step: Step, history: list[Step]) -> bool:
    return step.what in MAKING and (
        (step.ours[0] in _TEMPLATE_CODES and step.theirs[0] in _STATE_CODES)
        or (step.ours[0] in _STATE_CODES and step.theirs[0] in _TEMPLATE_CODES)
    )


def _left_over(step: Step, history: list[Step]) -> bool:
    refused = any(s.what in MAKING and s.theirs[0] != "CKR_OK" for s in history)
    found = step.what == "find" and len(step.ours) == len(step.theirs) == 2
    return found and refused and [item for item in step.theirs[1] if item >= 0] == step.ours[1]


DIFFERENCES = [
    Difference("C_...Init", "CKR_KEY_HANDLE_INVALID for what is no key", "CKR_OBJECT_HANDLE_INVALID, or the next fault",
               "5.1.6", _void_key),
    Difference("C_...Init", "CKR_MECHANISM_INVALID first, where the mechanism doesn't serve the call",
               "another fault of the same call first", "5.1.7", lambda step, history: _not_offered(step) and
               step.ours[0] == "CKR_MECHANISM_INVALID" and step.theirs[0] != "CKR_OK"),
    Difference("C_...Init", "CKR_KEY_TYPE_INCONSISTENT before CKR_KEY_FUNCTION_NOT_PERMITTED, if both apply",
               "the other way round", "5.1.7", lambda step, history: step.what == "begin_operation" and
               _codes(step, "CKR_KEY_TYPE_INCONSISTENT", "CKR_KEY_FUNCTION_NOT_PERMITTED")),
    Difference("C_...Init, C_FindObjectsInit", "served: a session may search, digest, encrypt and sign at a time",
               "CKR_OPERATION_ACTIVE: one operation of any kind a session", "5.1.6", _one_operation),
    Difference("C_Logout", "CKR_USER_NOT_LOGGED_IN where nobody is", "CKR_OK", "5.6.10",
               lambda step, history: step.what == "logout" and _codes(step, "CKR_USER_NOT_LOGGED_IN", "CKR_OK")),
    Difference("C_Login", "CKR_USER_ANOTHER_ALREADY_LOGGED_IN before CKR_SESSION_READ_ONLY_EXISTS, if both apply",
               "the other way round", "5.1.7", lambda step, history: step.what == "login" and
               _codes(step, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", "CKR_SESSION_READ_ONLY_EXISTS")),
    Difference("C_CreateObject, C_CopyObject, C_SetAttributeValue",
               "CKR_TEMPLATE_INCONSISTENT for an attribute that the standard has, but not for this class",
               "CKR_ATTRIBUTE_TYPE_INVALID", "4.1.1", lambda step, history: step.what in (*MAKING, "change") and
               not _has(step, VENDOR) and _codes(step, "CKR_TEMPLATE_INCONSISTENT", "CKR_ATTRIBUTE_TYPE_INVALID")),
    Difference("C_WrapKey", "CKR_WRAPPING_KEY_HANDLE_INVALID for what is no key", "CKR_WRAPPING_KEY_TYPE_INCONSISTENT",
               "5.1.6", lambda step, history: step.what == "wrap" and _no_key(step.arguments[3], history) and
               _codes(step, "CKR_WRAPPING_KEY_HANDLE_INVALID", "CKR_WRAPPING_KEY_TYPE_INCONSISTENT")),
    Difference("C_WrapKey", "CKR_KEY_NOT_WRAPPABLE: a key that came in clear wraps no sensitive one", "wrapped",
               "5.18.3", lambda step, history: step.what == "wrap" and
               _codes(step, "CKR_KEY_NOT_WRAPPABLE", "CKR_OK", "CKR_BUFFER_TOO_SMALL") and
               _sensitive(step.arguments[4], history)),
    Difference("C_...Init", "CKR_MECHANISM_PARAM_INVALID for an IV that is missing or of another length",
               "CKR_MECHANISM_INVALID or CKR_ARGUMENTS_BAD", "5.1.6", lambda step, history:
               step.what == "begin_operation" and step.arguments[3] in (None, b"short") and
               _codes(step, "CKR_MECHANISM_PARAM_INVALID", "CKR_MECHANISM_INVALID", "CKR_ARGUMENTS_BAD")),
    Difference("C_WrapKey", "CKR_KEY_HANDLE_INVALID for what is no key", "CKR_KEY_UNEXTRACTABLE", "5.1.6",
               lambda step, history: step.what == "wrap" and _no_key(step.arguments[4], history) and
               _codes(step, "CKR_KEY_HANDLE_INVALID", "CKR_KEY_UNEXTRACTABLE")),
    Difference("C_WrapKey", "CKR_KEY_HANDLE_INVALID before the wrapping key's faults", "the other way round", "5.1.7",
               lambda step, history: step.what == "wrap" and _no_key(step.arguments[4], history) and
               _codes(step, "CKR_KEY_HANDLE_INVALID", "CKR_KEY_FUNCTION_NOT_PERMITTED")),
    Difference("C_UnwrapKey", "CKR_UNWRAPPING_KEY_HANDLE_INVALID before the wrapped key's length",
               "the other way round", "5.1.7", lambda step, history: step.what == "unwrap" and
               _codes(step, "CKR_UNWRAPPING_KEY_HANDLE_INVALID", "CKR_WRAPPED_KEY_LEN_RANGE")),
    Difference("C_CopyObject", "CKR_TEMPLATE_INCONSISTENT: what one object says of a value binds its copies",
               "copied", "5.7.2", lambda step, history: step.what == "copy" and
               _codes(step, "CKR_TEMPLATE_INCONSISTENT", "CKR_OK") and any(
                   s.what in ("copy", "change", "create", "unwrap") and s.ours[0] == "CKR_OK" and
                   {(ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, False)} & set(_template(s)) for s in history)),
    Difference("C_Decrypt", "a size query is answered whatever the ciphertext's length", "CKR_ENCRYPTED_DATA_LEN_RANGE",
               "5.2", lambda step, history: step.what == "once" and step.arguments[3] is None and
               _codes(step, "CKR_OK", "CKR_ENCRYPTED_DATA_LEN_RANGE")),
    Difference("C_CopyObject", "a copy of an object with CKA_MODIFIABLE FALSE may differ from it: nothing is modified",
               "CKR_ATTRIBUTE_READ_ONLY", "5.7.2", lambda step, history: step.what == "copy" and
               _codes(step, "CKR_OK", "CKR_ATTRIBUTE_READ_ONLY")),
    Difference("C_SetAttributeValue", "a data object's CKA_VALUE may change", "CKR_ATTRIBUTE_READ_ONLY", "4.5",
               lambda step, history: step.what == "change" and _has(step, ck.CKA_VALUE) and
               _no_key(step.arguments[1], history) and _codes(step, "CKR_OK", "CKR_ATTRIBUTE_READ_ONLY")),
    Difference("any, with an object's handle", "a public token object keeps its handle when all sessions are closed",
               "the handle is void", "5.6.3", lambda step, history: _codes(step, step.ours[0],
               "CKR_OBJECT_HANDLE_INVALID") and "CKR_OK" in {s.ours[0] for s in history if s.what.startswith("close")}),
    Difference("C_CreateObject and others", "the template's fault before the session's", "the other way round", "5.1.7",
               _two_faults),
    Difference("C_CreateObject", "CKR_ATTRIBUTE_VALUE_INVALID for an AES key of 15 bytes or none", "made", "6.13.2",
               lambda step, history: step.what == "create" and _codes(step, "CKR_ATTRIBUTE_VALUE_INVALID", "CKR_OK")
               and len(dict(_template(step)).get(ck.CKA_VALUE, bytes(16))) not in (16, 24, 32)),
    Difference("C_GetAttributeValue", "CKR_ATTRIBUTE_TYPE_INVALID where that and CKR_ATTRIBUTE_SENSITIVE apply",
               "CKR_ATTRIBUTE_SENSITIVE", "5.7.5", lambda step, history: step.what == "read" and
               step.ours[1:] == step.theirs[1:]),
    Difference("C_FindObjects", "nothing of an object that was refused", "an object that was refused is found",
               "5.7.1", _left_over),
]


def named(step: Step, history: list[Step]) -> bool:
    return any(row.when(step, history) for row in DIFFERENCES)


def table() -> str:
    """As it stands in hsm/cryptoki/README.md; ``python tests/peer_differences.py`` prints it."""
    rows = [f"| {row.call} | {row.here} | {row.there} | {row.section} |" for row in DIFFERENCES]
    return "\n".join(["| call | here | SoftHSM2 2.6.1 | section |", "| --- | --- | --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
