// Chat against the real server and the demo model: every function of the panel.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { checkAxe, checkWidth, MODEL, openPanel, picture, suite } from "./harness.mjs";

const { server, test } = suite();

export const FACTS = "Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera and works as a nurse.";
const answers = (page) => page.locator("article.assistant");
const field = (page) => page.getByRole("textbox", { name: "Message" });
const idle = (page) => page.getByRole("button", { name: "Send", exact: true }).waitFor();

async function say(page, text) {
  await field(page).fill(text);
  await field(page).press("Enter");
  await idle(page);
}

async function setOption(page, label, value) {
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByLabel(label, { exact: true }).fill(value);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

test("a message is answered as it streams, with figures, and is there after a reload", async ({ page }) => {
  await openPanel(page, server);
  await setOption(page, "Temperature", "0");
  await say(page, FACTS);
  assert.match(await answers(page).innerText(), /Romiko[\s\S]*31[\s\S]*Tabera[\s\S]*nurse/);
  assert.match(await answers(page).innerText(), /\d+ tokens · [\d.,]+ tokens\/s/);
  await picture(page, "chat");
  assert.match(page.url(), /#\/chat\/c[0-9a-f]+$/);
  await page.reload();
  await answers(page).waitFor();
  assert.match(await answers(page).innerText(), /Romiko/);
  await page.getByRole("link", { name: /^Extract JSON/ }).waitFor();
});

test("an answer is stopped by the button and by Esc, and what came is kept", async ({ page }) => {
  await openPanel(page, server);
  for (const stop of [() => page.getByRole("button", { name: "Stop" }).click(), () => page.keyboard.press("Escape")]) {
    await field(page).fill("Tell a long story about the sea.");
    await setLong(page);
    await field(page).press("Enter");
    await page.waitForFunction(() => (document.querySelector("article[aria-busy] .md")?.textContent.length ?? 0) > 20);
    await stop();
    await idle(page);
    const last = answers(page).last();
    await last.getByText("Stopped").waitFor();
    assert.ok((await last.locator(".md").innerText()).length > 20);
  }
});

// Answers that do not end of themselves: the demo model stops early.
async function setLong(page) {
  await page.route("**/v1/chat/completions", async (route) => {
    await route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), ignore_eos: true }) });
  });
}

test("answering again and editing make branches, and the switcher goes between them", async ({ page }) => {
  await openPanel(page, server);
  await setOption(page, "Longest answer, tokens", "12");
  await say(page, "First question");
  await answers(page).getByRole("button", { name: "Answer again" }).click();
  await idle(page);
  await page.getByText("2/2").waitFor();
  await page.getByRole("button", { name: "Previous branch" }).click();
  await page.getByText("1/2").waitFor();
  await say(page, "Second question");
  assert.equal(await page.locator("article").count(), 4);

  const first = page.locator("article.user").first();
  await first.getByRole("button", { name: "Edit" }).click();
  await first.getByRole("textbox", { name: "Edit" }).fill("First question, asked otherwise");
  await page.getByRole("button", { name: "Send as a new branch" }).click();
  await idle(page);
  assert.equal(await page.locator("article").count(), 2); // the new branch has no second question
  await page.getByText("First question, asked otherwise").waitFor();
  await page.locator("article.user").first().getByRole("button", { name: "Previous branch" }).click();
  await page.getByText("Second question").waitFor();
  assert.equal(await page.locator("article").count(), 4);
  await page.reload();
  await page.getByText("Second question").waitFor();
});

test("an answer may be rewritten by the person", async ({ page }) => {
  await openPanel(page, server);
  await setOption(page, "Longest answer, tokens", "8");
  await say(page, "Hello");
  await answers(page).getByRole("button", { name: "Edit" }).click();
  await answers(page).getByRole("textbox", { name: "Edit" }).fill("My own words");
  await page.getByRole("button", { name: "Save as a new branch" }).click();
  await page.getByText("My own words").waitFor();
  await answers(page).getByText("2/2").waitFor();
});

test("system prompt, sampling, schema and tools reach the server as they were set", async ({ page }) => {
  let asked = null;
  await page.route("**/v1/chat/completions", async (route) => {
    asked = route.request().postDataJSON();
    await route.continue();
  });
  await openPanel(page, server);
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByLabel("System prompt").fill("You are terse.");
  for (const [label, value] of [["Temperature", "0"], ["Top-p", "0.9"], ["Top-k", "20"], ["Min-p", "0.02"], ["Repeat penalty", "1.1"], ["Longest answer, tokens", "40"], ["Seed", "7"]])
    await page.getByLabel(label, { exact: true }).fill(value);
  await checkAxe(page, "chat settings");
  await picture(page, "chat-settings");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await say(page, "Hello");
  assert.deepEqual(asked.messages, [{ role: "system", content: "You are terse." }, { role: "user", content: "Hello" }]);
  const { temperature, top_p, top_k, min_p, repeat_penalty, max_tokens, seed } = asked;
  assert.deepEqual({ temperature, top_p, top_k, min_p, repeat_penalty, max_tokens, seed },
    { temperature: 0, top_p: 0.9, top_k: 20, min_p: 0.02, repeat_penalty: 1.1, max_tokens: 40, seed: 7 });
});

test("answers are held to a JSON schema; one that is not JSON is told and not sent", async ({ page }) => {
  await openPanel(page, server);
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByRole("textbox", { name: "JSON schema of answers" }).fill("{ not json");
  await page.getByText(/^Not valid: /).waitFor();
  await page.getByRole("button", { name: "Example: JSON schema of answers" }).click();
  await page.getByText(/^Not valid: /).waitFor({ state: "detached" });
  await page.keyboard.press("Escape");
  await say(page, FACTS);
  const value = JSON.parse(await answers(page).locator(".md").innerText());
  assert.deepEqual(Object.keys(value), ["name", "age", "city", "job"]);
  assert.equal(typeof value.age, "number");
});

test("a tool call is shown, the person gives its result, and the model goes on", async ({ page }) => {
  await openPanel(page, server);
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByRole("button", { name: "Example: Tools" }).click();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.route("**/v1/chat/completions", async (route) => {
    const body = route.request().postDataJSON();
    await route.continue({ postData: JSON.stringify({ ...body, temperature: 0, ...(body.messages.length === 1 && { tool_choice: "required" }), max_tokens: 64 }) });
  });
  await say(page, "What is the weather in Tabera?");
  await page.getByText("Calls get_weather").waitFor();
  assert.match(await page.locator(".call pre").innerText(), /"city"/);
  assert.ok(await page.getByRole("button", { name: "Send", exact: true }).isDisabled());
  await page.getByLabel("Result of get_weather").fill('{"sky": "clear"}');
  await picture(page, "chat-tools");
  await page.getByRole("button", { name: "Send the results" }).click();
  await idle(page);
  await page.getByText("Tool result · get_weather").waitFor();
  assert.equal(await answers(page).count(), 2);
});

test("a text file goes along with the message", async ({ page }) => {
  let asked = null;
  await page.route("**/v1/chat/completions", async (route) => {
    asked = route.request().postDataJSON();
    await route.continue();
  });
  await openPanel(page, server);
  await setOption(page, "Longest answer, tokens", "8");
  const files = page.locator(".composer input[type=file]");
  await files.setInputFiles({ name: "photo.png", mimeType: "image/png", buffer: Buffer.from([0x89, 0x50, 0, 0xff]) });
  await page.getByText(/photo\.png is neither text nor an image/).waitFor();
  await files.setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("a ``` fence") });
  await page.getByText("notes.txt").waitFor();
  await say(page, "Read this");
  assert.equal(asked.messages[0].content, "Read this\n\nnotes.txt:\n````\na ``` fence\n````");
});

test("chats are exported and imported, deleted, and a damaged file imports nothing", async ({ page }) => {
  await openPanel(page, server);
  await setOption(page, "Longest answer, tokens", "8");
  await say(page, "A chat worth keeping");
  await page.getByRole("button", { name: "More" }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: "Export all chats" }).click();
  const text = readFileSync(await (await download).path(), "utf8");
  assert.equal(JSON.parse(text).chats.length, 1);

  await page.getByRole("button", { name: "Delete “A chat worth keeping”" }).click();
  await page.getByRole("button", { name: "Delete for good" }).click();
  await page.getByText("No chats yet").waitFor();
  const files = page.locator(".chat-side input[type=file]");
  await files.setInputFiles({ name: "bad.json", mimeType: "application/json", buffer: Buffer.from(text.replace(/"parent": "m/, '"parent": "mx')) });
  await page.getByText(/Nothing was imported: message/).waitFor();
  await page.getByText("No chats yet").waitFor();
  await files.setInputFiles({ name: "good.json", mimeType: "application/json", buffer: Buffer.from(text) });
  await page.getByText("1 chat imported").waitFor();
  await page.getByRole("link", { name: "A chat worth keeping" }).click();
  await answers(page).waitFor();
});

test("chats are kept with the server when that is chosen, and found by another browser", async ({ page, browser }) => {
  await openPanel(page, server);
  await page.getByRole("button", { name: "Chat settings" }).click();
  await page.getByText("the server", { exact: true }).click();
  await page.keyboard.press("Escape");
  await setOption(page, "Longest answer, tokens", "8");
  await say(page, "Kept with the server");
  const other = await (await browser.newContext({ locale: "en-US" })).newPage();
  await openPanel(other, server);
  await other.evaluate(() => localStorage.setItem("irori.settings", JSON.stringify({ shelf: "server" })));
  await other.reload();
  await other.getByRole("link", { name: "Kept with the server" }).click();
  await answers(other).waitFor();
  await other.getByRole("button", { name: "Delete “Kept with the server”" }).click();
  await other.getByRole("button", { name: "Delete for good" }).click();
  await other.getByText("No chats yet").waitFor();
  await other.context().close();
  assert.deepEqual((await (await fetch(`${server.url}/v1/ui/chats`)).json()).data, []);
});

test("Enter does not send while an input method composes", async ({ page }) => {
  await openPanel(page, server);
  await field(page).fill("にほんご");
  await field(page).dispatchEvent("keydown", { key: "Enter", keyCode: 229, isComposing: true });
  assert.equal(await page.locator("article").count(), 0);
  await field(page).press("Shift+Enter");
  assert.equal(await field(page).inputValue(), "にほんご\n");
});

test("an answer goes on while its chat's panel is away, and another chat ends it without loss", async ({ page }) => {
  await openPanel(page, server);
  await setLong(page);
  await setOption(page, "Longest answer, tokens", "1500");
  await field(page).fill("Go on and on");
  await field(page).press("Enter");
  await page.waitForFunction(() => (document.querySelector("article[aria-busy] .md")?.textContent.length ?? 0) > 20);
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByText("What shall we talk about?").waitFor();
  await page.getByRole("link", { name: "Go on and on" }).click();
  await answers(page).getByText("Stopped").waitFor();
});

test("by the keyboard alone: write, stop, branch", async ({ page }) => {
  await openPanel(page, server);
  await page.keyboard.type("Hello from the keyboard"); // the field has the focus
  await page.keyboard.press("Enter");
  await page.locator("article.assistant .actions").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "TEXTAREA");
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Shift+Tab");
    if (await page.evaluate(() => document.activeElement.getAttribute("aria-label") === "Answer again")) break;
  }
  await page.keyboard.press("Enter");
  await page.getByText("2/2").waitFor();
});

test("accessible by axe with messages in it: light, dark, a phone, Japanese", async ({ page }) => {
  await openPanel(page, server);
  await setOption(page, "Longest answer, tokens", "24");
  await say(page, FACTS);
  await checkAxe(page, "light");
  await page.emulateMedia({ colorScheme: "dark" });
  await checkAxe(page, "dark");
  await page.evaluate(() => localStorage.setItem("irori.settings", JSON.stringify({ language: "ja" })));
  await page.setViewportSize({ width: 390, height: 780 });
  await page.reload();
  await page.getByRole("button", { name: "送信" }).waitFor();
  await answers(page).waitFor();
  await checkAxe(page, "on a phone, in Japanese");
  await checkWidth(page);
  await picture(page, "chat-phone-ja");
  await page.getByRole("button", { name: "チャット一覧を開く" }).click();
  await page.getByRole("dialog").getByRole("link", { name: /^Extract/ }).waitFor();
  await checkAxe(page, "the list on a phone");
});

test("with a key the page asks for it", async ({ page }) => {
  const locked = new (await import("./harness.mjs")).Server("--api-key", "a-secret-of-some-length");
  try {
    await locked.start();
    await page.goto(`${locked.url}/ui/`);
    await page.getByText("This server asks for a key").waitFor();
    await page.getByLabel("Key", { exact: true }).fill("a-secret-of-some-length");
    await page.getByRole("button", { name: "Enter" }).click();
    await page.locator(".reach[data-reach=online]").waitFor();
    assert.ok(MODEL.includes(await page.locator(".reach").innerText()));
  } finally {
    await locked.stop();
    locked.remove();
  }
}, { allow: /401/ });
