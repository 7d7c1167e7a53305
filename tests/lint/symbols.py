#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The core has no I/O, clock, randomness or memory of its own: the symbols
that it needs from outside are those of tests/lint/symbols.allow, and each of
these is needed, but for those that it depends on the compiler whether they
are. Usage: symbols.py LIBCORE.A SYMBOLS.ALLOW"""
import re
import subprocess
import sys

# What compilers add: in instrumented and hardened builds, and clang always
# (a memcmp() that only tells whether bytes differ).
COMPILERS = re.compile(r"^(__asan_|__ubsan_|__sanitizer_|__gcov_|__sancov_|"
                       r"__llvm_|__start_|__stop_|__stack_chk_fail$|"
                       r"__mem(cpy|move|set)_chk$|bcmp$)")
# Called or not as the compiler thinks best, whatever the source says.
BUILTIN = {"memcmp", "memcpy", "memmove", "memset"}


def symbols(library, option):
    out = subprocess.run(["nm", "-A", option, library], text=True, check=True,
                         capture_output=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line.strip()}


def main(library, allow):
    with open(allow, encoding="utf-8") as f:
        allowed = {line.split("#")[0].strip() for line in f} - {""}
    needed = symbols(library, "--undefined-only") - \
        symbols(library, "--defined-only")
    needed = {s for s in needed if not COMPILERS.match(s)}
    for name in sorted(needed - allowed):
        print(f"symbols: the core needs {name}, which is not allowed")
    unneeded = allowed - needed - BUILTIN
    for name in sorted(unneeded):
        print(f"symbols: {name} is allowed, but the core does not need it")
    print(f"symbols: the core needs {', '.join(sorted(needed))}")
    return 1 if needed - allowed or unneeded else 0


sys.exit(main(*sys.argv[1:]))
