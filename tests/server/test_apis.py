"""The other APIs: Ollama's, Anthropic's, llama-server's; models on demand; metrics."""
import base64
import json
import pathlib
import struct
import tempfile
import time
import unittest

import serving
from serving import DRAFT, NAME, WEATHER

TASKS = "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."
TASKS_ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'
USER = [{"role": "user", "content": TASKS}]
GREEDY = {"temperature": 0}
RAIN = [{"role": "user", "content": "What is the weather in Nagoli?"}]


class Ollama(serving.Case):
    def test_home_and_version(self):
        self.assertEqual(self.answers(200, "/", None, "GET"), "Ollama is running")
        self.assertIn("version", self.answers(200, "/api/version", None, "GET"))

    def test_chat(self):
        body = {"model": NAME, "messages": USER, "options": GREEDY}
        a = self.answers(200, "/api/chat", dict(body, stream=False))
        self.assertEqual(a["message"], {"role": "assistant", "content": TASKS_ANSWER})
        self.assertEqual((a["done"], a["done_reason"]), (True, "stop"))
        for key in ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"):
            self.assertIsInstance(a[key], int)
        self.assertRegex(a["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
        lines = self.server.lines("/api/chat", body)
        self.assertEqual("".join(x["message"]["content"] for x in lines), TASKS_ANSWER)
        self.assertEqual([x["done"] for x in lines], [False] * (len(lines) - 1) + [True])

    def test_generate(self):
        body = {"model": NAME + ":latest", "prompt": TASKS, "options": dict(GREEDY, num_predict=5)}
        lines = self.server.lines("/api/generate", body)
        whole = self.answers(200, "/api/generate", dict(body, stream=False))
        self.assertEqual("".join(x["response"] for x in lines), whole["response"])
        self.assertEqual(whole["done_reason"], "length")
        raw = self.answers(200, "/api/generate", {"model": NAME, "prompt": f"<|im_start|>user\n{TASKS}<|im_end|>\n<|im_start|>assistant\n",
                                                  "raw": True, "stream": False, "options": GREEDY})
        self.assertEqual(raw["response"], TASKS_ANSWER)

    def test_tools(self):
        a = self.answers(200, "/api/chat", {"model": NAME, "messages": RAIN, "tools": [WEATHER], "options": GREEDY, "stream": False})
        self.assertEqual(a["message"]["tool_calls"], [{"function": {"name": "get_weather", "arguments": {"city": "Nagoli"}}}])
        lines = self.server.lines("/api/chat", {"model": NAME, "messages": RAIN, "tools": [WEATHER], "options": GREEDY})
        calls = [c for x in lines for c in x["message"].get("tool_calls", [])]
        self.assertEqual(calls, a["message"]["tool_calls"])
        again = RAIN + [a["message"], {"role": "tool", "tool_name": "get_weather", "content": "21 degrees"}]
        self.answers(200, "/api/chat", {"model": NAME, "messages": again, "options": {"num_predict": 5}, "stream": False})

    def test_lists(self):
        models = self.answers(200, "/api/tags", None, "GET")["models"]
        self.assertEqual(models[0]["name"], NAME + ":latest")
        self.assertEqual(models[0]["details"]["quantization_level"], "F16")
        shown = self.answers(200, "/api/show", {"model": NAME})
        self.assertEqual(shown["model_info"]["general.architecture"], "qwen3")
        self.assertIn("tools", shown["capabilities"])
        self.assertEqual(self.answers(200, "/api/ps", None, "GET")["models"][0]["model"], NAME + ":latest")

    def test_loading_only(self):
        a = self.answers(200, "/api/generate", {"model": NAME})
        self.assertEqual((a["done"], a["done_reason"], a["response"]), (True, "load", ""))

    def test_errors(self):
        for status, path, body in ((404, "/api/chat", {"model": "other", "messages": USER}), (400, "/api/chat", {"messages": USER}),
                                   (400, "/api/chat", {"model": NAME, "messages": USER, "options": {"temperature": "hot"}}),
                                   (400, "/api/chat", {"model": NAME, "messages": USER, "format": "xml"}),
                                   (400, "/api/chat", {"model": NAME, "messages": USER, "keep_alive": "soon"}),
                                   (400, "/api/generate", {"model": NAME, "prompt": "a", "images": ["AAAA"]}),
                                   (404, "/api/show", {"model": "other"}), (400, "/api/pull", {"model": "/x"}),
                                   (400, "/api/create", {"model": "x"}), (400, "/api/copy", {"source": "x"}), (501, "/api/push", {"model": "x"})):
            value = self.answers(status, path, body)
            self.assertEqual(list(value), ["error"], path)
            self.assertIsInstance(value["error"], str)
        self.answers(404, "/api/delete", {"model": NAME}, "DELETE")


class Anthropic(serving.Case):
    def body(self, **more):
        return dict({"model": NAME, "max_tokens": 100, "messages": USER, "temperature": 0}, **more)

    def test_a_message(self):
        a = self.answers(200, "/v1/messages", self.body())
        self.assertEqual(a["content"], [{"type": "text", "text": TASKS_ANSWER}])
        self.assertEqual((a["type"], a["role"], a["stop_reason"], a["stop_sequence"]), ("message", "assistant", "end_turn", None))
        self.assertGreater(a["usage"]["output_tokens"], 5)
        a = self.answers(200, "/v1/messages", self.body(stop_sequences=["Friday"]))
        self.assertEqual((a["stop_reason"], a["stop_sequence"]), ("stop_sequence", "Friday"))
        self.assertEqual(self.answers(200, "/v1/messages", self.body(max_tokens=2))["stop_reason"], "max_tokens")

    def test_a_stream(self):
        events = self.server.events("/v1/messages", self.body(stream=True))
        self.assertTrue(all(name == data["type"] for name, data in events))
        names = [name for name, _ in events]
        self.assertEqual(names[:3], ["message_start", "ping", "content_block_start"])
        self.assertEqual(names[-3:], ["content_block_stop", "message_delta", "message_stop"])
        self.assertEqual(set(names[3:-3]), {"content_block_delta"})
        text = "".join(d["delta"]["text"] for n, d in events if n == "content_block_delta")
        self.assertEqual(text, TASKS_ANSWER)

    def test_tools(self):
        tool = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER["function"]["parameters"]}
        a = self.answers(200, "/v1/messages", self.body(messages=RAIN, tools=[tool]))
        use = a["content"][-1]
        self.assertEqual((use["type"], use["name"], use["input"], a["stop_reason"]), ("tool_use", "get_weather", {"city": "Nagoli"}, "tool_use"))
        events = self.server.events("/v1/messages", self.body(messages=RAIN, tools=[tool], stream=True))
        starts = [d["content_block"] for n, d in events if n == "content_block_start"]
        self.assertEqual([s["type"] for s in starts], ["tool_use"])
        partial = "".join(d["delta"]["partial_json"] for n, d in events if n == "content_block_delta")
        self.assertEqual(json.loads(partial), {"city": "Nagoli"})
        again = RAIN + [{"role": "assistant", "content": a["content"]},
                        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use["id"], "content": "21 degrees"}]}]
        self.answers(200, "/v1/messages", self.body(messages=again, tools=[tool], max_tokens=5))

    def test_counting(self):
        counted = self.answers(200, "/v1/messages/count_tokens", {"model": NAME, "messages": USER, "system": "Be brief."})
        usage = self.answers(200, "/v1/messages", self.body(system=[{"type": "text", "text": "Be brief."}]))["usage"]
        self.assertEqual(counted["input_tokens"], usage["input_tokens"] + usage["cache_read_input_tokens"])

    def test_errors(self):
        for status, body in ((400, {"model": NAME, "messages": USER}), (400, self.body(max_tokens=0)), (400, self.body(messages=[])),
                             (400, self.body(messages=[{"role": "user", "content": 5}])), (404, self.body(model="other")),
                             (400, self.body(messages=[{"role": "user", "content": [{"type": "image", "source": {}}]}])),
                             (400, self.body(tools=[{"name": "a b"}])), (400, self.body(tool_choice={"type": "tool", "name": "x"}))):
            e = self.answers(status, "/v1/messages", body)
            self.assertEqual(e["type"], "error")
            self.assertIn(e["error"]["type"], ("invalid_request_error", "not_found_error"))


class Native(serving.Case):
    def test_completion(self):
        body = {"prompt": "The river", "n_predict": 6, "temperature": 0}
        a = self.answers(200, "/completion", body)
        self.assertEqual((a["stop"], a["stop_type"], a["tokens_predicted"]), (True, "limit", 6))
        for key in ("prompt_n", "prompt_ms", "predicted_n", "predicted_per_second", "cache_n"):
            self.assertIn(key, a["timings"])
        text = "".join(d["content"] for _, d in self.server.events("/completion", dict(body, stream=True)))
        self.assertEqual(text, a["content"])
        probabilities = self.answers(200, "/completion", dict(body, n_probs=2))["completion_probabilities"]
        self.assertEqual(len(probabilities), 6)

    def test_tokens(self):
        ids = self.answers(200, "/tokenize", {"content": "日本語 text<|im_end|>", "parse_special": False})["tokens"]
        self.assertEqual(self.answers(200, "/detokenize", {"tokens": ids})["content"], "日本語 text<|im_end|>")
        special = self.answers(200, "/tokenize", {"content": "<|im_end|>"})["tokens"]
        self.assertEqual(len(special), 1)
        pieces = self.answers(200, "/tokenize", {"content": "a river", "with_pieces": True})["tokens"]
        self.assertEqual("".join(p["piece"] for p in pieces), "a river")
        for tokens in ([-1], [999999], ["a"], "a", None):
            self.answers(400, "/detokenize", {"tokens": tokens})

    def test_templates(self):
        prompt = self.answers(200, "/apply-template", {"messages": USER})["prompt"]
        self.assertEqual(prompt, f"<|im_start|>user\n{TASKS}<|im_end|>\n<|im_start|>assistant\n")
        count = self.answers(200, "/v1/chat/completions/input_tokens", {"messages": USER})["input_tokens"]
        self.assertGreater(count, 20)

    def test_infill_needs_words_for_it(self):
        e = self.answers(400, "/infill", {"input_prefix": "a", "input_suffix": "b"})
        self.assertIn("fill in", e["error"]["message"])

    def test_grammar(self):
        a = self.answers(200, "/completion", {"prompt": "Say", "grammar": 'root ::= "yes" | "no"', "n_predict": 20})
        self.assertIn(a["content"], ("yes", "no"))
        e = self.answers(400, "/completion", {"prompt": "Say", "grammar": "root ::= ("})
        self.assertIn("grammar", e["error"]["message"])

    def test_views(self):
        self.assertEqual(self.answers(200, "/health", None, "GET"), {"status": "ok"})
        self.assertEqual(len(self.answers(200, "/slots", None, "GET")), 8)
        props = self.answers(200, "/props", None, "GET")
        self.assertEqual((props["total_slots"], props["model_alias"]), (8, NAME))
        self.assertEqual(self.answers(200, "/v1/models/" + NAME, None, "GET")["id"], NAME)
        self.answers(404, "/v1/models/other", None, "GET")

    def test_metrics(self):
        self.answers(200, "/completion", {"prompt": "The river and the road. " * 30, "n_predict": 3})
        time.sleep(.2)  # keys and values are counted after the answer
        text = self.answers(200, "/metrics", None, "GET")
        seen = {}
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) irori_[a-z0-9_]+ .+$")
            else:
                self.assertRegex(line, r'^irori_[a-z_]+(\{[a-z]+="[^"]*"(,(le|level)="[^"]*")?\})? [-+0-9.e]+$')
                seen[line.rsplit(" ", 1)[0]] = float(line.rsplit(" ", 1)[1])
        label = f'{{model="{NAME}"}}'
        self.assertGreaterEqual(seen["irori_completion_tokens_total" + label], 3)
        self.assertGreater(seen[f'irori_kv_blocks{{model="{NAME}",level="f16"}}'], 0)
        self.assertEqual(seen["irori_kv_resident_bytes" + label], seen["irori_kv_full_precision_bytes" + label])
        self.assertEqual(seen["irori_kv_spilled_bytes" + label], 0)
        for name in ("kv_promotions_total", "kv_demotions_total", "guessed_tokens_total", "guessed_tokens_accepted_total"):
            self.assertIn(f"irori_{name}{label}", seen)
        self.assertEqual(seen[f'irori_first_token_seconds_bucket{{model="{NAME}",le="+Inf"}}'], seen["irori_first_token_seconds_count" + label])


class Policy(serving.Case):
    """How keys and values are kept, changed while the server runs."""
    words = ("--quiet", "--ctx", "1024")
    LONG = {"prompt": "The river and the road. " * 30, "n_predict": 1}

    def policy(self, body):
        return self.answers(200, "/v1/kv/policy", dict({"model": NAME}, **body))

    def test_change(self):
        first = self.answers(200, f"/v1/kv/policy?model={NAME}", None, "GET")
        self.assertEqual((first["model"], first["policy"], first["budget"]), (NAME, "f16", ""))
        self.assertEqual(first["kv"]["demotions"], 0)
        changed = self.policy({"policy": "uniform:q8", "budget": "50%"})
        self.assertEqual((changed["policy"], changed["budget"]), ("uniform:q8", "50%"))
        self.answers(200, "/completion", self.LONG)
        time.sleep(.2)  # they are counted after the answer
        after = self.answers(200, "/v1/kv/policy", None, "GET")
        self.assertEqual((after["policy"], after["budget"]), ("uniform:q8", "50%"))
        self.assertGreater(after["kv"]["demotions"], 0)
        self.assertGreater(after["kv"]["blocks"]["q8"], 0)
        self.assertLess(after["kv"]["resident_bytes"], after["kv"]["f16_bytes"])
        self.assertGreater(float(self.metric("kv_demotions_total")), 0)
        self.assertEqual(self.policy({"policy": "f16"})["policy"], "f16")

    def metric(self, name):
        text = self.answers(200, "/metrics", None, "GET")
        return next(line.split()[-1] for line in text.splitlines() if line.startswith(f"irori_{name}{{"))

    def test_wrong(self):
        for body, word in (({"policy": "uniform:q9"}, "q9"), ({"policy": "staged", "budget": "many"}, "many"), ({}, "policy"), ({"policy": 3}, "policy"),
                           ({"policy": "f16", "budget": 5}, "budget")):
            said = self.answers(400, "/v1/kv/policy", dict({"model": NAME}, **body))
            self.assertIn(word, said["error"]["message"])
        self.answers(404, "/v1/kv/policy", {"model": "other", "policy": "f16"})
        self.answers(404, "/v1/kv/policy?model=other", None, "GET")


class Sessions(serving.Case):
    words = ("--quiet", "--ctx", "1024", "--slots", "2")
    SYSTEM = [{"role": "system", "content": "Answer in one word. " * 30}]

    def made(self, **body):
        a = self.answers(200, "/v1/sessions", dict({"model": NAME}, **body))
        self.addCleanup(self.server.call, "DELETE", "/v1/sessions/" + a["id"])
        return a

    def chat(self, messages, **more):
        return self.answers(200, "/v1/chat/completions", dict({"messages": messages, "temperature": 0, "max_tokens": 4}, **more))

    def test_continue(self):
        a = self.made(messages=self.SYSTEM)
        self.assertEqual((a["object"], a["model"], a["held_tokens"] % 64), ("session", NAME, 0))
        self.assertGreater(a["held_tokens"], 64)
        self.assertTrue(0 <= a["tokens"] - a["held_tokens"] < 64)
        self.assertGreater(a["bytes"], 0)
        by_name, in_full = self.chat(USER, session=a["id"]), self.chat(self.SYSTEM + USER)
        self.assertEqual(by_name["choices"][0]["message"], in_full["choices"][0]["message"])
        self.assertEqual(by_name["usage"]["prompt_tokens"], in_full["usage"]["prompt_tokens"])
        self.assertGreaterEqual(by_name["usage"]["prompt_tokens_details"]["cached_tokens"], a["held_tokens"])

    def test_held_while_others_come(self):
        a = self.made(text="The river and the road. " * 20)
        for i in range(8):  # more than the store has room for
            self.answers(200, "/v1/completions", {"model": NAME, "prompt": f"{i} walks home. " * 60, "max_tokens": 1})
        again = self.answers(200, "/v1/completions", {"model": NAME, "prompt": "The river and the road. " * 20 + "Then", "max_tokens": 1})
        self.assertGreaterEqual(again["usage"]["prompt_tokens_details"]["cached_tokens"], a["held_tokens"])
        more = self.answers(200, f"/v1/sessions/{a['id']}/append", {"text": "Then the sea. " * 10})
        self.assertGreater(more["tokens"], a["tokens"])
        self.answers(400, f"/v1/sessions/{a['id']}/append", {"messages": USER})

    def test_append_list_delete(self):
        a = self.made(messages=self.SYSTEM, tools=[WEATHER])
        b = self.answers(200, f"/v1/sessions/{a['id']}/append", {"messages": USER + [{"role": "assistant", "content": TASKS_ANSWER}]})
        self.assertEqual(b["id"], a["id"])
        self.assertGreater(b["tokens"], a["tokens"])
        self.assertEqual([s["tokens"] for s in self.answers(200, "/v1/sessions", None, "GET")["data"] if s["id"] == a["id"]], [b["tokens"]])
        self.assertEqual(self.answers(200, "/v1/sessions/" + a["id"], None, "GET")["tokens"], b["tokens"])
        c = self.chat(RAIN, session=a["id"])
        self.assertGreaterEqual(c["usage"]["prompt_tokens_details"]["cached_tokens"], b["held_tokens"])
        self.assertRegex(self.answers(200, "/metrics", None, "GET"), r"(?m)^irori_sessions [1-9]")
        self.assertTrue(self.answers(200, "/v1/sessions/" + a["id"], None, "DELETE")["deleted"])
        for method, path, body in (("GET", "", None), ("DELETE", "", None), ("POST", "/append", {"messages": USER})):
            self.answers(404, f"/v1/sessions/{a['id']}{path}", body, method)
        self.answers(400, "/v1/chat/completions", {"messages": USER, "session": a["id"]})

    def test_ends_by_itself(self):
        a = self.made(messages=self.SYSTEM, seconds=1)
        for _ in range(100):
            if self.server.call("GET", "/v1/sessions/" + a["id"])[0] == 404:
                return
            time.sleep(.1)
        self.fail("it is still there")

    def test_refused(self):
        for body in ({}, {"messages": []}, {"text": ""}, {"text": 3}, {"text": "a", "messages": USER}, {"text": "a", "seconds": 0},
                     {"text": "a", "seconds": 1e308}, {"messages": USER, "tools": [WEATHER], "tool_choice": "required"},
                     {"text": "word " * 3000}):
            self.answers(400, "/v1/sessions", body)
        self.answers(404, "/v1/sessions", {"model": "other", "text": "a"})
        self.answers(404, "/v1/sessions/x/other", {"text": "a"})
        full = [self.made(text=f"{i} walks home. " * 80) for i in range(2)]
        self.assertGreater(sum(s["held_tokens"] for s in full), 300)
        seen = {self.server.post("/v1/sessions", {"text": f"{i} runs home. " * 110})[0] for i in range(3)}
        self.assertIn(429, seen)
        for s in self.answers(200, "/v1/sessions", None, "GET")["data"]:
            self.server.call("DELETE", "/v1/sessions/" + s["id"])
        self.chat(USER)


class Held(serving.Case):
    """Answers held to a schema, whatever is drawn."""

    def test_response_format(self):
        schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
                  "required": ["name", "age"], "additionalProperties": False}
        body = {"model": NAME, "messages": [{"role": "user", "content": "Somebody."}], "temperature": 1, "max_tokens": 200}
        held = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
        for seed in range(1, 6):
            a = self.answers(200, "/v1/chat/completions", dict(body, seed=seed, response_format=held))["choices"][0]
            value = json.loads(a["message"]["content"])
            self.assertEqual(sorted(value), ["age", "name"])
            self.assertTrue(0 <= value["age"] <= 120)
            self.assertEqual(a["finish_reason"], "stop")
        ollama = self.answers(200, "/api/chat", dict(body, stream=False, format=schema))
        self.assertEqual(sorted(json.loads(ollama["message"]["content"])), ["age", "name"])
        text = {"format": {"type": "json_schema", "name": "person", "schema": schema}}
        a = self.answers(200, "/v1/responses", {"input": "Somebody.", "text": text, "max_output_tokens": 200})
        self.assertEqual(sorted(json.loads(a["output"][0]["content"][0]["text"])), ["age", "name"])

    def test_refused_schemas(self):
        for schema in ({"type": "nothing"}, {"$ref": "#/nowhere"}):
            held = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            e = self.answers(400, "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "response_format": held})["error"]
            self.assertIn("response_format", e["message"])

    def test_a_call_that_must_be_made(self):
        other = {"type": "function", "function": {"name": "set_level", "parameters": {
            "type": "object", "properties": {"level": {"enum": [1, 2, 3]}}, "required": ["level"], "additionalProperties": False}}}
        body = {"model": NAME, "messages": [{"role": "user", "content": "Say something."}], "tools": [WEATHER, other], "max_tokens": 200}
        for seed in range(1, 5):
            c = self.answers(200, "/v1/chat/completions", dict(body, seed=seed, tool_choice={"type": "function", "function": {"name": "set_level"}}))
            call = c["choices"][0]["message"]["tool_calls"][0]["function"]
            self.assertEqual(call["name"], "set_level")
            self.assertIn(json.loads(call["arguments"]), ({"level": 1}, {"level": 2}, {"level": 3}))


class Embedding(serving.Case):
    models = (str(serving.SOURCE / "tests" / "engine" / "data" / "ruri.gguf"), str(serving.SOURCE / "tests" / "engine" / "data" / "bge-reranker.gguf"))

    def test_vectors(self):
        texts = ["a stitch in time", "saves nine"]
        a = self.answers(200, "/v1/embeddings", {"model": "ruri", "input": texts})
        vectors = [d["embedding"] for d in a["data"]]
        self.assertEqual([len(v) for v in vectors], [32, 32])
        self.assertGreater(a["usage"]["prompt_tokens"], 2)
        b = self.answers(200, "/v1/embeddings", {"model": "ruri", "input": texts, "encoding_format": "base64"})
        for d, v in zip(b["data"], vectors):
            self.assertEqual(list(struct.unpack("<32f", base64.b64decode(d["embedding"]))), v)
        self.assertEqual(self.answers(200, "/api/embed", {"model": "ruri", "input": texts})["embeddings"], vectors)
        self.assertEqual(self.answers(200, "/api/embeddings", {"model": "ruri", "prompt": texts[0]})["embedding"], vectors[0])
        self.assertEqual(len(self.answers(200, "/v1/embeddings", {"input": "x", "dimensions": 4})["data"][0]["embedding"]), 4)

    def test_ranks(self):
        a = self.answers(200, "/v1/rerank", {"model": "bge-reranker", "query": "sewing", "documents": ["a", "saves nine", "x y"], "top_n": 2})
        self.assertEqual(len(a["results"]), 2)
        self.assertGreaterEqual(a["results"][0]["relevance_score"], a["results"][1]["relevance_score"])
        b = self.answers(200, "/rerank", {"model": "bge-reranker", "query": "sewing", "texts": ["a", {"text": "saves nine"}], "return_documents": True})
        self.assertEqual({r["document"]["text"] for r in b["results"]}, {"a", "saves nine"})

    def test_errors(self):
        for path, body in (("/v1/embeddings", {"input": []}), ("/v1/embeddings", {"input": [1]}), ("/v1/embeddings", {"input": "a", "dimensions": 99}),
                           ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}), ("/v1/embeddings", {"input": "y" * 500}),
                           ("/v1/embeddings", {"model": "bge-reranker", "input": "a"}), ("/v1/rerank", {"query": "a", "documents": ["b"]}),
                           ("/v1/rerank", {"model": "bge-reranker", "documents": ["b"]}), ("/v1/completions", {"prompt": "a"})):
            self.answers(400, path, body)


class Several(unittest.TestCase):
    def test_models_come_and_go(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(3):
                (pathlib.Path(folder) / f"m{i}.gguf").symlink_to(DRAFT)
            (pathlib.Path(folder) / "broken.gguf").write_bytes(b"GGUF nothing")
            server = serving.Server("--quiet", "--models-dir", folder, "--keep-alive", "1", "--memory-budget", "60", "--ctx", "512",
                                    "--slots", "1")

            def ask(model, status=200, path="/api/generate", **more):
                got, _, value = server.post(path, dict({"model": model, "prompt": "a", "stream": False,
                                                        "options": {"num_predict": 2}}, **more))
                self.assertEqual(got, status, value)

            def running():
                return {m["name"].removesuffix(":latest") for m in server.call("GET", "/api/ps")[2]["models"]}

            try:
                names = {m["id"] for m in server.call("GET", "/v1/models")[2]["data"]}
                self.assertEqual(names, {NAME, "m0", "m1", "m2", "broken"})
                self.assertEqual(running(), {NAME})
                ask("m0", keep_alive=-1)
                ask("m1", keep_alive="1h")
                self.assertEqual(running(), {NAME, "m0", "m1"})
                ask("broken", 500)
                ask("m2")
                until = time.monotonic() + serving.PATIENCE
                while "m2" in running():
                    self.assertLess(time.monotonic(), until)
                    time.sleep(.1)
                self.assertIn(NAME, running())
                self.assertIn("m0", running())
                ask("m0", prompt="", keep_alive=0)
                self.assertNotIn("m0", running())
                ask(NAME, 429, prompt="", keep_alive=0)  # stays
                text = server.call("GET", "/metrics")[2]
                self.assertRegex(text, r"(?m)^irori_model_loads_total 4$")
            finally:
                self.assertEqual(server.stop(), 0)

    def test_a_budget(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(3):
                (pathlib.Path(folder) / f"m{i}.gguf").symlink_to(DRAFT)
            server = serving.Server("--quiet", "--models-dir", folder, "--memory-budget", "30", "--ctx", "256", "--slots", "1",
                                    "--batch-size", "32", models=())
            try:
                for name in ("m0", "m1", "m2", "m0", "m1"):
                    status, _, value = server.post("/completion", {"model": name, "prompt": "a", "n_predict": 1})
                    self.assertEqual(status, 200, value)
                    sizes = [m["size"] for m in server.call("GET", "/api/ps")[2]["models"]]
                    self.assertLessEqual(sum(sizes), 30 << 20)
            finally:
                self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    serving.main()
