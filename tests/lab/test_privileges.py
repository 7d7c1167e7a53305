# SPDX-License-Identifier: BSD-2-Clause
"""What a running program may still do: user, capabilities, system calls."""
import glob
import os
import pwd
import re
import signal
import subprocess

import pytest
from outcome import Copy
from waiting import wait_until
from test_cli import (BAD_INPUT, ENVIRONMENT, X, one_line, only, read, run,
                      without)

HERE = os.path.dirname(os.path.abspath(__file__))
CAPABILITIES = {name: int(number) for name, number in re.findall(
    r"^#define (CAP_\w+)\s+(\d+)$", read("/usr/include/linux/capability.h"),
    re.M)}


def has(pid, capability):
    caps = re.search(r"^CapEff:\s*(\w+)$", read(f"/proc/{pid}/status"), re.M)
    return bool(int(caps[1], 16) >> CAPABILITIES[capability] & 1)


def stated(program, pattern):
    """The capabilities in what the man page says there, whose beginning is
    the pattern's group."""
    page = read(os.path.join(HERE, "..", "..", "man", f"{program}.8"))
    section = page.split(".SH PRIVILEGES")[1].split(".SH ")[0]
    found = re.findall(pattern, section)
    assert len(found) == 1, (program, found)
    return re.findall(r"CAP_[A-Z_]+", found[0])


def stated_both(pattern):
    return {name: stated(name, pattern) for name in ("tcpcopy", "intercept")}


# As the man pages say.
KEPT = {name: sum(1 << CAPABILITIES[each] for each in capabilities)
        for name, capabilities in
        stated_both(r"(.*capabilit(?:y|ies) .*left):").items()}
# --nice may have to keep that one where root may not set limits.
MAY_KEEP = {"intercept": 0,
            "tcpcopy": 0 if has(os.getpid(), "CAP_SYS_RESOURCE") else
            1 << CAPABILITIES["CAP_SYS_NICE"]}
NEEDED = {name: capability[len("CAP_"):].lower() for name, (capability,) in
          stated_both(r"To start it, (.*) is enough").items()}
NOBODY = pwd.getpwnam("nobody")


def default_user():
    try:
        return pwd.getpwnam("tcpcopy")
    except KeyError:
        return NOBODY


def statuses(pid):
    """Of every thread, /proc/PID/task/TID/status as a dict."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        pairs = (line.split(":", 1) for line in read(path).splitlines())
        found.append({key: value.split() for key, value in pairs})
    assert found, pid
    return found


def assert_harmless(lab, name, pid, user):
    for status in statuses(pid):
        assert status["Uid"] == [str(user.pw_uid)] * 4, status
        assert status["Gid"] == [str(user.pw_gid)] * 4, status
        assert status["NoNewPrivs"] == ["1"], status
        for kind in ("CapEff", "CapPrm"):
            assert int(status[kind][0], 16) & ~MAY_KEEP[name] == \
                KEPT[name], (kind, status)
        for kind in ("CapInh", "CapAmb"):
            assert int(status[kind][0], 16) == 0, (kind, status)
        if not lab.sanitized:
            assert status["Seccomp"] == ["2"], status
    # Who is not root may neither trace it nor make it leave a core.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    limit = [line.split() for line in read(f"/proc/{pid}/limits").splitlines()
             if line.startswith("Max core file size")][0]
    assert limit[4:6] == ["0", "0"], limit


def start_both(lab, *args, **kw):
    wraps = kw.pop("wraps", {})
    intercept = lab.start_intercept(*args, wrap=wraps.get("intercept", ()))
    tcpcopy = lab.start_tcpcopy(*X, *args, wrap=wraps.get("tcpcopy", ()))
    return {"intercept": intercept, "tcpcopy": tcpcopy}


def copied(lab, online, target, programs):
    lab.load(connections=200, concurrent=20, requests=10)
    Copy(online, target, programs["intercept"], programs["tcpcopy"]).exact()


@pytest.fixture
def servers(lab):
    lab.rule()
    return lab.serve(lab.online, 11311), lab.serve(lab.target, 11511)


@pytest.mark.parametrize("args,user", [
    ((), default_user()), (("--user", "daemon"), pwd.getpwnam("daemon")),
    (("--user", "1"), pwd.getpwuid(1))])
def test_root_becomes_a_user(lab, servers, args, user):
    programs = start_both(lab, *args)
    for name, program in programs.items():
        assert_harmless(lab, name, program.pid, user)
        assert all(int(s["CapBnd"][0], 16) == 0 and not s["Groups"]
                   for s in statuses(program.pid))
    copied(lab, *servers, programs)


def test_a_user_id_that_nobody_has(lab):
    program = lab.start_intercept("--user", "54321")
    assert statuses(program.pid)[0]["Uid"] == ["54321"] * 4
    assert statuses(program.pid)[0]["Gid"] == ["54321"] * 4


def test_started_with_just_the_capability(lab, servers):
    programs = start_both(lab, wraps={name: only(capability) for
                                      name, capability in NEEDED.items()})
    for name, program in programs.items():
        assert_harmless(lab, name, program.pid, NOBODY)
    copied(lab, *servers, programs)


def test_capabilities_on_the_file(lab, servers):
    """As README says: setcap, and an ordinary user starts it."""
    programs = {}
    for name, start, args in (("intercept", lab.start_intercept, ()),
                              ("tcpcopy", lab.start_tcpcopy, X)):
        mine = lab.path(f"{name}-with-capability")
        original = getattr(lab, f"{name}_bin")
        subprocess.run(["cp", original, mine], check=True)
        subprocess.run(["setcap", f"cap_{NEEDED[name]}=ep", mine], check=True)
        setattr(lab, f"{name}_bin", mine)
        programs[name] = start(*args, wrap=(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
        assert_harmless(lab, name, programs[name].pid, NOBODY)
    copied(lab, *servers, programs)


RELAY = ("--relay", "11511")
BOTH = "net_admin,+net_raw"


def setcap(lab):
    """intercept's binary with the capabilities that its man page gives it."""
    words, = re.findall(r"\((cap_\S+=ep)\)", read(os.path.join(
        HERE, "..", "..", "man", "intercept.8")))
    mine = lab.path("intercept-with-capabilities")
    subprocess.run(["cp", lab.intercept_bin, mine], check=True)
    subprocess.run(["setcap", words, mine], check=True)
    lab.intercept_bin = mine
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.parametrize("start,user", [
    (lambda lab: (), default_user()), (lambda lab: only(BOTH), NOBODY),
    (setcap, NOBODY)], ids=["root", "capabilities", "setcap"])
def test_relay(lab, servers, start, user):
    """Its sockets are open, and what opened them is given up."""
    intercept = lab.start_intercept(*RELAY, wrap=start(lab))
    assert_harmless(lab, "intercept", intercept.pid, user)
    tcpcopy = lab.start_tcpcopy(*X, "--path", "relay")
    lab.load(connections=200, concurrent=20, requests=10)
    Copy(*servers, intercept, tcpcopy).exact()
    assert intercept.ledger()["inject"]["sent"] > 2000


@pytest.mark.parametrize("wrap", [only("net_admin"), without("net_raw")],
                         ids=["one capability", "root without it"])
def test_relay_without_its_capability(lab, wrap):
    line = one_line(run(lab, "intercept", *RELAY, wrap=wrap), ENVIRONMENT)
    assert "--relay: CAP_NET_RAW is missing" in line
    assert "setcap cap_net_admin,cap_net_raw=ep" in line
    # it is for that option only
    lab.start_intercept(wrap=wrap)


def test_root_that_may_not_change_its_user(lab):
    """As in a container: it goes on as it is, with nothing else."""
    program = lab.start_intercept(wrap=(
        "setpriv", "--bounding-set", "-setuid,-setgid"))
    program.wait_for("runs as root")
    status = statuses(program.pid)[0]
    assert status["Uid"] == ["0"] * 4
    assert int(status["CapEff"][0], 16) == KEPT["intercept"]
    line = one_line(run(lab, "intercept", "--user", "daemon", "-p", 40000,
                        "--queue-num", 1,
                        wrap=("setpriv", "--bounding-set", "-setuid")),
                    ENVIRONMENT)
    assert "--user daemon" in line and "CAP_SETUID" in line


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_user_that_is_none(lab, name):
    more = X if name == "tcpcopy" else ()
    for user in ("no-such-user", "", "4294967295", "-1", "1x"):
        line = one_line(run(lab, name, *more, "--user", user), BAD_INPUT)
        assert f"{name}: --user {user}" in line and "user of this host" in line


def service(lab, name, *args, **kw):
    if name == "intercept":
        return lab.start_intercept(*args, **kw)
    lab.start_intercept()
    return lab.start_tcpcopy(*X, *args, **kw)


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_other_user_without_root(lab, name):
    if name == "tcpcopy":
        lab.start_intercept()
    more = X if name == "tcpcopy" else ()
    line = one_line(run(lab, name, *more, "--user", "daemon",
                        wrap=only(NEEDED[name])), ENVIRONMENT)
    assert "--user daemon" in line and "CAP_SETUID" in line


def reopened(program, paths):
    for path in paths:
        os.rename(path, path + ".1")
        with open(path, "w"):  # as logrotate's create
            pass
        os.chown(path, default_user().pw_uid, -1)
    os.kill(program, signal.SIGHUP)
    os.kill(program, signal.SIGUSR1)
    wait_until(lambda: all("ledger" in read(path) for path in paths),
               what="the new files")


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_files_in_a_folder_of_root(lab, name):
    """As /var/log and /run are: logrotate makes the new log; the pid file
    cannot be removed any more, and is empty when nobody has it."""
    folder = lab.path("var")
    os.mkdir(folder, 0o755)
    log, pid, json = (os.path.join(folder, x) for x in ("log", "pid", "json"))
    program = service(lab, name, "-l", log, "-P", pid, "--json", json,
                      json_file=False, ready=False)
    wait_until(lambda: os.path.exists(log) and "ready" in read(log))
    assert os.stat(log).st_uid == default_user().pw_uid
    assert os.stat(pid).st_uid == 0
    reopened(program.pid, [log, json])
    assert program.stop() == 0
    assert read(pid) == ""
    again = service(lab, name, "-l", log, "-P", pid, ready=False) \
        if name == "intercept" else \
        lab.start_tcpcopy(*X, "-l", log, "-P", pid, ready=False)
    wait_until(lambda: read(pid) == f"{again.pid}\n")


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_log_that_cannot_be_opened_again(lab, name):
    """It goes on with the one that it has, and says so there."""
    folder = lab.path("var")
    os.mkdir(folder, 0o755)
    log, json = os.path.join(folder, "log"), os.path.join(folder, "json")
    program = service(lab, name, "-l", log, "--json", json, json_file=False,
                      ready=False)
    wait_until(lambda: os.path.exists(log) and "ready" in read(log))
    for path in (log, json):
        os.rename(path, path + ".1")
    program.signal(signal.SIGHUP)
    wait_until(lambda: read(log + ".1").count("cannot be opened again") == 2)
    program.signal(signal.SIGUSR1)
    wait_until(lambda: "ledger" in read(log + ".1") and
               '"ledger"' in read(json + ".1"))
    assert not os.path.exists(log) and not os.path.exists(json)
    assert program.stop() == 0


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_links_to_other_files_are_not_given_away(lab, name):
    """A log that is there already keeps its owner."""
    precious = lab.path("precious")
    with open(precious, "w") as f:
        f.write("root's\n")
    os.symlink(precious, lab.path("log"))
    program = service(lab, name, "-l", lab.path("log"), ready=False)
    wait_until(lambda: "ready" in read(precious))
    assert os.stat(precious).st_uid == 0
    assert program.alive()


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_daemon_of_a_user(lab, name):
    log, path = lab.path("log"), lab.path("pid")
    program = service(lab, name, "-d", "-P", path, "-l", log, ready=False)
    assert program.wait() == 0, program.err()
    pid = int(read(path))
    assert_harmless(lab, name, pid, default_user())
    reopened(pid, [log])
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(path), what="the daemon's end")


def test_others_of_the_same_user_cannot_look_into_it(lab):
    program = lab.start_intercept()
    for what, readable in (("status", True), ("maps", False)):
        done = subprocess.run(
            ["setpriv", "--reuid", str(default_user().pw_uid), "--regid",
             str(default_user().pw_gid), "--clear-groups", "cat",
             f"/proc/{program.pid}/{what}"], capture_output=True)
        assert (done.returncode == 0) is readable, done


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_daemon_with_nothing_but_the_system_log(lab, name):
    """Its socket is opened later, when there is something to say."""
    path = lab.path("pid")
    program = service(lab, name, "-d", "-P", path, ready=False)
    assert program.wait() == 0, program.err()
    pid = int(read(path))
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: len(program.ledgers()) == 1, what="the ledger")
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: len(program.ledgers()) == 2, what="the last ledger")
