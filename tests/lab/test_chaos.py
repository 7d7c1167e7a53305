# SPDX-License-Identifier: BSD-2-Clause
"""A minute of load while intercept and its links are killed, stopped, cut and
reset at random times. LAB_CHAOS_SEED gives the seed of a run to repeat."""
import os
import random
import signal
import time

from lab import LINK_PORT
from outcome import requests_are_turns

SECONDS = 60


class Chaos:
    def __init__(self, lab, copy, rng):
        self.lab, self.copy, self.rng = lab, copy, rng
        self.done = []

    def pause(self, most):
        time.sleep(self.rng.uniform(0.05, most))

    def kill(self):
        self.copy.intercept.kill()
        self.pause(2)
        self.copy.intercept = self.lab.start_intercept()

    def stop(self):
        self.copy.intercept.signal(signal.SIGSTOP)
        self.pause(3)
        self.copy.intercept.signal(signal.SIGCONT)

    def kill_stopped(self):
        self.copy.intercept.signal(signal.SIGSTOP)
        self.pause(1)
        self.kill()

    def reset_all(self):
        self.lab.online.run("ss", "-K", f"dport = :{LINK_PORT}")

    def reset_one(self):
        links = self.lab.online.sockets(LINK_PORT, "dport")
        if links:
            port = self.rng.choice(links).split()[3].split(":")[-1]
            self.lab.online.run("ss", "-K", f"sport = :{port}")

    def cut(self):
        """Nothing comes from intercept, and nobody says so."""
        rule = ("-p", "tcp", "--sport", LINK_PORT, "-j", "DROP")
        self.lab.online.iptables("-I", "INPUT", *rule)
        self.pause(2)
        self.lab.online.iptables("-D", "INPUT", *rule)

    def run(self, until):
        deeds = [self.kill, self.stop, self.kill_stopped, self.reset_all,
                 self.reset_one, self.cut]
        while time.monotonic() < until:
            self.pause(2)
            deed = self.rng.choice(deeds)
            self.done.append(deed.__name__)
            deed()
            assert self.copy.tcpcopy.alive()


def test_chaos(lab):
    seed = int(os.environ.get("LAB_CHAOS_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}: LAB_CHAOS_SEED={seed} repeats it")
    tap = lab.tap()
    copy = lab.copy("-t", 120)
    loads = [
        lab.load_start(connections=30, concurrent=30, requests=300, seed=1,
                       think_ms=SECONDS * 1000 // 300, deadline=150,
                       request_size="24-5000", answer_size="24-5000"),
        lab.load_start(connections=1500, concurrent=8, requests=3, seed=2,
                       think_ms=SECONDS * 1000 * 8 // 1500 // 3, deadline=150),
    ]
    chaos = Chaos(lab, copy, random.Random(seed))
    chaos.run(time.monotonic() + SECONDS)
    print(" ".join(chaos.done))
    for load in loads:
        load.done()
    requests_are_turns(copy.exact(), 30 * 300 + 1500 * 3)
    assert tap.count() == 0
