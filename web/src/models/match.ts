// Which model of the catalogue a name to be pulled means: the longest of its names that stands in it, signs aside. And the
// mix that its tag names.
import type { Known, Mix } from "../api/store";

const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");

export function knownAs(name: string, catalogue: Known[]): Known | null {
  const [, path = ""] = /^(?:.*\/)?([^/]*)$/.exec(name.trim()) ?? [];
  const asked = plain(path);
  const found = catalogue.filter((k) => asked.includes(plain(k.name)));
  return found.sort((a, b) => b.name.length - a.name.length)[0] ?? null;
}

// The mix named, else Q4_K_M, which hubs give when nothing is said.
export function mixOf(name: string, mixes: Mix[]): Mix | null {
  const asked = plain(name);
  const named = mixes.filter((m) => asked.endsWith(plain(m.quantization)));
  return named[0] ?? mixes.find((m) => m.quantization === "Q4_K_M") ?? null;
}
