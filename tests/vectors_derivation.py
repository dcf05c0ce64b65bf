"""Vectors of derivation: HKDF by RFC 5869, counter mode and hashes by NIST, PBKDF2 by RFC 6070 and 7914."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from abi import NULL, Rows, ffi, name
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from vectors import VECTORS, Bench, Case, records, source
from vectors_agreement import derived
from vectors_ec import SECRET
from vectors_symmetric import HASHES

from pkcs11_shim import constants as ck

KDF = VECTORS / "KDF"
KNOWN: dict[str, hashes.HashAlgorithm] = {
    "SHA_1": hashes.SHA1(), "SHA224": hashes.SHA224(), "SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(), "SHA512_224": hashes.SHA512_224(), "SHA512_256": hashes.SHA512_256(),
    "SHA3_224": hashes.SHA3_224(), "SHA3_256": hashes.SHA3_256(), "SHA3_384": hashes.SHA3_384(),
    "SHA3_512": hashes.SHA3_512(),
}


# -- HKDF


def hkdf(bench: Bench, known: str, number: int = ck.CKM_HKDF_DERIVE, **fields: Any) -> Any:
    """``salt`` and ``info``: bytes; ``salt_key``: a handle; other fields by their own names."""
    bench.mechanism(number)
    salt, info, key = fields.pop("salt", None), fields.pop("info", b""), fields.pop("salt_key", 0)
    kind = ck.CKF_HKDF_SALT_KEY if key else ck.CKF_HKDF_SALT_NULL if salt is None else ck.CKF_HKDF_SALT_DATA
    row = {
        "bExtract": 1, "bExpand": 1, "prfHashMechanism": getattr(ck, f"CKM_{known}"), "ulSaltType": kind,
        "pSalt": salt or b"", "ulSaltLen": len(salt or b""), "hSaltKey": key, "pInfo": info, "ulInfoLen": len(info),
    }
    return bench.m.mechanism(number, bench.m.structure("CK_HKDF_PARAMS", **{**row, **fields}))


def as_data(bench: Bench, mechanism: Any, key: int, length: int | None) -> bytes:
    rows = {} if length is None else {ck.CKA_VALUE_LEN: length}
    rv, made = bench.m.derive(bench.s, mechanism, key, {ck.CKA_CLASS: ck.CKO_DATA, **rows})
    assert name(rv) == "CKR_OK"
    value = bench.m.read(bench.s, made, ck.CKA_VALUE)
    assert bench.m.C_DestroyObject(bench.s, made) == ck.CKR_OK
    return value


@source("RFC 5869, and pyca's of 1200 bytes")
def hkdf_vectors() -> Iterator[Case]:
    files = ("SHA256", "rfc-5869-HKDF-SHA256"), ("SHA_1", "rfc-5869-HKDF-SHA1"), ("SHA256", "hkdf-generated")
    for known, file in files:
        for row in records(KDF / f"{file}.txt", "OKM"):
            for number in (ck.CKM_HKDF_DERIVE, ck.CKM_HKDF_DATA):
                yield Case(number, file, _hkdf(number, known, row))


def _hkdf(number: int, known: str, row: dict[str, str]) -> Any:
    """In one, and its two halves; the salt as data and as a key, and none where it is of zeros or empty."""
    ikm, salt, info, okm = (bytes.fromhex(row.get(f, "")) for f in ("IKM", "SALT", "INFO", "OKM"))
    size = KNOWN[known].digest_size
    prk = bytes.fromhex(row["PRK"]) if "PRK" in row else HKDF.extract(KNOWN[known], salt or None, ikm)

    def run(bench: Bench) -> None:
        def made(key_type: int, value: bytes, length: int | None, **fields: Any) -> bytes:
            if number == ck.CKM_HKDF_DATA:
                return as_data(bench, hkdf(bench, known, number, **fields), bench.secret(value, key_type), length)
            rows = {} if length is None else {ck.CKA_VALUE_LEN: length}
            return derived(bench, hkdf(bench, known, number, **fields), bench.secret(value, key_type), rows)

        for key_type in (ck.CKK_HKDF, ck.CKK_GENERIC_SECRET):
            assert made(key_type, ikm, len(okm), salt=salt, info=info) == okm
            assert made(key_type, ikm, None, salt=salt, bExpand=0) == prk
            assert made(key_type, ikm, size, salt=salt, bExpand=0, info=b"ignored") == prk
            assert made(key_type, prk, len(okm), bExtract=0, info=info, salt=b"ignored") == okm
            salts = [bench.secret(salt, key_type)] if salt else []
            for salt_key in salts:
                assert made(key_type, ikm, len(okm), salt_key=salt_key, info=info) == okm
            if not salt:
                assert made(key_type, ikm, len(okm), info=info) == okm
                assert made(key_type, ikm, len(okm), salt=bytes(size), info=info) == okm

    return run


@source("the cryptography package, HKDF", quick=11)
def hkdf_of_each_hash() -> Iterator[Case]:
    for known, algorithm in KNOWN.items():
        for number in (ck.CKM_HKDF_DERIVE, ck.CKM_HKDF_DATA):

            def run(bench: Bench, known: str = known, algorithm: Any = algorithm, number: int = number) -> None:
                longest = 255 * algorithm.digest_size
                key, given = bench.secret(b"input" * 9, ck.CKK_HKDF), hkdf(bench, known, number, salt=b"s", info=b"i")
                if number == ck.CKM_HKDF_DATA:
                    made = as_data(bench, given, key, longest)
                else:
                    made = derived(bench, given, key, {ck.CKA_VALUE_LEN: longest})
                assert made == HKDF(algorithm, longest, b"s", b"i").derive(b"input" * 9)

            yield Case(number, known, run)


@source("the standard, section 6.62: any length, 32 bytes asked for")
def hkdf_keys() -> Iterator[Case]:
    def run(bench: Bench) -> None:
        """The key born is what the cryptography package derives from as well."""
        rows = {ck.CKA_VALUE_LEN: 32, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True}
        rv, key = bench.m.generate(bench.s, ck.CKM_HKDF_KEY_GEN, rows)
        assert name(rv) == "CKR_OK"
        assert bench.m.read(bench.s, key, ck.CKA_KEY_TYPE) == ck.CKK_HKDF.to_bytes(8, "little")
        value = bench.m.read(bench.s, key, ck.CKA_VALUE)
        made = derived(bench, hkdf(bench, "SHA256", info=b"i"), key, {ck.CKA_VALUE_LEN: 32})
        assert made == HKDF(hashes.SHA256(), 32, None, b"i").derive(value)

    yield Case(ck.CKM_HKDF_KEY_GEN, "", run)


# -- SP 800-108


def field(bench: Bench, kind: int, value: Any) -> tuple[int, Any, int]:
    """A row of CK_PRF_DATA_PARAM: of bytes, or of a structure made before."""
    if isinstance(value, bytes):
        return kind, bench.m.bytes(value) if value else NULL, len(value)
    return kind, value, ffi.sizeof(ffi.typeof(value).item)


def counter(bench: Bench, bits: int, little: int = 0) -> tuple[int, Any, int]:
    made = bench.m.structure("CK_SP800_108_COUNTER_FORMAT", bLittleEndian=little, ulWidthInBits=bits)
    return field(bench, ck.CK_SP800_108_ITERATION_VARIABLE, made)


def total(bench: Bench, bits: int, method: int = ck.CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, little: int = 0) -> Any:
    row = {"dkmLengthMethod": method, "bLittleEndian": little, "ulWidthInBits": bits}
    return field(bench, ck.CK_SP800_108_DKM_LENGTH, bench.m.structure("CK_SP800_108_DKM_LENGTH_FORMAT", **row))


def array(bench: Bench, value: bytes) -> tuple[int, Any, int]:
    return field(bench, ck.CK_SP800_108_BYTE_ARRAY, value)


def counter_mode(bench: Bench, prf: int, *rows: tuple[int, Any, int], **more: Any) -> Any:
    made = bench.m.keep(ffi.new("CK_PRF_DATA_PARAM[]", max(len(rows), 1)))
    for position, (kind, value, length) in enumerate(rows):
        made[position].type, made[position].pValue, made[position].ulValueLen = kind, value, length
    given = {"prfType": prf, "pDataParams": made, "ulNumberOfDataParams": len(rows), **more}
    return bench.m.mechanism(ck.CKM_SP800_108_COUNTER_KDF, bench.m.structure("CK_SP800_108_KDF_PARAMS", **given))


@source("NIST CAVP, SP 800-108 counter mode", quick=2)
def counter_mode_vectors() -> Iterator[Case]:
    section: dict[str, str] = {}
    row: dict[str, str] = {}
    for line in (KDF / "nist-800-108-KBKDF-CTR.txt").read_text().splitlines():
        left, _, value = line.strip("[] \t").partition("=")
        (section if line.startswith("[") else row)[left.strip()] = value.strip()
        if left.strip() == "KO" and "TDES" not in section["PRF"]:
            kind = " ".join(section.values())
            yield Case(ck.CKM_SP800_108_COUNTER_KDF, kind, _counter_mode(dict(section), dict(row)))
        if not line.strip():
            row = {}


def _counter_mode(section: dict[str, str], row: dict[str, str]) -> Any:
    known = section["PRF"].removeprefix("HMAC_").replace("SHA1", "SHA_1")
    prf = ck.CKM_AES_CMAC if "CMAC" in known else getattr(ck, f"CKM_{known}_HMAC")
    bits, place = int(section["RLEN"].split("_")[0]), section["CTRLOCATION"]
    wanted = bytes.fromhex(row["KO"])

    def run(bench: Bench) -> None:
        bench.mechanism(ck.CKM_SP800_108_COUNTER_KDF)
        number = counter(bench, bits)
        if place == "MIDDLE_FIXED":
            before, after = (bytes.fromhex(row[f"Data{side}CtrData"]) for side in ("Before", "After"))
            rows = [array(bench, before), number, array(bench, after)]
        else:
            fixed = bytes.fromhex(row["FixedInputData"])
            split = [array(bench, fixed[:7]), array(bench, fixed[7:])]
            rows = [number, *split] if place == "BEFORE_FIXED" else [*split, number]
        key_type = ck.CKK_AES if prf == ck.CKM_AES_CMAC else ck.CKK_GENERIC_SECRET
        key = bench.secret(bytes.fromhex(row["KI"]), key_type)
        assert derived(bench, counter_mode(bench, prf, *rows), key, {ck.CKA_VALUE_LEN: len(wanted)}) == wanted

    return run


@source("the cryptography package, KBKDF with lengths and keys in its input", quick=9)
def counter_mode_layouts() -> Iterator[Case]:
    for known in KNOWN:
        if not known.startswith("SHA512_"):
            yield Case(ck.CKM_SP800_108_COUNTER_KDF, known, _layout(known))


def _layout(known: str) -> Any:
    algorithm = KNOWN[known]
    wanted = 2 * algorithm.digest_size + 5

    def judge(llen: int, length: int, fixed: bytes) -> bytes:
        kdf = KBKDFHMAC(
            algorithm, Mode.CounterMode, wanted, 4, None, CounterLocation.BeforeFixed, None, None,
            fixed + length.to_bytes(llen, "big"),
        )
        return kdf.derive(b"the base key" * 3)

    def run(bench: Bench) -> None:
        bench.mechanism(ck.CKM_SP800_108_COUNTER_KDF)
        key, other = bench.secret(b"the base key" * 3, ck.CKK_GENERIC_SECRET), bench.secret(b"other", ck.CKK_HKDF)
        handle = field(bench, ck.CK_SP800_108_KEY_HANDLE, other.to_bytes(8, "little"))
        start = counter(bench, 32), array(bench, b"label"), array(bench, b"\0"), handle
        prf, rows = getattr(ck, f"CKM_{known}_HMAC"), {ck.CKA_VALUE_LEN: wanted}
        of_keys = counter_mode(bench, prf, *start, total(bench, 32))
        assert derived(bench, of_keys, key, rows) == judge(4, 8 * wanted, b"label\0other")
        segments = ck.CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS
        of_segments = counter_mode(bench, prf, *start, total(bench, 64, segments))
        assert derived(bench, of_segments, key, rows) == judge(8, 24 * algorithm.digest_size, b"label\0other")
        # Least significant byte first: a counter of one byte reads the same both ways, with a zero behind it.
        little = counter_mode(bench, prf, counter(bench, 16, 1), array(bench, b"x"))
        plain = counter_mode(bench, prf, counter(bench, 8), array(bench, b"\0x"))
        assert derived(bench, little, key, rows) == derived(bench, plain, key, rows)

    return run


# -- hashes of keys


@source("NIST CAVP, SHA messages as keys", quick=2)
def hashed_keys() -> Iterator[Case]:
    for file, known in HASHES.items():
        number = getattr(ck, f"CKM_{'SHA1' if known == 'SHA_1' else known}_KEY_DERIVATION")
        for row in records(VECTORS / "hashes" / f"{file}ShortMsg.rsp", "MD"):
            message, wanted = bytes.fromhex(row["MSG"])[: int(row["LEN"]) // 8], bytes.fromhex(row["MD"])
            if message:
                yield Case(number, known, _hashed(number, message, wanted))


def _hashed(number: int, value: bytes, wanted: bytes) -> Any:
    def run(bench: Bench) -> None:
        key = bench.secret(value, ck.CKK_GENERIC_SECRET)
        mechanism = bench.mechanism(number)
        assert derived(bench, mechanism, key, {}) == wanted
        for length in (14, len(wanted) - 1, len(wanted)):
            assert derived(bench, mechanism, key, {ck.CKA_VALUE_LEN: length}) == wanted[:length]
        assert derived(bench, mechanism, key, {ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 16}) == wanted[:16]
        rv, _ = bench.m.derive(bench.s, mechanism, key, {**SECRET, ck.CKA_VALUE_LEN: len(wanted) + 1})
        assert name(rv) == "CKR_KEY_SIZE_RANGE"

    return run


# -- PBKDF2


def pbkdf2(bench: Bench, password: bytes, salt: bytes, iterations: int, **more: Any) -> Any:
    row = {
        "saltSource": ck.CKZ_SALT_SPECIFIED, "pSaltSourceData": salt, "ulSaltSourceDataLen": len(salt),
        "iterations": iterations, "prf": ck.CKP_PKCS5_PBKD2_HMAC_SHA1, "pPassword": password,
        "ulPasswordLen": len(password), **more,
    }
    return bench.m.structure("CK_PKCS5_PBKD2_PARAMS2", **row)


def _password_key(bench: Bench, parameter: Any, rows: Rows) -> bytes:
    rv, made = bench.m.generate(bench.s, ck.CKM_PKCS5_PBKD2, {**SECRET, **rows}, parameter)
    assert name(rv) == "CKR_OK"
    return bench.m.read(bench.s, made, ck.CKA_VALUE)


@source("RFC 6070, PBKDF2", quick=6)
def password_vectors() -> Iterator[Case]:
    for row in records(KDF / "rfc-6070-PBKDF2-SHA1.txt", "DERIVED_KEY"):
        if int(row["ITERATIONS"]) < 10_000_000:
            password, salt = (row[f].replace("\\0", "\0").encode() for f in ("PASSWORD", "SALT"))

            def run(bench: Bench, row: dict[str, str] = row, password: bytes = password, salt: bytes = salt) -> None:
                parameter = pbkdf2(bench, password, salt, int(row["ITERATIONS"]))
                made = _password_key(bench, parameter, {ck.CKA_VALUE_LEN: int(row["LENGTH"])})
                assert made == bytes.fromhex(row["DERIVED_KEY"])

            yield Case(ck.CKM_PKCS5_PBKD2, "SHA1", run)


RFC_7914 = (
    (b"passwd", b"salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
     "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"),
    (b"Password", b"NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
     "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"),
)


@source("RFC 7914, section 11, PBKDF2", quick=2)
def password_vectors_of_sha256() -> Iterator[Case]:
    for password, salt, iterations, wanted in RFC_7914:

        def run(bench: Bench, password: bytes = password, salt: bytes = salt, iterations: int = iterations,
                wanted: str = wanted) -> None:
            parameter = pbkdf2(bench, password, salt, iterations, prf=ck.CKP_PKCS5_PBKD2_HMAC_SHA256)
            assert _password_key(bench, parameter, {ck.CKA_VALUE_LEN: 64}).hex() == wanted

        yield Case(ck.CKM_PKCS5_PBKD2, "SHA256", run)


@source("the cryptography package, PBKDF2", quick=7)
def passwords_of_each_hash() -> Iterator[Case]:
    for known in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512_224", "SHA512_256"):

        def run(bench: Bench, known: str = known) -> None:
            prf = getattr(ck, f"CKP_PKCS5_PBKD2_HMAC_{known}")
            made = _password_key(bench, pbkdf2(bench, b"password", b"salt", 7, prf=prf), {
                ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32,
            })
            judge = PBKDF2HMAC(KNOWN[known.replace("SHA1", "SHA_1")], 32, b"salt", 7)
            assert made == judge.derive(b"password")

        yield Case(ck.CKM_PKCS5_PBKD2, known, run)
