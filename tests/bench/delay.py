# SPDX-License-Identifier: BSD-2-Clause
"""
How much later than it came to the online server a request comes to the
target: the kernel's time stamps of the same request on both, at a moderate
rate. On the relay path it comes by the target's lo.

The floor under it is what programs take that do nothing but to wake up and to
send on what woke them: one on the online server, and on the relay path another
one on the target.
"""
import json
import statistics

from loads import exactness
import usage
from world import lab_module

RATE = 1000
SECONDS = 20
CONNECTIONS = 50
PERCENTS = (1, 50, 90, 99, 99.9)
FLOOR_PORT, FLOOR_LO_PORT = 9, 10


def _stamps(process):
    """First time of each request, in us."""
    assert process.stop() == 0, process.err()
    found = {}
    for line in process.out().splitlines()[1:]:
        connection, number, at_us = map(int, line.split())
        found.setdefault((connection, number), at_us)
    return found


def _started(world, host, name, *args):
    process = host.popen(name, world.tool(name), *args)
    process.wait_for("ready")
    return process


def _load(world, lab, scale):
    """How many requests there was no connection for, since all had one on its
    way, and what of the time was stolen."""
    stolen = usage.Stolen()
    load = lab.client.popen("paced_load", world.tool("paced_load"),
                            lab.online.addr, lab_module.ONLINE_PORT,
                            CONNECTIONS, RATE, max(SECONDS // scale, 2))
    assert load.wait(120) == 0, load.err()
    return {"missed": json.loads(load.out().splitlines()[-1])["missed"],
            "stolen_percent": stolen.percent()}


def _delays(came, left):
    # The first request of a connection waits for the copy's handshake.
    return sorted(left[key] - came[key] for key in came
                  if key in left and key[1] > 0)


def _percentiles(ordered):
    last = len(ordered) - 1
    return {f"p{p}_us": ordered[min(int(len(ordered) * p / 100), last)]
            for p in PERCENTS}


def _floor(world, path, scale):
    with world.lab() as lab:
        lab.serve(lab.online, lab_module.ONLINE_PORT)
        _started(world, lab.online, "floor_hop", "capture",
                 lab_module.ONLINE_PORT, lab.target.addr, FLOOR_PORT)
        _started(world, lab.target, "floor_hop", "datagrams", FLOOR_PORT,
                 "127.0.0.1", FLOOR_LO_PORT)
        taps = [_started(world, lab.online, "stamp_requests",
                         lab_module.ONLINE_PORT),
                _started(world, lab.target, "stamp_requests",
                         FLOOR_LO_PORT if path == "relay" else FLOOR_PORT)]
        load = _load(world, lab, 4 * scale)
        delays = _delays(*map(_stamps, taps))
    return {"requests": len(delays), **load, **_percentiles(delays)}


def _copy(world, path, scale):
    with world.lab() as lab:
        copy = world.copy(lab, path)
        taps = [_started(world, lab.online, "stamp_requests",
                         lab_module.ONLINE_PORT),
                _started(world, lab.target, "stamp_requests",
                         lab_module.TARGET_PORT)]
        load = _load(world, lab, scale)
        copy.settle()
        came, left = map(_stamps, taps)
        copy.tcpcopy.finish()
        online, target = copy.online_app.finish(), copy.target_app.finish()
    delays = _delays(came, left)
    return {"requests": len(delays), "unseen": len(came) - len(left),
            "mean_us": statistics.mean(delays), **load,
            **_percentiles(delays), **exactness(online, target, 1)}


def measure(world, path, scale):
    return {"floor": _floor(world, path, scale), **_copy(world, path, scale)}
