# SPDX-License-Identifier: BSD-2-Clause
"""Targets slower than the online server, and with other answers: every
request comes, and none before as much of the answer to the one before as the
client had seen; with shorter answers, all of it."""
import signal

import pytest
from outcome import requests_are_turns
from waiting import wait_until

MS = 5  # of the online server


def in_order(records):
    assert not sum(r["overlaps"] for r in records)


def test_ten_times_slower_then_fast(lab):
    copy = lab.copy(online=["--delay-ms", MS], target=["--delay-ms", 10 * MS])
    load = lab.load_start(connections=100, concurrent=50, requests=40,
                          request_size="24-3000", answer_size="24-9000")
    load.done()
    behind = copy.tcpcopy.ledger()["turns"]["in_flight"]
    assert behind > 0
    have = copy.target_app.totals()["requests"]
    wait_until(lambda: copy.target_app.totals()["requests"] > have)
    copy.target_app.signal(signal.SIGUSR2)  # no delay any more
    requests_are_turns(copy.exact(), 4000)
    in_order(copy.target_app.records())


def test_slow_for_a_while(lab):
    """It catches up while the clients go on."""
    copy = lab.copy(online=["--delay-ms", MS], target=["--delay-ms", 10 * MS])
    load = lab.load_start(connections=50, concurrent=50, requests=100,
                          think_ms=20)
    wait_until(lambda: copy.target_app.totals()["requests"] > 1000)
    copy.target_app.signal(signal.SIGUSR2)
    load.done()
    requests_are_turns(copy.exact(), 5000)
    in_order(copy.target_app.records())


@pytest.mark.parametrize("target", [["--answer-scale", 0],
                                    ["--answer-scale", 50],
                                    ["--answer-scale", 150],
                                    ["--answer-scale", 1000],
                                    ["--answer-scale", 50, "--delay-ms", 40]],
                         ids=lambda args: " ".join(map(str, args)))
def test_other_sizes_of_answers(lab, target):
    copy = lab.copy(target=target)
    lab.load(connections=40, concurrent=40, requests=10,
             answer_size="24-20000", request_size="24-3000")
    ledger = requests_are_turns(copy.exact(), 400)
    if target[1] < 100:  # else the gate opens before the answer is over
        in_order(copy.target_app.records())
        assert ledger["packets"]["early_quiet"] > 0


def test_answer_is_slow_and_short(lab):
    """Nothing at all for longer than any quiet time, and then too little."""
    copy = lab.copy(target=["--answer-scale", 10, "--delay-ms", 400])
    lab.load(connections=20, concurrent=20, requests=5, answer_size=4000)
    requests_are_turns(copy.exact(), 100)
    in_order(copy.target_app.records())
