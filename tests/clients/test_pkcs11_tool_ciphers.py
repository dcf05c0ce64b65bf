"""What pkcs11-tool encrypts, decrypts, wraps, unwraps, derives, hashes and draws, judged by other implementations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from opensc import openssl, public_key, tool

from hsm.throwaway import ThrowAway

IV = "000102030405060708090a0b0c0d0e0f"
AES_BITS = {"60": 128, "61": 192, "62": 256}
HASHES = {
    "SHA-1": "sha1", "SHA224": "sha224", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512",
    "SHA3-224": "sha3_224", "SHA3-256": "sha3_256", "SHA3-384": "sha3_384", "SHA3-512": "sha3_512",
}
KWP = "0x210B"  # the tool has no name for CKM_AES_KEY_WRAP_KWP, but takes numbers


class Keys(NamedTuple):
    token: Any
    folder: Path
    private: str  # RSA, as it came in, and the public half
    rsa: str
    aes: dict[str, str]  # id: value in hex

    def file(self, name: str, data: bytes | None = None) -> str:
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return str(path)

    def tool(self, *words: str, **how: bool) -> str:
        return tool(self.token, *words, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    folder = tmp_path_factory.mktemp("ciphers")
    with ThrowAway() as token:
        made = Keys(token, folder, str(folder / "rsa.key"), str(folder / "rsa.pem"), {})
        new_rsa(made.private, made.rsa)
        made.tool("--write-object", made.private, "--type", "privkey", "--id", "10", "--usage-decrypt")
        for number, bits in AES_BITS.items():
            made.tool("--keygen", "--key-type", f"AES:{bits // 8}", "--id", number, "--extractable")
            made.aes[number] = value(made, number).hex()
            assert len(made.aes[number]) == bits // 4
        yield made


def new_rsa(private: str, public: str) -> None:
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)


def value(keys: Keys, number: str) -> bytes:
    """The value of a secret key that may be read."""
    keys.tool("--read-object", "--type", "secrkey", "--id", number, "-o", keys.file("value"))
    return Path(keys.file("value")).read_bytes()


def decrypted(keys: Keys, data: bytes, *words: str) -> bytes:
    keys.tool("--decrypt", *words, "-i", keys.file("ciphertext", data), "-o", keys.file("decrypted"))
    return Path(keys.file("decrypted")).read_bytes()


# -- RSA: openssl(1) encrypts with the public key, the token decrypts


@pytest.mark.parametrize("length", [0, 1, 32, 245])
def test_rsa_pkcs1(keys: Keys, length: int) -> None:
    data = bytes(range(length % 256)) if length else b""
    sealed = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", keys.rsa, data=data)
    assert decrypted(keys, sealed, "-m", "RSA-PKCS", "--id", "10") == data


@pytest.mark.parametrize("mgf", ["", "sha1", "sha512"])
@pytest.mark.parametrize("name", ["sha1", "sha224", "sha256", "sha384", "sha512"])
def test_oaep(keys: Keys, name: str, mgf: str) -> None:
    settings = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{name}", f"rsa_mgf1_md:{mgf or name}"]
    words = [word for setting in settings for word in ("-pkeyopt", setting)]
    sealed = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", keys.rsa, *words, data=b"an OAEP message")
    named = ["--hash-algorithm", "SHA-1" if name == "sha1" else name.upper()]
    named += ["--mgf", f"MGF1-{mgf.upper()}"] if mgf else []
    assert decrypted(keys, sealed, "-m", "RSA-PKCS-OAEP", *named, "--id", "10") == b"an OAEP message"
    other = ["--hash-algorithm", "SHA384" if name == "sha256" else "SHA256", "-i", keys.file("ciphertext")]
    keys.tool("--decrypt", "-m", "RSA-PKCS-OAEP", "--id", "10", *other, fails=True)


def test_oaep_by_sha3_is_not_offered_and_says_so(keys: Keys) -> None:
    words = ["--decrypt", "-m", "RSA-PKCS-OAEP", "--id", "10", "--hash-algorithm", "SHA3-256", "-i", keys.rsa]
    assert "C_DecryptInit failed: rv = CKR_MECHANISM_PARAM_INVALID" in keys.tool(*words, fails=True)


# -- AES, in one part and (from 1024 bytes on) in several


@pytest.mark.parametrize("length", [16, 48, 1024, 4096])
@pytest.mark.parametrize("number", AES_BITS)
@pytest.mark.parametrize("mode", ["ECB", "CBC"])
def test_aes_of_whole_blocks(keys: Keys, mode: str, number: str, length: int) -> None:
    iv = ["-iv", IV] if mode == "CBC" else []
    _both_ways(keys, mode, f"-aes-{AES_BITS[number]}-{mode.lower()}", iv, ["-nopad"], number, length)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 1023, 1024, 3000])
def test_aes_cbc_pad(keys: Keys, length: int) -> None:
    _both_ways(keys, "CBC-PAD", "-aes-256-cbc", ["-iv", IV], [], "62", length)


def _both_ways(
    keys: Keys, mode: str, cipher: str, iv: list[str], pad: list[str], number: str, length: int
) -> None:
    data = bytes(i * 7 % 256 for i in range(length))
    named = ["-m", f"AES-{mode}", "--id", number, *(["--iv", IV] if iv else [])]
    expected = openssl("enc", cipher, "-K", keys.aes[number], *iv, *pad, data=data)
    keys.tool("--encrypt", *named, "-i", keys.file("plain", data), "-o", keys.file("sealed"))
    assert Path(keys.file("sealed")).read_bytes() == expected
    assert decrypted(keys, expected, *named) == data


def test_aes_refuses_what_is_no_whole_block(keys: Keys) -> None:
    words = ["-m", "AES-CBC", "--iv", IV, "--id", "62", "-i", keys.file("part", bytes(17)), "-o", keys.file("none")]
    assert "CKR_DATA_LEN_RANGE" in keys.tool("--encrypt", *words, fails=True)
    assert "CKR_ENCRYPTED_DATA_LEN_RANGE" in keys.tool("--decrypt", *words, fails=True)


def test_altered_padding_is_noticed(keys: Keys) -> None:
    words = ["-m", "AES-CBC-PAD", "--iv", IV, "--id", "62", "-i", keys.file("junk", bytes(32)), "-o", keys.file("none")]
    assert "CKR_ENCRYPTED_DATA_INVALID" in keys.tool("--decrypt", *words, fails=True)


# -- wrapping: the tool takes the key to wrap by --application-id, and names the unwrapped one by it


@pytest.fixture(scope="module")
def wrapping(keys: Keys) -> bytes:
    """AES key 70 that wraps; its value. Keys 71 and 72 are wrapped."""
    keys.tool("--keygen", "--key-type", "AES:32", "--id", "70", "--usage-wrap", "--extractable")
    keys.tool("--keygen", "--key-type", "AES:16", "--id", "71", "--usage-decrypt", "--extractable")
    keys.tool("--keygen", "--key-type", "GENERIC:21", "--id", "72", "--usage-sign", "--extractable")
    return value(keys, "70")


def _wrapped(keys: Keys, mechanism: str, target: str, *options: str) -> bytes:
    words = ["--wrap", "-m", mechanism, "--id", "70", "--application-id", target, *options]
    keys.tool(*words, "-o", keys.file("wrapped"))
    return Path(keys.file("wrapped")).read_bytes()


def _unwraps(keys: Keys, mechanism: str, key: str, kind: str, blob: bytes, new: str, *options: str) -> bytes:
    words = ["--unwrap", "-m", mechanism, "--id", key, "--key-type", kind, "--application-id", new, *options]
    assert "Key unwrapped" in keys.tool(*words, "-i", keys.file("blob", blob), "--extractable")
    return value(keys, new)


def test_aes_key_wrap(keys: Keys, wrapping: bytes) -> None:
    blob = _wrapped(keys, "AES-KEY-WRAP", "71")
    assert blob == aes_key_wrap(wrapping, value(keys, "71"))
    other = bytes(range(16))
    assert _unwraps(keys, "AES-KEY-WRAP", "70", "AES:", aes_key_wrap(wrapping, other), "80") == other


def test_aes_key_wrap_with_padding(keys: Keys, wrapping: bytes) -> None:
    blob = _wrapped(keys, KWP, "72")
    assert blob == aes_key_wrap_with_padding(wrapping, value(keys, "72"))
    other = bytes(range(33))
    blob = aes_key_wrap_with_padding(wrapping, other)
    assert _unwraps(keys, KWP, "70", "GENERIC:33", blob, "81") == other


def test_cbc_pad_wraps(keys: Keys, wrapping: bytes) -> None:
    blob = _wrapped(keys, "AES-CBC-PAD", "72", "--iv", IV)
    assert blob == openssl("enc", "-aes-256-cbc", "-K", wrapping.hex(), "-iv", IV, data=value(keys, "72"))
    other = bytes(range(23))
    blob = openssl("enc", "-aes-256-cbc", "-K", wrapping.hex(), "-iv", IV, data=other)
    assert _unwraps(keys, "AES-CBC-PAD", "70", "GENERIC:", blob, "82", "--iv", IV) == other


def test_cbc_and_ecb_wrap_with_zeros_to_the_block(keys: Keys, wrapping: bytes) -> None:
    words = ["-K", wrapping.hex(), "-nopad"]
    filled = value(keys, "72") + bytes(11)
    assert _wrapped(keys, "AES-CBC", "72", "--iv", IV) == openssl("enc", "-aes-256-cbc", *words, "-iv", IV, data=filled)
    assert _wrapped(keys, "AES-ECB", "72") == openssl("enc", "-aes-256-ecb", *words, data=filled)
    # The length in --key-type cuts what was filled.
    blob = openssl("enc", "-aes-256-ecb", *words, data=filled)
    assert _unwraps(keys, "AES-ECB", "70", "GENERIC:21", blob, "83") == filled[:21]


def test_rsa_wraps_and_unwraps(keys: Keys) -> None:
    # A pair of its own: the policy lets no value decrypt and wrap.
    private, public = keys.file("wrap.key"), keys.file("wrap.pem")
    new_rsa(private, public)
    keys.tool("--write-object", public, "--type", "pubkey", "--id", "11")
    keys.tool("--write-object", private, "--type", "privkey", "--id", "12")
    target = bytes(range(16))
    keys.tool("--write-object", keys.file("aes", target), "--type", "secrkey", "--key-type", "AES:", "--id", "73",
              "--extractable")
    words = ["--wrap", "-m", "RSA-PKCS", "--id", "11", "--application-id", "73", "-o", keys.file("wrapped")]
    assert "Key wrapped" in keys.tool(*words)
    assert openssl("pkeyutl", "-decrypt", "-inkey", private, "-in", keys.file("wrapped")) == target
    blob = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public, data=bytes(32))
    assert _unwraps(keys, "RSA-PKCS", "12", "AES:32", blob, "84") == bytes(32)


def test_a_wrapped_key_that_was_altered_is_refused(keys: Keys, wrapping: bytes) -> None:
    blob = bytearray(aes_key_wrap(wrapping, bytes(16)))
    blob[3] ^= 1
    words = ["--unwrap", "-m", "AES-KEY-WRAP", "--id", "70", "--key-type", "AES:", "-i", keys.file("bad", bytes(blob))]
    assert "C_UnwrapKey failed: rv = CKR_WRAPPED_KEY_INVALID" in keys.tool(*words, fails=True)


def test_an_unextractable_key_is_not_wrapped(keys: Keys, wrapping: bytes) -> None:
    keys.tool("--keygen", "--key-type", "AES:16", "--id", "74")
    words = ["--wrap", "-m", "AES-KEY-WRAP", "--id", "70", "--application-id", "74", "-o", keys.file("none")]
    assert "C_WrapKey failed: rv = CKR_KEY_UNEXTRACTABLE" in keys.tool(*words, fails=True)


def test_a_sensitive_key_leaves_by_a_secret_key_only(keys: Keys, wrapping: bytes) -> None:
    """Key 70 may be read by anyone, so it wraps no sensitive key; a sensitive one does, and unwraps it again."""
    keys.tool("--keygen", "--key-type", "AES:16", "--id", "75", "--sensitive", "--extractable")
    words = ["--wrap", "-m", "AES-KEY-WRAP", "--application-id", "75", "-o", keys.file("wrapped"), "--id"]
    assert "C_WrapKey failed: rv = CKR_KEY_NOT_WRAPPABLE" in keys.tool(*words, "70", fails=True)
    keys.tool("--keygen", "--key-type", "AES:32", "--id", "76", "--sensitive", "--usage-wrap")
    assert "Key wrapped" in keys.tool(*words, "76")
    named = ["--unwrap", "-m", "AES-KEY-WRAP", "--id", "76", "--key-type", "AES:", "-i", keys.file("wrapped")]
    said = keys.tool(*named, "--application-id", "85", "--sensitive", "--extractable")
    assert "Access:     sensitive, extractable\n" in said
    # Sealed by the original, opened by what came back.
    cipher = ["-m", "AES-CBC-PAD", "--iv", IV]
    keys.tool("--encrypt", *cipher, "--id", "75", "-i", keys.file("plain", b"message"), "-o", keys.file("sealed"))
    assert decrypted(keys, Path(keys.file("sealed")).read_bytes(), *cipher, "--id", "85") == b"message"
    assert "CKR_TEMPLATE_INCONSISTENT" in keys.tool(*named, "--application-id", "86", fails=True)


# -- agreement, digests, random


@pytest.mark.parametrize("der", [False, True])
@pytest.mark.parametrize(
    ("name", "curve"),
    [("secp224r1", ec.SECP224R1), ("prime256v1", ec.SECP256R1), ("secp384r1", ec.SECP384R1),
     ("secp521r1", ec.SECP521R1), ("secp256k1", ec.SECP256K1), ("brainpoolP256r1", ec.BrainpoolP256R1),
     ("brainpoolP384r1", ec.BrainpoolP384R1), ("brainpoolP512r1", ec.BrainpoolP512R1)],
)
def test_ecdh(keys: Keys, name: str, curve: type[ec.EllipticCurve], der: bool) -> None:
    ours = public_key(keys.tool("--keypairgen", "--key-type", f"EC:{name}", "--id", "90", "--usage-derive"))
    peer = ec.generate_private_key(curve())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    given = keys.file("peer", peer.public_key().public_bytes(serialization.Encoding.DER, form))
    how = "--derive-pass-der" if der else "--derive"
    for mechanism in ("ECDH1-DERIVE", "ECDH1-COFACTOR-DERIVE"):
        keys.tool(how, "-m", mechanism, "--id", "90", "-i", given, "-o", keys.file("agreed"))
        assert Path(keys.file("agreed")).read_bytes() == peer.exchange(ec.ECDH(), ours)
    for kind in ("privkey", "pubkey"):
        keys.tool("--delete-object", "--type", kind, "--id", "90")


@pytest.mark.parametrize("length", [0, 100, 5000])
@pytest.mark.parametrize("name", HASHES)
def test_digest(keys: Keys, name: str, length: int) -> None:
    data = bytes(i % 251 for i in range(length))
    keys.tool("--hash", "-m", name, "-i", keys.file("data", data), "-o", keys.file("digest"))
    assert Path(keys.file("digest")).read_bytes() == hashlib.new(HASHES[name], data).digest()


@pytest.mark.parametrize("length", [1, 32, 100000])
def test_random(keys: Keys, length: int) -> None:
    drawn = set()
    for name in ("one", "two"):
        keys.tool("--generate-random", str(length), "-o", keys.file(name))
        drawn.add(Path(keys.file(name)).read_bytes())
    assert {len(each) for each in drawn} == {length}
    assert len(drawn) == 2 or length == 1
