// Live: figures that are the server's own, pages that move as an answer is made, the switch of the policy.
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { checkLooks, openPanel, PATIENCE, picture, suite } from "./harness.mjs";

const { server, test } = suite();

const ask = (more = {}) =>
  fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ messages: [{ role: "user", content: "Tell a long story." }], ignore_eos: true, max_tokens: 1800, ...more }),
  });

// Answers one after the other until seen() holds: a single one may be over before the page looks.
async function whileAsking(seen, more) {
  let over = false;
  const asking = (async () => {
    while (!over) await (await ask(more)).text();
  })().catch(() => undefined);
  try {
    await seen();
  } finally {
    over = true;
    await asking;
  }
}

test("figures and pages move while an answer is made", async ({ page }) => {
  await openPanel(page, server, "live");
  await page.getByText("No answer is being made").waitFor();
  await whileAsking(async () => {
    await page.locator(".sequence .page").nth(4).waitFor();
    await page.locator('.sequence [role=img][aria-label*="16 bits"]').first().waitFor();
    await page.waitForFunction(() => Number(document.querySelector(".figures-row dd").firstChild.textContent.replaceAll(",", "")) > 0);
    await picture(page, "live");
  }, { n: 4 });
  await checkLooks(page, "live");
});

test("what is shown is what the server says", async ({ page }) => {
  await (await ask({ max_tokens: 70 })).text();
  await (await ask({ max_tokens: 70 })).text();
  await openPanel(page, server, "live");
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const of = (name) => Number(new RegExp(`^irori_${name}\\{[^}]*\\} (\\S+)$`, "m").exec(metrics)[1]);
  const known = page.locator(".figures-row > div", { hasText: "Prompt tokens already known" });
  await known.getByText(`${of("prompt_tokens_cached_total").toLocaleString("en")} of ${of("prompt_tokens_total").toLocaleString("en")}`).waitFor();
  const size = page.locator(".kinds > div", { hasText: /^Model/ });
  await size.getByText(`${(of("model_bytes") / 2 ** 20).toLocaleString("en", { maximumFractionDigits: 1 })} MB`).waitFor();
});

test("the policy acts without a restart, and a wrong budget is told", async ({ page }) => {
  await openPanel(page, server, "live");
  await page.getByText("Now: f16").waitFor();
  await page.getByLabel("Policy").selectOption("uniform:q8");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("Now: uniform:q8").waitFor();
  assert.equal((await (await fetch(`${server.url}/v1/kv/policy`)).json()).policy, "uniform:q8");
  await whileAsking(() => page.locator(".sequence .page.q8").first().waitFor());
  await page.getByLabel("Budget").fill("much");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText(/^Not changed: /).waitFor();
}, { allow: /400/ });

const setting = async () => {
  const [kv, speculation] = await Promise.all(["kv/policy", "speculation"].map(async (name) => (await fetch(`${server.url}/v1/${name}`)).json()));
  return [kv.policy, kv.budget, speculation.on];
};

// Waits until the server has it: the page shows a switch before the server has answered.
async function set(page, want) {
  const until = Date.now() + PATIENCE;
  while (!isDeepStrictEqual(await setting(), want) && Date.now() < until) await page.waitForTimeout(20);
  assert.deepEqual(await setting(), want);
}

test("techniques are switched without a restart", async ({ page }) => {
  await openPanel(page, server, "live");
  for (const [name, ...want] of [["Baseline", "f16", "", false], ["Staged KV", "staged", "25%", false], ["All", "staged", "25%", true], ["Speculation", "f16", "", true]]) {
    await page.getByRole("radio", { name, exact: true }).check();
    await page.getByText(`Now: keys and values ${want[0]}${want[1] && `, ${want[1]}`}, guesses ${want[2] ? "on" : "off"}.`).waitFor();
    await set(page, want);
  }
  await page.getByRole("radio", { name: "Speculation", exact: true }).press("ArrowRight"); // the keyboard alone
  await page.getByText("Now: keys and values staged, 25%, guesses on.").waitFor();
  await page.locator(".policy").getByText("Now: staged, 25%").waitFor();
  await page.getByLabel("Policy").selectOption("h2o");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("Now: keys and values h2o").waitFor();
  assert.equal(await page.locator(".techniques input:checked").count(), 0); // it is none of them
});

test("A/B: the same prompt under two settings, times and differences beside each other, then as before", async ({ page }) => {
  await fetch(`${server.url}/v1/kv/policy`, { method: "POST", body: JSON.stringify({ policy: "f16" }) });
  const before = await setting();
  await openPanel(page, server, "live");
  await page.getByLabel("Prompt", { exact: true }).fill("Tell a long story, again and again.");
  await page.getByLabel("A", { exact: true }).selectOption("baseline");
  await page.getByLabel("B", { exact: true }).selectOption("speculation");
  await page.getByLabel("At most tokens").fill("200");
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByText("Both answers are the same, word for word.").waitFor(); // guesses change nothing but the time
  const rows = async (name) => Object.fromEntries(await page.getByRole("article", { name }).locator(".kinds > div").evaluateAll((all) => all.map((d) => [...d.children].map((c) => c.textContent))));
  const [a, b] = [await rows("A: Baseline"), await rows("B: Speculation")];
  assert.equal(a["Guessed tokens that were right"], "0 of 0");
  assert.match(b["Guessed tokens that were right"], /^\d+ of \d+$/); // whether a guess pays is measured as it goes
  assert.match(b["Whole answer"], /ms \([\d.]+×\)$/);
  assert.deepEqual(await setting(), before);
  await page.getByRole("heading", { name: "A/B" }).scrollIntoViewIfNeeded();
  await page.getByRole("article", { name: "B: Speculation" }).scrollIntoViewIfNeeded();
  await picture(page, "live-ab");
  await checkLooks(page, "A/B");
});

test("A/B marks what differs, and can be stopped", async ({ page }) => {
  let answers = 0; // texts that the demo model would not give
  await page.route("**/v1/chat/completions", (r) => {
    const text = answers++ < 2 ? "the cat sat here" : "the dog sat here";
    const body = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\ndata: [DONE]\n\n`;
    return answers > 4 ? undefined : r.fulfill({ contentType: "text/event-stream", body });
  });
  await openPanel(page, server, "live");
  await page.getByLabel("Prompt", { exact: true }).fill("Where?");
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByText("What differs is marked.").waitFor();
  assert.deepEqual(await page.locator(".result mark").allTextContents(), [" cat", " dog"]);
  const before = await setting();
  await page.getByRole("button", { name: "Compare" }).click(); // this one is never answered
  await page.getByText("Answering: Baseline…").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Compare" }).waitFor();
  assert.deepEqual(await setting(), before);
});
