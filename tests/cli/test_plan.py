"""irori plan: the machine, predictions, and how they compare with a run."""
import json
import os
import pathlib
import subprocess
import tempfile

import cli


class Plan(cli.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.kept = pathlib.Path(folder.name)  # what the probe found, for all tests

    def setUp(self):
        super().setUp()
        self.use(self.kept)

    def use(self, cache):
        self.cache = cache
        self.env = {**os.environ, "XDG_CACHE_HOME": str(cache)}

    def plan(self, *words, **more):
        return self.json("plan", *words, env=self.env, **more)

    def random(self, shape, kind, name="m.gguf"):
        path = str(self.folder / name)
        subprocess.run([cli.RANDOM, shape, kind, path], check=True, timeout=cli.PATIENCE)
        return path

    def test_machine(self):
        self.use(self.folder)
        m = self.plan()
        self.assertGreaterEqual(m["processors"], 1)
        self.assertGreater(m["memory_bytes"], m["available_bytes"] // 2)
        for key in ("read_bytes_per_second", "int8_ops_per_second", "attention_keys_per_second", "step_seconds"):
            self.assertGreater(m[key], 0, key)
        files = list((self.cache / "irori").iterdir())
        self.assertEqual(len(files), 1)
        before = files[0].read_bytes()
        again = self.plan()  # from the file
        self.assertAlmostEqual(again["int8_ops_per_second"] / m["int8_ops_per_second"], 1, places=4)
        self.assertEqual(files[0].read_bytes(), before)
        files[0].write_text("version 1\ncpu another\n")  # another machine, or damaged: measured again
        self.assertGreater(self.plan()["int8_ops_per_second"], 0)
        text, _ = self.irori("plan", env=self.env)
        self.assertIn("memory", text)

    def test_model(self):
        path = self.random("qwen3-tiny,layers=2", "Q8_0")
        p = self.plan(path, "--ctx", "512")
        self.assertTrue(p["fits"])
        self.assertEqual((p["architecture"], p["quantization"], p["context"]), ("qwen3", "Q8_0", 512))
        self.assertEqual(p["needs_bytes"], sum(p["bytes"].values()))
        self.assertEqual(p["model_bytes"], os.path.getsize(path))
        self.assertEqual(list(p["context_fits"]), ["f16", "uniform:q8", "uniform:q4", "staged"])
        self.assertEqual(p["best_quantization"], "F16")
        self.assertTrue(all(s["tokens_per_second"] > 0 and s["ttft_ms"] > 0 for s in p["speed"]))
        text, _ = self.irori("plan", path, env=self.env)
        self.assertIn("tokens a second", text)

    def test_other_quantization_is_what_quantize_makes(self):
        path = self.random("llama-tiny", "Q8_0")
        for mix in ("Q4_K_M", "Q2_K"):
            out = str(self.folder / f"{mix}.gguf")
            self.irori("quantize", path, out, "--type", mix)
            p = self.plan(path, "--type", mix)
            self.assertAlmostEqual(p["model_bytes"] / os.path.getsize(out), 1, delta=0.002)
            self.assertEqual(p["bytes"]["weights"], self.plan(out)["bytes"]["weights"])

    def test_verify(self):
        """Memory within 3 %; times are only there."""
        path = self.random("llama-3.2-1b,layers=4,vocab=32000", "Q4_K_M")
        points = self.plan(path, "--verify", "--depth", "64,256")
        self.assertEqual([x["depth"] for x in points], [64, 256])
        for x in points:
            for part in ("predicted", "measured", "error"):
                self.assertEqual(list(x[part]), ["rss_bytes", "tokens_per_second", "ttft_ms"])
            for key, value in x["predicted_raw"].items():
                self.assertAlmostEqual(x["error_raw"][key], value / x["measured"][key] - 1, places=4)
            self.assertLess(abs(x["error_raw"]["rss_bytes"]), 0.03, x)
        table = (self.cache / "irori" / "plan-errors.txt").read_text()
        self.assertEqual(table.count("\n"), 6)
        p = self.plan(path)["speed"][0]  # corrected by what was missed, and the raw beside it
        self.assertEqual(p["corrections"]["tokens_per_second"], 2)
        self.assertNotEqual(p["tokens_per_second"], p["raw"]["tokens_per_second"])
        self.irori("plan", path, "--verify", "--depth", "8", env=self.env)

    def test_wrong(self):
        self.fails("plan", "no.gguf", says="no.gguf", env=self.env)
        self.fails("plan", self.file("x.gguf", "text"), says="x.gguf", env=self.env)
        self.fails("plan", cli.MODEL, "--depth", "x", status=2, says="--depth", env=self.env)
        self.fails("plan", cli.MODEL, "--type", "Q9", says="Q9", env=self.env)
        self.fails("plan", cli.MODEL, "--verify", "--depth", "0,5", status=2, says="depths of 1", env=self.env)
        self.fails("plan", cli.MODEL, "--kv", "none", says="none", env=self.env)
        self.fails("plan", "--cpu", "z80", says="z80", env=self.env)

    def test_catalogue_shapes_are_models(self):
        """Every entry loads as a model of its architecture, with as many parameters as it says."""
        models = json.loads((cli.SOURCE / "share/catalogue.json").read_text())["models"]
        self.assertEqual(len({m["name"] for m in models}), len(models))
        for m in models:
            p = self.plan(m["name"], "--type", "F16", "--tier", "W-CPU2")
            self.assertAlmostEqual(p["model_bytes"] / 2 / m["parameters"], 1, delta=0.01, msg=m["name"])
            self.assertTrue(m["source"] and m["licence"] and m["languages"], m["name"])
            self.assertIn(m["use"], ("allowed", "needs reading", "not commercial"))

    def test_says_what_a_licence_was_compared_with(self):
        for name, says in (("llama-3.1-8b", "; compared with models/llama3_1/"),
                           ("qwen2.5-7b", "(allowed; not compared)")):
            text, _ = self.irori("plan", name, "--tier", "G-24", env=self.env)
            self.assertIn(says, text)

    def test_tiers(self):
        for tier in json.loads((cli.SOURCE / "share/tiers.json").read_text())["tiers"]:
            p = self.plan("qwen3-14b", "--tier", tier["name"])
            self.assertTrue(p["prediction"])
            self.assertAlmostEqual(p["has_bytes"], tier["memory_gb"] * tier["usable"] * 1e9, delta=1)
            self.assertEqual(p["fits"], p["needs_bytes"] <= p["has_bytes"])
        self.assertFalse(self.plan("qwen3-14b", "--tier", "G-8")["fits"])
        self.assertTrue(self.plan("qwen3-14b", "--tier", "g-24")["fits"])
        self.assertEqual(self.plan("llama-3.3-70b", "--tier", "G-8")["best_quantization"], None)
        self.fails("plan", cli.MODEL, "--tier", "Z-1", status=2, says="G-24", env=self.env)

    def test_use_cases(self):
        for case in json.loads((cli.SOURCE / "share/use-cases.json").read_text())["use_cases"]:
            for profile in ("low-cost", "high-quality", "hard-limits"):
                p = self.plan("--use-case", case["name"], "--profile", profile)
                self.assertEqual(p["parts"], case["profiles"][profile])
                self.assertTrue(p["failures"])
        text, _ = self.irori("plan", "--use-case", "minutes", env=self.env)
        self.assertIn("not run by irori yet", text)
        self.fails("plan", "--use-case", "cooking", status=2, says="voice-memo", env=self.env)
        self.fails("plan", "--use-case", "code", "--profile", "best", status=2, says="hard-limits", env=self.env)

    def test_malformed_catalogues(self):
        whole = {"name": "m", "architecture": "llama", "layers": 2, "width": 64, "heads": 4, "kv_heads": 4,
                 "head_dim": 16, "ff": 128, "vocabulary": 256, "context": 512}
        good = self.file("good.json", json.dumps({"models": [whole]}))
        self.assertEqual(self.plan("m", "--catalogue", good, "--tier", "G-8")["context"], 512)
        for text in ("", "[", "[]", "{}", '{"models": 3}', '{"models": []}', '{"models": [1, null, {"name": 5}]}'):
            self.irori("plan", "m", "--catalogue", self.file("bad.json", text), status=1, env=self.env)
        for key, value in (("layers", -1), ("layers", 1e300), ("width", "wide"), ("architecture", None),
                           ("architecture", "none"), ("heads", 0), ("kv_heads", 3), ("head_dim", 17)):
            path = self.file("bad.json", json.dumps({"models": [{**whole, key: value}]}))
            self.irori("plan", "m", "--catalogue", path, "--tier", "G-8", status=1, env=self.env)
        self.fails("plan", "m", "--catalogue", "no.json", says="no.json", env=self.env)

    def test_too_big_is_refused_before_it_is_loaded(self):
        path = self.random("qwen3-tiny,context=16000000", "Q8_0")
        line = self.fails("run", path, "-p", "a", "--ctx", "15900000", says="are available", env=self.env)
        for word in ("keys and values", "--ctx", "--kv uniform:q4", "--force"):
            self.assertIn(word, line)
        self.fails("bench", path, "--depth", "15900000", says="are available", env=self.env)
        err = self.fails("run", path, "-p", "a", "--ctx", "15900000", "--force", "--kv-budget", "x", says="irori",
                         env=self.env)
        self.assertNotIn("are available", err)  # it went on, to the next mistake

    def test_nowhere_to_keep(self):
        env = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "HOME")}
        m = self.json("plan", env=env)
        self.assertGreater(m["int8_ops_per_second"], 0)


if __name__ == "__main__":
    cli.main()
