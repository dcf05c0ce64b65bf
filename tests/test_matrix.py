"""Every mechanism at every use through the built library: one-shot, parts, size queries, buffers too small, no input,
in place, wrong keys, parameters and states, against oracles that owe nothing to the engine (oracle_*.py).

One test is a mechanism's use; every cell of it runs, and those that fail are told together by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matrix_asymmetric
import matrix_cells
import matrix_cells_of_keys
import matrix_symmetric
import pytest
from matrix import Row, a_session
from vectors import Bench, bench_of_its_own

FAMILIES = (matrix_symmetric, matrix_asymmetric)
ROWS = [row for family in FAMILIES for row in family.ROWS]
MADE = [*matrix_symmetric.GENERATIONS, *matrix_asymmetric.GENERATIONS, *matrix_asymmetric.PAIRS]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


def run(bench: Bench, row: Any, use: str, cells: Any) -> None:
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


@each(ROWS, matrix_cells.FUNCTIONS)
def test_operations(bench: Bench, row: Row, use: str) -> None:
    run(bench, row, use, matrix_cells.cells(row, use))


@each([*ROWS, *MADE], matrix_cells_of_keys.JUDGED)
def test_keys(bench: Bench, row: Any, use: str) -> None:
    run(bench, row, use, matrix_cells_of_keys.cells(row, use))
