"""PINs: each officer's wraps the partition key; a wrong one is counted before it is found wrong.

The first login after a partition was sealed costs Argon2id. While the partition is open, an HMAC of the PIN under a
key that exists in this process only lets the right PIN in at once; anything else goes the whole way, so guessing never
gets cheaper.

Where the Administrator keeps no copy of the partition key (``--no-admin-recovery``), a PIN wraps a key pair's private
half instead, and the copy is sealed to the other half: so a copy can be taken away, or given to an officer whose PIN
nobody else knows.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hsm.confinement.arena import ARENA, Secret
from hsm.errors import TokenError
from hsm.store import sealing
from hsm.store.records import Officer
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.access.directory import Directory
    from hsm.store.sqlite import Store

SHORTEST_PIN, LONGEST_PIN = 4, 255
TRIES = 10
# What is left to do when the tries are used up.
_LOCKED = {
    "so": "Other officers' PINs still open the keys; an officer who is Administrator too unlocks it: adyton officer "
    "unlock so",
    "user": "An Administrator unlocks it: adyton officer unlock user. The SO sets a new one: C_InitPIN, or "
    "pkcs11-tool --login --login-type so --init-pin",
}
_LOCKED_OTHERS = "An Administrator unlocks it: adyton officer unlock {name}"
_AT_ONCE = threading.BoundedSemaphore(2)


class Cost(NamedTuple):
    """Argon2id's price of one PIN check: memory in KiB, passes, lanes. 64 MiB x 5 takes 200 ms or more today."""

    memory: int = 64 * 1024
    passes: int = 5
    lanes: int = 4

    @classmethod
    def cheap(cls) -> Cost:
        """For pools that live in memory only and guard nothing."""
        return cls(64, 1, 1)


class Credentials:
    """Checks the PINs of one partition's officers."""

    def __init__(self, store: Store, slot: int, directory: Directory) -> None:
        self._store = store
        self._slot = slot
        self._serial = store.heads[slot].serial
        self._directory = directory
        self._checks: dict[str, threading.Lock] = {}
        self._fast: dict[str, tuple[bytes, Secret | None]] = {}
        self._moment = ARENA.random()  # the key of the HMACs, which is nowhere else

    # -- failed tries

    def _counter(self, officer: Officer) -> tuple[int, bytes]:
        """The number of an officer's counter, and the credential whose failures it counts."""
        return officer.counter, hashlib.sha256(officer.wrapped).digest()[:16]

    def _at_least(self, officer: Officer) -> int:
        return self._store.heads[self._slot].tries.get(officer.counter, 0)

    def _failures(self, officer: Officer) -> int:
        return self._store.counters.failures(*self._counter(officer), self._at_least(officer))

    def failures(self, name: str) -> int:
        """Wrong PINs in a row; one that is bound to a user of the machine has none."""
        officer = self._directory.officers.get(name)
        return self._failures(officer) if officer is not None and officer.wrapped else 0

    def flags(self, name: str) -> tuple[bool, bool, bool]:
        """(a wrong PIN since the last good one, one try left, none left)."""
        failures = self.failures(name)
        return failures > 0, failures == TRIES - 1, failures >= TRIES

    # -- checking

    def check(self, name: str, pin: bytes) -> Secret | None:
        """That it is the officer's PIN; the partition key where the PIN opens it."""
        if not SHORTEST_PIN <= len(pin) <= LONGEST_PIN:
            words = f"a PIN of fewer than {SHORTEST_PIN} or more than {LONGEST_PIN} bytes is wrong, and costs no try"
            raise TokenError(ck.CKR_PIN_INCORRECT, words)
        with self._checks.setdefault(name, threading.Lock()):
            officer = self._directory.officers.get(name)
            if officer is None:
                raise TokenError(ck.CKR_PIN_INCORRECT, f"there is no officer {name}")
            if officer.damaged:
                raise TokenError(ck.CKR_DEVICE_ERROR, f"the stored credential of {name} is damaged")
            if not officer.wrapped:
                words = f"officer {name} has no PIN: it is the user {officer.uid} of this machine, and gives none"
                raise TokenError(ck.CKR_PIN_INCORRECT, words)
            failures = self._failures(officer)
            if failures >= TRIES:
                words = f"the PIN of {name} is locked after {TRIES} wrong ones. "
                raise TokenError(ck.CKR_PIN_LOCKED, words + _LOCKED.get(name, _LOCKED_OTHERS.format(name=name)))
            fast = self._fast.get(name)
            if fast is not None and hmac.compare_digest(fast[0], self._verifier(officer, pin)):
                if failures:
                    self._store.counters.write(*self._counter(officer), 0)
                return fast[1]
            return self._check_at_cost(officer, pin, failures)

    def _check_at_cost(self, officer: Officer, pin: bytes, failures: int) -> Secret | None:
        # Counted on the disk first: whoever kills the engine between guess and count gains nothing.
        self._store.counters.write(*self._counter(officer), failures + 1)
        place = place_of(self._serial, officer.name)
        try:
            with _AT_ONCE:
                opened = sealing.unwrap_under_pin(pin, officer.wrapped, place)
            if opened is None:
                left = TRIES - failures - 1
                words = "1 try" if left == 1 else f"{left} tries"
                raise TokenError(ck.CKR_PIN_INCORRECT, f"wrong PIN for {officer.name}: {words} left")
            key = opened if not officer.public else sealing.open_copy(opened, officer.copy, place)
        except sealing.Damaged:
            raise TokenError(ck.CKR_DEVICE_ERROR, f"the stored credential of {officer.name} is damaged") from None
        self._store.counters.write(*self._counter(officer), 0)
        self._fast[officer.name] = (self._verifier(officer, pin), key)
        return key

    def _verifier(self, officer: Officer, pin: bytes) -> bytes:
        """Of this very credential: a new PIN, or a copy given or taken, makes another one."""
        told = hashlib.sha256(officer.wrapped + officer.copy).digest()
        return hmac.digest(self._moment, place_of(self._serial, officer.name) + b":" + told + pin, "sha256")

    @contextmanager
    def nobody(self) -> Iterator[None]:
        """No PIN is being looked at meanwhile, and none of those who wait is looked at by what was known before."""
        with ExitStack() as held:
            for name in sorted(self._directory.officers):
                held.enter_context(self._checks.setdefault(name, threading.Lock()))
            yield

    # -- setting

    def believe(self, officer: Officer, pin: bytes, key: Secret | None) -> None:
        """After the commit of a new PIN: it works at once, and a counter that was damaged or behind the store counts
        again, for the new credential."""
        self._fast[officer.name] = (self._verifier(officer, pin), key if officer.holds_key else None)
        self.forgive(officer)

    def forget(self) -> None:
        """The partition is sealed: each PIN goes the whole way again."""
        self._fast.clear()
        self._moment = ARENA.random()

    def forgive(self, officer: Officer) -> None:
        """All tries are there again."""
        if self._failures(officer):
            self._store.counters.write(*self._counter(officer), 0, self._at_least(officer))


def place_of(serial: bytes, name: str) -> bytes:
    return serial + b"/" + name.encode()


def with_pin(
    officer: Officer, pin: bytes, key: Secret | None, serial: bytes, cost: Cost, *, copies: bool = False
) -> Officer:
    """The officer with this PIN. ``key``: what it opens; None where who sets the PIN can't give a copy away, so that it
    opens nothing yet. ``copies``: the copy is one that can be taken away again."""
    place = place_of(serial, officer.name)
    public, copy = b"", b""
    secret: Secret
    if key is None or copies:
        secret, public = sealing.new_pair()
        copy = b"" if key is None else sealing.seal_copy(public, key, place)
    else:
        secret = key
    with _AT_ONCE:
        wrapped = sealing.wrap_under_pin(pin, secret, cost, place)
    return officer._replace(wrapped=wrapped, public=public, copy=copy, uid=-1, must_change=False)


def may_be(pin: bytes, names: Iterable[str] = ("so", "user")) -> None:
    """Whether this can be a PIN beside officers of these ``names``; one that would be read as ``name:pin`` could never
    be used."""
    if not SHORTEST_PIN <= len(pin) <= LONGEST_PIN:
        raise TokenError(ck.CKR_PIN_LEN_RANGE, f"a PIN has {SHORTEST_PIN} to {LONGEST_PIN} bytes")
    name, colon, _ = pin.partition(b":")
    if colon and name.decode("utf-8", "replace") in names:
        raise TokenError(ck.CKR_PIN_INVALID, "a PIN can't begin with an officer's name and a colon")
