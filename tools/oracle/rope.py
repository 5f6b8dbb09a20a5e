#!/usr/bin/env python3
"""Rotary frequencies of every kind of context scaling, in double precision, from the papers' formulas.

usage: rope.py > tests/model/data/rope.json
"""
import json
import math

DIMS = 64


def plain(base):
    return [base ** (-2 * i / DIMS) for i in range(DIMS // 2)]


def yarn(base, factor, original, fast=32.0, slow=1.0):
    def pair(turns):  # the (fractional) pair that makes so many turns over the original context
        return DIMS * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(math.floor(pair(fast)), 0), min(math.ceil(pair(slow)), DIMS - 1)
    out = []
    for i, f in enumerate(plain(base)):
        slowed = min(max((i - low) / max(high - low, 0.001), 0), 1)
        out.append(f / factor * slowed + f * (1 - slowed))
    return out


def llama3(base, factor=8.0, low_factor=1.0, high_factor=4.0, original=8192):
    """Llama 3.1's rule, as factors to divide by: what its converter writes into rope_freqs.weight."""
    out = []
    for f in plain(base):
        wave = 2 * math.pi / f
        if wave < original / high_factor:
            out.append(1.0)
        elif wave > original / low_factor:
            out.append(factor)
        else:
            smooth = (original / wave - low_factor) / (high_factor - low_factor)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return out


SHORT = [1 + 0.01 * i for i in range(DIMS // 2)]
LONG = [1 + 0.5 * i for i in range(DIMS // 2)]


def case(name, keys, freq, scale=1.0, context=4096, tensors=None):
    return {"name": name, "keys": keys, "context": context, "tensors": tensors or {}, "inv_freq": freq,
            "scale": scale}


def main():
    factors = llama3(500000.0)
    cases = [
        case("plain", {"freq_base": 10000.0}, plain(10000.0)),
        case("base", {"freq_base": 1e6}, plain(1e6)),
        case("none ignores the factor", {"freq_base": 1e4, "scaling.type": "none", "scaling.factor": 4.0}, plain(1e4)),
        case("linear", {"freq_base": 1e4, "scaling.type": "linear", "scaling.factor": 4.0},
             [f / 4 for f in plain(1e4)]),
        case("old linear key", {"freq_base": 1e4, "scale_linear": 2.0}, [f / 2 for f in plain(1e4)]),
        case("yarn", {"freq_base": 1e6, "scaling.type": "yarn", "scaling.factor": 4.0,
                      "scaling.original_context_length": 32768}, yarn(1e6, 4.0, 32768), 1 + 0.1 * math.log(4),
             context=131072),
        case("yarn, own betas and attention factor",
             {"freq_base": 1e4, "scaling.type": "yarn", "scaling.factor": 16.0,
              "scaling.original_context_length": 4096, "scaling.yarn_beta_fast": 16.0, "scaling.yarn_beta_slow": 2.0,
              "scaling.attn_factor": 0.5}, yarn(1e4, 16.0, 4096, 16.0, 2.0), 0.5 * (1 + 0.1 * math.log(16)),
             context=65536),
        case("llama 3 factors", {"freq_base": 5e5}, [f / g for f, g in zip(plain(5e5), factors)], context=131072,
             tensors={"rope_freqs.weight": factors}),
        case("longrope, long", {"freq_base": 1e4, "scaling.type": "longrope",
                                "scaling.original_context_length": 4096},
             [f / g for f, g in zip(plain(1e4), LONG)], math.sqrt(1 + math.log(32) / math.log(4096)), context=131072,
             tensors={"rope_factors_long.weight": LONG, "rope_factors_short.weight": SHORT}),
        case("longrope, short", {"freq_base": 1e4, "scaling.type": "longrope",
                                 "scaling.original_context_length": 4096},
             [f / g for f, g in zip(plain(1e4), SHORT)],
             tensors={"rope_factors_long.weight": LONG, "rope_factors_short.weight": SHORT}),
    ]
    print(json.dumps(cases, indent=1))


main()
