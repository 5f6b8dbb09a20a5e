"""Routes of irori's own that the page uses: plans, and who may change things."""

import serving
from serving import NAME


class Plan(serving.Case):
    def get(self, path, status=200):
        return self.answers(status, path, None, "GET")

    def test_machine(self):
        plan = self.get("/v1/plan")
        self.assertGreater(plan["memory_budget"], 0)
        self.assertGreaterEqual(plan["machine"]["memory_bytes"], plan["machine"]["available_bytes"])
        names = [m["name"] for m in plan["catalogue"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertIn("qwen3-0.6b", names)
        self.assertTrue(all(m["licence"] and m["use"] and m["parameters"] > 0 for m in plan["catalogue"]))

    def test_catalogue(self):
        plan = self.get("/v1/plan?catalogue=qwen3-0.6b")
        needs = [m["needs_bytes"] for m in plan["mixes"]]
        self.assertEqual([m["quantization"] for m in plan["mixes"]][:2], ["F16", "Q8_0"])
        self.assertEqual(needs, sorted(needs, reverse=True))
        for m in plan["mixes"]:
            self.assertEqual(m["fits"], m["needs_bytes"] <= m["has_bytes"])
            self.assertGreater(m["needs_bytes"], m["model_bytes"])
        self.get("/v1/plan?catalogue=none", 404)
        self.get("/v1/plan?catalogue=", 404)

    def test_model(self):
        plan = self.get(f"/v1/plan?model={NAME}")
        self.assertEqual((plan["architecture"], plan["quantization"], plan["stored"]), ("qwen3", "F16", False))
        self.assertEqual(plan["needs_bytes"], sum(plan["bytes"].values()))
        self.assertTrue(plan["fits"])
        self.assertEqual((plan["license"], plan["use"]), ("cc-by-sa-4.0", "use allowed"))
        q8 = {"model": NAME, "policy": "uniform:q8"}
        self.answers(200, "/v1/kv/policy", q8)
        self.assertLess(self.get(f"/v1/plan?model={NAME}")["bytes"]["kv"], plan["bytes"]["kv"])  # as it would be opened now
        self.answers(200, "/v1/kv/policy", {"model": NAME, "policy": "f16"})
        self.get("/v1/plan?model=none", 404)


CHANGES = (("POST", "/api/pull", {"model": "x"}), ("DELETE", "/api/delete", {"model": "x"}), ("POST", "/api/copy", {"source": "x", "destination": "y"}),
           ("POST", "/api/generate", {"model": NAME, "keep_alive": 0}), ("POST", "/v1/kv/policy", {"policy": "f16"}))


class Guarded(serving.Case):
    words = ("--quiet", "--api-key", "a key of tests")

    def test_other_pages(self):
        """A page of another place changes nothing, with the key or without; nor does who has no key."""
        key = {"Authorization": "Bearer a key of tests"}
        for method, path, body in CHANGES:
            for more in ({}, key):
                value = self.answers(403, path, body, method, headers={"Origin": "https://example.com", **more})
                self.assertIn("example.com", str(value))
            self.answers(401, path, body, method)
        self.answers(401, "/v1/plan", None, "GET")
        self.answers(200, "/v1/plan", None, "GET", headers=key)


if __name__ == "__main__":
    serving.main()
