# SPDX-License-Identifier: BSD-2-Clause
"""Frames of a batch leave in one system call, by a BPF program, or else one by
one: those that intercept injects by --path relay, tcpcopy's own by link."""
import contextlib
import ctypes
import os
import pathlib
import re
import subprocess

import pytest
from hosts import CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, counter
from processes import refusing
from waiting import wait_until

NOT_LOADED = ("setpriv", "--bounding-set", "-bpf,-sys_admin")
NOT_RUN = refusing("bpf", 0, 10)  # BPF_PROG_TEST_RUN
ENABLE_STATS = 32


def call_number(name):
    """Of a system call; every architecture has numbers of its own."""
    said = subprocess.run([os.environ.get("CC", "cc"), "-E", "-P", "-"],
                          input=f"#include <asm/unistd.h>\n__NR_{name}\n",
                          check=True, capture_output=True, text=True).stdout
    return int(said.split()[-1])


@contextlib.contextmanager
def runs_counted():
    """While this is open the kernel counts how often it runs programs."""
    attr = ctypes.create_string_buffer(8)  # BPF_STATS_RUN_TIME
    fd = ctypes.CDLL(None).syscall(call_number("bpf"), ENABLE_STATS, attr,
                                   len(attr))
    assert fd >= 0
    try:
        yield
    finally:
        os.close(fd)


def program_runs(pid):
    """Of the one program that the process has; None: it has none."""
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            lines = dict(line.split(":", 1) for line in
                         entry.read_text().splitlines() if ":" in line)
            if "prog_type" in lines:
                return int(lines["run_cnt"])
    return None


def copy(lab, path, wrap=(), transfer=None, args=()):
    """(the copy, the program that sends)"""
    of = {"relay": "intercept", "link": "tcpcopy"}[path]
    relay = ("--relay", TARGET_PORT) if path == "relay" else ()
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    intercept = lab.start_intercept(
        *relay, wrap=wrap if of == "intercept" else ())
    tcpcopy = lab.start_tcpcopy("-x", transfer or lab.transfer, "--path", path,
                                *args,
                                wrap=wrap if of == "tcpcopy" else ())
    return (Copy(online, target, intercept, tcpcopy),
            {"intercept": intercept, "tcpcopy": tcpcopy}[of])


LOAD = {"connections": 200, "concurrent": 50, "requests": 20}


@pytest.mark.parametrize("path", ["relay", "link"])
@pytest.mark.parametrize("v6", [False, True])
def test_many_at_once(lab, path, v6):
    transfer = f"{ONLINE_PORT}-[{lab.target.addr6}]:{TARGET_PORT}"
    copied, sender = copy(lab, path, transfer=transfer if v6 else None)
    with runs_counted():
        if v6:
            lab.load(f"[{lab.online.addr6}]:{ONLINE_PORT}", source=CLIENTS6,
                     **LOAD)
        else:
            lab.load(**LOAD)
        runs = program_runs(sender.pid)
    sent = sender.ledger()["inject" if path == "relay" else "send"]["sent"]
    assert 0 < runs < sent / 4, sent
    ledger = copied.exact()
    assert counter(ledger, "packets_resent") == 0


@pytest.mark.parametrize("path", ["relay", "link"])
@pytest.mark.parametrize("wrap,runs", [(NOT_LOADED, None), (NOT_RUN, 0)],
                         ids=["not loaded", "not run"])
def test_one_by_one(lab, path, wrap, runs):
    """Where the kernel does not let us, nothing is lost."""
    copied, sender = copy(lab, path, wrap)
    with runs_counted():
        lab.load(**LOAD)
        assert program_runs(sender.pid) == runs
    assert ("go one by one" in sender.err()) == (runs is not None)
    ledger = copied.exact()
    assert counter(ledger, "packets_resent") == 0
    assert counter(ledger, "refused") == 0


def test_segments_among_them(lab):
    """Turns of several segments, and others of one, in one batch."""
    copied, sender = copy(lab, "link")
    with runs_counted():
        lab.load(connections=100, concurrent=50, requests=20,
                 request_size="24-9000")
        assert program_runs(sender.pid) > 0
    ledger = copied.exact()
    assert ledger["send"]["sent"] > 0
    assert counter(ledger, "refused") == 0


@pytest.mark.parametrize("size", [772, 1200])
def test_room_that_they_take(lab, size):
    """The receiver's window is made by it, at each new largest segment."""
    copied, sender = copy(lab, "relay")
    with runs_counted():
        load = lab.load_start(connections=100, concurrent=100, requests=3,
                              request_size=size, think_ms=500)
        wait_until(lambda: sender.ledger()["inject"]["sent"] >= 300)
        assert program_runs(sender.pid) > 0
    windows = [int(text) for text in re.findall(
        r"rcv_ssthresh:(\d+)", lab.target.run(
            "ss", "-tinH", "sport", "=", f":{TARGET_PORT}").stdout)]
    load.done()
    copied.exact()
    assert len(windows) == 100
    assert min(windows) > 20000, sorted(windows)


def test_longer_than_a_page(lab):
    """Such frames go by the socket, and others among them by the program."""
    for host in (lab.online, lab.target):
        host.run("ip", "link", "set", "eth0", "mtu", "9000")
    for device in ("online", "target"):
        lab.router.run("ip", "link", "set", device, "mtu", "9000")
    copied, sender = copy(lab, "link", args=("-M", 9000))
    with runs_counted():
        lab.load(connections=100, concurrent=100, requests=20,
                 request_size="24-6000")
        assert program_runs(sender.pid) > 0
    ledger = copied.exact()
    assert "one by one" not in sender.err()
    assert counter(ledger, "refused") == 0


def test_longer_than_the_device_takes(lab):
    """It is said, and not lost without a word."""
    copied, sender = copy(lab, "link")
    lab.online.run("ip", "link", "set", "eth0", "mtu", "1000")
    load = lab.load_start(connections=20, concurrent=20, requests=1,
                          request_size=1200)
    sender.wait_for("lower -M to the MTU")
    load.done()
    assert sender.ledger()["send"]["refused"] > 0
