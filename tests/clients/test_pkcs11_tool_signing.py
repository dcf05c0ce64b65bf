"""Every signing mechanism that pkcs11-tool can name, signed by the token and judged by openssl(1) or Python's hmac.

Each mechanism signs a short message (the tool calls C_Sign) and a long one (it calls C_SignUpdate and C_SignFinal).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opensc import openssl, public_key, tool, written

from hsm.throwaway import ThrowAway

HASHES = {
    "SHA1": "sha1", "SHA224": "sha224", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512",
    "SHA3-224": "sha3-224", "SHA3-256": "sha3-256", "SHA3-384": "sha3-384", "SHA3-512": "sha3-512",
}
# Named by the tool and offered by the module, but out of the tool's reach.
UNREACHED = {
    "SHA-1-HMAC-GENERAL": "the tool gives no parameter, so there is no length",
    "AES-CMAC": "the tool looks for a private key to sign with",
}
MESSAGES = {"short": b"a message of some length", "long": bytes(range(256)) * 20}
CURVES = {
    "21": "secp224r1", "22": "prime256v1", "23": "secp384r1", "24": "secp521r1", "25": "secp256k1",
    "26": "brainpoolP256r1", "27": "brainpoolP384r1", "28": "brainpoolP512r1",
}


class Keys(NamedTuple):
    token: Any
    folder: Path
    public: dict[str, str]  # id: PEM file
    secret: bytes


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    folder = tmp_path_factory.mktemp("signing")
    with ThrowAway() as token:
        public = {"10": str(folder / "rsa.pem")}
        tool(token, "--keypairgen", "--key-type", "rsa:2048", "--id", "10")
        der = str(folder / "rsa.der")
        tool(token, "--read-object", "--type", "pubkey", "--id", "10", "-o", der)
        openssl("pkey", "-pubin", "-inform", "DER", "-in", der, "-out", public["10"])
        for number, curve in CURVES.items():
            said = tool(token, "--keypairgen", "--key-type", f"EC:{curve}", "--id", number)
            public[number] = written(public_key(said), folder / f"{curve}.pem")
        said = tool(token, "--keypairgen", "--key-type", "EC:edwards25519", "--id", "30")
        public["30"] = written(public_key(said), folder / "ed25519.pem")
        tool(token, "--keygen", "--key-type", "GENERIC:64", "--id", "40", "--usage-sign", "--extractable")
        secret = folder / "secret"
        tool(token, "--read-object", "--type", "secrkey", "--id", "40", "-o", str(secret))
        yield Keys(token, folder, public, secret.read_bytes())


def sign(keys: Keys, mechanism: str, key: str, message: bytes, *options: str) -> tuple[str, str]:
    """The files of message and signature. The token's own verification must agree, also on an altered message."""
    data, signature = keys.folder / "message", keys.folder / "signature"
    data.write_bytes(message)
    named = ["-m", mechanism, "--id", key, *options]
    tool(keys.token, "--sign", *named, "-i", str(data), "-o", str(signature))
    check = ["--verify", *named, "--signature-file", str(signature), "-i"]
    assert "Signature is valid" in tool(keys.token, *check, str(data))
    altered = keys.folder / "altered"
    altered.write_bytes(bytes([message[0] ^ 1]) + message[1:])
    assert "Invalid signature" in tool(keys.token, *check, str(altered))
    return str(data), str(signature)


def digest_of(name: str, message: bytes) -> bytes:
    return hashlib.new(HASHES[name].replace("3-", "3_"), message).digest()


@pytest.mark.parametrize("size", MESSAGES)
@pytest.mark.parametrize("name", HASHES)
def test_rsa_pkcs1(keys: Keys, name: str, size: str) -> None:
    data, signature = sign(keys, f"{name}-RSA-PKCS", "10", MESSAGES[size])
    openssl("dgst", f"-{HASHES[name]}", "-verify", keys.public["10"], "-signature", signature, data)


def test_rsa_pkcs1_of_bytes_as_they_are(keys: Keys) -> None:
    data, signature = sign(keys, "RSA-PKCS", "10", b"a DigestInfo, or anything up to 245 bytes")
    got = openssl("pkeyutl", "-verifyrecover", "-pubin", "-inkey", keys.public["10"], "-in", signature)
    assert got == Path(data).read_bytes()


def test_rsa_without_padding(keys: Keys) -> None:
    data, signature = sign(keys, "RSA-X-509", "10", b"a block that the caller has padded")
    words = ["-verifyrecover", "-pubin", "-inkey", keys.public["10"], "-pkeyopt", "rsa_padding_mode:none"]
    assert openssl("pkeyutl", *words, "-in", signature) == Path(data).read_bytes().rjust(256, b"\0")


def test_rsa_pkcs1_refuses_what_does_not_fit(keys: Keys) -> None:
    data = keys.folder / "too-long"
    data.write_bytes(bytes(246))
    words = ["--sign", "-m", "RSA-PKCS", "--id", "10", "-i", str(data), "-o", str(keys.folder / "none")]
    # The tool tries C_Sign, then C_SignUpdate, and names the code of the latter.
    said = tool(keys.token, *words, fails=True)
    assert "C_SignUpdate failed: rv = CKR_" in said and "CKR_GENERAL_ERROR" not in said
    assert not (keys.folder / "none").exists()


@pytest.mark.parametrize("size", MESSAGES)
@pytest.mark.parametrize("name", HASHES)
def test_pss(keys: Keys, name: str, size: str) -> None:
    data, signature = sign(keys, f"{name}-RSA-PKCS-PSS", "10", MESSAGES[size])
    openssl(
        "dgst", f"-{HASHES[name]}", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest",
        "-verify", keys.public["10"], "-signature", signature, data,
    )


@pytest.mark.parametrize(
    ("name", "mgf", "salt", "length"),
    [
        ("SHA1", "", "", 20), ("SHA256", "", "", 32), ("SHA256", "SHA1", "0", 0), ("SHA384", "SHA512", "17", 17),
        ("SHA512", "SHA224", "-1", 64), ("SHA224", "SHA384", "-2", 226), ("SHA3-256", "", "-3", 222),
        ("SHA3-512", "SHA1", "1", 1),
    ],
)
def test_pss_of_a_digest_with_mgf_and_salt(keys: Keys, name: str, mgf: str, salt: str, length: int) -> None:
    options = ["--hash-algorithm", "SHA-1" if name == "SHA1" else name]
    options += ["--mgf", f"MGF1-{mgf}"] if mgf else []
    given = [*options, "--salt-len", salt] if salt else options
    data, signature = keys.folder / "digest", keys.folder / "signature"
    data.write_bytes(digest_of(name, b"message"))
    tool(keys.token, "--sign", "-m", "RSA-PKCS-PSS", "--id", "10", *given, "-i", str(data), "-o", str(signature))
    settings = [f"digest:{HASHES[name]}", "rsa_padding_mode:pss", f"rsa_pss_saltlen:{length}"]
    settings += [f"rsa_mgf1_md:{HASHES[mgf or name]}"]
    openssl(
        "pkeyutl", "-verify", "-pubin", "-inkey", keys.public["10"], "-in", str(data), "-sigfile", str(signature),
        *[word for setting in settings for word in ("-pkeyopt", setting)],
    )
    # For verifying, -2 asks for a search, which OpenSC's own module alone knows: the length is said.
    check = ["--verify", "-m", "RSA-PKCS-PSS", "--id", "10", *options, "--salt-len", str(length)]
    said = tool(keys.token, *check, "-i", str(data), "--signature-file", str(signature))
    assert "Signature is valid" in said


def test_pss_salt_that_no_key_has_room_for(keys: Keys) -> None:
    data = keys.folder / "digest"
    data.write_bytes(bytes(32))
    words = ["-m", "RSA-PKCS-PSS", "--hash-algorithm", "SHA256", "--id", "10", "-i", str(data)]
    for salt in ("223", "9000000000000000000"):
        said = tool(keys.token, "--sign", *words, "--salt-len", salt, fails=True)
        assert "C_SignInit failed: rv = CKR_MECHANISM_PARAM_INVALID" in said
    said = tool(keys.token, "--verify", *words, "--salt-len", "-2", "--signature-file", str(data), fails=True)
    assert "C_VerifyInit failed: rv = CKR_MECHANISM_PARAM_INVALID" in said


@pytest.mark.parametrize("size", MESSAGES)
@pytest.mark.parametrize("name", HASHES)
def test_ecdsa(keys: Keys, name: str, size: str) -> None:
    data, signature = sign(keys, f"ECDSA-{name}", "22", MESSAGES[size], "--signature-format", "openssl")
    openssl("dgst", f"-{HASHES[name]}", "-verify", keys.public["22"], "-signature", signature, data)


@pytest.mark.parametrize("key", CURVES)
def test_ecdsa_on_every_curve(keys: Keys, key: str) -> None:
    data, signature = sign(keys, "ECDSA-SHA384", key, MESSAGES["short"], "--signature-format", "sequence")
    openssl("dgst", "-sha384", "-verify", keys.public[key], "-signature", signature, data)


@pytest.mark.parametrize("key", CURVES)
def test_ecdsa_of_a_digest(keys: Keys, key: str) -> None:
    # A digest longer than the order is cut, a shorter one taken as it is.
    for name in ("SHA1", "SHA256", "SHA512"):
        digest = digest_of(name, b"message")
        data, signature = sign(keys, "ECDSA", key, digest, "--signature-format", "openssl")
        openssl("pkeyutl", "-verify", "-pubin", "-inkey", keys.public[key], "-in", data, "-sigfile", signature)


@pytest.mark.parametrize("key", CURVES)
def test_ecdsa_as_r_and_s(keys: Keys, key: str) -> None:
    _, signature = sign(keys, "ECDSA-SHA256", key, b"message")
    assert len(Path(signature).read_bytes()) == {"21": 56, "23": 96, "24": 132, "27": 96, "28": 128}.get(key, 64)


@pytest.mark.parametrize("size", MESSAGES)
def test_eddsa(keys: Keys, size: str) -> None:
    data, signature = sign(keys, "EDDSA", "30", MESSAGES[size])
    words = ["-verify", "-pubin", "-inkey", keys.public["30"], "-rawin", "-in", data, "-sigfile", signature]
    openssl("pkeyutl", *words)


@pytest.mark.parametrize("size", MESSAGES)
@pytest.mark.parametrize("name", HASHES)
def test_hmac(keys: Keys, name: str, size: str) -> None:
    mechanism = "SHA-1-HMAC" if name == "SHA1" else f"{name}-HMAC"
    _, signature = sign(keys, mechanism, "40", MESSAGES[size])
    expected = hmac.digest(keys.secret, MESSAGES[size], HASHES[name].replace("3-", "3_"))
    assert Path(signature).read_bytes() == expected


def test_nothing_the_tool_can_name_is_left_out(keys: Keys) -> None:
    listed = re.findall(r"^  ([A-Z][\w-]+), .*\bsign\b", tool(keys.token, "-M"), re.MULTILINE)
    tried = {"RSA-X-509", "RSA-PKCS", "RSA-PKCS-PSS", "ECDSA", "EDDSA", "SHA-1-HMAC"}
    tried |= {form.format(name) for form in ("{}-RSA-PKCS", "{}-RSA-PKCS-PSS", "ECDSA-{}") for name in HASHES}
    tried |= {f"{name}-HMAC" for name in HASHES if name != "SHA1"}
    assert set(listed) == tried | set(UNREACHED)


def test_a_size_query_and_a_short_buffer_leave_the_signature_as_it_was(keys: Keys) -> None:
    """--test-ec asks for the length, gives too little room, then fetches by C_SignFinal."""
    said = tool(keys.token, "--session-rw", "--test-ec", "--id", "50", "--key-type", "EC:prime256v1")
    assert "==> OK" in said and "warning" not in said and "rv =" not in said
