#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same requests through several proxies, and what becomes of them.

  differ.py serve FILE PORT...        server: records what comes, as lines of
                                      JSON; answers what the case says
  differ.py ask FILE NAME=HOST:PORT...
                                      each case through each proxy; what comes
                                      back, as lines of JSON
  differ.py compare ASKED SEEN NAME=PORT...
                                      lines ok and FAIL; the first NAME is ours

A proxy is known to the server by the port that it comes to.
"""
import json
import socket
import socketserver
import sys
import threading


def req(line, *fields, body=b""):
    return ("\r\n".join((line + " HTTP/1.1", "Host: a.test", *fields)) +
            "\r\n\r\n").encode("latin-1"), body


def ans(*lines, body=b""):
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


OK = ans("HTTP/1.1 200 OK", "Content-Length: 2", "X-A: b", body=b"ok")
CH = "Transfer-Encoding: chunked"
HEX = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n"


def length(n):
    return "Content-Length: %d" % n


def cases():
    """name -> (request's head, its body, answer)"""
    c = {}

    def add(name, asked, answer=OK):
        c[name] = (*asked, answer)
    for m in ("GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "MKCOL",
              "REPORT", "SEARCH"):
        add("method " + m, req(m + " /m"))
    add("method HEAD", req("HEAD /m"), ans("HTTP/1.1 200 OK", length(77)))
    for m in ("POST", "PUT", "PATCH", "DELETE", "GET"):
        add("body of " + m, req(m + " /m", length(5), body=b"hello"))
    add("body of none", req("POST /m", length(0)))
    add("body of 200000", req("PUT /m", length(200000), body=b"x" * 200000))
    add("body in chunks", req("POST /m", CH, body=HEX))
    add("no chunk", req("POST /m", CH, body=b"0\r\n\r\n"))
    add("long chunk size", req("POST /m", CH,
                               body=b"00000005\r\nhello\r\n0\r\n\r\n"))
    add("capital chunked", req("POST /m", "transfer-encoding: Chunked",
                               body=HEX))
    for t in ("/", "/a?b=c", "/a?b=c?d&e=%20", "/%7Ea/%41", "//a//b", "/a/./b",
              "/a/../b", "/a;p=1,2", "/a:b@c!d$e'f(g)h*i+j", "/?", "/a%2Fb",
              "/" + "l" * 3000, "/~a-b_c.d", "/a?x=[1]", "/a?x=http://b/c"):
        add("target " + t[:30], req("GET " + t))
    add("target is a URI", req("GET http://a.test/u"))
    add("OPTIONS *", req("OPTIONS *"))
    for name, *f in (
            ("many", *("X-F%d: v%d" % (i, i) for i in range(60))),
            ("twice", "X-A: 1", "X-A: 2"), ("empty", "X-A:"),
            ("spaces around", "X-A: \t b c \t"), ("no space", "X-A:b"),
            ("odd name", "X!#$%&'*+.^`|~9: b"), ("underscore", "X_a: b"),
            ("bytes above 127", "X-A: caf\xe9"), ("long", "X-A: " + "v" * 4000),
            ("capitals", "X-ABC: d", "x-def: g"), ("quoted", 'X-A: "b, c"'),
            ("cookie", "Cookie: a=b; c=d"), ("authorization",
                                            "Authorization: Basic YTpi"),
            ("range", "Range: bytes=0-1,5-"), ("conditional",
                                               'If-None-Match: "x", W/"y"'),
            ("accept", "Accept: a/b;q=0.5, */*"), ("encoding",
                                                  "Accept-Encoding: gzip"),
            ("via", "Via: 1.0 else"), ("max-forwards", "Max-Forwards: 9"),
            ("connection's own", "Connection: X-Hop", "X-Hop: 1"),
            ("keep-alive", "Connection: keep-alive", "Keep-Alive: timeout=5"),
            ("te", "TE: trailers", "Connection: TE"),
            ("proxy-connection", "Proxy-Connection: keep-alive"),
            ("upgrade alone", "Upgrade: h9")):
        add("field " + name, req("GET /f", *f))
    for name, status, *f in (
            ("201", "201 Created", "Location: /x", length(2)),
            ("206", "206 Partial Content", "Content-Range: bytes 0-1/9",
             length(2)),
            ("302", "302 Found", "Location: http://b.test/", length(2)),
            ("404", "404 Not Found", length(2)), ("418", "418 Tea", length(2)),
            ("500", "500 Bad", length(2)), ("503", "503 Later",
                                           "Retry-After: 5", length(2)),
            ("401", "401 Who", 'WWW-Authenticate: Basic realm="a, b"',
             length(2)),
            ("cookies", "200 OK", "Set-Cookie: a=b", "Set-Cookie: c=d",
             length(2)), ("no reason", "200 ", length(2)),
            ("hop by hop", "200 OK", "Connection: X-Hop", "X-Hop: 1",
             length(2)),
            ("keep-alive", "200 OK", "Keep-Alive: timeout=9", length(2)),
            ("bytes", "200 OK", "X-A: caf\xe9", length(2)),
            ("encoded", "200 OK", "Content-Encoding: gzip", length(2))):
        add("answer " + name, req("GET /a"),
            ans("HTTP/1.1 " + status, *f, body=b"ok"))
    add("answer 204", req("GET /a"), ans("HTTP/1.1 204 None", "X-A: b"))
    add("answer 304", req("GET /a"), ans("HTTP/1.1 304 Same", 'ETag: "x"'))
    add("answer in chunks", req("GET /a"), ans("HTTP/1.1 200 OK", CH,
                                               body=HEX))
    add("answer empty", req("GET /a"), ans("HTTP/1.1 200 OK", length(0)))
    add("answer after 103", req("GET /a"),
        ans("HTTP/1.1 103 Early", "Link: </a>") + OK)
    add("answer up to the end", req("GET /a"),
        ans("HTTP/1.1 200 OK", "Connection: close", body=b"the end"))
    add("answer of 1.0", req("GET /a"), ans("HTTP/1.0 200 OK", body=b"old"))
    return c


# What may differ, and why it may: case -> (whose, reason).
ALLOWED = {
    "target is a URI": (("nginx",), "either form (RFC 9112 section 3.2.2)"),
    "OPTIONS *": (("nginx",), "it refuses *, which is legal (section 3.2.4)"),
    "field connection's own": (("haproxy", "nginx"),
                               "named fields end here (RFC 9110 7.6.1)"),
    "field upgrade alone": (("haproxy",),
                            "without Connection it ends here (RFC 9110 7.8)"),
    "answer hop by hop": (("haproxy", "nginx"),
                          "named fields end here (RFC 9110 7.6.1)"),
    "answer after 103": (("nginx",), "it takes no 1xx (RFC 9110 15.2)"),
}

HOPS = {"connection", "keep-alive", "te", "transfer-encoding",
        "content-length", "via", "server", "date", "proxy-connection"}


def read_message(f, method=None):
    """A request or (method: the request's) an answer, without its framing."""
    lines = []
    while (line := f.readline()) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    if not lines:
        return None
    pairs = [line.split(":", 1) for line in lines[1:]]
    fields = [[n.lower(), v.strip(" \t")] for n, v in pairs]
    find = dict(fields)
    status = lines[0].split(" ")[1] if method else ""
    body = b""
    if method == "HEAD" or status in ("204", "304") or status[:1] == "1":
        pass
    elif find.get("transfer-encoding", "").lower() == "chunked":
        while n := int(f.readline().split(b";")[0], 16):
            body += f.read(n)
            f.readline()
        while f.readline() not in (b"\r\n", b""):
            pass
    elif "content-length" in find:
        body = f.read(int(find["content-length"]))
    elif method:
        body = f.read()
    return {"line": lines[0], "body": body.decode("latin-1"),
            "case": find.get("x-case"), "close": "connection" in find and
            find["connection"].lower() == "close",
            "fields": sorted(p for p in fields if p[0] not in HOPS)}


# --- the server ---------------------------------------------------------------

class Recorder(socketserver.StreamRequestHandler):
    def handle(self):
        while q := read_message(self.rfile):
            answer = CASES[q["case"]][2] if q["case"] in CASES else OK
            q["port"] = self.server.server_address[1]
            with LOCK:
                RECORD.write(json.dumps(q) + "\n")
                RECORD.flush()
            self.wfile.write(answer)
            if b"Content-Length" not in answer and CH.encode() not in answer:
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


CASES = cases()
LOCK = threading.Lock()
RECORD = None


def serve(path, *ports):
    global RECORD
    RECORD = open(path, "w")
    for port in ports:
        server = Server(("0.0.0.0", int(port)), Recorder)
        threading.Thread(target=server.serve_forever).start()


# --- the client ---------------------------------------------------------------

def ask_one(address, name):
    head, body, _ = CASES[name]
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as s:
        s.settimeout(10)
        s.sendall(head[:-2] + b"X-Case: " + name.encode() + b"\r\n\r\n" + body)
        f = s.makefile("rb")
        method = head.split(b" ")[0].decode()
        got = read_message(f, method)
        while got and got["line"].split(" ")[1][0] == "1":
            got = read_message(f, method)
        return got


def ask(path, *proxies):
    with open(path, "w") as out:
        for proxy in proxies:
            who, address = proxy.split("=")
            for name in CASES:
                try:
                    got = ask_one(address, name)
                except (OSError, ValueError) as e:
                    got = {"line": repr(e)}
                out.write(json.dumps({"who": who, "case": name,
                                      "got": got}) + "\n")


# --- what differs ---------------------------------------------------------------

def lines_of(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def words(message):
    """What is compared: neither the version nor the reason is."""
    if message is None:
        return None
    line = message["line"].split(" ")
    first = line[1] if line[0].startswith("HTTP/") else line[:2]
    return {"line": first, "fields": message.get("fields"),
            "body": message.get("body")}


def differing(a, b):
    if a is None or b is None:
        return [] if a == b else ["none at all: %r %r" % (
            a and a["line"], b and b["line"])]
    return ["%s: %.150r, %.150r" % (
        k, [x for x in a[k] or [] if x not in (b[k] or [])]
        if k == "fields" else a[k],
        [x for x in b[k] or [] if x not in (a[k] or [])]
        if k == "fields" else b[k]) for k in a if a[k] != b[k]]


def compare(asked, seen, *proxies):
    ports = dict(p.split("=") for p in proxies)
    ours = next(iter(ports))
    got = {(x["who"], x["case"]): words(x["got"]) for x in lines_of(asked)}
    had = {(str(x["port"]), x["case"]): words(x) for x in lines_of(seen)}
    bad = 0
    for name in CASES:
        for who in list(ports)[1:]:
            diff = ["server " + d for d in differing(
                had.get((ports[ours], name)), had.get((ports[who], name)))]
            diff += ["client " + d for d in differing(
                got[ours, name], got[who, name])]
            allowed = who in ALLOWED.get(name, ((), ""))[0]
            if bool(diff) != allowed:
                bad += 1
                print("FAIL proxy_differ: %s, %s: %s" % (
                    name, who, "; ".join(diff) or "no difference now"))
            else:
                print("ok proxy_differ: %s, %s%s" % (name, who, ": " + ALLOWED[name][1]
                                               if allowed else ""))
    return bad > 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
