"""Where SoftHSM2 2.6.1 and this module answer the same call differently, and what decides.

Each row is exact: it holds only where the code that we gave is shown by the call itself, or by what went before, to
apply. What no row names is a difference that fails the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from peer_keys import BLOCK, OFFERED, TYPES

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


VENDOR = 0x8000_1234
MAKING = ("create", "copy", "generate", "unwrap", "derive")
STARTING = ("begin_operation", "use", "check", "derive")


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


def _started(step: Step) -> tuple[str, int, Any, int]:
    """Of a call that starts an operation: what kind, the mechanism, its parameter and the key."""
    given = step.arguments
    if step.what == "use":
        return given[:4]  # type: ignore[return-value]
    if step.what == "check":
        return ("Verify", *given[:3])  # type: ignore[return-value]
    return ("Derive", *given[2:5]) if step.what == "derive" else given[1:5]  # type: ignore[return-value]


def _not_offered(step: Step) -> bool:
    if step.what not in STARTING:
        return False
    kind, number, _, _ = _started(step)
    return number not in OFFERED[kind]


def _void_key(step: Step, history: list[Step]) -> bool:
    if step.what not in STARTING or not _codes(step, "CKR_KEY_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID", *_LATER):
        return False
    item = _started(step)[3]
    return _no_key(item, history) or _ended(item, history)


def _kind_of(item: int, history: list[Step]) -> tuple[int, int]:
    """Class and key type, by the template that made it."""
    made = next(step for step in history if step.what in MAKING and step.arguments[0] == item)
    said = dict(_template(made))
    return said[ck.CKA_CLASS], said[ck.CKA_KEY_TYPE]


def _wrong_type(step: Step, history: list[Step]) -> bool:
    """The key is not of a type, or not the half of a pair, that the mechanism takes for this."""
    if step.what not in STARTING or step.ours[0] != "CKR_KEY_TYPE_INCONSISTENT" or _not_offered(step):
        return False
    kind, number, _, item = _started(step)
    halves, types = TYPES[number]
    wanted = halves[kind in ("Verify", "Encrypt")]
    key_class, key_type = _kind_of(item, history)
    return key_class != wanted or key_type not in types


def _wrong_parameter(step: Step) -> bool:
    """By what these sequences give: none or too short an IV, and structures whose fields don't go together."""
    if step.what not in STARTING or step.ours[0] != "CKR_MECHANISM_PARAM_INVALID":
        return False
    _, number, parameter, _ = _started(step)
    if not isinstance(parameter, tuple):
        return parameter in (None, b"short") or (number, len(parameter or b"")) == (ck.CKM_DES3_CBC, 16)
    fields = parameter[1]
    return (
        any(fields.get(field) == wrong for field, wrong in _WRONG_FIELDS) or len(fields.get("pData", BLOCK)) % 16 > 0
        or (number == ck.CKM_SHA256_RSA_PKCS_PSS and fields["hashAlg"] != ck.CKM_SHA256)
    )


_WRONG_FIELDS = (("hashAlg", ck.CKM_SHA256_HMAC), ("ulTagBits", 129), ("ulCounterBits", 0))


def _one_operation(step: Step, history: list[Step]) -> bool:
    return step.what in ("begin_operation", "find") and _codes(step, step.ours[0], "CKR_OPERATION_ACTIVE")


# What SoftHSM2 finds out before, or instead of, what we say first.
_LATER = ("CKR_OPERATION_ACTIVE", "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_MECHANISM_INVALID")
_TEMPLATE_CODES = ("CKR_TEMPLATE_INCONSISTENT", "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_ATTRIBUTE_READ_ONLY",
                   "CKR_ATTRIBUTE_VALUE_INVALID", "CKR_TEMPLATE_INCOMPLETE")
_STATE_CODES = ("CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY")


def _one_operation(step: Step, history: list[Step]) -> bool:
    return step.what in ("begin_operation", "find") and _codes(step, step.ours[0], "CKR_OPERATION_ACTIVE")


def _two_faults(step: Step, history: list[Step]) -> bool:
    return step.what in (*MAKING, "generate_pair") and (
        (step.ours[0] in _TEMPLATE_CODES and step.theirs[0] in _STATE_CODES)
        or (step.ours[0] in _STATE_CODES and step.theirs[0] in _TEMPLATE_CODES)
    )


def _begun(step: Step, history: list[Step]) -> int | None:
    """The mechanism of the operation that this call goes on with."""
    found = [s for s in history[:-1] if s.what == "begin_operation" and s.arguments[:2] == step.arguments[:2]]
    return found[-1].arguments[2] if found else None


def _used(step: Step, history: list[Step]) -> tuple[int | None, bytes]:
    """Of a one-shot call: by which mechanism, and the data."""
    if step.what == "use":
        return step.arguments[1], step.arguments[4]
    return (_begun(step, history), step.arguments[2]) if step.what == "once" else (None, b"")


def _signed(step: Step, history: list[Step]) -> tuple[int | None, bytes]:
    """Of a call that signs or verifies what is there: by which mechanism, and the data."""
    given = step.arguments
    if step.what == "check":
        return given[0], given[3]
    if step.what == "verify":
        begun = Step("verify", (given[0], "Verify"), step.ours, step.theirs)
        return (_begun(begun, history) if given[1] is not None else None), given[1] or b""
    return _used(step, history) if "Sign" in given[:2] else (None, b"")


_RSA = (ck.CKM_RSA_PKCS, ck.CKM_RSA_PKCS_OAEP, ck.CKM_RSA_X_509)
_MODULUS = 256
_NO_ROOM = (ck.CKA_VALUE_LEN, 4000)
# Ciphers that tell wrong ciphertext, and what its length is a multiple of.
_TELLS = {ck.CKM_AES_GCM: 1, ck.CKM_RSA_PKCS_OAEP: 1, ck.CKM_AES_CBC_PAD: 16, ck.CKM_DES3_CBC_PAD: 8}


def _wrong_text(step: Step, history: list[Step], length: bool) -> bool:
    """Decryption that finds its input wrong; by ``length``: too short a one, or no whole blocks."""
    if "Decrypt" not in step.arguments[:2] or step.what not in ("use", "once", "final"):
        return False
    number = _begun(step, history) if step.what == "final" else _used(step, history)[0]
    data = b"" if step.what == "final" else _used(step, history)[1]
    if number not in _TELLS or step.what == "final" or not length:
        return number in _TELLS
    return len(data) % _TELLS[number] > 0 or len(data) < 16


_PRECISE: dict[str, Callable[[Step, list[Step]], bool]] = {
    "CKR_ENCRYPTED_DATA_LEN_RANGE": lambda step, history: (
        (_used(step, history)[0] in _RSA and len(_used(step, history)[1]) != _MODULUS)
        or _wrong_text(step, history, length=True)),
    "CKR_ENCRYPTED_DATA_INVALID": lambda step, history: _wrong_text(step, history, length=False),
    "CKR_DATA_LEN_RANGE": lambda step, history: (
        (_used(step, history)[0] == ck.CKM_RSA_PKCS_PSS and len(_used(step, history)[1]) != 32)
        or (step.what == "derive" and _NO_ROOM in _template(step))),
    "CKR_PUBLIC_KEY_INVALID": lambda step, history: step.what == "derive",  # it has no other wrong point
    "CKR_ATTRIBUTE_VALUE_INVALID": lambda step, history: (
        step.what == "generate_pair" and (ck.CKA_MODULUS_BITS, 100) in _template(step)),
    "CKR_DOMAIN_PARAMS_INVALID": lambda step, history: (
        step.what == "generate_pair" and (ck.CKA_EC_PARAMS, b"no curve") in _template(step)),
    "CKR_KEY_SIZE_RANGE": lambda step, history: step.what == "derive" and _NO_ROOM in _template(step),
}


def _precise(step: Step, history: list[Step]) -> bool:
    """The code is the one for what can be seen to be wrong with the call."""
    return step.theirs[0] in ("CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED") and any(
        step.ours[0] == code and applies(step, history) for code, applies in _PRECISE.items()
    )


def _in_one_part(step: Step, history: list[Step]) -> bool:
    return step.what in ("update", "final") and _begun(step, history) in _ONE_PART and _codes(
        step, "CKR_OPERATION_NOT_INITIALIZED", "CKR_FUNCTION_NOT_SUPPORTED"
    )


_ONE_PART = (*_RSA, ck.CKM_ECDSA, ck.CKM_EDDSA, ck.CKM_RSA_PKCS_PSS)


def _refused_before(step: Step, history: list[Step]) -> bool:
    """A digest that goes on, where C_DigestKey was refused and no other has been begun since."""
    goes_on = step.what == "digest_key" or (step.what in ("once", "update", "final") and step.arguments[1] == "Digest")
    if not goes_on or step.ours[0] != "CKR_OPERATION_NOT_INITIALIZED":
        return False
    session = step.arguments[0]
    for before in history[-2::-1]:
        if before.what == "begin_operation" and before.arguments[:2] == (session, "Digest"):
            return False
        if before.what == "digest_key" and before.arguments[0] == session and before.ours[0] != "CKR_OK":
            return True
    return False


def _told_more(step: Step, history: list[Step]) -> bool:
    """C_GetAttributeValue: both tell the same, but that ours has some attribute more, one of ``_MORE``."""
    if step.what != "read" or len(step.ours) != 2 or len(step.theirs) != 2:
        return False
    rows = zip(step.arguments[2], step.ours[1], step.theirs[1], strict=True)
    return all(
        one == other or (number in _MORE and other[0] is None) for (number, _), one, other in rows
    )


def _derives(step: Step, key_type: int) -> bool:
    """A key of this type, how long it is to be not said."""
    said = dict(_template(step))
    return said[ck.CKA_KEY_TYPE] == key_type and ck.CKA_VALUE_LEN not in said


def _length_told(step: Step, history: list[Step]) -> bool:
    if step.what != "read" or len(step.ours) != 2 or len(step.theirs) != 2:
        return False
    rows = zip(step.arguments[2], step.ours[1], step.theirs[1], strict=True)
    return all(one == other or (number == ck.CKA_VALUE_LEN and not any(other[1])) for (number, _), one, other in rows)


def _sizes(step: Step) -> bool:
    """C_GetMechanismInfo: here too the mechanism is offered for all that it is offered for there."""
    return step.what == "mechanism_info" and not step.theirs[3] & ~step.ours[3]


_MORE = (ck.CKA_EC_POINT, ck.CKA_VALUE_LEN)


def _void_handle(step: Step, history: list[Step]) -> bool:
    """Sessions were closed, and a handle from before is void there, or the object is found by another."""
    if "CKR_OK" not in {before.ours[0] for before in history if before.what.startswith("close")}:
        return False
    if step.what == "find" and len(step.ours) == len(step.theirs) == 2:
        return len(step.ours[1]) == len(step.theirs[1]) and {*step.theirs[1]} <= {*step.ours[1], -1}
    return _codes(step, step.ours[0], "CKR_OBJECT_HANDLE_INVALID")


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
    Difference("C_...Init, C_DeriveKey", "CKR_KEY_TYPE_INCONSISTENT, before the key's other faults and the parameter's",
               "the other way round, served, or CKR_GENERAL_ERROR later", "5.1.7", _wrong_type),
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
    Difference("C_...Init", "CKR_MECHANISM_PARAM_INVALID for a parameter that is missing, of another length or unfit",
               "CKR_MECHANISM_INVALID or CKR_ARGUMENTS_BAD", "5.1.6", lambda step, history:
               _wrong_parameter(step) and
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
    Difference("C_SetAttributeValue", "CKA_SENSITIVE TRUE or CKA_EXTRACTABLE FALSE may be said again",
               "CKR_ATTRIBUTE_READ_ONLY", "5.7.6", lambda step, history: step.what == "change" and
               _template(step) in ([(ck.CKA_SENSITIVE, True)], [(ck.CKA_EXTRACTABLE, False)]) and
               _codes(step, "CKR_OK", "CKR_ATTRIBUTE_READ_ONLY")),
    Difference("C_SetAttributeValue", "a data object's CKA_VALUE may change", "CKR_ATTRIBUTE_READ_ONLY", "4.5",
               lambda step, history: step.what == "change" and _has(step, ck.CKA_VALUE) and
               _no_key(step.arguments[1], history) and _codes(step, "CKR_OK", "CKR_ATTRIBUTE_READ_ONLY")),
    Difference("any, with an object's handle", "a public token object keeps its handle when all sessions are closed",
               "the handle is void", "5.6.3", _void_handle),
    Difference("C_CreateObject and others", "the template's fault before the session's", "the other way round", "5.1.7",
               _two_faults),
    Difference("C_CreateObject", "CKR_ATTRIBUTE_VALUE_INVALID for an AES key of 15 bytes or none", "made", "6.13.2",
               lambda step, history: step.what == "create" and _codes(step, "CKR_ATTRIBUTE_VALUE_INVALID", "CKR_OK")
               and len(dict(_template(step)).get(ck.CKA_VALUE, bytes(16))) not in (16, 24, 32)),
    Difference("C_GetAttributeValue", "CKR_ATTRIBUTE_TYPE_INVALID where that and CKR_ATTRIBUTE_SENSITIVE apply",
               "CKR_ATTRIBUTE_SENSITIVE", "5.7.5", lambda step, history: step.what == "read" and
               step.ours[1:] == step.theirs[1:]),
    Difference("any", "the code of what is wrong with the call", "CKR_GENERAL_ERROR or CKR_FUNCTION_FAILED", "5.1.1",
               _precise),
    Difference("C_...Update, C_...Final", "CKR_OPERATION_NOT_INITIALIZED, by a mechanism that has no parts",
               "CKR_FUNCTION_NOT_SUPPORTED", "5.2", _in_one_part),
    Difference("C_Digest", "CKR_OPERATION_ACTIVE after parts, for a size query or too small a room too", "the length",
               "5.12.2", lambda step, history: step.what == "once" and (
                   (step.arguments[3] is None and _codes(step, "CKR_OPERATION_ACTIVE", "CKR_OK")) or
                   _codes(step, "CKR_OPERATION_ACTIVE", "CKR_BUFFER_TOO_SMALL"))),
    Difference("C_Digest...", "the digest has ended where C_DigestKey was refused", "it goes on", "5.12.4",
               _refused_before),
    Difference("C_DigestKey", "CKR_KEY_INDIGESTIBLE for what is no secret key", "digested", "5.12.4",
               lambda step, history: step.what == "digest_key" and _codes(step, "CKR_KEY_INDIGESTIBLE", "CKR_OK") and
               _kind_of(step.arguments[1], history)[0] != ck.CKO_SECRET_KEY),
    Difference("C_DeriveKey", "the parameter's fault before the key's and the template's", "the other way round",
               "5.1.7",
               lambda step, history: step.what == "derive" and _wrong_parameter(step) and step.theirs[0] in (
                   "CKR_KEY_FUNCTION_NOT_PERMITTED", "CKR_KEY_TYPE_INCONSISTENT", "CKR_OBJECT_HANDLE_INVALID",
                   *_TEMPLATE_CODES, *_STATE_CODES)),
    Difference("C_CreateObject", "CKR_ATTRIBUTE_VALUE_INVALID for a DES3 key without parity", "made", "6.18.3",
               lambda step, history: step.what == "create" and _codes(step, "CKR_ATTRIBUTE_VALUE_INVALID", "CKR_OK") and
               (ck.CKA_KEY_TYPE, ck.CKK_DES3) in _template(step)),
    Difference("C_SignInit, C_DecryptInit", "CKR_KEY_FUNCTION_NOT_PERMITTED, by CKM_RSA_X_509 and a key that may not "
               "both sign and decrypt: who signs raw decrypts", "served", "6.1.12", lambda step, history:
               step.what in STARTING and _started(step)[1] == ck.CKM_RSA_X_509 and
               step.ours[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED"),
    Difference("C_Decrypt", "random bytes for wrong padding, by CKM_RSA_PKCS: to tell would be to decrypt for anybody",
               "CKR_GENERAL_ERROR", "6.1.6", lambda step, history: step.what == "use" and
               _used(step, history)[0] == ck.CKM_RSA_PKCS and len(_used(step, history)[1]) == _MODULUS and
               _codes(step, "CKR_OK", "CKR_GENERAL_ERROR")),
    Difference("C_Sign, C_Verify", "CKR_DATA_LEN_RANGE, by CKM_ECDSA, for nothing: no digest is empty", "served",
               "6.3.12", lambda step, history: step.ours[0] == "CKR_DATA_LEN_RANGE" and
               _signed(step, history) == (ck.CKM_ECDSA, b"")),
    Difference("C_Verify", "CKR_DATA_LEN_RANGE for what has not the digest's length", "CKR_SIGNATURE_INVALID",
               "6.1.10", lambda step, history: step.ours[0] == "CKR_DATA_LEN_RANGE" and
               _signed(step, history)[0] == ck.CKM_RSA_PKCS_PSS and len(_signed(step, history)[1]) != 32),
    Difference("C_DeriveKey", "CKR_TEMPLATE_INCOMPLETE for an AES key without CKA_VALUE_LEN",
               "made, or CKR_ATTRIBUTE_VALUE_INVALID", "6.10.2", lambda step, history: step.what == "derive" and
               _codes(step, "CKR_TEMPLATE_INCOMPLETE", "CKR_OK", "CKR_ATTRIBUTE_VALUE_INVALID") and
               _derives(step, ck.CKK_AES)),
    Difference("C_DeriveKey", "a generic secret without CKA_VALUE_LEN has the data's length",
               "CKR_TEMPLATE_INCOMPLETE", "6.17.4", lambda step, history: step.what == "derive" and
               _derives(step, ck.CKK_GENERIC_SECRET) and _codes(step, "CKR_OK", "CKR_TEMPLATE_INCOMPLETE")),
    Difference("C_DeriveKey", "the other public key's fault before the value's", "the other way round", "5.1.7",
               lambda step, history: step.what == "derive" and
               _codes(step, "CKR_PUBLIC_KEY_INVALID", "CKR_ATTRIBUTE_VALUE_INVALID")),
    Difference("C_DeriveKey", "from a derived key, CKA_DERIVE not given: TRUE here too",
               "CKR_KEY_FUNCTION_NOT_PERMITTED", "4.9", lambda step, history: step.what == "derive" and
               step.theirs[0] == "CKR_KEY_FUNCTION_NOT_PERMITTED" and any(
                   before.what == "derive" and before.arguments[0] == step.arguments[4] and before.ours[0] == "CKR_OK"
                   for before in history[:-1])),
    Difference("C_GetAttributeValue", "CKA_VALUE_LEN of a generic secret that was agreed on", "0", "6.8.2",
               _length_told),
    Difference("C_GetAttributeValue", "CKA_EC_POINT of a private key and CKA_VALUE_LEN of a DES3 key are told",
               "CKR_ATTRIBUTE_TYPE_INVALID", "6.3.4, 6.18.3", _told_more),
    Difference("C_GetMechanismInfo", "more uses and forms of curves", "fewer", "5.5.6", lambda step, history:
               _sizes(step) and step.theirs[1:3] == step.ours[1:3]),
    Difference("C_GetMechanismInfo", "RSA from 1024 bits, curves from 192", "from 512 and 112", "6.1, 6.3",
               lambda step, history: _sizes(step) and step.theirs[1:3] in ((512, 16384), (112, 521)) and
               step.ours[1:3] in ((1024, 16384), (1024, 8192), (192, 521))),
    Difference("C_GetMechanismInfo", "Edwards curves have 255 and 448 bits", "256 and 456", "6.3.10",
               lambda step, history: _sizes(step) and (step.ours[1:3], step.theirs[1:3]) == ((255, 448), (256, 456))),
    Difference("C_GetMechanismInfo", "HMAC keys from one byte to a mebibyte", "from the length of the hash to 512",
               "6.22", lambda step, history: _sizes(step) and step.ours[1:3] == (1, 1 << 20) and step.theirs[2] == 512),
    Difference("C_GetMechanismInfo", "generic secrets of 8 to 32768 bits", "of 1 to 2147483648", "6.8.3",
               lambda step, history: step.arguments == (ck.CKM_GENERIC_SECRET_KEY_GEN,) and _sizes(step)),
    Difference("C_GetMechanismInfo", "the wrapping key's sizes for AES key wrap", "2147483648 as the largest", "6.16",
               lambda step, history: step.arguments[0] in (ck.CKM_AES_KEY_WRAP, ck.CKM_AES_KEY_WRAP_PAD) and
               _sizes(step) and step.ours[1:3] == (16, 32)),
    Difference("C_GetMechanismInfo", "the base key's sizes for derivation by encryption", "0", "6.17",
               lambda step, history: _sizes(step) and (step.ours[1:3], step.theirs[1:3]) == ((16, 32), (0, 0))),
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
