"""pkcs11-tool makes, imports, shows, reads, renames and deletes keys and other objects."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from opensc import CURVES, openssl, public_key, tool

from pkcs11_shim import constants as ck

# The tool's names for the curves that the token offers, and those that it does not.
OFFERED = {
    "secp224r1": 224, "nistp224": 224, "prime256v1": 256, "secp256r1": 256, "ansiX9p256r1": 256, "secp384r1": 384,
    "prime384v1": 384, "ansiX9p384r1": 384, "prime521v1": 521, "secp521r1": 521, "nistp521": 521, "secp256k1": 256,
    "brainpoolP256r1": 256, "brainpoolP384r1": 384, "brainpoolP512r1": 512,
}
NOT_OFFERED = (
    "prime192v2", "prime192v3", "frp256v1", "secp192k1", "brainpoolP192r1", "brainpoolP224r1", "brainpoolP320r1",
)


# -- keys


@pytest.mark.parametrize("curve", OFFERED)
def test_ec_pair_on_every_curve_offered(adyton_token: Any, curve: str) -> None:
    said = tool(adyton_token, "--keypairgen", "--key-type", f"EC:{curve}", "--id", "01", "--label", "pair")
    assert public_key(said).curve.key_size == OFFERED[curve]
    assert said.count("label:      pair") == 2
    assert "Access:     sensitive, always sensitive, never extractable, local" in said


def test_every_curve_of_the_table_was_made() -> None:
    assert set(OFFERED.values()) == {curve().key_size for curve in CURVES.values()}


@pytest.mark.parametrize("curve", NOT_OFFERED)
def test_other_curves_are_refused_by_name(adyton_token: Any, curve: str) -> None:
    said = tool(adyton_token, "--keypairgen", "--key-type", f"EC:{curve}", "--id", "01", fails=True)
    # A code of PKCS#11 2.40 that the tool has no word for.
    assert f"C_GenerateKeyPair failed: rv = unknown PKCS11 error ({ck.CKR_CURVE_NOT_SUPPORTED:#x})" in said


@pytest.mark.parametrize("kind", ["EC:prime192v1", "rsa:1024"])
def test_weak_pairs_are_not_kept(adyton_token: Any, kind: str) -> None:
    said = tool(adyton_token, "--keypairgen", "--key-type", kind, "--id", "01", fails=True)
    assert "C_GenerateKeyPair failed: rv = CKR_TEMPLATE_INCONSISTENT" in said


def test_a_montgomery_pair(adyton_token: Any) -> None:
    """The tool's own name for the curve is no DER; what is kept is. The point is 32 bytes, in no OCTET STRING."""
    made = tool(adyton_token, "--keypairgen", "--key-type", "EC:curve25519", "--id", "01")
    for said in (made, tool(adyton_token, "-O")):
        assert said.count("Key Object; EC_MONTGOMERY") == 2 and "EC_POINT 255 bits" in said
        assert re.search(r"EC_POINT:   [0-9a-f]{64}\n +EC_PARAMS:  130a63757276653235353139\b", said)


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_pair(adyton_token: Any, tmp_path: Path, bits: int) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", f"rsa:{bits}", "--id", "01")
    tool(adyton_token, "--read-object", "--type", "pubkey", "--id", "01", "-o", str(tmp_path / "der"))
    public: Any = serialization.load_der_public_key((tmp_path / "der").read_bytes())
    assert (public.key_size, public.public_numbers().e) == (bits, 65537)


@pytest.mark.parametrize("curve", ["secp224r1", "prime256v1", "secp256k1", "edwards25519"])
def test_read_public_key(adyton_token: Any, tmp_path: Path, curve: str) -> None:
    shown = public_key(tool(adyton_token, "--keypairgen", "--key-type", f"EC:{curve}", "--id", "01"))
    tool(adyton_token, "--read-object", "--type", "pubkey", "--id", "01", "-o", str(tmp_path / "key"))
    raw = (tmp_path / "key").read_bytes()
    pem = raw.startswith(b"-----")  # the tool writes Edwards keys so
    read = serialization.load_pem_public_key(raw) if pem else serialization.load_der_public_key(raw)
    assert read == shown


@pytest.mark.parametrize(("kind", "length"), [("AES:16", 16), ("AES:24", 24), ("AES:32", 32), ("GENERIC:20", 20)])
def test_secret_key(adyton_token: Any, tmp_path: Path, kind: str, length: int) -> None:
    said = tool(adyton_token, "--keygen", "--key-type", kind, "--id", "01", "--extractable")
    assert f"length {length}" in said and "Access:     extractable, local" in said
    read = ["--read-object", "--type", "secrkey", "-o", str(tmp_path / "value"), "--id"]
    tool(adyton_token, *read, "01")
    assert len((tmp_path / "value").read_bytes()) == length
    tool(adyton_token, "--keygen", "--key-type", kind, "--id", "02", "--extractable", "--sensitive")
    assert "CKR_ATTRIBUTE_SENSITIVE" in tool(adyton_token, *read, "02", fails=True)


def test_private_key_is_not_readable(adyton_token: Any) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "kept", "--id", "02")
    said = tool(adyton_token, "--read-object", "--type", "privkey", "--id", "02")
    assert "reading private keys not" in said


def test_an_always_authenticate_key_asks_for_the_pin_at_every_use(adyton_token: Any, tmp_path: Path) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--always-auth")
    (tmp_path / "data").write_bytes(b"message")
    words = ["--sign", "-m", "SHA256-RSA-PKCS", "--id", "01", "-i", str(tmp_path / "data")]
    tool(adyton_token, *words, "-o", str(tmp_path / "signature"))  # the tool logs in again, with the PIN it has
    tool(adyton_token, "--read-object", "--type", "pubkey", "--id", "01", "-o", str(tmp_path / "der"))
    openssl("dgst", "-sha256", "-verify", str(tmp_path / "der"), "-keyform", "DER", "-signature",
            str(tmp_path / "signature"), str(tmp_path / "data"))


def test_allowed_mechanisms_are_kept_to(adyton_token: Any, tmp_path: Path) -> None:
    words = ["--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--allowed-mechanisms"]
    said = tool(adyton_token, *words, "SHA256-RSA-PKCS,SHA256-RSA-PKCS-PSS")
    assert "Allowed mechanisms: SHA256-RSA-PKCS,SHA256-RSA-PKCS-PSS" in said
    (tmp_path / "data").write_bytes(b"message")
    sign = ["--sign", "--id", "01", "-i", str(tmp_path / "data"), "-o", str(tmp_path / "signature"), "-m"]
    tool(adyton_token, *sign, "SHA256-RSA-PKCS-PSS")
    assert "C_SignInit failed: rv = CKR_MECHANISM_INVALID" in tool(adyton_token, *sign, "SHA512-RSA-PKCS", fails=True)


# -- objects


def test_data_objects_public_and_private(adyton_token: Any, tmp_path: Path) -> None:
    note, private, back = tmp_path / "note", tmp_path / "private", tmp_path / "back"
    note.write_bytes(bytes(range(256)) * 19)
    private.write_bytes(b"for the user only")
    named = ["--application-label", "notes", "--application-id", "1.2.3.4"]
    tool(adyton_token, "--write-object", str(note), "--type", "data", "--label", "note", *named)
    tool(adyton_token, "--write-object", str(private), "--type", "data", "--label", "secret", "--private")
    said = tool(adyton_token, "-O", login=False)
    assert "note" in said and "app_id:         1.2.3.4" in said and "secret" not in said
    tool(adyton_token, "--read-object", "--type", "data", *named, "-o", str(back), login=False)
    assert back.read_bytes() == note.read_bytes()
    read = ["--read-object", "--type", "data", "--label", "secret", "-o", str(back)]
    assert "object not found" in tool(adyton_token, *read, login=False, fails=True)
    tool(adyton_token, *read)
    assert back.read_bytes() == private.read_bytes()
    for label in ("note", "secret"):
        tool(adyton_token, "--delete-object", "--type", "data", "--label", label)
        assert label not in tool(adyton_token, "-O")


def test_certificate(adyton_token: Any, tmp_path: Path) -> None:
    key, pem, der = str(tmp_path / "key"), str(tmp_path / "pem"), str(tmp_path / "der")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-subj", "/O=Adyton/CN=leaf", "-set_serial", "0x0A1B2C", "-out", pem)
    tool(adyton_token, "--write-object", pem, "--type", "cert", "--id", "0a", "--label", "leaf")
    certificate = x509.load_pem_x509_certificate(Path(pem).read_bytes())
    said = tool(adyton_token, "-O", "--type", "cert", login=False)
    assert "subject:    DN: O=Adyton, CN=leaf" in said and "serial:     0A1B2C\n" in said
    for chosen in (["--id", "0a"], ["--label", "leaf"], ["--subject", certificate.subject.public_bytes().hex()]):
        tool(adyton_token, "--read-object", "--type", "cert", *chosen, "-o", der, login=False)
        assert x509.load_der_x509_certificate(Path(der).read_bytes()) == certificate
    tool(adyton_token, "--delete-object", "--type", "cert", "--id", "0a")
    assert "leaf" not in tool(adyton_token, "-O")


@pytest.mark.parametrize(
    "kind",
    [("RSA", "rsa_keygen_bits:2048"), ("EC", "ec_paramgen_curve:P-256"), ("EC", "ec_paramgen_curve:P-521"),
     ("EC", "ec_paramgen_curve:secp256k1"), ("EC", "ec_paramgen_curve:P-384", "ec_param_enc:explicit")],
    ids=lambda kind: "-".join(setting.rpartition(":")[2] for setting in kind),
)
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_imported_pair_signs_as_the_file_would(
    adyton_token: Any, tmp_path: Path, kind: tuple[str, ...], form: str
) -> None:
    key, public, data, signature = (str(tmp_path / name) for name in ("key", "public", "data", "signature"))
    settings = [word for setting in kind[1:] for word in ("-pkeyopt", setting)]
    openssl("genpkey", "-algorithm", kind[0], *settings, "-outform", form, "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-outform", form, "-out", public)
    said = tool(adyton_token, "--write-object", key, "--type", "privkey", "--id", "01", "--label", "brought")
    assert "Access:     sensitive\n" in said
    tool(adyton_token, "--write-object", public, "--type", "pubkey", "--id", "01", "--label", "brought")
    Path(data).write_bytes(b"message")
    mechanism = ["-m", "SHA256-RSA-PKCS" if kind[0] == "RSA" else "ECDSA-SHA256", "--signature-format", "openssl"]
    tool(adyton_token, "--sign", *mechanism, "--id", "01", "-i", data, "-o", signature)
    openssl("dgst", "-sha256", "-verify", public, "-keyform", form, "-signature", signature, data)
    said = tool(adyton_token, "--verify", *mechanism, "--id", "01", "-i", data, "--signature-file", signature)
    assert "Signature is valid" in said


def test_fifteen_bytes_are_no_aes_key(adyton_token: Any, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(15))
    words = ["--write-object", str(tmp_path / "short"), "--type", "secrkey", "--key-type", "AES:", "--id", "01"]
    assert "C_CreateObject failed: rv = CKR_ATTRIBUTE_VALUE_INVALID" in tool(adyton_token, *words, fails=True)


@pytest.mark.parametrize("kind", [[], ["--key-type", "AES:"]], ids=["generic", "aes"])
def test_imported_secret_key(adyton_token: Any, tmp_path: Path, kind: list[str]) -> None:
    value, back = tmp_path / "value", tmp_path / "back"
    value.write_bytes(os.urandom(32))
    words = ["--write-object", str(value), "--type", "secrkey", *kind, "--id", "01", "--extractable"]
    said = tool(adyton_token, *words)
    assert "Access:     extractable\n" in said
    tool(adyton_token, "--read-object", "--type", "secrkey", "--id", "01", "-o", str(back))
    assert back.read_bytes() == value.read_bytes()


def test_set_id_moves_the_object(adyton_token: Any) -> None:
    tool(adyton_token, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "pair")
    tool(adyton_token, "--set-id", "00ff10", "--type", "privkey", "--id", "01")
    said = tool(adyton_token, "-O")
    assert re.search(r"Private Key Object.*?ID: +00ff10", said, re.DOTALL)
    assert re.search(r"Public Key Object.*?ID: +01", said, re.DOTALL)
    for kind, number in (("privkey", "00ff10"), ("pubkey", "01")):
        tool(adyton_token, "--delete-object", "--type", kind, "--id", number)
    assert "Object" not in tool(adyton_token, "-O")


def test_an_undestroyable_object_stays(adyton_token: Any, tmp_path: Path) -> None:
    key, pem = str(tmp_path / "key"), str(tmp_path / "pem")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-subj", "/CN=stays", "-out", pem)
    tool(adyton_token, "--write-object", pem, "--type", "cert", "--id", "0a", "--undestroyable")
    said = tool(adyton_token, "--delete-object", "--type", "cert", "--id", "0a", fails=True)
    assert f"C_DestroyObject() failed: rv = unknown PKCS11 error ({ck.CKR_ACTION_PROHIBITED:#x})" in said
    assert "CN=stays" in tool(adyton_token, "-O", login=False)
