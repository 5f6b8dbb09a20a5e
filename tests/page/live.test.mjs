// Live: figures that are the server's own, pages that move as an answer is made, the switch of the policy.
import assert from "node:assert/strict";
import { checkAxe, checkWidth, openPanel, picture, suite } from "./harness.mjs";

const { server, test } = suite();

const ask = (more = {}) =>
  fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ messages: [{ role: "user", content: "Tell a long story." }], ignore_eos: true, max_tokens: 1800, ...more }),
  });

test("figures and pages move while an answer is made", async ({ page }) => {
  await openPanel(page, server, "live");
  await page.getByText("No answer is being made").waitFor();
  const asked = ask({ n: 4 }).catch(() => undefined);
  await page.locator(".sequence .page").nth(4).waitFor();
  await page.locator(".sequence [role=img]").first().waitFor();
  assert.match(await page.locator(".sequence [role=img]").first().getAttribute("aria-label"), /Sequence \d+: \d+ pages?, 16 bits/);
  await page.waitForFunction(() => Number(document.querySelector(".figures-row dd").firstChild.textContent.replaceAll(",", "")) > 0);
  await picture(page, "live");
  await checkAxe(page, "live, light");
  await page.emulateMedia({ colorScheme: "dark" });
  await checkAxe(page, "live, dark");
  await page.setViewportSize({ width: 360, height: 700 });
  await checkWidth(page);
  await asked;
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
  const asked = ask().catch(() => undefined);
  await page.locator(".sequence .page.q8").first().waitFor();
  await page.getByLabel("Budget").fill("much");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText(/^Not changed: /).waitFor();
  await asked;
}, { allow: /400/ });
