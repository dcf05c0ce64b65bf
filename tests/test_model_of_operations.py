"""Random sequences of operations in two sessions against a model: single ones, two in one call, saved and restored."""

from __future__ import annotations

import copy
import hashlib
import hmac
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, name
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

VALUE, IV = bytes(range(32)), bytes(range(16))
CIPHERS, TAKERS = ("Encrypt", "Decrypt"), ("Digest", "Sign", "Verify")
KINDS = (*CIPHERS, *TAKERS)
DUAL = {
    "C_DigestEncryptUpdate": ("Encrypt", "Digest"), "C_DecryptDigestUpdate": ("Decrypt", "Digest"),
    "C_SignEncryptUpdate": ("Encrypt", "Sign"), "C_DecryptVerifyUpdate": ("Decrypt", "Verify"),
}
# ECB and CTR both ways; what is taken off again by CBC_PAD's decryption is the matter of other tests.
MODES = {"Encrypt": ("ECB", "CTR", "CBC_PAD"), "Decrypt": ("ECB", "CTR")}
ROOMS = st.sampled_from(["enough", "enough", "enough", "exact", "short", "none"])
DATA = st.sampled_from([b"", b"a", b"b" * 15, b"c" * 16, b"d" * 40])
WHERE = st.sampled_from([0, 0, 0, 1])  # mostly one session, so that much happens there


class Going:
    """One operation in the model: what it has taken up, and how much it has given out."""

    def __init__(self, kind: str, mode: str = "") -> None:
        self.kind, self.mode = kind, mode
        self.taken, self.given, self.in_parts = b"", 0, False
        self.waiting: bytes | None = None  # the input of a result that had too little room

    def whole(self) -> bytes:
        """Everything that the cipher gives for what it has taken, its end included."""
        data = self.taken
        if self.mode == "CBC_PAD":
            padder = padding.PKCS7(128).padder()
            data = padder.update(data) + padder.finalize()
        mode = {"CTR": modes.CTR(IV), "CBC_PAD": modes.CBC(IV)}.get(self.mode, modes.ECB())
        cipher: Any = Cipher(algorithms.AES(VALUE), mode)
        context = cipher.encryptor() if self.kind == "Encrypt" else cipher.decryptor()
        out: bytes = context.update(data[: len(data) // 16 * 16] if self.mode == "ECB" else data)
        return out

    def ready(self, more: int = 0) -> int:
        """How much of it has come out once ``more`` bytes are in."""
        total = len(self.taken) + more
        return total if self.mode == "CTR" else total // 16 * 16

    def take(self, data: bytes) -> bytes:
        self.in_parts = True
        self.taken += data
        start, self.given = self.given, self.ready() if self.kind in CIPHERS else 0
        return self.whole()[start : self.given] if self.kind in CIPHERS else b""

    def finished(self) -> bytes:
        if self.kind == "Digest":
            return hashlib.sha256(self.taken).digest()
        return hmac.digest(VALUE, self.taken, "sha256")

    @property
    def broken(self) -> bool:
        """Whether it ends amid a block."""
        return self.mode == "ECB" and len(self.taken) % 16 != 0

    @property
    def code(self) -> str:
        return "CKR_DATA_LEN_RANGE" if self.kind == "Encrypt" else "CKR_ENCRYPTED_DATA_LEN_RANGE"


class Operations(RuleBasedStateMachine):
    token: ThrowAway
    m: Module

    @initialize()
    def start(self) -> None:
        good(self.m.C_CloseAllSessions(0))
        self.sessions = [self.m.session(), self.m.session()]
        good(self.m.login(self.sessions[0], self.token.pin))
        rows = {ck.CKA_CLASS: ck.CKO_SECRET_KEY, ck.CKA_VALUE: VALUE}
        made = [
            self.m.make(self.sessions[0], {**rows, ck.CKA_KEY_TYPE: kind})
            for kind in (ck.CKK_AES, ck.CKK_AES, ck.CKK_GENERIC_SECRET)
        ]
        self.keys = dict(zip(("Encrypt", "Decrypt", "Sign"), made, strict=True))
        self.keys["Verify"] = self.keys["Sign"]
        self.active: dict[tuple[int, str], Going] = {}
        self.saved: list[tuple[bytes, dict[str, Going]]] = []

    def mechanism(self, going: Going) -> Any:
        numbers = {"ECB": ck.CKM_AES_ECB, "CTR": ck.CKM_AES_CTR, "CBC_PAD": ck.CKM_AES_CBC_PAD}
        if going.kind not in CIPHERS:
            return self.m.mechanism(ck.CKM_SHA256 if going.kind == "Digest" else ck.CKM_SHA256_HMAC)
        counter = self.m.structure("CK_AES_CTR_PARAMS", ulCounterBits=128, cb=IV)
        parameter = {"ECB": None, "CTR": counter, "CBC_PAD": IV}[going.mode]
        return self.m.mechanism(numbers[going.mode], parameter)

    def out(self, call: Any, *before: Any, needed: int, room: str) -> tuple[str, bytes]:
        """The call with the room that was drawn; too little where anything is needed. The length told is checked."""
        size = {"enough": 200, "exact": needed, "short": needed - 1, "none": 0}[room]
        length = ffi.new("CK_ULONG*", max(size, 0))
        buffer = NULL if room == "none" else ffi.new("CK_BYTE[256]")
        rv = name(call(*before, buffer, length))
        if rv == "CKR_BUFFER_TOO_SMALL":
            assert length[0] == needed
        return rv, bytes(ffi.buffer(buffer, length[0])) if rv == "CKR_OK" and room != "none" else b""

    @rule(i=WHERE, kinds=st.sets(st.sampled_from(KINDS), min_size=2), data=st.data())
    def init(self, i: int, kinds: set[str], data: Any) -> None:
        for kind in sorted(kinds):
            going = Going(kind, data.draw(st.sampled_from(MODES[kind])) if kind in CIPHERS else "")
            keys = () if kind == "Digest" else (self.keys[kind],)
            rv = name(getattr(self.m, f"C_{kind}Init")(self.sessions[i], self.mechanism(going), *keys))
            assert rv == ("CKR_OPERATION_ACTIVE" if (i, kind) in self.active else "CKR_OK")
            self.active.setdefault((i, kind), going)

    @rule(i=WHERE, kinds=st.sets(st.sampled_from(KINDS), max_size=2))
    def cancel(self, i: int, kinds: set[str]) -> None:
        flags = sum(getattr(ck, f"CKF_{kind.upper()}") for kind in kinds)
        good(self.m.C_SessionCancel(self.sessions[i], flags))
        for kind in kinds:
            self.active.pop((i, kind), None)

    @rule(i=WHERE, kind=st.sampled_from(TAKERS), data=DATA)
    def feed(self, i: int, kind: str, data: bytes) -> None:
        rv = name(getattr(self.m, f"C_{kind}Update")(self.sessions[i], data, len(data)))
        going = self.active.get((i, kind))
        assert rv == ("CKR_OK" if going else "CKR_OPERATION_NOT_INITIALIZED")
        if going:
            going.take(data)

    def stuck(self, *goings: Going | None) -> str | None:
        """What keeps an update from going on."""
        if None in goings:
            return "CKR_OPERATION_NOT_INITIALIZED"
        waits = any(going is not None and going.waiting is not None for going in goings)
        return "CKR_OPERATION_ACTIVE" if waits else None

    def through(self, i: int, function: str, kinds: tuple[str, ...], data: bytes, room: str) -> None:
        """An update with output: of a cipher alone, or with another operation."""
        goings = [self.active.get((i, kind)) for kind in kinds]
        cipher = goings[0]
        needed = cipher.ready(len(data)) - cipher.given if cipher else 0
        if room == "short" and needed == 0:
            room = "exact"
        rv, given = self.out(getattr(self.m, function), self.sessions[i], data, len(data), needed=needed, room=room)
        refused = self.stuck(*goings)
        if refused:
            assert rv == refused
            for kind in kinds:
                self.active.pop((i, kind), None)
        elif room in ("none", "short"):
            assert rv == ("CKR_OK" if room == "none" else "CKR_BUFFER_TOO_SMALL")
        else:
            assert cipher is not None
            part = cipher.take(data)
            assert (rv, given) == ("CKR_OK", part)
            for other in goings[1:]:
                assert other is not None
                other.take(data if cipher.kind == "Encrypt" else part)

    @rule(i=WHERE, kind=st.sampled_from(CIPHERS), data=DATA, room=ROOMS)
    def update(self, i: int, kind: str, data: bytes, room: str) -> None:
        self.through(i, f"C_{kind}Update", (kind,), data, room)

    @rule(i=WHERE, function=st.sampled_from(sorted(DUAL)), data=DATA, room=ROOMS)
    def update_both(self, i: int, function: str, data: bytes, room: str) -> None:
        self.through(i, function, DUAL[function], data, room)

    @rule(i=WHERE, kind=st.sampled_from(("Digest", "Sign")), room=ROOMS, data=st.none() | DATA)
    def finish(self, i: int, kind: str, room: str, data: bytes | None) -> None:
        """In parts, or of ``data`` in one."""
        going = self.active.get((i, kind))
        function = getattr(self.m, f"C_{kind}" if data is not None else f"C_{kind}Final")
        before = () if data is None else (data, len(data))
        rv, given = self.out(function, self.sessions[i], *before, needed=32, room=room)
        if going is None:
            assert rv == "CKR_OPERATION_NOT_INITIALIZED"
        elif data is not None and going.in_parts:
            assert rv == "CKR_OPERATION_ACTIVE"
            del self.active[i, kind]
        elif room in ("none", "short"):
            assert rv == ("CKR_OK" if room == "none" else "CKR_BUFFER_TOO_SMALL")
        else:
            going.taken += data or b""
            assert (rv, given) == ("CKR_OK", going.finished())
            del self.active[i, kind]

    @rule(i=WHERE, right=st.booleans())
    def verify(self, i: int, right: bool) -> None:
        going = self.active.pop((i, "Verify"), None)
        signature = going.finished() if going and right else bytes(32)
        rv = name(self.m.C_VerifyFinal(self.sessions[i], signature, 32))
        wanted = "CKR_OPERATION_NOT_INITIALIZED" if going is None else "CKR_OK" if right else "CKR_SIGNATURE_INVALID"
        assert rv == wanted

    @rule(i=WHERE, kind=st.sampled_from(CIPHERS))
    def end(self, i: int, kind: str) -> None:
        going = self.active.pop((i, kind), None)
        rv, given = self.out(getattr(self.m, f"C_{kind}Final"), self.sessions[i], needed=0, room="enough")
        if going is None:
            assert rv == "CKR_OPERATION_NOT_INITIALIZED"
        elif going.waiting is not None:
            assert rv == "CKR_ENCRYPTED_DATA_INVALID"
        elif going.broken:
            assert rv == going.code
        else:
            assert (rv, given) == ("CKR_OK", going.whole()[going.given :])

    @rule(i=WHERE, kind=st.sampled_from(CIPHERS), data=DATA, room=ROOMS)
    def in_one(self, i: int, kind: str, data: bytes, room: str) -> None:
        going = self.active.get((i, kind))
        model = copy.copy(going) if going else Going(kind, "CTR")
        model.taken = data
        needed = len(data) if model.broken else len(model.whole())
        room = "exact" if room == "short" and not needed else room
        rv, given = self.out(
            getattr(self.m, f"C_{kind}"), self.sessions[i], data, len(data), needed=needed, room=room
        )
        if going is None:
            assert rv == "CKR_OPERATION_NOT_INITIALIZED"
        elif going.in_parts:
            assert rv == "CKR_OPERATION_ACTIVE"
            del self.active[i, kind]
        elif going.waiting is not None and going.waiting != data:
            assert rv == "CKR_ENCRYPTED_DATA_INVALID"
            del self.active[i, kind]
        elif room == "none":
            assert rv == "CKR_OK"
        elif model.broken:
            # Encryption knows its length beforehand, so too small a buffer for the whole blocks comes first.
            whole = model.ready()
            if kind == "Encrypt" and room == "short" and needed - 1 < whole:
                assert rv == "CKR_BUFFER_TOO_SMALL"
            else:
                assert rv == model.code
                del self.active[i, kind]
        elif room == "short":
            assert rv == "CKR_BUFFER_TOO_SMALL"
            going.waiting = data if kind == "Decrypt" else None
        else:
            assert (rv, given) == ("CKR_OK", model.whole())
            del self.active[i, kind]

    @rule(i=WHERE, room=ROOMS)
    def save(self, i: int, room: str) -> None:
        mine = {kind: going for (j, kind), going in self.active.items() if i == j}
        rv, state = self.out(self.m.C_GetOperationState, self.sessions[i], needed=32, room=room)
        if not mine:
            assert rv == "CKR_OPERATION_NOT_INITIALIZED"
        elif any(kind in CIPHERS for kind in mine):
            assert rv == "CKR_STATE_UNSAVEABLE"
        elif room in ("none", "short"):
            assert rv == ("CKR_OK" if room == "none" else "CKR_BUFFER_TOO_SMALL")
        else:
            assert rv == "CKR_OK"
            self.saved.append((state, {kind: copy.copy(going) for kind, going in mine.items()}))

    @precondition(lambda self: self.saved)
    @rule(i=WHERE, named=st.booleans(), data=st.data())
    def restore(self, i: int, named: bool, data: Any) -> None:
        state, model = data.draw(st.sampled_from(self.saved))
        key = self.keys["Sign"] if named else 0
        rv = name(self.m.C_SetOperationState(self.sessions[i], state, len(state), 0, key))
        if named and not {"Sign", "Verify"} & set(model):
            assert rv == "CKR_KEY_NOT_NEEDED"
            return
        assert rv == "CKR_OK"
        self.active = {at: going for at, going in self.active.items() if at[0] != i}
        self.active |= {(i, kind): copy.copy(going) for kind, going in model.items()}


def test_the_model_of_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThrowAway() as token:
        for variable, value in token.environment.items():
            monkeypatch.setenv(variable, value)
        module = Module(token.module)
        good(module.C_Initialize(NULL))
        Operations.token, Operations.m = token, module
        try:
            run_state_machine_as_test(Operations, settings=settings(
                max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck),
            ))
        finally:
            module.C_Finalize(NULL)
