#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An HTTP server behind the proxy: it tells what has come, and can do wrong.

  origin.py PORT NAME [proxy]   with `proxy`, connections begin with the
                                header of the PROXY protocol, version 1 or 2

Every answer carries X-Origin, its name, and the request's X-Id. Paths:

  /seen       the request as it came, as JSON; the body's length and SHA-256
  /id/N       N bytes that X-Id alone determines (see of_id)
  /chunked/N  the same in chunks; /close/N  up to the connection's end
  /mirror     the request's body
  /status/N   status N and no body
  /early      103 before the answer
  /silent     nothing, ever; /half/N  half of it; /cut/N  half, then the end
  /ws         a websocket that says what it hears
"""
import asyncio
import base64
import functools
import hashlib
import json
import random
import re
import struct
import sys

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAGIC = b"\r\n\r\n\0\r\nQUIT\n"


@functools.lru_cache(64)
def block(n):
    return random.Random(n).randbytes(1 << 16)


def of_id(ident, n):
    """N bytes of which every 64 KiB are others, and others for each id."""
    if n == 0:
        return b""
    head = hashlib.sha256(ident.encode()).digest()
    parts, left, i = [], n, 0
    while left > 0:
        part = head + struct.pack(">I", i) + block(i % 64)
        parts.append(part[:left])
        left -= len(parts[-1])
        i += 1
    return b"".join(parts)


def accept_of(key):
    digest = hashlib.sha1((key + GUID).encode()).digest()
    return base64.b64encode(digest).decode()


async def proxy_header(r):
    """The header's line (version 1) or its addresses (2), as text."""
    first = await r.readexactly(12)
    if first != MAGIC:
        return (first + await r.readuntil(b"\r\n")).decode().rstrip()
    kind, family, length = struct.unpack(">BBH", await r.readexactly(4))
    rest = await r.readexactly(length)
    if kind != 0x21:
        return "LOCAL %02x" % kind
    n = {1: 4, 2: 16}[family >> 4]
    form = (".".join(["%d"] * 4) if n == 4 else
            ":".join(["%02x%02x"] * 8))
    return "v2 %s %s %d %d" % (form % tuple(rest[:n]),
                               form % tuple(rest[n:2 * n]),
                               *struct.unpack(">HH", rest[2 * n:2 * n + 4]))


class Request:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.fields = [re.split(r":[ \t]*", line, maxsplit=1)
                       for line in lines[1:] if line]
        self.trailers = []
        self.body = b""

    def get(self, name, default=""):
        for n, v in self.fields:
            if n.lower() == name:
                return v
        return default

    @property
    def chunked(self):
        return "chunked" in self.get("transfer-encoding").lower()


async def body_of(r, q):
    """(bytes, SHA-256) of it; what is long is not kept."""
    digest, length, kept = hashlib.sha256(), 0, []

    async def take(n):
        nonlocal length
        while n > 0:
            data = await r.read(min(n, 1 << 18))
            if not data:
                raise asyncio.IncompleteReadError(b"", n)
            digest.update(data)
            length += len(data)
            n -= len(data)
            if length <= 1 << 22:
                kept.append(data)

    if not q.chunked:
        await take(int(q.get("content-length", "0")))
    while q.chunked:
        size = int((await r.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            break
        await take(size)
        await r.readexactly(2)
    while q.chunked:
        line = (await r.readuntil(b"\r\n")).decode("latin-1").rstrip()
        if not line:
            break
        q.trailers.append(line)
    q.body = b"".join(kept)
    return length, digest.hexdigest()


class Origin:
    def __init__(self, name, proxied):
        self.name, self.proxied = name, proxied

    def head(self, q, status, *fields):
        lines = ["HTTP/1.1 %s Said" % status, "X-Origin: " + self.name,
                 "X-Id: " + q.get("x-id", "-"), *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def whole(self, q, data, status=200):
        head = self.head(q, status, "Content-Length: %d" % len(data))
        return head if q.method == "HEAD" else head + data

    async def serve(self, r, w):
        try:
            said = await proxy_header(r) if self.proxied else None
            while await self.one(r, w, said):
                await w.drain()
            await w.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            w.close()

    async def one(self, r, w, said):
        q = Request(await r.readuntil(b"\r\n\r\n"))
        if q.get("expect").lower() == "100-continue":
            w.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        q.length, q.sha = await body_of(r, q)
        q.said = said
        _, verb, *more = q.target.split("?")[0].split("/")
        n = int(more[0]) if more and more[0].isdigit() else 0
        do = getattr(self, "do_" + verb, self.do_seen)
        goes_on = await do(q, n, r, w)
        return goes_on and q.get("connection").lower() != "close"

    async def do_seen(self, q, n, r, w):
        w.write(self.whole(q, json.dumps(dict(
            name=self.name, method=q.method, target=q.target,
            version=q.version, fields=q.fields, chunked=q.chunked,
            trailers=q.trailers, length=q.length, sha256=q.sha,
            proxy=q.said)).encode()))
        return True

    async def do_id(self, q, n, r, w):
        w.write(self.whole(q, of_id(q.get("x-id"), n)))
        return True

    async def do_chunked(self, q, n, r, w):
        w.write(self.head(q, 200, "Transfer-Encoding: chunked",
                          "Trailer: X-Sum"))
        data = of_id(q.get("x-id"), n)
        sizes = random.Random(n)
        while data:
            part, data = data[:(k := sizes.randrange(1, 20000))], data[k:]
            w.write(b"%x\r\n%b\r\n" % (len(part), part))
        w.write(b"0\r\nX-Sum: end\r\n\r\n")
        return True

    async def do_close(self, q, n, r, w):
        w.write(self.head(q, 200, "Connection: close"))
        w.write(of_id(q.get("x-id"), n))
        return False

    async def do_mirror(self, q, n, r, w):
        w.write(self.whole(q, q.body))
        return True

    async def do_status(self, q, n, r, w):
        w.write(self.head(q, n, 'ETag: "one"') if n in (204, 304)
                else self.whole(q, b"", n))
        return True

    async def do_early(self, q, n, r, w):
        w.write(b"HTTP/1.1 103 Early\r\nLink: </a.css>\r\n\r\n")
        w.write(self.whole(q, b"late"))
        return True

    async def do_silent(self, q, n, r, w):
        await r.read()
        return False

    async def do_half(self, q, n, r, w):
        w.write(self.whole(q, of_id(q.get("x-id"), n))[:-n // 2])
        await r.read()
        return False

    async def do_cut(self, q, n, r, w):
        w.write(self.whole(q, of_id(q.get("x-id"), n))[:-n // 2])
        return False

    async def do_ws(self, q, n, r, w):
        w.write(self.head(q, 101, "Upgrade: websocket", "Connection: Upgrade",
                          "Sec-WebSocket-Accept: " +
                          accept_of(q.get("sec-websocket-key"))))
        while True:
            kind, size = await r.readexactly(2)
            size &= 0x7f
            form = {126: ">H", 127: ">Q"}.get(size)
            if form:
                size, = struct.unpack(form, await r.readexactly(
                    struct.calcsize(form)))
            mask = await r.readexactly(4)
            data = unmask(await r.readexactly(size), mask)
            w.write(frame(kind, data))
            await w.drain()
            if kind & 15 == 8:
                return False


def unmask(data, mask):
    n = len(data)
    long = int.from_bytes(mask * (n // 4 + 1), "big") >> (8 * (4 - n % 4))
    return (int.from_bytes(data, "big") ^ long).to_bytes(n, "big")


def frame(kind, data, mask=None):
    """One frame of a websocket (RFC 6455 section 5.2)."""
    n = len(data)
    bit = 0x80 if mask else 0
    head = (struct.pack(">BB", kind, bit | n) if n < 126 else
            struct.pack(">BBH", kind, bit | 126, n) if n < 65536 else
            struct.pack(">BBQ", kind, bit | 127, n))
    return head + (mask + unmask(data, mask) if mask else data)


async def main(port, name, proxied=""):
    server = await asyncio.start_server(Origin(name, proxied).serve, None,
                                        int(port), backlog=4096,
                                        limit=1 << 18)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
