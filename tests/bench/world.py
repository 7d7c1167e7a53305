# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: the programs in the lab's namespaces, with the options of
one way to send."""
import contextlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "lab"))

import hosts  # noqa: E402,F401
import lab as lab_module  # noqa: E402
import outcome  # noqa: E402
import waiting  # noqa: E402,F401

PATHS = ("raw", "link", "relay")


def _listed(ports):
    """A port, or iptables' FIRST:LAST, as --relay takes them."""
    first, _, last = str(ports).partition(":")
    return ",".join(map(str, range(int(first), int(last or first) + 1)))


class World:
    """How the programs are to be started; makes labs."""

    def __init__(self, tcpcopy_args=(), intercept_args=(), pin=False,
                 profiled="small", soak_seconds=3600, workers=1, steer=False):
        self.tcpcopy_args = list(tcpcopy_args)
        self.intercept_args = list(intercept_args)
        self.pin, self.profiled = pin, profiled
        self.soak_seconds = soak_seconds
        self.workers, self.steer = workers, steer
        self.build = os.environ.get("TCPCOPY_BUILDDIR", os.getcwd())
        lab_module.Lab.tcpcopy_bin = lab_module.find_program("tcpcopy")
        lab_module.Lab.intercept_bin = lab_module.find_program("intercept")
        lab_module.Lab.digest_app = os.path.join(self.build, "digest_app")
        self.cores = sorted(os.sched_getaffinity(0))

    def tool(self, name):
        return os.path.join(self.build, "tests", "bench", name)

    def paths(self):
        """The ways to send that this tcpcopy has."""
        text = subprocess.run([lab_module.Lab.tcpcopy_bin, "--help"],
                              stdout=subprocess.PIPE, text=True).stdout
        line = next((at for at in text.splitlines() if "--path" in at), "raw")
        return tuple(path for path in PATHS if path in line)

    @contextlib.contextmanager
    def lab(self):
        net = lab_module.Lab()
        try:
            # The router is to be a piece of wire.
            net.router.run("sysctl", "-qw", *[
                f"net.bridge.bridge-nf-call-{tables}=0" for tables in
                ("iptables", "ip6tables", "arptables")], check=False)
            if self.steer:
                self._steer(net)
            yield net
        finally:
            net.close()

    def _steer(self, net):
        """What arrives at a server is received on its side's core."""
        for host, core in ((net.online, self.cores[0]),
                           (net.target, self.cores[-1])):
            host.run("sh", "-c", f"echo {1 << core:x} > "
                     "/sys/class/net/eth0/queues/rx-0/rps_cpus")

    @contextlib.contextmanager
    def side(self, name, always=False):
        """What is started herein runs on the core of that side, "online" or
        "target", if it is to be pinned."""
        before = os.sched_getaffinity(0)
        if self.pin or always:
            at = 0 if name == "online" else -1
            os.sched_setaffinity(0, {self.cores[at]})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def start_copy(self, lab, path, *args, always_pin=False, transfer=None,
                   port=lab_module.TARGET_PORT):
        """intercept and tcpcopy, to run beside applications."""
        way = ["--path", path] if len(self.paths()) > 1 else []
        workers, guard, ports = [], [], []
        if self.workers > 1:
            last = self.workers - 1
            workers = ["--workers", self.workers]
            guard = ["--guard", _listed(port)]
            ports = ["-p", f"{lab_module.LINK_PORT}-"
                     f"{lab_module.LINK_PORT + last}"]
        with self.side("target", always_pin):
            if not guard:
                lab.rule(port)
            serve = ["--relay", _listed(port)] if path == "relay" else []
            intercept = lab.start_intercept(*serve, *workers, *guard,
                                            *self.intercept_args)
        with self.side("online", always_pin):
            tcpcopy = lab.start_tcpcopy("-x", transfer or lab.transfer, *way,
                                        *workers, *ports, *args,
                                        *self.tcpcopy_args)
        return intercept, tcpcopy

    def serve(self, lab, always_pin=False):
        """The application on both servers."""
        with self.side("online", always_pin):
            online = lab.serve(lab.online, lab_module.ONLINE_PORT)
        with self.side("target", always_pin):
            target = lab.serve(lab.target, lab_module.TARGET_PORT)
        return online, target

    def copy(self, lab, path, *args, always_pin=False):
        online, target = self.serve(lab, always_pin)
        intercept, tcpcopy = self.start_copy(lab, path, *args,
                                             always_pin=always_pin)
        return outcome.Copy(online, target, intercept, tcpcopy)
