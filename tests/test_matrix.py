"""Every mechanism at every use through the built library: one-shot, parts, size queries, buffers too small, no input,
in place, wrong keys, parameters and states, against oracles that owe nothing to the engine (oracle_*.py).

One test is a mechanism's use; every cell of it runs, and those that fail are told together by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import matrix_cells
import matrix_cells_of_keys
import matrix_cells_of_states
import mechanism_page
import pytest
from abi import ffi, good, name
from matrix import FUNCTIONS, NAMES, Row, a_session, message
from matrix_cells import Cell, start
from matrix_cells_of_keys import HANDLE, JUDGED
from matrix_cells_of_states import ended, finished
from matrix_rows import MADE, ROWS
from vectors import Bench, bench_of_its_own

from hsm.mechanisms import registry
from hsm.mechanisms.entry import FLAGS
from pkcs11_shim import constants as ck


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own(legacy=True) as opened:
        yield opened


def run(bench: Bench, row: Any, use: str, cells: Iterable[Cell]) -> None:
    failed = []
    for cell in cells:
        try:
            bench.m._kept.clear()  # parameters of earlier cells
            with a_session(bench) as session:
                cell(bench, row, use, session)
        except Exception as fault:
            fault.add_note(f"{row.title}, {use}: {cell.__name__}")
            failed.append(fault)
    if failed:
        raise ExceptionGroup(f"{len(failed)} cells of {row.title}, {use}", failed)


def each(rows: list[Any], uses: Any) -> Any:
    """A test for each of these uses of each row."""
    found = [pytest.param(row, use, id=f"{row.title}-{use}") for row in rows for use in row.uses if use in uses]
    return pytest.mark.parametrize(("row", "use"), found)


@each(ROWS, FUNCTIONS)
def test_operations(bench: Bench, row: Row, use: str) -> None:
    run(bench, row, use, matrix_cells_of_states.cells(row, use))


@each([*ROWS, *MADE], JUDGED)
def test_keys(bench: Bench, row: Any, use: str) -> None:
    run(bench, row, use, matrix_cells_of_keys.cells(row, use))


@pytest.mark.long
@each([row for row in ROWS if not row.variant], FUNCTIONS)
def test_every_length_and_every_cut(bench: Bench, row: Row, use: str) -> None:
    longer = row._replace(lengths=matrix_cells.every_length(row))
    cells = [*matrix_cells.judging(longer, use)]
    if matrix_cells.in_parts in cells:
        cells.append(matrix_cells.in_parts_of_all_sizes)
    run(bench, longer, use, cells)


def firsts(use: str) -> list[Row]:
    return [row for row in ROWS if use in row.uses and not row.variant]


@pytest.mark.parametrize("use", FUNCTIONS)
def test_an_operation_ends_with_the_login_that_its_key_needs(bench: Bench, use: str) -> None:
    """A private key's does; a public key's goes on, and so does a digest."""
    with ExitStack() as stack:
        begun = []
        for row in firsts(use):
            data = message(max(row.lengths))
            operation = start(bench, row, use, stack.enter_context(a_session(bench)))
            begun.append((operation, data, row.given(use, data)))
        with bench.logged_out():
            for operation, data, known in begun:
                keys = operation.row.keys
                if keys is None or operation.row.template(use)[ck.CKA_CLASS] == ck.CKO_PUBLIC_KEY:
                    finished(operation, data, known)
                else:
                    ended(operation, known, f"{operation.row.title}, {use}, after C_Logout")


def test_nobody_makes_or_moves_keys_without_a_login(bench: Bench) -> None:
    """New keys are private unless it is said otherwise; those that were there are gone with the login."""
    keys = {(row.number, use): row.key(bench, use) for use in HANDLE for row in firsts(use)}
    with bench.logged_out():
        for made in MADE:
            if made.uses == ("generate",):
                given = matrix_cells_of_keys.parameter_of(bench, made)
                rv = bench.m.generate(bench.s, made.number, made.rows(made.lengths[-1]), given)[0]
            else:
                rv = bench.m.pair(bench.s, made.number, made.public, {})[0]
            assert name(rv) == "CKR_USER_NOT_LOGGED_IN", made.title
        for use, wanted in HANDLE.items():
            for row in firsts(use):
                if row.template(use)[ck.CKA_CLASS] != ck.CKO_PUBLIC_KEY:
                    handle, rows = keys[row.number, use], matrix_cells_of_keys.derived_as(row, 32)
                    if use == "wrap":
                        rv = bench.m.wrap(bench.s, row.mechanism(bench), handle, handle)[0]
                    elif use == "unwrap":
                        rv = bench.m.unwrap(bench.s, row.mechanism(bench), handle, message(32), rows)[0]
                    else:
                        rv = bench.m.derive(bench.s, row.mechanism(bench), handle, rows)[0]
                    assert name(rv) == wanted, f"{row.title}, {use}: {name(rv)}"


def test_every_mechanism_has_its_rows(bench: Bench) -> None:
    """A mechanism, or one more use of it, that no row judges fails here; so does a row of what is not offered, or that
    leaves a type of key out."""
    judged: dict[str, set[str]] = {}
    types: dict[int, set[int]] = {}
    for row in [*ROWS, *MADE]:
        if not row.variant:
            judged.setdefault(NAMES[row.number], set()).update(row.uses)
    judged["CKM_AES_GCM"] |= {"message_encrypt", "message_decrypt"}  # by tests/test_messages.py
    for row in ROWS:
        if row.keys is not None:
            types.setdefault(row.number, set()).update((row.keys.type, *row.key_types))
    assert judged == offered(bench)
    for number, found in types.items():
        assert found == {*registry.MECHANISMS[number].key_types}, NAMES[number]


def offered(bench: Bench) -> dict[str, set[str]]:
    """What C_GetMechanismList and C_GetMechanismInfo tell."""
    count, told = ffi.new("CK_ULONG*", 1024), ffi.new("CK_MECHANISM_TYPE[1024]")
    good(bench.m.C_GetMechanismList(0, told, count))
    info, found = ffi.new("CK_MECHANISM_INFO*"), {}
    for number in ffi.unpack(told, count[0]):
        good(bench.m.C_GetMechanismInfo(0, number, info))
        found[NAMES[number]] = {use for use, flag in FLAGS.items() if info.flags & flag}
    return found


def test_the_page_of_mechanisms_is_fresh() -> None:
    assert mechanism_page.PAGE.read_text() == mechanism_page.page(), "run tools/generate"
