# SPDX-License-Identifier: BSD-2-Clause
"""What is seen on the wire."""
import ctypes
import os
import signal
import socket
import struct
import time

from processes import Process


class Tap:
    """Counts the IP packets from these sources that reach a device; those
    that its socket had no room for are counted as well."""

    def __init__(self, host, sources, device="eth0"):
        self.sock = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._filter(sources)
        self.sock.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.sock.bind((device, 0x0003))
        self.seen = 0

    def _filter(self, sources):
        code, accept = [], (0x06, 0, 0, 1)
        for source in sources:
            v6 = ":" in source
            raw = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET,
                                   source)
            words = struct.unpack(f"!{len(raw) // 4}I", raw)
            block = [(0x30, 0, 0, 0), (0x54, 0, 0, 0xf0),
                     (0x15, 0, None, 0x60 if v6 else 0x40)]
            for n, word in enumerate(words):
                block += [(0x20, 0, 0, (8 if v6 else 12) + 4 * n),
                          (0x15, 0, None, word)]
            block.append(accept)
            code += [(op, jt, len(block) - at - 1 if jf is None else jf, k)
                     for at, (op, jt, jf, k) in enumerate(block)]
        code.append((0x06, 0, 0, 0))
        raw = b"".join(struct.pack("HBBI", *c) for c in code)
        buf = ctypes.create_string_buffer(raw)
        self.sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack(
            "HP", len(code), ctypes.addressof(buf)))

    def count(self):
        stats = self.sock.getsockopt(263, 6, 8)  # PACKET_STATISTICS
        self.seen += struct.unpack("II", stats)[0]
        return self.seen


class Sniffer(Process):
    """tcpdump on a host; packets() ends it."""

    def __init__(self, host, expr, device="eth0", flags=()):
        lab = host.lab
        name = lab.unique("tcpdump-" + host.role)
        self.pcap = lab.path(name + ".pcap")
        super().__init__(lab, host, name, [
            "tcpdump", "-i", device, "-n", "-U", "-Z", "root", "-B", "65536",
            *flags, "-w", self.pcap, expr])
        self.wait_for("listening on")

    def finish(self):
        # What is in the ring when the signal comes would not be written; a
        # block of it is handed over after a second at most.
        size = -1
        for _ in range(4):
            time.sleep(1.2)
            if size == os.path.getsize(self.pcap):
                break
            size = os.path.getsize(self.pcap)
        self.signal(signal.SIGINT)
        self.wait()
        return self.pcap

    def packets(self):
        return read_pcap(self.finish())


def read_pcap(path):
    import scapy.layers.inet  # noqa: F401  they tell scapy of link types
    import scapy.layers.l2  # noqa: F401
    from scapy.utils import rdpcap
    return list(rdpcap(path))


def tcp_streams(packets, port, side="sport"):
    """Bytes of each TCP connection from (or to) that port, repeats left
    out."""
    from scapy.layers.inet import IP, TCP
    found = {}
    for packet in packets:
        if TCP not in packet or getattr(packet[TCP], side) != port:
            continue
        tcp = packet[TCP]
        length = packet[IP].len - 4 * packet[IP].ihl - 4 * tcp.dataofs
        key = tcp.dport, tcp.sport
        if tcp.flags.S:
            found[key] = [tcp.seq + 1 & 0xffffffff, bytearray()]
        elif length and key in found:
            data = bytes(tcp.payload)[:length]
            start, stream = found[key]
            at = (tcp.seq - start) & 0xffffffff
            assert at <= len(stream), "the sniffer lost a packet"
            stream[at:at + len(data)] = data
    return [bytes(stream) for _, stream in found.values()]
