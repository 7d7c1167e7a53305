# SPDX-License-Identifier: BSD-2-Clause
"""Targets that close connections which the clients go on with: every turn is
delivered, over as many connections as it takes."""
import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import (assert_balanced, assert_covered, assert_exact,
                     assert_whole, counter, requests_are_turns)
from waiting import wait_until
from web import Nginx, get, post, read_answer, run_clients


def all_came(copy, requests):
    """The final ledger, once so many turns have their place."""
    def done():
        turns = copy.tcpcopy.ledger()["turns"]
        return turns["captured"] == requests and not turns["in_flight"]
    wait_until(done, 60, "every turn to have its place", step=0.2)
    copy.over()
    ledger = copy.tcpcopy.finish()
    copy.intercept.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
    return requests_are_turns(ledger, requests)


def all_is_answered(ledger, connections, nbytes):
    """However many connections to the target it took."""
    for unit, count in (("connections", connections), ("bytes", nbytes)):
        assert ledger[unit]["captured"] == count, ledger[unit]
        assert ledger[unit]["answered"] == count, ledger[unit]


def bytes_of(log):
    return sum(r["bytes"] for r in log)


@pytest.mark.parametrize("size", ["24-2000", "24-60000"])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_after_k_requests(lab, k, size):
    """Closed with the answer to the k-th, and the next turn often on its
    way already."""
    copy = lab.copy(target=["--close-after", k])
    lab.load(connections=40, concurrent=20, requests=20, request_size=size)
    ledger = all_came(copy, 800)
    online, target = copy.online_app.finish(), copy.target_app.finish()
    assert assert_covered(online, target) == 0
    assert all(r["requests"] <= k for r in target)
    assert counter(ledger, "reopened") >= 40 * (19 // k)
    assert len(online) == 40
    all_is_answered(ledger, 40, bytes_of(online))


@pytest.mark.parametrize("k", [1, 5])
def test_nginx_keepalive_requests(lab, k):
    online = Nginx(lab, lab.online, ONLINE_PORT)
    target = Nginx(lab, lab.target, TARGET_PORT, keepalive_requests=k)
    lab.rule()
    tap = lab.tap()
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)

    sizes = []

    def script(connect, number):
        sock, stream = connect()
        for n in range(30):
            name = f"{number}-{n}"
            request = post(name, bytes(5000)) if n % 3 == 0 else \
                get("/small", name)
            sizes.append(len(request))
            sock.sendall(request)
            read_answer(stream)
        sock.close()
    run_clients(lab, 10, script)
    wait_until(lambda: len(target.lines()) >= 300, what="300 requests")
    wait_until(lambda: not tcpcopy.ledger()["sessions"])
    ledger = tcpcopy.finish()
    intercept.finish()
    assert target.lines() == online.lines()
    assert target.bodies() == online.bodies()
    assert sum(online.bodies().values()) == 100
    assert_whole(ledger)
    requests_are_turns(ledger, 300)
    all_is_answered(ledger, 10, sum(sizes))
    assert counter(ledger, "reopened") >= 10 * (29 // k)
    assert tap.count() == 0


@pytest.mark.parametrize("away", [0, 1.5])
def test_target_restarts(lab, away):
    """What was under way when it ended is sent again to the new one."""
    tap = lab.tap()
    copy = lab.copy()
    load = lab.load_start(connections=60, concurrent=30, requests=60,
                          think_ms=20, request_size="24-9000")
    logs = []
    for count in (500, 1500):
        wait_until(lambda n=count: copy.online_app.totals()["requests"] > n)
        logs += copy.target_app.finish()
        wait_until(lambda n=count: copy.online_app.totals()["requests"] >
                   n + away * 200)
        copy.target_app = lab.serve(lab.target, TARGET_PORT)
    load.done()
    ledger = all_came(copy, 3600)
    online = copy.online_app.finish()
    repeated = assert_covered(online, logs + copy.target_app.finish())
    assert repeated <= counter(ledger, "turns_resent")
    assert counter(ledger, "reopened") > 0
    assert len(online) == 60
    all_is_answered(ledger, 60, bytes_of(online))
    assert tap.count() == 0


def test_copying_goes_on_after_a_restart(lab):
    copy = lab.copy()
    lab.load(connections=50, requests=5)
    copy.settle()
    first = copy.target_app.finish()
    lab.load(connections=50, concurrent=50, requests=5, seed=2)
    copy.target_app = lab.serve(lab.target, TARGET_PORT)
    lab.load(connections=50, requests=5, seed=3)
    ledger = all_came(copy, 750)
    online = copy.online_app.finish()
    assert_exact([online], first + copy.target_app.finish())
    all_is_answered(ledger, 150, bytes_of(online))
