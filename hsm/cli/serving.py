"""``adyton serve``: this process becomes a pool's engine, for systemd, for a container, or in a terminal.

The system pool is the one that needs it: its engine is the user adyton's, its store that user's alone, and its socket
open to a group, so that programs of several users (nginx as root, its workers as www-data) reach the same keys.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import socket
import sys
from pathlib import Path

from hsm.cli.command import Arguments, Failure
from hsm.client import SYSTEM_FOLDER, Absent, Client, Unusable, bind, home
from hsm.config import SYSTEM_HOME
from hsm.confinement.sweeping import ENVIRONMENT

LAUNCHER = Path(__file__).resolve().parent.parent / "server" / "launcher.py"
SYSTEM_USER = "adyton"
MAKE_USER = f"useradd --system --user-group --home-dir {SYSTEM_HOME} --shell /usr/sbin/nologin {SYSTEM_USER}"
UNITS = {
    "service": f"""\
# /etc/systemd/system/adyton.service, together with adyton.socket
# The engine's user, once:           {MAKE_USER}
# Who else may use the pool, each:   usermod --append --groups {SYSTEM_USER} www-data
[Unit]
Description=Adyton token engine
Requires=adyton.socket
After=adyton.socket

[Service]
Type=notify
User={SYSTEM_USER}
Group={SYSTEM_USER}
ExecStart=%(adyton)s serve --system
Restart=on-failure
StateDirectory=adyton
StateDirectoryMode=0700
UMask=0077
# A folder of the setting audit-sinks is to be named here too: ReadWritePaths=/srv/audit
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateMounts=yes
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service memfd_secret
SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
MemoryDenyWriteExecute=yes
LimitCORE=0
LimitMEMLOCK=16M
MemorySwapMax=0
KeyringMode=private
LockPersonality=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
""",
    # Outlives the engine: who connects while it restarts waits for the next one, and is not turned away.
    "socket": f"""\
# /etc/systemd/system/adyton.socket, together with adyton.service
[Unit]
Description=Adyton token engine's socket
Before=nginx.service apache2.service haproxy.service

[Socket]
ListenStream={SYSTEM_FOLDER}/socket
SocketUser={SYSTEM_USER}
SocketGroup={SYSTEM_USER}
SocketMode=0660
DirectoryMode=0755

[Install]
WantedBy=sockets.target
""",
}
# What ProtectHome and PrivateTmp hide from the unit.
HIDDEN_FROM_UNIT = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")


def serve(given: Arguments) -> int:
    if given.print_unit:
        return _print_unit(given.print_unit)
    where = home()
    if where.system and not given.system:
        raise Failure(f"your pool is the system pool, by {where.source}.\n"
                      "Serve that: adyton serve --system. Or name one of your own: ADYTON_HOME=DIR adyton serve")
    folder, store = (SYSTEM_FOLDER, SYSTEM_HOME) if given.system else (where.path, where.path)
    try:
        if given.system and os.geteuid() == 0:
            _become_system_user()
        Path(store).mkdir(mode=0o700, parents=True, exist_ok=True)
        passed = _passed_by_systemd()
        listening = passed or _bind(folder, 0o660 if given.system else 0o600, where.by_root or given.system)
    except OSError as fault:
        remedy = f"Run it as root, which becomes the user {SYSTEM_USER}, or by systemd: adyton serve --print-unit"
        raise Failure(f"{fault}\n{remedy if given.system else 'Set ADYTON_HOME to a folder of your own'}") from None
    if not (os.access(sys.executable, os.X_OK) and os.access(LAUNCHER, os.R_OK)):
        raise Failure(f"the user {pwd.getpwuid(os.geteuid()).pw_name} can't reach {sys.executable} and {LAUNCHER}.\n"
                      "Install adyton in a virtual environment that every user may read: /opt/adyton, for one")
    os.set_inheritable(listening, True)
    _tell_systemd("READY=1")
    words = ["--home", store, "--listen", str(listening), *(["--any-user"] if given.system else [])]
    words += [] if passed else ["--idle", "0"]  # who is started by systemd when asked for may leave when idle
    environment = {**os.environ, **ENVIRONMENT}
    os.execve(sys.executable, [sys.executable, "-I", str(LAUNCHER), *words], environment)


def _print_unit(kind: str) -> int:
    command = str(Path(sys.argv[0]).resolve())
    print(UNITS[kind] % {"adyton": command}, end="")
    if kind == "service" and command.startswith(HIDDEN_FROM_UNIT):
        print(f"adyton: the unit can't see {command}, nor may the user {SYSTEM_USER}.\n"
              "Install adyton in a virtual environment that every user may read: /opt/adyton, for one", file=sys.stderr)
    return 0


def _become_system_user() -> None:
    """Root makes what systemd would have made, and becomes the user in whose name systemd would have started this."""
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        words = f"there is no user {SYSTEM_USER}, whom the system pool belongs to.\nMake it: {MAKE_USER}"
        raise Failure(words) from None
    for folder, mode in ((SYSTEM_FOLDER, 0o755), (SYSTEM_HOME, 0o700)):
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
        os.chmod(folder, mode)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _passed_by_systemd() -> int | None:
    """The socket of a systemd socket unit (sd_listen_fds(3)), which outlives the engine."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS") != "1":
        raise Failure("the socket unit passes several sockets, or none: give it one ListenStream=")
    return 3


def _tell_systemd(state: str) -> None:
    """sd_notify(3). The socket is bound: who connects from now on waits until the engine accepts."""
    name = os.environ.pop("NOTIFY_SOCKET", "")
    if not name:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        try:
            teller.sendto(state.encode(), f"\0{name[1:]}" if name.startswith("@") else name)
        except OSError as fault:
            print(f"adyton: {name}, where systemd listens, can't be told that programs may connect: {fault}",
                  file=sys.stderr)


def _bind(folder: str, mode: int, by_root: bool) -> int:
    """A listening socket in the folder, under the lock that the library takes for the same."""
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        Client(folder, by_root=by_root).close()
    except Absent:
        Path(folder, "socket").unlink(missing_ok=True)
    except Unusable as fault:
        raise Failure(f"{folder} can't be served: {fault}") from None
    else:
        raise Failure(f"an engine serves {folder} already.\nSee it: adyton status. Let it leave: adyton stop")
    listening = bind(folder, mode)
    os.close(lock)
    return listening.detach()
