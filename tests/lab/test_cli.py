# SPDX-License-Identifier: BSD-2-Clause
"""The command line: what is refused and how, and life as a service."""
import os
import re
import signal
import socket

import pytest
from lab import LINK_PORT
from outcome import lost
from processes import Process
from waiting import LabError, wait_until

BAD_INPUT, ENVIRONMENT = 2, 3
X = ("-x", "11311-192.0.2.2:11511")

NO_HOST = ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255")

# option, bad value, what the line must say is allowed
TCPCOPY_BAD = [
    *[("-x", value, "") for value in (
        "", "80", "80-", "80-192.0.2.2", "80-192.0.2.2:", "80-:80",
        "80-192.0.2.2:80,", "x-192.0.2.2:80", "-192.0.2.2:80",
        "80-[2001:db8::1:80", "80-192.0.2.2:80-192.0.2.3:80",
        "80-192.0.2.300:80", "80-no.such.host.invalid:80",
        "1.2.3:80-192.0.2.2:80", "192.0.2.1:80-[2001:db8::1]:80",
        "80-192.0.2.2:80,80-192.0.2.2:80")],
    *[("-x", value, "1 to 65535") for value in (
        "0-192.0.2.2:80", "65536-192.0.2.2:80", "80-192.0.2.2:0",
        "80-192.0.2.2:65536", "192.0.2.1:0-192.0.2.2:80")],
    *[("-n", value, "1 to 1023") for value in
      ("0", "1024", "x", "", "-1", "1.5", "1 ", "99999999999999999999")],
    *[("-f", value, "0 to 1023") for value in ("-1", "1024", "x", "")],
    *[("-r", value, "1 to 100") for value in ("0", "101", "x", "50%")],
    *[("-m", value, "16 to ") for value in
      ("0", "15", "x", "1e3", "1048577")],
    *[("-M", value, "576 to 65535") for value in ("0", "575", "65536", "x")],
    *[("-S", value, "64 to 65495") for value in ("0", "63", "65496", "x")],
    *[("-C", value, "1 to 16") for value in ("0", "17", "x")],
    *[("-t", value, "1 to 86400") for value in ("0", "-5", "x", "86401")],
    *[("-k", value, "1 to 604800") for value in ("0", "x", "604801")],
    *[("--max-hold", value, "0.001 to 86400") for value in
      ("0", "x", "1.2.3", "86401")],
    *[("-p", value, "1 to 65535") for value in ("0", "65536", "x")],
    *[("-c", value, "") for value in
      ("", "300.1.1.1", "62.135.x.x", "192.0.2.0/33", "192.0.2.1,",
       "10.0.0.0/7")],
    *[("-H", value, "the address of one host") for value in
      ("", "x", "127.0.0.1", *NO_HOST)],
    *[(option, value, "not the address of a host")
      for option in ("-c", "-s") for value in NO_HOST],
    *[("-x", f"80-{value}:80", "not the address of a host")
      for value in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "[ff02::1]")],
    *[("-s", value, "") for value in
      ("", "192.0.2.2:0", "192.0.2.2,", "no.such.host.invalid")],
    *[("--max-sessions", value, "1 to 10000000")
      for value in ("0", "x", "10000001")],
    *[("--max-rate", value, "1 to 100000000") for value in
      ("0", "x", "2G", "M", "100000001")],
    *[("--max-rate", value, "1 to 1000000") for value in ("0M", "1000001M")],
    *[("--max-rate", value, "") for value in
      ("", "5,6", "5M,6M", "5M,", "1.5M")],
    *[("--max-cpu", value, "1 to 100") for value in ("0", "x", "101")],
    *[("--nice", value, "0 to 19") for value in ("-1", "x", "20")],
    ("-i", "", ""), ("-i", "/no/such/file", ""), ("-i", "/tmp", ""),
    *[("-a", value, "1 to 1000") for value in
      ("0", "0.5", "1001", "x", "", "-1", "1e2")],
    *[("-I", value, "1 to 3600000") for value in ("0", "3600001", "x", "")],
    ("--capture", "foo", "ring or pcap"),
    ("--device", "", ""), ("--device", "nosuch0", ""),
    ("--device", "a-name-that-is-too-long", ""),
    ("--filter", "tcp and and", ""), ("--filter", "", ""),
    *[("--buffer", value, "1 to 4096") for value in ("0", "4097", "x")],
    *[("--workers", value, "1 to 32") for value in ("0", "33", "x", "")],
    *[("-p", value, "the last port") for value in
      ("36524-", "36524-1", "36524-36556", "36524-x")],
    *[("--stats", value, "0.1 to 86400") for value in ("0", "x", "86401")],
    ("--log-level", "loud", "error, warn, info or debug"),
    ("--dry-run", "/no/such/dir/file", ""),
    *[("--key-file", value, "") for value in
      ("", "/no/such/file", "/tmp", "/dev/null", "/etc/hostname")],
    *[("--trace", value, "") for value in ("", "0.0.0.0", "192.0.2.1:0", "::")],
]
INTERCEPT_BAD = [
    *[("-x", value, "") for value in
      ("", "x", "192.0.2.1,", "192.0.2.0/33", "2001:db8::/129", "0.0.0.0/0",
       "::/0")],
    *[("-p", value, "1 to 65535") for value in ("0", "65536", "x", "")],
    *[("--workers", value, "1 to 32") for value in ("0", "33", "x", "")],
    *[("-b", value, "") for value in
      ("", "x", "192.0.2.300", "224.0.0.1", "ff02::1", "255.255.255.255")],
    *[(option, value, "1 to 65535") for option in ("--guard", "--unguard")
      for value in ("0", "65536", "x", "80,0")],
    *[(option, value, "PORT") for option in ("--guard", "--unguard")
      for value in ("", "80,", ",80")],
    ("--guard", "40000", "(-p)"), ("--relay", "40000", "(-p)"),
    *[("--relay", value, "1 to 65535") for value in ("0", "65536", "x")],
    *[("--relay", value, "PORT") for value in ("", "80,")],
    *[("--allow", value, "") for value in
      ("", "x", "192.0.2.1,", "192.0.2.0/33", "2001:db8::/129")],
    *[("--key-file", value, "") for value in
      ("", "/no/such/file", "/tmp", "/dev/null", "/etc/hostname")],
    ("--make-key", "", ""),
    *[("--queue-num", value, "0 to 65535") for value in
      ("-1", "65536", "x", "")],
    *[("-q", value, "1 to 65536") for value in ("0", "65537", "x", "")],
    *[("-n", value, "1 to 65535") for value in ("0", "65536", "x", "")],
    *[("--stats", value, "0.1 to 86400") for value in ("0", "x", "86401")],
    ("--log-level", "loud", "error, warn, info or debug"),
]


NO_NAMESPACE = ("nosuch", "..", "/no/such", "/proc/self/ns/mnt",
                "/etc/hostname", "x" * 5000)
for bad in (TCPCOPY_BAD, INTERCEPT_BAD):
    bad += [("--netns", "", "")]
    bad += [("--netns", value, "must be a network namespace")
            for value in NO_NAMESPACE]


def one_line(program, code):
    """It ends by itself with this code, after one line on stderr."""
    assert program.wait(30) == code, program.err()
    lines = program.err().splitlines()
    assert len(lines) == 1, lines
    assert program.out() == ""
    return lines[0]


def run(lab, name, *args, **kw):
    start = lab.start_tcpcopy if name == "tcpcopy" else lab.start_intercept
    return start(*args, ready=False, json_file=False, **kw)


@pytest.mark.parametrize("name,cases", [("tcpcopy", TCPCOPY_BAD),
                                        ("intercept", INTERCEPT_BAD)])
def test_bad_values(lab, name, cases):
    """One line that names option, value and what is allowed; exit 2."""
    lab.start_intercept("--queue-num", "7")  # nothing else is to be missing
    wrong = []
    for option, value, allowed in cases:
        more = () if name == "intercept" or option == "-x" else X
        if name == "tcpcopy" and option in ("-a", "-I"):
            more = (*X, "-i", "/dev/null")  # or they would be in vain
        if name == "intercept" and option != "-p":
            more = ("-p", "40000")
        program = run(lab, name, *more, option, value)
        try:
            line = one_line(program, BAD_INPUT)
            assert f"{name}: {option}" in line, line
            assert value in line and allowed in line, line
            assert len(line) > len(f"{name}: {option} {value}: "), line
        except (AssertionError, LabError) as fault:
            wrong.append(f"{option} '{value}': {fault}")
            program.kill()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
@pytest.mark.parametrize("args", [
    ("--no-such",), ("-Z",), ("stray",), ("--port",), ("-p",),
    ("--daemon=yes",), ("--port=",)])
def test_bad_words(lab, name, args):
    more = X if name == "tcpcopy" else ()
    line = one_line(run(lab, name, *more, *args), BAD_INPUT)
    assert args[0].split("=")[0] in line


@pytest.mark.parametrize("args", [
    (), ("-n", "2"), (*X, "-a", "2"), (*X, "-I", "20"),
    (*X, "-i", "file", "--device", "lo"),
    (*X, "-i", "file", "--capture", "ring"),
    (*X, "-i", "file", "--buffer", "2"), (*X, "-i", "file", "--workers", "2"),
    (*X, "--capture", "pcap", "--workers", "2"),
    (*X, "--workers", "3", "--max-sessions", "2"),
    (*X, "-c", "2001:db8::1")])
def test_options_that_do_not_fit(lab, args):
    one_line(run(lab, "tcpcopy", *args), BAD_INPUT)


@pytest.mark.parametrize("name,option,code", [
    ("tcpcopy", "-n", BAD_INPUT), ("tcpcopy", "-i", BAD_INPUT),
    ("tcpcopy", "-l", ENVIRONMENT), ("intercept", "--queue-num", BAD_INPUT),
    ("intercept", "-P", ENVIRONMENT)])
def test_value_with_a_newline(lab, name, option, code):
    """It makes no line of its own."""
    more = X if name == "tcpcopy" else ()
    line = one_line(run(lab, name, *more, option, "/no\n/such\033[31m"), code)
    assert f"{name}: {option} /no?/such?[31m: " in line


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_help_fits_a_screen(lab, name):
    text = run(lab, name, "--help")
    assert text.wait() == 0 and text.err() == ""
    lines = text.out().splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    short = run(lab, name, "-h")
    assert short.wait() == 0 and short.out() == text.out()


@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
@pytest.mark.parametrize("option", ["-v", "--version"])
def test_version(lab, name, option):
    program = run(lab, name, option)
    assert program.wait() == 0
    assert re.fullmatch(rf"{name} \d+\.\d+\S*\n", program.out())


# --- what is missing -----------------------------------------------------

def without(capability):
    return ("setpriv", "--bounding-set", f"-{capability}")


def only(capability):
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            f"--inh-caps=-all,+{capability}",
            f"--ambient-caps=-all,+{capability}",
            f"--bounding-set=-all,+{capability}")


def test_missing_privilege(lab):
    lab.start_intercept()
    line = one_line(run(lab, "tcpcopy", *X, wrap=without("net_raw")),
                    ENVIRONMENT)
    assert "CAP_NET_RAW is missing" in line
    assert "root" in line and "setcap cap_net_raw" in line
    line = one_line(run(lab, "intercept", "-p", 40000, "--queue-num", 1,
                        wrap=without("net_admin")), ENVIRONMENT)
    assert "CAP_NET_ADMIN is missing" in line
    assert "root" in line and "setcap cap_net_admin" in line


def test_one_capability_suffices(lab):
    """CAP_NET_RAW for tcpcopy, CAP_NET_ADMIN for intercept; nobody else."""
    online = lab.serve(lab.online, 11311)
    target = lab.serve(lab.target, 11511)
    lab.rule()
    intercept = lab.start_intercept(wrap=only("net_admin"))
    tcpcopy = lab.start_tcpcopy(*X, wrap=only("net_raw"))
    assert "Uid:\t65534\t65534" in read(f"/proc/{tcpcopy.pid}/status")
    lab.load(connections=100, concurrent=10, requests=10)
    from outcome import Copy
    Copy(online, target, intercept, tcpcopy).exact()


def test_busy_queue(lab):
    lab.start_intercept()
    line = one_line(run(lab, "intercept", "-p", 40000), ENVIRONMENT)
    assert "--queue-num 0: another process has" in line
    assert "end it, or choose another number" in line and "the rule" in line


def test_busy_port(lab):
    lab.start_intercept()
    line = one_line(run(lab, "intercept", "--queue-num", 1), ENVIRONMENT)
    assert str(LINK_PORT) in line and "choose another -p or -b" in line


def test_foreign_bind_address(lab):
    line = one_line(run(lab, "intercept", "-b", "192.0.2.99"), ENVIRONMENT)
    assert "192.0.2.99" in line and "choose another -p or -b" in line


def test_unreachable_intercept(lab):
    line = one_line(run(lab, "tcpcopy", *X), ENVIRONMENT)
    assert f"{lab.target.addr}:{LINK_PORT} cannot be reached" in line
    assert "start intercept on the target" in line and "-s and -p" in line
    line = one_line(run(lab, "tcpcopy", *X, "-s", "192.0.2.12"), ENVIRONMENT)
    assert f"192.0.2.12:{LINK_PORT} cannot be reached" in line
    assert "start intercept on the target" in line and "-s and -p" in line


def test_intercept_that_takes_no_link(lab):
    """It was reached: to start it would mend nothing."""
    key = lab.path("key")
    lab.target.run(lab.intercept_bin, "--make-key", key)
    lab.start_intercept("--key-file", key)
    line = one_line(run(lab, "tcpcopy", *X), ENVIRONMENT)
    assert f"{lab.target.addr}:{LINK_PORT} takes no link" in line
    assert "--key-file" in line and "tcpcopy check" in line
    assert "start intercept" not in line


@pytest.mark.parametrize("option", ["-l", "-P", "--json"])
@pytest.mark.parametrize("name", ["tcpcopy", "intercept"])
def test_file_that_cannot_be_made(lab, name, option):
    if name == "tcpcopy":
        lab.start_intercept()
    more = X if name == "tcpcopy" else ()
    program = run(lab, name, *more, option, "/no/such/dir/file")
    line = one_line(program, ENVIRONMENT)
    assert f"{option} /no/such/dir/file: No such file or directory" in line
    assert "name another file" in line


# --- life ----------------------------------------------------------------

def services(lab):
    """How each of the programs is started, and the other before it."""
    def intercept(*args, **kw):
        return lab.start_intercept(*args, **kw)

    def tcpcopy(*args, **kw):
        lab.start_intercept()
        return lab.start_tcpcopy(*X, *args, **kw)
    return {"intercept": intercept, "tcpcopy": tcpcopy}


@pytest.fixture(params=["tcpcopy", "intercept"])
def service(request, lab):
    return services(lab)[request.param]


def read(path):
    with open(path) as f:
        return f.read()


def test_pid_file_in_the_foreground(lab, service):
    path = lab.path("pid")
    program = service("-P", path)
    assert read(path) == f"{program.pid}\n"
    program.finish()
    assert not os.path.exists(path)


def test_pid_file_of_a_running_process(lab, service):
    path = lab.path("pid")
    program = service("-P", path)
    name = "tcpcopy" if "tcpcopy" in program.name else "intercept"
    more = X if name == "tcpcopy" else ("-p", 40000, "--queue-num", 1)
    line = one_line(run(lab, name, *more, "-P", path), ENVIRONMENT)
    assert f"-P {path}: a running process has it" in line
    assert "end that, or name another file" in line
    assert read(path) == f"{program.pid}\n"


def test_stale_pid_file(lab, service):
    path = lab.path("pid")
    with open(path, "w") as f:
        f.write("4194304\n")
    program = service("-P", path)
    assert read(path) == f"{program.pid}\n"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_daemon(lab, service):
    """The caller gets its prompt back when everything runs."""
    pid_path, log = lab.path("pid"), lab.path("log")
    program = service("-d", "-P", pid_path, "-l", log, ready=False)
    assert program.wait() == 0, program.err()
    assert program.err() == program.out() == ""
    pid = int(read(pid_path))
    assert "ready" in read(log)
    assert pid != program.pid and alive(pid)
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    assert int(fields[3]) != os.getsid(0)  # a session of its own
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not alive(pid), what="the daemon's end")
    assert not os.path.exists(pid_path)
    assert program.ledgers()[-1]["final"] is True


def test_daemon_that_does_not_start(lab):
    pid_path = lab.path("pid")
    line = one_line(run(lab, "tcpcopy", *X, "-d", "-P", pid_path), ENVIRONMENT)
    assert f"{lab.target.addr}:{LINK_PORT}" in line
    assert not os.path.exists(pid_path)
    lab.start_intercept()
    line = one_line(run(lab, "intercept", "-d", "-p", 40000), ENVIRONMENT)
    assert "--queue-num 0" in line


def test_log_file_is_opened_again(lab, service):
    log = lab.path("log")
    program = service("-l", log, "--log-level", "debug", ready=False)
    wait_until(lambda: os.path.exists(log) and "ready" in read(log))
    assert program.err() == ""
    os.rename(log, log + ".1")
    os.rename(program.json_path, program.json_path + ".1")
    program.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(log) and
               os.path.exists(program.json_path), what="new files")
    before = read(log + ".1")
    program.finish()
    assert "ledger at the end" in read(log)
    assert read(log + ".1") == before and "ready" in before


def test_service_manager_hears(lab, service, monkeypatch):
    """Ready, alive, at the end: sd_notify(3)."""
    path = lab.path("manager")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(20)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    program = service()
    words = []
    while words.count(b"READY=1") < 1 or words[-3:] != [b"WATCHDOG=1"] * 3:
        words.append(manager.recv(100))
    program.signal(signal.SIGTERM)
    while words[-1] != b"STOPPING=1":
        words.append(manager.recv(100))
    assert set(words) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_sessions_are_reset_at_the_end(lab, sig):
    copy = lab.copy()
    load = lab.load_start(connections=100, requests=4, pause_after=2)
    load.paused()
    wait_until(lambda: copy.target_app.totals()["requests"] == 200)
    copy.tcpcopy.signal(sig)
    assert copy.tcpcopy.wait() == 0
    wait_until(lambda: copy.target_app.totals()["open"] == 0,
               what="the target's connections to be reset")
    assert not lab.target.sockets(11511)
    assert {r["end"] for r in copy.target_app.records()} == {"reset"}
    ledger = copy.tcpcopy.ledgers()[-1]
    assert ledger["connections"]["answered"] == 100
    assert not lost(ledger, "turns")
    load.go()
    load.done()


def test_ledger_on_demand(lab, service):
    program = service()
    assert program.ledger()["final"] is False
    assert program.ledger()["program"] in ("tcpcopy", "intercept")
    wait_until(lambda: program.err().count("ledger") == 2)
    last = program.finish()
    assert last["cpu_seconds"] >= 0 and last["memory_peak_kb"] > 0
    assert [x["final"] for x in program.ledgers()] == [False, False, True]


def test_ends_before_it_was_ready(lab):
    """A SIGTERM while it waits for the link's other side."""
    lab.target.iptables("-I", "INPUT", "-p", "tcp", "--dport", LINK_PORT,
                        "-j", "DROP")
    program = run(lab, "tcpcopy", *X)
    wait_until(lambda: lab.online.sockets(LINK_PORT, "dport"))
    program.signal(signal.SIGTERM)
    assert program.wait() == 0
    assert isinstance(program, Process)
