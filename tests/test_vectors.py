"""The mechanisms of the engine against vectors from outside (NIST and RFCs, in the package cryptography-vectors)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest

from hsm.errors import TokenError
from hsm.mechanisms import digest, registry
from hsm.objects.key import Key
from hsm.server.codec import CK_AES_CTR_PARAMS, CK_GCM_PARAMS
from pkcs11_shim import constants as ck

VECTORS = Path(cryptography_vectors.__file__).parent


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The name = value paragraphs of a NIST file, the names in capitals; a bracketed line ends what it heads."""
    row: dict[str, str] = {}
    for line in [*path.read_text().splitlines(), ""]:
        name, equals, value = line.partition("=")
        if line.startswith("#"):
            continue
        if equals and not line.startswith("["):
            row[name.strip().upper()] = value.strip().strip('"')
        elif line.strip().upper() == "FAIL":
            row["FAIL"] = ""
        elif row:
            yield row
            row = {}


def secret(value: str) -> Key:
    return Key({ck.CKA_VALUE: bytes.fromhex(value)})


HASH_FILES = {
    "sha1": "SHA1/SHA1", "sha224": "SHA2/SHA224", "sha256": "SHA2/SHA256", "sha384": "SHA2/SHA384",
    "sha512": "SHA2/SHA512", "sha3_224": "SHA3/SHA3_224", "sha3_256": "SHA3/SHA3_256", "sha3_384": "SHA3/SHA3_384",
    "sha3_512": "SHA3/SHA3_512",
}


@pytest.mark.parametrize("row", digest.HASHES, ids=lambda row: row.name)
def test_digest(row: digest.Hash) -> None:
    tried = 0
    for length in ("Short", "Long"):
        for vector in rows(VECTORS / "hashes" / f"{HASH_FILES[row.name]}{length}Msg.rsp"):
            if "MD" not in vector:
                continue
            message = bytes.fromhex(vector["MSG"])[: int(vector["LEN"]) // 8]
            state = registry.MECHANISMS[row.digest].digest(None)  # type: ignore[misc]
            state.update(message[:5])
            state.update(message[5:])
            assert state.finish().hex() == vector["MD"].lower()
            tried += 1
    assert tried > 60


@pytest.mark.parametrize("name", ["sha224", "sha256", "sha384", "sha512"])
def test_hmac(name: str) -> None:
    row = next(row for row in digest.HASHES if row.name == name)
    entry = registry.find(row.hmac, "sign")
    tried = 0
    for vector in rows(VECTORS / "HMAC" / f"rfc-4231-{name}.txt"):
        if "MD" not in vector:
            continue
        data, mac = bytes.fromhex(vector["MSG"]), bytes.fromhex(vector["MD"])
        key = secret(vector["KEY"])
        assert entry.sign(key, None).one_shot(data) == mac  # type: ignore[misc]
        with pytest.raises(TokenError) as refusal:
            entry.verify(key, None).one_shot(data + b"x", mac)  # type: ignore[misc]
        assert refusal.value.rv == ck.CKR_SIGNATURE_INVALID
        tried += 1
    assert tried >= 4


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_cmac(bits: int) -> None:
    entry = registry.find(ck.CKM_AES_CMAC, "sign")
    found = [v for v in rows(VECTORS / "CMAC" / f"nist-800-38b-aes{bits}.txt") if "OUTPUT" in v]
    assert found
    for vector in found:
        message = bytes.fromhex(vector["MESSAGE"])
        assert entry.sign(secret(vector["KEY"]), None).one_shot(message).hex() == vector["OUTPUT"].lower()  # type: ignore[misc]


def _both_ways(number: int, raw: Any, key: Key, plain: bytes, sealed: bytes) -> None:
    for use, given, wanted in (("encrypt", plain, sealed), ("decrypt", sealed, plain)):
        entry = registry.find(number, use)
        whole = getattr(entry, use)(key, entry.parameter(raw))
        assert whole.bound(len(given)) >= len(wanted)
        assert whole.one_shot(given) == wanted
        parts = getattr(entry, use)(key, entry.parameter(raw))
        out = b""
        for at in range(0, len(given), 7):
            piece = given[at : at + 7]
            room = parts.part_bound(len(piece))
            made = parts.update(piece)
            assert len(made) <= room
            out += made
        assert out + parts.finish() == wanted


@pytest.mark.parametrize("mode", ["ECB", "CBC"])
def test_block_modes(mode: str) -> None:
    number = ck.CKM_AES_ECB if mode == "ECB" else ck.CKM_AES_CBC
    tried = 0
    for path in sorted((VECTORS / "ciphers/AES" / mode).glob("*MMT*.rsp")):
        for vector in rows(path):
            if "CIPHERTEXT" in vector:
                raw = None if mode == "ECB" else bytes.fromhex(vector["IV"])
                plain, sealed = bytes.fromhex(vector["PLAINTEXT"]), bytes.fromhex(vector["CIPHERTEXT"])
                _both_ways(number, raw, secret(vector["KEY"]), plain, sealed)
                tried += 1
    assert tried >= 60


def test_gcm() -> None:
    tried = 0
    for path in sorted((VECTORS / "ciphers/AES/GCM").glob("gcmDecrypt*.rsp")):
        for vector in rows(path):
            if "TAG" not in vector or len(vector["TAG"]) < 24 or not 24 <= len(vector["IV"]) <= 256:
                continue
            aad = bytes.fromhex(vector.get("AAD", ""))
            raw = CK_GCM_PARAMS(bytes.fromhex(vector["IV"]), 0, aad, len(vector["TAG"]) * 4)
            key, sealed = secret(vector["KEY"]), bytes.fromhex(vector["CT"] + vector["TAG"])
            if "FAIL" in vector:
                entry = registry.find(ck.CKM_AES_GCM, "decrypt")
                with pytest.raises(TokenError) as refusal:
                    entry.decrypt(key, entry.parameter(raw)).one_shot(sealed)  # type: ignore[misc]
                assert refusal.value.rv == ck.CKR_ENCRYPTED_DATA_INVALID
            else:
                _both_ways(ck.CKM_AES_GCM, raw, key, bytes.fromhex(vector.get("PT", "")), sealed)
            tried += 1
    assert tried > 1000


def test_ctr_of_nist_800_38a() -> None:
    key = secret("2b7e151628aed2a6abf7158809cf4f3c")
    raw = CK_AES_CTR_PARAMS(128, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = bytes.fromhex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff")
    _both_ways(ck.CKM_AES_CTR, raw, key, plain, sealed)


def test_padding_is_exact_and_wrong_padding_refused() -> None:
    """Against the cryptography package's own padding, over every length around two blocks."""
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    value, iv = os.urandom(32), os.urandom(16)
    key = Key({ck.CKA_VALUE: value})
    for length in range(34):
        plain = os.urandom(length)
        pad = padding.PKCS7(128).padder()
        seal = Cipher(algorithms.AES(value), modes.CBC(iv)).encryptor()
        sealed = seal.update(pad.update(plain) + pad.finalize()) + seal.finalize()
        _both_ways(ck.CKM_AES_CBC_PAD, iv, key, plain, sealed)
    entry = registry.find(ck.CKM_AES_CBC_PAD, "decrypt")
    seal = Cipher(algorithms.AES(value), modes.CBC(iv)).encryptor()
    wrong = {seal.update(bytes(16)): ck.CKR_ENCRYPTED_DATA_INVALID, b"x" * 15: ck.CKR_ENCRYPTED_DATA_LEN_RANGE}
    for given, rv in wrong.items():
        with pytest.raises(TokenError) as refusal:
            entry.decrypt(key, iv).one_shot(given)  # type: ignore[misc]
        assert refusal.value.rv == rv
