#!/usr/bin/env python3
"""Negative log-likelihood of each window of a text: a plain forward pass in numpy, F32 over the file's F16 weights.

usage: window_nll.py OUT.json WINDOWS MODEL.gguf... -- TEXT.txt...
       window_nll.py tests/api/data/window_nll.json 20 models/irori-tiny-f16.gguf models/irori-tiny-draft-f16.gguf \\
           -- tests/data/held/*.txt

Only Qwen 3 shaped models with a byte-level vocabulary. The text is tokenized whole and cut into consecutive windows
of 512 tokens; the predictions made at positions 256..510 of each are scored. Needs numpy and regex.
"""
import json
import math
import pathlib
import struct
import sys

import numpy as np
import regex

WINDOW = 512
WORD = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
                     r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def read_gguf(path):
    data = pathlib.Path(path).read_bytes()
    at = 8

    def take(code):
        nonlocal at
        value, = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize("<" + code)
        return value

    def value(kind):
        nonlocal at
        if kind == 8:
            n = take("Q")
            at += n
            return data[at - n:at].decode()
        if kind == 9:
            kind, n = take("I"), take("Q")
            return [value(kind) for _ in range(n)]
        return take("BbHhIif?__Qqd"[kind])

    n_tensors, n_keys = take("Q"), take("Q")
    meta = {}
    for _ in range(n_keys):
        key = value(8)
        meta[key] = value(take("I"))
    infos = [(value(8), [take("Q") for _ in range(take("I"))], take("I"), take("Q")) for _ in range(n_tensors)]
    base = (at + 31) // 32 * 32
    tensors = {}
    for name, dims, kind, offset in infos:
        dtype = {0: np.float32, 1: np.float16}[kind]
        flat = np.frombuffer(data, dtype, math.prod(dims), base + offset)
        tensors[name] = flat.reshape(dims[::-1]).astype(np.float32)
    return meta, tensors


def encoder(meta):
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    char = {b: chr(b) for b in printable}
    char |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in printable)}
    ids = {t: i for i, t in enumerate(meta["tokenizer.ggml.tokens"])}
    rank = {tuple(m.split(" ")): i for i, m in enumerate(meta["tokenizer.ggml.merges"])}

    def encode(text):
        out = []
        for word in WORD.findall(text):
            parts = [char[b] for b in word.encode()]
            while True:
                best = min(((rank.get(p, 1 << 30), i) for i, p in enumerate(zip(parts, parts[1:]))),
                           default=(1 << 30, 0))
                if best[0] == 1 << 30:
                    break
                parts[best[1]:best[1] + 2] = ["".join(parts[best[1]:best[1] + 2])]
            out += [ids[p] for p in parts]
        return out

    return encode


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * weight


def log_probs(meta, tensors, ids):
    def key(name):
        return meta["qwen3." + name]

    heads, kv_heads, dim = key("attention.head_count"), key("attention.head_count_kv"), key("attention.key_length")
    eps, n, half = key("attention.layer_norm_rms_epsilon"), len(ids), key("attention.key_length") // 2
    angle = np.arange(n)[:, None] * key("rope.freq_base") ** (-np.arange(half) / half)[None, :]
    cos, sin = np.cos(angle).astype(np.float32)[:, None], np.sin(angle).astype(np.float32)[:, None]

    def turn(x):
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    hidden_future = np.triu(np.full((n, n), -np.inf, np.float32), 1)
    x = tensors["token_embd.weight"][ids]
    for layer in range(key("block_count")):
        def w(name):
            return tensors[f"blk.{layer}.{name}.weight"]

        h = norm(x, w("attn_norm"), eps)
        q = turn(norm((h @ w("attn_q").T).reshape(n, heads, dim), w("attn_q_norm"), eps))
        k = turn(norm((h @ w("attn_k").T).reshape(n, kv_heads, dim), w("attn_k_norm"), eps))
        v = (h @ w("attn_v").T).reshape(n, kv_heads, dim)
        out = np.empty((n, heads, dim), np.float32)
        for head in range(heads):
            group = head * kv_heads // heads
            s = q[:, head] @ k[:, group].T / np.float32(math.sqrt(dim)) + hidden_future
            p = np.exp(s - s.max(-1, keepdims=True))
            out[:, head] = p / p.sum(-1, keepdims=True) @ v[:, group]
        x = x + out.reshape(n, -1) @ w("attn_output").T
        h = norm(x, w("ffn_norm"), eps)
        gate = h @ w("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    head = tensors.get("output.weight", tensors["token_embd.weight"])
    logits = (norm(x, tensors["output_norm.weight"], eps) @ head.T).astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def main():
    split = sys.argv.index("--")
    out, most, models, texts = sys.argv[1], int(sys.argv[2]), sys.argv[3:split], sys.argv[split + 1:]
    result = {}
    for model in models:
        meta, tensors = read_gguf(model)
        encode = encoder(meta)
        figures = result[pathlib.Path(model).stem.removesuffix("-f16")] = {}
        for text in texts:
            ids = encode(pathlib.Path(text).read_text(encoding="utf-8"))
            sums = []
            for at in range(0, min(len(ids) // WINDOW, most) * WINDOW, WINDOW):
                window = ids[at:at + WINDOW]
                table = log_probs(meta, tensors, window)
                sums.append(-sum(table[i, window[i + 1]] for i in range(WINDOW // 2, WINDOW - 1)))
            figures[pathlib.Path(text).stem] = {"tokens": len(ids), "nll": [round(float(s), 6) for s in sums]}
    with open(out, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")


main()
