"""pkcs11-tool and openssl(1) as functions, for the tests: the first works with the token, the second judges it.

openssl is Debian's build with a libcrypto of its own, not the one that the engine computes with.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

CURVES = {
    "06052b81040021": ec.SECP224R1, "06082a8648ce3d030107": ec.SECP256R1, "06052b81040022": ec.SECP384R1,
    "06052b81040023": ec.SECP521R1, "06052b8104000a": ec.SECP256K1, "06092b2403030208010107": ec.BrainpoolP256R1,
    "06092b240303020801010b": ec.BrainpoolP384R1, "06092b240303020801010d": ec.BrainpoolP512R1,
}


def tool(token: Any, *words: str, login: bool = True, fails: bool = False, **environment: str) -> str:
    """Runs pkcs11-tool on the token and returns all it printed. It must succeed, or fail if ``fails``."""
    command = ["pkcs11-tool", "--module", token.module, *words]
    if login:
        command += ["--token-label", token.label, "--login", "--pin", token.pin]
    done = subprocess.run(
        command, env={**os.environ, **token.environment, **environment}, capture_output=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert (done.returncode != 0) == fails, said
    return said


def openssl(*words: str, data: bytes = b"", fails: bool = False) -> bytes:
    """Runs openssl(1) and returns what it wrote."""
    done = subprocess.run(["openssl", *words], input=data, capture_output=True, timeout=60)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout


def public_key(said: str) -> Any:
    """The public key that the tool showed, from the CKA_EC_POINT and CKA_EC_PARAMS in its words."""
    point = bytes.fromhex(re.search(r"EC_POINT:\s+(\w+)", said)[1])  # type: ignore[index]
    parameters = re.search(r"EC_PARAMS:\s+(\w+)", said)[1]  # type: ignore[index]
    raw = point[3:] if point[1] == 0x81 else point[2:]
    assert point[0] == 4 and len(raw) == (point[2] if point[1] == 0x81 else point[1])
    if parameters.startswith("13"):
        return ed25519.Ed25519PublicKey.from_public_bytes(raw)
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[parameters](), raw)


def written(key: Any, path: Path) -> str:
    """A public key as PEM in a file; the file's name."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, form))
    return str(path)
