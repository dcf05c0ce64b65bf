"""Node's graphene-pk11 and pkcs11js: keys, signatures, ciphers and digests, and calls from Node's own threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

INSTALLED = Path(sys.prefix) / "node" / "node_modules"  # by tools/test --all


# As soon as one of its threads has its key, the process leaves without a word to the module: the others are inside.
LEAVES = """
const { PKCS11, CKA_MODULUS_BITS, CKA_PRIVATE, CKM_RSA_PKCS_KEY_PAIR_GEN } = require("pkcs11js");
const token = new PKCS11();
token.load(process.argv[1]);
token.C_Initialize();
const [slot] = token.C_GetSlotList(true);
const mechanism = { mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN };
const keys = Array.from({ length: 8 }, () =>
  token.C_GenerateKeyPairAsync(token.C_OpenSession(slot, 4), mechanism, [{ type: CKA_MODULUS_BITS, value: 3072 }],
                               [{ type: CKA_PRIVATE, value: false }]));
Promise.race(keys).then(() => { console.log("leaves"); process.exit(0); });
"""


def test_recipe(follow_recipe: Callable[[str], list[str]], tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(INSTALLED)
    signed, ciphers = follow_recipe("node")
    assert signed == "RSA: verified\n"
    assert ciphers == "AES: in two parts\nSHA-256: the same\n"


def run(program: str, *words: str) -> list[str]:
    """What it printed, beside the packages."""
    done = subprocess.run(["node", "-e", program, *words], cwd=INSTALLED.parent, capture_output=True, text=True,
                          timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_calls_from_nodes_threads(adyton_token: Any) -> None:
    program = (Path(__file__).parent / "pkcs11js_calls.js").read_text()
    told = run(program, adyton_token.module, adyton_token.pin)
    assert told == ["signatures", "ciphers", "digests", "wrapping", "refusals"]


def test_node_leaves_while_its_threads_are_inside_calls(adyton_token: Any) -> None:
    assert run(LEAVES, adyton_token.module) == ["leaves"]
