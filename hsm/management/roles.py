"""Acts on role definitions and role assignments, in the words of Azure's REST API and of ``az keyvault role``."""

from __future__ import annotations

import re
import uuid
from typing import Any

from hsm import clock
from hsm.access.directory import WHOLE, Change, Directory, as_definition
from hsm.access.quorum import POLICY
from hsm.access.roles import (
    ASSIGNMENTS_DELETE,
    ASSIGNMENTS_READ,
    ASSIGNMENTS_WRITE,
    BUILT_IN,
    DEFINITIONS_DELETE,
    DEFINITIONS_READ,
    DEFINITIONS_WRITE,
    RoleDefinition,
)
from hsm.errors import TokenError
from hsm.management.acts import Act, Caller, Request, given, given_or, under, wrong
from hsm.management.officers import administrator_must_stay
from hsm.objects import about
from hsm.store.records import CustomRole, Officer, RoleAssignment
from pkcs11_shim import constants as ck

_PROVIDER = "Microsoft.KeyVault/providers/Microsoft.Authorization"
_LONGEST_NAME, _LONGEST_TEXT, _MOST_ACTIONS, _LONGEST_ACTION = 512, 2048, 256, 256
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# -- what is asked for


def _scope(text: str) -> str:
    """A scope as it is kept. Raises with what would do."""
    if text in WHOLE:
        return text
    name = text.removeprefix("/keys/")
    if not text.startswith("/keys/") or not about.is_name(name.encode(errors="replace")):
        words = f"{text!r} is no scope: give /, /keys, or /keys/NAME with a key's name"
        raise wrong(f"{words}; a version has no scope of its own", "scope")
    return text


def _name_in(request: Request) -> str:
    """The key's name that the request's scope is about; none where it is about the whole partition."""
    scope = _scope(given_or(request, "scope", str, "/"))
    return "" if scope in WHOLE else scope.removeprefix("/keys/")


def _guid(text: str) -> str:
    """The GUID in an id or a name, in small letters; none where there is none."""
    last = text.rstrip("/").rpartition("/")[2].lower()
    return last if _GUID.fullmatch(last) else ""


def role_of(directory: Directory, text: str) -> RoleDefinition | None:
    """By name, with or without Azure's "Managed HSM" before it, by GUID or by id."""
    by_guid = directory.definition(_guid(text))
    if by_guid is not None:
        return by_guid
    for found in directory.definitions():
        if text and _short(text) == _short(found.role_name):
            return found
    return None


def assignment_of(directory: Directory, text: str) -> RoleAssignment | None:
    """By GUID or by id."""
    return directory.assignments.get(_guid(text))


def _definition(caller: Caller, text: str) -> RoleDefinition:
    found = role_of(caller.partition.directory, text)
    if found is not None:
        return found
    there_are = ", ".join(definition.role_name for definition in caller.partition.directory.definitions())
    raise wrong(f"there is no role {text!r}; there are: {there_are}", "roleDefinitionId")


def _short(role_name: str) -> str:
    """What a role is called, for comparing: no two may differ by Azure's prefix or by case alone."""
    return role_name.lower().removeprefix("managed hsm ")


def _assignee(caller: Caller, text: str) -> Officer:
    directory = caller.partition.directory
    return directory.principal(text.lower()) or caller.partition.officers.get(text)


# -- what is told


def describe_definition(definition: RoleDefinition) -> dict[str, Any]:
    return {
        "id": f"{_PROVIDER}/roleDefinitions/{definition.name}", "name": definition.name,
        "type": "Microsoft.Authorization/roleDefinitions", "roleName": definition.role_name,
        "roleType": "AKVBuiltInRole" if definition.built_in else "CustomRole", "description": definition.description,
        "assignableScopes": ["/"],
        "permissions": [{
            "actions": [], "notActions": [], "dataActions": list(definition.data_actions),
            "notDataActions": list(definition.not_data_actions),
        }],
    }


def describe_assignment(caller: Caller, assignment: RoleAssignment) -> dict[str, Any]:
    directory = caller.partition.directory
    officer, definition = directory.principal(assignment.principal), directory.definition(assignment.role)
    return {
        "id": f"{assignment.scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
        "name": assignment.name, "type": "Microsoft.Authorization/roleAssignments",
        "principalId": assignment.principal, "principalName": officer.name if officer else None,
        "roleDefinitionId": f"{_PROVIDER}/roleDefinitions/{assignment.role}",
        "roleName": definition.role_name if definition else None, "scope": assignment.scope,
        "createdOn": assignment.created / 1e6 if assignment.created else None,
        "createdBy": assignment.created_by or None, "pending": assignment.pending,
    }


# -- definitions


def _list_definitions(caller: Caller, request: Request) -> dict[str, Any]:
    definitions = caller.partition.directory.definitions()
    if given_or(request, "custom_role_only", bool, False):
        definitions = [definition for definition in definitions if not definition.built_in]
    return {"definitions": [describe_definition(definition) for definition in definitions]}


def _show_definition(caller: Caller, request: Request) -> dict[str, Any]:
    return {"definition": describe_definition(_definition(caller, given(request, "role", str)))}


def _actions(told: dict[str, Any], field: str) -> tuple[str, ...]:
    actions = told.get(field, [])
    if not isinstance(actions, list) or not all(isinstance(action, str) for action in actions):
        raise wrong(f"{field} is a list of data actions", field)
    if len(actions) > _MOST_ACTIONS or any(not 0 < len(action) <= _LONGEST_ACTION for action in actions):
        raise wrong(f"{field} has {_MOST_ACTIONS} data actions of {_LONGEST_ACTION} characters at most", field)
    return tuple(dict.fromkeys(actions))


def _flat(told: dict[str, Any]) -> dict[str, Any]:
    """The REST API has a definition's fields in ``properties``; az has them where they are."""
    properties = told.get("properties")
    return {**told, **properties} if isinstance(properties, dict) else told


def _custom(told: dict[str, Any], guid: str, created: int) -> CustomRole:
    """From a definition in Azure's form, or in that of ``az keyvault role definition create``."""
    permissions = told.get("permissions")
    if isinstance(permissions, list) and len(permissions) > 1:
        raise wrong("a role has one entry in permissions: put all data actions into that", "permissions")
    if isinstance(permissions, list) and len(permissions) == 1 and isinstance(permissions[0], dict):
        told = {**told, **permissions[0]}
    if told.get("actions") or told.get("notActions"):
        raise wrong("a managed HSM's roles have data actions only: leave actions and notActions out", "actions")
    name, description = told.get("roleName"), told.get("description", "")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise wrong(f"a role has a roleName of {_LONGEST_NAME} printable characters at most", "roleName")
    if not isinstance(description, str) or len(description) > _LONGEST_TEXT:
        raise wrong(f"a description has {_LONGEST_TEXT} characters at most", "description")
    actions, not_actions = _actions(told, "dataActions"), _actions(told, "notDataActions")
    if not actions:
        raise wrong("a role without dataActions gives nothing: name at least one", "dataActions")
    return CustomRole(guid, name, description, actions, not_actions, created)


def _put_definition(caller: Caller, request: Request, *, new: bool) -> dict[str, Any]:
    partition, told = caller.partition, _flat(given(request, "definition", dict))
    said = told.get("name") or told.get("id") or request.get("name") or ""
    guid = _guid(said) if isinstance(said, str) else ""
    if said and not guid:
        raise wrong(f"{said!r} is no GUID: a definition's name is one; leave it out for a new one", "name")
    with partition.directory.change() as change:
        custom = partition.directory.custom
        if guid in BUILT_IN:
            raise TokenError(ck.CKR_ACTION_PROHIBITED, "a built-in role can't be changed", "name")
        if not new and not guid:
            named = [role for role in custom.values() if role.role_name == told.get("roleName")]
            guid = named[0].name if len(named) == 1 else ""
        if new and guid in custom:
            raise wrong(f"there is a role definition {guid} already: update it", "name")
        if not new and guid not in custom:
            raise wrong("there is no such custom role: give its GUID as name; see adyton role definition list", "name")
        role = _custom(told, guid or str(uuid.uuid4()), clock.microseconds() if new else custom[guid].created)
        same = [d for d in partition.directory.definitions() if _short(d.role_name) == _short(role.role_name)]
        if any(definition.name != role.name for definition in same):
            raise wrong(f"there is a role {role.role_name!r} already: choose another roleName", "roleName")
        most = partition.kind.most_definitions
        if new and most and len(custom) >= most:
            raise wrong(f"there are {most} custom role definitions, as many as there may be: delete one first", "limit")
        change.write(role)
        _wait_anew(caller, change, role)
        what = "role-definition-create" if new else "role-definition-update"
        change.tx.audit(caller.record(
            what, subject=role.name, role=role.role_name, actions=" ".join(role.data_actions),
        ))
    return {"definition": describe_definition(_definition(caller, role.name))}


def _wait_anew(caller: Caller, change: Change, role: CustomRole) -> None:
    """Where key actions wait for approval, a role that gets some makes its assignments wait too."""
    directory = caller.partition.directory
    before, after = directory.definition(role.name), as_definition(role)
    added = after.permits - (before.permits if before else frozenset())
    if caller.waits(added):
        for assignment in directory.assignments.values():
            if assignment.role == role.name:
                change.write(assignment._replace(pending=True))


def _create_definition(caller: Caller, request: Request) -> dict[str, Any]:
    return _put_definition(caller, request, new=True)


def _update_definition(caller: Caller, request: Request) -> dict[str, Any]:
    return _put_definition(caller, request, new=False)


def _delete_definition(caller: Caller, request: Request) -> dict[str, Any]:
    """Its assignments stay, without effect, as in Azure."""
    definition = _definition(caller, given(request, "role", str))
    if definition.built_in:
        raise TokenError(ck.CKR_ACTION_PROHIBITED, "a built-in role can't be deleted", definition.role_name)
    with caller.partition.directory.change() as change:
        role = caller.partition.directory.custom[definition.name]
        change.drop(role)
        change.tx.audit(caller.record("role-definition-delete", subject=role.name, role=role.role_name))
    return {"definition": describe_definition(definition)}


# -- assignments


def _list_assignments(caller: Caller, request: Request) -> dict[str, Any]:
    """All of them, or those at one scope, of one officer, of one role."""
    found = list(caller.partition.directory.assignments.values())
    if request.get("scope") is not None:
        scope = _scope(given(request, "scope", str))
        found = [a for a in found if a.scope.lower() == scope.lower() or (a.scope in WHOLE and scope in WHOLE)]
    if request.get("assignee") is not None:
        officer = _assignee(caller, given(request, "assignee", str))
        found = [a for a in found if a.principal == officer.object_id]
    if request.get("role") is not None:
        role = _definition(caller, given(request, "role", str)).name
        found = [a for a in found if a.role == role]
    found.sort(key=lambda a: (a.created, a.name))
    return {"assignments": [describe_assignment(caller, assignment) for assignment in found]}


def _create_assignment(caller: Caller, request: Request) -> dict[str, Any]:
    partition, scope = caller.partition, _scope(given(request, "scope", str))
    said = given_or(request, "name", str, "")
    guid = _guid(said) if said else str(uuid.uuid4())
    if not guid:
        raise wrong(f"{said!r} is no GUID: an assignment's name is one; leave it out for a new one", "name")
    with partition.directory.change() as change:
        officer = _assignee(caller, given(request, "assignee", str))
        role = _definition(caller, given(request, "role", str))
        if guid in partition.directory.assignments:
            raise wrong(f"there is a role assignment {guid} already", "name")
        _may_be_one_more(caller, officer, role, scope)
        pending = caller.waits(role.permits)
        made = RoleAssignment(guid, officer.object_id, role.name, scope, clock.microseconds(), caller.officer, pending)
        change.write(made)
        told = {"subject": officer.name, "role": role.role_name, "scope": scope, "name": guid}
        change.tx.audit(caller.record("role-assignment-create", **told))
    return {"assignment": describe_assignment(caller, made)}


def _may_be_one_more(caller: Caller, officer: Officer, role: RoleDefinition, scope: str) -> None:
    kind, directory = caller.partition.kind, caller.partition.directory
    for assignment in directory.assignments_of(officer):
        if assignment.role == role.name and assignment.scope.lower() == scope.lower():
            words = f"officer {officer.name} has the role {role.role_name} at {scope} already, by {assignment.name}"
            raise wrong(words, "RoleAssignmentExists")
    whole = scope in WHOLE
    scopes = [assignment.scope for assignment in directory.assignments.values()]
    there = [there for there in scopes if (there in WHOLE if whole else there.lower() == scope.lower())]
    most = kind.most_assignments if whole else kind.most_of_a_key
    if most and len(there) >= most:
        where = "at the scope of the whole partition" if whole else f"at {scope}"
        raise wrong(f"there are {most} role assignments {where}, as many as there may be: delete one first", "limit")


def _delete_assignment(caller: Caller, request: Request) -> dict[str, Any]:
    """By name or id, or by officer, role and scope."""
    partition, told = caller.partition, given_or(request, "name", str, "")
    with partition.directory.change() as change:
        if told:
            found = assignment_of(partition.directory, told)
        else:
            given(request, "scope", str)
            officer = _assignee(caller, given(request, "assignee", str))
            role = _definition(caller, given(request, "role", str))
            of_role = [a for a in partition.directory.assignments_of(officer) if a.role == role.name]
            found = next((a for a in of_role if _at(request, a)), None)
        if found is not None and not _at(request, found):
            found = None
        if found is None:
            raise wrong("there is no such role assignment; see adyton role assignment list", told)
        caller.must_hold(ASSIGNMENTS_DELETE, "" if found.scope in WHOLE else found.scope.removeprefix("/keys/"))
        administrator_must_stay(partition, without_assignment=found)
        described = describe_assignment(caller, found)
        change.drop(found)
        change.tx.audit(caller.record(
            "role-assignment-delete", subject=described["principalName"] or found.principal,
            role=described["roleName"] or found.role, scope=found.scope, name=found.name,
        ))
    return {"assignment": described}


def _at(request: Request, assignment: RoleAssignment) -> bool:
    """Whether it is at the request's scope, if that has one."""
    scope = request.get("scope")
    return scope is None or _scope(scope).lower() == assignment.scope.lower()


ACTS = (
    Act("role-definition-list", DEFINITIONS_READ, _list_definitions),
    Act("role-definition-show", DEFINITIONS_READ, _show_definition),
    Act("role-definition-create", DEFINITIONS_WRITE, _create_definition, second=under(POLICY, DEFINITIONS_WRITE)),
    Act("role-definition-update", DEFINITIONS_WRITE, _update_definition, second=under(POLICY, DEFINITIONS_WRITE)),
    Act("role-definition-delete", DEFINITIONS_DELETE, _delete_definition, second=under(POLICY, DEFINITIONS_DELETE)),
    Act("role-assignment-list", ASSIGNMENTS_READ, _list_assignments, _name_in),
    Act("role-assignment-create", ASSIGNMENTS_WRITE, _create_assignment, _name_in,
        second=under(POLICY, ASSIGNMENTS_WRITE)),
    Act("role-assignment-delete", ASSIGNMENTS_DELETE, _delete_assignment, _name_in,
        second=under(POLICY, ASSIGNMENTS_DELETE)),
)
