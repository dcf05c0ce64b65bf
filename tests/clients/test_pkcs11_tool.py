"""pkcs11-tool works with keys that stay in the engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any


def tool(token: Any, *words: str, login: bool = True, fails: bool = False) -> str:
    """Runs pkcs11-tool against the token's module and returns what it printed."""
    command = ["pkcs11-tool", "--module", token.module, *words]
    if login:
        command += ["--token-label", token.label, "--login", "--pin", token.pin]
    done = subprocess.run(command, env={**os.environ, **token.environment}, capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_rsa_key_signs_and_openssl_verifies(adyton_token: Any, tmp_path: Path) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "rsa:2048", "--label", "signer", "--id", "01")
    data, signature, public = tmp_path / "data", tmp_path / "signature", tmp_path / "public.der"
    data.write_bytes(b"what is signed" * 100)
    tool(adyton_token, "--sign", "-m", "SHA256-RSA-PKCS", "--id", "01", "-i", str(data), "-o", str(signature))
    tool(adyton_token, "--read-object", "--type", "pubkey", "--id", "01", "-o", str(public))
    verify = ["openssl", "dgst", "-sha256", "-verify", str(public), "-keyform", "DER"]
    done = subprocess.run([*verify, "-signature", str(signature), str(data)], capture_output=True, text=True)
    assert "Verified OK" in done.stdout
    data.write_bytes(b"something else")
    done = subprocess.run([*verify, "-signature", str(signature), str(data)], capture_output=True, text=True)
    assert done.returncode != 0


def test_private_key_is_not_readable(adyton_token: Any) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "kept", "--id", "02")
    said = tool(adyton_token, "--read-object", "--type", "privkey", "--id", "02")
    assert "reading private keys not" in said


def test_built_in_self_test(adyton_token: Any) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "rsa:2048", "--label", "tested", "--id", "03")
    assert "No errors" in tool(adyton_token, "--test")


def test_ec_self_test(adyton_token: Any) -> None:
    said = tool(adyton_token, "--session-rw", "--test-ec", "--id", "05", "--key-type", "EC:prime256v1")
    assert "OK" in said or "successful" in said


def test_objects_come_and_go(adyton_token: Any, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_bytes(b"remember")
    tool(adyton_token, "--write-object", str(note), "--type", "data", "--label", "note")
    assert "note" in tool(adyton_token, "--list-objects")
    tool(adyton_token, "--delete-object", "--type", "data", "--label", "note")
    assert "note" not in tool(adyton_token, "--list-objects")


def test_a_wrong_pin_says_so(adyton_token: Any) -> None:
    words = ["--token-label", adyton_token.label, "--login", "--pin", "not-the-pin", "--list-objects"]
    assert "CKR_PIN_INCORRECT" in tool(adyton_token, *words, login=False, fails=True)
