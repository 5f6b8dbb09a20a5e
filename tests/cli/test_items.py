"""The measures of irori eval that count what a model got right, and irori bench --url."""
import json

import cli
import openai

EMBEDDER = str(cli.SOURCE / "tests" / "engine" / "data" / "ruri.gguf")
FILLER = "The rain had stopped and the children ran into the garden.\n\nNobody knew what to say.\n" * 40


def lines(*items):
    return "".join(json.dumps(i) + "\n" for i in items)


class Items(cli.Case):
    def rows(self, *words, **more):
        return {(r["test"], r["metric"]): r for r in self.json("eval", *words, **more)}

    def test_choice(self):
        """The demo model copies: it finds the code it was told likelier than others."""
        def item(right):
            endings = ["7310.", "9034.", "1118."]
            return {"ctx": "Remember these codes.\nThe code of bala-nomi is 9034.\nQuestion: what is the code of "
                           "bala-nomi? Answer:", "endings": endings, "label": right}
        path = self.file("items.jsonl", lines(item(1), item(1), item(0), item(1)))
        rows = self.rows("choice", cli.MODEL, "--file", path)
        r = rows["HellaSwag", "accuracy"]
        self.assertEqual((r["median"], r["n"]), (0.75, 4))
        self.assertTrue(0.3 < r["low"] < 0.75 < r["high"] < 0.96)
        self.assertEqual(rows["HellaSwag", "accuracy_by_length"]["median"], 0.75)
        rows = self.rows("choice", cli.MODEL, "--file", path, "--chunks", "2", "--base", cli.MODEL)
        self.assertEqual(rows["HellaSwag", "accuracy"]["median"], 1)
        self.assertEqual(rows["HellaSwag", "retained_percent"]["median"], 100)
        whole = lines({"sentence_good": "Where do you live?", "sentence_bad": "zq xv where live??? do"})
        self.assertEqual(self.rows("choice", cli.MODEL, "--file", self.file("b.jsonl", whole))["BLiMP", "accuracy"]["median"], 1)
        self.fails("eval", "choice", cli.MODEL, "--file", self.file("bad", "{}"), says="line 1")

    def test_answers(self):
        person = {"name": "Romiko", "age": 31, "city": "Tabera", "job": "nurse"}
        asked = "Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera and works as a nurse."
        right = {"kind": "right", "prompt": asked, "answer": json.dumps(person), "schema": {"type": "object"}}
        wrong = {"kind": "wrong", "messages": [{"role": "user", "content": asked}], "answer": "no",
                 "schema": {"type": "object", "properties": {"age": {"type": "string"}}, "required": ["age"]}}
        words = {"kind": "words", "prompt": "Repeat: the children ran", "schema": {"type": "string"}}
        path, kept = self.file("items.jsonl", lines(right, wrong, words)), str(self.folder / "kept.jsonl")
        rows = self.rows("answers", cli.MODEL, "--file", path, "--output", kept, "-r", "2")
        share = {k: r["median"] for k, r in rows.items()}
        self.assertEqual((share["right", "exact"], share["right", "bleu"], share["wrong", "exact"]), (1, 100, 0))
        self.assertEqual((share["right", "json_broken"], share["right", "schema_unmet"]), (0, 0))
        self.assertEqual((share["wrong", "json_broken"], share["wrong", "schema_unmet"]), (0, 1))  # age is a number
        self.assertEqual(share["words", "json_broken"], 1)
        self.assertNotIn(("words", "exact"), share)
        self.assertEqual(share["right", "changed"], 0)
        with open(kept, encoding="utf-8") as f:
            given = [json.loads(line) for line in f]
        self.assertEqual(json.loads(given[0]["given"]), person)
        held = self.rows("answers", cli.MODEL, "--file", path, "--hold", "--seed", "5", "--temp", "1.2", "-n", "64", "-r", "2")
        self.assertEqual(held["words", "json_broken"]["median"], 0)
        self.assertEqual(held["words", "changed"]["median"], 0)  # the same seed, the same answer
        for text, says in (("{}\n", "neither"), ("[]\n", "no JSON object"), (lines({"prompt": "x", "schema": {"type": 3}}), "line 1")):
            self.fails("eval", "answers", cli.MODEL, "--file", self.file("bad", text), says=says)

    def test_recall(self):
        """Found with all keys and values; not where a window has dropped the pages that hold the facts."""
        words = ("recall", cli.MODEL, "--file", self.file("t", FILLER), "--ctx", "640", "--chunks", "4")
        rows = self.rows(*words)
        self.assertEqual({k: r["median"] for k, r in rows.items()}, {("recall@128", "accuracy"): 1, ("recall@256", "accuracy"): 1})
        lost = self.rows(*words, "--kv", "window:64")
        self.assertEqual(lost["recall@256", "accuracy"]["median"], 0)
        self.fails("eval", "recall", cli.MODEL, "--file", self.file("e", "\n\n"), says="empty")

    def test_meaning(self):
        def kept(name, *given):
            return self.file(name, lines(*({"prompt": f"p{i}", "given": g} for i, g in enumerate(given))))
        a = kept("a", "a stitch in time", "the same", "", "x")
        b = kept("b", "saves nine, they say", "the same", "something", "x")
        sheet = str(self.folder / "sheet.csv")
        rows = self.rows("meaning", EMBEDDER, "--file", a, "--base", b, "--output", sheet, "--least-likeness", "1")
        self.assertEqual(rows["meaning", "changed"]["median"], 0.5)
        self.assertEqual(rows["meaning", "likeness"]["least"], 0)
        with open(sheet, encoding="utf-8") as f:
            self.assertEqual(f.read().splitlines()[1], '0.0000,,"""p2""","","something"')
        self.fails("eval", "meaning", EMBEDDER, "--file", a, "--base", kept("c", "one"), says="must answer the same prompts")
        self.fails("eval", "meaning", EMBEDDER, "--file", a, "--base", self.file("d", "{}"), says="line 1")
        self.fails("eval", "meaning", EMBEDDER, "--file", a, status=2, says="--base")

    def test_ablation(self):
        report = str(self.folder / "r.jsonl")
        rows = self.rows("ablation", cli.MODEL, "--file", self.file("t", FILLER), "--ctx", "512", "-r", "1", "--report", report)
        value = {k: r["median"] for k, r in rows.items()}
        for test in ("off", "staged KV", "memory plan", "speculation", "all"):
            self.assertGreater(value[test, "tokens_per_second"], 0)
        self.assertLess(value["staged KV", "kv_mb"], value["off", "kv_mb"])
        self.assertLess(value["memory plan", "buffers_mb"], value["off", "buffers_mb"])
        self.assertEqual(value["speculation", "perplexity"], value["off", "perplexity"])
        self.assertEqual(value["all", "perplexity"], value["staged KV", "perplexity"])
        with open(report, encoding="utf-8") as f:
            self.assertEqual(len(f.read().splitlines()), 1 + 5 * 5)

    def test_tools(self):
        function = {"name": "math.area", "description": "d",
                    "parameters": {"type": "dict", "properties": {"base": {"type": "float"}, "unit": {"type": "string"}}}}
        def item(name):
            return {"id": name, "question": [[{"role": "user", "content": name}]], "function": [function]}
        truth = {"ground_truth": [{"math.area": {"base": [3, 4], "unit": ["", "Square Metres"]}}]}
        said = {"right": openai.calls(("math_area", {"base": 4.0})),
                "text": openai.calls(("math_area", {"base": 3, "unit": "square-metres"})),
                "value": openai.calls(("math_area", {"base": 5})), "name": openai.calls(("area", {"base": 3})),
                "more": openai.calls(("math_area", {"base": 3, "colour": 1})), "missing": openai.calls(("math_area", {"unit": ""})),
                "twice": openai.calls(("math_area", {"base": 3}), ("math_area", {"base": 3})),
                "broken": openai.calls(("math_area", "{\"base\": ")), "none": openai.calls()}
        server = openai.Server(lambda r: (200, said[r["messages"][0]["content"]]))
        path = self.file("items", lines(*map(item, said)))
        rows = self.rows("tools", "m", "--url", server.url, "--file", path,
                         "--answers", self.file("answers", lines(*[truth] * len(said))), "--api-key", "k")
        self.assertEqual(rows["tools", "accuracy"]["median"], 2 / 9)
        self.assertEqual(rows["tools", "malformed"]["median"], 1 / 9)
        route, headers, request = server.asked[0]
        self.assertEqual((route, headers["Authorization"]), ("/v1/chat/completions", "Bearer k"))
        self.assertEqual(request["tools"][0]["function"]["parameters"]["type"], "object")
        self.assertEqual(request["tools"][0]["function"]["parameters"]["properties"]["base"]["type"], "number")
        rows = self.rows("tools", "m", "--url", server.url, "--file", path)
        self.assertEqual(rows["irrelevance", "accuracy"]["median"], 1 / 9)
        self.fails("eval", "tools", cli.MODEL, "--file", path, status=2, says="--url")
        server.say = lambda r: (503, {"error": {"message": "no room"}})
        self.fails("eval", "tools", "m", "--url", server.url, "--file", path, says="503: no room")
        server.say = lambda r: (200, b"<html>")
        self.fails("eval", "tools", "m", "--url", server.url, "--file", path, says="did not answer with JSON")

    def test_url(self):
        usage = {"prompt_tokens": 21, "completion_tokens": 3}
        server = openai.Server(lambda r: (200, openai.events("a", "b", "c", usage=usage)))
        rows = {(r["test"], r["metric"]): r for r in self.json(
            "bench", "m", "--url", server.url, "--pp", "9", "--tg", "5", "--batch", "1,3", "-r", "2")}
        self.assertEqual(rows["pp21+tg5@c1", "ttft_ms"]["n"], 2)
        self.assertEqual(rows["pp21+tg5@c3", "answer_ms"]["n"], 6)
        prompts = [r["messages"][0]["content"] for _, _, r in server.asked[1:]]
        self.assertEqual((len(prompts), len(set(prompts))), (8, 8))  # no server can answer from what it has read
        self.assertTrue(all(len(p.split()) == 9 for p in prompts))
        server.say = lambda r: (200, openai.events())
        self.fails("bench", "m", "--url", server.url, says="empty")
        server.say = lambda r: (404, {"error": "no such model"})
        self.fails("bench", "m", "--url", server.url, says="404: no such model")
        self.fails("bench", "m", "--url", "ftp://x", says="allowed http")
        self.fails("bench", "m", "--url", "http://127.0.0.1:1", says="connect")


if __name__ == "__main__":
    cli.main()
