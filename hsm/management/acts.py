"""An act on a pool or a partition that PKCS#11 has no function for: who may, and what does it.

A door (the command line's, later REST's) finds out who asks and hands over a request; it has no policy of its own. An
act's fields and its answer are what JSON can say, in Azure's words where Azure has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from hsm.access.roles import OF_KEYS, denial
from hsm.errors import TokenError
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.application import Application, Session
    from hsm.partitions import Partition
    from hsm.pool import Pool

Request = dict[str, Any]
# Who may, where no data action says it: whoever may connect; the user of the machine who owns the pool, and root; any
# officer of the partition.
ANYBODY, OWNER, OFFICER = "", "the pool's owner", "an officer"


# All that a request may say, of whatever act. A word that is none of these is a slip, or an act's in a newer version,
# whose meaning would be passed over.
FIELDS = frozenset("""
    act as pin new_pin so_pin slot descriptor
    label kind profile legacy weak_token_keys admin_recovery quorum quorum_acts quorum_expiry key_file
    name uid enabled expires expires_in must_change seen
    assignee role scope definition custom_role_only only
    retention_days purge_protection limits
    version kty key_size crv key_ops nbf exp tags passphrase
    certificates required value seconds time_after_create time_before_expiry expiry_time
    backup number serial accept_rollback
    format after most wait by operation key result since until
""".split())


class Caller(NamedTuple):
    """Who asks: an application's process, and, where the act is one on a partition, the officer that it has proved to
    be; ``officer`` is nobody where the act needs none."""

    pool: Pool
    app: Application
    on: Partition | None
    officer: str = ""

    @property
    def partition(self) -> Partition:
        if self.on is None:
            raise KeyError("slot")
        return self.on

    def holds(self, action: str, name: str = "") -> bool:
        return self.partition.directory.holds(self.officer, action, name)

    def must_hold(self, action: str, name: str = "") -> None:
        if not self.holds(action, name):
            raise denial(self.officer, action, name, ck.CKR_ACTION_PROHIBITED)

    @property
    def owns(self) -> bool:
        """Whether it is the user of the machine who owns the pool, or root."""
        return owns(self.app)

    def must_have_copy(self) -> None:
        """That the officer has a copy of the partition key, to give it to others."""
        officer = self.partition.officers.get(self.officer)
        if not officer.holds_key:
            words = f"officer {officer.name} has no copy of the partition key to give; see adyton officer list: opens"
            raise TokenError(ck.CKR_ACTION_PROHIBITED, words, officer.name)

    @property
    def gives_keys(self) -> bool:
        """Whether what this caller makes may open the partition at once: by a copy of the partition key of its own, or
        as what an Administrator may, where that keeps one. The partition must be open."""
        officer = self.partition.directory.officers.get(self.officer)
        return self.partition.is_open and officer is not None and (officer.holds_key or self.partition.recovery)

    def waits(self, actions: frozenset[str]) -> bool:
        """Whether an assignment of these, made by this caller, waits for an officer with a copy of the partition key:
        where the Administrator keeps none, and keys could be used by them."""
        return not self.partition.recovery and not self.gives_keys and not actions.isdisjoint(OF_KEYS)

    @contextmanager
    def session(self, said: Mapping[int, bytes | None]) -> Iterator[Session]:
        """A session of the caller's own in which its officer is logged in: what PKCS#11 has a function for is done by
        that, whoever the door is. ``said``: what is known at once of keys that are made in it."""
        session = self.app.open_session(self.partition, True)
        session.said = {number: value for number, value in said.items() if value is not None}
        try:
            self.app.start_login(session, self.officer, ck.CKU_USER, False)
            yield session
        finally:
            self.app.close_session(session.handle)

    def record(self, what: str, **more: str) -> dict[str, str]:
        """The act's record in the audit log, which says what was changed and never a PIN."""
        return {**self.partition.act(self.app, what, self.officer), **more}


def owns(app: Application) -> bool:
    return app.uid in (0, os.geteuid())


def must_own(app: Application) -> None:
    if not owns(app):
        raise TokenError(ck.CKR_FUNCTION_REJECTED, "only the user who owns the pool, or root, may do this")


class Second(NamedTuple):
    """That an act is under the two-person rule for acts of this ``kind``, and the data action of who approves it."""

    kind: str
    action: str


def under(kind: str, action: str) -> Callable[[Caller, Request], Second | None]:
    second = Second(kind, action)
    return lambda caller, request: second


class Act(NamedTuple):
    """``asks``: a data action, or one of the words above. ``owners``: the pool's owner must ask, officer or not;
    ``or_owner``: may ask as well, as no officer. ``second``: whom else it takes, where the partition has a rule for
    that. ``told``: it has a record in the audit log."""

    name: str
    asks: str
    run: Callable[[Caller, Request], dict[str, Any]]
    scope: Callable[[Request], str] = lambda request: ""
    owners: bool = False
    second: Callable[[Caller, Request], Second | None] = lambda caller, request: None
    or_owner: bool = False
    told: bool = True


def known(request: Request) -> None:
    """Refuses what says more than this engine understands."""
    unknown = sorted(map(str, request.keys() - FIELDS))
    if unknown:
        words = f"this engine does not know {', '.join(map(repr, unknown))} of a request"
        raise wrong(f"{words}; is it an older version? adyton stop", unknown[0])


def given(request: Request, name: str, kind: type[Any]) -> Any:
    """A field of the request, of just this type: a PIN is text, never what JSON's null would be written as."""
    value = request[name]
    if type(value) is not kind:
        raise TypeError(name)
    return value


def given_or(request: Request, name: str, kind: type[Any], otherwise: Any) -> Any:
    return given(request, name, kind) if request.get(name) is not None else otherwise


def wrong(words: str, subject: str = "") -> TokenError:
    """A request that can't be granted as it stands: what is the matter, and what would do."""
    return TokenError(ck.CKR_ARGUMENTS_BAD, words, subject)
