# SPDX-License-Identifier: BSD-2-Clause
"""Large requests, twenty at once, with the kernel's coalescing and without;
the clients' network is one of 100 Mbit/s."""
import pytest
from outcome import requests_are_turns

MEMORY_KB = 64 * 1024


@pytest.fixture
def narrow(lab):
    lab.client.narrow(100)
    return lab


def exact_in_memory(lab, copy, turns):
    copy.settle()
    if not lab.sanitized:
        assert copy.tcpcopy.peak_kb() < MEMORY_KB
    return requests_are_turns(copy.exact(), turns)


@pytest.mark.parametrize("gro", [True, False])
@pytest.mark.parametrize("size,requests", [(60000, 20), (1000000, 2)])
def test_large_requests(narrow, size, requests, gro):
    lab = narrow
    for host in (lab.client, lab.online, lab.target):
        host.offloads(gro)
    copy = lab.copy()
    lab.load(connections=20, concurrent=20, requests=requests,
             request_size=size)
    ledger = exact_in_memory(lab, copy, 20 * requests)
    assert ledger["bytes"]["answered"] == 20 * requests * size


def test_both_sizes_at_once(narrow):
    copy = narrow.copy()
    loads = [narrow.load_start(connections=20, concurrent=20, seed=seed,
                                requests=2, request_size=size)
             for seed, size in enumerate((60000, 1000000), 1)]
    for load in loads:
        load.done()
    exact_in_memory(narrow, copy, 80)
