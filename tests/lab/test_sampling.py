# SPDX-License-Identifier: BSD-2-Clause
"""-r: after k connections exactly that share was copied, give or take one;
and those exactly."""
import pytest
from outcome import digests

CONNECTIONS = 410


@pytest.mark.parametrize("percent,copies,concurrent",
                         [(1, 1, 40), (30, 1, 40), (99, 1, 40), (30, 2, 40),
                          (30, 1, 1)])
def test_share(lab, percent, copies, concurrent):
    copy = lab.copy("-r", percent, "-n", copies)
    lab.load(connections=CONNECTIONS, concurrent=concurrent, requests=3,
             request_size="24-3000")
    ledger, online, target = copy.finish(copies, quiet=1)
    sampled = len(target) // copies
    assert abs(sampled - CONNECTIONS * percent / 100) <= 1
    assert len(target) == sampled * copies
    sizes = {"connections": 1, "turns": 3}
    for unit, each in sizes.items():
        places = ledger[unit]
        assert places["captured"] == each * CONNECTIONS
        assert places["expected"] == each * CONNECTIONS * copies
        assert places["answered"] == each * len(target)
        assert places["not_sampled"] == \
            each * (CONNECTIONS - sampled) * copies
    assert ledger["bytes"]["answered"] == sum(r["bytes"] for r in target)
    assert ledger["bytes"]["captured"] == sum(r["bytes"] for r in online)
    all_of_them = digests(online)
    for digest, n in digests(target).items():
        assert n == copies and all_of_them[digest] == 1


def test_at_every_moment(lab):
    """In the order in which the connections come, and not on average."""
    copy = lab.copy("-r", 30)
    for k in range(1, 21):
        lab.load(seed=k)
        copy.settle(quiet=0.1)
        have = copy.target_app.totals()["connections"]
        assert k * 30 // 100 <= have <= k * 30 // 100 + 1, k
