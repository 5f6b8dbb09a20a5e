#!/usr/bin/env python3
"""Tiny random models as Hugging Face transformers save them, converted by irori and compared by their logits.

usage: convert.py IRORI LIBIRORI OUT_DIR [NAME...]     (needs torch, transformers 5 and tokenizers)

For each model of MODELS: saves it with a tokenizer to OUT_DIR/NAME, converts it to OUT_DIR/NAME.gguf in F32, runs 60
tokens through both and prints the largest difference. Keys and values of irori are rounded to F16, which moves logits
of these models by some 1e-2. Nothing is committed: tests/convert covers the layouts.
"""
import ctypes
import os
import subprocess
import sys

import numpy as np
import torch
import tokenizers as tk
import transformers as hf

VOCAB = 300
COMMON = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=1)
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
THREES = WORDS.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
MOE = dict(COMMON, num_experts_per_tok=2)
GEMMA = dict(COMMON, head_dim=16, query_pre_attn_scalar=16, sliding_window=32)
MODELS = {
    "llama": (hf.LlamaForCausalLM, lambda: hf.LlamaConfig(**COMMON, rope_parameters=LLAMA3), THREES),
    "mistral": (hf.MistralForCausalLM, lambda: hf.MistralConfig(**COMMON, sliding_window=None), THREES),
    "qwen2": (hf.Qwen2ForCausalLM, lambda: hf.Qwen2Config(**COMMON, tie_word_embeddings=True), WORDS),
    "qwen3": (hf.Qwen3ForCausalLM, lambda: hf.Qwen3Config(**COMMON, head_dim=32), WORDS),
    "gemma2": (hf.Gemma2ForCausalLM, lambda: hf.Gemma2Config(**GEMMA), WORDS),
    "gemma3": (hf.Gemma3ForCausalLM, lambda: hf.Gemma3TextConfig(**GEMMA), WORDS),
    "phi3": (hf.Phi3ForCausalLM, lambda: hf.Phi3Config(**COMMON), WORDS),
    "gpt2": (hf.GPT2LMHeadModel, lambda: hf.GPT2Config(vocab_size=VOCAB, n_embd=64, n_layer=2, n_head=4, n_positions=256,
                                                       bos_token_id=0, eos_token_id=1), None),
    "starcoder2": (hf.Starcoder2ForCausalLM, lambda: hf.Starcoder2Config(**COMMON, sliding_window=None), None),
    "mixtral": (hf.MixtralForCausalLM, lambda: hf.MixtralConfig(**MOE, num_local_experts=4, sliding_window=None), THREES),
    "qwen3moe": (hf.Qwen3MoeForCausalLM, lambda: hf.Qwen3MoeConfig(**MOE, head_dim=32, moe_intermediate_size=32,
                                                                   num_experts=4, norm_topk_prob=True), WORDS),
    "gpt-oss": (hf.GptOssForCausalLM, lambda: hf.GptOssConfig(**MOE, head_dim=32, num_local_experts=4, sliding_window=32),
                WORDS),
}


def save_tokenizer(folder, regex):
    t = tk.Tokenizer(tk.models.BPE(ignore_merges=True))
    cut = tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex is None)
    if regex:
        cut = tk.pre_tokenizers.Sequence([tk.pre_tokenizers.Split(tk.Regex(regex), "isolated"), cut])
    t.pre_tokenizer, t.decoder = cut, tk.decoders.ByteLevel()
    trainer = tk.trainers.BpeTrainer(vocab_size=VOCAB - 2, special_tokens=["<s>", "</s>"],
                                     initial_alphabet=tk.pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(["the quick brown fox jumps over the lazy dog and the other one"], trainer)
    hf.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>").save_pretrained(folder)


def make(kind, config):
    torch.manual_seed(1)
    model = kind(config()).eval().float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            spread = 0.1 if p.ndim == 1 else 0.5 if "embed" in name or "wte" in name or "lm_head" in name else 0.15
            p.copy_(torch.randn_like(p) * spread + (1 if p.ndim == 1 and ("norm" in name or "ln_" in name) else 0))
        model.tie_weights()
    return model


def irori_logits(lib, path, ids):
    class Error(ctypes.Structure):
        _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 504)]

    e, m, s, rows = Error(), ctypes.c_void_p(), ctypes.c_void_p(), []
    if lib.irori_model_open(ctypes.byref(m), path.encode(), None, ctypes.byref(e)):
        return e.message.decode()
    lib.irori_session_new(ctypes.byref(s), m, None, ctypes.byref(e))
    for i in ids:
        lib.irori_session_add(s, (ctypes.c_int32 * 1)(i), ctypes.c_size_t(1), ctypes.byref(e))
        rows.append(np.ctypeslib.as_array(lib.irori_session_logits(s), (VOCAB,)).copy())
    lib.irori_session_free(s)
    lib.irori_model_close(m)
    return np.array(rows)


def main():
    irori, out, lib = sys.argv[1], sys.argv[3], ctypes.CDLL(sys.argv[2])
    lib.irori_session_logits.restype = ctypes.POINTER(ctypes.c_float)
    ids = [int(i) for i in np.random.RandomState(3).randint(2, VOCAB - 2, 60)]
    for name in sys.argv[4:] or MODELS:
        kind, config, regex = MODELS[name]
        folder = os.path.join(out, name)
        model = make(kind, config)
        model.save_pretrained(folder)
        save_tokenizer(folder, regex)
        with torch.no_grad():
            want = model(torch.tensor([ids])).logits[0].numpy()
        subprocess.run([irori, "convert", folder, folder + ".gguf", "--type", "f32"], check=True)
        got = irori_logits(lib, folder + ".gguf", ids)
        print(name, got if isinstance(got, str) else f"{np.abs(got - want).max():.2e} of {np.abs(want).max():.3g}")


if __name__ == "__main__":
    main()
