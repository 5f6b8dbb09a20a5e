#!/usr/bin/env python3
"""Tiny random models as Hugging Face transformers save them, converted by irori and compared by their logits.

usage: convert.py IRORI LIBIRORI OUT_DIR [NAME...]     (needs torch, transformers 5 and tokenizers; encoders sentencepiece)

For each model of MODELS: saves it with a tokenizer to OUT_DIR/NAME, converts it to OUT_DIR/NAME.gguf in F32, runs 60
tokens through both and prints the largest difference, twice: from the model as it is, and from the same model with
its keys and values rounded to F16 as irori's pages hold them. What is left of the second is F32 arithmetic.
For each of ENCODERS: the same of the vectors or scores of TEXTS, tokenized by either side.
Nothing is committed: tests/convert covers the layouts.
"""
import ctypes
import json
import os
import subprocess
import sys

import numpy as np
import torch
import tokenizers as tk
import transformers as hf

from decoders import round_keys_and_values

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
    c = config()
    c._experts_implementation = "eager"
    model = kind(c).eval().float()
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


# ---- Encoders --------------------------------------------------------------------------------------------------
TEXTS = ["The quick brown fox jumps over the lazy dog.", "a", "Caf\u00e9s, na\u00efve; 3.14 and \u6771\u4eac\u306e\u5929\u6c17!",
         "\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002", "the dog and the fox and " * 12]
ENCODER = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
               max_position_embeddings=256)
ROBERTA = dict(ENCODER, bos_token_id=0, pad_token_id=1, eos_token_id=2, type_vocab_size=1)
MODERN = dict(ENCODER, bos_token_id=0, cls_token_id=0, pad_token_id=1, eos_token_id=2, sep_token_id=2, local_attention=24)
QWEN = dict(COMMON, head_dim=32, pad_token_id=0)
# name: model, configuration, tokenizer, pooling as sentence-transformers names it ("rank": scores)
ENCODERS = {
    "bge": (hf.BertModel, lambda: hf.BertConfig(**ENCODER, pad_token_id=0), "words", "cls_token"),
    "minilm": (hf.BertModel, lambda: hf.BertConfig(**ENCODER, pad_token_id=0), "words", "mean_tokens"),
    "e5": (hf.XLMRobertaModel, lambda: hf.XLMRobertaConfig(**ROBERTA), "unigram", "mean_tokens"),
    "bge-reranker": (hf.XLMRobertaForSequenceClassification, lambda: hf.XLMRobertaConfig(**ROBERTA, num_labels=1),
                     "unigram", "rank"),
    "ruri": (hf.ModernBertModel, lambda: hf.ModernBertConfig(**MODERN), "unigram", "mean_tokens"),
    "ruri-reranker": (hf.ModernBertForSequenceClassification,
                      lambda: hf.ModernBertConfig(**MODERN, num_labels=1, classifier_pooling="cls"), "unigram", "rank"),
    "qwen3-embedding": (hf.Qwen3Model, lambda: hf.Qwen3Config(**QWEN), "bytes", "lasttoken"),
}


def words_tokenizer():
    t = tk.BertWordPieceTokenizer(lowercase=True)
    t.train_from_iterator(TEXTS, vocab_size=VOCAB, min_frequency=1, show_progress=False)
    return hf.BertTokenizerFast(tokenizer_object=t._tokenizer), t.get_vocab_size()


def unigram_tokenizer(folder):
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as proto
    stem = os.path.join(folder, "sentencepiece")
    spm.SentencePieceTrainer.train(sentence_iterator=iter(TEXTS * 20), model_prefix=stem, vocab_size=VOCAB, bos_id=0, pad_id=1,
                                   eos_id=2, unk_id=3, hard_vocab_limit=False, minloglevel=2, character_coverage=1.0,
                                   bos_piece="<s>", pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>")
    m = proto.ModelProto.FromString(open(stem + ".model", "rb").read())
    for end in (".model", ".vocab"):
        os.remove(stem + end)
    t = tk.Tokenizer(tk.models.Unigram([(p.piece, p.score) for p in m.pieces], 3))
    t.normalizer = tk.normalizers.Sequence([tk.normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap),
                                            tk.normalizers.Replace(tk.Regex(" {2,}"), " ")])
    t.pre_tokenizer = tk.pre_tokenizers.Sequence([tk.pre_tokenizers.WhitespaceSplit(), tk.pre_tokenizers.Metaspace()])
    t.post_processor = tk.processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                        special_tokens=[("<s>", 0), ("</s>", 2)])
    return hf.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
                                      pad_token="<pad>", unk_token="<unk>"), len(m.pieces)


def bytes_tokenizer(folder):
    save_tokenizer(folder, WORDS)
    t = tk.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    t.post_processor = tk.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return hf.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", pad_token="</s>"), VOCAB


def vectors_of(model, tokenizer, pooling):
    rows = []
    with torch.no_grad():
        for text in TEXTS:
            if pooling == "rank":
                pair = tokenizer(TEXTS[0], text, return_tensors="pt")
                rows.append(torch.sigmoid(model(input_ids=pair["input_ids"]).logits[0]).numpy())
                continue
            h = model(input_ids=tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state[0]
            v = {"mean_tokens": h.mean(0), "cls_token": h[0], "lasttoken": h[-1]}[pooling].numpy()
            rows.append(v / np.sqrt((v * v).sum()))
    return np.array(rows)


def irori_vectors(irori, path, pooling):
    lines = "".join(t + "\n" for t in TEXTS)
    words = ["rerank", path, "--query", TEXTS[0]] if pooling == "rank" else ["embed", path]
    r = subprocess.run([irori, *words, "--json"], input=lines.encode(), check=True, capture_output=True)
    r = json.loads(r.stdout)
    if pooling != "rank":
        return np.array(r["embeddings"])
    return np.array([[x["score"]] for x in sorted(r["results"], key=lambda x: x["line"])])


def compare_encoder(irori, out, name):
    kind, config, words, pooling = ENCODERS[name]
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    tokenizer, size = {"words": words_tokenizer, "unigram": lambda: unigram_tokenizer(folder),
                       "bytes": lambda: bytes_tokenizer(folder)}[words]()
    c = config()
    c.vocab_size = size
    model = make(kind, lambda: c)
    model.set_attn_implementation("eager")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if pooling != "rank":
        os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
        with open(os.path.join(folder, "1_Pooling", "config.json"), "w") as f:
            json.dump({"word_embedding_dimension": 64, "pooling_mode_" + pooling: True}, f)
    exact = vectors_of(model, tokenizer, pooling)
    round_keys_and_values(model)
    rounded = vectors_of(model, tokenizer, pooling)
    subprocess.run([irori, "convert", folder, folder + ".gguf", "--type", "f32"], check=True, stdout=subprocess.DEVNULL)
    return exact, rounded, irori_vectors(irori, folder + ".gguf", pooling)


def compare_decoder(irori, lib, out, name):
    ids = [int(i) for i in np.random.RandomState(3).randint(2, VOCAB - 2, 60)]
    kind, config, regex = MODELS[name]
    folder = os.path.join(out, name)
    model = make(kind, config)
    model.set_attn_implementation("eager")
    model.save_pretrained(folder)
    save_tokenizer(folder, regex)
    model = model.double()
    with torch.no_grad():
        exact = model(torch.tensor([ids])).logits[0].numpy()
        round_keys_and_values(model)
        rounded = model(torch.tensor([ids])).logits[0].numpy()
    subprocess.run([irori, "convert", folder, folder + ".gguf", "--type", "f32"], check=True, stdout=subprocess.DEVNULL)
    return exact, rounded, irori_logits(lib, folder + ".gguf", ids)


def main():
    irori, out, lib = sys.argv[1], sys.argv[3], ctypes.CDLL(sys.argv[2])
    lib.irori_session_logits.restype = ctypes.POINTER(ctypes.c_float)
    for name in sys.argv[4:] or [*MODELS, *ENCODERS]:
        exact, rounded, got = (compare_decoder(irori, lib, out, name) if name in MODELS else compare_encoder(irori, out, name))
        if isinstance(got, str):
            print(name, got)
        else:
            print(f"{name}: {np.abs(got - exact).max():.1e} from the model, {np.abs(got - rounded).max():.1e} from it with "
                  f"F16 keys and values, of up to {np.abs(exact).max():.3g}", flush=True)


if __name__ == "__main__":
    main()
