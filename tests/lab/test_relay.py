# SPDX-License-Identifier: BSD-2-Clause
"""--path relay: packets travel inside the links, and intercept injects them on
the target; nothing forged crosses the network."""
import signal
import socket
import struct

import pytest
from hosts import CLIENTS, CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_covered, counter
from taps import Sniffer
from waiting import wait_until

RELAY = ("--relay", TARGET_PORT)


def relay(lab, *args, intercept=RELAY, **kw):
    return lab.copy("--path", "relay", *args, intercept=intercept, **kw)


def test_exact(lab):
    tap = lab.tap()
    forged = Sniffer(lab.target, f"tcp and dst port {TARGET_PORT}")
    copy = relay(lab)
    lab.load(connections=200, concurrent=50, requests=100)
    copy.exact()
    assert tap.count() == 0
    assert not forged.packets()


def test_exact_ipv6(lab):
    tap = lab.tap()
    forged = Sniffer(lab.target, f"ip6 and tcp dst port {TARGET_PORT}")
    copy = relay(lab, transfer=f"{ONLINE_PORT}-[{lab.target.addr6}]:"
                               f"{TARGET_PORT}")
    lab.load(to=f"[{lab.online.addr6}]:{ONLINE_PORT}",
             source=["2001:db8:0:2::1"], connections=100, concurrent=20,
             requests=20)
    copy.exact()
    assert tap.count() == 0
    assert not forged.packets()


def test_short_connections(lab):
    copy = relay(lab)
    lab.load(connections=5000, concurrent=50)
    copy.exact()
    assert counter(copy.intercept.ledgers()[-1], "relay_unrouted") == 0


def test_with_a_key(lab):
    key = lab.path("key")
    assert not lab.online.run(lab.intercept_bin, "--make-key",
                              key).returncode
    copy = relay(lab, "--key-file", key, intercept=(*RELAY, "--key-file", key))
    lab.load(connections=50, concurrent=10, requests=20,
             request_size="24-60000")
    copy.exact()


@pytest.mark.parametrize("mbit", [None, 50])
def test_large_requests(lab, mbit):
    """With a link that is narrower than what is copied, sessions wait."""
    copy = relay(lab)
    if mbit:
        lab.online.narrow(mbit)
    lab.load(connections=20, concurrent=20, requests=20, request_size=60000)
    ledger = copy.exact()
    assert ledger["bytes"]["answered"] == 20 * 20 * 60000
    assert counter(ledger, "refused") == 0


def large(lab, v6, *args, size, connections=10, requests=10):
    """Requests of this size; (tcpcopy's, intercept's ledger, packets of more
    than 10,000 bytes that came by lo)."""
    seen = Sniffer(lab.target, f"dst port {TARGET_PORT} and greater 10000",
                   device="lo", flags=("-s", "80"))
    addr, source = f"{lab.target.addr}", {}
    to = f"{lab.online.addr}:{ONLINE_PORT}"
    if v6:
        addr, source = f"[{lab.target.addr6}]", {"source": CLIENTS6}
        to = f"[{lab.online.addr6}]:{ONLINE_PORT}"
    copy = relay(lab, *args, transfer=f"{ONLINE_PORT}-{addr}:{TARGET_PORT}")
    lab.load(to, connections=connections, concurrent=5, requests=requests,
             request_size=size, **source)
    ledger = copy.exact()
    intercept = copy.intercept.ledgers()[-1]
    assert ledger["bytes"]["answered"] == connections * requests * size
    assert counter(ledger, "refused") == 0
    assert intercept["inject"]["refused"] == 0
    return ledger, intercept, len(seen.packets())


@pytest.mark.parametrize("v6", [False, True])
@pytest.mark.parametrize("size,requests", [(60000, 10), (1000000, 2)])
def test_turns_in_few_packets(lab, v6, size, requests):
    ledger, intercept, seen = large(lab, v6, size=size, requests=requests)
    total = ledger["bytes"]["answered"]
    assert ledger["send"]["sent"] < total / 10000
    assert intercept["inject"]["sent"] == ledger["send"]["sent"]
    assert intercept["inject"]["cut"] == 0
    assert seen > total / 40000, seen


@pytest.mark.parametrize("v6", [False, True])
@pytest.mark.parametrize("mtu", [16436, 1500])
def test_lo_takes_less(lab, v6, mtu):
    """What is too long for it goes in pieces, and none is lost."""
    lab.target.run("ip", "link", "set", "lo", "mtu", mtu)
    ledger, intercept, seen = large(lab, v6, size=60000)
    assert intercept["inject"]["cut"] > 0
    assert intercept["inject"]["sent"] > ledger["send"]["sent"]
    assert counter(ledger, "packets_resent") == 0
    assert mtu > 10000 or seen == 0


def test_a_limit_of_the_payload(lab):
    """Holds inside the links as well."""
    ledger, intercept, seen = large(lab, False, "-S", 1000, size=60000)
    assert ledger["send"]["sent"] > ledger["bytes"]["answered"] / 1000
    assert intercept["inject"]["cut"] == seen == 0


def test_uploads_through_a_narrow_link(lab):
    """Much more than a link holds; nothing is refused, nothing is lost."""
    copy = relay(lab, "-C", 2)
    lab.router.run("tc", "qdisc", "add", "dev", "target", "root", "tbf",
                   "rate", "40mbit", "burst", "100kb", "latency", "400ms")
    lab.load(connections=10, concurrent=10, requests=1, request_size=2000000)
    copy.settle(quiet=30)
    ledger = copy.exact()
    assert counter(ledger, "refused") == 0


def test_loss_on_the_links(lab):
    copy = relay(lab)
    for chain, host in (("INPUT", lab.target), ("INPUT", lab.online)):
        host.iptables("-I", chain, "-p", "tcp", "-m", "multiport", "--ports",
                      "36524", "-m", "statistic", "--mode", "random",
                      "--probability", "0.02", "-j", "DROP", families=(4,))
    lab.load(connections=50, concurrent=25, requests=20, request_size=3000)
    copy.exact()


def test_strict_source_check(lab):
    """rp_filter=1, and no way back to the clients: raw packets would not be
    taken."""
    lab.target.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1",
                   "net.ipv4.conf.eth0.rp_filter=1")
    lab.target.run("ip", "route", "add", "198.51.100.0/24", "dev", "lo")
    copy = relay(lab)
    lab.load(connections=50, concurrent=10, requests=10)
    copy.exact()


def passed_output(lab):
    """So many injected packets have passed the target's OUTPUT since the last
    time; frames on lo do not."""
    total = 0
    for tool in ("iptables", "ip6tables"):
        lines = lab.target.run(tool, "-w", "-nvxL", "OUTPUT", "-Z").stdout
        total += sum(int(line.split()[0]) for line in lines.splitlines()
                     if f"dpt:{TARGET_PORT}" in line)
    return total


def injected(program):
    return program.ledger()["inject"]["sent"]


@pytest.mark.parametrize("v6", [False, True])
def test_frames_on_lo(lab, v6):
    """Where they are taken whatever their source is, they go so; what is
    longer goes by a raw socket, in its place."""
    lab.target.iptables("-I", "OUTPUT", "-p", "tcp", "--dport", TARGET_PORT)
    addr, source = f"{lab.target.addr}", {}
    to = f"{lab.online.addr}:{ONLINE_PORT}"
    if v6:
        addr, source = f"[{lab.target.addr6}]", {"source": CLIENTS6}
        to = f"[{lab.online.addr6}]:{ONLINE_PORT}"
    copy = relay(lab, transfer=f"{ONLINE_PORT}-{addr}:{TARGET_PORT}")
    lab.load(to, connections=20, concurrent=10, requests=20, **source)
    wait_until(lambda: injected(copy.intercept) > 400)
    assert passed_output(lab) == 0
    lab.load(to, connections=20, concurrent=10, requests=40,
             request_size="24-9000", **source)
    ledger = copy.exact()
    assert 0 < passed_output(lab) < ledger["send"]["sent"]
    assert counter(ledger, "packets_resent") == 0


def under_load(lab):
    """And whether packets other than SYN go by raw sockets now."""
    lab.target.iptables("-I", "OUTPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "!", "--syn", families=(4,))
    copy = relay(lab)
    load = lab.load_start(connections=20, concurrent=20, requests=250,
                          think_ms=30)

    def by_raw_sockets():
        passed_output(lab)
        before = injected(copy.intercept)
        wait_until(lambda: injected(copy.intercept) > before + 20)
        return passed_output(lab) > 0
    return copy, load, by_raw_sockets


@pytest.mark.parametrize("device", ["lo", "all"])
def test_a_filter_of_sources_on_lo(lab, device):
    """Comes and goes under load, with no way back to the clients."""
    conf = f"net.ipv4.conf.{device}.rp_filter"
    copy, load, by_raw_sockets = under_load(lab)
    assert not by_raw_sockets()
    for value in (1, 0, 1):
        lab.target.run("sysctl", "-qw", f"{conf}={value}")
        wait_until(lambda: by_raw_sockets() == bool(value))
    assert "lo has an rp_filter" in copy.intercept.err()
    load.done()
    copy.exact()


def test_a_local_network(lab):
    """Of which the clients are, so that with routing rules their frames would
    be dropped."""
    lab.target.run("ip", "rule", "add", "pref", "500", "lookup", "main")
    lab.target.run("ip", "route", "add", "local", "198.51.100.0/24", "dev",
                   "lo")
    copy, load, by_raw_sockets = under_load(lab)
    assert by_raw_sockets()
    assert "a whole network is local" in copy.intercept.err()
    load.done()
    copy.exact()


def drop_foreign(lab):
    """As a cloud does: what comes from online must have its address."""
    lab.router.run("nft", "add table bridge spoof")
    lab.router.run("nft", "add chain bridge spoof f { type filter hook "
                   "prerouting priority 0 ; }")
    lab.router.run("nft", 'add rule bridge spoof f iifname "online" ip saddr '
                   f'!= {lab.online.addr} tcp dport {TARGET_PORT} counter '
                   'drop')


def test_no_foreign_sources_allowed(lab):
    drop_foreign(lab)
    copy = relay(lab)
    lab.load(connections=50, concurrent=10, requests=10)
    copy.exact()


def test_the_control_raw_is_dropped(lab):
    drop_foreign(lab)
    copy = lab.copy()
    lab.load(connections=5)
    copy.tcpcopy.finish()
    assert copy.target_app.totals()["connections"] == 0


LOAD = {"connections": 50, "concurrent": 50, "requests": 100, "think_ms": 20}


def test_links_reset_under_load(lab):
    copy = relay(lab)
    load = lab.load_start(**LOAD)
    wait_until(lambda: copy.target_app.totals()["requests"] > 500)
    lab.target.run("ss", "-K", "sport", "=", ":36524", check=False)
    load.done()
    copy.settle()
    copy.over()
    _, online, target = copy.finish()
    assert_covered(online, target)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_intercept_restarted_under_load(lab, sig):
    tap = lab.tap()
    copy = relay(lab)
    load = lab.load_start(**LOAD)
    wait_until(lambda: copy.target_app.totals()["requests"] > 500)
    copy.intercept.signal(sig)
    copy.intercept.wait()
    copy.intercept = lab.start_intercept(*RELAY)
    load.done()
    copy.settle()
    copy.over()
    _, online, target = copy.finish()
    assert_covered(online, target)
    assert tap.count() == 0


def test_intercept_does_not_offer(lab):
    lab.rule()
    lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--path", "relay",
                                ready=False)
    assert tcpcopy.wait() == 3
    assert "--relay" in tcpcopy.err()


def test_port_not_served(lab):
    copy = relay(lab, intercept=("--relay", TARGET_PORT + 1))
    lab.load(connections=5)
    wait_until(lambda: counter(copy.intercept.ledger(), "relay_unserved") > 0)
    assert copy.target_app.totals()["connections"] == 0


# --- a peer that asks for more than it may --------------------------------

def frame(kind, *records):
    body = b"".join(records)
    return struct.pack("!IBBH", 8 + len(body), kind, 0, len(records)) + body


def hello(instance):
    return frame(1, struct.pack("!IHIQ", 0x74634e71, 1, 0, instance))


def end_of(addr, port):
    return b"\0" * 10 + b"\xff\xff" + socket.inet_aton(addr) + \
        struct.pack("!H", port)


def route(client, target, number=1):
    return frame(2, struct.pack("!Q", number) + end_of(*client) +
                 end_of(*target) + struct.pack("!I", 1000))


def packet(client, target, **ip):
    from scapy.layers.inet import IP, TCP
    raw = bytes(IP(src=client[0], dst=target[0], **ip) /
                TCP(sport=client[1], dport=target[1], flags="S", seq=1000))
    return frame(10, struct.pack("!H", len(raw)) + raw)


class Peer:
    def __init__(self, lab, instance):
        self.sock = lab.online.connect((lab.target.addr, 36524))
        self.sock.sendall(hello(instance))
        assert self.sock.recv(26)

    def say(self, *frames):
        self.sock.sendall(b"".join(frames))


@pytest.fixture
def peer(lab):
    lab.serve(lab.target, TARGET_PORT)
    lab.serve(lab.target, TARGET_PORT + 1)
    lab.rule()
    lab.rule(TARGET_PORT + 1)
    lab.intercept = lab.start_intercept(*RELAY)
    lab.seen = Sniffer(lab.target, f"tcp portrange {TARGET_PORT}-"
                                   f"{TARGET_PORT + 1}", device="any")
    return Peer(lab, 77)


def refused(lab, key, count):
    wait_until(lambda: counter(lab.intercept.ledger(), key) >= count,
               what=f"{count} {key}")
    ledger = lab.intercept.finish()
    assert counter(ledger, key) == count
    assert ledger["inject"]["sent"] == 0
    assert not lab.seen.packets()


def test_the_control_of_refusals(lab, peer):
    client, target = (CLIENTS[0], 4000), (lab.target.addr, TARGET_PORT)
    peer.say(route(client, target), packet(client, target))
    wait_until(lambda: counter(lab.intercept.ledger(), "relayed") == 1)
    assert lab.intercept.finish()["inject"]["sent"] == 1
    assert len(lab.seen.packets()) >= 1


def test_other_port(lab, peer):
    client, target = (CLIENTS[0], 4000), (lab.target.addr, TARGET_PORT + 1)
    peer.say(route(client, target), packet(client, target))
    refused(lab, "relay_unserved", 1)


def test_other_host(lab, peer):
    """Its route is not taken, so it has none."""
    client, target = (CLIENTS[0], 4000), (lab.online.addr, TARGET_PORT)
    peer.say(route(client, target), packet(client, target))
    refused(lab, "relay_unrouted", 1)


def test_foreign_tuple(lab, peer):
    client, target = (CLIENTS[0], 4000), (lab.target.addr, TARGET_PORT)
    other = Peer(lab, 78)
    other.say(route(client, target))
    wait_until(lambda: counter(lab.intercept.ledger(), "routes") == 1)
    peer.say(packet(client, target), packet((CLIENTS[0], 4001), target))
    refused(lab, "relay_unrouted", 2)


def test_names_of_the_target_itself(lab, peer):
    target = (lab.target.addr, TARGET_PORT)
    mine = [(addr, 4000) for addr in (lab.target.addr, "192.0.2.12",
                                      "127.0.0.1")]
    for client in mine:
        peer.say(route(client, target), packet(client, target))
    local = ("127.0.0.1", TARGET_PORT)
    peer.say(route((CLIENTS[0], 4000), local),
             packet((CLIENTS[0], 4000), local))
    refused(lab, "relay_foreign", 4)


def test_special_packets(lab, peer):
    from scapy.layers.inet import IPOption_LSRR
    client, target = (CLIENTS[0], 4000), (lab.target.addr, TARGET_PORT)
    peer.say(route(client, target),
             packet(client, target, options=[
                 IPOption_LSRR(routers=[lab.online.addr])]),
             packet(client, target, flags="MF"),
             packet(client, target, frag=3),
             packet(client, target, proto=17),
             packet(client, target, len=30),
             frame(10, struct.pack("!H", 0)))
    refused(lab, "relay_malformed", 6)


def test_not_asked_to(lab):
    lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    lab.intercept = lab.start_intercept()
    client, target = (CLIENTS[0], 4000), (lab.target.addr, TARGET_PORT)
    Peer(lab, 77).say(route(client, target), packet(client, target))
    wait_until(lambda: counter(lab.intercept.ledger(), "relay_unserved") == 1)
    assert "inject" not in lab.intercept.finish()
