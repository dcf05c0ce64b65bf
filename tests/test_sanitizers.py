"""The library under AddressSanitizer, UBSan and LeakSanitizer: a host that abuses it, an engine that garbles, and real
clients. A report of any sanitizer is an exit code of its own; a hang is the time limit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sanitized
from fake_engine import Garbling, put_aside

from hsm.throwaway import ThrowAway
from pkcs11_shim import build

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sanitized library and both programs; laid out so that the library finds the engine's files."""
    folder = tmp_path_factory.mktemp("sanitized")
    (folder / "hsm").symlink_to(ROOT / "hsm")
    (folder / "pkcs11_shim").mkdir()
    build.build(folder / "pkcs11_shim/adyton-pkcs11.so", sanitize=True)
    declared = sanitized.declarations()
    for source in ("abuse.c", "answered.c"):
        sanitized.program(source, folder, functions=declared)
    return folder


def _library(built: Path) -> str:
    return str(built / "pkcs11_shim/adyton-pkcs11.so")


def _run(*command: str, environment: dict[str, str], limit: float) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


def _abuse(built: Path, token: ThrowAway, seed: int, cases: int) -> None:
    environment = {**os.environ, **token.environment, **sanitized.ENVIRONMENT}
    print(_run(str(built / "abuse"), _library(built), str(seed), str(cases), environment=environment, limit=110))


@pytest.mark.parametrize("seed", [1, 2])
def test_no_call_harms_the_host(built: Path, adyton_token: Any, seed: int) -> None:
    _abuse(built, adyton_token, seed, 10_000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
def test_no_call_harms_the_host_at_length(built: Path, adyton_token: Any, seed: int) -> None:
    _abuse(built, adyton_token, seed, 50_000)


def _answered(built: Path, token: ThrowAway, seed: int, cases: int) -> None:
    home = Path(token.home)
    fake = Garbling(home, seed, put_aside(home))
    environment = {**os.environ, **token.environment, **sanitized.ENVIRONMENT}
    try:
        told = _run(str(built / "answered"), _library(built), str(seed), str(cases), environment=environment, limit=110)
        print(told)
    finally:
        fake.engine.close()
    assert fake.answers > cases // 2


@pytest.mark.parametrize("seed", [1, 2])
def test_no_answer_harms_the_host(built: Path, adyton_token: Any, seed: int) -> None:
    """And with a good engine in its place everything works again."""
    _answered(built, adyton_token, seed, 10_000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
def test_no_answer_harms_the_host_at_length(built: Path, adyton_token: Any, seed: int) -> None:
    _answered(built, adyton_token, seed, 50_000)


def _preloaded() -> dict[str, str]:
    """For a client that was not built with the sanitizers. Its own leaks are its own business."""
    found = [subprocess.check_output(["cc", f"-print-file-name={name}"], text=True).strip()
             for name in ("libasan.so", "libubsan.so")]
    options = {**sanitized.ENVIRONMENT, "LD_PRELOAD": " ".join(found)}
    return {**os.environ, **options, "ASAN_OPTIONS": options["ASAN_OPTIONS"].replace("leaks=1", "leaks=0")}


def test_pkcs11_tool_on_the_sanitized_library(built: Path, adyton_token: Any) -> None:
    environment = {**_preloaded(), **adyton_token.environment}
    tool = ["pkcs11-tool", "--module", _library(built), "--login", "--pin", adyton_token.pin]
    _run(*tool, "--keypairgen", "--key-type", "rsa:2048", "--label", "r", environment=environment, limit=100)
    _run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "e", environment=environment, limit=100)
    assert "No errors" in _run(*tool, "--test", environment=environment, limit=100)
    assert "Private Key Object; EC" in _run(*tool, "--list-objects", environment=environment, limit=100)


def test_the_start_of_an_engine_on_the_sanitized_library(built: Path, tmp_path: Path) -> None:
    home = tmp_path / "pool"
    home.mkdir(mode=0o700)
    (home / "adyton.conf").write_text(f"python = {sys.executable}\n")
    environment = {**_preloaded(), "ADYTON_HOME": str(home)}
    tool = ["pkcs11-tool", "--module", _library(built), "--init-token", "--slot", "0", "--label", "x"]
    try:
        _run(*tool, "--so-pin", "12345678", environment=environment, limit=60)
    finally:
        stop = [sys.executable, "-m", "hsm.cli.main", "stop"]
        subprocess.run(stop, env={**os.environ, "ADYTON_HOME": str(home)}, check=True)
