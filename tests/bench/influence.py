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
from world import waiting

TURNS = 3
REQUESTS, REQUESTS_MIN = 4000, 1000  # of each connection
CONNECTIONS = 50


def _throughput(world, lab, load):
    """Answered requests a second, once the copy has had an answer."""
    with world.side("online", always=True):
        lab.load(connections=1, requests=2, seed=9)
        done = lab.load(**load)
    return done["requests"] / done["elapsed_s"]


def _without(world, load):
    with world.lab() as lab:
        world.serve(lab, always_pin=True)
        return _throughput(world, lab, load)


def _captured(world, load):
    """With a program that captures and does nothing else."""
    with world.lab() as lab:
        world.serve(lab, always_pin=True)
        with world.side("online", always=True):
            floors.start_ring(world, lab)
        return _throughput(world, lab, load)


def _with(world, path, load, args):
    """And what tcpcopy's ledger and the applications say of it."""
    with world.lab() as lab:
        copy = world.copy(lab, path, *args, always_pin=True)
        rate = _throughput(world, lab, load)
        copy.settle()
        ledger = copy.tcpcopy.finish()
        online, target = copy.online_app.finish(), copy.target_app.finish()
    return rate, ledger, exactness(online, target, 1)


def in_turns(world, path, load, args=()):
    """The figures, and of each turn with the copy ledger and exactness."""
    if len(world.cores) < 2:
        raise waiting.LabError("this needs two cores")
    without, captured, copied, said = [], [], [], []
    for _ in range(TURNS):
        without.append(_without(world, load))
        captured.append(_captured(world, load))
        rate, *more = _with(world, path, load, args)
        copied.append(rate)
        said.append(more)
    whole = statistics.median(without) / 100
    return {"without_per_s": without, "ring_per_s": captured,
            "with_per_s": copied,
            "ring_kept_percent": statistics.median(captured) / whole,
            "kept_percent": statistics.median(copied) / whole}, said


def measure(world, path, scale):
    load = {"connections": CONNECTIONS, "concurrent": CONNECTIONS,
            "requests": max(REQUESTS // scale, REQUESTS_MIN)}
    result, said = in_turns(world, path, load)
    result["exact_percent"] = min(arrived["exact_percent"]
                                  for _, arrived in said)
    return result
