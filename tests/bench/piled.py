# SPDX-License-Identifier: BSD-2-Clause
"""
Work that piles up before processes that are stopped, and how long they take
for it once they go on, while nobody else wants a core.
"""
import os
import signal
import time

import usage
from world import waiting

STEP_S, QUIET_S, LONGEST_S = 0.002, 0.3, 60
QUIET_SHARE = 0.05  # of a core, is nothing


def workers_of(program, cores=()):
    """The processes that do its work; each is put on its core."""
    pids = usage.family(program.pid)[1:] or [program.pid]
    for pid, core in zip(pids, cores):
        os.sched_setaffinity(pid, {core})
    return pids


def stop(pids):
    _signal(pids, signal.SIGSTOP)


def go_on(pids):
    _signal(pids, signal.SIGCONT)


def until_quiet(pids):
    """When they began to have nothing to do."""
    began = last = time.monotonic()
    used = _used_us(pids)
    while (now := time.monotonic()) - last < QUIET_S:
        if now - began > LONGEST_S:
            raise waiting.LabError("the work comes to no end")
        time.sleep(STEP_S)
        busy = _used_us(pids) - used
        used += busy
        if busy > QUIET_SHARE * (time.monotonic() - now) * 1e6:
            last = time.monotonic()
    return last


def clear(pids):
    """They go on until all is done: CPU time of all of them, of the one that
    took most, and how long that was."""
    stolen, began = usage.Stolen(), time.monotonic()
    before = [usage.own_us(pid) for pid in pids]
    go_on(pids)
    ended = until_quiet(pids)
    used = [usage.own_us(pid) - then for pid, then in zip(pids, before)]
    return {"cpu_us": sum(used), "longest_us": max(used),
            "wall_us": (ended - began) * 1e6,
            "stolen_percent": stolen.percent()}


def _signal(pids, number):
    for pid in pids:
        os.kill(pid, number)


def _used_us(pids):
    return sum(map(usage.own_us, pids))
