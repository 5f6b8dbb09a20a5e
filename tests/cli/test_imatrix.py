"""irori imatrix, and quantize with what it wrote."""
import cli

DRAFT = str(cli.SOURCE / "models" / "irori-tiny-draft-f16.gguf")
# Prose: where a text repeats itself, the perplexity of a tiny model says little of what its weights have lost.
TEXT = (cli.SOURCE / "tests" / "data" / "held" / "wikitext2_test.txt").read_bytes()[:6000]


class Imatrix(cli.Case):
    def test_measure_and_use(self):
        text, out, small = self.file("text", TEXT), str(self.folder / "im.gguf"), str(self.folder / "small.gguf")
        said, err = self.irori("imatrix", DRAFT, "--file", text, "-o", out, "--ctx", "64")
        self.assertEqual((said, err), ("", ""))
        shapes = {t["name"]: t["shape"] for t in self.json("info", out)["tensors"]}
        for t in self.json("info", DRAFT)["tensors"]:
            if len(t["shape"]) == 2:  # every matrix was reached; the table is the head too
                self.assertEqual(shapes[t["name"] + ".in_sum2"], [t["shape"][0], 1])
                self.assertEqual(shapes[t["name"] + ".counts"], [1, 1])
        plain, ppl = str(self.folder / "plain.gguf"), {}
        self.irori("quantize", DRAFT, small, "--type", "IQ1_S", "--imatrix", out)
        self.irori("quantize", DRAFT, plain, "--type", "IQ1_S")
        for path in (small, plain):
            ppl[path] = self.json("eval", "ppl", path, "--file", text, "--ctx", "64")["ppl"]
        self.assertLess(ppl[small], ppl[plain])  # on the very text that was measured
        again = str(self.folder / "again.gguf")
        self.irori("imatrix", DRAFT, "--file", text, "-o", again, "--ctx", "64", "--threads", "1")
        with open(out, "rb") as a, open(again, "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_bad_use(self):
        text, out = self.file("text", "too short"), str(self.folder / "im.gguf")
        self.fails("imatrix", DRAFT, "-o", out, status=2, says="--file")
        self.fails("imatrix", DRAFT, "--file", text, "-o", out, says="a window needs 512")
        self.fails("imatrix", str(self.folder / "none"), "--file", text, "-o", out, says="none")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["text"])


if __name__ == "__main__":
    cli.main()
