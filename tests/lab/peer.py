#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Traffic of the tests: what curl and ab cannot say precisely enough.

  peer.py sink PORT NAME             server: answers a stream's SHA-256
  peer.py send HOST PORT FILE        client of it; prints the answer
  peer.py fetch HOST PATH COUNT [SHA256]
                                     COUNT downloads at once, all checked
  peer.py probe HOST SECONDS         a new connection every 10 ms
  peer.py idle HOST COUNT            COUNT connections that stay; each asks
                                     once now, and again at every SIGUSR1
  peer.py pulse HOST COUNT SECONDS   COUNT UDP flows, a query every 10 ms each:
                                     when each was not answered for longest
  peer.py dns HOST COUNT             COUNT UDP flows at once, each asked twice
  peer.py echo HOST COUNT            UDP datagrams to port 7 and back
  peer.py mirror PORT                server: UDP datagrams, and back
  peer.py large HOST PORT BYTES COUNT
                                     datagrams of so many bytes and back
  peer.py refused HOST PORT COUNT    UDP flows that nobody listens to
  peer.py garbage DEVICE MAC ADDRESS PORT COUNT SEED
                                     damaged frames of all kinds to ADDRESS

Results are one JSON object on stdout. Exit status 1 if anything went wrong.
"""
import asyncio
import collections
import errno
import hashlib
import json
import os
import random
import select
import signal
import socket
import socketserver
import struct
import sys
import time


def say(success, **result):
    print(json.dumps(result), flush=True)
    return 0 if success else 1


# --- a stream's checksum ----------------------------------------------------

class Sink(socketserver.BaseRequestHandler):
    """Reads to the end of the stream, then answers on the open half."""

    def handle(self):
        digest = hashlib.sha256()
        while data := self.request.recv(1 << 18):
            digest.update(data)
        answer = "%s %s\n" % (digest.hexdigest(), self.server.title)
        self.request.sendall(answer.encode())


class SinkServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


def sink(port, title):
    with SinkServer(("::", int(port)), Sink) as server:
        server.title = title
        server.serve_forever()


def send(host, port, path):
    with socket.create_connection((host, int(port)), 10) as s:
        s.settimeout(60)
        with open(path, "rb") as f:
            s.sendfile(f)
        s.shutdown(socket.SHUT_WR)
        digest, title = s.makefile().readline().split()
    return say(True, sha256=digest, backend=title)


# --- downloads --------------------------------------------------------------

async def read_body(reader):
    """Status, promised length and SHA-256 and length of what came."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line.split(":")[1]) for line in head
                  if line.lower().startswith("content-length:"))
    digest, got = hashlib.sha256(), 0
    while data := await reader.read(1 << 16):
        digest.update(data)
        got += len(data)
    return int(head[0].split()[1]), length, digest.hexdigest(), got


async def get(host, path, timeout):
    async def whole():
        reader, writer = await asyncio.open_connection(host, 80)
        writer.write(("GET %s HTTP/1.1\r\nHost: lab\r\nConnection: close"
                      "\r\n\r\n" % path).encode())
        try:
            return await read_body(reader)
        finally:
            writer.close()
    return await asyncio.wait_for(whole(), timeout)


async def fetch_one(host, path, sha256, timeout):
    try:
        status, length, digest, got = await get(host, path, timeout)
    except asyncio.TimeoutError:
        return "timeout"
    except OSError as e:
        return errno.errorcode.get(e.errno, type(e).__name__)
    except asyncio.IncompleteReadError:
        return "no answer"
    if status != 200:
        return "HTTP %d" % status
    if got != length:
        return "cut short"
    return "ok" if not sha256 or digest == sha256 else "altered"


async def fetch_all(host, path, count, sha256, timeout):
    results = await asyncio.gather(*[
        fetch_one(host, path, sha256, timeout) for _ in range(count)])
    return collections.Counter(results)


def fetch(host, path, count, sha256=""):
    timeout = float(os.environ.get("PEER_TIMEOUT", "60"))
    seen = asyncio.run(fetch_all(host, path, int(count), sha256, timeout))
    good = seen.pop("ok", 0)
    return say(good == int(count), ok=good, failed=dict(seen))


# --- a connection every 10 ms -----------------------------------------------

async def probe_one(host, rows):
    start = time.time()
    result = await fetch_one(host, "/", "", 5)
    rows.append((start, time.time() - start, result))


async def probe_all(host, seconds):
    rows, tasks, end = [], [], time.time() + seconds
    while time.time() < end:
        tasks.append(asyncio.create_task(probe_one(host, rows)))
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    return rows


def probe(host, seconds):
    """slow_until: start of the last connection that was not served within
    0.3 s, in seconds since the epoch; 0 if all were. worst_ms: how long the
    slowest took."""
    rows = asyncio.run(probe_all(host, float(seconds)))
    slow = [r for r in rows if r[2] != "ok" or r[1] > 0.3]
    return say(True, count=len(rows), slow=len(slow),
               slow_until=max([r[0] for r in slow], default=0),
               worst_ms=round(max(r[1] for r in rows) * 1000),
               first=min(r[0] for r in rows), last=max(r[0] for r in rows),
               errors=dict(collections.Counter(
                   r[2] for r in rows if r[2] != "ok")))


# --- connections that stay ---------------------------------------------------

async def ask(connection, timeout):
    reader, writer = connection

    async def whole():
        writer.write(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        return await reader.readexactly(length)
    try:
        body = await asyncio.wait_for(whole(), timeout)
    except asyncio.TimeoutError:
        return "timeout"
    except OSError as e:
        return errno.errorcode.get(e.errno, type(e).__name__)
    except asyncio.IncompleteReadError:
        return "closed"
    return "ok" if body.startswith(b"backend ") else "altered"


async def ask_all(connections, timeout):
    seen = collections.Counter(await asyncio.gather(
        *[ask(c, timeout) for c in connections]))
    good = seen.pop("ok", 0)
    say(good == len(connections), ok=good, failed=dict(seen))


async def idle_all(host, count, timeout):
    again = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, again.set)
    connections = [await asyncio.open_connection(host, 80)
                   for _ in range(count)]
    while True:
        await ask_all(connections, timeout)
        await again.wait()
        again.clear()


def idle(host, count):
    """One line of JSON for each time they asked."""
    asyncio.run(idle_all(host, int(count),
                         float(os.environ.get("PEER_TIMEOUT", "20"))))


# --- UDP --------------------------------------------------------------------

def dns_query(ident):
    name = b"\x07backend\x04test\x00"
    return struct.pack(">6H", ident, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"


def udp_socket(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect((host, port))
    s.settimeout(2)
    return s


def dns_ask(s, ident):
    """The last byte of the answered address: the backend; or the fault."""
    try:
        s.send(dns_query(ident))
        answer = s.recv(512)
    except socket.timeout:
        return "timeout"
    except OSError as e:
        return errno.errorcode.get(e.errno, type(e).__name__)
    if struct.unpack(">H", answer[:2])[0] != ident:
        return "another's answer"
    return str(answer[-1])


def dns(host, count):
    flows = [udp_socket(host, 53) for _ in range(int(count))]
    first = [dns_ask(s, i) for i, s in enumerate(flows)]
    second = [dns_ask(s, i) for i, s in enumerate(flows)]
    moved = sum(a != b for a, b in zip(first, second))
    seen = collections.Counter(first)
    good = sum(n for answer, n in seen.items() if answer.isdigit())
    return say(good == len(flows) and not moved, ok=good, moved=moved,
               answers=dict(seen))


def pulse_gaps(flows, end):
    """The longest time between two answers of each flow, and its end."""
    poll = select.poll()
    by_fd = {s.fileno(): i for i, s in enumerate(flows)}
    for s in flows:
        s.setblocking(False)
        poll.register(s, select.POLLIN)
    last = [time.time()] * len(flows)
    gaps = [(0, 0)] * len(flows)
    due = time.time()
    while (now := time.time()) < end:
        if now >= due:
            due = now + 0.01
            for s in flows:
                try:
                    s.send(dns_query(1))
                except OSError:
                    pass
        for fd, _ in poll.poll(max(0, (due - time.time()) * 1000)):
            i, now = by_fd[fd], time.time()
            try:
                flows[i].recv(512)
            except OSError:
                continue
            gaps[i] = max(gaps[i], (now - last[i], now))
            last[i] = now
    return [max(g, (time.time() - at, 0)) for g, at in zip(gaps, last)]


def pulse(host, count, seconds):
    """gap_ms: the longest of all; it ended at `until`, 0: it has not."""
    flows = [udp_socket(host, 53) for _ in range(int(count))]
    for i, s in enumerate(flows):
        dns_ask(s, i)
    print("{}", flush=True)
    gaps = pulse_gaps(flows, time.time() + float(seconds))
    gap, until = max(gaps)
    return say(until > 0, gap_ms=round(gap * 1000), until=until)


def echo(host, count):
    s, good = udp_socket(host, 7), 0
    for i in range(int(count)):
        text = os.urandom(1 + i % 1400)
        try:
            s.send(text)
            good += s.recv(2048) == text
        except OSError:
            pass
    return say(good == int(count), ok=good, failed=int(count) - good)


def mirror(port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind(("::", int(port)))
        while True:
            data, peer = s.recvfrom(1 << 16)
            s.sendto(data, peer)


def large(host, port, size, count):
    good = 0
    for _ in range(int(count)):
        with udp_socket(host, int(port)) as s:
            s.settimeout(1)
            text = os.urandom(int(size))
            try:
                s.send(text)
                good += s.recv(1 << 16) == text
            except OSError:
                pass
    return say(good == int(count), ok=good)


def refused_one(host, port):
    with udp_socket(host, port) as s:
        try:
            s.send(b"anybody there?")
            s.recv(100)
        except OSError as e:
            return type(e).__name__
    return "an answer"


def refused(host, port, count):
    """An ICMP error reaches a connected socket as ECONNREFUSED."""
    seen = collections.Counter(
        refused_one(host, int(port)) for _ in range(int(count)))
    return say(seen["ConnectionRefusedError"] == int(count), answers=dict(seen))


# --- a hostile client -------------------------------------------------------

def ip_frame(address, proto, payload):
    if ":" in address:
        source = socket.inet_pton(socket.AF_INET6, "fd77:1::2")
        return b"\x86\xdd" + struct.pack(
            ">IHBB", 6 << 28, len(payload), proto, 64) + source + \
            socket.inet_pton(socket.AF_INET6, address) + payload
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64,
                       proto, 0, socket.inet_aton("10.77.1.2"),
                       socket.inet_aton(address))
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xffff) + (total >> 16)
    total = ~(total + (total >> 16)) & 0xffff
    return b"\x08\x00" + head[:10] + struct.pack(">H", total) + \
        head[12:] + payload


def extensions(rng, proto, payload):
    """IPv6 extension headers, more of them than anybody needs."""
    kind = proto
    for _ in range(rng.randrange(1, 12)):
        payload = struct.pack(">BB6x", kind, rng.choice((0, 0, 0, 9))) + \
            payload
        kind = rng.choice((0, 43, 44, 60, 51))
    return kind, payload


def damaged(rng, address, port):
    ports = struct.pack(">HH", rng.randrange(65536), port)
    proto, payload = rng.choice((
        (6, ports + rng.randbytes(8) + bytes((rng.choice((0, 0x50, 0xf0)),
                                              rng.randrange(256))) +
         rng.randbytes(6)),
        (17, ports + struct.pack(">HH", rng.choice((0, 7, 8, 9999)), 0)),
        (1, bytes((rng.choice((0, 3, 5, 8, 11, 12)), rng.randrange(16))) +
         rng.randbytes(6)),
        (58, bytes((rng.choice((1, 2, 3, 4, 128, 129, 135)), 0)) +
         rng.randbytes(6)),
        (rng.randrange(256), rng.randbytes(8))))
    if rng.random() < 0.3:  # an error about anything
        payload = payload[:8] + ip_frame(address, proto, ports * 5)[2:]
    payload += rng.randbytes(rng.choice((0, 0, 1, 40, 1200)))
    if ":" in address and rng.random() < 0.4:
        proto, payload = extensions(rng, proto, payload)
    frame = bytearray(ip_frame(address, proto, payload))
    for _ in range(rng.choice((0, 1, 1, 3))):
        frame[rng.randrange(2, min(60, len(frame)))] = rng.randrange(256)
    return frame[:rng.randrange(2, len(frame))] if rng.random() < 0.3 \
        else frame


def garbage(device, mac, address, port, count, seed):
    rng = random.Random(int(seed))
    head = bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\1"
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((device, 0))
        for _ in range(int(count)):
            s.send(head + damaged(rng, address, int(port)))
    return say(True, sent=int(count))


COMMANDS = {f.__name__: f for f in (
    sink, send, fetch, probe, idle, pulse, dns, echo, mirror, large, refused,
    garbage)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
    except (OSError, ValueError) as fault:
        sys.exit("peer.py %s: %s" % (sys.argv[1], fault))
