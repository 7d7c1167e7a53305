# SPDX-License-Identifier: BSD-2-Clause
"""Connections that are not a question and an answer at a time."""
import struct
import time

import pytest
from hosts import CLIENTS
from lab import ONLINE_PORT
from outcome import requests_are_turns
from processes import FrameClient

TO = ("192.0.2.1", ONLINE_PORT)


def clients(lab, count):
    return [FrameClient(lab.client, TO, n, CLIENTS[n % 8])
            for n in range(count)]


def reset(client):
    client.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER
    client.close()


@pytest.mark.parametrize("answer", [100, 200000])
@pytest.mark.parametrize("delay", [0, 60])
def test_half_close(lab, answer, delay):
    """The client has said all, and waits for the rest of the answers."""
    args = ["--delay-ms", delay]
    copy = lab.copy(online=args, target=args)
    lab.load(connections=50, concurrent=25, requests=4, pipeline=4,
             end="half", answer_size=answer, request_size="24-3000")
    copy.exact()


def test_reset_in_the_middle_of_a_request(lab):
    copy = lab.copy()
    some = clients(lab, 40)
    for client in some:
        client.request()
        client.sock.sendall(struct.pack("!IQIII", 0x64675271, client.id, 1,
                                        2000, 100) + bytes(976))
    time.sleep(0.3)  # so that both servers have read it
    for client in some:
        reset(client)
    ledger = copy.exact()
    assert ledger["bytes"]["captured"] == 40 * 1024
    records = copy.target_app.records()
    assert {(r["end"], r["bytes"]) for r in records} == {("reset", 1024)}


def test_reset_in_the_middle_of_an_answer(lab):
    copy = lab.copy()
    some = clients(lab, 20)
    for client in some:
        client.send(5000000)
        client.read(100000)
    time.sleep(0.3)
    for client in some:
        reset(client)
    ledger = copy.exact()
    assert ledger["turns"]["answered"] == 20


@pytest.mark.parametrize("end", ["fin", "half", "reset"])
def test_zero_length(lab, end):
    """Connections without a byte, and others beside them."""
    copy = lab.copy()
    load = lab.load_start(connections=100, requests=0, pause_after=0, end=end)
    load.paused()
    lab.load(connections=50, requests=5, seed=2)
    load.go()
    if end == "half":
        load.stop()
    else:
        load.done()
    ledger = requests_are_turns(copy.exact(), 250)
    assert ledger["connections"]["unanswered"] == 100


def test_connect_and_never_speak(lab):
    """Silent for the whole test; nobody else is frozen by them."""
    copy = lab.copy()
    silent = lab.load_start(connections=300, requests=0, pause_after=0)
    silent.paused()
    lab.load(connections=200, concurrent=20, requests=5, seed=2)
    copy.settle()
    assert copy.target_app.totals() == copy.online_app.totals()
    ledger = copy.tcpcopy.ledger()
    assert ledger["turns"]["answered"] == 1000
    assert ledger["connections"]["in_flight"] == 300
    silent.go()
    silent.done()
    ledger = copy.exact()
    assert ledger["connections"]["unanswered"] == 300


@pytest.mark.parametrize("greeting", [24, 100000])
def test_server_speaks_first(lab, greeting):
    args = ["--greeting", greeting]
    copy = lab.copy(online=args, target=args)
    lab.load(connections=60, concurrent=30, requests=5, greeting=greeting,
             request_size="24-3000")
    requests_are_turns(copy.exact(), 300)


@pytest.mark.parametrize("target", ["1000,5", "1000,10", "300,5"])
@pytest.mark.parametrize("size", [3000, 400000])
def test_server_speaks_unasked_meanwhile(lab, size, target):
    """As a WebSocket's does, while the client asks and while it uploads. An
    upload is cut where the client had seen something new; what comes after the
    cut waits until the target has said as much, be it at a slower pace."""
    lab.client.narrow(100)
    copy = lab.copy(online=["--push", "1000,5"], target=["--push", target])
    lab.load(connections=20, concurrent=20, requests=5, request_size=size,
             end="half")
    ledger = copy.exact()
    cut = 3 if size > 100000 else 1
    assert ledger["turns"]["captured"] >= 5 * 20 * cut


@pytest.mark.parametrize("target", [[], ["--delay-ms", 1],
                                    ["--answer-scale", 300]])
@pytest.mark.parametrize("size", [6000, 40000])
def test_both_sides_streaming_at_once(lab, size, target):
    """Neither waits for the other: client and server send as they please."""
    copy = lab.copy(target=target)
    lab.client.narrow(300)
    lab.load(connections=10, concurrent=10, requests=100, pipeline=100,
             request_size=f"24-{size}", answer_size="24-6000")
    copy.exact()


@pytest.mark.parametrize("target", [[], ["--delay-ms", 1],
                                    ["--answer-scale", 30]])
def test_a_thousand_requests_deep(lab, target):
    copy = lab.copy(target=target)
    lab.load(connections=6, concurrent=6, requests=2000, pipeline=1000,
             request_size="24-200", answer_size="24-900")
    ledger = copy.exact()
    # An answer to one that was long before may let the next one go early.
    assert ledger["turns"]["unanswered"] <= ledger["turns"]["captured"] // 100
