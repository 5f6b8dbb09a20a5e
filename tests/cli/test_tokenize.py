"""irori tokenize."""
import cli


class Tokenize(cli.Case):
    def tokens(self, *words, **more):
        r = self.json("tokenize", cli.MODEL, *words, **more)
        self.assertEqual(list(r), ["tokens"])
        return r["tokens"]

    def test_sources_agree(self):
        text = "Hello, 世界!\n"
        want = self.tokens("--text", text)
        self.assertGreater(len(want), 2)
        self.assertEqual(self.tokens("--file", self.file("t", text)), want)
        self.assertEqual(self.tokens("--file", "-", stdin=text), want)
        self.assertEqual(self.tokens(stdin=text), want)
        self.assertEqual(self.tokens("--text", text, "--threads", "1", "--ctx", "64"), want)
        self.assertEqual(self.tokens("--text", ""), [])

    def test_special(self):
        text = "<|im_end|>"
        self.assertEqual(len(self.tokens("--text", text, "--special")), 1)
        self.assertGreater(len(self.tokens("--text", text)), 1)

    def test_table(self):
        out, _ = self.irori("tokenize", cli.MODEL, "--text", "Hello")
        ids = [int(line.split()[0]) for line in out.splitlines()]
        self.assertEqual(ids, self.tokens("--text", "Hello"))


if __name__ == "__main__":
    cli.main()
