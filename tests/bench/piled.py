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
MOST = 0.98


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


def _until_quiet(pids):
    """When they had done the most of it: timers may have a little to do ever
    after."""
    began = last = time.monotonic()
    course = [(began, _used_us(pids))]
    while (now := time.monotonic()) - last < QUIET_S:
        if now - began > LONGEST_S:
            raise waiting.LabError("the work comes to no end")
        time.sleep(STEP_S)
        course.append((time.monotonic(), _used_us(pids)))
        busy = course[-1][1] - course[-2][1]
        if busy > QUIET_SHARE * (course[-1][0] - now) * 1e6:
            last = course[-1][0]
    first, final = course[0][1], course[-1][1]
    return next(at for at, used in course
                if used - first >= MOST * (final - first))


def clear(pids):
    """They go on until all is done: CPU time of all of them, the most that
    one of them took and waited for a core, and how long it was."""
    stolen, began = usage.Stolen(), time.monotonic()
    used, waited = (_each(what, pids) for what in
                    (usage.own_us, usage.waited_us))
    go_on(pids)
    ended = _until_quiet(pids)
    used = [now - then for now, then in zip(_each(usage.own_us, pids), used)]
    waited = [now - then for now, then in
              zip(_each(usage.waited_us, pids), waited)]
    return {"cpu_us": sum(used), "longest_us": max(used),
            "waited_us": max(waited), "wall_us": (ended - began) * 1e6,
            "stolen_percent": stolen.percent()}


def _each(what, pids):
    return [what(pid) for pid in pids]


def _signal(pids, number):
    for pid in pids:
        os.kill(pid, number)


def _used_us(pids):
    return sum(map(usage.own_us, pids))
