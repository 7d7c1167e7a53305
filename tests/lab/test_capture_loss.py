# SPDX-License-Identifier: BSD-2-Clause
"""A capture ring that overflows: the connections concerned end as capture
loss and go on at a turn boundary, all others are exact. What need not be lost
is not: tcpcopy without CPU for a moment, packets given ahead of their block."""
import re
import signal
import time

import pytest
from outcome import assert_balanced, counter, lost, requests_by_id
from waiting import wait_until

QUIET, BUSY = 50, 30  # connections
REQUESTS = 300


@pytest.mark.parametrize("size", [3000, 20000])
def test_overflow(lab, size):
    tap = lab.tap()
    copy = lab.copy("--buffer", 1)
    quiet = lab.load_start(connections=QUIET, requests=6, pause_after=3)
    quiet.paused()
    copy.settle()
    busy = lab.load_start(connections=BUSY, concurrent=BUSY, seed=2,
                          requests=REQUESTS, request_size=size, think_ms=30)
    wait_until(lambda: copy.target_app.totals()["requests"] > 1000)
    copy.tcpcopy.signal(signal.SIGSTOP)
    time.sleep(1)
    copy.tcpcopy.signal(signal.SIGCONT)
    busy.done()
    quiet.go()
    quiet.done()
    copy.over()
    ledger = copy.tcpcopy.finish()
    copy.intercept.finish()
    assert_balanced(ledger)
    assert ledger["kernel"]["dropped"] > 0
    assert tap.count() == 0

    online, target = copy.online_app.finish(), copy.target_app.finish()
    assert ledger["connections"]["captured"] == len(online) == QUIET + BUSY
    have = requests_by_id(target)
    whole = [r for r in online
             if len(have.get(r["id"], ())) == r["requests"]]
    assert {r["id"] for r in online if r["id"] >> 32 == 1} <= \
        {r["id"] for r in whole}
    affected = len(online) - len(whole)
    assert affected > 0
    assert lost(ledger, "connections") == {"capture_gap": affected}
    assert ledger["connections"]["answered"] == len(whole)
    assert counter(ledger, "rejoined") >= affected
    for record in online:  # nothing twice, and requests from behind the hole
        seqs = have[record["id"]]
        assert set(seqs.values()) == {1}
        assert len(seqs) == record["requests"] or max(seqs) >= len(seqs)
    assert set(lost(ledger, "turns")) == {"capture_gap"}
    copied = sum(r["requests"] for r in target)
    places = ledger["turns"]
    assert places["answered"] + places["unanswered"] == copied
    assert places["captured"] <= QUIET * 6 + BUSY * REQUESTS


LOADS = {"dense": {"connections": 100, "concurrent": 50, "requests": 500},
         "rare": {"connections": 20, "concurrent": 20, "requests": 50,
                  "think_ms": 40},
         "large": {"connections": 20, "concurrent": 20, "requests": 20,
                   "request_size": 60000, "think_ms": 40}}


def assert_each_packet_once(ledger):
    """Given ahead or by the ring, and not both."""
    assert ledger["kernel"]["dropped"] == 0
    assert counter(ledger, "packets_captured") == ledger["kernel"]["received"]


@pytest.mark.parametrize("load", LOADS)
def test_a_moment_without_cpu(lab, load):
    """200 ms during which tcpcopy does not run cost nothing."""
    copy = lab.copy()
    running = lab.load_start(**LOADS[load])
    for _ in range(3):
        time.sleep(0.3)
        copy.tcpcopy.signal(signal.SIGSTOP)
        time.sleep(0.2)
        copy.tcpcopy.signal(signal.SIGCONT)
    running.done()
    copy.exact()
    assert_each_packet_once(copy.tcpcopy.ledgers()[-1])


def ahead(lab):
    """Whether the socket that gives packets ahead lets any in."""
    shown = lab.online.run("ss", "--packet", "--bpf", "--no-header").stdout
    lengths = sorted(int(n) for n in re.findall(r"bpf filter \((\d+)\)", shown))
    assert len(lengths) == 2 and lengths[1] > 1
    return lengths[0] > 1


def test_packets_are_given_ahead_while_they_are_rare(lab):
    copy = lab.copy()
    for seed in (1, 3):
        lab.load(seed=seed, **LOADS["rare"])
        wait_until(lambda: ahead(lab))
        dense = lab.load_start(seed=seed + 1, **LOADS["dense"])
        wait_until(lambda: not ahead(lab))
        dense.done()
    lab.load(seed=5, **LOADS["rare"])
    wait_until(lambda: ahead(lab))
    copy.exact()
    assert_each_packet_once(copy.tcpcopy.ledgers()[-1])
