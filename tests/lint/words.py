#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The project speaks of itself alone: no path of somebody's machine, no
package registry's host, nothing left to be done, an SPDX line in every source.
Usage: words.py SOURCE-ROOT"""
import pathlib
import re
import sys

# Where a path may begin: in the folders that every Debian has and nobody works
# in, or in one that is meant not to be there.
EVERYWHERE = "bin|boot|dev|etc|lib|no|nonexistent|proc|run|sbin|sys|tmp|usr|var"
FORBIDDEN = [
    # not behind a variable or another folder, not sed's /what/s/this/that/
    (re.compile(r"(?<![\w.$}>)\]*/@-])(?<!\w\")/"
                rf"(?!(?:{EVERYWHERE})/|[\w.-]+/s/)[a-zA-Z][\w.-]*/\w|"
                r"/tmp/\w-"), "a path of one machine"),
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b"), "something left to do"),
    (re.compile(r"deb\.debian\.org|registry\.npmjs|pypi\.org"),
     "a registry's host"),
]
NOT_OURS = {".git", ".gitignore", "autom4te.cache", "build-aux", "corpus", "__pycache__",
            ".deps", "aclocal.m4", "Makefile", "Makefile.in"}
BUILT = re.compile(r"config(ure~?$|\.)|.*(\.(log|trs)|@\.service)$")
CODE = {".c", ".h", ".py", ".sh", ".am", ".ac", ".m4"}


def faults(path, text):
    is_code = path.suffix in CODE or text.startswith("#!")
    if is_code and "SPDX-License-Identifier" not in text[:200]:
        yield f"{path}:1: no SPDX line"
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                yield f"{path}:{number}: {what}"


def texts(top):
    """Every text file; what is built is left out."""
    for path in sorted(top.iterdir()):
        if path.name in NOT_OURS or BUILT.match(path.name):
            continue
        if path.is_dir():
            yield from texts(path)
        elif path.is_file():
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                pass


def main(root):
    found = list(texts(pathlib.Path(root)))
    bad = [fault for path, text in found for fault in faults(path, text)]
    print("\n".join(bad + [f"words: {len(found)} files"]))
    return 1 if bad or not found else 0


sys.exit(main(sys.argv[1]))
