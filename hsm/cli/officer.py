"""``adyton officer``: who there is in a partition, and by what they prove to be it."""

from __future__ import annotations

import sys
import time
from typing import Any

from hsm.cli import acting, times
from hsm.cli.command import Arguments, Failure, cell, show, table
from hsm.cli.pins import Source
from hsm.client import connect

COLUMNS = ("name", "credential", "state", "expires", "opens", "roles", "objectId")


def _state(officer: dict[str, Any]) -> str:
    """What keeps it from working, first of all; else that it does."""
    if officer["credential"] == "damaged":
        return "damaged"
    if officer["pending"]:
        return "pending"
    if not officer["enabled"]:
        return "disabled"
    if officer["expires"] and officer["expires"] <= time.time():
        return "expired"
    if officer["locked"]:
        return "locked"
    return "must change" if officer["mustChange"] else "enabled"


def _row(officer: dict[str, Any]) -> dict[str, Any]:
    roles = [
        f"{role['roleName'].removeprefix('Managed HSM ')} at {role['scope']}{' (pending)' if role['pending'] else ''}"
        for role in officer["roles"]
    ]
    uid = officer["uid"]
    return {
        **officer, "state": _state(officer), "roles": "; ".join(roles) or "none",
        "credential": officer["credential"] if uid is None else f"uid {uid}",
        "expires": times.in_words(officer["expires"]), "created": times.in_words(officer["created"], "unknown"),
    }


def _in_words(officer: dict[str, Any]) -> str:
    row = _row(officer)
    names = ("name", "objectId", "credential", "state", "failures", "expires", "created", "opens", "roles")
    return "\n".join(f"{name:12} {cell(row[name])}" for name in names)


def _new_pin(given: Arguments, name: str) -> str:
    what = f"new PIN of officer {cell(name)}"
    return Source(what, "--new-pin", given.new_pin_file, "ADYTON_NEW_PIN", given.new_pin_fd).read(twice=True)


def _uid(text: str) -> int:
    """A user of the machine, by number or by name."""
    if text.isascii() and text.isdigit():
        return int(text)
    import pwd

    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        raise Failure(f"there is no user {cell(text)} on this machine; give one that id knows, or a number") from None


def create(given: Arguments) -> int:
    if given.uid is not None and (given.new_pin_file or given.new_pin_fd is not None or given.must_change):
        raise Failure("an officer who is a user of the machine has no PIN: give --uid, or a PIN")
    fields: dict[str, Any] = {"uid": _uid(given.uid)} if given.uid is not None else {"must_change": given.must_change}
    fields |= times.expiry(given.expires)
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        who = acting.officer(given, client, slot)
        if given.uid is None:
            fields["new_pin"] = _new_pin(given, given.name)
        made = client.ask("officer-create", slot=slot, name=given.name, **fields, **who)["officer"]
    name = made["name"]
    words = f"officer {name} made. To give it a role: adyton role assignment create --assignee {name} ..."
    if made["pending"]:
        words += f"\nIt waits for approval by an officer whose PIN opens the keys: adyton officer approve {name}"
    return show(given, made, words)


def list_all(given: Arguments) -> int:
    with connect(start=True) as client:
        officers = acting.ask(given, client, "officer-list")["officers"]
    return show(given, officers, table([_row(officer) for officer in officers], COLUMNS))


def show_one(given: Arguments) -> int:
    with connect(start=True) as client:
        officer = acting.ask(given, client, "officer-show", name=given.name)["officer"]
    return show(given, officer, _in_words(officer))


def update(given: Arguments) -> int:
    if given.enable and given.disable:
        raise Failure("is it to work or not? Give --enable or --disable, not both")
    fields: dict[str, Any] = {"enabled": given.enable} if given.enable or given.disable else {}
    fields |= times.expiry(given.expires)
    if not fields:
        raise Failure("what is to change? Give --enable, --disable or --expires")
    with connect(start=True) as client:
        officer = acting.ask(given, client, "officer-update", name=given.name, **fields)["officer"]
    return show(given, officer, _in_words(officer))


def approve(given: Arguments) -> int:
    """Of what waits, just what was shown is let in."""
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        who = acting.officer(given, client, slot)
        told = client.ask("officer-waiting", slot=slot, name=given.name, **who)
        if not given.yes:
            _confirm(told["officer"])
        officer = client.ask("officer-approve", slot=slot, name=given.name, seen=told["seen"], **who)["officer"]
    return show(given, officer, f"officer {officer['name']} is approved. Its roles: {_row(officer)['roles']}")


def _confirm(officer: dict[str, Any]) -> None:
    shown = _in_words(officer)
    if not sys.stdin.isatty():
        raise Failure(f"nothing is approved unseen. This waits:\n{shown}\nAdd --yes to let it in")
    print(shown, file=sys.stderr)
    print("Let it in? (yes/no) ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was approved")


def delete(given: Arguments) -> int:
    with connect(start=True) as client:
        told = acting.ask(given, client, "officer-delete", name=given.name)
    return show(given, told, f"officer {told['deleted']} is gone, with its role assignments")


def set_pin(given: Arguments) -> int:
    """One's own PIN is changed by the one it was, which a login in the terminal does not stand for."""
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        who = acting.officer(given, client, slot)
        if who["as"] == given.name and "pin" not in who and not _bound(client, slot, given.name):
            who["pin"] = acting.pin_of(given, given.name).read()
        pin = _new_pin(given, given.name)
        told = client.ask(
            "officer-set-pin", slot=slot, name=given.name, new_pin=pin, must_change=given.must_change, **who
        )["officer"]
    words = f"officer {told['name']} has a new PIN"
    return show(given, told, f"{words}, and must change it at the first login" if told["mustChange"] else words)


def _bound(client: Any, slot: int, name: str) -> bool:
    rows = client.ask("whoami")["officers"]
    return any(row["slot"] == slot and row["officer"] == name and row["by"] == "uid" for row in rows)


def unlock(given: Arguments) -> int:
    with connect(start=True) as client:
        officer = acting.ask(given, client, "officer-unlock", name=given.name)["officer"]
    return show(given, officer, f"officer {officer['name']} has all its tries again")
