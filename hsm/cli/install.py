"""Where programs find the library: its path, or a link with a p11-kit module file and settings beside."""

from __future__ import annotations

import os
from pathlib import Path

from hsm.cli.command import Arguments, Failure, show
from hsm.client import MODULE, SYSTEM_FOLDER
from hsm.config import MACHINE_SETTINGS, SETTINGS


def _built() -> Path:
    if not MODULE.exists():
        raise Failure(f"{MODULE} is missing: install adyton again (a checkout: python -m pkcs11_shim.build)")
    return MODULE


def module_path(given: Arguments) -> int:
    print(_built())
    return 0


def install_module(given: Arguments) -> int:
    libraries, modules, settings = _folders(given.dir)
    link, module = libraries / MODULE.name, modules / "adyton.module"
    for_everybody = os.geteuid() == 0 and not given.dir
    try:
        if for_everybody:
            os.umask(0o022)  # whatever root's own is: every user's library and engine read all of this
        for folder in (libraries, modules):
            folder.mkdir(parents=True, exist_ok=True)
        settings.parent.mkdir(mode=0o777 if given.dir or for_everybody else 0o700, parents=True, exist_ok=True)
        if for_everybody:
            settings.parent.chmod(0o755)
        _link(link)
        module.write_text(f"# Adyton, for p11-kit\nmodule: {link}\n")
        if not settings.exists():
            settings.write_text(_settings_template(given.dir))
    except OSError as fault:
        words = f"{fault.filename}: {fault.strerror}\nGive a folder you may write to: adyton install-module --dir DIR"
        raise Failure(words) from None
    made = {"module": str(link), "p11_kit": str(module), "settings": str(settings)}
    words = f"{link}\n{module}\n{settings}"
    if given.dir:
        words += f"\np11-kit reads /etc/pkcs11/modules and ~/.config/pkcs11/modules: link {module.name} there"
    return show(given, made, words)


def _folders(chosen: str | None) -> tuple[Path, Path, Path]:
    """For the library's link, p11-kit's module file, and the settings file itself."""
    if chosen:
        folder = Path(chosen).expanduser().absolute()
        return folder, folder, folder / "adyton.conf"
    if os.geteuid() == 0:
        return Path("/usr/local/lib/pkcs11"), Path("/etc/pkcs11/modules"), Path(MACHINE_SETTINGS)
    from hsm.client import home

    own = Path.home()
    return own / ".local/lib/pkcs11", own / ".config/pkcs11/modules", Path(home().path) / "adyton.conf"


def _link(link: Path) -> None:
    """Replaces an old link at once, so that a program never finds none."""
    target = _built()
    unfinished = link.with_suffix(f".{os.getpid()}")
    unfinished.symlink_to(target)
    os.replace(unfinished, link)


def _settings_template(chosen: str | None) -> str:
    lines = ["# Adyton. Every line is a setting's default; take the # away to change it."]
    if chosen:
        lines.append(f"# It counts as adyton.conf in a pool's folder, or for the whole machine as {MACHINE_SETTINGS}.")
    lines += [f"# {row.meaning}\n# {row.name} = {row.default}" for row in SETTINGS]
    lines.append("# no default: the pool's folder, in the machine's file only; this is the system pool's\n"
                 f"# home = {SYSTEM_FOLDER}")
    return "\n".join(lines) + "\n"
