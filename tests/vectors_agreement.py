"""Vectors of key agreement: NIST's validation files, RFC 7027, RFC 7748 and the X9.63 KDF."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from abi import Rows, name
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from vectors import VECTORS, Bench, Case, records, source
from vectors_ec import CURVES, ECDH, SECRET, octet_string, point, private
from vectors_rsa import HASHES

from pkcs11_shim import constants as ck

X25519, X448 = bytes.fromhex("06032b656e"), bytes.fromhex("06032b656f")


def x963(known: str, shared: bytes, info: bytes, length: int) -> bytes:
    """ANSI X9.63-2001, section 5.6.3, by hashlib: what the token's derivation is held against."""
    made = b""
    for count in range(1, length // hashlib.new(known).digest_size + 2):
        made += hashlib.new(known, shared + count.to_bytes(4, "big") + info).digest()
    return made[:length]


def agreement(
    bench: Bench, peer: bytes, kdf: int = ck.CKD_NULL, info: bytes = b"", number: int = ck.CKM_ECDH1_DERIVE
) -> Any:
    bench.mechanism(number)
    fields = {"kdf": kdf, "pSharedData": info, "ulSharedDataLen": len(info), "pPublicData": peer}
    parameter = bench.m.structure("CK_ECDH1_DERIVE_PARAMS", **fields, ulPublicDataLen=len(peer))
    return bench.m.mechanism(number, parameter)


def derived(bench: Bench, mechanism: Any, key: int, rows: Rows) -> bytes:
    rv, made = bench.m.derive(bench.s, mechanism, key, {**SECRET, **rows})
    assert name(rv) == "CKR_OK"
    value = bench.m.read(bench.s, made, ck.CKA_VALUE)
    assert bench.m.C_DestroyObject(bench.s, made) == ck.CKR_OK
    return value


@source("NIST CAVP, KASVS, ECC primitives", quick=6)
def agreements() -> Iterator[Case]:
    sets = {"EA": "P-192", "EB": "P-224", "EC": "P-256", "ED": "P-384", "EE": "P-521"}
    for role in ("init", "resp"):
        path = ECDH / f"KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_{role}.fax"
        for row in records(path, "RESULT"):
            curve = sets[row["SECTION"].split(" ")[0]]
            for number in (ck.CKM_ECDH1_DERIVE, ck.CKM_ECDH1_COFACTOR_DERIVE):
                yield Case(number, f"{curve} {row['RESULT'][:5]}", _agreement(curve, row, number))


def _agreement(curve: str, row: dict[str, str], number: int) -> Any:
    """Z, also from the peer's point compressed or as an OCTET STRING, and cut at its leading end; or no key at all."""
    shape, octets, parameters = CURVES[curve]
    own, peer = point(curve, row["QSIUTX"], row["QSIUTY"]), point(curve, row["QSCAVSX"], row["QSCAVSY"])

    def is_point(raw: bytes) -> bool:
        try:
            return bool(ec.EllipticCurvePublicKey.from_encoded_point(shape, raw))
        except ValueError:
            return False

    def is_pair() -> bool:
        try:
            made = ec.derive_private_key(int(row["DSIUT"], 16), shape).public_key()
        except ValueError:
            return False
        return is_point(own) and made == ec.EllipticCurvePublicKey.from_encoded_point(shape, own)

    def run(bench: Bench) -> None:
        value = int(row["DSIUT"], 16).to_bytes(octets, "big")
        rows = {**SECRET, ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_EC_PARAMS: parameters}
        rv, _ = bench.m.create(bench.s, {**rows, ck.CKA_VALUE: value, ck.CKA_EC_POINT: octet_string(own)})
        if not is_pair():
            assert row["RESULT"].startswith("F")
            assert name(rv) in ("CKR_ATTRIBUTE_VALUE_INVALID", "CKR_TEMPLATE_INCONSISTENT")
            return
        assert name(rv) == "CKR_OK"
        key = private(bench, curve, row["DSIUT"])
        if not is_point(peer):
            assert row["RESULT"].startswith("F")
            rv, _ = bench.m.derive(bench.s, agreement(bench, peer, number=number), key, SECRET)
            assert name(rv) == "CKR_PUBLIC_KEY_INVALID"
            return
        shared = derived(bench, agreement(bench, peer, number=number), key, {})
        assert (shared == bytes.fromhex(row["Z"])) == row["RESULT"].startswith("P")
        compressed = bytes([2 + peer[-1] % 2]) + peer[1 : 1 + octets]
        for other in (octet_string(peer), compressed, octet_string(compressed)):
            assert derived(bench, agreement(bench, other, number=number), key, {}) == shared
        for length in (14, octets - 1, octets):
            mechanism = agreement(bench, peer, number=number)
            assert derived(bench, mechanism, key, {ck.CKA_VALUE_LEN: length}) == shared[-length:]

    return run


@source("ANSI X9.63-2001 by NIST CAVP, over agreements of KASVS", quick=8)
def derivations() -> Iterator[Case]:
    """PKCS#11 takes no Z from outside: NIST judges the function above, and this the token on NIST's agreements."""
    for row in records(VECTORS / "KDF/ansx963_2001.txt", "KEY_DATA"):
        z, info, wanted = (bytes.fromhex(row[f]) for f in ("Z", "SHAREDINFO", "KEY_DATA"))
        assert any(x963(known.lower(), z, info, len(wanted)) == wanted for known in HASHES)
    path = ECDH / "KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_init.fax"
    good = [row for row in records(path, "RESULT") if row["RESULT"].startswith("P") and row["SECTION"][:2] == "EC"]
    for known in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512"):
        for info in (b"", b"shared info"):
            for length, row in zip((16, 32, 33, 100, 512), good, strict=False):

                def run(bench: Bench, known: str = known, info: bytes = info, length: int = length,
                        row: dict[str, str] = row) -> None:
                    peer = point("P-256", row["QSCAVSX"], row["QSCAVSY"])
                    mechanism = agreement(bench, peer, getattr(ck, f"CKD_{known}_KDF"), info)
                    made = derived(bench, mechanism, private(bench, "P-256", row["DSIUT"]), {ck.CKA_VALUE_LEN: length})
                    assert made == x963(known.lower(), bytes.fromhex(row["Z"]), info, length)

                yield Case(ck.CKM_ECDH1_DERIVE, f"{known} {len(info)}", run)


@source("RFC 7027, Brainpool", quick=2)
def brainpool_agreements() -> Iterator[Case]:
    for row in records(ECDH / "brainpool.txt", "X_Z"):
        for number in (ck.CKM_ECDH1_DERIVE, ck.CKM_ECDH1_COFACTOR_DERIVE):
            for own, other in ("AB", "BA"):
                yield Case(number, row["CURVE"], _brainpool(row, number, own, other))


def _brainpool(row: dict[str, str], number: int, own: str, other: str) -> Any:
    def run(bench: Bench) -> None:
        curve = row["CURVE"]
        key, peer = private(bench, curve, row[f"D{own}"]), point(curve, row[f"X_Q{other}"], row[f"Y_Q{other}"])
        public = bench.m.read(bench.s, key, ck.CKA_EC_POINT)
        assert public == octet_string(point(curve, row[f"X_Q{own}"], row[f"Y_Q{own}"]))
        assert derived(bench, agreement(bench, peer, number=number), key, {}) == bytes.fromhex(row["X_Z"])

    return run


MONTGOMERY: dict[str, tuple[bytes, Any, Any]] = {
    "X25519": (X25519, x25519.X25519PrivateKey, x25519.X25519PublicKey),
    "X448": (X448, x448.X448PrivateKey, x448.X448PublicKey),
}


@source("RFC 7748, section 5.2", quick=4)
def montgomery_agreements() -> Iterator[Case]:
    for curve in MONTGOMERY:
        for row in records(VECTORS / f"asymmetric/{curve}/rfc7748.txt", "OUTPUT_U"):
            if "INPUT_SCALAR" in row:
                values = (bytes.fromhex(row[f"{f}"]) for f in ("INPUT_SCALAR", "INPUT_U", "OUTPUT_U"))
                yield Case(ck.CKM_ECDH1_DERIVE, curve, _montgomery(curve, *values))


def _montgomery(curve: str, scalar: bytes, u: bytes, wanted: bytes) -> Any:
    """The scalar comes in as it is; the point of the other side raw, or as the OCTET STRING it was in 3.0."""

    def run(bench: Bench) -> None:
        key = bench.private(ck.CKK_EC_MONTGOMERY, ec_params=MONTGOMERY[curve][0], value=scalar)
        assert bench.m.read(bench.s, key, ck.CKA_VALUE) == scalar
        for peer in (u, octet_string(u)):
            assert derived(bench, agreement(bench, peer), key, {}) == wanted
        assert derived(bench, agreement(bench, u), key, {ck.CKA_VALUE_LEN: 16}) == wanted[-16:]
        kdf = agreement(bench, u, ck.CKD_SHA256_KDF, b"info")
        assert derived(bench, kdf, key, {ck.CKA_VALUE_LEN: 40}) == x963("sha256", wanted, b"info", 40)
        rv, _ = bench.m.derive(bench.s, agreement(bench, u[:-1]), key, SECRET)
        assert name(rv) == "CKR_PUBLIC_KEY_INVALID"
        rv, _ = bench.m.derive(bench.s, agreement(bench, u, number=ck.CKM_ECDH1_COFACTOR_DERIVE), key, SECRET)
        assert name(rv) == "CKR_KEY_TYPE_INCONSISTENT"

    return run


@source("the cryptography package, with Montgomery pairs born in the token")
def montgomery_pairs() -> Iterator[Case]:
    for curve in MONTGOMERY:
        yield Case(ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, curve, _montgomery_pair(curve))


def _montgomery_pair(curve: str) -> Any:
    parameters, own, other = MONTGOMERY[curve]

    def run(bench: Bench) -> None:
        m, s, readable = bench.m, bench.s, {ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
        rv, one, two = m.pair(s, ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, {ck.CKA_EC_PARAMS: parameters}, readable)
        assert name(rv) == "CKR_OK"
        judge = own.from_private_bytes(m.read(s, two, ck.CKA_VALUE))
        raw = judge.public_key().public_bytes_raw()
        assert m.read(s, one, ck.CKA_EC_POINT) == m.read(s, two, ck.CKA_EC_POINT) == raw
        for half in (one, two):
            assert serialization.load_der_public_key(m.read(s, half, ck.CKA_PUBLIC_KEY_INFO)) == judge.public_key()
        for written in (raw, octet_string(raw)):
            imported = bench.public(ck.CKK_EC_MONTGOMERY, ec_params=parameters, ec_point=written)
            assert m.read(s, imported, ck.CKA_EC_POINT) == raw
        peer = own.generate()
        made = derived(bench, agreement(bench, peer.public_key().public_bytes_raw()), two, {})
        assert made == peer.exchange(other.from_public_bytes(raw))

    return run
