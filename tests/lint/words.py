#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The project speaks of itself alone: no path of somebody's machine, no
package registry's host, nothing left to be done, an SPDX line in every source.
Usage: words.py SOURCE-ROOT"""
import pathlib
import re
import sys

FORBIDDEN = [
    (re.compile(r"(?<![\w.])/(work|home|farm)/\w"), "a path of one machine"),
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b"), "something left to do"),
    (re.compile(r"deb\.debian\.org|registry\.npmjs|pypi\.org"),
     "a registry's host"),
]
TEXT = {".c", ".h", ".py", ".sh", ".am", ".ac", ".m4", ".md", ".8", ".patch"}
CODE = {".c", ".h", ".py", ".sh", ".am", ".ac"}


def faults(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix in CODE and "SPDX-License-Identifier" not in text[:200]:
        yield f"{path}:1: no SPDX line"
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                yield f"{path}:{number}: {what}"


def main(root):
    root = pathlib.Path(root)
    files = [p for top in ("src", "tests", "man", "docs", "kmod-notes")
             for p in sorted(root.glob(f"{top}/**/*"))
             if p.is_file() and p.suffix in TEXT]
    files += [root / "README.md", root / "configure.ac", root / "Makefile.am"]
    bad = [fault for p in files for fault in faults(p)]
    print("\n".join(bad + [f"words: {len(files)} files"]))
    return 1 if bad else 0


sys.exit(main(sys.argv[1]))
