"""Routes of irori's own that the page uses: plans, guessing, benches, the audit log, and who may change things."""

import http.client
import json
import pathlib
import time

import serving
from serving import NAME, chat


class Plan(serving.Case):
    def get(self, path, status=200):
        return self.answers(status, path, None, "GET")

    def test_machine(self):
        plan = self.get("/v1/plan")
        self.assertGreater(plan["memory_budget"], 0)
        self.assertGreaterEqual(plan["machine"]["memory_bytes"], plan["machine"]["available_bytes"])
        names = [m["name"] for m in plan["catalogue"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn("qwen3-0.6b", names)
        self.assertTrue(all(m["licence"] and m["use"] and m["parameters"] > 0 for m in plan["catalogue"]))

    def test_catalogue(self):
        plan = self.get("/v1/plan?catalogue=qwen3-0.6b")
        needs = [m["needs_bytes"] for m in plan["mixes"]]
        self.assertEqual([m["quantization"] for m in plan["mixes"]][:2], ["F16", "Q8_0"])
        self.assertEqual(needs, sorted(needs, reverse=True))
        for m in plan["mixes"]:
            self.assertEqual(m["fits"], m["needs_bytes"] <= m["has_bytes"])
            self.assertGreater(m["needs_bytes"], m["model_bytes"])
        self.get("/v1/plan?catalogue=none", 404)
        self.get("/v1/plan?catalogue=", 404)

    def test_model(self):
        plan = self.get(f"/v1/plan?model={NAME}")
        self.assertEqual((plan["architecture"], plan["quantization"], plan["stored"]), ("qwen3", "F16", False))
        self.assertEqual(plan["needs_bytes"], sum(plan["bytes"].values()))
        self.assertTrue(plan["fits"])
        self.assertEqual((plan["license"], plan["use"]), ("cc-by-sa-4.0", "use allowed"))
        q8 = {"model": NAME, "policy": "uniform:q8"}
        self.answers(200, "/v1/kv/policy", q8)
        self.assertLess(self.get(f"/v1/plan?model={NAME}")["bytes"]["kv"], plan["bytes"]["kv"])  # as it would be opened now
        self.answers(200, "/v1/kv/policy", {"model": NAME, "policy": "f16"})
        self.get("/v1/plan?model=none", 404)


class Speculation(serving.Case):
    def ask(self):
        """An answer that repeats itself, so that there is something to guess: (text, tokens guessed)."""
        a = self.answers(200, "/v1/chat/completions", chat("Say the same again and again.", max_tokens=200, ignore_eos=True))
        return a["choices"][0]["message"]["content"], a["timings"]["draft_n"]

    def ask_until_guessed(self):
        """Whether a guess is worth its time is measured as it goes, so that not every answer has some."""
        for _ in range(50):
            text, guessed = self.ask()
            if guessed:
                return text
        self.fail("nothing was guessed in 50 answers")

    def test_switch(self):
        self.assertTrue(self.answers(200, "/v1/speculation", None, "GET")["on"])
        with_guesses = self.ask_until_guessed()
        off = self.answers(200, "/v1/speculation", {"model": NAME, "on": False})
        self.assertFalse(off["on"])
        self.assertGreater(off["guessed_tokens"], 0)
        for _ in range(3):
            self.assertEqual(self.ask(), (with_guesses, 0))
        self.answers(200, "/v1/speculation", {"on": True})
        self.assertEqual(self.ask_until_guessed(), with_guesses)
        self.assertGreater(self.answers(200, f"/v1/speculation?model={NAME}", None, "GET")["guessed_tokens"], off["guessed_tokens"])

    def test_wrong(self):
        for body in ({}, {"on": None}, {"on": 1}, {"on": "yes"}, {"on": True, "model": 5}):
            self.answers(400, "/v1/speculation", body)
        self.answers(404, "/v1/speculation", {"on": True, "model": "none"})
        self.answers(404, "/v1/speculation?model=none", None, "GET")


class NoGuess(Speculation):
    test_switch = test_wrong = None
    words = ("--quiet", "--no-guess")

    def test_switched_on(self):
        self.assertFalse(self.answers(200, "/v1/speculation", None, "GET")["on"])
        self.answers(200, "/v1/speculation", {"on": True})
        self.ask_until_guessed()


class Bench(serving.Case):
    RUN = {"prompt": 40, "generate": 16, "repetitions": 3}

    def test_runs(self):
        events = self.server.events("/v1/bench", self.RUN)
        self.assertEqual([name for name, _ in events], ["run", "run", "run", "done"])
        done = events[-1][1]
        self.assertEqual((done["model"], done["prompt"], done["generate"], done["policy"], done["speculation"]), (NAME, 40, 16, "f16", True))
        for name in ("ttft_ms", "prompt_per_second", "tokens_per_second"):
            seen = sorted(data[name] for _, data in events[:-1])
            self.assertGreater(seen[0], 0)
            self.assertAlmostEqual(done[name]["median"], seen[1], delta=1e-3 * seen[1])
            self.assertLessEqual(done[name]["low"], done[name]["high"])
        metrics = self.answers(200, "/metrics", None, "GET")
        self.assertRegex(metrics, r'irori_prompt_tokens_cached_total\{[^}]*\} 0\n')  # its tokens are new in each run

    def test_wrong(self):
        for field, values in (("prompt", (0, 8193, "x", 1.5)), ("generate", (1, 1025)), ("repetitions", (0, 31, None, True)), ("model", (5,))):
            for value in values:
                if value is not None:
                    self.answers(400, "/v1/bench", {field: value})
        self.answers(400, "/v1/bench", {"prompt": 2040, "generate": 64})
        self.answers(404, "/v1/bench", {"model": "none"})
        self.assertEqual(len(self.server.events("/v1/bench", self.RUN)), 4)  # none of these has left it taken

    def test_leaving(self):
        """One at a time; other requests come between; a client that leaves ends it at once."""
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=serving.PATIENCE)
        c.request("POST", "/v1/bench", body=json.dumps({"prompt": 1500, "generate": 500, "repetitions": 30}))
        r = c.getresponse()
        self.assertEqual(r.status, 200)
        self.answers(503, "/v1/bench", self.RUN)
        self.answers(200, "/v1/chat/completions", chat("Hello", max_tokens=4))
        r.close()
        c.close()
        until = time.monotonic() + serving.PATIENCE
        while self.server.post("/v1/bench", self.RUN)[0] == 503 and time.monotonic() < until:
            time.sleep(.05)
        self.assertLess(time.monotonic(), until)


class Stopped(serving.Case):
    def test_in_the_midst(self):
        """A server that is stopped ends it (tearDownClass looks at how the server ended)."""
        self.bench = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=serving.PATIENCE)
        self.bench.request("POST", "/v1/bench", body=json.dumps({"prompt": 1500, "generate": 500, "repetitions": 30}))
        self.assertEqual(self.bench.getresponse().status, 200)


class Log(serving.Case):
    words = ("--quiet", "--audit", "content")

    def get(self, path, status=200):
        return self.answers(status, path, None, "GET")

    def test_log(self):
        self.assertEqual((self.get("/v1/audit")["data"], self.get("/v1/audit/verify")["lines"]), ([], 0))
        for text in ("one", "two", "three"):
            self.answers(200, "/v1/chat/completions", chat(text, max_tokens=3))
        log = self.get("/v1/audit?count=4")
        self.assertEqual((log["level"], log["lines"], [line["n"] for line in log["data"]]), ("content", 6, [6, 5, 4, 3]))
        self.assertIn("three", log["data"][1]["prompt"])
        self.assertEqual(log["data"][0]["id"], log["data"][1]["id"])
        self.assertEqual([line["n"] for line in self.get("/v1/audit?before=3")["data"]], [2, 1])
        for bad in ("count=0", "count=501", "count=x", "before=0", "before=-1", "before=1.5", "count=99999999999999999999999"):
            self.get("/v1/audit?" + bad, 400)
        whole = self.get("/v1/audit/verify")
        head = f"{whole['lines']}:{whole['hash']}"
        self.assertTrue(whole["good"] and self.get("/v1/audit/verify?head=" + head)["good"])
        self.get("/v1/audit/verify?head=6", 400)

        path = pathlib.Path(self.server.home.name) / "irori/audit/log.jsonl"
        text = path.read_text()
        path.write_text(text.replace('"three', '"threw', 1))
        found = self.get("/v1/audit/verify")
        self.assertEqual((found["good"], "was changed" in found["error"] or "not fit" in found["error"]), (False, True), found)
        path.write_text(text)


class OtherLog(serving.Case):
    words = ("--quiet", "--audit", "content")

    def test_content_is_kept_back(self):
        """A server that keeps no content tells none, also of older lines."""
        self.answers(200, "/v1/chat/completions", chat("a secret", max_tokens=3))
        other = serving.Server("--quiet", env={"XDG_STATE_HOME": self.server.home.name, "IRORI_AUDIT": "off"})
        try:
            log = other.call("GET", "/v1/audit")[2]
            self.assertEqual(log["level"], "off")
            self.assertGreater(len(log["data"]), 0)
            self.assertNotIn("secret", str(log))
            self.assertTrue(all("prompt" not in line and "answer" not in line for line in log["data"]))
        finally:
            other.stop()


CHANGES = (("POST", "/api/pull", {"model": "x"}), ("DELETE", "/api/delete", {"model": "x"}), ("POST", "/api/copy", {"source": "x", "destination": "y"}),
           ("POST", "/api/generate", {"model": NAME, "keep_alive": 0}), ("POST", "/v1/kv/policy", {"policy": "f16"}), ("POST", "/v1/speculation", {"on": False}), ("POST", "/v1/bench", {}))


class Guarded(serving.Case):
    words = ("--quiet", "--api-key", "a key of tests")

    def test_other_pages(self):
        """A page of another place changes nothing, with the key or without; nor does who has no key."""
        key = {"Authorization": "Bearer a key of tests"}
        for method, path, body in CHANGES:
            for more in ({}, key):
                value = self.answers(403, path, body, method, headers={"Origin": "https://example.com", **more})
                self.assertIn("example.com", str(value))
            self.answers(401, path, body, method)
        for path in ("/v1/plan", "/v1/speculation", "/v1/audit", "/v1/audit/verify"):
            self.answers(401, path, None, "GET")
        self.answers(200, "/v1/plan", None, "GET", headers=key)


if __name__ == "__main__":
    serving.main()
