# SPDX-License-Identifier: BSD-2-Clause
"""
100,000 connections of one request that stay open: how much memory each one
takes in both programs, and how much CPU they use while nothing happens.

An application has at most as many connections as it may have files. So there
are several on ports of their own, and connections come an application at a
time.
"""
import resource
import time

from usage import Meter, memory_kb
from world import lab_module, outcome

CONNECTIONS = 100000
FILES_LEFT = 1000
SETTLE_S, QUIET_S = 5, 10  # memory is given back after some seconds


def _share():
    """Connections of one application."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return min(CONNECTIONS, limit - FILES_LEFT)


def _ports(base, count):
    return range(base, base + count)


def _open(lab, port, count):
    load = lab.load_start(to=f"{lab.online.addr}:{port}", connections=count,
                          open_together=True, pause_after=1, deadline=600,
                          seed=port)
    load.wait_for("paused", 300)
    return load


def _settled(online, target, quiet=15):
    """Until the target's application has all connections, or gets no more.
    How many it has."""
    last, since = -1, time.monotonic()
    want = online.totals()["requests"]
    while last != want and time.monotonic() - since < quiet:
        have = target.totals()["requests"]
        if have != last:
            last, since = have, time.monotonic()
        time.sleep(0.2)
    return last


def _start(world, lab, path, count):
    pairs = list(zip(_ports(lab_module.ONLINE_PORT, count),
                     _ports(lab_module.TARGET_PORT, count)))
    online = [lab.serve(lab.online, port) for port, _ in pairs]
    target = [lab.serve(lab.target, port) for _, port in pairs]
    transfer = ",".join(f"{port}-{lab.target.addr}:{to}"
                        for port, to in pairs)
    intercept, tcpcopy = world.start_copy(
        lab, path, transfer=transfer,
        port=f"{pairs[0][1]}:{pairs[-1][1]}")
    return online, target, intercept, tcpcopy


def measure(world, path, scale):
    wanted = CONNECTIONS // scale
    share = min(_share(), wanted)
    count = -(-wanted // share)
    with world.lab() as lab:
        online, target, intercept, tcpcopy = _start(world, lab, path, count)
        pids = {"tcpcopy": tcpcopy.pid, "intercept": intercept.pid}
        before = {who: memory_kb(pid) for who, pid in pids.items()}
        copied = 0
        for n in range(count):
            _open(lab, lab_module.ONLINE_PORT + n,
                  min(share, wanted - n * share))
            copied += _settled(online[n], target[n])
        time.sleep(SETTLE_S)
        meter = Meter(**pids)
        time.sleep(max(QUIET_S // scale, 1))
        used = meter.read()
        after = {who: memory_kb(pid) for who, pid in pids.items()}
        ledger = tcpcopy.ledger()
    return {"connections": wanted, "copied": copied,
            "exact_percent": 100 * copied / wanted,
            "lost": outcome.lost(ledger, "connections"),
            "bytes_each": {who: 1024 * (after[who] - before[who]) / wanted
                           for who in pids},
            "idle_cpu_percent": {who: 100 * used[who] / used["wall"]
                                 for who in pids}}
