"""Answers in OpenAI's harmony format (gpt-oss). The demo model does not know it, so it is a stern test of what holds its
answers: its file is given that format's control tokens and a template. What it writes of them is drawn."""
import json
import pathlib
import struct
import tempfile
import unittest

import serving
from serving import chat

TEMPLATE = ("{# tools #}{% for m in messages %}<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>{% endfor %}"
            "<|start|>assistant")
WORDS = {4088: "<|end|>", 4089: "<|constrain|>", 4090: "<|call|>", 4092: "<|start|>", 4093: "<|return|>", 4094: "<|channel|>",
         4095: "<|message|>"}
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def text_of(data, at):
    n, = struct.unpack_from("<Q", data, at)
    return data[at + 8:at + 8 + n], at + 8 + n


def packed(text):
    return struct.pack("<Q", len(text)) + text


def strings(data, at):
    """The strings of an array's value."""
    _, n = struct.unpack_from("<IQ", data, at)
    at, out = at + 12, []
    for _ in range(n):
        text, at = text_of(data, at)
        out.append(text)
    return out


def array(texts):
    return struct.pack("<IQ", 8, len(texts)) + b"".join(map(packed, texts))


def span(data, at, kind):
    """Where a value of metadata ends."""
    if kind == 8:
        return text_of(data, at)[1]
    if kind != 9:
        return at + SIZES[kind]
    inner, n = struct.unpack_from("<IQ", data, at)
    at += 12
    for _ in range(n if inner == 8 else 0):
        at = text_of(data, at)[1]
    return at if inner == 8 else at + n * SIZES[inner]


def write_model(path):
    data = pathlib.Path(serving.MODEL).read_bytes()
    n, = struct.unpack_from("<Q", data, 16)
    values, at = {}, 24
    for _ in range(n):
        key, at = text_of(data, at)
        kind, = struct.unpack_from("<I", data, at)
        end = span(data, at + 4, kind)
        values[key] = (kind, data[at + 4:end])
        at = end
    tokens = strings(values[b"tokenizer.ggml.tokens"][1], 0)
    lost = {tokens[i] for i in WORDS}
    merges = [m for m in strings(values[b"tokenizer.ggml.merges"][1], 0) if m.replace(b" ", b"") not in lost]
    types = bytearray(values[b"tokenizer.ggml.token_type"][1])
    for i, word in WORDS.items():
        tokens[i] = word.encode()
        struct.pack_into("<i", types, 12 + 4 * i, 3)
    values[b"tokenizer.ggml.tokens"] = (9, array(tokens))
    values[b"tokenizer.ggml.merges"] = (9, array(merges))
    values[b"tokenizer.ggml.token_type"] = (9, bytes(types))
    head = data[:24]
    infos = data[at:]  # descriptions of tensors, then their data at a multiple of 32

    def whole(blanks):
        values[b"tokenizer.chat_template"] = (8, packed(TEMPLATE.encode() + b" " * blanks))
        return head + b"".join(packed(k) + struct.pack("<I", kind) + v for k, (kind, v) in values.items())
    blanks = (at - len(whole(0))) % 32
    path.write_bytes(whole(blanks) + infos)


def tool(name, **properties):
    return {"type": "function", "function": {"name": name, "parameters": {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}}}


TOOLS = [tool("get_weather", city={"enum": ["Nagoli", "Tamo"]}), tool("add", x={"type": "integer", "minimum": 0, "maximum": 9})]


class Harmony(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        path = pathlib.Path(cls.folder.name) / "harmony.gguf"
        write_model(path)
        cls.server = serving.Server("--quiet", models=(str(path),))
        cls.addClassCleanup(cls.server.stop)
        first = cls.server.post("/tokenize", {"content": "final"})[2]["tokens"][0]
        cls.soon = {str(first): 40, "4088": 20}  # messages end soon, and the next one is the last

    def whole(self, body, status=200):
        got, _, value = self.server.post("/v1/chat/completions", dict(body, model="harmony"))
        self.assertEqual(got, status, value)
        return value

    def check(self, call):
        a = json.loads(call["arguments"])
        if call["name"] == "get_weather":
            self.assertIn(a.pop("city"), ("Nagoli", "Tamo"))
        else:
            self.assertEqual(call["name"], "add")
            self.assertIn(a.pop("x"), range(10))
        self.assertEqual(a, {})

    def test_calls_are_forced_and_held(self):
        for seed in range(1, 7):
            body = chat("What is the weather in Tamo?", tools=TOOLS, tool_choice="required", temperature=1, seed=seed, max_tokens=200)
            c = self.whole(body)["choices"][0]
            calls = c["message"].get("tool_calls", [])
            self.assertLessEqual(len(calls), 1)
            if c["finish_reason"] == "length":
                continue  # it may think for ever
            self.assertEqual(c["finish_reason"], "tool_calls")
            self.check(calls[0]["function"])
            self.assertIsNone(c["message"]["content"])

    def test_no_call_of_what_is_not_declared(self):
        finished = 0
        for seed in range(1, 13):
            c = self.whole(chat("Say something.", tools=TOOLS, temperature=1, seed=seed, max_tokens=100,
                                logit_bias=self.soon if seed % 2 else {}))["choices"][0]
            finished += c["finish_reason"] != "length"
            for call in c["message"].get("tool_calls", []) if c["finish_reason"] != "length" else []:
                self.check(call["function"])
            self.assertNotRegex(c["message"]["content"] or "", r"<\|\w+\|>")
        self.assertGreater(finished, 0)

    def test_the_end_of_a_message_is_not_that_of_the_answer(self):
        a = self.whole(chat("Hi.", logit_bias={"4088": 100}, max_tokens=8))
        self.assertEqual((a["usage"]["completion_tokens"], a["choices"][0]["finish_reason"]), (8, "length"))

    def test_an_answer_held_to_json_is_the_final_message(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"],
                  "additionalProperties": False}
        held = 0
        for seed in range(1, 7):
            c = self.whole(chat("A number.", temperature=1, seed=seed, max_tokens=200, logit_bias=self.soon,
                                response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}))["choices"][0]
            if c["finish_reason"] != "length":
                self.assertIn(json.loads(c["message"]["content"])["n"], range(10))
                held += 1
        self.assertGreater(held, 0)

    def test_a_schema_that_cannot_be_held(self):
        bad = {"type": "function", "function": {"name": "pick", "parameters": {
            "type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}}}
        self.assertIn("uniqueItems", self.whole(chat("Hi.", tools=[bad], tool_choice="required"), 400)["error"]["message"])


if __name__ == "__main__":
    serving.main()
