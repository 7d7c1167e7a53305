# SPDX-License-Identifier: BSD-2-Clause
"""
How much of its throughput a saturated online service keeps while it is being
copied. Clients, service and tcpcopy share one core; target and intercept have
the other. Without and with the copy in turn, so that what drifts, drifts for
both; and with the capture ring's floor in tcpcopy's place, for nobody who
copies what he has captured takes less.
"""
import statistics

import floors
from loads import exactness
from world import lab_module

TURNS = 3
REQUESTS, REQUESTS_MIN = 4000, 1000  # of each connection
CONNECTIONS = 50


def _throughput(world, lab, scale):
    """Answered requests a second."""
    with world.side("online", always=True):
        done = lab.load(connections=CONNECTIONS, concurrent=CONNECTIONS,
                        requests=max(REQUESTS // scale, REQUESTS_MIN))
    return done["requests"] / done["elapsed_s"]


def _without(world, scale):
    with world.lab() as lab:
        world.serve(lab, always_pin=True)
        return _throughput(world, lab, scale)


def _captured(world, scale):
    """With a program that captures and does nothing else."""
    with world.lab() as lab:
        world.serve(lab, always_pin=True)
        with world.side("online", always=True):
            floors.start_ring(world, lab)
        return _throughput(world, lab, scale)


def _with(world, path, scale):
    with world.lab() as lab:
        copy = world.copy(lab, path, always_pin=True)
        rate = _throughput(world, lab, scale)
        copy.settle()
        copy.tcpcopy.finish()
        online, target = copy.online_app.finish(), copy.target_app.finish()
    return rate, exactness(online, target, 1)


def measure(world, path, scale):
    if len(world.cores) < 2:
        raise lab_module.LabError("influence needs two cores")
    without, captured, copied, exact = [], [], [], []
    for _ in range(TURNS):
        without.append(_without(world, scale))
        captured.append(_captured(world, scale))
        rate, arrived = _with(world, path, scale)
        copied.append(rate)
        exact.append(arrived["exact_percent"])
    whole = statistics.median(without) / 100
    return {"without_per_s": without, "ring_per_s": captured,
            "with_per_s": copied,
            "ring_kept_percent": statistics.median(captured) / whole,
            "kept_percent": statistics.median(copied) / whole,
            "exact_percent": min(exact)}
