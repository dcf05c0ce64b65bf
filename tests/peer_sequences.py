"""Two modules given the same random calls: what all sequences have, sessions, logins and operations in parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from peer import UNKNOWN, Answer, Peer
from peer_differences import Step, named
from peer_keys import BLOCK, RANDOM, Parameter

from hsm.client import MODULE, Client
from hsm.throwaway import ThrowAway
from pkcs11_shim import constants as ck

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
ROOMS = st.sampled_from([None, None, 0, 5, 16, 64, 1024, 1024, 1024])
DATA = st.sampled_from([b"", b"a", bytes(range(16)), bytes(range(32)), b"b" * 33, b"c" * 100])
LIKELY = st.sampled_from([True, True, True, False])
SELDOM = st.sampled_from([False, False, False, True])
MOST_WRONG = 6
KINDS = ("Decrypt", "Digest", "Encrypt", "Sign", "Verify")


class Sequence(RuleBasedStateMachine):
    """Names of sessions and objects that both modules gave, and what has been done with them."""

    ours: Peer
    theirs: Peer
    values: Iterator[int]
    mechanisms: ClassVar[dict[str, list[tuple[int, Parameter]]]] = {}

    @initialize()
    def begin(self) -> None:
        self.ours.ask("begin")
        self.theirs.ask("begin")
        self.over = False
        self.sessions: list[int] = []
        self.objects: list[int] = []
        self.blobs: list[tuple[int, bytes | None, int, bytes]] = []
        self.made = 0
        self.wrong = 0  # PINs: ten in a row lock ours, and never lock SoftHSM2's
        self.history: list[Step] = []
        self.begun: dict[tuple[int, str], int] = {}

    def both(self, what: str, *arguments: Any, random: bool = False) -> Answer | None:
        """The answer that both gave; None where they gave none or two, and then both are apart from here on.
        ``random``: of the bytes that come out, only how many they are can be the same."""
        ours, theirs = self.ours.ask(what, *arguments), self.theirs.ask(what, *arguments)
        if random:
            ours, theirs = ours[:2], theirs[:2]
        return self._compared(Step(what, arguments, ours, theirs))

    def _compared(self, step: Step) -> Answer | None:
        ours, theirs = step.ours, step.theirs
        self.history.append(step)
        self.wrong += ours[0] == "CKR_PIN_INCORRECT"
        if ours == theirs:
            return ours
        assert named(step, self.history), step
        # Two refusals leave both as they were; an answer against a refusal does not. SoftHSM2 takes a wrong key
        # for what it is not: what that comes to, a crash among others, is not the same twice.
        misread = ours[0] == "CKR_KEY_TYPE_INCONSISTENT" and theirs[0] != "CKR_KEY_FUNCTION_NOT_PERMITTED"
        if misread:
            self.theirs.end()
        self.over = "CKR_OK" in (ours[0], theirs[0]) or misread or theirs[0] == "died"
        return None

    def _name(self) -> int:
        self.made += 1
        return self.made

    def _session(self, data: Any) -> int:
        return int(data.draw(st.sampled_from([*self.sessions, *self.sessions, *self.sessions, UNKNOWN])))

    def _object(self, data: Any) -> int:
        return int(data.draw(st.sampled_from([*self.objects, *self.objects, *self.objects, UNKNOWN])))

    @precondition(lambda self: self.over)
    @rule()
    def rest(self) -> None:
        """Once the two are apart there is nothing to compare."""

    @precondition(lambda self: not self.over and len(self.sessions) < 3)
    @rule(read_write=LIKELY)
    def open(self, read_write: bool) -> None:
        session = self._name()
        if self.both("open", session, read_write) == ("CKR_OK",):
            self.sessions.append(session)

    @precondition(lambda self: not self.over)
    @rule(data=st.data(), how=st.sampled_from(["close", "close", "close_all"]))
    def close(self, data: Any, how: str) -> None:
        """The names stay: both modules must call the handles invalid."""
        self.both(how) if how == "close_all" else self.both(how, self._session(data))

    @precondition(lambda self: not self.over)
    @rule(
        data=st.data(), user=st.sampled_from([ck.CKU_USER] * 4 + [ck.CKU_SO, ck.CKU_CONTEXT_SPECIFIC, 7]),
        right=LIKELY,
    )
    def login(self, data: Any, user: int, right: bool) -> None:
        session = self._session(data)
        self.both("login", session, user, right or self.wrong > MOST_WRONG)
        self.both("info", session)

    @precondition(lambda self: not self.over and self.sessions)
    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def begin_operation(self, data: Any, kind: str) -> None:
        number, parameter = data.draw(st.sampled_from(self.mechanisms[kind]))
        item = UNKNOWN if kind == "Digest" else self._object(data)
        session = self._session(data)
        if self.both("begin_operation", session, kind, number, parameter, item) == ("CKR_OK",):
            self.begun[session, kind] = number

    @precondition(lambda self: not self.over and self.sessions)
    @rule(
        data=st.data(), kind=st.sampled_from(KINDS), how=st.sampled_from(["once", "update", "final"]), given=DATA,
        room=ROOMS,
    )
    def go_on(self, data: Any, kind: str, how: str, given: bytes, room: int | None) -> None:
        session = self._session(data)
        if kind == "Verify" and how != "update":
            self.both("verify", session, given if how == "once" else None, BLOCK)
        else:
            arguments = (session, kind, room) if how == "final" else (session, kind, given, room)
            self.both(how, *arguments, random=(kind, self.begun.get((session, kind))) in RANDOM)


@contextmanager
def side_by_side(kind: type[Sequence], folder: Path) -> Iterator[type[Sequence]]:
    """Sequences of this kind on a token of ours, its switch for legacy mechanisms on, and one of SoftHSM2's."""
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with (
        ThrowAway("peer", pin="1234-peer", so_pin="12345678") as token,
        Peer(str(MODULE), token.environment) as ours,
        Peer(SOFTHSM, {"SOFTHSM2_CONF": f"{folder}/softhsm2.conf"}) as theirs,
    ):
        with Client(token.home) as client:
            client.ask("partition-set", slot=0, legacy=True, **{"as": "so", "pin": token.so_pin})
        yield type(kind.__name__, (kind,), {"ours": ours, "theirs": theirs, "values": count(1)})


def run(machine: type[Sequence], examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine, settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck),
            database=None, derandomize=True,  # a new difference is found by more steps, not by luck
        ),
    )
