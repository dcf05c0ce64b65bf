"""The built library driven as a C program drives it: through cffi, from the declarations it was built from.

Calls return their code; nothing is checked or retried behind a test's back. ``good`` asserts CKR_OK.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cffi

from pkcs11_shim import constants as ck

HEADER = Path(__file__).resolve().parent.parent / "c_src/pkcs11.h"
ffi = cffi.FFI()
ffi.cdef("\n".join(line for line in HEADER.read_text().splitlines() if not line.startswith("#")))
NULL = ffi.NULL
TRUE, FALSE = b"\x01", b"\x00"
Rows = dict[int, Any]


def ulong(value: int) -> bytes:
    return value.to_bytes(8, "little")


def name(rv: int) -> str:
    return next((n for n, v in vars(ck).items() if n.startswith("CKR_") and v == rv), hex(rv))


def good(rv: int) -> None:
    assert rv == ck.CKR_OK, name(rv)


class Module:
    """The library, loaded; attributes are its functions. Keeps every buffer it made alive until it is dropped."""

    def __init__(self, path: str) -> None:
        self.library = ffi.dlopen(path)
        self._kept: list[Any] = []

    def __getattr__(self, function: str) -> Any:
        return getattr(self.library, function)

    def keep(self, made: Any) -> Any:
        self._kept.append(made)
        return made

    def bytes(self, value: bytes) -> Any:
        return self.keep(ffi.new("CK_BYTE[]", value or b"\0"))

    def template(self, rows: Rows | list[tuple[int, Any]]) -> tuple[Any, int]:
        """Values: bytes, int (CK_ULONG), bool, None (NULL, 0) or a dict for a nested template."""
        pairs = list(rows.items()) if isinstance(rows, dict) else rows
        made = self.keep(ffi.new("CK_ATTRIBUTE[]", max(len(pairs), 1)))
        for row, (number, value) in zip(made, pairs, strict=False):
            row.type = number
            if isinstance(value, dict):
                row.pValue, count = self.template(value)
                row.ulValueLen = count * ffi.sizeof("CK_ATTRIBUTE")
            elif value is not None:
                raw = TRUE if value is True else FALSE if value is False else value
                raw = ulong(raw) if isinstance(raw, int) else raw
                row.pValue, row.ulValueLen = self.bytes(raw), len(raw)
        return made, len(pairs)

    def mechanism(self, number: int, parameter: Any = None) -> Any:
        """``parameter``: None, bytes, or a cffi structure pointer."""
        made = self.keep(ffi.new("CK_MECHANISM*"))
        made.mechanism = number
        if isinstance(parameter, bytes):
            made.pParameter, made.ulParameterLen = self.bytes(parameter), len(parameter)
        elif parameter is not None:
            made.pParameter, made.ulParameterLen = parameter, ffi.sizeof(ffi.typeof(parameter).item)
        return made

    def structure(self, kind: str, **fields: Any) -> Any:
        """A parameter structure; a bytes field sets its pointer, the matching length is a field of its own."""
        made = self.keep(ffi.new(f"{kind}*"))
        for field, value in fields.items():
            if isinstance(value, bytes) and ffi.typeof(made).item.fields is not None:
                kinds = dict(ffi.typeof(made).item.fields)
                value = list(value) if kinds[field].type.kind == "array" else self.bytes(value) if value else NULL
            setattr(made, field, value)
        return made

    def gcm_message(self) -> tuple[Any, int]:
        """CK_GCM_MESSAGE_PARAMS as the message calls take it, for an IV of twelve bytes that the token makes."""
        made = self.structure(
            "CK_GCM_MESSAGE_PARAMS", pIv=b"\0" * 12, ulIvLen=12, ivGenerator=ck.CKG_GENERATE, pTag=b"\0" * 16,
            ulTagBits=128,
        )
        return made, ffi.sizeof("CK_GCM_MESSAGE_PARAMS")

    # -- calls that tests make all the time

    def session(self, slot: int = 0, *, read_write: bool = True) -> int:
        made = ffi.new("CK_SESSION_HANDLE*")
        flags = ck.CKF_SERIAL_SESSION | (ck.CKF_RW_SESSION if read_write else 0)
        good(self.C_OpenSession(slot, flags, NULL, NULL, made))
        return int(made[0])

    def login(self, session: int, pin: str, user: int = ck.CKU_USER) -> int:
        return int(self.C_Login(session, user, pin.encode(), len(pin)))

    def state(self, session: int) -> int:
        """The session's CKS_..."""
        info = ffi.new("CK_SESSION_INFO*")
        good(self.C_GetSessionInfo(session, info))
        return int(info.state)

    def token(self, slot: int = 0) -> Any:
        info = self.keep(ffi.new("CK_TOKEN_INFO*"))
        good(self.C_GetTokenInfo(slot, info))
        return info

    def copy(self, session: int, source: int, rows: Rows) -> tuple[int, int]:
        made = ffi.new("CK_OBJECT_HANDLE*")
        return int(self.C_CopyObject(session, source, *self.template(rows), made)), int(made[0])

    def change(self, session: int, target: int, rows: Rows) -> int:
        return int(self.C_SetAttributeValue(session, target, *self.template(rows)))

    def create(self, session: int, rows: Rows | list[tuple[int, Any]]) -> tuple[int, int]:
        made = ffi.new("CK_OBJECT_HANDLE*")
        return int(self.C_CreateObject(session, *self.template(rows), made)), int(made[0])

    def make(self, session: int, rows: Rows) -> int:
        rv, handle = self.create(session, rows)
        good(rv)
        return handle

    def generate(self, session: int, number: int, rows: Rows, parameter: Any = None) -> tuple[int, int]:
        made = ffi.new("CK_OBJECT_HANDLE*")
        rv = self.C_GenerateKey(session, self.mechanism(number, parameter), *self.template(rows), made)
        return int(rv), int(made[0])

    def aes(self, session: int, **more: Any) -> int:
        rows = {ck.CKA_VALUE_LEN: 32, **{getattr(ck, f"CKA_{n.upper()}"): v for n, v in more.items()}}
        rv, handle = self.generate(session, ck.CKM_AES_KEY_GEN, rows)
        good(rv)
        return handle

    def pair(self, session: int, number: int, public: Rows, private: Rows) -> tuple[int, int, int]:
        one, two = ffi.new("CK_OBJECT_HANDLE*"), ffi.new("CK_OBJECT_HANDLE*")
        templates = (*self.template(public), *self.template(private))
        return int(self.C_GenerateKeyPair(session, self.mechanism(number), *templates, one, two)), one[0], two[0]

    def read(self, session: int, handle: int, attribute: int) -> bytes:
        query = ffi.new("CK_ATTRIBUTE*", {"type": attribute})
        good(self.C_GetAttributeValue(session, handle, query, 1))
        query.pValue = value = ffi.new("CK_BYTE[]", max(query.ulValueLen, 1))
        good(self.C_GetAttributeValue(session, handle, query, 1))
        return bytes(ffi.buffer(value, query.ulValueLen))

    def find(self, session: int, rows: Rows) -> list[int]:
        good(self.C_FindObjectsInit(session, *self.template(rows)))
        found, count = ffi.new("CK_OBJECT_HANDLE[64]"), ffi.new("CK_ULONG*")
        good(self.C_FindObjects(session, found, 64, count))
        good(self.C_FindObjectsFinal(session))
        return [int(found[i]) for i in range(count[0])]

    def output(self, call: Any, *before: Any, size: int = 65536) -> tuple[int, bytes]:
        """A call that ends in (pOut, pulLen)."""
        room, length = ffi.new("CK_BYTE[]", max(size, 1)), ffi.new("CK_ULONG*", size)
        rv = int(call(*before, room, length))
        return rv, bytes(ffi.buffer(room, length[0])) if rv == ck.CKR_OK else b""

    def use(self, what: str, session: int, mechanism: Any, key: int, data: bytes) -> tuple[int, bytes]:
        """C_{what}Init and C_{what}: Sign, Encrypt or Decrypt."""
        rv = int(getattr(self, f"C_{what}Init")(session, mechanism, key))
        return (rv, b"") if rv else self.output(getattr(self, f"C_{what}"), session, self.bytes(data), len(data))

    def verify(self, session: int, mechanism: Any, key: int, data: bytes, signature: bytes) -> int:
        rv = int(self.C_VerifyInit(session, mechanism, key))
        if rv:
            return rv
        return int(self.C_Verify(session, self.bytes(data), len(data), self.bytes(signature), len(signature)))

    def wrap(self, session: int, mechanism: Any, key: int, target: int) -> tuple[int, bytes]:
        return self.output(self.C_WrapKey, session, mechanism, key, target)

    def unwrap(self, session: int, mechanism: Any, key: int, wrapped: bytes, rows: Rows) -> tuple[int, int]:
        made = ffi.new("CK_OBJECT_HANDLE*")
        data = self.bytes(wrapped), len(wrapped)
        return int(self.C_UnwrapKey(session, mechanism, key, *data, *self.template(rows), made)), int(made[0])

    def derive(self, session: int, mechanism: Any, base: int, rows: Rows) -> tuple[int, int]:
        made = ffi.new("CK_OBJECT_HANDLE*")
        return int(self.C_DeriveKey(session, mechanism, base, *self.template(rows), made)), int(made[0])


@contextmanager
def initialised(path: str) -> Iterator[Module]:
    module = Module(path)
    good(module.C_Initialize(NULL))
    try:
        yield module
    finally:
        module.C_Finalize(NULL)


@contextmanager
def logged_in(token: Any) -> Iterator[tuple[Module, int]]:
    """The library initialised, one R/W session, the user logged in."""
    with initialised(token.module) as module:
        session = module.session()
        good(module.login(session, token.pin))
        yield module, session
