"""The engine's codecs, one pair a function; written by tools/generate, not by hand.

Decoders raise Malformed on any length that the frame does not hold, and on bytes left over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

NULL = 0xFFFFFFFFFFFFFFFF
MOST_ENTRIES = 256
MOST_ROWS = 4096
DEEPEST = 2
SIZE_OF_CK_ATTRIBUTE = 24
_Q = struct.Struct("<Q")
_NUMBERS = [struct.Struct(f"<{count}Q") for count in range(8)]


class Malformed(Exception):
    """A frame that no library of ours sends."""


class Mech(NamedTuple):
    """CK_MECHANISM: its number and its parameter, None, raw bytes or one of the structures below."""

    number: int
    parameter: Any


class Message(NamedTuple):
    """CK_GCM_MESSAGE_PARAMS. ``tag``: of what is decrypted; of what is encrypted None where there is no room for it."""

    iv: bytes | None
    fixed_bits: int
    generator: int
    tag_bits: int
    tag: bytes | None


def _u64(data: memoryview, at: int) -> tuple[int, int]:
    if at + 8 > len(data):
        raise Malformed("short")
    return _Q.unpack_from(data, at)[0], at + 8


def _bytes(data: memoryview, at: int) -> tuple[bytes | None, int]:
    length, at = _u64(data, at)
    if length == NULL:
        return None, at
    if length > len(data) - at:
        raise Malformed("length beyond the frame")
    return bytes(data[at : at + length]), at + length


def _capacity(data: memoryview, at: int) -> tuple[int | None, int]:
    value, at = _u64(data, at)
    return (None if value == NULL else value), at


def _kind(data: memoryview, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise Malformed("short")
    return data[at], at + 1


def _template(data: memoryview, at: int) -> tuple[list[Any], int]:
    rows, at, _ = _rows(data, at, 0, MOST_ROWS)
    return rows, at


def _rows(data: memoryview, at: int, depth: int, left: int) -> tuple[list[Any], int, int]:
    """``left``: how many rows the template may still have, those of its arrays counted in."""
    count, at = _u64(data, at)
    if count > min(MOST_ENTRIES, left) or depth > DEEPEST:
        raise Malformed("template too large")
    left -= count
    rows: list[Any] = []
    for _ in range(count):
        attribute, at = _u64(data, at)
        kind, at = _kind(data, at)
        value: Any = None
        if kind == 1:
            value, at = _bytes(data, at)
        elif kind == 2:
            value, at, left = _rows(data, at, depth + 1, left)
        elif kind:
            raise Malformed("attribute kind")
        rows.append((attribute, value))
    return rows, at, left


def _query(data: memoryview, at: int) -> tuple[list[Any], int]:
    """Types, and the room for their values: None where only the length is asked for."""
    count, at = _u64(data, at)
    if count > MOST_ENTRIES:
        raise Malformed("query too large")
    rows: list[Any] = []
    for _ in range(count):
        attribute, at = _u64(data, at)
        kind, at = _kind(data, at)
        size, at = _u64(data, at)
        if kind > 1:
            raise Malformed("query kind")
        rows.append((attribute, size if kind else None))
    return rows, at


def _mechanism(data: memoryview, at: int) -> tuple[Mech | None, int]:
    kind, at = _kind(data, at)
    number, at = _u64(data, at)
    if kind == 0:
        return None, at
    if kind == 1:
        return Mech(number, None), at
    if kind == 2:
        raw, at = _bytes(data, at)
        return Mech(number, raw), at
    reader = PARAMETERS.get(number) if kind == 3 else None
    if reader is None:
        raise Malformed("parameter kind")
    parameter, at = reader(data, at)
    return Mech(number, parameter), at


def _message(data: memoryview, at: int, reader: Callable[[memoryview, int], tuple[Any, int]]) -> tuple[Any, int]:
    """None where the parameter has no form that is known."""
    kind, at = _kind(data, at)
    if kind == 0:
        return None, at
    if kind > 1:
        raise Malformed("message kind")
    iv, at = _bytes(data, at)
    fixed, at = _u64(data, at)
    generator, at = _u64(data, at)
    bits, at = _u64(data, at)
    tag, at = reader(data, at)
    return Message(iv, fixed, generator, bits, tag), at


def _message_made(data: memoryview, at: int) -> tuple[Any, int]:
    return _message(data, at, _room_for_tag)


def _message_read(data: memoryview, at: int) -> tuple[Any, int]:
    return _message(data, at, _bytes)


def _room_for_tag(data: memoryview, at: int) -> tuple[bytes | None, int]:
    there, at = _kind(data, at)
    return (b"" if there else None), at


def _many(data: memoryview, at: int, reader: Callable[[memoryview, int], tuple[Any, int]]) -> tuple[list[Any], int]:
    count, at = _u64(data, at)
    if count > MOST_ENTRIES:
        raise Malformed("array too large")
    found: list[Any] = []
    for _ in range(count):
        item, at = reader(data, at)
        found.append(item)
    return found, at


def _sized(length: int, data: bytes | None) -> bytes:
    return _Q.pack(length) + (b"\x00" if data is None else b"\x01" + data)


def _made(iv: bytes, tag: bytes) -> bytes:
    """What is written into a message's parameter; nothing of what is empty."""
    return _Q.pack(len(iv)) + iv + _Q.pack(len(tag)) + tag


def _ulongs(count: int, values: list[int] | None) -> bytes:
    return _Q.pack(count) + (b"\x00" if values is None else b"\x01" + struct.pack(f"<{count}Q", *values))


def _found(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values) + 1}Q", len(values), *values)


def _blob(value: bytes) -> bytes:
    return _Q.pack(len(value)) + value


def _answers(rows: list[Any]) -> bytes:
    """(length, value) each: None, bytes, or the (type, value) rows of an attribute array."""
    parts = [_Q.pack(len(rows))]
    for length, value in rows:
        if isinstance(value, list):
            parts.append(_Q.pack(length) + b"\x02" + _array(value))
        else:
            parts.append(_Q.pack(length) + (b"\x00" if value is None else b"\x01" + value))
    return b"".join(parts)


def _array(rows: list[Any]) -> bytes:
    parts = []
    for attribute, value in rows:
        if isinstance(value, list):
            parts.append(_Q.pack(attribute) + _Q.pack(SIZE_OF_CK_ATTRIBUTE * len(value)) + b"\x02" + _array(value))
        else:
            parts.append(_Q.pack(attribute) + _Q.pack(len(value)) + b"\x01" + value)
    return b"".join(parts)


class CK_GCM_PARAMS(NamedTuple):
    pIv: bytes | None
    ulIvBits: int
    pAAD: bytes | None
    ulTagBits: int


def _read_CK_GCM_PARAMS(data: memoryview, at: int) -> tuple[CK_GCM_PARAMS, int]:
    v0, at = _bytes(data, at)
    v1, at = _u64(data, at)
    v2, at = _bytes(data, at)
    v3, at = _u64(data, at)
    return CK_GCM_PARAMS(v0, v1, v2, v3), at


class CK_CCM_PARAMS(NamedTuple):
    ulDataLen: int
    pNonce: bytes | None
    pAAD: bytes | None
    ulMACLen: int


def _read_CK_CCM_PARAMS(data: memoryview, at: int) -> tuple[CK_CCM_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _bytes(data, at)
    v3, at = _u64(data, at)
    return CK_CCM_PARAMS(v0, v1, v2, v3), at


class CK_SALSA20_CHACHA20_POLY1305_PARAMS(NamedTuple):
    pNonce: bytes | None
    pAAD: bytes | None


def _read_CK_SALSA20_CHACHA20_POLY1305_PARAMS(data: memoryview, at: int) -> tuple[CK_SALSA20_CHACHA20_POLY1305_PARAMS, int]:
    v0, at = _bytes(data, at)
    v1, at = _bytes(data, at)
    return CK_SALSA20_CHACHA20_POLY1305_PARAMS(v0, v1), at


class CK_AES_CTR_PARAMS(NamedTuple):
    ulCounterBits: int
    cb: bytes


def _read_CK_AES_CTR_PARAMS(data: memoryview, at: int) -> tuple[CK_AES_CTR_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    if v1 is None:
        raise Malformed("missing")
    return CK_AES_CTR_PARAMS(v0, v1), at


class CK_AES_CBC_ENCRYPT_DATA_PARAMS(NamedTuple):
    iv: bytes
    pData: bytes | None


def _read_CK_AES_CBC_ENCRYPT_DATA_PARAMS(data: memoryview, at: int) -> tuple[CK_AES_CBC_ENCRYPT_DATA_PARAMS, int]:
    v0, at = _bytes(data, at)
    if v0 is None:
        raise Malformed("missing")
    v1, at = _bytes(data, at)
    return CK_AES_CBC_ENCRYPT_DATA_PARAMS(v0, v1), at


class CK_KEY_DERIVATION_STRING_DATA(NamedTuple):
    pData: bytes | None


def _read_CK_KEY_DERIVATION_STRING_DATA(data: memoryview, at: int) -> tuple[CK_KEY_DERIVATION_STRING_DATA, int]:
    v0, at = _bytes(data, at)
    return CK_KEY_DERIVATION_STRING_DATA(v0), at


class CK_RSA_PKCS_OAEP_PARAMS(NamedTuple):
    hashAlg: int
    mgf: int
    source: int
    pSourceData: bytes | None


def _read_CK_RSA_PKCS_OAEP_PARAMS(data: memoryview, at: int) -> tuple[CK_RSA_PKCS_OAEP_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _u64(data, at)
    v2, at = _u64(data, at)
    v3, at = _bytes(data, at)
    return CK_RSA_PKCS_OAEP_PARAMS(v0, v1, v2, v3), at


class CK_RSA_PKCS_PSS_PARAMS(NamedTuple):
    hashAlg: int
    mgf: int
    sLen: int


def _read_CK_RSA_PKCS_PSS_PARAMS(data: memoryview, at: int) -> tuple[CK_RSA_PKCS_PSS_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _u64(data, at)
    v2, at = _u64(data, at)
    return CK_RSA_PKCS_PSS_PARAMS(v0, v1, v2), at


class CK_RSA_AES_KEY_WRAP_PARAMS(NamedTuple):
    ulAESKeyBits: int
    pOAEPParams: CK_RSA_PKCS_OAEP_PARAMS


def _read_CK_RSA_AES_KEY_WRAP_PARAMS(data: memoryview, at: int) -> tuple[CK_RSA_AES_KEY_WRAP_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _read_CK_RSA_PKCS_OAEP_PARAMS(data, at)
    return CK_RSA_AES_KEY_WRAP_PARAMS(v0, v1), at


class CK_ECDH1_DERIVE_PARAMS(NamedTuple):
    kdf: int
    pSharedData: bytes | None
    pPublicData: bytes | None


def _read_CK_ECDH1_DERIVE_PARAMS(data: memoryview, at: int) -> tuple[CK_ECDH1_DERIVE_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _bytes(data, at)
    return CK_ECDH1_DERIVE_PARAMS(v0, v1, v2), at


class CK_ECDH_AES_KEY_WRAP_PARAMS(NamedTuple):
    ulAESKeyBits: int
    kdf: int
    pSharedData: bytes | None


def _read_CK_ECDH_AES_KEY_WRAP_PARAMS(data: memoryview, at: int) -> tuple[CK_ECDH_AES_KEY_WRAP_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _u64(data, at)
    v2, at = _bytes(data, at)
    return CK_ECDH_AES_KEY_WRAP_PARAMS(v0, v1, v2), at


class CK_ECMQV_DERIVE_PARAMS(NamedTuple):
    kdf: int
    pSharedData: bytes | None
    pPublicData: bytes | None
    ulPrivateDataLen: int
    hPrivateData: int
    pPublicData2: bytes | None
    publicKey: int


def _read_CK_ECMQV_DERIVE_PARAMS(data: memoryview, at: int) -> tuple[CK_ECMQV_DERIVE_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _bytes(data, at)
    v3, at = _u64(data, at)
    v4, at = _u64(data, at)
    v5, at = _bytes(data, at)
    v6, at = _u64(data, at)
    return CK_ECMQV_DERIVE_PARAMS(v0, v1, v2, v3, v4, v5, v6), at


class CK_X9_42_DH1_DERIVE_PARAMS(NamedTuple):
    kdf: int
    pOtherInfo: bytes | None
    pPublicData: bytes | None


def _read_CK_X9_42_DH1_DERIVE_PARAMS(data: memoryview, at: int) -> tuple[CK_X9_42_DH1_DERIVE_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _bytes(data, at)
    return CK_X9_42_DH1_DERIVE_PARAMS(v0, v1, v2), at


class CK_EDDSA_PARAMS(NamedTuple):
    phFlag: int
    pContextData: bytes | None


def _read_CK_EDDSA_PARAMS(data: memoryview, at: int) -> tuple[CK_EDDSA_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    return CK_EDDSA_PARAMS(v0, v1), at


class CK_SIGN_ADDITIONAL_CONTEXT(NamedTuple):
    hedgeVariant: int
    pContext: bytes | None


def _read_CK_SIGN_ADDITIONAL_CONTEXT(data: memoryview, at: int) -> tuple[CK_SIGN_ADDITIONAL_CONTEXT, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    return CK_SIGN_ADDITIONAL_CONTEXT(v0, v1), at


class CK_HASH_SIGN_ADDITIONAL_CONTEXT(NamedTuple):
    hedgeVariant: int
    pContext: bytes | None
    hash: int


def _read_CK_HASH_SIGN_ADDITIONAL_CONTEXT(data: memoryview, at: int) -> tuple[CK_HASH_SIGN_ADDITIONAL_CONTEXT, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _u64(data, at)
    return CK_HASH_SIGN_ADDITIONAL_CONTEXT(v0, v1, v2), at


class CK_PKCS5_PBKD2_PARAMS2(NamedTuple):
    saltSource: int
    pSaltSourceData: bytes | None
    iterations: int
    prf: int
    pPrfData: bytes | None
    pPassword: bytes | None


def _read_CK_PKCS5_PBKD2_PARAMS2(data: memoryview, at: int) -> tuple[CK_PKCS5_PBKD2_PARAMS2, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _u64(data, at)
    v3, at = _u64(data, at)
    v4, at = _bytes(data, at)
    v5, at = _bytes(data, at)
    return CK_PKCS5_PBKD2_PARAMS2(v0, v1, v2, v3, v4, v5), at


class CK_HKDF_PARAMS(NamedTuple):
    bExtract: int
    bExpand: int
    prfHashMechanism: int
    ulSaltType: int
    pSalt: bytes | None
    hSaltKey: int
    pInfo: bytes | None


def _read_CK_HKDF_PARAMS(data: memoryview, at: int) -> tuple[CK_HKDF_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _u64(data, at)
    v2, at = _u64(data, at)
    v3, at = _u64(data, at)
    v4, at = _bytes(data, at)
    v5, at = _u64(data, at)
    v6, at = _bytes(data, at)
    return CK_HKDF_PARAMS(v0, v1, v2, v3, v4, v5, v6), at


class CK_PRF_DATA_PARAM(NamedTuple):
    type: int
    pValue: bytes | None


def _read_CK_PRF_DATA_PARAM(data: memoryview, at: int) -> tuple[CK_PRF_DATA_PARAM, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    return CK_PRF_DATA_PARAM(v0, v1), at


class CK_SP800_108_KDF_PARAMS(NamedTuple):
    prfType: int
    pDataParams: list[Any]


def _read_CK_SP800_108_KDF_PARAMS(data: memoryview, at: int) -> tuple[CK_SP800_108_KDF_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _many(data, at, _read_CK_PRF_DATA_PARAM)
    return CK_SP800_108_KDF_PARAMS(v0, v1), at


class CK_SP800_108_FEEDBACK_KDF_PARAMS(NamedTuple):
    prfType: int
    pDataParams: list[Any]
    pIV: bytes | None


def _read_CK_SP800_108_FEEDBACK_KDF_PARAMS(data: memoryview, at: int) -> tuple[CK_SP800_108_FEEDBACK_KDF_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _many(data, at, _read_CK_PRF_DATA_PARAM)
    v2, at = _bytes(data, at)
    return CK_SP800_108_FEEDBACK_KDF_PARAMS(v0, v1, v2), at


class CK_SSL3_RANDOM_DATA(NamedTuple):
    pClientRandom: bytes | None
    pServerRandom: bytes | None


def _read_CK_SSL3_RANDOM_DATA(data: memoryview, at: int) -> tuple[CK_SSL3_RANDOM_DATA, int]:
    v0, at = _bytes(data, at)
    v1, at = _bytes(data, at)
    return CK_SSL3_RANDOM_DATA(v0, v1), at


class CK_TLS_KDF_PARAMS(NamedTuple):
    prfMechanism: int
    pLabel: bytes | None
    RandomInfo: CK_SSL3_RANDOM_DATA
    pContextData: bytes | None


def _read_CK_TLS_KDF_PARAMS(data: memoryview, at: int) -> tuple[CK_TLS_KDF_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _bytes(data, at)
    v2, at = _read_CK_SSL3_RANDOM_DATA(data, at)
    v3, at = _bytes(data, at)
    return CK_TLS_KDF_PARAMS(v0, v1, v2, v3), at


class CK_TLS_MAC_PARAMS(NamedTuple):
    prfHashMechanism: int
    ulMacLength: int
    ulServerOrClient: int


def _read_CK_TLS_MAC_PARAMS(data: memoryview, at: int) -> tuple[CK_TLS_MAC_PARAMS, int]:
    v0, at = _u64(data, at)
    v1, at = _u64(data, at)
    v2, at = _u64(data, at)
    return CK_TLS_MAC_PARAMS(v0, v1, v2), at


PARAMETERS: dict[int, Callable[[memoryview, int], tuple[Any, int]]] = {
    0x9: _read_CK_RSA_PKCS_OAEP_PARAMS,
    0xd: _read_CK_RSA_PKCS_PSS_PARAMS,
    0xe: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x1d: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x1f: _read_CK_HASH_SIGN_ADDITIONAL_CONTEXT,
    0x23: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x24: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x25: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x26: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x27: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x28: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x29: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x2a: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x2b: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x2c: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x2e: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x31: _read_CK_X9_42_DH1_DERIVE_PARAMS,
    0x34: _read_CK_HASH_SIGN_ADDITIONAL_CONTEXT,
    0x36: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x37: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x38: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x39: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x3a: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x3b: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x3c: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x3d: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x3e: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x3f: _read_CK_SIGN_ADDITIONAL_CONTEXT,
    0x43: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x44: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x45: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x47: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x63: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x64: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x65: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x67: _read_CK_RSA_PKCS_PSS_PARAMS,
    0x362: _read_CK_KEY_DERIVATION_STRING_DATA,
    0x363: _read_CK_KEY_DERIVATION_STRING_DATA,
    0x364: _read_CK_KEY_DERIVATION_STRING_DATA,
    0x3ac: _read_CK_SP800_108_KDF_PARAMS,
    0x3ad: _read_CK_SP800_108_FEEDBACK_KDF_PARAMS,
    0x3ae: _read_CK_SP800_108_KDF_PARAMS,
    0x3b0: _read_CK_PKCS5_PBKD2_PARAMS2,
    0x3d8: _read_CK_TLS_MAC_PARAMS,
    0x3d9: _read_CK_TLS_KDF_PARAMS,
    0x3e4: _read_CK_TLS_MAC_PARAMS,
    0x3e5: _read_CK_TLS_KDF_PARAMS,
    0x1050: _read_CK_ECDH1_DERIVE_PARAMS,
    0x1051: _read_CK_ECDH1_DERIVE_PARAMS,
    0x1052: _read_CK_ECMQV_DERIVE_PARAMS,
    0x1053: _read_CK_ECDH_AES_KEY_WRAP_PARAMS,
    0x1054: _read_CK_RSA_AES_KEY_WRAP_PARAMS,
    0x1057: _read_CK_EDDSA_PARAMS,
    0x1086: _read_CK_AES_CTR_PARAMS,
    0x1087: _read_CK_GCM_PARAMS,
    0x1088: _read_CK_CCM_PARAMS,
    0x108e: _read_CK_GCM_PARAMS,
    0x1104: _read_CK_KEY_DERIVATION_STRING_DATA,
    0x1105: _read_CK_AES_CBC_ENCRYPT_DATA_PARAMS,
    0x4021: _read_CK_SALSA20_CHACHA20_POLY1305_PARAMS,
    0x4022: _read_CK_SALSA20_CHACHA20_POLY1305_PARAMS,
    0x402a: _read_CK_HKDF_PARAMS,
    0x402b: _read_CK_HKDF_PARAMS,
}


def _decode_C_Initialize(data: memoryview) -> tuple[Any, ...]:
    raise Malformed("answered in the library")


def _encode_C_Initialize() -> bytes:
    return b""


def _decode_C_Finalize(data: memoryview) -> tuple[Any, ...]:
    raise Malformed("answered in the library")


def _encode_C_Finalize() -> bytes:
    return b""


def _decode_C_GetInfo(data: memoryview) -> tuple[Any, ...]:
    raise Malformed("answered in the library")


def _encode_C_GetInfo() -> bytes:
    return b""


def _decode_C_GetFunctionList(data: memoryview) -> tuple[Any, ...]:
    raise Malformed("answered in the library")


def _encode_C_GetFunctionList() -> bytes:
    return b""


def _decode_C_GetSlotList(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GetSlotList(v0: Any, v1: Any) -> bytes:
    return _ulongs(v0, v1)


def _decode_C_GetSlotInfo(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_GetSlotInfo(v0: Any) -> bytes:
    return _blob(v0)


def _decode_C_GetTokenInfo(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_GetTokenInfo(v0: Any) -> bytes:
    return _blob(v0)


def _decode_C_GetMechanismList(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GetMechanismList(v0: Any, v1: Any) -> bytes:
    return _ulongs(v0, v1)


def _decode_C_GetMechanismInfo(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GetMechanismInfo(v0: Any) -> bytes:
    return _blob(v0)


def _decode_C_InitToken(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at + 32 > len(data):
        raise Malformed("short")
    v2, at = bytes(data[at : at + 32]), at + 32
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_InitToken() -> bytes:
    return b""


def _decode_C_InitPIN(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_InitPIN() -> bytes:
    return b""


def _decode_C_SetPIN(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _bytes(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_SetPIN() -> bytes:
    return b""


def _decode_C_OpenSession(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_OpenSession(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_CloseSession(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_CloseSession() -> bytes:
    return b""


def _decode_C_CloseAllSessions(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_CloseAllSessions() -> bytes:
    return b""


def _decode_C_GetSessionInfo(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_GetSessionInfo(v0: Any) -> bytes:
    return _blob(v0)


def _decode_C_GetOperationState(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GetOperationState(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_SetOperationState(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _u64(data, at)
    v3, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3,)


def _encode_C_SetOperationState() -> bytes:
    return b""


def _decode_C_Login(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 24:
        raise Malformed("short")
    v0, v1, size, = _NUMBERS[3].unpack_from(data)
    at = 24
    v2 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v2, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_Login() -> bytes:
    return b""


def _decode_C_Logout(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_Logout() -> bytes:
    return b""


def _decode_C_CreateObject(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_CreateObject(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_CopyObject(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    v2, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_CopyObject(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_DestroyObject(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_DestroyObject() -> bytes:
    return b""


def _decode_C_GetObjectSize(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GetObjectSize(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_GetAttributeValue(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    v2, at = _query(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_GetAttributeValue(v0: Any) -> bytes:
    return _answers(v0)


def _decode_C_SetAttributeValue(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    v2, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_SetAttributeValue() -> bytes:
    return b""


def _decode_C_FindObjectsInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_FindObjectsInit() -> bytes:
    return b""


def _decode_C_FindObjects(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_FindObjects(v0: Any) -> bytes:
    return _found(v0)


def _decode_C_FindObjectsFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_FindObjectsFinal() -> bytes:
    return b""


def _decode_C_EncryptInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_EncryptInit() -> bytes:
    return b""


def _decode_C_Encrypt(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_Encrypt(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_EncryptUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_EncryptUpdate(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_EncryptFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_EncryptFinal(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DecryptInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_DecryptInit() -> bytes:
    return b""


def _decode_C_Decrypt(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_Decrypt(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DecryptUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_DecryptUpdate(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DecryptFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_DecryptFinal(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DigestInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_DigestInit() -> bytes:
    return b""


def _decode_C_Digest(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_Digest(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DigestUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_DigestUpdate() -> bytes:
    return b""


def _decode_C_DigestKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_DigestKey() -> bytes:
    return b""


def _decode_C_DigestFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_DigestFinal(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_SignInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_SignInit() -> bytes:
    return b""


def _decode_C_Sign(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_Sign(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_SignUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_SignUpdate() -> bytes:
    return b""


def _decode_C_SignFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_SignFinal(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_SignRecoverInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_SignRecoverInit() -> bytes:
    return b""


def _decode_C_SignRecover(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_SignRecover(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_VerifyInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_VerifyInit() -> bytes:
    return b""


def _decode_C_Verify(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _bytes(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_Verify() -> bytes:
    return b""


def _decode_C_VerifyUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_VerifyUpdate() -> bytes:
    return b""


def _decode_C_VerifyFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_VerifyFinal() -> bytes:
    return b""


def _decode_C_VerifyRecoverInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_VerifyRecoverInit() -> bytes:
    return b""


def _decode_C_VerifyRecover(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_VerifyRecover(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DigestEncryptUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_DigestEncryptUpdate(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DecryptDigestUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_DecryptDigestUpdate(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_SignEncryptUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_SignEncryptUpdate(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DecryptVerifyUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    v2, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_DecryptVerifyUpdate(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_GenerateKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_GenerateKey(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_GenerateKeyPair(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _template(data, at)
    v3, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3,)


def _encode_C_GenerateKeyPair(v0: Any, v1: Any) -> bytes:
    return _Q.pack(v0) + _Q.pack(v1)


def _decode_C_WrapKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    v3, at = _u64(data, at)
    v4, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3, v4,)


def _encode_C_WrapKey(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_UnwrapKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    v3, at = _bytes(data, at)
    v4, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3, v4,)


def _encode_C_UnwrapKey(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_DeriveKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    v3, at = _template(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3,)


def _encode_C_DeriveKey(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_SeedRandom(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, size, = _NUMBERS[2].unpack_from(data)
    at = 16
    v1 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v1, at = bytes(data[at : at + size]), at + size
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_SeedRandom() -> bytes:
    return b""


def _decode_C_GenerateRandom(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GenerateRandom(v0: Any) -> bytes:
    return _blob(v0)


def _decode_C_GetFunctionStatus(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_GetFunctionStatus() -> bytes:
    return b""


def _decode_C_CancelFunction(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_CancelFunction() -> bytes:
    return b""


def _decode_C_WaitForSlotEvent(data: memoryview) -> tuple[Any, ...]:
    at = 0
    v0, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_WaitForSlotEvent(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_GetInterfaceList(data: memoryview) -> tuple[Any, ...]:
    raise Malformed("answered in the library")


def _encode_C_GetInterfaceList() -> bytes:
    return b""


def _decode_C_GetInterface(data: memoryview) -> tuple[Any, ...]:
    raise Malformed("answered in the library")


def _encode_C_GetInterface() -> bytes:
    return b""


def _decode_C_LoginUser(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 24:
        raise Malformed("short")
    v0, v1, size, = _NUMBERS[3].unpack_from(data)
    at = 24
    v2 = None
    if size != NULL:
        if size > len(data) - at:
            raise Malformed("length beyond the frame")
        v2, at = bytes(data[at : at + size]), at + size
    v3, at = _bytes(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3,)


def _encode_C_LoginUser() -> bytes:
    return b""


def _decode_C_SessionCancel(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_SessionCancel() -> bytes:
    return b""


def _decode_C_MessageEncryptInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_MessageEncryptInit() -> bytes:
    return b""


def _decode_C_EncryptMessage(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _message_made(data, at)
    v2, at = _bytes(data, at)
    v3, at = _bytes(data, at)
    v4, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3, v4,)


def _encode_C_EncryptMessage(v0: Any, v1: Any, v2: Any, v3: Any) -> bytes:
    return _made(v0, v1) + _sized(v2, v3)


def _decode_C_EncryptMessageBegin(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _message_made(data, at)
    v2, at = _bytes(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_EncryptMessageBegin(v0: Any, v1: Any) -> bytes:
    return _made(v0, v1)


def _decode_C_EncryptMessageNext(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _message_made(data, at)
    v2, at = _bytes(data, at)
    v3, at = _capacity(data, at)
    v4, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3, v4,)


def _encode_C_EncryptMessageNext(v0: Any, v1: Any, v2: Any, v3: Any) -> bytes:
    return _made(v0, v1) + _sized(v2, v3)


def _decode_C_MessageEncryptFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_MessageEncryptFinal() -> bytes:
    return b""


def _decode_C_MessageDecryptInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _mechanism(data, at)
    v2, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_MessageDecryptInit() -> bytes:
    return b""


def _decode_C_DecryptMessage(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _message_read(data, at)
    v2, at = _bytes(data, at)
    v3, at = _bytes(data, at)
    v4, at = _capacity(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3, v4,)


def _encode_C_DecryptMessage(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_DecryptMessageBegin(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _message_read(data, at)
    v2, at = _bytes(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2,)


def _encode_C_DecryptMessageBegin() -> bytes:
    return b""


def _decode_C_DecryptMessageNext(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    v1, at = _message_read(data, at)
    v2, at = _bytes(data, at)
    v3, at = _capacity(data, at)
    v4, at = _u64(data, at)
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1, v2, v3, v4,)


def _encode_C_DecryptMessageNext(v0: Any, v1: Any) -> bytes:
    return _sized(v0, v1)


def _decode_C_MessageDecryptFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_MessageDecryptFinal() -> bytes:
    return b""


def _decode_C_MessageSignInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_MessageSignInit() -> bytes:
    return b""


def _decode_C_SignMessage(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_SignMessage() -> bytes:
    return b""


def _decode_C_SignMessageBegin(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_SignMessageBegin() -> bytes:
    return b""


def _decode_C_SignMessageNext(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_SignMessageNext() -> bytes:
    return b""


def _decode_C_MessageSignFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_MessageSignFinal() -> bytes:
    return b""


def _decode_C_MessageVerifyInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_MessageVerifyInit() -> bytes:
    return b""


def _decode_C_VerifyMessage(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifyMessage() -> bytes:
    return b""


def _decode_C_VerifyMessageBegin(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifyMessageBegin() -> bytes:
    return b""


def _decode_C_VerifyMessageNext(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifyMessageNext() -> bytes:
    return b""


def _decode_C_MessageVerifyFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_MessageVerifyFinal() -> bytes:
    return b""


def _decode_C_EncapsulateKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_EncapsulateKey() -> bytes:
    return b""


def _decode_C_DecapsulateKey(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_DecapsulateKey() -> bytes:
    return b""


def _decode_C_VerifySignatureInit(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifySignatureInit() -> bytes:
    return b""


def _decode_C_VerifySignature(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifySignature() -> bytes:
    return b""


def _decode_C_VerifySignatureUpdate(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifySignatureUpdate() -> bytes:
    return b""


def _decode_C_VerifySignatureFinal(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_VerifySignatureFinal() -> bytes:
    return b""


def _decode_C_GetSessionValidationFlags(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 16:
        raise Malformed("short")
    v0, v1, = _NUMBERS[2].unpack_from(data)
    at = 16
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0, v1,)


def _encode_C_GetSessionValidationFlags(v0: Any) -> bytes:
    return _Q.pack(v0)


def _decode_C_AsyncComplete(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_AsyncComplete() -> bytes:
    return b""


def _decode_C_AsyncGetID(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_AsyncGetID() -> bytes:
    return b""


def _decode_C_AsyncJoin(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_AsyncJoin() -> bytes:
    return b""


def _decode_C_WrapKeyAuthenticated(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_WrapKeyAuthenticated() -> bytes:
    return b""


def _decode_C_UnwrapKeyAuthenticated(data: memoryview) -> tuple[Any, ...]:
    if len(data) < 8:
        raise Malformed("short")
    v0, = _NUMBERS[1].unpack_from(data)
    at = 8
    if at != len(data):
        raise Malformed("bytes left over")
    return (v0,)


def _encode_C_UnwrapKeyAuthenticated() -> bytes:
    return b""


DECODE: list[Callable[..., Any]] = [
    _decode_C_Initialize,
    _decode_C_Finalize,
    _decode_C_GetInfo,
    _decode_C_GetFunctionList,
    _decode_C_GetSlotList,
    _decode_C_GetSlotInfo,
    _decode_C_GetTokenInfo,
    _decode_C_GetMechanismList,
    _decode_C_GetMechanismInfo,
    _decode_C_InitToken,
    _decode_C_InitPIN,
    _decode_C_SetPIN,
    _decode_C_OpenSession,
    _decode_C_CloseSession,
    _decode_C_CloseAllSessions,
    _decode_C_GetSessionInfo,
    _decode_C_GetOperationState,
    _decode_C_SetOperationState,
    _decode_C_Login,
    _decode_C_Logout,
    _decode_C_CreateObject,
    _decode_C_CopyObject,
    _decode_C_DestroyObject,
    _decode_C_GetObjectSize,
    _decode_C_GetAttributeValue,
    _decode_C_SetAttributeValue,
    _decode_C_FindObjectsInit,
    _decode_C_FindObjects,
    _decode_C_FindObjectsFinal,
    _decode_C_EncryptInit,
    _decode_C_Encrypt,
    _decode_C_EncryptUpdate,
    _decode_C_EncryptFinal,
    _decode_C_DecryptInit,
    _decode_C_Decrypt,
    _decode_C_DecryptUpdate,
    _decode_C_DecryptFinal,
    _decode_C_DigestInit,
    _decode_C_Digest,
    _decode_C_DigestUpdate,
    _decode_C_DigestKey,
    _decode_C_DigestFinal,
    _decode_C_SignInit,
    _decode_C_Sign,
    _decode_C_SignUpdate,
    _decode_C_SignFinal,
    _decode_C_SignRecoverInit,
    _decode_C_SignRecover,
    _decode_C_VerifyInit,
    _decode_C_Verify,
    _decode_C_VerifyUpdate,
    _decode_C_VerifyFinal,
    _decode_C_VerifyRecoverInit,
    _decode_C_VerifyRecover,
    _decode_C_DigestEncryptUpdate,
    _decode_C_DecryptDigestUpdate,
    _decode_C_SignEncryptUpdate,
    _decode_C_DecryptVerifyUpdate,
    _decode_C_GenerateKey,
    _decode_C_GenerateKeyPair,
    _decode_C_WrapKey,
    _decode_C_UnwrapKey,
    _decode_C_DeriveKey,
    _decode_C_SeedRandom,
    _decode_C_GenerateRandom,
    _decode_C_GetFunctionStatus,
    _decode_C_CancelFunction,
    _decode_C_WaitForSlotEvent,
    _decode_C_GetInterfaceList,
    _decode_C_GetInterface,
    _decode_C_LoginUser,
    _decode_C_SessionCancel,
    _decode_C_MessageEncryptInit,
    _decode_C_EncryptMessage,
    _decode_C_EncryptMessageBegin,
    _decode_C_EncryptMessageNext,
    _decode_C_MessageEncryptFinal,
    _decode_C_MessageDecryptInit,
    _decode_C_DecryptMessage,
    _decode_C_DecryptMessageBegin,
    _decode_C_DecryptMessageNext,
    _decode_C_MessageDecryptFinal,
    _decode_C_MessageSignInit,
    _decode_C_SignMessage,
    _decode_C_SignMessageBegin,
    _decode_C_SignMessageNext,
    _decode_C_MessageSignFinal,
    _decode_C_MessageVerifyInit,
    _decode_C_VerifyMessage,
    _decode_C_VerifyMessageBegin,
    _decode_C_VerifyMessageNext,
    _decode_C_MessageVerifyFinal,
    _decode_C_EncapsulateKey,
    _decode_C_DecapsulateKey,
    _decode_C_VerifySignatureInit,
    _decode_C_VerifySignature,
    _decode_C_VerifySignatureUpdate,
    _decode_C_VerifySignatureFinal,
    _decode_C_GetSessionValidationFlags,
    _decode_C_AsyncComplete,
    _decode_C_AsyncGetID,
    _decode_C_AsyncJoin,
    _decode_C_WrapKeyAuthenticated,
    _decode_C_UnwrapKeyAuthenticated,
]
ENCODE: list[Callable[..., Any]] = [
    _encode_C_Initialize,
    _encode_C_Finalize,
    _encode_C_GetInfo,
    _encode_C_GetFunctionList,
    _encode_C_GetSlotList,
    _encode_C_GetSlotInfo,
    _encode_C_GetTokenInfo,
    _encode_C_GetMechanismList,
    _encode_C_GetMechanismInfo,
    _encode_C_InitToken,
    _encode_C_InitPIN,
    _encode_C_SetPIN,
    _encode_C_OpenSession,
    _encode_C_CloseSession,
    _encode_C_CloseAllSessions,
    _encode_C_GetSessionInfo,
    _encode_C_GetOperationState,
    _encode_C_SetOperationState,
    _encode_C_Login,
    _encode_C_Logout,
    _encode_C_CreateObject,
    _encode_C_CopyObject,
    _encode_C_DestroyObject,
    _encode_C_GetObjectSize,
    _encode_C_GetAttributeValue,
    _encode_C_SetAttributeValue,
    _encode_C_FindObjectsInit,
    _encode_C_FindObjects,
    _encode_C_FindObjectsFinal,
    _encode_C_EncryptInit,
    _encode_C_Encrypt,
    _encode_C_EncryptUpdate,
    _encode_C_EncryptFinal,
    _encode_C_DecryptInit,
    _encode_C_Decrypt,
    _encode_C_DecryptUpdate,
    _encode_C_DecryptFinal,
    _encode_C_DigestInit,
    _encode_C_Digest,
    _encode_C_DigestUpdate,
    _encode_C_DigestKey,
    _encode_C_DigestFinal,
    _encode_C_SignInit,
    _encode_C_Sign,
    _encode_C_SignUpdate,
    _encode_C_SignFinal,
    _encode_C_SignRecoverInit,
    _encode_C_SignRecover,
    _encode_C_VerifyInit,
    _encode_C_Verify,
    _encode_C_VerifyUpdate,
    _encode_C_VerifyFinal,
    _encode_C_VerifyRecoverInit,
    _encode_C_VerifyRecover,
    _encode_C_DigestEncryptUpdate,
    _encode_C_DecryptDigestUpdate,
    _encode_C_SignEncryptUpdate,
    _encode_C_DecryptVerifyUpdate,
    _encode_C_GenerateKey,
    _encode_C_GenerateKeyPair,
    _encode_C_WrapKey,
    _encode_C_UnwrapKey,
    _encode_C_DeriveKey,
    _encode_C_SeedRandom,
    _encode_C_GenerateRandom,
    _encode_C_GetFunctionStatus,
    _encode_C_CancelFunction,
    _encode_C_WaitForSlotEvent,
    _encode_C_GetInterfaceList,
    _encode_C_GetInterface,
    _encode_C_LoginUser,
    _encode_C_SessionCancel,
    _encode_C_MessageEncryptInit,
    _encode_C_EncryptMessage,
    _encode_C_EncryptMessageBegin,
    _encode_C_EncryptMessageNext,
    _encode_C_MessageEncryptFinal,
    _encode_C_MessageDecryptInit,
    _encode_C_DecryptMessage,
    _encode_C_DecryptMessageBegin,
    _encode_C_DecryptMessageNext,
    _encode_C_MessageDecryptFinal,
    _encode_C_MessageSignInit,
    _encode_C_SignMessage,
    _encode_C_SignMessageBegin,
    _encode_C_SignMessageNext,
    _encode_C_MessageSignFinal,
    _encode_C_MessageVerifyInit,
    _encode_C_VerifyMessage,
    _encode_C_VerifyMessageBegin,
    _encode_C_VerifyMessageNext,
    _encode_C_MessageVerifyFinal,
    _encode_C_EncapsulateKey,
    _encode_C_DecapsulateKey,
    _encode_C_VerifySignatureInit,
    _encode_C_VerifySignature,
    _encode_C_VerifySignatureUpdate,
    _encode_C_VerifySignatureFinal,
    _encode_C_GetSessionValidationFlags,
    _encode_C_AsyncComplete,
    _encode_C_AsyncGetID,
    _encode_C_AsyncJoin,
    _encode_C_WrapKeyAuthenticated,
    _encode_C_UnwrapKeyAuthenticated,
]
# What a library may answer by itself and send ahead of a later call.
BEGINS = (29, 33, 37, 42, 48)
NAMES = [
    "C_Initialize",
    "C_Finalize",
    "C_GetInfo",
    "C_GetFunctionList",
    "C_GetSlotList",
    "C_GetSlotInfo",
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_GetMechanismInfo",
    "C_InitToken",
    "C_InitPIN",
    "C_SetPIN",
    "C_OpenSession",
    "C_CloseSession",
    "C_CloseAllSessions",
    "C_GetSessionInfo",
    "C_GetOperationState",
    "C_SetOperationState",
    "C_Login",
    "C_Logout",
    "C_CreateObject",
    "C_CopyObject",
    "C_DestroyObject",
    "C_GetObjectSize",
    "C_GetAttributeValue",
    "C_SetAttributeValue",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_EncryptInit",
    "C_Encrypt",
    "C_EncryptUpdate",
    "C_EncryptFinal",
    "C_DecryptInit",
    "C_Decrypt",
    "C_DecryptUpdate",
    "C_DecryptFinal",
    "C_DigestInit",
    "C_Digest",
    "C_DigestUpdate",
    "C_DigestKey",
    "C_DigestFinal",
    "C_SignInit",
    "C_Sign",
    "C_SignUpdate",
    "C_SignFinal",
    "C_SignRecoverInit",
    "C_SignRecover",
    "C_VerifyInit",
    "C_Verify",
    "C_VerifyUpdate",
    "C_VerifyFinal",
    "C_VerifyRecoverInit",
    "C_VerifyRecover",
    "C_DigestEncryptUpdate",
    "C_DecryptDigestUpdate",
    "C_SignEncryptUpdate",
    "C_DecryptVerifyUpdate",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_WrapKey",
    "C_UnwrapKey",
    "C_DeriveKey",
    "C_SeedRandom",
    "C_GenerateRandom",
    "C_GetFunctionStatus",
    "C_CancelFunction",
    "C_WaitForSlotEvent",
    "C_GetInterfaceList",
    "C_GetInterface",
    "C_LoginUser",
    "C_SessionCancel",
    "C_MessageEncryptInit",
    "C_EncryptMessage",
    "C_EncryptMessageBegin",
    "C_EncryptMessageNext",
    "C_MessageEncryptFinal",
    "C_MessageDecryptInit",
    "C_DecryptMessage",
    "C_DecryptMessageBegin",
    "C_DecryptMessageNext",
    "C_MessageDecryptFinal",
    "C_MessageSignInit",
    "C_SignMessage",
    "C_SignMessageBegin",
    "C_SignMessageNext",
    "C_MessageSignFinal",
    "C_MessageVerifyInit",
    "C_VerifyMessage",
    "C_VerifyMessageBegin",
    "C_VerifyMessageNext",
    "C_MessageVerifyFinal",
    "C_EncapsulateKey",
    "C_DecapsulateKey",
    "C_VerifySignatureInit",
    "C_VerifySignature",
    "C_VerifySignatureUpdate",
    "C_VerifySignatureFinal",
    "C_GetSessionValidationFlags",
    "C_AsyncComplete",
    "C_AsyncGetID",
    "C_AsyncJoin",
    "C_WrapKeyAuthenticated",
    "C_UnwrapKeyAuthenticated",
]
