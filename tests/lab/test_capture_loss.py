# SPDX-License-Identifier: BSD-2-Clause
"""A capture ring that overflows: the connections concerned end as capture
loss and go on at a turn boundary, all others are exact."""
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
