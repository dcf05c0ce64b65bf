"""Every code that a function lists and that can be brought about, brought about through the C ABI.

``code_rows*.py`` are the table: function, situation, code, and the calls that lead there.
What a list has and the table has not is named in ``NOT_PROVOKED`` and ``NOT_BY`` with the reason, and a test sees that
nothing is left over.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import code_rows
import code_rows_of_keys
import code_rows_of_messages
import code_rows_of_operations
import pytest
from abi import NULL, Module, ffi, good, name, ulong
from code_world import CALLS, Row, World

from hsm.client import Client
from hsm.cryptoki import return_codes
from hsm.server import codec
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck
from pkcs11_shim import directions

ROWS = [*code_rows.ROWS, *code_rows_of_keys.ROWS, *code_rows_of_operations.ROWS, *code_rows_of_messages.ROWS]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ThrowAway() as token, pytest.MonkeyPatch.context() as patch:
        for variable, value in token.environment.items():
            patch.setenv(variable, value)
        client = Client(token.home)
        blank = client.ask("partition-create")["partition"]["slot"]
        client.close()
        module = Module(token.module)
        good(module.C_Initialize(NULL))
        try:
            yield World(token, module, blank)
        finally:
            module.C_Finalize(NULL)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.function}: {row.situation}".replace("[", "("))
def test_code(world: World, row: Row) -> None:
    w = world.fresh()
    assert name(row.act(w)) == f"CKR_{row.code}"
    assert getattr(ck, f"CKR_{row.code}") in return_codes.ALLOWED[row.function]
    if row.code in ("PIN_INCORRECT", "ARGUMENTS_BAD"):  # no row locks a PIN for the next ones
        w.fresh().so()


# Codes that a list has and nothing here brings about, with the reason.
NOT_PROVOKED = {
    "OK": "the other tests", "CRYPTOKI_NOT_INITIALIZED": "a test of its own", "DEVICE_REMOVED": "a test of its own",
    "GENERAL_ERROR": "never answered", "FUNCTION_FAILED": "only where no better code is listed",
    "OPERATION_NOT_VALIDATED": "there is no validation policy", "HOST_MEMORY": "needs a host without memory",
    "DEVICE_MEMORY": "test_codes_of_the_store.py", "DEVICE_ERROR": "test_codes_of_the_store.py",
    "TOKEN_WRITE_PROTECTED": "test_codes_of_the_store.py", "TOKEN_NOT_PRESENT": "tokens stay in their slots",
    "TOKEN_NOT_RECOGNIZED": "every token is known", "SESSION_CLOSED": "needs a race of two threads",
    "PENDING": "nothing is asynchronous", "FUNCTION_CANCELED": "nothing calls back",
    "OPERATION_CANCEL_FAILED": "every operation can be cancelled", "SESSION_COUNT": "a test of its own: a setting",
    "PIN_EXPIRED": "no PIN expires", "USER_TOO_MANY_TYPES": "any number of applications may log in",
    "TOKEN_RESOURCE_EXCEEDED": "no key has a limited number of uses", "FUNCTION_REJECTED": "nobody is asked",
    "INFORMATION_SENSITIVE": "sizes are told",
    "PARAMETER_SET_NOT_SUPPORTED": "no mechanism has them", "RANDOM_NO_RNG": "there is one",
    "RANDOM_SEED_NOT_SUPPORTED": "test_codes_of_the_store.py", "SEED_RANDOM_REQUIRED": "it needs none",
    "KEY_NEEDED": "a state keeps its keys (CKF_RESTORE_KEY_NOT_NEEDED)",
    "PIN_LOCKED": "tests of its own: it stays locked", "USER_PIN_NOT_INITIALIZED": "a test of its own",
    "DATA_INVALID": "by raw RSA only, which is not offered everywhere; else CKR_DATA_LEN_RANGE is the better one",
}
# Codes that other functions answer, the functions that don't, and the reason.
_INITS = tuple(f for f in return_codes.ALLOWED if f.endswith("Init"))
_BEGIN_OR_FINISH = (
    *_INITS, "C_Encrypt", "C_Decrypt", "C_DecryptUpdate", "C_Digest", "C_Sign", "C_Verify", "C_DecryptDigestUpdate",
    "C_DecryptVerifyUpdate", "C_EncryptMessage", "C_EncryptMessageBegin", "C_MessageEncryptFinal", "C_DecryptMessage",
    "C_DecryptMessageBegin", "C_MessageDecryptFinal",
)
_OF_DECRYPTED_MESSAGES = ("C_DecryptMessage", "C_DecryptMessageBegin", "C_DecryptMessageNext", "C_MessageDecryptFinal")
NOT_BY: dict[str, tuple[str, Collection[str]]] = {
    "TOKEN_NOT_INITIALIZED": (
        "without a session on the token only C_OpenSession needs it initialised", return_codes.ALLOWED.keys() - {
            "C_OpenSession"}),
    "OPERATION_ACTIVE": (
        "an operation hinders only another of its kind, or its own end by another way",
        return_codes.ALLOWED.keys() - set(_BEGIN_OR_FINISH)),
    "USER_NOT_LOGGED_IN": (
        "allowed to everybody, or the key is not seen and its handle invalid",
        [f for f in _INITS if f != "C_FindObjectsInit"] + [
            "C_SetAttributeValue", "C_WrapKey", "C_SeedRandom", "C_GenerateRandom", "C_EncryptMessageBegin",
            *_OF_DECRYPTED_MESSAGES]),
    "MECHANISM_PARAM_INVALID": (
        "each message brings its parameter, Init's is not looked at", ["C_MessageEncryptInit", "C_MessageDecryptInit"]),
    "ARGUMENTS_BAD": ("it has no arguments", ["C_MessageEncryptFinal", "C_MessageDecryptFinal"]),
    "SESSION_READ_ONLY": ("the SO has read/write sessions only", ["C_InitPIN"]),
    "ATTRIBUTE_TYPE_INVALID": ("an unknown attribute matches nothing", ["C_FindObjectsInit"]),
    "ATTRIBUTE_VALUE_INVALID": ("a value that can't be matches nothing", ["C_FindObjectsInit"]),
    "KEY_SIZE_RANGE": (
        "every key that can be made fits", ["C_SignInit", "C_SignRecoverInit", "C_VerifyRecoverInit", "C_DigestKey",
                                          "C_MessageEncryptInit", "C_MessageDecryptInit"]),
    "DOMAIN_PARAMS_INVALID": (
        "the parameters in a wrapped key are part of it, and derived keys have none", ["C_UnwrapKey", "C_DeriveKey"]),
    "CURVE_NOT_SUPPORTED": ("secret keys have no curve", ["C_GenerateKey", "C_DeriveKey"]),
    "BUFFER_TOO_SMALL": ("it gives no bytes", ["C_UnwrapKey"]),
    "ENCRYPTED_DATA_INVALID": (
        "known at the end only, and of a message CKR_AEAD_DECRYPT_FAILED is the better one",
        ["C_DecryptUpdate", "C_DecryptDigestUpdate", "C_DecryptVerifyUpdate", *_OF_DECRYPTED_MESSAGES]),
    "DATA_LEN_RANGE": (
        "an end in parts takes no data, and a signature's length has a code of its own",
        ["C_SignFinal", "C_VerifyFinal", "C_VerifyRecover"]),
}


def test_every_code_of_every_list_is_brought_about_or_said_why_not() -> None:
    provoked = {(row.function, row.code) for row in ROWS}
    by_number = {value: n.removeprefix("CKR_") for n, value in vars(ck).items() if n.startswith("CKR_")}
    for function, codes in return_codes.ALLOWED.items():
        for code in sorted(by_number[rv] for rv in codes):
            excused = code in NOT_PROVOKED or function in NOT_BY.get(code, ("", ()))[1]
            assert ((function, code) in provoked) != excused, (function, code)


def test_each_function_that_is_served_has_a_list() -> None:
    from hsm.server import dispatch

    served = {n for n, handler in zip(codec.NAMES, dispatch.HANDLERS, strict=True) if handler is not None}
    assert served == set(return_codes.ALLOWED) == set(CALLS)


@pytest.mark.parametrize("function", CALLS)
def test_before_initialize(world: World, function: str) -> None:
    good(world.m.C_Finalize(NULL))
    try:
        assert name(CALLS[function](world, 0)) == "CKR_CRYPTOKI_NOT_INITIALIZED"
    finally:
        good(world.m.C_Initialize(NULL))


def test_a_code_of_no_list_becomes_the_nearest_of_the_functions_own() -> None:
    for function, rv, nearest in (
        ("C_InitToken", "PIN_LEN_RANGE", "PIN_INCORRECT"),
        ("C_GenerateKey", "KEY_SIZE_RANGE", "ATTRIBUTE_VALUE_INVALID"),
        ("C_SignUpdate", "FUNCTION_NOT_SUPPORTED", "OPERATION_NOT_INITIALIZED"),
        ("C_SetPIN", "USER_PIN_NOT_INITIALIZED", "PIN_INCORRECT"), ("C_Digest", "SLOT_ID_INVALID", "FUNCTION_FAILED"),
        ("C_DestroyObject", "USER_NOT_LOGGED_IN", "ACTION_PROHIBITED"), ("C_Sign", "PIN_LOCKED", "FUNCTION_FAILED"),
        ("C_Decrypt", "TOKEN_WRITE_PROTECTED", "DEVICE_ERROR"), ("C_GetSlotList", "DEVICE_MEMORY", "HOST_MEMORY"),
    ):
        found = return_codes.answerable(function, getattr(ck, f"CKR_{rv}"))
        assert name(found) == f"CKR_{nearest}", (function, rv)


UNSERVED = [n for n in codec.NAMES if n not in return_codes.ALLOWED and directions.row(n) != directions.LOCAL]


@pytest.mark.parametrize("function", UNSERVED)
def test_a_function_of_a_later_version_says_so_through_every_table_that_has_it(world: World, function: str) -> None:
    """Never a NULL pointer: programs call what a table has."""
    w = world.fresh()
    tables = ffi.new("CK_FUNCTION_LIST**")
    good(w.m.C_GetFunctionList(tables))
    found = [(tables[0], "CK_FUNCTION_LIST")]
    for minor, kind in ((0, "CK_FUNCTION_LIST_3_0"), (2, "CK_FUNCTION_LIST_3_2")):
        version, interface = ffi.new("CK_VERSION*", (3, minor)), ffi.new("CK_INTERFACE**")
        good(w.m.C_GetInterface(w.m.bytes(b"PKCS 11\0"), version, interface, 0))
        found.append((ffi.cast(f"{kind}*", interface[0].pFunctionList), kind))
    seen = 0
    for table, kind in found:
        if function not in dict(ffi.typeof(kind).fields):
            continue
        pointer = getattr(table, function)
        assert pointer != NULL
        arguments = [_argument(w, i, kind) for i, kind in enumerate(ffi.typeof(pointer).args)]
        assert name(pointer(*arguments)) == "CKR_FUNCTION_NOT_SUPPORTED"
        seen += 1
    assert seen >= 1


def _argument(w: World, position: int, kind: Any) -> Any:
    if kind.kind != "pointer":
        return w.s if position == 0 else 0
    if "VOID" in str(kind) or "void" in str(kind) or kind.item.kind == "function":
        return NULL
    return w.m.keep(ffi.new(kind)) if kind.item.kind != "void" else NULL


class Vanishing:
    """An engine that greets, gives a link, and is gone at the first call: for each function, the token was removed."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(home / "socket"))
        self._listening.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                control, _ = self._listening.accept()
            except OSError:
                return
            with control:
                self._take(control)
                control.sendall(struct.pack("<IQHHQ5sQ", 33, 0, 1, 0, 5, b"0.0.0", os.getpid()))
                self._take(control)
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    socket.send_fds(control, [struct.pack("<IQ", 8, 0)], [theirs.fileno()])
                    self._take(ours)

    @staticmethod
    def _take(connection: socket.socket) -> None:
        (length,) = struct.unpack("<I", connection.recv(4, socket.MSG_WAITALL))
        connection.recv(length, socket.MSG_WAITALL)


# Their lists have no CKR_DEVICE_REMOVED: no slots; a slot that can't be asked.
GONE = {
    "C_GetSlotList": "CKR_FUNCTION_FAILED", "C_WaitForSlotEvent": "CKR_FUNCTION_FAILED",
    "C_GetSlotInfo": "CKR_DEVICE_ERROR",
}


@pytest.mark.parametrize("function", CALLS)
def test_the_engine_goes_in_the_middle_of_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World, function: str
) -> None:
    vanishing = Vanishing(tmp_path / "pool")
    good(world.m.C_Finalize(NULL))
    monkeypatch.setenv("ADYTON_HOME", str(tmp_path / "pool"))
    try:
        good(world.m.C_Initialize(NULL))
        assert name(CALLS[function](world, 0)) == GONE.get(function, "CKR_DEVICE_REMOVED")
        good(world.m.C_Finalize(NULL))
    finally:
        vanishing.close()
        monkeypatch.undo()
        good(world.m.C_Initialize(NULL))


def test_ulong_is_eight_bytes_here() -> None:
    assert len(ulong(1)) == ffi.sizeof("CK_ULONG") == 8
