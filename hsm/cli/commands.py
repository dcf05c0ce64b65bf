"""All commands of ``adyton``, one row each, with an example that its ``--help`` shows.

A row names the room and the function that run it, so that a command imports what it needs only.
"""

from __future__ import annotations

import argparse

from hsm.cli.acting import AS, ON_A_PARTITION, PARTITION
from hsm.cli.command import JSON, Command, option

_SLOT = option("slot", metavar="SLOT|LABEL", help="the partition, see adyton partition list")
_DELETED_SLOT = option("slot", type=int, metavar="SLOT", help="its number, see adyton partition list-deleted")
_LIMITS = option("--limits", choices=("none", "azure"), help="azure: 5,000 keys at most, 100 versions of each; beyond "
                 "them CKR_DEVICE_MEMORY (default: none)")
_NAME = option("name", help="the officer's name")
_NEW_PIN = (
    option("--new-pin-file", metavar="FILE", help="the new PIN's file; else $ADYTON_NEW_PIN, else asked for, twice"),
    option("--new-pin-fd", type=int, metavar="N", help="an open descriptor to read the new PIN from"),
    option("--must-change", action="store_true", help="the officer must choose another PIN before anything else"),
)
_EXPIRES = option("--expires", metavar="WHEN", help="until when its credential is good: 2026-12-31 (its beginning, "
                  "UTC), 2026-12-31T18:00, 90d, 12h or never")
_ROLE_NAME = option("--name", "-n", help="the role's GUID, or what it is called")
_IDS = option("--ids", nargs="+", metavar="ID", help="the same by id")
_DEFINITION = option("--role-definition", required=True, metavar="JSON|@FILE", help="the definition, or its file: "
                     "roleName, description, dataActions, notDataActions; in Azure's form too")
_SCOPE = "/ or /keys (all of the partition), or /keys/NAME (all versions of one key)"
_ASSIGNEE = (
    option("--assignee", metavar="OFFICER", help="the officer, by name or object id"),
    option("--assignee-object-id", metavar="GUID", help="the same by object id"),
)
_ROLE = option("--role", help='the role: its name ("Crypto User" will do), GUID or id')
_AT = option("--scope", help=_SCOPE)
_RECORDS = (
    option("--by", metavar="OFFICER", help="only what this officer did"),
    option("--operation", metavar="NAME", help="only this: C_Sign, role-assignment-create, KeySign ..."),
    option("--key", metavar="NAME", help="only about this key: NAME, or NAME/VERSION"),
    option("--result", metavar="ok|refused|CKR_...", help="only what came out so"),
    option("--since", metavar="WHEN", help="2026-12-31, 2026-12-31T18:00 (UTC), or back from now: 24h, 90d"),
    option("--until", metavar="WHEN", help="the same, as the end"),
)
_QUORUM = (
    option("--quorum", type=int, metavar="N", help="how many officers it takes for the acts of --quorum-acts: 2, or "
           "more; 0: no rule. One asks and is told the proposal's id, another approves it (adyton proposal approve), "
           "then the first asks again. It sleeps until there are N Administrators"),
    option("--quorum-acts", metavar="ACTS", help="destroy (private and secret token keys, the token, the partition), "
           "export (wrapping a token key), policy (officers, their PINs, roles, settings), with commas between "
           "(default: all). Without policy, an Administrator can make an officer to approve what he proposes"),
    option("--quorum-expiry", type=int, metavar="HOURS", help="how long a proposal stands (default: 24)"),
)
_PROPOSAL = option("id", help="the proposal's id, or the beginning of it")
_OPS = "encrypt, decrypt, sign, verify, wrapKey, unwrapKey, deriveKey; import alone: it only unwraps what is imported"
_KEY = option("name", metavar="NAME", help="the key's name: letters, digits, hyphens")
_VERSION = option("--version", metavar="VERSION", help="one version of it (default: the newest)")
_ATTRIBUTES = (
    option("--ops", nargs="+", metavar="OP", help=f"what the key may do: {_OPS}"),
    option("--not-before", metavar="WHEN", help="when it may be used from, as --expires; never takes it away"),
    option("--expires", metavar="WHEN", help="until when it may be used: 2026-12-31 (its beginning, UTC), "
           "2026-12-31T18:00, 90d; never takes it away. Beyond it, it still decrypts, unwraps and verifies"),
    option("--tags", nargs="*", metavar="NAME=VALUE", help="tags, in the place of those it has; none: takes them away"),
)
_BACKUP = option("folder", metavar="FOLDER", help="the backup's folder")
_BACKUP_OR_STREAM = option("folder", metavar="FOLDER", help="the backup's folder; -: the tar archive in standard input")
PROPOSED = 3  # the status of a command that waits for another officer
COMMANDS = (
    Command("module-path", "print the path of the PKCS#11 library",
            'pkcs11-tool --module "$(adyton module-path)" -L', (), "install:module_path"),
    Command("install-module", "link the library where programs look for it, with a p11-kit module file and settings",
            "adyton install-module --dir ~/pkcs11",
            (option("--dir", metavar="DIR", help="put everything there (default: the folders that p11-kit reads, as "
                    "root those of the whole machine)"), JSON),
            "install:install_module"),
    Command("status", "the pool, its engine, its partitions, or what keeps them from working",
            "adyton status --security",
            (option("--security", action="store_true",
                    help="what keeps the engine to itself: each measure, whether it is in force, how that is known"),
             JSON), "pool:status"),
    Command("pool create", "make a pool that is not as one that makes itself when a program asks for it",
            "ADYTON_HOME=/tmp/pool adyton pool create --test-clock",
            (option("--test-clock", action="store_true", help="its clock can be moved, for tests: unchangeable, and "
                    "said in its status, its tokens' model and every audit record"), JSON), "pool:create"),
    Command("clock show", "what time it is for the pool", "adyton clock show", (JSON,), "pool:clock_show"),
    Command("clock advance", "move the clock of a pool with a test clock, and do what falls due by that",
            "adyton clock advance 90d", (option("by", metavar="SPAN", help="90d, 12h, 15m or 30s"), JSON),
            "pool:clock_advance"),
    Command("check", "what of a pool is damaged: all of it is read, and nothing is written",
            "adyton check --checkpoint kept-checkpoints --as user --pin-file pin",
            (option("folder", nargs="?", metavar="FOLDER", help="the pool's folder (default: that of adyton status)"),
             option("--checkpoint", action="append", metavar="LINE|FILE", help="checkpoints of the audit log that were "
                    "kept elsewhere: a pool that was put back from before them is found by that"),
             *ON_A_PARTITION, JSON), "check:check"),
    Command("repair", "save what is whole of a damaged pool; the damaged files are kept beside it",
            "adyton repair --dry-run",
            (option("folder", nargs="?", metavar="FOLDER", help="the pool's folder (default: that of adyton status)"),
             option("--dry-run", action="store_true", help="say what would be lost, and do nothing"),
             option("--yes", action="store_true", help="needed: what is lost is lost, and what was removed or put back "
                    "behind the engine's back is taken as it is"),
             JSON), "repair:repair"),
    Command("accept-rollback", "take a pool that was put back from an earlier day as it is, against its rollback guard",
            "adyton accept-rollback",
            (option("folder", nargs="?", metavar="FOLDER", help="the pool's folder (default: that of adyton status)"),
             JSON), "repair:accept_rollback"),
    Command("partition create", "make a partition: a slot with a token", "adyton partition create --label payments",
            (option("--label", help="the token's label, 32 bytes at most; two may share one"),
             option("--blank", action="store_true", help="leave it uninitialised, for C_InitToken"),
             option("--kind", choices=("token", "managed-hsm"), default="token",
                    help="token: as PKCS#11 programs expect it (default). managed-hsm: as Azure's, keys stay inside, "
                    "and officers are made by name"),
             option("--no-admin-recovery", action="store_true",
                    help="the Administrator's PIN opens no keys once another officer's does: who loses all others' "
                    "PINs loses the keys"),
             option("--profile", choices=("strict", "compatible"), default="strict",
                    help="compatible: take back the rules that some programs run against, hsm/access/README.md says "
                    "which and what it costs (default: strict)"),
             option("--legacy", action="store_true", help="offer DES3 and MD5 there, which are no longer safe"),
             option("--weak-token-keys", action="store_true", help="let RSA below 2048 bits and EC below 224 be token "
                    "keys there, not only session keys"),
             option("--retention-days", type=int, metavar="DAYS", help="how long what is deleted can be recovered: 7 "
                    "to 90, for ever as it is said here; 0: not at all, of a managed HSM in memory only (default: 90 "
                    "for managed-hsm, 0 for token)"),
             option("--purge-protection", action="store_true", help="nobody destroys what was deleted before its "
                    "retention is over; can't be turned off again"),
             _LIMITS, *_QUORUM,
             option("--so-pin-file", metavar="FILE", help="the SO PIN's file; else $ADYTON_SO_PIN, else asked for"),
             option("--pin-file", metavar="FILE", help="the user PIN's file; else $ADYTON_PIN, else asked for (kind "
                    "managed-hsm: no user is made without this)"),
             JSON),
            "partition:create"),
    Command("partition list", "all partitions of the pool", "adyton partition list --json", (JSON,),
            "partition:list_all"),
    Command("partition show", "one partition", "adyton partition show 0", (_SLOT, JSON), "partition:show_one"),
    Command("partition set", "change a partition's settings", "adyton partition set 0 --profile compatible",
            (_SLOT,
             option("--profile", choices=("strict", "compatible"),
                    help="compatible: take back the rules that some programs run against, hsm/access/README.md says "
                    "which and what it costs; back to strict is at once, for all keys"),
             option("--weak-token-keys", choices=("on", "off"), help="let RSA below 2048 bits and EC below 224 be "
                    "token keys; those that are there stay when it is turned off, and can be used"),
             option("--legacy", choices=("on", "off"),
                    help="offer DES3 and MD5, which are no longer safe; new partitions have it off. Keys that were "
                    "made under it stay, and are of no use while it is off"),
             option("--purge-protection", choices=("on",), help="nobody destroys what was deleted before its retention "
                    "is over, nor the token by initialising it again; can't be turned off"),
             _LIMITS, *_QUORUM, *AS, JSON),
            "partition:change"),
    Command("partition unattended", "let a file open the partition for officers who are users of the machine",
            "adyton partition unattended 0 --key-file /etc/adyton-keys/payments --as so",
            (_SLOT,
             option("--key-file", metavar="FILE", help="the file, made with mode 0600 where there is none, for the "
                    "engine's user to read. Whoever has it and the pool's folder has the keys: keep it apart from the "
                    "folder and its backups. Of a systemd unit with LoadCredentialEncrypted=unseal it is "
                    "/run/credentials/adyton.service/unseal"),
             option("--off", action="store_true", help="forget the file, which stays where it is"), *AS, JSON),
            "partition:unattended"),
    Command("partition seal", "end all logins, and let the engine forget the partition's key until the next one",
            "adyton partition seal payments", (_SLOT, JSON), "partition:seal"),
    Command("partition delete", "destroy a partition and all its keys", "adyton partition delete 2 --yes",
            (_SLOT, option("--yes", action="store_true", help="needed: the keys are lost for ever"), *AS, JSON),
            "partition:delete"),
    Command("partition list-deleted", "partitions that were deleted and can be recovered",
            "adyton partition list-deleted", (JSON,), "partition:list_deleted"),
    Command("partition recover", "bring a deleted partition back, as it was", "adyton partition recover 2",
            (_DELETED_SLOT, JSON), "partition:recover"),
    Command("partition purge", "destroy a deleted partition for good", "adyton partition purge 2 --yes",
            (_DELETED_SLOT, option("--yes", action="store_true", help="needed: the keys are lost for ever"), JSON),
            "partition:purge"),
    Command("key create", "make a key, or a new version of one",
            "adyton key create payments --kty EC --curve P-256 --expires 365d --as user",
            (_KEY, option("--kty", choices=("RSA", "RSA-HSM", "EC", "EC-HSM", "oct", "oct-HSM"), default="RSA",
                          help="its type (default: RSA); all keys are in the HSM, whatever it says"),
             option("--size", type=int, metavar="BITS", help="RSA: 2048 (default), 3072, 4096; oct: 128, 192, 256 "
                    "(default)"),
             option("--curve", help="EC: P-256 (default), P-256K, P-384, P-521 and others"),
             option("--disabled", action="store_true", help="not to be used before it is enabled"),
             *_ATTRIBUTES, *ON_A_PARTITION, JSON), "key:create"),
    Command("key import", "bring a key in from a file, as a key or a new version of one",
            "adyton key import payments --pem-file key.pem --as user",
            (_KEY, option("--pem-file", metavar="FILE", help="a private key, PEM or DER: RSA or EC"),
             option("--pem-password-file", metavar="FILE", help="the file with that file's passphrase"),
             option("--byok-file", metavar="FILE", help="Azure's key transfer file, wrapped under a key of this "
                    "partition that was made with --ops import"),
             option("--raw-file", metavar="FILE", help="an AES key: 16, 24 or 32 bytes"),
             option("--kty", choices=("RSA", "EC", "oct"), help="what a --byok-file holds (default: RSA)"),
             option("--curve", help="of an EC key in a --byok-file (default: whichever it has)"),
             option("--disabled", action="store_true", help="not to be used before it is enabled"),
             *_ATTRIBUTES, *ON_A_PARTITION, JSON), "key:import_key"),
    Command("key list", "the keys of a partition, each by its newest version", "adyton key list --as user",
            (*ON_A_PARTITION, JSON), "key:list_all"),
    Command("key show", "one key, or one version of it", "adyton key show payments --as user --json",
            (_KEY, _VERSION, *ON_A_PARTITION, JSON), "key:show_one"),
    Command("key list-versions", "all versions of a key, the newest first",
            "adyton key list-versions payments --as user", (_KEY, *ON_A_PARTITION, JSON), "key:list_versions"),
    Command("key set-attributes", "enable or disable a version, set when it may be used, for what, and its tags",
            "adyton key set-attributes payments --enabled false --as user",
            (_KEY, _VERSION, option("--enabled", choices=("true", "false"), help="whether it may be used"),
             *_ATTRIBUTES, *ON_A_PARTITION, JSON), "key:set_attributes"),
    Command("key rotate", "make a new version of a key, like its newest", "adyton key rotate payments --as user",
            (_KEY, *ON_A_PARTITION, JSON), "key:rotate"),
    Command("key rotation-policy show", "when a key is rotated by itself",
            "adyton key rotation-policy show payments --as user", (_KEY, *ON_A_PARTITION, JSON), "key:show_policy"),
    Command("key rotation-policy update", "have a key rotated by itself, or no more",
            "adyton key rotation-policy update payments --after-create P90D --expiry-time P120D --as user",
            (_KEY, option("--after-create", metavar="DURATION", help="so long after its newest version was made: P90D, "
                          "P18M, P2Y (a managed HSM: 28 days at least)"),
             option("--before-expiry", metavar="DURATION", help="so long before its newest version expires"),
             option("--expiry-time", metavar="DURATION", help="how long a new version may be used"),
             *ON_A_PARTITION, JSON), "key:update_policy"),
    Command("key delete", "delete a key with all its versions: recoverable where the partition has a retention",
            "adyton key delete payments --as user", (_KEY, *ON_A_PARTITION, JSON), "key:delete"),
    Command("key list-deleted", "keys that were deleted and can be recovered", "adyton key list-deleted --as user",
            (*ON_A_PARTITION, JSON), "key:list_deleted"),
    Command("key show-deleted", "one of these", "adyton key show-deleted payments --as user",
            (_KEY, *ON_A_PARTITION, JSON), "key:show_deleted"),
    Command("key recover", "bring a deleted key back, with all its versions", "adyton key recover payments --as user",
            (_KEY, *ON_A_PARTITION, JSON), "key:recover"),
    Command("key purge", "destroy a deleted key for good", "adyton key purge payments --yes --as user",
            (_KEY, option("--yes", action="store_true", help="needed: the key is lost for ever"),
             *ON_A_PARTITION, JSON), "key:purge"),
    Command("key backup", "one key, all its versions, to a file that pools of the same security domain can take",
            "adyton key backup invoices --out invoices.key",
            (option("name", help="the key's name"), option("--out", required=True, metavar="FILE", help="a new file"),
             *ON_A_PARTITION, JSON), "backup:backup_key"),
    Command("key restore", "put a key back, all its versions, where its name is free",
            "adyton key restore --file invoices.key",
            (option("--file", metavar="FILE", help="as adyton key backup wrote it"),
             option("--from", dest="folder", metavar="FOLDER", help="or out of this backup of the whole partition"),
             option("--name", metavar="NAME", help="which key of that"),
             *ON_A_PARTITION, JSON), "backup:restore_key"),
    Command("security-domain download", "put the pool into several people's custody, of whom some together open it",
            "adyton security-domain download --certificates a.pem b.pem c.pem --quorum 2 --out domain.json --as so",
            (option("--certificates", nargs="+", required=True, metavar="FILE", help="the custodians' certificates, "
                    "3 to 10: PEM, RSA of 2048 bits or more"),
             option("--quorum", type=int, required=True, metavar="M", help="how many of them it takes: 2 or more"),
             option("--out", required=True, metavar="FILE", help="a new file"), *ON_A_PARTITION, JSON),
            "domain:download"),
    Command("security-domain show", "who holds it, and which partitions it covers", "adyton security-domain show",
            (JSON,), "domain:show_domain"),
    Command("security-domain init-recovery", "get the certificate that a restore blob is to be sealed to",
            "adyton security-domain init-recovery --out exchange.pem",
            (option("--out", required=True, metavar="FILE", help="a new file"), JSON), "domain:init_recovery"),
    Command("security-domain restore-blob", "make the blob of a domain's file and custodians' private keys; no engine "
            "is needed", "adyton security-domain restore-blob --file domain.json --exchange exchange.pem "
            "--keys a.key b.key --out blob.json",
            (option("--file", required=True, metavar="FILE", help="what the download wrote"),
             option("--exchange", required=True, metavar="FILE", help="what init-recovery wrote"),
             option("--keys", nargs="+", required=True, metavar="FILE", help="private keys of as many custodians as it "
                    "takes, in PEM"),
             option("--passphrase-file", metavar="FILE", help="the file with the passphrase of those that have one"),
             option("--out", required=True, metavar="FILE", help="a new file"), JSON), "domain:restore_blob"),
    Command("security-domain upload", "take a restore blob: an empty pool gets the domain, the domain's own pool is "
            "open for its owner for a quarter of an hour", "adyton security-domain upload --blob blob.json --as so",
            (option("--blob", required=True, metavar="FILE", help="what restore-blob wrote, ours or az's"),
             *ON_A_PARTITION, JSON), "domain:upload"),
    Command("security-domain close", "let the engine forget what an upload has opened", "adyton security-domain close",
            (JSON,), "domain:close"),
    Command("officer recover", "give an officer a new PIN by the custodians' quorum, while the domain is open",
            "adyton officer recover sasha --new-pin-file sasha.pin", (_NAME, *_NEW_PIN, PARTITION, JSON),
            "domain:recover_officer"),
    Command("login", "be an officer in this terminal session, so that commands ask for no PIN",
            "adyton login --as alice", (*ON_A_PARTITION, JSON), "login:login"),
    Command("logout", "forget the officers of this terminal session", "adyton logout", (PARTITION, JSON),
            "login:logout"),
    Command("whoami", "which officers this terminal session is, without a PIN", "adyton whoami --json", (JSON,),
            "login:whoami"),
    Command("officer create", "make an officer, with a PIN or as a user of the machine",
            "adyton officer create alice --expires 90d --as so",
            (_NAME, option("--uid", metavar="N|NAME", help="the user of the machine that the officer is; no PIN then"),
             *_NEW_PIN, _EXPIRES, *ON_A_PARTITION, JSON),
            "officer:create"),
    Command("officer list", "the officers of a partition, their roles and what keeps them from working",
            "adyton officer list --as so", (*ON_A_PARTITION, JSON), "officer:list_all"),
    Command("officer show", "one officer", "adyton officer show alice --as so", (_NAME, *ON_A_PARTITION, JSON),
            "officer:show_one"),
    Command("officer update", "enable or disable an officer, or let its credential expire",
            "adyton officer update alice --disable --as so",
            (_NAME,
             option("--enable", action="store_true", help="let it work (again)"),
             option("--disable", action="store_true", help="log it out everywhere at once, and let it work no more"),
             _EXPIRES, *ON_A_PARTITION, JSON),
            "officer:update"),
    Command("officer approve", "let in an officer, or its roles, that wait for somebody whose PIN opens the keys",
            "adyton officer approve bob --as alice",
            (_NAME, option("--yes", action="store_true", help="without showing first what waits, and asking"),
             *ON_A_PARTITION, JSON), "officer:approve"),
    Command("officer delete", "remove an officer and its role assignments", "adyton officer delete bob --as so",
            (_NAME, *ON_A_PARTITION, JSON), "officer:delete"),
    Command("officer set-pin", "change one's own PIN, or, as an Administrator, another officer's",
            "adyton officer set-pin alice --as alice", (_NAME, *_NEW_PIN, *ON_A_PARTITION, JSON), "officer:set_pin"),
    Command("officer unlock", "give an officer all tries again whose PIN was locked by wrong ones",
            "adyton officer unlock alice --as so", (_NAME, *ON_A_PARTITION, JSON), "officer:unlock"),
    Command("role definition list", "the built-in roles and the partition's own",
            "adyton role definition list --custom-role-only --as so",
            (option("--custom-role-only", action="store_true", help="without the built-in ones"),
             option("--scope", help="/, where all of them are"), *ON_A_PARTITION, JSON),
            "role:list_definitions"),
    Command("role definition show", "one role and its data actions",
            'adyton role definition show --name "Managed HSM Crypto User" --as so',
            (_ROLE_NAME, _IDS, *ON_A_PARTITION, JSON), "role:show_definition"),
    Command("role definition create", "make a role of the partition's own",
            "adyton role definition create --role-definition @signer.json --as so",
            (_DEFINITION, *ON_A_PARTITION, JSON), "role:create_definition"),
    Command("role definition update", "change a role of the partition's own, named by its GUID or roleName",
            "adyton role definition update --role-definition @signer.json --as so",
            (_DEFINITION, *ON_A_PARTITION, JSON), "role:update_definition"),
    Command("role definition delete", "remove a role of the partition's own; its assignments stay, without effect",
            "adyton role definition delete --name Signer --as so", (_ROLE_NAME, _IDS, *ON_A_PARTITION, JSON),
            "role:delete_definition"),
    Command("role assignment list", "who has which role where",
            "adyton role assignment list --assignee alice --as so",
            (*_ASSIGNEE, _ROLE, _AT, *ON_A_PARTITION, JSON), "role:list_assignments"),
    Command("role assignment create", "give an officer a role",
            'adyton role assignment create --role "Crypto User" --assignee alice --scope /keys/payments --as so',
            (*_ASSIGNEE, option("--role", required=True, help=_ROLE[1]["help"]),
             option("--scope", required=True, help=_SCOPE),
             option("--name", "-n", metavar="GUID", help="the assignment's name (default: a new one)"),
             *ON_A_PARTITION, JSON),
            "role:create_assignment"),
    Command("role assignment delete", "take a role from an officer",
            'adyton role assignment delete --role "Crypto User" --assignee alice --scope /keys/payments --as so',
            (*_ASSIGNEE, _ROLE, _AT, option("--name", "-n", metavar="GUID", help="the assignment's name"),
             option("--ids", nargs="+", metavar="ID", help="the ids of one or several"), *ON_A_PARTITION, JSON),
            "role:delete_assignments"),
    Command("serve", "run the engine in the foreground, or on a socket of systemd's",
            "adyton serve --print-unit > /etc/systemd/system/adyton.service",
            (option("--system", action="store_true",
                    help="the system pool: store in /var/lib/adyton, socket in /run/adyton; root becomes adyton"),
             option("--print-unit", nargs="?", const="service", choices=("service", "socket"),
                    help="print a systemd unit for the system pool, and end (default: the service)")),
            "serving:serve"),
    Command("stop", "let the pool's engine leave; ends once it has", "adyton stop", (JSON,), "pool:stop"),
    Command("proposal list", "acts that wait for another officer, or that one has approved",
            "adyton proposal list --as bob", (*ON_A_PARTITION, JSON), "proposal:list_all"),
    Command("proposal show", "what would be done, who proposed and who approved it",
            "adyton proposal show 243546c4 --as bob", (_PROPOSAL, *ON_A_PARTITION, JSON), "proposal:show_one"),
    Command("proposal approve", "let the officer who proposed it do it, once",
            "adyton proposal approve 243546c4 --as bob", (_PROPOSAL, *ON_A_PARTITION, JSON), "proposal:approve"),
    Command("proposal reject", "take a proposal away: one's own, or one that one could approve",
            "adyton proposal reject 243546c4 --as bob", (_PROPOSAL, *ON_A_PARTITION, JSON), "proposal:reject"),
    Command("audit tail", "the last records of the audit log, and what comes with --follow",
            "adyton audit tail --follow",
            (option("--lines", "-n", type=int, default=20, metavar="N", help="how many (default: 20)"),
             option("--follow", "-f", action="store_true", help="go on as records come, until interrupted"),
             *_RECORDS, *ON_A_PARTITION, JSON), "audit:tail"),
    Command("audit query", "the records that fit, from the first on",
            "adyton audit query --by alice --operation KeySign --since 24h", (*_RECORDS, *ON_A_PARTITION, JSON),
            "audit:query"),
    Command("audit export", "write the log to a file: in Azure's form, or its chain to be verified elsewhere",
            "adyton audit export --format chain --out log.jsonl",
            (option("--format", choices=("azure", "chain"), default="azure",
                    help="azure: a JSON array of Azure Managed HSM's records; chain: all blocks and checkpoints"),
             option("--out", required=True, metavar="FILE", help="a new file"),
             *_RECORDS, *ON_A_PARTITION, JSON), "audit:export"),
    Command("audit verify", "whether an exported chain is whole and unaltered, offline; or the pool's own",
            "adyton audit verify log.jsonl --public-key key --checkpoint checkpoints",
            (option("file", nargs="?", metavar="FILE", help="the exported chain (default: the pool's, by its engine)"),
             option("--public-key", metavar="HEX|FILE", help="the log's public key, as it was kept elsewhere"),
             option("--checkpoint", action="append", metavar="LINE|FILE", help="checkpoints that were kept elsewhere"),
             JSON), "audit:verify"),
    Command("audit checkpoint", "one signed line that says how far the log has come; keep it elsewhere",
            "adyton audit checkpoint", (*ON_A_PARTITION, JSON), "audit:checkpoint"),
    Command("audit key", "the public key that checkpoints are verified with", "adyton audit key",
            (*ON_A_PARTITION, JSON), "audit:key"),
    Command("backup", "back up partitions to a folder, while their clients work",
            "adyton backup --out /media/backup/monday --as sasha",
            (option("--out", metavar="FOLDER", help="a new or empty folder; -: a tar archive to standard output"),
             option("--resume", action="store_true", help="go on with a backup that was interrupted, in its folder"),
             option("--partition", "--hsm-name", metavar="SLOT|LABEL", help="only this one (default: all; of several, "
                    "an officer is logged in at each, see adyton login)"),
             *AS, JSON), "backup:backup"),
    Command("backup show", "what a backup has, and whether its files are whole", "adyton backup show backup",
            (_BACKUP, JSON), "backup:show_one"),
    Command("restore", "put a backup in: partitions that are there are replaced, others come new",
            "adyton restore /media/backup/monday --yes --as sasha",
            (_BACKUP_OR_STREAM,
             option("--yes", action="store_true", help="needed where partitions are replaced, with their officers and "
                    "PINs: what was made since the backup is lost"),
             option("--partition", "--hsm-name", metavar="SLOT|LABEL|SERIAL", help="only this one (default: all that "
                    "are in the backup)"),
             option("--accept-rollback", action="store_true", help="go back to an earlier day also where the pool has "
                    "a rollback guard that forbids it"),
             *AS, JSON), "backup:restore"),
    Command("config show", "each setting, its value, where it comes from and how to change it",
            "adyton config show --json", (JSON,), "pool:config_show"),
    Command("explain", "why the engine refused the last calls of your programs, in words", "adyton explain --pid 1234",
            (option("--pid", type=int, help="only of this process"), JSON), "pool:explain"),
    Command("run", "give a command a throw-away token of its own, in memory, gone with the command",
            "adyton run -- sh -c 'pkcs11-tool --module $ADYTON_MODULE --login --pin $ADYTON_PIN -O'",
            (option("--label", default="throw-away", help="the token's label"),
             option("--pin", default="", help="the user PIN (default: a random one); this token guards nothing"),
             option("--so-pin", default="", help="the SO PIN (default: a random one)"),
             option("--test-clock", action="store_true", help="with a clock that adyton clock advance moves"),
             option("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...",
                    help="the command and its arguments; it finds ADYTON_HOME, ADYTON_MODULE, ADYTON_LABEL, "
                    "ADYTON_PIN, ADYTON_SO_PIN and ADYTON_URI in its environment")),
            "run:run"),
)
GROUPS = {
    "partition": "make, list, show, set, seal and delete partitions",
    "key": "make, show, rotate, delete and recover keys by name",
    "key rotation-policy": "when a key is rotated by itself",
    "pool": "make a pool of another kind",
    "clock": "the time as the pool has it",
    "security-domain": "the pool's custody by several people, and recovery by them",
    "proposal": "acts that take more than one officer: see, approve and reject them",
    "officer": "make, show, change, approve and remove officers, and set their PINs",
    "role": "who may do what: role definitions and role assignments",
    "role definition": "roles: the built-in ones and a partition's own",
    "role assignment": "which officer has which role where",
    "audit": "read the audit log, export and verify it",
    "config": "see the settings",
}
