"""The matrix's rows of RSA, ECDSA, EdDSA and key agreement, and of the pairs they are made for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import oracle_blocks as blocks
import oracle_hashes as hashes
from abi import NULL
from matrix import CIPHERING, RECOVERING, SIGNING, WRAPPING, Oracle, PairGeneration, Row
from matrix_keys import (
    AES_256,
    LONG_SEED,
    OIDS,
    RSA,
    RSA_KEYS,
    SCALAR,
    SEED,
    ec,
    edwards,
    montgomery,
)
from matrix_symmetric import DATA_LEN, SEALED, SEALED_LEN, VALUE, WRAPPED_LEN
from oracle_numbers import DIGEST_INFO, ED448, ED25519, X448, X25519, weierstrass
from vectors_rsa import oaep, pss

from hsm.mechanisms import registry
from pkcs11_shim import constants as ck

N = RSA.octets
SIGNATURE_LEN = "CKR_SIGNATURE_LEN_RANGE"
FOUR = (*CIPHERING, *WRAPPING)
PKCS1_HASHES = tuple(DIGEST_INFO)
RSA_HASHED = tuple(known for known in PKCS1_HASHES if known != "MD5")  # of all else that RSA and ECDSA do
SHORT = {known: known.replace("SHA_1", "SHA1") for known in hashes.ALGORITHMS}
CURVES = {
    "P-192": "prime192v1", "P-224": "secp224r1", "P-384": "secp384r1", "P-521": "secp521r1", "secp256k1": "secp256k1",
    **{f"brainpoolP{bits}r1": f"brainpoolP{bits}r1" for bits in (256, 384, 512)},
}


def structure(kind: str, **fields: Any) -> Any:
    return lambda bench: bench.m.structure(kind, **fields)


# -- RSA


def _rsa_signed(encode: Callable[[bytes], bytes]) -> Oracle:
    return Oracle(lambda data: RSA.private(encode(data)))


def _pss(known: str, mgf: str, salt: int, *, hashed: bool) -> Oracle:
    def digest(data: bytes) -> bytes:
        return hashes.digest(known, data) if hashed else data

    return Oracle(
        lambda data: RSA.private(RSA.pss_encoded(known, mgf, digest(data), bytes(salt))),
        good=lambda data, signature: RSA.pss_good(known, mgf, digest(data), signature, salt),
    )


def rsa_signatures() -> list[Row]:
    too_long = {use: {N - 10: DATA_LEN, N: DATA_LEN} for use in SIGNING}
    rows = [Row(
        ck.CKM_RSA_PKCS, SIGNING, _rsa_signed(RSA.pkcs1), RSA_KEYS, refused=too_long, parts=False,
        lengths=(0, 1, 51, N - 11),
    )]
    sealed = dict.fromkeys((0, N - 1, N + 1), SIGNATURE_LEN)
    rows.append(Row(
        ck.CKM_RSA_PKCS, RECOVERING, Oracle(rows[0].oracle.make, RSA.recovered), RSA_KEYS, lengths=(0, 1, 51, N - 11),
        refused={"sign_recover": too_long["sign"], "verify_recover": sealed}, altered="CKR_SIGNATURE_INVALID",
        parts=False,
    ))
    for known in PKCS1_HASHES:
        info, number = bytes.fromhex(DIGEST_INFO[known]), getattr(ck, f"CKM_{SHORT[known]}_RSA_PKCS")
        oracle = _rsa_signed(lambda data, known=known, info=info: RSA.pkcs1(info + hashes.digest(known, data)))
        rows.append(Row(number, SIGNING, oracle, RSA_KEYS))
    return rows


def pss_signatures() -> list[Row]:
    kind = "CK_RSA_PKCS_PSS_PARAMS"
    rows = []
    for known in RSA_HASHED:
        size, short = hashes.length(known), SHORT[known]
        number, own = getattr(ck, f"CKM_{short}_RSA_PKCS_PSS"), getattr(ck, f"CKM_{known}")
        unknown = structure(kind, hashAlg=ck.CKM_MD5, mgf=1, sLen=20)
        generators = tuple(structure(kind, hashAlg=own, mgf=mgf, sLen=size) for mgf in (0, 99, 2**32 + 1))
        lengths = tuple(pss(short, salt) for salt in (N - size - 1, 2**32, 2**63))
        wrong = (unknown, *generators, *lengths)
        other = pss("SHA1" if known != "SHA_1" else "SHA256", 20)
        for mgf, salt, variant in ((known, size, ""), ("SHA_1", 0, "MGF of SHA-1, no salt"),
                                   (known, N - size - 2, "longest salt")):
            parameter = pss(short, salt, SHORT[mgf])
            rows.append(Row(
                number, SIGNING, _pss(known, mgf, salt, hashed=True), RSA_KEYS, parameter, (*wrong, other),
                variant=variant,
            ))
        refused = {use: dict.fromkeys((0, size - 1, size + 1), DATA_LEN) for use in SIGNING}
        rows.append(Row(
            ck.CKM_RSA_PKCS_PSS, SIGNING, _pss(known, known, size, hashed=False), RSA_KEYS, pss(short, size), wrong,
            (size,), refused, parts=False, variant="" if known == "SHA256" else f"of {known}",
        ))
    return rows


OAEP_HASHES = ("SHA_1", "SHA224", "SHA256", "SHA384", "SHA512")


def oaep_parameter(known: str, mgf: str, label: bytes) -> Any:
    return structure(
        "CK_RSA_PKCS_OAEP_PARAMS", hashAlg=getattr(ck, f"CKM_{known}"), mgf=getattr(ck, f"CKG_MGF1_{SHORT[mgf]}"),
        source=ck.CKZ_DATA_SPECIFIED, pSourceData=label, ulSourceDataLen=len(label),
    )


def rsa_encryption() -> list[Row]:
    sealed = dict.fromkeys((0, N - 1, N + 1), SEALED_LEN)
    wrapped = dict.fromkeys((0, N - 1, N + 1), WRAPPED_LEN)
    common: dict[str, Any] = {"parts": False}
    rows = [Row(
        ck.CKM_RSA_PKCS, FOUR, Oracle(RSA.pkcs1_encrypt, RSA.pkcs1_decrypt), RSA_KEYS, lengths=(0, 1, 32, N - 11),
        refused={"encrypt": {N - 10: DATA_LEN}, "decrypt": sealed, "unwrap": wrapped}, **common,
    )]
    good: dict[str, Any] = {"hashAlg": ck.CKM_SHA256, "mgf": ck.CKG_MGF1_SHA256, "source": ck.CKZ_DATA_SPECIFIED}
    changes: tuple[dict[str, Any], ...] = (
        {"hashAlg": ck.CKM_MD5}, {"hashAlg": 2**32 + ck.CKM_SHA256}, {"mgf": 0}, {"mgf": 99}, {"source": 2},
        {"source": 0, "pSourceData": b"label", "ulSourceDataLen": 5},
    )
    wrong = tuple(structure("CK_RSA_PKCS_OAEP_PARAMS", **{**good, **change}) for change in changes)
    for known, mgf, label in (
        ("SHA256", "SHA256", b""), *((known, known, b"label") for known in OAEP_HASHES), ("SHA256", "SHA_1", b""),
        ("SHA_1", "SHA512", b"l" * 300),
    ):
        room = N - 2 * hashes.length(known) - 2
        oracle = Oracle(partial(RSA.oaep_encrypt, known, mgf, label), partial(RSA.oaep_decrypt, known, mgf, label))
        variant = "" if (known, mgf, label) == ("SHA256", "SHA256", b"") else f"{known}, {mgf}, label of {len(label)}"
        rows.append(Row(
            ck.CKM_RSA_PKCS_OAEP, FOUR, oracle, RSA_KEYS, oaep_parameter(known, mgf, label), wrong, (0, 1, 32, room),
            {"encrypt": {room + 1: DATA_LEN}, "decrypt": sealed, "unwrap": wrapped}, altered=SEALED, variant=variant,
            **common,
        ))
    return rows


def _rsa_aes(known: str, size: int) -> Oracle:
    once = AES_256[:size]
    encrypt = blocks.aes(once)[0]

    def undo(sealed: bytes) -> bytes | None:
        key = RSA.oaep_decrypt(known, known, b"", sealed[:N])
        return blocks.kwp_unwrap(blocks.aes(key)[1], sealed[N:]) if key is not None and len(key) == size else None

    return Oracle(lambda data: RSA.oaep_encrypt(known, known, b"", once) + blocks.kwp_wrap(encrypt, data), undo)


def rsa_aes() -> list[Row]:
    def parameter(bits: int, inner: Any = ..., known: str = "SHA256") -> Any:
        def make(bench: Any) -> Any:
            oaep_given = oaep(SHORT[known], SHORT[known])(bench) if inner is ... else inner
            return bench.m.structure("CK_RSA_AES_KEY_WRAP_PARAMS", ulAESKeyBits=bits, pOAEPParams=oaep_given)

        return make

    def unknown(bench: Any) -> Any:
        inner = {"hashAlg": ck.CKM_MD5, "mgf": ck.CKG_MGF1_SHA256, "source": ck.CKZ_DATA_SPECIFIED}
        return parameter(256, bench.m.structure("CK_RSA_PKCS_OAEP_PARAMS", **inner))(bench)

    wrong = (*(parameter(bits) for bits in (0, 100, 2**32 + 256, 2**63)), parameter(256, NULL), unknown)
    refused = {"unwrap": dict.fromkeys((0, N, N + 8, N + 15, N + 17), WRAPPED_LEN)}
    return [
        Row(
            ck.CKM_RSA_AES_KEY_WRAP, WRAPPING, _rsa_aes(known, bits // 8), RSA_KEYS, parameter(bits, ..., known), wrong,
            refused=refused, altered=SEALED, private=True,
            variant="" if (bits, known) == (256, "SHA256") else f"{known}, AES-{bits}",
        )
        for known in ("SHA256", "SHA_1", "SHA512") for bits in (128, 192, 256)
    ]


# -- elliptic curves


def _ecdsa(curve: str, known: str | None) -> Oracle:
    found = weierstrass(curve)
    public = found.times(SCALAR, found.base)

    def digest(data: bytes) -> bytes:
        return hashes.digest(known, data) if known else data

    return Oracle(
        lambda data: found.sign(SCALAR, digest(data)),
        good=lambda data, signature: found.verifies(public, digest(data), signature),
    )


def ecdsa() -> list[Row]:
    none = {use: {0: DATA_LEN} for use in SIGNING}
    raw: dict[str, Any] = {"parts": False, "refused": none, "lengths": (1, 20, 32, 64, 200)}
    rows = [Row(ck.CKM_ECDSA, SIGNING, _ecdsa("prime256v1", None), ec("prime256v1"), **raw)]
    for known in RSA_HASHED:
        number = getattr(ck, f"CKM_ECDSA_{SHORT[known]}")
        rows.append(Row(number, SIGNING, _ecdsa("prime256v1", known), ec("prime256v1"), lengths=(0, 1, 41)))
    for words, curve in CURVES.items():
        rows.append(Row(ck.CKM_ECDSA, SIGNING, _ecdsa(curve, None), ec(curve), variant=words, **raw))
        rows.append(Row(
            ck.CKM_ECDSA_SHA512, SIGNING, _ecdsa(curve, "SHA512"), ec(curve), variant=words, lengths=(0, 41)
        ))
    return rows


def eddsa() -> list[Row]:
    kind = "CK_EDDSA_PARAMS"
    wrong = (bytes(3), structure(kind, phFlag=1), structure(kind, pContextData=b"c", ulContextDataLen=1))
    plain = structure(kind, phFlag=0)
    rows = []
    for words, curve, seed in (("", ED25519, SEED), ("Ed448", ED448, LONG_SEED)):
        oracle = Oracle(partial(curve.sign, seed))
        keys = edwards(curve.name)
        rows.append(Row(ck.CKM_EDDSA, SIGNING, oracle, keys, plain, wrong, (0, 41), optional=True, variant=words))
    oracle = Oracle(partial(ED25519.sign, SEED))
    rows.append(Row(ck.CKM_EDDSA, SIGNING, oracle, edwards("Ed25519"), lengths=(1,), variant="without parameter"))
    return rows


# -- key agreement: the oracle makes the key of a length


PEER = 0x2233445566778899001122334455667788990011223344


def _agreed(curve: str, kdf: str, shared: bytes) -> Oracle:
    found = weierstrass(curve)
    met = found.times(SCALAR * PEER % found.order, found.base)
    assert met is not None
    secret = met[0].to_bytes(found.octets, "big")
    if not kdf:
        return Oracle(lambda length: secret[-length:])
    return Oracle(lambda length: hashes.x963(kdf, secret, shared, length))


def peer_of(curve: str) -> bytes:
    found = weierstrass(curve)
    point = found.times(PEER, found.base)
    assert point is not None
    return found.encoded(point)


def ecdh_parameter(kdf: int, peer: bytes, shared: bytes = b"") -> Any:
    return structure(
        "CK_ECDH1_DERIVE_PARAMS", kdf=kdf, pSharedData=shared, ulSharedDataLen=len(shared), pPublicData=peer,
        ulPublicDataLen=len(peer),
    )


def agreements() -> list[Row]:
    number, peer = ck.CKM_ECDH1_DERIVE, peer_of("prime256v1")
    wrong = (
        ecdh_parameter(ck.CKD_NULL, b""), ecdh_parameter(ck.CKD_SHA1_KDF_SP800, peer), ecdh_parameter(0, peer),
        ecdh_parameter(2**32 + ck.CKD_NULL, peer), ecdh_parameter(ck.CKD_NULL, peer, b"shared"),
    )
    rows = [Row(
        number, ("derive",), _agreed("prime256v1", "", b""), ec("prime256v1"), ecdh_parameter(ck.CKD_NULL, peer), wrong,
        (14, 16, 31, 32), {"derive": {13: "CKR_KEY_SIZE_RANGE", 33: "CKR_KEY_SIZE_RANGE"}},
        key_types=(ck.CKK_EC_MONTGOMERY,),
    )]
    rows.append(rows[0]._replace(number=ck.CKM_ECDH1_COFACTOR_DERIVE, key_types=()))
    for known in RSA_HASHED:
        kdf = getattr(ck, f"CKD_{SHORT[known]}_KDF")
        for shared in (b"", b"shared"):
            rows.append(Row(
                number, ("derive",), _agreed("prime256v1", known, shared), ec("prime256v1"),
                ecdh_parameter(kdf, peer, shared), (), (14, 32, 100, 512),
                {"derive": dict.fromkeys((13, 513), "CKR_KEY_SIZE_RANGE")},
                variant=f"{known}, {len(shared)} bytes shared",
            ))
    for words, curve in CURVES.items():
        size = weierstrass(curve).octets
        rows.append(Row(
            number, ("derive",), _agreed(curve, "", b""), ec(curve), ecdh_parameter(ck.CKD_NULL, peer_of(curve)), (),
            (14, size), {"derive": {size + 1: "CKR_KEY_SIZE_RANGE"}}, variant=words,
        ))
    rows += [row._replace(number=ck.CKM_ECDH1_COFACTOR_DERIVE) for row in rows if row.variant == "brainpoolP384r1"]
    for words, found in (("X25519", X25519), ("X448", X448)):
        value, size = montgomery(words).closed[ck.CKA_VALUE], found.octets
        point = found.times(bytes(range(1, size + 1)), bytes([9 if found is X25519 else 5]).ljust(size, b"\0"))
        secret = found.times(value, point)
        rows.append(Row(
            number, ("derive",), Oracle(lambda length, secret=secret: secret[-length:]), montgomery(words),
            ecdh_parameter(ck.CKD_NULL, point), (), (14, size), {"derive": {size + 1: "CKR_KEY_SIZE_RANGE"}},
            variant=words,
        ))
    return rows


# -- pairs


Read = Callable[[int], bytes]


def _number(read: Read, attribute: int) -> int:
    return int.from_bytes(read(attribute), "big")


def _rsa_fits(bits: int, e: int) -> Callable[[Read, Read], bool]:
    def fits(public: Read, private: Read) -> bool:
        n, d = _number(public, ck.CKA_MODULUS), _number(private, ck.CKA_PRIVATE_EXPONENT)
        p, q = _number(private, ck.CKA_PRIME_1), _number(private, ck.CKA_PRIME_2)
        return (
            p * q == n and n.bit_length() == bits and _number(public, ck.CKA_PUBLIC_EXPONENT) == e
            and d * e % (p - 1) == d * e % (q - 1) == 1 and _number(private, ck.CKA_EXPONENT_1) == d % (p - 1)
            and _number(private, ck.CKA_EXPONENT_2) == d % (q - 1)
            and _number(private, ck.CKA_COEFFICIENT) == pow(q, -1, p)
        )

    return fits


def _ec_fits(curve: str) -> Callable[[Read, Read], bool]:
    def fits(public: Read, private: Read) -> bool:
        found = weierstrass(curve)
        point = found.times(_number(private, ck.CKA_VALUE), found.base)
        return point is not None and public(ck.CKA_EC_POINT).endswith(found.encoded(point))

    return fits


def pairs() -> list[PairGeneration]:
    incomplete = "CKR_TEMPLATE_INCOMPLETE"
    sizes: list[tuple[dict[int, Any], str]] = [
        ({ck.CKA_MODULUS_BITS: bits}, VALUE) for bits in (0, 1016, 2049, 16384, 2**32 + 2048, 2**63)
    ]
    exponents: list[tuple[dict[int, Any], str]] = [
        ({ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: e}, VALUE) for e in (b"\0", b"\1", b"\2", b"\5")
    ]
    rows = [PairGeneration(
        ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.CKK_RSA, {ck.CKA_MODULUS_BITS: 2048}, ((dict[int, Any](), incomplete), *sizes,
                                                                                *exponents), _rsa_fits(2048, 65537),
    )]
    rows.append(rows[0]._replace(
        public={ck.CKA_MODULUS_BITS: 1024, ck.CKA_PUBLIC_EXPONENT: b"\3"}, variant="exponent 3",
        fits=_rsa_fits(1024, 3),
    ))
    curves: tuple[tuple[dict[int, Any], str], ...] = (
        ({}, incomplete), ({ck.CKA_EC_PARAMS: bytes.fromhex("06052b8104007f")}, "CKR_CURVE_NOT_SUPPORTED"),
        ({ck.CKA_EC_PARAMS: b"noise"}, "CKR_DOMAIN_PARAMS_INVALID"),
    )
    for words, curve in {"": "prime256v1", **CURVES}.items():
        rows.append(PairGeneration(
            ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC, {ck.CKA_EC_PARAMS: OIDS[curve]}, curves, _ec_fits(curve), variant=words,
        ))
    for words, found in (("", ED25519), ("Ed448", ED448)):
        rows.append(PairGeneration(
            ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.CKK_EC_EDWARDS, {ck.CKA_EC_PARAMS: OIDS[found.name]},
            (({}, incomplete), ({ck.CKA_EC_PARAMS: OIDS["prime256v1"]}, "CKR_CURVE_NOT_SUPPORTED")),
            lambda public, private, found=found: public(ck.CKA_EC_POINT).endswith(found.public(private(ck.CKA_VALUE))),
            variant=words,
        ))
    for words, name, ladder, base in (("", "X25519", X25519, 9), ("X448", "X448", X448, 5)):
        rows.append(PairGeneration(
            ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ck.CKK_EC_MONTGOMERY, {ck.CKA_EC_PARAMS: OIDS[name]},
            (({}, incomplete), ({ck.CKA_EC_PARAMS: OIDS["Ed25519"]}, "CKR_CURVE_NOT_SUPPORTED")),
            lambda public, private, ladder=ladder, base=base: public(ck.CKA_EC_POINT).endswith(
                ladder.times(private(ck.CKA_VALUE), bytes([base]).ljust(ladder.octets, b"\0"))
            ),
            variant=words,
        ))
    return rows


def raw_rsa() -> list[Row]:
    """CKM_RSA_X_509 is there where libcrypto's headers were when Adyton was installed."""
    if ck.CKM_RSA_X_509 not in registry.MECHANISMS:
        return []
    whole = Oracle(lambda data: RSA.public(data.rjust(N, b"\0")), RSA.private)
    short = Oracle(whole.make, lambda sealed: RSA.private(sealed).lstrip(b"\0"))
    long = {use: {N + 1: DATA_LEN} for use in (*SIGNING, "sign_recover", "encrypt")}
    other = (0, N - 1, N + 1)
    sealed = {"decrypt": dict.fromkeys(other, SEALED_LEN), "verify_recover": dict.fromkeys(other, SIGNATURE_LEN)}
    signed = Oracle(lambda data: RSA.private(data.rjust(N, b"\0")))
    recovered = Oracle(signed.make, RSA.public)
    common: dict[str, Any] = {"keys": RSA_KEYS, "parts": False}
    return [
        Row(ck.CKM_RSA_X_509, SIGNING, signed, lengths=(0, 1, 41, N), refused=long, **common),
        Row(ck.CKM_RSA_X_509, ("sign_recover",), signed, lengths=(0, 1, 41, N), refused=long, **common),
        Row(ck.CKM_RSA_X_509, ("verify_recover",), recovered, lengths=(N,), refused=sealed, **common),
        Row(ck.CKM_RSA_X_509, ("encrypt",), short, lengths=(0, 1, 41, N), refused=long, **common),
        Row(ck.CKM_RSA_X_509, ("decrypt",), whole, lengths=(N,), refused=sealed, **common),
    ]


ROWS = [
    *rsa_signatures(), *raw_rsa(), *pss_signatures(), *rsa_encryption(), *rsa_aes(), *ecdsa(), *eddsa(), *agreements(),
]
PAIRS = pairs()
