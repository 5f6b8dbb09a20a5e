"""Guessing ahead: irori run --draft, --no-guess, irori bench spec."""
import cli

DRAFT = str(cli.SOURCE / "models" / "irori-tiny-draft-f16.gguf")
ASK = ("-p", "Repeat: the small boat left the harbour in the morning.", "--temp", "0", "-n", "60", "--json")


class Spec(cli.Case):
    def test_the_answer_is_the_same(self):
        plain = self.json("run", cli.MODEL, "--no-guess", *ASK)
        self.assertEqual(plain["guessed_tokens"], 0)
        for words in ((), ("--draft", DRAFT)):
            guessed = self.json("run", cli.MODEL, *words, *ASK)
            self.assertEqual(guessed["text"], plain["text"])
            self.assertLessEqual(guessed["accepted_tokens"], guessed["guessed_tokens"])

    def test_bench(self):
        rows = self.json("bench", "spec", cli.MODEL, "--draft", DRAFT, "-r", "1", "-n", "24", "--threads", "1")
        self.assertEqual([r["task"] for r in rows], ["extraction", "quotation", "chat", "translation", "random"])
        for r in rows:
            self.assertTrue(0 < r["ratio_min"] <= r["ratio"] <= r["ratio_max"])
            self.assertIsNone(r["formula"])
        rows = self.json("bench", "spec", cli.MODEL, "--oracle", "0.8", "-r", "1", "-n", "40", "--threads", "1")
        self.assertEqual(len(rows), 4)
        for r in rows:
            self.assertTrue(0 < r["acceptance"] <= 1 and r["formula"] > 0)
        text, _ = self.irori("bench", "spec", cli.MODEL, "-r", "1", "-n", "8", "--threads", "1")
        self.assertIn("quotation", text)

    def test_bad_drafts(self):
        self.fails("run", cli.MODEL, "--draft", "/no/such.gguf", *ASK, status=1, says="no/such.gguf")
        self.fails("run", cli.MODEL, "--draft", str(cli.SOURCE / "README.md"), *ASK, status=1, says="README.md")


if __name__ == "__main__":
    cli.main()
