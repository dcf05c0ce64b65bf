"""The frame of the matrix: what a row says of a mechanism, and how one of its operations is driven through the ABI.

A row names the uses it is for, a key, a good parameter and wrong ones, the lengths that are taken and refused, and an
oracle that owes nothing to the engine. The cells (matrix_cells*.py) follow from the use alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from abi import NULL, Rows, ffi, good, name
from vectors import Bench

from hsm.mechanisms import registry
from hsm.mechanisms.entry import FLAGS
from pkcs11_shim import constants as ck

NAMES = {value: known for known, value in vars(ck).items() if known.startswith("CKM_")}
GUARD = b"\xa5" * 8
SIGNING, CIPHERING, WRAPPING = ("sign", "verify"), ("encrypt", "decrypt"), ("wrap", "unwrap")
RECOVERING = ("sign_recover", "verify_recover")
CLOSED = ("sign", "decrypt", "unwrap", "derive", "sign_recover")  # uses of the private half
Parameter = Any  # None, bytes, or a function of the bench that makes a structure
Refused = dict[str, dict[int, str]]


class Keys(NamedTuple):
    """The templates of a key's two halves; a secret key is both."""

    type: int
    closed: Rows
    open: Rows


def secret(key_type: int, value: bytes) -> Keys:
    rows = {
        ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: key_type, ck.CKA_VALUE: value, ck.CKA_SENSITIVE: False,
        ck.CKA_EXTRACTABLE: True,
    }
    return Keys(key_type, rows, rows)


def pair(key_type: int, private: Rows, public: Rows) -> Keys:
    kind = {ck.CKA_KEY_TYPE: key_type}
    closed = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, **kind, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True, **private}
    return Keys(key_type, closed, {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, **kind, **public})


class Oracle(NamedTuple):
    """The independent implementation. ``make``: a ciphertext, a signature, a digest, or of a length the derived key;
    ``undo``: what a ciphertext or a recoverable signature holds; ``good``: of signatures that differ each time."""

    make: Callable[[Any], bytes]
    undo: Callable[[bytes], bytes | None] | None = None
    good: Callable[[bytes, bytes], bool] | None = None

    def accepts(self, use: str, data: bytes, output: bytes) -> bool:
        if use in ("decrypt", "verify_recover"):
            return output == data
        if self.good is not None:
            return self.good(data, output)
        return (self.undo is None or self.undo(output) == data) and (self.undo is not None or self.make(data) == output)


class Row(NamedTuple):
    """A mechanism at some of its uses. ``lengths``: of data that are taken; ``refused``: by use, the lengths of input
    that are not, with their code; ``variant`` names further rows of the same mechanism, for other keys or parameters.
    """

    number: int
    uses: tuple[str, ...]
    oracle: Oracle
    keys: Keys | None = None
    parameter: Parameter = None
    wrong: tuple[Parameter, ...] = ()
    lengths: tuple[int, ...] = (0, 1, 16, 41)
    refused: Refused = {}  # noqa: RUF012 (a NamedTuple's default, which nobody changes)
    step: int = 1  # between lengths that are taken
    parts: bool = True
    optional: bool = False  # goes without its parameter
    fill: Callable[[bytes], bytes] = bytes  # what wrapping puts behind a secret key
    key_types: tuple[int, ...] = ()  # more than that of ``keys``
    least: int = 1  # bytes of the shortest key that can be wrapped
    private: bool = False  # wraps private keys too
    altered: str = ""  # the code of a ciphertext, or of a signature that holds its data, that was changed
    makes: int = ck.CKO_SECRET_KEY  # the class of what is derived
    needs_length: bool = True  # a derived key's, as not every mechanism has one of its own
    variant: str = ""

    @property
    def title(self) -> str:
        return NAMES[self.number].removeprefix("CKM_") + (f" {self.variant}" if self.variant else "")

    def given(self, use: str, data: bytes) -> bytes:
        """The input of a use that has to do with these data."""
        return self.oracle.make(data) if use in ("decrypt", "verify_recover") else data

    def mechanism(self, bench: Bench, parameter: Parameter = ...) -> Any:
        parameter = self.parameter if parameter is ... else parameter
        return bench.m.mechanism(self.number, parameter(bench) if callable(parameter) else parameter)

    def template(self, use: str) -> Rows:
        assert self.keys is not None
        return self.keys.closed if use in CLOSED else self.keys.open

    def key(self, bench: Bench, use: str) -> int:
        return bench.key(self.template(use))


class Generation(NamedTuple):
    """A mechanism that makes secret keys: of which type, of which lengths. ``fixed``: they have one, which is not said;
    ``oracle``: makes the key of a length, where it is not random; ``template``: what else must be said."""

    number: int
    key_type: int
    lengths: tuple[int, ...]
    refused: dict[int, str]
    uses: tuple[str, ...] = ("generate",)
    fixed: bool = False
    parameter: Parameter = None
    wrong: tuple[Parameter, ...] = ()
    optional: bool = False
    oracle: Oracle | None = None
    template: Rows = {}  # noqa: RUF012 (a NamedTuple's default, which nobody changes)
    variant: str = ""
    title = Row.title
    mechanism = Row.mechanism

    def rows(self, length: int) -> Rows:
        return self.template if self.fixed else {**self.template, ck.CKA_VALUE_LEN: length}


class PairGeneration(NamedTuple):
    """A mechanism that makes key pairs. ``fits``: whether a private half, read out, is that of the public one."""

    number: int
    key_type: int
    public: Rows
    wrong: tuple[tuple[Rows, str], ...]
    fits: Callable[[Callable[[int], bytes], Callable[[int], bytes]], bool]
    uses: tuple[str, ...] = ("generate_pair",)
    variant: str = ""
    title = Row.title


def message(length: int) -> bytes:
    return bytes((7 * at + length) % 251 for at in range(length))


class Answer(NamedTuple):
    """Code, the length told, and the output where there is one."""

    rv: str
    told: int
    output: bytes


def answer(call: Any, *before: Any, room: int | None) -> Answer:
    """A call that ends in (pOut, pulLen), into a buffer of just this room; what lies behind it must stay."""
    length = ffi.new("CK_ULONG*", 0 if room is None else room)
    if room is None:
        return Answer(name(call(*before, NULL, length)), int(length[0]), b"")
    buffer = ffi.new("CK_BYTE[]", room + len(GUARD))
    ffi.buffer(buffer)[room:] = GUARD
    rv = name(call(*before, buffer, length))
    assert bytes(ffi.buffer(buffer))[room:] == GUARD, "written behind the buffer"
    return Answer(rv, int(length[0]), bytes(ffi.buffer(buffer, min(length[0], room))) if rv == "CKR_OK" else b"")


FUNCTIONS = {
    "sign": "Sign", "verify": "Verify", "encrypt": "Encrypt", "decrypt": "Decrypt", "digest": "Digest",
    "sign_recover": "SignRecover", "verify_recover": "VerifyRecover",
}
STREAMED = ("encrypt", "decrypt")  # uses whose Update has output
IN_ONE_PART = RECOVERING  # uses that have no Update and no Final


class Operation:
    """A row's use on one session."""

    def __init__(self, bench: Bench, row: Row, use: str, session: int) -> None:
        self.bench, self.row, self.use, self.s = bench, row, use, session
        self.function = FUNCTIONS[use]
        self.mechanism = row.mechanism(bench)

    def _call(self, step: str = "") -> Any:
        return getattr(self.bench.m, f"C_{self.function}{step}")

    @property
    def parts(self) -> bool:
        return self.row.parts and self.use not in IN_ONE_PART

    def init(self, key: int | None = None, mechanism: Any = ...) -> str:
        given = self.mechanism if mechanism is ... else mechanism
        if self.use == "digest":
            return name(self._call("Init")(self.s, given))
        handle = self.row.key(self.bench, self.use) if key is None else key
        return name(self._call("Init")(self.s, given, handle))

    def begin(self) -> None:
        rv = self.init()
        assert rv == "CKR_OK", f"{self.function}Init: {rv}"

    def _in(self, data: bytes) -> tuple[Any, int]:
        return (ffi.from_buffer(data) if data else NULL), len(data)

    def whole(self, data: bytes, room: int | None = 4096) -> Answer:
        """The one-shot call with output."""
        return answer(self._call(), self.s, *self._in(data), room=room)

    def update(self, data: bytes, room: int | None = 4096) -> Answer:
        if self.use in STREAMED:
            return answer(self._call("Update"), self.s, *self._in(data), room=room)
        return Answer(name(self._call("Update")(self.s, *self._in(data))), 0, b"")

    def final(self, room: int | None = 4096) -> Answer:
        return answer(self._call("Final"), self.s, room=room)

    def verify(self, data: bytes, signature: bytes) -> str:
        return name(self._call()(self.s, *self._in(data), *self._in(signature)))

    def verify_final(self, signature: bytes) -> str:
        return name(self._call("Final")(self.s, *self._in(signature)))

    def is_over(self) -> bool:
        """Nothing active of this kind: to cancel is refused (section 5.8.1). Leaves nothing active."""
        return self.init(key=0, mechanism=NULL) != "CKR_OK"

    def pieces(self, data: bytes, size: int) -> Iterator[bytes]:
        return (data[at : at + size] for at in range(0, len(data), size))


@contextmanager
def a_session(bench: Bench) -> Iterator[int]:
    """A session for one cell, so that what a failure leaves active harms no other."""
    session = bench.m.session()
    try:
        yield session
    finally:
        good(bench.m.C_CloseSession(session))


def uses_of(number: int) -> set[str]:
    """What the registry serves by a mechanism."""
    entry = registry.MECHANISMS[number]
    return {use for use in FLAGS if getattr(entry, use) is not None}
