"""Why a pool shows no token: what the library can only answer with a code, in words and with what to do."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

from hsm import config
from hsm.client import MODULE, Home, home, places

ROOM = 256 * 1024


def no_engine() -> str:
    """For a command that needs an engine, and found none."""
    where = home()
    found = problems(where)
    words = "\n".join(found) if found else "A program that uses its slots starts one. See: adyton status"
    return f"no engine runs for the pool {where.path}.\n{words}"


def problems(where: Home) -> list[str]:
    """Each with its remedy. Empty: a program that asks for slots now would get them."""
    found = []
    if not MODULE.exists():
        found.append(f"{MODULE} is missing: install adyton again (a checkout: python -m pkcs11_shim.build)")
    folder = Path(where.path)
    if where.system:
        remedy = "Start it: systemctl start adyton.socket, or adyton serve --system"
        return [*found, f"{folder} is the system pool's, whose engine does not answer. {remedy}"]
    try:
        found += _of_folder(folder, folder.stat())
    except (FileNotFoundError, NotADirectoryError):
        found += _of_parent(folder)
    except OSError as fault:
        found.append(f"{folder} can't be reached: {fault.strerror}. Set ADYTON_HOME to a folder of your own")
    return found


def of_running(told: dict[str, Any]) -> list[str]:
    """What hinders an engine that runs."""
    problems: list[str] = told["problems"]
    if told["in_memory"]:
        return problems
    damage = [f"damage in {words}" for words in told["damage"]] + problems
    if told["write_protected"]:
        damage.append("the pool's disk is read-only: keys can be used, nothing can be changed, no SO logs in")
    else:
        damage += _full(told["home"])
    # The system pool's clients may not look into its folder, and can't tell: its engine can read what they can't.
    broken = _of_settings(Path(told["home"])) if os.access(told["home"], os.X_OK) else []
    return damage + [f"the engine runs, but will not start again: {words}" for words in broken]


def _of_folder(folder: Path, status: os.stat_result) -> list[str]:
    if not stat.S_ISDIR(status.st_mode):
        return [f"{folder} is no folder. Move it away, or set ADYTON_HOME"]
    if status.st_uid != os.geteuid():
        return [f"{folder} belongs to another user, so no engine is started there. Set ADYTON_HOME to one of your own"]
    if status.st_mode & 0o022:
        return [f"{folder} may be written by others, who could read PINs there. Mend it: chmod 700 {folder}"]
    return _of_settings(folder) or _of_disk(folder) + _of_log(folder)


def _of_settings(folder: Path) -> list[str]:
    try:
        config.engine_settings(str(folder))
    except config.Wrong as fault:
        return [f"{fault}. {fault.remedy}"]
    return []


def _of_parent(folder: Path) -> list[str]:
    parent = next(p for p in folder.parents if p.exists())
    if not parent.is_dir():
        return [f"{parent} is no folder, so {folder} can't be made. Move it away, or set ADYTON_HOME"]
    if os.statvfs(parent).f_flag & os.ST_RDONLY:
        return [f"{folder} is not there, and its disk is read-only. Set ADYTON_HOME to a folder on a writable one"]
    if not os.access(parent, os.W_OK | os.X_OK):
        return [f"{folder} is not there and {parent} can't be written. Set ADYTON_HOME to a folder that can"]
    return _full(str(parent))


def _of_disk(folder: Path) -> list[str]:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        if not (folder / "pool.db").exists():
            return [f"{folder} is on a read-only disk, with no pool on it. Set ADYTON_HOME to a folder on another one"]
        if len(list(places(str(folder)))) < 2:
            return [f"{folder} is on a read-only disk, so the engine's socket has no place. Set XDG_RUNTIME_DIR"]
        return []
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"{folder} can't be written. Mend it: chmod 700 {folder}"]
    return _full(str(folder))


def _full(folder: str) -> list[str]:
    disk = os.statvfs(folder)
    if not disk.f_blocks or disk.f_bavail * disk.f_frsize >= ROOM:  # no blocks: a file system that counts none
        return []
    return [f"the disk of {folder} is full. Make room: nothing stored was lost, and changes are taken again then"]


def _of_log(folder: Path) -> list[str]:
    """The engine's own last words, if its last start failed."""
    for place in map(Path, places(str(folder))):
        try:
            with open(place / "engine.log", errors="replace") as log:
                last = log.read().splitlines()[-1]
                then = time.strftime("%H:%M:%S on %d %B", time.localtime(os.fstat(log.fileno()).st_mtime))
        except (OSError, IndexError):
            continue
        if last.startswith("adyton: no engine for "):
            words = f"the engine's last start, at {then}, failed: {last.removeprefix('adyton: ')}"
            return [f"{words} (whole log: {place}/engine.log). If that is mended, the next program starts one"]
    return []
