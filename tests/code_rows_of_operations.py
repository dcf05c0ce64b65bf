"""The table of return codes: two operations in one call, recovery, saved states, and lengths beyond what fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abi import NULL, ffi, good
from code_world import AES, DUAL, ECB, KWP, SESSION, SHA256, Row, World, always_authenticated, begin_both, hmac_key, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from pyasn1.codec.der.encoder import encode
from pyasn1.type import univ

from pkcs11_shim import constants as ck


def _two_in_one() -> list[Row]:
    def short(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        return lambda w: int(getattr(begin_both(w, *kinds).m, f)(w.s, *w.b(bytes(16)), w.out, w.n(15)))

    def beyond(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        def act(w: World) -> int:
            counter = w.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=1, cb=bytes(16))
            begin_both(w, *kinds, mode=ck.CKM_AES_CTR, parameter=counter)
            return int(getattr(w.m, f)(w.s, *w.b(bytes(33)), w.out, w.n()))

        return act

    def one_part(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        return lambda w: SESSION[f](begin_both(w, *kinds, mode=KWP), w.s)

    def alone(f: str, kinds: tuple[str, str], active: int) -> Callable[[World], int]:
        def act(w: World) -> int:
            good(begin_both(w, *kinds).m.C_SessionCancel(w.s, getattr(ck, f"CKF_{kinds[1 - active].upper()}")))
            return SESSION[f](w, w.s)

        return act

    def finished(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        """The plaintext of the whole is there already, and waits for enough room."""
        def act(w: World) -> int:
            begin_both(w, *kinds)
            assert w.m.C_Decrypt(w.s, *w.b(bytes(16)), w.out, w.n(15)) == ck.CKR_BUFFER_TOO_SMALL
            return SESSION[f](w, w.s)

        return act

    def unauthenticated(f: str, kinds: tuple[str, str]) -> Callable[[World], int]:
        def act(w: World) -> int:
            if kinds[1] == "Sign":
                w.begin("Encrypt", ECB, w.aes()).begin("Sign", ck.CKM_SHA256_RSA_PKCS, always_authenticated(w))
            else:
                w.begin("Decrypt", ck.CKM_RSA_PKCS, always_authenticated(w))
                other = (SHA256,) if kinds[1] == "Digest" else (ck.CKM_SHA256_HMAC, hmac_key(w))
                w.begin(kinds[1], *other)
            return SESSION[f](w, w.s)

        return act

    rows = []
    for f, kinds in DUAL.items():
        long = "DATA_LEN_RANGE" if kinds[0] == "Encrypt" else "ENCRYPTED_DATA_LEN_RANGE"
        rows += [
            Row(f, "too little room", "BUFFER_TOO_SMALL", short(f, kinds)),
            Row(f, "beyond the counter", long, beyond(f, kinds)),
            Row(f, "a mechanism for one part", "OPERATION_NOT_INITIALIZED", one_part(f, kinds)),
            Row(f, "only the cipher was begun", "OPERATION_NOT_INITIALIZED", alone(f, kinds, 0)),
            Row(f, "only the other one was begun", "OPERATION_NOT_INITIALIZED", alone(f, kinds, 1)),
        ]
        if kinds[0] == "Decrypt":
            rows.append(Row(f, "its result waits to be fetched", "OPERATION_ACTIVE", finished(f, kinds)))
        if f != "C_DigestEncryptUpdate":
            rows.append(Row(f, "a key asks for a login at each use", "USER_NOT_LOGGED_IN", unauthenticated(f, kinds)))
    return rows


def _recovery() -> list[Row]:
    def init(kind: str, key: Callable[[World], int], number: int = ck.CKM_RSA_PKCS, parameter: Any = None) -> Any:
        return lambda w: int(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(number, parameter), key(w)))

    def twice(kind: str, half: int) -> Callable[[World], int]:
        def act(w: World) -> int:
            key = rsa(w)[half]
            return int(getattr(w.begin(kind, ck.CKM_RSA_PKCS, key).m, f"C_{kind}Init")(
                w.s, w.mech(ck.CKM_RSA_PKCS), key))

        return act

    def recover(signature: bytes, room: int = 4096) -> Callable[[World], int]:
        return lambda w: int(w.begin("VerifyRecover", ck.CKM_RSA_PKCS, rsa(w)[0]).m.C_VerifyRecover(
            w.s, *w.b(signature), w.out, w.n(room)))

    def right(w: World) -> int:
        """A good signature, and too little room for what it gives back."""
        public, private = rsa(w)
        w.begin("SignRecover", ck.CKM_RSA_PKCS, private)
        rv, signature = w.m.output(w.m.C_SignRecover, w.s, *w.b(b"data"))
        good(rv)
        return int(w.begin("VerifyRecover", ck.CKM_RSA_PKCS, public).m.C_VerifyRecover(
            w.s, *w.b(signature), w.out, w.n(3)))

    def sign(data: bytes, room: int = 4096) -> Callable[[World], int]:
        return lambda w: int(w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]).m.C_SignRecover(
            w.s, *w.b(data), w.out, w.n(room)))

    rows = []
    for half, kind in enumerate(("VerifyRecover", "SignRecover")):
        f, flag = f"C_{kind}Init", getattr(ck, "CKA_SIGN_RECOVER" if half else "CKA_VERIFY_RECOVER")
        rows += [
            Row(f, "no such key", "KEY_HANDLE_INVALID", init(kind, lambda w: 0)),
            Row(f, "an object that is no key", "KEY_HANDLE_INVALID", init(kind, lambda w: w.data())),
            Row(f, "the other half of the pair", "KEY_TYPE_INCONSISTENT", init(kind, lambda w, h=half: rsa(w)[1 - h])),
            Row(f, "a key of another type", "KEY_TYPE_INCONSISTENT", init(kind, lambda w, h=half: w.ec()[h])),
            Row(f, "the key's flag for it is FALSE", "KEY_FUNCTION_NOT_PERMITTED",
                init(kind, lambda w, h=half, n=flag: rsa(w, *({n: False} if h == i else {} for i in (0, 1)))[h])),
            Row(f, "a mechanism of nobody", "MECHANISM_INVALID", init(kind, lambda w, h=half: rsa(w)[h], 0x7FFF0000)),
            Row(f, "a mechanism that signs with an appendix only", "MECHANISM_INVALID",
                init(kind, lambda w, h=half: rsa(w)[h], ck.CKM_SHA256_RSA_PKCS)),
            Row(f, "a parameter where there is none", "MECHANISM_PARAM_INVALID",
                init(kind, lambda w, h=half: rsa(w)[h], parameter=b"parameter")),
            Row(f, "an operation of the kind is active", "OPERATION_ACTIVE", twice(kind, half)),
        ]
    return [
        *rows,
        Row("C_SignRecover", "too little room", "BUFFER_TOO_SMALL", sign(b"x", 127)),
        Row("C_SignRecover", "more than fits the key", "DATA_LEN_RANGE", sign(bytes(118))),
        Row("C_SignRecover", "the key asks for a login at each use", "USER_NOT_LOGGED_IN",
            lambda w: SESSION["C_SignRecover"](w.begin("SignRecover", ck.CKM_RSA_PKCS, always_authenticated(w)), w.s)),
        Row("C_VerifyRecover", "no signature", "SIGNATURE_INVALID", recover(bytes(128))),
        Row("C_VerifyRecover", "no signature, and too little room", "SIGNATURE_INVALID", recover(bytes(128), 1)),
        Row("C_VerifyRecover", "no signature is so long", "SIGNATURE_LEN_RANGE", recover(bytes(127), 1)),
        Row("C_VerifyRecover", "too little room", "BUFFER_TOO_SMALL", right),
    ]


def _saved_states() -> list[Row]:
    def saved(w: World) -> tuple[Any, int]:
        rv, state = w.m.output(w.m.C_GetOperationState, w.s)
        good(rv)
        return w.b(state)

    def mac(w: World, encryption: Callable[[World], int], authentication: Callable[[World], int]) -> int:
        w.begin("Sign", ck.CKM_SHA256_HMAC, hmac_key(w))
        return int(w.m.C_SetOperationState(w.s, *saved(w), encryption(w), authentication(w)))

    def nothing(w: World) -> int:
        return 0

    def digest(w: World, encryption: int, authentication: int) -> int:
        w.begin("Digest", SHA256)
        return int(w.m.C_SetOperationState(w.s, *saved(w), encryption, authentication))

    def made_up(state: bytes) -> Callable[[World], int]:
        return lambda w: int(w.m.C_SetOperationState(w.s, *w.b(state), 0, 0))

    def elsewhere(w: World) -> int:
        w.begin("Digest", SHA256)
        return int(w.m.C_SetOperationState(w.read_only(), *saved(w), 0, 0))

    get, put = "C_GetOperationState", "C_SetOperationState"
    return [
        Row(get, "only a search is active", "OPERATION_NOT_INITIALIZED",
            lambda w: good(w.m.C_FindObjectsInit(w.s, NULL, 0)) or SESSION[get](w, w.s)),
        Row(get, "only a signature with recovery is active", "OPERATION_NOT_INITIALIZED",
            lambda w: SESSION[get](w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]), w.s)),
        Row(get, "a signature with recovery beside a digest", "STATE_UNSAVEABLE",
            lambda w: SESSION[get](w.begin("SignRecover", ck.CKM_RSA_PKCS, rsa(w)[1]).begin("Digest", SHA256), w.s)),
        Row(get, "a cipher in parts", "STATE_UNSAVEABLE",
            lambda w: SESSION[get](w.begin("Encrypt", ECB, w.aes()), w.s)),
        Row(get, "too little room", "BUFFER_TOO_SMALL",
            lambda w: w.begin("Digest", SHA256).m.C_GetOperationState(w.s, w.out, w.n(8))),
        Row(put, "nothing", "SAVED_STATE_INVALID", made_up(b"")),
        Row(put, "bytes that nobody gave out", "SAVED_STATE_INVALID", made_up(bytes(32))),
        Row(put, "a session in another state", "SAVED_STATE_INVALID", elsewhere),
        Row(put, "a key for a digest", "KEY_NOT_NEEDED", lambda w: digest(w, 0, hmac_key(w))),
        Row(put, "another key for a digest", "KEY_NOT_NEEDED", lambda w: digest(w, w.aes(), 0)),
        Row(put, "a cipher's key for a MAC", "KEY_NOT_NEEDED", lambda w: mac(w, hmac_key, nothing)),
        Row(put, "another key than the MAC's", "KEY_CHANGED", lambda w: mac(w, nothing, hmac_key)),
        Row(put, "an object that is no key", "KEY_CHANGED", lambda w: mac(w, nothing, lambda w: w.data())),
    ]


PRIME_FIELD, EC_PUBLIC_KEY = (univ.ObjectIdentifier(f"1.2.840.10045.{n}") for n in ("1.1", "2.1"))


def der(value: Any) -> bytes:
    """Sequences as tuples, integers and octet strings."""
    def built(item: Any) -> Any:
        if not isinstance(item, tuple):
            kinds: dict[type, Any] = {int: univ.Integer, bytes: univ.OctetString}
            return kinds.get(type(item), lambda given: given)(item)
        sequence = univ.Sequence()
        for position, part in enumerate(item):
            sequence.setComponentByPosition(position, built(part))
        return sequence

    return bytes(encode(built(value)))


TOO_LONG = 1 << 40  # for any message


def _lengths() -> list[Row]:
    """What is too long for a message, of which the library reads no byte, and keys too short for a padding."""
    def oaep(w: World) -> Any:
        return w.m.structure("CK_RSA_PKCS_OAEP_PARAMS", hashAlg=ck.CKM_SHA512, mgf=ck.CKG_MGF1_SHA512, source=0)

    def init(kind: str, half: int) -> Callable[[World], int]:
        return lambda w: int(getattr(w.m, f"C_{kind}Init")(w.s, w.mech(ck.CKM_RSA_PKCS_OAEP, oaep(w)), rsa(w)[half]))

    def unwrap(w: World) -> int:
        return w.m.unwrap(w.s, w.mech(ck.CKM_RSA_PKCS_OAEP, oaep(w)), rsa(w)[1], bytes(128), AES)[0]

    def old_key(w: World) -> int:
        """A public key of 512 bits: SHA-512's signature of one has no room for its own padding."""
        modulus = b"\xc5" + b"\x55" * 63
        rows = {ck.CKA_CLASS: ck.CKO_PUBLIC_KEY, ck.CKA_KEY_TYPE: ck.CKK_RSA, ck.CKA_MODULUS: modulus}
        key = w.m.make(w.s, {**rows, ck.CKA_PUBLIC_EXPONENT: b"\1\0\1"})
        return int(w.m.C_VerifyInit(w.s, w.mech(ck.CKM_SHA512_RSA_PKCS), key))

    def another_curve(w: World) -> int:
        """A private key on a curve that is spelt out and nobody's, wrapped outside."""
        curve = (1, (PRIME_FIELD, 17), (b"\1", b"\2"), b"\4\5\1", 19, 1)
        encoded = der((0, (EC_PUBLIC_KEY, curve), der((1, b"\1"))))
        wrapping = w.m.make(w.s, {**AES, ck.CKA_VALUE: bytes(32)})
        rows = {ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC}
        return w.m.unwrap(w.s, w.mech(KWP), wrapping, aes_key_wrap_with_padding(bytes(32), encoded), rows)[0]

    def mac(kind: str, call: Callable[[World], int]) -> Callable[[World], int]:
        return lambda w: call(w.begin(kind, ck.CKM_SHA256_HMAC, hmac_key(w)))

    def both(f: str) -> Callable[[World], int]:
        return lambda w: int(getattr(begin_both(w, *DUAL[f]).m, f)(w.s, w.out, TOO_LONG, w.out, w.n()))

    return [
        Row("C_EncryptInit", "a key too short for the padding", "KEY_SIZE_RANGE", init("Encrypt", 0)),
        Row("C_DecryptInit", "a key too short for the padding", "KEY_SIZE_RANGE", init("Decrypt", 1)),
        Row("C_VerifyInit", "a key too short for the hash", "KEY_SIZE_RANGE", old_key),
        Row("C_UnwrapKey", "a key too short for the padding", "UNWRAPPING_KEY_SIZE_RANGE", unwrap),
        Row("C_UnwrapKey", "a key on a curve of nobody", "CURVE_NOT_SUPPORTED", another_curve),
        Row("C_SignUpdate", "too long", "DATA_LEN_RANGE",
            mac("Sign", lambda w: int(w.m.C_SignUpdate(w.s, w.out, TOO_LONG)))),
        Row("C_VerifyUpdate", "too long", "DATA_LEN_RANGE",
            mac("Verify", lambda w: int(w.m.C_VerifyUpdate(w.s, w.out, TOO_LONG)))),
        Row("C_VerifyFinal", "too long", "SIGNATURE_LEN_RANGE",
            mac("Verify", lambda w: int(w.m.C_VerifyFinal(w.s, w.out, TOO_LONG)))),
        *(Row(f, "too long", "DATA_LEN_RANGE" if k[0] == "Encrypt" else "ENCRYPTED_DATA_LEN_RANGE", both(f))
          for f, k in DUAL.items()),
        Row("C_DeriveKey", "data shorter than the key asked for", "DATA_LEN_RANGE", short_data),
        Row("C_DecryptVerifyUpdate", "more than can be verified", "DATA_LEN_RANGE", more_than_can_be_verified),
        Row("C_DecryptUpdate", "its result waits to be fetched", "OPERATION_ACTIVE", finished_before),
    ]


def more_than_can_be_verified(w: World) -> int:
    """EdDSA hashes its message twice, so it is gathered, up to 64 MiB."""
    edwards = {ck.CKA_EC_PARAMS: bytes.fromhex("06032b6570")}
    rv, public, _ = w.m.pair(w.s, ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, edwards, {})
    good(rv)
    half = 33 << 20
    room, length = ffi.new("CK_BYTE[]", half), w.n(half)
    counter = w.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=bytes(16))
    w.begin("Decrypt", ck.CKM_AES_CTR, w.aes(), counter).begin("Verify", ck.CKM_EDDSA, public)
    good(w.m.C_DecryptVerifyUpdate(w.s, room, half, room, length))
    return int(w.m.C_DecryptVerifyUpdate(w.s, room, half, room, length))


def short_data(w: World) -> int:
    """CKM_AES_ECB_ENCRYPT_DATA (section 6.17.4): a key of two blocks out of one."""
    parameter = w.m.structure("CK_KEY_DERIVATION_STRING_DATA", pData=bytes(range(16)), ulLen=16)
    rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_VALUE_LEN: 32}
    return w.m.derive(w.s, w.mech(ck.CKM_AES_ECB_ENCRYPT_DATA, parameter), w.aes(), rows)[0]


def finished_before(w: World) -> int:
    w.begin("Decrypt", ECB, w.aes())
    assert w.m.C_Decrypt(w.s, *w.b(bytes(16)), w.out, w.n(15)) == ck.CKR_BUFFER_TOO_SMALL
    return SESSION["C_DecryptUpdate"](w, w.s)


ROWS = [*_two_in_one(), *_recovery(), *_saved_states(), *_lengths()]
