# SPDX-License-Identifier: BSD-2-Clause
"""What tools/demo shows, once the programs are built. The namespaces are those
of the lab. Usage: demo.py SECONDS-SINCE-THE-START"""
import collections
import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] /
                       "tests" / "lab"))

import lab as lab_module  # noqa: E402
import outcome  # noqa: E402
import web  # noqa: E402
from waiting import wait_until  # noqa: E402

PORT = 80
REQUESTS = 10000
CLIENTS = 20
KEPT_ALIVE = 25  # requests of a connection that stays open
BEGUN = time.monotonic() - float(sys.argv[1])


def say(text):
    print(f"[{time.monotonic() - BEGUN:4.0f} s] {text}", flush=True)


class Load:
    """Half of the requests on connections that stay open, half on one each;
    every request has an id of its own."""

    def __init__(self, lab):
        self.lab = lab
        self.answered = collections.Counter()
        self.connections = collections.Counter()
        self.sent_bytes = collections.Counter()
        self.fault = None

    def ask(self, sock, stream, client, close):
        number = f"{client}-{self.answered[client]}"
        request = web.get("/1k", number, close)
        sock.sendall(request)
        status, body = web.read_answer(stream)
        assert status == 200 and body == web.content("1k"), (status, number)
        self.sent_bytes[client] += len(request)
        self.answered[client] += 1

    def client(self, connect, number):
        left, keep = REQUESTS // CLIENTS, True
        while left:
            count = min(left, KEPT_ALIVE) if keep else 1
            sock, stream = connect()
            with sock, stream:
                for n in range(count):
                    self.ask(sock, stream, number, n == count - 1)
            self.connections[number] += 1
            left -= count
            # as many alone as on a connection that stayed open
            keep = not keep if keep else \
                self.connections[number] % (KEPT_ALIVE + 1) == 0

    def run(self):
        try:
            web.run_clients(self.lab, CLIENTS, self.client,
                            to=(self.lab.online.addr, PORT))
        except Exception as fault:  # told by the main thread
            self.fault = fault


def watch(load, copied):
    """Until the load is over and the copies have come, or come no more."""
    thread = threading.Thread(target=load.run)
    thread.start()
    last, since, quiet = -1, time.monotonic(), 15
    while thread.is_alive() or \
            copied() < load.answered.total() and \
            time.monotonic() - since < quiet:
        time.sleep(1)
        say(f"{load.answered.total():6,} requests answered online, "
            f"{copied():6,} on the target")
        if thread.is_alive() or copied() != last:
            last, since = copied(), time.monotonic()
    thread.join()
    if load.fault:
        raise load.fault


def show_command(host, *words):
    say(f"{host + ':':8} {' '.join(words)}")


def control(lab, tap):
    """That the tap sees what it is to count: without the rule."""
    lab.rule(PORT, command="-D")
    lab.client.run("/usr/bin/python3", "-c", "import urllib.request as u; "
                   f"u.urlopen('http://{lab.target.addr}:{PORT}/small')")
    return wait_until(tap.count, what="the tap to see anything")


def show(rows):
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        if isinstance(value, int):
            value = f"{value:10,}"
        print(f"    {name:{width}}  {value}", flush=True)


def show_ledger(ledger):
    say("tcpcopy's ledger")
    units = outcome.UNITS
    print("    " + " " * 14 + "".join(f"{unit:>14}" for unit in units))
    rows = [(key, [ledger[u][key] for u in units]) for key in
            ("captured", "expected", *outcome.PLACES)]
    rows.append(("lost", [sum(ledger[u]["lost"].values()) for u in units]))
    for key, values in rows:
        print(f"    {key:14}" + "".join(f"{v:14,}" for v in values),
              flush=True)


def faults(load, online, target, leaked, ledger):
    """What is not as it must be, a line each."""
    if len(set(online)) != REQUESTS or len(online) != REQUESTS:
        yield f"the online server logged {len(online)} requests"
    if online != target:
        missing = collections.Counter(online) - collections.Counter(target)
        surplus = collections.Counter(target) - collections.Counter(online)
        yield f"{missing.total()} requests are missing on the target, " \
            f"{surplus.total()} are too many"
    if leaked:
        yield f"{leaked} packets of the target reached the client"
    wanted = {"connections": load.connections.total(), "turns": REQUESTS,
              "bytes": load.sent_bytes.total()}
    for unit, want in wanted.items():
        for key in ("captured", "expected", "answered"):
            if ledger[unit][key] != want:
                yield f"the ledger has {ledger[unit][key]} {unit} {key}, " \
                    f"not {want}"


def demonstrate(lab):
    online = web.Nginx(lab, lab.online, PORT)
    target = web.Nginx(lab, lab.target, PORT)
    transfer = f"{PORT}-{lab.target.addr}:{PORT}"
    say("an nginx runs on the online server and on the target server")
    show_command("target", "iptables -I OUTPUT -p tcp --sport", str(PORT),
                 "-j NFQUEUE")
    lab.rule(PORT)
    show_command("target", "intercept")
    intercept = lab.start_intercept()
    show_command("online", "tcpcopy -x", transfer)
    tcpcopy = lab.start_tcpcopy("-x", transfer)
    tap, load = lab.tap(), Load(lab)
    say(f"{CLIENTS} clients ask {REQUESTS:,} times, on connections of "
        f"{KEPT_ALIVE} requests and of one")
    watch(load, lambda: len(ids(target)))
    ledger = tcpcopy.finish()
    leaked = tap.count()  # with what the resets of its end brought about
    seen = control(lab, tap)
    intercept.finish()
    logs = ids(online), ids(target)
    say("what was seen")
    show([("requests in the online access log", len(logs[0])),
          ("requests in the target's access log", len(logs[1])),
          ("both logs, sorted by id", "     equal" if logs[0] == logs[1]
           else " different"),
          ("packets of the target that reached the client", leaked),
          ("the same, for one request without the rule", seen - leaked)])
    show_ledger(ledger)
    return list(faults(load, *logs, leaked, ledger)), tcpcopy


def ids(server):
    """Of the load's requests; the control's has none."""
    return sorted(line.split()[0] for line in server.lines()
                  if not line.startswith("-"))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lab_module.remove_leftovers()
    lab_module.Lab.tcpcopy_bin = lab_module.find_program("tcpcopy")
    lab_module.Lab.intercept_bin = lab_module.find_program("intercept")
    lab = lab_module.Lab()
    wrong = ["it did not come to its end"]
    try:
        wrong, tcpcopy = demonstrate(lab)
        if wrong:
            print(tcpcopy.err()[-2000:])
    except Exception as fault:
        wrong = [f"{type(fault).__name__}: {fault}"]
    finally:
        lab.close()
    for line in wrong:
        print(f"demo: FAILED: {line}", flush=True)
    if not wrong:
        print(f"demo: success: {REQUESTS:,} of {REQUESTS:,} requests copied, "
              "no packet of the target reached the client", flush=True)
    return 1 if wrong else 0


sys.exit(main())
