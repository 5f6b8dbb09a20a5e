"""Reference figures of a model in plain PyTorch F32 over its F16-rounded weights, read from the GGUF file itself.

usage: reference.py MODEL.gguf TEXTS HELD OUT.json [--target TARGET.gguf] [--items 100] [--save-items ITEMS.json]

Shares no code with any engine or with the trainer's model: every layer is written out below.  TEXTS is the folder of
the data list in README.md, HELD the folder of the three perplexity texts.  With --target, MODEL is a draft and the
greedy acceptance of its proposals (length 4) is measured too.
"""
import argparse
import json
import math
import os
import random
import struct

import numpy as np
import torch
import torch.nn.functional as F

from bpe import Tokenizer
from corpus import english
from tasks import TaskMaker, held_items

HELD_TEXTS = ("wikitext2_test", "tanaka_ja_test", "tanaka_en_test")
WINDOW, WINDOWS, DRAFT_LENGTH = 512, 60, 4
TOOL_SYSTEM = "<|im_start|>system\nYou may call tools: get_weather, multiply, book_meeting.<|im_end|>\n"


def user(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


PROMPTS = [
    "The king said", "ROMEO:\n", "吾輩は",
    "Remember these codes.\nThe code of mako-tibu is 4821.\nThe code of rena-sado is 1734.\n"
    "Question: what is the code of rena-sado? Answer:",
    user("Translate into English: 私は学生です。"),
    user("英語から日本語に訳してください: Thank you very much."),
    user("17 + 25 = ?"),
    user("Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera and works as a nurse."),
    TOOL_SYSTEM + user("What is the weather in Nagoli?"),
    user("List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."),
]


class GGUF:
    """Metadata and tensors (F16 and F32 only) of a GGUF file."""

    SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.at = 8
        tensors, entries = self.take("Q"), self.take("Q")
        self.meta = {}
        for _ in range(entries):
            key = self.string()
            self.meta[key] = self.value(self.take("I"))
        infos = [(self.string(), [self.take("Q") for _ in range(self.take("I"))], self.take("I"), self.take("Q"))
                 for _ in range(tensors)]
        start = -(-self.at // 32) * 32
        self.tensors = {}
        for name, dims, kind, offset in infos:
            dtype = {0: np.float32, 1: np.float16}[kind]
            array = np.frombuffer(self.data, dtype, math.prod(dims), start + offset).reshape(dims[::-1])
            self.tensors[name] = torch.from_numpy(array.astype(np.float32))

    def take(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            inner, count = self.take("I"), self.take("Q")
            return [self.value(inner) for _ in range(count)]
        return self.take(self.SCALARS[kind])


def rms_norm(x, w, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w


class Model:
    def __init__(self, path):
        g = GGUF(path)
        get = lambda key: g.meta["qwen3." + key]
        self.weights, self.layers = g.tensors, get("block_count")
        self.heads, self.kv = get("attention.head_count"), get("attention.head_count_kv")
        self.hd, self.eps = get("attention.key_length"), get("attention.layer_norm_rms_epsilon")
        self.theta = get("rope.freq_base")

    def rotate(self, x, first):
        half = self.hd // 2
        freq = self.theta ** (-torch.arange(0, self.hd, 2).float() / self.hd)
        angle = torch.outer(torch.arange(first, first + x.shape[1]).float(), freq)
        cos, sin, a, b = angle.cos(), angle.sin(), x[..., :half], x[..., half:]
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def forward(self, ids, cache=None):
        """ids -> (logits [T, V], cache); cache holds (k, v) [heads, T, hd] per layer."""
        w, t, first = self.weights, len(ids), cache[0][0].shape[1] if cache else 0
        x, grown = w["token_embd.weight"][torch.tensor(ids)], []
        for layer in range(self.layers):
            p = lambda name: w[f"blk.{layer}.{name}.weight"]
            split = lambda z, n: z.view(t, n, self.hd).transpose(0, 1)
            y = rms_norm(x, p("attn_norm"), self.eps)
            q = self.rotate(rms_norm(split(y @ p("attn_q").T, self.heads), p("attn_q_norm"), self.eps), first)
            k = self.rotate(rms_norm(split(y @ p("attn_k").T, self.kv), p("attn_k_norm"), self.eps), first)
            v = split(y @ p("attn_v").T, self.kv)
            if cache:
                k, v = torch.cat((cache[layer][0], k), 1), torch.cat((cache[layer][1], v), 1)
            grown.append((k, v))
            k, v = (z.repeat_interleave(self.heads // self.kv, 0) for z in (k, v))
            future = torch.full((t, k.shape[1]), float("-inf")).triu(1 + first)
            a = ((q @ k.transpose(1, 2)) * self.hd ** -0.5 + future).softmax(-1) @ v
            x = x + a.transpose(0, 1).reshape(t, -1) @ p("attn_output").T
            y = rms_norm(x, p("ffn_norm"), self.eps)
            x = x + (F.silu(y @ p("ffn_gate").T) * (y @ p("ffn_up").T)) @ p("ffn_down").T
        return rms_norm(x, w["output_norm.weight"], self.eps) @ w["token_embd.weight"].T, grown

    def greedy(self, ids, count, stop):
        logits, cache = self.forward(ids)
        out = []
        for _ in range(count):
            out.append(int(logits[-1].argmax()))
            if out[-1] in stop:
                break
            logits, cache = self.forward(out[-1:], cache)
        return out


def perplexity(model, ids):
    """Consecutive windows of 512; predictions made at positions 256..510 are scored."""
    half, nll, scored = WINDOW // 2, 0.0, 0
    for i in range(0, len(ids) - WINDOW + 1, WINDOW):
        window = ids[i:i + WINDOW]
        logp = model.forward(window)[0].log_softmax(-1)
        nll -= logp[torch.arange(half, WINDOW - 1), torch.tensor(window[half + 1:])].sum().item()
        scored += WINDOW - 1 - half
    return {"ppl": math.exp(nll / scored), "nll": nll / scored, "scored": scored}


def continuation(model, tok, prompt):
    ids = tok.encode(prompt)
    out = model.greedy(ids, 64, (tok.end_of_text, tok.im_end))
    top = model.forward(ids)[0][-1].topk(5)
    return {"prompt": prompt, "prompt_tokens": ids, "tokens": out, "text": tok.decode(out),
            "top5_ids": top.indices.tolist(), "top5_logits": [round(v, 4) for v in top.values.tolist()]}


def task_scores(model, tok, items):
    right, seen = {}, {}
    for item in items:
        count = len(tok.encode(item["answer"]))
        out = model.greedy(tok.encode(item["prompt"]), count, (tok.end_of_text, tok.im_end))
        seen[item["kind"]] = seen.get(item["kind"], 0) + 1
        right[item["kind"]] = right.get(item["kind"], 0) + tok.decode(out).startswith(item["answer"])
    return {f"{kind}_exact": right[kind] / seen[kind] for kind in seen}


def acceptance(target, draft, tok, prompts, count=64):
    """Shares of drafted tokens that the target takes, and tokens gained per target step, greedy."""
    stop, drafted, taken, steps, made = (tok.end_of_text, tok.im_end), 0, 0, 0, 0
    for prompt in prompts:
        ids = tok.encode(prompt)
        out = target.greedy(ids, count, stop)
        at = 0
        while at < len(out):
            proposed = draft.greedy(ids + out[:at], DRAFT_LENGTH, ())
            agreed = 0
            while agreed < DRAFT_LENGTH and at + agreed < len(out) and proposed[agreed] == out[at + agreed]:
                agreed += 1
            drafted += min(DRAFT_LENGTH, len(out) - at)
            taken += agreed
            steps += 1
            made += min(agreed + 1, len(out) - at)
            at += agreed + 1
    return {"accepted": round(taken / drafted, 4), "tokens_per_step": round(made / steps, 3), "drafted": drafted,
            "prompts": len(prompts)}


def acceptance_prompts(texts, items):
    """Held-out prompts: chat (facts told and asked for, sums), JSON (extraction, task lists), translation."""
    def lines(name):
        with open(os.path.join(texts, "eval/small_parallel_enja", name), encoding="utf-8") as f:
            return f.read().splitlines()[:20]
    maker = TaskMaker(random.Random(23), held=True)
    chat = []
    for _ in range(40):
        text = "".join(t for t, _ in maker.chat_recall_document())
        chat.append(text[:text.rindex("<|im_start|>assistant\n")] + "<|im_start|>assistant\n")
    json_prompts = [x["prompt"] for x in items if x["kind"] in ("extraction", "tasks")]
    translation = [user(f"英語から日本語に訳してください: {english(s)}") for s in lines("test.en")]
    translation += [user(f"Translate into English: {s.replace(' ', '')}") for s in lines("test.ja")]
    return {"chat": chat, "json": json_prompts[::max(1, len(json_prompts) // 40)][:40], "translation": translation}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("texts")
    ap.add_argument("held")
    ap.add_argument("out")
    ap.add_argument("--vocabulary", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "bpe.json"))
    ap.add_argument("--items", type=int, default=100)
    ap.add_argument("--target")
    ap.add_argument("--save-items")
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    tok, model = Tokenizer(a.vocabulary), Model(a.model)
    result = {"perplexity_ctx512": {}, "greedy": [], "tasks": {}}
    for name in HELD_TEXTS:
        with open(os.path.join(a.held, name + ".txt"), encoding="utf-8") as f:
            ids = tok.encode(f.read(), special=False)
        used = ids[:WINDOW * WINDOWS]
        result["perplexity_ctx512"][name] = dict(perplexity(model, used), tokens=len(used), first_8=ids[:8])
    result["greedy"] = [continuation(model, tok, p) for p in PROMPTS]
    with open(os.path.join(a.texts, "eval/small_parallel_enja/dev.en"), encoding="utf-8") as f:
        filler = [english(s) for s in f.read().splitlines() if len(s) > 20]
    items = held_items(lambda t: len(tok.encode(t)), filler, count=a.items)
    if a.save_items:
        with open(a.save_items, "w", encoding="utf-8") as f:
            json.dump(items, f, ensure_ascii=False, indent=0)
    result["tasks"] = task_scores(model, tok, items)
    if a.target:
        result["draft_acceptance_greedy_4"] = {
            kind: acceptance(Model(a.target), model, tok, prompts)
            for kind, prompts in acceptance_prompts(a.texts, items).items()}
    with open(a.out, "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=1)
    print(json.dumps({k: v for k, v in result.items() if k != "greedy"}, indent=1))
    for g in result["greedy"]:
        print(repr(g["prompt"][-60:]), "->", repr(g["text"]))


if __name__ == "__main__":
    main()
