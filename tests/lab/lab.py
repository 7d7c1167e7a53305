# SPDX-License-Identifier: BSD-2-Clause
"""
The lab: network namespaces for clients, online servers and the target server,
joined by a router, with real programs in them.

    client 198.51.100.1-8 --- router --+-- online  192.0.2.1
                                       +-- target  192.0.2.2 (and .12)
                                       +-- online2, 3, 4 192.0.2.3-5

The router forwards whatever it gets, so that an answer of the target that
leaks does reach the client, where a tap counts it.
"""
import collections
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

ONLINE_PORT = 11311
TARGET_PORT = 11511
LINK_PORT = 36524
PREFIX = "tclab"
CLIENTS = [f"198.51.100.{n}" for n in range(1, 9)]
CLIENTS6 = [f"2001:db8:0:2::{n}" for n in range(1, 9)]
SERVERS = {"online": 1, "target": 2, "online2": 3, "online3": 4, "online4": 5}
UNITS = ("connections", "turns", "bytes")
PLACES = ("not_sampled", "answered", "unanswered", "in_flight")
REASONS = ("capture_gap", "midstream", "tls", "memory", "limit", "loop",
           "no_tuple", "refused", "target_closed", "timeout", "shutdown")


class LabError(Exception):
    """What the lab itself could not do."""


def enter(ns):
    """The command before a command. In a chroot whose root is no mount point
    `ip netns exec` fails; what it has more is /etc/netns over /etc."""
    with open("/proc/self/mountinfo") as f:
        if any(line.split()[4] == "/" for line in f):
            return ["ip", "netns", "exec", ns]
    return ["nsenter", f"--net=/run/netns/{ns}"]


def wait_until(fn, timeout=30, what="", step=0.05):
    """Calls fn until it returns something true, and returns that."""
    end = time.monotonic() + max(timeout, 15)
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > end:
            raise LabError(f"gave up waiting: {what or fn}")
        time.sleep(step)


@contextlib.contextmanager
def in_namespace(ns):
    """This thread's new sockets belong to ns."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, \
            open(f"/run/netns/{ns}") as there:
        if libc.setns(there.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), f"setns {ns}")
        try:
            yield
        finally:
            libc.setns(here.fileno(), 0x40000000)


class Process:
    """A program in a namespace; its output goes to files."""

    def __init__(self, lab, host, name, cmd, env=None):
        self.host, self.name, self.cmd = host, name, [str(c) for c in cmd]
        self.out_path = lab.path(name + ".out")
        self.err_path = lab.path(name + ".err")
        self.is_ours = False
        with open(self.out_path, "w") as out, open(self.err_path, "w") as err:
            self.popen = subprocess.Popen(
                host.prefix + self.cmd, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, env={**os.environ, **(env or {})}, cwd=lab.dir)
        self.pid = self.popen.pid
        lab.processes.append(self)

    def alive(self):
        return self.popen.poll() is None

    def signal(self, sig):
        self.popen.send_signal(sig)

    def peak_kb(self):
        """The most memory it has had so far."""
        with open(f"/proc/{self.pid}/status") as f:
            return int(f.read().split("VmHWM:")[1].split()[0])

    def wait(self, timeout=30):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} does not end") from None

    def stop(self, timeout=30):
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.alive():
            self.signal(signal.SIGKILL)
        self.popen.wait(30)

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def wait_for(self, text, timeout=30):
        """Until text stands in the output or the error output."""
        def seen():
            if text in self.err() or text in self.out():
                return True
            if not self.alive():
                raise LabError(f"{self.name} ended ({self.popen.returncode}) "
                               f"before '{text}': {self.err()[-2000:]}")
            return False
        wait_until(seen, timeout, f"'{text}' from {self.name}")


class Program(Process):
    """tcpcopy or intercept, with its ledger."""

    def __init__(self, lab, host, name, binary, args, json_file=True,
                 wrap=()):
        self.json_path = lab.path(name + ".json")
        cmd = list(wrap) + [binary] + [str(a) for a in args]
        if json_file:
            cmd += ["--json", self.json_path]
        super().__init__(lab, host, name, cmd, lab.program_env)
        self.is_ours = True

    def objects(self):
        """Every object in the JSON file that is whole."""
        if not os.path.exists(self.json_path):
            return []
        with open(self.json_path) as f:
            text = f.read()
        return [json.loads(line) for line in text.splitlines(True)
                if line.endswith("\n") and line.strip()]

    def ledgers(self):
        return [o for o in self.objects() if o.get("type") == "ledger"]

    def ledger(self):
        """A fresh one from a running program, the last one of another."""
        if self.alive():
            before = len(self.ledgers())
            self.signal(signal.SIGUSR1)
            wait_until(lambda: len(self.ledgers()) > before or
                       not self.alive(), what=f"ledger of {self.name}")
        found = self.ledgers()
        if not found:
            raise LabError(f"{self.name} wrote no ledger: {self.err()[-500:]}")
        return found[-1]

    def finish(self):
        """Ends it as a user would; returns the final ledger."""
        code = self.stop()
        if code:
            raise AssertionError(f"{self.name} ended with {code}: "
                                 f"{self.err()[-2000:]}")
        last = self.ledgers()[-1]
        assert last["final"] is True, last
        return last


class Server(Process):
    """digest_app serve."""

    def __init__(self, lab, host, name, port, args):
        self.log_path = lab.path(name + ".log")
        self.port = port
        cmd = [lab.digest_app, "serve", "--listen", f"0.0.0.0:{port}",
               "--listen", f"[::]:{port}", "--log", self.log_path]
        super().__init__(lab, host, name, cmd + [str(a) for a in args])
        self.wait_for("ready")

    def records(self):
        with open(self.log_path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def totals(self):
        before = len(self.out().splitlines())
        self.signal(signal.SIGUSR1)
        wait_until(lambda: len(self.out().splitlines()) > before, step=0.01,
                   what=f"totals of {self.name}")
        return json.loads(self.out().splitlines()[-1])

    def finish(self):
        """All connections' records, those still open included."""
        assert self.stop() == 0, self.err()
        return self.records()


class Load(Process):
    """digest_app load."""

    def go(self):
        """From the pause on."""
        self.signal(signal.SIGUSR1)

    def paused(self):
        self.wait_for("paused", 60)

    def done(self, timeout=150):
        code = self.wait(timeout)
        assert code == 0, f"clients were not served: {self.err()[-1000:]}" \
            f"{self.out()[-500:]}"
        return json.loads(self.out().splitlines()[-1])


class FrameClient:
    """A client of digest_app by hand: requests are bare headers, so that a
    test says when each one goes."""

    def __init__(self, host, to, number=0, source=None):
        self.sock = host.connect(to, source)
        self.id, self.seq = (0xffff << 32) | number, 0

    def send(self, answer_bytes=100):
        self.sock.sendall(struct.pack("!IQIII", 0x64675271, self.id, self.seq,
                                      24, answer_bytes))
        self.seq += 1

    def request(self, answer_bytes=100):
        self.send(answer_bytes)
        self.read(answer_bytes)

    def read(self, want):
        while want:
            got = self.sock.recv(want)
            if not got:
                raise EOFError("closed by the server")
            want -= len(got)

    def close(self):
        self.sock.close()


class Host:
    def __init__(self, lab, role):
        self.lab, self.role = lab, role
        self.ns = f"{PREFIX}{os.getpid()}-{role}"
        self.prefix = enter(self.ns)
        number = SERVERS.get(role)
        self.addr = f"192.0.2.{number}" if number else CLIENTS[0]
        self.addr6 = f"2001:db8:0:1::{number}" if number else CLIENTS6[0]

    def run(self, *cmd, check=True, timeout=60, text=True, **kw):
        done = subprocess.run(self.prefix + [str(c) for c in cmd],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, text=text, **kw)
        if check and done.returncode:
            raise LabError(f"{self.role}: {cmd}: {done.returncode}: "
                           f"{done.stderr}")
        return done

    def popen(self, name, *cmd, env=None):
        return Process(self.lab, self, self.lab.unique(name), cmd, env)

    def socket(self, *args):
        with in_namespace(self.ns):
            return socket.socket(*args)

    def connect(self, to, source=None, timeout=20):
        """A TCP connection from here."""
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        sock = self.socket(family, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        if source:
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # port at connect
            sock.bind((source, 0))
        sock.connect(to)
        return sock

    def sockets(self, port, side="sport"):
        """TCP sockets of that port that are not over, as ss lists them."""
        lines = self.run("ss", "-Htan", f"{side} = :{port}").stdout
        rest = ("LISTEN", "TIME-WAIT")
        return [line for line in lines.splitlines()
                if not line.startswith(rest)]

    def iptables(self, *rule, families=(4, 6)):
        for family in families:
            tool = "iptables" if family == 4 else "ip6tables"
            self.run(tool, "-w", *rule)

    def narrow(self, mbit, burst="100kb"):
        """So much a second goes out of here, and no more."""
        self.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate",
                 f"{mbit}mbit", "burst", burst, "latency", "200ms")

    def offloads(self, on):
        state = "on" if on else "off"
        self.run("ethtool", "-K", "eth0", "tso", state, "gso", state, "gro",
                 state, "tx", state, check=False)


class Tap:
    """Counts the IP packets from these sources that reach a device; those
    that its socket had no room for are counted as well."""

    def __init__(self, host, sources, device="eth0"):
        self.sock = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._filter(sources)
        self.sock.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.sock.bind((device, 0x0003))
        self.seen = 0

    def _filter(self, sources):
        code, accept = [], (0x06, 0, 0, 1)
        for source in sources:
            v6 = ":" in source
            raw = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET,
                                   source)
            words = struct.unpack(f"!{len(raw) // 4}I", raw)
            block = [(0x30, 0, 0, 0), (0x54, 0, 0, 0xf0),
                     (0x15, 0, None, 0x60 if v6 else 0x40)]
            for n, word in enumerate(words):
                block += [(0x20, 0, 0, (8 if v6 else 12) + 4 * n),
                          (0x15, 0, None, word)]
            block.append(accept)
            code += [(op, jt, len(block) - at - 1 if jf is None else jf, k)
                     for at, (op, jt, jf, k) in enumerate(block)]
        code.append((0x06, 0, 0, 0))
        raw = b"".join(struct.pack("HBBI", *c) for c in code)
        buf = ctypes.create_string_buffer(raw)
        self.sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack(
            "HP", len(code), ctypes.addressof(buf)))

    def count(self):
        stats = self.sock.getsockopt(263, 6, 8)  # PACKET_STATISTICS
        self.seen += struct.unpack("II", stats)[0]
        return self.seen


class Sniffer(Process):
    """tcpdump on a host; packets() ends it."""

    def __init__(self, host, expr, device="eth0", flags=()):
        lab = host.lab
        name = lab.unique("tcpdump-" + host.role)
        self.pcap = lab.path(name + ".pcap")
        super().__init__(lab, host, name, [
            "tcpdump", "-i", device, "-n", "-U", "-Z", "root", "-B", "65536",
            *flags, "-w", self.pcap, expr])
        self.wait_for("listening on")

    def finish(self):
        # What is in the ring when the signal comes would not be written; a
        # block of it is handed over after a second at most.
        size = -1
        for _ in range(4):
            time.sleep(1.2)
            if size == os.path.getsize(self.pcap):
                break
            size = os.path.getsize(self.pcap)
        self.signal(signal.SIGINT)
        self.wait()
        return self.pcap

    def packets(self):
        return read_pcap(self.finish())


def read_pcap(path):
    import scapy.layers.inet  # noqa: F401  they tell scapy of link types
    import scapy.layers.l2  # noqa: F401
    from scapy.utils import rdpcap
    return list(rdpcap(path))


def tcp_streams(packets, port, side="sport"):
    """Bytes of each TCP connection from (or to) that port, repeats left
    out."""
    from scapy.layers.inet import IP, TCP
    found = {}
    for packet in packets:
        if TCP not in packet or getattr(packet[TCP], side) != port:
            continue
        tcp = packet[TCP]
        length = packet[IP].len - 4 * packet[IP].ihl - 4 * tcp.dataofs
        key = tcp.dport, tcp.sport
        if tcp.flags.S:
            found[key] = [tcp.seq + 1 & 0xffffffff, bytearray()]
        elif length and key in found:
            data = bytes(tcp.payload)[:length]
            start, stream = found[key]
            at = (tcp.seq - start) & 0xffffffff
            assert at <= len(stream), "the sniffer lost a packet"
            stream[at:at + len(data)] = data
    return [bytes(stream) for _, stream in found.values()]


class Copy:
    """Both applications and both programs, in the usual place."""

    def __init__(self, online_app, target_app, intercept, tcpcopy):
        self.online_app, self.target_app = online_app, target_app
        self.intercept, self.tcpcopy = intercept, tcpcopy

    def settle(self, copies=1, quiet=10):
        """Until the target has had everything, or gets nothing more; and the
        ledger has nothing in flight that is over on the online server."""
        want = self.online_app.totals()
        last, since = None, time.monotonic()
        while True:
            have = self.target_app.totals()
            if all(have[k] == want[k] * copies
                   for k in ("requests", "connections", "open")):
                return
            if self.tcpcopy and not self.tcpcopy.alive():
                return
            if have != last:
                last, since = have, time.monotonic()
            elif time.monotonic() - since > quiet:
                return
            time.sleep(0.1)

    def finish(self, copies=1, quiet=10):
        """Ends everything; returns ledger and both logs."""
        self.settle(copies, quiet)
        ledger = self.tcpcopy.finish()
        self.intercept.finish()
        assert_balanced(ledger)
        return ledger, self.online_app.finish(), self.target_app.finish()

    def over(self):
        """Until nothing is open on the target, and tcpcopy knows it."""
        host, port = self.target_app.host, self.target_app.port

        def nothing_open():
            if not self.tcpcopy.alive():
                return True
            return not host.sockets(port) and \
                not self.tcpcopy.ledger()["connections"]["in_flight"]
        # A target that repeats its FIN is listened to for 20 s more.
        wait_until(nothing_open, 90, "the target's connections to end",
                   step=0.2)

    def exact(self, copies=1):
        """Every byte of every connection arrived, and the ledger says so."""
        self.settle(copies)
        if not self.online_app.totals()["open"]:
            self.over()
        ledger, online, target = self.finish(copies)
        assert_exact([online], target, copies)
        assert_whole(ledger)
        for unit, count in (("connections", len(online)),
                            ("bytes", sum(r["bytes"] for r in online))):
            assert ledger[unit]["captured"] == count, ledger
            assert ledger[unit]["expected"] == count * copies, ledger
        return ledger


def digests(records):
    return collections.Counter(r["digest"] for r in records)


def assert_exact(online_logs, target, copies=1):
    want = collections.Counter()
    for log in online_logs:
        for digest, n in digests(log).items():
            want[digest] += n * copies
    have = digests(target)
    assert want, "no connection was made"
    missing, surplus = want - have, have - want
    assert not missing and not surplus, (
        f"of {sum(want.values())} connections {sum(missing.values())} are not "
        f"on the target as they were online, {sum(surplus.values())} are on "
        f"the target only; requests {sum(r['requests'] for r in target)} of "
        f"{sum(r['requests'] for log in online_logs for r in log) * copies}")


def assert_balanced(ledger):
    for unit in UNITS:
        place = ledger[unit]
        assert set(REASONS) <= set(place["lost"]), place
        total = sum(place[p] for p in PLACES) + sum(place["lost"].values())
        assert place["expected"] == total, (unit, place)


def assert_whole(ledger, in_flight=0):
    """Nothing lost, nothing left out, nothing pending."""
    for unit in UNITS:
        place = ledger[unit]
        lost = {k: n for k, n in place["lost"].items() if n}
        assert not lost and not place["not_sampled"], (unit, place)
        if not in_flight:
            assert place["in_flight"] == 0, (unit, place)


def requests_by_id(records):
    """How often each request of each connection came, however many
    connections it took; every one of them whole and in order."""
    found = collections.defaultdict(collections.Counter)
    for record in records:
        assert not record["broken"] and not record["jumps"], record
        first = record["first"]
        found[record["id"]].update(range(first, first + record["requests"]))
    return {key: seqs for key, seqs in found.items() if seqs}


def assert_covered(online, target):
    """Each request came, over one connection or several; returns how many
    of them came again."""
    want, have = requests_by_id(online), requests_by_id(target)
    assert set(have) <= set(want)
    for key, seqs in want.items():
        got = set(have.get(key, ()))
        assert got == set(seqs), (key, sorted(set(seqs) - got)[:10])
    return sum(n - 1 for seqs in have.values() for n in seqs.values())


def requests_are_turns(ledger, count, copies=1):
    """Each request was sent after the answer to the one before."""
    places = ledger["turns"]
    assert places["captured"] == count, places
    assert places["answered"] == count * copies, places
    return ledger


def lost(ledger, unit):
    """The reasons of loss that are not zero."""
    return {k: n for k, n in ledger[unit]["lost"].items() if n}


def counter(ledger, key):
    """A counter, in whichever group of the ledger it stands."""
    found = [group[key] for group in [ledger, *ledger.values()]
             if isinstance(group, dict) and key in group]
    assert found, f"no {key} in {ledger}"
    return found[0]


def find_program(name):
    """From the environment, a build directory, or the tree itself."""
    here = os.path.dirname(os.path.abspath(__file__))
    named = os.environ.get(name.upper() + "_BIN")
    if named:
        places = [named]
    else:
        tops = [os.environ.get("TCPCOPY_BUILDDIR"), os.getcwd(),
                os.path.join(here, "..", "..")]
        places = [os.path.join(top, *sub, name) for top in tops if top
                  for sub in ((), ("src", name))]
    for place in places:
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return os.path.abspath(place)
    raise LabError(f"no {name}: set {name.upper()}_BIN or TCPCOPY_BUILDDIR "
                   f"(looked at {places})")


class Lab:
    digest_app = None  # set by conftest.py once it is built
    program_env = {
        "ASAN_OPTIONS": "exitcode=99:abort_on_error=0:detect_leaks=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99",
    }

    def __init__(self, onlines=1):
        self.processes, self.names = [], collections.Counter()
        self.dir = tempfile.mkdtemp(prefix=f"{PREFIX}-", dir="/tmp")
        os.chmod(self.dir, 0o777)  # the programs are not root
        self.client = Host(self, "client")
        self.router = Host(self, "router")
        self.online = Host(self, "online")
        self.target = Host(self, "target")
        self.hosts = [self.router, self.client, self.online, self.target]
        self.onlines = [self.online]
        for number in range(2, onlines + 1):
            self.onlines.append(Host(self, f"online{number}"))
        self.hosts += self.onlines[1:]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.dir, name)

    def unique(self, name):
        self.names[name] += 1
        n = self.names[name]
        return name if n == 1 else f"{name}-{n}"

    # --- the net -------------------------------------------------------

    def _name_target(self):
        """For all the chroot, where no host has an /etc/hosts of its own."""
        with open("/etc/hosts", "a+") as f:
            f.seek(0)
            if "target.example" not in f.read():
                f.write(f"{self.target.addr} target.example\n")

    def _make(self):
        if "nsenter" in self.target.prefix:
            self._name_target()
        for host in self.hosts:
            subprocess.run(["ip", "netns", "add", host.ns], check=True)
            names = f"/etc/netns/{host.ns}"
            os.makedirs(names, exist_ok=True)
            with open(f"{names}/hosts", "w") as f:
                f.write("127.0.0.1 localhost\n::1 localhost\n"
                        f"{self.target.addr} target.example\n")
            self._batch(host, """
                sysctl -qw net.ipv6.conf.default.accept_dad=0 \
                    net.ipv6.conf.default.router_solicitations=0 \
                    net.ipv4.conf.all.rp_filter=0 \
                    net.ipv4.conf.default.rp_filter=0 \
                    net.ipv4.tcp_max_syn_backlog=16384 \
                    net.core.somaxconn=65535
                ip link set lo up""")
        self._batch(self.router, f"""
            sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
            ip link add br0 type bridge
            ip link add eth0 type veth peer name eth0 netns {self.client.ns}
            ip addr add 198.51.100.254/24 dev eth0
            ip addr add 2001:db8:0:2::fe/64 dev eth0
            ip addr add 192.0.2.254/24 dev br0
            ip addr add 2001:db8:0:1::fe/64 dev br0
            ip link set eth0 up; ip link set br0 up""")
        for host in self.hosts[2:]:
            self._batch(self.router, f"""
                ip link add {host.role} type veth peer name eth0 \
                    netns {host.ns}
                ip link set {host.role} master br0 up""")
            more = "ip addr add 192.0.2.12/24 dev eth0" \
                if host is self.target else ""
            self._batch(host, f"""
                ip addr add {host.addr}/24 dev eth0
                ip addr add {host.addr6}/64 dev eth0
                {more}
                ip link set eth0 up
                ip route add default via 192.0.2.254
                ip -6 route add default via 2001:db8:0:1::fe""")
        adds = "\n".join([f"ip addr add {a}/24 dev eth0" for a in CLIENTS] +
                         [f"ip addr add {a}/64 dev eth0" for a in CLIENTS6])
        self._batch(self.client, f"""
            sysctl -qw net.ipv4.ip_local_port_range="1024 65535"
            {adds}
            ip link set eth0 up
            ip route add default via 198.51.100.254
            ip -6 route add default via 2001:db8:0:2::fe""")

    @staticmethod
    def _batch(host, script):
        host.run("sh", "-ec", script)

    def rule(self, port=TARGET_PORT, *more, command="-I"):
        """The manual's rule (section 4.2), for both families."""
        self.target.iptables(command, "OUTPUT", "-p", "tcp", "--sport", port,
                             "-j", "NFQUEUE", *more)

    def queue(self, number=0):
        """The queue's line in /proc as numbers, or None when not bound."""
        text = self.target.run("cat", "/proc/net/netfilter/nfnetlink_queue")
        for line in text.stdout.splitlines():
            fields = [int(f) for f in line.split()]
            if fields[0] == number:
                return dict(zip(("number", "portid", "waiting", "mode",
                                 "range", "dropped", "user_dropped", "id"),
                                fields))
        return None

    def tap(self):
        """Counts what reaches the client from the target."""
        return Tap(self.client, [self.target.addr, "192.0.2.12",
                                 self.target.addr6])

    # --- what runs in it ------------------------------------------------

    def serve(self, host, port, *args):
        return Server(self, host, self.unique("serve-" + host.role), port,
                      args)

    def load_start(self, to=None, source=CLIENTS, host=None, **options):
        to = to or f"{self.online.addr}:{ONLINE_PORT}"
        cmd = [self.digest_app, "load", "--to", to]
        if source:
            cmd += ["--from", ",".join(source)]
        for key, value in options.items():
            cmd.append("--" + key.replace("_", "-"))
            if value is not True:
                cmd.append(value)
        return Load(self, host or self.client, self.unique("load"), cmd)

    def load(self, *args, **options):
        return self.load_start(*args, **options).done()

    def start_intercept(self, *args, host=None, ready=True, **kw):
        program = Program(self, host or self.target, self.unique("intercept"),
                          self.intercept_bin, args, **kw)
        if ready:
            program.wait_for("ready")
        return program

    def start_tcpcopy(self, *args, host=None, ready=True, **kw):
        host = host or self.online
        program = Program(self, host, self.unique("tcpcopy-" + host.role),
                          self.tcpcopy_bin, args, **kw)
        if ready:
            program.wait_for("ready")
        return program

    @property
    def sanitized(self):
        """The programs carry a sanitizer, which needs memory of its own."""
        with open(self.tcpcopy_bin, "rb") as f:
            return b"__asan_init" in f.read()

    @property
    def transfer(self):
        return f"{ONLINE_PORT}-{self.target.addr}:{TARGET_PORT}"

    def copy(self, *args, intercept=(), online=(), target=(), transfer=None):
        """Applications, rule, intercept, and tcpcopy with args."""
        online_app = self.serve(self.online, ONLINE_PORT, *online)
        target_app = self.serve(self.target, TARGET_PORT, *target)
        self.rule()
        program = self.start_intercept(*intercept)
        tcpcopy = self.start_tcpcopy("-x", transfer or self.transfer, *args)
        return Copy(online_app, target_app, program, tcpcopy)

    # --- the end ---------------------------------------------------------

    def faults(self):
        """What the sanitizers said, of any program of ours."""
        found = []
        for process in self.processes:
            text = process.err() + process.out()
            if process.is_ours and ("Sanitizer" in text or
                                    "runtime error:" in text):
                found.append(f"{process.name}: {text[-4000:]}")
        return found

    def close(self, keep=False):
        for process in reversed(self.processes):
            if process.alive():
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
        end = time.monotonic() + 5
        for process in reversed(self.processes):
            try:
                process.popen.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for host in self.hosts:
            remove_namespace(host.ns)
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def remove_namespace(ns):
    """With whatever still runs in it, daemons included."""
    pids = subprocess.run(["ip", "netns", "pids", ns], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for pid in pids.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL)
    shutil.rmtree(f"/etc/netns/{ns}", ignore_errors=True)


def remove_leftovers():
    """Namespaces of earlier runs that did not come to their end."""
    listed = subprocess.run(["ip", "netns", "list"], text=True,
                            stdout=subprocess.PIPE).stdout
    for ns in [line.split()[0] for line in listed.splitlines() if line]:
        pid = ns[len(PREFIX):].split("-")[0]
        if ns.startswith(PREFIX) and pid.isdigit() and \
                not os.path.exists(f"/proc/{pid}"):
            remove_namespace(ns)
