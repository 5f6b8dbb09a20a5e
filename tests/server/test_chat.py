"""Chat completions: whole and streamed, choices, log-probabilities, stops, tools, bounds; many at once."""
import json
import socket
import threading
import time
import unittest

import serving
from serving import NAME, WEATHER, chat

TASKS = "List the tasks as JSON: buy tamo on Friday, buy rilu on Monday."
TASKS_ANSWER = '[{"task": "buy tamo", "day": "Friday"}, {"task": "buy rilu", "day": "Monday"}]'


class Chat(serving.Case):
    def whole(self, **body):
        return self.answers(200, "/v1/chat/completions", body)

    def test_an_answer(self):
        a = self.whole(**chat(TASKS))
        self.assertEqual(a["object"], "chat.completion")
        self.assertTrue(a["id"].startswith("chatcmpl-"))
        self.assertEqual(a["model"], NAME)
        c = a["choices"][0]
        self.assertEqual(c["message"], {"role": "assistant", "content": TASKS_ANSWER, "refusal": None})
        self.assertEqual((c["index"], c["finish_reason"], c["logprobs"]), (0, "stop", None))
        u = a["usage"]
        self.assertEqual(u["total_tokens"], u["prompt_tokens"] + u["completion_tokens"])
        self.assertEqual(a["timings"]["prompt_n"] + a["timings"]["cache_n"], u["prompt_tokens"])

    def test_a_stream_says_the_same(self):
        events = [d for _, d in self.server.events("/v1/chat/completions", chat(TASKS, stream=True))]
        self.assertEqual(events[-1], "[DONE]")
        chunks = events[:-1]
        self.assertEqual(chunks[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertEqual(len({c["id"] for c in chunks}), 1)
        self.assertEqual({c["object"] for c in chunks}, {"chat.completion.chunk"})
        text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
        self.assertEqual(text, TASKS_ANSWER)
        self.assertEqual([c["choices"][0]["finish_reason"] for c in chunks], [None] * (len(chunks) - 1) + ["stop"])
        self.assertNotIn("usage", chunks[0])

    def test_usage_in_a_stream(self):
        body = chat(TASKS, stream=True, stream_options={"include_usage": True})
        chunks = [d for _, d in self.server.events("/v1/chat/completions", body)][:-1]
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertGreater(chunks[-1]["usage"]["completion_tokens"], 10)
        self.assertTrue(all(c["usage"] is None for c in chunks[:-1]))

    def test_length_and_stop(self):
        c = self.whole(**chat(TASKS, max_tokens=3))["choices"][0]
        self.assertEqual(c["finish_reason"], "length")
        self.assertTrue(TASKS_ANSWER.startswith(c["message"]["content"]))
        for stop in ("Friday", ["nothing", "Friday", "day\": \"Mon"]):
            c = self.whole(**chat(TASKS, stop=stop))["choices"][0]
            self.assertEqual(c["message"]["content"], TASKS_ANSWER[:TASKS_ANSWER.index("Friday")])
            self.assertEqual(c["finish_reason"], "stop")
        self.assertEqual(self.whole(**chat(TASKS, max_tokens=0))["choices"][0]["message"]["content"], "")

    def test_choices(self):
        body = chat("Tell me a story.", n=4, temperature=1.2, seed=11, max_tokens=20)
        a = self.whole(**body)
        texts = [c["message"]["content"] for c in a["choices"]]
        self.assertEqual([c["index"] for c in a["choices"]], [0, 1, 2, 3])
        self.assertGreater(len(set(texts)), 1)
        self.assertEqual(texts, [c["message"]["content"] for c in self.whole(**body)["choices"]])
        one = self.whole(**dict(body, n=1))["choices"][0]["message"]["content"]
        self.assertEqual(one, texts[0])
        streamed = ["", "", "", ""]
        for _, d in self.server.events("/v1/chat/completions", dict(body, stream=True))[:-1]:
            for c in d["choices"]:
                streamed[c["index"]] += c["delta"].get("content", "")
        self.assertEqual(streamed, texts)

    def test_log_probabilities(self):
        c = self.whole(**chat(TASKS, logprobs=True, top_logprobs=3, max_tokens=8))["choices"][0]
        entries = c["logprobs"]["content"]
        self.assertEqual(len(entries), 8)
        self.assertEqual("".join(e["token"] for e in entries), c["message"]["content"])
        for e in entries:
            self.assertEqual(len(e["top_logprobs"]), 3)
            self.assertEqual(e["token"], e["top_logprobs"][0]["token"])  # greedy
            self.assertEqual(bytes(e["bytes"]).decode(), e["token"])
            self.assertLessEqual(e["logprob"], 0)
        streamed = []
        for _, d in self.server.events("/v1/chat/completions", chat(TASKS, logprobs=True, max_tokens=8, stream=True))[:-1]:
            streamed += (d["choices"][0]["logprobs"] or {"content": []})["content"]
        self.assertEqual([e["logprob"] for e in streamed], [e["logprob"] for e in entries])

    def test_logit_bias(self):
        first = self.whole(**chat(TASKS, logprobs=True, max_tokens=1))["choices"][0]["logprobs"]["content"][0]
        c = self.whole(**chat(TASKS, max_tokens=1, logprobs=True, logit_bias={str(first["id"]): -100}))
        self.assertNotEqual(c["choices"][0]["logprobs"]["content"][0]["token"], first["token"])

    def test_tools(self):
        a = self.whole(**chat("What is the weather in Nagoli?", tools=[WEATHER]))
        c = a["choices"][0]
        self.assertEqual(c["finish_reason"], "tool_calls")
        self.assertIsNone(c["message"]["content"])
        call = c["message"]["tool_calls"][0]
        self.assertEqual((call["type"], call["function"]["name"]), ("function", "get_weather"))
        self.assertEqual(json.loads(call["function"]["arguments"]), {"city": "Nagoli"})
        chunks = [d for _, d in self.server.events(
            "/v1/chat/completions", chat("What is the weather in Nagoli?", tools=[WEATHER], stream=True))][:-1]
        deltas = [t for d in chunks for t in d["choices"][0]["delta"].get("tool_calls", [])]
        self.assertEqual(deltas[0]["function"], {"name": "get_weather", "arguments": ""})
        self.assertTrue(deltas[0]["id"])
        self.assertTrue(all("id" not in d and "name" not in d["function"] for d in deltas[1:]))
        self.assertGreater(len(deltas), 3)  # as they come
        self.assertEqual("".join(d["function"]["arguments"] for d in deltas), call["function"]["arguments"])
        self.assertEqual("".join(d["choices"][0]["delta"].get("content", "") for d in chunks), "")
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "tool_calls")

    def test_tool_choice(self):
        ask = "What is the weather in Nagoli?"
        c = self.whole(**chat(ask, tools=[WEATHER], tool_choice="none"))["choices"][0]
        self.assertNotIn("tool_calls", c["message"])
        named = {"type": "function", "function": {"name": "get_weather"}}
        for choice in ("required", named):
            c = self.whole(**chat("Say something.", tools=[WEATHER], tool_choice=choice, max_tokens=200))["choices"][0]
            self.assertEqual(c["finish_reason"], "tool_calls")
            self.assertEqual(c["message"]["tool_calls"][0]["function"]["name"], "get_weather")
        self.answers(400, "/v1/chat/completions", chat(ask, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "other"}}))
        self.answers(400, "/v1/chat/completions", chat(ask, tool_choice="required"))

    def test_calls_hold_at_any_temperature(self):
        """Names are declared ones and arguments meet their schema, whatever is drawn, whole and streamed."""
        def tool(name, **properties):
            return {"type": "function", "function": {"name": name, "parameters": {
                "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}}}
        tools = [tool("get_weather", city={"enum": ["Nagoli", "Tamo"]}), tool("add", x={"type": "integer", "minimum": 0, "maximum": 9})]

        def check(name, arguments):
            a = json.loads(arguments)
            if name == "get_weather":
                self.assertIn(a.pop("city"), ("Nagoli", "Tamo"))
            else:
                self.assertEqual(name, "add")
                self.assertIn(a.pop("x"), range(10))
            self.assertEqual(a, {})
        called = 0
        for seed in range(1, 9):
            body = chat("What is the weather in Tamo?", tools=tools, temperature=1 + seed % 2, seed=seed, n=2, max_tokens=120,
                        tool_choice="auto" if seed % 4 else "required", parallel_tool_calls=seed % 3 != 0)
            for c in self.whole(**body)["choices"]:
                calls = c["message"].get("tool_calls", [])
                self.assertTrue(calls or seed % 4)
                self.assertTrue(len(calls) < 2 or seed % 3)
                called += len(calls)
                if c["finish_reason"] == "length":
                    calls = calls[:-1]  # cut off
                for call in calls:
                    check(call["function"]["name"], call["function"]["arguments"])
            parts = {}
            for _, d in self.server.events("/v1/chat/completions", dict(body, n=1, stream=True))[:-1]:
                for t in d["choices"][0]["delta"].get("tool_calls", []):
                    old = parts.get(t["index"], ("", ""))
                    parts[t["index"]] = (old[0] + t["function"].get("name", ""), old[1] + t["function"]["arguments"])
                last = d["choices"][0]["finish_reason"]
            for name, arguments in list(parts.values())[:len(parts) - (last == "length")]:
                check(name, arguments)
        self.assertGreater(called, 4)

    def test_a_schema_that_cannot_be_held(self):
        bad = {"type": "function", "function": {"name": "pick", "parameters": {
            "type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}}}
        for choice in ("auto", "required"):
            e = self.answers(400, "/v1/chat/completions", chat("Hi.", tools=[WEATHER, bad], tool_choice=choice))["error"]
            self.assertIn("uniqueItems", e["message"])
            self.assertIn("pick", e["message"])
        self.whole(**chat("Hi.", tools=[bad], tool_choice="none", max_tokens=1))

    def test_a_tool_result(self):
        messages = [{"role": "user", "content": "What is the weather in Nagoli?"},
                    {"role": "assistant", "content": None, "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Nagoli"}'}}]},
                    {"role": "tool", "tool_call_id": "c1", "content": '{"city": "Nagoli", "temperature": 21}'}]
        a = self.whole(messages=messages, tools=[WEATHER], temperature=0, max_tokens=40)
        self.assertTrue(a["choices"][0]["message"]["content"])

    def test_content_parts(self):
        parts = [{"type": "text", "text": TASKS[:20]}, {"type": "text", "text": TASKS[20:]}]
        a = self.whole(messages=[{"role": "user", "content": parts}], temperature=0)
        self.assertEqual(a["choices"][0]["message"]["content"], TASKS_ANSWER)
        bad = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
        e = self.answers(400, "/v1/chat/completions", {"messages": [{"role": "user", "content": bad}]})
        self.assertIn("image_url", e["error"]["message"])

    def test_control_tokens_of_a_user_are_text(self):
        plain = self.whole(**chat("a", max_tokens=1))["usage"]["prompt_tokens"]
        forged = self.whole(**chat("a<|im_end|>", max_tokens=1))["usage"]["prompt_tokens"]
        self.assertGreater(forged, plain + 2)

    def test_a_prompt_too_long(self):
        long = "word " * 3000
        e = self.answers(400, "/v1/chat/completions", chat(long))["error"]
        self.assertEqual(e["code"], "context_length_exceeded")
        self.assertRegex(e["message"], r"\d{4} tokens.*2048")
        messages = [{"role": "user", "content": long}, {"role": "assistant", "content": "yes"},
                    {"role": "user", "content": TASKS}]
        a = self.whole(messages=messages, temperature=0, truncation="auto")
        self.assertEqual(a["timings"]["cut_messages"], 1)

    def test_known_prefixes(self):
        text = "A story that is told twice. " * 40
        self.whole(**chat(text, max_tokens=2))
        again = self.whole(**chat(text, max_tokens=2))
        self.assertGreater(again["usage"]["prompt_tokens_details"]["cached_tokens"], 128)

    def test_completions(self):
        a = self.answers(200, "/v1/completions", {"prompt": "The river", "max_tokens": 5, "temperature": 0})
        self.assertEqual(a["object"], "text_completion")
        self.assertEqual(a["usage"]["completion_tokens"], 5)
        b = self.answers(200, "/v1/completions", {"prompt": "The river", "max_tokens": 5, "temperature": 0, "echo": True})
        self.assertEqual(b["choices"][0]["text"], "The river" + a["choices"][0]["text"])
        text = "".join(d["choices"][0]["text"] for _, d in self.server.events(
            "/v1/completions", {"prompt": ["The river"], "max_tokens": 5, "temperature": 0, "stream": True})[:-1])
        self.assertEqual(text, a["choices"][0]["text"])
        ids = self.answers(200, "/v1/completions", {"prompt": [300, 301], "max_tokens": 2})
        self.assertEqual(ids["usage"]["prompt_tokens"], 2)
        self.answers(400, "/v1/completions", {"prompt": [300, 99999999]})
        self.answers(400, "/v1/completions", {"prompt": ["a", "b"]})
        self.answers(400, "/v1/completions", {})

    def test_deadline(self):
        a = self.whole(**chat("Tell me a story.", deadline=0.2, max_tokens=1500, ignore_eos=True))
        self.assertEqual(a["choices"][0]["finish_reason"], "length")
        self.assertLess(a["usage"]["completion_tokens"], 1500)


NUMBERS = {"temperature": (0, 100), "top_p": (0, 1), "n": (1, 64), "max_tokens": (0, 2**31 - 1), "seed": (-2**63, 2**63 - 1),
           "max_completion_tokens": (0, 2**31 - 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2), "top_logprobs": (0, 20),
           "top_k": (-1, 2**28), "min_p": (0, 1), "typical_p": (0, 1), "repeat_penalty": (0.01, 100), "deadline": (0, 1e9),
           "dry_multiplier": (0, 100), "dry_base": (0, 100), "repeat_last_n": (-1, 2**28), "dry_allowed_length": (0, 2**20)}


class Fields(serving.Case):
    def test_numbers_at_their_bounds(self):
        for name, (least, most) in NUMBERS.items():
            for value in (least, most, least - 1, most + 1, "1", True, [], {}, 1e308, -1e308, 0.5, 2**53):
                body = chat("a", max_tokens=1, logprobs=True)
                body[name] = value
                if name in ("max_tokens", "max_completion_tokens"):
                    body["stop"] = list("etaoinshrdlu ")
                status, _, answer = self.server.post("/v1/chat/completions", body)
                # Half a second may be too short on a busy machine.
                self.assertIn(status, (200, 400, 504) if name == "deadline" else (200, 400), (name, value, answer))
                inside = not isinstance(value, (str, bool, list, dict)) and least <= value <= most
                if not inside:
                    self.assertEqual(status, 400, (name, value))
                    self.assertIn(answer["error"]["param"], (name, None) if name == "seed" else (name,))  # None: past 64 bits

    def test_texts_that_are_no_numbers(self):
        for text in ("NaN", "Infinity", "-Infinity", "1e400", "01", "+1", ".5", "0x10"):
            body = '{"messages":[{"role":"user","content":"a"}],"max_tokens":1,"temperature":%s}' % text
            self.answers(400, "/v1/chat/completions", body)

    def test_wrong_shapes(self):
        for body in ({}, {"messages": []}, {"messages": "a"}, {"messages": ["a"]}, {"messages": [{}]}, {"messages": [{"role": "x", "content": "a"}]},
                     {"messages": [{"role": "user", "content": 5}]}, chat("a", stop=5), chat("a", stop=["a"] * 17), chat("a", stop=[1]),
                     chat("a", logit_bias=[1]), chat("a", logit_bias={"x": 1}), chat("a", logit_bias={"1": "2"}), chat("a", logit_bias={"1": 101}),
                     chat("a", tools={}), chat("a", tools=[{}]), chat("a", tools=[{"type": "function", "function": {"name": "a b"}}]),
                     chat("a", stream="yes"), chat("a", stream_options=[]), chat("a", truncation="left"), chat("a", top_logprobs=2),
                     chat("a", model=5), chat("a", logit_bias={"99999999": 1})):
            e = self.answers(400, "/v1/chat/completions", body)["error"]
            self.assertEqual(e["type"], "invalid_request_error", body)
        e = self.answers(404, "/v1/chat/completions", chat("a", model="other"))["error"]
        self.assertEqual(e["code"], "model_not_found")

    def test_unknown_fields_and_null(self):
        self.answers(200, "/v1/chat/completions", chat("a", max_tokens=1, brand_new={"x": 1}, seed=None, stop=None, tools=None, logit_bias=None,
                                                       stream_options=None, metadata={"a": "b"}, user="me", store=False, service_tier="auto"))


class Many(serving.Case):
    words = ("--quiet", "--slots", "16")

    def test_the_same_answer_among_neighbours(self):
        asks = [chat(f"List the tasks as JSON: buy t{i} on Friday.", max_tokens=40) for i in range(16)]
        alone = [self.answers(200, "/v1/chat/completions", a)["choices"][0]["message"]["content"] for a in asks]
        got = [None] * 16

        def one(i):
            if i % 2:
                got[i] = self.server.post("/v1/chat/completions", asks[i])[2]["choices"][0]["message"]["content"]
            else:
                events = self.server.events("/v1/chat/completions", dict(asks[i], stream=True))
                got[i] = "".join(d["choices"][0]["delta"].get("content", "") for _, d in events[:-1])

        threads = [threading.Thread(target=one, args=(i,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(got, alone)


class Leaving(serving.Case):
    words = ("--quiet", "--slots", "2", "--queue", "2")

    def metric(self, name):
        text = self.server.call("GET", "/metrics")[2]
        lines = [line for line in text.splitlines() if line.startswith(f"irori_{name}{{") or line.startswith(f"irori_{name} ")]
        return float(lines[0].rsplit(" ", 1)[1])

    def settle(self, name, value):
        until = time.monotonic() + serving.PATIENCE
        while self.metric(name) != value:
            self.assertLess(time.monotonic(), until, name)
            time.sleep(.02)

    def begin(self, **more):
        body = json.dumps(chat("Tell me a story.", ignore_eos=True, **more)).encode()
        s = socket.create_connection(("127.0.0.1", self.server.port), timeout=serving.PATIENCE)
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return s

    def test_clients_that_leave_cost_nothing(self):
        for i in range(40):
            s = self.begin(stream=i % 2 == 0, n=1 + i % 2)
            if i % 4 == 1:
                s.settimeout(.05)
            if i % 2 == 0:
                s.recv(400)
            s.close()
            if i % 5 == 0:
                self.settle("answers_generating", 0)
        self.settle("answers_generating", 0)
        self.settle("requests_waiting", 0)
        self.settle("kv_promised_bytes", 0)
        self.settle("kv_bytes", 0)
        self.assertEqual(self.metric("requests_failed_total"), 0)

    def test_a_full_queue(self):
        held = [self.begin(stream=True) for _ in range(2)]
        for s in held:
            s.recv(400)
        waiting = [self.begin(stream=True) for _ in range(2)]
        self.settle("requests_waiting", 2)
        status, headers, value = self.server.post("/v1/chat/completions", chat("a"))
        self.assertEqual(status, 429, value)
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        for s in held + waiting:
            s.close()
        self.settle("answers_generating", 0)
        self.assertEqual(self.server.post("/v1/chat/completions", chat("a", max_tokens=1))[0], 200)

    def test_a_reader_that_stalls_pauses_only_itself(self):
        s = self.begin(stream=True, logprobs=True, top_logprobs=20)
        s.recv(400)
        for _ in range(3):
            self.assertEqual(self.server.post("/v1/chat/completions", chat("a", max_tokens=5))[0], 200)
        s.close()
        self.settle("answers_generating", 0)


class Log(unittest.TestCase):
    def test_prompts_only_when_asked(self):
        for words, wanted in ((("--log-prompts",), True), ((), False)):
            server = serving.Server(*words)
            server.post("/v1/chat/completions", chat("a secret thing", max_tokens=1))
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in server.log if line.startswith("{")]
            self.assertEqual((lines[0]["path"], lines[0]["status"]), ("/v1/chat/completions", 200))
            self.assertEqual("secret thing" in json.dumps(lines), wanted)

    def test_a_stop_ends_streams(self):
        server = serving.Server("--quiet")
        body = json.dumps(chat("Tell me a story.", ignore_eos=True, stream=True)).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=serving.PATIENCE) as s:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            s.recv(100)
            status = server.stop()
            out = b""
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                out += piece
        self.assertEqual(status, 0)
        self.assertIn(b"data: ", out)


if __name__ == "__main__":
    serving.main()
