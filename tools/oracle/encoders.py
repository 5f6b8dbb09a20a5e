#!/usr/bin/env python3
"""Tiny random encoders and rankers, what Hugging Face transformers makes of some texts, and the same models as GGUF.

usage: encoders.py OUT_DIR [NAME...]     (tests/engine/data; needs torch and transformers 5)

Writes OUT_DIR/NAME.gguf (F32), OUT_DIR/NAME.f32 (for each text its pooled hidden state, not normalised, or its scores;
little-endian) and OUT_DIR/encoders.json, the list that tests/engine/test_encoders.c goes through. Keys and values are
rounded to F16, as irori's pages hold them.
"""
import json
import os
import sys

import torch
import transformers as hf

from decoders import LLAMA, NARROW, SMALL, TOP, VOCAB, Gguf, randomise, round_keys_and_values

LENGTHS = [1, 7, 33, 64, 65, 90, 12]
WINDOW = 24
POOLING = {"mean": 1, "cls": 2, "last": 3, "rank": 4}

BERT = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
        "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
        "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
MODERN = {"attn_norm": "attn_norm", "attn.Wqkv": "attn_qkv", "attn.Wo": "attn_output", "mlp_norm": "ffn_norm",
          "mlp.Wi": "ffn_up", "mlp.Wo": "ffn_down"}
ENDS = {**TOP, "embed_tokens": "token_embd", "norm": "output_norm", "final_norm": "output_norm", "score": "cls.output",
        "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
        "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
        "embeddings.tok_embeddings": "token_embd", "embeddings.norm": "token_embd_norm", "classifier.dense": "cls",
        "classifier.out_proj": "cls.output", "head.dense": "cls", "head.norm": "cls.norm", "classifier": "cls.output"}


def tensors(g, model, names):
    for name, w in model.state_dict().items():
        stem, part = name.rsplit(".", 1)
        for front in ("roberta.", "model."):
            stem = stem.removeprefix(front)
        if "lm_head" in stem or "pooler" in stem:
            continue
        if stem == "embeddings.position_embeddings" and model.config.model_type == "xlm-roberta":
            w = w[model.config.pad_token_id + 1:]  # positions are counted from behind the padding's id
        if stem in ENDS:
            g.tensor(f"{ENDS[stem]}.{part}", w)
        else:
            layer, inner = stem.removeprefix("encoder.").split(".", 2)[1:]
            g.tensor(f"blk.{layer}.{names[inner]}.{part}", w)


def keys(g, c, pooling):
    offset = c.pad_token_id + 1 if c.model_type == "xlm-roberta" else 0
    g.set("block_count", c.num_hidden_layers)
    g.set("context_length", c.max_position_embeddings - offset)
    g.set("embedding_length", c.hidden_size)
    g.set("feed_forward_length", c.intermediate_size)
    g.set("attention.head_count", c.num_attention_heads)
    g.set("pooling_type", POOLING[pooling])
    if g.arch == "qwen3":
        g.set("attention.head_count_kv", c.num_key_value_heads)
        g.set("attention.key_length", c.head_dim)
        g.set("attention.value_length", c.head_dim)
        g.set("attention.layer_norm_rms_epsilon", c.rms_norm_eps)
        g.set("rope.freq_base", float(c.rope_parameters["rope_theta"]))
        return
    g.set("attention.layer_norm_epsilon", c.norm_eps if g.arch == "modern-bert" else c.layer_norm_eps)
    if g.arch == "modern-bert":
        g.set("attention.sliding_window", c.local_attention)
        g.set("rope.freq_base", float(c.rope_parameters["full_attention"]["rope_theta"]))
        g.set("rope.freq_base_swa", float(c.rope_parameters["sliding_attention"]["rope_theta"]))


ENCODER = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
               max_position_embeddings=128, pad_token_id=0)
MODERN_BERT = {**ENCODER, "num_hidden_layers": 5, "local_attention": WINDOW, "bos_token_id": 1, "eos_token_id": 2,
               "cls_token_id": 1, "sep_token_id": 2,
               "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 160000.0},
                                   "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}

# name: architecture in GGUF, model, tensor names, pooling
MODELS = {
    "bge": ("bert", lambda: hf.BertModel(hf.BertConfig(**ENCODER)), BERT, "cls"),
    "e5": ("bert", lambda: hf.BertModel(hf.BertConfig(**{**ENCODER, "num_attention_heads": 1})), BERT, "mean"),
    "bge-m3": ("bert", lambda: hf.XLMRobertaModel(hf.XLMRobertaConfig(
        **{**ENCODER, "pad_token_id": 1, "type_vocab_size": 1})), BERT, "cls"),
    "bge-reranker": ("bert", lambda: hf.XLMRobertaForSequenceClassification(hf.XLMRobertaConfig(
        **{**ENCODER, "pad_token_id": 1, "type_vocab_size": 1}, num_labels=1)), BERT, "rank"),
    "ruri": ("modern-bert", lambda: hf.ModernBertModel(hf.ModernBertConfig(**MODERN_BERT)), MODERN, "mean"),
    "ruri-reranker": ("modern-bert", lambda: hf.ModernBertForSequenceClassification(hf.ModernBertConfig(
        **MODERN_BERT, num_labels=1, classifier_pooling="cls")), MODERN, "rank"),
    "qwen3-embedding": ("qwen3", lambda: hf.Qwen3Model(hf.Qwen3Config(**{**NARROW, "head_dim": 32})), LLAMA, "last"),
    "qwen3-reranker": ("qwen3", lambda: hf.Qwen3ForSequenceClassification(hf.Qwen3Config(
        **{**NARROW, "head_dim": 32, "max_position_embeddings": 1024}, num_labels=2)), LLAMA, "rank"),
}


def texts_of(number):
    return [[3 + (number * 7919 + n * 131 + i * i * 31 + i * 17) % (VOCAB - 3) for i in range(n)] for n in LENGTHS]


def pooled(model, pooling, text):
    result = model(torch.tensor([text]))
    if pooling == "rank":
        return result.logits[0]
    h = result.last_hidden_state[0]
    return {"mean": h.mean(0), "cls": h[0], "last": h[-1]}[pooling]


def main(out, chosen):
    index = []
    for number, (name, (arch, make, names, pooling)) in enumerate(MODELS.items()):
        texts = texts_of(number)
        index.append({"name": name, "file": f"{name}.gguf", "texts": texts})
        if chosen and name not in chosen:
            continue
        model = make()
        model.set_attn_implementation("eager")
        randomise(model, 2000 + number)
        round_keys_and_values(model)
        g = Gguf(arch)
        keys(g, model.config, pooling)
        tensors(g, model, names)
        model = model.double().eval()
        g.save(os.path.join(out, f"{name}.gguf"))
        with torch.no_grad():
            results = torch.stack([pooled(model, pooling, text) for text in texts])
        results.numpy().astype("<f4").tofile(os.path.join(out, f"{name}.f32"))
        print(f"{name}: {os.path.getsize(os.path.join(out, name + '.gguf')) >> 10} KiB, of about {results.std():.2f}")
    with open(os.path.join(out, "encoders.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(i) for i in index) + "\n]\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
