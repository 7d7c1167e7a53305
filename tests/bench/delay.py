# SPDX-License-Identifier: BSD-2-Clause
"""
How much later than it came to the online server a request comes to the
target: both kernels' time stamps of the same request, at a moderate rate. On
the relay path it comes by the target's lo.
"""
import statistics

from loads import exactness
from world import lab_module

RATE = 1000
SECONDS = 20
CONNECTIONS = 50


def _stamps(process):
    """First time of each request, in us."""
    process.stop()
    found = {}
    for line in process.out().splitlines()[1:]:
        connection, number, at_us = map(int, line.split())
        found.setdefault((connection, number), at_us)
    return found


def _tap(world, host, device, port):
    tap = host.popen("stamp_requests", world.tool("stamp_requests"), device,
                     port)
    tap.wait_for("ready")
    return tap


def _percentile(ordered, percent):
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def measure(world, path, scale):
    with world.lab() as lab:
        copy = world.copy(lab, path)
        taps = [_tap(world, lab.online, "eth0", lab_module.ONLINE_PORT),
                _tap(world, lab.target, "lo" if path == "relay" else "eth0",
                     lab_module.TARGET_PORT)]
        load = lab.client.popen("paced_load", world.tool("paced_load"),
                                lab.online.addr, lab_module.ONLINE_PORT,
                                CONNECTIONS, RATE, max(SECONDS // scale, 2))
        assert load.wait(120) == 0, load.err()
        copy.settle()
        came, left = map(_stamps, taps)
        copy.tcpcopy.finish()
        online, target = copy.online_app.finish(), copy.target_app.finish()
    # The first request of a connection waits for the copy's handshake.
    delays = sorted(left[key] - came[key] for key in came
                    if key in left and key[1] > 0)
    return {"requests": len(delays), "unseen": len(came) - len(left),
            "mean_us": statistics.mean(delays),
            **{f"p{p}_us": _percentile(delays, p)
               for p in (1, 50, 90, 99, 99.9)},
            **exactness(online, target, 1)}
