"""python-pkcs11's own test suite, from its source distribution, against the built library in a pool of its own.

It runs twice. Under its own name the library is any module. Eight tests run only if the library's file is called
libsofthsm2.so: they want the SO PIN, PINs that may be changed, and the spare blank slot that SoftHSM has. So the
second run goes through a link of that name, to a pool with a blank partition beside the token, and nothing is left
out there but what later issues bring.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pkcs11 import Mechanism

from hsm.client import Client
from hsm.throwaway import ThrowAway

SUITE = Path(sys.prefix) / f"python-pkcs11-{version('python-pkcs11')}"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
TESTS = 163


class Left(NamedTuple):
    """Tests that do not run or pass, each pattern with the number of tests it stands for, and why."""

    message: str
    reason: str
    tests: dict[str, int]
    outcome: str = "skipped"


def _requires(*mechanisms: Mechanism) -> str:
    return "Requires " + ", ".join(map(str, sorted(mechanisms)))


LATER = (
    Left(
        _requires(Mechanism.AES_MAC), "CBC-MAC is not offered: CMAC is (NIST SP 800-38B)",
        {"test_aes.test_sign": 1, "test_aes.test_sign_stream": 1},
    ),
    Left(
        _requires(Mechanism.DES2_KEY_GEN), "two keys of DES are 80 bits of security: three are offered",
        {"test_des.test_generate_des2_key": 1, "test_des.test_encrypt_des2": 1},
    ),
    Left(
        _requires(Mechanism.DH_PKCS_KEY_PAIR_GEN, Mechanism.DH_PKCS_DERIVE), "Diffie-Hellman in a field comes later",
        {"test_dh.test_derive_key": 1},
    ),
    Left(
        _requires(Mechanism.DH_PKCS_KEY_PAIR_GEN, Mechanism.DH_PKCS_PARAMETER_GEN),
        "Diffie-Hellman in a field comes later", {"test_dh.test_generate_params": 1},
    ),
    Left(
        _requires(Mechanism.DSA_KEY_PAIR_GEN, Mechanism.DSA_SHA1), "DSA comes later",
        {"test_dsa.test_generate_keypair_and_sign": 1},
    ),
    Left(
        _requires(Mechanism.DSA_KEY_PAIR_GEN, Mechanism.DSA_PARAMETER_GEN), "DSA comes later",
        {"test_dsa.test_generate_keypair_directly": 1},
    ),
    Left(_requires(Mechanism.DSA_PARAMETER_GEN), "DSA comes later", {"test_dsa.test_generate_params": 1}),
    Left(_requires(Mechanism.DSA_SHA1), "DSA comes later", {"test_x509.test_verify_certificate_dsa": 1}),
    Left(
        _requires(Mechanism.ML_DSA_KEY_PAIR_GEN, Mechanism.ML_DSA), "post-quantum mechanisms come later",
        {"test_ml_dsa.*": 6},
    ),
    Left(
        _requires(Mechanism.ML_KEM_KEY_PAIR_GEN, Mechanism.ML_KEM), "post-quantum mechanisms come later",
        {"test_ml_kem.*": 6},
    ),
)
# The suite wants CKR_MECHANISM_PARAM_INVALID or CKR_FUNCTION_FAILED, as SoftHSM answers.
BY_THE_STANDARD = Left(
    "pkcs11.exceptions.DataLenRange", "section 6.17.4: data too short for the key asked for are CKR_DATA_LEN_RANGE",
    {"test_aes.test_derive_using_ecb_encrypt_*_SHORT_IV": 1, "test_aes.test_derive_using_cbc_encrypt_*_SHORT_DATA": 1},
    outcome="failure",
)
BY_NAME = Left(
    "SoftHSMv2 only", "the suite asks for SoftHSM's file name: the second run has it",
    {
        "test_ecc.test_import_key_params": 1, "test_sessions.test_copy_object": 1, "test_sessions.test_init_pin": 1,
        "test_sessions.test_open_session_and_login_so": 1, "test_sessions.test_set_pin": 1,
        "test_slots_and_tokens.test_get_slots": 1, "test_slots_and_tokens.test_get_token": 1,
        "test_slots_and_tokens.test_get_tokens": 1,
    },
)


def run(token: ThrowAway, module: Path | str, folder: Path) -> dict[str, str]:
    """Every test of the suite with its outcome: "passed", or what kept it from passing and the suite's words."""
    assert (SUITE / "tests").is_dir(), f"{SUITE} is missing: tools/test fetches it"
    report, settings = folder / "report.xml", folder / "pytest.ini"
    settings.write_text("[pytest]\n")  # not ours
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}\n")
    environment = {
        **os.environ, **token.environment, "PKCS11_MODULE": str(module), "PKCS11_TOKEN_LABEL": token.label,
        "PKCS11_TOKEN_PIN": token.pin, "PKCS11_TOKEN_SO_PIN": token.so_pin,
        # A second module in the same process: SoftHSM itself.
        "PKCS11_MODULE2": SOFTHSM,
        "SOFTHSM2_CONF": str(folder / "softhsm2.conf"),
    }
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(settings), f"--rootdir={SUITE}",
        f"--junit-xml={report}", "tests",
    ]
    done = subprocess.run(command, cwd=SUITE, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").split(".")[1]
        trouble = next((child for child in case if child.tag in ("skipped", "failure", "error")), None)
        words = "passed" if trouble is None else f"{trouble.tag}: {_sorted(trouble.get('message', ''))}"
        outcomes[f"{file}.{case.get('name')}"] = words
    return outcomes


def _sorted(message: str) -> str:
    """The suite names what it misses in the order of a set."""
    head, requires, tail = message.partition("Requires ")
    return head + requires + ", ".join(sorted(tail.split(", "), key=int)) if requires and not head else message


def expected(outcomes: dict[str, str], left: tuple[Left, ...]) -> dict[str, str]:
    """What each test should have come to, by the tables."""
    should = dict.fromkeys(outcomes, "passed")
    for row in left:
        for pattern, count in row.tests.items():
            found = [name for name in outcomes if fnmatch(name, pattern)]
            assert len(found) == count, f"{pattern} stands for {found}"
            should.update(dict.fromkeys(found, f"{row.outcome}: {row.message}"))
    return should


def _offer_legacy(token: ThrowAway) -> None:
    """Triple DES and MD5 are offered where the partition's switch is on."""
    with Client(token.home) as client:
        client.ask("partition-set", slot=0, legacy=True, **{"as": "so", "pin": token.so_pin})


def test_under_its_own_name(tmp_path: Path) -> None:
    with ThrowAway() as token:
        _offer_legacy(token)
        outcomes = run(token, token.module, tmp_path)
    assert outcomes == expected(outcomes, (*LATER, BY_THE_STANDARD, BY_NAME))
    assert len(outcomes) == TESTS


def test_under_the_name_of_softhsm(tmp_path: Path) -> None:
    link = tmp_path / "libsofthsm2.so"
    with ThrowAway() as token:
        link.symlink_to(token.module)
        _offer_legacy(token)
        with Client(token.home) as client:
            client.ask("partition-create")
        outcomes = run(token, link, tmp_path)
    assert outcomes == expected(outcomes, (*LATER, BY_THE_STANDARD))
    assert len(outcomes) == TESTS


def test_no_mechanism_of_this_release_is_named_as_missing() -> None:
    from hsm.mechanisms.registry import MECHANISMS

    for row in LATER:
        assert {int(number) for number in row.message.removeprefix("Requires ").split(", ")} - set(MECHANISMS)
