"""What the tests of the server share: one `irori serve` a test program, plain HTTP and raw sockets to it."""
import atexit
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

IRORI = os.environ.get("IRORI", "build/release/irori")
PACED = os.environ.get("IRORI_PACED", str(pathlib.Path(IRORI).parent / "tests" / "server" / "server_paced"))
SOURCE = pathlib.Path(os.environ.get("IRORI_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
DATA = pathlib.Path(os.environ.get("IRORI_DATA_DIR", SOURCE.parent / "shared" / "data"))
MODEL = str(SOURCE / "models" / "irori-tiny-f16.gguf")
DRAFT = str(SOURCE / "models" / "irori-tiny-draft-f16.gguf")
NAME = "irori-tiny-f16"
PATIENCE = float(os.environ.get("CLI_PATIENCE", 60))


class Server:
    """A running server; `log` gathers its lines."""

    def __init__(self, *words, models=(MODEL,), env=None, pace=0):
        """`pace`: the stand-in of paced.c gives each answer that many words a second, in place of a model's."""
        self.home = tempfile.TemporaryDirectory()
        environment = {**os.environ, "XDG_STATE_HOME": self.home.name, "XDG_DATA_HOME": self.home.name, **(env or {})}
        usual = [IRORI, "serve", *models, "--port", "0", "--threads", "2", "--no-pin", *words]
        self.process = subprocess.Popen(
            [PACED, *models, str(pace)] if pace else usual,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment)
        atexit.register(self.process.kill)  # a test that failed leaves no server behind, for which CTest would wait
        self.log, self.port, self.scheme = [], None, "http"
        ready = threading.Event()

        def read():
            for line in self.process.stderr:
                self.log.append(line.rstrip("\n"))
                found = re.search(r"serving on (https?)://.*:(\d+)$", line.strip())
                if found:
                    self.scheme, self.port = found.group(1), int(found.group(2))
                    ready.set()
            ready.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        if not ready.wait(PATIENCE) or not self.port:
            self.process.kill()
            self.stop()
            raise RuntimeError(f"the server did not start: {self.log}")

    def stop(self, sig=signal.SIGTERM):
        """Ends it; gives the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stderr.close()
        self.home.cleanup()
        return status

    def call(self, method, path, body=None, headers=None):
        """(status, headers, parsed JSON or text)."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        c.request(method, path, body=data, headers=headers or {})
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        is_json = r.headers.get("Content-Type", "").startswith("application/json")
        return r.status, r.headers, json.loads(text) if is_json and text else text

    def post(self, path, body, **more):
        return self.call("POST", path, body, **more)

    def raw(self, data, wait=True):
        """Sends bytes as they are; gives all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as s:
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            out = b""
            while wait:
                try:
                    piece = s.recv(65536)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                out += piece
            return out

    def events(self, path, body):
        """The events of a stream: (event name or None, parsed data)."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        c.request("POST", path, body=json.dumps(body))
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        if r.status != 200:
            raise AssertionError(f"{r.status}: {text}")
        out = []
        for block in filter(None, text.split("\n\n")):
            name, data = None, None
            for line in block.split("\n"):
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data = line[6:] if line == "data: [DONE]" else json.loads(line[6:])
            out.append((name, data))
        return out

    def lines(self, path, body):
        """The objects of an NDJSON stream."""
        status, headers, text = self.post(path, body)
        if status != 200 or isinstance(text, dict):
            raise AssertionError(f"{status}: {text}")
        return [json.loads(line) for line in text.splitlines()]


class Case(unittest.TestCase):
    """Tests that share one server; `words` are its options."""
    words = ("--quiet",)
    models = (MODEL,)

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.words, models=cls.models)
        cls.addClassCleanup(cls.end)

    @classmethod
    def end(cls):
        status = cls.server.stop()
        if status != 0:
            raise AssertionError(f"the server ended with {status}: {cls.server.log[-5:]}")

    def answers(self, status, path, body, method="POST", **more):
        got, headers, value = self.server.call(method, path, body, **more)
        self.assertEqual(got, status, value)
        return value


def chat(text, **more):
    return dict({"model": NAME, "messages": [{"role": "user", "content": text}], "temperature": 0}, **more)


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
