"""Bad files and bad options: one line that says what is wrong, and the right exit status."""
import signal
import subprocess

import cli


class Files(cli.Case):
    def each(self, path, says):
        text = self.file("text", "some text")
        for words in (["run", path, "-p", "x"], ["chat", path], ["info", path], ["tokenize", path, "--text", "x"],
                      ["bench", path], ["eval", "ppl", path, "--file", text]):
            self.assertIn(path, self.fails(*words, says=says))

    def test_missing(self):
        self.each(str(self.folder / "none.gguf"), "")

    def test_directory(self):
        self.each(str(self.folder), "directory")

    def test_empty(self):
        self.each(self.file("empty.gguf", b""), "")

    def test_not_gguf(self):
        self.each(self.file("other.gguf", b"PK\3\4" + bytes(200)), "GGUF")

    def test_truncated(self):
        with open(cli.MODEL, "rb") as f:
            data = f.read()
        self.each(self.file("cut.gguf", data[:len(data) // 2]), "")

    def test_prompt_files(self):
        self.fails("run", cli.MODEL, "-p", "@" + str(self.folder / "none"), says="none")
        self.fails("tokenize", cli.MODEL, "--file", str(self.folder), says="directory")
        self.fails("run", cli.MODEL, "-p", "x", "--tools", self.file("tools", "{"), says="")


class Options(cli.Case):
    def test_values(self):
        for words, says in ((["-n", "0"], "allowed whole numbers 1.."), (["-n", "1.5"], "whole"), (["-n", "x"], "whole"),
                            (["--temp", "-1"], "allowed 0..100"), (["--temp", "nan"], "allowed"), (["--top-p", "2"], "0..1"),
                            (["--seed", "abc"], "whole"), (["--seed", "-1"], "whole"), (["--threads", "0"], "1..1024"),
                            (["--ctx", "1"], "allowed"), (["--ctx"], "needs N"), (["--json=1"], "takes no value"),
                            (["--nope"], "not known"), (["-z"], "not known"), (["again"], "too many")):
            self.fails("run", cli.MODEL, "-p", "x", *words, status=2, says=says)
        for option in ("--lora", "--prompt-cache"):  # of what a server would leave out
            self.fails("serve", cli.MODEL, option, "x", status=2, says=option)

    def test_words(self):
        self.fails("run", status=2, says="MODEL is missing")
        self.fails("jog", status=2, says="jog")
        self.fails("help", "jog", status=2, says="jog")
        self.fails("completion", "csh", status=2, says="csh")
        self.fails("completion", status=2, says="missing")

    def test_cpu_and_context(self):
        self.fails("run", cli.MODEL, "-p", "x", "--cpu", "z80", says="z80")
        self.fails("run", cli.MODEL, "-p", "x", "--ctx", "1000000", says="1000000")
        self.fails("run", cli.MODEL, "-p", "word " * 100, "--ctx", "32", says="context is full")

    def test_dashes_end_options(self):
        self.fails("info", "--", "--json", says="--json")


class Interrupt(cli.Case):
    def test_while_it_answers(self):
        p = subprocess.Popen([cli.IRORI, "run", cli.MODEL, "--raw", "-p", "Once", "-n", "100000", "--ctx", "512",
                              "--threads", "1", "--temp", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(p.stdout.read(1))  # it has begun
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=cli.PATIENCE)
        self.assertIn(p.returncode, (0, 130))  # 0: it was at the end already
        self.assertEqual(err, b"")


if __name__ == "__main__":
    cli.main()
