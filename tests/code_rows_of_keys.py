"""The table of return codes: operations and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abi import NULL, good
from code_world import (
    AES,
    CBC,
    ECB,
    ECDSA,
    KWP,
    NO_CURVE,
    P256,
    PAD,
    SESSION,
    SHA256,
    SHA256_HMAC,
    Row,
    World,
    always_authenticated,
    hmac_key,
)

from pkcs11_shim import constants as ck


def _inits() -> list[Row]:
    def init(kind: str, number: int, key: Callable[[World], int], parameter: Any = None) -> Callable[[World], int]:
        return lambda w: int(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(number, parameter), key(w)))

    def twice(kind: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            number, key = right[kind][0], right[kind][1](w)
            return int(getattr(w.begin(kind, number, key).m, f"C_{kind}Init")(w.s, w.mech(number), key))

        return act

    right: dict[str, tuple[int, Callable[[World], int]]] = {
        "Encrypt": (ECB, lambda w: w.aes()), "Decrypt": (ECB, lambda w: w.aes()),
        "Sign": (ECDSA, lambda w: w.ec()[1]), "Verify": (ECDSA, lambda w: w.ec()[0]),
    }
    rows = []
    for kind, (number, key) in right.items():
        f = f"C_{kind}Init"
        other = hmac_key if kind in ("Encrypt", "Decrypt") else lambda w: w.aes()
        rows += [
            Row(f, "no such key", "KEY_HANDLE_INVALID", init(kind, number, lambda w: 0)),
            Row(f, "an object that is no key", "KEY_HANDLE_INVALID", init(kind, number, lambda w: w.data())),
            Row(f, "a key of another type", "KEY_TYPE_INCONSISTENT", init(kind, number, other)),
            Row(f, "the key's flag for it is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
                init(kind, ck.CKM_AES_CMAC if kind in ("Sign", "Verify") else ECB,
                     lambda w, k=kind: w.aes(**{k.lower(): False}))),
            Row(f, "a mechanism of nobody", "MECHANISM_INVALID", init(kind, 0x7FFF0000, key)),
            Row(f, "a mechanism for something else", "MECHANISM_INVALID", init(kind, SHA256, key)),
            Row(f, "a parameter where there is none", "MECHANISM_PARAM_INVALID", init(kind, number, key, b"parameter")),
            Row(f, "an operation of the kind is active", "OPERATION_ACTIVE", twice(kind)),
        ]
    return [
        *rows,
        Row("C_EncryptInit", "an IV of the wrong length", "MECHANISM_PARAM_INVALID",
            init("Encrypt", CBC, lambda w: w.aes(), bytes(15))),
        Row("C_DigestInit", "a mechanism for something else", "MECHANISM_INVALID",
            lambda w: w.m.C_DigestInit(w.s, w.mech(ECB))),
        Row("C_DigestInit", "a parameter where there is none", "MECHANISM_PARAM_INVALID",
            lambda w: w.m.C_DigestInit(w.s, w.mech(SHA256, b"x"))),
        Row("C_DigestInit", "a digest is active", "OPERATION_ACTIVE",
            lambda w: w.begin("Digest", SHA256).m.C_DigestInit(w.s, w.mech(SHA256))),
    ]


def _ciphers() -> list[Row]:
    def after_update(kind: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin(kind, ECB, w.aes())
            good(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(bytes(16)), w.out, w.n()))
            return int(getattr(w.m, f"C_{kind}")(w.s, *w.b(bytes(16)), w.out, w.n()))

        return act

    def one(kind: str, number: int, data: bytes, room: int = 4096, parameter: Any = None) -> Callable[[World], int]:
        return lambda w: int(getattr(w.begin(kind, number, w.aes(), parameter).m, f"C_{kind}")(
            w.s, *w.b(data), w.out, w.n(room)))

    def part(kind: str, number: int, data: bytes, room: int, parameter: Any = None) -> Callable[[World], int]:
        return lambda w: int(getattr(w.begin(kind, number, w.aes(), parameter).m, f"C_{kind}Update")(
            w.s, *w.b(data), w.out, w.n(room)))

    def final(kind: str, number: int, data: bytes, room: int, parameter: Any = None) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin(kind, number, w.aes(), parameter)
            good(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(data), w.out, w.n()))
            return int(getattr(w.m, f"C_{kind}Final")(w.s, w.out, w.n(room)))

        return act

    def padded(size: int, room: int, in_parts: bool) -> Callable[[World], int]:
        """Decrypts what was encrypted with padding, into too little room."""
        def act(w: World) -> int:
            key, iv = w.aes(), bytes(16)
            rv, sealed = w.m.use("Encrypt", w.s, w.mech(PAD, iv), key, bytes(size))
            good(rv)
            w.begin("Decrypt", PAD, key, iv)
            if not in_parts:
                return int(w.m.C_Decrypt(w.s, *w.b(sealed), w.out, w.n(room)))
            good(w.m.C_DecryptUpdate(w.s, *w.b(sealed), w.out, w.n()))
            return int(w.m.C_DecryptFinal(w.s, w.out, w.n(room)))

        return act

    def counter(kind: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            ctr = w.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=1, cb=bytes(16))
            good(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(ck.CKM_AES_CTR, ctr), w.aes()))
            return int(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(bytes(33)), w.out, w.n()))

        return act

    def lost_login(f: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin("Decrypt", ck.CKM_RSA_PKCS, always_authenticated(w))
            return SESSION[f](w, w.s)

        return act

    return [
        Row("C_Encrypt", "after an update", "OPERATION_ACTIVE", after_update("Encrypt")),
        Row("C_Decrypt", "after an update", "OPERATION_ACTIVE", after_update("Decrypt")),
        Row("C_Encrypt", "no whole blocks", "DATA_LEN_RANGE", one("Encrypt", ECB, bytes(15))),
        Row("C_Encrypt", "too little room", "BUFFER_TOO_SMALL", one("Encrypt", ECB, bytes(16), 15)),
        Row("C_EncryptUpdate", "too little room", "BUFFER_TOO_SMALL", part("Encrypt", ECB, bytes(16), 15)),
        Row("C_EncryptUpdate", "beyond the counter", "DATA_LEN_RANGE", counter("Encrypt")),
        Row("C_EncryptFinal", "no whole blocks", "DATA_LEN_RANGE", final("Encrypt", ECB, bytes(15), 64)),
        Row("C_EncryptFinal", "too little room", "BUFFER_TOO_SMALL", final("Encrypt", PAD, bytes(15), 15, bytes(16))),
        Row("C_EncryptUpdate", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            part("Encrypt", KWP, bytes(16), 64)),
        Row("C_Decrypt", "no whole blocks", "ENCRYPTED_DATA_LEN_RANGE", one("Decrypt", ECB, bytes(15))),
        Row("C_Decrypt", "altered", "ENCRYPTED_DATA_INVALID", one("Decrypt", KWP, bytes(24))),
        Row("C_Decrypt", "too little room", "BUFFER_TOO_SMALL", padded(40, 39, False)),
        Row("C_DecryptUpdate", "too little room", "BUFFER_TOO_SMALL", part("Decrypt", ECB, bytes(16), 15)),
        Row("C_DecryptUpdate", "beyond the counter", "ENCRYPTED_DATA_LEN_RANGE", counter("Decrypt")),
        Row("C_DecryptFinal", "no whole blocks", "ENCRYPTED_DATA_LEN_RANGE", final("Decrypt", ECB, bytes(15), 64)),
        Row("C_DecryptFinal", "wrong padding", "ENCRYPTED_DATA_INVALID", lambda w: wrong_padding(w)),
        Row("C_DecryptFinal", "too little room", "BUFFER_TOO_SMALL", padded(40, 7, True)),
        *(Row(f, "the key asks for a login at each use", "USER_NOT_LOGGED_IN", lost_login(f))
          for f in ("C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal")),
    ]


def wrong_padding(w: World) -> int:
    """The last byte of the last block decrypts to zero: no padding ends so."""
    key = w.aes(sensitive=False, extractable=True)
    rv, block = w.m.use("Encrypt", w.s, w.mech(ECB), key, bytes(16))
    good(rv)
    w.begin("Decrypt", PAD, key, bytes(16))
    good(w.m.C_DecryptUpdate(w.s, *w.b(block), w.out, w.n()))
    return int(w.m.C_DecryptFinal(w.s, w.out, w.n()))


def _signatures_and_digests() -> list[Row]:
    def mac(kind: str, call: Callable[[World], int]) -> Callable[[World], int]:
        return lambda w: call(w.begin(kind, SHA256_HMAC, hmac_key(w)))

    def after_update(kind: str, call: Callable[[World], int]) -> Callable[[World], int]:
        def act(w: World) -> int:
            w.begin(kind, SHA256, None) if kind == "Digest" else w.begin(kind, SHA256_HMAC, hmac_key(w))
            good(getattr(w.m, f"C_{kind}Update")(w.s, *w.b(b"x")))
            return call(w)

        return act

    def unauthenticated(f: str) -> Callable[[World], int]:
        def act(w: World) -> int:
            _, key = w.ec({ck.CKA_ALWAYS_AUTHENTICATE: True})
            w.begin("Sign", ck.CKM_ECDSA_SHA256, key)
            return SESSION[f](w, w.s)

        return act

    def ecdsa_verify(signature: bytes) -> Callable[[World], int]:
        return lambda w: int(w.begin("Verify", ECDSA, w.ec()[0]).m.C_Verify(w.s, *w.b(bytes(32)), *w.b(signature)))

    wrong = bytes(31) + b"\1" + bytes(31) + b"\1"
    sign, verify, digest = SESSION["C_Sign"], SESSION["C_Verify"], SESSION["C_Digest"]
    return [
        Row("C_Sign", "after an update", "OPERATION_ACTIVE", after_update("Sign", lambda w: sign(w, w.s))),
        Row("C_Verify", "after an update", "OPERATION_ACTIVE", after_update("Verify", lambda w: verify(w, w.s))),
        Row("C_Digest", "after an update", "OPERATION_ACTIVE", after_update("Digest", lambda w: digest(w, w.s))),
        Row("C_Sign", "too little room", "BUFFER_TOO_SMALL",
            mac("Sign", lambda w: w.m.C_Sign(w.s, *w.b(b"x"), w.out, w.n(31)))),
        Row("C_SignFinal", "too little room", "BUFFER_TOO_SMALL",
            mac("Sign", lambda w: w.m.C_SignFinal(w.s, w.out, w.n(31)))),
        Row("C_Sign", "nothing to sign", "DATA_LEN_RANGE",
            lambda w: w.begin("Sign", ECDSA, w.ec()[1]).m.C_Sign(w.s, NULL, 0, w.out, w.n())),
        Row("C_SignUpdate", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            lambda w: w.begin("Sign", ECDSA, w.ec()[1]).m.C_SignUpdate(w.s, *w.b(b"x"))),
        Row("C_SignFinal", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            lambda w: w.begin("Sign", ECDSA, w.ec()[1]).m.C_SignFinal(w.s, w.out, w.n())),
        *(Row(f, "the key asks for a login at each use", "USER_NOT_LOGGED_IN", unauthenticated(f))
          for f in ("C_Sign", "C_SignUpdate", "C_SignFinal")),
        Row("C_Verify", "another's signature", "SIGNATURE_INVALID", ecdsa_verify(wrong)),
        Row("C_Verify", "a signature of odd length", "SIGNATURE_LEN_RANGE", ecdsa_verify(bytes(63))),
        Row("C_Verify", "nothing to verify", "DATA_LEN_RANGE",
            lambda w: w.begin("Verify", ECDSA, w.ec()[0]).m.C_Verify(w.s, NULL, 0, *w.b(wrong))),
        Row("C_VerifyUpdate", "a mechanism for one part", "OPERATION_NOT_INITIALIZED",
            lambda w: w.begin("Verify", ECDSA, w.ec()[0]).m.C_VerifyUpdate(w.s, *w.b(b"x"))),
        Row("C_VerifyFinal", "another MAC", "SIGNATURE_INVALID",
            mac("Verify", lambda w: w.m.C_VerifyFinal(w.s, *w.b(bytes(32))))),
        Row("C_VerifyFinal", "a MAC too short", "SIGNATURE_LEN_RANGE",
            mac("Verify", lambda w: w.m.C_VerifyFinal(w.s, *w.b(bytes(31))))),
        Row("C_Digest", "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.begin("Digest", SHA256).m.C_Digest(w.s, *w.b(b"x"), w.out, w.n(31))),
        Row("C_DigestFinal", "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.begin("Digest", SHA256).m.C_DigestFinal(w.s, w.out, w.n(31))),
        Row("C_DigestKey", "no such key", "KEY_HANDLE_INVALID",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, 0)),
        Row("C_DigestKey", "an object that is no key", "KEY_HANDLE_INVALID",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, w.data())),
        Row("C_DigestKey", "a sensitive key", "KEY_INDIGESTIBLE",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, w.aes())),
        Row("C_DigestKey", "a public key", "KEY_INDIGESTIBLE",
            lambda w: w.begin("Digest", SHA256).m.C_DigestKey(w.s, w.ec()[0])),
    ]


def _keys() -> list[Row]:
    def aes_gen(rows: Any) -> Callable[[World], int]:
        return lambda w: w.m.generate(w.s, ck.CKM_AES_KEY_GEN, rows)[0]

    def ec_gen(public: Any, private: Any) -> Callable[[World], int]:
        return lambda w: w.m.pair(w.s, ck.CKM_EC_KEY_PAIR_GEN, public, private)[0]

    size, curve = {ck.CKA_VALUE_LEN: 16}, {ck.CKA_EC_PARAMS: P256}
    both: list[tuple[str, Callable[[Any], Callable[[World], int]]]] = [
        ("C_GenerateKey", lambda more: aes_gen({**size, **more})),
        ("C_GenerateKeyPair", lambda more: ec_gen(curve, more)),
    ]
    rows = []
    for f, gen in both:
        rows += [
            Row(f, "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", gen({0x7FFFFF: b""})),
            Row(f, "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID", gen({ck.CKA_TOKEN: b"\1\1"})),
            Row(f, "the value in the template", "ATTRIBUTE_READ_ONLY", gen({ck.CKA_VALUE: bytes(16)})),
            Row(f, "TRUSTED by the user", "TEMPLATE_INCONSISTENT" if "Pair" in f else "ATTRIBUTE_READ_ONLY",
                gen({ck.CKA_TRUSTED: True})),
            Row(f, "another class", "TEMPLATE_INCONSISTENT", gen({ck.CKA_CLASS: ck.CKO_DATA})),
        ]
    rows += [
        Row("C_GenerateKey", "no length", "TEMPLATE_INCOMPLETE", aes_gen({})),
        Row("C_GenerateKey", "a length that no AES key has", "ATTRIBUTE_VALUE_INVALID",
            aes_gen({ck.CKA_VALUE_LEN: 17})),
        Row("C_GenerateKey", "a mechanism for pairs", "MECHANISM_INVALID",
            lambda w: w.m.generate(w.s, ck.CKM_EC_KEY_PAIR_GEN, {})[0]),
        Row("C_GenerateKey", "a parameter where there is none", "MECHANISM_PARAM_INVALID",
            lambda w: w.m.generate(w.s, ck.CKM_AES_KEY_GEN, size, b"x")[0]),
        Row("C_GenerateKey", "a token key in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.generate(w.read_only(), ck.CKM_AES_KEY_GEN, {**size, ck.CKA_TOKEN: True})[0]),
        Row("C_GenerateKey", "a private key, nobody logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.generate(w.s, ck.CKM_AES_KEY_GEN, size)[0]),
        Row("C_GenerateKeyPair", "no curve", "TEMPLATE_INCOMPLETE", ec_gen({}, {})),
        Row("C_GenerateKeyPair", "a curve of nobody", "CURVE_NOT_SUPPORTED", ec_gen({ck.CKA_EC_PARAMS: NO_CURVE}, {})),
        Row("C_GenerateKeyPair", "no curve parameters", "DOMAIN_PARAMS_INVALID",
            ec_gen({ck.CKA_EC_PARAMS: b"noise"}, {})),
        Row("C_GenerateKeyPair", "a size that no RSA key has", "ATTRIBUTE_VALUE_INVALID", lambda w: w.m.pair(
            w.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, {ck.CKA_MODULUS_BITS: 1001, ck.CKA_PUBLIC_EXPONENT: b"\3"}, {})[0]),
        Row("C_GenerateKeyPair", "a mechanism for secret keys", "MECHANISM_INVALID",
            lambda w: w.m.pair(w.s, ck.CKM_AES_KEY_GEN, {}, {})[0]),
        Row("C_GenerateKeyPair", "a parameter where there is none", "MECHANISM_PARAM_INVALID",
            lambda w: w.m.C_GenerateKeyPair(
                w.s, w.mech(ck.CKM_EC_KEY_PAIR_GEN, b"x"), *w.t(curve), *w.t({}), w.h, w.h2)),
        Row("C_GenerateKeyPair", "a token key in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.pair(w.read_only(), ck.CKM_EC_KEY_PAIR_GEN, curve, {ck.CKA_TOKEN: True})[0]),
        Row("C_GenerateKeyPair", "a private key, nobody logged in", "USER_NOT_LOGGED_IN",
            lambda w: w.public().m.pair(w.s, ck.CKM_EC_KEY_PAIR_GEN, curve, {})[0]),
    ]
    return rows


def _wrapping() -> list[Row]:
    def wrap(
        key: Callable[[World], int], target: Callable[[World], int], number: int = KWP, parameter: Any = None,
        room: int = 4096,
    ) -> Callable[[World], int]:
        return lambda w: int(w.m.C_WrapKey(w.s, w.mech(number, parameter), key(w), target(w), w.out, w.n(room)))

    def aes(**more: Any) -> Callable[[World], int]:
        return lambda w: w.aes(**more)

    def made(rows: Any) -> Callable[[World], int]:
        return lambda w: w.m.make(w.s, {**AES, **rows})

    def private_by_kw(w: World) -> int:
        return w.ec({ck.CKA_EXTRACTABLE: True})[1]

    out = aes(extractable=True)
    return [
        Row("C_WrapKey", "no such wrapping key", "WRAPPING_KEY_HANDLE_INVALID", wrap(lambda w: 0, out)),
        Row("C_WrapKey", "a wrapping key that is no key", "WRAPPING_KEY_HANDLE_INVALID", wrap(lambda w: w.data(), out)),
        Row("C_WrapKey", "a wrapping key of another type", "WRAPPING_KEY_TYPE_INCONSISTENT", wrap(hmac_key, out)),
        Row("C_WrapKey", "a weaker wrapping key", "WRAPPING_KEY_SIZE_RANGE",
            wrap(lambda w: w.m.aes(w.s, value_len=16), out)),
        Row("C_WrapKey", "no such key", "KEY_HANDLE_INVALID", wrap(aes(), lambda w: 0)),
        Row("C_WrapKey", "an object that is no key", "KEY_HANDLE_INVALID", wrap(aes(), lambda w: w.data())),
        Row("C_WrapKey", "not of the wrapping key's CKA_WRAP_TEMPLATE", "KEY_HANDLE_INVALID",
            wrap(aes(wrap_template={ck.CKA_LABEL: b"these"}), out)),
        Row("C_WrapKey", "CKA_WRAP is FALSE", "KEY_FUNCTION_NOT_PERMITTED", wrap(aes(wrap=False), out)),
        Row("C_WrapKey", "not extractable", "KEY_UNEXTRACTABLE", wrap(aes(), aes())),
        Row("C_WrapKey", "a public key", "KEY_NOT_WRAPPABLE", wrap(aes(), lambda w: w.ec()[0])),
        Row("C_WrapKey", "by a mechanism that protects no sensitive key", "KEY_NOT_WRAPPABLE", wrap(aes(), out, ECB)),
        Row("C_WrapKey", "a key too long for RSA", "KEY_SIZE_RANGE", lambda w: wrap_long_by_rsa(w)),
        Row("C_WrapKey", "too little room", "BUFFER_TOO_SMALL", wrap(aes(), out, room=39)),
        Row("C_WrapKey", "a mechanism for something else", "MECHANISM_INVALID", wrap(aes(), out, SHA256)),
        Row("C_WrapKey", "a parameter of the wrong form", "MECHANISM_PARAM_INVALID", wrap(aes(), out, CBC, b"short")),
        Row("C_WrapKey", "the key's owner logged out", "WRAPPING_KEY_HANDLE_INVALID",
            lambda w: (k := w.aes()) and w.public().m.C_WrapKey(w.s, w.mech(KWP), k, k, w.out, w.n())),
    ]


def wrap_long_by_rsa(w: World) -> int:
    public = {ck.CKA_MODULUS_BITS: 2048, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"}
    rv, key, _ = w.m.pair(w.s, ck.CKM_RSA_PKCS_KEY_PAIR_GEN, public, {})
    good(rv)
    rv, long = w.m.generate(w.s, ck.CKM_GENERIC_SECRET_KEY_GEN, {
        ck.CKA_VALUE_LEN: 300, ck.CKA_SENSITIVE: False, ck.CKA_EXTRACTABLE: True})
    good(rv)
    return int(w.m.C_WrapKey(w.s, w.mech(ck.CKM_RSA_PKCS), key, long, w.out, w.n()))


def _unwrapping_and_deriving() -> list[Row]:
    def unwrap(
        key: Callable[[World], int], rows: Any = None, blob: bytes = bytes(24), number: int = KWP, parameter: Any = None
    ) -> Callable[[World], int]:
        return lambda w: w.m.unwrap(w.s, w.mech(number, parameter), key(w), blob, AES if rows is None else rows)[0]

    def aes(**more: Any) -> Callable[[World], int]:
        return lambda w: w.aes(**more)

    def good_blob(rows: Any) -> Callable[[World], int]:
        """A well wrapped AES key of 32 bytes, unwrapped into ``rows``."""
        def act(w: World) -> int:
            key = w.aes()
            rv, blob = w.m.wrap(w.s, w.mech(KWP), key, w.aes(extractable=True))
            good(rv)
            return w.m.unwrap(w.s, w.mech(KWP), key, blob, rows)[0]

        return act

    def derive(
        rows: Any, key: Callable[[World], int] | None = None, peer: bytes | None = None,
        number: int = ck.CKM_ECDH1_DERIVE,
    ) -> Callable[[World], int]:
        def act(w: World) -> int:
            public, private = w.ec()
            point = w.m.read(w.s, public, ck.CKA_EC_POINT) if peer is None else peer
            parameter = w.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point,
                                      ulPublicDataLen=len(point))
            return w.m.derive(w.s, w.mech(number, parameter), private if key is None else key(w), rows)[0]

        return act

    generic = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
    rows = [
        Row("C_UnwrapKey", "no such key", "UNWRAPPING_KEY_HANDLE_INVALID", unwrap(lambda w: 0)),
        Row("C_UnwrapKey", "an object that is no key", "UNWRAPPING_KEY_HANDLE_INVALID", unwrap(lambda w: w.data())),
        Row("C_UnwrapKey", "a key of another type", "UNWRAPPING_KEY_TYPE_INCONSISTENT", unwrap(hmac_key)),
        Row("C_UnwrapKey", "CKA_UNWRAP is FALSE", "KEY_FUNCTION_NOT_PERMITTED", unwrap(aes(unwrap=False))),
        Row("C_UnwrapKey", "altered", "WRAPPED_KEY_INVALID", unwrap(aes())),
        Row("C_UnwrapKey", "no wrapped key is so long", "WRAPPED_KEY_LEN_RANGE", unwrap(aes(), blob=bytes(23))),
        Row("C_UnwrapKey", "another length than the template says", "WRAPPED_KEY_LEN_RANGE",
            good_blob({**AES, ck.CKA_VALUE_LEN: 16})),
        Row("C_UnwrapKey", "no class", "TEMPLATE_INCOMPLETE", unwrap(aes(), {ck.CKA_KEY_TYPE: ck.CKK_AES})),
        Row("C_UnwrapKey", "no length, and zeros may follow the key", "TEMPLATE_INCOMPLETE",
            unwrap(aes(), {**generic, ck.CKA_SENSITIVE: False}, bytes(32), ECB)),
        Row("C_UnwrapKey", "a public key", "TEMPLATE_INCONSISTENT",
            unwrap(aes(), {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA})),
        Row("C_UnwrapKey", "against the key's CKA_UNWRAP_TEMPLATE", "TEMPLATE_INCONSISTENT",
            unwrap(aes(unwrap_template={ck.CKA_LABEL: b"these"}), {**AES, ck.CKA_LABEL: b"others"})),
        Row("C_UnwrapKey", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", unwrap(aes(), {**AES, 0x7FFFFF: b""})),
        Row("C_UnwrapKey", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID",
            unwrap(aes(), {**AES, ck.CKA_TOKEN: b"\1\1"})),
        Row("C_UnwrapKey", "the value in the template", "ATTRIBUTE_READ_ONLY",
            unwrap(aes(), {**AES, ck.CKA_VALUE: bytes(16)})),
        Row("C_UnwrapKey", "a mechanism for something else", "MECHANISM_INVALID", unwrap(aes(), number=SHA256)),
        Row("C_UnwrapKey", "a parameter of the wrong form", "MECHANISM_PARAM_INVALID",
            unwrap(aes(), number=CBC, parameter=b"short")),
        Row("C_UnwrapKey", "a token key in a read-only session", "SESSION_READ_ONLY",
            lambda w: w.m.unwrap(w.read_only(), w.mech(KWP), w.aes(), bytes(24), {**AES, ck.CKA_TOKEN: True})[0]),
        Row("C_UnwrapKey", "a key that asks for a login at each use", "USER_NOT_LOGGED_IN", lambda w: w.m.unwrap(
            w.s, w.mech(ck.CKM_RSA_PKCS), always_authenticated(w), bytes(128), AES)[0]),
        Row("C_DeriveKey", "no such key", "KEY_HANDLE_INVALID", derive({}, lambda w: 0)),
        Row("C_DeriveKey", "an object that is no key", "KEY_HANDLE_INVALID", derive({}, lambda w: w.data())),
        Row("C_DeriveKey", "a key of another type", "KEY_TYPE_INCONSISTENT", derive({}, hmac_key)),
        Row("C_DeriveKey", "CKA_DERIVE is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
            derive({}, lambda w: w.ec({ck.CKA_DERIVE: False})[1])),
        Row("C_DeriveKey", "another party's key that is none", "PUBLIC_KEY_INVALID",
            derive({}, peer=b"\4" + bytes(64))),
        Row("C_DeriveKey", "no other party's key", "MECHANISM_PARAM_INVALID", derive({}, peer=b"")),
        Row("C_DeriveKey", "a mechanism for something else", "MECHANISM_INVALID",
            lambda w: w.m.derive(w.s, w.mech(SHA256), w.ec()[1], {})[0]),
        Row("C_DeriveKey", "a longer key than was agreed", "KEY_SIZE_RANGE", derive({ck.CKA_VALUE_LEN: 33})),
        Row("C_DeriveKey", "no length of an AES key", "TEMPLATE_INCOMPLETE", derive({ck.CKA_KEY_TYPE: ck.CKK_AES})),
        Row("C_DeriveKey", "a public key", "TEMPLATE_INCONSISTENT", derive({ck.CKA_CLASS: ck.CKO_PUBLIC_KEY})),
        Row("C_DeriveKey", "an attribute of nobody", "ATTRIBUTE_TYPE_INVALID", derive({0x7FFFFF: b""})),
        Row("C_DeriveKey", "a flag of two bytes", "ATTRIBUTE_VALUE_INVALID", derive({ck.CKA_TOKEN: b"\1\1"})),
        Row("C_DeriveKey", "the value in the template", "ATTRIBUTE_READ_ONLY", derive({ck.CKA_VALUE: bytes(16)})),
        Row("C_DeriveKey", "a token key in a read-only session", "SESSION_READ_ONLY", lambda w: derive_in(
            w, w.read_only(), {ck.CKA_TOKEN: True})),
        Row("C_DeriveKey", "a key that asks for a login at each use", "USER_NOT_LOGGED_IN",
            derive({}, lambda w: w.ec({ck.CKA_ALWAYS_AUTHENTICATE: True})[1])),
    ]
    return rows


def derive_in(w: World, session: int, rows: Any) -> int:
    public, private = w.ec()
    point = w.m.read(w.s, public, ck.CKA_EC_POINT)
    parameter = w.m.structure("CK_ECDH1_DERIVE_PARAMS", kdf=ck.CKD_NULL, pPublicData=point, ulPublicDataLen=len(point))
    return w.m.derive(session, w.mech(ck.CKM_ECDH1_DERIVE, parameter), private, rows)[0]


ROWS = [
    *_inits(), *_ciphers(), *_signatures_and_digests(), *_keys(), *_wrapping(), *_unwrapping_and_deriving(),
]
