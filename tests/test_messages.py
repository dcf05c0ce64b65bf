"""Message calls for AES-GCM: vectors from outside, IVs that the token makes, and every turn that a process can take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import NULL, Module, ffi, good, initialised, name
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from engine_room import CHEAP, USER, DiskPool, Room
from vectors import Bench, bench_of_its_own, records
from vectors_symmetric import AES

from hsm.access.made_ivs import BLOCK
from hsm.client import MODULE
from pkcs11_shim import constants as ck

END = ck.CKF_END_OF_MESSAGE
GIVEN, MADE = ck.CKG_NO_GENERATE, ck.CKG_GENERATE
PARAM = "CKR_MECHANISM_PARAM_INVALID"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with bench_of_its_own() as opened:
        yield opened


class Message:
    """CK_GCM_MESSAGE_PARAMS with places for IV and tag."""

    def __init__(self, iv: bytes = bytes(12), generator: int = MADE, fixed: int = 0, tag: bytes = bytes(16)) -> None:
        self._iv, self._tag = (ffi.new(f"CK_BYTE[{len(place) or 1}]", list(place)) for place in (iv, tag))
        self.raw = ffi.new("CK_GCM_MESSAGE_PARAMS*", {
            "pIv": self._iv, "ulIvLen": len(iv), "ulIvFixedBits": fixed, "ivGenerator": generator, "pTag": self._tag,
            "ulTagBits": 8 * len(tag),
        })

    @property
    def iv(self) -> bytes:
        return bytes(ffi.buffer(self._iv))

    @property
    def tag(self) -> bytes:
        return bytes(ffi.buffer(self._tag))

    @property
    def arguments(self) -> tuple[Any, int]:
        return self.raw, ffi.sizeof("CK_GCM_MESSAGE_PARAMS")


def start(m: Module, s: int, kind: str, key: int) -> None:
    good(getattr(m, f"C_Message{kind}Init")(s, m.mechanism(ck.CKM_AES_GCM), key))


def one(m: Module, s: int, kind: str, message: Message, data: bytes, aad: bytes = b"") -> tuple[str, bytes]:
    rv, out = m.output(getattr(m, f"C_{kind}Message"), s, *message.arguments, aad or NULL, len(aad), data, len(data))
    return name(rv), out


def part(m: Module, s: int, kind: str, message: Message, data: bytes, flags: int = 0, room: int = 4096) -> Any:
    out, size = ffi.new("CK_BYTE[]", max(room, 1)), ffi.new("CK_ULONG*", room)
    rv = getattr(m, f"C_{kind}MessageNext")(s, *message.arguments, data, len(data), out, size, flags)
    return name(rv), bytes(ffi.buffer(out, size[0])) if rv == ck.CKR_OK else int(size[0])


def begin(m: Module, s: int, kind: str, message: Message, aad: bytes = b"") -> str:
    return name(getattr(m, f"C_{kind}MessageBegin")(s, *message.arguments, aad or NULL, len(aad)))


def test_nist_vectors(bench: Bench) -> None:
    """NIST CAVP, GCMVS: sealed and opened, whole and in parts; the tag stands beside the data."""
    m, s, seen = bench.m, bench.s, 0
    for path in sorted((AES / "GCM").glob("*.rsp")):
        for row in list(records(path, "TAG"))[::97]:
            iv, aad, sealed, tag, value = (bytes.fromhex(row[n]) for n in ("IV", "AAD", "CT", "TAG", "KEY"))
            if not 8 <= len(iv) <= 128:
                continue
            key, seen = bench.secret(value), seen + 1
            if "FAIL" not in row:
                plain = bytes.fromhex(row["PT"])
                start(m, s, "Encrypt", key)
                message = Message(iv, GIVEN, tag=bytes(len(tag)))
                assert one(m, s, "Encrypt", message, plain, aad) == ("CKR_OK", sealed) and message.tag == tag
                assert message.iv == iv
                good(m.C_MessageEncryptFinal(s))
            start(m, s, "Decrypt", key)
            told = ("CKR_AEAD_DECRYPT_FAILED", b"") if "FAIL" in row else ("CKR_OK", bytes.fromhex(row["PT"]))
            found = one(m, s, "Decrypt", Message(iv, 77, 99, tag), sealed, aad)
            assert found[0] == told[0] and (found[1] == told[1] or "FAIL" in row)
            assert begin(m, s, "Decrypt", Message(iv, 0, 0, tag), aad) == "CKR_OK"
            assert part(m, s, "Decrypt", Message(iv, 0, 0, tag), sealed[:7])[0] == "CKR_OK"
            assert part(m, s, "Decrypt", Message(iv, 0, 0, tag), sealed[7:], END)[0] == told[0]
            good(m.C_MessageDecryptFinal(s))
    assert seen > 40


def test_the_token_makes_ivs_that_others_can_use(bench: Bench) -> None:
    """What was sealed under an IV made here is opened by another implementation, and in parts here."""
    m, s = bench.m, bench.s
    value = bytes(range(32))
    key = bench.secret(value)
    start(m, s, "Encrypt", key)
    ivs = set()
    for number in range(50):
        message, plain, aad = Message(), bytes(number), b"aad" * (number % 3)
        rv, sealed = one(m, s, "Encrypt", message, plain, aad)
        assert rv == "CKR_OK" and len(sealed) == number
        assert AESGCM(value).decrypt(message.iv, sealed + message.tag, aad) == plain
        ivs.add(message.iv)
    assert len(ivs) == 50
    fixed = Message(b"abcd" + bytes(8), fixed=32)
    assert one(m, s, "Encrypt", fixed, b"x")[0] == "CKR_OK" and fixed.iv[:4] == b"abcd"
    message = Message()
    assert begin(m, s, "Encrypt", message, b"aad") == "CKR_OK" and message.iv != bytes(12)
    assert part(m, s, "Encrypt", message, b"first ") == ("CKR_OK", b"")
    assert part(m, s, "Encrypt", message, b"last", END, 9) == ("CKR_BUFFER_TOO_SMALL", 10)
    rv, sealed = part(m, s, "Encrypt", message, b"last", END, 10)
    assert rv == "CKR_OK" and AESGCM(value).decrypt(message.iv, sealed + message.tag, b"aad") == b"first last"
    good(m.C_MessageEncryptFinal(s))


def test_a_size_query_makes_no_iv(bench: Bench) -> None:
    m, s = bench.m, bench.s
    start(m, s, "Encrypt", bench.secret(bytes(16)))
    message, size = Message(), ffi.new("CK_ULONG*")
    good(m.C_EncryptMessage(s, *message.arguments, NULL, 0, b"x" * 20, 20, NULL, size))
    assert size[0] == 20 and message.iv == bytes(12) and message.tag == bytes(16)
    size[0] = 19
    out = ffi.new("CK_BYTE[19]")
    told = m.C_EncryptMessage(s, *message.arguments, NULL, 0, b"x" * 20, 20, out, size)
    assert name(told) == "CKR_BUFFER_TOO_SMALL" and size[0] == 20 and message.iv == bytes(12)
    good(m.C_MessageEncryptFinal(s))


def test_the_turns_of_a_process(bench: Bench) -> None:
    m, s, key = bench.m, bench.s, bench.secret(bytes(16))
    gone, active = "CKR_OPERATION_NOT_INITIALIZED", "CKR_OPERATION_ACTIVE"
    message = Message()
    for kind in ("Encrypt", "Decrypt"):
        assert one(m, s, kind, message, b"")[0] == gone and begin(m, s, kind, message) == gone
        assert part(m, s, kind, message, b"x")[0] == gone
        assert name(getattr(m, f"C_Message{kind}Final")(s)) == gone
        start(m, s, kind, key)
        assert name(getattr(m, f"C_Message{kind}Init")(s, m.mechanism(ck.CKM_AES_GCM), key)) == active
        assert part(m, s, kind, message, b"x")[0] == gone
        assert begin(m, s, kind, message) == "CKR_OK"
        assert begin(m, s, kind, message) == active and one(m, s, kind, message, b"")[0] == active
        assert name(getattr(m, f"C_Message{kind}Final")(s)) == active
        assert part(m, s, kind, message, b"x", 2)[0] == "CKR_ARGUMENTS_BAD"
        assert part(m, s, kind, message, b"x")[0] == gone, "a refused part ends its message"
        assert begin(m, s, kind, message) == "CKR_OK", "but not the process"
        good(getattr(m, f"C_Message{kind}Init")(s, NULL, 0))
        assert part(m, s, kind, message, b"x")[0] == gone
        start(m, s, kind, key)
        good(m.C_SessionCancel(s, ck.CKF_MESSAGE_ENCRYPT | ck.CKF_MESSAGE_DECRYPT))
        assert begin(m, s, kind, message) == gone


def test_parameters_that_are_none(bench: Bench) -> None:
    m, s, key = bench.m, bench.s, bench.secret(bytes(16))
    start(m, s, "Encrypt", key)

    def told(message: Message, **fields: Any) -> str:
        for field, value in fields.items():
            setattr(message.raw, field, value)
        return one(m, s, "Encrypt", message, b"data")[0]

    for message, fields in (
        (Message(generator=ck.CKG_GENERATE_COUNTER), {}), (Message(generator=ck.CKG_GENERATE_RANDOM), {}),
        (Message(generator=ck.CKG_GENERATE_COUNTER_XOR), {}), (Message(generator=1 << 40), {}),
        (Message(bytes(16)), {}), (Message(bytes(8)), {}), (Message(fixed=40), {}), (Message(fixed=7), {}),
        (Message(fixed=1 << 63), {}), (Message(), {"pIv": NULL}), (Message(), {"ulIvLen": 1 << 63}),
        (Message(), {"pTag": NULL}), (Message(), {"ulTagBits": 1 << 62}), (Message(), {"ulTagBits": 100}),
        (Message(bytes(7), GIVEN), {}), (Message(b"", GIVEN), {}),
    ):
        assert told(message, **fields) == PARAM
    for parameter in ((NULL, 0), (Message().raw, 47), (Message().raw, 0), (NULL, 48)):
        out, size = ffi.new("CK_BYTE[9]"), ffi.new("CK_ULONG*", 9)
        assert name(m.C_EncryptMessage(s, *parameter, NULL, 0, b"x", 1, out, size)) == PARAM
    assert one(m, s, "Encrypt", Message(), b"data")[0] == "CKR_OK", "the process went on through all of it"
    message = Message()
    assert begin(m, s, "Encrypt", message) == "CKR_OK"
    message.raw.ulTagBits = 96
    assert part(m, s, "Encrypt", message, b"x", END)[0] == PARAM
    good(m.C_MessageEncryptFinal(s))


def test_ivs_come_from_one_side_only(bench: Bench) -> None:
    """NIST SP 800-38D, section 8.2: a secret key whose IVs callers give has none made, and the other way round; what
    carries its value neither."""
    m, s = bench.m, bench.s
    given, made = m.aes(s, token=True), m.aes(s, token=True)
    start(m, s, "Encrypt", given)
    assert one(m, s, "Encrypt", Message(b"i" * 12, GIVEN), b"x")[0] == "CKR_OK"
    assert one(m, s, "Encrypt", Message(b"i" * 12, GIVEN), b"x")[0] == PARAM
    assert one(m, s, "Encrypt", Message(), b"x")[0] == PARAM
    good(m.C_MessageEncryptFinal(s))
    start(m, s, "Encrypt", made)
    assert one(m, s, "Encrypt", Message(), b"x")[0] == "CKR_OK"
    assert one(m, s, "Encrypt", Message(b"j" * 12, GIVEN), b"x")[0] == PARAM
    good(m.C_MessageEncryptFinal(s))
    rv, twin = m.copy(s, made, {ck.CKA_TOKEN: False})
    good(rv)
    form = m.structure("CK_GCM_PARAMS", pIv=b"k" * 12, ulIvLen=12, ulTagBits=128)
    assert name(m.use("Encrypt", s, m.mechanism(ck.CKM_AES_GCM, form), twin, b"x")[0]) == PARAM


def test_a_made_iv_never_comes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over engines that are killed, and across sessions and keys: the counter goes on, and a block at most is lost."""
    pool = DiskPool(tmp_path / "pool", CHEAP)
    with Room(pool.home) as room:
        room.with_user()
    monkeypatch.setenv("ADYTON_HOME", str(pool.home))
    counters: list[int] = []
    for _ in range(3):
        with initialised(str(MODULE)) as m:
            s = m.session()
            good(m.login(s, USER.decode()))
            found = m.find(s, {ck.CKA_LABEL: b"kept"})
            key = found[0] if found else m.aes(s, token=True, label=b"kept")
            for other in (key, m.aes(s)):
                start(m, s, "Encrypt", other)
                for _ in range(20):
                    message = Message()
                    assert one(m, s, "Encrypt", message, b"x")[0] == "CKR_OK"
                    counters.append(int.from_bytes(message.iv[4:], "big"))
                good(m.C_MessageEncryptFinal(s))
            pool.kill()
    assert len(set(counters)) == len(counters) == 120 and counters == sorted(counters)
    assert counters[-1] < 3 * BLOCK
