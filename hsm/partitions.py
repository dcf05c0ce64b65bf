"""A partition: objects in memory over the sealed store, one commit a change.

A partition opens at the first login that carries a copy of its key and stays open until the engine ends. Its lock
guards state only and is never held over cryptography, but for C_InitToken, when nobody has a session. What is in memory
changes after the commit, so a refused one leaves it as it was. Nothing here is global: each partition could be a
process.
"""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, NamedTuple

from hsm.access import key_policy, policy, quorum
from hsm.access.kinds import KEY_LIMITS, KINDS
from hsm.access.made_ivs import Ivs
from hsm.access.officers import Came, Officers
from hsm.access.profile import PROFILES, Let
from hsm.access.quorum import DESTROY, POLICY, Asked, Quorum
from hsm.access.roles import KEY_DELETE, KEY_WRITE, OFFICERS_WRITE, PARTITION_DELETE
from hsm.access.unattended import Unsealing
from hsm.access.values import MADE_IVS, Values
from hsm.audit import calls
from hsm.confinement.arena import Secret
from hsm.confinement.sweeping import SWEEPER
from hsm.errors import TokenError
from hsm.limits import OBJECT
from hsm.log import say
from hsm.objects import attributes as table
from hsm.objects import templates
from hsm.objects.about import COPIED, About
from hsm.objects.index import ObjectIndex, having
from hsm.objects.templates import Template
from hsm.objects.token_object import TokenObject
from hsm.rotation import Rotations
from hsm.soft_delete import SoftDelete
from hsm.store.folding import Folds
from hsm.store.transaction import Transaction
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application, Login, Session
    from hsm.pool import Pool
    from hsm.store.heads import PartitionHead, Rule, Switches
    from hsm.store.key_names import Version


class Carried(NamedTuple):
    """One object of a key on its way into a blob, or back: its attributes, its record, and what its value has lost."""

    attributes: dict[int, bytes]
    known: About
    bits: int


class Partition:
    """One token: its objects, its officers' credentials, the sessions on it."""

    def __init__(self, pool: Pool, slot: int) -> None:
        self.pool = pool
        self.slot = slot
        self.serial = self._head.serial.decode()
        self.kind = KINDS[self._head.kind.decode()]
        self.lock = threading.RLock()
        self.sessions = 0
        self._deleted = False
        self._replaced = False
        self.objects: dict[int, TokenObject] = {}
        self.session_objects: set[TokenObject] = set()
        self.index = ObjectIndex()
        self.values = Values()
        self.officers = Officers(pool.store, slot, pool.pin_cost, self._rights_changed)
        self.directory = self.officers.directory
        self.quorum = Quorum(pool.store, slot, self.directory)
        self.deleted = SoftDelete(self)
        self.rotations = Rotations(self)
        self.unattended = Unsealing(pool.store, slot, self.serial.encode())
        self.key: Secret | None = None
        self._folds = Folds()
        self.ivs = Ivs(self)
        self._in_use: set[TokenObject] = set()  # those whose secrets are not folded
        self._logged_in: set[Application] = set()
        self._load(None)

    # -- what the token says of itself

    @property
    def _head(self) -> PartitionHead:
        return self.pool.store.heads[self.slot]

    @property
    def label(self) -> str:
        return self._head.label.decode("utf-8", "replace")

    @property
    def initialised(self) -> bool:
        return self._head.initialised

    @property
    def switches(self) -> Switches:
        return self._head.switches

    @property
    def legacy(self) -> bool:
        """Whether mechanisms and key types are offered that are no longer safe."""
        return self._head.switches.legacy

    def lets(self, what: Let) -> bool:
        """Whether something is let here that the strict profile refuses."""
        return what in PROFILES.get(self._head.switches.profile, ())

    @property
    def recovery(self) -> bool:
        """Whether the Administrator keeps a copy of the partition key beside other officers."""
        return self._head.recovery

    @property
    def damaged(self) -> list[str]:
        """What is not as it was left, in sentences."""
        return self.pool.store.damage.get(self.slot, [])

    @property
    def has_user(self) -> bool:
        """Whether any officer may log in as CKU_USER."""
        return self.initialised and self.officers.any_user()

    @property
    def is_open(self) -> bool:
        return self.key is not None

    def token_flags(self, uid: int) -> int:
        """``uid``: the user of the machine that asks, who may be an officer by that alone."""
        flags = ck.CKF_RNG | ck.CKF_LOGIN_REQUIRED | ck.CKF_RESTORE_KEY_NOT_NEEDED | ck.CKF_DUAL_CRYPTO_OPERATIONS
        flags |= ck.CKF_WRITE_PROTECTED if self.pool.store.write_protected else 0
        if not self.initialised:
            return flags
        flags |= ck.CKF_TOKEN_INITIALIZED | (ck.CKF_USER_PIN_INITIALIZED if self.has_user else 0)
        flags |= ck.CKF_PROTECTED_AUTHENTICATION_PATH if self.directory.bound(uid) else 0
        names = {
            "so": (ck.CKF_SO_PIN_COUNT_LOW, ck.CKF_SO_PIN_FINAL_TRY, ck.CKF_SO_PIN_LOCKED),
            "user": (ck.CKF_USER_PIN_COUNT_LOW, ck.CKF_USER_PIN_FINAL_TRY, ck.CKF_USER_PIN_LOCKED),
        }
        for officer, bits in names.items():
            told = self.officers.credentials.flags(officer)
            flags |= sum(bit for bit, true in zip(bits, told, strict=True) if true)
        return flags

    def may_write(self) -> None:
        if self.pool.store.write_protected:
            raise TokenError(ck.CKR_TOKEN_WRITE_PROTECTED, "the pool is on a read-only disk or in a read-only folder")

    # -- sessions

    def session_opened(self, read_write: bool) -> None:
        """Counted under the partition's lock: C_InitToken and deletion rely on there being none."""
        with self.lock:
            if self._deleted:
                raise TokenError(ck.CKR_SLOT_ID_INVALID, f"slot {self.slot} has no partition")
            if not self.initialised:
                raise TokenError(ck.CKR_TOKEN_NOT_INITIALIZED, "the token is not initialised: C_InitToken comes first")
            if read_write:
                self.may_write()
            self.sessions += 1

    def session_closed(self, session: Session) -> None:
        """One session less, and its objects with it (section 5.6.2)."""
        with self.lock:
            self.sessions -= 1
            for item in [i for i in self.session_objects if i.owner is session]:
                self._drop(item)
                self.pool.epoch.bump()

    def delete(self, record: dict[str, str]) -> None:
        with self.lock:
            if self.sessions:
                words = f"an application has a session on slot {self.slot}: close it first"
                raise TokenError(ck.CKR_SESSION_EXISTS, words)
            self.pool.store.delete_partition(self.slot, record, self.deleted.of_all())
            self._deleted = True

    def set(self, switches: Switches | None, rule: Rule | None, record: dict[str, str]) -> None:
        """Its settings, but for those that are None. What runs is asked again at its next step, and no library keeps an
        answer given before."""
        with self.lock:
            self.may_write()
            with self.pool.store.transaction() as tx:
                if switches is not None:
                    tx.switch(self.slot, switches)
                if rule is not None:
                    self.quorum.set_rule(tx, rule)
                tx.audit(record)
            self.quorum.load()
            self.pool.epoch.bump()

    # -- officers

    def initialise(self, app: Application, pin: bytes, label: bytes) -> None:
        """C_InitToken: destroys everything, keeps slot and serial (section 5.5.7)."""
        self.pool.see_off()
        with self.lock:
            if self.sessions:
                raise TokenError(ck.CKR_SESSION_EXISTS, "an application has a session on this token")
            self.may_write()
            if self.switches.purge_protection:
                words = "purge protection is on: the token keeps what it has, and can't be initialised again"
                raise TokenError(ck.CKR_TOKEN_WRITE_PROTECTED, words)
            officer = "so"
            if self.initialised:
                officer = self.officers.may_initialise(pin, app.uid)
            told = {"label": label.rstrip(b" ").decode("utf-8", "replace")}
            asked = Asked(DESTROY, "C_InitToken", PARTITION_DELETE, "", told, rv=ck.CKR_FUNCTION_FAILED)
            approved = self.quorum.ask(asked, officer, self.act(app, "proposal-create", officer))
            with self.quorum.carried_out(approved, ck.CKR_FUNCTION_FAILED):
                key = self.officers.initialise(label.rstrip(b" "), pin, self.act(app, "C_InitToken", officer))
            self._forget()
            self._open(key)
            self.pool.slot_events.happened(self.slot, app)

    def _forget(self) -> None:
        """All that is known of what was here before: the store holds something else now."""
        self.quorum.load()
        self.deleted.load()
        self.rotations.load()
        self.unattended.load()
        for item in self.objects.values():
            item.die()
        self._in_use.clear()
        self.objects.clear()
        self.pool.epoch.bump()
        self.index = ObjectIndex()
        self.values = Values()
        self.damaged.clear()

    def load_anew(self) -> None:
        """A backup was put in its place: it is sealed, with the officers of that time. Callers hold its lock, and there
        is no session."""
        self.kind = KINDS[self._head.kind.decode()]
        self._replaced = True
        self.officers.credentials.forget()
        self.directory.load()
        self.key, self._folds, self.ivs = None, Folds(), Ivs(self)
        self._forget()
        self._load(None)
        SWEEPER.ring()

    def init_pin(self, app: Application, officer: str, pin: bytes) -> None:
        """C_InitPIN, by ``officer``, whose copy of the partition key, or none, is what the PIN opens."""
        self.may_write()
        holds = self.officers.get(officer).holds_key
        key = self.opened() if holds else None
        user = self.directory.officers.get("user")
        told = {"name": "user", "objectId": user.object_id if user else ""}
        asked = Asked(POLICY, "C_InitPIN", OFFICERS_WRITE, "", told, rv=ck.CKR_FUNCTION_FAILED)
        approved = self.quorum.ask(asked, officer, self.act(app, "proposal-create", officer))
        with self.quorum.carried_out(approved, ck.CKR_FUNCTION_FAILED):
            self.officers.init_pin(pin, key, holds, self.act(app, "C_InitPIN", officer))

    def set_pin(self, app: Application, login: Login | None, old: bytes, new: bytes) -> None:
        """C_SetPIN: of who is logged in, else of ``user`` (section 5.5.9)."""
        self.may_write()
        meant, old = self.officers.spelling(login.officer if login else "user", old)
        if not self.officers.exists(meant):
            raise TokenError(ck.CKR_USER_PIN_NOT_INITIALIZED, f"officer {meant} has no PIN yet")
        why = self.directory.why_not(meant)
        if why:
            raise TokenError(ck.CKR_PIN_LOCKED, why, meant)
        self.officers.set_pin(meant, old, new, self.act(app, "C_SetPIN", meant))
        app.pin_changed(self, meant)

    def authenticate(self, app: Application, user_type: int, name: bytes, pin: bytes | None) -> Came:
        """Whoever logs in."""
        came = self.officers.authenticate(user_type, name.decode("utf-8", "replace"), pin, app.uid)
        if pin is None and not self.is_open:
            came = came._replace(key=self.unattended.key(came.officer))
        return self.came(came)

    def unattend(self, path: str, descriptor: int, record: dict[str, str]) -> None:
        """Turns unattended unsealing on, with this key file, open as ``descriptor``, or, without one, off."""
        with self.lock:
            self.may_write()
            self.unattended.turn(path, descriptor, self.opened() if path else b"", record)

    def came(self, who: Came) -> Came:
        """An officer has proved to be there: the partition opens if it was sealed."""
        with self.lock:
            if self.key is None and who.key is not None:
                if self._replaced and not self.pool.store.is_key_of(self.slot, who.key):
                    raise TokenError(ck.CKR_PIN_INCORRECT, "a backup was put in the partition's place: log in again")
                self._open(who.key)
        return who

    def _rights_changed(self) -> None:
        self.pool.epoch.bump()
        self.quorum.review()
        for app in list(self.pool.applications):
            for session in list(app.sessions.values()):
                if session.partition is self:
                    session.ask_again()

    @property
    def shuts_out(self) -> bool:
        """Whether the engine's end would keep officers out who have no PIN, and work here now."""
        names = [officer.name for officer in self.directory.officers.values() if officer.uid >= 0]
        return self.is_open and not self.unattended.is_on and any(not self.directory.why_not(name) for name in names)

    def end_logins(self, officer: str) -> None:
        """Who may do nothing any more is logged out everywhere, and what was under way is over."""
        with self.pool.lock:
            applications = list(self.pool.applications)
        for app in applications:
            login = app.logins.get(self.slot)
            if login is not None and login.officer == officer:
                app.end_login(self)

    def seal(self) -> bool:
        """As before anybody had logged in: logins are over, and neither the partition's key is here nor what is under
        it. What has happened to values stays known. False where it was sealed already."""
        self._log_all_out()
        with self.lock:
            if self.key is None:
                return False
            self.officers.credentials.forget()
            for item in [item for item in self.objects.values() if item.sealed_at_rest]:
                del self.objects[item.object_id]
                self._gone(item)
            self.key, self._folds = None, Folds()
            self.pool.epoch.bump()
        self._log_all_out()  # who came in the midst of it
        SWEEPER.ring()
        return True

    def _log_all_out(self) -> None:
        with self.lock:
            applications = list(self._logged_in)
        for app in applications:
            app.end_login(self)

    def _open(self, key: Secret) -> None:
        """The partition's key is there: private objects come to light, and values have fingerprints."""
        self.key = key
        if not self.values.opened:
            self.values.open(key, self.pool.store.values(self.slot, key))
        self._load(key)
        self._bring_in(key)
        self._pay(key)
        self._cover(key)

    @property
    def is_covered(self) -> bool:
        """Whether the custodians of the security domain, as it was last downloaded, can open it."""
        domain = self.pool.store.pool_head.domain
        return domain.is_there and self._head.covered[:4] == domain.generation.to_bytes(4, "little")

    def _cover(self, key: Secret) -> None:
        """What was downloaded while the partition was sealed covers it from now on. Where that can't be written now,
        the next opening does it."""
        if not self.pool.store.pool_head.domain.is_there or self.is_covered or self.pool.store.write_protected:
            return
        try:
            with self.pool.store.transaction() as tx:
                tx.cover(self.slot, key)
        except TokenError as refusal:
            say(f"partition {self.slot}: the security domain does not cover it yet: {refusal.reason}")

    def _pay(self, key: Secret) -> None:
        """After a restore: objects of that time lose what their values have lost since."""
        joined = self.pool.store.joined_values(self.slot)
        if not joined:
            return
        items = [item for item in self.objects.values() if self.values.fingerprint(item.attributes) in joined]
        owed = {item: self.values.owed(item) for item in items}
        try:
            with self.pool.store.transaction() as tx:
                for item, changes in owed.items():
                    if changes:
                        tx.put_object(self.slot, item.object_id, {**item.attributes, **changes}, key)
                    self.put_value(tx, item.attributes, self.values.bits_of(item.attributes))
        except TokenError as refusal:
            say(f"partition {self.slot}: what keys have lost is kept in memory, and written later: {refusal.reason}")
        for item, changes in owed.items():
            before = dict(item.attributes)
            item.change(changes)
            self.index.changed(item, before)
            self._fold(item)

    def _bring_in(self, key: Secret) -> None:
        """What came in while the partition was sealed is written again under its key, and its value remembered. Where
        that can't be now, the next opening does it."""
        came = [self.objects[number] for number in self.pool.store.incoming(self.slot) if number in self.objects]
        if not came or self.pool.store.write_protected:
            return
        try:
            with self.pool.store.transaction() as tx:
                for item in came:
                    attributes = item.attributes
                    tx.put_object(self.slot, item.object_id, attributes, key)
                    self.put_value(tx, attributes, self.values.bits_of(attributes))
                    self._fold(item)
        except TokenError as refusal:
            say(f"partition {self.slot}: keys that came in while it was sealed stay as they came: {refusal.reason}")

    def opened(self) -> Secret:
        if self.key is None:
            raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, "the partition is sealed: log in first")
        return self.key

    # -- objects

    def _load(self, key: Secret | None, only: list[int] | None = None) -> None:
        """What needs no key at the start; private objects and keys with secrets once there is one. ``only``: those that
        have come back, of either kind."""
        store = self.pool.store
        found = [*store.load_objects(self.slot, None, only), *store.load_objects(self.slot, key, only)] if (
            only is not None and key is not None
        ) else store.load_objects(self.slot, key, only)
        loaded = []
        for object_id, attributes in found:
            item = self.objects[object_id] = TokenObject(self, attributes, None, object_id)
            self.index.add(item)
            loaded.append(item)
        for item in self.objects.values() if only is None else loaded:  # at an opening, all have other fingerprints
            self.values.enter(item)
            self._fold(item)
        gc.freeze()  # what lives as long as the engine is not looked through for garbage at every collection

    def _fold(self, item: TokenObject) -> None:
        item.fold(self._folds.fold)
        self._in_use.discard(item)

    def unfolded(self, item: TokenObject, folded: bytes) -> dict[int, bytes]:
        """The secrets of an object that is about to be used."""
        if not item.alive:
            raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "the object is gone: its partition was sealed")
        self._in_use.add(item)
        return self._folds.unfold(folded)

    @property
    def is_quiet(self) -> bool:
        """Whether no application has anybody logged in."""
        return not self._logged_in

    def logged_in(self, app: Application) -> None:
        with self.lock:
            self._logged_in.add(app)

    def logged_out(self, app: Application) -> None:
        """The last one folds what was used."""
        with self.lock:
            ended = app in self._logged_in
            self._logged_in.discard(app)
            if not self._logged_in and (ended or self._in_use):
                for item in list(self._in_use):
                    self._fold(item)
                SWEEPER.ring()

    def may_add(self, session: Session, attributes: dict[int, bytes], how: str) -> None:
        """Whether this session may make such an object, asked before any key is generated."""
        if attributes.get(ck.CKA_TOKEN) == table.TRUE and not session.read_write:
            raise TokenError(ck.CKR_SESSION_READ_ONLY, "token objects are made in read/write sessions only")
        if self.kind.guarded:
            policy.check_guarded(attributes)
        policy.may_make(session, attributes, how, self.kind)
        self._may_be_here(attributes)
        self.deleted.may_be_made(attributes)
        self._within_limits(attributes)

    def _may_be_here(self, attributes: dict[int, bytes]) -> None:
        """What the partition's switches say of keys of this type and size."""
        if not self.legacy and table.is_legacy(attributes):
            words = "a key of a legacy type, and the partition's switch for these is off: adyton partition set"
            raise TokenError(ck.CKR_ATTRIBUTE_VALUE_INVALID, f"{words} {self.slot} --legacy on", "CKA_KEY_TYPE")
        if not self.switches.weak_token_keys:
            key_policy.may_be_kept(attributes)

    def _within_limits(self, attributes: dict[int, bytes]) -> None:
        limits = KEY_LIMITS.get(self.switches.limits)
        if limits is None or attributes.get(ck.CKA_TOKEN) != table.TRUE or ck.CKA_KEY_TYPE not in attributes:
            return
        name, store = policy.name_for(attributes), self.pool.store
        with store.lock:
            names = store.key_names(self.slot)
            keys, versions = len(names), len(names.versions(name)) if name in names else 0
            deleted = sum(key not in names for key in self.deleted.keys)  # others count by their public halves
        if not versions and keys + deleted >= limits.keys:
            words = f"the partition has {keys} keys and {deleted} deleted ones, as many as its limits allow"
            raise TokenError(ck.CKR_DEVICE_MEMORY, words, "limits")
        if versions >= limits.versions:
            words = f"key {name} has {versions} versions, as many as the partition's limits allow"
            raise TokenError(ck.CKR_DEVICE_MEMORY, words, "limits")

    def add(self, session: Session, attributes: dict[int, bytes], how: str, source: TokenObject | None = None) -> int:
        return self.add_all(session, [attributes], how, source)[0]

    def add_all(
        self, session: Session, rows: list[dict[int, bytes]], how: str, source: TokenObject | None = None
    ) -> list[int]:
        """Adds objects, token objects in one commit, and returns their handles. ``source``: what they are copies of."""
        made = []
        with self.lock:
            # Asked here, where a logout or the session's end can't come in between.
            session.still_open()
            for attributes in rows:
                self.may_add(session, attributes, how)
            twins = [self.values.twins(attributes) if policy.is_guarded(attributes) else [] for attributes in rows]
            names = [policy.names(session, *row, how, source) for row in zip(rows, twins, strict=True)]
            calls.asked_of(session)
            rows = [self.values.admit(attributes) for attributes in rows]
            stored = [attributes.get(ck.CKA_TOKEN) == table.TRUE for attributes in rows]
            ids = [0] * len(rows)
            sizes = [OBJECT + sum(map(len, row.values())) for row in rows]
            sizes = [0 if kept else size for kept, size in zip(stored, sizes, strict=True)]
            with session.application.room_for(sum(sizes)):
                if any(stored) or self.pool.audit.strict:  # which gives out no handle that has no record
                    with self.pool.store.transaction() as tx:
                        for position, attributes in enumerate(rows):
                            if stored[position]:
                                known = self._known_of(attributes, source, session.said)
                                ids[position] = tx.put_object(self.slot, 0, attributes, self.key, known)
                                self.put_value(tx, attributes, self.values.bits_of(attributes))
                        tx.audit(self.record(session, how), tuple(map(tx.named, rows)))
            for position, attributes in enumerate(rows):
                item = TokenObject(self, attributes, None if stored[position] else session, ids[position])
                if stored[position]:
                    self.objects[item.object_id] = item
                    self._in_use.add(item)
                else:
                    item.names = names[position]
                    item.lenders = self._lenders(attributes, source)
                    item.of_token = (source is not None and (source.is_token or source.of_token)) or bool(
                        policy.is_guarded(attributes) and self.values.bearers(attributes)
                    )
                    item.size = sizes[position]
                    self.session_objects.add(item)
                self.index.add(item)
                self.values.enter(item)
                made.append(item)
        calls.about(made)
        return [session.application.handle_of(item) for item in made]

    def _known_of(
        self, attributes: dict[int, bytes], source: TokenObject | None, said: dict[int, bytes]
    ) -> About | None:
        """What is known of a new token key at once: what is ``said``, and what it has of another one."""
        known = self._of_another(attributes, source)
        return About({**known.said, **said}) if known is not None else About(said) if said else None

    def _of_another(self, attributes: dict[int, bytes], source: TokenObject | None) -> About | None:
        """What a new token key has of another one. A copy has its source's times. The other half of a pair that is here
        under the same name, without one of this kind, is of the same version."""
        if source is not None and policy.is_guarded(attributes):
            known = source.about() if source.is_token else next((lender.about() for lender in source.lenders), None)
            return known and About({number: value for number, value in known.said.items() if number in COPIED})
        name, public = policy.name_for(attributes).lower(), not policy.is_guarded(attributes)
        if not name or ck.CKA_PUBLIC_KEY_INFO not in attributes:
            return None
        halves = [item for item in self.values.halves(attributes) if item.name().lower() == name]
        for item in reversed(halves):
            same = [other.key_class for other in halves if other.key_name() == item.key_name()]
            if (ck.CKO_PUBLIC_KEY if public else ck.CKO_PRIVATE_KEY) not in same:
                return item.about()
        return None

    def _lenders(self, attributes: dict[int, bytes], source: TokenObject | None) -> tuple[TokenObject, ...]:
        """The token keys whose value a new session object has."""
        if not policy.is_guarded(attributes):
            return ()
        if source is not None:
            return (source,) if source.is_token else source.lenders
        return tuple(self.values.bearers(attributes))

    def put_value(self, tx: Transaction, attributes: dict[int, bytes], bits: int) -> None:
        """What has happened to this key's value, for when it outlives this engine."""
        fingerprint = self.values.fingerprint(attributes)
        if fingerprint is not None and self.key is not None:
            tx.put_value(self.slot, fingerprint, bits, self.key)

    def change(
        self, session: Session, item: TokenObject, changes: dict[int, bytes], *, trusting: bool = False
    ) -> None:
        """``trusting``: the Administrator sets CKA_TRUSTED on a key that is not its own to change."""
        with self.lock:
            self.is_there(item)
            if not trusting:
                policy.may_change(session, item, KEY_WRITE, self.kind)
            self.values.may_change(item, changes)
            before = dict(item.attributes)
            after = {**before, **changes}
            more = sum(len(value) - len(before.get(number, b"")) for number, value in changes.items())
            more = 0 if item.is_token else more
            with session.application.room_for(more):
                if item.is_token or self.pool.audit.strict:
                    with self.pool.store.transaction() as tx:
                        if item.is_token:
                            tx.put_object(self.slot, item.object_id, after, self.key)
                            self.put_value(tx, after, self.values.bits_of(after))
                        names = " ".join(map(table.name_of, changes))
                        tx.audit({**self.record(session, "change"), "attributes": names}, (calls.named(item),))
            item.size += more
            item.change(changes)
            self.pool.epoch.bump()
            self.index.changed(item, before)
            self.values.enter(item)

    def destroy(self, session: Session, item: TokenObject) -> None:
        with self.lock:
            self.is_there(item)
            policy.may_change(session, item, KEY_DELETE, self.kind)
            approved = quorum.destroying(session, item)
            kept = self.deleted.of(item)
            if kept is not None:
                with self.quorum.carried_out(approved):
                    self._bury(*kept, self.record(session, "destroy"), calls.named(item))
                return
            if item.is_token or self.pool.audit.strict:
                with self.quorum.carried_out(approved), self.pool.store.transaction() as tx:
                    if item.is_token:
                        tx.delete_object(self.slot, item.object_id)
                    tx.audit(self.record(session, "destroy"), (calls.named(item),))
            if item.is_token:
                del self.objects[item.object_id]
            self._drop(item)
            if item.is_token:  # a session object is known to one process only, whose library saw this call
                self.pool.epoch.bump()

    def _bury(self, name: str, objects: list[int], record: dict[str, str], *about: tuple[str, str]) -> None:
        """Deleted, so that it can be recovered."""
        with self.pool.store.transaction() as tx:
            deleted = self.deleted.bury(tx, name, objects, record["officer"])
            tx.audit({**record, **({"recoverable": name} if name else {})}, about)
        self.deleted.buried(deleted)
        self._all_gone(objects)

    def _all_gone(self, objects: list[int]) -> None:
        """Token objects that a commit has taken away; those that are sealed were not here."""
        for number in objects:
            item = self.objects.pop(number, None)
            if item is not None:
                self._gone(item)
        self.pool.epoch.bump()

    def delete_key(self, name: str, record: dict[str, str]) -> None:
        """All versions of a key, by its name: recoverable where the partition has a retention."""
        with self.lock:
            self.may_write()
            guarded, store = self.deleted.guarded(name), self.pool.store
            with store.lock:
                versions = store.key_names(self.slot).versions(name)
            about = tuple((version.name, version.version) for version in versions)
            if self.deleted.retention and guarded:
                self._bury(versions[0].name, guarded, record, *about)
                return
            everything = [number for version in versions for number in version.objects]
            with store.transaction() as tx:
                for number in everything:
                    tx.delete_object(self.slot, number)
                tx.audit(record, about)
            self._all_gone(everything)

    def recover_key(self, name: str, record: dict[str, str]) -> None:
        with self.lock:
            self.may_write()
            self._load(self.key, self.deleted.recover(name, record))
            self.pool.epoch.bump()

    def purge_key(self, name: str, record: dict[str, str]) -> None:
        with self.lock:
            self.may_write()
            self.deleted.purge(name, record)

    def put_version(self, rows: list[dict[int, bytes]], known: About, record: dict[str, str]) -> None:
        """A new version of a key that is here, which the engine made itself: also while the partition is sealed."""
        with self.lock:
            self.may_write()
            for attributes in rows:
                self.deleted.may_be_made(attributes)
                self._within_limits(attributes)
            ids = []
            with self.pool.store.transaction() as tx:
                for attributes in rows:
                    ids.append(tx.put_object(self.slot, 0, attributes, self.key, known, incoming=True))
                    self.put_value(tx, attributes, self.values.bits_of(attributes))
                tx.audit(record, tuple(map(tx.named, rows)))
            for number, attributes in zip(ids, rows, strict=True):
                if self.key is None and (policy.is_guarded(attributes) or attributes.get(ck.CKA_PRIVATE) == table.TRUE):
                    continue
                item = self.objects[number] = TokenObject(self, attributes, None, number)
                self.index.add(item)
                self.values.enter(item)
                self._fold(item)
            self.pool.epoch.bump()

    def whole_key(self, name: str) -> list[Carried]:
        """All versions of a key with all that is known of them, the secrets too, for a blob that nobody else opens."""
        with self.lock:
            self.opened()
            found = []
            with self.pool.store.lock:
                versions = self.pool.store.key_names(self.slot).versions(name)
            for number, known in [pair for version in versions for pair in version.objects.items()]:
                item = self.objects.get(number)
                if item is None:
                    raise TokenError(ck.CKR_DEVICE_ERROR, f"a version of key {name} is damaged: see adyton check", name)
                found.append(Carried(item.attributes, known, self.values.bits_of(item.attributes)))
                if self.is_quiet:
                    self._fold(item)
            return found

    def put_back(self, name: str, rows: list[Carried], record: dict[str, str]) -> None:
        """A key that was backed up comes back with all its versions, as they were, under a name that is free."""
        with self.lock:
            self.may_write()
            key = self.opened()
            with self.pool.store.lock:
                there = name in self.pool.store.key_names(self.slot)
            if there or name.lower() in self.deleted.keys:
                words = "is there" if there else "was deleted and can be recovered, which keeps its name"
                raise TokenError(ck.CKR_TEMPLATE_INCONSISTENT, f"a key {name} {words}: nothing was restored", name)
            for attributes, _, _ in rows:
                if self.kind.guarded:
                    policy.check_guarded(attributes)
                self._may_be_here(attributes)
            self._within_limits({**rows[0].attributes, ck.CKA_LABEL: name.encode()})
            # The oldest first, since searches give what came last first.
            rows = [row._replace(attributes=self.values.admit(row.attributes))
                    for row in sorted(rows, key=lambda row: row.known.made)]
            with self.pool.store.transaction() as tx:
                numbers, losing = [], dict[TokenObject, dict[int, bytes]]()
                for attributes, known, bits in rows:
                    number = tx.put_object(self.slot, 0, attributes, key, known)
                    tx.put_about(self.slot, number, dict(known.said))
                    bits, losers = self.values.bringing(attributes, bits)
                    self.put_value(tx, attributes, bits)
                    losing |= losers
                    numbers.append((number, attributes, bits))
                    if bits & MADE_IVS:
                        tx.scatter_ivs(self.slot)
                for item, lost in losing.items():
                    if item.is_token:
                        tx.put_object(self.slot, item.object_id, {**item.attributes, **lost}, key)
                tx.audit(record, tuple(dict.fromkeys(known.named for _, known, _ in rows)))
            self.ivs = Ivs(self)
            for item, lost in losing.items():
                before = dict(item.attributes)
                item.change(lost)
                self.index.changed(item, before)
            for number, attributes, bits in numbers:
                item = self.objects[number] = TokenObject(self, attributes, None, number)
                self.index.add(item)
                self.values.enter(item)
                self.values.lost(item, bits, stored=True)
                self._fold(item)
            self._rights_changed()

    def upkeep(self) -> None:
        """What is due by itself."""
        with self.lock:
            if self._deleted or self.pool.store.write_protected:
                return
            self.deleted.purge_due()
        self.rotations.rotate_due()

    def change_key(
        self, versions: list[Version], changes: dict[int, bytes | None], uses: dict[int, bytes], record: dict[str, str]
    ) -> None:
        """What is known of these versions of a key, and the ``uses`` that it may be put to, in one commit."""
        with self.lock:
            self.may_write()
            numbers = [number for version in versions for number in version.objects]
            changed: list[tuple[TokenObject, dict[int, bytes]]] = []
            if uses:
                for number in numbers:
                    item = self.objects.get(number)
                    if item is None:
                        self.opened()
                        raise TokenError(ck.CKR_OBJECT_HANDLE_INVALID, "a version of the key is damaged")
                    mine = {use: value for use, value in uses.items() if item.get(use) not in (None, value)}
                    templates.for_set(item, mine, False)
                    self.values.may_change(item, mine)
                    changed.append((item, mine))
            with self.pool.store.transaction() as tx:
                for item, mine in changed:
                    if mine:
                        tx.put_object(self.slot, item.object_id, {**item.attributes, **mine}, self.key)
                for number in numbers:
                    tx.change_about(self.slot, number, changes)
                tx.audit(record, tuple((version.name, version.version) for version in versions))
            for item, mine in changed:
                item.change(mine)
            for number in numbers:
                if number in self.objects:
                    self.objects[number].about_changed()
            self._rights_changed()

    @staticmethod
    def is_there(item: TokenObject, rv: int = ck.CKR_OBJECT_HANDLE_INVALID) -> None:
        if not item.alive:
            raise TokenError(rv, "the object is gone: somebody destroyed it")

    def _gone(self, item: TokenObject) -> None:
        self.index.remove(item)
        self.values.leave(item)
        item.die()
        self._in_use.discard(item)
        for app, handle in list(item.handles.items()):
            app.handles.pop(handle, None)

    def _drop(self, item: TokenObject) -> None:
        self.session_objects.discard(item)
        self._gone(item)
        if item.owner is not None:
            item.owner.application.give(item.size)
            item.size = 0

    def drop_private_session_objects(self, app: Application) -> None:
        with self.lock:
            for item in [i for i in self.session_objects if i.private and i.owner and i.owner.application is app]:
                self._drop(item)

    def find(self, session: Session, template: Template) -> list[TokenObject]:
        """The lock is held for the look into the index only: who lists ten thousand objects keeps nobody waiting."""
        with self.lock:
            wanted, candidates = self.index.near(template)
        trusting = all(number in table.TRUSTING for number, _ in template)
        found = having(wanted, candidates)
        return [i for i in found if policy.sees(session, i) or (trusting and policy.may_trust(session, i))]

    def record(self, session: Session, what: str) -> dict[str, str]:
        """Who did what."""
        login = calls.asked_of(session)
        return self.act(session.application, what, login.officer if login else "")

    def act(self, app: Application, what: str, officer: str) -> dict[str, str]:
        return {"act": what, "officer": officer, "slot": str(self.slot), "pid": str(app.pid), "uid": str(app.uid)}
