"""The survey's plots, as SVG files in plots/."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from page import size_words
from survey import Point

matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "adyton", "font.family": "sans-serif", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False,
})
OURS, PEER, LIMIT = "#1f5f8b", "#c8553d", "#777777"


def _lines(axes: Axes, points: list[Point], peer: str, scale: float = 1, weights: bool = False) -> None:
    """Ours, the peer's and the limit's over where they were measured; ``weights``: rates times sizes."""
    for name, colour, field in (("Adyton", OURS, "ours"), (peer, PEER, "peer"), ("EVP", LIMIT, "limit")):
        pairs = [(int(p.at), getattr(p, field)) for p in points if getattr(p, field) is not None]
        if pairs:
            heights = [value * (at if weights else 1) * scale for at, value in pairs]
            axes.plot([at for at, _ in pairs], heights, color=colour, marker="o", markersize=3, label=name)
    axes.set_xscale("log")


def _save(figure: Figure, place: Path) -> None:
    figure.savefig(place, format="svg", bbox_inches="tight", metadata={"Date": None})


def _operations(points: list[Point], peer: str, place: Path) -> None:
    """How many times the peer's rate, by one thread; a logarithmic scale, with 1 in the middle."""
    compared = [(p.measure, p.ours / p.peer) for p in points if p.at == "1 thread" and p.ours and p.peer]
    figure = Figure(figsize=(8, 0.28 * len(compared) + 1))
    axes = figure.subplots()
    names, ratios = [name for name, _ in compared][::-1], [value for _, value in compared][::-1]
    axes.barh(names, [value - 1 for value in ratios], left=1, color=[OURS if v >= 1 else PEER for v in ratios])
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(f"calls per second, as a multiple of {peer}'s (1 thread)")
    _save(figure, place)


def _sizes(points: list[Point], peer: str, place: Path) -> None:
    names = list(dict.fromkeys(p.measure for p in points))
    figure = Figure(figsize=(10, 6))
    for axes, name in zip(figure.subplots(2, 3, sharex=True).flat, names, strict=True):
        here = [p for p in points if p.measure == name]
        _lines(axes, here, peer, 1e-6, weights=True)
        axes.set_yscale("log")
        axes.set_title(name, fontsize=10)
        axes.set_ylabel("MB/s", fontsize=8)
        axes.set_xticks([int(p.at) for p in here], [size_words(int(p.at)) for p in here], rotation=60, fontsize=7)
        axes.minorticks_off()
    figure.axes[1].legend(fontsize=8)  # the first, random bytes, has no limit to show
    figure.tight_layout()
    _save(figure, place)


def _growth(points: list[Point], peer: str, place: Path, what: str) -> None:
    names = list(dict.fromkeys(p.measure for p in points))
    figure = Figure(figsize=(3.4 * len(names), 3))
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        here = [p for p in points if p.measure == name]
        _lines(axes, here, peer)
        axes.set_title(f"{name}, {here[0].unit}", fontsize=10)
        axes.set_xlabel(what, fontsize=8)
        axes.set_yscale("log" if here[0].unit == "ms" else "linear")
        if here[0].unit != "ms":
            axes.set_ylim(bottom=0)
    figure.axes[0].legend(fontsize=8)
    figure.tight_layout()
    _save(figure, place)


def write(points: list[Point], peer: str, folder: Path) -> None:
    """One SVG file a table that is better seen than read."""
    folder.mkdir(exist_ok=True)
    of = {name: [p for p in points if p.table == name] for name in ("operations", "sizes", "objects", "sessions")}
    _operations(of["operations"], peer, folder / "operations.svg")
    _sizes(of["sizes"], peer, folder / "sizes.svg")
    _growth(of["objects"], peer, folder / "objects.svg", "token objects")
    _growth(of["sessions"], peer, folder / "sessions.svg", "sessions")
