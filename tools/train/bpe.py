"""Byte-level BPE as Qwen2 uses it: encode and decode with the vocabulary in bpe.json, or train a new one.

usage: bpe.py TEXTS.jsonl SIZE OUT.json     (one JSON string a line; only for a new vocabulary)
"""
import collections
import heapq
import json
import sys

import regex

PRE_TOKEN = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
                          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
SPLIT_SPECIAL = regex.compile("(" + "|".join(regex.escape(s) for s in SPECIAL) + ")")
MEMO_LIMIT = 200_000


def byte_characters():
    """GPT-2's printable stand-in for every byte."""
    table = {b: chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))}
    spare = 256
    for b in range(256):
        if b not in table:
            table[b] = chr(spare)
            spare += 1
    return table


BYTE_TO_CHAR = byte_characters()
CHAR_TO_BYTE = {c: b for b, c in BYTE_TO_CHAR.items()}


class Tokenizer:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            table = json.load(f)
        self.vocab, self.merges = table["vocab"], table["merges"]
        self.id = {t: i for i, t in enumerate(self.vocab)}
        self.rank = {tuple(m): i for i, m in enumerate(self.merges)}
        self.memo = {}
        self.end_of_text, self.im_start, self.im_end = (self.id[s] for s in SPECIAL[:3])

    def encode_word(self, word):
        ids = self.memo.get(word)
        if ids is None:
            parts = [BYTE_TO_CHAR[b] for b in word.encode()]
            while len(parts) > 1:
                ranks = [self.rank.get(pair, 1 << 30) for pair in zip(parts, parts[1:])]
                best = min(range(len(ranks)), key=ranks.__getitem__)
                if ranks[best] == 1 << 30:
                    break
                parts[best:best + 2] = [parts[best] + parts[best + 1]]
            ids = [self.id[p] for p in parts]
            if len(self.memo) > MEMO_LIMIT:
                self.memo.clear()
            self.memo[word] = ids
        return ids

    def encode(self, text, special=True):
        ids = []
        for part in SPLIT_SPECIAL.split(text) if special else [text]:
            if special and part in SPECIAL:
                ids.append(self.id[part])
            elif part:
                for word in PRE_TOKEN.findall(part):
                    ids += self.encode_word(word)
        return ids

    def decode(self, ids):
        out = b""
        for i in ids:
            if i < len(self.vocab):
                t = self.vocab[i]
                out += t.encode() if t in SPECIAL else bytes(CHAR_TO_BYTE[c] for c in t)
        return out.decode("utf-8", "replace")


def train(texts, size):
    """Merges by falling pair count, ties broken by the pair itself."""
    counts = collections.Counter(w for t in texts for part in SPLIT_SPECIAL.split(t) if part not in SPECIAL
                                 for w in PRE_TOKEN.findall(part))
    words, freq = [[BYTE_TO_CHAR[b] for b in w.encode()] for w in counts], list(counts.values())
    vocab, merges = [BYTE_TO_CHAR[b] for b in range(256)], []
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, w in enumerate(words):
        for p in zip(w, w[1:]):
            pairs[p] += freq[i]
            where[p].add(i)
    heap = [(-c, p) for p, c in pairs.items()]
    heapq.heapify(heap)
    while len(vocab) < size - len(SPECIAL) and heap:
        count, pair = heapq.heappop(heap)
        if -count != pairs.get(pair, 0):
            if pairs.get(pair, 0) > 0:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        merges.append(pair)
        vocab.append(pair[0] + pair[1])
        touched = set()
        for i in where.pop(pair):
            merged = merge(words[i], pair)
            for q in zip(words[i], words[i][1:]):
                pairs[q] -= freq[i]
                touched.add(q)
            for q in zip(merged, merged[1:]):
                pairs[q] += freq[i]
                where[q].add(i)
                touched.add(q)
            words[i] = merged
        pairs.pop(pair, None)
        for q in touched:
            if pairs.get(q, 0) > 0:
                heapq.heappush(heap, (-pairs[q], q))
    return vocab + SPECIAL, merges


def merge(parts, pair):
    out, k = [], 0
    while k < len(parts):
        if tuple(parts[k:k + 2]) == pair:
            out.append(pair[0] + pair[1])
            k += 2
        else:
            out.append(parts[k])
            k += 1
    return out


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        vocab, merges = train([json.loads(line) for line in f], int(sys.argv[2]))
    with open(sys.argv[3], "w", encoding="utf-8") as f:
        json.dump({"vocab": vocab, "merges": merges}, f, ensure_ascii=False)


if __name__ == "__main__":
    main()
