# SPDX-License-Identifier: BSD-2-Clause
"""Who may have a link: what connects to intercept and is no tcpcopy of ours
changes nothing for the copy, and is counted."""
import contextlib
import os
import re
import socket
import stat
import struct
import threading
import time

import pytest
from hosts import CLIENTS
from lab import LINK_PORT, TARGET_PORT
from taps import Sniffer, tcp_streams
from waiting import wait_until

HELLO, ROUTE_ADD = 1, 2
INSTANCE = 0x7465737469667921


def frame(kind, record):
    return struct.pack("!IBBH", 8 + len(record), kind, 0, 1) + record


def hello(instance=INSTANCE):
    return frame(HELLO, struct.pack("!IHIQ", 0x74634e71, 1, 0, instance))


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


def test_one_tcpcopy_too_many(lab):
    """1,024 have come, registered a session each, and gone: the next one is
    not kept, and not answered."""
    program = lab.start_intercept()
    for n in range(1024):
        with reach(lab.online, lab) as sock:
            sock.sendall(hello(n) + route_add(lab.target.addr, 5000 + n))
            assert sock.recv(26)
    wait_until(lambda: program.ledger()["routes"] == 1024)
    with reach(lab.online, lab) as sock:
        sock.sendall(hello(5000) + route_add(lab.target.addr, 9000))
        assert answer(sock) == b""
    ledger = program.ledger()
    assert ledger["links_excess"] == 1 and ledger["routes"] == 1024
    assert "more tcpcopies have routes here" in program.err()
    # They are known for 30 s without a link.
    with reach(lab.online, lab) as sock:
        sock.sendall(hello(7))
        assert sock.recv(26)


def test_tcpcopy_says_why_it_may_not_connect(lab):
    program = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, host=lab.client,
                                ready=False)
    assert tcpcopy.wait() == 3
    assert len(tcpcopy.err().splitlines()) == 1
    assert "not allowed" in tcpcopy.err() and "--allow" in tcpcopy.err()
    assert refused(program)["not_allowed"] >= 1


def test_nobody_but_the_kernel_tells_of_packets(lab):
    """Who may administer the network could send what looks like the queue's
    messages."""
    lab.start_intercept()
    message = struct.pack("=IHHII4x", 20, 0x300, 0, 0, 0)
    with lab.target.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock, \
            pytest.raises(ConnectionRefusedError):
        sock.sendto(message, (lab.queue()["portid"], 0))


def test_strangers_do_not_fill_the_log(lab):
    """Each is counted; ten lines in a second are enough."""
    lab.client.run("sh", "-ec", "for n in $(seq 1 200); do "
                   "ip addr add 198.51.100.$((n + 20))/24 dev eth0; done")
    program = lab.start_intercept()
    with reach(lab.online, lab) as sock:
        sock.sendall(hello() + b"".join(
            route_add(f"198.51.100.{n}") for n in range(1, 200)))
        for n in range(1, 201):
            with reach(lab.client, lab, source=f"198.51.100.{n + 20}") as far:
                assert answer(far) == b""
        wait_until(lambda: program.ledger()["routes_foreign"] == 199)
    assert refused(program)["not_allowed"] == 200
    said = [line for line in program.err().splitlines()
            if "not allowed" in line and "connection" in line]
    assert 10 <= len(said) < 100
    assert program.err().count("which is not this host") == 1


# --- with a key ------------------------------------------------------------

GREETING = 72  # bytes of either side's part of the handshake


def make_key(lab, name="key"):
    path = lab.path(name)
    program = lab.start_intercept("--make-key", path, ready=False,
                                  json_file=False)
    assert program.wait() == 0 and program.err() == ""
    assert path in program.out()
    return path


def keyed_copy(lab, *args):
    key = ("--key-file", make_key(lab))
    return lab.copy(*key, *args, intercept=key)


def test_make_key(lab):
    key, other = make_key(lab), make_key(lab, "other")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    with open(key) as a, open(other) as b:
        first = a.read()
        assert first != b.read()
    again = lab.start_intercept("--make-key", key, ready=False,
                                json_file=False)
    assert again.wait() == 3 and key in again.err()
    with open(key) as a:
        assert a.read() == first


def test_allow_is_for_links_without_a_key(lab):
    program = lab.start_intercept("--allow", "10.0.0.0/8", "--key-file",
                                  make_key(lab), ready=False)
    assert program.wait() == 2
    assert len(program.err().splitlines()) == 1
    assert "--allow" in program.err() and "--key-file" in program.err()


def test_exact_with_a_key(lab):
    """Nothing on a link is to be read, and whoever has the key may come from
    anywhere."""
    sniffer = Sniffer(lab.online, f"tcp port {LINK_PORT}")
    copy = keyed_copy(lab)
    assert "with a key" in copy.intercept.err()
    lab.load(connections=300, concurrent=30, requests=10)
    copy.exact()
    packets = sniffer.packets()
    both = tcp_streams(packets, LINK_PORT) + \
        tcp_streams(packets, LINK_PORT, "dport")
    assert len(both) == 6
    target = bytes(map(int, lab.target.addr.split(".")))
    for stream in both:
        assert stream[:4] == b"tcNk" and len(stream) > GREETING + 100
        # of a route, of a HELLO
        assert b"\xff\xff" + target not in stream
        assert struct.pack("!I", 0x74634e71) not in stream


def test_far_with_a_key(lab):
    key = ("--key-file", make_key(lab))
    lab.start_intercept(*key)
    lab.start_tcpcopy("-x", lab.transfer, *key, host=lab.client)


@pytest.mark.parametrize("ours,theirs", [
    ("key", "other"), ("key", None), (None, "key")])
def test_keys_that_differ(lab, ours, theirs):
    """Both sides say what it may be."""
    def key(name):
        return ("--key-file", make_key(lab, name)) if name else ()
    program = lab.start_intercept(*key(theirs))
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, *key(ours), ready=False)
    assert tcpcopy.wait() == 3
    assert len(tcpcopy.err().splitlines()) == 1
    assert "--key-file" in tcpcopy.err()
    assert refused(program)["wrong_key"] >= 1
    assert "--key-file" in program.err()
    assert program.ledger()["strangers"] == refused(program)["wrong_key"]


# --- what comes while requests are copied ----------------------------------

def say(lab, *pieces, pause=0.0):
    """To intercept from its own subnet; what it answers until it closes."""
    with reach(lab.online, lab) as sock:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(pause)
        return answer(sock)


def port_scan(lab):
    for _ in range(100):
        with reach(lab.online, lab) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
    return {"ended": 100}


def web_browser(lab):
    for _ in range(20):
        assert say(lab, b"GET / HTTP/1.1\r\nHost: target\r\n\r\n") == b""
    return {"strange": 20}


def slow_loris(lab):
    """In masses, a byte now and then: what they send is as ours, so far."""
    start = b"tcNk\0\1\0\0" if lab.keyed else hello()
    socks = [reach(lab.online, lab) for _ in range(40)]
    for n in range(7):
        for sock in socks:
            with contextlib.suppress(ConnectionError):
                sock.sendall(start[n:n + 1])
        time.sleep(1)
    for sock in socks:
        assert answer(sock) == b""
        sock.close()
    return {"slow": 40}


def random_bytes(lab):
    for n in range(50):
        assert say(lab, bytes([n + 1]) + os.urandom(500)) == b""
    return {"strange": 50}


def other_key(lab):
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer, "-C", 1, "--key-file",
                                make_key(lab, "other"), ready=False)
    assert tcpcopy.wait() == 3
    return {"wrong_key": 1}


def no_key(lab):
    assert say(lab, hello() + route_add(lab.target.addr)) == b""
    return {"wrong_key": 1}


STRANGERS = (port_scan, web_browser, slow_loris, random_bytes)


def all_counted(program, want):
    """As many as there were, each for its reason; a slow one for either."""
    def counted():
        have = refused(program)
        have["slow"] = have.pop("too_many") + have.pop("silent")
        return {k: n for k, n in have.items() if n} == want
    wait_until(counted, what=f"{want}, not {refused(program)}")
    assert program.ledger()["strangers"] == sum(want.values())


@pytest.mark.parametrize("keyed", [False, True])
def test_strangers_under_load(lab, keyed):
    lab.keyed = keyed
    copy = keyed_copy(lab) if keyed else lab.copy()
    load = lab.load_start(connections=40, concurrent=40, requests=500,
                          think_ms=20, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 100)
    want = {}
    for visit in STRANGERS + ((other_key, no_key) if keyed else ()):
        for cause, count in visit(lab).items():
            want[cause] = want.get(cause, 0) + count
    assert load.alive(), "the load was over before the strangers were"
    all_counted(copy.intercept, want)
    assert copy.intercept.ledger()["links_ended"]["count"] == 0
    load.done()
    copy.exact()


def test_replayed_handshake(lab):
    """The bytes of a whole link once more: refused without a byte, by a new
    intercept after its part of the handshake, which is all it says."""
    sniffer = Sniffer(lab.online, f"tcp port {LINK_PORT}")
    copy = keyed_copy(lab)
    lab.load(connections=20, requests=5)
    copy.settle()
    links = tcp_streams(sniffer.packets(), LINK_PORT, "dport")
    assert len(links) == 3
    load = lab.load_start(connections=40, concurrent=40, requests=100,
                          think_ms=20, seed=100)
    wait_until(lambda: copy.target_app.totals()["requests"] > 200)
    for link in links:
        assert say(lab, link) == b""
        assert say(lab, link[:GREETING], link[GREETING:], pause=0.1) == b""
    assert load.alive()
    all_counted(copy.intercept, {"replayed": 6})
    load.done()
    copy.exact()
    program = lab.start_intercept("--key-file", lab.path("key"))
    for link in links:
        assert len(say(lab, link)) in (0, GREETING)  # unless reset before
        assert say(lab, link) == b""
    all_counted(program, {"altered": 3, "replayed": 3})
    assert program.ledger()["routes"] == 0


class Between:
    """Between tcpcopy and intercept; changes one bit when it is told to."""

    def __init__(self, lab):
        self.lab, self.port = lab, LINK_PORT + 1
        # (to intercept?, byte of a piece, negative ones from its end)
        self.change = None
        self.of_greeting = False
        self.carried = []
        self.listener = lab.online.socket()
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen()
        self._run(self._accept)

    @staticmethod
    def _run(fn, *args):
        threading.Thread(target=fn, args=args, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = reach(self.lab.online, self.lab)
                far.settimeout(None)
                self.carried.append(near)
                self._run(self._carry, near, far, True)
                self._run(self._carry, far, near, False)

    def _changed(self, data, up, is_greeting):
        change = self.change
        if not change or change[0] != up or is_greeting != self.of_greeting \
                or not -len(data) <= change[1] < len(data):
            return data
        self.change = None
        data = bytearray(data)
        data[change[1]] ^= 1 << change[1] % 8
        return data

    def _carry(self, source, to, up):
        with contextlib.suppress(OSError):
            greeting = source.recv(GREETING, socket.MSG_WAITALL)
            to.sendall(self._changed(greeting, up, True))
            while data := source.recv(65536):
                to.sendall(self._changed(data, up, False))
        for sock in (source, to):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """A link, as a network does that is gone for a moment."""
        self.carried[-1].shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()


@pytest.fixture
def between(lab):
    """A load that is copied with somebody between, who changes what changes()
    tells; not a request is lost."""
    between = Between(lab)
    between.copy = keyed_copy(lab, "-s", f"127.0.0.1:{between.port}")
    load = lab.load_start(connections=40, concurrent=40, requests=400,
                          think_ms=20, seed=100)
    wait_until(lambda: between.copy.target_app.totals()["requests"] > 100)
    yield between
    assert load.alive()
    load.done()
    between.copy.exact()
    between.close()


def links(copy):
    return copy.tcpcopy.ledger()["links"]


def change_one(between, change):
    """Done when the links are up again."""
    before = sum(link["times_up"] for link in links(between.copy))
    between.change = change
    if between.of_greeting:
        between.cut()

    def again():
        now = links(between.copy)
        return between.change is None and all(x["up"] for x in now) and \
            sum(x["times_up"] for x in now) > before
    wait_until(again, what=f"the links after {change}")


def refused_by_tcpcopy(copy):
    return sum(link["refused"] for link in links(copy))


def test_changed_bits_under_load(between):
    """In any record, wherever: its link ends, and that is counted where it
    was seen."""
    changes = [(up, at) for at in (0, 19, -1) for up in (True, False)]
    for change in changes:
        change_one(between, change)
    ended = between.copy.intercept.ledger()["links_ended"]
    assert ended["count"] == len(changes)
    assert ended["altered"] == len(changes) // 2
    assert refused_by_tcpcopy(between.copy) == len(changes) // 2
    assert "forged or altered" in between.copy.tcpcopy.err()


def test_changed_greetings_under_load(between):
    """The handshake's too, in both directions."""
    between.of_greeting = True
    wheres = (0, 5, 30, -1)
    for at in wheres:
        change_one(between, (True, at))
    program = between.copy.intercept.ledger()
    assert program["strangers"] == len(wheres)
    assert sum(program["refused"][cause] for cause in (
        "strange", "other_version", "wrong_key")) == len(wheres)
    for at in wheres:
        change_one(between, (False, at))
    assert refused_by_tcpcopy(between.copy) == len(wheres)
    assert between.copy.intercept.ledger()["links_ended"]["altered"] == 0
