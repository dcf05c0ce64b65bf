"""How any cipher becomes a way to wrap keys (PKCS#11 3.2, section 5.18.3): one pair of functions for its row."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from hsm.errors import TokenError
from hsm.mechanisms import formats, secret_forms
from hsm.objects.key import Key
from pkcs11_shim import constants as ck

# The refusals of a cipher under the codes that C_WrapKey and C_UnwrapKey have for them.
_WRAPPING = {
    ck.CKR_DATA_LEN_RANGE: ck.CKR_KEY_SIZE_RANGE,
    ck.CKR_KEY_SIZE_RANGE: ck.CKR_WRAPPING_KEY_SIZE_RANGE,
}
_UNWRAPPING = {
    ck.CKR_ENCRYPTED_DATA_INVALID: ck.CKR_WRAPPED_KEY_INVALID,
    ck.CKR_ENCRYPTED_DATA_LEN_RANGE: ck.CKR_WRAPPED_KEY_LEN_RANGE,
    ck.CKR_DATA_LEN_RANGE: ck.CKR_WRAPPED_KEY_LEN_RANGE,
    ck.CKR_KEY_SIZE_RANGE: ck.CKR_UNWRAPPING_KEY_SIZE_RANGE,
}


class Fill(NamedTuple):
    """What a mechanism without padding does for keys that are not whole blocks: zeros go behind them.

    ``least``: bytes of the shortest message. ``all_of_it``: no more than the filling may be cut off again, and private
    keys, which say where they end, may be filled too (AES key wrap, section 6.16.3).
    """

    block: int = 0
    least: int = 0
    all_of_it: bool = False

    def put_on(self, data: bytes) -> bytes:
        filled = data + bytes(-len(data) % self.block) if self.block else data
        return filled + bytes(max(self.least - len(filled), 0))

    def take_off(self, data: bytes, template: dict[int, bytes]) -> bytes:
        """The key out of what was decrypted, as long as CKA_VALUE_LEN says, or its type."""
        if template[ck.CKA_CLASS] != ck.CKO_SECRET_KEY.to_bytes(8, "little"):
            return formats.without_zeros(data) if self.block else data
        said = int.from_bytes(template.get(ck.CKA_VALUE_LEN, b""), "little")
        wanted = said or (self.block and secret_forms.fixed_length(_type(template))) or len(data)
        least = max(len(data) - self.block + 1, 0) if self.all_of_it and len(data) > self.least else 1
        if not (least <= wanted <= len(data) if self.block else wanted == len(data)):
            words = "CKA_VALUE_LEN is not the length of what was wrapped"
            raise TokenError(ck.CKR_WRAPPED_KEY_LEN_RANGE, words, "CKA_VALUE_LEN")
        if any(data[wanted:]):
            # A key cut short could be found byte by byte, and then the rest of it.
            words = "CKA_VALUE_LEN would cut off more than the zeros behind the key"
            raise TokenError(ck.CKR_WRAPPED_KEY_LEN_RANGE, words, "CKA_VALUE_LEN")
        return data[:wanted]


def _type(template: dict[int, bytes]) -> int:
    return int.from_bytes(template[ck.CKA_KEY_TYPE], "little")


def _renamed(codes: dict[int, int], work: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(work)
    def named(*arguments: Any) -> Any:
        try:
            return work(*arguments)
        except TokenError as refusal:
            raise TokenError(codes.get(refusal.rv, refusal.rv), refusal.reason, refusal.subject) from None

    return named


def named_for_wrapping(wrap: Callable[..., Any]) -> Callable[..., Any]:
    return _renamed(_WRAPPING, wrap)


def named_for_unwrapping(unwrap: Callable[..., Any]) -> Callable[..., Any]:
    return _renamed(_UNWRAPPING, unwrap)


def both_ways(
    start: Callable[[Key, Any, bool], Any], *, fill: Fill | None = None, secret_only: bool = False
) -> dict[str, Any]:
    """The four functions of a row for a cipher that also wraps. ``start`` begins an encryption, or with False a
    decryption."""
    fill = fill or Fill()

    def encrypt(key: Key, parameter: Any) -> Any:
        return start(key, parameter, True)

    def decrypt(key: Key, parameter: Any) -> Any:
        return start(key, parameter, False)

    def wrap(key: Key, parameter: Any, target: Key) -> bytes:
        if secret_only and target.key_class != ck.CKO_SECRET_KEY:
            raise TokenError(ck.CKR_KEY_NOT_WRAPPABLE, "this mechanism wraps secret keys only")
        return bytes(encrypt(key, parameter).one_shot(fill.put_on(formats.to_bytes(target))))

    def unwrap(key: Key, parameter: Any, wrapped: bytes, template: dict[int, bytes]) -> dict[int, bytes]:
        if secret_only and template[ck.CKA_CLASS] != ck.CKO_SECRET_KEY.to_bytes(8, "little"):
            raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, "this mechanism unwraps secret keys only", "CKA_CLASS")
        said = ck.CKA_VALUE_LEN in template or _type(template) in secret_forms.FORMS
        if fill.block and not fill.all_of_it and not said:
            words = "CKA_VALUE_LEN must be given: zeros may follow the key (section 5.18.4)"
            raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, words, "CKA_VALUE_LEN")
        return formats.from_bytes(fill.take_off(bytes(decrypt(key, parameter).one_shot(wrapped)), template), template)

    return {
        "encrypt": encrypt, "decrypt": decrypt, "wrap": named_for_wrapping(wrap),
        "unwrap": named_for_unwrapping(unwrap),
    }
