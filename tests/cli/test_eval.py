"""irori eval ppl."""
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

    def test_bad_use(self):
        self.fails("eval", "ppl", cli.MODEL, status=2, says="--file")
        self.fails("eval", "bleu", cli.MODEL, "--file", "x", status=2, says="allowed ppl")
        self.fails("eval", "ppl", status=2, says="missing")
        self.fails("eval", "ppl", cli.MODEL, "--file", self.file("short", "a few words"), says="a window needs 512")
        self.fails("eval", "ppl", cli.MODEL, "--file", self.file("empty", ""), says="the text has 0 tokens")


if __name__ == "__main__":
    cli.main()
