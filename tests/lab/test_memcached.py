# SPDX-License-Identifier: BSD-2-Clause
"""memcached on both servers: the same items and the same counts after it."""
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, assert_whole
from waiting import wait_until
from web import run_clients

COUNTED = ("cmd_get", "cmd_set", "get_hits", "get_misses", "delete_hits",
           "incr_hits", "total_items", "curr_items", "bytes")


def start(lab, host, port):
    path = lab.path("memcached-" + host.role)
    host.popen("memcached", "memcached", "-u", "root", "-p", port, "-U", "0",
               "-l", "0.0.0.0", "-t", "1", "-c", "2000")
    wait_until(lambda: host.run("ss", "-Hltn", f"sport = :{port}").stdout,
               what=path)


def ask(host, port, text, end=b"END\r\n"):
    """From the server itself: its loopback is no business of intercept's."""
    with host.connect(("127.0.0.1", port)) as sock:
        sock.sendall(text)
        stream = sock.makefile("rb")
        lines = []
        while not lines or lines[-1] != end:
            lines.append(stream.readline())
            assert lines[-1]
        return lines[:-1]


def stats(host, port):
    pairs = [line.split()[1:] for line in ask(host, port, b"stats\r\n")]
    found = {k.decode(): v.decode() for k, v in pairs}
    return {k: int(found[k]) for k in COUNTED}


def test_items(lab):
    start(lab, lab.online, ONLINE_PORT)
    start(lab, lab.target, TARGET_PORT)
    lab.rule()
    lab.target.iptables("-I", "OUTPUT", "-o", "lo", "-j", "ACCEPT")
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)

    def script(connect, number):
        sock, stream = connect()

        def talk(text, lines):
            sock.sendall(text)
            return [stream.readline() for _ in range(lines)]
        talk(b"set n%d 0 0 1\r\n0\r\n" % number, 1)
        for n in range(150):
            value = b"%d-" % n * (1 + n * 7 % 900)
            key = b"k%d-%d" % (number, n % 40)
            assert talk(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value),
                        1) == [b"STORED\r\n"]
            assert talk(b"get %s\r\n" % key, 3)[1] == value + b"\r\n"
            assert talk(b"incr n%d 1\r\n" % number, 1) == [b"%d\r\n" % (n + 1)]
            talk(b"get none\r\n", 1)
            if n % 5 == 0:
                assert talk(b"delete %s\r\n" % key, 1) == [b"DELETED\r\n"]
        sock.close()
    run_clients(lab, 8, script)

    want = stats(lab.online, ONLINE_PORT)
    assert want["cmd_set"] == 8 * 151
    wait_until(lambda: stats(lab.target, TARGET_PORT) == want,
               what="the same counts on the target")
    for number in range(8):
        keys = b" ".join([b"n%d" % number] + [b"k%d-%d" % (number, n)
                                              for n in range(40)])
        query = b"get %s\r\n" % keys
        assert ask(lab.target, TARGET_PORT, query) == \
            ask(lab.online, ONLINE_PORT, query)
    # Eight clients, and nine questions to the online server.
    wait_until(lambda: tcpcopy.ledger()["connections"]["answered"] == 8 + 9,
               60, "the end of all connections")
    ledger = tcpcopy.finish()
    intercept.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
