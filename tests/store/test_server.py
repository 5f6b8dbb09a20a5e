"""irori serve over the store: models by name, Ollama's routes that change it, pulls, the audit log."""
import hashlib
import json
import os
import pathlib
import subprocess
import threading
import time
import unittest

import serving
from registry import Registry

DATA = pathlib.Path(serving.MODEL).read_bytes()
DIGEST = hashlib.sha256(DATA).hexdigest()
ASK = [{"role": "user", "content": "Tell me a story."}]


class Stored(serving.Case):
    words = ("--quiet", "--allow-private", "--allow-http")
    models = ()

    @classmethod
    def setUpClass(cls):
        import tempfile
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.registry = Registry({"tiny.gguf": DATA})
        cls.addClassCleanup(cls.registry.close)
        (cls.folder / "irori").mkdir()
        (cls.folder / "irori/registries.json").write_text(json.dumps(
            [{"name": "reg.test", "kind": "ollama", "url": cls.registry.url, "default": True}]))
        cls.env = {**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, "XDG_DATA_HOME": folder.name,
                   "XDG_CONFIG_HOME": folder.name}
        cls.irori("pull", serving.MODEL, "--as", "tiny:v1")
        cls.server = serving.Server(*cls.words, models=cls.models, env=cls.env)
        cls.addClassCleanup(cls.end)

    @classmethod
    def irori(cls, *words):
        return subprocess.run([serving.IRORI, *words], env=cls.env, check=True, capture_output=True, text=True).stdout

    def names(self):
        return sorted(m["name"] for m in self.answers(200, "/api/tags", None, "GET")["models"])

    def say(self, model, **more):
        return self.answers(200, "/api/chat", {"model": model, "messages": ASK, "stream": False, **more})["message"]["content"]

    def test_models_of_the_store(self):
        self.assertIn("tiny:v1", self.names())
        tag = [m for m in self.answers(200, "/api/tags", None, "GET")["models"] if m["name"] == "tiny:v1"][0]
        self.assertEqual(tag["digest"], DIGEST)
        self.assertTrue(self.say("tiny:v1", options={"num_predict": 5, "temperature": 0}))
        self.answers(404, "/api/chat", {"model": "tiny", "messages": ASK})

    def test_copy_and_delete(self):
        self.answers(200, "/api/copy", {"source": "tiny:v1", "destination": "twin"})
        self.assertIn("twin:latest", self.names())
        self.say("twin", options={"num_predict": 3})
        self.answers(200, "/api/delete", {"model": "twin"}, "DELETE")
        self.assertNotIn("twin:latest", self.names())
        self.answers(404, "/api/chat", {"model": "twin", "messages": ASK})
        self.answers(404, "/api/delete", {"model": "twin"}, "DELETE")
        self.answers(404, "/api/copy", {"source": "none", "destination": "x"})
        self.answers(400, "/api/copy", {"source": "tiny:v1", "destination": "../x"})
        self.answers(400, "/api/copy", {"source": "tiny:v1"})
        self.assertIn("tiny:v1", self.names())

    def test_create(self):
        made = {"model": "brief", "from": "tiny:v1", "system": "Be brief.", "parameters": {"temperature": 0, "num_predict": 9, "stop": ["zzz"]}}
        self.answers(200, "/api/create", made)
        same = self.answers(200, "/api/chat", {"model": "tiny:v1", "stream": False, "options": {"temperature": 0, "num_predict": 9},
                                               "messages": [{"role": "system", "content": "Be brief."}] + ASK})["message"]["content"]
        self.assertEqual(self.say("brief"), same)
        shown = self.answers(200, "/api/show", {"model": "brief"})
        self.assertEqual(shown["system"], "Be brief.")
        self.assertEqual(sorted(shown["parameters"].splitlines()), ["num_predict 9", 'stop "zzz"', "temperature 0"])
        openai = self.answers(200, "/v1/chat/completions", {"model": "brief", "messages": ASK, "max_tokens": 9})
        self.assertEqual(openai["choices"][0]["message"]["content"], same)
        self.assertNotEqual(self.say("brief", options={"num_predict": 3}), same)  # a request's own goes before
        again = dict(made, parameters={"num_predict": 2})
        self.answers(200, "/api/create", again)
        self.assertNotEqual(self.say("brief"), same)  # although it was open
        for change in ({"template": "x"}, {"files": {"a": "b"}}, {"quantize": "q4_0"}, {"parameters": {"top_k": "x"}},
                       {"parameters": {"messages": []}}, {"parameters": {"temperature": 1000}}, {"from": None}, {"model": "../x"}):
            self.answers(400, "/api/create", {**made, **change})
        self.answers(404, "/api/create", dict(made, **{"from": "none"}))
        self.answers(200, "/api/delete", {"model": "brief"}, "DELETE")

    def test_pull(self):
        self.answers(200, "/api/delete", {"model": "tiny:v1"}, "DELETE")  # so that there is something to fetch
        self.registry.faults = {"rate": 20_000_000}
        status, _, text = self.server.post("/api/pull", {"model": "reg.test/some/tiny:v1"})
        lines = [json.loads(line) for line in text.splitlines()]
        self.assertEqual((status, lines[0], lines[-1]), (200, {"status": "pulling manifest"}, {"status": "success"}))
        done = [line["completed"] for line in lines if "completed" in line]
        self.assertEqual((done, done[-1], {line["total"] for line in lines if "total" in line}), (sorted(done), len(DATA), {len(DATA)}))
        self.assertIn("writing manifest", [line.get("status") for line in lines])
        self.assertIn("reg.test/some/tiny:v1", self.names())
        self.answers(200, "/api/copy", {"source": "reg.test/some/tiny:v1", "destination": "tiny:v1"})
        self.assertEqual(self.answers(200, "/api/pull", {"model": "other", "stream": False}), {"status": "success"})
        for bad in ("https://127.0.0.1/x.gguf", "/etc/passwd", "", 5):
            self.answers(400, "/api/pull", {"model": bad})
        self.registry.faults = {"api_garbage": b"{"}
        lines = self.server.lines("/api/pull", {"model": "bad"})
        self.assertIn("manifest", lines[-1]["error"])
        self.registry.faults = {}

    def test_license(self):
        self.registry.files, files = {"odd.gguf": DATA.replace(b"cc-by-sa-4.0", b"cc-by-nc-4.0", 1)}, self.registry.files
        try:
            self.assertIn("licence", self.server.lines("/api/pull", {"model": "odd"})[-1]["error"])
            self.assertNotIn("odd:latest", self.names())
            self.answers(400, "/api/pull", {"model": "odd", "accept_license": "yes"})
            self.assertEqual(self.server.lines("/api/pull", {"model": "odd", "accept_license": True})[-1], {"status": "success"})
        finally:
            self.registry.files = files
        ledger = (self.folder / "irori/models/ledger.jsonl").read_text()
        self.assertIn("accept_license of a request", ledger)
        plan = self.answers(200, "/v1/plan?model=odd", None, "GET")
        self.assertEqual((plan["stored"], plan["license"], plan["use"]), (True, "cc-by-nc-4.0", "not commercial"))
        self.answers(200, "/api/delete", {"model": "odd"}, "DELETE")

    def test_push(self):
        self.assertIn("sends no models", self.answers(501, "/api/push", {"model": "tiny:v1"})["error"])


class Leaving(Stored):
    """A client that leaves, and a server that stops, end a pull at once; what came is kept."""
    test_models_of_the_store = test_copy_and_delete = test_create = test_pull = test_license = test_push = None

    def test_client_leaves(self):
        self.registry.faults = {"rate": 300_000}
        self.registry.files = {"big.gguf": DATA + b"x"}
        import http.client
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=serving.PATIENCE)
        c.request("POST", "/api/pull", body=json.dumps({"model": "big"}))
        r = c.getresponse()
        while b"completed" not in r.readline():
            pass
        r.close()
        c.close()
        partial = self.folder / "irori/models/partial"
        until = time.monotonic() + serving.PATIENCE
        before = -1
        while time.monotonic() < until and before != self.registry.bytes_sent:
            before = self.registry.bytes_sent
            time.sleep(.5)
        self.assertLess(self.registry.bytes_sent, len(DATA))
        self.assertTrue(list(partial.glob("*.journal")))
        threading.Thread(target=lambda: self.server.post("/api/pull", {"model": "big"}), daemon=True).start()
        time.sleep(.3)  # tearDownClass stops the server in the midst of it


class Audited(serving.Case):
    words = ("--quiet", "--audit", "content")

    def test_lines(self):
        self.answers(200, "/api/chat", {"model": serving.NAME, "messages": [{"role": "user", "content": "I am a@b.org"}], "stream": False,
                                        "options": {"num_predict": 4}})
        env = {**os.environ, "XDG_STATE_HOME": self.server.home.name}
        out = subprocess.run([serving.IRORI, "audit", "verify", "--json"], env=env, capture_output=True, text=True, check=True).stdout
        self.assertEqual(json.loads(out)["lines"], 2)
        log = (pathlib.Path(self.server.home.name) / "irori/audit/log.jsonl").read_text()
        asked, answered = map(json.loads, log.splitlines())
        self.assertEqual((asked["event"], asked["model"], answered["id"]), ("serve", serving.NAME, asked["id"]))
        self.assertIn("[e-mail]", asked["prompt"])
        self.assertNotIn("a@b.org", log)
        self.assertEqual(answered["completion_tokens"], 4)


class NoLog(serving.Case):
    """Where the audit log cannot be written, nothing is answered."""
    words = ("--quiet", "--audit", "on")

    def test_refused(self):
        (pathlib.Path(self.server.home.name) / "irori/audit").write_text("a file, so no folder")
        self.assertIn("audit log", self.answers(500, "/api/chat", {"model": serving.NAME, "messages": ASK})["error"])


if __name__ == "__main__":
    serving.main()
