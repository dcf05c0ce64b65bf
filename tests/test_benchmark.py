"""The benchmark: its client runs every operation that the module offers, and its page has a place for each table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm.client import MODULE, connect

ROOT = Path(__file__).resolve().parent.parent
BENCHMARK = ROOT / "tools/benchmark"
OPERATIONS = re.findall(r'^    \{"([a-z0-9-]+)",', (BENCHMARK / "operations.c").read_text(), re.M)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program, and a token that it prepared and put sixteen objects on."""
    program = tmp_path_factory.mktemp("benchmark") / "client"
    sources = [BENCHMARK / f"{name}.c" for name in ("client", "operations", "measure")]
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *warnings, f"-I{ROOT}/c_src", *sources, "-o", program, "-pthread", "-ldl"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADYTON_HOME", str(tmp_path_factory.mktemp("pool")))
        told(program, "prepare", "bench", "12345678", "1234-bench")
        told(program, "fill", "bench", "1234-bench", "0", "16")
        yield program
        connect(start=False).ask("stop")


def told(program: Path, *words: str) -> list[float]:
    done = subprocess.run([program, str(MODULE), *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations(client: Path, operation: str) -> None:
    rate, median, late = told(client, "run", "bench", "1234-bench", operation, "16", "0.01", "1", "1", "1")
    assert rate > 0 and 0 < median <= late


@pytest.mark.parametrize("shape", [("2", "1", "1"), ("1", "2", "1"), ("2", "2", "3")])
def test_shapes(client: Path, shape: tuple[str, ...]) -> None:
    assert told(client, "run", "bench", "1234-bench", "p256-sign", "0", "0.05", *shape)[0] > 0


def test_starts(client: Path) -> None:
    assert len(told(client, "first")) == len(told(client, "signature", "bench", "1234-bench")) == 1


def test_its_page_has_a_place_for_each_table() -> None:
    page = (BENCHMARK / "README.md").read_text()
    for name in ("machine", "promises", "operations", "sizes", "objects", "sessions", "starts", "clients"):
        assert page.count(f"<!-- {name} -->\n") == page.count(f"\n<!-- end of {name} -->") == 1


@pytest.mark.long
def test_every_run_of_a_client_succeeds_here() -> None:
    """As `tools/bench --clients` runs them; how fast, a busy machine can't tell."""
    command = [sys.executable, BENCHMARK / "clients.py", "--rounds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    told = json.loads(done.stdout)
    assert len(told) >= 15 and all(len(run["ours"]) == 1 for run in told.values()), done.stderr


def test_a_table_takes_its_place_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARK))
    import page

    monkeypatch.setattr(page, "README", tmp_path / "README.md")
    whole = "before\n<!-- one -->{}\n<!-- end of one -->\nbetween\n<!-- two -->\n<!-- end of two -->\nafter\n"
    page.README.write_text(whole.format(""))
    for text in ("first", "second\nand more"):
        page.put("one", text)
        assert page.README.read_text() == whole.format("\n" + text)
