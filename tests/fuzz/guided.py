"""One target of targets.py under Atheris, led by what the engine's code does: ``guided.py TARGET FOLDER ...``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hsm", "targets"]):
    import targets

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: targets.runs(name, bytes(data)))
    atheris.Fuzz()
