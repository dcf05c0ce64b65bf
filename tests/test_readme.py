"""The README's recipes, run as they stand there, one after the other, by somebody with an empty home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from recipe import blocks, follow

README = Path(__file__).resolve().parent.parent / "README.md"


def test_recipes(newcomer: dict[str, str], tmp_path: Path) -> None:
    told = follow(README, newcomer, tmp_path, "sh")
    token, signing, configured, second, officer, throw_away = told
    assert "Key pair generated" in token and "signer" in token
    assert "demo.pem: OK" in signing and "CMS Verification successful" in signing
    assert "self-signature verify OK" in configured
    assert "second" in second and "CKR_PIN_INCORRECT" in second and "wrong PIN for user" in second
    assert "CKR_USER_NOT_LOGGED_IN" in officer and "officer app has no role assignment" in officer
    assert "keys/create at scope /keys/other" in officer
    assert "Key pair generated" in throw_away


def test_the_fixture(newcomer: dict[str, str], tmp_path: Path) -> None:
    ((_, example),) = blocks(README, "python")
    (tmp_path / "test_example.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"]
    done = subprocess.run(command, env=newcomer, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
