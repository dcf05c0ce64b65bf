"""Why a pool shows no token: what the library can only answer with a code, in words and with what to do."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from hsm.client import MODULE, Home


def problems(where: Home) -> list[str]:
    """Each with its remedy. Empty: a program that asks for slots now would get them."""
    found = []
    if not MODULE.exists():
        found.append(f"{MODULE} is missing. Build it: python -m pkcs11_shim.build")
    folder = Path(where.path)
    if where.system:
        remedy = "Start it: systemctl start adyton.socket, or adyton serve --system"
        found.append(f"{folder} is the system pool's, whose engine does not answer. {remedy}")
    elif folder.exists():
        found += _of_folder(folder)
    else:
        found += _of_parent(folder)
    if not os.access(sys.executable, os.X_OK):
        found.append(f"the interpreter {sys.executable} can't be run. Set python= in {folder}/adyton.conf")
    return found


def _of_folder(folder: Path) -> list[str]:
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        return [f"{folder} is no folder. Move it away, or set ADYTON_HOME"]
    if status.st_uid != os.geteuid():
        return [f"{folder} belongs to another user, so no engine is started there. Set ADYTON_HOME to one of your own"]
    if status.st_mode & 0o022:
        return [f"{folder} may be written by others, who could read PINs there. Mend it: chmod 700 {folder}"]
    if not os.access(folder, os.W_OK):
        return [f"{folder} can't be written. Set ADYTON_HOME to a folder on a writable disk"]
    return _of_disk(folder) + _of_log(folder)


def _of_parent(folder: Path) -> list[str]:
    parent = next(p for p in folder.parents if p.exists())
    if os.access(parent, os.W_OK):
        return []
    return [f"{folder} is not there and {parent} can't be written. Set ADYTON_HOME to a folder that can"]


def _of_disk(folder: Path) -> list[str]:
    room = os.statvfs(folder)
    if room.f_flag & os.ST_RDONLY:
        return [f"{folder} is on a read-only disk. Set ADYTON_HOME to a folder on a writable one"]
    if room.f_bavail * room.f_frsize < 1 << 20:
        return [f"the disk of {folder} is full. Make room: nothing stored was lost"]
    return []


def _of_log(folder: Path) -> list[str]:
    """The engine's own last words, if its last start failed."""
    try:
        lines = (folder / "engine.log").read_text(errors="replace").splitlines()[-1:]
    except OSError:
        return []
    return [f"the engine's last start failed: {line} (whole log: {folder}/engine.log)" for line in lines
            if not line.startswith("adyton: engine ")]
