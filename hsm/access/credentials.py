"""PINs: each officer's wraps the partition key; a wrong one is counted before it is found wrong.

The first login after a partition was sealed costs Argon2id. While the partition is open, an HMAC of the PIN under a
key that exists in this process only lets the right PIN in at once; anything else goes the whole way, so guessing never
gets cheaper.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

from hsm.access.policy import OFFICERS
from hsm.errors import TokenError
from hsm.store import sealing
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.store.sqlite import Store
    from hsm.store.transaction import Transaction

SHORTEST_PIN, LONGEST_PIN = 4, 255
TRIES = 10
# What is left to do when the tries are used up.
_LOCKED = {
    "so": "The user's PIN still opens the keys; nobody can initialise or delete this partition any more",
    "user": "The SO sets a new one: C_InitPIN, or pkcs11-tool --login --login-type so --init-pin",
}
_AT_ONCE = threading.BoundedSemaphore(2)
_SESSION_KEY = os.urandom(32)


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
    """The officers' PINs of one partition."""

    def __init__(self, store: Store, slot: int, cost: Cost) -> None:
        self._store = store
        self._slot = slot
        self._serial = store.heads[slot].serial
        self._cost = cost
        self._checks = {officer: threading.Lock() for officer in OFFICERS}
        self._fast: dict[str, tuple[bytes, bytes]] = {}
        self._wrapped = store.officers(slot)

    def exists(self, officer: str) -> bool:
        return officer in self._wrapped

    # -- failed tries

    def _counter(self, officer: str) -> tuple[int, bytes]:
        """The number of an officer's counter, and the credential whose failures it counts."""
        told = hashlib.sha256(self._wrapped.get(officer) or b"").digest()[:16]
        return self._store.counter(self._slot, list(OFFICERS).index(officer)), told

    def _at_least(self, officer: str) -> int:
        tries = self._store.heads[self._slot].tries
        position = list(OFFICERS).index(officer)
        return tries[position] if position < len(tries) else 0

    def _failures(self, officer: str) -> int:
        return self._store.counters.failures(*self._counter(officer), self._at_least(officer))

    def flags(self, officer: str) -> tuple[bool, bool, bool]:
        """(a wrong PIN since the last good one, one try left, none left)."""
        failures = self._failures(officer)
        return failures > 0, failures == TRIES - 1, failures >= TRIES

    # -- checking

    def check(self, officer: str, pin: bytes) -> bytes:
        """The partition key, for the officer's PIN."""
        if not SHORTEST_PIN <= len(pin) <= LONGEST_PIN:
            words = f"a PIN of fewer than {SHORTEST_PIN} or more than {LONGEST_PIN} bytes is wrong, and costs no try"
            raise TokenError(ck.CKR_PIN_INCORRECT, words)
        with self._checks[officer]:
            failures = self._failures(officer)
            if failures >= TRIES:
                words = f"the PIN of {officer} is locked after {TRIES} wrong ones. {_LOCKED[officer]}"
                raise TokenError(ck.CKR_PIN_LOCKED, words)
            fast = self._fast.get(officer)
            if fast is not None and hmac.compare_digest(fast[0], self._verifier(officer, pin)):
                if failures:
                    self._store.counters.write(*self._counter(officer), 0)
                return fast[1]
            return self._check_at_cost(officer, pin, failures)

    def _check_at_cost(self, officer: str, pin: bytes, failures: int) -> bytes:
        wrapped = self._wrapped[officer]
        if wrapped is None:
            raise TokenError(ck.CKR_DEVICE_ERROR, f"the stored credential of {officer} is damaged")
        # Counted on the disk first: whoever kills the engine between guess and count gains nothing.
        self._store.counters.write(*self._counter(officer), failures + 1)
        try:
            with _AT_ONCE:
                key = sealing.unwrap_under_pin(pin, wrapped, self._place(officer))
        except sealing.Damaged:
            raise TokenError(ck.CKR_DEVICE_ERROR, f"the stored credential of {officer} is damaged") from None
        if key is None:
            left = TRIES - failures - 1
            words = "1 try" if left == 1 else f"{left} tries"
            raise TokenError(ck.CKR_PIN_INCORRECT, f"wrong PIN for {officer}: {words} left")
        self._store.counters.write(*self._counter(officer), 0)
        self._fast[officer] = (self._verifier(officer, pin), key)
        return key

    def _place(self, officer: str) -> bytes:
        return self._serial + b"/" + officer.encode()

    def _verifier(self, officer: str, pin: bytes) -> bytes:
        return hmac.digest(_SESSION_KEY, self._place(officer) + b":" + pin, "sha256")

    # -- setting

    def initialise(self, label: bytes, so_pin: bytes, record: dict[str, str]) -> bytes:
        """C_InitToken: a new partition key under the SO's PIN; everything the partition held is gone."""
        may_be(so_pin)
        key = os.urandom(sealing.KEY_BYTES)
        wrapped = self._wrap("so", so_pin, key)
        with self._store.transaction() as tx:
            tx.initialise(self._slot, label, key)
            tx.put_officer(self._slot, "so", wrapped, OFFICERS["so"])
            tx.audit(record)
        self._wrapped = {"so": wrapped}
        self._fast = {"so": (self._verifier("so", so_pin), key)}
        self._believe("so")
        return key

    def set_pin(self, officer: str, pin: bytes, partition_key: bytes, record: dict[str, str]) -> None:
        """A first or a new PIN; it works at once, and wrong tries are forgotten: they were another credential's."""
        may_be(pin)
        wrapped = self._wrap(officer, pin, partition_key)
        with self._checks[officer]:
            with self._store.transaction() as tx:
                tx.put_officer(self._slot, officer, wrapped, OFFICERS[officer])
                tx.audit(record)
            self._wrapped[officer] = wrapped
            self._fast[officer] = (self._verifier(officer, pin), partition_key)
            self._believe(officer)

    def _believe(self, officer: str) -> None:
        """A counter that was damaged or behind the store counts again, for the new credential."""
        if self._failures(officer):
            self._store.counters.write(*self._counter(officer), 0, self._at_least(officer))

    def _wrap(self, officer: str, pin: bytes, key: bytes) -> bytes:
        with _AT_ONCE:
            return sealing.wrap_under_pin(pin, key, self._cost, self._place(officer))


def put_first(tx: Transaction, slot: int, label: bytes, pins: dict[str, bytes], cost: Cost) -> None:
    """Initialises a token together with its officers, as part of a larger commit."""
    key = os.urandom(sealing.KEY_BYTES)
    tx.initialise(slot, label, key)
    for officer, pin in pins.items():
        may_be(pin)
        place = tx.heads[slot].serial + b"/" + officer.encode()
        with _AT_ONCE:
            wrapped = sealing.wrap_under_pin(pin, key, cost, place)
        tx.put_officer(slot, officer, wrapped, OFFICERS[officer])


def may_be(pin: bytes) -> None:
    """Whether this can be a PIN; one that would be read as ``name:pin`` could never be used."""
    if not SHORTEST_PIN <= len(pin) <= LONGEST_PIN:
        raise TokenError(ck.CKR_PIN_LEN_RANGE, f"a PIN has {SHORTEST_PIN} to {LONGEST_PIN} bytes")
    name, colon, _ = pin.partition(b":")
    if colon and name.decode("utf-8", "replace") in OFFICERS:
        raise TokenError(ck.CKR_PIN_INVALID, "a PIN can't begin with an officer's name and a colon")
