# SPDX-License-Identifier: BSD-2-Clause
"""
How much of its throughput a saturated online service keeps while its tcpcopy
is over every limit at once, with clients, service and tcpcopy on one core as
in influence.py.
"""
import influence
from world import outcome

LIMITS = ("-m", 24, "--max-sessions", 5, "--max-rate", "50,1M",
          "--max-cpu", 1)
CONNECTIONS, CONNECTIONS_MIN, CONCURRENT = 40000, 20000, 2000


def measure(world, path, scale):
    load = {"connections": max(CONNECTIONS // scale, CONNECTIONS_MIN),
            "concurrent": CONCURRENT, "requests": 5}
    result, said = influence.in_turns(world, path, load, LIMITS)
    ledgers = [ledger for ledger, _ in said]

    def of_all(key):
        return min(outcome.counter(ledger, key) for ledger in ledgers)
    result["over"] = {key: of_all(f"shed_{key}")
                      for key in ("sessions", "rate", "cpu")}
    result["over"]["memory"] = min(ledger["connections"]["lost"]["memory"]
                                   for ledger in ledgers)
    result["copied"] = sum(
        ledger["connections"]["answered"] for ledger in ledgers)
    return result
