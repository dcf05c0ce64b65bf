"""Vectors of RSA without padding: the padded messages of other people's vectors, and what came out of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vectors import Bench, Case, flipped, records, source
from vectors_rsa import (
    FIPS,
    RSA,
    digest_info,
    laboratory,
    laboratory_key,
    private,
    public,
    signature_of,
)

from hsm.mechanisms import rsa_raw
from pkcs11_shim import constants as ck

NUMBER = ck.CKM_RSA_X_509


def block(kind: int, filling: bytes, message: bytes) -> bytes:
    """RFC 8017, sections 7.2.1 and 9.2, without the zero before it."""
    return bytes([kind]) + filling + b"\0" + message


@source("NIST CAVP, SigGen15 of FIPS 186-2 and 186-3, padded by hand", quick=5)
def raw_signatures() -> Iterator[Case]:
    for path in (FIPS / "SigGen15_186-2.txt", FIPS / "SigGen15_186-3.rsp"):
        for row in records(path, "S") if rsa_raw.MECHANISMS else ():
            signature, info = signature_of(row), digest_info(row)
            padded = block(1, b"\xff" * (len(signature) - 3 - len(info)), info)
            yield Case(NUMBER, path.stem, _signature(row, padded, signature))


def _signature(row: dict[str, str], data: bytes, signature: bytes) -> Any:
    def run(bench: Bench) -> None:
        mechanism, key = bench.mechanism(NUMBER), public(bench, row)
        modulus = int(row["N"], 16).to_bytes(len(signature), "big")
        for written in (data, b"\0" + data):
            bench.verify(mechanism, key, written, signature)
        bench.verify(mechanism, key, flipped(data), signature, "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, key, data, flipped(signature), "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, key, data, modulus, "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, key, data, signature[1:], "CKR_SIGNATURE_LEN_RANGE")
        bench.verify(mechanism, key, data, b"\0" + signature, "CKR_SIGNATURE_LEN_RANGE")
        assert bench.cipher("Encrypt", mechanism, key, signature, parts=False) == b"\0" + data
        bench.refused("Encrypt", mechanism, key, modulus, "CKR_DATA_INVALID")
        bench.refused("Encrypt", mechanism, key, b"\0" + modulus, "CKR_DATA_LEN_RANGE")
        if "D" in row:
            key = private(bench, row)
            assert bench.sign(mechanism, key, data) == bench.sign(mechanism, key, b"\0" + data) == signature
            bench.refused("Sign", mechanism, key, modulus, "CKR_DATA_INVALID")
            bench.refused("Sign", mechanism, key, b"\0" * len(modulus) + b"\1", "CKR_DATA_LEN_RANGE")
            assert bench.sign(mechanism, key, b"\1") == b"\1".rjust(len(signature), b"\0")

    return run


@source("RSA Laboratories, PKCS#1 v1.5 encryption, padded by hand", quick=15)
def raw_encryption() -> Iterator[Case]:
    for row in laboratory(RSA / "pkcs1v15crypt-vectors.txt", "encryption") if rsa_raw.MECHANISMS else ():
        yield Case(NUMBER, "encryption", _encryption(row))


def _encryption(row: dict[str, str]) -> Any:
    sealed = bytes.fromhex(row["encryption"])
    padded = block(2, bytes.fromhex(row["seed"]), bytes.fromhex(row["message"]))

    def run(bench: Bench) -> None:
        mechanism, key = bench.mechanism(NUMBER), laboratory_key(bench, row)
        assert bench.cipher("Decrypt", mechanism, key, sealed, parts=False) == b"\0" + padded
        other = public(bench, {"N": row["modulus"], "E": row["public exponent"]})
        assert bench.cipher("Encrypt", mechanism, other, padded, parts=False) == sealed
        modulus = int(row["modulus"], 16).to_bytes(len(sealed), "big")
        bench.refused("Decrypt", mechanism, key, modulus, "CKR_ENCRYPTED_DATA_INVALID")
        bench.refused("Decrypt", mechanism, key, sealed[1:], "CKR_ENCRYPTED_DATA_LEN_RANGE")
        bench.refused("Decrypt", mechanism, key, b"\0" + sealed, "CKR_ENCRYPTED_DATA_LEN_RANGE")

    return run
