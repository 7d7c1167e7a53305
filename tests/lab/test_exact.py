# SPDX-License-Identifier: BSD-2-Clause
"""Every byte of every connection, whatever its shape, reaches the target."""
import pytest
from lab import ONLINE_PORT


def test_many_requests(lab):
    copy = lab.copy()
    lab.load(connections=200, concurrent=50, requests=1000)
    copy.exact()


@pytest.mark.parametrize("concurrent", [50, 2000])
def test_short_connections(lab, concurrent):
    copy = lab.copy()
    lab.load(connections=20000, concurrent=concurrent)
    copy.exact()


def test_open_together(lab):
    copy = lab.copy()
    load = lab.load_start(connections=5000, open_together=True, requests=10,
                          pause_after=10)
    load.paused()
    copy.settle()
    assert copy.online_app.totals()["open"] == 5000
    assert copy.target_app.totals()["open"] == 5000
    load.go()
    load.done()
    copy.exact()


def test_large_answers(lab):
    copy = lab.copy()
    lab.load(connections=100, concurrent=20, requests=20, answer_size=100000)
    copy.exact()


SHAPES = {
    "large requests": {"requests": 10, "request_size": 60000},
    "upload": {"connections": 5, "requests": 1, "request_size": 8000000},
    "all sizes": {"requests": 20, "request_size": "24-20000",
                  "answer_size": "24-40000"},
    "pipelining": {"requests": 100, "pipeline": 8, "request_size": "24-900",
                   "answer_size": "24-3000"},
    "think time": {"requests": 5, "think_ms": 150},
    "half close": {"requests": 3, "end": "half", "answer_size": 20000},
    "reset": {"requests": 3, "end": "reset"},
    "no request": {"requests": 0, "pause_after": 0},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(lab, shape):
    options = {"connections": 50, "concurrent": 25, **SHAPES[shape]}
    copy = lab.copy()
    load = lab.load_start(**options)
    if "pause_after" in options:
        load.paused()
        load.go()
    load.done()
    copy.exact()


def test_server_speaks_first(lab):
    copy = lab.copy(online=["--greeting", 80], target=["--greeting", 80])
    lab.load(connections=50, concurrent=25, requests=5, greeting=80)
    copy.exact()


TARGETS = {
    "longer answers": ["--answer-scale", 300],
    "shorter answers": ["--answer-scale", 20],
    "slow": ["--delay-ms", 100],
    "other greeting": ["--greeting", 200],
}


@pytest.mark.parametrize("target", TARGETS)
def test_target_that_behaves_otherwise(lab, target):
    greets = "greeting" in target
    copy = lab.copy(online=["--greeting", 80] if greets else [],
                    target=TARGETS[target])
    lab.load(connections=20, concurrent=20, requests=8, answer_size=4000,
             **({"greeting": 80} if greets else {}))
    copy.exact()


@pytest.mark.parametrize("on", [True, False])
def test_offloads(lab, on):
    for host in (lab.client, lab.online, lab.target):
        host.offloads(on)
    copy = lab.copy()
    lab.load(connections=20, concurrent=10, requests=10,
             request_size="24-60000", answer_size="24-60000")
    copy.exact()


LOSSES = {"towards the target": ("INPUT", "--dport", ONLINE_PORT + 200),
          "of both ways": ("OUTPUT", "--sport", ONLINE_PORT + 200)}


@pytest.mark.parametrize("every", [100, 20])
@pytest.mark.parametrize("way", LOSSES)
def test_lossy_way(lab, way, every):
    """1 % and 5 %: what is lost on the way is sent again, by us or by the
    target's TCP."""
    copy = lab.copy()
    chain, side, port = LOSSES[way]
    for rule in [LOSSES["towards the target"], (chain, side, port)]:
        lab.target.iptables("-I", rule[0], "-p", "tcp", rule[1], rule[2],
                            "-m", "statistic", "--mode", "nth", "--every",
                            every, "--packet", 3, "-j", "DROP")
        if way == "towards the target":
            break
    lab.load(connections=50, concurrent=25, requests=20,
             request_size="24-5000")
    copy.exact()
