#!/usr/bin/env python3
"""How right `irori plan` is: --verify over model files, as a Markdown table with the 95th percentiles at its end.

    bench/plan_table.py build/release/irori --depth 128,256,512 models/*.gguf > table.md

Predictions are the uncorrected ones: with a cache folder of its own, nothing that was learnt before counts."""
import argparse
import json
import math
import os
import subprocess
import tempfile

MARKS = {"rss_bytes": 3, "tokens_per_second": 10, "ttft_ms": 15}


def percentile(values, part):
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


parser = argparse.ArgumentParser()
parser.add_argument("irori")
parser.add_argument("models", nargs="+")
parser.add_argument("--depth", default="128,256,512")
parser.add_argument("--probe", action="store_true", help="measure the machine before each model: what is missed then is not that the machine has changed")
parser.add_argument("--cache", help="folder with a probe to use; default: a new one")
args = parser.parse_args()
with tempfile.TemporaryDirectory() as folder:
    env = {**os.environ, "XDG_CACHE_HOME": args.cache or folder}
    errors = {key: [] for key in MARKS}
    print("| model | depth | MB | error | tokens/s | error | first token, ms | error |\n|---|---|---|---|---|---|---|---|")
    for model in args.models:
        if args.probe:
            subprocess.run([args.irori, "plan", "--probe", "--json"], env=env, check=True, capture_output=True)
        out = subprocess.run([args.irori, "plan", model, "--verify", "--json", "--depth", args.depth], env=env,
                             check=True, capture_output=True).stdout
        for x in json.loads(out):
            cells = [os.path.basename(model).removesuffix(".gguf"), str(x["depth"])]
            for key in MARKS:
                value, error = x["measured"][key] / (1e6 if key == "rss_bytes" else 1), 100 * x["error_raw"][key]
                errors[key].append(abs(error))
                cells += [f"{value:.1f}", f"{error:+.1f} %"]
            print("| " + " | ".join(cells) + " |", flush=True)
    print("\n| over %d points | median of errors | 95th percentile | mark |\n|---|---|---|---|" % len(errors["ttft_ms"]))
    for key, mark in MARKS.items():
        print(f"| {key} | {percentile(errors[key], .5):.1f} % | {percentile(errors[key], .95):.1f} % | {mark} % |")
