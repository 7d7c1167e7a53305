# SPDX-License-Identifier: BSD-2-Clause
"""The manual's section 4.6 as printed: two online servers, one target."""
from lab import CLIENTS, ONLINE_PORT, TARGET_PORT, assert_balanced, \
    assert_exact, assert_whole, counter, wait_until


class Two:
    def __init__(self, lab):
        self.lab = lab
        self.onlines = [lab.serve(lab.online, 11311),
                        lab.serve(lab.online2, 11311)]
        self.target = lab.serve(lab.target, 11511)
        lab.target.run("iptables", "-I", "OUTPUT", "-p", "tcp", "--sport",
                       "11511", "-j", "NFQUEUE")
        self.intercept = lab.start_intercept()
        self.copies = [
            lab.start_tcpcopy("-x", f"11311-{lab.target.addr}:11511",
                              host=host)
            for host in (lab.online, lab.online2)]

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
        wait_until(equal, 60, "the target to have both servers' requests")
        assert not self.target.host.sockets(TARGET_PORT)
        ledgers = [copy.finish() for copy in self.copies]
        for ledger in ledgers:
            assert_balanced(ledger)
            assert_whole(ledger)
        logs = [app.finish() for app in self.onlines]
        assert_exact(logs, self.target.finish())
        return ledgers


def test_manual_example(lab2):
    tap = lab2.tap()
    two = Two(lab2)
    two.load(connections=500, concurrent=50, requests=100)
    two.exact()
    assert tap.count() == 0


def test_short_connections(lab2):
    two = Two(lab2)
    two.load(connections=5000, concurrent=100)
    two.exact()


def test_clients_with_the_same_ports(lab2):
    """Both online servers have connections of the same client addresses and
    ports: intercept refuses one owner, who takes another port."""
    lab2.client.run("sysctl", "-qw",
                    "net.ipv4.ip_local_port_range=20000 20019")
    two = Two(lab2)
    loads = [lab2.load_start(f"{app.host.addr}:{ONLINE_PORT}", seed=n + 1,
                             source=CLIENTS[:1], connections=20, requests=10,
                             open_together=True, pause_after=5)
             for n, app in enumerate(two.onlines)]
    for load in loads:
        load.paused()
    wait_until(lambda: two.target.totals()["requests"] == 2 * 20 * 5,
               what="both servers' first requests on the target")
    for load in loads:
        load.go()
        load.done()
    ledgers = two.exact()
    assert sum(counter(x, "routes_refused") for x in ledgers) >= 20
    assert sum(counter(x, "remapped") for x in ledgers) >= 20
