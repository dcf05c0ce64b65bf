"""Vectors of elliptic curves: NIST's validation files for ECDSA, RFC 6979 and RFC 8032."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from abi import Rows, name
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, utils
from vectors import VECTORS, Bench, Case, flipped, number, records, source
from vectors_rsa import HASHES

from pkcs11_shim import constants as ck

ECDSA, ECDH = VECTORS / "asymmetric/ECDSA", VECTORS / "asymmetric/ECDH"
CURVES: dict[str, tuple[Any, int, bytes]] = {
    "P-192": (ec.SECP192R1(), 24, bytes.fromhex("06082a8648ce3d030101")),
    "P-224": (ec.SECP224R1(), 28, bytes.fromhex("06052b81040021")),
    "P-256": (ec.SECP256R1(), 32, bytes.fromhex("06082a8648ce3d030107")),
    "P-384": (ec.SECP384R1(), 48, bytes.fromhex("06052b81040022")),
    "P-521": (ec.SECP521R1(), 66, bytes.fromhex("06052b81040023")),
    "K-256": (ec.SECP256K1(), 32, bytes.fromhex("06052b8104000a")),
    "brainpoolP256r1": (ec.BrainpoolP256R1(), 32, bytes.fromhex("06092b2403030208010107")),
    "brainpoolP384r1": (ec.BrainpoolP384R1(), 48, bytes.fromhex("06092b240303020801010b")),
    "brainpoolP512r1": (ec.BrainpoolP512R1(), 64, bytes.fromhex("06092b240303020801010d")),
}
ED25519, ED448 = bytes.fromhex("06032b6570"), bytes.fromhex("06032b6571")
SECRET: Rows = {
    ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_SENSITIVE: False,
    ck.CKA_EXTRACTABLE: True,
}


def octet_string(raw: bytes) -> bytes:
    return b"\x04" + (bytes([len(raw)]) if len(raw) < 128 else bytes([0x81, len(raw)])) + raw


def point(curve: str, x: str, y: str) -> bytes:
    octets = CURVES[curve][1]
    return b"\x04" + int(x, 16).to_bytes(octets, "big") + int(y, 16).to_bytes(octets, "big")


def public(bench: Bench, curve: str, x: str, y: str) -> int:
    return bench.public(ck.CKK_EC, ec_params=CURVES[curve][2], ec_point=octet_string(point(curve, x, y)))


def private(bench: Bench, curve: str, d: str) -> int:
    octets = CURVES[curve][1]
    return bench.private(ck.CKK_EC, ec_params=CURVES[curve][2], value=int(d, 16).to_bytes(octets, "big"))


def halves(r: int, s: int, octets: int) -> bytes:
    return r.to_bytes(octets, "big") + s.to_bytes(octets, "big")


def shortest(r: int, s: int) -> bytes:
    """As Java writes a signature: both halves as long as the longer of them, not as the field."""
    return halves(r, s, max(1, (max(r.bit_length(), s.bit_length()) + 7) // 8))


def _section(row: dict[str, str]) -> tuple[str, str]:
    curve, known = row["SECTION"].split(",")
    return curve, known.replace("-", "")


@source("NIST CAVP, ECDSA SigVer of FIPS 186-3", quick=2)
def verifications() -> Iterator[Case]:
    for row in records(ECDSA / "FIPS_186-3/SigVer.rsp", "RESULT"):
        curve, known = _section(row)
        if curve in CURVES:
            hashed = getattr(ck, f"CKM_ECDSA_{known}")
            wanted = "CKR_OK" if row["RESULT"].startswith("P") else "CKR_SIGNATURE_INVALID"
            data, digest = bytes.fromhex(row["MSG"]), hashlib.new(known.lower(), bytes.fromhex(row["MSG"])).digest()
            kind = f"{curve} {row['RESULT'][:5]}"
            yield Case(hashed, kind, _verification(hashed, curve, row, data, wanted))
            yield Case(ck.CKM_ECDSA, f"{kind} {known}", _verification(ck.CKM_ECDSA, curve, row, digest, wanted))


@source("NIST CAVP, PKV of FIPS 186-3", quick=12)
def public_keys() -> Iterator[Case]:
    """Points that are none are refused where the key comes in."""
    for row in records(ECDSA / "FIPS_186-3/PKV.rsp", "RESULT"):
        if row["SECTION"] in CURVES:
            yield Case(ck.CKM_ECDSA, f"{row['SECTION']} {row['RESULT'][:5]}", _public_key(row["SECTION"], row))


def _public_key(curve: str, row: dict[str, str]) -> Any:
    octets = CURVES[curve][1]
    wide = max(octets, *(len(number(row[field])) for field in ("QX", "QY")))
    raw = b"\x04" + b"".join(number(row[field]).rjust(wide, b"\0") for field in ("QX", "QY"))
    wanted = "CKR_OK" if row["RESULT"].startswith("P") else "CKR_ATTRIBUTE_VALUE_INVALID"

    def run(bench: Bench) -> None:
        rows = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: CURVES[curve][2]}
        for written in (raw, octet_string(raw)):
            rv, _ = bench.m.create(bench.s, {**rows, ck.CKA_EC_POINT: written})
            assert name(rv) == wanted

    return run


def _verification(mechanism_number: int, curve: str, row: dict[str, str], data: bytes, wanted: str) -> Any:
    r, s, octets = int(row["R"], 16), int(row["S"], 16), CURVES[curve][1]

    def run(bench: Bench) -> None:
        mechanism = bench.mechanism(mechanism_number)
        key = public(bench, curve, row["QX"], row["QY"])
        bench.verify(mechanism, key, data, halves(r, s, octets), wanted)
        bench.verify(mechanism, key, data, shortest(r, s), wanted)
        bench.verify(mechanism, key, data, halves(r, s, octets)[1:], "CKR_SIGNATURE_LEN_RANGE")
        bench.verify(mechanism, key, data, halves(r, s, octets + 1), "CKR_SIGNATURE_LEN_RANGE")
        bench.verify(mechanism, key, data, b"", "CKR_SIGNATURE_LEN_RANGE")
        if mechanism_number != ck.CKM_ECDSA:
            bench.verify_in_parts(mechanism, key, data, halves(r, s, octets), wanted)

    return run


@source("NIST CAVP, ECDSA SigGen of FIPS 186-3, and of secp256k1", quick=2)
def signatures() -> Iterator[Case]:
    for path in (ECDSA / "FIPS_186-3/SigGen.txt", ECDSA / "SECP256K1/SigGen.txt"):
        for row in records(path, "S"):
            curve, known = _section(row)
            if curve in CURVES:
                hashed = getattr(ck, f"CKM_ECDSA_{known}")
                data = bytes.fromhex(row["MSG"])
                yield Case(hashed, curve, _signature(hashed, curve, known, row, data))
                digest = hashlib.new(known.lower(), data).digest()
                yield Case(ck.CKM_ECDSA, f"{curve} {known}", _signature(ck.CKM_ECDSA, curve, known, row, digest))


def _signature(mechanism_number: int, curve: str, known: str, row: dict[str, str], data: bytes) -> Any:
    """NIST's signature verifies; ours, with another nonce, is judged by the cryptography package."""
    r, s, octets = int(row["R"], 16), int(row["S"], 16), CURVES[curve][1]

    def run(bench: Bench) -> None:
        mechanism = bench.mechanism(mechanism_number)
        bench.verify(mechanism, public(bench, curve, row["QX"], row["QY"]), data, halves(r, s, octets))
        made = [bench.sign(mechanism, private(bench, curve, row["D"]), data)]
        if mechanism_number != ck.CKM_ECDSA:
            made.append(bench.sign_in_parts(mechanism, private(bench, curve, row["D"]), data))
        raw = point(curve, row["QX"], row["QY"])
        judge = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[curve][0], raw)
        for signature in made:
            assert len(signature) == 2 * octets
            one, two = int.from_bytes(signature[:octets], "big"), int.from_bytes(signature[octets:], "big")
            judge.verify(utils.encode_dss_signature(one, two), bytes.fromhex(row["MSG"]), ec.ECDSA(HASHES[known]()))

    return run


@source("RFC 6979, as OpenSSL has it", quick=4)
def deterministic_signatures() -> Iterator[Case]:
    """Its signatures verify, its altered ones don't; the message "sample" is signed on every curve of NIST."""
    keys: dict[str, Any] = {}
    pem, named, row = "", "", {}
    for line in [*(ECDSA / "RFC6979/evppkey_ecdsa_rfc6979.txt").read_text().splitlines(), ""]:
        field, equals, value = (part.strip() for part in line.partition("="))
        if field == "PublicKey":
            named, pem = value, ""
        if line.startswith("-----BEGIN PUBLIC") or pem:
            pem += line + "\n"
            if line.startswith("-----END"):
                if named.removesuffix("_PUB") in CURVES:
                    keys[named] = serialization.load_pem_public_key(pem.encode())
                pem = ""
        elif equals:
            row[field] = value
        elif not line.strip():
            known, key = row.get("DigestVerify", ""), keys.get(row.get("Key", ""))
            curve = row.get("Key", "").removesuffix("_PUB")
            if known in HASHES and curve in CURVES and key is not None:
                numbers = key.public_numbers()
                r, s = utils.decode_dss_signature(bytes.fromhex(row["Output"]))
                wanted = "CKR_SIGNATURE_INVALID" if row.get("Result") == "VERIFY_ERROR" else "CKR_OK"
                values = {"QX": f"{numbers.x:x}", "QY": f"{numbers.y:x}", "R": f"{r:x}", "S": f"{s:x}"}
                data, hashed = row["Input"].strip('"').encode(), getattr(ck, f"CKM_ECDSA_{known}")
                yield Case(hashed, f"RFC 6979 {curve} {wanted}", _verification(hashed, curve, values, data, wanted))
            row = {}


# -- Edwards curves


@source("Ed25519's authors, sign.input", quick=40)
def ed25519_signatures() -> Iterator[Case]:
    for line in (VECTORS / "asymmetric/Ed25519/sign.input").read_text().splitlines():
        both, key, message, signed = (bytes.fromhex(field) for field in line.split(":")[:4])
        yield Case(ck.CKM_EDDSA, "Ed25519", _eddsa(ED25519, both[:32], key, message, signed[:64]))


@source("RFC 8032, Ed448", quick=10)
def ed448_signatures() -> Iterator[Case]:
    for row in records(VECTORS / "asymmetric/Ed448/rfc8032.txt", "SIGNATURE"):
        if not row.get("CONTEXT"):
            values = (bytes.fromhex(row[f]) for f in ("SECRET", "PUBLIC", "MESSAGE", "SIGNATURE"))
            yield Case(ck.CKM_EDDSA, "Ed448", _eddsa(ED448, *values))


def _eddsa(curve: bytes, secret: bytes, key: bytes, message: bytes, signature: bytes) -> Any:
    def run(bench: Bench) -> None:
        mechanism = bench.mechanism(ck.CKM_EDDSA)
        private_key = bench.private(ck.CKK_EC_EDWARDS, ec_params=curve, value=secret)
        assert bench.m.read(bench.s, private_key, ck.CKA_EC_POINT) == octet_string(key)
        assert bench.sign(mechanism, private_key, message) == signature
        assert bench.sign_in_parts(mechanism, private_key, message) == signature
        public_key = bench.public(ck.CKK_EC_EDWARDS, ec_params=curve, ec_point=octet_string(key))
        bench.verify(mechanism, public_key, message, signature)
        bench.verify_in_parts(mechanism, public_key, message, signature)
        bench.verify(mechanism, public_key, message + b"x", signature, "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, public_key, message, flipped(signature), "CKR_SIGNATURE_INVALID")
        bench.verify(mechanism, public_key, message, signature[:-1], "CKR_SIGNATURE_LEN_RANGE")

    return run


@source("the cryptography package, with pairs born in the token")
def pairs_made() -> Iterator[Case]:
    for curve in CURVES:
        yield Case(ck.CKM_EC_KEY_PAIR_GEN, curve, _ec_pair(curve))
    makers: tuple[tuple[bytes, Any], ...] = ((ED25519, ed25519.Ed25519PrivateKey), (ED448, ed448.Ed448PrivateKey))
    for parameters, maker in makers:
        yield Case(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, parameters.hex(), _edwards_pair(parameters, maker))


def _pair(bench: Bench, mechanism_number: int, parameters: bytes) -> tuple[int, bytes, bytes]:
    m, s = bench.m, bench.s
    readable = {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
    rv, one, two = m.pair(s, mechanism_number, {ck.CKA_EC_PARAMS: parameters}, readable)
    assert name(rv) == "CKR_OK"
    return two, m.read(s, two, ck.CKA_VALUE), m.read(s, one, ck.CKA_PUBLIC_KEY_INFO)


def _ec_pair(curve: str) -> Any:
    def run(bench: Bench) -> None:
        key, value, info = _pair(bench, ck.CKM_EC_KEY_PAIR_GEN, CURVES[curve][2])
        judge = ec.derive_private_key(int.from_bytes(value, "big"), CURVES[curve][0]).public_key()
        assert serialization.load_der_public_key(info) == judge
        octets = CURVES[curve][1]
        signature = bench.sign(bench.mechanism(ck.CKM_ECDSA_SHA256), key, b"data")
        r, s = int.from_bytes(signature[:octets], "big"), int.from_bytes(signature[octets:], "big")
        judge.verify(utils.encode_dss_signature(r, s), b"data", ec.ECDSA(hashes.SHA256()))

    return run


def _edwards_pair(parameters: bytes, maker: Any) -> Any:
    def run(bench: Bench) -> None:
        key, value, info = _pair(bench, ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, parameters)
        judge = maker.from_private_bytes(value).public_key()
        assert serialization.load_der_public_key(info) == judge
        signature = bench.sign(bench.mechanism(ck.CKM_EDDSA), key, b"data")
        judge.verify(signature, b"data")
        try:
            judge.verify(signature, b"other")
        except InvalidSignature:
            return
        raise AssertionError("the judge judges nothing")

    return run
