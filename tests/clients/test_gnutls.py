"""GnuTLS: its tools make keys, certificates and tokens; its server and client sign with them."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gnutls_that_forks
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from opensc import tool
from served import answer_over_tls, served
from system_pool import ADYTON, free_port

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
KINDS = {
    "rsa": "rsa:2048", "p256": "EC:secp256r1", "p384": "EC:secp384r1", "p521": "EC:secp521r1",
    "edwards": "EC:edwards25519",
}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.long
def test_recipe(follow_recipe: Callable[[str], list[str]], newcomer: dict[str, str], tmp_path: Path) -> None:
    newcomer["PORT"] = str(free_port())
    keys, edwards, certificates, handshakes, second = follow_recipe("gnutls")
    assert keys.count("... ok\n") == 3 and re.findall(r"id=%(\d\d);object=(\w+);type=private", keys) == [
        ("03", "client"), ("02", "ca"), ("01", "server")]  # the newest first
    assert "Signing using EdDSA-Ed25519... ok\n" in edwards and edwards.count("... ok\n") == 3
    assert certificates.count("Chain verification output: Verified.") == 2
    assert certificates.count("CKA_CERTIFICATE_CATEGORY=CA; CKA_TRUSTED;") == 2
    authority = certificate(tmp_path / "ca.pem")
    authority.verify_directly_issued_by(authority)
    for name in ("server", "client"):
        certificate(tmp_path / f"{name}.pem").verify_directly_issued_by(authority)
    chain = x509.load_pem_x509_certificates((tmp_path / "chain.pem").read_bytes())
    assert chain == [certificate(tmp_path / "server.pem"), authority]
    for version in VERSIONS:
        assert f"\nover TLS {version}\n" in handshakes and f"(TLS{version}-X.509)" in handshakes
    assert handshakes.count("Handshake was completed") == handshakes.count("Successfully sent 1 certificate(s)") == 2
    assert "Token was successfully initialized" in second and "1 objects deleted" in second
    assert re.findall(r"token=second;.*;type=(\w+)", second) == ["public"]


# -- more than a recipe


class Gnutls:
    """The tools of GnuTLS on a token, in a folder for what they write."""

    def __init__(self, token: Any, folder: Path) -> None:
        self.token, self.folder = token, folder
        self.environment = {**token.environment, "PATH": "/usr/bin:/bin", "GNUTLS_PIN": token.pin,
                            "GNUTLS_SO_PIN": token.so_pin}

    def key(self, name: str) -> str:
        return f"pkcs11:token={self.token.label};object={name};type=private"

    def command(self, program: str, *words: str) -> list[str]:
        return [program, f"--provider={self.token.module}", *words]

    def run(self, program: str, *words: str, fails: bool = False, **environment: str) -> str:
        done = subprocess.run(
            self.command(program, *words), env={**self.environment, **environment}, cwd=self.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def p11tool(self, *words: str, **more: Any) -> str:
        return self.run("p11tool", "--login", *words, f"pkcs11:token={self.token.label}", **more)

    def make(self, *names: str) -> None:
        """Keys born in the token, and certificates by which OpenSSL knows them."""
        (self.folder / "template").write_text(
            "cn = localhost\ndns_name = localhost\nca\ncert_signing_key\nsigning_key\nexpiration_days = 30\n")
        for number, name in enumerate(names, 1):
            tool(self.token, "--keypairgen", "--key-type", KINDS[name], "--label", name, "--id", f"{number:02}")
            self.run("p11tool", "--login", "--export-pubkey", self.key(name), "--outfile", f"{name}.pub")
            self.run("certtool", "--generate-self-signed", "--template", "template", "--load-privkey", self.key(name),
                     "--load-pubkey", f"{name}.pub", "--outfile", f"{name}.pem")


@pytest.fixture
def gnutls(adyton_token: Any, tmp_path: Path) -> Gnutls:
    return Gnutls(adyton_token, tmp_path)


@pytest.mark.long
def test_the_server_signs_for_openssl_with_every_kind_of_key(gnutls: Gnutls) -> None:
    gnutls.make(*KINDS)
    for name in KINDS:
        port = free_port()
        files = ("--x509certfile", f"{gnutls.folder}/{name}.pem", "--x509keyfile", gnutls.key(name))
        command = gnutls.command("gnutls-serv", "--echo", "--port", str(port), "--disable-client-cert", *files)
        with served(command, port, gnutls.folder / f"{name}.log", gnutls.environment):
            for version in VERSIONS.values():
                said = answer_over_tls(port, gnutls.folder / f"{name}.pem", version, b"heard\n")
                assert said == b"heard\n", (name, version)


def one_client(listening: socket.socket, context: ssl.SSLContext, seen: list[bytes | None]) -> None:
    plain, _ = listening.accept()
    plain.settimeout(20)
    with context.wrap_socket(plain, server_side=True) as secured:
        seen.append(secured.getpeercert(binary_form=True))
        secured.sendall(b"welcome\n")
        with suppress(OSError):
            secured.unwrap()  # a client that has heard all may be gone


@pytest.mark.long
def test_the_client_signs_for_openssl_with_every_kind_of_key(gnutls: Gnutls) -> None:
    gnutls.make(*KINDS)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "outside.key", "-out", "outside.pem",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        cwd=gnutls.folder, check=True, capture_output=True,
    )
    for name in KINDS:
        for words, version in VERSIONS.items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(gnutls.folder / "outside.pem", gnutls.folder / "outside.key")
            context.load_verify_locations(gnutls.folder / f"{name}.pem")
            context.verify_mode = ssl.CERT_REQUIRED
            context.minimum_version = context.maximum_version = version
            seen: list[bytes | None] = []
            with socket.create_server(("127.0.0.1", 0)) as listening:
                listening.settimeout(20)
                peer = threading.Thread(target=one_client, args=(listening, context, seen), daemon=True)
                peer.start()
                said = gnutls.run(
                    "gnutls-cli", "--port", str(listening.getsockname()[1]), "--x509cafile", "outside.pem",
                    "--x509certfile", f"{name}.pem", "--x509keyfile", gnutls.key(name),
                    "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{words}", "localhost",
                )
                peer.join(20)
            assert "welcome" in said, (name, words, said)
            sent = certificate(gnutls.folder / f"{name}.pem").public_bytes(serialization.Encoding.DER)
            assert seen == [sent]


@pytest.mark.long
def test_a_wrong_pin_costs_one_try(gnutls: Gnutls) -> None:
    said = gnutls.p11tool("--list-all", fails=True, GNUTLS_PIN="not-the-pin")
    assert "Wrong PIN has been provided" in said and "Cannot continue" in said
    assert "9 tries left" in subprocess.run([ADYTON, "explain"], capture_output=True, text=True).stdout
    assert "user PIN count low" in tool(gnutls.token, "-L", login=False)
    assert "No matching objects found" in gnutls.p11tool("--list-all", fails=True)
    assert "user PIN count low" not in tool(gnutls.token, "-L", login=False)


@pytest.mark.long
def test_a_key_that_asks_for_the_pin_at_each_use(gnutls: Gnutls) -> None:
    gnutls.run("certtool", "--generate-privkey", "--outfile", "outside.key")
    gnutls.run("certtool", "--load-privkey", "outside.key", "--pubkey-info", "--outfile", "outside.pub")
    gnutls.p11tool("--write", "--load-privkey", "outside.key", "--mark-always-authenticate", "--label", "careful")
    gnutls.p11tool("--write", "--load-pubkey", "outside.pub", "--label", "careful")
    assert "always authenticate" in tool(gnutls.token, "--list-objects", "--type", "privkey")
    assert gnutls.run("p11tool", "--login", "--test-sign", gnutls.key("careful")).count("... ok\n") == 3


@pytest.mark.long
def test_an_ed25519_key_is_asked_for_by_the_mechanism_that_signs(gnutls: Gnutls) -> None:
    """What the page says about GnuTLS 3.7; a later one makes the key."""
    said = gnutls.p11tool("--generate-privkey", "ed25519", "--label", "edwards", "--outfile", "edwards.pub", fails=True)
    assert "PKCS #11 unsupported feature" in said
    told = subprocess.run([ADYTON, "explain"], capture_output=True, text=True, check=True).stdout
    assert "C_GenerateKeyPair: CKR_MECHANISM_INVALID" in told and "CKM_EDDSA" in told


@pytest.mark.long
def test_children_of_a_program_sign_with_its_key(gnutls: Gnutls) -> None:
    """GnuTLS sees the fork, calls C_Initialize in the child and logs in there."""
    gnutls.p11tool("--generate-privkey", "ecdsa", "--curve", "secp256r1", "--label", "one", "--outfile", "one.pub")
    uri = f"{gnutls.key('one')}?pin-value={gnutls.token.pin}"
    words = [sys.executable, gnutls_that_forks.__file__, gnutls.token.module, uri]
    said = subprocess.run(words, env=gnutls.environment, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stdout + said.stderr
    signed = [line.split() for line in said.stdout.splitlines()]
    assert [who for who, _ in signed] == ["parent", *["child"] * gnutls_that_forks.CHILDREN, "parent"]
    key = serialization.load_pem_public_key((gnutls.folder / "one.pub").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    for _, signature in signed:
        key.verify(bytes.fromhex(signature), gnutls_that_forks.MESSAGE, ec.ECDSA(hashes.SHA256()))
