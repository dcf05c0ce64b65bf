"""pkcs11-tool sees the token, keeps its PINs and runs its own tests.

Keys and objects are in test_pkcs11_tool_objects.py, mechanisms in ..._signing.py and ..._ciphers.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from opensc import openssl, public_key, tool

# -- what it sees


def test_it_shows_library_slot_and_token(adyton_token: Any) -> None:
    said = tool(adyton_token, "-I", "-L", login=False)
    assert "Cryptoki version 3.2" in said and re.search(r"Manufacturer +Adyton", said)
    assert re.search(rf"token label +: {adyton_token.label}\n", said)
    assert "login required, rng, token initialized, PIN initialized" in said
    assert re.search(r"pin min/max +: 4/255", said)
    serial = re.search(r"serial num +: (\w{16})\n", said)
    assert serial and serial[1] in tool(adyton_token, "-T", login=False)


def test_interfaces_of_all_three_versions(adyton_token: Any) -> None:
    said = tool(adyton_token, "--list-interfaces", "-L", login=False)
    assert re.findall(r"Interface 'PKCS 11'\n  version: ([\d.]+)", said) == ["3.2", "3.0", "2.40"]


def test_every_mechanism_listed_has_its_information(adyton_token: Any) -> None:
    rows = re.findall(r"^  [\w-]+(.*)$", tool(adyton_token, "-M", login=False), re.MULTILINE)
    uses = {"encrypt", "decrypt", "digest", "sign", "verify", "wrap", "unwrap", "derive", "generate",
            "generate_key_pair"}
    assert len(rows) > 70
    assert all(uses & set(row.split(", ")) for row in rows)


# -- PINs


def test_a_wrong_pin_says_so_and_counts(adyton_token: Any) -> None:
    wrong = ["--login", "--pin", "not-the-pin", "--list-objects"]
    assert "CKR_PIN_INCORRECT" in tool(adyton_token, *wrong, login=False, fails=True)
    assert "user PIN count low" in tool(adyton_token, "-L", login=False)
    for _ in range(8):
        tool(adyton_token, *wrong, login=False, fails=True)
    assert "final user PIN try" in tool(adyton_token, "-L", login=False)
    tool(adyton_token, *wrong, login=False, fails=True)
    assert "user PIN locked" in tool(adyton_token, "-L", login=False)
    right = ["--login", "--pin", adyton_token.pin, "--list-objects"]
    assert "CKR_PIN_LOCKED" in tool(adyton_token, *right, login=False, fails=True)
    words = ["--init-pin", "--login", "--so-pin", adyton_token.so_pin, "--new-pin", "fresh-pin"]
    assert "User PIN successfully initialized" in tool(adyton_token, *words, login=False)
    assert "user PIN" not in tool(adyton_token, "-L", login=False)
    tool(adyton_token, "--login", "--pin", "fresh-pin", "--list-objects", login=False)


def test_change_pin_of_user_and_so(adyton_token: Any) -> None:
    user = ["--change-pin", "--new-pin", "another-pin"]
    assert "PIN successfully changed" in tool(adyton_token, *user)
    assert "CKR_PIN_INCORRECT" in tool(adyton_token, *user, fails=True)
    tool(adyton_token, "--login", "--pin", "another-pin", "-O", login=False)
    so = ["--change-pin", "--login", "--login-type", "so", "--so-pin", adyton_token.so_pin, "--new-pin"]
    assert "CKR_PIN_LEN_RANGE" in tool(adyton_token, *so, "abc", login=False, fails=True)
    assert "PIN successfully changed" in tool(adyton_token, *so, "another-so-pin", login=False)
    words = ["--init-pin", "--login", "--pin", "a-third-pin", "--so-pin"]
    assert "CKR_PIN_INCORRECT" in tool(adyton_token, *words, adyton_token.so_pin, login=False, fails=True)
    tool(adyton_token, *words, "another-so-pin", login=False)
    tool(adyton_token, "--login", "--pin", "a-third-pin", "-O", login=False)


def test_unlock_pin_changes_the_users_pin_in_a_public_session(adyton_token: Any) -> None:
    """Without a login the tool calls C_SetPIN: the "unlock code" is the user's old PIN (section 5.5.9)."""
    words = ["--unlock-pin", "--new-pin", "another-pin", "--puk"]
    assert "CKR_PIN_INCORRECT" in tool(adyton_token, *words, adyton_token.so_pin, login=False, fails=True)
    assert "PIN successfully changed" in tool(adyton_token, *words, adyton_token.pin, login=False)
    tool(adyton_token, "--login", "--pin", "another-pin", "-O", login=False)
    words = ["--login", "--login-type", "context-specific", "--unlock-pin", "--puk", "any", "--new-pin", "another-pin"]
    assert "CKR_OPERATION_NOT_INITIALIZED" in tool(adyton_token, *words, login=False, fails=True)


def test_init_token_again_asks_for_the_so_pin_and_destroys_all(adyton_token: Any, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_bytes(b"gone soon")
    tool(adyton_token, "--write-object", str(note), "--type", "data", "--label", "note")
    serial = re.search(r"serial num +: (\w+)", tool(adyton_token, "-L", login=False))
    words = ["--init-token", "--slot", "0", "--label", "renamed", "--so-pin"]
    assert "CKR_PIN_INCORRECT" in tool(adyton_token, *words, "wrong-so-pin", login=False, fails=True)
    assert "note" in tool(adyton_token, "-O")
    assert "Token successfully initialized" in tool(adyton_token, *words, adyton_token.so_pin, login=False)
    said = tool(adyton_token, "-L", "-O", login=False)
    assert "renamed" in said and "PIN initialized" not in said and "note" not in said
    assert serial and serial[0] in said
    words = ["--login", "--pin", adyton_token.pin, "-O"]
    assert "CKR_USER_PIN_NOT_INITIALIZED" in tool(adyton_token, *words, login=False, fails=True)


class EmptyHome:
    """A pool that nobody set up: a folder's name is all there is."""

    def __init__(self, home: Path, module: str) -> None:
        self.module = module
        self.label, self.pin = "demo", "12345678"
        self.environment = {"ADYTON_HOME": str(home)}


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[EmptyHome]:
    from hsm.client import MODULE, Absent, Client

    yield EmptyHome(tmp_path / "pool", str(MODULE))
    try:
        Client(str(tmp_path / "pool")).ask("stop")
    except Absent:
        pass


def test_from_nothing_to_a_signature(empty_home: EmptyHome, tmp_path: Path) -> None:
    """The library starts the engine; the empty pool has slot 0 with a blank token, and the tool does the rest."""
    said = tool(empty_home, "-L", login=False)
    assert re.findall(r"Slot \d+ \(0x\w+\)", said) == ["Slot 0 (0x0)"] and "uninitialized" in said
    tool(empty_home, "--init-token", "--slot", "0", "--label", "demo", "--so-pin", "87654321", login=False)
    tool(empty_home, "--init-pin", "--login", "--so-pin", "87654321", "--pin", empty_home.pin, login=False)
    public = public_key(tool(empty_home, "--keypairgen", "--key-type", "EC:secp256r1", "--id", "01"))
    (tmp_path / "data").write_bytes(b"message")
    (tmp_path / "key").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    words = ["--sign", "-m", "ECDSA-SHA256", "--signature-format", "openssl", "--id", "01"]
    tool(empty_home, *words, "-i", str(tmp_path / "data"), "-o", str(tmp_path / "signature"))
    openssl("dgst", "-sha256", "-verify", str(tmp_path / "key"), "-signature", str(tmp_path / "signature"),
            str(tmp_path / "data"))


# -- its own tests


def test_its_test(adyton_token: Any) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "rsa:2048", "--label", "tested", "--id", "03")
    said = tool(adyton_token, "--test")
    assert "No errors" in said and "ERR" not in said
    # The tool tries every RSA mechanism for verifying and decrypting; what it says of OAEP stands before the result.
    assert set(re.findall(r"^    ([\w-]+): OK$", said, re.MULTILINE)) == {"RSA-X-509", "RSA-PKCS", "SHA1-RSA-PKCS"}
    assert said.count("RSA-PKCS-OAEP: mgf not set, defaulting to MGF1-SHA256\nOK") == 2


@pytest.mark.parametrize("curve", ["secp224r1", "prime256v1", "secp384r1", "secp521r1", "secp256k1"])
def test_its_ec_test(adyton_token: Any, curve: str) -> None:
    """It asks for the signature's length, gives too little room, then fetches the same one by C_SignFinal."""
    said = tool(adyton_token, "--session-rw", "--test-ec", "--id", "05", "--key-type", f"EC:{curve}")
    assert "==> OK" in said and "warning" not in said and "rv =" not in said


def test_its_mozilla_test(adyton_token: Any, tmp_path: Path) -> None:
    key, pem = str(tmp_path / "key"), str(tmp_path / "pem")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=mozilla", "-out", pem)
    words = ["--session-rw", "--moz-cert", pem, "--id", "06", "--key-type", "rsa:2048"]
    said = tool(adyton_token, *words)
    assert "==> OK, successful! Should work with Mozilla" in said and "ERR" not in said


def test_its_fork_test(adyton_token: Any) -> None:
    said = tool(adyton_token, "--test-fork", "-O")
    assert "Calling C_Initialize in forked child process" in said and "rv =" not in said


@pytest.mark.parametrize("locking", [[], ["--use-locking"]], ids=["no-arguments", "os-locking"])
def test_its_thread_test(adyton_token: Any, locking: list[str]) -> None:
    """Eight threads initialise and ask at once. The hotplug test, waiting for our return key, keeps the main thread
    from cleaning up before they are done: the tool would sleep for 30 seconds."""
    threads = [word for order in ("ILGISLT0", "INSLGIT0") * 4 for word in ("--test-threads", order)]
    command = ["pkcs11-tool", "--module", adyton_token.module, *locking, *threads, "-L", "--test-hotplug"]
    with subprocess.Popen(
        command, env={**os.environ, **adyton_token.environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as run:
        assert run.stdin and run.stderr and run.stdout
        heard: list[str] = []
        while sum("returning rv" in line for line in heard) < 8:
            heard.append(run.stderr.readline())
            assert heard[-1], "".join(heard)
        # A return: the slots once more. An x ends each half of the hotplug test.
        said, rest = run.communicate("\nx\nx\n", timeout=60)
    told = "".join(heard) + rest
    assert run.returncode == 0
    assert "all threads have ended with CKR_OK" in told
    assert set(re.findall(r"returned (CKR_\w+)", told)) == {"CKR_OK", "CKR_CRYPTOKI_ALREADY_INITIALIZED"}
    assert said.count("Available slots:") == 2


def test_its_hotplug_test_is_told_of_a_new_partition(adyton_token: Any) -> None:
    command = ["pkcs11-tool", "--module", adyton_token.module, "--test-hotplug"]
    environment = {**os.environ, **adyton_token.environment}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdin and run.stdout
        run.stdin.write("x\n\n")
        run.stdin.flush()
        heard = ""
        while not heard.endswith("Calling C_WaitForSlotEvent: "):
            heard += run.stdout.read(1)
        subprocess.run([sys.executable, "-m", "hsm.cli.main", "partition", "create", "--blank"], env=environment,
                       check=True, capture_output=True)
        said, _ = run.communicate("x\n", timeout=60)
    assert said.startswith("event on slot 0x1\n") and said.count("Slot ") == 2
    assert run.returncode == 0
