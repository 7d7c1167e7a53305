# SPDX-License-Identifier: BSD-2-Clause
"""nginx on both servers: the same requests in both access logs."""
import hashlib
import os

import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, assert_whole
from waiting import wait_until
from web import Nginx, content, get, post, read_answer, run_clients


@pytest.fixture
def web(lab):
    lab.online_web = Nginx(lab, lab.online, ONLINE_PORT)
    lab.target_web = Nginx(lab, lab.target, TARGET_PORT)
    lab.rule()
    lab.tapped = lab.tap()
    lab.icept = lab.start_intercept()
    lab.tcopy = lab.start_tcpcopy("-x", lab.transfer)
    return lab


def check(lab, count):
    wait_until(lambda: len(lab.online_web.lines()) >= count,
               what="the online server to have logged everything")
    want = lab.online_web.lines()
    assert len(want) == count
    wait_until(lambda: len(lab.target_web.lines()) >= count,
               what="the target's log to have as many lines")
    wait_until(lambda: not lab.target.sockets(TARGET_PORT),
               what="the target's connections to be closed")
    ledger = lab.tcopy.finish()
    lab.icept.finish()
    assert lab.target_web.lines() == want
    assert_balanced(ledger)
    assert_whole(ledger)
    assert lab.tapped.count() == 0
    return ledger


def test_keep_alive(web):
    def script(connect, number):
        sock, stream = connect()
        for n in range(300):
            sock.sendall(get("/small", f"{number}-{n}"))
            assert read_answer(stream) == (200, b"small\n")
        sock.close()
    run_clients(web, 10, script)
    ledger = check(web, 3000)
    assert ledger["connections"]["answered"] == 10
    assert ledger["turns"]["answered"] == 3000


def test_short_connections(web):
    """Closed by the server, as HTTP does."""
    def script(connect, number):
        for n in range(100):
            sock, stream = connect()
            sock.sendall(get("/1k", f"{number}-{n}", close=True))
            assert read_answer(stream) == (200, content("1k"))
            assert stream.read() == b""
            stream.close()
            sock.close()
    run_clients(web, 10, script)
    ledger = check(web, 1000)
    assert ledger["connections"]["answered"] == 1000


def test_large_answers(web):
    def script(connect, number):
        sock, stream = connect()
        for n, name in enumerate(["3m", "100k", "1k"] * 5):
            sock.sendall(get("/" + name, f"{number}-{n}"))
            assert read_answer(stream) == (200, content(name))
        sock.close()
    run_clients(web, 5, script)
    check(web, 75)


def test_uploads(web):
    def body(number, n):
        size = (100, 20000, 700000)[n % 3]
        return hashlib.sha256(b"%d %d" % (number, n)).digest() * (size // 32)

    def script(connect, number):
        sock, stream = connect()
        for n in range(12):
            sock.sendall(post(f"{number}-{n}", body(number, n)))
            assert read_answer(stream) == (200, b"taken\n")
        sock.close()
    run_clients(web, 5, script)
    check(web, 60)
    assert len(web.online_web.bodies()) == 60
    assert web.target_web.bodies() == web.online_web.bodies()


def test_pipelining(web):
    def script(connect, number):
        sock, stream = connect()
        for n in range(40):
            sock.sendall(b"".join(get("/small", f"{number}-{n}-{k}")
                                  for k in range(10)))
            for _ in range(10):
                assert read_answer(stream) == (200, b"small\n")
        sock.close()
    run_clients(web, 5, script)
    check(web, 2000)


def test_clients_notice_nothing(web):
    """The target answers otherwise; what the clients get is the online
    server's."""
    with open(os.path.join(web.target_web.dir, "files", "1k"), "wb") as f:
        f.write(b"quite another file")

    def script(connect, number):
        sock, stream = connect()
        for n in range(50):
            sock.sendall(get("/1k", f"{number}-{n}"))
            assert read_answer(stream) == (200, content("1k"))
        sock.close()
    run_clients(web, 5, script)
    wait_until(lambda: len(web.target_web.lines()) == 250)
    ids = [[line.split()[0] for line in web_.lines()]
           for web_ in (web.online_web, web.target_web)]
    assert ids[0] == ids[1]
    assert web.tapped.count() == 0
