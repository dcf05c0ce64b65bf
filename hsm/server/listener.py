"""Connections: one thread each, blocking reads, bounded frames.

The first connection of an application is its control connection: hello, links and admin go over it, and its end is
the application's end. Calls go over links, each one end of a socket pair that the engine made (so a host that has
since changed its uid or root goes on). A frame that is not well formed ends the application that sent it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hsm import __version__
from hsm.application import Application
from hsm.confinement.wiping import overwrite_frame
from hsm.cryptoki import general
from hsm.log import report, say
from hsm.pool import Pool
from hsm.server import codec, dispatch
from hsm.server.frames import NoRoom, receive, send, send_with, shut, with_files
from pkcs11_shim import constants as ck

if TYPE_CHECKING:
    from hsm.audit.sinks import Sinks

MAGIC = b"ADYTON\x00\x01"
MAJOR, MINOR = 1, 0
HELLO, LINK, ADMIN = 0xFFFF, 0xFFFE, 0xFFFD
WAIT_FOR_SLOT_EVENT = codec.NAMES.index("C_WaitForSlotEvent")
MOST_LINKS = 64
MANY_LINKS = 32  # more than a library holds: some of them are of calls that were cancelled
_SO_PEERGROUPS = 59  # unix(7)
MOST_GROUPS = 256  # that Python lets getsockopt answer; of who is in more, only the first group counts
TICK = 5.0  # seconds between looks at the clock
SPIN_NS, SPIN_PATIENCE, SPIN_AGAIN = 60_000, 8, 32
_EVENT = struct.Struct("<QQ")  # a return code and a slot
_HELLO = struct.Struct("<8sHHQ32sQ")


class Peers:
    """Who may connect: users, and members of groups. Who may not is said once in the log."""

    def __init__(self, uids: frozenset[int], gids: frozenset[int]) -> None:
        self.uids = uids
        self.gids = gids
        self._refused: set[int] = set()

    def admit(self, connection: socket.socket, uid: int, gid: int) -> bool:
        if uid in self.uids or gid in self.gids or self.gids & self._groups(connection):
            return True
        if uid not in self._refused:
            self._refused.add(uid)
            say(f"user {uid} may not connect: see the settings uids and gids")
        return False

    def _groups(self, connection: socket.socket) -> set[int]:
        """The peer's further groups, as they were when it connected (unix(7), SO_PEERGROUPS)."""
        try:
            raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * MOST_GROUPS)
        except OSError:
            return set()
        return set(struct.unpack(f"{len(raw) // 4}I", raw))


class Listener:
    """Accepts applications until nobody has been there for ``idle`` seconds (0: for ever), and nobody would be kept out
    by its end: officers without a PIN open no sealed partition, but where that is set to be unattended.

    ``peers`` None: the socket's mode says who may connect.
    """

    def __init__(self, pool: Pool, listening: socket.socket, idle: float, peers: Peers | None) -> None:
        self.pool = pool
        pool.catalog = general.catalog
        pool.publish()
        self.listening = listening
        self.idle = idle
        self.peers = peers
        self.lock = threading.Lock()
        self.clients = 0
        self.stopping = False
        self.closed = threading.Event()
        self._wake = os.eventfd(0)
        self.answering = threading.Lock()  # held while somebody is told that this engine makes room
        self.sinks: Sinks | None = None  # where audit records go besides the log
        self.leaving = False  # set by the command line's stop, which is answered first
        self.welcomed = False  # whether any application has been let in
        self.busy: set[socket.socket] = set()
        # For each core that a caller polls on, one that the engine may.
        self.spin = threading.Semaphore(len(os.sched_getaffinity(0)) // 2)

    def serve(self) -> None:
        """Returns once it is time to leave; who comes then is refused, and starts another engine."""
        try:
            self._accept()
        finally:
            self.listening.close()
            self.closed.set()
            self.answering.acquire(timeout=TICK)

    def _accept(self) -> None:
        last = time.monotonic()
        self.listening.setblocking(False)
        coming = select.poll()
        coming.register(self.listening, select.POLLIN)
        coming.register(self._wake, select.POLLIN)
        while not self.stopping:
            if not coming.poll(1000 * min(self.idle or TICK, TICK)):
                if self.clients:
                    last = time.monotonic()
                elif self.idle and time.monotonic() - last >= self.idle and not self.pool.shuts_out:
                    return
                continue
            try:
                connection, _ = self.listening.accept()
            except BlockingIOError:  # gone again, or it is time to stop
                continue
            except OSError as fault:  # no descriptor left: those who are here may go
                report(fault)
                time.sleep(0.1)
                continue
            last = time.monotonic()
            pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if self.peers is not None and not self.peers.admit(connection, uid, gid):
                connection.close()
                continue
            if not _started(self._application, connection, pid, uid):
                connection.close()

    def stop(self) -> None:
        """The socket is not shut down: it may be systemd's, which listens on when this engine has left."""
        self.stopping = True
        os.eventfd_write(self._wake, 1)

    def _application(self, connection: socket.socket, pid: int, uid: int) -> None:
        with self.lock:
            self.clients += 1
        user = self.pool.users.enter(uid)
        app = Application(self.pool, pid, uid, lambda: _hung_up(connection), user)
        with self.pool.lock:
            self.pool.applications.add(app)
        links: list[socket.socket] = []
        try:
            self._control(connection, app, links, welcome=user is not None)
        except (OSError, EOFError, codec.Malformed):
            pass
        finally:
            for link in list(links):
                shut(link)
            connection.close()
            app.end()
            if user is not None:
                self.pool.users.leave(user)
            with self.pool.lock:
                self.pool.applications.discard(app)
            if app.refusals:
                self.pool.departed.append(app)
            with self.lock:
                self.clients -= 1

    def _control(
        self, connection: socket.socket, app: Application, links: list[socket.socket], *, welcome: bool
    ) -> None:
        """``welcome``: whether its user may have another program here."""
        function, _, payload = receive(connection)
        if function != HELLO or len(payload) < _HELLO.size:
            raise codec.Malformed("the first frame must be hello")
        magic, major, _minor, ulong, _digest, _pid = _HELLO.unpack_from(payload)
        rv = ck.CKR_OK if magic == MAGIC and major == MAJOR and ulong == 8 else ck.CKR_DEVICE_ERROR
        if not rv and not welcome:
            rv = ck.CKR_DEVICE_MEMORY
        version = __version__.encode()
        told = struct.pack("<HHQ", MAJOR, MINOR, len(version)) + version + struct.pack("<Q", os.getpid())
        if magic == MAGIC and app.uid == os.geteuid() and self._gives_way(payload[_HELLO.size :]):
            with self.answering:
                self.stop()
                self.closed.wait(TICK)
                send(connection, struct.pack("<Q", ck.CKR_DEVICE_REMOVED) + told)
            return
        if not rv and not self._welcome():
            self.closed.wait(TICK)  # who comes again at once must find no socket of ours
            return
        send_with(connection, struct.pack("<Q", rv) + told, self.pool.epoch.handle)
        if rv:
            return
        while True:
            data, files = with_files(connection)
            try:
                function, _, payload = receive(connection, data)
                if function == LINK:
                    self._open_link(connection, app, links)
                elif function == ADMIN:
                    from hsm.server import admin

                    body = admin.answer(self, app, bytes(payload), files[0] if files else None)
                    overwrite_frame(payload)  # there may be a PIN in it
                    send(connection, body)
                    if self.leaving:
                        self.stop()
                else:
                    raise codec.Malformed("not a frame for the control connection")
            finally:
                for file in files:
                    os.close(file)

    def _gives_way(self, told: memoryview) -> bool:
        """An engine that leaves when idle, and has nobody else, makes room for a better one: a newer library's own, or
        one that can write, where the disk was read-only and is no more. Who was just started serves in any case."""
        theirs = bytes(told[8:]).decode("ascii", "replace")
        better = self.pool.store.outdated or _release(theirs) > _release(__version__)
        if not self.idle or not better or self.pool.shuts_out:
            return False
        with self.lock:
            if not self.welcomed or self.clients > 1:
                return False
            self.stopping = True  # from here on nobody else is let in
            return True

    def _welcome(self) -> bool:
        """Whether an application may still come in: one that an engine lets in and leaves has lost its first call."""
        with self.lock:
            self.welcomed = self.welcomed or not self.stopping
            return not self.stopping

    def _open_link(self, connection: socket.socket, app: Application, links: list[socket.socket]) -> None:
        """One more, unless the engine's limits leave no descriptor or no thread for it: those that are there go on."""
        if len(links) >= MANY_LINKS:
            self.pool.slot_events.wake()
        if len(links) >= MOST_LINKS:
            send(connection, struct.pack("<Q", ck.CKR_DEVICE_MEMORY))
            return
        try:
            ours, theirs = socket.socketpair()
        except OSError as fault:
            report(fault)
            send(connection, struct.pack("<Q", ck.CKR_DEVICE_MEMORY))
            return
        with theirs:
            links.append(ours)
            if _started(self._link, ours, app, links):
                send_with(connection, struct.pack("<Q", ck.CKR_OK), theirs.fileno())
            else:
                links.remove(ours)
                ours.close()
                send(connection, struct.pack("<Q", ck.CKR_DEVICE_MEMORY))

    def _link(self, connection: socket.socket, app: Application, links: list[socket.socket]) -> None:
        """One link's calls. A link that has ended makes place for another."""
        waiting, taken = Waiting(self), 0
        self.pool.slot_events.asked_over(connection)
        try:
            while True:
                try:
                    function, ahead, payload = receive(connection, waiting.first(connection), app)
                    taken = len(payload.obj) if isinstance(payload.obj, bytearray) else 0
                except NoRoom as refused:
                    send(connection, dispatch.no_room(app, refused.function))
                    continue
                if function != WAIT_FOR_SLOT_EVENT:  # which keeps no core
                    self.busy.add(connection)
                try:
                    if ahead:
                        payload = dispatch.go_ahead(app, ahead, payload)
                    body = dispatch.answer(app, function, payload)
                finally:
                    self.busy.discard(connection)
                    if taken:
                        app.give(taken)
                if function in dispatch.SECRET:
                    overwrite_frame(payload)
                try:
                    send(connection, body)
                except OSError:
                    if function == WAIT_FOR_SLOT_EVENT and len(body) == _EVENT.size:
                        rv, slot = _EVENT.unpack(body)
                        if rv == ck.CKR_OK:
                            self.pool.slot_events.unseen(app, slot)
                    raise
        except (OSError, EOFError, codec.Malformed):
            pass
        finally:
            links.remove(connection)
            shut(connection)


class Waiting:
    """How one link waits for its next call: it polls for a moment before it sleeps, where that has been paying off.

    A round trip is mostly wake-up. One link polls at a time, and only where a core is left for the caller.
    """

    __slots__ = ("_listener", "_lost", "_skipped")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._lost = 0
        self._skipped = 0

    def first(self, connection: socket.socket) -> bytes:
        """The next call's first bytes; b"" at the end of the link."""
        if self._lost >= SPIN_PATIENCE:
            self._skipped += 1
            if self._skipped % SPIN_AGAIN:
                return connection.recv(65536)
        if self._listener.busy or not self._listener.spin.acquire(blocking=False):
            return connection.recv(65536)
        try:
            found = self._poll(connection)
        finally:
            self._listener.spin.release()
        self._lost = self._lost + 1 if found is None else max(0, self._lost - 2)
        return connection.recv(65536) if found is None else found

    @staticmethod
    def _poll(connection: socket.socket) -> bytes | None:
        until = time.perf_counter_ns() + SPIN_NS
        while True:
            try:
                return connection.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.perf_counter_ns() > until:
                    return None


def _started(work: Callable[..., None], *arguments: object) -> bool:
    """A thread for ``work``; False where the engine's limits leave none."""
    try:
        threading.Thread(target=work, args=arguments, daemon=True).start()
    except RuntimeError as fault:
        report(fault)
        return False
    return True


def _hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed it, whatever of it is still unread here."""
    asked = select.poll()
    try:
        asked.register(connection, select.POLLRDHUP)
    except (OSError, ValueError):  # closed on this side too
        return True
    return bool(asked.poll(0))


def _release(version: str) -> tuple[int, ...]:
    """1.10.0 is later than 1.9.3, and all are later than what is no version."""
    numbers = version.split(".")
    return tuple(map(int, numbers)) if all(part.isdigit() and len(part) < 10 for part in numbers) else ()
