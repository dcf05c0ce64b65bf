"""Clients that write until their engine goes, and what the next engine must know of what they were told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine_room import Room

from hsm.client import MODULE
from pkcs11_shim import constants as ck

_CLIENT = """
import os, sys
from abi import *
from hsm.client import Absent, Client, Unusable
from pkcs11_shim import constants as ck
P256 = bytes.fromhex('06082a8648ce3d030107')
pin = b"user-pin-1"
m = Module(sys.argv[1])
def say(*words): print(*words, flush=True)
def gone(rv):
    if rv: say("lost", name(rv)); os._exit(0)
gone(m.C_Initialize(NULL))
made = ffi.new("CK_SESSION_HANDLE*")
gone(m.C_OpenSession(0, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION, NULL, NULL, made))
s = made[0]
mine, n, me = [], 0, os.urandom(8).hex()  # process ids come again
say("right", me)
gone(m.login(s, pin.decode()))
say("righted", me)
while True:
    n += 1
    label = f"{me}-{n}".encode()
    rows = {ck.CKA_TOKEN: True, ck.CKA_LABEL: label}
    say("try", label.decode())
    if n % 3:
        rv, handle = m.generate(s, ck.CKM_AES_KEY_GEN, {**rows, ck.CKA_VALUE_LEN: 32})
    else:
        rv, handle, _ = m.pair(s, ck.CKM_EC_KEY_PAIR_GEN, {**rows, ck.CKA_EC_PARAMS: P256}, rows)
    gone(rv)
    say("made", label.decode(), 1 if n % 3 else 2)
    if n % 3: mine.append((label, handle))
    if n % 4 == 0:
        label, handle = mine.pop(0)
        say("end", label.decode())
        gone(m.C_DestroyObject(s, handle))
        say("ended", label.decode())
    if n % 5 == 0 and mine:
        label, handle = mine.pop(0)
        say("change", label.decode())
        gone(m.C_SetAttributeValue(s, handle, *m.template({ck.CKA_ID: b"changed"})))
        say("changed", label.decode())
    if sys.argv[2] != "all":
        continue
    if n % 3 == 0:
        say("guess", me)
        rv = m.C_SetPIN(s, b"wrong-pin", 9, pin, len(pin))
        if rv != ck.CKR_PIN_INCORRECT: gone(rv)
        say("guessed", me)
    if n % 8 == 0:
        say("right", me)
        gone(m.C_SetPIN(s, pin, len(pin), pin, len(pin)))
        say("righted", me)
    if n % 4 == 1:
        officer = f"o{me}{n}"
        say("officer", officer)
        try:
            with Client(os.environ["ADYTON_HOME"]) as client:
                fields = {"slot": 0, "name": officer, "new_pin": "officer-pin", "as": "so", "pin": "so-officer-pin"}
                client.ask("officer-create", **fields)
        except (Absent, Unusable):
            gone(ck.CKR_DEVICE_REMOVED)
        say("officered", officer)
"""


def begin(home: Path, what: str = "keys") -> subprocess.Popen[str]:
    """A client that writes until its engine has gone, and says what it tries and what it was told. ``what``: keys, or
    all, which is PINs and officers as well."""
    environment = {**os.environ, "ADYTON_HOME": str(home), "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", _CLIENT, str(MODULE), what]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)


class Told:
    """What the clients were told: made, ended and changed for certain, or tried without an answer."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}
        self.tried: set[str] = set()
        self.ending: set[str] = set()
        self.ended: set[str] = set()
        self.changing: set[str] = set()
        self.changed: set[str] = set()
        self.officers: set[str] = set()
        self.guesses = range(1)  # how many wrong tries may be counted; a right one is, until it was found to be right

    def listen(self, lines: list[str]) -> None:
        for line in lines:
            word, label, *more = line.split()
            least, most = self.guesses.start, self.guesses.stop
            if word == "made":
                self.made[label] = int(more[0])
            elif word in ("guess", "guessed", "right", "righted"):
                self.guesses = {
                    "guess": range(least, most + 1), "guessed": range(least + 1, most), "right": range(0, most + 1),
                    "righted": range(1),
                }[word]
            elif word == "officered":
                self.officers.add(label)
            else:
                {"try": self.tried, "end": self.ending, "ended": self.ended, "change": self.changing,
                 "changed": self.changed}.get(word, set()).add(label)

    def check(self, home: Path) -> None:
        found: dict[str, list[bytes]] = {}
        with Room(home) as room:
            assert room.pool.store.damage == {}
            assert room.partition.officers.credentials.failures("user") in self.guesses
            room.login()
            assert self.officers <= room.partition.directory.officers.keys()
            for item in room.partition.objects.values():
                found.setdefault(item.attributes[ck.CKA_LABEL].decode(), []).append(item.attributes[ck.CKA_ID])
        for label, halves in self.made.items():
            there = len(found.get(label, []))
            if label in self.ended:
                assert there == 0, f"{label} is back"
            elif label not in self.ending:
                assert there == halves, f"{label} is lost"
            if label in self.changed and label not in self.ending:
                assert found[label] == [b"changed"], f"the change of {label} is lost"
        for label in self.tried - self.made.keys():
            assert len(found.get(label, [])) in (0, 1 if int(label.split("-")[1]) % 3 else 2), f"half of {label}"
        assert found.keys() <= self.tried | {"kept"}
