// Runs the tests of the page named (all: none named); status 77, and the reason, where they cannot run.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { missing } from "./harness.mjs";

if (missing) {
  console.log(`skipped: ${missing}`);
  process.exit(77);
}
const here = dirname(fileURLToPath(import.meta.url));
const named = process.argv.slice(2);
const files = named.length ? named : readdirSync(here).filter((name) => name.endsWith(".test.mjs")).sort();
const ran = spawnSync(process.execPath, ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files.map((name) => join(here, name))], { stdio: "inherit" });
process.exit(ran.status ?? 1);
