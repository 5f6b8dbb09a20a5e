"""--lora: an adapter changes what the model says, by as much as its scale; a bad one is refused in one line."""
import struct

import cli

MODEL = str(cli.SOURCE / "tests" / "engine" / "data" / "llama3.gguf")
STRING, F32 = 8, 6


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def adapter(arch="llama", name="blk.0.attn_output.weight", width=64):
    """An adapter of rank 1 for one matrix of 64 x width, in which everything is one."""
    keys = [text(k) + struct.pack("<I", STRING) + text(v) for k, v in (
        ("general.type", "adapter"), ("general.architecture", arch), ("adapter.type", "lora"))]
    keys.append(text("adapter.lora.alpha") + struct.pack("<If", F32, 0.25))
    infos, data = b"", b""
    for half, dims in (("lora_a", (width, 1)), ("lora_b", (1, 64))):
        infos += text(f"{name}.{half}") + struct.pack("<IQQIQ", 2, *dims, 0, len(data))
        data += struct.pack("<f", 1) * (dims[0] * dims[1])
        data += bytes(-len(data) % 32)
    front = b"GGUF" + struct.pack("<IQQ", 3, 2, len(keys)) + b"".join(keys) + infos
    return front + bytes(-len(front) % 32) + data


class Adapters(cli.Case):
    def ppl(self, *more):
        words = self.file("words", "A fire in the middle of the house, and a kettle over it. " * 6)
        return self.json("eval", "ppl", MODEL, "--file", words, "--ctx", "64", *more)["ppl"]

    def test_scales(self):
        a = self.file("a:b.gguf", adapter())
        plain, none, half, whole, usual = (self.ppl(*words) for words in (
            [], ["--lora", a + ":0"], ["--lora", a + ":0.5"], ["--lora", a + ":1"], ["--lora", a]))
        self.assertEqual(plain, none)
        self.assertEqual(whole, usual)
        self.assertEqual(len({plain, half, whole}), 3)

    def test_run_and_bench(self):
        a = self.file("a.gguf", adapter())
        plain, other = (self.irori("run", MODEL, "--raw", "-p", "abc", "--temp", "0", "-n", "30", *words)[0]
                        for words in ([], ["--lora", a + ":8"]))
        self.assertNotEqual(plain, other)
        self.irori("bench", MODEL, "--pp", "16", "--tg", "4", "--repetitions", "1", "--lora", a)

    def test_refused(self):
        for data, says in ((adapter("qwen3"), 'an adapter for "qwen3"; the model is "llama"'),
                           (adapter(width=32), "an adapter of another model"),
                           (adapter(name="blk.7.attn_q.weight"), "blk.7.attn_q.weight, which the model does not have"),
                           (b"GGUF", "")):
            self.fails("run", MODEL, "-p", "x", "--lora", self.file("bad.gguf", data), says=says)
        self.fails("run", MODEL, "-p", "x", "--lora", MODEL, says="not a LoRA adapter")
        self.fails("run", MODEL, "-p", "x", "--lora", "none.gguf:2", says="none.gguf")


if __name__ == "__main__":
    cli.main()
