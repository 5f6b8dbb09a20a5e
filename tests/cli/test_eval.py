"""irori eval."""
import math

import cli

TEXT = "The fox went into the forest. It saw a bird. The bird sang a song for the fox. " * 20


class Eval(cli.Case):
    def test_json(self):
        path = self.file("text", TEXT)
        r = self.json("eval", "ppl", cli.MODEL, "--file", path, "--ctx", "64", "--threads", "1")
        self.assertAlmostEqual(r["ppl"], math.exp(r["nll"]), places=6)
        self.assertEqual(r["tokens"] % 64, 0)  # whole windows
        self.assertEqual(r["scored"], r["tokens"] // 64 * 31)
        again = self.json("eval", "ppl", cli.MODEL, "--file", "-", "--ctx", "64", "--threads", "2", stdin=TEXT)
        self.assertAlmostEqual(r["nll"], again["nll"], places=9)

    def test_text(self):
        out, err = self.irori("eval", "ppl", cli.MODEL, "--file", self.file("text", TEXT), "--ctx", "64")
        self.assertRegex(out, r"^perplexity \d+\.\d{4} ")
        self.assertEqual(err, "")

    def test_kl(self):
        path, q4 = self.file("text", TEXT), str(self.folder / "q4.gguf")
        draft = str(cli.SOURCE / "models" / "irori-tiny-draft-f16.gguf")
        words = ("--base", cli.MODEL, "--file", path, "--ctx", "64")
        same = self.json("eval", "kl", cli.MODEL, *words)
        ppl = self.json("eval", "ppl", cli.MODEL, "--file", path, "--ctx", "64")
        self.assertEqual(same["scored"], ppl["scored"])
        self.assertAlmostEqual(same["ppl"], ppl["ppl"], places=6)
        self.assertAlmostEqual(same["ppl_base"], ppl["ppl"], places=6)
        self.assertEqual((same["kl"], same["nll_difference"], same["nll_difference_error"], same["same_token"]),
                         (0, 0, 0, 1))
        self.irori("quantize", cli.MODEL, q4, "--type", "Q4_0")
        r = self.json("eval", "kl", q4, *words)
        self.assertAlmostEqual(r["nll_difference"], math.log(r["ppl"] / r["ppl_base"]), places=9)
        self.assertTrue(0 < r["kl_error"] < r["kl"], r)
        self.assertTrue(0 < r["nll_difference_error"] and 0.5 < r["same_token"] < 1, r)
        back = self.json("eval", "kl", cli.MODEL, "--base", q4, *words[2:])
        self.assertAlmostEqual(back["nll_difference"], -r["nll_difference"], places=12)
        self.assertLess(self.json("eval", "kl", q4, *words, "--chunks", "1")["scored"], r["scored"])
        out, _ = self.irori("eval", "kl", q4, *words)
        self.assertRegex(out, r"(?m)^KL +0\.\d+ \+- ")
        stories = str(cli.SOURCE / "tests" / "engine" / "data" / "gpt2.gguf")
        self.fails("eval", "kl", cli.MODEL, "--base", stories, *words[2:], says="they must be the same")
        self.fails("eval", "kl", cli.MODEL, *words[2:], status=2, says="--base is missing")
        self.fails("eval", "kl", draft, "--base", str(self.folder / "none.gguf"), *words[2:], says="none.gguf")

    def test_kv(self):
        path, plot = self.file("text", TEXT * 8), str(self.folder / "plot.svg")
        words = ("eval", "kv", cli.MODEL, "--file", path, "--ctx", "320", "--repetitions", "2")
        rows = self.json(*words, "--kv", "uniform:q8 uniform:q4 staged,least=0@30%", "--plot", plot)
        self.assertEqual([x["policy"] for x in rows], ["f16", "uniform:q8", "uniform:q4", "staged,least=0@30%"])
        f16, q8, q4, staged = rows
        self.assertEqual((f16["kl"], f16["ppl_error"], f16["mean_bits"], f16["resident_bytes"]), (0, 0, 16, f16["f16_bytes"]))
        for x in rows:
            self.assertEqual((x["context"], x["windows"], x["f16_bytes"]), (320, 2, f16["f16_bytes"]), x)
            self.assertGreater(x["tokens_per_second"], 0)
        for x in rows[1:]:
            self.assertTrue(0 < x["kl_error"] < x["kl"] < x["kl_p95"], x)
            self.assertNotEqual(x["ppl"], f16["ppl"])
        self.assertTrue(q4["mean_bits"] < q8["mean_bits"] < 16 and q8["kl"] < q4["kl"], rows)
        self.assertLess(staged["mean_bits"], q8["mean_bits"])
        again = self.json(*words, "--kv", "uniform:q4")
        self.assertEqual([x["kl"] for x in again], [0, q4["kl"]])  # whatever stands beside it
        given = self.json(*words, "--kv", "staged,least=0", "--kv-budget", "30%")
        self.assertEqual((given[1]["policy"], given[1]["kl"]), (staged["policy"], staged["kl"]))
        self.assertIn("<svg", open(plot).read())
        out, _ = self.irori(*words, "--kv", "uniform:q8")
        self.assertRegex(out, r"(?m)^uniform:q8 +\d")
        self.fails(*words, "--kv", "uniform:q9", says="q9")
        self.fails(*words, "--kv", "f16 " * 70, status=2, says="policies that a table takes")
        self.fails(*words[:-2], "--ctx", "100", status=2, says="256")

    def test_bpw(self):
        draft = str(cli.SOURCE / "models" / "irori-tiny-draft-f16.gguf")
        path, plot = self.file("text", TEXT), str(self.folder / "plot.svg")
        words = ("eval", "bpw", draft, "--file", path, "--ctx", "64", "--chunks", "1")
        r = self.json(*words, "--plot", plot)
        rows = {row["method"]: row for row in r["methods"]}
        self.assertEqual(list(rows), ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K"])
        self.assertEqual(r["scored"], 31)
        self.assertIn(r["knee"], rows)
        for row in rows.values():
            self.assertGreaterEqual(row["kl"], 0)
            self.assertGreater(row["pp"], 0)
            self.assertGreater(row["bytes"] * 8, row["bpw"])
        self.assertLess(rows["Q8_0"]["kl"], rows["Q4_K_M"]["kl"])
        self.assertLess(rows["Q4_K_M"]["kl"], rows["Q2_K"]["kl"])
        with open(plot) as f:
            self.assertEqual(f.read().count("<circle"), 8)
        self.fails("eval", "bpw", draft, says="--file", status=2)
        self.fails("eval", "bpw", draft, "--file", self.file("short", "a few words"), says="a window needs")

    def test_bad_use(self):
        self.fails("eval", "ppl", cli.MODEL, status=2, says="--file")
        self.fails("eval", "bleu", cli.MODEL, "--file", "x", status=2, says="allowed ppl, kl, bpw")
        self.fails("eval", "ppl", status=2, says="missing")
        self.fails("eval", "ppl", cli.MODEL, "--file", self.file("short", "a few words"), says="a window needs 512")
        self.fails("eval", "ppl", cli.MODEL, "--file", self.file("empty", ""), says="the text has 0 tokens")


if __name__ == "__main__":
    cli.main()
