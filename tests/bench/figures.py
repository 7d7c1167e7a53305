# SPDX-License-Identifier: BSD-2-Clause
"""Many runs of one measurement become one: the median of every number; of how
exact it was, the worst."""
import statistics

WORST = {"exact_percent": min, "requests_percent": min, "ring": max,
         "refused": max, "queue": max, "links": max}


def merge(runs, key=None):
    first = runs[0]
    if isinstance(first, dict):
        keys = dict.fromkeys(k for run in runs for k in run)
        return {k: merge([run[k] for run in runs if k in run], k)
                for k in keys}
    if isinstance(first, list):
        return sum(runs, [])
    if isinstance(first, (int, float)):
        return WORST.get(key, statistics.median)(runs)
    return first


def floor_us(floors, path, packets):
    """What programs that do nothing else would need for a request's packets:
    those of tcpcopy and those of intercept."""
    way = {"raw": "raw", "link": "frames", "relay": "stream"}[path]
    online = packets["captured"] * floors["ring"]["us"] + \
        packets["sent"] * floors[way]["us"]
    target = packets["queued"] * floors["queue"]["us"]
    if path == "relay":
        target += packets["sent"] * floors["inject"]["us"]
    return {"tcpcopy": online, "intercept": target}


def add_ratios(result, floors, path):
    """To the result of a load."""
    floor = floor_us(floors, path, result["packets"])
    result["floor_us"] = floor
    result["times_floor"] = {
        who: result["cpu_us"][who] / us if us else 0
        for who, us in floor.items()}
