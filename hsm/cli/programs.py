"""The commands around other programs: install the module for them, run one with a token of its own."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from pathlib import Path

from hsm.cli.command import Failure, option
from hsm.client import MODULE

INSTALL_ARGUMENTS = (
    option("--dir", metavar="DIR", help="put everything there (default: the folders of p11-kit)"),
)
RUN_ARGUMENTS = (
    option("--label", default="throw-away", help="the token's label"),
    option("--pin", default="", help="the user PIN (default: a random one); this token guards nothing"),
    option("--so-pin", default="", help="the SO PIN (default: a random one)"),
    option("command", nargs="+", metavar="COMMAND", help="after --: the command and its arguments"),
)


def install_module(given: argparse.Namespace) -> int:
    if not MODULE.exists():
        raise Failure(f"{MODULE} is not built.\nBuild it: python -m pkcs11_shim.build")
    if given.dir:
        libraries = modules = Path(given.dir).expanduser().resolve()
    elif os.geteuid() == 0:
        libraries, modules = Path("/usr/local/lib/pkcs11"), Path("/etc/pkcs11/modules")
    else:
        libraries = Path.home() / ".local/lib/pkcs11"
        modules = Path.home() / ".config/pkcs11/modules"
    settings = Path("/etc/adyton") if os.geteuid() == 0 and not given.dir else libraries
    try:
        for folder in (libraries, modules, settings):
            folder.mkdir(parents=True, exist_ok=True)
        link = libraries / MODULE.name
        link.unlink(missing_ok=True)
        link.symlink_to(MODULE)
        (modules / "adyton.module").write_text(f"# Adyton, for p11-kit\nmodule: {link}\n")
        written = [link, modules / "adyton.module"]
        if not (settings / "adyton.conf").exists():
            (settings / "adyton.conf").write_text(_settings_template())
            written.append(settings / "adyton.conf")
    except OSError as fault:
        raise Failure(f"{fault}\nGive a folder you may write to: adyton install-module --dir DIR") from None
    print("\n".join(map(str, written)))
    return 0


def _settings_template() -> str:
    from hsm.config import SETTINGS

    lines = ["# Adyton. Every line is a setting's default; take the # away to change it.", "# home = /var/lib/adyton"]
    return "\n".join([*lines, *(f"# {row.meaning}\n# {row.name} = {row.default}" for row in SETTINGS)]) + "\n"


def run(given: argparse.Namespace) -> int:
    from hsm.throwaway import ThrowAway

    with ThrowAway(given.label, given.pin, given.so_pin) as token:
        try:
            child = subprocess.Popen(given.command, env={**os.environ, **token.environment})
        except OSError as fault:
            raise Failure(f"{given.command[0]}: {fault.strerror}") from None
        # What we are told to stop by is the command's to decide on; a terminal's ^C reaches it by itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
        code = child.wait()
    return 128 - code if code < 0 else code
