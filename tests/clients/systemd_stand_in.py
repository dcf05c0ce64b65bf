"""What systemd does for adyton.socket and adyton.service, as far as an engine can tell: run as root, on a machine of
its own, with the folder of the two units.

The socket is bound once and outlives every engine; a connection starts the service, in its user's name and with
nothing but what sd_listen_fds(3) and sd_notify(3) say in its environment; when that ends, the next connection starts
another. It goes on only once the service has said READY=1.
"""

from __future__ import annotations

import configparser
import grp
import os
import pwd
import select
import shlex
import socket
import subprocess
import sys
from pathlib import Path

FIRST = 3


def unit(folder: str, kind: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(f"{folder}/adyton.{kind}")
    return parser[kind.capitalize()]


def listen(settings: configparser.SectionProxy) -> socket.socket:
    path = Path(settings["ListenStream"])
    path.parent.mkdir(mode=int(settings["DirectoryMode"], 8), exist_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~int(settings["SocketMode"], 8))
    listening.bind(str(path))
    os.umask(before)
    os.chown(path, pwd.getpwnam(settings["SocketUser"]).pw_uid, grp.getgrnam(settings["SocketGroup"]).gr_gid)
    listening.listen(128)
    return listening


def start(settings: configparser.SectionProxy, listening: socket.socket) -> subprocess.Popen[bytes]:
    user, group = pwd.getpwnam(settings["User"]), grp.getgrnam(settings["Group"])
    state = Path("/var/lib") / settings["StateDirectory"]
    state.mkdir(exist_ok=True)
    state.chmod(int(settings["StateDirectoryMode"], 8))
    os.chown(state, user.pw_uid, group.gr_gid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("")  # the kernel gives it a name
        told.settimeout(30)
        environment = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "1",
                       "NOTIFY_SOCKET": "@" + told.getsockname()[1:].decode()}
        # The shell is the process that becomes the service: only it knows the number that LISTEN_PID has to be.
        command = f"exec {FIRST}<&{listening.fileno()}; LISTEN_PID=$$ exec {settings['ExecStart']}"
        service = subprocess.Popen(
            ["/bin/sh", "-c", command], env=environment, cwd="/", pass_fds=[listening.fileno()],
            user=user.pw_uid, group=group.gr_gid, extra_groups=os.getgrouplist(user.pw_name, group.gr_gid),
            umask=int(settings["UMask"], 8),
        )
        assert told.recv(100) == b"READY=1"
    return service


def main(folder: str) -> None:
    listening = listen(unit(folder, "socket"))
    service = unit(folder, "service")
    assert shlex.split(service["ExecStart"]) and service["Type"] == "notify"
    print("listening", flush=True)
    while True:
        select.select([listening], [], [])
        start(service, listening).wait()


if __name__ == "__main__":
    main(sys.argv[1])
