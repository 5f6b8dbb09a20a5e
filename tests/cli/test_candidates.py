"""irori candidates."""
import cli

VOICE = cli.SOURCE / "examples" / "voice"


class Candidates(cli.Case):
    def ask(self, *words, text="Would you like some tea?"):
        return self.json("candidates", cli.MODEL, "--text", text, "--json", "--threads", "1", *words)

    def test_four_replies(self):
        r = self.ask("--budget-ms", "20000", "--seed", "3")
        self.assertEqual(list(r), ["candidates", "total_ms"])
        self.assertEqual(len(r["candidates"]), 4)
        for c in r["candidates"]:
            self.assertEqual(list(c), ["text", "axis", "source", "ms"])
            self.assertTrue(c["text"].strip())
            self.assertIn(c["source"], ("model", "cache", "scene", "default"))
            self.assertLessEqual(c["ms"], r["total_ms"])
        self.assertEqual(len({c["text"] for c in r["candidates"]}), 4)

    def test_no_time(self):
        for language, text in (("en", "Would you like some tea?"), ("ja", "お茶を飲みますか？")):
            r = self.ask("--budget-ms", "1", "--profile", str(VOICE / f"{language}.json"), text=text)
            self.assertEqual(len(r["candidates"]), 4)
            self.assertIn("scene", {c["source"] for c in r["candidates"]})

    def test_number_and_axes(self):
        r = self.ask("--n", "2", "--axes", "tell,feel", "--budget-ms", "1")
        self.assertEqual([c["axis"] for c in r["candidates"]], ["tell", "feel"])
        out, _ = self.irori("candidates", cli.MODEL, "--text", "Hello", "--n", "8", "--budget-ms", "1")
        self.assertEqual(len(out.splitlines()), 8)

    def test_bad_words(self):
        self.fails("candidates", cli.MODEL, "--n", "1000000", status=1, says="1..8")
        self.fails("candidates", cli.MODEL, "--axes", "fly", status=1, says="fly")
        self.fails("candidates", cli.MODEL, "--axes", ",".join("a" * 17), status=2, says="16")
        self.fails("candidates", cli.MODEL, "--budget-ms", "0", status=2, says="budget-ms")
        self.fails("candidates", cli.MODEL, "--profile", cli.MODEL, status=1, says="profile")
        self.fails("candidates", cli.MODEL, "--profile", "/no/such", status=1, says="/no/such")


if __name__ == "__main__":
    cli.main()
