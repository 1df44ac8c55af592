#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients of the proxy that curl and wrk cannot be; origin.py is behind it.

  asker.py load HOST SECONDS COUNT   COUNT clients that ask all kinds of
                                     things, and check every answer
  asker.py raw HOST PORT HALF HEX    send bytes as they are, print what comes
                                     (HALF: fin or open, after them)
  asker.py pipeline HOST COUNT       COUNT requests at once, on one connection
  asker.py flood HOST COUNT          the same, but nothing is ever read
  asker.py drip HOST COUNT SECONDS   COUNT connections whose heads drip
  asker.py unread HOST COUNT BYTES SECONDS
                                     COUNT clients that do not read answers
  asker.py paced HOST SECONDS        a request every 20 ms: what they took
  asker.py hold HOST COUNT SECONDS   COUNT connections, each asks every 200 ms:
                                     how many of them broke
  asker.py websocket HOST COUNT      frames there and back
  asker.py relay HOST PORT BYTES     both ways at once; half-closes, reads on

Results are one JSON object on stdout. Exit status 1 if anything went wrong.
"""
import asyncio
import collections
import hashlib
import json
import os
import random
import resource
import socket
import sys
import time

sys.dont_write_bytecode = True
from origin import accept_of, frame, of_id


def say(success, **result):
    print(json.dumps(result), flush=True)
    return 0 if success else 1


class Wrong(Exception):
    """An answer that is not to this request, or not what it should be."""


# --- one request ------------------------------------------------------------

async def read_head(r):
    lines = (await r.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
    return int(lines[0].split(" ")[1]), fields


async def read_body(r, fields):
    if fields.get("transfer-encoding") == "chunked":
        parts = []
        while size := int((await r.readuntil(b"\r\n")), 16):
            parts.append(await r.readexactly(size))
            await r.readexactly(2)
        while await r.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(parts)
    if "content-length" in fields:
        return await r.readexactly(int(fields["content-length"]))
    return await r.read()


def chunks(data, dice):
    parts = []
    while data:
        n = dice.randrange(1, 9000)
        parts.append(b"%x\r\n%b\r\n" % (len(data[:n]), data[:n]))
        data = data[n:]
    return b"".join(parts) + b"0\r\n\r\n"


def compose(ident, dice, host):
    """A request, and the body that its answer must have."""
    size = dice.choice((0, 1, 100, 1024, 20000, 100000))
    kind = dice.choice(("id", "id", "id", "chunked", "close", "mirror",
                        "mirror-chunked", "HEAD"))
    common = "Host: %s\r\nX-Id: %s\r\n" % (host, ident)
    if dice.random() < 0.1:
        common += "Connection: close\r\n"
    if not kind.startswith("mirror"):
        method = "HEAD" if kind == "HEAD" else "GET"
        path = "id" if kind == "HEAD" else kind
        text = "%s /%s/%d HTTP/1.1\r\n%s\r\n" % (method, path, size, common)
        return text.encode(), (b"" if method == "HEAD" else
                               of_id(ident, size)), method
    body = of_id(ident, size)
    data = body
    if kind == "mirror":
        common += "Content-Length: %d\r\n" % size
    else:
        common += "Transfer-Encoding: chunked\r\n"
        data = chunks(body, dice)
    text = "POST /mirror HTTP/1.1\r\n%s\r\n" % common
    return text.encode() + data, body, "POST"


async def judge(r, ident, body, method):
    """Read an answer: its status. Wrong if it is not the right one."""
    status, fields = await read_head(r)
    if status >= 500:
        await read_body(r, fields)
        return status, fields
    if status != 200 or fields.get("x-id") != ident:
        raise Wrong("%s: status %d, id %s" % (ident, status,
                                              fields.get("x-id")))
    got = b"" if method == "HEAD" else await read_body(r, fields)
    ends = {"content-length", "transfer-encoding"} & fields.keys()
    if not ends and len(got) < len(body) and body.startswith(got):
        raise ConnectionError("a server that died looks like the end")
    if got != body:
        same = next((i for i, (a, b) in enumerate(zip(got, body)) if a != b),
                    min(len(got), len(body)))
        raise Wrong("%s: %d bytes for %d, other from %d on" % (
            ident, len(got), len(body), same))
    return status, fields


# --- mixed load -------------------------------------------------------------

class Load:
    def __init__(self, host, seconds):
        self.host, self.end = host, time.monotonic() + float(seconds)
        self.status = collections.Counter()
        self.broken = self.asked = 0
        self.wrong = []

    async def client(self, number):
        dice = random.Random(number)
        while time.monotonic() < self.end:
            try:
                await self.connection(number, dice)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.broken += 1
            except (Wrong, ValueError, asyncio.TimeoutError) as e:
                self.wrong.append(repr(e))

    async def connection(self, number, dice):
        r, w = await asyncio.open_connection(self.host, 80, limit=1 << 20)
        try:
            while time.monotonic() < self.end:
                self.asked += 1
                ident = "%d-%d" % (number, self.asked)
                data, body, method = compose(ident, dice, "test")
                w.write(data)
                status, fields = await asyncio.wait_for(
                    judge(r, ident, body, method), 60)
                self.status[str(status)] += 1
                if (b"Connection: close" in data or
                        "close" in fields.get("connection", "")):
                    return
        finally:
            w.close()


async def load(host, seconds, count):
    done = Load(host, seconds)
    await asyncio.gather(*(done.client(i) for i in range(int(count))))
    return say(not done.wrong, asked=done.asked, status=done.status,
               ok=done.status["200"], broken=done.broken,
               wrong=len(done.wrong), first=done.wrong[:3])


# --- bytes as they are ------------------------------------------------------

def raw(host, port, half, text):
    with socket.create_connection((host, int(port)), 10) as s:
        s.settimeout(20)
        s.sendall(bytes.fromhex(text))
        if half == "fin":
            s.shutdown(socket.SHUT_WR)
        while data := s.recv(1 << 16):
            os.write(1, data)
    return 0


# --- pipelining -------------------------------------------------------------

async def pipeline(host, count):
    """Ids and bodies prove the order."""
    r, w = await asyncio.open_connection(host, 80, limit=1 << 20)
    dice = random.Random(1)
    asked = []
    for i in range(int(count)):
        size = dice.choice((0, 10, 1000, 30000))
        asked.append(("p%d" % i, size))
        w.write(b"GET /id/%d HTTP/1.1\r\nHost: a\r\nX-Id: p%d\r\n\r\n" %
                (size, i))
    for ident, size in asked:
        status, _ = await judge(r, ident, of_id(ident, size), "GET")
        if status != 200:
            return say(False, ident=ident, status=status)
    w.close()
    return say(True, answers=len(asked))


async def flood(host, count):
    """How many bytes of requests were taken before it was enough."""
    s = socket.create_connection((host, 80), 10)
    s.setblocking(False)
    one = b"GET /id/20000 HTTP/1.1\r\nHost: a\r\nX-Id: f\r\n\r\n"
    data = one * int(count)
    taken, loop = 0, asyncio.get_running_loop()
    try:
        while taken < len(data):
            taken += s.send(data[taken:taken + (1 << 16)])
    except BlockingIOError:
        # It may be the wire that is slow, not the proxy that has enough.
        try:
            while taken < len(data):
                await asyncio.wait_for(loop.sock_sendall(
                    s, data[taken:taken + 1024]), 3)
                taken += 1024
        except asyncio.TimeoutError:
            pass
    return say(taken < len(data), taken=taken, of=len(data))


# --- slow clients -----------------------------------------------------------

async def many(host, count, begin):
    """COUNT connections, so many at a time as a backlog may hold."""
    gate = asyncio.Semaphore(200)

    async def one():
        async with gate:
            r, w = await asyncio.open_connection(host, 80, limit=4096)
        w.write(begin)
        return r, w
    made = await asyncio.gather(*(one() for _ in range(int(count))),
                                return_exceptions=True)
    return [c for c in made if not isinstance(c, BaseException)]


async def drip(host, count, seconds):
    """Each sends a byte of its head every second; counts how they end."""
    all_of = await many(host, count, b"GET / HTTP/1.1\r\nHost: a\r\n")
    say(True, open=len(all_of))
    ended = collections.Counter()

    async def watch(r):
        try:
            data = await r.read()
            ended[data.decode("latin-1").split(" ")[1] if data else
                  "closed"] += 1
        except ConnectionError:
            ended["reset"] += 1
    watching = [asyncio.create_task(watch(r)) for r, _ in all_of]
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end and sum(ended.values()) < len(all_of):
        began = time.monotonic()
        for i, (_, w) in enumerate(all_of):
            if not w.transport.is_closing():
                w.write(b"X")
            # Spread over the second: in one burst a ring would overflow.
            if i % 100 == 99:
                await asyncio.sleep(max(0, began + i / len(all_of) -
                                        time.monotonic()))
        await asyncio.sleep(max(0, began + 1 - time.monotonic()))
    for task in watching:
        task.cancel()
    return say(True, ended=ended)


async def unread(host, count, size, seconds):
    """Ask for much, read nothing, and leave."""
    gate = b"GET /id/%d HTTP/1.1\r\nHost: a\r\nX-Id: u\r\n\r\n" % int(size)
    socks = []
    for _ in range(int(count)):
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((host, 80))
        s.sendall(gate)
        socks.append(s)
    say(True, open=len(socks))
    await asyncio.sleep(float(seconds))
    return 0


async def paced(host, seconds):
    """What others feel: a new connection every 20 ms."""
    took, bad, tasks = [], 0, []

    async def one(i):
        nonlocal bad
        began = time.monotonic()
        ident = "t%d" % i
        try:
            r, w = await asyncio.open_connection(host, 80)
            w.write(b"GET /id/1000 HTTP/1.1\r\nHost: a\r\nX-Id: %b\r\n"
                    b"Connection: close\r\n\r\n" % ident.encode())
            status, _ = await judge(r, ident, of_id(ident, 1000), "GET")
            w.close()
            bad += status != 200
        except (ConnectionError, asyncio.IncompleteReadError, Wrong):
            bad += 1
        took.append(time.monotonic() - began)
    for i in range(int(float(seconds) * 50)):
        tasks.append(asyncio.create_task(one(i)))
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks)
    took.sort()
    ms = [round(1000 * took[int(len(took) * q)], 2) for q in (0.5, 0.99)]
    return say(bad == 0, asked=len(took), bad=bad, p50_ms=ms[0], p99_ms=ms[1],
               max_ms=round(1000 * took[-1], 2))


async def hold(host, count, seconds):
    end = time.monotonic() + float(seconds)
    broken = bad = asked = 0

    async def one(i):
        nonlocal broken, bad, asked
        r, w = await asyncio.open_connection(host, 80)
        try:
            while time.monotonic() < end:
                ident = "h%d-%d" % (i, asked)
                asked += 1
                w.write(b"GET /id/500 HTTP/1.1\r\nHost: a\r\nX-Id: %b\r\n"
                        b"\r\n" % ident.encode())
                status, _ = await judge(r, ident, of_id(ident, 500), "GET")
                bad += status != 200
                await asyncio.sleep(0.2)
        except (ConnectionError, asyncio.IncompleteReadError):
            broken += 1
        except Wrong:
            bad += 1
        finally:
            w.close()
    tasks = [asyncio.create_task(one(i)) for i in range(int(count))]
    await asyncio.gather(*tasks)
    return say(bad == 0, asked=asked, broken=broken, bad=bad)


# --- tunnels ----------------------------------------------------------------

async def read_frame(r):
    kind, size = await r.readexactly(2)
    if size >= 126:
        size = int.from_bytes(await r.readexactly(2 if size == 126 else 8),
                              "big")
    return kind, await r.readexactly(size)


async def websocket(host, count):
    r, w = await asyncio.open_connection(host, 80, limit=1 << 20)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    w.write(("GET /ws HTTP/1.1\r\nHost: a\r\nX-Id: w\r\n"
             "Connection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" %
             key).encode())
    status, fields = await read_head(r)
    if status != 101 or fields.get("sec-websocket-accept") != accept_of(key):
        return say(False, status=status, fields=fields)
    dice = random.Random(2)
    for i in range(int(count)):
        data = of_id("w%d" % i, dice.choice((0, 5, 125, 126, 3000, 70000)))
        w.write(frame(0x82, data, dice.randbytes(4)))
        kind, got = await read_frame(r)
        if kind != 0x82 or got != data:
            return say(False, frame=i, have=len(got), want=len(data))
    w.write(frame(0x88, b"\x03\xe8", b"abcd"))
    kind, _ = await read_frame(r)
    end = await asyncio.wait_for(r.read(), 10)
    return say(kind == 0x88 and end == b"", frames=int(count))


def relay(host, port, size):
    """To a sink, which answers the SHA-256 once our half is closed."""
    data = of_id("relay", int(size))
    with socket.create_connection((host, int(port)), 10) as s:
        s.settimeout(60)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        answer = s.makefile().read().split()
    good = len(answer) == 2 and answer[0] == hashlib.sha256(data).hexdigest()
    return say(good, bytes=len(data), backend=answer[1:])


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)),
                                                hard))
    verb, *rest = sys.argv[1:]
    done = globals()[verb](*rest)
    return asyncio.run(done) if asyncio.iscoroutine(done) else done


if __name__ == "__main__":
    sys.exit(main())
