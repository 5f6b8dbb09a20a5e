// What the tests of the page share: a real `irori serve` on the demo model, and the system's Chromium driven by
// playwright-core (from web/node_modules). A test is `test(name, async ({ page, server }) => ...)`: it gets a fresh page.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, test as nodeTest } from "node:test";
import { fileURLToPath } from "node:url";

export const SOURCE = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const IRORI = process.env.IRORI ?? join(SOURCE, "build/release/irori");
export const MODEL = join(SOURCE, "models/irori-tiny-f16.gguf");
export const DRAFT = join(SOURCE, "models/irori-tiny-draft-f16.gguf");
export const PATIENCE = Number(process.env.CLI_PATIENCE ?? 20) * 1000;
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

const fromWeb = createRequire(join(SOURCE, "web/package.json"));
function load(name) {
  try {
    return fromWeb(name);
  } catch {
    return null;
  }
}
const playwright = load("playwright-core");
export const axeSource = load("axe-core")?.source;

// Why the tests of the page cannot run here; "" when they can. run.mjs turns it into the status of a skip.
export const missing = !CHROMIUM
  ? "no Chromium here (Debian: apt install chromium)"
  : !playwright || !axeSource
    ? "playwright-core is not installed (npm ci in web/)"
    : "";

export class Server {
  constructor(...words) {
    this.words = words;
    this.state = mkdtempSync(join(tmpdir(), "irori-page-"));
    this.env = { XDG_STATE_HOME: this.state, XDG_DATA_HOME: this.state, XDG_CONFIG_HOME: this.state };
  }

  // Names are pulled from this registry; before start.
  setRegistry(url) {
    mkdirSync(join(this.state, "irori"), { recursive: true });
    writeFileSync(join(this.state, "irori/registries.json"), JSON.stringify([{ name: "reg.test", kind: "ollama", url, default: true }]));
  }

  // Starts, or starts again on the port it had.
  async start() {
    const args = ["serve", MODEL, "--port", String(this.port ?? 0), "--threads", "2", "--no-pin", "--quiet", ...this.words];
    this.process = spawn(IRORI, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...this.env } });
    this.log = "";
    await new Promise((done, fail) => {
      this.process.stderr.on("data", (piece) => {
        this.log += piece;
        const found = /serving on http:\/\/.*:(\d+)/.exec(this.log);
        if (found) {
          this.port = Number(found[1]);
          done();
        }
      });
      this.process.once("exit", (code) => fail(new Error(`the server ended with ${code}: ${this.log}`)));
    });
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async stop(signal = "SIGTERM") {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode;
    const ended = new Promise((done) => this.process.once("exit", done));
    this.process.kill(signal);
    return ended;
  }

  remove() {
    rmSync(this.state, { recursive: true, force: true });
  }
}

// Declares tests that share a server and a browser; words are the server's options, ready() comes before its start.
export function suite({ words = [], ready, viewport = { width: 1200, height: 800 }, locale = "en-US", colorScheme = "light" } = {}) {
  const server = new Server(...words);
  let browser;
  before(async () => {
    await ready?.(server);
    await server.start();
    browser = await playwright.chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  });
  after(async () => {
    await browser?.close();
    const code = await server.stop();
    server.remove();
    if (code !== 0) throw new Error(`the server ended with ${code}: ${server.log}`);
  });

  // options: of the browser's context. allow: a pattern of console messages that are expected.
  const test = (name, run, { allow, ...options } = {}) =>
    nodeTest(name, { timeout: 3 * PATIENCE }, async () => {
      const context = await browser.newContext({ viewport, locale, colorScheme, reducedMotion: "reduce", ...options });
      context.setDefaultTimeout(PATIENCE);
      const page = await context.newPage();
      const wrong = [];
      page.on("pageerror", (why) => wrong.push(String(why)));
      page.on("console", (m) => {
        if (m.type() === "error" && !allow?.test(m.text())) wrong.push(m.text());
      });
      page.on("request", (r) => {
        const url = new URL(r.url());
        if (url.protocol.startsWith("http") && url.hostname !== "127.0.0.1") wrong.push(`asked another place: ${r.url()}`);
      });
      try {
        await run({ page, context, server, browser });
        if (wrong.length) throw new Error(`the browser complained:\n${wrong.join("\n")}`);
      } finally {
        await context.close();
      }
    });
  return { server, test };
}

// Opens a panel, "chat" or "chat/ID".
export async function openPanel(page, server, panel = "chat") {
  await page.goto(`${server.url}/ui/#/${panel}`);
  await page.locator(".reach[data-reach=online]").waitFor();
  await page.locator("main .waiting").waitFor({ state: "detached" });
}

// Fails with every breach of WCAG 2.2 A and AA that axe finds.
export async function checkAxe(page, what) {
  await page.evaluate(axeSource); // by the debugger's protocol: the page's own policy would not let it in
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  if (violations.length === 0) return;
  const lines = violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${v.help}: ${n.target.join(" ")} ${n.any[0]?.message ?? ""}`));
  throw new Error(`axe, ${what}:\n${lines.join("\n")}`);
}

// Fails when something reaches out of the view to the right, but for what lies in a box that scrolls sideways.
export async function checkWidth(page) {
  const out = await page.evaluate(() => {
    const scrolls = (e) => e && (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    return [...document.querySelectorAll("body *")]
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".visually-hidden") && !scrolls(e.parentElement))
      .map((e) => `${e.tagName} ${e.className}`);
  });
  if (out.length) throw new Error(`wider than the view: ${out.slice(0, 5).join("; ")}`);
}

// All of it at once: in the light, in the dark, and on a phone, where nothing may reach out. It leaves the page so.
export async function checkLooks(page, what) {
  await checkAxe(page, `${what}, light`);
  await page.emulateMedia({ colorScheme: "dark" });
  await checkAxe(page, `${what}, dark`);
  await page.setViewportSize({ width: 360, height: 700 });
  await checkAxe(page, `${what}, phone`);
  await checkWidth(page);
}

// A picture for docs/, only when IRORI_PICTURES is set: pictures are made by the tests, and committed by a person.
export async function picture(page, name) {
  if (!process.env.IRORI_PICTURES) return;
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(SOURCE, "docs/pictures", `${name}.png`), animations: "disabled", caret: "hide" });
}
