"""Vectors of RSA: NIST's validation files, RSA Laboratories' own for PKCS#1, and what others made for OAEP of SHA-2."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from abi import name
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from vectors import VECTORS, Bench, Case, flipped, number, records, source

from pkcs11_shim import constants as ck

RSA = VECTORS / "asymmetric/RSA"
FIPS = RSA / "FIPS_186-2"
HASHES: dict[str, Any] = {
    "SHA1": hashes.SHA1, "SHA224": hashes.SHA224, "SHA256": hashes.SHA256, "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
# RFC 8017, section 9.2, note 1: DigestInfo before the digest.
DIGEST_INFO = {
    "SHA1": "3021300906052b0e03021a05000414", "SHA224": "302d300d06096086480165030402040500041c",
    "SHA256": "3031300d060960864801650304020105000420", "SHA384": "3041300d060960864801650304020205000430",
    "SHA512": "3051300d060960864801650304020305000440",
}
PARTS = (
    ("prime 1", "prime_1"), ("prime 2", "prime_2"), ("prime exponent 1", "exponent_1"),
    ("prime exponent 2", "exponent_2"), ("coefficient", "coefficient"),
)


def public(bench: Bench, row: dict[str, str]) -> int:
    return bench.public(ck.CKK_RSA, modulus=number(row["N"]), public_exponent=number(row["E"]))


def private(bench: Bench, row: dict[str, str]) -> int:
    """From modulus and exponents alone, as NIST gives them: the token finds the primes."""
    return bench.private(
        ck.CKK_RSA, modulus=number(row["N"]), public_exponent=number(row["E"]), private_exponent=number(row["D"])
    )


def signature_of(row: dict[str, str]) -> bytes:
    return int(row["S"], 16).to_bytes((int(row["N"], 16).bit_length() + 7) // 8, "big")


def digest_info(row: dict[str, str]) -> bytes:
    digest = hashlib.new(row["SHAALG"].lower(), bytes.fromhex(row["MSG"])).digest()
    return bytes.fromhex(DIGEST_INFO[row["SHAALG"]]) + digest


@source("NIST CAVP, SigGen15 of FIPS 186-2 and 186-3", quick=5)
def pkcs1_signatures() -> Iterator[Case]:
    for path in (FIPS / "SigGen15_186-2.txt", FIPS / "SigGen15_186-3.rsp"):
        for row in records(path, "S"):
            hashed = getattr(ck, f"CKM_{row['SHAALG']}_RSA_PKCS")
            yield Case(hashed, path.stem, _pkcs1(hashed, row, bytes.fromhex(row["MSG"])))
            yield Case(ck.CKM_RSA_PKCS, f"{path.stem} {row['SHAALG']}", _pkcs1(ck.CKM_RSA_PKCS, row, digest_info(row)))


def _pkcs1(mechanism_number: int, row: dict[str, str], data: bytes) -> Any:
    signature, parts = signature_of(row), mechanism_number != ck.CKM_RSA_PKCS

    def run(bench: Bench) -> None:
        mechanism = bench.mechanism(mechanism_number)
        key = public(bench, row)
        bench.verify(mechanism, key, data, signature)
        bench.verify(mechanism, key, data, flipped(signature), "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, key, data, signature[1:], "CKR_SIGNATURE_LEN_RANGE")
        bench.verify(mechanism, key, flipped(data), signature, "CKR_SIGNATURE_INVALID")
        if parts:
            bench.verify_in_parts(mechanism, key, data, signature)
        if "D" in row:
            key = private(bench, row)
            assert bench.sign(mechanism, key, data) == signature
            assert not parts or bench.sign_in_parts(mechanism, key, data) == signature

    return run


@source("NIST CAVP, SigVer15 of FIPS 186-3 and its forged paddings", quick=3)
def pkcs1_verifications() -> Iterator[Case]:
    for path in (FIPS / "SigVer15_186-3.rsp", RSA / "SigVer15EMTest.txt"):
        for row in records(path, "S"):
            yield _verification(getattr(ck, f"CKM_{row['SHAALG']}_RSA_PKCS"), row, None)


def _verification(mechanism_number: int, row: dict[str, str], make: Any) -> Case:
    good = row["RESULT"].startswith("P")
    data, signature = bytes.fromhex(row["MSG"]), signature_of(row)

    def run(bench: Bench) -> None:
        bench.mechanism(mechanism_number)
        mechanism = bench.m.mechanism(mechanism_number, make(bench) if make else None)
        wanted = "CKR_OK" if good else "CKR_SIGNATURE_INVALID"
        bench.verify(mechanism, public(bench, row), data, signature, wanted)
        bench.verify_in_parts(mechanism, public(bench, row), data, signature, wanted)

    return Case(mechanism_number, row["RESULT"][:5], run)


def pss(known: str, salt: int, mgf: str = "") -> Any:
    hashed, generator = getattr(ck, f"CKM_{known.replace('SHA1', 'SHA_1')}"), getattr(ck, f"CKG_MGF1_{mgf or known}")
    return lambda bench: bench.m.structure("CK_RSA_PKCS_PSS_PARAMS", hashAlg=hashed, mgf=generator, sLen=salt)


@source("NIST CAVP, SigVerPSS of FIPS 186-3", quick=3)
def pss_verifications() -> Iterator[Case]:
    for row in records(FIPS / "SigVerPSS_186-3.rsp", "S"):
        salt = len(row["SALTVAL"]) // 2
        yield _verification(getattr(ck, f"CKM_{row['SHAALG']}_RSA_PKCS_PSS"), row, pss(row["SHAALG"], salt))


@source("NIST CAVP, SigGenPSS of FIPS 186-2 and 186-3", quick=3)
def pss_signatures() -> Iterator[Case]:
    for path in (FIPS / "SigGenPSS_186-2.txt", FIPS / "SigGenPSS_186-3.rsp"):
        for row in records(path, "S"):
            salt = len(row.get("SALTVAL", "")) // 2
            hashed = getattr(ck, f"CKM_{row['SHAALG']}_RSA_PKCS_PSS")
            data = bytes.fromhex(row["MSG"])
            yield Case(hashed, path.stem, _pss(hashed, row, data, salt))
            digest = hashlib.new(row["SHAALG"].lower(), data).digest()
            kind = f"{path.stem} {row['SHAALG']}"
            yield Case(ck.CKM_RSA_PKCS_PSS, kind, _pss(ck.CKM_RSA_PKCS_PSS, row, digest, salt))


def _pss(mechanism_number: int, row: dict[str, str], data: bytes, salt: int) -> Any:
    """NIST's signature verifies; ours, whose salt is another, is judged by the cryptography package."""
    signature, parts = signature_of(row), mechanism_number != ck.CKM_RSA_PKCS_PSS

    def run(bench: Bench) -> None:
        bench.mechanism(mechanism_number)
        mechanism = bench.m.mechanism(mechanism_number, pss(row["SHAALG"], salt)(bench))
        key = public(bench, row)
        bench.verify(mechanism, key, data, signature)
        bench.verify(mechanism, key, flipped(data), signature, "CKR_SIGNATURE_INVALID")
        if parts:
            bench.verify_in_parts(mechanism, key, data, signature)
        if "D" in row:
            hashed = HASHES[row["SHAALG"]]()
            judge = rsa.RSAPublicNumbers(int(row["E"], 16), int(row["N"], 16)).public_key()
            made = bench.sign(mechanism, private(bench, row), data)
            judge.verify(made, bytes.fromhex(row["MSG"]), padding.PSS(padding.MGF1(hashed), salt), hashed)

    return run


# -- RSA Laboratories' files: "# Name:" lines, hexadecimal lines under them; one key, then its examples


def laboratory(path: Path, last: str) -> Iterator[dict[str, str]]:
    row: dict[str, str] = {}
    field = ""
    for line in [*path.read_text().splitlines(), "# "]:
        text = line.strip()
        if text.startswith("#"):
            if field == last and row.get(last):
                yield dict(row)
            field = text.strip("# :").lower()
            if text.endswith(":") or field in ("modulus", "exponent", *dict(PARTS)):
                row[field] = ""
        elif field in row and re.fullmatch(r"([0-9a-f]{1,2}\s*)+|[0-9a-f]+", text):
            row[field] += text.replace(" ", "")


def laboratory_key(bench: Bench, row: dict[str, str]) -> int:
    return bench.private(
        ck.CKK_RSA, modulus=number(row["modulus"]), public_exponent=number(row["public exponent"]),
        private_exponent=number(row["exponent"]), **{ours: number(row[theirs]) for theirs, ours in PARTS},
    )


def laboratory_judge(row: dict[str, str]) -> rsa.RSAPrivateKey:
    n, e, d, p, q, dp, dq, qi = (
        int(row[f], 16) for f in ("modulus", "public exponent", "exponent", *(theirs for theirs, _ in PARTS))
    )
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key(
        unsafe_skip_rsa_key_validation=True
    )


@source("RSA Laboratories, PKCS#1 v1.5 signatures", quick=6)
def laboratory_signatures() -> Iterator[Case]:
    for row in laboratory(RSA / "pkcs1v15sign-vectors.txt", "signature"):
        wanted = {"N": row["modulus"], "E": row["public exponent"], "S": row["signature"], "SHAALG": "SHA1"}
        data = bytes.fromhex(row["message to be signed"])

        def run(bench: Bench, row: dict[str, str] = row, wanted: Any = wanted, data: bytes = data) -> None:
            mechanism = bench.mechanism(ck.CKM_SHA1_RSA_PKCS)
            assert bench.sign(mechanism, laboratory_key(bench, row), data) == signature_of(wanted)
            bench.verify(mechanism, public(bench, wanted), data, signature_of(wanted))

        yield Case(ck.CKM_SHA1_RSA_PKCS, "laboratory", run)


@source("RSA Laboratories, PSS", quick=10)
def laboratory_pss() -> Iterator[Case]:
    for row in laboratory(RSA / "pkcs-1v2-1d2-vec/pss-vect.txt", "signature"):
        wanted = {
            "N": row["modulus"], "E": row["public exponent"], "S": row["signature"], "SHAALG": "SHA1",
            "MSG": row["message to be signed"],
        }
        for mechanism in (ck.CKM_SHA1_RSA_PKCS_PSS, ck.CKM_RSA_PKCS_PSS):
            data = bytes.fromhex(wanted["MSG"])
            data = data if mechanism == ck.CKM_SHA1_RSA_PKCS_PSS else hashlib.sha1(data).digest()
            yield Case(mechanism, "laboratory", _pss(mechanism, wanted, data, len(row["salt"]) // 2))


@source("RSA Laboratories, PKCS#1 v1.5 encryption", quick=15)
def laboratory_encryption() -> Iterator[Case]:
    for row in laboratory(RSA / "pkcs1v15crypt-vectors.txt", "encryption"):
        pad = padding.PKCS1v15()
        yield Case(ck.CKM_RSA_PKCS, "encryption", _encryption(ck.CKM_RSA_PKCS, row, lambda bench: None, pad))


def _encryption(mechanism_number: int, row: dict[str, str], make: Any, pad: Any) -> Any:
    """The vector decrypts; what the token encrypts anew, the cryptography package decrypts."""
    plain = bytes.fromhex(row.get("message", "") or row["message to be encrypted"])
    sealed = bytes.fromhex(row["encryption"])

    def run(bench: Bench) -> None:
        bench.mechanism(mechanism_number)
        mechanism = bench.m.mechanism(mechanism_number, make(bench))
        assert bench.cipher("Decrypt", mechanism, laboratory_key(bench, row), sealed, parts=False) == plain
        key = public(bench, {"N": row["modulus"], "E": row["public exponent"]})
        made = bench.cipher("Encrypt", mechanism, key, plain, parts=False)
        assert len(made) == len(sealed)
        assert laboratory_judge(row).decrypt(made, pad) == plain

    return run


def oaep(known: str, mgf: str, label: bytes = b"") -> Any:
    fields = {
        "hashAlg": getattr(ck, f"CKM_{known.replace('SHA1', 'SHA_1')}"), "mgf": getattr(ck, f"CKG_MGF1_{mgf}"),
        "source": ck.CKZ_DATA_SPECIFIED, "pSourceData": label, "ulSourceDataLen": len(label),
    }
    return lambda bench: bench.m.structure("CK_RSA_PKCS_OAEP_PARAMS", **fields)


@source("RSA Laboratories, OAEP; pyca and Bouncy Castle, OAEP of SHA-2 and of mixed hashes", quick=4)
def laboratory_oaep() -> Iterator[Case]:
    files = {RSA / "pkcs-1v2-1d2-vec/oaep-vect.txt": ("SHA1", "SHA1")}
    for path in sorted((RSA / "oaep-custom").glob("oaep-*-*.txt")):
        mgf, known = path.stem.upper().split("-")[1:]
        files[path] = (known, mgf)
    for path, (known, mgf) in files.items():
        pad = padding.OAEP(padding.MGF1(HASHES[mgf]()), HASHES[known](), None)
        for row in laboratory(path, "encryption"):
            yield Case(
                ck.CKM_RSA_PKCS_OAEP, path.stem, _encryption(ck.CKM_RSA_PKCS_OAEP, row, oaep(known, mgf), pad)
            )


@source("BoringSSL, OAEP with a label")
def labelled_oaep() -> Iterator[Case]:
    for row in records(RSA / "oaep-label.txt", "OUTPUT"):
        made = serialization.load_der_private_key(bytes.fromhex(row["KEY"]), None)
        assert isinstance(made, rsa.RSAPrivateKey)
        known = made.private_numbers()
        values = {
            "N": f"{known.public_numbers.n:x}", "E": f"{known.public_numbers.e:x}", "D": f"{known.d:x}",
        }
        label, sealed = bytes.fromhex(row["OAEPLABEL"]), bytes.fromhex(row["INPUT"])
        digest = row["OAEPDIGEST"]

        def run(bench: Bench, row: dict[str, str] = row, values: dict[str, str] = values, label: bytes = label,
                sealed: bytes = sealed, digest: str = digest) -> None:
            bench.mechanism(ck.CKM_RSA_PKCS_OAEP)
            mechanism = bench.m.mechanism(ck.CKM_RSA_PKCS_OAEP, oaep(digest, digest, label)(bench))
            key = private(bench, values)
            assert bench.cipher("Decrypt", mechanism, key, sealed, parts=False) == row["OUTPUT"].encode()
            other = bench.m.mechanism(ck.CKM_RSA_PKCS_OAEP, oaep(digest, digest, label[1:])(bench))
            bench.refused("Decrypt", other, key, sealed, "CKR_ENCRYPTED_DATA_INVALID")

        yield Case(ck.CKM_RSA_PKCS_OAEP, "label", run)


@source("the cryptography package, RSA_AES_KEY_WRAP composed of OAEP and RFC 5649")
def composed_key_wrap() -> Iterator[Case]:
    for bits in (128, 192, 256):
        for known in ("SHA1", "SHA256"):
            yield Case(ck.CKM_RSA_AES_KEY_WRAP, f"{bits} {known}", _composed(bits, known))


def _composed(bits: int, known: str) -> Any:
    def run(bench: Bench) -> None:
        m, s = bench.m, bench.s
        bench.mechanism(ck.CKM_RSA_AES_KEY_WRAP)
        inner = oaep(known, known, b"label")(bench)
        parameter = m.structure("CK_RSA_AES_KEY_WRAP_PARAMS", ulAESKeyBits=bits, pOAEPParams=inner)
        mechanism = m.mechanism(ck.CKM_RSA_AES_KEY_WRAP, parameter)
        row = next(laboratory(RSA / "pkcs1v15crypt-vectors.txt", "encryption"))
        judge, hashed = laboratory_judge(row), HASHES[known]()
        pad = padding.OAEP(padding.MGF1(hashed), hashed, b"label")
        once, value = os.urandom(bits // 8), os.urandom(40)
        wrapped = judge.public_key().encrypt(once, pad) + keywrap.aes_key_wrap_with_padding(once, value)
        rows = {
            ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_SENSITIVE: False,
            ck.CKA_EXTRACTABLE: True,
        }
        rv, made = bench.unwrap(mechanism, laboratory_key(bench, row), wrapped, rows)
        assert rv == "CKR_OK"
        assert m.read(s, made, ck.CKA_VALUE) == value
        key = public(bench, {"N": row["modulus"], "E": row["public exponent"]})
        code, ours = m.wrap(s, mechanism, key, made)
        assert name(code) == "CKR_OK"
        size = judge.key_size // 8
        assert keywrap.aes_key_unwrap_with_padding(judge.decrypt(ours[:size], pad), ours[size:]) == value
        assert bench.unwrap(mechanism, laboratory_key(bench, row), flipped(wrapped), rows)[0] == (
            "CKR_WRAPPED_KEY_INVALID"
        )

    return run


@source("the cryptography package, with RSA pairs born in the token")
def pairs_made() -> Iterator[Case]:
    for bits, exponent in ((1024, 65537), (2048, 65537), (3072, 3)):

        def run(bench: Bench, bits: int = bits, exponent: int = exponent) -> None:
            m, s = bench.m, bench.s
            readable = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
            wanted = {ck.CKA_MODULUS_BITS: bits, ck.CKA_PUBLIC_EXPONENT: number(f"{exponent:x}")}
            rv, one, two = m.pair(s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, wanted, readable)
            assert name(rv) == "CKR_OK"
            fields = ("MODULUS", "PUBLIC_EXPONENT", "PRIVATE_EXPONENT", *(ours.upper() for _, ours in PARTS))
            n, e, d, p, q, dp, dq, qi = (
                int.from_bytes(m.read(s, two, getattr(ck, f"CKA_{field}")), "big") for field in fields
            )
            # Loading with every check that libcrypto has: primes, CRT parts, and that they belong together.
            judge = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key()
            assert (judge.key_size, e) == (bits, exponent)
            info = serialization.load_der_public_key(m.read(s, one, ck.CKA_PUBLIC_KEY_INFO))
            assert info == judge.public_key()

        yield Case(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, f"{bits} {exponent}", run)
