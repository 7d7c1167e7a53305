# SPDX-License-Identifier: BSD-2-Clause
"""What a wave of connections has needed is given back when it is over."""
import signal

from waiting import wait_until

CONNECTIONS = 10000


def test_after_a_wave(lab):
    """The target stops, so that all of them are under way at once."""
    copy = lab.copy()
    lab.load(connections=100)
    copy.settle()
    before = copy.tcpcopy.resident_kb()
    copy.target_app.signal(signal.SIGSTOP)
    load = lab.load_start(connections=CONNECTIONS, open_together=True,
                          requests=2, pause_after=1)
    load.paused()
    wait_until(lambda: copy.tcpcopy.ledger()["connections"]["captured"]
               == CONNECTIONS + 100, what="the capture")
    wave = copy.tcpcopy.resident_kb() - before
    copy.target_app.signal(signal.SIGCONT)
    copy.settle()
    load.go()
    load.done()
    copy.over()
    wait_until(lambda: copy.tcpcopy.resident_kb() - before < wave / 5,
               timeout=90, what="memory to be given back", step=0.5)
    # What has been given back can be used again.
    lab.load(connections=CONNECTIONS, open_together=True, seed=2)
    copy.exact()
