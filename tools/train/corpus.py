"""The natural text of the training mixture, and rows of tokens with loss weights drawn from it and from tasks.py.

The folder of texts has the layout of the data list in README.md.  Tanaka's and WikiText-2's test splits are never
read here.  Rows depend only on (seed, rank, step), so that a resumed run sees what an unbroken one would have seen.
"""
import json
import os
import random
import re

import numpy as np

from tasks import TaskMaker, chat_segments

TANAKA, WIKI, TEXT = "eval/small_parallel_enja", "eval/wikitext-2", "eval/text"
JCQA = "eval/jglue/jcommonsenseqa-v1.3/train-v1.3.json"
# share of natural rows per stream: about equal numbers of passes over each
STREAMS = {"wiki": 0.30, "shakespeare": 0.12, "wagahai": 0.16, "botchan": 0.04, "tanaka_en": 0.17, "tanaka_ja": 0.21}
# share of rows per kind, early (copying still to be learnt) and late
MIX_EARLY = {"natural": 0.15, "chat": 0.08, "tasks": 0.26, "recall": 0.44, "induction": 0.07}
MIX_LATE = {"natural": 0.26, "chat": 0.13, "tasks": 0.22, "recall": 0.37, "induction": 0.02}


def english(line):
    """Tanaka's tokenized, lower-cased English as ordinary text."""
    line = re.sub(r" (n't|'s|'m|'re|'ve|'d|'ll)\b", r"\1", line.replace(" ' ", "'").replace(" '", "'"))
    line = re.sub(r" ([.,?!;:])", r"\1", line)
    line = re.sub(r"\bi\b", "I", line)
    return line[:1].upper() + line[1:]


def wiki(line):
    """WikiText's tokenized English as ordinary text; unknown words become "it"."""
    line = line.replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".").replace("<unk>", "it")
    line = re.sub(r" ([.,?!;:)'])", r"\1", line)
    return line.replace("( ", "(").replace(' " ', ' "')


class Corpus:
    def __init__(self, folder, tokenizer, late_mix=None):
        self.folder, self.tok, self.late_mix = folder, tokenizer, late_mix or MIX_LATE
        lines = [wiki(s.strip()) for s in self.read(f"{WIKI}/valid.txt").splitlines() if s.strip()]
        en = [english(s) for s in self.read(f"{TANAKA}/train.en").splitlines()]
        ja = [s.replace(" ", "") for s in self.read(f"{TANAKA}/train.ja").splitlines()]
        botchan = self.read(f"{TEXT}/botchan.txt")
        botchan = re.sub(r"(?<!\n)\n(?!\n)", " ", botchan[botchan.index("CHAPTER I"):botchan.rindex("*** END")])
        self.pairs = list(zip(en, ja))
        self.questions = [json.loads(s) for s in self.read(JCQA).splitlines()]
        self.filler = [s for s in lines if 40 < len(s) < 400] + [s for s in en if 20 < len(s)][:5000]
        self.pieces = [t.lstrip("Ġ").lower() for t in tokenizer.vocab[256:]]
        self.pieces = sorted({t for t in self.pieces if t.isascii() and t.isalpha() and 1 < len(t) < 7})
        texts = {"wiki": "\n".join(lines), "shakespeare": self.read(f"{TEXT}/tinyshakespeare-input.txt"),
                 "wagahai": re.sub(r"[ \u3000]+", "", self.read(f"{TEXT}/wagahaiwa_nekodearu.txt")),
                 "botchan": botchan, "tanaka_en": "\n".join(en), "tanaka_ja": "\n".join(ja)}
        self.streams = {k: np.array(tokenizer.encode(t, special=False), np.int64) for k, t in texts.items()}

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as f:
            return f.read()

    # ---- documents -------------------------------------------------------------------------------------------------
    def encode(self, segments):
        ids, weights = [], []
        for text, weight in segments:
            part = self.tok.encode(text)
            ids += part
            weights += [weight] * len(part)
        return ids + [self.tok.end_of_text], weights + [1.0]

    def translation(self, rng):
        turns = []
        for _ in range(rng.randint(1, 6)):
            en, ja = rng.choice(self.pairs)
            if rng.random() < 0.5:
                turns += [("user", f"英語から日本語に訳してください: {en}"), ("assistant", ja)]
            else:
                turns += [("user", f"Translate into English: {ja}"), ("assistant", en)]
        return chat_segments(*turns)

    def question(self, rng):
        q = rng.choice(self.questions)
        choices = [q[f"choice{n}"] for n in range(5)]
        answer = choices[q["label"]]
        return chat_segments(("user", f"{q['question']}\n選択肢: {'、'.join(choices)}"), ("assistant", answer))

    def chat_document(self, rng, maker):
        u = rng.random()
        if u < 0.66:
            return self.translation(rng)
        return self.question(rng) if u < 0.84 else maker.sums_document()

    def task_document(self, rng, maker):
        u = rng.random()
        if u < 0.74:
            return maker.task_document()
        if u < 0.84:
            return maker.chat_recall_document()
        return maker.tool_result_document() if u < 0.90 else maker.repeat_document()

    def induction(self, rng, length):
        """A random passage (tokens of the vocabulary, or text) again and again; only the repeats count."""
        size = rng.randint(8, max(16, min(length // 2, 200)))
        if rng.random() < 0.7:
            passage = [rng.randrange(256, len(self.tok.vocab) - 5) for _ in range(size)]
        else:
            stream = self.streams[rng.choice(list(STREAMS))]
            start = rng.randrange(len(stream) - size)
            passage = stream[start:start + size].tolist()
        times = rng.randint(2, 4)
        return passage * times, [0.0] * (size + 1) + [1.0] * (size * (times - 1) - 1)

    # ---- rows ------------------------------------------------------------------------------------------------------
    def packed(self, length, document):
        ids, weights = [], []
        while len(ids) < length:
            i, w = document()
            ids += i
            weights += w
        return ids[:length], weights[:length]

    def row(self, rng, length, late):
        """One row of `length` tokens and weights."""
        early, last = MIX_EARLY, self.late_mix
        share = {k: early[k] + (last[k] - early[k]) * late for k in early}
        kind = rng.choices(list(share), share.values())[0]
        maker = TaskMaker(rng, self.pieces, self.filler)
        if kind == "natural":
            stream = self.streams[rng.choices(list(STREAMS), STREAMS.values())[0]]
            start = rng.randrange(len(stream) - length)
            return stream[start:start + length], [1.0] * length
        if kind == "chat":
            return self.packed(length, lambda: self.encode(self.chat_document(rng, maker)))
        if kind == "tasks":
            return self.packed(length, lambda: self.encode(self.task_document(rng, maker)))
        if kind == "induction":
            return self.packed(length, lambda: self.induction(rng, length))
        measure = lambda t: len(self.tok.encode(t))
        distance = lambda: rng.choice((0, 0, rng.randrange(max(1, length - 150))))
        return self.packed(length, lambda: self.encode(maker.recall_document(measure, distance())))

    def batch(self, seed, rank, step, rows, length, late):
        rng = random.Random(f"{seed}/{rank}/{step}")
        made = [self.row(rng, length + 1, late) for _ in range(rows)]
        ids = np.stack([np.asarray(r[0], np.int64) for r in made])
        weights = np.stack([np.asarray(r[1], np.float32) for r in made])
        return ids, weights[:, 1:]
