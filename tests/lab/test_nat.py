# SPDX-License-Identifier: BSD-2-Clause
"""SYNs that --relay injects: as frames like all other packets, but where there
is NAT, which would send them away."""
import pytest
from hosts import CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy
from taps import Sniffer
from waiting import wait_until

AWAY, AWAY6 = "203.0.113.77", "2001:db8:0:77::77"
NFT = f"""table inet tcnat {{
    chain p {{
        type nat hook prerouting priority dstnat
        tcp dport {TARGET_PORT} dnat ip to {AWAY}
    }}
}}"""

SYNPROXY = f"""table ip tcproxy {{
    chain untracked {{
        type filter hook prerouting priority raw
        tcp dport {TARGET_PORT} tcp flags syn notrack
    }}
    chain proxy {{
        type filter hook input priority 0
        tcp dport {TARGET_PORT} ct state invalid,untracked \\
            synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state invalid drop
    }}
}}"""


def dnat(lab, tool):
    """What arrives for the target goes to a host that does not exist."""
    if tool == "nft":
        lab.target.run("nft", NFT)
        return
    v6 = tool.startswith("ip6")
    away = f"[{AWAY6}]" if v6 else AWAY
    lab.target.run(tool, "-w", "-t", "nat", "-I", "PREROUTING", "-p", "tcp",
                   "--dport", TARGET_PORT, "-j", "DNAT",
                   "--to-destination", f"{away}:{TARGET_PORT}")


def sees_away(lab):
    """All that leaves towards there."""
    lab.target.run("sysctl", "-qw", "net.ipv4.ip_forward=1",
                   "net.ipv6.conf.all.forwarding=1")
    for addr, family, mac in ((AWAY, "-4", "02:00:00:00:00:77"),
                              (AWAY6, "-6", "02:00:00:00:00:77")):
        lab.target.run("ip", family, "route", "add", addr, "dev", "eth0")
        lab.target.run("ip", "neigh", "add", addr, "lladdr", mac, "dev",
                       "eth0")
    return Sniffer(lab.target, f"host {AWAY} or host {AWAY6}")


def count_syns(lab):
    lab.target.iptables("-I", "OUTPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "--syn")


def syns_by_raw_sockets(lab):
    """Those that have passed OUTPUT. Counters are not set to zero, which
    would change rules."""
    total = 0
    for tool in ("iptables", "ip6tables"):
        lines = lab.target.run(tool, "-w", "-nvxL", "OUTPUT").stdout
        total += sum(int(line.split()[0]) for line in lines.splitlines()
                     if f"dpt:{TARGET_PORT}" in line)
    return total


def relay(lab, *, v6=False, **kw):
    addr = f"[{lab.target.addr6}]" if v6 else lab.target.addr
    return lab.copy("--path", "relay", intercept=("--relay", TARGET_PORT),
                    transfer=f"{ONLINE_PORT}-{addr}:{TARGET_PORT}", **kw)


def load(lab, v6=False, **how):
    if v6:
        how.update(to=f"[{lab.online.addr6}]:{ONLINE_PORT}", source=CLIENTS6)
    lab.load(**how)


@pytest.mark.parametrize("v6", [False, True])
def test_without_nat(lab, v6):
    count_syns(lab)
    copy = relay(lab, v6=v6)
    load(lab, v6, connections=500, concurrent=50)
    copy.exact()
    assert syns_by_raw_sockets(lab) == 0


@pytest.mark.parametrize("tool", ["iptables", "iptables-legacy", "ip6tables",
                                  "ip6tables-legacy", "nft"])
def test_a_rule_that_sends_away_what_arrives(lab, tool):
    """Is not for what is injected."""
    v6 = tool.startswith("ip6")
    away = sees_away(lab)
    count_syns(lab)
    dnat(lab, tool)
    copy = relay(lab, v6=v6)
    load(lab, v6, connections=50, concurrent=10, requests=10)
    copy.exact()
    assert "raw sockets: there is NAT" in copy.intercept.err()
    assert syns_by_raw_sockets(lab) >= 50
    assert not away.packets()


@pytest.mark.parametrize("how", ["nft", "iptables-legacy"])
def test_a_rule_before_tracking(lab, how):
    """SYNPROXY takes what is not tracked; what is injected is."""
    count_syns(lab)
    if how == "nft":
        lab.target.run("nft", SYNPROXY)
    else:
        lab.target.run("iptables-legacy", "-w", "-t", "raw", "-A",
                       "PREROUTING", "-p", "tcp", "--dport", TARGET_PORT,
                       "--syn", "-j", "CT", "--notrack")
        lab.target.run("iptables-legacy", "-w", "-A", "INPUT", "-p", "tcp",
                       "--dport", TARGET_PORT, "-m", "conntrack",
                       "--ctstate", "INVALID,UNTRACKED", "-j", "SYNPROXY",
                       "--mss", 1460, "--wscale", 7, "--timestamp",
                       "--sack-perm")
    copy = relay(lab)
    load(lab, connections=50, concurrent=10, requests=10)
    copy.exact()
    assert syns_by_raw_sockets(lab) >= 50


def under_load(lab):
    """A few connections at a time, for some seconds; and whether those that
    come now begin by raw sockets."""
    count_syns(lab)
    copy = relay(lab)
    running = lab.load_start(connections=500, concurrent=5, requests=2,
                             think_ms=100)

    def by_raw_sockets():
        def begun():
            return copy.target_app.totals()["connections"]
        syns, before = syns_by_raw_sockets(lab), begun()
        wait_until(lambda: begun() > before + 8, step=0.02)
        return syns_by_raw_sockets(lab) > syns
    return copy, running, by_raw_sockets


@pytest.mark.parametrize("tool", ["iptables", "iptables-legacy", "nft"])
def test_nat_comes_under_load(lab, tool):
    """No connection meets it, but one that is on its way at this moment. Those
    that there are have been tracked from their beginning."""
    away = sees_away(lab)
    lab.target.iptables("-I", "INPUT", "-m", "conntrack", "--ctstate", "NEW")
    copy, running, by_raw_sockets = under_load(lab)
    assert not by_raw_sockets()
    dnat(lab, tool)
    assert by_raw_sockets()
    running.done()
    copy.exact()
    assert not away.packets()


def test_nat_comes_and_goes(lab):
    """Without NAT other rules, too, may change."""
    copy, running, by_raw_sockets = under_load(lab)
    lab.target.run("nft", "add table inet other { chain c { type filter hook "
                   "input priority 0; }; }")
    wait_until(lambda: not by_raw_sockets())
    for _ in range(2):
        lab.target.run("nft", NFT)
        assert by_raw_sockets()
        lab.target.run("nft", "delete table inet tcnat")
        wait_until(lambda: not by_raw_sockets())
    running.done()
    copy.exact()


def test_who_may_not_know(lab):
    """Without root and its group, the kernel does not show what
    iptables-legacy has."""
    count_syns(lab)
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    caps = "+net_admin,+net_raw"
    intercept = lab.start_intercept(
        "--relay", TARGET_PORT, wrap=(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            f"--inh-caps={caps}", f"--ambient-caps={caps}"))
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--path", "relay")
    lab.load(connections=20, concurrent=5)
    Copy(online, target, intercept, tcpcopy).exact()
    assert syns_by_raw_sockets(lab) >= 20
    assert "whether there is NAT is not known" in intercept.err()
