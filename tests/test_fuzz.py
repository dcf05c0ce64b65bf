"""The corpus of the fuzzers, replayed and changed a little: each target of tests/fuzz, on both sides of the wire.

`tools/fuzz` looks for more, guided by coverage; what it finds becomes a file of the corpus once it is mended.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sanitized import ENVIRONMENT

from hsm import log
from hsm.access import credentials
from hsm.server import admin, dispatch
from pkcs11_shim import build

HERE = Path(__file__).resolve().parent / "fuzz"
ROOT = HERE.parent.parent
CORPUS = HERE / "corpus"
sys.path.insert(0, str(HERE))
import targets  # noqa: E402

# How often each file is changed, of targets that take their time.
TIMES = {"damaged_pools": 4, "calls": 8, "settings": 20}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The targets have faults raised, and PINs cheap."""
    kept = log.report, dispatch.report, admin.report, credentials.Cost.__new__.__defaults__
    yield
    log.report, dispatch.report, admin.report, credentials.Cost.__new__.__defaults__ = kept  # type: ignore[assignment]


def changed(data: bytes, chance: random.Random) -> bytes:
    """Flips, overwrites, cuts, copies and joins, a few at a time."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not made:
            break
        at = chance.randrange(len(made))
        match chance.randrange(6):
            case 0:
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                made[at] = chance.randrange(256)
            case 2:
                del made[at:]
            case 3:
                made[at : at + 8] = chance.choice((b"\xff" * 8, bytes(8), b"\0" * 7 + b"\x80"))
            case 4:
                made[at:at] = made[at : at + chance.randrange(40)]
            case _:
                made += chance.randbytes(chance.randrange(20))
    return bytes(made)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_engine_s_readers(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files, f"no corpus for {name}"
    chance = random.Random(name)
    for file in files:
        data = file.read_bytes()
        targets.runs(name, data)
        for _ in range(TIMES.get(name, 40)):
            made = changed(data, chance)
            try:
                targets.runs(name, made)
            except BaseException as fault:
                raise AssertionError(f"{name}: {file.name} changed to {made!r}") from fault


def test_each_file_of_the_corpus_is_named_by_what_is_in_it() -> None:
    """And there is not more of it than people want to fetch."""
    files = [file for folder in CORPUS.iterdir() for file in folder.iterdir()]
    assert {folder.name for folder in CORPUS.iterdir()} == {*targets.TARGETS, "library"}
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert file.name in (digest[:16], hashlib.sha1(file.read_bytes()).hexdigest())
    assert sum(file.stat().st_size for file in files) < 1 << 20


SOURCES = [HERE / "library.c", *(ROOT / "c_src" / n for n in ("flatten.c", "generated/entry.c", "generated/params.c"))]


def test_the_library_s_decoders(tmp_path: Path) -> None:
    """Under ASan and UBSan, with what any compiler has: each file, and each changed two thousand times."""
    program = tmp_path / "library"
    command = ["cc", "-std=gnu11", "-g1", "-O1", *build.SANITIZE, "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'c_src'}"]
    subprocess.run([*command, *map(str, SOURCES), "-o", str(program)], check=True)
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run([program, CORPUS / "library", "2000"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout.split()[2]) > 100_000


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("side", ["c", "python"])
def test_for_a_while_guided_by_coverage(side: str) -> None:
    """The command that looks for more, as people run it."""
    command = [ROOT / "tools/fuzz", side, "--seconds", "60" if side == "c" else "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    assert said.count("stat::number_of_executed_units") == (1 if side == "c" else len(targets.TARGETS))
