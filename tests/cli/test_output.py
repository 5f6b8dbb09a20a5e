"""Where the output cannot go: a full device, a reader that left."""
import os
import subprocess
import unittest

import cli

COMMANDS = (["run", cli.MODEL, "-p", "Hello", "-n", "8"], ["run", cli.MODEL, "-p", "Hello", "-n", "8", "--json"],
            ["info", cli.MODEL], ["info", cli.MODEL, "--json"], ["tokenize", cli.MODEL, "--text", "Hello"], ["help"],
            ["help", "run"], ["run", "--help"], ["help", "--man"], ["--version"], ["completion", "bash"],
            ["bench", cli.MODEL, "--pp", "8", "--tg", "0", "-r", "1", "--json"])


class Output(cli.Case):
    def check(self, stdout):
        for words in COMMANDS:
            r = subprocess.run([cli.IRORI, *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                               timeout=cli.PATIENCE)
            self.assertEqual(r.returncode, 1, words)
            self.assertEqual(r.stderr.count(b"\n"), 1, (words, r.stderr))
            self.assertIn(b"standard output", r.stderr)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_full(self):
        with open("/dev/full", "wb") as full:
            self.check(full)

    def test_reader_gone(self):
        r, w = os.pipe()
        os.close(r)
        try:
            self.check(w)
        finally:
            os.close(w)

    def test_chat_ends(self):
        r, w = os.pipe()
        os.close(r)
        with os.fdopen(w, "wb") as gone:
            p = subprocess.run([cli.IRORI, "chat", cli.MODEL, "-n", "8"], input=b"Hello\n" * 50, stdout=gone,
                               stderr=subprocess.PIPE, timeout=cli.PATIENCE)
        self.assertEqual(p.returncode, 1)


if __name__ == "__main__":
    cli.main()
