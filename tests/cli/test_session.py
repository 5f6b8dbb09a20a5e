"""irori run --session and --prompt-cache when the program is killed while it writes: the old file or the new one, and the answer
of a run that nobody disturbed."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

import cli

TOLD = "Remember these codes.\nThe code of boka-mirune is 4182.\nThe code of dufa-selopi is 7359.\n"
ASKED = "Question: what is the code of {}? Answer:"
LINES = 60


class Session(cli.Case):
    def setUp(self):
        super().setUp()
        text = (cli.SOURCE / "tests" / "data" / "held" / "tanaka_en_test.txt").read_text().splitlines()
        filler = "\n".join(x for x in text if x)
        self.prompt = TOLD + "\n".join(filler.splitlines()[:LINES]) + "\n"
        self.kept = self.folder / "kept"
        self.kept.mkdir()

    def words(self, prompt, *more):
        # Guesses depend on how long steps take, and which attention pages have seen depends on them.
        return ("run", cli.MODEL, "--raw", "--temp", "0", "-n", "6", "--threads", "1", "--no-guess", "--prompt", prompt, *more)

    def with_session(self, path, name, policy=("staged,mode=none,least=0", "25%")):
        return self.words(ASKED.format(name), "--session", str(path), "--kv", policy[0], "--kv-budget", policy[1])

    def limited(self, words, most):
        """Runs until a file would get longer than `most` bytes: the system then ends the program in the middle of a write."""
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        r = subprocess.run([cli.IRORI, *words], capture_output=True, timeout=cli.PATIENCE, preexec_fn=limit)
        self.assertEqual(r.returncode, -signal.SIGXFSZ, r.stderr)

    def killed_when(self, words, ready, later=0.0):
        """Runs until so many seconds after ready(pid), or to its end, then SIGKILL."""
        p = subprocess.Popen([cli.IRORI, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + cli.PATIENCE
        while p.poll() is None and not ready(p.pid):
            self.assertLess(time.monotonic(), end)
        time.sleep(later)
        p.kill()
        self.assertIn(p.wait(), (0, -signal.SIGKILL))

    def writes_here(self, pid):
        """Whether the process has a file of the folder open that it writes to, with a name or without."""
        try:
            return any(os.readlink(f).startswith(f"{self.kept}/") for f in pathlib.Path(f"/proc/{pid}/fd").iterdir())
        except OSError:  # closed meanwhile
            return False

    def left(self):
        return sorted(x.name for x in self.kept.iterdir())

    def test_killed_while_it_saves(self):
        path, first, second = self.kept / "s", "boka-mirune", "dufa-selopi"
        self.irori(*self.words(self.prompt, "--session", str(path), "--kv", "staged,mode=none,least=0", "--kv-budget", "25%"))
        old = path.read_bytes()
        answer, _ = self.irori(*self.with_session(path, first))
        new = path.read_bytes()
        self.assertNotEqual(old, new)
        after_new, _ = self.irori(*self.with_session(path, second))
        path.write_bytes(old)
        after_old, _ = self.irori(*self.with_session(path, second))
        self.assertTrue(answer.strip() and after_old.strip())
        for most in (0, 4096, len(old) // 2, len(new) - 1):
            path.write_bytes(old)
            self.limited(self.with_session(path, first), most)
            self.assertEqual(path.read_bytes(), old)
            self.assertEqual(self.irori(*self.with_session(path, first))[0], answer)
            self.assertEqual(path.read_bytes(), new)
        for i in range(8):
            path.write_bytes(old)
            self.killed_when(self.with_session(path, first), self.writes_here, i * 0.001)
            whole = path.read_bytes()
            self.assertIn(whole, (old, new))
            said, _ = self.irori(*self.with_session(path, second))
            self.assertEqual(said, after_new if whole == new else after_old)

    def test_damaged(self):
        path = self.kept / "s"
        self.irori(*self.words(self.prompt, "--session", str(path)))
        whole = path.read_bytes()
        for data in (whole[:-1], whole[:len(whole) // 2], b"", whole[:5000] + b"?" + whole[5001:]):
            path.write_bytes(data)
            self.fails(*self.words("more", "--session", str(path)), says="damaged or cut short")
            self.assertEqual(path.read_bytes(), data)

    def test_killed_while_it_keeps_a_prompt(self):
        words = self.words(self.prompt + ASKED.format("boka-mirune"), "--prompt-cache", str(self.kept))
        answer, _ = self.irori(*words)
        whole = {x.name: x.read_bytes() for x in self.kept.iterdir()}
        self.assertGreater(len(whole), 8)
        self.assertEqual(self.irori(*words)[0], answer)
        for wanted in (1, 3, 6):
            shutil.rmtree(self.kept)
            self.kept.mkdir()
            self.killed_when(words, lambda pid: len(self.left()) >= wanted)
            for name in self.left():
                if name in whole:  # the others were on their way
                    self.assertEqual((self.kept / name).read_bytes(), whole[name])
            self.assertEqual(self.irori(*words)[0], answer)
            self.assertLessEqual(set(whole), set(self.left()))
        for x in self.kept.iterdir():
            x.write_bytes(x.read_bytes()[:-100])
        self.assertEqual(self.irori(*words)[0], answer)  # run again, and kept again
        self.assertEqual({x.name: x.read_bytes() for x in self.kept.iterdir()}, whole)


if __name__ == "__main__":
    cli.main()
