"""Two modules side by side, each in a process of its own, given the same calls; what they answer can be compared.

Handles are named by numbers that the caller chooses, so that both modules mean the same session or object by one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from socket import socketpair
from typing import Any, Self

from abi import NULL, Module, ffi, name

from pkcs11_shim import constants as ck

UNKNOWN = 0x7EAD_BEEF  # a handle that no module gave
Answer = tuple[Any, ...]
Template = list[tuple[int, Any]]
PINS = {ck.CKU_SO: b"12345678", ck.CKU_USER: b"1234-peer"}
WRONG = b"4321-peer"


class Driver:
    """Makes the calls in one module and says what came of them, in what both modules can be compared by."""

    def __init__(self, path: str) -> None:
        self.m = Module(path)
        self.sessions: dict[int, int] = {}
        self.objects: dict[int, int] = {}
        self.slot = 0

    def _s(self, session: int) -> int:
        return self.sessions.get(session, UNKNOWN)

    def _o(self, item: int) -> int:
        return self.objects.get(item, UNKNOWN)

    def _made(self, item: int, rv: int, handle: int) -> Answer:
        if rv == ck.CKR_OK:
            self.objects[item] = int(handle)
        return (name(rv),)

    # -- the token

    def begin(self) -> Answer:
        """A token with both PINs and no object, nobody logged in."""
        self.m.C_Finalize(NULL)
        self.m._kept.clear()
        self.sessions, self.objects = {}, {}
        self.m.C_Initialize(NULL)
        count = ffi.new("CK_ULONG*", 16)
        slots = ffi.new("CK_SLOT_ID[16]")
        self.m.C_GetSlotList(1, slots, count)
        self.slot = int(slots[0])
        label = b"peer".ljust(32)
        if not self.m.token(self.slot).flags & ck.CKF_TOKEN_INITIALIZED:
            so = PINS[ck.CKU_SO]
            self.m.C_InitToken(self.slot, so, len(so), label)
            self.m.C_GetSlotList(1, slots, count)
            self.slot = int(slots[0])
            session = self.m.session(self.slot)
            self.m.C_Login(session, ck.CKU_SO, so, len(so))
            self.m.C_InitPIN(session, PINS[ck.CKU_USER], len(PINS[ck.CKU_USER]))
            self.m.C_CloseSession(session)
        session = self.m.session(self.slot)
        for user, pin in PINS.items():
            assert self.m.C_Login(session, user, pin, len(pin)) == ck.CKR_OK
            if user == ck.CKU_USER:
                for item in self.m.find(session, {}):
                    self.m.C_DestroyObject(session, item)
            self.m.C_Logout(session)
        self.m.C_CloseSession(session)
        return ()

    def mechanisms(self) -> Answer:
        """Their numbers."""
        count = ffi.new("CK_ULONG*")
        self.m.C_GetMechanismList(self.slot, NULL, count)
        numbers = ffi.new("CK_MECHANISM_TYPE[]", count[0])
        rv = self.m.C_GetMechanismList(self.slot, numbers, count)
        return name(rv), [int(number) for number in numbers]

    def mechanism_info(self, number: int) -> Answer:
        told = ffi.new("CK_MECHANISM_INFO*")
        rv = self.m.C_GetMechanismInfo(self.slot, number, told)
        return name(rv), int(told.ulMinKeySize), int(told.ulMaxKeySize), int(told.flags)

    def open(self, session: int, read_write: bool) -> Answer:
        made = ffi.new("CK_SESSION_HANDLE*")
        flags = ck.CKF_SERIAL_SESSION | (ck.CKF_RW_SESSION if read_write else 0)
        rv = self.m.C_OpenSession(self.slot, flags, NULL, NULL, made)
        if rv == ck.CKR_OK:
            self.sessions[session] = int(made[0])
        return (name(rv),)

    def close(self, session: int) -> Answer:
        return (name(self.m.C_CloseSession(self._s(session))),)

    def close_all(self) -> Answer:
        return (name(self.m.C_CloseAllSessions(self.slot)),)

    def info(self, session: int) -> Answer:
        told = ffi.new("CK_SESSION_INFO*")
        rv = self.m.C_GetSessionInfo(self._s(session), told)
        return (name(rv), int(told.state), int(told.flags)) if rv == ck.CKR_OK else (name(rv),)

    def login(self, session: int, user: int, right: bool) -> Answer:
        pin = PINS.get(user, WRONG) if right else WRONG
        return (name(self.m.C_Login(self._s(session), user, pin, len(pin))),)

    def logout(self, session: int) -> Answer:
        return (name(self.m.C_Logout(self._s(session))),)

    def init_pin(self, session: int) -> Answer:
        pin = PINS[ck.CKU_USER]
        return (name(self.m.C_InitPIN(self._s(session), pin, len(pin))),)

    def set_pin(self, session: int, user: int, right: bool) -> Answer:
        """To what it was. ``user``: whose PINs are given."""
        pin = PINS[user]
        old = pin if right else WRONG
        return (name(self.m.C_SetPIN(self._s(session), old, len(old), pin, len(pin))),)

    # -- objects

    def create(self, item: int, session: int, template: Template) -> Answer:
        return self._made(item, *self.m.create(self._s(session), template))

    def copy(self, item: int, session: int, source: int, template: Template) -> Answer:
        made = ffi.new("CK_OBJECT_HANDLE*")
        rv = self.m.C_CopyObject(self._s(session), self._o(source), *self.m.template(template), made)
        return self._made(item, rv, made[0])

    def generate(self, item: int, session: int, number: int, template: Template) -> Answer:
        made = ffi.new("CK_OBJECT_HANDLE*")
        rv = self.m.C_GenerateKey(self._s(session), self.m.mechanism(number), *self.m.template(template), made)
        return self._made(item, rv, made[0])

    def generate_pair(
        self, items: tuple[int, int], session: int, number: int, public: Template, private: Template
    ) -> Answer:
        one, two = ffi.new("CK_OBJECT_HANDLE*"), ffi.new("CK_OBJECT_HANDLE*")
        templates = (*self.m.template(public), *self.m.template(private))
        rv = self.m.C_GenerateKeyPair(self._s(session), self.m.mechanism(number), *templates, one, two)
        if rv == ck.CKR_OK:
            self.objects |= dict(zip(items, (int(one[0]), int(two[0])), strict=True))
        return (name(rv),)

    def derive(
        self, item: int, session: int, number: int, parameter: Any, base: int, template: Template
    ) -> Answer:
        made = ffi.new("CK_OBJECT_HANDLE*")
        mechanism = self._mechanism(number, parameter)
        rv = self.m.C_DeriveKey(self._s(session), mechanism, self._o(base), *self.m.template(template), made)
        return self._made(item, rv, made[0])

    def destroy(self, session: int, item: int) -> Answer:
        return (name(self.m.C_DestroyObject(self._s(session), self._o(item))),)

    def change(self, session: int, item: int, template: Template) -> Answer:
        return (name(self.m.C_SetAttributeValue(self._s(session), self._o(item), *self.m.template(template))),)

    def read(self, session: int, item: int, attributes: list[tuple[int, int | None]]) -> Answer:
        """``attributes``: number and room, None for a size query."""
        rows = ffi.new("CK_ATTRIBUTE[]", max(len(attributes), 1))
        rooms = [ffi.new("CK_BYTE[]", max(room or 0, 1)) for _, room in attributes]
        for row, place, (number, room) in zip(rows, rooms, attributes, strict=False):
            row.type, row.pValue, row.ulValueLen = number, NULL if room is None else place, room or 0
        rv = self.m.C_GetAttributeValue(self._s(session), self._o(item), rows, len(attributes))
        told = []
        for row, place, (_, room) in zip(rows, rooms, attributes, strict=False):
            length = int(row.ulValueLen)
            there = length != ck.CK_UNAVAILABLE_INFORMATION
            told.append((length if there else None, ffi.buffer(place, length)[:] if there and room else b""))
        # Where the call itself was refused, what the rows hold is nobody's.
        return (name(rv), told) if rv in _READ else (name(rv),)

    def find(self, session: int, template: Template) -> Answer:
        rv = self.m.C_FindObjectsInit(self._s(session), *self.m.template(template))
        if rv != ck.CKR_OK:
            return (name(rv),)
        found, count = ffi.new("CK_OBJECT_HANDLE[64]"), ffi.new("CK_ULONG*")
        rv = self.m.C_FindObjects(self._s(session), found, 64, count)
        self.m.C_FindObjectsFinal(self._s(session))
        names = {handle: item for item, handle in self.objects.items()}
        return name(rv), sorted(names.get(int(found[i]), -1) for i in range(count[0]))

    # -- operations

    def _mechanism(self, number: int, parameter: Any) -> Any:
        """``parameter``: bytes, or the name of a structure and its fields."""
        if isinstance(parameter, tuple):
            parameter = self.m.structure(parameter[0], **parameter[1])
        return self.m.mechanism(number, parameter)

    def begin_operation(self, session: int, kind: str, number: int, parameter: Any, item: int) -> Answer:
        key = () if kind == "Digest" else (self._o(item),)
        return (name(getattr(self.m, f"C_{kind}Init")(self._s(session), self._mechanism(number, parameter), *key)),)

    def use(self, kind: str, number: int, parameter: Any, item: int, data: bytes) -> Answer:
        """Init and the one-shot call, in a session of their own."""
        with self._aside() as session:
            rv = getattr(self.m, f"C_{kind}Init")(session, self._mechanism(number, parameter), self._o(item))
            if rv != ck.CKR_OK:
                return (name(rv), "Init")
            return self._output(getattr(self.m, f"C_{kind}"), 1024, session, self.m.bytes(data), len(data))

    def check(self, number: int, parameter: Any, item: int, data: bytes, signature: bytes) -> Answer:
        """C_VerifyInit and C_Verify, in a session of their own."""
        with self._aside() as session:
            rv = self.m.C_VerifyInit(session, self._mechanism(number, parameter), self._o(item))
            if rv != ck.CKR_OK:
                return (name(rv), "Init")
            signed = (self.m.bytes(data), len(data), self.m.bytes(signature), len(signature))
            return (name(self.m.C_Verify(session, *signed)),)

    @contextmanager
    def _aside(self) -> Iterator[int]:
        session = self.m.session(self.slot)
        try:
            yield session
        finally:
            self.m.C_CloseSession(session)

    def digest_key(self, session: int, item: int) -> Answer:
        return (name(self.m.C_DigestKey(self._s(session), self._o(item))),)

    def _output(self, call: Any, room: int | None, *before: Any) -> Answer:
        place, length = ffi.new("CK_BYTE[]", max(room or 0, 1)), ffi.new("CK_ULONG*", room or 0)
        rv = call(*before, NULL if room is None else place, length)
        if rv == ck.CKR_BUFFER_TOO_SMALL or (rv == ck.CKR_OK and room is None):
            return name(rv), int(length[0])
        return (name(rv), int(length[0]), ffi.buffer(place, length[0])[:]) if rv == ck.CKR_OK else (name(rv),)

    def once(self, session: int, kind: str, data: bytes, room: int | None) -> Answer:
        return self._output(getattr(self.m, f"C_{kind}"), room, self._s(session), self.m.bytes(data), len(data))

    def update(self, session: int, kind: str, data: bytes, room: int | None) -> Answer:
        call, given = getattr(self.m, f"C_{kind}Update"), (self._s(session), self.m.bytes(data), len(data))
        return self._output(call, room, *given) if kind in ("Encrypt", "Decrypt") else (name(call(*given)),)

    def final(self, session: int, kind: str, room: int | None) -> Answer:
        return self._output(getattr(self.m, f"C_{kind}Final"), room, self._s(session))

    def verify(self, session: int, data: bytes | None, signature: bytes) -> Answer:
        """C_Verify, or C_VerifyFinal without data."""
        signed = (self.m.bytes(signature), len(signature))
        if data is None:
            return (name(self.m.C_VerifyFinal(self._s(session), *signed)),)
        return (name(self.m.C_Verify(self._s(session), self.m.bytes(data), len(data), *signed)),)

    def wrap(
        self, session: int, number: int, parameter: bytes | None, key: int, target: int, room: int | None
    ) -> Answer:
        mechanism = self._mechanism(number, parameter)
        return self._output(self.m.C_WrapKey, room, self._s(session), mechanism, self._o(key), self._o(target))

    def unwrap(
        self, item: int, session: int, number: int, parameter: bytes | None, key: int, blob: bytes,
        template: Template,
    ) -> Answer:
        made = ffi.new("CK_OBJECT_HANDLE*")
        mechanism, wrapped = self._mechanism(number, parameter), (self.m.bytes(blob), len(blob))
        rv = self.m.C_UnwrapKey(self._s(session), mechanism, self._o(key), *wrapped, *self.m.template(template), made)
        return self._made(item, rv, made[0])


_READ = (ck.CKR_OK, ck.CKR_ATTRIBUTE_SENSITIVE, ck.CKR_ATTRIBUTE_TYPE_INVALID, ck.CKR_BUFFER_TOO_SMALL)


class Peer:
    """A module in a process of its own, which may die of a call: then the next one starts another."""

    def __init__(self, path: str, environment: dict[str, str]) -> None:
        self._path = path
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self) -> None:
        ours, theirs = socketpair()
        with theirs:
            command = [sys.executable, __file__, self._path, str(theirs.fileno())]
            self._process = subprocess.Popen(command, env=self._environment, pass_fds=[theirs.fileno()])
        self._pipe = Connection(ours.detach())

    def ask(self, what: str, *arguments: Any) -> Answer:
        """What the call came to; ("died",) where the module took its process down."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send((what, arguments))
            return self._pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, ConnectionError):
            self.end()
            return ("died",)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._pipe.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.end()


if __name__ == "__main__":
    pipe = Connection(int(sys.argv[2]))
    driver = Driver(sys.argv[1])
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            break
        pipe.send(getattr(driver, what)(*arguments))
