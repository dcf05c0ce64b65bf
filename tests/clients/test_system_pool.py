"""The system pool: who reaches it, who may do what there, and what happens where it is not there or not safe."""

from __future__ import annotations

import subprocess

import pytest
from system_pool import ADYTON, SystemPool

from hsm.client import MODULE

BLANK = "token state:   uninitialized"
NO_SLOT = "No slots"


def slots(system: SystemPool, user: str = "root", **environment: str) -> str:
    """What pkcs11-tool shows the user; it ends with 1 where there are none."""
    command = f"pkcs11-tool --module {MODULE} --list-slots || [ $? -eq 1 ]"
    return system.run_as(user, "sh", "-c", command, environment=environment)


def modes(system: SystemPool, *paths: str) -> list[str]:
    return system.machine.run("stat", "-c", "%A %U %G", *paths).splitlines()


def test_root_its_owner_and_the_group_reach_it(system: SystemPool) -> None:
    system.serve()
    system.tool("--init-token", "--slot", "0", "--label", "everybody's", "--so-pin", "12345678")
    for user in ("root", "adyton", "www-data"):
        assert "everybody's" in slots(system, user), user
    assert NO_SLOT in slots(system, "nobody")
    assert "everybody's" in slots(system, ADYTON_HOME="/run/adyton")
    assert modes(system, "/run/adyton", "/run/adyton/socket", "/var/lib/adyton") == [
        "drwxr-xr-x root root", "srw-rw---- adyton adyton", "drwx------ adyton adyton"]
    files = ("pool.db", "device.key", "counters")
    assert modes(system, *(f"/var/lib/adyton/{name}" for name in files)) == ["-rw------- adyton adyton"] * len(files)


def test_acts_on_the_pool_are_for_root_and_its_owner(system: SystemPool) -> None:
    system.serve()
    seen = system.run_as("www-data", ADYTON, "status")
    assert seen.startswith("pool     /run/adyton") and "problem" not in seen
    assert "as root or as the engine's user" in system.run_as("www-data", ADYTON, "config", "show", fails=True)
    for act in (("stop",), ("partition", "create", "--blank")):
        said = system.run_as("www-data", ADYTON, *act, fails=True)
        assert "only the user who owns the pool, or root, may do this" in said
    system.run_as("adyton", ADYTON, "partition", "create", "--blank")
    system.machine.run(ADYTON, "partition", "create", "--blank")
    assert [row["slot"] for row in system.status()["partitions"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("setting", "admitted"),
    [("uids = www-data", {"root", "adyton", "www-data"}), ("gids = www-data", {"root", "adyton", "www-data"}),
     ("uids = nobody", {"root", "adyton"}), ("gids = adyton", {"root", "adyton", "www-data"})],
)
def test_the_settings_say_who_of_the_group_may_connect(system: SystemPool, setting: str, admitted: set[str]) -> None:
    """adyton is www-data's further group, by which it reaches the socket; nobody does not."""
    system.machine.run("sh", "-c", f"install -d -o adyton -m 700 /var/lib/adyton && "
                       f"echo {setting} >/var/lib/adyton/adyton.conf && chown adyton /var/lib/adyton/adyton.conf")
    system.serve()
    for user in ("root", "adyton", "www-data", "nobody"):
        assert (NO_SLOT not in slots(system, user)) == (user in admitted), user
    if "www-data" not in admitted:
        said = system.run_as("www-data", ADYTON, "status", fails=True)
        assert "its settings uids and gids say who may connect" in said


def test_the_socket_outlives_the_engine(system: SystemPool) -> None:
    """Who connects after adyton stop gets the next engine, by the same socket."""
    system.serve()
    first = system.status()["engine"]["pid"]
    system.machine.run(ADYTON, "stop")
    second = system.status()["engine"]["pid"]
    assert first != second


@pytest.mark.parametrize("named_by", ["settings", "environment"])
def test_a_program_told_to_use_it_never_starts_an_engine_of_its_own(system: SystemPool, named_by: str) -> None:
    """home = /run/adyton: an nginx that is reloaded while the system pool is down must not get an empty pool."""
    environment = {"ADYTON_HOME": "/run/adyton"} if named_by == "environment" else {}
    if named_by == "settings":
        system.machine.run("sh", "-c", "mkdir /etc/adyton && echo home = /run/adyton >/etc/adyton/adyton.conf")
    system.machine.run("install", "-d", "-o", "adyton", "/run/adyton")
    for user in ("root", "adyton", "www-data"):
        assert NO_SLOT in slots(system, user, **environment), user
    assert system.machine.run("find", "/run/adyton", "/root", "-name", "pool.db", "-o", "-name", "socket") == ""
    said = system.machine.run(ADYTON, "status", environment=environment, fails=True)
    assert "systemctl start adyton.socket" in said


def test_root_without_a_home_and_a_system_pool_has_a_pool_of_its_own(system: SystemPool) -> None:
    assert BLANK in slots(system)
    assert modes(system, "/root/.local/share/adyton", "/root/.local/share/adyton/pool.db") == [
        "drwx------ root root", "-rw------- root root"]


def test_a_folder_that_others_may_write_to_is_not_connected_to(system: SystemPool) -> None:
    """They could put a socket of their own there, and be told PINs. Root is no exception."""
    system.serve()
    for mode in ("775", "757"):
        system.machine.run("chmod", mode, "/run/adyton")
        for user in ("root", "www-data"):
            assert NO_SLOT in slots(system, user), (user, mode)
        system.machine.run(ADYTON, "partition", "list", fails=True)
    system.machine.run("chmod", "755", "/run/adyton")
    assert BLANK in slots(system, "www-data")


def test_another_users_folder_is_not_connected_to(system: SystemPool) -> None:
    """Unless root said so, who may name any user's pool: in its own environment, or in the machine's settings."""
    system.machine.run("install", "-d", "-o", "adyton", "-m", "755", "/var/lib/other")
    environment = {"ADYTON_HOME": "/var/lib/other"}
    assert BLANK in slots(system, "adyton", **environment)
    system.machine.run("chmod", "666", "/var/lib/other/socket")
    assert NO_SLOT in slots(system, "www-data", **environment)
    assert "another user" in system.run_as("www-data", ADYTON, "status", environment=environment, fails=True)
    assert BLANK in slots(system, **environment)


# -- without systemd, as in a container


def serve_alone(system: SystemPool) -> subprocess.Popen[str]:
    engine = system.machine.start(ADYTON, "serve", "--system", stderr=subprocess.PIPE)
    assert engine.stderr is not None and "serves /var/lib/adyton" in engine.stderr.readline()
    return engine


def test_root_serves_it_by_becoming_its_user(system: SystemPool) -> None:
    serve_alone(system)
    pid = str(system.status()["engine"]["pid"])
    assert system.machine.run("ps", "-p", pid, "-o", "user=,group=,supgrp=").split() == ["adyton"] * 3
    assert BLANK in slots(system, "www-data")
    assert NO_SLOT in slots(system, "nobody")
    assert modes(system, "/run/adyton", "/run/adyton/socket", "/var/lib/adyton") == [
        "drwxr-xr-x adyton adyton", "srw-rw---- adyton adyton", "drwx------ adyton adyton"]
    assert "an engine serves /run/adyton already" in system.machine.run(ADYTON, "serve", "--system", fails=True)
    system.machine.run("kill", "-9", pid)
    assert NO_SLOT in slots(system)
    serve_alone(system)
    assert BLANK in slots(system)


def test_what_keeps_it_from_being_served_is_said(system: SystemPool) -> None:
    said = system.run_as("nobody", ADYTON, "serve", "--system", fails=True)
    assert "Permission denied" in said and "Run it as root" in said
    system.machine.run("userdel", "adyton")
    said = system.machine.run(ADYTON, "serve", "--system", fails=True)
    assert "there is no user adyton" in said and "useradd --system" in said
