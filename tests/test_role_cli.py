"""``adyton role definition`` and ``adyton role assignment``: az's words and fields, limits, and what is refused."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import good, initialised, name
from apart import adyton
from officer_desk import Desk, desk, pin_of

from hsm.client import MODULE, Refused, connect
from pkcs11_shim import constants as ck

SIGN = "Microsoft.KeyVault/managedHsm/keys/sign/action"
READ = "Microsoft.KeyVault/managedHsm/keys/read/action"
PROVIDER = "Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions"
CRYPTO_USER = "21dbd100-6940-42c2-9190-5d6cb909625b"
SO = {"as": "so", "pin": pin_of("so"), "slot": 0}


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk(tmp_path, monkeypatch) as opened:
        opened.partition("hsm", "--kind", "managed-hsm")
        yield opened


def define(pool: Desk, told: Any, act: str = "create") -> Any:
    text = told if isinstance(told, str) else json.dumps(told)
    return pool.gives("role", "definition", act, "--role-definition", text)


def refuses(pool: Desk, told: Any, act: str = "create") -> str:
    text = told if isinstance(told, str) else json.dumps(told)
    return pool.fails("role", "definition", act, "--role-definition", text)


# -- definitions


def test_built_in_roles_are_azures_and_nobody_changes_them(pool: Desk) -> None:
    rows = pool.gives("role", "definition", "list")
    assert len(rows) == 9 and {row["roleType"] for row in rows} == {"AKVBuiltInRole"}
    fields = {"id", "name", "type", "roleName", "roleType", "description", "assignableScopes", "permissions"}
    assert all(set(row) == fields and row["id"] == f"{PROVIDER}/{row['name']}" for row in rows)
    assert all(set(row["permissions"][0]) == {"actions", "notActions", "dataActions", "notDataActions"} for row in rows)
    assert pool.gives("role", "definition", "list", "--custom-role-only") == []
    assert pool.gives("role", "definition", "list", "--scope", "/") == rows
    assert "at scope /, and nowhere else" in pool.fails("role", "definition", "list", "--scope", "/keys/k")
    (user,) = [row for row in rows if row["name"] == CRYPTO_USER]
    for words in (("--name", CRYPTO_USER), ("-n", "crypto USER"), ("--ids", user["id"]), ("-n", user["roleName"])):
        assert pool.gives("role", "definition", "show", *words) == user
    for told in ({**user, "dataActions": ["*"]}, {"name": CRYPTO_USER.upper(), "roleName": "x", "dataActions": [SIGN]}):
        assert "a built-in role can't be changed" in refuses(pool, told, "update")
        assert "a built-in role can't be changed" in refuses(pool, told)
    assert "a built-in role can't be deleted" in pool.fails("role", "definition", "delete", "--name", CRYPTO_USER)
    for taken in (user["roleName"], user["roleName"].upper(), "Crypto User", "crypto user"):
        assert "already: choose another roleName" in refuses(pool, {"roleName": taken, "dataActions": [SIGN]})
    assert pool.gives("role", "definition", "list") == rows


def test_definitions_in_azs_form_and_in_rests(pool: Desk, tmp_path: Path) -> None:
    az = {"roleName": "Signer", "description": "signs", "actions": [], "notActions": [],
          "dataActions": [SIGN, "Some.Other/thing"], "notDataActions": [], "assignableScopes": ["/"]}
    made = define(pool, az)
    assert made["roleName"] == "Signer" and made["roleType"] == "CustomRole" and made["id"].startswith(PROVIDER)
    assert made["permissions"][0]["dataActions"] == az["dataActions"], "strings outside the known ones are kept"
    guid = str(uuid.uuid4())
    rest = {"name": guid, "properties": {"roleName": "Reader", "description": "", "permissions": [
        {"actions": [], "notActions": [], "dataActions": ["Microsoft.KeyVault/managedHsm/keys/*"],
         "notDataActions": [SIGN]}]}}
    assert define(pool, rest)["name"] == guid
    for number, place in enumerate(("{}", "@{}")):
        file = tmp_path / "role.json"
        file.write_text(json.dumps({**az, "roleName": f"From a file {number}"}), encoding="utf-8-sig")
        assert define(pool, place.format(file))["roleName"] == f"From a file {number}"
    # What show gives, update takes, by GUID, by id, or by the name alone.
    changed = {**made, "description": "signs and reads", "permissions": [{"dataActions": [SIGN, READ]}]}
    assert define(pool, changed, "update")["permissions"][0]["dataActions"] == [SIGN, READ]
    renamed = define(pool, {"id": made["id"], "roleName": "Clerk", "dataActions": [SIGN]}, "update")
    assert renamed["name"] == made["name"] and renamed["roleName"] == "Clerk"
    by_name = define(pool, {"properties": {"roleName": "Clerk", "permissions": [{"dataActions": [READ]}]}}, "update")
    assert by_name["name"] == made["name"] and by_name["permissions"][0]["dataActions"] == [READ]
    assert "dataActions      " + READ in pool.says("role", "definition", "show", "--name", "Clerk")
    assert pool.gives("role", "definition", "delete", "--ids", made["id"])["name"] == made["name"]
    assert "there is no role 'Clerk'; there are: Managed HSM" in pool.fails("role", "definition", "show", "-n", "Clerk")
    assert len(pool.gives("role", "definition", "list", "--custom-role-only")) == 3


def test_definitions_that_are_none(pool: Desk, tmp_path: Path) -> None:
    role = {"roleName": "x", "dataActions": [SIGN]}
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    wrong: list[tuple[Any, str]] = [
        ("{", "is not JSON"), ('{"roleName": "x",}', "is not JSON"), ("[" * 100_000, "is not JSON"),
        ("[]", "is an object, as in"), ("nowhere.json", "nowhere.json: No such file"), ("", "is JSON, or the name of"),
        ("@", "is JSON, or the name of"), (f"@{tmp_path}/bytes", "is no text file"), (f"@{tmp_path}", "Is a directory"),
        ({}, "a role has a roleName"), ({"roleName": "x"}, "a role without dataActions gives nothing"),
        ({**role, "roleName": ""}, "a role has a roleName"), ({**role, "roleName": 5}, "a role has a roleName"),
        ({**role, "roleName": "\x1b[2J"}, "printable"), ({**role, "roleName": "a\nb"}, "printable"),
        ({**role, "roleName": "\u202ex"}, "printable"), ({**role, "roleName": "x" * 513}, "a role has a roleName"),
        ({**role, "description": "x" * 2049}, "a description has 2048 characters"),
        ({**role, "description": ["x"]}, "a description has"), ({**role, "dataActions": SIGN}, "list of data actions"),
        ({**role, "dataActions": [1]}, "a list of data actions"), ({**role, "dataActions": [""]}, "256 data actions"),
        ({**role, "dataActions": [str(n) for n in range(257)]}, "256 data actions"),
        ({**role, "actions": ["*"]}, "leave actions and notActions out"), ({**role, "name": "Signer"}, "is no GUID"),
        ({**role, "name": 5}, "is no GUID"), ({**role, "permissions": [role, role]}, "one entry in permissions"),
        ({**role, "dataActions": ["\ud800"]}, "not well formed"),
    ]
    for told, why in wrong:
        said = refuses(pool, told)
        assert why in said and "\x1b" not in said and "\u202e" not in said, (told, said)
    for told in (role, {**role, "name": str(uuid.uuid4())}):
        assert "there is no such custom role" in refuses(pool, told, "update")
    assert "which role? Give its --name" in pool.fails("role", "definition", "show")
    assert "which role? Give its --name" in pool.fails("role", "definition", "delete", "--name", "")
    assert pool.gives("role", "definition", "list", "--custom-role-only") == []
    made = define(pool, {**role, "roleName": "\u00dcbersetzer \u4e2d", "description": "\x1b[2J"})
    said = pool.says("role", "definition", "list")
    assert "\u00dcbersetzer \u4e2d" in said and "\x1b" not in said
    assert "there is a role definition" in refuses(pool, {**role, "name": made["name"]})
    define(pool, role)
    assert "there is a role 'X' already" in refuses(pool, {**role, "roleName": "X"})


def test_a_deleted_roles_assignments_stay_without_effect(pool: Desk) -> None:
    pool.officer("alice")
    made = define(pool, {"roleName": "Clerk", "dataActions": ["Adyton/managedHsm/officers/read/action"]})
    assert "no role assignment" in pool.fails("officer", "list", by="alice")
    assigned = pool.assign("Clerk", "alice", "/")
    assert "alice" in pool.says("officer", "list", by="alice")
    pool.says("role", "definition", "delete", "-n", "clerk")
    assert "no role assignment" in pool.fails("officer", "list", by="alice")
    (row,) = pool.gives("role", "assignment", "list", "--assignee", "alice")
    assert row["name"] == assigned["name"] and row["roleName"] is None
    assert f"{made['name']} (deleted)" in pool.says("role", "assignment", "list")
    pool.says("role", "assignment", "delete", "--name", row["name"])


# -- assignments


def test_assignments_are_made_listed_and_deleted_in_azs_words(pool: Desk) -> None:
    alice = pool.officer("alice")["objectId"]
    made = pool.assign("Managed HSM Crypto User", "alice", "/keys/k1")
    assert made["id"] == f"/keys/k1/providers/Microsoft.Authorization/roleAssignments/{made['name']}"
    assert made["type"] == "Microsoft.Authorization/roleAssignments" and made["scope"] == "/keys/k1"
    assert (made["principalId"], made["principalName"]) == (alice, "alice")
    assert (made["roleDefinitionId"], made["roleName"]) == (f"{PROVIDER}/{CRYPTO_USER}", "Managed HSM Crypto User")
    guid = str(uuid.uuid4())
    words = ["--role", f"{PROVIDER}/{CRYPTO_USER}", "--assignee-object-id", alice, "--scope", "/", "--name", guid]
    assert pool.gives("role", "assignment", "create", *words)["name"] == guid
    pool.assign(CRYPTO_USER, "alice", "/keys/k2")
    pool.assign("crypto auditor", alice, "/keys")

    def scopes(*words: str) -> list[str]:
        return [row["scope"] for row in pool.gives("role", "assignment", "list", *words)]

    assert scopes("--assignee", "alice") == ["/keys/k1", "/", "/keys/k2", "/keys"]
    assert scopes("--assignee-object-id", alice, "--role", "Crypto User") == ["/keys/k1", "/", "/keys/k2"]
    assert scopes("--scope", "/keys/K1") == ["/keys/k1"] and set(scopes("--scope", "/")) == {"/", "/keys"}
    assert "alice          Managed HSM Crypto User" in pool.says("role", "assignment", "list")
    (gone,) = pool.gives("role", "assignment", "delete", "--role", "Crypto User", "--assignee", "alice", "--scope", "/")
    assert gone["name"] == guid
    rows = pool.gives("role", "assignment", "list", "--assignee", "alice")
    words = ["--ids", rows[0]["id"], rows[1]["name"]]
    assert len(pool.gives("role", "assignment", "delete", *words)) == 2
    assert scopes("--assignee", "alice") == ["/keys"]
    last, more = rows[2]["name"], pool.assign("Backup", "alice", "/keys/k1")["name"]
    said = pool.fails("role", "assignment", "delete", "--ids", more, str(uuid.uuid4()), last)
    assert "there is no such role assignment" in said and f"; deleted before that: {more} (CKR" in said
    assert scopes("--assignee", "alice") == ["/keys"]
    said = pool.fails("role", "assignment", "delete", "--name", last, "--scope", "/keys/k1")
    assert "there is no such role assignment" in said, "it is at another scope"
    said = pool.says("role", "assignment", "delete", "--name", last)
    assert said == "alice no longer has the role Managed HSM Crypto Auditor at /keys\n"


def test_assignments_that_can_not_be(pool: Desk) -> None:
    pool.officer("alice")
    one = pool.assign("Crypto User", "alice", "/keys/k1")
    good_words = {"--role": "Crypto User", "--assignee": "alice", "--scope": "/keys/k2"}
    wrong = {
        ("--role", "Crypto Usher"): "there is no role 'Crypto Usher'; there are: Managed HSM Administrator, ",
        ("--role", ""): "there is no role ''", ("--role", str(uuid.uuid4())): "there is no role",
        ("--role", "\x1b[2J"): "there is no role", ("--assignee", "alicia"): "no officer alicia; there are: alice, so",
        ("--assignee", ""): "there is no officer", ("--assignee", "\u202e"): "there is no officer",
        ("--assignee", str(uuid.uuid4())): "there is no officer", ("--name", "first"): "'first' is no GUID",
        ("--name", one["name"]): f"there is a role assignment {one['name']} already",
        ("--name", one["name"].upper()): f"there is a role assignment {one['name']} already",
        ("--scope", "/keys/k1"): f"at /keys/k1 already, by {one['name']}", ("--scope", "/keys/K1"): "already, by",
    }
    for bad in ("", "/key/k", "keys/k1", "/keys/", "/keys//k", "/keys/k1/", "/keys/a b", "/keys/*", "/keys/k1/0123",
                "/keys/\u00fc", "/keys/" + "x" * 128, "//", "/keys/..", "/keys/k\n", "\udc80"):
        wrong["--scope", bad] = "is no scope: give /, /keys, or /keys/NAME"
    for (option, value), why in wrong.items():
        words = [f"{key}={said}" for key, said in {**good_words, option: value}.items()]
        said = pool.fails("role", "assignment", "create", *words)
        assert why in said and "\x1b" not in said and "\u202e" not in said, (option, value, said)
    words = ["--role", "Crypto User", "--scope", "/"]
    assert "who gets the role?" in pool.fails("role", "assignment", "create", *words)
    both = ["--assignee", "alice", "--assignee-object-id", "alice"]
    assert "named once" in pool.fails("role", "assignment", "create", *words, *both)
    for words in (["--name", str(uuid.uuid4())], ["--ids", "nonsense"],
                  ["--assignee", "alice", "--role", "Crypto User", "--scope", "/"]):
        assert "there is no such role assignment" in pool.fails("role", "assignment", "delete", *words)
    said = pool.fails("role", "assignment", "delete", "--assignee", "alice")
    assert "or all of --assignee, --role and --scope" in said
    assert "required: --role, --scope" in adyton("role", "assignment", "create", status=2)


def test_limits_are_azures_and_said(pool: Desk) -> None:
    """50 custom roles, 50 assignments on the whole, 10 on each key. What is deleted makes room."""
    with connect(start=True) as client:
        for number in range(8):
            client.ask("officer-create", name=f"o{number}", new_pin="1234-x", **SO)
        roles = []
        for number in range(50):
            told = {"roleName": f"role {number}", "dataActions": [SIGN]}
            roles.append(client.ask("role-definition-create", definition=told, **SO)["definition"]["name"])
        spots = [(role, f"o{number}") for number in range(8) for role in roles]

        def assign(scope: str) -> str:
            role, officer = spots.pop()
            made = client.ask("role-assignment-create", role=role, assignee=officer, scope=scope, **SO)["assignment"]
            return str(made["name"])

        for number in range(49):  # so's own is the first
            assign("/" if number % 2 else "/keys")
        for number in range(10):
            assign("/keys/full" if number % 2 else "/keys/FULL")
        for scope, most in (("/", 50), ("/keys", 50), ("/keys/Full", 10)):
            with pytest.raises(Refused, match=f"there are {most} role assignments .*: delete one first"):
                assign(scope)
        made = assign("/keys/other")
        client.ask("role-assignment-delete", name=made, **SO)
    said = refuses(pool, {"roleName": "one more", "dataActions": [SIGN]})
    assert "there are 50 custom role definitions, as many as there may be: delete one first" in said
    pool.says("role", "definition", "delete", "--name", "role 7")
    define(pool, {"roleName": "one more", "dataActions": [SIGN]})
    adyton("stop")
    assert len(pool.gives("role", "definition", "list")) == 59


def test_who_assigns_within_one_key_stays_within_it(pool: Desk) -> None:
    for officer in ("keeper", "bob"):
        pool.officer(officer)
    pool.assign("Policy Administrator", "keeper", "/keys/k1")
    mine = pool.assign("Crypto User", "bob", "/keys/k1", by="keeper")
    words = ("role", "assignment", "create", "--role", "Crypto User", "--assignee", "bob", "--scope")
    for scope in ("/", "/keys", "/keys/k2"):
        said = pool.fails(*words, scope, by="keeper")
        where = scope if scope.startswith("/keys/") else "/"
        assert f"roleAssignments/write/action at scope {where} (CKR_ACTION_PROHIBITED)" in said
    others = pool.assign("Crypto User", "bob", "/keys/k2")
    for name_of in (others["name"], others["id"]):
        said = pool.fails("role", "assignment", "delete", "--ids", name_of, by="keeper")
        assert "roleAssignments/delete/action" in said
    said = pool.fails("role", "assignment", "delete", "--name", others["name"], "--scope", "/keys/k1", by="keeper")
    assert "there is no such role assignment" in said
    assert pool.gives("role", "assignment", "list", "--scope", "/keys/k1", by="keeper")[1]["name"] == mine["name"]
    pool.says("role", "assignment", "delete", "--ids", mine["id"], by="keeper")


def test_a_role_counts_and_ends_in_a_program_that_runs(pool: Desk) -> None:
    pool.officer("alice")
    with initialised(str(MODULE)) as m:
        s = m.session()
        assert name(m.login(s, "alice:alice-pin")) == "CKR_OK"
        template = {ck.CKA_TOKEN: True, ck.CKA_LABEL: b"k1", ck.CKA_VALUE_LEN: 32}
        assert name(m.generate(s, ck.CKM_AES_KEY_GEN, template)[0]) == "CKR_USER_NOT_LOGGED_IN"
        pool.assign("Crypto User", "alice", "/keys/k1")
        rv, key = m.generate(s, ck.CKM_AES_KEY_GEN, template)
        good(rv)
        pool.says("role", "assignment", "delete", "--role", "Crypto User", "--assignee", "alice", "--scope", "/keys/k1")
        assert name(m.C_DestroyObject(s, key)) == "CKR_OBJECT_HANDLE_INVALID"


def test_explain_tells_an_administrator_to_log_in_as_a_user(pool: Desk) -> None:
    """No assignment would help in an Administrator's session, so none is advised; nor where nobody logged in."""
    data = {ck.CKA_CLASS: ck.CKO_DATA, ck.CKA_TOKEN: True, ck.CKA_PRIVATE: False, ck.CKA_LABEL: b"note"}
    with initialised(str(MODULE)) as m:
        s = m.session()
        assert name(m.create(s, data)[0]) == "CKR_USER_NOT_LOGGED_IN"
        good(m.login(s, pin_of("so"), ck.CKU_SO))
        assert name(m.create(s, data)[0]) == "CKR_USER_NOT_LOGGED_IN"
        nobody, so = json.loads(adyton("explain", "--json"))[-2:]
    action = "Microsoft.KeyVault/managedHsm/keys/import/action"
    assert nobody["action"] == so["action"] == action and nobody["scope"] == so["scope"] == "/"
    assert nobody["remedy"] is None and so["remedy"] is None
    assert "nobody logged in" in nobody["reason"] and "log in as CKU_USER" in so["reason"]
