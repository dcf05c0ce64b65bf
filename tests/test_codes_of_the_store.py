"""What every function that writes answers where nothing can be written: on a read-only, a full or a broken disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from abi import name
from engine_room import NO, P256, SO, USER, YES, Mech, Room, cheap_pins, ulong

from hsm.cryptoki import ciphering, digesting, general, keys, objects, return_codes
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

KWP = Mech(ck.CKM_AES_KEY_WRAP_KWP)
TOKEN = (ck.CKA_TOKEN, YES)
AES = [(ck.CKA_CLASS, ulong(ck.CKO_SECRET_KEY)), (ck.CKA_KEY_TYPE, ulong(ck.CKK_AES))]


class Made(NamedTuple):
    """What there is before the disk fails: in the token a key and a data object, in the session a wrapping key."""

    key: int
    data: int
    wrapping: int
    wrapped: bytes
    private: int
    peer: bytes


Work = Callable[[Room, Made], Any]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with cheap_pins(), Room(tmp_path_factory.mktemp("pool")) as room:
        room.with_user()
        room.aes(b"key", extractable=YES)
        room.data(b"data")
        yield room


@pytest.fixture
def made(pool: Room) -> Made:
    if not pool.app.sessions:
        pool._session = None
        pool.login()
    wrapping = pool.aes(b"wrapping", token=NO)
    inner = pool.aes(b"inner", token=NO, extractable=YES)
    wrapped = keys.C_WrapKey(pool.app, pool.handle, KWP, wrapping, inner, 4096)[2]
    public, private = keys.C_GenerateKeyPair(
        pool.app, pool.handle, Mech(ck.CKM_EC_KEY_PAIR_GEN), [(ck.CKA_EC_PARAMS, P256)], []
    )[1:]
    peer = pool.session.object(public).attributes[ck.CKA_EC_POINT]
    return Made(pool.find(b"key")[0], pool.find(b"data")[0], wrapping, wrapped or b"", private, peer)


def derive(room: Room, made: Made) -> Any:
    agreement = SimpleNamespace(kdf=ck.CKD_NULL, pPublicData=made.peer, pSharedData=None)
    mechanism = Mech(ck.CKM_ECDH1_DERIVE, agreement)
    return keys.C_DeriveKey(room.app, room.handle, mechanism, made.private, [TOKEN])


def unwrap(room: Room, made: Made) -> Any:
    return keys.C_UnwrapKey(room.app, room.handle, KWP, made.wrapping, made.wrapped, [*AES, TOKEN])


def as_so(work: Work) -> Work:
    def act(room: Room, made: Made) -> Any:
        room.logout()
        room.login(SO, ck.CKU_SO)
        try:
            return work(room, made)
        finally:
            room.logout()
            room.login()

    return act


def init_token(room: Room, made: Made) -> Any:
    room.app.close_all()
    return room.init_token()


def cipher(begin: Any, work: Any) -> Work:
    def act(room: Room, made: Made) -> Any:
        begin(room.app, room.handle, Mech(ck.CKM_AES_ECB), made.key)
        return work(room.app, room.handle, bytes(16), 16)

    return act


# What stores something, and what stores only what the first use of a key costs it.
WRITES: dict[str, Work] = {
    "C_InitPIN": as_so(lambda r, made: general.C_InitPIN(r.app, r.handle, b"another-pin")),
    "C_SetPIN": lambda r, made: general.C_SetPIN(r.app, r.handle, USER, b"another-pin"),
    "C_CreateObject": lambda r, made: r.data(b"new"),
    "C_CopyObject": lambda r, made: objects.C_CopyObject(r.app, r.handle, made.data, []),
    "C_DestroyObject": lambda r, made: r.destroy(made.data),
    "C_SetAttributeValue": lambda r, made: r.relabel(made.data, b"another"),
    "C_GenerateKey": lambda r, made: r.aes(b"new"),
    "C_GenerateKeyPair": lambda r, made: r.pair(b"new"),
    "C_UnwrapKey": unwrap,
    "C_DeriveKey": derive,
    "C_InitToken": init_token,
}
USES: dict[str, Work] = {
    "C_Encrypt": cipher(ciphering.C_EncryptInit, ciphering.C_Encrypt),
    "C_EncryptUpdate": cipher(ciphering.C_EncryptInit, ciphering.C_EncryptUpdate),
    "C_Decrypt": cipher(ciphering.C_DecryptInit, ciphering.C_Decrypt),
    "C_DecryptUpdate": cipher(ciphering.C_DecryptInit, ciphering.C_DecryptUpdate),
    "C_WrapKey": lambda r, made: keys.C_WrapKey(r.app, r.handle, KWP, made.key, made.key, 4096),
}
TROUBLES = {
    "read-only": ck.CKR_TOKEN_WRITE_PROTECTED, "full": ck.CKR_DEVICE_MEMORY, "broken": ck.CKR_DEVICE_ERROR,
}


class Failing:
    """A database that begins no change."""

    in_transaction = False

    def __init__(self, code: int) -> None:
        self._code = code

    def execute(self, statement: str, *values: object) -> object:
        fault = sqlite3.OperationalError("nothing can be written")
        fault.sqlite_errorcode = self._code
        raise fault


def trouble(pool: Room, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = pool.pool.store
    if kind == "read-only":
        monkeypatch.setattr(type(store), "write_protected", True)
    else:
        code = sqlite3.SQLITE_FULL if kind == "full" else sqlite3.SQLITE_CORRUPT
        monkeypatch.setattr(store, "_database", Failing(code))


def refused(pool: Room, function: str, work: Work, made: Made) -> str:
    """The code, as the caller gets it; and nothing has changed."""
    before = {number: dict(item.attributes) for number, item in pool.partition.objects.items()}
    with pytest.raises(TokenError) as refusal:
        work(pool, made)
    assert {number: dict(item.attributes) for number, item in pool.partition.objects.items()} == before
    return name(return_codes.answerable(function, refusal.value.rv))


@pytest.mark.parametrize("kind", TROUBLES)
@pytest.mark.parametrize("function", WRITES)
def test_a_change_that_cannot_be_written(
    pool: Room, made: Made, function: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(pool, kind, monkeypatch)
    assert refused(pool, function, WRITES[function], made) == name(TROUBLES[kind])


@pytest.mark.parametrize("kind", TROUBLES)
@pytest.mark.parametrize("function", USES)
def test_a_first_use_that_cannot_be_written(
    pool: Room, made: Made, function: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No function that uses a key lists CKR_TOKEN_WRITE_PROTECTED: the device is at fault."""
    trouble(pool, kind, monkeypatch)
    wanted = ck.CKR_DEVICE_ERROR if kind == "read-only" else TROUBLES[kind]
    assert refused(pool, function, USES[function], made) == name(wanted)


def test_a_read_write_session_on_a_read_only_disk(pool: Room, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble(pool, "read-only", monkeypatch)
    with pytest.raises(TokenError) as refusal:
        general.C_OpenSession(pool.app, 0, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION)
    assert name(return_codes.answerable("C_OpenSession", refusal.value.rv)) == "CKR_TOKEN_WRITE_PROTECTED"


def test_every_function_that_lists_a_write_protected_token_is_here() -> None:
    listed = {f for f, codes in return_codes.ALLOWED.items() if ck.CKR_TOKEN_WRITE_PROTECTED in codes}
    assert listed == {*WRITES, "C_OpenSession"}


def test_a_kernel_that_takes_no_seed(pool: Room, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: str, *arguments: Any, **more: Any) -> Any:
        assert path == "/dev/urandom"
        raise PermissionError(13, "not here")

    monkeypatch.setattr(digesting, "open", closed, raising=False)
    with pytest.raises(TokenError) as refusal:
        digesting.C_SeedRandom(pool.app, pool.handle, b"seed")
    assert name(refusal.value.rv) == "CKR_RANDOM_SEED_NOT_SUPPORTED"
    assert digesting.C_SeedRandom(pool.app, pool.handle, b"") == (ck.CKR_OK,)
