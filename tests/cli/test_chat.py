"""irori chat at a terminal (a pseudo-terminal here) and away from it."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import cli

CTRL_A, CTRL_C, CTRL_D, CTRL_R, CTRL_W, UP = b"\x01", b"\x03", b"\x04", b"\x12", b"\x17", b"\x1b[A"
ENDED = re.compile(r"\d+ tokens?\b.*first after \d+ ms[^\r\n]*\r\n")  # the line of figures under an answer


class Terminal:
    """irori chat in a pseudo-terminal of 80 columns."""

    def __init__(self, *words, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(env or {})
            os.environ["TERM"] = "xterm"
            os.execv(cli.IRORI, [cli.IRORI, "chat", cli.MODEL, "--threads", "1", *words])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.at_start = termios.tcgetattr(self.fd)
        self.seen, self.used = b"", 0  # all that came; how much of its text wait_for has given
        self.status = None

    def wait_for(self, pattern):
        """Reads up to the first match; gives the text before and with it."""
        end = time.monotonic() + cli.PATIENCE
        while True:
            text = self.seen.decode(errors="ignore")
            plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)[self.used:]
            match = re.search(pattern, plain)
            if match:
                self.used += match.end()
                return plain[:match.end()]
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} in {plain[-400:]!r}")
            try:
                block = os.read(self.fd, 65536)
            except OSError:  # the other end is closed
                block = b""
            if not block:
                raise AssertionError(f"it left before {pattern!r}: {plain[-400:]!r}")
            self.seen += block

    def send(self, data):
        os.write(self.fd, data.encode() if isinstance(data, str) else data)

    def ask(self, text):
        self.send(text + "\r")
        answer = self.wait_for(ENDED)
        self.wait_for("> $")
        return answer

    def leave(self):
        """Exit status after reading the rest."""
        end = time.monotonic() + cli.PATIENCE
        while time.monotonic() < end:
            try:
                if select.select([self.fd], [], [], 0.05)[0]:
                    self.seen += os.read(self.fd, 65536)
            except OSError:
                pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
        raise AssertionError("it does not leave")

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Chat(cli.Case):
    def open(self, *words, env=None):
        t = Terminal("--history", str(self.folder / "history"), *words, env=env)
        self.addCleanup(t.close)
        t.wait_for("> $")
        return t

    def history(self):
        return (self.folder / "history").read_text()

    def test_answer_and_leave(self):
        t = self.open("-n", "8", "--temp", "0")
        before = t.at_start
        self.assertRegex(t.ask("Hello"), r"\d+ tokens, [\d.]+ a second, first after \d+ ms")
        t.send(CTRL_D)
        self.assertEqual(t.leave(), 0)
        self.assertEqual(termios.tcgetattr(t.fd), before)  # the terminal is as it was
        self.assertIn("Hello", self.history())
        self.assertEqual((self.folder / "history").stat().st_mode & 0o77, 0)

    def test_commands(self):
        t = self.open("-n", "6", "--temp", "0")
        for line, says in (("/help", "/system TEXT"), ("/again", "nothing was asked yet"), ("/jump", 'no command "/jump"'),
                           ("/system Be brief.", "system message set"), ("/system", "no system message"),
                           ("/new ", "a new conversation")):
            t.send(line + "\r")
            self.assertIn(says, t.wait_for(r"> $") if says in line else t.wait_for(re.escape(says)))
            t.wait_for("> $")
        first, again = t.ask("A fox"), None
        t.send("/again\r")
        again = t.wait_for(ENDED)
        self.assertEqual(first.splitlines()[1], again.splitlines()[1])  # greedy: the same answer
        t.wait_for("> $")
        t.send("/quit\r")
        self.assertEqual(t.leave(), 0)

    def test_ctrl_c_stops_the_answer_only(self):
        t = self.open("-n", "2000", "--temp", "2", "--ctx", "2048")
        stopped = 0
        for _ in range(20):  # some answers end by themselves before the key arrives
            t.send("Tell me a very long story.\r")
            t.wait_for(r"story\.\r\n.*\S")  # it has begun
            t.send(CTRL_C)
            stopped += ", stopped" in t.wait_for(ENDED)
            t.wait_for("> $")
            if stopped == 2:
                break
        self.assertEqual(stopped, 2)
        t.send(CTRL_D)
        self.assertEqual(t.leave(), 0)

    def test_ctrl_c_empties_the_line(self):
        t = self.open("-n", "4", "--temp", "0")
        t.send("never sent" + CTRL_C.decode())
        t.wait_for(r"\^C\r\n> $")
        t.send(CTRL_C)
        t.wait_for(r"\^C\r\n> $")
        t.ask("sent")
        t.send(CTRL_D)
        self.assertEqual(t.leave(), 0)
        self.assertIn("sent", self.history())
        self.assertNotIn("never", self.history())

    def test_editing(self):
        t = self.open("-n", "2", "--temp", "0")
        t.send(b"two drei" + CTRL_W + b"three" + CTRL_A + b"one " + b"\x1b[1;5C\x1b[F four")
        t.ask("")
        self.assertIn("one\\040two\\040three\\040four\n", self.history())  # libedit writes a space so
        t.send(UP + b" five")
        t.ask("")
        self.assertIn("one\\040two\\040three\\040four\\040five\n", self.history())
        t.send(CTRL_R + b"two")
        t.wait_for("two")
        t.send(b"\x1b")
        t.send(CTRL_C)
        t.wait_for(r"> $")
        t.send(CTRL_D)
        self.assertEqual(t.leave(), 0)

    def test_japanese(self):
        for env in ({"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C", "LANG": "C"}):  # also where the locale says nothing
            t = self.open("-n", "12", "--temp", "0", env=env)
            t.send("日本x\x7fの空")
            shown = t.ask("")
            self.assertIn("の空", shown)
            t.send(CTRL_D)
            self.assertEqual(t.leave(), 0)
        want = self.json("run", cli.MODEL, "-p", "日本の空", "-n", "12", "--temp", "0")["text"]
        self.assertIn(want.splitlines()[0], shown)

    def test_paste_of_several_lines(self):
        t = self.open("-n", "4", "--temp", "0")
        t.send(b"\x1b[200~first\rsecond \x1b[3 third\x1b[201~ end")
        t.ask("")
        saved = self.history()
        self.assertIn("first\\012second", saved)
        self.assertIn("end\n", saved)
        t.send(CTRL_D)
        self.assertEqual(t.leave(), 0)

    def test_default_history(self):
        t = Terminal("-n", "2", env={"XDG_STATE_HOME": str(self.folder / "a" / "b")})
        self.addCleanup(t.close)
        t.wait_for("> $")
        t.ask("remember")
        t.send(CTRL_D)
        self.assertEqual(t.leave(), 0)
        self.assertIn("remember", (self.folder / "a" / "b" / "irori" / "history").read_text())

    def test_terminated_at_the_prompt(self):
        t = self.open()
        before = t.at_start
        os.kill(t.pid, signal.SIGTERM)
        self.assertEqual(t.leave(), -signal.SIGTERM)
        self.assertEqual(termios.tcgetattr(t.fd), before)


class Piped(cli.Case):
    def test_lines(self):
        out, err = self.irori("chat", cli.MODEL, "-n", "6", "--temp", "0", "--threads", "1", stdin="Hello\n\n/new\nHello")
        lines = [line for line in out.splitlines() if line]
        self.assertEqual(err, "")
        self.assertEqual(lines[0], lines[2])
        self.assertEqual(lines[1], "a new conversation")
        self.assertNotIn("\033", out)

    def test_too_long(self):
        r = subprocess.run([cli.IRORI, "chat", cli.MODEL, "-n", "2", "--ctx", "64"], input=b"word " * 200 + b"\nHi\n",
                           capture_output=True, timeout=cli.PATIENCE)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"context is full", r.stderr)
        self.assertEqual(r.stderr.count(b"\n"), 1)
        self.assertTrue(r.stdout.strip())  # the second line was answered


if __name__ == "__main__":
    cli.main()
