# SPDX-License-Identifier: BSD-2-Clause
"""How many copies, and under whose address."""
import ipaddress

import pytest
from hosts import CLIENTS
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, counter, digests

SMALL = {"connections": 100, "concurrent": 20, "requests": 5}


@pytest.mark.parametrize("copies", [3, 20])
def test_n_copies(lab, copies):
    copy = lab.copy("-n", copies)
    lab.load(**SMALL)
    copy.exact(copies)


def test_n_copies_of_many_short_connections(lab):
    copy = lab.copy("-n", 3)
    lab.load(connections=3000, concurrent=50)
    copy.exact(3)


CLIENT_FORMS = {
    "203.0.113.7": ["203.0.113.7/32"],
    "203.0.113.7,203.0.113.9": ["203.0.113.7/32", "203.0.113.9/32"],
    "203.0.113.x": ["203.0.113.0/24"],
    "203.0.113.16/28": ["203.0.113.16/28"],
    "203.0.113.7,198.18.5.x,198.18.0.0/30":
        ["203.0.113.7/32", "198.18.5.0/24", "198.18.0.0/30"],
}


@pytest.mark.parametrize("form", CLIENT_FORMS)
def test_clients_appear_as(lab, form):
    nets = [ipaddress.ip_network(n) for n in CLIENT_FORMS[form]]
    copy = lab.copy("-c", form)
    lab.load(**SMALL)
    copy.settle()
    peers = {ipaddress.ip_address(r["peer"])
             for r in copy.target_app.finish()}
    assert peers and all(any(p in n for n in nets) for p in peers), peers
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert counter(ledger, "remapped") == SMALL["connections"]
    if len(nets) == 1 and nets[0].num_addresses > 200:
        host = {int(p) & 255 for p in peers}
        assert 0 not in host and 255 not in host


def test_clients_appear_as_exact(lab):
    copy = lab.copy("-c", "203.0.113.7", "-n", 2)
    lab.load(connections=2000, concurrent=100, requests=2)
    copy.exact(2)


def test_client_keeps_its_address_and_port(lab):
    copy = lab.copy()
    lab.load(**SMALL)
    _, online, target = copy.finish()
    def tuples(log):
        return sorted((r["peer"], r["port"], r["digest"]) for r in log)
    assert tuples(online) == tuples(target)


@pytest.mark.parametrize("to", ["127.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize("given", [True, False])
def test_clients_on_the_online_host(lab, to, given):
    args = ["-H", "203.0.113.5"] if given else []
    copy = lab.copy(*args)
    lab.load(f"{to}:{ONLINE_PORT}", source=None, host=lab.online, **SMALL)
    lab.load(connections=10, seed=2)
    copy.settle()
    assert copy.online_app.totals() == copy.target_app.totals()
    ledger, online, target = copy.finish()
    assert digests(online) == digests(target)
    peers = {r["peer"] for r in target}
    local = "203.0.113.5" if given else lab.online.addr
    assert local in peers and peers <= {local, *CLIENTS}, peers
    same = local == to  # nothing had to be changed
    assert counter(ledger, "remapped") == (0 if same else 100)


@pytest.mark.parametrize("number", [0, 5, 1023])
def test_port_slice(lab, number):
    """64,512 ports in 1,024 slices. The first copy keeps the client's port,
    the search for the second one's begins in our slice."""
    copy = lab.copy("-f", number, "-n", 2, "-c", "203.0.113.7")
    lab.load(connections=40, open_together=True, source=CLIENTS[:1])
    _, online, target = copy.finish(copies=2)
    own = {r["port"] for r in online}
    first = 1024 + 63 * number
    others = [r["port"] for r in target if r["port"] not in own]
    assert len(target) == 80 and len(others) >= 39
    assert all(first <= p < first + 63 for p in others), sorted(others)


def test_port_slice_that_is_used_up(lab):
    copy = lab.copy("-f", 5, "-n", 3, "-c", "203.0.113.7")
    load = lab.load_start(connections=200, open_together=True, pause_after=1)
    load.paused()
    copy.settle(copies=3)
    assert copy.target_app.totals()["open"] == 600
    load.go()
    load.done()
    copy.exact(3)


def test_one_source_to_two_targets(lab):
    more = lab.serve(lab.target, TARGET_PORT + 1)
    lab.rule(TARGET_PORT + 1)
    copy = lab.copy(transfer=f"{lab.transfer},{ONLINE_PORT}-"
                             f"{lab.target.addr}:{TARGET_PORT + 1}")
    lab.load(**SMALL)
    copy.settle()
    ledger, online, target = copy.finish()
    assert digests(online) == digests(target) == digests(more.finish())
    assert ledger["connections"]["expected"] == 2 * len(online)
    assert ledger["connections"]["captured"] == len(online)
