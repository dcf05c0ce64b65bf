"""strongSwan's pki: certificates and revocation lists by keys in the token."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


def keygen(environment: dict[str, str], kind: str, number: str) -> None:
    module = subprocess.run(["adyton", "module-path"], env=environment, check=True, capture_output=True, text=True)
    subprocess.run(
        ["pkcs11-tool", "--module", module.stdout.strip(), "--token-label", "demo", "--login", "--pin", "1234-demo",
         "--keypairgen", "--key-type", kind, "--id", number], env=environment, check=True, capture_output=True,
    )


def at_a_terminal(environment: dict[str, str], folder: Path, pin: bytes, *command: str) -> tuple[int, bytes]:
    """Runs a command at a terminal of its own, and answers its question for the PIN; its status and what it said."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, environment)
    said = b""
    answered = False
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break  # the terminal's last user is gone
        if not part:
            break
        said += part
        if not answered and b"PIN:" in said:
            os.write(terminal, pin + b"\n")
            answered = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def verified(folder: Path, name: str) -> str:
    done = subprocess.run(["openssl", "verify", "-check_ss_sig", "-CAfile", name, name], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout


def test_the_recipe(follow_recipe: Callable[[str], list[str]], newcomer: dict[str, str], tmp_path: Path) -> None:
    _, certificates, others = follow_recipe("strongswan")
    assert "certificate trusted, lifetimes valid" in certificates and "gateway.pem: OK" in certificates
    assert "verify OK" in others and "Key Compromise" in others

    newcomer["STRONGSWAN_CONF"] = str(tmp_path / "strongswan.conf")
    command = ("pki", "--self", "--keyid", "01", "--dn", "CN=asked", "--ca", "--outform", "pem")
    status, said = at_a_terminal(newcomer, tmp_path, b"1234-demo", *command)
    assert status == 0
    (tmp_path / "asked.pem").write_bytes(said[said.index(b"-----BEGIN"):])
    assert "asked.pem: OK" in verified(tmp_path, "asked.pem")
    status, said = at_a_terminal(newcomer, tmp_path, b"not-the-pin", *command)
    assert status == 1 and b"PIN_INCORRECT" in said, "and it ends by itself, not by a signal"


@pytest.mark.parametrize("kind", ["rsa:2048", "EC:secp384r1", "EC:secp521r1"])
def test_the_token_does_public_operations_digests_and_random_too(
    follow_recipe: Callable[[str], list[str]], newcomer: dict[str, str], tmp_path: Path, kind: str
) -> None:
    follow_recipe("strongswan")
    keygen(newcomer, kind, "a0")
    settings = tmp_path / "strongswan.conf"
    every = "pkcs11 {\n load = 100\n use_pubkey = yes\n use_ecc = yes\n use_hasher = yes\n use_rng = yes\n use_dh = yes"
    settings.write_text(settings.read_text().replace("pkcs11 {", every))
    newcomer["STRONGSWAN_CONF"] = str(settings)
    made = subprocess.run(
        ["pki", "--self", "--keyid", "a0", "--dn", "CN=own", "--outform", "pem"], env=newcomer, cwd=tmp_path,
        input=b"1234-demo\n", capture_output=True, start_new_session=True, timeout=60,
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "own.pem").write_bytes(made.stdout)
    assert "own.pem: OK" in verified(tmp_path, "own.pem")
    checked = subprocess.run(
        ["pki", "--verify", "--in", "own.pem", "--cacert", "own.pem"], env=newcomer, cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
    )
    assert checked.returncode == 0 and "certificate trusted" in checked.stdout, checked.stdout
