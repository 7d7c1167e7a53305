# SPDX-License-Identifier: BSD-2-Clause
"""Replaying capture files: -i, at its own pace, -a faster, -I without gaps."""
import time

import pytest
from hosts import CLIENTS
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, assert_exact, assert_whole
from processes import FrameClient
from taps import Sniffer, read_pcap

LOAD = {"connections": 40, "concurrent": 10, "requests": 8,
        "request_size": "24-5000", "answer_size": "24-9000"}


class Replay:
    """A capture of a load, made in the lab, and what it must become."""

    def __init__(self, lab, device="eth0", flags=(), load=None):
        self.lab = lab
        self.online = lab.serve(lab.online, ONLINE_PORT)
        sniffer = Sniffer(lab.online, f"tcp port {ONLINE_PORT}", device, flags)
        if load:
            load()
        else:
            lab.load(**LOAD)
        self.pcap = sniffer.finish()
        self.log = self.online.finish()
        self.target = lab.serve(lab.target, TARGET_PORT)
        lab.rule()
        self.intercept = lab.start_intercept()

    def run(self, *args, path=None):
        begin = time.monotonic()
        program = self.lab.start_tcpcopy("-i", path or self.pcap, "-x",
                                         self.lab.transfer, *args,
                                         ready=False)
        assert program.wait(120) == 0, program.err()
        return program, time.monotonic() - begin

    def exact(self, program):
        ledger = program.ledgers()[-1]
        assert ledger["final"] is True
        assert_balanced(ledger)
        assert_exact([self.log], self.target.finish())
        assert_whole(ledger)
        assert ledger["connections"]["captured"] == len(self.log)
        return ledger


CAPTURES = {
    "ethernet": ("eth0", ()),
    "cooked": ("any", ("-y", "LINUX_SLL")),
    "cooked 2": ("any", ("-y", "LINUX_SLL2")),
}


@pytest.mark.parametrize("kind", CAPTURES)
def test_exact(lab, kind):
    tap = lab.tap()
    replay = Replay(lab, *CAPTURES[kind])
    program, _ = replay.run()
    replay.exact(program)
    assert tap.count() == 0


def rewrite(pcap, form):
    """The same packets in another file format or link type."""
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.utils import PcapNgWriter, wrpcap
    out = pcap + "." + form.replace(" ", "-")
    packets = read_pcap(pcap)
    if form == "pcapng":
        writer = PcapNgWriter(out)
        for packet in packets:
            writer.write(packet)
        writer.close()
        return out
    changed = []
    for packet in packets:
        if form == "raw":
            new = packet[IP]
        else:
            tags = Dot1Q(vlan=7) if form == "vlan" else \
                Dot1Q(vlan=7) / Dot1Q(vlan=8)
            new = Ether(src=packet.src, dst=packet.dst) / tags / packet[IP]
            if form == "double vlan":
                new.type = 0x88a8
        new.time = packet.time
        changed.append(new)
    wrpcap(out, changed, linktype=101 if form == "raw" else 1)
    return out


@pytest.mark.parametrize("form", ["pcapng", "vlan", "double vlan", "raw"])
def test_formats(lab, form):
    replay = Replay(lab)
    program, _ = replay.run(path=rewrite(replay.pcap, form))
    replay.exact(program)


def test_loopback_capture(lab):
    """Clients on the online host itself, captured on lo."""
    replay = Replay(lab, "lo", load=lambda: lab.load(
        f"127.0.0.1:{ONLINE_PORT}", source=None, host=lab.online, **LOAD))
    program, _ = replay.run()
    replay.exact(program)


def pausing(lab, seconds):
    def load():
        client = FrameClient(lab.client, (lab.online.addr, ONLINE_PORT))
        client.request()
        time.sleep(seconds)
        client.request()
        client.close()
    return load


def stretch(pcap, seconds):
    """The same, with that much time between first and second request."""
    from scapy.utils import wrpcap
    packets = read_pcap(pcap)
    gaps = [b.time - a.time for a, b in zip(packets, packets[1:])]
    cut = gaps.index(max(gaps)) + 1
    for packet in packets[cut:]:
        packet.time += seconds
    wrpcap(pcap + ".long", packets)
    return pcap + ".long"


def test_own_pace(lab):
    replay = Replay(lab, load=pausing(lab, 3))
    program, seconds = replay.run()
    replay.exact(program)
    # ends right after the last session, whatever -t and -k are
    assert 3 <= seconds < 10


def test_accelerate(lab):
    """100 times as fast: ten minutes in six seconds."""
    replay = Replay(lab, load=pausing(lab, 1))
    program, seconds = replay.run("-a", "100",
                                  path=stretch(replay.pcap, 600))
    replay.exact(program)
    assert 6 <= seconds < 60


def test_skip_idle(lab):
    replay = Replay(lab, load=pausing(lab, 1))
    program, seconds = replay.run("-I", "500",
                                  path=stretch(replay.pcap, 600))
    replay.exact(program)
    assert seconds < 60


def test_copies(lab):
    replay = Replay(lab)
    program, _ = replay.run("-n", "3", "-c", "203.0.113.x")
    ledger = program.ledgers()[-1]
    assert_balanced(ledger)
    assert_exact([replay.log], replay.target.finish(), 3)


def test_capture_that_ends_early(lab):
    """Connections that the file leaves open end with a reset."""
    from scapy.layers.inet import TCP
    from scapy.utils import wrpcap
    replay = Replay(lab)
    packets = [p for p in read_pcap(replay.pcap)
               if not p[TCP].flags.F and not p[TCP].flags.R]
    wrpcap(replay.pcap + ".open", packets)
    program, _ = replay.run(path=replay.pcap + ".open")
    replay.exact(program)
    assert not lab.target.sockets(TARGET_PORT)


def test_truncated_packets_are_counted(lab):
    """A capture with a short snapshot length has no requests in it."""
    replay = Replay(lab, flags=("-s", "80"), load=lambda: lab.load(
        connections=10, requests=3, request_size=1000))
    program, _ = replay.run()
    ledger = program.ledgers()[-1]
    assert_balanced(ledger)
    assert ledger["connections"]["captured"] == 10
    assert all(r["requests"] == 0 for r in replay.target.finish())


@pytest.mark.parametrize("what", ["missing", "empty", "text", "cut"])
def test_bad_files(lab, what):
    replay = Replay(lab, load=lambda: lab.load(connections=3))
    path = replay.pcap + ".bad"
    with open(replay.pcap, "rb") as f:
        good = f.read()
    if what != "missing":
        with open(path, "wb") as f:
            f.write({"empty": b"", "text": b"no capture at all\n" * 10,
                     "cut": good[:len(good) // 2 + 5]}[what])
    program = lab.start_tcpcopy("-i", path, "-x", lab.transfer, ready=False)
    code = program.wait(60)
    if what == "cut":  # what is there is replayed, and the rest is said
        assert code == 0 and path in program.err(), program.err()
        assert replay.target.finish()
    else:
        assert code in (2, 3), program.err()
        lines = program.err().splitlines()
        assert len(lines) == 1 and path in lines[0]


def test_capture_without_our_port(lab):
    """Nothing to do: it ends, and says what it saw."""
    replay = Replay(lab, load=lambda: lab.load(connections=3))
    program = lab.start_tcpcopy("-i", replay.pcap, "-x",
                                f"80-{lab.target.addr}:{TARGET_PORT}",
                                ready=False)
    assert program.wait(60) == 0
    assert program.ledgers()[-1]["connections"]["captured"] == 0
    assert CLIENTS and replay.target.finish() == []
