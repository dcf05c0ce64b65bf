"""A client that speaks to the engine itself, and badly, beside one that uses the library: it harms itself alone.

Whatever it sends or leaves out, the other's calls are answered, correctly and soon; afterwards the engine has the
descriptors, threads and memory that it had, and no fault of its own in its log.
"""

from __future__ import annotations

import array
import itertools
import os
import random
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
from abi import Module, good, logged_in

from hsm.server import codec, frames, listener
from pkcs11_shim import constants as ck

CMAC = ck.CKM_AES_CMAC
SOON = 5.0  # seconds for five calls beside the worst of these, on a machine that has other things to do


class Raw:
    """A connection on which anything can be sent."""

    def __init__(self, home: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(f"{home}/socket")

    def send(self, data: bytes) -> Self:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):  # the engine has ended it, as it may
            pass
        return self

    def hello(self) -> Self:
        self.send(frame(listener.HELLO, hello()))
        assert int.from_bytes(self.answer()[:8], "little") == ck.CKR_OK
        return self

    def answer(self) -> bytes:
        """One frame, or b"" where the engine has ended the connection."""
        head = self._exactly(4)
        return self._exactly(int.from_bytes(head, "little")) if head else b""

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return b""
            if not more:
                return b""
            data += more
        return data

    def link(self) -> Raw:
        """A further connection, as the library gets it."""
        self.send(frame(listener.LINK, b""))
        data, files, _, _ = socket.recv_fds(self.socket, 64, 1)
        assert files, data
        made = Raw.__new__(Raw)
        made.socket = socket.socket(fileno=files[0])
        made.socket.settimeout(10)
        return made

    def ended(self) -> bool:
        return self.answer() == b""

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def frame(function: int, payload: bytes, ahead: int = 0, length: int | None = None) -> bytes:
    return struct.pack("<IHH", 4 + len(payload) if length is None else length, function, ahead) + payload


def hello(magic: bytes = listener.MAGIC, major: int = listener.MAJOR, ulong: int = 8) -> bytes:
    return struct.pack("<8sHHQ32sQ", magic, major, listener.MINOR, ulong, bytes(32), os.getpid()) + b"0.2.0"


class Neighbour:
    """Who uses the library, and may not notice."""

    def __init__(self, m: Module, s: int, home: str) -> None:
        self.m, self.s, self.home = m, s, home
        self.key = m.aes(s, sign=True)
        self.expected = self.signature()
        self.pid = engine_of(home)
        self.had = self.held()
        self.memory = self.resident()

    def signature(self) -> bytes:
        rv, made = self.m.use("Sign", self.s, self.m.mechanism(CMAC), self.key, b"data")
        good(rv)
        return made

    def works(self) -> None:
        started = time.monotonic()
        for _ in range(5):
            assert self.signature() == self.expected
        assert time.monotonic() - started < SOON

    def held(self) -> tuple[int, int]:
        return len(os.listdir(f"/proc/{self.pid}/fd")), len(os.listdir(f"/proc/{self.pid}/task"))

    def resident(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000

    def is_as_before(self) -> None:
        self.works()
        deadline = time.monotonic() + 5
        while any(now > had for now, had in zip(self.held(), self.had, strict=True)):
            assert time.monotonic() < deadline, (self.held(), self.had)
            os.sched_yield()
        assert "Error" not in (Path(self.home) / "engine.log").read_text()


def engine_of(home: str) -> int:
    words = f"serves {home}"
    lines = (Path(home) / "engine.log").read_text().splitlines()
    return next(int(line.split()[2]) for line in lines if words in line)


@pytest.fixture
def beside(adyton_token: object) -> Iterator[Neighbour]:
    with logged_in(adyton_token) as (m, s):
        neighbour = Neighbour(m, s, os.environ["ADYTON_HOME"])
        yield neighbour
        neighbour.is_as_before()


@contextmanager
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# -- before the hello is through


@pytest.mark.parametrize("data", [
    b"", b"\0", b"\0" * 7, b"\xff" * 64, frame(listener.HELLO, b""), frame(listener.HELLO, hello()[:-60]),
    frame(listener.ADMIN, b'{"act": "status"}'), frame(listener.LINK, b""), frame(0, b""), frame(7, bytes(100)),
    frame(listener.HELLO, hello(), length=0), frame(listener.HELLO, hello(), length=3),
    frame(listener.HELLO, hello(), length=(1 << 32) - 1),
    frame(listener.HELLO, hello(), length=frames.LARGEST_FRAME + 1),
    frame(listener.HELLO, hello()) + b"bytes behind", b"GET / HTTP/1.1\r\n\r\n",
])
def test_what_is_no_hello_ends_its_connection(beside: Neighbour, data: bytes) -> None:
    with Raw(beside.home) as raw:
        raw.send(data)
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.ended()


@pytest.mark.parametrize("wrong", [hello(magic=b"SOFTHSM\x01"), hello(major=2), hello(major=0), hello(ulong=4)])
def test_a_hello_of_another_protocol_is_told_so(beside: Neighbour, wrong: bytes) -> None:
    with Raw(beside.home) as raw:
        told = raw.send(frame(listener.HELLO, wrong)).answer()
        assert int.from_bytes(told[:8], "little") == ck.CKR_DEVICE_ERROR
        assert raw.ended()


def test_a_hello_byte_by_byte_is_one(beside: Neighbour) -> None:
    with Raw(beside.home) as raw:
        for at, byte in enumerate(frame(listener.HELLO, hello())):
            raw.send(bytes([byte]))
            if at % 10 == 0:
                beside.works()
        assert int.from_bytes(raw.answer()[:8], "little") == ck.CKR_OK


def test_a_second_hello_ends_the_application(beside: Neighbour) -> None:
    with Raw(beside.home) as raw:
        assert raw.hello().send(frame(listener.HELLO, hello())).ended()


# -- on a link


def cut(data: bytes) -> Iterator[bytes]:
    for end in range(len(data)):
        yield data[:end]


def test_each_call_cut_at_each_byte(beside: Neighbour) -> None:
    """A payload of zeros decodes as something for every function; of each beginning, nothing but an end comes."""
    with Raw(beside.home) as raw:
        raw.hello()
        for function in range(len(codec.NAMES)):
            if function == listener.WAIT_FOR_SLOT_EVENT:
                continue
            for payload in (b"", b"\0", bytes(8), b"\xff" * 8, b"\xff" * 40, bytes(64)):
                link = raw.link()
                answer = link.send(frame(function, payload)).answer()
                assert answer == b"" or len(answer) >= 8
                link.close()


def test_frames_cut_at_each_byte(beside: Neighbour) -> None:
    whole = frame(codec.NAMES.index("C_GenerateRandom"), struct.pack("<QQ", 1, 16))
    with Raw(beside.home) as raw:
        raw.hello()
        for part in cut(whole):
            link = raw.link()
            link.send(part).close()
        beside.works()


@pytest.mark.parametrize("seed", range(8))
def test_noise(beside: Neighbour, seed: int) -> None:
    noise = random.Random(seed)
    with Raw(beside.home) as raw:
        raw.hello()
        for _ in range(100):
            link = raw.link()
            payload = noise.randbytes(noise.choice((0, 1, 8, 16, 100, 5000)))
            function = noise.choice((noise.randrange(len(codec.NAMES)), noise.randrange(1 << 16)))
            if function == listener.WAIT_FOR_SLOT_EVENT:
                function = 0
            ahead = noise.choice((0, 0, 1, 8, len(payload), 65535))
            link.send(frame(function, payload, ahead))
            link.close()
        beside.works()


def test_lengths_that_are_only_claimed(beside: Neighbour) -> None:
    """Fifty links that claim 64 MiB each and send a few bytes take none of it."""
    with Raw(beside.home) as raw:
        raw.hello()
        links = [raw.link() for _ in range(50)]
        for link in links:
            link.send(frame(codec.NAMES.index("C_Digest"), bytes(1000), length=frames.LARGEST_FRAME))
        beside.works()
        assert beside.resident() < beside.memory + 30
        for link in links:
            link.close()


def test_answers_that_nobody_reads(beside: Neighbour) -> None:
    """Calls whose answers are left lying: their own link stands still, and no other."""
    random_bytes = frame(codec.NAMES.index("C_GenerateRandom"), struct.pack("<QQ", 1, 1 << 16))
    with Raw(beside.home) as raw:
        raw.hello()
        links = [raw.link() for _ in range(8)]
        for link in links:
            link.socket.settimeout(0.2)
            try:
                for _ in range(200):
                    link.socket.sendall(random_bytes)
                    beside.signature()
            except OSError:  # the engine takes no more from here, or has ended it
                pass
        beside.works()


def test_more_links_than_there_may_be(beside: Neighbour) -> None:
    with Raw(beside.home) as raw:
        raw.hello()
        links = [raw.link() for _ in range(listener.MOST_LINKS)]
        told = raw.send(frame(listener.LINK, b"")).answer()
        assert int.from_bytes(told[:8], "little") == ck.CKR_DEVICE_MEMORY
        for link in links:
            link.close()


@pytest.mark.parametrize("count", [1, 2, 100, 253])
def test_descriptors_where_none_belong(beside: Neighbour, count: int) -> None:
    """With the hello, with requests on the control connection, and on a link."""
    files = array.array("i", [0] * count)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)]
    with Raw(beside.home) as raw:
        raw.socket.sendmsg([frame(listener.HELLO, hello())], rights)
        raw.answer()
        for _ in range(20):
            raw.socket.sendmsg([frame(listener.ADMIN, b'{"act": "status"}')], rights)
            assert raw.answer()
        link = raw.link()
        link.socket.sendmsg([frame(codec.NAMES.index("C_GenerateRandom"), b"")], rights)
        link.close()
    beside.is_as_before()


def test_a_thousand_connections(beside: Neighbour) -> None:
    """Half of them say nothing, half are applications."""
    with many_descriptors():
        raws: list[Raw] = []
        try:
            for number in range(1000):
                raws.append(Raw(beside.home))
                if number % 2:
                    raws[-1].hello()
                if number % 100 == 0:
                    beside.works()
            beside.works()
        finally:
            for raw in raws:
                raw.close()


def test_connections_that_come_and_go(beside: Neighbour) -> None:
    ways: list[Callable[[Raw], object]] = [
        lambda raw: None, lambda raw: raw.hello(), lambda raw: raw.hello().link(), lambda raw: raw.send(b"\0"),
        lambda raw: raw.send(frame(listener.HELLO, hello())[:20]),
    ]
    for way in itertools.islice(itertools.cycle(ways), 1000):
        with Raw(beside.home) as raw:
            way(raw)
    beside.works()
