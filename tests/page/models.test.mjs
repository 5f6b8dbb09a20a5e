// Models: the plan of this machine, open and close, pull with progress from a registry on this machine, delete.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after } from "node:test";
import { checkLooks, MODEL, openPanel, picture, suite } from "./harness.mjs";

const data = readFileSync(MODEL);
const digest = `sha256:${createHash("sha256").update(data).digest("hex")}`;

// A registry of Ollama's kind that has one model under every name; `gate` holds its file back.
let gate = Promise.resolve();
const registry = createServer(async (q, s) => {
  if (q.url.includes("/manifests/")) {
    const layers = [{ mediaType: "application/vnd.ollama.image.model", digest, size: data.length }];
    s.setHeader("Content-Type", "application/json");
    s.end(JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.docker.distribution.manifest.v2+json", layers }));
    return;
  }
  const [, first, last] = /bytes=(\d+)-(\d+)/.exec(q.headers.range ?? "") ?? [0, "0", String(data.length - 1)];
  const end = Math.min(Number(last), data.length - 1);
  s.writeHead(206, { "Content-Range": `bytes ${first}-${end}/${data.length}`, "Content-Length": end + 1 - Number(first) });
  const part = data.subarray(Number(first), end + 1);
  if (part.length < 1000) {
    s.end(part);
    return;
  }
  s.write(part.subarray(0, part.length >> 1));
  await gate;
  s.end(part.subarray(part.length >> 1));
});
after(() => registry.close());

const { server, test } = suite({
  words: ["--allow-private", "--allow-http"],
  ready: async (its) => {
    await new Promise((done) => registry.listen(0, "127.0.0.1", done));
    its.setRegistry(`http://127.0.0.1:${registry.address().port}`);
  },
});

const row = (page, name) => page.locator(".model", { has: page.getByRole("heading", { name, exact: true }) });

async function pull(page, name) {
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Pull" }).click();
  await page.getByText(`${name} is here.`).waitFor();
}

test("a model is pulled with progress, planned, opened, closed and deleted", async ({ page }) => {
  await openPanel(page, server, "models");
  await row(page, "irori-tiny-f16").getByText("open, stays open").waitFor();
  await page.getByLabel("Name").fill("other");
  await page.getByText("Not in the catalogue").waitFor();
  await page.getByLabel("Name").fill("qwen3:0.6b");
  await page.getByText("As qwen3-0.6b of the catalogue, Q4_K_M").waitFor();
  await page.getByText(/Fits: needs .+, .+ available/).waitFor();
  let open;
  gate = new Promise((done) => { open = done; });
  await page.getByRole("button", { name: "Pull" }).click();
  await page.getByText(/, .+ of 12 MB/).waitFor();
  open();
  await page.getByText("qwen3:0.6b is here.").waitFor();

  const mine = row(page, "qwen3:0.6b");
  await mine.getByText("Licence: cc-by-sa-4.0 (use allowed)").waitFor();
  await mine.getByRole("button", { name: "Open: qwen3:0.6b" }).click();
  await mine.getByText(/in memory/).waitFor();
  assert.equal((await (await fetch(`${server.url}/api/ps`)).json()).models.length, 2);
  await mine.getByRole("button", { name: "Plan for qwen3:0.6b" }).click();
  await mine.getByRole("cell").nth(5).waitFor();
  await page.getByLabel("Name").fill("llama3.3:70b-q8_0");
  await page.getByText(/As llama-3.3-70b of the catalogue, Q8_0/).waitFor();
  await picture(page, "models");
  await checkLooks(page, "models");
  await mine.getByRole("button", { name: "Close: qwen3:0.6b" }).click();
  await mine.getByText("not open").or(mine.getByText("closed")).waitFor();
  assert.equal((await (await fetch(`${server.url}/api/ps`)).json()).models.length, 1);

  await mine.getByRole("button", { name: "Delete: qwen3:0.6b" }).press("Enter"); // by the keyboard alone
  await page.keyboard.press("Enter"); // the focus is on what does no harm
  assert.equal(await mine.count(), 1);
  await mine.getByRole("button", { name: "Delete: qwen3:0.6b" }).click();
  await mine.getByRole("button", { name: "Delete it" }).click();
  await mine.waitFor({ state: "detached" });
  assert.deepEqual((await (await fetch(`${server.url}/api/tags`)).json()).models.map((m) => m.name), ["irori-tiny-f16:latest"]);
});

test("a pull that is stopped goes on where it was, and one that fails says why", async ({ page }) => {
  await openPanel(page, server, "models");
  let open;
  gate = new Promise((done) => { open = done; });
  await page.getByLabel("Name").fill("some/tiny:v1");
  await page.getByRole("button", { name: "Pull" }).click();
  await page.getByText(/ of 12 MB/).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped.").waitFor();
  open();
  while (await new Promise((done) => registry.getConnections((_, n) => done(n)))) await page.waitForTimeout(20); // the server has noticed
  await pull(page, "some/tiny:v1");
  await page.getByLabel("Name").fill("a name with spaces");
  await page.getByRole("button", { name: "Pull" }).click();
  await page.getByText(/^Failed: /).waitFor();
});

test("in Japanese", async ({ page }) => {
  await openPanel(page, server, "models");
  await page.getByRole("heading", { name: "このマシンにあるモデル" }).waitFor();
}, { locale: "ja-JP" });
