# SPDX-License-Identifier: BSD-2-Clause
"""--netns: the programs are started outside, and work in a namespace as a
container has one."""
import json
import os
import socket
import subprocess

import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, counter
from waiting import wait_until
from test_cli import BAD_INPUT, ENVIRONMENT, X, one_line, run, without
from test_privileges import assert_harmless, default_user


class Outside:
    """Where the tests themselves run."""
    role, prefix = "outside", []


def net_of(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def everything(prefix):
    return "".join(
        subprocess.run([*prefix, *cmd], capture_output=True, text=True).stdout
        for cmd in (("nft", "list", "ruleset"), ("ip", "rule")))


def outside(lab, name, host, *args, **kw):
    start = lab.start_tcpcopy if name == "tcpcopy" else lab.start_intercept
    return start(*args, "--netns", host, host=Outside, **kw)


def test_exact(lab):
    """By path and by name; the guard stands there and nowhere else."""
    tap = lab.tap()
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    intercept = outside(lab, "intercept", f"/proc/{target.pid}/ns/net",
                        "--guard", TARGET_PORT)
    tcpcopy = outside(lab, "tcpcopy", lab.online.ns, "-x", lab.transfer)
    for program, app in ((intercept, target), (tcpcopy, online)):
        assert net_of(program.pid) == net_of(app.pid)
        assert_harmless(lab, program.name.split("-")[0], program.pid,
                        default_user())
    lab.load(connections=100, concurrent=20, requests=5)
    ledger = Copy(online, target, intercept, tcpcopy).exact()
    assert counter(ledger, "packets_sent") > 500
    for what in (f"tcp sport {TARGET_PORT} queue",
                 f"lookup {365240000 + TARGET_PORT}"):
        assert what in everything(lab.target.prefix)
        assert what not in everything([])
    assert tap.count() == 0


def test_unguard(lab):
    before = everything(lab.target.prefix)
    outside(lab, "intercept", lab.target.ns, "--guard",
            TARGET_PORT).finish()
    assert everything(lab.target.prefix) != before
    done = outside(lab, "intercept", lab.target.ns, "--unguard", TARGET_PORT,
                   ready=False)
    assert done.wait() == 0, done.err()
    assert everything(lab.target.prefix) == before


def test_check(lab):
    """The doctors look there, too: what is well, and what is not."""
    lab.serve(lab.online, ONLINE_PORT)
    lab.serve(lab.target, TARGET_PORT)
    intercept = outside(lab, "intercept", lab.target.ns, "--guard",
                        TARGET_PORT)
    lab.load_start(connections=100000, concurrent=2, requests=50, think=20)

    def failures(binary, *args):
        done = subprocess.run([binary, "check", "--json", *args], text=True,
                              capture_output=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, done.stderr
        return {line["what"] for line in lines if line["level"] == "FAIL"}

    here = (lab.intercept_bin, "--netns", lab.target.ns)
    there = (lab.tcpcopy_bin, "--netns", lab.online.ns, "-x", lab.transfer)
    assert not failures(*here) and not failures(*there)
    intercept.finish()
    lab.target.run("nft", "flush", "ruleset")
    assert failures(*here) and failures(*there)


def test_manager_outside(lab, monkeypatch):
    """Its socket may be of the namespace in which the program is started."""
    name = f"{lab.target.ns}-manager"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        outside(lab, "intercept", lab.target.ns)
        assert manager.recv(100) == b"READY=1"


def test_daemon(lab):
    path = lab.path("pid")
    program = outside(lab, "intercept", lab.target.ns, "-d", "-P", path,
                      ready=False)
    assert program.wait() == 0, program.err()
    with open(path) as f:
        pid = int(f.read())
    inside = os.stat(f"/run/netns/{lab.target.ns}").st_ino
    assert net_of(pid) == f"net:[{inside}]"
    os.kill(pid, 15)
    wait_until(lambda: not os.path.exists(path), what="the daemon's end")


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_who_may_not(lab, name):
    more = X if name == "tcpcopy" else ()
    line = one_line(run(lab, name, *more, "--netns", lab.client.ns,
                        wrap=without("sys_admin")), ENVIRONMENT)
    assert f"{name}: --netns {lab.client.ns}: " in line
    assert "CAP_SYS_ADMIN" in line


def test_commands_are_for_within(lab):
    line = one_line(run(lab, "intercept", "--guard", TARGET_PORT,
                        "--print-rules", "--netns", lab.target.ns), BAD_INPUT)
    assert "--print-rules" in line and "--netns" in line
