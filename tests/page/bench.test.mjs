// Bench: runs in the server with progress, kept and compared under two settings, stopped, refused while another runs.
import assert from "node:assert/strict";
import { checkLooks, openPanel, picture, suite } from "./harness.mjs";

const { server, test } = suite();

async function run(page, runs) {
  await page.getByLabel("Prompt tokens", { exact: true }).fill("64");
  await page.getByLabel("Tokens to make").fill("32");
  await page.getByLabel("Runs").fill(String(runs));
  const before = await page.locator(".bench tbody tr").count();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".bench tbody tr").nth(before).waitFor();
  await page.getByText("Done.", { exact: true }).waitFor();
}

test("two benches under two settings are kept, plotted and compared", async ({ page }) => {
  await openPanel(page, server, "bench");
  await page.getByText("No bench has been run").waitFor();
  await run(page, 4);
  await fetch(`${server.url}/v1/kv/policy`, { method: "POST", body: JSON.stringify({ policy: "uniform:q8" }) });
  await run(page, 4);
  const rows = page.locator(".bench tbody tr");
  await rows.nth(1).waitFor();
  assert.match(await rows.nth(0).textContent(), /irori-tiny-f16.*uniform:q8 \+ guesses64 \+ 32.*\([\d.]+×\)/);
  assert.match(await rows.nth(1).textContent(), /f16 \+ guesses64 \+ 32/);
  assert.equal(await page.locator(".plot canvas").count(), 2);
  assert.equal(await page.locator(".plot li").count(), 4);
  const kept = await page.evaluate(() => JSON.parse(localStorage["irori.benches"]));
  const speeds = kept[1].runs.map((r) => r.tokens_per_second).sort((a, b) => a - b);
  assert.equal(speeds.length, 4);
  assert.ok(Math.abs(kept[1].tokens_per_second.median - (speeds[1] + speeds[2]) / 2) < 1e-3 * speeds[1]);
  await picture(page, "bench");
  await checkLooks(page, "bench");
  await page.reload(); // kept over it
  await rows.nth(1).waitFor();
  await rows.nth(0).getByRole("checkbox").press("Space"); // by the keyboard alone
  await page.waitForFunction(() => document.querySelectorAll(".plot li").length === 2);
  await rows.nth(0).getByRole("button", { name: /^Delete the bench/ }).press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".bench tbody tr").length === 1);
});

test("a bench is stopped at once, and one that is refused says why", async ({ page }) => {
  await openPanel(page, server, "bench");
  await page.getByLabel("Prompt tokens", { exact: true }).fill("600");
  await page.getByLabel("Tokens to make").fill("300");
  await page.getByLabel("Runs").fill("30");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByText(/Run \d+ of 30 is done/).waitFor();
  assert.equal((await fetch(`${server.url}/v1/bench`, { method: "POST", body: "{}" })).status, 503);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped.").waitFor();
  await page.getByLabel("Prompt tokens", { exact: true }).fill("2048");
  await page.waitForFunction(async (url) => (await fetch(url, { method: "POST", body: JSON.stringify({ prompt: 1, generate: 2, repetitions: 1 }) })).ok, `${server.url}/v1/bench`);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByText(/^Failed: prompt and generate come to 2348 tokens/).waitFor();
}, { allow: /400|503/ });

test("in Japanese", async ({ page }) => {
  await openPanel(page, server, "bench");
  await page.getByText("このブラウザーではまだ実行していません。").waitFor();
}, { locale: "ja-JP" });
