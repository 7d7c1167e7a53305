# SPDX-License-Identifier: BSD-2-Clause
"""The doctors: on a healthy pair they say nothing but ok; everything that is
done wrong here on purpose is named, with what mends it."""
import contextlib
import errno
import json
import signal
import socket
import struct
import subprocess

import pytest
from lab import LINK_PORT, ONLINE_PORT, TARGET_PORT
from taps import Tap
from waiting import wait_until

OK, FAILS, BAD_INPUT = 0, 1, 2


class Doctor:
    """What a check has said."""

    def __init__(self, host, binary, *args):
        done = host.run(binary, "check", "--json", *args, check=False)
        self.code, self.err = done.returncode, done.stderr
        self.lines = [json.loads(line) for line in done.stdout.splitlines()]
        host.lab.check_said = done.stdout + done.stderr
        assert "Sanitizer" not in self.err, self.err

    def fine(self):
        bad = [line for line in self.lines if line["level"] != "ok"]
        assert self.lines and not bad and self.code == OK, bad or self.err

    def names(self, what, *words, level="FAIL"):
        """There is such a line, with a fix, and the exit code fits."""
        for line in self.lines:
            if (line["what"], line["level"]) == (what, level) and \
                    all(w in line["cause"] + line["fix"] for w in words):
                assert line["fix"]
                assert self.code == (FAILS if any(
                    each["level"] == "FAIL" for each in self.lines) else OK)
                return line
        raise AssertionError(f"no {level} of {what} with {words}: "
                             f"{self.lines} {self.err}")

    def has_nothing_else(self, *what):
        other = [line for line in self.lines
                 if line["level"] == "FAIL" and line["what"] not in what]
        assert not other, other


def on_target(lab, *args):
    return Doctor(lab.target, lab.intercept_bin, *args)


def on_online(lab, *args, transfer=None):
    return Doctor(lab.online, lab.tcpcopy_bin, "-x", transfer or lab.transfer,
                  *args)


class Trouble:
    """For a moment something is wrong."""

    def __init__(self, host):
        self.host = host

    @contextlib.contextmanager
    def done(self, do, undo):
        self.host.run("sh", "-ec", do)
        try:
            yield
        finally:
            self.host.run("sh", "-ec", undo)

    def rule(self, rule, tool="iptables"):
        """A rule at the head of its chain."""
        table, rule = rule.split(" ", 1)
        chain, rest = rule.split(" ", 1)
        return self.done(f"{tool} -w -t {table} -I {chain} {rest}",
                         f"{tool} -w -t {table} -D {chain} {rest}")


@pytest.fixture
def pair(lab):
    """Applications, intercept with its rule, and clients that keep on."""
    lab.serve(lab.online, ONLINE_PORT)
    lab.target_app = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    lab.program = lab.start_intercept()
    lab.load_start(connections=100000, concurrent=2, requests=50, think=20)
    return lab


@pytest.fixture
def guarded(lab):
    lab.serve(lab.online, ONLINE_PORT)
    lab.serve(lab.target, TARGET_PORT)
    lab.program = lab.start_intercept("--guard", TARGET_PORT)
    lab.load_start(connections=100000, concurrent=2, requests=50, think=20)
    return lab


# --- healthy ---------------------------------------------------------------

def test_a_healthy_pair_is_ok(pair):
    on_target(pair).fine()
    on_online(pair).fine()
    # While a tcpcopy runs, too, and over IPv6.
    pair.start_tcpcopy("-x", pair.transfer)
    on_target(pair).fine()
    on_online(pair).fine()
    on_online(pair, transfer=f"{ONLINE_PORT}-[{pair.target.addr6}]:"
              f"{TARGET_PORT}").fine()


def test_a_healthy_guarded_pair_is_ok(guarded):
    on_target(guarded, "--guard", TARGET_PORT).fine()
    on_target(guarded).fine()
    on_online(guarded).fine()
    # Text says the same.
    done = guarded.target.run(guarded.intercept_bin, "check", "--guard",
                              TARGET_PORT)
    assert done.stdout and done.stderr == ""
    assert all(line.startswith("ok  ") for line in done.stdout.splitlines())


# --- on the target ---------------------------------------------------------

def test_rules_that_are_wrong(pair):
    target = Trouble(pair.target)
    sport = f"-p tcp --sport {TARGET_PORT}"
    queue = f"filter OUTPUT {sport} -j NFQUEUE"
    for tool, legacy in (("iptables", "iptables-legacy"),
                         ("ip6tables", "ip6tables-legacy")):
        family = "IPv4" if tool == "iptables" else "IPv6"
        # An ACCEPT before it.
        with target.rule("filter OUTPUT -m conntrack --ctstate ESTABLISHED "
                         "-j ACCEPT", tool):
            on_target(pair).names("rules", family, "not the first",
                                  "ctstate ESTABLISHED", "-I OUTPUT")
        with target.rule("filter OUTPUT -p tcp -j ACCEPT", tool):
            on_target(pair).names("rules", family, "not the first",
                                  "-p tcp -j ACCEPT", "lets all answers out")
        # A DROP before it, in another table, of either flavour.
        for flavour in (tool, legacy):
            with target.rule(f"raw OUTPUT {sport} -j DROP", flavour):
                on_target(pair).names("rules", family, "dropped", "raw",
                                      f"-D OUTPUT {sport[:6]}")
        # Queue bypass; no rule at all; one for another queue.
        pair.target.run(tool, "-w", "-D", *queue.split()[1:])
        with target.rule(queue + " --queue-bypass", tool):
            on_target(pair).names("rules", family, "--queue-bypass")
        with target.rule(queue + " --queue-num 5", tool):
            on_target(pair, "--queue-num", "0").names(
                "rules", family, "another queue")
        with target.rule(f"filter OUTPUT {sport} -m conntrack --ctstate NEW "
                         "-j NFQUEUE", tool):
            on_target(pair).names("rules", family, "only some answers",
                                  level="warn")
        # The other flavour's rule is as good.
        with target.rule(queue, legacy):
            on_target(pair).fine()
        pair.target.run(tool, "-w", "-I", *queue.split()[1:])
    on_target(pair).fine()


def test_no_rule(pair):
    pair.rule(command="-D")
    said = on_target(pair)
    said.names("rules", "no rule", "queue 0", "--guard")
    said.has_nothing_else("rules")


def test_rules_of_native_nftables(pair):
    """Those that a guard leaves behind are some, on any kernel."""
    target, port = Trouble(pair.target), TARGET_PORT
    table = f"tcpcopy_guard_{port}"
    pair.rule(command="-D")
    pair.program.finish()
    pair.start_intercept("--guard", port).finish()
    pair.program = pair.start_intercept()
    on_target(pair).fine()
    for nft, family in (("ip", "IPv4"), ("ip6", "IPv6")):
        chain = f"{nft} {table} output"
        with target.done(
                f"nft insert rule {chain} ct state established accept",
                f"nft delete rule {chain} handle $(nft -a list chain {chain} "
                "| sed -n 's/.*ct state.*handle //p')"):
            said = on_target(pair)
            said.names("rules", family, "not the first", "ct state",
                       "-I OUTPUT")
            said.has_nothing_else("rules")
        # It can be in front of the queue, or behind it.
        with target.done(
                f"nft add table {nft} t; nft add chain {nft} t out '{{ type "
                "filter hook output priority 0; }'; nft add rule "
                f"{nft} t out tcp sport {port} drop",
                f"nft delete table {nft} t"):
            on_target(pair).names("rules", family, "cannot tell",
                                  f"tcp sport {port} drop", level="warn")
        on_target(pair).fine()
    # One family only; another queue; no rule for ours at all.
    pair.target.run("nft", "delete", "table", "ip6", table)
    on_target(pair).names("rules", "IPv6", "no rule", "ip6tables")
    pair.rule()
    pair.target.iptables("-D", "OUTPUT", "-p", "tcp", "--sport", port, "-j",
                         "NFQUEUE", families=(6,))
    pair.start_intercept("--guard", port, "--queue-num", 5, "-p",
                         40000).finish()
    on_target(pair).names("rules", "IPv6", "another queue", "ip6 " + table)
    pair.target.iptables("-D", "OUTPUT", "-p", "tcp", "--sport", port, "-j",
                         "NFQUEUE", families=(4,))
    on_target(pair).names("rules", "no rule sends packets to queue 0")
    pair.target.run("nft", "flush", "ruleset")
    # Where the kernel has the statement itself.
    done = pair.target.run("nft", "-f", "-", check=False, input=(
        "table inet t { chain out { type filter hook output priority 0; "
        f"tcp sport {port} counter queue num 0\n }}; }};"))
    if done.returncode == 0:
        on_target(pair).fine()


def test_requests_are_dropped(pair):
    target = Trouble(pair.target)
    with target.rule(f"filter INPUT -p tcp --dport {TARGET_PORT} -j DROP"):
        on_target(pair).names("input", "IPv4", "dropped", "-I INPUT")
    with target.done("iptables -w -P INPUT DROP; iptables -w -A INPUT -p tcp "
                     f"--dport {LINK_PORT} -j ACCEPT; iptables -w -A INPUT "
                     "-s 198.51.100.1 -j ACCEPT",
                     "iptables -w -P INPUT ACCEPT; iptables -w -F INPUT"):
        on_target(pair).names("input", "-P INPUT DROP", level="warn")


def test_requests_look_one_sided(pair):
    """The tracker sees no answers when they are queued in the table raw."""
    target = Trouble(pair.target)
    invalid = "filter INPUT -m conntrack --ctstate INVALID -j DROP"
    with target.rule(invalid):
        on_target(pair).fine()
        pair.rule(command="-D")
        with target.rule(f"raw OUTPUT -p tcp --sport {TARGET_PORT} -j NFQUEUE"):
            line = on_target(pair).names("input", "INVALID", "--notrack")
            pair.target.run("sh", "-ec", line["fix"].split(", or")[0])
            assert not [line for line in on_target(pair).lines
                        if line["what"] == "input" and line["level"] != "ok"]


def test_the_table_of_connections_is_full(pair):
    """Its limit is the whole machine's: for the doctors it is another one."""
    limit = pair.path("limit")
    with open(limit, "w") as f:
        f.write("1\n")
    # The doctor's own links are tracked then.
    pair.target.iptables("-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    done = pair.target.run(
        # In a chroot / is no mount point, /proc is.
        "unshare", "-m", "--propagation", "unchanged", "sh", "-ec",
        "mount --make-private /proc; "
        f"mount --bind {limit} /proc/sys/net/netfilter/nf_conntrack_max; "
        f"exec {pair.intercept_bin} check", check=False)
    assert done.returncode == FAILS
    assert "FAIL  conntrack: the connection tracker is full" in done.stdout
    assert "sysctl -w net.netfilter.nf_conntrack_max=" in done.stdout


def test_rp_filter(pair):
    """Strict is fine where the default route is, and nowhere else."""
    target = Trouble(pair.target)
    conf = "sysctl -qw net.ipv4.conf"
    with target.done(f"{conf}.all.rp_filter=1", f"{conf}.all.rp_filter=0"):
        on_target(pair).fine()
        with target.done("ip route del default", "ip route add default via "
                         "192.0.2.254"):
            on_target(pair).names("rp_filter", "eth0: 1",
                                  "eth0.rp_filter=0")
        with target.done("ip link add other type veth peer name other2; "
                         "ip addr add 10.77.0.1/24 dev other; "
                         "ip link set other up",
                         "ip link del other"):
            line = on_target(pair).names("rp_filter", "other: 1")
            pair.target.run("sh", "-ec", line["fix"])
            on_target(pair).fine()


def test_the_queue_belongs_to_somebody_else(pair):
    pair.program.finish()
    other = pair.target.popen("other", "/usr/bin/python3", "-c", OTHER_QUEUE)
    other.wait_for("bound")
    said = on_target(pair)
    said.names("queue", "queue 0", "python3", str(other.pid))
    said.names("links", "does not run", "once its queue is free")
    other.stop()
    said = on_target(pair)
    said.names("links", "does not run", level="warn")


def test_the_queue_has_no_room(pair):
    pair.program.finish()
    pair.program = pair.start_intercept("-q", 1)
    pair.program.signal(signal.SIGSTOP)
    for _ in range(5):
        client = pair.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect_ex((pair.target.addr, TARGET_PORT))
        client.close()
    wait_until(lambda: pair.queue()["dropped"] > 0)
    on_target(pair).names("queue", "no room", "-q", level="warn")
    pair.program.signal(signal.SIGCONT)
    wait_until(lambda: any("no room" in line["cause"]
                           for line in on_online(pair).lines))
    on_online(pair).names("intercept", "no room", "-q", level="warn")


OTHER_QUEUE = """
import socket, struct, time
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
# NFQNL_MSG_CONFIG with NFQA_CFG_CMD: bind queue 0
s.send(struct.pack("=IHHIIBBHHHBBH", 28, 0x302, 5, 1, 0, 0, 0, 0, 8, 1, 1, 0,
                   0))
assert struct.unpack("=i", s.recv(100)[16:20])[0] == 0
print("bound", flush=True)
time.sleep(100)
"""


def test_little_privilege_and_buffer(pair):
    """Without CAP_NET_ADMIN; the buffer is then what the limit allows."""
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    done = pair.target.run(*bare, pair.intercept_bin, "check", "--json",
                           check=False)
    assert done.returncode == FAILS
    by_name = {}
    for line in map(json.loads, done.stdout.splitlines()):
        by_name.setdefault(line["what"], line)
    assert by_name["capabilities"]["level"] == "FAIL"
    assert "cap_net_admin" in by_name["capabilities"]["fix"]
    assert by_name["receive buffer"]["level"] == "warn"
    assert "rmem_max" in by_name["receive buffer"]["fix"]
    assert by_name["rules"]["level"] == "warn"
    assert "cannot be read" in by_name["rules"]["cause"]
    done = pair.target.run(*bare, pair.intercept_bin, "check", "--guard",
                           TARGET_PORT, check=False)
    assert "warn  input: the firewall's rules cannot be read" in done.stdout
    done = pair.online.run(*bare, pair.tcpcopy_bin, "check", "-x",
                           pair.transfer, check=False)
    assert "FAIL  capabilities: cap_net_raw is missing" in done.stdout
    assert "go past this host's rules" in done.stdout
    done = pair.online.run(*bare, pair.tcpcopy_bin, "check", "-x",
                           pair.transfer, "--path", "raw", check=False)
    assert "warn  output: the rules that copies to" in done.stdout


def test_a_file_by_relay_needs_no_capability(pair):
    """As the run does not; and the links take a probe from anybody."""
    done = pair.online.run("setpriv", "--bounding-set", "-all", "--inh-caps",
                           "-all", pair.tcpcopy_bin, "check", "-x",
                           pair.transfer, "-i", "missing.pcap", "--path",
                           "relay", check=False)
    assert "capabilities: none are needed" in done.stdout


def test_nothing_listens(pair):
    pair.target_app.stop()
    on_target(pair).names("application", f"port {TARGET_PORT}")


def test_no_guard(guarded):
    """Fence gone; guarding another port; not guarding at all."""
    port = str(TARGET_PORT)
    on_target(guarded, "--guard", "80").names("rules", "port 80",
                                              "does not guard")
    on_target(guarded, "--guard", "80").names("fence", "IPv4", "80")
    guarded.program.finish()
    said = on_target(guarded, "--guard", port)
    said.names("rules", "does not run", f"--guard {port}", level="warn")
    said.has_nothing_else()
    guarded.start_intercept()
    guarded.target.run("ip", "rule", "del", "iif", "lo", "ipproto", "tcp",
                       "sport", port)
    said = on_target(guarded, "--guard", port)
    said.names("rules", "does not guard", f"--guard {port}")
    said.names("fence", "IPv4", f"--guard {port}")
    assert len([line for line in said.lines if line["what"] == "fence" and
                line["level"] == "FAIL"]) == 1


def test_a_port_that_is_not_guarded(guarded):
    """Nothing is sent there: its answer would get out."""
    port = TARGET_PORT + 1
    guarded.serve(guarded.target, port)
    tap = Tap(guarded.target, ["203.0.113.77"])
    said = on_online(guarded, transfer=f"{ONLINE_PORT}-{guarded.target.addr}:"
                                       f"{port}")
    said.names("intercept", "guards other ports", f"add {port} to --guard")
    assert tap.count() == 0
    on_online(guarded).fine()
    assert tap.count() > 0


def test_a_guard_that_cannot_stand(guarded):
    target = Trouble(guarded.target)
    with target.done("ip link set lo down", "ip link set lo up"):
        guarded.program.wait_for("cannot be put back")
        on_online(guarded).names("intercept", "does not vouch")


def test_a_guard_that_has_fallen(guarded):
    """Also when the check was not told that there is one."""
    with Trouble(guarded.target).done(
            "ip rule add from 203.0.113.9 lookup main pref 0",
            "ip rule del from 203.0.113.9 lookup main pref 0"):
        guarded.program.wait_for("cannot be put back")
        for args in ((), ("--guard", TARGET_PORT)):
            said = on_target(guarded, *args)
            said.names("rules", "the guard", "does not stand", "log")
            said.has_nothing_else("rules", "fence")
        said.names("fence", "IPv4", "does not stand")
        on_online(guarded).names("intercept", "does not vouch")
    wait_until(lambda: guarded.program.ledger()["guard"]["armed"])
    on_target(guarded).fine()


# --- between the two -------------------------------------------------------

def test_keys(pair, tmp_path):
    pair.program.finish()
    keys = [str(tmp_path / f"key{n}") for n in range(2)]
    for key in keys:
        subprocess.run([pair.intercept_bin, "--make-key", key], check=True,
                       stdout=subprocess.DEVNULL)
    no_key = pair.start_intercept()
    on_online(pair, "--key-file", keys[0]).names("intercept", "has no key")
    no_key.finish()
    pair.start_intercept("--key-file", keys[0])
    on_online(pair, "--key-file", keys[0]).fine()
    on_target(pair, "--key-file", keys[0]).fine()
    on_online(pair, "--key-file", keys[1]).names("intercept", "another key")
    on_online(pair).names("intercept", "without a key", "--key-file")
    on_target(pair).names("links", "without a key")


def test_the_way_to_intercept(pair):
    target, online = Trouble(pair.target), Trouble(pair.online)
    on_online(pair, "-p", "1").names("intercept", "nobody listens")
    with target.rule(f"filter INPUT -p tcp --dport {LINK_PORT} -j DROP"):
        on_online(pair).names("intercept", "no connection", "-I INPUT")
    with online.done("ip route add unreachable 192.0.2.2",
                     "ip route del unreachable 192.0.2.2"):
        said = on_online(pair)
        said.names("intercept", "no way")
        said.names("way", "no way to target")
    pair.program.signal(signal.SIGSTOP)
    on_online(pair).names("intercept", "says nothing", "stopped?")
    pair.program.signal(signal.SIGCONT)
    # From another subnet, without a key.
    said = Doctor(pair.client, pair.tcpcopy_bin, "-x", pair.transfer)
    said.names("intercept", "not allowed", "--allow")


def way_of(said, level):
    return [line["cause"] for line in said.lines
            if (line["what"], line["level"]) == ("way", level)]


def test_the_next_hop(pair):
    """Whether somebody has its address, and that is found out first."""
    nobody = f"{ONLINE_PORT}-192.0.2.99:{TARGET_PORT}"
    router = f"{ONLINE_PORT}-192.0.2.254:{TARGET_PORT}"
    to = ("-s", pair.target.addr, "--path")
    for path in "auto", "link", "raw":
        on_online(pair, *to, path, transfer=nobody).names(
            "way", "nothing reaches", "192.0.2.99 on eth0, unresolved")
        pair.online.run("ip", "neigh", "flush", "dev", "eth0")
        assert way_of(on_online(pair, *to, path, transfer=router), "ok")
    with Trouble(pair.online).rule("filter OUTPUT -p udp -j DROP"):
        on_online(pair, *to, "link", transfer=nobody).names(
            "way", "is not known", "unresolved", level="warn")
    # No matter where nothing of ours goes there.
    pair.program.finish()
    pair.start_intercept("--relay", TARGET_PORT)
    assert way_of(on_online(pair, *to, "auto", transfer=nobody), "ok")


def test_the_device_of_the_way(pair):
    online = Trouble(pair.online)
    with online.done("ip tuntap add dev tun9 mode tun; "
                     "ip addr add 10.9.0.1/24 dev tun9; ip link set tun9 up",
                     "ip link del tun9"):
        on_online(pair, "-s", pair.target.addr, "--path", "link",
                  transfer=f"{ONLINE_PORT}-10.9.0.2:{TARGET_PORT}").names(
            "way", "takes no frames", "tun9", "--path raw")
    with online.done("ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"):
        on_online(pair, "-M", "1500").names(
            "way", "1400 bytes", "-M 1500 has no effect", level="warn")


def other_version(sock):
    """Answers one HELLO as an intercept of version 9 does."""
    with contextlib.suppress(OSError):
        while True:
            peer = sock.accept()[0]
            if peer.recv(26):
                peer.sendall(struct.pack("!IBBHIHIQ", 26, 1, 0, 1, 0x74634e71,
                                         9, 0, 1))
            peer.close()


def test_another_version(pair):
    import threading
    sock = pair.target.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((pair.target.addr, 40000))
    sock.listen(5)
    thread = threading.Thread(target=other_version, args=(sock,))
    thread.start()
    try:
        on_online(pair, "-p", "40000").names("intercept", "another version",
                                             "same version")
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        thread.join()


# --- there and back --------------------------------------------------------

PROBE = "203.0.113.77"


def probe_says(pair, *words, args=(), transfer=None):
    said = on_online(pair, *args, transfer=transfer)
    said.has_nothing_else("probe")
    return said.names("probe", *words)


def test_where_the_probe_is_lost(pair):
    target, router = Trouble(pair.target), Trouble(pair.router)
    # The network filters foreign sources.
    with router.done(
            "nft add table netdev f; nft add chain netdev f in '{ type filter "
            "hook ingress device online priority 0; }'; "
            "nft add rule netdev f in ip saddr 203.0.113.0/24 drop",
            "nft delete table netdev f"):
        probe_says(pair, PROBE, "does not arrive", "-c")
        # As it says: an address that may come from there.
        on_online(pair, "-c", "192.0.2.77").fine()
    # The target does.
    with target.done("ip link add other type veth peer name other2; ip link "
                     "set other up; ip route add 203.0.113.0/24 dev other; "
                     "sysctl -qw net.ipv4.conf.all.rp_filter=1",
                     "sysctl -qw net.ipv4.conf.all.rp_filter=0; "
                     "ip link del other"):
        probe_says(pair, "arrives and is dropped", "rp_filter")
    with target.rule(f"filter INPUT -p tcp --dport {TARGET_PORT} -j DROP"):
        probe_says(pair, "arrives and is dropped", "INPUT")
    with target.done("ip route add blackhole 203.0.113.0/24",
                     "ip route del blackhole 203.0.113.0/24"):
        probe_says(pair, "does not answer", f"ip route get {PROBE}")
    # The answer goes elsewhere.
    with target.rule(f"raw OUTPUT -p tcp --sport {TARGET_PORT} -j DROP"):
        probe_says(pair, "does not come out of the queue")
    with target.rule(f"filter OUTPUT -d {PROBE} -j ACCEPT"):
        probe_says(pair, "the answer goes out", PROBE, "--guard")
    # Large packets only.
    with router.done("ip link set target mtu 1400",
                     "ip link set target mtu 1500"):
        probe_says(pair, "1500 bytes do not arrive", "-M")
        on_online(pair, "-M", "1400").fine()
    on_online(pair).fine()
    pair.target_app.stop()
    probe_says(pair, "refuses connections", f"port {TARGET_PORT}")


def test_where_the_probe_is_lost_in_ipv6(pair):
    to6 = f"{ONLINE_PORT}-[{pair.target.addr6}]:{TARGET_PORT}"
    pair.target.iptables("-D", "OUTPUT", "-p", "tcp", "--sport", TARGET_PORT,
                         "-j", "NFQUEUE", families=(6,))
    probe_says(pair, "the answer goes out", "2001:db8:ffff::77", transfer=to6)
    on_online(pair).fine()
    # A next hop that is another machine.
    with Trouble(pair.online).done(
            f"ip neigh replace {pair.target.addr6} lladdr 02:00:00:00:00:01 "
            "dev eth0", f"ip neigh del {pair.target.addr6} dev eth0"):
        probe_says(pair, "does not arrive", transfer=to6,
                   args=("-s", pair.target.addr))


def test_probes_leave_nothing(guarded):
    """No half-open connection, no table; the guard stands meanwhile; two at
    once get in nobody's way."""
    on_online(guarded).fine()
    assert "SYN-RECV" not in guarded.target.run("ss", "-Htan").stdout
    rules = guarded.target.run("nft", "list", "tables").stdout
    assert "guard" in rules and "probe" not in rules
    ledger = guarded.program.ledger()
    assert ledger["guard"]["fallen"] == 0 and ledger["routes"] == 0, ledger
    # Killed in the middle, it leaves nothing either.
    watch = guarded.target.socket(socket.AF_INET, socket.SOCK_STREAM)
    watch.connect(("127.0.0.1", LINK_PORT))
    ends = [b"\0" * 10 + b"\xff\xff" + socket.inet_aton(addr) +
            struct.pack("!H", port) for addr, port in
            ((PROBE, 1), (guarded.target.addr, TARGET_PORT))]
    watch.sendall(struct.pack("!IBBHIHIQ", 26, 1, 0, 1, 0x74634e71, 1, 0, 1) +
                  struct.pack("!IBBHB", 45, 11, 0, 1, 0) + b"".join(ends))
    wait_until(lambda: "probe" in guarded.target.run("nft", "list",
                                                     "tables").stdout)
    said = on_online(guarded)
    assert said.code == OK, said.lines
    guarded.program.kill()
    wait_until(lambda: "probe" not in guarded.target.run("nft", "list",
                                                         "tables").stdout)
    watch.close()


def test_probes_in_masses(guarded):
    """What verdicts have to wait for is done a few times a second at most."""
    peer = guarded.online.connect((guarded.target.addr, LINK_PORT))
    ends = b"".join(b"\0" * 10 + b"\xff\xff" + socket.inet_aton(addr) +
                    struct.pack("!H", port) for addr, port in
                    ((PROBE, 1), (guarded.target.addr, TARGET_PORT)))
    peer.sendall(struct.pack("!IBBHIHIQ", 26, 1, 0, 1, 0x74634e71, 1, 0, 1) +
                 struct.pack("!IBBH", 8 + 200 * 37, 11, 0, 200) +
                 (b"\0" + ends) * 200)
    errors = []
    with peer.makefile("rb") as stream:
        while len(errors) < 200:
            size, kind, _, count = struct.unpack("!IBBH", stream.read(8))
            body = stream.read(size - 8)
            if kind == 12:
                errors += [struct.unpack_from("!I", body, 20 * n)[0]
                           for n in range(count)]
    assert errors[0] == 0 and errors.count(errno.EBUSY) > 0, errors


# --- on the online server --------------------------------------------------

def test_copies_do_not_leave(pair):
    """By raw sockets they go through this host's rules."""
    online = Trouble(pair.online)
    raw = ("--path", "raw")
    on_online(pair, *raw).fine()
    with online.rule("nat POSTROUTING -o eth0 -j MASQUERADE"):
        said = on_online(pair, *raw)
        line = said.names("output", "MASQUERADE", "--notrack")
        said.has_nothing_else("output", "probe")
        on_online(pair).fine()  # frames to the next hop do not
        pair.online.run("sh", "-ec", line["fix"])
        on_online(pair, *raw).fine()
        pair.online.iptables("-t", "raw", "-F", families=(4,))
    with online.rule(f"filter OUTPUT -p tcp --dport {TARGET_PORT} -j REJECT"):
        said = on_online(pair, *raw)
        said.names("output", "dropped", "-j ACCEPT")
        said.names("probe", "this host does not send it")
    # What is none of ours does no harm.
    with online.rule("nat POSTROUTING -s 172.17.0.0/16 ! -o docker0 "
                     "-j MASQUERADE"), \
            online.rule("filter OUTPUT -d 10.0.0.0/8 -j DROP"):
        on_online(pair, *raw).fine()


def test_inside_the_links(pair):
    on_online(pair, "--path", "relay").names("intercept", "takes no packets",
                                             "--relay")
    pair.program.finish()
    other = pair.start_intercept("--relay", "80")
    on_online(pair, "--path", "relay").names("probe", "does not inject",
                                             f"--relay {TARGET_PORT}")
    other.finish()
    pair.start_intercept("--relay", TARGET_PORT)
    # Filters of foreign sources are none of its business.
    with Trouble(pair.router).done(
            "nft add table netdev f; nft add chain netdev f in '{ type filter "
            "hook ingress device online priority 0; }'; "
            "nft add rule netdev f in ip saddr 203.0.113.0/24 drop",
            "nft delete table netdev f"):
        on_online(pair).fine()
    on_online(pair, "--path", "relay").fine()


def test_what_is_captured(pair):
    on_online(pair, "--device", "lo").names("capture", "--device lo")
    on_online(pair, "--filter", "src host 10.1.1.1").names(
        "capture", "--filter src host")
    with Trouble(pair.online).done(
            "ip link add idle0 type veth peer name idle1",
            "ip link del idle0"):
        on_online(pair, "--device", "idle0").names("devices", "idle0 is down",
                                                   "ip link set idle0 up")
    on_online(pair, "--device", "idle0").names("devices", "no device idle0")
    path = pair.path("empty.pcap")
    on_online(pair, "-i", path).names("capture", path)
    with open(path, "wb") as f:
        f.write(struct.pack("=IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
    on_online(pair, "-i", path).names("capture", "no packet for us")
    said = on_online(pair, transfer=f"81-{pair.target.addr}:{TARGET_PORT}")
    said.names("server", "port 81", level="warn")
    said.names("capture", "no packet", level="warn")
    assert said.code == OK


# --- the command line ------------------------------------------------------

def test_bad_usage(lab):
    for binary, args in ((lab.tcpcopy_bin, ()),
                         (lab.tcpcopy_bin, ("-x", lab.transfer, "--no-such")),
                         (lab.tcpcopy_bin, ("-x", lab.transfer, "stray")),
                         (lab.intercept_bin, ("--guard", "0")),
                         (lab.intercept_bin, ("--unguard", "80"))):
        done = lab.online.run(binary, "check", *args, check=False)
        assert done.returncode == BAD_INPUT, (args, done.stdout)
        assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_reports_of_a_run_are_left_alone(lab):
    """The options of a service, as they are."""
    path = lab.path("report.json")
    with open(path, "w") as f:
        f.write("kept")
    done = lab.target.run(lab.intercept_bin, "check", "--json", path, "-d",
                          "-P", lab.path("pid"), "-l", lab.path("log"),
                          check=False)
    assert "capabilities" in done.stdout and done.stdout[0] != "{"
    with open(path) as f:
        assert f.read() == "kept"
    for name in ("pid", "log"):
        with pytest.raises(FileNotFoundError):
            open(lab.path(name))
