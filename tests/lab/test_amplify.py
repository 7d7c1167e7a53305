# SPDX-License-Identifier: BSD-2-Clause
"""-n: every copy is exact, and no two of them share an address and port."""
import pytest
from lab import TARGET_PORT
from outcome import requests_are_turns


@pytest.mark.parametrize("copies,connections", [(3, 600), (10, 200),
                                                (100, 20)])
def test_short_connections(lab, copies, connections):
    copy = lab.copy("-n", copies)
    lab.load(connections=connections, concurrent=20)
    ledger = copy.exact(copies)
    requests_are_turns(ledger, connections, copies)


@pytest.mark.parametrize("copies,connections", [(3, 200), (10, 100),
                                                (100, 20)])
def test_long_connections(lab, copies, connections):
    """All of them open at once on the target, from so many endpoints."""
    copy = lab.copy("-n", copies)
    load = lab.load_start(connections=connections, open_together=True,
                          requests=6, pause_after=3)
    load.paused()
    copy.settle(copies)
    assert copy.target_app.totals()["open"] == connections * copies
    open_now = lab.target.sockets(TARGET_PORT)
    assert len({line.split()[4] for line in open_now}) == len(open_now)
    load.go()
    load.done()
    ledger = copy.exact(copies)
    requests_are_turns(ledger, 6 * connections, copies)
    peers = {(r["peer"], r["port"]) for r in copy.target_app.records()}
    assert len(peers) == connections * copies


def test_short_and_long_at_once(lab):
    copy = lab.copy("-n", 10)
    long = lab.load_start(connections=20, concurrent=20, requests=60,
                          think_ms=20)
    lab.load(connections=400, concurrent=20, seed=2)
    long.done()
    requests_are_turns(copy.exact(10), 20 * 60 + 400, 10)
