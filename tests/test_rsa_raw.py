"""RSA without padding: what a key that computes raw may not do, and an engine that has no libcrypto to do it with."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import ffi, good, name
from vectors import Bench, bench_of_its_own
from vectors_rsa import oaep

from hsm.mechanisms import rsa_raw
from pkcs11_shim import constants as ck

RAW = ck.CKM_RSA_X_509
LOST = "CKR_KEY_FUNCTION_NOT_PERMITTED"
RSA = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


def pair(bench: Bench, public: dict[int, Any] | None = None, private: dict[int, Any] | None = None) -> tuple[int, int]:
    rv, one, two = bench.m.pair(bench.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {**RSA, **(public or {})}, private or {})
    good(rv)
    return one, two


def test_it_is_offered_where_libcryptos_headers_are(bench: Bench) -> None:
    """tools/test installs them; without, the mechanism is not in the list and nothing else is missing."""
    assert rsa_raw.MECHANISMS
    info = ffi.new("CK_MECHANISM_INFO*")
    good(bench.m.C_GetMechanismInfo(0, RAW, info))
    assert not info.flags & (ck.CKF_WRAP | ck.CKF_UNWRAP)
    assert (info.ulMinKeySize, info.ulMaxKeySize) == (1024, 16384)


@pytest.mark.parametrize("use", ["Sign", "Decrypt"])
def test_a_pair_that_computed_raw_wraps_nothing(bench: Bench, use: str) -> None:
    """Raw signing is decryption: and opens what the public half wraps. The other order: test_key_policy.py."""
    m, s = bench.m, bench.s
    public, private = pair(bench)
    target = m.make(s, {
        ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE: b"w" * 16,
        ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True,
    })
    parameter = oaep("SHA256", "SHA256")(bench)
    rv, wrapped = m.wrap(s, m.mechanism(ck.CKM_RSA_PKCS_OAEP, parameter), public, target)
    good(rv)
    good(m.use(use, s, m.mechanism(RAW), private, wrapped)[0])  # the target was nobody's secret
    assert m.read(s, public, ck.CKA_WRAP) == b"\0"
    assert name(m.wrap(s, m.mechanism(ck.CKM_RSA_PKCS_OAEP, parameter), public, target)[0]) == LOST


@pytest.mark.parametrize("missing", [ck.CKA_SIGN, ck.CKA_DECRYPT])
@pytest.mark.parametrize("use", ["Sign", "Decrypt"])
def test_a_key_for_one_thing_only_computes_nothing_raw(bench: Bench, missing: int, use: str) -> None:
    _, private = pair(bench, private={missing: False})
    rv = getattr(bench.m, f"C_{use}Init")(bench.s, bench.m.mechanism(RAW), private)
    assert name(rv) == LOST


def test_no_key_is_wrapped_raw(bench: Bench) -> None:
    public, private = pair(bench)
    target = bench.m.aes(bench.s, extractable=True)
    assert name(bench.m.wrap(bench.s, bench.m.mechanism(RAW), public, target)[0]) == "CKR_MECHANISM_INVALID"
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 16}
    assert bench.unwrap(bench.m.mechanism(RAW), private, bytes(256), rows)[0] == "CKR_MECHANISM_INVALID"


def test_it_takes_one_part_and_no_parameter(bench: Bench) -> None:
    m, s = bench.m, bench.s
    _, private = pair(bench)
    good(m.C_SignInit(s, m.mechanism(RAW), private))
    assert name(m.C_SignUpdate(s, b"x", 1)) == "CKR_OPERATION_NOT_INITIALIZED"
    assert name(m.C_SignInit(s, m.mechanism(RAW, b"x"), private)) == "CKR_MECHANISM_PARAM_INVALID"
    key = m.aes(s)
    assert name(m.C_EncryptInit(s, m.mechanism(RAW), key)) == "CKR_KEY_TYPE_INCONSISTENT"


def test_several_threads_share_one_key(bench: Bench) -> None:
    """One EVP_PKEY, blinded, for all of them."""
    m, (_, private) = bench.m, pair(bench)
    wanted = bench.sign(m.mechanism(RAW), private, b"data")
    made: list[tuple[int, bytes]] = []

    def sign(session: int, mechanism: Any) -> None:
        made.extend(m.use("Sign", session, mechanism, private, b"data") for _ in range(10))

    threads = [threading.Thread(target=sign, args=(m.session(), m.mechanism(RAW))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [(ck.CKR_OK, wanted)] * 40


def test_without_the_compiled_module_it_is_not_offered() -> None:
    """As on a machine without the headers, or without libcrypto itself."""
    code = (
        "import sys; sys.modules['hsm.mechanisms._libcrypto'] = None\n"
        "from hsm.mechanisms import registry, rsa_raw\n"
        f"assert rsa_raw.MECHANISMS == [] and {RAW} not in registry.MECHANISMS\n"
        f"assert {ck.CKM_RSA_PKCS} in registry.MECHANISMS"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_compiled_module_keeps_to_the_stable_abi() -> None:
    """One wheel for every Python: see test_package.py."""
    (made,) = (ROOT / "hsm/mechanisms").glob("_libcrypto*.so")
    assert made.name == "_libcrypto.abi3.so"
