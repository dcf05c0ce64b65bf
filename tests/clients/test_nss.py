"""NSS: its tools make keys and certificates, import PKCS#12 files, sign and decrypt messages, and speak TLS."""

from __future__ import annotations

import re
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from opensc import openssl, tool
from ordinary_user import OrdinaryUser
from served import answer_over_tls, served
from system_pool import ADYTON, free_port

RECIPES = Path(__file__).parent / "recipes"
KINDS = {
    "rsa": ("-k", "rsa", "-g", "2048"), "pss": ("-k", "rsa", "-g", "2048", "--pss"),
    "p256": ("-k", "ec", "-q", "nistp256"), "p384": ("-k", "ec", "-q", "nistp384"),
    "p521": ("-k", "ec", "-q", "nistp521"),
}
OUTSIDE = {
    "rsa": ("rsa:2048",), "p256": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p521": ("ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
}


@pytest.mark.long
def test_recipe(alice: OrdinaryUser) -> None:
    alice.environment["PORT"] = str(free_port())
    module, made, handshakes, imported, messages, jar = alice.follow(RECIPES / "nss.md")
    assert "PKCS #11 Version 3.2\n" in module and re.search(r"^ +token: demo$", module, re.MULTILINE)
    assert "server.pem: OK\nclient.pem: OK\ncertutil: certificate is valid\n" in made
    assert re.findall(r"^< \d> (\w+) +\w{40} +demo:(\w+)$", made, re.MULTILINE) == [
        ("rsa", "client"), ("ec", "server"), ("rsa", "ca")]  # the newest first
    assert re.search(r"^demo:ca +CTu,Cu,Cu$", made, re.MULTILINE)
    assert handshakes.count("HTTP/1.0 200 OK") == 2
    assert re.findall(r"SSL version (3.\d) .*\nselfserv: subject DN: (.*)", handshakes) == [
        ("3.3", "CN=client"), ("3.4", "CN=client")]
    assert "PKCS12 IMPORT SUCCESSFUL" in imported and re.search(r"^< 0> rsa +\w{40} +outside$", imported, re.MULTILINE)
    assert messages.startswith("CMS Verification successful\n") and messages.count("what is signed") == 2
    assert 'tree "jar" signed successfully' in jar and re.search(r"^ +verified +text$", jar, re.MULTILINE)


# -- more than a recipe


class Nss:
    """NSS's tools with a database that knows the token."""

    def __init__(self, token: Any, folder: Path) -> None:
        self.token, self.folder = token, folder
        self.write("pin", token.pin)
        self.write("noise", "of no use to a token that has its own" * 4)
        (folder / "db").mkdir()
        self.run("certutil", "-N", "--empty-password")
        self.run("modutil", "-force", "-add", "adyton", "-libfile", token.module, "-mechanisms", "FRIENDLY")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, program: str, *words: str, fails: bool = False) -> str:
        folder = "-dbdir" if program == "modutil" else "-d"
        done = subprocess.run([program, folder, "sql:db", *words], cwd=self.folder, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def certutil(self, *words: str, pin: str = "pin", **more: Any) -> str:
        return self.run("certutil", "-h", self.token.label, "-f", pin, *words, **more)

    def make(self, name: str) -> x509.Certificate:
        self.certutil("-S", "-x", "-z", "noise", "-n", name, "-s", "CN=localhost", "-t", "CT,C,C", "-v", "12",
                      "-m", str(list(KINDS).index(name) + 1), "-8", "localhost", *KINDS[name])
        self.run("certutil", "-L", "-n", f"{self.token.label}:{name}", "-a", "-o", f"{name}.pem")
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())


@pytest.fixture
def nss(adyton_token: Any, tmp_path: Path) -> Nss:
    return Nss(adyton_token, tmp_path)


@pytest.mark.long
def test_it_certifies_keys_of_each_kind(nss: Nss) -> None:
    for name in KINDS:
        made = nss.make(name)
        made.verify_directly_issued_by(made)
    listed = nss.certutil("-K")
    assert re.findall(rf"{nss.token.label}:(\w+)$", listed, re.MULTILINE) == list(KINDS)[::-1]
    pairs = tool(nss.token, "--list-objects")
    ids = re.findall(r"^< \d> \w+ +(\w{40})", listed, re.MULTILINE)
    assert all(pairs.count(identifier) == 3 for identifier in ids), "private key, public key and certificate"


@pytest.mark.long
@pytest.mark.parametrize("age", [("-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC"), ("-legacy",)],
                         ids=["PBES2", "RC2 and triple DES"])
def test_pkcs12_files_come_in(nss: Nss, age: tuple[str, ...]) -> None:
    """NSS unwraps the key in the token, or makes it there: what signs then is the key that was outside."""
    for name, kind in OUTSIDE.items():
        files = {what: str(nss.folder / f"{name}.{what}") for what in ("key", "pem", "p12", "pub")}
        openssl("req", "-x509", "-newkey", *kind, "-nodes", "-keyout", files["key"], "-out", files["pem"],
                "-subj", f"/CN={name}")
        openssl("pkcs12", "-export", "-inkey", files["key"], "-in", files["pem"], "-name", name, "-passout", "pass:way",
                "-out", files["p12"], *age)
        said = nss.run("pk12util", "-i", files["p12"], "-W", "way", "-h", nss.token.label, "-k", "pin")
        assert "PKCS12 IMPORT SUCCESSFUL" in said
        assert f"{nss.token.label}:{name} " in nss.certutil("-L")
        (identifier,) = re.findall(rf"^< \d> \w+ +(\w{{40}}) +{name}$", nss.certutil("-K"), re.MULTILINE)
        nss.write("message", "what is signed")
        words = ["--mechanism", "SHA256-RSA-PKCS"] if name == "rsa" else [
            "--mechanism", "ECDSA-SHA256", "--signature-format", "openssl"]
        tool(nss.token, "--sign", "--id", identifier, *words, "--input-file", str(nss.folder / "message"),
             "--output-file", str(nss.folder / "signature"))
        certificate = x509.load_pem_x509_certificate(Path(files["pem"]).read_bytes())
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        Path(files["pub"]).write_bytes(certificate.public_key().public_bytes(serialization.Encoding.PEM, form))
        openssl("dgst", "-sha256", "-verify", files["pub"], "-signature", str(nss.folder / "signature"),
                str(nss.folder / "message"))
        out = nss.folder / "out.p12"
        nss.run("pk12util", "-o", str(out), "-n", f"{nss.token.label}:{name}", "-W", "way", "-k", "pin", fails=True)
        assert not out.exists() or out.stat().st_size == 0
    kinds = tool(nss.token, "--list-objects", "--type", "privkey")
    assert kinds.count("Access:     sensitive\n") == len(OUTSIDE)


@pytest.mark.long
def test_the_server_signs_for_openssl(nss: Nss) -> None:
    for name in ("rsa", "p256", "p384"):
        nss.make(name)
        port = free_port()
        command = ["selfserv", "-d", f"sql:{nss.folder}/db", "-n", f"{nss.token.label}:{name}", "-w", nss.token.pin,
                   "-p", str(port), "-V", "tls1.2:tls1.3"]
        with served(command, port, nss.folder / "selfserv.log"):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                said = answer_over_tls(port, nss.folder / f"{name}.pem", version, b"GET / HTTP/1.0\r\n\r\n")
                assert said.startswith(b"HTTP/1.0 200 OK"), (name, version)


@pytest.mark.long
def test_eight_threads_of_the_server_sign_for_eight_clients(nss: Nss) -> None:
    nss.make("rsa")
    port = free_port()
    command = ["selfserv", "-d", f"sql:{nss.folder}/db", "-n", f"{nss.token.label}:rsa", "-w", nss.token.pin,
               "-p", str(port), "-t", "8", "-V", "tls1.2:tls1.3"]
    with served(command, port, nss.folder / "selfserv.log"):
        for version in ("tls1.2", "tls1.3"):
            words = ("-p", str(port), "-c", "100", "-t", "8", "-N", "-q", "-V", f"{version}:{version}", "localhost")
            # It counts misses of its cache of sessions, which TLS 1.3 does not ask, and ends with 1 for want of any.
            said = nss.run("strsclnt", *words, fails=version == "tls1.3")
            assert "100 server certificates tested" in said and said.count("Server Certificate Validated") == 100


@pytest.mark.long
def test_secret_keys_are_made_and_listed(nss: Nss) -> None:
    made = ("-h", nss.token.label, "-f", "pin")
    nss.run("symkeyutil", "-K", *made, "-n", "sym", "-t", "aes", "-s", "32")
    assert re.search(r"^sym +32 +256 +aes +<restricted>$", nss.run("symkeyutil", "-L", *made), re.MULTILINE)
    said = tool(nss.token, "--list-objects", "--type", "secrkey")
    assert "Secret Key Object; AES length 32" in said and "never extractable, local" in said


@pytest.mark.long
def test_a_wrong_pin_costs_one_try(nss: Nss) -> None:
    nss.write("wrong", "not-the-pin")
    assert "SEC_ERROR_BAD_PASSWORD" in nss.certutil("-K", pin="wrong", fails=True)
    told = subprocess.run([ADYTON, "explain"], capture_output=True, text=True, check=True).stdout
    assert "9 tries left" in told and "8 tries left" not in told
    nss.make("p256")
    assert "user PIN count low" not in tool(nss.token, "-L", login=False)


@pytest.mark.long
def test_the_pin_is_changed_by_modutil(nss: Nss) -> None:
    nss.write("new-pin", "5678-changed")
    said = nss.run("modutil", "-force", "-changepw", nss.token.label, "-pwfile", "pin", "-newpwfile", "new-pin")
    assert f'Token "{nss.token.label}" password changed successfully.' in said
    nss.certutil("-K", fails=True)
    nss.certutil("-S", "-x", "-z", "noise", "-n", "after", "-s", "CN=after", "-t", ",,", *KINDS["p256"], pin="new-pin")
    assert f"{nss.token.label}:after" in nss.certutil("-K", pin="new-pin")


@pytest.mark.long
def test_keys_and_certificates_are_deleted(nss: Nss) -> None:
    nss.make("p256")
    nss.make("rsa")
    nss.certutil("-F", "-n", f"{nss.token.label}:p256")
    nss.run("certutil", "-D", "-n", f"{nss.token.label}:rsa", "-f", "pin")
    listed = nss.certutil("-L") + nss.certutil("-K")
    assert "p256" not in listed and f"{nss.token.label}:rsa" not in listed and "< 0> rsa " in listed
