#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which buckets the packets of a capture belong to.

  buckets.py PCAPNG SEED BUCKETS VIP... -- SNAT...

Computes the bucket of each TCP or UDP packet the way dataplane/steer.h says:
by hash where the client's side is a VIP, by the port where it is a SNAT
address. Prints JSON: how many packets, how many of neither, and the buckets
seen on each side.
"""
import ipaddress
import json
import struct
import sys

M32 = 0xffffffff


def rotl(x, r):
    return ((x << r) | (x >> (32 - r))) & M32


def mix(h, word):
    word = rotl(word * 0xcc9e2d51 & M32, 15) * 0x1b873593 & M32
    return (rotl(h ^ word, 13) * 5 + 0xe6546b64) & M32


def words(address):
    return struct.unpack("<4I", address)


def steer_hash(src, dst, ports, proto, seed):
    """Addresses as 16 bytes, ports as the 4 bytes on the wire."""
    sport, dport = struct.unpack("<HH", ports)
    h = seed
    for word in (*words(src), *words(dst), sport << 16 | dport, proto):
        h = mix(h, word)
    h = (h ^ h >> 16) * 0x85ebca6b & M32
    h = (h ^ h >> 13) * 0xc2b2ae35 & M32
    return h ^ h >> 16


def mapped(text):
    a = ipaddress.ip_address(text)
    return a.packed if a.version == 6 else bytes(10) + b"\xff\xff" + a.packed


def frames(path):
    """The frames of a pcapng file of this machine's byte order."""
    with open(path, "rb") as f:
        while head := f.read(8):
            kind, length = struct.unpack("=II", head)
            body = f.read(length - 8)
            if kind == 6:
                kept = struct.unpack("=I", body[12:16])[0]
                yield body[20:20 + kept]


def parse(frame):
    """(proto, source, destination, ports) or None."""
    kind = frame[12:14]
    if kind == b"\x08\x00":
        four = bytes(10) + b"\xff\xff"
        proto, src, dst = frame[23], four + frame[26:30], four + frame[30:34]
        l4 = 14 + (frame[14] & 15) * 4
    elif kind == b"\x86\xdd":
        proto, src, dst, l4 = frame[20], frame[22:38], frame[38:54], 54
    else:
        return None
    if proto not in (6, 17):
        return None
    return proto, src, dst, frame[l4:l4 + 4]


def main(path, seed, buckets, *rest):
    vips = {mapped(a) for a in rest[:rest.index("--")]}
    snats = {mapped(a) for a in rest[rest.index("--") + 1:]}
    seed, mask = int(seed), int(buckets) - 1
    seen = {"vip": set(), "snat": set()}
    count = other = 0
    for frame in frames(path):
        count += 1
        packet = parse(frame)
        proto, src, dst, ports = packet or (0, b"", b"", b"")
        swapped = ports[2:4] + ports[0:2]
        if dst in vips:
            seen["vip"].add(steer_hash(src, dst, ports, proto, seed) & mask)
        elif src in vips:
            seen["vip"].add(steer_hash(dst, src, swapped, proto, seed) & mask)
        elif dst in snats:
            seen["snat"].add(int.from_bytes(ports[2:4], "big") & mask)
        elif src in snats:
            seen["snat"].add(int.from_bytes(ports[0:2], "big") & mask)
        else:
            other += 1
    print(json.dumps({"packets": count, "other": other,
                      "vip": sorted(seen["vip"]),
                      "snat": sorted(seen["snat"])}))


if len(sys.argv) < 6:
    sys.exit(__doc__)
main(*sys.argv[1:])
