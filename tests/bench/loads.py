# SPDX-License-Identifier: BSD-2-Clause
"""The loads, and what a copy of one of them costs."""
import collections
import dataclasses
import time

from usage import Meter, memory_kb
from world import outcome


@dataclasses.dataclass
class Load:
    what: str
    options: dict
    shrinks: str  # the option that a fast run divides
    copies: int = 1
    tcpcopy_args: tuple = ()


LOADS = {
    "small": Load("200 connections of 1,000 requests",
                  {"connections": 200, "concurrent": 50, "requests": 1000},
                  "requests"),
    "short": Load("20,000 connections of one request",
                  {"connections": 20000, "concurrent": 50}, "connections"),
    "open": Load("5,000 connections at once, 10 requests each",
                 {"connections": 5000, "open_together": True, "requests": 10},
                 "connections"),
    "answer100k": Load("50,000 answers of 100 kB",
                       {"connections": 100, "concurrent": 20, "requests": 500,
                        "answer_size": 100000}, "connections"),
    "answer1m": Load("500 answers of 1 MB",
                     {"connections": 50, "concurrent": 10, "requests": 10,
                      "answer_size": 1000000}, "connections"),
    "request60k": Load("5,000 requests of 60 kB",
                       {"connections": 100, "concurrent": 20, "requests": 50,
                        "request_size": 60000}, "connections"),
    "copies10": Load("-n 10, 50 connections of 400 requests",
                     {"connections": 50, "concurrent": 50, "requests": 400},
                     "requests", copies=10, tcpcopy_args=("-n", 10)),
}


def options_of(load, scale):
    options = dict(load.options)
    options[load.shrinks] = max(options[load.shrinks] // scale, 1)
    return options


def exactness(online, target, copies):
    """Percent of the connections that arrived byte for byte, and of the
    requests that arrived at all."""
    want, have = collections.Counter(), collections.Counter()
    for digest, n in outcome.digests(online).items():
        want[digest] = n * copies
    have.update(outcome.digests(target))
    requests = sum(r["requests"] for r in online) * copies
    return {"exact_percent": 100 * (want & have).total() /
            max(want.total(), have.total(), 1),
            "requests_percent": 100 * sum(r["requests"] for r in target) /
            max(requests, 1)}


def drops(ledger, divert):
    """What was lost on its way into and out of the programs."""
    ended = divert.get("links_ended", {}).get("records_shed", 0)
    return {"ring": ledger["kernel"]["dropped"],
            "refused": ledger["send"]["refused"],
            "queue": sum(divert["queue"][k] for k in
                         ("lost", "queue_dropped")),
            "links": ended + sum(link.get("records_shed", 0)
                                 for link in divert["links"])}


def packets(ledger, divert):
    """How many each step had to do with."""
    return {"captured": ledger["kernel"]["received"],
            "sent": ledger["send"]["sent"],
            "resent": ledger["packets"]["packets_resent"],
            "queued": divert["queue"]["received"]}


def end(copy):
    """Ends all four; the reports of both programs and how exact it was."""
    ledger, divert = copy.tcpcopy.finish(), copy.intercept.finish()
    return ledger, divert, copy.online_app.finish(), copy.target_app.finish()


def measure(world, path, load, scale):
    with world.lab() as lab:
        copy = world.copy(lab, path, *load.tcpcopy_args)
        meter = Meter(tcpcopy=copy.tcpcopy.pid, intercept=copy.intercept.pid,
                      online_app=copy.online_app.pid,
                      target_app=copy.target_app.pid)
        with world.side("online"):
            done = lab.load(**options_of(load, scale))
        ended = time.monotonic()
        copy.settle(load.copies)
        behind_s = time.monotonic() - ended
        used = meter.read()
        memory = {"tcpcopy": memory_kb(copy.tcpcopy.pid, "VmHWM"),
                  "intercept": memory_kb(copy.intercept.pid, "VmHWM")}
        ledger, divert, online, target = end(copy)
    requests = done["requests"]
    return {"requests": requests, "elapsed_s": done["elapsed_s"],
            "copied_per_s": requests / (done["elapsed_s"] + behind_s),
            "cpu_us": {who: us / requests for who, us in used.items()
                       if who != "wall"},
            "memory_peak_kb": memory, "drops": drops(ledger, divert),
            "packets": {k: n / requests for k, n in
                        packets(ledger, divert).items()},
            **exactness(online, target, load.copies)}
