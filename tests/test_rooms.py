"""The engine's rooms import downwards, in the order that hsm/README.md gives, and no two files import each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

HSM = Path(__file__).resolve().parent.parent / "hsm"


def _statements(node: ast.AST) -> Iterator[ast.ImportFrom]:
    """What runs when the module is imported: not what is there for type hints, nor what a function imports later."""
    for child in ast.iter_child_nodes(node):
        hints = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if isinstance(child, ast.ImportFrom):
            yield child
        elif not hints and not isinstance(child, ast.FunctionDef):
            yield from _statements(child)


def _imported() -> dict[str, set[str]]:
    """Each module of the engine with those that it imports at once."""
    found: dict[str, set[str]] = {}
    for path in HSM.rglob("*.py"):
        module = ".".join(path.relative_to(HSM.parent).with_suffix("").parts)
        found[module] = set()
        for statement in _statements(ast.parse(path.read_text())):
            source = statement.module or ""
            if source.startswith("hsm"):
                named = {f"{source}.{alias.name}" for alias in statement.names}
                modules = {n for n in named if (HSM.parent / f"{n.replace('.', '/')}.py").exists()}
                found[module] |= modules or {source}
    return found


def test_rooms_import_downwards() -> None:
    said = re.search(r"Imports run downwards: ([^.]*)\.", (HSM / "README.md").read_text())
    assert said is not None
    rooms = said[1].replace("\n", " ").split(" → ")
    assert {path.name for path in HSM.iterdir() if path.is_dir()} - {"cli", "__pycache__"} <= set(rooms)
    upwards = [
        f"{module} imports {other}"
        for module, others in _imported().items() for other in others
        if (room := module.split(".")[1]) in rooms and (below := other.split(".")[1:2]) and below[0] in rooms
        and rooms.index(below[0]) < rooms.index(room)
    ]
    assert upwards == []


def test_no_files_import_each_other() -> None:
    assert list(TopologicalSorter(_imported()).static_order())
