# SPDX-License-Identifier: BSD-2-Clause
"""--guard: no packet of the target's port reaches a client, whatever happens
to intercept and to the firewall, and copying goes on afterwards. There is no
rule in these tests but the guard's."""
import shutil
import signal
import socket
import subprocess
import time

import pytest
from cgroup import MemoryGroup
from hosts import CLIENTS, CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, assert_balanced, counter
from taps import Sniffer, Tap
from waiting import wait_until
from test_cli import only, without
from test_relay import Peer, packet, route

FENCE = f"iif lo ipproto tcp sport {TARGET_PORT}".split()
TABLE = f"tcpcopy_guard_{TARGET_PORT}"


class Family:
    """The same test over IPv4 and IPv6."""

    def __init__(self, lab, number):
        self.lab, self.number = lab, number
        v4 = number == 4
        self.sources = CLIENTS if v4 else CLIENTS6
        self.online = lab.online.addr if v4 else f"[{lab.online.addr6}]"
        self.target = lab.target.addr if v4 else lab.target.addr6
        self.transfer = (f"{ONLINE_PORT}-"
                         f"{self.target if v4 else f'[{self.target}]'}"
                         f":{TARGET_PORT}")
        self.ip = ["ip", f"-{number}"]
        self.iptables = "iptables" if v4 else "ip6tables"
        self.nft = ["nft", "ip" if v4 else "ip6"]
        self.relay = ()

    def start_intercept(self, *args, **options):
        return self.lab.start_intercept("--guard", TARGET_PORT, *self.relay,
                                        *args, **options)

    def load_start(self, **options):
        return self.lab.load_start(f"{self.online}:{ONLINE_PORT}",
                                   source=self.sources, **options)

    def load(self, **options):
        return self.load_start(**options).done()

    def forge_syns(self, count=50):
        """What tcpcopy sends, without tcpcopy: SYNs in the clients' names."""
        from scapy.layers.inet import IP, TCP
        from scapy.layers.inet6 import IPv6
        v4 = self.number == 4
        raw = self.lab.online.socket(
            socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_RAW,
            socket.IPPROTO_RAW)
        for n in range(count):
            ip = (IP if v4 else IPv6)(src=self.sources[n % 8], dst=self.target)
            raw.sendto(bytes(ip / TCP(sport=6000 + n, dport=TARGET_PORT,
                                      flags="S")), (self.target, 0))

    def rules(self):
        """The guard's nftables rules and routing rules."""
        table = self.lab.target.run("nft", "list", "table", self.nft[1], TABLE,
                                    check=False).stdout
        routing = self.lab.target.run(*self.ip, "rule").stdout
        return (table.count(f"tcp sport {TARGET_PORT} queue"),
                routing.count(f"lookup {365240000 + TARGET_PORT}"))


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def family(request, lab):
    return Family(lab, request.param)


def guarded(family, *args, intercept=(), **kw):
    lab = family.lab
    online_app = lab.serve(lab.online, ONLINE_PORT)
    target_app = lab.serve(lab.target, TARGET_PORT)
    program = family.start_intercept(*intercept, **kw)
    tcpcopy = lab.start_tcpcopy("-x", family.transfer, *args)
    return Copy(online_app, target_app, program, tcpcopy)


def guard_of(copy):
    return copy.intercept.ledger()["guard"]


def copies_new_connections(family, copy, seed):
    """Every connection that is opened from now on arrives whole."""
    family.load(connections=100, concurrent=20, requests=5, seed=seed)
    copy.whole(seed, 100)


# --- the leak test ---------------------------------------------------------

def killed(family, copy):
    copy.intercept.kill()
    family.forge_syns()
    time.sleep(1)
    copy.intercept = family.start_intercept()


def out_of_memory(family, copy):
    """It needs more than it may have, and the kernel ends it."""
    with MemoryGroup(family.lab) as group:
        group.limit(65536)
        group.take(copy.intercept.pid)
        family.load(connections=3000, concurrent=30, seed=7)
        assert copy.intercept.wait() == -signal.SIGKILL
        assert group.kills() == 1
    family.forge_syns()
    time.sleep(1)
    copy.intercept = family.start_intercept()


def ended_and_another_started(family, copy):
    """As when a new version is installed."""
    copy.intercept.finish()
    family.forge_syns()
    time.sleep(1)
    family.lab.intercept_bin = shutil.copy(family.lab.intercept_bin,
                                           family.lab.path("new-intercept"))
    copy.intercept = family.start_intercept()


def stopped(family, copy):
    copy.intercept.signal(signal.SIGSTOP)
    family.forge_syns()
    time.sleep(5)
    copy.intercept.signal(signal.SIGCONT)


def iptables_flushed(family, copy):
    for table in ("raw", "mangle", "filter"):
        family.lab.target.iptables("-t", table, "-F")
        family.lab.target.iptables("-t", table, "-X")


def nft_flushed(family, copy):
    family.lab.target.run("nft", "flush", "ruleset")
    wait_until(lambda: guard_of(copy)["fallen"] >= 2)


def accepted_before(family, copy):
    """In all tables that come before and after, of either flavour."""
    host = family.lab.target
    accept = ("OUTPUT", 1, "-p", "tcp", "--sport", TARGET_PORT, "-j", "ACCEPT")
    for table in ("raw", "mangle", "filter"):
        host.run(family.iptables, "-w", "-t", table, "-I", *accept)
    legacy = family.iptables.replace("tables", "tables-legacy")
    host.run(legacy, "-w", "-t", "raw", "-I", *accept)
    host.run("nft", "add", "table", "inet", "mine")
    host.run("nft", "add", "chain", "inet", "mine", "out",
             "{ type filter hook output priority -400; policy accept; }")
    host.run("nft", "add", "rule", "inet", "mine", "out", "accept")


def accepted_in_our_chain(family, copy):
    family.lab.target.run("nft", "insert", "rule", family.nft[1], TABLE,
                          "output", "accept")
    wait_until(lambda: guard_of(copy)["restored"] >= 1)
    table = family.lab.target.run("nft", "list", "table", family.nft[1],
                                  TABLE).stdout
    assert "accept comment" not in table and "\t\taccept" not in table


def asleep(family, copy):
    """Without packets its chain is one that the kernel does not ask."""
    family.lab.target.run("nft", "add", "table", family.nft[1], TABLE,
                          "{ flags dormant; }")
    wait_until(lambda: guard_of(copy)["restored"] >= 1)


def fence_deleted(family, copy):
    family.lab.target.run(*family.ip, "rule", "del", *FENCE)
    wait_until(lambda: guard_of(copy)["restored"] >= 1)


def routed_before(family, copy):
    """`ip rule add` without a number puts it in front of all others."""
    for _ in range(3):
        before = guard_of(copy)["restored"]
        family.lab.target.run(*family.ip, "rule", "add", "ipproto", "tcp",
                              "sport", TARGET_PORT, "lookup", "main")
        wait_until(lambda n=before: guard_of(copy)["restored"] > n)


def dead_end_gone(family, copy):
    family.lab.target.run(*family.ip, "route", "flush", "table",
                          365240000 + TARGET_PORT)
    wait_until(lambda: guard_of(copy)["restored"] >= 1)


def flushed_while_dead(family, copy):
    """No rule and nobody to put it back: only the fence."""
    copy.intercept.kill()
    family.lab.target.run("nft", "flush", "ruleset")
    family.forge_syns()
    time.sleep(2)
    assert family.rules() == (0, 1)
    copy.intercept = family.start_intercept()


def fence_deleted_while_stopped(family, copy):
    """No fence and nobody to put it back: only the rule."""
    copy.intercept.signal(signal.SIGSTOP)
    family.lab.target.run(*family.ip, "rule", "del", *FENCE)
    family.forge_syns()
    time.sleep(2)
    assert family.rules() == (1, 0)
    copy.intercept.signal(signal.SIGCONT)


EVENTS = [killed, out_of_memory, ended_and_another_started, stopped,
          iptables_flushed, nft_flushed, accepted_before,
          accepted_in_our_chain, asleep, fence_deleted, routed_before,
          dead_end_gone, flushed_while_dead, fence_deleted_while_stopped]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.__name__)
def test_leak(family, event):
    check_leak(family, event)


@pytest.mark.parametrize("event", [
    killed, stopped, nft_flushed, flushed_while_dead,
    fence_deleted_while_stopped], ids=lambda e: e.__name__)
def test_leak_with_relay(family, event):
    """The requests do not come from the network."""
    family.relay = ("--relay", TARGET_PORT)
    check_leak(family, event, "--path", "relay")


def check_leak(family, event, *args):
    tap = family.lab.tap()
    copy = guarded(family, *args)
    load = family.load_start(connections=40, concurrent=40, requests=150,
                             think_ms=20, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 200)
    event(family, copy)
    copies_new_connections(family, copy, 2)
    load.done()
    wait_until(lambda: family.rules() == (1, 1))
    assert guard_of(copy)["armed"] is True
    assert copy.tcpcopy.alive()
    copy.settle(quiet=3)
    assert_balanced(copy.tcpcopy.finish())
    copy.intercept.finish()
    family.forge_syns()
    assert tap.count() == 0


def test_the_control(family):
    """Neither line stands, nobody puts them back: now the tap sees it."""
    tap = family.lab.tap()
    copy = guarded(family)
    family.load(connections=10)
    assert tap.count() == 0
    copy.intercept.kill()
    family.lab.target.run("nft", "flush", "ruleset")
    family.lab.target.run(*family.ip, "rule", "del", *FENCE)
    family.forge_syns()
    wait_until(lambda: tap.count() > 0, what="a leak without a guard")


# --- another port ------------------------------------------------------------

OTHER_PORT = TARGET_PORT + 1


def other_port(family):
    return f"{family.transfer.rsplit(':', 1)[0]}:{OTHER_PORT}"


@pytest.mark.parametrize("path", ["raw", "link", "relay"])
def test_a_port_that_is_not_guarded(family, path):
    """Its answers would get out: nothing is sent there, not one SYN."""
    lab = family.lab
    tap, arrived = lab.tap(), Sniffer(lab.target, f"dst port {OTHER_PORT}")
    lab.serve(lab.online, ONLINE_PORT)
    other = lab.serve(lab.target, OTHER_PORT)
    family.relay = ("--relay", f"{TARGET_PORT},{OTHER_PORT}")
    intercept = family.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", other_port(family), "--path", path)
    family.load(connections=50, concurrent=10, requests=20, think_ms=50)
    time.sleep(2)
    assert not other.records()
    assert tap.count() == 0 and not arrived.packets()
    assert f"add {OTHER_PORT} to --guard" in tcpcopy.err()
    # It is started again with that port, too.
    intercept.finish()
    lab.start_intercept("--guard", f"{TARGET_PORT},{OTHER_PORT}", "--relay",
                        OTHER_PORT)
    tcpcopy.wait_for("the guard stands")
    family.load(connections=50, concurrent=10, requests=5, seed=2)
    wait_until(lambda: len(other.records()) >= 50)
    assert_balanced(tcpcopy.finish())
    assert tap.count() == 0


def test_a_guarded_port_and_another(family):
    """The one is copied to, and the other not."""
    tap = family.lab.tap()
    other = family.lab.serve(family.lab.target, OTHER_PORT)
    copy = guarded(family, "-x", other_port(family))
    family.load(connections=100, concurrent=20, requests=10)
    copies_new_connections(family, copy, 2)
    assert not other.records()
    assert tap.count() == 0


def test_a_peer_that_sends_there_all_the_same(lab):
    """No route is taken, nothing injected; the log says it once a link."""
    lab.serve(lab.target, OTHER_PORT)
    tap = lab.tap()
    intercept = lab.start_intercept("--guard", TARGET_PORT, "--relay",
                                    f"{TARGET_PORT},{OTHER_PORT}")
    target = lab.target.addr, OTHER_PORT
    clients = [(CLIENTS[0], 4000 + n) for n in range(5)]
    Peer(lab, 77).say(*[words for client in clients for words in (
        route(client, target), packet(client, target))])
    wait_until(lambda: intercept.ledger()["routes_unguarded"] == 5)
    wait_until(lambda: counter(intercept.ledger(), "relay_unrouted") == 5)
    ledger = intercept.finish()
    assert ledger["routes"] == 0 and ledger["inject"]["sent"] == 0
    assert intercept.err().count(f"add {OTHER_PORT} to --guard") == 1
    assert tap.count() == 0


# --- what the guard must not do --------------------------------------------

@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_exact(family, rp_filter):
    """The requests come in, whatever the reverse path filter; the segments
    are as large as without a fence."""
    for device in ("all", "eth0"):
        family.lab.target.run(
            "sysctl", "-qw", f"net.ipv4.conf.{device}.rp_filter={rp_filter}")
    family.lab.target.run("ip", "link", "set", "eth0", "mtu", 1400)
    # Frames to the next hop are cut by the device, where no sniffer sees it.
    copy = guarded(family, "--path", "raw")
    sniffer = Sniffer(family.lab.online, f"dst port {TARGET_PORT}")
    family.load(connections=100, concurrent=20, requests=20,
                request_size="24-5000", answer_size="24-20000")
    ledger = copy.exact()
    assert counter(ledger, "guard_pauses") == 0
    # the target's MSS
    headers = 40 if family.number == 4 else 60
    largest = max(len(p["TCP"].payload) for p in sniffer.packets())
    assert largest <= 1400 - headers


def test_passlist(family):
    """Addresses on it are served, with and without intercept; others not."""
    friend, other = family.sources[0], family.sources[1]
    prefix = friend + ("/32" if family.number == 4 else "/128")
    family.lab.serve(family.lab.target, TARGET_PORT)
    intercept = family.lab.start_intercept("--guard", TARGET_PORT,
                                           "-x", prefix)
    for alive in (True, False):
        if not alive:
            intercept.kill()
        family.lab.client.connect((family.target, TARGET_PORT),
                                  friend).close()
        with pytest.raises(TimeoutError):
            family.lab.client.connect((family.target, TARGET_PORT), other,
                                      timeout=2)
    # another list, another exemption; the old one is gone
    family.lab.start_intercept("--guard", TARGET_PORT, "-x", other)
    family.lab.client.connect((family.target, TARGET_PORT), other).close()
    with pytest.raises(TimeoutError):
        family.lab.client.connect((family.target, TARGET_PORT), friend,
                                  timeout=2)


def test_other_ports_and_hosts(lab):
    """Another port of the target is served, and packets with the guarded
    port that only pass through."""
    lab.start_intercept("--guard", TARGET_PORT)
    lab.serve(lab.target, 9000)
    lab.client.connect((lab.target.addr, 9000)).close()
    # the client's way to a server behind the target
    lab.serve(lab.online, TARGET_PORT)
    lab.target.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    lab.target.run("ip", "addr", "add", "192.0.2.100/32", "dev", "lo")
    lab.online.run("ip", "route", "add", "198.51.100.0/24", "via",
                   lab.target.addr)
    lab.client.connect((lab.online.addr, TARGET_PORT)).close()


# --- the lease --------------------------------------------------------------

def packets_in(family, seconds):
    """TCP packets from tcpcopy that reach the target meanwhile."""
    tap = Tap(family.lab.target, family.sources)
    time.sleep(seconds)
    return tap.count()


def nothing_can_be_put_back(family):
    """A routing rule with the first number of all: nothing can be put in
    front of that. Returns what removes it."""
    target = family.lab.target
    rule = ["from", "203.0.113.9" if family.number == 4 else "2001:db8:9::9",
            "lookup", "main", "pref", "0"]
    target.run(*family.ip, "rule", "add", *rule)
    return lambda: target.run(*family.ip, "rule", "del", *rule)


def test_nothing_is_sent_while_it_cannot_be_put_back(family):
    copy = guarded(family)
    load = family.load_start(connections=20, concurrent=20, requests=150,
                             think_ms=50, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    assert packets_in(family, 1) > 0
    allow = nothing_can_be_put_back(family)
    wait_until(lambda: guard_of(copy)["armed"] is False)
    wait_until(lambda: counter(copy.tcpcopy.ledger(), "guard_pauses") == 1)
    assert packets_in(family, 2) == 0
    allow()
    copies_new_connections(family, copy, 2)
    load.done()
    assert "cannot be put back" in copy.intercept.err()
    assert "does not vouch" in copy.tcpcopy.err()
    assert "the guard stands" in copy.tcpcopy.err()


def test_the_lease_ends(family):
    """intercept is stopped: its last word holds for a second."""
    copy = guarded(family)
    load = family.load_start(connections=20, concurrent=20, requests=150,
                             think_ms=50, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    copy.intercept.signal(signal.SIGSTOP)
    time.sleep(1.5)
    assert packets_in(family, 2) == 0
    assert counter(copy.tcpcopy.ledger(), "guard_pauses") == 1
    copy.intercept.signal(signal.SIGCONT)
    copies_new_connections(family, copy, 2)
    load.done()


def test_what_waits_in_a_link(family):
    """Packets that were sent while the lease held come out of the link when
    the guard does not stand any more: they are not injected."""
    family.relay = ("--relay", TARGET_PORT)
    copy = guarded(family, "--path", "relay")
    load = family.load_start(connections=20, concurrent=20, requests=150,
                             think_ms=50, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    assert copy.intercept.ledger()["relay_unguarded"] == 0
    copy.intercept.signal(signal.SIGSTOP)
    wait_until(lambda: counter(copy.tcpcopy.ledger(), "guard_pauses") == 1)
    allow = nothing_can_be_put_back(family)
    copy.intercept.signal(signal.SIGCONT)
    wait_until(lambda: copy.intercept.ledger()["relay_unguarded"] > 0)
    allow()
    copies_new_connections(family, copy, 2)
    load.done()


# --- setting up and removing -------------------------------------------------

def unguard(lab, *ports):
    return lab.target.run(lab.intercept_bin, "--unguard",
                          ",".join(str(p) for p in ports), check=False)


def everything(lab):
    """All that a guard could leave behind."""
    out = lab.target.run("nft", "list", "ruleset").stdout
    for family in ("-4", "-6"):
        out += lab.target.run("ip", family, "rule").stdout
        for port in (TARGET_PORT, 80, 81):
            out += lab.target.run("ip", family, "route", "show", "table",
                                  365240000 + port, check=False).stdout
    return out


def test_unguard(family):
    lab = family.lab
    before = everything(lab)
    lab.serve(lab.target, TARGET_PORT)
    intercept = lab.start_intercept("--guard", f"80,{TARGET_PORT},81",
                                    "-x", "203.0.113.0/24,2001:db8:9::/48")
    done = unguard(lab, TARGET_PORT)
    assert done.returncode == 3 and "end that first" in done.stderr
    assert family.rules() == (1, 1)
    sock = lab.client.socket(
        socket.AF_INET if family.number == 4 else socket.AF_INET6,
        socket.SOCK_STREAM)
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.connect((family.target, TARGET_PORT))
    wait_until(lambda: lab.target.sockets(TARGET_PORT))
    intercept.finish()
    done = unguard(lab, TARGET_PORT)
    assert done.returncode == 3 and "still open" in done.stderr, done
    assert len(done.stderr.splitlines()) == 1
    assert family.rules() == (1, 1)
    sock.close()
    lab.target.run("ss", "-K", "state", "syn-recv", "sport",
                   f"= :{TARGET_PORT}")
    wait_until(lambda: unguard(lab, 80, TARGET_PORT).returncode == 0)
    assert everything(lab).count("tcpcopy_guard") == 2  # of port 81
    assert unguard(lab, 81).returncode == 0
    assert everything(lab) == before
    assert unguard(lab, 81).returncode == 0  # nothing to do
    lab.client.connect((family.target, TARGET_PORT)).close()


def test_commands_by_hand(family):
    """What --print-rules prints does it, too; and --guard takes it over."""
    lab = family.lab
    printed = lab.target.run(
        lab.intercept_bin, "--guard", TARGET_PORT, "--print-rules",
        "-x", "203.0.113.0/24,2001:db8:9::/48").stdout
    assert not family.rules()[1]
    lab.target.run("sh", "-e", input=printed)
    assert family.rules()[1] == 1
    tap = lab.tap()
    online_app = lab.serve(lab.online, ONLINE_PORT)
    target_app = lab.serve(lab.target, TARGET_PORT)
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", family.transfer)
    copy = Copy(online_app, target_app, intercept, tcpcopy)
    family.load(connections=100, concurrent=10, requests=5)
    copy.settle()
    assert copy.tcpcopy.finish()["connections"]["answered"] == 100
    intercept.finish()
    assert tap.count() == 0
    lab.start_intercept("--guard", TARGET_PORT).finish()
    assert family.rules() == (1, 1)
    assert unguard(lab, TARGET_PORT).returncode == 0
    assert not family.rules()[1]


def test_one_capability_suffices(lab):
    family = Family(lab, 4)
    copy = guarded(family, wrap=only("net_admin"))
    family.load(connections=20)
    family.lab.target.run("nft", "flush", "ruleset")
    wait_until(lambda: guard_of(copy)["restored"] >= 2)
    copy.exact()
    done = lab.target.run(*only("net_admin"), lab.intercept_bin, "--unguard",
                          TARGET_PORT)
    assert done.returncode == 0 and family.rules() == (0, 0)
    # without it neither
    for option in ("--guard", "--unguard"):
        done = lab.target.run(*without("net_admin"), lab.intercept_bin, option,
                              TARGET_PORT, check=False)
        assert done.returncode == 3 and "CAP_NET_ADMIN" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert family.rules() == (0, 0)


def test_two_guards_of_one_port(lab):
    lab.start_intercept("--guard", f"80,{TARGET_PORT}")
    other = lab.start_intercept("--guard", TARGET_PORT, "--queue-num", 1,
                                "-p", 40000, ready=False, json_file=False)
    assert other.wait() == 3
    assert "another intercept guards that port" in other.err()
    assert len(other.err().splitlines()) == 1
    # another port is another guard
    lab.start_intercept("--guard", 81, "--queue-num", 1, "-p", 40000)


def test_no_place_for_the_fence(lab):
    lab.target.run("ip", "rule", "add", "pref", "1", "lookup", "main")
    intercept = lab.start_intercept("--guard", TARGET_PORT, ready=False,
                                    json_file=False)
    assert intercept.wait() == 3
    assert "IPv4 fence of port" in intercept.err()
    assert len(intercept.err().splitlines()) == 1


def test_without_ipv6(lab):
    """Where it is switched off no fence can be made, and none is missed; when
    it is switched on, there is one."""
    lab.target.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    family = Family(lab, 4)
    copy = guarded(family)
    family.load(connections=20)
    copy.settle()
    assert guard_of(copy)["fallen"] == 0
    lab.target.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
    wait_until(lambda: Family(lab, 6).rules() == (1, 1))
    wait_until(lambda: guard_of(copy)["restored"] == 1)
    copy.exact()


def test_loads_of_changes(family):
    """Somebody changes the firewall all the time: nothing falls, little is
    spent on it."""
    copy = guarded(family)
    churn = subprocess.Popen(
        family.lab.target.prefix +
        ["sh", "-c", "while :; do nft add table ip other; "
                     "nft delete table ip other; done"])
    try:
        family.load(connections=100, concurrent=10, requests=20, think_ms=10)
        copy.settle()
        report = copy.intercept.ledger()
    finally:
        churn.kill()
        churn.wait()
    assert report["guard"]["fallen"] == 0
    assert report["guard"]["looks"] > 10
    assert copy.tcpcopy.finish()["connections"]["answered"] == 100
