"""PyKCS11: its main uses, each answer checked by cryptography or hashlib.

PyKCS11 calls everything twice, for the length and for the bytes, reads attributes one by one where one is missing, and
hands over parameters as structures with pointers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import PyKCS11
import pytest
from PyKCS11 import (
    CK_FALSE,
    CK_TRUE,
    CKA_CLASS,
    CKA_EXTRACTABLE,
    CKA_ID,
    CKA_KEY_TYPE,
    CKA_LABEL,
    CKA_SENSITIVE,
    CKA_TOKEN,
    CKA_VALUE,
    CKA_VALUE_LEN,
    CKF_RW_SESSION,
    CKK_AES,
    CKO_SECRET_KEY,
    LowLevel,
    Mechanism,
)

from pkcs11_shim import constants as ck

GENERATE_AES = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_KEY_TYPE, CKK_AES), (CKA_VALUE_LEN, 32)]
READABLE = [(CKA_SENSITIVE, CK_FALSE), (CKA_EXTRACTABLE, CK_TRUE)]
# The Init of each use, and the flag by which a mechanism says that it serves it.
INITS = {"C_EncryptInit": "ENCRYPT", "C_DecryptInit": "DECRYPT", "C_SignInit": "SIGN", "C_VerifyInit": "VERIFY"}


@pytest.fixture
def library(adyton_token: Any) -> Iterator[PyKCS11.PyKCS11Lib]:
    loaded = PyKCS11.PyKCS11Lib()
    loaded.load(adyton_token.module)
    yield loaded
    loaded.unload()


@pytest.fixture
def session(library: PyKCS11.PyKCS11Lib, adyton_token: Any) -> PyKCS11.Session:
    opened = library.openSession(0, CKF_RW_SESSION)
    opened.login(adyton_token.pin)
    return opened


def refused(code: int, call: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(PyKCS11.PyKCS11Error) as refusal:
        call(*arguments)
    assert refusal.value.value == code, refusal.value


# -- library, slots, mechanisms


def test_the_library_and_the_token_say_what_they_are(library: Any, adyton_token: Any) -> None:
    info = library.getInfo()
    assert (info.cryptokiVersion, info.manufacturerID.rstrip(), info.flags) == ((3, 2), "Adyton", 0)
    assert library.getSlotList() == library.getSlotList(tokenPresent=True) == [0]
    slot = library.getSlotInfo(0)
    assert (slot.manufacturerID.rstrip(), slot.flags) == ("Adyton", ck.CKF_TOKEN_PRESENT)
    token = library.getTokenInfo(0)
    assert token.label.rstrip() == adyton_token.label and len(token.serialNumber) == 16
    assert token.flags == (
        ck.CKF_RNG | ck.CKF_LOGIN_REQUIRED | ck.CKF_USER_PIN_INITIALIZED | ck.CKF_RESTORE_KEY_NOT_NEEDED
        | ck.CKF_TOKEN_INITIALIZED | ck.CKF_DUAL_CRYPTO_OPERATIONS
    )
    assert (token.ulMinPinLen, token.ulMaxPinLen) == (4, 255)
    assert (token.ulMaxSessionCount, token.ulSessionCount, token.ulRwSessionCount) == (0, 0, 0)
    refused(ck.CKR_SLOT_ID_INVALID, library.getSlotInfo, 1)
    refused(ck.CKR_NO_EVENT, library.waitForSlotEvent, PyKCS11.CKF_DONT_BLOCK)


def test_two_users_of_one_library_and_a_second_load(adyton_token: Any) -> None:
    one, two = PyKCS11.PyKCS11Lib(), PyKCS11.PyKCS11Lib()
    one.load(adyton_token.module)
    two.load(adyton_token.module)
    assert one.getSlotList() == two.getSlotList() == [0]
    one.unload()
    assert two.getSlotList() == [0]
    two.unload()
    two.load(adyton_token.module)
    assert two.getSlotList() == [0]
    two.unload()


def test_the_mechanism_list_tells_no_lie(library: Any, session: Any) -> None:
    """Every mechanism listed has its information, and serves the uses that its flags name and no others."""
    numbers = LowLevel.ckulonglist()
    assert library.lib.C_GetMechanismList(0, numbers) == ck.CKR_OK
    assert len(set(numbers)) == len(numbers) > 70
    no_key = LowLevel.CK_OBJECT_HANDLE()
    # PyKCS11 turns numbers into names; version 1.5.20 adds one that no module has named.
    names = [name for name in library.getMechanismList(0) if PyKCS11.CKM[name] in set(numbers)]
    assert len(names) == len(numbers)
    for name in names:
        number, flags = PyKCS11.CKM[name], library.getMechanismInfo(0, name).flags
        assert flags & (
            ck.CKF_ENCRYPT | ck.CKF_SIGN | ck.CKF_DIGEST | ck.CKF_GENERATE | ck.CKF_GENERATE_KEY_PAIR | ck.CKF_WRAP
            | ck.CKF_DERIVE
        )
        for function, flag in INITS.items():
            mechanism = Mechanism(number).to_native()
            rv = getattr(library.lib, function)(session.session, mechanism, no_key)
            offered = bool(flags & getattr(ck, f"CKF_{flag}"))
            assert rv == (ck.CKR_KEY_HANDLE_INVALID if offered else ck.CKR_MECHANISM_INVALID), (function, name)
        rv = library.lib.C_DigestInit(session.session, Mechanism(number).to_native())
        assert rv == (ck.CKR_OK if flags & ck.CKF_DIGEST else ck.CKR_MECHANISM_INVALID), name
        if rv == ck.CKR_OK:
            library.lib.C_Digest(session.session, PyKCS11.ckbytelist(b"x"), PyKCS11.ckbytelist([0] * 64))
        for flag, rv in uses_of_keys(library.lib, session.session, number, no_key).items():
            assert (rv != ck.CKR_MECHANISM_INVALID) == bool(flags & flag) and rv != ck.CKR_OK, (hex(flag), name)
    refused(ck.CKR_MECHANISM_INVALID, library.getMechanismInfo, 0, "CKM_RSA_X9_31")


def uses_of_keys(low: Any, session: Any, number: int, no_key: Any) -> dict[int, int]:
    """What the functions that make keys, or move them, answer where nothing but the mechanism is given."""
    mechanism, empty = Mechanism(number).to_native(), LowLevel.ckattrlist(0)
    made, other = LowLevel.CK_OBJECT_HANDLE(), LowLevel.CK_OBJECT_HANDLE()
    room, blob = PyKCS11.ckbytelist(), PyKCS11.ckbytelist(bytes(24))
    return {
        ck.CKF_GENERATE: low.C_GenerateKey(session, mechanism, empty, made),
        ck.CKF_GENERATE_KEY_PAIR: low.C_GenerateKeyPair(session, mechanism, empty, empty, made, other),
        ck.CKF_WRAP: low.C_WrapKey(session, mechanism, no_key, no_key, room),
        ck.CKF_UNWRAP: low.C_UnwrapKey(session, mechanism, no_key, blob, empty, made),
        ck.CKF_DERIVE: low.C_DeriveKey(session, mechanism, no_key, empty, made),
    }


# -- sessions and PINs


def test_sessions_and_logins(library: Any, adyton_token: Any) -> None:
    reader, writer = library.openSession(0), library.openSession(0, CKF_RW_SESSION)

    def states() -> tuple[int, int]:
        return reader.getSessionInfo().state, writer.getSessionInfo().state

    assert states() == (ck.CKS_RO_PUBLIC_SESSION, ck.CKS_RW_PUBLIC_SESSION)
    assert library.getTokenInfo(0).ulSessionCount == 2 and library.getTokenInfo(0).ulRwSessionCount == 1
    refused(ck.CKR_USER_NOT_LOGGED_IN, writer.logout)
    refused(ck.CKR_SESSION_READ_ONLY_EXISTS, writer.login, adyton_token.so_pin, ck.CKU_SO)
    refused(ck.CKR_PIN_INCORRECT, writer.login, "wrong-pin")
    writer.login(adyton_token.pin)
    assert states() == (ck.CKS_RO_USER_FUNCTIONS, ck.CKS_RW_USER_FUNCTIONS)
    refused(ck.CKR_USER_ALREADY_LOGGED_IN, reader.login, adyton_token.pin)
    refused(ck.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, writer.login, adyton_token.so_pin, ck.CKU_SO)
    key = writer.generateKey([*GENERATE_AES, (CKA_TOKEN, CK_TRUE)])
    refused(ck.CKR_SESSION_READ_ONLY, reader.destroyObject, key)
    assert len(reader.findObjects()) == 1
    reader.logout()
    assert states() == (ck.CKS_RO_PUBLIC_SESSION, ck.CKS_RW_PUBLIC_SESSION)
    assert reader.findObjects() == []
    reader.closeSession()
    refused(ck.CKR_SESSION_HANDLE_INVALID, reader.getSessionInfo)
    writer.login(adyton_token.so_pin, ck.CKU_SO)
    assert writer.getSessionInfo().state == ck.CKS_RW_SO_FUNCTIONS
    refused(ck.CKR_SESSION_READ_WRITE_SO_EXISTS, library.openSession, 0)
    library.closeAllSessions(0)
    refused(ck.CKR_SESSION_HANDLE_INVALID, writer.getSessionInfo)


def test_pins_and_a_new_token(library: Any, adyton_token: Any) -> None:
    user = library.openSession(0, CKF_RW_SESSION)
    user.login(adyton_token.pin)
    refused(ck.CKR_PIN_INCORRECT, user.setPin, "wrong-pin", "second-pin")
    refused(ck.CKR_PIN_LEN_RANGE, user.setPin, adyton_token.pin, "abc")
    user.setPin(adyton_token.pin, "second-pin")
    user.logout()
    refused(ck.CKR_PIN_INCORRECT, user.login, adyton_token.pin)
    user.login("second-pin")
    user.logout()
    user.login(adyton_token.so_pin, ck.CKU_SO)
    user.initPin("third-pin")
    user.setPin(adyton_token.so_pin, "second-so-pin")
    user.logout()
    user.login("third-pin")
    refused(ck.CKR_SESSION_EXISTS, library.initToken, 0, "second-so-pin", "again")
    user.closeSession()
    refused(ck.CKR_PIN_INCORRECT, library.initToken, 0, adyton_token.so_pin, "again")
    library.initToken(0, "second-so-pin", "again".ljust(32))
    assert library.getTokenInfo(0).label.rstrip() == "again"
    assert not library.getTokenInfo(0).flags & ck.CKF_USER_PIN_INITIALIZED


# -- objects and attributes


def test_find_change_copy_and_destroy(session: Any) -> None:
    made = [session.generateKey([*GENERATE_AES, (CKA_ID, bytes([n])), (CKA_LABEL, f"key {n % 2}")]) for n in range(25)]

    def values(found: Any) -> list[int]:
        return sorted(handle.value() for handle in found)

    assert values(session.findObjects([(CKA_CLASS, CKO_SECRET_KEY)])) == values(made)
    assert values(session.findObjects([(CKA_LABEL, "key 1")])) == values(made[1::2])
    assert values(session.findObjects([(CKA_ID, b"\x07")])) == values([made[7]])
    assert session.findObjects([(CKA_LABEL, "key 2")]) == []
    assert session.findObjects([(0xCE534351, b"a class of NSS's")]) == []
    session.setAttributeValue(made[0], [(CKA_LABEL, "renamed"), (CKA_ID, b"")])
    assert values(session.findObjects([(CKA_LABEL, "renamed")])) == values([made[0]])
    assert session.getAttributeValue(made[0], [CKA_LABEL, CKA_ID]) == ["renamed", ()]
    refused(ck.CKR_ATTRIBUTE_READ_ONLY, session.setAttributeValue, made[0], [(CKA_SENSITIVE, CK_FALSE)])
    refused(ck.CKR_ATTRIBUTE_READ_ONLY, session.setAttributeValue, made[0], [(CKA_VALUE_LEN, 16)])
    session.destroyObject(made[0])
    refused(ck.CKR_OBJECT_HANDLE_INVALID, session.destroyObject, made[0])
    refused(ck.CKR_OBJECT_HANDLE_INVALID, session.getAttributeValue, made[0], [CKA_LABEL])


def every_attribute(session: Any, handle: Any) -> dict[str, Any]:
    """All that PyKCS11 knows, asked for at once; those that this object lacks come back as None."""
    names = sorted(name for name in PyKCS11.CKA if isinstance(name, str) and name.startswith("CKA_"))
    values = session.getAttributeValue(handle, [PyKCS11.CKA[name] for name in names])
    return {
        name: tuple(value) if isinstance(value, PyKCS11.ckbytelist) else value
        for name, value in zip(names, values, strict=True) if value is not None
    }


def test_every_attribute_of_a_secret_key(session: Any) -> None:
    secret = session.generateKey([*GENERATE_AES, (CKA_LABEL, "all"), (CKA_ID, b"\x01\x02")])
    told = every_attribute(session, secret)
    assert told["CKA_CLASS"] == CKO_SECRET_KEY and told["CKA_KEY_TYPE"] == CKK_AES and told["CKA_VALUE_LEN"] == 32
    assert told["CKA_LABEL"] == "all" and told["CKA_ID"] == (1, 2)
    assert told["CKA_KEY_GEN_MECHANISM"] == ck.CKM_AES_KEY_GEN
    true = {"SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "PRIVATE", "MODIFIABLE", "COPYABLE",
            "DESTROYABLE", "ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP", "DERIVE"}
    false = {"EXTRACTABLE", "TOKEN", "TRUSTED", "WRAP_WITH_TRUSTED"}
    assert {name for name, value in told.items() if value is True} == {f"CKA_{name}" for name in true}
    assert {name for name, value in told.items() if value is False} == {f"CKA_{name}" for name in false}
    assert not {"CKA_VALUE", "CKA_MODULUS", "CKA_EC_POINT", "CKA_APPLICATION", "CKA_CHECK_VALUE"} & set(told)
    readable = every_attribute(session, session.generateKey([*GENERATE_AES, *READABLE]))
    assert len(readable["CKA_VALUE"]) == 32 and readable["CKA_ALWAYS_SENSITIVE"] is False


def test_every_attribute_of_data_and_templates_in_templates(session: Any) -> None:
    note = session.createObject([
        (CKA_CLASS, PyKCS11.CKO_DATA), (CKA_LABEL, "note"), (PyKCS11.CKA_APPLICATION, "tests"),
        (PyKCS11.CKA_OBJECT_ID, b"\x06\x01\x2a"), (CKA_VALUE, bytes(range(256))),
    ])
    told = every_attribute(session, note)
    assert told["CKA_VALUE"] == tuple(range(256)) and told["CKA_APPLICATION"] == "tests"
    assert told["CKA_OBJECT_ID"] == (6, 1, 42) and told["CKA_PRIVATE"] is False
    demanded = [(CKA_KEY_TYPE, CKK_AES), (CKA_EXTRACTABLE, CK_FALSE), (CKA_LABEL, "as demanded")]
    key = session.generateKey([*GENERATE_AES, *READABLE, (PyKCS11.CKA_UNWRAP_TEMPLATE, demanded)])
    blob = session.wrapKey(key, session.generateKey([*GENERATE_AES, *READABLE]), Mechanism(ck.CKM_AES_KEY_WRAP))
    template = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_SENSITIVE, CK_FALSE)]
    unwrapped = session.unwrapKey(key, blob, template, Mechanism(ck.CKM_AES_KEY_WRAP))
    assert session.getAttributeValue(unwrapped, [CKA_LABEL, CKA_EXTRACTABLE]) == ["as demanded", False]
    against = [*template, (CKA_EXTRACTABLE, CK_TRUE)]
    refused(ck.CKR_TEMPLATE_INCONSISTENT, session.unwrapKey, key, blob, against, Mechanism(ck.CKM_AES_KEY_WRAP))


# -- digests and random


@pytest.mark.parametrize("name", ["SHA_1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3_256", "SHA3_512"])
def test_digest_at_once_and_in_parts(session: Any, name: str) -> None:
    mechanism = Mechanism(getattr(ck, f"CKM_{name}"))
    expected = hashlib.new(name.lower().replace("sha_1", "sha1"), b"one two three").digest()
    assert bytes(session.digest(b"one two three", mechanism)) == expected
    parts = session.digestSession(mechanism)
    assert bytes(parts.update(b"one ").update(b"two ").update(b"three").final()) == expected


def test_digest_of_a_key_that_may_be_read_only(session: Any) -> None:
    key = session.generateKey([*GENERATE_AES, *READABLE])
    value = bytes(session.getAttributeValue(key, [CKA_VALUE])[0])
    parts = session.digestSession(Mechanism(ck.CKM_SHA256))
    assert bytes(parts.update(b"head").digestKey(key).final()) == hashlib.sha256(b"head" + value).digest()
    parts = session.digestSession(Mechanism(ck.CKM_SHA256))
    refused(ck.CKR_KEY_INDIGESTIBLE, parts.digestKey, session.generateKey(GENERATE_AES))


def test_random(session: Any) -> None:
    session.seedRandom(os.urandom(20))
    drawn = {bytes(session.generateRandom(32)) for _ in range(4)}
    assert len(drawn) == 4 and {len(each) for each in drawn} == {32}


def test_threads_each_with_a_session(library: Any, session: Any) -> None:
    key = session.generateKey([*GENERATE_AES, *READABLE, (CKA_TOKEN, CK_TRUE)])
    value = bytes(session.getAttributeValue(key, [CKA_VALUE])[0])

    def work(number: int) -> bool:
        own = library.openSession(0)
        text = bytes([number]) * 40
        right = all(
            bytes(own.sign(key, text, Mechanism(ck.CKM_AES_CMAC))) == cmac(value, text) for _ in range(25)
        )
        own.closeSession()
        return right

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def cmac(key: bytes, text: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC

    made = CMAC(AES(key))
    made.update(text)
    return made.finalize()
