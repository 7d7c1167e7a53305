# SPDX-License-Identifier: BSD-2-Clause
"""intercept killed and started again, links reset, under load: tcpcopy lives,
and copies what begins two seconds later."""
import signal
import time

import pytest
from lab import LINK_PORT
from outcome import assert_balanced, digests
from waiting import wait_until

GRACE_SECONDS = 2  # within which copying must go on


def background(lab):
    """Many requests of long connections, for the whole of a test."""
    return lab.load_start(connections=40, concurrent=40, requests=400,
                          think_ms=20, seed=100)


def copies_new_connections(lab, copy, seed):
    """Every connection opened from now on arrives whole."""
    before = len(copy.target_app.records())
    lab.load(connections=200, concurrent=20, requests=5, seed=seed)
    want = {(seed << 32) + n for n in range(200)}

    def arrived():
        new = copy.target_app.records()[before:]
        return want <= {r["id"] for r in new}
    wait_until(arrived, what=f"200 new connections of load {seed}")
    online = {r["id"]: r["digest"] for r in copy.online_app.records()}
    for record in copy.target_app.records()[before:]:
        if record["id"] in want:
            assert record["digest"] == online[record["id"]]


def finish(copy, tap, load):
    load.done()
    copy.settle(quiet=5)
    assert copy.tcpcopy.alive()
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert tap.count() == 0
    return ledger


def test_intercept_killed_and_started_again(lab):
    tap = lab.tap()
    copy = lab.copy()
    load = background(lab)
    for seed in (2, 3, 4):
        wait_until(lambda: copy.target_app.totals()["requests"] > 100)
        copy.intercept.kill()
        copy.intercept = lab.start_intercept()
        time.sleep(GRACE_SECONDS)
        copies_new_connections(lab, copy, seed)
    finish(copy, tap, load)


def test_intercept_away_for_a_while(lab):
    """Connections that were open meanwhile are carried on as well."""
    tap = lab.tap()
    copy = lab.copy()
    load = lab.load_start(connections=40, requests=20, think_ms=100,
                          concurrent=40, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    copy.intercept.kill()
    time.sleep(1)
    copy.intercept = lab.start_intercept()
    time.sleep(GRACE_SECONDS)
    copies_new_connections(lab, copy, 2)
    ledger = finish(copy, tap, load)
    assert ledger["connections"]["answered"] == 240, ledger["connections"]
    online, target = copy.online_app.finish(), copy.target_app.finish()
    assert digests(online) == digests(target)


@pytest.mark.parametrize("links", [1, 3])
def test_links_reset(lab, links):
    tap = lab.tap()
    copy = lab.copy("-C", links)
    load = background(lab)
    for seed in (2, 3, 4):
        wait_until(lambda: copy.target_app.totals()["requests"] > 100)
        before = set(lab.online.sockets(LINK_PORT, "dport"))
        assert len(before) == links
        lab.online.run("ss", "-K", f"dport = :{LINK_PORT}")
        assert not before & set(lab.online.sockets(LINK_PORT, "dport"))
        time.sleep(GRACE_SECONDS)
        copies_new_connections(lab, copy, seed)
    ledger = finish(copy, tap, load)
    assert not ledger["connections"]["lost"]["timeout"]


def test_one_link_reset(lab):
    """The others take its sessions over."""
    tap = lab.tap()
    copy = lab.copy()
    load = background(lab)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    port = lab.online.sockets(LINK_PORT, "dport")[0].split()[3].split(":")[-1]
    lab.online.run("ss", "-K", f"sport = :{port}")
    copies_new_connections(lab, copy, 2)
    load.done()
    copy.exact()
    assert tap.count() == 0


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
