"""Programs of users of the machine that are officers by that alone: they give no PIN, and a restart asks for none."""

from __future__ import annotations

import re

from system_pool import ADYTON, LABEL, PIN, SO_PIN, SystemPool

SIGN = ("--login", "--sign", "--mechanism", "ECDSA", "--label", "web", "--input-file")


def test_a_server_signs_after_a_restart_with_nobody_there(system: SystemPool) -> None:
    system.serve()
    system.tool("--init-token", "--slot", "0", "--label", LABEL, "--so-pin", SO_PIN)
    system.tool("--login", "--login-type", "so", "--so-pin", SO_PIN, "--init-pin", "--pin", PIN)
    system.tool("--login", "--pin", PIN, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "web")
    system.machine.run("sh", "-c", f"""
        install -d -o adyton -m 700 /etc/adyton-keys
        head -c 32 /dev/zero >/tmp/digest
        printf %s '{SO_PIN}' >/root/so-pin; printf %s '{PIN}' >/root/pin
        {ADYTON} officer create web --uid www-data --as so --pin-file /root/so-pin
        {ADYTON} role assignment create --assignee web --role 'Crypto User' --scope /keys/web \\
            --as so --pin-file /root/so-pin
        {ADYTON} partition unattended 0 --key-file /etc/adyton-keys/unseal --as user --pin-file /root/pin""")
    assert system.machine.run("stat", "-c", "%A %U", "/etc/adyton-keys/unseal") == "-rw------- adyton\n"
    pad = re.compile("token flags.*PIN pad present")
    assert pad.search(system.tool("-L", user="www-data")) and not pad.search(system.tool("-L"))
    for number in range(3):
        if number:
            system.kill_engine()
        system.tool(*SIGN, "/tmp/digest", "--output-file", f"/tmp/signature-{number}", user="www-data")
        assert system.machine.run("stat", "-c", "%s", f"/tmp/signature-{number}") == "64\n"
    # What it may do ends where its role does, and nobody else is who it is.
    make = ("--login", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "no")
    said = system.tool(*make, user="www-data", fails=True)
    assert "CKR_USER_NOT_LOGGED_IN" in said
    assert "enter User PIN" in system.tool(*SIGN, "/tmp/digest", "--output-file", "/tmp/none", fails=True)
    # Without the file a restart needs somebody with a PIN.
    system.machine.run("mv", "/etc/adyton-keys/unseal", "/etc/adyton-keys/gone")
    system.kill_engine()
    said = system.tool(*SIGN, "/tmp/digest", "--output-file", "/tmp/none", user="www-data", fails=True)
    assert "CKR_FUNCTION_FAILED" in said
    assert "/etc/adyton-keys/unseal" in system.run_as("www-data", ADYTON, "explain")
