# SPDX-License-Identifier: BSD-2-Clause
"""The manual's section 4.6 as printed, two online servers and one target; and
four of them."""
from hosts import CLIENTS
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, assert_exact, assert_whole, counter
from waiting import wait_until


class Several:
    def __init__(self, lab):
        self.lab = lab
        self.onlines = [lab.serve(host, 11311) for host in lab.onlines]
        self.target = lab.serve(lab.target, 11511)
        lab.target.run("iptables", "-I", "OUTPUT", "-p", "tcp", "--sport",
                       "11511", "-j", "NFQUEUE")
        self.intercept = lab.start_intercept()
        self.copies = [
            lab.start_tcpcopy("-x", f"11311-{lab.target.addr}:11511",
                              host=host)
            for host in lab.onlines]

    def load(self, **options):
        loads = [self.lab.load_start(f"{app.host.addr}:{ONLINE_PORT}",
                                     seed=n + 1, **options)
                 for n, app in enumerate(self.onlines)]
        for load in loads:
            load.done()

    def exact(self):
        def equal():
            have = self.target.totals()
            return all(have[k] == sum(app.totals()[k] for app in self.onlines)
                       for k in have)
        wait_until(equal, 60, "the target to have all servers' requests")
        # the RST for what was refused may be on its way
        wait_until(lambda: not self.target.host.sockets(TARGET_PORT), 15,
                   "no connection to be left, nor half of one")
        ledgers = [copy.finish() for copy in self.copies]
        for ledger in ledgers:
            assert_balanced(ledger)
            assert_whole(ledger)
        logs = [app.finish() for app in self.onlines]
        for ledger, log in zip(ledgers, logs):
            for unit, count in (("connections", len(log)),
                                ("turns", sum(r["requests"] for r in log)),
                                ("bytes", sum(r["bytes"] for r in log))):
                assert ledger[unit]["captured"] == count, ledger
                assert ledger[unit]["answered"] == count, ledger
            assert counter(ledger, "early_hold") == 0, ledger["packets"]
        assert_exact(logs, self.target.finish())
        return ledgers


def test_manual_example(labs):
    tap = labs.tap()
    several = Several(labs)
    several.load(connections=300, concurrent=30, requests=50)
    several.exact()
    assert tap.count() == 0


def test_short_connections(labs):
    several = Several(labs)
    several.load(connections=3000, concurrent=50)
    several.exact()


def test_clients_with_the_same_ports(labs):
    """All online servers have connections of the same client addresses and
    ports: intercept refuses one owner, who takes another port."""
    labs.client.run("sysctl", "-qw",
                    "net.ipv4.ip_local_port_range=20000 20019")
    several = Several(labs)
    count = len(several.onlines)
    loads = [labs.load_start(f"{app.host.addr}:{ONLINE_PORT}", seed=n + 1,
                             source=CLIENTS[:1], connections=20, requests=10,
                             open_together=True, pause_after=5)
             for n, app in enumerate(several.onlines)]
    for load in loads:
        load.paused()
    wait_until(lambda: several.target.totals()["requests"] == count * 20 * 5,
               what="all servers' first requests on the target")
    for load in loads:
        load.go()
        load.done()
    ledgers = several.exact()
    again = 20 * (count - 1)
    assert sum(counter(x, "routes_refused") for x in ledgers) >= again
    assert sum(counter(x, "remapped") for x in ledgers) >= again
