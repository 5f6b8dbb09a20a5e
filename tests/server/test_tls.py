"""The server over HTTPS, with a certificate made here: whole answers, a stream, and what is refused."""
import http.client
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile

import serving
from serving import chat

if not shutil.which("openssl"):
    print("skipped: openssl is not installed")
    sys.exit(77)

FOLDER = tempfile.TemporaryDirectory()
CERT, KEY = (str(pathlib.Path(FOLDER.name) / name) for name in ("cert.pem", "key.pem"))
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", KEY, "-out", CERT],
               check=True, capture_output=True)
TRUST = ssl.create_default_context(cafile=CERT)


class Https(serving.Case):
    words = ("--quiet", "--tls-cert", CERT, "--tls-key", KEY)

    def call(self, method, path, body=None, headers=None):
        c = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=serving.PATIENCE, context=TRUST)
        c.request(method, path, body=body and json.dumps(body), headers=headers or {})
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        return r.status, text

    def test_whole_and_streamed(self):
        self.assertEqual(self.server.scheme, "https")
        self.assertEqual(self.call("GET", "/health"), (200, '{"status":"ok"}'))
        body = chat("What is the weather?", max_tokens=12)
        status, text = self.call("POST", "/v1/chat/completions", body)
        self.assertEqual(status, 200, text)
        whole = json.loads(text)["choices"][0]["message"]["content"]
        status, text = self.call("POST", "/v1/chat/completions", dict(body, stream=True))
        self.assertEqual(status, 200, text)
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        self.assertEqual(events[-1], "[DONE]")
        deltas = [json.loads(e)["choices"][0]["delta"] for e in events[:-1]]
        self.assertGreater(len(deltas), 3)
        self.assertEqual("".join(d.get("content", "") for d in deltas), whole)

    def test_refused(self):
        self.assertEqual(self.call("POST", "/v1/chat/completions", {"messages": 3})[0], 400)
        self.assertEqual(self.call("GET", "/health", headers={"Host": "example.com"})[0], 403)
        with self.assertRaises(ssl.SSLCertVerificationError):  # who does not trust the certificate
            c = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=serving.PATIENCE, context=ssl.create_default_context())
            c.request("GET", "/health")
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=serving.PATIENCE) as s:  # plain HTTP
            s.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            try:
                self.assertNotIn(b"200 OK", s.recv(4096))
            except ConnectionResetError:
                pass
        self.assertEqual(self.call("GET", "/health")[0], 200)


if __name__ == "__main__":
    serving.main()
