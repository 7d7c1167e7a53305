# SPDX-License-Identifier: BSD-2-Clause
"""Limits: over them whole new connections are not copied, and the others go
on; and copies that come back are not copied again."""

import pytest
from hosts import CLIENTS
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, assert_balanced, assert_exact, counter, digests, lost
from processes import FrameClient
from waiting import wait_until

TO = ("192.0.2.1", ONLINE_PORT)
SHED = ("shed_sessions", "shed_rate", "shed_cpu")


def client(lab, number=0):
    return FrameClient(lab.client, TO, number, CLIENTS[number % 8])


def until_captured(copy, connections):
    wait_until(lambda: copy.tcpcopy.ledger()["connections"]["captured"]
               >= connections, what="the capture")


def over(copy):
    """The final ledger, with nothing in flight."""
    wait_until(lambda: not copy.tcpcopy.ledger()["sessions"],
               what="the end of all sessions", step=0.2)
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert all(ledger[unit]["in_flight"] == 0
               for unit in ("connections", "turns", "bytes"))
    return ledger


def finish(copy, connections):
    """The same, with every connection in it."""
    until_captured(copy, connections)
    ledger = over(copy)
    assert ledger["connections"]["captured"] == connections
    return ledger


def test_max_sessions(lab):
    """Five are copied, seven are not; and of these not even what comes when
    there is room again, when new ones are copied."""
    copy = lab.copy("--max-sessions", 5)
    some = []
    for number in range(12):
        some.append(client(lab, number))
        some[-1].request()
        until_captured(copy, number + 1)
    for _ in range(3):
        some[0].request()
    for one in some[:5]:
        one.request()
        one.close()
    wait_until(lambda: not copy.tcpcopy.ledger()["sessions"])
    for one in some[5:]:
        one.request()
        one.close()
    later = client(lab, 12)
    later.request()
    later.close()
    ledger = finish(copy, 13)
    assert lost(ledger, "connections") == {"limit": 7}
    assert lost(ledger, "turns") == {"limit": 14}
    assert lost(ledger, "bytes") == {"limit": 14 * 24}
    assert [counter(ledger, key) for key in SHED] == [7, 0, 0]
    assert ledger["turns"]["answered"] == 3 + 5 * 2 + 1
    assert copy.tcpcopy.err().count("--max-sessions: new") == 1
    assert sorted(r["requests"] for r in copy.target_app.finish()) == \
        [1, 2, 2, 2, 2, 5]


def check_rate(lab, rate, size):
    """An upload uses the rate up: it goes on, others are left out. Later
    there is room again."""
    copy = lab.copy("--max-rate", rate)
    load = lab.load_start(connections=1, requests=400, request_size=size)
    wait_until(lambda: copy.target_app.totals()["requests"] > 20)
    others = 0

    def one_is_left_out():
        nonlocal others
        one = client(lab, others)
        one.request()
        one.close()
        others += 1
        until_captured(copy, 1 + others)
        return counter(copy.tcpcopy.ledger(), "shed_rate") > 0
    wait_until(one_is_left_out, what="a connection that is left out")
    load.done()

    def one_is_copied():
        nonlocal others
        before = copy.tcpcopy.ledger()["connections"]["expected"] - \
            copy.tcpcopy.ledger()["connections"]["lost"]["limit"]
        one = client(lab, others)
        one.request()
        one.close()
        others += 1
        until_captured(copy, 1 + others)
        places = copy.tcpcopy.ledger()["connections"]
        return places["expected"] - places["lost"]["limit"] > before
    wait_until(one_is_copied, what="room for new connections", step=0.5)
    ledger = finish(copy, 1 + others)
    shed = counter(ledger, "shed_rate")
    assert lost(ledger, "connections") == {"limit": shed}
    assert lost(ledger, "turns") == {"limit": shed}
    assert lost(ledger, "bytes") == {"limit": shed * 24}
    assert [counter(ledger, key) for key in SHED] == [0, shed, 0]
    assert copy.tcpcopy.err().count("--max-rate: new") == 1
    copied = copy.target_app.finish()
    assert len(copied) == 1 + others - shed
    assert not digests(copied) - digests(copy.online_app.finish())
    assert max(r["requests"] for r in copied) == 400


def test_max_rate_of_packets(lab):
    check_rate(lab, 50, 100)


def test_max_rate_of_megabits(lab):
    check_rate(lab, "100000000,1M", 5000)


def test_below_the_limits(lab):
    copy = lab.copy("--max-sessions", 1000000, "--max-cpu", 100,
                    "--max-rate", "10000000,100000M")
    lab.load(connections=300, concurrent=50, requests=5)
    ledger = copy.exact()
    assert [counter(ledger, key) for key in SHED] == [0, 0, 0]


def test_max_cpu(lab):
    """Under load it needs more than a hundredth of a core; without load, no
    more."""
    copy = lab.copy("--max-cpu", 1)
    load = lab.load_start(connections=100000, concurrent=50, requests=20)
    wait_until(lambda: counter(copy.tcpcopy.ledger(), "shed_cpu") > 0, 60,
               what="a connection that is left out")
    load.stop()
    some = 0

    def one_is_copied():
        nonlocal some
        before = copy.target_app.totals()["requests"]
        one = client(lab, some)
        one.request()
        one.close()
        some += 1
        copy.settle(quiet=1)
        return copy.target_app.totals()["requests"] > before
    wait_until(one_is_copied, what="room for new connections")
    ledger = over(copy)
    shed = counter(ledger, "shed_cpu")
    assert lost(ledger, "connections") == {"limit": shed}
    assert copy.tcpcopy.err().count("--max-cpu: new") == 1


def is_one_too_many(lab, copy, clients):
    """With one client more, which stays."""
    clients.append(client(lab, 100 + len(clients)))
    clients[-1].request()
    return counter(copy.tcpcopy.ledger(), "shed_sessions")


def test_every_limit_at_once(lab):
    """Memory, sessions, rate and CPU together: the clients are all served,
    nothing ends, and everything has its place."""
    copy = lab.copy("-m", 24, "--max-sessions", 20, "--max-rate", "200,1M",
                    "--max-cpu", 1)
    first = client(lab, 99)
    first.request()
    # Too much for the rate; then, when that is over, too many sessions.
    lab.load(connections=40, concurrent=4, requests=3, request_size=20000,
             seed=3)
    more = []
    wait_until(lambda: is_one_too_many(lab, copy, more), step=0.2,
               what="more sessions than may be")
    loads = [lab.load_start(connections=20000, concurrent=8000, requests=2,
                            think_ms=1500, seed=1),
             lab.load_start(connections=300, concurrent=30, requests=20,
                            request_size=20000, seed=2)]
    for load in loads:
        load.done()
    for one in (first, *more):
        one.request()
        one.close()
    assert copy.tcpcopy.alive() and copy.intercept.alive()
    ledger = over(copy)
    left_out = lost(ledger, "connections")
    assert left_out["limit"] == sum(counter(ledger, key) for key in SHED)
    assert left_out["memory"] and counter(ledger, "shed_sessions") and \
        counter(ledger, "shed_rate"), ledger
    online = copy.online_app.finish()
    assert len(online) == 20341 + len(more)
    assert not any(r["broken"] or r["jumps"] for r in online)
    # the one that was there before has been copied to its end
    assert not digests([r for r in online if r["id"] == first.id]) - \
        digests(copy.target_app.finish())


# --- copies of copies ----------------------------------------------------

def send_through_itself(lab):
    """What leaves the online server for the target first goes through a pair
    of devices of its own, where it comes in as if from outside."""
    lab.online.run("sh", "-ec", f"""
        sysctl -qw net.ipv4.ip_forward=1
        ip link add way0 type veth peer name way1
        sysctl -qw net.ipv4.conf.way0.rp_filter=0 \\
            net.ipv4.conf.way1.rp_filter=0
        ip addr add 10.9.9.1/24 dev way0
        ip link set way0 up; ip link set way1 up
        ip neigh add 10.9.9.2 dev way0 \\
            lladdr $(ip -br link show dev way1 | tr -s ' ' | cut -d ' ' -f 3)
        ip route add {lab.target.addr} via 10.9.9.2 dev way0 \\
            src {lab.online.addr}
        ip rule add iif way1 lookup 100
        ip route add {lab.target.addr} dev eth0 table 100""")


def test_own_packets_captured(lab):
    """The target has the port that is copied, and the capture sees what was
    sent: nothing arrives twice."""
    send_through_itself(lab)
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, ONLINE_PORT)
    lab.rule(ONLINE_PORT)
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy(  # the links go straight
        "-x", f"{ONLINE_PORT}-192.0.2.2:{ONLINE_PORT}", "-s", "192.0.2.12")
    copy = Copy(online, target, intercept, tcpcopy)
    lab.load(connections=50, concurrent=10, requests=5)
    copy.settle()
    copy.over()
    ledger = finish(copy, 100)
    assert lost(ledger, "connections") == {"loop": 50}
    assert lost(ledger, "turns") == {"loop": 250}
    assert lost(ledger, "bytes") == {"loop": 250 * 100}
    assert ledger["turns"]["answered"] == 250
    assert tcpcopy.err().count("come back as if") == 1
    assert_exact([online.finish()], target.finish())


@pytest.mark.parametrize("args,some", [
    ((), 4), (("-c", "203.0.113.128/25"), 4),
    (("-n", "2"), 14)],  # the second copies come after all ten first ones
    ids=["as it is", "-c", "-n"])
def test_target_that_copies_back(lab, args, some):
    """A tcpcopy on the target copies to the online server what it gets, maybe
    with other endpoints."""
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    intercept = lab.start_intercept()
    lab.start_intercept(host=lab.online)
    back = lab.start_tcpcopy(
        "-x", f"{TARGET_PORT}-{lab.online.addr}:{ONLINE_PORT}", *args,
        host=lab.target)
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "-c", "203.0.113.0/24")
    copy = Copy(online, target, intercept, tcpcopy)
    lab.load(connections=10, concurrent=10, requests=3)
    copy.settle()
    until_captured(copy, 10 + some)  # it opens one a second
    ledger = tcpcopy.finish()
    assert_balanced(ledger)
    back_again = ledger["connections"]["captured"] - 10
    assert lost(ledger, "connections") == {"loop": back_again}
    assert ledger["turns"]["answered"] == 30
    assert tcpcopy.err().count("come back as if") == 1
    back.kill()
    assert_exact([online.finish()], target.finish())
