"""The two-person rule: which acts take more than one officer, and whether the others have agreed to this one.

An act under a partition's rule is refused when it is first asked for, and recorded as a proposal. Who holds the data
action that it asks for, on the same scope, may approve it, but for who proposed it; then the proposer asks for the very
same again, and the commit of the act takes the proposal away. It stands for some hours, and only for what it was made
for: the act, its subject as that was, and who asked are in its digest. Once its proposer or an approver may not act any
more, it is void.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm import clock
from hsm.access.roles import (
    ASSIGNMENTS_WRITE,
    KEY_BACKUP,
    KEY_DELETE,
    OFFICERS_WRITE,
    PARTITION_WRITE,
)
from hsm.audit import calls
from hsm.errors import TokenError, mechanism_name
from hsm.objects import attributes as table
from hsm.store import sealing
from hsm.store.heads import Rule
from hsm.store.records import Officer, Proposal
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.access.directory import Directory
    from hsm.application import Session
    from hsm.objects.token_object import TokenObject
    from hsm.store.sqlite import Store
    from hsm.store.transaction import Transaction

# What a rule can be for; a change of the rule itself is under any rule.
DESTROY, EXPORT, POLICY, RULE = "destroy", "export", "policy", "rule"
KINDS_OF_ACTS = {
    DESTROY: "destroying a private or secret token key, the whole token, or the partition",
    EXPORT: "wrapping a token key out",
    POLICY: "officers, their PINs, roles, the partition's settings",
}
MOST_OFFICERS, LONGEST_HOURS = 8, 24 * 365
MOST, MOST_OF_ONE = 100, 50
# Who holds all of these could change any rule back to what lets one person act alone.
_GOVERNS = (OFFICERS_WRITE, ASSIGNMENTS_WRITE, PARTITION_WRITE)


class Asked(NamedTuple):
    """An act, as somebody asks for it. ``action`` is needed on the key ``key``, or on the partition. ``told`` is what
    the others get to see; ``subject`` tells all that must be the same when it is carried out. ``rv`` refuses it."""

    kind: str
    act: str
    action: str
    key: str
    told: dict[str, Any]
    subject: bytes = b""
    rv: int = ck.CKR_ACTION_PROHIBITED


class Proposed(TokenError):
    """The refusal of an act that others have to approve first."""

    def __init__(self, rv: int, words: str, proposal: Proposal) -> None:
        super().__init__(rv, words, proposal.name)
        self.proposal = proposal


class Quorum:
    """The rule of one partition, and what is proposed there."""

    def __init__(self, store: Store, slot: int, directory: Directory) -> None:
        self._store = store
        self._slot = slot
        self._directory = directory
        self.proposals: dict[str, Proposal] = {}
        self.load()

    def load(self) -> None:
        """From the store: at the start, and when the token was initialised anew. A damaged one counts for nothing."""
        with self._store.lock:
            found = self._store.records(self._slot, Proposal)
            self.proposals = {name: record for name, record in found.items() if record}

    # -- asking

    @property
    def rule(self) -> Rule:
        return self._store.heads[self._slot].rule

    def covers(self, kind: str) -> bool:
        rule = self.rule
        return rule.officers > 0 and (kind in rule.acts or kind == RULE) and (rule.awake or self.can_be(rule.officers))

    def can_be(self, officers: int) -> bool:
        """Whether there are so many who together could carry out any act, and undo any mistake."""
        return len(self.governors()) >= officers

    def governors(self) -> list[Officer]:
        return [
            officer for name, officer in self._directory.officers.items()
            if not officer.damaged and not self._directory.why_not(name)
            and all(self._directory.holds(name, action) for action in _GOVERNS)
        ]

    def ask(
        self, asked: Asked, officer: str, record: dict[str, str], objects: Iterable[TokenObject] = ()
    ) -> Proposal | None:
        """The proposal by which this may be carried out now; None where it needs none. Else it is proposed, and that is
        the refusal. ``record``: of the proposal, for the audit log."""
        if not self.covers(asked.kind):
            return None
        if not officer:
            words = f"this takes {self.rule.officers} officers, one of whom proposes it: log in"
            raise TokenError(asked.rv, words, asked.kind)
        with self._store.lock:
            proposer = self._object_id(officer)
            digest = _digest(asked, proposer)
            found = next((p for p in self.live() if p.digest == digest), None)
            if found is None:
                found = self._propose(asked, proposer, digest, record, objects)
            elif len(found.approvals) + 1 >= self.rule.officers:
                approvers = ", ".join(map(self.name_of, found.approvals))
                calls.detail(proposal=found.name, approvedBy=approvers)
                return found
        words = (
            f"this takes {self.rule.officers} officers: proposed as {found.name}, until {_time(found.expires)}. Now "
            f"another with {asked.action} approves it: adyton proposal approve {found.name} --as NAME; ask again then"
        )
        raise Proposed(asked.rv, words, found)

    def _propose(
        self, asked: Asked, proposer: str, digest: bytes, record: dict[str, str], objects: Iterable[TokenObject]
    ) -> Proposal:
        live = self.live()
        if len(live) >= MOST or sum(p.proposer == proposer for p in live) >= MOST_OF_ONE:
            words = (
                f"this takes {self.rule.officers} officers, and as many proposals wait as there may be: {MOST} in all, "
                f"{MOST_OF_ONE} of one officer. Approve or reject some; see adyton proposal list"
            )
            raise TokenError(asked.rv, words, "limit")
        now = clock.microseconds()
        made = Proposal(
            str(uuid.uuid4()), digest, asked.act, asked.kind, asked.action, asked.key, _as_json(asked.told), proposer,
            now, now + self.rule.hours * 3_600_000_000,
        )
        with self._writing() as tx:
            if not self.rule.awake:
                tx.set_rule(self._slot, self.rule._replace(awake=True))
            tx.put_record(self._slot, made)
            told = {"subject": made.name, "asks": made.act, "expires": str(made.expires // 1_000_000)}
            tx.audit({**record, **told}, tuple(map(calls.named, objects)))
        self.proposals[made.name] = made
        return made

    def live(self) -> list[Proposal]:
        return [proposal for proposal in list(self.proposals.values()) if self._stands(proposal)]

    def _stands(self, proposal: Proposal) -> bool:
        """Whether it has not expired, and who proposed and approved it may still act."""
        if proposal.expires <= clock.microseconds():
            return False
        names = [self.name_of(proposal.proposer), *map(self.name_of, proposal.approvals)]
        if any(self._directory.why_not(name) for name in names):
            return False
        return all(self._directory.holds(name, proposal.action, proposal.key) for name in names[1:])

    def _object_id(self, officer: str) -> str:
        found = self._directory.officers.get(officer)
        if found is None:
            raise TokenError(ck.CKR_USER_NOT_LOGGED_IN, f"officer {officer} is gone", officer)
        return found.object_id

    def name_of(self, object_id: str) -> str:
        """The officer's; nothing where that one is gone."""
        officer = self._directory.principal(object_id)
        return officer.name if officer else ""

    def get(self, name: str) -> Proposal:
        found = self.proposals.get(name)
        if found is None or not self._stands(found):
            words = f"there is no proposal {name}: it was carried out or rejected, is void or has expired"
            raise TokenError(ck.CKR_ARGUMENTS_BAD, words, name)
        return found

    # -- deciding

    def approve(self, name: str, officer: str, record: dict[str, str]) -> Proposal:
        with self._store.lock:
            found, approver = self.get(name), self._object_id(officer)
            if approver == found.proposer:
                words = "nobody approves his own proposal: another officer does"
                raise TokenError(ck.CKR_ACTION_PROHIBITED, words, name)
            if approver in found.approvals:
                raise TokenError(ck.CKR_ARGUMENTS_BAD, f"officer {officer} has approved this already", name)
            approved = found._replace(approvals=(*found.approvals, approver))
            if not self._stands(approved):
                raise TokenError(ck.CKR_ACTION_PROHIBITED, f"officer {officer} may not do this any more", found.action)
            with self._writing() as tx:
                tx.put_record(self._slot, approved)
                tx.audit({**record, "subject": name, "asks": found.act})
            self.proposals[name] = approved
        return approved

    def reject(self, name: str, record: dict[str, str]) -> Proposal:
        with self._store.lock:
            found = self.get(name)
            with self._writing() as tx:
                tx.drop_record(self._slot, found)
                tx.audit({**record, "subject": name, "asks": found.act})
            self.proposals.pop(name)
        return found

    @contextmanager
    def carried_out(self, approved: Proposal | None, rv: int = ck.CKR_ACTION_PROHIBITED) -> Iterator[None]:
        """Around an act: its first commit takes the proposal away. Where it makes none, this does."""
        with nullcontext() if approved is None else self._store.along(_Use(self, approved, rv)):
            yield

    def take(self, tx: Transaction, approved: Proposal, rv: int) -> None:
        """Of two who ask at once, one comes here first."""
        if self.proposals.get(approved.name) is not approved or not self._stands(approved):
            words = "the proposal was carried out meanwhile, or is void"
            raise TokenError(rv, words, approved.name)
        if self._slot in tx.heads:  # or the act has just deleted the partition
            tx.drop_record(self._slot, approved)

    # -- what happens to proposals and to the rule

    def review(self) -> None:
        """After officers or roles have changed: what is void stays so, whoever is enabled again; and with enough
        officers the rule is awake, however many are left later."""
        with self._store.lock:
            rule = self.rule
            wakes = rule.officers > 0 and not rule.awake and self.can_be(rule.officers)
            void = [p for p in self.proposals.values() if not self._stands(p)]
            if not wakes and not void:
                return
            # Where this can't be written now, it is found out again at the next start.
            self.proposals = {p.name: p for p in self.proposals.values() if p not in void}
            try:
                with self._store.transaction() as tx:
                    self._drop(tx, void)
                    if wakes:
                        tx.set_rule(self._slot, rule._replace(awake=True))
            except TokenError:
                pass

    def set_rule(self, tx: Transaction, rule: Rule) -> None:
        """What was proposed under the rule of before is void. ``load`` follows the commit."""
        for proposal in self.proposals.values():
            tx.drop_record(self._slot, proposal)
        tx.set_rule(self._slot, rule._replace(awake=rule.officers > 0 and self.can_be(rule.officers)))

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        """A commit, which takes what is void or has expired along."""
        void = [p for p in self.proposals.values() if not self._stands(p)]
        with self._store.transaction() as tx:
            self._drop(tx, void)
            yield tx
        for proposal in void:
            self.proposals.pop(proposal.name, None)

    def _drop(self, tx: Transaction, void: list[Proposal]) -> None:
        for proposal in void:
            tx.drop_record(self._slot, proposal)
            act = "proposal-expire" if proposal.expires <= clock.microseconds() else "proposal-void"
            due = str(proposal.expires // 1_000_000)
            by = {"slot": str(self._slot), "pid": str(os.getpid()), "uid": str(os.geteuid())}
            tx.audit({"act": act, **by, "subject": proposal.name, "asks": proposal.act, "due": due})


class _Use:
    """Rides on the act's commit."""

    def __init__(self, quorum: Quorum, approved: Proposal, rv: int) -> None:
        self._quorum = quorum
        self._approved = approved
        self._rv = rv

    def write(self, tx: Transaction) -> None:
        self._quorum.take(tx, self._approved, self._rv)

    def committed(self) -> None:
        self._quorum.proposals.pop(self._approved.name, None)


def _time(microseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(microseconds / 1e6))


def _as_json(told: dict[str, Any]) -> str:
    import json  # which the engine's start can do without

    return json.dumps(told, sort_keys=True)


def _digest(asked: Asked, proposer: str) -> bytes:
    parts = (asked.kind, asked.act, asked.action, asked.key, _as_json(asked.told), proposer)
    told = b"".join(len(raw).to_bytes(4, "little") + raw for raw in (*map(str.encode, parts), asked.subject))
    return hashlib.sha256(told).digest()


# -- keys


def destroying(session: Session, item: TokenObject) -> Proposal | None:
    """C_DestroyObject of a private or secret token key."""
    quorum = session.partition.quorum
    if not item.is_token or item.key_class not in table.GUARDED_CLASSES or not quorum.covers(DESTROY):
        return None
    name = item.name()
    asked = Asked(DESTROY, "C_DestroyObject", KEY_DELETE, name, {"key": _told(item)}, _subject(item))
    return quorum.ask(asked, _officer(session), session.partition.record(session, "proposal-create"), (item,))


def wrapping(session: Session, key: TokenObject, target: TokenObject, mechanism: int) -> Proposal | None:
    """C_WrapKey of a token key, or of a session object that has a token key's value, also where that one is gone."""
    partition = session.partition
    if not partition.quorum.covers(EXPORT) or target.key_class not in table.GUARDED_CLASSES:
        return None
    bearers = () if target.is_token else partition.values.bearers(target.attributes)
    if not (target.is_token or target.names or target.of_token or bearers):
        return None
    name = target.name() or next((bearer.name() for bearer in bearers), "")
    told = {"key": _told(target), "under": _told(key), "mechanism": mechanism_name(mechanism)}
    asked = Asked(
        EXPORT, "C_WrapKey", KEY_BACKUP, name, told, _subject(target) + _subject(key), ck.CKR_USER_NOT_LOGGED_IN,
    )
    return partition.quorum.ask(asked, _officer(session), partition.record(session, "proposal-create"), (target, key))


def wrapped(session: Session, approved: Proposal | None) -> None:
    """Before the wrapped key goes out: its record is in the commit that takes the proposal away."""
    if approved is not None:
        partition, rv = session.partition, ck.CKR_USER_NOT_LOGGED_IN
        with partition.quorum.carried_out(approved, rv), partition.pool.store.transaction() as tx:
            tx.audit(partition.record(session, "C_WrapKey"))


def _officer(session: Session) -> str:
    login = calls.asked_of(session)
    return login.officer if login is not None else ""


def _told(item: TokenObject) -> dict[str, str]:
    """A key as approvers see it; of a public one, by which something is carried away, which it is."""
    label = item.attributes.get(ck.CKA_LABEL, b"").decode("utf-8", "replace")
    told = {"name": item.name(), "label": label, "uniqueId": item.attributes.get(ck.CKA_UNIQUE_ID, b"").decode()}
    if not item.is_token:
        told.pop("uniqueId")  # another session's may be the same key
    public = item.attributes.get(ck.CKA_PUBLIC_KEY_INFO, b"")
    if item.key_class == ck.CKO_PUBLIC_KEY and public:
        told["sha256"] = hashlib.sha256(public).hexdigest()
    return told


# What a first use may take from a key does not make it another one.
_CHANGES_BY_ITSELF = {*table.USES, table.KNOWN_OUTSIDE, table.NO_MACS, table.STRENGTH, table.HELD}


def _subject(item: TokenObject) -> bytes:
    """Which key it is, and as what: under a key of the partition's own, since it tells of the value."""
    own = {number: value for number, value in item.attributes.items() if number not in _CHANGES_BY_ITSELF}
    if not item.is_token:
        own.pop(ck.CKA_UNIQUE_ID, None)
    return hmac.digest(sealing.derive(item.partition.opened(), b"proposal"), sealing.pack(own), "sha256")
