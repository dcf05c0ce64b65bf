"""Tries attacks, each in a process of its own that ends with it: a module that crashes or hangs takes nothing along."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from abi import Module
from attacks import chapters
from attacks.attack import ATTACKS, Held, fresh

from hsm.client import Client
from hsm.throwaway import ThrowAway

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PATIENCE = 60.0


class Outcome(NamedTuple):
    """``fell``: what the attacker got; ``held``: the step that the token refused; ``fault``: the attack itself broke,
    or the module did."""

    fell: str = ""
    held: str = ""
    fault: str = ""


def tried(name: str, module: str) -> Outcome:
    """One attack on the module as the environment has it set up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(_here(name, module)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    told = b""
    while select.select([reading], [], [], PATIENCE)[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        told += part
    else:
        os.kill(child, signal.SIGKILL)
        told = json.dumps(Outcome(fault="it hangs")).encode()
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and not told:
        return Outcome(fault=f"the module crashes: {signal.Signals(os.WTERMSIG(status)).name}")
    return Outcome(*json.loads(told))


def _here(name: str, module: str) -> Outcome:
    try:
        got = ATTACKS[name].run(fresh(Module(module)))
    except Held as step:
        return Outcome(held=str(step))
    except Exception as fault:
        import traceback

        return Outcome(fault="".join(traceback.format_exception(fault))[-2000:])
    return Outcome(fell=got) if got else Outcome(held="nothing came of it")


@contextmanager
def token(kind: str) -> Iterator[str]:
    """The module of a token of that kind, and the environment that it wants."""
    before = dict(os.environ)
    try:
        if kind == "SoftHSM2":
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "tokens").mkdir()
                Path(folder, "conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
                os.environ["SOFTHSM2_CONF"] = f"{folder}/conf"
                made = ["--init-token", "--free", "--label", "attacked", "--so-pin", "12345678", "--pin", "1234-old"]
                subprocess.run(["softhsm2-util", *made], check=True, capture_output=True)
                yield SOFTHSM
        else:
            with ThrowAway(so_pin="12345678") as made_token:
                os.environ.update(made_token.environment)
                if kind != "default":
                    with Client(made_token.home) as client:
                        client.ask("partition-set", slot=0, profile=kind, **{"as": "so", "pin": made_token.so_pin})
                yield made_token.module
    finally:
        os.environ.clear()
        os.environ.update(before)


def main(kind: str, *names: str) -> None:
    """In tests/, ``python -m attacks.tried default|compatible|SoftHSM2 [NAME|CHAPTER ...]``: a line for each attack."""
    for name in [n for n, a in ATTACKS.items() if not names or n in names or a.chapter in names]:
        with token(kind) as module:
            outcome = tried(name, module)
        print(
            f"{name:45} {(outcome.fell and 'FELL ' + outcome.fell) or outcome.held or 'FAULT ' + outcome.fault}",
            flush=True,
        )


if __name__ == "__main__":
    assert chapters
    main(*sys.argv[1:])
