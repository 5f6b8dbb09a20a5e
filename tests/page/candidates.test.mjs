// Candidates: cards by a round of the server, dwelling, one switch, keys, better replies later, profiles and scenes.
import assert from "node:assert/strict";
import { join } from "node:path";
import { checkAxe, checkWidth, DRAFT, openPanel, picture, SOURCE, suite } from "./harness.mjs";

const { server, test } = suite({ words: [DRAFT] });

// What is said aloud is noted instead; `how` is what this browser has kept.
async function open(page, how) {
  await page.addInitScript((kept) => {
    globalThis.said = [];
    Object.defineProperty(globalThis, "speechSynthesis", { value: { speak: (u) => globalThis.said.push([u.text, u.lang]), cancel: () => {} }, configurable: true });
    localStorage["irori.candidates"] ??= JSON.stringify(kept);
  }, how);
  await openPanel(page, server, "candidates");
}
const said = (page) => page.evaluate(() => globalThis.said);
const cards = (page) => page.locator(".card:not(.small)");

async function hear(page, text) {
  await page.locator(".heard input").fill(text);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".card[data-final=true]").length === 4);
  return cards(page).locator("span").allTextContents();
}

test("four replies come, all different; keys take them, and others come when none is wanted", async ({ page }) => {
  await open(page, { by: "keys" });
  const four = await hear(page, "Would you like some tea?");
  assert.equal(new Set(four).size, 4);
  const chosen = page.waitForResponse((r) => r.url().endsWith("/v1/candidates/choose") && r.status() === 200);
  await page.keyboard.press("2");
  await chosen;
  assert.deepEqual(await said(page), [[four[1], "en-US"]]);
  await page.getByRole("button", { name: "Say it again" }).click();
  assert.equal((await said(page)).length, 2);
  await hear(page, "Are you cold?");
  const before = await cards(page).locator("span").allTextContents();
  const asked = page.waitForRequest((r) => r.url().endsWith("/v1/candidates"));
  await page.keyboard.press("0");
  assert.deepEqual((await asked).postDataJSON().avoid.filter((x) => before.includes(x)).sort(), [...before].sort());
  await page.waitForFunction(() => document.querySelectorAll(".card[data-final=true]").length === 4);
  const after = await cards(page).locator("span").allTextContents();
  assert.equal(after.filter((x) => before.includes(x)).length, 0);
});

test("dwelling: it fills, looking away stops it, the choice comes once", async ({ page }) => {
  await open(page, { by: "dwell", dwell: 700 });
  const four = await hear(page, "Would you like some tea?");
  const card = cards(page).nth(2);
  const width = () => card.locator("i").evaluate((e) => Number.parseFloat(e.style.width) || 0);
  const held = page.waitForResponse((r) => r.url().endsWith("/v1/candidates/hold"));
  await card.hover();
  await held;
  await page.waitForFunction(() => Number.parseFloat(document.querySelectorAll(".card i")[2].style.width) > 20);
  await page.mouse.move(0, 0);
  await page.waitForTimeout(900);
  assert.deepEqual([await said(page), await width()], [[], 0]);
  await card.hover();
  await page.waitForFunction(() => globalThis.said.length > 0);
  await page.waitForTimeout(900); // it stays there: not again
  assert.deepEqual(await said(page), [[four[2], "en-US"]]);
});

test("one switch: the frame goes round, the switch takes what it is at", async ({ page }) => {
  await open(page, { by: "scan", scan: 400 });
  const four = await hear(page, "Would you like some tea?");
  const at = (n) => page.waitForFunction((i) => [...document.querySelectorAll(".card")].findIndex((c) => c.dataset.at === "true") === i, n);
  for (const n of [3, 4, 5, 0, 1]) await at(n);
  await page.keyboard.press("Space");
  await page.waitForFunction(() => globalThis.said.length === 1);
  assert.ok(four.includes((await said(page))[0][0]));
  await at(0); // it begins anew
});

test("better replies replace the first ones, but not what is looked at", async ({ page }) => {
  await open(page, { by: "keys", better: "irori-tiny-draft-f16" });
  const event = (name, index, text) => `event: ${name}\ndata: ${JSON.stringify({ id: "round-1", index, text, axis: "tell", source: "model", ms: 1 })}\n\n`;
  const first = [0, 1, 2, 3].map((i) => event("candidate.partial", i, "A") + event("candidate.final", i, `A first reply ${i}.`)).join("");
  const body = first + event("stage.replaced", 1, "A better reply.") +
    `event: done\ndata: ${JSON.stringify({ id: "round-1", candidates: ["A first reply 0.", "A better reply.", "A first reply 2.", "A better one still."].map((text) => ({ text, axis: "tell", source: "model", ms: 1 })) })}\n\n`;
  const sent = page.waitForRequest((r) => r.url().endsWith("/v1/sessions"));
  await page.route("**/v1/candidates", (r) => r.fulfill({ contentType: "text/event-stream", body }));
  await cards(page).nth(3).focus();
  await page.evaluate(() => { document.activeElement.blur(); });
  await hear(page, "How are you?");
  assert.deepEqual((await sent).postDataJSON().cascade, ["irori-tiny-draft-f16"]);
  await cards(page).nth(1).getByText("A better reply.").waitFor();
  await cards(page).nth(1).getByText("better one came").waitFor();
  await cards(page).nth(3).getByText("A first reply 3.").waitFor(); // the focus was on it
});

test("a profile is read, edited and kept; its scenes answer", async ({ page }) => {
  await open(page, { by: "keys", budget: 50 });
  await page.getByText("Profiles", { exact: true }).click();
  await page.locator("input[type=file]").setInputFiles(join(SOURCE, "examples/voice/en.json"));
  await page.getByLabel("Name (letters").fill("hana");
  await page.getByRole("button", { name: "Add a scene" }).click();
  const scene = page.getByRole("group", { name: "Scene 4" });
  await scene.getByLabel("Words that open it").fill("comet");
  await scene.getByLabel("Replies").fill("no colon");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText('a reply is "axis: text", found "no colon"').waitFor();
  await scene.getByLabel("Replies").fill("agree: I saw the comet too.\nask: Where is the comet now?");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("hana is kept.").waitFor();
  const kept = (await (await fetch(`${server.url}/v1/profiles/hana`)).json()).profile;
  assert.equal(kept.name, "Hana"); // what the form does not show stays
  assert.deepEqual(kept.scenes[3], { cues: ["comet"], replies: [{ axis: "agree", text: "I saw the comet too." }, { axis: "ask", text: "Where is the comet now?" }] });
  await hear(page, "Did you see the comet?");
  await page.locator("main").evaluate((e) => e.scrollTo(0, 0));
  await picture(page, "candidates");
  await checkAxe(page, "candidates, light");
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByText("How replies are chosen").click();
  await page.emulateMedia({ colorScheme: "dark" });
  await checkAxe(page, "candidates, dark");
  await page.setViewportSize({ width: 360, height: 700 });
  await checkAxe(page, "candidates, phone");
  await checkWidth(page);
  await page.getByRole("button", { name: "Delete profile" }).click();
  await page.getByText("hana is deleted.").waitFor();
  assert.equal((await fetch(`${server.url}/v1/profiles/hana`)).status, 404);
});

test("a server that is gone leaves replies to choose from; in Japanese", async ({ page }) => {
  await open(page, { by: "keys" });
  await page.route("**/v1/{sessions,candidates}*", (r) => r.abort());
  const four = await hear(page, "お茶を飲みますか？");
  await page.getByText("サーバーなし").waitFor();
  await page.keyboard.press("1");
  assert.deepEqual(await said(page), [[four[0], "ja-JP"]]);
}, { locale: "ja-JP", allow: /Failed to load resource|net::ERR/ });
