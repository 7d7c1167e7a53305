# SPDX-License-Identifier: BSD-2-Clause
"""--nice: who serves real clients comes first, but not at the copy's price."""
import os
import re
import signal

import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy
from processes import refusing
from waiting import wait_until


def niceness(pid):
    return os.getpriority(os.PRIO_PROCESS, pid)


def capabilities(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^CapEff:\s*(\w+)$", f.read(), re.M)[1], 16)


def until_nicest(pid, steps=10):
    wait_until(lambda: niceness(pid) == min(niceness(0) + steps, 19),
               what=f"{steps} steps")


@pytest.mark.parametrize("args,steps", [((), 10), (("--nice", 3), 3)],
                         ids=["by default", "three steps"])
def test_gives_way(lab, args, steps):
    copy = lab.copy(*args)
    until_nicest(copy.tcpcopy.pid, steps)
    lab.load(connections=10, concurrent=10, requests=50)
    copy.exact()


def test_each_worker(lab):
    copy = lab.copy("--workers", 2)
    of = copy.tcpcopy.pid
    with open(f"/proc/{of}/task/{of}/children") as f:
        workers = [int(pid) for pid in f.read().split()]
    assert len(workers) == 2
    for pid in workers:
        until_nicest(pid)


def test_never(lab):
    copy = lab.copy("--nice", 0)
    lab.load(connections=10, concurrent=10, requests=500)
    assert niceness(copy.tcpcopy.pid) == niceness(0)
    assert not capabilities(copy.tcpcopy.pid)
    copy.exact()


def test_not_while_the_buffer_fills(lab):
    """What came while it had no time is taken without giving way."""
    copy = lab.copy("--buffer", 4)
    pid = copy.tcpcopy.pid
    until_nicest(pid)
    os.kill(pid, signal.SIGSTOP)
    lab.load(connections=50, concurrent=50, requests=100)
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: niceness(pid) == niceness(0), step=0.01,
               what="a turn without giving way")
    until_nicest(pid)
    copy.exact()


def test_not_while_what_it_holds_is_much(lab):
    """A target that does not read leaves an upload's bytes with tcpcopy."""
    copy = lab.copy("-m", 48, "--buffer", 24)
    pid = copy.tcpcopy.pid
    until_nicest(pid)
    os.kill(copy.target_app.pid, signal.SIGSTOP)
    load = lab.load_start(connections=10, concurrent=10, requests=200,
                          request_size=10000, think_ms=5)
    wait_until(lambda: niceness(pid) == niceness(0), step=0.01,
               what="a turn without giving way")
    os.kill(copy.target_app.pid, signal.SIGCONT)
    load.done()
    until_nicest(pid)


def test_where_it_could_not_come_back(lab):
    """Without a right to be less nice again, it is not nicer at all."""
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy(
        "-x", lab.transfer,
        wrap=("setpriv", "--bounding-set", "-sys_nice,-sys_resource"))
    copy = Copy(online, target, intercept, tcpcopy)
    tcpcopy.wait_for("--nice 10: ")
    lab.load(connections=10, concurrent=10, requests=50)
    assert niceness(copy.tcpcopy.pid) == niceness(0)
    copy.exact()


def test_with_a_capability_that_does_not_count(lab):
    """As in a user namespace."""
    tcpcopy = lab.start_tcpcopy(
        "-x", lab.transfer, "--dry-run", "/dev/null",
        wrap=refusing("setpriority", 2, niceness(0) - 1))
    tcpcopy.wait_for("--nice 10: ")
    assert niceness(tcpcopy.pid) == niceness(0)


def test_with_a_small_buffer(lab):
    """It must be taken from soon."""
    copy = lab.copy("--buffer", 1)
    lab.load(connections=10, concurrent=10, requests=500)
    assert niceness(copy.tcpcopy.pid) == niceness(0)
    copy.exact()
