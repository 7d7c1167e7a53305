# SPDX-License-Identifier: BSD-2-Clause
"""-n: every copy is exact, no two of them share an address and port, and they
do not come all at once."""
import collections
import statistics

import pytest
from hosts import CLIENTS
from lab import TARGET_PORT
from outcome import requests_are_turns
from taps import Sniffer


def exact(copy, copies, turns):
    ledger = requests_are_turns(copy.exact(copies), turns, copies)
    assert ledger["factor"] == copies


@pytest.mark.parametrize("copies,connections", [(3, 600), (10, 200),
                                                (100, 20)])
def test_short_connections(lab, copies, connections):
    copy = lab.copy("-n", copies)
    lab.load(connections=connections, concurrent=20)
    exact(copy, copies, connections)


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
    exact(copy, copies, 6 * connections)
    peers = {(r["peer"], r["port"]) for r in copy.target_app.records()}
    assert len(peers) == connections * copies


def test_short_and_long_at_once(lab):
    copy = lab.copy("-n", 10)
    long = lab.load_start(connections=20, concurrent=20, requests=60,
                          think_ms=20)
    lab.load(connections=400, concurrent=20, seed=2)
    long.done()
    exact(copy, 10, 20 * 60 + 400)


def syn_times(packets):
    """When each client sent SYNs, in order; none of them twice."""
    from scapy.layers.inet import IP, TCP
    found = collections.defaultdict(dict)
    for packet in packets:
        found[packet[IP].src].setdefault(packet[TCP].sport,
                                         float(packet.time))
    return {client: sorted(times.values()) for client, times in found.items()}


def test_copies_of_a_connection_are_no_burst(lab):
    """Ten of them within some 10 ms. The machine may hold tcpcopy up now and
    then, so this is looked at for most of them."""
    copies, rounds = 10, 5
    copy = lab.copy("-n", copies)
    lab.load()  # until it is answered, one session a second is opened
    copy.settle(copies)
    sniffer = Sniffer(lab.target, f"tcp dst port {TARGET_PORT} and "
                      "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn")
    for seed in range(2, 2 + rounds):
        lab.load(connections=len(CLIENTS), concurrent=len(CLIENTS), seed=seed)
        copy.settle(copies)
    times = syn_times(sniffer.packets())
    assert set(times) == set(CLIENTS)
    spans, steps = [], []
    for client in CLIENTS:
        assert len(times[client]) == rounds * copies
        for at in range(0, rounds * copies, copies):
            one = times[client][at:at + copies]
            spans.append(one[-1] - one[0])
            steps.append(sum(b - a > 0.0003 for a, b in zip(one, one[1:])))
    assert 0.005 < statistics.median(spans) < 0.1, spans
    assert statistics.median(steps) >= 4, steps
    assert max(spans) < 1, spans
    exact(copy, copies, 1 + rounds * len(CLIENTS))
