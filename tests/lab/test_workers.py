# SPDX-License-Identifier: BSD-2-Clause
"""--workers: several processes copy as one does, and are one to the outside."""
import os
import signal
import time

import pytest
from hosts import CLIENTS, CLIENTS6
from lab import LINK_PORT, ONLINE_PORT, TARGET_PORT
from outcome import (Copy, assert_balanced, assert_exact, assert_whole, counter,
                     lost)
from taps import read_pcap
from waiting import wait_until

ENVIRONMENT = 3
LOAD = {"connections": 400, "concurrent": 40, "requests": 20}


def ports(count):
    return f"{LINK_PORT}-{LINK_PORT + count - 1}"


def start(lab, *args, online=2, target=2, intercept=(), transfer=None,
          **kw):
    """Both applications and both programs, with so many workers each."""
    online_app = lab.serve(lab.online, ONLINE_PORT)
    target_app = lab.serve(lab.target, TARGET_PORT)
    balance = ("--queue-balance", f"0:{target - 1}") if target > 1 else ()
    lab.rule(TARGET_PORT, *balance)
    there = ("--workers", target) if target > 1 else ()
    here = ("--workers", online) if online > 1 else ()
    program = lab.start_intercept(*there, *intercept)
    tcpcopy = lab.start_tcpcopy("-x", transfer or lab.transfer, "-p",
                                ports(target), *here, *args, **kw)
    return Copy(online_app, target_app, program, tcpcopy)


def workers(program):
    """The processes that the head, a program or its number, has started."""
    pid = getattr(program, "pid", program)
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path) as f:
        return [int(pid) for pid in f.read().split()]


def by_worker(ledger, key="records_in"):
    sums = {}
    for link in ledger["links"]:
        sums[link["worker"]] = sums.get(link["worker"], 0) + link[key]
    return sums


@pytest.mark.parametrize("online,target", [(2, 1), (1, 2), (2, 2), (4, 3)])
def test_exact(lab, online, target):
    copy = start(lab, online=online, target=target)
    lab.load(**LOAD)
    ledger = copy.tcpcopy.ledger()
    if online > 1:
        assert len(workers(copy.tcpcopy)) == online
        heard = by_worker(ledger)
        assert len(heard) == online and min(heard.values()) > 100, heard
    if target > 1:
        # eight clients' addresses: that all fall to one is unlikely, and the
        # kernel's hash is not ours to choose
        sent = by_worker(copy.intercept.ledger(), "records_out")
        assert len(sent) == target, sent
    copy.exact()


def test_one_worker_is_one_process(lab):
    copy = start(lab, "--workers", 1, online=1, target=1,
                 intercept=("--workers", 1))
    lab.load(**LOAD)
    assert not workers(copy.tcpcopy) and not workers(copy.intercept)
    ledger = copy.exact()
    assert all("worker" not in link for link in ledger["links"])


def test_short_connections(lab):
    copy = start(lab)
    lab.load(connections=5000, concurrent=50)
    copy.exact()


@pytest.mark.parametrize("way", ["raw", "link", "relay"])
def test_paths(lab, way):
    relay = ("--relay", TARGET_PORT) if way == "relay" else ()
    copy = start(lab, "--path", way, intercept=relay)
    lab.load(**LOAD)
    ledger = copy.tcpcopy.ledger()
    if way == "relay":
        assert copy.intercept.ledger()["inject"]["sent"] > 0
        # each worker by another one of intercept's
        assert len(by_worker(ledger)) == 2
    copy.exact()


def test_dry_run(lab):
    """Each writes what it would send, to a file of its own."""
    from scapy.layers.inet import TCP
    online = lab.serve(lab.online, ONLINE_PORT)
    path = lab.path("dry.pcap")
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--dry-run", path,
                                "--workers", 2)
    lab.load(connections=40, requests=5)
    wait_until(lambda: tcpcopy.ledger()["turns"]["answered"] == 200)
    wait_until(lambda: not tcpcopy.ledger()["connections"]["in_flight"])
    ledger = tcpcopy.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
    assert not os.path.exists(path)
    files = [read_pcap(f"{path}.{n}") for n in range(2)]
    first, second = ({p[TCP].sport for p in packets} for packets in files)
    assert first and second and not first & second
    assert first | second == {r["port"] for r in online.finish()}
    assert ledger["packets"]["packets_sent"] == sum(map(len, files))


def test_copies_never_share_a_port(lab):
    """One client address: copies of all workers come from the same pool."""
    copy = start(lab, "-n", 20, online=3)
    lab.load(source=CLIENTS[:1], connections=200, concurrent=50, requests=5)
    ledger = copy.exact(20)
    assert counter(ledger, "routes_refused") == 0


def test_one_tuple_wanted_twice(lab):
    """The same client address and port, to two ports that are copied to one
    target: the same worker has both, and one gets another port."""
    lab.serve(lab.online, ONLINE_PORT + 1)
    lab.client.run("sysctl", "-qw",
                   "net.ipv4.ip_local_port_range=20000 20039")
    copy = start(lab, transfer=f"{lab.transfer},{ONLINE_PORT + 1}-"
                 f"{lab.target.addr}:{TARGET_PORT}", online=4)
    loads = [lab.load_start(f"{lab.online.addr}:{port}", seed=port,
                            source=CLIENTS[:1], connections=40, requests=10,
                            open_together=True)
             for port in (ONLINE_PORT, ONLINE_PORT + 1)]
    for load in loads:
        load.done()
    wait_until(lambda: copy.target_app.totals()["requests"] == 800,
               what="both ports' requests")
    ledger = copy.tcpcopy.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
    assert counter(ledger, "routes_refused") == 0
    assert counter(ledger, "remapped") == 40


def test_target_that_copies_back(lab):
    """With other ports, so that they come to other workers."""
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule(TARGET_PORT)
    program = lab.start_intercept()
    lab.start_intercept(host=lab.online)
    back = lab.start_tcpcopy(
        "-x", f"{TARGET_PORT}-{lab.online.addr}:{ONLINE_PORT}", "-n", 8,
        host=lab.target)
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "--workers", 4)
    copy = Copy(online, target, program, tcpcopy)
    lab.load(connections=10, concurrent=10, requests=3)
    copy.settle()
    wait_until(lambda: tcpcopy.ledger()["connections"]["captured"] >= 18,
               what="eight copies that come back")
    ledger = tcpcopy.finish()
    assert_balanced(ledger)
    back_again = ledger["connections"]["captured"] - 10
    assert lost(ledger, "connections") == {"loop": back_again}
    back.kill()


def test_ipv6(lab):
    copy = start(lab, transfer=f"{ONLINE_PORT}-[{lab.target.addr6}]:"
                 f"{TARGET_PORT}")
    lab.load(f"[{lab.online.addr6}]:{ONLINE_PORT}", source=CLIENTS6, **LOAD)
    copy.exact()


def test_several_devices(lab):
    """The same packets on one and more devices, in as many groups."""
    copy = start(lab, "--device", "eth0,lo", online=3)
    lab.load(**LOAD)
    copy.exact()


def test_a_device_goes_down(lab):
    """Afterwards the groups are as before."""
    copy = start(lab, "--device", "eth0", online=3)
    lab.load(**LOAD)
    copy.settle()
    lab.online.run("ip", "link", "set", "eth0", "down")
    lab.online.run("ip", "link", "set", "eth0", "up")
    lab.online.run("ip", "route", "add", "default", "via", "192.0.2.254")
    wait_until(lambda: all(link["up"]
                           for link in copy.tcpcopy.ledger()["links"]),
               what="the links to be back")
    lab.load(**LOAD)
    copy.exact()


def test_limits_are_for_all(lab):
    copy = start(lab, "--max-sessions", 10, "-m", 128)
    lab.load(connections=100, concurrent=100, requests=3, open_together=True)
    copy.settle()
    ledger = copy.tcpcopy.ledger()
    assert ledger["sessions"] <= 10
    assert counter(ledger, "shed_sessions") >= 80
    assert ledger["memory_peak_kb"] < 128 * 1024 or lab.sanitized
    assert_balanced(copy.tcpcopy.finish())


# --- one to the outside -----------------------------------------------------

def test_signals_log_and_json(lab):
    log, pid = lab.path("log"), lab.path("pid")
    copy = start(lab, "-l", log, "-P", pid, "--stats", "0.3", ready=False)
    wait_until(copy.tcpcopy.objects, what="tcpcopy to be ready")
    with open(pid) as f:
        assert int(f.read()) == copy.tcpcopy.pid
    assert [o["type"] for o in copy.tcpcopy.objects()].count("ready") == 1
    wait_until(lambda: len(copy.tcpcopy.ledgers()) > 2, what="reports")
    os.rename(log, log + ".1")
    copy.tcpcopy.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(log), what="the log to be opened again")
    lab.load(**LOAD)
    copy.exact()
    with open(log + ".1") as f:
        text = f.read()
    for name in ("tcpcopy info: ready: 2 workers", "tcpcopy/0 info: works",
                 "tcpcopy/1 info: works"):
        assert name in text, text
    assert not os.path.exists(pid)


def test_daemon(lab):
    """The caller gets its prompt back when all run, and none keeps it."""
    pid_path, log = lab.path("pid"), lab.path("log")
    lab.rule(TARGET_PORT, "--queue-balance", "0:1")
    caller = lab.start_intercept("--workers", 2, "-d", "-P", pid_path, "-l",
                                 log, ready=False)
    assert caller.wait() == 0, caller.err()
    assert caller.err() == caller.out() == ""
    with open(pid_path) as f:
        head = int(f.read())
    pids = workers(head) + [head]
    assert len(pids) == 3
    for pid in pids:
        wait_until(lambda pid=pid:
                   os.readlink(f"/proc/{pid}/fd/0") == "/dev/null",
                   what="the terminal to be left")
    os.kill(head, signal.SIGTERM)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}")
                               for pid in pids), what="all to end")
    assert not os.path.exists(pid_path)
    assert caller.ledgers()[-1]["final"] is True


def test_key(lab):
    """Each worker proves that it has it, and has to do with no other."""
    key = lab.path("key")
    lab.target.run(lab.intercept_bin, "--make-key", key)
    copy = start(lab, "--key-file", key, intercept=("--key-file", key))
    lab.load(**LOAD)
    ledger = copy.exact()
    assert len(by_worker(ledger)) == 2
    assert min(by_worker(ledger).values()) > 100


def test_stopped_all_at_once(lab):
    """As a service manager does it."""
    copy = start(lab)
    lab.load(**LOAD)
    copy.settle()
    for program in (copy.tcpcopy, copy.intercept):
        for pid in workers(program) + [program.pid]:
            os.kill(pid, signal.SIGTERM)
        assert program.wait() == 0
        assert program.ledgers()[-1]["final"] is True


@pytest.mark.parametrize("which", ["tcpcopy", "intercept"])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_crashes(lab, which, victim):
    """All end, with an error; nothing gets out; started again, all goes on."""
    tap = lab.tap()
    copy = start(lab)
    load = lab.load_start(connections=40, concurrent=40, requests=300,
                          think_ms=10)
    program = getattr(copy, which)
    wait_until(lambda: copy.target_app.totals()["requests"] > 500,
               what="some requests")
    time.sleep(1.5)  # accounts are kept up once a second
    others = workers(program)
    os.kill(others[victim], signal.SIGKILL)
    assert program.wait() == 1
    assert f"worker {victim} has ended by signal 9" in program.err()
    final = program.ledgers()[-1]
    assert final["final"] is True
    # the one that was killed has its part in it
    assert len(by_worker(final)) == 2 and min(by_worker(final).values()) > 0
    for pid in others:
        assert not os.path.exists(f"/proc/{pid}")
    if which == "intercept":
        lab.start_intercept("--workers", 2)
    else:
        lab.start_tcpcopy("-x", lab.transfer, "-p", ports(2), "--workers", 2)
    before = copy.target_app.totals()["requests"]
    wait_until(lambda: copy.target_app.totals()["requests"] > before,
               what="copying to go on")
    load.done()
    assert tap.count() == 0


def test_a_worker_stands_still(lab):
    """It is said; the others copy, report and are told of as before."""
    copy = start(lab)
    lab.load(**LOAD)
    copy.tcpcopy.ledger()
    second = workers(copy.tcpcopy)[1]
    os.kill(second, signal.SIGSTOP)
    wait_until(lambda: "worker 1 does not answer" in copy.tcpcopy.err(),
               what="the head to say so")
    before = by_worker(copy.tcpcopy.ledger())
    lab.load(connections=100, requests=5, seed=9)
    after = by_worker(copy.tcpcopy.ledger())
    assert after[0] > before[0] and after[1] == before[1]
    os.kill(second, signal.SIGCONT)
    copy.exact()
    assert "worker 1 answers again" in copy.tcpcopy.err()


def test_the_head_is_killed(lab):
    copy = start(lab)
    for program in (copy.tcpcopy, copy.intercept):
        pids = workers(program)
        program.kill()
        wait_until(lambda pids=pids: not any(os.path.exists(f"/proc/{pid}")
                                             for pid in pids),
                   what="the workers to end")
    assert lab.queue(0) is None and lab.queue(1) is None


def test_capabilities(lab):
    """The head keeps none; workers those of a single process."""
    def effective(pid):
        with open(f"/proc/{pid}/status") as f:
            return int(f.read().split("CapEff:")[1].split()[0], 16)

    copy = start(lab)
    net_admin = 1 << 12
    assert effective(copy.tcpcopy.pid) == 0
    assert effective(copy.intercept.pid) == 0
    assert {effective(pid) for pid in workers(copy.tcpcopy)} <= \
        {0, 1 << 23}  # CAP_SYS_NICE, see test_privileges.py
    assert {effective(pid) for pid in workers(copy.intercept)} == {net_admin}


# --- one guard for all ------------------------------------------------------

def guarded(lab, *args, relay=(), online=2, target=2, transfer=None):
    online_app = lab.serve(lab.online, ONLINE_PORT)
    target_app = lab.serve(lab.target, TARGET_PORT)
    program = lab.start_intercept("--workers", target, "--guard", TARGET_PORT,
                                  *relay)
    tcpcopy = lab.start_tcpcopy("-x", transfer or lab.transfer, "-p",
                                ports(target), "--workers", online, *args)
    return Copy(online_app, target_app, program, tcpcopy)


def test_guard(lab):
    copy = guarded(lab)
    lab.load(**LOAD)
    ledger = copy.intercept.ledger()
    assert ledger["guard"]["armed"] and ledger["guard"]["fallen"] == 0
    assert all(lab.queue(n)["id"] > 0 for n in (0, 1))
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


def records_by_pair(ledger):
    """Those between each worker of tcpcopy and each of intercept's."""
    sums = {}
    for link in ledger["links"]:
        pair = link.get("worker", 0), link["group"]
        sums[pair] = sums.get(pair, 0) + link["records_in"] + \
            link["records_out"]
    return sums


def assert_by_port(copy):
    """No answer came to a worker of intercept that had no route for it, and
    each had its part."""
    ledger = copy.intercept.ledger()
    assert counter(ledger, "unrouted") == 0, ledger
    assert all(n > 100 for n in by_worker(ledger, "records_out").values())


def assert_each_its_own(copy):
    """Each worker of tcpcopy had to do with one of intercept's."""
    had = records_by_pair(copy.tcpcopy.ledger())
    assert min(had[0, 0], had[1, 1]) > 100, had
    assert max(had[0, 1], had[1, 0]) < 100, had


@pytest.mark.parametrize("way", ["raw", "link", "relay"])
@pytest.mark.parametrize("family", [4, 6])
def test_worker_meets_worker(lab, way, family):
    """Answers come to the worker of the client's port, and it is told of no
    other sessions: each of tcpcopy's has to do with one of intercept's."""
    transfer, to, of = lab.transfer, (), {}
    if family == 6:
        transfer = f"{ONLINE_PORT}-[{lab.target.addr6}]:{TARGET_PORT}"
        to, of = (f"[{lab.online.addr6}]:{ONLINE_PORT}",), {"source": CLIENTS6}
    relay = ("--relay", TARGET_PORT) if way == "relay" else ()
    copy = guarded(lab, "--path", way, relay=relay, transfer=transfer)
    lab.load(*to, **of, **LOAD)
    copy.settle()
    assert_each_its_own(copy)
    assert_by_port(copy)
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


@pytest.mark.parametrize("way", ["raw", "relay"])
@pytest.mark.parametrize("listed", [False, True])
def test_one_client_address(lab, way, listed):
    """Its answers come to both workers all the same."""
    relay = ("--relay", TARGET_PORT) if way == "relay" else ()
    args = ("-c", "203.0.113.7") if listed else ()
    copy = guarded(lab, "--path", way, *args, relay=relay)
    lab.load(**LOAD, **({} if listed else {"source": CLIENTS[:1]}))
    copy.settle()
    assert_each_its_own(copy)
    assert_by_port(copy)
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


@pytest.mark.parametrize("online,target", [(2, 2), (2, 3), (1, 2)])
def test_all_long_answers_are_acknowledged(lab, online, target):
    """By intercept, since a session's packets and answers meet there."""
    copy = guarded(lab, "--path", "relay", relay=("--relay", TARGET_PORT),
                   online=online, target=target)
    lab.load(connections=16, concurrent=8, requests=5, answer_size=300_000)
    copy.settle()
    assert counter(copy.intercept.ledger(), "local_sessions") == 16
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


def delete_rule(lab, words):
    """The first of the guard's for IPv4 in which these are."""
    table = "ip", f"tcpcopy_guard_{TARGET_PORT}"
    text = lab.target.run("nft", "-a", "list", "table", *table).stdout
    line = next(at for at in text.splitlines() if words in at)
    lab.target.run("nft", "delete", "rule", *table, "output", "handle",
                   line.split()[-1])


def survives(lab, copy, tap, harm):
    """The guard mends what harm() does, three times, and nothing is lost or
    gets out."""
    load = lab.load_start(connections=40, concurrent=40, requests=300,
                          think_ms=10)
    for _ in range(3):
        before = copy.target_app.totals()["requests"]
        fallen = copy.intercept.ledger()["guard"]["fallen"]
        harm()
        wait_until(lambda n=fallen:
                   copy.intercept.ledger()["guard"]["fallen"] > n,
                   what="the guard to see it")
        wait_until(lambda n=before:
                   copy.target_app.totals()["requests"] > n + 50,
                   what="copying to go on")
    load.done()
    copy.exact()
    assert tap.count() == 0
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


def test_what_no_worker_takes(lab):
    """The rule of one worker is gone: the last one queues all the same, and
    the guard puts it back."""
    tap = lab.tap()
    copy = guarded(lab)
    survives(lab, copy, tap, lambda: delete_rule(lab, "bpf"))


def test_the_last_rule_takes_all(lab):
    """Left alone with nobody that mends it, and with nobody at all."""
    tap = lab.tap()
    copy = guarded(lab)
    copy.tcpcopy.finish()
    copy.intercept.finish()
    delete_rule(lab, "bpf")
    copy.intercept = lab.start_intercept("--workers", 2)
    copy.tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "-p", ports(2),
                                     "--workers", 2)
    lab.load(**LOAD)
    copy.settle()
    sent = by_worker(copy.intercept.ledger(), "records_out")
    assert sent[0] > 1000 and sent.get(1, 0) < 100, sent
    assert copy.tcpcopy.ledger()["turns"]["answered"] == 400 * 20
    copy.intercept.finish()
    lab.load(connections=40, seed=9)
    assert tap.count() == 0


def test_a_kernel_without_the_match(lab):
    """It spreads answers by addresses, and each worker has all routes."""
    plain = lab.path("intercept")
    with open(lab.intercept_bin, "rb") as f:
        code = f.read()
    assert code.count(b"\0bpf\0") == 1
    with open(plain, "wb") as f:
        f.write(code.replace(b"\0bpf\0", b"\0bpX\0"))
    os.chmod(plain, 0o755)
    lab.intercept_bin = plain
    copy = guarded(lab)
    lab.load(**LOAD)
    copy.settle()
    had = records_by_pair(copy.tcpcopy.ledger())
    assert len(had) == 4 and min(had.values()) > 100, had
    rules = lab.target.run("nft", "list", "ruleset").stdout
    assert "bpf" not in rules and "0-1" in rules, rules
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


@pytest.mark.parametrize("way", ["raw", "relay"])
@pytest.mark.parametrize("online,target", [(1, 2), (2, 3), (3, 2), (4, 2)])
def test_other_numbers_of_workers(lab, way, online, target):
    relay = ("--relay", TARGET_PORT) if way == "relay" else ()
    copy = guarded(lab, "--path", way, relay=relay, online=online,
                   target=target)
    lab.load(**LOAD)
    copy.settle()
    assert_by_port(copy)
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


@pytest.mark.parametrize("way", ["raw", "relay"])
def test_another_rule_after_a_restart(lab, way):
    """By port first, by addresses then, and by port again, while connections
    go on."""
    relay = ("--relay", TARGET_PORT) if way == "relay" else ()
    copy = guarded(lab, "--path", way, relay=relay)
    load = lab.load_start(connections=40, concurrent=40, requests=600,
                          think_ms=10)
    for by_port in (False, True):
        before = copy.target_app.totals()["requests"]
        wait_until(lambda n=before:
                   copy.target_app.totals()["requests"] > n + 100,
                   what="copying")
        copy.intercept.finish()
        guard = ["--guard", TARGET_PORT]
        if not by_port:
            lab.rule(TARGET_PORT, "--queue-balance", "0:1")
            # --unguard would not, while there are connections
            lab.target.run("nft", "delete", "table", "ip",
                           f"tcpcopy_guard_{TARGET_PORT}")
            guard = []
        copy.intercept = lab.start_intercept("--workers", 2, *guard, *relay)
    load.done()
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


@pytest.mark.parametrize("way", ["raw", "relay"])
def test_a_guard_that_falls(lab, way):
    """Nothing gets out, nothing is injected meanwhile, and copying goes on."""
    tap = lab.tap()
    relay = ("--relay", TARGET_PORT) if way == "relay" else ()
    copy = guarded(lab, "--path", way, relay=relay)
    survives(lab, copy, tap, lambda: lab.target.run("nft", "flush", "ruleset"))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_guard_outlives_its_workers(lab, victim):
    """All have ended, and still nothing gets out."""
    tap = lab.tap()
    copy = guarded(lab)
    load = lab.load_start(connections=40, concurrent=40, requests=300,
                          think_ms=10)
    wait_until(lambda: copy.target_app.totals()["requests"] > 500,
               what="some requests")
    rules = lab.target.run("nft", "-s", "list", "ruleset").stdout
    os.kill(workers(copy.intercept)[victim], signal.SIGKILL)
    assert copy.intercept.wait() == 1
    after = lab.target.run("nft", "-s", "list", "ruleset").stdout
    assert "tcpcopy" in rules and after.split() == rules.split()
    load.done()
    lab.start_intercept("--workers", 2, "--guard", TARGET_PORT)
    before = copy.target_app.totals()["requests"]
    lab.load(connections=20, seed=9)
    wait_until(lambda: copy.target_app.totals()["requests"] > before,
               what="copying to go on")
    assert tap.count() == 0


def test_the_worker_with_the_guard_is_stopped(lab):
    """The other one does not vouch for what nobody has seen."""
    copy = guarded(lab)
    lab.load(**LOAD)
    first = workers(copy.intercept)[0]
    os.kill(first, signal.SIGSTOP)
    wait_until(lambda: counter(copy.tcpcopy.ledger(), "guard_pauses") > 0,
               what="tcpcopy to stop sending")
    os.kill(first, signal.SIGCONT)
    lab.load(connections=20, seed=9)
    copy.exact()
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


# --- what does not fit ------------------------------------------------------

def test_tcpcopy_must_know_all_workers(lab):
    lab.serve(lab.target, TARGET_PORT)
    lab.start_intercept("--workers", 3)
    for known in ((), ("-p", ports(2))):
        program = lab.start_tcpcopy("-x", lab.transfer, *known, ready=False)
        assert program.wait() == ENVIRONMENT
        assert "has 3 workers" in program.err()
        assert program.err().count("\n") == 1, program.err()


def test_a_start_that_fails_is_told_once(lab):
    program = lab.start_tcpcopy("-x", lab.transfer, "--workers", 4,
                                ready=False)
    assert program.wait() == ENVIRONMENT
    assert program.err().count("cannot be reached") == 1, program.err()
    lab.start_intercept("--queue-num", 1)
    taken = lab.start_intercept("--workers", 2, "-p", LINK_PORT + 10,
                                ready=False)
    assert taken.wait() == ENVIRONMENT
    assert "--queue-num 1: another process has this queue" in taken.err()
    assert lab.queue(0) is None


@pytest.mark.parametrize("by_port", [False, True])
def test_doctors(lab, by_port):
    copy = (guarded if by_port else start)(lab, target=3)
    check = lab.start_tcpcopy("check", "-x", lab.transfer, "-p", ports(3),
                              ready=False, json_file=False)
    assert check.wait() == 0, check.out()
    # the answer comes out at any worker
    assert "the answer comes through intercept" in check.out()
    few = lab.start_tcpcopy("check", "-x", lab.transfer, "-p", ports(2),
                            ready=False, json_file=False)
    assert few.wait() == 1
    assert "has 3 workers, 2 of them are known here" in few.out()
    assert copy.tcpcopy.alive()
    if by_port:
        copy.intercept.finish()
        lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


def test_the_doctor_of_the_target(lab):
    """Every worker's queue and port; a rule for more or fewer queues."""
    def doctor(*args):
        check = lab.start_intercept("check", "--workers", 2, *args,
                                    ready=False, json_file=False)
        check.wait()
        return check.out()

    lab.serve(lab.target, TARGET_PORT)
    lab.rule(TARGET_PORT, "--queue-balance", "0:1")
    said = doctor()
    assert "queue 0 is free" in said and "queue 1 is free" in said, said
    assert "go to queues 0 to 1" in said, said
    lab.start_intercept("--workers", 2)
    said = doctor()
    for n in (0, 1):
        assert f"queue {n}: intercept" in said, said
        assert f":{LINK_PORT + n}" in said, said
    assert "FAIL" not in said, said
    assert "which 1 to 2 are ours" in doctor("--queue-num", 1)
    lab.target.run("iptables", "-F", "OUTPUT")
    lab.rule(TARGET_PORT)
    assert "go to queues 1 to 1: their workers" in doctor()


def test_the_doctor_of_a_guard(lab):
    """Its rules are read as anybody's, one for each queue."""
    def doctor():
        check = lab.start_intercept("check", "--workers", 3, ready=False,
                                    json_file=False)
        check.wait()
        return check.out()

    lab.serve(lab.target, TARGET_PORT)
    lab.start_intercept("--workers", 3, "--guard", TARGET_PORT).finish()
    assert doctor().count("go to queues 0 to 2") == 2, doctor()
    delete_rule(lab, "queue num 0")
    said = doctor()
    assert said.count("go to queues 0 to 2") == 1, said
    assert "IPv4: only some answers" in said, said
    lab.target.run(lab.intercept_bin, "--unguard", TARGET_PORT)


def test_the_whole_of_two_onlines(lab2):
    """Two tcpcopies of two workers each."""
    onlines = [lab2.serve(host, ONLINE_PORT) for host in lab2.onlines]
    target = lab2.serve(lab2.target, TARGET_PORT)
    lab2.rule(TARGET_PORT, "--queue-balance", "0:1")
    lab2.start_intercept("--workers", 2)
    copies = [lab2.start_tcpcopy("-x", lab2.transfer, "-p", ports(2),
                                 "--workers", 2, host=host)
              for host in lab2.onlines]
    loads = [lab2.load_start(f"{app.host.addr}:{ONLINE_PORT}", seed=n + 1,
                             **LOAD) for n, app in enumerate(onlines)]
    for load in loads:
        load.done()
    want = sum(app.totals()["requests"] for app in onlines)
    wait_until(lambda: target.totals()["requests"] == want, 60,
               "all requests")
    wait_until(lambda: not lab2.target.sockets(TARGET_PORT),
               what="no connection to be left")
    for copy in copies:
        ledger = copy.finish()
        assert_balanced(ledger)
        assert_whole(ledger)
    assert_exact([app.finish() for app in onlines], target.finish())
