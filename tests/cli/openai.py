"""A server of OpenAI's kind that says what it is told to, for tests of clients."""
import http.server
import json
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), request))
        status, answer = self.server.say(request)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if request.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """say(request) gives (status, answer); asked holds (path, headers, request) of all that came."""

    def __init__(self, say):
        super().__init__(("127.0.0.1", 0), Handler)
        self.say, self.asked = say, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


def events(*pieces, usage=None):
    """The body of a stream."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": p}}]} for p in pieces]
    if usage:
        chunks.append({"choices": [], "usage": usage})
    return ("".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + ": ping\n\ndata: [DONE]\n\n").encode()


def calls(*pairs):
    """A whole answer that makes these calls, (name, arguments)."""
    made = [{"id": "1", "type": "function", "function": {"name": n, "arguments": a if isinstance(a, str) else json.dumps(a)}}
            for n, a in pairs]
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": made}}]}
