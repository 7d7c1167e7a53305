# SPDX-License-Identifier: BSD-2-Clause
"""Who may have a link: what connects to intercept and is no tcpcopy of ours
changes nothing for the copy, and is counted."""
import re
import struct
import time

from lab import CLIENTS, LINK_PORT, TARGET_PORT, wait_until

HELLO, ROUTE_ADD = 1, 2
INSTANCE = 0x7465737469667921


def frame(kind, record):
    return struct.pack("!IBBH", 8 + len(record), kind, 0, 1) + record


def hello():
    return frame(HELLO, struct.pack("!IHIQ", 0x74634e71, 1, 0, INSTANCE))


def end(text, port):
    return bytes(10) + b"\xff\xff" + bytes(map(int, text.split("."))) + \
        struct.pack("!H", port)


def route_add(target, client_port=5000):
    return frame(ROUTE_ADD, struct.pack("!Q", 7) + end(CLIENTS[0], client_port)
                 + end(target, TARGET_PORT) + struct.pack("!I", 1))


def reach(host, lab, **options):
    return host.connect((lab.target.addr, LINK_PORT), **options)


def answer(sock):
    """What comes until the other side closes."""
    got = b""
    try:
        while part := sock.recv(65536):
            got += part
    except ConnectionResetError:
        pass
    return got


def refused(program):
    return program.ledger()["refused"]


# --- without a key: by address ---------------------------------------------

def test_far_addresses_are_refused(lab):
    copy = lab.copy()
    assert re.search(r"without a key: links only .*192\.0\.2\.0/24",
                     copy.intercept.err())
    for to in (lab.target.addr, lab.target.addr6):
        with lab.client.connect((to, LINK_PORT)) as sock:
            sock.sendall(hello())
            assert answer(sock) == b""
    assert refused(copy.intercept)["not_allowed"] == 2
    assert copy.intercept.ledger()["strangers"] == 2
    lab.load(connections=20, requests=5)
    copy.exact()


def test_allow_widens(lab):
    program = lab.start_intercept("--allow", f"{CLIENTS[1]},2001:db8:0:2::/64")
    assert CLIENTS[1] in program.err()
    with reach(lab.client, lab, source=CLIENTS[1]) as sock:
        sock.sendall(hello())
        assert sock.recv(100)[:8] == hello()[:8]
    with lab.client.connect((lab.target.addr6, LINK_PORT)) as sock:
        sock.sendall(hello())
        assert sock.recv(100)[:8] == hello()[:8]
    with reach(lab.client, lab, source=CLIENTS[2]) as sock:
        sock.sendall(hello())
        assert answer(sock) == b""
    assert refused(program)["not_allowed"] == 1


def test_a_new_subnet_counts(lab):
    program = lab.start_intercept()
    lab.target.run("ip", "addr", "add", "203.0.113.2/24", "dev", "eth0")
    lab.online.run("ip", "addr", "add", "203.0.113.1/24", "dev", "eth0")

    def let_in():
        with lab.online.connect(("203.0.113.2", LINK_PORT)) as sock:
            sock.sendall(hello())
            try:
                return sock.recv(100)
            except ConnectionResetError:
                return b""
    wait_until(let_in, what="the new subnet to be known")
    assert program.alive()


def test_routes_of_other_hosts_are_not_taken(lab):
    program = lab.start_intercept()

    def counts():
        ledger = program.ledger()
        return ledger["routes"], ledger["routes_foreign"]
    with reach(lab.online, lab) as sock:
        sock.sendall(hello() + route_add(lab.target.addr) +
                     route_add("192.0.2.12", 5001) +
                     route_add(lab.online.addr, 5002) +
                     route_add(CLIENTS[3], 5003))
        wait_until(lambda: counts() == (2, 2), what="two and two routes")
        # an address that comes later
        lab.target.run("ip", "addr", "add", "203.0.113.2/24", "dev", "eth0")
        time.sleep(1.5)
        sock.sendall(route_add("203.0.113.2", 5004))
        wait_until(lambda: counts() == (3, 2), what="the new target's route")


def test_tcpcopy_says_why_it_may_not_connect(lab):
    program = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, host=lab.client,
                                ready=False)
    assert tcpcopy.wait() == 3
    assert len(tcpcopy.err().splitlines()) == 1
    assert "not allowed" in tcpcopy.err() and "--allow" in tcpcopy.err()
    assert refused(program)["not_allowed"] >= 1
