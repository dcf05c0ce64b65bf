"""Vectors of digests, HMAC and AES: NIST's validation files, the RFCs, and NIST's example values for SHA-3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from abi import name, ulong
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from vectors import VECTORS, Bench, Case, flipped, records, source

from pkcs11_shim import constants as ck

AES = VECTORS / "ciphers/AES"
SECRET = {
    ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_SENSITIVE: False,
    ck.CKA_EXTRACTABLE: True,
}
HASHES = {
    "SHA1/SHA1": "SHA_1", "SHA2/SHA224": "SHA224", "SHA2/SHA256": "SHA256", "SHA2/SHA384": "SHA384",
    "SHA2/SHA512": "SHA512", "SHA2/SHA512_224": "SHA512_224", "SHA2/SHA512_256": "SHA512_256",
    "SHA3/SHA3_224": "SHA3_224", "SHA3/SHA3_256": "SHA3_256", "SHA3/SHA3_384": "SHA3_384",
    "SHA3/SHA3_512": "SHA3_512",
}
HMACS = {
    "rfc-2202-sha1": "SHA_1", "rfc-4231-sha224": "SHA224", "rfc-4231-sha256": "SHA256", "rfc-4231-sha384": "SHA384",
    "rfc-4231-sha512": "SHA512",
}
# NIST, example values of HMAC-SHA3: the key is 00, 01, ... of these lengths, for messages that say so.
SHORT, SAME = b"Sample message for keylen<blocklen", b"Sample message for keylen=blocklen"
HMAC_SHA3 = (
    ("SHA3_224", 28, SHORT, "332cfd59347fdb8e576e77260be4aba2d6dc53117b3bfb52c6d18c04"),
    ("SHA3_224", 144, SAME, "d8b733bcf66c644a12323d564e24dcf3fc75f231f3b67968359100c7"),
    ("SHA3_256", 32, SHORT, "4fe8e202c4f058e8dddc23d8c34e467343e23555e24fc2f025d598f558f67205"),
    ("SHA3_256", 136, SAME, "68b94e2e538a9be4103bebb5aa016d47961d4d1aa906061313b557f8af2c3faa"),
    ("SHA3_384", 48, SHORT,
     "d588a3c51f3f2d906e8298c1199aa8ff6296218127f6b38a90b6afe2c5617725bc99987f79b22a557b6520db710b7f42"),
    ("SHA3_512", 64, SHORT,
     "4efd629d6c71bf86162658f29943b1c308ce27cdfa6db0d9c3ce81763f9cbce5"
     "f7ebe9868031db1a8f8eb7b6b95e5c5e3f657a8996c86a2f6527e307f0213196"),
)


@source("NIST CAVP, SHA test vectors", quick=12)
def digests() -> Iterator[Case]:
    for file, known in HASHES.items():
        number = getattr(ck, f"CKM_{known}")
        for length in ("Short", "Long"):
            for row in records(VECTORS / "hashes" / f"{file}{length}Msg.rsp", "MD"):

                def run(bench: Bench, row: dict[str, str] = row, number: int = number) -> None:
                    message = bytes.fromhex(row["MSG"])[: int(row["LEN"]) // 8]
                    assert bench.digest(bench.mechanism(number), message).hex() == row["MD"].lower()

                yield Case(number, length, run)


def mac(number: int, parameter: Any, key_type: int, key: bytes, data: bytes, wanted: bytes) -> Any:
    """Signed and verified whole and in parts; an altered MAC, and one of another length, are told apart."""

    def run(bench: Bench) -> None:
        handle, mechanism = bench.secret(key, key_type), bench.mechanism(number, parameter)
        assert bench.sign(mechanism, handle, data) == wanted
        assert bench.sign_in_parts(mechanism, handle, data) == wanted
        bench.verify(mechanism, handle, data, wanted)
        bench.verify_in_parts(mechanism, handle, data, wanted)
        bench.verify(mechanism, handle, data + b"x", wanted, "CKR_SIGNATURE_INVALID")
        bench.verify_in_parts(mechanism, handle, data, flipped(wanted), "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, handle, data, wanted[:-1], "CKR_SIGNATURE_LEN_RANGE")
        bench.verify(mechanism, handle, data, wanted + b"\0", "CKR_SIGNATURE_LEN_RANGE")

    return run


def _hmac(known: str, key: bytes, data: bytes, wanted: bytes) -> Iterator[Case]:
    own = getattr(ck, f"CKK_{known}_HMAC")
    number, general = getattr(ck, f"CKM_{known}_HMAC"), getattr(ck, f"CKM_{known}_HMAC_GENERAL")
    yield Case(number, "generic", mac(number, None, ck.CKK_GENERIC_SECRET, key, data, wanted))
    yield Case(number, "own type", mac(number, None, own, key, data, wanted))
    for length in (1, len(wanted) // 2, len(wanted)):
        yield Case(general, str(length), mac(general, ulong(length), own, key, data, wanted[:length]))


@source("RFC 2202 and RFC 4231")
def hmacs() -> Iterator[Case]:
    for file, known in HMACS.items():
        for row in records(VECTORS / "HMAC" / f"{file}.txt", "MD"):
            yield from _hmac(known, *(bytes.fromhex(row[field]) for field in ("KEY", "MSG", "MD")))


@source("NIST, example values of HMAC-SHA3")
def hmacs_of_sha3() -> Iterator[Case]:
    for known, length, message, wanted in HMAC_SHA3:
        yield from _hmac(known, bytes(range(length)), message, bytes.fromhex(wanted))


@source("NIST SP 800-38B", quick=9)
def cmacs() -> Iterator[Case]:
    for path in sorted((VECTORS / "CMAC").glob("nist-800-38b-aes*.txt")):
        for row in records(path, "OUTPUT"):
            key, data, wanted = (bytes.fromhex(row[field]) for field in ("KEY", "MESSAGE", "OUTPUT"))
            yield Case(ck.CKM_AES_CMAC, path.stem, mac(ck.CKM_AES_CMAC, None, ck.CKK_AES, key, data, wanted))


def both_ways(number: int, make: Any, key: bytes, plain: bytes, sealed: bytes, *, parts: bool = True) -> Any:
    """Encrypted and decrypted, whole and in parts. ``make`` gives the parameter, which may hold pointers."""

    def run(bench: Bench) -> None:
        handle, mechanism = bench.secret(key), bench.mechanism(number)
        mechanism = bench.m.mechanism(number, make(bench) if callable(make) else make)
        assert bench.cipher("Encrypt", mechanism, handle, plain, parts=parts) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed, parts=parts) == plain

    return run


@source("NIST CAVP, AESAVS", quick=4)
def block_modes() -> Iterator[Case]:
    for mode, number in (("ECB", ck.CKM_AES_ECB), ("CBC", ck.CKM_AES_CBC)):
        for path in sorted((AES / mode).glob("*.rsp")):
            for row in records(path, "CIPHERTEXT"):
                key, plain, sealed = (bytes.fromhex(row[field]) for field in ("KEY", "PLAINTEXT", "CIPHERTEXT"))
                iv = bytes.fromhex(row.get("IV", ""))
                yield Case(number, path.stem, both_ways(number, iv or None, key, plain, sealed))
                if number == ck.CKM_AES_CBC and "MMT" in path.stem:
                    yield from _padded(key, iv, plain, sealed)


def _padded(key: bytes, iv: bytes, plain: bytes, sealed: bytes) -> Iterator[Case]:
    """CBC_PAD: NIST's blocks, then the one with the padding, by the cryptography package; shorter texts by it alone."""
    for length in (len(plain), len(plain) - 1, len(plain) - 15, len(plain) - 16):
        pad = padding.PKCS7(128).padder()
        seal = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        wanted = seal.update(pad.update(plain[:length]) + pad.finalize()) + seal.finalize()
        whole = length // 16 * 16
        assert wanted[:whole] == sealed[:whole]
        number = ck.CKM_AES_CBC_PAD
        yield Case(number, f"MMT {length - len(plain)}", both_ways(number, iv, key, plain[:length], wanted))


def counter(bits: int, block: bytes) -> Any:
    return lambda bench: bench.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=bits, cb=block)


@source("RFC 3686", quick=9)
def counters() -> Iterator[Case]:
    for path in sorted((AES / "CTR").glob("*.txt")):
        for row in records(path, "CIPHERTEXT"):
            key, iv, plain, sealed = (bytes.fromhex(row[f]) for f in ("KEY", "IV", "PLAINTEXT", "CIPHERTEXT"))
            yield Case(
                ck.CKM_AES_CTR, path.stem, both_ways(ck.CKM_AES_CTR, counter(32, iv), key, plain, sealed)
            )


@source("NIST SP 800-38A, F.5.1")
def counter_of_128_bits() -> Iterator[Case]:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    block = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = bytes.fromhex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff")
    yield Case(ck.CKM_AES_CTR, "whole", both_ways(ck.CKM_AES_CTR, counter(128, block), key, plain, sealed))


@source("NIST CAVP, GCMVS", quick=20)
def gcm() -> Iterator[Case]:
    for path in sorted((AES / "GCM").glob("*.rsp")):
        for row in records(path, "TAG"):
            iv = bytes.fromhex(row["IV"])
            if 8 <= len(iv) <= 128:
                kind = f"{path.stem} {'FAIL' if 'FAIL' in row else f'IV of {8 * len(iv)}'}"
                yield Case(ck.CKM_AES_GCM, kind, _gcm(row, iv))


def gcm_parameter(iv: bytes, aad: bytes, bits: int) -> Any:
    return lambda bench: bench.m.structure(
        "CK_GCM_PARAMS", pIv=iv, ulIvLen=len(iv), ulIvBits=8 * len(iv), pAAD=aad, ulAADLen=len(aad), ulTagBits=bits
    )


def _gcm(row: dict[str, str], iv: bytes) -> Any:
    key, aad, sealed = (bytes.fromhex(text) for text in (row["KEY"], row["AAD"], row["CT"] + row["TAG"]))
    make = gcm_parameter(iv, aad, 4 * len(row["TAG"]))

    def run(bench: Bench) -> None:
        handle = bench.secret(key)
        bench.mechanism(ck.CKM_AES_GCM)
        mechanism = bench.m.mechanism(ck.CKM_AES_GCM, make(bench))
        if "FAIL" in row:
            bench.refused("Decrypt", mechanism, handle, sealed, "CKR_ENCRYPTED_DATA_INVALID")
            return
        plain = bytes.fromhex(row["PT"])
        assert bench.cipher("Encrypt", mechanism, handle, plain) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed) == plain
        bench.refused("Decrypt", mechanism, handle, flipped(sealed), "CKR_ENCRYPTED_DATA_INVALID")

    return run


@source("NIST CAVP, KWVS (SP 800-38F)", quick=12)
def key_wraps() -> Iterator[Case]:
    rows = (("KW", ck.CKM_AES_KEY_WRAP), ("KWP", ck.CKM_AES_KEY_WRAP_KWP), ("KWP", ck.CKM_AES_KEY_WRAP_PAD))
    for known, number in rows:
        for path in sorted((VECTORS / "keywrap/kwtestvectors").glob(f"{known}_A?_???.txt")):
            for row in records(path, "C"):
                yield Case(number, f"{path.stem} {'FAIL' if 'FAIL' in row else ''}", _key_wrap(number, row))


@source("RFC 5649, and Botan's", quick=8)
def key_wraps_with_padding() -> Iterator[Case]:
    for row in records(VECTORS / "keywrap/kwp_botan.txt", "OUTPUT"):
        wanted = {"K": row["KEY"], "P": row["INPUT"], "C": row["OUTPUT"]}
        yield Case(ck.CKM_AES_KEY_WRAP_KWP, "", _key_wrap(ck.CKM_AES_KEY_WRAP_KWP, wanted))


def _key_wrap(number: int, row: dict[str, str]) -> Any:
    """As data by C_Encrypt and C_Decrypt, and as a key by C_WrapKey and C_UnwrapKey."""
    key, sealed = bytes.fromhex(row["K"]), bytes.fromhex(row["C"])

    def run(bench: Bench) -> None:
        handle, mechanism = bench.secret(key), bench.mechanism(number)
        if "FAIL" in row:
            bench.refused("Decrypt", mechanism, handle, sealed, "CKR_ENCRYPTED_DATA_INVALID")
            assert bench.unwrap(mechanism, handle, sealed, SECRET)[0] == "CKR_WRAPPED_KEY_INVALID"
            return
        plain = bytes.fromhex(row["P"])
        assert bench.cipher("Encrypt", mechanism, handle, plain, parts=False) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed, parts=False) == plain
        rv, wrapped = bench.m.wrap(bench.s, mechanism, handle, bench.secret(plain, ck.CKK_GENERIC_SECRET))
        assert (name(rv), wrapped) == ("CKR_OK", sealed)
        rv_name, made = bench.unwrap(mechanism, handle, sealed, SECRET)
        assert rv_name == "CKR_OK"
        assert bench.m.read(bench.s, made, ck.CKA_VALUE) == plain
        assert bench.m.C_DestroyObject(bench.s, made) == ck.CKR_OK

    return run


@source("the cryptography package, with keys born in the token")
def keys_made() -> Iterator[Case]:
    """There are no vectors for what is random: an implementation outside must work with the value."""

    def aes(length: int) -> Any:
        def run(bench: Bench) -> None:
            rows = {ck.CKA_VALUE_LEN: length, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
            rv, made = bench.m.generate(bench.s, ck.CKM_AES_KEY_GEN, rows)
            assert name(rv) == "CKR_OK"
            value, block = bench.m.read(bench.s, made, ck.CKA_VALUE), os.urandom(32)
            assert len(value) == length
            judge = Cipher(algorithms.AES(value), modes.ECB()).encryptor()
            sealed = judge.update(block) + judge.finalize()
            assert bench.cipher("Encrypt", bench.mechanism(ck.CKM_AES_ECB), made, block) == sealed

        return run

    for length in (16, 24, 32):
        yield Case(ck.CKM_AES_KEY_GEN, str(length), aes(length))
    yield Case(ck.CKM_GENERIC_SECRET_KEY_GEN, "", _hmac_key(ck.CKM_GENERIC_SECRET_KEY_GEN, "SHA256"))
    for known in HASHES.values():
        number = getattr(ck, f"CKM_{known}_KEY_GEN")
        yield Case(number, "", _hmac_key(number, known))


def _hmac_key(number: int, known: str) -> Any:
    def run(bench: Bench) -> None:
        import hmac

        rows = {ck.CKA_VALUE_LEN: 48, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
        rv, made = bench.m.generate(bench.s, number, rows)
        assert name(rv) == "CKR_OK"
        value = bench.m.read(bench.s, made, ck.CKA_VALUE)
        assert len(value) == 48
        judge = hmac.digest(value, b"data", known.lower().replace("sha_1", "sha1"))
        assert bench.sign(bench.mechanism(getattr(ck, f"CKM_{known}_HMAC")), made, b"data") == judge

    return run
