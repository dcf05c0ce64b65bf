"""What tools/bench measures, a row each, and the rounds it measures them in.

Machines are noisy: whatever is compared is measured in turns within one round, a ratio is taken within its round, and
the median of the rounds is what counts. SoftHSM2 and the limit (libcrypto's EVP in one's own process) run beside us.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hsm.client import MODULE, Absent, connect

LABEL, PIN, SO_PIN = "bench", "1234-bench", "12345678"
OBJECTS = 10_000
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


class Bench:
    """The two modules with a prepared token each, and the programs that drive them."""

    def __init__(self, programs: Path, folder: Path, seconds: float) -> None:
        self.programs = programs
        self.folder = folder
        self.seconds = seconds
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = f"{folder}/softhsm2.conf"
        self.pool("pool")

    def pool(self, name: str) -> None:
        os.environ["ADYTON_HOME"] = str(self.folder / name)

    def client(self, module: str, *words: str) -> list[float]:
        done = subprocess.run([self.programs / "client", module, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{module} {' '.join(words)}: {done.stderr.strip()}")
        return [float(word) for word in done.stdout.split()]

    def prepare(self) -> None:
        """A token with two key pairs in a pool of its own, and one with OBJECTS besides in each module."""
        self.pool("small")
        self.client(str(MODULE), "prepare", LABEL, SO_PIN, PIN)
        stop_engine()
        self.pool("pool")
        for module in (str(MODULE), SOFTHSM):
            self.client(module, "prepare", LABEL, SO_PIN, PIN)
            self.client(module, "fill", LABEL, PIN, str(OBJECTS))

    def run(self, module: str, measure: str, threads: int = 1) -> list[float]:
        """Calls per second, median and 99th percentile in microseconds."""
        return self.client(module, measure, LABEL, PIN, str(self.seconds), str(threads))

    def limit(self) -> float:
        told = subprocess.run([self.programs / "limit", str(self.seconds)], capture_output=True, text=True, check=True)
        return float(told.stdout)


class Figure(NamedTuple):
    """One round of one measure: ours, the peer's beside it, and what is held against the goal."""

    ours: float
    peer: float | None
    value: float


class Measure(NamedTuple):
    """A row of the table. ``most``: the goal is an upper bound."""

    name: str
    unit: str
    goal: float
    most: bool
    rounds: int
    once: Callable[[Bench], Figure]


def _empty(bench: Bench) -> Figure:
    ours = bench.run(str(MODULE), "empty")[1]
    return Figure(ours, bench.run(SOFTHSM, "empty")[1], ours)


def _rsa(bench: Bench) -> Figure:
    ours, limit = bench.run(str(MODULE), "rsa")[0], bench.limit()
    return Figure(ours, bench.run(SOFTHSM, "rsa")[0], ours / limit)


def _ec(bench: Bench) -> Figure:
    ours, peer = bench.run(str(MODULE), "ec")[0], bench.run(SOFTHSM, "ec")[0]
    return Figure(ours, peer, ours / peer)


def _threads(bench: Bench) -> Figure:
    one, two = bench.run(str(MODULE), "rsa")[0], bench.run(str(MODULE), "rsa", 2)[0]
    return Figure(two, bench.run(SOFTHSM, "rsa", 2)[0], two / one)


def _find(bench: Bench) -> Figure:
    ours = bench.run(str(MODULE), "find")[1] / 1000
    return Figure(ours, bench.run(SOFTHSM, "find")[1] / 1000, ours)


def _first_signature(bench: Bench) -> Figure:
    ours = min(bench.client(str(MODULE), "signature", LABEL, PIN)[0] for _ in range(3))
    return Figure(ours, bench.client(SOFTHSM, "signature", LABEL, PIN)[0], ours)


def _cold(bench: Bench) -> Figure:
    with small(bench):
        ours = bench.client(str(MODULE), "first")[0]
    return Figure(ours, bench.client(SOFTHSM, "first")[0], ours)


def _idle_memory(bench: Bench) -> Figure:
    with small(bench):
        bench.client(str(MODULE), "first")
        megabytes = resident(engine_pid())
    return Figure(megabytes, None, megabytes)


@contextmanager
def small(bench: Bench) -> Iterator[None]:
    """The pool with a few keys, no engine running at first."""
    bench.pool("small")
    try:
        yield
        stop_engine()
    finally:
        bench.pool("pool")


def _full_memory(bench: Bench) -> Figure:
    """A fresh engine with the partition open; what filled it would leave its own traces."""
    stop_engine()
    command = [str(bench.programs / "client"), str(MODULE), "hold", LABEL, PIN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdin is not None
        client.stdout.readline()
        megabytes = resident(engine_pid())
        client.stdin.close()
    return Figure(megabytes, None, megabytes)


MEASURES = (
    Measure("round trip of an empty call, p50", "us", 30, True, 5, _empty),
    Measure("RSA-2048 sign, of EVP's rate", "/s", 0.85, False, 5, _rsa),
    Measure("ECDSA P-256 sign, of SoftHSM2's rate", "/s", 1.0, False, 5, _ec),
    Measure("RSA-2048 sign, two threads of one's rate", "/s", 1.7, False, 5, _threads),
    Measure(f"find by label among {OBJECTS:,}", "ms", 1, True, 1, _find),
    Measure("new process to first signature", "ms", 8, True, 5, _first_signature),
    Measure("first answer with no engine running", "ms", 200, True, 5, _cold),
    Measure("resident memory, idle", "MB", 45, True, 1, _idle_memory),
    Measure(f"resident memory, {OBJECTS:,} objects open", "MB", 100, True, 1, _full_memory),
)


def engine_pid() -> int:
    return int(connect(start=False).ask("status")["pid"])


def stop_engine() -> None:
    """The engine of the pool leaves, and is gone when this returns."""
    try:
        pid = engine_pid()
    except Absent:
        return
    handle = os.pidfd_open(pid)
    connect(start=False).ask("stop")
    select.select([handle], [], [])
    os.close(handle)


def resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found.group(1)) / 1000


@contextmanager
def prepared(programs: Path, seconds: float) -> Iterator[Bench]:
    """In memory where that is to be had: SoftHSM2 would take minutes to fill a token on a disk."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="adyton-bench-", dir=place))
    try:
        bench = Bench(programs, folder, seconds)
        bench.prepare()
        yield bench
        stop_engine()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(rows: list[tuple[Measure, list[Figure]]]) -> bool:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title="medians of the rounds; best in brackets")
    for heading in ("measure", "to reach", "reached", "ours", "SoftHSM2"):
        drawn.add_column(heading, justify="left" if heading == "measure" else "right")
    good = True
    for measure, figures in rows:
        values = [figure.value for figure in figures]
        median, best = statistics.median(values), (min if measure.most else max)(values)
        reached = median <= measure.goal if measure.most else median >= measure.goal
        good = good and reached
        unit = measure.unit if measure.most else "x"
        peers = [figure.peer for figure in figures if figure.peer is not None]
        drawn.add_row(
            measure.name, f"{measure.goal:g} {unit}", f"{'' if reached else 'NOT '}{median:.3g} {unit} ({best:.3g})",
            f"{statistics.median(figure.ours for figure in figures):,.4g} {measure.unit}",
            f"{statistics.median(peers):,.4g} {measure.unit}" if peers else "",
        )
    Console(width=130).print(drawn)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__, epilog="example: tools/bench --quick")
    parser.add_argument("--quick", action="store_true", help="rounds of 0.4 s, not of 2 s")
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON")
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    given = parser.parse_args()
    from rich.progress import Progress

    rows: list[tuple[Measure, list[Figure]]] = []
    with Progress(transient=True, disable=given.json or not sys.stderr.isatty()) as progress:
        task = progress.add_task("filling the tokens", total=sum(measure.rounds for measure in MEASURES))
        with prepared(given.programs, 0.4 if given.quick else 2.0) as bench:
            for measure in MEASURES:
                progress.update(task, description=measure.name)
                rows.append((measure, []))
                for _ in range(measure.rounds):
                    rows[-1][1].append(measure.once(bench))
                    progress.advance(task)
    if given.json:
        print(json.dumps({m.name: {"goal": m.goal, "rounds": [f._asdict() for f in figures]} for m, figures in rows}))
        return 0
    return 0 if report(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
