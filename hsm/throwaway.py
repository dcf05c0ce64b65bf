"""A pool for one occasion: in memory, cheap PINs, gone with its engine when the occasion ends.

``adyton run`` and the pytest fixture are made of it. It guards nothing: its PINs are in the environment.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from hsm.client import MODULE, Absent, Client, Unusable, bind
from hsm.confinement.sweeping import ENVIRONMENT

_LAUNCHER = Path(__file__).resolve().parent / "server" / "launcher.py"


class ThrowAway:
    """A fresh token: ``module``, ``label``, ``pin``, ``so_pin``, ``uri``, and ``environment`` for programs.
    ``test_clock``: with a clock that ``advance`` moves."""

    def __init__(
        self, label: str = "throw-away", pin: str = "", so_pin: str = "", *, test_clock: bool = False
    ) -> None:
        self._more = ["--test-clock"] if test_clock else []
        self.label = label
        self.pin = pin or f"{secrets.randbelow(10**8):08}"
        self.so_pin = so_pin or f"{secrets.randbelow(10**8):08}"
        self.module = str(MODULE)
        self.home = ""
        self._engine: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        token, pin = quote(self.label, safe=""), quote(self.pin, safe="")
        return f"pkcs11:token={token}?module-path={quote(self.module)}&pin-value={pin}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ADYTON_HOME": self.home, "ADYTON_MODULE": self.module, "ADYTON_LABEL": self.label,
            "ADYTON_PIN": self.pin, "ADYTON_SO_PIN": self.so_pin, "ADYTON_URI": self.uri,
        }

    def start(self) -> Self:
        self.home = tempfile.mkdtemp(prefix="adyton-")
        try:
            self._launch()
            with Client(self.home) as client:
                client.ask("init", slot=0, label=self.label, so_pin=self.so_pin, pin=self.pin)
        except Absent:
            raise Unusable(self._last_words()) from None
        except BaseException:
            self.stop()
            raise
        return self

    def _last_words(self) -> str:
        lines = Path(self.home, "engine.log").read_text(errors="replace").splitlines()
        self.stop()
        return (lines or ["the engine ended without a word"])[-1].removeprefix("adyton: ")

    def _launch(self) -> None:
        with bind(self.home, 0o600) as listening:
            # The engine leaves with us, and takes the folder along: a killed test run leaves nothing behind.
            command = [
                sys.executable, "-I", str(_LAUNCHER), "--home", self.home, "--memory", "--cheap-pin", "--idle", "0",
                "--parent", str(os.getpid()), "--listen", str(listening.fileno()), *self._more,
            ]
            with open(f"{self.home}/engine.log", "ab") as log:
                self._engine = subprocess.Popen(
                    command, env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=log, pass_fds=[listening.fileno()], start_new_session=True,
                )

    def advance(self, seconds: int) -> None:
        """Moves the token's clock; what falls due by that is done before this returns."""
        with Client(self.home) as client:
            client.ask("clock-advance", seconds=seconds)

    def stop(self) -> None:
        if self._engine is not None:
            self._engine.send_signal(signal.SIGKILL)
            self._engine.wait()
            self._engine = None
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
