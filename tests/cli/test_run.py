"""irori run."""
import json

import cli

GREEDY = ("--temp", "0", "-n", "12", "--threads", "1")


class Run(cli.Case):
    def test_json_keys(self):
        r = self.json("run", cli.MODEL, "-p", "Hello", *GREEDY)
        self.assertEqual(list(r), ["text", "prompt_tokens", "completion_tokens", "ttft_ms", "tokens_per_second",
                                   "guessed_tokens", "accepted_tokens", "finish_reason"])
        self.assertGreater(r["prompt_tokens"], 5)  # the template's tokens count
        self.assertLessEqual(r["completion_tokens"], 12)
        self.assertGreater(r["ttft_ms"], 0)
        self.assertGreater(r["tokens_per_second"], 0)
        self.assertIn(r["finish_reason"], ("stop", "length"))

    def test_grammars(self):
        schema = self.file("schema", '{"type": "object", "properties": {"n": {"enum": [12, 34]}}, "required": ["n"], '
                                     '"additionalProperties": false}')
        grammar = self.file("grammar", 'root ::= "yes" | "no"')
        ask = ("run", cli.MODEL, "-p", "Hello", "-n", "100", "--threads", "1", "--seed", "3")
        self.assertIn(json.loads(self.json(*ask, "--json-schema", schema)["text"])["n"], (12, 34))
        self.assertIn(self.json(*ask, "--grammar", grammar)["text"], ("yes", "no"))
        self.assertRegex(self.json(*ask, "--regex", "[a-c]{2}-[0-9]")["text"], "^[a-c]{2}-[0-9]$")
        self.irori(*ask, "--regex", "(", status=1)
        self.irori(*ask, "--regex", "a", "--json-mode", status=1)

    def test_text_is_the_json_text(self):
        out, err = self.irori("run", cli.MODEL, "-p", "Hello", *GREEDY)
        text = self.json("run", cli.MODEL, "-p", "Hello", *GREEDY)["text"]
        self.assertEqual(out, text if text.endswith("\n") else text + "\n")
        self.assertEqual(err, "")

    def test_prompt_sources_agree(self):
        prompt = "東京はどこですか。"
        path = self.file("prompt", prompt + "\n")
        want = self.json("run", cli.MODEL, "-p", prompt, *GREEDY)["text"]
        for words, stdin in ((["-p", "@" + path], ""), (["-p", "@-"], prompt), ([], prompt + "\n"), ([], prompt)):
            self.assertEqual(self.json("run", cli.MODEL, *words, *GREEDY, stdin=stdin)["text"], want, words)

    def test_threads_do_not_matter(self):
        one = self.json("run", cli.MODEL, "-p", "A fox", *GREEDY)["text"]
        two = self.json("run", cli.MODEL, "-p", "A fox", "--temp", "0", "-n", "12", "--threads", "2", "--no-pin")["text"]
        self.assertEqual(one, two)

    def test_seed(self):
        def draw(seed):
            return self.json("run", cli.MODEL, "-p", "A story", "-n", "24", "--seed", seed, "--temp", "1.5",
                             "--threads", "1")["text"]
        self.assertEqual(draw("7"), draw("7"))
        self.assertEqual(draw("0x7"), draw("7"))
        self.assertNotEqual(draw("7"), draw("8"))

    def test_raw(self):
        raw = self.json("run", cli.MODEL, "--raw", "-p", "Once upon", *GREEDY)
        chat = self.json("run", cli.MODEL, "-p", "Once upon", *GREEDY)
        self.assertLess(raw["prompt_tokens"], chat["prompt_tokens"])
        self.fails("run", cli.MODEL, "--raw", "-p", "", says="prompt is empty")

    def test_system_and_length(self):
        with_system = self.json("run", cli.MODEL, "-s", "Be brief.", "-p", "Hello", *GREEDY)
        self.assertGreater(with_system["prompt_tokens"], self.json("run", cli.MODEL, "-p", "Hello", *GREEDY)["prompt_tokens"])
        one = self.json("run", cli.MODEL, "-p", "Hello", "-n1", "--temp=0")
        self.assertEqual((one["completion_tokens"], one["finish_reason"]), (1, "length"))


if __name__ == "__main__":
    cli.main()
