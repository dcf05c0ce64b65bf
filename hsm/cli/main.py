"""``adyton``: the command line. One row a command (commands.py); each has an example and ``--json`` where it reads.

Imports little: ``adyton module-path`` stands in other people's scripts.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from hsm import __version__
from hsm.cli.command import Failure, cell
from hsm.cli.commands import COMMANDS, GROUPS, PROPOSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="adyton", description="A managed HSM that fits on your machine.",
        epilog='example: pkcs11-tool --module "$(adyton module-path)" --init-token --slot 0 --label demo',
        formatter_class=argparse.RawDescriptionHelpFormatter,  # an example that is broken in two can't be pasted
    )
    parser.add_argument("--version", action="version", version=f"adyton {__version__}")
    groups: dict[str, Any] = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    made: dict[str, argparse.ArgumentParser] = {}
    for command in COMMANDS:
        group, _, word = command.words.rpartition(" ")
        _have_group(groups, made, group, f"example: {command.example}")
        one = groups[group].add_parser(
            word, help=command.meaning, description=command.meaning, epilog=f"example: {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for names, more in command.arguments:
            one.add_argument(*names, **more)
        one.set_defaults(row=command)
        made[command.words] = one
    return parser


def _have_group(
    groups: dict[str, Any], commands: dict[str, argparse.ArgumentParser], group: str, example: str
) -> None:
    """A group of commands, in the one that is above it. It may be a command itself: ``adyton backup``."""
    if group in groups:
        return
    if group in commands:
        groups[group] = commands[group].add_subparsers(metavar="COMMAND", required=False)
        return
    above, _, word = group.rpartition(" ")
    _have_group(groups, commands, above, example)
    made = groups[above].add_parser(word, help=GROUPS[group], description=GROUPS[group], epilog=example)
    groups[group] = made.add_subparsers(metavar="COMMAND", required=True)


def _why(fault: Exception) -> tuple[str, int]:
    """A failure in words, and the command's status."""
    from hsm.client import Absent, Refused, Unusable

    if isinstance(fault, Failure):
        return str(fault), fault.status
    if isinstance(fault, Absent):
        from hsm.cli import diagnosis

        return diagnosis.no_engine(), 1
    if isinstance(fault, Refused):
        return (str(fault), PROPOSED) if "proposed" in fault.told else (_in_words(fault), 1)
    if isinstance(fault, Unusable):
        return str(fault), 1
    if isinstance(fault, OSError):
        return f"{fault.filename or 'the command'}: {fault.strerror}", 1
    raise fault


def _in_words(fault: Any) -> str:
    """What the engine said, its code, and, where a role is missing, which."""
    from hsm.errors import code_name

    words = f"{fault} ({code_name(fault.rv)})"
    return f"{words}\nWho assigns roles may give it: {fault.told['remedy']}" if fault.told.get("remedy") else words


def _as_json(fault: Exception, words: str) -> dict[str, Any]:
    from hsm.client import Refused

    if not isinstance(fault, Refused):
        return {"error": words}
    from hsm.errors import code_name

    told: dict[str, Any] = {"error": str(fault), "code": code_name(fault.rv)}
    names = ("action", "scope", "officer", "remedy", "proposed")
    return told | {name: fault.told[name] for name in names if name in fault.told}


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
        told = _as_json(fault, words)
    # What was given may be told again in it, and must not move the cursor.
    print(f"adyton: {chr(10).join(map(cell, words.splitlines()))}", file=sys.stderr)
    if getattr(given, "json", False):
        import json

        print(json.dumps(told))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
