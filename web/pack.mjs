// Packs out/ into dist/, which is committed: each file compressed with gzip, but index.html as it is (the server writes
// a nonce into it). gzip alone: browsers offer better codings only over HTTPS and on this machine, where it does not
// matter.
//   node pack.mjs            writes dist/
//   node pack.mjs --check    fails when dist/ does not hold what out/ holds. Contents are compared, not compressed
//                            bytes, which differ between versions of zlib.
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "out");
const dist = join(here, "dist");
const list = (folder) =>
  readdirSync(folder, { recursive: true }).map(String).filter((name) => statSync(join(folder, name)).isFile()).sort();
const packed = (name) => (name === "index.html" ? name : `${name}.gz`);
const unpack = (name) => {
  const bytes = readFileSync(join(dist, name));
  return name.endsWith(".gz") ? gunzipSync(bytes) : bytes;
};

function check() {
  const names = list(out);
  const held = new Set(list(dist));
  const wrong = names.filter((name) => !held.has(packed(name)) || !unpack(packed(name)).equals(readFileSync(join(out, name))));
  const extra = [...held].filter((name) => !names.some((n) => packed(n) === name));
  if (wrong.length + extra.length === 0) return console.log(`dist/ holds what the sources give: ${names.length} files`);
  console.error(`dist/ is not what the sources give (run "npm run build" in web/ and commit dist/):`);
  for (const name of [...wrong, ...extra]) console.error(`  ${name}`);
  process.exitCode = 1;
}

function write() {
  const old = new Map();
  try {
    for (const name of list(dist)) old.set(name, readFileSync(join(dist, name)));
  } catch {
    // no dist yet
  }
  rmSync(dist, { recursive: true, force: true });
  let total = 0;
  for (const name of list(out)) {
    const plain = readFileSync(join(out, name));
    const to = packed(name);
    const before = old.get(to); // the same content stays the same bytes, whatever zlib this is
    const same = before && (to === name ? before.equals(plain) : gunzipSync(before).equals(plain));
    const bytes = same ? before : to === name ? plain : gzipSync(plain, { level: 9 });
    mkdirSync(dirname(join(dist, to)), { recursive: true });
    writeFileSync(join(dist, to), bytes);
    total += bytes.length;
    console.log(`${String(bytes.length).padStart(8)}  ${to}`);
  }
  console.log(`${String(total).padStart(8)}  in all`);
}

if (process.argv.includes("--check")) check();
else write();
