# SPDX-License-Identifier: BSD-2-Clause
"""Whether the target got what the online server got, and the ledger says so."""
import collections
import time

from waiting import wait_until

UNITS = ("connections", "turns", "bytes")
PLACES = ("not_sampled", "answered", "unanswered", "in_flight")
REASONS = ("capture_gap", "midstream", "tls", "memory", "limit", "loop",
           "no_tuple", "refused", "target_closed", "timeout", "shutdown")


class Copy:
    """Both applications and both programs, in the usual place."""

    def __init__(self, online_app, target_app, intercept, tcpcopy):
        self.online_app, self.target_app = online_app, target_app
        self.intercept, self.tcpcopy = intercept, tcpcopy

    def settle(self, copies=1, quiet=10):
        """Until the target has had everything, or gets nothing more; and the
        ledger has nothing in flight that is over on the online server."""
        want = self.online_app.totals()
        last, since = None, time.monotonic()
        while True:
            have = self.target_app.totals()
            if all(have[k] == want[k] * copies
                   for k in ("requests", "connections", "open")):
                return
            if self.tcpcopy and not self.tcpcopy.alive():
                return
            if have != last:
                last, since = have, time.monotonic()
            elif time.monotonic() - since > quiet:
                return
            time.sleep(0.02)

    def finish(self, copies=1, quiet=10):
        """Ends everything; returns ledger and both logs."""
        self.settle(copies, quiet)
        ledger = self.tcpcopy.finish()
        self.intercept.finish()
        assert_balanced(ledger)
        return ledger, self.online_app.finish(), self.target_app.finish()

    def whole(self, seed, connections):
        """Until so many connections of a load have ended on the target as
        they did online."""
        def both():
            online = digests(self.online_app.records())
            return [r for r in self.target_app.records()
                    if r["id"] >> 32 == seed and online[r["digest"]]]
        wait_until(lambda: len(both()) == connections,
                   what=f"{connections} whole connections of load {seed}")

    def over(self):
        """Until nothing is open on the target, and tcpcopy knows it."""
        host, port = self.target_app.host, self.target_app.port

        def nothing_open():
            if not self.tcpcopy.alive():
                return True
            return not host.sockets(port) and \
                not self.tcpcopy.ledger()["connections"]["in_flight"]
        # A target that repeats its FIN is listened to for 20 s more.
        wait_until(nothing_open, 90, "the target's connections to end",
                   step=0.2)

    def exact(self, copies=1):
        """Every byte of every connection arrived, none after having been held
        for as long as is allowed, and the ledger says so."""
        self.settle(copies)
        if not self.online_app.totals()["open"]:
            self.over()
        ledger, online, target = self.finish(copies)
        assert_exact([online], target, copies)
        assert_whole(ledger)
        for unit, count in (("connections", len(online)),
                            ("bytes", sum(r["bytes"] for r in online))):
            assert ledger[unit]["captured"] == count, ledger
            assert ledger[unit]["expected"] == count * copies, ledger
        assert counter(ledger, "early_hold") == 0, ledger["packets"]
        return ledger


def digests(records):
    return collections.Counter(r["digest"] for r in records)


def assert_exact(online_logs, target, copies=1):
    want = collections.Counter()
    for log in online_logs:
        for digest, n in digests(log).items():
            want[digest] += n * copies
    have = digests(target)
    assert want, "no connection was made"
    missing, surplus = want - have, have - want
    assert not missing and not surplus, (
        f"of {sum(want.values())} connections {sum(missing.values())} are not "
        f"on the target as they were online, {sum(surplus.values())} are on "
        f"the target only; requests {sum(r['requests'] for r in target)} of "
        f"{sum(r['requests'] for log in online_logs for r in log) * copies}")


def assert_balanced(ledger):
    for unit in UNITS:
        place = ledger[unit]
        assert set(REASONS) <= set(place["lost"]), place
        total = sum(place[p] for p in PLACES) + sum(place["lost"].values())
        assert place["expected"] == total, (unit, place)


def assert_whole(ledger, in_flight=0):
    """Nothing lost, nothing left out, nothing pending."""
    for unit in UNITS:
        place = ledger[unit]
        lost = {k: n for k, n in place["lost"].items() if n}
        assert not lost and not place["not_sampled"], (unit, place)
        if not in_flight:
            assert place["in_flight"] == 0, (unit, place)


def requests_by_id(records):
    """How often each request of each connection came, however many
    connections it took; every one of them whole and in order."""
    found = collections.defaultdict(collections.Counter)
    for record in records:
        assert not record["broken"] and not record["jumps"], record
        first = record["first"]
        found[record["id"]].update(range(first, first + record["requests"]))
    return {key: seqs for key, seqs in found.items() if seqs}


def assert_covered(online, target):
    """Each request came, over one connection or several; returns how many
    of them came again."""
    want, have = requests_by_id(online), requests_by_id(target)
    assert set(have) <= set(want)
    for key, seqs in want.items():
        got = set(have.get(key, ()))
        assert got == set(seqs), (key, sorted(set(seqs) - got)[:10])
    return sum(n - 1 for seqs in have.values() for n in seqs.values())


def requests_are_turns(ledger, count, copies=1):
    """Each request was sent after the answer to the one before."""
    places = ledger["turns"]
    assert places["captured"] == count, places
    assert places["answered"] == count * copies, places
    return ledger


def lost(ledger, unit):
    """The reasons of loss that are not zero."""
    return {k: n for k, n in ledger[unit]["lost"].items() if n}


def counter(ledger, key):
    """A counter, in whichever group of the ledger it stands."""
    found = [group[key] for group in [ledger, *ledger.values()]
             if isinstance(group, dict) and key in group]
    assert found, f"no {key} in {ledger}"
    return found[0]
