from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from abi import Module, initialised, logged_in

pytest.register_assert_rewrite("matrix", "matrix_cells", "matrix_cells_of_keys", "matrix_cells_of_states")


@pytest.fixture
def m(adyton_token: Any) -> Iterator[Module]:
    """The library, initialised, with a token of its own."""
    with initialised(adyton_token.module) as module:
        yield module


@pytest.fixture
def user(adyton_token: Any) -> Iterator[tuple[Module, int]]:
    """The same with a read/write session in which the user is logged in."""
    with logged_in(adyton_token) as opened:
        yield opened


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody with an empty home, and the command adyton in the path."""
    environment = {
        "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8",
        "ADYTON_HOME": str(tmp_path / "pool"),
    }
    yield environment
    subprocess.run(["adyton", "stop"], env=environment, check=True, capture_output=True)
