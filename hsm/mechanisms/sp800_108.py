"""Derivation by SP 800-108 in counter mode (PKCS#11 3.2, section 6.42; NIST SP 800-108r1, section 4.1).

The caller lays out the PRF's input field by field. More keys than one from one call (CK_DERIVED_KEY) are refused by the
library, as handles would have to be written into the parameter: CKR_MECHANISM_PARAM_INVALID.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from hsm.errors import TokenError
from hsm.mechanisms.derivation import HMAC_TYPES, NO_MACS, length_of, may_go_in
from hsm.mechanisms.digest import HASHES
from hsm.mechanisms.entry import Mechanism
from hsm.objects.key import Key
from pkcs11_shim import constants as ck


class Prf(NamedTuple):
    """One pseudorandom function: bytes of its output, the keys it takes, and itself."""

    length: int
    key_types: tuple[int, ...]
    compute: Callable[[bytes, bytes], bytes]


def _cmac(key: bytes, data: bytes) -> bytes:
    state = CMAC(AES(key))
    state.update(data)
    return state.finalize()


def _hmac(name: str) -> Callable[[bytes, bytes], bytes]:
    return lambda key, data: hmac.digest(key, data, name)


# Section 6.42.2 names these hashes and no others.
PRFS = {
    **{row.hmac: Prf(row.length, HMAC_TYPES, _hmac(row.name)) for row in HASHES if not row.name.startswith("sha512_")},
    ck.CKM_AES_CMAC: Prf(16, (ck.CKK_AES,), _cmac),
}
COUNTER_WIDTHS, LENGTH_WIDTHS = range(8, 33, 8), range(8, 65, 8)
LONGEST = 4096
SIZE_OF_ULONG = 8
LENGTH_METHODS = (ck.CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, ck.CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS)


class Number(NamedTuple):
    """A number in the PRF's input, the counter or the length of what is derived. ``method``: how that is counted."""

    octets: int
    little: bool
    method: int = 0

    def written(self, value: int) -> bytes:
        if value >> 8 * self.octets:
            raise TokenError(ck.CKR_MECHANISM_PARAM_INVALID, "a field is too narrow for its number")
        return value.to_bytes(self.octets, "little" if self.little else "big")


class Layout(NamedTuple):
    """CK_SP800_108_KDF_PARAMS, checked: the PRF and its input, of bytes, numbers and handles of keys in order."""

    prf: Prf
    counter: Number
    fields: tuple[bytes | Number | int, ...]  # a handle is an int

    def handles(self) -> tuple[int, ...]:
        return tuple(field for field in self.fields if isinstance(field, int))


def _refuse(words: str) -> TokenError:
    return TokenError(ck.CKR_MECHANISM_PARAM_INVALID, words)


def _ulongs(value: bytes | None, count: int) -> list[int]:
    """The members of a small structure, each at a multiple of 8; CK_BBOOL has one byte, padding after it."""
    if value is None or len(value) != count * SIZE_OF_ULONG:
        raise _refuse("a field of the PRF's input is not the structure that its type asks for")
    return [int.from_bytes(value[at : at + 8], "little") for at in range(0, len(value), 8)]


def _number(little: int, bits: int, widths: range, method: int = 0) -> Number:
    if little & 0xFF not in (0, 1) or bits not in widths:
        raise _refuse(f"a number in the PRF's input has {widths[0]} to {widths[-1]} bits, in whole bytes")
    return Number(bits // 8, bool(little & 0xFF), method)


def _field(kind: int, value: bytes | None) -> bytes | Number | int:
    if kind == ck.CK_SP800_108_ITERATION_VARIABLE:
        little, bits = _ulongs(value, 2)
        return _number(little, bits, COUNTER_WIDTHS)
    if kind == ck.CK_SP800_108_DKM_LENGTH:
        method, little, bits = _ulongs(value, 3)
        if method not in LENGTH_METHODS:
            raise _refuse("the length is the sum of the keys or of the segments")
        return _number(little, bits, LENGTH_WIDTHS, method)
    if kind == ck.CK_SP800_108_KEY_HANDLE:
        return _ulongs(value, 1)[0]
    if kind != ck.CK_SP800_108_BYTE_ARRAY or not value:
        raise _refuse("a field of the PRF's input is empty, or of a type that the counter mode has not")
    return value


def _parameter(parameter: Any) -> Layout:
    """Exactly one counter, at most one length."""
    prf = PRFS.get(getattr(parameter, "prfType", -1))
    if prf is None:
        raise _refuse("the PRF is HMAC by SHA-1, SHA-2 or SHA-3, or AES-CMAC")
    fields = tuple(_field(row.type, row.pValue) for row in parameter.pDataParams)
    counters = [field for field in fields if isinstance(field, Number) and not field.method]
    lengths = [field for field in fields if isinstance(field, Number) and field.method]
    if len(counters) != 1 or len(lengths) > 1:
        raise _refuse("the PRF's input has one counter, and not more than one length")
    return Layout(prf, counters[0], fields)


def _input(layout: Layout, count: int, wanted: int, keys: Iterator[Key]) -> Iterable[bytes]:
    segments = -(-wanted // layout.prf.length)
    for field in layout.fields:
        if isinstance(field, bytes):
            yield field
        elif isinstance(field, int):
            yield next(keys).get(ck.CKA_VALUE) or b""
        elif field.method:
            of_keys = field.method == ck.CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS
            yield field.written(8 * (wanted if of_keys else segments * layout.prf.length))
        else:
            yield field.written(count)


def _derive(key: Key, layout: Layout, template: dict[int, bytes], *others: Key) -> dict[int, bytes]:
    if key.key_type not in layout.prf.key_types:
        raise TokenError(ck.CKR_KEY_TYPE_INCONSISTENT, "the PRF does not work with a key of this type")
    most = ((1 << 8 * layout.counter.octets) - 1) * layout.prf.length
    wanted = length_of(template, min(most, LONGEST), layout.prf.length)
    keys = sum(len(other.get(ck.CKA_VALUE) or b"") for other in others)
    may_go_in(keys + sum(len(field) for field in layout.fields if isinstance(field, bytes)), "pDataParams")
    base, made = key.get(ck.CKA_VALUE) or b"", b""
    count = 0
    while len(made) < wanted:
        count += 1
        made += layout.prf.compute(base, b"".join(_input(layout, count, wanted, iter(others))))
    # A key among the input and the counter behind it may be a longer key, and the base a salt: HKDF extracts that.
    return {ck.CKA_VALUE: made[:wanted], **(NO_MACS if others else {})}


def _most_bits(layout: Layout) -> int:
    """HMAC goes through states as long as its hash; CMAC is as strong as its key (NIST SP 800-108r1, section 6.1)."""
    return 256 if layout.prf.compute is _cmac else 8 * layout.prf.length


# Sizes are in bits (section 6.42).
MECHANISMS = [
    Mechanism(
        ck.CKM_SP800_108_COUNTER_KDF, (*HMAC_TYPES, ck.CKK_AES), 8, 8 * LONGEST, parameter=_parameter, derive=_derive,
        oracle=("derive",), inherits=True, other_keys=Layout.handles,
        most_bits=_most_bits,
    ),
]
