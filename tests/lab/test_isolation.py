# SPDX-License-Identifier: BSD-2-Clause
"""No packet of the target reaches a client, whatever happens to intercept.
The control that the tap would see one: the same with the rule removed."""
import signal
import socket

import pytest
from hosts import CLIENTS
from lab import TARGET_PORT
from taps import Sniffer
from waiting import wait_until

LOAD = {"connections": 500, "concurrent": 50, "requests": 10, "think_ms": 20}


def forge_syns(lab, count=50):
    """What tcpcopy sends, without tcpcopy: SYNs in the clients' names."""
    from scapy.layers.inet import IP, TCP
    raw = lab.online.socket(socket.AF_INET, socket.SOCK_RAW,
                            socket.IPPROTO_RAW)
    for n in range(count):
        raw.sendto(bytes(IP(src=CLIENTS[n % 8], dst=lab.target.addr) /
                         TCP(sport=6000 + n, dport=TARGET_PORT, flags="S")),
                   (lab.target.addr, 0))


def test_running(lab):
    tap = lab.tap()
    copy = lab.copy()
    lab.load(**LOAD)
    copy.exact()
    assert tap.count() == 0


def test_not_yet_started(lab):
    tap = lab.tap()
    lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    sniffer = Sniffer(lab.target, f"dst port {TARGET_PORT}")
    forge_syns(lab)
    assert len(sniffer.packets()) >= 50
    assert tap.count() == 0


def test_the_control(lab):
    """Everything runs, the rule is gone: now the tap sees the target."""
    tap = lab.tap()
    lab.copy()
    lab.load(connections=10)
    assert tap.count() == 0
    lab.rule(command="-D")
    lab.load(connections=10, seed=2)
    wait_until(lambda: tap.count() > 0, what="a leak without the rule")


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_ended_under_load(lab, sig):
    tap = lab.tap()
    copy = lab.copy()
    load = lab.load_start(**LOAD)
    wait_until(lambda: copy.target_app.totals()["requests"] > 200)
    copy.intercept.signal(sig)
    copy.intercept.wait()
    forge_syns(lab)
    load.done()
    assert tap.count() == 0
    assert copy.tcpcopy.alive()
    lab.start_intercept()
    lab.load(connections=50, requests=5, seed=2)
    copy.settle(quiet=3)
    assert copy.tcpcopy.finish()["connections"]["answered"] >= 50
    assert tap.count() == 0


def test_stopped_under_load(lab):
    """A SIGSTOP: the queue fills up, nothing gets past it."""
    tap = lab.tap()
    copy = lab.copy(intercept=("-q", 64))
    load = lab.load_start(**LOAD)
    wait_until(lambda: copy.target_app.totals()["requests"] > 200)
    copy.intercept.signal(signal.SIGSTOP)
    forge_syns(lab, 200)
    load.done()
    wait_until(lambda: lab.queue()["dropped"] > 0, what="a full queue")
    copy.intercept.signal(signal.SIGCONT)
    lab.load(connections=50, requests=5, seed=2)
    copy.settle(quiet=3)
    assert copy.tcpcopy.finish()["connections"]["answered"] >= 50
    assert tap.count() == 0


def test_tcpcopy_killed_under_load(lab):
    """Its routes are still with intercept, which drops what nobody wants."""
    tap = lab.tap()
    copy = lab.copy()
    load = lab.load_start(**LOAD)
    wait_until(lambda: copy.target_app.totals()["requests"] > 200)
    copy.tcpcopy.signal(signal.SIGKILL)
    copy.tcpcopy.wait()
    load.done()
    lab.start_tcpcopy("-x", lab.transfer)
    lab.load(connections=50, requests=5, seed=2)
    copy.settle(quiet=3)
    copy.intercept.finish()
    assert tap.count() == 0


def test_online_server_gets_nothing(lab):
    """No packet of ours goes to the online server: its counts are those of
    its clients alone."""
    copy = lab.copy()
    sniffer = Sniffer(lab.online, f"src host {lab.target.addr} and not port "
                                  "36524 and tcp")
    lab.load(connections=100, concurrent=10, requests=5)
    copy.exact()
    assert len(sniffer.packets()) == 0
