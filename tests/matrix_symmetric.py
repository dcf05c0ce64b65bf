"""The matrix's rows of digests, HMAC, AES in all its modes, and of what is behind the legacy switch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import oracle_blocks as blocks
import oracle_hashes as hashes
from abi import ulong
from matrix import CIPHERING, SIGNING, WRAPPING, Generation, Oracle, Row, secret
from matrix_keys import AES_128, AES_192, AES_256, DES3, HMAC, XTS, aes
from vectors_openssl import openssl
from vectors_symmetric import counter, gcm_parameter

from pkcs11_shim import constants as ck

DATA_LEN, SEALED_LEN, SEALED = "CKR_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_LEN_RANGE", "CKR_ENCRYPTED_DATA_INVALID"
WRAPPED_LEN, VALUE = "CKR_WRAPPED_KEY_LEN_RANGE", "CKR_ATTRIBUTE_VALUE_INVALID"
FOUR = (*CIPHERING, *WRAPPING)
HASHED = tuple(hashes.ALGORITHMS)
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


def _kw_pkcs7(key: bytes) -> Oracle:
    encrypt, decrypt = blocks.aes(key)

    def undo(sealed: bytes) -> bytes | None:
        opened = blocks.kw_unwrap(decrypt, sealed)
        return None if opened is None else opened[: -opened[-1]]

    return Oracle(lambda data: blocks.kw_wrap(encrypt, blocks.padded(data, 8)), undo)


def filled(block: int, least: int = 0) -> Callable[[bytes], bytes]:
    """Zeros behind a key, to whole blocks (section 6.10.4, 6.16.3)."""
    return lambda data: (data + bytes(-len(data) % block)).ljust(least, b"\0")


IVS = (bytes(15), bytes(17))
PARTIAL = refused((1, 15, 17), (1, 15, 17))


def _feedback(kind: Callable[..., bytes], *segment: int) -> Both:
    def both(key: bytes) -> Oracle:
        encrypt = blocks.aes(key)[0]
        if not segment:
            return Oracle(partial(kind, encrypt, IV), partial(kind, encrypt, IV))
        return Oracle(
            lambda data: kind(encrypt, IV, data, *segment, encrypting=True),
            lambda sealed: kind(encrypt, IV, sealed, *segment, encrypting=False),
        )

    return both


def _cts(key: bytes) -> Oracle:
    both = blocks.aes(key)
    return Oracle(
        lambda data: blocks.cts_encrypt(both[0], IV, data, 1), lambda sealed: blocks.cts_decrypt(both, IV, sealed, 1)
    )


def _xts(key: bytes) -> Oracle:
    half = len(key) // 2
    (encrypt, decrypt), tweaks = blocks.aes(key[:half]), blocks.aes(key[half:])[0]
    return Oracle(
        lambda data: blocks.xts(encrypt, tweaks, IV, data, encrypting=True),
        lambda sealed: blocks.xts(decrypt, tweaks, IV, sealed, encrypting=False),
    )


def further_ciphers() -> list[Row]:
    """The modes that came after ECB to GCM: most have no padding and take any length."""
    iv: dict[str, Any] = {"parameter": IV, "wrong": IVS}
    rows = _each(ck.CKM_AES_OFB, FOUR, _feedback(blocks.ofb), **iv)
    rows += _each(ck.CKM_AES_CFB8, FOUR, _feedback(blocks.cfb, 1), **iv)
    rows += _each(ck.CKM_AES_CFB128, FOUR, _feedback(blocks.cfb, 16), **iv)
    stealing: dict[str, Any] = {
        **iv, "refused": refused((0, 1, 15), (0, 1, 15)), "lengths": (16, 17, 31, 32, 41, 48), "least": 16,
    }
    rows += _each(ck.CKM_AES_CTS, FOUR, _cts, **stealing)
    for size, key in (("", XTS), ("AES-128", XTS[:32])):
        rows.append(Row(
            ck.CKM_AES_XTS, FOUR, _xts(key), secret(ck.CKK_AES_XTS, key), variant=size, **stealing,
        ))
    return rows + _ccms()


def ccm_parameter(length: int, nonce: bytes, aad: bytes, tag: int) -> Any:
    return lambda bench: bench.m.structure(
        "CK_CCM_PARAMS", ulDataLen=length, pNonce=nonce, ulNonceLen=len(nonce), pAAD=aad, ulAADLen=len(aad),
        ulMACLen=tag,
    )


def _ccm(nonce: bytes, aad: bytes, tag: int) -> Both:
    def both(key: bytes) -> Oracle:
        encrypt = blocks.aes(key)[0]
        return Oracle(
            lambda data: blocks.ccm_encrypt(encrypt, nonce, aad, data, tag),
            lambda sealed: blocks.ccm_decrypt(encrypt, nonce, aad, sealed, tag),
        )

    return both


def _ccms() -> list[Row]:
    """How long the message is is said at Init, so that a row has one length; other lengths are refused, and for keys
    what was said is not looked at (section 6.13.5)."""
    rows = []
    wrong = (
        *(ccm_parameter(41, nonce, b"", 16) for nonce in (b"", bytes(6), bytes(14))),
        *(ccm_parameter(41, bytes(12), b"", tag) for tag in (0, 2, 5, 18, 2**32 + 16)),
    )
    too_long = ccm_parameter(1 << 16, bytes(13), b"", 16), ccm_parameter(2**63, bytes(12), b"", 16)
    for length, nonce, aad, tag in (
        (41, IV[:12], b"additional", 16), (0, IV[:7], b"", 16), (1, IV[:13], bytes(15), 4),
        (48, IV[:8], bytes(300), 10),
    ):
        long = tuple(number for number in (0, length - 1, length + 1) if number >= 0 and number != length)
        sealed = tuple({0, tag - 1, *(number + tag for number in long)})
        refusals = {
            "encrypt": dict.fromkeys(long, DATA_LEN), "decrypt": dict.fromkeys(sealed, SEALED_LEN),
            "unwrap": dict.fromkeys((0, tag - 1), WRAPPED_LEN),
        }
        variant = "" if length == 41 else f"{length} bytes, nonce of {len(nonce)}, MAC of {tag}, "
        for uses, refused_too in ((CIPHERING, too_long), (WRAPPING, ())):
            for row in _each(
                ck.CKM_AES_CCM, uses, _ccm(nonce, aad, tag), parameter=ccm_parameter(length, nonce, aad, tag),
                wrong=(*wrong, *refused_too), lengths=(length,), refused=refusals, altered=SEALED, private=True,
            ):
                rows.append(row._replace(variant=(variant + row.variant).removesuffix(", ")))
    return rows


def ciphers() -> list[Row]:
    whole: dict[str, Any] = {"lengths": (0, 16, 48), "step": 16, "refused": PARTIAL, "fill": filled(16)}
    rows = _each(ck.CKM_AES_ECB, FOUR, _ecb, **whole)
    rows += _each(ck.CKM_AES_CBC, FOUR, _cbc, parameter=IV, wrong=IVS, **whole)
    rows += _each(
        ck.CKM_AES_CBC_PAD, FOUR, _cbc_pad, parameter=IV, wrong=IVS, refused=refused((), (0, 1, 15, 17)),
        lengths=(0, 1, 15, 16, 41), private=True,
    )
    rows += _each(
        ck.CKM_AES_CTR, FOUR, _ctr, parameter=counter(128, IV), private=True,
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
            refused=refused((), tuple(range(tag))), altered=SEALED, private=True,
        ):
            rows.append(row._replace(variant=(variant + row.variant).removesuffix(", ")))
    return rows


def macs() -> list[Row]:
    rows = _each(ck.CKM_AES_CMAC, SIGNING, lambda key: Oracle(partial(blocks.cmac, blocks.aes(key)[0])))
    wrong = tuple(ulong(length) for length in (0, 17, 2**32, 2**63))
    for length in (16, 1, 10):
        oracle = Oracle(lambda data, length=length: blocks.cmac(blocks.aes(AES_256)[0], data)[:length])
        variant = "" if length == 16 else f"of {length} bytes"
        rows.append(Row(
            ck.CKM_AES_CMAC_GENERAL, SIGNING, oracle, aes(), ulong(length), wrong, variant=variant
        ))
    encrypt, iv = blocks.aes(AES_256)[0], IV[:12]
    for variant, parameter, iv, tag in (
        ("", gcm_parameter(IV[:12], b"", 128), IV[:12], 16), ("12 bytes of IV", IV[:12], IV[:12], 16),
        ("long IV, tag of 8", gcm_parameter(IV, b"", 64), IV, 8),
    ):
        oracle = Oracle(lambda data, iv=iv, tag=tag: blocks.gcm_encrypt(encrypt, iv, data, b"", tag))
        more = (gcm_parameter(IV[:12], b"aad", 128), gcm_parameter(bytes(7), b"", 128), gcm_parameter(iv, b"", 24))
        rows.append(Row(ck.CKM_AES_GMAC, SIGNING, oracle, aes(), parameter, more, variant=variant))
    return rows


def key_wraps() -> list[Row]:
    common: dict[str, Any] = {"parts": False, "altered": SEALED, "private": True}
    rows = _each(
        ck.CKM_AES_KEY_WRAP, FOUR, _kw, wrong=(bytes(8), b"\xa6" * 7, b"\xa6" * 9), lengths=(16, 24, 40), step=8,
        refused=refused((0, 8, 17), (0, 8, 16, 25)), fill=filled(8, 16), **common,
    )
    rows += _each(
        ck.CKM_AES_KEY_WRAP_KWP, FOUR, _kwp, wrong=(bytes(4), b"\xa6\x59\x59"), lengths=(1, 8, 9, 20, 41),
        refused=refused((0,), (0, 8, 20)), **common,
    )
    rows += [row._replace(number=ck.CKM_AES_KEY_WRAP_PAD) for row in rows if row.number == ck.CKM_AES_KEY_WRAP_KWP]
    rows += _each(
        ck.CKM_AES_KEY_WRAP_PKCS7, FOUR, _kw_pkcs7, wrong=(bytes(8), b"\xa6" * 7), lengths=(8, 9, 16, 20, 41),
        refused=refused((0, 1, 7), (0, 8, 16, 25)), **common,
    )
    # The default IVs of RFC 3394 and RFC 5649, given: as if there were none.
    half, quarter = b"\xa6" * 8, bytes.fromhex("a65959a6")
    for number, iv in (
        (ck.CKM_AES_KEY_WRAP, half), (ck.CKM_AES_KEY_WRAP_PKCS7, half), (ck.CKM_AES_KEY_WRAP_KWP, quarter),
        (ck.CKM_AES_KEY_WRAP_PAD, quarter),
    ):
        row = next(row for row in rows if row.number == number)
        rows.append(row._replace(parameter=iv, variant="IV given", optional=True))
    return rows


# -- keys derived by encrypting data (section 6.17)


DATA = bytes(range(200, 248))


def derivations() -> list[Row]:
    def string(data: bytes) -> Any:
        return lambda bench: bench.m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=data, ulLen=len(data))

    def with_iv(data: bytes) -> Any:
        return lambda bench: bench.m.structure("CK_AES_CBC_ENCRYPT_DATA_PARAMS", iv=IV, pData=data, length=len(data))

    common: dict[str, Any] = {
        "lengths": (14, 16, 41, 48), "refused": {"derive": {49: DATA_LEN, 2**63: DATA_LEN, 13: "CKR_KEY_SIZE_RANGE"}},
    }
    rows = []
    for number, make, work in (
        (ck.CKM_AES_ECB_ENCRYPT_DATA, string, lambda encrypt: blocks.ecb(encrypt, DATA)),
        (ck.CKM_AES_CBC_ENCRYPT_DATA, with_iv, lambda encrypt: blocks.cbc_encrypt(encrypt, IV, DATA)),
    ):
        rows += _each(
            number, ("derive",), lambda key, work=work: Oracle(lambda length: work(blocks.aes(key)[0])[:length]),
            parameter=make(DATA), wrong=(make(DATA[:-1]), make(DATA + b"x")), **common,
        )
    return rows


# -- what a partition offers when its legacy switch is on


@cache
def _of_openssl(*options: str, data: bytes) -> bytes:
    return openssl("enc", "-des-ede3", "-K", DES3.hex(), "-nopad", *options, "-in", "data", data=data) if data else b""


def legacy() -> list[Row]:
    keys, iv = secret(ck.CKK_DES3, DES3), IV[:8]
    encrypt, decrypt = blocks.des3(DES3)

    def unpadded(sealed: bytes) -> bytes:
        opened = blocks.cbc_decrypt(decrypt, iv, sealed)
        return opened[: -opened[-1]]

    uneven = refused((1, 7, 9), (1, 7, 9))
    whole: dict[str, Any] = {"lengths": (0, 8, 48), "step": 8, "refused": uneven, "fill": filled(8)}
    ecb = Oracle(lambda data: _of_openssl(data=data), lambda sealed: _of_openssl("-d", data=sealed))
    cbc = Oracle(partial(blocks.cbc_encrypt, encrypt, iv), partial(blocks.cbc_decrypt, decrypt, iv))
    pad = Oracle(lambda data: blocks.cbc_encrypt(encrypt, iv, blocks.padded(data, 8)), unpadded)
    wrong = (bytes(7), bytes(9), IV)
    lengths = tuple(ulong(length) for length in (0, 9, 2**63))
    return [
        Row(ck.CKM_DES3_ECB, FOUR, ecb, keys, **whole),
        Row(ck.CKM_DES3_CBC, FOUR, cbc, keys, iv, wrong, **whole),
        Row(
            ck.CKM_DES3_CBC_PAD, FOUR, pad, keys, iv, wrong, lengths=(0, 1, 7, 8, 41),
            refused=refused((), (0, 1, 7, 9)), private=True,
        ),
        Row(ck.CKM_DES3_CMAC, SIGNING, Oracle(lambda data: blocks.cmac(encrypt, data, 8)), keys),
        Row(
            ck.CKM_DES3_CMAC_GENERAL, SIGNING, Oracle(lambda data: blocks.cmac(encrypt, data, 8)[:5]), keys, ulong(5),
            lengths,
        ),
    ]


ROWS = [
    *digests(), *hmacs(), *ciphers(), *further_ciphers(), *macs(), *key_wraps(), *derivations(), *legacy(),
]
GENERATIONS = [
    Generation(
        ck.CKM_AES_KEY_GEN, ck.CKK_AES, (16, 24, 32), dict.fromkeys((0, 1, 15, 17, 33, 2**32 + 16, 2**63), VALUE)
    ),
    Generation(ck.CKM_AES_XTS_KEY_GEN, ck.CKK_AES_XTS, (32, 64), dict.fromkeys((0, 16, 48, 63, 65, 2**63), VALUE)),
    Generation(ck.CKM_DES3_KEY_GEN, ck.CKK_DES3, (24,), {}, fixed=True),
    Generation(
        ck.CKM_GENERIC_SECRET_KEY_GEN, ck.CKK_GENERIC_SECRET, (1, 20, 4096), dict.fromkeys((0, 4097, 2**63), VALUE)
    ),
    *(
        Generation(
            getattr(ck, f"CKM_{known}_KEY_GEN"), getattr(ck, f"CKK_{known}_HMAC"), (1, 48, 4096),
            dict.fromkeys((0, 4097, 2**63), VALUE),
        )
        for known in HASHED if known != "MD5"
    ),
]
