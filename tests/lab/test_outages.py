# SPDX-License-Identifier: BSD-2-Clause
"""intercept or its links away for a while, under load: what was captured
meanwhile is copied all the same, exactly, no client gets an answer, and every
connection goes on in less than two seconds."""
import signal
import time

import pytest
from going_on import BOUND_SECONDS, Arrivals, in_time, late_connections
from lab import LINK_PORT, TARGET_PORT
from outcome import requests_are_turns
from waiting import wait_until

CONNECTIONS, THINK_MS = 40, 40


class Run:
    """Long connections for so many seconds, and short ones beside them."""

    def __init__(self, lab, *args, seconds):
        self.requests = seconds * 1000 // THINK_MS
        self.short = CONNECTIONS * seconds * 2
        self.since = []
        self.tap = lab.tap()
        self.copy = lab.copy(*args)
        self.arrivals = Arrivals(lab.target, TARGET_PORT)
        self.loads = [
            lab.load_start(connections=CONNECTIONS, concurrent=CONNECTIONS,
                           requests=self.requests, request_size="24-2000",
                           think_ms=THINK_MS),
            lab.load_start(connections=self.short, requests=3,
                           concurrent=CONNECTIONS // 4, think_ms=30, seed=2)]
        wait_until(lambda: self.copy.target_app.totals()["requests"] > 500)

    def goes_on(self, since=None):
        """From now on, or since then, until it is seen."""
        self.since.append(since or time.time())
        time.sleep(max(0, self.since[-1] + BOUND_SECONDS + 0.1 - time.time()))

    def finish(self):
        """What was late, and behind which of the moments."""
        for load in self.loads:
            load.done()
        count = CONNECTIONS * self.requests + 3 * self.short
        requests_are_turns(self.copy.exact(), count)
        assert self.tap.count() == 0
        times = self.arrivals.times()
        assert all(len(times[(1 << 32) + n]) == self.requests
                   for n in range(CONNECTIONS)), "the sniffer lost packets"
        late = [late_connections(times, since, CONNECTIONS, self.requests)
                for since in self.since]
        return {n: found for n, found in enumerate(late) if found}


def stop(process, seconds):
    process.signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.signal(signal.SIGCONT)


def test_intercept_killed(lab):
    def measure():
        run = Run(lab, seconds=10)
        for _ in range(3):
            run.copy.intercept.kill()
            time.sleep(0.3)
            run.copy.intercept = lab.start_intercept()
            run.goes_on()
        return run.finish()
    in_time(measure)


def test_intercept_stopped(lab):
    """For five seconds; its queue goes on dropping."""
    def measure():
        run = Run(lab, seconds=9)
        stop(run.copy.intercept, 5)
        run.goes_on()
        return run.finish()
    in_time(measure)


def test_tcpcopy_stopped(lab):
    """For a second: the capture buffer has room for it."""
    def measure():
        run = Run(lab, seconds=5)
        stop(run.copy.tcpcopy, 1)
        run.goes_on()
        return run.finish()
    in_time(measure)


@pytest.mark.parametrize("links", [1, 3])
def test_every_link_reset(lab, links):
    def measure():
        run = Run(lab, "-C", links, seconds=8)
        for _ in range(3):
            lab.online.run("ss", "-K", f"dport = :{LINK_PORT}")
            run.goes_on()
        return run.finish()
    in_time(measure)


def test_one_link_of_three_reset(lab):
    def measure():
        run = Run(lab, seconds=8)
        for _ in range(3):
            lab.online.run("ss", "-K",
                           f"sport = :{lab.online.busiest_port(LINK_PORT)}")
            run.goes_on()
        return run.finish()
    in_time(measure)


@pytest.mark.parametrize("mended", [True, False])
def test_one_link_of_three_cut(lab, mended):
    """Nothing comes or goes any more on it, and nobody says so."""
    def measure():
        run = Run(lab, seconds=5)
        port = lab.online.busiest_port(LINK_PORT)
        rules = [("-p", "tcp", side, port, "-j", "DROP")
                 for side in ("--sport", "--dport")]
        lab.target.iptables("-I", "INPUT", *rules[0])
        lab.online.iptables("-I", "INPUT", *rules[1])
        cut = time.time()
        time.sleep(1)
        if mended:
            lab.target.iptables("-D", "INPUT", *rules[0])
            lab.online.iptables("-D", "INPUT", *rules[1])
        run.goes_on(since=cut)
        return run.finish()
    in_time(measure)
