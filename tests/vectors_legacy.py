"""Vectors of what the legacy switch offers: triple DES by NIST, MD5 by RFC 1321 and 2202, signatures by OpenSSL."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from typing import Any

from abi import name, ulong
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from vectors import VECTORS, Bench, Case, number, records, source
from vectors_openssl import MESSAGE, openssl, public_pem, rsa_key, theirs
from vectors_symmetric import mac

from pkcs11_shim import constants as ck

DES3 = VECTORS / "ciphers/3DES"


def both_ways(number: int, iv: bytes, key: bytes, plain: bytes, sealed: bytes) -> Any:
    def run(bench: Bench) -> None:
        handle, mechanism = bench.secret(key, ck.CKK_DES3), bench.mechanism(number, iv or None)
        assert bench.cipher("Encrypt", mechanism, handle, plain) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed) == plain

    return run


def _key(row: dict[str, str]) -> bytes:
    return bytes.fromhex(3 * row["KEYS"] if "KEYS" in row else row["KEY1"] + row["KEY2"] + row["KEY3"])


@source("NIST CAVP, TMOVS and TDES MMT", quick=3)
def triple_des() -> Iterator[Case]:
    for mode, number_ in (("ECB", ck.CKM_DES3_ECB), ("CBC", ck.CKM_DES3_CBC)):
        for path in sorted((DES3 / mode).glob(f"T{mode}[!I]*.rsp")):
            for row in records(path, "CIPHERTEXT"):
                plain, sealed = bytes.fromhex(row["PLAINTEXT"]), bytes.fromhex(row["CIPHERTEXT"])
                iv = bytes.fromhex(row.get("IV", ""))
                yield Case(number_, path.stem, both_ways(number_, iv, _key(row), plain, sealed))
                if number_ == ck.CKM_DES3_CBC and "MMT" in path.stem:
                    yield from _padded(_key(row), iv, plain)


def _padded(key: bytes, iv: bytes, plain: bytes) -> Iterator[Case]:
    """CBC_PAD, by the cryptography package."""
    for length in (len(plain), len(plain) - 1, len(plain) - 7, len(plain) - 8):
        pad = padding.PKCS7(64).padder()
        seal = Cipher(TripleDES(key), modes.CBC(iv)).encryptor()
        wanted = seal.update(pad.update(plain[:length]) + pad.finalize()) + seal.finalize()
        run = both_ways(ck.CKM_DES3_CBC_PAD, iv, key, plain[:length], wanted)
        yield Case(ck.CKM_DES3_CBC_PAD, f"MMT {length - len(plain)}", run)


@source("NIST SP 800-38B, triple DES", quick=9)
def cmacs_of_triple_des() -> Iterator[Case]:
    for row in records(VECTORS / "CMAC/nist-800-38b-3des.txt", "OUTPUT"):
        data, wanted = bytes.fromhex(row["MESSAGE"]), bytes.fromhex(row["OUTPUT"])
        yield Case(ck.CKM_DES3_CMAC, "", mac(ck.CKM_DES3_CMAC, None, ck.CKK_DES3, _key(row), data, wanted))
        for length in (1, 4, 8):
            cut = mac(ck.CKM_DES3_CMAC_GENERAL, ulong(length), ck.CKK_DES3, _key(row), data, wanted[:length])
            yield Case(ck.CKM_DES3_CMAC_GENERAL, str(length), cut)


@source("the cryptography package, with triple DES keys born in the token")
def triple_des_keys_made() -> Iterator[Case]:
    def run(bench: Bench) -> None:
        rows = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
        rv, key = bench.m.generate(bench.s, ck.CKM_DES3_KEY_GEN, rows)
        assert name(rv) == "CKR_OK"
        value, data = bench.m.read(bench.s, key, ck.CKA_VALUE), os.urandom(24)
        assert len(value) == 24 and all(byte.bit_count() % 2 for byte in value)
        judge = Cipher(TripleDES(value), modes.ECB()).encryptor()
        assert bench.cipher("Encrypt", bench.mechanism(ck.CKM_DES3_ECB), key, data) == judge.update(data)

    yield Case(ck.CKM_DES3_KEY_GEN, "", run)


@source("RFC 1321", quick=7)
def md5() -> Iterator[Case]:
    for row in records(VECTORS / "hashes/MD5/rfc-1321.txt", "MD"):

        def run(bench: Bench, row: dict[str, str] = row) -> None:
            message = bytes.fromhex(row["MSG"])[: int(row["LEN"]) // 8]
            assert bench.digest(bench.mechanism(ck.CKM_MD5), message).hex() == row["MD"]

        yield Case(ck.CKM_MD5, "", run)


@source("RFC 2202, HMAC-MD5", quick=7)
def hmacs_of_md5() -> Iterator[Case]:
    for row in records(VECTORS / "HMAC/rfc-2202-md5.txt", "MD"):
        key, data, wanted = (bytes.fromhex(row[field]) for field in ("KEY", "MSG", "MD"))
        assert hmac.digest(key, data, "md5") == wanted
        for key_type in (ck.CKK_GENERIC_SECRET, ck.CKK_MD5_HMAC):
            yield Case(ck.CKM_MD5_HMAC, str(key_type), mac(ck.CKM_MD5_HMAC, None, key_type, key, data, wanted))
        for length in (1, 8, 16):
            run = mac(ck.CKM_MD5_HMAC_GENERAL, ulong(length), ck.CKK_MD5_HMAC, key, data, wanted[:length])
            yield Case(ck.CKM_MD5_HMAC_GENERAL, str(length), run)


@source("OpenSSL, signatures over MD5")
def md5_signatures() -> Iterator[Case]:
    def run(bench: Bench) -> None:
        known = rsa_key().private_numbers()
        n, e = (number(f"{value:x}") for value in (known.public_numbers.n, known.public_numbers.e))
        private = bench.private(ck.CKK_RSA, modulus=n, public_exponent=e, private_exponent=number(f"{known.d:x}"))
        public = bench.public(ck.CKK_RSA, modulus=n, public_exponent=e)
        mechanism = bench.mechanism(ck.CKM_MD5_RSA_PKCS)
        bench.verify(mechanism, public, MESSAGE, theirs("md5", rsa_key()))
        bench.verify_in_parts(mechanism, public, MESSAGE, theirs("md5", rsa_key()))
        bench.verify(mechanism, public, MESSAGE + b"x", theirs("md5", rsa_key()), "CKR_SIGNATURE_INVALID")
        signed = bench.sign(mechanism, private, MESSAGE)
        files = {"key": public_pem(rsa_key()), "data": MESSAGE, "signed": signed}
        assert b"OK" in openssl("dgst", "-md5", "-verify", "key", "-signature", "signed", "data", **files)

    yield Case(ck.CKM_MD5_RSA_PKCS, "", run)
