#!/usr/bin/env python3
"""Compares irori's speed with other engines on the same files.

One test is one process of each engine in turn, the first to go changing from round to round, so that a machine
that slows down slows all of them; what counts is the median of the ratios within a round.

    bench/compare.py --irori build/release/irori --peer llama.cpp=llama-bench --model a.gguf b.gguf

A peer's COMMAND speaks llama-bench's JSON (`-o json`). It may name {model} {threads} {pp} {tg} {depth}
{repetitions}; when it names none of them, llama-bench's own options are put after it. Standard library only.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PEER_OPTIONS = "-m {model} -t {threads} -p {pp} -n {tg} -r {repetitions} -o json"
FIELDS = ("{model}", "{threads}", "{pp}", "{tg}", "{depth}", "{repetitions}")
SHOWN_FLAGS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd",
               "asimddp", "i8mm", "bf16", "sve")


class Failed(Exception):
    """A run that gave no figure; the text says why."""


def numbers(text):
    values = [int(v) for v in text.split(",") if v]
    if any(v < 0 for v in values):
        raise argparse.ArgumentTypeError("numbers of 0 and more, separated by commas")
    return values


def peer(text):
    name, found, command = text.partition("=")
    if not found or not name or not command.strip():
        raise argparse.ArgumentTypeError("NAME=COMMAND")
    return name, command


def parse(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--irori", required=True, metavar="PATH")
    p.add_argument("--peer", type=peer, action="append", default=[], metavar="NAME=COMMAND")
    p.add_argument("--model", nargs="+", required=True, metavar="FILE")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
                   else os.cpu_count())
    p.add_argument("--pp", type=numbers, default=[512], metavar="N,...", help="prompt lengths")
    p.add_argument("--tg", type=numbers, default=[128], metavar="N,...", help="tokens generated")
    p.add_argument("--depth", type=numbers, default=[0], metavar="N,...", help="tokens already in the context")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--repetitions", type=int, default=1, help="measurements within one process; their median counts")
    p.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="of one process")
    p.add_argument("--out", metavar="PREFIX", help="also write PREFIX.md and PREFIX.json")
    o = p.parse_args(argv)
    names = ["irori"] + [name for name, _ in o.peer]
    if len(set(names)) != len(names):
        p.error("each peer needs a name of its own, and none may be irori")
    if o.rounds < 1 or o.repetitions < 1 or o.threads < 1:
        p.error("--rounds, --repetitions and --threads are 1 and more")
    return o


def execute(command, timeout):
    """Standard output of a command. Into a file: some programs lose their last lines to a pipe."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True)
        except OSError as e:
            raise Failed(f"{command[0]}: {e.strerror}") from None
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"no result after {timeout:g} s") from None
        finally:
            if child.poll() is None:  # too slow, or the user pressed Ctrl-C
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        out.seek(0)
        log.seek(0)
        if status:
            said = log.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"status {status}: {said[-1][:200] if said else 'no message'}")
        return out.read().decode(errors="replace")


def rows_of(text):
    """The JSON array in an output that may have other lines before it."""
    for at, c in enumerate(text):
        if c == "[" and (at == 0 or text[at - 1] == "\n"):
            try:
                rows, _ = json.JSONDecoder().raw_decode(text[at:])
            except ValueError:
                continue
            if isinstance(rows, list) and rows and all(isinstance(r, dict) for r in rows):
                return rows
    raise Failed("the output holds no JSON list of results")


class Test:
    def __init__(self, model, pp, tg, depth):
        self.model, self.pp, self.tg, self.depth = model, pp, tg, depth
        self.name = (f"pp{pp}" if pp else f"tg{tg}") + (f"@d{depth}" if depth else "")


def run_irori(o, test):
    command = [o.irori, "bench", test.model, "--pp", str(test.pp), "--tg", str(test.tg), "--depth", str(test.depth),
               "--threads", str(o.threads), "--repetitions", str(o.repetitions), "--json"]
    row = rows_of(execute(command, o.timeout))[0]
    about = {k: row.get(k) for k in ("version", "cpu_flags", "device", "quantization", "model_hash")}
    return positive(row.get("tokens_per_second")), about


def run_peer(o, template, test):
    if not any(f in template for f in FIELDS):
        template += " " + PEER_OPTIONS + (" -d {depth}" if test.depth else "")
    elif test.depth and "{depth}" not in template:
        raise Failed("its command has no {depth}")
    values = {"model": test.model, "threads": o.threads, "pp": test.pp, "tg": test.tg, "depth": test.depth,
              "repetitions": o.repetitions}
    command = []
    for word in shlex.split(template):
        for key, value in values.items():
            word = word.replace("{" + key + "}", str(value))
        command.append(word)
    for row in rows_of(execute(command, o.timeout)):
        if row.get("n_prompt") == test.pp and row.get("n_gen") == test.tg and row.get("n_depth", 0) == test.depth:
            about = {"version": f"{row.get('build_commit', '?')} ({row.get('build_number', '?')})"}
            samples = row.get("samples_ts")
            return positive(statistics.median(samples) if samples else row.get("avg_ts")), about
    raise Failed(f"the output has no row for {test.name}")


def positive(v):
    if not isinstance(v, (int, float)) or not v > 0:
        raise Failed(f"the speed is {v}")
    return float(v)


def measure(o, tests, say):
    """results[test index][engine] = {"speeds": [one a round, None where it failed], "error": text or None}."""
    engines = {"irori": lambda t: run_irori(o, t)}
    for name, command in o.peer:
        engines[name] = lambda t, command=command: run_peer(o, command, t)
    names, about = list(engines), {}
    results = [{n: {"speeds": [], "error": None} for n in names} for _ in tests]
    for i, test in enumerate(tests):
        for r in range(o.rounds):
            for n in names[r % len(names):] + names[:r % len(names)]:
                one, speed = results[i][n], None
                if one["error"] is None or any(one["speeds"]):  # what never worked is not tried again
                    try:
                        speed, about[n] = engines[n](test)
                    except Failed as e:
                        one["error"] = str(e)
                one["speeds"].append(speed)
                say(f"{pathlib.Path(test.model).name} {test.name} round {r + 1}/{o.rounds} {n}: "
                    + (f"{speed:.2f}" if speed else one["error"]))
    return results, about


def summary(engine, irori):
    speeds = [v for v in engine["speeds"] if v]
    ratios = [a / b for a, b in zip(irori["speeds"], engine["speeds"]) if a and b]
    return {"speeds": engine["speeds"], "error": engine["error"],
            "median": statistics.median(speeds) if speeds else None,
            "least": min(speeds, default=None), "most": max(speeds, default=None),
            "ratios": ratios, "ratio": statistics.median(ratios) if ratios else None}


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def machine():
    fields = {}
    for line in first_line(["env", "LC_ALL=C", "lscpu"]).splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return {"cpu": fields.get("Model name") or platform.processor() or platform.machine(),
            "cores": os.cpu_count(), "flags": fields.get("Flags", "").split(), "system": platform.platform(),
            "caches": {k: v for k, v in fields.items() if k.startswith("L") and k.endswith("cache")}}


def commit():
    folder = str(pathlib.Path(__file__).resolve().parent)
    rev = first_line(["git", "-C", folder, "rev-parse", "--short", "HEAD"])
    changed = rev and first_line(["git", "-C", folder, "status", "--porcelain", "--untracked-files=no"])
    return (rev + " with changes" if changed else rev) or None


def markdown(report):
    m = report["machine"]
    flags = " ".join(f for f in SHOWN_FLAGS if f in m["flags"])
    lines = [f"{report['date']}, {m['cpu']}, {m['cores']} processors, {report['threads']} threads ({flags})",
             f"irori {report['engines'].get('irori', {}).get('version', '?')}, commit {report['commit'] or '?'}; "
             + "; ".join(f"{n} {a['version']}" for n, a in report["engines"].items() if n != "irori"),
             f"{report['rounds']} rounds of {report['repetitions']}; load {report['load'][0]:.1f} before, "
             f"{report['load'][1]:.1f} after", "",
             "| file | test | engine | tokens/s | least..most | irori is, times |", "|---|---|---|---|---|---|"]
    notes = []
    for t in report["tests"]:
        for name, s in t["engines"].items():
            if s["error"]:
                missing = sum(v is None for v in s["speeds"])
                notes.append(f"{t['file']} {t['test']}: {name} failed in {missing} of {len(s['speeds'])} rounds: "
                             f"{s['error']}")
            speed = f"{s['median']:.2f}" if s["median"] else "failed"
            spread = f"{s['least']:.2f}..{s['most']:.2f}" if s["median"] else ""
            ratio = f"{s['ratio']:.3f}" if s["ratio"] and name != "irori" else ""
            lines.append(f"| {t['file']} | {t['test']} | {name} | {speed} | {spread} | {ratio} |")
    return "\n".join(lines + ([""] + notes if notes else [])) + "\n"


def main(argv=None):
    o = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that the child does not outlive us
    tests = [Test(m, pp, tg, d) for m in o.model for d in o.depth
             for pp, tg in [(n, 0) for n in o.pp if n] + [(0, n) for n in o.tg if n]]
    if not tests:
        sys.exit("compare.py: nothing to measure: --pp and --tg are both 0")
    load = [os.getloadavg()[0]]
    started = time.time()
    results, about = measure(o, tests, lambda line: print(line, file=sys.stderr, flush=True))
    load.append(os.getloadavg()[0])
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(time.time() - started), "machine": machine(), "commit": commit(), "engines": about,
        "threads": o.threads, "rounds": o.rounds, "repetitions": o.repetitions, "load": load,
        "tests": [{"file": pathlib.Path(t.model).name, "test": t.name,
                   "engines": {n: summary(e, r["irori"]) for n, e in r.items()}} for t, r in zip(tests, results)]}
    text = markdown(report)
    print(text, end="")
    if o.out:
        pathlib.Path(o.out + ".md").write_text(text)
        pathlib.Path(o.out + ".json").write_text(json.dumps(report, indent=1) + "\n")
    return 1 if all(r["irori"]["error"] and not any(r["irori"]["speeds"]) for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
