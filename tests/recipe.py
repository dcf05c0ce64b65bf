"""A page's blocks are its recipe: followed as they stand there, one after the other, in one folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PROGRAMS = {
    "sh": ("bash", "-euo", "pipefail", "-c"),
    "python": ("python", "-c"),
    "javascript": ("node", "-e"),
}


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """The blocks of a page in these languages: language and text of each."""
    named = "|".join(languages)
    return re.findall(rf"^```({named})\n(.*?)^```", page.read_text(), re.M | re.S)


def run(language: str, block: str, environment: dict[str, str], folder: Path, timeout: float = 60) -> str:
    """One block, by a process of its own, which must end well; returns what it said."""
    done = subprocess.run(
        [*PROGRAMS[language], block], env=environment, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
    )
    assert done.returncode == 0, block + done.stdout
    return done.stdout


def follow(
    page: Path, environment: dict[str, str], folder: Path, *languages: str, timeout: float = 60
) -> list[str]:
    """Runs each block; returns what each said."""
    return [run(language, block, environment, folder, timeout) for language, block in blocks(page, *languages)]
