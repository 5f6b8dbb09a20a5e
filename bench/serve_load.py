#!/usr/bin/env python3
"""Loads `irori serve` and prints what it saw: many streams of which some are never read; the same with words that a
stand-in for the model (tests/server/paced.c) gives at 20 a second; many generations at once against one; clients that
leave at any moment; kills. By hand; the short versions are tests/server/test_load.py.

    bench/serve_load.py --irori build/release/irori streams throughput leave kill
    bench/serve_load.py --irori build/release/irori paced --clients 1000 --seconds 600
    bench/serve_load.py --irori build/release/irori --peer "llama-server -m {model} --port {port} -np 16 -c 8192" throughput

Traffic and server share the machine, so delays are those of both. Standard library only.
"""
import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import types
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "server"))
sys.dont_write_bytecode = True
PROMPTS = ("The river", "A list of tasks:", "Once", "In the morning", "Please", "The city of", "It was", "Why")


def say(what, **figures):
    print(json.dumps({"what": what, **{k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}}), flush=True)


def bodies(tokens):
    return [{"prompt": p, "temperature": 0, "max_tokens": tokens, "ignore_eos": True} for p in PROMPTS]


def streams(o):
    server = serving.Server("--quiet", "--slots", "64", "--queue", "4096", "--ctx", str(o.context), models=(o.model,))
    server.post("/v1/completions", bodies(1)[0])
    with Watched(server) as memory:
        wrong, answers, waits, took = traffic.streams(server, bodies(o.tokens), o.clients, o.clients // 10, o.seconds)
    left = traffic.held(server, 30)
    waits.sort()
    say("streams", clients=o.clients, unread=o.clients // 10, seconds=took, answers=answers, events=len(waits) + answers, wrong=len(wrong),
        events_a_second_each=(len(waits) + answers) / took / (o.clients - o.clients // 10), p50_ms=1e3 * waits[len(waits) // 2],
        p99_ms=1e3 * waits[len(waits) * 99 // 100], longest_ms=1e3 * waits[-1], mb_above_base=memory.mb(), held_after=left)
    server.stop()


class Watched:
    """The most private memory of a server while it is worked with, above what it held before."""

    def __init__(self, server):
        self.server, self.base, self.most, self.done = server, traffic.resident(server)[0], 0, threading.Event()
        self.watcher = threading.Thread(target=self.watch)

    def watch(self):
        while not self.done.wait(.1):
            self.most = max(self.most, traffic.resident(self.server)[0])

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *why):
        self.done.set()
        self.watcher.join()

    def mb(self):
        return (self.most - self.base) / 2**20


def paced(o):
    server = serving.Server(models=(o.model,), pace=20)
    traffic.paced(server, 2, 0, 2)
    words, silent = int(o.seconds * 20), o.clients // 10
    cpu = sum(os.times()[:2])
    with Watched(server) as memory:
        readers = traffic.paced(server, o.clients, silent, words)
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as f:
        server_cpu = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    late = sorted(x / 1e3 for r in readers for x in r.late)
    say("paced", clients=o.clients, unread=silent, seconds=o.seconds, words=len(late), lost=sum(r.lost + (r.expected != words) for r in readers),
        p50_ms=late[len(late) // 2], p99_ms=late[len(late) * 99 // 100], longest_ms=late[-1], mb_above_base=memory.mb(),
        server_cpu=server_cpu / o.seconds, client_cpu=(sum(os.times()[:2]) - cpu) / o.seconds, connections_after=traffic.held(server, 30))
    server.stop()


def rate(port, count, tokens, path):
    """Tokens a second of `count` generations at once, whole answers."""
    def one(i):
        body = json.dumps({"prompt": PROMPTS[i % len(PROMPTS)] + f" {i}", "n_predict": tokens, "temperature": 0, "ignore_eos": True})
        ask = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(ask, timeout=300) as r:
            made.append(json.load(r)["tokens_predicted"])

    made = []
    workers = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    started = time.monotonic()
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if len(made) != count:
        raise RuntimeError(f"{count - len(made)} of {count} generations failed")
    return sum(made) / (time.monotonic() - started)


def throughput_of(name, port, o):
    """Alone and together in turns, so that a machine that slows down slows both."""
    rate(port, 16, 16, "/completion")
    pairs = [(rate(port, 1, o.tokens, "/completion"), rate(port, 16, o.tokens, "/completion")) for _ in range(o.rounds)]
    say("throughput", server=name, one=statistics.median(p[0] for p in pairs), sixteen=statistics.median(p[1] for p in pairs),
        ratio=statistics.median(p[1] / p[0] for p in pairs), rounds=o.rounds, tokens=o.tokens)


def throughput(o):
    for name, words in (("irori", ()), ("irori --no-guess", ("--no-guess",))):
        server = serving.Server("--quiet", "--slots", "16", "--ctx", "512", *words, models=(o.model,))
        throughput_of(name, server.port, o)
        server.stop()
    if not o.peer:
        return
    with tempfile.TemporaryFile() as log:
        peer = subprocess.Popen(shlex.split(o.peer.format(model=o.model, port=o.peer_port)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{o.peer_port}/health", timeout=5):
                        break
                except OSError:
                    if peer.poll() is not None or time.monotonic() > until:
                        log.seek(0)
                        raise RuntimeError(f"the peer did not start: {log.read()[-500:]}") from None
                    time.sleep(.1)
            throughput_of(pathlib.Path(shlex.split(o.peer)[0]).name, o.peer_port, o)
        finally:
            peer.terminate()
            peer.wait()


def leave(o):
    server = serving.Server("--quiet", "--slots", "8", "--queue", "32", "--ctx", "512", models=(o.model,))
    started = time.monotonic()
    traffic.leave(server, traffic.asks(), o.leavers, seed=int(started))
    took, left, m = time.monotonic() - started, traffic.held(server, 30), traffic.metrics(server)
    say("leave", clients=o.leavers, seconds=took, held_after=left, failed=m["requests_failed_total"],
        unaccounted=m["requests_accepted_total"] - m["requests_finished_total"] - m["requests_canceled_total"], exit=server.stop())


def kill(o):
    made, lost = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(o.kills):
            n, gone = traffic.killed({"XDG_STATE_HOME": folder}, 4, .1 + .07 * (i % 10), {"input": "a", "max_output_tokens": 2})
            made, lost = made + n, lost + len(gone)
    say("kill", kills=o.kills, acknowledged=made, lost=lost)


def main():
    runs = types.MappingProxyType({"streams": streams, "paced": paced, "throughput": throughput, "leave": leave, "kill": kill})
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="+", choices=runs)
    p.add_argument("--irori", required=True, metavar="PATH")
    p.add_argument("--model", default=str(ROOT / "models" / "irori-tiny-f16.gguf"), metavar="FILE")
    p.add_argument("--clients", type=int, default=200, help="streams, paced: clients at once; a tenth never read")
    p.add_argument("--seconds", type=float, default=60, help="streams: new answers begin until then; paced: length of each answer")
    p.add_argument("--context", type=int, default=512, help="streams: tokens of each")
    p.add_argument("--tokens", type=int, default=100, help="streams, throughput: of an answer")
    p.add_argument("--rounds", type=int, default=3, help="throughput")
    p.add_argument("--peer", metavar="COMMAND", help="throughput: another server with llama-server's /completion; {model} {port}")
    p.add_argument("--peer-port", type=int, default=18080)
    p.add_argument("--leavers", type=int, default=2000, help="leave: clients")
    p.add_argument("--kills", type=int, default=10)
    o = p.parse_args()
    os.environ["IRORI"] = o.irori
    global serving, traffic
    import serving
    import traffic
    for what in o.what:
        runs[what](o)


if __name__ == "__main__":
    main()
