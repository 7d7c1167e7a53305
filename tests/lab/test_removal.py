# SPDX-License-Identifier: BSD-2-Clause
"""The Debian package's prerm: who removes the package removes its guards, or
is told how to, and nothing is left mute in silence."""
import os
import socket

from lab import TARGET_PORT
from waiting import wait_until

PRERM = os.path.join(os.path.dirname(__file__), "../..",
                     "debian/tcpcopy-nfq-intercept.prerm")
PASSLIST = "203.0.113.0/24,2001:db8:9::/48"


def prerm(lab, what="remove"):
    """Run with our intercept, and without the services of this machine."""
    programs = lab.path("programs")
    os.makedirs(programs, exist_ok=True)
    fake = os.path.join(programs, "deb-systemd-invoke")
    with open(fake, "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod(fake, 0o755)
    if not os.path.lexists(os.path.join(programs, "intercept")):
        os.symlink(lab.intercept_bin, os.path.join(programs, "intercept"))
    return lab.target.run("env", f"PATH={programs}:{os.environ['PATH']}",
                          "sh", PRERM, what, check=False)


def everything(lab):
    return "".join(lab.target.run(*words).stdout for words in (
        ("nft", "list", "tables"), ("ip", "-4", "rule"), ("ip", "-6", "rule"),
        ("ip", "-4", "route", "show", "table", "all"),
        ("ip", "-6", "route", "show", "table", "all")))


def test_removed_with_its_guards(lab):
    before = everything(lab)
    lab.start_intercept("--guard", f"80,{TARGET_PORT}", "-x",
                        PASSLIST).finish()
    guarded = everything(lab)
    assert prerm(lab, "upgrade").returncode == 0
    assert everything(lab) == guarded != before
    done = prerm(lab)
    assert done.returncode == 0 and done.stderr == "", done
    assert everything(lab) == before
    # Half of one: the table without the routing rules, and the other way.
    lab.start_intercept("--guard", TARGET_PORT).finish()
    for family in ("-4", "-6"):
        lab.target.run("ip", family, "rule", "del", "sport", TARGET_PORT)
    assert prerm(lab).stderr == "" and everything(lab) == before
    lab.start_intercept("--guard", TARGET_PORT).finish()
    lab.target.run("nft", "flush", "ruleset")
    assert prerm(lab).stderr == "" and everything(lab) == before


def test_removed_while_something_would_get_out(lab):
    """The commands that it prints then do it."""
    before = everything(lab)
    lab.serve(lab.target, TARGET_PORT)
    lab.start_intercept("--guard", f"80,{TARGET_PORT}", "-x",
                        PASSLIST).finish()
    client = lab.client.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.setblocking(False)
    client.connect_ex((lab.target.addr, TARGET_PORT))
    wait_until(lambda: lab.target.sockets(TARGET_PORT))
    done = prerm(lab)
    client.close()
    assert done.returncode == 0
    assert "still open" in done.stderr and "stays mute" in done.stderr
    left = everything(lab)
    assert f"guard_{TARGET_PORT}" in left and "guard_80" not in left
    commands = done.stderr.split("with\n")[1]
    lab.target.run("sh", input=commands, check=False)
    assert everything(lab) == before
