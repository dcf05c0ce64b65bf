"""The pool at a glance, its settings, and why its engine refused."""

from __future__ import annotations

import os
from typing import Any

from hsm import __version__
from hsm.cli.command import COLUMNS, Arguments, Failure, cell, show, table
from hsm.cli.login import in_words
from hsm.client import MODULE, SYSTEM_FOLDER, Absent, Client, Refused, Unusable, connect, home
from hsm.config import SYSTEM_HOME

_PATIENCE_MS = 30_000


def status(given: Arguments) -> int:
    from hsm.cli import diagnosis

    if given.security:
        return _security(given)

    where = home()
    data: dict[str, Any] = {
        "pool": where.path, "pool_from": where.source, "socket": f"{where.path}/socket", "module": str(MODULE),
        "version": __version__, "engine": None, "you": None, "sessions": 0, "objects": 0, "partitions": [],
        "problems": [],
    }
    try:
        with connect(start=False) as client:
            told = client.ask("status")
            data["you"] = _you(client)
            data["socket"] = f"{client.folder}/socket"
    except Absent:
        data["problems"] = diagnosis.problems(where)
    except Unusable as fault:
        data["problems"] = [str(fault)]
    else:
        data["partitions"] = told.pop("partitions")
        data["engine"] = told
        for total in ("sessions", "objects"):
            data[total] = sum(row[total] for row in data["partitions"])
        data["problems"] = diagnosis.of_running(told)
    return show(given, data, _in_words(data)) or (1 if data["problems"] and not data["engine"] else 0)


def _security(given: Arguments) -> int:
    """The measures that the engine tells of, and its door, as it is seen from here."""
    with connect(start=False) as client:
        rows = client.ask("security")["measures"]
        rows.append(_door(f"{client.folder}/socket"))
    lines = [f"{row['in_force']:7} {row['measure']:16} {cell(row['found'])}" for row in rows]
    advice = [f"{row['measure']}: {cell(row['remedy'])}" for row in rows if row["remedy"]]
    known = [f"{row['measure']:16} {row['wanted']} ({row['known_by']})" for row in rows]
    text = "\n".join(["in force", *lines, "", "what is wanted, and how it is known", *known])
    return show(given, rows, "\n".join([text, "", "what to do", *advice]) if advice else text)


def _door(path: str) -> dict[str, Any]:
    import stat

    status, folder = os.stat(path), os.stat(os.path.dirname(path))
    modes = [stat.S_IMODE(told.st_mode) for told in (status, folder)]
    closed = not status.st_mode & stat.S_IRWXO and not folder.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
    return {
        "measure": "socket", "wanted": "others of the machine don't even reach it, nor put another in its place",
        "in_force": "yes" if closed else "no",
        "found": f"{path}, mode {modes[0]:04o}, in a folder of mode {modes[1]:04o}",
        "known_by": "stat", "remedy": "" if closed else f"chmod o-rwx {path}; chmod go-w its folder", "ours": True,
    }


def _you(client: Client) -> dict[str, Any] | None:
    """An engine of an earlier version, which still runs, knows of no officers."""
    try:
        return client.ask("whoami")
    except Refused:
        return None


def _custody(told: dict[str, Any]) -> str:
    """Of the security domain, in a line."""
    if not told["activated"]:
        return "nobody's, and no backup: adyton security-domain download"
    words = f"{len(told['custodians'])} people's, of whom {told['required']} can open it"
    missing = ", ".join(map(str, told["missing"]))
    return f"{words}; not yet partition {missing}, which nobody has opened since" if missing else words


def _in_words(data: dict[str, Any]) -> str:
    engine = data["engine"]
    kept = "" if engine is None else ", in memory" if engine["in_memory"] else ", on disk"
    lines = [
        f"pool     {data['pool']} (from {data['pool_from']}{kept})",
        f"module   {data['module']}, version {data['version']}",
    ]
    if engine:
        programs = f"{engine['applications']} program{'s' * (engine['applications'] != 1)}"
        lines.append(f"engine   pid {engine['pid']}, version {engine['version']}, serving {programs}")
        lines.append(f"socket   {data['socket']}")
        if "security" in engine:  # which an engine of an earlier version does not tell of
            told = engine["security"]
            lines.append(f"guarded  {told['in_force']} of {told['wanted']} measures in force: adyton status --security")
        lines += [
            f"user     {row['uid']} has {row['programs']} of these programs, which hold {row['bytes'] >> 20} MiB"
            for row in engine.get("users", ())
        ]
        lines += [f"you      {words}" for words in in_words(data["you"] or {"officers": []})]
        if engine.get("security_domain"):
            lines.append(f"custody  {_custody(engine['security_domain'])}")
        if engine.get("test_clock"):
            at = engine["test_clock"][:19]
            lines.append(f"clock    a test clock, which stands at {at}Z: adyton clock advance moves it")
    elif not data["problems"]:
        lines.append("engine   not running; the library starts it when a program asks for its slots")
    lines += [f"problem  {words}" for words in data["problems"]]
    return "\n".join([*lines, "", table(data["partitions"], COLUMNS)] if engine else lines)


def create(given: Arguments) -> int:
    """A pool is made by itself where a program asks for one; this is for one that is to be different."""
    from hsm.pool import Pool

    where = home()
    if os.path.exists(f"{where.path}/pool.db"):
        raise Failure(f"{where.path} holds a pool already: give another folder by ADYTON_HOME")
    os.makedirs(where.path, mode=0o700, exist_ok=True)
    Pool(where.path, test_clock=given.test_clock).close()
    kind = ", with a test clock for as long as it is there" if given.test_clock else ""
    return show(given, {"pool": where.path, "test_clock": given.test_clock}, f"pool {where.path} made{kind}")


def clock_show(given: Arguments) -> int:
    with connect(start=True) as client:
        told = client.ask("clock-show")
    words = "a test clock: adyton clock advance moves it" if told["test_clock"] else "the machine's clock"
    return show(given, told, f"{told['now'][:19]}Z, {words}")


def clock_advance(given: Arguments) -> int:
    from hsm.cli.times import span

    with connect(start=True) as client:
        told = client.ask("clock-advance", seconds=span(given.by))
    return show(given, told, f"{told['now'][:19]}Z; what fell due by that is done")


def stop(given: Arguments) -> int:
    """Ends once the engine has."""
    import select

    try:
        with connect(start=False) as client:
            pid = client.ask("status")["pid"]
            watched = os.pidfd_open(pid)
            client.ask("stop")
    except Absent:
        return show(given, {"stopped": None}, "no engine runs for this pool")
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    if not poll.poll(_PATIENCE_MS):
        raise Failure(f"engine {pid} was told to leave, and is still there. Its log: {home().path}/engine.log")
    return show(given, {"stopped": pid}, f"engine {pid} has left")


def explain(given: Arguments) -> int:
    import time

    with connect(start=False) as client:
        rows = client.ask("explain")["refusals"]
    rows = [row for row in rows if given.pid is None or row["pid"] == given.pid]
    lines = [
        f"{time.strftime('%H:%M:%S', time.localtime(row['time']))}  pid {row['pid']}  {row['function']}: {row['code']}"
        f"\n          {cell(row['reason'])}{_denied(row)}"
        for row in rows
    ]
    none = "No refusal of a program of yours is remembered; what the library answers by itself is none of these."
    return show(given, rows, "\n".join(lines) or none)


def _denied(row: dict[str, Any]) -> str:
    """What no role gives, where, and what would mend it, a line each."""
    told = {"data action": row.get("action"), "scope": row.get("scope"), "remedy": row.get("remedy")}
    return "".join(f"\n          {name:12} {cell(value)}" for name, value in told.items() if value)


def config_show(given: Arguments) -> int:
    from hsm import config

    where = home()
    folder = SYSTEM_HOME if where.path == SYSTEM_FOLDER else where.path
    rows = [{"setting": "home", "value": where.path, "from": where.source, "meaning": "the pool's folder"}]
    try:
        values = config.read(folder)
        for value in values:
            value.parsed()
    except config.Wrong as fault:
        raise Failure(f"{fault}\n{fault.remedy}.") from None
    rows += [
        {"setting": v.setting.name, "value": v.text, "from": v.source, "meaning": v.setting.meaning} for v in values
    ]
    how = f"To change one, write a line NAME = VALUE into {folder}/adyton.conf; the next engine obeys it: adyton stop"
    return show(given, rows, f"{table(rows, ('setting', 'value', 'from', 'meaning'))}\n\n{how}")
