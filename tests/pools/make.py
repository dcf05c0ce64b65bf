"""How the pools of earlier versions in these folders were made: by those versions' own code, run once.

    mkdir old && git archive d115530 | tar x -C old
    python tests/pools/make.py old tests/pools/0.2.0

``old`` is the tree of that version: b438c3b for 0.1.0, d115530 for 0.2.0. ``truth.json`` is what that version itself
read from the pool before it closed it. PINs cost next to nothing, as in tests/engine_room.py, whose rooms drive it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OLD, MADE = (Path(argument).resolve() for argument in sys.argv[1:3])
sys.path[:0] = [str(OLD), str(OLD / "tests")]

from engine_room import NO, SO, USER, YES, Mech, Room, cheap_pins, refused, ulong  # noqa: E402

from hsm.cryptoki import keys, objects  # noqa: E402
from hsm.objects import about  # noqa: E402
from hsm.store import sealing  # noqa: E402
from pkcs11_shim import constants as ck  # noqa: E402

WRONG = b"wrong-pin"


def fill(room: Room) -> None:
    """Objects of every class, a key that lost a use by its first wrap, and the trace of one destroyed."""
    room.aes(b"secret key")
    room.pair(b"pair")
    room.data(b"private data", value=b"for few", private=YES)
    room.data(b"public data", value=b"for everybody", private=NO)
    certificate = {
        ck.CKA_CLASS: ulong(ck.CKO_CERTIFICATE), ck.CKA_CERTIFICATE_TYPE: ulong(ck.CKC_X_509), ck.CKA_TOKEN: YES,
        ck.CKA_LABEL: b"certificate", ck.CKA_SUBJECT: bytes.fromhex("3000"), ck.CKA_VALUE: bytes.fromhex("3003020101"),
    }
    objects.C_CreateObject(room.app, room.handle, list(certificate.items()))
    wrapping = room.aes(b"wrapping key", wrap=YES, decrypt=YES, unwrap=YES)
    leaving = room.aes(b"leaving key", extractable=YES)
    keys.C_WrapKey(room.app, room.handle, Mech(ck.CKM_AES_KEY_WRAP_KWP), wrapping, leaving, 256)
    room.destroy(room.aes(b"destroyed"))


def guess(room: Room, user: int, times: int) -> None:
    for _ in range(times):
        with refused(ck.CKR_PIN_INCORRECT):
            room.login(WRONG, user)


def read(room: Room, pin: bytes) -> dict[str, Any]:
    """What this version sees of the partition, its officer logged in."""
    partition, store = room.partition, room.pool.store
    key = partition.credentials.check("so", pin)
    serial = store.heads[partition.slot].serial
    names = {}
    for number, sealed in store._rows("SELECT object_id, about FROM objects WHERE slot = ?", partition.slot):
        if sealed is not None:
            known = sealing.derive(store.device_key, b"about", serial, number)
            said = sealing.unpack(sealing.unseal(known, sealed, b""))
            names[number] = [said[about.NAME].decode(), said[about.VERSION].decode()]
    told = {**store_objects(store, partition.slot, None), **store_objects(store, partition.slot, key)}
    return {
        "serial": serial.decode(), "objects": told, "names": names, "legacy": partition.legacy,
        "values": sorted([fingerprint.hex(), bits] for fingerprint, bits in store.values(partition.slot, key)),
    }


def store_objects(store: Any, slot: int, key: bytes | None) -> dict[int, dict[int, str]]:
    return {number: {n: v.hex() for n, v in found.items()} for number, found in store.load_objects(slot, key)}


def make() -> None:
    MADE.mkdir(parents=True)
    with Room(MADE) as room:
        room.with_user()
        fill(room)
        room.logout()
        first, session = room.partition, room.session
        room.partition = room.pool.create_token(room.app, b"locked".ljust(32), SO, USER, False)
        room._session = None
        room.login()
        room.aes(b"locked away")
        room.logout()
        truth = {"1": read(room, SO)}
        guess(room, ck.CKU_USER, 10)
        with refused(ck.CKR_PIN_LOCKED):
            room.login()
        room.pool.create_partition(room.app)
        room.partition, room._session = first, session
        room.pool.switch_legacy(room.app, 0, True)
        truth["0"] = read(room, SO)
        guess(room, ck.CKU_USER, 3)
        guess(room, ck.CKU_SO, 1)
        # The head knows how far the counters have come only from the next commit on.
        room.pool.switch_legacy(room.app, 0, False)
        room.pool.switch_legacy(room.app, 0, True)
        rows = room.pool.store._rows("SELECT sequence, record, hash FROM audit ORDER BY sequence")
    truth["audit"] = [[number, record.hex(), chained.hex()] for number, record, chained in rows]
    (MADE / "truth.json").write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    with cheap_pins():
        make()
