"""A registry on this machine that can misbehave: both kinds of API, files in parts, and faults by the path.

Faults are set as registry.faults, a dict of name -> value:
  stall        seconds of silence in the middle of a part         truncate     a part ends early, the length says otherwise
  drop         probability that a connection is cut               garbage      bytes of a part are other ones
  no_ranges    parts are not given, only the whole                long         a part has more bytes than were asked for
  wrong_size   the API says another size                          wrong_hash   the API says another hash
  redirect     where the file is said to be ("{path}" is kept)    wrong_range  Content-Range names another part
  error        status that is answered `error_times` times        rate         bytes a second of each part
"""
import hashlib
import http.server
import json
import random
import re
import ssl
import threading
import time
import urllib.parse


class Registry:
    def __init__(self, files=None, certificate=None, license="apache-2.0", address="127.0.0.1"):
        self.files = dict(files or {})  # name -> bytes
        self.faults, self.seen, self.bytes_sent, self.license = {}, [], 0, license
        self.system = self.params = None
        self.extra_layers = []
        self.lock, self.random = threading.Lock(), random.Random(1)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                try:
                    outer.answer(self)
                except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                    self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):  # clients that are killed, as tests do
                pass

        self.server = Server((address, 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.port = self.server.server_address[1]
        self.host = f"{address}:{self.port}"
        self.url = f"{self.scheme}://{self.host}"
        threading.Thread(target=self.server.serve_forever, args=(.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def requests(self, path):
        """The headers of what was asked of paths that hold `path`."""
        return [h for p, h in self.seen if path in p]

    # ---- Answers ----

    def answer(self, r):
        path = urllib.parse.unquote(urllib.parse.urlsplit(r.path).path)
        with self.lock:
            self.seen.append((r.path, dict(r.headers)))
            dropped = self.random.random() < self.faults.get("drop", 0)
        if dropped and self.faults.get("drop_api", True):
            r.connection.close()
            r.close_connection = True
            return
        if path.startswith("/api/models/"):
            self.json(r, self.repository(path))
        elif "/manifests/" in path and path.startswith("/v2/"):
            self.json(r, self.manifest())
        else:
            self.file(r, path)

    def json(self, r, value):
        if "api_garbage" in self.faults:
            value = None
        data = self.faults.get("api_garbage") or json.dumps(value).encode()
        self.head(r, 200, {"Content-Length": len(data), "Content-Type": "application/json"})
        r.wfile.write(data)

    def head(self, r, status, headers):
        r.send_response(status)
        for name, value in headers.items():
            r.send_header(name, str(value))
        r.end_headers()

    def about(self, name):
        data = self.files[name]
        size = len(data) + (1 if "wrong_size" in self.faults else 0)
        digest = hashlib.sha256(data + (b"x" if "wrong_hash" in self.faults else b"")).hexdigest()
        return size, digest

    def repository(self, _):
        siblings = [{"rfilename": "README.md", "size": 5}]
        for name in self.files:
            size, digest = self.about(name)
            siblings.append({"rfilename": name, "size": size, "lfs": {"sha256": digest, "size": size, "pointerSize": 135}})
        return {"id": "org/repo", "sha": "0123456789abcdef0123456789abcdef01234567", "siblings": siblings,
                "cardData": {"license": self.license} if self.license else {}}

    def small(self, data, kind):
        return {"mediaType": "application/vnd.ollama.image." + kind, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}

    def manifest(self):
        layers = list(self.extra_layers)
        for name in self.files:
            size, digest = self.about(name)
            layers.append({"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + digest, "size": size})
        layers += [self.small(d, k) for d, k in ((self.system, "system"), (self.params, "params")) if d]
        return {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": layers}

    def find(self, path):
        name = path.rsplit("/", 1)[-1]
        if name in self.files:
            return self.files[name]
        for data in list(self.files.values()) + [d for d in (self.system, self.params) if d]:
            if name == "sha256:" + hashlib.sha256(data).hexdigest():
                return data
        if "wrong_hash" in self.faults:
            return next(iter(self.files.values()))
        return None

    def file(self, r, path):
        f = self.faults
        if f.get("error_times", 0) > 0:
            f["error_times"] -= 1
            return self.head(r, f["error"], {"Content-Length": 0})
        if "redirect" in f:
            return self.head(r, 302, {"Location": f["redirect"].replace("{path}", r.path), "Content-Length": 0})
        data = self.find(path)
        if data is None:
            return self.head(r, 404, {"Content-Length": 0})
        m = re.fullmatch(r"bytes=(\d+)-(\d+)", r.headers.get("Range", ""))
        if not m or "no_ranges" in f:
            self.head(r, 200, {"Content-Length": len(data)})
            return self.send(r, data)
        first, last = int(m.group(1)), min(int(m.group(2)), len(data) - 1)
        shown = first + 1 if "wrong_range" in f and last > first else first
        part = data[first:last + 1]
        if "long" in f and last > first:
            part += b"more"
        etag = {"ETag": f["etag"].replace("{n}", str(len(self.seen)))} if "etag" in f else {}
        self.head(r, 206, {"Content-Length": len(part), "Content-Range": f"bytes {shown}-{last}/{len(data)}", **etag})
        self.send(r, part)

    def send(self, r, part):
        f = self.faults
        if "garbage" in f and len(part) > 1:
            part = bytes(len(part))
        if "truncate" in f and len(part) > 1:
            part = part[:len(part) // 2]
            r.close_connection = True
        with self.lock:
            cut = self.random.random() < f.get("drop", 0) and len(part) > 1
            cut_at = self.random.randrange(len(part)) if cut else len(part)
        for at in range(0, cut_at, 1 << 14):
            block = part[at:min(at + (1 << 14), cut_at)]
            r.wfile.write(block)
            self.bytes_sent += len(block)
            if "rate" in f:
                time.sleep(len(block) / f["rate"])
            if "stall" in f and at == 0 and len(part) > 1:
                r.wfile.flush()
                time.sleep(f["stall"])
        if cut:
            r.close_connection = True
            r.connection.close()
