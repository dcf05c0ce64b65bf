"""Builds the library: plain ``cc`` over c_src, linked with libc only.

Python's own compiler flags are not used: they leak a run path, and a Python symbol would tie the library to one
version. ``python -m pkcs11_shim.build`` builds in place, beside this file.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = Path(__file__).resolve().parent / "adyton-pkcs11.so"
FLAGS = (
    "-std=gnu11 -O2 -g1 -fPIC -shared -fvisibility=hidden -fstack-protector-strong -pthread "
    "-Wall -Wextra -Wconversion -Wshadow -Werror -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-soname,adyton-pkcs11.so "
    # Our tables name our functions, also in a host that is linked with another module's.
    "-Wl,-Bsymbolic-functions"
).split()
FORTIFY = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer".split()


def version() -> str:
    """The one version there is, hsm.__version__, read without importing it."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "hsm/__init__.py").read_text())
    if found is None:
        raise SystemExit("hsm/__init__.py has no __version__")
    return found.group(1)


def build(output: Path = LIBRARY, *, sanitize: bool = False) -> Path:
    """Compiles and links; the finished file replaces an old one at once, so a program that has it loaded goes on."""
    major, minor = version().split(".")[:2]
    sources = sorted([*(ROOT / "c_src").glob("*.c"), *(ROOT / "c_src/generated").glob("*.c")])
    unfinished = output.with_suffix(f".{os.getpid()}")
    command = [
        *shlex.split(os.environ.get("CC", "cc")), *FLAGS, *(SANITIZE if sanitize else FORTIFY),
        f'-DADYTON_VERSION="{version()}"', f"-DADYTON_VERSION_MAJOR={major}", f"-DADYTON_VERSION_MINOR={minor}",
        f"-I{ROOT / 'c_src'}", f"-ffile-prefix-map={ROOT}=.", *map(str, sources), "-o", str(unfinished),
        "-ldl",  # part of libc, and since glibc 2.34 within it
    ]
    try:
        subprocess.run(command, check=True)
        os.replace(unfinished, output)
    finally:
        unfinished.unlink(missing_ok=True)
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sanitize", action="store_true", help="with AddressSanitizer and UBSan, for tests")
    parser.add_argument("--output", type=Path, default=LIBRARY, help="where to put it (default: in this package)")
    given = parser.parse_args()
    print(build(given.output, sanitize=given.sanitize))


if __name__ == "__main__":
    main()
