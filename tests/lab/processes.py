# SPDX-License-Identifier: BSD-2-Clause
"""Programs that run in the lab: ours with their ledgers, the application under
test, its clients."""
import json
import os
import signal
import struct
import subprocess

from waiting import LabError, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def refusing(call, nth, value):
    """What a program is wrapped in for refusing.py."""
    return ("/usr/bin/python3", os.path.join(HERE, "refusing.py"), call,
            str(nth), str(value))


class Process:
    """A program in a namespace; its output goes to files."""

    def __init__(self, lab, host, name, cmd, env=None):
        self.host, self.name, self.cmd = host, name, [str(c) for c in cmd]
        self.out_path = lab.path(name + ".out")
        self.err_path = lab.path(name + ".err")
        self.is_ours = False
        with open(self.out_path, "w") as out, open(self.err_path, "w") as err:
            self.popen = subprocess.Popen(
                host.prefix + self.cmd, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, env={**os.environ, **(env or {})}, cwd=lab.dir)
        self.pid = self.popen.pid
        lab.processes.append(self)

    def alive(self):
        return self.popen.poll() is None

    def signal(self, sig):
        self.popen.send_signal(sig)

    def peak_kb(self):
        """The most memory it has had so far."""
        return self._status_kb("VmHWM:")

    def resident_kb(self):
        return self._status_kb("VmRSS:")

    def _status_kb(self, key):
        with open(f"/proc/{self.pid}/status") as f:
            return int(f.read().split(key)[1].split()[0])

    def wait(self, timeout=30):
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} does not end") from None

    def stop(self, timeout=30):
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.alive():
            self.signal(signal.SIGKILL)
        self.popen.wait(30)

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def wait_for(self, text, timeout=30):
        """Until text stands in the output or the error output."""
        def seen():
            if text in self.err() or text in self.out():
                return True
            if not self.alive():
                raise LabError(f"{self.name} ended ({self.popen.returncode}) "
                               f"before '{text}': {self.err()[-2000:]}")
            return False
        wait_until(seen, timeout, f"'{text}' from {self.name}")


class Program(Process):
    """tcpcopy or intercept, with its ledger."""

    def __init__(self, lab, host, name, binary, args, json_file=True,
                 wrap=()):
        self.json_path = lab.path(name + ".json")
        cmd = list(wrap) + [binary] + [str(a) for a in args]
        if json_file:
            cmd += ["--json", self.json_path]
        super().__init__(lab, host, name, cmd, lab.program_env)
        self.is_ours = True

    def objects(self):
        """Every object in the JSON file that is whole."""
        if not os.path.exists(self.json_path):
            return []
        with open(self.json_path) as f:
            text = f.read()
        return [json.loads(line) for line in text.splitlines(True)
                if line.endswith("\n") and line.strip()]

    def ledgers(self):
        return [o for o in self.objects() if o.get("type") == "ledger"]

    def ledger(self):
        """A fresh one from a running program, the last one of another."""
        if self.alive():
            before = len(self.ledgers())
            self.signal(signal.SIGUSR1)
            wait_until(lambda: len(self.ledgers()) > before or
                       not self.alive(), what=f"ledger of {self.name}")
        found = self.ledgers()
        if not found:
            raise LabError(f"{self.name} wrote no ledger: {self.err()[-500:]}")
        return found[-1]

    def finish(self):
        """Ends it as a user would; returns the final ledger."""
        code = self.stop()
        if code:
            raise AssertionError(f"{self.name} ended with {code}: "
                                 f"{self.err()[-2000:]}")
        last = self.ledgers()[-1]
        assert last["final"] is True, last
        return last


class Server(Process):
    """digest_app serve."""

    def __init__(self, lab, host, name, port, args):
        self.log_path = lab.path(name + ".log")
        self.port = port
        cmd = [lab.digest_app, "serve", "--listen", f"0.0.0.0:{port}",
               "--listen", f"[::]:{port}", "--log", self.log_path]
        super().__init__(lab, host, name, cmd + [str(a) for a in args])
        self.wait_for("ready")

    def records(self):
        with open(self.log_path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def totals(self):
        before = len(self.out().splitlines())
        self.signal(signal.SIGUSR1)
        wait_until(lambda: len(self.out().splitlines()) > before, step=0.01,
                   what=f"totals of {self.name}")
        return json.loads(self.out().splitlines()[-1])

    def finish(self):
        """All connections' records, those still open included."""
        assert self.stop() == 0, self.err()
        return self.records()


class Load(Process):
    """digest_app load."""

    def go(self):
        """From the pause on."""
        self.signal(signal.SIGUSR1)

    def paused(self):
        self.wait_for("paused", 60)

    def done(self, timeout=150):
        code = self.wait(timeout)
        assert code == 0, f"clients were not served: {self.err()[-1000:]}" \
            f"{self.out()[-500:]}"
        return json.loads(self.out().splitlines()[-1])


class FrameClient:
    """A client of digest_app by hand: requests are bare headers, so that a
    test says when each one goes."""

    def __init__(self, host, to, number=0, source=None):
        self.sock = host.connect(to, source)
        self.id, self.seq = (0xffff << 32) | number, 0

    def send(self, answer_bytes=100):
        self.sock.sendall(struct.pack("!IQIII", 0x64675271, self.id, self.seq,
                                      24, answer_bytes))
        self.seq += 1

    def request(self, answer_bytes=100):
        self.send(answer_bytes)
        self.read(answer_bytes)

    def read(self, want):
        while want:
            got = self.sock.recv(want)
            if not got:
                raise EOFError("closed by the server")
            want -= len(got)

    def close(self):
        self.sock.close()
