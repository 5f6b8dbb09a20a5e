#!/usr/bin/env python3
"""Four separate requests to a running llama-server with prompt cache, for comparison with candidates_bench.

    candidates_peer.py URL [TRIGGERS]      (llama-server -m FILE -t 2 -c 12288 -np 4 -fa on)

Each of four slots first reads the same prompt of about 2,500 tokens with a tag of its own. A trigger sends all four at
once again, 16 tokens each, of whose prompts only the last token is left to run; timed is the last answer.
"""
import concurrent.futures
import json
import sys
import time
import urllib.request

URL, TRIGGERS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
WORDS = ["the", "tea", "sea", "than", "to", "she", "is", "on"]
TAGS = ["(agrees)", "(refuses)", "(asks)", "(feels)"]


def post(path, body):
    r = urllib.request.Request(URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(r, timeout=900))


def ask(slot, n):
    return post("/completion", {"prompt": PROMPT + TAGS[slot], "n_predict": n, "id_slot": slot, "cache_prompt": True,
                                "temperature": .7, "ignore_eos": True})


count, n = 0, 0
while count < 2500:
    n += 200
    PROMPT = " ".join(WORDS[i * i % len(WORDS)] for i in range(n))
    count = len(post("/tokenize", {"content": PROMPT})["tokens"])
for slot in range(4):
    ask(slot, 1)
times = []
for _ in range(TRIGGERS):
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda s: ask(s, 16), range(4)))
    times.append((time.monotonic() - began) * 1e3)
    assert all(a["tokens_predicted"] == 16 for a in answers), answers
times.sort()
print(f"prompt of {count} tokens, of which {[a['timings']['prompt_n'] for a in answers]} were run at the trigger")
print(f"last of four answers: median {times[len(times) // 2]:.0f} ms, least {times[0]:.0f}, most {times[-1]:.0f}")
