# SPDX-License-Identifier: BSD-2-Clause
"""Whether copying goes on in time: when each request of digest_app came to a
host, as seen on its wire."""
import collections
import struct

from taps import Sniffer

BOUND_SECONDS = 2
REQUEST = 0x64675271


def tcp_payloads(path):
    """(time, first bytes) of each IPv4 packet in a capture of Ethernet."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:4] == b"\xd4\xc3\xb2\xa1", "not a capture in microseconds"
    at = 24
    while at + 16 <= len(data):
        seconds, micros, length, _ = struct.unpack_from("<4I", data, at)
        ip = at + 16 + 14
        at += 16 + length
        if data[ip] >> 4 != 4 or at > len(data):
            continue
        tcp = ip + 4 * (data[ip] & 15)
        end = ip + int.from_bytes(data[ip + 2:ip + 4], "big")
        yield (seconds + micros / 1e6,
               data[tcp + 4 * (data[tcp + 12] >> 4):min(end, at)])


class Arrivals:
    """Of requests, each of which begins a packet."""

    def __init__(self, host, port):
        self.sniffer = Sniffer(host, f"tcp dst port {port}",
                               flags=("-s", 160))

    def times(self):
        """Of each connection's requests, by its id and theirs; ends it."""
        found = collections.defaultdict(dict)
        for when, payload in tcp_payloads(self.sniffer.finish()):
            if len(payload) < 16:
                continue
            kind, key, seq = struct.unpack_from("!IQI", payload)
            if kind == REQUEST:
                found[key].setdefault(seq, when)
        return found


def late_connections(times, since, count, requests):
    """Those of the load's first seed that had requests left, and the seconds
    until two more had come, where that was not in time. The first may have
    been on its way: it was the second that needed an answer."""
    found = {}
    for number in range(count):
        seen = times.get((1 << 32) + number, {})
        new = sorted(when for when in seen.values() if when > since)
        if len(seen) == requests and len(new) < 2:
            continue
        seconds = (new[1] if len(new) > 1 else float("inf")) - since
        if seconds >= BOUND_SECONDS:
            found[number] = seconds
    return found


def in_time(measure):
    """measure() ends what it has begun, and returns what was late. Time is
    part of the promise here, and the machine is shared: whoever was late gets
    a second chance."""
    late = measure()
    if late:
        print("late:", late)
        late = measure()
    assert not late, late
