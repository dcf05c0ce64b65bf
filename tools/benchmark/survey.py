"""The whole survey: every operation in several shapes, sizes of data, growth of a token and of its sessions, starts.

What is compared is measured in turns within one round; what is kept of the rounds is the median of each.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from modules import Modules

KIB, MIB = 1 << 10, 1 << 20
SHAPES = {"1 thread": {}, "2 threads": {"threads": 2}, "2 processes": {"processes": 2}}
SIZES = (64, KIB, 16 * KIB, 256 * KIB, MIB, 16 * MIB)
SIZED = ("random", "sha256", "hmac-sha256", "aes-cbc-encrypt", "aes-cbc-decrypt", "aes-gcm-encrypt")
UNSIZED = (
    "empty", "mechanism-info", "attributes", "session", "session-object", "token-object", "rsa-2048-sign",
    "rsa-2048-verify", "rsa-2048-decrypt", "rsa-4096-sign", "p256-sign", "p256-verify", "p384-sign", "p256-ecdh",
    "ed25519-sign", "aes-wrap", "aes-unwrap", "aes-generate", "p256-generate", "rsa-2048-generate",
)
OBJECTS = (1, 10, 100, 1_000, 10_000, 100_000)
PEERS_MOST_OBJECTS = 10_000  # SoftHSM2 looks at every object in every search: more would take hours
SESSIONS = (1, 10, 50, 100, 200)


class Point(NamedTuple):
    """One figure: of which table, at which place of it, ours, the peer's, and EVP's in one's own process."""

    table: str
    measure: str
    at: str
    unit: str
    ours: float | None
    peer: float | None = None
    limit: float | None = None


Measured = tuple[float | None, float | None, float | None]


class Row(NamedTuple):
    """One point to be, and how one round of it is measured."""

    table: str
    measure: str
    at: str
    unit: str
    rounds: int
    once: Callable[[Modules], Measured]


def _rates(operation: str, size: int, *, limited: bool, **shape: int) -> Callable[[Modules], Measured]:
    def once(modules: Modules) -> Measured:
        ours, peer = (modules.run(module, operation, size=size, **shape) for module in (modules.ours, modules.peer))
        limit = modules.limit(operation, size) if limited else None
        return ours and ours.rate, peer and peer.rate, limit

    return once


def _operations(rounds: int) -> Iterator[Row]:
    for operation in (*UNSIZED, *SIZED):
        size = KIB if operation in SIZED else 0
        name = f"{operation} of 1 KiB" if size else operation
        for at, shape in SHAPES.items():
            once = _rates(operation, size, limited=at == "1 thread", **shape)
            yield Row("operations", name, at, "/s", rounds, once)


def _sizes(rounds: int) -> Iterator[Row]:
    for operation in SIZED:
        for size in SIZES:
            yield Row("sizes", operation, str(size), "/s", rounds, _rates(operation, size, limited=True))


def _among(count: int, measure: Callable[[Modules, str], float]) -> Callable[[Modules], Measured]:
    """One measure in each module among so many objects, as far as the peer goes."""

    def once(modules: Modules) -> Measured:
        modules.fill(modules.ours, count)
        ours = measure(modules, modules.ours)
        if count > PEERS_MOST_OBJECTS:
            return ours, None, None
        modules.fill(modules.peer, count)
        return ours, measure(modules, modules.peer), None

    return once


def _median_of(operation: str, count: int) -> Callable[[Modules, str], float]:
    def measure(modules: Modules, module: str) -> float:
        found = modules.run(module, operation, size=count)
        assert found is not None
        return found.median / 1000

    return measure


def _memory(*, objects: int = 0, sessions: int = 1) -> Callable[[Modules], Measured]:
    def once(modules: Modules) -> Measured:
        modules.fill(modules.ours, objects)
        return modules.memory(sessions), None, None

    return once


def _first_answer(modules: Modules, module: str) -> float:
    return modules.first_answer(module)


def _first_signature(modules: Modules, module: str) -> float:
    return modules.first_signature(module)


def _objects(rounds: int) -> Iterator[Row]:
    for count in OBJECTS:
        at = str(count)
        yield Row("objects", "find", at, "ms", rounds, _among(count, _median_of("find", count)))
        yield Row("objects", "token-object", at, "ms", 1, _among(count, _median_of("token-object", count)))
        yield Row("objects", "first signature", at, "ms", rounds, _among(count, _first_signature))
        yield Row("objects", "memory of the engine", at, "MB", 1, _memory(objects=count))


def _sessions(rounds: int) -> Iterator[Row]:
    for count in SESSIONS:
        once = _rates("p256-sign", 0, limited=False, sessions=count)
        yield Row("sessions", "p256-sign", str(count), "/s", rounds, once)
        yield Row("sessions", "memory of the engine", str(count), "MB", 1, _memory(sessions=count))


def _cold(measure: Callable[[Modules, str], float]) -> Callable[[Modules], Measured]:
    def once(modules: Modules) -> Measured:
        with modules.small():
            ours = measure(modules, modules.ours)
        return ours, measure(modules, modules.peer), None

    return once


def _warm(measure: Callable[[Modules, str], float]) -> Callable[[Modules], Measured]:
    def once(modules: Modules) -> Measured:
        with modules.small():
            modules.first_signature(modules.ours)
            ours = measure(modules, modules.ours)
        return ours, measure(modules, modules.peer), None

    return once


def _starts(rounds: int) -> Iterator[Row]:
    acts = {"first answer": _first_answer, "first signature": _first_signature}
    for name, act in acts.items():
        yield Row("starts", name, "no engine running", "ms", rounds, _cold(act))
        yield Row("starts", name, "engine running, partition open", "ms", rounds, _warm(act))


def rows(rounds: int) -> list[Row]:
    """In this order: a token only grows."""
    return [*_starts(rounds), *_operations(rounds), *_sizes(rounds), *_sessions(rounds), *_objects(rounds)]


def take(row: Row, modules: Modules) -> Point:
    """All rounds of a row, and the median of each of its columns."""
    measured = [row.once(modules) for _ in range(row.rounds)]
    columns = [[value for value in column if value is not None] for column in zip(*measured, strict=True)]
    ours, peer, limit = (statistics.median(column) if column else None for column in columns)
    return Point(row.table, row.measure, row.at, row.unit, ours, peer, limit)
