"""Where no published vectors are at hand, OpenSSL's own program makes and judges them: SHA-3 signatures, some HMACs."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from abi import ulong
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from vectors import Bench, Case, source
from vectors_ec import CURVES, halves, point
from vectors_rsa import pss
from vectors_symmetric import mac

from pkcs11_shim import constants as ck

SHA3 = {"SHA3_224": "sha3-224", "SHA3_256": "sha3-256", "SHA3_384": "sha3-384", "SHA3_512": "sha3-512"}
MESSAGE = b"what OpenSSL signs, the token verifies, and the other way round"


def openssl(*arguments: str, **files: bytes) -> bytes:
    """Its standard output; each of ``files`` lies in the folder it runs in."""
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            Path(folder, file).write_bytes(content)
        return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True).stdout


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(curve: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVES[curve][0])


def pem(key: Any) -> bytes:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    made: bytes = key.private_bytes(serialization.Encoding.PEM, form, none)
    return made


def public_pem(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


def theirs(digest: str, key: Any, *options: str) -> bytes:
    return openssl("dgst", f"-{digest}", "-sign", "key", *options, "data", key=pem(key), data=MESSAGE)


def judged(digest: str, key: Any, signature: bytes, *options: str) -> None:
    said = openssl(
        "dgst", f"-{digest}", "-verify", "key", *options, "-signature", "signature", "data",
        key=public_pem(key), data=MESSAGE, signature=signature,
    )
    assert said == b"Verified OK\n"


def _big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _rsa_pair(bench: Bench) -> tuple[int, int]:
    known = rsa_key().private_numbers()
    both = {"modulus": _big(known.public_numbers.n), "public_exponent": _big(known.public_numbers.e)}
    secret = bench.private(ck.CKK_RSA, **both, private_exponent=_big(known.d))
    return bench.public(ck.CKK_RSA, **both), secret


def _rsa(number: int, digest: str, parameter: Any, *options: str) -> Any:
    def run(bench: Bench) -> None:
        bench.mechanism(number)
        mechanism = bench.m.mechanism(number, parameter(bench))
        public, private = _rsa_pair(bench)
        bench.verify(mechanism, public, MESSAGE, theirs(digest, rsa_key(), *options))
        bench.verify(mechanism, public, MESSAGE + b"x", theirs(digest, rsa_key(), *options), "CKR_SIGNATURE_INVALID")
        judged(digest, rsa_key(), bench.sign(mechanism, private, MESSAGE), *options)
        judged(digest, rsa_key(), bench.sign_in_parts(mechanism, private, MESSAGE), *options)

    return run


def _ecdsa(number: int, digest: str, curve: str = "P-384") -> Any:
    octets = CURVES[curve][1]

    def run(bench: Bench) -> None:
        numbers = ec_key(curve).private_numbers()
        raw = point(curve, f"{numbers.public_numbers.x:x}", f"{numbers.public_numbers.y:x}")
        public = bench.public(ck.CKK_EC, ec_params=CURVES[curve][2], ec_point=raw)
        value = numbers.private_value.to_bytes(octets, "big")
        private = bench.private(ck.CKK_EC, ec_params=CURVES[curve][2], value=value)
        mechanism = bench.mechanism(number)
        r, s = utils.decode_dss_signature(theirs(digest, ec_key(curve)))
        bench.verify(mechanism, public, MESSAGE, halves(r, s, octets))
        bench.verify(mechanism, public, MESSAGE + b"x", halves(r, s, octets), "CKR_SIGNATURE_INVALID")
        for made in (bench.sign(mechanism, private, MESSAGE), bench.sign_in_parts(mechanism, private, MESSAGE)):
            r, s = int.from_bytes(made[:octets], "big"), int.from_bytes(made[octets:], "big")
            judged(digest, ec_key(curve), utils.encode_dss_signature(r, s))

    return run


@source("OpenSSL 3, dgst")
def signatures_of_sha3() -> Iterator[Case]:
    options = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
    for known, digest in SHA3.items():
        number = getattr(ck, f"CKM_{known}_RSA_PKCS")
        yield Case(number, "", _rsa(number, digest, lambda bench: None))
        number, salt = getattr(ck, f"CKM_{known}_RSA_PKCS_PSS"), int(digest[-3:]) // 8
        yield Case(number, "", _rsa(number, digest, pss(known, salt), *options))
        mixed = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:7", "-sigopt", "rsa_mgf1_md:sha1")
        yield Case(number, "mixed", _rsa(number, digest, pss(known, 7, "SHA1"), *mixed))
        number = getattr(ck, f"CKM_ECDSA_{known}")
        yield Case(number, "", _ecdsa(number, digest))


@source("OpenSSL 3, dgst, on Brainpool's curves", quick=1)
def signatures_of_brainpool() -> Iterator[Case]:
    for curve in CURVES:
        if curve.startswith("brainpool"):
            for known in ("SHA256", "SHA384", "SHA512"):
                number = getattr(ck, f"CKM_ECDSA_{known}")
                yield Case(number, curve, _ecdsa(number, known.lower(), curve))


@source("OpenSSL 3, mac")
def hmacs_of_truncated_sha512() -> Iterator[Case]:
    for known, digest in (("SHA512_224", "SHA512-224"), ("SHA512_256", "SHA512-256")):
        key, number = bytes(range(40)), getattr(ck, f"CKM_{known}_HMAC")
        said = openssl("mac", "-digest", digest, "-macopt", f"hexkey:{key.hex()}", "-in", "data", "HMAC", data=MESSAGE)
        wanted = bytes.fromhex(said.decode())
        own = getattr(ck, f"CKK_{known}_HMAC")
        yield Case(number, "", mac(number, None, own, key, MESSAGE, wanted))
        general = getattr(ck, f"CKM_{known}_HMAC_GENERAL")
        yield Case(general, "", mac(general, ulong(10), own, key, MESSAGE, wanted[:10]))
