"""A record as Azure Managed HSM would have logged it: category AuditEvent, one flat object.

Azure's own names for operations stand where Microsoft publishes them; those marked *ours* are made in the same way,
object then verb, for what it does not name or does not have.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from hsm import clock
from hsm.audit.record import Record
from hsm.errors import code_name, mechanism_name
from pkcs11_shim import constants as ck

# operationName, and the operations that are it. *ours*: Azure publishes no such name.
_NAMES = """
    KeySign            C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover
    KeyVerify          C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
    KeyEncrypt         C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DigestEncryptUpdate C_SignEncryptUpdate
    KeyDecrypt         C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal C_DecryptDigestUpdate
    KeyDecrypt         C_DecryptVerifyUpdate
    KeyEncrypt         C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin C_EncryptMessageNext
    KeyDecrypt         C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext
    KeyWrap            C_WrapKey
    KeyUnwrap          C_UnwrapKey
    KeyCreate          C_GenerateKey C_GenerateKeyPair generate key-create
    KeyImport          C_CreateObject create unwrap key-import
    KeyUpdate          C_SetAttributeValue change key-set-attributes
    KeyDelete          C_DestroyObject destroy key-delete
    KeyList            C_FindObjectsInit key-list
    KeyGet             key-show
    KeyListVersions    key-list-versions
    KeyRotate          key-rotate
    KeyRotationPolicyGet  key-rotation-policy-show
    KeyRotationPolicySet  key-rotation-policy-update
    KeyListDeleted     key-list-deleted
    KeyGetDeleted      key-show-deleted
    KeyRecover         key-recover
    KeyPurge           key-purge
    KeyBackup          key-backup
    KeyRestore         key-restore
    SecurityDomainBackup    domain-download
    SecurityDomainGet       domain-show                                      ours
    SecurityDomainTransferKeyGet  domain-transfer-key                        ours
    SecurityDomainRestore   domain-upload                                    ours
    SecurityDomainClose     domain-close                                     ours
    OfficerRecover     officer-recover                                       ours
    BackupCreate       backup-start
    BackupUpdate       backup-resume backup-chunk backup-finish backup-end   ours
    RestoreCreate      restore-start                                         ours
    RestoreUpdate      restore-chunk                                         ours
    RestoreFinish      restore-finish                                        ours
    Authentication     C_Login C_LoginUser login
    KeyDerive          C_DeriveKey derive                                    ours
    KeyDigest          C_DigestKey                                           ours
    KeyExport          C_GetAttributeValue                                   ours
    KeyCopy            C_CopyObject copy                                     ours
    KeyFirstUse        first-sign first-verify first-encrypt first-decrypt   ours
    KeyFirstUse        first-wrap first-unwrap first-derive                  ours
    KeyFirstUse        first-sign_recover first-verify_recover               ours
    Logout             C_Logout logout                                       ours
    PoolCreate         pool-create                                           ours
    PoolRepair         pool-repair                                           ours
    ClockSet           clock-set                                             ours
    RollbackNoticed    rollback-noticed                                      ours
    RollbackAccept     rollback-accept                                       ours
    PartitionCreate    partition-create                                      ours
    PartitionUpdate    partition-set partition-unattended partition-seal     ours
    PartitionDelete    partition-delete                                      ours
    PartitionListDeleted  partition-list-deleted                             ours
    PartitionRecover   partition-recover                                     ours
    PartitionPurge     partition-purge                                       ours
    ClockGet           clock-show                                            ours
    ClockAdvance       clock-advance                                         ours
    PartitionInit      C_InitToken init                                      ours
    OfficerPinSet      C_InitPIN C_SetPIN officer-set-pin                    ours
    OfficerCreate      officer-create                                        ours
    OfficerList        officer-list                                          ours
    OfficerGet         officer-show officer-waiting                          ours
    OfficerUpdate      officer-update officer-unlock                         ours
    OfficerApprove     officer-approve                                       ours
    OfficerDelete      officer-delete                                        ours
    RoleDefinitionList    role-definition-list                               ours
    RoleDefinitionGet     role-definition-show                               ours
    RoleDefinitionCreate  role-definition-create                             ours
    RoleDefinitionUpdate  role-definition-update                             ours
    RoleDefinitionDelete  role-definition-delete                             ours
    RoleAssignmentList    role-assignment-list                               ours
    RoleAssignmentCreate  role-assignment-create                             ours
    RoleAssignmentDelete  role-assignment-delete                             ours
    ProposalCreate     proposal-create                                       ours
    ProposalList       proposal-list                                         ours
    ProposalGet        proposal-show                                         ours
    ProposalApprove    proposal-approve                                      ours
    ProposalReject     proposal-reject                                       ours
    ProposalExpire     proposal-expire                                       ours
    ProposalVoid       proposal-void                                         ours
    AuditRead          audit-records audit-key                               ours
    AuditExport        audit-export                                          ours
    AuditCheckpoint    audit-checkpoint                                      ours
    AuditLost          audit-lost                                            ours
    AuditDrop          audit-drop                                            ours
    AuditDamaged       audit-damaged                                         ours
    EngineStart        engine-start                                          ours
    EngineStop         engine-stop                                           ours
    PartitionList      partition-list whoami                                 ours
"""


def _names() -> dict[str, str]:
    rows = (line.split() for line in _NAMES.splitlines() if line.strip())
    return {operation: name for name, *operations in rows for operation in operations if operation != "ours"}


OPERATION_NAMES = _names()
# A code as HTTP would have it; all others are a request that can't be granted as it stands.
_STATUS = {
    ck.CKR_OK: 200,
    **dict.fromkeys((
        ck.CKR_PIN_INCORRECT, ck.CKR_PIN_LOCKED, ck.CKR_PIN_EXPIRED, ck.CKR_USER_PIN_NOT_INITIALIZED,
    ), 401),
    **dict.fromkeys((
        ck.CKR_USER_NOT_LOGGED_IN, ck.CKR_ACTION_PROHIBITED, ck.CKR_KEY_FUNCTION_NOT_PERMITTED,
        ck.CKR_FUNCTION_REJECTED, ck.CKR_KEY_UNEXTRACTABLE, ck.CKR_ATTRIBUTE_SENSITIVE,
    ), 403),
    **dict.fromkeys((
        ck.CKR_OBJECT_HANDLE_INVALID, ck.CKR_KEY_HANDLE_INVALID, ck.CKR_WRAPPING_KEY_HANDLE_INVALID,
        ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID, ck.CKR_SLOT_ID_INVALID,
    ), 404),
    ck.CKR_DEVICE_MEMORY: 503,
    **dict.fromkeys((ck.CKR_DEVICE_ERROR, ck.CKR_GENERAL_ERROR), 500),
}


class Place(NamedTuple):
    """The pool that the records are of, and what is known of its partitions and officers: ``label`` of a slot;
    ``object_id`` of a slot's officer, nothing where it is gone."""

    log: str
    label: Callable[[int], str]
    object_id: Callable[[int, str], str]

    def guid(self, what: str) -> str:
        """The same for the same log, on every export."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"adyton:{self.log}:{what}"))

    def resource_id(self, slot: int) -> str:
        group = f"/SUBSCRIPTIONS/{self.guid('subscription').upper()}/RESOURCEGROUPS/ADYTON"
        return f"{group}/PROVIDERS/MICROSOFT.KEYVAULT/MANAGEDHSMS/{self.pool_name(slot).upper()}"

    def pool_name(self, slot: int) -> str:
        """A partition is what Azure calls a pool; its label need not be unique, so its number stands beside it."""
        if slot < 0:
            return "pool"
        label = "".join(c if c.isascii() and c.isalnum() else "-" for c in self.label(slot).strip())
        return f"{label or 'partition'}-{slot}"


def name_of(operation: str) -> str:
    """The operationName; an operation that a later version made up keeps its own."""
    return OPERATION_NAMES.get(operation, operation)


def record(told: Record, place: Place) -> dict[str, Any]:
    """As Azure would have it, with what it has no field for in ``properties``."""
    status = _STATUS.get(told.rv, 400)
    key, _, version = told.keys[0].partition("/") if told.keys else ("", "", "")
    where = f"/keys/{key}/{version}" if version else f"/{told.keys[0]}" if told.keys else "/"
    properties: dict[str, Any] = {
        "PoolType": "M-HSM", "sku_Family": "B", "sku_Name": "Standard_B1", "sequence": told.sequence,
        "operation": told.operation, "ckr": code_name(told.rv), "partition": told.slot if told.slot >= 0 else None,
        "uid": told.uid, "pid": told.pid, "keys": list(told.keys),
    }
    if version:
        properties |= {"keyName": key, "keyVersion": version}
    if told.mechanism is not None:
        properties["mechanism"] = mechanism_name(told.mechanism)
    if told.count > 1:
        properties["count"] = told.count
    properties |= {name: value for name, value in told.detail.items() if name not in properties}
    name = place.pool_name(told.slot)
    return {
        "TenantId": place.guid("tenant"),
        "time": clock.moment(told.time_us),
        "resourceId": place.resource_id(told.slot),
        "operationName": name_of(told.operation),
        "operationVersion": "7.6",
        "category": "AuditEvent",
        "resultType": "Success" if told.rv == ck.CKR_OK else "Failure",
        "httpStatusCode": status,
        "resultSignature": f"{'OK' if status == 200 else code_name(told.rv)}",
        "resultDescription": told.detail.get("reason", ""),
        "durationMs": round(told.duration_us / 1000, 3),
        "callerIpAddress": f"unix:uid={told.uid},pid={told.pid}" if told.uid >= 0 else "",
        "correlationId": place.guid(f"record {told.sequence}"),
        "identity": json.dumps({
            "appid": f"uid={told.uid}", "objectidentifier": place.object_id(told.slot, told.officer) or None,
            "upn": told.officer or None,
        }),
        "clientInfo": "",
        "subnetId": "(none)",
        "PoolName": name,
        "requestUri": f"pkcs11:slot-id={told.slot}{where}" if told.slot >= 0 else "",
        "resourceGroup": "ADYTON",
        "resourceProvider": "MICROSOFT.KEYVAULT",
        "resource": name,
        "resourceType": "managedHSMs",
        "properties": properties,
    }
