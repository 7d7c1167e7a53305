# SPDX-License-Identifier: BSD-2-Clause
"""
How many system calls both programs make for a request, counted by perf: how
well they batch. Those that serve a hundred thousand requests are left out.
"""
import signal
import subprocess
import time

import loads
from usage import pids_for_perf

CALLS = ("bpf", "epoll_wait", "epoll_pwait", "epoll_ctl", "poll", "recvmmsg",
         "recvmsg", "recvfrom", "sendmmsg", "sendmsg", "sendto", "read",
         "readv", "write", "writev", "getsockopt", "setsockopt",
         "timerfd_settime", "nanosleep", "clock_nanosleep", "futex")
ATTACH_S = 1  # perf does not say when it has begun
LEAST = 1e-5


def _count(pid):
    events = [f"syscalls:sys_enter_{call}" for call in CALLS]
    return subprocess.Popen(
        ["perf", "stat", "-x,", "-e", ",".join(events + ["context-switches"]),
         "-p", pids_for_perf(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True)


def _counted(perf, requests):
    perf.send_signal(signal.SIGINT)
    found = {}
    for line in perf.communicate()[1].splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            name = fields[2].removeprefix("syscalls:sys_enter_")
            found[name] = int(fields[0]) / requests
    assert found, "perf has counted nothing: is it there?"
    return {name: n for name, n in found.items() if n >= LEAST}


def measure(world, path, scale):
    load = loads.LOADS[world.profiled]
    with world.lab() as lab:
        copy = world.copy(lab, path, *load.tcpcopy_args)
        perfs = {"tcpcopy": _count(copy.tcpcopy.pid),
                 "intercept": _count(copy.intercept.pid)}
        time.sleep(ATTACH_S)
        with world.side("online"):
            done = lab.load(**loads.options_of(load, scale))
        copy.settle(load.copies)
        found = {who: _counted(perf, done["requests"])
                 for who, perf in perfs.items()}
        _, _, online, target = loads.end(copy)
    return {"load": world.profiled, "per_request": found,
            **loads.exactness(online, target, load.copies)}
