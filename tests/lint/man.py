#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every option that a program's help names has an entry of its own in its man
page, and no entry is left of an option that is gone.
Usage: man.py PROGRAM MAN-PAGE"""
import re
import subprocess
import sys


def options_in_help(program):
    text = subprocess.run([program, "--help"], text=True, check=True,
                          capture_output=True).stdout
    names = set()
    for line in text.splitlines():
        if re.match(r" +-", line):  # up to the text, after two spaces
            options = line.strip().split("  ")[0]
            names.update(re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-\w)\b",
                                    options))
    return names


def options_in_man(page):
    """Those of the entries' heads: .It of mdoc, the line after .TP of man."""
    names = set()
    head = False
    with open(page, encoding="utf-8") as f:
        for line in f:
            if head or line.startswith(".It Fl"):
                line = line.replace("\\-", "-").replace("Fl ", "-")
                line = re.sub(r"\\f.|\"", "", line)
                names.update(re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-\w)\b",
                                        line))
            head = line.startswith((".TP", ".TQ"))
    return names


def main(program, page):
    helped, described = options_in_help(program), options_in_man(page)
    for name in sorted(helped - described):
        print(f"man: {page} has no entry for {name}")
    for name in sorted(described - helped):
        print(f"man: {page} describes {name}, which --help does not know")
    print(f"man: {page}: {len(helped)} options")
    return 1 if helped != described or len(helped) < 10 else 0


sys.exit(main(*sys.argv[1:]))
