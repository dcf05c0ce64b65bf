"""``adyton role``: definitions and assignments, in the words of ``az keyvault role`` and with its output."""

from __future__ import annotations

import json
import os
from typing import Any

from hsm.cli import acting
from hsm.cli.command import Arguments, Failure, cell, show, table
from hsm.client import Refused, connect

DEFINITION_COLUMNS = ("roleName", "roleType", "name", "description")
ASSIGNMENT_COLUMNS = ("principalName", "roleName", "scope", "pending", "name")


def _one(given: Arguments) -> str:
    """The role that --name or --ids tell of."""
    named = [*([given.name] if given.name else []), *(given.ids or [])]
    if len(named) != 1:
        raise Failure("which role? Give its --name (a GUID, or what it is called) or its id by --ids")
    return str(named[0])


def _definition(text: str) -> Any:
    """What --role-definition gives: JSON itself, or the file that holds it, with or without @ before its name."""
    said = text.lstrip()
    if not said.startswith(("{", "[")):
        path = said.removeprefix("@")
        try:
            with open(path, encoding="utf-8-sig") as lines:
                said = lines.read(1 << 20)
        except OSError as fault:
            words = f"--role-definition is JSON, or the name of a file with it; {cell(path)}: {fault.strerror}"
            raise Failure(words) from None
        except ValueError:
            raise Failure(f"{cell(path)} is no text file") from None
    try:
        told = json.loads(said)
    except (ValueError, RecursionError) as fault:
        raise Failure(f"the role definition is not JSON: {fault}") from None
    if not isinstance(told, dict):
        raise Failure('the role definition is an object, as in {"roleName": "Signer", "dataActions": ["..."]}')
    return told


def _definition_in_words(told: dict[str, Any]) -> str:
    lines = [f"{name:16} {cell(told[name])}" for name in ("roleName", "name", "roleType", "description")]
    for name in ("dataActions", "notDataActions"):
        for number, action in enumerate(told["permissions"][0][name]):
            lines.append(f"{'' if number else name:16} {cell(action)}")
    return "\n".join(lines)


def list_definitions(given: Arguments) -> int:
    if given.scope not in (None, "/"):
        raise Failure("role definitions are at scope /, and nowhere else")
    with connect(start=True) as client:
        only = given.custom_role_only
        rows = acting.ask(given, client, "role-definition-list", custom_role_only=only)["definitions"]
    return show(given, rows, table(rows, DEFINITION_COLUMNS))


def show_definition(given: Arguments) -> int:
    with connect(start=True) as client:
        told = acting.ask(given, client, "role-definition-show", role=_one(given))["definition"]
    return show(given, told, _definition_in_words(told))


def create_definition(given: Arguments) -> int:
    return _put_definition(given, "role-definition-create")


def update_definition(given: Arguments) -> int:
    return _put_definition(given, "role-definition-update")


def _put_definition(given: Arguments, act: str) -> int:
    told = _definition(given.role_definition)
    with connect(start=True) as client:
        made = acting.ask(given, client, act, definition=told)["definition"]
    return show(given, made, _definition_in_words(made))


def delete_definition(given: Arguments) -> int:
    role = _one(given)
    with connect(start=True) as client:
        gone = acting.ask(given, client, "role-definition-delete", role=role)["definition"]
    return show(given, gone, f"role {cell(gone['roleName'])} is gone; its assignments have no effect any more")


def _assignee(given: Arguments) -> str | None:
    if given.assignee is not None and given.assignee_object_id is not None:
        raise Failure("an assignee is named once: give --assignee or --assignee-object-id")
    named: str | None = given.assignee if given.assignee is not None else given.assignee_object_id
    return named


def list_assignments(given: Arguments) -> int:
    fields = {"assignee": _assignee(given), "role": given.role, "scope": given.scope}
    with connect(start=True) as client:
        rows = acting.ask(given, client, "role-assignment-list", **fields)["assignments"]
    return show(given, rows, table([_shown(row) for row in rows], ASSIGNMENT_COLUMNS))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """The role or the officer of an assignment may be gone."""
    names = {"principalName": row["principalName"] or row["principalId"]}
    return {**row, **names, "roleName": row["roleName"] or f"{os.path.basename(row['roleDefinitionId'])} (deleted)"}


def create_assignment(given: Arguments) -> int:
    assignee = _assignee(given)
    if assignee is None:
        raise Failure("who gets the role? Give --assignee NAME or --assignee-object-id GUID")
    fields = {"assignee": assignee, "role": given.role, "scope": given.scope, "name": given.name}
    with connect(start=True) as client:
        made = acting.ask(given, client, "role-assignment-create", **fields)["assignment"]
    officer = made["principalName"]
    words = f"{officer} has the role {cell(made['roleName'])} at {made['scope']}: assignment {made['name']}"
    if made["pending"]:
        words += f"\nIt waits for approval by an officer whose PIN opens the keys: adyton officer approve {officer}"
    return show(given, made, words)


def _scope_in(text: str) -> str | None:
    """An assignment's id begins with its scope: who may delete at one key's only is asked for there."""
    scope, of_a_key, _ = text.partition("/providers/")
    return scope if of_a_key and scope.startswith("/keys") else None


def delete_assignments(given: Arguments) -> int:
    """By names or ids, or by officer, role and scope."""
    named = [*([given.name] if given.name else []), *(given.ids or [])]
    asked: list[dict[str, Any]] = [{"name": name, "scope": given.scope or _scope_in(name)} for name in named]
    if not asked:
        fields = {"assignee": _assignee(given), "role": given.role, "scope": given.scope}
        if None in fields.values():
            raise Failure("which role assignment? Give --name or --ids, or all of --assignee, --role and --scope")
        asked = [fields]
    with connect(start=True) as client:
        slot = acting.partition(given, client)["slot"]
        who = acting.officer(given, client, slot)
        gone: list[dict[str, Any]] = []
        for one in asked:
            try:
                gone.append(client.ask("role-assignment-delete", slot=slot, **who, **one)["assignment"])
            except Refused as refusal:
                raise Refused(f"{refusal}{_but(gone)}", refusal.rv, refusal.told) from None
    lines = [f"{_shown(row)['principalName']} no longer has the role {cell(_shown(row)['roleName'])} at {row['scope']}"
             for row in gone]
    return show(given, gone, "\n".join(lines))


def _but(gone: list[dict[str, Any]]) -> str:
    """What was done before one of several was refused."""
    return f"; deleted before that: {', '.join(row['name'] for row in gone)}" if gone else ""
