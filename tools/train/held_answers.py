"""Held-out items for `irori eval answers`: extraction, task lists and tool calls, asked behind other text.

    python3 tools/train/held_answers.py tests/data/held/tanaka_en_test.txt --distance 1024 > items.jsonl
    irori eval answers models/irori-tiny-f16.gguf --raw -n 96 --file items.jsonl --kv staged --kv-budget 25%

The other text is an earlier turn, so that a policy for keys and values has old pages to make coarser.
"""
import argparse
import json
import random

from tasks import held_items


def tokens(text):
    return len(text) / 3  # near for this vocabulary


def other_turn(rng, lines, distance):
    text = ""
    while tokens(text) < distance:
        text += rng.choice(lines) + "\n"
    return f"<|im_start|>user\n{text}<|im_end|>\n"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("filler", help="a text; its longer lines are the other text")
    ap.add_argument("--distance", type=int, default=1024, help="tokens of it")
    ap.add_argument("--items", type=int, default=100, help="of each kind")
    a = ap.parse_args()
    with open(a.filler, encoding="utf-8") as f:
        lines = [x.strip() for x in f if len(x.strip()) > 20]
    rng = random.Random(5)
    for item in held_items(tokens, lines, count=a.items, lengths=()):
        item["prompt"] = other_turn(rng, lines, a.distance) + item["prompt"]
        print(json.dumps(item, ensure_ascii=False))


if __name__ == "__main__":
    main()
