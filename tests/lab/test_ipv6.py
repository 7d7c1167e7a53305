# SPDX-License-Identifier: BSD-2-Clause
"""The same over IPv6."""
import pytest
from hosts import CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT

TRANSFERS = {
    "port": "{port}-[{target}]:{target_port}",
    "source address": "[{online}]:{port}-[{target}]:{target_port}",
}


@pytest.mark.parametrize("form", TRANSFERS)
def test_exact(lab, form):
    tap = lab.tap()
    transfer = TRANSFERS[form].format(
        port=ONLINE_PORT, target_port=TARGET_PORT, target=lab.target.addr6,
        online=lab.online.addr6)
    copy = lab.copy(transfer=transfer)
    lab.load(f"[{lab.online.addr6}]:{ONLINE_PORT}", source=CLIENTS6,
             connections=200, concurrent=50, requests=50,
             request_size="24-5000", answer_size="24-20000")
    copy.exact()
    assert tap.count() == 0


def test_both_families_at_once(lab):
    transfer = (f"{lab.online.addr}:{ONLINE_PORT}-"
                f"{lab.target.addr}:{TARGET_PORT},"
                f"[{lab.online.addr6}]:{ONLINE_PORT}-"
                f"[{lab.target.addr6}]:{TARGET_PORT}")
    copy = lab.copy(transfer=transfer)
    loads = [lab.load_start(connections=100, concurrent=10, requests=10),
             lab.load_start(f"[{lab.online.addr6}]:{ONLINE_PORT}",
                            source=CLIENTS6, connections=100, concurrent=10,
                            requests=10, seed=2)]
    for load in loads:
        load.done()
    copy.exact()


def test_copies_under_other_addresses(lab):
    transfer = f"{ONLINE_PORT}-[{lab.target.addr6}]:{TARGET_PORT}"
    copy = lab.copy("-n", 2, "-c", "2001:db8:77::/120", transfer=transfer)
    lab.load(f"[{lab.online.addr6}]:{ONLINE_PORT}", source=CLIENTS6,
             connections=50, concurrent=10, requests=5)
    _, online, target = copy.finish(copies=2)
    assert len(online) == 50 and len(target) == 100
    assert all(r["peer"].startswith("2001:db8:77::") for r in target)
