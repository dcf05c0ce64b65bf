"""How any cipher becomes a way to wrap keys (PKCS#11 3.2, section 5.18.3): one pair of functions for its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hsm.errors import TokenError
from hsm.mechanisms import formats
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

_AES = ck.CKK_AES.to_bytes(8, "little")
_WRAPPING = {ck.CKR_DATA_LEN_RANGE: ck.CKR_KEY_SIZE_RANGE}
_UNWRAPPING = {
    ck.CKR_ENCRYPTED_DATA_INVALID: ck.CKR_WRAPPED_KEY_INVALID,
    ck.CKR_ENCRYPTED_DATA_LEN_RANGE: ck.CKR_WRAPPED_KEY_LEN_RANGE,
    ck.CKR_DATA_LEN_RANGE: ck.CKR_WRAPPED_KEY_LEN_RANGE,
}


def wrapper(encrypt: Callable[..., Any], *, block: int = 0, secret_only: bool = False) -> Callable[..., bytes]:
    """``block``: a mechanism without padding, whose secret keys are filled with zeros to whole blocks."""

    def wrap(key: Key, parameter: Any, target: Key) -> bytes:
        if (secret_only or block) and target.key_class != ck.CKO_SECRET_KEY:
            raise TokenError(ck.CKR_KEY_NOT_WRAPPABLE, "this mechanism wraps secret keys only")
        data = formats.to_bytes(target)
        if block:
            data += bytes(-len(data) % block)
        return _renamed(_WRAPPING, lambda: bytes(encrypt(key, parameter).one_shot(data)))

    return wrap


def unwrapper(decrypt: Callable[..., Any], *, block: int = 0, secret_only: bool = False) -> Callable[..., Any]:
    def unwrap(key: Key, parameter: Any, wrapped: bytes, template: dict[int, bytes]) -> dict[int, bytes]:
        if (secret_only or block) and template[ck.CKA_CLASS] != ck.CKO_SECRET_KEY.to_bytes(8, "little"):
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "this mechanism unwraps secret keys only", "CKA_CLASS")
        if block and ck.CKA_VALUE_LEN not in template and template[ck.CKA_KEY_TYPE] != _AES:
            words = "CKA_VALUE_LEN must be given: zeros may follow the key (section 5.18.4)"
            raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, words, "CKA_VALUE_LEN")
        data = _renamed(_UNWRAPPING, lambda: bytes(decrypt(key, parameter).one_shot(wrapped)))
        wanted = int.from_bytes(template.get(ck.CKA_VALUE_LEN, b""), "little")
        if block and 0 < wanted <= len(data):
            data = data[:wanted]
        return formats.from_bytes(data, template)

    return unwrap


def _renamed(codes: dict[int, int], work: Callable[[], bytes]) -> bytes:
    """The cipher's refusals under the codes that C_WrapKey and C_UnwrapKey have for them."""
    try:
        return work()
    except TokenError as refusal:
        raise TokenError(codes.get(refusal.rv, refusal.rv), refusal.reason, refusal.subject) from None


def both(encrypt: Callable[..., Any], decrypt: Callable[..., Any], **how: Any) -> dict[str, Any]:
    """The four functions of a row for a cipher that also wraps."""
    return {
        "encrypt": encrypt, "decrypt": decrypt, "wrap": wrapper(encrypt, **how), "unwrap": unwrapper(decrypt, **how),
    }
