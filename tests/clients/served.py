"""A server that a test starts, which listens before the test goes on and has ended before the test does; and a client
of its own for those that speak TLS."""

from __future__ import annotations

import socket
import ssl
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


def answer_over_tls(port: int, certificate: Path, version: ssl.TLSVersion, said: bytes) -> bytes:
    """What a TLS server says first to this, trusted by its certificate and spoken to in one version of TLS."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(said)
        return secured.recv(100)
