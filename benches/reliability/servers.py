"""Hostile servers: a run ends in bounded time, says why, and the key is in nothing that it prints or writes."""

import base64
import gzip
import json
import socket
import struct
import threading
import time

KEY = "sk-scoreboard-1a2b3c4d5e6f7a8b9c0d"
SECONDS = 90


class Server:
    """Answers every request on a port of the loopback in one way. `answer(connection, headers, body)` writes the answer."""

    def __init__(self, answer):
        self.answer, self.requests = answer, 0
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as file:
                while line := file.readline(65536):
                    if not line.strip():
                        continue
                    headers = {}
                    while (line := file.readline(65536)) not in (b"\r\n", b"\n", b""):
                        name, _, value = line.decode("latin1").partition(":")
                        headers[name.strip().lower()] = value.strip()
                    body = file.read(int(headers.get("content-length", 0)))
                    self.requests += 1
                    if self.answer(connection, headers, json.loads(body or b"{}"), self.requests) is False:
                        return
        except (OSError, ValueError):
            pass

    def close(self):
        self.socket.close()


def respond(connection, status, body, headers=""):
    body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    connection.sendall(
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body
    )


def completion(pairs, usage=None):
    return {
        "choices": [
            {"text": pairs[0][0], "logprobs": {"content": [
                {"token": pairs[0][0], "logprob": pairs[0][1], "top_logprobs": [{"token": t, "logprob": p} for t, p in pairs]}
            ]}}
        ],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 1},
    }


GOOD = [(" low", -0.9), (" high", -1.1), (" moderate", -2.0)]


def endless(connection, head, chunk):
    connection.sendall(head)
    while True:
        connection.sendall(chunk)


def slowly(connection, head):
    connection.sendall(head)
    while True:
        connection.sendall(b" ")
        time.sleep(1)


def echo(status, where):
    """Answers with what the request was authorised by, in several spellings."""

    def answer(connection, headers, body, count):
        sent = headers.get("authorization", "")
        key = sent.removeprefix("Bearer ")
        spelt = f"{sent} {json.dumps(key)} {key[:12]}...{key[-8:]} {base64.b64encode(key.encode()).decode()}"
        if where == "token":
            return respond(connection, status, completion([(key, -0.1), *GOOD]))
        text = json.dumps({"error": {"message": f"wrong key: {spelt}"}}) if where == "json" else f"headers: {spelt}"
        respond(connection, status, text)

    return answer


def always(status, body, headers=""):
    return lambda connection, sent, request, count: respond(connection, status, body, headers)


def then(first, count, later):
    """As `first` for some requests, then as `later`."""
    return lambda c, h, b, n: (first if n <= count else later)(c, h, b, n)


def cut(connection, headers, body, count):
    data = json.dumps(completion(GOOD)).encode()
    connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data[: len(data) // 2])
    return False


def reset(connection, headers, body, count):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False


OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
good = always(200, completion(GOOD))
ATTACKS = [
    ("a key in a 401", echo(401, "json")),
    ("a key in a 500", echo(500, "text")),
    ("a key in an error with status 200", echo(200, "json")),
    ("a key in what is no JSON", echo(200, "text")),
    ("a key as a token", echo(200, "token")),
    ("good at first, then a key in a 401", then(good, 60, echo(401, "json"))),
    ("escape codes in an error", always(401, "\x1b]0;owned\x07\x1b[2J all good\r\n\x08\x08")),
    ("no quota left", always(429, {"error": {"message": "no quota", "type": "insufficient_quota", "code": "insufficient_quota"}})),
    ("a page in HTML", always(200, "<!doctype html><title>Gateway</title>")),
    ("nothing at all", always(200, "")),
    ("brackets without an end", always(200, "[" * 2_000_000)),
    ("five million empty choices", always(200, '{"choices":[{}' + ",{}" * 5_000_000 + "]}")),
    ("twenty thousand times the same token", always(200, completion([(" very", -0.1)] * 20_000))),
    ("tokens that never end a label", always(200, completion([(" ", -0.1), ("  ", -0.2), (" \t", -0.3)]))),
    ("usage beyond 64 bits", always(200, json.dumps(completion(GOOD, {"prompt_tokens": 2**64 - 1, "completion_tokens": 5})))),
    ("a wait of 10^19 seconds", always(429, "slow", "retry-after: 1e19\r\n")),
    ("a gigabyte that was zipped", always(200, gzip.compress(b" " * (1 << 30), 1), "content-encoding: gzip\r\n")),
    ("a body without an end", lambda c, h, b, n: endless(c, OK + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n")),
    ("headers without an end", lambda c, h, b, n: endless(c, OK, b"x-h: " + b"a" * 1000 + b"\r\n")),
    ("100 Continue without an end", lambda c, h, b, n: endless(c, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
    ("answers that are cut", cut),
    ("connections that are reset", reset),
    ("labels below one in 100,000", always(200, completion([("<think>", -1e-5), (" low", -13.0), (" high", -14.0), (" moderate", -15.0)]))),
    ("a redirect to another host", always(307, "", "location: http://127.0.0.2:9/v1/completions\r\n")),
]
# Stopped by hand after two seconds: silence is no fault before the time limit of a request, and one that went away is given minutes.
SILENT = [
    ("good at first, then 500", then(good, 150, always(500, "boom"))),
    ("silence", lambda c, h, b, n: time.sleep(600)),
    ("a byte a second", lambda c, h, b, n: slowly(c, OK + b"content-length: 100000\r\n\r\n")),
    ("a byte of a header a second", lambda c, h, b, n: slowly(c, b"HTTP/1.1 200 OK\r\nx-slow:")),
]


def attacks(world, cases):
    for case, (what, answer) in enumerate(ATTACKS[:cases]):
        server = Server(answer)
        out = f"attacked-{case}"
        ended = world.call(*run(world, server, out), seconds=SECONDS, environment={"SCOREBOARD_KEY": KEY})
        server.close()
        wrong = ended.crash()
        if not wrong and ended.code == 0 and b"usage" not in what.encode():
            wrong = "ended with 0, as if all were well"
        yield f"{what}: exit {ended.code}, {ended.seconds:.0f} s, {server.requests} requests", wrong or leaks(world, out, ended)


def silence(world, cases):
    import signal

    for case, (what, answer) in enumerate(SILENT[:cases]):
        server = Server(answer)
        out = f"silent-{case}"
        ended = world.call(*run(world, server, out), seconds=30, signals=[(2.0, signal.SIGINT)], environment={"SCOREBOARD_KEY": KEY})
        server.close()
        wrong = ended.crash()
        if not wrong and ended.code != 3:
            wrong = f"ended with {ended.code}, expected 3: {ended.last_line()}"
        if not wrong and ended.seconds > 4:
            wrong = f"stopped {ended.seconds - 2:.1f} s after it was asked to"
        yield f"{what}, stopped after 2 s", wrong or leaks(world, out, ended)


def run(world, server, out):
    return world.run_command(out, "--teacher", f"openai:http://127.0.0.1:{server.port}/v1#model,key=SCOREBOARD_KEY")


def leaks(world, out, ended):
    """Where the key, or most of it, came to light, or codes that a terminal obeys."""
    spelt = [KEY, KEY[3:], KEY[:12], KEY[-12:], base64.b64encode(KEY.encode()).decode()[:20]]
    for text in map(str.encode, spelt):
        if text in ended.output:
            return f"printed the key: {ended.last_line()}"
        for path in (world.place / out).rglob("*") if (world.place / out).exists() else []:
            if path.is_file() and text in path.read_bytes():
                return f"wrote the key to {path.name}"
    if any(code in ended.output for code in (b"\x1b]0;", b"\x1b[2J", b"\x07", b"\x08")):
        return "printed escape codes of the server"
    return ""
