"""The check of an RSA private key that comes from outside, in a process of its own.

libcrypto's check of primes and CRT parts takes 30 ms at 2048 bits, 0.2 s at 4096 and 3 s at 8192, and cryptography
holds the interpreter's lock all the while: in the engine, every other connection would stand still. So one worker
(this file, run by ``python -I``) is started at the first such key and fed over a pipe. It leaves when idle, or when
the engine is gone, which closes the pipe. The numbers go over the pipe only: no argument, file, log or error has them.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import threading

IDLE = 60.0  # seconds until an idle worker leaves
LONGEST = 1 << 16
_LENGTH = struct.Struct("<I")
Numbers = tuple[int, ...]  # n, e, d, p, q, d mod p-1, d mod q-1, the inverse of q; 0 for what is not known


def pack(numbers: Numbers) -> bytes:
    """Each number as its length and its bytes, the whole with its length before it; no numbers: «no such key»."""
    body = b"".join(
        _LENGTH.pack(size) + value.to_bytes(size, "big")
        for value in numbers
        for size in ((value.bit_length() + 7) // 8,)
    )
    return _LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> Numbers:
    numbers = []
    at = 0
    while at < len(body):
        (size,) = _LENGTH.unpack_from(body, at)
        numbers.append(int.from_bytes(body[at + 4 : at + 4 + size], "big"))
        at += 4 + size
    return tuple(numbers)


class Worker:
    """The engine's side: starts the process where there is none, and asks it one key at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def complete(self, numbers: Numbers) -> Numbers:
        """All eight numbers, checked. Raises ValueError for what is no key, OSError where no worker can be had."""
        with self._lock:
            answer = self._ask(pack(numbers))
            if answer is None:  # it was just leaving
                answer = self._ask(pack(numbers))
        if answer is None:
            raise OSError("the process that checks keys ends before it answers")
        if not answer:
            raise ValueError("not an RSA private key")
        return answer

    def _ask(self, request: bytes) -> Numbers | None:
        """None: the worker ended."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(request)
            process.stdin.flush()
            (length,) = _LENGTH.unpack(_exactly(process.stdout.fileno(), _LENGTH.size))
            return unpack(_exactly(process.stdout.fileno(), length))
        except (BrokenPipeError, EOFError):
            self._end()
            return None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, bufsize=0, env={},
            )
            # Reaps it when it leaves; its end of the pipes goes with the next key's worker.
            threading.Thread(target=self._process.wait, daemon=True).start()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _exactly(descriptor: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = os.read(descriptor, size - len(found))
        if not more:
            raise EOFError
        found += more
    return found


WORKER = Worker()


# -- the worker's side


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


def _harden() -> None:
    """As the engine: no core dump, no reading of this memory by others of the same uid (prctl(2))."""
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pr_set_dumpable = 4
    ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)


def main() -> None:
    _harden()
    os.nice(10)
    while select.select([0], [], [], IDLE)[0]:
        try:
            (length,) = _LENGTH.unpack(_exactly(0, _LENGTH.size))
            if length > LONGEST:
                return
            os.write(1, pack(check(unpack(_exactly(0, length)))))
        except (EOFError, BrokenPipeError):
            return


if __name__ == "__main__":
    # Where the package lies, its requirements may lie too; -I looks in the interpreter's own folders only.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    main()
