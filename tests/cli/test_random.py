"""make-random-model: its files open, run, and are what they say."""
import math
import subprocess

import cli

TYPES = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_K_M",
         "Q5_K_M", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "MXFP4", "TQ1_0",
         "TQ2_0")


class Random(cli.Case):
    def make(self, *words, status=0):
        r = subprocess.run([cli.RANDOM, *words], capture_output=True, text=True, timeout=cli.PATIENCE)
        self.assertEqual(r.returncode, status, r.stderr)
        return r.stderr

    def test_every_type_is_finite(self):
        text = self.file("text", "the rest is there " * 12)
        few = ("F16", "Q8_0", "Q5_K_M", "MXFP4")
        for shape, types in (("qwen3-tiny", TYPES), ("llama-tiny", few), ("mixtral-tiny", few),
                             ("qwen3moe-tiny", few + ("IQ3_S",)), ("gpt-oss-tiny", few)):
            for t in types:
                path = str(self.folder / "m.gguf")
                self.make(shape, t, path)
                r = self.json("eval", "ppl", path, "--file", text, "--ctx", "64", "--threads", "1")
                self.assertTrue(math.isfinite(r["nll"]) and r["nll"] < 3 * math.log(1024), (shape, t, r))

    def test_seed(self):
        def data(name, *words):
            self.make("qwen3-tiny", "q8_0", str(self.folder / name), *words)
            return (self.folder / name).read_bytes()
        self.assertEqual(data("a"), data("b", "--seed", "1"))
        self.assertNotEqual(data("a"), data("c", "--seed", "2"))

    def test_mix(self):
        path = str(self.folder / "m.gguf")
        self.make("llama-tiny", "Q4_K_M", path)
        info = self.json("info", path)
        types = {t["name"]: t["type"] for t in info["tensors"]}
        self.assertEqual(info["quantization"], "Q4_K_M")
        self.assertEqual(types["output.weight"], "Q6_K")
        self.assertEqual(types["token_embd.weight"], "Q4_K")  # not tied: only looked up
        self.assertEqual([types[f"blk.{i}.ffn_down.weight"] for i in range(4)], ["Q4_K", "Q4_K", "Q6_K", "Q6_K"])
        self.assertEqual(types["blk.3.ffn_up.weight"], "Q4_K")

    def test_text_survives(self):
        path = str(self.folder / "m.gguf")
        self.make("qwen3-tiny", "Q8_0", path)
        ids = self.json("tokenize", path, "--text", " the ears, 東京\n")["tokens"]
        self.assertTrue(0 < len(ids) < 20)  # 21 bytes: some merged
        self.assertEqual(len(self.json("tokenize", path, "--text", "<|im_end|>", "--special")["tokens"]), 1)

    def test_bad_use(self):
        path = str(self.folder / "m.gguf")
        self.assertIn("usage", self.make(status=2))
        self.assertIn('no shape "big"', self.make("big", "Q8_0", path, status=2))
        self.assertIn('no type "Q8_K"', self.make("qwen3-tiny", "Q8_K", path, status=2))
        self.assertIn("usage", self.make("qwen3-tiny", "Q8_0", path, "--seed", "x", status=2))
        self.assertIn("none", self.make("qwen3-tiny", "Q8_0", str(self.folder / "none" / "m.gguf"), status=1))


if __name__ == "__main__":
    cli.main()
