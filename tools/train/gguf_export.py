"""Writes a model trained by train_pair.py as a GGUF file: matrices in F16, norms in F32.

usage: gguf_export.py MODEL.pt OUT.gguf --name irori-tiny [--vocabulary bpe.json] [--context 2048]
"""
import argparse
import os
import struct

import numpy as np
import torch

from bpe import Tokenizer
from model import NORM_EPS, ROPE_THETA

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
TOKEN_NORMAL, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED = 1, 3, 4, 5
ALIGNMENT = 32
CHAT_TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                 "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
BLOCK_NAMES = {"n1.w": "attn_norm", "n2.w": "ffn_norm", "qn.w": "attn_q_norm", "kn.w": "attn_k_norm",
               "q.weight": "attn_q", "k.weight": "attn_k", "v.weight": "attn_v", "o.weight": "attn_output",
               "g.weight": "ffn_gate", "u.weight": "ffn_up", "dn.weight": "ffn_down"}
OTHER_NAMES = {"e.weight": "token_embd.weight", "n.w": "output_norm.weight"}


def pack_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


class Metadata:
    def __init__(self):
        self.entries = []

    def put(self, key, kind, data):
        self.entries.append(pack_string(key) + struct.pack("<I", kind) + data)

    def u32(self, key, value):
        self.put(key, U32, struct.pack("<I", value))

    def f32(self, key, value):
        self.put(key, F32, struct.pack("<f", value))

    def string(self, key, value):
        self.put(key, STRING, pack_string(value))

    def array(self, key, kind, packed):
        self.put(key, ARRAY, struct.pack("<IQ", kind, len(packed)) + b"".join(packed))


def metadata(shape, vocab_size, tok, name, context):
    m = Metadata()
    m.string("general.architecture", "qwen3")
    m.string("general.name", name)
    m.string("general.license", "cc-by-sa-4.0")
    m.u32("general.file_type", 1)
    m.string("general.description", "Tiny model trained from scratch for tests: en/ja text, JSON, tool calls, recall")
    for key, value in (("block_count", shape["layers"]), ("context_length", context),
                       ("embedding_length", shape["dim"]), ("feed_forward_length", shape["ff"]),
                       ("attention.head_count", shape["heads"]), ("attention.head_count_kv", shape["kv"]),
                       ("attention.key_length", shape["hd"]), ("attention.value_length", shape["hd"])):
        m.u32("qwen3." + key, value)
    m.f32("qwen3.attention.layer_norm_rms_epsilon", NORM_EPS)
    m.f32("qwen3.rope.freq_base", ROPE_THETA)
    known = len(tok.vocab)
    tokens = tok.vocab + [f"<|pad{i}|>" for i in range(vocab_size - known)]
    kinds = ([TOKEN_NORMAL] * (known - 5) + [TOKEN_CONTROL] * 3 + [TOKEN_USER] * 2
             + [TOKEN_UNUSED] * (vocab_size - known))
    m.string("tokenizer.ggml.model", "gpt2")
    m.string("tokenizer.ggml.pre", "qwen2")
    m.array("tokenizer.ggml.tokens", STRING, [pack_string(t) for t in tokens])
    m.array("tokenizer.ggml.token_type", I32, [struct.pack("<i", k) for k in kinds])
    m.array("tokenizer.ggml.merges", STRING, [pack_string(" ".join(p)) for p in tok.merges])
    m.u32("tokenizer.ggml.bos_token_id", tok.end_of_text)
    m.u32("tokenizer.ggml.eos_token_id", tok.im_end)
    m.u32("tokenizer.ggml.padding_token_id", tok.end_of_text)
    m.put("tokenizer.ggml.add_bos_token", BOOL, b"\0")
    m.string("tokenizer.chat_template", CHAT_TEMPLATE)
    return m


def tensor_name(key):
    if key in OTHER_NAMES:
        return OTHER_NAMES[key]
    _, block, rest = key.split(".", 2)
    return f"blk.{block}.{BLOCK_NAMES[rest]}.weight"


def write(path, saved, tok, name, context):
    tensors = [(tensor_name(k), v.float().numpy().astype(np.float16 if v.dim() == 2 else np.float32))
               for k, v in saved["state"].items()]
    meta = metadata(saved["shape"], saved["state"]["e.weight"].shape[0], tok, name, context)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta.entries)) + b"".join(meta.entries)
    offset = 0
    for tensor, t in tensors:
        dims = b"".join(struct.pack("<Q", d) for d in reversed(t.shape))
        head += pack_string(tensor) + struct.pack("<I", t.ndim) + dims
        head += struct.pack("<IQ", 1 if t.dtype == np.float16 else 0, offset)
        offset += -(-t.nbytes // ALIGNMENT) * ALIGNMENT
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGNMENT))
        for _, t in tensors:
            f.write(t.tobytes() + b"\0" * (-t.nbytes % ALIGNMENT))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("out")
    ap.add_argument("--name", default="irori-tiny")
    ap.add_argument("--vocabulary", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "bpe.json"))
    ap.add_argument("--context", type=int, default=2048)
    a = ap.parse_args()
    write(a.out, torch.load(a.model, map_location="cpu"), Tokenizer(a.vocabulary), a.name, a.context)


if __name__ == "__main__":
    main()
