"""The README's recipes, run as they stand there, one after the other, by somebody with an empty home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.M | re.S)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody with an empty home, and the command adyton in the path."""
    environment = {
        "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8",
        "ADYTON_HOME": str(tmp_path / "pool"),
    }
    yield environment
    subprocess.run(["adyton", "stop"], env=environment, check=True, capture_output=True)


def test_recipes(newcomer: dict[str, str], tmp_path: Path) -> None:
    told = []
    for recipe in blocks("sh"):
        script = ["bash", "-euo", "pipefail", "-c", recipe]
        done = subprocess.run(script, env=newcomer, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, recipe + done.stdout + done.stderr
        told.append(done.stdout + done.stderr)
    token, signing, configured, second, throw_away = told
    assert "Key pair generated" in token and "signer" in token
    assert "demo.pem: OK" in signing and "CMS Verification successful" in signing
    assert "self-signature verify OK" in configured
    assert "second" in second and "CKR_PIN_INCORRECT" in second and "wrong PIN for user" in second
    assert "Key pair generated" in throw_away


def test_the_fixture(newcomer: dict[str, str], tmp_path: Path) -> None:
    (example,) = blocks("python")
    (tmp_path / "test_example.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    done = subprocess.run(command, env=newcomer, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
