"""pyHanko signs PDF files with keys of a token; pyHanko verifies them, and so does poppler's pdfsig."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long


def test_recipe(follow_recipe: Callable[[str], list[str]]) -> None:
    _, _, _, verified = follow_recipe("pyhanko")
    assert verified.count(":VALID\n") == 2
    assert verified.count("- Signature Validation: Signature is Valid.") == 2
    assert verified.count("- Total document signed") == 1


def test_every_way_of_signing(adyton_token: Any) -> None:
    program = Path(__file__).with_name("pyhanko_signs.py")
    command = [sys.executable, str(program), adyton_token.module, adyton_token.label, adyton_token.pin]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines() == [
        "rsa sha256 sha256_rsa", "rsa sha512 sha512_rsa", "rsa sha256 use_raw_mechanism sha256_rsa",
        "rsa sha256 prefer_pss rsassa_pss", "rsa sha384 prefer_pss rsassa_pss",
        "secp256r1 sha256 sha256_ecdsa", "secp384r1 sha384 sha384_ecdsa", "secp521r1 sha512 sha512_ecdsa",
        "secp256r1 sha256 use_raw_mechanism sha256_ecdsa", "ed25519 sha512 ed25519",
    ], done.stderr
