# SPDX-License-Identifier: BSD-2-Clause
"""
What programs and the machine have used: CPU time and memory from /proc.

CPU time is what the scheduler has accounted to all threads and children of a
process, to the nanosecond. Work that the kernel does in soft interrupts is
accounted to whoever ran when they came (on a veth pair: the sender does the
receiver's work), or to ksoftirqd. Therefore the machine's whole time stands
beside it.
"""
import contextlib
import os
import time

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def _read(path):
    with open(path) as f:
        return f.read()


def _stat(pid):
    """Name and parent, or nothing if it has ended."""
    with contextlib.suppress(OSError):
        name, rest = _read(f"/proc/{pid}/stat").rsplit(")", 1)
        return name.split("(", 1)[1], int(rest.split()[1])
    return "", 0


def processes():
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]


def family(pid):
    """The process and all that descend from it."""
    parents = [(one, _stat(one)[1]) for one in processes()]
    found = [pid]
    for one in found:
        found += [child for child, parent in parents if parent == one]
    return found


def pids_for_perf(pid):
    return ",".join(map(str, family(pid)))


def _of_tasks_us(pid, field):
    total = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(_read(
                f"/proc/{pid}/task/{task}/schedstat").split()[field])
    return total / 1e3


def own_us(pid):
    """Without its children."""
    return _of_tasks_us(pid, 0)


def waited_us(pid):
    """For a core, while it had something to do."""
    return _of_tasks_us(pid, 1)


def cpu_us(pid):
    return sum(map(own_us, family(pid)))


def memory_kb(pid, key="VmRSS"):
    """VmRSS: now, VmHWM: at most."""
    total = 0
    for one in family(pid):
        for line in _read(f"/proc/{one}/status").splitlines():
            if line.startswith(key + ":"):
                total += int(line.split()[1])
    return total


def ksoftirqd_us():
    return sum(own_us(pid) for pid in processes()
               if _stat(pid)[0].startswith("ksoftirqd"))


def _machine_ticks():
    return list(map(int, _read("/proc/stat").split("\n", 1)[0].split()[1:9]))


def machine_us():
    """Time in which any CPU was busy, whoever's it was."""
    user, nice, system, _idle, _wait, irq, softirq, _stolen = _machine_ticks()
    return (user + nice + system + irq + softirq) * TICK_US


class Stolen:
    """How much of the time in which the CPUs had something to do a virtual
    machine's host gave to others, since this was made."""

    def __init__(self):
        self.before = self._now()

    def _now(self):
        return machine_us() / TICK_US, _machine_ticks()[-1]

    def percent(self):
        busy, stolen = (now - then for now, then
                        in zip(self._now(), self.before))
        return 100 * stolen / max(busy + stolen, 1)


class Meter:
    """CPU time of some processes from its making until read()."""

    def __init__(self, **pids):
        self.pids = pids
        self.before = self._now()

    def _now(self):
        return {"wall": time.monotonic() * 1e6, "machine": machine_us(),
                "ksoftirqd": ksoftirqd_us(),
                **{name: cpu_us(pid) for name, pid in self.pids.items()}}

    def read(self):
        """us since, by name."""
        return {name: now - self.before[name]
                for name, now in self._now().items()}
