"""Requests that can be read in two ways, too much, too slow; who may call."""
import socket
import time
import unittest

import serving

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\n"
BODY = b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1}'


def head(*lines, first=HEAD):
    return first + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


class Guard(serving.Case):
    def status(self, data):
        out = self.server.raw(data)
        self.assertTrue(out.startswith(b"HTTP/1.1 "), out)
        return int(out.split()[1])

    def test_a_plain_request_passes(self):
        length = b"Content-Length: %d" % len(BODY)
        self.assertEqual(self.status(head(b"Host: localhost", length) + BODY), 200)
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        self.assertEqual(self.status(head(b"Host: localhost", b"Transfer-Encoding: chunked") + chunked), 200)

    def test_what_does_not_pass(self):
        length = b"Content-Length: %d" % len(BODY)
        host = b"Host: localhost"
        bad = [
            head(length),
            head(host, host, length),
            head(host, length, length),
            head(host, length, b"Content-Length: 0"),
            head(host, b"Content-Length: +5"),
            head(host, b"Content-Length: 5, 5"),
            head(host, b"Content-Length: 0x10"),
            head(host, b"Content-Length: -1"),
            head(host, b"Content-Length:"),
            head(host, b"Content-Length: 9999999999999999999999"),
            head(host, length, b"Transfer-Encoding: chunked"),
            head(host, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
            head(host, b"Transfer-Encoding: gzip, chunked"),
            head(host, b"Transfer-Encoding: identity"),
            head(host, b"Transfer-Encoding : chunked"),
            head(host, b" folded: line"),
            head(host, b"X: a\x00b"),
            head(host, b"X: a\rb"),
            head(host, b"X: a\x01b"),
            head(host, b"No colon here"),
            head(host, b": no name"),
            head(host, b"N\xe4me: x"),
            head(host).replace(b"\r\n", b"\n"),
            HEAD + b"Host: localhost\nX: y\r\n\r\n",
            head(host, first=b"GET /health\r\n"),
            head(host, first=b"GET  /health HTTP/1.1\r\n"),
            head(host, first=b"GET /health HTTP/2.0\r\n"),
            head(host, first=b"GET http://localhost/health HTTP/1.1\r\n"),
            head(host, first=b"GET /a%00b HTTP/1.1\r\n"),
            head(host, first=b"G(T /health HTTP/1.1\r\n"),
            head(host, first=b"GET /h\x00 HTTP/1.1\r\n"),
            head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0\r\n"),
        ]
        for data in bad:
            self.assertEqual(self.status(data), 400, data)

    def test_bounds_of_the_head(self):
        host = b"Host: localhost"
        self.assertEqual(self.status(head(host, *[b"X-%d: y" % i for i in range(101)])), 431)
        self.assertEqual(self.status(head(host, b"X: " + b"y" * 17000)), 431)
        self.assertEqual(self.status(head(host, *[b"X-%d: y" % i for i in range(60)], first=b"GET /health HTTP/1.1\r\n")), 200)

    def test_one_request_a_connection(self):
        one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        out = self.server.raw(one + one)
        self.assertLessEqual(out.count(b"HTTP/1.1 "), 1)

    def test_a_head_in_small_pieces(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=serving.PATIENCE) as s:
            for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":
                s.send(bytes([byte]))
                time.sleep(.001)
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))

    def test_the_head_has_a_deadline(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=serving.PATIENCE) as s:
            started = time.monotonic()
            s.sendall(b"GET /health HTTP/1.1\r\nHost: ")
            self.assertIn(b" 408 ", s.recv(1000))
            self.assertGreater(time.monotonic() - started, 8)

    def test_a_body_that_is_too_large(self):
        big = 33 << 20
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=serving.PATIENCE) as s:
            s.sendall(head(b"Host: localhost", b"Content-Length: %d" % big))
            for _ in range(33):
                s.sendall(b" " * (1 << 20))
            self.assertIn(b" 413 ", s.recv(1000))

    def test_unknown_paths_and_methods(self):
        self.answers(404, "/nothing", None, "GET")
        self.answers(405, "/v1/chat/completions", None, "GET")
        self.answers(405, "/health", None, "DELETE")

    def test_bodies_that_are_no_json(self):
        for body in (b"{", b"[]", b"1", b"null", b"\xff", b'{"a":1e999}', b'{"a":NaN}', b"{}{}", b'"', b'{"a":"\\u0000"}'):
            value = self.answers(400, "/v1/chat/completions", body)
            self.assertIn("message", value["error"])

    def test_the_json_test_suite(self):
        folder = serving.DATA / "eval" / "jsontestsuite"
        if not folder.is_dir():
            self.skipTest("no JSONTestSuite in the test data")
        files = sorted(folder.glob("*.json"))
        self.assertGreater(len(files), 100)
        for file in files:
            status, _, _ = self.server.call("POST", "/v1/chat/completions", file.read_bytes())
            self.assertEqual(status, 400, file.name)  # none of them is a chat


class Access(serving.Case):
    def get(self, host=None, origin=None, path="/v1/models"):
        lines = [b"GET %s HTTP/1.1" % path.encode(), b"Host: " + (host or "localhost").encode()]
        if origin is not None:
            lines.append(b"Origin: " + origin.encode())
        out = self.server.raw(b"\r\n".join(lines) + b"\r\n\r\n")
        return int(out.split()[1]), out

    def test_hosts(self):
        for host in ("localhost", "LOCALHOST", "localhost:11434", "127.0.0.1", "127.0.0.1:80", "127.9.9.9", "[::1]",
                     "[::1]:1234", "chat.localhost", "a.b.localhost:9"):
            self.assertEqual(self.get(host)[0], 200, host)
        for host in ("example.com", "localhost.example.com", "127.0.0.1.example.com", "127.0.0.1.nip.io", "192.168.1.1",
                     "0.0.0.0", "[::]", "[::2]", "localhost:", "localhost:x", "localhost:123456", "[::1", "::1", "evil@localhost",
                     "localhost/", "xlocalhost", "localhost.", "2130706433", "127.1", "notlocalhost", "[127.0.0.1]x"):
            self.assertIn(self.get(host)[0], (403, 400) if host != "localhost:" else (200, 403), host)

    def test_origins(self):
        for origin in ("http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173",
                       "http://app.localhost", "tauri://localhost", "vscode-webview://abc", "app://obsidian.md"):
            status, out = self.get(origin=origin)
            self.assertEqual(status, 200, origin)
            self.assertIn(b"Access-Control-Allow-Origin: " + origin.encode(), out)
        for origin in ("null", "http://example.com", "https://localhost.example.com", "http://127.0.0.1.nip.io", "file://",
                       "ftp://localhost", "http://evil.com:11434", "http://localhost@evil.com", "chrome-extension://abc", "http://"):
            status, out = self.get(origin=origin)
            self.assertEqual(status, 403, origin)
            self.assertNotIn(b"Access-Control-Allow-Origin", out)

    def test_preflight(self):
        status, headers, _ = self.server.call("OPTIONS", "/v1/chat/completions", headers={
            "Origin": "http://localhost:3000", "Access-Control-Request-Headers": "x-stainless-os, authorization"})
        self.assertEqual(status, 204)
        self.assertEqual(headers["Access-Control-Allow-Headers"], "x-stainless-os, authorization")
        self.assertIn("PUT", headers["Access-Control-Allow-Methods"])
        self.assertEqual(self.server.call("OPTIONS", "/v1/models", headers={"Origin": "http://evil.com"})[0], 403)


class Key(serving.Case):
    words = ("--quiet", "--api-key", "a-secret-of-some-length", "--origins", "https://page.example")

    def test_keys(self):
        for headers, want in (({}, 401), ({"Authorization": "Bearer a-secret-of-some-length"}, 200),
                              ({"X-Api-Key": "a-secret-of-some-length"}, 200), ({"Authorization": "Bearer "}, 401),
                              ({"Authorization": "a-secret-of-some-length"}, 401),
                              ({"Authorization": "Bearer a-secret-of-some-lengtH"}, 401),
                              ({"Authorization": "Bearer a-secret-of-some-length1"}, 401)):
            self.assertEqual(self.server.call("GET", "/v1/models", headers=headers)[0], want, headers)
        self.assertEqual(self.server.call("GET", "/health")[0], 200)

    def test_listed_origins(self):
        key = {"Authorization": "Bearer a-secret-of-some-length"}
        self.assertEqual(self.server.call("GET", "/v1/models", headers=dict(key, Origin="https://page.example"))[0], 200)
        self.assertEqual(self.server.call("GET", "/v1/models", headers=dict(key, Origin="http://page.example"))[0], 403)


class Start(unittest.TestCase):
    def refuses(self, *words):
        with self.assertRaises(RuntimeError) as raised:
            serving.Server(*words, models=())
        return str(raised.exception)

    def test_refused_starts(self):
        self.assertIn("--api-key", self.refuses(serving.MODEL, "--host", "0.0.0.0"))
        self.assertIn("--api-key", self.refuses(serving.MODEL, "--host", "0.0.0.0", "--api-key", "short"))
        self.assertIn("none.gguf", self.refuses("none.gguf"))
        self.assertIn("--tls-key", self.refuses(serving.MODEL, "--tls-cert", "x"))

    def test_without_a_model(self):
        """It serves, says what to do, and answers that there is no model."""
        server = serving.Server(models=())
        self.addCleanup(server.stop)
        self.assertTrue(any("--models-dir" in line for line in server.log), server.log)
        self.assertEqual(server.call("GET", "/v1/models")[2]["data"], [])
        status, _, said = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})
        self.assertEqual(status, 404, said)


if __name__ == "__main__":
    serving.main()
