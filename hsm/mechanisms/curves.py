"""The curves of ECDSA and ECDH: by OID, by name, or by the explicit parameters of one of them.

CKA_EC_PARAMS is a DER ECParameters (PKCS#11 3.2, section 6.3.3): an OID, a PrintableString with the curve's name, or
the parameters spelt out, which some clients (and OpenSSL 3.0 through pkcs11-provider) write. Explicit parameters are
compared, all of them, with the curves known here; no others are ever computed with.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from hsm.errors import TokenError
from pkcs11_shim import constants as ck


class Curve(NamedTuple):
    """One curve: bits of its order, the DER of its OID, and its domain parameters (SEC 2, FIPS 186-4,
    RFC 5639)."""

    name: str
    make: type[ec.EllipticCurve]
    bits: int
    oid: bytes
    prime: int
    a: int
    b: int
    generator: bytes
    order: int
    names: tuple[str, ...] = ()

    @property
    def octets(self) -> int:
        """Length of a coordinate, and of half a signature."""
        return (self.bits + 7) // 8


CURVES = (
    Curve(
        "P-192", ec.SECP192R1, 192, bytes.fromhex("06082a8648ce3d030101"),
        0xfffffffffffffffffffffffffffffffeffffffffffffffff,
        0xfffffffffffffffffffffffffffffffefffffffffffffffc,
        0x64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1,
        bytes.fromhex(
            "04188da80eb03090f67cbf20eb43a18800f4ff0afd82ff101207192b95ffc8da78631011ed6b24cdd573f977"
            "a11e794811"
        ),
        0xffffffffffffffffffffffff99def836146bc9b1b4d22831,
        ("secp192r1", "prime192v1"),
    ),
    Curve(
        "P-224", ec.SECP224R1, 224, bytes.fromhex("06052b81040021"),
        0xffffffffffffffffffffffffffffffff000000000000000000000001,
        0xfffffffffffffffffffffffffffffffefffffffffffffffffffffffe,
        0xb4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4,
        bytes.fromhex(
            "04b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21bd376388b5f723fb4c22dfe6cd4375"
            "a05a07476444d5819985007e34"
        ),
        0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d,
        ("secp224r1",),
    ),
    Curve(
        "P-256", ec.SECP256R1, 256, bytes.fromhex("06082a8648ce3d030107"),
        0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff,
        0xffffffff00000001000000000000000000000000fffffffffffffffffffffffc,
        0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
        bytes.fromhex(
            "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb"
            "4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        ),
        0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
        ("secp256r1", "prime256v1"),
    ),
    Curve(
        "P-384", ec.SECP384R1, 384, bytes.fromhex("06052b81040022"),
        0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff,
        0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc,
        0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
        bytes.fromhex(
            "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e"
            "3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e81"
            "9d7a431d7c90ea0e5f"
        ),
        0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
        ("secp384r1",),
    ),
    Curve(
        "P-521", ec.SECP521R1, 521, bytes.fromhex("06052b81040023"),
        int(
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffffffffffff", 16,
        ),
        int(
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "fffffffffffffffffffffffffffffffffffffffffffc", 16,
        ),
        int(
            "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652"
            "c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00", 16,
        ),
        bytes.fromhex(
            "0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe"
            "1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f544"
            "49579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd166"
            "50"
        ),
        int(
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc"
            "0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16,
        ),
        ("secp521r1",),
    ),
    Curve(
        "secp256k1", ec.SECP256K1, 256, bytes.fromhex("06052b8104000a"),
        0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f,
        0x0000000000000000000000000000000000000000000000000000000000000000,
        0x0000000000000000000000000000000000000000000000000000000000000007,
        bytes.fromhex(
            "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fb"
            "fc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
        ),
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141,
        (),
    ),
    Curve(
        "brainpoolP256r1", ec.BrainpoolP256R1, 256, bytes.fromhex("06092b2403030208010107"),
        0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377,
        0x7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9,
        0x26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6,
        bytes.fromhex(
            "048bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262547ef835c3dac4fd97f846"
            "1a14611dc9c27745132ded8e545c1d54c72f046997"
        ),
        0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7,
    ),
    Curve(
        "brainpoolP384r1", ec.BrainpoolP384R1, 384, bytes.fromhex("06092b240303020801010b"),
        0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53,
        0x7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826,
        0x04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11,
        bytes.fromhex(
            "041d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2"
            "e247d4af1e8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e464621779181"
            "1142820341263c5315"
        ),
        0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565,
    ),
    Curve(
        "brainpoolP512r1", ec.BrainpoolP512R1, 512, bytes.fromhex("06092b240303020801010d"),
        int(
            "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12a"
            "e6a380e62881ff2f2d82c68528aa6056583a48f3", 16,
        ),
        int(
            "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c9"
            "8b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94ca", 16,
        ),
        int(
            "3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94ca"
            "dc083e67984050b75ebae5dd2809bd638016f723", 16,
        ),
        bytes.fromhex(
            "0481aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d168"
            "7b93b97d5f7c6d5047406a5e688b352209bcb9f8227dde385d566332ecc0eabfa9cf7822fdf209f70024a57b"
            "1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892"
        ),
        int(
            "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca9261941866119"
            "7fac10471db1d381085ddaddb58796829ca90069", 16,
        ),
    ),
)
_BY_OID = {row.oid: row for row in CURVES}
_BY_NAME = {name: row for row in CURVES for name in (row.name, *row.names)}
SEQUENCE, PRINTABLE_STRING, OBJECT_IDENTIFIER = 0x30, 0x13, 0x06
PRIME_FIELD = (1, 2, 840, 10045, 1, 1)
LONGEST_PARAMETERS = 2048  # P-521 with a seed takes a quarter of it


def find(parameters: bytes | None) -> Curve:
    """The curve that CKA_EC_PARAMS names; CKR_CURVE_NOT_SUPPORTED for others, CKR_DOMAIN_PARAMS_INVALID for noise."""
    if not parameters:
        raise TokenError(ck.CKR_TEMPLATE_INCOMPLETE, "CKA_EC_PARAMS must be given", "CKA_EC_PARAMS")
    row = _BY_OID.get(parameters)
    if row is None and not _is_one_value(parameters):
        raise TokenError(ck.CKR_DOMAIN_PARAMS_INVALID, "CKA_EC_PARAMS is not a DER value", "CKA_EC_PARAMS")
    if row is None and parameters[0] == PRINTABLE_STRING:
        row = _BY_NAME.get(parameters[2:].decode("ascii", "replace"))
    elif row is None and parameters[0] == SEQUENCE:
        row = _explicit(parameters)
    elif row is None and parameters[0] != OBJECT_IDENTIFIER:
        words = "CKA_EC_PARAMS is an OID, a curve's name or explicit parameters"
        raise TokenError(ck.CKR_DOMAIN_PARAMS_INVALID, words, "CKA_EC_PARAMS")
    if row is None:
        raise TokenError(ck.CKR_CURVE_NOT_SUPPORTED, "CKA_EC_PARAMS names no curve of this token", "CKA_EC_PARAMS")
    return row


def _is_one_value(parameters: bytes) -> bool:
    """Tag, length and just so many bytes."""
    if not 2 <= len(parameters) <= LONGEST_PARAMETERS:
        return False
    size, more = parameters[1], parameters[1] & 0x7F if parameters[1] & 0x80 else 0
    if more:
        size = int.from_bytes(parameters[2 : 2 + more], "big")
    return len(parameters) == 2 + more + size


def _explicit(parameters: bytes) -> Curve | None:
    """ECParameters of X9.62 (RFC 3279, section 2.3.5): version, field, curve, base, order, cofactor."""
    from pyasn1.codec.der import decoder
    from pyasn1.error import PyAsn1Error

    try:
        whole, rest = decoder.decode(parameters)
        if tuple(whole[1][0]) != PRIME_FIELD:
            return None
        prime, a, b = int(whole[1][1]), int(whole[2][0].asOctets().hex(), 16), int(whole[2][1].asOctets().hex(), 16)
        base, order = whole[3].asOctets(), int(whole[4])
        cofactor = int(whole[5]) if len(whole) > 5 else 1
    except (PyAsn1Error, IndexError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        words = "CKA_EC_PARAMS is not a DER ECParameters"
        raise TokenError(ck.CKR_DOMAIN_PARAMS_INVALID, words, "CKA_EC_PARAMS") from None
    if rest or cofactor != 1:
        return None
    for row in CURVES:
        compressed = bytes([2 + row.generator[-1] % 2]) + row.generator[1 : 1 + row.octets]
        if (prime, a, b, order) == (row.prime, row.a, row.b, row.order) and base in (row.generator, compressed):
            return row
    return None
