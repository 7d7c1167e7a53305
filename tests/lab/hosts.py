# SPDX-License-Identifier: BSD-2-Clause
"""A host of the lab is a network namespace."""
import contextlib
import ctypes
import os
import re
import socket
import subprocess

from processes import Process
from waiting import LabError

PREFIX = "tclab"
CLIENTS = [f"198.51.100.{n}" for n in range(1, 9)]
CLIENTS6 = [f"2001:db8:0:2::{n}" for n in range(1, 9)]
SERVERS = {"online": 1, "target": 2, "online2": 3, "online3": 4, "online4": 5}


def enter(ns):
    """The command before a command. In a chroot whose root is no mount point
    `ip netns exec` fails; what it has more is /etc/netns over /etc."""
    with open("/proc/self/mountinfo") as f:
        if any(line.split()[4] == "/" for line in f):
            return ["ip", "netns", "exec", ns]
    return ["nsenter", f"--net=/run/netns/{ns}"]


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

    def busiest_port(self, dport):
        """Of our TCP connections to a port: that from which or to which most
        has gone so far."""
        lines = self.run("ss", "-HtniO", "state", "established",
                         f"dport = :{dport}").stdout.splitlines()

        def carried(line):
            return sum(int(n) for n in
                       re.findall(r"bytes_(?:acked|received):(\d+)", line))
        return max(lines, key=carried).split()[2].split(":")[-1]

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
