"""Every mechanism through the built library, against vectors from outside; a few of each here, all in the long run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from vectors import SOURCES, Bench, Case, Source, bench_of_its_own
from vectors_files import FILES

from hsm.mechanisms import registry
from pkcs11_shim import constants as ck

NAMES = {value: name for name, value in vars(ck).items() if name.startswith("CKM_")}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own(legacy=True) as opened:
        yield opened


def run(bench: Bench, cases: list[Case]) -> None:
    assert cases
    for position, case in enumerate(cases):
        try:
            case.run(bench)
        except BaseException as fault:
            fault.add_note(f"{NAMES[case.mechanism]}, {case.kind}, case {position} of {len(cases)}")
            raise


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_vectors(bench: Bench, source: Source) -> None:
    run(bench, source.sample())


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_all_vectors(bench: Bench, source: Source) -> None:
    run(bench, list(source.cases()))


def test_every_file_of_vectors_has_sources() -> None:
    assert {source.cases.__module__ for source in SOURCES} == {file.__name__ for file in FILES}


def test_every_mechanism_has_vectors_from_outside() -> None:
    """Counts the cases that test_vectors runs: a mechanism added to the registry fails here until one judges it."""
    judged = Counter(case.mechanism for source in SOURCES for case in source.sample())
    assert not {NAMES[number] for number in registry.MECHANISMS if not judged[number]}
    assert not {NAMES[number] for number in judged if number not in registry.MECHANISMS}
