# SPDX-License-Identifier: BSD-2-Clause
"""Packets lost on the way to the target, on the links' way and in the queue:
everything arrives all the same, exactly."""
import ctypes
import os
import signal
import socket
import time

import pytest
from lab import LINK_PORT, TARGET_PORT
from outcome import requests_are_turns

RANDOM = ("--mode", "random", "--probability")
LOSSES = {
    "1 %": (*RANDOM, 0.01),
    "5 %": (*RANDOM, 0.05),
    "20 %": (*RANDOM, 0.2),
    "every 7th": ("--mode", "nth", "--every", 7, "--packet", 3),
}


def lose(host, port, how, side="--dport"):
    """What comes to host on or from this port is lost like that."""
    host.iptables("-I", "INPUT", "-p", "tcp", side, port,
                  "-m", "statistic", *how, "-j", "DROP")


def lost_packets(host):
    text = host.run("iptables", "-w", "-nvxL", "INPUT").stdout
    return sum(int(line.split()[0]) for line in text.splitlines()
               if " DROP " in line)


def whole(lab, copy, **load):
    load = {"connections": 50, "concurrent": 25, "requests": 5,
            "request_size": "24-5000", **load}
    lab.load(**load)
    count = load["connections"] * load["requests"]
    return requests_are_turns(copy.exact(), count)


@pytest.mark.parametrize("loss", LOSSES)
def test_towards_the_target(lab, loss):
    copy = lab.copy("-t", 300)
    lose(lab.target, TARGET_PORT, LOSSES[loss])
    ledger = whole(lab, copy)
    assert lost_packets(lab.target) > 0
    assert ledger["packets"]["packets_resent"] > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_of_uploads(lab, loss):
    """Lost in the middle of a window: sent again without waiting each
    time."""
    copy = lab.copy("-t", 300)
    lose(lab.target, TARGET_PORT, LOSSES[loss])
    whole(lab, copy, requests=1, request_size=60000)
    assert lost_packets(lab.target) > 0


@pytest.mark.parametrize("links", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_on_the_links(lab, loss, links):
    copy = lab.copy("-C", links)
    lose(lab.target, LINK_PORT, LOSSES[loss])
    lose(lab.online, LINK_PORT, LOSSES[loss], "--sport")
    whole(lab, copy, concurrent=10, requests=20)
    if loss != "1 %":  # of so few packets, none at times
        assert lost_packets(lab.target) + lost_packets(lab.online) > 0


def test_on_both_ways(lab):
    copy = lab.copy()
    for port in (TARGET_PORT, LINK_PORT):
        lose(lab.target, port, LOSSES["5 %"])
    lose(lab.online, LINK_PORT, LOSSES["5 %"], "--sport")
    whole(lab, copy)


def test_of_queue_messages(lab):
    """A queue with room for so few packets: the rest is dropped unseen."""
    copy = lab.copy("-t", 300, intercept=("-q", 4))
    whole(lab, copy, concurrent=10, requests=4, answer_size=5000)
    queue = copy.intercept.ledgers()[-1]["queue"]
    assert queue["queue_dropped"] > 0, queue


def queue_socket(lab, intercept):
    """A copy of the socket on which intercept gets the queue's packets."""
    port = lab.queue()["portid"]
    text = lab.target.run("cat", "/proc/net/netlink").stdout
    inode = next(f[9] for f in map(str.split, text.splitlines()[1:])
                 if f[1:3] == ["12", str(port)])
    folder = f"/proc/{intercept.pid}/fd"
    number = next(int(fd) for fd in os.listdir(folder)
                  if os.readlink(f"{folder}/{fd}") == f"socket:[{inode}]")
    pidfd = os.pidfd_open(intercept.pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    os.close(pidfd)
    assert fd >= 0, f"pidfd_getfd: {os.strerror(ctypes.get_errno())}"
    return socket.socket(fileno=fd)


@pytest.mark.parametrize("told", [False, True], ids=["silently", "ENOBUFS"])
def test_of_the_receive_buffer(lab, told):
    """The queue has room for all, and the socket for next to nothing; what
    reads it is told of each overrun or not."""
    copy = lab.copy("-t", 300)
    with queue_socket(lab, copy.intercept) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if told:
            sock.setsockopt(270, 5, 0)  # NETLINK_NO_ENOBUFS
    load = lab.load_start(connections=50, concurrent=25, requests=40,
                          request_size="24-5000", answer_size=5000,
                          think_ms=10)
    for _ in range(5):
        copy.intercept.signal(signal.SIGSTOP)
        time.sleep(0.1)
        copy.intercept.signal(signal.SIGCONT)
        time.sleep(0.1)
    load.done()
    requests_are_turns(copy.exact(), 50 * 40)
    queue = copy.intercept.ledgers()[-1]["queue"]
    assert queue["user_dropped"] > 0, queue
    assert queue["lost"] > 0, queue  # it has seen the gaps in the ids
    assert queue["queue_dropped"] == 0, queue
