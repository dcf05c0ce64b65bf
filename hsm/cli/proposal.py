"""``adyton proposal``: acts that take more than one officer."""

from __future__ import annotations

import json
from typing import Any

from hsm.cli import acting, times
from hsm.cli.command import Arguments, cell, show, table
from hsm.client import connect

COLUMNS = ("id", "act", "about", "proposedBy", "approvedBy", "state", "expires")


def _row(proposal: dict[str, Any]) -> dict[str, Any]:
    missing = proposal["needed"] - len(proposal["approvedBy"])
    waits = "waits for another officer" if missing == 1 else f"waits for {missing} other officers"
    return {
        **proposal, "id": proposal["id"][:8], "about": _about(proposal["request"]),
        "approvedBy": ", ".join(proposal["approvedBy"]) or "nobody", "expires": times.in_words(proposal["expires"]),
        "created": times.in_words(proposal["created"]), "state": "approved" if proposal["approved"] else waits,
    }


def _about(request: dict[str, Any]) -> str:
    """What an act is about, in a few words: a key's name, an officer's, what is set."""
    key = request.get("key")
    if isinstance(key, dict):
        under = request.get("under", {}).get("name") or request.get("under", {}).get("label")
        return f"{key['name'] or key['label']}{f' under {under}' if under else ''}"
    told = [f"{name}={value}" for name, value in request.items() if isinstance(value, str | int)]
    roles = [value for value in request.values() if isinstance(value, dict) and "roleName" in value]
    told += [f"roleName={role['roleName']}" for role in roles]
    return " ".join(told) or "-"


def _in_words(proposal: dict[str, Any]) -> str:
    row = {**_row(proposal), "id": proposal["id"]}
    names = ("id", "act", "dataAction", "scope", "proposedBy", "created", "approvedBy", "state", "expires")
    lines = [f"{name:12} {cell(row[name])}" for name in names]
    for number, (name, value) in enumerate(proposal["request"].items()):
        told = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"{'' if number else 'request':12} {cell(name)}: {cell(told)}")
    return "\n".join(lines)


def list_all(given: Arguments) -> int:
    with connect(start=True) as client:
        proposals = acting.ask(given, client, "proposal-list")["proposals"]
    text = table([_row(proposal) for proposal in proposals], COLUMNS) if proposals else "nothing is proposed"
    return show(given, proposals, text)


def show_one(given: Arguments) -> int:
    with connect(start=True) as client:
        proposal = acting.ask(given, client, "proposal-show", name=given.id)["proposal"]
    return show(given, proposal, _in_words(proposal))


def approve(given: Arguments) -> int:
    with connect(start=True) as client:
        proposal = acting.ask(given, client, "proposal-approve", name=given.id)["proposal"]
    words = f"approved: {cell(proposal['act'])}, {cell(_about(proposal['request']))}. "
    if proposal["approved"]:
        words += f"{proposal['proposedBy']} asks for it again now, before {times.in_words(proposal['expires'])}"
    else:
        words += f"It {_row(proposal)['state']}"
    return show(given, proposal, words)


def reject(given: Arguments) -> int:
    with connect(start=True) as client:
        proposal = acting.ask(given, client, "proposal-reject", name=given.id)["proposal"]
    return show(given, proposal, f"rejected: {cell(proposal['act'])}, {cell(_about(proposal['request']))}")
