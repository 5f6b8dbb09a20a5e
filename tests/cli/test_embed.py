"""irori embed and irori rerank."""
import math

import cli

DATA = cli.SOURCE / "tests" / "engine" / "data"
RURI = str(DATA / "ruri.gguf")
RANKER = str(DATA / "bge-reranker.gguf")
LINES = "a stitch in time\n\nsaves nine\nx"


class Embed(cli.Case):
    def test_lines(self):
        r = self.json("embed", RURI, "--file", self.file("t", LINES))
        self.assertEqual(list(r), ["width", "tokens", "embeddings"])
        self.assertEqual([len(v) for v in r["embeddings"]], [32] * 3)  # the empty line is none
        for v in r["embeddings"]:
            self.assertAlmostEqual(math.fsum(x * x for x in v), 1, places=5)
        one = self.json("embed", RURI, "--text", "saves nine")
        self.assertEqual(one["embeddings"], r["embeddings"][1:2])
        out, err = self.irori("embed", RURI, stdin=LINES)
        self.assertEqual(err, "")
        plain = [[float(x) for x in line.split()] for line in out.splitlines()]
        self.assertEqual(len(plain), 3)
        self.assertLess(max(abs(a - b) for a, b in zip(plain[2], r["embeddings"][2])), 1e-7)
        few = self.json("embed", RURI, "--text", "x", "--dimensions", "4")["embeddings"][0]
        self.assertEqual(len(few), 4)

    def test_long(self):
        text = "y" * 500
        self.fails("embed", RURI, "--text", text, says="the context is 128")
        self.assertEqual(self.json("embed", RURI, "--text", text, "--truncate")["tokens"], 128)

    def test_rerank(self):
        r = self.json("rerank", RANKER, "-q", "sewing", stdin=LINES)
        scores = [d["score"] for d in r["results"]]
        self.assertEqual(sorted(scores, reverse=True), scores)
        self.assertEqual(sorted(d["line"] for d in r["results"]), [1, 3, 4])
        self.assertTrue(all(0 < s < 1 for s in scores))
        out, _ = self.irori("rerank", RANKER, "-q", "sewing", stdin=LINES)
        self.assertEqual([int(line.split()[1]) for line in out.splitlines()], [d["line"] for d in r["results"]])

    def test_misuse(self):
        self.fails("rerank", RANKER, stdin="a", status=2, says="--query is needed")
        self.fails("rerank", RURI, "-q", "a", stdin="a", says="does not rank")
        self.fails("embed", RANKER, "--text", "a", says="no embeddings")
        self.fails("embed", cli.MODEL, "--text", "a", says="no embeddings")
        self.fails("run", RURI, "-p", "a", says="embeddings")
        self.fails("embed", RURI, "--text", "a", "--dimensions", "33", says="1..32")


if __name__ == "__main__":
    cli.main()
