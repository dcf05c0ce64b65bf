"""The pool: all partitions of one folder, or of memory, and the applications that are there."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hsm.access.credentials import Cost
from hsm.access.officers import put_first
from hsm.audit.keeping import Settings
from hsm.domain.custody import Custody
from hsm.epoch import Epoch
from hsm.errors import TokenError
from hsm.limits import Limits, Users
from hsm.partitions import Partition
from hsm.slot_events import SlotEvents
from hsm.store import folder
from hsm.store.heads import PartitionHead, Rule, Switches
from hsm.store.sqlite import Store
from hsm.upkeep import Upkeep
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application
    from hsm.store.guard import Place
    from hsm.store.transaction import Transaction


SEEN_OFF_IN = 1.0  # seconds that are waited for the end of programs that have gone


class Form(NamedTuple):
    """What a new partition is like; its kind, its Administrator's recovery and its retention stay as they are."""

    kind: str = "token"
    switches: Switches = Switches()
    recovery: bool = True
    rule: Rule = Rule()
    retention: int = 0


class Pool:
    """One engine has a folder, also where the pool is in memory and only the socket lies there."""

    def __init__(
        self, home: str, *, in_memory: bool = False, cheap_pin: bool = False, max_sessions: int = 0,
        max_rw_sessions: int = 0, audit: Settings | None = None, held: bool = False,
        limits: Limits | None = None, guard: Place | None = None, test_clock: bool = False,
    ) -> None:
        """``held``: no thread is started before the log is released. ``test_clock``: of a pool that is made by this."""
        self.home = home
        # Of one application with one token; 0, which is CK_EFFECTIVELY_INFINITE, is no limit.
        self.max_sessions = max_sessions
        self.max_rw_sessions = max_rw_sessions
        self.users = Users(limits or Limits())
        self.in_memory = in_memory
        self.lock = threading.RLock()
        self.applications: set[Application] = set()
        self.departed: deque[Application] = deque(maxlen=16)
        self.pin_cost = Cost.cheap() if cheap_pin and in_memory else Cost()
        self._claim = folder.claim(home)
        self.epoch = Epoch()
        self.catalog: Callable[[Pool], bytes] = lambda _: b""  # the listener gives it
        try:
            self.store = Store(None if in_memory else home, held=held, guard=guard, test_clock=test_clock)
            self.audit = self.store.audit
            self.audit.configure(audit or Settings())
            self.upkeep = Upkeep(self)
            self.custody = Custody(self.store)
            there = [slot for slot, head in self.store.heads.items() if head.deleted is None]
            self.by_slot = {slot: Partition(self, slot) for slot in there}
            self.slot_events = SlotEvents(self.by_slot)
        except BaseException:
            self._leave()
            raise

    def slots(self) -> list[int]:
        with self.lock:
            return sorted(self.by_slot)

    def publish(self) -> None:
        """After slots or what they offer have changed, and before that is answered."""
        with self.lock:
            self.epoch.publish(self.catalog(self))

    def partition(self, slot: int) -> Partition:
        found = self.by_slot.get(slot)
        if found is None:
            raise TokenError(ck.CKR_SLOT_ID_INVALID, f"slot {slot} has no partition")
        return found

    def create_partition(self, app: Application, form: Form | None = None) -> Partition:
        """A slot whose token waits for C_InitToken."""
        with self.lock:
            with self.store.transaction() as tx:
                slot = self._make(tx, app, form or Form(), None)
            return self._made(slot, app)

    def create_token(self, app: Application, form: Form, label: bytes, pins: dict[str, bytes]) -> Partition:
        """A partition with its token initialised and its first officers' PINs: all in one commit. A new pool's blank
        slot 0 is taken for it, so that no spare one stays behind."""
        with self.lock:
            blank = self.by_slot.keys() == {0} and not self.by_slot[0].initialised
            with self.store.transaction() as tx:
                slot = self._make(tx, app, form, 0 if blank else None)
                put_first(tx, slot, label, pins, self.pin_cost)
                tx.audit({**_act(app, "C_InitToken"), "slot": str(slot)})
            return self._made(slot, app)

    @staticmethod
    def _make(tx: Transaction, app: Application, form: Form, slot: int | None) -> int:
        if slot is None:
            slot = tx.create_partition(_act(app, "partition-create"))
        tx.set_form(slot, form.kind.encode(), form.switches, form.recovery, form.retention)
        tx.set_rule(slot, form.rule)
        return slot

    def _made(self, slot: int, app: Application) -> Partition:
        self.by_slot[slot] = Partition(self, slot)
        self._changed(slot, app)
        return self.by_slot[slot]

    def set(self, slot: int, switches: Switches | None, rule: Rule | None, record: dict[str, str]) -> None:
        self.partition(slot).set(switches, rule, record)
        self.publish()

    def see_off(self) -> None:
        """Programs that have ended have no sessions any more, though the engine may still be coming to that: who then
        calls C_InitToken is not told of sessions that nobody has. Asked without a lock, which the end of one takes."""
        with self.lock:
            leaving = [app for app in self.applications if app.hung_up()]
        until = time.monotonic() + SEEN_OFF_IN
        for app in leaving:
            app.gone.wait(max(until - time.monotonic(), 0))

    def delete_partition(self, app: Application, slot: int, record: dict[str, str]) -> None:
        self.see_off()
        with self.lock:
            gone = self.partition(slot)
            gone.delete(record)
            del self.by_slot[slot]
            self.epoch.bump()
            self._changed(slot, app)
            self.upkeep.wake()
        gone.seal()  # with no lock held, since it ends the logins that applications are just ending themselves

    def deleted(self) -> dict[int, PartitionHead]:
        """The partitions that were deleted and can be recovered."""
        return {slot: head for slot, head in self.store.heads.items() if head.deleted is not None}

    def recover_partition(self, app: Application, slot: int, record: dict[str, str]) -> Partition:
        with self.lock:
            self._must_be_deleted(slot)
            with self.store.transaction() as tx:
                tx.set_deleted(slot, None)
                tx.audit(record)
            return self._made(slot, app)

    def purge_partition(self, slot: int, record: dict[str, str], *, due: bool = False) -> None:
        """Gone for good. ``due``: its time has come."""
        with self.lock:
            head = self._must_be_deleted(slot)
            if head.switches.purge_protection and not due:
                words = f"purge protection is on: partition {slot} goes when its retention is over, and not before"
                raise TokenError(ck.CKR_ACTION_PROHIBITED, words)
            self.store.delete_partition(slot, record)

    def _must_be_deleted(self, slot: int) -> PartitionHead:
        found = self.deleted().get(slot)
        if found is None:
            words = f"no deleted partition has the number {slot}: adyton partition list-deleted"
            raise TokenError(ck.CKR_SLOT_ID_INVALID, words)
        return found

    def came(self, app: Application, slots: list[int]) -> None:
        """After the commit that has put partitions in by a restore: some of them are new."""
        for slot in slots:
            there = self.by_slot.get(slot)
            if there is None or there.serial.encode() != self.store.heads[slot].serial:
                self.by_slot[slot] = Partition(self, slot)
            self._changed(slot, app)
        self.epoch.bump()
        self.upkeep.wake()

    def _changed(self, slot: int, app: Application) -> None:
        self.publish()
        self.slot_events.happened(slot, app)

    def key_files(self) -> list[str]:
        """The files that open partitions with nobody's PIN."""
        return [path for partition in self.by_slot.values() for path in partition.unattended.files()]

    @property
    def shuts_out(self) -> bool:
        with self.lock:
            return any(partition.shuts_out for partition in self.by_slot.values())

    def close(self) -> None:
        self.store.close()
        self._leave()

    def _leave(self) -> None:
        self.epoch.close()
        os.close(self._claim)


def _act(app: Application, what: str) -> dict[str, str]:
    return {"act": what, "officer": "", "pid": str(app.pid), "uid": str(app.uid)}
