# SPDX-License-Identifier: BSD-2-Clause
"""
What several workers are for: the same work by one process, by two on one core,
and by two on a core each, while nobody else wants one. Requests pile up in the
rings of tcpcopy, whose workers are stopped; when the clients are done they go
on.

In a dry run the target is inside each worker, so that nobody else has a part
in it. All that a session costs is there, but for giving its packets to the
network.
"""
import os

import piled
from world import lab_module, waiting

LOAD = {"connections": 4000, "concurrent": 50, "requests": 75,
        "answer_size": 128}  # as the dry run's target answers
MEMORY = ("-m", 4096, "--buffer", 512, "--device", "eth0")


def _one(world, cores, scale):
    load = {**LOAD, "requests": max(LOAD["requests"] // scale, 1)}
    with world.lab() as lab:
        lab.serve(lab.online, lab_module.ONLINE_PORT)
        dry = lab.path("dry")
        for end in ("", ".0", ".1"):
            os.symlink("/dev/null", dry + end)
        tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--dry-run", dry,
                                    "--workers", len(cores), *MEMORY,
                                    *world.tcpcopy_args)
        pids = piled.workers_of(tcpcopy, cores)
        head = {tcpcopy.pid} - set(pids)  # asks them how they are
        piled.stop([*head, *pids])
        requests = lab.load(**load)["requests"]
        result = piled.clear(pids)
        piled.go_on(head)
        ledger = tcpcopy.finish()
    return {**result, "requests": requests,
            "per_s": 1e6 * requests / result["wall_us"],
            "us": result["cpu_us"] / requests,
            "ring": ledger["kernel"]["dropped"],
            "exact_percent": 100 * ledger["turns"]["answered"] / requests}


def measure(world, path, scale):
    """By no path: nothing is sent."""
    if len(world.cores) < 2:
        raise waiting.LabError("this needs two cores")
    first, last = world.cores[0], world.cores[-1]
    found = {name: _one(world, cores, scale) for name, cores in
             (("one", (first,)), ("one_core", (first, first)),
              ("core_each", (first, last)))}
    times = found["core_each"]["per_s"] / found["one"]["per_s"]
    return {**found, "times_as_fast": times, "each_times_as_fast": [times]}
