#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Dependencies point one way: programs -> check, io, base, core; check and io
see only the packet, address and link types of core; base only what it prints;
core sees itself and a few system headers. Usage: layers.py SOURCE-ROOT"""
import pathlib
import re
import sys

CORE_SYSTEM = {
    "errno.h", "limits.h", "stdbool.h", "stddef.h", "stdint.h", "string.h",
    "sys/types.h", "sodium/crypto_shorthash.h",
}
IO_CORE = {
    "core/addr.h", "core/bytes.h", "core/check.h", "core/checksum.h",
    "core/divert.h", "core/mem.h",
    "core/packet.h", "core/peer.h", "core/segment.h", "core/tcp_opts.h",
    "core/split.h", "core/verdict.h", "core/wire.h",
}
BASE_CORE = {
    "core/addr.h", "core/bytes.h", "core/check.h", "core/ledger.h",
    "core/mem.h",
}
PROGRAMS = {"tcpcopy": {"intercept"}, "intercept": {"tcpcopy"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def allowed(layer, quoted, name):
    if layer == "core":
        return name.startswith("core/") if quoted else name in CORE_SYSTEM
    if not quoted:
        return True
    if layer == "io":
        return name.startswith(("io/", "base/")) or name in IO_CORE
    if layer == "base":
        return name.startswith("base/") or name in BASE_CORE
    if layer == "check":
        return name.startswith(("check/", "io/", "base/")) or \
            name in IO_CORE | BASE_CORE
    return name.split("/")[0] not in PROGRAMS[layer]


def main(root):
    bad = 0
    files = 0
    for path in sorted(pathlib.Path(root, "src").glob("*/*.[ch]")):
        layer = path.parent.name
        files += 1
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and not allowed(layer, match[1] == '"', match[2]):
                print(f"{path}:{number}: {layer} may not include {match[2]}")
                bad += 1
    print(f"layers: {files} files, {bad} forbidden includes")
    return 1 if bad or not files else 0


sys.exit(main(sys.argv[1]))
