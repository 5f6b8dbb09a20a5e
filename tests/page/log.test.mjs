// Log: the lines of the audit log, their content only where it is kept, and a change that verifying finds.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkLooks, openPanel, picture, suite } from "./harness.mjs";

const { server, test } = suite({ words: ["--audit", "content"] });

async function ask(text) {
  const answer = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ messages: [{ role: "user", content: text }], max_tokens: 8 }) });
  assert.equal(answer.status, 200);
  await answer.text();
}

// While a check runs the form takes no other, and shows what the one before found.
async function verify(page, head) {
  await page.getByLabel("A head kept elsewhere").fill(head);
  await page.keyboard.press("Enter");
  await page.locator(".verify button[type=submit]:enabled").waitFor();
}

test("lines are shown and verified, a head is kept and compared, a change is found", async ({ page }) => {
  for (let i = 0; i < 30; i++) await ask(`Question ${i}, write to a@b.org`);
  await openPanel(page, server, "log");
  await page.getByText("60 lines in").waitFor();
  const rows = page.locator(".log tbody tr");
  assert.equal(await rows.count(), 50);
  await rows.nth(1).locator(".log-content").getByText("Question 29, write to [e-mail]").waitFor();
  await page.getByRole("button", { name: "Older lines" }).click();
  await rows.nth(59).waitFor();
  await page.getByRole("button", { name: "Older lines" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByText("Good: 60 lines, none changed, removed, moved or cut.").waitFor();
  await picture(page, "log");
  await checkLooks(page, "log");

  const head = (await page.locator(".verify code").textContent()).trim();
  await verify(page, head);
  await page.getByText("Good: 60 lines").waitFor();
  await verify(page, "sixty");
  await page.getByText(/^Not verified: .*LINES:HASH/).waitFor();
  const path = join(server.state, "irori/audit/log.jsonl");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace("Question 3,", "Question 4,"));
  await verify(page, "");
  await page.getByText(/^Broken: .*log.jsonl line 8/).waitFor();
  writeFileSync(path, text);
}, { allow: /400/ });

test("in Japanese, and what is off says so", async ({ page }) => {
  await page.route("**/v1/audit?*", (r) => r.fulfill({ json: { object: "audit", level: "off", lines: 0, folder: "", data: [] } }));
  await openPanel(page, server, "log");
  await page.getByText("オフ: 何も書きません").waitFor();
  await page.getByText("ログにはまだ行がありません。").waitFor();
}, { locale: "ja-JP" });
