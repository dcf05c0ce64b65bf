"""The matrix's rows of digests, HMAC, AES and its key wraps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import oracle_blocks as blocks
import oracle_hashes as hashes
from abi import ulong
from matrix import CIPHERING, SIGNING, WRAPPING, Generation, Oracle, Row, secret
from matrix_keys import AES_128, AES_192, AES_256, HMAC, aes
from vectors_symmetric import counter, gcm_parameter

from pkcs11_shim import constants as ck

DATA_LEN, SEALED_LEN, SEALED = "CKR_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_INVALID"
WRAPPED_LEN, VALUE = "CKR_WRAPPED_KEY_LEN_RANGE", "CKR_ATTRIBUTE_VALUE_INVALID"
FOUR = (*CIPHERING, *WRAPPING)
HASHED = [known for known in hashes.ALGORITHMS if known != "MD5"]
IV = bytes(range(50, 66))
SIZES = {"AES-128": AES_128, "AES-192": AES_192, "AES-256": AES_256}


def refused(encrypt: tuple[int, ...], decrypt: tuple[int, ...]) -> dict[str, dict[int, str]]:
    return {
        "encrypt": dict.fromkeys(encrypt, DATA_LEN), "decrypt": dict.fromkeys(decrypt, SEALED_LEN),
        "unwrap": dict.fromkeys({*decrypt, 0}, WRAPPED_LEN),
    }


def digests() -> list[Row]:
    return [Row(getattr(ck, f"CKM_{known}"), ("digest",), Oracle(partial(hashes.digest, known))) for known in HASHED]


def hmacs() -> list[Row]:
    rows = []
    for known in HASHED:
        own, size = getattr(ck, f"CKK_{known}_HMAC"), hashes.length(known)
        whole, general = getattr(ck, f"CKM_{known}_HMAC"), getattr(ck, f"CKM_{known}_HMAC_GENERAL")
        common: dict[str, Any] = {"key_types": (ck.CKK_GENERIC_SECRET, own)}
        for variant, key_type, key in (
            ("", own, HMAC), ("with a generic secret", ck.CKK_GENERIC_SECRET, HMAC),
            ("with a key longer than a block", ck.CKK_GENERIC_SECRET, HMAC * 5),
        ):
            oracle = Oracle(partial(hashes.hmac, known, key))
            rows.append(Row(whole, SIGNING, oracle, secret(key_type, key), variant=variant, **common))
        wrong = tuple(ulong(length) for length in (0, size + 1, 2**32, 2**63))
        for length in (10, 1, size):
            oracle = Oracle(lambda data, known=known, length=length: hashes.hmac(known, HMAC, data)[:length])
            variant = "" if length == 10 else f"of {length} bytes"
            rows.append(Row(
                general, SIGNING, oracle, secret(own, HMAC), ulong(length), wrong, variant=variant, **common
            ))
    return rows


# What a mode of AES is: the parameter, the wrong ones, and both directions for a key.
Both = Callable[[bytes], Oracle]


def _each(number: int, uses: tuple[str, ...], both: Both, **more: Any) -> list[Row]:
    """A row for each length of the key; the first of them takes all cells."""
    return [
        Row(number, uses, both(key), aes(key), variant="" if size == "AES-256" else size, **more)
        for size, key in sorted(SIZES.items(), reverse=True)
    ]


def _ecb(key: bytes) -> Oracle:
    encrypt, decrypt = blocks.aes_of_fips_197(key)
    return Oracle(partial(blocks.ecb, encrypt), partial(blocks.ecb, decrypt))


def _cbc(key: bytes) -> Oracle:
    encrypt, decrypt = blocks.aes(key)
    return Oracle(partial(blocks.cbc_encrypt, encrypt, IV), partial(blocks.cbc_decrypt, decrypt, IV))


def _cbc_pad(key: bytes) -> Oracle:
    encrypt, decrypt = blocks.aes(key)

    def undo(sealed: bytes) -> bytes:
        opened = blocks.cbc_decrypt(decrypt, IV, sealed)
        return opened[: -opened[-1]]

    return Oracle(lambda data: blocks.cbc_encrypt(encrypt, IV, blocks.padded(data)), undo)


def _ctr(key: bytes) -> Oracle:
    work = partial(blocks.ctr, blocks.aes(key)[0], IV)
    return Oracle(work, work)


def _gcm(iv: bytes, aad: bytes, tag: int) -> Both:
    def both(key: bytes) -> Oracle:
        encrypt = blocks.aes(key)[0]
        return Oracle(
            lambda data: blocks.gcm_encrypt(encrypt, iv, aad, data, tag),
            lambda sealed: blocks.gcm_decrypt(encrypt, iv, aad, sealed, tag),
        )

    return both


def _kw(key: bytes) -> Oracle:
    encrypt, decrypt = blocks.aes(key)
    return Oracle(partial(blocks.kw_wrap, encrypt), partial(blocks.kw_unwrap, decrypt))


def _kwp(key: bytes) -> Oracle:
    encrypt, decrypt = blocks.aes(key)
    return Oracle(partial(blocks.kwp_wrap, encrypt), partial(blocks.kwp_unwrap, decrypt))


def filled(block: int, least: int = 0) -> Callable[[bytes], bytes]:
    """Zeros behind a key, to whole blocks (section 6.10.4, 6.16.3)."""
    return lambda data: (data + bytes(-len(data) % block)).ljust(least, b"\0")


IVS = (bytes(15), bytes(17))
PARTIAL = refused((1, 15, 17), (1, 15, 17))


def ciphers() -> list[Row]:
    whole: dict[str, Any] = {"lengths": (0, 16, 48), "refused": PARTIAL, "fill": filled(16)}
    rows = _each(ck.CKM_AES_ECB, FOUR, _ecb, **whole)
    rows += _each(ck.CKM_AES_CBC, FOUR, _cbc, parameter=IV, wrong=IVS, **whole)
    rows += _each(
        ck.CKM_AES_CBC_PAD, FOUR, _cbc_pad, parameter=IV, wrong=IVS, refused=refused((), (0, 1, 15, 17)),
        lengths=(0, 1, 15, 16, 41),
    )
    rows += _each(
        ck.CKM_AES_CTR, FOUR, _ctr, parameter=counter(128, IV),
        wrong=tuple(counter(bits, IV) for bits in (0, 129, 2**32, 2**63)),
    )
    # A counter block of 8 bits that stands at 65: 191 blocks are left before it wraps (section 6.11.2).
    rows.append(rows[-1]._replace(
        parameter=counter(8, IV), variant="8 counter bits",
        refused={"encrypt": {16 * 191 + 1: DATA_LEN}, "decrypt": {16 * 191 + 1: SEALED_LEN}},
    ))
    return rows + _gcms()


def _gcms() -> list[Row]:
    rows = []
    wrong = (
        *(gcm_parameter(iv, b"", 128) for iv in (b"", bytes(7), bytes(129))),
        *(gcm_parameter(IV[:12], b"", bits) for bits in (0, 24, 100, 136, 2**32, 2**63)),
    )
    for iv, aad, tag in ((IV[:12], b"additional", 16), (IV, b"", 12), (IV[:8] * 16, bytes(40), 4)):
        variant = "" if tag == 16 else f"IV of {len(iv)} bytes, "
        for row in _each(
            ck.CKM_AES_GCM, FOUR, _gcm(iv, aad, tag), parameter=gcm_parameter(iv, aad, 8 * tag), wrong=wrong,
            refused=refused((), tuple(range(tag))), altered=SEALED,
        ):
            rows.append(row._replace(variant=(variant + row.variant).removesuffix(", ")))
    return rows


def macs() -> list[Row]:
    return _each(ck.CKM_AES_CMAC, SIGNING, lambda key: Oracle(partial(blocks.cmac, blocks.aes(key)[0])))


def key_wraps() -> list[Row]:
    common: dict[str, Any] = {"parts": False, "altered": SEALED}
    rows = _each(
        ck.CKM_AES_KEY_WRAP, FOUR, _kw, wrong=(bytes(8), b"\xa6" * 7, b"\xa6" * 9), lengths=(16, 24, 40),
        refused=refused((0, 8, 17), (0, 8, 16, 25)), fill=filled(8, 16), **common,
    )
    rows += _each(
        ck.CKM_AES_KEY_WRAP_KWP, FOUR, _kwp, wrong=(bytes(4), b"\xa6\x59\x59"), lengths=(1, 8, 9, 20, 41),
        refused=refused((0,), (0, 8, 20)), **common,
    )
    # The default IVs of RFC 3394 and RFC 5649, given: as if there were none.
    given = [(ck.CKM_AES_KEY_WRAP, b"\xa6" * 8), (ck.CKM_AES_KEY_WRAP_KWP, bytes.fromhex("a65959a6"))]
    for number, iv in given:
        row = next(row for row in rows if row.number == number)
        rows.append(row._replace(parameter=iv, variant="IV given", optional=True))
    return rows


ROWS = [*digests(), *hmacs(), *ciphers(), *macs(), *key_wraps()]
GENERATIONS = [
    Generation(
        ck.CKM_AES_KEY_GEN, ck.CKK_AES, (16, 24, 32), dict.fromkeys((0, 1, 15, 17, 33, 2**32 + 16, 2**63), VALUE)
    ),
    Generation(
        ck.CKM_GENERIC_SECRET_KEY_GEN, ck.CKK_GENERIC_SECRET, (1, 20, 4096), dict.fromkeys((0, 4097, 2**63), VALUE)
    ),
    *(
        Generation(
            getattr(ck, f"CKM_{known}_KEY_GEN"), getattr(ck, f"CKK_{known}_HMAC"), (1, 48, 4096),
            dict.fromkeys((0, 4097, 2**63), VALUE),
        )
        for known in HASHED
    ),
]
