"""A server that a test starts: it listens before the test goes on, and has ended before the test does."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def served(command: list[str], port: int, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """``log``: what it says."""
    with open(log, "w") as says:
        server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=says, stderr=says)
    try:
        deadline = time.monotonic() + 30
        while not _listens(port):
            assert server.poll() is None and time.monotonic() < deadline, f"{command}\n{log.read_text()}"
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(20)
