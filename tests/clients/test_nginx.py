"""nginx serves TLS with keys of the system pool: master as root, workers as www-data, no environment kept."""

from __future__ import annotations

from requests_under_way import everybody_has, requests, until
from system_pool import PIN, SystemPool


def former_workers_are_gone(system: SystemPool) -> None:
    """What they had at the engine goes with them: a master and two workers are left."""
    until(lambda: system.status()["engine"]["applications"] == 3, "former workers are still connected")


def test_reload_under_requests(system: SystemPool) -> None:
    """The master loads the keys again and forks again, each time; no request notices."""
    system.serve()
    system.make_keys()
    system.nginx("generation 0")
    with requests(system) as threads:
        for number in range(1, 7):
            system.nginx(f"generation {number}", "-s", "reload")
            until(everybody_has(threads, f"generation {number}"), f"reload {number} has no effect")
    log = (system.folder / "error.log").read_text()
    assert [failure for thread in threads for failure in thread.failures] == [], log
    assert "[crit]" not in log and "[alert]" not in log and "[emerg]" not in log
    former_workers_are_gone(system)
    users = system.machine.run("ps", "-C", "nginx", "-o", "user=,args=")
    assert sorted(line.split()[:3] for line in users.splitlines()) == [
        ["root", "nginx:", "master"], ["www-data", "nginx:", "worker"], ["www-data", "nginx:", "worker"],
    ]


def test_the_engine_is_killed_under_nginx(system: SystemPool) -> None:
    """Requests fail at once, none hangs; new programs work at once. nginx works again after a reload: libp11 0.4.12
    keeps the sessions of the engine that is gone for as long as its process lives."""
    system.serve()
    system.make_keys()
    system.nginx("before")
    with requests(system) as threads:
        until(everybody_has(threads, "before"), "nginx does not answer")
        system.kill_engine()
        assert "rsa" in system.tool("--login", "--pin", PIN, "--list-objects")
        until(lambda: any(thread.failures for thread in threads), "nobody noticed")
        system.nginx("after", "-s", "reload")
        until(everybody_has(threads, "after"), "nginx does not find the new engine")
    failures = [failure for thread in threads for failure in thread.failures]
    assert all("internal error" in failure for failure in failures), failures
    former_workers_are_gone(system)
    with requests(system) as threads:
        until(lambda: all(len(thread.answers) >= 10 or thread.failures for thread in threads), "no answers")
    assert [failure for thread in threads for failure in thread.failures] == []
