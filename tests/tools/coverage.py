#!/usr/bin/env python3
"""Prints what share of the lines was executed, by folder and by file, the least covered first.

usage: llvm-cov export --summary-only ... | coverage.py     from the project's root
"""
import collections
import json
import os
import sys


def row(name, covered, lines):
    print(f"{100 * covered / lines:6.1f} %  {covered:6} of {lines:6}  {name}")


def main():
    root = os.getcwd() + os.sep
    files = {}
    for entry in json.load(sys.stdin)["data"][0]["files"]:
        lines = entry["summary"]["lines"]
        name = entry["filename"].removeprefix(root)
        if name.startswith(("src/", "include/")) and lines["count"] > 0:
            files[name] = (lines["covered"], lines["count"])
    folders = collections.defaultdict(lambda: [0, 0])
    for name, (covered, lines) in files.items():
        for folder in (os.path.dirname(name), "all"):
            folders[folder][0] += covered
            folders[folder][1] += lines
    if not files:
        sys.exit("coverage: no file of src or include in the report")

    def by_share(items):
        return sorted(items, key=lambda item: (item[1][0] / item[1][1], item[0]))

    for name, (covered, lines) in by_share(files.items()):
        row(name, covered, lines)
    print()
    for name, (covered, lines) in by_share((n, f) for n, f in folders.items() if n != "all"):
        row(name, covered, lines)
    row("all", *folders["all"])


if __name__ == "__main__":
    main()
