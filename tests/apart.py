"""Programs apart: in mount and process namespaces of their own, where a disk may be small, full or read-only and
/etc may say something else. Root makes them as it is, others as root of a user namespace. All processes end with the
program that was started, engines too.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from hsm.client import MODULE

TESTS = str(Path(__file__).resolve().parent)
OF_THE_USER = ("ADYTON_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME")
HEAD = "import os, signal\nfrom apart import *\nfrom abi import *\nfrom pkcs11_shim import constants as ck\n"
PINS = {"ADYTON_PIN": "123456", "ADYTON_SO_PIN": "12345678"}


def apart(folder: Path, *pieces: str) -> str:
    """Runs pieces of a program in ``folder``, with the names of this file and of abi.py; returns what it printed."""
    code = HEAD + "\n".join(map(textwrap.dedent, pieces))
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    spaces = ["--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child"]
    clean = {name: value for name, value in os.environ.items() if name not in OF_THE_USER}
    done = subprocess.run(
        ["unshare", *user, *spaces, sys.executable, "-c", code], cwd=folder, capture_output=True, text=True,
        timeout=100, env={**clean, "PYTHONPATH": TESTS},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def disk(path: str, size: str = "4m") -> None:
    """An empty disk at ``path``."""
    os.makedirs(path, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path)


def fill(path: str) -> None:
    """Not one more block on the disk."""
    with open(f"{path}/filling", "ab", buffering=0) as filling, contextlib.suppress(OSError):
        while True:
            filling.write(bytes(4096))


def read_only(path: str, *, on: bool = True) -> None:
    mount("-o", f"remount,{'ro' if on else 'rw'}", path)


def adyton(*words: str, status: int | None = 0, **environment: str) -> str:
    """The command, in a process of its own: what it printed to both."""
    done = subprocess.run(
        [sys.executable, "-m", "hsm.cli.main", *words], env={**os.environ, **environment}, capture_output=True,
        text=True, timeout=60, stdin=subprocess.DEVNULL,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said and (status is None or done.returncode == status), (done.returncode, said)
    return said


def status(*, code: int = 0) -> Any:
    return json.loads(adyton("status", "--json", status=code))


def tool(*words: str, code: int = 0) -> str:
    """pkcs11-tool against the pool of the environment."""
    done = subprocess.run(["pkcs11-tool", "--module", str(MODULE), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stdout + done.stderr)
    return done.stdout + done.stderr


def make_token(label: str = "kept") -> None:
    adyton("partition", "create", "--label", label, **PINS)
