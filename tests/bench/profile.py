# SPDX-License-Identifier: BSD-2-Clause
"""
Where the CPU time of a request goes: perf samples both programs during
the load, and each sample counts for what it was part of. In the kernel that is
the system call, and in a call that sends, how far the packet had come; outside
it is the source file. The shares are those of a run with perf, the time is
that of one without.
"""
import collections
import re
import subprocess
import time

import loads
from usage import pids_for_perf
from world import lab_module

HERTZ = 4000
ATTACH_S = 1  # perf does not say when it has begun

# The first that fits any frame of the stack.
CALLS = (
    ("sending a packet", r"raw_sendmsg|rawv6_sendmsg|packet_sendmsg|"
                         r"sendmmsg|sys_bpf"),
    ("the verdict", r"netlink_sendmsg|sys_sendto"),
    ("a write to a link", r"tcp_sendmsg|ksys_write|do_writev"),
    ("a read from a link", r"tcp_recvmsg|ksys_read"),
    ("reading the queue", r"netlink_recvmsg|recvmmsg"),
    ("epoll", r"epoll"),
    ("timers and clock", r"timerfd|clock_|hrtimer_nanosleep"),
    ("an interrupt", r"sysvec_|asm_common_interrupt"),
    ("page faults", r"exc_page_fault"),
    ("other system calls", r"do_syscall_64"),
)
SENDING = (
    ("the receiver's TCP", r"tcp_v[46]_rcv"),
    ("the receiver's IP", r"ip_rcv|ipv6_rcv|ip_local_deliver"),
    ("the devices between", r"br_|veth_|process_backlog|dev_hard_start"),
    ("making the frames", r"sys_bpf"),
)


def _matching(pairs, text):
    for name, pattern in pairs:
        if re.search(pattern, text):
            return name
    return None


def _sources(binary):
    """Source file of each function."""
    said = subprocess.run(["nm", "-l", "--defined-only", binary],
                          stdout=subprocess.PIPE, text=True).stdout
    found = re.findall(r" [tT] (\S+)\t\S*?src/(\S+):\d+", said)
    return dict(found)


def _group(stack, sources):
    """stack: (function, object) from the innermost frame on."""
    inner, owner = stack[0]
    if "kernel" not in owner and owner != "[unknown]":
        name = re.sub(r"\.(part|isra|constprop|cold).*", "", inner)
        return sources.get(name) or owner.rsplit("/", 1)[-1]
    text = "\n".join(function for function, _ in stack)
    call = _matching(CALLS, text) or "other"
    if "send" not in call and "write" not in call:
        return call
    return f"{call}: {_matching(SENDING, text) or 'up to the device'}"


def _shares(data, binary):
    """Share of the samples of each group."""
    text = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym,dso"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout
    sources, count = _sources(binary), collections.Counter()
    for sample in text.split("\n\n"):
        stack = re.findall(r"^\s*[0-9a-f]+ (.+?) \((.+)\)$", sample, re.M)
        if stack:
            count[_group(stack, sources)] += 1
    return {name: n / count.total() for name, n in count.most_common()}


def _record(lab, name, pid):
    data = lab.path(name + ".perf")
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HERTZ), "-g",
         "-o", data, "-p", pids_for_perf(pid)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf, data


def _sampled(world, path, load, scale):
    with world.lab() as lab:
        copy = world.copy(lab, path, *load.tcpcopy_args)
        programs = {"tcpcopy": copy.tcpcopy, "intercept": copy.intercept}
        perfs = {n: _record(lab, n, p.pid) for n, p in programs.items()}
        time.sleep(ATTACH_S)
        with world.side("online"):
            lab.load(**loads.options_of(load, scale))
        copy.settle(load.copies)
        for perf, _ in perfs.values():
            perf.terminate()
            perf.wait()
        bins = {"tcpcopy": lab_module.Lab.tcpcopy_bin,
                "intercept": lab_module.Lab.intercept_bin}
        shares = {n: _shares(data, bins[n])
                  for n, (_, data) in perfs.items()}
        loads.end(copy)
    assert all(shares.values()), "perf has sampled nothing: is it there?"
    return shares


def measure(world, path, scale):
    load = loads.LOADS[world.profiled]
    plain = loads.measure(world, path, load, scale)
    shares = _sampled(world, path, load, scale)
    return {"load": world.profiled,
            "cpu_us": {who: {name: share * plain["cpu_us"][who]
                             for name, share in found.items()}
                       for who, found in shares.items()},
            "exact_percent": plain["exact_percent"]}
