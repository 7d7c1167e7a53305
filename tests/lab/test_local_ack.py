# SPDX-License-Identifier: BSD-2-Clause
"""Long answers that intercept acknowledges itself, by relay: the target gets
what it would have got from tcpcopy. By raw packets tcpcopy does it all; the
same is asked of both."""
import os
import signal
import sys
import time

import pytest
from hosts import CLIENTS6
from lab import LINK_PORT, ONLINE_PORT, TARGET_PORT
from outcome import assert_covered, counter
from processes import Process
from taps import Sniffer
from waiting import wait_until

RELAY = ("--path", "relay"), {"intercept": ("--relay", TARGET_PORT)}
RAW = ("--path", "raw"), {}
CONNECTIONS, REQUESTS = 8, 15


def run(lab, path, answer, v6=False):
    """Ledgers of both, and the segments that arrived on the target."""
    args, options = path
    load = {}
    if v6:
        options = {**options, "transfer": f"{ONLINE_PORT}-"
                                          f"[{lab.target.addr6}]:{TARGET_PORT}"}
        load = {"to": f"[{lab.online.addr6}]:{ONLINE_PORT}",
                "source": CLIENTS6}
    arrived = Sniffer(lab.target, f"dst port {TARGET_PORT}", "any",
                      ("-s", "120"))
    tap = lab.tap()
    copy = lab.copy(*args, **options)
    lab.load(connections=CONNECTIONS, concurrent=4, requests=REQUESTS,
             answer_size=answer, **load)
    ledger = copy.exact()
    assert tap.count() == 0
    return (ledger, copy.intercept.ledgers()[-1],
            segments_of(arrived.packets()))


def segments_of(packets):
    """Of each connection, behind its SYN: (seq, ack, window, flags, bytes),
    numbers from the first ones on."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6
    syns, found = {}, {}
    for packet in packets:
        if TCP not in packet:
            continue
        ip = packet[IP] if IP in packet else packet[IPv6]
        tcp = packet[TCP]
        length = (ip.len - 4 * ip.ihl if IP in packet else ip.plen)
        length -= 4 * tcp.dataofs
        key = ip.src, tcp.sport
        if tcp.flags.S:
            syns[key] = tcp.seq + 1
            continue
        if key not in syns:
            continue
        seen = found.setdefault(key, {"irs": tcp.ack, "segments": []})
        seen["segments"].append((tcp.seq - syns[key] & 0xffffffff,
                                 tcp.ack - seen["irs"] & 0xffffffff,
                                 tcp.window, str(tcp.flags), length))
    return [seen["segments"] for seen in found.values()]


def check(connections, answer):
    """The window is tcpcopy's, each number the next of what was sent, and
    what is acknowledged grows up to the last byte, the server's FIN after it,
    but for two ACKs that cross, and is never said four times, by which
    something would be missing."""
    assert len(connections) == CONNECTIONS
    for seen in connections:
        plain = [s for s in seen if "R" not in s[3]]
        assert {s[2] for s in plain} == {65535}
        sent, before, back, bare = 0, 0, 0, []
        for seq, ack, _, flags, length in plain:
            assert seq == sent, plain
            assert ack <= REQUESTS * answer + 1
            back += ack < before
            sent, before = seq + length + ("F" in flags), max(ack, before)
            if not length and "F" not in flags:
                bare.append(ack)
        assert before >= REQUESTS * answer
        assert back <= max(REQUESTS, len(plain) / 20)
        assert max(bare.count(ack) for ack in bare) < 4


@pytest.mark.parametrize("v6", [False, True])
def test_acknowledged_here(lab, v6):
    answer = 300_000
    ledger, intercept, segments = run(lab, RELAY, answer, v6)
    check(segments, answer)
    assert counter(intercept, "local_sessions") == CONNECTIONS
    assert counter(intercept, "local_acks") > 0
    assert counter(ledger, "responses") < counter(intercept, "routed")


def test_ordinary(lab):
    answer = 300_000
    _, intercept, segments = run(lab, RAW, answer)
    check(segments, answer)
    assert counter(intercept, "local_sessions") == 0
    assert counter(intercept, "local_acks") == 0


def test_short_answers_are_left_alone(lab):
    _, intercept, segments = run(lab, RELAY, 1000)
    check(segments, 1000)
    assert counter(intercept, "local_sessions") == 0


def test_one_segment_a_packet(lab):
    """PSH is in the last one only."""
    lab.target.run("ip", "link", "set", "eth0", "gso_max_segs", "1")
    _, intercept, segments = run(lab, RELAY, 300_000)
    check(segments, 300_000)
    assert counter(intercept, "local_sessions") == CONNECTIONS
    assert counter(intercept, "local_acks") > 0


def test_a_long_way(lab):
    """The target's window grows without tcpcopy, which acknowledges no more
    than an answer's end."""
    late = 36999
    Process(lab, lab.target, "late_link",
            [sys.executable, os.path.join(os.path.dirname(__file__),
                                          "late_link.py"),
             late, LINK_PORT, 20]).wait_for("ready")
    lab.target.iptables("-t", "nat", "-A", "PREROUTING", "-p", "tcp",
                        "--dport", LINK_PORT, "-j", "REDIRECT", "--to-ports",
                        late, families=(4,))
    ledger, intercept, segments = run(lab, RELAY, 1_000_000)
    check(segments, 1_000_000)
    answers = CONNECTIONS * REQUESTS
    assert counter(intercept, "local_acks") > 2 * answers
    assert counter(ledger, "packets_sent") < 3 * answers


@pytest.mark.parametrize("what", ["intercept", "links", "loss"])
def test_trouble(lab, what):
    """The word of an answer's end is lost; the target says it again."""
    args, options = RELAY
    tap = lab.tap()
    copy = lab.copy(*args, **options)
    load = lab.load_start(connections=20, concurrent=20, requests=60,
                          answer_size=200_000, think_ms=40)
    for n in range(3):
        wait_until(lambda: copy.target_app.totals()["requests"] > 250 * n)
        if what == "intercept":
            copy.intercept.signal(signal.SIGKILL)
            copy.intercept.wait()
            time.sleep(0.2)
            copy.intercept = lab.start_intercept(*options["intercept"])
        elif what == "links":
            lab.target.run("ss", "-K", "sport", "=", f":{LINK_PORT}", check=False)
        else:
            lab.online.iptables("-I", "INPUT", "-p", "tcp", "--sport",
                                LINK_PORT, "-m", "statistic", "--mode",
                                "random", "--probability", "0.01", "-j",
                                "DROP", families=(4,))
    load.done()
    copy.settle()
    copy.over()
    _, online, target = copy.finish()
    assert_covered(online, target)
    assert tap.count() == 0
