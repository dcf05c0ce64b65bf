"""Vectors of AES's further modes: NIST's validation files, RFC 3962, and the cryptography package for the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from abi import good, name, ulong
from cryptography.hazmat.primitives import keywrap, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from vectors import VECTORS, Bench, Case, flipped, records, source
from vectors_symmetric import AES, SECRET, both_ways, gcm_parameter, mac

from pkcs11_shim import constants as ck


@source("NIST CAVP, AESAVS: OFB and CFB", quick=3)
def feedback_modes() -> Iterator[Case]:
    rows = (
        ("OFB", "OFB", ck.CKM_AES_OFB), ("CFB", "CFB8", ck.CKM_AES_CFB8), ("CFB", "CFB128", ck.CKM_AES_CFB128),
    )
    for folder, known, number in rows:
        for path in sorted((AES / folder).glob(f"{known}[GKMV]*.rsp")):
            for row in records(path, "CIPHERTEXT"):
                key, iv, plain, sealed = (bytes.fromhex(row[f]) for f in ("KEY", "IV", "PLAINTEXT", "CIPHERTEXT"))
                yield Case(number, path.stem, both_ways(number, iv, key, plain, sealed))


# RFC 3962, appendix B: by the key «chicken teriyaki» and an IV of zeros, in the order of CBC-CS3.
_TEXT = b"I would like the General Gau's Chicken, please, and wonton soup."
_STOLEN = {
    17: "c6353568f2bf8cb4d8a580362da7ff7f97",
    31: "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
    32: "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
    47: "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5",
    48: "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8",
    64: "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8"
        "4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
}


def in_order_of_cs1(sealed: bytes) -> bytes:
    """The last whole block, which CS3 has before the stolen-from one, goes behind it (addendum to SP 800-38A)."""
    cut = len(sealed) % 16 or 16
    start = len(sealed) - cut - 16
    return sealed[:start] + sealed[start + 16 :] + sealed[start : start + 16]


@source("RFC 3962, its blocks in the order of CBC-CS1", quick=6)
def stolen() -> Iterator[Case]:
    for length, sealed in _STOLEN.items():
        plain, wanted = _TEXT[:length], in_order_of_cs1(bytes.fromhex(sealed))
        yield Case(ck.CKM_AES_CTS, "", both_ways(ck.CKM_AES_CTS, bytes(16), b"chicken teriyaki", plain, wanted))


@source("NIST CAVP, AESAVS: whole blocks, which CBC-CS1 leaves to CBC", quick=3)
def stolen_from_nobody() -> Iterator[Case]:
    for path in sorted((AES / "CBC").glob("CBCMMT*.rsp")):
        for row in records(path, "CIPHERTEXT"):
            key, iv, plain, sealed = (bytes.fromhex(row[f]) for f in ("KEY", "IV", "PLAINTEXT", "CIPHERTEXT"))
            yield Case(ck.CKM_AES_CTS, path.stem, both_ways(ck.CKM_AES_CTS, iv, key, plain, sealed))


def xts(key: bytes, tweak: bytes, plain: bytes, sealed: bytes) -> Any:
    def run(bench: Bench) -> None:
        handle, mechanism = bench.secret(key, ck.CKK_AES_XTS), bench.mechanism(ck.CKM_AES_XTS, tweak)
        assert bench.cipher("Encrypt", mechanism, handle, plain) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed) == plain

    return run


@source("NIST CAVP, XTSVS", quick=6)
def data_units() -> Iterator[Case]:
    """Data units of whole bytes; the files have some of single bits, which PKCS#11 can't say."""
    for path in sorted((AES / "XTS").glob("*/*.rsp")):
        for row in records(path, "CT"):
            key, plain, sealed = (bytes.fromhex(row[field]) for field in ("KEY", "PT", "CT"))
            if int(row["DATAUNITLEN"]) % 8 == 0:
                number = int(row.get("DATAUNITSEQNUMBER", "0"))
                tweak = bytes.fromhex(row["I"]) if "I" in row else number.to_bytes(16, "little")
                stolen = "stealing" if len(plain) % 16 else "whole"
                yield Case(ck.CKM_AES_XTS, f"{path.stem} {stolen}", xts(key, tweak, plain, sealed))


def ccm_parameter(length: int, nonce: bytes, aad: bytes, tag: int) -> Any:
    return lambda bench: bench.m.structure(
        "CK_CCM_PARAMS", ulDataLen=length, pNonce=nonce, ulNonceLen=len(nonce), pAAD=aad, ulAADLen=len(aad),
        ulMACLen=tag,
    )


@source("NIST CAVP, CCMVS", quick=6)
def ccm() -> Iterator[Case]:
    for path in sorted((AES / "CCM").glob("*.rsp")):
        for row in records(path, "CT"):
            lengths = dict(part.split(" = ") for part in row["SECTION"].split(", ") if " = " in part)
            said = {**row, **{field.upper(): value for field, value in lengths.items()}}
            yield Case(ck.CKM_AES_CCM, f"{path.stem} {row.get('RESULT', '')}", _ccm(said))


def _ccm(row: dict[str, str]) -> Any:
    key, nonce, sealed = (bytes.fromhex(row[field]) for field in ("KEY", "NONCE", "CT"))
    length, aad = int(row["PLEN"]), bytes.fromhex(row["ADATA"])[: int(row["ALEN"])]
    make = ccm_parameter(length, nonce, aad, int(row["TLEN"]))

    def run(bench: Bench) -> None:
        handle = bench.secret(key)
        bench.mechanism(ck.CKM_AES_CCM)
        mechanism = bench.m.mechanism(ck.CKM_AES_CCM, make(bench))
        if row.get("RESULT") == "Fail":
            bench.refused("Decrypt", mechanism, handle, sealed, "CKR_ENCRYPTED_DATA_INVALID")
            return
        plain = bytes.fromhex(row["PAYLOAD"])[:length]
        assert bench.cipher("Encrypt", mechanism, handle, plain) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed) == plain
        bench.refused("Decrypt", mechanism, handle, flipped(sealed), "CKR_ENCRYPTED_DATA_INVALID")

    return run


@source("NIST CAVP, GCMVS: the files' rows without plaintext", quick=8)
def gmac() -> Iterator[Case]:
    for path in sorted((AES / "GCM").glob("*.rsp")):
        for row in records(path, "TAG"):
            iv = bytes.fromhex(row["IV"])
            if not row["CT"] and 8 <= len(iv) <= 128:
                kind = f"{path.stem} {'FAIL' if 'FAIL' in row else f'IV of {8 * len(iv)}'}"
                yield Case(ck.CKM_AES_GMAC, kind, _gmac(row, iv))


def _gmac(row: dict[str, str], iv: bytes) -> Any:
    key, data, tag = (bytes.fromhex(row[field]) for field in ("KEY", "AAD", "TAG"))
    make = gcm_parameter(iv, b"", 8 * len(tag))

    def run(bench: Bench) -> None:
        handle = bench.secret(key)
        bench.mechanism(ck.CKM_AES_GMAC)
        mechanism = bench.m.mechanism(ck.CKM_AES_GMAC, make(bench))
        if "FAIL" in row:
            bench.verify(mechanism, handle, data, tag, "CKR_SIGNATURE_INVALID")
            return
        assert bench.sign(mechanism, handle, data) == tag
        assert bench.sign_in_parts(mechanism, handle, data) == tag
        if (len(iv), len(tag)) == (12, 16):  # the parameter of PKCS#11 2.40
            assert bench.sign(bench.m.mechanism(ck.CKM_AES_GMAC, iv), handle, data) == tag
        bench.verify_in_parts(mechanism, handle, data, tag)
        bench.verify(mechanism, handle, data, flipped(tag), "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, handle, data, tag[:-1], "CKR_SIGNATURE_LEN_RANGE")

    return run


@source("NIST SP 800-38B, cut short", quick=2)
def cmacs_cut_short() -> Iterator[Case]:
    number = ck.CKM_AES_CMAC_GENERAL
    for path in sorted((VECTORS / "CMAC").glob("nist-800-38b-aes*.txt")):
        for row in records(path, "OUTPUT"):
            key, data, wanted = (bytes.fromhex(row[field]) for field in ("KEY", "MESSAGE", "OUTPUT"))
            for length in (1, 8, 16):
                run = mac(number, ulong(length), ck.CKK_AES, key, data, wanted[:length])
                yield Case(number, f"{path.stem} {length}", run)


@source("the cryptography package: PKCS#7 padding, then AES key wrap", quick=40)
def key_wraps_with_pkcs7() -> Iterator[Case]:
    for length in (8, 15, 16, 17, 24, 31, 32, 33):
        for size in (16, 24, 32):
            yield Case(ck.CKM_AES_KEY_WRAP_PKCS7, str(size), _pkcs7(os.urandom(size), os.urandom(length)))


def _pkcs7(key: bytes, plain: bytes) -> Any:
    pad = padding.PKCS7(64).padder()
    sealed = keywrap.aes_key_wrap(key, pad.update(plain) + pad.finalize())

    def run(bench: Bench) -> None:
        handle, mechanism = bench.secret(key), bench.mechanism(ck.CKM_AES_KEY_WRAP_PKCS7)
        assert bench.cipher("Encrypt", mechanism, handle, plain, parts=False) == sealed
        assert bench.cipher("Decrypt", mechanism, handle, sealed, parts=False) == plain
        rv, wrapped = bench.m.wrap(bench.s, mechanism, handle, bench.secret(plain, ck.CKK_GENERIC_SECRET))
        assert (name(rv), wrapped) == ("CKR_OK", sealed)
        rv_name, made = bench.unwrap(mechanism, handle, sealed, SECRET)
        assert (rv_name, bench.m.read(bench.s, made, ck.CKA_VALUE)) == ("CKR_OK", plain)
        bench.refused("Decrypt", mechanism, handle, flipped(sealed), "CKR_ENCRYPTED_DATA_INVALID")
        unpadded = keywrap.aes_key_wrap(key, bytes(16))
        bench.refused("Decrypt", mechanism, handle, unpadded, "CKR_ENCRYPTED_DATA_INVALID")

    return run


@source("NIST CAVP, AESAVS: ciphertexts as derived keys", quick=3)
def derived_by_encryption() -> Iterator[Case]:
    for mode, number in (("ECB", ck.CKM_AES_ECB_ENCRYPT_DATA), ("CBC", ck.CKM_AES_CBC_ENCRYPT_DATA)):
        for path in sorted((AES / mode).glob("*MMT*.rsp")):
            for row in records(path, "CIPHERTEXT"):
                key, plain, sealed = (bytes.fromhex(row[field]) for field in ("KEY", "PLAINTEXT", "CIPHERTEXT"))
                iv = bytes.fromhex(row.get("IV", ""))
                yield Case(number, path.stem, _derived(number, key, encrypt_data(iv, plain), sealed))


def encrypt_data(iv: bytes, data: bytes) -> Any:
    if iv:
        return lambda bench: bench.m.structure("CK_AES_CBC_ENCRYPT_DATA_PARAMS", iv=iv, pData=data, length=len(data))
    return lambda bench: bench.m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=data, ulLen=len(data))


def _derived(number: int, key: bytes, make: Any, sealed: bytes) -> Any:
    def run(bench: Bench) -> None:
        base = bench.secret(key)
        bench.mechanism(number)
        mechanism = bench.m.mechanism(number, make(bench))
        for rows, wanted in (({}, sealed), ({ck.CKA_VALUE_LEN: 15}, sealed[:15])):
            rv, made = bench.m.derive(bench.s, mechanism, base, {**SECRET, **rows})
            assert (name(rv), bench.m.read(bench.s, made, ck.CKA_VALUE)) == ("CKR_OK", wanted)
            good(bench.m.C_DestroyObject(bench.s, made))

    return run


@source("the cryptography package, with XTS keys born in the token")
def xts_keys_made() -> Iterator[Case]:
    def made(length: int) -> Any:
        def run(bench: Bench) -> None:
            rows = {ck.CKA_VALUE_LEN: length, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
            rv, key = bench.m.generate(bench.s, ck.CKM_AES_XTS_KEY_GEN, rows)
            assert name(rv) == "CKR_OK"
            value, unit, tweak = bench.m.read(bench.s, key, ck.CKA_VALUE), os.urandom(53), os.urandom(16)
            assert len(value) == length
            judge = Cipher(algorithms.AES(value), modes.XTS(tweak)).encryptor()
            sealed = judge.update(unit) + judge.finalize()
            assert bench.cipher("Encrypt", bench.mechanism(ck.CKM_AES_XTS, tweak), key, unit) == sealed

        return run

    for length in (32, 64):
        yield Case(ck.CKM_AES_XTS_KEY_GEN, str(length), made(length))
