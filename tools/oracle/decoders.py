#!/usr/bin/env python3
"""Tiny random decoders of each architecture, their logits by Hugging Face transformers, and the same models as GGUF.

usage: decoders.py [--exact] OUT_DIR [NAME...]     (tests/engine/data; needs torch and transformers 5)

For each model of MODELS: builds it with random weights, runs PROMPT tokens through it in double precision, and writes
OUT_DIR/NAME.gguf (F32) and OUT_DIR/NAME.f32 (logits, little-endian, [POSITIONS][VOCAB]). OUT_DIR/decoders.json lists
them with file, context, tokens and positions. Keys and values are rounded to F16 as irori's pages hold them: that
rounding alone moves their logits by up to 1e-2 (--exact: without it). tests/engine/test_decoders.c runs the files through irori.
"""
import json
import os
import struct
import sys

import numpy as np
import torch
import transformers as hf

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGNMENT = 32
VOCAB = 261  # <unk> <s> </s>, a space, an e, and the bytes
PROMPT = 90
POSITIONS = [0, 11, 12, 29, 39, 64, PROMPT - 1]
ORIGINAL = 40  # context first trained for, of the models that stretch it
WINDOW = 12


# ---- GGUF ----------------------------------------------------------------------------------------------------
def packed(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


class Gguf:
    def __init__(self, arch):
        self.arch, self.keys, self.tensors = arch, [], []
        self.put("general.architecture", STRING, packed(arch))
        self.put("tokenizer.ggml.model", STRING, packed("llama"))
        texts = ["<unk>", "<s>", "</s>", "\u2581", "e"] + [f"<0x{b:02X}>" for b in range(256)]
        self.array("tokenizer.ggml.tokens", STRING, [packed(t) for t in texts])
        self.array("tokenizer.ggml.scores", F32, [struct.pack("<f", 0)] * VOCAB)
        self.array("tokenizer.ggml.token_type", I32, [struct.pack("<i", k) for k in [2, 3, 3, 1, 1] + [6] * 256])
        self.put("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 1))
        self.put("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 2))
        self.put("tokenizer.ggml.add_bos_token", BOOL, b"\0")

    def put(self, key, kind, data):
        self.keys.append(packed(key) + struct.pack("<I", kind) + data)

    def array(self, key, kind, items):
        self.put(key, ARRAY, struct.pack("<IQ", kind, len(items)) + b"".join(items))

    def set(self, key, value):
        key = f"{self.arch}.{key}"
        if isinstance(value, str):
            self.put(key, STRING, packed(value))
        elif isinstance(value, int):
            self.put(key, U32, struct.pack("<I", value))
        else:
            self.put(key, F32, struct.pack("<f", value))

    def tensor(self, name, values):
        self.tensors.append((name, np.ascontiguousarray(values.detach().numpy(), dtype="<f4")))

    def save(self, path):
        head, data = [], b""
        for name, v in self.tensors:
            head.append(packed(name) + struct.pack("<I", v.ndim) + struct.pack(f"<{v.ndim}Q", *v.shape[::-1])
                        + struct.pack("<IQ", 0, len(data)))
            data += v.tobytes()
            data += b"\0" * (-len(data) % ALIGNMENT)
        front = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.keys)) + b"".join(self.keys + head)
        with open(path, "wb") as f:
            f.write(front + b"\0" * (-len(front) % ALIGNMENT) + data)


# ---- Architectures -------------------------------------------------------------------------------------------
LLAMA = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
GEMMA = {**LLAMA, "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
         "post_feedforward_layernorm": "post_ffw_norm"}
PHI3 = {**LLAMA, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
STARCODER2 = {**LLAMA, "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
GPT2 = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
        "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
EXPERTS = {**LLAMA, "mlp.gate": "ffn_gate_inp"}
GPT_OSS = {**LLAMA, "mlp.router": "ffn_gate_inp", "post_attention_layernorm": "post_attention_norm"}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
       "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm"}


def interleaved(w, heads):
    """The rows of a head as neighbouring rotary pairs, which is how GGUF's llama has them."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def experts(g, blk, name, w):
    """A tensor of all experts: gpt-oss keeps inputs as rows, and lets gate and up take turns."""
    oss, part = g.arch == "gpt-oss", "bias" if name.endswith("_bias") else "weight"
    if oss and part == "weight":
        w = w.swapaxes(1, 2)
    if "gate_up_proj" in name:
        gate, up = (w[:, ::2], w[:, 1::2]) if oss else w.chunk(2, dim=1)
        g.tensor(f"{blk}.ffn_gate_exps.{part}", gate)
        g.tensor(f"{blk}.ffn_up_exps.{part}", up)
    else:
        g.tensor(f"{blk}.ffn_down_exps.{part}", w)


def tensors(g, model, names):
    c = model.config
    for name, w in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        stem, part = name.rsplit(".", 1)
        if g.arch == "gpt2" and w.ndim == 2 and ".h." in stem:
            w = w.T  # Conv1D keeps inputs as rows
        if g.arch == "llama" and stem.endswith("q_proj"):
            w = interleaved(w, c.num_attention_heads)
        if g.arch == "llama" and stem.endswith("k_proj"):
            w = interleaved(w, c.num_key_value_heads)
        if g.arch.startswith("gemma") and "norm" in stem:
            w = w + 1
        if stem in TOP:
            g.tensor(f"{TOP[stem]}.{part}", w)
        else:
            _, _, layer, inner = stem.split(".", 3)
            if inner == "mlp.experts":
                experts(g, f"blk.{layer}", name, w)
                continue
            if part == "sinks":
                inner, part, names = "sinks", "weight", {**names, "sinks": "attn_sinks"}
            g.tensor(f"blk.{layer}.{names[inner]}.{part}", w)


def keys(g, c):
    g.set("block_count", c.num_hidden_layers)
    g.set("context_length", c.max_position_embeddings)
    g.set("embedding_length", c.hidden_size)
    g.set("feed_forward_length", getattr(c, "intermediate_size", None) or 4 * c.hidden_size)
    g.set("attention.head_count", c.num_attention_heads)
    if g.arch == "gpt2":
        g.set("attention.layer_norm_epsilon", c.layer_norm_epsilon)
        return
    g.set("attention.head_count_kv", c.num_key_value_heads)
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    g.set("attention.key_length", head)
    g.set("attention.value_length", head)
    rope = c.rope_parameters.get("full_attention", c.rope_parameters)
    g.set("rope.freq_base", float(rope["rope_theta"]))
    g.set("rope.dimension_count", int(head * rope.get("partial_rotary_factor", 1)))
    if g.arch == "starcoder2":
        g.set("attention.layer_norm_epsilon", c.norm_epsilon)
    else:
        g.set("attention.layer_norm_rms_epsilon", c.rms_norm_eps)
    if getattr(c, "sliding_window", None) and g.arch != "qwen2":
        g.set("attention.sliding_window", c.sliding_window)
    if hasattr(c, "num_experts_per_tok"):
        g.set("expert_count", getattr(c, "num_local_experts", None) or c.num_experts)
        g.set("expert_used_count", c.num_experts_per_tok)
        g.set("expert_feed_forward_length", getattr(c, "moe_intermediate_size", None) or c.intermediate_size)
    for key, name in (("attn_logit_softcapping", "attn_logit_softcapping"),
                      ("final_logit_softcapping", "final_logit_softcapping")):
        if getattr(c, name, None):
            g.set(key, float(getattr(c, name)))


def llama3_factors(g, model):
    c, turned = model.config, model.model.rotary_emb.inv_freq.double()
    plain = c.rope_parameters["rope_theta"] ** (-torch.arange(len(turned)).double() / len(turned))
    g.tensor("rope_freqs.weight", plain / turned)


def linear_scaling(g, model):
    g.set("rope.scaling.type", "linear")
    g.set("rope.scaling.factor", float(model.config.rope_parameters["full_attention"]["factor"]))


def yarn(g, model):
    p = model.config.rope_parameters
    g.set("rope.scaling.type", "yarn")
    g.set("rope.scaling.factor", float(p["factor"]))
    g.set("rope.scaling.original_context_length", p["original_max_position_embeddings"])


def longrope(g, model):
    p = model.config.rope_parameters
    g.set("rope.scaling.type", "longrope")
    g.set("rope.scaling.original_context_length", p["original_max_position_embeddings"])
    g.set("rope.scaling.attn_factor", float(model.model.rotary_emb.attention_scaling))
    g.tensor("rope_factors_long.weight", torch.tensor(p["long_factor"]))
    g.tensor("rope_factors_short.weight", torch.tensor(p["short_factor"]))


SMALL = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0)
NARROW = {**SMALL, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
SHORT = [1.0 + 0.05 * i for i in range(6)]
LONG = [1.0 + 0.9 * i for i in range(6)]

# name: architecture in GGUF, configuration, tensor names, what else the file needs, context to run with
MODELS = {
    "llama3": ("llama", lambda: hf.LlamaConfig(
        **SMALL, tie_word_embeddings=True, rope_parameters={
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32}), LLAMA, llama3_factors, 256),
    "mistral": ("llama", lambda: hf.MistralConfig(
        **{**SMALL, "num_hidden_layers": 3, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 1},
        head_dim=16, sliding_window=WINDOW, tie_word_embeddings=False), LLAMA, None, 256),
    "sarashina": ("llama", lambda: hf.LlamaConfig(
        **{**SMALL, "hidden_size": 32, "num_attention_heads": 2}, head_dim=80, tie_word_embeddings=False,
        rms_norm_eps=1e-5), LLAMA, None, 256),
    "llm-jp": ("llama", lambda: hf.LlamaConfig(
        **{**SMALL, "num_key_value_heads": 4, "num_hidden_layers": 1}, tie_word_embeddings=False), LLAMA, None, 256),
    "qwen2": ("qwen2", lambda: hf.Qwen2Config(
        **SMALL, tie_word_embeddings=True, use_sliding_window=False, rope_parameters={
            "rope_type": "default", "rope_theta": 1000000.0}), LLAMA, None, 256),
    "qwen3": ("qwen3", lambda: hf.Qwen3Config(
        **{**NARROW, "head_dim": 32}, tie_word_embeddings=True), LLAMA, None, 256),
    "gemma2": ("gemma2", lambda: hf.Gemma2Config(
        **{**NARROW, "num_hidden_layers": 4}, sliding_window=WINDOW, query_pre_attn_scalar=16,
        attn_logit_softcapping=3.0, final_logit_softcapping=4.0), GEMMA, None, 256),
    "gemma3": ("gemma3", lambda: hf.Gemma3TextConfig(
        **{**NARROW, "num_hidden_layers": 7, "intermediate_size": 32}, sliding_window=WINDOW,
        query_pre_attn_scalar=16, rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}), GEMMA, linear_scaling, 256),
    "phi3": ("phi3", lambda: hf.Phi3Config(
        **{**SMALL, "intermediate_size": 32}, sliding_window=WINDOW, tie_word_embeddings=False), PHI3, None, 256),
    "phi3-long": ("phi3", lambda: hf.Phi3Config(
        **SMALL, sliding_window=None, tie_word_embeddings=True, original_max_position_embeddings=ORIGINAL,
        rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75,
                         "short_factor": SHORT, "long_factor": LONG,
                         "original_max_position_embeddings": ORIGINAL}), PHI3, longrope, 256),
    "gpt2": ("gpt2", lambda: hf.GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=3, n_head=2, n_positions=256, bos_token_id=1, eos_token_id=2),
        GPT2, None, 256),
    "starcoder2": ("starcoder2", lambda: hf.Starcoder2Config(
        **SMALL, sliding_window=WINDOW, use_bias=True, tie_word_embeddings=True), STARCODER2, None, 256),
    "mixtral": ("llama", lambda: hf.MixtralConfig(
        **{**NARROW, "intermediate_size": 32}, num_local_experts=6, num_experts_per_tok=2, sliding_window=None,
        tie_word_embeddings=True), EXPERTS, None, 256),
    "qwen3moe": ("qwen3moe", lambda: hf.Qwen3MoeConfig(
        **{**NARROW, "head_dim": 32}, moe_intermediate_size=32, num_experts=8, num_experts_per_tok=3, norm_topk_prob=True,
        tie_word_embeddings=True), EXPERTS, None, 256),
    "gpt-oss": ("gpt-oss", lambda: hf.GptOssConfig(
        **{**NARROW, "intermediate_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}, num_local_experts=5,
        num_experts_per_tok=2, sliding_window=WINDOW, tie_word_embeddings=False, rope_parameters={
            "rope_type": "yarn", "rope_theta": 150000.0, "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0,
            "original_max_position_embeddings": 32, "truncate": False}), GPT_OSS, yarn, 256),
}


def randomise(model, seed):
    """Weights that make every part matter: scores and logits spread over several units, no norm or bias is plain."""
    random = torch.Generator().manual_seed(seed)
    for name, w in model.named_parameters():
        noise = torch.randn(w.shape, generator=random)
        if "embed" in name or "wte" in name or "wpe" in name or "lm_head" in name:
            w.data = noise * (1.5 if "lm_head" in name else 2.5) / w.shape[-1] ** 0.5
        elif "mlp.gate.weight" in name or "router.weight" in name:  # scores far apart: rounding changes no choice
            w.data = noise * 6 / w.shape[-1] ** 0.5
        elif "sinks" in name:
            w.data = noise * 1.6
        elif w.ndim == 3:  # experts; gpt-oss's reach its clamps
            w.data = noise * (0.4 if "GptOss" in type(model).__name__ and "gate_up" in name else 0.2)
        elif w.ndim == 2:
            inputs = w.shape[0] if "c_" in name and "transformer" in name else w.shape[1]
            into_stream = "o_proj" in name or "down_proj" in name or "c_proj" in name
            w.data = noise / (inputs * (2 * model.config.num_hidden_layers if into_stream else 1)) ** 0.5  # as GPT-2
        else:
            centre = 1 if name.endswith("weight") else 0
            if "Gemma" in type(model).__name__:  # weights are kept less 1; results of blocks are normalised, small
                centre = -0.6 if "post_" in name else 0
            w.data = centre + noise * 0.2
        w.data = w.data.float()  # what the file can hold


def round_keys_and_values(model):
    module = sys.modules[type(model).__module__]
    attend = module.eager_attention_forward
    if getattr(attend, "rounds", False):
        return

    def rounded(layer, q, k, v, *rest, **more):
        return attend(layer, q, k.half().to(q.dtype), v.half().to(q.dtype), *rest, **more)

    rounded.rounds = True
    module.eager_attention_forward = rounded


def main(out, chosen, exact):
    index = []
    for number, (name, (arch, config, names, more, context)) in enumerate(MODELS.items()):
        tokens = [(number * 7919 + 1 + i * i * 31 + i * 17) % VOCAB for i in range(PROMPT)]
        runs = [(name, context, PROMPT)] + [("phi3-short", ORIGINAL, ORIGINAL)] * (name == "phi3-long")
        index += [{"name": run, "file": f"{name}.gguf", "context": most, "tokens": tokens[:length],
                   "positions": [p for p in POSITIONS if p < length]} for run, most, length in runs]
        if chosen and name not in chosen:
            continue
        c = config()
        c._attn_implementation = "eager"
        c._experts_implementation = "eager"
        model = hf.AutoModelForCausalLM.from_config(c)
        randomise(model, 1000 + number)
        model.tie_weights()
        if not exact:
            round_keys_and_values(model)
        g = Gguf(arch)
        keys(g, c)
        if more:
            more(g, model)
        tensors(g, model, names)
        model = model.double().eval()
        g.save(os.path.join(out, f"{name}.gguf"))
        for run in index[-len(runs):]:
            with torch.no_grad():
                logits = model(torch.tensor([run["tokens"]]), use_cache=False).logits[0, run["positions"]]
            logits.numpy().astype("<f4").tofile(os.path.join(out, f"{run['name']}.f32"))
        print(f"{name}: {os.path.getsize(os.path.join(out, name + '.gguf')) >> 10} KiB, "
              f"logits of about {logits.std():.2f}")
    with open(os.path.join(out, "decoders.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(i) for i in index) + "\n]\n")


if __name__ == "__main__":
    plain = [a for a in sys.argv[1:] if a != "--exact"]
    main(plain[0], plain[1:], "--exact" in sys.argv)
