"""The check of an RSA private key that comes from outside, in a process of its own.

libcrypto's check of primes and CRT parts takes 30 ms at 2048 bits, 0.2 s at 4096 and 3 s at 8192, and cryptography
holds the interpreter's lock all the while: in the engine, every other connection would stand still. So a warden is
forked before the engine shuts itself in, when there is no thread and no key yet. It forks a process for each check,
which reads the numbers, answers and is gone, with all that it knew. Neither can open the pool, and both end with the
engine. The numbers go over a socket pair only: no argument, file, log or error has them.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading

from hsm.confinement import process, seccomp

LONGEST = 1 << 16
_LENGTH = struct.Struct("<I")
_ASKED = struct.Struct("<Q")  # before each packet: which question it is, or answers
_FOR_A_WARDEN = frozenset({"clone", "fork"})
Numbers = tuple[int, ...]  # n, e, d, p, q, d mod p-1, d mod q-1, the inverse of q; 0 for what is not known


def pack(numbers: Numbers) -> bytes:
    """Each number as its length and its bytes; no numbers: «no such key»."""
    return b"".join(
        _LENGTH.pack(size) + value.to_bytes(size, "big")
        for value in numbers
        for size in ((value.bit_length() + 7) // 8,)
    )


def unpack(body: bytes) -> Numbers:
    numbers = []
    at = 0
    while at < len(body):
        (size,) = _LENGTH.unpack_from(body, at)
        numbers.append(int.from_bytes(body[at + 4 : at + 4 + size], "big"))
        at += 4 + size
    return tuple(numbers)


class Worker:
    """The engine's side: one key at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process = (0, 0)  # ours, which forked it, and its own
        self._asked = 0

    def start(self) -> None:
        """Forks the warden. An engine that is shut in can't any more: then this raises OSError."""
        self._forget()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            _warden(theirs, parent)
        theirs.close()
        self._socket, self._process = ours, (parent, child)

    @property
    def pid(self) -> int:
        """The warden's process; 0: there is none any more."""
        parent, child = self._process
        if parent == os.getpid() and child:
            try:
                if os.waitpid(child, os.WNOHANG) == (0, 0):
                    return child
            except ChildProcessError:
                pass
        return 0

    def complete(self, numbers: Numbers) -> Numbers:
        """All eight numbers, checked. Raises ValueError for what is no key, OSError where nobody can check."""
        with self._lock:
            if not self.pid:
                self.start()
            answer = self._ask(pack(numbers))
        if not answer:
            raise ValueError("not an RSA private key")
        return answer

    def _ask(self, body: bytes) -> Numbers:
        assert self._socket is not None
        self._asked += 1
        head = _ASKED.pack(self._asked)
        self._socket.send(head + body)
        while True:
            packet = self._socket.recv(LONGEST)
            if not packet:
                raise ConnectionResetError("the process that checks keys is gone")
            if packet[: len(head)] == head:
                break
        if packet[len(head) :] == _FAILED:
            raise OSError("the process that checks keys ended before it answered")
        return unpack(packet[len(head) :])

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


WORKER = Worker()
_FAILED = b"?"


# -- the other side


def _warden(theirs: socket.socket, parent: int) -> None:
    """In the forked process: never returns."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):  # it ends with the engine, not before
            signal.signal(number, signal.SIG_IGN)
        os.dup2(theirs.fileno(), 3)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(null, standard)
        os.closerange(4, 1 << 20)
        process.close()
        process.end_with(parent)
        process.shut_in((), spared=_FOR_A_WARDEN)
        with socket.socket(fileno=3) as requests:
            while requests.recv(1, socket.MSG_PEEK):
                _check_one(requests)
    finally:
        os._exit(0)


def _check_one(requests: socket.socket) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa as _loaded  # noqa: F401 - once, for all that are forked

    ours = os.getpid()
    asked = requests.recv(_ASKED.size, socket.MSG_PEEK)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            process.end_with(ours)
            if not seccomp.why_not():
                seccomp.install()
            os.nice(10)  # calls that are done in a moment come first
            packet = requests.recv(LONGEST)
            requests.send(asked + pack(check(unpack(packet[_ASKED.size :]))))
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        try:  # it may not even have read it
            while requests.recv(_ASKED.size, socket.MSG_PEEK | socket.MSG_DONTWAIT) == asked:
                requests.recv(1)
        except BlockingIOError:
            pass
        requests.send(asked + _FAILED)


def check(numbers: Numbers) -> Numbers:
    """What is missing computed, everything checked by libcrypto; () for what is no key."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    n, e, d, p, q, dmp1, dmq1, iqmp = numbers
    try:
        if not (p or q):
            if pow(pow(2, e, n), d, n) != 2:  # asked first: looking for primes that are not there takes for ever
                return ()
            p, q = rsa.rsa_recover_prime_factors(n, e, d)
        p, q = p or n // q, q or n // p
        dmp1, dmq1, iqmp = (
            dmp1 or rsa.rsa_crt_dmp1(d, p), dmq1 or rsa.rsa_crt_dmq1(d, q), iqmp or rsa.rsa_crt_iqmp(p, q)
        )
        rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, rsa.RSAPublicNumbers(e, n)).private_key()
    except (ValueError, TypeError, ZeroDivisionError):
        return ()
    return n, e, d, p, q, dmp1, dmq1, iqmp
