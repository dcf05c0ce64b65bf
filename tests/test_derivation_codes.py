"""Derivation through the C ABI: what each mechanism refuses of parameters, keys and lengths, and by which code."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from abi import Rows, ffi, good, name
from test_derivations import HMAC, PARAM, SIZE, TEMPLATE, derive, known
from test_key_policy import OPEN, P256
from test_life_cycle import succeeds
from vectors import Bench, bench_of_its_own
from vectors_agreement import agreement
from vectors_derivation import array, counter, counter_mode, field, hkdf, pbkdf2, total
from vectors_ec import SECRET

from hsm.mechanisms.derivation import LONGEST_INPUT
from pkcs11_shim import constants as ck

COUNTER = ck.CK_SP800_108_COUNTER


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


@pytest.mark.parametrize("fields", [
    {"bExtract": 0, "bExpand": 0}, {"bExtract": 2}, {"bExpand": 255}, {"prfHashMechanism": ck.CKM_MD5},
    {"prfHashMechanism": ck.CKM_SHA256_HMAC}, {"ulSaltType": 0}, {"ulSaltType": 3}, {"ulSaltType": 8},
    {"ulSaltType": ck.CKF_HKDF_SALT_NULL, "pSalt": b"s", "ulSaltLen": 1},
])
def test_wrong_parameters_of_hkdf(bench: Bench, fields: dict[str, Any]) -> None:
    for number in (ck.CKM_HKDF_DERIVE, ck.CKM_HKDF_DATA):
        mechanism = hkdf(bench, "SHA256", number, **fields)
        assert derive(bench, mechanism, known(bench), {ck.CKA_VALUE_LEN: 32})[0] == PARAM
        for other in (None, bytes(8)):
            assert derive(bench, bench.mechanism(number, other), known(bench), {ck.CKA_VALUE_LEN: 32})[0] == PARAM


@pytest.mark.parametrize(("key_type", "length", "fields", "rows", "wanted"), [
    (ck.CKK_GENERIC_SECRET, 31, {"bExtract": 0}, {ck.CKA_VALUE_LEN: 32}, SIZE),
    (ck.CKK_GENERIC_SECRET, 33, {"bExtract": 0}, {ck.CKA_VALUE_LEN: 32}, "CKR_OK"),
    (ck.CKK_GENERIC_SECRET, 32, {}, {}, "CKR_TEMPLATE_INCOMPLETE"),
    (ck.CKK_GENERIC_SECRET, 32, {}, {ck.CKA_VALUE_LEN: 255 * 32}, "CKR_OK"),
    (ck.CKK_GENERIC_SECRET, 32, {}, {ck.CKA_VALUE_LEN: 255 * 32 + 1}, SIZE),
    (ck.CKK_GENERIC_SECRET, 32, {}, {ck.CKA_VALUE_LEN: 2**63}, SIZE),
    (ck.CKK_GENERIC_SECRET, 32, {"bExpand": 0}, {ck.CKA_VALUE_LEN: 31}, TEMPLATE),
    (ck.CKK_GENERIC_SECRET, 32, {"bExpand": 0}, {ck.CKA_VALUE_LEN: 33}, SIZE),
    (ck.CKK_GENERIC_SECRET, 32, {}, {ck.CKA_VALUE_LEN: 20, ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_ATTRIBUTE_VALUE_INVALID"),
    (ck.CKK_AES, 32, {}, {ck.CKA_VALUE_LEN: 32}, "CKR_KEY_TYPE_INCONSISTENT"),
    (ck.CKK_SHA256_HMAC, 32, {}, {ck.CKA_VALUE_LEN: 32}, "CKR_KEY_TYPE_INCONSISTENT"),
    (ck.CKK_HKDF, 32, {}, {ck.CKA_VALUE_LEN: 32, ck.CKA_CLASS: ck.CKO_DATA}, TEMPLATE),
])
def test_keys_and_lengths_of_hkdf(
    bench: Bench, key_type: int, length: int, fields: dict[str, Any], rows: Rows, wanted: str
) -> None:
    base = bench.secret(b"b" * length, key_type)
    assert derive(bench, hkdf(bench, "SHA256", **fields), base, rows)[0] == wanted


FIELDS: list[tuple[Callable[[Bench], list[Any]], str]] = [
    (lambda b: [], PARAM), (lambda b: [array(b, b"x")], PARAM), (lambda b: [counter(b, 8), counter(b, 8)], PARAM),
    (lambda b: [counter(b, 8), total(b, 32), total(b, 32)], PARAM), (lambda b: [counter(b, 0)], PARAM),
    (lambda b: [counter(b, 12)], PARAM), (lambda b: [counter(b, 40)], PARAM), (lambda b: [counter(b, 8, 2)], PARAM),
    (lambda b: [counter(b, 8), total(b, 0)], PARAM), (lambda b: [counter(b, 8), total(b, 72)], PARAM),
    (lambda b: [counter(b, 8), total(b, 8)], PARAM),  # 256 bits do not fit
    (lambda b: [counter(b, 8), total(b, 32, 3)], PARAM), (lambda b: [counter(b, 8), array(b, b"")], PARAM),
    (lambda b: [counter(b, 8), field(b, COUNTER, counter(b, 8)[1])], PARAM),
    (lambda b: [counter(b, 8), field(b, 99, b"x")], PARAM),
    (lambda b: [field(b, ck.CK_SP800_108_ITERATION_VARIABLE, bytes(15))], PARAM),
    (lambda b: [field(b, ck.CK_SP800_108_ITERATION_VARIABLE, b"")], PARAM),
    (lambda b: [counter(b, 8), field(b, ck.CK_SP800_108_DKM_LENGTH, bytes(16))], PARAM),
    (lambda b: [counter(b, 8), field(b, ck.CK_SP800_108_KEY_HANDLE, bytes(7))], PARAM),
    (lambda b: [counter(b, 8), field(b, ck.CK_SP800_108_KEY_HANDLE, bytes(8))], "CKR_KEY_HANDLE_INVALID"),
    (lambda b: [counter(b, 8)], "CKR_OK"), (lambda b: [counter(b, 8), total(b, 16)], "CKR_OK"),
]


@pytest.mark.parametrize(("rows", "wanted"), FIELDS)
def test_fields_of_the_counter_mode(bench: Bench, rows: Callable[[Bench], list[Any]], wanted: str) -> None:
    base = known(bench)
    bench.m._kept.clear()
    mechanism = counter_mode(bench, HMAC, *rows(bench))
    assert derive(bench, mechanism, base, {**SECRET, ck.CKA_VALUE_LEN: 32})[0] == wanted


@pytest.mark.parametrize(("prf", "key_type", "length", "wanted"), [
    (ck.CKM_SHA256, ck.CKK_GENERIC_SECRET, 32, PARAM), (ck.CKM_SHA512_256_HMAC, ck.CKK_GENERIC_SECRET, 32, PARAM),
    (ck.CKM_AES_CMAC, ck.CKK_GENERIC_SECRET, 32, "CKR_KEY_TYPE_INCONSISTENT"),
    (HMAC, ck.CKK_AES, 32, "CKR_KEY_TYPE_INCONSISTENT"), (HMAC, ck.CKK_SHA256_HMAC, 32, "CKR_OK"),
    (HMAC, ck.CKK_HKDF, 4096, "CKR_OK"), (HMAC, ck.CKK_HKDF, 4097, SIZE), (ck.CKM_AES_CMAC, ck.CKK_AES, 4080, "CKR_OK"),
    (ck.CKM_AES_CMAC, ck.CKK_AES, 4081, SIZE),
])
def test_functions_of_the_counter_mode(bench: Bench, prf: int, key_type: int, length: int, wanted: str) -> None:
    """A counter of 8 bits makes 255 segments."""
    base = bench.secret(b"b" * 32, key_type)
    mechanism = counter_mode(bench, prf, counter(bench, 8))
    assert derive(bench, mechanism, base, {**SECRET, ck.CKA_VALUE_LEN: length})[0] == wanted


def test_more_keys_from_one_call_are_refused(bench: Bench) -> None:
    """Their handles would be written into the parameter. Nothing is made, and no handle is touched."""
    base, handle = known(bench), ffi.new("CK_OBJECT_HANDLE*", 7)
    more = bench.m.keep(ffi.new("CK_DERIVED_KEY[1]"))
    more[0].phKey = handle
    fields = {"ulAdditionalDerivedKeys": 1, "pAdditionalDerivedKeys": more}
    mechanism = counter_mode(bench, HMAC, counter(bench, 8), **fields)
    assert derive(bench, mechanism, base, {**SECRET, ck.CKA_VALUE_LEN: 32})[0] == PARAM
    assert handle[0] == 7


@pytest.mark.parametrize("fields", [
    {"saltSource": 0}, {"saltSource": 2}, {"iterations": 0}, {"iterations": 10_000_001}, {"iterations": 2**63},
    {"prf": 0}, {"prf": ck.CKP_PKCS5_PBKD2_HMAC_GOSTR3411}, {"prf": 9}, {"pPrfData": b"x", "ulPrfDataLen": 1},
    {"ulPasswordLen": 2**46 + 4096}, {"ulPasswordLen": 2**64 - 1},  # no length, and pointers to nothing
])
def test_wrong_parameters_of_pbkdf2(bench: Bench, fields: dict[str, Any]) -> None:
    parameter = pbkdf2(bench, b"pw", b"salt", **{"iterations": 1, **fields})
    rv, _ = bench.m.generate(bench.s, ck.CKM_PKCS5_PBKD2, {**SECRET, ck.CKA_VALUE_LEN: 32}, parameter)
    assert name(rv) == PARAM
    for other in (None, bytes(72)):
        rv, _ = bench.m.generate(bench.s, ck.CKM_PKCS5_PBKD2, {**SECRET, ck.CKA_VALUE_LEN: 32}, other)
        assert name(rv) == PARAM


def test_the_password_length_of_2_40_is_pointed_to(bench: Bench) -> None:
    """CK_PKCS5_PBKD2_PARAMS, which NSS sends, makes the other structure's key. A pointer to too much is refused."""
    rows = {**SECRET, ck.CKA_VALUE_LEN: 32, ck.CKA_SENSITIVE: b"\0", ck.CKA_EXTRACTABLE: b"\1"}
    length = ctypes.c_ulong(2)
    values = []
    for said in (2, ctypes.addressof(length)):
        parameter = pbkdf2(bench, b"pw", b"salt", 9, ulPasswordLen=said)
        rv, key = bench.m.generate(bench.s, ck.CKM_PKCS5_PBKD2, rows, parameter)
        assert name(rv) == "CKR_OK"
        values.append(bench.m.read(bench.s, key, ck.CKA_VALUE))
    assert values == [hashlib.pbkdf2_hmac("sha1", b"pw", b"salt", 9, 32)] * 2
    length.value = 2**40
    parameter = pbkdf2(bench, b"pw", b"salt", 9, ulPasswordLen=ctypes.addressof(length))
    assert name(bench.m.generate(bench.s, ck.CKM_PKCS5_PBKD2, rows, parameter)[0]) == PARAM


def test_the_pointed_length_in_a_sandbox(adyton_token: Any) -> None:
    """Containers keep process_vm_readv(2) from a process, and stricter filters kill it for the try. Pointers to what
    can't be read, in part or at all, are refused; the signal mask is as before."""
    succeeds("""
        import ctypes, mmap, platform, signal, struct
        libc = ctypes.CDLL(None, use_errno=True)
        number = {"x86_64": 310, "aarch64": 270}[platform.machine()]
        rows = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
        rules = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in rows))
        filter = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(rows), ctypes.addressof(rules)))
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter) == 0
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        pages = libc.mmap(None, 8192, 3, 0x22, -1, 0)
        assert libc.mprotect(ctypes.c_void_p(pages + 4096), 4096, 0) == 0
        good(m.C_Initialize(NULL)); s = m.session(); good(m.login(s, os.environ["ADYTON_PIN"]))
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]) | {signal.SIGUSR1}
        def told(address):
            salt, password = ffi.new("char[]", b"salt"), ffi.new("char[]", b"pw")
            of = {"saltSource": 1, "pSaltSourceData": salt, "ulSaltSourceDataLen": 4, "iterations": 9, "prf": 1,
                  "pPassword": password, "ulPasswordLen": address}
            parameter = ffi.new("CK_PKCS5_PBKD2_PARAMS2*", of)
            mechanism = ffi.new("CK_MECHANISM*", {"mechanism": ck.CKM_PKCS5_PBKD2, "pParameter": parameter,
                                                  "ulParameterLen": ffi.sizeof("CK_PKCS5_PBKD2_PARAMS2")})
            values = [ffi.new("CK_ULONG*", v) for v in (ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET, 32)]
            types = (ck.CKA_CLASS, ck.CKA_KEY_TYPE, ck.CKA_VALUE_LEN)
            template = ffi.new("CK_ATTRIBUTE[3]", [(t, v, 8) for t, v in zip(types, values)])
            return name(m.C_GenerateKey(s, mechanism, template, 3, ffi.new("CK_OBJECT_HANDLE*")))
        for at in (pages, pages + 1, pages + 4088):
            ctypes.memmove(at, struct.pack("<Q", 2), 8)
            assert told(at) == "CKR_OK", at - pages
        for at in (pages + 4089, pages + 4096, 2**47 - 8, 2**47 - 4, 2**63, 2**64 - 8, 2**64 - 1):
            assert told(at) == "CKR_MECHANISM_PARAM_INVALID", hex(at)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == blocked
    """)


@pytest.mark.parametrize(("rows", "iterations", "wanted"), [
    ({ck.CKA_VALUE_LEN: 20}, 1, "CKR_TEMPLATE_INCOMPLETE"),  # CKA_KEY_TYPE must be there too (section 6.37.4)
    (SECRET, 1, "CKR_TEMPLATE_INCOMPLETE"), ({**SECRET, ck.CKA_VALUE_LEN: 4097}, 1, "CKR_ATTRIBUTE_VALUE_INVALID"),
    ({**SECRET, ck.CKA_VALUE_LEN: 41}, 4_000_000, PARAM),  # three blocks
    ({ck.CKA_VALUE_LEN: 20, ck.CKA_KEY_TYPE: ck.CKK_AES}, 1, "CKR_ATTRIBUTE_VALUE_INVALID"),
    ({ck.CKA_VALUE_LEN: 32, ck.CKA_KEY_TYPE: ck.CKK_RSA}, 1, TEMPLATE),
    ({**SECRET, ck.CKA_VALUE_LEN: 32, ck.CKA_CLASS: ck.CKO_PRIVATE_KEY}, 1, TEMPLATE),
])
def test_keys_of_pbkdf2(bench: Bench, rows: Rows, iterations: int, wanted: str) -> None:
    parameter = pbkdf2(bench, b"pw", b"salt", iterations)
    assert name(bench.m.generate(bench.s, ck.CKM_PKCS5_PBKD2, rows, parameter)[0]) == wanted


@pytest.mark.parametrize(("number", "rows", "wanted"), [
    (ck.CKM_SHA1_KEY_DERIVATION, {ck.CKA_VALUE_LEN: 21}, SIZE), (ck.CKM_SHA1_KEY_DERIVATION, {}, "CKR_OK"),
    (ck.CKM_SHA256_KEY_DERIVATION, {ck.CKA_KEY_TYPE: ck.CKK_AES}, "CKR_TEMPLATE_INCOMPLETE"),
    (ck.CKM_SHA256_KEY_DERIVATION, {ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 17}, "CKR_ATTRIBUTE_VALUE_INVALID"),
])
def test_lengths_of_hashed_keys(bench: Bench, number: int, rows: Rows, wanted: str) -> None:
    assert derive(bench, bench.mechanism(number), known(bench), {**SECRET, **rows})[0] == wanted
    assert derive(bench, bench.mechanism(number, b"x"), known(bench), {**SECRET, **rows})[0] == PARAM


@pytest.mark.parametrize("more", [0, 1])
def test_what_goes_in_beside_a_base_has_a_bound(bench: Bench, more: int) -> None:
    """Else one call hashes gigabytes: 64 MiB again for each of 255 blocks, or keys as long by each of 256 handles."""
    m, s, long = bench.m, bench.s, bytes(LONGEST_INPUT + more)
    wanted, rows = PARAM if more else "CKR_OK", {**SECRET, ck.CKA_VALUE_LEN: 32}
    base = known(bench)
    assert derive(bench, hkdf(bench, "SHA256", info=long), base, rows)[0] == wanted
    assert derive(bench, counter_mode(bench, HMAC, counter(bench, 8), array(bench, long)), base, rows)[0] == wanted
    half = m.make(s, {**SECRET, ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_VALUE: bytes(LONGEST_INPUT // 2 + more)})
    handle = field(bench, ck.CK_SP800_108_KEY_HANDLE, half.to_bytes(8, "little"))
    assert derive(bench, counter_mode(bench, HMAC, counter(bench, 8), handle, handle), base, rows)[0] == wanted
    good(m.C_DestroyObject(s, half))
    rv, _ = m.generate(s, ck.CKM_PKCS5_PBKD2, {**rows, ck.CKA_KEY_TYPE: ck.CKK_AES}, pbkdf2(bench, b"pw", long, 1))
    assert name(rv) == wanted
    private = bench.private(ck.CKK_EC, ec_params=P256, value=b"\x11" * 32)
    point = m.read(s, private, ck.CKA_EC_POINT)
    assert derive(bench, agreement(bench, point, ck.CKD_SHA256_KDF, long), private, rows)[0] == wanted


def test_a_secret_key_has_a_bound(bench: Bench) -> None:
    for length, wanted in ((1 << 20, "CKR_OK"), ((1 << 20) + 1, "CKR_ATTRIBUTE_VALUE_INVALID")):
        rv, _ = bench.m.create(bench.s, {**OPEN, ck.CKA_VALUE: bytes(length)})
        assert name(rv) == wanted
    bench.m._kept.clear()
