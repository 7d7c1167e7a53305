# SPDX-License-Identifier: BSD-2-Clause
"""No flood into the dark: until a target's first answer has come back, one
session a second is opened to it and all others wait."""
import time

from lab import LINK_PORT, ONLINE_PORT, TARGET_PORT
from taps import Sniffer
from waiting import wait_until


def syns(packets):
    from scapy.layers.inet import IP, TCP
    return {(p[IP].src, p[TCP].sport) for p in packets
            if TCP in p and p[TCP].flags == "S"}


def test_forgotten_rule(lab):
    """What leaks stays little; the line says what to do; and with the rule
    in place everything that waited is copied."""
    tap = lab.tap()
    online = lab.serve(lab.online, 11311)
    target = lab.serve(lab.target, 11511)
    intercept = lab.start_intercept()
    begin = time.monotonic()
    sniffer = Sniffer(lab.target, f"tcp dst port {TARGET_PORT} and "
                                  "tcp[tcpflags] & tcp-syn != 0")
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    load = lab.load_start(connections=300, open_together=True, requests=3,
                          pause_after=3)
    load.paused()
    tcpcopy.wait_for("iptables -I OUTPUT -p tcp --sport 11511 -j NFQUEUE")
    line = [x for x in tcpcopy.err().splitlines() if "rp_filter" in x]
    assert len(line) == 1
    assert "3 of 3 links" in line[0] and "-c" in line[0]
    assert "its queue is bound, 0 packets came out of it" in line[0]
    lab.rule()
    tcpcopy.wait_for("target 192.0.2.2:11511 answers")
    opened = time.monotonic() - begin
    assert len(syns(sniffer.packets())) >= 300
    leaked = tap.count()
    # a session sends a handful of packets in vain, and so does the answerer
    assert 0 < leaked < 20 * (opened + 2)
    from outcome import Copy
    copy = Copy(online, target, intercept, tcpcopy)
    load.go()
    load.done()
    copy.settle()
    assert target.totals()["requests"] == 900
    ledger = copy.tcpcopy.finish()
    assert ledger["connections"]["answered"] == 300
    assert ledger["packets"]["held_back"] >= 290


def test_links_down(lab):
    """With two of the three links gone, the line says that."""
    lab.serve(lab.online, ONLINE_PORT)
    lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    lab.target.iptables("-I", "INPUT", "-p", "tcp", "--syn", "--dport",
                        LINK_PORT, "-j", "REJECT")
    for link in lab.online.sockets(LINK_PORT, "dport")[:2]:
        port = link.split()[3].rsplit(":", 1)[1]
        lab.online.run("ss", "-K", f"sport = :{port}")
    wait_until(lambda: tcpcopy.err().count("is lost") == 2)
    load = lab.load_start(connections=3, open_together=True, pause_after=1)
    load.paused()
    tcpcopy.wait_for("no response of target")
    line = [x for x in tcpcopy.err().splitlines() if "rp_filter" in x]
    assert len(line) == 1
    assert "1 of 3 links to its intercept are up" in line[0]
    assert "its queue is bound, 0 packets came out of it" in line[0]
    load.go()
    load.done()


def test_one_session_a_second(lab):
    """No server at all, no answer: after s seconds s sessions were tried."""
    lab.serve(lab.online, 11311)
    lab.target.iptables("-I", "INPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "-j", "DROP")
    lab.start_intercept()
    sniffer = Sniffer(lab.target, f"tcp dst port {TARGET_PORT}")
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    begin = time.monotonic()
    load = lab.load_start(connections=100, open_together=True, pause_after=1)
    load.paused()
    tcpcopy.wait_for("rp_filter")
    tried = syns(sniffer.packets())
    assert 4 <= len(tried) <= time.monotonic() - begin + 2
    load.go()
    load.done()


def test_after_the_links_were_lost(lab):
    """The rule is taken away while intercept is gone: again one a second."""
    tap = lab.tap()
    copy = lab.copy()
    lab.load(connections=50)
    copy.settle()
    copy.intercept.kill()
    lab.rule(command="-D")
    wait_until(lambda: "is lost" in copy.tcpcopy.err())
    lab.start_intercept()
    wait_until(lambda: len(lab.online.sockets(36524, "dport")) == 3)
    time.sleep(2)  # the lost links are retried with back-off
    sniffer = Sniffer(lab.target, f"tcp dst port {TARGET_PORT} and "
                                  "tcp[tcpflags] & tcp-syn != 0")
    begin = time.monotonic()
    lab.load(connections=200, concurrent=50, seed=2)
    seconds = time.monotonic() - begin
    assert tap.count() < 20 * (seconds + 2)
    assert len(syns(sniffer.packets())) <= time.monotonic() - begin + 2
