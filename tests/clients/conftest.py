from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import Machine
from system_pool import REACHABLE, SystemPool


@pytest.fixture
def system(tmp_path: Path) -> Iterator[SystemPool]:
    """A machine with the system pool installed on it, not yet served."""
    with Machine(*REACHABLE) as machine:
        made = SystemPool(machine, tmp_path)
        made.install()
        yield made
