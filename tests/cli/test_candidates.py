"""irori candidates."""
import json
import pathlib
import tempfile

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

    def test_choices_are_kept_in_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            kept = pathlib.Path(folder) / "choices"
            words = ("--choices", str(kept), "--budget-ms", "1", "--axes", "refuse", "--n", "1")
            first = self.ask(*words, "--choose", "1", text="Shall we go out?")["candidates"][0]
            self.assertEqual(json.loads(kept.read_text()),
                             {"heard": "Shall we go out?", "axis": "refuse", "text": first["text"]})
            again = self.ask(*words, text="Shall we go out now?")["candidates"][0]
            self.assertEqual((again["text"], again["source"]), (first["text"], "cache"))
            kept.write_text("no JSON\n{}\n")  # lines that cannot be read are left out
            self.assertNotEqual(self.ask(*words)["candidates"][0]["source"], "cache")
            self.fails("candidates", cli.MODEL, *words, "--choose", "2", status=1, says="--choose")
        self.fails("candidates", cli.MODEL, "--choose", "1", status=2, says="--choices")

    def test_scenes_made_by_the_model(self):
        with tempfile.TemporaryDirectory() as folder:
            lines, out = pathlib.Path(folder) / "lines", pathlib.Path(folder) / "profile.json"
            lines.write_text("walk, sun: Shall we go for a walk?\nDo you like the sea?\n\n")
            self.irori("candidates", cli.MODEL, "--make-scenes", "--file", str(lines), "--seed", "4", "--output", str(out),
                       "--profile", str(VOICE / "en.json"))
            before = json.loads((VOICE / "en.json").read_text())
            made = json.loads(out.read_text())
            self.assertEqual(made["scenes"][:len(before["scenes"])], before["scenes"])
            scenes = made["scenes"][len(before["scenes"]):]
            self.assertEqual([s["cues"] for s in scenes], [["walk", "sun"], ["Do you like the sea"]])
            text = scenes[0]["replies"][0]["text"]
            r = self.ask("--profile", str(out), "--axes", scenes[0]["replies"][0]["axis"], "--n", "1", "--budget-ms", "1",
                         text="The sun is out, come on!")
            self.assertEqual((r["candidates"][0]["text"], r["candidates"][0]["source"]), (text, "scene"))
        self.fails("candidates", cli.MODEL, "--make-scenes", status=2, says="--file")

    def test_bad_words(self):
        self.fails("candidates", cli.MODEL, "--n", "1000000", status=1, says="1..8")
        self.fails("candidates", cli.MODEL, "--axes", "fly", status=1, says="fly")
        self.fails("candidates", cli.MODEL, "--axes", ",".join("a" * 17), status=2, says="16")
        self.fails("candidates", cli.MODEL, "--budget-ms", "0", status=2, says="budget-ms")
        self.fails("candidates", cli.MODEL, "--profile", cli.MODEL, status=1, says="profile")
        self.fails("candidates", cli.MODEL, "--profile", "/no/such", status=1, says="/no/such")


if __name__ == "__main__":
    cli.main()
