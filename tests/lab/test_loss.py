# SPDX-License-Identifier: BSD-2-Clause
"""Packets lost on the way to the target, on the links' way and in the queue:
everything arrives all the same, exactly."""
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
    assert queue["lost"] + queue["queue_dropped"] > 0, queue
