"""Every route against numbers at and past their bounds, and against bodies that are no JSON or no request: nothing is
ever the server's failure."""
import unittest

import serving
from serving import NAME

USER = [{"role": "user", "content": "a"}]
SAMPLING = {"temperature": (0, 100), "top_p": (0, 1), "top_k": (-1, 2**28), "min_p": (0, 1), "typical_p": (0, 1), "seed": (-2**63, 2**63 - 1),
            "repeat_penalty": (.01, 100), "repetition_penalty": (.01, 100), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2),
            "repeat_last_n": (-1, 2**28), "dry_multiplier": (0, 100), "dry_base": (0, 100), "dry_allowed_length": (0, 2**20), "deadline": (0, 1e9)}
COUNT = 2**31 - 1
EMBEDDER, RANKER = "ruri", "bge-reranker"

# Path: a body that is answered, its numeric fields with their bounds. "a.b": b in the object a.
ROUTES = {
    "/v1/chat/completions": ({"messages": USER, "max_tokens": 1, "logprobs": True},
                             dict(SAMPLING, n=(1, 64), max_tokens=(0, COUNT), max_completion_tokens=(0, COUNT), top_logprobs=(0, 20))),
    "/v1/completions": ({"prompt": "a", "max_tokens": 1}, dict(SAMPLING, n=(1, 64), max_tokens=(0, COUNT), logprobs=(0, 20), best_of=(1, 64))),
    "/v1/chat/completions/input_tokens": ({"messages": USER}, SAMPLING),
    "/v1/responses": ({"input": "a", "max_output_tokens": 1}, dict(SAMPLING, max_output_tokens=(1, COUNT))),
    "/v1/messages": ({"messages": USER, "max_tokens": 1}, dict(SAMPLING, max_tokens=(1, COUNT))),
    "/v1/messages/count_tokens": ({"messages": USER}, {}),
    "/api/chat": ({"model": NAME, "messages": USER, "stream": False, "options": {"num_predict": 1}},
                  {"top_logprobs": (0, 20), "options.num_predict": (-2, COUNT), **{"options." + k: v for k, v in SAMPLING.items() if k != "deadline"}}),
    "/api/generate": ({"model": NAME, "prompt": "a", "stream": False, "options": {"num_predict": 1}},
                      {"top_logprobs": (0, 20), "options.num_predict": (-2, COUNT), "options.temperature": (0, 100), "options.seed": (-2**63, 2**63 - 1)}),
    "/completion": ({"prompt": "a", "n_predict": 1}, dict(SAMPLING, n=(1, 64), max_tokens=(-1, COUNT), n_predict=(-1, COUNT), n_probs=(0, 20))),
    "/infill": ({"input_prefix": "a", "n_predict": 1}, dict(n_predict=(-1, COUNT), n=(1, 64))),
    "/tokenize": ({"content": "a"}, {}),
    "/detokenize": ({"tokens": [1]}, {}),
    "/apply-template": ({"messages": USER}, SAMPLING),
    "/api/show": ({"model": NAME}, {}),
    "/v1/embeddings": ({"model": EMBEDDER, "input": "a"}, {"dimensions": (1, 2**20)}),
    "/api/embed": ({"model": EMBEDDER, "input": "a"}, {"dimensions": (1, 2**20)}),
    "/api/embeddings": ({"model": EMBEDDER, "prompt": "a"}, {"dimensions": (1, 2**20)}),
    "/v1/sessions": ({"model": NAME, "text": "a", "seconds": 1}, {"seconds": (1, 86400)}),
    "/v1/rerank": ({"model": RANKER, "query": "a", "documents": ["b", "c"]}, {"top_n": (1, COUNT)}),
}


def changed(body, field, value):
    outer, _, inner = field.rpartition(".")
    return dict(body, **{outer: dict(body.get(outer, {}), **{inner: value})}) if outer else dict(body, **{field: value})


class Fields(serving.Case):
    words = ("--quiet", "--ctx", "64")
    models = (serving.MODEL, *(str(serving.SOURCE / "tests" / "engine" / "data" / f"{name}.gguf") for name in (EMBEDDER, RANKER)))

    def test_numbers_at_their_bounds(self):
        for path, (body, numbers) in ROUTES.items():
            for field, (least, most) in numbers.items():
                for value in (least, most, least - 1, most + 1, "1", [], 1e308, -1e308):
                    status, _, answer = self.server.post(path, changed(body, field, value))
                    # A time of one second may be too short on a busy machine; /infill needs tokens the model has not.
                    allowed = (200, 400, 504) if field == "deadline" else (200, 400, 501) if path == "/infill" else (200, 400)
                    self.assertIn(status, allowed, (path, field, value, answer))
                    if isinstance(value, (str, list)) or not least <= value <= most:
                        self.assertEqual(status, 400, (path, field, value, answer))

    def test_numbers_that_json_does_not_know(self):
        for path, (_, numbers) in ROUTES.items():
            for field in numbers or ("model",):
                for text in ("NaN", "Infinity", "1e400", "01"):
                    self.answers(400, path, '{"%s": %s}' % (field.rpartition(".")[2], text))

    def test_other_kinds(self):
        for path, (body, _) in ROUTES.items():
            for field in body:
                for value in (None, 5, -1.5, 1e308, True, "", "\u2028", [], [[]], [None], {}, {"a": {}}):
                    status, _, answer = self.server.post(path, changed(body, field, value))
                    self.assertIn(status, (200, 400, 404, 501) if field == "model" or path == "/infill" else (200, 400), (path, field, value, answer))

    def test_the_json_test_suite(self):
        folder = serving.DATA / "eval" / "jsontestsuite"
        if not folder.is_dir():
            self.skipTest("no JSONTestSuite in the test data")
        texts = [(file.name, file.read_bytes()) for file in sorted(folder.glob("*.json"))]
        self.assertGreater(len(texts), 100)
        for k, path in enumerate(ROUTES):
            for name, text in texts[k % 3::3]:  # test_guard sends all of them to one route
                status, _, answer = self.server.call("POST", path, text)
                # Its objects are requests without anything: some routes need nothing.
                self.assertIn(status, (200, 400, 501) if path == "/infill" else (200, 400), (path, name, answer))


if __name__ == "__main__":
    serving.main()
