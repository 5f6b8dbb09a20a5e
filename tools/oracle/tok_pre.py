#!/usr/bin/env python3
"""Cuts of each pre-tokenizer over tok_texts.py, by the engine the models were trained with.

Needs: pip install tokenizers. Run by hand from this folder; writes ../../tests/tok/data/pre.json:
{"texts": [...], "cuts": {name: [[length in bytes of each word] for each text]}}.
The expressions are the ones in the models' published tokenizer.json files, applied one inside the other's
pieces.
"""
import json

from tokenizers import Regex, pre_tokenizers, __version__
from tok_texts import TEXTS

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLITIC = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GAPS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CLITIC + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + GAPS
QWEN2 = CLITIC + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + GAPS
QWEN35 = CLITIC + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + GAPS
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def cased(clitic, digits):
    lead = r"[^\r\n\p{L}\p{N}]?"
    return (f"{lead}{UP}*{LOW}+{clitic}|{lead}{UP}+{LOW}*{clitic}|{digits}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + GAPS)


DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
             r"| ?[\p{P}\p{S}]+[\r\n]*|" + GAPS)

# DeepSeek LLM lists the letters that have case.
LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370"
    "-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-"
    "\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-"
    "\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-"
    "\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4"
    "\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a"
    "-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-"
    "\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-"
    "\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-"
    "\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-"
    "\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
DEEPSEEK_HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"

STAGES = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [QWEN2],
    "qwen35": [QWEN35],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "gpt-4o": [cased(CLITIC + "?", r"\p{N}{1,3}")],
    "tekken": [cased("", r"\p{N}")],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_HAN, r"\p{N}"],
    "deepseek-llm": [r"[\r\n]", r"\s?[" + LETTERS + "]+",
                     "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                     r"\s+$", DEEPSEEK_HAN, r"\p{N}+"],
    "deepseek-v3": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3],
    "bloom": [" ?[^(\\s|.,!?…。，、।۔،)]+"],
}


def main():
    cuts = {}
    for name, stages in STAGES.items():
        cutter = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(x), "isolated") for x in stages])
        cuts[name] = [[len(w.encode()) for w, _ in cutter.pre_tokenize_str(t)] for t in TEXTS]
    with open("../../tests/tok/data/pre.json", "w", encoding="utf-8") as f:
        f.write('{"oracle": "tokenizers %s",\n "texts": %s,\n "cuts": {\n' % (__version__, json.dumps(TEXTS)))
        f.write(",\n".join('  "%s": %s' % (n, json.dumps(c, separators=(",", ":"))) for n, c in cuts.items()))
        f.write("\n}}\n")


main()
