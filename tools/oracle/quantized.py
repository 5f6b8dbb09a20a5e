#!/usr/bin/env python3
"""The same types by irori and by llama.cpp's llama-quantize, from one model, measured by `irori eval kl`: a Markdown table.

usage: quantized.py [--imatrix FILE] [--chunks N] IRORI LLAMA_QUANTIZE MODEL.gguf TYPE,... TEXT...
       quantized.py build/release/irori llama-quantize models/irori-tiny-f16.gguf Q4_K_M,Q5_K_M tests/data/held/*.txt

The texts are read behind one another. Differences are of perplexity in percent, taken token by token, each with its
standard error: of either file from MODEL, and of irori's file from llama.cpp's. KL is from MODEL, in nats a token.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def run(*words):
    r = subprocess.run(words, capture_output=True)
    if r.returncode:
        sys.exit(f"{' '.join(words)}: {r.stderr.decode(errors='replace')[-400:]}")
    return r.stdout


def compare(o, model, base, text):
    more = ["--chunks", str(o.chunks)] if o.chunks else []
    return json.loads(run(o.irori, "eval", "kl", model, "--base", base, "--file", text, "--json", *more))


def percent(r):
    return f"{100 * r['nll_difference']:+.2f} ± {100 * r['nll_difference_error']:.2f}"


def row(o, folder, text, kind):
    ours, theirs = os.path.join(folder, "irori.gguf"), os.path.join(folder, "llama.gguf")
    importance = ["--imatrix", o.imatrix] if o.imatrix else []
    made = json.loads(run(o.irori, "quantize", o.model, ours, "--type", kind, "--json", *importance))
    run(o.llama_quantize, *importance, o.model, theirs, kind)
    a, b, pair = (compare(o, *files, text) for files in ((ours, o.model), (theirs, o.model), (ours, theirs)))
    os.remove(ours)
    return (f"| {kind} | {made['bpw']:.2f} | {percent(a)} | {percent(b)} | {percent(pair)} | "
            f"{a['kl']:.5f} ± {a['kl_error']:.5f} | {b['kl']:.5f} ± {b['kl_error']:.5f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--imatrix")
    p.add_argument("--chunks", type=int)
    for name in ("irori", "llama_quantize", "model", "types"):
        p.add_argument(name)
    p.add_argument("texts", nargs="+")
    o = p.parse_args()
    print("| type | bits a weight | irori from F16, % | llama.cpp from F16, % | irori from llama.cpp, % | KL irori | KL llama.cpp |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        pathlib.Path(text).write_bytes(b"".join(pathlib.Path(t).read_bytes() for t in o.texts))
        for kind in o.types.split(","):
            print(row(o, folder, text, kind), flush=True)


if __name__ == "__main__":
    main()
