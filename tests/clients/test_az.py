"""Azure's own command line, off-line, on a security domain of ours: it reads the file, and we take what it made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from apart import adyton
from officer_desk import desk

AZ = Path(__file__).resolve().parent.parent.parent / ".venv/az/bin/az"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_az_makes_the_restore_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for each custodian's certificate beside the private key, under the same name and .cer."""
    for number in range(3):
        key, certificate = tmp_path / f"{number}.key", tmp_path / f"{number}.pem"
        made = ("openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "9", "-subj", f"/CN={number}")
        subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        shutil.copy(certificate, tmp_path / f"{number}.cer")
    file, exchange, blob = (tmp_path / name for name in ("domain.json", "exchange.pem", "blob.json"))
    (tmp_path / "one").mkdir()
    with desk(tmp_path / "one", monkeypatch) as pool:
        pool.partition("pay", "--no-admin-recovery")
        pool.gives("key", "create", "invoices", "--kty", "EC", by="user")  # whose PIN opens it, so that it is covered
        names = [str(tmp_path / f"{number}.pem") for number in range(3)]
        pool.says("security-domain", "download", "--certificates", *names, "--quorum", "2", "--out", str(file))
        pool.says("security-domain", "init-recovery", "--out", str(exchange), by="")
        command = [
            str(AZ), "keyvault", "security-domain", "restore-blob", "--sd-file", str(file), "--sd-exchange-key",
            str(exchange), "--sd-wrapping-keys", str(tmp_path / "2.key"), str(tmp_path / "0.key"),
            "--sd-file-restore-blob", str(blob),
        ]
        quiet = {"AZURE_CONFIG_DIR": str(tmp_path / "azure"), "AZURE_CORE_COLLECT_TELEMETRY": "no"}
        done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert pool.gives("security-domain", "upload", "--blob", str(blob))["openUntil"]
        assert "has a new PIN" in pool.says("officer", "recover", "user", by="", ADYTON_NEW_PIN="another-pin")
        adyton("key", "rotate", "invoices", "--as", "user", ADYTON_PIN="another-pin")
