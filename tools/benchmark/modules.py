"""The modules that are measured, with a prepared token each, and the programs that drive them."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hsm.client import MODULE, Absent, connect

LABEL, PIN, SO_PIN = "bench", "1234-bench", "12345678"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
NOT_OFFERED = 3  # the programs' exit code


class Rate(NamedTuple):
    """Calls per second; median and 99th percentile of one call, in microseconds."""

    rate: float
    median: float
    late: float


class Modules:
    """Ours and one beside it, by path. Each has a token of its own in ``folder``, with the operations' keys; a
    module that is not SoftHSM2 keeps its tokens where its own settings say, and needs a slot not yet initialised."""

    def __init__(self, programs: Path, folder: Path, seconds: float, peer: str = SOFTHSM) -> None:
        self.programs = programs
        self.folder = folder
        self.seconds = seconds
        self.ours, self.peer = str(MODULE), peer
        self.objects = {self.ours: 0, peer: 0}
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = f"{folder}/softhsm2.conf"
        self.pool("small")
        self._client(self.ours, "prepare", LABEL, SO_PIN, PIN)
        stop_engine()
        self.pool("pool")
        for module in (self.ours, peer):
            self._client(module, "prepare", LABEL, SO_PIN, PIN)

    @property
    def peer_name(self) -> str:
        return "SoftHSM2" if self.peer == SOFTHSM else Path(self.peer).name

    def pool(self, name: str) -> None:
        os.environ["ADYTON_HOME"] = str(self.folder / name)

    def _client(self, module: str, *words: str) -> list[float] | None:
        done = subprocess.run([self.programs / "client", module, *words], capture_output=True, text=True, check=False)
        if done.returncode == NOT_OFFERED:
            return None
        if done.returncode:
            raise SystemExit(f"{module} {' '.join(words)}: {done.stderr.strip()}")
        return [float(word) for word in done.stdout.split()]

    def fill(self, module: str, objects: int) -> None:
        """Data objects until there are so many."""
        there = self.objects[module]
        if objects > there:
            self._client(module, "fill", LABEL, PIN, str(there), str(objects - there))
            self.objects[module] = objects

    def run(
        self, module: str, operation: str, *, size: int = 0, threads: int = 1, processes: int = 1, sessions: int = 1
    ) -> Rate | None:
        """None where the module doesn't list the mechanism."""
        words = (str(size), str(self.seconds), str(threads), str(processes), str(sessions))
        told = self._client(module, "run", LABEL, PIN, operation, *words)
        return Rate(*told) if told else None

    def limit(self, operation: str, size: int = 0) -> float | None:
        """libcrypto's EVP in one thread, calls per second; None for what it has no row for."""
        command = [str(self.programs / "limit"), operation, str(size), str(self.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return float(done.stdout) if done.returncode == 0 else None

    def first_answer(self, module: str) -> float:
        """Milliseconds from C_Initialize to the first slot list."""
        return (self._client(module, "first") or [0.0])[0]

    def first_signature(self, module: str) -> float:
        """Milliseconds from main to the first signature, login included."""
        return (self._client(module, "signature", LABEL, PIN) or [0.0])[0]

    @contextmanager
    def small(self) -> Iterator[None]:
        """The pool with a few keys, no engine running at first."""
        self.pool("small")
        try:
            yield
            stop_engine()
        finally:
            self.pool("pool")

    def memory(self, sessions: int = 1) -> float:
        """Megabytes that a fresh engine holds with the partition open; what filled it would leave its own traces."""
        stop_engine()
        command = [str(self.programs / "client"), self.ours, "hold", LABEL, PIN, str(sessions)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None and client.stdin is not None
            client.stdout.readline()
            megabytes = resident(engine_pid())
            client.stdin.close()
        return megabytes


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
def prepared(programs: Path, seconds: float, peer: str) -> Iterator[Modules]:
    """In memory where that is to be had: SoftHSM2 would take minutes to fill a token on a disk."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="adyton-bench-", dir=place))
    try:
        yield Modules(programs, folder, seconds, peer)
        stop_engine()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
