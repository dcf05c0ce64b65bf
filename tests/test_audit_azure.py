"""A record in Azure's form: every operation has a name there, and every field is Azure's."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime

import pytest

from hsm.audit import azure, calls, query
from hsm.audit.record import Record
from hsm.cryptoki import return_codes
from hsm.errors import code_name
from hsm.management.registry import ACTS
from pkcs11_shim import constants as ck

# Fields of a Managed HSM's record, from Microsoft's page on its logging; time and the rest of the vault's.
FIELDS = {
    "TenantId", "time", "resourceId", "operationName", "operationVersion", "category", "resultType", "durationMs",
    "callerIpAddress", "correlationId", "identity", "clientInfo", "subnetId", "httpStatusCode", "PoolName",
    "requestUri", "resourceGroup", "resourceProvider", "resource", "resourceType", "properties",
}
VERSION = "0123456789abcdef0123456789abcdef"
SIGNED = Record(
    7, 1_764_000_000_123_456, "C_Sign", ck.CKR_OK, "alice", 1000, 4242, 3, (f"web/{VERSION}",), ck.CKM_ECDSA_SHA256,
    1500, 1, {},
)


def place(log: str = "0" * 32) -> azure.Place:
    return azure.Place(log, lambda slot: "My Pool!", lambda slot, officer: "11111111-2222-3333-4444-555555555555")


def test_a_record_has_the_fields_of_azures() -> None:
    told = azure.record(SIGNED, place())
    assert set(told) >= FIELDS and set(told) - FIELDS == {"resultSignature", "resultDescription"}
    assert (told["operationName"], told["resultType"], told["httpStatusCode"]) == ("KeySign", "Success", 200)
    assert (told["category"], told["resourceType"]) == ("AuditEvent", "managedHSMs")
    assert datetime.fromisoformat(told["time"]).timestamp() == pytest.approx(1_764_000_000.123456)
    assert told["durationMs"] == 1.5
    assert told["resourceId"].endswith("/PROVIDERS/MICROSOFT.KEYVAULT/MANAGEDHSMS/MY-POOL--3")
    identity = json.loads(told["identity"])
    assert identity["upn"] == "alice" and set(identity) == {"appid", "objectidentifier", "upn"}
    assert uuid.UUID(identity["objectidentifier"])
    properties = told["properties"]
    assert (properties["PoolType"], properties["sku_Family"], properties["sku_Name"]) == ("M-HSM", "B", "Standard_B1")
    assert (properties["keyName"], properties["keyVersion"]) == ("web", VERSION)
    assert (properties["mechanism"], properties["ckr"]) == ("CKM_ECDSA_SHA256", "CKR_OK")
    json.dumps(told)


def test_a_correlation_id_is_a_records_own_for_good() -> None:
    ids = {azure.record(SIGNED._replace(sequence=n), place())["correlationId"] for n in range(100)}
    assert len(ids) == 100 and all(map(uuid.UUID, ids))
    again, other = azure.record(SIGNED, place()), azure.record(SIGNED, place("1" * 32))
    assert again["correlationId"] in ids and other["correlationId"] not in ids


def test_every_operation_that_can_be_recorded_has_a_name() -> None:
    acts = {act.name for act in ACTS.values()}
    engines = {
        "engine-start", "engine-stop", "audit-lost", "audit-drop", "audit-damaged", "pool-create", "pool-repair",
        "clock-set", "rollback-noticed", "rollback-accept",
    }
    assert calls.RECORDED | acts | engines <= set(azure.OPERATION_NAMES)
    assert all(re.fullmatch("[A-Z][A-Za-z]+", name) for name in azure.OPERATION_NAMES.values())


def test_every_code_that_a_recorded_function_answers_has_a_status() -> None:
    for function in calls.RECORDED:
        for rv in return_codes.ALLOWED[function]:
            told = azure.record(SIGNED._replace(operation=function, rv=rv), place())
            assert (told["httpStatusCode"] == 200) == (rv == ck.CKR_OK) == (told["resultType"] == "Success")
            assert told["properties"]["ckr"] == code_name(rv)


def test_what_a_record_says_of_itself_hides_none_of_its_fields() -> None:
    told = azure.record(SIGNED._replace(detail={"ckr": "CKR_OK by me", "scope": "/keys/web"}), place())
    assert told["properties"]["ckr"] == "CKR_OK" and told["properties"]["scope"] == "/keys/web"


@pytest.mark.parametrize(("wanted", "fits"), [
    ({"officer": "alice"}, True), ({"officer": "bob"}, False), ({"key": "WEB"}, True), ({"key": "we"}, False),
    ({"key": f"web/{VERSION}"}, True), ({"operation": "c_sign"}, True), ({"operation": "keysign"}, True),
    ({"operation": "KeyVerify"}, False), ({"result": "ok"}, True), ({"result": "refused"}, False),
    ({"result": "CKR_OK"}, True), ({"slot": 3}, True), ({"slot": 0}, False), ({"since": SIGNED.time_us}, True),
    ({"since": SIGNED.time_us + 1}, False), ({"until": SIGNED.time_us}, False), ({"until": SIGNED.time_us + 1}, True),
])
def test_what_fits_a_query(wanted: dict[str, object], fits: bool) -> None:
    assert query.Filter(**wanted).fits(SIGNED) is fits  # type: ignore[arg-type]
