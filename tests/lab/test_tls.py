# SPDX-License-Identifier: BSD-2-Clause
"""TLS cannot be replayed: it is recognised, left out, counted, named once."""
import ssl

import pytest
from lab import ONLINE_PORT, TARGET_PORT
from outcome import assert_balanced, lost
from waiting import wait_until


@pytest.fixture
def tls(lab):
    cert = lab.path("cert.pem")
    lab.client.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                   "-keyout", cert, "-out", lab.path("only-cert.pem"),
                   "-subj", "/CN=lab", "-days", "2")
    with open(cert, "a") as both, open(lab.path("only-cert.pem")) as only:
        both.write(only.read())
    server = lab.online.popen("openssl", "openssl", "s_server", "-cert", cert,
                              "-accept", ONLINE_PORT, "-www", "-quiet")
    wait_until(lambda: lab.online.run(
        "ss", "-Hltn", f"sport = :{ONLINE_PORT}").stdout)
    lab.tls_server = server
    return lab


def https(lab, version):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    with lab.client.connect((lab.online.addr, ONLINE_PORT)) as raw:
        with context.wrap_socket(raw) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while True:
                got = sock.recv(65536)
                if not got:
                    return answer
                answer += got


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_not_copied(tls, version):
    lab = tls
    target = lab.serve(lab.target, TARGET_PORT)
    lab.rule()
    intercept = lab.start_intercept()
    tcpcopy = lab.start_tcpcopy("-x", lab.transfer)
    for _ in range(7):
        assert b"200" in https(lab, version)
    wait_until(lambda: tcpcopy.ledger()["connections"]["lost"]["tls"] == 7)
    wait_until(lambda: not lab.target.sockets(TARGET_PORT))
    ledger = tcpcopy.finish()
    intercept.finish()
    assert_balanced(ledger)
    assert ledger["connections"]["captured"] == 7
    assert lost(ledger, "connections") == {"tls": 7}
    for unit in ("turns", "bytes"):
        assert lost(ledger, unit) == {"tls": ledger[unit]["expected"]}
    named = [x for x in tcpcopy.err().splitlines() if "TLS term" in x]
    assert len(named) == 1
    assert all(r["bytes"] == 0 for r in target.finish())


def test_plain_ones_beside_it(tls):
    """The others are copied as ever."""
    lab = tls
    lab.tls_server.kill()
    copy = lab.copy()
    with lab.client.connect((lab.online.addr, ONLINE_PORT)) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03" +
                     bytes(41))
        lab.load(connections=50, concurrent=10, requests=4)
    wait_until(lambda: copy.target_app.totals()["requests"] == 200)
    wait_until(lambda: not lab.target.sockets(TARGET_PORT))
    ledger = copy.tcpcopy.finish()
    assert lost(ledger, "connections") == {"tls": 1}
    assert ledger["connections"]["answered"] == 50
