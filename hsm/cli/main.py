"""``adyton``: the command line. One row a command; each has an example in its ``--help`` and ``--json`` where it reads.

Imports little: ``adyton module-path`` stands in other people's scripts.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from hsm import __version__
from hsm.cli.command import COLUMNS, JSON, Arguments, Command, Failure, option, show, table
from hsm.client import MODULE, Absent, Refused, connect, home


def _module_path(given: Arguments) -> int:
    if not MODULE.exists():
        raise Failure(f"{MODULE} is not built.\nBuild it: python -m pkcs11_shim.build")
    print(MODULE)
    return 0


def _status(given: Arguments) -> int:
    where = home()
    data: dict[str, Any] = {
        "pool": where.path, "pool_from": where.source, "socket": f"{where.path}/socket", "module": str(MODULE),
        "version": __version__, "engine": None, "partitions": [],
    }
    try:
        client = connect(start=False)
    except Absent:
        from hsm.cli import diagnosis

        data["problems"] = diagnosis.problems(where)
        lines = [f"pool     {where.path} (from {where.source})", f"module   {MODULE}, version {__version__}"]
        lines.append("engine   not running; the library starts it when a program asks for its slots")
        lines += [f"problem  {words}" for words in data["problems"]]
        return show(given, data, "\n".join(lines)) or (1 if data["problems"] else 0)
    told = client.ask("status")
    data["partitions"] = told.pop("partitions")
    data["engine"] = told
    kept = "in memory" if told["in_memory"] else "on disk"
    text = (
        f"pool     {where.path} (from {where.source}, {kept})\n"
        f"module   {MODULE}, version {__version__}\n"
        f"engine   pid {told['pid']}, version {told['version']}, {told['applications']} connections\n"
    )
    if told["write_protected"]:
        text += "disk     read-only: tokens are write-protected\n"
    text += "".join(f"damage   {words}\n" for words in told["damage"])
    return show(given, data, text + "\n" + table(data["partitions"], COLUMNS))


def _explain(given: Arguments) -> int:
    rows = connect(start=False).ask("explain")["refusals"]
    rows = [row for row in rows if given.pid is None or row["pid"] == given.pid]
    import time

    lines = [
        f"{time.strftime('%H:%M:%S', time.localtime(row['time']))}  pid {row['pid']}  {row['function']}: {row['code']}"
        f"\n          {row['reason']}"
        for row in rows
    ]
    return show(given, rows, "\n".join(lines) or "No refusal of a program of yours is remembered.")


def _stop(given: Arguments) -> int:
    try:
        pid = connect(start=False).ask("stop")["pid"]
    except Absent:
        print("no engine runs for this pool")
        return 0
    print(f"engine {pid} leaves")
    return 0


def _config_show(given: Arguments) -> int:
    from hsm import config

    where = home()
    pool = "/var/lib/adyton" if where.system else where.path
    rows = [{"setting": "home", "value": where.path, "from": where.source, "meaning": "the pool's folder"}]
    try:
        values = config.read(pool)
    except ValueError as fault:
        raise Failure(f"{fault}\nMend that line, or take it out.") from None
    rows += [
        {"setting": v.setting.name, "value": v.text, "from": v.source, "meaning": v.setting.meaning} for v in values
    ]
    return show(given, rows, table(rows, ("setting", "value", "from", "meaning")))


def _commands() -> tuple[Command, ...]:
    from hsm.cli import partition, programs, serving

    return (
        Command("module-path", "print the path of the PKCS#11 library",
                'pkcs11-tool --module "$(adyton module-path)" -L', (), _module_path),
        Command("install-module", "link the library where programs look for it, with a p11-kit module file",
                "adyton install-module --dir ~/pkcs11", programs.INSTALL_ARGUMENTS, programs.install_module),
        Command("status", "the pool, its engine, its partitions, or what keeps them from working",
                "adyton status --json", (JSON,), _status),
        *partition.COMMANDS,
        Command("serve", "run the engine in the foreground, or on a socket of systemd's",
                "adyton serve --print-unit > /etc/systemd/system/adyton.service", serving.SERVE_ARGUMENTS,
                serving.serve),
        Command("stop", "let the pool's engine leave", "adyton stop", (), _stop),
        Command("config show", "each setting, its value and where it comes from", "adyton config show --json", (JSON,),
                _config_show),
        Command("explain", "why the engine refused the last calls of your programs, in words", "adyton explain",
                (option("--pid", type=int, help="only of this process"), JSON), _explain),
        Command("run", "give a command a throw-away token of its own",
                "adyton run -- sh -c 'pkcs11-tool --module $ADYTON_MODULE --login --pin $ADYTON_PIN -O'",
                programs.RUN_ARGUMENTS, programs.run),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="adyton", description="A managed HSM that fits on your machine.",
        epilog='example: pkcs11-tool --module "$(adyton module-path)" --init-token --slot 0 --label demo',
    )
    parser.add_argument("--version", action="version", version=f"adyton {__version__}")
    groups = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    for command in _commands():
        group, _, word = command.words.rpartition(" ")
        if group not in groups:
            words = f"see adyton {group} --help"
            above = groups[""].add_parser(group, help=words, epilog=f"example: {command.example}")
            groups[group] = above.add_subparsers(metavar="COMMAND", required=True)
        one = groups[group].add_parser(
            word, help=command.meaning, description=command.meaning, epilog=f"example: {command.example}"
        )
        for names, more in command.arguments:
            one.add_argument(*names, **more)
        one.set_defaults(run=command.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    try:
        return int(given.run(given))
    except Failure as failure:
        print(f"adyton: {failure}", file=sys.stderr)
    except Absent:
        words = f"no engine runs for the pool {home().path}, and none could be started.\nSee: adyton status"
        print(f"adyton: {words}", file=sys.stderr)
    except Refused as refusal:
        print(f"adyton: {refusal}", file=sys.stderr)
    except BrokenPipeError:
        pass
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
