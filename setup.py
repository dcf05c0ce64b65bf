"""The wheel: pure Python plus one C library that no Python loads, hence py3-none and the machine's platform.

Where libcrypto's headers are, a module of the stable ABI comes with it, which the engine can do without.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
NAME = "adyton-pkcs11.so"


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("adyton_build", ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _raw_rsa(folder: Path) -> None:
    """CKM_RSA_X_509, where it can be had; the rest is installed all the same."""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            made = _load("hsm/mechanisms/libcrypto.py").build(Path(scratch))
            # At once, and not into the file that is there: an engine that has it loaded would crash.
            unfinished = folder / f"{made.name}.{os.getpid()}"
            shutil.copyfile(made, unfinished)
            os.replace(unfinished, folder / made.name)
    except Exception as fault:  # no headers, no compiler for them, no cffi: each says so in a way of its own
        print(f"CKM_RSA_X_509 is left out: libcrypto's headers (libssl-dev) are needed: {fault}", file=sys.stderr)


class BuildLibrary(build_py):
    def run(self) -> None:
        super().run()
        root = ROOT if self.editable_mode else Path(self.build_lib)
        for folder in (root / "pkcs11_shim", root / "hsm/mechanisms"):
            folder.mkdir(parents=True, exist_ok=True)
        _load("pkcs11_shim/build.py").build(root / "pkcs11_shim" / NAME)
        _raw_rsa(root / "hsm/mechanisms")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        built = Path(self.build_lib)
        raw = map(str, (built / "hsm/mechanisms").glob("_libcrypto*.so"))
        return [*super().get_outputs(include_bytecode), str(built / "pkcs11_shim" / NAME), *raw]


class SourceWithLibrary(sdist):
    """What the library is built from belongs to the source, though no Python package has it."""

    def add_defaults(self) -> None:
        super().add_defaults()
        self.filelist.extend(str(path.relative_to(ROOT)) for path in (ROOT / "c_src").rglob("*.[ch]"))


class PlatformWheel(bdist_wheel):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class WithLibrary(Distribution):
    def has_ext_modules(self) -> bool:
        return True


os.umask(0o022)  # whoever makes the wheel: everybody may read what is installed of it, and its bytes are the same
COMMANDS = {"build_py": BuildLibrary, "bdist_wheel": PlatformWheel, "sdist": SourceWithLibrary}
setup(cmdclass=COMMANDS, distclass=WithLibrary)
