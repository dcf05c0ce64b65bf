"""OpenSSH: it lists keys, signs as an agent and as a CA, and logs in to an sshd with keys of the token."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from opensc import public_key, tool
from ordinary_user import OrdinaryUser
from system_pool import ADYTON, free_port

RECIPES = Path(__file__).parent / "recipes"
KINDS = {"rsa": "rsa:2048", "p256": "EC:secp256r1", "p384": "EC:secp384r1", "p521": "EC:secp521r1"}


@pytest.mark.long
def test_recipe(alice: OrdinaryUser) -> None:
    alice.environment["PORT"] = str(free_port())
    _, _, signed, logins = alice.follow(RECIPES / "openssh.md")
    assert signed.count("Signed user key") == 2
    assert "Type: ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate" in signed
    by_key = ["-i rsa.pub -o IdentitiesOnly=yes", "-i ec.pub -o IdentitiesOnly=yes", "-I {} -o IdentityAgent=none",
              "-i outside", "-I {} -o IdentityAgent=none -o CertificateFile=token-cert.pub"]
    said = re.sub(r"-I \S+", "-I {}", logins)
    assert re.findall(r"^in, by (.*)$", said, re.MULTILINE) == by_key
    log = alice.run("cat", "sshd.log")
    signer = r"(?: ID (.*) \(serial 0\) CA (\S+))?"
    accepted = re.findall(rf"Accepted publickey for alice .* ssh2: (\S+) SHA256:\S+{signer}", log)
    assert accepted == [
        ("RSA", "", ""), ("ECDSA", "", ""), ("ECDSA", "", ""),  # where no key is said, the newest
        ("ED25519-CERT", "somebody's laptop", "ECDSA"), ("ECDSA-CERT", "a key in the token", "ECDSA")]


class Ssh:
    """OpenSSH's programs, a token with a key of each kind that they know, and an agent that allows the module."""

    def __init__(self, token: Any, folder: Path) -> None:
        self.token, self.folder = token, folder
        self.environment = {**os.environ, **token.environment, "HOME": str(folder), "SSH_ASKPASS_REQUIRE": "force"}
        self.pin(token.pin)
        self.made: dict[str, str] = {}
        for number, (name, kind) in enumerate(KINDS.items(), 1):
            self.made[name] = tool(token, "--keypairgen", "--key-type", kind, "--label", name, "--id", f"{number:02}")
        for line in self.run("ssh-keygen", "-D", token.module).splitlines():
            (folder / f"{line.split()[2]}.pub").write_text(f"{line}\n")

    def pin(self, pin: str) -> None:
        """What is answered when one of the programs asks."""
        answers = self.folder / "askpass"
        answers.write_text(f"#!/bin/sh\necho {pin}\n")
        answers.chmod(0o700)
        self.environment["SSH_ASKPASS"] = str(answers)

    def run(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(words, env=self.environment, cwd=self.folder, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def agent(self, *words: str) -> subprocess.Popen[str]:
        self.environment["SSH_AUTH_SOCK"] = str(self.folder / "agent")
        command = ["ssh-agent", "-D", "-a", self.environment["SSH_AUTH_SOCK"], *words]
        agent = subprocess.Popen(command, env=self.environment, text=True, stdout=subprocess.PIPE)
        assert agent.stdout is not None and agent.stdout.readline().startswith("SSH_AUTH_SOCK=")
        return agent

    def sign(self, name: str, **more: Any) -> None:
        """A signature by a key that the agent has, and another program's word that it is one."""
        (self.folder / "message").write_text("what is signed")
        (self.folder / "message.sig").unlink(missing_ok=True)
        self.run("ssh-keygen", "-Y", "sign", "-n", "file", "-f", f"{name}.pub", "message", **more)
        if not more:
            self.run("sh", "-c", "ssh-keygen -Y check-novalidate -n file -s message.sig <message")


@pytest.fixture
def ssh(adyton_token: Any, tmp_path: Path) -> Ssh:
    return Ssh(adyton_token, tmp_path)


@pytest.fixture
def agent(ssh: Ssh) -> Iterator[None]:
    agent = ssh.agent("-P", os.path.realpath(ssh.token.module))
    yield
    agent.terminate()
    agent.wait(20)


@pytest.mark.long
def test_a_key_that_asks_for_the_pin_at_each_use_is_not_for_ssh(ssh: Ssh) -> None:
    """What the page says: it takes its first login for the one that the key wants after C_SignInit."""
    tool(ssh.token, "--keypairgen", "--key-type", "EC:secp256r1", "--label", "careful", "--id", "09", "--always-auth")
    ssh.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "user")
    (line,) = [line for line in ssh.run("ssh-keygen", "-D", ssh.token.module).splitlines() if "careful" in line]
    (ssh.folder / "careful.pub").write_text(line)
    command = ["ssh-keygen", "-s", "careful.pub", "-D", ssh.token.module, "-I", "a user", "user.pub"]
    assert f"C_Sign failed: {0x101}" in ssh.run(*command, fails=True)
    assert "C_Sign: CKR_USER_NOT_LOGGED_IN" in ssh.run(ADYTON, "explain")


@pytest.mark.long
def test_certificates_of_the_ca_verify_outside(ssh: Ssh) -> None:
    """By a CA of each kind: what it signed is checked by another implementation."""
    ssh.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "user")
    for name in KINDS:
        ssh.run("ssh-keygen", "-s", f"{name}.pub", "-D", ssh.token.module, "-I", "a user", "-n", "alice", "-V", "+1h",
                "user.pub")
        signed = serialization.load_ssh_public_identity((ssh.folder / "user-cert.pub").read_bytes())
        assert isinstance(signed, serialization.SSHCertificate)
        signed.verify_cert_signature()
        authority = serialization.load_ssh_public_key((ssh.folder / f"{name}.pub").read_bytes())
        assert signed.signature_key() == authority and signed.valid_principals == [b"alice"]


def test_it_lists_the_keys_that_pkcs11_tool_reads(ssh: Ssh) -> None:
    tool(ssh.token, "--keypairgen", "--key-type", "EC:edwards25519", "--label", "edwards", "--id", "09")
    lines = ssh.run("ssh-keygen", "-D", ssh.token.module).splitlines()
    assert [line.split()[2] for line in lines] == list(KINDS)[::-1]  # the newest first
    tool(ssh.token, "--read-object", "--type", "pubkey", "--id", "01", "--output-file", str(ssh.folder / "read"))
    read = [serialization.load_der_public_key((ssh.folder / "read").read_bytes())]
    read += [public_key(said) for name, said in ssh.made.items() if name != "rsa"]
    assert [serialization.load_ssh_public_key(line.encode()) for line in lines] == read[::-1]


@pytest.mark.long
@pytest.mark.usefixtures("agent")
def test_the_agent_signs_with_every_kind_of_key(ssh: Ssh) -> None:
    ssh.run("ssh-add", "-s", ssh.token.module)
    assert re.findall(r" (\w+) \(\w+\)$", ssh.run("ssh-add", "-l"), re.MULTILINE) == list(KINDS)[::-1]
    for name in KINDS:
        ssh.sign(name)
    ssh.run("ssh-add", "-e", ssh.token.module)
    ssh.sign("rsa", fails=True)


@pytest.mark.long
@pytest.mark.usefixtures("agent")
def test_a_wrong_pin_costs_one_try(ssh: Ssh) -> None:
    ssh.pin("not-the-pin")
    assert "agent refused operation" in ssh.run("ssh-add", "-s", ssh.token.module, fails=True)
    assert "9 tries left" in ssh.run(ADYTON, "explain")
    ssh.pin(ssh.token.pin)
    ssh.run("ssh-add", "-s", ssh.token.module)
    ssh.sign("p256")


@pytest.mark.long
def test_an_agent_takes_the_module_from_allowed_paths_only(ssh: Ssh) -> None:
    agent = ssh.agent("-P", "/usr/lib/*")
    assert "agent refused operation" in ssh.run("ssh-add", "-s", ssh.token.module, fails=True)
    agent.terminate()
    agent.wait(20)


# -- what needs a pool on the disk, or a server

RESTART = """
module=$(adyton module-path)
export SSH_ASKPASS=$PWD/askpass SSH_ASKPASS_REQUIRE=force
printf '%s\\n' '#!/bin/sh' "cat $PWD/pin" >askpass
chmod +x askpass
pkcs11-tool --module "$module" --token-label demo --login --pin 1234-demo --keypairgen --key-type EC:prime256v1 \
  --label key --id 01 >/dev/null
ssh-keygen -D "$module" >key.pub
eval "$(ssh-agent -P "$(realpath "$module")")" >/dev/null
trap 'ssh-agent -k >/dev/null' EXIT
echo "what is signed" >message
sign() { rm -f message.sig; ssh-keygen -Y sign -n file -f key.pub message && echo signed; }
ssh-add -s "$module"
sign
adyton stop
sign || echo refused
ssh-add -e "$module"
ssh-add -s "$module"
sign
ssh-keygen -Y check-novalidate -n file -s message.sig <message
"""


@pytest.mark.long
def test_a_new_engine_wants_the_agent_to_log_in_again(alice: OrdinaryUser) -> None:
    said = alice.run("bash", "-euo", "pipefail", "-c", RESTART)
    assert re.findall(r"^(signed|refused|Good)\b", said, re.MULTILINE) == ["signed", "refused", "signed", "Good"]
