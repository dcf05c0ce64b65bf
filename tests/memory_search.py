"""Whose memory has which bytes: a search of a process, by who may, and an application that keeps nothing of its own.

The application (this file, run) reads its PIN and a key's value straight into buffers that it overwrites after the
call, so that what is found in it afterwards is the library's. It does what it is told, a word a line, and says so.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

CKU_USER, CKF_RW = 1, 6
CLASS, TOKEN, VALUE, KEY_TYPE, LABEL = 0x000, 0x001, 0x011, 0x100, 0x003
SECRET_KEY, AES = 4, 0x1F
AES_ECB = 0x1081


def found(pid: int, needles: dict[str, bytes]) -> dict[str, int]:
    """How often each lies in what a process has mapped and others may read."""
    counts = dict.fromkeys(needles, 0)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            told = re.match(r"(\w+)-(\w+) (\S+)(?: \S+){3}\s*(.*)", line)
            assert told is not None
            start, end = int(told[1], 16), int(told[2], 16)
            if "r" not in told[3] or told[4].startswith("[v"):
                continue
            content = bytearray()
            try:
                memory.seek(start)
                while len(content) < end - start and (part := memory.read(end - start - len(content))):
                    content += part
            except OSError:  # what only the process itself can read, or what is behind a file's end
                pass
            for name, needle in needles.items():
                counts[name] += content.count(needle)
    return counts


class Attribute(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("length", ctypes.c_ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("length", ctypes.c_ulong)]


def _read(path: str) -> ctypes.Array[ctypes.c_char]:
    buffer = ctypes.create_string_buffer(os.path.getsize(path))
    with open(path, "rb", buffering=0) as file:
        assert file.readinto(buffer) == len(buffer)
    return buffer


def _wipe(buffer: ctypes.Array[ctypes.c_char]) -> None:
    ctypes.memset(buffer, 0, len(buffer))


class Program:
    """A session, and a key that it knows by its handle."""

    def __init__(self, module: str, folder: str) -> None:
        self._library: Any = ctypes.CDLL(module)
        self._folder = folder
        self._session, self._key = ctypes.c_ulong(), ctypes.c_ulong()
        self._good(self._library.C_Initialize(None))
        self._good(self._library.C_OpenSession(0, CKF_RW, None, None, ctypes.byref(self._session)))

    @staticmethod
    def _good(rv: int) -> None:
        assert rv == 0, hex(rv)

    def login(self) -> None:
        pin = _read(f"{self._folder}/pin")
        self._good(self._library.C_Login(self._session, ctypes.c_ulong(CKU_USER), pin, ctypes.c_ulong(len(pin))))
        _wipe(pin)

    def logout(self) -> None:
        self._good(self._library.C_Logout(self._session))

    def load(self) -> None:
        """An AES key in clear becomes a token's."""
        value = _read(f"{self._folder}/value")
        numbers = [ctypes.c_ulong(number) for number in (SECRET_KEY, AES)]
        yes, label = ctypes.c_ubyte(1), ctypes.create_string_buffer(b"searched", 8)
        rows = [(CLASS, numbers[0]), (KEY_TYPE, numbers[1]), (TOKEN, yes), (LABEL, label), (VALUE, value)]
        template = (Attribute * len(rows))(*[
            Attribute(number, ctypes.cast(ctypes.byref(row), ctypes.c_void_p), ctypes.sizeof(row))
            for number, row in rows
        ])
        self._good(self._library.C_CreateObject(
            self._session, template, ctypes.c_ulong(len(rows)), ctypes.byref(self._key)
        ))
        _wipe(value)

    def find(self) -> None:
        label, count = ctypes.create_string_buffer(b"searched", 8), ctypes.c_ulong()
        template = Attribute(LABEL, ctypes.cast(label, ctypes.c_void_p), 8)
        self._good(self._library.C_FindObjectsInit(self._session, ctypes.byref(template), ctypes.c_ulong(1)))
        self._good(self._library.C_FindObjects(
            self._session, ctypes.byref(self._key), ctypes.c_ulong(1), ctypes.byref(count)
        ))
        self._good(self._library.C_FindObjectsFinal(self._session))
        assert count.value == 1

    def use(self) -> None:
        mechanism, data, size = Mechanism(AES_ECB, None, 0), ctypes.create_string_buffer(16), ctypes.c_ulong(16)
        for _ in range(5):
            self._good(self._library.C_EncryptInit(self._session, ctypes.byref(mechanism), self._key))
            self._good(self._library.C_Encrypt(
                self._session, data, ctypes.c_ulong(16), data, ctypes.byref(size)
            ))


class Application:
    """The other side: the program in a process of its own."""

    def __init__(self, module: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, module, str(folder)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid

    def do(self, *words: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        for word in words:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == f"{word} done\n"

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait() == 0


if __name__ == "__main__":
    program = Program(*sys.argv[1:])
    for command in sys.stdin:
        getattr(program, command.strip())()
        print(f"{command.strip()} done", flush=True)
