"""A machine to install things on, without touching this one: its own /run, /etc and /var/lib, and its own processes.

Namespaces of Linux, held by a process that ends with the test and takes everything with it. Needs root, or sudo
without a password. Run as a program, this file is that process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

WHAT_TO_DO = """\
This test installs the system pool on a machine of its own, which takes Linux namespaces, and several users in them.
Run the tests as root, or as a user whom sudo asks for no password. In a container: with CAP_SYS_ADMIN
(docker run --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined).
"""


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


class Machine:
    """``reachable``: folders of this machine that every user of that one may enter, under their own names."""

    def __init__(self, *reachable: Path) -> None:
        self._reachable = [str(path) for path in reachable]
        self._holder: subprocess.Popen[str] | None = None
        self._enter: list[str] = []

    def __enter__(self) -> Self:
        command = [*_as_root(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                   sys.executable, "-I", __file__, *self._reachable]
        try:
            self._holder = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
            assert self._holder.stdout is not None
            words = self._holder.stdout.readline().split()
        except OSError as fault:
            raise AssertionError(f"{WHAT_TO_DO}{fault}") from None
        if words != ["ready"]:
            raise AssertionError(WHAT_TO_DO + self._holder.communicate()[1])
        target = str(self._holder.pid)
        while (children := Path(f"/proc/{target}/task/{target}/children").read_text().split()):
            target = children[0]
        self._enter = [*_as_root(), "nsenter", "--target", target, "--mount", "--pid", "--wd=/"]
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._holder is not None:
            self._holder.communicate()  # the end of its input ends it

    def start(self, *words: str, environment: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
        """A program of that machine's root, in an environment of its own."""
        named = [f"{name}={value}" for name, value in (environment or {}).items()]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.Popen([*self._enter, "env", "-i", path, *named, *words], text=True, **more)

    def run(self, *words: str, fails: bool = False, timeout: float = 60, **more: Any) -> str:
        """What it printed; asserts that it succeeded, or that it failed."""
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **more}
        process = self.start(*words, **more)
        try:
            said, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        assert (process.returncode != 0) == fails, f"{' '.join(words)}\n{said}"
        return said


# -- in the process that holds the machine


def _mount(what: str, where: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    texts = [None if text is None else text.encode() for text in (what, where, kind, options)]
    if libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), where)


def _fresh(folder: str) -> None:
    _mount("tmpfs", folder, "tmpfs", options="mode=755")


def _open_to_all(paths: Sequence[str]) -> None:
    """Where a folder above one of the paths lets only its owner in, it becomes an empty one here, with those paths in
    it; root's home in any case."""
    bind = 4096
    handles = {path: os.open(path, os.O_PATH) for path in dict.fromkeys(map(os.path.realpath, paths))}
    covered = {Path("/root")}
    _fresh("/root")
    for path, handle in handles.items():
        above = reversed(Path(path).parents)
        closed = next((folder for folder in above if folder in covered or not folder.stat().st_mode & 0o001), None)
        if closed is None:
            continue
        if closed not in covered:
            covered.add(closed)
            _fresh(str(closed))
        Path(path).mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{handle}", path, flags=bind)


def hold(reachable: Sequence[str]) -> None:
    os.umask(0o022)
    _open_to_all(reachable)
    _fresh("/mnt")
    shutil.copytree("/etc", "/mnt/etc", symlinks=True, copy_function=shutil.copy)
    _fresh("/etc")
    shutil.copytree("/mnt/etc", "/etc", symlinks=True, dirs_exist_ok=True)
    for folder in ("/run", "/var/lib"):
        _fresh(folder)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as the first process, the parent of every orphan
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    hold(sys.argv[1:])
