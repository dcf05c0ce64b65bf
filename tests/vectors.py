"""Vectors from outside as cases: where each comes from, which mechanism it judges, and how it is run through the ABI.

A source is a generator of cases. The quick run takes a few of each kind, the long one all; the test that asks whether
every mechanism is judged counts the very cases that are run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cryptography_vectors
import pytest
from abi import NULL, Module, Rows, ffi, good, logged_in, name

from hsm.client import Client
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

VECTORS = Path(cryptography_vectors.__file__).parent
PIECE = 7  # bytes of a part: no divisor of any block


class Case(NamedTuple):
    """One vector. ``kind`` groups those that judge the same thing, such as one file's failures."""

    mechanism: int
    kind: str
    run: Callable[[Bench], None]


class Source(NamedTuple):
    """One origin of vectors; ``quick``: how many of each mechanism and kind the quick run takes."""

    name: str
    quick: int
    cases: Callable[[], Iterator[Case]]

    @cache  # noqa: B019 (the sources are there for good; files are read once, not for each test that asks)
    def sample(self) -> list[Case]:
        """A few of each kind, spread over the file, its first and last among them."""
        kinds: dict[tuple[int, str], list[Case]] = defaultdict(list)
        for case in self.cases():
            kinds[case.mechanism, case.kind].append(case)
        picked = []
        for found in kinds.values():
            step = max(1, (len(found) - 1) / max(self.quick - 1, 1))
            picked += [found[round(i * step)] for i in range(min(self.quick, len(found)))]
        return picked


SOURCES: list[Source] = []


def source(name: str, *, quick: int = 3) -> Callable[[Callable[[], Iterator[Case]]], Callable[[], Iterator[Case]]]:
    """Registers a generator of cases under the name of where its vectors come from."""

    def register(cases: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
        SOURCES.append(Source(name, quick, cases))
        return cases

    return register


def records(path: Path, last: str) -> Iterator[dict[str, str]]:
    """The name = value paragraphs of a NIST file that have ``last`` in them, names in capitals.

    What paragraphs without it say (a modulus, say) holds for those that follow; SECTION is the last bracketed line.
    """
    carried: dict[str, str] = {}
    row: dict[str, str] = {}
    for line in [*path.read_text().splitlines(), ""]:
        if line.startswith("#"):
            continue
        field, equals, value = line.partition("=")
        if line.startswith("["):
            carried["SECTION"] = line.strip("[] ")
        elif equals:
            row[field.strip().upper()] = value.strip().strip('"')
        elif line.strip().upper() == "FAIL":
            row["FAIL"] = ""
        elif row and not line.strip():
            if last in row:
                yield {**carried, **row}
            else:
                carried |= row
            row = {}


def number(text: str) -> bytes:
    """A hexadecimal number of any width as PKCS#11's big integer."""
    value = int(text, 16)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))


def flipped(data: bytes) -> bytes:
    """The same with one bit of its last byte changed."""
    return data[:-1] + bytes([data[-1] ^ 1])


class Bench:
    """One session of one token, where vectors are tried; keys are made once and dropped when there are many."""

    MOST_KEYS = 200

    def __init__(self, module: Module, session: int, pin: str) -> None:
        self.m = module
        self.s = session
        self._pin = pin
        self._keys: dict[tuple[tuple[int, Any], ...], int] = {}

    # -- keys, readable where they can be: the vectors are public

    def key(self, rows: Rows) -> int:
        known = tuple(rows.items())
        if known not in self._keys:
            if len(self._keys) >= self.MOST_KEYS:
                oldest = next(iter(self._keys))
                good(self.m.C_DestroyObject(self.s, self._keys.pop(oldest)))
            self._keys[known] = self.m.make(self.s, rows)
        return self._keys[known]

    @contextmanager
    def logged_out(self) -> Iterator[None]:
        """Nobody is logged in; private session objects end with the login, so that no key is kept over it."""
        good(self.m.C_Logout(self.s))
        self._keys.clear()
        yield
        good(self.m.login(self.s, self._pin))

    def secret(self, value: bytes, key_type: int = ck.CKK_AES) -> int:
        return self.key(
            {
                ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: key_type, ck.CKA_VALUE: value,
                ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True,
            }
        )

    def public(self, key_type: int, **values: bytes) -> int:
        rows = {getattr(ck, f"CKA_{field.upper()}"): value for field, value in values.items()}
        return self.key({ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: key_type, **rows})

    def private(self, key_type: int, **values: bytes) -> int:
        rows = {getattr(ck, f"CKA_{field.upper()}"): value for field, value in values.items()}
        return self.key(
            {
                ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: key_type, ck.CKA_SENSITIVE: False,
                ck.CKA_EXTRACTABLE: True, **rows,
            }
        )

    def mechanism(self, number: int, parameter: Any = None) -> Any:
        self.m._kept.clear()  # what earlier vectors needed
        return self.m.mechanism(number, parameter)

    # -- output by the convention of section 5.2: a length first, then the bytes into a buffer of just that length

    def _sized(self, call: Any, *given: Any) -> bytes:
        length = ffi.new("CK_ULONG*")
        good(call(self.s, *given, NULL, length))
        bound = length[0]
        room = ffi.new("CK_BYTE[]", bound or 1)
        good(call(self.s, *given, room, length))
        assert length[0] <= bound
        return bytes(ffi.buffer(room, length[0]))

    def _exact(self, call: Any, *given: Any) -> bytes:
        """The same where the length is known beforehand: one byte less is too little and costs nothing."""
        length = ffi.new("CK_ULONG*")
        good(call(self.s, *given, NULL, length))
        bound = length[0]
        length[0] -= 1
        assert name(call(self.s, *given, ffi.new("CK_BYTE[]", bound), length)) == "CKR_BUFFER_TOO_SMALL"
        assert length[0] == bound
        made = self._sized(call, *given)
        assert len(made) == bound
        return made

    def digest(self, mechanism: Any, data: bytes) -> bytes:
        good(self.m.C_DigestInit(self.s, mechanism))
        whole = self._exact(self.m.C_Digest, self.m.bytes(data), len(data))
        good(self.m.C_DigestInit(self.s, mechanism))
        for piece in pieces(data):
            good(self.m.C_DigestUpdate(self.s, piece, len(piece)))
        assert self._exact(self.m.C_DigestFinal) == whole
        return whole

    def sign(self, mechanism: Any, key: int, data: bytes) -> bytes:
        good(self.m.C_SignInit(self.s, mechanism, key))
        return self._exact(self.m.C_Sign, self.m.bytes(data), len(data))

    def sign_in_parts(self, mechanism: Any, key: int, data: bytes) -> bytes:
        good(self.m.C_SignInit(self.s, mechanism, key))
        for piece in pieces(data):
            good(self.m.C_SignUpdate(self.s, piece, len(piece)))
        return self._exact(self.m.C_SignFinal)

    def verify(self, mechanism: Any, key: int, data: bytes, signature: bytes, wanted: str = "CKR_OK") -> None:
        assert name(self.m.verify(self.s, mechanism, key, data, signature)) == wanted

    def verify_in_parts(self, mechanism: Any, key: int, data: bytes, signature: bytes, wanted: str = "CKR_OK") -> None:
        good(self.m.C_VerifyInit(self.s, mechanism, key))
        for piece in pieces(data):
            good(self.m.C_VerifyUpdate(self.s, piece, len(piece)))
        assert name(self.m.C_VerifyFinal(self.s, self.m.bytes(signature), len(signature))) == wanted

    def cipher(self, what: str, mechanism: Any, key: int, data: bytes, *, parts: bool = True) -> bytes:
        """``what`` is Encrypt or Decrypt; in one, and in parts, which must agree."""
        start, call = getattr(self.m, f"C_{what}Init"), getattr(self.m, f"C_{what}")
        good(start(self.s, mechanism, key))
        whole = self._sized(call, self.m.bytes(data), len(data))
        if parts:
            good(start(self.s, mechanism, key))
            update, finish = getattr(self.m, f"C_{what}Update"), getattr(self.m, f"C_{what}Final")
            made = b"".join(self._sized(update, piece, len(piece)) for piece in pieces(data))
            assert made + self._sized(finish) == whole
        return whole

    def refused(self, what: str, mechanism: Any, key: int, data: bytes, wanted: str) -> None:
        """The cipher refuses these data, by this code, and the operation is over."""
        good(getattr(self.m, f"C_{what}Init")(self.s, mechanism, key))
        call = getattr(self.m, f"C_{what}")
        rv, _ = self.m.output(call, self.s, self.m.bytes(data), len(data))
        assert name(rv) == wanted
        rv, _ = self.m.output(call, self.s, self.m.bytes(data), len(data))
        assert name(rv) == "CKR_OPERATION_NOT_INITIALIZED"

    def unwrap(self, mechanism: Any, key: int, wrapped: bytes, rows: Rows) -> tuple[str, int]:
        rv, made = self.m.unwrap(self.s, mechanism, key, wrapped, rows)
        return name(rv), made


@contextmanager
def bench_of_its_own(*, legacy: bool = False) -> Iterator[Bench]:
    """A token for one module of tests, the user logged in. ``legacy``: with its switch for legacy mechanisms on."""
    with ThrowAway() as token, pytest.MonkeyPatch.context() as patch:
        for variable, value in token.environment.items():
            patch.setenv(variable, value)
        if legacy:
            with Client(token.home) as client:
                client.ask("partition-set", slot=0, legacy=True, **{"as": "so", "pin": token.so_pin})
        with logged_in(token) as (module, session):
            yield Bench(module, session, token.pin)
