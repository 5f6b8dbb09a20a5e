"""irori bench."""
import json

import cli

QUICK = ("--threads", "1", "-r", "2")


class Bench(cli.Case):
    def test_rows(self):
        rows = self.json("bench", cli.MODEL, "--pp", "16,8", "--tg", "4", "--depth", "0,32", "--batch", "1,3", *QUICK)
        self.assertEqual([r["test"] for r in rows],
                         ["pp16", "pp8", "tg4", "tg4@b3", "pp16@d32", "pp8@d32", "tg4@d32", "tg4@d32@b3"])
        for r in rows:
            self.assertTrue(0 < r["tokens_per_second_min"] <= r["tokens_per_second"] <= r["tokens_per_second_max"])
            self.assertGreater(r["rss_mb"], 1)
            self.assertRegex(r["model_hash"], "^[0-9a-f]{16}$")
            self.assertEqual((r["quantization"], r["threads"], r["repetitions"]), ("F16", 1, 2))
            self.assertTrue(r["version"])
            self.assertIsInstance(r["cpu_flags"], str)
            self.assertIsInstance(r["parameters"], int)

    def test_text_and_memory(self):
        out, _ = self.irori("bench", cli.MODEL, "--pp", "8", "--tg", "0", *QUICK)
        self.assertIn("pp8 ", out)
        self.assertNotIn("tg", out.split("RSS MB")[1])
        m = self.json("bench", cli.MODEL, "--memory", "--pp", "8", "--tg", "2", *QUICK)
        self.assertTrue(0 < m["activation_bytes"] <= m["activation_bytes_unshared"])
        self.assertGreater(m["kv_bytes_per_token"], 0)
        self.irori("bench", cli.MODEL, "--memory", "--pp", "8", "--tg", "2", *QUICK)

    def test_report(self):
        """JSON lines read back as what was printed; the other forms hold the same figures."""
        names = [str(self.folder / f"r.{end}") for end in ("jsonl", "md", "html")]
        for name in names:
            rows = self.json("bench", cli.MODEL, "--pp", "16", "--tg", "4", "--report", name, *QUICK)
        lines = [json.loads(line) for line in open(names[0], encoding="utf-8")]
        self.assertEqual(lines[0]["irori_report"], 1)
        self.assertEqual(lines[0]["model_hash"], rows[0]["model_hash"])
        self.assertEqual({(r["test"], r["metric"], r["n"]) for r in lines[1:]},
                         {("pp16", "tokens_per_second", 2), ("pp16", "ttft_ms", 2), ("pp16", "rss_mb", 1),
                          ("tg4", "tokens_per_second", 2), ("tg4", "token_ms", 8), ("tg4", "rss_mb", 1)})
        for r in (r for r in lines[1:] if r["n"] > 1):
            self.assertTrue(r["least"] <= r["low"] <= r["median"] <= r["high"] <= r["most"], r)
        page = open(names[2], encoding="utf-8").read()
        self.assertEqual(page.count("<circle"), 6)
        self.assertNotIn("http", page)  # nothing from outside
        self.assertEqual(open(names[1], encoding="utf-8").read().count("\n| "), 1 + 6)  # head and rows
        self.fails("bench", cli.MODEL, "--pp", "8", "--tg", "0", "--report", str(self.folder / "r.txt"), *QUICK,
                   says=".jsonl, .md or .html", out=True)
        self.fails("bench", cli.MODEL, "--pp", "8", "--tg", "0", "--report", "/proc/r.jsonl", *QUICK, says="/proc/r.jsonl",
                   out=True)

    def report(self, name, *rows):
        head = {"irori_report": 1, "model": "m", "prompt_hash": "1"}
        return self.file(name, "".join(json.dumps(r) + "\n" for r in (head, *rows)))

    def row(self, test, median, low, high, n=9, metric="tokens_per_second", better="more"):
        return {"test": test, "metric": metric, "better": better, "n": n, "median": median, "low": low, "high": high}

    def test_diff(self):
        a = self.report("a.jsonl", self.row("x", 10, 9, 11), self.row("y", 10, 9, 11), self.row("z", 10, 9, 11),
                        self.row("w", 5, 4, 6, metric="ttft_ms", better="less"), self.row("few", 1, 1, 1, n=2),
                        self.row("gone", 1, 1, 1))
        b = self.report("b.jsonl", self.row("x", 20, 19, 21), self.row("y", 10.5, 9.5, 12), self.row("z", 8, 7, 8.5),
                        self.row("w", 2, 1, 3, metric="ttft_ms", better="less"), self.row("few", 2, 2, 2, n=2),
                        self.row("new", 1, 1, 1))
        out, _ = self.irori("bench", "diff", a, b, "--json")
        self.assertEqual([(r["test"], r["verdict"]) for r in json.loads(out)],
                         [("x", "better"), ("y", "no difference shown"), ("z", "worse"), ("w", "better"),
                          ("few", "too few measurements")])
        out, _ = self.irori("bench", "diff", a, b)
        self.assertIn("only in A", out)
        self.assertIn("only in B", out)
        self.fails("bench", "diff", a, status=2, says="missing")
        self.fails("bench", "diff", a, str(self.folder / "none"), says="No such file")
        for text, says in (("", "empty"), ("{}", "line 1"), ("{\"irori_report\": 1}\n[]\n", "line 2"),
                           ("{\"irori_report\": 1}\n{\"test\": 3}\n", "line 2"), ("not JSON", "line 1")):
            self.fails("bench", "diff", self.file("bad", text), b, says=says)

    def test_full(self):
        name = str(self.folder / "full.jsonl")
        self.irori("bench", cli.MODEL, "--full", "--report", name, *QUICK)
        lines = [json.loads(line) for line in open(name, encoding="utf-8")]
        tests = [r["test"] for r in lines[1:]]
        for test in ("load@cold", "load@warm", "load@open", "pp256", "tg64@d256", "tg64@d256@b16"):
            self.assertIn(test, tests)
        self.assertNotIn("pp4096", tests)  # the model was trained for 2,048

    def test_bad_numbers(self):
        for words in (["--pp", "x"], ["--pp", "-1"], ["--tg", "4,,4"], ["--batch", "0"], ["--batch", "65"],
                      ["--depth", "99999999999999999999"], ["--pp", ",".join(["1"] * 17)]):
            self.fails("bench", cli.MODEL, *words, status=2, says=words[0])
        self.fails("bench", cli.MODEL, "--pp", "0", "--tg", "0", status=2, says="0 tests")


if __name__ == "__main__":
    cli.main()
