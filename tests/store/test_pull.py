"""irori pull against a registry on this machine that stalls, lies, truncates, redirects, drops and sends garbage."""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import cli
from registry import Registry

DATA = pathlib.Path(cli.MODEL).read_bytes()
LOCAL = ("--allow-private", "--allow-http")


class Case(cli.Case):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "data/irori/models"
        self.env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k not in ("HF_TOKEN", "IRORI_MODELS")}
        self.env.update(XDG_DATA_HOME=str(self.folder / "data"), XDG_CONFIG_HOME=str(self.folder / "config"))
        self.r = self.registry({"tiny-F16.gguf": DATA})

    def registry(self, *args, **more):
        r = Registry(*args, **more)
        self.addCleanup(r.close)
        return r

    def configure(self, *lines):
        folder = self.folder / "config/irori"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "registries.json").write_text(json.dumps(lines))

    def hub(self, r=None, **more):
        self.configure({"name": "hf.co", "kind": "hub", "url": (r or self.r).url, "token_env": "HF_TOKEN", **more})

    def ollama(self, r=None):
        self.configure({"name": "reg.test", "kind": "ollama", "url": (r or self.r).url, "default": True})

    def irori(self, *words, **more):
        return super().irori(*words, env={**self.env, **more.pop("env", {})}, **more)

    def pull(self, source, *words, **more):
        return self.irori("pull", source, *LOCAL, "--piece-kb", "512", *words, **more)[0].strip()

    def refused(self, source, *words, says, **more):
        return self.fails("pull", source, *LOCAL, "--piece-kb", "512", *words, says=says, **more)

    def url(self, r=None):
        return (r or self.r).url + "/files/tiny-F16.gguf"

    def is_right(self, name):
        path = pathlib.Path(self.json("show", name)["path"])
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), hashlib.sha256(DATA).hexdigest())
        self.assertEqual(list((self.root / "partial").iterdir()), [])

    def nothing_is_there(self):
        self.assertEqual(self.json("list")["models"], [])
        self.assertEqual(list((self.root / "blobs").glob("*")), [])


class Sources(Case):
    def test_url(self):
        self.assertEqual(self.pull(self.url()), "tiny-F16:latest")
        self.is_right("tiny-F16")
        self.assertEqual(self.pull(self.url() + "?secret=1", "--as", "a/b:c"), "a/b:c")
        self.assertNotIn("secret", self.irori("show", "a/b:c")[0])

    def test_url_with_hash(self):
        good = hashlib.sha256(DATA).hexdigest()
        self.refused(self.url(), "--sha256", "0" * 64, says="SHA-256")
        self.refused(self.url(), "--sha256", "xyz", says="64 hex digits")
        self.nothing_is_there()
        self.pull(self.url(), "--sha256", good.upper())
        self.is_right("tiny-F16")

    def test_hub(self):
        self.hub()
        self.assertEqual(self.pull("hf.co/org/repo"), "hf.co/org/repo:latest")
        self.is_right("hf.co/org/repo")
        self.r.files = {"m-Q4_K_M.gguf": DATA, "m-Q4_K_S.gguf": b"x", "m-Q8_0.gguf": b"y", "mmproj-m.gguf": b"z"}
        self.pull("hf.co/org/repo:q4_k_m")
        self.pull("hf.co/org/other")
        self.is_right("hf.co/org/other")
        err = self.refused("hf.co/org/repo:Q4_K", says="m-Q4_K_M.gguf, m-Q4_K_S.gguf, m-Q8_0.gguf")
        self.assertNotIn("mmproj", err)
        self.refused("hf.co/onlyone", says="ORGANIZATION/REPOSITORY")

    def test_hub_split(self):
        import gguf_cut
        first, second = (self.folder / f"m-Q8_0-0000{i}-of-00002.gguf" for i in (1, 2))
        gguf_cut.in_two(cli.MODEL, first, second)
        self.hub()
        self.r.files = {f.name: f.read_bytes() for f in (second, first)}
        self.pull("hf.co/org/repo:Q8_0")
        self.assertEqual(self.json("show", "hf.co/org/repo:Q8_0")["files"], 2)
        ask = ("-p", "Tell me a story.", "-n", "8", "--temp", "0")
        self.assertEqual(self.irori("run", "hf.co/org/repo:Q8_0", *ask)[0], self.irori("run", cli.MODEL, *ask)[0])
        del self.r.files[second.name]
        self.refused("hf.co/org/again:Q8_0", says="lacks m-Q8_0-00002-of-00002.gguf")

    def test_ollama(self):
        self.ollama()
        self.r.system, self.r.params = b"Be brief.", b'{"temperature":0,"num_predict":7,"stop":["x"]}'
        self.assertEqual(self.pull("tiny:1b"), "tiny:1b")
        self.is_right("tiny:1b")
        self.assertIn("/v2/library/tiny/manifests/1b", [p for p, _ in self.r.seen])
        shown = self.json("show", "tiny:1b")
        self.assertEqual((shown["system"], shown["parameters"]["num_predict"]), ("Be brief.", 7))
        with_own = self.irori("run", "tiny:1b", "-p", "Tell me a story.")[0]
        self.assertEqual(with_own, self.irori("run", cli.MODEL, "-p", "Tell me a story.", "-s", "Be brief.", "--temp", "0", "-n", "7")[0])
        self.assertNotEqual(with_own, self.irori("run", "tiny:1b", "-p", "Tell me a story.", "-n", "9", "-s", "")[0])
        self.pull("reg.test/some/one:t")
        self.r.extra_layers = [self.r.small(b"a", "adapter")]
        self.refused("adapted", says="adapter")

    def test_what_is_there_is_not_fetched(self):
        self.ollama()
        self.pull("tiny")
        before = self.r.bytes_sent
        self.pull("other")
        self.assertLess(self.r.bytes_sent - before, 10000)

    def test_config(self):
        folder = self.folder / "config/irori"
        folder.mkdir(parents=True)
        for text in ("{", "{}", '[{"name": "x"}]', '[{"name": "hf.co", "url": "u", "kind": "other"}]'):
            (folder / "registries.json").write_text(text)
            self.refused("hf.co/org/repo", says="registries.json")

    def test_names(self):
        for bad in ("a b", "hf.co/../x", "a/b/c/d/e", "x:", "ftp://host/m.gguf", "file:///etc/passwd", "https://u:p@host/m.gguf",
                    "https://host/"):
            self.fails("pull", bad, says="")
        self.fails("pull", self.url(), says="--allow-http")
        self.assertFalse((self.root / "blobs").exists() and list((self.root / "blobs").iterdir()))


class Faults(Case):
    def test_lies(self):
        self.hub()
        for fault, says in (("wrong_size", "registry says"), ("wrong_hash", "SHA-256"), ("garbage", "SHA-256"), ("long", "other parts"),
                            ("wrong_range", "other parts")):
            self.r.faults = {fault: True}
            self.refused("hf.co/org/repo", says=says)
            self.nothing_is_there()
            self.irori("rm", "--partial")
        self.r.faults = {}
        self.pull("hf.co/org/repo")
        self.is_right("hf.co/org/repo")

    def test_garbage_from_the_api(self):
        for garbage in (b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"siblings": 5}', b'{"layers": [{}]}', b"[" * 100000,
                        b'{"siblings": [{"rfilename": "../../x.gguf", "size": 1}, {"rfilename": 7}]}',
                        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../x", "size": 1}]}'):
            self.r.faults = {"api_garbage": garbage or b" "}
            self.hub()
            self.refused("hf.co/org/repo", says="irori: ")
            self.ollama()
            self.refused("tiny", says="irori: ")
        self.r.faults = {"api_garbage": b" " * (20 << 20)}
        self.hub()
        self.refused("hf.co/org/repo", says="over 16777216 bytes")

    def test_not_a_model(self):
        self.r.files["tiny-F16.gguf"] = b"<html>" * 1000
        self.refused(self.url(), says="GGUF")
        self.nothing_is_there()
        self.assertEqual(list((self.root / "partial").iterdir()), [])

    def test_truncated_and_dropped(self):
        self.r.faults = {"truncate": True}  # each answer brings a half of what is left: slow, but it ends
        self.pull(self.url())
        self.is_right("tiny-F16")
        self.irori("rm", "tiny-F16")
        self.r.faults = {"drop": .3}
        self.pull(self.url())
        self.is_right("tiny-F16")

    def test_no_parts(self):
        self.r.faults = {"no_ranges": True}
        self.pull(self.url())
        self.is_right("tiny-F16")

    def test_stall(self):
        self.r.faults = {"stall": 4}
        started = time.monotonic()
        p = subprocess.Popen([cli.IRORI, "pull", self.url(), *LOCAL, "--patience", "1", "--piece-kb", "16384"], env=self.env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(.5)
        self.r.faults = {}  # the next attempt is served well
        self.assertEqual(p.wait(cli.PATIENCE), 0, p.stderr.read())
        p.stderr.close()
        self.assertLess(time.monotonic() - started, cli.PATIENCE / 2)
        self.is_right("tiny-F16")

    def test_errors(self):
        self.r.faults = {"error": 503, "error_times": 3}
        self.pull(self.url())
        self.is_right("tiny-F16")
        for status, says in ((404, "not there"), (403, "--token-file"), (401, "--token-file")):
            self.r.faults = {"error": status, "error_times": 100}
            self.refused(self.url(), "--as", "x", says=says)
        self.refused("http://127.0.0.1:1/m.gguf", says="127.0.0.1")

    def test_changed_on_the_way(self):
        self.r.faults = {"etag": '"v{n}"'}
        self.refused(self.url(), says="changed on the server")
        self.r.faults = {"etag": '"same"'}
        self.pull(self.url())
        self.is_right("tiny-F16")


class Where(Case):
    """What may be connected to, and who is told the token."""

    def test_private_addresses(self):
        port = self.r.port
        for host in ("127.0.0.1", "localhost", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"):
            self.fails("pull", f"http://{host}:{port}/m.gguf", "--allow-http", says="private")
        for host in ("10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]"):
            self.fails("pull", f"https://{host}/m.gguf", says="private")
        self.assertEqual(self.r.seen, [])

    def test_redirects(self):
        other = self.registry({"tiny-F16.gguf": DATA})
        self.r.faults = {"redirect": other.url + "{path}"}
        self.pull(self.url())
        self.is_right("tiny-F16")
        for to, says in (("ftp://x/y", "not an https URL"), ("file:///etc/passwd", "not an https URL"), ("http://u:p@x/", "not an https URL"),
                         (self.r.url + "{path}", "more than 5 times")):
            self.r.faults = {"redirect": to}
            self.refused(self.url(), "--as", "y", says=says)

    def test_redirect_to_a_private_address(self):
        """From a server that may be reached to one that may not: the proxy is what the first hop goes through."""
        env = {"http_proxy": self.r.url, "no_proxy": "localhost,127.0.0.1"}
        for host, says in (("localhost", "has the private address"), ("127.0.0.1", "is a private address")):
            self.r.faults = {"redirect": f"http://{host}:{self.r.port}/secret"}
            self.fails("pull", "http://public.test/m.gguf", "--allow-http", says=says, env=env)
        self.assertEqual(self.r.requests("http://public.test/"), [h for _, h in self.r.seen])

    def test_token(self):
        other = self.registry({"tiny-F16.gguf": DATA})
        self.hub()
        self.r.faults = {"redirect": other.url + "{path}"}
        self.pull("hf.co/org/repo", env={"HF_TOKEN": "hf_secret"})
        self.assertTrue(all(h.get("Authorization") == "Bearer hf_secret" for _, h in self.r.seen))
        self.assertTrue(other.seen and not any("Authorization" in h or "hf_secret" in str(h) for _, h in other.seen))
        token = self.file("token", "from_file\n")
        self.r.faults, self.r.seen = {}, []
        self.pull(self.url(), "--token-file", token, "--as", "b", env={"HF_TOKEN": "hf_secret"})
        self.assertEqual({h.get("Authorization") for _, h in self.r.seen}, {"Bearer from_file"})
        self.r.seen = []
        self.pull(self.url(), "--as", "c", env={"HF_TOKEN": "hf_secret"})
        self.assertEqual({h.get("Authorization") for _, h in self.r.seen}, {None})  # a URL is no registry
        self.assertNotIn("hf_secret", "".join(p.read_text() for p in self.root.rglob("*.json")))
        self.refused(self.url(), "--token-file", self.file("empty", "\n"), says="no token")

    def test_proxy(self):
        """Through a proxy the whole URL is asked for; no_proxy goes past it."""
        for env in ({"http_proxy": self.r.url}, {"all_proxy": self.r.url}):
            self.r.seen = []
            self.irori("pull", "http://far.test/files/tiny-F16.gguf", "--allow-http", env=env)
            self.assertTrue(all(p.startswith("http://far.test/") for p, _ in self.r.seen))
        self.r.seen = []
        self.irori("pull", self.url(), *LOCAL, env={"http_proxy": "http://127.0.0.1:1", "no_proxy": "x.test, 127.0.0.1"})
        self.assertTrue(self.r.seen)
        self.fails("pull", self.url(), *LOCAL, says="127.0.0.1", env={"http_proxy": "http://127.0.0.1:1", "no_proxy": "7.0.0.1"})

    def test_tls(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl here to make a certificate")
        cert, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        r = self.registry({"tiny-F16.gguf": DATA}, certificate=(cert, key))
        url = f"https://localhost:{r.port}/tiny-F16.gguf"
        self.fails("pull", url, "--allow-private", says="ertificate")
        self.irori("pull", url, "--allow-private", env={"SSL_CERT_FILE": cert})
        self.is_right("tiny-F16")
        self.fails("pull", f"https://127.0.0.1:{r.port}/tiny-F16.gguf", "--allow-private", says="127.0.0.1", env={"SSL_CERT_FILE": cert})
        r.faults = {"redirect": self.r.url + "/tiny-F16.gguf"}
        self.fails("pull", url, *LOCAL, "--as", "z", says="from HTTPS to plain HTTP", env={"SSL_CERT_FILE": cert})


class Licence(Case):
    def setUp(self):
        super().setUp()
        self.hub()

    def model(self, license):
        """The model with another licence of the same length in its keys, so that nothing else moves."""
        old = b"cc-by-sa-4.0"
        self.assertEqual(len(license), len(old))
        self.r.files = {"m.gguf": DATA.replace(old, license, 1)}

    def test_needs_reading(self):
        self.r.license = "llama3.1"
        self.refused("hf.co/org/repo", says="needs reading")
        self.assertEqual(self.r.requests("resolve"), [])  # asked before anything was fetched
        self.pull("hf.co/org/repo", "--accept-license")

    def test_told_by_the_file_only(self):
        self.r.license = None
        self.model(b"cc-by-nc-4.0")
        self.refused("hf.co/org/repo", says="does not allow commercial use")
        self.nothing_is_there()
        before = self.r.bytes_sent
        self.pull("hf.co/org/repo", "--accept-license")
        self.assertLess(self.r.bytes_sent - before, 10000)  # what came was kept
        m = self.json("list")["models"][0]
        self.assertEqual((m["license"], m["license_kind"], m["license_accepted"]), ("cc-by-nc-4.0", "not commercial", True))
        self.pull("hf.co/org/repo")  # asked once
        self.assertIn("accepted", self.irori("list")[0])
        self.assertEqual((self.root / "ledger.jsonl").read_text().count("\n"), 1)


class Killed(Case):
    def journal(self):
        return sum(path.read_text().count("\n") - 1 for path in self.root.glob("partial/*.journal"))

    def killed(self, words, pieces):
        """Runs a pull and kills it when so many more pieces are done; False when it ended by itself."""
        p = subprocess.Popen(words, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        goal = self.journal() + pieces
        while p.poll() is None and self.journal() < goal:
            time.sleep(.005)
        p.kill()
        return p.wait() == -signal.SIGKILL

    def test_twenty_kills(self):
        """20 kills at random moments; pieces that were done are not fetched again, and the file is right."""
        self.r.faults = {"rate": 1_000_000}
        chance, piece, kills = random.Random(3), 128 << 10, 0
        words = [cli.IRORI, "pull", self.url(), *LOCAL, "--piece-kb", "128"]
        while kills < 20:
            if self.killed(words, chance.randrange(4)):
                kills += 1
            else:  # this test was too slow to kill it
                self.irori("rm", "tiny-F16")
        self.r.faults = {}
        done, before = self.journal(), self.r.bytes_sent
        self.irori(*words[1:])
        self.is_right("tiny-F16")
        self.assertLessEqual(self.r.bytes_sent - before, max(len(DATA) - (done - 1) * piece, piece))
        self.assertGreater(done, 5)

    def test_disk_that_forgot(self):
        """A piece that the journal names but the disk lost is fetched again."""
        self.r.faults = {"rate": 1_000_000}
        p = subprocess.Popen([cli.IRORI, "pull", self.url(), *LOCAL, "--piece-kb", "128"], env=self.env, stderr=subprocess.DEVNULL)
        until = time.monotonic() + cli.PATIENCE
        while time.monotonic() < until and not any(f.read_text().count("\n") > 8 for f in self.root.glob("partial/*.journal")):
            time.sleep(.02)
        p.kill()
        p.wait()
        data = next(self.root.glob("partial/*.data"))
        with open(data, "r+b") as f:
            f.write(bytes(300 << 10))  # the first pieces
        journal = next(self.root.glob("partial/*.journal"))
        with open(journal, "a") as f:
            f.write("77 abc")  # and a line that was cut
        self.r.faults = {}
        self.irori("pull", self.url(), *LOCAL, "--piece-kb", "128")
        self.is_right("tiny-F16")

    def test_two_at_once(self):
        self.r.faults = {"rate": 4_000_000}
        p = subprocess.Popen([cli.IRORI, "pull", self.url(), *LOCAL, "--piece-kb", "512"], env=self.env, stdout=subprocess.DEVNULL)
        until = time.monotonic() + cli.PATIENCE
        while time.monotonic() < until and not list(self.root.glob("partial/*.data")):
            time.sleep(.01)
        self.refused(self.url(), says="another irori")
        self.assertEqual(p.wait(cli.PATIENCE), 0)
        self.is_right("tiny-F16")

    def test_full_disk(self):
        import resource
        limit = lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20)), signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.refused(self.url(), says="cannot be written", preexec_fn=limit)
        self.nothing_is_there()
        before = self.r.bytes_sent
        self.pull(self.url())
        self.is_right("tiny-F16")
        self.assertLess(self.r.bytes_sent - before, len(DATA))

    def test_no_room(self):
        """A size that no disk has is refused before anything is fetched."""
        self.hub()
        self.r.about = lambda name: (1 << 50, "0" * 64)

        def file(handler, _):
            self.r.head(handler, 206, {"Content-Length": 1, "Content-Range": f"bytes 0-0/{1 << 50}"})
            handler.wfile.write(b"G")
        self.r.file = file
        self.fails("pull", "hf.co/org/repo", *LOCAL, "--piece-kb", str(1 << 20), says="GB are needed")


if __name__ == "__main__":
    cli.main()
