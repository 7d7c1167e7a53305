# SPDX-License-Identifier: BSD-2-Clause
"""The lab itself: what the other tests lean on, without our programs."""
import pathlib
import socket
import subprocess

import pytest
from hosts import CLIENTS, CLIENTS6
from lab import ONLINE_PORT, TARGET_PORT
from outcome import Copy, assert_exact
from processes import Program
from taps import Sniffer
from waiting import LabError, wait_until


def test_digests_of_equal_loads_are_equal(bare_lab):
    lab = bare_lab
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    options = {"connections": 50, "concurrent": 10, "requests": 20,
               "request_size": "24-9000", "answer_size": "24-9000"}
    lab.load(**options)
    lab.load(f"{lab.target.addr}:{TARGET_PORT}", **options)
    assert online.totals() == target.totals()
    logs = online.finish(), target.finish()
    assert len(logs[0]) == 50
    assert_exact([logs[0]], logs[1])


@pytest.mark.parametrize("other", [{"seed": 2}, {"requests": 19},
                                   {"connections": 49},
                                   {"request_size": 101}])
def test_digests_of_other_loads_differ(bare_lab, other):
    lab = bare_lab
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    options = {"connections": 50, "requests": 20}
    lab.load(**options)
    lab.load(f"{lab.target.addr}:{TARGET_PORT}", **{**options, **other})
    with pytest.raises(AssertionError):
        assert_exact([online.finish()], target.finish())


def test_a_wrong_answer_fails_the_load(bare_lab):
    lab = bare_lab
    lab.serve(lab.online, ONLINE_PORT, "--answer-scale", 99)
    with pytest.raises(AssertionError, match="not the answer"):
        lab.load()


def test_tap_counts_what_the_target_sends(bare_lab):
    lab = bare_lab
    lab.serve(lab.target, TARGET_PORT)
    tap = lab.tap()
    lab.load(f"{lab.target.addr}:{TARGET_PORT}", connections=10)
    first = tap.count()
    assert first >= 30
    lab.load(f"[{lab.target.addr6}]:{TARGET_PORT}", source=CLIENTS6,
             connections=10)
    assert tap.count() >= first + 30
    lab.serve(lab.online, ONLINE_PORT)
    before = tap.count()
    lab.load(connections=10)
    assert tap.count() == before


def test_tap_counts_what_it_has_no_room_for(bare_lab):
    lab = bare_lab
    lab.target.offloads(False)
    lab.serve(lab.target, TARGET_PORT)
    tap = lab.tap()
    lab.load(f"{lab.target.addr}:{TARGET_PORT}", connections=20,
             answer_size=1000000)
    assert tap.count() >= 20 * 1000000 / 1460


def test_an_answer_to_a_forged_client_would_leak(bare_lab):
    """A SYN from the online server in a client's name: the target's answer
    reaches the client, and the manual's rule alone keeps it in."""
    lab = bare_lab
    lab.serve(lab.target, TARGET_PORT)
    tap = lab.tap()
    forge(lab)
    wait_until(lambda: tap.count() > 0, what="the leak")
    lab.rule()
    seen = tap.count()
    sniffer = Sniffer(lab.target, f"dst port {TARGET_PORT}")
    forge(lab)
    assert len(sniffer.packets()) > 0
    assert tap.count() == seen


def forge(lab):
    from scapy.layers.inet import IP, TCP
    packet = bytes(IP(src=CLIENTS[0], dst=lab.target.addr) /
                   TCP(sport=5000, dport=TARGET_PORT, flags="S", seq=7))
    raw = lab.online.socket(socket.AF_INET, socket.SOCK_RAW,
                            socket.IPPROTO_RAW)
    raw.sendto(packet, (lab.target.addr, 0))


def test_links_can_be_reset(bare_lab):
    """ss -K works on this kernel: test_restart.py needs it."""
    lab = bare_lab
    lab.serve(lab.target, TARGET_PORT)
    with lab.online.connect((lab.target.addr, TARGET_PORT)) as sock:
        lab.online.run("ss", "-K", f"dport = :{TARGET_PORT}")
        with pytest.raises(OSError):
            sock.send(b"x")
            sock.recv(1)


def test_waiting_ends(bare_lab, monkeypatch):
    monkeypatch.setattr("lab.time.monotonic", iter([0, 100]).__next__)
    with pytest.raises(LabError):
        wait_until(lambda: False)


def test_settle_notices_a_target_that_gets_nothing(bare_lab):
    lab = bare_lab
    online = lab.serve(lab.online, ONLINE_PORT)
    target = lab.serve(lab.target, TARGET_PORT)
    lab.load(connections=3)
    Copy(online, target, None, None).settle(quiet=0.5)
    with pytest.raises(AssertionError, match="of 3 connections 3"):
        assert_exact([online.finish()], target.finish())


LEAKS = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void *volatile kept;
static void end(int sig) { (void)sig; }
int main(int argc, char **argv)
{
	signal(SIGTERM, end);
	kept = malloc(4321);
	kept = NULL;
	if (argc > 1 && daemon(0, 0))
		return 1;
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
"""


@pytest.mark.parametrize("args", [(), ("-d",)])
def test_leaks_are_seen(bare_lab, args):
    """Of a program that still runs when the test is over, and of a daemon."""
    lab = bare_lab
    source = pathlib.Path(lab.path("leaks.c"))
    source.write_text(LEAKS)
    lab.tcpcopy_bin = lab.path("leaks")
    subprocess.run(["gcc", "-fsanitize=address", source, "-o",
                    lab.tcpcopy_bin], check=True)
    program = Program(lab, lab.online, "leaks", lab.tcpcopy_bin, args,
                      json_file=False)
    if args:
        assert program.wait() == 0
    else:
        program.wait_for("ready")
    assert "4321 byte" in "".join(lab.faults())
    for report in pathlib.Path(lab.dir).glob("sanitizer.*"):
        report.unlink()
    lab.processes.remove(program)
