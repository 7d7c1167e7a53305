# SPDX-License-Identifier: BSD-2-Clause
"""Every reason of loss, provoked n times, is counted n times; and where a
turn is before and after."""
import pytest
from hosts import CLIENTS
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, assert_balanced, counter, lost
from processes import FrameClient
from waiting import wait_until

TO = ("192.0.2.1", ONLINE_PORT)


def clients(lab, count):
    return [FrameClient(lab.client, TO, n, CLIENTS[n % 8])
            for n in range(count)]


def open_when(copy, count):
    wait_until(lambda: copy.target_app.totals()["open"] == count,
               what=f"{count} sessions on the target")


def over(copy, online=None):
    """All connections are over, and tcpcopy knows it; the final ledger."""
    count = (online or copy.online_app).totals()["connections"]

    def done():
        if not copy.tcpcopy.alive():
            return True
        ledger = copy.tcpcopy.ledger()
        places = ledger["connections"]
        return places["captured"] >= count and not places["in_flight"] and \
            not ledger["sessions"]
    wait_until(done, 90, "the end of all sessions", step=0.2)
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert all(ledger[unit]["in_flight"] == 0
               for unit in ("connections", "turns", "bytes"))
    return ledger


def check(ledger, connections=None, turns=None, nbytes=None):
    assert lost(ledger, "connections") == (connections or {})
    assert lost(ledger, "turns") == (turns or {})
    assert lost(ledger, "bytes") == (nbytes or {})


# With this filter requests number 1 and 2 of each connection are never seen.
HOLE = ("tcp[13] & 8 = 0 or (tcp[((tcp[12] & 0xf0) >> 2) + 12 : 4] != 1 and "
        "tcp[((tcp[12] & 0xf0) >> 2) + 12 : 4] != 2)")


@pytest.mark.parametrize("count", [1, 5])
def test_capture_gap(lab, count):
    """Two requests out of five are missing; what came after them is lost
    with them, since nobody knows what it depends on."""
    copy = lab.copy("--filter", HOLE)
    for client in clients(lab, count):
        for _ in range(5):
            client.request()
        client.close()
    ledger = over(copy)
    places = ledger["turns"]
    assert places["captured"] == 3 * count
    assert places["answered"] == count
    check(ledger, {"capture_gap": count}, {"capture_gap": 2 * count},
          {"capture_gap": 2 * 24 * count})
    assert ledger["connections"]["captured"] == count


def test_rejoined_after_a_gap(lab):
    """After three seconds the hole is given up; the next turn is copied."""
    copy = lab.copy("--filter", HOLE)
    some = clients(lab, 4)
    for client in some:
        for _ in range(5):
            client.request()
    wait_until(lambda: copy.tcpcopy.ledger()["turns"]["lost"]["capture_gap"]
               == 8, what="the holes to be given up")
    for client in some:
        client.request()
        client.request()
        client.close()
    ledger = over(copy)
    assert ledger["turns"]["answered"] == 3 * 4
    assert counter(ledger, "rejoined") == 4
    check(ledger, {"capture_gap": 4}, {"capture_gap": 8},
          {"capture_gap": 8 * 24})
    records = copy.target_app.finish()
    assert sorted(r["requests"] for r in records) == [1] * 4 + [2] * 4


@pytest.mark.parametrize("after", [1, 3])
def test_midstream(lab, after):
    """Connections older than tcpcopy begin at the second turn it sees."""
    online = lab.serve(lab.online, ONLINE_PORT)
    some = clients(lab, 6)
    for client in some:
        client.request()
    lab.rule()
    target = lab.serve(lab.target, TARGET_PORT)
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    copy = Copy(online, target, intercept, tcpcopy)
    for client in some:
        for _ in range(after):
            client.request()
        client.close()
    ledger = over(copy)
    turns = {"midstream": 6}
    assert ledger["turns"]["captured"] == 6 * after
    if after == 1:  # and no second one comes
        check(ledger, {"midstream": 6}, turns, {"midstream": 6 * 24})
        assert target.finish() == []
        return
    check(ledger, {}, turns, {"midstream": 6 * 24})
    assert counter(ledger, "rejoined") == 6
    assert ledger["connections"]["answered"] == 6
    assert sorted(r["requests"] for r in target.finish()) == [2] * 6


def test_memory(lab):
    """Little memory is enough for so many connections at once. The others
    are refused, and counted; what they send afterwards is nobody's, but for
    those that are followed without being copied."""
    count, megabytes = 8000, 24
    copy = lab.copy("-m", megabytes)
    load = lab.load_start(connections=count, open_together=True,
                          pause_after=1)
    load.paused()
    copy.settle(quiet=3)
    copied = copy.target_app.totals()["open"]
    assert 1000 < copied < count
    load.go()
    load.done()
    with open(f"/proc/{copy.tcpcopy.pid}/status") as status:
        peak_kb = int(status.read().split("VmHWM:")[1].split()[0])
    if not lab.sanitized:
        assert peak_kb < megabytes * 1024
    ledger = over(copy)
    places = ledger["connections"]
    assert places["captured"] == count
    assert places["answered"] == copied
    followed = ledger["turns"]["captured"] - copied
    assert 0 <= followed < count - copied
    turns = {"memory": followed} if followed else {}
    check(ledger, {"memory": count - copied}, turns,
          {k: 100 * n for k, n in turns.items()})
    assert copy.tcpcopy.err().count("is used up") == 1


def test_no_tuple(lab):
    """One client address for more sessions than there are ports. So many
    connections stay in the backlog of a server that never takes one."""
    copy = lab.copy("-c", "203.0.113.7", "-n", "1023", "--max-hold", "1",
                    "-t", "15", target=["--backlog-only"])
    load = lab.load_start(connections=64, open_together=True, pause_after=1)
    load.paused()
    ports = 65536 - 1024 - 1  # all of them but the target's own
    wait_until(lambda: len(lab.target.sockets(TARGET_PORT)) == ports, 60,
               "a session from each port", step=1)
    load.go()
    load.done()
    ledger = over(copy)
    none = 64 * 1023 - ports
    assert ledger["connections"]["unanswered"] == ports
    assert ledger["factor"] == round(ports / 64, 4)
    assert (f"-n 1023: the addresses of -c together have ports for "
            f"{ports // 1023} connections at a time to {lab.target.addr}:"
            f"{TARGET_PORT}: copies of more than these are lost (no_tuple); "
            "give more addresses with -c") in copy.tcpcopy.err()
    check(ledger, {"no_tuple": none}, {"no_tuple": none},
          {"no_tuple": 100 * none})
    assert copy.tcpcopy.err().count("no client address and port is free") == 1


def test_refused(lab):
    """Nobody listens on the target; an RST answers each SYN."""
    online = lab.serve(lab.online, ONLINE_PORT)
    lab.rule()
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "-t", "2")
    lab.load(connections=7, concurrent=7, requests=3)
    ledger = over(Copy(online, None, intercept, tcpcopy))
    check(ledger, {"refused": 7}, {"refused": 21}, {"refused": 2100})


@pytest.mark.parametrize("resend", [False, True])
def test_target_closed(lab, resend):
    """The target closes in the middle of a request, with an RST."""
    args = [] if resend else ["--no-resend"]
    copy = lab.copy(*args, target=["--close-at", "1000000"])
    lab.load(connections=5, request_size=6000000)
    ledger = over(copy)
    assert ledger["turns"]["captured"] == 5
    check(ledger, {"target_closed": 5}, {"target_closed": 5},
          {"target_closed": ledger["bytes"]["lost"]["target_closed"]})
    places = ledger["bytes"]
    assert places["expected"] == 5 * 6000000
    assert places["answered"] + places["unanswered"] + \
        places["lost"]["target_closed"] == 5 * 6000000
    assert places["lost"]["target_closed"] > 5 * 100000


@pytest.mark.parametrize("resend", [False, True])
def test_turns_of_a_target_that_closes(lab, resend):
    """The target closes instead of answering the second request: this is
    sent again on another connection, unless --no-resend forbids it."""
    copy = lab.copy(*([] if resend else ["--no-resend"]),
                    target=["--close-on", "2"])
    lab.load(connections=6, concurrent=6, requests=2, think_ms=200)
    ledger = over(copy)
    check(ledger)
    assert ledger["turns"]["answered"] == (12 if resend else 6)
    assert ledger["turns"]["unanswered"] == (0 if resend else 6)
    assert counter(ledger, "turns_resent") == (6 if resend else 0)
    records = copy.target_app.finish()
    assert sorted(r["requests"] for r in records) == \
        ([1] * 6 if resend else []) + [2] * 6


def test_target_that_closes_idle_connections(lab):
    """Each next turn finds the connection closed and opens another."""
    copy = lab.copy(target=["--idle-close-ms", "100"])
    lab.load(connections=10, concurrent=10, requests=4, think_ms=500)
    ledger = over(copy)
    check(ledger)
    assert ledger["turns"]["answered"] == 40
    assert counter(ledger, "reopened") == 30
    assert ledger["connections"]["answered"] == 10
    assert sum(r["requests"] for r in copy.target_app.finish()) == 40


def freeze(lab, command="-I"):
    lab.target.iptables(command, "INPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "-j", "DROP")


def test_timeout_from_the_start(lab):
    """No SYN gets through: those that wait for their turn end as well."""
    freeze(lab)
    copy = lab.copy("-t", "2")
    lab.load(connections=9, concurrent=9, requests=2)
    ledger = over(copy)
    check(ledger, {"timeout": 9}, {"timeout": 18}, {"timeout": 1800})
    assert copy.target_app.finish() == []


def test_timeout_in_the_middle(lab):
    """Nothing gets through any more after the first request."""
    copy = lab.copy("-t", "3")
    load = lab.load_start(connections=9, requests=2, pause_after=1)
    load.paused()
    wait_until(lambda: copy.target_app.totals()["requests"] == 9)
    freeze(lab)
    load.go()
    load.done()
    ledger = over(copy)
    check(ledger, {"timeout": 9}, {"timeout": 9}, {"timeout": 900})
    assert ledger["turns"]["answered"] == 9


def test_shutdown(lab):
    """Turns that wait for an answer to the one before, when tcpcopy ends."""
    copy = lab.copy(target=["--mute"])
    load = lab.load_start(connections=8, requests=3, pause_after=3)
    load.paused()
    wait_until(lambda: copy.target_app.totals()["requests"] == 8)
    wait_until(lambda: copy.tcpcopy.ledger()["turns"]["captured"] == 24)
    before = copy.tcpcopy.ledger()
    assert before["turns"]["in_flight"] == 24
    assert before["connections"]["in_flight"] == 8
    assert_balanced(before)
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    check(ledger, {"shutdown": 8}, {"shutdown": 16}, {"shutdown": 1600})
    assert ledger["turns"]["unanswered"] == 8
    assert ledger["turns"]["in_flight"] == 0
    load.go()
    load.done()


def test_unanswered(lab):
    """Delivered to a target that says nothing."""
    copy = lab.copy("--max-hold", "1", target=["--mute"])
    lab.load(connections=8, requests=1)
    ledger = over(copy)
    check(ledger)
    assert ledger["turns"]["unanswered"] == 8
    assert ledger["bytes"]["unanswered"] == 800
    assert ledger["connections"]["unanswered"] == 8
    assert ledger["turns"]["answered"] == 0


def test_idle_connections_are_not_in_flight(lab):
    copy = lab.copy()
    load = lab.load_start(connections=30, requests=2, pause_after=1)
    load.paused()
    wait_until(lambda: copy.tcpcopy.ledger()["turns"]["answered"] == 30)
    ledger = copy.tcpcopy.ledger()
    assert_balanced(ledger)
    assert ledger["turns"]["in_flight"] == ledger["bytes"]["in_flight"] == 0
    assert ledger["connections"]["in_flight"] == 30
    assert ledger["flows"] == ledger["sessions"] == 30
    load.go()
    load.done()
    copy.exact()


def test_balanced_at_any_moment(lab):
    copy = lab.copy("-n", 2, "-r", 70)
    load = lab.load_start(connections=2000, concurrent=200, requests=20)
    seen = 0
    while load.alive():
        ledger = copy.tcpcopy.ledger()
        assert_balanced(ledger)
        seen += ledger["turns"]["in_flight"] > 0
    load.done()
    assert seen > 0
    copy.settle(quiet=3)
    assert_balanced(copy.tcpcopy.finish())


def test_packets_the_kernel_dropped(lab):
    """With the smallest buffer and tcpcopy stopped for a while, packets are
    lost; the ledger says so beside the places, and still balances."""
    import signal
    copy = lab.copy("--buffer", "1")
    load = lab.load_start(connections=200, concurrent=50, requests=50,
                          request_size=5000)
    copy.tcpcopy.signal(signal.SIGSTOP)
    load.done()
    copy.tcpcopy.signal(signal.SIGCONT)
    lab.load(connections=50, requests=3, seed=2)
    copy.settle(quiet=4)
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert ledger["kernel"]["dropped"] > 0
    assert ledger["turns"]["answered"] >= 150


def test_intercepts_ledger_counts_every_packet(lab):
    copy = lab.copy()
    lab.load(connections=100, concurrent=20, requests=5)
    copy.settle()
    copy.over()
    answers = copy.tcpcopy.finish()["packets"]["responses"]
    ledger = copy.intercept.finish()
    packets = ledger["packets"]
    assert packets["packets"] == sum(
        packets[k] for k in ("accepted", "routed", "early", "unrouted",
                             "malformed", "no_link"))
    assert packets["routed"] - packets["merged"] + \
        packets["early_delivered"] == answers
    assert packets["routes_added"] == packets["routes_deleted"] == 100
    assert ledger["queue"]["received"] == packets["packets"]
    assert not ledger["queue"]["lost"] and not ledger["queue"]["queue_dropped"]
