# SPDX-License-Identifier: BSD-2-Clause
"""tcpcopy started in the middle of running connections: each is copied from
the first turn boundary that is seen, and never from inside a request. (Where a
client writes large requests without waiting for answers, TCP does not show
where one ends; such are not here.)"""
import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, assert_balanced, lost
from waiting import wait_until

CONNECTIONS, REQUESTS = 40, 150
LOADS = {
    "small requests": {"request_size": "24-900"},
    "large requests": {"request_size": "24-60000"},
    "large answers": {"answer_size": "24-200000"},
    "pipelined": {"pipeline": 8, "request_size": "24-900"},
}


def start_copy(lab, online):
    lab.rule()
    target = lab.serve(lab.target, TARGET_PORT)
    intercept = lab.start_intercept()
    return Copy(online, target, intercept,
                lab.start_tcpcopy("-x", lab.transfer))


def check_tails(records, requests):
    """Whole requests only, and from the first one to the last of all."""
    for record in records:
        assert not record["broken"] and not record["jumps"], record
        assert not record["rest"], record
        assert record["first"] + record["requests"] == requests, record


@pytest.mark.parametrize("kind", LOADS)
def test_running_connections(lab, kind):
    options = {"requests": REQUESTS, "think_ms": 10, **LOADS[kind]}
    if "pipelined" in kind:  # no thinking, but a narrow network
        del options["think_ms"]
        lab.client.narrow(10)
    requests = options["requests"]
    tap = lab.tap()
    online = lab.serve(lab.online, ONLINE_PORT)
    load = lab.load_start(connections=CONNECTIONS, concurrent=CONNECTIONS,
                          **options)
    wait_until(lambda: online.totals()["requests"] > 10 * CONNECTIONS,
               step=0.01)
    copy = start_copy(lab, online)
    at_start = online.totals()["requests"]
    assert at_start < (requests - 30) * CONNECTIONS
    load.done()
    copy.over()
    wait_until(lambda: not copy.tcpcopy.ledger()["sessions"])
    ledger = copy.tcpcopy.finish()
    copy.intercept.finish()
    assert_balanced(ledger)
    target = copy.target_app.finish()
    check_tails(target, requests)
    assert sorted(r["id"] for r in target) == \
        sorted(r["id"] for r in online.finish())
    assert lost(ledger, "connections") == {}
    assert ledger["connections"]["answered"] == CONNECTIONS
    assert ledger["packets"]["rejoined"] == CONNECTIONS
    assert set(lost(ledger, "turns")) <= {"midstream"}
    assert ledger["bytes"]["answered"] == sum(r["bytes"] for r in target)
    copied = sum(r["requests"] for r in target)
    if "pipelined" not in kind:
        assert ledger["turns"]["answered"] == copied
        # the one that was running, and the one that shows the boundary
        assert ledger["turns"]["lost"]["midstream"] <= 2 * CONNECTIONS
        assert CONNECTIONS * requests - copied <= at_start + 2 * CONNECTIONS
    assert tap.count() == 0


def test_new_connections_beside_them(lab):
    online = lab.serve(lab.online, ONLINE_PORT)
    load = lab.load_start(connections=CONNECTIONS, concurrent=CONNECTIONS,
                          requests=REQUESTS, think_ms=10)
    wait_until(lambda: online.totals()["requests"] > 10 * CONNECTIONS)
    copy = start_copy(lab, online)
    lab.load(connections=200, concurrent=20, requests=5, seed=2)
    load.done()
    copy.over()
    ledger = copy.tcpcopy.finish()
    target = copy.target_app.finish()
    check_tails([r for r in target if r["id"] >> 32 == 1], REQUESTS)
    new = {r["digest"] for r in target if r["id"] >> 32 == 2}
    assert new == {r["digest"] for r in online.finish()
                   if r["id"] >> 32 == 2} and len(new) == 200
    assert lost(ledger, "connections") == {}
    assert ledger["connections"]["answered"] == CONNECTIONS + 200
    assert ledger["turns"]["answered"] == sum(r["requests"] for r in target)
