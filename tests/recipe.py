"""A page's ``sh`` blocks are its recipe: followed as they stand there, one after the other, in one folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def blocks(page: Path, language: str = "sh") -> list[str]:
    """The blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def follow(page: Path, environment: dict[str, str], folder: Path, *, timeout: float = 60) -> list[str]:
    """Runs each block by a bash of its own, which must end well; returns what each said."""
    told = []
    for recipe in blocks(page):
        script = ["bash", "-euo", "pipefail", "-c", recipe]
        done = subprocess.run(
            script, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
        )
        assert done.returncode == 0, recipe + done.stdout
        told.append(done.stdout)
    return told
