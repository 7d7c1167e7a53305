# SPDX-License-Identifier: BSD-2-Clause
"""The figures for people: tables that Markdown understands as well."""


def table(head, rows):
    """Numbers to the right, the first column to the left."""
    cells = [head] + [[str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    rule = ["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]]
    lines = []
    for row in [cells[0], rule] + cells[1:]:
        lines.append("| " + " | ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths))) + " |")
    return "\n".join(lines) + "\n"


def number(value):
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(value):
    """100 only if it is."""
    return "100" if value == 100 else f"{int(value * 100) / 100:.2f}"


def machine(about):
    return f"{about['date']}; {about['cores']} cores ({about['cpu']}), " \
        f"{about['memory_gib']} GiB, kernel {about['kernel']}, " \
        f"{about['congestion_control']}; " \
        f"{about['version']}, {about['commit']}; load average before " \
        f"{about['load_average']:.2f}\n"


def floors(found):
    return table(["floor", "µs a packet", "packets a batch"],
                 [(name, number(f["us"]), number(f["batch"]))
                  for name, f in found.items()])


def _load(name, path, r):
    d = r["drops"]
    return (f"{name}, {path}", number(r["cpu_us"]["tcpcopy"]),
            number(r["times_floor"]["tcpcopy"]),
            number(r["cpu_us"]["intercept"]),
            number(r["times_floor"]["intercept"]),
            number(r["cpu_us"]["machine"]),
            number(r["copied_per_s"]),
            number(r["memory_peak_kb"]["tcpcopy"] / 1024),
            number(r["memory_peak_kb"]["intercept"] / 1024),
            f"{d['ring']}/{d['refused']}/{d['queue']}/{d['links']}",
            percent(r["exact_percent"]))


def loads(results):
    return table(
        ["load, path", "tcpcopy µs", "× floor", "intercept µs", "× floor",
         "machine µs", "copied/s", "tcpcopy MiB", "intercept MiB",
         "lost ring/send/queue/link", "exact %"],
        [_load(*r) for r in results])


def influence(results):
    return table(
        ["influence, path", "without /s", "ring alone /s", "with /s",
         "ring keeps %", "kept %", "exact %"],
        [(f"saturated, {path}", number(median(r["without_per_s"])),
          number(median(r["ring_per_s"])), number(median(r["with_per_s"])),
          number(r["ring_kept_percent"]), number(r["kept_percent"]),
          percent(r["exact_percent"])) for _, path, r in results])


def limits(results):
    return table(
        ["influence over all limits, path", "without /s", "ring alone /s",
         "with /s", "ring keeps %", "kept %",
         "left out for sessions/rate/cpu/memory"],
        [(f"saturated, {path}", number(median(r["without_per_s"])),
          number(median(r["ring_per_s"])), number(median(r["with_per_s"])),
          number(r["ring_kept_percent"]), number(r["kept_percent"]),
          "/".join(f"{r['over'][key]:,.0f}"
                   for key in ("sessions", "rate", "cpu", "memory")))
         for _, path, r in results])


def median(values):
    return sorted(values)[len(values) // 2]


def delay(results):
    return table(
        ["added delay, path", "p1 µs", "p50 µs", "p90 µs", "p99 µs",
         "p99.9 µs", "stolen %", "requests", "missed", "exact %"],
        [row for _, path, r in results for row in
         [(f"1,000/s, {path}", *_delays(r), percent(r["exact_percent"])),
          (f"floor, {path}", *_delays(r["floor"]), "")]])


def _delays(r):
    return [*[number(r[f"p{p}_us"]) for p in (1, 50, 90, 99, 99.9)],
            number(r["stolen_percent"]), number(r["requests"]),
            number(r["missed"])]


def idle(results):
    return table(
        ["idle connections, path", "tcpcopy bytes each",
         "intercept bytes each", "tcpcopy CPU %", "intercept CPU %",
         "copied %"],
        [(f"{r['connections']:,.0f}, {path}",
          number(r["bytes_each"]["tcpcopy"]),
          number(r["bytes_each"]["intercept"]),
          number(r["idle_cpu_percent"]["tcpcopy"]),
          number(r["idle_cpu_percent"]["intercept"]),
          percent(r["exact_percent"])) for _, path, r in results])


def workers(results):
    def row(r):
        ways = [r[way] for way in ("one", "one_core", "core_each")]
        return (*[number(way["per_s"]) for way in ways],
                number(r["times_as_fast"]),
                "/".join(number(way["us"]) for way in ways),
                number(r["core_each"]["waited_us"] / 1000),
                number(max(way["stolen_percent"] for way in ways)),
                f"{max(way['ring'] for way in ways):,.0f}",
                percent(min(way["exact_percent"] for way in ways)))
    return table(
        ["workers", "one, requests/s", "two on one core", "two on a core each",
         "these, times one", "CPU µs", "one of these waited ms", "stolen %",
         "lost ring", "exact %"],
        [("tcpcopy, dry run", *row(r)) for _, _, r in results])


def soak(results):
    def memory(r, who):
        at = r["memory_kb"]
        return "/".join(f"{at[i][who] / 1024:.1f}" for i in
                        (len(at) // 10, len(at) // 2, -1))
    return table(
        ["soak, path", "s", "requests", "machine busy %",
         "tcpcopy MiB at 10/50/100 %", "intercept MiB", "turns lost",
         "lost ring/send/queue/link", "exact %"],
        [(f"mixed, {path}", number(r["wall_s"]), number(r["requests"]),
          number(r["busy_percent"]), memory(r, "tcpcopy"),
          memory(r, "intercept"), f"{r['lost']:,.0f}",
          "/".join(f"{n:.0f}" for n in r["drops"].values()),
          percent(r["exact_percent"])) for _, path, r in results])


def profile(results):
    rows = []
    for _, path, r in results:
        for who, found in r["cpu_us"].items():
            whole = sum(found.values())
            shown = {name: us for name, us in found.items()
                     if us >= whole / 100}
            rows.append((f"**{who}, {r['load']}, {path}**", number(whole)))
            rows += [(name, number(us)) for name, us in
                     sorted(shown.items(), key=lambda pair: -pair[1])]
            rows.append(("each less than 1 %",
                         number(whole - sum(shown.values()))))
    return table(["a request's time", "µs"], rows)


def calls(results):
    rows = []
    for _, path, r in results:
        for who, found in r["per_request"].items():
            rows.append((f"**{who}, {r['load']}, {path}**", ""))
            rows += [(name, f"{n:.4f}") for name, n in
                     sorted(found.items(), key=lambda pair: -pair[1])]
    return table(["system calls", "a request"], rows)
