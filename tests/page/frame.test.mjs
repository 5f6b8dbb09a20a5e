// The frame of the page: how it is served, languages, light and dark, a phone's width, the keyboard.
import assert from "node:assert/strict";
import { checkLooks, openPanel, suite } from "./harness.mjs";

const { server, test } = suite();

test("a browser at / comes to the page, Ollama's clients get their greeting", async ({ page }) => {
  await page.goto(server.url);
  assert.equal(new URL(page.url()).pathname, "/ui/");
  const plain = await fetch(server.url);
  assert.equal(await plain.text(), "Ollama is running");
  const bare = await fetch(`${server.url}/ui`, { redirect: "manual" });
  assert.equal(bare.status, 308);
});

test("files come compressed, with a tag, and not again when they are known", async () => {
  const html = await (await fetch(`${server.url}/ui/`)).text();
  const [, name] = /src="\.\/(assets\/[^"]+\.js)"/.exec(html);
  const first = await fetch(`${server.url}/ui/${name}`);
  assert.equal(first.headers.get("content-encoding"), "gzip");
  assert.match(first.headers.get("content-type"), /^text\/javascript/);
  assert.match(first.headers.get("cache-control"), /immutable/);
  const again = await fetch(`${server.url}/ui/${name}`, { headers: { "If-None-Match": first.headers.get("etag") } });
  assert.equal(again.status, 304);
  const identity = await fetch(`${server.url}/ui/${name}`, { headers: { "Accept-Encoding": "identity" } });
  assert.equal(identity.status, 406);
  for (const bad of ["nothing.js", "../main", "%2e%2e/%2e%2e/etc/passwd", ".hidden", "assets/", "assets//x"])
    assert.equal((await fetch(`${server.url}/ui/${bad}`)).status, 404, bad);
});

test("the policy lets nothing in but the server's own files, and each page has its own nonce", async () => {
  const one = await fetch(`${server.url}/ui/`);
  const two = await fetch(`${server.url}/ui/`);
  const policy = one.headers.get("content-security-policy");
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self';/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.notEqual(policy, two.headers.get("content-security-policy"));
  const [, nonce] = /'nonce-([0-9a-f]{32})'/.exec(policy);
  const html = await one.text();
  assert.ok(html.includes(`nonce="${nonce}"`) && !html.includes("{{"));
});

test("the first load is at most 350 KB", async ({ page }) => {
  const sizes = [];
  page.on("response", async (r) => sizes.push((await r.request().sizes()).responseBodySize));
  await openPanel(page, server);
  await page.waitForLoadState("networkidle");
  const total = sizes.reduce((a, b) => a + b, 0);
  assert.ok(total > 50_000 && total <= 350 * 1024, `${total} bytes in ${sizes.length} answers`);
});

test("English and Japanese, kept over a reload", async ({ page }) => {
  await openPanel(page, server);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByText("日本語").click();
  await page.getByRole("link", { name: "チャット" }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "ja");
  await page.reload();
  await page.getByRole("link", { name: "チャット" }).waitFor();
});

test("the browser's language is the first one", async ({ page }) => {
  await openPanel(page, server);
  await page.getByRole("link", { name: "チャット" }).waitFor();
}, { locale: "ja-JP" });

test("light and dark", async ({ page }) => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await openPanel(page, server);
  const light = await ground();
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByLabel("Appearance").selectOption("dark");
  await page.waitForFunction((old) => getComputedStyle(document.body).backgroundColor !== old, light);
  await page.reload();
  assert.notEqual(await ground(), light);
});

test("the first thing the keyboard reaches is the way past the navigation", async ({ page }) => {
  await openPanel(page, server);
  const skip = page.locator("#root :is(a, button, input, textarea)").first();
  assert.equal(await skip.getAttribute("class"), "skip");
  await skip.focus();
  const box = await skip.boundingBox();
  assert.ok(box.y >= 0, "it is not shown when it has the focus");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "MAIN");
});

test("accessible by axe: light, dark, Japanese, a phone", async ({ page }) => {
  await openPanel(page, server);
  await checkLooks(page, "frame");
});
