"""irori plan: the machine, predictions, and how they compare with a run."""
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

    def test_nowhere_to_keep(self):
        env = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "HOME")}
        m = self.json("plan", env=env)
        self.assertGreater(m["int8_ops_per_second"], 0)


if __name__ == "__main__":
    cli.main()
