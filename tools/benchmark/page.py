"""Tables and plots of a survey: on the terminal, and in README.md and plots/ beside this file."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

from promises import Kept, headings
from survey import Point

HERE = Path(__file__).parent
README = HERE / "README.md"
PLOTS = HERE / "plots"
NOTHING = "\u2013"
_SIZES = {1 << 20: "MiB", 1 << 10: "KiB", 1: "B"}
Table = tuple[list[str], list[list[str]]]


def size_words(size: int) -> str:
    unit = next(unit for unit in _SIZES if size >= unit)
    return f"{size // unit} {_SIZES[unit]}"


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    if unit == "/s" and value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{float(f'{value:.3g}'):,g}"


def ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one and other else NOTHING


def _distinct(points: list[Point], field: Callable[[Point], str]) -> list[str]:
    return list(dict.fromkeys(field(point) for point in points))


def operations(points: list[Point], peer: str) -> Table:
    """A row an operation, the three shapes side by side."""
    shapes = _distinct(points, lambda p: p.at)
    heading = ["operation, calls per second", *(f"{shape}: ours | {peer}" for shape in shapes), "of EVP"]
    body = []
    for name in _distinct(points, lambda p: p.measure):
        here = {p.at: p for p in points if p.measure == name}
        cells = [f"{figure(here[s].ours, '/s')} | {figure(here[s].peer, '/s')}" for s in shapes]
        one = here[shapes[0]]
        body.append([name, *cells, ratio(one.ours, one.limit)])
    return heading, body


def sizes(points: list[Point], peer: str) -> Table:
    """A row an operation and size, in megabytes per second."""
    heading = ["operation", "of", "ours, MB/s", f"{peer}, MB/s", "EVP, MB/s"]
    body = []
    for p in points:
        megabytes = int(p.at) / 1e6
        rates = [figure(rate and rate * megabytes, "MB/s") for rate in (p.ours, p.peer, p.limit)]
        body.append([p.measure, size_words(int(p.at)), *rates])
    return heading, body


def growth(points: list[Point], peer: str, what: str) -> Table:
    """A row a count, a column a measure."""
    measures = _distinct(points, lambda p: p.measure)
    has_peer = {m: any(p.peer is not None for p in points if p.measure == m) for m in measures}
    unit = {p.measure: p.unit for p in points}
    heading = [what, *(f"{m}, {unit[m]}{': ours | ' + peer if has_peer[m] else ''}" for m in measures)]
    body = []
    for at in _distinct(points, lambda p: p.at):
        here = {p.measure: p for p in points if p.at == at}
        cells = []
        for m in measures:
            ours = figure(here[m].ours, unit[m])
            cells.append(f"{ours} | {figure(here[m].peer, unit[m])}" if has_peer[m] else ours)
        body.append([f"{int(at):,}", *cells])
    return heading, body


def starts(points: list[Point], peer: str) -> Table:
    return ["start", "where", "ours, ms", f"{peer}, ms"], [
        [p.measure, p.at, figure(p.ours, p.unit), figure(p.peer, p.unit)] for p in points
    ]


def tables(points: list[Point], peer: str) -> dict[str, Table]:
    """By the name of their place in README.md."""
    of = {name: [p for p in points if p.table == name] for name in _distinct(points, lambda p: p.table)}
    makers: dict[str, Callable[[list[Point]], Table]] = {
        "starts": lambda some: starts(some, peer),
        "operations": lambda some: operations(some, peer),
        "sizes": lambda some: sizes(some, peer),
        "sessions": lambda some: growth(some, peer, "sessions"),
        "objects": lambda some: growth(some, peer, "token objects"),
    }
    return {name: make(of[name]) for name, make in makers.items() if name in of}


def promise_table(kept: list[Kept], peer: str) -> Table:
    return headings(peer), [one.cells() for one in kept]


def draw(named: dict[str, Table]) -> None:
    """On the terminal."""
    from rich.console import Console
    from rich.table import Table as Drawn

    for name, (heading, body) in named.items():
        drawn = Drawn(title=name)
        for column, words in enumerate(heading):
            drawn.add_column(words, justify="right" if column else "left")
        for cells in body:
            drawn.add_row(*cells)
        Console(width=160).print(drawn)


def machine() -> str:
    """What it was measured on, in words."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = found.group(1) if found else platform.machine()
    return f"{os.cpu_count()} cores of {name}, Linux {platform.release()}, Python {platform.python_version()}"


def _markdown(table: Table) -> str:
    heading, body = table
    # A figure of two modules in one cell has a bar, which ends a cell in Markdown.
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *body]
    return "\n".join("| " + " | ".join(cell.replace(" | ", " / ") for cell in cells) + " |" for cells in lines)


def put(name: str, text: str) -> None:
    """Replaces what stands between the markers of that name in README.md."""
    page = README.read_text()
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"{README.name} has no place for {name}")
    head, _, rest = page.partition(begin)
    # An empty place has one line's end between its markers, which both of them claim.
    README.write_text(head + begin + text + end + ("\n" + rest).partition(end)[2])


def write(named: dict[str, Table]) -> None:
    for name, table in named.items():
        put(name, _markdown(table))
    put("machine", machine())
