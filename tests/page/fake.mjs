// A server that writes what a test tells it to, for outputs that no small model would write: it gives the real server's
// page and routes, but answers chats itself.
import { createServer, request } from "node:http";

const frame = (delta, finish = null) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

// answer(body, send): send(text) adds to the answer, or an object to the delta; a promise that ends it.
export async function startFake(real, answer) {
  const seen = [];
  const server = createServer((q, s) => {
    const pieces = [];
    q.on("data", (p) => pieces.push(p));
    q.on("end", async () => {
      const body = Buffer.concat(pieces);
      if (q.url === "/v1/chat/completions") {
        const asked = JSON.parse(body.toString());
        seen.push(asked);
        s.writeHead(200, { "Content-Type": "text/event-stream" });
        let tokens = 0;
        const finish = await answer(asked, (d) => {
          tokens++;
          s.write(frame(typeof d === "string" ? { content: d } : d));
        }, s);
        s.write(frame({}, finish ?? "stop"));
        s.write(`data: ${JSON.stringify({ choices: [], usage: { completion_tokens: tokens } })}\n\ndata: [DONE]\n\n`);
        s.end();
        return;
      }
      const on = request({ port: real.port, host: "127.0.0.1", method: q.method, path: q.url, headers: q.headers }, (r) => {
        s.writeHead(r.statusCode, r.headers);
        r.pipe(s);
      });
      on.on("error", () => s.destroy());
      on.end(body);
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  return { port, url: `http://127.0.0.1:${port}`, seen, close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }) };
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
