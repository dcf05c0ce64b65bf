"""Where the bytes of a key and of a PIN are: in the application never, in the engine while they are used, and no more a
second after the last logout. The memory of both is searched, by root, or by root of a user namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path

import pytest
from apart import apart

from hsm.confinement.wiping import SHORTEST, overwrite, overwrite_frame

HEAD = """
    import time
    from memory_search import Application, found
    from hsm.client import Client
    from hsm.throwaway import ThrowAway
    from pathlib import Path
    here = Path.cwd()
    pin = "a PIN that nothing else looks like"
    value = os.urandom(32)
    (here / "pin").write_text(pin)
    (here / "value").write_bytes(value)
    needles = {"value": value, "pin": pin.encode()}
    told = {}
"""
# The engine's is started with PINs of its own: the user's comes by the application.
LIFE = """
    with ThrowAway(pin=pin) as token:
        os.environ["ADYTON_HOME"] = token.home  # whose environment would have the PIN besides
        engine = token._engine.pid
        app = Application(token.module, here)
        def look(when):
            told[when] = {"engine": found(engine, needles), "application": found(app.pid, needles)}
        def patiently(when):
            until = time.monotonic() + 5.0  # where many tests share the machine; alone, it takes half of one
            while time.monotonic() < until and any(found(engine, needles).values()):
                time.sleep(0.05)
            look(when)
        app.do("login", "load")
        look("imported")
        app.do("use")
        look("used")
        app.do("logout")
        patiently("logged out")
        app.do("login", "find", "use")
        look("used again")
        app.do("logout")
        patiently("logged out again")
        app.do("login", "find", "use")
        with Client(token.home) as client:
            assert client.ask("partition-seal", slot=0)["was_open"]
        patiently("sealed")
        app.do("login", "find", "use")
        app.end()
    print(json.dumps(told))
"""


# Keys of other kinds, that come in clear, go out wrapped and come back, and are used.
KINDS = """
    from test_rsa import key_of, numbers, rows
    from cryptography.hazmat.primitives.asymmetric import ec
    from abi import logged_in
    keys = {size: key_of(size) for size in (2048, 4096)}
    scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
    long = os.urandom(700)
    needles = {"scalar": scalar, "long": long}
    for size, key in keys.items():
        parts = key.private_numbers()
        needles[f"{size} p"] = parts.p.to_bytes(size // 16, "big")
        needles[f"{size} d"] = parts.d.to_bytes((parts.d.bit_length() + 7) // 8, "big")  # as attributes have it
    token = ThrowAway().start()
    os.environ["ADYTON_HOME"] = token.home
    with logged_in(token) as (m, s):
        engine = token._engine.pid
        kept = {ck.CKA_TOKEN: True, ck.CKA_CLASS: ck.CKO_SECRET_KEY}
        made = {size: m.make(s, {**rows(numbers(key)), ck.CKA_TOKEN: True, ck.CKA_EXTRACTABLE: True})
                for size, key in keys.items()}
        made["long"] = m.make(s, {**kept, ck.CKA_KEY_TYPE: ck.CKK_GENERIC_SECRET, ck.CKA_VALUE: long})
        made["scalar"] = m.make(s, {
            ck.CKA_CLASS: ck.CKO_PRIVATE_KEY, ck.CKA_KEY_TYPE: ck.CKK_EC, ck.CKA_TOKEN: True, ck.CKA_VALUE: scalar,
            ck.CKA_EC_PARAMS: bytes.fromhex("06082a8648ce3d030107"),
        })
        told["imported"] = found(engine, needles)
        for kind, mechanism in (
            (2048, ck.CKM_SHA256_RSA_PKCS), (4096, ck.CKM_SHA256_RSA_PKCS), ("long", ck.CKM_SHA256_HMAC),
            ("scalar", ck.CKM_ECDSA_SHA256),
        ):
            assert m.use("Sign", s, m.mechanism(mechanism), made[kind], b"data")[0] == ck.CKR_OK
        wrapping = m.aes(s)
        for size in keys:
            rv, wrapped = m.wrap(s, m.mechanism(ck.CKM_AES_KEY_WRAP_KWP), wrapping, made[size])
            assert rv == ck.CKR_OK, hex(rv)
        told["used"] = found(engine, needles)
        assert m.C_Logout(s) == ck.CKR_OK
        until = time.monotonic() + 5.0
        while time.monotonic() < until and any(found(engine, needles).values()):
            time.sleep(0.05)
        told["logged out"] = found(engine, needles)
    token.stop()
    print(json.dumps(told))
"""


def test_keys_of_every_kind_are_gone_a_second_after_the_last_logout(tmp_path: Path) -> None:
    counts = json.loads(apart(tmp_path, "import json", HEAD, KINDS).splitlines()[-1])
    assert min(counts["imported"].values()) > 0
    assert counts["logged out"] == dict.fromkeys(counts["imported"], 0)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, int]]]:
    folder = tmp_path_factory.mktemp("searched")
    return json.loads(apart(folder, "import json", HEAD, LIFE).splitlines()[-1])


def test_an_application_never_holds_a_key_nor_a_pin_after_the_call(told: dict[str, dict[str, dict[str, int]]]) -> None:
    none = {"value": 0, "pin": 0}
    assert {when: counts["application"] for when, counts in told.items()} == {when: none for when in told}


def test_the_search_finds_what_is_there(told: dict[str, dict[str, dict[str, int]]]) -> None:
    """A key that is used lies in the engine's memory, or nothing that is found here means anything."""
    for when in ("imported", "used", "used again"):
        assert told[when]["engine"]["value"] > 0, when


def test_a_second_after_the_last_logout_the_engine_has_none(told: dict[str, dict[str, dict[str, int]]]) -> None:
    for when in ("logged out", "logged out again", "sealed"):
        assert told[when]["engine"] == {"value": 0, "pin": 0}, when


# -- overwriting


def test_only_what_nobody_else_holds_is_overwritten() -> None:
    held, short = os.urandom(32), os.urandom(SHORTEST - 1)
    copies = bytes(bytearray(held)), bytes(bytearray(short))
    values = [held, bytes(bytearray(b"x" * 32)), short]
    place, seen = id(values[1]) + bytes.__basicsize__ - 1, ctypes.create_string_buffer(32)
    ctypes.memmove(seen, place, 32)
    assert seen.raw == b"x" * 32
    overwrite(values)
    ctypes.memmove(seen, place, 32)  # it is free now, and nothing else was made that would fit there
    assert values == [] and (held, short) == copies and b"x" * 8 not in seen.raw


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_frame_is_overwritten_whole(kind: type[bytes] | type[bytearray]) -> None:
    buffer = kind(b"a frame with a PIN in it, 12345678")
    overwrite_frame(memoryview(buffer)[8:])
    assert bytes(bytearray(buffer)) == bytes(len(buffer))
