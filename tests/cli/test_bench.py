"""irori bench."""
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

    def test_bad_numbers(self):
        for words in (["--pp", "x"], ["--pp", "-1"], ["--tg", "4,,4"], ["--batch", "0"], ["--batch", "65"],
                      ["--depth", "99999999999999999999"], ["--pp", ",".join(["1"] * 17)]):
            self.fails("bench", cli.MODEL, *words, status=2, says=words[0])
        self.fails("bench", cli.MODEL, "--pp", "0", "--tg", "0", status=2, says="0 tests")


if __name__ == "__main__":
    cli.main()
