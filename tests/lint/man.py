#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every option that a program's help names has an entry of its own in its man
page, and every key that the program can write as JSON stands in the sections
that are about that; no entry is left of an option or of a key that is gone.
Usage: man.py PROGRAM MAN-PAGE SOURCES FOLDER-OR-FILE...
(those below SOURCES that write the program's JSON)"""
import pathlib
import re
import subprocess
import sys

ABOUT_JSON = ("LEDGER", "JSON", "CHECK")
HEADS_ARE_KEYS = ("LEDGER", "JSON")
LITERAL = re.compile(r"\b(?:json_\w+|\w+_json|report_begin)\("
                     r'\s*&?[\w.>-]+,\s*"(\w+)"')
# a list of keys is gone through: #define X(parameters) body, LIST(X), #undef
PASSAGE = re.compile(r"#define X\(([\w, ]+)\)(.*?)\n\s*(\w+)\(X\)\s*#undef X",
                     re.S)
STRING = r'"(?:[^"\\]|\\.)*"'


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
    for line in page.splitlines():
        if head or line.startswith(".It Fl"):
            line = line.replace("\\-", "-").replace("Fl ", "-")
            line = re.sub(r"\\f.|\"", "", line)
            names.update(re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-\w)\b",
                                    line))
        head = line.startswith((".TP", ".TQ"))
    return names


def rows_of(lists, name):
    """The arguments of each row of the list, which some header defines."""
    body = re.search(rf"#define {name}\(X\)((?:.*\\\n)*.*)", lists).group(1)
    body = body.replace("\\\n", " ")
    for row in re.findall(rf"\bX\(((?:[^()\"]|{STRING})*)\)", body):
        yield [a.strip() for a in re.findall(rf"(?:[^,\"]|{STRING})+", row)]


def keys_listed(text, lists):
    """Of the lists that are gone through to write keys, or to name them."""
    for parameters, body, name in PASSAGE.findall(text):
        written = re.search(r"json_\w+\(\w+,\s*(\w+)|(?<!#)#(\w+)", body)
        if written:
            key = written.group(1) or written.group(2)
            at = [p.strip() for p in parameters.split(",")].index(key)
            for row in rows_of(lists, name):
                yield row[at].strip('"')


def keys_in_sources(top, places):
    top, keys = pathlib.Path(top), set()
    lists = "".join(p.read_text() for p in sorted(top.rglob("*.h")))
    for place in places:
        path = top / place
        for source in sorted(path.glob("*.c")) if path.is_dir() else [path]:
            text = source.read_text().replace("\\\n", " ")
            keys.update(LITERAL.findall(text), keys_listed(text, lists))
    return keys


def sections(page, names):
    parts = re.split(r"^\.SH (.*)\n", page, flags=re.M)
    return "".join(text for name, text in zip(parts[1::2], parts[2::2])
                   if name in names)


def words_about_json(page):
    text = re.sub(r"\\f.|\\\(aq", " ", sections(page, ABOUT_JSON))
    return set(re.findall(r"\w+", text))


def main(program, path, top, *places):
    page = pathlib.Path(path).read_text(encoding="utf-8")
    helped, described = options_in_help(program), options_in_man(page)
    keys = keys_in_sources(top, places)
    heads = set(re.findall(r"^\.IP (\w+) 4$",
                           sections(page, HEADS_ARE_KEYS), re.M))
    bad = [f"{path} has no entry for {name}"
           for name in sorted(helped - described)]
    bad += [f"{path} describes {name}, which --help does not know"
            for name in sorted(described - helped)]
    bad += [f"{path} does not name the key {key}"
            for key in sorted(keys - words_about_json(page))]
    bad += [f"{path} has the key {key}, which nothing writes"
            for key in sorted(heads - keys)]
    for line in bad:
        print(f"man: {line}")
    print(f"man: {path}: {len(helped)} options, {len(keys)} keys")
    return 1 if bad or len(helped) < 10 or not keys else 0


sys.exit(main(*sys.argv[1:]))
