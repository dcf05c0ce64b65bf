"""What the module promises, a row each with its goal.

Machines are noisy: whatever is compared is measured in turns within one round, a ratio is taken within its round, and
the median of the rounds is what counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import records

if TYPE_CHECKING:
    from modules import Modules, Rate

OBJECTS = 10_000


class Figure(NamedTuple):
    """One round of one promise: ours, the peer's beside it, and what is held against the goal."""

    ours: float
    peer: float | None
    value: float


class Promise(NamedTuple):
    """A row of the table. ``most``: the goal is an upper bound."""

    name: str
    unit: str
    goal: float
    most: bool
    rounds: int
    once: Callable[[Modules], Figure]


def _of(rate: Rate | None) -> Rate:
    assert rate is not None  # what is promised is offered by every module that is measured
    return rate


def _empty(modules: Modules) -> Figure:
    ours = _of(modules.run(modules.ours, "empty")).median
    return Figure(ours, _of(modules.run(modules.peer, "empty")).median, ours)


def _rsa(modules: Modules) -> Figure:
    ours, limit = _of(modules.run(modules.ours, "rsa-2048-sign")).rate, modules.limit("rsa-2048-sign")
    assert limit is not None
    return Figure(ours, _of(modules.run(modules.peer, "rsa-2048-sign")).rate, ours / limit)


def _ec(modules: Modules) -> Figure:
    ours, peer = (_of(modules.run(module, "p256-sign")).rate for module in (modules.ours, modules.peer))
    return Figure(ours, peer, ours / peer)


def _threads(modules: Modules) -> Figure:
    one, two = (_of(modules.run(modules.ours, "rsa-2048-sign", threads=threads)).rate for threads in (1, 2))
    return Figure(two, _of(modules.run(modules.peer, "rsa-2048-sign", threads=2)).rate, two / one)


def _find(modules: Modules) -> Figure:
    for module in (modules.ours, modules.peer):
        modules.fill(module, OBJECTS)
    ours, peer = (_of(modules.run(module, "find", size=OBJECTS)).median for module in (modules.ours, modules.peer))
    return Figure(ours / 1000, peer / 1000, ours / 1000)


def _first_signature(modules: Modules) -> Figure:
    ours = min(modules.first_signature(modules.ours) for _ in range(3))
    return Figure(ours, modules.first_signature(modules.peer), ours)


def _cold(modules: Modules) -> Figure:
    with modules.small():
        ours = modules.first_answer(modules.ours)
    return Figure(ours, modules.first_answer(modules.peer), ours)


def _idle_memory(modules: Modules) -> Figure:
    with modules.small():
        megabytes = modules.memory()
    return Figure(megabytes, None, megabytes)


def _full_memory(modules: Modules) -> Figure:
    modules.fill(modules.ours, OBJECTS)
    megabytes = modules.memory()
    return Figure(megabytes, None, megabytes)


def _later(modules: Modules) -> Figure:
    later, _ = records.cost(modules.folder)
    return Figure(later, None, later)


def _processor(modules: Modules) -> Figure:
    _, processor = records.cost(modules.folder)
    return Figure(processor, None, processor)


PROMISES = (
    Promise("round trip of an empty call, p50", "us", 30, True, 5, _empty),
    Promise("RSA-2048 sign, of EVP's rate", "/s", 0.85, False, 5, _rsa),
    Promise("ECDSA P-256 sign, of the peer's rate", "/s", 1.0, False, 5, _ec),
    Promise("RSA-2048 sign, two threads of one's rate", "/s", 1.7, False, 5, _threads),
    Promise(f"find by label among {OBJECTS:,}", "ms", 1, True, 1, _find),
    Promise("new process to first signature", "ms", 8, True, 5, _first_signature),
    Promise("first answer with no engine running", "ms", 200, True, 5, _cold),
    Promise("an audit record, on its operation's answer", "us", 3, True, 5, _later),
    Promise("an audit record, processor time in all", "us", 8, True, 5, _processor),
    Promise("resident memory, a few keys", "MB", 45, True, 1, _idle_memory),
    Promise(f"resident memory, {OBJECTS:,} objects open", "MB", 100, True, 1, _full_memory),
)


class Kept(NamedTuple):
    """A promise and the figures of its rounds."""

    promise: Promise
    figures: list[Figure]

    @property
    def median(self) -> float:
        return statistics.median(figure.value for figure in self.figures)

    @property
    def best(self) -> float:
        return (min if self.promise.most else max)(figure.value for figure in self.figures)

    @property
    def reached(self) -> bool:
        return self.median <= self.promise.goal if self.promise.most else self.median >= self.promise.goal

    def cells(self) -> list[str]:
        promise, figures = self.promise, self.figures
        unit = promise.unit if promise.most else "x"
        peers = [figure.peer for figure in figures if figure.peer is not None]
        return [
            promise.name, f"{promise.goal:g} {unit}",
            f"{'' if self.reached else 'NOT '}{self.median:.3g} {unit} ({self.best:.3g})",
            f"{statistics.median(figure.ours for figure in figures):,.4g} {promise.unit}",
            f"{statistics.median(peers):,.4g} {promise.unit}" if peers else "",
        ]


def headings(peer: str) -> list[str]:
    return ["measure", "to reach", "reached (best)", "ours", peer]
