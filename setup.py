"""The wheel: pure Python plus one C library that no Python loads, hence py3-none and the machine's platform."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
NAME = "adyton-pkcs11.so"


def _build(output: Path) -> None:
    spec = importlib.util.spec_from_file_location("adyton_build", ROOT / "pkcs11_shim/build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.build(output)


class BuildLibrary(build_py):
    def run(self) -> None:
        super().run()
        folder = ROOT / "pkcs11_shim" if self.editable_mode else Path(self.build_lib) / "pkcs11_shim"
        folder.mkdir(parents=True, exist_ok=True)
        _build(folder / NAME)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), str(Path(self.build_lib) / "pkcs11_shim" / NAME)]


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


COMMANDS = {"build_py": BuildLibrary, "bdist_wheel": PlatformWheel, "sdist": SourceWithLibrary}
setup(cmdclass=COMMANDS, distclass=WithLibrary)
