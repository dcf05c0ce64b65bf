"""What an attack is, and the token that it is tried on.

An attack is a function with a name and a source. It gets a token on which somebody is logged in as the normal user,
does what the paper says, and returns one sentence of what the attacker got; or None, or ends in ``Held``, where the
token did not play along. It claims nothing that the token has not shown to be so: bytes said to be a key's encrypt what
the key does, a plaintext is what was encrypted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from abi import FALSE, NULL, TRUE, Module, Rows, ffi, name, ulong
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pkcs11_shim import constants as ck

SO_PIN, USER_PIN = "12345678", "1234-attacked"
P256 = bytes.fromhex("06082a8648ce3d030107")
IV = bytes(range(16))
SECRET: Rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_KEY_TYPE: ck.CKK_AES, ck.CKA_TOKEN: False}
GENERIC: Rows = {**SECRET, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET}
PUBLIC_EXPONENT = b"\1\0\1"


class Held(Exception):
    """The token refused a step without which there is no attack: the function, and its code."""


class Attack(NamedTuple):
    name: str
    chapter: str
    source: str
    run: Callable[[Token], str | None]
    room: str

    @property
    def says(self) -> str:
        return " ".join((self.run.__doc__ or "").split())


ATTACKS: dict[str, Attack] = {}
Run = Callable[["Token"], str | None]


def attack(chapter: str, name: str, source: str) -> Callable[[Run], Run]:
    """Registers an attack under its name, which is its own for good: results are told by it."""

    def register(run: Run) -> Run:
        assert name not in ATTACKS and run.__doc__, name
        ATTACKS[name] = Attack(name, chapter, source, run, run.__module__)
        return run

    return register


class Token:
    """One token with its user logged in, in a process that has nothing else; calls that fail raise ``Held``."""

    def __init__(self, m: Module, slot: int, so_pin: str = SO_PIN, pin: str = USER_PIN) -> None:
        self.m, self.slot, self.so_pin, self.pin = m, slot, so_pin, pin
        self.s = self.session()
        self.login()

    # -- steps

    @staticmethod
    def ok(rv: int, step: str) -> None:
        if rv != ck.CKR_OK:
            raise Held(f"{step}: {name(rv)}")

    def session(self, *, read_write: bool = True) -> int:
        return self.m.session(self.slot, read_write=read_write)

    def login(self, session: int = 0, pin: str | None = None, user: int = ck.CKU_USER) -> None:
        usual = self.so_pin if user == ck.CKU_SO else self.pin
        self.ok(self.m.login(session or self.s, usual if pin is None else pin, user), "C_Login")

    def logout(self) -> None:
        self.ok(self.m.C_Logout(self.s), "C_Logout")

    def as_so(self) -> None:
        self.logout()
        self.login(user=ck.CKU_SO)

    def make(self, rows: Rows | list[tuple[int, Any]]) -> int:
        rv, made = self.m.create(self.s, rows)
        self.ok(rv, "C_CreateObject")
        return made

    def key(self, mechanism: int = ck.CKM_AES_KEY_GEN, size: int = 32, **more: Any) -> int:
        rows = {ck.CKA_VALUE_LEN: size} if size else {}
        rv, made = self.m.generate(self.s, mechanism, {**rows, **_rows(more)})
        self.ok(rv, "C_GenerateKey")
        return made

    def imported(self, value: bytes, kind: int = ck.CKK_AES, **more: Any) -> int:
        return self.make({**SECRET, ck.CKA_KEY_TYPE: kind, ck.CKA_VALUE: value, **_rows(more)})

    def rsa(self, bits: int = 2048, public: Rows | None = None, **private: Any) -> tuple[int, int]:
        rows = {ck.CKA_MODULUS_BITS: bits, ck.CKA_PUBLIC_EXPONENT: PUBLIC_EXPONENT, **(public or {})}
        return self._pair(ck.CKM_RSA_PKCS_KEY_PAIR_GEN, rows, private)

    def ec(self, public: Rows | None = None, params: bytes = P256, **private: Any) -> tuple[int, int]:
        montgomery = params.startswith(b"\6\3\x2b\x65")
        made_by = ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN if montgomery else ck.CKM_EC_KEY_PAIR_GEN
        return self._pair(made_by, {ck.CKA_EC_PARAMS: params, **(public or {})}, private)

    def _pair(self, mechanism: int, public: Rows, private: dict[str, Any]) -> tuple[int, int]:
        rv, one, two = self.m.pair(self.s, mechanism, public, _rows(private))
        self.ok(rv, "C_GenerateKeyPair")
        return int(one), int(two)

    def wrap(self, mechanism: Any, key: int, target: int) -> bytes:
        rv, blob = self.m.wrap(self.s, self.mech(mechanism), key, target)
        self.ok(rv, "C_WrapKey")
        return blob

    def unwrap(self, mechanism: Any, key: int, blob: bytes, rows: Rows | None = None, **more: Any) -> int:
        rv, made = self.m.unwrap(self.s, self.mech(mechanism), key, blob, {**(rows or SECRET), **_rows(more)})
        self.ok(rv, "C_UnwrapKey")
        return made

    def derive(self, mechanism: Any, base: int, rows: Rows | None = None, **more: Any) -> int:
        rv, made = self.m.derive(self.s, self.mech(mechanism), base, {**(rows or GENERIC), **_rows(more)})
        self.ok(rv, "C_DeriveKey")
        return made

    def copy(self, source: int, **changes: Any) -> int:
        rv, made = self.m.copy(self.s, source, _rows(changes))
        self.ok(rv, "C_CopyObject")
        return made

    def change(self, target: int, **changes: Any) -> None:
        self.ok(self.m.change(self.s, target, _rows(changes)), "C_SetAttributeValue")

    def use(self, what: str, mechanism: Any, key: int, data: bytes) -> bytes:
        rv, out = self.m.use(what, self.s, self.mech(mechanism), key, data)
        self.ok(rv, f"C_{what}")
        return out

    def encrypt(self, mechanism: Any, key: int, data: bytes) -> bytes:
        return self.use("Encrypt", mechanism, key, data)

    def decrypt(self, mechanism: Any, key: int, data: bytes) -> bytes:
        return self.use("Decrypt", mechanism, key, data)

    def sign(self, mechanism: Any, key: int, data: bytes) -> bytes:
        return self.use("Sign", mechanism, key, data)

    def read(self, item: int, attribute: int) -> bytes:
        row = ffi.new("CK_ATTRIBUTE*", {"type": attribute})
        self.ok(self.m.C_GetAttributeValue(self.s, item, row, 1), "C_GetAttributeValue")
        row.pValue = room = ffi.new("CK_BYTE[]", max(row.ulValueLen, 1))
        self.ok(self.m.C_GetAttributeValue(self.s, item, row, 1), "C_GetAttributeValue")
        return bytes(ffi.buffer(room, row.ulValueLen))

    def flag(self, item: int, attribute: int) -> bool:
        return self.read(item, attribute) == TRUE

    def destroy(self, item: int) -> None:
        self.ok(self.m.C_DestroyObject(self.s, item), "C_DestroyObject")

    def mech(self, mechanism: Any) -> Any:
        """A number, a pair of one and its parameter, or one that is made already."""
        if isinstance(mechanism, int):
            return self.m.mechanism(mechanism)
        return self.m.mechanism(*mechanism) if isinstance(mechanism, tuple) else mechanism

    # -- what is attacked, and whether it fell

    def victim(self, size: int = 32, **more: Any) -> int:
        """An AES key born inside, whose value nobody knows; it may leave wrapped. What it is used for is not the
        matter, so it is used for nothing."""
        rows = {"sensitive": True, "extractable": True, "token": False, **more}
        return self.key(size=size, **rows)

    def is_value(self, victim: int, claimed: bytes) -> bool:
        """Whether these bytes are the key's: both encrypt zeros to the same block."""
        if len(claimed) not in (16, 24, 32):
            return False
        told = self.encrypt(ck.CKM_AES_ECB, victim, bytes(16))
        return Cipher(algorithms.AES(claimed), modes.ECB()).encryptor().update(bytes(16)) == told

    def fell(self, victim: int, claimed: bytes) -> str | None:
        return "the value of a sensitive key" if self.is_value(victim, claimed) else None


def _rows(more: dict[str, Any]) -> Rows:
    """Attributes by their names in lower case."""
    return {getattr(ck, f"CKA_{key.upper()}"): value for key, value in more.items()}


def fresh(m: Module) -> Token:
    """The first slot's token made anew, with its two PINs."""
    slots, count = ffi.new("CK_SLOT_ID[16]"), ffi.new("CK_ULONG*", 16)
    assert m.C_Initialize(NULL) == ck.CKR_OK
    assert m.C_GetSlotList(1, slots, count) == ck.CKR_OK
    so = SO_PIN.encode()
    assert m.C_InitToken(slots[0], so, len(so), b"attacked".ljust(32)) == ck.CKR_OK
    count[0] = 16
    assert m.C_GetSlotList(1, slots, count) == ck.CKR_OK
    session = m.session(int(slots[0]))
    assert m.login(session, SO_PIN, ck.CKU_SO) == ck.CKR_OK
    assert m.C_InitPIN(session, USER_PIN.encode(), len(USER_PIN)) == ck.CKR_OK
    assert m.C_CloseSession(session) == ck.CKR_OK
    return Token(m, int(slots[0]))


__all__ = [
    "ATTACKS",
    "FALSE",
    "GENERIC",
    "IV",
    "P256",
    "SECRET",
    "SO_PIN",
    "TRUE",
    "USER_PIN",
    "Attack",
    "Held",
    "Token",
    "attack",
    "fresh",
    "ulong",
]
