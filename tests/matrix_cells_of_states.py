"""The cells of operations that have to do with their keys, parameters and states, and the list of all cells.

An Init that is refused leaves nothing active; whatever goes wrong after it ends the operation (sections 5.8 to 5.16 of
PKCS#11 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from abi import NULL, ffi, good, name
from matrix import FUNCTIONS, IN_ONE_PART, NAMES, STREAMED, Operation, Row, a_session, message, uses_of
from matrix_cells import (
    Cell,
    accepted,
    fed,
    in_place,
    judging,
    part_too_small,
    size_query,
    start,
    too_small,
)
from matrix_keys import FOREIGN, OTHER_KEYS
from vectors import Bench

from hsm.mechanisms.entry import FLAGS
from pkcs11_shim import constants as ck

NOT_INITIALIZED, ACTIVE = "CKR_OPERATION_NOT_INITIALIZED", "CKR_OPERATION_ACTIVE"
PARAM = "CKR_MECHANISM_PARAM_INVALID"


def keys_refused(bench: Bench, row: Row, use: str, refused: Callable[[int, str, str], None], handle: str) -> None:
    """A key without the use, one without the mechanism, one that is gone and none: the same for each function, but for
    the code of a ``handle`` that is invalid."""
    flag = getattr(ck, f"CKA_{use.upper()}")
    refused(bench.key({**row.template(use), flag: False}), "CKR_KEY_FUNCTION_NOT_PERMITTED", "a key without the use")
    other = ck.CKM_VENDOR_DEFINED.to_bytes(8, "little")
    only = {**row.template(use), ck.CKA_ALLOWED_MECHANISMS: other}
    refused(bench.key(only), "CKR_MECHANISM_INVALID", "a key for another mechanism")
    rv, copy = bench.m.copy(bench.s, row.key(bench, use), {})
    good(rv)
    good(bench.m.C_DestroyObject(bench.s, copy))
    refused(copy, handle, "a key that is gone")
    refused(0, handle, "no handle")


def wrong_keys(bench: Bench, row: Row, use: str, s: int) -> None:
    """Every type of key and of object that is none, a key without the use, without the mechanism, and one that is gone.

    An Init that is refused leaves nothing active.
    """
    operation = Operation(bench, row, use, s)

    def refused(key: int, wanted: str, words: str) -> None:
        rv = operation.init(key)
        assert rv == wanted, f"{words}: {rv}, not {wanted}"
        assert operation.is_over(), words

    assert row.keys is not None
    for words, rows in FOREIGN.items():
        if rows[ck.CKA_CLASS] != row.template(use)[ck.CKA_CLASS] or rows.get(ck.CKA_KEY_TYPE) not in (
            row.keys.type, *row.key_types
        ):
            none = ck.CKA_KEY_TYPE not in rows or rows[ck.CKA_CLASS] == ck.CKO_CERTIFICATE
            refused(bench.key(rows), "CKR_KEY_HANDLE_INVALID" if none else "CKR_KEY_TYPE_INCONSISTENT", words)
    keys_refused(bench, row, use, refused, "CKR_KEY_HANDLE_INVALID")


def parameters_refused(bench: Bench, row: Any) -> Iterator[tuple[str, Any]]:
    """The row's own, and what follows from the form of a good one: none, too short, too long, another form."""
    for at, wrong in enumerate(row.wrong):
        yield f"wrong parameter {at}", row.mechanism(bench, wrong)
    given = row.mechanism(bench)
    size = given.ulParameterLen
    if not size:
        yield "a parameter where there is none", row.mechanism(bench, b"x")
        return
    if not row.optional:
        yield "no parameter", row.mechanism(bench, None)
    raw = bytes(ffi.buffer(given.pParameter, size))
    for words, length in (("one byte short", size - 1), ("one byte long", size + 1)):
        cut = row.mechanism(bench, None)
        cut.pParameter, cut.ulParameterLen = bench.m.bytes(raw + b"\0"), length
        yield words, cut


def wrong_parameters(bench: Bench, row: Row, use: str, s: int) -> None:
    operation = Operation(bench, row, use, s)
    for words, wrong in parameters_refused(bench, row):
        rv = operation.init(mechanism=wrong)
        assert rv == PARAM, f"{words}: {rv}"
        assert operation.is_over(), words


def other_uses(bench: Bench, row: Row, use: str, s: int) -> None:
    """What the mechanism doesn't serve, with a key that would do."""
    del use
    for other in set(FUNCTIONS) & set(FLAGS) - uses_of(row.number):
        if other == "digest":
            rv = name(bench.m.C_DigestInit(s, row.mechanism(bench)))
        else:
            key = bench.key(OTHER_KEYS[other])
            rv = name(getattr(bench.m, f"C_{FUNCTIONS[other]}Init")(s, row.mechanism(bench), key))
        assert rv == "CKR_MECHANISM_INVALID", f"{FUNCTIONS[other]}Init by {NAMES[row.number]}: {rv}"


def ended(operation: Operation, data: bytes, words: str) -> None:
    """Nothing is active: one-shot, Update and Final all say so."""
    verifies = operation.use == "verify"
    rvs = [operation.verify(data, b"x") if verifies else operation.whole(data).rv]
    if operation.use not in IN_ONE_PART:
        rvs += [operation.update(data).rv, operation.verify_final(b"x") if verifies else operation.final().rv]
    assert set(rvs) == {NOT_INITIALIZED}, f"{words}: {rvs}"


def finished(operation: Operation, data: bytes, known: bytes) -> None:
    """The operation is as it was begun: it ends well."""
    if operation.use == "verify":
        assert operation.verify(data, operation.row.oracle.make(data)) == "CKR_OK"
    else:
        made = operation.whole(known)
        assert made.rv == "CKR_OK"
        accepted(operation.row, operation.use, data, made.output)


def wrong_states(bench: Bench, row: Row, use: str, s: int) -> None:
    data = message(max(row.lengths))
    known = row.given(use, data)
    operation = Operation(bench, row, use, s)
    ended(operation, known, "before any Init")
    operation.begin()
    assert operation.init() == ACTIVE, "a second Init"
    with a_session(bench) as elsewhere:
        ended(Operation(bench, row, use, elsewhere), known, "on another session")
    finished(operation, data, known)
    ended(operation, known, "after a one-shot")
    operation.begin()
    assert operation.init(key=0, mechanism=NULL) == "CKR_OK", "cancelled (section 5.8.1)"
    ended(operation, known, "after it was cancelled")
    assert operation.init(key=0, mechanism=NULL) == "CKR_ARGUMENTS_BAD", "nothing to cancel"
    if row.keys is not None:
        rv, copy = bench.m.copy(bench.s, row.key(bench, use), {})
        good(rv)
        assert operation.init(copy) == "CKR_OK"
        good(bench.m.C_DestroyObject(bench.s, copy))
        ended(operation, known, "after its key was destroyed")


def parts_and_one_shot(bench: Bench, row: Row, use: str, s: int) -> None:
    """After an Update no one-shot call follows: it is refused, and ends the operation."""
    data = message(max(row.lengths))
    known = row.given(use, data)
    operation = start(bench, row, use, s)
    assert operation.update(known[:16]).rv == "CKR_OK"
    rv = operation.verify(data, b"x") if use == "verify" else operation.whole(known).rv
    assert rv == ACTIVE
    ended(operation, known, "after a one-shot amid parts")
    operation.begin()
    assert operation.update(known[:16]).rv == "CKR_OK"
    assert operation.init() == ACTIVE, "an Init amid parts"
    fed(operation, known[16:], 16)
    rv = operation.verify_final(row.oracle.make(data)) if use == "verify" else operation.final().rv
    assert rv == "CKR_OK"
    ended(operation, known, "after Final")


def one_part_only(bench: Bench, row: Row, use: str, s: int) -> None:
    """For a single-part mechanism there is no operation that Update or Final could go on with; either ends it, a size
    query and a buffer too small as well."""
    data = message(max(row.lengths))
    known = row.given(use, data)
    for room in (None, 0, 4096):
        for step in ("Update", "Final"):
            operation = start(bench, row, use, s)
            if step == "Update":
                rv = operation.update(known[:16], room).rv
            else:
                rv = operation.verify_final(b"x") if use == "verify" else operation.final(room).rv
            assert rv == NOT_INITIALIZED, f"{step} with room {room}: {rv}"
            ended(operation, known, f"after {step} with room {room}")


def cells(row: Row, use: str) -> Iterator[Cell]:
    """Those that a row's use has; further rows of a mechanism judge other keys and parameters only."""
    yield from judging(row, use)
    if row.variant:
        return
    parts = row.parts and use not in IN_ONE_PART
    if use != "verify":
        yield from (size_query, too_small)
        if parts and use in STREAMED:
            yield part_too_small
        if use in (*STREAMED, "digest"):
            yield in_place
    if row.keys is not None:
        yield wrong_keys
    yield from (wrong_parameters, other_uses, wrong_states)
    if parts:
        yield parts_and_one_shot
    elif use not in IN_ONE_PART:
        yield one_part_only
