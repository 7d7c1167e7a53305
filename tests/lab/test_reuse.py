# SPDX-License-Identifier: BSD-2-Clause
"""Clients that come again from the port that they have just left."""
import struct

import pytest
from hosts import CLIENTS
from lab import ONLINE_PORT
from outcome import requests_are_turns
from processes import FrameClient

ENDS = {
    # the client forgets the connection at once
    "reset": ({"end": "reset"}, []),
    # the server closes first and keeps the connection in TIME_WAIT, from
    # which a new SYN takes it
    "closed by the server": ({"end": "await"}, ["--close-after", 2]),
}


def few_ports(lab, count):
    lab.client.run("sysctl", "-qw", "net.ipv4.ip_local_port_range="
                   f"20000 {20000 + count - 1}")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("ports", [1, 3])
def test_port_used_again_at_once(lab, ports, end):
    options, serve = ENDS[end]
    copy = lab.copy(online=serve, target=serve)
    few_ports(lab, ports)
    for seed in range(1, 4):
        lab.load(source=CLIENTS[:1], connections=100, requests=2, seed=seed,
                 **options)
    requests_are_turns(copy.exact(), 600)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("copies", [1, 3])
def test_64_clients_behind_one_address(lab, copies, end):
    """They cycle through little more ports than they are."""
    options, serve = ENDS[end]
    copy = lab.copy("-n", copies, online=serve, target=serve)
    few_ports(lab, 80)
    lab.load(source=CLIENTS[:1], connections=3000, concurrent=64, requests=2,
             **options)
    requests_are_turns(copy.exact(copies), 6000, copies)


@pytest.mark.parametrize("delay", [0, 300])
def test_port_used_again_while_the_copy_lives(lab, delay):
    """The target is still busy with the connection before."""
    copy = lab.copy(target=["--delay-ms", delay])
    few_ports(lab, 1)
    for n in range(6):
        client = FrameClient(lab.client, (lab.online.addr, ONLINE_PORT), n,
                             CLIENTS[0])
        client.request()
        client.request()
        client.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER
        client.close()
    requests_are_turns(copy.exact(), 12)
