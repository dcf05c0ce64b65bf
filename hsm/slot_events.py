"""Slot events (section 5.5.4): a token has come, gone or been initialised.

An event is the time of the last change in its slot; it is new to an application that has not been told of one as late.
So several changes count once, each application sees each once, and nothing is kept for who never asks. The application
that made a change knows of it.

Who waits is a client like others, for whom the engine stays: the event would happen in one that it is not connected to.
A caller that was cancelled has closed its link, which nobody reads while its thread sleeps here: ``wake`` has it look.
A call that loses its engine has failed; to the next one, in the engine that follows, every slot has an event.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsm.application import Application

SINCE_THE_START = 1  # of slots that this engine started with: new to who had another engine before


class SlotEvents:
    """``next`` is asked by the thread of a link, which may sleep here until its application ends."""

    def __init__(self, slots: Iterable[int]) -> None:
        self._changed = threading.Condition()
        self._last = dict.fromkeys(slots, SINCE_THE_START)
        self._asking = threading.local()

    def asked_over(self, link: socket.socket) -> None:
        """The link whose calls this thread serves."""
        self._asking.link = link

    def _hung_up(self) -> bool:
        link: socket.socket | None = getattr(self._asking, "link", None)
        try:
            return link is not None and not link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def happened(self, slot: int, app: Application) -> None:
        """After the commit, and before it is answered."""
        with self._changed:
            self._last[slot] = app.slots_seen[slot] = time.monotonic_ns()
            self._changed.notify_all()

    def next(self, app: Application, *, since: int, blocks: bool) -> int | None:
        """A slot with an event later than ``since``, the monotonic time of the application's C_Initialize."""
        with self._changed:
            while True:
                for slot, last in self._last.items():
                    if last > app.slots_seen.get(slot, since):
                        app.slots_seen[slot] = last
                        return slot
                if not blocks or app.ended or self._hung_up():
                    return None
                self._changed.wait()

    def unseen(self, app: Application, slot: int) -> None:
        """The answer that told of this event reached nobody: the caller was cancelled meanwhile."""
        with self._changed:
            app.slots_seen[slot] = 0
            self._changed.notify_all()

    def wake(self) -> None:
        """An application or a caller has gone, whose thread may sleep in ``next``."""
        with self._changed:
            self._changed.notify_all()
