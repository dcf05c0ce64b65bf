"""``adyton run``: a command with a token of its own, both gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from types import FrameType

from hsm.cli.command import Arguments, Failure
from hsm.throwaway import ThrowAway

_FORWARDED = (signal.SIGTERM, signal.SIGHUP)
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_PR_SET_PDEATHSIG = 1


def run(given: Arguments) -> int:
    words = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not words:
        raise Failure("there is no command to run, as in: adyton run -- make test", 2)
    with ThrowAway(given.label, given.pin, given.so_pin, test_clock=given.test_clock) as token:
        code = _run(words, {**os.environ, **token.environment})
    return 128 - code if code < 0 else code


def _run(words: list[str], environment: dict[str, str]) -> int:
    """What we are told to stop by is the command's to decide on; a terminal's ^C reaches it by itself. A command whose
    token went away, since we were killed, is told to end."""
    import ctypes

    libc = ctypes.CDLL(None)
    ours = os.getpid()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _OF_THE_TERMINAL}
    # A signal that comes before the command is there waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)

    def become_command() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != ours:
            os._exit(1)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if handler == signal.SIG_IGN else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)

    try:
        child = subprocess.Popen(words, env=environment, preexec_fn=become_command)
    except OSError as fault:
        raise Failure(f"{words[0]} can't be run: {fault.strerror}", 127 if fault.errno == 2 else 126) from None

    def forward(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    return child.wait()
