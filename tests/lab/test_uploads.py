# SPDX-License-Identifier: BSD-2-Clause
"""Large requests, twenty at once, with the kernel's coalescing and without. The
clients' network is one of 100 Mbit/s, through which far more comes than the
memory is for."""
import pytest
from outcome import requests_are_turns

MEMORY_KB = 64 * 1024


def exact_in_memory(lab, copy, turns):
    copy.settle()
    if not lab.sanitized:
        assert copy.tcpcopy.peak_kb() < MEMORY_KB
    return requests_are_turns(copy.exact(), turns)


def bytes_a_packet(ledger):
    return ledger["bytes"]["captured"] / ledger["packets"]["packets_captured"]


@pytest.mark.parametrize("gro", [True, False])
@pytest.mark.parametrize("size,requests", [(60000, 20), (1000000, 10)])
def test_large_requests(lab, size, requests, gro):
    lab.client.narrow(100)
    for host in (lab.client, lab.online, lab.target):
        host.offloads(gro)
    copy = lab.copy()
    lab.load(connections=20, concurrent=20, requests=requests,
             request_size=size)
    ledger = exact_in_memory(lab, copy, 20 * requests)
    assert ledger["bytes"]["answered"] == 20 * requests * size
    if gro:
        assert bytes_a_packet(ledger) > 1500
    else:
        assert bytes_a_packet(ledger) <= 1460


def test_both_sizes_at_once(lab):
    lab.client.narrow(100)
    copy = lab.copy()
    loads = [lab.load_start(connections=20, concurrent=20, seed=seed,
                            requests=2, request_size=size)
             for seed, size in enumerate((60000, 1000000), 1)]
    for load in loads:
        load.done()
    exact_in_memory(lab, copy, 80)
