"""irori info."""
import cli


class Info(cli.Case):
    def test_json(self):
        r = self.json("info", cli.MODEL)
        for key in ("path", "version", "bytes", "hash", "architecture", "quantization", "parameters", "metadata", "tensors"):
            self.assertIn(key, r)
        self.assertEqual((r["path"], r["quantization"]), (cli.MODEL, "F16"))
        self.assertEqual(r["metadata"]["general.architecture"], r["architecture"])
        elements = 0
        for t in r["tensors"]:
            n = 1
            for d in t["shape"]:
                n *= d
            elements += n
        self.assertEqual(elements, r["parameters"])

    def test_text(self):
        out, _ = self.irori("info", cli.MODEL)
        self.assertIn("architecture", out)
        self.assertIn("token_embd.weight", out)
        self.assertNotIn("\033", out)
        self.assertLess(max(map(len, out.splitlines())), 180)


if __name__ == "__main__":
    cli.main()
