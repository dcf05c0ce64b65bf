"""OpenSSL 3.0 works with keys that stay in the token: certificates, signatures, CMS and TLS."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openssl_engine import IN_TOKEN, OpenSSL
from pyasn1.codec.der.decoder import decode

KINDS = {"rsa": "rsa:2048", "ec": "EC:prime256v1", "ec384": "EC:secp384r1"}


@pytest.fixture
def openssl(adyton_token: Any, tmp_path: Path) -> OpenSSL:
    return OpenSSL(tmp_path, adyton_token.module, adyton_token.label, adyton_token.pin)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_and_a_self_signed_certificate(openssl: OpenSSL, kind: str) -> None:
    openssl.make_key(KINDS[kind], "key")
    openssl.run("req", "-new", "-sha256", *IN_TOKEN, "-key", openssl.uri("key"), "-subj", "/CN=asked", "-out", "csr")
    assert "verify OK" in openssl.run("req", "-in", "csr", "-noout", "-verify")
    public = (openssl.folder / openssl.public("key")).read_text()
    assert public in openssl.run("req", "-in", "csr", "-noout", "-pubkey")
    openssl.self_sign("key")
    assert "key.pem: OK" in openssl.run("verify", "-check_ss_sig", "-CAfile", "key.pem", "key.pem")


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_an_authority_in_the_token_signs_a_request(openssl: OpenSSL, kind: str) -> None:
    openssl.make_key(KINDS[kind], "ca")
    openssl.self_sign("ca")
    openssl.run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-subj", "/CN=leaf",
                "-out", "leaf.csr")
    openssl.run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-engine", "pkcs11", "-CAkeyform", "engine",
                "-CAkey", openssl.uri("ca"), "-set_serial", "4711", "-days", "30", "-sha384", "-out", "leaf.pem")
    assert "leaf.pem: OK" in openssl.run("verify", "-CAfile", "ca.pem", "leaf.pem")
    openssl.run("req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-subj", "/CN=ca",
                "-out", "other.pem")
    openssl.run("verify", "-CAfile", "other.pem", "leaf.pem", fails=True)


PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt")


@pytest.mark.parametrize("kind, digest, options", [
    ("rsa", "sha256", ()),
    ("rsa", "sha384", ()),
    ("rsa", "sha256", (*PSS, "rsa_pss_saltlen:digest")),
    ("rsa", "sha384", (*PSS, "rsa_pss_saltlen:206")),
    ("rsa", "sha256", (*PSS, "rsa_pss_saltlen:0", "-sigopt", "rsa_mgf1_md:sha384")),
    ("ec", "sha256", ()),
    ("ec", "sha384", ()),
    ("ec384", "sha384", ()),
])
def test_a_digest_is_signed_in_the_token_and_verified_outside(
    openssl: OpenSSL, kind: str, digest: str, options: tuple[str, ...]
) -> None:
    openssl.make_key(KINDS[kind], "key")
    message = openssl.folder / "message"
    message.write_bytes(b"what is signed" * 1000)
    openssl.run("dgst", f"-{digest}", *options, *IN_TOKEN, "-sign", openssl.uri("key"), "-out", "signature", "message")
    verify = ("dgst", f"-{digest}", *options, "-verify", openssl.public("key"), "-signature", "signature", "message")
    assert "Verified OK" in openssl.run(*verify)
    message.write_bytes(b"something else")
    assert "Verif" in openssl.run(*verify, fails=True)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_cms_is_signed(openssl: OpenSSL, kind: str) -> None:
    openssl.make_key(KINDS[kind], "key")
    openssl.self_sign("key")
    (openssl.folder / "message").write_bytes(b"a message, signed\n")
    openssl.run("cms", "-sign", "-binary", "-nodetach", "-md", "sha256", *IN_TOKEN, "-inkey", openssl.uri("key"),
                "-signer", "key.pem", "-in", "message", "-outform", "DER", "-out", "signed")
    verify = ("cms", "-verify", "-inform", "DER", "-in", "signed", "-CAfile", "key.pem", "-out", "verified")
    openssl.run(*verify)
    assert (openssl.folder / "verified").read_bytes() == b"a message, signed\n"
    signed = (openssl.folder / "signed").read_bytes()
    (openssl.folder / "signed").write_bytes(signed.replace(b"a message", b"A message"))
    openssl.run(*verify, fails=True)


@pytest.mark.parametrize("kind, options", [
    ("rsa", ()),
    ("rsa", ("-keyopt", "rsa_padding_mode:oaep")),
    ("rsa", ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")),
])
def test_cms_is_decrypted_in_the_token(openssl: OpenSSL, kind: str, options: tuple[str, ...]) -> None:
    openssl.make_key(KINDS[kind], "key")
    openssl.self_sign("key")
    (openssl.folder / "message").write_bytes(b"a secret message\n")
    openssl.run("cms", "-encrypt", "-binary", "-aes-256-cbc", "-in", "message", "-outform", "DER", "-out", "sealed",
                "-recip", "key.pem", *options)
    openssl.run("cms", "-decrypt", *IN_TOKEN, "-inkey", openssl.uri("key"), "-recip", "key.pem", "-inform", "DER",
                "-in", "sealed", "-out", "opened")
    assert (openssl.folder / "opened").read_bytes() == b"a secret message\n"


def test_the_private_rsa_key_is_not_given_out(openssl: OpenSSL) -> None:
    openssl.make_key(KINDS["rsa"], "key")
    said = openssl.run("pkey", "-engine", "pkcs11", "-inform", "engine", "-in", openssl.uri("key"), "-out", "leaked",
                       fails=True)
    assert "private key encode error" in said
    assert (openssl.folder / "leaked").read_bytes() == b""


def test_the_private_ec_key_is_not_given_out(openssl: OpenSSL) -> None:
    """libp11 puts a nought in the place of the number that it can't read, and OpenSSL writes that."""
    openssl.make_key(KINDS["ec"], "key")
    openssl.run("pkey", "-engine", "pkcs11", "-inform", "engine", "-in", openssl.uri("key"), "-outform", "DER",
                "-out", "leaked")
    key, _ = decode((openssl.folder / "leaked").read_bytes())  # RFC 5915: version, private key, ...
    assert len(key[1].asOctets()) >= 32
    assert not any(key[1].asOctets())


def test_a_wrong_pin_signs_nothing(openssl: OpenSSL) -> None:
    openssl.make_key(KINDS["rsa"], "key")
    openssl.pin = "not-the-pin"
    said = openssl.run("req", "-new", *IN_TOKEN, "-key", openssl.uri("key"), "-subj", "/CN=x", fails=True)
    assert "Login" in said or "login" in said


# -- TLS


@contextmanager
def serving(openssl: OpenSSL, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """s_server on a free port of its own choice, which gives every line back reversed; and that port."""
    server = openssl.start("s_server", "-accept", "127.0.0.1:0", *words, "-rev")
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if found := re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line):
                yield server, int(found[1])
                return
        raise AssertionError("s_server does not serve: " + "".join(said))
    finally:
        server.kill()
        server.communicate()


def connected(openssl: OpenSSL, port: int, *words: str, fails: bool = False) -> None:
    """One connection by s_client, which sends a line and gets it back reversed."""
    client = openssl.start("s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-verify_return_error",
                           "-CAfile", "ca.pem", *words)
    try:
        assert client.stdin is not None and client.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # who was refused may have left already
            client.stdin.write("hello\n")
        said = []
        for line in client.stdout:
            said.append(line)
            if line == "olleh\n":
                break
        assert ("olleh\n" in said) != fails, "".join(said)
    finally:
        client.kill()
        client.communicate()


@pytest.fixture(params=["rsa", "ec"])
def tls(openssl: OpenSSL, request: pytest.FixtureRequest) -> OpenSSL:
    """An authority, a server and a client, all three keys in the token, all of one kind."""
    for number, name in enumerate(("ca", "server", "client"), 1):
        openssl.make_key(KINDS[request.param], name, f"{number:02}")
    openssl.self_sign("ca")
    (openssl.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl.run("req", "-new", *IN_TOKEN, "-key", openssl.uri(name), "-subj", f"/CN={name}", "-out", "csr")
        openssl.run("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-engine", "pkcs11", "-CAkeyform", "engine",
                    "-CAkey", openssl.uri("ca"), "-extfile", "names", "-days", "30", "-out", f"{name}.pem")
    return openssl


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_tls_with_both_keys_in_the_token(tls: OpenSSL, version: str) -> None:
    keys = {name: (*IN_TOKEN, "-key", tls.uri(name), "-cert", f"{name}.pem") for name in ("server", "client")}
    asking = ("-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem", f"-tls{version}")
    with serving(tls, *keys["server"], *asking) as (_, port):
        for _ in range(3):
            connected(tls, port, *keys["client"])
        connected(tls, port, fails=True)  # without a certificate: the server does ask
        connected(tls, port, *keys["client"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_many_tls_connections(tls: OpenSSL, version: ssl.TLSVersion) -> None:
    """One server process signs every handshake; another implementation's view of what it serves."""
    context = ssl.create_default_context(cafile=str(tls.folder / "ca.pem"))
    context.minimum_version = context.maximum_version = version
    with serving(tls, *IN_TOKEN, "-key", tls.uri("server"), "-cert", "server.pem") as (_, port):
        for _ in range(25):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secured,
            ):
                assert not secured.session_reused
                secured.sendall(b"abc\n")
                assert secured.recv(100) == b"cba\n"
