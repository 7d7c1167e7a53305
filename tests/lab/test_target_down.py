# SPDX-License-Identifier: BSD-2-Clause
"""A target that is not there, refuses or swallows everything from the start:
tcpcopy stays small, says so, and copies as soon as it is there."""
import time

import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, assert_balanced, digests, lost, requests_are_turns
from waiting import wait_until

SECOND = "192.0.2.12"  # another address of the target


class Down:
    """The way a target is down, and how it comes up."""

    def __init__(self, lab, how):
        self.lab, self.how, self.address = lab, how, lab.target.addr
        self.server = None
        if how == "absent":
            self.address = SECOND
            lab.target.run("ip", "addr", "del", SECOND + "/24", "dev", "eth0")
        if how == "black hole":
            lab.target.iptables("-I", "INPUT", *self._swallowed())
        if how != "refuses":
            self._serve()

    @staticmethod
    def _swallowed():
        return ("-p", "tcp", "--dport", TARGET_PORT, "-j", "DROP")

    def _serve(self):
        self.server = self.lab.serve(self.lab.target, TARGET_PORT)

    def come_up(self):
        if self.how == "absent":
            self.lab.target.run("ip", "addr", "add", SECOND + "/24", "dev",
                                "eth0")
        elif self.how == "black hole":
            self.lab.target.iptables("-D", "INPUT", *self._swallowed())
        else:
            self._serve()

    def copy(self, *args):
        online = self.lab.serve(self.lab.online, ONLINE_PORT)
        self.lab.rule()
        intercept = self.lab.start_intercept()
        tcpcopy = self.lab.start_tcpcopy(
            "-x", f"{ONLINE_PORT}-{self.address}:{TARGET_PORT}",
            "-s", self.lab.target.addr, *args)
        return Copy(online, self.server, intercept, tcpcopy)


WAYS = {"absent": "timeout", "refuses": "refused", "black hole": "timeout"}


@pytest.mark.parametrize("how", WAYS)
def test_comes_up_in_time(lab, how):
    """What was captured meanwhile is copied as well."""
    tap = lab.tap()
    down = Down(lab, how)
    copy = down.copy()
    load = lab.load_start(connections=100, concurrent=100, requests=6,
                          pause_after=3, request_size="24-2000")
    load.paused()
    time.sleep(2.5)
    assert copy.tcpcopy.alive()
    assert copy.tcpcopy.ledger()["connections"]["in_flight"] == 100
    down.come_up()
    copy.target_app = down.server
    load.go()
    load.done()
    requests_are_turns(copy.exact(), 600)
    assert tap.count() == 0


@pytest.mark.parametrize("how", WAYS)
def test_comes_up_too_late(lab, how):
    """The ledger has the reason; what begins afterwards is copied."""
    down = Down(lab, how)
    copy = down.copy("-t", 2)
    lab.load(connections=50, concurrent=50, requests=3)

    def given_up():
        ledger = copy.tcpcopy.ledger()
        return not ledger["connections"]["in_flight"] and \
            ledger["connections"]["captured"] == 50
    wait_until(given_up, what="50 connections to be given up", step=0.2)
    down.come_up()
    copy.target_app = down.server
    lab.load(connections=200, concurrent=20, requests=3, seed=2)

    def copied():
        return len(copy.target_app.records()) == 200
    wait_until(copied, what="200 connections on the target")
    copy.over()
    ledger = copy.tcpcopy.finish()
    copy.intercept.finish()
    assert_balanced(ledger)
    reason = WAYS[how]
    assert lost(ledger, "connections") == {reason: 50}
    assert lost(ledger, "turns") == {reason: 150}
    assert lost(ledger, "bytes") == {reason: 15000}
    assert ledger["connections"]["answered"] == 200
    assert ledger["turns"]["answered"] == 600
    late = [r for r in copy.online_app.finish() if r["id"] >> 32 == 2]
    assert digests(copy.target_app.finish()) == digests(late)


@pytest.mark.parametrize("how", WAYS)
def test_memory(lab, how):
    """More than it may hold."""
    megabytes = 32
    lab.client.narrow(200)
    down = Down(lab, how)
    copy = down.copy("-m", megabytes, "--buffer", 4)
    lab.load(connections=400, concurrent=20, requests=2, request_size=60000)
    time.sleep(1)
    ledger = copy.tcpcopy.ledger()
    assert_balanced(ledger)
    assert ledger["connections"]["lost"]["memory"] > 0
    if not lab.sanitized:
        assert copy.tcpcopy.peak_kb() < (megabytes + 12) * 1024
    down.come_up()
    copy.target_app = down.server
    wait_until(lambda: not copy.tcpcopy.ledger()["connections"]["in_flight"],
               60, "the others to be copied", step=0.2)
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert set(lost(ledger, "connections")) == {"memory"}
    assert ledger["connections"]["captured"] == 400
    whole = digests(copy.online_app.finish())
    exact = [r for r in copy.target_app.finish() if r["digest"] in whole]
    assert ledger["connections"]["answered"] == len(exact)
