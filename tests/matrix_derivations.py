"""The matrix's rows of keys from keys and from passwords: HKDF, SP 800-108, hashes of keys, PBKDF2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import oracle_blocks as blocks
import oracle_hashes as hashes
from abi import ffi
from matrix import Generation, Keys, Oracle, Row, secret
from matrix_asymmetric import structure
from matrix_keys import AES_256, HMAC, aes
from matrix_symmetric import VALUE
from vectors import Bench
from vectors_derivation import array, counter, field, pbkdf2, total

from pkcs11_shim import constants as ck

HASHED = tuple(known for known in hashes.ALGORITHMS if known != "MD5")
HMAC_TYPES = (
    ck.CKK_GENERIC_SECRET, ck.CKK_HKDF, *(getattr(ck, f"CKK_{known}_HMAC") for known in HASHED)
)
SIZE, TEMPLATE = "CKR_KEY_SIZE_RANGE", "CKR_TEMPLATE_INCONSISTENT"
GENERIC = secret(ck.CKK_GENERIC_SECRET, HMAC)
SALT, INFO = b"salt", b"info of the application"


# -- HKDF (section 6.62)


def hkdf_parameter(known: int, salt: bytes | None, info: bytes, **more: Any) -> Any:
    kind = ck.CKF_HKDF_SALT_NULL if salt is None else ck.CKF_HKDF_SALT_DATA
    given = {
        "bExtract": 1, "bExpand": 1, "prfHashMechanism": known, "ulSaltType": kind, "pSalt": salt or b"",
        "ulSaltLen": len(salt or b""), "pInfo": info, "ulInfoLen": len(info), **more,
    }
    return structure("CK_HKDF_PARAMS", **given)


def _hkdf(known: str, key: bytes, salt: bytes | None, info: bytes) -> Oracle:
    extracted = hashes.hkdf_extract(known, salt or b"", key)
    return Oracle(lambda length: hashes.hkdf_expand(known, extracted, info, length))


def hkdf() -> list[Row]:
    rows = []
    sha256 = ck.CKM_SHA256
    wrong = (
        hkdf_parameter(ck.CKM_MD5, SALT, INFO), hkdf_parameter(2**32 + sha256, SALT, INFO),
        hkdf_parameter(sha256, SALT, INFO, bExtract=0, bExpand=0), hkdf_parameter(sha256, SALT, INFO, bExtract=2),
        hkdf_parameter(sha256, SALT, INFO, ulSaltType=0),
        hkdf_parameter(sha256, SALT, INFO, ulSaltType=ck.CKF_HKDF_SALT_NULL),
    )
    for number, makes in ((ck.CKM_HKDF_DERIVE, ck.CKO_SECRET_KEY), (ck.CKM_HKDF_DATA, ck.CKO_DATA)):
        data = makes == ck.CKO_DATA
        common: dict[str, Any] = {"makes": makes, "key_types": (ck.CKK_GENERIC_SECRET, ck.CKK_HKDF)}
        for known in ("SHA256", *(other for other in HASHED if other != "SHA256")):
            size = hashes.length(known)
            refused = {} if data else {13: SIZE}
            rows.append(Row(
                number, ("derive",), _hkdf(known, HMAC, SALT, INFO), secret(ck.CKK_HKDF, HMAC),
                hkdf_parameter(getattr(ck, f"CKM_{known}"), SALT, INFO), wrong, (14, size, size + 1, 255 * size),
                {"derive": {**refused, 255 * size + 1: SIZE}}, variant="" if known == "SHA256" else known, **common,
            ))
        rows.append(Row(
            number, ("derive",), _hkdf("SHA256", HMAC, None, b""), GENERIC, hkdf_parameter(sha256, None, b""), (),
            (32,), variant="no salt, no info", **common,
        ))
        extracted = hashes.hkdf_extract("SHA256", SALT, HMAC)
        rows.append(Row(
            number, ("derive",), Oracle(lambda length, extracted=extracted: extracted), GENERIC,
            hkdf_parameter(sha256, SALT, b"", bExpand=0), (), (32,),
            {"derive": {15: TEMPLATE, 31: TEMPLATE, 33: SIZE}}, variant="extracted only", needs_length=False, **common,
        ))
        rows.append(Row(
            number, ("derive",), Oracle(partial(hashes.hkdf_expand, "SHA256", HMAC, INFO)), GENERIC,
            hkdf_parameter(sha256, None, INFO, bExtract=0), (), (32, 100), variant="expanded only", **common,
        ))
    return rows


# -- SP 800-108 in counter mode (section 6.42)


Layout = Callable[[Bench], list[tuple[int, Any, int]]]


def kdf_parameter(prf: int, layout: Layout) -> Any:
    def make(bench: Bench) -> Any:
        rows = layout(bench)
        made = bench.m.keep(ffi.new("CK_PRF_DATA_PARAM[]", max(len(rows), 1)))
        for position, (kind, value, length) in enumerate(rows):
            made[position].type, made[position].pValue, made[position].ulValueLen = kind, value, length
        fields = {"prfType": prf, "pDataParams": made, "ulNumberOfDataParams": len(rows)}
        return bench.m.structure("CK_SP800_108_KDF_PARAMS", **fields)

    return make


def _counted(prf: hashes.Prf, key: bytes, message: Callable[[int, int], bytes]) -> Oracle:
    return Oracle(lambda length: hashes.counter_kdf(prf, key, lambda at: message(at, length), length))


def sp800_108() -> list[Row]:
    number = ck.CKM_SP800_108_COUNTER_KDF

    def plain(bench: Bench) -> list[tuple[int, Any, int]]:
        return [counter(bench, 16), array(bench, b"label"), array(bench, b"\0"), total(bench, 32)]

    def message(at: int, length: int) -> bytes:
        return at.to_bytes(2, "big") + b"label\0" + (8 * length).to_bytes(4, "big")

    layouts: tuple[Layout, ...] = (
        lambda bench: [], lambda bench: [array(bench, b"label")], lambda bench: [counter(bench, 8), counter(bench, 8)],
        lambda bench: [counter(bench, 8), total(bench, 8), total(bench, 8)], lambda bench: [counter(bench, 7)],
        lambda bench: [counter(bench, 40)], lambda bench: [counter(bench, 8, 2)],
        lambda bench: [counter(bench, 8), array(bench, b"")], lambda bench: [counter(bench, 8), total(bench, 12)],
        lambda bench: [counter(bench, 8), total(bench, 8, 3)],
        lambda bench: [counter(bench, 8), field(bench, ck.CK_SP800_108_ITERATION_VARIABLE, bytes(7))],
        lambda bench: [counter(bench, 8), field(bench, 99, b"x")],
    )
    sha256 = ck.CKM_SHA256_HMAC
    wrong = (
        *(kdf_parameter(sha256, layout) for layout in layouts), kdf_parameter(ck.CKM_SHA256, plain),
        kdf_parameter(ck.CKM_MD5_HMAC, plain), kdf_parameter(2**32 + sha256, plain),
    )
    refused = {"derive": dict.fromkeys((13, 4097), SIZE)}
    rows = []
    for known in ("SHA256", *(other for other in HASHED if other != "SHA256" and not other.startswith("SHA512_"))):
        rows.append(Row(
            number, ("derive",), _counted(hashes.hmac_prf(known), HMAC, message), GENERIC,
            kdf_parameter(getattr(ck, f"CKM_{known}_HMAC"), plain), wrong, (14, 33, 200), refused,
            key_types=HMAC_TYPES, variant="" if known == "SHA256" else known,
        ))
    encrypt = blocks.aes(AES_256)[0]
    rows.append(Row(
        number, ("derive",), _counted(lambda key, data: blocks.cmac(encrypt, data), b"", message), aes(),
        kdf_parameter(ck.CKM_AES_CMAC, plain), (), (14, 33), refused, variant="AES-CMAC",
    ))
    for width, little in ((8, 0), (24, 0), (32, 1)):
        order: Any = "little" if little else "big"
        rows.append(Row(
            number, ("derive",),
            _counted(hashes.hmac_prf("SHA256"), HMAC, lambda at, length, width=width, order=order: b"before"
                     + at.to_bytes(width // 8, order) + b"behind"), GENERIC,
            kdf_parameter(sha256, lambda bench, width=width, little=little: [
                array(bench, b"before"), counter(bench, width, little), array(bench, b"behind"),
            ]), (), (32, 41), refused, variant=f"counter of {width} bits{', little-endian' * little}",
        ))
    segments = ck.CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS
    rows.append(Row(
        number, ("derive",),
        _counted(hashes.hmac_prf("SHA256"), HMAC, lambda at, length: bytes([at]) + (
            256 * -(-length // 32)).to_bytes(8, "little")), GENERIC,
        kdf_parameter(sha256, lambda bench: [counter(bench, 8), total(bench, 64, segments, 1)]), (), (14, 41), refused,
        variant="length of the segments",
    ))
    return rows


# -- hashes of keys (section 6.21)


def hashed() -> list[Row]:
    rows = []
    for known in HASHED:
        number = getattr(ck, f"CKM_{known.replace('SHA_1', 'SHA1')}_KEY_DERIVATION")
        size = hashes.length(known)
        digest = hashes.digest(known, HMAC)
        keys: tuple[tuple[str, Keys], ...] = (("", GENERIC), ("of an HMAC key", secret(ck.CKK_SHA256_HMAC, HMAC)))
        for variant, key in keys:
            rows.append(Row(
                number, ("derive",), Oracle(lambda length, digest=digest: digest[:length]), key, None, (), (14, size),
                {"derive": {13: SIZE, size + 1: SIZE}}, key_types=(*HMAC_TYPES, ck.CKK_AES), variant=variant,
            ))
    return rows


# -- PBKDF2 (section 6.37)


def passwords() -> list[Generation]:
    rows = []
    for known in ("SHA256", "SHA_1", "SHA224", "SHA384", "SHA512", "SHA512_224", "SHA512_256"):
        prf = getattr(ck, f"CKP_PKCS5_PBKD2_HMAC_{known.replace('SHA_1', 'SHA1')}")
        changes: tuple[dict[str, Any], ...] = (
            {"prf": 0}, {"prf": 99}, {"prf": 2**32 + prf}, {"saltSource": 0}, {"iterations": 0},
            {"iterations": 2**32}, {"iterations": 2**63}, {"pPrfData": b"x", "ulPrfDataLen": 1},
        )

        def changed(change: dict[str, Any], prf: int = prf) -> Any:
            row = {"iterations": 3, "prf": prf, **change}
            return lambda bench: pbkdf2(bench, b"password", SALT, row["iterations"], **{
                field: value for field, value in row.items() if field != "iterations"
            })

        oracle = Oracle(partial(hashes.pbkdf2, known, b"password", SALT, 3))
        kind = {ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
        rows.append(Generation(
            ck.CKM_PKCS5_PBKD2, ck.CKK_GENERIC_SECRET, (1, 20, 100), dict.fromkeys((4097, 2**63), VALUE),
            parameter=changed({}), wrong=tuple(changed(change) for change in changes), oracle=oracle, template=kind,
            variant="" if known == "SHA256" else known,
        ))
    return rows


ROWS = [*hkdf(), *sp800_108(), *hashed()]
GENERATIONS = [
    Generation(ck.CKM_HKDF_KEY_GEN, ck.CKK_HKDF, (1, 48, 4096), dict.fromkeys((0, 4097, 2**63), VALUE)), *passwords(),
]
