// What goes wrong in the world: the server dies mid-stream and returns, the network is slow, the chat is long, the model
// writes fast, and what it writes is hostile.
import assert from "node:assert/strict";
import { startFake, sleep } from "./fake.mjs";
import { checkAxe, openPanel, picture, suite } from "./harness.mjs";

const { server, test } = suite();
const field = (page) => page.getByRole("textbox", { name: "Message" });
const idle = (page) => page.getByRole("button", { name: "Send", exact: true }).waitFor();
const last = (page) => page.locator("article.assistant").last();

// A page of the real server whose answers come from `answer` (fake.mjs).
async function withAnswers(page, answer, run) {
  const fake = await startFake(server, answer);
  try {
    await openPanel(page, fake);
    await run(fake);
  } finally {
    await fake.close();
  }
}

test("a server that dies mid-stream: what came is kept, and it goes on when the server is back", async ({ page }) => {
  await openPanel(page, server);
  await page.route("**/v1/chat/completions", (route) =>
    route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), ignore_eos: true, max_tokens: 1900 }) }));
  await field(page).fill("Go on and on");
  await field(page).press("Enter");
  await page.waitForFunction(() => (document.querySelector("article[aria-busy] .md")?.textContent.length ?? 0) > 50);
  await server.stop("SIGKILL");
  await page.getByText("The connection broke before the answer was complete").waitFor();
  await page.getByText("The server does not answer.").waitFor();
  await picture(page, "chat-broken");
  assert.ok((await last(page).locator(".md").innerText()).length > 50);
  await field(page).fill("Typed while it was away");
  await server.start();
  await page.locator(".reach[data-reach=online]").waitFor();
  await page.getByText("The server does not answer.").waitFor({ state: "detached" });
  await page.unroute("**/v1/chat/completions");
  await field(page).press("Enter");
  await idle(page);
  assert.equal(await page.locator("article.assistant").count(), 2);
  assert.equal(await last(page).locator(".wrong").count(), 0);
  await page.reload();
  await page.getByText("The connection broke before the answer was complete").waitFor();
}, { allow: /Failed to load resource|ERR_/ });

test("the server's refusal is told in its words, and the chat goes on", async ({ page }) => {
  await openPanel(page, server);
  await page.route("**/v1/chat/completions", (route) =>
    route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), temperature: -3 }) }));
  await field(page).fill("Hello");
  await field(page).press("Enter");
  await page.getByText(/The server could not answer: .*temperature/).waitFor();
  await page.unroute("**/v1/chat/completions");
  await last(page).getByRole("button", { name: "Answer again" }).click();
  await idle(page);
  await page.getByText("2/2").waitFor();
  assert.equal(await last(page).locator(".wrong").count(), 0);
}, { allow: /400/ });

test("a slow network: the page opens, and an answer is shown as it trickles", async ({ page, context }) => {
  const slow = await context.newCDPSession(page);
  await slow.send("Network.enable");
  await slow.send("Network.emulateNetworkConditions", { offline: false, latency: 400, downloadThroughput: 100 * 1024, uploadThroughput: 50 * 1024 });
  await openPanel(page, server);
  await field(page).fill("Extract JSON with name, age, city, job: Romiko is 31 years old, lives in Tabera and works as a nurse.");
  await field(page).press("Enter");
  await page.locator(".embers").waitFor();
  await idle(page);
  assert.match(await last(page).innerText(), /Romiko/);
});

// A chat of n messages, put into the browser's store before the page looks.
async function putLong(page, n) {
  await page.evaluate(async (count) => {
    const messages = {};
    let parent = null;
    for (let i = 0; i < count; i++) {
      const id = `m${i.toString(36).padStart(6, "0")}x`;
      const answer = `Answer ${i}.\n\n- a point\n- **another** with $x^2$\n\n\`\`\`js\nconst n = ${i};\n\`\`\`\n\nThe end of ${i}. `.repeat(3);
      messages[id] = { id, parent, role: i % 2 ? "assistant" : "user", text: i % 2 ? answer : `Question ${i}`, at: 1e12 + i };
      parent = id;
    }
    const options = { system: "", temperature: null, top_p: null, top_k: null, min_p: null, repeat_penalty: null, max_tokens: 8, seed: null, schema: "", tools: "" };
    const chat = { id: "clong", title: "A long chat", created: 1e12, changed: 1e12, options, messages, chosen: {} };
    const db = await new Promise((done) => { const r = indexedDB.open("irori", 1); r.onsuccess = () => done(r.result); });
    const t = db.transaction(["heads", "chats"], "readwrite");
    t.objectStore("heads").put({ id: chat.id, title: chat.title, changed: chat.changed });
    t.objectStore("chats").put(chat);
    await new Promise((done) => { t.oncomplete = done; });
    db.close();
  }, n);
}

test("1,000 messages: open quickly at the newest, all there, few laid out", async ({ page }) => {
  await openPanel(page, server);
  await page.locator(".chat-list").getByText("No chats yet").waitFor();
  await putLong(page, 1000);
  await page.reload();
  await page.getByRole("link", { name: "A long chat" }).waitFor();
  const took = await page.evaluate(async () => {
    const began = performance.now();
    document.querySelector(".chat-list li a").click();
    for (;;) {
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const all = document.querySelectorAll("article");
      const box = document.querySelector(".thread").getBoundingClientRect();
      const end = all.length === 1000 ? all[999].getBoundingClientRect() : null;
      if (end && all[999].querySelector(".md") && end.bottom > box.top && end.top < box.bottom) return performance.now() - began;
    }
  });
  console.log(`# 1,000 messages: opened and drawn after ${took.toFixed(0)} ms`);
  assert.ok(took < 20_000, `${took} ms`);
  const laidOut = await page.locator("article .md").count();
  assert.ok(laidOut > 0 && laidOut < 60, `${laidOut} messages laid out`);
  assert.match(await page.locator("article").first().textContent(), /Question 0/); // there for the browser's own search
  await page.locator(".thread").evaluate((e) => { e.scrollTop = 0; });
  await page.locator("article").nth(1).locator(".code").first().waitFor();
  await page.getByRole("button", { name: "To the newest message" }).click();
  await last(page).locator(".code").first().waitFor();
  await field(page).fill("One more");
  await field(page).press("Enter");
  await idle(page);
  assert.equal(await page.locator("article").count(), 1002);
});

test("200 tokens a second are drawn in every frame", async ({ page }) => {
  const words = Array.from({ length: 400 }, (_, i) => (i % 40 === 39 ? `\n\n\`\`\`js\nconst v${i} = ${i};\n\`\`\`\n\n` : i % 10 === 9 ? "**strong**\n\n" : `word${i} `));
  await withAnswers(page, async (_, send) => {
    const began = performance.now();
    for (let i = 0; i < words.length; i++) {
      while (performance.now() - began < i * 5) await sleep(1);
      send(words[i]);
    }
  }, async () => {
    await field(page).fill("Quickly");
    await page.evaluate(() => {
      globalThis.frames_ = [];
      let before = performance.now();
      const tick = (now) => {
        globalThis.frames_.push(now - before);
        before = now;
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
      globalThis.tasks_ = [];
      new PerformanceObserver((list) => globalThis.tasks_.push(...list.getEntries().map((e) => e.duration))).observe({ type: "longtask" });
    });
    await field(page).press("Enter");
    await idle(page);
    const { frames, tasks } = await page.evaluate(() => ({ frames: globalThis.frames_.sort((a, b) => a - b), tasks: globalThis.tasks_ }));
    console.log(`# 400 tokens at 200 a second: ${frames.length} frames, median ${frames[frames.length >> 1].toFixed(1)} ms, longest ${frames.at(-1).toFixed(1)} ms, ${tasks.length} tasks over 50 ms`);
    assert.match(await last(page).innerText(), /word398/);
    assert.equal(await last(page).locator("strong").count(), 30);
  });
});

const hostile = [
  "<script>globalThis.broken = 1</script>",
  '<img src="x" onerror="globalThis.broken = 2">',
  '<iframe src="https://example.com/"></iframe><svg onload="globalThis.broken = 3"></svg>',
  "[click me](javascript:globalThis.broken=4) and [data](data:text/html,<script>1</script>) and <javascript:globalThis.broken=5>",
  "![picture](https://example.com/track.png)",
  "[fine](https://example.com/a?b=1&c=2)",
  "| <b>a</b> | b |\n|---|---|\n| <img src=x onerror=globalThis.broken=6> | 2 |",
  '<style>body { display: none }</style><a href="https://example.com" onclick="globalThis.broken = 7">x</a>',
  "$\\href{javascript:globalThis.broken=8}{x}$ $\\includegraphics{https://example.com/x.png}$ $\\def\\a{\\a\\a}\\a$ \\(\\frac{1}{2}\\)",
  "&lt;script&gt; &#x3c;b&#x3e; \u202e\u0000\u0007 \ufffd",
  "```html\n<script>globalThis.broken = 9</script>\n```",
];

test("hostile output stays text: HTML, scripts, addresses, formulas", async ({ page }) => {
  await withAnswers(page, (_, send) => {
    send({ reasoning_content: hostile[0] });
    for (const one of hostile) send(`${one}\n\n`);
    send({ tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "<img src=x onerror=globalThis.broken=10>", arguments: '{"a": "<script>"' } }] });
  }, async () => {
    await field(page).fill("<b>Me too</b>");
    await field(page).press("Enter");
    await page.locator(".call-name").waitFor();
    await last(page).locator("math").first().waitFor();
    assert.equal(await page.evaluate(() => globalThis.broken), undefined);
    assert.equal(await page.locator("article :is(script, iframe, img, style, b, [onclick], [onerror], [onload])").count(), 0);
    const addresses = await page.locator("article a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
    assert.deepEqual([...new Set(addresses)].sort(), ["https://example.com/a?b=1&c=2", "https://example.com/track.png"]);
    const shown = await last(page).innerText();
    for (const text of ["<script>globalThis.broken = 1</script>", 'onerror="globalThis.broken = 2"', "<style>", "click me", "<script> <b>"])
      assert.ok(shown.includes(text), `not shown: ${text}`);
    await checkAxe(page, "hostile output");
  });
});

test("huge lines, deep nesting and endless marks neither hang the page nor lose text", async ({ page }) => {
  const huge = ["x".repeat(1_000_000), ">".repeat(5000), "[".repeat(20_000), "*a ".repeat(15_000), "`".repeat(9999), `${"- ".repeat(2000)}deep`, "|".repeat(8000), "$".repeat(9999), "<a ".repeat(6000), `\`\`\`js\n${"/* \" ' ".repeat(20_000)}`];
  let sent = "";
  await withAnswers(page, async (_, send) => {
    for (const one of huge) {
      const text = `${one}\n\nA line between.\n\n`;
      sent += text;
      send(text);
      await sleep(30);
    }
  }, async () => {
    await field(page).fill("Go");
    const began = Date.now();
    await field(page).press("Enter");
    await page.getByRole("button", { name: "Send", exact: true }).waitFor();
    await last(page).locator(".actions").waitFor();
    console.log(`# huge output: drawn after ${Date.now() - began} ms`);
    const text = await last(page).locator(".md").evaluate((e) => e.textContent);
    assert.ok(text.includes("x".repeat(1_000_000)) && text.includes("[".repeat(20_000)) && text.includes("A line between."));
    assert.ok(sent.length > 1_000_000);
    await page.getByRole("button", { name: "New chat" }).click();
    await page.getByText("What shall we talk about?").waitFor();
  });
});

test("Markdown, maths and code are drawn as they are meant", async ({ page }) => {
  const text = `# Heading

Prose with **strong**, *em*, ~~gone~~, \`code\`, and a [link](https://example.com/). It costs $5 to $10.

1. first
2. second
   - inner

- [x] done
- [ ] open

> quoted

| n | square |
|--:|--:|
| 2 | 4 |

Inline $e^{i\\pi} + 1 = 0$ and a block:

$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$

\`\`\`python
# squares
def square(n: int) -> int:
    return n * n  # "quoted"
\`\`\`

日本語の文章も、**太字**や数式 $\\sqrt{2}$ を含めて読みやすく表示されます。
`;
  await withAnswers(page, async (_, send) => {
    send({ reasoning_content: "First I think about **it**.\n" });
    for (const piece of text.match(/[\s\S]{1,7}/g)) send(piece); // cut anywhere, as tokens are
  }, async () => {
    await field(page).fill("Show me what you can draw");
    await field(page).press("Enter");
    await idle(page);
    const m = last(page);
    await m.locator("math").nth(2).waitFor();
    assert.equal(await m.locator("math").count(), 3);
    assert.equal(await m.locator("h3").innerText(), "Heading");
    assert.equal(await m.locator("table td").nth(1).innerText(), "4");
    assert.equal(await m.locator("ol > li").count(), 2);
    assert.equal(await m.locator("li.task input:checked").count(), 1);
    assert.equal(await m.locator(".c-keyword").first().innerText(), "def");
    assert.ok((await m.innerText()).includes("It costs $5 to $10."));
    assert.equal(await m.locator("details.reasoning[open]").count(), 0);
    await m.locator("details.reasoning summary").click();
    await m.getByText("First I think about it.").waitFor();
    await m.locator("details.reasoning summary").click();
    await checkAxe(page, "Markdown, light");
    await m.getByRole("heading", { name: "Heading" }).scrollIntoViewIfNeeded();
    await picture(page, "chat-markdown");
    await page.emulateMedia({ colorScheme: "dark" });
    await checkAxe(page, "Markdown, dark");
    await picture(page, "chat-markdown-dark");
  });
}, { viewport: { width: 1200, height: 1150 } });
