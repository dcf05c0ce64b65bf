"""Each test that the threat model names is there, and each claim of it names one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "hsm/THREAT_MODEL.md"


def test_each_test_that_is_named_exists() -> None:
    text = PAGE.read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)}
    assert len(named) > 40
    assert named <= defined, named - defined
    linked = re.findall(r"\]\(([^)]+)\)|`(tests/[\w/]+\.py)`", text)
    missing = [link or path for link, path in linked if not (PAGE.parent / link if link else ROOT / path).exists()]
    assert not missing


def test_each_claim_names_a_test() -> None:
    tables = re.findall(r"\| claim \| shown by \|\n\| --- \| --- \|\n((?:\|.*\|\n)+)", PAGE.read_text())
    claims = [row.strip("|\n").rsplit(" | ", 1) for table in tables for row in table.splitlines()]
    assert len(claims) > 25
    assert not [claim for claim, shown in claims if "test" not in shown]
