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
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from hosts import CLIENTS, CLIENTS6, PREFIX, Host
from outcome import Copy
from processes import Load, Program, Server
from taps import Tap
from waiting import LabError, wait_until

ONLINE_PORT = 11311
TARGET_PORT = 11511
LINK_PORT = 36524
SANITIZED = "sanitizer"


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
    tcpcopy_bin = intercept_bin = None  # and these once they are found

    def __init__(self, onlines=1):
        self.processes, self.names = [], collections.Counter()
        self.dir = tempfile.mkdtemp(prefix=f"{PREFIX}-", dir="/tmp")
        os.chmod(self.dir, 0o777)  # the programs are not root
        # to files: a daemon has no standard error
        reports = f"exitcode=99:log_path={self.path(SANITIZED)}"
        self.program_env = {
            "ASAN_OPTIONS": f"{reports}:abort_on_error=0:detect_leaks=1",
            "UBSAN_OPTIONS": f"{reports}:halt_on_error=1:print_stacktrace=1",
        }
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
        """What the sanitizers said, of any program of ours; they say the most
        of it when it ends, so that this ends all of them."""
        self._end([p for p in self.processes if p.is_ours], 30)
        self._end_daemons()
        found = []
        for path in sorted(pathlib.Path(self.dir).glob(SANITIZED + ".*")):
            found.append(f"{path.name}: {path.read_text()[-4000:]}")
        for process in self.processes:
            if process.is_ours and process.popen.returncode == 99:
                found.append(f"{process.name} ended with 99: "
                             f"{process.err()[-4000:]}")
        return found

    def _end_daemons(self):
        """Those of our programs that have left their caller."""
        def left():
            return [pid for host in self.hosts
                    for pid in namespace_pids(host.ns)
                    if is_program(pid, (self.tcpcopy_bin, self.intercept_bin))]
        for pid in left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(LabError):  # then close() kills it
            wait_until(lambda: not left(), 30)

    @staticmethod
    def _end(processes, seconds):
        for process in reversed(processes):
            if process.alive():
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
        end = time.monotonic() + seconds
        for process in reversed(processes):
            try:
                process.popen.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def close(self, keep=False):
        self._end(self.processes, 5)
        for host in self.hosts:
            remove_namespace(host.ns)
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def namespace_pids(ns):
    pids = subprocess.run(["ip", "netns", "pids", ns], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [int(pid) for pid in pids.stdout.split()]


def is_program(pid, binaries):
    try:
        return os.readlink(f"/proc/{pid}/exe") in binaries
    except OSError:
        return False


def remove_namespace(ns):
    """With whatever still runs in it, daemons included."""
    for pid in namespace_pids(ns):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
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
