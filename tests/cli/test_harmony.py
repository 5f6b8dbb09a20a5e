"""Answers in several channels, as gpt-oss writes them: reasoning is no part of what is shown in a pipe, kept or asked again.

The model is a script: its attention does nothing, and each position says one token, whatever was read. So an answer
comes out only where the conversation before it has exactly the length it should have."""
import struct

import cli

SPECIAL = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|constrain|>"]
TEMPLATE = ("<|start|>system<|message|>Reason.<|end|>{% for m in messages %}<|start|>{{ m.role }}"
            "{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m.content }}<|end|>{% endfor %}"
            "{% if add_generation_prompt %}<|start|>assistant{% endif %}")
POSITIONS = 320  # and the width: position p is the unit vector p
STRING, U32, I32, F32, ARRAY = 8, 4, 5, 6, 9


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def byte_names():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {b: chr(b) for b in plain}
    return [names.get(b) or chr(256 + [x for x in range(256) if x not in names].index(b)) for b in range(256)]


def tokens_of(s):
    """Ids of a text in which the words of SPECIAL are tokens and every other byte is one."""
    ids = []
    while s:
        for i, word in enumerate(SPECIAL):
            if s.startswith(word):
                ids.append(256 + i)
                s = s[len(word):]
                break
        else:
            ids.append(ord(s[0]))
            s = s[1:]
    return ids


def model(script):
    """script: {text before: text that follows}."""
    says = {}
    for before, after in script.items():
        for i, token in enumerate(tokens_of(after)):
            says[len(tokens_of(before)) - 1 + i] = token
    count = 256 + len(SPECIAL)
    tokens = b"".join(text(t) for t in byte_names() + SPECIAL)
    types = struct.pack(f"<{count}i", *[1] * 256, *[3] * len(SPECIAL))
    keys = [("general.architecture", STRING, text("gpt2")), ("tokenizer.ggml.model", STRING, text("gpt2")),
            ("tokenizer.ggml.pre", STRING, text("gpt-2")), ("tokenizer.chat_template", STRING, text(TEMPLATE)),
            ("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", STRING, count) + tokens),
            ("tokenizer.ggml.merges", ARRAY, struct.pack("<IQ", STRING, 0)),
            ("tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ", I32, count) + types),
            ("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 256 + SPECIAL.index("<|return|>")))]
    for key, value in (("block_count", 1), ("context_length", POSITIONS), ("embedding_length", POSITIONS),
                       ("feed_forward_length", 32), ("attention.head_count", 10)):
        keys.append(("gpt2." + key, U32, struct.pack("<I", value)))
    keys.append(("gpt2.attention.layer_norm_epsilon", F32, struct.pack("<f", 1e-5)))
    one, zero = struct.pack("<f", 1), struct.pack("<f", 0)
    unit = b"".join(zero * p + one + zero * (POSITIONS - 1 - p) for p in range(POSITIONS))
    head = b"".join(b"".join(one if says.get(p) == t else zero for p in range(POSITIONS)) for t in range(count))
    vectors = {name: (size, value) for name, size, value in (
        ("output_norm.weight", POSITIONS, one), ("output_norm.bias", POSITIONS, zero), ("blk.0.attn_norm.weight", POSITIONS, one),
        ("blk.0.attn_norm.bias", POSITIONS, zero), ("blk.0.ffn_norm.weight", POSITIONS, one),
        ("blk.0.ffn_norm.bias", POSITIONS, zero), ("blk.0.attn_qkv.bias", 3 * POSITIONS, zero),
        ("blk.0.attn_output.bias", POSITIONS, zero), ("blk.0.ffn_up.bias", 32, zero), ("blk.0.ffn_down.bias", POSITIONS, zero))}
    tensors = [(name, (size,), value * size) for name, (size, value) in vectors.items()]
    tensors += [("token_embd.weight", (POSITIONS, count), zero * POSITIONS * count),
                ("position_embd.weight", (POSITIONS, POSITIONS), unit), ("output.weight", (POSITIONS, count), head)]
    for name, rows, columns in (("attn_qkv", 3 * POSITIONS, POSITIONS), ("attn_output", POSITIONS, POSITIONS),
                                ("ffn_up", 32, POSITIONS), ("ffn_down", POSITIONS, 32)):
        tensors.append((f"blk.0.{name}.weight", (columns, rows), zero * rows * columns))
    infos, data = b"", b""
    for name, dims, values in tensors:
        infos += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, len(data))
        data += values + bytes(-len(values) % 32)
    front = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    front += b"".join(text(k) + struct.pack("<I", kind) + v for k, kind, v in keys) + infos
    return front + bytes(-len(front) % 32) + data


QUESTION = "And what is the sum of two and of two, if you please?"  # the answer must lie behind the first
FIRST = "<|start|>system<|message|>Reason.<|end|><|start|>user<|message|>Hello?<|end|><|start|>assistant"
SECOND = FIRST + "<|channel|>final<|message|>Good day.<|end|><|start|>user<|message|>" + QUESTION + "<|end|><|start|>assistant"
SCRIPT = {FIRST: "<|channel|>analysis<|message|>Greet.<|end|><|start|>assistant<|channel|>final<|message|>Good day.<|return|>",
          SECOND: "<|channel|>analysis<|message|>Add.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"}


class Harmony(cli.Case):
    def test_chat(self):
        path = self.file("script.gguf", model(SCRIPT))
        out, err = self.irori("chat", path, "--temp", "0", stdin=f"Hello?\n{QUESTION}\n")
        self.assertEqual((out, err), ("Good day.\nIt is 4.\n", ""))

    def test_run(self):
        path = self.file("script.gguf", model(SCRIPT))
        r = self.json("run", path, "-p", "Hello?", "--temp", "0")
        self.assertEqual((r["text"], r["reasoning"], r["finish_reason"]), ("Good day.", "Greet.", "stop"))
        out, _ = self.irori("run", path, "-p", "Hello?", "--temp", "0")
        self.assertEqual(out, "Good day.\n")
        out, _ = self.irori("run", path, "-p", FIRST, "--raw", "--temp", "0")  # as it is, without control tokens
        self.assertEqual(out, "analysisGreet.assistantfinalGood day.\n")


if __name__ == "__main__":
    cli.main()
