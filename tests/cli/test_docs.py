"""--help, the manual page, and the shell completions."""
import re
import shutil
import subprocess
import unittest

import cli

COMMANDS = ("run", "chat", "info", "tokenize", "embed", "rerank", "bench", "plan", "candidates", "eval", "quantize", "convert", "imatrix", "serve", "pull", "list", "show", "rm", "copy", "verify", "move", "audit", "doctor", "completion", "help")


class Help(cli.Case):
    def test_every_command(self):
        everything, _ = self.irori("help")
        self.assertEqual(everything, self.irori()[0])
        self.assertEqual(everything, self.irori("--help")[0])
        for name in COMMANDS:
            self.assertRegex(everything, rf"(?m)^  {name} ")
            text, _ = self.irori("help", name)
            self.assertEqual(text, self.irori(name, "--help")[0])
            self.assertEqual(text, self.irori(name, "-h")[0])
            self.assertTrue(text.startswith(f"usage: irori {name} "))
            self.assertIn("--help", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 120)

    def test_shared_options(self):
        for name in ("run", "chat", "info", "tokenize", "bench", "eval"):
            text, _ = self.irori("help", name)
            for option in ("--threads", "--ctx") + (("--json",) if name != "chat" else ()):
                self.assertIn(option, text, name)

    def test_version(self):
        out, _ = self.irori("--version")
        self.assertRegex(out, r"^irori \d+\.\d+\.\d+\n$")
        self.assertEqual(out, self.irori("-V")[0])


class Manual(cli.Case):
    def test_sections(self):
        page, _ = self.irori("help", "--man")
        for section in ("NAME", "SYNOPSIS", "COMMANDS", "OPTIONS", "EXIT STATUS"):
            self.assertIn(f".SH {section}\n", page)

    @unittest.skipUnless(shutil.which("groff"), "no groff here")
    def test_renders_without_warnings(self):
        page, _ = self.irori("help", "--man")
        r = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page.encode(), capture_output=True, timeout=cli.PATIENCE)
        self.assertEqual((r.returncode, r.stderr), (0, b""))
        text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", r.stdout.decode())
        for name in COMMANDS:
            self.assertIn(f"irori {name}", " ".join(text.split()))
        self.assertIn("--repeat-penalty", text)


class Completion(cli.Case):
    def complete(self, *words):
        script, _ = self.irori("completion", "bash")
        line = " ".join(f"'{w}'" for w in words)
        ask = f"{script}\nCOMP_WORDS=(irori {line}); COMP_CWORD={len(words)}; _irori; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        r = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, timeout=cli.PATIENCE)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout.split()

    @unittest.skipUnless(shutil.which("bash"), "no bash here")
    def test_bash(self):
        self.assertEqual(sorted(self.complete("")), sorted(COMMANDS))
        self.assertEqual(self.complete("to"), ["tokenize"])
        self.assertEqual(self.complete("run", "m.gguf", "--te"), ["--temp"])
        self.assertEqual(self.complete("tokenize", "--sp"), ["--special"])
        self.assertEqual(self.complete("info", "--temp"), [])
        self.assertEqual(self.complete("completion", "z"), ["zsh"])
        self.assertEqual(self.complete("help", "ch"), ["chat"])
        self.assertEqual(self.complete("eval", ""), ["ppl", "kl", "bpw", "kv", "ablation", "choice", "answers", "recall",
                                                     "meaning", "tools"])
        self.assertEqual(self.complete("run", ""), [])  # the shell's own file names

    def parses(self, shell):
        script, _ = self.irori("completion", shell)
        r = subprocess.run([shell, "-n", self.file("script", script)], capture_output=True, text=True, timeout=cli.PATIENCE)
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("zsh"), "no zsh here")
    def test_zsh(self):
        self.parses("zsh")

    @unittest.skipUnless(shutil.which("fish"), "no fish here")
    def test_fish(self):
        self.parses("fish")


if __name__ == "__main__":
    cli.main()
