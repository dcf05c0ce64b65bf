"""osslsigncode signs a Windows program with a key in the token."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


def program() -> bytes:
    """The smallest 64-bit Windows program: xor eax, eax; ret. In the order of Microsoft's specification of PE."""
    code = b"\x31\xc0\xc3"
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    sections, optional_length = 1, 240
    coff = struct.pack("<HHIIIHH", 0x8664, sections, 0, 0, 0, optional_length, 0x22)
    standard = struct.pack("<HBBIIIII", 0x20B, 14, 0, 512, 0, 0, 0x1000, 0x1000)
    windows = struct.pack("<QII6HIIIIHH4QII", 1 << 32, 0x1000, 512, 6, 0, 0, 0, 6, 0, 0, 0x2000, 512, 0, 3, 0,
                          1 << 20, 1 << 12, 1 << 20, 1 << 12, 0, 16)
    directories = bytes(16 * 8)
    text = struct.pack("<8sIIIIIIHHI", b".text", len(code), 0x1000, 512, 512, 0, 0, 0, 0, 0x60000020)
    headers = dos + b"PE\0\0" + coff + standard + windows + directories + text
    return headers.ljust(512, b"\0") + code.ljust(512, b"\0")


def verify(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["osslsigncode", "verify", "-CAfile", "code.pem", "-in", name], cwd=folder, text=True,
                          capture_output=True, timeout=60)


def test_the_recipe(follow_recipe: Callable[[str], list[str]], tmp_path: Path) -> None:
    (tmp_path / "app.exe").write_bytes(program())
    _, signed, again = follow_recipe("osslsigncode")
    for told in (signed, again):
        assert "Signature verification: ok" in told and "Number of verified signatures: 1" in told
    made = (tmp_path / "signed.exe").read_bytes()
    at = made.index(b"\x31\xc0\xc3")
    (tmp_path / "forged.exe").write_bytes(made[:at] + b"\x90\x90\xc3" + made[at + 3:])
    forged = verify(tmp_path, "forged.exe")
    assert forged.returncode != 0 and "MISMATCH" in forged.stdout
    unsigned = verify(tmp_path, "app.exe")
    assert unsigned.returncode != 0 and "No signature found" in unsigned.stdout + unsigned.stderr
