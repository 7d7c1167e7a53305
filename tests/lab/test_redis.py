# SPDX-License-Identifier: BSD-2-Clause
"""redis on both servers: after a write load both hold the same data."""
import random

from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, assert_whole
from waiting import wait_until
from web import run_clients


def start(lab, host, port):
    folder = lab.path("redis-" + host.role + ".sock")
    process = host.popen(
        "redis", "redis-server", "--port", port, "--bind", "0.0.0.0",
        "--protected-mode", "no", "--save", "", "--appendonly", "no",
        "--enable-debug-command", "local", "--unixsocket", folder)
    process.wait_for("Ready to accept connections")
    return folder


def ask(lab, socket_path, *words):
    return lab.client.run("redis-cli", "-s", socket_path, *words).stdout.strip()


def command(*words):
    parts = [str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(
        b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def writes(number, n):
    """Four commands on keys of this client, in an order that matters."""
    rng = random.Random(number * 100000 + n)
    key = f"{number}:{rng.randrange(50)}"
    return [command("SET", f"s{key}", rng.randbytes(rng.randrange(9)).hex()),
            command("APPEND", f"s{key}", "x" * rng.randrange(2000)),
            command("LPUSH", f"l{key}", n),
            command("HSET", f"h{key}", rng.randrange(20), n)]


def test_pipelined_writes(lab):
    online, target = [start(lab, host, port) for host, port in
                      ((lab.online, ONLINE_PORT), (lab.target, TARGET_PORT))]
    tap = lab.tap()
    lab.rule()
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)

    def script(connect, number):
        sock, stream = connect()
        for n in range(0, 200, 10):
            batch = [c for k in range(10) for c in writes(number, n + k)]
            sock.sendall(b"".join(batch))
            for _ in batch:
                assert stream.readline()[:1] in b"+:"
        sock.close()
    run_clients(lab, 10, script)

    digest = ask(lab, online, "DEBUG", "DIGEST")
    assert len(digest) == 40 and digest.strip("0")
    wait_until(lambda: ask(lab, target, "DEBUG", "DIGEST") == digest,
               what="the same data on the target")
    assert ask(lab, target, "DBSIZE") == ask(lab, online, "DBSIZE") != "0"
    wait_until(lambda: not lab.target.sockets(TARGET_PORT))
    ledger = tcpcopy.finish()
    intercept.finish()
    assert_balanced(ledger)
    assert_whole(ledger)
    assert tap.count() == 0
