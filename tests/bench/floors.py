# SPDX-License-Identifier: BSD-2-Clause
"""
What each step costs a program that does nothing else, in us of CPU a packet:

  ring    a request captured (floor_ring, with a real load)
  raw     a request sent to the target by a raw socket
  link    the same by AF_PACKET
  frames  the same by a BPF program, 64 a run
  stream  the same in a TCP connection to the target
  inject  a request put on the target's lo by such a program
  queue   an answer taken from the queue and dropped, verdicts in batches

Sender and receiver share this machine: what the target's kernel does with a
packet is in its sender's time, here as in tcpcopy.
"""
import json
import threading

from world import hosts, lab_module, waiting

REQUEST_BYTES, ANSWER_BYTES = 100, 500
SINK_PORT = 9


def _result(process):
    got = json.loads(process.out().splitlines()[-1])
    packets = max(got["packets"], 1)
    return {"us": got["cpu_us"] / packets, "packets": got["packets"],
            "lost": got["lost"],
            "batch": packets / got.get("batches", packets)}


def start_ring(world, lab):
    floor = lab.online.popen("floor_ring", world.tool("floor_ring"),
                             lab_module.ONLINE_PORT)
    floor.wait_for("ready")
    return floor


def ring(world, lab, scale):
    lab.serve(lab.online, lab_module.ONLINE_PORT)
    floor = start_ring(world, lab)
    lab.load(connections=50, concurrent=50, requests=2000 // scale)
    floor.stop()
    return _result(floor)


def _send(world, host, way, scale, payload, source, to, *more):
    with world.side("online", always=True):
        floor = host.popen("floor_" + way, world.tool("floor_send"), way,
                           256000 // scale, payload, *source, *to, *more)
    assert floor.wait(60) == 0, floor.err()
    return _result(floor)


def _request(world, host, way, scale, lab, *more):
    """Sends copied requests to a listening socket of the target."""
    return _send(world, host, way, scale, REQUEST_BYTES,
                 (hosts.CLIENTS[0], 40000),
                 (lab.target.addr, lab_module.TARGET_PORT), *more)


def raw(world, lab, scale):
    lab.serve(lab.target, lab_module.TARGET_PORT)
    return _request(world, lab.online, "raw", scale, lab)


def _by_device(world, lab, way, scale):
    lab.serve(lab.target, lab_module.TARGET_PORT)
    device = json.loads(lab.target.run("ip", "-j", "link", "show",
                                       "eth0").stdout)
    return _request(world, lab.online, way, scale, lab, "eth0",
                    device[0]["address"])


def link(world, lab, scale):
    return _by_device(world, lab, "link", scale)


def frames(world, lab, scale):
    return _by_device(world, lab, "frames", scale)


def _read_all(listener):
    with listener.accept()[0] as sock:
        buf = bytearray(1 << 20)
        while sock.recv_into(buf):
            pass


def stream(world, lab, scale):
    with lab.target.socket() as listener:
        listener.bind((lab.target.addr, SINK_PORT))
        listener.listen()
        reader = threading.Thread(target=_read_all, args=(listener,))
        reader.start()
        got = _request(world, lab.online, "stream", scale, lab,
                       lab.target.addr, SINK_PORT)
        reader.join()
    return got


def inject(world, lab, scale):
    lab.serve(lab.target, lab_module.TARGET_PORT)
    return _request(world, lab.target, "inject", scale, lab, "lo",
                    "00:00:00:00:00:00")


def queue(world, lab, scale):
    lab.rule()
    with world.side("target", always=True):
        floor = lab.target.popen("floor_queue", world.tool("floor_queue"), 0)
    floor.wait_for("ready")
    _send(world, lab.target, "raw", scale, ANSWER_BYTES,
          (lab.target.addr, lab_module.TARGET_PORT),
          (hosts.CLIENTS[0], 40000))
    waiting.wait_until(lambda: not lab.queue()["waiting"],
                       what="an empty queue")
    floor.stop()
    return _result(floor)


ALL = (ring, raw, link, frames, stream, inject, queue)


def measure(world, scale):
    found = {}
    for floor in ALL:
        with world.lab() as lab:
            found[floor.__name__] = floor(world, lab, scale)
    return found
