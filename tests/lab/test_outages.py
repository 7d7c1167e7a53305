# SPDX-License-Identifier: BSD-2-Clause
"""intercept or its links away for a while, under load: what was captured
meanwhile is copied all the same, exactly, and no client gets an answer."""
import signal
import time

import pytest
from lab import LINK_PORT
from outcome import requests_are_turns
from waiting import wait_until

CONNECTIONS, REQUESTS = 40, 150


def start(lab, *args, seconds=3):
    """Long connections for so many seconds, and short ones beside them."""
    copy = lab.copy(*args)
    loads = [lab.load_start(connections=CONNECTIONS, concurrent=CONNECTIONS,
                            requests=REQUESTS, request_size="24-2000",
                            think_ms=seconds * 1000 // REQUESTS),
             lab.load_start(connections=CONNECTIONS * seconds * 5, requests=3,
                            concurrent=CONNECTIONS // 4, think_ms=10, seed=2)]
    wait_until(lambda: copy.target_app.totals()["requests"] > 500)
    return copy, loads


def finish(copy, loads, tap, seconds=3):
    for load in loads:
        load.done()
    count = CONNECTIONS * REQUESTS + CONNECTIONS * seconds * 5 * 3
    ledger = requests_are_turns(copy.exact(), count)
    assert tap.count() == 0
    return ledger


def goes_on(copy, seconds=2):
    """New requests on the target, soon."""
    before = copy.target_app.totals()["requests"]
    begin = time.monotonic()
    wait_until(lambda: copy.target_app.totals()["requests"] > before + 100)
    assert time.monotonic() - begin < seconds * 5  # the machine is shared


def test_intercept_killed(lab):
    tap = lab.tap()
    copy, loads = start(lab)
    for _ in range(3):
        copy.intercept.kill()
        time.sleep(0.3)
        copy.intercept = lab.start_intercept()
        goes_on(copy)
    finish(copy, loads, tap)


def test_intercept_stopped(lab):
    """For five seconds; its queue goes on dropping."""
    tap = lab.tap()
    copy, loads = start(lab, seconds=7)
    copy.intercept.signal(signal.SIGSTOP)
    time.sleep(5)
    copy.intercept.signal(signal.SIGCONT)
    goes_on(copy)
    finish(copy, loads, tap, seconds=7)


def test_tcpcopy_stopped(lab):
    """For a second: the capture buffer has room for it."""
    tap = lab.tap()
    copy, loads = start(lab)
    copy.tcpcopy.signal(signal.SIGSTOP)
    time.sleep(1)
    copy.tcpcopy.signal(signal.SIGCONT)
    goes_on(copy)
    finish(copy, loads, tap)


@pytest.mark.parametrize("links", [1, 3])
def test_every_link_reset(lab, links):
    tap = lab.tap()
    copy, loads = start(lab, "-C", links)
    for _ in range(3):
        lab.online.run("ss", "-K", f"dport = :{LINK_PORT}")
        goes_on(copy)
    finish(copy, loads, tap)


def link_port(lab):
    return lab.online.sockets(LINK_PORT, "dport")[0].split()[3].split(":")[-1]


def test_one_link_of_three_reset(lab):
    tap = lab.tap()
    copy, loads = start(lab)
    for _ in range(3):
        lab.online.run("ss", "-K", f"sport = :{link_port(lab)}")
        goes_on(copy)
    finish(copy, loads, tap)


@pytest.mark.parametrize("mended", [True, False])
def test_one_link_of_three_cut(lab, mended):
    """Nothing comes or goes any more on it, and nobody says so."""
    tap = lab.tap()
    copy, loads = start(lab)
    port = link_port(lab)
    rules = [("-p", "tcp", side, port, "-j", "DROP")
             for side in ("--sport", "--dport")]
    lab.target.iptables("-I", "INPUT", *rules[0])
    lab.online.iptables("-I", "INPUT", *rules[1])
    time.sleep(1)
    if mended:
        lab.target.iptables("-D", "INPUT", *rules[0])
        lab.online.iptables("-D", "INPUT", *rules[1])
    goes_on(copy)
    finish(copy, loads, tap)
