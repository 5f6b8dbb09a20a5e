"""The store's commands: a model by name wherever a file can be given, and nothing lost when something goes wrong."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import cli


class Store(cli.Case):
    def setUp(self):
        super().setUp()
        self.env = {**os.environ, "XDG_DATA_HOME": str(self.folder / "data")}
        self.env.pop("IRORI_MODELS", None)
        self.root = self.folder / "data/irori/models"

    def irori(self, *words, **more):
        return super().irori(*words, env=self.env, **more)

    def pulled(self, name="tiny"):
        self.irori("pull", cli.MODEL, "--as", name)
        return name

    def test_by_name(self):
        name = self.pulled()
        ask = ("-p", "Tell me a story.", "-n", "8", "--temp", "0")
        self.assertEqual(self.irori("run", name, *ask)[0], self.irori("run", cli.MODEL, *ask)[0])
        self.assertEqual(self.json("info", name)["architecture"], self.json("info", cli.MODEL)["architecture"])
        self.fails("run", "tini", "-p", "x", says="no model of that name")

    def test_list_and_show(self):
        self.assertEqual(self.json("list")["models"], [])
        self.assertIn("no models", self.irori("list")[1])
        self.pulled("me/tiny:v1")
        m = self.json("list")["models"][0]
        self.assertEqual((m["name"], m["bytes"]), ("me/tiny:v1", os.path.getsize(cli.MODEL)))
        shown = self.json("show", "me/tiny:v1")
        self.assertEqual(pathlib.Path(shown["path"]).read_bytes(), pathlib.Path(cli.MODEL).read_bytes())
        self.assertIn("me/tiny:v1", self.irori("list")[0])
        self.assertIn(m["digest"], self.irori("show", "me/tiny:v1")[0])

    def test_copy_and_remove(self):
        self.pulled()
        self.irori("copy", "tiny", "other:x")
        self.assertIn("0.0 MB", self.irori("rm", "tiny")[0])
        self.irori("verify", "other:x")
        self.assertIn("11.7 MB", self.irori("rm", "other:x")[0])
        self.assertEqual(list((self.root / "blobs").iterdir()), [])
        self.fails("rm", "other:x", says="other:x")
        self.fails("copy", "none", "new", says="none")
        self.fails("rm", status=2, says="--partial")

    def test_verify(self):
        self.pulled()
        self.pulled("second")
        self.assertTrue(all(m["good"] for m in self.json("verify")))
        blob = next((self.root / "blobs").iterdir())
        os.chmod(blob, 0o600)
        with open(blob, "r+b") as f:
            f.seek(-10, os.SEEK_END)
            f.write(b"0123456789")
        self.fails("verify", "tiny", says="other bytes")
        out, _ = self.irori("verify", "--json", status=1)
        self.assertEqual([m["good"] for m in json.loads(out)], [False, False])

    def test_move(self):
        self.pulled()
        target = self.folder / "disk" / "models"
        self.irori("move", str(target))
        self.assertTrue(self.root.is_symlink())
        self.irori("verify", "tiny")
        self.pulled("second")
        self.assertEqual(len(list((target / "manifests").iterdir())), 2)
        self.fails("move", str(target / "blobs"), says="into")

    def test_split(self):
        splits = self.folder / "parts"
        splits.mkdir()
        self.split(splits)
        first = splits / "tiny-00001-of-00002.gguf"
        self.irori("pull", str(first))
        shutil.rmtree(splits)
        ask = ("-p", "Tell me a story.", "-n", "8", "--temp", "0")
        self.assertEqual(self.irori("run", "tiny", *ask)[0], self.irori("run", cli.MODEL, *ask)[0])
        self.irori("move", str(self.folder / "disk"))
        self.irori("run", "tiny", *ask)
        self.irori("rm", "tiny")
        self.assertEqual(list((self.root / "splits").iterdir()), [])

    def split(self, folder):
        """Cuts the model into two files: the second has the last tensor."""
        import gguf_cut
        gguf_cut.in_two(cli.MODEL, folder / "tiny-00001-of-00002.gguf", folder / "tiny-00002-of-00002.gguf")

    def test_killed(self):
        """A kill while a file is taken in leaves no name and, after the next, no rests."""
        big = self.folder / "big.gguf"
        shutil.copy(cli.MODEL, big)
        with open(big, "ab") as f:
            f.truncate(3 << 28)  # holes: reading them takes a moment, storing them nothing
        p = subprocess.Popen([cli.IRORI, "pull", str(big)], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + cli.PATIENCE
        while time.monotonic() < until and not list(self.root.glob("partial/import-*")):
            time.sleep(.005)
        p.send_signal(signal.SIGKILL)
        self.assertEqual(p.wait(), -signal.SIGKILL)
        self.assertEqual(self.json("list")["models"], [])
        self.pulled()
        self.assertEqual(list((self.root / "partial").iterdir()), [])

    def test_full_disk(self):
        """A file that cannot be written whole is a clear error (a limit on file sizes stands for the full disk)."""
        import resource
        limit = lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)), signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.fails("pull", cli.MODEL, says="cannot be written", preexec_fn=limit)
        self.assertEqual(list((self.root / "partial").iterdir()), [])
        self.assertEqual(self.json("list")["models"], [])

    def test_doctor(self):
        out = self.json("doctor")
        self.assertEqual(out["hindrances"], 0)
        self.assertIn(str(self.root), out["store"]["folder"])
        self.assertIn("nothing", out["what leaves this machine"]["by itself"])
        self.assertIn("Nothing hinders", self.irori("doctor")[0])
        self.pulled()
        next((self.root / "blobs").iterdir()).unlink()
        out, _ = self.irori("doctor", status=1)
        self.assertIn("missing", out)

    def test_audit(self):
        """run and chat write their lines, in a chain that verifies; off unless switched on."""
        self.env["XDG_STATE_HOME"] = str(self.folder / "state")
        log = self.folder / "state/irori/audit/log.jsonl"
        self.irori("run", cli.MODEL, "-p", "Hi", "-n", "3")
        self.assertFalse(log.exists())
        self.irori("run", cli.MODEL, "-p", "Hi", "-n", "3", "--audit", "on")
        head, _ = self.irori("audit", "head")
        self.env["IRORI_AUDIT"] = "content"
        self.irori("chat", cli.MODEL, "-n", "3", stdin="call 090-1234-5678\n")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertEqual([line["event"] for line in lines], ["run", "answer", "chat", "answer"])
        self.assertNotIn("prompt", lines[0])
        self.assertEqual(lines[2]["prompt"], "call [number]")
        self.assertEqual(self.json("audit", "verify", "--head", head.strip())["lines"], 4)
        text = log.read_text()
        log.write_text(text.replace('"event":"chat"', '"event":"cat!"'))
        self.fails("audit", "verify", says="line 4")
        log.write_text("".join(text.splitlines(True)[:-1]))
        self.fails("audit", "verify", says="cut off")
        self.fails("run", cli.MODEL, "-p", "Hi", says="shorter than its head")
        self.fails("run", cli.MODEL, "-p", "Hi", "--audit", "some", says="allowed off, on and content")
        self.fails("audit", "look", status=2, says="verify or head")

    def test_names(self):
        for name in ("../x", "a/../b", "/etc/passwd", "x y", "a" * 300, "a\nb"):
            self.fails("pull", cli.MODEL, "--as", name, says="no model name")
            self.fails("rm", name, says="no model name")


if __name__ == "__main__":
    cli.main()
