"""Traffic for a running server: many streams some of which nobody reads, clients that leave at any moment, writes that
a kill interrupts. Each gives what it saw; the tests hold that to what must be, bench/serve_load.py prints it."""
import http.client
import json
import random
import re
import select
import selectors
import signal
import socket
import threading
import time

import serving
from serving import NAME, WEATHER, chat

HELD = ("answers_generating", "requests_waiting", "requests_reading", "kv_promised_bytes", "kv_bytes")


def request(path, body, *lines):
    """The bytes of a POST."""
    data = json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def asks():
    """Requests of several kinds, streamed and whole, that take a while to answer."""
    story = "Tell me a story."
    user = [{"role": "user", "content": story}]
    return [request(path, body) for path, body in (
        ("/v1/chat/completions", chat(story, stream=True, ignore_eos=True)),
        ("/v1/chat/completions", chat(story, n=2, ignore_eos=True)),
        ("/v1/chat/completions", chat("What is the weather in Nagoli?", tools=[WEATHER], tool_choice="required", stream=True)),
        ("/v1/completions", {"prompt": "The river " * 100, "stream": True, "logprobs": 20, "ignore_eos": True}),
        ("/v1/responses", {"input": story, "stream": True, "ignore_eos": True}),
        ("/v1/messages", {"model": NAME, "messages": user, "max_tokens": 300, "stream": True}),
        ("/api/chat", {"model": NAME, "messages": user, "options": {"num_predict": 300}}),
        ("/completion", {"prompt": "Once", "stream": True, "ignore_eos": True}))]


def metrics(server):
    """Name to value; of a name with several models, their sum."""
    out = {}
    for line in server.call("GET", "/metrics")[2].splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0].removeprefix("irori_")
            out[name] = out.get(name, 0) + float(value)
    return out


def held(server, patience):
    """What is held for clients once it no longer changes for the better: name to value, {} when all is given back."""
    until = time.monotonic() + patience
    while True:
        m = metrics(server)
        left = {name: m[name] for name in HELD if m[name]}
        if m["connections"] > 1:  # the one that asks
            left["connections"] = m["connections"] - 1
        busy = sum(slot["is_processing"] for slot in server.call("GET", "/slots")[2])
        if busy:
            left["slots"] = busy
        if not left or time.monotonic() > until:
            return left
        time.sleep(.05)


def resident(server):
    """Resident bytes: private ones, and those of files (the model)."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        found = dict(re.findall(r"(RssAnon|RssFile):\s*(\d+) kB", f.read()))
    return int(found["RssAnon"]) * 1024, int(found["RssFile"]) * 1024


class Stream:
    """One client of a stream: what came, and how long it waited between events."""

    def __init__(self, server, data, reads, selector):
        self.data, self.reads, self.seen, self.waits, self.last, self.over = data, reads, bytearray(), [], None, False
        self.socket = socket.socket()
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(serving.PATIENCE)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.sendall(data)
        if reads:
            self.socket.setblocking(False)
            selector.register(self.socket, selectors.EVENT_READ, self)

    def receive(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        now = time.monotonic()
        events = piece.count(b"\n\n")
        if events and self.last is not None:
            self.waits.append(now - self.last)
            self.waits.extend([0.0] * (events - 1))  # they came with the one before
        if events:
            self.last = now
        self.seen += piece
        self.over = not piece

    def answer(self):
        """The text of the stream, or None when it did not come to its end in whole events."""
        head, _, rest = bytes(self.seen).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            return None
        if b"chunked" in head:
            body = bytearray()
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                n = int(size, 16)
                body += rest[:n]
                rest = rest[n + 2:]
                if n == 0:
                    break
            rest = bytes(body)
        events = rest.decode().split("\n\n")
        if events[-2:] != ["data: [DONE]", ""]:
            return None
        chunks = [json.loads(e.removeprefix("data: ")) for e in events[:-2]]
        return "".join(c["choices"][0]["text"] for c in chunks)


def streams(server, bodies, clients, silent, seconds=0):
    """`clients` at once stream completions of `bodies` in turn, one after another until `seconds` are over (at least
    one each); the first `silent` of them never read. Gives (wrong, answers, waits, seconds it took): wrong are the
    streams of readers that lost or changed something against the same question asked alone."""
    alone = [server.post("/v1/completions", b)[2]["choices"][0]["text"] for b in bodies]
    asks = [request("/v1/completions", dict(b, stream=True)) for b in bodies]
    # So much more than fits anywhere that the server has to stop making it.
    endless = request("/v1/completions", dict(bodies[0], stream=True, logprobs=20, max_tokens=1 << 20))
    selector, wrong, waits, answers = selectors.DefaultSelector(), [], [], 0
    started = time.monotonic()
    quiet = [Stream(server, endless, False, selector) for _ in range(silent)]
    turn = {}

    def begin(i):
        s = Stream(server, asks[i % len(asks)], True, selector)
        turn[s] = i
        return s

    for i in range(clients - silent):
        begin(i)
    while turn:
        ready = selector.select(serving.PATIENCE)
        if not ready:
            wrong.extend((i, bytes(s.seen[-200:])) for s, i in turn.items())
            break
        for key, _ in ready:
            s = key.data
            s.receive()
            if not s.over:
                continue
            i = turn.pop(s)
            selector.unregister(s.socket)
            s.socket.close()
            waits += s.waits
            answers += 1
            if s.answer() != alone[i % len(alone)]:
                wrong.append((i, bytes(s.seen[-200:])))
            if time.monotonic() - started < seconds:
                begin(i + clients)
    took = time.monotonic() - started
    for s in list(turn) + quiet:
        s.socket.close()
    selector.close()
    return wrong, answers, waits, took


WORD = re.compile(rb'"content":"(\d+):(\d+) "')


class Paced:
    """A client of paced.c's words: whether the next one is there, and how late."""

    def __init__(self, port, data, reads):
        self.expected, self.chunks, self.body, self.lost, self.late, self.over = 0, b"", b"", 0, [], False
        self.head = False
        self.socket = socket.socket()
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(serving.PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(data)
        self.socket.setblocking(False)

    def take(self, piece, now):
        """Bytes that came at `now` (microseconds)."""
        self.chunks += piece
        if not self.head:
            head, end, rest = self.chunks.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self.chunks = head.startswith(b"HTTP/1.1 200"), rest
        while True:
            size, end, rest = self.chunks.partition(b"\r\n")
            n = int(size, 16) if end else 0
            if not end or len(rest) < n + 2:
                break
            self.body += rest[:n]
            self.chunks = rest[n + 2:]
            self.over = n == 0
        if not self.body.endswith(b"\n\n"):
            return
        for number, told in WORD.findall(self.body):
            self.lost += int(number) != self.expected
            self.expected = int(number) + 1
            self.late.append(now - int(told))
        self.over = self.over or b"[DONE]" in self.body
        self.body = b""


def paced(server, clients, silent, words):
    """`clients` streams of `words` words at once, of which `silent` never read. Gives the readers."""
    data = request("/v1/chat/completions", chat("a", stream=True, max_tokens=words))
    quiet = [Paced(server.port, data, False) for _ in range(silent)]
    readers = [Paced(server.port, data, True) for _ in range(clients - silent)]
    by_number, poll = {}, select.epoll()
    for r in readers:
        by_number[r.socket.fileno()] = r
        poll.register(r.socket.fileno(), select.EPOLLIN)
    while by_number:
        ready = poll.poll(serving.PATIENCE)
        if not ready:
            break
        came = []
        for number, _ in ready:  # first all is taken, then looked at: a client of its own would not wait for the others
            r = by_number[number]
            came.append((r, r.socket.recv(65536), time.monotonic_ns() // 1000))
        for r, piece, now in came:
            r.take(piece, now)
            if r.over or not piece:
                del by_number[r.socket.fileno()]
                r.socket.close()
    for c in (*quiet, *by_number.values()):
        c.socket.close()
    return readers


def leave(server, requests, count, seed, at_once=8):
    """`count` clients send one of `requests` (bytes) and hang up at a random moment: within the head, within the body,
    before the first byte of the answer, or within it; half of them with a reset."""
    def one(draw):
        data = draw.choice(requests)
        head = data.index(b"\r\n\r\n") + 4
        moment = draw.randrange(4)
        cut = (draw.randrange(head), draw.randrange(head, len(data)), len(data), len(data))[moment]
        with socket.create_connection(("127.0.0.1", server.port), timeout=serving.PATIENCE) as s:
            if draw.random() < .5:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            try:
                s.sendall(data[:cut])
                if moment == 2:
                    time.sleep(draw.random() * .01)
                elif moment == 3:
                    s.settimeout(1)
                    wanted = draw.randrange(1, 2000)
                    while wanted > 0:
                        piece = s.recv(wanted)
                        if not piece:
                            break
                        wanted -= len(piece)
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass

    def many(k):
        draw = random.Random(seed * 1000 + k)
        for _ in range(k, count, at_once):
            one(draw)

    workers = [threading.Thread(target=many, args=(k,)) for k in range(at_once)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()


def killed(env, writers, seconds, body):
    """`writers` clients make responses until the server is killed after `seconds`; a new server on the same state is
    then asked for each that was acknowledged. Gives (acknowledged, lost or changed)."""
    server = serving.Server("--quiet", "--slots", str(writers), env=env)
    made = []

    def write():
        try:
            while True:
                status, _, value = server.post("/v1/responses", body)
                if status == 200:
                    made.append(value)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            pass  # killed

    workers = [threading.Thread(target=write) for _ in range(writers)]
    for w in workers:
        w.start()
    time.sleep(seconds)
    while not made:
        time.sleep(.01)
    status = server.stop(signal.SIGKILL)
    for w in workers:
        w.join()
    again = serving.Server("--quiet", env=env)
    lost = [a["id"] for a in made if again.call("GET", "/v1/responses/" + a["id"])[2] != a]
    if again.stop() != 0 or status != -signal.SIGKILL:
        raise AssertionError("the server did not end as it was told")
    return len(made), lost
