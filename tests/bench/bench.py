#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""
The benchmark: figures, no verdict. `make bench` runs all of it.
docs/performance.md says what the figures mean.
"""
import argparse
import importlib
import json
import os
import shlex
import signal
import sys
import time

import figures
import floors
import loads
import machine
import tables
from world import PATHS, World, lab_module, waiting

OTHERS = ("influence", "limits", "delay", "idle", "workers")
NO_PATH = ("workers",)  # nothing is sent: measured once
ASKED_FOR = ("profile", "calls", "soak")
FAST = 20


def parse(args):
    usual = (*loads.LOADS, *OTHERS)
    names = (*usual, *ASKED_FOR)
    parser = argparse.ArgumentParser(
        prog="bench", description="Figures of tcpcopy and intercept.",
        epilog="; ".join(f"{n}: {ld.what}" for n, ld in loads.LOADS.items()))
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"what to measure: {' '.join(names)} (all but "
                        f"{' '.join(ASKED_FOR)})")
    parser.add_argument("--path", action="append", choices=PATHS,
                        help="ways to send (all that tcpcopy has)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N",
                        help="medians of N runs (1)")
    parser.add_argument("--fast", action="store_true",
                        help="small loads: to see that it works")
    parser.add_argument("--pin", action="store_true",
                        help="in the loads, too, one core for client and "
                        "online server, another for the target")
    parser.add_argument("--steer", action="store_true",
                        help="what arrives at a server is received on its "
                        "core, as behind a wire, and not on the sender's")
    parser.add_argument("--workers", type=int, default=1, metavar="N",
                        help="of tcpcopy and of intercept (1)")
    parser.add_argument("--tcpcopy-args", type=shlex.split, default=[],
                        metavar="'ARG...'", help="more options of tcpcopy")
    parser.add_argument("--intercept-args", type=shlex.split, default=[],
                        metavar="'ARG...'", help="more options of intercept")
    parser.add_argument("--json", default="bench.json", metavar="FILE",
                        help="where all figures go (bench.json)")
    parser.add_argument("--profiled", choices=loads.LOADS, default="small",
                        help="the load of profile and calls (small)")
    parser.add_argument("--seconds", type=int, default=3600, metavar="N",
                        help="how long soak lasts (3600)")
    parser.add_argument("--skip-floors", action="store_true",
                        help="no floors, and so no ratios")
    got = parser.parse_args(args)
    unknown = [n for n in got.names if n not in names]
    if unknown:
        parser.error(f"no such NAME: {unknown[0]} ({' '.join(names)})")
    got.names = got.names or list(usual)
    return got


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def measure(world, name, path, scale):
    if name in loads.LOADS:
        return loads.measure(world, path, loads.LOADS[name], scale)
    return importlib.import_module(name).measure(world, path, scale)


def paths_of(name, paths):
    return paths[:1] if name in NO_PATH else paths


def one_round(world, options, paths, kept):
    scale = FAST if options.fast else 1
    if not options.skip_floors:
        say("floors")
        kept.setdefault("floors", []).append(floors.measure(world, scale))
    for name in options.names:
        for path in paths_of(name, paths):
            say(f"{name}, {path}")
            try:
                got = measure(world, name, path, scale)
            except (AssertionError, waiting.LabError) as fault:
                say(f"{name}, {path}: {type(fault).__name__}: {fault}")
                continue
            kept.setdefault((name, path), []).append(got)


def merged(kept):
    """Floors, and (name, path, result) of all that has one."""
    found = figures.merge(kept.pop("floors")) if "floors" in kept else {}
    results = [(*key, figures.merge(runs)) for key, runs in kept.items()]
    for name, path, result in results:
        if name in loads.LOADS:
            result["times_floor"] = dict.fromkeys(result["cpu_us"], 0.0)
            if found:
                figures.add_ratios(result, found, path)
    return found, results


def show(about, found, results):
    print("\n" + tables.machine(about))
    if found:
        print(tables.floors(found))
    parts = [(tables.loads, [r for r in results if r[0] in loads.LOADS])]
    parts += [(getattr(tables, name), [r for r in results if r[0] == name])
              for name in (*OTHERS, *ASKED_FOR)]
    for make, rows in parts:
        if rows:
            print(make(rows))


def write(path, about, options, found, results):
    with open(path, "w") as f:
        json.dump({"machine": about,
                   "options": {k: v for k, v in vars(options).items()
                               if k != "json"},
                   "floors": found,
                   "results": [{"name": name, "path": path, **result}
                               for name, path, result in results]},
                  f, indent=1)
        f.write("\n")
    say(f"all figures: {os.path.abspath(path)}")


def main():
    options = parse(sys.argv[1:])
    if os.geteuid():
        sys.exit("bench: needs root: it makes network namespaces")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lab_module.remove_leftovers()
    world = World(options.tcpcopy_args, options.intercept_args, options.pin,
                  options.profiled, options.seconds, options.workers,
                  options.steer)
    unknown = [p for p in options.path or () if p not in world.paths()]
    if unknown:
        sys.exit(f"bench: this tcpcopy has no --path {unknown[0]}")
    about, kept = machine.describe(), {}
    for _ in range(options.repeat):
        one_round(world, options, options.path or world.paths(), kept)
    wanted = sum(len(paths_of(name, options.path or world.paths()))
                 for name in options.names)
    found, results = merged(kept)
    show(about, found, results)
    write(options.json, about, options, found, results)
    return 0 if len(results) == wanted else 1


sys.exit(main())
