"""GnuPG signs and decrypts with keys in the token, which gnupg-pkcs11-scd shows it as a smart card."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


@pytest.fixture
def gnupg(newcomer: dict[str, str]) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs a program of GnuPG's; its daemons are gone afterwards."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=newcomer, cwd=newcomer["HOME"], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)

    yield run
    run("gpgconf", "--kill", "all")


def test_the_recipe(
    gnupg: Callable[..., subprocess.CompletedProcess[str]], follow_recipe: Callable[[str], list[str]], tmp_path: Path
) -> None:
    _, card, smime, openpgp = follow_recipe("gnupg")
    assert "Application type .: OpenPGP" in card
    assert 'Good signature from "/CN=Signer"' in smime and "\nwhat is signed\n" in smime
    assert 'Good signature from "Signer <signer@example.org>"' in openpgp
    assert "Card serial no." in gnupg("gpg", "--list-secret-keys").stdout
    (tmp_path / "message").write_text("something else\n")
    assert gnupg("gpg", "--verify", "message.asc", "message").returncode != 0
    assert gnupg("gpgsm", "--disable-crl-checks", "--verify", "message.p7s", "message").returncode != 0

    learnt = gnupg("gpg-connect-agent", "SCD LEARN --force", "/bye").stdout
    assert "S APPTYPE PKCS11" in learnt and "S KEYPAIRINFO" in learnt
    gnupg("gpgconf", "--kill", "all")
    (tmp_path / "pin").write_text("not-the-pin")
    refused = gnupg("gpg", "--batch", "--yes", "--armor", "--detach-sign", "message")
    assert refused.returncode != 0 and "signing failed" in refused.stdout, refused.stdout


def test_the_agent_goes_on_after_the_engine_was_restarted(
    gnupg: Callable[..., subprocess.CompletedProcess[str]], newcomer: dict[str, str],
    follow_recipe: Callable[[str], list[str]],
) -> None:
    follow_recipe("gnupg")
    sign = ("gpg", "--batch", "--yes", "--armor", "--detach-sign", "message")
    assert gnupg(*sign).returncode == 0
    subprocess.run(["adyton", "stop"], env=newcomer, check=True, capture_output=True)
    again = gnupg(*sign)
    assert again.returncode == 0, again.stdout
    assert gnupg("gpg", "--verify", "message.asc", "message").returncode == 0
