#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Check #include "..." against the layers of the tree.

    appliance  ->  ctrl, dataplane, nf's contract
    ctrl       ->  of dataplane only what both sides share
    nf/X       ->  dataplane, itself
    dataplane  ->  itself

Reads file names on stdin, prints each include that crosses a layer.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
SHARED = re.compile(r"dataplane/(addr|steer\w*|grant|stats|nf)\.h$")


def place(name, path):
    """The file meant by an include, as a path from the top."""
    near = os.path.normpath(os.path.join(os.path.dirname(name), path))
    return near if os.path.exists(near) else os.path.normpath(path)


def layer(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "nf" else parts[0]


def allowed(name, target):
    """May `name` include `target`? Tests and perf may include all."""
    here, there = layer(name), layer(target)
    if there == here or here in ("tests", "perf"):
        return True
    if there == "appliance" or there in ("tests", "perf"):
        return False
    if target.endswith(".skel.h"):  # made from ctrl's BPF programs
        return here in ("ctrl", "appliance")
    if here == "ctrl":
        return bool(SHARED.match(target))
    if here.startswith("nf/"):
        return there == "dataplane"
    return here == "appliance" and there in ("ctrl", "dataplane")


def check(name):
    with open(name, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            match = INCLUDE.match(line)
            if match and not allowed(name, place(name, match.group(1))):
                yield "%s:%d: %s must not include %s" % (
                    name, number, layer(name), match.group(1))


for source in sys.stdin.read().split():
    for fault in check(source):
        print(fault)
