// examples/voice/index.html, opened from a file: dwelling, one switch, keys; both languages; with the server and without.
import assert from "node:assert/strict";
import { join } from "node:path";
import { checkAxe, SOURCE, suite } from "./harness.mjs";

const { server, test } = suite({ words: ["--origins", "null"] });
const AWAY = { allow: /Failed to load resource|net::ERR/ };

async function open(page, options = {}) {
  const words = new URLSearchParams({ server: server.url, voice: "true", dwell: "300", scan: "400", ...options });
  // What the page says aloud is noted instead.
  await page.addInitScript(() => {
    globalThis.said = [];
    const note = { speak: (u) => globalThis.said.push([u.text, u.lang]), cancel: () => {} };
    Object.defineProperty(globalThis, "speechSynthesis", { value: note, configurable: true });
  });
  await page.goto(`file://${join(SOURCE, "examples/voice/index.html")}?${words}`);
}

const final = (page) => page.locator("#tiles .tile:not(.waiting)");
async function texts(page) {
  await page.waitForFunction(() => document.querySelectorAll("#tiles .tile:not(.waiting)").length === 4);
  return page.locator("#tiles .tile span").allTextContents();
}
const said = (page) => page.evaluate(() => globalThis.said);

async function hear(page, text) {
  await page.fill("#heard", text);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => ["ready", "準備できました"].includes(document.querySelector("#state").textContent));
  return texts(page);
}

test("four replies come from the server, all different", async ({ page }) => {
  await open(page, { by: "keys" });
  const four = await hear(page, "Would you like some tea?");
  assert.equal(new Set(four).size, 4);
  assert.equal(await final(page).count(), 4);
  const sessions = await (await fetch(`${server.url}/v1/sessions`)).json();
  assert.ok(sessions.data.some((s) => s.id.startsWith("talk-")));
  await checkAxe(page, "voice");
});

test("a choice by key is spoken and told to the server, and comes again", async ({ page }) => {
  await open(page, { by: "keys" });
  const four = await hear(page, "Shall we go out?");
  const chosen = page.waitForResponse((r) => r.url().endsWith("/v1/candidates/choose") && r.status() === 200);
  await page.keyboard.press("2");
  await chosen;
  assert.deepEqual(await said(page), [[four[1], "en-US"]]);
  await page.locator("#again").click();
  assert.equal((await said(page)).length, 2);
});

test("something else brings other replies", async ({ page }) => {
  await open(page, { by: "keys" });
  const first = await hear(page, "How are you?");
  const asked = page.waitForRequest((r) => r.url().endsWith("/v1/candidates"));
  await page.locator("#others").click();
  assert.deepEqual((await asked).postDataJSON().avoid.filter((t) => first.includes(t)).sort(), [...first].sort());
  await page.waitForFunction(() => document.querySelector("#state").textContent === "ready");
  const second = await texts(page);
  assert.equal(second.filter((t) => first.includes(t)).length, 0);
});

test("dwelling: progress is seen, the choice comes once, looking away stops it", async ({ page }) => {
  await open(page, { by: "dwell", dwell: "900" });
  const four = await hear(page, "Would you like some tea?");
  const tile = page.locator("#tiles .tile").nth(2);
  const width = () => tile.locator(".fill").evaluate((e) => Number.parseFloat(e.style.width) || 0);
  await tile.hover();
  await page.waitForFunction(() => Number.parseFloat(document.querySelectorAll("#tiles .fill")[2].style.width) > 20);
  assert.ok((await width()) < 100);
  await page.mouse.move(0, 0); // away
  await page.waitForTimeout(1200);
  assert.deepEqual(await said(page), []);
  assert.equal(await width(), 0);
  await tile.hover();
  await page.waitForFunction(() => globalThis.said.length > 0);
  await page.waitForTimeout(1200); // it stays there: not again
  assert.deepEqual(await said(page), [[four[2], "en-US"]]);
});

test("one switch: the frame goes round, the switch takes what it is at", async ({ page }) => {
  await open(page, { by: "scan" });
  const four = await hear(page, "Would you like some tea?");
  const at = (n) => page.waitForFunction((i) => [...document.querySelectorAll(".tile")].findIndex((t) => t.classList.contains("at")) === i, n);
  for (const n of [1, 2, 3, 4, 5, 0, 1]) await at(n);
  await page.keyboard.press("Space");
  await page.waitForFunction(() => globalThis.said.length === 1);
  assert.ok(four.includes((await said(page))[0][0]));
  await at(0); // it begins anew
});

test("Japanese", async ({ page }) => {
  await open(page, { by: "keys", language: "ja" });
  assert.equal(await page.locator("html").getAttribute("lang"), "ja");
  const four = await hear(page, "お茶を飲みますか？");
  assert.equal(new Set(four).size, 4);
  await page.keyboard.press("1");
  assert.deepEqual(await said(page), [[four[0], "ja-JP"]]);
  await checkAxe(page, "voice, Japanese");
});

test(
  "without the server it has replies of its own, and other ones when those are not wanted",
  async ({ page }) => {
    await open(page, { by: "keys", server: `http://127.0.0.1:${server.port}/nowhere` });
    const first = await texts(page);
    assert.equal(new Set(first).size, 4);
    await page.locator("#others").click();
    await page.waitForFunction((was) => document.querySelector("#tiles .tile span").textContent !== was, first[0]);
    const second = await texts(page);
    assert.equal(second.filter((t) => first.includes(t)).length, 0);
    await page.keyboard.press("3");
    assert.equal((await said(page)).length, 1);
    assert.equal((await said(page))[0][0], second[2]);
  },
  AWAY,
);

test("a phone's width shows all four without scrolling sideways", async ({ page }) => {
  await open(page, { by: "keys" });
  await hear(page, "Would you like some tea?");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  for (const box of await page.locator("#tiles .tile").evaluateAll((all) => all.map((t) => t.getBoundingClientRect().width)))
    assert.ok(box >= 150);
}, { viewport: { width: 390, height: 844 } });
