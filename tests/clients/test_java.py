"""Java 17 with keys in the token: keytool, jarsigner, and programs by way of SunPKCS11."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PROGRAMS = Path(__file__).parent / "java"
PAGE = Path(__file__).parent / "recipes" / "java.md"


def run(*command: object, cwd: Path, fails: bool = False) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, text=True, timeout=250, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("java")
    run("javac", "-Xlint:all", "-Werror", "-d", folder, *PROGRAMS.glob("*.java"), cwd=PROGRAMS)
    return folder


class Java:
    """A folder with a configuration of SunPKCS11 for the test's token."""

    def __init__(self, folder: Path, compiled: Path, token: Any) -> None:
        self.folder = folder
        self.compiled = compiled
        self.pin: str = token.pin
        # The attributes that the page names, so that what it says of them holds.
        attributes = re.search(r"^  ```\n(.*?)^  ```", PAGE.read_text(), re.M | re.S)
        assert attributes is not None
        (folder / "pkcs11.cfg").write_text(
            f"name = demo\nlibrary = {token.module}\nslotListIndex = 0\n{attributes[1]}"
        )

    def program(self, name: str, *arguments: object, options: tuple[str, ...] = ()) -> list[str]:
        """What a program of java/ says, line by line."""
        command = ("java", *options, "-cp", self.compiled, name, "pkcs11.cfg", self.pin, *arguments)
        return run(*command, cwd=self.folder).splitlines()

    def keytool(self, *arguments: object) -> str:
        return run("keytool", *arguments, "-storepass", self.pin, cwd=self.folder)

    def in_token(self, *arguments: object, named: bool = True, fails: bool = False) -> str:
        """keytool with the token as its key store, told to make keys there if ``named``."""
        provider = ("-providerName", "SunPKCS11-demo") if named else ()
        return run("keytool", *arguments, "-storepass", self.pin, "-keystore", "NONE", "-storetype", "PKCS11",
                   "-addprovider", "SunPKCS11", "-providerArg", "pkcs11.cfg", *provider, cwd=self.folder, fails=fails)


@pytest.fixture
def java(tmp_path: Path, compiled: Path, adyton_token: Any) -> Java:
    return Java(tmp_path, compiled, adyton_token)


KINDS = {"rsa": ("-keyalg", "RSA", "-keysize", "2048"), "ec": ("-keyalg", "EC", "-groupname", "secp256r1")}


def test_the_recipe(follow_recipe: Callable[[str], list[str]], newcomer: dict[str, str], tmp_path: Path) -> None:
    _, made, chained, jar, program, settings = follow_recipe("java")
    for entry in ("ca, PrivateKeyEntry", "code, PrivateKeyEntry", "data, SecretKeyEntry"):
        assert entry in made
    assert "chain length: 2" in chained
    assert "jar verified." in jar
    assert program == "verified\n"
    assert "ca, PrivateKeyEntry" in settings and "data" not in settings
    assert "code.pem: OK" in run("openssl", "verify", "-CAfile", "ca.pem", "code.pem", cwd=tmp_path)
    module = subprocess.run(["adyton", "module-path"], env=newcomer, check=True, capture_output=True, text=True)
    objects = subprocess.run(
        ["pkcs11-tool", "--module", module.stdout.strip(), "--login", "--pin", "1234-demo", "-O"],
        env=newcomer, check=True, capture_output=True, text=True,
    ).stdout
    assert objects.count("always sensitive, never extractable, local") == 2, "both pairs were born in the token"
    with zipfile.ZipFile(tmp_path / "message.jar") as signed, zipfile.ZipFile(tmp_path / "forged.jar", "w") as forged:
        for name in signed.namelist():
            forged.writestr(name, b"something else\n" if name == "message" else signed.read(name))
    refused = run("jarsigner", "-verify", "forged.jar", cwd=tmp_path, fails=True)
    assert "SHA-256 digest error for message" in refused or "SHA-384 digest error for message" in refused


def test_every_service_does_what_javas_own_providers_do(java: Java) -> None:
    done = java.program("Services")
    for service in ("Cipher AES/GCM/NoPadding", "KeyAgreement ECDH", "MessageDigest SHA-256", "Mac HmacSHA512",
                    "Signature SHA512withECDSA", "Signature RSASSA-PSS", "SecureRandom PKCS11", "KeyPairGenerator EC"):
        assert service in done
    assert len(done) >= 98


def test_what_the_legacy_switch_adds_does_as_javas_own_too(java: Java, adyton_token: Any, tmp_path: Path) -> None:
    (tmp_path / "so-pin").write_text(adyton_token.so_pin)
    adyton = Path(sys.executable).parent / "adyton"
    run(adyton, "partition", "set", "0", "--legacy", "on", "--pin-file", "so-pin", cwd=tmp_path)
    done = java.program("Services")
    for service in ("Cipher DESede/CBC/PKCS5Padding", "MessageDigest MD5", "Mac HmacMD5", "SecretKeyFactory DESede"):
        assert service in done


def test_a_key_store_in_the_token(java: Java) -> None:
    for alias, kind in KINDS.items():
        java.keytool("-genkeypair", "-alias", alias, *kind, "-dname", f"CN={alias}", "-keystore", "outside.p12",
                     "-storetype", "PKCS12")
    assert java.program("KeyStores", "outside.p12") == ["done"]


def test_a_pkcs12_file_is_taken_into_the_token(java: Java) -> None:
    java.keytool("-genkeypair", "-alias", "moved", *KINDS["rsa"], "-dname", "CN=moved", "-keystore", "outside.p12",
                 "-storetype", "PKCS12")
    run("keytool", "-importkeystore", "-srckeystore", "outside.p12", "-srcstorepass", java.pin, "-destkeystore", "NONE",
        "-deststoretype", "PKCS11", "-deststorepass", java.pin, "-addprovider", "SunPKCS11", "-providerArg",
        "pkcs11.cfg", cwd=java.folder)
    java.in_token("-certreq", "-alias", "moved", "-file", "moved.csr")
    assert "verify OK" in run("openssl", "req", "-in", "moved.csr", "-noout", "-verify", cwd=java.folder)


def test_what_the_page_says_of_keytool(java: Java, adyton_token: Any) -> None:
    java.in_token("-genkeypair", "-alias", "born", *KINDS["rsa"], "-dname", "CN=born")
    java.in_token("-genkeypair", "-alias", "imported", *KINDS["rsa"], "-dname", "CN=imported", named=False)
    java.in_token("-genseckey", "-alias", "secret", "-keyalg", "AES", "-keysize", "256")
    listed = run("pkcs11-tool", "--module", adyton_token.module, "--login", "--pin", java.pin, "-O", cwd=java.folder)
    entries = listed.split("Unique ID:")
    born, imported, secret = (
        next(entry for entry in entries if all(word in entry for word in words))
        for words in (("Private Key Object", b"born".hex()), ("Private Key Object", b"imported".hex()), ("Secret Key",))
    )
    assert "local" in born and "local" not in imported and "local" not in secret

    refused = java.in_token("-genkeypair", "-alias", "ed", "-keyalg", "Ed25519", "-dname", "CN=ed", fails=True)
    assert "unsupported key type" in refused
    java.in_token("-exportcert", "-alias", "born", "-file", "born.der")
    refused = java.in_token("-importcert", "-alias", "alone", "-file", "born.der", "-noprompt", fails=True)
    assert "trusted certificates may only be set by token initialization application" in refused


def test_eight_threads_work_together(java: Java) -> None:
    assert java.program("Threads") == ["480 rounds"]


@pytest.mark.parametrize("options", [(), ("-Dposition=1",)], ids=["keys", "everything"])
def test_tls_with_both_keys_in_the_token(java: Java, options: tuple[str, ...]) -> None:
    """As the first of Java's providers, the token has the digests, agreements, MACs and ciphers of a connection too."""
    for alias, kind in KINDS.items():
        java.in_token("-genkeypair", "-alias", alias, *kind, "-dname", f"CN={alias}")
    assert java.program("Tls", options=options) == [
        f"{version} server {server} client {client}"
        for version in ("TLSv1.2", "TLSv1.3") for server in ("rsa", "ec") for client in ("ec", "rsa")
    ]


def test_a_program_goes_on_after_the_engine_was_restarted(
    follow_recipe: Callable[[str], list[str]], newcomer: dict[str, str], tmp_path: Path, compiled: Path
) -> None:
    module = subprocess.run(["adyton", "module-path"], env=newcomer, check=True, capture_output=True, text=True)
    (tmp_path / "pkcs11.cfg").write_text(f"name = demo\nlibrary = {module.stdout.strip()}\nslot = 0\n")
    for command in (
        ("keytool", "-genkeypair", "-alias", "ec", *KINDS["ec"], "-dname", "CN=ec", "-keystore", "NONE", "-storetype",
         "PKCS11", "-storepass", "1234-demo", "-addprovider", "SunPKCS11", "-providerArg", "pkcs11.cfg"),
        ("java", "-cp", str(compiled), "Restarts", "pkcs11.cfg", "1234-demo", "adyton stop"),
    ):
        done = subprocess.run(command, env=newcomer, cwd=tmp_path, text=True, timeout=250, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
    assert "works again" in done.stdout
