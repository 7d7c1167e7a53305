# SPDX-License-Identifier: BSD-2-Clause
"""intercept killed and started again, links reset, under load: tcpcopy lives,
and copies what begins afterwards, within two seconds."""
import signal
import time

import pytest
from going_on import BOUND_SECONDS, Arrivals, in_time
from lab import LINK_PORT, ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, digests
from waiting import wait_until

CONNECTIONS = 200


def background(lab):
    """Many requests of long connections, for the whole of a test."""
    return lab.load_start(connections=40, concurrent=40, requests=400,
                          think_ms=20, seed=100)


class Watch:
    """When requests come to the online server, and when to the target."""

    def __init__(self, lab):
        self.online = Arrivals(lab.online, ONLINE_PORT)
        self.target = Arrivals(lab.target, TARGET_PORT)

    def late(self, *seeds):
        """Connections of these loads that were not copied at once, and the
        seconds until they were."""
        online, target = self.online.times(), self.target.times()
        found = {}
        for key in [(seed << 32) + n
                    for seed in seeds for n in range(CONNECTIONS)]:
            assert 0 in online[key], "the sniffer lost packets"
            seconds = target[key].get(0, float("inf")) - online[key][0]
            if seconds >= BOUND_SECONDS:
                found[key >> 32, key & 0xffffffff] = seconds
        return found


def copies_new_connections(lab, copy, seed):
    """Every connection opened from now on arrives whole."""
    lab.load(connections=CONNECTIONS, concurrent=20, requests=5, seed=seed)
    copy.whole(seed, CONNECTIONS)


def finish(copy, tap, load):
    load.done()
    copy.settle(quiet=5)
    assert copy.tcpcopy.alive()
    ledger = copy.tcpcopy.finish()
    for process in (copy.intercept, copy.online_app, copy.target_app):
        process.finish()
    assert_balanced(ledger)
    assert tap.count() == 0
    return ledger


def test_intercept_killed_and_started_again(lab):
    def measure():
        tap = lab.tap()
        copy, watch = lab.copy(), Watch(lab)
        load = background(lab)
        for seed in (2, 3, 4):
            wait_until(lambda: copy.target_app.totals()["requests"] > 100)
            copy.intercept.kill()
            copy.intercept = lab.start_intercept()
            copies_new_connections(lab, copy, seed)
        finish(copy, tap, load)
        return watch.late(2, 3, 4)
    in_time(measure)


def test_intercept_away_for_a_while(lab):
    """Connections that were open meanwhile are carried on as well."""
    def measure():
        tap = lab.tap()
        copy, watch = lab.copy(), Watch(lab)
        load = lab.load_start(connections=40, requests=20, think_ms=100,
                              concurrent=40, seed=100)
        wait_until(lambda: copy.target_app.totals()["requests"] > 100)
        copy.intercept.kill()
        time.sleep(1)
        copy.intercept = lab.start_intercept()
        copies_new_connections(lab, copy, 2)
        ledger = finish(copy, tap, load)
        assert ledger["connections"]["answered"] == 40 + CONNECTIONS, \
            ledger["connections"]
        online, target = copy.online_app.finish(), copy.target_app.finish()
        assert digests(online) == digests(target)
        return watch.late(2)
    in_time(measure)


def reset_links(lab):
    """Until none of them is left: the kernel may miss one that changes."""
    before = set(lab.online.sockets(LINK_PORT, "dport"))

    def gone():
        lab.online.run("ss", "-K", f"dport = :{LINK_PORT}")
        return not before & set(lab.online.sockets(LINK_PORT, "dport"))
    wait_until(gone)


@pytest.mark.parametrize("links", [1, 3])
def test_links_reset(lab, links):
    def measure():
        tap = lab.tap()
        copy, watch = lab.copy("-C", links), Watch(lab)
        load = background(lab)
        for seed in (2, 3, 4):
            wait_until(lambda: copy.target_app.totals()["requests"] > 100)
            wait_until(lambda: len(lab.online.sockets(LINK_PORT, "dport"))
                       == links)
            reset_links(lab)
            copies_new_connections(lab, copy, seed)
        ledger = finish(copy, tap, load)
        assert not ledger["connections"]["lost"]["timeout"]
        return watch.late(2, 3, 4)
    in_time(measure)


def test_one_link_reset(lab):
    """That of all sessions; another takes them over."""
    def measure():
        tap = lab.tap()
        copy, watch = lab.copy(), Watch(lab)
        load = background(lab)
        wait_until(lambda: copy.target_app.totals()["requests"] > 100)
        lab.online.run("ss", "-K",
                       f"sport = :{lab.online.busiest_port(LINK_PORT)}")
        copies_new_connections(lab, copy, 2)
        load.done()
        copy.exact()
        assert tap.count() == 0
        return watch.late(2)
    in_time(measure)


def test_tcpcopy_killed_and_started_again(lab):
    """intercept gives the dead one's routes to nobody; clients who come
    again with the same ports are copied all the same."""
    lab.client.run("sysctl", "-qw",
                   "net.ipv4.ip_local_port_range=20000 20999")
    tap = lab.tap()
    copy = lab.copy()
    load = background(lab)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    copy.tcpcopy.signal(signal.SIGKILL)
    copy.tcpcopy.wait()
    copy.tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    copies_new_connections(lab, copy, 2)
    finish(copy, tap, load)
