from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import Machine
from ordinary_user import OrdinaryUser
from recipe import PROGRAMS, blocks, follow
from system_pool import ADYTON, REACHABLE, SystemPool


@pytest.fixture
def system(tmp_path: Path) -> Iterator[SystemPool]:
    """A machine with the system pool installed on it, not yet served."""
    with Machine(*REACHABLE) as machine:
        made = SystemPool(machine, tmp_path)
        made.install()
        yield made


RECIPES = Path(__file__).parent / "recipes"


@pytest.fixture
def follow_recipe(newcomer: dict[str, str], tmp_path: Path) -> Callable[[str], list[str]]:
    """Follows a page of recipes/ as somebody who has the token that its README makes; returns what each block said."""
    follow(RECIPES / "README.md", newcomer, tmp_path, "sh")
    return lambda name: follow(RECIPES / f"{name}.md", newcomer, tmp_path, *PROGRAMS, timeout=110)


@pytest.fixture
def follow_on_machine(system: SystemPool) -> Callable[[str], list[str]]:
    """The same, as root on a machine with the system pool."""
    def follow_page(name: str) -> list[str]:
        path = f"{Path(ADYTON).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        return [
            system.machine.run("env", "--chdir=/root", f"PATH={path}", *PROGRAMS[language], block)
            for language, block in blocks(RECIPES / f"{name}.md", *PROGRAMS)
        ]

    system.serve()
    follow_page("README")
    return follow_page


@pytest.fixture
def alice() -> Iterator[OrdinaryUser]:
    """She has the token that the README of recipes/ makes."""
    with Machine(*REACHABLE) as machine:
        user = OrdinaryUser(machine)
        user.follow(RECIPES / "README.md")
        yield user
