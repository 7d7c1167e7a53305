#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A program was built as one is that reads what strangers send: the traces of
m4/harden.m4 are in it. Usage: hardening.py PROGRAM [CFLAGS]"""
import re
import subprocess
import sys


def readelf(program):
    return subprocess.run(["readelf", "-hldW", "--dyn-syms", program],
                          text=True, check=True, capture_output=True).stdout


def fortify_has_effect(cflags):
    levels = re.findall(r"(?:^|\s)-O(\S*)", cflags)
    return "-fsanitize" not in cflags and levels and levels[-1] != "0"


def faults(elf, cflags):
    stack = re.search(r"GNU_STACK.*", elf)
    if not re.search(r"Type:\s+DYN", elf):
        yield "no position independent executable"
    if "GNU_RELRO" not in elf:
        yield "no RELRO"
    if not re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*NOW", elf):
        yield "symbols are not bound at once"
    if not stack or "RWE" in stack[0]:
        yield "the stack can be executed"
    if "__stack_chk_fail" not in elf:
        yield "no stack protector"
    if fortify_has_effect(cflags) and \
            not re.search(r"__(?!stack)\w+_chk@", elf):
        yield "no _FORTIFY_SOURCE"
    if re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", elf):
        yield "libraries from a path of its own, or text that is written to"


def main(program, cflags=""):
    found = list(faults(readelf(program), cflags))
    for what in found:
        print(f"hardening: {program}: {what}")
    return 1 if found else 0


sys.exit(main(*sys.argv[1:]))
