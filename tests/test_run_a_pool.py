"""The chapter "Run a pool", walked from top to bottom by somebody with an empty home: each command as it stands, and
what the page says that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recipe import blocks, run

PAGE = Path(__file__).resolve().parent.parent / "hsm/management/README.md"


def _like(shown: str) -> str:
    """``...`` stands for anything within a line, and a table's columns may be wider than on the page by it."""
    lines = (re.escape(line).replace(r"\.\.\.", "[^\n]+?") for line in shown.splitlines())
    return "\n".join(re.sub(r"(\\ )+", r"\\ +", line) for line in lines)


@pytest.mark.timeout(300)
def test_the_chapter(newcomer: dict[str, str], tmp_path: Path) -> None:
    said = ""
    for language, text in blocks(PAGE, "sh", "python", "text"):
        if language == "text":
            assert re.fullmatch(_like(text), said.strip("\n")), f"the page has\n{text}\nand it was\n{said}"
        else:
            said = run(language, text, newcomer, tmp_path)
