# SPDX-License-Identifier: BSD-2-Clause
"""A memory cgroup of our own, of either version, to have the kernel's OOM
killer end a program."""
import contextlib
import os
import re
import subprocess

from waiting import LabError, wait_until


def read(path):
    with open(path) as f:
        return f.read()


def write(path, text):
    with open(path, "w") as f:
        f.write(str(text))


class MemoryGroup:
    """Mounted in the lab's folder, so that it is the same in a chroot, which
    has no /sys/fs/cgroup."""

    def __init__(self, lab):
        self.top = lab.path("cgroup")
        os.makedirs(self.top, exist_ok=True)
        self.version = self._mount()
        self.path = os.path.join(self.top, f"{os.path.basename(lab.dir)}")

    def _mount(self):
        for version, args in ((2, ("cgroup2",)), (1, ("cgroup", "-o",
                                                      "memory"))):
            done = subprocess.run(["mount", "-t", *args, "none", self.top],
                                  capture_output=True)
            if done.returncode:
                continue
            with contextlib.suppress(OSError):
                if version == 2:
                    write(f"{self.top}/cgroup.subtree_control", "+memory")
                return version
            subprocess.run(["umount", self.top], check=True)
        raise LabError("no memory cgroup can be made here")

    def __enter__(self):
        os.mkdir(self.path)
        return self

    def limit(self, limit_bytes):
        name = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        write(f"{self.path}/{name}", limit_bytes)

    def take(self, pid):
        write(f"{self.path}/cgroup.procs", pid)

    def kills(self):
        """How many the OOM killer has ended in it."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return int(re.search(r"^oom_kill (\d+)$", read(f"{self.path}/{name}"),
                             re.M)[1])

    def __exit__(self, *_):
        def removed():
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
            return not os.path.exists(self.path)
        try:
            wait_until(removed, what="the cgroup to be empty")
        finally:
            subprocess.run(["umount", "-l", self.top], check=True)
