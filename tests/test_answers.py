"""What the library makes of an engine's answers: of those that can't be, and of attribute arrays."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, logged_in, name, ulong
from fake_engine import FakeEngine, framed

from hsm.client import MODULE
from pkcs11_shim import constants as ck


@pytest.fixture
def lying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Module, list[bytes]]]:
    """The library, and the payload its engine answers CKR_OK with to anything."""
    told = [b""]
    home = tmp_path / "pool"
    home.mkdir(mode=0o700)
    engine = FakeEngine(home, lambda function, payload: (framed(ck.CKR_OK, told[0]), True))
    monkeypatch.setenv("ADYTON_HOME", str(home))
    with initialised(str(MODULE)) as module:
        yield module, told
    engine.close()


def _many(m: Module) -> int:
    return int(m.C_FindObjects(1, ffi.new("CK_ULONG[4]"), 2**64 - 1, ffi.new("CK_ULONG*")))


def _slots(m: Module) -> int:
    return int(m.C_GetSlotList(0, ffi.new("CK_ULONG[4]"), ffi.new("CK_ULONG*", 2**62)))


def _size(m: Module) -> int:
    return int(m.C_Digest(1, m.bytes(b"x"), 1, ffi.new("CK_BYTE[8]"), ffi.new("CK_ULONG*", 8)))


def _query(m: Module) -> int:
    return int(m.C_GetAttributeValue(1, 2, *m.template({ck.CKA_ID: b"1234"})))


def _array(m: Module) -> int:
    return int(m.C_GetAttributeValue(1, 2, *m.template({ck.CKA_WRAP_TEMPLATE: {ck.CKA_ID: b"1234"}})))


def _message(m: Module) -> int:
    room = ffi.new("CK_BYTE[4]"), ffi.new("CK_ULONG*", 4)
    return int(m.C_EncryptMessage(1, *m.gcm_message(), NULL, 0, b"data", 4, *room))


def _places(iv: bytes, tag: bytes) -> bytes:
    return struct.pack("<Q", len(iv)) + iv + struct.pack("<Q", len(tag)) + tag


TAKEN = struct.pack("<QB", 4, 1) + bytes(4)  # four bytes of output
LIES: list[tuple[Callable[[Module], int], bytes]] = [
    (_many, struct.pack("<Q", 2**61)),  # times eight is nothing
    (_many, struct.pack("<3Q", 3, 1, 2)),
    (_slots, struct.pack("<QB", 2**61, 1)),
    (_slots, struct.pack("<QB", 4, 0)),  # CKR_OK, room, and nothing in it
    (_slots, struct.pack("<QBQ", 1, 1, 7) + b"more"),
    (_size, struct.pack("<QB", 9, 1) + bytes(9)),
    (_size, struct.pack("<QB", 4, 2) + bytes(4)),
    (_size, struct.pack("<QB", 2**63, 1) + bytes(8)),
    (_query, struct.pack("<QQB", 1, 5, 1) + bytes(5)),
    (_query, struct.pack("<QQB", 2, 4, 1) + bytes(4)),
    (_query, struct.pack("<QQB", 1, 24, 2) + bytes(17)),
    (_query, struct.pack("<QQB", 1, 4, 3) + bytes(4)),
    (_query, struct.pack("<QQB", 1, 0, 2)),  # what is an array and what is not, the type says
    (_array, struct.pack("<QQB", 1, 24, 1) + bytes(24)),
    (lambda m: int(m.C_OpenSession(0, 4, NULL, NULL, ffi.new("CK_ULONG*"))), bytes(7)),
    (lambda m: int(m.C_GetSlotInfo(0, ffi.new("CK_SLOT_INFO*"))), ulong(105) + bytes(105)),
    (lambda m: int(m.C_Logout(1)), b"surplus"),
    (_message, _places(b"", bytes(15)) + TAKEN),
    (_message, _places(bytes(13), b"") + TAKEN),
    (_message, struct.pack("<Q", 2**63) + bytes(40)),
    (_message, _places(bytes(12), bytes(16))),
    (lambda m: int(m.C_EncryptMessageBegin(1, *m.gcm_message(), NULL, 0)), _places(bytes(11), b"")),
    (lambda m: int(m.C_EncryptMessageBegin(1, NULL, 0, NULL, 0)), _places(bytes(12), b"")),
    (lambda m: int(m.C_MessageSignFinal(1)), b""),  # no engine can have done what it was not told
]


@pytest.mark.parametrize("call,payload", LIES, ids=range(len(LIES)))
def test_an_answer_that_cannot_be(
    lying: tuple[Module, list[bytes]], call: Callable[[Module], int], payload: bytes
) -> None:
    module, told = lying
    told[0] = payload
    assert name(call(module)) == "CKR_DEVICE_ERROR"
    told[0] = b""
    good(module.C_Logout(1))


def test_what_an_attribute_array_holds(adyton_token: Any) -> None:
    """Section 5.7.5: sizes first; then types are set whatever they were, and each value's own room is judged."""
    with logged_in(adyton_token) as (m, s):
        inner = {ck.CKA_LABEL: b"sixteen letters.", ck.CKA_EXTRACTABLE: True}
        rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: bytes(16)}
        key = m.make(s, {**rows, ck.CKA_WRAP_TEMPLATE: inner})
        query = ffi.new("CK_ATTRIBUTE*", {"type": ck.CKA_WRAP_TEMPLATE})
        good(m.C_GetAttributeValue(s, key, query, 1))
        assert query.ulValueLen == 2 * ffi.sizeof("CK_ATTRIBUTE")
        found = ffi.new("CK_ATTRIBUTE[2]", [{"type": 99}, {"type": ck.CKA_WRAP_TEMPLATE}])
        query.pValue = found
        good(m.C_GetAttributeValue(s, key, query, 1))
        assert {row.type: row.ulValueLen for row in found} == {ck.CKA_LABEL: 16, ck.CKA_EXTRACTABLE: 1}
        values = [ffi.new("CK_BYTE[16]"), ffi.new("CK_BYTE[16]")]
        for row, value in zip(found, values, strict=True):
            row.pValue, row.ulValueLen = value, 16
        good(m.C_GetAttributeValue(s, key, query, 1))
        read = {row.type: bytes(ffi.buffer(row.pValue, row.ulValueLen)) for row in found}
        assert read == {ck.CKA_LABEL: b"sixteen letters.", ck.CKA_EXTRACTABLE: b"\x01"}
        for row in found:
            row.ulValueLen = 1
        assert name(m.C_GetAttributeValue(s, key, query, 1)) == "CKR_BUFFER_TOO_SMALL"
        lengths = {row.type: row.ulValueLen for row in found}
        assert lengths == {ck.CKA_LABEL: ck.CK_UNAVAILABLE_INFORMATION, ck.CKA_EXTRACTABLE: 1}
        query.ulValueLen = ffi.sizeof("CK_ATTRIBUTE")
        assert name(m.C_GetAttributeValue(s, key, query, 1)) == "CKR_BUFFER_TOO_SMALL"
        assert query.ulValueLen == ck.CK_UNAVAILABLE_INFORMATION


def test_an_attribute_array_within_another_is_told_by_its_size(adyton_token: Any) -> None:
    """What the caller has room in there for, bytes or attributes, nobody can know: it is not written to."""
    with logged_in(adyton_token) as (m, s):
        inner = {ck.CKA_WRAP_TEMPLATE: {ck.CKA_LABEL: b"deep"}}
        rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: bytes(16)}
        key = m.make(s, {**rows, ck.CKA_UNWRAP_TEMPLATE: inner})
        found = ffi.new("CK_ATTRIBUTE*")
        query = ffi.new("CK_ATTRIBUTE*", {"type": ck.CKA_UNWRAP_TEMPLATE, "pValue": found, "ulValueLen": 24})
        good(m.C_GetAttributeValue(s, key, query, 1))
        assert (found.type, found.ulValueLen) == (ck.CKA_WRAP_TEMPLATE, ffi.sizeof("CK_ATTRIBUTE"))
        found.pValue = room = ffi.new("CK_BYTE[24]", bytes([255] * 24))
        assert name(m.C_GetAttributeValue(s, key, query, 1)) == "CKR_BUFFER_TOO_SMALL"
        assert found.ulValueLen == ck.CK_UNAVAILABLE_INFORMATION and bytes(room) == bytes([255] * 24)
