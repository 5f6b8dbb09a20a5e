"""irori quantize."""
import pathlib

import cli

DRAFT = str(cli.SOURCE / "models" / "irori-tiny-draft-f16.gguf")


class Quantize(cli.Case):
    def test_mix(self):
        out = str(self.folder / "out.gguf")
        r = self.json("quantize", DRAFT, out, "--type", "q4_k_m", "--threads", "2")
        self.assertEqual(r["bytes_out"], pathlib.Path(out).stat().st_size)
        self.assertLess(r["bpw"], 6)
        self.assertEqual(self.json("info", out)["quantization"], "Q4_K_M")
        text, _ = self.irori("run", out, "-p", "Hello", "-n", "4", "--temp", "0")
        self.assertTrue(text.strip())

    def test_target(self):
        out = str(self.folder / "out.gguf")
        said, err = self.irori("quantize", DRAFT, out, "--target-bpw", "5")
        self.assertIn("bits a weight", said)
        self.assertEqual(err, "")
        self.fails("quantize", DRAFT, out, "--target-bpw", "1", says="the least is")

    def test_bad_use(self):
        out = str(self.folder / "out.gguf")
        self.fails("quantize", DRAFT, out, status=2, says="--type")
        self.fails("quantize", DRAFT, out, "--type", "Q4_0", "--target-bpw", "4", status=2, says="one of")
        self.fails("quantize", DRAFT, status=2, says="missing")
        self.fails("quantize", DRAFT, out, "more", "--type", "Q4_0", status=2, says="too many")
        self.fails("quantize", DRAFT, out, "--type", "Q4_X", says="allowed F32")
        self.fails("quantize", DRAFT, DRAFT, "--type", "Q4_0", says="overwrite")
        self.fails("quantize", DRAFT, out, "--type", "Q4_0", "--imatrix", DRAFT, says="importance matrix")
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    cli.main()
