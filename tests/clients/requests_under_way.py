"""Requests that don't stop while a server is reloaded: each a connection and a TLS session of its own, for which a key
in the token signs."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from system_pool import KEYS, SystemPool

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def until(true: Callable[[], bool], words: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, words


class Requests(threading.Thread):
    """One request after the other, of one key and one version of TLS; what came back, and what failed."""

    def __init__(self, system: SystemPool, name: str, version: ssl.TLSVersion) -> None:
        super().__init__(daemon=True)
        self.system, self.kind, self.version = system, name, version
        self.answers: list[str] = []
        self.failures: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                self.answers.append(self.system.ask(self.kind, self.version))
            except (OSError, AssertionError) as fault:
                self.failures.append(f"{self.kind}, {self.version.name}: {fault!r}")


@contextmanager
def requests(system: SystemPool) -> Iterator[list[Requests]]:
    threads = [Requests(system, name, version) for name in KEYS for version in VERSIONS]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.enough.set()
        for thread in threads:
            thread.join(30)


def everybody_has(threads: list[Requests], answer: str) -> Callable[[], bool]:
    return lambda: all(thread.answers[-1:] == [answer] for thread in threads)
