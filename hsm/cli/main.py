"""``adyton``: the command line. One row a command; each has an example in its ``--help`` and ``--json`` where it reads.

Imports little: ``adyton module-path`` stands in other people's scripts.
"""

from __future__ import annotations

import argparse
import os
import sys

from hsm import __version__
from hsm.cli.command import JSON, Command, Failure, option

_SO_PIN = option("--so-pin-file", metavar="FILE", help="the SO PIN's file; else $ADYTON_SO_PIN, else asked for")
_PIN = option("--pin-file", metavar="FILE", help="the user PIN's file; else $ADYTON_PIN, else asked for")
_SLOT = option("slot", type=int, help="the partition's slot number, see adyton partition list")
COMMANDS = (
    Command("module-path", "print the path of the PKCS#11 library",
            'pkcs11-tool --module "$(adyton module-path)" -L', (), "install:module_path"),
    Command("install-module", "link the library where programs look for it, with a p11-kit module file and settings",
            "adyton install-module --dir ~/pkcs11",
            (option("--dir", metavar="DIR", help="put everything there (default: the folders of p11-kit)"), JSON),
            "install:install_module"),
    Command("status", "the pool, its engine, its partitions, or what keeps them from working",
            "adyton status --json", (JSON,), "pool:status"),
    Command("partition create", "make a partition: a slot with a token", "adyton partition create --label payments",
            (option("--label", help="the token's label, 32 bytes at most; two may share one"),
             option("--blank", action="store_true", help="leave it uninitialised, for C_InitToken"),
             option("--legacy", action="store_true", help="offer DES3 and MD5 there, which are no longer safe"),
             _SO_PIN, _PIN, JSON),
            "partition:create"),
    Command("partition list", "all partitions of the pool", "adyton partition list --json", (JSON,),
            "partition:list_all"),
    Command("partition show", "one partition", "adyton partition show 0", (_SLOT, JSON), "partition:show_one"),
    Command("partition set", "change a partition's settings", "adyton partition set 0 --legacy on",
            (_SLOT,
             option("--legacy", choices=("on", "off"), required=True,
                    help="offer DES3 and MD5, which are no longer safe; new partitions have it off. Keys that were "
                    "made under it stay, and are of no use while it is off"),
             _SO_PIN, JSON),
            "partition:change"),
    Command("partition delete", "destroy a partition and all its keys", "adyton partition delete 2 --yes",
            (_SLOT, option("--yes", action="store_true", help="needed: the keys are lost for ever"), _SO_PIN, JSON),
            "partition:delete"),
    Command("serve", "run the engine in the foreground, or on a socket of systemd's",
            "adyton serve --print-unit > /etc/systemd/system/adyton.service",
            (option("--system", action="store_true",
                    help="the system pool: store in /var/lib/adyton, socket in /run/adyton; root becomes adyton"),
             option("--print-unit", nargs="?", const="service", choices=("service", "socket"),
                    help="print a systemd unit for the system pool, and end (default: the service)")),
            "serving:serve"),
    Command("stop", "let the pool's engine leave; ends once it has", "adyton stop", (JSON,), "pool:stop"),
    Command("config show", "each setting, its value, where it comes from and how to change it",
            "adyton config show --json", (JSON,), "pool:config_show"),
    Command("explain", "why the engine refused the last calls of your programs, in words", "adyton explain --pid 1234",
            (option("--pid", type=int, help="only of this process"), JSON), "pool:explain"),
    Command("run", "give a command a throw-away token of its own, in memory, gone with the command",
            "adyton run -- sh -c 'pkcs11-tool --module $ADYTON_MODULE --login --pin $ADYTON_PIN -O'",
            (option("--label", default="throw-away", help="the token's label"),
             option("--pin", default="", help="the user PIN (default: a random one); this token guards nothing"),
             option("--so-pin", default="", help="the SO PIN (default: a random one)"),
             option("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...",
                    help="the command and its arguments; it finds ADYTON_HOME, ADYTON_MODULE, ADYTON_LABEL, "
                    "ADYTON_PIN, ADYTON_SO_PIN and ADYTON_URI in its environment")),
            "run:run"),
)
_GROUPS = {"partition": "make, list, show, set and delete partitions", "config": "see the settings"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="adyton", description="A managed HSM that fits on your machine.",
        epilog='example: pkcs11-tool --module "$(adyton module-path)" --init-token --slot 0 --label demo',
        formatter_class=argparse.RawDescriptionHelpFormatter,  # an example that is broken in two can't be pasted
    )
    parser.add_argument("--version", action="version", version=f"adyton {__version__}")
    groups = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    for command in COMMANDS:
        group, _, word = command.words.rpartition(" ")
        if group not in groups:
            meaning = _GROUPS[group]
            example = f"example: {command.example}"
            above = groups[""].add_parser(group, help=meaning, description=meaning, epilog=example)
            groups[group] = above.add_subparsers(metavar="COMMAND", required=True)
        one = groups[group].add_parser(
            word, help=command.meaning, description=command.meaning, epilog=f"example: {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for names, more in command.arguments:
            one.add_argument(*names, **more)
        one.set_defaults(row=command)
    return parser


def _why(fault: Exception) -> tuple[str, int]:
    """A failure in words, and the command's status."""
    from hsm.client import Absent, Refused, Unusable

    if isinstance(fault, Failure):
        return str(fault), fault.status
    if isinstance(fault, Absent):
        from hsm.cli import diagnosis

        return diagnosis.no_engine(), 1
    if isinstance(fault, Refused):
        from hsm.errors import code_name

        return f"{fault} ({code_name(fault.rv)})", 1
    if isinstance(fault, Unusable):
        return str(fault), 1
    if isinstance(fault, OSError):
        return f"{fault.filename or 'the command'}: {fault.strerror}", 1
    raise fault


def main(argv: list[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    given = _parser().parse_args(argv)
    try:
        code = given.row.function()(given)
        sys.stdout.flush()
        return int(code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes at its end
        return 1
    except Exception as fault:
        words, status = _why(fault)
    print(f"adyton: {words}", file=sys.stderr)
    if getattr(given, "json", False):
        import json

        print(json.dumps({"error": words}))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
