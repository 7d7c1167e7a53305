# SPDX-License-Identifier: BSD-2-Clause
"""What every other option does, on the wire or in the ledger."""
import json
import re
import signal
import socket
import time

import pytest
from lab import CLIENTS, LINK_PORT, ONLINE_PORT, TARGET_PORT, Copy, \
    FrameClient, Sniffer, assert_balanced, assert_exact, assert_whole, \
    counter, lost, read_pcap, wait_until

SMALL = {"connections": 20, "concurrent": 10, "requests": 5}


def to_target(lab):
    """Everything sent to the target's application, seen at its device, cut
    as a wire would have it."""
    lab.online.offloads(False)
    lab.target.offloads(False)
    return Sniffer(lab.target, f"tcp dst port {TARGET_PORT}")


def payload(packet):
    from scapy.layers.inet import IP, TCP
    return packet[IP].len - 4 * packet[IP].ihl - 4 * packet[TCP].dataofs


# --- the packets to the target ------------------------------------------

@pytest.mark.parametrize("mtu", [None, 600, 576])
def test_mtu(lab, mtu):
    from scapy.layers.inet import IP
    sniffer = to_target(lab)
    copy = lab.copy(*(["-M", mtu] if mtu else []))
    lab.load(request_size=9000, **SMALL)
    copy.exact()
    longest = max(p[IP].len for p in sniffer.packets())
    assert longest == (mtu or 1500)


@pytest.mark.parametrize("mss", [64, 500])
def test_mss(lab, mss):
    sniffer = to_target(lab)
    copy = lab.copy("-S", mss)
    lab.load(request_size=9000, **SMALL)
    copy.exact()
    assert max(payload(p) for p in sniffer.packets()) == mss


def test_targets_own_mss(lab):
    """The smaller of the two counts."""
    lab.target.run("ip", "route", "change", "default", "via", "192.0.2.254",
                   "advmss", "700")
    sniffer = to_target(lab)
    copy = lab.copy("-S", 1200)
    lab.load(request_size=9000, **SMALL)
    copy.exact()
    assert max(payload(p) for p in sniffer.packets()) == 700


def test_dry_run(lab):
    """The whole of what would be sent stands in the file; nothing is."""
    from scapy.layers.inet import IP, TCP
    online = lab.serve(lab.online, ONLINE_PORT)
    sniffer = to_target(lab)
    path = lab.path("dry.pcap")
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--dry-run", path)
    lab.load(**SMALL)
    wait_until(lambda: tcpcopy.ledger()["turns"]["answered"] == 100)
    wait_until(lambda: tcpcopy.ledger()["connections"]["in_flight"] == 0)
    ledger = tcpcopy.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
    packets = read_pcap(path)
    assert {p[IP].dst for p in packets} == {lab.target.addr}
    assert {p[TCP].dport for p in packets} == {TARGET_PORT}
    assert {(p[IP].src, p[TCP].sport) for p in packets} == \
        {(r["peer"], r["port"]) for r in online.finish()}
    assert sum(payload(p) for p in packets) == 100 * 100
    assert len([p for p in packets if p[TCP].flags == "S"]) == 20
    assert ledger["packets"]["packets_sent"] == len(packets)
    assert sniffer.packets() == []


def test_dry_run_of_a_file_needs_no_privilege(lab):
    lab.serve(lab.online, ONLINE_PORT)
    sniffer = Sniffer(lab.online, f"tcp port {ONLINE_PORT}")
    lab.load(**SMALL)
    pcap, path = sniffer.finish(), lab.path("dry.pcap")
    tcpcopy = lab.start_tcpcopy(
        "-x", lab.transfer, "--dry-run", path, "-i", pcap, ready=False,
        wrap=("setpriv", "--bounding-set", "-all", "--inh-caps=-all"))
    assert tcpcopy.wait(60) == 0, tcpcopy.err()
    ledger = tcpcopy.ledgers()[-1]
    assert_balanced(ledger)
    assert ledger["turns"]["answered"] == 100
    again = lab.path("dry2.pcap")
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--dry-run", again, "-i",
                                pcap, ready=False)
    assert tcpcopy.wait(60) == 0, tcpcopy.err()
    from scapy.layers.inet import IP

    def sent(name):
        return sorted(bytes(p[IP].payload)[:8] for p in read_pcap(name)
                      if payload(p))
    assert sent(path) == sent(again) and len(sent(path)) == 100


# --- time ---------------------------------------------------------------

def test_timeout(lab):
    """Two seconds and not the default's sixty (LabError after 30)."""
    lab.target.iptables("-I", "INPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "-j", "DROP")
    copy = lab.copy("-t", "2")
    lab.load(connections=3)
    wait_until(lambda: copy.tcpcopy.ledger()["connections"]["lost"]["timeout"]
               == 3)
    copy.tcpcopy.finish()


def test_timeout_is_long_enough_by_default(lab):
    """The same target after five seconds: given up by nobody."""
    lab.target.iptables("-I", "INPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "-j", "DROP")
    copy = lab.copy()
    lab.load(connections=3)
    time.sleep(5)
    lab.target.iptables("-D", "INPUT", "-p", "tcp", "--dport", TARGET_PORT,
                        "-j", "DROP")
    copy.settle(quiet=30)
    copy.exact()


def test_idle(lab):
    copy = lab.copy("-k", "2")
    load = lab.load_start(connections=30, requests=2, pause_after=1)
    load.paused()
    wait_until(lambda: copy.target_app.totals()["requests"] == 30)
    wait_until(lambda: copy.target_app.totals()["open"] == 0,
               what="idle sessions to be reset")
    assert copy.online_app.totals()["open"] == 30
    ledger = copy.tcpcopy.ledger()
    assert counter(ledger, "idle_ended") == 30
    assert not lost(ledger, "connections")
    assert {r["end"] for r in copy.target_app.records()} == {"reset"}
    load.go()
    load.done()


def test_max_hold(lab):
    """A target that never answers gets the next turn after that time."""
    copy = lab.copy("--max-hold", "0.5", target=["--mute"])
    lab.load(connections=10, concurrent=10, requests=4)
    copy.settle()
    ledger, online, target = copy.finish()
    assert_exact([online], target)
    assert counter(ledger, "early_hold") == 30 + 10  # the end waits as well
    assert ledger["turns"]["unanswered"] == 40


def test_held_until_the_timeout_by_default(lab):
    copy = lab.copy(target=["--mute"])
    load = lab.load_start(connections=10, concurrent=10, requests=4,
                          pause_after=4)
    load.paused()
    wait_until(lambda: copy.target_app.totals()["requests"] == 10)
    time.sleep(2)
    assert copy.target_app.totals()["requests"] == 10
    load.go()
    load.done()


# --- the capture ---------------------------------------------------------

@pytest.mark.parametrize("way", ["ring", "pcap"])
def test_capture(lab, way):
    copy = lab.copy("--capture", way)
    lab.load(connections=200, concurrent=50, requests=20,
             request_size="24-20000")
    ledger = copy.exact()
    assert ledger["kernel"]["received"] >= 200 * 22
    assert ledger["kernel"]["dropped"] == 0


@pytest.mark.parametrize("devices,remote,local", [
    ("eth0", True, False), ("lo", False, True), ("lo,eth0", True, True),
    (None, True, True)])
@pytest.mark.parametrize("way", ["ring", "pcap"])
def test_device(lab, way, devices, remote, local):
    copy = lab.copy("--capture", way,
                    *(["--device", devices] if devices else []))
    lab.load(seed=1, **SMALL)
    lab.load(f"127.0.0.1:{ONLINE_PORT}", source=None, host=lab.online, seed=2,
             **SMALL)
    count = 20 * (remote + local)
    wait_until(lambda: copy.target_app.totals()["requests"] == count * 5)
    copy.over()
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert ledger["connections"]["captured"] == count
    seeds = {r["id"] >> 32 for r in copy.target_app.finish()}
    assert seeds == {n for n, on in ((1, remote), (2, local)) if on}


def test_filter(lab):
    copy = lab.copy("--filter", f"src host {CLIENTS[2]} or "
                                f"src host {CLIENTS[4]}")
    lab.load(connections=80, concurrent=10, requests=3)
    wait_until(lambda: copy.target_app.totals()["requests"] == 60)
    copy.over()
    ledger = copy.tcpcopy.finish()
    assert ledger["connections"]["captured"] == 20
    assert {r["peer"] for r in copy.target_app.finish()} == \
        {CLIENTS[2], CLIENTS[4]}


@pytest.mark.parametrize("megabytes", [1, 64])
@pytest.mark.parametrize("way", ["ring", "pcap"])
def test_buffer(lab, way, megabytes):
    """The ring is mapped: its size shows."""
    copy = lab.copy("--capture", way, "--buffer", megabytes)
    size = 0
    with open(f"/proc/{copy.tcpcopy.pid}/maps") as maps:
        for line in maps:
            if "socket:[" in line:
                begin, end = line.split()[0].split("-")
                size += int(end, 16) - int(begin, 16)
    assert 0.5 * megabytes <= size / 2 ** 20 <= 1.5 * megabytes
    lab.load(**SMALL)
    copy.exact()


def test_mirror_port(lab2):
    """tcpcopy on a host that only sees a copy of the online server's packets:
    with the source address given, packets for other hosts count."""
    lab = lab2
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    # a bridge that forgets at once sends everything everywhere
    lab.router.run("ip", "link", "set", "br0", "type", "bridge",
                   "ageing_time", "0")
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy(
        "-x", f"{lab.online.addr}:{ONLINE_PORT}-{lab.target.addr}:"
        f"{TARGET_PORT}", "--device", "eth0", host=lab.onlines[1])
    lab.load(**SMALL)
    Copy(online, target, intercept, tcpcopy).exact()


def test_other_hosts_packets_are_left_alone(lab2):
    """Without a source address only those for this host are copied."""
    lab = lab2
    lab.serve(lab.online, ONLINE_PORT)
    online2 = lab.serve(lab.onlines[1], ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    lab.router.run("ip", "link", "set", "br0", "type", "bridge",
                   "ageing_time", "0")
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, host=lab.onlines[1])
    lab.load(**SMALL)
    lab.load(f"{lab.onlines[1].addr}:{ONLINE_PORT}", seed=2, **SMALL)
    Copy(online2, target, intercept, tcpcopy).exact()


# --- where from and where to ----------------------------------------------

FORMS = {
    "port": "{p}-{t}:{tp}",
    "source address": "{o}:{p}-{t}:{tp}",
    "host name": "{p}-target.example:{tp}",
    "both": "{o}:{p}-target.example:{tp}",
    "several": "80-{t}:80,{o}:{p}-{t}:{tp},[{o6}]:81-[{t6}]:81",
    "spaces": "{p}-{t}:{tp}, 80-{t}:80",
    "other source address beside it": "192.0.2.77:{p}-{t}:{tp},"
                                      "{o}:{p}-{t}:{tp}",
}


def fill(lab, form):
    return form.format(p=ONLINE_PORT, tp=TARGET_PORT, o=lab.online.addr,
                       t=lab.target.addr, o6=lab.online.addr6,
                       t6=lab.target.addr6)


@pytest.mark.parametrize("form", FORMS)
def test_transfer(lab, form):
    copy = lab.copy(transfer=fill(lab, FORMS[form]))
    lab.load(**SMALL)
    copy.exact()


def test_transfer_from_another_address(lab):
    """The source address is not ours: nothing is copied."""
    copy = lab.copy(transfer=fill(lab, "192.0.2.77:{p}-{t}:{tp}"))
    lab.load(**SMALL)
    copy.settle(quiet=2)
    assert copy.tcpcopy.finish()["connections"]["captured"] == 0
    assert copy.target_app.finish() == []


def test_target_that_is_the_source(lab):
    """A copy that would be copied again is refused."""
    lab.start_intercept(host=lab.online)
    program = lab.start_tcpcopy(
        "-x", f"{ONLINE_PORT}-{lab.online.addr}:{ONLINE_PORT}", ready=False)
    assert program.wait() == 2
    assert len(program.err().splitlines()) == 1


@pytest.mark.parametrize("transfer", [
    "192.0.2.7:80-192.0.2.7:80", "192.0.2.7:80-192.0.2.2:80,"
    "192.0.2.2:80-192.0.2.7:80"])
def test_target_that_is_the_source_on_a_mirror_port(lab, transfer):
    lab.start_intercept()
    program = lab.start_tcpcopy("-x", transfer, ready=False)
    assert program.wait() == 2
    assert "would be a loop" in program.err()
    assert len(program.err().splitlines()) == 1


@pytest.mark.parametrize("with_port", [False, True])
def test_intercept_elsewhere(lab, with_port):
    """-s, -p and -b: the links go to another address and port."""
    at = "192.0.2.12" + (":40000" if with_port else "")
    copy = lab.copy("-s", at, *([] if with_port else ["-p", "40000"]),
                    intercept=("-b", "192.0.2.12", "-p", "40000"))
    listening = lab.target.run("ss", "-Hltn").stdout
    assert "192.0.2.12:40000" in listening
    assert str(LINK_PORT) not in listening
    assert len(lab.online.sockets(40000, "dport")) == 3
    lab.load(**SMALL)
    copy.exact()
    with pytest.raises(ConnectionRefusedError):
        lab.online.connect((lab.target.addr, 40000))


def test_intercept_binds_to_both_families(lab):
    lab.start_intercept()
    for addr in (lab.target.addr, lab.target.addr6):
        lab.online.connect((addr, LINK_PORT)).close()


# --- intercept ------------------------------------------------------------

PASSLISTS = {
    CLIENTS[7]: [7],
    f"{CLIENTS[6]}, {CLIENTS[7]}": [6, 7],
    "198.51.100.4/30": [3, 4, 5, 6],
    f" {CLIENTS[0]} ,2001:db8:9::/48,198.51.100.8/32 ": [0, 7],
}


@pytest.mark.parametrize("passlist", PASSLISTS)
def test_passlist(lab, passlist):
    """Those on it may talk to the target, nobody else."""
    lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    intercept = lab.start_intercept("-x", passlist)
    allowed = []
    for n, client in enumerate(CLIENTS):
        try:
            lab.client.connect((lab.target.addr, TARGET_PORT), client,
                               timeout=0.7).close()
            allowed.append(n)
        except TimeoutError:
            pass
    assert allowed == PASSLISTS[passlist]
    lab.load(f"{lab.target.addr}:{TARGET_PORT}",
             source=[CLIENTS[n] for n in allowed], **SMALL)
    packets = intercept.finish()["packets"]
    assert packets["accepted"] > 0


def test_passlist_ipv6(lab):
    lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    lab.start_intercept("-x", "2001:db8:0:2::4/127")
    allowed = []
    for n in range(1, 9):
        try:
            lab.client.connect((lab.target.addr6, TARGET_PORT),
                               f"2001:db8:0:2::{n}", timeout=0.7).close()
            allowed.append(n)
        except TimeoutError:
            pass
    assert allowed == [4, 5]


def test_queue_number(lab):
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule(TARGET_PORT, "--queue-num", 5)
    intercept = lab.start_intercept("--queue-num", 5)
    assert lab.queue(5) and not lab.queue(0)
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    lab.load(**SMALL)
    Copy(online, target, intercept, tcpcopy).exact()


@pytest.mark.parametrize("length", [1, 16])
def test_queue_length(lab, length):
    """So many packets wait for a stopped intercept, the others are gone."""
    lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    intercept = lab.start_intercept("-q", length)
    intercept.signal(signal.SIGSTOP)
    socks = []
    for n in range(40):
        sock = lab.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((lab.target.addr, TARGET_PORT))
        socks.append(sock)
    wait_until(lambda: lab.queue()["dropped"] >= 40 - length)
    assert lab.queue()["waiting"] == length
    intercept.signal(signal.SIGCONT)
    wait_until(lambda: lab.queue()["waiting"] == 0)
    wait_until(lambda: intercept.ledger()["queue"]["queue_dropped"] > 0)
    for sock in socks:
        sock.close()


# --- what the programs say -------------------------------------------------

def test_stats(lab):
    copy = lab.copy("--stats", "0.3", intercept=("--stats", "0.5"))
    lab.load(**SMALL)
    for program in (copy.tcpcopy, copy.intercept):
        wait_until(lambda p=program: len(p.ledgers()) >= 3)
        assert all(x["final"] is False for x in program.ledgers())
        assert program.err().count("ledger") >= 3
    copy.exact()


def test_json_to_stdout(lab):
    lab.start_intercept()
    program = lab.start_tcpcopy("-x", lab.transfer, "--json", "-",
                                json_file=False)
    assert program.stop() == 0
    objects = [json.loads(line) for line in program.out().splitlines()]
    assert [o["type"] for o in objects] == ["ready", "ledger"]
    assert all(o["program"] == "tcpcopy" for o in objects)
    assert abs(objects[-1]["time"] - time.time()) < 100


def test_trace(lab):
    """Of one client's connection every decision, of others nothing."""
    copy = lab.copy("--trace", CLIENTS[0])
    for source in CLIENTS[:2]:
        client = FrameClient(lab.client, (lab.online.addr, ONLINE_PORT),
                             source=source)
        client.request(50)
        client.request(70)
        client.close()
    copy.exact()
    lines = [x for x in copy.tcpcopy.err().splitlines()
             if x.startswith("trace ")]
    assert lines and all(f" {CLIENTS[0]}:" in x for x in lines)
    for what, count in (("opened as", 1), ("released: ", 3), (" answered", 4),
                        ("sent [P.]", 2), ("response [P.]", 2),
                        ("ended: nothing is lost", 1)):
        assert sum(what in x for x in lines) >= count, (what, lines)


def test_log_level(lab):
    lab.rule()
    lines = {}
    for level in ("error", "warn", "info", "debug"):
        intercept = lab.start_intercept("--log-level", level, ready=False)
        wait_until(lab.queue, what="the queue")
        wait_until(lambda: lab.target.run("ss", "-Hltn",
                                          f"sport = :{LINK_PORT}").stdout)
        tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--log-level", level,
                                    ready=False)
        wait_until(lambda: any(o["type"] == "ready"
                               for o in tcpcopy.objects()))
        intercept.kill()
        wait_until(lambda: not lab.online.sockets(LINK_PORT, "dport"))
        assert tcpcopy.stop() == 0
        lines[level] = tcpcopy.err().splitlines()
    said = {level: {re.search(r" tcpcopy (\w+): ", x)[1] for x in some
                    if re.search(r" tcpcopy (\w+): ", x)}
            for level, some in lines.items()}
    assert said["error"] == set()
    assert said["warn"] == {"warn"}
    assert said["info"] == {"warn", "info"}
    assert said["debug"] == {"warn", "info", "debug"}


def test_intercept_names_the_device(lab):
    copy = lab.copy()
    assert "eth0" not in copy.intercept.err()
    lab.load(**SMALL)
    copy.intercept.wait_for("eth0")
    copy.exact()
