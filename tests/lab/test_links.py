# SPDX-License-Identifier: BSD-2-Clause
"""The links between tcpcopy and intercept."""
import struct

import pytest
from lab import LINK_PORT
from outcome import counter
from taps import Sniffer, tcp_streams

RESPONSE = 5  # type of a frame
RECORD_MIN = 20  # a response record is longer than this


def frames(stream):
    """(type, records, length) of each whole frame."""
    at = 0
    while at + 8 <= len(stream):
        length, kind, _, records = struct.unpack_from("!IBBH", stream, at)
        assert 8 <= length <= 65536
        if at + length > len(stream):
            return
        yield kind, records, length
        at += length


def sniff_links(lab):
    """Not what a client has sent from a port of that number."""
    return Sniffer(lab.online, f"tcp port {LINK_PORT} and "
                   f"host {lab.online.addr} and host {lab.target.addr}")


def responses(stream):
    return sum(n for kind, n, _ in frames(stream) if kind == RESPONSE)


@pytest.mark.parametrize("links", [1, 3, 5])
def test_one_link_carries_all_responses(lab, links):
    """All are up; one is enough until it is full."""
    sniffer = sniff_links(lab)
    copy = lab.copy("-C", links)
    assert len(lab.online.sockets(LINK_PORT, "dport")) == links
    lab.load(connections=300, concurrent=30, requests=5)
    copy.settle()
    ledger = copy.intercept.ledger()
    assert len(ledger["links"]) == links
    copy.exact()
    seen = tcp_streams(sniffer.packets(), LINK_PORT)
    assert len(seen) == links
    records = sorted(map(responses, seen))
    # each of 1,500 answers has one header at least
    assert records[-1] >= 1500
    assert sum(records) == records[-1]
    assert records[-1] == counter(copy.tcpcopy.ledgers()[-1], "responses")


def test_another_link_takes_over(lab):
    sniffer = sniff_links(lab)
    copy = lab.copy()
    lab.load(connections=30, requests=5)
    copy.settle()
    first = lab.online.busiest_port(LINK_PORT)
    lab.online.run("ss", "-K", f"sport = :{first}")
    lab.load(connections=300, concurrent=30, requests=5, seed=2)
    copy.exact()
    seen = tcp_streams(sniffer.packets(), LINK_PORT)
    records = sorted(filter(None, map(responses, seen)))
    # and the first one may have come back, and then be taken for a while
    assert len(records) >= 2 and records[-2] >= 150
    assert records[-1] >= 1000


@pytest.mark.parametrize("most", [1, 7])
def test_records_in_a_frame(lab, most):
    sniffer = sniff_links(lab)
    copy = lab.copy(intercept=("-n", most))
    lab.load(connections=500, concurrent=100, requests=5)
    copy.exact()
    counts = [n for stream in tcp_streams(sniffer.packets(), LINK_PORT)
              for kind, n, _ in frames(stream) if kind == RESPONSE]
    assert counts and max(counts) == most


def test_many_records_share_a_frame(lab):
    sniffer = sniff_links(lab)
    copy = lab.copy("-C", 1)
    lab.load(connections=500, concurrent=100, requests=5)
    copy.exact()
    counts = [n for stream in tcp_streams(sniffer.packets(), LINK_PORT)
              for kind, n, _ in frames(stream) if kind == RESPONSE]
    assert max(counts) > 7


STRANGERS = {
    "http": b"GET / HTTP/1.0\r\n\r\n",
    "zeros": bytes(100),
    "huge length": b"\xff" * 64,
    "other magic": struct.pack("!IBBH", 30, 1, 0, 1) + b"nope" + bytes(18),
    "route first": struct.pack("!IBBH", 64, 2, 0, 1) + bytes(56),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_gets_no_byte(lab, kind):
    copy = lab.copy()
    with lab.online.connect((lab.target.addr, LINK_PORT)) as sock:
        sock.sendall(STRANGERS[kind])
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass
    assert counter(copy.intercept.ledger(), "strangers") == 1
    lab.load(connections=20, requests=5)
    copy.exact()


def test_a_silent_stranger_is_closed(lab):
    copy = lab.copy()
    with lab.online.connect((lab.target.addr, LINK_PORT), timeout=30) as sock:
        assert sock.recv(100) == b""
    assert counter(copy.intercept.ledger(), "strangers") == 1


def test_many_strangers(lab):
    """They take no link away from tcpcopy, and cost nothing that lasts."""
    copy = lab.copy()
    socks = [lab.online.connect((lab.target.addr, LINK_PORT))
             for _ in range(300)]
    lab.load(connections=50, requests=5)
    for sock in socks:
        sock.close()
    copy.exact()


def test_garbage_from_the_other_side(lab):
    """tcpcopy connects to something that is no intercept: it ends, saying
    so, and sends the target nothing."""
    target = lab.serve(lab.target, 11511)
    listener = lab.target.socket()
    listener.bind((lab.target.addr, LINK_PORT))
    listener.listen()
    program = lab.start_tcpcopy("-x", lab.transfer, ready=False)
    listener.settimeout(20)
    sock, _ = listener.accept()
    sock.sendall(b"\xff" * 1000)
    assert program.wait() == 3
    assert len(program.err().splitlines()) == 1
    listener.close()
    sock.close()
    assert target.finish() == []


def test_pace(lab):
    """On a short way bbr does not pace a link."""
    known = lab.online.run("sysctl", "-n",
                           "net.ipv4.tcp_available_congestion_control").stdout
    if "bbr" not in known.split():
        pytest.skip("this kernel has no bbr")
    for host in (lab.online, lab.target):
        host.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=bbr")
    copy = lab.copy("-C", 2)
    lab.load(connections=5, requests=5)
    copy.settle()
    for host in (lab.online, lab.target):
        links = host.run("ss", "-HOtni", "state", "established",
                         f"( sport = :{LINK_PORT} or dport = :{LINK_PORT} )")
        assert [line.split()[4] for line in links.stdout.splitlines()] == \
            ["reno"] * 2
