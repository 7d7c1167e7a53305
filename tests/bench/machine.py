# SPDX-License-Identifier: BSD-2-Clause
"""What a run's figures are figures of: machine, kernel, programs, moment."""
import os
import platform
import subprocess
import time

from world import HERE, lab_module


def _first(path, key):
    with open(path) as f:
        for line in f:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return "?"


def _whole(path):
    with open(path) as f:
        return f.read().strip()


def _said(*cmd):
    done = subprocess.run(cmd, cwd=HERE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


def describe():
    memory_kb = int(_first("/proc/meminfo", "MemTotal").split()[0])
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "kernel": platform.release(),
        "congestion_control":
            _whole("/proc/sys/net/ipv4/tcp_congestion_control"),
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kb / (1 << 20)),
        "load_average": os.getloadavg()[0],
        "version": _said(lab_module.Lab.tcpcopy_bin, "--version"),
        "commit": _said("git", "describe", "--always", "--dirty"),
    }
