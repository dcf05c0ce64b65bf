"""Work that keeps a core for long, done with less claim on it than the calls that are done in a moment.

A thread can make itself nicer, and never less nice again (setpriority(2)), so such work has a thread for the occasion.
Without it, a handful of programs that make RSA keys let everybody else's calls wait for a core, most of all those that
wait for whoever holds the interpreter's lock and has lost its core meanwhile. Among themselves such threads share what
is left: nobody's large key keeps another's small one waiting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

NICER = 10
R = TypeVar("R")


def unhurried(work: Callable[[], R]) -> R:
    """What ``work`` returns or raises. Where no thread can be had, it is done here and now."""
    results: list[R] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICER)
        except OSError:  # done all the same
            pass
        try:
            results.append(work())
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return work()
    thread.join()
    if faults:
        raise faults[0]
    return results[0]
