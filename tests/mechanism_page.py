"""Writes hsm/mechanisms/README.md, the table of mechanisms: from registry, matrix and the cases of vectors.

Run by tools/generate; a test holds the page against a fresh one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import vectors_files
from matrix import NAMES, Row
from matrix_rows import MADE, ROWS
from vectors import SOURCES

from hsm.mechanisms import registry
from hsm.mechanisms.entry import FLAGS, Mechanism
from pkcs11_shim import constants as ck
from pkcs11_shim.parameters import MECHANISMS, ONCE_RAW, RAW

PAGE = Path(__file__).resolve().parent.parent / "hsm/mechanisms/README.md"
KEY_TYPES = {value: name for name, value in vars(ck).items() if name.startswith("CKK_")}
HMAC_TYPES = {value for value, name in KEY_TYPES.items() if name.endswith("_HMAC")}


class Family(NamedTuple):
    """What the page says of one file of hsm/mechanisms: title, section of PKCS#11 3.2, and what computes."""

    title: str
    section: str
    source: str


LIBCRYPTO = "cryptography"
FAMILIES = {
    "digest": Family("Digests", "6.20 and on, a section a hash", "hashlib"),
    "hmac": Family("HMAC", "6.20 and on, a section a hash", "hashlib and hmac"),
    "secret": Family("Secret keys for HMAC and anything else", "6.8; 6.20 and on", "os.urandom"),
    "aes": Family("AES: keys, modes in parts, CMAC", "6.10, 6.11, 6.14", LIBCRYPTO),
    "aead": Family("AES with authentication", "6.13", LIBCRYPTO),
    "stealing": Family("AES with ciphertext stealing", "6.12, 6.15", LIBCRYPTO),
    "encrypt_data": Family("Keys by encrypting data", "6.17", LIBCRYPTO),
    "rsa": Family("RSA", "6.1", LIBCRYPTO),
    "rsa_raw": Family("RSA without padding", "6.1", "the machine's libcrypto, by cffi"),
    "ec": Family("Elliptic curves over prime fields", "6.3", LIBCRYPTO),
    "eddsa": Family("Edwards curves", "6.3", LIBCRYPTO),
    "montgomery": Family("Montgomery curves", "6.3", LIBCRYPTO),
    "agreement": Family("Key agreement", "6.3", LIBCRYPTO),
    "derivation": Family("Keys by hashing keys", "6.20 and on, a section a hash", "hashlib"),
    "hkdf": Family("HKDF", "6.62", "cryptography and hmac"),
    "sp800_108": Family("SP 800-108", "6.42", "hmac and cryptography"),
    "pbkdf2": Family("Keys from passwords", "6.37", "hashlib"),
    "keywrap": Family("Key wrapping", "6.16, 6.1", LIBCRYPTO),
    "legacy": Family("Legacy", "6.18, 6.19, and the Historical Mechanisms", "cryptography and hashlib"),
}
IN_BITS = (ck.CKK_RSA, ck.CKK_EC, ck.CKK_EC_EDWARDS, ck.CKK_EC_MONTGOMERY)
SIZES_IN_BITS = (ck.CKM_GENERIC_SECRET_KEY_GEN, ck.CKM_SP800_108_COUNTER_KDF)
HEAD = """\
# The mechanisms

Written by `tools/generate`; not by hand. One row a mechanism: the calls it serves, the types and sizes of its keys as
C_GetMechanismInfo has them, its parameter, and the vectors from outside that judge it in the tests, with their count
(`tools/test` runs a few of each kind, `tools/test --all` every one). Sections are those of PKCS#11 3.2.

Besides its vectors each call of each mechanism goes through one matrix of tests (`tests/test_matrix.py`): one-shot, in
parts, size query, buffer too small, no input, in place, wrong keys, wrong parameters, wrong states. What is right there
a second implementation says, which shares no more with the engine than single AES blocks and digests, and computes with
Python's integers for RSA and the curves (`tests/oracle_*.py`).

"""
NOTES = {
    ck.CKM_RSA_X_509: "only where libcrypto's headers were when Adyton was installed",
    ck.CKM_AES_CTS: "CBC-CS1",
    ck.CKM_AES_KEY_WRAP_PAD: "does what KWP does",
    ck.CKM_EDDSA: "pure: no prehash, no context",
}


def _calls(entry: Mechanism) -> str:
    return ", ".join(use.replace("_", " ") for use in FLAGS if getattr(entry, use) is not None)


def _keys(entry: Mechanism) -> str:
    """HMAC keys of all hashes by one word."""
    types = list(entry.key_types)
    words = [KEY_TYPES[number].removeprefix("CKK_") for number in types if number not in HMAC_TYPES or len(types) < 3]
    return ", ".join([*words, *(["..._HMAC"] if len(words) < len(types) else [])])


def _sizes(entry: Mechanism) -> str:
    if not entry.max_size:
        return ""
    bits = entry.number in SIZES_IN_BITS or not set(entry.key_types).isdisjoint(IN_BITS)
    both = f"{entry.min_size}" if entry.min_size == entry.max_size else f"{entry.min_size} to {entry.max_size}"
    return f"{both} {'bits' if bits else 'bytes'}"


def _parameter(entry: Mechanism) -> str:
    """A structure's name, or how many bytes the matrix gives."""
    form = MECHANISMS.get(NAMES[entry.number])
    row = next(row for row in [*ROWS, *MADE] if row.number == entry.number)
    if form is None:
        return ""
    if form != RAW:
        once = ONCE_RAW.get(NAMES[entry.number])
        return f"{form}{f' or {once} bytes' if once else ''}{', or none' if getattr(row, 'optional', False) else ''}"
    if NAMES[entry.number].endswith("_GENERAL"):
        return "CK_MAC_GENERAL_PARAMS"
    given = [other.parameter for other in ROWS if other.number == entry.number and isinstance(other.parameter, bytes)]
    words = f"{len(given[0])} bytes" if given else "bytes"
    return words if isinstance(row, Row) and isinstance(row.parameter, bytes) else f"none, or {words}: the default IV"


def _judges() -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = defaultdict(Counter)
    assert vectors_files.FILES
    for source in SOURCES:
        for case in source.cases():
            found[case.mechanism][source.name] += 1
    return found


def _row(entry: Mechanism, judges: dict[int, Counter[str]]) -> str:
    vectors = "; ".join(f"{name} ({count})" for name, count in judges[entry.number].items())
    cells = (
        f"`{NAMES[entry.number]}`", _calls(entry), _keys(entry), _sizes(entry), _parameter(entry), vectors,
        NOTES.get(entry.number, ""),
    )
    return f"| {' | '.join(cells)} |\n"


def page() -> str:
    judges = _judges()
    out = [HEAD]
    for family in registry.FAMILIES:
        said = FAMILIES[family.__name__.rpartition(".")[2]]
        out.append(f"## {said.title}\n\nSection {said.section}. By {said.source}.")
        entries: list[Any] = family.MECHANISMS
        if any(entry.legacy for entry in entries):
            out.append(" Offered where a partition's switch is on: `adyton partition set SLOT --legacy on`.")
        out.append("\n\n| mechanism | calls | keys | sizes | parameter | vectors from outside | notes |\n")
        out.append("| --- | --- | --- | --- | --- | --- | --- |\n")
        out += [_row(entry, judges) for entry in entries]
        out.append("\n")
    return "".join(out).rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
