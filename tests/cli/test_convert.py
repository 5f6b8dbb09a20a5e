"""irori convert: what a person meets; what it makes is the business of tests/convert."""
import cli


class Convert(cli.Case):
    def test_bad_use(self):
        out = str(self.folder / "out.gguf")
        self.fails("convert", str(self.folder), status=2, says="missing")
        self.fails("convert", str(self.folder), out, says="no config.json")
        self.fails("convert", str(self.folder), out, "--type", "q4_0", says="allowed f16")
        self.file("config.json", '{"model_type":"dinosaur"}')
        self.fails("convert", str(self.folder), out, says="model.safetensors")
        self.file("model.safetensors", b"\2\0\0\0\0\0\0\0{}")
        self.assertIn("qwen3_moe", self.fails("convert", str(self.folder), out, says="dinosaur"))
        self.assertFalse((self.folder / "out.gguf").exists())


if __name__ == "__main__":
    cli.main()
