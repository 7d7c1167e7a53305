# SPDX-License-Identifier: BSD-2-Clause
"""
Hours of mixed load at half of what the machine can do: bursts as fast as they
go, and after each as long a rest; beside them connections that last from the
beginning to the end. Memory is to stay flat, and nothing to be lost.
"""
import time

import loads
from usage import Meter, memory_kb

BURSTS = (
    {"connections": 50, "concurrent": 50, "requests": 100,
     "request_size": "24-400", "answer_size": "24-5000"},
    {"connections": 2000, "concurrent": 50},
    {"connections": 20, "concurrent": 20, "requests": 5,
     "request_size": 60000},
    {"connections": 20, "concurrent": 20, "requests": 10,
     "answer_size": 100000},
)
LASTING, THINK_MS = 100, 1000
SAMPLE_SECONDS = 60


class Samples:
    """Memory of both programs now and then, told as it comes."""

    def __init__(self, copy, wall_s):
        self.copy, self.taken, self.next = copy, [], 0
        self.begun, self.wall_s = time.monotonic(), wall_s

    def passed(self):
        return time.monotonic() - self.begun

    def take(self, bursts):
        if self.passed() < self.next:
            return
        self.next += min(SAMPLE_SECONDS, self.wall_s / 20)
        now = {"s": round(self.passed()), "bursts": bursts,
               "tcpcopy": memory_kb(self.copy.tcpcopy.pid),
               "intercept": memory_kb(self.copy.intercept.pid)}
        self.taken.append(now)
        print("  {s} s: {bursts} bursts, tcpcopy {tcpcopy} kB, intercept "
              "{intercept} kB".format(**now), flush=True)


def bursts(lab, samples):
    """Requests and bursts until the time is over."""
    requests = number = 0
    while samples.passed() < samples.wall_s:
        begun = time.monotonic()
        done = lab.load(seed=number + 2, **BURSTS[number % len(BURSTS)])
        requests, number = requests + done["requests"], number + 1
        samples.take(number)
        time.sleep(time.monotonic() - begun)
    return requests, number


def measure(world, path, scale):
    wall_s = world.soak_seconds // scale
    with world.lab() as lab:
        copy = world.copy(lab, path)
        lasting = lab.load_start(connections=LASTING, concurrent=LASTING,
                                 requests=wall_s * 1000 // THINK_MS,
                                 think_ms=THINK_MS, seed=1,
                                 deadline=wall_s + 600)
        meter, samples = Meter(), Samples(copy, wall_s)
        requests, number = bursts(lab, samples)
        requests += lasting.done(600)["requests"]
        used = meter.read()
        copy.settle()
        samples.next = 0
        samples.take(number)
        peak = {"tcpcopy": memory_kb(copy.tcpcopy.pid, "VmHWM"),
                "intercept": memory_kb(copy.intercept.pid, "VmHWM")}
        ledger, divert, online, target = loads.end(copy)
    busy = used["machine"] / used["wall"] / len(world.cores)
    return {"wall_s": used["wall"] / 1e6, "requests": requests,
            "connections": len(online), "busy_percent": 100 * busy,
            "memory_peak_kb": peak, "memory_kb": samples.taken,
            "lost": sum(ledger["turns"]["lost"].values()),
            "drops": loads.drops(ledger, divert),
            **loads.exactness(online, target, 1)}
