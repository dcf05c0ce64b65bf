"""Officers and their acts, as their tests ask for them: over the command line's door, of a real engine."""

from __future__ import annotations

import os
from typing import Any

from hsm.client import Client, Refused

PINS = {"so": "", "boss": "boss-pin-1", "user": "", "carol": "carol-pin-1", "eve": "eve-pin-1"}


class Officers:
    """The officers of a fresh token: ``so`` and ``boss`` are Administrators, ``user`` and ``carol`` use keys, ``eve``
    reads only."""

    def __init__(self, token: Any, slot: int = 0) -> None:
        self.pins = {**PINS, "so": token.so_pin, "user": token.pin}
        self.slot = slot
        for name, role in (("boss", "Administrator"), ("carol", "Crypto User"), ("eve", "Crypto Auditor")):
            self.ask("so", "officer-create", name=name, new_pin=self.pins[name])
            self.ask("so", "role-assignment-create", assignee=name, role=role, scope="/")

    def ask(self, officer: str, act: str, **fields: Any) -> dict[str, Any]:
        who = {"as": officer, "pin": self.pins[officer]} if officer else {}
        with Client(os.environ["ADYTON_HOME"]) as client:
            return client.ask(act, slot=self.slot, **who, **fields)

    def proposed(self, officer: str, act: str, **fields: Any) -> str:
        """The proposal's id that the act has become."""
        try:
            answered = self.ask(officer, act, **fields)
        except Refused as refusal:
            assert "proposed" in refusal.told, str(refusal)
            return str(refusal.told["proposed"])
        raise AssertionError(f"carried out at once: {answered}")

    def rule(self, *acts: str, **more: Any) -> None:
        self.ask("so", "partition-set", quorum=2, quorum_acts=list(acts or ("destroy", "export", "policy")), **more)

    def approve(self, officer: str, proposal: str) -> None:
        self.ask(officer, "proposal-approve", name=proposal)

    def proposals(self, officer: str = "so") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(officer, "proposal-list")["proposals"]
        return found

    def refusals(self) -> list[dict[str, Any]]:
        """What adyton explain tells."""
        with Client(os.environ["ADYTON_HOME"]) as client:
            found: list[dict[str, Any]] = client.ask("explain")["refusals"]
            return found
