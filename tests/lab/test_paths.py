# SPDX-License-Identifier: BSD-2-Clause
"""--path raw, link and auto: how packets leave the online server. A rule in
its OUTPUT chain counts those that go by a raw socket; frames do not pass it."""
import re
import signal
import socket

import pytest
from hosts import CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT
from taps import Sniffer
from waiting import wait_until

WAYS = ("raw", "link", "auto")
GATE6 = "2001:db8:0:1::fe"


def count_raw(lab):
    lab.online.iptables("-I", "OUTPUT", "-p", "tcp", "--dport", TARGET_PORT)


def raw_packets(lab):
    """So many have passed OUTPUT so far."""
    total = 0
    for tool in ("iptables", "ip6tables"):
        lines = lab.online.run(tool, "-w", "-nvxL", "OUTPUT").stdout
        total += sum(int(line.split()[0]) for line in lines.splitlines()
                     if f"dpt:{TARGET_PORT}" in line)
    return total


def sent(program):
    return program.ledger()["send"]["sent"]


def transfer(lab, v6):
    if not v6:
        return lab.transfer
    return f"{ONLINE_PORT}-[{lab.target.addr6}]:{TARGET_PORT}"


def load(lab, v6=False, start=False, **options):
    run = lab.load_start if start else lab.load
    if v6:
        return run(f"[{lab.online.addr6}]:{ONLINE_PORT}", source=CLIENTS6,
                   **options)
    return run(**options)


def online(lab, *cmd):
    return lab.online.run("ip", *cmd)


def neighbour(lab, addr):
    """The online server's entry: (MAC, state)."""
    words = online(lab, "neigh", "show", addr, "dev", "eth0").stdout.split()
    mac = words[words.index("lladdr") + 1] if "lladdr" in words else None
    return mac, words[-1] if words else None


def touch(host, addr):
    """A packet of host's own to addr, for which it must know the MAC."""
    host.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", (addr, 9))


def mac_of(host):
    words = host.run("ip", "link", "show", "dev", "eth0").stdout.split()
    return words[words.index("link/ether") + 1]


@pytest.mark.parametrize("v6", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_exact(lab, way, v6):
    tap = lab.tap()
    count_raw(lab)
    copy = lab.copy("--path", way, transfer=transfer(lab, v6))
    load(lab, v6, connections=100, concurrent=25, requests=30,
         request_size="24-5000", answer_size="24-20000")
    ledger = copy.exact()
    assert tap.count() == 0
    assert ledger["send"]["refused"] == 0, ledger["send"]
    packets, raw = ledger["send"]["sent"], raw_packets(lab)
    if way == "raw":
        assert raw == packets
    else:
        assert raw < packets / 10, (raw, packets)


@pytest.mark.parametrize("v6", [False, True])
def test_turns_in_one_frame(lab, v6):
    """Long requests leave as frames of many segments each."""
    large = f"dst port {TARGET_PORT} and greater 4000"
    frames = Sniffer(lab.online, large)
    count_raw(lab)
    copy = lab.copy("--path", "link", transfer=transfer(lab, v6))
    load(lab, v6, connections=20, concurrent=5, requests=10,
         request_size="30000-60000")
    ledger = copy.exact()
    assert ledger["send"]["refused"] == 0
    found = len(frames.packets())
    assert found > 200, found
    assert raw_packets(lab) < ledger["send"]["sent"] / 10


@pytest.mark.parametrize("off", [("tso", "gso"), ("tx",)])
def test_turns_where_the_device_cannot_cut(lab, off):
    """Then the kernel does."""
    for what in off:
        lab.online.run("ethtool", "-K", "eth0", what, "off")
    copy = lab.copy("--path", "link")
    load(lab, connections=20, concurrent=5, requests=10,
         request_size="30000-60000")
    ledger = copy.exact()
    assert ledger["send"]["refused"] == 0


def test_through_a_gateway(lab):
    """The target is behind the router: its next hop is the router."""
    lab.client.run("iptables", "-w", "-I", "OUTPUT", "-p", "tcp", "--sport",
                   TARGET_PORT, "-j", "NFQUEUE")
    target_app = lab.serve(lab.client, TARGET_PORT)
    online_app = lab.serve(lab.online, ONLINE_PORT)
    lab.start_intercept("--allow", "192.0.2.0/24", host=lab.client)
    count_raw(lab)
    tcpcopy = lab.start_tcpcopy(
        "-x", f"{ONLINE_PORT}-{lab.client.addr}:{TARGET_PORT}", "--path",
        "link", "-c", "192.0.2.200")
    assert re.search(r"path link: next hop 192\.0\.2\.254 on eth0",
                     tcpcopy.err()), tcpcopy.err()
    lab.load(host=lab.target, source=None, connections=20, concurrent=5,
             requests=10)
    wait_until(lambda: target_app.totals()["requests"] == 200,
               what="the copies")
    ledger = tcpcopy.finish()
    assert raw_packets(lab) < ledger["send"]["sent"] / 2
    assert online_app.totals()["requests"] == 200


def test_the_mac_changes(lab):
    """Under load, again and again; at the end frames go to the new one."""
    count_raw(lab)
    copy = lab.copy("--path", "link")
    running = load(lab, start=True, connections=40, concurrent=40,
                   requests=100, think_ms=40)
    for n in range(1, 4):
        wait_until(lambda: copy.target_app.totals()["requests"] > n * 700,
                   what="requests on the target")
        lab.target.run("ip", "link", "set", "eth0", "address",
                       f"02:00:00:00:00:0{n}")
        # Its neighbours ask anew; those on this way hear it at once.
        touch(lab.target, lab.online.addr)
        wait_until(lambda: neighbour(lab, lab.target.addr)[0] ==
                   mac_of(lab.target), what="the new MAC")
    before = raw_packets(lab)
    packets = sent(copy.tcpcopy)
    running.done()
    copy.exact()
    done = copy.tcpcopy.ledgers()[-1]["send"]["sent"] - packets
    assert done > 500
    assert raw_packets(lab) - before < done / 10


@pytest.mark.parametrize("v6", [False, True])
def test_the_next_hop_goes_and_returns(lab, v6):
    """Its entry is removed under load: packets go by the raw socket, which has
    it resolved again, and then as frames."""
    count_raw(lab)
    addr = lab.target.addr6 if v6 else lab.target.addr
    copy = lab.copy("--path", "link", transfer=transfer(lab, v6))
    running = load(lab, v6, start=True, connections=40, concurrent=40,
                   requests=100, think_ms=40)
    wait_until(lambda: copy.target_app.totals()["requests"] > 1000,
               what="requests on the target")
    for _ in range(5):
        lab.online.run("ip", "neigh", "del", addr, "dev", "eth0", check=False)
        wait_until(lambda: neighbour(lab, addr)[0], what="a new entry")
    running.done()
    ledger = copy.exact()
    assert ledger["send"]["refused"] == 0
    assert 0 < raw_packets(lab) < ledger["send"]["sent"] / 2


def test_nobody_is_there_for_a_while(lab):
    """The target's device is down until the neighbour entry has failed. What
    is sent meanwhile goes by the raw socket; copying goes on afterwards."""
    copy = lab.copy("--path", "link", "--log-level", "debug")
    running = load(lab, start=True, connections=20, concurrent=20,
                   requests=100, think_ms=50)
    wait_until(lambda: copy.target_app.totals()["requests"] > 500,
               what="requests on the target")
    lab.target.run("ip", "link", "set", "eth0", "down")
    online(lab, "neigh", "flush", "dev", "eth0", "to", lab.target.addr)
    copy.tcpcopy.wait_for("eth0, unresolved (raw meanwhile)")
    lab.target.run("ip", "link", "set", "eth0", "up")
    lab.target.run("ip", "route", "add", "default", "via", "192.0.2.254")
    running.done()
    wait_until(lambda: neighbour(lab, lab.target.addr)[0] ==
               mac_of(lab.target), what="the neighbour")
    lab.load(connections=20, concurrent=20, requests=10, seed=7)
    copy.settle()
    assert copy.tcpcopy.alive()
    assert copy.target_app.totals()["requests"] >= 500 + 200
    copy.finish()


def forwarded(lab):
    lines = lab.router.run("iptables", "-w", "-nvxL", "FORWARD").stdout
    return sum(int(line.split()[0]) for line in lines.splitlines()
               if f"dpt:{TARGET_PORT}" in line)


def test_the_route_changes(lab):
    """To a gateway, and back, under load: frames go where the route says."""
    lab.router.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0",
                   check=False)
    lab.router.iptables("-I", "FORWARD", "-p", "tcp", "--dport", TARGET_PORT,
                        families=(4,))
    count_raw(lab)
    copy = lab.copy("--path", "auto")
    running = load(lab, start=True, connections=20, concurrent=20,
                   requests=120, think_ms=40)
    wait_until(lambda: copy.target_app.totals()["requests"] > 500,
               what="requests on the target")
    online(lab, "route", "add", f"{lab.target.addr}/32", "via", "192.0.2.254")
    copy.tcpcopy.wait_for("next hop 192.0.2.254 on eth0")
    packets = sent(copy.tcpcopy)
    wait_until(lambda: sent(copy.tcpcopy) > packets + 200, what="packets",
               step=0.5)
    online(lab, "route", "del", f"{lab.target.addr}/32")
    by_gateway = forwarded(lab)
    assert by_gateway > 0
    packets = sent(copy.tcpcopy)
    wait_until(lambda: sent(copy.tcpcopy) > packets + 200, what="packets",
               step=0.5)
    assert forwarded(lab) < by_gateway + 100
    running.done()
    ledger = copy.exact()
    assert raw_packets(lab) < ledger["send"]["sent"] / 4


def path_lines(program):
    """Without the time in front."""
    return [re.sub("^.*? target ", "target ", line)
            for line in program.err().splitlines() if ": path " in line]


def add_tunnel(lab):
    """10.7.0.2 is behind a device without Ethernet header."""
    online(lab, "tuntap", "add", "tun7", "mode", "tun")
    online(lab, "addr", "add", "10.7.0.1/24", "dev", "tun7")
    online(lab, "link", "set", "tun7", "up")


def test_auto_says_what_it_takes(lab):
    """A line a target: neighbour, gateway, tunnel, this host."""
    add_tunnel(lab)
    lab.start_intercept()
    touch(lab.online, lab.target.addr)
    wait_until(lambda: neighbour(lab, lab.target.addr)[0], what="the MAC")
    at = ((lab.target.addr, 80), (lab.client.addr, 81), ("10.7.0.2", 82),
          ("127.0.0.1", 83))
    program = lab.start_tcpcopy(
        "-x", ",".join(f"{ONLINE_PORT}-{host}:{port}" for host, port in at),
        "-s", lab.target.addr)
    assert path_lines(program) == [
        "target 192.0.2.2:80: path link: next hop 192.0.2.2 on eth0",
        "target 198.51.100.1:81: path link: next hop 192.0.2.254 on eth0" +
        ("" if neighbour(lab, "192.0.2.254")[0] else
         ", unresolved (raw meanwhile)"),
        "target 10.7.0.2:82: path raw: tun7 has no Ethernet header",
        "target 127.0.0.1:83: path raw: it is an address of this host"]


def test_only_link(lab):
    """--path link is refused where frames do not go."""
    add_tunnel(lab)
    program = lab.start_tcpcopy("-x", f"{ONLINE_PORT}-10.7.0.2:80", "--path",
                                "link", ready=False, json_file=False)
    assert program.wait() == 3
    assert program.err().splitlines() == [
        "tcpcopy: --path link: target 10.7.0.2:80: tun7 has no Ethernet "
        "header: use --path raw"]


RELAYED = (f"target 192.0.2.2:{TARGET_PORT}: path relay: its intercept takes "
           "packets")


def test_auto_takes_what_intercept_offers(lab):
    """And goes on by frames when it is offered no longer."""
    count_raw(lab)
    tap = lab.tap()
    frames = Sniffer(lab.target, f"tcp and dst port {TARGET_PORT}")
    copy = lab.copy(intercept=("--relay", TARGET_PORT))
    assert path_lines(copy.tcpcopy) == [RELAYED]
    load(lab, connections=50, concurrent=10, requests=10)
    wait_until(lambda: copy.target_app.totals()["requests"] == 500,
               what="the copies")
    copy.settle()
    assert raw_packets(lab) == 0
    assert not frames.packets()
    copy.intercept.signal(signal.SIGTERM)
    copy.intercept.wait()
    copy.intercept = lab.start_intercept()
    copy.tcpcopy.wait_for("takes no packets any more")
    frames = Sniffer(lab.target, f"tcp and dst port {TARGET_PORT}")
    assert "path link: next hop" in path_lines(copy.tcpcopy)[-1]
    load(lab, connections=50, concurrent=10, requests=10, seed=2)
    copy.exact()
    assert frames.packets()
    assert tap.count() == 0


def test_auto_leaves_a_way_that_is_silent(lab):
    """intercept takes packets, but none for this port."""
    copy = lab.copy(intercept=("--relay", TARGET_PORT + 1))
    assert path_lines(copy.tcpcopy) == [RELAYED]
    load(lab, connections=5)
    copy.tcpcopy.wait_for("path relay is left")
    assert "path link: next hop" in path_lines(copy.tcpcopy)[-1]
    copy.exact()


def policy(lab, what):
    online(lab, "xfrm", "policy", what, "dir", "out", "src", lab.online.addr,
           "dst", lab.target.addr, *(() if what == "delete" else (
               "tmpl", "src", lab.online.addr, "dst", lab.target.addr,
               "proto", "esp", "mode", "transport")))


def test_no_frames_past_an_ipsec_policy(lab):
    """They would leave in the clear."""
    lab.start_intercept()
    frames = Sniffer(lab.target, f"tcp and dst port {TARGET_PORT}")
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "-s", lab.target.addr6)
    policy(lab, "add")
    lab.serve(lab.online, ONLINE_PORT)
    tcpcopy.wait_for("path raw: packets to it do not leave as they are made")
    load(lab, connections=5)
    wait_until(lambda: sent(tcpcopy) > 0, what="a packet")
    assert not frames.packets()
    again = lab.start_tcpcopy("-x", lab.transfer, "--path", "link",
                              ready=False, json_file=False)
    assert again.wait() == 3
    policy(lab, "delete")
    wait_until(lambda: "path link: next hop" in path_lines(tcpcopy)[-1],
               what="frames again")


def test_routers_news_are_no_harm(lab):
    """Thousands of routes and neighbours come and go meanwhile."""
    copy = lab.copy("--path", "link")
    running = load(lab, start=True, connections=20, concurrent=20,
                   requests=100, think_ms=20)
    lab.online.run("sh", "-ec", """
        for i in 1 2 3 4; do for j in $(seq 20 220); do
            echo "route add 10.$i.$j.0/24 via 192.0.2.254"
            echo "neigh replace 192.0.2.$j lladdr 02:00:00:00:0$i:01 dev eth0"
        done; done >batch
        ip -batch batch
        sed -n "/route/s/add/del/p" batch | ip -batch -""", cwd=lab.dir)
    running.done()
    copy.exact()
